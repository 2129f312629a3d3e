//! The ways of a new version to its consumers, and who has what on them.

use std::collections::BTreeMap;

use super::{at, begun, complete, live, raise, reaches, respec, run, seed, seeded, status, tell, write};
use crate::checkout::Checkout;

/// The version that a consumer gets.
fn resolve(checkout: &Checkout, who: &str) -> String {
    run(checkout, &format!("resolve stripe -e production {who} -q")).trim().to_owned()
}

/// The version that each of 10,000 keys gets.
fn answers(checkout: &Checkout) -> BTreeMap<String, String> {
    let keys: String = (0..10_000).map(|n| format!("key-{n}\n")).collect();
    checkout.write("keys", &keys);
    let told = run(checkout, "resolve stripe -e production --keys keys -q");
    checkout.remove("keys");
    let answers: BTreeMap<String, String> = told
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, version)| (key.to_owned(), version.to_owned()))
        .collect();
    assert_eq!(answers.len(), 10_000);
    answers
}

/// How many of them get each version.
fn shares(checkout: &Checkout) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for version in answers(checkout).into_values() {
        *shares.entry(version).or_default() += 1;
    }
    shares
}

fn near(shares: &BTreeMap<String, usize>, version: &str, percent: usize) {
    let got = shares.get(version).copied().unwrap_or_default();
    assert!(got.abs_diff(percent * 100) <= 200, "{version}: {got} of 10,000, {percent}% expected");
}

#[test]
fn who_entered_stays_as_the_share_grows() {
    let checkout = begun(super::HELD);
    near(&shares(&checkout), "1.1.0", 10);
    near(&shares(&checkout), "1.0.0", 90);
    let mut entered = answers(&checkout);
    entered.retain(|_, version| version == "1.1.0");
    tell(&checkout, "advance stripe");
    near(&shares(&checkout), "1.1.0", 50);
    let now = answers(&checkout);
    let stayed = entered.iter().all(|(key, version)| now.get(key) == Some(version));
    assert!(stayed && !entered.is_empty(), "{} had entered", entered.len());
    tell(&checkout, "abort stripe");
    assert_eq!(shares(&checkout), BTreeMap::from([("1.0.0".to_owned(), 10_000)]));
}

#[test]
fn rules_say_how_by_glob_and_by_change() {
    let checkout = seeded(
        "  rollout:\n    default: { type: Staged, steps: [{ weight: 10, hold: 1h }] }\n    rules:\n    \
         - { integrations: [\"str*\"], changes: [patch], type: AllAtOnce }\n    - { changes: [major], type: Manual }\n",
    );
    write(&checkout, "slack", "1.0.1", "");
    write(&checkout, "stripe", "1.0.1", "");
    write(&checkout, "monday", "2.0.0", "");
    checkout.commit("A patch of each, and a new monday");
    seed(&checkout);
    assert_eq!((at(&checkout, "stripe"), live(&checkout, "stripe")), ("none".into(), "1.0.1".into()));
    assert_eq!(at(&checkout, "slack"), "Progressing 1/2 10%: 1.0.0 to 1.0.1");
    assert_eq!(at(&checkout, "monday"), "Paused 1/2 0%: 1.0.0 to 2.0.0");
    raise(&checkout, "stripe", "1.1.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/2 10%: 1.0.1 to 1.1.0");
    // What the rule says of a change is said of the one that there is now: from what all have.
    raise(&checkout, "slack", "2.0.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "slack"), "Paused 1/2 0%: 1.0.0 to 2.0.0");
}

#[test]
fn by_hand_nobody_gets_it_but_whom_an_override_names() {
    let checkout = begun(
        "  rollout:\n    default:\n      type: Manual\n      overrides: [{ keys: [initech], version: stable }, \
         { keys: [acme, initech] }, { labels: { tier: gold, region: eu } }]\n",
    );
    assert_eq!(at(&checkout, "stripe"), "Paused 1/2 0%: 1.0.0 to 1.1.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Paused 1/2 0%: 1.0.0 to 1.1.0");
    for (who, expected) in [
        ("--key acme", "1.1.0"),
        ("--key globex", "1.0.0"),
        ("--key initech", "1.0.0"),
        ("--key globex --label tier=gold", "1.0.0"),
        ("--key globex --label tier=gold --label region=eu", "1.1.0"),
        ("--key globex --label tier=gold --label region=eu --label more=of-it", "1.1.0"),
    ] {
        assert_eq!(resolve(&checkout, who), expected, "{who}");
    }
    tell(&checkout, "advance stripe");
    assert_eq!(at(&checkout, "stripe"), "Completed 2/2 100%: 1.0.0 to 1.1.0");
    assert_eq!(resolve(&checkout, "--key initech"), "1.1.0", "there is one version alone");
}

/// An older version, the new one, and what all have, side by side.
fn compared(until: &str) -> String {
    format!(
        "  rollout:\n    default:\n      type: AB\n      until: {until}\n      variants:\n      \
         - {{ version: 0.9.0, weight: 20, match: {{ keys: [acme] }} }}\n      \
         - {{ range: \"^1.1.0\", weight: 30, match: {{ labels: {{ tier: gold }} }} }}\n      \
         overrides: [{{ keys: [initech], version: stable }}]\n"
    )
}

/// stripe was 0.9.0 and is 1.0.0; then 1.1.0 is compared with both.
fn comparing(until: &str) -> Checkout {
    let checkout = Checkout::new();
    respec(&checkout, "");
    raise(&checkout, "stripe", "0.9.0");
    seed(&checkout);
    raise(&checkout, "stripe", "1.0.0");
    seed(&checkout);
    respec(&checkout, &compared(until));
    raise(&checkout, "stripe", "1.1.0");
    seed(&checkout);
    checkout
}

#[test]
fn versions_are_compared_side_by_side() {
    let checkout = comparing("1h");
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/2 50%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 0.9.0/0.9.0 1.1.0/1.1.0");
    for (who, expected) in [
        ("--key acme", "0.9.0"),
        ("--key initech", "1.0.0"),
        ("--key anybody --label tier=gold", "1.1.0"),
        ("--key acme --label tier=gold", "0.9.0"),
    ] {
        assert_eq!(resolve(&checkout, who), expected, "{who}");
    }
    let shares = shares(&checkout);
    near(&shares, "0.9.0", 20);
    near(&shares, "1.1.0", 30);
    near(&shares, "1.0.0", 50);
    // Who gets an older version may count it.
    run(&checkout, "usage record stripe -e production --version 0.9.0 --executions 5 -q");
    tell(&checkout, "abort stripe");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
}

#[test]
fn a_comparison_ends_when_its_time_comes() {
    let checkout = comparing("1s");
    reaches(&checkout, "Completed 2/2 100%");
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
    assert_eq!(resolve(&checkout, "--key acme"), "1.1.0");
}

/// A version that the environment never saw cannot be compared: its consumers have what all have.
#[test]
fn what_is_not_known_is_not_compared() {
    let checkout = seeded(&compared("1h"));
    raise(&checkout, "stripe", "1.1.0");
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    assert_eq!(resolve(&checkout, "--key acme --label tier=none"), resolve(&checkout, "--key acme"));
    let shares = shares(&checkout);
    near(&shares, "0.9.0", 0);
    near(&shares, "1.1.0", 30);
    assert_eq!(status(&checkout, "stripe")["weight"], 30);
    complete(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}
