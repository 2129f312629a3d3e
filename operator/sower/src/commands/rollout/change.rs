//! `sower rollout pause`, `resume`, `advance`, `abort` and `retry`: with files the store is told, in a cluster the operator.

use std::path::Path;

use serde_json::json;
use sower_controllers::reason::Reason;
use sower_controllers::rollout::{CommandError, Stepped};
use sower_controllers::seeding::{Job, Seeder, SeedingError};
use sower_core::manifest::LoadedEnvironment;
use sower_core::rollout::{Command, Rollout};
use sower_store::Store;
use tokio_util::sync::CancellationToken;

use super::{cluster, status};
use crate::choice::{self, Asked};
use crate::cli::{Format, RolloutChangeArgs, RolloutStatusArgs, TargetKind, Which};
use crate::commands::Context;
use crate::commands::seed::{no_waiting, with_flags};
use crate::failure::{Exit, Failure};
use crate::output::document;
use crate::output::progress::Progress;
use crate::person;
use crate::project::Project;
use crate::session::Session;
use crate::settings::Settings;
use crate::trouble::Trouble;

/// A command to the rollout of one integration.
#[derive(Debug, Clone)]
pub struct Given {
    /// The integration.
    pub integration: String,
    /// What is said to its rollout.
    pub command: Command,
    /// Who says it.
    pub by: String,
}

impl Given {
    /// The command as it was typed, but for its environment.
    #[must_use]
    pub fn typed(&self) -> String {
        format!("rollout {} {}", self.command.as_str(), self.integration)
    }
}

/// What came of it.
pub enum Came {
    /// The rollout did as it was told.
    Done {
        /// The environment.
        environment: String,
        /// In a sentence.
        message: String,
    },
    /// The operator was asked, and is not waited for.
    Asked(String),
    /// Nobody waits for it any more.
    Interrupted,
}

/// A command that was obeyed.
struct Obeyed {
    /// What came of it.
    message: String,
    /// What failed after it.
    beside: Option<Failure>,
}

/// Runs it.
///
/// # Errors
/// Usage, where it is not plain which rollout is meant; else why it cannot be done.
pub async fn run(args: &RolloutChangeArgs, command: Command, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    // The annotation of a cluster has several commands in one line.
    if args.id.is_empty() || args.id.contains(|c: char| c.is_whitespace() || [',', '='].contains(&c)) {
        return Err(Failure::usage(format!("`{}` is no id of an integration", args.id)));
    }
    let dir = settings.root.as_deref().unwrap_or(Path::new("."));
    let given = Given { integration: args.id.clone(), command, by: person::name(dir) };
    let came = match settings.target.value {
        TargetKind::Files => files(args, &given, settings, context).await?,
        TargetKind::Cluster => cluster::ask(args, &given, context).await?,
    };
    tell(came, args, &given, context).await
}

/// What only lets fewer consumers have the new version is done at any time: it takes no more than the rows.
fn lets_more(command: Command) -> bool {
    match command {
        Command::Pause | Command::Abort => false,
        Command::Resume | Command::Advance | Command::Retry => true,
    }
}

async fn files(
    args: &RolloutChangeArgs,
    given: &Given,
    settings: Settings,
    context: &Context,
) -> Result<Came, Failure> {
    no_waiting(args.timeout.is_some(), args.no_wait)?;
    let named = args.environment.as_deref().filter(|_| !lets_more(given.command));
    let (project, unread) = match (Project::open(settings.clone()), named) {
        (Ok(project), _) => (project, None),
        (Err(failure), Some(_)) => (Project::of_rows(settings)?, Some(failure)),
        (Err(failure), None) => return Err(failure),
    };
    project.draw_problems(&context.style);
    let flags = project.settings.given.clone();
    let asked = Asked { environment: args.environment.as_deref(), all: false };
    let chosen = match unread {
        Some(failure) => Err(failure),
        None => project.to_change(&given.typed(), asked).map_err(|failure| with_flags(failure, &flags)),
    };
    let environment = match (chosen, named) {
        (Ok(chosen), _) => match chosen.as_slice() {
            [environment] => (*environment).clone(),
            _ => return Err(Failure::usage("which environment?")),
        },
        (Err(failure), Some(name)) => by_rows(&project, name, failure, given, context).await?,
        (Err(failure), None) => return Err(failure),
    };
    context.style.hint(&project.from(&[], &[&environment]));
    let told = one(&project, &environment, given, context).await;
    project.databases.close().await;
    let Obeyed { message, beside } = told.map_err(|trouble| trouble.failure)?;
    if let Some(failure) = beside {
        context.style.note(&format!("warning: {}", failure.message));
    }
    Ok(Came::Done { environment: environment.name, message })
}

/// The environment whose file fails like this, where its rows are enough.
async fn by_rows(
    project: &Project,
    name: &str,
    failure: Failure,
    given: &Given,
    context: &Context,
) -> Result<LoadedEnvironment, Failure> {
    let found = project.by_rows(name).await;
    let found = found.map_err(|error| Trouble::database(error, name).asked_of(&project.settings).failure)?;
    let Some(environment) = found else {
        if choice::nearest(&project.names(), name).is_some() {
            return Err(failure);
        }
        let typed = format!("sower {} -e {name} --database URL", given.typed());
        return Err(failure.next("by its rows", typed));
    };
    context.style.note(&format!("warning: {}. Its rows are enough for this.", failure.message));
    Ok(environment)
}

async fn one(
    project: &Project,
    environment: &LoadedEnvironment,
    given: &Given,
    context: &Context,
) -> Result<Obeyed, Trouble> {
    let name = &environment.name;
    if environment.spec.suspend && lets_more(given.command) {
        return Err(Trouble::suspended(name, &project.place(environment, "/suspend")));
    }
    let store = project.databases.of(&project.settings, environment).await;
    let store = store.map_err(|error| Trouble::database(error, name).asked_of(&project.settings))?;
    let seeder = project.seeder(None, None).map_err(|failure| Trouble::of(Reason::SeedingFailed, failure))?;
    let _progress = Progress::start(&context.style, given.typed());
    tokio::select! {
        told = command_rollout(&seeder, &store, (project, environment), given, &context.cancel) => told,
        () = context.cancel.cancelled() => {
            let failure = Failure { exit: Exit::Interrupted, ..Failure::failed("interrupted; nothing is half written") };
            Err(Trouble::of(Reason::SeedingFailed, failure))
        }
    }
}

/// What shows where the rollout is.
pub fn where_it_is(failure: Failure, given: &Given, environment: &str, flags: &str) -> Failure {
    let failure = Failure { code: Some("RolloutCommandFailed"), ..failure };
    failure.next("where it is", format!("sower rollout status {} -e {environment}{flags}", given.integration))
}

/// Tells the rollout; what came of it. What is to be tried again begins at once, as with an operator. Once it is obeyed, what
/// fails is told beside that.
async fn command_rollout(
    seeder: &Seeder,
    store: &Store,
    (project, environment): (&Project, &LoadedEnvironment),
    given: &Given,
    cancel: &CancellationToken,
) -> Result<Obeyed, Trouble> {
    let name = &environment.name;
    let failed = |error: SeedingError| Trouble::new(&error, name).asked_of(&project.settings);
    let steps = project.steps(environment);
    let done = seeder.command_rollout(store, &steps, &given.integration, given.command, &given.by, None);
    let done = done.await.map_err(|error| match error {
        CommandError::Impossible(why) => {
            let failure = Failure::failed(format!("{why}. Nothing was written."));
            let flags = &project.settings.given;
            Trouble::of(Reason::SeedingFailed, where_it_is(failure, given, name, flags))
        }
        CommandError::Seeding(error) if error.superseded => {
            let flags = &project.settings.given;
            let trouble = failed(error);
            let failure = trouble.failure.next("again", format!("sower {} -e {name}{flags}", given.typed()));
            Trouble { failure, ..trouble }
        }
        CommandError::Seeding(error) => failed(error),
    })?;
    let mut obeyed = Obeyed { message: done.message, beside: None };
    let begun = match given.command {
        // Nothing follows from these; and where seedings are suspended, nothing is to.
        Command::Pause | Command::Abort => return Ok(obeyed),
        Command::Resume | Command::Advance => true,
        Command::Retry => match begin_again(seeder, store, (project, environment), cancel).await {
            Ok(begun) => begun,
            Err(failure) => {
                obeyed.beside = Some(failure);
                false
            }
        },
    };
    let mut stepped = Stepped::default();
    let done = seeder.step_each(store, &steps, &mut stepped).await;
    let stuck = done.err().map(|error| Trouble::beside(&error, name).failure);
    obeyed.beside = obeyed.beside.or(stuck);
    let of = |rollout: &&Rollout| begun && rollout.integration == given.integration;
    // What is over by now no longer stands.
    let moved = stepped.changes.iter().rev().map(|change| &change.after).find(of);
    if let Some(now) = moved.or_else(|| stepped.standing.iter().find(of)) {
        obeyed.message = now.line();
    }
    Ok(obeyed)
}

/// Seeds what was asked back; whether a rollout began. What holds the seeding, such as a freeze window, holds a new beginning,
/// too.
async fn begin_again(
    seeder: &Seeder,
    store: &Store,
    (project, environment): (&Project, &LoadedEnvironment),
    cancel: &CancellationToken,
) -> Result<bool, Failure> {
    let job = project.job(environment)?;
    let neighbours = project.neighbours();
    if neighbours.unmet(environment).await.is_some() {
        return Ok(false);
    }
    let job = Job { upstream: neighbours.upstream(environment).await, ..job };
    let seeded = seeder.seed(store, &job, cancel).await;
    let seeded = seeded.map_err(|error| Trouble::beside(&error, &environment.name).failure)?;
    Ok(seeded.report().staged > 0)
}

async fn tell(
    came: Came,
    args: &RolloutChangeArgs,
    given: &Given,
    context: &Context,
) -> Result<Exit, Failure> {
    let style = &context.style;
    let people = args.output == Format::Table;
    let (environment, message, asked) = match came {
        Came::Interrupted => return Ok(Exit::Interrupted),
        Came::Asked(environment) => {
            let message = format!("Asked the operator: {} {}", given.command.as_str(), given.integration);
            (environment, message, true)
        }
        Came::Done { environment, message } => (environment, message, false),
    };
    if people {
        style.say(&format!("{message}\n"));
    }
    let which = Which { environment: Some(environment.clone()), all_namespaces: false };
    if args.watch {
        // The `from:` line was there.
        let quiet =
            Context { style: crate::output::style::Style { quiet: true, ..*style }, ..context.clone() };
        let id = Some(args.id.clone());
        let watched = RolloutStatusArgs { id, which, watch: true, output: args.output, at: args.at.clone() };
        return status::run(&watched, &quiet).await;
    }
    if !people {
        let document = json!({
            "environment": environment, "integration": args.id, "command": given.command.as_str(), "asked": asked,
            "message": message, "rollout": now(args, &which, context).await,
        });
        document::write(style, args.output, &document)?;
    }
    Ok(Exit::Done)
}

/// The rollout as it is now, where the rows can be read from here.
async fn now(
    args: &RolloutChangeArgs,
    which: &Which,
    context: &Context,
) -> Option<crate::output::document::Fields> {
    let quiet =
        Context { style: crate::output::style::Style { quiet: true, ..context.style }, ..context.clone() };
    let session = Session::ask_rows(&args.at, which, &quiet).await.ok()?;
    let [member] = session.members.as_slice() else { return None };
    let found = status::of(&session, member, Some(&args.id)).await.ok()?;
    found.first().map(|rollout| status::described(member, rollout))
}
