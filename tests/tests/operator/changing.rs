//! The command line in front of a cluster where it changes something: an annotation or a patch, then the operator's answer.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sower_tests::bed::Bed;
use sower_tests::catalog::{path, with};
use sower_tests::sower::{Ran, Sower};

/// Runs `sower` outside of any checkout, with this cluster's kubeconfig and nothing else.
fn sower(bed: &Bed, words: &str) -> Result<Ran> {
    let folder = tempfile::tempdir()?;
    let sower = Sower::within(folder.path())?.env("KUBECONFIG", bed.plane.admin_kubeconfig());
    let words = format!("{words} -n {}", bed.namespace.name);
    sower.run(&words.split(' ').collect::<Vec<_>>())
}

#[tokio::test]
async fn a_cluster_is_changed_from_the_command_line() -> Result<()> {
    let bed = Bed::make("changing").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "elm", "fir", "oak", "yew"])?;
    // Nothing but what is asked for: the interval is long.
    bed.environment("production", with(catalog.spec(), json!({ "interval": "1h" }))).await?;
    bed.seeded("production", &first).await?;
    let namespace = &bed.namespace.name;

    let nothing = sower(&bed, "seed -e production")?.expect(0)?;
    let short = format!("main@{}", &first[..7]);
    ensure!(
        nothing.out == format!("Nothing to do: production is at {short} (5 unchanged)\n"),
        "{}",
        nothing.out
    );
    ensure!(
        nothing.err.contains(&format!(" · namespace {namespace}\nasked the operator; waiting")),
        "{}",
        nothing.err
    );

    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("oak: better")?;
    let seeded = sower(&bed, "seed -e production")?.expect(0)?;
    let begin = format!(
        "Seeded production at main@{} (seeding 2): 0 created, 1 updated, 0 deleted, 4 unchanged in ",
        &second[..7]
    );
    ensure!(seeded.out.starts_with(&begin), "{}", seeded.out);
    let report = sower(&bed, "seed -e production -q -o json")?.expect(0)?;
    ensure!(report.err.is_empty() && report.json()?["status"] == "unchanged", "{report:?}");

    for id in ["ash", "elm", "fir"] {
        catalog.fell(id)?;
    }
    catalog.write("oak", "1.2.0")?;
    catalog.push("Tidy up")?;
    let held = sower(&bed, "seed -e production")?.expect(4)?;
    let lines = "~ oak 1.1.0 -> 1.2.0\n- ash, elm, fir (folders gone since ";
    ensure!(held.out.starts_with(lines), "{}", held.out);
    ensure!(
        held.err.contains(" would delete 3 of 5 integrations (60%); pruneLimit is 20%. Nothing was written."),
        "{}",
        held.err
    );
    let plan = format!("see all of it:  sower plan -e production -n {namespace}\n");
    ensure!(held.err.contains(&plan) && held.err.contains("allow it once:  sower apply "), "{}", held.err);
    let plan = sower(&bed, &format!("plan -e production --database {}", bed.database.url()))?.expect(0)?;
    ensure!(plan.out.contains("- ash 1.0.0   folder gone since "), "{plan:?}");
    ensure!(plan.err.contains("It would be held: plan "), "{plan:?}");
    let database = bed.database.url();
    let plan =
        sower(&bed, &format!("plan -e production -q -o json --database {database}"))?.expect(0)?.json()?;
    let report = sower(&bed, "seed -e production -q -o json")?.expect(4)?.json()?;
    ensure!(report["status"] == "refused" && report["errors"][0]["code"] == "PruneLimitExceeded", "{report}");
    for field in ["revision", "unchanged"] {
        ensure!(report[field] == plan[field], "{field}: {report} {plan}");
    }

    let told = sower(&bed, "suspend -e production")?.expect(0)?;
    let go_on = format!("Go on: sower resume -e production -n {namespace}\n");
    ensure!(told.out == format!("Suspended production at main@{}. {go_on}", &second[..7]), "{}", told.out);
    let refused = sower(&bed, "seed --all")?.expect(4)?;
    ensure!(
        refused.err.contains("refused: production is suspended. Nothing was written."),
        "{}",
        refused.err
    );
    let resumed = sower(&bed, "resume --all")?.expect(0)?;
    ensure!(resumed.out.starts_with("Resumed production"), "{}", resumed.out);
    ensure!(!bed.read("production").await?.spec.suspend, "it goes on");

    let only = sower(&bed, "seed -e production --only ash")?.expect(2)?;
    ensure!(only.err.starts_with("error: --only is for files"), "{}", only.err);
    let unknown = sower(&bed, "seed -e staging")?.expect(2)?;
    ensure!(unknown.err.contains("no environment is called `staging` (production)"), "{}", unknown.err);

    bed.namespace
        .secret(sower_tests::catalog::GIT_SECRET, &[("username", "somebody"), ("password", "else")])
        .await?;
    let rejected = sower(&bed, "seed -e production")?.expect(1)?;
    let secret = format!(
        "rejected the credentials of production (secret {namespace}/{}). Nothing was pruned.",
        sower_tests::catalog::GIT_SECRET
    );
    ensure!(
        rejected.err.contains(&secret) && rejected.err.contains("  renew them:  kubectl -n "),
        "{}",
        rejected.err
    );
    rejected.err.lines().last().context("lines").map(drop)
}

/// What is refused keeps its rows, and is counted once: as refused.
#[tokio::test]
async fn what_is_refused_is_not_unchanged_too() -> Result<()> {
    let bed = Bed::make("refusing").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "elm", "fir", "oak"])?;
    bed.environment("production", with(catalog.spec(), json!({ "interval": "1h" }))).await?;
    bed.seeded("production", &first).await?;

    catalog.tree.replace(&path("oak"), "version: 1.0.0", "version: v2.1")?;
    let second = catalog.push("Break one")?;
    let told = format!("production is now at main@{} (3 unchanged, 1 refused)\n", &second[..7]);
    let seeded = sower(&bed, "seed -e production")?.expect(1)?;
    ensure!(seeded.out.ends_with(&told), "{seeded:?}");
    // It was told before, and is no news.
    let again = sower(&bed, "seed -e production")?.expect(1)?;
    ensure!(again.out.ends_with(&told.replace(" is now ", " is ")), "{again:?}");
    let report = sower(&bed, "seed -e production -q -o json")?.expect(1)?.json()?;
    ensure!(report["unchanged"] == 3 && report["integrationsProcessed"] == 3, "{report}");

    // What never came keeps no row.
    catalog.write("yew", "v1")?;
    let third = catalog.push("Bring a broken one")?;
    let seeded = sower(&bed, "seed -e production")?.expect(1)?;
    let told = format!("main@{} (3 unchanged, 2 refused)\n", &third[..7]);
    ensure!(seeded.out.ends_with(&told), "{seeded:?}");

    // Nor is a file that was emptied.
    catalog.tree.write(&path("elm"), "")?;
    let fourth = catalog.push("Empty one")?;
    let seeded = sower(&bed, "seed -e production")?.expect(1)?;
    let told = format!("main@{} (2 unchanged, 3 refused)\n", &fourth[..7]);
    ensure!(seeded.out.ends_with(&told), "{seeded:?}");
    Ok(())
}

/// A status has room for 20 problems; that there are more is said.
#[tokio::test]
async fn a_list_of_problems_that_ends_early_says_so() -> Result<()> {
    let bed = Bed::make("many").await?;
    let catalog = bed.catalog()?;
    catalog.write("oak", "1.0.0")?;
    for number in 0..30 {
        catalog.write(&format!("ash-{number}"), "v1")?;
    }
    let commit = catalog.push("Bring many broken ones")?;
    bed.environment("production", with(catalog.spec(), json!({ "interval": "1h" }))).await?;
    bed.reason("production", "ManifestsInvalid", &commit).await?;
    let more = "and 10 more invalid manifests: `sower validate` beside the manifests lists every problem\n";
    let seeded = sower(&bed, "seed -e production")?.expect(1)?;
    ensure!(seeded.err.matches("error[").count() == 20 && seeded.err.contains(more), "{}", seeded.err);
    let status = sower(&bed, "status -e production")?.expect(0)?;
    ensure!(status.out.contains(more), "{}", status.out);
    let status = sower(&bed, "status -e production -q -o json")?.expect(0)?.json()?;
    ensure!(status["counts"]["invalid"] == 30, "{status}");
    Ok(())
}
