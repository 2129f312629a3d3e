//! The ways of a new version to its consumers, and who has what on them.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{
    at, begun, complete, count, kept_out, live, raise, reaches, respec, run, seed, seeded, status, tell,
    time, until, write,
};
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
    let told = tell(&checkout, "resume stripe");
    assert!(told.starts_with("stripe 1.0.0 -> 1.1.0: everyone has it"), "{told}");
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
fn comparing(lasts: &str) -> Checkout {
    comparing_by(&compared(lasts))
}

fn comparing_by(spec: &str) -> Checkout {
    let checkout = Checkout::new();
    respec(&checkout, "");
    raise(&checkout, "stripe", "0.9.0");
    seed(&checkout);
    raise(&checkout, "stripe", "1.0.0");
    seed(&checkout);
    respec(&checkout, spec);
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

/// What fails stays out, also of later comparisons; what the sources say did not fail, and is compared without it.
#[test]
fn what_fails_in_a_comparison_is_left_out_of_the_next() {
    let judged = "      analysis: { interval: 1s, minimumSample: 20, successRate: { min: 0.9 } }\n";
    let checkout = comparing_by(&format!("{}{judged}", compared("1h")));
    count(&checkout, "1.1.0", 100, 1);
    count(&checkout, "0.9.0", 100, 40);
    let ended = || {
        checkout.read(
            "SELECT group_concat(state || ': ' || (reasons ->> '$[#-1].reason')) FROM integration_rollouts \
             WHERE ended_at IS NOT NULL",
        )
    };
    until(&checkout, "rolled back", || !ended().is_empty());
    assert_eq!(ended(), "RolledBack: success rate 60.00%, limit 90% (40 of 100 failed), of 0.9.0");
    seed(&checkout);
    assert_eq!(kept_out(&checkout), ["stripe 0.9.0"]);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/2 30%: 1.0.0 to 1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    raise(&checkout, "stripe", "1.2.0");
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.2.0/1.2.0");
    assert_eq!(kept_out(&checkout), ["stripe 0.9.0"]);
    // Once all have something newer, nothing is kept out any more.
    complete(&checkout);
    assert_eq!((live(&checkout, "stripe"), kept_out(&checkout)), ("1.2.0".into(), Vec::new()));
}

/// Where several fail at once, what all were to get is kept out: nobody gets it again.
#[test]
fn of_those_that_fail_together_the_new_one_is_kept_out() {
    let judged = "      analysis: { interval: 1s, minimumSample: 20, successRate: { min: 0.9 } }\n";
    let checkout = comparing_by(&format!("{}{judged}", compared("1h")));
    count(&checkout, "0.9.0", 100, 40);
    count(&checkout, "1.1.0", 100, 40);
    until(&checkout, "rolled back", || at(&checkout, "stripe").starts_with("RolledBack"));
    assert_eq!(kept_out(&checkout), ["stripe 1.1.0"]);
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
}

/// A Prometheus server that never answers holds up neither those that ask it nor others.
#[test]
fn a_server_that_never_answers_holds_nobody_up() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address");
    let checkout = seeded(&format!(
        "  timeout: 8s\n  rollout:\n    default:\n      type: Staged\n      steps: [{{ weight: 10, hold: 1h }}]\n      \
         analysis: {{ interval: 1s, prometheus: [{{ name: up, address: \"http://{address}\", query: up, min: 1 }}] }}\n    \
         rules:\n    - {{ integrations: [slack], type: Staged, steps: [{{ weight: 10, hold: 1s }}] }}\n"
    ));
    for id in ["monday", "slack", "stripe", "wordpress"] {
        write(&checkout, id, "1.1.0", "");
    }
    checkout.commit("All of them");
    seed(&checkout);
    let looked = |id: &str| {
        let check = status(&checkout, id)["verdict"]["checks"][1].clone();
        check["name"] == "up" && check["outcome"] == "inconclusive"
    };
    let begun = Instant::now();
    until(&checkout, "all looked at", || {
        ["monday", "stripe", "wordpress"].into_iter().all(looked)
            && at(&checkout, "slack").starts_with("Completed")
    });
    // One after the other would be ten seconds each.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// What comes is none of the variants, or has no time left: that is said, and nobody gets it but by a word.
#[test]
fn what_cannot_be_compared_waits_for_somebody() {
    let analysis =
        "      analysis: { interval: 1s, minimumSample: 1, successRate: { min: 0.9 }, deadline: 2s }\n";
    for (until, variant, reason) in [
        ("1s", "1.1.0", "no variant is 2.0.0"),
        ("2020-01-01T00:00:00Z", "2.0.0", "its time was over before it began"),
    ] {
        for analysis in ["", analysis] {
            let checkout = seeded(&format!(
                "  rollout:\n    default:\n      type: AB\n      until: {until}\n      \
                 variants: [{{ version: {variant}, weight: 50 }}]\n{analysis}"
            ));
            raise(&checkout, "stripe", "2.0.0");
            seed(&checkout);
            let told = status(&checkout, "stripe");
            let begun = time(&told, "startedAt");
            super::until(&checkout, "over", || begun.duration_until(Timestamp::now()).as_millis() > 2_500);
            assert_eq!(at(&checkout, "stripe"), "Paused 1/2 0%: 1.0.0 to 2.0.0");
            let told = status(&checkout, "stripe");
            assert_eq!(told["reason"], format!("{reason}: waits until somebody advances it"));
            // It is watched, and not all the time.
            let due = told["dueAt"].as_str().map(|_| begun.duration_until(time(&told, "dueAt")).as_millis());
            assert_eq!(due.is_some(), !analysis.is_empty(), "{told}");
            assert!(due.is_none_or(|due| due > 2_000), "{told}");
            near(&shares(&checkout), "1.0.0", 100);
            tell(&checkout, "advance stripe");
            assert_eq!(live(&checkout, "stripe"), "2.0.0");
        }
    }
}

/// What was rolled back stays what it was, also when its quarantine is over.
#[test]
fn what_went_back_is_compared_with_nothing() {
    let checkout = begun(super::HELD);
    tell(&checkout, "abort stripe");
    raise(&checkout, "stripe", "1.2.0");
    seed(&checkout);
    complete(&checkout);
    assert!(super::kept_out(&checkout).is_empty());
    respec(
        &checkout,
        "  rollout:\n    default:\n      type: AB\n      until: 1h\n      \
         variants: [{ range: \"~1.1.0\", weight: 20 }, { range: \"^1.3.0\", weight: 30 }]\n",
    );
    raise(&checkout, "stripe", "1.3.0");
    seed(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.2.0 + 1.3.0/1.3.0");
}

/// A version that the environment never saw cannot be compared: its consumers have what all have.
#[test]
fn what_is_not_known_is_not_compared() {
    let checkout = seeded(&compared("1h"));
    raise(&checkout, "stripe", "1.1.0");
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("(a rollout begins)   0.9.0 is not known here"), "{plan}");
    seed(&checkout);
    assert_eq!(status(&checkout, "stripe")["reason"], "the comparison begins; 0.9.0 is not known here");
    assert_eq!(status(&checkout, "stripe")["unknown"], serde_json::json!(["0.9.0"]));
    let drawn = run(&checkout, "rollout status stripe -e production -q");
    assert!(drawn.contains("  0.9.0 is not known here: who was to have it has 1.0.0\n"), "{drawn}");
    assert_eq!(live(&checkout, "stripe"), "1.0.0 + 1.1.0/1.1.0");
    assert_eq!(resolve(&checkout, "--key acme --label tier=none"), resolve(&checkout, "--key acme"));
    let shares = shares(&checkout);
    near(&shares, "0.9.0", 0);
    near(&shares, "1.1.0", 30);
    assert_eq!(status(&checkout, "stripe")["weight"], 30);
    complete(&checkout);
    assert_eq!(live(&checkout, "stripe"), "1.1.0");
}
