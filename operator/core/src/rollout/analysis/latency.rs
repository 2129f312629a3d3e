//! The check of how long executions take.

use super::checks::Look;
use super::figures::{count, p, plain, time};
use super::significance::{Counts, above};
use super::{Check, Judged, Outcome};
use crate::usage::{BOUNDS_MS, Histogram};

impl Look<'_> {
    /// How many times longer the same share of executions takes. Failed where significantly more than the rest of them take
    /// longer than the limit: what ten of a hundred do moves a quantile a good deal by chance.
    pub(super) fn latency(&self) -> Option<Judged> {
        let wanted = self.analysis.latency.as_ref()?;
        let (new, old) = (&self.evidence.candidate.latency, &self.evidence.stable.latency);
        let least = u64::from(self.analysis.minimum_sample);
        let few = [(self.candidate, new), (self.stable, old)]
            .into_iter()
            .find(|(_, histogram)| timed(histogram) < least)
            .map(|(version, histogram)| {
                format!("{} timed executions of {version}, {} needed", count(timed(histogram)), count(least))
            });
        let quantiles = quantile(new, wanted.quantile).zip(quantile(old, wanted.quantile));
        let ratio = quantiles.map(|(new, old)| new / old);
        let (outcome, chance) = match (&few, quantiles) {
            (Some(_), _) | (None, None) => (Outcome::Inconclusive, 1.0),
            (None, Some((now, before))) => self.judged(now / before, wanted.max_ratio, || {
                let slow = slower(new, before * wanted.max_ratio);
                above(Counts { executions: timed(new), errors: slow }, 1.0 - wanted.quantile)
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
            (None, Outcome::Inconclusive) => {
                (format!("{told}, which may be chance: {}", p(chance)), format!("{times}, {}", p(chance)))
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

pub(super) fn timed(histogram: &Histogram) -> u64 {
    histogram.0.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
}

/// Each class with its bounds; the last has no upper one, and is taken as wide as its lower one.
fn classes(histogram: &Histogram) -> impl Iterator<Item = (f64, f64, f64)> {
    #[expect(clippy::cast_precision_loss, reason = "counts and milliseconds stay far below 2^53")]
    let float = |number: u64| number as f64;
    histogram.0.iter().enumerate().map(move |(at, count)| {
        let low = at.checked_sub(1).map_or(0, |before| BOUNDS_MS[before]);
        let high = BOUNDS_MS.get(at).copied().unwrap_or(low * 2);
        (float(low), float(high), float(*count))
    })
}

/// The time in milliseconds within which a share of the executions ended, their class taken as evenly filled.
pub(super) fn quantile(histogram: &Histogram, share: f64) -> Option<f64> {
    let all: f64 = classes(histogram).map(|(_, _, count)| count).sum();
    let mut left = all * share;
    for (low, high, count) in classes(histogram).filter(|(_, _, count)| *count > 0.0) {
        if left <= count {
            return Some(low + (high - low) * left / count);
        }
        left -= count;
    }
    classes(histogram).filter(|(_, _, count)| *count > 0.0).last().map(|(_, high, _)| high)
}

/// How many executions took longer, their class taken as evenly filled.
fn slower(histogram: &Histogram, ms: f64) -> u64 {
    let of = |(low, high, count): (f64, f64, f64)| count * ((high - ms) / (high - low)).clamp(0.0, 1.0);
    let slower: f64 = classes(histogram).map(of).sum();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, rounded down")]
    let whole = slower.floor() as u64;
    whole
}
