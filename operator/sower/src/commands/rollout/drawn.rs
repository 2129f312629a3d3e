//! A rollout as people see it: a line that says where it is, its steps as bars, its figures, and what comes next.
//!
//! Functions of values: the time is an argument.

mod checks;
mod headline;
mod timeline;

use jiff::{SignedDuration, Timestamp};
use sower_core::freeze::Frozen;
use sower_core::gate::Moment;
use sower_core::rollout::course::Outlook;
use sower_core::rollout::{Command, Rollout, State};
use sower_core::select::touches;
use sower_crds::EnvironmentSpec;
use sower_crds::rollout::StrategyType;

use crate::output::time::{clock, span};

pub use headline::headline;

/// Where a rollout is: for the commands that act on it, and for what comes of it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The environment.
    pub environment: &'a str,
    /// The flags that lead to it: ` -n sower`.
    pub flags: &'a str,
    /// It is seeded by commands: what is due happens with the next one.
    pub files: bool,
    /// What the environment says: its freeze windows.
    pub spec: &'a EnvironmentSpec,
    /// Until when these do not count.
    pub freeze_override: Option<Timestamp>,
    /// What became of it since.
    pub since: &'a Since,
}

/// What became of a rollout since it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Since {
    /// The version that everybody has who is in no rollout; none: the integration is not carried.
    pub stable: Option<String>,
    /// Its content is kept out; true: somebody asked it back.
    pub kept_out: Option<bool>,
}

impl Place<'_> {
    fn command(&self, rollout: &Rollout, command: Command) -> String {
        let Self { environment, flags, .. } = self;
        format!("sower rollout {} {} -e {environment}{flags}", command.as_str(), rollout.integration)
    }

    fn frozen(&self, rollout: &Rollout, at: Timestamp) -> Option<Frozen> {
        let moment = Moment { now: at, freeze_override: self.freeze_override };
        moment.freezes_any([rollout.integration.as_str()], self.spec)
    }

    /// From when on more consumers may get it, at this time or later; none: never, as far as the windows say.
    fn opens(&self, rollout: &Rollout, at: Timestamp) -> Option<Timestamp> {
        self.frozen(rollout, at).map_or(Some(at), |frozen| frozen.opens)
    }
}

/// All of it.
#[must_use]
pub fn drawn(rollout: &Rollout, place: &Place<'_>, now: Timestamp) -> String {
    let mut text = format!("{}\n", headline(rollout, now));
    let others = timeline::timeline(rollout, place, now);
    if !others.is_empty() {
        text.push_str(&format!("\n{others}"));
    }
    let verdict = rollout.verdict.as_ref().filter(|_| !rollout.state.is_over());
    match verdict {
        // It could not be told: why not is all that there is.
        Some(verdict) if verdict.checks.is_empty() && !verdict.reason.is_empty() => {
            text.push_str(&format!("\n{}\n", verdict.reason));
        }
        Some(verdict) if !verdict.checks.is_empty() => {
            text.push_str(&format!("\n{}", checks::table(rollout, &verdict.checks)));
        }
        Some(_) | None => {}
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
        State::Completed => match place.since.stable.as_ref() {
            Some(now) if now == to => format!("Everyone has {to} since {since}."),
            _ => format!("Everyone had {to} at {since}. {}", has_now(rollout, place)),
        },
        State::Superseded | State::Aborted | State::RolledBack => {
            let has = match place.since.stable.as_ref() {
                Some(now) if now == from => format!("Everyone has {from} since {since}."),
                _ => has_now(rollout, place),
            };
            let tried = rollout.blamed().version;
            match place.since.kept_out.filter(|_| rollout.ended_badly()) {
                None => has,
                Some(_) if tried != *to => {
                    format!("{has} {id} {tried} takes part in no comparison any more.")
                }
                Some(true) => format!("{has} {id} {tried} is asked back: the next seeding begins it again."),
                Some(false) => format!(
                    "{has} {id} {tried} stays out until a newer version arrives.\n{}",
                    label("Try the same again", Command::Retry)
                ),
            }
        }
        State::Paused if rollout.strategy.kind == StrategyType::Manual || rollout.waits_for_a_word() => {
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

/// What everybody has by now, which is nothing that its end left.
fn has_now(rollout: &Rollout, place: &Place<'_>) -> String {
    match &place.since.stable {
        Some(version) => format!("Everyone has {version} now."),
        None => format!("Nobody has {} now: {} does not carry it.", rollout.integration, place.environment),
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
    // Of one that has come to its end the first line says so.
    let frozen = place.frozen(rollout, now).filter(|_| rollout.state != State::Completing);
    let frozen = frozen.map(|frozen| frozen.told(now));
    let touched = touches(place.spec, &rollout.integration);
    let then = match rollout.outlook(now, &|at| place.opens(rollout, at)) {
        _ if !touched => "no more consumers get it: allowedIntegrations does not name it".to_owned(),
        Outlook::Begins(begins) if begins <= now => "begins now".to_owned(),
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
    let told: Vec<String> = frozen.into_iter().chain(analysis).chain([then]).chain(with).collect();
    let told = told.join("; ");
    let mut letters = told.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

#[cfg(test)]
mod tests;
