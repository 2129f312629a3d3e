//! Promotion between environments as a user meets it: what waits, comes in by itself, and is let in by hand.

mod meanwhile;

use std::time::{Duration, Instant};

use crate::checkout::{Checkout, environment};

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(60);

/// development takes what lies there; staging soaks for a moment in development, production for an hour in staging.
fn checkout(production: &str) -> Checkout {
    let checkout = Checkout::new();
    checkout.write("environments/development.yaml", &environment("development", "\"*\"", ""));
    let staging = "  promotion: { from: development, soak: 2s }\n  interval: 1s\n";
    checkout.write("environments/staging.yaml", &environment("staging", "\"*\"", staging));
    checkout.write("environments/production.yaml", &environment("production", "\"*\"", production));
    checkout.configure("user.name", "AUTHOR");
    checkout.commit("Stages");
    checkout
}

const SOAKS: &str = "  promotion: { from: staging, soak: 1h }\n  pruneLimit: 100%\n";

/// What was seeded into an environment so far came two hours ago; who waits for it looks anew.
fn age(checkout: &Checkout, environment: &str) {
    checkout.sql("UPDATE environments SET selection_hash = NULL");
    checkout.sql(&format!(
        "UPDATE seeding_logs SET completed_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-2 hours') \
         WHERE environment = '{environment}'"
    ));
}

/// Everything is everywhere, as if for hours.
fn settled(production: &str) -> Checkout {
    let checkout = checkout(production);
    for name in ["development", "staging"] {
        assert_eq!(checkout.run(&format!("seed -e {name} -q")).exit, 0);
        age(&checkout, name);
    }
    assert_eq!(checkout.run("seed -e staging -q").exit, 0);
    age(&checkout, "staging");
    assert_eq!(checkout.run("seed -e production -q").exit, 0);
    assert_eq!(version(&checkout, "production", "stripe").as_deref(), Some("1.0.0"));
    checkout
}

fn push(checkout: &Checkout, id: &str, version: &str) {
    checkout.integration(id, version, &format!("As of {version}"));
    checkout.commit(&format!("{id} {version}"));
}

fn version(checkout: &Checkout, environment: &str, id: &str) -> Option<String> {
    let listed = checkout.json(&format!("get integrations -e {environment} -q -o json"));
    let row = listed.as_array()?.iter().find(|row| row["integration"] == id || row["id"] == id)?.clone();
    Some(row["version"].as_str()?.to_owned())
}

/// Seeds until an environment carries a version, as whoever runs it again does.
fn until(checkout: &Checkout, environment: &str, id: &str, expect: &str) {
    let started = Instant::now();
    loop {
        let ran = checkout.run(&format!("seed -e {environment} -q"));
        if version(checkout, environment, id).as_deref() == Some(expect) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{environment} has no {id} {expect}: {}{}", ran.out, ran.err);
    }
}

fn seed(checkout: &Checkout, environment: &str) -> String {
    let ran = checkout.run(&format!("seed -e {environment}"));
    assert_eq!(ran.exit, 0, "{}{}", ran.out, ran.err);
    format!("{}{}", ran.out, ran.err)
}

#[test]
fn a_version_waits_until_it_has_soaked_and_then_comes_in_by_itself() {
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    let told = seed(&checkout, "staging");
    let waits = "= stripe 1.1.0 waits for development: development does not carry 1.1.0 yet, but 1.0.0";
    assert!(told.contains(waits) && told.contains("1 waiting"), "{told}");
    assert!(seed(&checkout, "development").contains("~ stripe 1.0.0 -> 1.1.0"));
    until(&checkout, "staging", "stripe", "1.1.0");
    let history = checkout.json("history -e staging -q -o json");
    assert_eq!(history[0]["reason"], "promoted from development");

    let told = seed(&checkout, "production");
    assert!(told.contains("stripe 1.1.0 waits for staging: carried there since "), "{told}");
    assert!(told.contains("s of 1h") || told.contains("min of 1h"), "{told}");
    assert_eq!(version(&checkout, "production", "stripe").as_deref(), Some("1.0.0"));

    // It is told wherever somebody asks.
    let explained = checkout.run("explain stripe -e production -q").out;
    assert!(explained.contains("1.1.0 waits for staging: carried there since "), "{explained}");
    assert!(explained.contains("sower promote stripe --from staging --to production"), "{explained}");
    let plan = checkout.run("plan -e production -q").out;
    assert!(plan.contains("= stripe 1.1.0 waits for staging"), "{plan}");
    let status = checkout.run("status -q").out;
    let line = "development -> staging (soak 2s) -> production (soak 1h: 1 waits)\n";
    assert!(status.contains(line), "{status}");
    assert!(status.contains("  production: stripe 1.1.0 waits for staging: "), "{status}");
    let described = checkout.json("get env production -q -o json")[0].clone();
    assert_eq!(described["counts"]["waiting"], 1, "{described}");
    assert_eq!(described["waiting"][0]["integration"], "stripe", "{described}");

    age(&checkout, "staging");
    assert!(seed(&checkout, "production").contains("~ stripe 1.0.0 -> 1.1.0"));
    assert_eq!(checkout.json("get env production -q -o json")[0]["counts"]["waiting"], 0);
    // Nothing waits: nothing is to be done.
    assert!(seed(&checkout, "production").contains("Nothing to do"));
}

#[test]
fn what_was_offered_earlier_comes_in_while_something_newer_soaks() {
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");
    seed(&checkout, "production");
    // The sources show something newer by now, which staging does not have.
    push(&checkout, "stripe", "1.2.0");
    seed(&checkout, "production");
    age(&checkout, "staging");
    let told = seed(&checkout, "production");
    assert!(told.contains("~ stripe 1.0.0 -> 1.1.0"), "{told}");
    assert!(
        told.contains("stripe 1.2.0 waits for staging: staging does not carry 1.2.0 yet, but 1.1.0"),
        "{told}"
    );
    let whole = checkout.json("get integration stripe -e production -q -o json");
    assert!(whole.to_string().contains("As of 1.1.0"), "{whole}");
    // Other content of the same version is not what soaked.
    checkout.integration("stripe", "1.1.0", "Something else");
    checkout.commit("Other content");
    let told = seed(&checkout, "production");
    assert!(told.contains("stripe 1.1.0 waits for staging: staging has 1.1.0 with other content"), "{told}");
}

#[test]
fn executions_there_have_to_be_enough_and_good_enough() {
    let minimum =
        "  promotion: { from: staging, soak: 1h, minimum: { executions: 100, successRate: 0.9 } }\n";
    let checkout = settled(SOAKS);
    checkout.write("environments/production.yaml", &environment("production", "\"*\"", minimum));
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");
    let used = |version: &str, executions: u32, errors: u32| {
        let line = format!(
            "usage record stripe -e staging --version {version} --executions {executions} --errors {errors} -q"
        );
        assert_eq!(checkout.run(&line).exit, 0, "{line}");
    };
    used("1.0.0", 5_000, 0);
    age(&checkout, "staging");
    let told = seed(&checkout, "production");
    assert!(told.contains("stripe 1.1.0 waits for staging: 0 of 100 executions in staging"), "{told}");
    used("1.1.0", 41, 0);
    let told = seed(&checkout, "production");
    assert!(told.contains("41 of 100 executions in staging"), "{told}");
    used("1.1.0", 59, 20);
    let told = seed(&checkout, "production");
    assert!(told.contains("80 of 100 executions in staging succeeded, and 90% have to"), "{told}");
    used("1.1.0", 100, 0);
    assert!(seed(&checkout, "production").contains("~ stripe 1.0.0 -> 1.1.0"));
}

#[test]
fn a_deletion_waits_until_the_other_has_let_go() {
    let checkout = settled(SOAKS);
    checkout.remove("integrations/slack");
    checkout.commit("Away");
    let told = seed(&checkout, "production");
    assert!(told.contains("slack its deletion waits for staging: gone from the sources"), "{told}");
    assert!(version(&checkout, "production", "slack").is_some());
    checkout.write(
        "environments/staging.yaml",
        &environment("staging", "\"*\"", "  promotion: { from: development }\n  pruneLimit: 100%\n"),
    );
    checkout
        .write("environments/development.yaml", &environment("development", "\"*\"", "  pruneLimit: 100%\n"));
    checkout.commit("No limit");
    assert!(seed(&checkout, "development").contains("- slack"));
    assert!(seed(&checkout, "staging").contains("- slack"));
    assert!(seed(&checkout, "production").contains("- slack"));
    assert_eq!(version(&checkout, "production", "slack"), None);
}

#[test]
fn a_hand_lets_in_what_the_other_carries_and_nothing_else() {
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    let refused = checkout.run("promote stripe --from staging --to production");
    assert_eq!(refused.exit, 4, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("staging does not carry 1.1.0 yet"), "{}", refused.err);
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");

    let dry = checkout.run("promote stripe --to production --dry-run -q");
    assert_eq!((dry.exit, dry.out.as_str()), (0, "~ stripe 1.0.0 -> 1.1.0\n"), "{}", dry.err);
    assert_eq!(version(&checkout, "production", "stripe").as_deref(), Some("1.0.0"));
    let done = checkout.run("promote stripe --from staging --to production");
    assert_eq!(done.exit, 0, "{}{}", done.out, done.err);
    assert!(done.out.contains("~ stripe 1.0.0 -> 1.1.0"), "{}", done.out);
    let history = checkout.json("history -e production -q -o json");
    assert_eq!(history[0]["reason"], "promotion of stripe 1.1.0 from staging by AUTHOR");
    assert!(seed(&checkout, "production").contains("Nothing to do"));
    let again = checkout.run("promote stripe --to production -q");
    assert_eq!(again.exit, 0, "{}{}", again.out, again.err);

    for (line, told) in [
        ("promote nothing --to production", "nothing is offered by no source of production"),
        (
            "promote stripe --from development --to production",
            "production is promoted from staging, not from development",
        ),
        ("promote stripe --to development", "development has no spec.promotion"),
    ] {
        let ran = checkout.run(line);
        assert!(ran.exit != 0 && ran.err.contains(told), "{line}: {} {}", ran.exit, ran.err);
    }
}

#[test]
fn what_is_let_in_during_a_freeze_is_told_so() {
    let began =
        (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).to_zoned(jiff::tz::TimeZone::UTC);
    let window = began.strftime("%-M %-H * * *");
    let frozen = format!("{SOAKS}  freezeWindows:\n  - {{ schedule: \"{window}\", duration: 3h }}\n");
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");
    checkout.write("environments/production.yaml", &environment("production", "\"*\"", &frozen));
    let held = checkout.run("promote stripe --to production");
    assert_eq!(held.exit, 4, "{}{}", held.out, held.err);
    let told = "No row was written; stripe is let in, and comes once nothing holds the plan.";
    assert!(held.err.contains(told) && !held.err.contains("Nothing was written"), "{}", held.err);
    checkout.write("environments/production.yaml", &environment("production", "\"*\"", SOAKS));
    assert!(seed(&checkout, "production").contains("~ stripe 1.0.0 -> 1.1.0"));
}

#[test]
fn who_cannot_be_read_lets_nothing_in_and_holds_nothing_up() {
    let checkout = checkout("  promotion: { from: elsewhere, soak: 1h }\n");
    seed(&checkout, "production");
    assert_eq!(version(&checkout, "production", "stripe"), None);
    let told = seed(&checkout, "production");
    assert!(
        told.contains("waits for elsewhere: elsewhere cannot be read: no environment is called so"),
        "{told}"
    );
}

#[test]
fn an_environment_waits_for_those_it_depends_on() {
    let on = "  dependsOn: [{ name: staging }, { name: development, expression: \"status.counts.integrations > 4\" }]\n";
    let checkout = checkout(on);
    let refused = checkout.run("seed -e production");
    assert_eq!(refused.exit, 4, "{}{}", refused.out, refused.err);
    assert!(refused.err.contains("Waits for staging: Not seeded yet"), "{}", refused.err);
    seed(&checkout, "staging");
    seed(&checkout, "development");
    let refused = checkout.run("seed -e production -o json");
    assert_eq!(refused.exit, 4);
    let report: serde_json::Value = serde_json::from_str(&refused.out).expect("JSON");
    assert_eq!(report["errors"][0]["code"], "DependencyNotReady");
    let told = report["errors"][0]["message"].as_str().expect("a text");
    assert!(
        told.contains("Waits for development: `status.counts.integrations > 4` is not true of it"),
        "{told}"
    );
    checkout.integration("fifth", "1.0.0", "One more");
    checkout.commit("Five");
    // All of them, each after those that it waits for.
    let all = checkout.run("seed --all -q");
    assert_eq!(all.exit, 0, "{}{}", all.out, all.err);
    assert_eq!(version(&checkout, "production", "fifth").as_deref(), Some("1.0.0"));
}

#[test]
fn a_circle_is_refused_by_name() {
    let checkout = checkout("  promotion: { from: staging }\n");
    checkout.write(
        "environments/development.yaml",
        &environment("development", "\"*\"", "  dependsOn: [{ name: production }]\n"),
    );
    let ran = checkout.run("validate -o concise");
    assert_eq!(ran.exit, 1, "{}", ran.out);
    let told = "environments wait for each other in a circle: production, staging, development, production";
    assert!(ran.out.contains(told), "{}", ran.out);
    assert_eq!(checkout.run("seed -e production").exit, 1);
}

#[test]
fn the_promotion_ends_with_its_spec() {
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "production");
    checkout.write("environments/production.yaml", &environment("production", "\"*\"", ""));
    assert!(seed(&checkout, "production").contains("~ stripe 1.0.0 -> 1.1.0"));
    assert_eq!(checkout.json("get env production -q -o json")[0]["counts"]["waiting"], 0);
}
