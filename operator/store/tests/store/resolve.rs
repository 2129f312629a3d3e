//! Which version a consumer gets: read once and counted in Rust, or asked of PostgreSQL.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sower_core::rollout::bucket::{Live, Why};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    without_a_rollout_everybody_has_the_version_that_is_carried,
    a_rollout_says_who_has_what_until_it_ends,
);

const SALT: &str = "0198c3e0-5d5a";

/// Begins a rollout, as it stands in the table.
async fn begin(bed: &Bed, id: &str, variants: &Value) {
    bed.run(&format!(
        "INSERT INTO integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, to_checksum, \
         variants, salt, step, weight, state, strategy, progress, source, path, revision, seeding, started_at, step_started_at, \
         updated_at) VALUES ('{id}-1', '{ENV}', '{id}', '1.0.0', 'a', '1.1.0', 'b', '{variants}', '{SALT}', 1, 1000, 'Progressing', \
         '{{}}', '{{}}', 'catalog', 'p', 'main@sha1:0', 's', '2027-01-01T00:00:00Z', '2027-01-01T00:00:00Z', '2027-01-01T00:00:00Z')"
    ))
    .await;
}

async fn live(bed: &Bed, id: &str) -> Option<Live> {
    bed.store.live(ENV, id).await.unwrap()
}

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}

async fn without_a_rollout_everybody_has_the_version_that_is_carried(bed: Bed) {
    assert!(live(&bed, "slack").await.is_none());
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let found = live(&bed, "slack").await.unwrap();
    let resolved = found.resolve("anybody", &none());
    assert_eq!((resolved.version, resolved.why, resolved.bucket), ("1.0.0", Why::Stable, None));
    assert!(bed.store.live("staging", "slack").await.unwrap().is_none());
    assert!(live(&bed, "stripe").await.is_none());

    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    assert!(live(&bed, "slack").await.is_none(), "its row is kept for a while, and is not carried");
}

async fn a_rollout_says_who_has_what_until_it_ends(bed: Bed) {
    bed.seed(vec![create("slack", &manifest("slack", "1.0.0", 1))]).await.unwrap();
    let variants = json!([{
        "version": "1.1.0", "checksum": "b", "weight": 1000, "keys": ["acme"], "labels": {"tier": "gold"}
    }]);
    begin(&bed, "slack", &variants).await;
    let found = live(&bed, "slack").await.unwrap();
    assert_eq!((found.stable_version(), found.variants().len()), ("1.0.0", 1));
    assert_eq!(found.resolve("acme", &none()).version, "1.1.0");
    assert_eq!(found.resolve("globex", &[("tier".into(), "gold".into())].into()).version, "1.1.0");
    let share = (0..10_000).filter(|n| found.resolve(&format!("c{n}"), &none()).version == "1.1.0").count();
    assert!((900..1100).contains(&share), "{share}");
    // Nobody else's rollout says anything here.
    assert!(live(&bed, "stripe").await.is_none());

    bed.run(
        "UPDATE integration_rollouts SET state = 'RolledBack', ended_at = '2027-01-02T00:00:00Z' WHERE id = 'slack-1'",
    )
    .await;
    assert!(live(&bed, "slack").await.unwrap().variants().is_empty());
}

/// A key of every kind: plain, of other scripts, with what JSON and text functions could stumble over, and empty.
const KEY: &str = "CASE n % 10 WHEN 0 THEN 'größe-' || n WHEN 1 THEN '顧客' || n || '🙂' WHEN 2 THEN '' WHEN 3 THEN E'\\t\"\\\\{' || n \
     WHEN 4 THEN repeat('k', n % 700) WHEN 5 THEN 'vip-' || n % 50 WHEN 6 THEN E'\\x1f' || n ELSE 'customer-' || n END";

fn key(n: u64) -> String {
    match n % 10 {
        0 => format!("größe-{n}"),
        1 => format!("顧客{n}🙂"),
        2 => String::new(),
        3 => format!("\t\"\\{{{n}"),
        4 => "k".repeat((n % 700) as usize),
        5 => format!("vip-{}", n % 50),
        6 => format!("\u{1f}{n}"),
        _ => format!("customer-{n}"),
    }
}

/// Labels of every kind, none among them.
const LABELS: &str = "CASE n % 7 WHEN 0 THEN json_build_object('tier', CASE n % 3 WHEN 0 THEN 'gold' ELSE 'silver' END, 'größe', 'ß') \
     WHEN 1 THEN '{}'::json WHEN 2 THEN json_build_object('tier', 'gold') END";

fn labels(n: u64) -> BTreeMap<String, String> {
    let of = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    match n % 7 {
        0 => of(&[("tier", if n.is_multiple_of(3) { "gold" } else { "silver" }), ("größe", "ß")]),
        2 => of(&[("tier", "gold")]),
        _ => none(),
    }
}

/// A million keys, asked for in bulk: each answer is one letter.
#[tokio::test]
async fn sql_and_rust_give_a_million_keys_the_same_version() {
    const CHUNK: u64 = 50_000;
    let bed = Bed::postgres().await;
    let variants = json!([
        { "version": "2.0.0", "checksum": "c", "weight": 0, "keys": ["vip-5", "größe-70", "customer-17"],
          "labels": { "tier": "gold", "größe": "ß" } },
        { "version": "1.0.0", "checksum": "a", "weight": 0, "keys": ["vip-15", "vip-5", "顧客11🙂"] },
        { "version": "1.1.0", "checksum": "b", "weight": 1234 },
        { "version": "3.0.0", "checksum": "d", "weight": 4321, "labels": {} },
    ]);
    begin(&bed, "slack", &variants).await;
    let live = live(&bed, "slack").await.unwrap();
    let mut connection = PgConnection::connect(&bed.database.as_ref().unwrap().url()).await.unwrap();
    let mut seen: BTreeMap<(char, Why), u64> = BTreeMap::new();
    for first in (0..1_000_000).step_by(CHUNK as usize) {
        let sql = format!(
            "SELECT string_agg(substr(public.sower_resolve('{ENV}', 'slack', {KEY}, {LABELS}), 1, 3), '' ORDER BY n) \
             FROM generate_series({first}, {first} + {CHUNK} - 1) AS n"
        );
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap();
        let answers: &str = row.get(0);
        assert_eq!(answers.len() as u64, 3 * CHUNK);
        for (n, answer) in (first..).zip(answers.as_bytes().chunks(3)) {
            let resolved = live.resolve(&key(n), &labels(n));
            assert_eq!(&resolved.version.as_bytes()[..3], answer, "{:?} {:?}", key(n), labels(n));
            *seen.entry((resolved.version.chars().next().unwrap(), resolved.why)).or_default() += 1;
        }
    }
    // Every way to a version was gone.
    let ways: Vec<(char, Why)> = seen.keys().copied().collect();
    assert_eq!(
        ways,
        [
            ('1', Why::Override),
            ('1', Why::Bucket),
            ('1', Why::Stable),
            ('2', Why::Override),
            ('3', Why::Bucket)
        ],
        "{seen:?}"
    );
}

async fn asked(connection: &mut PgConnection, call: &str) -> Option<String> {
    let sql = format!("SELECT {call}");
    sqlx::query(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap().get(0)
}

#[tokio::test]
async fn the_function_answers_without_a_rollout_and_to_bad_questions() {
    let bed = Bed::postgres().await;
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let mut connection = PgConnection::connect(&bed.database.as_ref().unwrap().url()).await.unwrap();
    let version = |text: &str| Some(text.to_owned());
    for (call, expected) in [
        ("public.sower_resolve('production', 'slack', 'acme')", version("1.0.0")),
        ("public.sower_resolve('production', 'slack', NULL)", version("1.0.0")),
        ("public.sower_resolve('production', 'slack', 'acme', '[1]')", version("1.0.0")),
        ("public.sower_resolve('production', 'stripe', 'acme')", None),
        ("public.sower_resolve('staging', 'slack', 'acme')", None),
        ("public.sower_resolve(NULL, NULL, NULL)", None),
    ] {
        assert_eq!(asked(&mut connection, call).await, expected, "{call}");
    }
    let everybody =
        json!([{ "version": "1.1.0", "checksum": "b", "weight": 10_000, "labels": { "tier": "gold" } }]);
    begin(&bed, "slack", &everybody).await;
    for (call, expected) in [
        ("public.sower_resolve('production', 'slack', 'acme')", "1.1.0"),
        ("public.sower_resolve('production', 'slack', NULL)", "1.0.0"),
        ("public.sower_resolve('production', 'slack', NULL, '{\"tier\": \"gold\"}')", "1.1.0"),
        ("public.sower_resolve('production', 'slack', NULL, '{\"tier\": 1}')", "1.0.0"),
        ("public.sower_resolve('production', 'slack', NULL, '\"gold\"')", "1.0.0"),
        ("public.sower_resolve('production', 'slack', NULL, '[{\"tier\": \"gold\"}]')", "1.0.0"),
    ] {
        assert_eq!(asked(&mut connection, call).await, version(expected), "{call}");
    }
}

/// A program whose role is bound to an environment needs no right on a table.
#[tokio::test]
async fn a_role_that_may_use_the_schema_alone_resolves() {
    let bed = Bed::postgres().await;
    bed.seed(vec![create("slack", &manifest("slack", "1.0.0", 1))]).await.unwrap();
    begin(&bed, "slack", &json!([{ "version": "1.1.0", "checksum": "b", "weight": 0, "keys": ["acme"] }]))
        .await;
    let database = bed.database.as_ref().unwrap();
    let server = sower_tests::postgres::Postgres::shared().await.unwrap();
    let mut admin = server.admin(&database.name).await.unwrap();
    let role = format!("resolver_{}", database.name);
    let make = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'resolver'; GRANT USAGE ON SCHEMA sower TO {role}; \
         ALTER ROLE {role} SET search_path = sower, public; ALTER ROLE {role} SET sower.environment = '{ENV}'"
    );
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut admin).await.unwrap();
    let url = database
        .url()
        .replace(&format!("sower:{}", sower_tests::postgres::PASSWORD), &format!("{role}:resolver"));
    let mut bound = PgConnection::connect(&url).await.unwrap();
    assert_eq!(asked(&mut bound, "resolve('slack', 'acme')").await.as_deref(), Some("1.1.0"));
    assert_eq!(asked(&mut bound, "sower.resolve('slack', 'globex', '{}')").await.as_deref(), Some("1.0.0"));
    assert_eq!(asked(&mut bound, "resolve('stripe', 'acme')").await, None);
    // What it finds does not depend on what the role puts in its way.
    let trap = "CREATE TEMP TABLE integration_rollouts (x int); CREATE TEMP TABLE integration_definitions (x int); \
                SET search_path = pg_temp, sower";
    sqlx::raw_sql(trap).execute(&mut bound).await.unwrap();
    assert_eq!(asked(&mut bound, "sower.resolve('slack', 'acme')").await.as_deref(), Some("1.1.0"));
    let refused = sqlx::raw_sql("SELECT public.sower_resolve('production', 'slack', 'acme')")
        .fetch_one(&mut bound)
        .await;
    assert!(refused.unwrap_err().to_string().contains("permission denied for table"));
}
