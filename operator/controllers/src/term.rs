//! One time of leading: what it may do ends with it.

use std::collections::{HashMap, HashSet};
use std::sync::PoisonError;

use sower_store::{DatabaseUrl, Store, StoreError};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::reason::Reason;
use crate::seeding::SeedingError;

/// From gaining the Lease to losing or releasing it.
pub struct Term {
    /// This process, as the database notes it.
    pub holder: String,
    /// Cancelled when work is to end: the Lease is lost, or the process stops.
    pub over: CancellationToken,
    /// Cancelled when the Lease is lost: nothing more may be said in the cluster.
    pub lost: CancellationToken,
    epochs: Mutex<HashMap<Key, i64>>,
    /// Annotations of environments to which the databases hold no answer any more.
    forgotten: std::sync::Mutex<HashSet<(DatabaseUrl, String, &'static str)>>,
}

/// A database, an environment in it, and who keeps it: two keepers never share an epoch.
type Key = (DatabaseUrl, String, String);

fn key(store: &Store, environment: &str, keeper: &str) -> Key {
    (store.url().clone(), environment.to_owned(), keeper.to_owned())
}

impl Term {
    /// Begins one. It is over when `stop` says so at the latest.
    #[must_use]
    pub fn new(holder: String, stop: &CancellationToken) -> Self {
        Self {
            holder,
            over: stop.child_token(),
            lost: CancellationToken::new(),
            epochs: Mutex::default(),
            forgotten: std::sync::Mutex::default(),
        }
    }

    /// Whether the database is known to hold no answer to an annotation that is gone. An answer may be left there that never
    /// reached a status: the same would not be done when it is asked again.
    #[must_use]
    pub fn has_forgotten(&self, store: &Store, environment: &str, annotation: &'static str) -> bool {
        let key = (store.url().clone(), environment.to_owned(), annotation);
        self.forgotten.lock().unwrap_or_else(PoisonError::into_inner).contains(&key)
    }

    /// Notes whether it holds none from now on.
    pub fn note_forgotten(&self, store: &Store, environment: &str, annotation: &'static str, none: bool) {
        let key = (store.url().clone(), environment.to_owned(), annotation);
        let mut forgotten = self.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        match none {
            true => drop(forgotten.insert(key)),
            false => drop(forgotten.remove(&key)),
        }
    }

    /// The epoch to write an environment under: raised before the first write of this term. None where another keeper
    /// has the environment and it is not taken over: the seeding says so itself, and nobody is fenced out. Taking over
    /// looks at the keeper first, whatever is remembered: taking back raises again.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn epoch(
        &self,
        store: &Store,
        environment: &str,
        keeper: &str,
        take_over: bool,
    ) -> Result<Option<i64>, StoreError> {
        let key = key(store, environment, keeper);
        let remembered = self.epochs.lock().await.get(&key).copied();
        if remembered.is_some() && !take_over {
            return Ok(remembered);
        }
        let seen = store.environment(environment).await?.and_then(|row| row.keeper);
        let elsewhere = seen.as_ref().is_some_and(|other| other != keeper);
        if elsewhere && !take_over {
            return Ok(None);
        }
        if remembered.is_some() && !elsewhere {
            return Ok(remembered);
        }
        let epoch = store.raise_epoch(environment, &self.holder, seen.as_deref()).await?;
        tracing::debug!(environment, epoch, "raised the epoch");
        self.epochs.lock().await.insert(key, epoch);
        Ok(Some(epoch))
    }

    /// The row of the environment is gone.
    pub async fn forget(&self, store: &Store, environment: &str, keeper: &str) {
        self.epochs.lock().await.remove(&key(store, environment, keeper));
    }

    /// A seeding failed. Where somebody else keeps the environment, or its row is gone or at another epoch, the next try
    /// begins anew with [`Term::epoch`]. That never raises over another keeper. Under ours the row may be a new leader's
    /// already, of which this process has not heard yet: `leads` looks whether it is, and then it stays so.
    pub async fn doubt(
        &self,
        store: &Store,
        environment: &str,
        keeper: &str,
        error: &SeedingError,
        leads: impl AsyncFnOnce() -> bool,
    ) {
        if self.over.is_cancelled() {
            return;
        }
        match error.reason {
            Reason::KeptElsewhere => self.forget(store, environment, keeper).await,
            Reason::SeedingFailed => {
                let Ok(row) = store.environment(environment).await else { return };
                let key = key(store, environment, keeper);
                let ours = self.epochs.lock().await.get(&key).copied();
                let other = ours.is_some_and(|ours| row.is_none_or(|row| row.epoch != ours));
                if other && leads().await {
                    self.epochs.lock().await.remove(&key);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sower_store::Options;

    fn refusal(reason: Reason) -> SeedingError {
        SeedingError::new(reason, crate::seeding::Kind::Stalled, "refused")
    }

    async fn unasked() -> bool {
        unreachable!("the Lease is looked at where an epoch of ours is no longer the row's, and nowhere else")
    }

    async fn epoch(term: &Term, store: &Store, keeper: &str, take_over: bool) -> Option<i64> {
        term.epoch(store, "e", keeper, take_over).await.expect("answers")
    }

    #[tokio::test]
    async fn an_environment_can_be_taken_back_and_forth() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = DatabaseUrl::parse(&format!("sqlite://{}/s.db", folder.path().display())).expect("a URL");
        let store = Store::open(&url, &Options::default()).await.expect("opens");
        let stop = CancellationToken::new();
        let (one, other) = (Term::new("one".into(), &stop), Term::new("other".into(), &stop));

        assert_eq!(epoch(&one, &store, "a", false).await, Some(1));
        store.claim("e", "a", false).await.expect("ours");
        assert_eq!(epoch(&other, &store, "b", false).await, None);
        assert_eq!(epoch(&other, &store, "b", true).await, Some(2));
        store.claim("e", "b", true).await.expect("taken over");

        // Taken back at once, without having heard of it meanwhile; asking again raises nothing.
        assert_eq!(epoch(&one, &store, "a", true).await, Some(3));
        store.claim("e", "a", true).await.expect("taken back");
        assert_eq!(epoch(&one, &store, "a", true).await, Some(3));

        // Having heard of it, what was remembered is no answer any more.
        other.doubt(&store, "e", "b", &refusal(Reason::KeptElsewhere), unasked).await;
        assert_eq!(epoch(&other, &store, "b", false).await, None);
        assert_eq!(epoch(&one, &store, "a", false).await, Some(3));
    }

    #[tokio::test]
    async fn whoever_is_fenced_out_of_what_is_ours_asks_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = DatabaseUrl::parse(&format!("sqlite://{}/s.db", folder.path().display())).expect("a URL");
        let store = Store::open(&url, &Options::default()).await.expect("opens");
        let term = Term::new("one".into(), &CancellationToken::new());
        assert_eq!(epoch(&term, &store, "a", false).await, Some(1));
        // Another raises it before either has claimed it.
        store.raise_epoch("e", "other", None).await.expect("answers");
        store.claim("e", "a", false).await.expect("ours");
        term.doubt(&store, "e", "a", &refusal(Reason::DatabaseUnavailable), unasked).await;
        assert_eq!(epoch(&term, &store, "a", false).await, Some(1));
        // A new leader, of which the Lease tells before the election does, is not fenced out.
        term.doubt(&store, "e", "a", &refusal(Reason::SeedingFailed), async || false).await;
        assert_eq!(epoch(&term, &store, "a", false).await, Some(1));
        term.doubt(&store, "e", "a", &refusal(Reason::SeedingFailed), async || true).await;
        assert_eq!(epoch(&term, &store, "a", false).await, Some(3));
        // At our own epoch there is nothing to doubt.
        term.doubt(&store, "e", "a", &refusal(Reason::SeedingFailed), unasked).await;
    }
}
