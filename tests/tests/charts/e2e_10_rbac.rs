//! The operator's rights: enough, and no more.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sower_crds::environment::Environment;
use sower_tests::bed::{database_secret, environment, told};
use sower_tests::catalog::{Catalog, GIT_SECRET, with};
use sower_tests::control_plane::{ControlPlane, Request};
use sower_tests::git_server::{self, GitServer};
use sower_tests::namespace::Namespace;
use sower_tests::operator::{CHART, DATABASE_SECRET, NAME, Operator};
use sower_tests::postgres::Postgres;
use sower_tests::sower::Sower;
use sower_tests::wait::until;

use super::e2e_10_install::seeded;

/// One right: verb, group, resource.
type Right = (String, String, String);

/// What a Role or ClusterRole grants.
fn granted(namespace: &Namespace, role: &str) -> Result<BTreeSet<Right>> {
    let role: Value = serde_json::from_str(&namespace.kubectl(&["get", role, "-o", "json"])?)?;
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut rights = BTreeSet::new();
    for rule in role["rules"].as_array().context("rules")? {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    ensure!(verb != "*" && resource != "*" && group != "*", "a wildcard: {rule}");
                    rights.insert((verb, group.clone(), resource.clone()));
                }
            }
        }
    }
    Ok(rights)
}

fn right(request: &Request) -> Right {
    (request.verb.clone(), request.group.clone(), request.resource.clone())
}

const ACME: &str = "
apiVersion: sower.dev/v1alpha1
kind: Integration
metadata: { name: acme }
spec: { name: Acme, version: 1.0.0 }
";

/// Everything that the operator does is done, by it or by the command line beside it; then rights and requests are compared.
#[tokio::test]
async fn e2e_10_every_right_is_used_and_none_is_missing() -> Result<()> {
    let plane = ControlPlane::leaked().await?;
    let namespace = plane.namespace("rights").await?;
    let database = Postgres::shared().await?.database().await?;
    let pool = database.connect().await?;
    database_secret(&namespace, &database).await?;
    let secret = format!("database.secretRef.name={DATABASE_SECRET}");
    let set = ["--set", &secret, "--set", "watchSecrets=true", "--set", "leaderElection.leaseDuration=3"];
    namespace.helm(&[&["install", NAME, CHART][..], &set].concat())?;
    plane.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"])?;
    let git = GitServer::shared().await?;
    namespace
        .secret(GIT_SECRET, &[("username", git_server::USER), ("password", git_server::PASSWORD)])
        .await?;
    let catalog = Catalog::create(git, &namespace.name)?;
    let first = catalog.plant(&["ash", "oak"])?;
    let operator = Operator::replica(&namespace, "sower-0").await?;

    environment(&namespace, "production", catalog.spec()).await?;
    environment(&namespace, "preview", with(catalog.spec(), json!({ "deletionPolicy": "Delete" }))).await?;
    environment(
        &namespace,
        "local",
        json!({ "sources": [{ "name": "cluster", "cluster": {} }], "interval": "1s" }),
    )
    .await?;
    namespace.apply(ACME)?;
    seeded(&namespace, &operator, "production", &first).await?;
    seeded(&namespace, &operator, "preview", &first).await?;
    until("the Integration says who carries it", sower_tests::bed::LIMIT, async || {
        let status = namespace.kubectl(&["get", "intg", "acme", "-o", "jsonpath={.status}"])?;
        ensure!(status.contains("Carried by local"), "{status}");
        Ok(())
    })
    .await
    .with_context(|| operator.process.last_lines())?;

    catalog.tree.write("integrations/bad/integration.yaml", "id: bad\nname: Bad\nversion: v1\n")?;
    let broken = catalog.push("Break")?;
    until("it is named", sower_tests::bed::LIMIT, async || {
        let read = namespace.api::<Environment>().get("production").await?;
        let attempted = read.status.as_ref().and_then(|status| status.last_attempted_revision.as_deref());
        ensure!(attempted.is_some_and(|at| at.ends_with(&broken)), "{}", told(&read));
        Ok(())
    })
    .await?;
    catalog.fell("bad")?;
    let mended = catalog.push("Mend")?;
    seeded(&namespace, &operator, "production", &mended).await?;
    namespace.kubectl(&["delete", "env", "preview", "--timeout=30s"])?;

    // As `kubectl exec deploy/sower -- sower …` does: the command line has the rights of the Pod.
    let kubeconfig = namespace.kubeconfig_of(NAME).await?;
    let kubeconfig = kubeconfig.to_string_lossy();
    let outside = sower_tests::process::folder("outside")?;
    let at = ["-n", namespace.name.as_str(), "--kubeconfig", &kubeconfig];
    for command in [
        &["status"][..],
        &["get", "environments"],
        &["seed", "-e", "production"],
        &["status", "-e", "production"],
    ] {
        Sower::within(&outside)?
            .run(&[command, &at].concat())?
            .expect(0)
            .with_context(|| format!("{command:?}"))?;
    }
    operator.process.stop()?;
    drop(pool);

    let requests = plane.requests_of(&namespace.name, NAME)?;
    let refused: BTreeSet<_> = requests.iter().filter(|request| request.code == 403).map(right).collect();
    ensure!(refused.is_empty(), "missing rights: {refused:?}");
    let used: BTreeSet<_> = requests.iter().filter(|request| request.code < 300).map(right).collect();
    let mut all = granted(&namespace, &format!("clusterrole/sower-{}", namespace.name))?;
    all.extend(granted(&namespace, "role/sower-lease")?);
    let unused: Vec<_> = all.difference(&used).collect();
    ensure!(unused.is_empty(), "granted and never used: {unused:?}\nused: {used:?}");
    Ok(())
}
