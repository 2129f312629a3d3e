//! Freeze windows: what is frozen waits for the end of its window, or until the freeze is lifted.

use anyhow::{Context, Result, ensure};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sower_crds::FREEZE_OVERRIDE;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, condition, ensure_with, told};
use sower_tests::catalog::with;
use sower_tests::sower::Sower;

/// A window that began at a minute not long ago, and ends then.
fn window_until(began: Timestamp, end: Timestamp) -> Value {
    let minute =
        Timestamp::from_second(began.as_second() - began.as_second().rem_euclid(60)).unwrap_or(began);
    let schedule = minute.to_zoned(TimeZone::UTC).strftime("%-M %-H * * *").to_string();
    let seconds = end.as_second() - minute.as_second();
    json!({ "name": "now", "schedule": schedule, "duration": format!("{seconds}s") })
}

fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

#[tokio::test]
async fn what_is_frozen_waits_and_is_let_through_by_its_annotation() -> Result<()> {
    let bed = Bed::make("frozen").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    let now = Timestamp::now();
    let (over, open) =
        (window_until(now - hours(3), now - hours(2)), window_until(now - hours(1), now + hours(2)));
    let frozen = |windows: Value| with(catalog.spec(), json!({ "freezeWindows": windows }));
    // One that is over stops nothing.
    bed.environment("production", frozen(json!([over]))).await?;
    bed.seeded("production", &first).await?;

    bed.environment("production", frozen(json!([over, open]))).await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("Raise")?;
    let read = bed.reason("production", "Frozen", &second).await?;
    ensure_with(&read, Some("Reconciling"))?;
    let status = read.status.as_ref().context("a status")?;
    let ready = condition(&read, "Ready").context("Ready")?;
    let opens = (now + hours(2)).as_second();
    let opens = Timestamp::from_second(opens + (60 - opens.rem_euclid(60)) % 60)?;
    let opens = opens.to_zoned(TimeZone::UTC).strftime("%a %H:%M UTC").to_string();
    let plan = status.plan.as_ref().context("a plan")?;
    let expect = format!("Frozen until {opens}: plan {} waits; it is in window now", plan.hash);
    ensure!(ready.message == expect && ready.status == "False", "{}", told(&read));
    ensure!(plan.update == 1 && status.next.is_none(), "{status:?}");
    ensure!(bed.tables().await?.carried("production")["oak"] == "1.0.0");
    bed.told("production", "Frozen", &expect).await?;

    // From the command line it is a refusal.
    let folder = tempfile::tempdir()?;
    let sower = Sower::within(folder.path())?.env("KUBECONFIG", bed.plane.admin_kubeconfig());
    let namespace = &bed.namespace.name;
    let refused = sower.run(&["seed", "-e", "production", "-n", namespace])?.expect(4)?;
    let sentence = format!("refused: production is f{}. Nothing was written.", &expect[1..]);
    ensure!(refused.err.contains(&sentence), "{}", refused.err);
    let lift = format!("kubectl -n {namespace} annotate --overwrite env/production {FREEZE_OVERRIDE}=");
    ensure!(refused.err.contains(&lift), "{}", refused.err);

    // What is no time lifts nothing, and says so.
    let annotate = async |value: String| -> Result<()> {
        let patch = json!({ "metadata": { "annotations": { FREEZE_OVERRIDE: value } } });
        let api = bed.namespace.api::<Environment>();
        api.patch("production", &PatchParams::default(), &Patch::Merge(patch)).await?;
        Ok(())
    };
    annotate("for ever".to_owned()).await?;
    bed.reason("production", "InvalidSpec", &second).await?;
    annotate((now - hours(1)).to_string()).await?;
    bed.reason("production", "Frozen", &second).await?;
    annotate((now + hours(1)).to_string()).await?;
    bed.seeded("production", &second).await?;
    ensure!(bed.tables().await?.carried("production")["oak"] == "1.1.0");
    Ok(())
}

/// Nothing asks for it, and the interval is long.
#[tokio::test]
async fn what_is_frozen_goes_in_when_its_window_is_over() -> Result<()> {
    let bed = Bed::make("thaw").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    let now = Timestamp::now();
    let windows = json!([window_until(now, now + SignedDuration::from_secs(15))]);
    let spec =
        with(catalog.spec(), json!({ "freezeWindows": windows, "interval": "1h", "retryInterval": "1h" }));
    bed.environment("production", spec).await?;
    bed.reason("production", "Frozen", &first).await?;
    ensure!(bed.tables().await?.carried("production").is_empty());
    let read = bed.seeded("production", &first).await?;
    ensure_with(&read, None)?;
    ensure!(Timestamp::now() >= now + SignedDuration::from_secs(14));
    Ok(())
}

/// What the API server can judge, it refuses; what it cannot, the operator tells.
#[tokio::test]
async fn windows_that_cannot_be_read_are_refused() -> Result<()> {
    let bed = Bed::make("windows").await?;
    let catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash"])?;
    for (window, why) in [
        (json!({ "schedule": "daily", "duration": "1h" }), "schedule must be five fields of cron"),
        (json!({ "schedule": "0 18 * * *", "duration": "0s" }), "duration must be a duration of at least 1s"),
        (
            json!({ "schedule": "0 18 * * *", "duration": "1h", "timeZone": "Central Europe" }),
            "timeZone must be a name",
        ),
        (
            json!({ "schedule": "0 18 * * *", "duration": "1h", "integrations": [] }),
            "integrations must not be empty",
        ),
    ] {
        let spec = with(catalog.spec(), json!({ "freezeWindows": [window] }));
        let refused = bed.environment("production", spec).await.err().context("refused")?;
        ensure!(format!("{refused:#}").contains(why), "{refused:#}");
    }
    let window = json!({ "schedule": "0 18 * * *", "duration": "1h", "timeZone": "Europe/Bielefeld" });
    bed.environment("production", with(catalog.spec(), json!({ "freezeWindows": [window] }))).await?;
    let read = bed
        .until("InvalidSpec", async || {
            let read = bed.read("production").await?;
            let ready = condition(&read, "Ready").context("Ready")?;
            ensure!(ready.reason == "InvalidSpec", "{}", told(&read));
            Ok(read)
        })
        .await?;
    ensure!(told(&read).contains("/spec/freezeWindows/0/timeZone: `Europe/Bielefeld` is no time zone"));
    ensure!(bed.tables().await?.carried("production").is_empty());
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &commit).await?;
    Ok(())
}
