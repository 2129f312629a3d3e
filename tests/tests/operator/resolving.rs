//! The API of the operator: which version a consumer gets, and what it reports, over the databases of the Environments.

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sower_tests::bed::{LIMIT, environment};
use sower_tests::catalog::{Catalog, GIT_SECRET};
use sower_tests::control_plane::ControlPlane;
use sower_tests::git_server::{self, GitServer};
use sower_tests::operator::Operator;
use sower_tests::postgres::Postgres;
use sower_tests::wait::until;

const TOKEN: &str = "an-api-token-to-be-kept-0123456789";

/// One operator, two namespaces that have an Environment of one name, and a third name that only one has.
#[tokio::test]
async fn the_api_answers_for_the_environments_of_the_cluster() -> Result<()> {
    let plane = ControlPlane::with_crds().await?;
    let (namespace, other) = (plane.namespace("api").await?, plane.namespace("api-other").await?);
    namespace.secret("api-token", &[("token", TOKEN)]).await?;
    let credentials = [("username", git_server::USER), ("password", git_server::PASSWORD)];
    namespace.secret(GIT_SECRET, &credentials).await?;
    let database = Postgres::shared().await?.database().await?;
    let watched = format!("watchNamespaces={{{},{}}}", namespace.name, other.name);
    let operator =
        Operator::install(&namespace, &database, &["api.tokenSecret=api-token", watched.as_str()]).await?;
    let catalog = Catalog::create(GitServer::shared().await?, &namespace.name)?;
    catalog.plant(&["oak"])?;
    environment(&namespace, "production", catalog.spec()).await?;

    let ask = async |environment: &str, more: &str| -> Result<(u16, Value)> {
        let path = format!("/api/v1/environments/{environment}/integrations/{more}");
        let (status, body) = operator.ask("GET", &path, Some(TOKEN), None).await?;
        Ok((status, serde_json::from_str(&body)?))
    };
    until("oak is there", LIMIT, async || {
        let (status, body) = ask("production", "oak/resolve?key=key").await?;
        ensure!(status == 200 && body["version"] == "1.0.0" && body["reason"] == "stable", "{status} {body}");
        Ok(())
    })
    .await?;
    let full = format!("{}%2Fproduction", namespace.name);
    ensure!(ask(&full, "oak/resolve?key=key").await?.0 == 200);
    let beside = format!("oak/resolve?key=key&namespace={}", namespace.name);
    ensure!(ask("production", &beside).await?.0 == 200);
    for (environment, question, expected) in [
        ("production", "yew/resolve?key=key", 404),
        ("nowhere", "oak/resolve?key=key", 404),
        ("elsewhere%2Fproduction", "oak/resolve?key=key", 404),
        ("production", "oak/resolve", 400),
    ] {
        let (status, body) = ask(environment, question).await?;
        ensure!(status == expected && body["error"].is_string(), "{environment} {question}: {status} {body}");
    }
    let (status, body) =
        operator.get("/api/v1/environments/production/integrations/oak/resolve?key=key").await?;
    ensure!(status == 401 && !body.contains(TOKEN), "{status} {body}");
    ensure!(operator.get("/metrics").await?.0 == 200);

    let pool = database.connect().await?;
    sqlx::raw_sql(
        "INSERT INTO integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, to_checksum, \
         variants, salt, step, weight, state, strategy, progress, source, path, revision, seeding, started_at, step_started_at, \
         updated_at) VALUES ('1', 'production', 'oak', '1.0.0', 'a', '1.1.0', 'b', \
         '[{\"version\": \"1.1.0\", \"checksum\": \"b\", \"weight\": 1000}]', 'salt', 1, 1000, 'Paused', '{}', '{}', 's', 'p', 'r', \
         's', now(), now(), now())",
    )
    .execute(&pool)
    .await?;
    let (status, body) = ask("production", "oak/resolve?key=key").await?;
    ensure!(status == 200 && body["version"] == "1.1.0" && body["bucket"] == 194, "{status} {body}");

    let report = |environment: &str| {
        let record =
            json!({ "environment": environment, "integration": "oak", "version": "1.0.0", "executions": 3 });
        json!({ "records": [record] }).to_string()
    };
    let recorded = operator.ask("POST", "/api/v1/usage", Some(TOKEN), Some(&report("production"))).await?;
    ensure!(recorded.0 == 200, "{recorded:?}");
    let recorded = operator
        .ask("POST", "/api/v1/usage", Some(TOKEN), Some(&report(&format!("{}/production", namespace.name))))
        .await?;
    ensure!(recorded.0 == 200, "{recorded:?}");
    let counted: i64 = sqlx::query_scalar(
        "SELECT sum(execution_count)::bigint FROM integration_usage WHERE environment = 'production' AND version = '1.0.0'",
    )
    .fetch_one(&pool)
    .await?;
    ensure!(counted == 6, "{counted}");

    // One name, two namespaces: which is meant has to be said.
    environment(
        &other,
        "production",
        json!({ "sources": [{ "name": "cluster", "cluster": {} }], "suspend": true }),
    )
    .await?;
    until("there are two", LIMIT, async || {
        let (status, body) = ask("production", "oak/resolve?key=key").await?;
        let choices = json!([format!("{}/production", namespace.name), format!("{}/production", other.name)]);
        ensure!(status == 409 && body["choices"] == choices, "{status} {body}");
        Ok(())
    })
    .await?;
    ensure!(ask(&full, "oak/resolve?key=key").await?.0 == 200);
    ensure!(!operator.process.log().contains(TOKEN), "the log holds the token");
    Ok(())
}
