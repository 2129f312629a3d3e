//! `sower diff`: one environment against another.

use insta::assert_snapshot;

use crate::checkout::{Checkout, manifest};

/// An action of stripe, behind the one of every manifest.
const REFUND: &str = "  - id: refund\n    name: Refund\n    description: Gives it back.\n    \
                      inputSchema: { type: object, properties: {} }\n    request: { method: POST, path: /refunds }\n";

#[test]
fn what_differs_says_what_keeps_it_so() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    let newer = manifest("stripe", "1.1.0", "As it was") + REFUND;
    checkout.write("integrations/stripe/integration.yaml", &newer);
    checkout.integration("wordpress", "1.0.0", "Another text");
    checkout.commit("stripe: refunds");
    checkout.run("seed -e staging -q");
    checkout.run("seed -e development -q");
    assert_snapshot!(checkout.transcripts(&["diff staging production", "diff production development -q"]), @r"
    $ sower diff staging production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    - monday 1.0.0   only in staging
        production: excluded: no pattern of allowedIntegrations matches (environments/production.yaml:5)
    ~ stripe 1.1.0 -> 1.0.0   breaking
        - action  refund       breaking: action refund is removed
        production: git has 1.1.0: the next seeding takes it

    staging (main@COMMIT7) and production (main@COMMIT7): 1 only in staging, 0 only in production, 1 different, 1 the same
    exit 0
    $ sower diff production development -q
    + monday 1.0.0   only in development
        production: excluded: no pattern of allowedIntegrations matches (environments/production.yaml:5)
    + slack 1.0.0   only in development
        production: excluded: no pattern of allowedIntegrations matches (environments/production.yaml:5)
    ~ stripe 1.0.0 -> 1.1.0   compatible
        + action  refund
        production: git has 1.1.0: the next seeding takes it
    ~ wordpress 1.0.0   documentation only
        ~ integration  /description
        production: version conflict: git has 1.0.0 too, with other content; skipped (conflicts.version: skip)

    production (main@COMMIT7) and development (main@COMMIT7): 0 only in production, 2 only in development, 2 different, 0 the same
    exit 0
    ");

    let document = checkout.json("diff staging production -o json");
    assert_eq!((&document["from"], &document["to"]), (&"staging".into(), &"production".into()));
    assert_eq!(
        (&document["create"], &document["update"], &document["delete"]),
        (&0.into(), &1.into(), &1.into())
    );
    let change = &document["changes"][1];
    assert_eq!((&change["integration"], &change["kind"]), (&"stripe".into(), &"update".into()));
    assert_eq!((&change["from"], &change["to"]), (&"1.1.0".into(), &"1.0.0".into()));
    assert_eq!(
        (&change["compatibility"], &change["fields"][0]["pointer"]),
        (&"breaking".into(), &"/actions/refund".into())
    );
    assert_eq!(document["changes"][0]["why"][1]["state"], "excluded");
}

#[test]
fn environments_may_live_in_different_databases() {
    let checkout = Checkout::new();
    let settings = "environments = \"environments\"\nsource = \".#HEAD\"\ndatabase = \"sqlite://.sower/{environment}.db\"\n";
    checkout.write("sower.toml", settings);
    checkout.commit("A database each");
    checkout.run("seed -e staging -q");
    assert_snapshot!(checkout.transcript("diff staging production --exit-code"), @r"
    $ sower diff staging production --exit-code
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/{environment}.db
    - monday 1.0.0   only in staging
        production: excluded: no pattern of allowedIntegrations matches (environments/production.yaml:5)
    - stripe 1.0.0   only in staging
        production: not yet: the next seeding brings 1.0.0
    - wordpress 1.0.0   only in staging
        production: not yet: the next seeding brings 1.0.0

    staging (main@COMMIT7) and production (not seeded): 3 only in staging, 0 only in production, 0 different, 0 the same
    exit 3
    ");
    checkout.run("seed -e production -q");
    assert_snapshot!(checkout.transcript("diff production staging --exit-code"), @r"
    $ sower diff production staging --exit-code
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/{environment}.db
    + monday 1.0.0   only in staging
        production: excluded: no pattern of allowedIntegrations matches (environments/production.yaml:5)

    production (main@COMMIT7) and staging (main@COMMIT7): 0 only in production, 1 only in staging, 0 different, 2 the same
    exit 3
    ");
}

#[test]
fn the_same_is_no_difference() {
    let checkout = Checkout::new();
    checkout
        .write("environments/canary.yaml", &crate::checkout::environment("canary", "stripe, wordpress", ""));
    checkout.commit("canary");
    checkout.run("seed --all -q");
    assert_snapshot!(checkout.transcript("diff canary production --exit-code"), @r"
    $ sower diff canary production --exit-code
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    canary (main@COMMIT7) and production (main@COMMIT7): 0 only in canary, 0 only in production, 0 different, 2 the same
    exit 0
    ");
}

#[test]
fn rows_are_compared_where_a_source_cannot_be_read() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    assert_snapshot!(checkout.transcript("diff staging production --source .#nowhere"), @r"
    $ sower diff staging production --source .#nowhere
    (2) from: files (sower.toml) · .#nowhere · sqlite://.sower/sower.db
    (2) warning: what keeps each from being there is not told: branch or tag `nowhere` not found in /CHECKOUT. Nothing was pruned.
    - monday 1.0.0   only in staging

    staging (main@COMMIT7) and production (main@COMMIT7): 1 only in staging, 0 only in production, 0 different, 2 the same
    exit 0
    ");
}

#[test]
fn rows_of_others_are_told_apart() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    checkout.sql(
        "INSERT INTO integration_definitions (environment, id, name, version, manifest, status, created_at, updated_at) \
         VALUES ('production', 'monday', 'Monday', '9.0.0', '{\"id\":\"monday\"}', 'published', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')",
    );
    assert_snapshot!(checkout.transcript("diff staging production -q"), @r"
    $ sower diff staging production -q
    ~ monday 1.0.0 -> 9.0.0   breaking
        ~ integration  /author   removed
        ~ integration  /baseUrl   removed
        ~ integration  /category   removed
        ~ integration  /description   removed
        ~ integration  /license   removed
        ~ integration  /name   removed
        ~ integration  /permissions   removed
        - action       list       breaking: action list is removed
        production: foreign: Sower did not write this row, and leaves it as it is

    staging (main@COMMIT7) and production (main@COMMIT7): 0 only in staging, 0 only in production, 1 different, 2 the same
    exit 0
    ");
}

#[test]
fn a_hand_that_slipped() {
    let checkout = Checkout::new();
    assert_snapshot!(checkout.transcripts(&["diff staging", "diff staging prod", "diff staging staging"]), @r"
    $ sower diff staging
    (2) error: TO is missing
    (2)   examples:  sower diff --help
    exit 2
    $ sower diff staging prod
    (2) error: no environment is called `prod` (development, production, staging)
    exit 2
    $ sower diff staging staging
    (2) error: `staging` is there twice: name two environments
    exit 2
    ");
}
