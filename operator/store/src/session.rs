//! One transaction on either engine. SQL is written once, in PostgreSQL's words; [`dialect`] says it in SQLite's.
//!
//! Nothing here lives longer than its transaction: no session settings, no session locks, no named statements. So a
//! pooler between us and the server may hand every transaction another connection.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Postgres, Row as _, Sqlite, Transaction};
use tokio::sync::SemaphorePermit;

use crate::address::Engine;
use crate::bulk::{self, Bulk};
use crate::error::{During, StoreError, cause};

/// A value for a placeholder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bind<'a> {
    Text(&'a str),
    Maybe(Option<&'a str>),
    Int(i64),
    /// For `= ANY($n)`.
    Texts(&'a [&'a str]),
}

impl<'a> From<&'a str> for Bind<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Bind<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Bind<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

/// A transaction. Dropped without a commit, it is rolled back.
pub(crate) enum Tx {
    Postgres {
        tx: Transaction<'static, Postgres>,
        /// How long one answer is waited for. The server has its own time-outs; this is for one that is silent.
        patience: Duration,
        /// Leave to use a connection, given back at the end.
        _permit: Option<SemaphorePermit<'static>>,
    },
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    pub(crate) fn engine(&self) -> Engine {
        match self {
            Self::Postgres { .. } => Engine::Postgres,
            Self::Sqlite(_) => Engine::Sqlite,
        }
    }

    /// The rows of a query.
    pub(crate) async fn rows(
        &mut self,
        what: &'static str,
        sql: &str,
        binds: &[Bind<'_>],
    ) -> Result<Vec<Row>, StoreError> {
        let sql = AssertSqlSafe(dialect(self.engine(), sql));
        Ok(match self {
            Self::Postgres { tx, patience, .. } => {
                let query = sqlx::query_with(sql, postgres_binds(what, binds)?).persistent(false);
                let rows = within(*patience, what, query.fetch_all(&mut **tx)).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
            Self::Sqlite(tx) => {
                let query = sqlx::query_with(sql, sqlite_binds(what, binds)?);
                query.fetch_all(&mut **tx).await.during(what)?.into_iter().map(Row::Sqlite).collect()
            }
        })
    }

    /// The first row of a query.
    pub(crate) async fn row(
        &mut self,
        what: &'static str,
        sql: &str,
        binds: &[Bind<'_>],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.rows(what, sql, binds).await?.into_iter().next())
    }

    /// Number of rows that a statement touched.
    pub(crate) async fn run(
        &mut self,
        what: &'static str,
        sql: &str,
        binds: &[Bind<'_>],
    ) -> Result<u64, StoreError> {
        let sql = AssertSqlSafe(dialect(self.engine(), sql));
        match self {
            Self::Postgres { tx, patience, .. } => {
                let query = sqlx::query_with(sql, postgres_binds(what, binds)?).persistent(false);
                Ok(within(*patience, what, query.execute(&mut **tx)).await?.rows_affected())
            }
            Self::Sqlite(tx) => {
                let query = sqlx::query_with(sql, sqlite_binds(what, binds)?);
                Ok(query.execute(&mut **tx).await.during(what)?.rows_affected())
            }
        }
    }

    /// Runs a script of several statements without parameters.
    pub(crate) async fn script(&mut self, what: &'static str, sql: &str) -> Result<(), StoreError> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Postgres { tx, patience, .. } => {
                within(*patience, what, sql.execute(&mut **tx)).await.map(drop)
            }
            Self::Sqlite(tx) => sql.execute(&mut **tx).await.map(drop).during(what),
        }
    }

    /// Sends rows in one statement; says how many were inserted or updated.
    pub(crate) async fn bulk(&mut self, what: &'static str, bulk: Bulk<'_>) -> Result<u64, StoreError> {
        if bulk.is_empty() {
            return Ok(0);
        }
        match self {
            Self::Postgres { tx, patience, .. } => {
                let (sql, arguments) = bulk::postgres(what, bulk)?;
                let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(false);
                Ok(within(*patience, what, query.execute(&mut **tx)).await?.rows_affected())
            }
            Self::Sqlite(tx) => {
                let (sql, arguments) = bulk::sqlite(what, bulk)?;
                let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(false);
                Ok(query.execute(&mut **tx).await.during(what)?.rows_affected())
            }
        }
    }

    /// Ends a transaction that only read: nothing is to be learnt from its end, so nobody waits for it.
    pub(crate) fn done(self) {
        drop(self);
    }

    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres { tx, patience, .. } => within(patience, "committing", tx.commit()).await,
            Self::Sqlite(tx) => tx.commit().await.during("committing"),
        }
    }
}

/// Waits for an answer, but not for ever: a server that is silent does not keep to its own time-outs.
pub(crate) async fn within<T>(
    patience: Duration,
    what: &'static str,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer.during(what),
        Err(_) => Err(StoreError::Lost { what, cause: "no answer in time".to_owned() }),
    }
}

/// PostgreSQL's words in SQLite's: casts go, a set of texts travels as one JSON array, times are text already, and
/// `BEGIN IMMEDIATE` has locked what `FOR UPDATE` would.
pub(crate) fn dialect(engine: Engine, sql: &str) -> String {
    if engine == Engine::Postgres {
        return between(sql, "@time(", ")", |column| {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
        });
    }
    let mut sql = between(sql, "@time(", ")", str::to_owned);
    for word in ["::json", "::text", "::bigint", "::timestamptz", " FOR UPDATE", "public."] {
        sql = sql.replace(word, "");
    }
    between(&sql, "= ANY(", ")", |set| format!("IN (SELECT value FROM json_each({set}))"))
}

fn between(text: &str, open: &str, close: &str, replace: impl Fn(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(open) {
        let Some((inside, after)) = after.split_once(close) else { break };
        out.push_str(before);
        out.push_str(&replace(inside));
        rest = after;
    }
    out.push_str(rest);
    out
}

pub(crate) fn unbound(what: &'static str) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> StoreError {
    move |error| StoreError::Query { what, cause: error.to_string() }
}

fn postgres_binds(what: &'static str, binds: &[Bind<'_>]) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for bind in binds {
        match bind {
            Bind::Text(text) => arguments.add(text),
            Bind::Maybe(text) => arguments.add(text),
            Bind::Int(number) => arguments.add(number),
            Bind::Texts(texts) => arguments.add(texts),
        }
        .map_err(unbound(what))?;
    }
    Ok(arguments)
}

fn sqlite_binds(what: &'static str, binds: &[Bind<'_>]) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    for bind in binds {
        match *bind {
            Bind::Text(text) => arguments.add(text.to_owned()),
            Bind::Maybe(text) => arguments.add(text.map(str::to_owned)),
            Bind::Int(number) => arguments.add(number),
            Bind::Texts(texts) => arguments.add(serde_json::Value::from(texts.to_vec()).to_string()),
        }
        .map_err(unbound(what))?;
    }
    Ok(arguments)
}

/// A row of either engine.
pub(crate) enum Row {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

macro_rules! get {
    ($row:expr, $index:expr, $kind:ty) => {
        match $row {
            Row::Postgres(row) => row.try_get::<$kind, _>($index),
            Row::Sqlite(row) => row.try_get::<$kind, _>($index),
        }
        .map_err(|error| StoreError::Unreadable {
            what: format!("column {} of an answer", $index),
            cause: cause(&error),
        })
    };
}

impl Row {
    pub(crate) fn text(&self, index: usize) -> Result<String, StoreError> {
        get!(self, index, String)
    }

    pub(crate) fn maybe_text(&self, index: usize) -> Result<Option<String>, StoreError> {
        get!(self, index, Option<String>)
    }

    pub(crate) fn int(&self, index: usize) -> Result<i64, StoreError> {
        get!(self, index, i64)
    }

    pub(crate) fn maybe_int(&self, index: usize) -> Result<Option<i64>, StoreError> {
        get!(self, index, Option<i64>)
    }

    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>, StoreError> {
        get!(self, index, Vec<u8>)
    }

    pub(crate) fn maybe_bytes(&self, index: usize) -> Result<Option<Vec<u8>>, StoreError> {
        get!(self, index, Option<Vec<u8>>)
    }

    /// A condition: a boolean on one engine, 0 or 1 on the other.
    pub(crate) fn flag(&self, index: usize) -> Result<bool, StoreError> {
        match self {
            Self::Postgres(_) => get!(self, index, bool),
            Self::Sqlite(_) => self.int(index).map(|number| number != 0),
        }
    }

    /// A stored JSON document.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(
        &self,
        index: usize,
        what: &str,
    ) -> Result<T, StoreError> {
        parse(&self.text(index)?, what)
    }

    /// A time, selected with `@time(…)`.
    pub(crate) fn time(&self, index: usize) -> Result<jiff::Timestamp, StoreError> {
        parse_time(&self.text(index)?)
    }

    /// A time that may be absent.
    pub(crate) fn maybe_time(&self, index: usize) -> Result<Option<jiff::Timestamp>, StoreError> {
        self.maybe_text(index)?.as_deref().map(parse_time).transpose()
    }
}

/// Reads a stored JSON document.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str, what: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Unreadable { what: what.to_owned(), cause: error.to_string() })
}

/// Writes a JSON document for storing.
pub(crate) fn to_json<T: serde::Serialize>(value: &T, what: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Query { what, cause: error.to_string() })
}

/// A time as both engines take it, in milliseconds.
pub(crate) fn time(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

fn parse_time(text: &str) -> Result<jiff::Timestamp, StoreError> {
    text.parse().map_err(|error: jiff::Error| StoreError::Unreadable {
        what: format!("the time {text}"),
        cause: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_sql_is_said_in_both_tongues() {
        let sql = "SELECT a::text, @time(b) FROM t WHERE c = ANY($2) AND d = $1::timestamptz FOR UPDATE";
        assert_eq!(
            dialect(Engine::Sqlite, sql),
            "SELECT a, b FROM t WHERE c IN (SELECT value FROM json_each($2)) AND d = $1"
        );
        assert!(dialect(Engine::Postgres, sql).contains("to_char(b AT TIME ZONE 'UTC'"));
    }

    #[test]
    fn times_have_milliseconds_and_sort_as_text() {
        let at: jiff::Timestamp = "2026-11-21T14:02:11Z".parse().unwrap();
        assert_eq!(time(at), "2026-11-21T14:02:11.000Z");
        assert_eq!(parse_time(&time(at)).unwrap(), at);
    }
}
