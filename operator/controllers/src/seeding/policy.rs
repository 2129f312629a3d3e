//! `policy.semver: deny`: an update whose version does not say that it breaks what uses the integration is kept out.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sower_core::compatibility::{judge, understated};
use sower_core::drift::Left;
use sower_core::plan::{Denied, Operation, State, Verb};
use sower_core::select::Selection;
use sower_crds::environment::Semver;
use sower_store::Store;

use super::error::SeedingError;
use super::job::Job;
use super::planned::{blocking, decide};
use super::reading::Reading;

/// Integrations whose manifests are held at once.
const PIECE: usize = 200;

/// Notes in the state what is kept out.
///
/// # Errors
/// As the store.
pub(super) async fn deny(
    store: &Store,
    job: &Job,
    left: &BTreeMap<String, Left>,
    mut reading: Reading,
    selection: Selection,
    mut state: State,
) -> Result<(Reading, Selection, State), SeedingError> {
    if job.spec.policy.semver == Semver::Warn {
        return Ok((reading, selection, state));
    }
    let (own, left) = (job.clone(), left.clone());
    let (back, selection, kept_state, updates) = blocking(move || {
        let catalogs = reading.lend();
        let plan = decide(&own, &catalogs, &selection, &state, &left);
        reading.give_back(catalogs);
        // What is written as it was is no update to those who use it.
        let updates =
            plan.operations.into_iter().filter(|o| o.verb == Verb::Update && !o.revert && o.from != o.to);
        let updates: Vec<Operation> = updates.collect();
        (reading, selection, state, updates)
    })
    .await?;
    (reading, state) = (back, kept_state);
    for piece in updates.chunks(PIECE) {
        let ids: Vec<&str> = piece.iter().map(|operation| operation.id.as_str()).collect();
        let before = store.manifests(&job.environment, &ids).await?;
        let piece = piece.to_vec();
        let made = |operation: &Operation| {
            let merged = state.merges.manifest(&operation.id, &operation.to.as_ref()?.checksum)?;
            Some((operation.id.clone(), merged.clone()))
        };
        let made: BTreeMap<String, Arc<str>> = piece.iter().filter_map(made).collect();
        let (back, denied) = blocking(move || {
            let one = |operation: &Operation| {
                let from = parsed(before.get(&operation.id)?)?;
                let place = operation.place.as_ref()?;
                let to = made.get(&operation.id).cloned().or_else(|| reading.manifest(place))?;
                let to = parsed(&to)?;
                let why = understated(operation, &judge(&from, &to))?;
                Some((operation.id.clone(), Denied { path: place.path.clone(), why }))
            };
            let denied: Vec<_> = piece.iter().filter_map(one).collect();
            (reading, denied)
        })
        .await?;
        reading = back;
        state.denied.extend(denied);
    }
    Ok((reading, selection, state))
}

fn parsed(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}
