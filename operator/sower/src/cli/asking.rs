//! The words of what asks why and since when: `explain`, `history`, `drift`, `diff`, `blame`,
//! `resolve` and `usage`.

use std::path::PathBuf;

use clap::Args;

use super::changing::UsageCommand;
use super::{Format, Where, Which};
use crate::since::Since;

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

/// `sower resolve`.
#[derive(Debug, Args)]
pub struct ResolveArgs {
    /// The integration's id
    pub id: String,
    #[command(flatten)]
    /// Which environment.
    pub which: Which,
    /// What the consumer is called
    #[arg(long, value_name = "KEY", conflicts_with = "keys")]
    pub key: Option<String>,
    /// Many consumers: a file with one key a line, or - for standard input
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// A label that the consumer has; again for more
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    pub labels: Vec<(String, String)>,
    /// Output format; with --keys, table is `key<TAB>version`
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is NAME=VALUE, such as tier=gold".to_owned()),
    }
}

/// `sower usage`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct UsageArgs {
    #[command(subcommand)]
    /// What is counted, in place of asking.
    pub command: Option<UsageCommand>,
    /// Only this integration
    pub id: Option<String>,
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// The beginning: 1h, 30d, a date or a time
    #[arg(long, value_name = "SINCE", default_value = "1h")]
    pub since: Since,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}
