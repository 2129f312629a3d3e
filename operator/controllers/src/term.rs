//! One time of leading: what it may do ends with it.

use std::collections::HashMap;

use sower_store::{DatabaseUrl, Store, StoreError};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

/// From gaining the Lease to losing or releasing it.
pub struct Term {
    /// This process, as the database notes it.
    pub holder: String,
    /// Cancelled when work is to end: the Lease is lost, or the process stops.
    pub over: CancellationToken,
    /// Cancelled when the Lease is lost: nothing more may be said in the cluster.
    pub lost: CancellationToken,
    epochs: Mutex<HashMap<(DatabaseUrl, String), i64>>,
}

impl Term {
    /// Begins one. It is over when `stop` says so at the latest.
    #[must_use]
    pub fn new(holder: String, stop: &CancellationToken) -> Self {
        Self { holder, over: stop.child_token(), lost: CancellationToken::new(), epochs: Mutex::default() }
    }

    /// The epoch to write an environment under: raised before the first write of this term. None where another keeper
    /// has the environment and it is not taken over: the seeding says so itself, and nobody is fenced out.
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
        let key = (store.url().clone(), environment.to_owned());
        if let Some(epoch) = self.epochs.lock().await.get(&key) {
            return Ok(Some(*epoch));
        }
        let row = store.environment(environment).await?;
        let elsewhere = row.and_then(|row| row.keeper).is_some_and(|other| other != keeper);
        if elsewhere && !take_over {
            return Ok(None);
        }
        let epoch = store.raise_epoch(environment, &self.holder).await?;
        tracing::debug!(environment, epoch, "raised the epoch");
        self.epochs.lock().await.insert(key, epoch);
        Ok(Some(epoch))
    }

    /// Somebody else raised the epoch or took the row away: what is known of it is no longer true.
    pub async fn forget(&self, store: &Store, environment: &str) {
        self.epochs.lock().await.remove(&(store.url().clone(), environment.to_owned()));
    }
}
