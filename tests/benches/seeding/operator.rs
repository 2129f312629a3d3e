//! From a push to the rows, in the operator.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::json;
use sower_tests::bed::Bed;
use sower_tests::catalog::{manifest, path, with};

use super::shown;

const INTEGRATIONS: usize = 1_000;
const PUSHES: usize = 60;

/// A catalog of a thousand; each push is followed by a request, as a CI job or a webhook makes it.
pub async fn measure() -> Result<Vec<(String, String)>> {
    let bed = Bed::make("bench").await?;
    let catalog = bed.catalog()?;
    for number in 0..INTEGRATIONS {
        let id = format!("app-{number:05}");
        catalog.tree.write(&path(&id), manifest(&id, "1.0.0", 10))?;
    }
    let first = catalog.push("Begin")?;
    let spec = with(catalog.spec(), json!({ "seedingStrategy": "incremental", "interval": "10m" }));
    bed.environment("production", spec).await?;
    bed.seeded("production", &first).await?;
    let mut times = Vec::new();
    for number in 1..=PUSHES {
        let id = format!("app-{:05}", number * 7 % INTEGRATIONS);
        let version = format!("2.{number}.0");
        catalog.tree.write(&path(&id), manifest(&id, &version, 10))?;
        catalog.tree.commit(&format!("Raise {id}"))?;
        catalog.tree.push()?;
        let started = Instant::now();
        bed.request("production").await?;
        loop {
            let select = "SELECT version FROM public.integration_definitions WHERE environment = 'production' AND id = $1";
            let seen: String = sqlx::query_scalar(select).bind(&id).fetch_one(&bed.pool).await?;
            if seen == version {
                break;
            }
            if started.elapsed() > Duration::from_secs(30) {
                bail!("push {number} was not seeded: {}", bed.operator.process.last_lines());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        times.push(started.elapsed());
    }
    times.sort_unstable();
    let at = |percent: usize| shown(times[(times.len() * percent / 100).min(times.len() - 1)]);
    let name =
        format!("push to rows in the operator, {INTEGRATIONS} integrations, {PUSHES} pushes (p50, p99)");
    Ok(vec![(name, format!("{}, {}", at(50), at(99)))])
}
