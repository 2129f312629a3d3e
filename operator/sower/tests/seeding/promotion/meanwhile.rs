//! What happens while something waits loses nothing of it, and lets nothing in that nobody meant.

use super::*;

const FROZEN: &str = "  freezeWindows:\n  - { schedule: \"* * * * *\", duration: 1h }\n";

fn respec(checkout: &Checkout, name: &str, more: &str) {
    checkout.write(&format!("environments/{name}.yaml"), &environment(name, "\"*\"", more));
    checkout.commit("Another spec");
}

/// Staging carries what the sources offer, as if for hours.
fn staged(checkout: &Checkout) {
    seed(checkout, "development");
    age(checkout, "development");
    seed(checkout, "staging");
    age(checkout, "staging");
}

/// What is remembered of an environment in a table, in its order.
fn remembered(checkout: &Checkout, table: &str) -> Vec<String> {
    let ids = format!(
        "SELECT integration_id || ' ' || substr(checksum, -6) FROM {table} WHERE environment = 'production'"
    );
    checkout.read(&ids).lines().map(str::to_owned).collect()
}

/// A seeding that a guard holds.
fn held(checkout: &Checkout) -> String {
    let ran = checkout.run("seed -e production");
    assert_eq!(ran.exit, 4, "{}{}", ran.out, ran.err);
    format!("{}{}", ran.out, ran.err)
}

#[test]
fn what_is_offered_while_a_plan_waits_for_an_approval_is_remembered() {
    let checkout = settled(SOAKS);
    push(&checkout, "slack", "1.1.0");
    staged(&checkout);
    respec(&checkout, "production", &format!("{SOAKS}  approval: Manual\n"));
    assert!(held(&checkout).contains("~ slack 1.0.0 -> 1.1.0"));
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");
    held(&checkout);
    push(&checkout, "stripe", "1.2.0");
    held(&checkout);
    assert_eq!(remembered(&checkout, "promotion_offers").len(), 3, "slack 1.1.0, stripe 1.1.0 and 1.2.0");
    // Nothing is written twice.
    let updated = "SELECT updated_at FROM environments WHERE name = 'production'";
    let before = (checkout.read("SELECT max(offered_at) FROM promotion_offers"), checkout.read(updated));
    held(&checkout);
    assert_eq!(
        (checkout.read("SELECT max(offered_at) FROM promotion_offers"), checkout.read(updated)),
        before
    );
    let hash = checkout.json("plan -e production -o json -q")["hash"].as_str().expect("a hash").to_owned();
    assert_eq!(checkout.run(&format!("apply {hash} -e production -q")).exit, 0);
    age(&checkout, "staging");
    assert!(held(&checkout).contains("~ stripe 1.0.0 -> 1.1.0"));
}

#[test]
fn what_a_hand_lets_in_during_a_freeze_comes_after_it() {
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");
    respec(&checkout, "production", &format!("{SOAKS}{FROZEN}"));
    let frozen = checkout.run("promote stripe --to production");
    assert_eq!(frozen.exit, 4, "{}{}", frozen.out, frozen.err);
    assert_eq!(remembered(&checkout, "promotion_admissions").len(), 1);
    // The sources offer something newer by then, and staging has it.
    push(&checkout, "stripe", "1.2.0");
    held(&checkout);
    seed(&checkout, "development");
    seed(&checkout, "staging");
    held(&checkout);
    let status = checkout.run("status -q").out;
    let waits = "  production: stripe 1.1.0 is let in by AUTHOR, and comes once nothing holds the plan\n";
    assert!(status.contains(waits), "{status}");
    respec(&checkout, "production", SOAKS);
    assert!(seed(&checkout, "production").contains("~ stripe 1.0.0 -> 1.1.0"));
    let history = checkout.json("history -e production -q -o json");
    assert_eq!(history[0]["reason"], "promotion of stripe 1.1.0 from staging by AUTHOR");
    assert!(remembered(&checkout, "promotion_admissions").is_empty());
}

#[test]
fn what_is_let_in_while_another_is_not_ready_comes_after_it() {
    let on = "  dependsOn: [{ name: development, expression: \"status.counts.integrations > 4\" }]\n";
    let checkout = settled(SOAKS);
    respec(&checkout, "production", &format!("{SOAKS}{on}"));
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");
    let refused = checkout.run("promote stripe --to production");
    assert_eq!(refused.exit, 4, "{}{}", refused.out, refused.err);
    let told =
        "is not true of it. No row was written; stripe is let in, and comes once nothing holds the plan.";
    assert!(refused.err.contains(told), "{}", refused.err);
    let tables = ["promotion_admissions", "promotion_offers"];
    assert_eq!(tables.map(|table| remembered(&checkout, table).len()), [1, 1]);
    // What is offered meanwhile is remembered, too, and told.
    push(&checkout, "slack", "1.1.0");
    let again = held(&checkout);
    assert!(again.contains("Waits for development") && again.contains("stripe is let in"), "{again}");
    assert_eq!(remembered(&checkout, "promotion_offers").len(), 2);
    let status = checkout.run("status -q").out;
    for line in
        ["stripe 1.1.0 is let in by AUTHOR, and comes", "slack 1.1.0 waits for staging: staging does not"]
    {
        assert!(status.contains(&format!("  production: {line}")), "{status}");
    }
    push(&checkout, "stripe", "1.2.0");
    respec(&checkout, "production", SOAKS);
    assert!(seed(&checkout, "production").contains("~ stripe 1.0.0 -> 1.1.0"));
    assert!(remembered(&checkout, "promotion_admissions").is_empty());
}

#[test]
fn what_has_soaked_is_not_told_as_waiting_while_a_guard_holds_it() {
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");
    seed(&checkout, "production");
    let status = || checkout.run("status -q").out;
    assert!(
        status().contains("production: stripe 1.1.0 waits for staging: carried there since "),
        "{}",
        status()
    );
    age(&checkout, "staging");
    respec(&checkout, "production", &format!("{SOAKS}{FROZEN}"));
    assert!(held(&checkout).contains("frozen"));
    assert!(status().contains("Frozen") && !status().contains("production: stripe"), "{}", status());
}

#[test]
fn what_was_let_in_by_hand_ends_with_what_was_offered() {
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    staged(&checkout);
    respec(&checkout, "production", &format!("{SOAKS}{FROZEN}"));
    assert_eq!(checkout.run("promote stripe --to production -q").exit, 4);
    // Both move on, and what is newer comes in with the end of the freeze.
    push(&checkout, "stripe", "1.2.0");
    held(&checkout);
    staged(&checkout);
    respec(&checkout, "production", SOAKS);
    assert!(seed(&checkout, "production").contains("~ stripe 1.0.0 -> 1.2.0"));
    assert!(remembered(&checkout, "promotion_admissions").is_empty());
    // What was meant then means nothing once the sources are back at it.
    respec(&checkout, "staging", "  promotion: { from: development }\n");
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    seed(&checkout, "staging");
    let told = seed(&checkout, "production");
    assert!(told.contains("stripe 1.1.0 waits for staging: carried there since "), "{told}");

    // What the sources take back before it came goes, too.
    push(&checkout, "stripe", "1.3.0");
    seed(&checkout, "development");
    seed(&checkout, "staging");
    respec(&checkout, "production", &format!("{SOAKS}{FROZEN}"));
    assert_eq!(checkout.run("promote stripe --to production -q").exit, 4);
    assert_eq!(remembered(&checkout, "promotion_admissions").len(), 1);
    push(&checkout, "stripe", "1.2.0");
    seed(&checkout, "production");
    assert!(remembered(&checkout, "promotion_admissions").is_empty());
}

#[test]
fn a_bad_commit_loses_nothing_that_soaks() {
    const MANIFEST: &str = "integrations/stripe/integration.yaml";
    type Damage = fn(&Checkout);
    let nonsense: Damage = |checkout| checkout.integration("stripe", "nonsense", "Broken");
    let unreadable: Damage = |checkout| checkout.write(MANIFEST, "kind: [\n");
    let empty: Damage = |checkout| checkout.write(MANIFEST, "# to be written\n");
    for (how, damage) in [("no version", nonsense), ("no YAML", unreadable), ("no document", empty)] {
        let checkout = settled(SOAKS);
        push(&checkout, "stripe", "1.1.0");
        seed(&checkout, "development");
        age(&checkout, "development");
        seed(&checkout, "staging");
        seed(&checkout, "production");
        push(&checkout, "stripe", "1.2.0");
        seed(&checkout, "production");
        damage(&checkout);
        checkout.commit("Broken");
        checkout.run("seed -e production");
        assert_eq!(remembered(&checkout, "promotion_offers").len(), 2, "{how}");
        // What has soaked comes in although something else cannot be read.
        age(&checkout, "staging");
        checkout.run("seed -e production");
        assert_eq!(version(&checkout, "production", "stripe").as_deref(), Some("1.1.0"), "{how}");
        push(&checkout, "stripe", "1.3.0");
        let told = seed(&checkout, "production");
        assert!(told.contains("stripe 1.3.0 waits for staging: "), "{how}: {told}");
    }
}

#[test]
fn what_is_gone_or_left_out_is_offered_no_more() {
    let checkout = settled(SOAKS);
    for id in ["stripe", "slack"] {
        push(&checkout, id, "1.1.0");
    }
    checkout.integration("fifth", "1.0.0", "New");
    checkout.commit("Five");
    seed(&checkout, "production");
    assert_eq!(remembered(&checkout, "promotion_offers").len(), 3);
    checkout.remove("integrations/slack");
    checkout.remove("integrations/fifth");
    checkout.commit("Away");
    seed(&checkout, "production");
    assert_eq!(remembered(&checkout, "promotion_offers").len(), 1);
    checkout.integration("stripe", "1.1.0", "As of 1.1.0\n  stability: beta");
    checkout.commit("Beta");
    seed(&checkout, "production");
    assert!(remembered(&checkout, "promotion_offers").is_empty());
    // What the spec leaves out from now on.
    push(&checkout, "stripe", "1.2.0");
    seed(&checkout, "production");
    assert_eq!(remembered(&checkout, "promotion_offers").len(), 1);
    respec(&checkout, "production", &format!("{SOAKS}  blockedIntegrations: [stripe]\n"));
    seed(&checkout, "production");
    assert!(remembered(&checkout, "promotion_offers").is_empty());
}

#[test]
fn executions_count_although_they_were_rolled_up() {
    let minimum = "  promotion: { from: staging, soak: 1h, minimum: { executions: 100 } }\n";
    let checkout = settled(SOAKS);
    push(&checkout, "stripe", "1.1.0");
    seed(&checkout, "development");
    age(&checkout, "development");
    seed(&checkout, "staging");
    respec(&checkout, "production", minimum);
    let used = "usage record stripe -e staging --version 1.1.0 --executions 200 -q";
    assert_eq!(checkout.run(used).exit, 0);
    for (length, from, to) in [("hour", "%H:00:00", "%H:02:00"), ("day", "00:00:00", "00:02:00")] {
        checkout.sql(&format!(
            "UPDATE integration_usage SET resolution = '{length}', minute = strftime('%Y-%m-%dT{from}.000Z', 'now', '-2 days'); \
             UPDATE seeding_logs SET completed_at = strftime('%Y-%m-%dT{to}.000Z', 'now', '-2 days') WHERE environment = 'staging'"
        ));
        let plan = checkout.run("plan -e production -q").out;
        assert!(plan.contains("~ stripe 1.0.0 -> 1.1.0"), "{length}: {plan}");
    }
    // What was over before it came says nothing of it.
    checkout
        .sql("UPDATE integration_usage SET minute = strftime('%Y-%m-%dT00:00:00.000Z', 'now', '-3 days')");
    let plan = checkout.run("plan -e production -q").out;
    assert!(plan.contains("0 of 100 executions in staging"), "{plan}");
}
