//! The end of a rollout: one seeding, which makes its version everybody's, or takes its rows and keeps its content out.

use std::collections::BTreeSet;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sower_core::catalog::Place;
use sower_core::drift::Mend;
use sower_core::plan::{Content, Operation, Verb};
use sower_core::rollback::KeptOut;
use sower_core::rollout::{Rollout, State};
use sower_store::{
    Begin, EnvironmentRow, Fence, HandledCommand, ManifestDelta, PromotionDelta, QuarantineDelta,
    RolloutDelta, Store, StoreError, Write,
};

use super::steps::Steps;
use crate::seeding::{elapsed, of_some};

/// How a rollout ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Everybody has its version.
    ToAll,
    /// Everybody has the stable version.
    Back,
}

/// The seeding that it ended with.
pub(super) struct Written {
    /// `production-58`.
    pub(super) seeding: String,
    /// Rows of the catalog that were written.
    pub(super) rows: u64,
}

/// The fence of the row that was read. A rollout takes nothing from what moves without a seeding.
pub(super) fn fence(steps: &Steps<'_>, row: &EnvironmentRow) -> Fence {
    Fence {
        environment: steps.environment.to_owned(),
        keeper: steps.keeper.to_owned(),
        epoch: steps.epoch.unwrap_or(row.epoch),
        base: row.seq,
        as_of: None,
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a seeding, as they come to be")]
pub(super) async fn end(
    store: &Store,
    holder: &str,
    steps: &Steps<'_>,
    row: &EnvironmentRow,
    rollout: &Rollout,
    ending: Ending,
    handled: Option<&HandledCommand>,
    started: Instant,
) -> Result<Written, StoreError> {
    let fence = fence(steps, row);
    let reason = reason(rollout);
    let operation = operation(rollout);
    let operations = match ending {
        Ending::ToAll => vec![(&operation, None)],
        Ending::Back => Vec::new(),
    };
    let out = kept_out(rollout);
    let keep_out: &[KeptOut] = match rollout.state {
        State::Aborted | State::RolledBack => &out,
        _ => &[],
    };
    // Nothing is kept out once all have something newer.
    let lift = match ending {
        Ending::ToAll => std::slice::from_ref(&rollout.integration),
        Ending::Back => &[],
    };
    let metadata = metadata(rollout, started);
    let conflicts: Vec<_> =
        store.open_conflicts(Some(steps.environment)).await?.into_iter().map(|open| open.conflict).collect();
    let mut summary = row.summary.clone();
    of_some(&mut summary);
    let begin = Begin {
        fence: &fence,
        holder,
        reason: &reason,
        applied: &row.applied,
        metadata: metadata.clone(),
        started: Timestamp::now() - started.elapsed(),
    };
    let processed = operations.len();
    let nothing = BTreeSet::new();
    let seeding = store.begin(begin).await?;
    let write = Write {
        operations,
        reseed: false,
        mend: &Mend::NOTHING,
        merges: Vec::new(),
        merged: &nothing,
        conflicts: &conflicts,
        manifests: ManifestDelta::default(),
        applied: &row.applied,
        // The next reconcile looks at everything: something may have waited for this.
        selection_hash: None,
        summary: &summary,
        processed,
        errors: &[],
        metadata,
        spend: None,
        plans_wait: row.waiting > 0,
        quarantine: QuarantineDelta { keep_out, reason: &reason, lift },
        rollback: None,
        promotion: PromotionDelta::default(),
        rollouts: RolloutDelta { begin: &[], end: std::slice::from_ref(rollout), handled },
    };
    match store.apply(&seeding, write).await {
        Ok(written) => Ok(Written {
            seeding: format!("{}-{}", steps.environment, written.seq),
            rows: written.counts.rows_written,
        }),
        Err(error) => {
            if let Err(second) = store.fail(&seeding, error.code(), &error.to_string()).await {
                tracing::warn!(error = %second, "the end of a rollout that failed could not be noted");
            }
            Err(error)
        }
    }
}

/// Why, for the log: `rollout of stripe 1.1.0 rolled back: success rate 95.79%, …`.
fn reason(rollout: &Rollout) -> String {
    let Rollout { integration, to, from, events, .. } = rollout;
    let last = events.last();
    let why = last.map(|event| event.reason.as_str()).unwrap_or_default();
    let by = last.and_then(|event| event.by.as_ref()).map(|by| format!(" by {by}")).unwrap_or_default();
    match rollout.state {
        State::Completed => {
            let left = why.split_once("; ").map(|(_, left)| format!(": {left}")).unwrap_or_default();
            format!("rollout of {integration} {} -> {} completed{by}{left}", from.version, to.version)
        }
        State::RolledBack => match rollout.blamed().version {
            failed if failed == to.version => format!("rollout of {integration} {failed} rolled back: {why}"),
            failed => format!("comparison of {integration} ended, {failed} failed: {why}"),
        },
        State::Aborted if by.is_empty() => format!("rollout of {integration} {} aborted: {why}", to.version),
        State::Aborted => format!("rollout of {integration} {} aborted{by}", to.version),
        State::Pending | State::Progressing | State::Paused | State::Completing | State::Superseded => {
            format!("rollout of {integration} {} ended: {why}", to.version)
        }
    }
}

/// What makes its version everybody's.
fn operation(rollout: &Rollout) -> Operation {
    let Rollout { integration, from, to, source, path, revision, progress, .. } = rollout.clone();
    Operation {
        id: integration,
        verb: Verb::Update,
        from: Some(from),
        to: Some(to),
        place: Some(Place { source: source.clone(), path, document: 0 }),
        revision: Some(revision),
        source,
        revert: false,
        prune_disabled: progress.prune_disabled,
        staged: false,
    }
}

/// What stays out from now on, until the sources offer something newer.
fn kept_out(rollout: &Rollout) -> [KeptOut; 1] {
    let Content { version, checksum } = rollout.blamed();
    [KeptOut { integration: rollout.integration.clone(), checksum, version: Some(version) }]
}

/// What has no column of its own in the log row.
fn metadata(rollout: &Rollout, started: Instant) -> Map<String, Value> {
    let Rollout { id, integration, from, to, state, step, .. } = rollout;
    let told = json!({
        "id": id, "integration": integration, "from": from.version, "to": to.version, "state": state, "step": step,
    });
    let conflicts = ("conflicts".to_owned(), json!([]));
    [("rollout".to_owned(), told), ("duration".to_owned(), elapsed(started).into()), conflicts]
        .into_iter()
        .collect()
}
