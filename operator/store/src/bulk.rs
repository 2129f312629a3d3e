//! Many rows in one statement, on either engine.

use std::borrow::Cow;

use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;

use crate::error::StoreError;
use crate::session::unbound;

/// The columns of a bulk insert, row by row the same length.
#[derive(Debug)]
pub(crate) enum Column<'a> {
    Text(Vec<Option<Cow<'a, str>>>),
    Json(Vec<Option<Cow<'a, str>>>),
    Bytes(Vec<[u8; 32]>),
    Int(Vec<i64>),
    Times(Vec<String>),
    /// One text for every row.
    Same(&'a str),
    /// One time for every row.
    Time(&'a str),
}

impl Column<'_> {
    fn len(&self) -> Option<usize> {
        match self {
            Self::Text(values) | Self::Json(values) => Some(values.len()),
            Self::Bytes(values) => Some(values.len()),
            Self::Int(values) => Some(values.len()),
            Self::Times(values) => Some(values.len()),
            Self::Same(_) | Self::Time(_) => None,
        }
    }
}

/// Rows for one table in one statement.
#[derive(Debug)]
pub(crate) struct Bulk<'a> {
    pub table: &'static str,
    pub columns: Vec<(&'static str, Column<'a>)>,
    /// What follows `ON CONFLICT`, if anything.
    pub on_conflict: &'static str,
}

impl Bulk<'_> {
    /// There is nothing to send.
    pub(crate) fn is_empty(&self) -> bool {
        self.columns.iter().find_map(|(_, column)| column.len()).is_none_or(|rows| rows == 0)
    }
}

fn names(columns: &[(&'static str, Column<'_>)]) -> String {
    columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// `INSERT … SELECT … FROM UNNEST`: one parameter a column, however many rows there are.
pub(crate) fn postgres(what: &'static str, bulk: Bulk<'_>) -> Result<(String, PgArguments), StoreError> {
    let names = names(&bulk.columns);
    let mut arguments = PgArguments::default();
    let (mut values, mut sets, mut aliases) = (Vec::new(), Vec::new(), Vec::new());
    for (index, (name, column)) in bulk.columns.into_iter().enumerate() {
        let place = index + 1;
        let (value, set) = match &column {
            Column::Text(_) => (format!("u.{name}"), Some("text")),
            Column::Json(_) => (format!("u.{name}::json"), Some("text")),
            Column::Bytes(_) => (format!("u.{name}"), Some("bytea")),
            Column::Int(_) => (format!("u.{name}"), Some("bigint")),
            Column::Times(_) => (format!("u.{name}::timestamptz"), Some("text")),
            Column::Same(_) => (format!("${place}::text"), None),
            Column::Time(_) => (format!("${place}::timestamptz"), None),
        };
        values.push(value);
        if let Some(kind) = set {
            sets.push(format!("${place}::{kind}[]"));
            aliases.push(name);
        }
        match column {
            Column::Text(texts) | Column::Json(texts) => {
                arguments.add(texts.iter().map(Option::as_deref).collect::<Vec<_>>())
            }
            Column::Bytes(bytes) => arguments.add(bytes.iter().map(<[u8; 32]>::as_slice).collect::<Vec<_>>()),
            Column::Int(numbers) => arguments.add(numbers),
            Column::Times(times) => arguments.add(times),
            Column::Same(text) | Column::Time(text) => arguments.add(text),
        }
        .map_err(unbound(what))?;
    }
    let sql = format!(
        "INSERT INTO {} AS t ({names}) SELECT {} FROM UNNEST({}) AS u({}){}",
        bulk.table,
        values.join(", "),
        sets.join(", "),
        aliases.join(", "),
        conflict_clause(bulk.on_conflict),
    );
    Ok((sql, arguments))
}

/// `INSERT … VALUES (…), (…)`, row by row. Its parameters have no numbers: SQLite keeps a numbered one as a name in a list
/// that it goes through for each, and sqlx asks for each name, which took ten times as long for 1,000 rows.
pub(crate) fn sqlite(what: &'static str, bulk: Bulk<'_>) -> Result<(String, SqliteArguments), StoreError> {
    let names = names(&bulk.columns);
    let rows = bulk.columns.iter().find_map(|(_, column)| column.len()).unwrap_or(0);
    let mut arguments = SqliteArguments::default();
    for row in 0..rows {
        for (_, column) in &bulk.columns {
            match column {
                Column::Text(texts) | Column::Json(texts) => {
                    arguments.add(texts[row].as_deref().map(str::to_owned))
                }
                Column::Bytes(bytes) => arguments.add(bytes[row].to_vec()),
                Column::Int(numbers) => arguments.add(numbers[row]),
                Column::Times(times) => arguments.add(times[row].clone()),
                Column::Same(text) | Column::Time(text) => arguments.add((*text).to_owned()),
            }
            .map_err(unbound(what))?;
        }
    }
    let values = format!("({})", vec!["?"; bulk.columns.len()].join(", "));
    let sql = format!(
        "INSERT INTO {} AS t ({names}) VALUES {}{}",
        bulk.table,
        vec![values.as_str(); rows].join(", "),
        conflict_clause(bulk.on_conflict),
    );
    Ok((sql, arguments))
}

fn conflict_clause(on_conflict: &str) -> String {
    if on_conflict.is_empty() { String::new() } else { format!(" ON CONFLICT {on_conflict}") }
}
