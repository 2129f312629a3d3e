//! `sower seed`: makes an environment's database equal to git.

mod answer;
mod apply;
mod cluster;
mod promote;
mod told;

use std::collections::BTreeSet;
use std::time::Instant;

use futures::stream::{self, StreamExt as _};
use sower_controllers::drift;
use sower_controllers::reason::Reason;
use sower_controllers::rollout::Stepped;
use sower_controllers::seeding::{Job, Reading, Seeded, Seeder, SeedingError};
use sower_core::manifest::LoadedEnvironment;
use sower_core::promotion::{Why, depends};
use sower_core::report::Report;
use sower_core::resolution::{Once, Resolutions};
use sower_store::Store;

use crate::choice::Asked;
use crate::cli::{Format, SeedArgs, TargetKind};
use crate::commands::Context;
use crate::failure::{self, Exit, Failure};
use crate::neighbours::Holds;
use crate::output::document;
use crate::output::progress::Progress;
use crate::project::Project;
use crate::settings::Settings;
use crate::trouble::Trouble;

pub use answer::refusal;
pub use apply::apply;
pub use cluster::with_flags;
pub use promote::promote;
pub use told::{draw, held_text, is_whole_file, removed, revision};

/// Runs it.
///
/// # Errors
/// Usage, where it is not plain what to seed; what befalls an environment is printed with the others.
pub async fn run(args: &SeedArgs, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    match settings.target.value {
        TargetKind::Files => files(args, settings, context).await,
        TargetKind::Cluster => cluster::seed(args, &settings, context).await,
    }
}

/// Environments that are seeded side by side.
const SIDE_BY_SIDE: usize = 8;
/// The code of an integration whose id is held by somebody else's row.
pub const FOREIGN_ROW: &str = "foreign-row";

/// What became of one environment.
struct Tried<'a> {
    environment: &'a LoadedEnvironment,
    result: Result<Seeded, Trouble>,
    /// The sources, where problems are to be drawn.
    reading: Option<Reading>,
    /// What became of its rollouts.
    stepped: Stepped,
    /// Why one of them could not move, whatever became of the seeding.
    stuck: Option<Trouble>,
    /// What stays of the integrations that are refused: id and version.
    kept: Vec<(String, String)>,
    milliseconds: u64,
}

/// With files there is no operator to wait for, so what says how to wait is an error.
pub(super) fn no_waiting(timeout: bool, no_wait: bool) -> Result<(), Failure> {
    for (set, flag) in [(timeout, "--timeout"), (no_wait, "--no-wait")] {
        if set {
            return Err(Failure::usage(format!(
                "{flag} is for a cluster: with files no operator is waited for"
            )));
        }
    }
    Ok(())
}

async fn files(args: &SeedArgs, settings: Settings, context: &Context) -> Result<Exit, Failure> {
    no_waiting(args.timeout.is_some(), args.no_wait)?;
    once(args)?;
    let project = Project::open(settings)?;
    let refused = project.draw_problems(&context.style);
    let asked = Asked { environment: args.environment.as_deref(), all: args.all };
    let chosen =
        project.to_change("seed", asked).map_err(|failure| with_flags(failure, &project.settings.given))?;
    let seeder = project.seeder(None, None)?;
    // What comes of a flag is no news of the environment: the next seeding goes without it.
    let seeder = if project.settings.is_one_off() { seeder } else { seeder.noting() };
    let progress = Progress::start(&context.style, progress_text(&chosen));
    let mut tried: Vec<Tried<'_>> = Vec::new();
    // Who is waited for goes first.
    for round in rounds(&chosen) {
        let seedings =
            round.into_iter().map(|environment| one(&project, &seeder, environment, args, context));
        tried.extend(stream::iter(seedings).buffered(SIDE_BY_SIDE).collect::<Vec<_>>().await);
    }
    tried.sort_by(|a, b| a.environment.name.cmp(&b.environment.name));
    drop(progress);
    project.databases.close().await;
    if context.cancel.is_cancelled() && tried.iter().all(|tried| tried.result.is_err()) {
        context.style.note("Interrupted. Nothing was written.");
        return Ok(Exit::Interrupted);
    }
    let sources: Vec<String> = tried.iter().map(|tried| source_at(&project, tried)).collect();
    context.style.hint(&project.from(&sources, &chosen));
    let befell: Vec<(&str, Failure)> = tried
        .iter()
        .flat_map(|one| {
            let failures = one.result.as_ref().err().into_iter().chain(&one.stuck);
            failures.map(|trouble| (one.environment.name.as_str(), trouble.failure.clone()))
        })
        .collect();
    failure::each_once(&befell, |failure| context.style.note(&failure.text()));
    let mut exit = if refused > 0 && args.all { Exit::Failed } else { Exit::Done };
    for tried in &tried {
        exit = exit.worse(match &tried.result {
            Ok(seeded) => told::tell(tried, seeded, &project, args.output, &context.style),
            Err(trouble) => {
                told::moved(tried, args.output, &context.style);
                trouble.failure.exit
            }
        });
        exit = tried.stuck.iter().fold(exit, |exit, stuck| exit.worse(stuck.failure.exit));
    }
    if context.cancel.is_cancelled() && tried.iter().any(|tried| tried.result.is_err()) {
        exit = Exit::Interrupted;
    }
    let reports: Vec<Report> = tried.iter().map(report).collect();
    document::write_each(&context.style, args.output, args.environment.is_some(), &reports)?;
    Ok(exit)
}

/// The environments in the order in which they wait for each other.
fn rounds<'a>(chosen: &[&'a LoadedEnvironment]) -> Vec<Vec<&'a LoadedEnvironment>> {
    let waits: depends::Waits<'_> =
        chosen.iter().map(|one| (one.name.as_str(), depends::waits_for(&one.spec).collect())).collect();
    let named = |name: &str| chosen.iter().copied().find(|one| one.name == name);
    let rounds = depends::rounds(&waits).into_iter();
    rounds.map(|round| round.into_iter().filter_map(named).collect()).collect()
}

/// What is to be done about conflicts this once, by integration.
fn once(args: &SeedArgs) -> Result<Once, Failure> {
    let Some(said) = &args.resolve else { return Ok(Once::new()) };
    let bad = |why: String| Failure::usage(format!("--resolve: {why}"));
    let said: Resolutions = said.parse().map_err(bad)?;
    said.lasts().map_err(bad)?;
    Ok(args.only.iter().map(|id| (id.clone(), said)).collect())
}

fn progress_text(chosen: &[&LoadedEnvironment]) -> String {
    match chosen {
        [only] => format!("seeding {}", only.name),
        several => format!("seeding {} environments", several.len()),
    }
}

async fn one<'a>(
    project: &Project,
    seeder: &Seeder,
    environment: &'a LoadedEnvironment,
    args: &SeedArgs,
    context: &Context,
) -> Tried<'a> {
    let started = Instant::now();
    let job = project.job(environment).map(|job| Job {
        take_over: args.take_over,
        only: (!args.only.is_empty()).then(|| args.only.iter().cloned().collect()),
        reseed: args.reseed,
        resolve: once(args).unwrap_or_default(),
        ..job
    });
    let mut tried = Tried {
        environment,
        result: Err(Trouble::suspended(&environment.name, &project.place(environment, "/suspend"))),
        reading: None,
        stepped: Stepped::default(),
        stuck: None,
        kept: Vec::new(),
        milliseconds: 0,
    };
    match job {
        _ if environment.spec.suspend => {}
        Ok(job) => tried = seed(project, seeder, tried, &job, context).await,
        Err(failure) => {
            tried.result = Err(Trouble::of(Reason::InvalidSpec, failure));
            if let Ok(store) = project.databases.of(&project.settings, environment).await {
                tried = stepped_alone(project, seeder, tried, &store).await;
            }
        }
    }
    tried.milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tried
}

/// What cannot be seeded keeps nothing from moving that is rolled out: that waits for nobody, and no source.
async fn stepped_alone<'a>(
    project: &Project,
    seeder: &Seeder,
    mut tried: Tried<'a>,
    store: &Store,
) -> Tried<'a> {
    let environment = tried.environment;
    let done = seeder.step_each(store, &project.steps(environment), &mut tried.stepped).await;
    tried.stuck = done.err().map(|error| stuck(project, environment, &error));
    tried
}

fn stuck(project: &Project, environment: &LoadedEnvironment, error: &SeedingError) -> Trouble {
    Trouble::beside(error, &environment.name).asked_of(&project.settings)
}

async fn seed<'a>(
    project: &Project,
    seeder: &Seeder,
    mut tried: Tried<'a>,
    job: &Job,
    context: &Context,
) -> Tried<'a> {
    let environment = tried.environment;
    let ended = |trouble: Trouble| Err(trouble.asked_of(&project.settings));
    let store = match project.databases.of(&project.settings, environment).await {
        Ok(store) => store,
        Err(error) => return Tried { result: ended(Trouble::database(error, &environment.name)), ..tried },
    };
    let neighbours = project.neighbours();
    let job = &Job { upstream: neighbours.upstream(environment).await, ..job.clone() };
    let holds = neighbours.holds(environment, &store, job).await;
    if let Some(Holds::Else(trouble)) = holds {
        tried.result = ended(trouble);
        return stepped_alone(project, seeder, tried, &store).await;
    }
    if let Some(Holds::Waits(why)) = holds {
        let waiting = seeder.look(&store, job, &context.cancel).await.unwrap_or_else(|error| {
            tracing::warn!("what the sources offer meanwhile is not noted: {}", error.full());
            None
        });
        let waiting = waiting.unwrap_or_default();
        let let_in = waiting.iter().filter(|waiting| matches!(waiting.why, Why::LetIn { .. }));
        let unwritten = told::let_in_alone(&let_in.map(|one| one.integration.as_str()).collect::<Vec<_>>());
        tried.result = ended(Trouble::waits(&environment.name, &why, &unwritten));
        return stepped_alone(project, seeder, tried, &store).await;
    }
    let mended = drift::mending(&store, job.clone()).await;
    let seeded = match mended {
        Ok(job) => seeder.seed(&store, &job, &context.cancel).await,
        Err(error) => Err(error),
    };
    let stepped = seeder.step_each(&store, &project.steps(environment), &mut tried.stepped).await;
    // What keeps both from their end is told once.
    let told = seeded.as_ref().err().map(SeedingError::full);
    let stepped = stepped.err().filter(|error| told != Some(error.full()));
    tried.stuck = stepped.map(|error| stuck(project, environment, &error));
    let seeded = match seeded {
        Ok(seeded) => seeded,
        Err(error) => {
            let secret = project.secrets.shown(job, error.source_name.as_deref());
            let trouble = Trouble::new(&error, &environment.name).showing(secret);
            return Tried { result: ended(trouble), ..tried };
        }
    };
    let (mut reading, mut kept) = (None, Vec::new());
    if !seeded.report().errors.is_empty() {
        // Nothing new was read, and something is still wrong: it is read again, to be shown.
        if seeded.planned().is_none() {
            reading = seeder.read(job, &context.cancel).await.ok();
        }
        let read = seeded.planned().map(|planned| &planned.reading).or(reading.as_ref());
        kept = what_stays(&store, seeded.report(), read).await;
    }
    Tried { result: Ok(seeded), reading, kept, ..tried }
}

/// The version that stays of each integration whose manifest is refused. Where that cannot be read, less is said.
async fn what_stays(store: &Store, report: &Report, reading: Option<&Reading>) -> Vec<(String, String)> {
    let invalid = report.errors.iter().filter(|error| error.code != FOREIGN_ROW);
    let mut refused: BTreeSet<String> = invalid.filter_map(|error| error.integration.clone()).collect();
    let without_id = reading.into_iter().flat_map(Reading::found).filter(|found| found.id.is_none());
    let unread: BTreeSet<(&str, &str)> =
        without_id.map(|found| (&*found.place.source, &*found.place.path)).collect();
    if !unread.is_empty()
        && let Ok(here) = store.state(&report.environment).await
    {
        let offered: BTreeSet<&str> =
            reading.into_iter().flat_map(Reading::found).filter_map(|found| found.id.as_deref()).collect();
        let rows = here.state.rows.values().filter(|row| !row.removed && !offered.contains(&*row.id));
        refused.extend(
            rows.filter(|row| unread.contains(&(&*row.source, &*row.path))).map(|row| row.id.clone()),
        );
    }
    let listed = store.integrations(Some(&report.environment)).await.unwrap_or_default();
    let stays = listed.into_iter().filter(|listed| refused.contains(&listed.id));
    stays.map(|listed| (listed.id, listed.version)).collect()
}

fn source_at(project: &Project, tried: &Tried<'_>) -> String {
    let revision = tried.result.as_ref().ok().map(told::revision);
    project.source_at(tried.environment, revision.as_deref())
}

fn report(tried: &Tried<'_>) -> Report {
    let mut report = match &tried.result {
        Ok(Seeded::Held { held, report, .. }) => {
            let guard = sower_core::report::Failure {
                integration: None,
                code: held.reason.as_str().to_owned(),
                location: None,
                message: held.message.clone(),
            };
            let errors = std::iter::once(guard).chain(report.errors.iter().cloned()).collect();
            Report { errors, ..report.clone() }
        }
        Ok(seeded) => seeded.report().clone(),
        Err(trouble) => trouble.report(&tried.environment.name, tried.milliseconds),
    };
    report.errors.extend(tried.stuck.iter().map(Trouble::entry));
    report
}

/// Whether lines for people are printed to standard output.
fn for_people(format: Format) -> bool {
    format == Format::Table
}
