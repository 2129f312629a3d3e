//! In front of a cluster: the figures of what the operator did, and the catalog that it wrote, as manifests.

use anyhow::{Result, ensure};
use sower_tests::bed::Bed;
use sower_tests::sower::Sower;

#[tokio::test]
async fn what_an_operator_did_is_reported_and_exported() -> Result<()> {
    let bed = Bed::make("keeping").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak", "yew"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    catalog.write("oak", "2.0.0")?;
    let second = catalog.push("Grow")?;
    bed.seeded("production", &second).await?;

    let folder = tempfile::tempdir()?;
    let asked = |words: &str| {
        let words = format!("{words} -e production -n {}", bed.namespace.name);
        let sower = Sower::within(folder.path())?
            .env("KUBECONFIG", bed.plane.admin_kubeconfig())
            .env("SOWER_DATABASE_URL", bed.database.url());
        sower.run(&words.split(' ').collect::<Vec<_>>())
    };
    let told = asked("report -q -o json")?.expect(0)?.json()?;
    ensure!(told["seedings"]["completed"] == 2 && told["seedings"]["failed"] == 0, "{told}");
    ensure!(told["commitToRows"]["count"] == 1 && told["commitToRows"]["unknown"] == 0, "{told}");
    let wait = told["commitToRows"]["p50"].as_u64();
    ensure!(wait.is_some_and(|wait| wait < 600_000), "the commit's own time counts: {told}");
    ensure!(told["mostChanged"][0]["integration"] == "oak", "{told}");

    let exported = asked("export -q --dir out/integrations")?.expect(0)?;
    ensure!(
        exported.out == "Exported 3 integrations of production to out/integrations\n",
        "{}",
        exported.out
    );
    let oak = std::fs::read_to_string(folder.path().join("out/integrations/oak/integration.yaml"))?;
    ensure!(oak.contains("version: 2.0.0"), "{oak}");
    let refused = asked("adopt out/integrations")?.expect(2)?;
    ensure!(refused.err.contains("before an operator keeps"), "{}", refused.err);
    Ok(())
}
