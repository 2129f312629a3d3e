//! The operator's API: consumers ask which version they get, and say what came of it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sower_tests::bed::Bed;

use super::{analysis, last, planted, release, staged, stands};

const TOKEN: &str = "a-token-of-the-api-to-be-kept";

async fn resolve(bed: &Bed, key: &str, token: Option<&str>) -> Result<(u16, Value)> {
    let path = format!("/api/v1/environments/production/integrations/oak/resolve?key={key}");
    let (code, body) = bed.operator.ask("GET", &path, token, None).await?;
    Ok((code, serde_json::from_str(&body).with_context(|| body)?))
}

#[tokio::test]
async fn consumers_ask_and_report_with_a_token() -> Result<()> {
    let mut bed = Bed::make("api").await?;
    bed.namespace.secret("api", &[("token", TOKEN)]).await?;
    bed.upgrade(&["api.tokenSecret=api"])?;
    bed.restart().await?;
    let catalog =
        planted(&bed, staged(json!([{ "weight": 25, "hold": "1s" }, { "weight": 50 }]), analysis())).await?;
    let (code, all) = resolve(&bed, "customer-1", Some(TOKEN)).await?;
    ensure!(code == 200 && all["version"] == "1.0.0", "{code} {all}");
    release(&catalog, "1.1.0")?;
    let row = stands(&bed, "1.1.0", "Progressing", 1).await?;
    let mut had = Vec::new();
    for number in 0..200 {
        let key = format!("customer-{number}");
        let (code, answer) = resolve(&bed, &key, Some(TOKEN)).await?;
        ensure!(code == 200, "{code} {answer}");
        // The same as SQL says.
        let sql = "SELECT sower_resolve('production', 'oak', $1)";
        let version: String = sqlx::query_scalar(sql).bind(&key).fetch_one(&bed.pool).await?;
        ensure!(answer["version"] == version, "{answer} {version}");
        if version == "1.1.0" {
            had.push(key);
        }
    }
    ensure!((25..=75).contains(&had.len()), "{} of 200 with {}", had.len(), row["salt"]);

    let report = json!({ "records": [
        { "environment": "production", "integration": "oak", "version": "1.1.0", "action": "branch-1", "executions": 100, "errors": 0 },
        { "environment": "production", "integration": "oak", "version": "1.0.0", "executions": 300, "errors": 1, "latencyMs": 20.5 },
    ] })
    .to_string();
    let send =
        async |token: Option<&str>| bed.operator.ask("POST", "/api/v1/usage", token, Some(&report)).await;
    for wrong in [None, Some("another-token-of-the-api"), Some("")] {
        let (code, body) = send(wrong).await?;
        ensure!(code == 401 && body.contains("token is missing or wrong"), "{code} {body}");
        ensure!(resolve(&bed, "customer-1", wrong).await?.0 == 401);
    }
    let counted: i64 =
        sqlx::query_scalar("SELECT count(*) FROM integration_usage").fetch_one(&bed.pool).await?;
    ensure!(counted == 0, "who shows no token writes nothing");
    let (code, body) = send(Some(TOKEN)).await?;
    ensure!(code == 200 && body.trim() == r#"{"recorded":2}"#, "{code} {body}");
    // The report lets it go on, and who had the new version keeps it.
    stands(&bed, "1.1.0", "Progressing", 2).await?;
    for key in &had {
        ensure!(resolve(&bed, key, Some(TOKEN)).await?.1["version"] == "1.1.0", "{key}");
    }
    let bad = json!({ "records": [{ "environment": "production", "integration": "oak", "version": "1.1.0", "executions": 1, "errors": 2 }] });
    let (code, body) = bed.operator.ask("POST", "/api/v1/usage", Some(TOKEN), Some(&bad.to_string())).await?;
    ensure!(code == 400 && body.contains("/records/0/errors"), "{code} {body}");
    let nowhere = "/api/v1/environments/nowhere/integrations/oak/resolve?key=a";
    ensure!(bed.operator.ask("GET", nowhere, Some(TOKEN), None).await?.0 == 404);

    let worse = json!({ "records": [{ "environment": "production", "integration": "oak", "version": "1.1.0", "executions": 100, "errors": 50 }] });
    ensure!(bed.operator.ask("POST", "/api/v1/usage", Some(TOKEN), Some(&worse.to_string())).await?.0 == 200);
    stands(&bed, "1.1.0", "RolledBack", 2).await?;
    for key in &had {
        ensure!(resolve(&bed, key, Some(TOKEN)).await?.1["version"] == "1.0.0", "{key}");
    }
    ensure!(last(&bed, "production").await?["weight"] == 0);
    let leaks = bed.leaks(&[TOKEN]).await?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    Ok(())
}
