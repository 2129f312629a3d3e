//! Rows that Sower did not write: they stay, and are nobody's seeding.

use insta::assert_snapshot;

use crate::checkout::Checkout;

const DEFINITION: &str = "UPDATE integration_definitions SET seeding = NULL, row_hash = NULL, checksum = NULL, source = NULL, path = NULL, \
     revision = NULL WHERE environment = 'production' AND id = 'wordpress'";

#[test]
fn a_definition_of_somebody_else_is_marked_and_not_counted() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    checkout.sql(DEFINITION);
    assert_snapshot!(checkout.transcripts(&[
        "get intg -q",
        "get intg -e production -q",
        "explain wordpress -e production -q",
        "plan -e production -q",
    ]), @r"
    $ sower get intg -q
    ID          DEVELOPMENT   PRODUCTION        STAGING
    monday      1.0.0         -                 1.0.0
    slack       1.0.0         -                 -
    stripe      1.0.0         1.0.0             1.0.0
    wordpress   1.0.0         1.0.0 (foreign)   1.0.0
    exit 0
    $ sower get intg -e production -q
    ID          VERSION   STATUS      ACTIONS   TRIGGERS   REVISION       SEEDING
    stripe      1.0.0     published   1         0          main@COMMIT7   1
    wordpress   1.0.0     foreign     1         0          -              -
    exit 0
    $ sower explain wordpress -e production -q
    wordpress 1.0.0 · integrations/wordpress/integration.yaml · COMMIT7 AUTHOR, TOOK ago

    production    foreign 1.0.0   Sower did not write this row, and leaves it as it is

    To carry it there: adopt it (sower adopt), or let whoever wrote that row delete or rename it, and seed again
    exit 0
    $ sower plan -e production -q
    = wordpress   left alone: a row that Sower did not write holds this id

    Plan PLANPLANPLAN for production: 0 create, 0 update, 0 delete, 1 unchanged, 1 refused; 2 excluded (monday, slack)
    exit 1
    ");
    assert_eq!(checkout.json("status -e production -o json")["integrations"], 1);
    assert_eq!(checkout.run("seed -e production -q --reseed").exit, 1);
    let status = checkout.run("status -e production").out;
    assert!(
        status.contains("production needs you:\n  sower explain wordpress -e production    see"),
        "{status}"
    );
    assert!(!status.contains("sower validate"), "{status}");

    let ours =
        "DELETE FROM action_registry WHERE environment = 'production' AND integration_id = 'wordpress'";
    checkout.sql(ours);
    checkout.sql("DELETE FROM integration_definitions WHERE environment = 'production' AND id = 'wordpress'");
    assert_eq!(checkout.run("seed -e production -q").exit, 0);
    let log = &checkout.json("history -e production -o json")[0];
    assert_eq!((&log["created"], &log["reason"]), (&1.into(), &"rows changed".into()), "{log}");
}

#[test]
fn a_removed_definition_is_explained() {
    let checkout = Checkout::new();
    checkout.run("seed -e development -q");
    checkout.sql(
        "UPDATE action_registry SET seeding = NULL, row_hash = NULL, checksum = NULL, source = NULL, path = NULL, revision = NULL \
         WHERE environment = 'development' AND integration_id = 'slack'",
    );
    checkout.remove("integrations/slack");
    checkout.run("seed -e development -q");
    assert_snapshot!(checkout.transcripts(&["explain slack -e development -q", "explain slac -e development -q"]), @r"
    $ sower explain slack -e development -q
    slack 1.0.0 · integrations/slack/integration.yaml

    development   removed 1.0.0   since seeding 2, rows that Sower did not write hang on it still
    exit 0
    $ sower explain slac -e development -q
    (2) error: no integration is called `slac`, neither in the sources nor in a database: did you mean `slack`?
    (2)   what there is:  sower get integrations
    exit 1
    ");
}
