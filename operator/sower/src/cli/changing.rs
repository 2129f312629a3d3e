//! The words of what changes an environment: `seed`, `apply`, `rollback`, `suspend`, `resume` and `usage record`.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::{Format, Where};

/// `sower seed`.
#[derive(Debug, Args)]
pub struct SeedArgs {
    /// The environment
    #[arg(short, long, value_name = "NAME", conflicts_with = "all")]
    pub environment: Option<String>,
    /// Every environment
    #[arg(long)]
    pub all: bool,
    /// Only these integrations
    #[arg(long, value_delimiter = ',', value_name = "ID,ID")]
    pub only: Vec<String>,
    /// What to do about their conflicts, this once: version=override, version=merge, ...
    #[arg(long, value_name = "TYPE=RESOLUTION", requires = "only")]
    pub resolve: Option<String>,
    /// Write unchanged rows again
    #[arg(long)]
    pub reseed: bool,
    /// Seed an environment that another keeper seeds (suspend it there first)
    #[arg(long)]
    pub take_over: bool,
    /// How long to wait for the operator of a cluster (default: 5m)
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Ask the operator and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Only this integration
    pub id: Option<String>,
    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub environment: Option<String>,
    /// A seeding (57), a revision (main@3f2c1a9); of one integration also a version, or a checksum
    #[arg(
        long,
        value_name = "SEEDING|REVISION|VERSION",
        required_unless_present = "undo",
        conflicts_with = "undo"
    )]
    pub to: Option<String>,
    /// Take the last rollback back: what it keeps out may come again
    #[arg(long)]
    pub undo: bool,
    /// How long to wait for the operator of a cluster (default: 5m)
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Ask the operator and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The integrations
    #[arg(value_name = "ID", required = true)]
    pub ids: Vec<String>,
    /// The environment that carries them (default: spec.promotion.from)
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
    /// The environment that lets them in
    #[arg(long, value_name = "NAME")]
    pub to: String,
    /// Say what it would do, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// How long to wait for the operator of a cluster (default: 5m)
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Ask the operator and do not wait
    #[arg(long)]
    pub no_wait: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower suspend` and `sower resume`.
#[derive(Debug, Args)]
pub struct SuspendArgs {
    /// The environment
    #[arg(short, long, value_name = "NAME", conflicts_with = "all")]
    pub environment: Option<String>,
    /// Every environment
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower apply`.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// The plan: a file that `sower plan -o json` wrote, or at least 12 digits of its hash
    #[arg(value_name = "FILE|HASH")]
    pub plan: String,
    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Who approves (default: user.name of git's settings, else USER)
    #[arg(long, value_name = "NAME")]
    pub approved_by: Option<String>,
    /// How long to wait for the operator (default: 5m)
    #[arg(long, value_name = "DURATION")]
    pub timeout: Option<String>,
    /// Do not wait for the operator
    #[arg(long)]
    pub no_wait: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// What `sower usage` does but ask.
#[derive(Debug, Subcommand)]
pub enum UsageCommand {
    /// Count executions of a version
    #[command(disable_version_flag = true)]
    #[command(after_help = "Examples:
  sower usage record stripe -e production --version 1.1.0 --executions 200 --errors 1
  sower usage record stripe -e production --version 1.1.0 --executions 1 --latency-ms 84 --action charge")]
    Record(RecordArgs),
}

/// `sower usage record`.
#[derive(Debug, Args)]
pub struct RecordArgs {
    /// The integration's id
    pub id: String,
    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub environment: Option<String>,
    /// The version that was executed
    #[arg(long = "version", value_name = "VERSION")]
    pub of_version: String,
    /// How often
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub executions: u64,
    /// How many of them failed
    #[arg(long, value_name = "M", default_value_t = 0)]
    pub errors: u64,
    /// How long each took in the mean, in milliseconds; an analysis of latency reads it of single executions
    #[arg(long, value_name = "L")]
    pub latency_ms: Option<u64>,
    /// The action that was executed
    #[arg(long, value_name = "ID", conflicts_with = "trigger")]
    pub action: Option<String>,
    /// The trigger that was executed
    #[arg(long, value_name = "ID")]
    pub trigger: Option<String>,
    /// When; the minute counts (default: now)
    #[arg(long = "at", value_name = "TIME")]
    pub when: Option<Timestamp>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}
