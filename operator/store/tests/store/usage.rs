//! What consumers count: it adds up whoever writes, and stays the same while it ages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use jiff::{SignedDuration, Timestamp};
use sower_core::usage::{Histogram, Observed, Record};
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    what_is_counted_adds_up,
    one_bad_record_refuses_its_batch,
    programs_write_in_plain_sql,
    nonsense_is_refused_by_the_table,
    what_fits_into_minutes_fits_into_days,
    writers_side_by_side_lose_nothing,
    it_is_read_by_version_and_time,
    a_roll_up_changes_no_sum,
    more_than_one_piece_is_rolled_up,
    what_ages_side_by_side_is_counted_once,
    a_roll_up_that_fails_moves_nothing,
    minutes_of_a_rollout_stay_while_it_lasts,
    days_are_forgotten_in_the_end,
    usage_is_looked_at_when_there_is_some_and_no_oftener_than_hourly,
    usage_goes_with_its_environment,
    what_never_was_is_told,
);

pub const HOUR: SignedDuration = SignedDuration::from_hours(1);
pub const DAY: SignedDuration = SignedDuration::from_hours(24);

pub fn record(id: &str, version: &str, at: Timestamp, observed: Observed) -> Record {
    Record {
        environment: ENV.into(),
        integration: id.into(),
        version: version.into(),
        action: None,
        trigger: None,
        at,
        observed,
    }
}

/// The executions of every integration and version there are.
pub async fn sums(bed: &Bed) -> BTreeMap<(String, String), Observed> {
    let used = bed.store.usage(ENV, None, Timestamp::UNIX_EPOCH).await.unwrap();
    used.into_iter().map(|used| ((used.integration, used.version), used.observed)).collect()
}

/// Rows by the length of their bucket.
pub async fn lengths(bed: &Bed) -> [i64; 3] {
    let mut counts = [0; 3];
    for (count, length) in counts.iter_mut().zip(["minute", "hour", "day"]) {
        let sql = format!("SELECT count(*) FROM integration_usage WHERE resolution = '{length}'");
        *count = bed.ask(&sql).await[0].parse().unwrap();
    }
    counts
}

pub async fn roll_up(bed: &Bed, now: Timestamp) -> RolledUp {
    bed.store.roll_up_usage(ENV, now, &UsageRetention::default()).await.unwrap()
}

/// A row of one minute, as another program writes it.
pub async fn minute(bed: &Bed, id: &str, at: &str, executions: u64) {
    bed.run(&format!(
        "INSERT INTO integration_usage (environment, integration_id, version, minute, last_used, execution_count, error_count, \
         latency_ms, latency_count, ms_50) VALUES ('{ENV}', '{id}', '1.0.0', '{at}', '{at}', {executions}, 1, 90, 2, 2)"
    ))
    .await;
}

async fn what_is_counted_adds_up(bed: Bed) {
    let now = Timestamp::now();
    let mut of_action = record("stripe", "1.1.0", now, Observed::of(4, 1, Some(30)));
    of_action.action = Some("charge".into());
    let mut of_trigger = of_action.clone();
    (of_trigger.action, of_trigger.trigger) = (None, Some("charge".into()));
    let plain = record("stripe", "1.1.0", now, Observed::of(10, 0, None));
    let nothing = record("slack", "1.0.0", now, Observed::default());
    // One statement cannot touch a row twice: what is of one row is one row before.
    let batch = [of_action.clone(), plain.clone(), of_trigger, of_action.clone(), nothing, plain];
    bed.store.record_usage(&batch).await.unwrap();
    bed.store.record_usage(&[]).await.unwrap();
    let told = "SELECT coalesce(action_id, '-') || ' ' || coalesce(trigger_id, '-') || ' ' || execution_count || ' ' || error_count \
                || ' ' || latency_ms || ' ' || latency_count || ' ' || ms_50 || ' ' || ms_25 || ' ' || resolution \
                FROM integration_usage ORDER BY 1";
    assert_eq!(
        bed.ask(told).await,
        [
            "- - 20 0 0 0 0 0 minute",
            "- stripe/charge 4 1 120 4 0 0 minute",
            "stripe/charge - 8 2 240 8 0 0 minute",
        ]
    );
    let generated = "SELECT coalesce(CAST(success_rate AS text), '-') || ' ' || coalesce(CAST(avg_execution_time AS text), '-') \
                     FROM integration_usage ORDER BY execution_count";
    let rounded = |rows: Vec<String>| rows.into_iter().map(|row| row.replace(".0 ", " ").replace(".0", ""));
    assert_eq!(rounded(bed.ask(generated).await).collect::<Vec<_>>(), ["0.75 30", "0.75 30", "1 -"]);

    // Later in the same minute, or said late: the last use is the latest there was.
    let ids = bed.ask("SELECT id FROM integration_usage ORDER BY id").await;
    let used = "SELECT max(last_used) FROM integration_usage";
    let before = bed.ask(used).await;
    of_action.at = now - SignedDuration::from_millis(1);
    let minute_of = |at: Timestamp| at.as_second().div_euclid(60);
    bed.store.record_usage(&[of_action.clone()]).await.unwrap();
    assert_eq!(bed.ask(used).await, before);
    if minute_of(of_action.at) == minute_of(now) {
        assert_eq!(bed.ask("SELECT id FROM integration_usage ORDER BY id").await, ids);
        assert_eq!(bed.ask("SELECT max(latency_count) FROM integration_usage").await, ["12"]);
    }

    // Without executions there is no rate.
    bed.run("INSERT INTO integration_usage (environment, integration_id, version) VALUES ('production', 'x', '1.0.0')").await;
    let none = "SELECT coalesce(success_rate, -1) || ' ' || coalesce(avg_execution_time, -1) FROM integration_usage \
                WHERE integration_id = 'x'";
    assert_eq!(rounded(bed.ask(none).await).collect::<Vec<_>>(), ["-1 -1"]);
}

async fn one_bad_record_refuses_its_batch(bed: Bed) {
    let now = Timestamp::now();
    let good = record("stripe", "1.1.0", now, Observed::of(10, 1, None));
    let late = record("stripe", "1.1.0", now - DAY - HOUR, Observed::of(1, 0, None));
    let early = record("stripe", "1.1.0", now + DAY + HOUR, Observed::of(1, 2, None));
    let refused = bed.store.record_usage(&[good.clone(), late, early]).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Stalled);
    let StoreError::UsageRefused { why } = refused else { panic!("{refused}") };
    let [back, ahead, errors] = why.as_slice() else { panic!("{why:?}") };
    assert!(
        back.starts_with("record 2 (stripe 1.1.0 in production): ")
            && back.ends_with("more than 24 hours ago")
    );
    assert!(ahead.ends_with("more than 24 hours ahead"), "{ahead}");
    assert_eq!(errors, "record 3 (stripe 1.1.0 in production): 2 errors of 1 executions");
    assert_eq!(bed.count("integration_usage").await, 0);

    let bad = record("", "1.1.0", now, Observed::of(10, 1, None));
    let StoreError::UsageRefused { why } = bed.store.record_usage(&vec![bad; 500]).await.unwrap_err() else {
        panic!("a record without an integration is counted")
    };
    assert_eq!((why.len(), why[20].as_str()), (21, "and 480 more"));
    bed.store.record_usage(&[good]).await.unwrap();
    assert_eq!(bed.count("integration_usage").await, 1);
    // Each is little enough, and all of them are more than their minute holds.
    let most = record("stripe", "1.2.0", now, Observed::of(1_000_000_000, 0, Some(10_000)));
    let StoreError::UsageRefused { why } = bed.store.record_usage(&vec![most; 101]).await.unwrap_err() else {
        panic!("a minute holds it all")
    };
    assert_eq!(why, ["with what was counted before, that is more than a minute can hold"]);
    assert_eq!(bed.count("integration_usage").await, 1);
}

/// The statement of docs/tables.md.
fn documented() -> String {
    let docs = std::fs::read_to_string("../../docs/tables.md").unwrap();
    let (_, after) = docs.split_once("<!-- the tests of the store run this statement -->\n```sql\n").unwrap();
    after.split_once("```").unwrap().0.to_owned()
}

async fn programs_write_in_plain_sql(bed: Bed) {
    let statement = documented();
    bed.run(&statement).await;
    bed.run(&statement).await;
    let all = sums(&bed).await;
    assert_eq!(all.len(), 1, "{all:?}");
    let observed = all[&("stripe".to_owned(), "1.1.0".to_owned())];
    let latency = Histogram([0, 0, 0, 188, 12, 0, 0, 0, 0, 0, 0, 0]);
    let once = Observed { latency, ..Observed::of(200, 2, Some(84)) };
    assert_eq!(observed, once.merge(&once));
    // What Sower counts in that minute goes into the same row.
    if bed.ask("SELECT count(*) FROM integration_usage").await == ["1"] {
        let at = bed.ask("SELECT last_used FROM integration_usage").await[0].parse::<Timestamp>().unwrap();
        let mut more = record("stripe", "1.1.0", at, Observed::of(1, 0, None));
        more.action = Some("charge".into());
        bed.store.record_usage(&[more]).await.unwrap();
        assert_eq!(bed.ask("SELECT execution_count FROM integration_usage").await, ["401"]);
    }
    if bed.database.is_some() {
        bed.run("SELECT sower_record_usage('production', 'slack', '2.0.0', 'post', NULL, 5, 1, 30001)").await;
        bed.run("SELECT sower_record_usage('production', 'slack', '2.0.0', NULL, 'heard', 5)").await;
        bed.run("SELECT sower_record_usage('production', 'slack', '2.0.0', NULL, NULL, 5, 1, 10)").await;
        let parts = bed.ask("SELECT coalesce(action_id, trigger_id, '-') FROM integration_usage WHERE integration_id = 'slack' ORDER BY 1").await;
        assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), 3, "{parts:?}");
        let observed = sums(&bed).await[&("slack".to_owned(), "2.0.0".to_owned())];
        let expected = Observed::of(5, 1, Some(30_001)).merge(&Observed::of(5, 1, Some(10)));
        assert_eq!(observed, expected.merge(&Observed::of(5, 0, None)));
        for nonsense in ["-1, 0, NULL", "1, 2, NULL", "1, 0, -5"] {
            let sql =
                format!("SELECT sower_record_usage('production', 'slack', '2.0.0', NULL, NULL, {nonsense})");
            bed.try_run(&sql).await.unwrap_err();
        }
        // Every class of the function is the one of the library; the mean of several is in none.
        for (milliseconds, at) in
            [10, 11, 25, 26, 100, 101, 250, 2500, 10_000, 30_000, 40_000].into_iter().zip(0..)
        {
            for executions in [1, 3] {
                let version = format!("{at}.{executions}.0");
                bed.run(&format!(
                    "SELECT sower_record_usage('production', 'c', '{version}', NULL, NULL, {executions}, 0, {milliseconds})"
                ))
                .await;
                let observed = sums(&bed).await[&("c".to_owned(), version)];
                assert_eq!(observed, Observed::of(executions, 0, Some(milliseconds)));
            }
        }
        // A role that is bound to an environment sees its own.
        bed.run(
            "SET sower.environment = 'production'; DO $$ BEGIN ASSERT (SELECT sum(execution_count) FROM sower.integration_usage \
             WHERE integration_id = 'slack') = 15; END $$; SET sower.environment = 'staging'; \
             DO $$ BEGIN ASSERT (SELECT count(*) FROM sower.integration_usage) = 0; END $$",
        )
        .await;
    }
}

async fn nonsense_is_refused_by_the_table(bed: Bed) {
    let into = "INSERT INTO integration_usage (environment, integration_id, version";
    for (columns, values) in [
        ("execution_count", "-1"),
        ("execution_count, error_count", "3, 4"),
        ("error_count", "1"),
        ("execution_count, error_count", "3, -1"),
        ("execution_count, latency_count", "3, 4"),
        ("execution_count, latency_count, ms_10", "3, 1, 2"),
        ("execution_count, latency_count, ms_10, ms_25", "3, 1, 2, -1"),
        ("latency_ms", "-1"),
        ("execution_count", "1000000000001"),
        ("execution_count", "9000000000000000000"),
        ("execution_count, resolution, minute", "1440000000000001, 'day', '2026-11-21T00:00:00.000Z'"),
        ("execution_count, latency_ms", "1, 1000000000000001"),
        ("action_id, trigger_id", "'a/b', 'a/c'"),
        ("resolution", "'week'"),
        ("minute", "'2026-11-21T14:02:11.000Z'"),
        ("minute, resolution", "'2026-11-21T14:02:00.000Z', 'hour'"),
        ("minute, resolution", "'2026-11-21T14:00:00.000Z', 'day'"),
        ("minute", "'1999-12-31T23:59:00.000Z'"),
        ("success_rate", "0.5"),
    ] {
        let sql = format!("{into}, {columns}) VALUES ('production', 'a', '1.0.0', {values})");
        assert!(bed.try_run(&sql).await.is_err(), "{sql}");
    }
    bed.try_run(&format!("{into}) VALUES ('production', 'a', '1.0.0')")).await.unwrap();
    bed.try_run(&format!("{into}) VALUES ('production', 'a', '1.0.0')")).await.unwrap_err();
    assert_eq!(bed.count("integration_usage").await, 1);
}

/// As much as a minute takes, of every minute of a day: the day takes it, too, and its sums are numbers.
async fn what_fits_into_minutes_fits_into_days(bed: Bed) {
    let minutes = if matches!(bed.store, Store::Postgres(_)) {
        "SELECT timestamptz '2026-11-01T00:00:00Z' + n * interval '1 minute' AS at FROM generate_series(0, 1439) AS n"
    } else {
        "WITH RECURSIVE m(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM m WHERE n < 1439) \
         SELECT strftime('%Y-%m-%dT%H:%M:00.000Z', '2026-11-01T00:00:00Z', n || ' minutes') AS at FROM m"
    };
    bed.run(&format!(
        "INSERT INTO integration_usage (environment, integration_id, version, execution_count, latency_ms, latency_count, minute) \
         SELECT 'production', 'a', '1.0.0', 1000000000000, 1000000000000000, 1000000000000, at FROM ({minutes}) AS m"
    ))
    .await;
    let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    while roll_up(&bed, now).await.more {}
    assert_eq!(lengths(&bed).await, [0, 0, 1]);
    let all = &sums(&bed).await[&("a".to_owned(), "1.0.0".to_owned())];
    assert_eq!((all.executions, all.latency_ms), (1_440_000_000_000_000, 1_440_000_000_000_000_000));
    // What is too much for a number is told as what it holds at most.
    let into = "INSERT INTO integration_usage (environment, integration_id, version, action_id, execution_count, latency_ms, \
         latency_count, minute, resolution)";
    for n in 0..8 {
        let sql = format!(
            "{into} SELECT environment, integration_id, version, 'a/{n}', execution_count, latency_ms, latency_count, minute, \
             resolution FROM integration_usage WHERE action_id IS NULL"
        );
        bed.run(&sql).await;
    }
    let all = &sums(&bed).await[&("a".to_owned(), "1.0.0".to_owned())];
    assert_eq!((all.executions, all.latency_ms), (9 * 1_440_000_000_000_000, 9_000_000_000_000_000_000));
}

async fn writers_side_by_side_lose_nothing(bed: Bed) {
    let now = Timestamp::now();
    let ids: Vec<String> = (0..40).map(|n| format!("app-{n}")).collect();
    let batch = |reversed: bool| {
        let mut records: Vec<Record> = ids
            .iter()
            .flat_map(|id| {
                ["1.0.0", "1.1.0"].map(|version| record(id, version, now, Observed::of(3, 1, Some(40))))
            })
            .collect();
        if reversed {
            records.reverse();
        }
        records
    };
    let other = Store::open(&bed.url, &Options::default()).await.unwrap();
    let batches: Vec<Vec<Record>> = (0..24).map(|n| batch(n % 2 == 0)).collect();
    let writes = batches.iter().enumerate().map(|(n, batch)| {
        let store = if n % 3 == 0 { &other } else { &bed.store };
        store.record_usage(batch)
    });
    try_join_all(writes).await.unwrap();
    let all = sums(&bed).await;
    assert_eq!(all.len(), 80);
    assert!(all.values().all(|observed| *observed == Observed::of(72, 24, Some(40))), "{all:?}");
    assert_eq!(bed.count("integration_usage").await, 80);
    other.close().await;
}

async fn it_is_read_by_version_and_time(bed: Bed) {
    let now = Timestamp::now();
    let ago = |minutes: i64| now - SignedDuration::from_mins(minutes);
    let mut records = vec![
        record("stripe", "1.0.0", ago(30), Observed::of(1, 0, None)),
        record("stripe", "1.0.0", ago(20), Observed::of(10, 2, Some(7))),
        record("stripe", "1.1.0", ago(20), Observed::of(100, 0, Some(9000))),
        record("stripe", "1.1.0", ago(10), Observed::of(1000, 5, None)),
        record("slack", "1.0.0", ago(20), Observed::of(5, 0, None)),
    ];
    let mut elsewhere = records[1].clone();
    elsewhere.environment = "staging".into();
    let mut of_action = records[2].clone();
    of_action.action = Some("charge".into());
    records.extend([elsewhere, of_action]);
    bed.store.record_usage(&records).await.unwrap();

    let since = |minutes: i64| bed.store.usage_since(ENV, "stripe", ago(minutes));
    let twice = Observed::of(200, 0, Some(9000));
    let all = since(30).await.unwrap();
    assert_eq!(all["1.0.0"], Observed::of(1, 0, None).merge(&Observed::of(10, 2, Some(7))));
    assert_eq!(all["1.1.0"], twice.merge(&Observed::of(1000, 5, None)));
    let later = since(20).await.unwrap();
    assert_eq!((later["1.0.0"], later.len()), (Observed::of(10, 2, Some(7)), 2));
    assert_eq!(since(10).await.unwrap(), [("1.1.0".to_owned(), Observed::of(1000, 5, None))].into());
    assert!(since(5).await.unwrap().is_empty());
    let minute = bed.store.usage_in_minute(ENV, "stripe", ago(20)).await.unwrap();
    assert_eq!(
        minute,
        [("1.0.0".to_owned(), Observed::of(10, 2, Some(7))), ("1.1.0".to_owned(), twice)].into()
    );
    assert!(bed.store.usage_in_minute(ENV, "stripe", ago(15)).await.unwrap().is_empty());

    let used = bed.store.usage(ENV, None, ago(20)).await.unwrap();
    let told: Vec<_> =
        used.iter().map(|one| (&*one.integration, &*one.version, one.observed.executions)).collect();
    assert_eq!(told, [("slack", "1.0.0", 5), ("stripe", "1.0.0", 10), ("stripe", "1.1.0", 1200)]);
    assert_eq!(used[2].last_used.as_millisecond(), ago(10).as_millisecond());
    let used = bed.store.usage("staging", Some("stripe"), ago(20)).await.unwrap();
    assert_eq!((used.len(), used[0].observed.executions), (1, 10));
    assert!(bed.store.usage(ENV, Some("nobody"), ago(60)).await.unwrap().is_empty());
}

/// Numbers that look like chance, and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn a_roll_up_changes_no_sum(bed: Bed) {
    let now: Timestamp = "2026-11-21T14:02:11Z".parse().unwrap();
    let mut numbers = Numbers(7);
    for round in 0..4u32 {
        for _ in 0..60 {
            let ago = SignedDuration::from_mins(i64::try_from(numbers.below(120 * 24 * 60)).unwrap());
            let at = (now - ago).strftime("%Y-%m-%dT%H:%M:00.000Z").to_string();
            let [id, version, executions] = [3, 2, 50].map(|bound| numbers.below(bound));
            let (errors, class) = (numbers.below(executions + 1), numbers.below(2));
            let [column, milliseconds] =
                [["ms_25", "20"], ["ms_above", "40000"]][usize::try_from(class).unwrap()];
            let part =
                ["NULL, NULL", "'a/x', NULL", "NULL, 'a/x'"][usize::try_from(numbers.below(3)).unwrap()];
            // What comes to a row that is there is added.
            bed.run(&format!(
                "INSERT INTO integration_usage AS u (environment, integration_id, version, action_id, trigger_id, minute, last_used, \
                 execution_count, error_count, latency_ms, latency_count, {column}) \
                 VALUES ('{ENV}', 'app-{id}', '1.{version}.0', {part}, '{at}', '{at}', {executions}, {errors}, \
                 {executions} * {milliseconds}, {executions}, {executions}) ON CONFLICT (environment, integration_id, minute, version, \
                 coalesce(action_id, ''), coalesce(trigger_id, ''), resolution) DO NOTHING"
            ))
            .await;
        }
        let used = bed.store.usage(ENV, None, Timestamp::UNIX_EPOCH).await.unwrap();
        let (rows, latest) = (
            bed.count("integration_usage").await,
            bed.ask("SELECT max(last_used) FROM integration_usage").await,
        );
        let public = "SELECT sum(execution_count) FROM integration_usage";
        let executions = bed.ask(public).await;
        let errors = "SELECT sum(error_count) FROM integration_usage";
        let failed = bed.ask(errors).await;

        let rolled = roll_up(&bed, now + DAY * i32::try_from(round).unwrap()).await;
        assert!(rolled.minutes > 0 && rolled.hours > 0 && rolled.days == 0 && !rolled.more, "{rolled:?}");
        assert_eq!(bed.store.usage(ENV, None, Timestamp::UNIX_EPOCH).await.unwrap(), used);
        assert_eq!((bed.ask(public).await, bed.ask(errors).await), (executions, failed));
        assert_eq!(bed.ask("SELECT max(last_used) FROM integration_usage").await, latest);
        assert!(bed.count("integration_usage").await <= rows);
        // The same look again has nothing to do.
        let again = roll_up(&bed, now + DAY * i32::try_from(round).unwrap()).await;
        assert_eq!(again, RolledUp::default());
        let parts = bed.ask("SELECT count(*) FROM integration_usage WHERE action_id IS NOT NULL").await;
        assert_ne!(parts, ["0"], "actions stay apart");
    }
    let [minutes, hours, days] = lengths(&bed).await;
    assert!(minutes == 0 && hours > 0 && days > 0, "{minutes} {hours} {days}");
}

async fn more_than_one_piece_is_rolled_up(bed: Bed) {
    let columns = "(environment, integration_id, version, minute, last_used, execution_count)";
    bed.run(&if bed.database.is_some() {
        format!(
            "INSERT INTO integration_usage {columns} SELECT '{ENV}', 'app-' || (n % 10), '1.0.0', \
             timestamptz '2026-11-01T00:00:00Z' + (n / 10) * interval '1 minute', '2026-11-01T00:00:00Z', 2 \
             FROM generate_series(0, 10999) AS n"
        )
    } else {
        format!(
            "WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 10999) INSERT INTO integration_usage {columns} \
             SELECT '{ENV}', 'app-' || (n % 10), '1.0.0', strftime('%Y-%m-%dT%H:%M:00.000Z', '2026-11-01T00:00:00Z', \
             '+' || (n / 10) || ' minutes'), '2026-11-01T00:00:00.000Z', 2 FROM s"
        )
    })
    .await;
    let before = sums(&bed).await;
    assert_eq!(before.len(), 10);
    let rolled = roll_up(&bed, "2026-11-03T00:00:00Z".parse().unwrap()).await;
    assert_eq!(rolled, RolledUp { minutes: 11_000, ..RolledUp::default() });
    // 1,100 minutes lie in 19 hours.
    assert_eq!((lengths(&bed).await, sums(&bed).await), ([0, 190, 0], before));
}

async fn what_ages_side_by_side_is_counted_once(bed: Bed) {
    for n in 0..50 {
        minute(&bed, &format!("app-{}", n % 5), &format!("2026-11-01T{:02}:{:02}:00.000Z", n % 10, n), 10)
            .await;
    }
    let before = sums(&bed).await;
    let other = Store::open(&bed.url, &Options::default()).await.unwrap();
    let now: Timestamp = "2026-12-20T00:00:00Z".parse().unwrap();
    let retention = UsageRetention::default();
    let looks = (0..8).map(|n| {
        let store = if n % 2 == 0 { &other } else { &bed.store };
        store.roll_up_usage(ENV, now, &retention)
    });
    // Who comes in the way of another may be told to try again.
    let looked = join_all(looks).await;
    assert!(looked.iter().any(Result::is_ok), "{looked:?}");
    roll_up(&bed, now).await;
    assert_eq!((lengths(&bed).await, sums(&bed).await), ([0, 0, 5], before));
    other.close().await;
}

async fn a_roll_up_that_fails_moves_nothing(bed: Bed) {
    for at in ["2026-11-01T10:00:00.000Z", "2026-11-01T10:01:00.000Z"] {
        minute(&bed, "stripe", at, 10).await;
    }
    let before = sums(&bed).await;
    let (stop, go) = if bed.database.is_some() {
        (
            "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'stop'; END $$; \
             CREATE TRIGGER stop BEFORE DELETE ON integration_usage FOR EACH ROW EXECUTE FUNCTION stop()",
            "DROP TRIGGER stop ON integration_usage",
        )
    } else {
        (
            "CREATE TRIGGER stop BEFORE DELETE ON integration_usage BEGIN SELECT RAISE(ABORT, 'stop'); END",
            "DROP TRIGGER stop",
        )
    };
    bed.run(stop).await;
    let now: Timestamp = "2026-11-03T00:00:00Z".parse().unwrap();
    let failed = bed.store.roll_up_usage(ENV, now, &UsageRetention::default()).await.unwrap_err();
    assert!(failed.to_string().contains("stop"), "{failed}");
    assert_eq!((lengths(&bed).await, sums(&bed).await), ([2, 0, 0], before.clone()));
    bed.run(go).await;
    assert_eq!(roll_up(&bed, now).await.minutes, 2);
    assert_eq!((lengths(&bed).await, sums(&bed).await), ([0, 1, 0], before));
}

/// A rollout of stripe, which is not over yet.
pub async fn rollout(bed: &Bed, started: &str) {
    bed.run(&format!(
        "INSERT INTO integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, to_checksum, \
         variants, salt, step, weight, state, strategy, progress, source, path, revision, seeding, started_at, step_started_at, \
         updated_at) VALUES ('r', '{ENV}', 'stripe', '1.0.0', 'a', '1.1.0', 'b', '[]', 's', 1, 1000, 'Progressing', '{{}}', '{{}}', \
         'catalog', 'p', 'r', 's', '{started}', '{started}', '{started}')"
    ))
    .await;
}

async fn minutes_of_a_rollout_stay_while_it_lasts(bed: Bed) {
    for id in ["stripe", "slack"] {
        for at in [
            "2026-11-01T10:00:00.000Z",
            "2026-11-01T10:07:00.000Z",
            "2026-11-01T10:08:00.000Z",
            "2026-11-02T03:00:00.000Z",
        ] {
            minute(&bed, id, at, 10).await;
        }
    }
    rollout(&bed, "2026-11-01T10:07:41.000Z").await;
    let before = sums(&bed).await;
    let now: Timestamp = "2026-11-04T00:00:00Z".parse().unwrap();
    assert_eq!(roll_up(&bed, now).await.minutes, 5);
    let kept = "SELECT count(*) FROM integration_usage WHERE resolution = 'minute' AND integration_id = 'stripe' AND minute >= \
                '2026-11-01T10:07:00.000Z'";
    assert_eq!((bed.ask(kept).await, lengths(&bed).await), (vec!["3".to_owned()], [3, 3, 0]));
    let since = bed.store.usage_since(ENV, "stripe", "2026-11-01T10:07:41Z".parse().unwrap()).await.unwrap();
    assert_eq!(since["1.0.0"].executions, 30);
    // However long it lasts.
    assert_eq!(roll_up(&bed, now + DAY * 60).await.minutes, 0);
    assert_eq!(bed.ask(kept).await, ["3"]);
    bed.run("UPDATE integration_rollouts SET state = 'Completed', ended_at = '2026-11-05T00:00:00.000Z'")
        .await;
    assert_eq!(roll_up(&bed, now).await.minutes, 3);
    assert_eq!((lengths(&bed).await[0], sums(&bed).await), (0, before));
}

async fn days_are_forgotten_in_the_end(bed: Bed) {
    minute(&bed, "stripe", "2026-11-01T10:00:00.000Z", 10).await;
    minute(&bed, "stripe", "2026-11-02T10:00:00.000Z", 10).await;
    let begin: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    assert_eq!(
        roll_up(&bed, begin + DAY * 60).await,
        RolledUp { minutes: 2, hours: 2, ..RolledUp::default() }
    );
    assert_eq!(roll_up(&bed, begin + DAY * 400).await.days, 0);
    assert_eq!(roll_up(&bed, begin + DAY * 401).await.days, 1);
    assert_eq!(bed.ask("SELECT execution_count FROM integration_usage").await, ["10"]);
    // What is kept longer than there is time stays, and what is kept for no time goes through every kind at once.
    let ever = UsageRetention { minutes: Duration::MAX, hours: Duration::MAX, days: Duration::MAX };
    assert_eq!(bed.store.roll_up_usage(ENV, begin + DAY * 9000, &ever).await.unwrap(), RolledUp::default());
    minute(&bed, "slack", "2026-11-01T10:00:00.000Z", 10).await;
    let short = Duration::from_secs(1);
    let never = UsageRetention { minutes: short, hours: short, days: short };
    let gone = bed.store.roll_up_usage(ENV, begin + DAY * 9000, &never).await.unwrap();
    assert_eq!(gone, RolledUp { minutes: 1, hours: 1, days: 2, more: false });
    assert_eq!(bed.count("integration_usage").await, 0);
}

async fn usage_is_looked_at_when_there_is_some_and_no_oftener_than_hourly(bed: Bed) {
    let retention = UsageRetention::default();
    bed.seed(vec![create("stripe", &manifest("stripe", "1.0.0", 1))]).await.unwrap();
    let row = async || bed.store.environment(ENV).await.unwrap().unwrap();
    let now = Timestamp::now();
    assert!(!retention.is_due(&row().await, now + DAY * 1000), "nothing was ever counted");
    bed.store.record_usage(&[record("stripe", "1.0.0", now, Observed::of(5, 0, None))]).await.unwrap();
    let before = row().await;
    assert!(retention.is_due(&before, now));
    roll_up(&bed, now).await;
    let looked = row().await;
    let unsaid = |mut row: EnvironmentRow| {
        row.usage = UsageLooked::default();
        row
    };
    assert_eq!(unsaid(looked.clone()), unsaid(before), "a look says nothing else");
    assert!(
        !retention.is_due(&looked, now + HOUR * 23) && retention.is_due(&looked, now + HOUR * 24),
        "{looked:?}"
    );
    // Old minutes that stay, or come late, are looked at once an hour.
    rollout(&bed, "2026-11-01T00:00:00.000Z").await;
    minute(&bed, "stripe", "2026-11-02T00:00:00.000Z", 5).await;
    roll_up(&bed, now).await;
    let looked = row().await;
    let later = now + HOUR;
    assert!(
        !retention.is_due(&looked, later - SignedDuration::from_secs(1)) && retention.is_due(&looked, later),
        "{looked:?}"
    );
    let shorter = UsageRetention { minutes: Duration::from_secs(3600), ..retention.clone() };
    assert!(shorter.is_due(&looked, now), "it is to be kept otherwise");
    bed.store.roll_up_usage(ENV, now, &shorter).await.unwrap();
    assert!(!shorter.is_due(&row().await, now) && retention.is_due(&row().await, now));
    // When all is gone, nobody looks.
    bed.run("DELETE FROM integration_usage").await;
    assert!(!retention.is_due(&row().await, now + DAY * 1000));
}

async fn usage_goes_with_its_environment(bed: Bed) {
    bed.seed(vec![create("stripe", &manifest("stripe", "1.0.0", 1))]).await.unwrap();
    let now = Timestamp::now();
    let here = record("stripe", "1.0.0", now, Observed::of(5, 0, None));
    let elsewhere = Record { environment: "staging".into(), ..here.clone() };
    bed.store.record_usage(&[here, elsewhere]).await.unwrap();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    bed.store.delete_environment(&fence).await.unwrap();
    assert_eq!(bed.ask("SELECT environment FROM integration_usage").await, ["staging"]);
    // Whoever looks at what is gone, and was not told yet, makes nothing.
    assert_eq!(roll_up(&bed, now).await, RolledUp::default());
    assert_eq!(bed.count("environments").await, 0);
}

async fn what_never_was_is_told(bed: Bed) {
    let (old, new) = (manifest("stripe", "1.0.0", 2), manifest("stripe", "1.1.0", 1));
    bed.seed(vec![create("stripe", &old)]).await.unwrap();
    bed.seed(vec![update("stripe", &old, &new)]).await.unwrap();
    let hash = if bed.database.is_some() { "''" } else { "x''" };
    bed.run(&format!(
        "INSERT INTO registry_candidates (environment, kind, id, version, integration_id, identifier, name, definition, created_at, \
         updated_at, source, revision, path, checksum, row_hash, seeding) VALUES ('production', 'action', 'stripe/a', '1.2.0', \
         'stripe', 'a', 'A', '{{}}', '2026-11-01T00:00:00.000Z', '2026-11-01T00:00:00.000Z', 's', 'r', 'p', 'c', {hash}, 's')"
    ))
    .await;
    let now = Timestamp::now();
    let of = |id: &str, version: &str, action: Option<&str>, trigger: Option<&str>| Record {
        action: action.map(str::to_owned),
        trigger: trigger.map(str::to_owned),
        ..record(id, version, now, Observed::of(1, 0, None))
    };
    let records = [
        of("stripe", "1.0.0", None, None),
        of("stripe", "1.2.0", None, None),
        of("stripe", "1.3.0", Some("act-0"), None),
        of("slack", "1.0.0", None, None),
        of("stripe", "1.1.0", Some("act-0"), None),
        of("stripe", "1.1.0", None, Some("done")),
        // A version that was carried once had it; this one has it no longer.
        of("stripe", "1.0.0", Some("act-1"), None),
        of("stripe", "1.1.0", Some("act-1"), None),
        // One that is rolled out has it: whoever counts may be ahead.
        of("stripe", "1.1.0", Some("a"), None),
        of("stripe", "1.1.0", Some("done"), None),
        of("stripe", "1.0.0", None, Some("made-up")),
    ];
    let records: Vec<&Record> = records.iter().collect();
    let unknown = bed.store.unknown_usage(ENV, &records).await.unwrap();
    let expected = [
        (2, Unknown::Version),
        (3, Unknown::Version),
        (7, Unknown::Action),
        (9, Unknown::Action),
        (10, Unknown::Trigger),
    ];
    assert_eq!(unknown, expected);
    let elsewhere = bed.store.unknown_usage("staging", &records).await.unwrap();
    assert!(elsewhere.len() == records.len() && elsewhere.iter().all(|one| one.1 == Unknown::Version));
    assert_eq!(bed.store.unknown_usage(ENV, &[]).await.unwrap(), []);
}
