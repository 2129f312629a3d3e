//! What a rollout under way is, as a hash: who gets which version, and how that goes on. It is stored beside the row by whoever
//! begins or moves it, and tells of another's hand. It has two parts with a dot between: what stays as it began, and how far it is.

use std::collections::{BTreeMap, BTreeSet};

use sower_core::hash::rollout_hash;
use sower_core::plan::Content;
use sower_core::rollout::{Rollout, Variant};

use crate::error::StoreError;
use crate::session::{Row, Tx, to_json};

/// A rollout that is under way, as its row says it.
pub(crate) struct Sealed {
    /// The version that it rolls out.
    pub to: String,
    /// The contents that it brings to life beside the stable one.
    pub live: BTreeSet<Content>,
    /// Those could be read.
    pub readable: bool,
    /// The hash of what is there.
    pub seal: String,
    /// The hash that is stored with it; none: Sower did not write it.
    pub stored: Option<String>,
}

/// What the seal covers, in its order: first what stays as it began.
const COLUMNS: [&str; 13] = [
    "id",
    "environment",
    "integration_id",
    "from_version",
    "from_checksum",
    "to_version",
    "to_checksum",
    "salt",
    "strategy::text",
    "variants::text",
    "CAST(step AS TEXT)",
    "CAST(weight AS TEXT)",
    "state",
];
/// How many of them stay.
const STAYS: usize = 9;
const VARIANTS: usize = 9;

/// The rollouts under way of an environment, by integration.
pub(crate) async fn under_way(
    tx: &mut Tx,
    environment: &str,
) -> Result<BTreeMap<String, Sealed>, StoreError> {
    let sql = format!(
        "SELECT {}, row_hash FROM integration_rollouts WHERE environment = $1 AND ended_at IS NULL",
        COLUMNS.join(", ")
    );
    let rows = tx.rows("looking at rollouts", &sql, &[environment.into()]).await?;
    rows.iter().map(|row| Ok((row.text(2)?, sealed(row)?))).collect()
}

fn sealed(row: &Row) -> Result<Sealed, StoreError> {
    let columns = (0..COLUMNS.len()).map(|index| row.text(index)).collect::<Result<Vec<_>, _>>()?;
    let columns: [String; COLUMNS.len()] = columns.try_into().unwrap_or_default();
    let variants: Result<Vec<Variant>, _> = serde_json::from_str(&columns[VARIANTS]);
    let readable = variants.is_ok();
    let whose = match &variants {
        Ok(variants) => unweighed(variants)?,
        Err(_) => columns[VARIANTS].clone(),
    };
    let live = variants.unwrap_or_default().into_iter();
    let live = live.map(|Variant { version, checksum, .. }| Content { version, checksum });
    Ok(Sealed {
        to: columns[5].clone(),
        live: live.filter(|content| content.checksum != columns[4]).collect(),
        readable,
        seal: of(&columns.each_ref().map(String::as_str), &whose),
        stored: row.maybe_text(COLUMNS.len())?,
    })
}

/// The seal of a rollout as it is written.
pub(super) fn seal(rollout: &Rollout) -> Result<String, StoreError> {
    const WHAT: &str = "sealing a rollout";
    let (variants, strategy) = (to_json(&rollout.variants, WHAT)?, to_json(&rollout.strategy, WHAT)?);
    let (step, weight) = (rollout.step.to_string(), rollout.weight.to_string());
    let columns = [
        rollout.id.as_str(),
        &rollout.environment,
        &rollout.integration,
        &rollout.from.version,
        &rollout.from.checksum,
        &rollout.to.version,
        &rollout.to.checksum,
        &rollout.salt,
        &strategy,
        &variants,
        &step,
        &weight,
        rollout.state.as_str(),
    ];
    Ok(of(&columns, &unweighed(&rollout.variants)?))
}

/// The versions and whose they are, which stay as they began whatever weights they get.
fn unweighed(variants: &[Variant]) -> Result<String, StoreError> {
    let unweighed: Vec<Variant> =
        variants.iter().map(|variant| Variant { weight: 0, ..variant.clone() }).collect();
    to_json(&unweighed, "sealing a rollout")
}

fn of(columns: &[&str; COLUMNS.len()], whose: &str) -> String {
    let (stays, moves) = columns.split_at(STAYS);
    let stays = rollout_hash(stays.iter().copied().chain([whose]));
    format!("{stays}.{}", rollout_hash(moves.iter().copied()))
}

/// Of a seal, what covers what stays as it began.
pub(super) fn what_stays(seal: &str) -> &str {
    seal.split_once('.').map_or(seal, |(stays, _)| stays)
}
