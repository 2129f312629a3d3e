//! Databases that are opened once each, and those that do not answer: whoever waits for one keeps nobody from another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sower_store::{DatabaseUrl, Migrate, Options, Store, StoreError, Tls};
use tokio::sync::OnceCell;

/// How long a database that did not answer is taken not to: environments that come by one after another share a failure.
const AWAY: Duration = Duration::from_secs(3);

/// Where a database is, and what opens it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Database {
    /// Its address.
    pub url: DatabaseUrl,
    /// Certificates and keys.
    pub tls: Tls,
}

/// A database, and whether its tables may be made.
pub type Key = (Database, Migrate);

/// One database: open, or tried by one at a time.
#[derive(Debug, Default)]
struct Door {
    store: OnceCell<Store>,
    /// Shared by all who open this database: two at once would race for a file's journal.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// When it did not answer last, and what was said then.
    away: Mutex<Option<(Instant, StoreError)>>,
}

impl Door {
    /// Opens it. While one tries a database that did not answer before, nobody waits for it; and those who were waiting
    /// share its failure.
    async fn open(&self, Database { url, tls }: Database, migrate: Migrate) -> Result<Store, StoreError> {
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let asked = Instant::now();
        let _turn = match (self.turn.try_lock(), self.away()) {
            (Ok(turn), _) => turn,
            (Err(_), Some((_, error))) => return Err(error),
            (Err(_), None) => self.turn.lock().await,
        };
        match self.away() {
            Some((at, error)) if at >= asked || at.elapsed() < AWAY => return Err(error),
            _ => {}
        }
        let options = Options { migrate, tls, ..Options::default() };
        let opened = self.store.get_or_try_init(|| Store::open(&url, &options)).await.cloned();
        let silent =
            |error: &&StoreError| matches!(error, StoreError::Unavailable { .. } | StoreError::Lost { .. });
        let away = opened.as_ref().err().filter(silent);
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) =
            away.map(|error| (Instant::now(), error.clone()));
        opened
    }

    fn away(&self) -> Option<(Instant, StoreError)> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Databases, each opened when it is first asked for.
#[derive(Debug, Default)]
pub struct Doors(Mutex<HashMap<Key, Arc<Door>>>);

impl Doors {
    /// A database, opened if it is not open yet. Only those who ask for the same one wait for it.
    ///
    /// # Errors
    /// As [`Store::open`]; those who ask for one that does not answer share the failure for a few seconds.
    pub async fn open(&self, database: Database, migrate: Migrate) -> Result<Store, StoreError> {
        let door = {
            let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = doors.iter().find(|((other, _), _)| other.url == database.url);
            let turn = turn.map(|(_, door)| door.turn.clone()).unwrap_or_default();
            let new = || Arc::new(Door { turn, ..Door::default() });
            doors.entry((database.clone(), migrate)).or_insert_with(new).clone()
        };
        door.open(database, migrate).await
    }

    /// Lets go of one: the next to come opens it anew. Whoever still has a clone finishes with it; its connections end
    /// with the last.
    pub fn forget(&self, key: &Key) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    /// Lets go of one that is open and whose file was deleted since: what is written there is lost. The next to come makes
    /// it anew.
    pub fn forget_deleted(&self, key: &Key) {
        let deleted = key.0.url.file().is_some_and(|file| !file.exists());
        let mut doors = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is being opened has no file yet.
        if let Some(door) = doors.get_mut(key).filter(|door| deleted && door.store.initialized()) {
            *door = Arc::new(Door { turn: door.turn.clone(), ..Door::default() });
        }
    }

    /// Closes all of them, once nothing uses them.
    pub async fn close(&self) {
        let doors = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for store in doors.values().filter_map(|door| door.store.get()) {
            store.close().await;
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        self.0.lock().expect("no panic").len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Database {
        Database { url: DatabaseUrl::parse(url).expect("a URL"), tls: Tls::default() }
    }

    #[tokio::test]
    async fn a_database_that_says_nothing_keeps_nobody_from_another() {
        let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let silent = at(&format!("postgres://sower@{}/catalog", deaf.local_addr().expect("an address")));
        let folder = tempfile::tempdir().expect("a folder");
        let file = at(&format!("sqlite://{}/s.db", folder.path().display()));
        let doors = Doors::default();
        let waiting = doors.open(silent, Migrate::Auto);
        let both = async {
            let auto = doors.open(file.clone(), Migrate::Auto).await;
            (auto, doors.open(file.clone(), Migrate::Never).await)
        };
        tokio::select! {
            biased;
            ended = waiting => panic!("nobody answers there: {ended:?}"),
            (auto, never) = both => {
                auto.expect("opens");
                never.expect("opens");
            }
        }
        assert_eq!(doors.count(), 3);
        doors.close().await;
        assert_eq!(doors.count(), 0);
    }

    #[tokio::test]
    async fn a_file_that_was_deleted_is_made_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.db");
        let file = at(&format!("sqlite://{}", path.display()));
        let (doors, key) = (Doors::default(), (file.clone(), Migrate::Auto));
        // One that is being opened has no file yet, and is left.
        let first = doors.open(file.clone(), Migrate::Auto);
        let second = async {
            let opening = doors.0.lock().expect("no panic").get(&key).cloned().expect("a door");
            doors.forget_deleted(&key);
            let still = doors.0.lock().expect("no panic").get(&key).cloned().expect("a door");
            Arc::ptr_eq(&opening, &still)
        };
        let (opened, left) = tokio::join!(biased; first, second);
        opened.expect("opens");
        assert!(left, "two would open one file");

        std::fs::remove_file(&path).expect("it is there");
        doors.forget_deleted(&key);
        doors.open(file, Migrate::Auto).await.expect("opens");
        assert!(path.exists() && doors.count() == 1);
        doors.close().await;
    }
}
