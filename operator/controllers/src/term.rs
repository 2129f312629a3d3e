//! One time of leading: what it may do ends with it.

use std::collections::HashMap;

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

    /// The row of the environment is gone.
    pub async fn forget(&self, store: &Store, environment: &str) {
        self.epochs.lock().await.remove(&(store.url().clone(), environment.to_owned()));
    }

    /// A seeding failed. Where the row is gone, or new with a lower epoch, it is raised again; a higher one is another
    /// leader's, and stays.
    pub async fn doubt(&self, store: &Store, environment: &str, error: &SeedingError) {
        if error.reason != Reason::SeedingFailed || self.over.is_cancelled() {
            return;
        }
        let key = (store.url().clone(), environment.to_owned());
        let Ok(row) = store.environment(environment).await else { return };
        let mut epochs = self.epochs.lock().await;
        if epochs.get(&key).is_some_and(|ours| row.is_none_or(|row| row.epoch < *ours)) {
            epochs.remove(&key);
        }
    }
}
