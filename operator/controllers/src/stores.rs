//! Open databases: one small pool for each address, shared by the environments that are there.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use sower_store::{DatabaseUrl, Migrate, Store};

use crate::doors::{Doors, Key};
use crate::seeding::SeedingError;

pub use crate::doors::Database;

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

/// Every open database of this process.
#[derive(Debug, Default)]
pub struct Stores {
    open: Doors,
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
    ) -> Result<Store, SeedingError> {
        self.use_by(namespace, environment, Some((database.clone(), migrate)));
        Ok(self.open.open(database, migrate).await?)
    }

    /// What was opened for the environment is no more what was found then: the next to come opens it anew, and makes its
    /// tables.
    pub fn reopen(&self, namespace: &str, environment: &str) {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let user = (namespace.to_owned(), environment.to_owned());
        if let Some(key) = users.get(&user) {
            self.open.forget(key);
        }
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
            self.open.forget(&before);
        }
    }

    /// Closes all of them, once nothing uses them.
    pub async fn close(&self) {
        self.open.close().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use sower_store::Tls;

    use super::*;
    use crate::reason::Reason;

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
        let count = || stores.open.count();
        assert_eq!(count(), 1);
        stores.open("n", "a", other, Migrate::Auto).await.expect("opens");
        assert_eq!(count(), 2);
        stores.forget("n", "b");
        assert_eq!(count(), 1);
        stores.forget("n", "a");
        assert_eq!(count(), 0);
    }

    #[tokio::test]
    async fn those_who_wait_for_a_database_share_its_failure() {
        let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = deaf.local_addr().expect("an address");
        drop(deaf);
        let url = DatabaseUrl::parse(&format!("postgres://sower@{address}/catalog")).expect("a URL");
        let away = Database { url, tls: Tls::default() };
        let stores = Stores::default();
        let open = |name: &'static str| stores.open("n", name, away.clone(), Migrate::Auto);
        let began = Instant::now();
        let (a, b, c) = tokio::join!(open("a"), open("b"), open("c"));
        let once = began.elapsed();
        let error = a.expect_err("nobody listens");
        assert_eq!(error.reason, Reason::DatabaseUnavailable);
        assert_eq!(b.expect_err("shared"), error);
        assert_eq!(c.expect_err("shared"), error);
        // The next to come hears of it at once, and it was tried once in all.
        let began = Instant::now();
        assert_eq!(open("d").await.expect_err("shared"), error);
        assert!(began.elapsed() < once / 2, "{:?} after {once:?}", began.elapsed());
    }
}
