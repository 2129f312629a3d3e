//! The figures of a stretch of time: what became of the seedings of an environment, how long they took, and what moved.
//!
//! A function of what the log holds and of the time: equal logs have equal figures.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::plan::ConflictType;

/// How a seeding of the log ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its rows are there.
    Completed,
    /// Nothing of it is.
    Failed,
    /// Not yet.
    Running,
}

/// A seeding, as far as figures need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeding {
    /// Its number; absent unless completed.
    pub seq: Option<i64>,
    /// How it ended.
    pub ended: Ended,
    /// When it began; of failures that share a row, the first.
    pub started_at: Timestamp,
    /// When it ended; of failures that share a row, the last.
    pub completed_at: Option<Timestamp>,
    /// Failures that share this row; 1 otherwise.
    pub attempts: u64,
    /// Why it was made, for people.
    pub reason: String,
    /// When the commit that it brought was made, where that was noted.
    pub committed_at: Option<Timestamp>,
}

/// The conflicts of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Conflicts {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: ConflictType,
    /// Found in the time.
    pub opened: u64,
    /// Gone in the time.
    pub closed: u64,
    /// There now.
    pub open: u64,
}

/// How often seedings of the time changed an integration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The integration.
    pub integration: String,
    /// Seedings that changed it.
    pub seedings: u64,
    /// Of those, the last.
    pub last_at: Timestamp,
}

/// What the log holds of an environment since a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// The seedings, in any order.
    pub seedings: Vec<Seeding>,
    /// There are more seedings than were read: the oldest are missing.
    pub cut: bool,
    /// Conflicts by kind.
    pub conflicts: Vec<Conflicts>,
    /// The integrations that were changed most, most first.
    pub changed: Vec<Changed>,
}

/// How long things took, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many were measured.
    pub count: u64,
    /// Half of them took at most this long; absent where none was measured.
    pub p50: Option<u64>,
    /// 95 of 100 took at most this long.
    pub p95: Option<u64>,
}

/// How long a bar of a chart is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Span {
    /// 60 minutes.
    Hour,
    /// 24 hours, as UTC has them.
    Day,
    /// 7 days.
    Week,
    /// 30 days.
    Month,
}

impl Span {
    /// `hour`, `day`, `week` or `month`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 7 * 86_400,
            Self::Month => 30 * 86_400,
        }
    }

    /// The shortest that makes at most [`MOST_BARS`] of a time.
    fn of(seconds: i64) -> Self {
        let fits = |span: &Self| seconds / span.seconds() < MOST_BARS;
        [Self::Hour, Self::Day, Self::Week].into_iter().find(fits).unwrap_or(Self::Month)
    }
}

/// Bars of a chart.
const MOST_BARS: i64 = 62;
/// Months that are told apart: what is older is no part of the course.
const MOST_MONTHS: i64 = 240;

/// One bar of the charts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bar {
    /// When it begins.
    pub from: Timestamp,
    /// Seedings that completed in it.
    pub completed: u64,
    /// Attempts that failed in it.
    pub failed: u64,
    /// How long its completed seedings took.
    pub duration: Spread,
    /// How long its commits took to be rows.
    pub commit_to_rows: Spread,
}

/// The seedings of a time, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// All that ended: completed and failed.
    pub count: u64,
    /// Those whose rows are there.
    pub completed: u64,
    /// Attempts that wrote nothing.
    pub failed: u64,
    /// Those that run now.
    pub running: u64,
}

/// How long commits took to be rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CommitToRows {
    /// Of those whose commit's time was noted.
    #[serde(flatten)]
    pub spread: Spread,
    /// Seedings of a push whose commit's time was not noted: an earlier Sower made them.
    pub unknown: u64,
}

/// The figures of an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figures {
    /// The beginning of the time.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// The seedings.
    pub seedings: Counted,
    /// There were more seedings than are counted: the oldest are not.
    pub cut: bool,
    /// Completed ones among all that ended, from 0 to 1; absent where none ended.
    pub success_rate: Option<f64>,
    /// How long completed seedings took, from the fetch to the commit.
    pub duration: Spread,
    /// How long commits took to be rows.
    pub commit_to_rows: CommitToRows,
    /// Conflicts by kind.
    pub conflicts: Vec<Conflicts>,
    /// Seedings that were made to correct drift.
    pub corrections: u64,
    /// The integrations that were changed most, most first.
    pub most_changed: Vec<Changed>,
    /// How long a bar of the course is.
    pub per: Span,
    /// The course: every bar of the time, the empty ones included.
    pub course: Vec<Bar>,
}

impl Figures {
    /// Conflicts of all kinds: opened, closed, and open now.
    #[must_use]
    pub fn conflicts(&self) -> (u64, u64, u64) {
        let sum = |pick: fn(&Conflicts) -> u64| self.conflicts.iter().map(pick).sum();
        (sum(|c| c.opened), sum(|c| c.closed), sum(|c| c.open))
    }
}

/// How the reason of a seeding begins that brought a commit.
const PUSH: &str = "push: ";
/// How the reason of a seeding begins that corrected drift.
const DRIFT: &str = "drift";

/// The figures of the time from `since` to `now`.
#[must_use]
pub fn figures(account: Account, since: Timestamp, now: Timestamp) -> Figures {
    let Account { seedings, cut, conflicts, changed } = account;
    let per = Span::of(now.as_second().saturating_sub(since.as_second()).max(0));
    let first = since.as_second().max(now.as_second().saturating_sub(MOST_MONTHS * Span::Month.seconds()));
    let first = first.div_euclid(per.seconds());
    let last = now.as_second().div_euclid(per.seconds());
    let mut course: Vec<Measured> = (first..=last.max(first)).map(|_| Measured::default()).collect();
    let mut whole = Measured::default();
    let (mut running, mut unknown, mut corrections) = (0, 0, 0);
    for seeding in &seedings {
        let Some(at) = seeding.completed_at else {
            running += 1;
            continue;
        };
        let index = usize::try_from(at.as_second().div_euclid(per.seconds()) - first).unwrap_or(0);
        let index = index.min(course.len() - 1);
        for measured in [&mut whole, &mut course[index]] {
            measured.add(seeding, at);
        }
        let completed = seeding.ended == Ended::Completed;
        unknown += u64::from(completed && brought_commit(seeding) && seeding.committed_at.is_none());
        corrections += u64::from(completed && seeding.reason.starts_with(DRIFT));
    }
    let bars = course.into_iter().zip(first..).map(|(measured, number)| Bar {
        from: Timestamp::from_second(number * per.seconds()).unwrap_or(since),
        completed: measured.completed,
        failed: measured.failed,
        duration: spread(measured.durations),
        commit_to_rows: spread(measured.waits),
    });
    let course = bars.collect();
    let count = whole.completed + whole.failed;
    Figures {
        since,
        until: now,
        seedings: Counted { count, completed: whole.completed, failed: whole.failed, running },
        cut,
        success_rate: (count > 0).then(|| ratio(whole.completed, count)),
        duration: spread(whole.durations),
        commit_to_rows: CommitToRows { spread: spread(whole.waits), unknown },
        conflicts,
        corrections,
        most_changed: changed,
        per,
        course,
    }
}

#[derive(Default)]
struct Measured {
    completed: u64,
    failed: u64,
    durations: Vec<u64>,
    waits: Vec<u64>,
}

impl Measured {
    fn add(&mut self, seeding: &Seeding, at: Timestamp) {
        match seeding.ended {
            Ended::Running => {}
            Ended::Failed => self.failed += seeding.attempts.max(1),
            Ended::Completed => {
                self.completed += 1;
                self.durations.push(milliseconds(at.duration_since(seeding.started_at)));
                if let Some(committed) = seeding.committed_at.filter(|_| brought_commit(seeding)) {
                    self.waits.push(milliseconds(at.duration_since(committed)));
                }
            }
        }
    }
}

/// Whether a seeding was made because of a new commit. An environment's first has every commit there ever was.
fn brought_commit(seeding: &Seeding) -> bool {
    seeding.reason.starts_with(PUSH) && seeding.seq != Some(1)
}

/// Milliseconds; none where a clock went back, or a commit comes from one that is ahead.
fn milliseconds(duration: SignedDuration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(0)
}

#[expect(clippy::cast_precision_loss, reason = "counts of seedings are far below 2^53")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

fn spread(mut values: Vec<u64>) -> Spread {
    values.sort_unstable();
    Spread {
        count: values.len() as u64,
        p50: percentile(&values, 50).copied(),
        p95: percentile(&values, 95).copied(),
    }
}

/// The smallest of the sorted values that so many of 100 do not exceed (the nearest rank).
fn percentile(sorted: &[u64], percent: usize) -> Option<&u64> {
    sorted.get((sorted.len() * percent).div_ceil(100).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T14:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn seeding(seq: i64, started: &str, milliseconds: i64, reason: &str) -> Seeding {
        let started_at = at(started);
        Seeding {
            seq: Some(seq),
            ended: Ended::Completed,
            started_at,
            completed_at: Some(started_at + SignedDuration::from_millis(milliseconds)),
            attempts: 1,
            reason: reason.to_owned(),
            committed_at: None,
        }
    }

    fn of(seedings: Vec<Seeding>, since: &str) -> Figures {
        figures(Account { seedings, ..Account::default() }, at(since), at(NOW))
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let hundred: Vec<u64> = (1..=100).collect();
        for (values, p50, p95) in [
            (vec![], None, None),
            (vec![7], Some(7), Some(7)),
            (vec![2, 1], Some(1), Some(2)),
            (vec![3, 1, 2], Some(2), Some(3)),
            (vec![4, 3, 2, 1], Some(2), Some(4)),
            (hundred, Some(50), Some(95)),
            ((1..=20).collect(), Some(10), Some(19)),
            ((1..=21).collect(), Some(11), Some(20)),
        ] {
            let count = values.len() as u64;
            assert_eq!(spread(values), Spread { count, p50, p95 });
        }
    }

    #[test]
    fn nothing_has_no_rate() {
        let none = of(Vec::new(), "2026-11-20T14:00:00Z");
        assert_eq!((none.seedings, none.success_rate), (Counted::default(), None));
        assert_eq!((none.per, none.course.len()), (Span::Hour, 25));
    }

    #[test]
    fn seedings_are_counted_with_every_attempt() {
        let failed = Seeding {
            seq: None,
            ended: Ended::Failed,
            attempts: 3,
            ..seeding(0, "2026-11-20T10:00:00Z", 60_000, "push: \"x\" (AUTHOR)")
        };
        let running = Seeding { ended: Ended::Running, completed_at: None, ..failed.clone() };
        let done = |seq, ms| seeding(seq, "2026-11-20T12:00:00Z", ms, "spec changed");
        let told = of(vec![done(2, 80), failed, done(3, 1_200), running], "2026-11-01T00:00:00Z");
        assert_eq!(told.seedings, Counted { count: 5, completed: 2, failed: 3, running: 1 });
        assert_eq!(told.success_rate, Some(0.4));
        assert_eq!(told.duration, Spread { count: 2, p50: Some(80), p95: Some(1_200) });
        assert_eq!((told.per, told.course.len()), (Span::Day, 21));
        let day = &told.course[19];
        assert_eq!((day.from, day.completed, day.failed), (at("2026-11-20T00:00:00Z"), 2, 3));
        assert_eq!(told.course.iter().map(|bar| bar.completed).sum::<u64>(), 2);
    }

    #[test]
    fn a_commit_is_rows_when_its_seeding_is_committed() {
        let push = |seq, committed: Option<&str>| Seeding {
            committed_at: committed.map(at),
            ..seeding(seq, "2026-11-20T12:00:00Z", 500, "push: \"x\" (AUTHOR)")
        };
        let ahead = push(5, Some("2026-11-20T13:00:00Z"));
        let respecified = Seeding {
            reason: "spec changed".into(),
            committed_at: Some(at("2026-01-01T00:00:00Z")),
            ..push(6, None)
        };
        let told = of(
            vec![
                push(1, Some("2020-01-01T00:00:00Z")),
                push(2, Some("2026-11-20T11:59:00Z")),
                push(3, None),
                ahead,
                respecified,
            ],
            "2026-11-01T00:00:00Z",
        );
        let spread = Spread { count: 2, p50: Some(0), p95: Some(60_500) };
        assert_eq!(told.commit_to_rows, CommitToRows { spread, unknown: 1 });
    }

    #[test]
    fn corrections_of_drift_are_told() {
        let told = of(
            vec![
                seeding(2, "2026-11-20T12:00:00Z", 5, "drift: 2 rows"),
                seeding(3, "2026-11-20T12:00:00Z", 5, "spec changed"),
            ],
            "2026-11-01T00:00:00Z",
        );
        assert_eq!(told.corrections, 1);
    }

    #[test]
    fn a_course_has_few_bars_however_long_it_is() {
        for (since, per, bars) in [
            ("2026-11-21T13:30:00Z", Span::Hour, 2),
            ("2026-11-19T14:00:00Z", Span::Hour, 49),
            ("2026-10-22T14:00:00Z", Span::Day, 31),
            ("2026-01-01T00:00:00Z", Span::Week, 47),
            ("2024-01-01T00:00:00Z", Span::Month, 36),
            ("1970-01-01T00:00:00Z", Span::Month, 241),
        ] {
            let told = of(Vec::new(), since);
            assert_eq!((told.per, told.course.len()), (per, bars), "{since}");
            assert!(told.course[0].from <= at(since) || bars == 241);
        }
        // What lies before the time, or after it, is in its first or last bar: nothing is lost.
        let early = seeding(2, "2026-11-01T00:00:00Z", 5, "");
        assert_eq!(of(vec![early], "2026-11-20T14:00:00Z").course[0].completed, 1);
    }
}
