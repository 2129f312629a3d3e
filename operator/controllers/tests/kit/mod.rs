//! A repository, a database, and a seeder between them.

#![allow(dead_code, reason = "each suite takes what it needs")]
#![allow(clippy::unwrap_used, reason = "a fixture that cannot be made ends its test")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use sower_controllers::rollout::{NoSecrets, Stepped, Steps};
use sower_controllers::seeding::{
    Approval, Approved, Job, Origin, Planned, Rollback, RollbackError, RolledBack, Seeded, Seeder,
    SeedingError, SourceInput,
};
use sower_core::rollback::Request;
use sower_core::rollout::Rollout;
use sower_core::rows::Kind;
use sower_crds::environment::EnvironmentSpec;
use sower_source::Fetcher;
use sower_store::{DatabaseUrl, Options, Store, Which};
use sqlx::{AssertSqlSafe, Connection as _, SqliteConnection};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

pub struct Kit {
    folder: TempDir,
    pub store: Store,
    pub seeder: Seeder,
}

/// A manifest with actions of these ids.
pub fn manifest(id: &str, version: &str, actions: &[&str]) -> String {
    let actions: String = actions
        .iter()
        .map(|a| {
            format!(
                "  - {{ id: {a}, name: {a}, request: {{ method: POST, path: /{a} }}, inputSchema: {{ type: object }}, outputSchema: {{ $ref: ../shared.json }} }}\n"
            )
        })
        .collect();
    format!(
        "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: {{ name: {id} }}\nspec:\n  name: {id}\n  version: {version}\n  baseUrl: https://{id}.example.com\n  actions:\n{actions}"
    )
}

/// The rollouts of the environment that a job seeds.
pub fn steps(job: &Job) -> Steps<'_> {
    Steps {
        environment: &job.environment,
        spec: &job.spec,
        keeper: &job.keeper,
        epoch: job.epoch,
        freeze_override: job.freeze_override,
        secrets: &NoSecrets,
    }
}

impl Kit {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("repository/catalog")).unwrap();
        let url = DatabaseUrl::parse(&format!("sqlite://{}/sower.db", folder.path().display())).unwrap();
        let store = Store::open(&url, &Options::default()).await.unwrap();
        let fetcher = Fetcher::new(folder.path().join("cache")).unwrap();
        let seeder = Seeder::new(fetcher, semver::Version::new(0, 1, 0), None).noting();
        let kit = Self { store, seeder, folder };
        kit.git(&["init", "--quiet", "--initial-branch=main"]);
        kit.write_file("catalog/shared.json", "{\"type\":\"object\"}");
        kit
    }

    pub fn repository(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// The file in which git holds what HEAD has at a path.
    pub fn object(&self, path: &str) -> PathBuf {
        let id = self.git(&["rev-parse", &format!("HEAD:{path}")]);
        let (folder, name) = id.trim().split_at(2);
        self.repository().join(".git/objects").join(folder).join(name)
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        let ran = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
            .args(arguments)
            .current_dir(self.repository())
            .output()
            .unwrap();
        assert!(ran.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    pub fn write_file(&self, path: &str, text: &str) {
        let path = self.repository().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn write(&self, id: &str, text: &str) {
        self.write_file(&format!("catalog/{id}/integration.yaml"), text);
    }

    /// Removes an integration's folders, where they are.
    pub fn remove(&self, id: &str) {
        for folder in [format!("catalog/{id}"), format!("catalog/moved/{id}")] {
            let _ = std::fs::remove_dir_all(self.repository().join(folder));
        }
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    pub fn job(&self, environment: &str, spec: &str) -> Job {
        let spec: EnvironmentSpec = serde_json::from_str(spec).unwrap();
        let origin = Origin::Checkout { dir: self.repository(), reference: "HEAD".into() };
        let source = SourceInput { name: "default".into(), priority: 0, path: "catalog".into(), origin };
        Job {
            environment: environment.into(),
            spec,
            sources: vec![source],
            keeper: "files".into(),
            take_over: false,
            only: None,
            reseed: false,
            mend: Job::unmended(),
            resolve: sower_core::resolution::Once::new(),
            freeze_override: None,
            upstream: None,
            promote: sower_controllers::seeding::Promote::default(),
            epoch: None,
        }
    }

    pub async fn run(&self, job: &Job) -> Result<Seeded, SeedingError> {
        self.run_until(job, &CancellationToken::new()).await
    }

    pub async fn run_until(&self, job: &Job, stop: &CancellationToken) -> Result<Seeded, SeedingError> {
        self.seeder.seed(&self.store, job, stop).await
    }

    /// What is due of the rollouts under way.
    pub async fn step(&self, job: &Job) -> Stepped {
        let mut stepped = Stepped::default();
        self.seeder.step_each(&self.store, &steps(job), &mut stepped).await.unwrap();
        stepped
    }

    pub async fn approve(&self, environment: &str, spec: &str, approval: &Approval) -> Approved {
        let stop = CancellationToken::new();
        self.seeder.approve(&self.store, &self.job(environment, spec), approval, &stop).await.unwrap()
    }

    pub async fn plan(&self, environment: &str, spec: &str) -> Planned {
        let stop = CancellationToken::new();
        self.seeder.plan(&self.store, &self.job(environment, spec), &stop).await.unwrap()
    }

    /// What somebody with SQL does.
    pub async fn sql(&self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        let done = sqlx::query(statement).execute(&mut self.connect().await).await.unwrap();
        assert!(done.rows_affected() > 0);
    }

    pub async fn count(&self, table: &str) -> i64 {
        let count = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(count).fetch_one(&mut self.connect().await).await.unwrap()
    }

    /// Makes an earlier state current again: `3`, `a=1.0.0`, `undo`.
    pub async fn roll_back(&self, environment: &str, wish: &str) -> Result<RolledBack, RollbackError> {
        let rollback = Rollback {
            environment: environment.into(),
            spec: EnvironmentSpec::default(),
            keeper: "files".into(),
            epoch: None,
            request: Request::parse(wish).unwrap(),
            by: "Ada".into(),
            asked: None,
        };
        self.seeder.roll_back(&self.store, &rollback).await
    }

    /// Every row of ours by table and id: its hash and checksum, and of definitions where it came from.
    pub async fn catalog(&self, environment: &str) -> BTreeMap<String, (String, String)> {
        let registries = Kind::ALL.map(|kind| (kind.table(), "''"));
        let definitions = ("integration_definitions", "source || ' ' || path || ' ' || revision");
        let mut all = BTreeMap::new();
        let mut connection = self.connect().await;
        for (table, place) in registries.into_iter().chain([definitions]) {
            let carried = if place == "''" { "" } else { " AND status <> 'removed'" };
            let sql = format!(
                "SELECT id, hex(row_hash) || checksum, {place} FROM {table} \
                 WHERE environment = $1 AND seeding IS NOT NULL{carried}"
            );
            let rows = sqlx::query_as::<_, (String, String, String)>(AssertSqlSafe(sql)).bind(environment);
            for (id, content, place) in rows.fetch_all(&mut connection).await.unwrap() {
                all.insert(format!("{table} {id}"), (content, place));
            }
        }
        all
    }

    async fn connect(&self) -> SqliteConnection {
        let url = format!("sqlite://{}/sower.db", self.folder.path().display());
        SqliteConnection::connect(&url).await.unwrap()
    }

    /// Makes what is remembered of an integration's document unreadable.
    pub async fn garble(&self, id: &str) {
        let sql = "UPDATE integration_manifests SET summary = '[]' WHERE integration_id = $1";
        let done = sqlx::query(sql).bind(id).execute(&mut self.connect().await).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }

    /// Deletes an integration's rows, as somebody with SQL would.
    pub async fn forget(&self, id: &str) {
        let mut connection = self.connect().await;
        let registries = Kind::ALL.map(|kind| (kind.table(), "integration_id"));
        for (table, column) in registries.into_iter().chain([("integration_definitions", "id")]) {
            let delete = AssertSqlSafe(format!("DELETE FROM {table} WHERE {column} = $1"));
            sqlx::query(delete).bind(id).execute(&mut connection).await.unwrap();
        }
    }

    pub async fn try_seed(&self, environment: &str, spec: &str) -> Result<Seeded, SeedingError> {
        self.run(&self.job(environment, spec)).await
    }

    pub async fn seed(&self, environment: &str, spec: &str) -> Seeded {
        self.try_seed(environment, spec).await.unwrap()
    }

    /// What an environment carries: id, version, and the whole manifest.
    pub async fn rows(&self, environment: &str) -> Vec<(String, String, String)> {
        let mut rows = Vec::new();
        for listed in self.store.integrations(Some(environment)).await.unwrap() {
            let whole = self.store.integration(environment, &listed.id).await.unwrap().unwrap();
            rows.push((listed.id, listed.version, whole.manifest));
        }
        rows
    }

    /// Rows, documents, open conflicts and rollouts, as text.
    pub async fn state(&self, environment: &str) -> String {
        let rows = self.rows(environment).await;
        let mut known = self.store.known(environment, "default").await.unwrap();
        known.extend(self.store.known(environment, "more").await.unwrap());
        let mut conflicts: Vec<_> = self
            .store
            .open_conflicts(Some(environment))
            .await
            .unwrap()
            .into_iter()
            .map(|o| o.conflict)
            .collect();
        conflicts.sort_by(|a, b| (&a.integration, a.kind).cmp(&(&b.integration, b.kind)));
        let here = self.store.state(environment).await.unwrap().state;
        let never: Vec<&String> =
            here.rows.iter().filter(|(_, r)| r.prune_disabled && !r.removed).map(|(id, _)| id).collect();
        let latest = self.store.rollouts(Some(environment), Which::Latest).await.unwrap();
        let rollouts: Vec<_> = latest
            .into_iter()
            .map(|rollout| {
                let Rollout { integration, from, to, state, step, source, path, revision, .. } = rollout;
                (integration, from, to, state, step, source, path, revision)
            })
            .collect();
        let beside = "SELECT id || ' ' || version || ' ' || checksum || ' ' || path || ' ' || revision FROM registry_candidates \
             WHERE environment = $1 ORDER BY integration_id, version, kind, id";
        let beside: Vec<String> =
            sqlx::query_scalar(beside).bind(environment).fetch_all(&mut self.connect().await).await.unwrap();
        format!("{rows:#?}\n{known:#?}\n{conflicts:#?}\n{never:?}\n{rollouts:#?}\n{beside:#?}")
    }
}
