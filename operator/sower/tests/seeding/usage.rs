//! What consumers count, as `sower usage` takes it and tells it.

use insta::assert_snapshot;

use crate::checkout::Checkout;

#[test]
fn executions_are_counted_and_told_by_version() {
    let checkout = Checkout::new();
    assert_snapshot!(checkout.transcripts(&[
        "usage -e production",
        "usage record stripe -e production --version 1.0.0 --executions 5",
    ]), @r"
    $ sower usage -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) No usage of production since 1h was counted
    exit 0
    $ sower usage record stripe -e production --version 1.0.0 --executions 5
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: production never carried stripe 1.0.0. Nothing was counted.
    (2)   what it carries:  sower get integrations -e production
    (2)   what it carried:  sower get versions stripe -e production
    exit 1
    ");
    assert!(!checkout.path().join(".sower").exists(), "neither asking nor refusing makes anything");
    checkout.run("seed --all -q");
    assert_snapshot!(checkout.transcripts(&[
        "usage -e production",
        "usage stripe --since 2d",
        "usage record stripe -e production --version 1.0.0 --executions 199 --errors 1 --latency-ms 84 --action list",
        "usage record stripe -e production --version 1.0.0 --executions 1 -q",
        "usage record wordpress -e staging --version 1.0.0 --executions 3 --errors 3 --trigger done",
        "usage record wordpress -e staging --version 1.0.0 --executions 3 --errors 3 --action list",
        "usage -e production",
        "usage -q",
        "usage wordpress -e production",
        "usage wordpress -q",
    ]), @r"
    $ sower usage -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) No usage of production since 1h was counted
    exit 0
    $ sower usage stripe --since 2d
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) No usage of stripe in development, production, staging since 2d was counted
    exit 0
    $ sower usage record stripe -e production --version 1.0.0 --executions 199 --errors 1 --latency-ms 84 --action list
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    Counted 199 executions of stripe 1.0.0 in production, 1 failed
    exit 0
    $ sower usage record stripe -e production --version 1.0.0 --executions 1 -q
    Counted 1 execution of stripe 1.0.0 in production
    exit 0
    $ sower usage record wordpress -e staging --version 1.0.0 --executions 3 --errors 3 --trigger done
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: wordpress 1.0.0 has no trigger done in staging. Nothing was counted.
    (2)   what it has:  sower get integration wordpress -e staging -o yaml
    exit 1
    $ sower usage record wordpress -e staging --version 1.0.0 --executions 3 --errors 3 --action list
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    Counted 3 executions of wordpress 1.0.0 in staging, 3 failed
    exit 0
    $ sower usage -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    ID       VERSION   EXECUTIONS   SUCCESS   MEAN   P95   LAST USED
    stripe   1.0.0     200          99.50%    TOOK   -     TOOK ago
    exit 0
    $ sower usage -q
    ENVIRONMENT   ID          VERSION   EXECUTIONS   SUCCESS   MEAN   P95   LAST USED
    production    stripe      1.0.0     200          99.50%    TOOK   -     TOOK ago
    staging       wordpress   1.0.0     3            0%        -      -     TOOK ago
    exit 0
    $ sower usage wordpress -e production
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) No usage of wordpress in production since 1h was counted
    exit 0
    $ sower usage wordpress -q
    ENVIRONMENT   ID          VERSION   EXECUTIONS   SUCCESS   MEAN   P95   LAST USED
    staging       wordpress   1.0.0     3            0%        -      -     TOOK ago
    exit 0
    ");

    let told = checkout.json("usage stripe -e production -o json");
    let [one] = told.as_array().expect("a list").as_slice() else { panic!("{told}") };
    assert_eq!(
        (&one["executions"], &one["errors"], &one["successRate"]),
        (&200.into(), &1.into(), &0.995.into())
    );
    assert_eq!((&one["environment"], &one["version"]), (&"production".into(), &"1.0.0".into()));
    assert_eq!((&one["meanMs"], &one["p95"]), (&84.0.into(), &serde_json::Value::Null), "{one}");
    let counted = checkout.json("usage record stripe -e production --version 1.0.0 --executions 1 -o json");
    assert_eq!((&counted["executions"], &counted["environment"]), (&1.into(), &"production".into()));
    assert_eq!(checkout.json("usage stripe -e production -o json")[0]["executions"], 201);
}

#[test]
fn a_time_is_counted_in_its_minute() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(3);
    let ran =
        checkout.run(&format!("usage record stripe -e production --version 1.0.0 --executions 7 --at {at}"));
    assert_eq!(ran.exit, 0, "{}", ran.err);
    assert_eq!(checkout.json("usage -e production -o json"), serde_json::json!([]));
    let told = checkout.json("usage -e production --since 4h -o json");
    assert_eq!((told[0]["executions"].as_u64(), told.as_array().map(Vec::len)), (Some(7), Some(1)));
    let said = told[0]["lastUsed"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    assert_eq!(said.as_millisecond(), at.as_millisecond());
}

#[test]
fn what_cannot_be_counted_is_refused() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    assert_snapshot!(checkout.transcripts(&[
        "usage record stripe --version 1.0.0 --executions 5",
        "usage record stripe -e nowhere --version 1.0.0 --executions 5",
        "usage record stripe -e production --version 1.1.0 --executions 5",
        "usage record slack -e production --version 1.0.0 --executions 5",
        "usage record stripe -e production --version 1.0.0 --executions 5 --errors 6",
        "usage record stripe -e production --version 1.0.0 --executions 0",
        "usage record stripe -e production --version 1.0.0 --executions 5 --action a --trigger b",
        "usage record stripe -e production --version 1.0.0 --executions 5 --at 2020-01-01T00:00:00Z",
        "usage record stripe -e production --version 1.0.0 --executions 5 --at yesterday",
        "usage record stripe -e production --executions 5",
        "usage --since 2099-01-01",
    ]), @r"
    $ sower usage record stripe --version 1.0.0 --executions 5
    (2) error: which environment? There are development, production, staging
    (2)   one:  sower usage record stripe --version 1.0.0 --executions 5 -e development
    exit 2
    $ sower usage record stripe -e nowhere --version 1.0.0 --executions 5
    (2) error: no environment is called `nowhere` (development, production, staging)
    exit 2
    $ sower usage record stripe -e production --version 1.1.0 --executions 5
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: production never carried stripe 1.1.0. Nothing was counted.
    (2)   what it carries:  sower get integrations -e production
    (2)   what it carried:  sower get versions stripe -e production
    exit 1
    $ sower usage record slack -e production --version 1.0.0 --executions 5
    (2) from: files (sower.toml) · sqlite://.sower/sower.db
    (2) error: production never carried slack 1.0.0. Nothing was counted.
    (2)   what it carries:  sower get integrations -e production
    (2)   what it carried:  sower get versions slack -e production
    exit 1
    $ sower usage record stripe -e production --version 1.0.0 --executions 5 --errors 6
    (2) error: it cannot be counted: 6 errors of 5 executions
    exit 2
    $ sower usage record stripe -e production --version 1.0.0 --executions 0
    (2) error: --executions does not take `0`: 0 is not in 1..18446744073709551615
    (2)   its flags:  sower usage --help
    exit 2
    $ sower usage record stripe -e production --version 1.0.0 --executions 5 --action a --trigger b
    (2) error: --action and --trigger exclude each other
    exit 2
    $ sower usage record stripe -e production --version 1.0.0 --executions 5 --at 2020-01-01T00:00:00Z
    (2) error: it cannot be counted: 2020-01-01T00:00:00Z is more than 24 hours ago
    exit 2
    $ sower usage record stripe -e production --version 1.0.0 --executions 5 --at yesterday
    (2) error: --at does not take `yesterday`: failed to parse four digit integer as year: invalid digit, expected 0-9 but got y
    (2)   its flags:  sower usage --help
    exit 2
    $ sower usage record stripe -e production --executions 5
    (2) error: --version is missing
    (2)   examples:  sower usage --help
    exit 2
    $ sower usage --since 2099-01-01
    (2) error: --since 2099-01-01T00:00:00Z is still to come
    exit 2
    ");
    let failed = checkout.json("usage record stripe -e production --version 1.1.0 --executions 5 -o json");
    assert!(
        failed["errors"][0]["message"].as_str().is_some_and(|why| why.contains("never carried stripe 1.1.0")),
        "{failed}"
    );
    let failed = checkout.json("usage record stripe -e production --version 1.1.0 --executions x -o json");
    assert_eq!(failed["errors"][0]["code"], "Usage");
    assert_eq!(checkout.json("usage -o json"), serde_json::json!([]));
}

#[test]
fn a_version_that_was_carried_may_still_be_executed() {
    let checkout = Checkout::new();
    checkout.run("seed --all -q");
    checkout.integration("stripe", "1.1.0", "As it is");
    checkout.commit("Say it anew");
    checkout.run("seed --all -q");
    for version in ["1.0.0", "1.1.0"] {
        let ran = checkout.run(&format!("usage record stripe -e staging --version {version} --executions 2"));
        assert_eq!(
            (ran.exit, ran.out.as_str()),
            (0, &*format!("Counted 2 executions of stripe {version} in staging\n")),
            "{}",
            ran.err
        );
    }
    let told = checkout.json("usage -e staging -o json");
    let told: Vec<_> = told.as_array().expect("a list").iter().map(|one| one["version"].as_str()).collect();
    assert_eq!(told, [Some("1.0.0"), Some("1.1.0")]);
}

#[test]
fn a_seeding_rolls_up_what_is_old() {
    let checkout = Checkout::new();
    checkout.run("seed -e production -q");
    checkout.sql(
        "INSERT INTO integration_usage (environment, integration_id, version, minute, last_used, execution_count) VALUES \
         ('production', 'stripe', '1.0.0', '2026-11-01T10:00:00.000Z', '2026-11-01T10:00:00.000Z', 5), \
         ('production', 'stripe', '1.0.0', '2026-11-01T10:01:00.000Z', '2026-11-01T10:01:00.000Z', 6), \
         ('staging', 'stripe', '1.0.0', '2026-11-01T10:01:00.000Z', '2026-11-01T10:01:00.000Z', 7)",
    );
    let before = checkout.json("history -e production -o json");
    // Nothing is new, and yet what is due is done.
    let ran = checkout.run("seed -e production");
    assert_eq!(ran.exit, 0, "{}", ran.err);
    assert_eq!(checkout.json("history -e production -o json"), before);
    let told = checkout.json("usage --since 2026-01-01 -o json");
    let executions: Vec<_> =
        told.as_array().expect("a list").iter().map(|one| one["executions"].as_u64()).collect();
    assert_eq!(executions, [Some(11), Some(7)]);
    let lengths = || {
        checkout.read("SELECT group_concat(environment || ' ' || resolution, ', ') FROM (SELECT * FROM integration_usage ORDER BY environment)")
    };
    let aged = lengths();
    assert!(
        ["production hour, staging minute", "production day, staging minute"].contains(&aged.as_str()),
        "{aged}"
    );
    assert!(checkout.read("SELECT usage_at FROM environments WHERE name = 'production'").ends_with('Z'));
    // The next one has nothing to do, and what comes late waits for its hour.
    checkout.sql(
        "INSERT INTO integration_usage (environment, integration_id, version, minute, last_used, execution_count) VALUES \
         ('production', 'wordpress', '1.0.0', '2026-11-01T10:00:00.000Z', '2026-11-01T10:00:00.000Z', 5)",
    );
    checkout.run("seed -e production");
    assert_eq!(lengths().matches("production minute").count(), 1);
    checkout.sql("UPDATE environments SET usage_at = '2026-11-01T10:00:00.000Z'");
    checkout.run("seed -e production");
    assert_eq!(lengths().matches("production minute").count(), 0);
}

#[test]
fn an_adoption_leaves_the_usage_of_somebody_else_where_it_was() {
    let checkout = Checkout::new();
    std::fs::create_dir_all(checkout.path().join(".sower")).expect("made");
    checkout.sql(
        "CREATE TABLE integration_definitions (id TEXT PRIMARY KEY, name TEXT, version TEXT, author TEXT, manifest TEXT, status TEXT, \
         created_at TEXT, updated_at TEXT); CREATE TABLE integration_usage (id TEXT PRIMARY KEY, integration_id TEXT, action_id TEXT, \
         trigger_id TEXT, execution_count INTEGER, success_rate REAL, avg_execution_time REAL, last_used TEXT, created_at TEXT); \
         CREATE INDEX integration_usage_age ON integration_usage (last_used); \
         INSERT INTO integration_usage (id, integration_id, execution_count, success_rate) VALUES ('1', 'stripe', 5, 0.8)",
    );
    let ran = checkout.run("adopt integrations -e production");
    assert_eq!(ran.exit, 0, "{}\n{}", ran.out, ran.err);
    assert_eq!(checkout.read("SELECT success_rate FROM integration_usage_before_sower"), "0.8");
    assert_eq!(checkout.read("SELECT count(*) FROM integration_usage"), "0");
    checkout.run("seed -e production -q");
    let counted = checkout.run("usage record stripe -e production --version 1.0.0 --executions 2");
    assert_eq!(counted.exit, 0, "{}", counted.err);
}
