//! What it costs to know: `make bench`.
//!
//! The release binary as a user runs it, on PostgreSQL with fsync on, held against what a plain client takes in the same run.
//! `SOWER_BENCH_SIZES` (1000,10000) says how many integrations there are, each with ten actions.

#[path = "trust/drift.rs"]
mod drift;
#[path = "trust/plan.rs"]
mod plan;
#[allow(dead_code, reason = "nothing is fetched here")]
#[path = "seeding/watched.rs"]
mod watched;

use std::time::Duration;

use anyhow::Result;
use sower_tests::postgres::{Durability, Postgres};

fn main() -> Result<()> {
    // `cargo test --benches` and `cargo bench -- --list` only want to know that it starts.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let sizes = std::env::var("SOWER_BENCH_SIZES").unwrap_or_else(|_| "1000,10000".to_owned());
    let postgres = Postgres::start(Durability::Fsync).await?;
    for size in sizes.split(',') {
        let size = size.parse()?;
        println!("{size} integrations, 10 actions each");
        let looked = drift::measure(&postgres, size).await?;
        for (name, cell) in looked.into_iter().chain(plan::measure(&postgres, size).await?) {
            println!("  {name}: {cell}");
        }
    }
    Ok(())
}

/// A time, as people read it.
fn shown(time: Duration) -> String {
    format!("{:.0} ms", time.as_secs_f64() * 1e3)
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn ratio(a: Duration, b: Duration) -> String {
    format!("{:.2}", a.as_secs_f64() / b.as_secs_f64())
}
