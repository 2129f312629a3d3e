//! Rows that no longer are what was seeded, as `sower drift` tells them.

use insta::assert_snapshot;

use crate::checkout::Checkout;

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
          "what": "changed"
        },
        {
          "columns": [],
          "foreign": "beside",
          "id": "stripe/mine",
          "integration": "stripe",
          "kind": "action",
          "what": "foreign"
        },
        {
          "columns": [],
          "foreign": null,
          "id": "wordpress/list",
          "integration": "wordpress",
          "kind": "action",
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
