//! The record of a seeding that an operator did, as files report theirs.

use sower_core::report::{Failure as Entry, Outcome, Report};
use sower_crds::environment::PlanStatus;

use super::{Answer, End, count, number, ready};
use crate::failure::Exit;

/// The record of one environment, whose answer ended so.
pub(super) fn report(name: &str, answer: &Answer, exit: Exit) -> Report {
    let Answer { before: _, after, told: _, kept: _, milliseconds } = answer;
    let seeding = answer.seeding();
    let counts = after.counts.unwrap_or_default();
    let counted = seeding.as_ref().map(|(_, counted)| counted.as_str()).unwrap_or_default();
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
    let (processed, unchanged) = match (held, &seeding) {
        (Some(plan), _) => waiting(plan, processed),
        (None, Some(_)) => (processed, count(counted, " unchanged")),
        (None, None) if end == End::Refused => (0, 0),
        (None, None) => (processed, processed),
    };
    Report {
        environment: name.to_owned(),
        seeding: seeding.as_ref().map(|(number, _)| format!("{name}-{number}")),
        revision,
        status: match (exit, &seeding) {
            (Exit::Refused, _) => Outcome::Refused,
            _ if end == End::Strict => Outcome::Refused,
            (_, Some(_)) => Outcome::Completed,
            (Exit::Done, None) => Outcome::Unchanged,
            (_, None) => Outcome::Failed,
        },
        integrations_processed: processed,
        created: count(counted, " created"),
        updated: count(counted, " updated"),
        deleted: count(counted, " deleted"),
        unchanged,
        actions_created: 0,
        triggers_created: 0,
        connections_created: 0,
        orphaned: Vec::new(),
        conflicts: Vec::new(),
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
