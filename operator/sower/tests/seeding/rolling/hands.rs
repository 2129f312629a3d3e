//! Another's hand at what lives beside the stable rows: it is told, and corrected where the environment says so.

use insta::assert_snapshot;

use super::{HELD, assert_settled, at, begun, live, respec, run, seed, status, tell};

const CHANGED: &str = "UPDATE registry_candidates \
     SET definition = '{\"id\":\"list\",\"name\":\"List\",\"request\":{\"path\":\"/mine\"}}' WHERE kind = 'action'";
const DELETED: &str = "DELETE FROM registry_candidates WHERE kind = 'action'";

fn correcting() -> String {
    format!("  drift: {{ mode: Correct }}\n{HELD}")
}

#[test]
fn rows_of_a_rollout_are_told_and_corrected() {
    let checkout = begun(HELD);
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 0);
    checkout.sql(DELETED);
    let told = checkout.run("drift -e production --exit-code -q");
    assert_eq!(told.exit, 3);
    assert!(told.out.contains("production    action   stripe/list 1.1.0   missing"), "{}", told.out);
    run(&checkout, "seed -e production -q --reseed");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    checkout.sql(CHANGED);
    assert_snapshot!(checkout.transcript("drift -e production --exit-code -q"), @r"
    $ sower drift -e production --exit-code -q
    ENVIRONMENT   KIND     ID                  WHAT
    production    action   stripe/list 1.1.0   changed: definition

    production: 0 missing, 1 changed, 0 foreign since seeding 3 (4 integrations)
    exit 3
    ");
    let drift = checkout.json("drift -e production -q -o json");
    assert_eq!(
        (&drift["rows"][0]["kind"], &drift["rows"][0]["version"]),
        (&"action".into(), &"1.1.0".into())
    );
    // Nobody asks for a correction.
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/mine");

    respec(&checkout, &correcting());
    checkout.commit("Correct it");
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("~ stripe 1.0.0   (as it was seeded)"), "{plan}");
    let before = status(&checkout, "stripe");
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    assert_eq!(status(&checkout, "stripe"), before, "the rollout goes on where it was");
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 0);
    assert_settled(&checkout);

    checkout.sql(DELETED);
    seed(&checkout);
    let log = checkout.json("history -e production -q -o json");
    assert_eq!(log[0]["reason"], "drift: 1 row corrected");
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 0);
    // A reseeding writes what drifted, whatever the environment says.
    respec(&checkout, HELD);
    checkout.sql(CHANGED);
    run(&checkout, "seed -e production -q --reseed");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
}

#[test]
fn a_rollout_that_a_hand_moved_begins_anew() {
    let checkout = begun(&correcting());
    tell(&checkout, "advance stripe");
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 0);
    checkout
        .sql("UPDATE integration_rollouts SET weight = 10000, variants = replace(variants, '5000', '10000')");
    assert_eq!(run(&checkout, "resolve stripe -e production --key acme -q"), "1.1.0\n");
    let told = checkout.run("drift -e production --exit-code -q");
    assert_eq!(told.exit, 3);
    assert!(told.out.contains("production    rollout   stripe 1.1.0   changed"), "{}", told.out);
    let hint = "Write production as it was seeded, and begin the rollout of stripe again from its first step: \
                sower seed -e production\n";
    let told = checkout.run("drift -e production");
    assert!(told.err.ends_with(hint), "{}", told.err);
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("~ stripe 1.0.0 -> 1.1.0   (a rollout begins; that of 1.1.0 ends)"), "{plan}");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    let ended = checkout.read(
        "SELECT state || ' ' || (reasons ->> '$[#-1].reason') FROM integration_rollouts ORDER BY id LIMIT 1",
    );
    assert_eq!(ended, "Superseded its row is not what Sower wrote");
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 0);
    assert_settled(&checkout);
}

#[test]
fn a_rollout_that_a_hand_took_away_begins_anew() {
    let checkout = begun(&correcting());
    checkout.sql("DELETE FROM integration_rollouts");
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 3);
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 0);
    assert_settled(&checkout);
}

/// Nobody asks for a correction; what is pushed next is not held up by what is left.
#[test]
fn what_a_hand_left_is_in_no_pushs_way() {
    let checkout = begun(HELD);
    checkout.sql("DELETE FROM integration_rollouts");
    super::write(&checkout, "stripe", "1.1.0", "# More words.\n");
    checkout.commit("A word");
    run(&checkout, "seed -e production -q");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
}
