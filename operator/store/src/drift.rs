//! Looking for drift: rows that no longer are what the last seeding wrote.
//!
//! An environment is looked through by pages of integrations, in one transaction that reads. PostgreSQL hashes by itself and
//! says which integrations are sound; of the others, and on SQLite of all, the rows are read and compared one by one. What
//! lives beside the stable rows is looked at for itself: of few integrations a rollout is under way.

mod beside;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use sower_core::drift::{Drifted, Foreign, Ignored, Left, Logged, Registry, There, What, drifted};
use sower_core::hash::hex;
use sower_core::plan::Content;
use sower_core::rows::{DefinitionRow, Kind, RegistryRow, checksum, rows};

use crate::address::Engine;
use crate::apply::HELD;
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Row, Tx};

/// Integrations that are asked about in one statement.
const PAGE: usize = 500;

/// What has drifted in an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Number of the last seeding; none: there was none.
    pub seeding: Option<i64>,
    /// Integrations that are to be there.
    pub integrations: u64,
    /// Integrations whose rows were read and compared one by one: on SQLite all, on PostgreSQL those that it did not find
    /// sound by itself.
    pub compared: u64,
    /// The rows, by integration, registry and id.
    pub rows: Vec<Drifted>,
}

impl Store {
    /// Compares every row of an environment with what the last seeding wrote. Reads only; holds the rows of a few
    /// integrations at a time, and what has drifted. What is ignored, and what is equal to a default, is no drift; it is
    /// looked at where a hash says that a row differs.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn drift(&self, environment: &str, ignored: &Ignored) -> Result<Drift, StoreError> {
        let mut tx = self.read().await?;
        let seq = tx
            .row(
                "reading the environment",
                "SELECT seq FROM environments WHERE name = $1",
                &[environment.into()],
            )
            .await?;
        let seq = seq.map(|row| row.int(0)).transpose()?.filter(|seq| *seq > 0);
        let mut drift = Drift { seeding: seq, ..Drift::default() };
        let mut rows = BTreeMap::new();
        let mut last = String::new();
        loop {
            let page = page(&mut tx, environment, &last).await?;
            let Some(end) = page.last() else { break };
            last.clone_from(end);
            let mut suspects: BTreeSet<&str> = page.iter().map(String::as_str).collect();
            if tx.engine() == Engine::Postgres {
                for sound in sound(&mut tx, environment, &page).await? {
                    drift.integrations += u64::from(suspects.remove(sound.as_str()));
                }
            }
            let suspects: Vec<&str> = suspects.into_iter().collect();
            drift.compared += suspects.len() as u64;
            for ids in suspects.chunks(HELD) {
                drift.integrations += compare(&mut tx, environment, ids, ignored, &mut rows).await?;
            }
        }
        drift.rows = rows.into_values().collect();
        drift.rows.extend(beside::beside(&mut tx, environment, ignored).await?);
        tx.done();
        drift.rows.sort_unstable();
        Ok(drift)
    }

    /// These integrations as the last seeding left them, by id: what the log of changes says that is carried, with content
    /// that can be had. What the rows say of it is not asked, but for where they come from.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn left(
        &self,
        environment: &str,
        ids: &BTreeSet<&str>,
    ) -> Result<BTreeMap<String, Left>, StoreError> {
        let mut left = BTreeMap::new();
        if ids.is_empty() {
            return Ok(left);
        }
        let ids: Vec<&str> = ids.iter().copied().collect();
        let mut tx = self.read().await?;
        for page in ids.chunks(PAGE) {
            let rows = tx
                .rows(
                    "reading what was left",
                    "SELECT c.integration_id, c.to_version, c.to_checksum, coalesce(d.source, v.source), \
                     coalesce(d.path, v.path), coalesce(d.revision, v.revision), d.prune IS NOT NULL FROM seeding_changes c \
                     JOIN integration_versions v ON v.environment = c.environment AND v.integration_id = c.integration_id \
                     AND v.version = c.to_version AND v.checksum = c.to_checksum \
                     LEFT JOIN integration_definitions d ON d.environment = c.environment AND d.id = c.integration_id \
                     WHERE c.environment = $1 AND c.integration_id = ANY($2) AND c.seq = (SELECT max(l.seq) \
                     FROM seeding_changes l WHERE l.environment = c.environment AND l.integration_id = c.integration_id)",
                    &[environment.into(), Bind::Texts(page)],
                )
                .await?;
            for row in &rows {
                let content = Content { version: row.text(1)?, checksum: row.text(2)? };
                let (source, path, revision) = (row.text(3)?, row.text(4)?, row.text(5)?);
                let prune_disabled = row.flag(6)?;
                left.insert(row.text(0)?, Left { content, source, path, revision, prune_disabled });
            }
        }
        tx.done();
        Ok(left)
    }
}

/// The next integrations, by id, of all that any row or the log of changes names.
async fn page(tx: &mut Tx, environment: &str, last: &str) -> Result<Vec<String>, StoreError> {
    let mut sources = vec![("integration_definitions", "id"), ("seeding_changes", "integration_id")];
    sources.extend(Kind::ALL.map(|kind| (kind.table(), "integration_id")));
    let each = sources.iter().map(|(table, id)| {
        format!(
            "SELECT id FROM (SELECT DISTINCT {id} AS id FROM {table} \
             WHERE environment = $1 AND {id} > $2 ORDER BY 1 LIMIT $3) AS {table}_ids"
        )
    });
    let sql = format!("{} ORDER BY 1 LIMIT $3", each.collect::<Vec<_>>().join(" UNION "));
    let binds = [environment.into(), last.into(), Bind::Int(PAGE as i64)];
    tx.rows("looking for drift", &sql, &binds).await?.iter().map(|row| row.text(0)).collect()
}

/// What [`DefinitionRow::row_hash`] covers.
pub(crate) const OF_DEFINITION: [&str; 6] =
    ["id", "name", "version", "coalesce(author, chr(30))", "manifest::text", "status"];
/// What [`RegistryRow::row_hash`] covers.
pub(crate) const OF_REGISTRY: [&str; 6] =
    ["id", "integration_id", "identifier", "name", "coalesce(category, chr(30))", "definition::text"];

/// The same bytes as [`DefinitionRow::row_hash`] and [`RegistryRow::row_hash`] cover, hashed by PostgreSQL.
pub(crate) fn hash(columns: &[&str]) -> String {
    format!("sha256(convert_to(concat_ws(chr(31), {}), 'UTF8'))", columns.join(", "))
}

/// Those of these integrations that are carried, whose rows all are what was stored with them, and as many as the manifest
/// has. On PostgreSQL alone. What is not among them need not have drifted.
pub(crate) async fn sound(tx: &mut Tx, environment: &str, ids: &[String]) -> Result<Vec<String>, StoreError> {
    let (of_definition, of_registry) = (hash(&OF_DEFINITION), hash(&OF_REGISTRY));
    let counted = Kind::ALL.map(|kind| {
        let table = kind.table();
        format!(
            "SELECT integration_id, '{}' AS kind, count(*) AS many, \
             bool_and(seeding IS NOT NULL AND row_hash = {of_registry}) AS same FROM {table} \
             WHERE environment = $1 AND integration_id = ANY($2) GROUP BY integration_id",
            kind.as_str()
        )
    });
    // A manifest that is not what was stored is not looked into: it may be of any form.
    let sql = format!(
        "WITH d AS MATERIALIZED (SELECT id, checksum, manifest, row_hash = {of_definition} AS same \
           FROM integration_definitions \
           WHERE environment = $1 AND id = ANY($2) AND seeding IS NOT NULL AND status <> 'removed'), \
         r AS MATERIALIZED (SELECT integration_id, bool_and(same) AS same, \
             max(many) FILTER (WHERE kind = 'action') AS actions, max(many) FILTER (WHERE kind = 'trigger') AS triggers, \
             max(many) FILTER (WHERE kind = 'connection') AS connections, max(many) FILTER (WHERE kind = 'event') AS events \
           FROM ({}) AS counted GROUP BY integration_id) \
         SELECT d.id FROM d LEFT JOIN r ON r.integration_id = d.id, \
         LATERAL json_to_record(CASE WHEN d.same THEN d.manifest ELSE '{{}}' END) \
           AS m(actions json, triggers json, connections json, events json) \
         WHERE d.same AND coalesce(r.same, true) \
         AND coalesce(r.actions, 0) = coalesce(json_array_length(m.actions), 0) \
         AND coalesce(r.triggers, 0) = coalesce(json_array_length(m.triggers), 0) \
         AND coalesce(r.connections, 0) = coalesce(json_array_length(m.connections), 0) \
         AND coalesce(r.events, 0) = (SELECT count(DISTINCT e ->> 'eventType') FROM json_array_elements(m.events) AS e) \
         AND d.checksum = (SELECT c.to_checksum FROM seeding_changes c \
           WHERE c.environment = $1 AND c.integration_id = d.id ORDER BY c.seq DESC LIMIT 1)",
        counted.join(" UNION ALL ")
    );
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let rows = tx.rows("looking for drift", &sql, &[environment.into(), Bind::Texts(&ids)]).await?;
    rows.iter().map(|row| row.text(0)).collect()
}

/// Those of these integrations of which a row is not what was seeded.
pub(crate) async fn drifted_of(
    tx: &mut Tx,
    environment: &str,
    ids: &[&str],
) -> Result<BTreeSet<String>, StoreError> {
    let mut rows = BTreeMap::new();
    compare(tx, environment, ids, &Ignored::default(), &mut rows).await?;
    Ok(rows.into_values().map(|drifted| drifted.integration).collect())
}

/// Each row of some integrations: its integration, table, id, recomputed hash, and the checksum and seeding it names.
pub(crate) async fn lines(tx: &mut Tx, binds: &[Bind<'_>]) -> Result<Vec<[String; 6]>, StoreError> {
    let definitions = tx
        .rows(
            "looking at rows",
            "SELECT id, name, version, author, manifest::text, status, row_hash, checksum, seeding \
             FROM integration_definitions WHERE environment = $1 AND id = ANY($2)",
            binds,
        )
        .await?;
    let mut lines = Vec::new();
    for row in &definitions {
        let (held, id) = (definition_row(row)?, row.text(0)?);
        let hash = hex(&held.there().row.row_hash());
        let seeding = row.maybe_text(8)?.unwrap_or_default();
        lines.push([
            id.clone(),
            "integration".to_owned(),
            id,
            hash,
            held.checksum.unwrap_or_default(),
            seeding,
        ]);
    }
    for held in registry(tx, binds, "integration_id").await? {
        let hash = hex(&held.there().row.row_hash());
        let stored = held.hash.as_deref().map(hex).unwrap_or_default();
        lines.push([held.integration, held.kind.as_str().to_owned(), held.id, hash, stored, String::new()]);
    }
    Ok(lines)
}

/// A row of a registry, read.
struct Held {
    kind: Kind,
    id: String,
    integration: String,
    identifier: String,
    name: String,
    category: Option<String>,
    definition: String,
    hash: Option<Vec<u8>>,
}

impl Held {
    fn there(&self) -> There<RegistryRow<'_>> {
        let row = RegistryRow {
            kind: self.kind,
            id: self.id.clone(),
            integration: Cow::Borrowed(&self.integration),
            identifier: Cow::Borrowed(&self.identifier),
            name: Cow::Borrowed(&self.name),
            category: self.category.as_deref().map(Cow::Borrowed),
            definition: &self.definition,
        };
        There { row, hash: self.hash.clone(), checksum: None }
    }
}

/// Compares these integrations row by row; says how many of them are to be there.
async fn compare(
    tx: &mut Tx,
    environment: &str,
    ids: &[&str],
    ignored: &Ignored,
    found: &mut BTreeMap<(Registry, String), Drifted>,
) -> Result<u64, StoreError> {
    let binds = [environment.into(), Bind::Texts(ids)];
    let logged = logged(tx, &binds).await?;
    let definitions = tx
        .rows(
            "reading definitions",
            "SELECT id, name, version, author, manifest::text, status, row_hash, checksum \
             FROM integration_definitions WHERE environment = $1 AND id = ANY($2)",
            &binds,
        )
        .await?;
    let mut definition = BTreeMap::new();
    for row in &definitions {
        definition.insert(row.text(0)?, definition_row(row)?);
    }
    let contents = contents(tx, environment, &logged, &definition).await?;
    let mut registry = registry(tx, &binds, "integration_id").await?;
    let here: BTreeSet<(Kind, String)> = registry.iter().map(|row| (row.kind, row.id.clone())).collect();
    // A row that now names another integration is still the one that was seeded.
    let wanted = contents.values().filter_map(|content| rows(content).ok());
    let strayed: BTreeSet<String> = wanted
        .flat_map(|rows| rows.registry.into_iter().map(|row| (row.kind, row.id)).collect::<Vec<_>>())
        .filter(|row| !here.contains(row))
        .map(|(_, id)| id)
        .collect();
    let strayed: Vec<&str> = strayed.iter().map(String::as_str).collect();
    for ids in strayed.chunks(PAGE) {
        let more = self::registry(tx, &[environment.into(), Bind::Texts(ids)], "id").await?;
        registry.extend(more.into_iter().filter(|row| !here.contains(&(row.kind, row.id.clone()))));
    }
    let mut carried = 0;
    for id in ids {
        let logged = logged.get(*id);
        carried += u64::from(logged.is_some_and(|logged| logged.carried));
        let content = contents.get(*id).map(String::as_str);
        let wants = content.and_then(|content| rows(content).ok());
        let wants: BTreeSet<(Kind, &str)> =
            wants.iter().flat_map(|rows| &rows.registry).map(|row| (row.kind, row.id.as_str())).collect();
        let mine = |row: &&Held| row.integration == **id || wants.contains(&(row.kind, row.id.as_str()));
        let there: Vec<_> = registry.iter().filter(mine).map(Held::there).collect();
        let definition = definition.get(*id).map(DefinitionHeld::there);
        for one in drifted(id, logged, content, definition.as_ref(), &there, ignored) {
            // A row that names one integration and is wanted by another is seen by both.
            let key = (one.registry, one.id.clone());
            let claiming = one.what == What::Foreign(Foreign::Claiming);
            if !(claiming && found.contains_key(&key)) {
                found.insert(key, one);
            }
        }
    }
    Ok(carried)
}

/// A row of `integration_definitions`, read.
struct DefinitionHeld {
    texts: [String; 3],
    author: Option<String>,
    manifest: String,
    status: String,
    hash: Option<Vec<u8>>,
    checksum: Option<String>,
}

fn definition_row(row: &Row) -> Result<DefinitionHeld, StoreError> {
    Ok(DefinitionHeld {
        texts: [row.text(0)?, row.text(1)?, row.text(2)?],
        author: row.maybe_text(3)?,
        manifest: row.text(4)?,
        status: row.text(5)?,
        hash: row.maybe_bytes(6)?,
        checksum: row.maybe_text(7)?,
    })
}

impl DefinitionHeld {
    fn there(&self) -> There<DefinitionRow<'_>> {
        let [id, name, version] = self.texts.each_ref().map(|text| Cow::Borrowed(text.as_str()));
        let row = DefinitionRow {
            id,
            name,
            version,
            author: self.author.as_deref().map(Cow::Borrowed),
            manifest: &self.manifest,
            status: Cow::Borrowed(&self.status),
        };
        There { row, hash: self.hash.clone(), checksum: self.checksum.clone() }
    }
}

/// What the log of changes says last of each integration.
async fn logged(tx: &mut Tx, binds: &[Bind<'_>]) -> Result<BTreeMap<String, Logged>, StoreError> {
    let rows = tx
        .rows(
            "reading the log of changes",
            "SELECT c.integration_id, c.to_checksum, c.from_checksum FROM seeding_changes c \
             WHERE c.environment = $1 AND c.integration_id = ANY($2) AND c.seq = (SELECT max(l.seq) FROM seeding_changes l \
             WHERE l.environment = c.environment AND l.integration_id = c.integration_id)",
            binds,
        )
        .await?;
    let mut logged = BTreeMap::new();
    for row in &rows {
        let (to, from) = (row.maybe_text(1)?, row.maybe_text(2)?);
        let carried = to.is_some();
        let checksum = to.or(from).unwrap_or_default();
        logged.insert(row.text(0)?, Logged { carried, checksum });
    }
    Ok(logged)
}

/// The content that the log names of each integration: the definition's own where it is that, else the version kept.
async fn contents(
    tx: &mut Tx,
    environment: &str,
    logged: &BTreeMap<String, Logged>,
    definitions: &BTreeMap<String, DefinitionHeld>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut contents = BTreeMap::new();
    let mut asked: Vec<(&str, &str)> = Vec::new();
    for (id, Logged { checksum: wanted, .. }) in logged {
        match definitions.get(id).filter(|held| checksum(&held.manifest) == *wanted) {
            Some(held) => drop(contents.insert(id.clone(), held.manifest.clone())),
            None => asked.push((id, wanted)),
        }
    }
    if asked.is_empty() {
        return Ok(contents);
    }
    let (ids, checksums): (Vec<&str>, Vec<&str>) = asked.iter().copied().unzip();
    let rows = tx
        .rows(
            "reading the versions kept",
            "SELECT integration_id, checksum, manifest::text FROM integration_versions \
             WHERE environment = $1 AND integration_id = ANY($2) AND checksum = ANY($3)",
            &[environment.into(), Bind::Texts(&ids), Bind::Texts(&checksums)],
        )
        .await?;
    for row in &rows {
        let (id, stored, manifest) = (row.text(0)?, row.text(1)?, row.text(2)?);
        if asked.contains(&(&*id, &*stored)) && checksum(&manifest) == stored {
            contents.insert(id, manifest);
        }
    }
    Ok(contents)
}

/// Rows of all registries, by one column.
async fn registry(tx: &mut Tx, binds: &[Bind<'_>], by: &str) -> Result<Vec<Held>, StoreError> {
    let each = Kind::ALL.map(|kind| {
        format!(
            "SELECT '{}', id, integration_id, identifier, name, category, definition::text, row_hash FROM {} \
             WHERE environment = $1 AND {by} = ANY($2)",
            kind.as_str(),
            kind.table()
        )
    });
    let rows = tx.rows("reading registry rows", &each.join(" UNION ALL "), binds).await?;
    rows.iter().filter_map(|row| held(row).transpose()).collect()
}

/// A row of a registry, of its kind, id, integration, identifier, name, category, definition and hash; none where nobody knows
/// such a kind.
fn held(row: &Row) -> Result<Option<Held>, StoreError> {
    let name = row.text(0)?;
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == name) else { return Ok(None) };
    Ok(Some(Held {
        kind,
        id: row.text(1)?,
        integration: row.text(2)?,
        identifier: row.text(3)?,
        name: row.text(4)?,
        category: row.maybe_text(5)?,
        definition: row.text(6)?,
        hash: row.maybe_bytes(7)?,
    }))
}
