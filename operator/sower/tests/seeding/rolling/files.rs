//! Rollouts whose environment's file, or another one, cannot be read: less is always possible.

use std::fs::File;

use super::{HELD, JUDGED, at, begun, count, live, reaches, respec, tell};
use crate::checkout::Checkout;

/// Where the rollout of stripe is, from its row.
fn state(checkout: &Checkout) -> String {
    checkout.read("SELECT state FROM integration_rollouts WHERE integration_id = 'stripe'")
}

/// A file of Environments that is larger than any that is read.
fn unreadable(checkout: &Checkout, name: &str) {
    let file = File::create(checkout.path().join(format!("environments/{name}.yaml"))).expect("made");
    file.set_len(6 << 20).expect("grown");
}

#[test]
fn what_is_wrong_with_another_file_holds_nothing_up() {
    let checkout = begun(JUDGED);
    count(&checkout, "1.1.0", 100, 40);
    unreadable(&checkout, "staging");
    checkout.write("environments/development.yaml", "kind: [\n");
    reaches(&checkout, "RolledBack");
    tell(&checkout, "retry stripe");
    tell(&checkout, "pause stripe");
    tell(&checkout, "abort stripe");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    let all = checkout.run("seed --all");
    assert_eq!(all.exit, 1, "{}", all.err);
    assert!(all.err.contains("error[too-large]: the file cannot be read: larger than 5 MiB"), "{}", all.err);
    assert!(all.out.contains("Nothing to do: production"), "{}", all.out);
}

#[test]
fn where_the_own_file_is_broken_the_rows_are_enough_for_less() {
    let checkout = begun(HELD);
    respec(&checkout, "  pruneLimits: 3\n");
    for words in ["resume", "advance", "retry"] {
        let ran = checkout.run(&format!("rollout {words} stripe -e production"));
        assert_eq!(ran.exit, 1, "{words}");
        assert!(
            ran.err.contains("error: environment `production` is there, and cannot be read"),
            "{}",
            ran.err
        );
    }
    let paused = checkout.run("rollout pause stripe -e production");
    assert_eq!(paused.exit, 0, "{}", paused.err);
    let told = "warning: environment `production` is there, and cannot be read: environments/production.yaml:6:3 \
                unknown-field. Its rows are enough for this.\n";
    assert!(paused.err.contains(told), "{}", paused.err);
    assert_eq!(paused.out, "stripe 1.0.0 -> 1.1.0: paused at 10%\n");
    // So they are for the command that a hint names.
    let again = checkout.run("rollout pause stripe -e production -q");
    assert!(
        again.err.ends_with("where it is:  sower rollout status stripe -e production\n"),
        "{}",
        again.err
    );
    let shown = checkout.run("rollout status stripe -e production");
    assert_eq!(shown.exit, 0, "{}", shown.err);
    assert!(shown.err.contains(told) && shown.out.contains("Paused by "), "{}", shown.out);
    unreadable(&checkout, "production");
    assert_eq!(tell(&checkout, "abort stripe"), "stripe 1.1.0 aborted, everyone has 1.0.0\n");
    respec(&checkout, HELD);
    assert_eq!(at(&checkout, "stripe"), "Aborted 1/3 0%: 1.0.0 to 1.1.0");
}

#[test]
fn where_the_own_file_is_gone_the_rows_are_enough_for_less() {
    for gone in ["environments/production.yaml", "environments"] {
        let checkout = begun(HELD);
        checkout.remove(gone);
        let held = checkout.run("rollout advance stripe -e production");
        assert_eq!(held.exit, 2, "{gone}: {}", held.err);
        let ran = checkout.run("rollout abort stripe -e production");
        assert_eq!(ran.exit, 0, "{gone}: {}", ran.err);
        assert!(ran.err.contains("Its rows are enough for this."), "{}", ran.err);
        assert_eq!(state(&checkout), "Aborted", "{gone}");
    }
    // What no database knows is mistyped, or lies elsewhere.
    let checkout = begun(HELD);
    let ran = checkout.run("rollout abort stripe -e nowhere");
    let told = "error: no environment is called `nowhere` (development, production, staging)\n  \
                by its rows:  sower rollout abort stripe -e nowhere --database URL\n";
    assert_eq!((ran.exit, ran.err.as_str()), (2, told));
    let ran = checkout.run("rollout abort stripe -e productoin");
    let told = "error: no environment is called `productoin` (development, production, staging): did you mean `production`?\n";
    assert_eq!((ran.exit, ran.err.as_str()), (2, told));
    let elsewhere = "rollout abort stripe -e production --database sqlite://nothing.db -q";
    assert_eq!(checkout.run(elsewhere).exit, 1);
    checkout.remove("environments/production.yaml");
    checkout.remove("nothing.db");
    assert_eq!(checkout.run(elsewhere).exit, 2);
    assert!(!checkout.path().join("nothing.db").exists(), "no database is made for that");
    assert_eq!(state(&checkout), "Progressing");
}

/// What cannot be read of the sources holds up no step.
#[test]
fn a_rollback_beside_a_seeding_that_fails_is_told() {
    let checkout = begun(JUDGED);
    count(&checkout, "1.1.0", 100, 40);
    let begun = std::time::Instant::now();
    let told = loop {
        let ran = checkout.run("seed -e production -q --source missing");
        assert_ne!(ran.exit, 0, "{}", ran.out);
        if !ran.out.is_empty() {
            break ran.out;
        }
        assert!(begun.elapsed() < super::PATIENCE, "{}", ran.err);
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    assert!(told.starts_with("stripe 1.1.0 rolled back, everyone has 1.0.0: success rate 60.00%"), "{told}");
    assert_eq!(at(&checkout, "stripe"), "RolledBack 1/3 0%: 1.0.0 to 1.1.0");
}
