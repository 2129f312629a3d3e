//! Looking through an environment for drift, beside a plain SELECT of the same rows; and what the triggers that hint at it
//! cost a seeding.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::TryStreamExt;
use sower_tests::catalog::{manifest, path};
use sower_tests::postgres::{Database, Postgres};
use sower_tests::process::folder;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::watched::run;
use super::{median, ratio, shown};

const RUNS: usize = 5;
/// Pairs of seedings that write all rows again.
const REWRITES: usize = 3;
const TABLES: [(&str, &str); 5] = [
    ("integration_definitions", "id, name, version, author, manifest::text, status"),
    ("action_registry", "id, integration_id, identifier, name, category, definition::text"),
    ("trigger_registry", "id, integration_id, identifier, name, category, definition::text"),
    ("connection_registry", "id, integration_id, identifier, name, category, definition::text"),
    ("event_registry", "id, integration_id, identifier, name, category, definition::text"),
];

/// The lines of one size: what is measured, and what came of it.
pub async fn measure(postgres: &Postgres, count: usize) -> Result<Vec<(&'static str, String)>> {
    let place = place(count)?;
    let database = postgres.database().await?;
    let url = database.url();
    let seed = |more: &[&str]| {
        let all = [&["seed", "-e", "bench", "-q", "--source", ".", "--database", &url], more].concat();
        run(&place, &all).map(|ran| ran.took)
    };
    seed(&[])?;
    let mut connection = PgConnection::connect(&url).await?;
    sqlx::query("ANALYZE").execute(&mut connection).await?;

    let drift = || run(&place, &["drift", "-e", "bench", "-q", "--database", &url]);
    let (mut looks, mut selects, mut peak, mut rows) = (Vec::new(), Vec::new(), 0, 0);
    for _ in 0..RUNS {
        let ran = drift()?;
        looks.push(ran.took);
        peak = ran.peak.max(peak);
        let (took, read) = select(&database).await?;
        selects.push(took);
        rows = read;
    }
    let hand = "UPDATE public.action_registry SET name = 'By hand' WHERE identifier = 'branch-7' AND integration_id IN \
                (SELECT id FROM public.integration_definitions ORDER BY id LIMIT 100)";
    sqlx::query(hand).execute(&mut connection).await?;
    let drifted = (0..RUNS).map(|_| Ok(drift()?.took)).collect::<Result<Vec<Duration>>>()?;

    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..REWRITES {
        for (state, times) in [("ENABLE", &mut with), ("DISABLE", &mut without)] {
            for (table, _) in TABLES {
                let alter = format!("ALTER TABLE public.{table} {state} TRIGGER USER");
                sqlx::query(AssertSqlSafe(alter)).execute(&mut connection).await?;
            }
            seed(&["--reseed"])?;
            times.push(applied(&mut connection).await?);
        }
    }
    let (looks, selects) = (median(looks), median(selects));
    let (with, without) = (median(with), median(without));
    Ok(vec![
        ("rows", rows.to_string()),
        ("drift: the whole", shown(looks)),
        ("drift: a plain SELECT of the same rows", shown(selects)),
        ("drift: the whole / SELECT", ratio(looks, selects)),
        ("drift: the whole, 100 rows changed by hand", shown(median(drifted))),
        ("drift: peak memory", format!("{:.0} MB", peak as f64 / 1e6)),
        ("writing all rows again, with the triggers for hints", shown(with)),
        ("writing all rows again, without them", shown(without)),
        ("with / without", ratio(with, without)),
    ])
}

/// A folder with an Environment and its manifests.
fn place(count: usize) -> Result<PathBuf> {
    let place = folder("trust")?;
    std::fs::create_dir(place.join("environments"))?;
    let environment = "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: { name: bench }\nspec: { timeout: 30m }\n";
    std::fs::write(place.join("environments/bench.yaml"), environment)?;
    for number in 0..count {
        let id = format!("app-{number:05}");
        let file = place.join(path(&id));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, manifest(&id, "1.0.0", 10))?;
    }
    Ok(place)
}

/// As another program would read them: it connects, and reads every public column of every row.
async fn select(database: &Database) -> Result<(Duration, usize)> {
    let started = Instant::now();
    let mut connection = PgConnection::connect(&database.url()).await?;
    let mut count = 0;
    for (table, columns) in TABLES {
        let select = format!("SELECT {columns} FROM public.{table} WHERE environment = 'bench'");
        let mut rows = sqlx::query(AssertSqlSafe(select)).fetch(&mut connection);
        while let Some(row) = rows.try_next().await? {
            ensure!(!row.get::<&str, _>(0).is_empty(), "a row without an id");
            count += 1;
        }
    }
    connection.close().await?;
    Ok((started.elapsed(), count))
}

/// How long the last seeding wrote.
async fn applied(connection: &mut PgConnection) -> Result<Duration> {
    let select = "SELECT extract(epoch FROM completed_at - created_at)::float8 FROM public.seeding_logs \
                  ORDER BY started_at DESC LIMIT 1";
    let took: f64 = sqlx::query_scalar(select).fetch_one(connection).await?;
    Ok(Duration::from_secs_f64(took))
}
