//! What a database holds, row by row, with what PostgreSQL knows of who wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, Row as _};

use crate::wait::until;

/// A row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The transactions that wrote it, and that locked or tried to replace it.
    pub xmin: String,
    /// See `xmin`.
    pub xmax: String,
    /// Its columns.
    pub columns: Value,
}

impl Row {
    /// A column that holds text; empty where it is null.
    #[must_use]
    pub fn text(&self, column: &str) -> &str {
        self.columns[column].as_str().unwrap_or_default()
    }
}

/// Every row of every table of a database, as one transaction sees it: by table and primary key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables(pub BTreeMap<String, BTreeMap<String, Row>>);

/// Which rows differ between two looks at a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changed {
    /// Keys that came.
    pub inserted: BTreeSet<String>,
    /// Keys that were written or locked again, whether or not a column differs.
    pub updated: BTreeSet<String>,
    /// Keys that went.
    pub deleted: BTreeSet<String>,
}

/// Inserts, updates and deletes of a table since its statistics began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// `n_tup_ins`
    pub inserted: i64,
    /// `n_tup_upd`
    pub updated: i64,
    /// `n_tup_del`
    pub deleted: i64,
}

const NAMES: &str = "SELECT c.relname::text AS name, coalesce((SELECT string_agg(quote_ident(a.attname) || '::text', ', ' ORDER BY array_position(i.indkey::int2[], a.attnum)) \
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey) \
    WHERE i.indrelid = c.oid AND i.indisprimary), 'ctid::text') AS key \
    FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' ORDER BY 1";

impl Tables {
    /// Reads all of it.
    pub async fn read(pool: &PgPool) -> Result<Self> {
        Self::of(&mut *pool.acquire().await?).await
    }

    /// Reads all of it over a connection.
    pub async fn of(connection: &mut PgConnection) -> Result<Self> {
        let mut tx = connection.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let mut tables = BTreeMap::new();
        for table in sqlx::query(NAMES).fetch_all(&mut *tx).await? {
            let (name, key): (String, String) = (table.get("name"), table.get("key"));
            let select = format!(
                "SELECT concat_ws(' ', {key}) AS key, xmin::text AS xmin, xmax::text AS xmax, row_to_json(t)::text AS columns FROM public.{name} t"
            );
            let mut rows = BTreeMap::new();
            for row in sqlx::query(AssertSqlSafe(select)).fetch_all(&mut *tx).await? {
                let columns = serde_json::from_str(row.get("columns"))?;
                rows.insert(row.get("key"), Row { xmin: row.get("xmin"), xmax: row.get("xmax"), columns });
            }
            tables.insert(name, rows);
        }
        tx.commit().await?;
        Ok(Self(tables))
    }

    /// The rows of a table; none where it is not there.
    pub fn rows(&self, table: &str) -> impl Iterator<Item = &Row> {
        self.0.get(table).into_iter().flat_map(BTreeMap::values)
    }

    /// The rows of a table that belong to an environment.
    pub fn of_environment<'a>(&'a self, table: &str, environment: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows(table).filter(move |row| row.text("environment") == environment)
    }

    /// Id and version of every integration that an environment carries.
    #[must_use]
    pub fn carried(&self, environment: &str) -> BTreeMap<String, String> {
        self.of_environment("integration_definitions", environment)
            .filter(|row| row.text("status") != "removed")
            .map(|row| (row.text("id").to_owned(), row.text("version").to_owned()))
            .collect()
    }

    /// The log rows of an environment, oldest first.
    #[must_use]
    pub fn log<'a>(&'a self, environment: &'a str) -> Vec<&'a Row> {
        let mut log: Vec<_> = self.of_environment("seeding_logs", environment).collect();
        log.sort_by_key(|row| (row.text("started_at").to_owned(), row.text("id").to_owned()));
        log
    }

    /// What changed since; tables without a change are left out.
    #[must_use]
    pub fn since(&self, before: &Self) -> BTreeMap<String, Changed> {
        let none = BTreeMap::new();
        let names: BTreeSet<_> = self.0.keys().chain(before.0.keys()).collect();
        let mut all = BTreeMap::new();
        for name in names {
            let (old, new) = (before.0.get(name).unwrap_or(&none), self.0.get(name).unwrap_or(&none));
            let changed = Changed {
                inserted: new.keys().filter(|key| !old.contains_key(*key)).cloned().collect(),
                deleted: old.keys().filter(|key| !new.contains_key(*key)).cloned().collect(),
                updated: new
                    .iter()
                    .filter(|(key, row)| old.get(*key).is_some_and(|old| old != *row))
                    .map(|(key, _)| key.clone())
                    .collect(),
            };
            if changed != Changed::default() {
                all.insert(name.clone(), changed);
            }
        }
        all
    }
}

impl fmt::Display for Tables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, rows) in &self.0 {
            for row in rows.values() {
                writeln!(f, "{name}: {}", row.columns)?;
            }
        }
        Ok(())
    }
}

/// What was written to each table so far, rolled back or not. Processes that wrote must have been stopped: PostgreSQL
/// counts what a connection did when its server process ends, which is awaited here.
pub async fn counters(pool: &PgPool) -> Result<BTreeMap<String, Counters>> {
    let left = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sower' AND datname = current_database()";
    until("the connections of whoever wrote have ended", Duration::from_secs(30), async || {
        let left: i64 = sqlx::query_scalar(left).fetch_one(pool).await?;
        ensure!(left == 0, "{left} are left");
        Ok(())
    })
    .await?;
    let read = "SELECT relname::text AS name, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'public'";
    let rows = sqlx::query(read).fetch_all(pool).await.context("pg_stat_user_tables")?;
    let all = rows.iter().map(|row| {
        let counters = Counters {
            inserted: row.get("n_tup_ins"),
            updated: row.get("n_tup_upd"),
            deleted: row.get("n_tup_del"),
        };
        (row.get("name"), counters)
    });
    Ok(all.collect())
}
