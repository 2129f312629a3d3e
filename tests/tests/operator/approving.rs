//! Approvals in a cluster: an annotation or `sower apply`, and exactly the plan that was approved.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sower_crds::environment::{ApprovalResult, Environment};
use sower_crds::{APPROVE, APPROVED_BY, REQUESTED_AT};
use sower_tests::bed::{Bed, condition, ensure_with, told};
use sower_tests::catalog::{Catalog, manifest, path, with};
use sower_tests::sower::{Ran, Sower};

fn sower(bed: &Bed, words: &str) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    let sower = Sower::within(folder.path())?.env("KUBECONFIG", bed.plane.admin_kubeconfig());
    let words = format!("{words} -n {}", bed.namespace.name);
    sower.run(&words.split(' ').collect::<Vec<_>>())
}

async fn annotate(bed: &Bed, manager: &str, hash: &str) -> Result<()> {
    let patch = json!({ "metadata": { "annotations": { APPROVE: hash } } });
    let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
    bed.namespace.api::<Environment>().patch("production", &params, &Patch::Merge(patch)).await?;
    Ok(())
}

/// Does something once a push was made and planned, while there is another every second; with the last commit.
fn while_pushing<T>(bed: &Bed, catalog: &Catalog, act: impl FnOnce() -> Result<T>) -> Result<(T, String)> {
    let (stop, pushes) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            loop {
                let minor = pushes.load(Ordering::Acquire) + 2;
                catalog.write("oak", &format!("1.{minor}.0"))?;
                let last = catalog.push("oak: better still")?;
                let asked = format!("{REQUESTED_AT}=push-{minor}");
                bed.namespace.kubectl(&["annotate", "--overwrite", "env/production", &asked])?;
                pushes.fetch_add(1, Ordering::AcqRel);
                if stop.load(Ordering::Acquire) {
                    return Ok::<_, anyhow::Error>(last);
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        while pushes.load(Ordering::Acquire) < 2 && !pusher.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
        }
        let done = act();
        stop.store(true, Ordering::Release);
        let last = pusher.join().map_err(|_| anyhow::anyhow!("the pushes broke off"))??;
        Ok((done?, last))
    })
}

/// What came of the approval of this plan.
async fn came(bed: &Bed, hash: &str, result: ApprovalResult) -> Result<Environment> {
    bed.until(&format!("{result:?} of {hash}"), async || {
        let read = bed.read("production").await?;
        let approval = read.status.as_ref().and_then(|status| status.approval.as_ref());
        let found = approval.filter(|found| found.plan == hash && found.result == result);
        ensure!(found.is_some(), "{approval:?}; {}", told(&read));
        Ok(read)
    })
    .await
}

fn waiting(environment: &Environment) -> Result<String> {
    let plan = environment.status.as_ref().and_then(|status| status.plan.as_ref());
    Ok(plan.with_context(|| told(environment))?.hash.clone())
}

#[tokio::test]
async fn a_plan_waits_and_is_applied_once_it_is_approved() -> Result<()> {
    let mut bed = Bed::make("approve").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    let manual =
        || with(catalog.spec(), json!({ "approval": "Manual", "interval": "1h", "retryInterval": "1h" }));
    bed.environment("production", manual()).await?;
    let read = bed.reason("production", "ApprovalRequired", &first).await?;
    ensure_with(&read, Some("Reconciling"))?;
    let (hash, namespace) = (waiting(&read)?, bed.namespace.name.clone());
    let status = read.status.as_ref().context("a status")?;
    let next = format!("kubectl -n {namespace} annotate --overwrite env/production {APPROVE}={hash}");
    ensure!(status.next.as_deref() == Some(next.as_str()), "{:?}", status.next);
    let message = format!("Plan {hash} waits for an approval: +2 ~0 -0");
    ensure!(condition(&read, "Ready").is_some_and(|ready| ready.message == message), "{}", told(&read));
    bed.told("production", "ApprovalRequired", &message).await?;
    ensure!(bed.tables().await?.carried("production").is_empty());
    let metrics = bed.operator.get("/metrics").await?.1;
    ensure!(metrics.contains("sower_plans_waiting{") && metrics.contains("} 1"), "{metrics}");

    // Whoever types what `next` says is the approver.
    annotate(&bed, "kubectl-annotate", &hash).await?;
    let read = came(&bed, &hash, ApprovalResult::Applied).await?;
    let message = format!("Plan {hash} approved by kubectl-annotate: seeding 1");
    let approval = read.status.as_ref().and_then(|status| status.approval.clone()).context("an approval")?;
    ensure!(approval.message == message, "{approval:?}");
    bed.seeded("production", &first).await?;
    ensure!(bed.tables().await?.carried("production")["oak"] == "1.0.0");

    // A push every second, while somebody approves one of them.
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("oak: better")?;
    bed.reconcile("production").await?;
    let wanted = waiting(&bed.reason("production", "ApprovalRequired", &second).await?)?;
    // It survives a restart.
    bed.restart().await?;
    let (applied, last) = while_pushing(&bed, &catalog, || {
        sower(&bed, &format!("apply {wanted} -e production --approved-by Ada"))
    })?;
    let applied = applied.expect(0)?;
    let begin = format!("Seeded production at main@{} (seeding 2): 0 created, 1 updated, ", &second[..7]);
    ensure!(applied.out.starts_with(&begin), "{applied:?}");
    ensure!(bed.tables().await?.carried("production")["oak"] == "1.1.0");
    let reason: (String,) =
        sqlx::query_as("SELECT reason FROM seeding_logs WHERE environment = 'production' AND seq = 2")
            .fetch_one(&bed.pool)
            .await?;
    ensure!(reason.0.ends_with(&format!("; plan {wanted} approved by Ada")), "{reason:?}");
    // The next is planned at once, and waits.
    let read = bed.reason("production", "ApprovalRequired", &last).await?;
    ensure!(waiting(&read)? != wanted);
    let again = sower(&bed, "apply 0123456789ab -e production")?.expect(4)?;
    ensure!(
        again.err.contains("refused: no plan 0123456789ab waits for an approval. Nothing was written."),
        "{again:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_stale_plan_is_refused_and_made_anew() -> Result<()> {
    let bed = Bed::make("stale").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    let long = json!({ "interval": "1h", "retryInterval": "1h" });
    bed.environment("production", with(catalog.spec(), long.clone())).await?;
    bed.seeded("production", &first).await?;
    let manual = with(with(catalog.spec(), long), json!({ "approval": "Manual" }));
    bed.environment("production", manual.clone()).await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("oak: better")?;
    bed.reconcile("production").await?;
    let by_hand = waiting(&bed.reason("production", "ApprovalRequired", &second).await?)?;

    sqlx::query("UPDATE action_registry SET name = 'By hand' WHERE environment = 'production' AND integration_id = 'oak'")
        .execute(&bed.pool)
        .await?;
    let refused = sower(&bed, &format!("apply {by_hand} -e production"))?.expect(4)?;
    let told_so = format!(
        "refused: plan {by_hand} is stale: rows of oak were changed by somebody else since. Nothing was written."
    );
    ensure!(refused.err.contains(&told_so), "{refused:?}");
    let anew = waiting(&bed.reason("production", "ApprovalRequired", &second).await?)?;
    ensure!(anew != by_hand, "it is another plan");
    bed.told("production", "ApprovalRefused", "").await?;

    // The branch is pushed by force.
    catalog.tree.git(&["reset", "--hard", &first])?;
    catalog.write("ash", "1.1.0")?;
    let third = catalog.tree.commit("ash: better")?;
    catalog.tree.force_push()?;
    let refused = sower(&bed, &format!("apply {anew} -e production"))?.expect(4)?;
    let told_so = format!("is stale: main@{} is no longer in the history of ", &second[..7]);
    ensure!(refused.err.contains(&told_so), "{refused:?}");
    let forced = waiting(&bed.reason("production", "ApprovalRequired", &third).await?)?;

    // The spec changes.
    bed.environment("production", with(manual.clone(), json!({ "blockedIntegrations": ["fir"] }))).await?;
    let respecified = bed.reason("production", "ApprovalRequired", &third).await?;
    ensure!(waiting(&respecified)? != forced);
    let refused = sower(&bed, &format!("apply {forced} -e production"))?.expect(4)?;
    ensure!(refused.err.contains("is stale: the spec changed since"), "{refused:?}");

    // Another approval comes first.
    let older = waiting(&respecified)?;
    catalog.write("ash", "1.2.0")?;
    let fourth = catalog.push("ash: better still")?;
    bed.reconcile("production").await?;
    let newer = waiting(&bed.reason("production", "ApprovalRequired", &fourth).await?)?;
    sower(&bed, &format!("apply {newer} -e production"))?.expect(0)?;
    let refused = sower(&bed, &format!("apply {older} -e production"))?.expect(4)?;
    ensure!(refused.err.contains("is stale: seeding 2 came first"), "{refused:?}");
    let carried = bed.tables().await?.carried("production").clone();
    ensure!(carried["ash"] == "1.2.0" && carried["oak"] == "1.0.0", "{carried:?}");
    Ok(())
}

#[tokio::test]
async fn an_approval_lets_a_plan_through_that_deletes_much() -> Result<()> {
    let bed = Bed::make("prunes").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "elm", "oak"])?;
    bed.environment("production", with(catalog.spec(), json!({ "interval": "1h" }))).await?;
    bed.seeded("production", &first).await?;
    for id in ["ash", "elm"] {
        catalog.fell(id)?;
    }
    let second = catalog.push("Tidy up")?;
    let held = sower(&bed, "seed -e production")?.expect(4)?;
    let hash = waiting(&bed.reason("production", "PruneLimitExceeded", &second).await?)?;
    let allow = format!("allow it once:  sower apply {hash} -e production -n {}", bed.namespace.name);
    ensure!(held.err.contains(&allow), "{held:?}");
    let patch = json!({ "metadata": { "annotations": { APPROVE: hash, APPROVED_BY: "Ada" } } });
    let api = bed.namespace.api::<Environment>();
    api.patch("production", &PatchParams::default(), &Patch::Merge(patch)).await?;
    bed.seeded("production", &second).await?;
    let read = came(&bed, &hash, ApprovalResult::Applied).await?;
    let by = read.status.and_then(|status| status.approval).map(|approval| approval.by);
    ensure!(by.as_deref() == Some("Ada"), "{by:?}");
    ensure!(bed.tables().await?.carried("production").len() == 1);
    Ok(())
}

async fn hand(bed: &Bed, sql: &'static str) -> Result<()> {
    ensure!(sqlx::query(sql).execute(&bed.pool).await?.rows_affected() > 0, "{sql}");
    Ok(())
}

/// What was merged is pinned with the plan; hand edits that it is not about stay.
#[tokio::test]
async fn a_plan_that_merges_waits_and_is_applied_as_it_was_merged() -> Result<()> {
    let mut bed = Bed::make("pinmerge").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    let long = json!({ "interval": "1h", "conflicts": { "version": "merge" } });
    bed.environment("production", with(catalog.spec(), long.clone())).await?;
    bed.seeded("production", &first).await?;
    let manual = with(with(catalog.spec(), long), json!({ "approval": "Manual" }));
    bed.environment("production", manual).await?;
    bed.seeded("production", &first).await?;
    hand(&bed, "UPDATE action_registry SET name = 'By hand' WHERE id IN ('oak/branch-1', 'ash/branch-1')")
        .await?;
    // The oak's version stays, which is a conflict; the ash moves on as it should.
    let words = manifest("oak", "1.0.0", 2).replace("What the oak offers.", "New words.");
    catalog.tree.write(&path("oak"), words)?;
    catalog.write("ash", "1.1.0")?;
    let second = catalog.push("Better")?;
    bed.request("production").await?;
    let wanted = waiting(&bed.reason("production", "ApprovalRequired", &second).await?)?;
    bed.restart().await?;
    annotate(&bed, "kubectl-annotate", &wanted).await?;
    came(&bed, &wanted, ApprovalResult::Applied).await?;
    bed.seeded("production", &second).await?;
    let by_hand: Vec<String> =
        sqlx::query_scalar("SELECT id FROM action_registry WHERE name = 'By hand' ORDER BY id")
            .fetch_all(&bed.pool)
            .await?;
    ensure!(by_hand == ["ash/branch-1", "oak/branch-1"], "{by_hand:?}");
    let described: String =
        sqlx::query_scalar("SELECT manifest->>'description' FROM integration_definitions WHERE id = 'oak'")
            .fetch_one(&bed.pool)
            .await?;
    ensure!(described == "New words." && bed.tables().await?.carried("production")["ash"] == "1.1.0");
    Ok(())
}

/// A correction waits like any other plan, and is gone where the hand takes its change back.
#[tokio::test]
async fn a_correction_waits_and_goes_with_its_cause() -> Result<()> {
    let bed = Bed::make("pindrift").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    let fields = json!({ "interval": "1h", "drift": { "mode": "Correct" } });
    bed.environment("production", with(catalog.spec(), fields.clone())).await?;
    bed.seeded("production", &first).await?;
    let manual = with(with(catalog.spec(), fields), json!({ "approval": "Manual" }));
    bed.environment("production", manual).await?;
    bed.seeded("production", &first).await?;
    let change = "UPDATE action_registry SET name = 'By hand' WHERE id = 'oak/branch-1'";
    hand(&bed, change).await?;
    bed.reason("production", "ApprovalRequired", &first).await?;
    hand(&bed, "UPDATE action_registry SET name = 'Branch 1' WHERE id = 'oak/branch-1'").await?;
    bed.seeded("production", &first).await?;
    let seedings: i64 = sqlx::query_scalar("SELECT seq FROM environments WHERE name = 'production'")
        .fetch_one(&bed.pool)
        .await?;
    ensure!(seedings == 1, "{seedings}");

    hand(&bed, change).await?;
    let wanted = waiting(&bed.reason("production", "ApprovalRequired", &first).await?)?;
    annotate(&bed, "kubectl-annotate", &wanted).await?;
    came(&bed, &wanted, ApprovalResult::Applied).await?;
    bed.seeded("production", &first).await?;
    let name: String = sqlx::query_scalar("SELECT name FROM action_registry WHERE id = 'oak/branch-1'")
        .fetch_one(&bed.pool)
        .await?;
    ensure!(name == "Branch 1", "{name}");
    Ok(())
}

/// Whoever takes the annotation away while a freeze holds the plan withdraws the approval.
#[tokio::test]
async fn an_approval_that_waits_is_withdrawn_with_its_annotation() -> Result<()> {
    let bed = Bed::make("withdraw").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["oak"])?;
    let open = with(catalog.spec(), json!({ "interval": "1h", "approval": "Manual" }));
    let frozen = json!({ "freezeWindows": [{ "schedule": "* * * * *", "duration": "1h" }] });
    bed.environment("production", with(open.clone(), frozen)).await?;
    let wanted = waiting(&bed.reason("production", "ApprovalRequired", &first).await?)?;
    annotate(&bed, "kubectl-annotate", &wanted).await?;
    came(&bed, &wanted, ApprovalResult::Waiting).await?;
    bed.reason("production", "Frozen", &first).await?;
    bed.namespace.kubectl(&["annotate", "env/production", &format!("{APPROVE}-")])?;
    bed.request("production").await?;
    let read = bed.reason("production", "ApprovalRequired", &first).await?;
    ensure!(read.status.is_some_and(|status| status.approval.is_none()));
    bed.environment("production", open).await?;
    bed.reconcile("production").await?;
    bed.reason("production", "ApprovalRequired", &first).await?;
    ensure!(bed.tables().await?.carried("production").is_empty());
    Ok(())
}
