//! What the tests stand on: a database of either engine, empty, and a catalog to put into it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sower_core::catalog::{Found, Place, Summary};
use sower_core::plan::{Conflict, Content, Operation, Verb};
use sower_core::snapshot::Revision;
use sower_store::*;
use sower_tests::postgres::{Database, Postgres};
use sqlx::{AssertSqlSafe, Row as _, postgres::PgPool, sqlite::SqlitePool};

/// The environment of most tests.
pub const ENV: &str = "production";
/// Its keeper.
pub const KEEPER: &str = "files";

/// A database with nothing but Sower's tables.
pub struct Bed {
    pub store: Store,
    pub url: DatabaseUrl,
    pub database: Option<Database>,
    raw: Raw,
    _folder: tempfile::TempDir,
}

enum Raw {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Bed {
    /// On PostgreSQL, as a role that is no superuser.
    pub async fn postgres() -> Self {
        let database = Postgres::shared().await.unwrap().database().await.unwrap();
        let url = DatabaseUrl::parse(&database.url()).unwrap();
        let raw = Raw::Postgres(database.connect().await.unwrap());
        let store = Store::open(&url, &Options::default()).await.unwrap();
        Self { store, url, database: Some(database), raw, _folder: tempfile::tempdir().unwrap() }
    }

    /// On SQLite.
    pub async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/sower.db");
        let url = DatabaseUrl::parse(&format!("sqlite://{}", path.display())).unwrap();
        let store = Store::open(&url, &Options::default()).await.unwrap();
        let raw = Raw::Sqlite(SqlitePool::connect(&format!("sqlite://{}", path.display())).await.unwrap());
        Self { store, url, database: None, raw, _folder: folder }
    }

    /// Runs SQL beside the store, as another program would.
    pub async fn run(&self, sql: &str) {
        self.try_run(sql).await.unwrap();
    }

    /// [`Bed::run`], where that may be refused.
    pub async fn try_run(&self, sql: &str) -> Result<(), sqlx::Error> {
        match &self.raw {
            Raw::Postgres(pool) => {
                let sql = format!("SET search_path = public; {sql}");
                sqlx::raw_sql(AssertSqlSafe(sql)).execute(pool).await.map(drop)
            }
            Raw::Sqlite(pool) => sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.map(drop),
        }
    }

    /// Takes all tables away, as if nobody had ever been here.
    pub async fn forget_tables(&self) {
        match &self.raw {
            Raw::Postgres(_) => {
                self.run("DROP SCHEMA sower CASCADE; DROP TABLE environments, integration_definitions, action_registry, \
                    trigger_registry, connection_registry, event_registry, integration_versions, integration_links, integration_manifests, \
                    seeding_logs, seeding_changes, seeding_conflicts, removed_parts, seeding_retention, seeding_plans, \
                    seeding_plan_operations, seeding_plan_contents, integration_quarantine, integration_merges, \
                    integration_rollouts, registry_candidates, integration_usage, promotion_offers, \
                    promotion_admissions, sower_migrations CASCADE").await;
            }
            Raw::Sqlite(_) => {
                for kind in ["action", "trigger", "connection", "event"] {
                    self.run(&format!("DROP VIEW {kind}_registry_live")).await;
                }
                for table in [
                    "action_registry",
                    "trigger_registry",
                    "connection_registry",
                    "event_registry",
                    "integration_definitions",
                    "environments",
                    "integration_versions",
                    "integration_links",
                    "integration_manifests",
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
                    "sower_migrations",
                ] {
                    self.run(&format!("DROP TABLE {table}")).await;
                }
            }
        }
    }

    /// The first column of a query, as text.
    pub async fn ask(&self, sql: &str) -> Vec<String> {
        match &self.raw {
            Raw::Postgres(pool) => {
                let sql = sql.replace("FROM ", "FROM public.");
                let sql = format!("SELECT row_to_json(q) ->> 'v' FROM ({sql}) q(v)");
                let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
                rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_default()).collect()
            }
            Raw::Sqlite(pool) => {
                let sql = format!("WITH q(v) AS ({sql}) SELECT CAST(v AS TEXT) FROM q");
                let rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
                rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_default()).collect()
            }
        }
    }

    /// One number.
    pub async fn count(&self, table: &str) -> i64 {
        self.ask(&format!("SELECT count(*) FROM {table}")).await[0].parse().unwrap()
    }

    /// Seeds: claims, begins, applies.
    pub async fn seed(&self, operations: Vec<(Operation, Option<Arc<str>>)>) -> Result<Applied, StoreError> {
        let seeding = self.begin().await?;
        self.apply(&seeding, operations).await
    }

    /// Raises the epoch, whoever keeps the environment.
    pub async fn raise_epoch(&self, holder: &str) -> i64 {
        loop {
            let seen = self.store.environment(ENV).await.unwrap().and_then(|row| row.keeper);
            match self.store.raise_epoch(ENV, holder, seen.as_deref()).await {
                Err(StoreError::Moved { .. }) => {}
                raised => return raised.unwrap(),
            }
        }
    }

    /// Claims and begins.
    pub async fn begin(&self) -> Result<Seeding, StoreError> {
        let fence = self.store.claim(ENV, KEEPER, false).await?;
        self.begin_with(&fence).await
    }

    pub async fn begin_with(&self, fence: &Fence) -> Result<Seeding, StoreError> {
        self.store
            .begin(Begin {
                fence,
                holder: "tests",
                reason: "push: \"Test\" (AUTHOR)",
                applied: &applied("a"),
                metadata: Map::new(),
                started: Timestamp::now(),
            })
            .await
    }

    pub async fn apply(
        &self,
        seeding: &Seeding,
        operations: Vec<(Operation, Option<Arc<str>>)>,
    ) -> Result<Applied, StoreError> {
        self.store.apply(seeding, write(&operations, &applied("a"), &Value::Null)).await
    }
}

/// Nothing drifted.
static NO_IDS: BTreeSet<String> = BTreeSet::new();
pub static NOTHING: sower_core::drift::Mend = sower_core::drift::Mend::NOTHING;

/// A write with nothing but operations.
pub fn write<'a>(
    operations: &'a [(Operation, Option<Arc<str>>)],
    applied: &'a BTreeMap<String, AppliedSource>,
    summary: &'a Value,
) -> Write<'a> {
    Write {
        processed: operations.len(),
        operations: operations.iter().map(|(operation, manifest)| (operation, manifest.clone())).collect(),
        reseed: false,
        mend: &NOTHING,
        merges: Vec::new(),
        merged: &NO_IDS,
        conflicts: &[],
        manifests: ManifestDelta::default(),
        applied,
        selection_hash: Some("selection"),
        summary,
        errors: &[],
        metadata: Map::new(),
        spend: None,
        plans_wait: false,
        quarantine: QuarantineDelta::default(),
        promotion: PromotionDelta::default(),
        rollback: None,
        rollouts: RolloutDelta::default(),
    }
}

/// What an environment holds after it read this tree.
pub fn applied(tree: &str) -> BTreeMap<String, AppliedSource> {
    let revision =
        Revision { label: "main".into(), digest: format!("sha1:{}", "3f2c1a9d".repeat(5)), dirty: false };
    [("catalog".to_owned(), AppliedSource { revision, tree: tree.to_owned() })].into()
}

/// A manifest in its canonical form, with this many actions and one each of the others.
pub fn manifest(id: &str, version: &str, actions: usize) -> Arc<str> {
    let list: Vec<Value> = (0..actions)
        .map(|n| json!({"category": "tasks", "id": format!("act-{n}"), "name": format!("Act {n}"), "request": {"path": format!("/{n}")}}))
        .collect();
    canonical(&json!({
        "id": id, "name": format!("The {id}"), "version": version, "author": "AUTHOR", "actions": list,
        "triggers": [{"id": "done", "name": "Done", "type": "webhook"}],
        "connections": [{"id": "key", "name": "Key", "type": "apiKey"}],
        "events": [{"eventType": "task.completed"}],
    }))
}

/// serde_json keeps its maps sorted.
pub fn canonical(value: &Value) -> Arc<str> {
    value.to_string().into()
}

pub fn content(manifest: &str) -> Content {
    let value: Value = serde_json::from_str(manifest).unwrap();
    let version = value["version"].as_str().unwrap().to_owned();
    Content { version, checksum: sower_core::rows::checksum(manifest) }
}

pub fn place(id: &str) -> Place {
    Place { source: "catalog".into(), path: format!("integrations/{id}/integration.yaml"), document: 0 }
}

/// An operation on one integration.
pub fn operation(
    verb: Verb,
    id: &str,
    from: Option<&Arc<str>>,
    to: Option<&Arc<str>>,
) -> (Operation, Option<Arc<str>>) {
    let operation = Operation {
        id: id.to_owned(),
        verb,
        from: from.map(|manifest| content(manifest)),
        to: to.map(|manifest| content(manifest)),
        place: to.map(|_| place(id)),
        revision: to.map(|_| applied("")["catalog"].revision.full()),
        source: "catalog".to_owned(),
        revert: false,
        prune_disabled: false,
        staged: false,
    };
    (operation, to.cloned())
}

pub fn create(id: &str, manifest: &Arc<str>) -> (Operation, Option<Arc<str>>) {
    operation(Verb::Create, id, None, Some(manifest))
}

pub fn update(id: &str, from: &Arc<str>, to: &Arc<str>) -> (Operation, Option<Arc<str>>) {
    operation(Verb::Update, id, Some(from), Some(to))
}

pub fn remove(id: &str, from: &Arc<str>) -> (Operation, Option<Arc<str>>) {
    operation(Verb::Remove, id, Some(from), None)
}

/// A document as a source found it.
pub fn found(id: &str, manifest: &Arc<str>) -> Found {
    let Content { version, checksum } = content(manifest);
    let summary = json!({
        "id": id, "name": id, "version": version, "checksum": checksum, "actions": 1, "triggers": 1, "connections": 1,
        "events": 1, "lines": {"version": 3}
    });
    Found {
        place: place(id),
        blob: "b".repeat(40),
        id: Some(id.to_owned()),
        summary: Some(serde_json::from_value::<Summary>(summary).unwrap()),
        problems: Vec::new(),
        references: Vec::new(),
        manifest: Some(manifest.clone()),
    }
}

/// A conflict of versions.
pub fn conflict(id: &str, fingerprint: &str, resolution: sower_core::plan::Resolution) -> Conflict {
    Conflict {
        integration: id.to_owned(),
        kind: sower_core::plan::ConflictType::Version,
        current_version: Some("1.0.0".into()),
        new_version: Some("1.0.0".into()),
        resolution,
        unmerged: None,
        clashes: Vec::new(),
        message: "git has 1.0.0 too, with other content".into(),
        fingerprint: fingerprint.to_owned(),
    }
}

/// Runs every test named on both engines.
#[macro_export]
macro_rules! on_both_engines {
    ($($name:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name($crate::bed::Bed::postgres().await).await; })+
        }
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name($crate::bed::Bed::sqlite().await).await; })+
        }
    };
}
