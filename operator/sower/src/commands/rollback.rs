//! `sower rollback`: makes an earlier state of an environment, or an earlier version of one integration, current again.

mod cluster;

use std::path::Path;

use sower_controllers::reason::Reason;
use sower_controllers::seeding::{Rollback, RollbackError, RolledBack};
use sower_core::manifest::LoadedEnvironment;
use sower_core::rollback::{Request, UNDO};

use crate::choice::Asked;
use crate::cli::{Format, RollbackArgs, SeedArgs, TargetKind};
use crate::commands::Context;
use crate::commands::seed::{self, with_flags};
use crate::failure::{Exit, Failure};
use crate::job::KEEPER;
use crate::output::progress::Progress;
use crate::output::style::Style;
use crate::output::{changes, document, time};
use crate::person;
use crate::project::Project;
use crate::settings::Settings;
use crate::trouble::{Trouble, nothing_to_do};

/// Runs it.
///
/// # Errors
/// Usage, where it is not plain what is to be rolled back, or to what; else why it cannot be done.
pub async fn run(args: &RollbackArgs, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    let request = request(args)?;
    match settings.target.value {
        TargetKind::Files => files(args, &request, settings, context).await,
        TargetKind::Cluster => cluster::roll_back(args, &request, context).await,
    }
}

/// What is asked for, as the annotation of a cluster would say it.
fn request(args: &RollbackArgs) -> Result<Request, Failure> {
    let to = match (&args.to, args.undo) {
        (Some(to), false) => to.trim(),
        _ => UNDO,
    };
    let told = match &args.id {
        Some(id) => format!("{id}={to}"),
        None => to.to_owned(),
    };
    let unread = |why: String| {
        Failure::usage(why)
            .next("a seeding, or a revision", "sower rollback -e ENVIRONMENT --to 57|main@3f2c1a9")
    };
    if to.is_empty() || to.contains(char::is_whitespace) {
        return Err(unread(format!("`--to {to}` names nothing to go back to")));
    }
    let request = Request::parse(&told).map_err(unread)?;
    if request.integration != args.id {
        return Err(unread(format!("`{to}` is no version of {}", args.id.as_deref().unwrap_or_default())));
    }
    Ok(request)
}

/// The command as it was typed, but for its environment.
fn typed(request: &Request) -> String {
    let id = request.integration.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    match &request.to {
        Some(to) => format!("rollback{id} --to {to}"),
        None => format!("rollback{id} --undo"),
    }
}

/// What lists where one can go back to.
fn listed(request: &Request, environment: &str, flags: &str) -> (&'static str, String) {
    match &request.integration {
        Some(id) => ("what there was", format!("sower get versions {id} -e {environment}{flags}")),
        None => ("what there was", format!("sower history -e {environment}{flags}")),
    }
}

/// The command that takes a rollback back.
fn take_back(request: &Request, environment: &str, flags: &str) -> String {
    let id = request.integration.as_ref().map(|id| format!(" {id}")).unwrap_or_default();
    format!("sower rollback{id} -e {environment} --undo{flags}")
}

/// Says what stays out from now on.
fn tell_what_stays_out(request: &Request, left: Option<&str>, environment: &str, flags: &str, style: &Style) {
    let what = match (&request.integration, left) {
        (Some(_), _) => "What it was rolled back from".to_owned(),
        (None, Some(left)) if !left.is_empty() => left.to_owned(),
        (None, _) => "What was left behind".to_owned(),
    };
    let undo = take_back(request, environment, flags);
    style.say(&format!("{what} stays out until something newer arrives. Take it back: {undo}\n"));
}

async fn files(
    args: &RollbackArgs,
    request: &Request,
    settings: Settings,
    context: &Context,
) -> Result<Exit, Failure> {
    seed::no_waiting(args.timeout.is_some(), args.no_wait)?;
    let project = Project::open(settings)?;
    project.draw_problems(&context.style);
    let given = project.settings.given.clone();
    let asked = Asked { environment: args.environment.as_deref(), all: false };
    let chosen = project.to_change(&typed(request), asked).map_err(|failure| with_flags(failure, &given))?;
    let [environment] = chosen.as_slice() else { return Err(Failure::usage("which environment?")) };
    let name = environment.name.clone();
    let from = project.from(&[], &[environment]);
    let done = one(&project, environment, request, context).await;
    project.databases.close().await;
    // The seeding that goes on from there says it, with its source.
    if !matches!(&done, Ok(RolledBack::AskedBack(asked)) if !asked.is_empty()) {
        context.style.hint(&from);
    }
    let done = match done {
        Ok(done) => done,
        Err(trouble) => {
            context.style.note(&trouble.failure.text());
            document::write_each(&context.style, args.output, true, &[trouble.report(&name, 0)])?;
            return Ok(trouble.failure.exit);
        }
    };
    match done {
        RolledBack::AskedBack(asked) if !asked.is_empty() => {
            let told = RolledBack::AskedBack(asked).told(&name, request.integration.as_deref());
            context.style.hint(&told);
            seed::run(&forward(args, name), context).await
        }
        done => tell(&done, args, request, &name, &given, context),
    }
}

/// What was rolled back from is taken again, if the sources still say so.
fn forward(args: &RollbackArgs, name: String) -> SeedArgs {
    SeedArgs {
        environment: Some(name),
        all: false,
        only: args.id.iter().cloned().collect(),
        reseed: false,
        resolve: None,
        take_over: false,
        timeout: None,
        no_wait: false,
        output: args.output,
        at: args.at.clone(),
    }
}

async fn one(
    project: &Project,
    environment: &LoadedEnvironment,
    request: &Request,
    context: &Context,
) -> Result<RolledBack, Trouble> {
    let name = &environment.name;
    if environment.spec.suspend {
        return Err(Trouble::suspended(name, &project.place(environment, "/suspend")));
    }
    let store = project.databases.of(&project.settings, environment).await;
    let store = store.map_err(|error| Trouble::database(error, name).asked_of(&project.settings))?;
    let seeder = project.seeder(None, None).map_err(|failure| Trouble::of(Reason::SeedingFailed, failure))?;
    let rollback = Rollback {
        environment: name.clone(),
        spec: environment.spec.clone(),
        keeper: KEEPER.to_owned(),
        epoch: None,
        request: request.clone(),
        by: person::name(project.settings.root.as_deref().unwrap_or(Path::new("."))),
        asked: None,
    };
    let progress = Progress::start(&context.style, format!("rolling {name} back"));
    let done = tokio::select! {
        done = seeder.roll_back(&store, &rollback) => done,
        () = context.cancel.cancelled() => {
            let failure = Failure { exit: Exit::Interrupted, ..Failure::failed("interrupted; nothing is half written") };
            return Err(Trouble::of(Reason::SeedingFailed, failure));
        }
    };
    drop(progress);
    done.map_err(|error| match error {
        RollbackError::Impossible(why) => {
            let (label, command) = listed(request, name, &project.settings.given);
            let failure = Failure::failed(format!("{why}. Nothing was written.")).next(label, command);
            Trouble {
                code: "RollbackFailed".to_owned(),
                failure: Failure { code: Some("RollbackFailed"), ..failure },
            }
        }
        RollbackError::Seeding(error) => {
            let mut trouble = Trouble::new(&error, name).asked_of(&project.settings);
            if error.superseded {
                let again = format!("sower {} -e {name}{}", typed(request), project.settings.given);
                trouble.failure.next = vec![("again".to_owned(), again)];
            }
            trouble
        }
    })
}

fn tell(
    done: &RolledBack,
    args: &RollbackArgs,
    request: &Request,
    name: &str,
    flags: &str,
    context: &Context,
) -> Result<Exit, Failure> {
    let style = &context.style;
    let told = done.told(name, request.integration.as_deref());
    let people = args.output == Format::Table;
    let RolledBack::Applied { plan, state, left, report, .. } = done else {
        if people {
            style.say(&format!("{told}\n"));
        }
        let report = match done {
            RolledBack::Unchanged { report, .. } => (**report).clone(),
            _ => nothing_to_do(name),
        };
        document::write_each(style, args.output, true, &[report])?;
        return Ok(Exit::Done);
    };
    if people {
        if !style.quiet {
            let lines = changes::in_order(&plan.operations);
            let lines = lines.into_iter().map(|operation| changes::operation(operation, state)).collect();
            style.say(&changes::bounded(lines, style.terminal, &format!("sower get integrations -e {name}")));
        }
        style.say(&format!("{told} in {}\n", time::took(report.duration)));
        tell_what_stays_out(request, left.as_deref(), name, flags, style);
    }
    for failure in &report.errors {
        style.note(&format!("error[{}]: {}", failure.code, failure.message));
    }
    document::write_each(style, args.output, true, std::slice::from_ref(&**report))?;
    Ok(if report.errors.is_empty() { Exit::Done } else { Exit::Failed })
}
