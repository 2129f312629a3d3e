//! What becomes of a rollout: a function of what it is, what is known of it and what somebody says.
//!
//! Whatever else is known: an abort is obeyed first, then a bad verdict, then a deadline. More consumers get the new version
//! only where no freeze window is closed to it; fewer get it at any time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sower_crds::rollout::{Analysis, Inconclusive, StrategyType};

use super::analysis::{Outcome, Verdict};
use super::stages::{Stage, not_known, stages, unknown};
use super::{Command, Event, Progress, Rollout, State, WHOLE};

/// Most events that a rollout remembers: the first, and the last of the others.
pub const MOST_EVENTS: usize = 100;

/// Why nobody gets it.
const WAITS: &str = "waits until somebody advances it";

/// What is known of a rollout at a time.
#[derive(Debug, Clone, Copy)]
pub struct Given<'a> {
    /// The time.
    pub now: Timestamp,
    /// What a look said that was made now; none where nobody looked.
    pub verdict: Option<&'a Verdict>,
    /// Until when a freeze window keeps consumers from getting the new version, if one does: a clause for people.
    pub frozen: Option<&'a str>,
}

/// What becomes of a rollout, which is unchanged where there is nothing to be done.
#[must_use]
pub fn step(before: &Rollout, given: Given<'_>) -> Rollout {
    let mut after = before.clone();
    if before.state.is_over() {
        return after;
    }
    let now = given.now;
    after.rewind(now);
    if let Some(verdict) = given.verdict {
        after.verdict = Some(verdict.clone());
        after.progress.analysed_at = Some(now);
        if after.hold_ends().is_some_and(|end| end <= now) {
            after.progress.last = Some(verdict.outcome);
            if verdict.outcome == Outcome::Success {
                after.progress.succeeded_at = Some(now);
            }
        }
        if verdict.outcome == Outcome::Failure {
            after.moves(State::RolledBack, now, verdict.reason.clone(), None);
            return after;
        }
    }
    match after.state {
        State::Pending => {
            if given.frozen.is_none() {
                after.enters(1, now, None);
            }
        }
        State::Progressing | State::Completing => after.progresses(given),
        State::Paused | State::Completed | State::Aborted | State::RolledBack | State::Superseded => {}
    }
    after.due_at = after.due(now, given.frozen.is_some());
    after
}

/// Obeys a command.
///
/// # Errors
/// Why it cannot be obeyed, in a clause for people.
pub fn obey(
    before: &Rollout,
    command: Command,
    by: &str,
    now: Timestamp,
    frozen: Option<&str>,
) -> Result<Rollout, String> {
    let mut after = before.clone();
    let by = Some(by.to_owned());
    if before.state.is_over() {
        return Err(match command {
            Command::Retry => "it ended: a new one begins with the next seeding".to_owned(),
            _ => format!("its rollout is over ({})", before.state.as_str()),
        });
    }
    after.rewind(now);
    match (command, before.state) {
        (Command::Abort, _) => after.moves(State::Aborted, now, "aborted".to_owned(), by),
        (Command::Retry, _) => {
            return Err("its rollout is under way: there is nothing to try again".to_owned());
        }
        (Command::Pause, State::Paused) => return Err("its rollout is paused already".to_owned()),
        (Command::Pause, _) => after.pauses(now, "paused".to_owned(), by),
        // Who goes on with what nobody has gives it to everybody: there is nothing to wait for.
        (Command::Advance, _) | (Command::Resume, State::Paused)
            if command == Command::Advance || after.waits_for_a_word() =>
        {
            if let Some(until) = frozen {
                return Err(format!("it is {until}, and no more consumers get it now"));
            }
            after.progress.resumes(now);
            after.goes_on(now, by);
        }
        (Command::Resume, State::Paused) => {
            after.progress.resumes(now);
            // Who goes on after a pause of their own lets nothing pass that the step asks for.
            after.progress.released |= before.events.last().is_none_or(|event| event.by.is_none());
            // What was good then need not be by now.
            after.progress.last = None;
            let state = if after.step == 0 { State::Pending } else { State::Progressing };
            after.moves(state, now, "resumed".to_owned(), by);
        }
        (Command::Resume | Command::Advance, _) => return Err("its rollout is not paused".to_owned()),
    }
    after.due_at = after.due(now, frozen.is_some());
    Ok(after)
}

/// Ends a rollout for a reason that lies outside of it: the sources say something else by now, or the environment goes back.
#[must_use]
pub fn end(before: &Rollout, state: State, now: Timestamp, reason: String, by: Option<String>) -> Rollout {
    let mut after = before.clone();
    if !before.state.is_over() {
        after.moves(state, now, reason, by);
    }
    after
}

/// The analysis that decides in the step that a rollout is in.
#[must_use]
pub fn analysis(rollout: &Rollout) -> Option<Analysis> {
    rollout.stage().and_then(|stage| stage.analysis)
}

/// Whether it is time for its analysis to look: at each interval, and when the time of the step is over. What is paused, or
/// waits for a window, is watched, too.
#[must_use]
pub fn looks(rollout: &Rollout, now: Timestamp) -> bool {
    let watched = matches!(rollout.state, State::Progressing | State::Paused | State::Completing);
    watched && rollout.next_look().is_some_and(|at| at <= now || rollout.progress.analysed_at > Some(now))
}

impl Rollout {
    /// How many steps there are, the one to everybody included.
    #[must_use]
    pub fn steps(&self) -> u32 {
        u32::try_from(self.stages().len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// The steps before everybody has it.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        stages(&self.strategy, self.started_at)
    }

    /// The variants of its comparison that nobody gets, each as it is written: no version is known that is meant by them.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        unknown(&self.strategy, self.variants.iter().map(|variant| variant.version.as_str()))
    }

    fn stage(&self) -> Option<Stage> {
        let index = usize::try_from(self.step).ok()?.checked_sub(1)?;
        self.stages().into_iter().nth(index)
    }

    /// When the time of its step is over, as far as that is known: not while it is paused.
    #[must_use]
    pub fn hold_ends(&self) -> Option<Timestamp> {
        let hold = self.stage()?.hold.unwrap_or_default();
        let since = |hold: Duration| after(self.step_started_at, hold, self.progress.paused_ms);
        let end = match self.named_end() {
            // A comparison that is to end at a time does so, whenever it began and however long it was paused; but not before it
            // began.
            Some(named) => since(Duration::ZERO).map(|began| named.max(began)),
            None => since(hold),
        };
        end.filter(|_| self.progress.paused_at.is_none())
    }

    /// The time at which a comparison is to end, where it is to end at one.
    pub(super) fn named_end(&self) -> Option<Timestamp> {
        let until = self.strategy.until.as_deref().filter(|_| self.strategy.kind == StrategyType::AB)?;
        until.parse().ok()
    }

    /// When its analysis has to have said that it is good: counted from the end of the time of its step, or from when that was
    /// said last.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        let patience = self.stage()?.analysis?.deadline.duration().ok()?;
        let since = self.hold_ends()?.max(self.progress.succeeded_at.unwrap_or(Timestamp::MIN));
        since.checked_add(SignedDuration::try_from(patience).ok()?).ok()
    }

    /// It stands in a step of which nobody has anything, and that ends by a word alone.
    #[must_use]
    pub fn waits_for_a_word(&self) -> bool {
        let named = |variant: &super::Variant| {
            variant.checksum != self.from.checksum && !(variant.keys.is_empty() && variant.labels.is_empty())
        };
        match self.strategy.kind {
            _ if self.step == 0 || self.weight > 0 => false,
            StrategyType::Manual | StrategyType::AB => !self.variants.iter().any(named),
            StrategyType::Staged | StrategyType::AllAtOnce => false,
        }
    }

    /// A freeze window that may hold it is over at this time: it is looked at then at the latest.
    pub fn opens_at(&mut self, opens: Timestamp) {
        if matches!(self.state, State::Pending | State::Progressing | State::Completing) {
            self.due_at = Some(self.due_at.map_or(opens, |due| due.min(opens)));
        }
    }

    fn next_look(&self) -> Option<Timestamp> {
        let stage = self.stage()?;
        let every = stage.analysis?.interval.duration().ok()?;
        let last = self.progress.analysed_at;
        let regular = after(last.unwrap_or(self.step_started_at), every, 0)?;
        // When the time of the step is over, it is looked at at once.
        let at_the_end = self.hold_ends().filter(|_| self.progress.last.is_none());
        Some(at_the_end.map_or(regular, |end| regular.min(end)))
    }

    /// A clock that went back does not make a step last longer than it says.
    fn rewind(&mut self, now: Timestamp) {
        let Progress { paused_at, analysed_at, succeeded_at, .. } = &mut self.progress;
        if self.step_started_at > now {
            self.step_started_at = now;
        }
        *paused_at = paused_at.map(|at| at.min(now));
        *analysed_at = analysed_at.map(|at| at.min(now));
        *succeeded_at = succeeded_at.map(|at| at.min(now));
    }

    fn progresses(&mut self, given: Given<'_>) {
        let Given { now, verdict: _, frozen } = given;
        let Some(stage) = self.stage() else { return self.goes_on(now, None) };
        let held = self.hold_ends().is_none_or(|end| end <= now);
        let outcome = match &stage.analysis {
            None => Some(Outcome::Success),
            Some(_) => self.progress.last,
        };
        // What is unread says nothing of the version: no policy is about it.
        let unread = self.verdict.as_ref().is_some_and(|verdict| verdict.unread);
        let policy = stage.analysis.as_ref().map(|analysis| analysis.inconclusive).filter(|_| !unread);
        let proved = match (outcome, policy) {
            (Some(Outcome::Success), _) => held,
            (Some(Outcome::Inconclusive), Some(policy)) if held => {
                let why = self.verdict.as_ref().map(|verdict| verdict.reason.clone()).unwrap_or_default();
                match policy {
                    Inconclusive::Wait => false,
                    Inconclusive::Promote => true,
                    Inconclusive::Pause => {
                        if !self.progress.released {
                            return self.pauses(now, format!("inconclusive: {why}"), None);
                        }
                        false
                    }
                    Inconclusive::Abort => {
                        return self.moves(State::Aborted, now, format!("inconclusive: {why}"), None);
                    }
                }
            }
            _ => false,
        };
        if proved {
            if stage.pause && !self.progress.released {
                return self.pauses(now, "its step ends with a pause".to_owned(), None);
            }
            if let Some(until) = frozen {
                if self.is_last() && self.state != State::Completing {
                    self.moves(State::Completing, now, until.to_owned(), None);
                }
                return;
            }
            return self.goes_on(now, None);
        }
        if outcome != Some(Outcome::Success) && self.deadline().is_some_and(|deadline| deadline <= now) {
            let patience = stage.analysis.map(|analysis| analysis.deadline.to_string()).unwrap_or_default();
            let since = if self.progress.succeeded_at.is_none() { "its time" } else { "the last good one" };
            self.moves(State::Aborted, now, format!("no verdict within {patience} after {since}"), None);
        } else if self.state == State::Completing {
            let why = self.verdict.as_ref().map(|verdict| verdict.reason.as_str()).unwrap_or_default();
            self.moves(State::Progressing, now, format!("no longer known to be good: {why}"), None);
        }
    }

    fn is_last(&self) -> bool {
        self.step + 1 >= self.steps()
    }

    fn goes_on(&mut self, now: Timestamp, by: Option<String>) {
        if self.is_last() {
            let reason = match self.state {
                _ if by.is_some() => "advanced",
                State::Completing => "nothing holds it any more",
                _ => "all is well",
            };
            self.completes(now, reason.to_owned(), by);
        } else {
            self.enters(self.step + 1, now, by);
        }
    }

    /// Begins a step.
    fn enters(&mut self, step: u32, now: Timestamp, by: Option<String>) {
        self.step = step;
        self.step_started_at = now;
        let shares = std::mem::take(&mut self.progress.shares);
        let prune_disabled = self.progress.prune_disabled;
        self.progress = Progress { shares, prune_disabled, ..Progress::default() };
        self.verdict = None;
        let Some(stage) = self.stage() else { return };
        if self.strategy.kind == StrategyType::AB && self.hold_ends().is_some_and(|end| end <= now) {
            let told = format!("its time was over before it began: {WAITS}");
            return self.pauses(now, told, by);
        }
        self.weigh(&stage);
        let told = match self.strategy.kind {
            StrategyType::AB => match not_known(&self.unknown()) {
                Some(unknown) => format!("the comparison begins; {unknown}"),
                None => "the comparison begins".to_owned(),
            },
            StrategyType::Manual if self.strategy.variants.is_empty() => WAITS.to_owned(),
            // It was to be compared.
            StrategyType::Manual => format!("no variant is {}: {WAITS}", self.to.version),
            StrategyType::Staged | StrategyType::AllAtOnce => format!("step {step} of {}", self.steps()),
        };
        if self.strategy.kind == StrategyType::Manual {
            return self.pauses(now, told, by);
        }
        self.moves(State::Progressing, now, told, by);
    }

    /// Gives the live versions the weights of a step.
    fn weigh(&mut self, stage: &Stage) {
        if self.strategy.kind == StrategyType::AB {
            for (variant, share) in self.variants.iter_mut().zip(&self.progress.shares) {
                variant.weight = *share;
            }
            self.weight = self.variants.iter().map(|variant| variant.weight).sum::<u32>().min(WHOLE);
            return;
        }
        let shared = |variant: &&mut super::Variant| variant.keys.is_empty() && variant.labels.is_empty();
        if let Some(variant) = self.variants.iter_mut().find(shared) {
            variant.weight = stage.weight;
        }
        self.weight = stage.weight;
    }

    fn pauses(&mut self, now: Timestamp, reason: String, by: Option<String>) {
        self.progress.paused_at = Some(now);
        self.moves(State::Paused, now, reason, by);
    }

    fn completes(&mut self, now: Timestamp, reason: String, by: Option<String>) {
        self.step = self.steps();
        self.weight = WHOLE;
        self.moves(State::Completed, now, reason, by);
    }

    fn moves(&mut self, state: State, now: Timestamp, reason: String, by: Option<String>) {
        self.state = state;
        if state.is_over() && state != State::Completed {
            self.weight = 0;
        }
        if state.is_over() {
            self.ended_at = Some(now);
            self.due_at = None;
        }
        let (step, weight) = (self.step, self.weight);
        self.events.push(Event { at: now, state, step, weight, reason, by });
        if self.events.len() > MOST_EVENTS {
            self.events.remove(1);
        }
    }

    /// When it is to be looked at next.
    fn due(&self, now: Timestamp, frozen: bool) -> Option<Timestamp> {
        if self.state.is_over() {
            return None;
        }
        let look = matches!(self.state, State::Progressing | State::Paused | State::Completing)
            .then(|| self.next_look())
            .flatten();
        let own = match self.state {
            // Whoever knows of the window says when it opens.
            State::Pending | State::Completing => (!frozen).then_some(now),
            State::Progressing => [self.hold_ends().filter(|end| *end > now), self.deadline()]
                .into_iter()
                .flatten()
                .filter(|at| *at > now)
                .min(),
            _ => None,
        };
        [look, own].into_iter().flatten().min()
    }
}

impl Progress {
    fn resumes(&mut self, now: Timestamp) {
        if let Some(at) = self.paused_at.take() {
            let lasted = now.duration_since(at).max(SignedDuration::ZERO);
            let ms = i64::try_from(lasted.as_millis()).unwrap_or(i64::MAX);
            self.paused_ms = self.paused_ms.saturating_add(ms);
            // Time in which it is paused does not count.
            self.succeeded_at = self.succeeded_at.map(|at| at.checked_add(lasted).unwrap_or(now).min(now));
        }
    }
}

fn after(at: Timestamp, time: Duration, more_ms: i64) -> Option<Timestamp> {
    let time = SignedDuration::try_from(time).ok()?.checked_add(SignedDuration::from_millis(more_ms))?;
    at.checked_add(time).ok()
}
