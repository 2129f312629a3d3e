//! What a change of some files can touch: read without what it cannot, so that a small change to a large catalog costs
//! little.

use std::collections::BTreeSet;

use sower_core::catalog::Found;

use crate::catalog::{Here, here};
use crate::error::StoreError;
use crate::memory::{FOUND, file_key, indexed, read};
use crate::open::Store;
use crate::session::{Bind, Tx};

/// What is told of an environment at every seeding.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Source and path of every file that holds an invalid document.
    pub invalid: Vec<(String, String)>,
    /// Number of integrations that are carried.
    pub carried: usize,
    /// A definition that is not ours is there.
    pub foreign: bool,
}

/// The document that says so.
const LINKING: &str = "JOIN integration_manifests m ON m.environment = l.environment AND m.id = l.document";

impl Store {
    /// Which files of an environment hold invalid documents, and how many integrations it carries.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn standing(&self, environment: &str) -> Result<Standing, StoreError> {
        let mut tx = self.read().await?;
        let invalid = tx
            .rows(
                "reading which documents are invalid",
                "SELECT DISTINCT source, path FROM integration_manifests \
                 WHERE environment = $1 AND status = 'error'",
                &[environment.into()],
            )
            .await?;
        let counted = tx
            .row(
                "counting the definitions",
                "SELECT (SELECT count(*) FROM integration_definitions \
                 WHERE environment = $1 AND seeding IS NOT NULL AND status <> 'removed'), \
                 (SELECT count(*) FROM integration_definitions WHERE environment = $1 AND seeding IS NULL)",
                &[environment.into()],
            )
            .await?;
        tx.done();
        let (carried, foreign) = match counted {
            Some(row) => (usize::try_from(row.int(0)?).unwrap_or_default(), row.int(1)? > 0),
            None => (0, false),
        };
        let invalid = invalid.iter().map(|row| Ok((row.text(0)?, row.text(1)?)));
        Ok(Standing { invalid: invalid.collect::<Result<_, StoreError>>()?, carried, foreign })
    }

    /// Paths of a source's files that hold documents into which one of the files `bundled` is bundled.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn bundling(
        &self,
        environment: &str,
        source: &str,
        bundled: &[&str],
    ) -> Result<Vec<String>, StoreError> {
        let targets: Vec<_> = bundled.iter().map(|path| indexed(path)).collect();
        let bundled: Vec<&str> = targets.iter().map(|target| &**target).collect();
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading what files are bundled into",
                &format!(
                    "SELECT DISTINCT m.path FROM integration_links l {LINKING} WHERE l.environment = $1 \
                     AND l.kind = 'file' AND l.target = ANY($2) AND m.source = $3"
                ),
                &[environment.into(), Bind::Texts(&bundled), source.into()],
            )
            .await?;
        tx.done();
        rows.iter().map(|row| row.text(0)).collect()
    }

    /// All whose fate a change of the integrations `changed` may change: they, and whoever needs them, however far; with
    /// `beside`, and with all that any of these needs, so that each can be settled as if nothing else were there. None
    /// where they are more than `most`.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn touched(
        &self,
        environment: &str,
        changed: BTreeSet<String>,
        beside: impl IntoIterator<Item = String>,
        most: usize,
    ) -> Result<Option<BTreeSet<String>>, StoreError> {
        let (target, document) = ("l.target", "m.integration_id");
        let mut tx = self.read().await?;
        let needing = follow(&mut tx, environment, &changed, (target, document), most).await?;
        let mut touched: BTreeSet<String> = changed.into_iter().chain(needing).chain(beside).collect();
        let needed = follow(&mut tx, environment, &touched, (document, target), most).await?;
        tx.done();
        touched.extend(needed);
        Ok((touched.len() <= most).then_some(touched))
    }

    /// The documents of some files (source and path), sorted by place.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn documents(
        &self,
        environment: &str,
        files: &[(&str, &str)],
    ) -> Result<Vec<Found>, StoreError> {
        // A document's key begins with its file, and `$` comes after `#`.
        let ranges: Vec<String> = files
            .iter()
            .map(|(source, path)| file_key(source, path))
            .flat_map(|file| [format!("{file}#"), format!("{file}$")])
            .collect();
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let within: Vec<String> = (0..files.len())
            .map(|file| format!("(id >= ${} AND id < ${})", 2 * file + 2, 2 * file + 3))
            .collect();
        let binds: Vec<Bind<'_>> =
            [environment.into()].into_iter().chain(ranges.iter().map(Bind::from)).collect();
        let sql = format!(
            "SELECT {FOUND} FROM integration_manifests WHERE environment = $1 AND ({})",
            within.join(" OR ")
        );
        let mut tx = self.read().await?;
        let rows = tx.rows("reading the documents of files", &sql, &binds).await?;
        tx.done();
        let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        // Another file's name may go on where this one's ends.
        found.retain(|found| files.contains(&(&*found.place.source, &*found.place.path)));
        found.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(found)
    }

    /// The documents of some integrations, sorted by place, with what the environment holds of them.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn about(&self, environment: &str, ids: &[&str]) -> Result<(Vec<Found>, Here), StoreError> {
        let mut tx = self.read().await?;
        let rows = tx
            .rows(
                "reading the documents of integrations",
                &format!(
                    "SELECT {FOUND} FROM integration_manifests WHERE environment = $1 AND integration_id = ANY($2)"
                ),
                &[environment.into(), Bind::Texts(ids)],
            )
            .await?;
        let here = here(&mut tx, environment, Some(ids)).await?;
        tx.done();
        let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        found.sort_by(|a, b| a.place.cmp(&b.place));
        Ok((found, here))
    }
}

/// Everything that the dependencies lead to from some integrations, in one direction. Where that is more than `most`, one
/// more than `most` of it.
async fn follow(
    tx: &mut Tx,
    environment: &str,
    start: &BTreeSet<String>,
    (from, to): (&str, &str),
    most: usize,
) -> Result<Vec<String>, StoreError> {
    let sql = format!(
        "WITH RECURSIVE reached(id) AS (\
         SELECT {to} FROM integration_links l {LINKING} \
         WHERE l.environment = $1 AND l.kind = 'dependency' AND {from} = ANY($2) UNION \
         SELECT {to} FROM reached r JOIN integration_links l ON l.environment = $1 AND l.kind = 'dependency' {LINKING} \
         WHERE {from} = r.id) \
         SELECT id FROM reached WHERE id IS NOT NULL LIMIT $3"
    );
    let start: Vec<&str> = start.iter().map(String::as_str).collect();
    let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
    let binds = [environment.into(), Bind::Texts(&start), Bind::Int(limit)];
    let rows = tx.rows("following dependencies", &sql, &binds).await?;
    rows.iter().map(|row| row.text(0)).collect()
}
