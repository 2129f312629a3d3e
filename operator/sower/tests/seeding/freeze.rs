//! Freeze windows: what is frozen waits, whole, until its window is over or the freeze is lifted.

use insta::assert_snapshot;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::checkout::{Checkout, environment};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A window that began so many hours ago.
fn window(hours_ago: i64, duration: &str, more: &str) -> String {
    let began = (Timestamp::now() - HOUR * i32::try_from(hours_ago).expect("few")).to_zoned(TimeZone::UTC);
    let schedule = began.strftime("%-M %-H * * *");
    format!("  freezeWindows:\n  - {{ schedule: \"{schedule}\", duration: {duration}{more} }}\n")
}

/// Times of day, which are other ones each time, as `DAY HH:MM` and `TIME`.
fn masked(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_time = word.len() == 5 && word.as_bytes()[2] == b':';
        if let (true, Some(day)) = (is_time, words.last_mut().filter(|day| day.len() == 3)) {
            *day = "DAY".to_owned();
            words.push("HH:MM".to_owned());
        } else if let Some((before, _)) = word.split_once("\"20") {
            let rest = word.rsplit_once('"').map_or("", |(_, rest)| rest);
            words.push(format!("{before}\"TIME\"{rest}"));
        } else {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

fn freeze(checkout: &Checkout, more: &str) {
    checkout.write("environments/production.yaml", &environment("production", "stripe, wordpress", more));
}

#[test]
fn a_frozen_environment_is_written_again_when_the_window_is_over() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("Better");
    freeze(&checkout, &window(1, "3h", ", name: launch"));
    let lines = ["plan -e production", "plan -q", "seed -e production"];
    assert_snapshot!(masked(&checkout.transcripts(&lines)), @r#"
    $ sower plan -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) It would be held: production is frozen until DAY HH:MM UTC: plan PLANPLANPLAN waits; it is in window launch
    ~ stripe 1.0.0 -> 1.1.0   documentation only
        ~ integration  /description

    Plan PLANPLANPLAN for production: 0 create, 1 update, 0 delete, 1 unchanged; 2 excluded (monday, slack)
    exit 0
    $ sower plan -q
    ENVIRONMENT   PLAN           CHANGED    CONFLICTS   GUARD
    development   PLANPLANPLAN   +0 ~1 -0   0           -
    production    PLANPLANPLAN   +0 ~1 -0   0           frozen until DAY HH:MM UTC
    staging       PLANPLANPLAN   +0 ~1 -0   0           -
    exit 0
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    (2) refused: production is frozen until DAY HH:MM UTC: plan PLANPLANPLAN waits; it is in window launch. Nothing was written.
    (2)   see all of it:    sower plan -e production
    (2)   lift the freeze:  in environments/production.yaml, under metadata.annotations: sower.dev/freeze-override: "TIME"
    ~ stripe 1.0.0 -> 1.1.0
    exit 4
    "#);
    let report = checkout.json("seed -e production -o json");
    assert_eq!((&report["status"], &report["updated"]), (&"refused".into(), &0.into()));
    assert_eq!(report["errors"][0]["code"], "Frozen");
    let plan = checkout.json("plan -e production -o json");
    assert!(plan["guard"].as_str().is_some_and(|guard| guard.starts_with("frozen until ")), "{plan}");
    let status = masked(&checkout.transcript("status -e production"));
    assert!(status.contains("Frozen until DAY HH:MM UTC: plan"), "{status}");
    assert!(status.contains("see what waits"), "{status}");
    let why = masked(&checkout.transcript("explain stripe -e production"));
    assert!(why.contains("= production is frozen until DAY HH:MM UTC: a seeding waits"), "{why}");
    let held = checkout.json("get integration stripe -e production -o json");
    assert_eq!(held[0]["version"], "1.0.0", "{held}");

    freeze(&checkout, &window(3, "1h", ", name: launch"));
    assert_snapshot!(checkout.transcript("seed -e production"), @r"
    $ sower seed -e production
    (2) from: files (sower.toml) · .#HEAD at main@COMMIT7 · sqlite://.sower/sower.db
    ~ stripe 1.0.0 -> 1.1.0
    Seeded production at main@COMMIT7 (seeding 2): 0 created, 1 updated, 0 deleted, 1 unchanged in TOOK
    exit 0
    ");
    let status = checkout.transcript("status -e production");
    assert!(!status.contains("Frozen"), "{status}");
}

#[test]
fn nothing_to_do_and_what_a_window_is_not_about_are_not_frozen() {
    let checkout = Checkout::new();
    checkout.run("seed --all");
    freeze(&checkout, &window(1, "3h", ""));
    let ran = checkout.run("seed -e production");
    assert!(ran.out.starts_with("Nothing to do: production is at main@"), "{}{}", ran.out, ran.err);
    assert_eq!(ran.exit, 0);

    checkout.integration("stripe", "1.1.0", "Better");
    checkout.commit("Better");
    freeze(&checkout, &window(1, "3h", ", integrations: [word*]"));
    assert_eq!(checkout.run("seed -e production").exit, 0);

    checkout.integration("wordpress", "1.1.0", "Better");
    checkout.integration("stripe", "1.2.0", "Better still");
    checkout.commit("Better still");
    let ran = checkout.run("seed -e production");
    assert_eq!(ran.exit, 4, "{}", ran.err);
    assert!(ran.err.contains("waits; wordpress is frozen. Nothing was written."), "{}", ran.err);
    assert_eq!(checkout.run("seed -e production --only stripe").exit, 0);
}

#[test]
fn outside_of_the_windows_that_allow_everything_is_frozen() {
    let checkout = Checkout::new();
    freeze(&checkout, &window(3, "1h", ", kind: Allow"));
    let ran = checkout.run("seed -e production");
    assert_eq!(ran.exit, 4, "{}", ran.err);
    assert!(ran.err.contains("refused: production is frozen until "), "{}", ran.err);
    freeze(&checkout, &window(1, "3h", ", kind: Allow"));
    assert_eq!(checkout.run("seed -e production").exit, 0);
}

#[test]
fn an_annotation_lifts_the_freeze_until_its_time() {
    let checkout = Checkout::new();
    let file = environment("production", "stripe, wordpress", &window(1, "3h", ""));
    let lifted = |until: Timestamp| {
        let metadata =
            format!("{{ name: production, annotations: {{ sower.dev/freeze-override: \"{until}\" }} }}");
        checkout.write("environments/production.yaml", &file.replace("{ name: production }", &metadata));
    };
    lifted(Timestamp::now() - HOUR);
    assert_eq!(checkout.run("seed -e production").exit, 4);
    lifted(Timestamp::now() + HOUR);
    assert_eq!(checkout.run("seed -e production").exit, 0);
}

#[test]
fn a_window_that_cannot_be_read_is_told_at_its_place() {
    let checkout = Checkout::new();
    let more =
        "  freezeWindows:\n  - { schedule: \"0 18 * * FRY\", duration: 3h, timeZone: Europe/Bielefeld }\n";
    freeze(&checkout, more);
    assert_snapshot!(checkout.transcript("validate -o concise environments/production.yaml"), @r"
    $ sower validate -o concise environments/production.yaml
    environments/production.yaml:7:17: error[wrong-type]: `0 18 * * FRY` is no schedule: it contains illegal character 'F' in part 'FRY'
    environments/production.yaml:7:57: error[wrong-type]: `Europe/Bielefeld` is no time zone
    exit 1
    ");
    assert_eq!(checkout.run("seed -e production").exit, 1);
}
