//! Rows that somebody else's hand changed: noticed at once, told once, and corrected where the environment says so.

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sower_crds::FREEZE_OVERRIDE;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::{Catalog, path, with};
use sower_tests::sower::Sower;
use sqlx::AssertSqlSafe;

/// The environment's spec; only a hint wakes anybody in time.
fn spec(catalog: &Catalog, drift: serde_json::Value) -> serde_json::Value {
    with(catalog.spec(), json!({ "interval": "1h", "drift": drift }))
}

/// What a hand does to the database.
async fn hand(bed: &Bed, sql: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&bed.pool).await?;
    Ok(())
}

/// The first column of a query.
async fn ask(bed: &Bed, sql: &str) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&bed.pool).await?)
}

/// Waits until Drifted says this.
async fn says(bed: &Bed, status: &str, reason: &str, message: &str) -> Result<Environment> {
    bed.until(&format!("Drifted={status} {reason}: {message}"), async || {
        let read = bed.read("production").await?;
        let drifted = condition(&read, "Drifted").with_context(|| told(&read))?;
        let said = (drifted.status.as_str(), drifted.reason.as_str(), drifted.message.as_str());
        ensure!(said == (status, reason, message), "{}", told(&read));
        Ok(read)
    })
    .await
}

/// The Events of these reasons, in any order.
async fn events(bed: &Bed, reasons: &[&str]) -> Result<Vec<String>> {
    let all = bed.events("Environment", "production").await?;
    let mut told: Vec<String> = all
        .into_iter()
        .filter(|(reason, _)| reasons.contains(&reason.as_str()))
        .map(|(reason, note)| format!("{reason}: {note}"))
        .collect();
    told.sort();
    Ok(told)
}

async fn looks(bed: &Bed) -> Result<f64> {
    let name = format!(
        "sower_drift_scan_duration_seconds_count{{namespace=\"{}\",environment=\"production\"}}",
        bed.namespace.name
    );
    bed.operator.metrics().await?.get(&name).copied().with_context(|| name)
}

#[tokio::test]
async fn what_hands_do_is_told_at_once_and_once() -> Result<()> {
    let bed = Bed::make("hands").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", spec(&catalog, json!({}))).await?;
    bed.seeded("production", &first).await?;
    says(&bed, "False", "NoDrift", "No drift").await?;

    // What we write ourselves is no news: nobody looks for it.
    let before = looks(&bed).await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("Raise")?;
    bed.request("production").await?;
    bed.seeded("production", &second).await?;
    ensure!(looks(&bed).await? == before, "{before} and {}", looks(&bed).await?);

    hand(&bed, "UPDATE action_registry SET name = 'By hand' WHERE id = 'ash/branch-1'").await?;
    let updated = "1 changed row since seeding 2: ash";
    says(&bed, "True", "RowsChanged", updated).await?;
    hand(&bed, "UPDATE action_registry SET name = 'Branch 1' WHERE id = 'ash/branch-1'").await?;
    says(&bed, "False", "NoDrift", "No drift").await?;
    hand(
        &bed,
        "INSERT INTO action_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('ash/mine', 'ash', 'mine', 'Mine', '{}', 'production')",
    )
    .await?;
    let inserted = "1 foreign row since seeding 2: ash";
    says(&bed, "True", "ForeignRows", inserted).await?;
    hand(&bed, "DELETE FROM action_registry WHERE id = 'oak/branch-2'").await?;
    let deleted = "1 missing, 1 foreign rows since seeding 2: ash and oak";
    says(&bed, "True", "RowsChanged", deleted).await?;
    hand(&bed, "TRUNCATE event_registry").await?;
    let emptied = "3 missing, 1 foreign rows since seeding 2: ash and oak";
    says(&bed, "True", "RowsChanged", emptied).await?;

    // It is told as it is found, and not again.
    let asked = bed.reconcile("production").await?;
    ensure!(condition(&asked, "Ready").is_some_and(|ready| ready.status == "True"), "{}", told(&asked));
    let expect = [
        format!("ForeignRows: {inserted}"),
        "NoDrift: No drift".to_owned(),
        format!("RowsChanged: {updated}"),
        format!("RowsChanged: {deleted}"),
        format!("RowsChanged: {emptied}"),
    ];
    let mut expect = expect.to_vec();
    expect.sort();
    let found = events(&bed, &["ForeignRows", "NoDrift", "RowsChanged", "DriftCorrected"]).await?;
    ensure!(found == expect, "{found:?}");
    let metrics = bed.operator.metrics().await?;
    for (what, rows) in [("missing", 3.0), ("changed", 0.0), ("foreign", 1.0)] {
        let name = format!(
            "sower_drifted_rows{{namespace=\"{}\",environment=\"production\",what=\"{what}\"}}",
            bed.namespace.name
        );
        ensure!(metrics.get(&name) == Some(&rows), "{name}: {:?}", metrics.get(&name));
    }
    ensure!(ask(&bed, "SELECT reason FROM seeding_logs WHERE seq = 3").await?.is_empty(), "it wrote");

    // Where nobody is to look, nothing is said.
    bed.environment("production", spec(&catalog, json!({ "mode": "Ignore" }))).await?;
    bed.until("no condition", async || {
        let read = bed.read("production").await?;
        ensure!(condition(&read, "Drifted").is_none(), "{}", told(&read));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_correction_is_one_seeding() -> Result<()> {
    let bed = Bed::make("correct").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "elm", "oak"])?;
    let drift = json!({ "mode": "Correct", "ignoreFields": ["category", "/description"] });
    bed.environment("production", spec(&catalog, drift)).await?;
    bed.seeded("production", &first).await?;
    says(&bed, "False", "NoDrift", "No drift").await?;
    let rows = bed.tables().await?;
    let all = "SELECT string_agg(id || name || coalesce(category, '') || definition::text, ' ' ORDER BY id) FROM action_registry";
    let actions = ask(&bed, all).await?;

    hand(
        &bed,
        "BEGIN; UPDATE action_registry SET name = 'By hand', definition = '{}' WHERE id = 'ash/branch-1'; \
         DELETE FROM action_registry WHERE integration_id = 'elm'; DELETE FROM trigger_registry WHERE integration_id = 'elm'; \
         COMMIT",
    )
    .await?;
    let corrected = "DriftCorrected: Seeding 2 corrected 3 missing, 1 changed rows: ash and elm";
    bed.until("a correction", async || {
        let told = events(&bed, &["DriftCorrected", "RowsChanged"]).await?;
        ensure!(told == [corrected], "{told:?}");
        Ok(())
    })
    .await?;
    says(&bed, "False", "NoDrift", "No drift").await?;
    ensure!(ask(&bed, all).await? == actions, "{:?}", ask(&bed, all).await?);
    ensure!(bed.tables().await?.carried("production") == rows.carried("production"));
    let log = "SELECT reason || ' ' || (metadata ->> 'drift') FROM seeding_logs WHERE seq = 2";
    let expect = r#"drift: 4 rows corrected {"changed":1,"claiming":0,"missing":3}"#;
    ensure!(ask(&bed, log).await? == [expect], "{:?}", ask(&bed, log).await?);

    // What git says otherwise, and is not taken, is no reason to take it now; what is ignored is none at all.
    catalog.tree.replace(&path("oak"), "Grows branch 1 of the oak", "Grows something else")?;
    let second = catalog.push("Edit without a new version")?;
    bed.request("production").await?;
    bed.seeded("production", &second).await?;
    let manifest = "SELECT manifest::text FROM integration_definitions WHERE id = 'oak'";
    let oak = ask(&bed, manifest).await?;
    hand(
        &bed,
        "BEGIN; UPDATE action_registry SET category = 'by hand' WHERE integration_id = 'ash'; \
         UPDATE integration_definitions SET manifest = '{\"id\":\"oak\"}', version = '9.9.9', checksum = 'v1:0' WHERE id = 'oak'; \
         COMMIT",
    )
    .await?;
    bed.until("another correction", async || {
        let told = events(&bed, &["DriftCorrected"]).await?;
        ensure!(told.len() == 2 && told[1].ends_with("Seeding 3 corrected 1 changed row: oak"), "{told:?}");
        Ok(())
    })
    .await?;
    ensure!(ask(&bed, manifest).await? == oak, "{:?}", ask(&bed, manifest).await?);
    let by_hand = "SELECT id FROM action_registry WHERE category = 'by hand'";
    ensure!(ask(&bed, by_hand).await?.len() == 2);
    let read = says(&bed, "False", "NoDrift", "No drift").await?;
    let free = condition(&read, "ConflictFree").context("ConflictFree")?;
    ensure!(free.status == "False" && free.message == "1 conflict skipped: oak", "{}", told(&read));
    let counts = read.status.and_then(|status| status.counts).context("counts")?;
    ensure!((counts.integrations, counts.conflicts) == (3, 1), "{counts:?}");

    // The command line says so, too.
    let folder = tempfile::tempdir()?;
    let sower = Sower::within(folder.path())?.env("KUBECONFIG", bed.plane.admin_kubeconfig());
    let status = sower.run(&["status", "-e", "production", "-n", &bed.namespace.name])?.expect(0)?;
    ensure!(status.out.contains("Drifted") && status.out.contains("No drift"), "{}", status.out);
    Ok(())
}

#[tokio::test]
async fn what_happened_while_nobody_listened_is_noticed_when_somebody_does() -> Result<()> {
    let bed = Bed::make("unheard").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash"])?;
    bed.environment("production", spec(&catalog, json!({}))).await?;
    bed.seeded("production", &first).await?;
    says(&bed, "False", "NoDrift", "No drift").await?;
    hand(
        &bed,
        "BEGIN; SET LOCAL sower.seeding = 'on'; DELETE FROM action_registry WHERE id = 'ash/branch-1'; COMMIT",
    )
    .await?;
    let cut = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity WHERE query = 'LISTEN \"sower_drift\"' \
               AND datname = current_database()";
    ensure!(ask(&bed, cut).await? == ["true"]);
    says(&bed, "True", "RowsChanged", "1 missing row since seeding 1: ash").await?;
    // And it is heard again.
    hand(&bed, "DELETE FROM event_registry").await?;
    says(&bed, "True", "RowsChanged", "2 missing rows since seeding 1: ash").await?;
    Ok(())
}

#[tokio::test]
async fn a_freeze_holds_a_correction() -> Result<()> {
    let mut bed = Bed::make("frozen").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", spec(&catalog, json!({ "mode": "Correct" }))).await?;
    bed.seeded("production", &first).await?;
    let always = json!({ "freezeWindows": [{ "schedule": "0 0 * * *", "duration": "25h" }] });
    bed.environment("production", with(spec(&catalog, json!({ "mode": "Correct" })), always)).await?;
    let frozen = bed.seeded("production", &first).await?;
    ensure!(condition(&frozen, "Drifted").is_some_and(|drifted| drifted.status == "False"));

    hand(&bed, "DELETE FROM action_registry WHERE integration_id = 'oak'").await?;
    says(&bed, "True", "RowsChanged", "2 missing rows since seeding 1: oak").await?;
    let held = bed.reason("production", "Frozen", &first).await?;
    let plan = held.status.as_ref().and_then(|status| status.plan.clone()).context("a plan")?;
    ensure!((plan.create, plan.update, plan.delete) == (0, 1, 0), "{plan:?}");
    // It waits across a restart, as the same plan; and from here it is the same.
    bed.restart().await?;
    let again = bed.reconcile("production").await?;
    ensure!(again.status.as_ref().and_then(|status| status.plan.as_ref()) == Some(&plan), "{}", told(&again));
    let folder = tempfile::tempdir()?;
    let sower = Sower::within(folder.path())?.env("KUBECONFIG", bed.plane.admin_kubeconfig());
    let url = bed.database.url();
    let planned = sower.run(&["plan", "-e", "production", "-n", &bed.namespace.name, "--database", &url])?;
    let wanted = format!("Plan {}", plan.hash);
    ensure!(planned.out.contains(&wanted), "no {wanted}: {}\n{}", planned.out, planned.err);
    ensure!(planned.out.contains("~ oak 1.0.0   (as it was seeded)"), "{}", planned.out);

    let until = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let patch = json!({ "metadata": { "annotations": { FREEZE_OVERRIDE: until } } });
    let api = bed.namespace.api::<Environment>();
    api.patch("production", &PatchParams::default(), &Patch::Merge(patch)).await?;
    bed.seeded("production", &first).await?;
    says(&bed, "False", "NoDrift", "No drift").await?;
    ensure!(ask(&bed, "SELECT id FROM action_registry WHERE integration_id = 'oak'").await?.len() == 2);
    ensure!(ask(&bed, "SELECT reason FROM seeding_logs WHERE seq = 2").await? == ["drift: 2 rows corrected"]);
    Ok(())
}

/// What the API server can judge, it refuses.
#[tokio::test]
async fn a_drift_that_cannot_be_looked_for_is_refused() -> Result<()> {
    let bed = Bed::make("drifts").await?;
    let catalog = bed.catalog()?;
    for (drift, why) in [
        (json!({ "interval": "9s" }), "drift.interval must be a duration of at least 10s"),
        (json!({ "ignoreFields": ["row_hash"] }), "ignoreFields must be columns such as name"),
        (json!({ "ignoreFields": ["/a//b"] }), "ignoreFields must be columns such as name"),
        (json!({ "mode": "Repair" }), "Unsupported value"),
    ] {
        let refused = bed.environment("production", spec(&catalog, drift.clone())).await.err();
        let refused = refused.with_context(|| format!("{drift} was taken"))?;
        ensure!(format!("{refused:#}").contains(why), "{refused:#}");
    }
    Ok(())
}
