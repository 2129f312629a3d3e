//! What waits for another environment, and what that one shows.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use sower_core::catalog::{Place, Summary};
use sower_core::plan::{Content, Wanted};

use crate::apply::{ROWS, chunks};
use crate::bulk::{Bulk, Column};
use crate::environment::{Fence, lock};
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Tx, parse, time, to_json};

/// What an environment remembers of promotion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Contents that its sources offered earlier, by integration, the oldest first.
    pub offers: BTreeMap<String, Vec<Wanted>>,
    /// Contents (integration and checksum) that somebody lets in, and who.
    pub admitted: BTreeMap<(String, String), String>,
    /// Contents that were let in and did not reach everybody yet.
    pub under_way: BTreeSet<(String, String)>,
}

/// What changes of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct PromotionDelta<'a> {
    /// What the sources offer, with its canonical bytes.
    pub fresh: &'a [(Wanted, Arc<str>)],
    /// Offers (integration and checksum) that go.
    pub stale: &'a [(String, String)],
    /// Contents (integration and checksum) of which it means nothing any more that somebody let them in.
    pub settled: &'a [(String, String)],
    /// All of it goes.
    pub ends: bool,
}

impl PromotionDelta<'_> {
    /// Nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { fresh, stale, settled, ends } = self;
        fresh.is_empty() && stale.is_empty() && settled.is_empty() && !ends
    }
}

/// A content that somebody lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    /// The integration.
    pub integration: String,
    /// The content.
    pub checksum: String,
}

impl Store {
    /// What an environment remembers of promotion.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn promotion(&self, environment: &str) -> Result<Remembered, StoreError> {
        let binds = [environment.into()];
        let mut tx = self.read().await?;
        let offers = tx
            .rows(
                "reading what was offered",
                "SELECT integration_id, summary::text, source, path, document, revision FROM promotion_offers \
                 WHERE environment = $1 ORDER BY integration_id, seq, checksum",
                &binds,
            )
            .await?;
        let admitted = tx
            .rows(
                "reading what was let in by hand",
                "SELECT integration_id, checksum, admitted_by FROM promotion_admissions WHERE environment = $1",
                &binds,
            )
            .await?;
        let under_way = tx
            .rows(
                "reading what is under way",
                "SELECT integration_id, to_checksum FROM integration_rollouts \
                 WHERE environment = $1 AND ended_at IS NULL",
                &binds,
            )
            .await?;
        tx.done();
        let mut remembered = Remembered::default();
        for row in &offers {
            let summary: Summary = parse(&row.text(1)?, "an offer")?;
            let document = u32::try_from(row.int(4)?).unwrap_or(u32::MAX);
            let place = Place { source: row.text(2)?, path: row.text(3)?, document };
            let resolve = summary.annotations.resolve;
            let wanted = Wanted { summary, place, revision: row.text(5)?, resolve };
            remembered.offers.entry(row.text(0)?).or_default().push(wanted);
        }
        for row in &admitted {
            remembered.admitted.insert((row.text(0)?, row.text(1)?), row.text(2)?);
        }
        for row in &under_way {
            remembered.under_way.insert((row.text(0)?, row.text(1)?));
        }
        Ok(remembered)
    }

    /// The canonical bytes of offers (integration and checksum), by integration.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn offered_contents(
        &self,
        environment: &str,
        asked: &[(&str, &str)],
    ) -> Result<BTreeMap<String, Arc<str>>, StoreError> {
        let mut contents = BTreeMap::new();
        if asked.is_empty() {
            return Ok(contents);
        }
        let mut tx = self.read().await?;
        for chunk in asked.chunks(ROWS) {
            let (ids, checksums): (Vec<&str>, Vec<&str>) = chunk.iter().copied().unzip();
            let rows = tx
                .rows(
                    "reading what was offered",
                    "SELECT integration_id, checksum, manifest::text FROM promotion_offers \
                     WHERE environment = $1 AND integration_id = ANY($2) AND checksum = ANY($3)",
                    &[environment.into(), Bind::Texts(&ids), Bind::Texts(&checksums)],
                )
                .await?;
            for row in &rows {
                let (id, checksum) = (row.text(0)?, row.text(1)?);
                if chunk.contains(&(id.as_str(), checksum.as_str())) {
                    contents.insert(id, row.text(2)?.into());
                }
            }
        }
        tx.done();
        Ok(contents)
    }

    /// What an environment carries of these integrations for everybody, and since when without interruption.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn shown(
        &self,
        environment: &str,
        ids: &[&str],
    ) -> Result<BTreeMap<String, (Content, Timestamp)>, StoreError> {
        let mut shown = BTreeMap::new();
        if ids.is_empty() {
            return Ok(shown);
        }
        let mut tx = self.read().await?;
        for chunk in ids.chunks(ROWS) {
            // Of what is forgotten it is known that nothing was written since.
            let rows = tx
                .rows(
                    "reading what is carried, and since when",
                    "SELECT q.id, q.version, q.checksum, @time(q.updated_at), @time(q.changed), @time(q.completed) FROM (\
                     SELECT d.id, d.version, d.checksum, d.updated_at, \
                     (SELECT max(l.completed_at) FROM seeding_changes c \
                        JOIN seeding_logs l ON l.environment = c.environment AND l.seq = c.seq \
                        WHERE c.environment = d.environment AND c.integration_id = d.id AND c.to_checksum = d.checksum \
                        AND (c.from_checksum IS NULL OR c.from_checksum <> c.to_checksum)) AS changed, \
                     (SELECT max(r.ended_at) FROM integration_rollouts r WHERE r.environment = d.environment \
                        AND r.integration_id = d.id AND r.to_checksum = d.checksum AND r.state = 'Completed') AS completed \
                     FROM integration_definitions d WHERE d.environment = $1 AND d.id = ANY($2) \
                     AND d.seeding IS NOT NULL AND d.status <> 'removed') AS q",
                    &[environment.into(), Bind::Texts(chunk)],
                )
                .await?;
            for row in &rows {
                let content = Content { version: row.text(1)?, checksum: row.text(2)? };
                let came = row.maybe_time(4)?.max(row.maybe_time(5)?);
                let since = came.map_or_else(|| row.time(3), Ok)?;
                shown.insert(row.text(0)?, (content, since));
            }
        }
        tx.done();
        Ok(shown)
    }

    /// Lets contents in, in the place of what was let in of their integrations before, whatever is shown of them from now on: the next seeding that nothing holds takes them, if the sources
    /// offer them or have offered them. What of it they offer and is not remembered yet is `fresh`.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn admit(
        &self,
        fence: &Fence,
        admitted: &[Admitted],
        by: &str,
        fresh: &[(Wanted, Arc<str>)],
    ) -> Result<(), StoreError> {
        let now = time(Timestamp::now());
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        for chunk in admitted.chunks(ROWS) {
            let ids: Vec<&str> = chunk.iter().map(|one| one.integration.as_str()).collect();
            tx.run(
                "letting something else in",
                "DELETE FROM promotion_admissions WHERE environment = $1 AND integration_id = ANY($2)",
                &[(&fence.environment).into(), Bind::Texts(&ids)],
            )
            .await?;
            let text = |pick: fn(&Admitted) -> &str| {
                Column::Text(chunk.iter().map(|one| Some(Cow::Borrowed(pick(one)))).collect())
            };
            let columns = vec![
                ("environment", Column::Same(&fence.environment)),
                ("integration_id", text(|one| &one.integration)),
                ("checksum", text(|one| &one.checksum)),
                ("admitted_by", Column::Same(by)),
                ("admitted_at", Column::Time(&now)),
            ];
            let on_conflict = "(environment, integration_id, checksum) DO UPDATE SET \
                 admitted_by = excluded.admitted_by, admitted_at = excluded.admitted_at";
            let bulk = Bulk { table: "promotion_admissions", columns, on_conflict };
            tx.bulk("letting in by hand", bulk).await?;
        }
        let delta = PromotionDelta { fresh, ..PromotionDelta::default() };
        write(&mut tx, &fence.environment, &delta, &now).await?;
        tx.commit().await
    }

    /// Notes what changes without a seeding: a guard holds the plan.
    ///
    /// # Errors
    /// As [`Store::begin`].
    pub async fn remember(&self, fence: &Fence, delta: &PromotionDelta<'_>) -> Result<(), StoreError> {
        let now = time(Timestamp::now());
        let mut tx = self.write().await?;
        lock(&mut tx, fence).await?;
        write(&mut tx, &fence.environment, delta, &now).await?;
        tx.commit().await
    }
}

/// Writes what changed.
pub(crate) async fn write(
    tx: &mut Tx,
    environment: &str,
    delta: &PromotionDelta<'_>,
    now: &str,
) -> Result<(), StoreError> {
    let PromotionDelta { fresh, stale, settled, ends } = *delta;
    if ends {
        for table in ["promotion_offers", "promotion_admissions"] {
            let sql = format!("DELETE FROM {table} WHERE environment = $1");
            tx.run("forgetting what was offered", &sql, &[environment.into()]).await?;
        }
        return Ok(());
    }
    forget(tx, environment, "promotion_offers", stale).await?;
    forget(tx, environment, "promotion_admissions", settled).await?;
    if fresh.is_empty() {
        return Ok(());
    }
    let sql = "SELECT coalesce(max(seq), 0) FROM promotion_offers WHERE environment = $1";
    let last = tx.row("numbering what is offered", sql, &[environment.into()]).await?;
    let seq = last.map(|row| row.int(0)).transpose()?.unwrap_or(0) + 1;
    for chunk in chunks(fresh, |(_, manifest)| manifest.len() + 1024) {
        offers(tx, environment, chunk, seq, now).await?;
    }
    Ok(())
}

/// Deletes the rows of these contents.
async fn forget(
    tx: &mut Tx,
    environment: &str,
    table: &str,
    contents: &[(String, String)],
) -> Result<(), StoreError> {
    let sql = format!(
        "DELETE FROM {table} WHERE environment = $1 AND integration_id = ANY($2) AND checksum = ANY($3)"
    );
    for chunk in contents.chunks(ROWS) {
        // A checksum is that of one integration alone: the id is part of the content.
        let (ids, checksums): (Vec<&str>, Vec<&str>) =
            chunk.iter().map(|(id, checksum)| (id.as_str(), checksum.as_str())).unzip();
        let binds = [environment.into(), Bind::Texts(&ids), Bind::Texts(&checksums)];
        tx.run("forgetting what waited", &sql, &binds).await?;
    }
    Ok(())
}

async fn offers(
    tx: &mut Tx,
    environment: &str,
    chunk: &[(Wanted, Arc<str>)],
    seq: i64,
    now: &str,
) -> Result<(), StoreError> {
    let summaries =
        chunk.iter().map(|(wanted, _)| Ok(Some(Cow::Owned(to_json(&wanted.summary, "writing an offer")?))));
    let summaries = summaries.collect::<Result<_, StoreError>>()?;
    let text = |pick: fn(&Wanted) -> &str| {
        Column::Text(chunk.iter().map(|(wanted, _)| Some(Cow::Borrowed(pick(wanted)))).collect())
    };
    let columns = vec![
        ("environment", Column::Same(environment)),
        ("integration_id", text(|wanted| &wanted.summary.id)),
        ("checksum", text(|wanted| &wanted.summary.checksum)),
        ("version", text(|wanted| &wanted.summary.version)),
        (
            "manifest",
            Column::Json(chunk.iter().map(|(_, manifest)| Some(Cow::Borrowed(&**manifest))).collect()),
        ),
        ("summary", Column::Json(summaries)),
        ("source", text(|wanted| &wanted.place.source)),
        ("path", text(|wanted| &wanted.place.path)),
        ("document", Column::Int(chunk.iter().map(|(wanted, _)| i64::from(wanted.place.document)).collect())),
        ("revision", text(|wanted| &wanted.revision)),
        ("seq", Column::Int(chunk.iter().map(|_| seq).collect())),
        ("offered_at", Column::Time(now)),
    ];
    let on_conflict = "(environment, integration_id, checksum) DO UPDATE SET summary = excluded.summary, \
         source = excluded.source, path = excluded.path, document = excluded.document, revision = excluded.revision, \
         seq = excluded.seq, offered_at = excluded.offered_at";
    tx.bulk("remembering what is offered", Bulk { table: "promotion_offers", columns, on_conflict }).await?;
    Ok(())
}
