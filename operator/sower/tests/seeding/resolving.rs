//! `sower resolve`: which version a consumer gets.

use std::io::Write as _;
use std::process::{Output, Stdio};

use insta::assert_snapshot;
use serde_json::json;

use crate::checkout::Checkout;

/// Production carries stripe 1.0.0, and a tenth is to get 1.1.0; acme and whoever is gold has it for certain.
fn rolling() -> Checkout {
    let checkout = Checkout::new();
    assert_eq!(checkout.run("seed -e production -q").exit, 0);
    let variants = json!([{
        "version": "1.1.0", "checksum": "b", "weight": 1000, "keys": ["acme"], "labels": { "tier": "gold" }
    }]);
    checkout.sql(&format!(
        "INSERT INTO integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, to_checksum, \
         variants, salt, step, weight, state, strategy, progress, source, path, revision, seeding, started_at, step_started_at, \
         updated_at) VALUES ('1', 'production', 'stripe', '1.0.0', 'a', '1.1.0', 'b', '{variants}', 'salt', 1, 1000, 'Progressing', \
         '{{}}', '{{}}', 's', 'p', 'r', 's', '2027-01-01T00:00:00Z', '2027-01-01T00:00:00Z', '2027-01-01T00:00:00Z')"
    ));
    checkout
}

/// Runs it with this on standard input.
fn piped(checkout: &Checkout, line: &str, input: Vec<u8>) -> Output {
    let mut command = checkout.sower();
    command.args(line.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let writing = std::thread::spawn(move || {
        // Whoever has seen enough reads no more.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("written");
    output
}

#[test]
fn a_consumer_gets_its_version_and_is_told_why() {
    let checkout = rolling();
    assert_snapshot!(checkout.transcripts(&[
        "resolve stripe -e production --key key",
        "resolve stripe -e production --key customer-1 -q",
        "resolve stripe -e production --key customer-1 --label tier=gold --label region=eu -q",
        "resolve wordpress -e production --key customer-1 -q -o yaml",
    ]));
    let told = |more: &str| checkout.json(&format!("resolve stripe -e production -q -o json {more}"));
    assert_eq!(
        told("--key key"),
        json!({ "environment": "production", "integration": "stripe", "key": "key", "version": "1.1.0", "reason": "bucket",
                "bucket": 194 })
    );
    assert_eq!(told("--key acme")["reason"], "override");
    assert_eq!(told("--key acme")["bucket"], json!(null));
    assert_eq!(told("--key customer-1")["reason"], "stable");
    assert_eq!(told("--key=")["key"], "");
}

#[test]
fn what_cannot_be_resolved_says_what_to_type() {
    let checkout = rolling();
    assert_snapshot!(checkout.transcripts(&[
        "resolve stripe -e production",
        "resolve stripe --key acme",
        "resolve stripe -e production --key acme --label gold",
        "resolve stripe -e production --key acme --label tier=gold --label tier=silver",
        "resolve stripe -e production --key acme --keys -",
        "resolve slack -e production --key acme",
        "resolve slack -e production --key acme -q -o json",
        "resolve stripe -e staging --key acme -q",
        "resolve stripe -e production --keys nowhere.txt -q",
    ]));
    // Asking makes nothing.
    let fresh = Checkout::new();
    assert_eq!(fresh.run("resolve stripe -e production --key acme").exit, 1);
    assert!(!fresh.path().join(".sower/sower.db").exists());
}

#[test]
fn many_keys_are_answered_line_by_line() {
    let checkout = rolling();
    checkout.write("keys.txt", "key\r\ncustomer-1\n\nacme\nGrüße, 世界");
    let file = checkout.run("resolve stripe -e production --keys keys.txt -q");
    let expected = "key\t1.1.0\ncustomer-1\t1.0.0\n\t1.0.0\nacme\t1.1.0\nGrüße, 世界\t1.0.0\n";
    assert_eq!((file.exit, file.out.as_str(), file.err.as_str()), (0, expected, ""));
    let gold = checkout.run("resolve stripe -e production --keys keys.txt --label tier=gold -q");
    assert!(gold.out.lines().all(|line| line.ends_with("\t1.1.0")), "{}", gold.out);

    let all = checkout.json("resolve stripe -e production --keys keys.txt -q -o json");
    let versions: Vec<&str> =
        all.as_array().expect("a list").iter().filter_map(|one| one["version"].as_str()).collect();
    assert_eq!(versions, ["1.1.0", "1.0.0", "1.0.0", "1.1.0", "1.0.0"]);
    let yaml = checkout.run("resolve stripe -e production --keys keys.txt -q -o yaml").out;
    assert_eq!(yaml.lines().filter(|line| line.starts_with("- ")).count(), 5, "{yaml}");
    checkout.write("none.txt", "");
    assert_eq!(checkout.json("resolve stripe -e production --keys none.txt -q -o json"), json!([]));

    // What came before a line that is no key is answered, and the document is whole.
    checkout.write("long.txt", &format!("acme\n{}\nkey\n", "k".repeat(5000)));
    let long = checkout.run("resolve stripe -e production --keys long.txt -q");
    assert_eq!((long.exit, long.out.as_str()), (1, "acme\t1.1.0\n"));
    assert!(long.err.starts_with("error: long.txt:2: a key of more than 4096 bytes"), "{}", long.err);
    let long = checkout.json("resolve stripe -e production --keys long.txt -q -o json");
    assert_eq!((&long[0]["key"], &long[1]["errors"][0]["code"]), (&json!("acme"), &json!("Failed")));
}

#[test]
fn a_million_keys_come_through_a_pipe() {
    let checkout = rolling();
    let input: String = (0..1_000_000).map(|n| format!("customer-{n}\n")).collect();
    let output = piped(&checkout, "resolve stripe -e production --keys - -q", input.into_bytes());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    assert_eq!(text.lines().count(), 1_000_000);
    let new = text.lines().filter(|line| line.ends_with("\t1.1.0")).count();
    assert!((95_000..105_000).contains(&new), "{new}");
    assert!(text.ends_with("customer-999999\t1.0.0\n") || text.ends_with("customer-999999\t1.1.0\n"));

    // No UTF-8 is named by its line.
    let output = piped(&checkout, "resolve stripe -e production --keys - -q", b"a\n\xff\xfe\n".to_vec());
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.starts_with("error: standard input:2: no UTF-8"), "{told}");
}
