//! Staged rollouts in a cluster: a new version reaches some, proves itself, then all; or goes back by itself.

mod asked;
mod commands;
mod course;
mod holding;
mod judged;
mod refused;
mod strategies;
mod typed;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sower_crds::ROLLOUT;
use sower_crds::environment::{Environment, RolloutCommandStatus, RolloutStatus};
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::{Catalog, manifest, path, with};
use sower_tests::sower::{Ran, Sower};

/// It looks each second, and nothing but the rate of success decides.
fn analysis() -> Value {
    json!({ "interval": "1s", "minimumSample": 50, "successRate": { "min": 0.99 } })
}

/// These steps, judged like this.
fn staged(steps: Value, analysis: Value) -> Value {
    json!({ "rollout": { "default": { "type": "Staged", "steps": steps, "analysis": analysis } } })
}

/// Half of the consumers have it until its executions say that it is good.
fn half() -> Value {
    staged(json!([{ "weight": 50 }]), analysis())
}

/// The ash and the oak at 1.0.0 in production, whose newer versions are rolled out like this.
async fn planted(bed: &Bed, fields: Value) -> Result<Catalog> {
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", with(catalog.spec(), fields)).await?;
    bed.seeded("production", &first).await?;
    Ok(catalog)
}

/// The oak at another version, which differs in more than what it says to people; the commit.
fn release(catalog: &Catalog, version: &str) -> Result<String> {
    let host = "api.oak.example";
    let text = manifest("oak", version, 2).replace(host, &format!("{host}/{version}"));
    catalog.tree.write(&path("oak"), text)?;
    catalog.push(&format!("Release {version}"))
}

/// Consumers say that they executed the oak so many times, of which so many failed.
async fn used(bed: &Bed, version: &str, executions: i64, errors: i64) -> Result<()> {
    sqlx::query("SELECT sower_record_usage('production', 'oak', $1, 'branch-1', NULL, $2, $3, 20)")
        .bind(version)
        .bind(executions)
        .bind(errors)
        .execute(&bed.pool)
        .await?;
    Ok(())
}

/// The last rollout of the oak: its row.
async fn last(bed: &Bed, environment: &str) -> Result<Value> {
    let sql = "SELECT row_to_json(r)::text FROM integration_rollouts r WHERE environment = $1 AND integration_id = 'oak' \
               ORDER BY id DESC LIMIT 1";
    let row: Option<String> = sqlx::query_scalar(sql).bind(environment).fetch_optional(&bed.pool).await?;
    Ok(serde_json::from_str(&row.context("no rollout")?)?)
}

/// How many rollouts of the oak there were.
async fn count(bed: &Bed) -> Result<i64> {
    let sql = "SELECT count(*) FROM integration_rollouts WHERE integration_id = 'oak'";
    Ok(sqlx::query_scalar(sql).fetch_one(&bed.pool).await?)
}

/// Waits until the last rollout of the oak is to this version, and is in this state and step.
async fn stands(bed: &Bed, to: &str, state: &str, step: i64) -> Result<Value> {
    stands_in(bed, "production", to, state, step).await
}

async fn stands_in(bed: &Bed, environment: &str, to: &str, state: &str, step: i64) -> Result<Value> {
    bed.until(&format!("the rollout of oak {to} in {environment} is {state} in step {step}"), async || {
        let row = last(bed, environment).await?;
        let is = row["to_version"] == to && row["state"] == state && row["step"] == step;
        ensure!(is, "{row}\n{}", told(&bed.read(environment).await?));
        Ok(row)
    })
    .await
}

/// Waits until the status says this of the oak.
async fn shown(bed: &Bed, to: &str, state: &str) -> Result<(Environment, RolloutStatus)> {
    bed.until(&format!("the status says that oak {to} is {state}"), async || {
        let read = bed.read("production").await?;
        let status = read.status.as_ref().context("no status")?;
        let one = status.rollouts.iter().find(|one| one.integration == "oak").cloned();
        let one = one.with_context(|| told(&read))?;
        ensure!(one.to == to && one.state == state, "{one:?}; {}", told(&read));
        Ok((read, one))
    })
    .await
}

/// Waits until a condition has this status and reason; its message.
async fn says(bed: &Bed, kind: &str, status: &str, reason: &str) -> Result<String> {
    bed.until(&format!("{kind} is {status}, {reason}"), async || {
        let read = bed.read("production").await?;
        let found = condition(&read, kind).with_context(|| told(&read))?;
        ensure!(found.status == status && found.reason == reason, "{}", told(&read));
        Ok(found.message.clone())
    })
    .await
}

/// Applies annotations as a tool of GitOps does; null takes one away.
async fn annotate(bed: &Bed, annotations: Value) -> Result<()> {
    let params = PatchParams { field_manager: Some("gitops".into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    bed.namespace.api::<Environment>().patch("production", &params, &patch).await?;
    Ok(())
}

/// Says something to a rollout and waits for the answer.
async fn command(bed: &Bed, asked: &str) -> Result<RolloutCommandStatus> {
    annotate(bed, json!({ ROLLOUT: asked })).await?;
    answer(bed, asked).await
}

async fn answer(bed: &Bed, asked: &str) -> Result<RolloutCommandStatus> {
    bed.until(&format!("the answer to {asked}"), async || {
        let read = bed.read("production").await?;
        let answer = read.status.as_ref().and_then(|status| status.rollout_command.clone());
        answer.filter(|answer| answer.last_handled == asked).with_context(|| told(&read))
    })
    .await
}

/// The version of the oak that all have, and the one that is tried beside it.
async fn live(bed: &Bed) -> Result<(String, Option<String>)> {
    let tables = bed.tables().await?;
    let stable = tables.carried("production")["oak"].clone();
    let beside = tables.of_environment("registry_candidates", "production");
    let mut beside: Vec<String> = beside.map(|row| row.text("version").to_owned()).collect();
    beside.dedup();
    ensure!(beside.len() <= 1, "{beside:?}");
    Ok((stable, beside.pop()))
}

/// What is kept out: versions of the oak.
async fn kept_out(bed: &Bed) -> Result<Vec<String>> {
    let tables = bed.tables().await?;
    let open = tables.rows("integration_quarantine").filter(|row| row.columns["lifted_at"].is_null());
    Ok(open.map(|row| row.text("version").to_owned()).collect())
}

/// Why the last log row was written.
async fn logged(bed: &Bed) -> Result<String> {
    let tables = bed.tables().await?;
    Ok(tables.log("production").last().context("no log")?.text("reason").to_owned())
}

/// The command line, in the namespace, by Jane.
fn sower(bed: &Bed, words: &str) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    let words = format!("{words} -n {}", bed.namespace.name);
    Sower::within(folder.path())?
        .env("KUBECONFIG", bed.plane.admin_kubeconfig())
        .env("SOWER_DATABASE_URL", bed.database.url())
        .env("USER", "jane")
        .run(&words.split(' ').collect::<Vec<_>>())
}
