//! Whether counts miss a limit by more than chance explains. Pure arithmetic over counts.

use statrs::distribution::{Binomial, Discrete as _};
use statrs::function::erf::erfc;

/// Of so many executions, so many failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// How many there were.
    pub executions: u64,
    /// How many of them failed.
    pub errors: u64,
}

#[expect(clippy::cast_precision_loss, reason = "counts of executions stay far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

impl Counts {
    /// The share that failed; 0 of none.
    #[must_use]
    pub fn error_rate(self) -> f64 {
        if self.executions == 0 { 0.0 } else { float(self.errors) / float(self.executions) }
    }
}

/// Up to so many executions the binomial test is a sum; beyond, its signed root is as good and takes no time.
const EXACT: u64 = 10_000_000;

/// How likely as many failures are, or more, where each execution fails with probability `limit`: the exact binomial test
/// (as R's `binom.test(errors, executions, limit, "greater")`).
#[must_use]
pub fn above(counts: Counts, limit: f64) -> f64 {
    let Counts { executions: n, errors } = counts;
    if errors == 0 || limit >= 1.0 {
        return 1.0;
    }
    if limit <= 0.0 {
        return 0.0;
    }
    if n > EXACT {
        let (x, n) = (float(errors) - 0.5, float(n));
        return tail(2.0 * n * divergence(x / n, limit), x / n > limit);
    }
    let Ok(binomial) = Binomial::new(limit, n) else { return 1.0 };
    // Summed from whichever side of the expectation it is, away from it, where each term is smaller than the last.
    let odds = limit / (1.0 - limit);
    if float(errors) > float(n) * limit {
        let next = |k: u64| float(n - k) / float(k + 1) * odds;
        series(binomial.ln_pmf(errors).exp(), (errors..n).map(next))
    } else {
        let next = |k: u64| float(k) / float(n - k + 1) / odds;
        1.0 - series(binomial.ln_pmf(errors - 1).exp(), (1..errors).rev().map(next))
    }
}

/// A term, and those after it, each as many times its predecessor.
fn series(first: f64, ratios: impl Iterator<Item = f64>) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for ratio in ratios {
        term *= ratio;
        sum += term;
        if term < sum * 1e-16 {
            break;
        }
    }
    (first * sum).min(1.0)
}

/// How likely it is that the candidate fails at least as much more often than the stable version where the true difference
/// of their rates is `limit`: the signed root of the likelihood ratio, with a continuity correction (Pierce and Peters 1992,
/// Journal of the Royal Statistical Society B 54, 701-737).
///
/// Rates are small and one version has several times the executions of the other: there, a test by the normal distribution
/// of the difference, or its score, calls chance a failure (2 of 100 against 2 of 900 gets p = 0.004; Fisher's exact test
/// says 0.05, this one too). It needs no case of its own for no failures on a side.
#[must_use]
pub fn further_above(candidate: Counts, stable: Counts, limit: f64) -> f64 {
    if candidate.errors == 0 || stable.executions == 0 || limit >= 1.0 {
        return 1.0;
    }
    let (n, m) = (float(candidate.executions), float(stable.executions));
    let (x, y) = (float(candidate.errors) - 0.5, float(stable.errors));
    let rate = rate_at_limit((x, n), (y, m), limit);
    let ratio = 2.0 * (n * divergence(x / n, rate + limit) + m * divergence(y / m, rate));
    tail(ratio, x / n - y / m > limit)
}

/// The normal distribution above the signed root of a likelihood ratio.
fn tail(ratio: f64, is_above: bool) -> f64 {
    let root = ratio.max(0.0).sqrt();
    0.5 * erfc(if is_above { root } else { -root } / std::f64::consts::SQRT_2)
}

/// How likely it is that versions which fail equally often differ as much, on either side.
#[must_use]
pub fn differing(candidate: Counts, stable: Counts) -> f64 {
    let higher = further_above(candidate, stable, 0.0);
    let lower = further_above(stable, candidate, 0.0);
    (2.0 * higher.min(lower)).min(1.0)
}

/// The stable version's most likely rate where the candidate's is `limit` above it. The likelihood is concave, so its slope
/// changes its sign once.
fn rate_at_limit((x, n): (f64, f64), (y, m): (f64, f64), limit: f64) -> f64 {
    let slope = |p: f64| x / (p + limit) - (n - x) / (1.0 - p - limit) + y / p - (m - y) / (1.0 - p);
    let (mut low, mut high) = (0.0, 1.0 - limit);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if slope(middle) > 0.0 { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// By how much one execution, on average, tells a rate that was seen from one that is supposed (Kullback and Leibler).
fn divergence(seen: f64, supposed: f64) -> f64 {
    let part = |seen: f64, supposed: f64| if seen == 0.0 { 0.0 } else { seen * (seen / supposed).ln() };
    part(seen, supposed) + part(1.0 - seen, 1.0 - supposed)
}

/// How unlikely chance has to be at a look for it to be ruled out, so that over all looks of a step, however many, it is
/// mistaken in a share of `1 - confidence` of the steps at most.
///
/// Who looks again and again at growing counts sees a rare thing sooner or later. So what may be spent on mistakes is divided
/// among the doublings of the sample (Lan and DeMets 1983, Biometrika 70, 659-663: spending by information): the first gets
/// a half, the next a sixth, a twelfth, a twentieth, which add up to one; and in each of them [`LOOKS`] looks count.
#[must_use]
pub fn threshold(confidence: f64, executions: u64, minimum_sample: u32) -> f64 {
    let doublings = (executions / u64::from(minimum_sample.max(1))).max(1).ilog2();
    let doublings = f64::from(doublings);
    (1.0 - confidence) / ((doublings + 1.0) * (doublings + 2.0) * LOOKS)
}

/// Any number of looks while a sample doubles are as good as this many that do not depend on each other: measured, with room
/// (`operator/core/examples/rollout_simulation`).
const LOOKS: f64 = 3.0;
