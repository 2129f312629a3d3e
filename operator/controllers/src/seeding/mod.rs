//! One seeding: fetch → load → select → resolve → diff → gate → apply → report.
//!
//! fetch reads sources and apply writes the database; between them everything is a function of values.

mod approval;
mod committed;
mod error;
mod failures;
mod fetch;
mod job;
mod mended;
mod merging;
mod narrow;
mod noted;
mod pinned;
mod planned;
mod policy;
mod promoting;
mod reading;
mod remembering;
mod retain;
mod rollback;
mod seeded;
mod staging;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use sower_core::gate::{Gate, Held};
use sower_core::plan::{Operation, Plan, State};
use sower_core::promotion::Waiting;
use sower_core::report::Report;
use sower_core::rollout::Rollout;
use sower_core::rows;
use sower_source::Fetcher;
use sower_store::{EnvironmentRow, Store};
use tokio_util::sync::CancellationToken;

pub use approval::{Approval, Approved, Refusal, Stale};
pub use error::{Kind, SeedingError};
pub use failures::UNDERSTATED;
pub use fetch::{Files, Reader, Snapshot};
pub use job::{Glance, Job, Listing, Origin, Promote, Resource, SourceInput, Upstream};
pub use mended::mends;
pub use merging::{Asked, Contents};
pub use noted::Trouble;
pub(crate) use noted::of_some;
pub use promoting::{noted_waiting, soaked_at};
pub use reading::{ReadSource, Reading};
pub use retain::retention;
pub use rollback::{Rollback, RollbackError, RolledBack};
pub use staging::not_compared;

pub(crate) use seeded::elapsed;

use crate::metrics::{EnvironmentLabels, Metrics};

/// Seeds environments. Cheap to clone; clones share what they remember of the sources.
#[derive(Clone)]
pub struct Seeder {
    reader: Arc<Reader>,
    platform: semver::Version,
    metrics: Option<Metrics>,
    holder: Arc<str>,
    notes: bool,
}

/// What a seeding would do.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The sources, read; of a narrow plan, only what the change can touch.
    pub reading: Reading,
    /// What is to be done.
    pub plan: Plan,
    /// Whether it may be done.
    pub gate: Gate,
    /// What the plan stands on; of a narrow one, only the rows that it looked at.
    pub state: State,
    /// The environment's row before.
    pub row: Option<EnvironmentRow>,
    /// Digest of what the selection stands on.
    selection_hash: String,
    /// What the database remembers of the sources, as far as it was asked.
    known: reading::Known,
    /// What was not looked at, because the change cannot touch it.
    beyond: Option<Beyond>,
    /// What the rows were that the plan touches, by integration, where an approval is to let it through.
    observed: Option<BTreeMap<String, String>>,
}

/// What lies beyond a plan of some integrations, as the last seeding counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beyond {
    excluded: usize,
    carried: usize,
}

impl Planned {
    /// The canonical bytes that an operation writes: those of its file, or what they were merged to.
    #[must_use]
    pub fn content(&self, operation: &Operation) -> Option<Arc<str>> {
        let (place, to) = (operation.place.as_ref()?, operation.to.as_ref()?);
        let made = self.state.merges.manifest(&operation.id, &to.checksum).cloned();
        let read = || self.reading.manifest(place).filter(|text| rows::checksum(text) == to.checksum);
        made.or_else(read)
    }

    /// Number of integrations that the selection leaves out.
    #[must_use]
    pub fn excluded(&self) -> usize {
        self.plan.excluded.len() + self.beyond.map_or(0, |beyond| beyond.excluded)
    }

    /// Number of integrations that were carried before the plan and are not in its state.
    #[must_use]
    pub fn carried_beyond(&self) -> usize {
        self.beyond.map_or(0, |beyond| beyond.carried)
    }
}

/// How a seeding ended.
#[derive(Debug, Clone)]
pub enum Seeded {
    /// Nothing was to be written.
    Unchanged {
        /// What happened.
        report: Report,
        /// The short revision.
        revision: String,
        /// The plan; absent where sources and spec are those of the last seeding and nothing was read.
        planned: Option<Box<Planned>>,
    },
    /// A guard holds the plan; nothing was written.
    Held {
        /// The plan.
        planned: Box<Planned>,
        /// Which guard.
        held: Held,
        /// What happened.
        report: Report,
    },
    /// Rows were written.
    Applied {
        /// The plan.
        planned: Box<Planned>,
        /// What happened.
        report: Report,
    },
}

impl Seeded {
    /// The record of the seeding.
    #[must_use]
    pub fn report(&self) -> &Report {
        match self {
            Self::Unchanged { report, .. } | Self::Held { report, .. } | Self::Applied { report, .. } => {
                report
            }
        }
    }

    /// The plan, where sources were read.
    #[must_use]
    pub fn planned(&self) -> Option<&Planned> {
        match self {
            Self::Unchanged { planned, .. } => planned.as_deref(),
            Self::Held { planned, .. } | Self::Applied { planned, .. } => Some(planned),
        }
    }
}

impl Seeder {
    /// A seeder that fetches with `fetcher` and calls itself version `platform`.
    #[must_use]
    pub fn new(fetcher: Fetcher, platform: semver::Version, metrics: Option<Metrics>) -> Self {
        let holder = format!("sower-{}", std::process::id()).into();
        Self {
            reader: Arc::new(Reader::new(fetcher, metrics.clone())),
            platform,
            metrics,
            holder,
            notes: false,
        }
    }

    /// Names the process that writes, for the log rows: a Pod's name.
    #[must_use]
    pub fn held_by(mut self, holder: &str) -> Self {
        self.holder = holder.into();
        self
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> Option<&Metrics> {
        self.metrics.as_ref()
    }

    /// Who writes.
    pub(crate) fn holder(&self) -> &str {
        &self.holder
    }

    /// Counts what is a seeding and came of no plan.
    pub(crate) fn count_seeding(
        &self,
        at: &EnvironmentLabels,
        ended: sower_core::report::Outcome,
        rows: u64,
        took: std::time::Duration,
    ) {
        if let Some(metrics) = &self.metrics {
            metrics.wrote(at, rows);
            metrics.ended(at, ended, took);
        }
    }

    /// Counts what a seeding wrote, and the rollouts that ended with it.
    fn count_written(&self, at: &EnvironmentLabels, rows: u64, ended: &[Rollout]) {
        if let Some(metrics) = &self.metrics {
            metrics.wrote(at, rows);
        }
        for rollout in ended {
            self.count_move(at, rollout);
        }
    }

    /// Notes in the environment's row why a seeding wrote nothing: where no resource has a status that says so.
    #[must_use]
    pub fn noting(mut self) -> Self {
        self.notes = true;
        self
    }

    /// Fetches and loads.
    ///
    /// # Errors
    /// Where a source cannot be had.
    pub async fn read(&self, job: &Job, cancel: &CancellationToken) -> Result<Reading, SeedingError> {
        let snapshots = self.reader.list(self.fetch(job, None, cancel).await?).await?;
        planned::blocking(move || reading::load(snapshots, &reading::Known::new())).await?
    }

    /// What a seeding would do. Writes nothing.
    ///
    /// # Errors
    /// Where a source cannot be had, or the database does not answer.
    pub async fn plan(
        &self,
        store: &Store,
        job: &Job,
        cancel: &CancellationToken,
    ) -> Result<Planned, SeedingError> {
        let row = store.environment(&job.environment).await?;
        let snapshots = self.fetch(job, row.as_ref(), cancel).await?;
        let selection_hash = planned::stands_on(job, &self.platform)?;
        let planned = self.plan_whole(store, job, row, snapshots, selection_hash).await?;
        pinned::observed(store, planned).await
    }

    /// Makes the database hold what the sources say.
    ///
    /// # Errors
    /// Where a source cannot be had, another keeper has the environment, or the database does not answer; nothing was
    /// written then.
    pub async fn seed(
        &self,
        store: &Store,
        job: &Job,
        cancel: &CancellationToken,
    ) -> Result<Seeded, SeedingError> {
        let started = Instant::now();
        let row = store.environment(&job.environment).await?;
        let ended = self.seed_from(store, job, row.clone(), started, cancel).await;
        // Who is asked to stop, or seeds some integrations, says nothing of the whole; nor is another's row one for notes.
        let ours = |row: &EnvironmentRow| row.keeper.as_ref().is_none_or(|keeper| *keeper == job.keeper);
        let notes = self.notes && job.only.is_none() && !cancel.is_cancelled();
        if notes && row.as_ref().is_none_or(ours) {
            // What keeps a first plan makes the row.
            let now = match &row {
                Some(_) => None,
                None => store.environment(&job.environment).await.ok().flatten(),
            };
            let row = row.as_ref().or(now.as_ref());
            let noted = noted::note_trouble(store, (&job.environment, row), &ended).await;
            if let Err(error) = noted {
                tracing::warn!(%error, "why nothing was written could not be noted");
            }
        }
        if let Ok(seeded) = &ended
            && !cancel.is_cancelled()
        {
            self.look_at_retention(store, job, row.as_ref(), seeded).await;
        }
        ended
    }

    /// Forgets what is older than it is to be kept, and rolls usage up, where any of it is due: `row` is the environment's as it was before.
    async fn look_at_retention(
        &self,
        store: &Store,
        job: &Job,
        row: Option<&EnvironmentRow>,
        seeded: &Seeded,
    ) {
        let now = Timestamp::now();
        retain::roll_up(store, job, row, now).await;
        let purged = retain::look(store, job, row, seeded, now).await;
        if let Some(metrics) = self.metrics.as_ref().filter(|_| purged > 0) {
            metrics.purged(&job.labels(), purged);
        }
    }

    /// Notes what the sources offer while the environment waits for another and is not seeded: it may come in later, although
    /// they offer something else by then. What waits meanwhile; none: that is as it was noted before.
    ///
    /// # Errors
    /// As [`Seeder::seed`].
    pub async fn look(
        &self,
        store: &Store,
        job: &Job,
        cancel: &CancellationToken,
    ) -> Result<Option<Vec<Waiting>>, SeedingError> {
        if job.spec.promotion.is_none() {
            return Ok(None);
        }
        let started = Instant::now();
        let row = store.environment(&job.environment).await?;
        seeded::refuse_other_keeper(row.as_ref(), job)?;
        planned::stands_on(job, &self.platform)?;
        let snapshots = self.fetch(job, row.as_ref(), cancel).await?;
        if noted::already(row.as_ref(), job, &snapshots, &self.platform, started).await?.is_some() {
            return Ok(None);
        }
        let planned = self.plan_snapshots(store, job, row, snapshots).await?;
        remembering::remember(store, job, &planned).await?;
        let waiting = promoting::waiting_held(&planned);
        if let Some(metrics) = &self.metrics {
            metrics.promotions_waiting(&job.labels(), waiting.len());
        }
        if let Some(row) = planned.row.as_ref().filter(|_| self.notes && job.only.is_none()) {
            noted::note_waiting(store, row, &waiting).await?;
        }
        Ok(Some(waiting))
    }

    /// Notes what the job lets in of what its plan finds that may come: see [`Job::promote`].
    ///
    /// # Errors
    /// As [`Seeder::seed`].
    pub async fn let_in(&self, store: &Store, job: &Job, planned: &Planned) -> Result<(), SeedingError> {
        remembering::let_in(store, job, planned).await
    }

    async fn seed_from(
        &self,
        store: &Store,
        job: &Job,
        row: Option<EnvironmentRow>,
        started: Instant,
        cancel: &CancellationToken,
    ) -> Result<Seeded, SeedingError> {
        seeded::refuse_other_keeper(row.as_ref(), job)?;
        planned::stands_on(job, &self.platform)?;
        // Who asks for something of their own gets that.
        let whole = job.only.is_none() && !job.reseed && job.resolve.is_empty();
        let approved = match whole {
            true => self.remembered_approval(store, job, row.as_ref(), cancel).await?,
            false => None,
        };
        let waits = match approved {
            Some(Seeded::Held { planned, held, report }) => Some((planned, held, report)),
            Some(applied) => return Ok(applied),
            None => None,
        };
        let still = |(planned, held, report)| Seeded::Held { planned, held, report };
        let snapshots = self.fetch(job, row.as_ref(), cancel).await?;
        let already = noted::already(row.as_ref(), job, &snapshots, &self.platform, started).await?;
        if let Some(done) = already
            && !noted::touched(store, row.as_ref()).await?
        {
            return Ok(waits.map_or(done, still));
        }
        let planned = self.plan_snapshots(store, job, row, snapshots).await?;
        // Newer commits make the next plan; with nothing newer, the one that is approved is told.
        let newer = |of: &Planned| !planned.plan.is_empty() && of.plan.hash != planned.plan.hash;
        let opens = match waits {
            Some(waits) if !newer(&waits.0) => {
                remembering::remember(store, job, &planned).await?;
                let (held, guard, report) = waits;
                let report = Report { waiting: promoting::waiting_held(&planned), ..report };
                return Ok(still((held, guard, report)));
            }
            Some((_, held, _)) => held.frozen,
            None => None,
        };
        match planned.gate.clone() {
            Gate::Held(held) => {
                remembering::remember(store, job, &planned).await?;
                pinned::pin(store, job, &planned).await?;
                let held = Held { frozen: held.frozen.or(opens), ..held };
                Ok(seeded::hold(planned, held, started))
            }
            Gate::Open => {
                let (seeded, wrote) = seeded::apply(store, job, &self.holder, planned, None, started).await?;
                self.count_written(&job.labels(), wrote.rows, &wrote.ended);
                Ok(seeded)
            }
        }
    }

    async fn fetch(
        &self,
        job: &Job,
        row: Option<&EnvironmentRow>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Snapshot>, SeedingError> {
        self.fetch_with(job, row, Vec::new(), cancel).await
    }

    /// The same, with these commits of sources in their history too.
    async fn fetch_with(
        &self,
        job: &Job,
        row: Option<&EnvironmentRow>,
        mut applied: Vec<(String, String)>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Snapshot>, SeedingError> {
        applied.extend(row.into_iter().flat_map(EnvironmentRow::revisions).filter_map(
            |(source, revision)| revision.commit().map(|commit| (source.to_owned(), commit.to_owned())),
        ));
        let timeout = job.spec.timeout.duration().ok();
        get_ready();
        self.reader.fetch(&job.labels(), &job.sources, &applied, timeout, cancel).await
    }

    /// Plans what a change can touch, or else everything.
    async fn plan_snapshots(
        &self,
        store: &Store,
        job: &Job,
        row: Option<EnvironmentRow>,
        snapshots: Vec<Snapshot>,
    ) -> Result<Planned, SeedingError> {
        let selection_hash = planned::stands_on(job, &self.platform)?;
        let narrow =
            narrow::plan(store, job, row.as_ref(), &snapshots, &self.platform, &selection_hash).await?;
        match narrow {
            Ok(planned) => {
                let planned = staging::staged(store, job, planned).await?;
                self.count(job, &planned);
                pinned::observe(store, planned).await
            }
            Err(why) => {
                tracing::debug!(environment = job.environment, "the whole catalog is planned: {why}");
                let planned = self.plan_whole(store, job, row, snapshots, selection_hash).await?;
                match planned.empty_source() {
                    Some(error) => Err(error),
                    None => pinned::observe(store, planned).await,
                }
            }
        }
    }

    async fn plan_whole(
        &self,
        store: &Store,
        job: &Job,
        row: Option<EnvironmentRow>,
        snapshots: Vec<Snapshot>,
        selection_hash: String,
    ) -> Result<Planned, SeedingError> {
        let snapshots = self.reader.list(snapshots).await?;
        let planned = planned::make(store, job, row, snapshots, &self.platform, selection_hash).await?;
        let planned = staging::staged(store, job, planned).await?;
        self.count(job, &planned);
        Ok(planned)
    }

    fn count(&self, job: &Job, planned: &Planned) {
        if let Some(metrics) = &self.metrics {
            metrics.planned(&job.labels(), &planned.plan, planned.reading.invalid());
        }
    }
}

/// Begins, once, what the first seeding would wait for after its sources were asked. Without a thread to spare, it waits.
fn get_ready() {
    static READY: std::sync::Once = std::sync::Once::new();
    READY.call_once(|| {
        let prepare = || {
            sower_source::prepare();
            sower_core::manifest::prepare();
        };
        let _ = std::thread::Builder::new().name("get-ready".to_owned()).spawn(prepare);
    });
}
