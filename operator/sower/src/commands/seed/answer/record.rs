//! The record of a seeding that an operator did, as files report theirs.

use sower_core::plan::Conflict;
use sower_core::report::{Failure as Entry, Outcome, Report};
use sower_crds::environment::{ConflictStatus, PlanStatus};

use super::{Answer, End, number, ready};
use crate::failure::Exit;

/// The record of one environment, whose answer ended so.
pub(super) fn report(name: &str, answer: &Answer, exit: Exit) -> Report {
    let Answer { before: _, after, gone: _, milliseconds } = answer;
    let seeding = answer.seeding();
    let counts = after.counts.unwrap_or_default();
    let written = seeding.cloned().unwrap_or_default();
    let processed = answer.processed();
    let failures = after.failures.iter().map(|failure| Entry {
        integration: failure.integration.clone(),
        code: failure.code.clone(),
        location: failure.location.clone(),
        message: failure.message.clone(),
    });
    let end = End::of(after);
    // What stands in the way comes first, as with files.
    let guard = ready(after).filter(|_| matches!(end, End::Strict | End::Refused)).map(|ready| Entry {
        integration: None,
        code: ready.reason.clone(),
        location: None,
        message: ready.message.clone(),
    });
    let held = after.plan.as_ref().filter(|_| exit == Exit::Refused || end == End::Strict);
    let revision = match (end, held) {
        (End::Seeded | End::Invalid, _) => after.last_applied_revision.clone(),
        (End::Strict | End::Refused, Some(_)) => after.last_attempted_revision.clone(),
        (End::Strict | End::Refused, None) => None,
    };
    let (processed, unchanged) = match (held, seeding) {
        (Some(plan), _) => waiting(plan, processed),
        (None, Some(_)) => (processed, number(written.unchanged)),
        (None, None) if end == End::Refused => (0, 0),
        (None, None) => (processed, processed),
    };
    Report {
        environment: name.to_owned(),
        seeding: seeding.map(|seeding| seeding.seeding.clone()),
        revision,
        status: match (exit, seeding) {
            (Exit::Refused, _) => Outcome::Refused,
            _ if end == End::Strict => Outcome::Refused,
            (_, Some(_)) => Outcome::Completed,
            (Exit::Done, None) => Outcome::Unchanged,
            // As with files: what is refused was refused before.
            (_, None) if end == End::Invalid => Outcome::Unchanged,
            (_, None) => Outcome::Failed,
        },
        integrations_processed: processed,
        created: number(written.created),
        updated: number(written.updated),
        staged: number(written.staged),
        given_up: number(written.given_up),
        deleted: number(written.deleted),
        unchanged,
        actions_created: number(written.actions_created),
        triggers_created: number(written.triggers_created),
        connections_created: number(written.connections_created),
        orphaned: Vec::new(),
        prune_disabled: Vec::new(),
        quarantined: Vec::new(),
        waiting: Vec::new(),
        conflicts: after.conflicts.iter().filter_map(conflict).collect(),
        errors: guard.into_iter().chain(failures).collect(),
        excluded: number(counts.excluded),
        invalid: number(counts.invalid),
        duration: *milliseconds,
    }
}

/// What a plan that waits selects, and leaves as it is, of the integrations that are carried: an integration in conflict
/// is no unchanged one.
fn waiting(plan: &PlanStatus, carried: usize) -> (usize, usize) {
    let PlanStatus { hash: _, create, update, delete, conflicts } = plan;
    let unchanged = carried.saturating_sub([update, delete, conflicts].map(|n| number(*n)).iter().sum());
    (unchanged + number(*create) + number(*update) + number(*conflicts), unchanged)
}

/// None where its words are those of another Sower.
fn conflict(told: &ConflictStatus) -> Option<Conflict> {
    let ConflictStatus { integration, kind, current_version, new_version, resolution, unmerged } = told;
    Some(Conflict {
        integration: integration.clone(),
        kind: serde_json::from_value(kind.as_str().into()).ok()?,
        current_version: current_version.clone(),
        new_version: new_version.clone(),
        resolution: serde_json::from_value(resolution.as_str().into()).ok()?,
        unmerged: unmerged.clone(),
        clashes: Vec::new(),
        message: String::new(),
        fingerprint: String::new(),
    })
}
