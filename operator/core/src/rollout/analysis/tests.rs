//! What an analysis decides, and when.

use proptest::prelude::*;
use sower_crds::rollout::{AtLeast, AtMost, LatencyLimit, PrometheusQuery};
use statrs::distribution::{DiscreteCDF as _, Hypergeometric};

use super::significance::{Counts, above, differing, further_above, threshold};
use super::*;
use crate::usage::Histogram;

const VERSIONS: (&str, &str) = ("1.0.0", "1.1.0");

fn observed(executions: u64, errors: u64) -> Observed {
    Observed { executions, errors, ..Observed::default() }
}

fn evidence(candidate: (u64, u64), stable: (u64, u64)) -> Evidence {
    Evidence {
        candidate: observed(candidate.0, candidate.1),
        stable: observed(stable.0, stable.1),
        prometheus: BTreeMap::new(),
    }
}

/// The one of the issue.
fn both() -> Analysis {
    Analysis {
        success_rate: Some(AtLeast { min: 0.99 }),
        error_rate_difference: Some(AtMost { max: 0.01 }),
        ..Analysis::default()
    }
}

fn told(analysis: &Analysis, evidence: &Evidence) -> (Outcome, String) {
    let verdict = analyse(analysis, evidence, VERSIONS);
    (verdict.outcome, verdict.reason)
}

#[test]
fn rates_decide_where_chance_is_ruled_out() {
    use Outcome::{Failure, Inconclusive, Success};
    for (candidate, stable, outcome, reason) in [
        ((99, 99), (9000, 18), Inconclusive, "99 executions of 1.1.0, 100 needed"),
        ((1, 1), (0, 0), Inconclusive, "1 execution of 1.1.0, 100 needed"),
        ((0, 0), (9000, 18), Inconclusive, "0 executions of 1.1.0, 100 needed"),
        ((24_117, 53), (24_402, 46), Success, "its 2 checks are passed"),
        ((214, 9), (2105, 4), Failure, "success rate 95.79%, limit 99% (9 of 214 failed; 1.0.0: 0.19%)"),
        (
            (214, 4),
            (2105, 4),
            Inconclusive,
            "success rate 98.13%, limit 99% (4 of 214 failed; 1.0.0: 0.19%), which may be chance: p = 0.17",
        ),
        ((100, 1), (900, 2), Success, "its 2 checks are passed"),
        ((100, 0), (0, 0), Success, "its 2 checks are passed"),
        // A stable version that is bad, or not used, holds up no good one.
        ((100, 0), (900, 900), Success, "its 2 checks are passed"),
        (
            (100, 100),
            (900, 900),
            Failure,
            "success rate 0.00%, limit 99% (100 of 100 failed; 1.0.0: 100.00%)",
        ),
        ((100, 100), (0, 0), Failure, "success rate 0.00%, limit 99% (100 of 100 failed)"),
        // More failures than executions are reported: as many as there are executions.
        ((100, 1000), (0, 0), Failure, "success rate 0.00%, limit 99% (100 of 100 failed)"),
    ] {
        let found = told(&both(), &evidence(candidate, stable));
        assert_eq!(found, (outcome, reason.to_owned()), "{candidate:?} {stable:?}");
    }
}

#[test]
fn a_difference_is_held_against_its_limit() {
    use Outcome::{Failure, Inconclusive, Success};
    let asked = |max| Analysis { error_rate_difference: Some(AtMost { max }), ..Analysis::default() };
    for (max, candidate, stable, outcome, reason) in [
        (
            0.01,
            (214, 9),
            (2105, 4),
            Inconclusive,
            "error rate difference +4.02%, limit 1% (9 of 214 failed; 1.0.0: 0.19%), which may be chance: p = 0.0018",
        ),
        (
            0.01,
            (500, 25),
            (5000, 10),
            Failure,
            "error rate difference +4.80%, limit 1% (25 of 500 failed; 1.0.0: 0.20%)",
        ),
        (
            0.0,
            (1000, 3),
            (9000, 18),
            Inconclusive,
            "error rate difference +0.10%, limit 0% (3 of 1,000 failed; 1.0.0: 0.20%), which may be chance: p = 0.37",
        ),
        (0.0, (1000, 2), (9000, 18), Success, "its check is passed"),
        (0.01, (100, 1), (0, 0), Success, "its check is passed"),
        // With nothing to hold it against, what is above the limit is not known to be worse.
        (
            0.01,
            (100, 50),
            (0, 0),
            Inconclusive,
            "error rate difference +50.00%, limit 1% (50 of 100 failed), which may be chance: 1.0.0 was not used",
        ),
        (1.0, (100, 100), (100, 0), Success, "its check is passed"),
    ] {
        let found = told(&asked(max), &evidence(candidate, stable));
        assert_eq!(found, (outcome, reason.to_owned()), "{max} {candidate:?} {stable:?}");
    }
}

#[test]
fn a_stable_version_that_was_not_used_blocks_nothing_that_others_decide() {
    let latency = Some(LatencyLimit { quantile: 0.95, max_ratio: 1.5 });
    let analysis = Analysis { latency: latency.clone(), ..both() };
    let alone = Analysis { latency, ..Analysis::default() };
    let unused = evidence((1000, 1), (0, 0));
    assert_eq!(told(&analysis, &unused), (Outcome::Success, "its 2 checks are passed".to_owned()));
    let why = "latency p95: 0 timed executions of 1.1.0, 100 needed".to_owned();
    assert_eq!(told(&alone, &unused), (Outcome::Inconclusive, why.clone()));
    let used = evidence((1000, 1), (10, 0));
    assert_eq!(told(&analysis, &used), (Outcome::Inconclusive, why));
}

fn timed(classes: &[(usize, u64)]) -> Observed {
    let mut latency = Histogram::default();
    for (class, count) in classes {
        latency.0[*class] = *count;
    }
    Observed { executions: latency.0.iter().sum(), latency, ..Observed::default() }
}

#[test]
fn latency_is_held_against_that_of_the_stable_version() {
    use Outcome::{Failure, Inconclusive, Success};
    let analysis =
        Analysis { latency: Some(LatencyLimit { quantile: 0.95, max_ratio: 1.5 }), ..Analysis::default() };
    // Of the stable version 95 of 100 end within 100 ms.
    let stable = timed(&[(2, 500), (3, 450), (4, 50)]);
    for (candidate, outcome, reason) in [
        (timed(&[(2, 500), (3, 450), (4, 50)]), Success, "its check is passed"),
        (
            timed(&[(2, 500), (3, 400), (4, 100)]),
            Inconclusive,
            "latency p95 1.75 times that of 1.0.0, limit 1.5 (175 ms; 1.0.0: 100 ms), which the width of classes leaves open",
        ),
        (
            timed(&[(2, 50), (3, 40), (5, 10)]),
            Inconclusive,
            "latency p95 3.75 times that of 1.0.0, limit 1.5 (375 ms; 1.0.0: 100 ms), which may be chance: p = 0.04",
        ),
        (
            timed(&[(2, 500), (5, 400), (6, 100)]),
            Failure,
            "latency p95 7.50 times that of 1.0.0, limit 1.5 (750 ms; 1.0.0: 100 ms)",
        ),
        (
            timed(&[(11, 1000)]),
            Failure,
            "latency p95 585.00 times that of 1.0.0, limit 1.5 (58.5 s; 1.0.0: 100 ms)",
        ),
        (
            Observed { executions: 500, ..timed(&[(2, 99)]) },
            Inconclusive,
            "latency p95: 99 timed executions of 1.1.0, 100 needed",
        ),
    ] {
        let evidence = Evidence { candidate, stable, ..Evidence::default() };
        assert_eq!(told(&analysis, &evidence), (outcome, reason.to_owned()));
    }
}

#[test]
fn an_answer_of_prometheus_is_held_against_its_limits() {
    use Outcome::{Failure, Inconclusive, Success};
    let asked = |min, max| {
        let query = PrometheusQuery { name: "load".into(), min, max, ..PrometheusQuery::default() };
        Analysis { prometheus: vec![query], ..Analysis::default() }
    };
    for (min, max, answer, outcome, reason) in [
        (None, Some(0.8), Some(Ok(0.8)), Success, "its check is passed"),
        (None, Some(0.8), Some(Ok(0.93)), Failure, "load 0.93, limit <= 0.8"),
        (Some(1.0), None, Some(Ok(0.5)), Failure, "load 0.5, limit >= 1"),
        (Some(1.0), Some(2.0), Some(Ok(f64::INFINITY)), Failure, "load inf, limit 1 to 2"),
        (Some(1.0), None, Some(Ok(f64::NAN)), Inconclusive, "load: the answer is no number"),
        (Some(1.0), None, Some(Err("host answered 503".to_owned())), Inconclusive, "load: host answered 503"),
        (Some(1.0), None, None, Inconclusive, "load: it was not asked"),
        (None, None, Some(Ok(1.0)), Inconclusive, "load: it has no limit"),
    ] {
        let prometheus = answer.into_iter().map(|answer| ("load".to_owned(), answer)).collect();
        let evidence = Evidence { prometheus, ..evidence((100, 0), (0, 0)) };
        assert_eq!(told(&asked(min, max), &evidence), (outcome, reason.to_owned()));
    }
}

#[test]
fn an_expression_reads_all_of_it() {
    use Outcome::{Failure, Inconclusive, Success};
    let query = PrometheusQuery { name: "error-budget".into(), ..PrometheusQuery::default() };
    let known = Evidence {
        candidate: Observed { errors: 2, ..timed(&[(2, 95), (3, 5)]) },
        stable: Observed { errors: 4, ..timed(&[(1, 380), (2, 20)]) },
        prometheus: BTreeMap::from([("error-budget".to_owned(), Ok(0.5))]),
    };
    for (text, outcome, reason) in [
        ("candidate.executions == 100 && candidate.errors == 2 && stable.executions >= 400", Success, ""),
        ("candidate.errorRate == 0.02 && stable.successRate == 0.99", Success, ""),
        ("errorRateDifference > 0.0099 && errorRateDifference < 0.0101", Success, ""),
        ("latencyRatio == 2.0 && candidate.latency == 50.0 && stable.latency == 25.0", Success, ""),
        ("prometheus['error-budget'] >= 0.5", Success, ""),
        ("candidate.errors < 2", Failure, "not so: candidate.errors < 2"),
        ("candidate.errors", Inconclusive, "the expression says nothing: it is neither true nor false"),
        ("prometheus.other > 1", Inconclusive, "the expression says nothing: other is not there"),
    ] {
        let analysis = Analysis {
            expression: Some(text.to_owned()),
            prometheus: vec![query.clone()],
            ..Analysis::default()
        };
        let reason = if reason.is_empty() { "its 2 checks are passed" } else { reason };
        assert_eq!(told(&analysis, &known), (outcome, reason.to_owned()), "{text}");
        let analysis = Analysis { expression: Some(text.to_owned()), ..Analysis::default() };
        let unknown = told(&analysis, &evidence((100, 0), (0, 0)));
        assert!(unknown.0 != Success || text.starts_with("candidate.errors"), "{text}: {unknown:?}");
    }
}

#[test]
fn with_nothing_asked_the_sample_decides() {
    let found = told(&Analysis::default(), &evidence((100, 100), (0, 0)));
    assert_eq!(found, (Outcome::Success, "enough executions, and nothing else is asked".to_owned()));
    assert_eq!(told(&Analysis::default(), &evidence((99, 0), (0, 0))).0, Outcome::Inconclusive);
}

#[test]
fn its_table_can_be_drawn_from_it() {
    let verdict = analyse(&both(), &evidence((24_117, 53), (24_402, 46)), VERSIONS);
    let rows: Vec<[&str; 5]> = verdict
        .checks
        .iter()
        .map(|check| [&*check.name, &*check.stable, &*check.candidate, &*check.limit, &*check.note])
        .collect();
    assert_eq!(
        rows,
        [
            ["executions", "24,402", "24,117", ">= 100", ""],
            ["success rate", "99.81%", "99.78%", ">= 99%", ""],
            ["error rate difference", "", "+0.03%", "<= 1%", "p = 0.48"],
        ]
    );
    let text = serde_json::to_string(&verdict).expect("JSON");
    assert_eq!(serde_json::from_str::<Verdict>(&text).expect("a verdict"), verdict);
}

fn near(found: f64, expected: f64, within: f64) -> bool {
    (found / expected - 1.0).abs() <= within
}

/// SciPy's documentation of `binomtest` (3 of 15 at 0.1), and sums by hand.
#[test]
fn the_binomial_test_is_exact() {
    for (errors, executions, limit, expected) in [
        (3, 15, 0.1, 0.184_061_069_106_391_14),
        (5, 5, 0.5, 0.031_25),
        (1, 10, 0.01, 1.0 - 0.99_f64.powi(10)),
        (10, 10, 0.01, 1e-20),
        (0, 10, 0.01, 1.0),
    ] {
        let found = above(Counts { executions, errors }, limit);
        assert!(near(found, expected, 1e-9), "{errors} of {executions} at {limit}: {found}");
    }
    for (n, errors, limit) in [(100, 5, 0.01), (1000, 30, 0.02), (9000, 60, 0.01), (9000, 140, 0.01)] {
        let binomial = statrs::distribution::Binomial::new(limit, n).expect("a distribution");
        let found = above(Counts { executions: n, errors }, limit);
        assert!(near(found, binomial.sf(errors - 1), 1e-6), "{errors} of {n}: {found}");
    }
    // A billion executions, three standard deviations above the limit: as the normal distribution has it.
    let found = above(Counts { executions: 1_000_000_000, errors: 10_009_439 }, 0.01);
    assert!(near(found, 0.001_35, 0.02), "{found}");
}

/// Without a limit it is Fisher's question; with rates as they are here, it gives Fisher's answer.
#[test]
fn a_difference_is_as_unlikely_as_fisher_says() {
    for (x, n, y, m) in [
        (2, 100, 2, 900),
        (4, 100, 2, 900),
        (6, 100, 2, 900),
        (9, 214, 4, 2000),
        (53, 24_117, 46, 24_402),
        (30, 1000, 60, 4000),
    ] {
        let fisher = Hypergeometric::new(n + m, x + y, n).expect("a distribution").sf(x - 1);
        let (candidate, stable) = (Counts { executions: n, errors: x }, Counts { executions: m, errors: y });
        let found = further_above(candidate, stable, 0.0);
        assert!(near(found, fisher, 0.3), "{x} of {n}, {y} of {m}: {found}, Fisher {fisher}");
    }
    let same = Counts { executions: 1000, errors: 5 };
    assert!(differing(same, same) > 0.9);
}

/// Every outcome of two small samples at the limit, each as likely as it is: no more of them are called failures than may be.
#[test]
fn the_difference_test_errs_no_more_often_than_it_may() {
    let binomial = |rate, n| statrs::distribution::Binomial::new(rate, n).expect("a distribution");
    for (n, m, rate, limit) in [
        (100_u64, 900_u64, 0.002, 0.01),
        (100, 900, 0.01, 0.0),
        (100, 100, 0.002, 0.01),
        (100, 100, 0.02, 0.0),
        (100, 10, 0.01, 0.01),
        (300, 30, 0.05, 0.05),
    ] {
        for alpha in [0.01, 0.001] {
            let (new, old) = (binomial(rate + limit, n), binomial(rate, m));
            let mut wrong = 0.0;
            for errors in 0..=m.min(60) {
                let stable = Counts { executions: m, errors };
                let fails = |errors: &u64| {
                    further_above(Counts { executions: n, errors: *errors }, stable, limit) < alpha
                };
                let Some(first) = (1..=n).find(fails) else { continue };
                use statrs::distribution::Discrete as _;
                wrong += old.pmf(errors) * new.sf(first - 1);
            }
            assert!(wrong <= alpha, "{n} and {m} at {rate}, limit {limit}: {wrong} > {alpha}");
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn failures(&mut self, executions: u64, rate: f64) -> u64 {
        (0..executions).filter(|_| self.share() < rate).count() as u64
    }
}

/// Rollouts of which some look fails, of so many: each looked at every hundred executions of the candidate.
fn failed(analysis: &Analysis, rates: (f64, f64), looks: u32, rollouts: u32) -> u32 {
    let mut random = Random(5);
    let mut failed = 0;
    for _ in 0..rollouts {
        let mut seen = evidence((0, 0), (0, 0));
        let fails = (0..looks).any(|_| {
            for (of, more, rate) in [(&mut seen.candidate, 100, rates.0), (&mut seen.stable, 300, rates.1)] {
                of.executions += more;
                of.errors += random.failures(more, rate);
            }
            analyse(analysis, &seen, VERSIONS).outcome == Outcome::Failure
        });
        failed += u32::from(fails);
    }
    failed
}

/// Of versions that are as good as the stable one: none of 1,000, looked at 60 times each. Where no difference at all is let
/// through, or the version is exactly as bad as it may be, chance has its share: 1% at most of each check.
#[test]
fn looking_again_and_again_fails_no_more_good_versions_than_confidence_says() {
    let none = Analysis { error_rate_difference: Some(AtMost { max: 0.0 }), ..Analysis::default() };
    let rate = Analysis { success_rate: Some(AtLeast { min: 0.99 }), ..Analysis::default() };
    assert_eq!(failed(&both(), (0.002, 0.002), 60, 1000), 0);
    let equal = failed(&none, (0.01, 0.01), 60, 1000);
    let limit = failed(&rate, (0.01, 0.0), 60, 1000);
    // Ten are expected at most; twenty come by chance in less than one of 500.
    assert!(equal <= 20 && limit <= 20, "{equal} {limit}");
    assert_eq!(failed(&both(), (0.05, 0.002), 60, 100), 100, "and a bad one does not get through");
}

/// Of versions that take equally long, where none may take longer: chance has its share, 1% at most. The slower of every two
/// that are far apart is found.
#[test]
fn looking_again_and_again_calls_no_more_versions_slower_than_confidence_says() {
    let analysis =
        Analysis { latency: Some(LatencyLimit { quantile: 0.95, max_ratio: 1.0 }), ..Analysis::default() };
    let slower = |times: f64| {
        let mut random = Random(7);
        let rollout = |_: &u32| {
            let mut seen = evidence((0, 0), (0, 0));
            (0..60).any(|_| {
                for (of, more, times) in [(&mut seen.candidate, 100, times), (&mut seen.stable, 900, 1.0)] {
                    of.executions += more;
                    // Times are spread by orders of magnitude, as they are: here from 10 ms, 5% above 364 ms.
                    let ms = |random: &mut Random| (10.0 * times / random.share().powf(1.2)).min(1e9) as u64;
                    (0..more).for_each(|_| of.latency.add(ms(&mut random), 1));
                }
                analyse(&analysis, &seen, VERSIONS).outcome == Outcome::Failure
            })
        };
        (0..400).filter(rollout).count()
    };
    // Four are expected at most; eleven come by chance in less than one of 300.
    assert!(slower(1.0) <= 10, "{}", slower(1.0));
    assert_eq!(slower(3.0), 400);
}

#[test]
fn what_may_be_spent_on_mistakes_is_spent_once() {
    let sum: f64 = (0..60).map(|doubling| 3.0 * threshold(0.99, 100 << doubling.min(56), 100)).take(56).sum();
    assert!(sum < 0.01 && sum > 0.0098, "{sum}");
    assert!(threshold(0.99, 0, 0) > 0.0);
}

fn analyses() -> impl Strategy<Value = Analysis> {
    (0.5..1.0_f64, 0.0..0.5_f64, any::<bool>(), any::<bool>(), 1..300_u32).prop_map(
        |(min, max, rate, difference, minimum_sample)| Analysis {
            success_rate: rate.then_some(AtLeast { min }),
            error_rate_difference: difference.then_some(AtMost { max }),
            minimum_sample,
            ..Analysis::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// More failures of the candidate make nothing better.
    #[test]
    fn more_failures_are_never_better(
        analysis in analyses(),
        (n, x, more) in (1..5000_u64).prop_flat_map(|n| (Just(n), 0..=n, 1..=n)),
        (m, y) in (0..5000_u64).prop_flat_map(|m| (Just(m), 0..=m)),
    ) {
        let rank = |errors| match analyse(&analysis, &evidence((n, errors), (m, y)), VERSIONS).outcome {
            Outcome::Success => 0,
            Outcome::Inconclusive => 1,
            Outcome::Failure => 2,
        };
        prop_assert!(rank(x) <= rank((x + more).min(n)));
    }

    /// Worse luck of the stable version makes nothing worse.
    #[test]
    fn a_worse_stable_version_blocks_nothing(
        analysis in analyses(),
        (n, x) in (1..5000_u64).prop_flat_map(|n| (Just(n), 0..=n)),
        (m, y, more) in (1..5000_u64).prop_flat_map(|m| (Just(m), 0..=m, 1..=m)),
    ) {
        let rank = |errors| match analyse(&analysis, &evidence((n, x), (m, errors)), VERSIONS).outcome {
            Outcome::Success => 0,
            Outcome::Inconclusive => 1,
            Outcome::Failure => 2,
        };
        prop_assert!(rank(y) >= rank((y + more).min(m)));
    }

    /// Whatever is counted, however much: an answer, whose checks are those that were asked for.
    #[test]
    fn a_handful_decides_nothing_and_no_count_breaks_it(
        analysis in analyses(),
        counts in prop::array::uniform4(any::<u64>()),
        scale in 0..60_u32,
    ) {
        let [n, x, m, y] = counts.map(|count| count >> (scale + 4).min(63));
        let verdict = analyse(&analysis, &evidence((n, x), (m, y)), VERSIONS);
        if n < u64::from(analysis.minimum_sample) {
            prop_assert_eq!(verdict.outcome, Outcome::Inconclusive);
        }
        let asked = 1 + usize::from(analysis.success_rate.is_some()) + usize::from(analysis.error_rate_difference.is_some());
        prop_assert_eq!(verdict.checks.len(), asked);
        prop_assert!(verdict.checks.iter().all(|check| !check.note.contains("NaN") && !check.candidate.contains("NaN")));
    }
}
