//! The command line in front of a cluster: what it asks the API server, and what it needs the database for.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sower_tests::bed::Bed;
use sower_tests::catalog::{path, with};
use sower_tests::sower::{Ran, Sower};

/// Runs `sower` outside of any checkout, with this cluster's kubeconfig.
fn sower(bed: &Bed, words: &str, database: Option<&str>) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    let kubeconfig = bed.plane.admin_kubeconfig();
    let mut sower = Sower::within(folder.path())?.env("KUBECONFIG", &kubeconfig);
    if let Some(url) = database {
        sower = sower.env("SOWER_DATABASE_URL", url);
    }
    let words = format!("{words} -n {}", bed.namespace.name);
    sower.run(&words.split(' ').collect::<Vec<_>>())
}

#[tokio::test]
async fn a_cluster_is_asked_from_the_command_line() -> Result<()> {
    let bed = Bed::make("asking").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "elm", "fir", "oak", "yew"])?;
    bed.environment("production", with(catalog.spec(), json!({ "blockedIntegrations": ["y*"] }))).await?;
    bed.seeded("production", &first).await?;
    let from = format!("namespace {}", bed.namespace.name);

    let status = sower(&bed, "status", None)?.expect(0)?;
    ensure!(status.err.starts_with("from: cluster ") && status.err.contains(&from), "{}", status.err);
    ensure!(status.out.starts_with("ENVIRONMENT   READY   REVISION"), "{}", status.out);
    let short = format!("main@{}", &first[..7]);
    let line = status.out.lines().nth(1).context("a row")?;
    ensure!(line.starts_with(&format!("production    True    {short}   4")), "{line}");
    ensure!(line.contains(" ago ") && line.ends_with(&format!("Seeded {short}")), "{line}");

    // Rows need a database; where none can be reached the command names the place where it can.
    let history = sower(&bed, "history -e production", None)?.expect(1)?;
    let beside = format!(
        "error: history reads rows, and no database of this cluster can be reached from here\n  \
         beside the operator:  kubectl -n {} exec deploy/sower -- sower history -e production\n  \
         or from here:         set SOWER_DATABASE_URL\n",
        bed.namespace.name
    );
    ensure!(history.err.ends_with(&beside), "{}", history.err);

    let url = bed.database.url();
    let database = Some(url.as_str());
    let user = url.split("://").nth(1).and_then(|rest| rest.split('@').next()).unwrap_or_default();
    let password = user.split(':').nth(1).context("a password")?;
    let history = sower(&bed, "history -e production -q -o json", database)?.expect(0)?.json()?;
    ensure!(history[0]["seeding"] == "production-1" && history[0]["created"] == 4, "{history}");
    let rows = sower(&bed, "get integrations", database)?.expect(0)?;
    ensure!(rows.err.contains(" · postgres://") && !rows.err.contains(password), "{}", rows.err);
    ensure!(rows.out.lines().count() == 5, "{}", rows.out);
    let explained = sower(&bed, "explain yew", database)?.expect(0)?;
    ensure!(
        explained.out.contains("production   excluded   `y*` of blockedIntegrations matches"),
        "{}",
        explained.out
    );
    let drift = sower(&bed, "drift -e production --exit-code", database)?.expect(0)?;
    ensure!(drift.out == "production: no drift since seeding 1 (4 integrations)\n", "{}", drift.out);
    sqlx::query("DELETE FROM public.action_registry WHERE integration_id = 'elm'")
        .execute(&bed.database.connect().await?)
        .await?;
    let drift = sower(&bed, "drift -e production --exit-code -q -o json", database)?.expect(3)?.json()?;
    ensure!(drift["missing"] == drift["rows"].as_array().map_or(0, Vec::len), "{drift}");
    ensure!(drift["rows"][0]["integration"] == "elm" && drift["rows"][0]["what"] == "missing", "{drift}");
    ensure!(drift["namespace"] == bed.namespace.name, "{drift}");
    let detail = sower(&bed, "status -e production -o json -q", database)?.expect(0)?.json()?;
    ensure!(detail["ready"] == "True" && detail["seedings"][0]["seeding"] == "production-1", "{detail}");
    sower(&bed, "doctor", database)?.expect(0)?;
    let unknown = sower(&bed, "status -e staging", None)?.expect(2)?;
    ensure!(unknown.err.ends_with("no environment is called `staging` (production)\n"), "{}", unknown.err);

    catalog.tree.replace(&path("oak"), "version: 1.0.0", "version: v2.1")?;
    let broken = catalog.push("Break")?;
    bed.reason("production", "ManifestsInvalid", &broken).await?;
    let status = sower(&bed, "status -e production", None)?.expect(0)?;
    ensure!(
        status.out.contains("oak       bad-version   integrations/oak/integration.yaml:3:10"),
        "{}",
        status.out
    );
    ensure!(status.out.contains("production needs you:\n  sower rule bad-version"), "{}", status.out);
    let explained = sower(&bed, "explain oak", database)?.expect(0)?;
    ensure!(explained.out.contains("its manifest is invalid, so the rows stay"), "{}", explained.out);
    Ok(())
}

/// What the database knows of an integration is told without reading git: who brought it, and what differs in a conflict.
#[tokio::test]
async fn an_integration_is_explained_from_the_rows() -> Result<()> {
    let bed = Bed::make("explaining").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    let url = bed.database.url();
    let explain = |words: &str| sower(&bed, &format!("explain {words} -q"), Some(&url));

    let told = explain("ash")?.expect(0)?.out;
    let head = format!(
        "ash 1.0.0 · {} · main@{} by production-1, push: \"Plant\" (Ada Sower), ",
        path("ash"),
        &first[..7]
    );
    ensure!(told.starts_with(&head), "{told}");
    let whole = explain("ash -e production -o json")?.expect(0)?.json()?;
    let brought = &whole["manifest"]["brought"];
    ensure!(brought["revision"] == format!("main@sha1:{first}"), "{whole}");
    ensure!(brought["seeding"] == "production-1", "{whole}");

    catalog.tree.replace(&path("oak"), "Grows branch 1 of the oak.", "Grows the lowest branch.")?;
    let second = catalog.push("Say which branch")?;
    bed.seeded("production", &second).await?;
    let told = explain("oak")?.expect(0)?.out;
    ensure!(told.contains("! version conflict: git has 1.0.0 too, with other content; skipped"), "{told}");
    let change =
        "/actions/branch-1/description   \"Grows branch 1 of the oak.\" -> \"Grows the lowest branch.\"";
    ensure!(told.contains(change), "{told}");
    // Nothing says who brought what git has now: no seeding took it.
    ensure!(told.starts_with(&format!("oak 1.0.0 · {}\n", path("oak"))), "{told}");
    let whole = explain("oak -e production -o json")?.expect(0)?.json()?;
    ensure!(whole["conflicts"][0]["changes"][0]["path"] == "/actions/branch-1/description", "{whole}");

    // A file without a document is no deletion, neither to the operator nor to whoever asks what it remembers.
    catalog.tree.write(&path("ash"), "# later\n")?;
    let emptied = catalog.push("Empty it")?;
    bed.reason("production", "ManifestsInvalid", &emptied).await?;
    let told = explain("ash")?.expect(0)?.out;
    ensure!(told.contains("so the rows stay") && !told.contains("deletes it"), "{told}");
    Ok(())
}

/// Nobody is asked where there is nobody; and what several environments share is named once.
#[tokio::test]
async fn an_empty_namespace_is_named_and_a_shared_database_too() -> Result<()> {
    let bed = Bed::make("sharing").await?;
    let none = format!("o Environment in namespace {} of cluster ", bed.namespace.name);
    for words in ["seed --all", "seed", "plan", "suspend --all"] {
        let ran = sower(&bed, words, None)?.expect(2)?;
        ensure!(ran.out.is_empty() && ran.err.contains(&format!("error: n{none}")), "{words}: {}", ran.err);
        ensure!(
            ran.err.contains(&format!("make one:   kubectl -n {} apply -f", bed.namespace.name)),
            "{}",
            ran.err
        );
    }
    for words in ["get env", "get intg", "get conflicts", "status", "history", "drift"] {
        let ran = sower(&bed, words, None)?.expect(0)?;
        ensure!(ran.err.starts_with("from: cluster ") && ran.out.is_empty(), "{words}: {ran:?}");
        ensure!(
            ran.err.contains(&format!("\nN{none}")) && !ran.err.contains("sower seed"),
            "{words}: {}",
            ran.err
        );
    }

    bed.namespace.secret("own-database", &[("url", &bed.database.url())]).await?;
    let catalog = bed.catalog()?;
    let own = json!({ "suspend": true, "database": { "secretRef": { "name": "own-database" } } });
    for name in ["first", "second"] {
        bed.environment(name, with(catalog.spec(), own.clone())).await?;
    }
    for words in ["get integrations", "history", "get conflicts", "drift"] {
        let ran = sower(&bed, words, None)?.expect(0)?;
        let from = ran.err.lines().next().unwrap_or_default();
        ensure!(
            from.starts_with("from: cluster ") && from.matches(&bed.database.name).count() == 1,
            "{words}: {from}"
        );
    }
    Ok(())
}
