//! What goes from git: taken out, kept for a while, brought back, or kept by its annotation.

use insta::assert_snapshot;
use serde_json::json;

use crate::checkout::{Checkout, environment, manifest};

/// Four integrations seeded into development; any number may go.
fn seeded(more: &str) -> Checkout {
    let checkout = Checkout::new();
    let text = environment("development", "\"*\"", &format!("  pruneLimit: 100%\n{more}"));
    checkout.write("environments/development.yaml", &text);
    assert_eq!(checkout.run("seed -e development -q").exit, 0);
    checkout
}

/// The day on which something is purged is masked.
fn told(checkout: &Checkout, lines: &[&str]) -> String {
    let text = checkout.transcripts(lines);
    let mut parts = text.split("kept until ");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.split_once(" UTC").map_or("", |(_, rest)| rest);
        told.push_str(&format!("kept until DAY{rest}"));
    }
    told
}

#[test]
fn what_is_taken_out_is_explained_and_comes_back() {
    let checkout = seeded("");
    let before = checkout.json("get integration slack -e development -q -o json");
    checkout.remove("integrations/slack");
    assert_snapshot!(told(&checkout, &[
        "seed -e development -q",
        "get integrations -q",
        "explain slack -e development -q",
        "seed -e development -q",
    ]), @r"
    $ sower seed -e development -q
    (2) warning: 1 uncommitted file (integrations/slack/integration.yaml): no commit will explain these rows
    Seeded development at main@COMMIT7-dirty (seeding 2): 0 created, 0 updated, 1 deleted, 3 unchanged in TOOK
    exit 0
    $ sower get integrations -q
    ID          DEVELOPMENT   PRODUCTION   STAGING
    monday      1.0.0         -            -
    stripe      1.0.0         -            -
    wordpress   1.0.0         -            -
    exit 0
    $ sower explain slack -e development -q
    slack 1.0.0 · integrations/slack/integration.yaml

    development   removed 1.0.0   since seeding 2, kept until DAY
    exit 0
    $ sower seed -e development -q
    Nothing to do: development is at main@COMMIT7-dirty (3 unchanged)
    exit 0
    ");
    let explained = checkout.json("explain slack -e development -q -o json");
    assert_eq!((&explained["state"], &explained["version"]), (&json!("removed"), &json!("1.0.0")));
    assert_eq!(checkout.json("status -e development -q -o json")["integrations"], 3);

    checkout.integration("slack", "1.0.0", "As it was");
    assert_snapshot!(told(&checkout, &["plan -e development -q", "seed -e development -q"]), @r"
    $ sower plan -e development -q
    + slack 1.0.0   (restored)

    Plan PLANPLANPLAN for development: 1 create, 0 update, 0 delete, 3 unchanged
    exit 0
    $ sower seed -e development -q
    Seeded development at main@COMMIT7 (seeding 3): 1 created, 0 updated, 0 deleted, 3 unchanged in TOOK
    exit 0
    ");
    let mut after = checkout.json("get integration slack -e development -q -o json");
    assert_eq!(after[0]["seeding"], "development-3");
    for field in ["seeding", "seededAt", "updatedAt", "revision"] {
        after[0][field] = before[0][field].clone();
    }
    assert_eq!(after, before);
    let log = &checkout.json("history -e development -q -o json")[0];
    assert_eq!((&log["created"], &log["deleted"]), (&json!(1), &json!(0)));
}

#[test]
fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let checkout = seeded("  retention: { removed: 0s }\n");
    checkout.remove("integrations/slack");
    assert_eq!(checkout.run("seed -e development -q").exit, 0);
    assert_eq!(checkout.run("explain slack -e development -q").exit, 1);
    // The other environments never had it, and this one has nothing of it but history.
    assert_eq!(checkout.json("get versions slack -e development -q -o json")[0]["current"], false);
}

#[test]
fn what_an_annotation_keeps_is_told_everywhere() {
    let checkout = seeded("");
    let kept = manifest("slack", "1.0.0", "As it was")
        .replace("name: slack }", "name: slack, annotations: { sower.dev/prune: disabled } }");
    checkout.write("integrations/slack/integration.yaml", &kept);
    assert_eq!(checkout.json("seed -e development -q -o json")["status"], "unchanged");
    checkout.remove("integrations/slack");
    assert_snapshot!(told(&checkout, &[
        "plan -e development -q",
        "seed -e development",
        "seed -e development",
        "explain slack -e development -q",
        "get integrations -e development -q",
    ]), @r"
    $ sower plan -e development -q
    = slack 1.0.0   kept: gone from its source, and sower.dev/prune is disabled

    Plan PLANPLANPLAN for development: 0 create, 0 update, 0 delete, 3 unchanged
    exit 0
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7-dirty · sqlite://.sower/sower.db
    (2) Gone, and kept by sower.dev/prune: slack. To let one go: sower explain slack -e development
    Nothing to do: development is at main@COMMIT7-dirty (3 unchanged)
    exit 0
    $ sower seed -e development
    (2) from: files (sower.toml) · . at main@COMMIT7-dirty · sqlite://.sower/sower.db
    (2) Gone, and kept by sower.dev/prune: slack. To let one go: sower explain slack -e development
    Nothing to do: development is at main@COMMIT7-dirty (3 unchanged)
    exit 0
    $ sower explain slack -e development -q
    slack 1.0.0 · integrations/slack/integration.yaml

    development   carried 1.0.0   since seeding 1, TOOK ago
                  = gone from the sources; sower.dev/prune is disabled, so it stays

    To let it go: put integrations/slack/integration.yaml back without the annotation sower.dev/prune, seed development, and delete it again
    exit 0
    $ sower get integrations -e development -q
    ID          VERSION   STATUS      ACTIONS   TRIGGERS   REVISION       SEEDING
    monday      1.0.0     published   1         0          main@COMMIT7   1
    slack       1.0.0     published   1         0          main@COMMIT7   1
    stripe      1.0.0     published   1         0          main@COMMIT7   1
    wordpress   1.0.0     published   1         0          main@COMMIT7   1
    exit 0
    ");
    let status = checkout.json("status -e development -q -o json");
    assert_eq!((&status["integrations"], &status["ready"]), (&json!(4), &json!("True")));
    assert!(checkout.run("status -e development -q").out.contains("1 gone and kept"));
    let report = checkout.json("seed -e development -q -o json");
    assert_eq!((&report["status"], &report["pruneDisabled"]), (&json!("unchanged"), &json!(["slack"])));
    // It is let go as it is said there.
    checkout.integration("slack", "1.0.0", "As it was");
    assert_eq!(checkout.run("seed -e development -q").exit, 0);
    checkout.remove("integrations/slack");
    assert_eq!(checkout.json("seed -e development -q -o json")["deleted"], 1);
}

#[test]
fn what_is_forgotten_is_said() {
    let checkout = seeded("  retention: { history: 1h }\n");
    for minor in 1..5 {
        checkout.integration("slack", &format!("1.{minor}.0"), "As it was");
        assert_eq!(checkout.run("seed -e development -q").exit, 0);
    }
    // An hour passes.
    let old = "2020-01-01T00:00:00.000Z";
    checkout.sql(&format!("UPDATE seeding_logs SET started_at = '{old}', completed_at = '{old}'"));
    checkout.sql(&format!("UPDATE integration_versions SET created_at = '{old}'"));
    checkout.sql(&format!("UPDATE environments SET retain_at = '{old}'"));
    assert_eq!(checkout.json("seed -e development -q -o json")["status"], "unchanged");
    assert_snapshot!(told(&checkout, &[
        "get integration slack -e development --at 2 -q",
        "get integration monday -e development --at 2 -q",
        "get versions slack -e development -q",
    ]), @r"
    $ sower get integration slack -e development --at 2 -q
    (2) error: what development had of slack before seeding 4 is not kept any more
    (2)   what is kept:  sower get versions slack -e development
    exit 1
    $ sower get integration monday -e development --at 2 -q
    ID       VERSION   STATUS      ACTIONS   TRIGGERS   REVISION       SEEDING
    monday   1.0.0     published   1         0          main@COMMIT7   1
    exit 0
    $ sower get versions slack -e development -q
    VERSION   CHECKSUM       FIRST   LAST   REVISION             STATE
    1.4.0     PLANPLANPLAN   5       5      main@COMMIT7-dirty   current
    1.3.0     PLANPLANPLAN   4       4      main@COMMIT7-dirty   kept
    exit 0
    ");
    let blamed = checkout.json("blame slack -e development -q -o json");
    let part = &blamed["parts"][0];
    assert_eq!((&part["seeding"], &part["orBefore"]), (&json!("development-4"), &json!(true)), "{blamed}");
    let numbers: Vec<_> = checkout
        .json("history -e development -q -o json")
        .as_array()
        .into_iter()
        .flatten()
        .map(|log| log["seeding"].clone())
        .collect();
    assert_eq!(numbers, ["development-5", "development-4", "development-1"]);
    assert_eq!(checkout.json("seed -e development -q -o json")["status"], "unchanged");
    assert_eq!(checkout.run("drift -e development -q --exit-code").exit, 0);
}

#[test]
fn a_retention_that_is_none_is_refused() {
    let checkout = Checkout::new();
    for (said, told) in
        [("{ history: 0s }", "history is zero"), ("{ removed: 30d }", "30d"), ("{ versions: 0 }", "versions")]
    {
        let text = environment("development", "\"*\"", &format!("  retention: {said}\n"));
        checkout.write("environments/development.yaml", &text);
        let ran = checkout.run("validate");
        assert!(ran.exit == 1 && ran.out.contains(told), "{said}: {}{}", ran.out, ran.err);
    }
}
