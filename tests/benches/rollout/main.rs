//! What a rollout costs those who ask and those who report: `make bench`.
//!
//! On PostgreSQL with fsync on, held against what a plain client takes in the same run.

mod resolve;
mod usage;

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
    let postgres = Postgres::start(Durability::Fsync).await?;
    let resolved = resolve::run(&postgres).await?;
    for (name, cell) in resolved.into_iter().chain(usage::run(&postgres).await?) {
        println!("  {name}: {cell}");
    }
    Ok(())
}
