//! select → resolve → diff → gate over what was loaded and what the database holds.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use sower_core::catalog::{Place, SourceCatalog};
use sower_core::diff::{Wish, diff};
use sower_core::drift::Left;
use sower_core::freeze::bad_windows;
use sower_core::gate::gate;
use sower_core::hash::{selection_hash, spec_digest};
use sower_core::plan::{Plan, State};
use sower_core::resolve::{questions, resolve};
use sower_core::rows::{self, Kind};
use sower_core::select::{Selection, bad_patterns, select};
use sower_store::{EnvironmentRow, Store};

use super::Planned;
use super::error::{Kind as Trouble, SeedingError};
use super::fetch::Snapshot;
use super::job::Job;
use super::policy;
use super::reading::{self, Reading};
use crate::reason::Reason;

/// Loads the snapshots, whose files are listed, and plans.
pub(super) async fn make(
    store: &Store,
    job: &Job,
    row: Option<EnvironmentRow>,
    snapshots: Vec<Snapshot>,
    platform: &Version,
    selection_hash: String,
) -> Result<Planned, SeedingError> {
    // To reseed is to look anew at everything.
    let before = row.as_ref().filter(|_| !job.reseed);
    let (known, here) = tokio::try_join!(
        reading::remembered(store, &job.spec, before, &snapshots, &selection_hash),
        async { Ok(store.state(&job.environment).await?) },
    )?;
    let (mut state, foreign_rows) = (here.state, here.foreign_rows);
    let left = left(store, &job).await?;
    state.take_as_left(&left);
    let (job, platform, remembered) = (job.clone(), platform.clone(), known.clone());
    let (reading, selection, mut state, job) = blocking(move || {
        let mut reading = reading::load(snapshots, &remembered)?;
        reading.note_mute(&state);
        let catalogs = reading.lend();
        let selection = select(&job.environment, &job.spec, &platform, &catalogs);
        reading.give_back(catalogs);
        Ok::<_, SeedingError>((reading, selection, state, job))
    })
    .await??;
    state.carried = store.carried(&job.environment, &questions(&selection, &state)).await?;
    let (mut reading, selection, mut state) =
        policy::deny(store, &job, &left, reading, selection, state).await?;
    blocking(move || {
        let mut catalogs = reading.lend();
        let mut plan = decide(&job, &catalogs, &selection, &state, &left);
        if !foreign_rows.is_empty() {
            reading.give_back(catalogs);
            let colliding = collisions(&reading, &plan, &foreign_rows);
            catalogs = reading.lend();
            if !colliding.is_empty() {
                state.foreign.extend(colliding);
                plan = decide(&job, &catalogs, &selection, &state, &left);
            }
        }
        let gate = gate(&plan, &job.spec, &catalogs, &state, job.moment());
        reading.give_back(catalogs);
        Planned { reading, plan, gate, state, row, selection_hash, known, beyond: None, observed: None }
    })
    .await
}

/// What the selection of a job stands on.
///
/// # Errors
/// Where a pattern or a freeze window of the spec is none.
pub(super) fn stands_on(job: &Job, platform: &Version) -> Result<String, SeedingError> {
    if let Some((pointer, why)) = bad_patterns(&job.spec).into_iter().next() {
        return Err(SeedingError::invalid_spec(format!("{pointer} is no pattern: {why}")));
    }
    if let Some((pointer, why)) = bad_windows(&job.spec.freeze_windows).into_iter().next() {
        return Err(SeedingError::invalid_spec(format!("{pointer}: {why}")));
    }
    Ok(selection_hash(&job.spec, platform, rows::MAPPING))
}

/// Runs what takes long, or reads a disk, where blocking is allowed.
///
/// # Errors
/// Where it panicked: a mistake of ours, told as a failure of this seeding alone.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SeedingError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        let text = format!("planning failed: {error}");
        SeedingError::new(Reason::SeedingFailed, Trouble::Transient, text)
    })
}

/// What drifted and is mended, as the last seeding left it.
async fn left(store: &Store, job: &Job) -> Result<BTreeMap<String, Left>, SeedingError> {
    let asked_for = |id: &&str| job.only.as_ref().is_none_or(|only| only.contains(*id));
    let ids = job.mend.iter().map(|row| row.integration.as_str()).filter(asked_for).collect();
    Ok(store.left(&job.environment, &ids).await?)
}

pub(super) fn decide(
    job: &Job,
    catalogs: &[SourceCatalog],
    selection: &Selection,
    state: &State,
    left: &BTreeMap<String, Left>,
) -> Plan {
    let settled = resolve(&job.spec, catalogs, selection, state, job.only.as_ref());
    let wish = Wish { only: job.only.as_ref(), reseed: job.reseed, mend: Some(left) };
    diff(&spec_digest(&job.spec), selection, settled, state, wish)
}

/// Integrations that want a registry id which a row of somebody else's holds.
fn collisions(reading: &Reading, plan: &Plan, foreign: &BTreeSet<(Kind, String)>) -> Vec<String> {
    let wants_theirs = |place: &Place| {
        let Some(text) = reading.manifest(place) else { return false };
        rows::rows(&text).is_ok_and(|rows| rows.collides(foreign))
    };
    plan.operations
        .iter()
        .filter(|operation| operation.place.as_ref().is_some_and(wants_theirs))
        .map(|operation| operation.id.clone())
        .collect()
}
