//! History that is read back: an integration as a seeding left it, every content it had, and who changed what.

use insta::assert_snapshot;

use crate::checkout::{Checkout, manifest};

/// Where the manifest of stripe lies.
const STRIPE: &str = "integrations/stripe/integration.yaml";

/// A second action, or another one in place of the first.
fn with_refunds(manifest: &str) -> String {
    format!(
        "{manifest}  - id: refund\n    name: Refund\n    description: Refunds.\n    \
         inputSchema: {{ type: object, properties: {{}} }}\n    request: {{ method: POST, path: /refunds }}\n"
    )
}

/// Four seedings of production: stripe comes, gains an action, is not touched, and is described otherwise.
fn seeded() -> Checkout {
    let checkout = Checkout::new();
    let seed = || assert_eq!(checkout.run("seed -e production -q").exit, 0);
    seed();
    checkout.write(STRIPE, &with_refunds(&manifest("stripe", "1.1.0", "As it was")));
    checkout.commit("stripe: refunds");
    seed();
    checkout.integration("wordpress", "1.1.0", "Posts");
    checkout.commit("wordpress: posts");
    seed();
    checkout.write(STRIPE, &with_refunds(&manifest("stripe", "1.2.0", "Payments")));
    checkout.commit("stripe: \"clearer\" words");
    seed();
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

#[test]
fn an_integration_is_shown_as_a_seeding_left_it() {
    let checkout = seeded();
    assert_snapshot!(told(&checkout, &[
        "get integration stripe -e production --at 1",
        "get integration stripe --at production-3 -q",
        "get integration stripe -e production --at 4 -q",
    ]), @r#"
    $ sower get integration stripe -e production --at 1
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) All of it: sower get integration stripe -e production --at 1 -o yaml
    ID   VERSION   STATUS   ACTIONS   TRIGGERS   REVISION   SEEDING
    stripe   1.0.0   published   1   0   main@COMMIT7   1
    exit 0
    $ sower get integration stripe --at production-3 -q
    ID   VERSION   STATUS   ACTIONS   TRIGGERS   REVISION   SEEDING
    stripe   1.1.0   published   2   0   main@COMMIT7   2
    exit 0
    $ sower get integration stripe -e production --at 4 -q
    ID   VERSION   STATUS   ACTIONS   TRIGGERS   REVISION   SEEDING
    stripe   1.2.0   published   2   0   main@COMMIT7   4
    exit 0
    "#);
    let then = checkout.json("get integration stripe -e production --at 3 -q -o json");
    let now = checkout.json("get integration stripe -e production -q -o json");
    assert_eq!((&then[0]["version"], &then[0]["seeding"]), (&"1.1.0".into(), &"production-2".into()));
    assert_eq!((&then[0]["at"], &then[0]["path"]), (&"production-3".into(), &STRIPE.into()));
    assert_eq!(then[0]["manifest"]["description"], "As it was");
    assert_eq!(then[0]["manifest"]["actions"].as_array().map(Vec::len), Some(2));
    let last = checkout.json("get integration stripe -e production --at 4 -q -o json");
    for field in ["manifest", "checksum", "revision", "seeding", "source", "path", "seededAt", "status"] {
        assert_eq!(last[0][field], now[0][field], "{field}");
    }
    let yaml = checkout.run("get intg stripe -e production --at 1 -q -o yaml");
    assert!(yaml.out.contains("description: As it was"), "{}", yaml.out);
}

#[test]
fn every_content_is_listed() {
    let checkout = seeded();
    // The first content comes back, by a commit that takes the others back.
    checkout.integration("stripe", "1.0.0", "As it was");
    checkout.commit("stripe: as it was");
    assert_eq!(checkout.run("seed -e production -q").exit, 0);
    assert_eq!(checkout.run("seed -e staging -q").exit, 0);
    checkout.sql("DELETE FROM integration_versions WHERE version = '1.1.0' AND environment = 'production'");
    let listed = told(
        &checkout,
        &[
            "get versions stripe -e production",
            "get versions stripe",
            "get versions monday -e production",
            "get versions -e production",
        ],
    );
    let shown = listed.replace("PLANPLANPLAN", "CHECKSUM0000");
    assert_snapshot!(shown, @r#"
    $ sower get versions stripe -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) One of them: sower get integration stripe -e production --at SEEDING -o yaml
    VERSION   CHECKSUM   FIRST   LAST   REVISION   STATE
    1.0.0   CHECKSUM0000   1   5   main@COMMIT7   current
    1.2.0   CHECKSUM0000   4   4   main@COMMIT7   kept
    1.1.0   CHECKSUM0000   2   2   main@COMMIT7   forgotten
    exit 0
    $ sower get versions stripe
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) One of them: sower get integration stripe -e ENVIRONMENT --at SEEDING -o yaml
    ENVIRONMENT   VERSION   CHECKSUM   FIRST   LAST   REVISION   STATE
    production   1.0.0   CHECKSUM0000   1   5   main@COMMIT7   current
    production   1.2.0   CHECKSUM0000   4   4   main@COMMIT7   kept
    production   1.1.0   CHECKSUM0000   2   2   main@COMMIT7   forgotten
    staging   1.0.0   CHECKSUM0000   1   1   main@COMMIT7   current
    exit 0
    $ sower get versions monday -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: production never carried `monday`
    (2)   why:  sower explain monday
    exit 1
    $ sower get versions -e production
    (2) error: versions of which integration?
    (2)   of one:  sower get versions ID
    exit 2
    "#);
    let documents = checkout.json("get versions stripe -e production -q -o json");
    let first = &documents[0];
    assert_eq!((&first["version"], &first["current"]), (&"1.0.0".into(), &true.into()));
    assert_eq!(
        (&first["firstSeeding"], &first["lastSeeding"]),
        (&"production-1".into(), &"production-5".into())
    );
    let now = checkout.json("get integration stripe -e production -q -o json");
    assert_eq!(first["checksum"], now[0]["checksum"]);
    let kept: Vec<bool> =
        documents.as_array().into_iter().flatten().filter_map(|one| one["kept"].as_bool()).collect();
    assert_eq!(kept, [true, true, false]);
}

#[test]
fn each_part_is_of_the_seeding_that_changed_it_last() {
    let checkout = seeded();
    checkout.integration("monday", "1.1.0", "Boards");
    checkout.commit("monday: boards");
    assert_eq!(checkout.run("seed -e staging -q").exit, 0);
    assert_snapshot!(told(&checkout, &["blame stripe -e production", "blame stripe -e staging -q"]), @r#"
    $ sower blame stripe -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    KIND   NAME   SEEDING   WHEN   COMMIT   AUTHOR   REASON
    integration   author   1   NOW   COMMIT7   AUTHOR   First
    integration   baseUrl   1   NOW   COMMIT7   AUTHOR   First
    integration   category   1   NOW   COMMIT7   AUTHOR   First
    integration   description   4   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   id   1   NOW   COMMIT7   AUTHOR   First
    integration   license   1   NOW   COMMIT7   AUTHOR   First
    integration   name   1   NOW   COMMIT7   AUTHOR   First
    integration   permissions   1   NOW   COMMIT7   AUTHOR   First
    integration   version   4   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    action   list   1   NOW   COMMIT7   AUTHOR   First
    action   refund   2   NOW   COMMIT7   AUTHOR   stripe: refunds
    exit 0
    $ sower blame stripe -e staging -q
    KIND   NAME   SEEDING   WHEN   COMMIT   AUTHOR   REASON
    integration   author   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   baseUrl   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   category   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   description   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   id   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   license   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   name   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   permissions   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    integration   version   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    action   list   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    action   refund   1   NOW   COMMIT7   AUTHOR   stripe: "clearer" words
    exit 0
    "#);
    let blamed = checkout.json("blame stripe -e production -q -o json");
    assert_eq!((&blamed["integration"], &blamed["version"]), (&"stripe".into(), &"1.2.0".into()));
    let parts = blamed["parts"].as_array().expect("parts");
    let refund = parts.iter().find(|part| part["name"] == "refund").expect("the action");
    assert_eq!((&refund["kind"], &refund["seeding"]), (&"action".into(), &"production-2".into()));
    assert_eq!((&refund["author"], &refund["subject"]), (&"AUTHOR".into(), &"stripe: refunds".into()));
    assert_eq!(refund["commit"].as_str().map(str::len), Some(40));
    assert!(checkout.json("blame stripe -q -o json").is_array());

    assert!(refund["committedAt"].is_string(), "{refund}");
    // Elsewhere the log says who pushed, not who changed it.
    checkout.remove(".git");
    let parts = checkout.json("blame stripe -e staging -q -o json")["parts"].clone();
    assert_eq!((&parts[0]["subject"], &parts[0]["committedAt"]), (&"monday: boards".into(), &().into()));

    // What retention took away makes it that seeding or an earlier one.
    checkout.sql("DELETE FROM integration_versions WHERE version = '1.0.0' AND environment = 'production'");
    let blamed = checkout.json("blame stripe -e production -q -o json");
    let list = blamed["parts"].as_array().expect("parts").iter().find(|part| part["name"] == "list");
    let list = list.expect("the action");
    assert_eq!((&list["seeding"], &list["orBefore"]), (&"production-2".into(), &true.into()));
}

#[test]
fn what_was_not_there_says_what_there_is() {
    let checkout = seeded();
    checkout.remove("integrations/wordpress");
    checkout.commit("No wordpress");
    checkout.write(
        "environments/production.yaml",
        &crate::checkout::environment("production", "stripe, wordpress", "  pruneLimit: 100%\n"),
    );
    assert_eq!(checkout.run("seed -e production -q").exit, 0);
    checkout.sql("DELETE FROM integration_versions WHERE version = '1.1.0' AND integration_id = 'stripe'");
    assert_snapshot!(told(&checkout, &[
        "get integration stripe -e production --at 99 -q",
        "get integration stripe -e staging --at 1 -q",
        "get integration strip -e production --at 1 -q",
        "get integration wordpress -e production --at 5 -q",
        "get integration stripe -e production --at 3 -q",
        "get integration stripe -e production --at yesterday -q",
        "get integration stripe -e staging --at production-3 -q",
        "get integration stripe --at 3 -q",
        "get integrations -e production --at 3 -q",
        "blame slack -e production -q",
        "blame wordpress -e production -q",
    ]), @r#"
    $ sower get integration stripe -e production --at 99 -q
    (2) error: production has no seeding 99: its last one is 5
    (2)   what there is:  sower history -e production
    exit 1
    $ sower get integration stripe -e staging --at 1 -q
    (2) error: staging has no seeding 1: it was never seeded
    (2)   what there is:  sower history -e staging
    exit 1
    $ sower get integration strip -e production --at 1 -q
    (2) error: production never carried `strip`
    (2)   why:  sower explain strip
    exit 1
    $ sower get integration wordpress -e production --at 5 -q
    (2) error: wordpress was not in production at seeding 5: seeding 5 took it out
    (2)   what there was:  sower get versions wordpress -e production
    exit 1
    $ sower get integration stripe -e production --at 3 -q
    (2) error: the content of stripe 1.1.0 that production-2 left is not kept any more
    (2)   what is kept:  sower get versions stripe -e production
    exit 1
    $ sower get integration stripe -e production --at yesterday -q
    (2) error: --at does not take `yesterday`: a seeding is called like production-57, or 57 beside -e
    (2)   its flags:  sower get --help
    exit 2
    $ sower get integration stripe -e staging --at production-3 -q
    (2) error: production-3 is no seeding of staging
    (2)   there:  sower get integration stripe -e production --at 3
    (2)   here:   sower get integration stripe -e staging --at 3
    exit 2
    $ sower get integration stripe --at 3 -q
    (2) error: seeding 3 of which environment? There are development, production, staging
    (2)   one:  sower get integration stripe -e development --at 3
    exit 2
    $ sower get integrations -e production --at 3 -q
    (2) error: --at is about one integration
    (2)   of that seeding:  sower get integration ID -e ENVIRONMENT --at SEEDING
    exit 2
    $ sower blame slack -e production -q
    (2) error: production never carried `slack`
    (2)   why:  sower explain slack
    exit 1
    $ sower blame wordpress -e production -q
    (2) error: production does not carry wordpress any more: seeding 5 took it out
    (2)   what there was:  sower get versions wordpress -e production
    exit 1
    "#);
    let failed = checkout.json("get integration stripe -e production --at 99 -q -o json");
    assert!(failed[0]["errors"][0]["message"].is_string(), "{failed}");
}

#[test]
fn a_shell_is_offered_the_seedings() {
    let checkout = Checkout::new();
    assert_eq!(checkout.run("complete seedings").out, "");
    assert!(!checkout.path().join(".sower/sower.db").exists());
    let checkout = seeded();
    assert_eq!(
        checkout.run("complete seedings").out,
        "production-4\nproduction-3\nproduction-2\nproduction-1\n"
    );
}
