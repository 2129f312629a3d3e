//! Rollouts as a user meets them with files: every `sower seed` steps what is due.

mod between;
mod course;
mod files;
mod hands;
mod sources;
mod strategies;
mod told;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::Value;

use crate::checkout::{Checkout, environment, manifest};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two steps, each of which lasts until somebody says more.
pub const HELD: &str = "  rollout:\n    default: { type: Staged, steps: [{ weight: 10, hold: 1h }, { weight: 50, hold: 1h }] }\n";
/// Two steps, each of which lasts until its executions say that it is good.
pub const JUDGED: &str = "  rollout:\n    default:\n      type: Staged\n      steps: [{ weight: 10 }, { weight: 50 }]\n      \
     analysis: { interval: 1s, minimumSample: 20, successRate: { min: 0.9 } }\n";

/// A checkout with four integrations at 1.0.0, of which production has all.
pub fn seeded(spec: &str) -> Checkout {
    let checkout = Checkout::new();
    respec(&checkout, spec);
    for id in ["monday", "slack", "stripe", "wordpress"] {
        write(&checkout, id, "1.0.0", "");
    }
    checkout.commit("As it was");
    seed(&checkout);
    checkout
}

/// The same, where stripe 1.1.0 has begun.
pub fn begun(spec: &str) -> Checkout {
    let checkout = seeded(spec);
    raise(&checkout, "stripe", "1.1.0");
    seed(&checkout);
    checkout
}

pub fn respec(checkout: &Checkout, spec: &str) {
    checkout.write("environments/production.yaml", &environment("production", "\"*\"", spec));
}

/// Writes a version that does something else.
pub fn write(checkout: &Checkout, id: &str, version: &str, more: &str) {
    let text = manifest(id, version, "As it was").replace("path: /things", &format!("path: /{version}"));
    checkout.write(&format!("integrations/{id}/integration.yaml"), &format!("{text}{more}"));
}

/// Writes and commits it.
pub fn raise(checkout: &Checkout, id: &str, version: &str) {
    write(checkout, id, version, "");
    checkout.commit(&format!("{id} {version}"));
}

/// Seeds; what it printed.
pub fn seed(checkout: &Checkout) -> String {
    run(checkout, "seed -e production -q")
}

/// Runs what is to succeed; what it printed.
pub fn run(checkout: &Checkout, line: &str) -> String {
    let ran = checkout.run(line);
    assert_eq!(ran.exit, 0, "{line}: {}{}", ran.out, ran.err);
    ran.out
}

/// `abort stripe`, in production.
pub fn tell(checkout: &Checkout, words: &str) -> String {
    run(checkout, &format!("rollout {words} -e production -q"))
}

/// Advances stripe until all have it.
pub fn complete(checkout: &Checkout) {
    while at(checkout, "stripe").contains(" to ") && !at(checkout, "stripe").starts_with("Completed") {
        tell(checkout, "advance stripe");
    }
}

/// A rollout of production, as it says itself.
pub fn status(checkout: &Checkout, id: &str) -> Value {
    checkout.json(&format!("rollout status {id} -e production -q -o json"))
}

/// `Progressing 1/3 10%: 1.0.0 to 1.1.0`, or `none`.
pub fn at(checkout: &Checkout, id: &str) -> String {
    let told = status(checkout, id);
    let text = |field: &str| told[field].as_str().unwrap_or_default().to_owned();
    match told["state"].as_str() {
        None => "none".to_owned(),
        Some(state) => format!(
            "{state} {}/{} {}%: {} to {}",
            told["step"],
            told["steps"],
            told["weight"],
            text("from"),
            text("to")
        ),
    }
}

/// A time that a rollout says.
pub fn time(told: &Value, field: &str) -> Timestamp {
    let text = told[field].as_str().unwrap_or_else(|| panic!("no {field}: {told}"));
    text.parse().expect("a time")
}

/// Counts executions of stripe.
pub fn count(checkout: &Checkout, version: &str, executions: u32, errors: u32) {
    let line = format!(
        "usage record stripe -e production --version {version} --executions {executions} --errors {errors} -q"
    );
    run(checkout, &line);
}

/// Seeds until it is so.
pub fn until(checkout: &Checkout, what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    loop {
        seed(checkout);
        if is() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "never {what}: {}", status(checkout, "stripe"));
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Seeds until the rollout of stripe is there.
pub fn reaches(checkout: &Checkout, expected: &str) {
    until(checkout, expected, || at(checkout, "stripe").starts_with(expected));
}

/// Seeds until an analysis has looked at this step of stripe at least once; its reason.
pub fn looked(checkout: &Checkout) -> String {
    until(checkout, "looked at", || status(checkout, "stripe")["verdict"]["reason"].is_string());
    status(checkout, "stripe")["verdict"]["reason"].as_str().unwrap_or_default().to_owned()
}

/// The version of an integration that production carries for all; and the versions that live beside it.
pub fn live(checkout: &Checkout, id: &str) -> String {
    let stable = checkout.read(&format!(
        "SELECT version FROM integration_definitions WHERE environment = 'production' AND id = '{id}' AND status <> 'removed'"
    ));
    let path = checkout.read(&format!(
        "SELECT definition ->> '$.request.path' FROM action_registry WHERE environment = 'production' AND id = '{id}/list'"
    ));
    assert!(stable.is_empty() || path == format!("/{stable}"), "{id} {stable} has {path}");
    let beside = checkout.read(&format!(
        "SELECT group_concat(version || (definition ->> '$.request.path'), ' ') FROM (SELECT * FROM registry_candidates \
         WHERE environment = 'production' AND integration_id = '{id}' ORDER BY version)"
    ));
    format!("{stable} + {beside}").trim_end_matches(" + ").to_owned()
}

/// What is kept out of production, as `stripe 1.1.0`.
pub fn kept_out(checkout: &Checkout) -> Vec<String> {
    let all = checkout.json("get quarantine -e production -q -o json");
    let one = |kept: &Value| {
        let text = |field: &str| kept[field].as_str().unwrap_or_default().to_owned();
        format!("{} {}", text("integration"), text("version")).trim_end().to_owned()
    };
    all.as_array().expect("a list").iter().map(one).collect()
}

/// A plan finds nothing to do.
pub fn assert_settled(checkout: &Checkout) {
    let plan = checkout.json("plan -e production -q -o json");
    let counts = ["create", "update", "delete"].map(|name| plan[name].clone());
    assert!(counts.iter().all(|count| *count == 0), "{plan}");
}
