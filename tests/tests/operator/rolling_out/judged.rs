//! Prometheus servers decide, too.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sower_tests::bed::Bed;
use sower_tests::catalog::with;
use sower_tests::certificates::Certificates;
use sower_tests::process::free_port;
use sower_tests::prometheus::{PASSWORD, Prometheus, USER};

use super::{analysis, command, last, live, planted, release, says, shown, staged, stands, used};

fn asking(query: Value) -> Value {
    staged(json!([{ "weight": 50, "hold": "1s" }]), with(analysis(), json!({ "prometheus": [query] })))
}

#[tokio::test]
async fn the_answer_of_a_server_decides_and_its_secret_is_nowhere() -> Result<()> {
    let bed = Bed::make("asks").await?;
    let certificates = Certificates::make()?;
    let server = Prometheus::guarded(&certificates).await?;
    let ca = certificates.ca_pem()?;
    bed.namespace
        .secret("prometheus", &[("username", USER), ("password", PASSWORD), ("ca.crt", &ca)])
        .await?;
    // Without the version in its place the query has no answer.
    let bad = json!({
        "name": "failing", "address": server.address(), "secretRef": { "name": "prometheus" }, "max": 0.01,
        "query": r#"label_replace(vector(0.5), "version", "{{candidate}}", "", "") and on(version) label_replace(vector(1), "version", "1.1.0", "", "")"#,
    });
    let catalog = planted(&bed, asking(bad.clone())).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    used(&bed, "1.0.0", 100, 0).await?;
    used(&bed, "1.1.0", 100, 0).await?;
    stands(&bed, "1.1.0", "RolledBack", 1).await?;
    let (_, one) = shown(&bed, "1.1.0", "RolledBack").await?;
    ensure!(one.reason.starts_with("failing 0.5, limit"), "{one:?}");
    ensure!(live(&bed).await? == ("1.0.0".into(), None));

    // Whoever shows something wrong learns nothing, and nothing is decided.
    bed.namespace
        .secret(
            "prometheus",
            &[("username", USER), ("password", "another-password-to-be-kept"), ("ca.crt", &ca)],
        )
        .await?;
    release(&catalog, "1.2.0")?;
    stands(&bed, "1.2.0", "Progressing", 1).await?;
    used(&bed, "1.2.0", 100, 0).await?;
    bed.until("a look that is not answered", async || {
        let row = last(&bed, "production").await?;
        let reason = row["analysis"]["reason"].as_str().unwrap_or_default();
        ensure!(reason.contains("rejected the secret prometheus"), "{row}");
        ensure!(row["analysis"]["outcome"] == "inconclusive" && row["state"] == "Progressing", "{row}");
        Ok(())
    })
    .await?;
    let leaks = bed.leaks(&[PASSWORD, "another-password-to-be-kept"]).await?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_decides_nothing() -> Result<()> {
    let bed = Bed::make("deaf").await?;
    let nobody = json!({
        "name": "failing", "address": format!("http://127.0.0.1:{}", free_port()?), "max": 0.01, "query": "vector(0)",
    });
    let catalog = planted(&bed, asking(nobody)).await?;
    release(&catalog, "1.1.0")?;
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    used(&bed, "1.1.0", 100, 0).await?;
    says(&bed, "Healthy", "Unknown", "Inconclusive").await?;
    let row = bed
        .until("a look that is not answered", async || {
            let row = last(&bed, "production").await?;
            let reason = row["analysis"]["reason"].as_str().unwrap_or_default();
            ensure!(reason.contains("127.0.0.1 does not answer"), "{row}");
            Ok(row)
        })
        .await?;
    ensure!(row["state"] == "Progressing" && row["analysis"]["outcome"] == "inconclusive", "{row}");
    // What is known besides decides where it is bad.
    used(&bed, "1.1.0", 100, 60).await?;
    stands(&bed, "1.1.0", "RolledBack", 1).await?;

    // One that answers well lets it through.
    let server = Prometheus::start().await?;
    let good = json!({ "name": "failing", "address": server.address(), "max": 0.01, "query": "vector(0)" });
    bed.environment("production", with(catalog.spec(), asking(good))).await?;
    ensure!(!command(&bed, "oak=retry").await?.failed);
    stands(&bed, "1.1.0", "Progressing", 1).await?;
    used(&bed, "1.1.0", 100, 0).await?;
    stands(&bed, "1.1.0", "Completed", 2).await?;
    Ok(())
}
