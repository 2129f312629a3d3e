//! Two environments of a cluster against each other: each has a database of its own, which its Secret names.

use anyhow::{Result, ensure};
use serde_json::json;
use sower_tests::bed::Bed;
use sower_tests::catalog::{spec, with};
use sower_tests::postgres::Postgres;
use sower_tests::sower::Sower;

#[tokio::test]
async fn environments_are_compared_across_their_databases() -> Result<()> {
    let bed = Bed::make("between").await?;
    let other = Postgres::shared().await?.database().await?;
    let catalog = bed.catalog()?;
    let main = catalog.plant(&["ash", "oak", "yew"])?;
    catalog.tree.branch("next")?;
    catalog.write("oak", "2.0.0")?;
    let next = catalog.push("Grow")?;
    for (name, url) in [("staging", bed.database.url()), ("production", other.url())] {
        bed.namespace.secret(&format!("{name}-database"), &[("url", &url)]).await?;
    }
    let of = |name: &str| json!({ "database": { "secretRef": { "name": format!("{name}-database") } } });
    bed.environment("staging", with(spec(catalog.source("next")), of("staging"))).await?;
    let blocked = with(catalog.spec(), json!({ "blockedIntegrations": ["y*"] }));
    bed.environment("production", with(blocked, of("production"))).await?;
    bed.seeded("staging", &next).await?;
    bed.seeded("production", &main).await?;

    let diff = |more: &str| {
        let folder = tempfile::tempdir()?;
        let words = format!("diff staging production -n {}{more}", bed.namespace.name);
        let sower = Sower::within(folder.path())?.env("KUBECONFIG", bed.plane.admin_kubeconfig());
        sower.run(&words.split(' ').collect::<Vec<_>>())
    };
    let told = diff(" --exit-code")?.expect(3)?;
    let from = told.err.lines().next().unwrap_or_default();
    ensure!(from.contains(&bed.database.name) && from.contains(&other.name), "{from}");
    ensure!(told.out.starts_with("~ oak 2.0.0 -> 1.0.0   "), "{}", told.out);
    let gone = "- yew 1.0.0   only in staging\n    production: excluded: `y*` of blockedIntegrations matches";
    ensure!(told.out.contains(gone), "{}", told.out);
    let summary = format!(
        "staging (next@{}) and production (main@{}): 1 only in staging, 0 only in production, 1 different, 1 the same\n",
        &next[..7],
        &main[..7]
    );
    ensure!(told.out.ends_with(&summary), "{}", told.out);
    let whole = diff(" -q -o json")?.expect(0)?.json()?;
    ensure!(whole["toRevision"] == format!("main@sha1:{main}"), "{whole}");
    ensure!(
        whole["changes"][0]["integration"] == "oak" && whole["changes"][1]["kind"] == "delete",
        "{whole}"
    );
    Ok(())
}
