//! Drift in an environment that is kept: it is looked for on an interval and at once after a hint, told once, and corrected by
//! a seeding where the environment says so.
//!
//! A look only reads. The operator, `run --standalone` and the command line call the same functions.

mod hearing;
mod watch;

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sower_core::conflict::listed;
use sower_core::drift::{Counted, Drifted, Ignored, bad_field, correctable};
use sower_crds::{Drift, DriftMode, EnvironmentSpec};
use sower_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

pub use hearing::{Hearing, Waker};
pub use watch::{Found, Watch};

use crate::metrics::Metrics;
use crate::seeding::{Job, Seeded, Seeder, SeedingError, mends};

/// What is known of the drift of every environment, by namespace and name.
#[derive(Debug, Default)]
pub struct Watches(Mutex<HashMap<Key, Arc<Mutex<Watch>>>>);

/// Namespace and name of an environment.
type Key = (String, String);

impl Watches {
    /// That of one environment.
    pub fn of(&self, namespace: &str, environment: &str) -> Arc<Mutex<Watch>> {
        let mut watches = locked(&self.0);
        watches.entry((namespace.to_owned(), environment.to_owned())).or_default().clone()
    }

    /// The environment is gone.
    pub fn forget(&self, namespace: &str, environment: &str) {
        locked(&self.0).remove(&(namespace.to_owned(), environment.to_owned()));
    }

    /// Somebody else may have looked, and corrected, since: everything is looked at anew.
    pub fn clear(&self) {
        locked(&self.0).clear();
    }
}

/// A lock that nobody who panicked spoils.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A waker that notes a hint, and rings once the environment has rested.
pub fn waker(watch: &Arc<Mutex<Watch>>, ring: impl Fn() + Clone + Send + Sync + 'static) -> Waker {
    let watch = watch.clone();
    Arc::new(move || {
        let Some(after) = locked(&watch).hint(Instant::now()) else { return };
        let (watch, ring) = (watch.clone(), ring.clone());
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            locked(&watch).woken();
            ring();
        });
    })
}

/// Everything that one round of an environment needs.
pub struct Round<'a> {
    /// Seeds.
    pub seeder: &'a Seeder,
    /// Its database.
    pub store: &'a Store,
    /// What to seed.
    pub job: Job,
    /// What is known of its drift.
    pub watch: &'a Mutex<Watch>,
    /// What is counted.
    pub metrics: &'a Metrics,
    /// Somebody asks for it: what is to be corrected is looked for now.
    pub asked: bool,
}

/// What became of one.
#[derive(Debug)]
pub struct Rounded {
    /// The seeding.
    pub seeded: Seeded,
    /// `1 missing, 2 changed rows: stripe and wordpress`, where it corrected some.
    pub corrected: Option<String>,
}

impl Round<'_> {
    /// Looks for drift if it is time to, seeds, and looks again if that may have mended what was found.
    ///
    /// # Errors
    /// As [`Seeder::seed`]. What was found is known all the same.
    pub async fn go(self, cancel: &CancellationToken) -> Result<Rounded, SeedingError> {
        let mode = self.job.spec.drift.mode;
        if mode == DriftMode::Ignore {
            *locked(self.watch) = Watch::default();
            self.metrics.ignores_drift(&self.job.labels());
            let seeded = self.seeder.seed(self.store, &self.job, cancel).await?;
            return Ok(Rounded { seeded, corrected: None });
        }
        if let Some((pointer, why)) = bad_fields(&self.job.spec).into_iter().next() {
            return Err(SeedingError::invalid_spec(format!("{pointer}: {why}")));
        }
        locked(self.watch).look_at(self.store.url(), &self.job.spec.drift);
        let pending = || locked(self.watch).found().is_some_and(|found| !found.correctable.is_empty());
        let corrects = mode == DriftMode::Correct;
        // What waits is planned by what is there now.
        if locked(self.watch).is_due(Instant::now()) || corrects && (self.asked || pending()) {
            self.look().await;
        }
        let found = locked(self.watch).found().filter(|_| corrects);
        let mend = found.map_or_else(Job::unmended, |found| found.correctable.clone());
        let job = Job { mend, ..self.job.clone() };
        let seeded = self.seeder.seed(self.store, &job, cancel).await?;
        let mut corrected = None;
        if let Seeded::Applied { planned, .. } = &seeded {
            corrected = correction(&mends(&job, planned));
            if corrected.is_some() {
                locked(self.watch).correct(Instant::now());
            }
            if locked(self.watch).found().is_none_or(|found| found.is_some()) {
                self.look().await;
            }
        }
        Ok(Rounded { seeded, corrected })
    }

    /// One look. Where it fails, the seeding beside it says what is wrong with the database.
    async fn look(&self) {
        let Job { environment, spec, .. } = &self.job;
        let started = Instant::now();
        locked(self.watch).begin(started);
        match look(self.store, environment, &spec.drift).await {
            Ok((rows, seeding)) => {
                let found = Found::of(&rows, seeding);
                let counted = found.as_ref().map(|found| found.counted).unwrap_or_default();
                self.metrics.looked(&self.job.labels(), counted, started.elapsed());
                locked(self.watch).end(Instant::now(), interval(spec), found);
            }
            Err(error) => {
                locked(self.watch).fail(Instant::now());
                tracing::warn!(%error, environment, "drift could not be looked for");
            }
        }
    }
}

async fn look(
    store: &Store,
    environment: &str,
    drift: &Drift,
) -> Result<(Vec<Drifted>, Option<i64>), StoreError> {
    let found = store.drift(environment, &Ignored::of(&drift.ignore_fields)).await?;
    Ok((found.rows, found.seeding))
}

/// The job with what is to be corrected, for whoever seeds or plans once: where the spec says so, and where everything is
/// written again, for what is stored of a row that drifted says nothing of what it holds.
///
/// # Errors
/// Where the database does not answer, or `ignoreFields` cannot be read.
pub async fn mending(store: &Store, job: Job) -> Result<Job, SeedingError> {
    if job.spec.drift.mode != DriftMode::Correct && !job.reseed {
        return Ok(job);
    }
    if let Some((pointer, why)) = bad_fields(&job.spec).into_iter().next() {
        return Err(SeedingError::invalid_spec(format!("{pointer}: {why}")));
    }
    let (rows, seeding) = look(store, &job.environment, &job.spec.drift).await?;
    let mend = if seeding.is_some() { correctable(&rows).into() } else { Job::unmended() };
    Ok(Job { mend, ..job })
}

/// What cannot be ignored of `spec.drift.ignoreFields`: the pointer into the resource, and why.
fn bad_fields(spec: &EnvironmentSpec) -> Vec<(String, String)> {
    let fields = spec.drift.ignore_fields.iter().enumerate();
    let bad = fields.filter_map(|(index, field)| {
        Some((format!("/spec/drift/ignoreFields/{index}"), format!("`{field}`: {}", bad_field(field)?)))
    });
    bad.collect()
}

/// `1 missing, 2 changed rows: stripe and wordpress`.
fn correction(rows: &[&Drifted]) -> Option<String> {
    let names: BTreeSet<&str> = rows.iter().map(|row| row.integration.as_str()).collect();
    let counted = Counted::of(rows.iter().copied());
    (counted.total() > 0)
        .then(|| format!("{}: {}", counted.told(), listed(names.iter().copied(), names.len())))
}

/// How long until the next look: a tenth less at most, so that environments of one interval drift apart.
fn interval(spec: &EnvironmentSpec) -> Duration {
    let random = f64::from(u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default());
    let period = spec.drift.interval.duration().unwrap_or(Duration::from_secs(900));
    let period = period.max(Duration::from_secs(sower_crds::drift::SHORTEST));
    period.mul_f64(1.0 - random / f64::from(u32::MAX) * 0.1)
}
