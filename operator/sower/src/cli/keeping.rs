//! The words of what keeps and tells: `report`.

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
