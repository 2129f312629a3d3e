//! Looking beside the stable rows: at rollouts under way, and at the rows of the versions that they bring to life.

use std::collections::{BTreeMap, BTreeSet};

use sower_core::drift::{Drifted, Foreign, Ignored, Live, What, drifted_beside};

use super::{HELD, Held, held};
use crate::candidates::{self, Key};
use crate::error::StoreError;
use crate::rollouts::seal::{self, Sealed};
use crate::session::{Bind, Tx};

/// What of it drifted, in an environment.
pub(super) async fn beside(
    tx: &mut Tx,
    environment: &str,
    ignored: &Ignored,
) -> Result<Vec<Drifted>, StoreError> {
    let rollouts = seal::under_way(tx, environment).await?;
    let rows = tx
        .rows(
            "looking for drift",
            "SELECT DISTINCT integration_id FROM registry_candidates WHERE environment = $1",
            &[environment.into()],
        )
        .await?;
    let mut ids = rows.iter().map(|row| row.text(0)).collect::<Result<BTreeSet<String>, _>>()?;
    ids.extend(rollouts.keys().cloned());
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let mut found: Vec<Drifted> =
        rollouts.iter().filter_map(|(id, rollout)| of_rollout(id, rollout)).collect();
    for ids in ids.chunks(HELD) {
        let live: Vec<Key<'_>> = ids
            .iter()
            .filter_map(|id| rollouts.get_key_value(*id))
            .flat_map(|(id, rollout)| {
                rollout
                    .live
                    .iter()
                    .map(|content| (id.as_str(), content.version.as_str(), content.checksum.as_str()))
            })
            .collect();
        let contents = candidates::known(tx, environment, &live).await?;
        let there = rows_beside(tx, environment, ids).await?;
        for id in ids {
            // What is live beside it can be told by a rollout that can be read alone.
            if rollouts.get(*id).is_some_and(|rollout| !rollout.readable) {
                continue;
            }
            let of_it = live.iter().filter(|key| key.0 == *id);
            let live: Vec<Live<'_>> = of_it
                .map(|key| (key.1, contents.get(&(key.0, key.2)).map(|known| &*known.manifest)))
                .collect();
            let there: Vec<_> = there
                .get(*id)
                .into_iter()
                .flatten()
                .map(|(version, held)| (version.as_str(), held.there()))
                .collect();
            found.extend(drifted_beside(id, &live, &there, ignored));
        }
    }
    Ok(found)
}

/// Whether a rollout is another than a seeding began, or than Sower moved it to.
fn of_rollout(id: &str, rollout: &Sealed) -> Option<Drifted> {
    let what = match (&rollout.stored, rollout.stored.as_ref() == Some(&rollout.seal)) {
        (Some(_), true) => return None,
        (Some(_), false) => What::Changed(Vec::new()),
        (None, _) => What::Foreign(Foreign::Claiming),
    };
    let (integration, version) = (id.to_owned(), Some(rollout.to.clone()));
    Some(Drifted { id: integration.clone(), integration, registry: None, version, what })
}

/// The rows beside those of the registries, by integration, each with its version.
async fn rows_beside(
    tx: &mut Tx,
    environment: &str,
    ids: &[&str],
) -> Result<BTreeMap<String, Vec<(String, Held)>>, StoreError> {
    let rows = tx
        .rows(
            "reading the rows of rollouts",
            "SELECT kind, id, integration_id, identifier, name, category, definition::text, row_hash, version \
             FROM registry_candidates WHERE environment = $1 AND integration_id = ANY($2)",
            &[environment.into(), Bind::Texts(ids)],
        )
        .await?;
    let mut beside: BTreeMap<String, Vec<(String, Held)>> = BTreeMap::new();
    for row in &rows {
        let Some(held) = held(row)? else { continue };
        beside.entry(held.integration.clone()).or_default().push((row.text(8)?, held));
    }
    Ok(beside)
}
