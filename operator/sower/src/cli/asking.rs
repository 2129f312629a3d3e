//! The words of what asks why and since when: `explain`, `history`, `drift`, `diff` and `blame`.

use clap::Args;

use super::{Format, Where, Which};

/// `sower explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The integration's id
    pub id: String,
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// At most this many
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower drift`.
#[derive(Debug, Args)]
pub struct DriftArgs {
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// Exit with 3 if there is drift
    #[arg(long)]
    pub exit_code: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The environment to start from
    pub from: String,
    /// The environment to compare with it
    pub to: String,
    /// Exit with 3 if there are differences
    #[arg(long)]
    pub exit_code: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower blame`.
#[derive(Debug, Args)]
pub struct BlameArgs {
    /// The integration's id
    pub id: String,
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}
