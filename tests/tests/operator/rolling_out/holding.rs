//! What holds a rollout, and what does not.

use anyhow::{Context, Result, ensure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sower_crds::{FREEZE_OVERRIDE, ROLLBACK};
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::{manifest, path, with};
use sower_tests::wait::throughout;

use super::{
    analysis, annotate, command, half, kept_out, last, live, planted, release, says, shown, staged, stands,
    stands_in, used,
};

/// A window that is open from this minute on.
fn window(lasts: SignedDuration) -> Value {
    let now = Timestamp::now().as_second();
    let minute = Timestamp::from_second(now - now.rem_euclid(60)).unwrap_or_default();
    let schedule = minute.to_zoned(TimeZone::UTC).strftime("%-M %-H * * *").to_string();
    let seconds = now - minute.as_second() + lasts.as_secs();
    json!({ "freezeWindows": [{ "name": "now", "schedule": schedule, "duration": format!("{seconds}s") }] })
}

#[tokio::test]
async fn without_traffic_nothing_is_decided_and_the_deadline_ends_it() -> Result<()> {
    let bed = Bed::make("silent").await?;
    let judge = with(analysis(), json!({ "deadline": "4s" }));
    let catalog = planted(&bed, staged(json!([{ "weight": 50, "hold": "1s" }]), judge)).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    let message = says(&bed, "Healthy", "Unknown", "Inconclusive").await?;
    ensure!(message == "Cannot be judged yet: oak", "{message}");
    let row = last(&bed, "production").await?;
    ensure!(row["analysis"]["outcome"] == "inconclusive", "{row}");
    stands(&bed, "1.1.0", "Aborted", 1).await?;
    let (_, one) = shown(&bed, "1.1.0", "Aborted").await?;
    ensure!(one.reason == "no verdict within 4s after its time", "{one:?}");
    let message = says(&bed, "Healthy", "False", "Aborted").await?;
    ensure!(message.starts_with("oak 1.1.0 was aborted"), "{message}");
    bed.told("production", "RolloutAborted", "no verdict within 4s after its time; everyone has 1.0.0")
        .await?;
    ensure!(live(&bed).await? == ("1.0.0".into(), None) && kept_out(&bed).await? == ["1.1.0"]);
    Ok(())
}

#[tokio::test]
async fn a_freeze_holds_steps_and_no_rollback() -> Result<()> {
    let bed = Bed::make("frost").await?;
    let catalog = planted(&bed, half()).await?;
    let thawed = with(catalog.spec(), half());
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    bed.environment("production", with(thawed.clone(), window(SignedDuration::from_hours(2)))).await?;
    used(&bed, "1.1.0", 100, 0).await?;
    stands(&bed, "1.1.0", "Completing", 1).await?;
    let (_, one) = shown(&bed, "1.1.0", "Completing").await?;
    ensure!(one.reason.starts_with("frozen until "), "{one:?}");
    bed.told("production", "RolloutCompleting", "oak 1.1.0 has proved itself and waits: frozen until")
        .await?;
    let said = command(&bed, "oak=advance").await?;
    let why = "oak: it is frozen until ";
    ensure!(said.failed && said.message.starts_with(why), "{said:?}");
    // It turns bad meanwhile.
    used(&bed, "1.1.0", 100, 60).await?;
    stands(&bed, "1.1.0", "RolledBack", 1).await?;
    ensure!(live(&bed).await? == ("1.0.0".into(), None));
    let read = bed.read("production").await?;
    ensure!(condition(&read, "Ready").is_some_and(|ready| ready.status == "True"), "{}", told(&read));

    // What is tried again is a plan, which the freeze holds; after it, it begins.
    ensure!(!command(&bed, "oak=retry").await?.failed);
    says(&bed, "Ready", "False", "Frozen").await?;
    bed.environment("production", thawed).await?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    Ok(())
}

/// What others did is told, and is looked at when it is due.
#[tokio::test]
async fn one_that_cannot_move_hides_no_other() -> Result<()> {
    let bed = Bed::make("stuck").await?;
    let steps = json!([{ "weight": 10, "hold": "3s" }, { "weight": 50, "hold": "3s" }]);
    let rare = json!({ "interval": "1h", "retryInterval": "1h", "rollout": { "default": { "type": "Staged", "steps": steps } } });
    let catalog = planted(&bed, rare).await?;
    for sql in [
        "CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''stuck''; END'",
        "CREATE TRIGGER stuck BEFORE UPDATE ON integration_rollouts FOR EACH ROW \
         WHEN (NEW.integration_id = 'ash') EXECUTE FUNCTION stuck()",
    ] {
        sqlx::query(sql).execute(&bed.pool).await?;
    }
    let text = manifest("ash", "1.1.0", 2).replace("api.ash.example", "api.ash.example/1.1.0");
    catalog.tree.write(&path("ash"), text)?;
    release(&catalog, "1.1.0")?;
    bed.request("production").await?;
    bed.told("production", "RolloutStepped", "oak 1.1.0").await?;
    let row = stands(&bed, "1.1.0", "Completed", 3).await?;
    ensure!(row["ended_at"].is_string(), "{row}");
    bed.told("production", "RolloutCompleted", "oak 1.1.0").await?;
    let stuck = "SELECT state FROM integration_rollouts WHERE integration_id = 'ash'";
    let state: String = sqlx::query_scalar(stuck).fetch_one(&bed.pool).await?;
    ensure!(state == "Pending", "{state}");
    Ok(())
}

/// Nothing asks for it, and the interval is long.
#[tokio::test]
async fn what_a_freeze_held_goes_on_when_its_window_is_over() -> Result<()> {
    let bed = Bed::make("thawed").await?;
    let steps = json!([{ "weight": 10, "pause": true }, { "weight": 50, "hold": "1s" }]);
    let rare = json!({ "interval": "1h", "rollout": { "default": { "type": "Staged", "steps": steps } } });
    let catalog = planted(&bed, rare.clone()).await?;
    release(&catalog, "1.1.0")?;
    bed.request("production").await?;
    stands(&bed, "1.1.0", "Paused", 1).await?;
    let opens = Timestamp::now() + SignedDuration::from_secs(12);
    let frozen = with(rare, window(SignedDuration::from_secs(12)));
    bed.environment("production", with(catalog.spec(), frozen)).await?;
    let said = command(&bed, "oak=resume").await?;
    ensure!(!said.failed, "{said:?}");
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    let row = stands(&bed, "1.1.0", "Completed", 3).await?;
    let ended: Timestamp = row["ended_at"].as_str().context("an end")?.parse()?;
    ensure!(ended >= opens - SignedDuration::from_secs(1), "{row}");
    Ok(())
}

/// The bad version goes, and what is said is obeyed, though git is away.
#[tokio::test]
async fn a_source_that_is_away_stops_no_rollback() -> Result<()> {
    let bed = Bed::make("away").await?;
    let catalog = planted(&bed, half()).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    catalog.repository.hide(true)?;
    says(&bed, "Ready", "False", "SourceNotFound").await?;
    used(&bed, "1.1.0", 100, 60).await?;
    stands(&bed, "1.1.0", "RolledBack", 1).await?;
    says(&bed, "Healthy", "False", "RolledBack").await?;
    bed.told("production", "RolloutRolledBack", "oak 1.1.0 was rolled back").await?;
    ensure!(live(&bed).await? == ("1.0.0".into(), None));
    let said = command(&bed, "oak=retry").await?;
    ensure!(!said.failed, "{said:?}");
    catalog.repository.hide(false)?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    Ok(())
}

/// Nor does a spec that cannot be followed: what is bad goes, and nothing more is let out.
#[tokio::test]
async fn an_invalid_spec_stops_no_rollback() -> Result<()> {
    let bed = Bed::make("odd").await?;
    let catalog = planted(&bed, half()).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    shown(&bed, "1.1.0", "Progressing").await?;
    let window = json!({ "schedule": "0 18 * * *", "duration": "1h", "timeZone": "Europe/Bielefeld" });
    let odd = with(half(), json!({ "freezeWindows": [window] }));
    bed.environment("production", with(catalog.spec(), odd)).await?;
    annotate(&bed, json!({ FREEZE_OVERRIDE: "for ever" })).await?;
    says(&bed, "Ready", "False", "InvalidSpec").await?;
    used(&bed, "1.1.0", 100, 0).await?;
    stands(&bed, "1.1.0", "Completing", 1).await?;
    used(&bed, "1.1.0", 100, 60).await?;
    stands(&bed, "1.1.0", "RolledBack", 1).await?;
    says(&bed, "Healthy", "False", "RolledBack").await?;
    says(&bed, "Ready", "False", "InvalidSpec").await?;
    ensure!(live(&bed).await? == ("1.0.0".into(), None));
    Ok(())
}

/// Suspended, the operator writes nothing, whatever the executions say; afterwards it goes on from where it was.
#[tokio::test]
async fn a_suspended_environment_moves_no_rollout() -> Result<()> {
    let bed = Bed::make("resting").await?;
    let catalog = planted(&bed, half()).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    shown(&bed, "1.1.0", "Progressing").await?;
    bed.environment("production", with(with(catalog.spec(), half()), json!({ "suspend": true }))).await?;
    says(&bed, "Ready", "True", "Suspended").await?;
    let before = last(&bed, "production").await?;
    used(&bed, "1.1.0", 100, 60).await?;
    bed.reconcile("production").await?;
    throughout("it stands still", std::time::Duration::from_secs(3), async || {
        ensure!(last(&bed, "production").await? == before);
        Ok(())
    })
    .await?;
    let (read, _) = shown(&bed, "1.1.0", "Progressing").await?;
    ensure!(condition(&read, "Healthy").is_some(), "{}", told(&read));
    bed.environment("production", with(catalog.spec(), half())).await?;
    stands(&bed, "1.1.0", "RolledBack", 1).await?;
    Ok(())
}

/// They share a database, and nothing of the other's steps.
#[tokio::test]
async fn two_environments_stand_at_different_steps() -> Result<()> {
    let bed = Bed::make("both").await?;
    let steps = json!([{ "weight": 10 }, { "weight": 50, "hold": "1h" }]);
    let fields = staged(steps, analysis());
    let catalog = planted(&bed, fields.clone()).await?;
    bed.environment("staging", with(catalog.spec(), fields)).await?;
    let at = catalog.tree.head()?;
    bed.seeded("staging", &at).await?;
    release(&catalog, "1.1.0")?;
    stands_in(&bed, "production", "1.1.0", "Progressing", 1).await?;
    stands_in(&bed, "staging", "1.1.0", "Progressing", 1).await?;
    used(&bed, "1.1.0", 100, 0).await?;
    stands_in(&bed, "production", "1.1.0", "Progressing", 2).await?;
    let staging = last(&bed, "staging").await?;
    ensure!(staging["step"] == 1 && staging["weight"] == 1000, "{staging}");
    ensure!(!command(&bed, "oak=abort").await?.failed);
    stands_in(&bed, "production", "1.1.0", "Aborted", 2).await?;
    bed.reconcile("staging").await?;
    let staging = last(&bed, "staging").await?;
    ensure!(staging["step"] == 1 && staging["state"] == "Progressing", "{staging}");
    let metrics = bed.operator.metrics().await?;
    let infos: Vec<&String> = metrics.keys().filter(|name| name.starts_with("sower_rollout_info{")).collect();
    ensure!(infos.len() == 1 && infos[0].contains(r#"environment="staging""#), "{infos:?}");
    Ok(())
}

/// What a rollout needs is not forgotten, whatever the retention says; what went before it is.
#[tokio::test]
async fn a_rollback_reaches_as_far_as_the_retention() -> Result<()> {
    let bed = Bed::make("reach").await?;
    let catalog = planted(&bed, json!({})).await?;
    let second = release(&catalog, "1.1.0")?;
    bed.seeded("production", &second).await?;
    let short = |seconds: u32| {
        let retention = json!({ "versions": 1, "history": format!("{seconds}s") });
        let mut fields = with(half(), json!({ "retention": retention }));
        fields["rollout"]["rules"] = json!([{ "integrations": ["elm"], "type": "AllAtOnce" }]);
        with(catalog.spec(), fields)
    };
    bed.environment("production", short(1)).await?;
    release(&catalog, "1.2.0")?;
    stands(&bed, "1.2.0", "Progressing", 1).await?;
    // Seedings of others push what was out of the history; what is kept is looked at when something else is to be kept.
    let mut patch = 1;
    bed.until("1.0.0 is forgotten", async || {
        patch += 1;
        bed.environment("production", short(patch)).await?;
        let commit = catalog.raise(&["elm"], &format!("1.0.{patch}"))?;
        // What is looked at by the hour is looked at now.
        sqlx::query("UPDATE environments SET retain_at = now()").execute(&bed.pool).await?;
        bed.seeded("production", &commit).await?;
        let sql = "SELECT version FROM integration_versions WHERE integration_id = 'oak' ORDER BY version";
        let kept: Vec<String> = sqlx::query_scalar(sql).fetch_all(&bed.pool).await?;
        ensure!(kept == ["1.1.0", "1.2.0"], "{kept:?}");
        Ok(())
    })
    .await?;
    let back = async |wish: &str| {
        annotate(&bed, json!({ ROLLBACK: wish })).await?;
        bed.until(&format!("the answer to {wish}"), async || {
            let said = bed.read("production").await?.status.and_then(|status| status.rollback);
            said.filter(|said| said.last_handled == wish).context("no answer")
        })
        .await
    };
    let said = back("oak=1.0.0").await?;
    ensure!(said.failed && said.message.contains("1.0.0"), "{said:?}");
    ensure!(last(&bed, "production").await?["state"] == "Progressing");
    let said = back("oak=1.1.0").await?;
    ensure!(!said.failed, "{said:?}");
    stands(&bed, "1.2.0", "RolledBack", 1).await?;
    ensure!(live(&bed).await? == ("1.1.0".into(), None) && kept_out(&bed).await? == ["1.2.0"]);
    // It is tried again from what was kept of it, or from git, and completes.
    ensure!(!command(&bed, "oak=retry").await?.failed);
    stands(&bed, "1.2.0", "Progressing", 1).await?;
    used(&bed, "1.2.0", 100, 0).await?;
    stands(&bed, "1.2.0", "Completed", 2).await?;
    annotate(&bed, json!({ ROLLBACK: null })).await?;
    bed.reconcile("production").await?;
    let said = back("oak=1.1.0").await?;
    ensure!(!said.failed, "{said:?}");
    ensure!(live(&bed).await? == ("1.1.0".into(), None) && kept_out(&bed).await? == ["1.2.0"]);
    Ok(())
}
