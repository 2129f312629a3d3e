//! What a look sees: the executions of the step, by version, and what Prometheus servers answer.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{BoxFuture, join_all};
use sower_core::rollout::Rollout;
use sower_core::rollout::analysis::{Evidence, Outcome, Verdict, analyse};
use sower_core::rollout::machine::analysis;
use sower_core::usage::Observed;
use sower_crds::rollout::PrometheusQuery;
use sower_store::{Store, StoreError};

use super::prometheus::{self, Names};
use super::questions::Questions;

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

/// What Prometheus servers answer of each version that is tried.
pub(super) type Answers = BTreeMap<String, BTreeMap<String, Result<f64, String>>>;

/// Asks the Prometheus servers of the step that a rollout is in. It reads no database: who waits for it has that to himself.
pub(super) async fn ask(secrets: &dyn Secrets, questions: &Questions, rollout: &Rollout) -> Answers {
    let Some(analysis) = analysis(rollout) else { return Answers::new() };
    let known = named(&analysis.prometheus, secrets, questions).await;
    let asked = live(rollout).into_iter().map(async |version| {
        let names = Names {
            environment: &rollout.environment,
            integration: &rollout.integration,
            candidate: version,
            stable: &rollout.from.version,
        };
        (version.to_owned(), prometheus::ask(&analysis.prometheus, names, &known, questions).await)
    });
    join_all(asked).await.into_iter().collect()
}

/// The verdict of a look made now: that of the worst of the versions that are tried; none where the step has no analysis. Where
/// usage cannot be read, that is told beside it, and decides nothing: a deadline goes on.
pub(super) async fn judge(
    store: &Store,
    rollout: &Rollout,
    mut answers: Answers,
) -> Result<(Option<Verdict>, Option<StoreError>), StoreError> {
    let Some(analysis) = analysis(rollout) else { return Ok((None, None)) };
    let all = store.usage_since(&rollout.environment, &rollout.integration, rollout.step_started_at).await;
    let all = match all {
        Ok(all) => all,
        Err(error @ (StoreError::Query { .. } | StoreError::Unreadable { .. })) => {
            let (version, reason) = (rollout.to.version.clone(), error.to_string());
            let (outcome, checks) = (Outcome::Inconclusive, Vec::new());
            return Ok((Some(Verdict { version, outcome, reason, checks, unread: true }), Some(error)));
        }
        Err(error) => return Err(error),
    };
    let of = |version: &str| -> Observed {
        let before = rollout.progress.before.get(version).copied().unwrap_or_default();
        all.get(version).copied().unwrap_or_default().minus(&before)
    };
    let stable = of(&rollout.from.version);
    let mut worst: Option<Verdict> = None;
    for version in live(rollout) {
        let prometheus = answers.remove(version).unwrap_or_default();
        let evidence = Evidence { candidate: of(version), stable, prometheus };
        let mut verdict = analyse(&analysis, &evidence, (&rollout.from.version, version));
        if version != rollout.to.version {
            verdict.reason = format!("{}, of {version}", verdict.reason);
        }
        if worst.as_ref().is_none_or(|worst| badness(verdict.outcome) > badness(worst.outcome)) {
            worst = Some(verdict);
        }
    }
    Ok((worst, None))
}

/// The Secrets that the queries name.
async fn named(
    queries: &[PrometheusQuery],
    secrets: &dyn Secrets,
    questions: &Questions,
) -> prometheus::Secrets {
    let names: BTreeSet<&str> =
        queries.iter().filter_map(|query| Some(query.secret_ref.as_ref()?.name.as_str())).collect();
    let read = names.into_iter().map(async |name| {
        let data = questions.in_time(secrets.read(name)).await;
        (name.to_owned(), data.unwrap_or_else(|| Err(format!("the secret {name} was not read in time"))))
    });
    join_all(read).await.into_iter().collect()
}

/// The versions that are tried, each once: what all are to get is always one of them, and the first; where others fail with it,
/// it is the one to blame.
fn live(rollout: &Rollout) -> Vec<&str> {
    let tried = rollout.variants.iter().filter(|variant| variant.checksum != rollout.from.checksum);
    let others: BTreeSet<&str> = tried.map(|variant| variant.version.as_str()).collect();
    let to = rollout.to.version.as_str();
    std::iter::once(to).chain(others.into_iter().filter(|version| *version != to)).collect()
}

fn badness(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Success => 0,
        Outcome::Inconclusive => 1,
        Outcome::Failure => 2,
    }
}
