//! A namespace that goes takes its Environments along, whatever their policy.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use serde_json::json;
use sower_tests::bed::{self, Bed};
use sower_tests::catalog::{Catalog, with};
use sower_tests::control_plane::ControlPlane;
use sower_tests::git_server::{PASSWORD, USER};
use sower_tests::wait::until;

/// The database is away and the namespace is going: the finalizer does not stand in the way.
#[tokio::test]
async fn a_namespace_that_goes_is_not_held_up() -> Result<()> {
    let plane = ControlPlane::leaked().await?;
    plane.apply_crds()?;
    let bed = Bed::on(plane, "home", &["watchNamespaces=null"]).await?;
    let catalog: Catalog = bed.catalog()?;
    let commit = catalog.plant(&["ash"])?;
    let other = plane.namespace("leaving").await?;
    other.secret("catalog-git", &[("username", USER), ("password", PASSWORD)]).await?;
    let mut server = sower_tests::postgres::Postgres::start(sower_tests::postgres::Durability::Lax).await?;
    other.secret("own-database", &[("url", &server.database().await?.url())]).await?;
    let fields =
        json!({ "deletionPolicy": "Delete", "database": { "secretRef": { "name": "own-database" } } });
    bed::environment(&other, "preview", with(catalog.spec(), fields)).await?;
    let api = other.api::<sower_crds::environment::Environment>();
    bed.until("it is seeded", async || {
        let read = api.get("preview").await?;
        let applied = read.status.and_then(|status| status.last_applied_revision).unwrap_or_default();
        ensure!(applied.ends_with(&commit), "{applied}");
        Ok(())
    })
    .await?;
    server.crash()?;
    plane.kubectl(&["delete", "namespace", &other.name, "--wait=false"])?;
    let namespaces: Api<Namespace> = Api::all(plane.client().await?);
    until("the namespace is gone", Duration::from_secs(90), async || {
        let left = namespaces.get_opt(&other.name).await?;
        ensure!(
            left.is_none(),
            "{:?}\n{}",
            left.and_then(|left| left.status),
            bed.operator.process.last_lines()
        );
        Ok(())
    })
    .await
}
