//! A rollout as people see it: a line that says where it is, its steps as bars, its figures, and what comes next.
//!
//! Functions of values: the time is an argument.

mod checks;
mod headline;
mod timeline;

use jiff::{SignedDuration, Timestamp};
use sower_core::rollout::course::Outlook;
use sower_core::rollout::{Command, Rollout, State};
use sower_crds::rollout::StrategyType;

use crate::output::time::{clock, span};

pub use headline::headline;

/// Where a rollout is, for the commands that act on it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The flags that lead to it: ` -n sower`.
    pub flags: &'a str,
    /// It is seeded by commands: what is due happens with the next one.
    pub files: bool,
}

impl Place<'_> {
    fn command(&self, rollout: &Rollout, command: Command) -> String {
        let Self { environment, flags, files: _ } = self;
        format!("sower rollout {} {} -e {environment}{flags}", command.as_str(), rollout.integration)
    }
}

/// All of it.
#[must_use]
pub fn drawn(rollout: &Rollout, place: &Place<'_>, now: Timestamp) -> String {
    let mut text = format!("{}\n", headline(rollout, now));
    let others = timeline::timeline(rollout, now);
    if !others.is_empty() {
        text.push_str(&format!("\n{others}"));
    }
    let checks = rollout.verdict.as_ref().filter(|_| !rollout.state.is_over()).map(|verdict| &verdict.checks);
    if let Some(checks) = checks.filter(|checks| !checks.is_empty()) {
        text.push_str(&format!("\n{}", checks::table(rollout, checks)));
    }
    text.push_str(&format!("\n{}\n", closing(rollout, place, now)));
    text
}

/// What comes next, and what to type.
fn closing(rollout: &Rollout, place: &Place<'_>, now: Timestamp) -> String {
    let (from, to) = (&rollout.from.version, &rollout.to.version);
    let id = &rollout.integration;
    let since = clock(rollout.ended_at.unwrap_or(now), now);
    let label = |label: &str, command: Command| format!("{label}: {}", place.command(rollout, command));
    match rollout.state {
        State::Completed => format!("Everyone has {to} since {since}."),
        State::Superseded => format!("Everyone has {from} since {since}, but for what came after it."),
        State::Aborted | State::RolledBack => format!(
            "Everyone has {from} since {since}. {id} {to} stays out until a newer version arrives.\n{}",
            label("Try the same again", Command::Retry)
        ),
        State::Paused if rollout.strategy.kind == StrategyType::Manual => {
            [label("Give it to everyone", Command::Advance), label("End it", Command::Abort)].join("\n")
        }
        State::Paused => [
            label("Go on", Command::Resume),
            label("To the next step at once", Command::Advance),
            label("End it", Command::Abort),
        ]
        .join("\n"),
        State::Pending | State::Progressing | State::Completing => {
            format!("{} {}", ahead(rollout, place, now), label("Stop it", Command::Abort))
        }
    }
}

/// What happens by itself, in a sentence.
fn ahead(rollout: &Rollout, place: &Place<'_>, now: Timestamp) -> String {
    let at = |at: Timestamp| clock(at, now);
    let looked_at = match rollout.strategy.kind {
        StrategyType::Staged => rollout.analysis_of(rollout.step).is_some(),
        StrategyType::AB => rollout.strategy.analysis.is_some(),
        StrategyType::AllAtOnce | StrategyType::Manual => false,
    };
    let due = rollout.due_at.map(|due| due.duration_since(now));
    let is_due = due.is_some_and(|due| due <= SignedDuration::ZERO);
    let analysis = due.filter(|_| looked_at && rollout.state == State::Progressing);
    let analysis = analysis.map(|due| match is_due {
        true => "next analysis is due".to_owned(),
        false => format!("next analysis in {}", span(due)),
    });
    let well = if looked_at { " if all stays well" } else { "" };
    let then = match rollout.outlook(now) {
        Outlook::Begins(_) if is_due => "begins now".to_owned(),
        Outlook::Begins(begins) => format!("begins at {}", at(begins)),
        Outlook::Completes(done) if rollout.strategy.kind == StrategyType::AB => {
            format!("everyone has {} from {} on{well}", rollout.to.version, at(done))
        }
        Outlook::Completes(done) if done <= now => format!("completes now{well}"),
        Outlook::Completes(done) => format!("completes at {}{well}", at(done)),
        Outlook::Pauses(pauses) => format!("pauses at {}{well}, until somebody says more", at(pauses)),
        Outlook::Analysis => "a step lasts until its analysis says that it is good".to_owned(),
        Outlook::Undecided(deadline) => {
            format!("its time is over and nothing is decided: aborted at {} if that stays so", at(deadline))
        }
        Outlook::Nothing if rollout.state == State::Pending => {
            "begins once no freeze window keeps it".to_owned()
        }
        Outlook::Nothing => "completes once no freeze window keeps it".to_owned(),
    };
    let waits = place.files && is_due;
    let with =
        waits.then(|| format!("what is due happens with sower seed -e {}{}", place.environment, place.flags));
    let told: Vec<String> = analysis.into_iter().chain([then]).chain(with).collect();
    let told = told.join("; ");
    let mut letters = told.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests;
