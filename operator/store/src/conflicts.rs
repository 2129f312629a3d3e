//! The open conflicts of environments: each is written once when it appears, and closed when it is gone.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sower_core::plan::{Conflict, ConflictType, Resolution};

use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Row, Tx, to_json};

/// A conflict that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenConflict {
    /// The environment.
    pub environment: String,
    /// The conflict.
    pub conflict: Conflict,
    /// When it was first found.
    pub since: Timestamp,
}

pub(crate) const KINDS: [ConflictType; 3] =
    [ConflictType::Version, ConflictType::Dependency, ConflictType::Duplicate];

const RESOLUTIONS: [Resolution; 3] = [Resolution::Skip, Resolution::Override, Resolution::Merge];

/// What the column `detail` holds.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Detail {
    #[serde(default)]
    message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unmerged: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    clashes: Vec<String>,
}

impl Detail {
    fn of(conflict: &Conflict) -> Self {
        let Conflict { message, unmerged, clashes, .. } = conflict;
        Self { message: message.clone(), unmerged: unmerged.clone(), clashes: clashes.clone() }
    }

    /// What the same conflict may come to have otherwise: why it is not merged.
    fn moved(&self, conflict: &Conflict) -> bool {
        self.unmerged != conflict.unmerged || self.clashes != conflict.clashes
    }
}

impl Store {
    /// The open conflicts of one environment, or with `None` of every one, by environment and id.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn open_conflicts(&self, environment: Option<&str>) -> Result<Vec<OpenConflict>, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading conflicts",
                "SELECT environment, integration_id, conflict_type, current_version, new_version, resolution, fingerprint, \
                 detail::text, @time(created_at) FROM seeding_conflicts \
                 WHERE resolved_at IS NULL AND ($1::text IS NULL OR environment = $1) \
                 ORDER BY environment, integration_id, conflict_type",
                &[Bind::Maybe(environment)],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(open).collect()
    }
}

fn open(row: &Row) -> Result<OpenConflict, StoreError> {
    let kind = row.text(2)?;
    let kind =
        KINDS.into_iter().find(|known| known.as_str() == kind).ok_or_else(|| StoreError::Unreadable {
            what: "a conflict".to_owned(),
            cause: format!("`{kind}` is no kind of conflict"),
        })?;
    let said = row.maybe_text(5)?;
    let resolution = RESOLUTIONS.into_iter().find(|known| Some(known.as_str()) == said.as_deref());
    let Detail { message, unmerged, clashes } = row.json(7, "a conflict")?;
    Ok(OpenConflict {
        environment: row.text(0)?,
        conflict: Conflict {
            integration: row.text(1)?,
            kind,
            current_version: row.maybe_text(3)?,
            new_version: row.maybe_text(4)?,
            resolution: resolution.unwrap_or_default(),
            unmerged,
            clashes,
            message,
            fingerprint: row.text(6)?,
        },
        since: row.time(8)?,
    })
}

/// Opens what is new, closes what is gone, notes how and between which versions the rest is settled now, writes nothing
/// else. `seeding` names the one that applies them and `written` the integrations that it writes: a version that is
/// overridden there is a conflict no longer, and is recorded as closed at once.
pub(crate) async fn settle(
    tx: &mut Tx,
    environment: &str,
    conflicts: &[Conflict],
    seeding: Option<&str>,
    written: &BTreeSet<String>,
    now: &str,
) -> Result<(), StoreError> {
    let rows = tx
        .rows(
            "reading open conflicts",
            "SELECT integration_id, conflict_type, fingerprint, id, resolution, current_version, new_version, detail::text \
             FROM seeding_conflicts WHERE environment = $1 AND resolved_at IS NULL",
            &[environment.into()],
        )
        .await?;
    let mut standing = BTreeMap::new();
    for row in &rows {
        let told = (row.maybe_text(5)?, row.maybe_text(6)?, row.json::<Detail>(7, "a conflict")?);
        let key = (row.text(0)?, row.text(1)?, row.text(2)?);
        standing.insert(key, (row.text(3)?, row.maybe_text(4)?, told));
    }

    let (mut opened, mut closed) = (Vec::new(), Vec::new());
    let mut changed: BTreeMap<Resolution, Vec<String>> = BTreeMap::new();
    let mut moved: Vec<(String, &Conflict)> = Vec::new();
    let mut seen = BTreeSet::new();
    for conflict in conflicts {
        let key =
            (conflict.integration.clone(), conflict.kind.as_str().to_owned(), conflict.fingerprint.clone());
        if !seen.insert(key.clone()) {
            continue;
        }
        match standing.remove(&key) {
            None => opened.push(conflict),
            Some((id, resolution, (here, git, detail))) => {
                if resolution.as_deref() != Some(conflict.resolution.as_str()) {
                    changed.entry(conflict.resolution).or_default().push(id.clone());
                }
                let versions = (&conflict.current_version, &conflict.new_version);
                if versions != (&here, &git) || detail.moved(conflict) {
                    moved.push((id.clone(), conflict));
                }
                if is_settled(conflict, written) {
                    closed.push(id);
                }
            }
        }
    }
    closed.extend(standing.into_values().map(|(id, ..)| id));

    for (resolution, ids) in &changed {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        tx.run(
            "changing resolutions",
            "UPDATE seeding_conflicts SET resolution = $2 WHERE id = ANY($1)",
            &[Bind::Texts(&ids), resolution.as_str().into()],
        )
        .await?;
    }
    for (id, conflict) in &moved {
        let detail = to_json(&Detail::of(conflict), "changing what is said of a conflict")?;
        tx.run(
            "changing what is said of a conflict",
            "UPDATE seeding_conflicts SET current_version = $2::text, new_version = $3::text, detail = $4::json WHERE id = $1",
            &[
                id.into(),
                Bind::Maybe(conflict.current_version.as_deref()),
                Bind::Maybe(conflict.new_version.as_deref()),
                (&detail).into(),
            ],
        )
        .await?;
    }
    if !closed.is_empty() {
        let ids: Vec<&str> = closed.iter().map(String::as_str).collect();
        tx.run(
            "closing conflicts",
            "UPDATE seeding_conflicts SET resolved_at = $2::timestamptz, seeding = coalesce($3::text, seeding) \
             WHERE id = ANY($1)",
            &[Bind::Texts(&ids), now.into(), Bind::Maybe(seeding)],
        )
        .await?;
    }
    for chunk in opened.chunks(crate::apply::ROWS) {
        let (settled, open): (Vec<&Conflict>, Vec<&Conflict>) =
            chunk.iter().partition(|conflict| is_settled(conflict, written));
        insert(tx, environment, &open, None, seeding, now).await?;
        insert(tx, environment, &settled, Some(now), seeding, now).await?;
    }
    Ok(())
}

fn is_settled(conflict: &Conflict, written: &BTreeSet<String>) -> bool {
    conflict.ends_when_written() && written.contains(&conflict.integration)
}

async fn insert(
    tx: &mut Tx,
    environment: &str,
    conflicts: &[&Conflict],
    resolved_at: Option<&str>,
    seeding: Option<&str>,
    now: &str,
) -> Result<(), StoreError> {
    let text = |pick: fn(&Conflict) -> Option<&str>| {
        Column::Text(conflicts.iter().map(|conflict| pick(conflict).map(Cow::Borrowed)).collect())
    };
    let mut details = Vec::with_capacity(conflicts.len());
    for conflict in conflicts {
        details.push(Some(to_json(&Detail::of(conflict), "writing a conflict")?.into()));
    }
    let ids = conflicts.iter().map(|_| Some(crate::seeding::new_id().into())).collect();
    let mut columns = vec![
        ("id", Column::Text(ids)),
        ("integration_id", text(|c| Some(&c.integration))),
        ("conflict_type", text(|c| Some(c.kind.as_str()))),
        ("current_version", text(|c| c.current_version.as_deref())),
        ("new_version", text(|c| c.new_version.as_deref())),
        ("resolution", text(|c| Some(c.resolution.as_str()))),
        ("created_at", Column::Time(now)),
        ("environment", Column::Same(environment)),
        ("fingerprint", text(|c| Some(&c.fingerprint))),
        ("detail", Column::Json(details)),
    ];
    columns.extend(resolved_at.map(|at| ("resolved_at", Column::Time(at))));
    columns.extend(seeding.map(|id| ("seeding", Column::Same(id))));
    tx.bulk("opening conflicts", Bulk { table: "seeding_conflicts", columns, on_conflict: "" }).await?;
    Ok(())
}
