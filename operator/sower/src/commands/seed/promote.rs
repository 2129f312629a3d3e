//! `sower promote`: lets integrations in that another environment carries, before they have soaked there.

use serde_json::json;
use sower_controllers::reason::Reason;
use sower_controllers::seeding::{Job, Planned, Promote, SeedingError};
use sower_core::manifest::LoadedEnvironment;
use sower_core::plan::KeptWhy;
use sower_core::promotion::LET_IN;
use sower_crds::environment::WaitingStatus;
use sower_crds::period::parse;
use sower_crds::{Environment, EnvironmentSpec, PROMOTE, PROMOTED_BY};
use sower_store::StoreError;

use super::cluster::{Request, ask};
use super::told::let_in_alone;
use super::{answer, for_people, no_waiting, with_flags};
use crate::choice::{self, Asked};
use crate::cli::{Format, PromoteArgs, SeedArgs, TargetKind};
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::{changes, document};
use crate::person;
use crate::project::Project;
use crate::settings::Settings;
use crate::trouble::Trouble;

/// Runs it.
///
/// # Errors
/// Usage, where the environments are none that promote; else why it cannot be done.
pub async fn promote(args: &PromoteArgs, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    match settings.target.value {
        TargetKind::Files => files(args, settings, context).await,
        TargetKind::Cluster => in_cluster(args, context).await,
    }
}

/// The command as it was typed, but for what there is one of.
fn typed(args: &PromoteArgs) -> String {
    format!("promote {} --to {}", args.ids.join(" "), args.to)
}

/// The environment that another is promoted from.
///
/// # Errors
/// Usage, where it is from none, or from another.
fn from(args: &PromoteArgs, spec: &EnvironmentSpec, flags: &str) -> Result<String, Failure> {
    let to = &args.to;
    let Some(promotion) = &spec.promotion else {
        return Err(Failure::usage(format!(
            "{to} has no spec.promotion: whatever its sources offer comes in with its next seeding"
        ))
        .next("seed it", format!("sower seed -e {to}{flags}")));
    };
    match &args.from {
        Some(from) if *from != promotion.from => {
            Err(Failure::usage(format!("{to} is promoted from {}, not from {from}", promotion.from))
                .next("from there", format!("sower {} --from {}{flags}", typed(args), promotion.from)))
        }
        _ => Ok(promotion.from.clone()),
    }
}

async fn files(args: &PromoteArgs, settings: Settings, context: &Context) -> Result<Exit, Failure> {
    no_waiting(args.timeout.is_some(), args.no_wait)?;
    let project = Project::open(settings)?;
    project.draw_problems(&context.style);
    let given = project.settings.given.clone();
    let asked = Asked { environment: Some(&args.to), all: false };
    let chosen = project.to_change(&typed(args), asked).map_err(|failure| with_flags(failure, &given))?;
    let [environment] = chosen.as_slice() else { return Err(Failure::usage("which environment?")) };
    let from = from(args, &environment.spec, &given)?;
    let done = admit(&project, environment, args, &from, context).await;
    let ended = match done {
        Ok(Some(planned)) => {
            context.style.hint(&project.from(&[], &[environment]));
            Some(foretell(&planned, args, context)?)
        }
        Ok(None) => None,
        Err(trouble) => {
            context.style.hint(&project.from(&[], &[environment]));
            context.style.note(&trouble.failure.text());
            document::write_each(&context.style, args.output, true, &[trouble.report(&args.to, 0)])?;
            Some(trouble.failure.exit)
        }
    };
    project.databases.close().await;
    match ended {
        Some(exit) => Ok(exit),
        None => super::run(&forward(args), context).await,
    }
}

/// What is let in is taken, as a seeding of just that.
fn forward(args: &PromoteArgs) -> SeedArgs {
    SeedArgs {
        environment: Some(args.to.clone()),
        all: false,
        only: args.ids.clone(),
        reseed: false,
        resolve: None,
        take_over: false,
        timeout: None,
        no_wait: false,
        output: args.output,
        at: args.at.clone(),
    }
}

/// Lets them in, if the other environment carries what the sources offer; with `--dry-run` what would come of it.
async fn admit(
    project: &Project,
    environment: &LoadedEnvironment,
    args: &PromoteArgs,
    from: &str,
    context: &Context,
) -> Result<Option<Planned>, Trouble> {
    let name = &environment.name;
    if environment.spec.suspend {
        return Err(Trouble::suspended(name, &project.place(environment, "/suspend")));
    }
    let neighbours = project.neighbours();
    let failed = |error: SeedingError| Trouble::new(&error, name).asked_of(&project.settings);
    let stored = |error: StoreError| Trouble::database(error, name).asked_of(&project.settings);
    let store = project.databases.of(&project.settings, environment).await.map_err(stored)?;
    let by = person::name(project.settings.root.as_deref().unwrap_or(std::path::Path::new(".")));
    let job = project.job(environment).map_err(|failure| Trouble::of(Reason::InvalidSpec, failure))?;
    let job = Job {
        only: Some(args.ids.iter().cloned().collect()),
        promote: Promote { ids: args.ids.iter().cloned().collect(), by: by.clone() },
        upstream: neighbours.upstream(environment).await,
        ..job
    };
    let seeder = project.seeder(None, None).map_err(|failure| Trouble::of(Reason::SeedingFailed, failure))?;
    let planned = seeder.plan(&store, &job, &context.cancel).await.map_err(failed)?;
    let refused: Vec<String> = args.ids.iter().filter_map(|id| why_not(&planned, id)).collect();
    if !refused.is_empty() {
        let given = &project.settings.given;
        let failure = Failure::refused(format!("{}. Nothing was written.", refused.join("; ")))
            .next(
                "why",
                format!("sower explain {} -e {name}{given}", args.ids.first().map_or("ID", String::as_str)),
            )
            .next("what there is", format!("sower get integrations{given}"));
        return Err(Trouble {
            code: "NotPromoted".to_owned(),
            failure: Failure { code: Some("NotPromoted"), ..failure },
        });
    }
    if args.dry_run {
        return Ok(Some(planned));
    }
    seeder.let_in(&store, &job, &planned).await.map_err(failed)?;
    tracing::debug!(from, by, "let in {}", args.ids.join(", "));
    Ok(None)
}

/// Why an integration is not let in; none where it is, or is there already.
fn why_not(planned: &Planned, id: &str) -> Option<String> {
    let admission = planned.state.admission.as_ref();
    if planned.plan.operations.iter().any(|operation| operation.id == id) {
        return None;
    }
    if let Some(waiting) = admission.and_then(|admission| admission.waits.get(id)) {
        let what = waiting.version.as_deref().map_or_else(|| "the deletion".to_owned(), str::to_owned);
        return Some(format!("{id} {what} {}", waiting.told(Some(jiff::Timestamp::now()))));
    }
    if let Some(conflict) = planned.plan.conflicts.iter().find(|one| one.integration == id && one.keeps()) {
        return Some(format!("{id}: {}", conflict.message));
    }
    if let Some(kept) = planned.plan.kept.iter().find(|kept| kept.id == id) {
        let why = match kept.why {
            KeptWhy::Quarantined => "it was rolled back",
            KeptWhy::Invalid => "its manifest is invalid",
            KeptWhy::ForeignRow => "a row that Sower did not write holds its id",
            KeptWhy::Understated => "its version does not say that it breaks its users",
            KeptWhy::AwaitsRollout => "it needs a version that is being rolled out",
            KeptWhy::NotPruned
            | KeptWhy::PruneDisabled
            | KeptWhy::SourceKeepsAll
            | KeptWhy::Orphaned
            | KeptWhy::NotNamed
            | KeptWhy::NotPromoted => "it stays as it is",
        };
        return Some(format!("{id}: {why}"));
    }
    if let Some(excluded) = planned.plan.excluded.iter().find(|excluded| excluded.id == id) {
        return Some(format!("{id}: {}", excluded.why.message()));
    }
    match planned.state.rows.get(id).filter(|row| !row.removed) {
        Some(_) => None,
        None => Some(format!("{id} is offered by no source of {}", planned.plan.environment)),
    }
}

/// What would come of it.
fn foretell(planned: &Planned, args: &PromoteArgs, context: &Context) -> Result<Exit, Failure> {
    let named = |id: &str| args.ids.iter().any(|named| named == id);
    let operations: Vec<_> =
        changes::in_order(&planned.plan.operations).into_iter().filter(|one| named(&one.id)).collect();
    let lines: Vec<String> =
        operations.iter().map(|operation| changes::operation(operation, &planned.state)).collect();
    if args.output != Format::Table {
        let changes: Vec<_> = operations
            .iter()
            .map(|one| {
                let version = |content: &Option<sower_core::plan::Content>| {
                    content.as_ref().map(|content| content.version.clone())
                };
                json!({ "integration": one.id, "from": version(&one.from), "to": version(&one.to) })
            })
            .collect();
        let document = document::Fields::default().with("environment", &args.to).with("changes", changes);
        document::write(&context.style, args.output, &document)?;
        return Ok(Exit::Done);
    }
    match lines.is_empty() {
        true => context.style.say(&format!("Nothing to do: {} has them already\n", args.to)),
        false => context.style.say(&format!("{}\n", lines.join("\n"))),
    }
    Ok(Exit::Done)
}

async fn in_cluster(args: &PromoteArgs, context: &Context) -> Result<Exit, Failure> {
    let waiting = args.timeout.as_deref().unwrap_or("5m");
    let timeout = parse(waiting).map_err(|bad| Failure::usage(format!("--timeout: {bad}")))?;
    let cluster = Cluster::connect(&args.at).await?;
    if args.dry_run {
        let id = args.ids.first().map_or("ID", String::as_str);
        return Err(Failure::usage("--dry-run is for files: `sower explain` says what waits in a cluster")
            .next("what waits", format!("sower explain {id} -e {}{}", args.to, cluster.flags)));
    }
    let environments = cluster.environments().await?;
    let names: Vec<String> = environments.iter().map(kube::ResourceExt::name_any).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let asked = Asked { environment: Some(&args.to), all: false };
    let chosen = choice::to_change(&typed(args), &names, asked)
        .map_err(|failure| with_flags(failure, &cluster.flags))?;
    let [index] = chosen.as_slice() else { return Err(Failure::usage("which environment?")) };
    let environment: &Environment = &environments[*index];
    let from = from(args, &environment.spec, &cluster.flags)?;
    let style = &context.style;
    style.hint(&cluster.from());
    let by = person::name(std::path::Path::new("."));
    let annotations = json!({ PROMOTE: args.ids.join(","), PROMOTED_BY: by });
    let request = Request { annotations, timeout, waiting, no_wait: args.no_wait, plan: None };
    if !args.no_wait {
        style.hint("asked the operator; waiting");
    }
    let answer = tokio::select! {
        answer = ask(&cluster, environment, &request) => answer,
        () = context.cancel.cancelled() => {
            style.note("No longer waiting: the operator goes on by itself.");
            return Ok(Exit::Interrupted);
        }
    };
    let answer = match answer {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            if for_people(args.output) {
                style.say(&format!("Asked the operator to promote {}\n", args.ids.join(", ")));
            }
            return Ok(Exit::Done);
        }
        Err(trouble) => {
            style.note(&trouble.failure.text());
            document::write_each(style, args.output, true, &[trouble.report(&args.to, 0)])?;
            return Ok(trouble.failure.exit);
        }
    };
    let named = answer.after.waiting.iter().filter(|one| args.ids.contains(&one.integration));
    let (let_in, waits): (Vec<&WaitingStatus>, Vec<&WaitingStatus>) =
        named.partition(|one| one.reason.starts_with(LET_IN));
    let let_in: Vec<&str> = let_in.into_iter().map(|one| one.integration.as_str()).collect();
    let unwritten = let_in_alone(&let_in);
    let (report, exit) = answer::tell(&args.to, &answer, &cluster, args.output, Some(&unwritten), context);
    let waits = waits.into_iter().filter(|one| !let_in.contains(&one.integration.as_str()));
    let waits = waits.map(|one| format!("{} {} {}", one.integration, one.version, one.reason));
    let nothing = answer
        .of_which_nothing_came(&args.ids)
        .map(|id| format!("{id} does not wait for {from}: {} has it, or {from} does not carry it", args.to));
    let refused: Vec<String> = waits.chain(nothing).collect();
    document::write_each(style, args.output, true, &[report])?;
    if refused.is_empty() {
        return Ok(exit);
    }
    let failure = Failure::refused(refused.join("; "))
        .next("how it stands", format!("sower status -e {}{}", args.to, cluster.flags));
    style.note(&failure.text());
    Ok(exit.worse(failure.exit))
}
