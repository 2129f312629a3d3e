//! The API server answers, keeps its word about rights, and comes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::ListParams;
use sower_tests::control_plane::{ControlPlane, client};
use sower_tests::wait::until;

const SEED: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: seeds.kit.sower.dev }
spec:
  group: kit.sower.dev
  scope: Namespaced
  names: { kind: Seed, plural: seeds }
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: { from: { type: integer }, to: { type: integer } }
            x-kubernetes-validations: [{ rule: 'self.from <= self.to', message: from must not be above to }]
";

#[tokio::test]
async fn a_rule_of_a_crd_refuses_with_its_message() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let namespace = plane.namespace("cel").await?;
    plane.apply("default", SEED)?;
    plane.kubectl(&["wait", "--for=condition=Established", "crd/seeds.kit.sower.dev", "--timeout=30s"])?;
    let seed = |name: &str, from: u32| {
        format!(
            "{{ apiVersion: kit.sower.dev/v1, kind: Seed, metadata: {{ name: {name} }}, spec: {{ from: {from}, to: 5 }} }}"
        )
    };
    namespace.apply(&seed("good", 1))?;
    let refusal = namespace.apply(&seed("bad", 9)).expect_err("a rule is broken").to_string();
    ensure!(refusal.contains("from must not be above to"), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn a_deployment_makes_pods_that_stay_pending() -> Result<()> {
    let namespace = ControlPlane::shared().await?.namespace("pods").await?;
    namespace.kubectl(&["create", "deployment", "idle", "--image=example.invalid/idle"])?;
    let pods: Api<Pod> = namespace.api();
    let pod = until("a pod", Duration::from_secs(20), async || {
        let list = pods.list(&ListParams::default()).await?;
        list.items.into_iter().next().ok_or_else(|| anyhow::anyhow!("no pod"))
    })
    .await?;
    ensure!(pod.status.and_then(|status| status.phase).as_deref() == Some("Pending"));
    namespace.api::<Deployment>().delete("idle", &Default::default()).await?;
    until("the pods are collected", Duration::from_secs(20), async || {
        let left = pods.list(&ListParams::default()).await?.items.len();
        ensure!(left == 0, "{left} left");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_service_account_may_do_what_it_was_granted_and_is_written_down() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let namespace = plane.namespace("account").await?;
    namespace.kubectl(&["create", "serviceaccount", "reader"])?;
    namespace.kubectl(&["create", "role", "reader", "--verb=get,list", "--resource=secrets"])?;
    let account = format!("--serviceaccount={}:reader", namespace.name);
    namespace.kubectl(&["create", "rolebinding", "reader", "--role=reader", &account])?;
    let reader = client(&namespace.kubeconfig_of("reader").await?).await?;
    namespace.secret("token", &[("password", "one")]).await?;
    let secrets = Api::<k8s_openapi::api::core::v1::Secret>::default_namespaced(reader.clone());
    let read =
        until("the role holds", Duration::from_secs(10), async || Ok(secrets.get("token").await?)).await?;
    ensure!(read.data.is_some_and(|data| data["password"].0 == b"one"));
    let refused = Api::<ConfigMap>::default_namespaced(reader).list(&ListParams::default()).await;
    ensure!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{refused:?}");
    let requests = plane.requests_of(&namespace.name, "reader")?;
    let codes: Vec<_> =
        requests.iter().map(|seen| (seen.verb.as_str(), seen.resource.as_str(), seen.code)).collect();
    ensure!(
        codes.contains(&("get", "secrets", 200)) && codes.contains(&("list", "configmaps", 403)),
        "{codes:?}"
    );
    Ok(())
}

#[tokio::test]
async fn the_api_server_comes_back_with_its_data() -> Result<()> {
    let plane = ControlPlane::start().await?;
    plane.kubectl(&["create", "namespace", "kept"])?;
    plane.stop_api_server()?;
    ensure!(plane.kubectl(&["get", "namespace", "kept"]).is_err());
    plane.start_api_server().await?;
    plane.kubectl(&["get", "namespace", "kept"]).map(drop)
}

#[tokio::test]
async fn helm_installs_and_uninstalls() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let namespace = plane.namespace("helm").await?;
    let chart = sower_tests::process::folder("chart")?;
    std::fs::create_dir(chart.join("templates"))?;
    std::fs::write(chart.join("Chart.yaml"), "{ apiVersion: v2, name: kit, version: 0.1.0 }")?;
    let map = "{ apiVersion: v1, kind: ConfigMap, metadata: { name: installed } }";
    std::fs::write(chart.join("templates/map.yaml"), map)?;
    plane.helm(&["install", "kit", &chart.to_string_lossy(), "-n", &namespace.name])?;
    namespace.api::<ConfigMap>().get("installed").await?;
    plane.helm(&["uninstall", "kit", "-n", &namespace.name])?;
    ensure!(namespace.api::<ConfigMap>().get_opt("installed").await?.is_none());
    Ok(())
}
