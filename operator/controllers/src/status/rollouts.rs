//! What a status says of rollouts: the condition Healthy, the list, and the Events.

use jiff::Timestamp;
use sower_core::rollout::course::percent;
use sower_core::rollout::{Rollout, State};
use sower_core::sentence::first_fitting;
use sower_crds::environment::{Environment, EnvironmentStatus, RolloutStatus};

use super::conditions::{Conditions, Said, set, unset};
use super::kind;
use super::notices::{Notice, Tone, names, notice};
use super::outcome::Outcome;

/// Most rollouts that a status holds.
const LISTED: usize = 20;
/// As much of a reason as the CRD takes, in characters.
const LONGEST: usize = 4096;
/// As much of it as an Event tells, in characters; an Event's whole is 1 KiB at most.
const LONGEST_TOLD: usize = 600;

/// The condition Healthy of an environment whose last rollouts are these, one of each integration. One that was
/// rolled back or aborted is told until a newer rollout of that integration begins, or another version is everybody's.
#[must_use]
pub fn healthy(rollouts: &[Rollout], now: Timestamp) -> Said {
    let of = |state: State| rollouts.iter().filter(move |rollout| rollout.state == state);
    for (state, verb) in [(State::RolledBack, "rolled back"), (State::Aborted, "aborted")] {
        let ended: Vec<&Rollout> = of(state).collect();
        match ended.as_slice() {
            [] => {}
            [one] => {
                let told = format!("{} {} was {verb}", one.integration, one.to.version);
                let why = one.because().map_or_else(|| told.clone(), |why| format!("{told}: {why}"));
                return Said::new(false, state.as_str(), first_fitting([why, told]));
            }
            several => {
                let count = format!("{} rollouts were {verb}", several.len());
                let all: Vec<String> = several.iter().map(|one| named(one)).collect();
                return Said::new(
                    false,
                    state.as_str(),
                    first_fitting([format!("{count}: {}", names(&all)), count]),
                );
            }
        }
    }
    let active: Vec<&Rollout> = rollouts.iter().filter(|rollout| !rollout.state.is_over()).collect();
    let undecided: Vec<&str> = active
        .iter()
        .filter(|rollout| rollout.is_undecided(now))
        .map(|rollout| rollout.integration.as_str())
        .collect();
    if !undecided.is_empty() {
        let count = format!("{} of {} rollouts cannot be judged", undecided.len(), active.len());
        let told = first_fitting([format!("Cannot be judged yet: {}", names(&undecided)), count]);
        return Said { status: "Unknown", reason: "Inconclusive".into(), message: told };
    }
    match active.as_slice() {
        [] => Said::new(true, "Healthy", "No rollout under way"),
        active => {
            let all: Vec<String> = active.iter().map(|one| named(one)).collect();
            let count = format!("{} rollouts under way", active.len());
            Said::new(true, "Healthy", first_fitting([format!("Under way: {}", names(&all)), count]))
        }
    }
}

/// `stripe 1.1.0`.
fn named(rollout: &Rollout) -> String {
    format!("{} {}", rollout.integration, rollout.to.version)
}

/// Sets the condition; where nothing is rolled out in steps, it goes.
pub(super) fn condition(
    conditions: &mut Conditions,
    environment: &Environment,
    outcome: &Outcome,
    now: Timestamp,
) {
    let Some(rollouts) = &outcome.rollouts else { return };
    if rollouts.is_empty() && environment.spec.rollout == sower_crds::Rollout::default() {
        return unset(conditions, kind::HEALTHY);
    }
    set(conditions, kind::HEALTHY, healthy(rollouts, now), environment.metadata.generation, now);
}

/// As a status lists them: those under way before those that were rolled back or aborted, some at most.
#[must_use]
pub fn listed(rollouts: &[Rollout]) -> Vec<RolloutStatus> {
    let active = rollouts.iter().filter(|rollout| !rollout.state.is_over());
    let ended = rollouts.iter().filter(|rollout| rollout.ended_badly());
    active.chain(ended).take(LISTED).map(in_short).collect()
}

/// How many are under way.
#[must_use]
pub fn active(rollouts: &[Rollout]) -> i32 {
    let active = rollouts.iter().filter(|rollout| !rollout.state.is_over()).count();
    i32::try_from(active).unwrap_or(i32::MAX)
}

fn in_short(rollout: &Rollout) -> RolloutStatus {
    let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    RolloutStatus {
        integration: rollout.integration.clone(),
        state: rollout.state.as_str().to_owned(),
        step: number(rollout.reached().0),
        steps: number(rollout.steps()),
        weight: percent(rollout.weight),
        from: rollout.from.version.clone(),
        to: rollout.to.version.clone(),
        reason: cut(rollout.reason(), LONGEST),
    }
}

/// The Events of rollouts: what they are now and were not when the status was written last. So none is lost with a process
/// that ends between the database and the status, and none is told twice.
pub(super) fn notices(before: &EnvironmentStatus, outcome: &Outcome) -> Vec<Notice> {
    let rollouts = outcome.rollouts.as_deref().unwrap_or_default();
    let of = |all: &[RolloutStatus], id: &str| all.iter().find(|one| one.integration == id).cloned();
    let now = listed(rollouts);
    let told = rollouts.iter().filter_map(|rollout| {
        let id = rollout.integration.as_str();
        let then = of(&before.rollouts, id);
        // What the status has no room for is not told.
        if then.is_none() && of(&now, id).is_none() {
            return None;
        }
        news(then.as_ref(), rollout)
    });
    told.collect()
}

/// What is new of a rollout, against what was said of its integration last.
#[must_use]
pub fn news(before: Option<&RolloutStatus>, now: &Rollout) -> Option<Notice> {
    let begins = match before {
        None => true,
        Some(then) => {
            let ended = ["RolledBack", "Aborted"].contains(&then.state.as_str());
            then.to != now.to.version || ended && !now.state.is_over()
        }
    };
    let (step, weight) = now.reached();
    let id = named(now);
    let step_of = format!("step {step} of {}, {}% of consumers", now.steps(), percent(weight));
    let stands = before
        .is_some_and(|then| then.state == now.state.as_str() && i64::from(then.step) == i64::from(step));
    if !begins && stands {
        return None;
    }
    let why = now.because().map(|why| format!(": {}", cut(why, LONGEST_TOLD))).unwrap_or_default();
    let by = now
        .last_event()
        .and_then(|event| event.by.as_ref())
        .map(|by| format!(" by {by}"))
        .unwrap_or_default();
    let was_paused = before.is_some_and(|then| then.state == State::Paused.as_str());
    let from = &now.from.version;
    Some(match now.state {
        State::Pending if begins => {
            let told = format!("{id} takes the place of {from} once its rollout begins: nobody has it yet");
            notice(Tone::Normal, "RolloutStarted", told)
        }
        State::Pending => return None,
        State::Progressing if begins => notice(
            Tone::Normal,
            "RolloutStarted",
            format!("{id} begins to take the place of {from}: {step_of}"),
        ),
        State::Progressing if was_paused => {
            notice(Tone::Normal, "RolloutResumed", format!("{id} goes on{by}: {step_of}"))
        }
        State::Progressing => {
            notice(Tone::Normal, "RolloutStepped", format!("{id} goes on{by} to {step_of}"))
        }
        State::Paused => {
            notice(Tone::Normal, "RolloutPaused", format!("{id} was paused{by} at {step_of}{why}"))
        }
        State::Completing => {
            notice(Tone::Normal, "RolloutCompleting", format!("{id} has proved itself and waits{why}"))
        }
        // Of those that ended well the status says nothing: what it does not know was told.
        State::Completed | State::Superseded if before.is_none() => return None,
        State::Completed => notice(
            Tone::Normal,
            "RolloutCompleted",
            format!("{id} took the place of {from}{by}: everyone has it"),
        ),
        State::Superseded => {
            let told =
                format!("{id} no longer takes the place of {from}: the sources say something else{why}");
            notice(Tone::Normal, "RolloutSuperseded", told)
        }
        State::Aborted => {
            let told = format!("{id} was aborted{by} at {step_of}{why}; everyone has {from}");
            notice(Tone::Warning, "RolloutAborted", told)
        }
        State::RolledBack => {
            let told = format!("{id} was rolled back from {step_of}{why}; everyone has {from}");
            notice(Tone::Warning, "RolloutRolledBack", told)
        }
    })
}

/// A text as long as it may be, in characters.
fn cut(text: &str, longest: usize) -> String {
    match text.chars().count() > longest {
        true => text.chars().take(longest - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use sower_core::rollout::analysis::Outcome as Judged;
    use sower_core::rollout::{Event, Verdict, WHOLE};

    use super::super::tests::{at, environment, rollout, with};
    use super::super::{Outcome, Verdict as Of, conditions::find, notices as all_notices};
    use super::*;

    /// It ended now, with a reason.
    fn ended(mut rollout: Rollout, state: State, reason: &str) -> Rollout {
        let event = Event { at: at(5), state, step: 0, weight: 0, reason: reason.into(), by: None };
        rollout.events.push(event);
        (rollout.state, rollout.step, rollout.weight, rollout.ended_at) = (state, 0, 0, Some(at(5)));
        rollout
    }

    const WHY: &str = "success rate 95.79%, limit 99% (9 of 214 failed; 1.0.0: 0.19%)";

    #[test]
    fn healthy_is_what_the_last_rollouts_are() {
        let progressing = || rollout("stripe", State::Progressing);
        let back = |id: &str, why: &str| ended(rollout(id, State::Progressing), State::RolledBack, why);
        let mut undecided = rollout("slack", State::Paused);
        undecided.verdict = Some(Verdict {
            version: String::new(),
            outcome: Judged::Inconclusive,
            reason: String::new(),
            checks: Vec::new(),
            unread: false,
        });
        let aborted = ended(progressing(), State::Aborted, "jane said so");
        let table: Vec<(Vec<Rollout>, &str, &str, String)> = vec![
            (vec![], "True", "Healthy", "No rollout under way".into()),
            (vec![progressing()], "True", "Healthy", "Under way: stripe 1.1.0".into()),
            (
                vec![undecided.clone(), progressing()],
                "Unknown",
                "Inconclusive",
                "Cannot be judged yet: slack".into(),
            ),
            (
                vec![back("stripe", WHY)],
                "False",
                "RolledBack",
                format!("stripe 1.1.0 was rolled back: {WHY}"),
            ),
            (
                vec![back("stripe", &"x".repeat(100))],
                "False",
                "RolledBack",
                "stripe 1.1.0 was rolled back".into(),
            ),
            (vec![aborted.clone()], "False", "Aborted", "stripe 1.1.0 was aborted: jane said so".into()),
            // Bad news comes first, and the worst of it.
            (
                vec![undecided, aborted, back("a", WHY), back("b", WHY)],
                "False",
                "RolledBack",
                "2 rollouts were rolled back: a 1.1.0, b 1.1.0".into(),
            ),
            // What took everybody's place, or was called off, is well.
            (
                vec![
                    ended(progressing(), State::Completed, ""),
                    ended(rollout("a", State::Pending), State::Superseded, ""),
                ],
                "True",
                "Healthy",
                "No rollout under way".into(),
            ),
        ];
        for (rollouts, status, reason, message) in table {
            let said = healthy(&rollouts, at(3));
            assert_eq!((said.status, said.reason.as_str(), said.message), (status, reason, message));
        }
    }

    fn outcome(rollouts: Vec<Rollout>) -> Outcome {
        Outcome { rollouts: Some(rollouts), ..Outcome::of(Of::Seeded) }
    }

    #[test]
    fn ready_stays_where_a_rollout_was_rolled_back() {
        let first = with(&environment(), &outcome(vec![rollout("stripe", State::Progressing)]), 0);
        let back = vec![ended(rollout("stripe", State::Progressing), State::RolledBack, WHY)];
        let status = with(&first, &outcome(back.clone()), 5).status.expect("a status");
        let is = |kind: &str| find(&status.conditions, kind).map(|c| (c.status.clone(), c.reason.clone()));
        assert_eq!(is(kind::READY), Some(("True".into(), "Seeded".into())));
        assert_eq!(is(kind::HEALTHY), Some(("False".into(), "RolledBack".into())));
        let [told] = status.rollouts.as_slice() else { panic!("{:?}", status.rollouts) };
        assert_eq!((told.state.as_str(), told.step, told.steps, told.weight), ("RolledBack", 1, 3, 0.0));
        assert_eq!((told.reason.as_str(), status.counts), (WHY, None));
        // Nothing is known of rollouts: what was said stays.
        let before = Environment { status: Some(status.clone()), ..environment() };
        let unknown = with(&before, &Outcome::of(Of::Seeded), 6).status.expect("a status");
        assert_eq!(unknown, status);
        // Where there is none, and none is wanted, nothing is said of it.
        let none = with(&before, &outcome(Vec::new()), 7).status.expect("a status");
        assert_eq!((find(&none.conditions, kind::HEALTHY), none.rollouts.len()), (None, 0));
    }

    #[test]
    fn those_under_way_are_listed_before_those_that_ended_badly() {
        let back =
            |n: usize| ended(rollout(&format!("back-{n:02}"), State::Progressing), State::RolledBack, WHY);
        let done = ended(rollout("done", State::Progressing), State::Completed, "");
        let mut all: Vec<Rollout> = (0..19).map(back).collect();
        all.push(done);
        all.extend([rollout("x", State::Paused), rollout("y", State::Pending)]);
        let told = listed(&all);
        assert_eq!((told.len(), active(&all)), (LISTED, 2));
        let ids: Vec<&str> = told.iter().map(|one| one.integration.as_str()).take(3).collect();
        assert_eq!(ids, ["x", "y", "back-00"]);
        assert!(told.iter().all(|one| one.integration != "done"));
    }

    #[test]
    fn each_turn_of_a_rollout_is_told_once() {
        let moved = |state, step, weight, by: Option<&str>| {
            let mut rollout = rollout("stripe", state);
            (rollout.step, rollout.weight) = (step, weight);
            let by = by.map(str::to_owned);
            rollout.events.push(Event { at: at(2), state, step, weight, reason: String::new(), by });
            rollout
        };
        let course = [
            (
                moved(State::Pending, 0, 0, None),
                "RolloutStarted stripe 1.1.0 takes the place of 1.0.0 once its rollout begins: nobody has it yet",
            ),
            (
                moved(State::Progressing, 1, 1000, None),
                "RolloutStepped stripe 1.1.0 goes on to step 1 of 3, 10% of consumers",
            ),
            (
                moved(State::Paused, 1, 1000, Some("jane")),
                "RolloutPaused stripe 1.1.0 was paused by jane at step 1 of 3, 10% of consumers",
            ),
            (
                moved(State::Progressing, 1, 1000, Some("joe")),
                "RolloutResumed stripe 1.1.0 goes on by joe: step 1 of 3, 10% of consumers",
            ),
            (
                moved(State::Progressing, 2, 5000, None),
                "RolloutStepped stripe 1.1.0 goes on to step 2 of 3, 50% of consumers",
            ),
            (
                ended(moved(State::Progressing, 2, 5000, None), State::RolledBack, WHY),
                "RolloutRolledBack stripe 1.1.0 was rolled back from step 2 of 3, 50% of consumers: success rate 95.79%, \
                 limit 99% (9 of 214 failed; 1.0.0: 0.19%); everyone has 1.0.0",
            ),
            // Somebody tries it again.
            (
                moved(State::Progressing, 1, 1000, None),
                "RolloutStarted stripe 1.1.0 begins to take the place of 1.0.0: step 1 of 3, 10% of consumers",
            ),
            (
                moved(State::Completing, 2, 5000, None),
                "RolloutCompleting stripe 1.1.0 has proved itself and waits",
            ),
            (
                moved(State::Completed, 3, WHOLE, None),
                "RolloutCompleted stripe 1.1.0 took the place of 1.0.0: everyone has it",
            ),
        ];
        let mut environment = environment();
        for (rollout, expect) in course {
            let outcome = outcome(vec![rollout]);
            let after = with(&environment, &outcome, 1);
            let status = after.status.as_ref().expect("a status");
            let told = |before: &Environment| -> Vec<String> {
                let notices = all_notices(before.status.as_ref(), status, &outcome);
                notices.iter().map(|n| format!("{} {}", n.reason, n.message)).collect()
            };
            assert_eq!(told(&environment), [expect]);
            assert_eq!(told(&after), [""; 0], "said twice");
            environment = after;
        }
    }

    #[test]
    fn a_newer_version_begins_anew() {
        let before = listed(&[rollout("stripe", State::Progressing)]);
        let mut newer = rollout("stripe", State::Progressing);
        newer.to.version = "1.2.0".into();
        let told = news(before.first(), &newer).expect("it is news");
        assert_eq!(
            told.message,
            "stripe 1.2.0 begins to take the place of 1.0.0: step 1 of 3, 10% of consumers"
        );
        // With a reason as long as it likes an Event is not too long.
        let long = ended(rollout("stripe", State::Progressing), State::Aborted, &"ä".repeat(5000));
        let told = news(before.first(), &long).expect("it is news");
        assert!(told.message.chars().count() < 800 && told.tone == Tone::Warning, "{}", told.message);
    }
}
