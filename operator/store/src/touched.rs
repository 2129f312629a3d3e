//! What a change of some files can touch: read without what it cannot, so that a small change to a large catalog costs
//! little.

use serde::Deserialize;
use sower_core::catalog::{Found, Place, Reference};

use crate::catalog::{Here, here};
use crate::error::StoreError;
use crate::memory::{FOUND, read};
use crate::open::Store;
use crate::session::{Bind, Row, parse};

/// What a document says of others. Documents that say nothing have none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it stands.
    pub place: Place,
    /// Its id, where it can be read.
    pub id: Option<String>,
    /// The integrations that it needs.
    pub needs: Vec<String>,
    /// The files that are bundled into it.
    pub bundles: Vec<Reference>,
}

/// What stands around some files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Every document of the environment that says something of others.
    pub links: Vec<Link>,
    /// Source and path of every file that holds an invalid document.
    pub marked: Vec<(String, String)>,
    /// Number of integrations that are carried.
    pub carried: usize,
    /// A definition that is not ours is there.
    pub foreign: bool,
}

impl Store {
    /// What ties the documents of an environment to each other and to files, and what is told of them every time.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn touched(&self, environment: &str) -> Result<Touched, StoreError> {
        let mut tx = self.read().await?;
        let links = tx
            .rows(
                "reading what documents need",
                "SELECT source, path, document, integration_id, (summary -> 'dependencies')::text, bundled::text \
                 FROM integration_manifests WHERE environment = $1 \
                 AND ((summary -> 'dependencies') IS NOT NULL OR bundled::text <> '[]')",
                &[environment.into()],
            )
            .await?;
        let marked = tx
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
                "SELECT count(*) FILTER (WHERE seeding IS NOT NULL AND status <> 'removed'), \
                 count(*) FILTER (WHERE seeding IS NULL) FROM integration_definitions WHERE environment = $1",
                &[environment.into()],
            )
            .await?;
        let (carried, foreign) = match counted {
            Some(row) => (usize::try_from(row.int(0)?).unwrap_or_default(), row.int(1)? > 0),
            None => (0, false),
        };
        tx.commit().await?;
        let links = links.iter().map(link).collect::<Result<_, _>>()?;
        let marked = marked.iter().map(|row| Ok((row.text(0)?, row.text(1)?)));
        let marked = marked.collect::<Result<_, StoreError>>()?;
        Ok(Touched { links, marked, carried, foreign })
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
            .flat_map(|(source, path)| [format!("{source}/{path}#"), format!("{source}/{path}$")])
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
        tx.commit().await?;
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
        tx.commit().await?;
        let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        found.sort_by(|a, b| a.place.cmp(&b.place));
        Ok((found, here))
    }
}

fn link(row: &Row) -> Result<Link, StoreError> {
    #[derive(Deserialize)]
    struct Needs {
        id: String,
    }
    let needs = row.maybe_text(4)?;
    let needs: Vec<Needs> =
        needs.as_deref().map(|text| parse(text, "dependencies")).transpose()?.unwrap_or_default();
    let document = u32::try_from(row.int(2)?).unwrap_or(u32::MAX);
    Ok(Link {
        place: Place { source: row.text(0)?, path: row.text(1)?, document },
        id: row.maybe_text(3)?,
        needs: needs.into_iter().map(|needs| needs.id).collect(),
        bundles: row.json(5, "bundled files")?,
    })
}
