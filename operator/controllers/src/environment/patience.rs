//! How long until the next reconcile: intervals with jitter, and a backoff for each environment that a success clears.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use sower_crds::EnvironmentSpec;

use crate::seeding::Kind;

/// Failures in a row, by environment.
#[derive(Debug, Default)]
pub struct Patience(Mutex<HashMap<(String, String), u32>>);

impl Patience {
    /// After a success, or where nothing but a change or the next interval helps.
    pub fn rest(&self, namespace: &str, name: &str, spec: &EnvironmentSpec) -> Duration {
        self.forget(namespace, name);
        jittered(interval(spec), random())
    }

    /// The same, and no longer than until this time: what waits for it goes on then.
    pub fn until(
        &self,
        namespace: &str,
        name: &str,
        spec: &EnvironmentSpec,
        opens: Option<Timestamp>,
        now: Timestamp,
    ) -> Duration {
        let rest = self.rest(namespace, name, spec);
        let left = opens.map(|opens| Duration::try_from(opens.duration_since(now)).unwrap_or_default());
        // A little late is in time, a little early is for nothing.
        left.map_or(rest, |left| rest.min(left + Duration::from_millis(50)))
    }

    /// Where the Secret of the database is missed: no watch tells that it came, and to look for it costs next to nothing.
    pub fn soon(&self, namespace: &str, name: &str, spec: &EnvironmentSpec) -> Duration {
        self.forget(namespace, name);
        jittered(backoff(spec, 1), random())
    }

    /// After a failure.
    pub fn after(&self, namespace: &str, name: &str, spec: &EnvironmentSpec, kind: Kind) -> Duration {
        match kind {
            Kind::Stalled => self.rest(namespace, name, spec),
            Kind::Waiting(after) => after,
            Kind::Transient => {
                let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                let count = failures.entry((namespace.to_owned(), name.to_owned())).or_default();
                *count = count.saturating_add(1);
                jittered(backoff(spec, *count), random())
            }
        }
    }

    /// The environment is gone, or well.
    pub fn forget(&self, namespace: &str, name: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

/// The shortest of the intervals of the environment and its sources.
fn interval(spec: &EnvironmentSpec) -> Duration {
    let all = spec.sources.iter().filter_map(|source| source.interval.as_ref()).chain([&spec.interval]);
    let shortest = all.filter_map(|period| period.duration().ok()).min();
    shortest.unwrap_or(Duration::from_secs(300)).max(Duration::from_secs(1))
}

/// retryInterval, doubled with each failure, up to the interval.
fn backoff(spec: &EnvironmentSpec, failures: u32) -> Duration {
    let first = spec.retry_interval.duration().unwrap_or(Duration::from_secs(60)).max(Duration::from_secs(1));
    let factor = 1u32 << failures.saturating_sub(1).min(16);
    first.saturating_mul(factor).min(interval(spec).max(first))
}

/// A tenth less at most, so that environments of one interval drift apart and none is late.
fn jittered(period: Duration, random: f64) -> Duration {
    period.mul_f64(1.0 - random * 0.1)
}

/// A number from 0 to 1: a hasher's seeds are random.
fn random() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(()) >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sower_crds::Period;

    fn spec(interval: &str, retry: &str) -> EnvironmentSpec {
        EnvironmentSpec {
            interval: Period::new(interval),
            retry_interval: Period::new(retry),
            ..Default::default()
        }
    }

    #[test]
    fn a_failure_doubles_the_wait_up_to_the_interval_and_a_success_clears_it() {
        let (patience, spec) = (Patience::default(), spec("5m", "1m"));
        let mut waits = Vec::new();
        for _ in 0..5 {
            waits.push(patience.after("n", "a", &spec, Kind::Transient).as_secs_f64());
        }
        for (wait, base) in waits.iter().zip([60.0, 120.0, 240.0, 300.0, 300.0]) {
            assert!(*wait <= base && *wait >= base * 0.9, "{wait} of {base}");
        }
        patience.rest("n", "a", &spec);
        assert!(patience.after("n", "a", &spec, Kind::Transient) <= Duration::from_secs(60));
        assert!(patience.after("n", "b", &spec, Kind::Transient) <= Duration::from_secs(60));
    }

    #[test]
    fn other_kinds_wait_for_the_interval_or_as_they_say() {
        let (patience, spec) = (Patience::default(), spec("10s", "1s"));
        let stalled = patience.after("n", "a", &spec, Kind::Stalled);
        assert!(stalled <= Duration::from_secs(10) && stalled >= Duration::from_secs(9));
        let waiting = Kind::Waiting(Duration::from_secs(7));
        assert_eq!(patience.after("n", "a", &spec, waiting), Duration::from_secs(7));
        assert!(patience.soon("n", "a", &spec) <= Duration::from_secs(1));
    }

    #[test]
    fn what_is_frozen_is_tried_when_it_opens() {
        let (patience, spec) = (Patience::default(), spec("5m", "1m"));
        let now: Timestamp = "2026-11-21T14:00:00Z".parse().expect("a time");
        let wait = |opens: Option<&str>| {
            patience.until("n", "a", &spec, opens.map(|at| at.parse().expect("a time")), now)
        };
        assert_eq!(wait(Some("2026-11-21T14:01:00Z")), Duration::from_millis(60_050));
        assert_eq!(wait(Some("2026-11-21T13:59:00Z")), Duration::from_millis(50));
        for opens in [None, Some("2026-11-23T06:00:00Z")] {
            assert!(wait(opens) >= Duration::from_secs(270), "{opens:?}");
        }
    }

    #[test]
    fn a_source_may_be_asked_more_often() {
        let mut spec = spec("5m", "1m");
        spec.sources
            .push(sower_crds::source::Source { interval: Some(Period::new("30s")), ..Default::default() });
        assert_eq!(interval(&spec), Duration::from_secs(30));
    }
}
