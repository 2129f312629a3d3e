//! Planning commits of a large catalog: nothing new, one change and many, against PostgreSQL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use sower_tests::catalog::{manifest, path};
use sower_tests::postgres::{Database, Postgres};
use sower_tests::process::folder;
use sower_tests::repository::git;

use super::watched::{Ran, run};
use super::{median, ratio, shown};

const RUNS: usize = 5;
/// As many manifests change at once, but no more than a tenth of them.
const MANY: usize = 1_000;

/// The lines of one size: what is measured, and what came of it.
pub async fn measure(postgres: &Postgres, count: usize) -> Result<Vec<(&'static str, String)>> {
    let place = place(count)?;
    let database = postgres.database().await?;
    run(&place, &["seed", "-e", "bench", "-q", "--source", ".#HEAD", "--database", &database.url()])?;
    let (nothing, _) = plans(&place, &database)?;
    raise(&place, 0..1)?;
    let (one, _) = plans(&place, &database)?;
    let many = MANY.min(count / 10);
    raise(&place, 1..many)?;
    let (changed, peak) = plans(&place, &database)?;
    Ok(vec![
        ("plan: nothing new", shown(nothing)),
        ("plan: 1 change", shown(one)),
        ("plan: many changes (a tenth, 1,000 at most)", format!("{} ({many})", shown(changed))),
        ("plan: many / 1", ratio(changed, one)),
        ("plan: peak memory, many", format!("{:.0} MB", peak as f64 / 1e6)),
    ])
}

/// The median of several plans, and the most memory of one.
fn plans(place: &Path, database: &Database) -> Result<(Duration, u64)> {
    let plan = ["plan", "-e", "bench", "-q", "--source", ".#HEAD", "--database", &database.url()];
    let ran = (0..RUNS).map(|_| run(place, &plan)).collect::<Result<Vec<Ran>>>()?;
    let peak = ran.iter().map(|ran| ran.peak).max().unwrap_or_default();
    Ok((median(ran.iter().map(|ran| ran.took).collect()), peak))
}

/// A repository with an Environment and its manifests.
fn place(count: usize) -> Result<PathBuf> {
    let place = folder("plans")?;
    std::fs::create_dir(place.join("environments"))?;
    let environment = "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: { name: bench }\nspec: { timeout: 30m }\n";
    std::fs::write(place.join("environments/bench.yaml"), environment)?;
    git(&place, &["init", "-q", "-b", "main"])?;
    git(&place, &["config", "user.name", "Ada Sower"])?;
    git(&place, &["config", "user.email", "ada@example.com"])?;
    write(&place, 0..count, "1.0.0")?;
    commit(&place, "Begin")?;
    Ok(place)
}

fn raise(place: &Path, numbers: std::ops::Range<usize>) -> Result<()> {
    write(place, numbers, "1.1.0")?;
    commit(place, "Raise")
}

fn write(place: &Path, numbers: std::ops::Range<usize>, version: &str) -> Result<()> {
    for number in numbers {
        let id = format!("app-{number:05}");
        let file = place.join(path(&id));
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, manifest(&id, version, 10))?;
    }
    Ok(())
}

fn commit(place: &Path, subject: &str) -> Result<()> {
    git(place, &["add", "--all"])?;
    git(place, &["commit", "-q", "-m", subject])?;
    Ok(())
}
