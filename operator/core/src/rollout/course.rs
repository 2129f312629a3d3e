//! The course of a rollout: which step lasted how long, as its events say, and what comes next if all stays well.

use jiff::{SignedDuration, Timestamp};
use sower_crds::Period;
use sower_crds::rollout::{Analysis, StrategyType};

use super::analysis::Outcome;
use super::stages::Stage as Step;
use super::{Event, Rollout, State, WHOLE};

/// A step, as far as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Leg {
    /// Its number, from 1.
    pub step: u32,
    /// Percent of the consumers that have the new version in it.
    pub weight: f64,
    /// How long it lasts at least; none: nothing says so.
    pub hold: Option<SignedDuration>,
    /// When it began; none: not yet, or it was passed over.
    pub began: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it stands.
    pub stage: Stage,
}

/// How a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// It has not begun.
    Ahead,
    /// The rollout is in it.
    Now,
    /// Its time came to its end.
    Held,
    /// Somebody ended it before its time.
    Advanced(String),
    /// The rollout ended in it, in this state.
    Ended(State),
    /// Everybody has the new version.
    Reached,
}

/// What comes of a rollout if nobody says anything and nothing bad is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// The first step begins at this time.
    Begins(Timestamp),
    /// Everybody has the new version at this time.
    Completes(Timestamp),
    /// It waits for somebody from this time on.
    Pauses(Timestamp),
    /// A step lasts until its analysis says that it is good.
    Analysis,
    /// The time of its step is over, and its analysis has not said that it is good; it ends at this time at the latest.
    Undecided(Timestamp),
    /// Nothing happens by itself.
    Nothing,
}

impl Rollout {
    /// What happened last.
    #[must_use]
    pub fn last_event(&self) -> Option<&Event> {
        self.events.last()
    }

    /// Why it is where it is, in a clause.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.last_event().map_or("", |event| &event.reason)
    }

    /// Why it is where it is, where that says more than its state does.
    #[must_use]
    pub fn because(&self) -> Option<&str> {
        let own: &[&str] = match self.state {
            State::Paused => &["paused"],
            State::Aborted => &["aborted"],
            State::Completed => &["advanced", "all is well"],
            State::Pending
            | State::Progressing
            | State::Completing
            | State::RolledBack
            | State::Superseded => &[],
        };
        Some(self.reason()).filter(|reason| !reason.is_empty() && !own.contains(reason))
    }

    /// Everybody has the stable version in its place: it was aborted or rolled back.
    #[must_use]
    pub fn ended_badly(&self) -> bool {
        matches!(self.state, State::Aborted | State::RolledBack)
    }

    /// The step that it came to, and hundredths of a percent that had the new version then.
    #[must_use]
    pub fn reached(&self) -> (u32, u32) {
        if !self.state.is_over() || self.state == State::Completed {
            return (self.step, self.weight);
        }
        let last = self.events.iter().rev().find(|event| !event.state.is_over());
        last.map_or((self.step, self.weight), |event| (event.step, event.weight))
    }

    /// What a step of the strategy is like; none of the one to everybody.
    #[must_use]
    pub fn step_of(&self, number: u32) -> Option<Step> {
        self.stages().into_iter().nth(usize::try_from(number).ok()?.checked_sub(1)?)
    }

    /// How long a step of the strategy lasts at least, as it is written.
    #[must_use]
    pub fn hold_of(&self, number: u32) -> Option<&Period> {
        self.strategy.steps.get(usize::try_from(number).ok()?.checked_sub(1)?)?.hold.as_ref()
    }

    /// What decides in a step.
    #[must_use]
    pub fn analysis_of(&self, number: u32) -> Option<Analysis> {
        self.step_of(number)?.analysis
    }

    /// How long its step has lasted, the time left out in which it was paused.
    #[must_use]
    pub fn held(&self, now: Timestamp) -> SignedDuration {
        let until = self.ended_at.or(self.progress.paused_at).unwrap_or(now);
        let whole = until.duration_since(self.step_started_at);
        (whole - SignedDuration::from_millis(self.progress.paused_ms)).max(SignedDuration::ZERO)
    }

    /// The time of its step is over, and its analysis says neither good nor bad.
    #[must_use]
    pub fn is_undecided(&self, now: Timestamp) -> bool {
        let open = self.verdict.as_ref().is_some_and(|verdict| verdict.outcome == Outcome::Inconclusive);
        let over = hold(self.step_of(self.step).as_ref()).is_some_and(|hold| self.held(now) >= hold);
        open && match self.state {
            State::Progressing => over,
            State::Paused => true,
            State::Pending
            | State::Completing
            | State::Completed
            | State::Aborted
            | State::RolledBack
            | State::Superseded => false,
        }
    }

    /// When several versions are no longer compared, as far as that is known: a duration begins with the comparison, and what
    /// is paused has no end of its own yet.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.named_end().or_else(|| {
            let going = self.strategy.kind == StrategyType::AB && self.step > 0;
            let hold =
                hold(self.step_of(1).as_ref()).filter(|_| going && self.progress.paused_at.is_none())?;
            later(self.step_started_at, hold + SignedDuration::from_millis(self.progress.paused_ms))
        })
    }

    /// Its steps in their order.
    #[must_use]
    pub fn legs(&self) -> Vec<Leg> {
        let (reached, _) = self.reached();
        (1..=self.steps()).map(|number| self.leg(number, reached)).collect()
    }

    fn leg(&self, number: u32, reached: u32) -> Leg {
        let step = self.step_of(number);
        let began = self.events.iter().position(|event| event.step == number && !event.state.is_over());
        let left = began.and_then(|began| {
            self.events[began..].iter().find(|event| event.step != number || event.state.is_over())
        });
        let is_last = number == self.steps();
        let in_it = number == reached;
        let stage = match self.state {
            State::Completed if is_last => Stage::Reached,
            state if state.is_over() && state != State::Completed && in_it => Stage::Ended(state),
            state if !state.is_over() && in_it => Stage::Now,
            _ => match left {
                Some(Event { by: Some(by), .. }) => Stage::Advanced(by.clone()),
                Some(_) => Stage::Held,
                None => Stage::Ahead,
            },
        };
        let (began, ended) = match stage {
            Stage::Now => (Some(self.step_started_at), None),
            Stage::Reached => (self.ended_at, self.ended_at),
            Stage::Ended(_) => {
                (began.map(|at| self.events[at].at).or(Some(self.step_started_at)), self.ended_at)
            }
            Stage::Ahead => (None, None),
            Stage::Held | Stage::Advanced(_) => {
                (began.map(|at| self.events[at].at), left.map(|event| event.at))
            }
        };
        Leg {
            step: number,
            weight: step.as_ref().map_or(100.0, |step| percent(step.weight)),
            hold: hold(step.as_ref()),
            began,
            ended,
            stage,
        }
    }

    /// What comes next if all stays well. `opens` says when more consumers may get it, from a time on: that time, or when the
    /// freeze window ends that it is in; none: never.
    #[must_use]
    pub fn outlook(&self, now: Timestamp, opens: &dyn Fn(Timestamp) -> Option<Timestamp>) -> Outlook {
        let completes = |at: Timestamp| opens(at.max(now)).map_or(Outlook::Nothing, Outlook::Completes);
        match self.state {
            State::Pending => match (self.due_at, opens(now)) {
                (Some(due), Some(open)) if open == now => Outlook::Begins(due),
                (_, Some(open)) if open > now => Outlook::Begins(open),
                _ => Outlook::Nothing,
            },
            // It is looked at meanwhile: what is due is no end of the window.
            State::Completing => completes(now),
            State::Progressing if self.strategy.kind == StrategyType::AB => {
                let Some(until) = self.until() else { return Outlook::Nothing };
                self.in_doubt(until, now).unwrap_or_else(|| completes(until))
            }
            State::Progressing => self.ahead(now, opens),
            State::Paused | State::Completed | State::Aborted | State::RolledBack | State::Superseded => {
                Outlook::Nothing
            }
        }
    }

    /// The time of its step is over at `end`, and its analysis has not said that it is good.
    fn in_doubt(&self, end: Timestamp, now: Timestamp) -> Option<Outlook> {
        let is_good = self.progress.last == Some(Outcome::Success);
        let doubts = end <= now && !is_good && self.analysis_of(self.step).is_some();
        doubts.then(|| self.deadline().map_or(Outlook::Analysis, Outlook::Undecided))
    }

    fn ahead(&self, now: Timestamp, opens: &dyn Fn(Timestamp) -> Option<Timestamp>) -> Outlook {
        let paused = SignedDuration::from_millis(self.progress.paused_ms);
        let Some(mut at) = later(self.step_started_at, paused) else { return Outlook::Nothing };
        for number in self.step.max(1)..self.steps() {
            let (step, analysis) = (self.step_of(number), self.analysis_of(number));
            let end = match (hold(step.as_ref()), &analysis) {
                (Some(hold), _) => later(at, hold),
                (None, Some(_)) => return Outlook::Analysis,
                (None, None) => Some(at),
            };
            let Some(end) = end else { return Outlook::Nothing };
            if let Some(doubt) = self.in_doubt(end, now).filter(|_| number == self.step) {
                return doubt;
            }
            at = end.max(now);
            if step.is_some_and(|step| step.pause) {
                return Outlook::Pauses(at);
            }
            match opens(at) {
                Some(open) => at = open,
                None => return Outlook::Nothing,
            }
        }
        Outlook::Completes(at)
    }
}

/// How long a step lasts at least.
fn hold(step: Option<&Step>) -> Option<SignedDuration> {
    SignedDuration::try_from(step?.hold?).ok()
}

/// None: later than any time there is.
fn later(at: Timestamp, by: SignedDuration) -> Option<Timestamp> {
    at.checked_add(by).ok()
}

/// Hundredths of a percent as percent.
#[must_use]
pub fn percent(hundredths: u32) -> f64 {
    f64::from(hundredths.min(WHOLE)) / 100.0
}

#[cfg(test)]
mod tests {
    use sower_crds::Period;
    use sower_crds::rollout::Strategy;

    use super::*;
    use crate::plan::Content;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).expect("a time")
    }

    fn minutes(minutes: i64) -> SignedDuration {
        SignedDuration::from_mins(minutes)
    }

    fn event(minute: i64, state: State, step: u32, weight: u32) -> Event {
        Event { at: at(minute), state, step, weight, reason: format!("at {minute}"), by: None }
    }

    /// 10% for ten minutes, 50% for an hour; in its second step.
    fn rollout() -> Rollout {
        let step = |weight, hold: &str| sower_crds::rollout::Step {
            weight,
            hold: Some(Period::new(hold)),
            ..Default::default()
        };
        let content = |version: &str| Content { version: version.into(), checksum: format!("v1:{version}") };
        Rollout {
            id: "r".into(),
            environment: "production".into(),
            integration: "stripe".into(),
            from: content("1.0.0"),
            to: content("1.1.0"),
            variants: Vec::new(),
            salt: "salt".into(),
            step: 2,
            weight: 5000,
            state: State::Progressing,
            events: vec![
                event(0, State::Pending, 0, 0),
                event(2, State::Progressing, 1, 1000),
                event(12, State::Progressing, 2, 5000),
            ],
            strategy: Strategy {
                kind: StrategyType::Staged,
                steps: vec![step(10.0, "10m"), step(50.0, "1h")],
                analysis: Some(Analysis::default()),
                ..Strategy::default()
            },
            verdict: None,
            progress: super::super::Progress::default(),
            source: "catalog".into(),
            path: "stripe.yaml".into(),
            revision: "main@sha1:0".into(),
            seeding: "s".into(),
            started_at: at(0),
            step_started_at: at(12),
            due_at: Some(at(31)),
            ended_at: None,
        }
    }

    fn stages(rollout: &Rollout) -> Vec<Stage> {
        rollout.legs().into_iter().map(|leg| leg.stage).collect()
    }

    #[test]
    fn legs_say_what_the_events_say() {
        let legs = rollout().legs();
        let times: Vec<_> = legs.iter().map(|leg| (leg.began, leg.ended)).collect();
        assert_eq!(times, [(Some(at(2)), Some(at(12))), (Some(at(12)), None), (None, None)]);
        assert_eq!(stages(&rollout()), [Stage::Held, Stage::Now, Stage::Ahead]);
        assert_eq!(legs.iter().map(|leg| leg.weight).collect::<Vec<_>>(), [10.0, 50.0, 100.0]);

        let mut advanced = rollout();
        advanced.events[2].by = Some("jane".into());
        assert_eq!(stages(&advanced)[0], Stage::Advanced("jane".into()));

        // A pause is no end of its step.
        let mut paused = rollout();
        paused.events.insert(2, event(5, State::Paused, 1, 1000));
        paused.events.insert(3, event(8, State::Progressing, 1, 1000));
        assert_eq!(paused.legs()[0], rollout().legs()[0]);

        let mut back = rollout();
        back.events.push(event(20, State::RolledBack, 0, 0));
        (back.state, back.step, back.weight, back.ended_at) = (State::RolledBack, 0, 0, Some(at(20)));
        assert_eq!(back.reached(), (2, 5000));
        assert_eq!(stages(&back), [Stage::Held, Stage::Ended(State::RolledBack), Stage::Ahead]);
        assert_eq!((back.legs()[1].began, back.legs()[1].ended), (Some(at(12)), Some(at(20))));

        let mut done = rollout();
        done.events.push(event(72, State::Completed, 3, WHOLE));
        (done.state, done.step, done.weight, done.ended_at) = (State::Completed, 3, WHOLE, Some(at(72)));
        assert_eq!(stages(&done), [Stage::Held, Stage::Held, Stage::Reached]);
    }

    #[test]
    fn a_pause_does_not_count() {
        let mut rollout = rollout();
        assert_eq!(rollout.held(at(30)), minutes(18));
        rollout.progress.paused_ms = 5 * 60_000;
        assert_eq!(rollout.held(at(30)), minutes(13));
        rollout.progress.paused_at = Some(at(20));
        assert_eq!(rollout.held(at(30)), minutes(3));
        // A clock that went back makes no negative time.
        assert_eq!(rollout.held(at(0)), minutes(3));
        rollout.progress.paused_at = None;
        assert_eq!(rollout.held(at(0)), SignedDuration::ZERO);
    }

    #[test]
    fn what_comes_next_is_told_as_far_as_it_is_known() {
        let with = |change: &dyn Fn(&mut Rollout)| {
            let mut rollout = rollout();
            change(&mut rollout);
            rollout.outlook(at(30), &Some)
        };
        assert_eq!(with(&|_| ()), Outlook::Completes(at(72)));
        assert_eq!(with(&|r| (r.step, r.step_started_at) = (1, at(25))), Outlook::Completes(at(95)));
        assert_eq!(with(&|r| r.progress.paused_ms = 60_000), Outlook::Completes(at(73)));
        assert_eq!(with(&|r| r.strategy.steps[1].pause = true), Outlook::Pauses(at(72)));
        assert_eq!(with(&|r| r.strategy.steps[1].hold = None), Outlook::Analysis);
        let without = |r: &mut Rollout| (r.strategy.steps[1].hold, r.strategy.analysis) = (None, None);
        assert_eq!(with(&without), Outlook::Completes(at(30)));
        // The hour is over, and nothing says that it is good: it has a day from then on.
        assert_eq!(with(&|r| r.step_started_at = at(-40)), Outlook::Undecided(at(20 + 24 * 60)));
        assert_eq!(with(&|r| r.state = State::Paused), Outlook::Nothing);
        assert_eq!(with(&|r| (r.state, r.step) = (State::Pending, 0)), Outlook::Begins(at(31)));
        let compared = |until: &str, paused_ms: i64| {
            let until = until.to_owned();
            with(&move |r: &mut Rollout| {
                (r.step, r.progress.paused_ms) = (1, paused_ms);
                (r.strategy.kind, r.strategy.until) = (StrategyType::AB, Some(until.clone()));
            })
        };
        assert_eq!(compared("72h", 0), Outlook::Completes(at(12 + 72 * 60)));
        assert_eq!(compared("72h", 5 * 60_000), Outlook::Completes(at(17 + 72 * 60)));
        assert_eq!(compared(&at(99).to_string(), 5 * 60_000), Outlook::Completes(at(99)));
        // Its time is over, and nothing says that it is good: it has a day from then on.
        assert_eq!(compared(&at(20).to_string(), 0), Outlook::Undecided(at(20 + 24 * 60)));
        assert_eq!(compared("5m", 0), Outlook::Undecided(at(17 + 24 * 60)));
    }

    #[test]
    fn a_comparison_ends_when_the_machine_ends_it() {
        let mut rollout = rollout();
        (rollout.strategy.kind, rollout.strategy.until) = (StrategyType::AB, Some("1h".into()));
        (rollout.step, rollout.progress.paused_ms) = (1, 5 * 60_000);
        assert_eq!(rollout.until(), Some(at(12 + 60 + 5)));
        assert_eq!(rollout.until(), rollout.hold_ends());
        rollout.step = 2;
        assert_eq!(rollout.until(), Some(at(12 + 60 + 5)), "it is over by now");
        (rollout.step, rollout.progress.paused_at) = (1, Some(at(20)));
        assert_eq!(rollout.until(), None);
        (rollout.step, rollout.progress.paused_at) = (0, None);
        assert_eq!(rollout.until(), None, "it has not begun");
        rollout.strategy.until = Some(at(99).to_string());
        assert_eq!(rollout.until(), Some(at(99)));
    }

    #[test]
    fn a_freeze_window_lets_more_have_it_when_it_is_over() {
        let until_40 = |time: Timestamp| Some(time.max(at(40)));
        let never = |_: Timestamp| None;
        let with = |change: &dyn Fn(&mut Rollout), opens: &dyn Fn(Timestamp) -> Option<Timestamp>| {
            let mut rollout = rollout();
            change(&mut rollout);
            rollout.outlook(at(30), opens)
        };
        // It began before, and its hour is over after it.
        assert_eq!(with(&|_| (), &until_40), Outlook::Completes(at(72)));
        // The first step is over in it: the second one begins when it is over.
        let first = |r: &mut Rollout| (r.step, r.step_started_at) = (1, at(25));
        assert_eq!(with(&first, &until_40), Outlook::Completes(at(40 + 60)));
        assert_eq!(with(&first, &never), Outlook::Nothing);
        let pending = |r: &mut Rollout| (r.state, r.step, r.due_at) = (State::Pending, 0, None);
        assert_eq!(with(&pending, &until_40), Outlook::Begins(at(40)));
        assert_eq!(with(&pending, &never), Outlook::Nothing);
        // What is due is a look.
        let completing = |r: &mut Rollout| r.state = State::Completing;
        assert_eq!(with(&completing, &until_40), Outlook::Completes(at(40)));
        assert_eq!(with(&completing, &never), Outlook::Nothing);
        let proved = |r: &mut Rollout| {
            (r.step_started_at, r.progress.last) = (at(-40), Some(Outcome::Success));
        };
        assert_eq!(with(&proved, &until_40), Outlook::Completes(at(40)));
    }

    #[test]
    fn undecided_is_what_has_had_its_time() {
        let mut rollout = rollout();
        assert!(!rollout.is_undecided(at(80)), "nothing was said");
        rollout.verdict = Some(super::super::Verdict {
            version: String::new(),
            outcome: Outcome::Inconclusive,
            reason: String::new(),
            checks: Vec::new(),
            unread: false,
        });
        assert!(!rollout.is_undecided(at(30)), "it has time");
        assert!(rollout.is_undecided(at(72)));
        rollout.state = State::Completing;
        assert!(!rollout.is_undecided(at(72)));
        rollout.state = State::Paused;
        assert!(rollout.is_undecided(at(30)));
    }

    #[test]
    fn shares_are_percent() {
        for (hundredths, expect) in [(0, "0"), (1250, "12.5"), (WHOLE, "100"), (u32::MAX, "100")] {
            assert_eq!(percent(hundredths).to_string(), expect);
        }
    }
}
