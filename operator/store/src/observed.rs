//! What rows hold now, in one digest for each integration: whoever plans notes it, whoever applies the plan looks again.

use std::collections::{BTreeMap, BTreeSet};

use sower_core::rows::{Kind, checksum};

use crate::address::Engine;
use crate::apply::HELD;
use crate::drift::{self, OF_DEFINITION, OF_REGISTRY};
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Tx};

/// Integrations that are asked about in one statement.
const PAGE: usize = 500;

impl Store {
    /// A digest of the rows of each of these integrations, recomputed from their columns; of those without any row, none.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn observe(
        &self,
        environment: &str,
        ids: &[&str],
    ) -> Result<BTreeMap<String, String>, StoreError> {
        let mut tx = self.read().await?;
        let digests = digests(&mut tx, environment, ids, false).await?;
        tx.done();
        Ok(digests)
    }

    /// Those of these integrations whose rows are not what the last seeding wrote.
    ///
    /// # Errors
    /// As [`Store::observe`].
    pub async fn unsound(&self, environment: &str, ids: &[&str]) -> Result<BTreeSet<String>, StoreError> {
        let mut tx = self.read().await?;
        let mut unsound = BTreeSet::new();
        for page in ids.chunks(PAGE) {
            let mut suspects: BTreeSet<&str> = page.iter().copied().collect();
            if tx.engine() == Engine::Postgres {
                let page: Vec<String> = page.iter().map(|id| (*id).to_owned()).collect();
                for sound in drift::sound(&mut tx, environment, &page).await? {
                    suspects.remove(sound.as_str());
                }
            }
            let suspects: Vec<&str> = suspects.into_iter().collect();
            for ids in suspects.chunks(HELD) {
                unsound.extend(drift::drifted_of(&mut tx, environment, ids).await?);
            }
        }
        tx.done();
        Ok(unsound)
    }
}

/// See [`Store::observe`]. With `lock` nobody changes these rows until the transaction ends.
pub(crate) async fn digests(
    tx: &mut Tx,
    environment: &str,
    ids: &[&str],
    lock: bool,
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut digests = BTreeMap::new();
    match tx.engine() {
        Engine::Postgres => {
            let sql = hashed_there(lock);
            for page in ids.chunks(PAGE) {
                let binds = [environment.into(), Bind::Texts(page)];
                for row in &tx.rows("looking at rows", &sql, &binds).await? {
                    digests.insert(row.text(0)?, row.text(1)?);
                }
            }
        }
        Engine::Sqlite => {
            for page in ids.chunks(HELD) {
                digests.extend(hashed_here(tx, environment, page).await?);
            }
        }
    }
    Ok(digests)
}

/// One line a row, hashed by PostgreSQL.
fn hashed_there(lock: bool) -> String {
    let lock = if lock { " FOR UPDATE" } else { "" };
    let line = |kind: &str, columns: &[&str]| {
        let (hash, none) = (drift::hash(columns), "chr(30)");
        format!(
            "concat_ws(chr(31), '{kind}', id, encode({hash}, 'hex'), coalesce(checksum, {none}), coalesce(seeding, {none}))"
        )
    };
    let mut tables = vec![format!(
        "SELECT id AS integration, {} AS line FROM (SELECT id, name, version, author, manifest, status, checksum, seeding \
         FROM integration_definitions WHERE environment = $1 AND id = ANY($2){lock}) AS d",
        line("integration", &OF_DEFINITION)
    )];
    tables.extend(Kind::ALL.map(|kind| {
        format!(
            "SELECT integration_id, {} FROM (SELECT id, integration_id, identifier, name, category, definition, checksum, \
             seeding FROM {} WHERE environment = $1 AND integration_id = ANY($2){lock}) AS r",
            line(kind.as_str(), &OF_REGISTRY),
            kind.table()
        )
    }));
    format!(
        "SELECT integration, encode(sha256(convert_to(string_agg(line, chr(10) ORDER BY line COLLATE \"C\"), 'UTF8')), 'hex') \
         FROM ({}) AS lines GROUP BY integration",
        tables.join(" UNION ALL ")
    )
}

/// The same lines, of rows that were read.
async fn hashed_here(
    tx: &mut Tx,
    environment: &str,
    ids: &[&str],
) -> Result<BTreeMap<String, String>, StoreError> {
    let binds = [environment.into(), Bind::Texts(ids)];
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in drift::lines(tx, &binds).await? {
        let [integration, kind, id, hash, checksum, seeding] = line;
        lines.entry(integration).or_default().push([kind, id, hash, checksum, seeding].join("\u{1f}"));
    }
    let digest = |mut lines: Vec<String>| {
        lines.sort_unstable();
        checksum(&lines.join("\n"))
    };
    Ok(lines.into_iter().map(|(id, lines)| (id, digest(lines))).collect())
}
