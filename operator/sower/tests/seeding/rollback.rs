//! `sower rollback` as a user meets it: what is current again, what stays out, and what ends that.

use insta::assert_snapshot;
use serde_json::Value;

use crate::checkout::Checkout;

/// Two seedings of staging: monday, stripe and wordpress; then wordpress goes, stripe changes, and slack comes.
fn seeded() -> Checkout {
    let checkout = Checkout::new();
    checkout.write(
        "environments/staging.yaml",
        &crate::checkout::environment(
            "staging",
            "\"*\"",
            "  seedingStrategy: incremental\n  pruneLimit: 100%\n",
        ),
    );
    checkout.remove("integrations/slack");
    checkout.configure("user.name", "AUTHOR");
    checkout.commit("As it was");
    assert_eq!(checkout.run("seed -e staging -q").exit, 0);
    checkout.remove("integrations/wordpress");
    checkout.integration("stripe", "1.1.0", "Payments");
    checkout.integration("slack", "1.0.0", "Messages");
    checkout.commit("More");
    assert_eq!(checkout.run("seed -e staging -q").exit, 0);
    checkout
}

/// Times are all of the last minute; how many digits they have moves no column.
fn told(checkout: &Checkout, lines: &[&str]) -> String {
    let mut text = checkout.transcripts(lines).replace("TOOK ago", "NOW");
    while text.contains("    ") {
        text = text.replace("    ", "   ");
    }
    text
}

/// Everything that programs read: id, version, content, place.
fn rows(checkout: &Checkout) -> Vec<Value> {
    let listed = checkout.json("get integrations -e staging -q -o json");
    let each = listed.as_array().expect("a list").iter();
    each.map(|row| serde_json::json!([row["id"], row["version"], row["checksum"], row["revision"]])).collect()
}

#[test]
fn an_environment_is_rolled_back_and_stays_so_until_something_newer_arrives() {
    let checkout = seeded();
    assert_snapshot!(told(&checkout, &[
        "rollback -e staging --to 1",
        "get integrations -e staging -q",
        "get quarantine",
        "history -e staging -q",
        "status -e staging -q",
    ]), @r#"
    $ sower rollback -e staging --to 1
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    ~ stripe 1.1.0 -> 1.0.0
    + wordpress 1.0.0   (restored)
    - slack 1.0.0
    Rolled staging back to seeding 1 (main@COMMIT7), as seeding 3: 1 created, 1 updated, 1 deleted in TOOK
    main@COMMIT7 stays out until something newer arrives. Take it back: sower rollback -e staging --undo
    exit 0
    $ sower get integrations -e staging -q
    ID   VERSION   STATUS   ACTIONS   TRIGGERS   REVISION   SEEDING
    monday   1.0.0   published   1   0   main@COMMIT7   1
    stripe   1.0.0   published   1   0   main@COMMIT7   3
    wordpress   1.0.0   published   1   0   main@COMMIT7   3
    exit 0
    $ sower get quarantine
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) Take one back: sower rollback ID -e ENVIRONMENT --undo
    ENVIRONMENT   ID   VERSION   CHECKSUM   SEEDING   SINCE   REASON
    staging   slack   1.0.0   PLANPLANPLAN   3   NOW   rollback to 1 by AUTHOR
    staging   stripe   1.1.0   PLANPLANPLAN   3   NOW   rollback to 1 by AUTHOR
    staging   wordpress   absent   -   3   NOW   rollback to 1 by AUTHOR
    exit 0
    $ sower history -e staging -q
    SEEDING   WHEN   REVISION   CHANGED   RESULT   REASON
    3   NOW   main@COMMIT7   +1 ~1 -1   completed   rollback to 1 by AUTHOR
    2   NOW   main@COMMIT7   +1 ~1 -1   completed   push: "More" (AUTHOR)
    1   NOW   main@COMMIT7   +3 ~0 -0   completed   push: "As it was" (AUTHOR)
    exit 0
    $ sower status -e staging -q
    staging   main@COMMIT7   3 integrations, 3 quarantined

    CONDITION   STATUS   REASON   SINCE   MESSAGE
    Ready   True   Seeded   NOW   Seeded main@COMMIT7; 3 quarantined
    ConflictFree   True   NoConflicts   NOW   No conflicts
    Drifted   False   NoDrift   -   No drift

    SEEDING   WHEN   REVISION   CHANGED   RESULT   REASON
    3   NOW   main@COMMIT7   +1 ~1 -1   completed   rollback to 1 by AUTHOR
    2   NOW   main@COMMIT7   +1 ~1 -1   completed   push: "More" (AUTHOR)
    1   NOW   main@COMMIT7   +3 ~0 -0   completed   push: "As it was" (AUTHOR)
    exit 0
    "#);
    assert_snapshot!(told(&checkout, &[
        "seed -e staging",
        "seed -e staging -q",
        "plan -e staging -q",
        "explain stripe -e staging -q",
        "explain slack -e staging -q",
        "rollback -e staging --to staging-1 -q",
    ]), @r#"
    $ sower seed -e staging
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    Nothing to do: staging is at main@COMMIT7 (1 unchanged, 3 quarantined)
    exit 0
    $ sower seed -e staging -q
    Nothing to do: staging is at main@COMMIT7 (1 unchanged, 3 quarantined)
    exit 0
    $ sower plan -e staging -q
    = slack   left out: it was rolled back
    = stripe 1.0.0   kept: rolled back to, and git has nothing newer
    = wordpress 1.0.0   kept: rolled back to, and git has nothing newer

    Plan PLANPLANPLAN for staging: 0 create, 0 update, 0 delete, 1 unchanged
    exit 0
    $ sower explain stripe -e staging -q
    stripe 1.1.0 · integrations/stripe/integration.yaml · COMMIT7 AUTHOR, NOW

    staging   carried 1.0.0   since seeding 3, NOW
       = rolled back by seeding 3 (rollback to 1 by AUTHOR), so it stays as it is until something newer arrives

    To take that back: sower rollback stripe -e staging --undo
    exit 0
    $ sower explain slack -e staging -q
    slack 1.0.0 · integrations/slack/integration.yaml · COMMIT7 AUTHOR, NOW

    staging   quarantined   rolled back by seeding 3 (rollback to 1 by AUTHOR), and stays out until something newer arrives

    To take that back: sower rollback slack -e staging --undo
    exit 0
    $ sower rollback -e staging --to staging-1 -q
    Nothing to do: staging is at seeding 1 (main@COMMIT7)
    exit 0
    "#);
    for line in ["seed -e staging --reseed -q", "seed -e staging --only stripe,slack,wordpress -q"] {
        assert_eq!(checkout.run(line).exit, 0, "{line}");
        assert_eq!(versions(&checkout), ["monday 1.0.0", "stripe 1.0.0", "wordpress 1.0.0"], "{line}");
    }
    // One of them comes anew: that one is taken, the others stay out.
    checkout.integration("stripe", "1.1.1", "Payments, mended");
    checkout.commit("stripe: mended");
    assert_snapshot!(told(&checkout, &["seed -e staging -q", "get quarantine -q"]), @r#"
    $ sower seed -e staging -q
    Seeded staging at main@COMMIT7 (seeding 5): 0 created, 1 updated, 0 deleted, 1 unchanged, 2 quarantined in TOOK
    exit 0
    $ sower get quarantine -q
    ENVIRONMENT   ID   VERSION   CHECKSUM   SEEDING   SINCE   REASON
    staging   slack   1.0.0   PLANPLANPLAN   3   NOW   rollback to 1 by AUTHOR
    staging   wordpress   absent   -   3   NOW   rollback to 1 by AUTHOR
    exit 0
    "#);
}

fn versions(checkout: &Checkout) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let listed = checkout.json("get integrations -e staging -q -o json");
    let each = listed.as_array().expect("a list").iter();
    each.map(|row| format!("{} {}", text(&row["id"]), text(&row["version"]))).collect()
}

#[test]
fn a_rollback_is_taken_back_and_all_is_as_it_was_before_it() {
    let checkout = seeded();
    let before = rows(&checkout);
    assert_eq!(checkout.run("rollback -e staging --to 1 -q").exit, 0);
    assert_eq!(checkout.run("seed -e staging -q").exit, 0);
    assert_ne!(rows(&checkout), before);
    assert_snapshot!(told(&checkout, &[
        "rollback -e staging --undo",
        "get quarantine",
        "rollback -e staging --undo",
        "history -e staging -q",
    ]), @r#"
    $ sower rollback -e staging --undo
    (2) Took the rollback of staging back: no longer in quarantine: slack, stripe, wordpress
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    + slack 1.0.0   (restored)
    ~ stripe 1.0.0 -> 1.1.0
    - wordpress 1.0.0
    Seeded staging at main@COMMIT7 (seeding 4): 1 created, 1 updated, 1 deleted, 1 unchanged in TOOK
    exit 0
    $ sower get quarantine
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) Nothing is in quarantine
    exit 0
    $ sower rollback -e staging --undo
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    Nothing to undo: no rollback keeps anything of staging out
    exit 0
    $ sower history -e staging -q
    SEEDING   WHEN   REVISION   CHANGED   RESULT   REASON
    4   NOW   main@COMMIT7   +1 ~1 -1   completed   rollback undone
    3   NOW   main@COMMIT7   +1 ~1 -1   completed   rollback to 1 by AUTHOR
    2   NOW   main@COMMIT7   +1 ~1 -1   completed   push: "More" (AUTHOR)
    1   NOW   main@COMMIT7   +3 ~0 -0   completed   push: "As it was" (AUTHOR)
    exit 0
    "#);
    assert_eq!(rows(&checkout), before);
}

#[test]
fn one_integration_is_rolled_back_by_its_version() {
    let checkout = seeded();
    assert_snapshot!(told(&checkout, &[
        "rollback stripe -e staging --to 1.0.0",
        "seed -e staging -q",
        "rollback stripe -e staging --to 1.0.0 -q",
        "rollback wordpress -e staging --to 1 -q",
        "rollback slack -e staging --to staging-1 -q",
        "seed -e staging -q",
        "get quarantine -q",
        "blame stripe -e staging -q",
        "get integration stripe -e staging --at 3 -q",
        "rollback stripe -e staging --undo",
    ]), @r#"
    $ sower rollback stripe -e staging --to 1.0.0
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    ~ stripe 1.1.0 -> 1.0.0
    Rolled stripe of staging back to 1.0.0, as seeding 3: 0 created, 1 updated, 0 deleted in TOOK
    What it was rolled back from stays out until something newer arrives. Take it back: sower rollback stripe -e staging --undo
    exit 0
    $ sower seed -e staging -q
    Nothing to do: staging is at main@COMMIT7 (2 unchanged, 1 quarantined)
    exit 0
    $ sower rollback stripe -e staging --to 1.0.0 -q
    Nothing to do: stripe of staging is at 1.0.0
    exit 0
    $ sower rollback wordpress -e staging --to 1 -q
    Rolled wordpress of staging back to 1.0.0 (seeding 1), as seeding 4: 1 created, 0 updated, 0 deleted in TOOK
    What it was rolled back from stays out until something newer arrives. Take it back: sower rollback wordpress -e staging --undo
    exit 0
    $ sower rollback slack -e staging --to staging-1 -q
    Rolled slack of staging back to its absence (seeding 1), as seeding 5: 0 created, 0 updated, 1 deleted in TOOK
    What it was rolled back from stays out until something newer arrives. Take it back: sower rollback slack -e staging --undo
    exit 0
    $ sower seed -e staging -q
    Nothing to do: staging is at main@COMMIT7 (1 unchanged, 3 quarantined)
    exit 0
    $ sower get quarantine -q
    ENVIRONMENT   ID   VERSION   CHECKSUM   SEEDING   SINCE   REASON
    staging   slack   1.0.0   PLANPLANPLAN   5   NOW   rollback of slack to 1 by AUTHOR
    staging   stripe   1.1.0   PLANPLANPLAN   3   NOW   rollback of stripe to 1.0.0 by AUTHOR
    staging   wordpress   absent   -   4   NOW   rollback of wordpress to 1 by AUTHOR
    exit 0
    $ sower blame stripe -e staging -q
    KIND   NAME   SEEDING   WHEN   COMMIT   AUTHOR   REASON
    integration   author   1   NOW   COMMIT7   AUTHOR   First
    integration   baseUrl   1   NOW   COMMIT7   AUTHOR   First
    integration   category   1   NOW   COMMIT7   AUTHOR   First
    integration   description   3   NOW   COMMIT7   AUTHOR   First
    integration   id   1   NOW   COMMIT7   AUTHOR   First
    integration   license   1   NOW   COMMIT7   AUTHOR   First
    integration   name   1   NOW   COMMIT7   AUTHOR   First
    integration   permissions   1   NOW   COMMIT7   AUTHOR   First
    integration   version   3   NOW   COMMIT7   AUTHOR   First
    action   list   1   NOW   COMMIT7   AUTHOR   First
    exit 0
    $ sower get integration stripe -e staging --at 3 -q
    ID   VERSION   STATUS   ACTIONS   TRIGGERS   REVISION   SEEDING
    stripe   1.0.0   published   1   0   main@COMMIT7   3
    exit 0
    $ sower rollback stripe -e staging --undo
    (2) Took the rollback of stripe of staging back: no longer in quarantine: stripe
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    ~ stripe 1.0.0 -> 1.1.0
    Seeded staging at main@COMMIT7 (seeding 6): 0 created, 1 updated, 0 deleted, 0 unchanged in TOOK
    exit 0
    "#);
    let history = checkout.json("history -e staging -q -o json");
    assert_eq!(history[0]["reason"], "rollback undone");
    assert_eq!(history[3]["reason"], "rollback of stripe to 1.0.0 by AUTHOR");
    // A revision means what the environment stood at, not what one integration was taken back to.
    let at = checkout.json("history -e staging -q -o json")[4]["revision"].as_str().expect("one").to_owned();
    let ran = checkout.run(&format!("rollback -e staging --to {at} -q -o json"));
    let report: Value = serde_json::from_str(&ran.out).expect("a report");
    assert_eq!((&report["status"], &report["revision"]), (&"completed".into(), &at.into()), "{}", ran.err);
}

#[test]
fn what_is_not_to_be_had_says_so_and_nothing_is_written() {
    let checkout = seeded();
    let before = rows(&checkout);
    assert_snapshot!(told(&checkout, &[
        "rollback -e staging --to 9",
        "rollback -e staging --to main@77d0c3e",
        "rollback -e staging --to yesterday",
        "rollback -e production --to 1",
        "rollback stripe -e staging --to 3.0.0",
        "rollback nothing -e staging --to 1.0.0",
        "rollback -e staging --to 2",
        "rollback --to 2",
        "rollback -e staging",
        "rollback -e staging --undo",
    ]), @r#"
    $ sower rollback -e staging --to 9
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: staging has no seeding 9: its last one is 2. Nothing was written.
    (2)   what there was:  sower history -e staging
    exit 1
    $ sower rollback -e staging --to main@COMMIT7
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: no seeding of staging stood at main@COMMIT7. Nothing was written.
    (2)   what there was:  sower history -e staging
    exit 1
    $ sower rollback -e staging --to yesterday
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: `yesterday` is no seeding and no revision, as `sower history` shows them. Nothing was written.
    (2)   what there was:  sower history -e staging
    exit 1
    $ sower rollback -e production --to 1
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: production was never seeded: there is nothing to go back to. Nothing was written.
    (2)   what there was:  sower history -e production
    exit 1
    $ sower rollback stripe -e staging --to 3.0.0
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: staging never carried stripe 3.0.0; it had 1.0.0, 1.1.0. Nothing was written.
    (2)   what there was:  sower get versions stripe -e staging
    exit 1
    $ sower rollback nothing -e staging --to 1.0.0
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: staging never carried nothing. Nothing was written.
    (2)   what there was:  sower get versions nothing -e staging
    exit 1
    $ sower rollback -e staging --to 2
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    Nothing to do: staging is at seeding 2 (main@COMMIT7)
    exit 0
    $ sower rollback --to 2
    (2) error: which environment? There are development, production, staging
    (2)   one:  sower rollback --to 2 -e development
    exit 2
    $ sower rollback -e staging
    (2) error: --to is missing
    (2)   examples:  sower rollback --help
    exit 2
    $ sower rollback -e staging --undo
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    Nothing to undo: no rollback keeps anything of staging out
    exit 0
    "#);
    assert_eq!(rows(&checkout), before);
    assert_eq!(checkout.json("history -e staging -q -o json").as_array().map(Vec::len), Some(2));
    checkout.sql("DELETE FROM integration_versions WHERE integration_id = 'wordpress'");
    assert_snapshot!(told(&checkout, &["rollback -e staging --to 1"]), @r#"
    $ sower rollback -e staging --to 1
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: what there was of wordpress is not kept any more. Nothing was written.
    (2)   what there was:  sower history -e staging
    exit 1
    "#);
    let failed = checkout.json("rollback -e staging --to 1 -q -o json");
    assert_eq!(
        (&failed["status"], &failed["errors"][0]["code"]),
        (&"failed".into(), &"RollbackFailed".into())
    );
    checkout.sql("UPDATE environments SET keeper = 'prod-eu/sower/staging'");
    assert_eq!(checkout.run("rollback -e staging --to 1").exit, 4);
}

#[test]
fn a_freeze_holds_no_rollback_and_a_suspension_does() {
    let checkout = seeded();
    let frozen = "  freezeWindows:\n  - { schedule: \"* * * * *\", duration: 24h }\n  pruneLimit: 0\n";
    checkout.write("environments/staging.yaml", &crate::checkout::environment("staging", "\"*\"", frozen));
    let done = checkout.run("rollback -e staging --to 1 -q");
    assert_eq!(done.exit, 0, "{}", done.err);
    assert_eq!(versions(&checkout), ["monday 1.0.0", "stripe 1.0.0", "wordpress 1.0.0"]);
    // To go forward again is a seeding like any other.
    assert_eq!(checkout.run("rollback -e staging --undo -q").exit, 4);
    checkout.write(
        "environments/staging.yaml",
        &crate::checkout::environment("staging", "\"*\"", "  suspend: true\n"),
    );
    assert_snapshot!(told(&checkout, &["rollback -e staging --to 2"]), @r#"
    $ sower rollback -e staging --to 2
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) refused: staging is suspended (spec.suspend in environments/staging.yaml:6). Nothing was written.
    (2)   go on:  take `suspend: true` out there, then seed again
    exit 4
    "#);
}

#[test]
fn rows_of_others_stay_and_what_they_hold_is_left_out() {
    let checkout = seeded();
    checkout.sql(
        "DELETE FROM integration_definitions WHERE id = 'wordpress'; \
         INSERT INTO integration_definitions (id, name, version, manifest, environment) \
         VALUES ('wordpress', 'Ours', '9.0.0', '{}', 'staging')",
    );
    assert_snapshot!(told(&checkout, &["rollback -e staging --to 1 -q"]), @r#"
    $ sower rollback -e staging --to 1 -q
    (2) error[foreign-row]: a row that Sower did not write holds the id `wordpress`
    Rolled staging back to seeding 1 (main@COMMIT7), as seeding 3: 0 created, 1 updated, 1 deleted in TOOK
    main@COMMIT7 stays out until something newer arrives. Take it back: sower rollback -e staging --undo
    exit 1
    "#);
    assert!(versions(&checkout).contains(&"wordpress 9.0.0".to_owned()));
}

#[test]
fn a_rollback_takes_an_undo_back_that_nothing_came_of() {
    let checkout = seeded();
    assert_eq!(checkout.run("rollback -e staging --to 1 -q").exit, 0);
    let before = rows(&checkout);
    let undone = checkout.run("rollback -e staging --undo -q --source nowhere");
    assert_ne!(undone.exit, 0, "its seeding finds no source");
    assert_eq!(checkout.run("rollback -e staging --to 1 -q").exit, 0);
    assert_eq!(checkout.run("seed -e staging -q").exit, 0);
    assert_eq!(rows(&checkout), before, "it stays rolled back");
    assert_eq!(checkout.run("rollback -e staging --undo -q").exit, 0);
    assert_ne!(rows(&checkout), before);
}
