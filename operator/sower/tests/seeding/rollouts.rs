//! `sower rollout`: what the rows of rollouts say, and how commands are refused.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use serde_json::json;

use crate::checkout::{Checkout, environment, manifest};

/// A rollout of stripe 1.1.0 in its first of three steps, years ago.
const STRIPE: &str = r#"
INSERT INTO integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, to_checksum, variants,
  salt, step, weight, state, reasons, strategy, analysis, progress, source, path, revision, seeding, started_at, step_started_at,
  due_at, updated_at, ended_at)
VALUES ('r1', 'production', 'stripe', '1.0.0', 'v1:a', '1.1.0', 'v1:b', '[{"version":"1.1.0","checksum":"v1:b","weight":1250}]',
  'salt', 1, 1250, 'Progressing',
  '[{"at":"2020-11-21T14:02:00Z","state":"Progressing","step":1,"weight":1250,"reason":"it begins"}]',
  '{"type":"Staged","steps":[{"weight":12.5,"hold":"10m"},{"weight":50.0,"hold":"1h"}],"analysis":{"successRate":{"min":0.99}}}',
  '{"outcome":"success","reason":"","checks":[{"name":"executions","candidate":"214","stable":"1,902","limit":">= 100","outcome":"success"}]}',
  '{}', 'default', 'integrations/stripe/integration.yaml', 'main@sha1:0', 's', '2020-11-21T14:02:00.000Z',
  '2020-11-21T14:02:00.000Z', '2020-11-21T14:03:00.000Z', '2020-11-21T14:02:00.000Z', NULL);
"#;

const ROLLED_BACK: &str = r#"
UPDATE integration_rollouts SET state = 'RolledBack', weight = 0, due_at = NULL, ended_at = '2020-11-21T14:05:00.000Z',
  reasons = json_insert(reasons, '$[#]', json('{"at":"2020-11-21T14:05:00Z","state":"RolledBack","step":1,"weight":0,"reason":"success rate 95.79%, limit 99%"}'));
INSERT INTO integration_quarantine (environment, integration_id, checksum, version, reason, seeding, since)
VALUES ('production', 'stripe', 'v1:b', '1.1.0', 'rollout of stripe 1.1.0 rolled back', 's', '2020-11-21T14:05:00.000Z');
"#;

const COMPLETED: &str = r#"
UPDATE integration_rollouts SET state = 'Completed', step = 3, weight = 10000, due_at = NULL, ended_at = '2020-11-21T15:12:00.000Z',
  reasons = json_insert(reasons, '$[#]', json('{"at":"2020-11-21T15:12:00Z","state":"Completed","step":3,"weight":10000,"reason":"all steps held"}'));
"#;

/// A checkout whose production is seeded, with such rollouts.
fn checkout(rollouts: &[&str]) -> Checkout {
    let checkout = Checkout::new();
    assert_eq!(checkout.run("seed -e production -q").exit, 0);
    rollouts.iter().for_each(|rollout| checkout.sql(rollout));
    checkout
}

#[test]
fn a_rollout_is_drawn_from_its_row() {
    let checkout = checkout(&[STRIPE]);
    let ran = checkout.run("rollout status stripe -e production");
    assert_eq!(ran.exit, 0, "{}", ran.err);
    assert_eq!(ran.err, "from: files (sower.toml) · sqlite://.sower/sower.db\n");
    let head = "stripe 1.0.0 -> 1.1.0   Progressing, step 1 of 3: 12.5% of consumers, ";
    assert!(ran.out.starts_with(head), "{}", ran.out);
    assert!(ran.out.contains("\n  12.5%  ##########  "), "{}", ran.out);
    assert!(
        ran.out.contains("2020-11-21 14:02 - 14:12\n    50%  ..........\n   100%  ..........\n"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("\nexecutions   1,902     214    >= 100        ok\n"), "{}", ran.out);
    assert!(
        ran.out.contains("Next analysis is due; ") && ran.out.contains("sower seed -e production"),
        "{}",
        ran.out
    );
    assert!(ran.out.ends_with("Stop it: sower rollout abort stripe -e production\n"), "{}", ran.out);
    // Where several environments are asked, each is under its name.
    let all = checkout.run("rollout status stripe");
    assert!(all.out.starts_with(&format!("production\n{head}")), "{}", all.out);
}

#[test]
fn programs_read_all_of_it() {
    let checkout = checkout(&[STRIPE]);
    let mut one = checkout.json("rollout status stripe -e production -o json");
    let taken = |one: &mut serde_json::Value, fields: &[&str]| -> Vec<serde_json::Value> {
        fields.iter().map(|field| one[*field].take()).collect()
    };
    assert_eq!(
        taken(
            &mut one,
            &["environment", "integration", "state", "step", "steps", "weight", "from", "to", "reason"]
        ),
        [
            json!("production"),
            json!("stripe"),
            json!("Progressing"),
            json!(1),
            json!(3),
            json!(12.5),
            json!("1.0.0"),
            json!("1.1.0"),
            json!("it begins"),
        ]
    );
    assert_eq!(one["verdict"]["outcome"], "success");
    assert_eq!(one["variants"][0]["weight"], 12.5);
    assert_eq!(one["events"][0]["weight"], 12.5);
    assert_eq!((&one["startedAt"], &one["endedAt"]), (&json!("2020-11-21T14:02:00Z"), &json!(null)));
    // Without a name it is a list, and there is one of them alone.
    for line in
        ["rollout status -o json", "rollout status -e production -o json", "rollout status stripe -o json"]
    {
        let all = checkout.json(line);
        assert_eq!(all.as_array().map(Vec::len), Some(1), "{line}: {all}");
    }
    assert_eq!(checkout.json("rollout status -e staging -o json"), json!([]));
}

#[test]
fn a_table_has_the_last_rollout_of_each_integration() {
    let older = STRIPE.replace("'r1'", "'r0'").replace("'1.1.0'", "'1.0.5'").replace("2020-11", "2020-10");
    let older = older
        .replace("NULL);", "'2020-10-21T14:05:00.000Z');")
        .replace("'Progressing',\n", "'Superseded',\n");
    let other = STRIPE.replace("'r1'", "'r2'").replace("'stripe'", "'wordpress'");
    let checkout = checkout(&[
        STRIPE,
        &older,
        &other,
        &ROLLED_BACK.replacen(';', " WHERE id = 'r2';", 1).replace("'stripe', 'v1:b'", "'wordpress', 'v1:b'"),
    ]);
    let ran = checkout.run("rollout status");
    assert_eq!(ran.exit, 0, "{}", ran.err);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines[0],
        ["ENVIRONMENT", "ID", "FROM", "TO", "STATE", "STEP", "WEIGHT", "SINCE", "REASON"],
        "{}",
        ran.out
    );
    let shown: Vec<&[&str]> = lines[1..].iter().map(|line| &line[..7]).collect();
    assert_eq!(
        shown,
        [
            ["production", "stripe", "1.0.0", "1.1.0", "Progressing", "1/3", "12.5%"],
            ["production", "wordpress", "1.0.0", "1.1.0", "RolledBack", "1/3", "0%"],
        ]
    );
    let none = checkout.run("rollout status -e staging");
    assert_eq!((none.exit, none.out.as_str()), (0, ""));
    assert!(none.err.contains("No rollout yet in staging"), "{}", none.err);
}

#[test]
fn a_rollout_that_went_back_fails_a_pipeline() {
    let checkout = checkout(&[STRIPE, ROLLED_BACK]);
    let ran = checkout.run("rollout status stripe -e production");
    assert_eq!(
        (ran.exit, ran.out.as_str()),
        (
            1,
            "stripe 1.0.0 -> 1.1.0   RolledBack from step 1 of 3 (12.5%) after 3 min: success rate 95.79%, limit 99%\n\n  \
             12.5%  ###.......  rolled back   2020-11-21 14:02 - 14:05\n\n\
             Everyone has 1.0.0 since 2020-11-21 14:05. stripe 1.1.0 stays out until a newer version arrives.\n\
             Try the same again: sower rollout retry stripe -e production\n"
        )
    );
    assert_eq!(checkout.run("rollout status stripe -e production -o json").exit, 1);
    // Without an id it is a list, and no judgement.
    assert_eq!(checkout.run("rollout status -e production").exit, 0);
}

/// Watches until it ends; what happens meanwhile is written once it has said where things are.
fn watched(checkout: &Checkout, line: &str, then: &str) -> (Vec<String>, Option<i32>) {
    let mut child = checkout
        .sower()
        .args(line.split(' '))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut out = BufReader::new(child.stdout.take().expect("an output"));
    let mut first = String::new();
    out.read_line(&mut first).expect("readable");
    checkout.sql(then);
    let mut rest = String::new();
    out.read_to_string(&mut rest).expect("readable");
    let status = child.wait().expect("it ends");
    (
        std::iter::once(first.as_str()).chain(rest.lines()).map(|line| line.trim_end().to_owned()).collect(),
        status.code(),
    )
}

#[test]
fn watching_ends_with_the_rollout() {
    for (then, expect, exit) in [
        (COMPLETED, "stripe 1.0.0 -> 1.1.0   Completed after 1h 10 min: all steps held", 0),
        (
            ROLLED_BACK,
            "stripe 1.0.0 -> 1.1.0   RolledBack from step 1 of 3 (12.5%) after 3 min: success rate 95.79%, limit 99%",
            1,
        ),
    ] {
        let checkout = checkout(&[STRIPE]);
        let (lines, ended) = watched(&checkout, "rollout status stripe -e production --watch", then);
        let [first, last] = lines.as_slice() else { panic!("{lines:?}") };
        assert!(first.contains("   stripe 1.0.0 -> 1.1.0   Progressing, step 1 of 3"), "{first}");
        assert!(last.ends_with(expect), "{last}");
        assert_eq!(ended, Some(exit));
        // It is over already.
        let again = checkout.run("rollout status stripe -e production --watch -o json");
        assert_eq!((again.exit, again.out.lines().next()), (exit, Some("{")), "{}", again.err);
    }
}

#[test]
fn what_is_not_plain_is_refused() {
    let checkout = checkout(&[STRIPE]);
    for (line, exit, told) in [
        ("rollout status slack -e production", 1, "error: production has had no rollout of slack\n"),
        ("rollout status --watch", 2, "error: ID is missing"),
        ("rollout", 2, "sower rollout"),
        ("rollout pause", 2, "error: ID is missing"),
        ("rollout pause stripe", 2, "sower rollout pause stripe -e development"),
        ("rollout abort stripe,slack -e production", 2, "error: `stripe,slack` is no id of an integration"),
        ("rollout abort stripe -e production --no-wait", 2, "--no-wait is for a cluster"),
        ("rollout abort stripe -e production --timeout 1m", 2, "--timeout is for a cluster"),
        ("rollout abort nothing -e production", 1, "nothing"),
    ] {
        let ran = checkout.run(line);
        assert_eq!(ran.exit, exit, "{line}: {}", ran.err);
        assert!(ran.err.contains(told), "{line}: {}", ran.err);
        assert_eq!(ran.out, "", "{line}");
    }
    let document = checkout.json("rollout status slack -e production -o json");
    assert_eq!(document["errors"][0]["message"], "production has had no rollout of slack");
}

#[test]
fn the_status_of_an_environment_shows_its_rollouts() {
    let checkout = checkout(&[STRIPE]);
    let ran = checkout.run("status -e production");
    assert!(ran.out.lines().next().is_some_and(|line| line.contains("1 being rolled out")), "{}", ran.out);
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    let rollout = ["stripe", "1.0.0", "1.1.0", "Progressing", "1/3", "12.5%", "it", "begins"];
    assert!(lines.iter().any(|line| *line == rollout), "{}", ran.out);
    let healthy = ["Healthy", "True", "Healthy", "-", "Under", "way:", "stripe", "1.1.0"];
    assert!(lines.iter().any(|line| *line == healthy), "{}", ran.out);
    checkout.sql(ROLLED_BACK);
    let status = checkout.json("status -e production -o json");
    let healthy =
        status["conditions"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "Healthy"));
    let healthy = healthy.expect("it is said");
    assert_eq!((&healthy["status"], &healthy["reason"]), (&json!("False"), &json!("RolledBack")));
    assert_eq!((&status["ready"], &status["counts"]["rollouts"]), (&json!("True"), &json!(0)));
    assert_eq!(status["rollouts"][0]["state"], "RolledBack");
    // Where nothing was ever rolled out in steps, nothing is said of it.
    assert!(!checkout.run("status -e staging").out.contains("Healthy"));
}

/// In production, 1.1.0 of stripe was tried in steps, and is kept out.
fn tried() -> Checkout {
    let checkout = Checkout::new();
    let staged = "  rollout:\n    default:\n      type: Staged\n      steps: [{ weight: 10, hold: 1h }]\n";
    checkout.write("environments/production.yaml", &environment("production", "stripe, wordpress", staged));
    checkout.commit("In steps");
    assert_eq!(checkout.run("seed -e production -q").exit, 0);
    push(&checkout, "1.1.0");
    assert_eq!(checkout.run("rollout abort stripe -e production").exit, 0);
    checkout
}

/// Other content of stripe, and what seeding it says.
fn push(checkout: &Checkout, version: &str) -> String {
    let path = "integrations/stripe/integration.yaml";
    let text = manifest("stripe", version, "As it was");
    let changed = format!("/things?of={version}");
    checkout.write(path, &if version == "1.0.0" { text } else { text.replace("/things", &changed) });
    checkout.commit(version);
    let ran = checkout.run("seed -e production");
    assert_eq!(ran.exit, 0, "{}", ran.err);
    ran.out
}

fn carried(checkout: &Checkout) -> String {
    checkout.read(
        "SELECT version FROM integration_definitions WHERE environment = 'production' AND id = 'stripe'",
    )
}

#[test]
fn what_never_reached_all_is_nothing_to_go_back_to() {
    let checkout = tried();
    // Another one is under way, and is taken back in git.
    assert!(push(&checkout, "1.2.0").contains("~ stripe 1.0.0 -> 1.2.0   (a rollout begins)"));
    let back = push(&checkout, "1.1.0");
    assert!(back.contains("~ stripe 1.0.0 -> 1.1.0   (a rollout begins; that of 1.2.0 ends)"), "{back}");
    assert_eq!(carried(&checkout), "1.0.0");
    // The same where everybody has the other one.
    push(&checkout, "1.2.0");
    assert_eq!(checkout.run("rollout advance stripe -e production").exit, 0);
    assert_eq!(carried(&checkout), "1.2.0");
    let back = push(&checkout, "1.1.0");
    assert!(back.contains("~ stripe 1.2.0 -> 1.1.0") && back.contains("(a rollout begins)"), "{back}");
    assert_eq!(carried(&checkout), "1.2.0");
    // What all had is gone back to at once, also from the midst of a rollout.
    let back = push(&checkout, "1.0.0");
    assert!(back.contains("   (a revert; the rollout of 1.1.0 ends)"), "{back}");
    assert_eq!(carried(&checkout), "1.0.0");
}

#[test]
fn what_is_to_be_tried_again_and_waits_is_told_so() {
    let checkout = tried();
    let path = "environments/production.yaml";
    let text = std::fs::read_to_string(checkout.path().join(path)).expect("read");
    checkout.write(path, &text.replace("spec:\n", "spec:\n  approval: Manual\n"));
    checkout.commit("By approval");
    let ran = checkout.run("rollout retry stripe -e production");
    let told = "stripe 1.1.0 is tried again, from the first step, with the next seeding\n";
    assert_eq!((ran.exit, ran.out.as_str()), (0, told), "{}", ran.err);
}
