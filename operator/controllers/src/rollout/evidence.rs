//! What a look sees: the executions of the step, by version, and what Prometheus servers answer.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, join_all};
use sower_core::rollout::Rollout;
use sower_core::rollout::analysis::{Evidence, Outcome, Verdict, analyse};
use sower_core::rollout::machine::analysis;
use sower_core::usage::Observed;
use sower_crds::rollout::PrometheusQuery;
use sower_store::{Store, StoreError};

use super::prometheus::{self, Names, ask};

/// What a Secret holds, or why it cannot be read: in a clause that holds nothing of it.
pub type SecretData = Result<BTreeMap<String, Vec<u8>>, String>;

/// Where the secrets of Prometheus servers are.
pub trait Secrets: Send + Sync {
    /// What the Secret of this name holds.
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, SecretData>;
}

/// There are none.
#[derive(Debug, Clone, Copy)]
pub struct NoSecrets;

impl Secrets for NoSecrets {
    fn read<'a>(&'a self, name: &'a str) -> BoxFuture<'a, SecretData> {
        Box::pin(async move { Err(format!("there is no secret {name} here")) })
    }
}

/// The verdict of a look made now; none where its step has no analysis.
pub(super) async fn look(
    store: &Store,
    secrets: &dyn Secrets,
    rollout: &Rollout,
) -> Result<Option<Verdict>, StoreError> {
    let Some(analysis) = analysis(rollout) else { return Ok(None) };
    let all = store.usage_since(&rollout.environment, &rollout.integration, rollout.step_started_at).await?;
    let of = |version: &str| -> Observed {
        let before = rollout.progress.before.get(version).copied().unwrap_or_default();
        all.get(version).copied().unwrap_or_default().minus(&before)
    };
    let stable = of(&rollout.from.version);
    let known = named(&analysis.prometheus, secrets).await;
    let mut worst: Option<Verdict> = None;
    for version in live(rollout) {
        let names = Names {
            environment: &rollout.environment,
            integration: &rollout.integration,
            candidate: version,
            stable: &rollout.from.version,
        };
        let prometheus = ask(&analysis.prometheus, names, &known).await;
        let evidence = Evidence { candidate: of(version), stable, prometheus };
        let verdict = analyse(&analysis, &evidence, (&rollout.from.version, version));
        if worst.as_ref().is_none_or(|worst| badness(verdict.outcome) > badness(worst.outcome)) {
            worst = Some(verdict);
        }
    }
    Ok(worst)
}

/// The Secrets that the queries name.
async fn named(queries: &[PrometheusQuery], secrets: &dyn Secrets) -> prometheus::Secrets {
    let names: BTreeSet<&str> =
        queries.iter().filter_map(|query| Some(query.secret_ref.as_ref()?.name.as_str())).collect();
    let read = names.into_iter().map(async |name| (name.to_owned(), secrets.read(name).await));
    join_all(read).await.into_iter().collect()
}

/// The versions that are tried, each once.
fn live(rollout: &Rollout) -> Vec<&str> {
    let mut versions: Vec<&str> = rollout
        .variants
        .iter()
        .filter(|variant| variant.checksum != rollout.from.checksum)
        .map(|variant| variant.version.as_str())
        .collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

fn badness(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Success => 0,
        Outcome::Inconclusive => 1,
        Outcome::Failure => 2,
    }
}
