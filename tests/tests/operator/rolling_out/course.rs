//! From begin to end: back by itself, to everybody, or replaced by something newer.

use anyhow::{Result, ensure};
use serde_json::json;
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::{path, with};

use super::{
    analysis, count, half, kept_out, last, live, logged, planted, release, says, shown, staged, stands, used,
};

/// All looks that were made so far.
async fn looks(bed: &Bed) -> Result<f64> {
    let metrics = bed.operator.metrics().await?;
    Ok(metrics.iter().filter(|(name, _)| name.starts_with("sower_rollout_analyses")).map(|(_, n)| n).sum())
}

#[tokio::test]
async fn a_bad_version_goes_back_by_itself_and_a_good_one_comes_after_it() -> Result<()> {
    let bed = Bed::make("back").await?;
    let catalog = planted(&bed, half()).await?;
    let first = release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    bed.seeded("production", &first).await?;
    ensure!(live(&bed).await? == ("1.0.0".into(), Some("1.1.0".into())));
    let (read, one) = shown(&bed, "1.1.0", "Progressing").await?;
    ensure!((one.step, one.steps, one.from.as_str()) == (1, 2, "1.0.0"), "{one:?}");
    ensure!((one.weight - 50.0).abs() < 0.001, "{one:?}");
    let counts = read.status.as_ref().and_then(|status| status.counts);
    ensure!(counts.is_some_and(|counts| counts.rollouts == 1), "{counts:?}");
    ensure!(says(&bed, "Healthy", "True", "Healthy").await? == "Under way: oak 1.1.0");
    bed.told("production", "RolloutStarted", "oak 1.1.0 begins to take the place of 1.0.0").await?;
    let printed = bed.namespace.kubectl(&["get", "environment", "production"])?;
    let column = |heads: &str, row: &str| -> Option<String> {
        let at = heads.find("ROLLOUTS")?;
        Some(row.get(at..)?.split_whitespace().next()?.to_owned())
    };
    let lines: Vec<&str> = printed.lines().collect();
    ensure!(column(lines[0], lines[1]).as_deref() == Some("1"), "{printed}");
    let metrics = bed.operator.metrics().await?;
    let info = metrics.keys().find(|name| name.starts_with("sower_rollout_info{"));
    let labels = [r#"from="1.0.0""#, r#"to="1.1.0""#, r#"state="Progressing""#, r#"integration="oak""#];
    ensure!(info.is_some_and(|info| labels.iter().all(|label| info.contains(label))), "{metrics:?}");

    // Thirty of a hundred fail: the next look that is made after this ends it; one may be under way.
    used(&bed, "1.0.0", 500, 0).await?;
    used(&bed, "1.1.0", 100, 30).await?;
    let before = looks(&bed).await?;
    let row = stands(&bed, "1.1.0", "RolledBack", 1).await?;
    let (_, one) = shown(&bed, "1.1.0", "RolledBack").await?;
    let made = looks(&bed).await? - before;
    ensure!(made <= 2.0, "{made} looks");
    ensure!(row["weight"] == 0 && row["due_at"].is_null() && !row["ended_at"].is_null(), "{row}");
    ensure!(live(&bed).await? == ("1.0.0".into(), None));
    ensure!(kept_out(&bed).await? == ["1.1.0"]);
    let why = "success rate 70.00%, limit 99% (30 of 100 failed; 1.0.0: 0.00%)";
    ensure!(
        logged(&bed).await? == format!("rollout of oak 1.1.0 rolled back: {why}"),
        "{}",
        logged(&bed).await?
    );
    ensure!(one.reason == why && one.step == 1, "{one:?}");
    let message = says(&bed, "Healthy", "False", "RolledBack").await?;
    ensure!(message.starts_with("oak 1.1.0 was rolled back"), "{message}");
    let told_so =
        format!("oak 1.1.0 was rolled back from step 1 of 2, 50% of consumers: {why}; everyone has 1.0.0");
    bed.told("production", "RolloutRolledBack", &told_so).await?;
    let read = bed.seeded("production", &first).await?;
    let ready = condition(&read, "Ready");
    ensure!(ready.is_some_and(|ready| ready.status == "True"), "{}", told(&read));
    ensure!(ready.is_some_and(|ready| ready.message.ends_with("; 1 quarantined")), "{}", told(&read));
    let metrics = bed.operator.metrics().await?;
    let series = |name: &str| metrics.keys().any(|key| key.starts_with(name));
    ensure!(!series("sower_rollout_info{") && !series("sower_rollout_weight_percent{"), "{metrics:?}");
    let ended = metrics
        .iter()
        .find(|(name, _)| name.starts_with("sower_rollouts_ended") && name.contains(r#"state="RolledBack""#));
    ensure!(ended.is_some_and(|(_, count)| *count > 0.0), "{metrics:?}");
    // It stays out.
    bed.reconcile("production").await?;
    ensure!(count(&bed).await? == 1);

    // Something newer is tried, from the first step, and is good.
    let second = release(&catalog, "1.2.0")?;
    stands(&bed, "1.2.0", "Progressing", 1).await?;
    says(&bed, "Healthy", "True", "Healthy").await?;
    used(&bed, "1.2.0", 100, 0).await?;
    let row = stands(&bed, "1.2.0", "Completed", 2).await?;
    ensure!(row["weight"] == 10_000, "{row}");
    bed.told("production", "RolloutCompleted", "oak 1.2.0 took the place of 1.0.0").await?;
    let read = bed.seeded("production", &second).await?;
    ensure!(read.status.is_some_and(|status| status.rollouts.is_empty()));
    ensure!(live(&bed).await? == ("1.2.0".into(), None));
    ensure!(logged(&bed).await? == "rollout of oak 1.0.0 -> 1.2.0 completed");
    ensure!(says(&bed, "Healthy", "True", "Healthy").await? == "No rollout under way");
    Ok(())
}

/// A stable version that is worse does not hold a good one up; one that is as bad as the stable one is not taken.
#[tokio::test]
async fn a_bad_stable_version_is_left_for_a_good_one_and_kept_for_a_bad_one() -> Result<()> {
    let bed = Bed::make("bad").await?;
    let judge = with(analysis(), json!({ "errorRateDifference": { "max": 0.01 } }));
    let catalog =
        planted(&bed, staged(json!([{ "weight": 10, "hold": "1s" }, { "weight": 50 }]), judge)).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    used(&bed, "1.0.0", 500, 150).await?;
    used(&bed, "1.1.0", 100, 30).await?;
    stands(&bed, "1.1.0", "RolledBack", 1).await?;
    ensure!(live(&bed).await? == ("1.0.0".into(), None));

    release(&catalog, "1.1.1")?;
    stands(&bed, "1.1.1", "Progressing", 1).await?;
    used(&bed, "1.0.0", 500, 150).await?;
    used(&bed, "1.1.1", 100, 0).await?;
    // What was executed in the first step says nothing of the second.
    let row = stands(&bed, "1.1.1", "Progressing", 2).await?;
    ensure!(row["weight"] == 5000, "{row}");
    bed.told("production", "RolloutStepped", "oak 1.1.1 goes on to step 2 of 3, 50% of consumers").await?;
    bed.until("a look that sees nothing", async || {
        let row = last(&bed, "production").await?;
        ensure!(row["analysis"]["reason"] == "0 executions of 1.1.1, 50 needed", "{row}");
        Ok(())
    })
    .await?;
    used(&bed, "1.1.1", 100, 0).await?;
    stands(&bed, "1.1.1", "Completed", 3).await?;
    ensure!(live(&bed).await? == ("1.1.1".into(), None));
    Ok(())
}

/// What the sources say by now takes the place of what is tried: a newer version from the first step, or nothing.
#[tokio::test]
async fn something_newer_takes_the_place_of_what_is_tried() -> Result<()> {
    let bed = Bed::make("newer").await?;
    let steps = json!([{ "weight": 10 }, { "weight": 50 }]);
    let catalog = planted(&bed, with(staged(steps, analysis()), json!({ "interval": "1h" }))).await?;
    release(&catalog, "1.1.0")?;
    bed.request("production").await?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    used(&bed, "1.1.0", 100, 0).await?;
    let older = stands(&bed, "1.1.0", "Progressing", 2).await?;
    release(&catalog, "1.2.0")?;
    bed.request("production").await?;
    let newer = stands(&bed, "1.2.0", "Progressing", 1).await?;
    ensure!(newer["from_version"] == "1.0.0" && newer["salt"] != older["salt"], "{newer}");
    let ended: String =
        sqlx::query_scalar("SELECT state FROM integration_rollouts WHERE to_version = '1.1.0'")
            .fetch_one(&bed.pool)
            .await?;
    ensure!(ended == "Superseded", "{ended}");
    ensure!(live(&bed).await? == ("1.0.0".into(), Some("1.2.0".into())));
    ensure!(kept_out(&bed).await?.is_empty());

    // The sources go back to what all have: there is nothing to be tried, and the status says so at once.
    shown(&bed, "1.2.0", "Progressing").await?;
    let back = catalog.raise(&["oak"], "1.0.0")?;
    bed.reconcile("production").await?;
    let read = bed.seeded("production", &back).await?;
    ensure!(last(&bed, "production").await?["state"] == "Superseded");
    ensure!(read.status.as_ref().is_some_and(|status| status.rollouts.is_empty()), "{:?}", read.status);
    bed.told("production", "RolloutSuperseded", "oak 1.2.0 no longer takes the place of 1.0.0").await?;
    ensure!(live(&bed).await? == ("1.0.0".into(), None) && count(&bed).await? == 2);
    ensure!(says(&bed, "Healthy", "True", "Healthy").await? == "No rollout under way");
    Ok(())
}

/// What ended badly is told for as long as it matters.
#[tokio::test]
async fn an_end_is_forgotten_once_another_version_is_everybodys() -> Result<()> {
    let bed = Bed::make("forgive").await?;
    let mut fields = half();
    fields["rollout"]["rules"] = json!([{ "changes": ["patch"], "type": "AllAtOnce" }]);
    let catalog = planted(&bed, fields).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    used(&bed, "1.1.0", 100, 60).await?;
    says(&bed, "Healthy", "False", "RolledBack").await?;
    let patch = release(&catalog, "1.0.1")?;
    let read = bed.seeded("production", &patch).await?;
    ensure!(live(&bed).await? == ("1.0.1".into(), None) && count(&bed).await? == 1);
    ensure!(says(&bed, "Healthy", "True", "Healthy").await? == "No rollout under way", "{}", told(&read));
    let read = bed.reconcile("production").await?;
    ensure!(read.status.is_some_and(|status| status.rollouts.is_empty()));
    // Documentation is never staged, nor is what comes for the first time.
    let words = catalog
        .tree
        .read(&path("oak"))?
        .replace("What the oak offers.", "New words.")
        .replace("version: 1.0.1", "version: 2.0.0");
    catalog.tree.write(&path("oak"), words)?;
    catalog.write("elm", "3.0.0")?;
    let words = catalog.push("Words, and an elm")?;
    bed.seeded("production", &words).await?;
    let carried = bed.tables().await?.carried("production");
    ensure!(carried["oak"] == "2.0.0" && carried["elm"] == "3.0.0" && count(&bed).await? == 1, "{carried:?}");
    Ok(())
}
