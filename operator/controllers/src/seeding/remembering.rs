//! What is remembered of what waits for another environment, with a plan that is written and with one that is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use sower_core::plan::{Operation, Wanted};
use sower_core::promotion::Changes;
use sower_core::rows;
use sower_store::{Admitted, Fence, PromotionDelta, Store};

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
    let fence = claim(store, job, planned).await?;
    Ok(store.remember(&fence, &delta.changes()).await?)
}

/// What was offered does not depend on what else the environment's row notes.
async fn claim(store: &Store, job: &Job, planned: &Planned) -> Result<Fence, SeedingError> {
    Ok(Fence { as_of: None, ..seeded::claim(store, job, planned).await? })
}

/// Notes what somebody lets in of what a plan finds that may come, and with it what the sources offer: it comes whatever holds
/// the plan now, and whatever they and the other environment show by then.
///
/// # Errors
/// As [`remember`].
pub(super) async fn let_in(store: &Store, job: &Job, planned: &Planned) -> Result<(), SeedingError> {
    let let_in = planned.state.admission.iter().flat_map(|admission| admission.let_in.iter());
    let let_in = let_in.filter(|(id, _)| job.promote.ids.contains(*id));
    let admitted: Vec<Admitted> = let_in
        .map(|(id, wanted)| Admitted { integration: id.clone(), checksum: wanted.summary.checksum.clone() })
        .collect();
    if admitted.is_empty() {
        return Ok(());
    }
    let Delta { mut fresh, .. } = Delta::of(planned, &[]).await?;
    fresh.retain(|(wanted, _)| admitted.iter().any(|one| one.checksum == wanted.summary.checksum));
    let fence = claim(store, job, planned).await?;
    Ok(store.admit(&fence, &admitted, &job.promote.by, &fresh).await?)
}
