//! outcome + previous status → status.

use jiff::Timestamp;
use sower_core::sentence::{first_fitting, with_place};
use sower_core::snapshot::{full_revision, short_revision};
use sower_crds::environment::{
    ApprovalResult, ApprovalStatus, Counts, Environment, EnvironmentStatus, SourceStatus,
};
use sower_crds::{APPROVE, REQUESTED_AT};

use super::conditions::{Conditions, Said, find, set, unset};
use super::drifted;
use super::kind;
use super::next::next;
use super::outcome::{Conflicts, Outcome, Verdict};
use super::rollouts;
use crate::reason::{Reason, With};

/// As much of it as the CRD takes, in characters.
const LONGEST_REQUEST: usize = 256;
/// Most failures that a status holds.
const FAILURES: usize = 20;

/// The status that an outcome makes of the previous one. Where nothing is known, what was said stays.
#[must_use]
pub fn compose(environment: &Environment, outcome: &Outcome, now: Timestamp) -> EnvironmentStatus {
    let previous = environment.status.clone().unwrap_or_default();
    let generation = environment.metadata.generation;
    let mut status = revisions(previous, outcome);
    let mut conditions = std::mem::take(&mut status.conditions);
    ready(&mut conditions, &status, outcome, generation, now);
    beside(&mut conditions, outcome, generation, now);
    source_ready(&mut conditions, outcome, generation, now);
    conflict_free(&mut conditions, outcome, generation, now);
    drifted::condition(&mut conditions, environment, outcome, now);
    rollouts::condition(&mut conditions, environment, outcome, now);
    let order = [
        kind::READY,
        kind::RECONCILING,
        kind::STALLED,
        kind::SOURCE_READY,
        kind::CONFLICT_FREE,
        kind::DRIFTED,
        kind::HEALTHY,
    ];
    conditions.sort_by_key(|condition| order.iter().position(|kind| *kind == condition.type_));
    status.conditions = conditions;
    status.observed_generation = generation;
    let requested = environment.metadata.annotations.as_ref().and_then(|all| all.get(REQUESTED_AT));
    let requested = requested.map(|text| text.chars().take(LONGEST_REQUEST).collect());
    status.last_handled_reconcile_at = requested.or(status.last_handled_reconcile_at);
    let asked = environment.metadata.annotations.as_ref().and_then(|all| all.get(APPROVE));
    // Whoever takes the annotation away withdraws the approval; where that could not be done yet, it is told still.
    let undone = matches!(outcome.verdict, Verdict::Failed { .. } | Verdict::Suspended);
    let waits = |before: &ApprovalStatus| undone && before.result == ApprovalResult::Waiting;
    status.approval = match (&outcome.approval, status.approval.take()) {
        (_, before) if asked.is_none() => before.filter(waits),
        (Some(approval), _) => Some(approval.clone()),
        (None, before) => before.filter(|before| asked.is_some_and(|asked| asked.trim() == before.plan)),
    };
    status.next = next(environment, outcome, &status);
    status
}

/// All but the conditions.
fn revisions(previous: EnvironmentStatus, outcome: &Outcome) -> EnvironmentStatus {
    let mut status = previous;
    if outcome.database_read {
        let applied = outcome.applied();
        status.revision = (!applied.is_empty()).then(|| short_revision(applied.iter().copied()));
        status.last_applied_revision = (!applied.is_empty()).then(|| full_revision(applied.iter().copied()));
    }
    let attempted = outcome.attempted();
    if !attempted.is_empty() && attempted.len() == outcome.sources.len() {
        status.last_attempted_revision = Some(full_revision(attempted));
    }
    if outcome.database_read || !outcome.attempted().is_empty() {
        let before = std::mem::take(&mut status.sources);
        let known = |name: &str| before.iter().find(|source| source.name == name);
        status.sources = outcome
            .sources
            .iter()
            .map(|source| SourceStatus {
                name: source.name.clone(),
                applied: if outcome.database_read {
                    source.applied.as_ref().map(sower_core::snapshot::Revision::full)
                } else {
                    known(&source.name).and_then(|before| before.applied.clone())
                },
                attempted: match &source.attempted {
                    Some(attempted) => Some(attempted.full()),
                    None => known(&source.name).and_then(|before| before.attempted.clone()),
                },
            })
            .collect();
    }
    let under_way = status.counts.map_or(0, |counts| counts.rollouts);
    if let Some(counts) = outcome.counts {
        status.counts = Some(Counts { rollouts: under_way, ..counts });
    }
    if let Some(rollouts) = &outcome.rollouts {
        status.rollouts = rollouts::listed(rollouts);
        status.counts = status.counts.map(|counts| Counts { rollouts: rollouts::active(rollouts), ..counts });
    }
    let rolled_back = outcome.rollback.as_ref().and_then(|rollback| rollback.written.as_ref());
    if let Some(written) = outcome.written.as_ref().or(rolled_back) {
        status.last_seeding = Some(written.clone());
    }
    if let Some(conflicts) = &outcome.conflicts {
        status.conflicts.clone_from(&conflicts.told);
    }
    if let Some(waiting) = &outcome.waiting {
        status.waiting.clone_from(waiting);
    }
    if let (Some(counts), Some(waiting)) = (&mut status.counts, outcome.all_waiting) {
        counts.waiting = waiting;
    }
    if let Some(failures) = &outcome.failures {
        status.failures = failures.iter().take(FAILURES).cloned().collect();
    }
    if let Some(command) = &outcome.command {
        status.rollout_command.clone_from(&command.0);
    }
    if let Some(rollback) = &outcome.rollback {
        status.rollback.clone_from(&rollback.told);
    }
    // A failure before the plan was made tells nothing about the one that waits.
    if outcome.plan.is_some() || !matches!(outcome.verdict, Verdict::Failed { .. } | Verdict::Suspended) {
        status.plan.clone_from(&outcome.plan);
    }
    status
}

fn ready(
    conditions: &mut Conditions,
    status: &EnvironmentStatus,
    outcome: &Outcome,
    generation: Option<i64>,
    now: Timestamp,
) {
    let reason = outcome.verdict.reason();
    let before = find(conditions, kind::READY).map(|ready| ready.status.clone());
    let said = Said {
        status: match reason.ready().or_else(|| before.map(|status| status == "True")) {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        },
        reason: reason.to_string(),
        message: message(status, outcome),
    };
    set(conditions, kind::READY, said, generation, now);
}

/// The sentence of Ready.
fn message(status: &EnvironmentStatus, outcome: &Outcome) -> String {
    let at = |what: &str| match &status.revision {
        Some(revision) => {
            first_fitting([format!("{what}{revision}"), format!("{what}{} sources", outcome.sources.len())])
        }
        None => what.trim_end_matches(" at ").trim().to_owned(),
    };
    match &outcome.verdict {
        Verdict::Seeded => {
            let skipped = outcome.conflicts.as_ref().and_then(kept);
            let orphaned = outcome.counts.map_or(0, |counts| counts.orphaned);
            let orphaned = (orphaned > 0).then(|| format!("{orphaned} orphaned"));
            let kept = outcome.counts.map_or(0, |counts| counts.prune_disabled);
            let kept = (kept > 0).then(|| format!("{kept} gone and kept"));
            let quarantined = outcome.counts.map_or(0, |counts| counts.quarantined);
            let quarantined = (quarantined > 0).then(|| format!("{quarantined} quarantined"));
            let waiting = outcome.counts.map_or(0, |counts| counts.waiting);
            let waiting = (waiting > 0).then(|| format!("{waiting} waiting"));
            let all = skipped.into_iter().chain(orphaned).chain(kept).chain(quarantined).chain(waiting);
            let besides = all.collect::<Vec<_>>().join(", ");
            if besides.is_empty() { at("Seeded ") } else { format!("{}; {besides}", at("Seeded ")) }
        }
        Verdict::Invalid { invalid, total, first } => {
            let verb = if *invalid == 1 { "is" } else { "are" };
            let told = match total {
                0 => format!("{} {verb} refused", plural(*invalid, "integration")),
                total => format!("{invalid} of {} {verb} invalid", plural(*total, "manifest")),
            };
            with_place(&format!("{told}: "), first).unwrap_or(told)
        }
        Verdict::Held { message, .. } => message.clone(),
        Verdict::Failed { message, secret: Some(secret), .. } if !message.contains(secret.as_str()) => {
            first_fitting([format!("{message} (secret {secret})"), message.clone()])
        }
        Verdict::Failed { message, .. } => message.clone(),
        Verdict::Suspended => at("Suspended at "),
    }
}

/// Reconciling or Stalled, never both, and only while they hold.
fn beside(conditions: &mut Conditions, outcome: &Outcome, generation: Option<i64>, now: Timestamp) {
    let reason = outcome.verdict.reason();
    let (there, away) = match reason.with() {
        With::Stalled => (Some(kind::STALLED), kind::RECONCILING),
        With::Reconciling => (Some(kind::RECONCILING), kind::STALLED),
        With::Neither => {
            unset(conditions, kind::STALLED);
            (None, kind::RECONCILING)
        }
    };
    unset(conditions, away);
    if let Some(there) = there {
        let waits_for = match &outcome.verdict {
            _ if outcome.misses_database_secret() => "Waits for the Secret, or for a change of the spec",
            Verdict::Held { reason: Reason::ManifestsInvalid, .. } => {
                "Waits for a push that mends them; the spec is strict, so nothing is written until then"
            }
            // It is rows of others that stand in the way, not manifests.
            Verdict::Invalid { first, .. } if first.ends_with(" foreign-row") => {
                "Waits for whoever wrote those rows to delete or rename them"
            }
            _ => reason.waits_for(),
        };
        set(conditions, there, Said::new(true, reason.to_string(), waits_for), generation, now);
    }
}

fn source_ready(conditions: &mut Conditions, outcome: &Outcome, generation: Option<i64>, now: Timestamp) {
    let failed = matches!(
        outcome.verdict.reason(),
        Reason::AuthenticationFailed | Reason::SourceNotFound | Reason::SourceEmpty | Reason::FetchFailed
    );
    let said = match &outcome.verdict {
        Verdict::Failed { reason, message, source: Some(source), .. } if failed => {
            let named = message.contains(source.as_str());
            let told = if named { message.clone() } else { format!("{source}: {message}") };
            Said::new(false, reason.to_string(), told)
        }
        _ => {
            let attempted = outcome.attempted();
            if attempted.is_empty() {
                return;
            }
            let each: Vec<String> = attempted.iter().map(|(name, at)| format!("{name} at {at}")).collect();
            let told = first_fitting([each.join(", "), format!("{} sources", attempted.len())]);
            Said::new(true, "Fetched", told)
        }
    };
    set(conditions, kind::SOURCE_READY, said, generation, now);
}

fn conflict_free(conditions: &mut Conditions, outcome: &Outcome, generation: Option<i64>, now: Timestamp) {
    let Some(conflicts) = &outcome.conflicts else { return };
    let said = match kept(conflicts) {
        None => Said::new(true, "NoConflicts", "No conflicts"),
        Some(told) => {
            let Conflicts { skipped, unmerged, told: _ } = conflicts;
            let mut all: Vec<&String> = skipped.iter().chain(unmerged).collect();
            all.sort_unstable();
            all.dedup();
            let named = format!("{told}: {}", super::notices::names(&all));
            let reason = if unmerged.is_empty() { "ConflictsSkipped" } else { "ConflictsNotMerged" };
            Said::new(false, reason, first_fitting([named, told]))
        }
    };
    set(conditions, kind::CONFLICT_FREE, said, generation, now);
}

/// `2 conflicts skipped, 1 not merged`.
fn kept(conflicts: &Conflicts) -> Option<String> {
    let Conflicts { skipped, unmerged, told: _ } = conflicts;
    match (skipped.len(), unmerged.len()) {
        (0, 0) => None,
        (skipped, 0) => Some(format!("{} skipped", plural(skipped, "conflict"))),
        (0, unmerged) => Some(format!("{} not merged", plural(unmerged, "conflict"))),
        (skipped, unmerged) => {
            Some(format!("{} skipped, {unmerged} not merged", plural(skipped, "conflict")))
        }
    }
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
