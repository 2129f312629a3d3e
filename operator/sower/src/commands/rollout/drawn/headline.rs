//! The first line: what is rolled out, and where it is.

use jiff::Timestamp;
use sower_core::rollout::course::percent;
use sower_core::rollout::{Rollout, State, WHOLE};
use sower_crds::rollout::StrategyType;

use crate::output::time::{clock, span};

/// Digits of a checksum that tell two contents of one version apart.
const DIGITS: usize = 7;

/// `stripe 1.0.0 -> 1.1.0   Progressing, step 2 of 3: 50% of consumers, 18 min of 1h held`.
#[must_use]
pub fn headline(rollout: &Rollout, now: Timestamp) -> String {
    let (from, to) = versions(rollout);
    format!("{} {from} -> {to}   {}", rollout.integration, stands(rollout, now))
}

/// The versions; where they are equal, with what tells them apart.
fn versions(rollout: &Rollout) -> (String, String) {
    let (from, to) = (&rollout.from, &rollout.to);
    if from.version != to.version {
        return (from.version.clone(), to.version.clone());
    }
    let digits = |checksum: &str| {
        checksum.rsplit(':').next().unwrap_or_default().chars().take(DIGITS).collect::<String>()
    };
    (
        format!("{} ({})", from.version, digits(&from.checksum)),
        format!("{} ({})", to.version, digits(&to.checksum)),
    )
}

fn stands(rollout: &Rollout, now: Timestamp) -> String {
    let state = rollout.state.as_str();
    let because = rollout.because().map(|reason| format!(": {reason}")).unwrap_or_default();
    let by = rollout.last_event().and_then(|event| event.by.as_ref());
    let by = by.map(|by| format!(" by {by}")).unwrap_or_default();
    let took = || span(rollout.ended_at.unwrap_or(now).duration_since(rollout.started_at));
    match rollout.state {
        State::Pending => format!("{state}: {}", nobody_yet(rollout)),
        State::Progressing if rollout.strategy.kind == StrategyType::AB => {
            let until =
                rollout.until().map(|until| format!(" until {}", clock(until, now))).unwrap_or_default();
            format!("{state}, compared{until}: {}", shares(rollout))
        }
        State::Progressing => format!("{state}, {}", where_it_is(rollout, now)),
        State::Paused if rollout.strategy.kind == StrategyType::AB => {
            format!("{state}{by}: {}{because}", shares(rollout))
        }
        // It waits for somebody from the beginning.
        State::Paused if rollout.strategy.kind == StrategyType::Manual => {
            format!("{state}: {}{because}", nobody_yet(rollout))
        }
        State::Paused => format!("{state}{by}, {}{because}", where_it_is(rollout, now)),
        State::Completing => format!("{state}, {}% of consumers{because}", percent(rollout.weight)),
        State::Completed => format!("{state}{by} after {}{because}", took()),
        State::Aborted | State::RolledBack | State::Superseded => {
            let left = match rollout.reached() {
                (0, _) => " before its first step".to_owned(),
                (step, weight) => format!(" from step {step} of {} ({}%)", rollout.steps(), percent(weight)),
            };
            format!("{state}{by}{left} after {}{because}", took())
        }
    }
}

/// `step 2 of 3: 50% of consumers, 18 min of 1h held`.
fn where_it_is(rollout: &Rollout, now: Timestamp) -> String {
    let held = span(rollout.held(now));
    let held = match rollout.hold_of(rollout.step) {
        Some(hold) => format!("{held} of {hold} held"),
        None => format!("{held} so far"),
    };
    let (step, steps, share) = (rollout.step, rollout.steps(), percent(rollout.weight));
    match step {
        0 => nobody_yet(rollout),
        _ => format!("step {step} of {steps}: {share}% of consumers, {held}"),
    }
}

fn nobody_yet(rollout: &Rollout) -> String {
    let to = &rollout.to.version;
    let named = rollout
        .variants
        .iter()
        .any(|variant| variant.version == *to && (!variant.keys.is_empty() || !variant.labels.is_empty()));
    match named {
        true => format!("nobody has {to} but whom an override names"),
        false => format!("nobody has {to} yet"),
    }
}

/// `20% have 1.1.0, 10% have 1.2.0`.
fn shares(rollout: &Rollout) -> String {
    let shares = rollout.variants.iter().filter(|variant| variant.weight > 0);
    let shares: Vec<String> =
        shares.map(|variant| format!("{}% have {}", percent(variant.weight), variant.version)).collect();
    match shares.is_empty() {
        true => nobody_yet(rollout),
        false => shares.join(", "),
    }
}

/// Hundredths of a percent that have the stable version.
pub(super) fn left(rollout: &Rollout) -> u32 {
    let given: u32 = rollout.variants.iter().map(|variant| variant.weight).fold(0, u32::saturating_add);
    WHOLE.saturating_sub(given)
}
