//! What a seeding does, and what a plan says of it before.

use insta::assert_snapshot;
use serde_json::json;

use crate::checkout::{Checkout, environment, manifest};

#[test]
fn a_checkout_is_seeded() {
    let checkout = Checkout::new();
    let seeded = checkout.transcripts(&["seed --all", "seed -e production", "seed -e production -q"]);
    assert_snapshot!(seeded, @r"
    $ sower seed --all
    (2) from: files (sower.toml) · . at main@COMMIT7, .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    + monday 1.0.0
    + slack 1.0.0
    + stripe 1.0.0
    + wordpress 1.0.0
    Seeded development at main@COMMIT7 (seeding 1): 4 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    + stripe 1.0.0
    + wordpress 1.0.0
    Seeded production at main@COMMIT7 (seeding 1): 2 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    + monday 1.0.0
    + stripe 1.0.0
    + wordpress 1.0.0
    Seeded staging at main@COMMIT7 (seeding 1): 3 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    exit 0
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    Nothing to do: production is at main@COMMIT7 (2 unchanged)
    exit 0
    $ sower seed -e production -q
    Nothing to do: production is at main@COMMIT7 (2 unchanged)
    exit 0
    ");

    checkout.integration("stripe", "1.1.0", "Better");
    checkout.integration("wordpress", "1.0.0", "Another");
    let edited = checkout.transcripts(&[
        "seed -e staging --source .",
        "seed -e development",
        "seed -e development -q",
    ]);
    assert_snapshot!(edited, @r"
    $ sower seed -e staging --source .
    (2) from: files (sower.toml) · . at main@COMMIT7-dirty · sqlite://.sower/sower.db
    (2) warning: 2 uncommitted files (integrations/stripe/integration.yaml, integrations/wordpress/integration.yaml): no commit will explain these rows
    ~ stripe 1.0.0 -> 1.1.0
    ! wordpress 1.0.0   version conflict: git has 1.0.0 too, with other content; skipped
    Seeded staging at main@COMMIT7-dirty (seeding 2): 0 created, 1 updated, 0 deleted, 1 unchanged, 1 conflict in TOOK
    exit 0
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7-dirty · sqlite://.sower/sower.db
    (2) warning: 2 uncommitted files (integrations/stripe/integration.yaml, integrations/wordpress/integration.yaml): no commit will explain these rows
    ~ stripe 1.0.0 -> 1.1.0
    ~ wordpress 1.0.0
    ! wordpress 1.0.0   version conflict: git has 1.0.0 too, with other content; overridden
    Seeded development at main@COMMIT7-dirty (seeding 2): 0 created, 2 updated, 0 deleted, 2 unchanged, 1 conflict in TOOK
    exit 0
    $ sower seed -e development -q
    Nothing to do: development is at main@COMMIT7-dirty (4 unchanged)
    exit 0
    ");

    checkout.commit("stripe: better");
    let committed = checkout.transcripts(&[
        "plan -e production",
        "plan --exit-code -q",
        "seed -e production",
        "seed -e production",
        "plan -e production",
    ]);
    assert_snapshot!(committed, @r"
    $ sower plan -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) Apply it: sower seed -e production
    ~ stripe 1.0.0 -> 1.1.0   documentation only
        ~ integration  /description
    ! wordpress 1.0.0   version conflict: git has 1.0.0 too, with other content; skipped

    Plan PLANPLANPLAN for production: 0 create, 1 update, 0 delete, 0 unchanged, 1 conflict; 2 excluded (monday, slack)
    exit 0
    $ sower plan --exit-code -q
    ENVIRONMENT   PLAN           CHANGED    CONFLICTS   GUARD
    development   PLANPLANPLAN   +0 ~0 -0   0           -
    production    PLANPLANPLAN   +0 ~1 -0   1           -
    staging       PLANPLANPLAN   +0 ~0 -0   1           -
    exit 3
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    ~ stripe 1.0.0 -> 1.1.0
    ! wordpress 1.0.0   version conflict: git has 1.0.0 too, with other content; skipped
    Seeded production at main@COMMIT7 (seeding 2): 0 created, 1 updated, 0 deleted, 0 unchanged, 1 conflict in TOOK
    exit 0
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    Nothing to do: production is at main@COMMIT7 (1 unchanged, 1 conflict)
    exit 0
    $ sower plan -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    ! wordpress 1.0.0   version conflict: git has 1.0.0 too, with other content; skipped

    Plan PLANPLANPLAN for production: 0 create, 0 update, 0 delete, 1 unchanged, 1 conflict; 2 excluded (monday, slack)
    exit 0
    ");
}

#[test]
fn a_program_reads_one_object_or_an_array() {
    let checkout = Checkout::new();
    let all = checkout.json("seed --all -o json");
    let names: Vec<&str> =
        all.as_array().expect("an array").iter().filter_map(|r| r["environment"].as_str()).collect();
    assert_eq!(names, ["development", "production", "staging"]);
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.integration("wordpress", "1.0.0", "Another");
    checkout.commit("stripe: better");

    let plan = checkout.json("plan -e production -o json");
    assert_eq!(plan["hash"].as_str().map(str::len), Some(12), "as people type it");
    assert_eq!(
        plan["changes"],
        json!([{
            "integration": "stripe", "kind": "update", "from": "1.0.0", "to": "1.1.0",
            "compatibility": "documentation",
            "fields": [{
                "pointer": "/description", "from": "As it was", "to": "Better", "compatibility": "documentation",
            }],
        }])
    );
    assert_eq!((&plan["update"], &plan["guard"]), (&json!(1), &json!(null)));
    let excluded: Vec<&str> = plan["excluded"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|e| e["integration"].as_str())
        .collect();
    assert_eq!(excluded, ["monday", "slack"]);

    let seeded = checkout.json("seed -e production -o json");
    assert_eq!((&seeded["status"], &seeded["seeding"]), (&json!("completed"), &json!("production-2")));
    let conflict = json!([{
        "integration": "wordpress", "type": "version", "currentVersion": "1.0.0", "newVersion": "1.0.0", "resolution": "skip",
    }]);
    assert_eq!(seeded["conflicts"], conflict);
    let again = checkout.json("seed -e production -q -o json");
    assert_eq!(
        (&again["status"], &again["seeding"], &again["unchanged"]),
        (&json!("unchanged"), &json!(null), &json!(1))
    );
    assert_eq!(again["conflicts"], conflict);
}

#[test]
fn only_some_are_seeded_and_unchanged_rows_written_again() {
    let checkout = Checkout::new();
    assert_snapshot!(checkout.transcripts(&[
        "seed -e development --only slack,stripe",
        "seed -e development --only slack",
        "seed -e development --reseed --only slack",
        "seed -e development",
        "seed -e development --only slak",
        "plan -e development --only slak -q",
    ]), @r"
    $ sower seed -e development --only slack,stripe
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    + slack 1.0.0
    + stripe 1.0.0
    Seeded development at main@COMMIT7 (seeding 1): 2 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    exit 0
    $ sower seed -e development --only slack
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    Nothing to do: development is at main@COMMIT7 (1 unchanged)
    exit 0
    $ sower seed -e development --reseed --only slack
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    ~ slack 1.0.0   (as it was seeded)
    Seeded development at main@COMMIT7 (seeding 2): 0 created, 1 updated, 0 deleted, 0 unchanged in TOOK
    exit 0
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    + monday 1.0.0
    + wordpress 1.0.0
    Seeded development at main@COMMIT7 (seeding 3): 2 created, 0 updated, 0 deleted, 2 unchanged in TOOK
    exit 0
    $ sower seed -e development --only slak
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    (2) error: no integration is called `slak` in development: did you mean `slack`?
    (2)   all of them:  sower get integrations -e development
    exit 1
    $ sower plan -e development --only slak -q
    (2) error: no integration is called `slak` in development: did you mean `slack`?
    (2)   all of them:  sower get integrations -e development
    Plan PLANPLANPLAN for development: 0 create, 0 update, 0 delete, 0 unchanged
    exit 1
    ");
}

#[test]
fn flags_of_waiting_are_for_a_cluster() {
    let checkout = Checkout::new();
    assert_snapshot!(checkout.transcripts(&[
        "seed -e development --timeout 5m",
        "seed -e development --no-wait",
    ]), @r"
    $ sower seed -e development --timeout 5m
    (2) error: --timeout is for a cluster: with files no operator is waited for
    exit 2
    $ sower seed -e development --no-wait
    (2) error: --no-wait is for a cluster: with files no operator is waited for
    exit 2
    ");
}

#[test]
fn a_duplicate_is_listed_with_what_is_carried_and_what_is_not() {
    let checkout = Checkout::uncommitted();
    for (source, version) in [("a", "1.0.0"), ("b", "3.0.0")] {
        checkout.write(&format!("{source}/stripe/integration.yaml"), &manifest("stripe", version, "Money"));
    }
    let sources = "  sources: [{ name: a, folder: ., path: a }, { name: b, folder: ., path: b }]\n";
    checkout.write("sower.toml", "");
    checkout.write("environments/production.yaml", &environment("production", "stripe", sources));
    let listed = || {
        assert_eq!(checkout.run("seed -e production -q").exit, 0);
        checkout.run("get conflicts -e production -q").out.lines().last().unwrap_or_default().to_owned()
    };
    assert!(listed().contains("duplicate   1.0.0   3.0.0   skip "), "{}", listed());
    let overriding = format!("{sources}  conflicts: {{ duplicate: override }}\n");
    checkout.write("environments/production.yaml", &environment("production", "stripe", &overriding));
    assert!(listed().contains("duplicate   3.0.0   1.0.0   override "), "{}", listed());
}

#[test]
fn a_duplicate_that_comes_back_is_listed_with_what_is_carried_again() {
    let checkout = Checkout::uncommitted();
    let write = |source: &str, version: &str| {
        let text = manifest("stripe", version, "Money");
        checkout.write(&format!("{source}/stripe/integration.yaml"), &text);
    };
    write("a", "1.0.0");
    write("b", "2.0.0");
    checkout.write("a/slack/integration.yaml", &manifest("slack", "1.0.0", "Chat"));
    let sources = "  sources: [{ name: a, folder: ., path: a }, { name: b, folder: ., path: b }]\n";
    checkout.write("sower.toml", "");
    checkout.write("environments/production.yaml", &environment("production", "stripe", sources));
    let listed = || {
        assert_eq!(checkout.run("seed -e production -q").exit, 0);
        let carried = checkout.json("get intg stripe -e production -q -o json")[0]["version"].clone();
        let listed = checkout.json("get conflicts -e production -q -o json");
        let versions = (listed[0]["currentVersion"].clone(), listed[0]["newVersion"].clone());
        (carried, versions)
    };
    let before = ("1.0.0".into(), ("1.0.0".into(), "2.0.0".into()));
    assert_eq!(listed(), before);
    checkout.remove("a/stripe");
    assert_eq!(listed().0, "2.0.0");
    write("a", "1.0.0");
    assert_eq!(listed(), before);
    assert_eq!(listed(), before);
}

#[test]
fn a_duplicate_is_explained_with_the_offer_that_wins() {
    let checkout = Checkout::uncommitted();
    for (source, version) in [("a", "1.0.0"), ("b", "3.0.0")] {
        checkout.write(&format!("{source}/stripe/integration.yaml"), &manifest("stripe", version, "Money"));
    }
    checkout.write("sower.toml", "");
    for (priority, duplicate, head) in [
        (0, "skip", "stripe 1.0.0 · a/stripe/integration.yaml"),
        (0, "override", "stripe 3.0.0 · b/stripe/integration.yaml"),
        (1, "skip", "stripe 3.0.0 · b/stripe/integration.yaml"),
        (1, "override", "stripe 1.0.0 · a/stripe/integration.yaml"),
    ] {
        let spec = format!(
            "  sources: [{{ name: a, folder: ., path: a }}, {{ name: b, folder: ., path: b, priority: {priority} }}]\n  \
             conflicts: {{ duplicate: {duplicate} }}\n"
        );
        checkout.write("environments/production.yaml", &environment("production", "stripe", &spec));
        let told = checkout.run("explain stripe -e production -q").out;
        assert!(told.starts_with(head), "{priority} {duplicate}: {told}");
    }
}

#[test]
fn a_folder_without_git_has_a_digest_for_a_revision() {
    let checkout = Checkout::uncommitted();
    let text = checkout.transcripts(&["seed -e development", "seed -e development", "seed -e production -q"]);
    assert_snapshot!(text, @r"
    $ sower seed -e development
    (2) from: files (sower.toml) · . at folder@COMMIT7 · sqlite://.sower/sower.db
    + monday 1.0.0
    + slack 1.0.0
    + stripe 1.0.0
    + wordpress 1.0.0
    Seeded development at folder@COMMIT7 (seeding 1): 4 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    exit 0
    $ sower seed -e development
    (2) from: files (sower.toml) · . at folder@COMMIT7 · sqlite://.sower/sower.db
    Nothing to do: development is at folder@COMMIT7 (4 unchanged)
    exit 0
    $ sower seed -e production -q
    (2) error: git repository not found in /CHECKOUT. Nothing was pruned.
    (2)   without git:  --source DIR takes the files as they lie there
    exit 1
    ");
}

#[test]
fn who_asks_for_what_is_excluded_is_told_why() {
    let checkout = Checkout::new();
    checkout.run("seed -e production");
    assert_snapshot!(checkout.transcript("seed -e production --only monday"), @r"
    $ sower seed -e production --only monday
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) monday is excluded: no pattern of allowedIntegrations matches
    (2)   more:  sower explain monday -e production
    Nothing to do: production is at main@COMMIT7 (0 unchanged)
    exit 0
    ");
}
