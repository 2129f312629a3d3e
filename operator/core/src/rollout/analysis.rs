//! Whether a new version is good: what was observed of it, held against limits and against the stable version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sower_crds::rollout::Analysis;

use crate::usage::Observed;

mod checks;
pub mod expression;
mod figures;
mod latency;
pub mod significance;

pub use checks::SAMPLE;

/// What is known of a step when it is looked at.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evidence {
    /// The executions of the new version in this step.
    pub candidate: Observed,
    /// Those of the stable version in the same time.
    pub stable: Observed,
    /// What Prometheus servers answered, by the names of the queries; or why there is no answer.
    pub prometheus: BTreeMap<String, Result<f64, String>>,
}

/// What comes of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every check is passed.
    Success,
    /// A check is failed, and not by chance.
    Failure,
    /// There is not enough to say so.
    Inconclusive,
}

/// One line of a verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// `executions`, `success rate`, `error rate difference`, `latency p95`, the name of a query, `expression`.
    pub name: String,
    /// What it is of the new version, as people read it: `99.78%`.
    pub candidate: String,
    /// The same of the stable one; empty where it has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stable: String,
    /// `>= 99%`; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub limit: String,
    /// What comes of it.
    pub outcome: Outcome,
    /// What is to be said of it: `p = 0.51`; empty where there is nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What an analysis says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// The version that is judged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// The whole of it: failure before inconclusive before success.
    pub outcome: Outcome,
    /// Why, in a clause: `success rate 95.79%, limit 99% (9 of 214 failed; 1.0.0: 0.19%)`.
    pub reason: String,
    /// The checks in their order; the sample comes first.
    pub checks: Vec<Check>,
    /// What was counted could not be read: this says nothing of the version.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unread: bool,
}

/// A check, and what follows from it for the whole.
struct Judged {
    check: Check,
    /// What is told where this decides.
    reason: String,
    /// False: where any other check says something, what this one does not know holds nothing up.
    counts: bool,
}

/// Judges a step by what is known of it: the stable version's first, the candidate's second.
///
/// With too few executions nothing is decided, whatever the other checks say.
#[must_use]
pub fn analyse(analysis: &Analysis, evidence: &Evidence, (stable, candidate): (&str, &str)) -> Verdict {
    let look = checks::Look { analysis, evidence, stable, candidate };
    let sample = look.sample();
    let mut judged: Vec<Judged> =
        [look.success_rate(), look.error_rate_difference(), look.latency()].into_iter().flatten().collect();
    judged.extend(analysis.prometheus.iter().map(|query| look.prometheus(query)));
    judged.extend(look.expression());
    let (outcome, reason) = whole(&sample, &judged);
    let checks = std::iter::once(sample).chain(judged).map(|judged| judged.check).collect();
    Verdict { version: candidate.to_owned(), outcome, reason, checks, unread: false }
}

fn whole(sample: &Judged, judged: &[Judged]) -> (Outcome, String) {
    let first = |outcome: Outcome, counting: bool| {
        let is = |judged: &&Judged| judged.check.outcome == outcome && (judged.counts || !counting);
        judged.iter().find(is).map(|judged| (outcome, judged.reason.clone()))
    };
    if sample.check.outcome != Outcome::Success {
        return (sample.check.outcome, sample.reason.clone());
    }
    let silent = judged.iter().any(|judged| judged.counts);
    first(Outcome::Failure, true)
        .or_else(|| first(Outcome::Inconclusive, silent))
        .unwrap_or_else(|| (Outcome::Success, passed(judged)))
}

fn passed(judged: &[Judged]) -> String {
    match judged.iter().filter(|judged| judged.check.outcome == Outcome::Success).count() {
        0 => "enough executions, and nothing else is asked".to_owned(),
        1 => "its check is passed".to_owned(),
        many => format!("its {many} checks are passed"),
    }
}

#[cfg(test)]
mod tests;
