//! Broken manifests among good ones.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sower_crds::environment::Environment;
use sower_tests::bed::{Bed, condition, ensure_with, told};
use sower_tests::catalog::{path, with};
use sower_tests::sower::Sower;

#[tokio::test]
async fn e2e_05_a_broken_manifest_is_named_and_the_others_come_in() -> Result<()> {
    let bed = Bed::make("broken").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "elm", "fir", "oak", "yew"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;

    // One is broken, one changes, one comes, one goes: what cannot be told from gone is not pruned.
    catalog.tree.replace(&path("oak"), "version: 1.0.0", "version: v2.1")?;
    catalog.write("ash", "1.1.0")?;
    catalog.write("box", "1.0.0")?;
    catalog.tree.write(
        "integrations/nameless/integration.yaml",
        "id: [not, an, id]\nname: Nameless\nversion: 1.0.0\n",
    )?;
    catalog.fell("fir")?;
    let broken = catalog.push("Break")?;
    let read = bed.reason("production", "ManifestsInvalid", &broken).await?;
    ensure_with(&read, Some("Stalled"))?;
    let ready = condition(&read, "Ready").context("Ready")?;
    ensure!(ready.status == "False", "{}", told(&read));
    ensure!(
        ready.message.contains("manifests are invalid") && ready.message.contains("integration.yaml:"),
        "{}",
        ready.message
    );
    ensure!(ready.message.chars().count() <= 100, "{}", ready.message);
    let failures = &read.status.as_ref().context("status")?.failures;
    let of = |code: &str| failures.iter().find(|failure| failure.code == code);
    let bad = of("bad-version").with_context(|| format!("{failures:?}"))?;
    ensure!(
        bad.integration.as_deref() == Some("oak")
            && bad.location.as_deref() == Some("integrations/oak/integration.yaml:3:10"),
        "{bad:?}"
    );
    ensure!(
        failures.iter().any(|f| f
            .location
            .as_deref()
            .is_some_and(|at| at.starts_with("integrations/nameless/integration.yaml:1:"))),
        "{failures:?}"
    );
    let tables = bed.tables().await?;
    let carried: Vec<_> =
        tables.carried("production").into_iter().map(|(id, version)| format!("{id} {version}")).collect();
    ensure!(
        carried == ["ash 1.1.0", "box 1.0.0", "elm 1.0.0", "fir 1.0.0", "oak 1.0.0", "yew 1.0.0"],
        "{carried:?}"
    );
    let refused: Vec<_> = tables
        .rows("integration_manifests")
        .filter(|row| row.text("status") == "error")
        .map(|row| row.text("path").to_owned())
        .collect();
    ensure!(refused.len() == 2, "{refused:?}");
    bed.until("the event", async || {
        let events = bed.events("Environment", "production").await?;
        let told = events.iter().any(|(reason, text)| {
            reason == "ManifestsInvalid"
                && text.contains("integrations/oak/integration.yaml:3:10")
                && text.contains("oak keeps 1.0.0")
        });
        ensure!(told, "{events:?}");
        Ok(())
    })
    .await?;

    // Asked for again it is the same, and told no second time.
    let events = bed.events("Environment", "production").await?;
    let again = bed.reconcile("production").await?;
    let failures = |read: &Environment| read.status.as_ref().map(|status| status.failures.clone());
    ensure!(failures(&again) == failures(&read), "{:?}", failures(&again));
    ensure!(told(&again) == told(&read), "{} instead of {}", told(&again), told(&read));
    let now = bed.events("Environment", "production").await?;
    ensure!(now == events, "{now:?} instead of {events:?}");

    catalog.tree.replace(&path("oak"), "version: v2.1", "version: 2.1.0")?;
    catalog.fell("nameless")?;
    let mended = catalog.push("Mend")?;
    let read = bed.seeded("production", &mended).await?;
    ensure_with(&read, None)?;
    let status = read.status.unwrap_or_default();
    ensure!(
        status.failures.is_empty() && status.counts.is_some_and(|counts| counts.invalid == 0),
        "{status:?}"
    );
    let carried: Vec<_> = bed
        .tables()
        .await?
        .carried("production")
        .into_iter()
        .map(|(id, version)| format!("{id} {version}"))
        .collect();
    ensure!(carried == ["ash 1.1.0", "box 1.0.0", "elm 1.0.0", "oak 2.1.0", "yew 1.0.0"], "{carried:?}");
    Ok(())
}

/// `strict` refuses the whole revision.
#[tokio::test]
async fn e2e_05_strict_holds_the_whole_revision() -> Result<()> {
    let bed = Bed::make("strict").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", with(catalog.spec(), json!({ "strict": true }))).await?;
    bed.seeded("production", &first).await?;
    let before = bed.tables().await?;
    catalog.tree.replace(&path("oak"), "version: 1.0.0", "version: soon")?;
    catalog.write("ash", "1.1.0")?;
    let broken = catalog.push("Break")?;
    let read = bed.reason("production", "ManifestsInvalid", &broken).await?;
    ensure!(
        read.status.as_ref().is_some_and(|status| status
            .last_applied_revision
            .as_deref()
            .is_some_and(|at| at.ends_with(&first))),
        "{}",
        told(&read)
    );
    let stalled = condition(&read, "Stalled").context("Stalled")?;
    ensure!(stalled.message.ends_with("so nothing is written until then"), "{}", stalled.message);
    ensure!(bed.tables().await?.carried("production") == before.carried("production"));

    // Whoever asks for it hears the same.
    let folder = tempfile::tempdir()?;
    let kubeconfig = bed.plane.admin_kubeconfig();
    let at = ["seed", "-e", "production", "-n", &bed.namespace.name];
    let asked = Sower::within(folder.path())?.env("KUBECONFIG", &kubeconfig).run(&at)?.expect(1)?;
    ensure!(asked.out.is_empty() && !asked.err.contains("the rest is in"), "{}{}", asked.out, asked.err);
    let nothing = "error: 1 of 2 manifests is invalid, and production is strict. Nothing was written.\n";
    ensure!(asked.err.contains(nothing), "{}", asked.err);
    Ok(())
}

/// Garbage in every form is named, and takes nothing down.
#[tokio::test]
async fn e2e_05_garbage_is_named_and_takes_nothing_down() -> Result<()> {
    let bed = Bed::make("garbage").await?;
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "oak"])?;
    bed.environment("production", catalog.spec()).await?;
    bed.seeded("production", &first).await?;
    let bomb = (0..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, i| {
        format!("{text}a{}: &a{} [*a{i}, *a{i}]\n", i + 1, i + 1)
    });
    let files: [(&str, Vec<u8>); 6] = [
        ("bomb", bomb.into_bytes()),
        ("binary", (0..=255).cycle().take(5_000).collect()),
        ("deep", "[".repeat(100_000).into_bytes()),
        ("large", vec![b'#'; 6 << 20]),
        ("syntax", b"id: {\n".to_vec()),
        ("twice", b"id: twice\nid: twice\nname: Twice\nversion: 1.0.0\n".to_vec()),
    ];
    for (name, bytes) in &files {
        catalog.tree.write(&path(name), bytes)?;
    }
    catalog.write("elm", "1.0.0")?;
    let broken = catalog.push("Garbage")?;
    let read = bed.reason("production", "ManifestsInvalid", &broken).await?;
    let failures = read.status.unwrap_or_default().failures;
    for (name, _) in &files {
        let file = path(name);
        ensure!(
            failures.iter().any(|f| f.location.as_deref().is_some_and(|at| at.starts_with(&file))),
            "{name}: {failures:?}"
        );
    }
    let carried: Vec<_> = bed.tables().await?.carried("production").into_keys().collect();
    ensure!(carried == ["ash", "elm", "oak"], "{carried:?}");
    Ok(())
}
