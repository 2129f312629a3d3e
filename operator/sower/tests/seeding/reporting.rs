//! What became of the seedings of a time, as `sower report` tells it.

use insta::assert_snapshot;

use crate::checkout::Checkout;

/// Days by a word; columns three spaces apart, however wide the times in them were.
fn without_days(text: &str) -> String {
    let squeezed = |line: &str| {
        let cells: Vec<&str> = line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        format!("{}\n", cells.join("   "))
    };
    let text: String = text.lines().map(squeezed).collect();
    let mut words = Vec::new();
    for word in text.trim_end().split_inclusive([' ', '\n']) {
        let bare = word.trim_end();
        let day = bare.len() == 10 && bare.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        words.push(if day { word.replace(bare, "DAY") } else { word.to_owned() });
    }
    words.concat()
}

#[test]
fn figures_are_told_of_one_environment_and_of_all() {
    let checkout = Checkout::new();
    assert_snapshot!(without_days(&checkout.transcript("report -e production")), @r"
    $ sower report -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    production, DAY to DAY

    seedings   none
    duration   unknown
    commit to rows   no push
    conflicts   0 opened, 0 closed; 0 open
    drift   0 corrections; now 0 missing, 0 changed, 0 foreign
    exit 0
    ");
    assert!(!checkout.path().join(".sower").exists(), "asking makes nothing");
    checkout.run("seed --all -q");
    checkout.integration("stripe", "1.1.0", "As it is");
    checkout.commit("Say it anew");
    checkout.run("seed --all -q");
    checkout.integration("wordpress", "1.0.0", "Otherwise");
    checkout.commit("Forget the version");
    checkout.run("seed --all -q");
    checkout.sql(
        "UPDATE action_registry SET name = 'By hand' WHERE environment = 'production' AND id = 'stripe/list'",
    );
    let lines = ["report", "report -e production --since 12h -q"].map(|line| checkout.transcript(line));
    assert_snapshot!(without_days(&lines.join("\n")), @r"
    $ sower report
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) All of it: sower report -e ENVIRONMENT · with charts: -o html > report.html
    ENVIRONMENT   SEEDINGS   FAILED   SUCCESS   P50   P95   COMMIT TO ROWS   CONFLICTS   DRIFT
    development   3   0   100%   TOOK   TOOK   TOOK   1 (0 open)   0
    production   2   0   100%   TOOK   TOOK   TOOK   1 (1 open)   1
    staging   2   0   100%   TOOK   TOOK   TOOK   1 (1 open)   0
    exit 0
    $ sower report -e production --since 12h -q
    production, DAY to DAY

    seedings   2: 2 completed, 0 failed (100% completed)
    duration   p50 TOOK, p95 TOOK
    commit to rows   p50 TOOK, p95 TOOK, of 1 push
    conflicts   1 opened, 0 closed; 1 open (1 version)
    drift   0 corrections; now 0 missing, 1 changed, 0 foreign

    MOST CHANGED   SEEDINGS   LAST
    stripe   2   TOOK ago
    wordpress   1   TOOK ago
    exit 0
    ");

    let told = checkout.json("report -e production -o json");
    assert_eq!(told["seedings"], serde_json::json!({"count": 2, "completed": 2, "failed": 0, "running": 0}));
    assert_eq!((&told["successRate"], &told["complete"]), (&1.0.into(), &true.into()));
    assert_eq!(told["commitToRows"]["count"], 1, "the second seeding brought a commit: {told}");
    assert_eq!(told["commitToRows"]["unknown"], 0);
    assert_eq!((&told["conflicts"]["opened"], &told["conflicts"]["open"]), (&1.into(), &1.into()));
    assert_eq!(
        told["drift"],
        serde_json::json!({"corrections": 0, "missing": 0, "changed": 1, "foreign": 0})
    );
    assert_eq!(told["mostChanged"][0]["integration"], "stripe");
    assert_eq!((&told["per"], told["course"].as_array().map(Vec::len)), (&"day".into(), Some(31)));
    assert_eq!(checkout.json("report -o json").as_array().map(Vec::len), Some(3));

    // A log row of an earlier Sower says nothing of its commit.
    checkout.sql("UPDATE seeding_logs SET metadata = '{}' WHERE environment = 'production'");
    let told = checkout.json("report -e production -o json");
    assert_eq!((&told["commitToRows"]["count"], &told["commitToRows"]["unknown"]), (&0.into(), &1.into()));
}

#[test]
fn a_page_is_the_result_and_nothing_else() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    let ran = checkout.run("report -o html --since 4w");
    assert!(ran.out.starts_with("<!doctype html>") && ran.out.ends_with("</html>\n"), "{}", ran.out);
    assert_eq!((ran.out.matches("<section").count(), ran.exit), (3, 0));
    assert!(ran.err.starts_with("from: files"), "{}", ran.err);
}

#[test]
fn what_cannot_be_reported_is_told() {
    let checkout = Checkout::new();
    for (line, why) in [
        ("report --since soon", "write 12h, 30d, a date"),
        ("report --since 2100-01-01", "is still to come"),
        ("report -e nowhere", "no environment is called `nowhere`"),
        ("report -o csv", "csv"),
    ] {
        let ran = checkout.run(line);
        assert_eq!((ran.exit, ran.out.as_str()), (2, ""), "{line}");
        assert!(ran.err.contains(why), "{line}: {}", ran.err);
    }
    let gone = "report -e production --database postgres://sower@127.0.0.1:1/catalog";
    assert_eq!(checkout.json(&format!("{gone} -o json"))["errors"][0]["code"], "DatabaseUnavailable");
    let ran = checkout.run(&format!("{gone} -o html"));
    assert_eq!((ran.exit, ran.out.as_str()), (1, ""));
}
