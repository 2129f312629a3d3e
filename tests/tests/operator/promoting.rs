//! Promotion and dependencies between Environments: what waits, comes in by itself, and is let in by an annotation.

use anyhow::{Context, Result, ensure};
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sower_crds::environment::Environment;
use sower_crds::{PROMOTE, PROMOTED_BY};
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::with;
use sower_tests::sower::{Ran, Sower};

/// What waits in an environment: `oak 1.1.0`.
fn waiting(read: &Environment) -> Vec<String> {
    let status = read.status.as_ref();
    let all = status.into_iter().flat_map(|status| &status.waiting);
    all.map(|one| format!("{} {}", one.integration, one.version)).collect()
}

async fn carries(bed: &Bed, environment: &str, id: &str, version: &str) -> Result<()> {
    bed.until(&format!("{environment} carries {id} {version}"), async || {
        let carried = bed.tables().await?.carried(environment);
        ensure!(carried.get(id).map(String::as_str) == Some(version), "{carried:?}");
        Ok(())
    })
    .await
}

async fn waits(bed: &Bed, environment: &str, what: &str) -> Result<Environment> {
    bed.until(&format!("{environment}: {what} waits"), async || {
        let read = bed.read(environment).await?;
        ensure!(waiting(&read).contains(&what.to_owned()), "{}", told(&read));
        Ok(read)
    })
    .await
}

fn promoted(spec: Value, soak: &str) -> Value {
    with(spec, json!({ "interval": "1s", "promotion": { "from": "staging", "soak": soak } }))
}

/// Jane lets them in.
async fn promote(bed: &Bed, ids: &str) -> Result<()> {
    let annotations = json!({ PROMOTE: ids, PROMOTED_BY: "jane" });
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    let params = PatchParams { field_manager: Some("gitops".into()), ..PatchParams::default() };
    bed.namespace.api::<Environment>().patch("production", &params, &patch).await?;
    Ok(())
}

async fn spent(bed: &Bed) -> Result<()> {
    bed.until("the annotation is spent", async || {
        let read = bed.read("production").await?;
        let annotations = read.metadata.annotations.clone().unwrap_or_default();
        ensure!(!annotations.contains_key(PROMOTE), "{annotations:?}; {}", told(&read));
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_version_comes_in_after_its_soak_and_not_before() -> Result<()> {
    let bed = Bed::make("promoted").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["elm", "oak"])?;
    bed.environment("staging", catalog.spec()).await?;
    bed.seeded("staging", &first).await?;
    bed.environment("production", promoted(catalog.spec(), "20s")).await?;
    let read = waits(&bed, "production", "oak 1.0.0").await?;
    let reason = &read.status.as_ref().context("a status")?.waiting[0].reason;
    ensure!(reason.starts_with("waits for staging: carried there since "), "{reason}");
    let ready = condition(&read, "Ready").context("Ready")?;
    ensure!(ready.status == "True" && ready.message.ends_with("2 waiting"), "{}", told(&read));
    ensure!(bed.tables().await?.carried("production").is_empty(), "it did not soak");
    carries(&bed, "production", "oak", "1.0.0").await?;
    bed.told("production", "Promoted", "Let in after it was healthy elsewhere: elm 1.0.0, oak 1.0.0").await?;
    let read = bed.read("production").await?;
    ensure!(waiting(&read).is_empty(), "{}", told(&read));
    let tables = bed.tables().await?;
    let log = tables.log("production");
    ensure!(log.last().context("a row")?.text("reason") == "promoted from staging", "{log:?}");
    Ok(())
}

#[tokio::test]
async fn an_annotation_lets_in_what_the_other_carries_once() -> Result<()> {
    let bed = Bed::make("promoting").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["elm", "oak"])?;
    bed.environment("staging", with(catalog.spec(), json!({ "suspend": false }))).await?;
    bed.seeded("staging", &first).await?;
    bed.environment("production", promoted(catalog.spec(), "24h")).await?;
    waits(&bed, "production", "oak 1.0.0").await?;
    promote(&bed, "oak,nothing").await?;
    carries(&bed, "production", "oak", "1.0.0").await?;
    spent(&bed).await?;
    bed.told("production", "Promoted", "Let in by jane: oak 1.0.0").await?;
    let not = "Not let in, as jane asked: staging does not carry nothing";
    bed.told("production", "NotPromoted", not).await?;
    bed.until("only the other one waits", async || {
        let read = bed.read("production").await?;
        ensure!(waiting(&read) == ["elm 1.0.0"], "{}", told(&read));
        Ok(())
    })
    .await?;
    let tables = bed.tables().await?;
    let log = tables.log("production");
    let reason = log.last().context("a row")?.text("reason").to_owned();
    ensure!(reason == "promotion of oak 1.0.0 from staging by jane", "{reason}");
    let metrics = bed.operator.get("/metrics").await?.1;
    let series = format!(
        "sower_promotions_waiting{{namespace=\"{}\",environment=\"production\"}} 1",
        bed.namespace.name
    );
    ensure!(metrics.contains(&series), "{metrics}");

    // What the other does not carry is not let in.
    bed.environment("staging", with(catalog.spec(), json!({ "suspend": true }))).await?;
    catalog.write("oak", "1.1.0")?;
    catalog.push("More")?;
    waits(&bed, "production", "oak 1.1.0").await?;
    promote(&bed, "oak").await?;
    spent(&bed).await?;
    let carried = bed.tables().await?.carried("production");
    ensure!(carried.get("oak").map(String::as_str) == Some("1.0.0"), "{carried:?}");
    Ok(())
}

/// What is let in by hand is what the other carries then, whatever keeps the seeding up.
#[tokio::test]
async fn an_annotation_is_about_what_is_carried_then() -> Result<()> {
    let bed = Bed::make("promoted-then").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["oak"])?;
    bed.environment("staging", catalog.spec()).await?;
    bed.seeded("staging", &first).await?;
    let open = promoted(catalog.spec(), "24h");
    let on = json!([{ "name": "staging", "expression": "status.counts.integrations > 1" }]);
    let unmet = with(open.clone(), json!({ "retryInterval": "1s", "dependsOn": on }));
    bed.environment("production", unmet).await?;
    bed.until("it waits for staging", async || {
        let read = bed.read("production").await?;
        let ready = condition(&read, "Ready").with_context(|| told(&read))?;
        ensure!(ready.reason == "DependencyNotReady", "{}", told(&read));
        Ok(())
    })
    .await?;
    promote(&bed, "oak").await?;
    spent(&bed).await?;
    ensure!(bed.tables().await?.carried("production").is_empty(), "it depends on staging");
    bed.environment("production", open.clone()).await?;
    carries(&bed, "production", "oak", "1.0.0").await?;
    let tables = bed.tables().await?;
    let reason = tables.log("production").last().context("a row")?.text("reason").to_owned();
    ensure!(reason == "promotion of oak 1.0.0 from staging by jane", "{reason}");

    // A freeze holds it, and meanwhile both move on.
    let second = catalog.raise(&["oak"], "1.1.0")?;
    bed.seeded("staging", &second).await?;
    let windows = json!({ "freezeWindows": [{ "schedule": "* * * * *", "duration": "1h" }] });
    bed.environment("production", with(open.clone(), windows)).await?;
    waits(&bed, "production", "oak 1.1.0").await?;
    promote(&bed, "oak").await?;
    spent(&bed).await?;
    bed.reason("production", "Frozen", &second).await?;
    let third = catalog.raise(&["oak"], "1.2.0")?;
    bed.seeded("staging", &third).await?;
    let read = waits(&bed, "production", "oak 1.2.0").await?;
    let told = read.status.iter().flat_map(|status| &status.waiting).find(|one| one.version == "1.1.0");
    let told = told.map(|one| one.reason.as_str());
    ensure!(told == Some("is let in by jane, and comes once nothing holds the plan"), "{told:?}");
    bed.environment("production", open).await?;
    carries(&bed, "production", "oak", "1.1.0").await?;
    let tables = bed.tables().await?;
    let reason = tables.log("production").last().context("a row")?.text("reason").to_owned();
    ensure!(reason == "promotion of oak 1.1.0 from staging by jane", "{reason}");
    Ok(())
}

/// The command line, in the namespace.
fn sower(bed: &Bed, words: &str) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    let words = format!("{words} -n {}", bed.namespace.name);
    Sower::within(folder.path())?
        .env("KUBECONFIG", bed.plane.admin_kubeconfig())
        .env("SOWER_DATABASE_URL", bed.database.url())
        .run(&words.split(' ').collect::<Vec<_>>())
}

#[tokio::test]
async fn the_command_line_says_what_comes_later_and_what_does_not() -> Result<()> {
    let bed = Bed::make("promoting-typed").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["elm", "oak"])?;
    bed.environment("staging", catalog.spec()).await?;
    bed.seeded("staging", &first).await?;
    let open = promoted(catalog.spec(), "24h");
    bed.environment("production", open.clone()).await?;
    waits(&bed, "production", "oak 1.0.0").await?;
    let command = |ids: &str| sower(&bed, &format!("promote {ids} --from staging --to production"));
    let none = command("nope")?.expect(4)?;
    ensure!(none.err.contains("refused: nope does not wait for staging: "), "{none:?}");
    command("elm")?.expect(0)?;
    carries(&bed, "production", "elm", "1.0.0").await?;

    let on = json!([{ "name": "staging", "expression": "status.counts.integrations > 2" }]);
    let unmet = with(open.clone(), json!({ "retryInterval": "1s", "dependsOn": on }));
    bed.environment("production", unmet).await?;
    bed.until("it waits for staging", async || {
        let read = bed.read("production").await?;
        let ready = condition(&read, "Ready").with_context(|| told(&read))?;
        ensure!(ready.reason == "DependencyNotReady", "{}", told(&read));
        Ok(())
    })
    .await?;
    let later = command("oak")?.expect(4)?;
    let waits_for = "refused: waits for staging: `status.counts.integrations > 2` is not true of it. ";
    let comes =
        format!("{waits_for}No row was written; oak is let in, and comes once nothing holds the plan.");
    ensure!(later.err.contains(&comes), "{later:?}");
    let none = command("nope")?.expect(4)?;
    ensure!(none.err.contains("Nothing was written.") && !none.err.contains("pruned"), "{none:?}");
    let explained = sower(&bed, "explain oak -e production")?.expect(0)?;
    let unmet = "= production waits for staging: `status.counts.integrations > 2` is not true of it";
    ensure!(explained.out.contains(unmet) && !explained.out.contains("carried there since"), "{explained:?}");

    // Both move on before it may come.
    let second = catalog.raise(&["oak"], "1.1.0")?;
    bed.seeded("staging", &second).await?;
    waits(&bed, "production", "oak 1.1.0").await?;
    bed.environment("production", open).await?;
    carries(&bed, "production", "oak", "1.0.0").await
}

#[tokio::test]
async fn an_annotation_waits_until_the_other_can_be_read() -> Result<()> {
    let bed = Bed::make("promoting-away").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["oak"])?;
    bed.environment("staging", catalog.spec()).await?;
    bed.seeded("staging", &first).await?;
    // Its rows stay, and nobody knows the way to them.
    let staging = with(catalog.spec(), json!({ "database": { "secretRef": { "name": "own" } } }));
    bed.environment("staging", staging).await?;
    bed.environment("production", with(promoted(catalog.spec(), "24h"), json!({ "retryInterval": "1s" })))
        .await?;
    promote(&bed, "oak").await?;
    bed.until("it waits for staging", async || {
        let read = bed.read("production").await?;
        let ready = condition(&read, "Ready").with_context(|| told(&read))?;
        let waits = ready.message.starts_with("Waits for staging, to promote from it: ");
        ensure!(ready.reason == "DependencyNotReady" && waits, "{}", told(&read));
        ensure!(read.annotations().contains_key(PROMOTE), "it is spent");
        Ok(())
    })
    .await?;
    bed.namespace.secret("own", &[("url", &bed.database.url())]).await?;
    carries(&bed, "production", "oak", "1.0.0").await?;
    spent(&bed).await
}

#[tokio::test]
async fn an_environment_waits_for_another_and_a_circle_is_refused() -> Result<()> {
    let bed = Bed::make("depending").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["oak"])?;
    let on = |expression: &str| json!({ "retryInterval": "1s", "dependsOn": [{ "name": "staging", "expression": expression }] });
    let spec = with(catalog.spec(), json!({ "retryInterval": "1s", "dependsOn": [{ "name": "staging" }] }));
    bed.environment("production", spec).await?;
    let says = async |reason: &str, message: &str| {
        bed.until(&format!("{reason}: {message}"), async || {
            let read = bed.read("production").await?;
            let ready = condition(&read, "Ready").with_context(|| told(&read))?;
            ensure!(ready.reason == reason && ready.message.contains(message), "{}", told(&read));
            ensure!(ready.status == "False", "{}", told(&read));
            Ok(read)
        })
        .await
    };
    let read = says("DependencyNotReady", "Waits for staging: no Environment is called so").await?;
    ensure!(condition(&read, "Reconciling").is_some_and(|c| c.status == "True"), "{}", told(&read));
    bed.environment("staging", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    bed.environment("production", with(catalog.spec(), on("status.counts.integrations > 1"))).await?;
    says("DependencyNotReady", "`status.counts.integrations > 1` is not true of it").await?;
    bed.environment("production", with(catalog.spec(), on("status.counts.integrations == 1"))).await?;
    bed.seeded("production", &first).await?;
    bed.environment("staging", with(catalog.spec(), json!({ "dependsOn": [{ "name": "production" }] })))
        .await?;
    bed.reconcile("production").await?;
    says("InvalidSpec", "circle: production, staging, production").await?;
    Ok(())
}
