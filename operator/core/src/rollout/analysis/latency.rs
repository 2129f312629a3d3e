//! The check of how long executions take.

use super::checks::Look;
use super::figures::{count, p, plain, time};
use super::significance::{Counts, further_above};
use super::{Check, Judged, Outcome};
use crate::usage::{BOUNDS_MS, Histogram};

impl Look<'_> {
    /// How many times longer the same share of executions takes. Failed where significantly more of them than of the stable
    /// version's are slower for certain: what ten of a hundred do moves a quantile a good deal by chance, and classes are
    /// coarse.
    pub(super) fn latency(&self) -> Option<Judged> {
        let wanted = self.analysis.latency.as_ref()?;
        let (new, old) = (&self.evidence.candidate.latency, &self.evidence.stable.latency);
        let least = u64::from(self.analysis.minimum_sample);
        let few = [(self.candidate, new), (self.stable, old)]
            .into_iter()
            .find(|(_, histogram)| histogram.count() < least)
            .map(|(version, histogram)| {
                format!("{} timed executions of {version}, {} needed", count(histogram.count()), count(least))
            });
        let quantiles = new.quantile(wanted.quantile).zip(old.quantile(wanted.quantile));
        let ratio = quantiles.map(|(new, old)| new / old);
        let (outcome, chance) = match (&few, quantiles) {
            (Some(_), _) | (None, None) => (Outcome::Inconclusive, 1.0),
            (None, Some((now, before))) => self.judged(now / before, wanted.max_ratio, || {
                let counts = slower(new, old, wanted.quantile, wanted.max_ratio);
                counts.map_or(1.0, |(new, old)| further_above(new, old, 0.0))
            }),
        };
        let name = format!("latency p{}", plain(wanted.quantile * 100.0));
        let [new, old] = [quantiles.map(|(new, _)| new), quantiles.map(|(_, old)| old)]
            .map(|ms| ms.map(time).unwrap_or_default());
        let times = ratio.map(|ratio| format!("{ratio:.2} times")).unwrap_or_default();
        let told = format!(
            "{name} {times} that of {}, limit {} ({new}; {}: {old})",
            self.stable,
            plain(wanted.max_ratio),
            self.stable
        );
        let (reason, note) = match (few, outcome) {
            (Some(few), _) => (format!("{name}: {few}"), few),
            (None, Outcome::Inconclusive) if chance < 1.0 => {
                (format!("{told}, which may be chance: {}", p(chance)), format!("{times}, {}", p(chance)))
            }
            (None, Outcome::Inconclusive) => {
                (format!("{told}, which the width of classes leaves open"), times)
            }
            (None, Outcome::Success | Outcome::Failure) => (told, times),
        };
        let limit = format!("<= {} times", plain(wanted.max_ratio));
        let counts = self.evidence.stable.executions > 0;
        Some(Judged {
            check: Check { name, candidate: new, stable: old, limit, outcome, note },
            reason,
            counts,
        })
    }
}

/// How many executions took longer than `times` the class in which a share of the stable version's ended, and how many of
/// the stable version's took longer than that class: of each version those alone that did for certain, wherever they lie in
/// their classes. None where that class has no upper bound.
fn slower(candidate: &Histogram, stable: &Histogram, share: f64, times: f64) -> Option<(Counts, Counts)> {
    let class = stable.class_of_quantile(share)?;
    let bound = ms(*BOUNDS_MS.get(class)?);
    let beyond = |of: &Histogram, limit: f64| Counts {
        executions: of.count(),
        errors: of.0[1..]
            .iter()
            .zip(BOUNDS_MS)
            .filter(|(_, lower)| ms(*lower) >= limit)
            .fold(0, |sum, (count, _)| sum.saturating_add(*count)),
    };
    Some((beyond(candidate, bound * times), beyond(stable, bound)))
}

#[expect(clippy::cast_precision_loss, reason = "a bound is far below 2^53")]
fn ms(bound: u64) -> f64 {
    bound as f64
}
