//! Rows as hands left them: what is merged with what git says.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sower_core::hand::There;
use sower_core::hash::hex;
use sower_core::rows::{DefinitionRow, Kind, RegistryRow, checksum};

use crate::bulk::{Bulk, Column};
use crate::environment::{Fence, lock};
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Row, Tx, time};

/// What one environment holds of an integration, and what was seeded into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hand {
    definition: DefinitionRow<'static>,
    manifest: String,
    registry: Vec<Registered>,
    foreign: Vec<(Kind, String)>,
    /// The content that was last written; none: it is not kept any more.
    pub seeded: Option<Arc<str>>,
    /// The content of git that this was merged from, where it was merged.
    pub base: Option<Arc<str>>,
}

/// A row of a registry, read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Registered {
    row: RegistryRow<'static>,
    definition: String,
}

impl Hand {
    /// The rows.
    #[must_use]
    pub fn there(&self) -> There<'_> {
        let registry = self.registry.iter().map(|Registered { row, definition }| RegistryRow {
            definition: definition.as_str(),
            ..row.clone()
        });
        There {
            definition: DefinitionRow { manifest: &self.manifest, ..self.definition.clone() },
            registry: registry.collect(),
            foreign: self.foreign.clone(),
        }
    }

    /// A digest of the rows: equal ones were not touched in between.
    #[must_use]
    pub fn seen(&self) -> String {
        let there = self.there();
        let mut rows: Vec<String> = there.registry.iter().map(|row| hex(&row.row_hash())).collect();
        rows.extend(there.foreign.iter().map(|(kind, id)| format!("{} {id}", kind.as_str())));
        rows.sort_unstable();
        rows.push(hex(&there.definition.row_hash()));
        checksum(&rows.join("\n"))
    }
}

/// A merge that a seeding writes.
#[derive(Debug, Clone, Copy)]
pub struct Merging<'a> {
    /// The integration.
    pub integration: &'a str,
    /// Checksum of the result.
    pub checksum: &'a str,
    /// The content of git that went in: checksum and canonical bytes.
    pub git: (&'a str, &'a str),
    /// [`Hand::seen`] of the rows that went in.
    pub seen: &'a str,
}

/// A content that an environment carried, with its manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The integration.
    pub integration: String,
    /// Its version.
    pub version: String,
    /// Its checksum.
    pub checksum: String,
    /// Its canonical bytes.
    pub manifest: Arc<str>,
    /// The source that it first came from.
    pub source: String,
    /// The long form of the revision at which it was first read.
    pub revision: String,
    /// The path of its file then.
    pub path: String,
}

impl Store {
    /// What an environment holds of some integrations; those that no seeding wrote are left out.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn hands(&self, environment: &str, ids: &[&str]) -> Result<BTreeMap<String, Hand>, StoreError> {
        if ids.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut tx = self.read().await?;
        let mut hands = there(&mut tx, environment, ids).await?;
        let rows = tx
            .rows(
                "reading what was seeded",
                "SELECT c.integration_id, v.manifest::text, m.manifest::text FROM seeding_changes c \
                 LEFT JOIN integration_versions v ON v.environment = c.environment \
                   AND v.integration_id = c.integration_id AND v.checksum = c.to_checksum \
                 LEFT JOIN integration_merges m ON m.environment = c.environment \
                   AND m.integration_id = c.integration_id AND m.checksum = c.to_checksum \
                 WHERE c.environment = $1 AND c.integration_id = ANY($2) AND c.seq = (SELECT max(l.seq) \
                   FROM seeding_changes l WHERE l.environment = c.environment AND l.integration_id = c.integration_id)",
                &[environment.into(), Bind::Texts(ids)],
            )
            .await?;
        tx.done();
        for row in &rows {
            if let Some(hand) = hands.get_mut(&row.text(0)?) {
                hand.seeded = row.maybe_text(1)?.map(Arc::from);
                hand.base = row.maybe_text(2)?.map(Arc::from);
            }
        }
        Ok(hands)
    }

    /// Notes what went into merges of a plan that waits: what it writes has its base then.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn note_merges(&self, fence: &Fence, merges: &[Merging<'_>]) -> Result<(), StoreError> {
        if merges.is_empty() {
            return Ok(());
        }
        if self.knows_merges(&fence.environment, merges).await? {
            return Ok(());
        }
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        write(&mut tx, &fence.environment, "", merges, &time(jiff::Timestamp::now())).await?;
        tx.commit().await
    }

    /// Whether all of these merges are noted with their bases.
    async fn knows_merges(&self, environment: &str, merges: &[Merging<'_>]) -> Result<bool, StoreError> {
        let ids: Vec<&str> = merges.iter().map(|merge| merge.integration).collect();
        let mut tx = self.read().await?;
        let sql = "SELECT integration_id, checksum, base FROM integration_merges \
             WHERE environment = $1 AND integration_id = ANY($2)";
        let rows = tx.rows("looking for merges", sql, &[environment.into(), Bind::Texts(&ids)]).await?;
        tx.done();
        let known = rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.text(2)?)));
        let known: BTreeSet<(String, String, String)> = known.collect::<Result<_, StoreError>>()?;
        let key = |merge: &Merging<'_>| {
            (merge.integration.to_owned(), merge.checksum.to_owned(), merge.git.0.to_owned())
        };
        Ok(merges.iter().all(|merge| known.contains(&key(merge))))
    }

    /// [`Hand::seen`] of what an environment holds of some integrations. Two statements.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn seen(
        &self,
        environment: &str,
        ids: &[&str],
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let mut tx = self.read().await?;
        let hands = there(&mut tx, environment, ids).await?;
        tx.done();
        Ok(hands.into_iter().map(|(id, hand)| (id, hand.seen())).collect())
    }

    /// Contents that an environment carried of some integrations, the last `most` of each that came.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn known_versions(
        &self,
        environment: &str,
        ids: &[&str],
        most: i64,
    ) -> Result<Vec<Known>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading earlier contents",
                "SELECT integration_id, version, checksum, manifest::text, source, revision, path FROM (\
                 SELECT integration_id, version, checksum, manifest, source, revision, path, \
                 row_number() OVER (PARTITION BY integration_id ORDER BY created_at DESC, checksum) AS place \
                 FROM integration_versions WHERE environment = $1 AND integration_id = ANY($2)) AS numbered \
                 WHERE place <= $3 ORDER BY integration_id, place",
                &[environment.into(), Bind::Texts(ids), Bind::Int(most)],
            )
            .await?;
        tx.done();
        let known = |row: &Row| {
            Ok(Known {
                integration: row.text(0)?,
                version: row.text(1)?,
                checksum: row.text(2)?,
                manifest: row.text(3)?.into(),
                source: row.text(4)?,
                revision: row.text(5)?,
                path: row.text(6)?,
            })
        };
        rows.iter().map(known).collect()
    }
}

/// The rows of some integrations.
async fn there(tx: &mut Tx, environment: &str, ids: &[&str]) -> Result<BTreeMap<String, Hand>, StoreError> {
    let binds = [environment.into(), Bind::Texts(ids)];
    let definitions = tx
        .rows(
            "reading definitions",
            "SELECT id, name, version, author, manifest::text, status FROM integration_definitions \
             WHERE environment = $1 AND id = ANY($2) AND seeding IS NOT NULL",
            &binds,
        )
        .await?;
    let mut hands = BTreeMap::new();
    for row in &definitions {
        let owned = |text: String| Cow::<'static, str>::Owned(text);
        let definition = DefinitionRow {
            id: owned(row.text(0)?),
            name: owned(row.text(1)?),
            version: owned(row.text(2)?),
            author: row.maybe_text(3)?.map(owned),
            manifest: "",
            status: owned(row.text(5)?),
        };
        let hand = Hand {
            definition,
            manifest: row.text(4)?,
            registry: Vec::new(),
            foreign: Vec::new(),
            seeded: None,
            base: None,
        };
        hands.insert(row.text(0)?, hand);
    }
    let registries = Kind::ALL.map(|kind| {
        format!(
            "SELECT '{}', id, integration_id, identifier, name, category, definition::text, \
             seeding IS NULL FROM {} \
             WHERE environment = $1 AND integration_id = ANY($2)",
            kind.as_str(),
            kind.table()
        )
    });
    for row in &tx.rows("reading registry rows", &registries.join(" UNION ALL "), &binds).await? {
        let name = row.text(0)?;
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == name) else { continue };
        let Some(hand) = hands.get_mut(&row.text(2)?) else { continue };
        if row.flag(7)? {
            hand.foreign.push((kind, row.text(1)?));
            continue;
        }
        let registered = Registered {
            row: RegistryRow {
                kind,
                id: row.text(1)?,
                integration: Cow::Owned(row.text(2)?),
                identifier: Cow::Owned(row.text(3)?),
                name: Cow::Owned(row.text(4)?),
                category: row.maybe_text(5)?.map(Cow::Owned),
                definition: "",
            },
            definition: row.text(6)?,
        };
        hand.registry.push(registered);
    }
    Ok(hands)
}

/// Holds the rows that went into merges, and refuses where a hand touched them since: its edit would be lost.
pub(crate) async fn guard(tx: &mut Tx, environment: &str, merges: &[Merging<'_>]) -> Result<(), StoreError> {
    if merges.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = merges.iter().map(|merge| merge.integration).collect();
    let binds = [environment.into(), Bind::Texts(&ids)];
    let tables = Kind::ALL.map(|kind| (kind.table(), "integration_id"));
    for (table, key) in [("integration_definitions", "id")].into_iter().chain(tables) {
        let sql = format!("SELECT id FROM {table} WHERE environment = $1 AND {key} = ANY($2) FOR UPDATE");
        tx.rows("holding what is merged", &sql, &binds).await?;
    }
    let hands = there(tx, environment, &ids).await?;
    let touched =
        |merge: &&Merging<'_>| hands.get(merge.integration).is_none_or(|hand| hand.seen() != merge.seen);
    let integrations: BTreeSet<String> =
        merges.iter().filter(touched).map(|merge| merge.integration.to_owned()).collect();
    if integrations.is_empty() {
        return Ok(());
    }
    Err(StoreError::Edited { integrations: integrations.into_iter().collect() })
}

/// Notes what went into merges, and forgets it of results that nobody keeps any more and no plan waits to write.
pub(crate) async fn write(
    tx: &mut Tx,
    environment: &str,
    seeding: &str,
    merges: &[Merging<'_>],
    now: &str,
) -> Result<(), StoreError> {
    if merges.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = merges.iter().map(|merge| merge.integration).collect();
    tx.run(
        "forgetting merges",
        "DELETE FROM integration_merges WHERE environment = $1 AND integration_id = ANY($2) AND NOT EXISTS (\
         SELECT 1 FROM integration_versions v WHERE v.environment = integration_merges.environment \
         AND v.integration_id = integration_merges.integration_id AND v.checksum = integration_merges.checksum) \
         AND NOT EXISTS (SELECT 1 FROM seeding_plan_contents p WHERE p.environment = integration_merges.environment \
         AND p.integration_id = integration_merges.integration_id AND p.checksum = integration_merges.checksum)",
        &[environment.into(), Bind::Texts(&ids)],
    )
    .await?;
    for chunk in crate::apply::chunks(merges, |merge| merge.git.1.len()) {
        let text = |pick: for<'a> fn(&'a Merging<'_>) -> &'a str| {
            Column::Text(chunk.iter().map(|merge| Some(Cow::Borrowed(pick(merge)))).collect())
        };
        let columns = vec![
            ("environment", Column::Same(environment)),
            ("integration_id", text(|merge| merge.integration)),
            ("checksum", text(|merge| merge.checksum)),
            ("base", text(|merge| merge.git.0)),
            ("manifest", Column::Json(chunk.iter().map(|merge| Some(Cow::Borrowed(merge.git.1))).collect())),
            ("created_at", Column::Time(now)),
            ("seeding", Column::Same(seeding)),
        ];
        let on_conflict = "(environment, integration_id, checksum) DO UPDATE SET base = excluded.base, \
             manifest = excluded.manifest, created_at = excluded.created_at, seeding = excluded.seeding";
        tx.bulk("noting merges", Bulk { table: "integration_merges", columns, on_conflict }).await?;
    }
    Ok(())
}
