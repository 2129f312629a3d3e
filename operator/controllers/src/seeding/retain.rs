//! What follows a reconcile that ended well: what is older than it is to be kept is forgotten, and usage is rolled up, where any
//! of it is due.

use std::time::Duration;

use jiff::Timestamp;
use sower_crds::environment::EnvironmentSpec;
use sower_store::{EnvironmentRow, Forgotten, Retention, RolledUp, Store, StoreError, UsageRetention};

use super::Seeded;
use super::job::Job;

/// Transactions of one look at most; what is left is due at the next reconcile.
const ROUNDS: usize = 20;
/// Integrations that the log names at most.
const TOLD: usize = 20;

/// What the spec says of retention. A text that is no duration, which the format refuses, keeps for ever.
#[must_use]
pub fn retention(spec: &EnvironmentSpec) -> Retention {
    let spec = &spec.retention;
    let history = spec.history.as_ref().and_then(|history| history.duration().ok());
    Retention { removed: spec.removed.duration().unwrap_or(Duration::MAX), history, versions: spec.versions }
}

/// What the spec says of usage. A text that is no duration, which the format refuses, keeps for ever.
#[must_use]
pub fn usage_retention(spec: &EnvironmentSpec) -> UsageRetention {
    let usage = &spec.retention.usage;
    let [minutes, hours, days] =
        [&usage.minutes, &usage.hours, &usage.days].map(|period| period.duration().unwrap_or(Duration::MAX));
    UsageRetention { minutes, hours, days }
}

/// Rolls usage up, if that is due: `row` is the environment's as it was before the reconcile.
pub(super) async fn roll_up(store: &Store, job: &Job, row: Option<&EnvironmentRow>, now: Timestamp) {
    let retention = usage_retention(&job.spec);
    if !row.is_some_and(|row| retention.is_due(row, now)) {
        return;
    }
    match store.roll_up_usage(&job.environment, now, &retention).await {
        Ok(RolledUp { minutes: 0, hours: 0, days: 0, more: _ }) => {}
        Ok(RolledUp { minutes, hours, days, more }) => {
            tracing::info!(minutes, hours, days, more, "rolled usage up");
        }
        Err(error) => tracing::warn!(%error, "usage is not rolled up; trying again at the next reconcile"),
    }
}

/// Looks, if something is due, and says how many integrations were purged: `row` is the environment's as it was before the reconcile. What a guard holds may be what
/// brings back what would be purged, and a source that could not be read says nothing: then nothing is forgotten.
pub(super) async fn look(
    store: &Store,
    job: &Job,
    row: Option<&EnvironmentRow>,
    ended: &Seeded,
    now: Timestamp,
) -> usize {
    let retention = retention(&job.spec);
    let due = match ended {
        Seeded::Held { .. } => false,
        Seeded::Applied { planned, .. } if planned.plan.deleted() > 0 => true,
        Seeded::Applied { .. } | Seeded::Unchanged { .. } => {
            row.is_some_and(|row| retention.is_due(row, now))
        }
    };
    if !due || job.only.is_some() {
        return 0;
    }
    match forget(store, job, &retention, now).await {
        Ok(forgotten) if forgotten.is_nothing() => 0,
        Ok(Forgotten { purged, versions, changes, logs, conflicts, more }) => {
            let (count, first) = (purged.len(), purged[..purged.len().min(TOLD)].join(", "));
            tracing::info!(
                purged = count,
                first,
                versions,
                changes,
                logs,
                conflicts,
                more,
                "forgot what was kept long enough"
            );
            count
        }
        Err(error) => {
            tracing::warn!(%error, "nothing is forgotten; trying again at the next reconcile");
            0
        }
    }
}

async fn forget(
    store: &Store,
    job: &Job,
    retention: &Retention,
    now: Timestamp,
) -> Result<Forgotten, StoreError> {
    let mut fence = store.claim(&job.environment, &job.keeper, false).await?;
    fence.as_of = None;
    if let Some(epoch) = job.epoch {
        fence.epoch = epoch;
    }
    let mut forgotten = Forgotten::default();
    for _ in 0..ROUNDS {
        forgotten = forgotten.and(store.retain(&fence, retention, now).await?);
        if !forgotten.more {
            break;
        }
    }
    Ok(forgotten)
}
