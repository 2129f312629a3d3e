//! Asking which version a consumer gets: of PostgreSQL, and in Rust, beside a plain SELECT by primary key.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sower_store::{DatabaseUrl, Options, Store};
use sower_tests::postgres::Postgres;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

const RUNS: usize = 5;
/// Integrations of the environment.
const COUNT: usize = 1_000;
/// Calls of one run, each a round trip.
const CALLS: usize = 10_000;
/// Calls of one run within one statement, or in Rust.
const MANY: usize = 200_000;
const ENVIRONMENT: &str = "bench";

/// What is asked of the server in one statement each, with environment, integration and key: the plain one comes first.
const ASKED: [(&str, &str, &str); 4] = [
    (
        "a plain SELECT by primary key",
        "SELECT version FROM public.integration_definitions WHERE environment = $1 AND id = $2 AND $3::text IS NOT NULL",
        "app-0001",
    ),
    ("sower_resolve, no rollout", RESOLVE, "app-0001"),
    ("sower_resolve, a rollout by share", RESOLVE, "app-0002"),
    ("sower_resolve, a rollout with 100 keys named", RESOLVE, "app-0003"),
];
const RESOLVE: &str = "SELECT public.sower_resolve($1, $2, $3)";

/// What is measured, and what came of it.
pub async fn run(postgres: &Postgres) -> Result<Vec<(&'static str, String)>> {
    let database = postgres.database().await?;
    let store = Store::open(&DatabaseUrl::parse(&database.url())?, &Options::default()).await?;
    let mut connection = PgConnection::connect(&database.url()).await?;
    fill(&mut connection).await?;

    // Side by side, so that what the machine does besides befalls all of them.
    let (mut trips, mut within) = (vec![Vec::new(); ASKED.len()], vec![Vec::new(); ASKED.len()]);
    let (mut rust, mut read) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        for (index, (_, sql, id)) in ASKED.into_iter().enumerate() {
            trips[index].push(one_by_one(&mut connection, sql, id).await?);
            within[index].push(at_once(&mut connection, sql, id).await?);
        }
        rust.push(in_rust(&store, "app-0002").await?);
        read.push(read_each_time(&store, "app-0002").await?);
    }
    store.close().await;

    let mut lines = Vec::new();
    let plain = (median(&trips[0]), median(&within[0]));
    for (index, (name, ..)) in ASKED.into_iter().enumerate() {
        let (trip, one) = (median(&trips[index]), median(&within[index]));
        let cell = format!(
            "{} (x {:.2} of the plain one); within one statement {} (x {:.2})",
            rate(trip, CALLS),
            trip.as_secs_f64() / plain.0.as_secs_f64(),
            rate(one, MANY),
            one.as_secs_f64() / plain.1.as_secs_f64(),
        );
        lines.push((name, cell));
    }
    let (rust, read) = (median(&rust), median(&read));
    let beside = |time: Duration, calls: usize| {
        let plain = plain.0.as_secs_f64() / CALLS as f64;
        format!("{} (x {:.4} of the plain one)", rate(time, calls), time.as_secs_f64() / calls as f64 / plain)
    };
    lines.push(("Live::resolve, read once", beside(rust, MANY)));
    lines.push(("Store::live and resolve, read each time", beside(read, CALLS / 10)));
    Ok(lines)
}

async fn fill(connection: &mut PgConnection) -> Result<()> {
    let definitions = format!(
        "INSERT INTO public.integration_definitions (environment, id, name, version, manifest) \
         SELECT '{ENVIRONMENT}', 'app-' || lpad(n::text, 4, '0'), 'App', '1.0.0', '{{}}' FROM generate_series(1, {COUNT}) n"
    );
    let keys: Vec<String> = (0..100).map(|n| format!("\"named-{n}\"")).collect();
    let variants =
        |more: &str| format!("[{{\"version\": \"1.1.0\", \"checksum\": \"b\", \"weight\": 1000{more}}}]");
    let rollouts =
        [("app-0002", variants("")), ("app-0003", variants(&format!(", \"keys\": [{}]", keys.join(","))))];
    let rollout = |(id, variants): &(&str, String)| {
        format!(
            "INSERT INTO public.integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, \
             to_checksum, variants, salt, step, weight, state, strategy, progress, source, path, revision, seeding, started_at, \
             step_started_at, updated_at) VALUES ('{id}', '{ENVIRONMENT}', '{id}', '1.0.0', 'a', '1.1.0', 'b', '{variants}', 'salt', \
             1, 1000, 'Progressing', '{{}}', '{{}}', 's', 'p', 'r', 's', now(), now(), now())"
        )
    };
    let statements = rollouts.iter().map(rollout).collect::<Vec<_>>().join(";");
    sqlx::raw_sql(AssertSqlSafe(format!("{definitions}; {statements}; ANALYZE"))).execute(connection).await?;
    Ok(())
}

/// Each call a round trip of a statement that is prepared.
async fn one_by_one(connection: &mut PgConnection, sql: &'static str, id: &str) -> Result<Duration> {
    let started = Instant::now();
    for n in 0..CALLS {
        let query = sqlx::query_scalar(sql).bind(ENVIRONMENT).bind(id).bind(format!("customer-{n}"));
        let version: String = query.fetch_one(&mut *connection).await?;
        ensure!(version.starts_with("1."), "{version}");
    }
    Ok(started.elapsed())
}

/// All calls in one statement: what the server itself takes.
async fn at_once(connection: &mut PgConnection, sql: &str, id: &str) -> Result<Duration> {
    let one = sql.replace("$3", "'customer-' || n");
    let all = format!("SELECT count(({one})) FROM generate_series(1, {MANY}) AS n");
    let started = Instant::now();
    let count: i64 =
        sqlx::query_scalar(AssertSqlSafe(all)).bind(ENVIRONMENT).bind(id).fetch_one(&mut *connection).await?;
    ensure!(count == MANY as i64, "{count}");
    Ok(started.elapsed())
}

/// What is live is read once, and every consumer is resolved from that.
async fn in_rust(store: &Store, id: &str) -> Result<Duration> {
    let live = store.live(ENVIRONMENT, id).await?.context("carried")?;
    let (keys, labels): (Vec<String>, _) =
        ((0..MANY).map(|n| format!("customer-{n}")).collect(), BTreeMap::new());
    let started = Instant::now();
    for key in &keys {
        black_box(live.resolve(black_box(key), &labels).version);
    }
    Ok(started.elapsed())
}

/// What is live is read for each consumer.
async fn read_each_time(store: &Store, id: &str) -> Result<Duration> {
    let labels = BTreeMap::new();
    let started = Instant::now();
    for n in 0..CALLS / 10 {
        let live = store.live(ENVIRONMENT, id).await?.context("carried")?;
        black_box(live.resolve(&format!("customer-{n}"), &labels).version);
    }
    Ok(started.elapsed())
}

fn rate(time: Duration, calls: usize) -> String {
    format!("{:.0} calls/s", calls as f64 / time.as_secs_f64())
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
