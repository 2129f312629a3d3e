//! `sower rollout` and its kin against a cluster.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sower_tests::bed::Bed;
use sower_tests::process::Launch;
use sower_tests::sower::binary;

use super::{analysis, live, planted, release, sower, staged, stands, used};

#[tokio::test]
async fn rollouts_are_seen_and_steered_from_the_command_line() -> Result<()> {
    let bed = Bed::make("typed").await?;
    let none = sower(&bed, "rollout status -e production")?;
    ensure!(none.code == 2, "{none:?}");
    let steps = json!([{ "weight": 10, "hold": "1h" }, { "weight": 50 }]);
    let catalog = planted(&bed, staged(steps, analysis())).await?;
    let none = sower(&bed, "rollout status -e production")?.expect(0)?;
    ensure!(none.err.contains("No rollout yet in production"), "{none:?}");
    let none = sower(&bed, "rollout status oak -e production")?.expect(1)?;
    ensure!(none.err.contains("production has had no rollout of oak"), "{none:?}");
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;

    let whole = sower(&bed, "rollout status oak -e production -o json -q")?.expect(0)?.json()?;
    for (field, expect) in [
        ("state", json!("Progressing")),
        ("step", json!(1)),
        ("steps", json!(3)),
        ("weight", json!(10)),
        ("from", json!("1.0.0")),
        ("to", json!("1.1.0")),
        ("environment", json!("production")),
        ("namespace", json!(bed.namespace.name)),
    ] {
        ensure!(whole[field] == expect, "{field}: {whole}");
    }
    let drawn = sower(&bed, "rollout status oak -e production")?.expect(0)?;
    let head = "oak 1.0.0 -> 1.1.0   Progressing, step 1 of 3: 10% of consumers";
    ensure!(drawn.out.starts_with(head), "{}", drawn.out);
    let stop = format!("Stop it: sower rollout abort oak -e production -n {}", bed.namespace.name);
    ensure!(drawn.out.contains(&stop), "{}", drawn.out);
    let table = sower(&bed, "rollout status -e production")?.expect(0)?;
    ensure!(
        table.out.lines().any(|line| line.contains("oak") && line.contains("Progressing")),
        "{}",
        table.out
    );
    let status = sower(&bed, "status -e production")?.expect(0)?;
    ensure!(status.out.contains("oak") && status.out.contains("1.1.0"), "{}", status.out);

    let paused = sower(&bed, "rollout pause oak -e production")?.expect(0)?;
    ensure!(paused.out == "oak 1.0.0 -> 1.1.0: paused at 10%\n", "{paused:?}");
    ensure!(paused.err.contains("asked the operator; waiting"), "{paused:?}");
    let again = sower(&bed, "rollout pause oak -e production")?.expect(1)?;
    let why = "oak: its rollout is paused already. Nothing was written.";
    ensure!(again.err.contains(why), "{again:?}");
    ensure!(again.err.contains("sower rollout status oak -e production"), "{again:?}");
    let resumed = sower(&bed, "rollout resume oak -e production -o json -q")?.expect(0)?.json()?;
    ensure!(resumed["rollout"]["state"] == "Progressing" && resumed["asked"] == false, "{resumed}");
    let by = resumed["rollout"]["events"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    ensure!(by["by"].as_str().is_some_and(|by| by.contains("jane")), "{resumed}");
    let advanced = sower(&bed, "rollout advance oak -e production")?.expect(0)?;
    ensure!(advanced.out == "oak 1.0.0 -> 1.1.0: step 2 of 3, 50% of consumers\n", "{advanced:?}");
    let aborted = sower(&bed, "rollout abort oak -e production")?.expect(0)?;
    ensure!(aborted.out == "oak 1.1.0 aborted, everyone has 1.0.0\n", "{aborted:?}");
    let ended = sower(&bed, "rollout status oak -e production")?.expect(1)?;
    let retry =
        format!("Try the same again: sower rollout retry oak -e production -n {}", bed.namespace.name);
    ensure!(ended.out.contains(&retry), "{}", ended.out);
    let asked = sower(&bed, "rollout retry oak -e production --no-wait")?.expect(0)?;
    ensure!(asked.out == "Asked the operator: retry oak\n", "{asked:?}");
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    let unknown = sower(&bed, "rollout abort fir -e production")?.expect(1)?;
    ensure!(unknown.err.contains("fir has no rollout in production"), "{unknown:?}");
    let odd = sower(&bed, "rollout abort oak=pause -e production")?.expect(2)?;
    ensure!(odd.err.contains("is no id of an integration"), "{odd:?}");

    // What consumers get, and what they report.
    let resolved = sower(&bed, "resolve oak -e production --key customer-1 -o json -q")?.expect(0)?.json()?;
    let sql = "SELECT sower_resolve('production', 'oak', 'customer-1')";
    let version: String = sqlx::query_scalar(sql).fetch_one(&bed.pool).await?;
    ensure!(resolved["version"] == version, "{resolved}");
    sower(
        &bed,
        "usage record oak -e production --version 1.1.0 --executions 100 --errors 0 --latency-ms 20",
    )?
    .expect(0)?;
    let counted: i64 =
        sqlx::query_scalar("SELECT execution_count FROM integration_usage WHERE version = '1.1.0'")
            .fetch_one(&bed.pool)
            .await?;
    ensure!(counted == 100, "{counted}");
    Ok(())
}

#[tokio::test]
async fn a_watch_tells_each_turn_to_its_end() -> Result<()> {
    let bed = Bed::make("watch").await?;
    let catalog = planted(&bed, staged(json!([{ "weight": 10 }, { "weight": 50 }]), analysis())).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    let watch = Launch::new("watch", binary()?)
        .args(["rollout", "status", "oak", "-e", "production", "--watch", "-n", &bed.namespace.name])
        .env("KUBECONFIG", bed.plane.admin_kubeconfig())
        .env("SOWER_DATABASE_URL", bed.database.url())
        .start()?;
    let tells = async |text: &str| {
        bed.until(text, async || {
            let log = watch.log();
            ensure!(log.contains(text), "{log}");
            Ok(())
        })
        .await
    };
    tells("oak 1.0.0 -> 1.1.0   Progressing, step 1 of 3: 10% of consumers").await?;
    used(&bed, "1.1.0", 100, 0).await?;
    stands(&bed, "1.1.0", "Progressing", 2).await?;
    tells("step 2 of 3: 50% of consumers").await?;
    used(&bed, "1.1.0", 100, 50).await?;
    tells("RolledBack from step 2 of 3 (50%)").await?;
    let ended = bed.until("its end", async || watch.exited().context("it runs")).await?;
    ensure!(ended.code() == Some(1), "{ended}");
    ensure!(live(&bed).await? == ("1.0.0".into(), None));
    // Whoever says something may watch what comes of it; for programs there is one document, at the end.
    release(&catalog, "1.2.0")?;
    stands(&bed, "1.2.0", "Progressing", 1).await?;
    let aborted = sower(&bed, "rollout abort oak -e production --watch -o json -q")?.expect(1)?.json()?;
    ensure!(aborted["state"] == "Aborted" && aborted["to"] == "1.2.0" && aborted["weight"] == 0, "{aborted}");
    Ok(())
}
