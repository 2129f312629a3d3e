//! Rollouts beside what else happens to an environment: rollbacks, freezes, approvals, drift, suspension.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    HELD, JUDGED, assert_settled, at, begun, complete, count, kept_out, live, raise, reaches, respec, run,
    seed, seeded, status, tell, until, write,
};
use crate::checkout::{Checkout, environment};

#[test]
fn an_environment_that_goes_back_in_the_middle_ends_its_rollouts() {
    let checkout = begun(HELD);
    complete(&checkout);
    raise(&checkout, "slack", "1.1.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "slack"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    run(&checkout, "rollback -e production --to 1 -q");
    assert_eq!(at(&checkout, "slack"), "RolledBack 1/3 0%: 1.0.0 to 1.1.0");
    assert!(
        status(&checkout, "slack")["reason"].as_str().is_some_and(|why| why.starts_with("rollback to 1 by "))
    );
    assert_eq!((live(&checkout, "slack"), live(&checkout, "stripe")), ("1.0.0".into(), "1.0.0".into()));
    assert_eq!(kept_out(&checkout), ["slack 1.1.0", "stripe 1.1.0"]);
    assert!(seed(&checkout).starts_with("Nothing to do"));
    // What is taken back is a new version once more.
    run(&checkout, "rollback -e production --undo -q");
    assert_eq!(at(&checkout, "slack"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
}

#[test]
fn an_integration_that_goes_back_in_the_middle_ends_its_rollout() {
    let checkout = begun(HELD);
    run(&checkout, "rollback stripe -e production --to 1 -q");
    assert_eq!(at(&checkout, "stripe"), "RolledBack 1/3 0%: 1.0.0 to 1.1.0");
    assert_eq!(
        (live(&checkout, "stripe"), kept_out(&checkout)),
        ("1.0.0".into(), vec!["stripe 1.1.0".into()])
    );
    assert!(seed(&checkout).starts_with("Nothing to do"));
    assert_settled(&checkout);
}

/// A state in the middle of a rollout is that of the stable version.
#[test]
fn back_to_the_middle_of_a_rollout_is_back_to_what_all_had() {
    let checkout = begun(HELD);
    complete(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
    run(&checkout, "rollback -e production --to 2 -q");
    assert_eq!(
        (live(&checkout, "stripe"), kept_out(&checkout)),
        ("1.0.0".into(), vec!["stripe 1.1.0".into()])
    );
    assert!(seed(&checkout).starts_with("Nothing to do"));
}

/// An hour passes, as far as retention goes.
fn forget(checkout: &Checkout) {
    let old = "2020-01-01T00:00:00.000Z";
    checkout.sql(&format!("UPDATE seeding_logs SET started_at = '{old}', completed_at = '{old}'"));
    checkout.sql(&format!("UPDATE integration_versions SET created_at = '{old}'"));
    checkout.sql(&format!("UPDATE integration_rollouts SET ended_at = '{old}' WHERE ended_at IS NOT NULL"));
    checkout.sql(&format!("UPDATE environments SET retain_at = '{old}'"));
    seed(checkout);
}

#[test]
fn what_retention_forgot_is_no_way_back() {
    let checkout = seeded(&format!("{HELD}  retention: {{ history: 1h }}\n"));
    for version in ["1.1.0", "1.2.0", "1.3.0"] {
        raise(&checkout, "stripe", version);
        seed(&checkout);
        complete(&checkout);
    }
    raise(&checkout, "stripe", "1.4.0");
    seed(&checkout);
    forget(&checkout);
    // What is rolled out and what all have is there; what was before is not.
    let known = "SELECT group_concat(version, ' ') FROM (SELECT version FROM integration_versions \
         WHERE environment = 'production' AND integration_id = 'stripe' ORDER BY version)";
    let versions = checkout.read(known);
    assert!(versions.ends_with("1.3.0 1.4.0") && !versions.contains("1.1.0"), "{versions}");
    assert_eq!(checkout.read("SELECT group_concat(to_version) FROM integration_rollouts"), "1.4.0");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.3.0 to 1.4.0");
    let lost = checkout.run("rollback stripe -e production --to 1.1.0 -q");
    assert_eq!(lost.exit, 1, "{}{}", lost.out, lost.err);
    assert_eq!(live(&checkout, "stripe"), "1.3.0 + 1.4.0/1.4.0", "nothing of it was done");
    complete(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.4.0");
    run(&checkout, "rollback stripe -e production --to 1.3.0 -q");
    assert_eq!(live(&checkout, "stripe"), "1.3.0");
}

/// A window that began an hour ago.
fn frozen(spec: &str) -> String {
    let began = (Timestamp::now() - SignedDuration::from_hours(1)).to_zoned(TimeZone::UTC);
    let schedule = began.strftime("%-M %-H * * *");
    format!("{spec}  freezeWindows:\n  - {{ schedule: \"{schedule}\", duration: 3h }}\n")
}

#[test]
fn a_freeze_holds_what_gives_it_to_more() {
    let checkout = begun(HELD);
    respec(&checkout, &frozen(HELD));
    seed(&checkout);
    let held = checkout.run("rollout advance stripe -e production -q");
    assert_eq!(held.exit, 1);
    assert!(held.err.contains("it is frozen until "), "{}", held.err);
    tell(&checkout, "pause stripe");
    tell(&checkout, "resume stripe");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    // The hour is over before the window is.
    let told = run(&checkout, "rollout status stripe -e production -q");
    assert!(told.contains("Frozen until "), "{told}");
    tell(&checkout, "abort stripe");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    // To try it again is a new beginning, which waits.
    let told = tell(&checkout, "retry stripe");
    assert_eq!(told, "stripe 1.1.0 is tried again, from the first step, with the next seeding\n");
    assert_eq!(at(&checkout, "stripe"), "Aborted 1/3 0%: 1.0.0 to 1.1.0");
    respec(&checkout, HELD);
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
}

/// Who rolls back gives all what all had, and nothing that a freeze or an analysis kept from them.
#[test]
fn what_never_reached_all_is_no_way_back() {
    let checkout = begun(HELD);
    respec(&checkout, &frozen(HELD));
    let refused = || {
        let ran = checkout.run("rollback stripe -e production --to 1.1.0 -q");
        assert_eq!(ran.exit, 1, "{}{}", ran.out, ran.err);
        let why = "stripe 1.1.0 never reached everybody: see `sower rollout status stripe`";
        assert!(ran.err.contains(why), "{}", ran.err);
    };
    refused();
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    tell(&checkout, "abort stripe");
    refused();
    assert_eq!(
        (live(&checkout, "stripe"), kept_out(&checkout)),
        ("1.0.0".into(), vec!["stripe 1.1.0".into()])
    );
    // What did is one.
    respec(&checkout, HELD);
    for version in ["1.2.0", "1.3.0"] {
        raise(&checkout, "stripe", version);
        seed(&checkout);
        complete(&checkout);
    }
    refused();
    run(&checkout, "rollback stripe -e production --to 1.2.0 -q");
    assert_eq!(live(&checkout, "stripe"), "1.2.0");
}

#[test]
fn a_freeze_holds_no_rollback() {
    let checkout = begun(JUDGED);
    respec(&checkout, &frozen(JUDGED));
    count(&checkout, "1.1.0", 100, 1);
    assert_eq!(looked(&checkout), "its check is passed");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    count(&checkout, "1.1.0", 400, 390);
    reaches(&checkout, "RolledBack");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
}

/// What the analysis said last.
fn looked(checkout: &Checkout) -> String {
    let passed = || status(checkout, "stripe")["verdict"]["outcome"] == "success";
    until(checkout, "passed", passed);
    status(checkout, "stripe")["verdict"]["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_freeze_holds_the_completion_at_the_last_step() {
    let checkout = begun(JUDGED);
    tell(&checkout, "advance stripe");
    respec(&checkout, &frozen(JUDGED));
    until(&checkout, "completing", || {
        count(&checkout, "1.1.0", 100, 1);
        at(&checkout, "stripe").starts_with("Completing")
    });
    assert_eq!(at(&checkout, "stripe"), "Completing 2/3 50%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Completing 2/3 50%: 1.0.0 to 1.1.0");
    respec(&checkout, JUDGED);
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Completed 3/3 100%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}

#[test]
fn who_approves_a_plan_approves_its_beginning() {
    let checkout = seeded(HELD);
    respec(&checkout, &format!("{HELD}  approval: Manual\n"));
    raise(&checkout, "stripe", "1.1.0");
    for _ in 0..2 {
        let held = checkout.run("seed -e production -q");
        assert_eq!(held.exit, 4, "{}{}", held.out, held.err);
        assert!(held.err.contains("waits for an approval: +0 ~1 -0"), "{}", held.err);
        assert_eq!(at(&checkout, "stripe"), "none");
    }
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    let plan = checkout.json("plan -e production -q -o json");
    let hash = plan["hash"].as_str().and_then(|hash| hash.get(..12)).expect("a hash");
    let told = run(&checkout, &format!("apply {hash} -e production -q"));
    assert!(told.contains("1 rollout begun") && told.contains("step 1 of 3, 10% of consumers"), "{told}");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_settled(&checkout);
    // From then on nobody is asked.
    complete(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
    assert!(seed(&checkout).starts_with("Nothing to do"));
}

/// A plan that was made before a rollout moved is the same plan still; one made before it ended is not.
#[test]
fn an_approval_of_a_plan_that_a_rollout_overtook_is_stale() {
    let checkout = begun(HELD);
    respec(&checkout, &format!("{HELD}  approval: Manual\n"));
    raise(&checkout, "slack", "1.1.0");
    assert_eq!(checkout.run("seed -e production -q").exit, 4);
    let plan = checkout.json("plan -e production -q -o json");
    let hash = plan["hash"].as_str().and_then(|hash| hash.get(..12)).expect("a hash").to_owned();
    tell(&checkout, "abort stripe");
    let stale = checkout.run(&format!("apply {hash} -e production -q"));
    assert_eq!(stale.exit, 4, "{}{}", stale.out, stale.err);
    assert_eq!(at(&checkout, "slack"), "none");
}

#[test]
fn stable_rows_that_drift_in_the_middle_are_put_back() {
    let checkout = begun(&format!("{HELD}  drift: {{ mode: Correct }}\n"));
    let before = "SELECT id || version || manifest FROM integration_definitions WHERE environment = 'production' AND id = 'stripe'";
    let rows = checkout.read(before);
    for hand in [
        "UPDATE action_registry SET name = 'By hand' WHERE environment = 'production' AND id = 'stripe/list'",
        "DELETE FROM action_registry WHERE environment = 'production' AND id = 'stripe/list'",
        "UPDATE integration_definitions SET version = '7.7.7' WHERE environment = 'production' AND id = 'stripe'",
        "DELETE FROM integration_definitions WHERE environment = 'production' AND id = 'stripe'",
    ] {
        checkout.sql(hand);
        seed(&checkout);
        assert_eq!(checkout.read(before), rows, "{hand}");
        assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0", "{hand}");
        let name = "SELECT name FROM action_registry WHERE environment = 'production' AND id = 'stripe/list'";
        assert_eq!(checkout.read(name), "List", "{hand}");
        assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0", "{hand}");
        assert_eq!(checkout.run("drift -e production -q --exit-code").exit, 0, "{hand}");
    }
    complete(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}

#[test]
fn two_environments_are_at_different_steps() {
    let checkout = seeded(HELD);
    let other = "  rollout:\n    default: { type: Staged, steps: [{ weight: 20, hold: 1h }] }\n";
    checkout.write("environments/staging.yaml", &environment("staging", "\"*\"", other));
    run(&checkout, "seed -e staging -q");
    raise(&checkout, "stripe", "1.1.0");
    run(&checkout, "seed --all -q");
    let told = |environment: &str| {
        let told = checkout.json(&format!("rollout status stripe -e {environment} -q -o json"));
        [&told["state"], &told["step"], &told["weight"]].map(Value::to_string).join(" ")
    };
    assert_eq!(
        (told("production"), told("staging")),
        ("\"Progressing\" 1 10".into(), "\"Progressing\" 1 20".into())
    );
    tell(&checkout, "advance stripe");
    assert_eq!(
        (told("production"), told("staging")),
        ("\"Progressing\" 2 50".into(), "\"Progressing\" 1 20".into())
    );
    run(&checkout, "rollout abort stripe -e staging -q");
    complete(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
    let staging =
        "SELECT version FROM integration_definitions WHERE environment = 'staging' AND id = 'stripe'";
    assert_eq!(checkout.read(staging), "1.0.0");
    assert_eq!(checkout.read("SELECT count(*) FROM registry_candidates"), "0");
}

#[test]
fn where_seedings_are_suspended_nobody_gets_more() {
    let checkout = seeded(&HELD.replace("1h", "1s"));
    write(&checkout, "slack", "1.1.0", "");
    write(&checkout, "stripe", "1.1.0", "");
    checkout.commit("Both");
    seed(&checkout);
    respec(&checkout, &format!("{}  suspend: true\n", HELD.replace("1h", "1s")));
    for line in ["seed", "rollout advance stripe", "rollout resume stripe", "rollout retry stripe"] {
        let ran = checkout.run(&format!("{line} -e production -q"));
        assert_eq!(ran.exit, 4, "{line}: {}", ran.err);
    }
    let began = super::time(&status(&checkout, "slack"), "stepStartedAt");
    while Timestamp::now() < began + SignedDuration::from_millis(1_100) {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Less is always possible, and lets nothing else go on.
    tell(&checkout, "pause stripe");
    tell(&checkout, "abort stripe");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    assert_eq!(at(&checkout, "slack"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    respec(&checkout, &HELD.replace("1h", "1s"));
    until(&checkout, "slack completed", || at(&checkout, "slack").starts_with("Completed"));
}

/// Somebody else's row holds an id that only the new slack has: it cannot complete, and keeps no other from going back.
#[test]
fn what_cannot_complete_keeps_no_other_from_going_back() {
    let spec = format!(
        "{JUDGED}    rules:\n    - {{ integrations: [slack], type: Staged, steps: [{{ weight: 10, hold: 1s }}] }}\n"
    );
    let checkout = seeded(&spec);
    let extra = "  - id: extra\n    name: Extra\n    description: Does more.\n    inputSchema: { type: object, properties: {} }\n    \
         request: { method: GET, path: /extra }\n";
    write(&checkout, "slack", "1.1.0", extra);
    write(&checkout, "stripe", "1.1.0", "");
    checkout.commit("Both");
    seed(&checkout);
    checkout.sql(
        "INSERT INTO action_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('slack/extra', 'slack', 'extra', 'Mine', '{}', 'production')",
    );
    count(&checkout, "1.1.0", 100, 40);
    let begun = std::time::Instant::now();
    loop {
        let ran = checkout.run("seed -e production -q");
        if at(&checkout, "stripe").starts_with("RolledBack") && ran.exit == 1 {
            assert!(ran.err.contains("slack"), "{}", ran.err);
            break;
        }
        assert!(begun.elapsed() < super::PATIENCE, "{}{}", ran.out, ran.err);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(at(&checkout, "slack"), "Progressing 1/2 10%: 1.0.0 to 1.1.0");
    tell(&checkout, "abort slack");
    assert_eq!(live(&checkout, "slack"), "1.0.0");
}
