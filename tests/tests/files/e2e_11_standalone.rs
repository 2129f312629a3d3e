//! `make run`: seeds every environment of a checkout, then watches.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sower_tests::process::Process;
use sower_tests::repository::WorkTree;
use sower_tests::sower::standalone;
use sower_tests::wait::{throughout, until};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const LIMIT: Duration = Duration::from_secs(30);

/// A clone of this checkout, as far as `make run` needs it.
pub fn checkout() -> Result<WorkTree> {
    let tree = WorkTree::create()?;
    for folder in ["integrations", "environments"] {
        tree.copy_from(&Path::new(CHECKOUT).join(folder), folder)?;
    }
    tree.write("sower.toml", std::fs::read(Path::new(CHECKOUT).join("sower.toml"))?)?;
    tree.commit("Begin")?;
    Ok(tree)
}

/// Versions by environment and integration, and the number of log rows.
async fn rows(tree: &WorkTree) -> Result<(BTreeMap<(String, String), String>, i64)> {
    let options = SqliteConnectOptions::new().filename(tree.folder().join(".sower/sower.db")).read_only(true);
    let pool = SqlitePool::connect_with(options).await?;
    let select = "SELECT environment, id, version FROM integration_definitions WHERE status <> 'removed'";
    let definitions = sqlx::query(select).fetch_all(&pool).await?;
    let log = sqlx::query_scalar("SELECT count(*) FROM seeding_logs").fetch_one(&pool).await?;
    pool.close().await;
    let versions =
        definitions.iter().map(|row| ((row.get("environment"), row.get("id")), row.get("version"))).collect();
    Ok((versions, log))
}

async fn holds(tree: &WorkTree, process: &Process, wanted: &[(&str, &str, &str)]) -> Result<()> {
    until(&format!("{wanted:?}"), LIMIT, async || {
        let (versions, _) = rows(tree).await?;
        for (environment, id, version) in wanted {
            let seen =
                versions.get(&((*environment).to_owned(), (*id).to_owned())).map_or("-", String::as_str);
            ensure!(seen == *version, "{environment} has {id} {seen}");
        }
        Ok(())
    })
    .await
    .with_context(|| process.last_lines())
}

async fn started(name: &str, tree: &WorkTree, format: &str) -> Result<Process> {
    let process = standalone(name, tree.folder())?.env("SOWER_LOG_FORMAT", format).start()?;
    process
        .ready(LIMIT, async || {
            let log = process.log();
            ensure!(
                log.contains("Watching.") || log.contains(r#""message":"watching""#),
                "it does not watch yet"
            );
            Ok(())
        })
        .await?;
    Ok(process)
}

/// The table of the transcript, with so many integrations created in each environment.
fn table(log: &str, created: [usize; 3]) -> Result<()> {
    let rows: Vec<Vec<&str>> = log.lines().map(|line| line.split_whitespace().collect()).collect();
    let head = ["ENVIRONMENT", "REVISION", "INTEGRATIONS", "CHANGED", "CONFLICTS", "PROBLEMS", "TOOK"];
    let at = rows.iter().position(|row| *row == head).with_context(|| format!("no table: {log}"))?;
    for (number, (name, holds)) in
        [("development", "4"), ("production", "2"), ("staging", "3")].into_iter().enumerate()
    {
        let row = rows.get(at + 1 + number).with_context(|| format!("no row {name}: {log}"))?;
        let changed = format!("+{}", created[number]);
        let wanted = [name, holds, changed.as_str(), "~0", "-0", "0", "0"];
        let seen = [row[0], row[2], row[3], row[4], row[5], row[6], row[7]];
        ensure!(seen == wanted && row[1].starts_with("main@"), "{seen:?} instead of {wanted:?}: {log}");
    }
    Ok(())
}

#[tokio::test]
async fn e2e_11_standalone_seeds_then_takes_up_an_edit_and_a_commit() -> Result<()> {
    let tree = checkout()?;
    let process = started("standalone", &tree, "text").await?;
    table(&process.log(), [4, 2, 3])?;
    let (versions, log) = rows(&tree).await?;
    let mut count = BTreeMap::new();
    for (environment, _) in versions.keys() {
        *count.entry(environment.as_str()).or_insert(0) += 1;
    }
    ensure!(
        count == [("development", 4), ("production", 2), ("staging", 3)].into() && log == 3,
        "{count:?}, {log} log rows"
    );
    let ignored = tree.git(&["status", "--porcelain"])?;
    ensure!(ignored.is_empty(), ".sower does not ignore itself: {ignored}");

    let manifest = "integrations/stripe/integration.yaml";
    let version = tree
        .read(manifest)?
        .lines()
        .find_map(|line| line.trim().strip_prefix("version: ").map(str::to_owned))
        .context("a version")?;
    let edited = Instant::now();
    tree.replace(manifest, &format!("version: {version}"), "version: 7.0.0")?;
    holds(
        &tree,
        &process,
        &[
            ("development", "stripe", "7.0.0"),
            ("staging", "stripe", &version),
            ("production", "stripe", &version),
        ],
    )
    .await?;
    println!("an edit took {:?} to development", edited.elapsed());
    throughout("an edit reaches development alone", Duration::from_secs(2), async || {
        let (versions, _) = rows(&tree).await?;
        ensure!(versions[&("staging".to_owned(), "stripe".to_owned())] == version);
        Ok(())
    })
    .await?;

    tree.commit("stripe: seven")?;
    holds(
        &tree,
        &process,
        &[
            ("development", "stripe", "7.0.0"),
            ("staging", "stripe", "7.0.0"),
            ("production", "stripe", "7.0.0"),
        ],
    )
    .await?;

    // A slip keeps the rows, and is mended by the next edit.
    tree.replace(manifest, "version: 7.0.0", "version: v8")?;
    until("the slip is named", LIMIT, async || {
        ensure!(process.log().contains("bad-version"), "{}", process.last_lines());
        Ok(())
    })
    .await?;
    holds(&tree, &process, &[("development", "stripe", "7.0.0")]).await?;
    tree.replace(manifest, "version: v8", "version: 8.0.0")?;
    holds(&tree, &process, &[("development", "stripe", "8.0.0")]).await?;

    let ended = process.stop()?;
    ensure!(ended.success() || ended.code() == Some(130), "{ended}\n{}", process.last_lines());
    let (before, log) = rows(&tree).await?;
    let process = started("standalone-again", &tree, "text").await?;
    table(&process.log(), [0, 0, 0])?;
    ensure!(rows(&tree).await? == (before, log), "a second start wrote something: {}", process.log());
    Ok(())
}

/// A second server beside the first takes the next free port; kill -9 loses nothing.
#[tokio::test]
async fn e2e_11_standalone_is_killed_and_goes_on() -> Result<()> {
    let (first, second) = (checkout()?, checkout()?);
    let one = started("first", &first, "json").await?;
    let other = started("second", &second, "json").await?;
    let address = |process: &Process| -> Result<String> {
        let log = process.log();
        let (_, rest) = log.split_once(r#""listen":""#).context("no address in the log")?;
        Ok(rest.split('"').next().unwrap_or_default().to_owned())
    };
    ensure!(address(&one)? != address(&other)?, "both listen at {}", address(&one)?);
    one.kill()?;
    let manifest = "integrations/slack/integration.yaml";
    let text = first.read(manifest)?;
    let line = text.lines().find(|line| line.trim().starts_with("version: ")).context("a version")?;
    first.replace(manifest, line, &line.replace(line.trim(), "version: 9.0.0"))?;
    let again = started("again", &first, "json").await?;
    holds(&first, &again, &[("development", "slack", "9.0.0")]).await
}
