//! What a seeding costs, as one table: `make bench`.
//!
//! The release binary as a user runs it, on PostgreSQL with fsync on, from a repository that a git server serves over
//! http. What it is held against is measured in the same run: COPY of the same rows, `git fetch` of the same commit.
//! `SOWER_BENCH_SIZES` (1000,10000,50000) says how many integrations there are, each with ten actions.

#[path = "seeding/floor.rs"]
mod floor;
#[path = "seeding/operator.rs"]
mod operator;
#[path = "seeding/size.rs"]
mod size;
#[path = "seeding/watched.rs"]
mod watched;

use std::time::Duration;

use anyhow::Result;
use sower_tests::git_server::GitServer;
use sower_tests::postgres::{Durability, Postgres};

/// Names of the lines, and their cells by size.
type Line = (String, Vec<String>);

fn main() -> Result<()> {
    // `cargo test --benches` and `cargo bench -- --list` only want to know that it starts.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure())
}

async fn measure() -> Result<()> {
    let sizes = std::env::var("SOWER_BENCH_SIZES").unwrap_or_else(|_| "1000,10000,50000".to_owned());
    let sizes = sizes.split(',').map(str::parse).collect::<Result<Vec<usize>, _>>()?;
    let git = GitServer::start().await?;
    let postgres = Postgres::start(Durability::Fsync).await?;
    let mut columns = Vec::new();
    for count in &sizes {
        eprintln!("measuring {count} integrations");
        columns.push(size::measure(&git, &postgres, *count).await?);
    }
    let mut lines: Vec<Line> = Vec::new();
    for (number, column) in columns.into_iter().enumerate() {
        for (name, cell) in column {
            match lines.iter_mut().find(|(known, _)| *known == name) {
                Some((_, cells)) => cells.push(cell),
                None => lines.push((name, [vec!["-".to_owned(); number], vec![cell]].concat())),
            }
        }
    }
    eprintln!("measuring the operator");
    let pushes = operator::measure().await?;
    print(&sizes, &lines);
    println!();
    for (name, cell) in pushes {
        println!("{name}: {cell}");
    }
    Ok(())
}

fn print(sizes: &[usize], lines: &[Line]) {
    let head = sizes.iter().map(ToString::to_string).collect();
    let all: Vec<Line> = [vec![("INTEGRATIONS, 10 ACTIONS EACH".to_owned(), head)], lines.to_vec()].concat();
    let width = |column: usize| {
        all.iter().filter_map(|(_, cells)| cells.get(column)).map(|cell| cell.chars().count()).max()
    };
    let first = all.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    for (name, cells) in &all {
        let mut line = format!("{name:first$}");
        for (column, cell) in cells.iter().enumerate() {
            line.push_str(&format!("   {cell:>width$}", width = width(column).unwrap_or_default()));
        }
        println!("{}", line.trim_end());
    }
}

/// A time, as people read it.
fn shown(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1e3;
    if milliseconds < 10.0 {
        format!("{milliseconds:.1} ms")
    } else if milliseconds < 10_000.0 {
        format!("{milliseconds:.0} ms")
    } else {
        format!("{:.1} s", milliseconds / 1e3)
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
