//! Open databases: one small pool for each address, shared by the environments that are there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use sower_store::{DatabaseUrl, Migrate, Options, Store, StoreError, Tls};
use tokio::sync::OnceCell;

/// Where a database is, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Database {
    /// Its address.
    pub url: DatabaseUrl,
    /// Certificates and keys.
    pub tls: Tls,
}

/// The database of environments that name none.
#[derive(Debug, Clone, Default)]
pub enum DefaultDatabase {
    /// There is none.
    #[default]
    None,
    /// An address.
    Url(DatabaseUrl),
    /// A folder with the keys of a Secret, read anew each time: a mounted Secret changes.
    Folder(PathBuf),
}

type Key = (Database, Migrate);

/// Every open database of this process.
#[derive(Debug, Default)]
pub struct Stores {
    open: Mutex<HashMap<Key, Arc<OnceCell<Store>>>>,
    users: Mutex<HashMap<(String, String), Key>>,
}

impl Stores {
    /// The database of an environment, opened if it is not open yet. What the environment used before and nobody else
    /// does is closed.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open(
        &self,
        namespace: &str,
        environment: &str,
        database: Database,
        migrate: Migrate,
    ) -> Result<Store, StoreError> {
        let key = (database, migrate);
        let cell = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.entry(key.clone()).or_default().clone()
        };
        self.use_by(namespace, environment, Some(key.clone()));
        let (Database { url, tls }, migrate) = key;
        cell.get_or_try_init(|| async {
            let options = Options { migrate, tls, ..Options::default() };
            Store::open(&url, &options).await
        })
        .await
        .cloned()
    }

    /// The environment is gone.
    pub fn forget(&self, namespace: &str, environment: &str) {
        self.use_by(namespace, environment, None);
    }

    fn use_by(&self, namespace: &str, environment: &str, key: Option<Key>) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let user = (namespace.to_owned(), environment.to_owned());
        let before = match key.clone() {
            Some(key) => users.insert(user, key),
            None => users.remove(&user),
        };
        let Some(before) = before.filter(|before| Some(before) != key.as_ref()) else { return };
        if !users.values().any(|used| *used == before) {
            // Whoever still has a clone finishes with it; the pool ends with its last clone.
            self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&before);
        }
    }

    /// Closes all of them, once nothing uses them.
    pub async fn close(&self) {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        for store in open.values().filter_map(|cell| cell.get()) {
            store.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(folder: &std::path::Path, name: &str) -> Database {
        let url = DatabaseUrl::parse(&format!("sqlite://{}/{name}.db", folder.display())).expect("a URL");
        Database { url, tls: Tls::default() }
    }

    #[tokio::test]
    async fn a_pool_is_shared_and_ends_with_its_last_environment() {
        let folder = tempfile::tempdir().expect("a folder");
        let stores = Stores::default();
        let (shared, other) = (sqlite(folder.path(), "shared"), sqlite(folder.path(), "other"));
        for name in ["a", "b"] {
            stores.open("n", name, shared.clone(), Migrate::Auto).await.expect("opens");
        }
        let count = || stores.open.lock().expect("no panic").len();
        assert_eq!(count(), 1);
        stores.open("n", "a", other, Migrate::Auto).await.expect("opens");
        assert_eq!(count(), 2);
        stores.forget("n", "b");
        assert_eq!(count(), 1);
        stores.forget("n", "a");
        assert_eq!(count(), 0);
    }
}
