//! `sower apply` as a user meets it: a plan that waits, by its hash or by its file.

use insta::assert_snapshot;

use crate::checkout::{Checkout, environment};

fn manual(checkout: &Checkout, more: &str) {
    let more = format!("  approval: Manual\n{more}");
    checkout.write("environments/production.yaml", &environment("production", "stripe, wordpress", &more));
}

/// The hash of the plan that waits.
fn plan(checkout: &Checkout) -> String {
    checkout.json("plan -e production -o json -q")["hash"].as_str().expect("a hash").to_owned()
}

#[test]
fn a_plan_waits_until_its_hash_is_approved() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    manual(&checkout, "");
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("Better");
    let hash = plan(&checkout);
    let lines = ["seed -e production", "plan -e production", "plan -q", "status -e production"];
    let held = checkout.transcripts(&lines[..3]);
    let status = checkout.transcript(lines[3]);
    assert!(status.contains("waits for an approval: +0 ~1 -0"), "{status}");
    assert!(status.contains("see what waits"), "{status}");
    checkout.integration("stripe", "1.2.0", "Better still");
    checkout.commit("Better still");
    checkout.run("seed -e production");
    let newer = plan(&checkout);
    assert_ne!(hash, newer);
    let applied = checkout.transcript(&format!("apply {hash} -e production --approved-by Ada"));
    let again = checkout.transcript(&format!("apply {hash} -e production"));
    let stale = checkout.transcript(&format!("apply {newer} -e production"));
    let history = checkout.json("history -e production -o json -q");
    assert_eq!(history[0]["reason"], format!("push: \"Better\" (AUTHOR); plan {hash} approved by Ada"));
    let all = [held, applied, again, stale]
        .join("\n")
        .replace(&hash, "PLANPLANPLAN")
        .replace(&newer, "NEWERNEWERNE");
    assert_snapshot!(all, @r"
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) refused: plan PLANPLANPLAN waits for an approval: +0 ~1 -0. Nothing was written.
    (2)   see all of it:  sower plan -e production
    (2)   allow it once:  sower apply PLANPLANPLAN -e production
    ~ stripe 1.0.0 -> 1.1.0
    exit 4
    $ sower plan -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) It would be held: plan PLANPLANPLAN waits for an approval: +0 ~1 -0
    (2) Allow it once: sower apply PLANPLANPLAN -e production
    ~ stripe 1.0.0 -> 1.1.0   documentation only
        ~ integration  /description

    Plan PLANPLANPLAN for production: 0 create, 1 update, 0 delete, 1 unchanged; 2 excluded (monday, slack)
    exit 0
    $ sower plan -q
    ENVIRONMENT   PLAN           CHANGED    CONFLICTS   GUARD
    development   PLANPLANPLAN   +0 ~1 -0   0           -
    production    PLANPLANPLAN   +0 ~1 -0   0           approval
    staging       PLANPLANPLAN   +0 ~1 -0   0           -
    exit 0
    $ sower apply PLANPLANPLAN -e production --approved-by Ada
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    ~ stripe 1.0.0 -> 1.1.0
    Seeded production at main@COMMIT7 (seeding 2): 0 created, 1 updated, 0 deleted, 1 unchanged in TOOK
    exit 0
    $ sower apply PLANPLANPLAN -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    Nothing to do: plan PLANPLANPLAN was applied as seeding 2, approved by Ada
    exit 0
    $ sower apply PLANPLANPLAN -e production
    (2) from: files (sower.toml) · .#HEAD · sqlite://.sower/sower.db
    (2) refused: plan PLANPLANPLAN is stale: seeding 2 came first, TOOK ago. Nothing was written.
    (2)   see the new one:  sower plan -e production
    exit 4
    ");
}

#[test]
fn a_plan_is_applied_from_the_file_that_it_was_written_to() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("Better");
    let file = |name: &str, line: &str| {
        let ran = checkout.run(line);
        assert_eq!(ran.exit, 0, "{}", ran.err);
        checkout.write(name, &ran.out);
    };
    file("one.json", "plan -e production -o json");
    file("all.json", "plan -o json");
    let which = checkout.run("apply all.json");
    assert_eq!(which.exit, 2, "{}", which.err);
    let other = checkout.run("apply one.json -e staging");
    assert_eq!(other.exit, 2, "{}", other.err);
    let report = checkout.json("apply one.json -o json");
    assert_eq!((&report["status"], &report["updated"]), (&"completed".into(), &1.into()));
    assert_eq!(checkout.run("apply all.json -e staging").exit, 0);
    let ran = checkout.run("apply all.json -e production");
    assert_eq!(ran.exit, 0, "{}", ran.err);
    assert!(ran.out.starts_with("Nothing to do: plan "), "{}", ran.out);
    file("old.json", "plan -e development -o json");
    checkout.integration("stripe", "1.2.0", "Better still");
    checkout.commit("Better still");
    let stale = checkout.run("apply old.json");
    assert_eq!(stale.exit, 4, "{}", stale.err);
    assert!(stale.err.contains("is stale: what would be applied now is plan "), "{}", stale.err);
    for (words, exit) in [("apply deadbeef -e production", 2), ("apply deadbeefdead -e production", 4)] {
        let ran = checkout.run(words);
        assert_eq!(ran.exit, exit, "{}", ran.err);
    }
}

#[test]
fn an_approval_outlasts_a_freeze() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    let freeze = "  freezeWindows:\n  - { schedule: \"* * * * *\", duration: 1h }\n";
    manual(&checkout, freeze);
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("Better");
    let ran = checkout.run("seed -e production");
    assert_eq!(ran.exit, 4, "{}", ran.err);
    let hash = plan(&checkout);
    let ran = checkout.run(&format!("apply {hash} -e production"));
    assert_eq!(ran.exit, 4, "{}", ran.err);
    assert!(ran.err.contains("production is frozen as long as its windows stand"), "{}", ran.err);
    assert!(ran.err.contains("The approval is kept"), "{}", ran.err);
    manual(&checkout, "");
    let ran = checkout.run("seed -e production");
    assert_eq!(ran.exit, 0, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("(seeding 2)"), "{}", ran.out);
}

#[test]
fn a_plan_is_fit_for_a_comment() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    manual(&checkout, "");
    checkout.integration("stripe", "1.1.0", "Better | <b>@ada</b>");
    checkout.integration("wordpress", "1.0.0", "Other");
    checkout.commit("Better");
    let text = checkout.run("plan -e production -o markdown -q").out;
    let hash = plan(&checkout);
    assert_snapshot!(crate::checkout::masked(&text.replace(&hash, "PLANPLANPLAN")), @r"
    ### Plan `PLANPLANPLAN` for production

    0 create, 1 update, 0 delete, 0 unchanged, 1 conflict at main&#64;COMMIT7

    | | integration | version | compatibility | what changes |
    | --- | --- | --- | --- | --- |
    | update | stripe | 1.0.0 → 1.1.0 | documentation only | integration /description |

    | conflict | integration | here | offered | resolution |
    | --- | --- | --- | --- | --- |
    | version | wordpress | 1.0.0 | 1.0.0 | skip |

    It is held: plan PLANPLANPLAN waits for an approval&#58; +0 &#126;1 -0. Allow it once:

    ```sh
    sower apply PLANPLANPLAN -e production
    ```
    ");
}

#[test]
fn a_version_that_does_not_say_what_it_breaks_is_denied() {
    let checkout = Checkout::new();
    let text = environment("production", "stripe, wordpress", "  policy: { semver: deny }\n");
    checkout.write("environments/production.yaml", &text);
    let manifest = |version: &str, actions: &str| {
        let text = format!(
            "id: stripe\nname: Stripe\nversion: {version}\nauthor: Ada\nlicense: Apache-2.0\ndescription: Payments.\n\
             category: [payments]\nbaseUrl: https://api.stripe.com\nactions:\n{actions}"
        );
        checkout.write("integrations/stripe/integration.yaml", &text);
        checkout.commit(version);
    };
    let action = |id: &str| {
        format!(
            "- id: {id}\n  name: Does {id}\n  description: Does it.\n  outputSchema: {{ type: object }}\n  \
             request: {{ method: GET, path: /{id} }}\n"
        )
    };
    manifest("1.0.0", &(action("charge") + &action("refund")));
    assert_eq!(checkout.run("seed -e production").exit, 0);
    manifest("1.1.0", &action("charge"));
    assert_snapshot!(checkout.transcripts(&["plan -e production", "seed -e production"]), @r"
    $ sower plan -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    = stripe 1.0.0   kept: stripe 1.1.0 breaks what uses 1.0.0 (action refund is removed): its version should be 2.0.0

    Plan PLANPLANPLAN for production: 0 create, 0 update, 0 delete, 1 unchanged, 1 refused; 2 excluded (monday, slack)
    exit 1
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) error[understated-version]: integrations/stripe/integration.yaml: stripe 1.1.0 breaks what uses 1.0.0 (action refund is removed): its version should be 2.0.0
    (2) stripe keeps 1.0.0. Mend its manifest and seed again: the rest is in.
    Nothing to do: production is at main@COMMIT7 (1 unchanged, 1 refused)
    exit 1
    ");
    let report = checkout.json("seed -e production -o json -q");
    assert_eq!(report["errors"][0]["code"], "understated-version", "{report}");
    manifest("2.0.0", &action("charge"));
    assert_eq!(checkout.run("seed -e production").exit, 0);
}

/// Also where nobody has to approve: what was reviewed is applied, or nothing.
#[test]
fn a_plan_file_is_of_the_rows_that_it_saw() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    let file = |checkout: &Checkout| {
        let plan = checkout.run("plan -e production -o json -q");
        assert_eq!(plan.exit, 0);
        checkout.write("plan.json", &plan.out);
    };
    file(&checkout);
    let nothing = checkout.run("apply plan.json");
    assert!(nothing.exit == 0 && nothing.out.starts_with("Nothing to do"), "{} {}", nothing.out, nothing.err);

    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("Better");
    file(&checkout);
    let by_hand =
        "UPDATE action_registry SET name = 'By hand' WHERE environment = 'production' AND id = 'stripe/list'";
    checkout.sql(by_hand);
    let stale = checkout.run("apply plan.json");
    assert!(stale.exit == 4 && stale.err.contains("stale"), "{}", stale.err);
    file(&checkout);
    assert_eq!(checkout.run("apply plan.json").exit, 0);
}

#[test]
fn a_plan_that_waits_is_stale_by_another_spec_another_hand_or_a_push_by_force() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    manual(&checkout, "");
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("Better");
    let waits = || {
        let ran = checkout.run("seed -e production");
        assert_eq!(ran.exit, 4, "{}", ran.err);
        plan(&checkout)
    };
    let refused = |hash: &str, why: &str| {
        let ran = checkout.run(&format!("apply {hash} -e production"));
        assert_eq!(ran.exit, 4, "{}", ran.err);
        let told = format!("refused: plan {hash} is stale: {why}");
        assert!(ran.err.contains(&told), "{}", ran.err);
        assert!(ran.err.contains("Nothing was written."), "{}", ran.err);
    };
    let hash = waits();
    manual(&checkout, "  prune: false\n");
    refused(&hash[..12], "the spec changed since");

    let hash = waits();
    let status = checkout.run("status -e production");
    assert!(
        status.out.contains(&format!("Plan {} waits: 0 create, 1 update", &hash[..12])),
        "{}",
        status.out
    );
    checkout.sql("UPDATE action_registry SET name = 'By hand' WHERE integration_id = 'stripe'");
    refused(&hash[..12], "rows of stripe were changed by somebody else since");

    let hash = waits();
    checkout.git(&["commit", "--quiet", "--amend", "--message", "Better, in other words"]);
    refused(&hash[..12], "main@");
    let ran = checkout.run(&format!("apply {} -e production", waits()));
    assert_eq!(ran.exit, 0, "{}{}", ran.out, ran.err);
}

#[test]
fn a_first_plan_that_waits_is_shown_with_what_allows_it() {
    let checkout = Checkout::new();
    manual(&checkout, "");
    let held = checkout.run("seed -e production");
    assert_eq!(held.exit, 4, "{}", held.err);
    let status = checkout.run("status -e production");
    assert!(status.out.contains(" waits: 2 create, 0 update, 0 delete, 0 conflicts"), "{}", status.out);
    let (_, next) = status.out.split_once("  sower apply ").expect("what allows it");
    let (command, what) = next.split_once("    ").expect("what it is for");
    assert!(what.starts_with("allow it"), "{next}");
    let applied = checkout.run(&format!("apply {}", command.trim()));
    assert_eq!(applied.exit, 0, "{}{}", applied.out, applied.err);
}

#[test]
fn a_plan_of_some_says_how_it_is_applied() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    manual(&checkout, "");
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.integration("wordpress", "1.1.0", "Better");
    checkout.commit("Better");
    let ran = checkout.run("plan -e production --only stripe");
    let hint =
        "Allow it once: sower plan -e production --only stripe -o json >plan.json && sower apply plan.json";
    assert!(ran.err.contains(hint), "{}", ran.err);
    checkout.write("plan.json", &checkout.run("plan -e production --only stripe -o json -q").out);
    let applied = checkout.run("apply plan.json");
    assert_eq!(applied.exit, 0, "{}{}", applied.out, applied.err);
    let again = checkout.json("apply plan.json -o json");
    assert_eq!(again["status"], "unchanged");
    checkout.write("plan.json", &checkout.run("plan -e production --reseed -o json -q").out);
    assert_eq!(checkout.run("apply plan.json").exit, 0);
}
