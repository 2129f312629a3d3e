//! One file per command.

pub mod adopt;
pub mod blame;
pub mod completion;
pub mod diff;
pub mod doctor;
pub mod drift;
pub mod explain;
pub mod export;
pub mod generate;
pub mod get;
pub mod history;
pub mod plan;
pub mod report;
pub mod resolve;
pub mod rollback;
pub mod rollout;
pub mod rule;
pub mod run_operator;
pub mod seed;
pub mod standalone;
pub mod status;
pub mod suspend;
pub mod usage;
pub mod validate;

use tokio_util::sync::CancellationToken;

use crate::cli::{Command, Format, Looks, UsageCommand};
use crate::failure::{Exit, Failure};
use crate::output::document;
use crate::output::style::Style;

/// What every command is given.
#[derive(Debug, Clone)]
pub struct Context {
    /// How it prints.
    pub style: Style,
    /// Fires at Ctrl-C.
    pub cancel: CancellationToken,
    /// The flags that every command takes.
    pub looks: Looks,
}

/// Runs the command that was typed.
///
/// # Errors
/// What keeps it from its end; the caller prints it.
pub async fn dispatch(command: Command, context: &Context) -> Result<Exit, Failure> {
    match command {
        Command::Doctor(args) => told(context, args.output, true, doctor::run(&args, context).await),
        Command::Explain(args) => {
            told(context, args.output, args.which.environment.is_some(), explain::run(&args, context).await)
        }
        Command::Status(args) => {
            told(context, args.output, args.which.environment.is_some(), status::run(&args, context).await)
        }
        Command::Get(args) => told(context, args.output, false, get::run(&args, context).await),
        Command::History(args) => told(context, args.output, false, history::run(&args, context).await),
        Command::Drift(args) => {
            told(context, args.output, args.which.environment.is_some(), drift::run(&args, context).await)
        }
        Command::Diff(args) => told(context, args.output, true, diff::run(&args, context).await),
        Command::Blame(args) => {
            told(context, args.output, args.which.environment.is_some(), blame::run(&args, context).await)
        }
        Command::Report(args) => {
            let named = args.which.environment.is_some();
            told(context, args.output.document(), named, report::run(&args, context).await)
        }
        Command::Resolve(args) => {
            told(context, args.output, resolve::is_one(&args), resolve::run(&args, context).await)
        }
        Command::Usage(args) => match &args.command {
            Some(UsageCommand::Record(record)) => {
                told(context, record.output, true, usage::record(record, context).await)
            }
            None => told(context, args.output, false, usage::run(&args, context).await),
        },
        Command::Export(args) => export::run(&args, context).await,
        Command::Adopt(args) => told(context, args.output, true, adopt::run(&args, context).await),
        Command::Validate(args) => {
            let format = args.output.document();
            told(context, format, true, blocking(context, move |context| validate::run(&args, context)).await)
        }
        Command::Rule(args) => told(context, args.output, args.code.is_some(), rule::run(&args, context)),
        Command::Generate(args) => generate::run(&args, context),
        Command::Completion(args) => completion::run(&args, context),
        Command::Complete(args) => blocking(context, move |context| completion::words(&args, context)).await,
        Command::Plan(args) => {
            let named = args.which.environment.is_some();
            told(context, args.output.document(), named, plan::run(&args, context).await)
        }
        Command::Rollback(args) => told(context, args.output, true, rollback::run(&args, context).await),
        Command::Rollout(args) => {
            let (format, named) = args.verb.document();
            told(context, format, named, rollout::run(&args, context).await)
        }
        Command::Promote(args) => told(context, args.output, true, seed::promote(&args, context).await),
        Command::Suspend(args) => suspend::run(&args, true, context).await,
        Command::Resume(args) => suspend::run(&args, false, context).await,
        Command::Seed(args) => {
            told(context, args.output, args.environment.is_some(), seed::run(&args, context).await)
        }
        Command::Apply(args) => told(context, args.output, true, seed::apply(&args, context).await),
        Command::Run(args) if args.standalone => standalone::run(&args, context).await,
        Command::Run(args) => run_operator::run(&args, context).await,
        Command::FetchChild => Ok(Exit::Failed),
    }
}

/// Programs are given one document, on failure too, of the same form: `named` is one object, all else an array. People
/// read the failure on standard error.
fn told(
    context: &Context,
    format: Format,
    named: bool,
    result: Result<Exit, Failure>,
) -> Result<Exit, Failure> {
    if let Err(failure) = &result {
        document::write_failure(&context.style, format, named, failure)?;
    }
    result
}

/// Runs what takes all cores and waits for nothing, where it can be left alone at Ctrl-C.
async fn blocking(
    context: &Context,
    work: impl FnOnce(&Context) -> Result<Exit, Failure> + Send + 'static,
) -> Result<Exit, Failure> {
    let own = context.clone();
    match tokio::task::spawn_blocking(move || work(&own)).await {
        Ok(result) => result,
        // The panic has been told already.
        Err(_) => Ok(Exit::Failed),
    }
}
