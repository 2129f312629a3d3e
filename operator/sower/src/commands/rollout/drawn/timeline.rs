//! The steps of a rollout, each a bar; of a comparison the versions and the time that it has.

use jiff::{SignedDuration, Timestamp};
use sower_core::rollout::course::{Leg, Stage, percent};
use sower_core::rollout::stages::not_known;
use sower_core::rollout::{Rollout, State, Variant};
use sower_crds::rollout::StrategyType;

use super::Place;
use super::headline::left;
use crate::output::time::{clock, same_day, span};

/// Characters of a bar.
const BAR: usize = 10;
/// Characters of what is said of it, at least.
const NOTE: usize = 12;
/// Most labels or versions of one line.
const NAMED: usize = 3;

/// A bar: what is before it, how much of it is full, what is said of it, and from when to when.
struct Line {
    head: String,
    full: usize,
    note: String,
    times: String,
}

/// The lines; none where there is nothing to be drawn.
pub(super) fn timeline(rollout: &Rollout, place: &Place<'_>, now: Timestamp) -> String {
    let mut text = match rollout.strategy.kind {
        StrategyType::AB => compared(rollout, now),
        StrategyType::AllAtOnce | StrategyType::Manual if rollout.state != State::Completed => String::new(),
        StrategyType::AllAtOnce | StrategyType::Manual | StrategyType::Staged => {
            let last = match rollout.state {
                State::Aborted | State::RolledBack | State::Superseded => rollout.reached().0,
                State::Pending
                | State::Progressing
                | State::Paused
                | State::Completing
                | State::Completed => rollout.steps(),
            };
            let legs = rollout.legs().into_iter().filter(|leg| leg.step <= last);
            lines(&legs.map(|leg| step(rollout, &leg, place, now)).collect::<Vec<_>>())
        }
    };
    if rollout.strategy.kind != StrategyType::AB && !rollout.state.is_over() {
        let named = rollout.variants.iter().filter_map(|variant| Some((who(variant)?, &variant.version)));
        for (who, version) in named.take(NAMED) {
            text.push_str(&format!("  {who}: {version} whatever the share\n"));
        }
    }
    text
}

fn lines(lines: &[Line]) -> String {
    let width =
        |of: fn(&Line) -> &String| lines.iter().map(|line| of(line).chars().count()).max().unwrap_or(0);
    let (head, note) = (width(|line| &line.head), width(|line| &line.note).max(NOTE));
    let mut text = String::new();
    for line in lines {
        let bar = "#".repeat(line.full.min(BAR)) + &".".repeat(BAR.saturating_sub(line.full));
        let drawn = format!("  {:>head$}  {bar}  {:note$}  {}", line.head, line.note, line.times);
        text.push_str(drawn.trim_end());
        text.push('\n');
    }
    text
}

fn step(rollout: &Rollout, leg: &Leg, place: &Place<'_>, now: Timestamp) -> Line {
    let until = leg.ended.unwrap_or(now);
    let lasted = match leg.stage {
        Stage::Now => rollout.held(now),
        _ => leg.began.map_or(SignedDuration::ZERO, |began| until.duration_since(began)),
    };
    let note = match &leg.stage {
        Stage::Ahead => String::new(),
        Stage::Now => {
            let hold = rollout.hold_of(leg.step);
            match (rollout.state, hold) {
                (State::Paused, Some(hold)) => format!("paused at {} of {hold}", span(lasted)),
                (State::Paused, None) => format!("paused at {}", span(lasted)),
                (State::Completing, _) => format!("held {}", span(lasted)),
                (_, Some(hold)) => format!("{} of {hold}", span(lasted)),
                (_, None) => span(lasted),
            }
        }
        Stage::Held => format!("held {}", span(lasted)),
        Stage::Advanced(by) => format!("ended after {} by {by}", span(lasted)),
        Stage::Ended(State::RolledBack) => "rolled back".to_owned(),
        Stage::Ended(State::Superseded) => "superseded".to_owned(),
        Stage::Ended(_) => "aborted".to_owned(),
        Stage::Reached => "everyone".to_owned(),
    };
    let full = match &leg.stage {
        Stage::Ahead => 0,
        Stage::Held | Stage::Reached => BAR,
        Stage::Now if rollout.state == State::Completing => BAR,
        Stage::Now | Stage::Advanced(_) | Stage::Ended(_) => {
            leg.hold.map_or(0, |hold| part_of_bar(lasted, hold))
        }
    };
    let times = match (&leg.stage, leg.began) {
        (_, None) => String::new(),
        (Stage::Reached, Some(began)) => clock(began, now),
        (Stage::Now, Some(began)) => {
            // What is paused has no end yet.
            let going = rollout.state == State::Progressing;
            let paused = SignedDuration::from_millis(rollout.progress.paused_ms);
            let end = leg.hold.filter(|_| going).and_then(|hold| began.checked_add(hold + paused).ok());
            // Where that is inside of a freeze window, it lasts until that is over.
            let end = end.and_then(|end| match place.frozen(rollout, end.max(now)) {
                Some(frozen) => frozen.opens,
                None => Some(end),
            });
            from_to(began, end, now)
        }
        (_, Some(began)) => from_to(began, leg.ended, now),
    };
    Line { head: format!("{:>4}", format!("{}%", leg.weight)), full, note, times }
}

/// The versions that are compared, and how much of the time is over.
fn compared(rollout: &Rollout, now: Timestamp) -> String {
    let mut text = String::new();
    let stable =
        Variant { version: rollout.from.version.clone(), weight: left(rollout), ..Variant::default() };
    let all: Vec<&Variant> = rollout.variants.iter().chain([&stable]).collect();
    let share = |variant: &Variant| format!("{}%", percent(variant.weight));
    let widest = |of: &dyn Fn(&Variant) -> usize| all.iter().map(|variant| of(variant)).max().unwrap_or(0);
    let head = widest(&|variant| share(variant).chars().count()).max(4);
    let width = widest(&|variant| variant.version.chars().count());
    for (index, variant) in all.iter().enumerate() {
        let stable = (index + 1 == all.len()).then(|| "as before".to_owned());
        let who = stable.or_else(|| Some(format!("and {}", who(variant)?))).unwrap_or_default();
        let line = format!("  {:>head$}  {:width$}  {who}", share(variant), variant.version);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if let Some(unknown) = not_known(&rollout.unknown()) {
        text.push_str(&format!("  {unknown}: who was to have it has {}\n", rollout.from.version));
    }
    if let Some(until) = rollout.until() {
        let paused = SignedDuration::from_millis(rollout.progress.paused_ms);
        let (lasted, whole) =
            (rollout.held(now), until.duration_since(rollout.step_started_at).saturating_sub(paused));
        let line = Line {
            head: " ".repeat(head),
            full: part_of_bar(lasted, whole),
            note: format!("{} of {}", span(lasted), span(whole)),
            times: from_to(rollout.step_started_at, Some(until), now),
        };
        text.push_str(&format!("\n{}", lines(&[line])));
    }
    text
}

/// `2 keys, plan=beta`: who has a version whatever the share says.
fn who(variant: &Variant) -> Option<String> {
    let keys = match variant.keys.len() {
        0 => None,
        1 => Some("1 key".to_owned()),
        several => Some(format!("{several} keys")),
    };
    let labels = variant.labels.iter().take(NAMED).map(|(name, value)| format!("{name}={value}"));
    let labels: Vec<String> = labels.collect();
    let labels = (!labels.is_empty()).then(|| labels.join(" "));
    let all: Vec<String> = keys.into_iter().chain(labels).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

/// How many characters of a bar so much of a whole is.
fn part_of_bar(part: SignedDuration, whole: SignedDuration) -> usize {
    let (part, whole) = (part.as_millis().max(0), whole.as_millis());
    if whole <= 0 {
        return BAR;
    }
    let bar = i128::try_from(BAR).unwrap_or_default();
    usize::try_from((part * bar / whole).min(bar)).unwrap_or_default()
}

/// `14:02 - 14:12`; the day is said where it is not this one.
fn from_to(from: Timestamp, to: Option<Timestamp>, now: Timestamp) -> String {
    let begin = clock(from, now);
    match to {
        None => format!("{begin} -"),
        // The day is said already.
        Some(to) if same_day(from, to) => format!("{begin} - {}", clock(to, to)),
        Some(to) => format!("{begin} - {}", clock(to, now)),
    }
}
