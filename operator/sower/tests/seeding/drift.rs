//! Rows that no longer are what was seeded, as `sower drift` tells them.

use insta::assert_snapshot;

use crate::checkout::{Checkout, environment};

/// What a hand does to a database: one UPDATE, one DELETE, one INSERT.
const HAND: [&str; 3] = [
    "UPDATE action_registry SET name = 'By hand', definition = '{}' WHERE environment = 'production' AND id = 'stripe/list'",
    "DELETE FROM action_registry WHERE environment = 'production' AND id = 'wordpress/list'",
    "INSERT INTO action_registry (id, integration_id, identifier, name, definition, environment) \
     VALUES ('stripe/mine', 'stripe', 'mine', 'Mine', '{}', 'production')",
];

#[test]
fn missing_changed_and_foreign_rows_are_told_apart() {
    let checkout = Checkout::new();
    assert_snapshot!(checkout.transcript("drift -e staging"), @r"
    $ sower drift -e staging
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    staging: not seeded yet
    exit 0
    ");
    assert!(!checkout.path().join(".sower").exists(), "asking makes nothing");
    checkout.run("seed --all -q");
    assert_snapshot!(checkout.transcripts(&["drift", "drift -e production --exit-code -q"]), @r"
    $ sower drift
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    development: no drift since seeding 1 (4 integrations)
    production: no drift since seeding 1 (2 integrations)
    staging: no drift since seeding 1 (3 integrations)
    exit 0
    $ sower drift -e production --exit-code -q
    production: no drift since seeding 1 (2 integrations)
    exit 0
    ");
    HAND.iter().for_each(|statement| checkout.sql(statement));
    assert_snapshot!(checkout.transcripts(&["drift", "drift -e production --exit-code -q"]), @r"
    $ sower drift
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) Write production as it was seeded: sower seed -e production --reseed
    ENVIRONMENT   KIND     ID               WHAT
    production    action   stripe/list      changed: name, definition
    production    action   stripe/mine      foreign
    production    action   wordpress/list   missing

    development: no drift since seeding 1 (4 integrations)
    production: 1 missing, 1 changed, 1 foreign since seeding 1 (2 integrations)
    staging: no drift since seeding 1 (3 integrations)
    exit 0
    $ sower drift -e production --exit-code -q
    ENVIRONMENT   KIND     ID               WHAT
    production    action   stripe/list      changed: name, definition
    production    action   stripe/mine      foreign
    production    action   wordpress/list   missing

    production: 1 missing, 1 changed, 1 foreign since seeding 1 (2 integrations)
    exit 3
    ");
    assert_snapshot!(checkout.transcripts(&["drift -e production -q -o json", "drift -e staging -q -o yaml"]), @r#"
    $ sower drift -e production -q -o json
    {
      "environment": "production",
      "seeding": "production-1",
      "integrations": 2,
      "missing": 1,
      "changed": 1,
      "foreign": 1,
      "rows": [
        {
          "columns": [
            "name",
            "definition"
          ],
          "foreign": null,
          "id": "stripe/list",
          "integration": "stripe",
          "kind": "action",
          "version": null,
          "what": "changed"
        },
        {
          "columns": [],
          "foreign": "beside",
          "id": "stripe/mine",
          "integration": "stripe",
          "kind": "action",
          "version": null,
          "what": "foreign"
        },
        {
          "columns": [],
          "foreign": null,
          "id": "wordpress/list",
          "integration": "wordpress",
          "kind": "action",
          "version": null,
          "what": "missing"
        }
      ],
      "errors": []
    }
    exit 0
    $ sower drift -e staging -q -o yaml
    environment: staging
    seeding: staging-1
    integrations: 3
    missing: 0
    changed: 0
    foreign: 0
    rows: []
    errors: []
    exit 0
    "#);
    let all = checkout.json("drift -o json");
    let drifted = all.as_array().expect("an array").iter().map(|one| one["rows"].as_array().map(Vec::len));
    assert_eq!(drifted.collect::<Vec<_>>(), [Some(0), Some(3), Some(0)]);
}

#[test]
fn a_reseeding_mends_what_drifted_and_leaves_foreign_rows() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    HAND.iter().for_each(|statement| checkout.sql(statement));
    assert_eq!(checkout.run("seed -e production -q --reseed").exit, 0);
    assert_snapshot!(checkout.transcript("drift -e production"), @r"
    $ sower drift -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    ENVIRONMENT   KIND     ID            WHAT
    production    action   stripe/mine   foreign

    production: 0 missing, 0 changed, 1 foreign since seeding 2 (2 integrations)
    exit 0
    ");
    checkout.sql("DELETE FROM action_registry WHERE id = 'stripe/mine'");
    assert_eq!(checkout.run("drift --exit-code -q").exit, 0);

    // What says which content it is, and not the content.
    for (column, value) in [("checksum", "v1:00"), ("version", "9.0.0")] {
        checkout.sql(&format!(
            "UPDATE integration_definitions SET {column} = '{value}' WHERE environment = 'production' AND id = 'stripe'"
        ));
        assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 3, "{column}");
        let told = checkout.run("seed -e production -q --reseed");
        assert!(told.exit == 0 && !told.out.contains("conflict"), "{column}: {}", told.out);
        assert_eq!(checkout.run("drift --exit-code -q").exit, 0, "{column}");
        assert!(checkout.json("get conflicts -o json").as_array().expect("an array").is_empty(), "{column}");
    }

    // A copy of a row of ours.
    let columns = "integration_id, identifier, name, category, definition, environment, source, revision, path, checksum, row_hash, seeding";
    checkout.sql(&format!(
        "INSERT INTO action_registry (id, {columns}) SELECT 'stripe/copy', {columns} FROM action_registry \
         WHERE environment = 'production' AND id = 'stripe/list'"
    ));
    let told = checkout.run("drift -e production --exit-code -q");
    assert!(told.out.contains("stripe/copy   foreign, though it names a seeding"), "{}", told.out);
    assert_eq!((told.exit, checkout.run("seed -e production -q --reseed").exit), (3, 0));
    assert_eq!(checkout.run("drift --exit-code -q").exit, 0);

    // A whole integration that went.
    checkout
        .sql("DELETE FROM action_registry WHERE environment = 'production' AND integration_id = 'stripe'");
    checkout.sql("DELETE FROM integration_definitions WHERE environment = 'production' AND id = 'stripe'");
    assert_eq!(checkout.json("drift -e production -o json")["missing"], 2);
    assert_eq!(checkout.run("seed -e production -q --reseed").exit, 0);
    assert_eq!(checkout.run("drift --exit-code -q").exit, 0);
}

#[test]
fn what_cannot_be_asked_is_told() {
    let checkout = Checkout::new();
    assert_eq!(checkout.run("drift -e nowhere").exit, 2);
    assert_eq!(checkout.run("drift --all").exit, 2);
    let gone = "drift -e production --database postgres://sower@127.0.0.1:1/catalog";
    let ran = checkout.run(&format!("{gone} --exit-code"));
    assert_eq!((ran.exit, ran.out.as_str()), (1, ""));
    assert!(ran.err.contains("error: the database does not answer"), "{}", ran.err);
    assert_eq!(checkout.json(&format!("{gone} -o json"))["errors"][0]["code"], "DatabaseUnavailable");
}

/// The environment of the tests, with what is done about drift.
fn production(checkout: &Checkout, more: &str) {
    let more = format!("  seedingStrategy: selective\n{more}");
    let text = environment("production", "stripe, wordpress", &more);
    checkout.write("environments/production.yaml", &text);
}

#[test]
fn a_seeding_corrects_where_the_environment_says_so() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    HAND.iter().for_each(|statement| checkout.sql(statement));
    // The default warns, and a seeding with nothing new does not look.
    let seeded = checkout.run("seed -e production");
    assert!(seeded.out.starts_with("Nothing to do: production is at main@"), "{}", seeded.out);
    assert_eq!(checkout.json("drift -e production -o json")["changed"], 1);

    production(&checkout, "  drift: { mode: Correct }\n");
    assert_snapshot!(checkout.transcripts(&["drift -e production", "plan -e production", "seed -e production"]), @r"
    $ sower drift -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) Write production as it was seeded: sower seed -e production
    ENVIRONMENT   KIND     ID               WHAT
    production    action   stripe/list      changed: name, definition
    production    action   stripe/mine      foreign
    production    action   wordpress/list   missing

    production: 1 missing, 1 changed, 1 foreign since seeding 1 (2 integrations)
    exit 0
    $ sower plan -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) Apply it: sower seed -e production
    ~ stripe 1.0.0   (as it was seeded)
    ~ wordpress 1.0.0   (as it was seeded)

    Plan PLANPLANPLAN for production: 0 create, 2 update, 0 delete, 0 unchanged; 2 excluded (monday, slack)
    exit 0
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    ~ stripe 1.0.0   (as it was seeded)
    ~ wordpress 1.0.0   (as it was seeded)
    Seeded production at main@COMMIT7 (seeding 2): 0 created, 2 updated, 0 deleted, 0 unchanged in TOOK
    exit 0
    ");
    assert_eq!(checkout.json("drift -e production -o json")["foreign"], 1);
    let history = checkout.json("history -e production -o json");
    assert_eq!(history[0]["reason"], "drift: 2 rows corrected");
    let again = checkout.run("seed -e production");
    assert!(again.out.starts_with("Nothing to do: production is at main@"), "{}", again.out);

    // A freeze holds a correction, too.
    checkout.sql("DELETE FROM action_registry WHERE environment = 'production' AND id = 'stripe/list'");
    let always = "  freezeWindows: [{ schedule: 0 0 * * *, duration: 25h }]\n";
    production(&checkout, &format!("  drift: {{ mode: Correct }}\n{always}"));
    assert_eq!(checkout.run("seed -e production").exit, 4);
    assert_eq!(checkout.json("drift -e production -o json")["missing"], 1);
}

#[test]
fn what_is_ignored_is_not_told() {
    let checkout = Checkout::new();
    production(&checkout, "  drift: { mode: Correct, ignoreFields: [name, /description] }\n");
    checkout.run("seed --all -q");
    let written = "UPDATE action_registry SET name = 'By hand', definition = json_set(definition, '$.description', 'By hand', \
                   '$.effect', 'write') WHERE environment = 'production'";
    checkout.sql(written);
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 0);
    assert!(checkout.run("seed -e production").out.starts_with("Nothing to do"));
    checkout.sql("UPDATE action_registry SET category = 'by hand' WHERE id = 'stripe/list' AND environment = 'production'");
    let told = checkout.run("drift -e production --exit-code -q");
    assert!(told.out.contains("stripe/list   changed: category"), "{}", told.out);
    let status = checkout.run("status -e production -q").out;
    assert!(status.contains("Drifted"), "{status}");
    assert!(status.contains("1 changed row since seeding 1: stripe"), "{status}");
    production(&checkout, "  drift: { mode: Ignore }\n");
    assert!(!checkout.run("status -e production -q").out.contains("Drifted"));

    production(&checkout, "  drift: { ignoreFields: [row_hash, /a//b], interval: 9s }\n");
    let found = checkout.run("validate -o concise");
    let errors: Vec<&str> = found.out.lines().filter(|line| line.contains("error[")).collect();
    assert_snapshot!(errors.join("\n"), @r"
    environments/production.yaml:7:27: error[wrong-type]: `row_hash` cannot be ignored: it is neither a column (name, version, author, manifest, status, integration_id, identifier, category, definition) nor a JSON pointer such as /description
    environments/production.yaml:7:37: error[wrong-type]: `/a//b` cannot be ignored: a part of it is empty
    environments/production.yaml:7:55: error[bad-duration]: interval is too short
    ");
}
