//! Taking over the tables of another program: Sower's own are made in their place, and the rows are copied in.
//!
//! Their tables stay, under another name, with every row and column. All of it is one transaction: a row that cannot be
//! copied leaves everything as it was.

use std::collections::BTreeMap;

use sower_core::adopt::HandMade;
use sower_core::rows::Kind;

use crate::address::{DatabaseUrl, Engine};
use crate::error::StoreError;
use crate::migrate::{self, TABLES};
use crate::open::{Options, Store};
use crate::session::{Bind, Tx};

/// What is put behind the name of a table, and of its indexes, that makes way.
const BEFORE: &str = "_before_sower";
/// Bytes of a name on PostgreSQL.
const LONGEST: usize = 63;

/// What became of one table of somebody else's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenTable {
    /// Its name, which is now that of a table of Sower's.
    pub table: String,
    /// What it is called from now on.
    pub kept_as: String,
    /// Rows that were copied; none: its rows are no part of a catalog, and stay where they are.
    pub rows: Option<u64>,
    /// Columns that the new table does not have.
    pub left: Vec<String>,
}

/// What became of the tables of somebody else's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Each table, by name.
    pub tables: Vec<TakenTable>,
    /// The rows that were copied, as integrations; only where nothing was kept of it all.
    pub rows: Vec<HandMade>,
}

/// A column that a table of a catalog is to have.
struct Wanted {
    name: &'static str,
    of: Of,
    /// What stands for it where it is not there; none: it must be.
    otherwise: Option<&'static str>,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Text,
    Json,
    Time,
}

const fn must(name: &'static str, of: Of) -> Wanted {
    Wanted { name, of, otherwise: None }
}

const fn may(name: &'static str, of: Of, otherwise: &'static str) -> Wanted {
    Wanted { name, of, otherwise: Some(otherwise) }
}

const DEFINITIONS: &str = "integration_definitions";

/// The public columns of a table of the catalog.
fn wanted(table: &str) -> Option<Vec<Wanted>> {
    if table == DEFINITIONS {
        return Some(vec![
            must("id", Of::Text),
            must("name", Of::Text),
            must("version", Of::Text),
            may("author", Of::Text, "NULL"),
            must("manifest", Of::Json),
            may("status", Of::Text, "'published'"),
            may("created_at", Of::Time, "@now"),
            may("updated_at", Of::Time, "@now"),
        ]);
    }
    Kind::ALL.into_iter().any(|kind| kind.table() == table).then(|| {
        vec![
            must("id", Of::Text),
            must("integration_id", Of::Text),
            must("identifier", Of::Text),
            must("name", Of::Text),
            may("category", Of::Text, "NULL"),
            must("definition", Of::Json),
            may("created_at", Of::Time, "@now"),
            may("updated_at", Of::Time, "@now"),
        ]
    })
}

/// Columns of a table and their types, as the engine writes them.
type Columns = BTreeMap<String, String>;

impl Store {
    /// Takes over a database that holds tables of Sower's names and no record of its migrations. With `dry` it is all done
    /// and undone, and the rows that would be there are handed over.
    ///
    /// # Errors
    /// [`StoreError::Unadoptable`] where a table has not the form that it needs, or a row cannot be copied; nothing is changed
    /// then. Where the tables are Sower's own, [`StoreError::Unadoptable`] too.
    pub async fn take_over(
        url: &DatabaseUrl,
        options: &Options,
        environment: &str,
        dry: bool,
    ) -> Result<TakenOver, StoreError> {
        let store = Self::connect(url, options).await?;
        let database = url.to_string();
        let taken = take_over(&store, environment, dry).await.map_err(|error| match error {
            // Which row, or which column, it was says the database best.
            StoreError::Query { what, cause } => {
                StoreError::Unadoptable { database, why: vec![format!("{what}: {cause}")] }
            }
            other => other,
        });
        store.close().await;
        taken
    }
}

async fn take_over(store: &Store, environment: &str, dry: bool) -> Result<TakenOver, StoreError> {
    let mut tx = store.write().await?;
    migrate::wait_for_others(&mut tx).await?;
    let found = tables(&mut tx).await?;
    let why = in_the_way(&mut tx, &found).await?;
    if !why.is_empty() {
        return Err(StoreError::Unadoptable { database: store.url().to_string(), why });
    }
    make_way(&mut tx, &found).await?;
    migrate::make(&mut tx, 0, store.url()).await?;
    let mut taken = TakenOver::default();
    // Definitions first: the rows of the registries refer to them.
    let mut names: Vec<&String> = found.keys().collect();
    names.sort_by_key(|name| *name != DEFINITIONS);
    for table in names {
        let columns = &found[table];
        let kept_as = format!("{table}{BEFORE}");
        let (mut rows, mut left) = (None, Vec::new());
        if let Some(wanted) = wanted(table) {
            left = columns
                .keys()
                .filter(|name| *name != "environment" && !wanted.iter().any(|w| w.name == **name))
                .cloned()
                .collect();
            rows = Some(copy(&mut tx, store.url(), table, &wanted, columns, environment).await?);
        }
        taken.tables.push(TakenTable { table: table.clone(), kept_as, rows, left });
    }
    taken.tables.sort_by(|a, b| a.table.cmp(&b.table));
    if dry {
        let ids: Vec<String> = crate::export::strangers(&mut tx, environment)
            .await?
            .integrations()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        taken.rows = crate::adopt::hand_made(&mut tx, environment, &ids, "").await?;
        // Undone.
        drop(tx);
    } else {
        tx.commit().await?;
    }
    Ok(taken)
}

/// The tables of Sower's names that are there, with their columns.
async fn tables(tx: &mut Tx) -> Result<BTreeMap<String, Columns>, StoreError> {
    let sql = match tx.engine() {
        Engine::Postgres => {
            "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, NULL) FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relname::text = ANY($1)"
        }
        Engine::Sqlite => {
            "SELECT m.name, c.name, lower(c.type) FROM sqlite_master m, pragma_table_info(m.name) c \
             WHERE m.type IN ('table', 'view') AND m.name = ANY($1)"
        }
    };
    let mut found: BTreeMap<String, Columns> = BTreeMap::new();
    for row in &tx.rows("reading the columns of the tables", sql, &[Bind::Texts(TABLES)]).await? {
        found.entry(row.text(0)?).or_default().insert(row.text(1)?, row.text(2)?);
    }
    Ok(found)
}

/// Why the tables cannot be taken over as they are, all of it.
async fn in_the_way(tx: &mut Tx, found: &BTreeMap<String, Columns>) -> Result<Vec<String>, StoreError> {
    let (names, ours) = match tx.engine() {
        Engine::Postgres => (
            "SELECT c.relname::text, c.relkind::text FROM pg_catalog.pg_class c \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' \
             AND c.relname::text = ANY($1) UNION ALL \
             SELECT nspname::text, 'schema' FROM pg_catalog.pg_namespace WHERE nspname = 'sower'",
            "r p",
        ),
        Engine::Sqlite => ("SELECT name, type FROM sqlite_master WHERE name = ANY($1)", "table"),
    };
    let kept: Vec<String> = found.keys().map(|table| format!("{table}{BEFORE}")).collect();
    let mut asked: Vec<&str> =
        found.keys().map(String::as_str).chain(kept.iter().map(String::as_str)).collect();
    asked.push(migrate::RECORD);
    let mut why = Vec::new();
    if found.is_empty() {
        why.push("it has none of the tables of a catalog".to_owned());
    }
    for row in &tx.rows("looking for what is in the way", names, &[Bind::Texts(&asked)]).await? {
        let (name, kind) = (row.text(0)?, row.text(1)?);
        match (&*name, &*kind) {
            (migrate::RECORD, _) => why.push("its tables are Sower's own".to_owned()),
            (_, "schema") => why.push("it has a schema `sower` already".to_owned()),
            (name, _) if kept.iter().any(|kept| kept == name) => why.push(format!("it has `{name}` already")),
            (name, kind) if !ours.split(' ').any(|one| one == kind) => {
                why.push(format!("`{name}` is no table"))
            }
            _ => {}
        }
    }
    for (table, columns) in found {
        let wanted = wanted(table).unwrap_or_default();
        for one in &wanted {
            match (columns.get(one.name), one.otherwise) {
                (None, None) => why.push(format!("`{table}` has no column `{}`", one.name)),
                (Some(kind), _) if !holds(tx.engine(), one.of, kind) => {
                    why.push(format!("`{table}.{}` is a {kind}: {} is wanted", one.name, one.of.as_str()));
                }
                _ => {}
            }
        }
    }
    why.sort();
    Ok(why)
}

impl Of {
    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Json => "JSON",
            Self::Time => "a time",
        }
    }
}

/// Whether a column of this type may hold it. SQLite's say little: there the values are looked at.
fn holds(engine: Engine, of: Of, kind: &str) -> bool {
    if engine == Engine::Sqlite {
        return true;
    }
    let text = ["text", "character varying", "character", "name", "citext"].contains(&kind);
    match of {
        Of::Text => !["json", "jsonb", "bytea"].contains(&kind),
        Of::Json => text || ["json", "jsonb"].contains(&kind),
        Of::Time => text || kind.starts_with("timestamp") || kind == "date",
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Renames the tables, and what of theirs has a name that Sower's own want.
async fn make_way(tx: &mut Tx, found: &BTreeMap<String, Columns>) -> Result<(), StoreError> {
    const WHAT: &str = "renaming tables";
    for table in found.keys() {
        let sql = format!("ALTER TABLE {} RENAME TO {}", quoted(table), quoted(&format!("{table}{BEFORE}")));
        tx.run(WHAT, &sql, &[]).await?;
    }
    let kept: Vec<String> = found.keys().map(|table| format!("{table}{BEFORE}")).collect();
    let kept: Vec<&str> = kept.iter().map(String::as_str).collect();
    let indexes = match tx.engine() {
        Engine::Postgres => {
            "SELECT i.relname::text FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
             JOIN pg_catalog.pg_class c ON c.oid = x.indrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relname::text = ANY($1)"
        }
        Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ANY($1)"
        }
    };
    let script = migrate::migrations_sql(tx.engine());
    for row in &tx.rows(WHAT, indexes, &[Bind::Texts(&kept)]).await? {
        let name = row.text(0)?;
        match tx.engine() {
            Engine::Postgres => {
                let end = name.floor_char_boundary(name.len().min(LONGEST - BEFORE.len()));
                let new = format!("{}{BEFORE}", &name[..end]);
                tx.run(WHAT, &format!("ALTER INDEX {} RENAME TO {}", quoted(&name), quoted(&new)), &[])
                    .await?;
            }
            // An index cannot be renamed there. Of a table that nobody writes any more it is missed by nobody.
            Engine::Sqlite if script.contains(&format!("INDEX {name} ")) => {
                tx.run(WHAT, &format!("DROP INDEX {}", quoted(&name)), &[]).await?;
            }
            Engine::Sqlite => {}
        }
    }
    Ok(())
}

/// A column of theirs as one of ours holds it.
fn expression(engine: Engine, of: Of, name: &str, kind: &str) -> String {
    let column = format!("b.{}", quoted(name));
    match (engine, of) {
        (_, Of::Text) => format!("CAST({column} AS text)"),
        (Engine::Postgres, Of::Json) => format!("CAST(CAST({column} AS text) AS json)"),
        (Engine::Sqlite, Of::Json) => format!("CAST({column} AS text)"),
        (Engine::Postgres, Of::Time) if kind == "timestamp with time zone" => column,
        // Times without a zone are taken for those of UTC.
        (Engine::Postgres, Of::Time) if kind.starts_with("timestamp") || kind == "date" => {
            format!("(CAST({column} AS timestamp) AT TIME ZONE 'UTC')")
        }
        (Engine::Postgres, Of::Time) => format!("CAST({column} AS timestamptz)"),
        // Numbers are seconds since 1970, or milliseconds.
        (Engine::Sqlite, Of::Time) => format!(
            "CASE WHEN typeof({column}) IN ('integer', 'real') THEN strftime('%Y-%m-%dT%H:%M:%fZ', \
             CASE WHEN {column} > 100000000000 THEN {column} / 1000.0 ELSE {column} END, 'unixepoch') \
             ELSE strftime('%Y-%m-%dT%H:%M:%fZ', {column}) END"
        ),
    }
}

/// Copies the rows of one table; how many.
async fn copy(
    tx: &mut Tx,
    url: &DatabaseUrl,
    table: &str,
    wanted: &[Wanted],
    columns: &Columns,
    environment: &str,
) -> Result<u64, StoreError> {
    let engine = tx.engine();
    let now = match engine {
        Engine::Postgres => "now()",
        Engine::Sqlite => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    };
    let says = |one: &Wanted| {
        let otherwise = one.otherwise.unwrap_or("NULL").replace("@now", now);
        match columns.get(one.name) {
            Some(kind) if one.otherwise.is_some() => {
                format!("coalesce({}, {otherwise})", expression(engine, one.of, one.name, kind))
            }
            Some(kind) => expression(engine, one.of, one.name, kind),
            None => otherwise,
        }
    };
    let of_environment = match columns.contains_key("environment") {
        true => "coalesce(nullif(CAST(b.environment AS text), ''), $1)",
        false => "$1",
    };
    let names: Vec<&str> = wanted.iter().map(|one| one.name).collect();
    let values: Vec<String> = wanted.iter().map(says).collect();
    let kept = quoted(&format!("{table}{BEFORE}"));
    let refuse = |why: String| StoreError::Unadoptable { database: url.to_string(), why: vec![why] };
    if table != DEFINITIONS {
        let stray = format!(
            "SELECT CAST(min(CAST(b.integration_id AS text)) AS text) FROM {kept} b WHERE NOT EXISTS \
             (SELECT 1 FROM integration_definitions d WHERE d.environment = {of_environment} \
             AND d.id = CAST(b.integration_id AS text))"
        );
        let row = tx.row("looking for rows without a definition", &stray, &[environment.into()]).await?;
        if let Some(id) = row.map(|row| row.maybe_text(0)).transpose()?.flatten() {
            return Err(refuse(format!(
                "`{table}` has rows of `{id}`, which is no integration of `{DEFINITIONS}`"
            )));
        }
    }
    let sql = format!(
        "INSERT INTO {table} ({}, environment) SELECT {}, {of_environment} FROM {kept} b",
        names.join(", "),
        values.join(", ")
    );
    let copied = tx.run(what(table), &sql, &[environment.into()]).await?;
    let there = tx.row("counting rows", &format!("SELECT count(*) FROM {kept}"), &[]).await?;
    let there = there.map(|row| row.int(0)).transpose()?.unwrap_or(0);
    match u64::try_from(there).ok() == Some(copied) {
        true => Ok(copied),
        false => Err(refuse(format!("`{table}` has {there} rows, and {copied} could be copied"))),
    }
}

fn what(table: &str) -> &'static str {
    match table {
        "action_registry" => "copying action_registry",
        "trigger_registry" => "copying trigger_registry",
        "connection_registry" => "copying connection_registry",
        "event_registry" => "copying event_registry",
        _ => "copying integration_definitions",
    }
}
