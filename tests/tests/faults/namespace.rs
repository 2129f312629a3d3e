//! A namespace that goes takes its Environments along, whatever their policy.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::Role;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;
use sower_crds::Environment;
use sower_tests::bed::{self, Bed};
use sower_tests::catalog::{Catalog, with};
use sower_tests::control_plane::ControlPlane;
use sower_tests::git_server::{PASSWORD, USER};
use sower_tests::process::Signal;
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
    let api = other.api::<Environment>();
    bed.until("it is seeded", async || {
        let read = api.get("preview").await?;
        let applied = read.status.and_then(|status| status.last_applied_revision).unwrap_or_default();
        ensure!(applied.ends_with(&commit), "{applied}");
        Ok(())
    })
    .await?;
    server.crash()?;
    plane.kubectl(&["delete", "namespace", &other.name, "--wait=false"])?;
    gone(&bed, &other.name).await
}

/// Where the chart names the namespace, its Role may go before the Environments: only one with `deletionPolicy: Delete`
/// is left then, and what docs/troubleshooting.md says lets it go.
#[tokio::test]
async fn a_namespace_whose_role_goes_first_keeps_what_wants_its_rows_deleted() -> Result<()> {
    let plane = ControlPlane::leaked().await?;
    plane.apply_crds()?;
    let other = plane.namespace("leaving").await?;
    let mut bed = Bed::on(plane, "home", &[]).await?;
    bed.upgrade(&[&format!("watchNamespaces={{{},{}}}", bed.namespace.name, other.name)])?;
    bed.restart().await?;
    let spec = json!({ "interval": "1h" });
    bed::environment(&other, "preview", with(spec.clone(), json!({ "deletionPolicy": "Delete" }))).await?;
    bed::environment(&other, "production", spec).await?;
    let api = other.api::<Environment>();
    bed.until("the finalizer is there", async || {
        let finalizers = api.get("preview").await?.metadata.finalizers;
        ensure!(finalizers == Some(vec!["sower.dev/rows".into()]), "{finalizers:?}");
        Ok(())
    })
    .await?;
    bed.operator.process.signal(Signal::STOP)?;
    plane.kubectl(&["delete", "namespace", &other.name, "--wait=false"])?;
    bed.until("the Role is gone, and the Environment without finalizer", async || {
        let roles = other.api::<Role>().list(&ListParams::default()).await?.items.len();
        let left: Vec<_> =
            api.list(&ListParams::default()).await?.items.iter().map(|e| e.name_any()).collect();
        ensure!(roles == 0 && left == ["preview"], "{roles} roles, {left:?}");
        Ok(())
    })
    .await?;
    bed.operator.process.signal(Signal::CONT)?;
    bed.until("the operator is refused", async || {
        let log = bed.operator.process.log();
        ensure!(log.contains("the API server does not do as it is asked"), "{log}");
        Ok(())
    })
    .await?;
    let patch = r#"{"metadata":{"finalizers":null}}"#;
    other.kubectl(&["patch", "env/preview", "--type=merge", "-p", patch])?;
    gone(&bed, &other.name).await
}

async fn gone(bed: &Bed, name: &str) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(bed.plane.client().await?);
    until("the namespace is gone", Duration::from_secs(90), async || {
        let left = namespaces.get_opt(name).await?;
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
