//! When an environment is looked through for drift, and what was found there last: a function of times and of what happened.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sower_core::drift::{Counted, Drifted, correctable, told};
use sower_crds::Drift;
use sower_store::DatabaseUrl;

/// A hint is followed no sooner than so long after the last look.
const REST: Duration = Duration::from_secs(1);
/// Nor sooner than so many times as long as the last look took: looking is to be a small part of the work.
const SHARE: u32 = 10;
/// How soon a look that failed is tried again.
const RETRY: Duration = Duration::from_secs(60);

/// What a look found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many rows.
    pub counted: Counted,
    /// `1 missing, 2 changed rows since seeding 57: stripe and wordpress`; empty where there is none.
    pub told: String,
    /// Those that a seeding may correct.
    pub correctable: Arc<[Drifted]>,
}

impl Found {
    /// What was found since a seeding; none: there was no seeding yet.
    #[must_use]
    pub fn of(rows: &[Drifted], seeding: Option<i64>) -> Option<Self> {
        let seeding = seeding?;
        if rows.is_empty() {
            return Some(Self::default());
        }
        Some(Self {
            counted: Counted::of(rows),
            told: told(rows, seeding),
            correctable: correctable(rows).into(),
        })
    }

    /// Whether the condition Drifted holds, its reason, and what it says.
    #[must_use]
    pub fn condition(&self) -> (bool, &'static str, &str) {
        match (self.counted.missing + self.counted.changed, self.counted.foreign) {
            (0, 0) => (false, "NoDrift", "No drift"),
            (0, _) => (true, "ForeignRows", &self.told),
            _ => (true, "RowsChanged", &self.told),
        }
    }

    /// There is drift.
    #[must_use]
    pub fn is_some(&self) -> bool {
        self.counted.total() > 0
    }
}

/// The looks at one environment.
#[derive(Debug, Default)]
pub struct Watch {
    /// Where is looked, and for what.
    at: Option<(DatabaseUrl, Drift)>,
    /// When the last look began.
    began: Option<Instant>,
    /// When it ended, and how long it took.
    ended: Option<(Instant, Duration)>,
    /// When the next one is due by itself.
    next: Option<Instant>,
    /// Another's hand was told of since the last look began.
    hinted: bool,
    /// Somebody is about to be woken for a hint.
    waking: bool,
    /// Corrections in a row, and the last of them: somebody writes against us.
    corrections: (u32, Option<Instant>),
    found: Option<Arc<Found>>,
}

impl Watch {
    /// What was found last; none: nobody looked yet, or there was nothing to look at.
    #[must_use]
    pub fn found(&self) -> Option<Arc<Found>> {
        self.found.clone()
    }

    /// Looks are made there, and for this, from now on: what was found otherwise is forgotten.
    pub fn look_at(&mut self, database: &DatabaseUrl, drift: &Drift) {
        let same = self.at.as_ref().is_some_and(|(at, for_)| at == database && for_ == drift);
        if !same {
            let (at, waking) = (Some((database.clone(), drift.clone())), self.waking);
            *self = Self { at, waking, ..Self::default() };
        }
    }

    /// Whether it is time to look.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.due_at().is_none_or(|due| due <= now)
    }

    /// How long until then.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.due_at().map_or(Duration::ZERO, |due| due.saturating_duration_since(now))
    }

    fn due_at(&self) -> Option<Instant> {
        let next = self.next?;
        Some(if self.hinted { next.min(self.rested()?) } else { next })
    }

    /// From when on a hint is followed.
    fn rested(&self) -> Option<Instant> {
        let (ended, took) = self.ended?;
        let rest = REST.max(took * SHARE);
        Some(ended + rest * (1 << self.corrections.0.saturating_sub(1).min(10)))
    }

    /// Another's hand is told of. In how long somebody is to be woken for it; none: somebody is about to be, or a first look
    /// is to come anyway.
    pub fn hint(&mut self, now: Instant) -> Option<Duration> {
        self.began?;
        self.hinted = true;
        let wakes = !std::mem::replace(&mut self.waking, true);
        wakes.then(|| self.left(now))
    }

    /// Somebody was woken.
    pub fn woken(&mut self) {
        self.waking = false;
    }

    /// A look begins.
    pub fn begin(&mut self, now: Instant) {
        (self.began, self.hinted) = (Some(now), false);
    }

    /// A look ended; the next is due after this long.
    pub fn end(&mut self, now: Instant, interval: Duration, found: Option<Found>) {
        let began = self.began.unwrap_or(now);
        self.ended = Some((now, now.saturating_duration_since(began)));
        self.next = Some(now + interval);
        if self.corrections.1.is_some_and(|last| now.saturating_duration_since(last) > interval) {
            self.corrections = (0, None);
        }
        self.found = found.map(Arc::new);
    }

    /// A look failed: what is known stays.
    pub fn fail(&mut self, now: Instant) {
        self.ended = Some((now, Duration::ZERO));
        self.next = Some(now + RETRY);
    }

    /// What was found is corrected. Where that happens again and again, hints are followed later and later.
    pub fn correct(&mut self, now: Instant) {
        self.corrections = (self.corrections.0.saturating_add(1), Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sower_core::drift::What;

    const INTERVAL: Duration = Duration::from_secs(900);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One whose first look began and ended now.
    fn looked(now: Instant) -> Watch {
        let mut watch = Watch::default();
        assert!(watch.is_due(now));
        assert_eq!(watch.hint(now), None, "a first look is to come anyway");
        watch.begin(now);
        watch.end(now, INTERVAL, Some(Found::default()));
        watch
    }

    #[test]
    fn a_look_is_due_after_the_interval() {
        let now = Instant::now();
        let watch = looked(now);
        assert!(!watch.is_due(now));
        assert_eq!(watch.left(now), INTERVAL);
        assert!(watch.is_due(now + INTERVAL));
    }

    #[test]
    fn a_burst_of_hints_is_one_look() {
        let now = Instant::now();
        let mut watch = looked(now);
        assert_eq!(watch.hint(now), Some(REST));
        assert_eq!(watch.hint(now), None);
        watch.woken();
        assert!(!watch.is_due(now));
        assert!(watch.is_due(now + REST));
        watch.begin(now + REST);
        // One that comes while it is looked is not lost.
        assert_eq!(watch.hint(now + REST), Some(Duration::ZERO));
        watch.end(now + REST + seconds(2), INTERVAL, Some(Found::default()));
        assert_eq!(watch.left(now + REST + seconds(2)), seconds(20), "ten times as long as a look takes");
    }

    #[test]
    fn whoever_writes_against_us_is_answered_later_and_later() {
        let now = Instant::now();
        let mut watch = looked(now);
        let mut waits = Vec::new();
        for _ in 0..4 {
            watch.correct(now);
            watch.hint(now);
            waits.push(watch.left(now));
            watch.woken();
        }
        assert_eq!(waits, [1, 2, 4, 8].map(seconds));
        watch.begin(now + INTERVAL * 2);
        watch.end(now + INTERVAL * 2, INTERVAL, Some(Found::default()));
        watch.hint(now + INTERVAL * 2);
        assert_eq!(watch.left(now + INTERVAL * 2), REST);
    }

    #[test]
    fn a_look_that_failed_is_made_again_soon_and_forgets_nothing() {
        let now = Instant::now();
        let mut watch = looked(now);
        let row = Drifted {
            integration: "a".into(),
            registry: None,
            id: "a".into(),
            version: None,
            what: What::Missing,
        };
        watch.begin(now);
        watch.end(now, INTERVAL, Found::of(&[row], Some(3)));
        watch.begin(now);
        watch.fail(now);
        assert_eq!(watch.left(now), RETRY);
        let found = watch.found().expect("found");
        assert_eq!((found.told.as_str(), found.correctable.len()), ("1 missing row since seeding 3: a", 1));
    }
}
