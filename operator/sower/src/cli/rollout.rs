//! The words of `sower rollout`.

use clap::{Args, Subcommand};

use super::{Format, Where, Which};

/// `sower rollout`.
#[derive(Debug, Args)]
pub struct RolloutArgs {
    /// What of it.
    #[command(subcommand)]
    pub verb: RolloutVerb,
}

/// What is asked of rollouts, and said to them.
#[derive(Debug, Subcommand)]
pub enum RolloutVerb {
    /// Where rollouts are, and what comes next
    #[command(after_help = "Examples:
  sower rollout status                             the last rollout of every integration
  sower rollout status stripe -e production        its steps, its figures, and what to type
  sower rollout status stripe -e production --watch    until it is over; 1 if it was rolled back
  sower rollout status stripe -e production -o json | jq '{state, step, weight, reason}'")]
    Status(RolloutStatusArgs),
    /// Keep a rollout as it is until somebody says more
    #[command(after_help = "Examples:
  sower rollout pause stripe -e production")]
    Pause(RolloutChangeArgs),
    /// Let a paused rollout go on
    #[command(after_help = "Examples:
  sower rollout resume stripe -e production
  sower rollout resume stripe -e production --watch    and see how it ends")]
    Resume(RolloutChangeArgs),
    /// Go to the next step now, whatever the analysis says
    #[command(after_help = "Examples:
  sower rollout advance stripe -e production")]
    Advance(RolloutChangeArgs),
    /// End a rollout: everyone has the version that they had before
    #[command(after_help = "Examples:
  sower rollout abort stripe -e production
  sower rollout abort stripe -e production -n sower    asks the operator of a cluster")]
    Abort(RolloutChangeArgs),
    /// Try again, from the first step, what was aborted or rolled back
    #[command(after_help = "Examples:
  sower rollout retry stripe -e production")]
    Retry(RolloutChangeArgs),
}

/// `sower rollout status`.
#[derive(Debug, Args)]
pub struct RolloutStatusArgs {
    /// Only this integration
    pub id: Option<String>,
    #[command(flatten)]
    /// Which environments.
    pub which: Which,
    /// Go on until it is over: 1 if it was aborted or rolled back
    #[arg(long, requires = "id")]
    pub watch: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    #[command(flatten)]
    /// Where.
    pub at: Where,
}

/// `sower rollout pause`, `resume`, `advance`, `abort` and `retry`.
#[derive(Debug, Args)]
pub struct RolloutChangeArgs {
    /// The integration's id
    pub id: String,
    /// The environment
    #[arg(short, long, value_name = "NAME")]
    pub environment: Option<String>,
    /// Then go on until it is over: 1 if it was aborted or rolled back
    #[arg(long, conflicts_with = "no_wait")]
    pub watch: bool,
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

impl RolloutVerb {
    /// The format that was asked for, and whether its document is one object.
    #[must_use]
    pub fn document(&self) -> (Format, bool) {
        match self {
            Self::Status(args) => (args.output, args.id.is_some() && args.which.environment.is_some()),
            Self::Pause(args)
            | Self::Resume(args)
            | Self::Advance(args)
            | Self::Abort(args)
            | Self::Retry(args) => (args.output, true),
        }
    }
}
