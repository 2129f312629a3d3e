//! What is remembered of what waits for another environment, with a plan that is written and with one that is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use sower_core::plan::{Operation, Wanted};
use sower_core::promotion::Changes;
use sower_core::rows;
use sower_store::{PromotionDelta, Store, StoreError};

use super::Planned;
use super::error::SeedingError;
use super::job::Job;
use super::planned::blocking;
use super::reading::{Document, Reading};
use super::seeded;

/// What changes of what is remembered, with the bytes.
pub(super) struct Delta {
    fresh: Vec<(Wanted, Arc<str>)>,
    stale: Vec<(String, String)>,
    settled: Vec<(String, String)>,
    ends: bool,
}

impl Delta {
    /// Of a plan that takes these operations; one of some integrations says nothing of the others. What cannot be read is not
    /// remembered.
    ///
    /// # Errors
    /// None but a mistake of ours.
    pub(super) async fn of(planned: &Planned, taken: &[Operation]) -> Result<Self, SeedingError> {
        let Some(admission) = &planned.state.admission else {
            return Ok(Self { fresh: Vec::new(), stale: Vec::new(), settled: Vec::new(), ends: false });
        };
        let scope = planned.plan.scope.as_ref();
        let within = |id: &str| scope.is_none_or(|only| only.contains(id));
        let taken = taken.iter().map(|operation| (operation.id.as_str(), !operation.staged)).collect();
        let Changes { fresh, stale, settled } = admission.changes(&taken);
        let of_pairs = |pairs: BTreeSet<(String, String)>| pairs.into_iter().filter(|(id, _)| within(id));
        let fresh = fresh.into_iter().filter(|(wanted, _)| within(&wanted.summary.id)).cloned();
        Ok(Self {
            fresh: with_contents(&planned.reading, fresh.collect()).await?,
            stale: of_pairs(stale).collect(),
            settled: of_pairs(settled).collect(),
            ends: admission.ends && scope.is_none(),
        })
    }

    pub(super) fn changes(&self) -> PromotionDelta<'_> {
        let Self { fresh, stale, settled, ends } = self;
        PromotionDelta { fresh, stale, settled, ends: *ends }
    }
}

/// What is to be remembered, with its bytes.
async fn with_contents(
    reading: &Reading,
    fresh: Vec<(Wanted, Option<Arc<str>>)>,
) -> Result<Vec<(Wanted, Arc<str>)>, SeedingError> {
    if fresh.is_empty() {
        return Ok(Vec::new());
    }
    let fresh: Vec<_> = fresh
        .into_iter()
        .map(|(wanted, made)| {
            let document = made.is_none().then(|| reading.document(&wanted.place)).flatten();
            (wanted, made, document)
        })
        .collect();
    blocking(move || {
        let read = |(wanted, made, document): (Wanted, Option<Arc<str>>, Option<Document>)| {
            let read = || document?.read().filter(|text| rows::checksum(text) == wanted.summary.checksum);
            let bytes = made.or_else(read)?;
            Some((wanted, bytes))
        };
        fresh.into_iter().filter_map(read).collect()
    })
    .await
}

/// Notes of a plan that is not written what the sources offer: it may come in later, although they offer something else by then.
///
/// # Errors
/// Where somebody else has the environment, or the database does not answer.
pub(super) async fn remember(store: &Store, job: &Job, planned: &Planned) -> Result<(), SeedingError> {
    let delta = Delta { ends: false, ..Delta::of(planned, &[]).await? };
    if delta.changes().is_empty() {
        return Ok(());
    }
    let fence = seeded::claim(store, job, planned).await?;
    match store.remember(&fence, &delta.changes()).await {
        // Somebody else found the same, and noted it first.
        Err(StoreError::Moved { environment }) => tracing::debug!(environment, "moved on meanwhile"),
        remembered => remembered?,
    }
    Ok(())
}
