//! The state machine of rollouts: what it promises whatever happens, and that it does what a small model of it does.

#![allow(clippy::unwrap_used, reason = "a test says so by failing")]

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::json;
use sower_core::plan::Content;
use sower_core::rollout::analysis::{Outcome, Verdict};
use sower_core::rollout::machine::{Given, looks, obey, step};
use sower_core::rollout::stages::{hundredths, variants};
use sower_core::rollout::{Command, Progress, Rollout, State};

fn start() -> Timestamp {
    "2026-11-21T14:02:00Z".parse().unwrap()
}

fn content(version: &str) -> Content {
    Content { version: version.into(), checksum: format!("v1:{version}") }
}

/// A rollout that has just begun.
fn begun(strategy: serde_json::Value) -> Rollout {
    let strategy: sower_crds::rollout::Strategy = serde_json::from_value(strategy).unwrap();
    let (from, to) = (content("1.0.0"), content("1.1.0"));
    let compared: Vec<_> = strategy.variants.iter().map(|_| Some(to.clone())).collect();
    let (variants, shares) = variants(&strategy, &from, &to, &compared);
    Rollout {
        id: "r".into(),
        environment: "production".into(),
        integration: "stripe".into(),
        from,
        to,
        variants,
        salt: "salt".into(),
        step: 0,
        weight: 0,
        state: State::Pending,
        events: Vec::new(),
        strategy,
        verdict: None,
        progress: Progress { shares, ..Progress::default() },
        source: "default".into(),
        path: "integrations/stripe/integration.yaml".into(),
        revision: String::new(),
        seeding: String::new(),
        started_at: start(),
        step_started_at: start(),
        due_at: Some(start()),
        ended_at: None,
    }
}

fn verdict(outcome: Outcome) -> Verdict {
    Verdict {
        version: String::new(),
        outcome,
        reason: format!("{outcome:?}"),
        checks: Vec::new(),
        unread: false,
    }
}

fn at(seconds: i64) -> Timestamp {
    start().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// One tick: where it is time to look, this is what is seen.
fn tick(rollout: &Rollout, now: Timestamp, seen: Outcome, frozen: bool) -> Rollout {
    let verdict = looks(rollout, now).then(|| verdict(seen));
    let frozen = frozen.then_some("frozen until Mon 06:00 UTC");
    step(rollout, Given { now, verdict: verdict.as_ref(), frozen })
}

/// As far as it goes at one time.
fn settle(mut rollout: Rollout, now: Timestamp, seen: Outcome, frozen: bool) -> Rollout {
    loop {
        let after = tick(&rollout, now, seen, frozen);
        if after == rollout {
            return rollout;
        }
        rollout = after;
    }
}

fn two_steps(analysis: serde_json::Value) -> serde_json::Value {
    json!({
        "type": "Staged", "steps": [{ "weight": 10, "hold": "10m" }, { "weight": 50, "hold": "1h" }],
        "analysis": analysis,
    })
}

fn told(rollout: &Rollout) -> (State, u32, u32) {
    (rollout.state, rollout.step, rollout.weight)
}

#[test]
fn a_good_version_reaches_all_step_by_step() {
    let rollout = begun(two_steps(json!({ "interval": "1m" })));
    let table = [
        (0, (State::Progressing, 1, 1000)),
        (599, (State::Progressing, 1, 1000)),
        (600, (State::Progressing, 2, 5000)),
        (600 + 3599, (State::Progressing, 2, 5000)),
        (600 + 3600, (State::Completed, 3, 10_000)),
    ];
    let mut rollout = rollout;
    for (seconds, expect) in table {
        rollout = settle(rollout, at(seconds), Outcome::Success, false);
        assert_eq!(told(&rollout), expect, "after {seconds}s");
        assert!(
            rollout.state.is_over() || rollout.due_at.is_some_and(|due| due > at(seconds)),
            "{rollout:?}"
        );
    }
    assert_eq!(rollout.ended_at, Some(at(4200)));
}

#[test]
fn a_bad_version_goes_back_at_the_first_look() {
    let rollout = settle(begun(two_steps(json!({ "interval": "1m" }))), at(0), Outcome::Success, false);
    assert_eq!(rollout.due_at, Some(at(60)));
    let back = settle(rollout, at(60), Outcome::Failure, true);
    assert_eq!(told(&back), (State::RolledBack, 1, 0), "a freeze holds no rollback");
}

#[test]
fn without_a_verdict_the_policy_decides_when_the_time_of_a_step_is_over() {
    let table = [
        ("Wait", State::Progressing),
        ("Pause", State::Paused),
        ("Abort", State::Aborted),
        ("Promote", State::Progressing),
    ];
    for (policy, expect) in table {
        let strategy = two_steps(json!({ "interval": "1m", "inconclusive": policy, "deadline": "2h" }));
        let rollout = settle(begun(strategy), at(0), Outcome::Inconclusive, false);
        let rollout = settle(rollout, at(599), Outcome::Inconclusive, false);
        assert_eq!(rollout.state, State::Progressing, "{policy} decides nothing before the time is over");
        let rollout = settle(rollout, at(600), Outcome::Inconclusive, false);
        assert_eq!(rollout.state, expect, "{policy}");
        assert_eq!(rollout.step, if policy == "Promote" { 2 } else { 1 }, "{policy}");
    }
}

#[test]
fn the_deadline_always_fires() {
    let strategy = two_steps(json!({ "interval": "1m", "deadline": "2h" }));
    let rollout = settle(begun(strategy), at(0), Outcome::Inconclusive, false);
    let late = settle(rollout.clone(), at(600 + 7200 - 1), Outcome::Inconclusive, false);
    assert_eq!(late.state, State::Progressing);
    // Nobody looked for a long time: then the look comes first.
    assert_eq!(settle(rollout.clone(), at(100_000), Outcome::Success, false).state, State::Progressing);
    for frozen in [false, true] {
        let over = settle(rollout.clone(), at(600 + 7200), Outcome::Inconclusive, frozen);
        assert_eq!(over.state, State::Aborted, "frozen: {frozen}");
        assert!(over.events.last().unwrap().reason.contains("2h"));
    }
}

#[test]
fn a_freeze_holds_more_consumers_and_no_fewer() {
    let rollout = begun(two_steps(json!(null)));
    let pending = settle(rollout, at(0), Outcome::Success, true);
    assert_eq!(told(&pending), (State::Pending, 0, 0));
    let first = settle(pending, at(10), Outcome::Success, false);
    let held = settle(first, at(10_000), Outcome::Success, true);
    assert_eq!(told(&held), (State::Progressing, 1, 1000));
    assert!(obey(&held, Command::Advance, "jane", at(10_000), Some("frozen until Mon")).is_err());
    let second = settle(held, at(10_001), Outcome::Success, false);
    assert_eq!(told(&second), (State::Progressing, 2, 5000));
    let completing = settle(second, at(20_000), Outcome::Success, true);
    assert_eq!(told(&completing), (State::Completing, 2, 5000));
    assert!(completing.events.last().unwrap().reason.starts_with("frozen"));
    assert_eq!(settle(completing.clone(), at(20_001), Outcome::Success, false).state, State::Completed);
    let aborted = obey(&completing, Command::Abort, "jane", at(20_001), Some("frozen until Mon")).unwrap();
    assert_eq!(aborted.state, State::Aborted);
}

#[test]
fn time_that_it_is_paused_is_no_time_of_its_step() {
    let rollout = settle(begun(two_steps(json!({ "interval": "1m" }))), at(0), Outcome::Success, false);
    let paused = obey(&rollout, Command::Pause, "jane", at(300), None).unwrap();
    assert_eq!(told(&paused), (State::Paused, 1, 1000));
    let still = settle(paused, at(100_000), Outcome::Inconclusive, false);
    assert_eq!(still.state, State::Paused, "a deadline knows nothing of what somebody paused");
    let resumed = obey(&still, Command::Resume, "jane", at(100_000), None).unwrap();
    assert_eq!(settle(resumed.clone(), at(100_299), Outcome::Success, false).step, 1);
    assert_eq!(settle(resumed, at(100_300), Outcome::Success, false).step, 2);
    assert_eq!(settle(still, at(100_060), Outcome::Failure, false).state, State::RolledBack, "it is watched");
}

#[test]
fn what_a_freeze_holds_is_looked_at_when_it_is_over() {
    let steps = json!([{ "weight": 10, "hold": "10m" }, { "weight": 50, "hold": "1h" }]);
    let begun = settle(begun(json!({ "type": "Staged", "steps": steps })), at(0), Outcome::Success, false);
    let mut held = settle(begun.clone(), at(600), Outcome::Success, true);
    assert_eq!((told(&held), held.due_at), ((State::Progressing, 1, 1000), None));
    held.opens_at(at(900));
    assert_eq!(held.due_at, Some(at(900)));
    // What is due before stays, and what waits for somebody waits for nothing else.
    let mut early = settle(begun.clone(), at(1), Outcome::Success, true);
    early.opens_at(at(900));
    assert_eq!(early.due_at, Some(at(600)));
    let mut paused = obey(&begun, Command::Pause, "jane", at(1), None).expect("paused");
    paused.opens_at(at(900));
    assert_eq!(paused.due_at, None);
}

#[test]
fn a_step_may_end_with_a_pause_and_manual_begins_with_one() {
    let strategy = json!({ "type": "Staged", "steps": [{ "weight": 10, "hold": "1m", "pause": true }] });
    let rollout = settle(begun(strategy), at(0), Outcome::Success, false);
    let paused = settle(rollout, at(60), Outcome::Success, false);
    assert_eq!(paused.state, State::Paused);
    let resumed = obey(&paused, Command::Resume, "jane", at(100), None).unwrap();
    assert_eq!(settle(resumed, at(100), Outcome::Success, false).state, State::Completed);

    let manual = settle(begun(json!({ "type": "Manual" })), at(0), Outcome::Success, false);
    assert_eq!(told(&manual), (State::Paused, 1, 0));
    let all = obey(&manual, Command::Advance, "jane", at(5), None).unwrap();
    assert_eq!(told(&all), (State::Completed, 2, 10_000));
    assert_eq!(all.events.last().unwrap().by.as_deref(), Some("jane"));
}

#[test]
fn a_comparison_has_its_weights_until_it_ends() {
    let strategy = json!({
        "type": "AB", "until": "72h",
        "variants": [{ "version": "1.1.0", "weight": 20, "match": { "keys": ["acme"] } }, { "range": "^1.0", "weight": 30.5 }],
    });
    let rollout = begun(strategy);
    assert!(rollout.variants.iter().all(|variant| variant.weight == 0));
    let rollout = settle(rollout, at(0), Outcome::Success, false);
    let weights: Vec<u32> = rollout.variants.iter().map(|variant| variant.weight).collect();
    assert_eq!((weights, rollout.weight), (vec![0, 2000, 3050], 5050));
    assert_eq!(settle(rollout.clone(), at(72 * 3600 - 1), Outcome::Success, false).state, State::Progressing);
    assert_eq!(settle(rollout, at(72 * 3600), Outcome::Success, false).state, State::Completed);
}

/// Of those alone who are named, a pause ends as of a share.
#[test]
fn a_comparison_of_those_who_are_named_goes_on_where_it_was() {
    let variants = json!([{ "version": "1.1.0", "match": { "keys": ["acme"] } }]);
    let strategy =
        json!({ "type": "AB", "until": "72h", "variants": variants, "analysis": { "interval": "1m" } });
    let rollout = settle(begun(strategy), at(0), Outcome::Success, false);
    assert_eq!(told(&rollout), (State::Progressing, 1, 0));
    let paused = obey(&rollout, Command::Pause, "jane", at(60), None).unwrap();
    let resumed = obey(&paused, Command::Resume, "jane", at(120), None).unwrap();
    let resumed = settle(resumed, at(120), Outcome::Success, false);
    assert_eq!(told(&resumed), (State::Progressing, 1, 0));
}

#[test]
fn a_comparison_whose_time_is_over_before_it_begins_waits_for_somebody() {
    let strategy = |until: Timestamp, analysis: serde_json::Value| {
        json!({
            "type": "AB", "until": until, "analysis": analysis,
            "variants": [{ "version": "1.1.0", "weight": 20 }],
        })
    };
    for analysis in [json!(null), json!({ "interval": "1m", "deadline": "2h" })] {
        let over =
            settle(begun(strategy(at(-100_000), analysis.clone())), at(0), Outcome::Inconclusive, false);
        // A freeze window may last longer than the comparison was to.
        let frozen = settle(begun(strategy(at(600), analysis)), at(0), Outcome::Inconclusive, true);
        assert_eq!(frozen.state, State::Pending);
        let late = settle(frozen, at(600), Outcome::Inconclusive, false);
        for rollout in [over, late] {
            assert_eq!(told(&rollout), (State::Paused, 1, 0));
            assert!(rollout.variants.iter().all(|variant| variant.weight == 0));
            let reason = &rollout.events.last().unwrap().reason;
            assert_eq!(reason, "its time was over before it began: waits until somebody advances it");
            let later = settle(rollout.clone(), at(200_000), Outcome::Inconclusive, false);
            assert_eq!(later.state, State::Paused);
            let all = obey(&later, Command::Advance, "jane", at(200_000), None).unwrap();
            assert_eq!(told(&all), (State::Completed, 2, 10_000));
            // Nobody has it: there is nothing that an analysis could wait for.
            assert_eq!(obey(&later, Command::Resume, "jane", at(200_000), None).unwrap(), all);
            let mut named = later.clone();
            named.variants[0].keys = vec!["acme".into()];
            let resumed = obey(&named, Command::Resume, "jane", at(200_000), None).unwrap();
            assert_eq!(resumed.state, State::Progressing, "some have it");
        }
    }
}

#[test]
fn an_old_success_lets_nothing_pass() {
    let analysis = json!({ "interval": "1m", "deadline": "2h" });
    let step = json!({ "weight": 10, "hold": "1m", "pause": true });
    let strategy =
        json!({ "type": "Staged", "steps": [step, { "weight": 50, "hold": "1m" }], "analysis": analysis });
    let paused =
        settle(settle(begun(strategy), at(0), Outcome::Success, false), at(60), Outcome::Success, false);
    assert_eq!(told(&paused), (State::Paused, 1, 1000));
    let paused = settle(paused, at(120), Outcome::Inconclusive, false);
    let resumed = obey(&paused, Command::Resume, "jane", at(130), None).unwrap();
    let waits = settle(resumed, at(130), Outcome::Inconclusive, false);
    assert_eq!(
        told(&waits),
        (State::Progressing, 1, 1000),
        "it was looked at anew, and is not known to be good"
    );
    let second = settle(waits, at(190), Outcome::Success, false);
    assert_eq!(told(&second), (State::Progressing, 2, 5000));

    let completing = settle(second, at(250), Outcome::Success, true);
    assert_eq!(completing.state, State::Completing);
    let doubted = settle(completing.clone(), at(310), Outcome::Inconclusive, true);
    assert_eq!(told(&doubted), (State::Progressing, 2, 5000));
    assert_eq!(doubted.events.last().unwrap().reason, "no longer known to be good: Inconclusive");
    let open = settle(doubted.clone(), at(320), Outcome::Inconclusive, false);
    assert_eq!(told(&open), (State::Progressing, 2, 5000), "the freeze is over, and nobody gets it");
    assert_eq!(settle(open, at(370), Outcome::Success, false).state, State::Completed);
    // The deadline fires as in any other step, also in a freeze; an end is one event.
    let late = settle(doubted, at(250 + 7200), Outcome::Inconclusive, true);
    assert_eq!(late.state, State::Aborted);
    let held = settle(completing.clone(), at(100_000), Outcome::Success, true);
    assert_eq!(held.state, State::Completing);
    let doubted = settle(held.clone(), at(100_060), Outcome::Inconclusive, true);
    assert_eq!(doubted.state, State::Progressing, "it was good a minute ago");
    let late = tick(&held, at(100_000 + 7200), Outcome::Inconclusive, true);
    assert_eq!((late.state, late.events.len()), (State::Aborted, held.events.len() + 1));
    assert_eq!(late.events.last().unwrap().reason, "no verdict within 2h after the last good one");
    assert_eq!(
        settle(completing, at(310), Outcome::Success, false).events.last().unwrap().reason,
        "nothing holds it any more"
    );
}

#[test]
fn what_cannot_be_read_is_decided_by_the_deadline_alone() {
    for policy in ["Wait", "Pause", "Abort", "Promote"] {
        let strategy = two_steps(json!({ "interval": "1m", "inconclusive": policy, "deadline": "2h" }));
        let rollout = settle(begun(strategy), at(0), Outcome::Success, false);
        let unread = Verdict { unread: true, ..verdict(Outcome::Inconclusive) };
        let look = |rollout: &Rollout, seconds| {
            step(rollout, Given { now: at(seconds), verdict: Some(&unread), frozen: None })
        };
        let waits = look(&rollout, 600);
        assert_eq!(told(&waits), (State::Progressing, 1, 1000), "{policy}");
        assert!(waits.due_at.is_some_and(|due| due > at(600)), "{policy}");
        assert_eq!(look(&waits, 600 + 7200).state, State::Aborted, "{policy}");
    }
}

#[test]
fn what_was_to_be_compared_and_is_none_of_the_variants_says_so() {
    let mut rollout = begun(json!({ "type": "Manual" }));
    let manual = settle(rollout.clone(), at(0), Outcome::Success, false);
    assert_eq!(manual.events.last().unwrap().reason, "waits until somebody advances it");
    rollout.strategy.variants = vec![sower_crds::rollout::Variant { weight: 20.0, ..Default::default() }];
    let named = settle(rollout, at(0), Outcome::Success, false);
    let reason = &named.events.last().unwrap().reason;
    assert_eq!(reason, "no variant is 1.1.0: waits until somebody advances it");
}

#[test]
fn what_cannot_be_obeyed_is_said() {
    let rollout = settle(begun(two_steps(json!(null))), at(0), Outcome::Success, false);
    let table = [
        (Command::Resume, "its rollout is not paused"),
        (Command::Retry, "its rollout is under way: there is nothing to try again"),
    ];
    for (command, why) in table {
        assert_eq!(obey(&rollout, command, "jane", at(1), None).unwrap_err(), why);
    }
    let over = obey(&rollout, Command::Abort, "jane", at(1), None).unwrap();
    for command in [Command::Pause, Command::Resume, Command::Advance, Command::Abort] {
        assert_eq!(obey(&over, command, "jane", at(2), None).unwrap_err(), "its rollout is over (Aborted)");
    }
}

#[test]
fn a_clock_that_goes_back_does_not_make_a_step_longer() {
    let rollout = settle(begun(two_steps(json!({ "interval": "1m" }))), at(1000), Outcome::Success, false);
    let earlier = settle(rollout, at(0), Outcome::Success, false);
    assert_eq!(settle(earlier, at(600), Outcome::Success, false).step, 2);
}

/// What may happen to a rollout.
#[derive(Debug, Clone)]
enum Happens {
    /// Time passes, in seconds, and what would be seen by whoever looks then; the process may die before it writes.
    Time { seconds: i64, seen: Outcome, frozen: bool, dies: bool },
    /// Somebody says something.
    Said(Command, bool),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![4 => Just(Outcome::Success), 1 => Just(Outcome::Failure), 3 => Just(Outcome::Inconclusive)]
}

fn happens(jumps: bool) -> impl Strategy<Value = Happens> {
    let seconds = if jumps { -2000i64..4000 } else { 0i64..900 };
    let time = (seconds, outcome(), any::<bool>(), any::<bool>())
        .prop_map(|(seconds, seen, frozen, dies)| Happens::Time { seconds, seen, frozen, dies });
    let said = (prop::sample::select(&Command::ALL[..]), any::<bool>())
        .prop_map(|(command, frozen)| Happens::Said(command, frozen));
    prop_oneof![6 => time, 1 => said]
}

fn strategies() -> impl Strategy<Value = serde_json::Value> {
    let step = (0u32..=100, prop::option::of(1u32..900), prop::bool::weighted(0.2)).prop_map(
        |(weight, hold, pause)| {
            let mut step = json!({ "weight": weight, "pause": pause });
            if let Some(hold) = hold {
                step["hold"] = json!(format!("{hold}s"));
            }
            step
        },
    );
    let policy = prop::sample::select(vec!["Wait", "Pause", "Abort", "Promote"]);
    let analysis = prop::option::weighted(0.8, (1u32..300, policy, 60u32..3000));
    (prop::collection::vec(step, 1..4), analysis).prop_map(|(mut steps, analysis)| {
        steps.sort_by_key(|step| step["weight"].as_u64());
        let mut strategy = json!({ "type": "Staged", "steps": steps });
        if let Some((interval, policy, deadline)) = analysis {
            strategy["analysis"] = json!({
                "interval": format!("{interval}s"), "inconclusive": policy, "deadline": format!("{deadline}s"),
            });
        }
        strategy
    })
}

/// Those, and comparisons that end after a time, or at one that may have passed.
fn all_strategies() -> impl Strategy<Value = serde_json::Value> {
    let until = prop_oneof![
        (1u32..2000).prop_map(|seconds| format!("{seconds}s")),
        (-2000i64..2000).prop_map(|seconds| at(seconds).to_string()),
    ];
    let compared = (strategies(), until).prop_map(|(staged, until)| {
        let variants = json!([{ "version": "1.1.0", "weight": 20, "match": { "keys": ["acme"] } }]);
        let mut strategy = json!({ "type": "AB", "until": until, "variants": variants });
        if staged["analysis"].is_object() {
            strategy["analysis"] = staged["analysis"].clone();
        }
        strategy
    });
    prop_oneof![3 => strategies(), 1 => compared]
}

/// The model: the same rules, said once more with counters in place of times. Time only goes on.
struct Model {
    steps: Vec<(u32, i64, bool)>,
    /// Interval, policy and deadline.
    analysis: Option<(i64, String, i64)>,
    state: State,
    step: usize,
    /// Seconds of the step that were not paused, and since the last look, paused ones included.
    held: i64,
    since_look: Option<i64>,
    age: i64,
    last: Option<Outcome>,
    /// What was held when a look that counts last saw that it is good.
    good_at: Option<i64>,
    released: bool,
    paused_by_hand: bool,
}

impl Model {
    fn new(strategy: &serde_json::Value) -> Self {
        let seconds = |value: &serde_json::Value| {
            value.as_str().map_or(0, |text| text.trim_end_matches('s').parse::<i64>().unwrap())
        };
        let steps = strategy["steps"].as_array().unwrap().iter();
        let analysis = &strategy["analysis"];
        Self {
            steps: steps
                .map(|step| {
                    let weight = hundredths(step["weight"].as_f64().unwrap());
                    (weight, seconds(&step["hold"]), step["pause"].as_bool().unwrap())
                })
                .collect(),
            analysis: analysis.is_object().then(|| {
                let policy = analysis["inconclusive"].as_str().unwrap().to_owned();
                (seconds(&analysis["interval"]), policy, seconds(&analysis["deadline"]))
            }),
            state: State::Pending,
            step: 0,
            held: 0,
            since_look: None,
            age: 0,
            last: None,
            good_at: None,
            released: false,
            paused_by_hand: false,
        }
    }

    fn weight(&self) -> u32 {
        match (self.state, self.step) {
            (State::Completed, _) => 10_000,
            (_, 0) => 0,
            (state, _) if state.is_over() => 0,
            (_, step) => self.steps[step - 1].0,
        }
    }

    fn passes(&mut self, seconds: i64) {
        if self.state != State::Paused {
            self.held += seconds;
        }
        self.age += seconds;
        self.since_look = self.since_look.map(|since| since + seconds);
    }

    fn next(&mut self) {
        if self.step == self.steps.len() {
            self.state = State::Completed;
            self.step += 1;
        } else {
            self.step += 1;
            self.state = State::Progressing;
            (self.held, self.since_look, self.age) = (0, None, 0);
            (self.released, self.last, self.good_at) = (false, None, None);
        }
    }

    /// One look; whether something may be left to be done at this time.
    fn look(&mut self, seen: Outcome, frozen: bool) -> bool {
        if self.state.is_over() {
            return false;
        }
        if self.step == 0 {
            if self.state == State::Pending && !frozen {
                self.next();
                return true;
            }
            return false;
        }
        let (_, hold, pause) = self.steps[self.step - 1];
        let over = self.held >= hold;
        let mut failed = false;
        if let Some((interval, ..)) = &self.analysis {
            let regular = self.since_look.unwrap_or(self.age) >= *interval;
            let counts = over && self.state != State::Paused;
            if regular || (counts && self.last.is_none()) {
                self.since_look = Some(0);
                failed = seen == Outcome::Failure;
                if counts {
                    self.last = Some(seen);
                    if seen == Outcome::Success {
                        self.good_at = Some(self.held);
                    }
                }
            }
        }
        let outcome = self.last;
        if failed {
            self.state = State::RolledBack;
            return false;
        }
        if !matches!(self.state, State::Progressing | State::Completing) {
            return false;
        }
        let mut good = over && (self.analysis.is_none() || outcome == Some(Outcome::Success));
        if let (Some((_, policy, _)), Some(Outcome::Inconclusive), true) = (&self.analysis, outcome, over) {
            match policy.as_str() {
                "Promote" => good = true,
                "Abort" => {
                    self.state = State::Aborted;
                    return false;
                }
                "Pause" if !self.released => {
                    (self.state, self.paused_by_hand) = (State::Paused, false);
                    return false;
                }
                _ => {}
            }
        }
        if good && pause && !self.released {
            (self.state, self.paused_by_hand) = (State::Paused, false);
            return false;
        }
        if good && frozen {
            if self.step == self.steps.len() {
                self.state = State::Completing;
            }
            return false;
        }
        if good {
            self.next();
            return true;
        }
        let bad = outcome != Some(Outcome::Success);
        // What is no longer known to be good has not proved itself.
        self.state = State::Progressing;
        let since = self.good_at.unwrap_or(hold).max(hold);
        if bad && self.analysis.as_ref().is_some_and(|(.., deadline)| self.held >= since + deadline) {
            self.state = State::Aborted;
        }
        false
    }

    fn said(&mut self, command: Command, frozen: bool) {
        match (command, self.state) {
            (_, state) if state.is_over() => {}
            (Command::Abort, _) => self.state = State::Aborted,
            (Command::Pause, State::Paused) => {}
            (Command::Pause, _) => (self.state, self.paused_by_hand) = (State::Paused, true),
            (Command::Resume, State::Paused) => {
                self.released |= !self.paused_by_hand;
                self.last = None;
                self.state = if self.step == 0 { State::Pending } else { State::Progressing };
            }
            (Command::Advance, _) if !frozen => self.next(),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn it_does_what_the_model_does(strategy in strategies(), events in prop::collection::vec(happens(false), 1..40)) {
        let (mut rollout, mut model, mut now) = (begun(strategy.clone()), Model::new(&strategy), 0);
        for event in events {
            match &event {
                Happens::Time { seconds, seen, frozen, dies } => {
                    now += seconds;
                    model.passes(*seconds);
                    if *dies {
                        // What was not written did not happen: the next one does it.
                        let lost = settle(rollout.clone(), at(now), *seen, *frozen);
                        prop_assert_eq!(&settle(rollout.clone(), at(now), *seen, *frozen), &lost);
                    }
                    rollout = settle(rollout, at(now), *seen, *frozen);
                    while model.look(*seen, *frozen) {}
                }
                Happens::Said(command, frozen) => {
                    let frozen_until = frozen.then_some("frozen");
                    if let Ok(after) = obey(&rollout, *command, "jane", at(now), frozen_until) {
                        rollout = after;
                    }
                    model.said(*command, *frozen);
                }
            }
            let expect = (model.state, model.step as u32, model.weight());
            prop_assert_eq!(told(&rollout), expect, "after {:?}: {:#?}", event, rollout);
        }
    }

    #[test]
    fn what_it_promises_holds_whatever_the_clock_does(
        strategy in all_strategies(),
        events in prop::collection::vec(happens(true), 1..40),
    ) {
        let (mut rollout, mut now, mut proved) = (begun(strategy.clone()), 0i64, 0u32);
        let mut had = false;
        for event in events {
            let before = rollout.clone();
            let (seen, frozen) = match &event {
                Happens::Time { seconds, seen, frozen, dies: _ } => {
                    now += seconds;
                    let looked = looks(&rollout, at(now));
                    rollout = tick(&rollout, at(now), *seen, *frozen);
                    (looked.then_some(*seen), *frozen)
                }
                Happens::Said(command, frozen) => {
                    let after = obey(&rollout, *command, "jane", at(now), frozen.then_some("frozen"));
                    if *command == Command::Abort && !before.state.is_over() {
                        prop_assert_eq!(after.as_ref().map(|after| after.state), Ok(State::Aborted));
                    }
                    if matches!(command, Command::Advance | Command::Resume) && after.is_ok() {
                        proved = proved.max(before.step);
                    }
                    rollout = after.unwrap_or(rollout);
                    (None, *frozen)
                }
            };
            if before.state.is_over() {
                prop_assert_eq!(&rollout, &before, "what is over stays so");
                continue;
            }
            prop_assert!(rollout.events.len() <= before.events.len() + 1, "one event at a time");
            if seen == Some(Outcome::Failure) {
                prop_assert_eq!(rollout.state, State::RolledBack, "a bad verdict is obeyed in any state");
            }
            let exposes = rollout.weight > before.weight;
            prop_assert!(!(exposes && frozen), "nobody gets it in a freeze");
            let goes_on = !rollout.state.is_over();
            prop_assert!(!goes_on || rollout.weight >= before.weight, "who has it keeps it until it ends");
            let analysed = strategy["analysis"].is_object();
            let promotes = strategy["analysis"]["inconclusive"] == "Promote";
            if rollout.step > before.step && before.step > 0 && analysed && !promotes {
                // It may have waited for a freeze to end since.
                let proved_before = before.progress.last == Some(Outcome::Success);
                let good = seen == Some(Outcome::Success) || before.step <= proved || proved_before;
                prop_assert!(good, "no step is passed without a good verdict or somebody who says so");
            }
            let over = rollout.state == State::Progressing && analysed && !promotes;
            if over && matches!(event, Happens::Time { .. }) && rollout.progress.last != Some(Outcome::Success) {
                prop_assert!(rollout.deadline().is_none_or(|deadline| deadline > at(now)), "a deadline fires");
            }
            prop_assert!(rollout.state != State::Completed || rollout.weight == 10_000);
            had |= rollout.weight > 0 && rollout.state != State::Completed;
            if strategy["type"] == "AB" && rollout.state == State::Completed && !had {
                let said = rollout.events.iter().any(|event| event.by.is_some());
                prop_assert!(said, "nobody had it, and nobody said so");
            }
            if let Happens::Time { seen, frozen, .. } = &event {
                let settled = settle(rollout.clone(), at(now), *seen, *frozen);
                prop_assert!(settled.due_at.is_none_or(|due| due > at(now)), "due in the past: {settled:#?}");
            }
            let again: Rollout = rollout.clone();
            let stored = serde_json::to_string(&(&again.events, &again.progress, &again.variants)).unwrap();
            let read: (Vec<_>, Progress, Vec<_>) = serde_json::from_str(&stored).unwrap();
            prop_assert_eq!((read.0, read.1, read.2), (again.events, again.progress, again.variants));
        }
    }
}

#[test]
fn a_duration_is_read_as_it_is_written() {
    let hold = sower_core::rollout::stages::lasts("2026-11-21T16:02:00Z", start());
    assert_eq!(hold, Some(Duration::from_secs(7200)));
}
