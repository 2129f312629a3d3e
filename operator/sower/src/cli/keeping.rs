//! The words of what keeps and tells: `report`, `export` and `adopt`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{Format, Where, Which};
use crate::since::Since;

/// Formats of `report`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
    /// One page with drawn charts, for people elsewhere.
    Html,
}

impl ReportFormat {
    /// The format of a failure: a page has none.
    #[must_use]
    pub fn document(self) -> Format {
        match self {
            Self::Table | Self::Html => Format::Table,
            Self::Json => Format::Json,
            Self::Yaml => Format::Yaml,
        }
    }
}

/// `sower report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// The beginning: 12h, 30d, a date or a time
    #[arg(long, value_name = "SINCE", default_value = "30d")]
    pub since: Since,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: ReportFormat,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Write one folder an integration below this one, which is empty or holds what was exported before
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The rows that Sower did not write, as manifests for `sower adopt`
    #[arg(long)]
    pub foreign: bool,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower adopt`.
#[derive(Debug, Args)]
pub struct AdoptArgs {
    /// The folder of the manifests that the rows are to fit
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Say what would be adopted, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}
