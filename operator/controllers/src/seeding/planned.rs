//! select → resolve → diff → gate over what was loaded and what the database holds.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use sower_core::catalog::{Place, SourceCatalog};
use sower_core::diff::{Wish, diff};
use sower_core::drift::{Left, Mend};
use sower_core::freeze::bad_windows;
use sower_core::gate::gate;
use sower_core::hash::{selection_hash, spec_digest};
use sower_core::plan::{Operation, Plan, State};
use sower_core::resolution::once;
use sower_core::resolve::{questions, resolve};
use sower_core::rollout::spec::bad_spec;
use sower_core::rows::{self, Kind};
use sower_core::select::{Selection, bad_patterns, select};
use sower_store::{EnvironmentRow, Store};

use super::Planned;
use super::error::{Kind as Trouble, SeedingError};
use super::fetch::Snapshot;
use super::job::Job;
use super::merging::{Asked, Contents};
use super::policy;
use super::promoting;
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
    let left = left(store, job).await?;
    state.take_as_left(&left);
    // What another's hand made of a rollout is nothing that git is held against: it ends.
    for tampered in &Mend::of(job.mend.iter()).rollouts {
        let ends = state.rollouts.remove(tampered).map(|under_way| (tampered.clone(), under_way.to));
        state.tampered.extend(ends);
    }
    state.take_targets();
    let (job, platform, remembered) = (job.clone(), platform.clone(), known.clone());
    let (mut reading, selection, mut state, job, platform) = blocking(move || {
        let mut reading = reading::load(snapshots, &remembered)?;
        let carried = state.rows.values().filter(|row| !row.removed);
        reading.note_mute(carried.map(|row| (row.source.as_str(), row.path.as_str())));
        let catalogs = reading.lend();
        let mut selection = select(&job.environment, &job.spec, &platform, &catalogs);
        once(&mut selection, &job.resolve);
        reading.give_back(catalogs);
        Ok::<_, SeedingError>((reading, selection, state, job, platform))
    })
    .await??;
    unite(&job, &mut reading, &selection, &mut state).await?;
    let mut selection = selection;
    promoting::look(store, &job, row.as_ref(), &platform, &mut reading, &mut selection, &mut state).await?;
    state.carried = store.carried(&job.environment, &questions(&selection, &state)).await?;
    merge(store, &job, &mut reading, &selection, &mut state).await?;
    let (mut reading, selection, mut state) =
        policy::deny(store, &job, &left, reading, selection, state).await?;
    let (plan, mut reading, selection, mut state, job, left) = blocking(move || {
        let mut catalogs = reading.lend();
        let mut plan = decide(&job, &catalogs, &selection, &state, &left);
        if !foreign_rows.is_empty() {
            reading.give_back(catalogs);
            let colliding = collisions(&reading, &plan, &state, &foreign_rows);
            catalogs = reading.lend();
            if !colliding.is_empty() {
                state.foreign.extend(colliding);
                plan = decide(&job, &catalogs, &selection, &state, &left);
            }
        }
        reading.give_back(catalogs);
        (plan, reading, selection, state, job, left)
    })
    .await?;
    let catalogs = reading.lend();
    let decide_again = |state: &State| decide(&job, &catalogs, &selection, state, &left);
    let plan = asked(&job, &catalogs, &selection).agree(store, &mut state, plan, decide_again).await?;
    let gate = gate(&plan, &job.spec, &catalogs, &state, job.moment());
    reading.give_back(catalogs);
    Ok(Planned { reading, plan, gate, state, row, selection_hash, known, beyond: None, observed: None })
}

fn asked<'a>(job: &'a Job, catalogs: &'a [SourceCatalog], selection: &'a Selection) -> Asked<'a> {
    Asked {
        environment: &job.environment,
        spec: &job.spec,
        catalogs,
        selection,
        only: job.only.as_ref(),
        mends: !job.mend.is_empty(),
    }
}

/// Makes unions of what several sources offer, where that is asked for.
async fn unite(
    job: &Job,
    reading: &mut Reading,
    selection: &Selection,
    state: &mut State,
) -> Result<(), SeedingError> {
    let asked = asked(job, &[], selection);
    let contents = contents(reading, asked.to_unite()).await?;
    asked.unite(state, &contents);
    Ok(())
}

/// Merges versions that are in conflict with what the rows hold, where that is asked for.
pub(super) async fn merge(
    store: &Store,
    job: &Job,
    reading: &mut Reading,
    selection: &Selection,
    state: &mut State,
) -> Result<(), SeedingError> {
    let catalogs = reading.lend();
    let wanted = asked(job, &catalogs, selection).to_merge(state);
    reading.give_back(catalogs);
    if wanted.is_empty() {
        return Ok(());
    }
    let contents = contents(reading, wanted.iter().map(|wanted| wanted.place.clone()).collect()).await?;
    Ok(asked(job, &[], selection).merge(store, state, &wanted, &contents).await?)
}

/// The contents of some documents: files are read again where their summaries came from memory.
async fn contents(reading: &mut Reading, places: Vec<Place>) -> Result<Contents, SeedingError> {
    if places.is_empty() {
        return Ok(Contents::new());
    }
    let lent = std::mem::replace(reading, Reading { sources: Vec::new() });
    let (back, contents) = blocking(move || {
        let read = |place: Place| lent.manifest(&place).map(|bytes| (place, bytes));
        let contents = places.into_iter().filter_map(read).collect();
        (lent, contents)
    })
    .await?;
    *reading = back;
    Ok(contents)
}

/// What the selection of a job stands on.
///
/// # Errors
/// Where a pattern, a freeze window, the rollout or the promotion of the spec is none.
pub(super) fn stands_on(job: &Job, platform: &Version) -> Result<String, SeedingError> {
    if let Some((pointer, why)) = bad_patterns(&job.spec).into_iter().next() {
        return Err(SeedingError::invalid_spec(format!("{pointer} is no pattern: {why}")));
    }
    if let Some((pointer, why)) = bad_windows(&job.spec.freeze_windows).into_iter().next() {
        return Err(SeedingError::invalid_spec(format!("{pointer}: {why}")));
    }
    if let Some(fault) = bad_spec(&job.environment, &job.spec).into_iter().next() {
        return Err(SeedingError::invalid_spec(format!("{}: {}", fault.pointer, fault.why)));
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
fn collisions(
    reading: &Reading,
    plan: &Plan,
    state: &State,
    foreign: &BTreeSet<(Kind, String)>,
) -> Vec<String> {
    let wants_theirs = |operation: &&Operation| {
        let (Some(place), Some(to)) = (&operation.place, &operation.to) else { return false };
        let made = state.merges.manifest(&operation.id, &to.checksum).cloned();
        let Some(text) = made.or_else(|| reading.manifest(place)) else { return false };
        rows::rows(&text).is_ok_and(|rows| rows.collides(foreign))
    };
    plan.operations.iter().filter(wants_theirs).map(|operation| operation.id.clone()).collect()
}
