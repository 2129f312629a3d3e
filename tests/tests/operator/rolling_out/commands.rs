//! `sower.dev/rollout`: obeyed once, and answered.

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sower_crds::environment::{Environment, RolloutCommandStatus};
use sower_crds::{ROLLOUT, ROLLOUT_BY};
use sower_tests::bed::Bed;

use super::{
    analysis, annotate, answer, command, count, half, kept_out, last, live, logged, planted, release, says,
    shown, staged, stands, used,
};

fn refused(answer: &RolloutCommandStatus, why: &str) -> Result<()> {
    ensure!(answer.failed && answer.message == why, "{answer:?}");
    Ok(())
}

#[tokio::test]
async fn what_was_aborted_is_tried_again_and_completes() -> Result<()> {
    let bed = Bed::make("abort").await?;
    let catalog = planted(&bed, half()).await?;
    release(&catalog, "1.1.0")?;
    let first = stands(&bed, "1.1.0", "Progressing", 1).await?;
    annotate(&bed, json!({ ROLLOUT_BY: "jane" })).await?;
    let said = command(&bed, "oak=abort").await?;
    ensure!(!said.failed && said.message == "oak 1.1.0 aborted, everyone has 1.0.0", "{said:?}");
    let row = stands(&bed, "1.1.0", "Aborted", 1).await?;
    let by = row["reasons"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
    ensure!(by["by"] == "jane", "{row}");
    ensure!(live(&bed).await? == ("1.0.0".into(), None) && kept_out(&bed).await? == ["1.1.0"]);
    ensure!(logged(&bed).await? == "rollout of oak 1.1.0 aborted by jane", "{}", logged(&bed).await?);
    bed.told("production", "RolloutAborted", "oak 1.1.0 was aborted by jane at step 1 of 2").await?;
    says(&bed, "Healthy", "False", "Aborted").await?;
    let metrics = bed.operator.metrics().await?;
    let ended = metrics
        .iter()
        .find(|(name, _)| name.starts_with("sower_rollouts_ended") && name.contains(r#"state="Aborted""#));
    ensure!(ended.is_some_and(|(_, count)| (*count - 1.0).abs() < 0.1), "{metrics:?}");
    refused(&command(&bed, "oak=pause").await?, "oak: its rollout is over (Aborted)")?;

    let said = command(&bed, "oak=retry").await?;
    ensure!(!said.failed && said.message.starts_with("oak 1.1.0 is tried again"), "{said:?}");
    let second = stands(&bed, "1.1.0", "Progressing", 1).await?;
    ensure!(second["id"] != first["id"] && second["salt"] != first["salt"], "{second}");
    ensure!(kept_out(&bed).await?.is_empty());
    refused(
        &command(&bed, "oak=retry 2").await?,
        "oak: its rollout is under way: there is nothing to try again",
    )?;
    used(&bed, "1.1.0", 100, 0).await?;
    stands(&bed, "1.1.0", "Completed", 2).await?;
    ensure!(live(&bed).await? == ("1.1.0".into(), None));
    says(&bed, "Healthy", "True", "Healthy").await?;
    Ok(())
}

/// A pause holds what is good, across a restart; a bad version goes back out of it, too.
#[tokio::test]
async fn a_pause_survives_a_restart() -> Result<()> {
    let mut bed = Bed::make("pause").await?;
    let catalog = planted(&bed, half()).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    let said = command(&bed, "oak=pause").await?;
    ensure!(!said.failed && said.message == "oak 1.0.0 -> 1.1.0: paused at 50%", "{said:?}");
    bed.told("production", "RolloutPaused", "oak 1.1.0 was paused by gitops at step 1 of 2").await?;
    used(&bed, "1.1.0", 100, 0).await?;
    bed.restart().await?;
    // The new process has looked, finds it good, and leaves it.
    bed.until("a look that finds it good", async || {
        let row = last(&bed, "production").await?;
        ensure!(row["analysis"]["outcome"] == "success" && row["state"] == "Paused", "{row}");
        Ok(())
    })
    .await?;
    bed.reconcile("production").await?;
    let row = stands(&bed, "1.1.0", "Paused", 1).await?;
    ensure!(row["weight"] == 5000, "{row}");
    let said = answer(&bed, "oak=pause").await?;
    ensure!(!said.failed, "it was obeyed once: {said:?}");
    let said = command(&bed, "oak=resume").await?;
    ensure!(!said.failed && said.message.starts_with("oak 1.0.0 -> 1.1.0: step 1 of 2"), "{said:?}");
    stands(&bed, "1.1.0", "Completed", 2).await?;

    release(&catalog, "1.2.0")?;
    stands(&bed, "1.2.0", "Progressing", 1).await?;
    command(&bed, "oak=pause again").await?;
    stands(&bed, "1.2.0", "Paused", 1).await?;
    used(&bed, "1.2.0", 100, 40).await?;
    stands(&bed, "1.2.0", "RolledBack", 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_step_is_advanced_and_a_pause_between_steps_waits_for_somebody() -> Result<()> {
    let bed = Bed::make("advance").await?;
    let steps = json!([{ "weight": 5, "hold": "1h" }, { "weight": 50, "hold": "1s", "pause": true }]);
    let catalog =
        planted(&bed, json!({ "rollout": { "default": { "type": "Staged", "steps": steps } } })).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    let said = command(&bed, "oak=advance").await?;
    ensure!(said.message == "oak 1.0.0 -> 1.1.0: step 2 of 3, 50% of consumers", "{said:?}");
    let row = stands(&bed, "1.1.0", "Paused", 2).await?;
    ensure!(row["due_at"].is_null(), "{row}");
    let (_, one) = shown(&bed, "1.1.0", "Paused").await?;
    ensure!(one.reason == "its step ends with a pause", "{one:?}");
    let said = command(&bed, "oak=advance now").await?;
    ensure!(said.message == "oak 1.0.0 -> 1.1.0: everyone has it", "{said:?}");
    stands(&bed, "1.1.0", "Completed", 3).await?;
    ensure!(live(&bed).await? == ("1.1.0".into(), None));
    ensure!(
        logged(&bed).await? == "rollout of oak 1.0.0 -> 1.1.0 completed by gitops",
        "{}",
        logged(&bed).await?
    );
    bed.told("production", "RolloutCompleted", "oak 1.1.0 took the place of 1.0.0 by gitops").await?;
    Ok(())
}

#[tokio::test]
async fn what_is_asked_is_obeyed_once_and_nonsense_is_answered() -> Result<()> {
    let mut bed = Bed::make("once").await?;
    let catalog = planted(&bed, staged(json!([{ "weight": 50, "hold": "1h" }]), analysis())).await?;
    refused(&command(&bed, "oak=pause").await?, "oak has no rollout in production")?;
    for nonsense in ["oak=stop", "oak", "=abort", "oak=ABORT", "oak = abort"] {
        let word = nonsense.split(' ').next().unwrap_or_default();
        let why = format!("`{word}` is no command: write ID=pause|resume|advance|abort|retry");
        refused(&command(&bed, nonsense).await?, &why)?;
    }
    let long = format!("oak=abort {}", "x".repeat(5000));
    annotate(&bed, json!({ ROLLOUT: long })).await?;
    bed.until("the answer to something long", async || {
        let said = bed.read("production").await?.status.and_then(|status| status.rollout_command);
        ensure!(
            said.as_ref().is_some_and(|said| said.failed && said.last_handled.contains("xxx")),
            "{said:?}"
        );
        Ok(())
    })
    .await?;

    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    // What was answered before there was a rollout is not done now.
    bed.reconcile("production").await?;
    ensure!(last(&bed, "production").await?["state"] == "Progressing");

    let said = command(&bed, "oak=abort").await?;
    ensure!(!said.failed, "{said:?}");
    let retried = command(&bed, "oak=retry").await?;
    ensure!(!retried.failed, "{retried:?}");
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    let before = (last(&bed, "production").await?["id"].clone(), count(&bed).await?);
    // Again after a restart, and where the status was never written, as by a process that died before it could.
    bed.restart().await?;
    bed.reconcile("production").await?;
    let lost = Patch::Merge(json!({ "status": { "rolloutCommand": null } }));
    let api = bed.namespace.api::<Environment>();
    api.patch_status("production", &PatchParams::default(), &lost).await?;
    bed.reconcile("production").await?;
    ensure!(answer(&bed, "oak=retry").await? == retried, "the answer is in the database");
    let after = (last(&bed, "production").await?["id"].clone(), count(&bed).await?);
    ensure!(after == before, "{after:?}");

    // The same again, told apart by what comes after a blank; and, once it is gone, as it was.
    ensure!(!command(&bed, "oak=abort 2").await?.failed);
    stands(&bed, "1.1.0", "Aborted", 1).await?;
    ensure!(!command(&bed, "oak=retry 2").await?.failed);
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    annotate(&bed, json!({ ROLLOUT: null })).await?;
    bed.until("nothing is asked", async || {
        let read = bed.read("production").await?;
        ensure!(read.status.is_some_and(|status| status.rollout_command.is_none()));
        Ok(())
    })
    .await?;
    ensure!(!command(&bed, "oak=abort 2").await?.failed);
    stands(&bed, "1.1.0", "Aborted", 1).await?;
    ensure!(!command(&bed, "oak=retry 3").await?.failed);
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    // Blanks alone ask for nothing.
    annotate(&bed, json!({ ROLLOUT: "  " })).await?;
    bed.until("nothing is asked", async || {
        let read = bed.read("production").await?;
        ensure!(read.status.is_some_and(|status| status.rollout_command.is_none()));
        Ok(())
    })
    .await?;
    // An answer that never reached the status, and of which the command is gone, is none to the same command later.
    let left = r#"{"request":"oak=abort 2","message":"long ago"}"#;
    sqlx::query("UPDATE environments SET rollout_command = $1::json").bind(left).execute(&bed.pool).await?;
    bed.restart().await?;
    bed.reconcile("production").await?;
    let said = command(&bed, "oak=abort 2").await?;
    ensure!(said.message == "oak 1.1.0 aborted, everyone has 1.0.0", "{said:?}");
    stands(&bed, "1.1.0", "Aborted", 1).await?;
    Ok(())
}
