//! Rollbacks by annotation: obeyed once, told, and not undone by a later reconcile.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sower_crds::environment::{Environment, RollbackStatus};
use sower_crds::{ROLLBACK, ROLLED_BACK_BY};
use sower_tests::bed::{Bed, condition, told};
use sower_tests::catalog::{Catalog, with};
use sower_tests::sower::Sower;
use sower_tests::tables::Tables;

/// Applies annotations as a tool of GitOps does; null takes one away.
async fn annotate(bed: &Bed, annotations: Value) -> Result<()> {
    let params = PatchParams { field_manager: Some("gitops".into()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "metadata": { "annotations": annotations } }));
    bed.namespace.api::<Environment>().patch("production", &params, &patch).await?;
    Ok(())
}

/// Asks for a rollback and waits until it is answered.
async fn roll_back(bed: &Bed, wish: &str) -> Result<RollbackStatus> {
    annotate(bed, json!({ ROLLBACK: wish })).await?;
    bed.until(&format!("the answer to {wish}"), async || {
        let read = bed.read("production").await?;
        let answer = read.status.as_ref().and_then(|status| status.rollback.clone());
        answer.filter(|answer| answer.last_handled == wish).with_context(|| told(&read))
    })
    .await
}

/// Waits until Ready says this.
async fn says(bed: &Bed, message: &str) -> Result<Environment> {
    bed.until(message, async || {
        let read = bed.read("production").await?;
        let ready = condition(&read, "Ready").with_context(|| told(&read))?;
        ensure!(ready.message == message && ready.status == "True", "{}", told(&read));
        Ok(read)
    })
    .await
}

fn versions<const N: usize>(expected: [(&str, &str); N]) -> BTreeMap<String, String> {
    expected.map(|(id, version)| (id.to_owned(), version.to_owned())).into()
}

/// What is kept out: integration and version, or `absent`.
fn kept_out(tables: &Tables) -> Vec<String> {
    let open = tables.rows("integration_quarantine").filter(|row| row.columns["lifted_at"].is_null());
    let told = |version: &str| if version.is_empty() { "absent".to_owned() } else { version.to_owned() };
    let mut all: Vec<String> =
        open.map(|row| format!("{} {}", row.text("integration_id"), told(row.text("version")))).collect();
    all.sort();
    all
}

fn short(commit: &str) -> String {
    format!("main@{}", &commit[..7])
}

/// Two seedings: ash, elm and oak; then ash goes, oak is 1.1.0 and yew comes.
async fn two_seedings(bed: &Bed) -> Result<(Catalog, Value, String, String)> {
    let catalog = bed.catalog()?;
    let first = catalog.plant(&["ash", "elm", "oak"])?;
    let spec = with(catalog.spec(), json!({ "pruneLimit": "100%" }));
    bed.environment("production", spec.clone()).await?;
    bed.seeded("production", &first).await?;
    catalog.fell("ash")?;
    catalog.write("oak", "1.1.0")?;
    catalog.write("yew", "1.0.0")?;
    let second = catalog.push("More")?;
    bed.seeded("production", &second).await?;
    Ok((catalog, spec, first, second))
}

#[tokio::test]
async fn a_rollback_is_obeyed_once_and_holds_until_something_newer_arrives() -> Result<()> {
    let mut bed = Bed::make("rollback").await?;
    let (catalog, spec, first, second) = two_seedings(&bed).await?;
    // Neither a freeze nor the prune limit holds it.
    let always = json!([{ "schedule": "* * * * *", "duration": "24h" }]);
    let frozen = with(spec.clone(), json!({ "freezeWindows": always, "pruneLimit": 0 }));
    bed.environment("production", frozen).await?;
    annotate(&bed, json!({ ROLLED_BACK_BY: "jane" })).await?;
    let answer = roll_back(&bed, "1").await?;
    let message = format!(
        "Rolled production back to seeding 1 ({}), as seeding 3: 1 created, 1 updated, 1 deleted",
        short(&first)
    );
    ensure!(answer.message == message && answer.seeding == Some(3) && !answer.failed, "{answer:?}");
    let read = says(&bed, &format!("Seeded {}; 3 quarantined", short(&second))).await?;
    let counts = read.status.as_ref().and_then(|status| status.counts).context("counts")?;
    ensure!(counts.quarantined == 3 && counts.integrations == 3, "{counts:?}");
    bed.told("production", "RolledBack", &message).await?;
    let before = bed.tables().await?;
    let old = versions([("ash", "1.0.0"), ("elm", "1.0.0"), ("oak", "1.0.0")]);
    ensure!(before.carried("production") == old, "{:?}", before.carried("production"));
    ensure!(kept_out(&before) == ["ash absent", "oak 1.1.0", "yew 1.0.0"], "{:?}", kept_out(&before));
    let log = before.log("production");
    let last = log.last().context("a log row")?;
    ensure!(last.text("reason") == "rollback to 1 by jane", "{last:?}");
    ensure!(last.columns["revision"]["catalog"].as_str().is_some_and(|at| at.ends_with(&first)), "{last:?}");

    // Applied again, across a restart and for whoever leads next: it is done.
    bed.environment("production", spec.clone()).await?;
    annotate(&bed, json!({ ROLLBACK: "1" })).await?;
    bed.restart().await?;
    bed.reconcile("production").await?;
    let log = |tables: &Tables| tables.log("production").len();
    let after = bed.tables().await?;
    ensure!(after.carried("production") == old && log(&after) == log(&before));
    // Even if its status was never written, as by a process that died before it could.
    let lost = Patch::Merge(json!({ "status": { "rollback": null } }));
    let api = bed.namespace.api::<Environment>();
    api.patch_status("production", &PatchParams::default(), &lost).await?;
    bed.reconcile("production").await?;
    let read = bed.read("production").await?;
    ensure!(read.status.and_then(|status| status.rollback) == Some(answer), "the answer is in the database");
    ensure!(log(&bed.tables().await?) == log(&before));

    // Other content of one of them is taken; the others stay out.
    catalog.write("oak", "1.2.0")?;
    let third = catalog.push("oak: mended")?;
    bed.seeded("production", &third).await?;
    let tables = bed.tables().await?;
    let mended = versions([("ash", "1.0.0"), ("elm", "1.0.0"), ("oak", "1.2.0")]);
    ensure!(tables.carried("production") == mended, "{:?}", tables.carried("production"));
    ensure!(kept_out(&tables) == ["ash absent", "yew 1.0.0"], "{:?}", kept_out(&tables));

    // Taken back, git's word counts again.
    let undone = roll_back(&bed, "undo").await?;
    ensure!(undone.message.ends_with("no longer in quarantine: ash, yew"), "{undone:?}");
    says(&bed, &format!("Seeded {}", short(&third))).await?;
    let tables = bed.tables().await?;
    let new = versions([("elm", "1.0.0"), ("oak", "1.2.0"), ("yew", "1.0.0")]);
    ensure!(tables.carried("production") == new, "{:?}", tables.carried("production"));
    ensure!(kept_out(&tables).is_empty(), "{:?}", kept_out(&tables));
    ensure!(tables.log("production").last().is_some_and(|row| row.text("reason") == "rollback undone"));

    // An answer that never reached the status, and of which the question is gone, is none to the same question later.
    annotate(&bed, json!({ ROLLBACK: null })).await?;
    bed.until("nothing is asked", async || {
        let read = bed.read("production").await?;
        ensure!(read.status.is_some_and(|status| status.rollback.is_none()));
        Ok(())
    })
    .await?;
    let left = r#"{"request":"undo","message":"long ago"}"#;
    sqlx::query("UPDATE environments SET rollback = $1::json").bind(left).execute(&bed.pool).await?;
    bed.restart().await?;
    bed.reconcile("production").await?;
    let undone = roll_back(&bed, "undo").await?;
    ensure!(undone.message.starts_with("Nothing to undo"), "{undone:?}");
    Ok(())
}

#[tokio::test]
async fn one_integration_is_rolled_back_and_what_cannot_be_had_is_said() -> Result<()> {
    let bed = Bed::make("backone").await?;
    let (catalog, _, _, second) = two_seedings(&bed).await?;
    let answer = roll_back(&bed, "oak=1.0.0").await?;
    ensure!(
        answer.message.starts_with("Rolled oak of production back to 1.0.0, as seeding 3: "),
        "{answer:?}"
    );
    says(&bed, &format!("Seeded {}; 1 quarantined", short(&second))).await?;
    let tables = bed.tables().await?;
    let now = versions([("elm", "1.0.0"), ("oak", "1.0.0"), ("yew", "1.0.0")]);
    ensure!(tables.carried("production") == now, "{:?}", tables.carried("production"));
    let reason = tables.log("production").last().map(|row| row.text("reason").to_owned());
    ensure!(reason.as_deref() == Some("rollback of oak to 1.0.0 by gitops"), "{reason:?}");

    for (wish, why) in [
        ("99", "production has no seeding 99: its last one is 3"),
        ("main@0123456", "no seeding of production stood at main@0123456"),
        ("oak=9.9.9", "production never carried oak 9.9.9; it had 1.0.0, 1.1.0"),
        ("oak=", "`oak=` is no seeding and no revision, as `sower history` shows them"),
    ] {
        let answer = roll_back(&bed, wish).await?;
        ensure!(answer.failed && answer.seeding.is_none() && answer.message == why, "{answer:?}");
        bed.told("production", "RollbackFailed", &format!("No rollback: {why}")).await?;
        let log = bed.tables().await?;
        let last = log.log("production").last().map(|row| row.columns.clone()).context("a log row")?;
        ensure!(last["status"] == "failed" && last["errors"][0]["message"] == why, "{last}");
    }
    // The seeding went on as before, and goes on.
    catalog.write("elm", "1.1.0")?;
    let third = catalog.push("elm: more")?;
    bed.seeded("production", &third).await?;
    ensure!(bed.tables().await?.carried("production")["elm"] == "1.1.0");

    // Once nobody asks any more, the same may be asked again.
    annotate(&bed, json!({ ROLLBACK: null })).await?;
    bed.until("nothing is asked", async || {
        let read = bed.read("production").await?;
        ensure!(read.status.is_some_and(|status| status.rollback.is_none()));
        Ok(())
    })
    .await?;
    let answer = roll_back(&bed, "oak=1.0.0").await?;
    ensure!(answer.message == "Nothing to do: oak of production is at 1.0.0", "{answer:?}");
    let undone = roll_back(&bed, "oak=undo").await?;
    ensure!(!undone.failed, "{undone:?}");
    says(&bed, &format!("Seeded {}", short(&third))).await?;
    ensure!(bed.tables().await?.carried("production")["oak"] == "1.1.0");
    Ok(())
}

/// The source cannot be read: the way back is in the database.
#[tokio::test]
async fn the_command_line_asks_the_operator_though_git_is_away() -> Result<()> {
    let bed = Bed::make("backcli").await?;
    let (catalog, spec, first, second) = two_seedings(&bed).await?;
    let folder = tempfile::tempdir()?;
    let namespace = bed.namespace.name.clone();
    let sower = || -> Result<Sower> {
        let call = Sower::within(folder.path())?.env("KUBECONFIG", bed.plane.admin_kubeconfig());
        Ok(call.env("SOWER_DATABASE_URL", bed.database.url()).env("USER", "jane"))
    };
    catalog.repository.hide(true)?;
    let to = short(&first);
    let ran = sower()?.run(&["rollback", "-e", "production", "--to", &to, "-n", &namespace])?.expect(0)?;
    let left = short(&second);
    let expect = format!(
        "+ ash 1.0.0\n~ oak 1.1.0 -> 1.0.0\n- yew 1.0.0\n\
         Rolled production back to seeding 1 ({to}), as seeding 3: 1 created, 1 updated, 1 deleted in TOOK\n\
         {left} stays out until something newer arrives. Take it back: sower rollback -e production --undo -n {namespace}\n"
    );
    let (head, tail) = expect.split_once("TOOK").context("a time")?;
    ensure!(ran.out.starts_with(head) && ran.out.ends_with(tail), "{}", ran.out);
    ensure!(ran.err.contains("asked the operator; waiting"), "{}", ran.err);
    let old = versions([("ash", "1.0.0"), ("elm", "1.0.0"), ("oak", "1.0.0")]);
    ensure!(bed.tables().await?.carried("production") == old);
    catalog.repository.hide(false)?;
    bed.seeded("production", &second).await?;
    ensure!(bed.tables().await?.carried("production") == old);
    let listed = sower()?.run(&["get", "quarantine", "-n", &namespace, "-o", "json"])?.expect(0)?;
    let listed: Value = serde_json::from_str(&listed.out)?;
    ensure!(listed.as_array().is_some_and(|all| all.len() == 3), "{listed}");
    let explained = sower()?.run(&["explain", "yew", "-e", "production", "-n", &namespace])?.expect(0)?;
    ensure!(explained.out.contains("quarantined   rolled back by seeding 3"), "{}", explained.out);

    // The same again is another request, and nothing to do.
    let again = sower()?.run(&["rollback", "-e", "production", "--to", "1", "-n", &namespace])?.expect(0)?;
    ensure!(again.out == format!("Nothing to do: production is at seeding 1 ({to})\n"), "{}", again.out);
    let failed = sower()?.run(&["rollback", "-e", "production", "--to", "9", "-n", &namespace])?.expect(1)?;
    ensure!(failed.err.contains("error: production has no seeding 9: its last one is 3"), "{}", failed.err);
    let undone = sower()?.run(&["rollback", "-e", "production", "--undo", "-n", &namespace])?.expect(0)?;
    ensure!(undone.out.ends_with(&format!("production: Seeded {left}\n")), "{}", undone.out);
    let new = versions([("elm", "1.0.0"), ("oak", "1.1.0"), ("yew", "1.0.0")]);
    ensure!(bed.tables().await?.carried("production") == new);

    bed.environment("production", with(spec, json!({ "suspend": true }))).await?;
    let refused =
        sower()?.run(&["rollback", "-e", "production", "--to", "1", "-n", &namespace])?.expect(4)?;
    ensure!(refused.err.contains("refused: production is suspended"), "{}", refused.err);
    ensure!(bed.tables().await?.carried("production") == new);
    Ok(())
}
