//! Rollouts with files on PostgreSQL: what each `sower seed` steps, and what SQL says of it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sower_tests::catalog::{manifest, path};
use sower_tests::postgres::{Database, Postgres};
use sower_tests::repository::WorkTree;
use sower_tests::sower::{Ran, Sower};
use sower_tests::wait::until;
use sqlx::PgPool;

const LIMIT: Duration = Duration::from_secs(60);
const ENVIRONMENT: &str = "apiVersion: sower.dev/v1alpha1
kind: Environment
metadata: { name: production }
spec:
  rollout:
    default:
      type: Staged
      steps: [{ weight: 10 }, { weight: 50 }]
      analysis: { interval: 1s, minimumSample: 20, successRate: { min: 0.9 } }
";

/// A checkout, and the database that its settings name.
struct Kit {
    tree: WorkTree,
    database: Database,
    pool: PgPool,
}

impl Kit {
    /// oak 1.0.0 is seeded, and 1.1.0 has begun.
    async fn begun() -> Result<Self> {
        let tree = WorkTree::create()?;
        tree.write("sower.toml", "environments = \"environments\"\nsource = \".#HEAD\"\n")?;
        tree.write("environments/production.yaml", ENVIRONMENT)?;
        let database = Postgres::shared().await?.database().await?;
        let pool = database.connect().await?;
        let kit = Self { tree, database, pool };
        for version in ["1.0.0", "1.1.0"] {
            kit.raise(version)?;
            kit.run("seed -e production -q")?.expect(0)?;
        }
        Ok(kit)
    }

    /// A version that does something else.
    fn raise(&self, version: &str) -> Result<()> {
        let text =
            manifest("oak", version, 2).replace("path: /branches", &format!("path: /{version}/branches"));
        self.tree.write(&path("oak"), text)?;
        self.tree.commit(&format!("oak {version}")).map(drop)
    }

    fn run(&self, line: &str) -> Result<Ran> {
        let words: Vec<&str> = line.split(' ').collect();
        Sower::within(self.tree.folder())?.env("SOWER_DATABASE_URL", self.database.url()).run(&words)
    }

    fn status(&self) -> Result<Value> {
        self.run("rollout status oak -e production -q -o json")?.json()
    }

    fn count(&self, version: &str, executions: u32, errors: u32) -> Result<()> {
        let line = format!(
            "usage record oak -e production --version {version} --executions {executions} --errors {errors} -q"
        );
        self.run(&line)?.expect(0).map(drop)
    }

    /// Seeds until the rollout is there.
    async fn reaches(&self, state: &str, each: impl Fn(&Self) -> Result<()>) -> Result<Value> {
        until(&format!("the rollout is {state}"), LIMIT, async || {
            each(self)?;
            self.run("seed -e production -q")?.expect(0)?;
            let status = self.status()?;
            ensure!(status["state"] == state, "{status}");
            Ok(status)
        })
        .await
    }

    /// Every live version with the number of its actions, the stable one marked.
    async fn live(&self) -> Result<Vec<String>> {
        let sql = "SELECT version || CASE WHEN stable THEN ' stable ' ELSE ' ' END || count(*) FROM action_registry_live \
             WHERE environment = 'production' AND definition #>> '{request,path}' LIKE '/' || version || '/%' \
             GROUP BY version, stable ORDER BY version";
        Ok(sqlx::query_scalar(sql).fetch_all(&self.pool).await?)
    }

    /// What a consumer gets, as SQL and the command line both say.
    async fn resolve(&self, key: &str) -> Result<String> {
        let sql: Option<String> = sqlx::query_scalar("SELECT sower_resolve('production', 'oak', $1)")
            .bind(key)
            .fetch_one(&self.pool)
            .await?;
        let told = self.run(&format!("resolve oak -e production --key {key} -q"))?.expect(0)?.out;
        let sql = sql.context("a version")?;
        ensure!(told.trim() == sql, "{key}: SQL says {sql}, Sower {told}");
        Ok(sql)
    }
}

#[tokio::test]
async fn a_good_version_reaches_all() -> Result<()> {
    let kit = Kit::begun().await?;
    ensure!(kit.live().await? == ["1.0.0 stable 2", "1.1.0 2"], "{:?}", kit.live().await?);
    let plan = kit.run("plan -e production -q -o json")?.expect(0)?.json()?;
    ensure!(plan["update"] == 0 && plan["unchanged"] == 1, "{plan}");
    let mut got = std::collections::BTreeSet::new();
    for n in 0..40 {
        got.insert(kit.resolve(&format!("customer-{n}")).await?);
    }
    ensure!(got.contains("1.0.0") && got.len() <= 2, "{got:?}");
    kit.reaches("Completed", |kit| kit.count("1.1.0", 100, 1)).await?;
    ensure!(kit.live().await? == ["1.1.0 stable 2"], "{:?}", kit.live().await?);
    ensure!(kit.resolve("customer-1").await? == "1.1.0");
    let beside: i64 =
        sqlx::query_scalar("SELECT count(*) FROM registry_candidates").fetch_one(&kit.pool).await?;
    ensure!(beside == 0, "{beside}");
    Ok(())
}

#[tokio::test]
async fn a_bad_version_goes_back_and_is_superseded() -> Result<()> {
    let kit = Kit::begun().await?;
    // As programs count that know nothing but SQL.
    for (version, executions, errors) in [("1.0.0", 900_i64, 1_i64), ("1.1.0", 100, 40)] {
        sqlx::query("SELECT sower_record_usage('production', 'oak', $1, 'branch-1', NULL, $2, $3, 12)")
            .bind(version)
            .bind(executions)
            .bind(errors)
            .execute(&kit.pool)
            .await?;
    }
    let status = kit.reaches("RolledBack", |_| Ok(())).await?;
    let why = "success rate 60.00%, limit 90% (40 of 100 failed; 1.0.0: 0.11%)";
    ensure!(status["reason"] == why, "{status}");
    ensure!(kit.live().await? == ["1.0.0 stable 2"], "{:?}", kit.live().await?);
    let out: Vec<String> =
        sqlx::query_scalar("SELECT version FROM integration_quarantine WHERE lifted_at IS NULL")
            .fetch_all(&kit.pool)
            .await?;
    ensure!(out == ["1.1.0"], "{out:?}");
    kit.raise("1.2.0")?;
    kit.run("seed -e production -q")?.expect(0)?;
    let status = kit.status()?;
    ensure!(status["from"] == "1.0.0" && status["to"] == "1.2.0" && status["step"] == 1, "{status}");
    ensure!(kit.live().await? == ["1.0.0 stable 2", "1.2.0 2"], "{:?}", kit.live().await?);
    kit.raise("1.3.0")?;
    kit.run("seed -e production -q")?.expect(0)?;
    ensure!(kit.live().await? == ["1.0.0 stable 2", "1.3.0 2"], "{:?}", kit.live().await?);
    kit.run("rollout abort oak -e production -q")?.expect(0)?;
    kit.run("rollout retry oak -e production -q")?.expect(0)?;
    for _ in 0..2 {
        kit.run("rollout advance oak -e production -q")?.expect(0)?;
    }
    ensure!(kit.live().await? == ["1.3.0 stable 2"], "{:?}", kit.live().await?);
    kit.run("rollback oak -e production --to 1 -q")?.expect(0)?;
    ensure!(kit.live().await? == ["1.0.0 stable 2"], "{:?}", kit.live().await?);
    Ok(())
}
