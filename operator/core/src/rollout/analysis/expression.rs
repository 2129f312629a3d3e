//! The expression of an analysis: what it reads, and what it says.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use sower_crds::rollout::Analysis;

use super::Evidence;
use super::checks::counts;
use crate::condition::Condition;
use crate::usage::{Histogram, Observed};

/// What an expression may name.
const NAMES: [&str; 5] = ["candidate", "stable", "errorRateDifference", "latencyRatio", "prometheus"];

/// The quantile of latencies where no limit names one.
const QUANTILE: f64 = 0.95;

/// Whether the expression of an analysis is true of the evidence.
///
/// # Errors
/// Why it says neither: it reads what is not known, or is no condition; in a clause.
pub fn holds(text: &str, analysis: &Analysis, evidence: &Evidence) -> Result<bool, String> {
    Condition::read(text, &NAMES)?.holds(&known(analysis, evidence))
}

/// Why an expression can say nothing: it is tried on evidence in which everything is known.
#[must_use]
pub fn fault(text: &str, analysis: &Analysis) -> Option<String> {
    let condition = match Condition::read(text, &NAMES) {
        Ok(condition) => condition,
        Err(why) => return Some(why),
    };
    let sample = |executions, errors, class: usize, answer| {
        let mut latency = Histogram::default();
        latency.0[class] = executions;
        let prometheus: BTreeMap<_, _> =
            analysis.prometheus.iter().map(|query| (query.name.clone(), Ok(answer))).collect();
        (
            Observed { executions, errors, latency_ms: executions * 100, latency_count: executions, latency },
            prometheus,
        )
    };
    let (good, few) = (sample(1000, 1, 2, 0.5), sample(1000, 900, 9, 1e9));
    // What one branch of a condition hides, the other shows.
    [(&good, &good), (&few, &good), (&good, &few)].into_iter().find_map(|(candidate, stable)| {
        let evidence = Evidence { candidate: candidate.0, stable: stable.0, prometheus: candidate.1.clone() };
        condition.holds(&known(analysis, &evidence)).err()
    })
}

/// What is known of the evidence, by the names that an expression reads. What is not known is not there.
fn known(analysis: &Analysis, evidence: &Evidence) -> Value {
    let share = analysis.latency.as_ref().map_or(QUANTILE, |latency| latency.quantile);
    let (candidate, stable) = (&evidence.candidate, &evidence.stable);
    let mut known = Map::new();
    known.insert("candidate".to_owned(), observed(candidate, share));
    known.insert("stable".to_owned(), observed(stable, share));
    if candidate.executions > 0 && stable.executions > 0 {
        let higher = counts(candidate).error_rate() - counts(stable).error_rate();
        known.insert("errorRateDifference".to_owned(), json!(higher));
    }
    if let Some((new, old)) = candidate.latency.quantile(share).zip(stable.latency.quantile(share)) {
        known.insert("latencyRatio".to_owned(), json!(new / old));
    }
    let answers = evidence.prometheus.iter().filter_map(|(name, answer)| {
        let number = answer.as_ref().ok().filter(|number| number.is_finite())?;
        Some((name.clone(), json!(number)))
    });
    known.insert("prometheus".to_owned(), Value::Object(answers.collect()));
    Value::Object(known)
}

fn observed(of: &Observed, share: f64) -> Value {
    let counts = counts(of);
    let mut known = Map::new();
    known.insert("executions".to_owned(), json!(counts.executions));
    known.insert("errors".to_owned(), json!(counts.errors));
    if counts.executions > 0 {
        known.insert("successRate".to_owned(), json!(1.0 - counts.error_rate()));
        known.insert("errorRate".to_owned(), json!(counts.error_rate()));
    }
    if let Some(ms) = of.latency.quantile(share) {
        known.insert("latency".to_owned(), json!(ms));
    }
    Value::Object(known)
}
