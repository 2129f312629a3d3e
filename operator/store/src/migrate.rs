//! The tables, and how they come to be: forward only, in one transaction, one process at a time.
//!
//! Every migration leaves tables that the release before it can still use.

use std::fmt::Write as _;

use crate::address::{DatabaseUrl, Engine};
use crate::error::StoreError;
use crate::open::{Migrate, Store};
use crate::session::{Bind, Tx, time};

/// A step from one schema to the next.
struct Migration {
    version: i64,
    name: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "catalog",
        postgres: include_str!("../migrations/postgres/0001_catalog.sql"),
        sqlite: include_str!("../migrations/sqlite/0001_catalog.sql"),
    },
    Migration {
        version: 2,
        name: "retention",
        postgres: include_str!("../migrations/postgres/0002_retention.sql"),
        sqlite: include_str!("../migrations/sqlite/0002_retention.sql"),
    },
    Migration {
        version: 3,
        name: "plans",
        postgres: include_str!("../migrations/postgres/0003_plans.sql"),
        sqlite: include_str!("../migrations/sqlite/0003_plans.sql"),
    },
    Migration {
        version: 4,
        name: "rollback",
        postgres: include_str!("../migrations/postgres/0004_rollback.sql"),
        sqlite: include_str!("../migrations/sqlite/0004_rollback.sql"),
    },
    Migration {
        version: 5,
        name: "drift",
        postgres: include_str!("../migrations/postgres/0005_drift.sql"),
        sqlite: include_str!("../migrations/sqlite/0005_drift.sql"),
    },
    Migration {
        version: 6,
        name: "merge",
        postgres: include_str!("../migrations/postgres/0006_merge.sql"),
        sqlite: include_str!("../migrations/sqlite/0006_merge.sql"),
    },
    Migration {
        version: 7,
        name: "rollout",
        postgres: include_str!("../migrations/postgres/0007_rollout.sql"),
        sqlite: include_str!("../migrations/sqlite/0007_rollout.sql"),
    },
    Migration {
        version: 8,
        name: "usage",
        postgres: include_str!("../migrations/postgres/0008_usage.sql"),
        sqlite: include_str!("../migrations/sqlite/0008_usage.sql"),
    },
    Migration {
        version: 9,
        name: "promotion",
        postgres: include_str!("../migrations/postgres/0009_promotion.sql"),
        sqlite: include_str!("../migrations/sqlite/0009_promotion.sql"),
    },
];

/// The version of the schema that this Sower needs.
pub const SCHEMA: i64 = 9;

/// Tables of which one without our record means that somebody else was here.
pub(crate) const TABLES: &[&str] = &[
    "environments",
    "integration_definitions",
    "action_registry",
    "trigger_registry",
    "connection_registry",
    "event_registry",
    "integration_versions",
    "integration_manifests",
    "integration_links",
    "seeding_logs",
    "seeding_changes",
    "seeding_conflicts",
    "removed_parts",
    "seeding_retention",
    "seeding_plans",
    "seeding_plan_operations",
    "seeding_plan_contents",
    "integration_quarantine",
    "integration_merges",
    "integration_rollouts",
    "registry_candidates",
    "integration_usage",
    "promotion_offers",
    "promotion_admissions",
];

/// The record of what was applied.
pub(crate) const RECORD: &str = "sower_migrations";

/// A number of our own among the advisory locks of a database: "sower" in ASCII.
const LOCK: i64 = 0x73_6f_77_65_72;

impl Migration {
    fn sql(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Postgres => self.postgres,
            Engine::Sqlite => self.sqlite,
        }
    }
}

fn record_table(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => {
            "CREATE TABLE IF NOT EXISTS sower_migrations (\n  version bigint PRIMARY KEY,\n  name text NOT NULL,\n  \
             applied_at timestamptz NOT NULL\n);\n"
        }
        Engine::Sqlite => {
            "CREATE TABLE IF NOT EXISTS sower_migrations (\n  version INTEGER PRIMARY KEY,\n  name TEXT NOT NULL,\n  \
             applied_at TEXT NOT NULL\n) STRICT;\n"
        }
    }
}

/// All migrations as one script, with the records that this Sower looks for: for those who run them themselves. Each
/// version is one transaction that begins with its record, so that one which was run before stops at its first line and
/// changes nothing.
#[must_use]
pub fn migrations_sql(engine: Engine) -> String {
    let (begin, now) = match engine {
        Engine::Postgres => ("BEGIN;\nSET LOCAL search_path = public;\n", "now()"),
        Engine::Sqlite => ("BEGIN IMMEDIATE;\n", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"),
    };
    let mut script = format!(
        "-- The tables of Sower, schema 1 to {SCHEMA}. Each version below is run once, in order: only those above what\n\
         --   SELECT max(version) FROM sower_migrations;\n\
         -- says, and all of them where there is no such table.\n\
         -- Run this file with a client that stops at the first error.\n\n"
    );
    for migration in MIGRATIONS {
        let Migration { version, name, .. } = migration;
        // Writing to a String cannot fail.
        let _ = write!(
            script,
            "-- version {version}: {name}\n{begin}{}INSERT INTO sower_migrations (version, name, applied_at) \
             VALUES ({version}, '{name}', {now});\n\n{}\nCOMMIT;\n",
            record_table(engine),
            migration.sql(engine)
        );
    }
    script
}

/// What was found of a schema.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    Version(i64),
    /// Of our own version, without this table.
    Broken(&'static str),
    Foreign(String),
}

/// Makes sure that the tables are as this Sower needs them.
pub(crate) async fn ensure(store: &Store, migrate: Migrate) -> Result<(), StoreError> {
    if recorded(store).await == Some(SCHEMA) {
        return Ok(());
    }
    let mut tx = store.read().await?;
    let found = look(&mut tx).await?;
    tx.commit().await?;
    if settled(store, &found)? {
        return Ok(());
    }
    if migrate == Migrate::Never {
        let found = match found {
            Found::Version(version) => Some(version),
            Found::Nothing | Found::Foreign(_) | Found::Broken(_) => None,
        };
        return Err(StoreError::SchemaMissing { database: store.url().to_string(), needs: SCHEMA, found });
    }
    let made = apply(store).await;
    match made {
        Err(StoreError::Query { cause, .. } | StoreError::TablesGone { cause, .. }) => {
            Err(StoreError::Migration { database: store.url().to_string(), cause })
        }
        Err(StoreError::Busy { what, cause }) => Err(StoreError::Unavailable {
            database: store.url().to_string(),
            host: store.url().host(),
            cause: format!("{what}: {cause}"),
        }),
        other => other,
    }
}

/// The version that the record names, where all of our tables are there; none where that cannot be told so simply.
async fn recorded(store: &Store) -> Option<i64> {
    let names = TABLES.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let tables = match store.url().engine() {
        Engine::Postgres => format!(
            "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname::text IN ({names})"
        ),
        Engine::Sqlite => format!("sqlite_master WHERE type = 'table' AND name IN ({names})"),
    };
    let sql =
        format!("SELECT (SELECT max(version) FROM public.sower_migrations), (SELECT count(*) FROM {tables})");
    let rows = store.ask("reading the migration record", &sql).await.ok()?;
    let row = rows.first()?;
    let present = usize::try_from(row.int(1).ok()?).ok()?;
    row.maybe_int(0).ok()?.filter(|_| present == TABLES.len())
}

/// Whether nothing is left to do.
fn settled(store: &Store, found: &Found) -> Result<bool, StoreError> {
    match found {
        Found::Nothing => Ok(false),
        Found::Version(version) if *version > SCHEMA => Err(StoreError::SchemaIncompatible {
            database: store.url().to_string(),
            found: *version,
            knows: SCHEMA,
        }),
        Found::Version(version) => Ok(*version == SCHEMA),
        Found::Broken(table) => Err(StoreError::SchemaBroken { database: store.url().to_string(), table }),
        Found::Foreign(table) => {
            Err(StoreError::SchemaForeign { database: store.url().to_string(), table: table.clone() })
        }
    }
}

async fn apply(store: &Store) -> Result<(), StoreError> {
    let mut tx = store.write().await?;
    wait_for_others(&mut tx).await?;
    let found = look(&mut tx).await?;
    if settled(store, &found)? {
        return tx.commit().await;
    }
    let at = match found {
        Found::Version(version) => version,
        Found::Nothing | Found::Foreign(_) | Found::Broken(_) => 0,
    };
    make(&mut tx, at, store.url()).await?;
    tx.commit().await
}

/// One process at a time migrates a database. On SQLite whoever writes is alone.
pub(crate) async fn wait_for_others(tx: &mut Tx) -> Result<(), StoreError> {
    if tx.engine() == Engine::Postgres {
        // Held to the end of the transaction, on whichever connection a pooler gave it.
        tx.rows("waiting for another migration", "SELECT pg_advisory_xact_lock($1)::text", &[LOCK.into()])
            .await?;
    }
    Ok(())
}

/// Makes the tables from one version on.
pub(crate) async fn make(tx: &mut Tx, at: i64, database: &DatabaseUrl) -> Result<(), StoreError> {
    tx.script("making the migration record", record_table(tx.engine())).await?;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > at) {
        tx.script("migrating", migration.sql(tx.engine())).await?;
        let now = time(jiff::Timestamp::now());
        tx.run(
            "recording a migration",
            "INSERT INTO sower_migrations (version, name, applied_at) VALUES ($1, $2, $3::timestamptz)",
            &[migration.version.into(), migration.name.into(), (&now).into()],
        )
        .await?;
        tracing::info!(version = migration.version, name = migration.name, database = %database, "migrated");
    }
    Ok(())
}

async fn look(tx: &mut Tx) -> Result<Found, StoreError> {
    let catalog = match tx.engine() {
        Engine::Postgres => {
            "SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v') AND c.relname::text = ANY($1) ORDER BY 1"
        }
        Engine::Sqlite => {
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name = ANY($1) ORDER BY 1"
        }
    };
    let mut names = TABLES.to_vec();
    names.push(RECORD);
    let rows = tx.rows("looking for the tables", catalog, &[Bind::Texts(&names)]).await?;
    let present = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
    let version = if present.iter().any(|name| name == RECORD) {
        let row =
            tx.row("reading the migration record", "SELECT max(version) FROM sower_migrations", &[]).await?;
        row.map(|row| row.maybe_int(0)).transpose()?.flatten()
    } else {
        None
    };
    let missing = TABLES.iter().find(|table| !present.iter().any(|name| name == *table));
    if let (Some(SCHEMA), Some(table)) = (version, missing) {
        return Ok(Found::Broken(table));
    }
    Ok(match (version, present.into_iter().find(|name| name != RECORD)) {
        (Some(version), _) => Found::Version(version),
        (None, Some(table)) => Found::Foreign(table),
        (None, None) => Found::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_from_one_to_the_schema_of_this_release() {
        let versions: Vec<_> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=SCHEMA).collect::<Vec<_>>());
    }

    #[test]
    fn the_script_makes_every_table_on_both_engines() {
        for engine in [Engine::Postgres, Engine::Sqlite] {
            let script = migrations_sql(engine);
            for table in TABLES {
                assert!(script.contains(&format!("CREATE TABLE {table} (")), "{table}");
            }
        }
    }
}
