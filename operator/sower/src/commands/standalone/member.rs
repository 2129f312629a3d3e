//! One environment under watch: it is seeded when something may have changed, and after its interval.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sower_controllers::drift::{self, Hearing, Round as Drifting, Rounded, Watch};
use sower_controllers::metrics::{EnvironmentLabels, Metrics};
use sower_controllers::reason::Reason;
use sower_controllers::rollout::{Stepped, Steps};
use sower_controllers::seeding::{Job, Kind, Planned, Seeded, Seeder, SeedingError, soaked_at};
use sower_core::compare::{Change, compare};
use sower_core::manifest::LoadedEnvironment;
use sower_core::plan::{Operation, Verb};
use sower_core::report;
use sower_crds::DriftMode;
use sower_store::Store;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::files::Files;
use super::line::Line;
use super::log::Log;
use super::told::{Outcome, Told};
use crate::databases::Databases;
use crate::failure::Failure;
use crate::job;
use crate::neighbours::{Found, Holds, Neighbours};
use crate::origin::Secrets;
use crate::settings::Settings;
use crate::trouble::{NOTHING_WRITTEN, Trouble};

/// A fetch ends within `spec.timeout`, too, and names its source: its word goes first.
const FETCH_FIRST: Duration = Duration::from_secs(5);

/// The first pause before something that may pass by itself is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// What all environments share.
pub struct Shared {
    /// What is set.
    pub settings: Settings,
    /// Their databases.
    pub databases: Arc<Databases>,
    /// What others are told who ask for one by its name.
    pub files: Arc<Files>,
    /// Where lines go.
    pub log: Log,
    /// The end.
    pub stop: CancellationToken,
    /// What is counted.
    pub metrics: Metrics,
    /// What is listened to.
    pub hearing: Hearing,
    /// Every environment of the files, as they were read last.
    pub all: Mutex<Vec<LoadedEnvironment>>,
    seeder: Seeder,
    /// Something was written after the end was asked for.
    wrote_late: AtomicBool,
}

impl Shared {
    /// What all environments share.
    pub fn new(
        settings: Settings,
        seeder: Seeder,
        metrics: Metrics,
        log: Log,
        stop: CancellationToken,
    ) -> Self {
        let databases = Arc::new(Databases::default());
        Self {
            files: Arc::new(Files::new(settings.clone(), databases.clone())),
            settings,
            databases,
            log,
            stop,
            metrics,
            hearing: Hearing::default(),
            all: Mutex::default(),
            seeder,
            wrote_late: AtomicBool::new(false),
        }
    }

    /// Whether the end found nothing that was being written.
    pub fn was_idle(&self) -> bool {
        !self.wrote_late.load(Ordering::Acquire)
    }
}

/// What an environment's file says, ready to be seeded.
#[derive(Debug, Clone)]
pub struct Spec {
    /// The environment.
    pub environment: LoadedEnvironment,
    /// Where it says that it is suspended.
    pub suspended_at: String,
    /// Its job, or why it has none.
    pub job: Result<Job, Failure>,
    /// The Secrets beside the environments.
    pub secrets: Arc<Secrets>,
}

/// One environment.
pub struct Member {
    shared: Arc<Shared>,
    spec: watch::Receiver<Arc<Spec>>,
    bell: Arc<Notify>,
    stop: CancellationToken,
    told: Told,
    /// What is known of its drift.
    watch: Arc<Mutex<Watch>>,
    /// When a rollout is to be looked at.
    due: Mutex<Option<Timestamp>>,
    /// How often in a row it failed in a way that may pass.
    failed: u32,
}

/// One round, and how soon the next is due.
pub struct Round {
    /// What became of it.
    pub outcome: Outcome,
    /// When to try again if nothing changes.
    pub again: Duration,
    /// How long it took.
    pub milliseconds: u64,
}

impl Member {
    /// An environment that follows `spec`, wakes at `bell` and ends at `stop`.
    pub fn new(
        shared: Arc<Shared>,
        spec: watch::Receiver<Arc<Spec>>,
        bell: Arc<Notify>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            shared,
            spec,
            bell,
            stop,
            told: Told::default(),
            watch: Arc::default(),
            due: Mutex::default(),
            failed: 0,
        }
    }

    /// Takes an outcome as told, as the first table does; the lines that the table has no room for.
    pub fn open(&mut self, round: &Round) -> Vec<Line> {
        let name = self.spec.borrow().environment.name.clone();
        let lines = self.told.lines(&name, &round.outcome);
        lines.into_iter().filter(|line| line.warns).collect()
    }

    /// Seeds it now.
    pub async fn round(&mut self) -> Round {
        let spec = self.spec.borrow_and_update().clone();
        let (started, began) = (Instant::now(), Timestamp::now());
        let seeded = self.seed(&spec).await;
        let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let labels =
            EnvironmentLabels { namespace: String::new(), environment: spec.environment.name.clone() };
        match &seeded {
            Ok((seeded, _)) => self.shared.metrics.reconciled(&labels, seeded.report()),
            Err(_) => self.shared.metrics.ended(&labels, report::Outcome::Failed, started.elapsed()),
        }
        let holds = |report: &report::Report| {
            report.errors.is_empty()
                && matches!(report.status, report::Outcome::Completed | report::Outcome::Unchanged)
        };
        self.shared.metrics.ready(&labels, seeded.as_ref().is_ok_and(|(seeded, _)| holds(seeded.report())));
        if self.stop.is_cancelled() && matches!(&seeded, Ok((Seeded::Applied { .. }, _))) {
            self.shared.wrote_late.store(true, Ordering::Release);
        }
        let again = self.again(&spec, seeded.as_ref().err().map(|(_, kind)| *kind));
        let again = seeded
            .as_ref()
            .ok()
            .and_then(|(seeded, _)| opens_in(seeded))
            .map_or(again, |opens| again.min(opens));
        let again = self.look_in(&spec).map_or(again, |look| again.min(look));
        let again = self.due_in(seeded.is_err().then_some(began)).map_or(again, |due| again.min(due));
        let found = drift::locked(&self.watch).found();
        let outcome = match seeded {
            Ok((seeded, updates)) => Outcome { result: Ok(seeded), updates, drift: found },
            Err((trouble, _)) => Outcome { result: Err(trouble), updates: BTreeMap::new(), drift: found },
        };
        Round { outcome, again, milliseconds }
    }

    async fn seed(&self, spec: &Spec) -> Result<(Seeded, BTreeMap<String, Vec<Change>>), (Trouble, Kind)> {
        let Spec { environment, suspended_at, job, secrets } = spec;
        let name = &environment.name;
        // Only what is looked at in this round says when to look again.
        *drift::locked(&self.due) = None;
        if environment.spec.suspend {
            return Err((Trouble::suspended(name, suspended_at), Kind::Stalled));
        }
        let failed = |error: SeedingError| (Trouble::new(&error, name), error.kind);
        self.shared.databases.forget_deleted(&self.shared.settings, environment);
        let opened = self.shared.databases.of(&self.shared.settings, environment).await;
        let job = job
            .as_ref()
            .map_err(|failure| (Trouble::of(Reason::InvalidSpec, failure.clone()), Kind::Stalled));
        let store = match (opened, &job) {
            (Ok(store), _) => store,
            (Err(_), Err(spec)) => return Err(spec.clone()),
            (Err(error), Ok(_)) => return Err(failed(error.into())),
        };
        // What cannot be seeded keeps nothing from moving that is rolled out; one that cannot move keeps nothing else from being
        // seeded.
        let steps = job::steps(environment, secrets);
        let moved = self.step(&store, &steps).await;
        let job = job?;
        let limit = environment.spec.timeout.duration().unwrap_or(Duration::from_secs(300));
        if environment.spec.drift.mode == DriftMode::Ignore {
            self.shared.hearing.forget("", name);
        } else {
            let bell = self.bell.clone();
            let waker = drift::waker(&self.watch, move || bell.notify_one());
            self.shared.hearing.follow("", name, &store, waker).await;
        }
        let all = self.shared.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Shared { settings, databases, .. } = &*self.shared;
        let neighbours = Neighbours { settings, databases, all: &all, found: Found::default() };
        let job = Job { upstream: neighbours.upstream(environment).await, ..job.clone() };
        let holds = neighbours.holds(environment, &store, &job).await;
        if let Some(Holds::Else(trouble)) = holds {
            return Err((trouble, Kind::Transient));
        }
        if let Some(Holds::Waits(why)) = holds {
            let looking = self.shared.seeder.look(&store, &job, &self.stop);
            if let Ok(Err(error)) = tokio::time::timeout(limit + FETCH_FIRST, looking).await {
                tracing::warn!("what the sources offer meanwhile is not noted: {}", error.full());
            }
            return Err((Trouble::waits(name, &why, NOTHING_WRITTEN), Kind::Transient));
        }
        let (metrics, watch) = (&self.shared.metrics, &*self.watch);
        let round =
            Drifting { seeder: &self.shared.seeder, store: &store, job, watch, metrics, asked: false };
        let seeding = round.go(&self.stop);
        let seeded = match tokio::time::timeout(limit + FETCH_FIRST, seeding).await {
            Ok(Err(error)) => {
                if error.tables_gone {
                    self.shared.databases.forget(&self.shared.settings, environment);
                }
                return Err(failed(error));
            }
            Ok(Ok(Rounded { seeded, corrected: _ })) => seeded,
            Err(_) => {
                let text = format!("It took longer than {} (spec.timeout)", environment.spec.timeout);
                return Err(failed(SeedingError::new(Reason::SeedingFailed, Kind::Transient, text)));
            }
        };
        moved.map_err(failed)?;
        if seeded.report().staged > 0 {
            self.step(&store, &steps).await.map_err(failed)?;
        }
        let updates = match &seeded {
            Seeded::Applied { planned, .. } => updates(&store, planned).await,
            Seeded::Unchanged { .. } | Seeded::Held { .. } => BTreeMap::new(),
        };
        Ok((seeded, updates))
    }

    /// Moves what is due of its rollouts, and tells what moved.
    async fn step(&self, store: &Store, steps: &Steps<'_>) -> Result<(), SeedingError> {
        let mut stepped = Stepped::default();
        let done = self.shared.seeder.step_each(store, steps, &mut stepped).await;
        for change in &stepped.changes {
            self.shared.log.line(&Line::rolled_out(steps.environment, change));
        }
        *drift::locked(&self.due) = stepped.due();
        done
    }

    /// How long until a rollout is to be looked at; none: nothing of the kind waits. Where a round that
    /// began then has `failed`, what was due before was looked at in vain.
    fn due_in(&self, failed: Option<Timestamp>) -> Option<Duration> {
        let due = (*drift::locked(&self.due))?;
        if failed.is_some_and(|began| due <= began) {
            return None;
        }
        let left = due.duration_since(Timestamp::now());
        Some(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(20))
    }

    /// How long until the next look for drift; none: nobody looks, or what it waits for is tried anyway.
    fn look_in(&self, spec: &Spec) -> Option<Duration> {
        let spec = &spec.environment.spec;
        let looks = spec.drift.mode != DriftMode::Ignore && !spec.suspend;
        let left = drift::locked(&self.watch).left(Instant::now());
        Some(left).filter(|left| looks && !left.is_zero())
    }

    fn again(&mut self, spec: &Spec, failed: Option<Kind>) -> Duration {
        let of = |period: &sower_crds::Period, default: u64| {
            period.duration().unwrap_or(Duration::from_secs(default)).max(Duration::from_secs(1))
        };
        let spec = &spec.environment.spec;
        let sources = spec.sources.iter().filter_map(|source| source.interval.as_ref());
        let interval = sources.map(|period| of(period, 300)).fold(of(&spec.interval, 300), Duration::min);
        match failed {
            Some(Kind::Transient) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << self.failed.min(16));
                self.failed += 1;
                pause.min(of(&spec.retry_interval, 60))
            }
            Some(Kind::Waiting(after)) => after,
            Some(Kind::Stalled) | None => {
                self.failed = 0;
                interval
            }
        }
    }

    /// Seeds it now, and goes on until the end.
    pub async fn begin(mut self) {
        let round = self.round().await;
        self.tell(&round);
        self.watch(round.again).await;
    }

    /// Goes on until the end.
    pub async fn watch(mut self, mut again: Duration) {
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = self.bell.notified() => {}
                changed = self.spec.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(again) => {}
            }
            let round = self.round().await;
            self.tell(&round);
            again = round.again;
        }
    }

    fn tell(&mut self, round: &Round) {
        // What the end itself interrupted is no news.
        if self.stop.is_cancelled() && round.outcome.result.is_err() {
            return;
        }
        let name = self.spec.borrow().environment.name.clone();
        for line in self.told.lines(&name, &round.outcome) {
            self.shared.log.line(&line);
        }
    }
}

/// How long until a plan may be applied that waits for that alone, or something has soaked elsewhere.
fn opens_in(seeded: &Seeded) -> Option<Duration> {
    let frozen = match seeded {
        Seeded::Held { held, .. } => held.frozen.as_ref().and_then(|frozen| frozen.opens),
        Seeded::Unchanged { .. } | Seeded::Applied { .. } => None,
    };
    let soaked = soaked_at(&seeded.report().waiting);
    let left = frozen.into_iter().chain(soaked).min()?.duration_since(Timestamp::now());
    // A little late is in time, a little early is for nothing.
    Some(Duration::try_from(left).unwrap_or_default() + Duration::from_millis(50))
}

/// What changed inside each integration that was updated. It is for a line of the log: where it cannot be had, the line
/// says less.
async fn updates(store: &Store, planned: &Planned) -> BTreeMap<String, Vec<Change>> {
    let updated: Vec<&Operation> =
        planned.plan.operations.iter().filter(|o| o.verb == Verb::Update).take(8).collect();
    let asked: Vec<(&str, &str)> = updated
        .iter()
        .filter_map(|operation| Some((operation.id.as_str(), operation.from.as_ref()?.checksum.as_str())))
        .collect();
    let before = match store.contents(&planned.plan.environment, &asked).await {
        Ok(before) => before,
        Err(error) => {
            tracing::debug!(%error, "the earlier contents cannot be read");
            return BTreeMap::new();
        }
    };
    let told = updated.iter().filter_map(|operation| {
        let from = serde_json::from_str(before.get(&operation.id)?).ok()?;
        let to = serde_json::from_str(&planned.content(operation)?).ok()?;
        Some((operation.id.clone(), compare(&from, &to)))
    });
    told.collect()
}
