//! What plans, status and explanations tell of rollouts, and of environments that wait for each other.

use super::{HELD, at, begun, complete, kept_out, live, raise, respec, run, seed, status, tell};
use crate::checkout::{Checkout, environment};

#[test]
fn what_everybody_has_is_told_as_it_is_now() {
    let closing = |checkout: &Checkout| {
        let told = checkout.run("rollout status stripe -e production -q").out;
        told.trim_end().rsplit("\n\n").next().unwrap_or_default().to_owned()
    };
    let checkout = begun(HELD);
    complete(&checkout);
    assert!(closing(&checkout).starts_with("Everyone has 1.1.0 since "), "{}", closing(&checkout));
    run(&checkout, "rollback stripe -e production --to 1.0.0 -q");
    assert!(closing(&checkout).ends_with(". Everyone has 1.0.0 now."), "{}", closing(&checkout));
    assert_eq!(status(&checkout, "stripe")["stable"], "1.0.0");
    checkout.remove("integrations/stripe");
    checkout.commit("Away");
    respec(&checkout, &format!("{HELD}  pruneLimit: 100%\n"));
    seed(&checkout);
    let gone = "Nobody has stripe now: production does not carry it.";
    assert!(closing(&checkout).ends_with(gone), "{}", closing(&checkout));
    assert_eq!(status(&checkout, "stripe")["stable"], serde_json::Value::Null);
}

/// What was rolled back beside it stays out.
#[test]
fn what_is_tried_again_is_one_content() {
    let checkout = begun(HELD);
    complete(&checkout);
    raise(&checkout, "stripe", "1.2.0");
    seed(&checkout);
    run(&checkout, "rollback stripe -e production --to 1.0.0 -q");
    assert_eq!(kept_out(&checkout), ["stripe 1.1.0", "stripe 1.2.0"]);
    // git has what everybody had for a while.
    raise(&checkout, "stripe", "1.1.0");
    tell(&checkout, "retry stripe");
    let open = "SELECT group_concat(version) FROM integration_quarantine WHERE asked_back_at IS NULL AND lifted_at IS NULL";
    assert_eq!(checkout.read(open), "1.1.0");
    assert_eq!(live(&checkout, "stripe"), "1.0.0");
    raise(&checkout, "stripe", "1.2.0");
    seed(&checkout);
    assert_eq!(at(&checkout, "stripe"), "Progressing 1/3 10%: 1.0.0 to 1.2.0");
}

#[test]
fn a_plan_says_which_rollout_ends() {
    let checkout = begun(HELD);
    raise(&checkout, "stripe", "1.2.0");
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("~ stripe 1.0.0 -> 1.2.0   (a rollout begins; that of 1.1.0 ends)"), "{plan}");
    let change = checkout.json("plan -e production -q -o json")["changes"][0].clone();
    assert_eq!((&change["staged"], &change["ends"]), (&true.into(), &"1.1.0".into()));
    raise(&checkout, "stripe", "1.0.0");
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("~ stripe 1.1.0 -> 1.0.0   (the rollout of 1.1.0 ends)"), "{plan}");
    checkout.remove("integrations/stripe");
    checkout.commit("Away");
    let plan = run(&checkout, "plan -e production -q");
    assert!(plan.contains("- stripe 1.0.0   (the rollout of 1.1.0 ends)"), "{plan}");
}

#[test]
fn what_waits_for_another_environment_is_told_wherever_somebody_asks() {
    let checkout = Checkout::new();
    let text = environment("production", "\"*\"", "  dependsOn: [{ name: staging }]\n");
    checkout.write("environments/production.yaml", &text);
    let waits = "aits for staging: Not seeded yet";
    let ran = checkout.run("status -e production -q");
    assert!(ran.out.contains("DependencyNotReady") && ran.out.contains(waits), "{}", ran.out);
    assert!(ran.out.contains("  sower status -e staging    see what it waits for"), "{}", ran.out);
    let described = checkout.json("get env production -q -o json")[0].clone();
    assert_eq!((&described["ready"], &described["reason"]), (&"False".into(), &"DependencyNotReady".into()));
    let plan = checkout.run("plan -e production");
    assert!(plan.err.contains("It would be held: waits for staging: Not seeded yet"), "{}", plan.err);
    let plan = checkout.json("plan -e production -q -o json");
    assert_eq!(plan["guard"], "dependency");
    assert_eq!(plan["waitsFor"], "Waits for staging: Not seeded yet");
    let plans = run(&checkout, "plan -q");
    assert!(
        plans.lines().any(|line| line.starts_with("production ") && line.ends_with(" dependency")),
        "{plans}"
    );
    let markdown = run(&checkout, "plan -e production -q -o markdown");
    assert!(markdown.contains("It is held: waits for staging&#58; Not seeded yet."), "{markdown}");
    let explained = run(&checkout, "explain stripe -e production -q");
    assert!(explained.contains("= production waits for staging: Not seeded yet"), "{explained}");
    assert!(!explained.contains("sower seed -e production"), "that would be refused: {explained}");
    // Who waits is not ready for who waits for it.
    checkout.write(
        "environments/staging.yaml",
        &environment("staging", "\"*\"", "  dependsOn: [{ name: development }]\n"),
    );
    let plan = checkout.json("plan -e production -q -o json");
    assert_eq!(plan["waitsFor"], "Waits for staging: Waits for development: Not seeded yet");
    run(&checkout, "seed --all -q");
    assert_eq!(checkout.json("plan -e production -q -o json")["guard"], serde_json::Value::Null);
    assert_eq!(checkout.json("get env production -q -o json")[0]["ready"], "True");
}

/// Who else seeds it knows what it waits for: that comes first, whoever is asked.
#[test]
fn another_keeper_comes_before_what_is_waited_for() {
    let checkout = Checkout::new();
    run(&checkout, "seed -e production -q");
    let text = environment("production", "\"*\"", "  dependsOn: [{ name: staging }]\n");
    checkout.write("environments/production.yaml", &text);
    assert_eq!(checkout.json("get env production -q -o json")[0]["reason"], "DependencyNotReady");
    checkout.sql("UPDATE environments SET keeper = 'prod-eu/sower/production' WHERE name = 'production'");
    for line in ["seed -e production -q", "apply 0123456789ab -e production -q"] {
        let ran = checkout.run(line);
        let told = "refused: production in this database is kept by cluster prod-eu (sower/production)";
        assert!(ran.exit == 4 && ran.err.starts_with(told), "{line}: {}", ran.err);
    }
    let plan = checkout.json("plan -e production -q -o json");
    assert_eq!((&plan["guard"], &plan["waitsFor"]), (&"another keeper".into(), &serde_json::Value::Null));
    assert_eq!(checkout.json("get env production -q -o json")[0]["reason"], "Seeded");
}

/// Each is looked at once, however many wait for it.
#[test]
fn many_that_wait_for_each_other_are_told_at_once() {
    let checkout = Checkout::new();
    checkout.write("environments/base-a.yaml", &environment("base-a", "\"*\"", ""));
    for level in 0..14 {
        for name in ["a", "b"] {
            let on = match level {
                0 => "[{ name: base-a }]".to_owned(),
                _ => format!("[{{ name: on-{0}-a, expression: \"true\" }}, {{ name: on-{0}-b }}]", level - 1),
            };
            let text = environment(&format!("on-{level}-{name}"), "\"*\"", &format!("  dependsOn: {on}\n"));
            checkout.write(&format!("environments/on-{level}-{name}.yaml"), &text);
        }
    }
    let begun = std::time::Instant::now();
    let ran = checkout.run("status -e on-13-a -q");
    assert!(ran.out.contains("Waits for on-12-b: Waits for on-11-b"), "{}", ran.out);
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn who_waits_for_nobody_that_is_there_is_told_by_validate() {
    let checkout = Checkout::new();
    let text = environment("production", "\"*\"", "  dependsOn: [{ name: stagin }]\n");
    checkout.write("environments/production.yaml", &text);
    let told =
        "environments/production.yaml:6:17: error[unknown-reference]: no environment is called `stagin`\n";
    for line in ["validate -o concise", "validate -o concise environments"] {
        let ran = checkout.run(line);
        assert!(ran.exit == 1 && ran.out.starts_with(told), "{line}: {}", ran.out);
    }
    let ran = checkout.run("status -e production -q");
    assert!(ran.out.contains("  sower validate    see what is wrong"), "{}", ran.out);
    // A single file is part of something else.
    let one = "validate -o concise environments/production.yaml";
    assert_eq!(checkout.run(one).exit, 0);
    assert_eq!(checkout.run("validate -o concise --environments environments/production.yaml").exit, 0);
}

#[test]
fn what_explain_says_to_type_leads_back() {
    let checkout = begun(HELD);
    let flags = " --database sqlite://.sower/sower.db";
    let told = run(&checkout, &format!("explain stripe -e production -q{flags}"));
    assert!(told.contains(&format!("sower rollout status stripe -e production{flags}\n")), "{told}");
    tell(&checkout, "abort stripe");
    let told = run(&checkout, &format!("explain stripe -e production -q{flags}"));
    assert!(told.contains(&format!("sower rollout retry stripe -e production{flags}\n")), "{told}");
}
