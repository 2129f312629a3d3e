//! Everything that is measured for one number of integrations.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sower_tests::catalog::{manifest, path};
use sower_tests::git_server::GitServer;
use sower_tests::postgres::{Database, Postgres};
use sower_tests::process::folder;
use sower_tests::repository::{WorkTree, git};
use sqlx::{Connection, PgConnection, Row};

use super::watched::{Ran, run};
use super::{floor, median, shown};

const CHANGES: usize = 7;

/// The cells of one size, by the name of their line.
pub async fn measure(server: &GitServer, postgres: &Postgres, count: usize) -> Result<Vec<(String, String)>> {
    let name = format!("bench-{count}");
    let repository = server.repository(&name)?;
    let tree = repository.work_tree()?;
    for number in 0..count {
        let id = id(number);
        tree.write(&path(&id), text(&id, "1.0.0"))?;
    }
    tree.write(
        "schemas/made.json",
        "{ \"type\": \"object\", \"properties\": { \"id\": { \"type\": \"string\" } } }\n",
    )?;
    tree.commit_and_push("Begin")?;
    let place = place(&server.public_url(&name))?;

    let runs = match count {
        0..=1_000 => 5,
        1_001..=10_000 => 3,
        _ => 1,
    };
    let mut cold = Vec::new();
    let mut database = postgres.database().await?;
    for number in 0..runs {
        if number > 0 {
            database = postgres.database().await?;
            std::fs::remove_dir_all(place.join(".sower")).context("the mirrors of the last run")?;
        }
        statistics(postgres, &database).await?;
        floor::settle(postgres).await?;
        let ran = seed(&place, &database)?;
        cold.push((ran, applied(&database).await?));
    }
    let copies = floor::copy(postgres, &database, runs.max(3)).await?;
    let (whole, apply) = (
        median(cold.iter().map(|(ran, _)| ran.took).collect()),
        median(cold.iter().map(|(_, apply)| *apply).collect()),
    );
    let peak = cold.iter().map(|(ran, _)| ran.peak).max().unwrap_or_default();
    let child = cold.iter().map(|(ran, _)| ran.child).max().unwrap_or_default();

    let (noops, statements) = noops(&place, &database).await?;
    let (changes, changed_peak) = changes(&tree, &place, &database, &server.public_url(&name), count).await?;
    let transaction = floor::transaction(&database, &id(count / 2)).await?;
    let validated = median(
        (0..3)
            .map(|_| Ok(run(tree.folder(), &["validate", "-q", "integrations"])?.took))
            .collect::<Result<_>>()?,
    );

    let (ours, fetch): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    let (ours, fetch, copy) = (median(ours), median(fetch), median(copies));
    let ratio = |a: Duration, b: Duration| format!("{:.2}", a.as_secs_f64() / b.as_secs_f64());
    let megabytes = |bytes: u64| format!("{:.0} MB", bytes as f64 / 1e6);
    Ok([
        ("cold: the whole, fetch and parsing included", shown(whole)),
        ("cold: apply", shown(apply)),
        ("cold: COPY of the same rows", shown(copy)),
        ("cold: apply / COPY", ratio(apply, copy)),
        ("one change: the whole", shown(ours)),
        ("one change: git fetch + one transaction", shown(fetch + transaction)),
        ("one change: ratio", ratio(ours, fetch + transaction)),
        ("no-op: the whole", shown(noops)),
        ("no-op: statements", statements),
        ("validate", shown(validated)),
        ("peak memory, cold", megabytes(peak)),
        ("peak memory, one change", megabytes(changed_peak)),
        ("peak memory of the fetching child, cold", megabytes(child)),
    ]
    .map(|(name, cell)| (name.to_owned(), cell))
    .to_vec())
}

/// A manifest that bundles a schema which all share, as catalogs do.
fn text(id: &str, version: &str) -> String {
    let own = "outputSchema: { type: object, properties: { id: { type: string } } }";
    manifest(id, version, 10).replacen(own, "outputSchema: { $ref: ../../schemas/made.json }", 1)
}

fn id(number: usize) -> String {
    format!("app-{number:05}")
}

/// A folder with an Environment that reads the server.
fn place(url: &str) -> Result<PathBuf> {
    let place = folder("place")?;
    std::fs::create_dir(place.join("environments"))?;
    let environment = format!(
        "apiVersion: sower.dev/v1alpha1
kind: Environment
metadata: {{ name: bench }}
spec:
  seedingStrategy: incremental
  timeout: 30m
  sources:
  - name: catalog
    path: integrations
    git: {{ url: \"{url}\", ref: {{ branch: main }} }}
"
    );
    std::fs::write(place.join("environments/bench.yaml"), environment)?;
    Ok(place)
}

fn seed(place: &Path, database: &Database) -> Result<Ran> {
    run(place, &["seed", "-e", "bench", "-q", "--database", &database.url()])
}

async fn statistics(postgres: &Postgres, database: &Database) -> Result<()> {
    let mut admin = postgres.admin(&database.name).await?;
    sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&mut admin).await?;
    sqlx::query("GRANT pg_read_all_stats TO sower").execute(&mut admin).await?;
    sqlx::query("GRANT EXECUTE ON FUNCTION pg_stat_statements_reset TO sower").execute(&mut admin).await?;
    Ok(())
}

/// From the row that says it runs to the one that says it ended, and the COMMIT.
async fn applied(database: &Database) -> Result<Duration> {
    let mut connection = PgConnection::connect(&database.url()).await?;
    let select = "SELECT extract(epoch FROM completed_at - created_at)::float8 AS took, status FROM public.seeding_logs ORDER BY started_at DESC LIMIT 1";
    let row = sqlx::query(select).fetch_one(&mut connection).await?;
    ensure!(row.get::<&str, _>("status") == "completed", "the seeding did not complete");
    let commit = "SELECT coalesce(max(max_exec_time), 0) FROM pg_stat_statements WHERE query ILIKE 'commit%' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let commit: f64 = sqlx::query_scalar(commit).fetch_one(&mut connection).await?;
    Ok(Duration::from_secs_f64(row.get::<f64, _>("took") + commit / 1e3))
}

/// The time of a seeding with nothing new, and what it asks of the database.
async fn noops(place: &Path, database: &Database) -> Result<(Duration, String)> {
    let mut connection = PgConnection::connect(&database.url()).await?;
    let mut times = Vec::new();
    let mut said = String::new();
    for _ in 0..5 {
        sqlx::query("SELECT pg_stat_statements_reset()").execute(&mut connection).await?;
        times.push(seed(place, database)?.took);
        let select = "SELECT coalesce(sum(calls) FILTER (WHERE query ~* '^\\s*(select|with)'), 0)::bigint, \
            coalesce(sum(calls) FILTER (WHERE query ~* '^\\s*(insert|update|delete)'), 0)::bigint, coalesce(sum(calls), 0)::bigint \
            FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%' AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())";
        let row = sqlx::query(select).fetch_one(&mut connection).await?;
        let (reads, writes, all): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
        said = format!("{reads} reads, {writes} writes, {} others", all - reads - writes);
    }
    Ok((median(times), said))
}

/// Pushes of one changed action each: what Sower takes for it, and what `git fetch` takes for the same commit.
async fn changes(
    tree: &WorkTree,
    place: &Path,
    database: &Database,
    url: &str,
    count: usize,
) -> Result<(Vec<(Duration, Duration)>, u64)> {
    let mirror = folder("mirror")?;
    git(&mirror, &["clone", "--quiet", "--bare", "--depth=1", url, "."])?;
    git(&mirror, &["config", "core.fsync", "none"])?;
    let (mut times, mut peak) = (Vec::new(), 0);
    for number in 1..=CHANGES {
        let changed = id(count / 2);
        let text = text(&changed, &format!("1.{number}.0"))
            .replace("Grows branch 7", &format!("Grows twig {number}"));
        tree.write(&path(&changed), text)?;
        tree.commit_and_push(&format!("Change {number}"))?;
        let ran = seed(place, database)?;
        let started = Instant::now();
        git(&mirror, &["fetch", "--quiet", "--depth=1", "origin", "main"])?;
        times.push((ran.took, started.elapsed()));
        peak = ran.peak.max(peak);
    }
    let mut connection = PgConnection::connect(&database.url()).await?;
    let version: String =
        sqlx::query_scalar("SELECT version FROM public.integration_definitions WHERE id = $1")
            .bind(id(count / 2))
            .fetch_one(&mut connection)
            .await?;
    ensure!(version == format!("1.{CHANGES}.0"), "the last change is not there: {version}");
    Ok((times, peak))
}
