//! Manifests that are refused, or warned of, while the rest comes in.

use insta::assert_snapshot;
use serde_json::json;

use crate::checkout::{Checkout, environment};

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
    ~ stripe 1.0.0 -> 1.1.1   documentation only
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
fn an_emptied_manifest_keeps_its_rows_and_is_named() {
    let checkout = Checkout::new();
    checkout.run("seed -e development");
    checkout.write("integrations/slack/integration.yaml", "");
    assert_snapshot!(checkout.transcripts(&["plan -e development -q", "seed -e development -q"]), @r"
    $ sower plan -e development -q
    = slack 1.0.0   kept: its file is there, and holds no manifest

    Plan PLANPLANPLAN for development: 0 create, 0 update, 0 delete, 3 unchanged, 1 refused
    exit 1
    $ sower seed -e development -q
    (2) error[syntax]: integrations/slack/integration.yaml: no document can be read in this file any more; delete the file to delete the integration
    (2) slack keeps 1.0.0. Mend its manifest and seed again: the rest is in.
    Nothing to do: development is at main@COMMIT7-dirty (3 unchanged, 1 refused)
    exit 1
    ");
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
fn a_refusal_lasts_since_it_was_met() {
    let checkout = Checkout::new();
    checkout.run("seed -e development");
    checkout.sql("UPDATE seeding_logs SET completed_at = '2026-01-01T00:00:00.000000Z'");
    checkout.integration("slack", "v2.1", "Broken");
    assert_eq!(checkout.run("seed -e development").exit, 1);
    let status = checkout.json("status -e development -o json");
    let since = status["conditions"][0]["lastTransitionTime"].as_str().expect("a time");
    assert!(status["ready"] == "False" && since > "2026-01-02", "{status}");
}

#[test]
fn a_manifest_that_cannot_be_read_keeps_its_rows_and_holds_deletions_back() {
    let checkout = Checkout::new();
    checkout.run("seed -e development");
    checkout.write("integrations/slack/integration.yaml", "id: [slack\nname: Slack\n");
    checkout.remove("integrations/monday");
    for round in 0..2 {
        let ran = checkout.run("seed -e development -q");
        let told = "slack keeps 1.0.0. Mend its manifest and seed again: the rest is in. \
                    Deletions wait until then: the id of a document cannot be read.\n";
        assert!(ran.exit == 1 && ran.err.ends_with(told), "{round}: {}", ran.err);
    }
    assert_eq!(checkout.json("get intg -e development -o json").as_array().map(Vec::len), Some(4));
    let plan = checkout.run("plan -e development -q").out;
    assert!(plan.contains("= slack 1.0.0   kept: its manifest is invalid\n"), "{plan}");
    assert!(plan.contains("= monday 1.0.0   kept: gone from its source, "), "{plan}");
    let told = checkout.run("explain slack -e development -q").out;
    assert!(
        told.contains("! its file cannot be read, so the rows stay: integrations/slack/integration.yaml:"),
        "{told}"
    );
    assert!(told.contains("To mend it: sower rule "), "{told}");
}

#[test]
fn a_name_that_is_not_utf8_is_told_and_prunes_nothing() {
    use std::os::unix::ffi::OsStrExt as _;

    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    let name = std::ffi::OsStr::from_bytes(b"integrations/caf\xe9.integration.yaml");
    let text = crate::checkout::manifest("cafe", "1.0.0", "Coffee");
    std::fs::write(checkout.path().join(name), text).expect("written");
    checkout.remove("integrations/monday");
    let problem =
        "integrations/caf\u{fffd}.integration.yaml:1:1: error[encoding]: the name of the file is not UTF-8\n";
    let errors = |out: &[u8]| {
        let out = String::from_utf8_lossy(out);
        out.split_inclusive('\n').filter(|line| line.contains("error[")).collect::<String>()
    };
    let validate = |paths: &[&std::ffi::OsStr]| {
        let ran = checkout.sower().args(["validate", "-o", "concise"]).args(paths).output().expect("it runs");
        (ran.status.code(), errors(&ran.stdout))
    };
    assert_eq!(validate(&[]), (Some(1), problem.to_owned()));
    assert_eq!(validate(&[name]), (Some(1), problem.to_owned()));
    let kept = |environment: &str| {
        for round in 0..2 {
            let ran = checkout.run(&format!("seed -e {environment} -q"));
            let told = ran.err.contains("error[encoding]: the name of the file is not UTF-8\n")
                && ran.err.contains("--> integrations/caf\u{fffd}.integration.yaml:1:1\n");
            assert!(ran.exit == 1 && told, "{environment} {round}: {}", ran.err);
            assert!(ran.out.contains(" 1 refused"), "{environment} {round}: {}", ran.out);
        }
        let carried = checkout.json(&format!("get intg monday -e {environment} -o json"));
        assert_eq!(carried[0]["version"], "1.0.0", "{environment}");
    };
    kept("development");
    // Staging is seeded from commits, incrementally.
    checkout.commit("Coffee");
    kept("staging");
    let document = checkout.json("seed -e development -o json");
    assert_eq!(document["errors"][0]["code"], "encoding");
    // What a commit holds is no edit.
    assert!(!checkout.run("plan -e development").err.contains("-dirty"));

    std::fs::remove_file(checkout.path().join(name)).expect("removed");
    checkout.commit("No coffee");
    for environment in ["development", "staging"] {
        assert_eq!(checkout.run(&format!("seed -e {environment} -q")).exit, 0, "{environment}");
        assert_eq!(checkout.run(&format!("get intg monday -e {environment}")).exit, 1, "{environment}");
    }
}
