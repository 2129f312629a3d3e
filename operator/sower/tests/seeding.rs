//! `sower seed` and `sower plan` as a user meets them: the built binary on a checkout and SQLite.

mod checkout;

use checkout::{Checkout, environment};
use insta::assert_snapshot;
use serde_json::json;

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
    ~ stripe 1.0.0 -> 1.1.0
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
    assert_eq!(
        plan["changes"],
        json!([{
            "integration": "stripe", "kind": "update", "from": "1.0.0", "to": "1.1.0",
            "fields": [{ "pointer": "/description", "from": "As it was", "to": "Better" }],
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
fn a_broken_manifest_keeps_its_rows_and_the_rest_comes_in() {
    let checkout = Checkout::new();
    checkout.run("seed -e development");
    checkout.integration("slack", "v2.1", "Broken");
    checkout.integration("stripe", "1.1.1", "Better");
    assert_snapshot!(checkout.transcripts(&["plan -e development -q", "seed -e development", "seed -e development"]), @r"
    $ sower plan -e development -q
    (2) error[bad-version]: `v2.1` is not a semantic version
    (2)  --> integrations/slack/integration.yaml:6:12
    (2)   |
    (2) 6 |   version: v2.1
    (2)   |            ^^^^ expected MAJOR.MINOR.PATCH
    (2)   |
    (2)   = help: write `2.1.0`
    (2)
    ~ stripe 1.0.0 -> 1.1.1
        ~ integration  /description
    = slack 1.0.0   kept: its manifest is invalid

    Plan PLANPLANPLAN for development: 0 create, 1 update, 0 delete, 2 unchanged, 1 refused
    exit 1
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7-dirty · sqlite://.sower/sower.db
    (2) warning: 2 uncommitted files (integrations/slack/integration.yaml, integrations/stripe/integration.yaml): no commit will explain these rows
    (2) error[bad-version]: `v2.1` is not a semantic version
    (2)  --> integrations/slack/integration.yaml:6:12
    (2)   |
    (2) 6 |   version: v2.1
    (2)   |            ^^^^ expected MAJOR.MINOR.PATCH
    (2)   |
    (2)   = help: write `2.1.0`
    (2)
    (2) slack keeps 1.0.0. Mend its manifest and seed again: the rest is in.
    ~ stripe 1.0.0 -> 1.1.1
    Seeded development at main@COMMIT7-dirty (seeding 2): 0 created, 1 updated, 0 deleted, 2 unchanged, 1 refused in TOOK
    exit 1
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7-dirty · sqlite://.sower/sower.db
    (2) error[bad-version]: `v2.1` is not a semantic version
    (2)  --> integrations/slack/integration.yaml:6:12
    (2)   |
    (2) 6 |   version: v2.1
    (2)   |            ^^^^ expected MAJOR.MINOR.PATCH
    (2)   |
    (2)   = help: write `2.1.0`
    (2)
    (2) slack keeps 1.0.0. Mend its manifest and seed again: the rest is in.
    Nothing to do: development is at main@COMMIT7-dirty (3 unchanged, 1 refused)
    exit 1
    ");
    let report = checkout.json("seed -e development -o json");
    assert_eq!(
        report["errors"],
        json!([{
            "integration": "slack", "code": "bad-version", "location": "integrations/slack/integration.yaml:6:12",
            "message": "`v2.1` is not a semantic version",
        }])
    );
}

#[test]
fn a_strict_environment_takes_all_or_nothing() {
    let checkout = Checkout::new();
    checkout.write("environments/development.yaml", &environment("development", "\"*\"", "  strict: true\n"));
    checkout.integration("slack", "v2.1", "Broken");
    assert_snapshot!(checkout.transcript("seed -e development"), @r"
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7-dirty · sqlite://.sower/sower.db
    (2) error[bad-version]: `v2.1` is not a semantic version
    (2)  --> integrations/slack/integration.yaml:6:12
    (2)   |
    (2) 6 |   version: v2.1
    (2)   |            ^^^^ expected MAJOR.MINOR.PATCH
    (2)   |
    (2)   = help: write `2.1.0`
    (2)
    (2) error: 1 of 4 manifests is invalid, and development is strict. Nothing was written.
    (2)   take the others:  unset spec.strict in environments/development.yaml:6
    exit 1
    ");
}

#[test]
fn a_deprecated_integration_comes_in_with_a_warning() {
    let checkout = Checkout::new();
    checkout.write(
        "integrations/slack/integration.yaml",
        "id: slack\nname: Slack\nversion: 1.0.0\nlifecycle: deprecated\nreplacedBy: stripe\n",
    );
    let seeded = checkout.transcripts(&["seed -e development -q"]);
    assert!(seeded.contains("warning: slack is deprecated: use stripe\n"), "{seeded}");
}

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
    (2)   allow it:       raise spec.pruneLimit in environments/development.yaml
    ~ stripe 1.0.0 -> 1.1.0
    - monday, slack, wordpress (folders gone since COMMIT7, AUTHOR: "Tidy up")
    exit 4
    $ sower plan -e development
    (2) from: files (sower.toml) · . at main@COMMIT7 · sqlite://.sower/sower.db
    (2) It would be held: Plan PLANPLANPLAN would delete 3 of 4 integrations; pruneLimit is 20%
    ~ stripe 1.0.0 -> 1.1.0
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
}

#[test]
fn words_that_are_off_say_what_is_meant() {
    let checkout = Checkout::new();
    let off = checkout.transcripts(&[
        "seed",
        "seed -e environments",
        "seed -e nowhere",
        "plan -e nowhere",
        "seed -e production --force",
        "seed -e production --all",
        "suspend -e production",
        "resume",
        "run --standalone -n sower",
    ]);
    assert_snapshot!(off, @r"
    $ sower seed
    (2) error: which environment? There are development, production, staging
    (2)   one:  sower seed -e development
    (2)   all:  sower seed --all
    exit 2
    $ sower seed -e environments
    (2) error: no environment is called `environments` (development, production, staging)
    (2)   the folder of environments is --environments environments
    exit 2
    $ sower seed -e nowhere
    (2) error: no environment is called `nowhere` (development, production, staging)
    exit 2
    $ sower plan -e nowhere
    (2) error: no environment is called `nowhere` (development, production, staging)
    exit 2
    $ sower seed -e production --force
    (2) error: unexpected argument '--force': --reseed writes unchanged rows again; no flag overrides a guard
    exit 2
    $ sower seed -e production --all
    (2) error: --environment and --all exclude each other
    exit 2
    $ sower suspend -e production
    (2) error: suspend patches a resource of a cluster; with files `spec.suspend: true` stops seeding it
    (2)   edit production:  environments/production.yaml
    (2)   in a cluster:     sower suspend -e production -n NAMESPACE
    exit 2
    $ sower resume
    (2) error: which environment? There are development, production, staging
    (2)   one:  sower resume -e development
    (2)   all:  sower resume --all
    exit 2
    $ sower run --standalone -n sower
    (2) error: --standalone acts on files, and --namespace asks a cluster
    (2)   the operator:  sower run
    exit 2
    ");
    let nowhere = tempfile::tempdir().expect("a folder");
    let ran = checkout.sower().arg("seed").current_dir(nowhere.path()).output().expect("it runs");
    assert_eq!(ran.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&ran.stderr)
            .starts_with("error: no project here: neither sower.toml nor environments/ in ")
    );
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
    ~ slack 1.0.0
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
    (2) error: no integration is called `slak` in development
    (2)   all of them:  sower get integrations
    Nothing to do: development is at main@COMMIT7 (0 unchanged)
    exit 1
    $ sower plan -e development --only slak -q
    (2) error: no integration is called `slak` in development
    (2)   all of them:  sower get integrations
    Plan PLANPLANPLAN for development: 0 create, 0 update, 0 delete, 0 unchanged
    exit 1
    ");
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
fn a_broken_environment_does_not_stop_the_others() {
    let checkout = Checkout::new();
    checkout
        .write("environments/production.yaml", &environment("production", "stripe", "  pruneLimits: 3\n"));
    assert_snapshot!(checkout.transcripts(&["seed --all -q", "seed -e staging -q"]), @r"
    $ sower seed --all -q
    (2) error[unknown-field]: the environment has no field `pruneLimits`
    (2)  --> environments/production.yaml:6:3
    (2)   |
    (2) 6 |   pruneLimits: 3
    (2)   |   ^^^^^^^^^^^ unknown field
    (2)   |
    (2)   = help: did you mean `pruneLimit`?
    (2)
    Seeded development at main@COMMIT7 (seeding 1): 4 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    Seeded staging at main@COMMIT7 (seeding 1): 3 created, 0 updated, 0 deleted, 0 unchanged in TOOK
    exit 1
    $ sower seed -e staging -q
    (2) error[unknown-field]: the environment has no field `pruneLimits`
    (2)  --> environments/production.yaml:6:3
    (2)   |
    (2) 6 |   pruneLimits: 3
    (2)   |   ^^^^^^^^^^^ unknown field
    (2)   |
    (2)   = help: did you mean `pruneLimit`?
    (2)
    Nothing to do: staging is at main@COMMIT7 (3 unchanged)
    exit 0
    ");
}

#[test]
fn a_source_that_cannot_be_read_prunes_nothing() {
    let checkout = Checkout::new();
    checkout.run("seed -e staging");
    checkout.write("elsewhere/README.md", "Nothing here.\n");
    assert_snapshot!(checkout.transcripts(&[
        "seed -e staging --source .#nope",
        "seed -e staging --source elsewhere",
        "seed -e staging --source nowhere",
        "plan -e staging --source elsewhere",
        "seed -e staging",
    ]), @r"
    $ sower seed -e staging --source .#nope
    (2) from: files (sower.toml) · .#nope · sqlite://.sower/sower.db
    (2) error: branch or tag `nope` not found in /CHECKOUT/. Nothing was pruned.
    exit 1
    $ sower seed -e staging --source elsewhere
    (2) from: files (sower.toml) · elsewhere · sqlite://.sower/sower.db
    (2) error: default at main@COMMIT7 holds no manifest. Nothing was pruned.
    (2)   its manifests are looked for below the source's `path`, `integrations` where no source is named
    exit 1
    $ sower seed -e staging --source nowhere
    (2) from: files (sower.toml) · nowhere · sqlite://.sower/sower.db
    (2) error: there is no folder /CHECKOUT/nowhere. Nothing was pruned.
    exit 1
    $ sower plan -e staging --source elsewhere
    (2) from: files (sower.toml) · elsewhere at main@COMMIT7 · sqlite://.sower/sower.db
    (2) warning: default at main@COMMIT7 holds no manifest; nothing is pruned
    = monday 1.0.0   kept: gone from its source, which is empty, not whole, or holds an unreadable id
    = stripe 1.0.0   kept: gone from its source, which is empty, not whole, or holds an unreadable id
    = wordpress 1.0.0   kept: gone from its source, which is empty, not whole, or holds an unreadable id

    Plan PLANPLANPLAN for staging: 0 create, 0 update, 0 delete, 0 unchanged
    exit 0
    $ sower seed -e staging
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    Nothing to do: staging is at main@COMMIT7 (3 unchanged)
    exit 0
    ");
}

#[test]
fn rejected_credentials_name_the_host() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = server.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            refuse(stream);
        }
    });
    let checkout = Checkout::new();
    let text = checkout
        .transcript(&format!("seed -e staging --source http://user:s3cret@{address}/catalog.git#main"));
    assert_snapshot!(text.replace(&address.port().to_string(), "PORT"), @r"
    $ sower seed -e staging --source http://user:s3cret@127.0.0.1:PORT/catalog.git#main
    (2) from: files (sower.toml) · http://127.0.0.1:PORT/catalog.git#main · sqlite://.sower/sower.db
    (2) error: 127.0.0.1 rejected the credentials of staging. Nothing was pruned.
    (2)   with https:  git credential approve, or whatever helper git uses for that host
    (2)   with ssh:    ssh-add
    exit 1
    ");
}

/// Answers one request with 401.
fn refuse(mut stream: std::net::TcpStream) {
    use std::io::{Read as _, Write as _};
    let mut buffer = [0; 4096];
    while let Ok(read) = stream.read(&mut buffer) {
        let answer =
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"git\"\r\ncontent-length: 0\r\n\r\n";
        if read == 0 || stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn a_database_that_does_not_answer_is_named_without_its_password() {
    let checkout = Checkout::new();
    let database = "--database postgres://sower:s3cret@127.0.0.1:1/catalog";
    let text = checkout
        .transcripts(&[&format!("seed -e production {database}"), &format!("plan -e production {database}")]);
    let (_, told) = text.split_once('\n').expect("an answer");
    assert!(!told.replace(database, "").contains("s3cret"), "{text}");
    assert_snapshot!(text.replace(database, "--database URL"), @r"
    $ sower seed -e production --database URL
    (2) from: files (sower.toml) · .#HEAD · postgres://sower@127.0.0.1:1/catalog
    (2) error: the database does not answer: postgres://sower@127.0.0.1:1/catalog: connection refused (3 tries in TOOK). Nothing was written.
    (2)   check it:  sower doctor
    exit 1
    $ sower plan -e production --database URL
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · postgres://sower@127.0.0.1:1/catalog
    (2) error: the database does not answer: postgres://sower@127.0.0.1:1/catalog: connection refused (3 tries in TOOK). Nothing was written.
    (2)   check it:  sower doctor
    exit 1
    ");
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
    (2) error: git repository not found in /CHECKOUT/. Nothing was pruned.
    (2)   without git:  --source DIR takes the files as they lie there
    exit 1
    ");
}
