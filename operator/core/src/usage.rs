//! What consumers say of their executions: counted by version and minute, with the times that they took.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Upper bounds of the classes of a histogram, in milliseconds; one class more is above them all.
pub const BOUNDS_MS: [u64; 11] = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000];

/// How far ahead of now a record may lie: clocks differ.
pub const AHEAD: SignedDuration = SignedDuration::from_hours(24);
/// How far back a record may lie: by then minutes are rolled up into hours.
pub const BACK: SignedDuration = SignedDuration::from_hours(24);
/// Bytes of an id, a version or an identifier.
pub const LONGEST: usize = 253;
/// Characters of them that an error shows.
const SHOWN: usize = 80;
/// Executions of one record. Sums of such numbers do not leave their columns.
pub const MOST: u64 = 1_000_000_000;
/// Milliseconds of one record.
pub(crate) const MOST_MS: u64 = 10_000 * MOST;

/// How many executions took how long, by class: each counts in the first class whose bound it does not exceed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram(pub [u64; BOUNDS_MS.len() + 1]);

/// The class of executions that take so many milliseconds, by its place in [`Histogram`].
#[must_use]
pub fn class_of(milliseconds: u64) -> usize {
    BOUNDS_MS.partition_point(|bound| *bound < milliseconds)
}

impl Histogram {
    /// Counts executions that took so many milliseconds each.
    pub fn add(&mut self, milliseconds: u64, executions: u64) {
        let class = &mut self.0[class_of(milliseconds)];
        *class = class.saturating_add(executions);
    }

    /// Those of both.
    #[must_use]
    pub fn merge(self, other: &Self) -> Self {
        Self(std::array::from_fn(|class| self.0[class].saturating_add(other.0[class])))
    }

    /// Those that came since an earlier count.
    #[must_use]
    pub fn minus(self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|class| self.0[class].saturating_sub(earlier.0[class])))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().fold(0, |count, class| count.saturating_add(*class))
    }

    /// The milliseconds that this part of them (0 to 1) took at most: linear inside a class; the last one, which has no upper
    /// bound, is taken as wide as its lower one. None where there are none, or the part is no number.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a quantile is an estimate")]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let (class, within) = self.place(part)?;
        let lower = class.checked_sub(1).map_or(0.0, |below| BOUNDS_MS[below] as f64);
        let upper = BOUNDS_MS.get(class).map_or(2.0 * lower, |bound| *bound as f64);
        Some(lower + (upper - lower) * within)
    }

    /// The class in which that quantile lies.
    #[must_use]
    pub fn class_of_quantile(&self, part: f64) -> Option<usize> {
        self.place(part).map(|(class, _)| class)
    }

    /// The class of a quantile, and where in it, from 0 to 1.
    #[allow(clippy::cast_precision_loss, reason = "a quantile is an estimate")]
    fn place(&self, part: f64) -> Option<(usize, f64)> {
        let all: f64 = self.0.iter().map(|class| *class as f64).sum();
        if part.is_nan() {
            return None;
        }
        let rank = part.clamp(0.0, 1.0) * all;
        let mut before = 0.0;
        let mut reached = None;
        for (class, count) in self.0.iter().enumerate().filter(|(_, count)| **count > 0) {
            let count = *count as f64;
            if rank <= before + count {
                return Some((class, ((rank - before) / count).clamp(0.0, 1.0)));
            }
            before += count;
            // Where a sum of large numbers was rounded.
            reached = Some((class, 1.0));
        }
        reached
    }
}

/// The executions of one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// How many there were.
    pub executions: u64,
    /// How many of them failed.
    pub errors: u64,
    /// How long they took in all, in milliseconds, those of which it is known.
    pub latency_ms: u64,
    /// Of how many it is known how long they took in all.
    #[serde(default)]
    pub latency_count: u64,
    /// How long each took. Those of which only the mean is known are missing: it says nothing of the slow ones.
    pub latency: Histogram,
}

impl Observed {
    /// Executions of which no more is known than how long they took in the mean, in milliseconds, or not even that. The mean
    /// of a single one is its time.
    #[must_use]
    pub fn of(executions: u64, errors: u64, mean_ms: Option<u64>) -> Self {
        let mut latency = Histogram::default();
        if let Some(mean) = mean_ms.filter(|_| executions == 1) {
            latency.add(mean, 1);
        }
        let latency_ms = executions.saturating_mul(mean_ms.unwrap_or(0));
        Self { executions, errors, latency_ms, latency_count: mean_ms.map_or(0, |_| executions), latency }
    }

    /// Counts those of another, too.
    pub fn add(&mut self, other: &Self) {
        *self = self.merge(other);
    }

    /// Those of both.
    #[must_use]
    pub fn merge(self, other: &Self) -> Self {
        let Self { executions, errors, latency_ms, latency_count, latency } = self;
        Self {
            executions: executions.saturating_add(other.executions),
            errors: errors.saturating_add(other.errors),
            latency_ms: latency_ms.saturating_add(other.latency_ms),
            latency_count: latency_count.saturating_add(other.latency_count),
            latency: latency.merge(&other.latency),
        }
    }

    /// Those that came since an earlier count. Where that counted more of something, there are none of it.
    #[must_use]
    pub fn minus(self, earlier: &Self) -> Self {
        let Self { executions, errors, latency_ms, latency_count, latency } = self;
        Self {
            executions: executions.saturating_sub(earlier.executions),
            errors: errors.saturating_sub(earlier.errors),
            latency_ms: latency_ms.saturating_sub(earlier.latency_ms),
            latency_count: latency_count.saturating_sub(earlier.latency_count),
            latency: latency.minus(&earlier.latency),
        }
    }

    /// The part of them that failed, 0 to 1; none where there are none.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a rate is an estimate")]
    pub fn error_rate(&self) -> Option<f64> {
        (self.executions > 0).then(|| (self.errors as f64 / self.executions as f64).min(1.0))
    }

    /// How long they took in the mean, in milliseconds; none where it is of none known.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a mean is an estimate")]
    pub fn mean_ms(&self) -> Option<f64> {
        (self.latency_count > 0).then(|| self.latency_ms as f64 / self.latency_count as f64)
    }

    /// The part of them that did not fail, 0 to 1; none where there are none.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a rate is an estimate")]
    pub fn success_rate(&self) -> Option<f64> {
        let good = self.executions.saturating_sub(self.errors);
        (self.executions > 0).then(|| good as f64 / self.executions as f64)
    }
}

/// What one consumer reports of the executions of one action or trigger in one minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The environment.
    pub environment: String,
    /// The integration.
    pub integration: String,
    /// The version that was executed.
    pub version: String,
    /// Identifier of the action, or else of the trigger; of neither where it is not known.
    pub action: Option<String>,
    /// Identifier of the trigger.
    pub trigger: Option<String>,
    /// When; the minute counts.
    pub at: Timestamp,
    /// What was observed.
    pub observed: Observed,
}

/// Why a record cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// What it is of: `stripe 1.1.0 in production`.
    pub of: String,
    /// Why, in a clause: `101 errors of 100 executions`.
    pub why: String,
}

impl fmt::Display for BadRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "record {} ({}): {}", self.index + 1, self.of, self.why)
    }
}

/// What is wrong with records: every problem of each.
#[must_use]
pub fn bad_records(records: &[Record], now: Timestamp) -> Vec<BadRecord> {
    let of = |record: &Record| {
        let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(SHOWN).collect::<String>();
        let Record { environment, integration, version, .. } = record;
        format!("{} {} in {}", shown(integration), shown(version), shown(environment))
    };
    let problems = records.iter().enumerate().flat_map(|(index, record)| {
        problems(record, now).into_iter().map(move |why| BadRecord { index, of: of(record), why })
    });
    problems.collect()
}

fn problems(record: &Record, now: Timestamp) -> Vec<String> {
    let Record { environment, integration, version, action, trigger, at, observed } = record;
    let Observed { executions, errors, latency_ms, latency_count, latency } = observed;
    let mut problems = Vec::new();
    let names = [
        ("environment", Some(environment)),
        ("integration", Some(integration)),
        ("version", Some(version)),
        ("action", action.as_ref()),
        ("trigger", trigger.as_ref()),
    ];
    for (name, text) in names {
        let Some(text) = text else { continue };
        if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
            problems
                .push(format!("its {name} is not a text of 1 to {LONGEST} bytes without control characters"));
        }
    }
    if action.is_some() && trigger.is_some() {
        problems.push("it is of an action and of a trigger".to_owned());
    }
    if at.duration_since(now) > AHEAD {
        problems.push(format!("{at} is more than {} hours ahead", AHEAD.as_hours()));
    }
    if now.duration_since(*at) > BACK {
        problems.push(format!("{at} is more than {} hours ago", BACK.as_hours()));
    }
    if errors > executions {
        problems.push(format!("{errors} errors of {executions} executions"));
    }
    if latency_count > executions {
        problems.push(format!("the time of {latency_count} of {executions} executions"));
    }
    if latency.count() > *latency_count {
        problems.push(format!("{} in classes, of {latency_count} whose time is known", latency.count()));
    }
    if *executions > MOST {
        problems.push(format!("{executions} executions are more than {MOST}"));
    }
    if *latency_ms > MOST_MS {
        problems.push(format!("{latency_ms} milliseconds are more than {MOST_MS}"));
    }
    if *latency_ms > 0 && *latency_count == 0 {
        problems.push(format!("{latency_ms} milliseconds of no execution"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn histogram() -> impl Strategy<Value = Histogram> {
        prop::array::uniform12(prop_oneof![Just(0), 0..50u64, any::<u64>()]).prop_map(Histogram)
    }

    fn observed() -> impl Strategy<Value = Observed> {
        (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>(), histogram()).prop_map(
            |(executions, errors, latency_ms, latency_count, latency)| Observed {
                executions,
                errors,
                latency_ms,
                latency_count,
                latency,
            },
        )
    }

    /// Of a size that sums do not reach the end of numbers with.
    fn modest() -> impl Strategy<Value = Observed> {
        let class = prop::array::uniform12(0..1_000_000u64);
        (0..1_000_000u64, 0..1_000_000u64, any::<u32>(), class).prop_map(
            |(executions, errors, latency_ms, classes)| Observed {
                executions,
                errors,
                latency_ms: latency_ms.into(),
                latency_count: executions,
                latency: Histogram(classes),
            },
        )
    }

    proptest! {
        #[test]
        fn to_merge_is_associative_and_commutative(a in observed(), b in observed(), c in observed()) {
            prop_assert_eq!(a.merge(&b).merge(&c), a.merge(&b.merge(&c)));
            prop_assert_eq!(a.merge(&b), b.merge(&a));
            prop_assert_eq!(a.merge(&Observed::default()), a);
        }

        #[test]
        fn minus_takes_back_what_was_added(a in modest(), b in modest()) {
            let mut both = a;
            both.add(&b);
            prop_assert_eq!(both.minus(&b), a);
            prop_assert_eq!(a.minus(&both), Observed::default());
        }

        #[test]
        fn a_quantile_is_monotone(of in histogram(), parts in prop::collection::vec(-0.5..1.5f64, 2..20)) {
            let mut parts = parts;
            parts.sort_by(f64::total_cmp);
            let found: Vec<Option<f64>> = parts.iter().map(|part| of.quantile(*part)).collect();
            prop_assert!(found.iter().all(|one| one.is_some() == (of.count() > 0)), "{:?}", found);
            prop_assert!(found.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}: {:?}", of, found);
        }

        #[test]
        fn a_quantile_lies_in_its_class(times in prop::collection::vec(0..40_000u64, 1..200), part in 0.01..1.0f64) {
            let mut of = Histogram::default();
            times.iter().for_each(|time| of.add(*time, 1));
            let mut times = times;
            times.sort_unstable();
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let exact = times[((part * times.len() as f64).ceil() as usize).clamp(1, times.len()) - 1];
            let class = class_of(exact);
            #[allow(clippy::cast_precision_loss)]
            let lower = class.checked_sub(1).map_or(0.0, |below| BOUNDS_MS[below] as f64);
            #[allow(clippy::cast_precision_loss)]
            let upper = BOUNDS_MS.get(class).map_or(2.0 * lower, |bound| *bound as f64);
            let found = of.quantile(part).expect("there are some");
            prop_assert!((lower..=upper).contains(&found), "{} of {:?} is {}", part, times, found);
        }
    }

    #[test]
    fn each_time_has_its_class() {
        for (milliseconds, class) in
            [(0, 0), (10, 0), (11, 1), (25, 1), (26, 2), (100, 3), (30_000, 10), (30_001, 11), (u64::MAX, 11)]
        {
            assert_eq!(class_of(milliseconds), class, "{milliseconds}");
        }
    }

    #[test]
    fn a_quantile_is_linear_inside_a_class() {
        let mut of = Histogram::default();
        assert_eq!(of.quantile(0.5), None);
        of.add(200, 10);
        for (part, expected) in [(0.0, 100.0), (0.5, 175.0), (1.0, 250.0), (7.0, 250.0), (-1.0, 100.0)] {
            assert_eq!(of.quantile(part), Some(expected), "{part}");
        }
        assert_eq!(of.quantile(f64::NAN), None);
        of.add(99_999, 10);
        assert_eq!(of.quantile(0.5), Some(250.0));
        assert_eq!(of.quantile(1.0), Some(60_000.0), "as wide as its lower bound");
    }

    #[test]
    fn rates_are_parts_of_what_there_is() {
        let none = Observed::default();
        assert_eq!((none.success_rate(), none.error_rate()), (None, None));
        let some = Observed::of(200, 3, Some(120));
        assert_eq!((some.success_rate(), some.error_rate()), (Some(0.985), Some(0.015)));
        assert_eq!((some.latency_ms, some.latency_count, some.mean_ms()), (24_000, 200, Some(120.0)));
        assert_eq!(some.latency.count(), 0, "a mean says nothing of the slow ones");
        assert_eq!(
            (Observed::of(1, 0, Some(120)).latency.0[4], Observed::of(5, 0, None).latency_count),
            (1, 0)
        );
        // What another hand wrote does not leave the scale.
        let odd = Observed { executions: 1, errors: 5, ..none };
        assert_eq!((odd.success_rate(), odd.error_rate()), (Some(0.0), Some(1.0)));
    }

    #[test]
    fn what_cannot_be_counted_is_named_in_one_pass() {
        let now: Timestamp = "2026-11-21T14:02:11Z".parse().expect("a time");
        let good = Record {
            environment: "production".into(),
            integration: "stripe".into(),
            version: "1.1.0".into(),
            action: Some("charge".into()),
            trigger: None,
            at: now,
            observed: Observed::of(100, 2, Some(30)),
        };
        let with = |change: fn(&mut Record)| {
            let mut record = good.clone();
            change(&mut record);
            record
        };
        let records = [
            good.clone(),
            with(|r| r.observed = Observed::of(100, 101, None)),
            with(|r| {
                r.at += SignedDuration::from_hours(25);
                r.trigger = Some("done".into());
            }),
            with(|r| r.at -= SignedDuration::from_hours(25)),
            with(|r| r.version = String::new()),
            with(|r| r.integration = "a\u{0}b".into()),
            with(|r| r.action = Some("x".repeat(254))),
            with(|r| r.observed = Observed { latency_count: 101, ..Observed::of(100, 0, None) }),
            with(|r| r.observed.latency.add(1, 101)),
            with(|r| r.observed = Observed { latency_ms: 7, ..Observed::of(3, 0, None) }),
            with(|r| r.observed = Observed::of(u64::MAX, 0, None)),
            with(|r| r.observed = Observed::of(2, 0, Some(u64::MAX))),
            with(|r| r.at += SignedDuration::from_hours(23)),
            with(|r| r.at -= SignedDuration::from_hours(23)),
        ];
        let told: Vec<String> = bad_records(&records, now).iter().map(ToString::to_string).collect();
        let text = "is not a text of 1 to 253 bytes without control characters";
        let expected = [
            "record 2 (stripe 1.1.0 in production): 101 errors of 100 executions".to_owned(),
            "record 3 (stripe 1.1.0 in production): it is of an action and of a trigger".to_owned(),
            "record 3 (stripe 1.1.0 in production): 2026-11-22T15:02:11Z is more than 24 hours ahead"
                .to_owned(),
            "record 4 (stripe 1.1.0 in production): 2026-11-20T13:02:11Z is more than 24 hours ago"
                .to_owned(),
            format!("record 5 (stripe  in production): its version {text}"),
            format!("record 6 (ab 1.1.0 in production): its integration {text}"),
            format!("record 7 (stripe 1.1.0 in production): its action {text}"),
            "record 8 (stripe 1.1.0 in production): the time of 101 of 100 executions".to_owned(),
            "record 9 (stripe 1.1.0 in production): 101 in classes, of 100 whose time is known".to_owned(),
            "record 10 (stripe 1.1.0 in production): 7 milliseconds of no execution".to_owned(),
            format!(
                "record 11 (stripe 1.1.0 in production): {} executions are more than 1000000000",
                u64::MAX
            ),
            format!(
                "record 12 (stripe 1.1.0 in production): {} milliseconds are more than 10000000000000",
                u64::MAX
            ),
        ];
        assert_eq!(told, expected);
    }
}
