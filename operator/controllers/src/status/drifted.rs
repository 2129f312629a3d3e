//! The condition Drifted, and the Events of it.

use jiff::Timestamp;
use sower_crds::DriftMode;
use sower_crds::environment::{Environment, EnvironmentStatus};

use super::conditions::{Conditions, Said, find, set, unset};
use super::kind;
use super::notices::{Notice, Tone, notice};
use super::outcome::Outcome;

/// Sets it to what was found; where nobody looks, it goes.
pub(super) fn condition(
    conditions: &mut Conditions,
    environment: &Environment,
    outcome: &Outcome,
    now: Timestamp,
) {
    if environment.spec.drift.mode == DriftMode::Ignore {
        return unset(conditions, kind::DRIFTED);
    }
    let Some(found) = &outcome.drift else { return };
    let before = find(conditions, kind::DRIFTED).filter(|before| before.status == "True");
    let same = before.filter(|before| without_seeding(&before.message) == without_seeding(&found.told));
    // It is not new for another seeding: it keeps the number under which it was met.
    let same = same.map(|before| before.message.clone());
    let (holds, reason, told) = found.condition();
    let said = Said::new(holds, reason, same.unwrap_or_else(|| told.to_owned()));
    set(conditions, kind::DRIFTED, said, environment.metadata.generation, now);
}

/// What was corrected, what is found that was not told, and that it is gone.
pub(super) fn notices(
    before: &EnvironmentStatus,
    after: &EnvironmentStatus,
    outcome: &Outcome,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    if let (Some(corrected), Some(written)) = (&outcome.corrected, &outcome.written) {
        let number = written.seeding.rsplit('-').next().unwrap_or(&written.seeding);
        let told = format!("Seeding {number} corrected {corrected}");
        notices.push(notice(Tone::Normal, "DriftCorrected", told));
    }
    let Some(now) = find(&after.conditions, kind::DRIFTED) else { return notices };
    let then = find(&before.conditions, kind::DRIFTED);
    let was = then.filter(|then| then.status == "True");
    match now.status.as_str() {
        "True" if was.is_none_or(|was| without_seeding(&was.message) != without_seeding(&now.message)) => {
            notices.push(notice(Tone::Warning, &now.reason, &now.message));
        }
        "False" if was.is_some() => notices.push(notice(Tone::Normal, &now.reason, &now.message)),
        _ => {}
    }
    notices
}

/// The sentence without the number of the seeding.
fn without_seeding(told: &str) -> (&str, &str) {
    let Some((before, after)) = told.split_once(" since seeding ") else { return (told, "") };
    (before, after.trim_start_matches(|c: char| c.is_ascii_digit()))
}
