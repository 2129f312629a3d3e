//! helm install, upgrade with changed definitions, uninstall, install again.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use sower_crds::environment::Environment;
use sower_tests::bed::{database_secret, environment, told};
use sower_tests::catalog::{Catalog, GIT_SECRET};
use sower_tests::control_plane::ControlPlane;
use sower_tests::git_server::{self, GitServer};
use sower_tests::namespace::Namespace;
use sower_tests::operator::{CHART, DATABASE_SECRET, NAME, Operator};
use sower_tests::postgres::Postgres;
use sower_tests::process::folder;
use sower_tests::tables::Tables;
use sower_tests::wait::until;

/// Waits until an Environment is Seeded at a commit.
pub async fn seeded(
    namespace: &Namespace,
    operator: &Operator,
    name: &str,
    commit: &str,
) -> Result<Environment> {
    until(&format!("{name} is seeded at {commit}"), sower_tests::bed::LIMIT, async || {
        let read = namespace.api::<Environment>().get(name).await?;
        let status = read.status.as_ref().context("no status")?;
        let applied = status.last_applied_revision.as_deref().unwrap_or_default();
        let ready = status
            .conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True" && c.reason == "Seeded");
        ensure!(ready && applied.ends_with(commit), "{}", told(&read));
        Ok(read)
    })
    .await
    .with_context(|| operator.process.last_lines())
}

fn definition(plane: &ControlPlane, name: &str) -> Result<Value> {
    Ok(serde_json::from_str(&plane.kubectl(&["get", "crd", name, "-o", "json"])?)?)
}

/// The chart with a further field and a further column in the definition of Environment.
fn changed_chart() -> Result<std::path::PathBuf> {
    let chart = folder("chart")?;
    let copied =
        std::process::Command::new("cp").arg("-R").arg(Path::new(CHART).join(".")).arg(&chart).status()?;
    ensure!(copied.success(), "cp: {copied}");
    let file = chart.join("files/crds/environments.sower.dev.yaml");
    let mut crd: Value = serde_saphyr::from_str(&std::fs::read_to_string(&file)?)?;
    let version = &mut crd["spec"]["versions"][0];
    let column = json!({ "name": "Note", "type": "string", "jsonPath": ".spec.note", "priority": 1 });
    version["additionalPrinterColumns"].as_array_mut().context("columns")?.push(column);
    version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["note"] =
        json!({ "type": "string", "maxLength": 10 });
    std::fs::write(&file, crd.to_string())?;
    Ok(chart)
}

#[tokio::test]
async fn e2e_10_install_upgrade_with_changed_crds_uninstall_and_install_again() -> Result<()> {
    let plane = ControlPlane::leaked().await?;
    let namespace = plane.namespace("install").await?;
    namespace.kubectl(&[
        "label",
        "namespace",
        &namespace.name,
        "pod-security.kubernetes.io/enforce=restricted",
    ])?;
    let database = Postgres::shared().await?.database().await?;
    let pool = database.connect().await?;
    database_secret(&namespace, &database).await?;
    let secret = format!("database.secretRef.name={DATABASE_SECRET}");
    let installed = namespace.helm(&["install", NAME, CHART, "--set", &secret])?;
    let note =
        "Sower 0.1.0: 2 replicas, rows in PostgreSQL (secret sower-database, key url). No Environment yet.";
    ensure!(installed.contains(note), "{installed}");
    ensure!(
        installed.contains(&format!("kubectl -n {} rollout status deploy/sower", namespace.name)),
        "{installed}"
    );
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
    until("two Pods pass the restricted standard", sower_tests::bed::LIMIT, async || {
        let pods = namespace.api::<Pod>().list(&Default::default()).await?.items.len();
        ensure!(pods == 2, "{pods} Pods: {}", namespace.kubectl(&["get", "events"])?);
        Ok(())
    })
    .await?;

    let git = GitServer::shared().await?;
    namespace
        .secret(GIT_SECRET, &[("username", git_server::USER), ("password", git_server::PASSWORD)])
        .await?;
    let catalog = Catalog::create(git, &namespace.name)?;
    let first = catalog.plant(&["ash", "oak"])?;
    environment(&namespace, "production", catalog.spec()).await?;
    let operator = Operator::replica(&namespace, "sower-0").await?;
    seeded(&namespace, &operator, "production", &first).await?;

    let chart = changed_chart()?;
    let chart = chart.to_string_lossy();
    let upgraded = namespace.helm(&["upgrade", NAME, &chart, "--reuse-values"])?;
    ensure!(
        !upgraded.contains("No Environment yet") && !upgraded.contains("kind: Environment"),
        "{upgraded}"
    );
    let crd = definition(plane, "environments.sower.dev")?;
    let columns = &crd["spec"]["versions"][0]["additionalPrinterColumns"];
    ensure!(
        columns.as_array().is_some_and(|all| all.iter().any(|column| column["name"] == "Note")),
        "{columns}"
    );
    // Only tried: this operator does not know the field.
    let file = folder("note")?.join("environment.yaml");
    std::fs::write(
        &file,
        "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: { name: noted }\nspec: { note: new }\n",
    )?;
    let file = file.to_string_lossy().into_owned();
    until("the new field is served", sower_tests::bed::LIMIT, async || {
        namespace.kubectl(&["create", "--dry-run=server", "--validate=strict", "-f", &file]).map(drop)
    })
    .await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("Raise")?;
    seeded(&namespace, &operator, "production", &second).await?;

    operator.process.stop()?;
    let before = Tables::read(&pool).await?;
    namespace.helm(&["uninstall", NAME])?;
    ensure!(namespace.api::<Deployment>().get_opt(NAME).await?.is_none());
    for name in ["environments.sower.dev", "integrations.sower.dev"] {
        definition(plane, name)?;
    }
    namespace.api::<Environment>().get("production").await?;
    ensure!(Tables::read(&pool).await? == before, "uninstalling changed rows");
    let left = plane.kubectl(&["get", "clusterroles,clusterrolebindings", "-o", "name"])?;
    ensure!(!left.contains("/sower"), "{left}");

    // What stayed belongs to the next release of the same name, which goes on where this one stopped.
    namespace.helm(&["install", NAME, CHART, "--set", &secret])?;
    let operator = Operator::replica(&namespace, "sower-0").await?;
    sower_tests::bed::request(&namespace, "production").await?;
    catalog.write("oak", "1.2.0")?;
    let third = catalog.push("Raise again")?;
    seeded(&namespace, &operator, "production", &third).await?;
    ensure!(Tables::read(&pool).await?.log("production").len() == 3);

    // Who says so loses the definitions too, and with them the resources; never a row.
    operator.process.stop()?;
    let before = Tables::read(&pool).await?.carried("production");
    namespace.helm(&["upgrade", NAME, CHART, "--reuse-values", "--set", "crds.keep=false"])?;
    namespace.helm(&["uninstall", NAME])?;
    until("the definitions are gone", sower_tests::bed::LIMIT, async || {
        let left = plane.kubectl(&["get", "crd", "-o", "name"])?;
        ensure!(!left.contains("sower.dev"), "{left}");
        Ok(())
    })
    .await?;
    ensure!(Tables::read(&pool).await?.carried("production") == before);
    Ok(())
}

/// Without a database Secret: one replica, rows in SQLite on a volume.
#[tokio::test]
async fn e2e_10_sqlite_on_a_volume_seeds() -> Result<()> {
    let plane = ControlPlane::with_crds().await?;
    let namespace = plane.namespace("sqlite").await?;
    let watched = format!("watchNamespaces={{{}}}", namespace.name);
    let installed =
        namespace.helm(&["install", NAME, CHART, "--set", "crds.install=false", "--set", &watched])?;
    ensure!(installed.contains("Sower 0.1.0: 1 replica, rows in SQLite on volume sower-data"), "{installed}");
    let git = GitServer::shared().await?;
    namespace
        .secret(GIT_SECRET, &[("username", git_server::USER), ("password", git_server::PASSWORD)])
        .await?;
    let catalog = Catalog::create(git, &namespace.name)?;
    let first = catalog.plant(&["ash", "oak"])?;
    environment(&namespace, "production", catalog.spec()).await?;
    let operator = Operator::replica(&namespace, "sower-0").await?;
    seeded(&namespace, &operator, "production", &first).await?;
    catalog.write("oak", "1.1.0")?;
    let second = catalog.push("Raise")?;
    let read = seeded(&namespace, &operator, "production", &second).await?;
    ensure!(read.status.and_then(|status| status.counts).is_some_and(|counts| counts.integrations == 2));
    ensure!(!operator.files_with("Grows branch 1 of the oak.")?.is_empty(), "no SQLite file holds the rows");
    Ok(())
}
