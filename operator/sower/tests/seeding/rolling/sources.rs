//! What the sources say while something is rolled out.

use jiff::Timestamp;

use super::{
    HELD, assert_settled, at, begun, complete, kept_out, live, raise, respec, run, seed, seeded, status,
    tell, time, until, write,
};
use crate::checkout::{environment, manifest};

#[test]
fn a_newer_version_begins_anew_from_the_stable_one() {
    let checkout = begun(HELD);
    tell(&checkout, "advance stripe");
    assert_eq!(at(&checkout, "stripe"), "Progressing 2/3 50%: 1.0.0 to 1.1.0");
    let first = status(&checkout, "stripe")["id"].as_str().map(str::to_owned).expect("an id");
    raise(&checkout, "stripe", "1.2.0");
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("~ stripe 1.0.0 -> 1.2.0   (a rollout begins; that of 1.1.0 ends)"), "{plan}");
    assert!(plan.contains("/request/path"), "what differs from what all have: {plan}");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.2.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.2.0/1.2.0");
    let ended =
        checkout.read(&format!("SELECT state || weight FROM integration_rollouts WHERE id = '{first}'"));
    assert_eq!(ended, "Superseded0");
    assert!(kept_out(&checkout).is_empty(), "nothing is wrong with what came before");
    assert_settled(&checkout);
}

#[test]
fn a_revert_in_the_middle_ends_it() {
    let checkout = begun(HELD);
    checkout.git(&["revert", "--no-edit", "HEAD"]);
    let plan = run(&checkout, "plan -e production -q");
    let line = "~ stripe 1.1.0 -> 1.0.0   (the rollout of 1.1.0 ends)\n";
    assert!(plan.starts_with(line), "nothing is judged: {plan}");
    assert!(plan.contains("0 create, 0 update, 0 delete, 3 unchanged, 1 rollout ended\n"), "{plan}");
    let planned = checkout.json("plan -e production -q -o json");
    assert_eq!((&planned["update"], &planned["givenUp"]), (&0.into(), &1.into()));
    let explained = run(&checkout, "explain stripe -e production -q");
    assert!(explained.contains("~ git has 1.0.0: the next seeding ends the rollout of 1.1.0"), "{explained}");
    let told = seed(&checkout);
    assert!(told.contains("0 created, 0 updated, 0 deleted, 3 unchanged, 1 rollout ended"), "{told}");
    let logged = checkout.json("history -e production -q -o json")[0].clone();
    assert_eq!((&logged["unchanged"], &logged["givenUp"]), (&3.into(), &1.into()));
    assert_eq!(at(&checkout, "stripe"), "Superseded 1/3 0%: 1.0.0 to 1.1.0");
    assert_eq!(status(&checkout, "stripe")["reason"], "the sources have 1.0.0 now");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    let log = "SELECT seq || ' ~' || (metadata ->> 'updated') FROM seeding_logs ORDER BY seq DESC LIMIT 1";
    assert_eq!(checkout.read(log), "3 ~0", "nothing of what all have has changed");
    assert_eq!(checkout.read("SELECT count(*) FROM seeding_changes WHERE seq = 3"), "0");
    assert!(kept_out(&checkout).is_empty());
    assert_settled(&checkout);
    assert!(seed(&checkout).starts_with("Nothing to do"));
    // And back again: what was tried before is tried anew.
    checkout.git(&["revert", "--no-edit", "HEAD"]);
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
}

/// A revert beyond the stable version is for all, at once.
#[test]
fn a_revert_to_what_was_before_the_stable_version_is_not_staged() {
    let checkout = begun(HELD);
    complete(&checkout);
    raise(&checkout, "stripe", "1.2.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.1.0 to 1.2.0");
    checkout.git(&["revert", "--no-edit", "HEAD", "HEAD~1"]);
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Superseded 1/3 0%: 1.1.0 to 1.2.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    assert_settled(&checkout);
}

/// However all got it, and whatever became of it later.
#[test]
fn a_revert_to_what_all_had_before_it_was_staged_is_not_staged() {
    let checkout = seeded("");
    for version in ["1.1.0", "1.0.0"] {
        raise(&checkout, "stripe", version);
        seed(&checkout);
        assert_eq!(live(&checkout, "stripe"), version);
    }
    respec(&checkout, HELD);
    raise(&checkout, "stripe", "1.1.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    tell(&checkout, "abort stripe");
    raise(&checkout, "stripe", "1.2.0");
    seed(&checkout);
    complete(&checkout);
    checkout.git(&["revert", "--no-edit", "HEAD"]);
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}

#[test]
fn documentation_is_for_all_at_once() {
    let checkout = seeded(HELD);
    let text = manifest("stripe", "1.1.0", "Said better").replace("path: /things", "path: /1.0.0");
    checkout.write("integrations/stripe/integration.yaml", &text.replace("Lists.", "Lists all of them."));
    checkout.commit("Say it better");
    let told = seed(&checkout);
    assert!(told.contains("1 updated") && !told.contains("rollout"), "{told}");
    assert_eq!(at(&checkout, "stripe"), "none");
    let version =
        "SELECT version FROM integration_definitions WHERE environment = 'production' AND id = 'stripe'";
    assert_eq!(checkout.read(version), "1.1.0");
}

/// A version stands for one content: the same with another is a conflict, and none that is staged.
#[test]
fn the_same_version_with_other_content_is_not_staged() {
    let checkout = seeded(&format!("{HELD}  conflicts: {{ version: override }}\n"));
    let text = manifest("stripe", "1.0.0", "As it was").replace("path: /things", "path: /other");
    checkout.write("integrations/stripe/integration.yaml", &text);
    checkout.commit("Other content");
    let told = seed(&checkout);
    assert!(told.contains("1 updated") && told.contains("1 conflict"), "{told}");
    assert_eq!(at(&checkout, "stripe"), "none");
}

#[test]
fn what_is_new_is_for_all_at_once() {
    let checkout = seeded(HELD);
    write(&checkout, "fresh", "1.0.0", "");
    checkout.commit("Something new");
    let told = seed(&checkout);
    assert!(told.contains("1 created"), "{told}");
    assert_eq!((at(&checkout, "fresh"), live(&checkout, "fresh")), ("none".into(), "1.0.0".into()));
}

#[test]
fn who_needs_the_new_version_waits_for_it() {
    let checkout = seeded(HELD);
    write(&checkout, "stripe", "1.1.0", "");
    write(&checkout, "payments", "1.0.0", "  dependencies: [\"stripe@^1.1.0\"]\n");
    write(&checkout, "monday", "1.1.0", "  dependencies: [\"stripe@^1.1.0\"]\n");
    write(&checkout, "slack", "1.0.1", "  dependencies: [\"stripe@^1.0.0\"]\n");
    checkout.commit("More");
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("= payments   waits: it needs a version that is being rolled out"), "{plan}");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    // What the stable version is enough for does not wait.
    assert_eq!(at(&checkout, "slack"), "Progressing 1/3 10%: 1.0.0 to 1.0.1");
    assert_eq!((at(&checkout, "monday"), live(&checkout, "monday")), ("none".into(), "1.0.0".into()));
    assert_eq!(live(&checkout, "payments"), "");
    assert_settled(&checkout);
    assert!(seed(&checkout).starts_with("Nothing to do"));
    let explained = checkout.run("explain payments -e production -q").out;
    assert!(explained.contains("it needs a version that not all have yet"), "{explained}");
    let explained = checkout.run("explain monday -e production -q").out;
    assert!(explained.contains("it needs a version that not all have yet"), "{explained}");

    complete(&checkout);
    seed(&checkout);
    assert_eq!(live(&checkout, "payments"), "1.0.0");
    assert_eq!(at(&checkout, "monday"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}

/// Who has a rollout of their own is left behind for a while: that is told, where it ends and in the log.
#[test]
fn who_cannot_work_with_the_new_version_is_told_of() {
    let checkout = seeded(HELD);
    write(&checkout, "monday", "1.1.0", "  dependencies: [\"stripe@^1.0.0\"]\n");
    write(&checkout, "slack", "1.1.0", "  dependencies: [\"stripe@>=1.0.0\"]\n");
    checkout.commit("They need stripe");
    seed(&checkout);
    for id in ["monday", "slack"] {
        tell(&checkout, &format!("advance {id}"));
        tell(&checkout, &format!("advance {id}"));
    }
    write(&checkout, "stripe", "2.0.0", "");
    write(&checkout, "monday", "2.0.0", "  dependencies: [\"stripe@^2.0.0\"]\n");
    checkout.commit("Both go on");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 2.0.0");
    assert_eq!(live(&checkout, "monday"), "1.1.0", "it waits");
    complete(&checkout);
    let why = "advanced; monday 1.1.0 wants another version";
    assert_eq!(status(&checkout, "stripe")["reason"], why);
    let shown = run(&checkout, "rollout status stripe -e production -q");
    assert!(shown.lines().next().is_some_and(|line| line.ends_with(&format!(": {why}"))), "{shown}");
    let log = checkout
        .read("SELECT reason FROM seeding_logs WHERE reason LIKE '%completed%' ORDER BY seq DESC LIMIT 1");
    assert!(log.starts_with("rollout of stripe 1.0.0 -> 2.0.0 completed by "), "{log}");
    assert!(log.ends_with(": monday 1.1.0 wants another version"), "{log}");
    seed(&checkout);
    assert_eq!(at(&checkout, "monday"), "Progressing 1/3 10%: 1.1.0 to 2.0.0");
}

/// Where the new version goes back, who needs it has none.
#[test]
fn who_needs_a_version_that_went_back_stays_out() {
    let checkout = seeded(HELD);
    write(&checkout, "stripe", "1.1.0", "");
    write(&checkout, "payments", "1.0.0", "  dependencies: [\"stripe@^1.1.0\"]\n");
    checkout.commit("More");
    seed(&checkout);
    tell(&checkout, "abort stripe");
    seed(&checkout);
    assert_eq!((live(&checkout, "stripe"), live(&checkout, "payments")), ("1.0.0".into(), String::new()));
    let plan = checkout.json("plan -e production -q -o json");
    assert_eq!(plan["create"], 0, "{plan}");
    assert_eq!(plan["conflicts"][0]["type"], "dependency", "{plan}");
    tell(&checkout, "retry stripe");
    complete(&checkout);
    seed(&checkout);
    assert_eq!(live(&checkout, "payments"), "1.0.0");
}

#[test]
fn what_goes_in_the_middle_is_gone() {
    let checkout = begun(HELD);
    checkout.remove("integrations/stripe");
    checkout.commit("Remove stripe");
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("- stripe 1.0.0"), "{plan}");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Superseded 1/3 0%: 1.0.0 to 1.1.0");
    assert_eq!(status(&checkout, "stripe")["reason"], "it is gone from the environment");
    assert_eq!(live(&checkout, "stripe"), "");
    // It comes back as what it is by now, for all.
    checkout.git(&["revert", "--no-edit", "HEAD"]);
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
    assert_settled(&checkout);
}

#[test]
fn what_is_blocked_in_the_middle_is_gone() {
    let checkout = begun(HELD);
    respec(&checkout, &format!("{HELD}  blockedIntegrations: [stripe]\n"));
    seed(&checkout);
    assert!(at(&checkout, "stripe").starts_with("Superseded"), "{}", at(&checkout, "stripe"));
    assert_eq!(live(&checkout, "stripe"), "");
    respec(&checkout, HELD);
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}

/// A file that moves while its version is rolled out is no other version.
/// What a selective environment no longer names it leaves alone: nobody more gets it, and who says so takes it back.
#[test]
fn what_is_named_no_longer_goes_on_to_nobody() {
    const SPEC: &str = "  seedingStrategy: selective\n  rollout:\n    default: { type: Staged, steps: [{ weight: 10, hold: 1s }] }\n";
    let checkout = seeded("");
    let named =
        |ids: &str| checkout.write("environments/production.yaml", &environment("production", ids, SPEC));
    named("monday, stripe");
    raise(&checkout, "stripe", "1.1.0");
    seed(&checkout);
    named("monday");
    let begun = time(&status(&checkout, "stripe"), "startedAt");
    until(&checkout, "over", || begun.duration_until(Timestamp::now()).as_millis() > 1_200);
    assert_eq!(at(&checkout, "stripe"), "Completing 1/2 10%: 1.0.0 to 1.1.0");
    let refused = checkout.run("rollout advance stripe -e production -q");
    assert_eq!(refused.exit, 1);
    assert!(refused.err.contains("left alone: allowedIntegrations does not name it"), "{}", refused.err);
    let drawn = run(&checkout, "rollout status stripe -e production -q");
    assert!(drawn.contains("No more consumers get it: allowedIntegrations does not name it"), "{drawn}");
    tell(&checkout, "abort stripe");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
}

#[test]
fn a_file_that_moves_supersedes_nothing() {
    let checkout = begun(HELD);
    checkout.git(&["mv", "integrations/stripe", "integrations/payments"]);
    checkout.commit("Move it");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    complete(&checkout);
    seed(&checkout);
    let path = "SELECT path FROM integration_definitions WHERE environment = 'production' AND id = 'stripe'";
    assert_eq!(checkout.read(path), "integrations/payments/integration.yaml");
    assert_settled(&checkout);
}

/// A manifest that cannot be read ends nothing.
#[test]
fn a_broken_manifest_leaves_a_rollout_alone() {
    let checkout = begun(HELD);
    checkout.write(
        "integrations/stripe/integration.yaml",
        &manifest("stripe", "1.2.0", "As it was").replace("version: 1.2.0", "version: new"),
    );
    checkout.commit("Break it");
    checkout.run("seed -e production -q");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    complete(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}

#[test]
fn a_seeding_of_some_begins_and_ends_theirs_alone() {
    let checkout = seeded(HELD);
    write(&checkout, "slack", "1.1.0", "");
    write(&checkout, "stripe", "1.1.0", "");
    checkout.commit("Both");
    run(&checkout, "seed -e production --only stripe -q");
    assert_eq!(
        (at(&checkout, "stripe"), at(&checkout, "slack")),
        ("Progressing 1/3 10%: 1.0.0 to 1.1.0".into(), "none".into())
    );
    seed(&checkout);
    assert_eq!(at(&checkout, "slack"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    write(&checkout, "slack", "1.2.0", "");
    write(&checkout, "stripe", "1.2.0", "");
    checkout.commit("Both again");
    run(&checkout, "seed -e production --only slack -q");
    assert_eq!(at(&checkout, "slack"), "Progressing 1/3 10%: 1.0.0 to 1.2.0");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.2.0");
}

#[test]
fn to_reseed_in_the_middle_leaves_it_alone() {
    let checkout = begun(HELD);
    tell(&checkout, "advance stripe");
    run(&checkout, "seed -e production --reseed -q");
    assert_eq!(at(&checkout, "stripe"), "Progressing 2/3 50%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    assert_settled(&checkout);
}

/// A spec that changes says how the next version is rolled out, not this one.
#[test]
fn another_strategy_is_of_what_comes_next() {
    let checkout = begun(HELD);
    respec(&checkout, "");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    raise(&checkout, "stripe", "1.2.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Superseded 1/3 0%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.2.0");
}
