//! What was found in the sources, one row a document: the memory that saves reading and parsing again.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sower_core::catalog::{Found, Place, Reference, Summary};
use sower_core::problem::Problem;

use crate::apply::chunks;
use crate::bulk::{Bulk, Column};
use crate::environment::AppliedSource;
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Tx, parse, to_json};

/// What changed among the documents found.
#[derive(Debug, Clone, Default)]
pub struct ManifestDelta<'a> {
    /// Documents that are new, or read anew.
    pub upsert: Vec<&'a Found>,
    /// Documents that are gone, by [`document_id`].
    pub delete: Vec<String>,
}

impl ManifestDelta<'_> {
    /// Nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.upsert.is_empty() && self.delete.is_empty()
    }
}

/// What the column `prune` of a definition holds that is never pruned.
pub(crate) const DISABLED: &str = "disabled";

/// The rows of a source's documents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Kept {
    /// Those that can be read.
    pub found: Vec<Found>,
    /// Those that cannot, by [`document_id`].
    pub unreadable: Vec<String>,
}

/// The key of a document: `<source>/<path>#<document>`, where a long path gives way to a checksum.
#[must_use]
pub fn document_id(place: &Place) -> String {
    format!("{}#{}", file_key(&place.source, &place.path), place.document)
}

/// What the keys of a file's documents begin with.
pub(crate) fn file_key(source: &str, path: &str) -> String {
    indexed(&format!("{source}/{path}")).into_owned()
}

impl Store {
    /// Every document of a source as it was found last time, sorted by place, without its manifest. Where a row cannot be
    /// read, nothing is remembered: a document that is silently missing would look like a deletion.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn known(&self, environment: &str, source: &str) -> Result<Vec<Found>, StoreError> {
        let Kept { found, unreadable } = self.kept(environment, source).await?;
        Ok(if unreadable.is_empty() { found } else { Vec::new() })
    }

    /// Every row there is of a source's documents, sorted by place, without their manifests: to say which of them are to
    /// be replaced or deleted.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn kept(&self, environment: &str, source: &str) -> Result<Kept, StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading what is known of a source",
                &format!(
                    "SELECT {FOUND}, id FROM integration_manifests WHERE environment = $1 AND source = $2"
                ),
                &[environment.into(), source.into()],
            )
            .await?;
        tx.commit().await?;
        let mut kept = Kept::default();
        for row in &rows {
            let id = row.text(8)?;
            match read(row) {
                // It would be replaced and deleted under this key, not under its own.
                Ok(found) if document_id(&found.place) == id => kept.found.push(found),
                Ok(_) => kept.unreadable.push(id),
                Err(error) => {
                    tracing::warn!(environment, source, id, %error, "what is known of the source is read anew");
                    kept.unreadable.push(id);
                }
            }
        }
        kept.found.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(kept)
    }

    /// The canonical bytes of documents, by [`document_id`]; what is unknown or invalid is left out.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn remembered(
        &self,
        environment: &str,
        documents: &[&str],
    ) -> Result<HashMap<String, Arc<str>>, StoreError> {
        if documents.is_empty() {
            return Ok(HashMap::new());
        }
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading remembered manifests",
                "SELECT id, manifest::text FROM integration_manifests \
                 WHERE environment = $1 AND id = ANY($2) AND manifest IS NOT NULL",
                &[environment.into(), Bind::Texts(documents)],
            )
            .await?;
        tx.commit().await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?.into()))).collect()
    }
}

/// What [`read`] reads.
pub(crate) const FOUND: &str =
    "source, path, document, blob, integration_id, summary::text, problems::text, bundled::text";

pub(crate) fn read(row: &crate::session::Row) -> Result<Found, StoreError> {
    let summary = row.maybe_text(5)?;
    let document = u32::try_from(row.int(2)?).unwrap_or(u32::MAX);
    Ok(Found {
        place: Place { source: row.text(0)?, path: row.text(1)?, document },
        blob: row.text(3)?,
        id: row.maybe_text(4)?,
        summary: summary.as_deref().map(|text| parse::<Summary>(text, "a summary")).transpose()?,
        problems: row.json::<Vec<Problem>>(6, "problems")?,
        references: row.json::<Vec<Reference>>(7, "bundled files")?,
        manifest: None,
    })
}

/// Writes what changed, after the definitions: a document is `seeded` if a definition was written from it.
pub(crate) async fn write(
    tx: &mut Tx,
    environment: &str,
    delta: &ManifestDelta<'_>,
    applied: &BTreeMap<String, AppliedSource>,
    now: &str,
) -> Result<(), StoreError> {
    for gone in delta.delete.chunks(crate::apply::ROWS) {
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        tx.run(
            "forgetting documents",
            "DELETE FROM integration_manifests WHERE environment = $1 AND id = ANY($2)",
            &[environment.into(), Bind::Texts(&gone)],
        )
        .await?;
    }
    for chunk in chunks(&delta.upsert, |found| found.manifest.as_deref().map_or(0, str::len) + 1024) {
        upsert(tx, environment, chunk, applied, now).await?;
    }
    Ok(())
}

async fn upsert<'a>(
    tx: &mut Tx,
    environment: &str,
    chunk: &[&'a Found],
    applied: &BTreeMap<String, AppliedSource>,
    now: &str,
) -> Result<(), StoreError> {
    let ids: Vec<&str> = chunk.iter().filter_map(|found| found.id.as_deref()).collect();
    let rows = tx
        .rows(
            "reading which documents are carried",
            "SELECT d.id, coalesce(m.base, d.checksum), d.source, d.path, d.seeding, d.prune FROM integration_definitions d \
             LEFT JOIN integration_merges m ON m.environment = d.environment AND m.integration_id = d.id \
               AND m.checksum = d.checksum \
             WHERE d.environment = $1 AND d.id = ANY($2) AND d.seeding IS NOT NULL AND d.status <> 'removed'",
            &[environment.into(), Bind::Texts(&ids)],
        )
        .await?;
    let mut carried = HashMap::new();
    let mut disabled = BTreeSet::new();
    for row in &rows {
        if row.maybe_text(5)?.is_some() {
            disabled.insert(row.text(0)?);
        }
        carried.insert(row.text(0)?, (row.text(1)?, row.text(2)?, row.text(3)?, row.text(4)?));
    }
    // What an envelope says is remembered with the row, for when the document is gone.
    let said = |disables: bool| {
        let news = |found: &'a Found| {
            let (id, summary) = (found.id.as_ref()?, found.summary.as_ref()?);
            let (_, source, path, _) = carried.get(id)?;
            let here = found.place.source == *source && found.place.path == *path;
            let is_news = summary.annotations.prune_disabled == disables && disabled.contains(id) != disables;
            (here && is_news).then_some(id.as_str())
        };
        chunk.iter().copied().filter_map(news).collect::<Vec<&str>>()
    };
    for (value, ids) in [(Some(DISABLED), said(true)), (None, said(false))] {
        if !ids.is_empty() {
            tx.run(
                "remembering what is never pruned",
                "UPDATE integration_definitions SET prune = $3 \
                 WHERE environment = $1 AND id = ANY($2) AND seeding IS NOT NULL",
                &[environment.into(), Bind::Texts(&ids), Bind::Maybe(value)],
            )
            .await?;
        }
    }
    let seeding_of = |found: &Found| {
        let (checksum, source, path, seeding) = carried.get(found.id.as_deref()?)?;
        let summary = found.summary.as_ref()?;
        let place = &found.place;
        (summary.checksum == *checksum && place.source == *source && place.path == *path)
            .then(|| seeding.clone())
    };

    let revisions: BTreeMap<&str, String> =
        applied.iter().map(|(name, source)| (name.as_str(), source.revision.full())).collect();
    let text = |pick: &dyn Fn(&Found) -> Option<String>| {
        Column::Text(chunk.iter().map(|found| pick(found).map(Cow::Owned)).collect())
    };
    let mut json: [Vec<Option<Cow<'_, str>>>; 3] = Default::default();
    for found in chunk {
        let what = "writing a document";
        json[0].push(Some(to_json(&found.problems, what)?.into()));
        json[1]
            .push(found.summary.as_ref().map(|summary| to_json(summary, what)).transpose()?.map(Cow::Owned));
        json[2].push(Some(to_json(&found.references, what)?.into()));
    }
    let [problems, summaries, bundled] = json;
    let columns = vec![
        ("id", text(&|found| Some(document_id(&found.place)))),
        ("integration_id", text(&|found| found.id.clone())),
        ("version", text(&|found| found.summary.as_ref().map(|s| s.version.clone()))),
        ("manifest", Column::Json(chunk.iter().map(|f| f.manifest.as_deref().map(Cow::Borrowed)).collect())),
        ("checksum", text(&|found| found.summary.as_ref().map(|s| s.checksum.clone()))),
        ("environment", Column::Same(environment)),
        (
            "status",
            text(&|found| {
                Some(match (found.is_valid(), seeding_of(found)) {
                    (false, _) => "error".to_owned(),
                    (true, Some(_)) => "seeded".to_owned(),
                    (true, None) => "validated".to_owned(),
                })
            }),
        ),
        ("created_at", Column::Time(now)),
        ("updated_at", Column::Time(now)),
        ("source", text(&|found| Some(found.place.source.clone()))),
        ("path", text(&|found| Some(found.place.path.clone()))),
        ("document", Column::Int(chunk.iter().map(|found| i64::from(found.place.document)).collect())),
        (
            "revision",
            text(&|found| Some(revisions.get(found.place.source.as_str()).cloned().unwrap_or_default())),
        ),
        ("blob", text(&|found| Some(found.blob.clone()))),
        ("seeding", text(&seeding_of)),
        ("problems", Column::Json(problems)),
        ("summary", Column::Json(summaries)),
        ("bundled", Column::Json(bundled)),
    ];
    // A document that came from memory has no manifest at hand: the one that is there stays, if it is the same.
    let on_conflict = "(environment, id) DO UPDATE SET integration_id = excluded.integration_id, \
         version = excluded.version, checksum = excluded.checksum, status = excluded.status, \
         manifest = CASE WHEN excluded.manifest IS NULL AND t.checksum = excluded.checksum THEN t.manifest \
           ELSE excluded.manifest END, \
         updated_at = excluded.updated_at, source = excluded.source, path = excluded.path, document = excluded.document, \
         revision = excluded.revision, blob = excluded.blob, seeding = excluded.seeding, problems = excluded.problems, \
         summary = excluded.summary, bundled = excluded.bundled";
    tx.bulk("remembering documents", Bulk { table: "integration_manifests", columns, on_conflict }).await?;
    links(tx, environment, chunk).await
}

/// What somebody wrote at any length, as an index holds it: PostgreSQL takes no more than some 2,700 bytes into one.
pub(crate) fn indexed(said: &str) -> Cow<'_, str> {
    const LONGEST: usize = 500;
    match said.len() {
        0..=LONGEST => said.into(),
        _ => sower_core::manifest::checksum(said).into(),
    }
}

/// Writes what documents say of others, in place of what they said.
async fn links(tx: &mut Tx, environment: &str, chunk: &[&Found]) -> Result<(), StoreError> {
    let ids: Vec<String> = chunk.iter().map(|found| document_id(&found.place)).collect();
    let replaced: Vec<&str> = ids.iter().map(String::as_str).collect();
    tx.run(
        "forgetting links",
        "DELETE FROM integration_links WHERE environment = $1 AND document = ANY($2)",
        &[environment.into(), Bind::Texts(&replaced)],
    )
    .await?;
    let mut links = BTreeSet::new();
    for (id, found) in ids.iter().zip(chunk) {
        let needed = found.summary.iter().flat_map(|summary| &summary.dependencies);
        links.extend(needed.map(|dependency| (id, "dependency", indexed(&dependency.id))));
        links.extend(found.references.iter().map(|file| (id, "file", indexed(&file.path))));
    }
    let links: Vec<_> = links.into_iter().collect();
    for chunk in links.chunks(crate::apply::ROWS) {
        let text = |pick: fn(&(&'_ String, &'static str, Cow<'_, str>)) -> String| {
            Column::Text(chunk.iter().map(|link| Some(Cow::Owned(pick(link)))).collect())
        };
        let columns = vec![
            ("environment", Column::Same(environment)),
            ("document", text(|(document, ..)| (*document).clone())),
            ("kind", text(|(_, kind, _)| (*kind).to_owned())),
            ("target", text(|(.., target)| target.clone().into_owned())),
        ];
        tx.bulk("writing links", Bulk { table: "integration_links", columns, on_conflict: "" }).await?;
    }
    Ok(())
}

/// Sets the status of documents of these integrations that a seeding changed without reading them anew.
pub(crate) async fn settle_status(
    tx: &mut Tx,
    environment: &str,
    integrations: &[&str],
    now: &str,
) -> Result<(), StoreError> {
    const CARRIES: &str = "SELECT d.seeding FROM integration_definitions d WHERE d.environment = m.environment \
         AND d.id = m.integration_id AND m.checksum = coalesce((SELECT g.base FROM integration_merges g \
           WHERE g.environment = d.environment AND g.integration_id = d.id AND g.checksum = d.checksum), d.checksum) \
         AND d.source = m.source AND d.path = m.path \
         AND d.status <> 'removed'";
    let sql = format!(
        "UPDATE integration_manifests AS m SET seeding = ({CARRIES}), updated_at = $3::timestamptz, \
         status = CASE WHEN EXISTS ({CARRIES}) THEN 'seeded' ELSE 'validated' END \
         WHERE m.environment = $1 AND m.integration_id = ANY($2) AND m.status IN ('seeded', 'validated') \
         AND m.seeding IS DISTINCT FROM ({CARRIES})"
    );
    for chunk in integrations.chunks(crate::apply::ROWS) {
        tx.run("settling documents", &sql, &[environment.into(), Bind::Texts(chunk), now.into()]).await?;
    }
    Ok(())
}
