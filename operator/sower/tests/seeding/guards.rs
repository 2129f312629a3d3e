//! Guards that hold a seeding: nothing is written.

use insta::assert_snapshot;
use serde_json::json;

use crate::checkout::{Checkout, environment};

#[test]
fn an_unexpected_deletion_is_held() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    for id in ["monday", "slack", "wordpress"] {
        checkout.remove(&format!("integrations/{id}"));
    }
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("Tidy up");
    assert_snapshot!(checkout.transcripts(&["seed -e development", "plan -e development", "plan -q"]), @r#"
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    (2) refused: plan PLANPLANPLAN would delete 3 of 4 integrations (75%); pruneLimit is 20%. Nothing was written.
    (2)   see all of it:  sower plan -e development
    (2)   allow it once:  sower apply PLANPLANPLAN -e development
    ~ stripe 1.0.0 -> 1.1.0
    - monday, slack, wordpress (folders gone since COMMIT7, AUTHOR: "Tidy up")
    exit 4
    $ sower plan -e development
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    (2) It would be held: plan PLANPLANPLAN would delete 3 of 4 integrations (75%); pruneLimit is 20%
    (2) Allow it once: sower apply PLANPLANPLAN -e development
    ~ stripe 1.0.0 -> 1.1.0   documentation only
        ~ integration  /description
    - monday 1.0.0   folder gone since COMMIT7, AUTHOR: "Tidy up"
    - slack 1.0.0   folder gone since COMMIT7, AUTHOR: "Tidy up"
    - wordpress 1.0.0   folder gone since COMMIT7, AUTHOR: "Tidy up"

    Plan PLANPLANPLAN for development: 0 create, 1 update, 3 delete, 0 unchanged
    exit 0
    $ sower plan -q
    ENVIRONMENT   PLAN           CHANGED    CONFLICTS   GUARD
    development   PLANPLANPLAN   +0 ~1 -3   0           prune limit
    production    PLANPLANPLAN   +0 ~1 -1   0           -
    staging       PLANPLANPLAN   +0 ~1 -2   0           prune limit
    exit 0
    "#);
    let report = checkout.json("seed -e development -o json");
    assert_eq!((&report["status"], &report["deleted"]), (&json!("refused"), &json!(0)));
    let status = checkout.transcript("status -e development");
    assert!(status.contains("PruneLimitExceeded"), "{status}");
    assert!(status.contains("sower plan -e development"), "{status}");
    let text = environment("development", "\"*\"", "  pruneLimit: 3\n");
    checkout.write("environments/development.yaml", &text);
    assert_snapshot!(checkout.transcript("seed -e development"), @r"
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    ~ stripe 1.0.0 -> 1.1.0
    - monday 1.0.0
    - slack 1.0.0
    - wordpress 1.0.0
    Seeded development at main@COMMIT7 (seeding 2): 0 created, 1 updated, 3 deleted, 0 unchanged in TOOK
    exit 0
    ");
    let status = checkout.transcript("status -e development");
    assert!(status.contains("Seeded main@COMMIT7") && !status.contains("PruneLimit"), "{status}");
}

#[test]
fn an_empty_source_stays_in_the_status_until_it_is_mended() {
    let checkout = Checkout::new();
    checkout.run("seed -e development");
    let integrations = checkout.path().join("integrations");
    let aside = checkout.path().join("aside");
    std::fs::rename(&integrations, &aside).expect("moved away");
    checkout.run("seed -e development");
    let status = checkout.transcript("status -e development");
    assert!(status.contains("SourceEmpty") && status.contains("holds no manifest"), "{status}");
    std::fs::rename(&aside, &integrations).expect("moved back");
    checkout.run("seed -e development");
    let status = checkout.transcript("status -e development");
    assert!(status.contains("Seeded main@COMMIT7") && !status.contains("SourceEmpty"), "{status}");
}

#[test]
fn a_suspended_environment_is_not_seeded() {
    let checkout = Checkout::new();
    checkout.write("environments/staging.yaml", &environment("staging", "stripe", "  suspend: true\n"));
    assert_snapshot!(checkout.transcripts(&["seed -e staging", "seed --all -q", "plan -e staging", "resume -e staging"]), @r"
    $ sower seed -e staging
    (2) from: files (sower.toml) · .#HEAD · sqlite://.sower/sower.db
    (2) refused: staging is suspended (spec.suspend in environments/staging.yaml:6). Nothing was written.
    (2)   go on:  take `suspend: true` out there, then seed again
    exit 4
    $ sower seed --all -q
    (2) refused: staging is suspended (spec.suspend in environments/staging.yaml:6). Nothing was written.
    (2)   go on:  take `suspend: true` out there, then seed again
    Seeded development at main@COMMIT7 (seeding 1): 4 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    Seeded production at main@COMMIT7 (seeding 1): 2 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    exit 4
    $ sower plan -e staging
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) It would be held: spec.suspend is true
    + stripe 1.0.0

    Plan PLANPLANPLAN for staging: 1 create, 0 update, 0 delete, 0 unchanged; 3 excluded (monday, slack, wordpress)
    exit 0
    $ sower resume -e staging
    (2) error: resume patches a resource of a cluster; with files `spec.suspend: false` lets it be seeded
    (2)   edit staging:  environments/staging.yaml:6
    (2)   in a cluster:  sower resume -e staging -n NAMESPACE
    exit 2
    ");
    assert_eq!(checkout.json("seed -e staging -o json")["errors"][0]["code"], "Suspended");
}

#[test]
fn another_keeper_is_left_alone_until_told() {
    let checkout = Checkout::new();
    checkout.run("seed -e production");
    let keeper = "prod-eu/sower/production";
    checkout.sql(&format!("UPDATE environments SET keeper = '{keeper}' WHERE name = 'production'"));
    checkout.integration("stripe", "1.1.0", "Better");
    assert_snapshot!(checkout.transcripts(&[
        "seed -e production",
        "plan -q",
        "seed -e production --source . --take-over -q",
        "seed -e production -q",
    ]), @r"
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD · sqlite://.sower/sower.db
    (2) refused: production in this database is kept by cluster prod-eu (sower/production). Nothing was written.
    (2)   ask that operator:  sower seed -e production --context prod-eu -n sower
    (2)   take it over:       suspend it there, then add --take-over
    exit 4
    $ sower plan -q
    ENVIRONMENT   PLAN           CHANGED    CONFLICTS   GUARD
    development   PLANPLANPLAN   +4 ~0 -0   0           -
    production    PLANPLANPLAN   +0 ~0 -0   0           another keeper
    staging       PLANPLANPLAN   +3 ~0 -0   0           -
    exit 0
    $ sower seed -e production --source . --take-over -q
    (2) warning: 1 uncommitted file (integrations/stripe/integration.yaml): no commit will explain these rows
    Seeded production at main@COMMIT7-dirty (seeding 2): 0 created, 1 updated, 0 deleted, 1 unchanged in TOOK
    exit 0
    $ sower seed -e production -q
    Seeded production at main@COMMIT7 (seeding 3): 0 created, 1 updated, 0 deleted, 1 unchanged in TOOK
    exit 0
    ");
}

#[test]
fn what_is_held_is_seen_with_the_flags_that_held_it() {
    let checkout = Checkout::new();
    checkout.run("seed -e development --database sqlite://other.db");
    for id in ["monday", "slack", "wordpress"] {
        checkout.remove(&format!("integrations/{id}"));
    }
    let flags =
        "--only monday,slack,wordpress --environments environments --source . --database sqlite://other.db";
    let ran = checkout.run(&format!("seed -e development {flags}"));
    let next = format!("  see all of it:  sower plan -e development {flags}\n");
    assert!(ran.exit == 4 && ran.err.contains(&next), "{}", ran.err);
    let ran = checkout.run("seed --database sqlite://other.db");
    assert!(ran.err.contains("  all:  sower seed --all --database sqlite://other.db\n"), "{}", ran.err);
}

#[test]
fn a_suspended_environment_is_as_it_was() {
    let checkout = Checkout::new();
    checkout.run("seed -e staging");
    for name in ["production", "staging"] {
        checkout
            .write(&format!("environments/{name}.yaml"), &environment(name, "stripe", "  suspend: true\n"));
    }
    let told = |name: &str| {
        let status = checkout.json(&format!("status -e {name} -o json"));
        (status["ready"].clone(), status["reason"].clone(), status["status"].clone())
    };
    assert_eq!(
        told("production"),
        (json!("Unknown"), json!("Suspended"), json!("Suspended; not seeded yet"))
    );
    let (ready, reason, message) = told("staging");
    assert_eq!((ready, reason), (json!("True"), json!("Suspended")));
    assert!(message.as_str().is_some_and(|message| message.starts_with("Suspended at main@")), "{message}");
}
