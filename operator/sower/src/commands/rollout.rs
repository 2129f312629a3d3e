//! `sower rollout`: where rollouts are, and what is said to them.

mod change;
mod cluster;
mod drawn;
mod status;
mod watch;

use sower_core::rollout::Command;

use crate::cli::{RolloutArgs, RolloutVerb};
use crate::commands::Context;
use crate::failure::{Exit, Failure};

/// Runs it.
///
/// # Errors
/// Usage, where it is not plain which rollout is meant; else what keeps it from its end.
pub async fn run(args: &RolloutArgs, context: &Context) -> Result<Exit, Failure> {
    match &args.verb {
        RolloutVerb::Status(args) => status::run(args, context).await,
        RolloutVerb::Pause(args) => change::run(args, Command::Pause, context).await,
        RolloutVerb::Resume(args) => change::run(args, Command::Resume, context).await,
        RolloutVerb::Advance(args) => change::run(args, Command::Advance, context).await,
        RolloutVerb::Abort(args) => change::run(args, Command::Abort, context).await,
        RolloutVerb::Retry(args) => change::run(args, Command::Retry, context).await,
    }
}
