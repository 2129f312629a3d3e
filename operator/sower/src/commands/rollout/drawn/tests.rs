use std::fmt::Write as _;

use serde_json::json;
use sower_core::plan::Content;
use sower_core::rollout::analysis::{Check, Outcome, Verdict};
use sower_core::rollout::{Event, Progress, Variant, WHOLE};

use super::*;

/// The time of day of the transcripts.
fn at(time: &str) -> Timestamp {
    match time.contains('T') {
        true => time.parse(),
        false => format!("2026-11-21T{time}Z").parse(),
    }
    .expect("a time")
}

fn event(time: &str, state: State, step: u32, weight: u32) -> Event {
    Event { at: at(time), state, step, weight, reason: String::new(), by: None }
}

fn check(name: &str, stable: &str, candidate: &str, limit: &str, note: &str) -> Check {
    Check {
        name: name.into(),
        candidate: candidate.into(),
        stable: stable.into(),
        limit: limit.into(),
        outcome: Outcome::Success,
        note: note.into(),
    }
}

/// 10% for ten minutes, 50% for an hour; it is 14:30, and the second step began at 14:12.
fn rollout() -> Rollout {
    let strategy = json!({
        "type": "Staged", "steps": [{ "weight": 10.0, "hold": "10m" }, { "weight": 50.0, "hold": "1h" }],
        "analysis": { "successRate": { "min": 0.99 } },
    });
    let content =
        |version: &str| Content { version: version.into(), checksum: format!("v1:{version}{:0<64}", 0) };
    Rollout {
        id: "r".into(),
        environment: "production".into(),
        integration: "stripe".into(),
        from: content("1.0.0"),
        to: content("1.1.0"),
        variants: vec![Variant { version: "1.1.0".into(), weight: 5000, ..Variant::default() }],
        salt: "salt".into(),
        step: 2,
        weight: 5000,
        state: State::Progressing,
        events: vec![
            event("14:02:00", State::Progressing, 1, 1000),
            event("14:12:00", State::Progressing, 2, 5000),
        ],
        strategy: serde_json::from_value(strategy).expect("a strategy"),
        verdict: Some(Verdict {
            version: String::new(),
            outcome: Outcome::Success,
            reason: String::new(),
            checks: vec![
                check("executions", "24,402", "24,117", ">= 100", ""),
                check("success rate", "99.81%", "99.78%", ">= 99%", ""),
                check("error rate difference", "", "+0.03%", "<= 1%", "p = 0.51"),
            ],
            unread: false,
        }),
        progress: Progress::default(),
        source: "catalog".into(),
        path: "stripe.yaml".into(),
        revision: "main@sha1:0".into(),
        seeding: "s".into(),
        started_at: at("14:02:00"),
        step_started_at: at("14:12:00"),
        due_at: Some(at("14:30:40")),
        ended_at: None,
    }
}

const NOW: &str = "14:30:00";

/// What everybody has where nothing came after the end of the rollout.
fn left(rollout: &Rollout) -> Since {
    let stable = if rollout.state == State::Completed { &rollout.to } else { &rollout.from };
    Since { stable: Some(stable.version.clone()), kept_out: rollout.ended_badly().then_some(false) }
}

fn place<'a>(spec: &'a EnvironmentSpec, since: &'a Since) -> Place<'a> {
    let flags = " -n sower";
    Place { environment: "production", flags, files: false, spec, freeze_override: None, since }
}

fn shown(rollout: &Rollout, now: &str) -> String {
    shown_in(&EnvironmentSpec::default(), rollout, now)
}

fn shown_in(spec: &EnvironmentSpec, rollout: &Rollout, now: &str) -> String {
    let since = left(rollout);
    drawn(rollout, &place(spec, &since), at(now))
}

/// From 14:00 to 16:00 nobody more gets it.
fn freezing() -> EnvironmentSpec {
    let window = json!({ "freezeWindows": [{ "schedule": "0 14 * * *", "duration": "2h" }] });
    serde_json::from_value(window).expect("a spec")
}

/// It ended in its first step.
fn ended(state: State, reason: &str, by: Option<&str>) -> Rollout {
    let (ended_at, by) = (Some(at("14:05:00")), by.map(str::to_owned));
    let end = Event { at: at("14:05:00"), state, step: 1, weight: 0, reason: reason.into(), by };
    let events = vec![event("14:02:00", State::Progressing, 1, 1000), end];
    Rollout {
        state,
        events,
        step: 1,
        weight: 0,
        step_started_at: at("14:02:00"),
        due_at: None,
        ended_at,
        ..rollout()
    }
}

const WHY: &str = "success rate 95.79%, limit 99% (9 of 214 failed; 1.0.0: 0.19%)";

/// The transcripts that were agreed upon.
#[test]
fn a_rollout_is_drawn_as_agreed() {
    assert_eq!(
        shown(&rollout(), NOW),
        "\
stripe 1.0.0 -> 1.1.0   Progressing, step 2 of 3: 50% of consumers, 18 min of 1h held

   10%  ##########  held 10 min   14:02 - 14:12
   50%  ###.......  18 min of 1h  14:12 - 15:12
  100%  ..........

                         1.0.0    1.1.0    LIMIT         VERDICT
executions              24,402   24,117    >= 100        ok
success rate            99.81%   99.78%    >= 99%        ok
error rate difference            +0.03%    <= 1%         ok (p = 0.51)

Next analysis in 40s; completes at 15:12 if all stays well. Stop it: sower rollout abort stripe -e production -n sower
"
    );
    assert_eq!(
        shown(&ended(State::RolledBack, WHY, None), NOW),
        "\
stripe 1.0.0 -> 1.1.0   RolledBack from step 1 of 3 (10%) after 3 min: success rate 95.79%, limit 99% (9 of 214 failed; 1.0.0: 0.19%)

   10%  ###.......  rolled back   14:02 - 14:05

Everyone has 1.0.0 since 14:05. stripe 1.1.0 stays out until a newer version arrives.
Try the same again: sower rollout retry stripe -e production -n sower
"
    );
}

/// A comparison of two versions with the stable one, for three days.
fn compared() -> Rollout {
    let mut rollout = rollout();
    let labels = [("plan".to_owned(), "beta".to_owned())].into();
    rollout.variants = vec![
        Variant {
            version: "1.1.0".into(),
            weight: 2000,
            keys: vec!["a".into(), "b".into()],
            labels,
            ..Variant::default()
        },
        Variant { version: "1.2.0-rc.1".into(), weight: 1250, ..Variant::default() },
    ];
    rollout.strategy = serde_json::from_value(json!({ "type": "AB", "until": "72h" })).expect("a strategy");
    (rollout.verdict, rollout.due_at, rollout.step, rollout.weight) =
        (None, Some(at("2026-11-24T14:02:00Z")), 1, 2000);
    rollout.step_started_at = at("14:02:00");
    rollout
}

/// Every state, and what makes its lines others.
fn all() -> Vec<(&'static str, Rollout, &'static str)> {
    let change = |change: &dyn Fn(&mut Rollout)| {
        let mut rollout = rollout();
        change(&mut rollout);
        rollout
    };
    let say = |rollout: &mut Rollout, state: State, reason: &str, by: Option<&str>| {
        let (step, weight) = (rollout.step, rollout.weight);
        let by = by.map(str::to_owned);
        rollout.events.push(Event { at: at("14:20:00"), state, step, weight, reason: reason.into(), by });
        rollout.state = state;
    };
    vec![
        (
            "the first step, of which nobody knows when it ends",
            change(&|r| {
                (r.step, r.weight, r.step_started_at) = (1, 1000, at("14:25:00"));
                r.events = vec![event("14:25:00", State::Progressing, 1, 1000)];
                r.strategy.steps[0].hold = None;
                r.verdict = None;
            }),
            NOW,
        ),
        (
            "time alone decides",
            change(&|r| {
                (r.strategy.analysis, r.verdict) = (None, None);
            }),
            NOW,
        ),
        ("its time is over and nothing is decided", rollout(), "15:40:00"),
        ("it pauses by itself", change(&|r| r.strategy.steps[1].pause = true), NOW),
        (
            "somebody ended the first step",
            change(&|r| {
                r.events[1].by = Some("jane".into());
                (r.events[1].at, r.step_started_at) = (at("14:05:00"), at("14:05:00"));
            }),
            NOW,
        ),
        (
            "paused",
            change(&|r| {
                say(r, State::Paused, "a customer called", Some("jane"));
                r.progress.paused_at = Some(at("14:20:00"));
                r.due_at = None;
            }),
            NOW,
        ),
        (
            "resumed",
            change(&|r| {
                say(r, State::Paused, "a customer called", Some("jane"));
                say(r, State::Progressing, "", Some("joe"));
                r.progress.paused_ms = 5 * 60_000;
            }),
            NOW,
        ),
        (
            "pending",
            change(&|r| {
                (r.state, r.step, r.weight, r.verdict) = (State::Pending, 0, 0, None);
                r.events = vec![event("14:29:00", State::Pending, 0, 0)];
            }),
            NOW,
        ),
        (
            "by hand",
            change(&|r| {
                (r.state, r.step, r.weight, r.verdict, r.due_at) = (State::Paused, 1, 0, None, None);
                (r.events, r.progress.paused_at) =
                    (vec![event("14:29:00", State::Paused, 1, 0)], Some(at("14:29:00")));
                r.strategy = serde_json::from_value(json!({ "type": "Manual" })).expect("a strategy");
                r.variants[0].keys = vec!["a".into()];
            }),
            NOW,
        ),
        (
            "frozen before it began",
            change(&|r| {
                (r.state, r.step, r.weight, r.verdict, r.due_at) = (State::Pending, 0, 0, None, None);
                r.events = vec![event("14:29:00", State::Pending, 0, 0)];
            }),
            NOW,
        ),
        (
            "frozen",
            change(&|r| {
                say(r, State::Completing, "frozen until 16:00 (weekend)", None);
                r.due_at = Some(at("16:00:00"));
            }),
            "15:20:00",
        ),
        ("frozen in the middle of a step", rollout(), NOW),
        (
            "frozen when its step was over",
            change(&|r| {
                r.progress.last = Some(Outcome::Success);
                r.due_at = Some(at("15:20:40"));
            }),
            "15:20:00",
        ),
        (
            "completed",
            change(&|r| {
                r.events.push(event("15:12:00", State::Completed, 3, WHOLE));
                (r.state, r.step, r.weight, r.ended_at) = (State::Completed, 3, WHOLE, Some(at("15:12:00")));
            }),
            "2026-11-22T08:00:00Z",
        ),
        ("aborted", ended(State::Aborted, "a customer called", Some("jane")), NOW),
        ("superseded", ended(State::Superseded, "the sources have 1.2.0", None), NOW),
        (
            "superseded before it began",
            change(&|r| {
                r.events =
                    vec![event("14:02:00", State::Pending, 0, 0), event("14:05:00", State::Superseded, 0, 0)];
                (r.state, r.step, r.weight, r.ended_at) = (State::Superseded, 0, 0, Some(at("14:05:00")));
            }),
            NOW,
        ),
        ("compared", compared(), NOW),
        (
            "compared with what nobody knows",
            Rollout {
                strategy: serde_json::from_value(json!({ "type": "AB", "until": "72h", "variants": [
                    { "version": "1.1.0", "weight": 20.0 }, { "version": "0.9.0", "weight": 10.0 },
                ] }))
                .expect("a strategy"),
                ..compared()
            },
            NOW,
        ),
        (
            "one version with another content",
            change(&|r| {
                r.from = Content { version: "1.1.0".into(), checksum: "v1:3f2c1a9d4be8".into() };
                r.to = Content { version: "1.1.0".into(), checksum: "v1:9d41e07b2f6c".into() };
                r.verdict = None;
            }),
            NOW,
        ),
    ]
}

#[test]
fn every_state_is_drawn() {
    let mut text = String::new();
    for (what, rollout, now) in all() {
        let spec = if what.starts_with("frozen") { freezing() } else { EnvironmentSpec::default() };
        let _ = write!(text, "## {what}\n{}\n", shown_in(&spec, &rollout, now));
    }
    insta::assert_snapshot!(text);
}

/// Time in which it was paused is none of its comparison.
#[test]
fn a_comparison_that_was_paused_is_drawn_by_what_is_left_of_it() {
    let mut rollout = compared();
    rollout.strategy.until = Some("1h".into());
    rollout.progress.paused_ms = 15 * 60_000;
    let text = shown(&rollout, "15:10:00");
    for line in [
        "Progressing, compared until 15:17: 20% have 1.1.0, 12.5% have 1.2.0-rc.1",
        "########..  53 min of 1h  14:02 - 15:17",
        "Everyone has 1.1.0 from 15:17 on.",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    rollout.state = State::Paused;
    rollout.progress.paused_at = Some(at("15:05:00"));
    assert!(!shown(&rollout, "15:30:00").contains(" of 1h"), "it has no end yet");
}

#[test]
fn no_line_ends_in_blanks_and_no_bar_is_longer_than_a_bar() {
    for now in ["14:12:00", NOW, "2027-01-01T00:00:00Z", "2020-01-01T00:00:00Z"] {
        for (what, rollout, _) in all() {
            for line in shown(&rollout, now).lines() {
                assert_eq!(line, line.trim_end(), "{what}");
                let bar =
                    line.split(' ').find(|word| word.len() > 3 && word.chars().all(|c| "#.".contains(c)));
                assert!(bar.is_none_or(|bar| bar.len() == 10), "{what}: {line}");
            }
        }
    }
}

#[test]
fn with_files_what_is_due_waits_for_a_seeding() {
    let (spec, since) = (EnvironmentSpec::default(), Since::default());
    let place = Place { flags: "", files: true, ..place(&spec, &since) };
    let closing = |now: &str| closing(&rollout(), &place, at(now));
    assert!(!closing(NOW).contains("sower seed"), "{}", closing(NOW));
    assert_eq!(
        closing("14:31:00"),
        "Next analysis is due; completes at 15:12 if all stays well; what is due happens with sower seed -e production. \
         Stop it: sower rollout abort stripe -e production"
    );
}

/// What came after the end of a rollout is what is told.
#[test]
fn what_everybody_has_is_what_everybody_has_now() {
    let spec = EnvironmentSpec::default();
    let mut completed = ended(State::Completed, "", None);
    completed.step = 3;
    let since = |stable: Option<&str>, kept_out| Since { stable: stable.map(str::to_owned), kept_out };
    for (rollout, since, expected) in [
        (&completed, since(Some("1.1.0"), None), "Everyone has 1.1.0 since 14:05."),
        (&completed, since(Some("1.0.0"), None), "Everyone had 1.1.0 at 14:05. Everyone has 1.0.0 now."),
        (
            &completed,
            since(None, None),
            "Everyone had 1.1.0 at 14:05. Nobody has stripe now: production does not carry it.",
        ),
        (&ended(State::Superseded, "", None), since(Some("1.2.0"), None), "Everyone has 1.2.0 now."),
        (
            &ended(State::Aborted, "", None),
            since(None, Some(false)),
            "Nobody has stripe now: production does not carry it. stripe 1.1.0 stays out until a newer version arrives.\n\
             Try the same again: sower rollout retry stripe -e production -n sower",
        ),
        (&ended(State::RolledBack, "", None), since(Some("1.2.0"), None), "Everyone has 1.2.0 now."),
        (
            &ended(State::RolledBack, "", None),
            since(Some("1.0.0"), Some(true)),
            "Everyone has 1.0.0 since 14:05. stripe 1.1.0 is asked back: the next seeding begins it again.",
        ),
    ] {
        assert_eq!(closing(rollout, &place(&spec, &since), at(NOW)), expected);
    }
}

#[test]
fn an_end_is_told_with_what_says_more_than_its_state() {
    let told = |reason: &str, by: Option<&str>| {
        let rollout = Rollout { step: 3, weight: WHOLE, ..ended(State::Completed, reason, by) };
        headline(&rollout, at(NOW))
    };
    assert_eq!(told("advanced", Some("jane")), "stripe 1.0.0 -> 1.1.0   Completed by jane after 3 min");
    assert_eq!(told("all is well", None), "stripe 1.0.0 -> 1.1.0   Completed after 3 min");
    let left = "all is well; billing 1.0.0 wants another version";
    assert_eq!(told(left, None), format!("stripe 1.0.0 -> 1.1.0   Completed after 3 min: {left}"));
    let aborted = headline(&ended(State::Aborted, "aborted", Some("jane")), at(NOW));
    assert_eq!(aborted, "stripe 1.0.0 -> 1.1.0   Aborted by jane from step 1 of 3 (10%) after 3 min");
}

#[test]
fn a_look_that_found_nothing_says_why() {
    let mut rollout = rollout();
    let verdict = rollout.verdict.as_mut().expect("one");
    (verdict.outcome, verdict.reason) = (Outcome::Inconclusive, "reading usage: integer overflow".into());
    assert!(!shown(&rollout, NOW).contains("integer overflow"), "its checks say it");
    rollout.verdict.as_mut().expect("one").checks.clear();
    let told = shown(&rollout, NOW);
    assert!(told.contains("\n\nreading usage: integer overflow\n\nNext analysis"), "{told}");
}
