//! Rows that were made by hand, taken over by `sower adopt`.

use insta::assert_snapshot;

use super::exporting::rows;
use crate::checkout::Checkout;

/// The rows of an integration as a hand writes them: what the checkout's manifest says, in other words of JSON.
fn by_hand(id: &str, name: &str, environment: &str) -> String {
    let manifest = format!(
        r#"{{ "description": "As it was", "license": "Apache-2.0", "category": [ "test" ], "baseUrl": "https://{id}.example", "permissions": [ "network:{id}.example" ] }}"#
    );
    let definition = r#"{ "request": { "path": "/things", "method": "GET" }, "description": "Lists.", "inputSchema": { "type": "object", "properties": {} } }"#;
    format!(
        "INSERT INTO integration_definitions (id, name, version, author, manifest, created_at, environment) \
           VALUES ('{id}', '{id}', '1.0.0', 'Sower', '{manifest}', '2020-01-01T00:00:00.000Z', '{environment}'); \
         INSERT INTO action_registry (id, integration_id, identifier, name, definition, created_at, environment) \
           VALUES ('{id}/list', '{id}', 'list', '{name}', '{definition}', '2020-01-01T00:00:00.000Z', '{environment}');"
    )
}

/// A checkout with a database in which nobody seeded production.
fn with_tables() -> Checkout {
    let checkout = Checkout::new();
    checkout.run("seed -e development -q");
    checkout
}

#[test]
fn rows_that_fit_are_adopted_and_a_seeding_has_nothing_to_do() {
    let checkout = with_tables();
    for id in ["stripe", "wordpress"] {
        checkout.sql(&by_hand(id, "List", "production"));
    }
    assert_eq!(checkout.run("seed -e production -q").exit, 1, "rows of somebody else's are in the way");
    assert_snapshot!(
        checkout.transcripts(&[
            "adopt integrations -e production --dry-run",
            "adopt integrations -e production",
            "seed -e production",
            "drift -e production -q",
            "adopt integrations -e production -q",
        ]),
        @r"
    $ sower adopt integrations -e production --dry-run
    (2) from: files (sower.toml) · integrations at main@COMMIT7 · sqlite://.sower/sower.db
    (2) Adopt them: sower adopt integrations -e production
    + stripe 1.0.0   2 rows
    + wordpress 1.0.0   2 rows

    Would adopt 4 rows of 2 integrations of production
    exit 0
    $ sower adopt integrations -e production
    (2) from: files (sower.toml) · integrations at main@COMMIT7 · sqlite://.sower/sower.db
    (2) What a seeding would change now: sower plan -e production
    + stripe 1.0.0   2 rows
    + wordpress 1.0.0   2 rows

    Adopted 4 rows of 2 integrations of production (seeding 1)
    exit 0
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    Nothing to do: production is at main@COMMIT7 (2 unchanged)
    exit 0
    $ sower drift -e production -q
    production: no drift since seeding 1 (2 integrations)
    exit 0
    $ sower adopt integrations -e production -q
    Nothing to adopt: every row of production is Sower's own
    exit 0
    "
    );
    let logged = checkout.json("history -e production -o json");
    assert!(logged[0]["reason"].as_str().is_some_and(|reason| reason.starts_with("adopt by ")), "{logged}");
    assert_eq!((&logged[0]["seeding"], &logged[0]["updated"]), (&"production-1".into(), &2.into()));
    let held = checkout.json("get integration stripe -e production -o json");
    assert_eq!(held[0]["createdAt"], "2020-01-01T00:00:00Z");
    assert_eq!(held[0]["path"], "integrations/stripe/integration.yaml");
    // They are the rows that a seeding makes.
    checkout.run("seed -e production -q --database sqlite://other.db");
    assert_eq!(rows(&checkout, ".sower/sower.db", "production"), rows(&checkout, "other.db", "production"));
}

#[test]
fn rows_that_do_not_fit_are_named_and_left() {
    let checkout = with_tables();
    checkout.sql(&by_hand("stripe", "List things", "production"));
    checkout.sql(&by_hand("wordpress", "List", "production"));
    checkout.sql(&by_hand("slack", "List", "production"));
    checkout.sql(&by_hand("github", "List", "production"));
    assert_snapshot!(checkout.transcript("adopt integrations -e production"), @r#"
    $ sower adopt integrations -e production
    (2) from: files (sower.toml) · integrations at main@COMMIT7 · sqlite://.sower/sower.db
    (2) Write the manifests as the rows are: sower export --foreign -e production --dir DIR; or change the rows
    (2) Why it is excluded: sower explain slack -e production
    (2) Make manifests of the others: sower export --foreign -e production --dir DIR
    (2) What a seeding would change now: sower plan -e production
    = github   no manifest of it here
    ! slack   excluded, a seeding would take its rows out: no pattern of allowedIntegrations matches
    ! stripe   the rows are not what the manifest says
        action stripe/list: name: "List things" -> "List"
    + wordpress 1.0.0   2 rows

    Adopted 2 rows of 1 integration of production (seeding 1), 1 differs, 1 excluded, 1 without a manifest
    exit 1
    "#);
    let told = checkout.json("adopt integrations -e production -o json");
    assert_eq!(told["status"], "unchanged");
    assert_eq!(told["errors"].as_array().map(Vec::len), Some(2));

    // Manifests of the rows as they are fit them.
    checkout.write("environments/production.yaml", &crate::checkout::environment("production", "\"*\"", ""));
    assert_snapshot!(
        checkout.transcripts(&["export --foreign -e production --dir hand/integrations -q", "adopt hand/integrations -e production"]),
        @r"
    $ sower export --foreign -e production --dir hand/integrations -q
    Exported 3 integrations of production to hand/integrations
    exit 0
    $ sower adopt hand/integrations -e production
    (2) from: files (sower.toml) · hand/integrations at main@COMMIT7-dirty · sqlite://.sower/sower.db
    (2) What a seeding would change now: sower plan -e production
    + github 1.0.0   2 rows
    + slack 1.0.0   2 rows
    + stripe 1.0.0   2 rows

    Adopted 6 rows of 3 integrations of production (seeding 2)
    exit 0
    "
    );
    // In git, and with the one that fitted before, they are what a seeding finds.
    let wordpress = crate::checkout::manifest("wordpress", "1.0.0", "As it was");
    checkout.write("hand/integrations/wordpress/integration.yaml", &wordpress);
    let ran = checkout.run("seed -e production --source hand");
    assert!(ran.out.starts_with("Nothing to do"), "{}{}", ran.out, ran.err);
    assert_eq!(checkout.run("drift -e production --exit-code -q").exit, 0);
}

#[test]
fn tables_of_another_program_are_taken_over() {
    let checkout = Checkout::new();
    std::fs::create_dir_all(checkout.path().join(".sower")).expect("made");
    checkout.sql(
        "CREATE TABLE integration_definitions (id TEXT PRIMARY KEY, name TEXT, version TEXT, author TEXT, manifest TEXT, tenant TEXT, \
           created_at TEXT, environment TEXT); \
         CREATE TABLE action_registry (id TEXT PRIMARY KEY, integration_id TEXT, identifier TEXT, name TEXT, definition TEXT, \
           created_at TEXT, environment TEXT);",
    );
    for id in ["stripe", "wordpress"] {
        checkout.sql(&by_hand(id, "List", "production"));
    }
    assert_snapshot!(
        checkout.transcripts(&[
            "seed -e production",
            "adopt integrations -e production --dry-run",
            "adopt integrations -e production",
            "seed -e production -q",
        ]),
        @r"
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD · sqlite://.sower/sower.db
    (2) error: sqlite:///CHECKOUT/.sower/sower.db has a table `action_registry` that Sower did not make. Nothing was written.
    (2)   mend it:   `sower adopt DIR -e ENVIRONMENT` takes such tables over (--dry-run says how); or give Sower a database of its own
    (2)   see more:  sower doctor
    exit 1
    $ sower adopt integrations -e production --dry-run
    (2) from: files (sower.toml) · integrations at main@COMMIT7 · sqlite://.sower/sower.db
    (2) Adopt them: sower adopt integrations -e production
    TABLE                     KEPT AS                                COPIED   ONLY THERE
    action_registry           action_registry_before_sower           2 rows   -
    integration_definitions   integration_definitions_before_sower   2 rows   tenant

    + stripe 1.0.0   2 rows
    + wordpress 1.0.0   2 rows

    Would adopt 4 rows of 2 integrations of production
    exit 0
    $ sower adopt integrations -e production
    (2) from: files (sower.toml) · integrations at main@COMMIT7 · sqlite://.sower/sower.db
    (2) What a seeding would change now: sower plan -e production
    TABLE                     KEPT AS                                COPIED   ONLY THERE
    action_registry           action_registry_before_sower           2 rows   -
    integration_definitions   integration_definitions_before_sower   2 rows   tenant

    + stripe 1.0.0   2 rows
    + wordpress 1.0.0   2 rows

    Adopted 4 rows of 2 integrations of production (seeding 1)
    exit 0
    $ sower seed -e production -q
    Nothing to do: production is at main@COMMIT7 (2 unchanged)
    exit 0
    "
    );
    assert_eq!(
        checkout.json("get integration stripe -e production -o json")[0]["createdAt"],
        "2020-01-01T00:00:00Z"
    );
}

#[test]
fn what_cannot_be_adopted_is_told() {
    let checkout = with_tables();
    for (line, exit, why) in [
        ("adopt nowhere -e production", 2, "nowhere"),
        ("adopt sower.toml -e production", 2, "is no folder"),
        ("adopt integrations", 2, "which environment?"),
        ("adopt integrations -e production -n sower", 2, "before an operator keeps"),
    ] {
        let ran = checkout.run(line);
        assert_eq!((ran.exit, ran.out.as_str()), (exit, ""), "{line}");
        assert!(ran.err.contains(why), "{line}: {}", ran.err);
    }
    checkout.sql(&by_hand("stripe", "List", "production"));
    checkout.sql(
        "INSERT INTO environments (name, keeper, created_at, updated_at) \
         VALUES ('production', 'prod-eu/sower/production', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')",
    );
    let ran = checkout.run("adopt integrations -e production");
    assert_eq!(ran.exit, 4, "{}", ran.err);
}
