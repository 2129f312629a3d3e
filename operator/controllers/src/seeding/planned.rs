//! select → resolve → diff → gate over what was loaded and what the database holds.

use std::collections::BTreeSet;

use semver::Version;
use sower_core::catalog::{Place, SourceCatalog};
use sower_core::diff::{Wish, diff};
use sower_core::gate::gate;
use sower_core::hash::{selection_hash, spec_digest};
use sower_core::plan::{Plan, State};
use sower_core::resolve::{questions, resolve};
use sower_core::rows::{self, Kind};
use sower_core::select::{Selection, bad_patterns, select};
use sower_store::{EnvironmentRow, Store};

use super::Planned;
use super::error::SeedingError;
use super::fetch::Snapshot;
use super::job::Job;
use super::reading::{self, Reading};

/// Loads the snapshots and plans.
pub(super) async fn make(
    store: &Store,
    job: &Job,
    row: Option<EnvironmentRow>,
    snapshots: Vec<Snapshot>,
    platform: &Version,
) -> Result<Planned, SeedingError> {
    if let Some((pointer, why)) = bad_patterns(&job.spec).into_iter().next() {
        return Err(SeedingError::invalid_spec(format!("{pointer} is no pattern: {why}")));
    }
    let selection_hash = selection_hash(&job.spec, platform, rows::MAPPING);
    // To reseed is to look anew at everything.
    let before = row.as_ref().filter(|_| !job.reseed);
    let known = reading::remembered(store, &job.spec, before, &snapshots, &selection_hash).await?;
    let mut reading = reading::load_all(snapshots, known.clone()).await?;
    let here = store.state(&job.environment).await?;
    reading.note_mute(&here.state);
    let mut catalogs = reading.lend();
    let selection = select(&job.environment, &job.spec, platform, &catalogs);
    let mut state = here.state;
    state.carried = store.carried(&job.environment, &questions(&selection, &state)).await?;
    let mut plan = decide(job, &catalogs, &selection, &state);
    if !here.foreign_rows.is_empty() {
        reading.give_back(catalogs);
        let colliding = collisions(&reading, &plan, &here.foreign_rows);
        catalogs = reading.lend();
        if !colliding.is_empty() {
            state.foreign.extend(colliding);
            plan = decide(job, &catalogs, &selection, &state);
        }
    }
    let gate = gate(&plan, &job.spec, &catalogs, &state);
    reading.give_back(catalogs);
    Ok(Planned { reading, plan, gate, state, row, selection_hash, known })
}

fn decide(job: &Job, catalogs: &[SourceCatalog], selection: &Selection, state: &State) -> Plan {
    let settled = resolve(&job.spec, catalogs, selection, state, job.only.as_ref());
    let wish = Wish { only: job.only.as_ref(), reseed: job.reseed };
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
