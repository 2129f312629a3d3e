//! What the rows of an environment say of how it stands.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use sower_controllers::drift::Found;
use sower_controllers::reason::Reason;
use sower_controllers::seeding::Trouble;
use sower_controllers::status::{Said, active, healthy, listed};
use sower_core::drift::Ignored;
use sower_core::manifest::LoadedEnvironment;
use sower_core::plan::Conflict;
use sower_core::promotion::Waiting;
use sower_core::report::Failure as Entry;
use sower_core::rollout::Rollout;
use sower_core::snapshot::{full_revision, short_revision};
use sower_crds::DriftMode;
use sower_crds::environment::{Counts, EnvironmentSpec, PlanStatus, WaitingStatus};
use sower_store::{EnvironmentRow, LogStatus, Logged, PlanRow, Store, StoreError, Which};

use super::{Condition, LAST, Standing, is_ours, to_approve};
use crate::commands::seed::FOREIGN_ROW;
use crate::environments::Broken;
use crate::failure::Failure;
use crate::job::KEEPER;
use crate::neighbours::unmet;
use crate::session::{Member, Session};

/// What the writer of an environment's row notes of its outcome.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Noted {
    conflicts: Vec<Conflict>,
    failures: Vec<Entry>,
    orphaned: Vec<String>,
    prune_disabled: Vec<String>,
    processed: usize,
    excluded: usize,
    invalid: usize,
    waiting: Vec<Waiting>,
    all_waiting: Option<usize>,
    trouble: Option<Trouble>,
}

/// How an environment stands that is there in files and cannot be read: its rows may be there.
pub async fn of_broken(session: &Session, broken: &Broken) -> Standing {
    let loaded = LoadedEnvironment {
        name: broken.name.clone(),
        spec: EnvironmentSpec::default(),
        freeze_override: None,
        path: broken.path.clone(),
        document: 0,
        lines: BTreeMap::new(),
    };
    let rows = of(session, &Member { loaded, resource: None }).await;
    let mut standing = rows.unwrap_or_else(|_| Standing {
        environment: broken.name.clone(),
        revision: "-".into(),
        integrations: "-".into(),
        conflicts: "-".into(),
        ..Standing::default()
    });
    standing.ready = "False".into();
    standing.reason = Reason::InvalidSpec.as_str().to_owned();
    standing.message = format!("Cannot be read: {}", broken.problem);
    standing.needs = vec![("sower validate".to_owned(), "see what is wrong".to_owned())];
    for ready in standing.conditions.iter_mut().filter(|condition| condition.kind == "Ready") {
        ready.status.clone_from(&standing.ready);
        ready.reason.clone_from(&standing.reason);
        ready.message.clone_from(&standing.message);
        ready.since = None;
    }
    standing
}

/// How an environment stands whose rows can be read.
///
/// # Errors
/// Where the database does not answer.
pub(super) async fn of(session: &Session, member: &Member) -> Result<Standing, Failure> {
    let store = session.rows(member).await?;
    let failed = |error: StoreError| session.trouble(&error.into(), member);
    let mut standing = read(&store, member).await.map_err(failed)?;
    if let Some(unmet) = unmet(session, &member.loaded).await {
        standing.waits_for(&unmet);
    }
    for (command, _) in standing.needs.iter_mut().filter(|(command, _)| command != "sower validate") {
        command.push_str(&session.settings.given);
    }
    if session.named && member.loaded.spec.drift.mode != DriftMode::Ignore {
        standing.conditions.extend(drifted(&store, member).await.map_err(failed)?);
    }
    Ok(standing)
}

/// How an environment stands, as its rows say.
///
/// # Errors
/// Where the database does not answer.
pub async fn read(store: &Store, member: &Member) -> Result<Standing, StoreError> {
    let name = member.name();
    let row = store.environment(name).await?;
    let seedings = store.history(Some(name), LAST).await?;
    let carried = store.integrations(Some(name)).await?.iter().filter(|row| is_ours(row)).count();
    let conflicts = store.open_conflicts(Some(name)).await?;
    let quarantined = store.quarantined(Some(name)).await?;
    let quarantined: BTreeSet<&str> = quarantined
        .iter()
        .filter(|open| open.asked_back_at.is_none())
        .map(|open| open.integration.as_str())
        .collect();
    let rollouts = store.rollouts(Some(name), Which::Latest).await?;
    let noted: Noted =
        row.as_ref().and_then(|row| serde_json::from_value(row.summary.clone()).ok()).unwrap_or_default();
    let mut standing = Standing {
        environment: name.to_owned(),
        kept_elsewhere: row
            .as_ref()
            .and_then(|row| row.keeper.as_deref())
            .is_some_and(|keeper| keeper != KEEPER),
        integrations: carried.to_string(),
        conflicts: conflicts.len().to_string(),
        revision: row
            .as_ref()
            .map(|row| short_revision(row.revisions()))
            .filter(|r| !r.is_empty())
            .unwrap_or_else(|| "-".into()),
        full_revision: row.as_ref().map(|row| full_revision(row.revisions())).filter(|r| !r.is_empty()),
        seeded_at: row.as_ref().and_then(|row| row.seeded_at),
        counts: Some(Counts {
            integrations: count(carried),
            conflicts: count(conflicts.len()),
            orphaned: count(noted.orphaned.len()),
            prune_disabled: count(noted.prune_disabled.len()),
            rollouts: active(&rollouts),
            waiting: count(noted.all_waiting.unwrap_or(noted.waiting.len())),
            quarantined: count(quarantined.len()),
            excluded: count(noted.excluded),
            invalid: count(noted.invalid),
        }),
        rollouts: listed(&rollouts),
        ..Standing::default()
    };
    if let Some(trouble) = &noted.trouble {
        let waiting = store.waiting(name).await?;
        standing.plan = that_waits(trouble, &waiting, conflicts.len());
    }
    let since = judge(&mut standing, member, row.as_ref(), &noted, seedings.first());
    standing.seedings = seedings;
    standing.waiting = noted.waiting.iter().map(told).collect();
    let ready = Condition {
        kind: "Ready".into(),
        status: standing.ready.clone(),
        reason: standing.reason.clone(),
        message: standing.message.clone(),
        since,
    };
    let first = conflicts.iter().map(|open| open.since).min();
    let named: Vec<&str> = conflicts.iter().map(|open| open.conflict.integration.as_str()).collect();
    let free = Condition {
        kind: "ConflictFree".into(),
        status: if conflicts.is_empty() { "True" } else { "False" }.into(),
        reason: match conflicts.as_slice() {
            [] => "NoConflicts",
            all if all.iter().any(|open| open.conflict.unmerged.is_some()) => "ConflictsNotMerged",
            _ => "ConflictsSkipped",
        }
        .into(),
        message: match conflicts.len() {
            0 => "No conflicts".to_owned(),
            several => format!(
                "{} open: {}",
                counted(several, "conflict"),
                sower_core::conflict::listed(named, several)
            ),
        },
        since: first.or(standing.seeded_at),
    };
    standing.failures = noted.failures;
    standing.conditions = vec![ready, free];
    if !rollouts.is_empty() || member.loaded.spec.rollout != sower_crds::Rollout::default() {
        standing.conditions.push(as_healthy(&rollouts));
    }
    Ok(standing)
}

/// Whether what was rolled out is good, since it was said last.
fn as_healthy(rollouts: &[Rollout]) -> Condition {
    let Said { status, reason, message } = healthy(rollouts, Timestamp::now());
    let ended =
        rollouts.iter().filter(|rollout| rollout.ended_badly()).filter_map(|rollout| rollout.ended_at);
    let since = ended.min().filter(|_| status == "False");
    Condition { kind: "Healthy".into(), status: status.into(), reason, message, since }
}

/// What waits, as of now.
fn told(waiting: &Waiting) -> WaitingStatus {
    WaitingStatus {
        integration: waiting.integration.clone(),
        version: waiting.version.clone().unwrap_or_default(),
        reason: waiting.told(Some(Timestamp::now())),
    }
}

/// The plan that what is noted speaks of.
fn that_waits(trouble: &Trouble, waiting: &[PlanRow], conflicts: usize) -> Option<PlanStatus> {
    let short = |plan: &PlanRow| plan.hash.chars().take(12).collect::<String>();
    let plan = waiting.iter().find(|plan| trouble.message.contains(&short(plan)))?;
    let (create, update, delete) = plan.counts;
    let number = |count: i64| i32::try_from(count).unwrap_or(i32::MAX);
    Some(PlanStatus {
        hash: short(plan),
        create: number(create),
        update: number(update),
        delete: number(delete),
        conflicts: count(conflicts),
    })
}

/// Whether its rows are what was seeded: looked for now. None where nothing was seeded.
async fn drifted(store: &Store, member: &Member) -> Result<Option<Condition>, StoreError> {
    let ignored = Ignored::of(&member.loaded.spec.drift.ignore_fields);
    let drift = store.drift(member.name(), &ignored).await?;
    let Some(found) = Found::of(&drift.rows, drift.seeding) else { return Ok(None) };
    let (holds, reason, message) = found.condition();
    Ok(Some(Condition {
        kind: "Drifted".into(),
        status: if holds { "True" } else { "False" }.into(),
        reason: reason.into(),
        message: message.to_owned(),
        since: None,
    }))
}

/// Ready and its reason, from the rows, and since when.
fn judge(
    standing: &mut Standing,
    member: &Member,
    row: Option<&EnvironmentRow>,
    noted: &Noted,
    last: Option<&Logged>,
) -> Option<Timestamp> {
    let name = member.name();
    let at = standing.revision.clone();
    let mut since = standing.seeded_at;
    let skipped = noted.conflicts.iter().filter(|conflict| conflict.keeps()).count();
    // A seeding that had nothing to write has no line in the log, but moves the row.
    let moved = row.map(|row| row.updated_at);
    let failed = last.filter(|last| last.status == LogStatus::Failed && last.completed_at > moved);
    let (ready, reason, message) = if let Some(failed) = failed {
        standing.needs.push((format!("sower seed -e {name}"), "try again".to_owned()));
        let why = failed.errors.first().map_or("the last seeding failed", |error| error.message.as_str());
        since = failed.completed_at;
        ("False", "SeedingFailed", why.to_owned())
    } else if let Some(Trouble { reason, message, since: met }) = &noted.trouble {
        since = Some(*met);
        standing.needs.extend(match reason.as_str() {
            reason @ ("PruneLimitExceeded" | "ApprovalRequired") => {
                to_approve(reason, name, standing.plan.as_ref(), "")
            }
            "Frozen" => vec![(format!("sower plan -e {name}"), "see what waits".to_owned())],
            "ManifestsInvalid" => vec![("sower validate".to_owned(), "see what is wrong".to_owned())],
            _ => vec![("sower doctor".to_owned(), "see what is in the way".to_owned())],
        });
        ("False", reason.as_str(), message.clone())
    } else if row.is_none_or(|row| row.applied.is_empty()) {
        standing.needs.push((format!("sower seed -e {name}"), "seed it".to_owned()));
        let part = row.is_some_and(|row| row.seq > 0);
        let told = if part { "Seeded in part; never as a whole" } else { "Not seeded yet" };
        ("Unknown", "", told.to_owned())
    } else if let Some(first) = noted.failures.first() {
        // Where nothing was to be written beside it, the row was moved by what was refused.
        since = moved.or(since);
        let (foreign, refused): (Vec<&Entry>, Vec<&Entry>) =
            noted.failures.iter().partition(|failure| failure.code == FOREIGN_ROW);
        if !refused.is_empty() {
            standing.needs.push(("sower validate".to_owned(), "see what is wrong".to_owned()));
        }
        for id in foreign.iter().filter_map(|failure| failure.integration.as_deref()) {
            standing
                .needs
                .push((format!("sower explain {id} -e {name}"), "see what stands in its way".to_owned()));
        }
        let place = first.location.clone().or_else(|| first.integration.clone()).unwrap_or_default();
        let total = noted.processed + noted.excluded + noted.invalid;
        let told = match noted.invalid {
            0 => format!("{} refused", counted(noted.failures.len(), "integration")),
            1 => format!("1 of {} is invalid", counted(total, "manifest")),
            several => format!("{several} of {} are invalid", counted(total, "manifest")),
        };
        ("False", "ManifestsInvalid", format!("{told}: {place} {}", first.code))
    } else {
        let skipped = (skipped > 0).then(|| format!("{} skipped", counted(skipped, "conflict")));
        let orphaned = (!noted.orphaned.is_empty()).then(|| format!("{} orphaned", noted.orphaned.len()));
        let kept = (!noted.prune_disabled.is_empty())
            .then(|| format!("{} gone and kept", noted.prune_disabled.len()));
        let quarantined = standing.counts.map_or(0, |counts| counts.quarantined);
        let quarantined = (quarantined > 0).then(|| format!("{quarantined} quarantined"));
        let waiting = standing.counts.map_or(0, |counts| counts.waiting);
        let waiting = (waiting > 0).then(|| format!("{waiting} waiting"));
        let all = skipped.into_iter().chain(orphaned).chain(kept).chain(quarantined).chain(waiting);
        let besides = all.collect::<Vec<_>>().join(", ");
        let besides = if besides.is_empty() { besides } else { format!("; {besides}") };
        ("True", "Seeded", format!("Seeded {at}{besides}"))
    };
    standing.ready = ready.to_owned();
    standing.reason = reason.to_owned();
    standing.message = message;
    // Ready is as it was: nothing is done about it now.
    if member.loaded.spec.suspend {
        standing.needs.clear();
        standing.reason = Reason::Suspended.as_str().to_owned();
        let never = at == "-";
        standing.message =
            if never { "Suspended; not seeded yet".to_owned() } else { format!("Suspended at {at}") };
    }
    since
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
