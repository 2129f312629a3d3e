//! The rows of the four registries.

use std::borrow::Cow;
use std::collections::HashMap;

use sower_core::plan::Verb;
use sower_core::rows::{Kind, RegistryRow};

use crate::apply::{Incoming, ROWS, Writing, chunks};
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::seeding::Counts;
use crate::session::{Bind, Tx};

/// A registry row of ours, as it is there.
struct Present {
    row_hash: Vec<u8>,
    source: String,
    path: String,
}

/// A row to be sent.
struct Sent<'a> {
    row: &'a RegistryRow<'a>,
    row_hash: [u8; 32],
    source: &'a str,
    revision: &'a str,
    path: &'a str,
}

/// Makes the registries hold what these manifests say: sends rows that are new or differ, deletes those that are gone.
pub(crate) async fn write(
    tx: &mut Tx,
    writing: &Writing<'_>,
    chunk: &[Incoming<'_>],
    counts: &mut Counts,
) -> Result<(), StoreError> {
    let mut present = present(tx, writing, chunk).await?;
    let mut sent: HashMap<Kind, Vec<Sent<'_>>> = HashMap::new();
    for incoming in chunk {
        let source = incoming.operation.source.as_str();
        for row in &incoming.rows.registry {
            let row_hash = row.row_hash();
            let there = present.remove(&(row.kind, row.id.clone()));
            if there.is_none() {
                match row.kind {
                    Kind::Action => counts.actions_created += 1,
                    Kind::Trigger => counts.triggers_created += 1,
                    Kind::Connection => counts.connections_created += 1,
                    Kind::Event => {}
                }
            }
            let same = there.is_some_and(|there| {
                there.row_hash == row_hash && there.source == source && there.path == incoming.path
            });
            let drifted = writing.anew.mends(Some(row.kind), &row.id);
            if !same || drifted || writing.anew.writes(&incoming.operation.id) {
                let (revision, path) = (incoming.revision, incoming.path);
                sent.entry(row.kind).or_default().push(Sent { row, row_hash, source, revision, path });
            }
        }
    }
    for kind in Kind::ALL {
        let gone: Vec<&str> =
            present.keys().filter(|(of, _)| *of == kind).map(|(_, id)| id.as_str()).collect();
        counts.rows_written += delete(tx, writing, kind, &gone).await?;
        for rows in
            chunks(sent.get(&kind).map_or(&[][..], Vec::as_slice), |sent| sent.row.definition.len() + 256)
        {
            counts.rows_written += upsert(tx, writing, kind, rows).await?;
        }
    }
    Ok(())
}

/// The rows of ours that these integrations have. A created one has none.
async fn present(
    tx: &mut Tx,
    writing: &Writing<'_>,
    chunk: &[Incoming<'_>],
) -> Result<HashMap<(Kind, String), Present>, StoreError> {
    let ids: Vec<&str> = chunk
        .iter()
        .filter(|incoming| incoming.operation.verb != Verb::Create)
        .map(|incoming| incoming.operation.id.as_str())
        .collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let registries = Kind::ALL.map(|kind| {
        let (name, table) = (kind.as_str(), kind.table());
        format!(
            "SELECT '{name}', id, row_hash, source, path FROM {table} \
             WHERE environment = $1 AND integration_id = ANY($2) AND seeding IS NOT NULL"
        )
    });
    let rows = tx
        .rows(
            "reading registry rows",
            &registries.join(" UNION ALL "),
            &[writing.environment.into(), Bind::Texts(&ids)],
        )
        .await?;
    let mut present = HashMap::with_capacity(rows.len());
    for row in &rows {
        let name = row.text(0)?;
        let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.as_str() == name) else { continue };
        let there = Present { row_hash: row.bytes(2)?, source: row.text(3)?, path: row.text(4)? };
        present.insert((kind, row.text(1)?), there);
    }
    Ok(present)
}

async fn upsert(
    tx: &mut Tx,
    writing: &Writing<'_>,
    kind: Kind,
    rows: &[Sent<'_>],
) -> Result<u64, StoreError> {
    macro_rules! texts {
        (|$sent:ident| $value:expr) => {
            Column::Text(rows.iter().map(|$sent| $value.map(Cow::Borrowed)).collect())
        };
    }
    let columns = vec![
        ("id", texts!(|sent| Some(sent.row.id.as_str()))),
        ("integration_id", texts!(|sent| Some(&*sent.row.integration))),
        ("identifier", texts!(|sent| Some(&*sent.row.identifier))),
        ("name", texts!(|sent| Some(&*sent.row.name))),
        ("category", texts!(|sent| sent.row.category.as_deref())),
        ("definition", Column::Json(rows.iter().map(|s| Some(Cow::Borrowed(s.row.definition))).collect())),
        ("created_at", Column::Time(writing.now)),
        ("updated_at", Column::Time(writing.now)),
        ("environment", Column::Same(writing.environment)),
        ("source", texts!(|sent| Some(sent.source))),
        ("revision", texts!(|sent| Some(sent.revision))),
        ("path", texts!(|sent| Some(sent.path))),
        ("checksum", Column::Text(rows.iter().map(|s| Some(Cow::Owned(s.row.checksum()))).collect())),
        ("row_hash", Column::Bytes(rows.iter().map(|sent| sent.row_hash).collect())),
        ("seeding", Column::Same(writing.seeding)),
    ];
    let on_conflict = "(environment, id) DO UPDATE SET integration_id = excluded.integration_id, \
         identifier = excluded.identifier, name = excluded.name, category = excluded.category, \
         definition = excluded.definition, updated_at = excluded.updated_at, source = excluded.source, \
         revision = excluded.revision, path = excluded.path, checksum = excluded.checksum, row_hash = excluded.row_hash, \
         seeding = excluded.seeding WHERE t.seeding IS NOT NULL";
    let written =
        tx.bulk("writing registry rows", Bulk { table: kind.table(), columns, on_conflict }).await?;
    if written == rows.len() as u64 {
        return Ok(written);
    }
    let ids: Vec<&str> = rows.iter().map(|sent| sent.row.id.as_str()).collect();
    let sql = format!(
        "SELECT id FROM {} WHERE environment = $1 AND id = ANY($2) AND seeding IS NULL",
        kind.table()
    );
    let foreign =
        tx.rows("reading foreign rows", &sql, &[writing.environment.into(), Bind::Texts(&ids)]).await?;
    let foreign = foreign.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
    let mut integrations: Vec<String> = foreign
        .iter()
        .filter_map(|id| id.split_once('/'))
        .map(|(integration, _)| integration.to_owned())
        .collect();
    integrations.sort_unstable();
    integrations.dedup();
    Err(StoreError::ForeignRow { integrations })
}

async fn delete(tx: &mut Tx, writing: &Writing<'_>, kind: Kind, ids: &[&str]) -> Result<u64, StoreError> {
    let sql = format!(
        "DELETE FROM {} WHERE environment = $1 AND id = ANY($2) AND seeding IS NOT NULL",
        kind.table()
    );
    let mut deleted = 0;
    for chunk in ids.chunks(ROWS) {
        deleted +=
            tx.run("deleting registry rows", &sql, &[writing.environment.into(), Bind::Texts(chunk)]).await?;
    }
    Ok(deleted)
}
