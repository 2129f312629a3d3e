//! charts/sower-catalog: Environments and Integrations from values.

use anyhow::{Result, ensure};
use sower_crds::environment::Environment;
use sower_crds::integration::Integration;
use sower_tests::bed::Bed;

const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sower-catalog");

const VALUES: &str = "
integrationLabels: { tier: gold }
environments:
  production:
    interval: 1s
    allowedIntegrations: [acme]
    sources:
    - name: cluster
      cluster: { selector: { matchLabels: { tier: gold } } }
integrations:
  acme: { name: Acme, version: 1.0.0, actions: [{ id: go, name: Go, request: { method: GET, path: /go } }], baseUrl: \"https://acme.example\" }
  other: { name: Other, version: 2.0.0 }
";

#[tokio::test]
async fn e2e_10_the_catalog_chart_brings_environments_and_integrations() -> Result<()> {
    let bed = Bed::make("catalog").await?;
    let file = sower_tests::process::folder("values")?.join("values.yaml");
    std::fs::write(&file, VALUES)?;
    let values = file.to_string_lossy().into_owned();
    bed.namespace.helm(&["install", "catalog", CHART, "-f", &values])?;
    let carried = async |wanted: &[&str]| {
        bed.until(&format!("{wanted:?}"), async || {
            let carried: Vec<_> = bed
                .tables()
                .await?
                .carried("production")
                .into_iter()
                .map(|(id, version)| format!("{id} {version}"))
                .collect();
            ensure!(carried == wanted, "{carried:?}");
            Ok(())
        })
        .await
    };
    carried(&["acme 1.0.0"]).await?;
    std::fs::write(&file, VALUES.replace("version: 1.0.0", "version: 1.1.0"))?;
    bed.namespace.helm(&["upgrade", "catalog", CHART, "-f", &values])?;
    carried(&["acme 1.1.0"]).await?;

    // The Environment is kept; the Integrations go, and with them their rows: that was meant.
    bed.namespace.helm(&["uninstall", "catalog"])?;
    bed.namespace.api::<Environment>().get("production").await?;
    ensure!(bed.namespace.api::<Integration>().list(&Default::default()).await?.items.is_empty());
    carried(&[]).await
}

#[tokio::test]
async fn e2e_10_the_catalog_chart_is_refused_where_a_spec_is_bad() -> Result<()> {
    let bed = sower_tests::control_plane::ControlPlane::with_crds().await?.namespace("catalog-bad").await?;
    let refused = bed.helm(&["install", "bad", CHART, "--set", "environments.production.interval=soon"]);
    let message = "interval must be a duration of at least 1s";
    ensure!(refused.as_ref().is_err_and(|error| error.to_string().contains(message)), "{refused:?}");
    let refused = bed.helm(&["install", "worse", CHART, "--set", "integrations.acme.name=Acme"]);
    ensure!(refused.as_ref().is_err_and(|error| error.to_string().contains("version")), "{refused:?}");
    Ok(())
}
