//! `sower apply`: approves exactly one plan. With files it is applied here, in a cluster by the operator.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use kube::ResourceExt;
use serde::Deserialize;
use serde_json::{Value, json};
use sower_controllers::reason::Reason;
use sower_controllers::rollout::Stepped;
use sower_controllers::seeding::{Approval, Approved, Job, Refusal, Seeded, SeedingError, Stale};
use sower_core::gate::HeldReason;
use sower_core::manifest::LoadedEnvironment;
use sower_core::report::Report;
use sower_crds::environment::ApprovalResult;
use sower_crds::period::parse;
use sower_crds::{APPROVE, APPROVED_BY, Environment};

use super::cluster::{Request, ask, with_flags};
use super::{Tried, answer, source_at, told};
use crate::choice::Asked;
use crate::cli::{ApplyArgs, TargetKind};
use crate::cluster::Cluster;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::neighbours::Holds;
use crate::output::progress::Progress;
use crate::output::{document, time};
use crate::person;
use crate::project::Project;
use crate::settings::{Settings, quoted};
use crate::trouble::{NOTHING_WRITTEN, Trouble, nothing_to_do};

/// Bytes of a plan's file.
const LARGEST: u64 = 64 << 20;

/// What is approved.
struct Wanted {
    approval: Approval,
    environment: Option<String>,
    only: Option<BTreeSet<String>>,
    reseed: bool,
}

/// What of `sower plan -o json` is needed.
#[derive(Deserialize)]
struct Planned {
    environment: String,
    hash: Option<String>,
    #[serde(default)]
    only: Option<BTreeSet<String>>,
    #[serde(default)]
    reseed: bool,
}

/// Runs it.
///
/// # Errors
/// Usage, and whatever keeps the plan from being applied.
pub async fn apply(args: &ApplyArgs, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    let wanted = wanted(args, settings.root.as_deref().unwrap_or(Path::new(".")))?;
    match settings.target.value {
        TargetKind::Files => files(args, wanted, settings, context).await,
        TargetKind::Cluster => in_cluster(args, wanted, context).await,
    }
}

fn wanted(args: &ApplyArgs, root: &Path) -> Result<Wanted, Failure> {
    let by = args.approved_by.clone().unwrap_or_else(|| person::name(root));
    let path = Path::new(&args.plan);
    if !path.is_file() {
        let approval = Approval::new(&args.plan, &by).ok_or_else(|| {
            Failure::usage(format!(
                "{} is neither a file nor a hash: those have at least 12 hex digits",
                args.plan
            ))
            .next("which plan waits", "sower plan")
        })?;
        return Ok(Wanted { approval, environment: args.environment.clone(), only: None, reseed: false });
    }
    let Planned { environment, hash, only, reseed } = read(path, args.environment.as_deref())?;
    let approval = hash.as_deref().and_then(|hash| Approval::new(hash, &by));
    let approval = approval.ok_or_else(|| {
        Failure::usage(format!("{} holds no plan: it tells why there was none", path.display()))
    })?;
    if let Some(other) = args.environment.as_ref().filter(|other| **other != environment) {
        return Err(Failure::usage(format!(
            "{} is a plan for {environment}, not for {other}",
            path.display()
        )));
    }
    Ok(Wanted { approval, environment: Some(environment), only, reseed })
}

/// The plan of a file: the only one, or that of the environment that is named.
fn read(path: &Path, environment: Option<&str>) -> Result<Planned, Failure> {
    let shown = path.display();
    let unreadable =
        |why: String| Failure::usage(format!("{shown} is no plan of `sower plan -o json`: {why}"));
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > LARGEST {
        return Err(unreadable(format!("it has more than {LARGEST} bytes")));
    }
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    let all = match value {
        Value::Array(all) => all,
        one => vec![one],
    };
    let all: Vec<Planned> = all
        .into_iter()
        .map(|one| serde_json::from_value(one).map_err(|error| unreadable(error.to_string())))
        .collect::<Result<_, _>>()?;
    let named: Vec<&str> = all.iter().map(|plan| plan.environment.as_str()).collect();
    let one_of = || {
        Failure::usage(format!("which plan? {shown} has those of {}", named.join(", ")))
            .next("one", format!("sower apply {shown} -e {}", named.first().unwrap_or(&"NAME")))
    };
    let meant = match (environment, all.len()) {
        (None, 1) => 0,
        (None, _) => return Err(one_of()),
        (Some(name), _) if all.len() == 1 || named.contains(&name) => {
            named.iter().position(|known| *known == name).unwrap_or(0)
        }
        (Some(_), _) => return Err(one_of()),
    };
    all.into_iter().nth(meant).ok_or_else(|| unreadable("it is empty".to_owned()))
}

async fn files(
    args: &ApplyArgs,
    wanted: Wanted,
    settings: Settings,
    context: &Context,
) -> Result<Exit, Failure> {
    super::no_waiting(args.timeout.is_some(), args.no_wait)?;
    let project = Project::open(settings)?;
    project.draw_problems(&context.style);
    let asked = Asked { environment: wanted.environment.as_deref(), all: false };
    let typed = format!("apply {}", quoted(&args.plan));
    let chosen =
        project.to_change(&typed, asked).map_err(|failure| with_flags(failure, &project.settings.given))?;
    let Some(environment) = chosen.first().copied() else { return Ok(Exit::Done) };
    let started = Instant::now();
    let progress = Progress::start(&context.style, format!("applying to {}", environment.name));
    let approved = approve(&project, environment, &wanted, context).await;
    drop(progress);
    project.databases.close().await;
    let style = &context.style;
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (approved, stepped, stuck) = match approved {
        Ok((approved, stepped, stuck)) => (Ok(approved), stepped, stuck),
        Err(trouble) => (Err(trouble), Stepped::default(), None),
    };
    let (result, exit) = match approved {
        Err(trouble) if context.cancel.is_cancelled() => {
            style.note("Interrupted. Nothing was written.");
            let _ = trouble;
            return Ok(Exit::Interrupted);
        }
        Err(trouble) => (Err(trouble), None),
        Ok(Approved::Applied(seeded) | Approved::Waits(seeded)) => (Ok(seeded), None),
        Ok(Approved::Before { seeding, by }) => {
            let seeding = seeding.map(|number| format!(" as seeding {number}")).unwrap_or_default();
            let plan = &wanted.approval.plan()[..12];
            style.hint(&project.from(&[], &[environment]));
            if super::for_people(args.output) {
                style.say(&format!("Nothing to do: plan {plan} was applied{seeding}, approved by {by}\n"));
            }
            document::write_each(style, args.output, true, &[nothing_to_do(&environment.name)])?;
            return Ok(Exit::Done);
        }
        Ok(Approved::Refused(refusal)) => {
            let failure = refused(&refusal, &environment.name, &project.settings.given);
            (Err(Trouble::of(Reason::ApprovalRequired, failure)), Some(Exit::Refused))
        }
    };
    let tried = Tried { environment, result, stepped, stuck, reading: None, kept: Vec::new(), milliseconds };
    style.hint(&project.from(&[source_at(&project, &tried)], &[environment]));
    let ended = match &tried.result {
        Ok(seeded) => {
            if matches!(seeded, Seeded::Held { held, .. } if held.reason == HeldReason::Frozen) {
                style.hint("The approval is kept: the first seeding after the freeze applies the plan.");
            }
            told::tell(&tried, seeded, &project, args.output, style)
        }
        Err(trouble) => {
            style.note(&trouble.failure.text());
            trouble.failure.exit
        }
    };
    let ended = tried.stuck.iter().fold(exit.unwrap_or(ended), |ended, stuck| {
        style.note(&stuck.failure.text());
        ended.worse(stuck.failure.exit)
    });
    let report: Report = super::report(&tried);
    document::write_each(style, args.output, true, &[report])?;
    Ok(ended)
}

async fn approve(
    project: &Project,
    environment: &LoadedEnvironment,
    wanted: &Wanted,
    context: &Context,
) -> Result<(Approved, Stepped, Option<Trouble>), Trouble> {
    let name = &environment.name;
    if environment.spec.suspend {
        return Err(Trouble::suspended(name, &project.place(environment, "/suspend")));
    }
    let job = project.job(environment).map_err(|failure| Trouble::of(Reason::InvalidSpec, failure))?;
    let opened = project.databases.of(&project.settings, environment).await;
    let store = opened.map_err(|error| Trouble::database(error, name))?;
    let neighbours = project.neighbours();
    if let Some(holds) = neighbours.holds(environment, &store, &job).await {
        let trouble = match holds {
            Holds::Waits(why) => Trouble::waits(name, &why, NOTHING_WRITTEN),
            Holds::Else(trouble) => trouble,
        };
        return Err(trouble.asked_of(&project.settings));
    }
    let upstream = neighbours.upstream(environment).await;
    let job = Job { only: wanted.only.clone(), reseed: wanted.reseed, upstream, ..job };
    let seeder = project.seeder(None, None).map_err(|failure| Trouble::of(Reason::SeedingFailed, failure))?;
    let failed = |error: SeedingError| Trouble::new(&error, name).asked_of(&project.settings);
    let approved = seeder.approve(&store, &job, &wanted.approval, &context.cancel).await.map_err(failed)?;
    // What begins with it takes its first step now.
    let (mut stepped, mut stuck) = (Stepped::default(), None);
    if matches!(&approved, Approved::Applied(seeded) if seeded.report().staged > 0) {
        let done = seeder.step_each(&store, &project.steps(environment), &mut stepped).await;
        stuck = done.err().map(|error| super::stuck(project, environment, &error));
    }
    Ok((approved, stepped, stuck))
}

/// `plan 7c1e09b4d2f8 is stale: seeding 58 came first, 2 min ago. Nothing was written.`
fn refused(refusal: &Refusal, environment: &str, flags: &str) -> Failure {
    let told = match (&refusal.why, &refusal.current) {
        (Stale::Seeded { at: Some(at), .. }, _) => {
            format!("{}, {}", refusal.told(), time::ago(*at, jiff::Timestamp::now()))
        }
        (Stale::Unknown, Some(current)) => {
            format!(
                "plan {} is stale: what would be applied now is plan {}",
                short(&refusal.plan),
                short(current)
            )
        }
        _ => refusal.told(),
    };
    Failure::refused(format!("{told}. Nothing was written."))
        .next("see the new one", format!("sower plan -e {environment}{flags}"))
}

fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Asks the operator to apply it, and waits.
async fn in_cluster(args: &ApplyArgs, wanted: Wanted, context: &Context) -> Result<Exit, Failure> {
    let waiting = args.timeout.as_deref().unwrap_or("5m");
    let timeout = parse(waiting).map_err(|bad| Failure::usage(format!("--timeout: {bad}")))?;
    if wanted.only.is_some() {
        return Err(Failure::usage("an operator plans all integrations: make the plan without --only"));
    }
    if wanted.reseed {
        return Err(Failure::usage("an operator writes what differs: make the plan without --reseed"));
    }
    let cluster = Cluster::connect(&args.at).await?;
    let asked = Asked { environment: wanted.environment.as_deref(), all: false };
    let chosen = cluster.to_change(&format!("apply {}", quoted(&args.plan)), asked).await?;
    let Some(environment) = chosen.first() else { return Ok(Exit::Done) };
    let style = &context.style;
    style.hint(&cluster.from());
    if !args.no_wait {
        style.hint("asked the operator; waiting (fetch, plan, apply)");
    }
    let annotations = json!({ APPROVE: wanted.approval.plan(), APPROVED_BY: wanted.approval.by() });
    let request =
        Request { annotations, timeout, waiting, no_wait: args.no_wait, plan: Some(wanted.approval.plan()) };
    let progress = Progress::start(style, "the operator is at it");
    let answered = tokio::select! {
        answered = ask(&cluster, environment, &request) => answered,
        () = context.cancel.cancelled() => {
            drop(progress);
            style.note("No longer waiting: the operator goes on by itself.");
            return Ok(Exit::Interrupted);
        }
    };
    drop(progress);
    let (report, exit) = told_of(answered, environment, &wanted, &cluster, args, context);
    document::write_each(style, args.output, report.is_some(), report.as_slice())?;
    Ok(exit)
}

fn told_of(
    answered: Result<Option<answer::Answer>, Trouble>,
    environment: &Environment,
    wanted: &Wanted,
    cluster: &Cluster,
    args: &ApplyArgs,
    context: &Context,
) -> (Option<Report>, Exit) {
    let (style, name) = (&context.style, environment.name_any());
    let answer = match answered {
        Ok(Some(answer)) => answer,
        Ok(None) => {
            if super::for_people(args.output) {
                style.say(&format!(
                    "Asked the operator to apply {} to {name}\n",
                    short(wanted.approval.plan())
                ));
            }
            return (None, Exit::Done);
        }
        Err(trouble) => {
            style.note(&trouble.failure.text());
            return (Some(trouble.report(&name, 0)), trouble.failure.exit);
        }
    };
    let approval = answer.after.approval.as_ref().filter(|approval| approval.plan == wanted.approval.plan());
    if let Some(refused) = approval
        && matches!(refused.result, ApprovalResult::Refused | ApprovalResult::Unknown)
    {
        let told = crate::trouble::sentence(&refused.message);
        let failure = Failure::refused(format!("{told}. Nothing was written."))
            .next("see the new one", format!("sower plan -e {name}{}", cluster.flags));
        style.note(&failure.text());
        let trouble = Trouble::of(Reason::ApprovalRequired, failure);
        return (Some(trouble.report(&name, answer.milliseconds)), Exit::Refused);
    }
    let answer = if approval.is_some_and(|approval| approval.result == ApprovalResult::Applied) {
        answer.of_what_was_applied()
    } else {
        answer
    };
    let (report, exit) = answer::tell(&name, &answer, cluster, args.output, None, context);
    (Some(report), exit)
}
