//! The course of a rollout: what its executions say, what people say, and what time says.

use std::time::Instant;

use jiff::Timestamp;

use super::{
    HELD, JUDGED, PATIENCE, assert_settled, at, begun, complete, count, kept_out, live, looked, raise,
    reaches, run, seed, seeded, status, tell, time, until,
};
use crate::checkout::Checkout;

#[test]
fn a_good_version_reaches_all() {
    let checkout = begun(JUDGED);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    assert_settled(&checkout);
    until(&checkout, "completed", || {
        count(&checkout, "1.1.0", 100, 2);
        at(&checkout, "stripe").starts_with("Completed")
    });
    assert_eq!(at(&checkout, "stripe"), "Completed 3/3 100%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
    assert_settled(&checkout);
    let log = checkout.json("history -e production -q -o json");
    assert_eq!(log[0]["reason"], "rollout of stripe 1.0.0 -> 1.1.0 completed");
    assert_eq!((&log[0]["updated"], log.as_array().map(Vec::len)), (&1.into(), Some(3)));
    assert_eq!(run(&checkout, "resolve stripe -e production --key acme -q"), "1.1.0\n");
    let reasons: Vec<_> = status(&checkout, "stripe")["events"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|event| event["reason"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(reasons, ["1.0.0 -> 1.1.0", "step 1 of 3", "step 2 of 3", "all is well"]);
}

/// The executions of a minute in which one step ends and another begins are told apart.
#[test]
fn each_step_is_judged_by_its_own_executions() {
    let checkout = begun(JUDGED);
    count(&checkout, "1.1.0", 100, 0);
    reaches(&checkout, "Progressing 2/3 50%");
    assert_eq!(looked(&checkout), "0 executions of 1.1.0, 20 needed");
    // What is counted from now on is the step's own: 20 of 40 fail, and 100 good ones of the step before help nothing.
    count(&checkout, "1.1.0", 40, 20);
    reaches(&checkout, "RolledBack");
    let reason = status(&checkout, "stripe")["reason"].clone();
    assert_eq!(reason, "success rate 50.00%, limit 90% (20 of 40 failed)");
}

#[test]
fn a_bad_version_goes_back_with_the_first_look_at_it() {
    let checkout = begun(JUDGED);
    let before = checkout.read("SELECT group_concat(seeding || updated_at) FROM action_registry");
    count(&checkout, "1.0.0", 1000, 1);
    count(&checkout, "1.1.0", 100, 40);
    let due = time(&status(&checkout, "stripe"), "dueAt");
    until(&checkout, "due", || Timestamp::now() >= due);
    // This one looks, if the last did not.
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "RolledBack 1/3 0%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    assert_eq!(checkout.read("SELECT group_concat(seeding || updated_at) FROM action_registry"), before);
    assert_eq!(kept_out(&checkout), ["stripe 1.1.0"]);
    let shown = checkout.run("rollout status stripe -e production -q");
    assert_eq!(shown.exit, 1, "{}", shown.out);
    let why = "success rate 60.00%, limit 90% (40 of 100 failed; 1.0.0: 0.10%)";
    assert!(shown.out.contains(why), "{}", shown.out);
    // It stays out, and everything else is well.
    let report = checkout.json("seed -e production -q -o json");
    assert_eq!((&report["status"], &report["quarantined"][0]), (&"unchanged".into(), &"stripe".into()));
    assert_settled(&checkout);
    let conditions = checkout.json("status -e production -q -o json");
    let said = |kind: &str| {
        let all = conditions["conditions"].as_array().into_iter().flatten();
        let mut found =
            all.filter(|condition| condition["type"] == kind).map(|condition| &condition["status"]);
        found.next().cloned().unwrap_or_default()
    };
    assert_eq!((said("Ready"), said("Healthy")), ("True".into(), "False".into()));
}

#[test]
fn from_bad_to_bad_the_stable_version_stays() {
    let checkout = begun(JUDGED);
    count(&checkout, "1.1.0", 100, 40);
    reaches(&checkout, "RolledBack");
    raise(&checkout, "stripe", "1.2.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.2.0");
    count(&checkout, "1.2.0", 100, 40);
    reaches(&checkout, "RolledBack 1/3 0%: 1.0.0 to 1.2.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    assert!(kept_out(&checkout).contains(&"stripe 1.2.0".to_owned()), "{:?}", kept_out(&checkout));
    // And a good one takes its place.
    raise(&checkout, "stripe", "1.3.0");
    until(&checkout, "completed", || {
        if at(&checkout, "stripe").contains("to 1.3.0") {
            count(&checkout, "1.3.0", 100, 1);
        }
        at(&checkout, "stripe").starts_with("Completed")
    });
    assert_eq!(live(&checkout, "stripe"), "1.3.0");
    assert!(kept_out(&checkout).is_empty(), "{:?}", kept_out(&checkout));
}

#[test]
fn a_bad_stable_version_blocks_no_good_one() {
    let compared = JUDGED.replace("successRate: { min: 0.9 }", "errorRateDifference: { max: 0.01 }");
    let checkout = begun(&compared);
    until(&checkout, "completed", || {
        count(&checkout, "1.0.0", 900, 450);
        count(&checkout, "1.1.0", 100, 2);
        at(&checkout, "stripe").starts_with("Completed")
    });
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}

#[test]
fn a_handful_of_executions_decides_nothing() {
    let checkout = begun(JUDGED);
    assert_eq!(looked(&checkout), "0 executions of 1.1.0, 20 needed");
    count(&checkout, "1.1.0", 19, 19);
    let said = || status(&checkout, "stripe")["verdict"]["reason"] == "19 executions of 1.1.0, 20 needed";
    until(&checkout, "looked at again", said);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
}

#[test]
fn what_was_aborted_is_tried_again_and_promoted() {
    let checkout = begun(HELD);
    let first = status(&checkout, "stripe");
    tell(&checkout, "advance stripe");
    assert_eq!(tell(&checkout, "abort stripe"), "stripe 1.1.0 aborted, everyone has 1.0.0\n");
    assert_eq!(at(&checkout, "stripe"), "Aborted 2/3 0%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Aborted 2/3 0%: 1.0.0 to 1.1.0");
    for words in ["abort", "pause", "resume", "advance"] {
        let ran = checkout.run(&format!("rollout {words} stripe -e production -q"));
        assert_eq!(ran.exit, 1, "{words}");
        assert!(ran.err.contains("its rollout is over (Aborted). Nothing was written."), "{}", ran.err);
    }
    tell(&checkout, "retry stripe");
    let second = status(&checkout, "stripe");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_ne!(first["id"], second["id"]);
    assert!(kept_out(&checkout).is_empty());
    let again = checkout.run("rollout retry stripe -e production -q");
    assert!(again.err.contains("under way: there is nothing to try again"), "{}", again.err);
    complete(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Completed 3/3 100%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
    let over = checkout.run("rollout retry stripe -e production -q");
    assert_eq!(over.exit, 1, "{}", over.out);
}

#[test]
fn what_is_tried_again_is_judged_anew() {
    let checkout = begun(JUDGED);
    count(&checkout, "1.1.0", 100, 40);
    reaches(&checkout, "RolledBack");
    assert_eq!(tell(&checkout, "retry stripe"), "stripe 1.0.0 -> 1.1.0: step 1 of 3, 10% of consumers\n");
    assert_eq!(looked(&checkout), "0 executions of 1.1.0, 20 needed");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
}

#[test]
fn what_is_paused_stays_until_somebody_resumes_it() {
    let checkout = begun(&HELD.replace("1h", "1s"));
    tell(&checkout, "pause stripe");
    let began = time(&status(&checkout, "stripe"), "stepStartedAt");
    until(&checkout, "beyond its time", || {
        Timestamp::now() > began + jiff::SignedDuration::from_millis(1_500)
    });
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Paused 1/3 10%: 1.0.0 to 1.1.0");
    let again = checkout.run("rollout pause stripe -e production -q");
    assert!(again.err.contains("its rollout is paused already"), "{}", again.err);
    tell(&checkout, "resume stripe");
    // The time that it was paused is not counted.
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    reaches(&checkout, "Completed");
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}

#[test]
fn what_is_paused_goes_back_all_the_same() {
    let checkout = begun(JUDGED);
    tell(&checkout, "pause stripe");
    count(&checkout, "1.1.0", 100, 40);
    reaches(&checkout, "RolledBack");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
}

/// Nobody uses the new version: what is done then is said in the spec, and the deadline comes in any case.
#[test]
fn without_executions_nothing_is_concluded() {
    for (policy, deadline, expected, reason) in [
        ("Wait", "2s", "Aborted 1/2 0%", "no verdict within 2s after its time"),
        ("Pause", "1h", "Paused 1/2 10%", "inconclusive: 0 executions of 1.1.0, 100 needed"),
        ("Abort", "1h", "Aborted 1/2 0%", "inconclusive: 0 executions of 1.1.0, 100 needed"),
        ("Promote", "1h", "Completed 2/2 100%", "all is well"),
    ] {
        let checkout = begun(&format!(
            "  rollout:\n    default:\n      type: Staged\n      steps: [{{ weight: 10, hold: 1s }}]\n      analysis: \
             {{ interval: 1s, successRate: {{ min: 0.9 }}, inconclusive: {policy}, deadline: {deadline} }}\n"
        ));
        reaches(&checkout, expected);
        assert_eq!(status(&checkout, "stripe")["reason"], reason, "{policy}");
        let version = if expected.starts_with("Completed") { "1.1.0" } else { "1.0.0" };
        assert!(live(&checkout, "stripe").starts_with(version), "{policy}: {}", live(&checkout, "stripe"));
    }
}

/// Counts what is no text.
fn garble_usage(checkout: &Checkout, id: &str) {
    checkout.sql(&format!(
        "INSERT INTO integration_usage (environment, integration_id, version, execution_count) \
         VALUES ('production', '{id}', CAST(x'ff' AS TEXT), 100)"
    ));
}

/// What is counted cannot be read: that is told, no version stays for it, and none is let through.
#[test]
fn the_deadline_comes_though_usage_cannot_be_read() {
    let checkout = begun(
        "  rollout:\n    default:\n      type: Staged\n      steps: [{ weight: 10, hold: 1s }]\n      \
         analysis: { interval: 1s, minimumSample: 20, successRate: { min: 0.9 }, inconclusive: Promote, deadline: 2s }\n",
    );
    garble_usage(&checkout, "stripe");
    let (begun, mut told) = (Instant::now(), false);
    while !at(&checkout, "stripe").starts_with("Aborted") {
        assert!(begun.elapsed() < PATIENCE, "never aborted: {}", status(&checkout, "stripe"));
        let ran = checkout.run("seed -e production -q");
        told |= ran.exit == 1 && ran.err.contains("the usage of stripe in production cannot be read");
        assert!(!ran.err.contains("Nothing was written"), "that is not known of a step: {}", ran.err);
    }
    assert!(told, "the error is told");
    assert_eq!(status(&checkout, "stripe")["reason"], "no verdict within 2s after its time");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
}

/// What is said to one rollout is obeyed, and told, whatever keeps another one from moving.
#[test]
fn what_fails_beside_a_command_that_was_obeyed_is_a_warning() {
    let checkout = seeded(JUDGED);
    super::write(&checkout, "slack", "1.1.0", "");
    super::write(&checkout, "stripe", "1.1.0", "");
    checkout.commit("Both");
    seed(&checkout);
    garble_usage(&checkout, "slack");
    let begun = Instant::now();
    let told = loop {
        assert!(begun.elapsed() < PATIENCE, "slack is never looked at");
        tell(&checkout, "pause stripe");
        let ran = checkout.run("rollout resume stripe -e production -q");
        assert_eq!(
            (ran.exit, ran.out.as_str()),
            (0, "stripe 1.0.0 -> 1.1.0: step 1 of 3, 10% of consumers\n")
        );
        if !ran.err.is_empty() {
            break ran.err;
        }
    };
    assert!(told.starts_with("warning: the usage of slack in production cannot be read"), "{told}");
    let usage = checkout.run("usage slack -e production -q");
    assert_eq!(usage.exit, 1, "{}", usage.out);
    for told in [told, usage.err] {
        assert!(!told.contains("Nothing was written"), "{told}");
    }
}

#[test]
fn a_step_that_ends_with_a_pause_waits() {
    let checkout = seeded(
        "  rollout:\n    default: { type: Staged, steps: [{ weight: 12.5, pause: true }, { weight: 50, hold: 1h }] }\n",
    );
    raise(&checkout, "stripe", "1.1.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Paused 1/3 12.5%: 1.0.0 to 1.1.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Paused 1/3 12.5%: 1.0.0 to 1.1.0");
    tell(&checkout, "resume stripe");
    assert_eq!(at(&checkout, "stripe"), "Progressing 2/3 50%: 1.0.0 to 1.1.0");
}
