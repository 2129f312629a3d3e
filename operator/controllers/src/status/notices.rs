//! What is worth an Event: changes, each once.

use std::collections::BTreeMap;

use sower_core::report::begun;
use sower_core::snapshot::short_revision;
use sower_crds::environment::{ApprovalResult, EnvironmentStatus, Failure, LastSeeding};

use super::conditions::find;
use super::kind;
use super::outcome::{Outcome, Verdict};
use crate::reason::Reason;

/// Most names in one text; what is more is counted.
const NAMES: usize = 3;
/// Bytes that refused manifests take in one Event, whose whole is 1 KiB at most.
const REFUSED: usize = 900;

/// Whether it is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// `Normal`.
    Normal,
    /// `Warning`.
    Warning,
}

/// One Event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Good news or bad.
    pub tone: Tone,
    /// In one word.
    pub reason: String,
    /// In a sentence or two.
    pub message: String,
}

/// `asana, bamboohr, clickup and 11 more`.
#[must_use]
pub fn names<T: AsRef<str>>(all: &[T]) -> String {
    let shown = if all.len() == NAMES + 1 { NAMES + 1 } else { NAMES };
    let first: Vec<&str> = all.iter().take(shown).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(shown) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// The Events of an outcome: of what was written, and of what is wrong in another way than before.
#[must_use]
pub fn notices(
    before: Option<&EnvironmentStatus>,
    after: &EnvironmentStatus,
    outcome: &Outcome,
) -> Vec<Notice> {
    let none = EnvironmentStatus::default();
    let before = before.unwrap_or(&none);
    let mut notices = Vec::new();
    notices.extend(rolled_back(before, after));
    if let Some(written) = &outcome.written {
        notices.push(seeded(written, outcome));
    }
    notices.extend(promoted(outcome));
    notices.extend(super::drifted::notices(before, after, outcome));
    notices.extend(super::rollouts::notices(before, outcome));
    notices.extend(refused(before, after, outcome));
    notices.extend(conflicts(before, after));
    notices.extend(approval(before, after));
    notices.extend(verdict(before, after, outcome));
    notices
}

/// What came in from another environment, by itself or because somebody let it in, and what was to be let in and is not.
fn promoted(outcome: &Outcome) -> Vec<Notice> {
    let mut by_whom: BTreeMap<Option<&str>, Vec<&str>> = BTreeMap::new();
    for (what, by) in &outcome.promoted {
        by_whom.entry(by.as_deref()).or_default().push(what);
    }
    let told = |(by, all): (&Option<&str>, &Vec<&str>)| match by {
        Some(by) => format!("Let in by {by}: {}", names(all)),
        None => format!("Let in after it was healthy elsewhere: {}", names(all)),
    };
    let promoted = by_whom.iter().map(|one| notice(Tone::Normal, "Promoted", told(one)));
    let not = outcome.not_promoted.iter().map(|told| notice(Tone::Warning, "NotPromoted", told));
    promoted.chain(not).collect()
}

/// A rollback that was not told yet. It may have been done by a process that died before it could tell.
fn rolled_back(before: &EnvironmentStatus, after: &EnvironmentStatus) -> Option<Notice> {
    let now = after.rollback.as_ref().filter(|now| before.rollback.as_ref() != Some(*now))?;
    Some(match now.failed {
        true => notice(Tone::Warning, "RollbackFailed", format!("No rollback: {}", now.message)),
        false => notice(Tone::Normal, "RolledBack", &now.message),
    })
}

pub(super) fn notice(tone: Tone, reason: impl ToString, message: impl Into<String>) -> Notice {
    Notice { tone, reason: reason.to_string(), message: message.into() }
}

fn seeded(written: &LastSeeding, outcome: &Outcome) -> Notice {
    let LastSeeding { seeding, created, updated, staged, given_up, deleted, unchanged, .. } = written;
    let number = seeding.rsplit('-').next().unwrap_or(seeding);
    let revision = short_revision(outcome.attempted());
    let number_of = |count: i32| usize::try_from(count).unwrap_or_default();
    let (begun, ended) = (begun(number_of(*staged)), sower_core::report::given_up(number_of(*given_up)));
    let counts = format!(
        "{created} created, {updated} updated, {deleted} deleted, {unchanged} unchanged{begun}{ended}"
    );
    notice(Tone::Normal, Reason::Seeded, format!("Seeding {number} of {revision}: {counts}"))
}

fn refused(before: &EnvironmentStatus, after: &EnvironmentStatus, outcome: &Outcome) -> Option<Notice> {
    outcome.failures.as_ref()?;
    if after.failures.is_empty() || before.failures == after.failures {
        return None;
    }
    let mut told = String::new();
    for (index, failure) in after.failures.iter().enumerate() {
        let Failure { integration, code, location, message, keeps } = failure;
        let kept = integration.as_ref().zip(keeps.as_ref());
        let kept = kept.map(|(id, version)| format!("; {id} keeps {version}")).unwrap_or_default();
        let place = location.as_ref().map(|place| format!("{place}: ")).unwrap_or_default();
        let separator = if index == 0 { "" } else { " · " };
        let next = format!("{separator}{place}{code}: {message}{kept}");
        if index > 0 && told.len() + next.len() > REFUSED {
            told.push_str(&format!(" (and {} more)", after.failures.len() - index));
            break;
        }
        told.push_str(&next);
    }
    Some(notice(Tone::Warning, Reason::ManifestsInvalid, told))
}

fn conflicts(before: &EnvironmentStatus, after: &EnvironmentStatus) -> Option<Notice> {
    let now = find(&after.conditions, kind::CONFLICT_FREE).filter(|now| now.status == "False")?;
    let same = find(&before.conditions, kind::CONFLICT_FREE).is_some_and(|then| then.message == now.message);
    (!same).then(|| notice(Tone::Warning, &now.reason, &now.message))
}

/// What came of an approval.
fn approval(before: &EnvironmentStatus, after: &EnvironmentStatus) -> Option<Notice> {
    let now = after.approval.as_ref().filter(|now| before.approval.as_ref() != Some(*now))?;
    Some(match now.result {
        ApprovalResult::Refused | ApprovalResult::Unknown => {
            notice(Tone::Warning, "ApprovalRefused", &now.message)
        }
        ApprovalResult::Applied | ApprovalResult::Waiting => notice(Tone::Normal, "Approved", &now.message),
    })
}

/// What the reason of Ready has to say, where it was not said already.
fn verdict(before: &EnvironmentStatus, after: &EnvironmentStatus, outcome: &Outcome) -> Option<Notice> {
    let now = find(&after.conditions, kind::READY)?;
    let then = find(&before.conditions, kind::READY);
    let same = then.is_some_and(|then| then.reason == now.reason && then.message == now.message);
    match &outcome.verdict {
        // What was refused is told by itself.
        Verdict::Invalid { .. } | Verdict::Held { reason: Reason::ManifestsInvalid, .. } => None,
        Verdict::Seeded => {
            // A seeding has its own Event; without one only the end of trouble is news.
            let trouble = then.is_some_and(|then| then.reason != Reason::Seeded.as_str());
            (trouble && outcome.written.is_none()).then(|| notice(Tone::Normal, Reason::Seeded, &now.message))
        }
        Verdict::Suspended => (!same).then(|| notice(Tone::Normal, Reason::Suspended, &now.message)),
        Verdict::Failed { reason, detail, .. } => {
            (!same).then(|| notice(Tone::Warning, reason, detail.as_ref().unwrap_or(&now.message)))
        }
        Verdict::Held { reason, message, opens: _, deleted, because, besides } => {
            let plan = after.plan.as_ref().map(|plan| &plan.hash);
            if same && before.plan.as_ref().map(|plan| &plan.hash) == plan {
                return None;
            }
            let told = match plan.filter(|_| *reason == Reason::PruneLimitExceeded) {
                Some(hash) => {
                    let revision = short_revision(outcome.attempted());
                    let because = because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                    let with = match besides.as_slice() {
                        [] => String::new(),
                        lines => format!(" (with {})", lines.join(", ")),
                    };
                    format!("Plan {hash} of {revision} would delete {}{with}{because}", names(deleted))
                }
                None => message.clone(),
            };
            // To be asked is no trouble.
            let tone = if *reason == Reason::ApprovalRequired { Tone::Normal } else { Tone::Warning };
            Some(notice(tone, reason, told))
        }
    }
}
