//! Reading a catalog in whole, for writing it back as manifests.

use std::collections::BTreeSet;

use sower_core::rows::Kind;
use sower_core::snapshot::Revision;

use crate::error::StoreError;
use crate::open::Store;
use crate::session::Bind;

/// Integrations that are read at a time.
const PAGE: i64 = 200;

/// An integration that an environment carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// The integration.
    pub id: String,
    /// Its version.
    pub version: String,
    /// Checksum of what a seeding wrote.
    pub checksum: String,
    /// The revision that it was read at.
    pub revision: Option<Revision>,
    /// The text of its manifest as it is there.
    pub manifest: String,
    /// Its envelope said `sower.dev/prune: disabled`.
    pub prune_disabled: bool,
}

/// Rows of an environment that no seeding wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Strangers {
    /// Definitions, by id.
    pub definitions: Vec<String>,
    /// Registry rows, by registry and id, each with its integration.
    pub rows: Vec<(Kind, String, String)>,
}

impl Strangers {
    /// There are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.definitions.is_empty() && self.rows.is_empty()
    }

    /// The integrations that they belong to.
    #[must_use]
    pub fn integrations(&self) -> BTreeSet<&str> {
        let beside = self.rows.iter().map(|(.., integration)| integration.as_str());
        self.definitions.iter().map(String::as_str).chain(beside).collect()
    }
}

impl Store {
    /// Hands over all that an environment carries, by id and some at a time, over one state of the database; at the end the
    /// rows that are not Sower's, which are left out.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read; and what `take` refuses, which ends it.
    pub async fn export<E: From<StoreError>>(
        &self,
        environment: &str,
        mut take: impl FnMut(Vec<Exported>) -> Result<(), E>,
    ) -> Result<Strangers, E> {
        let mut tx = self.read().await?;
        let mut last = String::new();
        loop {
            let rows = tx
                .rows(
                    "reading the catalog",
                    "SELECT id, version, checksum, revision, manifest::text, prune IS NOT NULL FROM integration_definitions \
                     WHERE environment = $1 AND id > $2 AND seeding IS NOT NULL AND status <> 'removed' ORDER BY id LIMIT $3",
                    &[environment.into(), (&last).into(), Bind::Int(PAGE)],
                )
                .await?;
            let page = rows.iter().map(|row| {
                Ok(Exported {
                    id: row.text(0)?,
                    version: row.text(1)?,
                    checksum: row.text(2)?,
                    revision: Revision::parse(&row.text(3)?),
                    manifest: row.text(4)?,
                    prune_disabled: row.flag(5)?,
                })
            });
            let page = page.collect::<Result<Vec<_>, StoreError>>()?;
            let Some(end) = page.last() else { break };
            last.clone_from(&end.id);
            take(page)?;
        }
        let strangers = strangers(&mut tx, environment).await?;
        tx.done();
        Ok(strangers)
    }

    /// The rows of an environment that no seeding wrote.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn strangers(&self, environment: &str) -> Result<Strangers, StoreError> {
        let mut tx = self.read().await?;
        let strangers = strangers(&mut tx, environment).await?;
        tx.done();
        Ok(strangers)
    }
}

pub(crate) async fn strangers(
    tx: &mut crate::session::Tx,
    environment: &str,
) -> Result<Strangers, StoreError> {
    let registries = Kind::ALL.map(|kind| {
        format!(
            "SELECT '{}', id, integration_id FROM {} WHERE environment = $1 AND seeding IS NULL",
            kind.as_str(),
            kind.table()
        )
    });
    let sql = format!(
        "SELECT '', id, id FROM integration_definitions WHERE environment = $1 AND seeding IS NULL UNION ALL {} ORDER BY 3, 1, 2",
        registries.join(" UNION ALL ")
    );
    let mut strangers = Strangers::default();
    for row in &tx.rows("reading foreign rows", &sql, &[environment.into()]).await? {
        let (name, id, integration) = (row.text(0)?, row.text(1)?, row.text(2)?);
        match Kind::ALL.into_iter().find(|kind| kind.as_str() == name) {
            Some(kind) => strangers.rows.push((kind, id, integration)),
            None => strangers.definitions.push(id),
        }
    }
    Ok(strangers)
}
