//! What the charts render passes the API server, and what they refuse.

use anyhow::{Result, ensure};
use sower_tests::control_plane::ControlPlane;
use sower_tests::operator::CHART;

/// Of the Prometheus operator, which does not run here: their shape is free.
const MONITORING: [(&str, &str); 2] =
    [("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules")];

fn monitoring((kind, plural): (&str, &str)) -> String {
    format!(
        "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{ name: {plural}.monitoring.coreos.com }}
spec:
  group: monitoring.coreos.com
  scope: Namespaced
  names: {{ kind: {kind}, plural: {plural} }}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }}
"
    )
}

#[tokio::test]
async fn e2e_10_rendered_objects_pass_a_server_side_dry_run() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    for resource in MONITORING {
        plane.apply("default", &monitoring(resource))?;
        let crd = format!("crd/{}.monitoring.coreos.com", resource.1);
        plane.kubectl(&["wait", "--for=condition=Established", &crd, "--timeout=30s"])?;
    }
    let namespace = plane.namespace("rendered").await?;
    let watched = format!("watchNamespaces={{{}}}", namespace.name);
    let everything = [
        "database.secretRef.name=db",
        "serviceMonitor.enabled=true",
        "serviceMonitor.labels.team=platform",
        "alerts.enabled=true",
        "alerts.labels.team=platform",
        "dashboards.enabled=true",
        "dashboards.labels.team=platform",
        "dashboards.annotations.grafana_folder=Sower",
        "podDisruptionBudget.enabled=true",
        "networkPolicy.enabled=true",
        "networkPolicy.egress[0].ports[0].port=5432",
        "networkPolicy.ingressFrom[0].namespaceSelector.matchLabels.team=metrics",
        "watchSecrets=true",
        "api.tokenSecret=api-token",
        "allowLocal=true",
        "image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "imagePullSecrets[0].name=pull",
        "podAnnotations.a=b",
        "podLabels.c=d",
        "nodeSelector.disk=fast",
        "tolerations[0].operator=Exists",
        "priorityClassName=system-cluster-critical",
        "extraEnv[0].name=HTTPS_PROXY",
        "extraEnv[0].value=http://proxy.internal:3128",
        "serviceAccount.annotations.role=reader",
        "replicas=3",
    ];
    for (name, values) in [
        ("default", &[][..]),
        ("postgres", &["database.secretRef.name=db"][..]),
        ("namespaced", &["database.secretRef.name=db", &watched][..]),
        ("without-election", &["leaderElection.enabled=false", "crds.install=false"][..]),
        ("everything", &everything[..]),
    ] {
        let mut args = vec!["template", "sower", CHART];
        for value in values {
            args.extend(["--set", value]);
        }
        let rendered = namespace.helm(&args)?;
        if name == "everything" {
            // What Prometheus and Grafana fill in is not Helm's.
            for left in ["{{ $labels.environment }}", "\"legendFormat\": \"{{environment}}"] {
                ensure!(rendered.contains(left), "{left}: {rendered}");
            }
        }
        let file = sower_tests::process::folder("rendered")?.join(format!("{name}.yaml"));
        std::fs::write(&file, &rendered)?;
        let applied =
            namespace.kubectl(&["apply", "--server-side", "--dry-run=server", "-f", &file.to_string_lossy()]);
        ensure!(applied.is_ok(), "{name}: {applied:?}");
        let count = rendered.matches("\nkind: ").count();
        let passed = applied?.lines().count();
        ensure!(passed == count, "{name}: {passed} of {count} objects passed");
    }
    Ok(())
}

/// Without an election every Pod leads: an upgrade, too, has one at a time.
#[tokio::test]
async fn e2e_10_without_an_election_there_is_one_pod() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    for (election, replicas, recreate) in [("true", 2, false), ("false", 1, true)] {
        let election = format!("leaderElection.enabled={election}");
        let set = ["--set", "database.secretRef.name=db", "--set", &election];
        let rendered = plane.helm(&[&["template", "sower", CHART][..], &set].concat())?;
        ensure!(rendered.contains(&format!("replicas: {replicas}\n")), "{election}: {rendered}");
        ensure!(rendered.contains("strategy: { type: Recreate }") == recreate, "{election}: {rendered}");
    }
    Ok(())
}

#[tokio::test]
async fn e2e_10_the_chart_refuses_what_cannot_work() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    for (values, message) in [
        (&["replicas=2"][..], "replicas is 2, and SQLite on a volume takes 1"),
        (
            &["replicas=2", "database.secretRef.name=db", "leaderElection.enabled=false"][..],
            "replicas is 2, and without leader election every Pod would lead",
        ),
        (&["replica=2"][..], "replica"),
        (&["leaderElection.leaseDuration=1"][..], "leaseDuration"),
        (&["clusterName=Not/A/Name"][..], "clusterName"),
        (&["image.digest=latest"][..], "digest"),
        (&["cache.sizeLimit="][..], "sizeLimit"),
        (&["cache.sizeLimit=2GB"][..], "sizeLimit"),
        (&["database.sqlite.size="][..], "size"),
        (&["api.tokenSecret=Not/A/Name"][..], "tokenSecret"),
    ] {
        let mut args = vec!["template", "sower", CHART];
        for value in values {
            args.extend(["--set", value]);
        }
        let refused = plane.helm(&args);
        ensure!(
            refused.as_ref().is_err_and(|error| error.to_string().contains(message)),
            "{values:?}: {refused:?}"
        );
    }
    Ok(())
}
