//! The checks of an analysis, each by itself.

use sower_crds::rollout::{Analysis, PrometheusQuery};

use super::figures::{count, difference, limit, p, percent, plain};
use super::significance::{Counts, above, differing, further_above, threshold};
use super::{Check, Evidence, Judged, Outcome, expression};
use crate::usage::Observed;

/// Name of the check that comes first: whether there are enough executions.
pub const SAMPLE: &str = "executions";

/// What is looked at.
pub(super) struct Look<'a> {
    pub(super) analysis: &'a Analysis,
    pub(super) evidence: &'a Evidence,
    pub(super) stable: &'a str,
    pub(super) candidate: &'a str,
}

pub(super) fn counts(observed: &Observed) -> Counts {
    // Counted by others: more failures than executions are as many.
    Counts { executions: observed.executions, errors: observed.errors.min(observed.executions) }
}

impl Look<'_> {
    pub(super) fn threshold(&self) -> f64 {
        let Analysis { confidence, minimum_sample, .. } = self.analysis;
        threshold(*confidence, self.evidence.candidate.executions, *minimum_sample)
    }

    /// What comes of a value that should not be above a limit, and how likely chance explains that it is.
    pub(super) fn judged(&self, value: f64, limit: f64, chance: impl FnOnce() -> f64) -> (Outcome, f64) {
        // Not by the last bit of a float: 0.01 is the limit of what 1 of 100 and a stable version of 0 give.
        if value <= limit + 1e-12 {
            return (Outcome::Success, 1.0);
        }
        let chance = chance();
        (if chance < self.threshold() { Outcome::Failure } else { Outcome::Inconclusive }, chance)
    }

    /// [`Look::judged`] of a rate, which says nothing where there was no execution.
    fn judged_rate(&self, rate: f64, limit: f64, chance: impl FnOnce() -> f64) -> (Outcome, String) {
        if self.evidence.candidate.executions == 0 {
            return (Outcome::Inconclusive, String::new());
        }
        let (outcome, chance) = self.judged(rate, limit, chance);
        (outcome, if outcome == Outcome::Success { String::new() } else { p(chance) })
    }

    fn both(&self) -> (Counts, Counts) {
        (counts(&self.evidence.candidate), counts(&self.evidence.stable))
    }

    /// `(9 of 214 failed; 1.0.0: 0.19%)`
    fn beside(&self) -> String {
        let (candidate, stable) = self.both();
        let of = format!("{} of {} failed", count(candidate.errors), count(candidate.executions));
        match stable.executions {
            0 => format!("({of})"),
            _ => format!("({of}; {}: {})", self.stable, percent(stable.error_rate())),
        }
    }

    pub(super) fn sample(&self) -> Judged {
        let (executions, least) = (self.evidence.candidate.executions, self.analysis.minimum_sample);
        let enough = executions >= u64::from(least).max(1);
        let check = Check {
            name: SAMPLE.to_owned(),
            candidate: count(executions),
            stable: count(self.evidence.stable.executions),
            limit: format!(">= {}", count(u64::from(least))),
            outcome: if enough { Outcome::Success } else { Outcome::Inconclusive },
            note: String::new(),
        };
        let reason = format!(
            "{} {} of {}, {} needed",
            count(executions),
            if executions == 1 { "execution" } else { "executions" },
            self.candidate,
            count(u64::from(least))
        );
        Judged { check, reason, counts: true }
    }

    /// Failed where the rate is significantly below the limit; passed where what was seen is not below it.
    pub(super) fn success_rate(&self) -> Option<Judged> {
        let min = self.analysis.success_rate.as_ref()?.min;
        let (candidate, stable) = self.both();
        let rate = 1.0 - candidate.error_rate();
        let (outcome, note) =
            self.judged_rate(candidate.error_rate(), 1.0 - min, || above(candidate, 1.0 - min));
        let check = Check {
            name: "success rate".to_owned(),
            candidate: if candidate.executions == 0 { String::new() } else { percent(rate) },
            stable: if stable.executions == 0 { String::new() } else { percent(1.0 - stable.error_rate()) },
            limit: format!(">= {}", limit(min)),
            outcome,
            note,
        };
        let told = format!("success rate {}, limit {}", check.candidate, limit(min));
        let reason = self.told(&told, &check);
        Some(Judged { check, reason, counts: true })
    }

    /// Failed where the difference is significantly above the limit; passed where what was seen is not above it.
    ///
    /// Where the stable version was not used at all, as in a step of 100%, the candidate's own rate stands for the
    /// difference: it is never lower, so what passes is good whatever the stable version does.
    pub(super) fn error_rate_difference(&self) -> Option<Judged> {
        let max = self.analysis.error_rate_difference.as_ref()?.max;
        let (candidate, stable) = self.both();
        let higher = candidate.error_rate() - stable.error_rate();
        let unused = stable.executions == 0;
        let (outcome, doubt) = self.judged_rate(higher, max, || further_above(candidate, stable, max));
        let note = match outcome {
            _ if unused => format!("{} was not used", self.stable),
            // Within the limit, the chance of being beyond it is one; whether there is a difference is worth knowing.
            Outcome::Success => p(differing(candidate, stable)),
            Outcome::Failure | Outcome::Inconclusive => doubt,
        };
        let check = Check {
            name: "error rate difference".to_owned(),
            candidate: if candidate.executions == 0 { String::new() } else { difference(higher) },
            stable: String::new(),
            limit: format!("<= {}", limit(max)),
            outcome,
            note,
        };
        let told = format!("error rate difference {}, limit {}", check.candidate, limit(max));
        let reason = self.told(&told, &check);
        Some(Judged { check, reason, counts: !unused || outcome != Outcome::Inconclusive })
    }

    /// A reason with its counts, and where chance could explain it, how well.
    fn told(&self, what: &str, check: &Check) -> String {
        let doubt = match check.outcome {
            Outcome::Inconclusive => format!(", which may be chance: {}", check.note),
            Outcome::Success | Outcome::Failure => String::new(),
        };
        format!("{what} {}{doubt}", self.beside())
    }

    pub(super) fn prometheus(&self, query: &PrometheusQuery) -> Judged {
        let PrometheusQuery { name, min, max, .. } = query;
        let (bounds, read) = (bounds(*min, *max), self.analysis.expression.is_some());
        let answer = match self.evidence.prometheus.get(name) {
            None => Err("it was not asked".to_owned()),
            Some(Ok(number)) if number.is_nan() => Err("the answer is no number".to_owned()),
            Some(answer) => answer.clone(),
        };
        let outcome = match &answer {
            Err(_) => Outcome::Inconclusive,
            Ok(number) if min.is_some_and(|min| *number < min) || max.is_some_and(|max| *number > max) => {
                Outcome::Failure
            }
            Ok(_) if bounds.is_empty() && !read => Outcome::Inconclusive,
            Ok(_) => Outcome::Success,
        };
        let note = match &answer {
            Err(why) => why.clone(),
            Ok(_) if outcome == Outcome::Inconclusive => "it has no limit".to_owned(),
            Ok(_) => String::new(),
        };
        let candidate = answer.as_ref().map(|number| plain(*number)).unwrap_or_default();
        let reason = match outcome {
            Outcome::Inconclusive => format!("{name}: {note}"),
            Outcome::Success | Outcome::Failure => format!("{name} {candidate}, limit {bounds}"),
        };
        let check =
            Check { name: name.clone(), candidate, stable: String::new(), limit: bounds, outcome, note };
        Judged { check, reason, counts: true }
    }

    pub(super) fn expression(&self) -> Option<Judged> {
        let text = self.analysis.expression.as_ref()?;
        let (outcome, note) = match expression::holds(text, self.analysis, self.evidence) {
            Ok(true) => (Outcome::Success, String::new()),
            Ok(false) => (Outcome::Failure, String::new()),
            Err(why) => (Outcome::Inconclusive, why),
        };
        let shown = crate::sentence::cut(text);
        let check = Check {
            name: "expression".to_owned(),
            candidate: if note.is_empty() {
                (outcome == Outcome::Success).to_string()
            } else {
                String::new()
            },
            stable: String::new(),
            limit: shown.clone(),
            outcome,
            note: note.clone(),
        };
        let reason = match outcome {
            Outcome::Inconclusive => format!("the expression says nothing: {note}"),
            Outcome::Success | Outcome::Failure => format!("not so: {shown}"),
        };
        Some(Judged { check, reason, counts: true })
    }
}

fn bounds(min: Option<f64>, max: Option<f64>) -> String {
    match (min, max) {
        (None, None) => String::new(),
        (Some(min), None) => format!(">= {}", plain(min)),
        (None, Some(max)) => format!("<= {}", plain(max)),
        (Some(min), Some(max)) => format!("{} to {}", plain(min), plain(max)),
    }
}
