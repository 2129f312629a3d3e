//! `sower adopt`: rows that were made by hand before Sower are taken over, where manifests say what they say.

mod place;
mod told;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Map;
use sower_controllers::seeding::{Job, Planned, SeedingError};
use sower_core::adopt::{Differs, HandMade, fits};
use sower_core::catalog::{Found, Place};
use sower_core::manifest::LoadedEnvironment;
use sower_core::plan::{Content, Operation, Verb};
use sower_store::{
    Adopt, Adoption, Applied, Begin, DatabaseUrl, Migrate, Options, Store, StoreError, TakenOver,
};

use crate::choice::Asked;
use crate::cli::{AdoptArgs, TargetKind};
use crate::commands::Context;
use crate::databases;
use crate::failure::{Exit, Failure};
use crate::output::document;
use crate::output::progress::Progress;
use crate::project::Project;
use crate::settings::{Settings, quoted};
use crate::trouble::Trouble;

/// Integrations whose rows are compared at a time.
const PAGE: usize = 200;

/// What becomes of the hand-made rows of one integration.
enum Fate {
    /// They are taken over.
    Adopted {
        /// The version that they are.
        version: String,
        /// Rows that somebody else wrote.
        rows: usize,
    },
    /// They are not what the manifest says.
    Differs(Vec<Differs>),
    /// Its manifest is refused: what is wrong is drawn.
    Invalid,
    /// The environment would not carry it, and the next seeding would take its rows out.
    Excluded(String),
    /// The folder has no manifest of it.
    Unnamed,
}

/// All that an adoption found.
struct Looked {
    planned: Planned,
    fates: Vec<(String, Fate)>,
    adoptions: Vec<Adoption>,
    /// Manifests of the folder that no row of somebody else's belongs to.
    beside: usize,
    /// What became of tables of somebody else's.
    taken: Option<TakenOver>,
    /// Who adopts.
    by: String,
}

/// Runs it.
///
/// # Errors
/// Usage, where it is not plain what to adopt; else what keeps the rows from being read or written.
pub async fn run(args: &AdoptArgs, context: &Context) -> Result<Exit, Failure> {
    let settings = Settings::read(&args.at, false)?;
    if settings.target.value == TargetKind::Cluster {
        return Err(Failure::usage(
            "rows are adopted from files, before an operator keeps their environment",
        )
        .next("here", "sower adopt DIR -e ENVIRONMENT --database URL, without the flags of a cluster")
        .next("then", "annotate the Environment with sower.dev/take-over: \"true\""));
    }
    let project = Project::open(settings)?;
    project.draw_problems(&context.style);
    let asked = Asked { environment: args.environment.as_deref(), all: false };
    let typed = format!("adopt {}", quoted(&args.dir.display().to_string()));
    let chosen = project.to_change(&typed, asked)?;
    let &[environment] = chosen.as_slice() else {
        return Err(project
            .to_change(&typed, Asked::default())
            .err()
            .unwrap_or_else(|| Failure::usage("which environment?")));
    };
    let place = place::of(&args.dir, &project, environment)?;
    let progress = Progress::start(&context.style, "comparing");
    let trouble =
        |error: SeedingError| Trouble::new(&error, &environment.name).asked_of(&project.settings).failure;
    if environment.spec.suspend {
        return Err(Trouble::suspended(&environment.name, &project.place(environment, "/suspend")).failure);
    }
    let Opened { store, taken, _folder } = open(&project, environment, args.dry_run)
        .await
        .map_err(|error| Trouble::database(error, &environment.name).asked_of(&project.settings).failure)?;
    let job = Job { sources: vec![place.source.clone()], ..project.job(environment)? };
    let planned = project.seeder(None, None)?.plan(&store, &job, &context.cancel).await.map_err(trouble)?;
    let looked =
        look(&store, environment, planned, &place, taken).await.map_err(|error| trouble(error.into()))?;
    let applied = match looked.adoptions.is_empty() || args.dry_run {
        true => None,
        false => Some(write(&store, &job, &looked).await.map_err(|error| trouble(error.into()))?),
    };
    drop(progress);
    project.databases.close().await;
    let source = format!("{} at {}", args.dir.display(), looked.planned.reading.revision_short());
    context.style.hint(&project.from(&[source], &[environment]));
    super::seed::draw(&looked.planned.reading, &context.style);
    let told = told::Told { environment, args, looked: &looked, applied: applied.as_ref() };
    if !document::write(&context.style, args.output, &told.document())? {
        told.tell(context, &project.settings.given);
    }
    Ok(told.exit())
}

/// The database, and what became of tables of somebody else's in it.
struct Opened {
    store: Store,
    taken: Option<TakenOver>,
    /// Holds the empty database that stands for one whose tables were taken over and given back.
    _folder: Option<tempfile::TempDir>,
}

/// Opens the database of an environment. Tables of somebody else's are taken over; on a dry run they are given back.
async fn open(project: &Project, environment: &LoadedEnvironment, dry: bool) -> Result<Opened, StoreError> {
    let settings = &project.settings;
    let foreign = match project.databases.of(settings, environment).await {
        Ok(store) => return Ok(Opened { store, taken: None, _folder: None }),
        Err(error @ StoreError::SchemaForeign { .. }) => error,
        Err(error) => return Err(error),
    };
    // Whoever makes the tables by hand renames those that are in the way by hand, too.
    if databases::migrate(&environment.spec) == Migrate::Never {
        return Err(foreign);
    }
    let url = databases::url(settings, &environment.name)?;
    let options = Options { statement_timeout: COPYING, ..Options::default() };
    let taken = Store::take_over(&url, &options, &environment.name, dry).await?;
    if !dry {
        let store = project.databases.of(settings, environment).await?;
        return Ok(Opened { store, taken: Some(taken), _folder: None });
    }
    let none = |error: std::io::Error| StoreError::Unavailable {
        database: "a temporary file".into(),
        host: "this machine".into(),
        cause: error.to_string(),
    };
    let folder = tempfile::tempdir().map_err(none)?;
    let url = DatabaseUrl::parse(&format!("sqlite://{}", folder.path().join("empty.db").display()))?;
    let store = Store::open(&url, &Options::default()).await?;
    Ok(Opened { store, taken: Some(taken), _folder: Some(folder) })
}

/// How long a table may take to be copied.
const COPYING: Duration = Duration::from_secs(600);

/// Compares what somebody else wrote with the manifests of the folder.
async fn look(
    store: &Store,
    environment: &LoadedEnvironment,
    planned: Planned,
    place: &place::Lies,
    mut taken: Option<TakenOver>,
) -> Result<Looked, StoreError> {
    let by = crate::person::name(&place.root);
    let strangers = store.strangers(&environment.name).await?;
    let ids: Vec<&str> = strangers.integrations().into_iter().collect();
    let (mut fates, mut adoptions) = (Vec::new(), Vec::new());
    // Those of a dry run are in no database any more.
    let given_back = taken.as_mut().map(|taken| std::mem::take(&mut taken.rows)).unwrap_or_default();
    let mut pages = ids.chunks(PAGE);
    let mut page = given_back;
    loop {
        for hand in page {
            let id = hand.definition.id.clone();
            let fate = match of_one(&planned, hand, place) {
                Ok(adoption) => {
                    let version =
                        adoption.operation.to.as_ref().map(|to| to.version.clone()).unwrap_or_default();
                    let rows = adoption.hand.count();
                    adoptions.push(adoption);
                    Fate::Adopted { version, rows }
                }
                Err(fate) => fate,
            };
            fates.push((id, fate));
        }
        let Some(ids) = pages.next() else { break };
        page = store.hand_made(&environment.name, ids).await?;
    }
    let known: BTreeSet<&str> = fates.iter().map(|(id, _)| id.as_str()).collect();
    let stays =
        |found: &&Found| found.is_valid() && !found.id.as_deref().is_some_and(|id| known.contains(id));
    let beside = planned.reading.found().filter(stays).count();
    Ok(Looked { planned, fates, adoptions, beside, taken, by })
}

/// What is written for the rows of one integration, or why nothing is.
fn of_one(planned: &Planned, hand: HandMade, place: &place::Lies) -> Result<Adoption, Fate> {
    let id = hand.definition.id.clone();
    let found: Vec<&Found> =
        planned.reading.found().filter(|found| found.id.as_deref() == Some(&*id)).collect();
    let Some(valid) = found.iter().find(|found| found.is_valid()) else {
        return Err(if found.is_empty() { Fate::Unnamed } else { Fate::Invalid });
    };
    if let Some(excluded) = planned.plan.excluded.iter().find(|excluded| excluded.id == id) {
        return Err(Fate::Excluded(excluded.why.message()));
    }
    let (Some(manifest), Some(summary)) = (planned.reading.manifest(&valid.place), &valid.summary) else {
        return Err(Fate::Invalid);
    };
    fits(&hand, &manifest).map_err(Fate::Differs)?;
    let source = planned.reading.sources.first();
    let to = Content { version: summary.version.clone(), checksum: summary.checksum.clone() };
    let from = hand
        .definition
        .checksum
        .clone()
        .map(|checksum| Content { version: hand.definition.version.clone(), checksum });
    let operation = Operation {
        verb: if from.is_some() { Verb::Update } else { Verb::Create },
        from,
        to: Some(to),
        place: Some(Place { path: place.in_source(&valid.place.path), ..valid.place.clone() }),
        revision: source.map(|source| source.snapshot.revision.full()),
        source: valid.place.source.clone(),
        revert: false,
        prune_disabled: summary.annotations.prune_disabled,
        staged: false,
        id,
    };
    Ok(Adoption { hand, operation, manifest })
}

/// One fenced seeding with a log row of its own.
async fn write(store: &Store, job: &Job, looked: &Looked) -> Result<Applied, StoreError> {
    let fence = store.claim(&job.environment, &job.keeper, false).await?;
    let row = store.environment(&job.environment).await?;
    let (applied, summary) = row.map(|row| (row.applied, row.summary)).unwrap_or_default();
    let read = looked.planned.reading.sources.iter().map(|source| {
        let held = sower_store::AppliedSource {
            revision: source.snapshot.revision.clone(),
            tree: source.snapshot.tree_id.clone(),
        };
        (source.snapshot.name.clone(), held)
    });
    let holder = format!("sower-{}", std::process::id());
    let begin = Begin {
        fence: &fence,
        holder: &holder,
        reason: &format!("adopt by {}", looked.by),
        applied: &read.collect(),
        metadata: Map::new(),
        started: Timestamp::now(),
    };
    let seeding = store.begin(begin).await?;
    let adopt =
        Adopt { adoptions: &looked.adoptions, applied: &applied, summary: &summary, metadata: Map::new() };
    match store.adopt(&seeding, adopt).await {
        Ok(applied) => Ok(applied),
        Err(error) => {
            if let Err(second) = store.fail(&seeding, error.code(), &error.to_string()).await {
                tracing::warn!(error = %second, "the failed adoption could not be noted");
            }
            Err(error)
        }
    }
}

impl Looked {
    fn adopted(&self) -> (usize, usize) {
        let rows = self.fates.iter().filter_map(|(_, fate)| match fate {
            Fate::Adopted { rows, .. } => Some(*rows),
            _ => None,
        });
        rows.fold((0, 0), |(integrations, all), rows| (integrations + 1, all + rows))
    }
}
