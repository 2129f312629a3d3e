//! Usage: what consumers count of their executions is added to the row of its bucket, and read by version.
//!
//! None of it is part of a seeding: whoever counts needs no fence, and a seeding waits for nobody who counts.

mod roll_up;
mod unknown;

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use sower_core::usage::{BOUNDS_MS, Histogram, Observed, Record, bad_records};

pub use roll_up::{RolledUp, UsageLooked, UsageRetention};
pub use unknown::Unknown;

use crate::address::Engine;
use crate::apply::ROWS;
use crate::bulk::{Bulk, Column};
use crate::error::StoreError;
use crate::open::Store;
use crate::seeding::new_id;
use crate::session::{Bind, Row, time};

/// The columns of [`Observed`] but those of its histogram.
const COUNTS: [&str; 4] = ["execution_count", "error_count", "latency_ms", "latency_count"];
/// The columns of a histogram, class by class.
const CLASSES: [&str; BOUNDS_MS.len() + 1] = [
    "ms_10", "ms_25", "ms_50", "ms_100", "ms_250", "ms_500", "ms_1000", "ms_2500", "ms_5000", "ms_10000",
    "ms_30000", "ms_above",
];

/// What follows `ON CONFLICT`: what is there already grows.
const ADD: &str = "(environment, integration_id, minute, version, coalesce(action_id, ''), coalesce(trigger_id, ''), resolution) \
     DO UPDATE SET execution_count = t.execution_count + excluded.execution_count, \
     error_count = t.error_count + excluded.error_count, latency_ms = t.latency_ms + excluded.latency_ms, \
     latency_count = t.latency_count + excluded.latency_count, ms_10 = t.ms_10 + excluded.ms_10, \
     ms_25 = t.ms_25 + excluded.ms_25, ms_50 = t.ms_50 + excluded.ms_50, ms_100 = t.ms_100 + excluded.ms_100, \
     ms_250 = t.ms_250 + excluded.ms_250, ms_500 = t.ms_500 + excluded.ms_500, ms_1000 = t.ms_1000 + excluded.ms_1000, \
     ms_2500 = t.ms_2500 + excluded.ms_2500, ms_5000 = t.ms_5000 + excluded.ms_5000, \
     ms_10000 = t.ms_10000 + excluded.ms_10000, ms_30000 = t.ms_30000 + excluded.ms_30000, \
     ms_above = t.ms_above + excluded.ms_above, \
     last_used = CASE WHEN excluded.last_used > t.last_used THEN excluded.last_used ELSE t.last_used END";

/// Records that an error names.
const NAMED: usize = 20;

/// What one version of an integration was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// The integration.
    pub integration: String,
    /// The version.
    pub version: String,
    /// Its executions.
    pub observed: Observed,
    /// When the last of them was.
    pub last_used: Timestamp,
}

/// What a row is found by. Sorted, so that no two writers wait for each other.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    environment: &'a str,
    integration: &'a str,
    minute: Timestamp,
    version: &'a str,
    action: Option<&'a str>,
    trigger: Option<&'a str>,
}

type Counted<'a> = (Key<'a>, (Observed, Timestamp));

impl Store {
    /// Adds what was counted to the rows of its minutes: all of it in one transaction, or nothing. Records without executions
    /// leave no row.
    ///
    /// # Errors
    /// [`StoreError::UsageRefused`] where a record cannot be counted, with what is wrong with each; else where the database does
    /// not answer.
    pub async fn record_usage(&self, records: &[Record]) -> Result<(), StoreError> {
        let bad = bad_records(records, Timestamp::now());
        if !bad.is_empty() {
            let mut why: Vec<String> = bad.iter().take(NAMED).map(ToString::to_string).collect();
            if bad.len() > NAMED {
                why.push(format!("and {} more", bad.len() - NAMED));
            }
            return Err(StoreError::UsageRefused { why });
        }
        let counted: Vec<Counted<'_>> = merged(records).into_iter().collect();
        if counted.is_empty() {
            return Ok(());
        }
        let mut tx = self.write().await?;
        for chunk in counted.chunks(ROWS) {
            tx.bulk("recording usage", bulk(chunk)).await.map_err(refused)?;
        }
        tx.commit().await
    }

    /// The executions of an integration by version, of all buckets that begin in the minute of `since` or later.
    ///
    /// # Errors
    /// Where the database does not answer or a row cannot be read.
    pub async fn usage_since(
        &self,
        environment: &str,
        integration: &str,
        since: Timestamp,
    ) -> Result<BTreeMap<String, Observed>, StoreError> {
        self.by_version(environment, integration, since, "minute >= $3::timestamptz").await
    }

    /// The executions of an integration by version, of all buckets that end after `since`: of the one that it lies in, those
    /// before it count too.
    ///
    /// # Errors
    /// As [`Store::usage_since`].
    pub async fn usage_over(
        &self,
        environment: &str,
        integration: &str,
        since: Timestamp,
    ) -> Result<BTreeMap<String, Observed>, StoreError> {
        let [hour, day] = [Length::Hour, Length::Day].map(|length| time(length.begin(since)));
        let when = format!(
            "minute >= '{day}'::timestamptz AND (minute >= $3::timestamptz OR resolution = 'day' \
             OR (resolution = 'hour' AND minute >= '{hour}'::timestamptz))"
        );
        self.by_version(environment, integration, since, &when).await
    }

    /// The executions of an integration by version, of the one minute of `at`.
    ///
    /// # Errors
    /// As [`Store::usage_since`].
    pub async fn usage_in_minute(
        &self,
        environment: &str,
        integration: &str,
        at: Timestamp,
    ) -> Result<BTreeMap<String, Observed>, StoreError> {
        let when = "minute = $3::timestamptz AND resolution = 'minute'";
        self.by_version(environment, integration, at, when).await
    }

    async fn by_version(
        &self,
        environment: &str,
        integration: &str,
        at: Timestamp,
        when: &str,
    ) -> Result<BTreeMap<String, Observed>, StoreError> {
        let mut tx = self.read().await?;
        let sql = format!(
            "SELECT version, {} FROM integration_usage \
             WHERE environment = $1 AND integration_id = $2 AND {when} GROUP BY version",
            sums(tx.engine())
        );
        let minute = time(Length::Minute.begin(at));
        let binds = [environment.into(), integration.into(), (&minute).into()];
        let rows = tx.rows("reading usage", &sql, &binds).await?;
        tx.done();
        let read: Result<BTreeMap<String, Observed>, StoreError> =
            rows.iter().map(|row| Ok((row.text(0)?, observed(row, 1)?))).collect();
        read.map_err(|error| match error {
            StoreError::Unreadable { what: _, cause } => {
                StoreError::Unreadable { what: format!("the usage of {integration} in {environment}"), cause }
            }
            other => other,
        })
    }

    /// What each version of one integration, or of all, was used in an environment, by id and version: of all buckets that
    /// begin in the minute of `since` or later.
    ///
    /// # Errors
    /// As [`Store::usage_since`].
    pub async fn usage(
        &self,
        environment: &str,
        integration: Option<&str>,
        since: Timestamp,
    ) -> Result<Vec<Used>, StoreError> {
        let mut tx = self.read().await?;
        let sql = format!(
            "SELECT f.integration_id, f.version, @time(f.last_used), {} FROM (\
             SELECT integration_id, version, max(last_used) AS last_used, {} FROM integration_usage \
             WHERE environment = $1 AND resolution IN ('minute', 'hour', 'day') AND minute >= $2::timestamptz \
             AND ($3::text IS NULL OR integration_id = $3) GROUP BY integration_id, version) AS f \
             ORDER BY f.integration_id, f.version",
            columns("f.", ", "),
            sums(tx.engine())
        );
        let minute = time(Length::Minute.begin(since));
        let binds = [environment.into(), (&minute).into(), Bind::Maybe(integration)];
        let rows = tx.rows("reading usage", &sql, &binds).await?;
        tx.done();
        let used = |row: &Row| {
            Ok(Used {
                integration: row.text(0)?,
                version: row.text(1)?,
                last_used: row.time(2)?,
                observed: observed(row, 3)?,
            })
        };
        rows.iter().map(used).collect()
    }
}

/// What a row cannot hold is no failure of the database.
fn refused(error: StoreError) -> StoreError {
    // A CHECK that is broken: of PostgreSQL, of SQLite.
    let checked = |cause: &str| ["(23514)", "(275)"].iter().any(|code| cause.ends_with(code));
    match error {
        StoreError::Query { cause, .. } if checked(&cause) => {
            let why = "with what was counted before, that is more than a minute can hold".to_owned();
            StoreError::UsageRefused { why: vec![why] }
        }
        other => other,
    }
}

/// One entry a row, whoever counted.
fn merged(records: &[Record]) -> BTreeMap<Key<'_>, (Observed, Timestamp)> {
    let mut merged: BTreeMap<Key<'_>, (Observed, Timestamp)> = BTreeMap::new();
    for record in records.iter().filter(|record| record.observed.executions > 0) {
        let Record { environment, integration, version, action, trigger, at, observed } = record;
        let (action, trigger) = (action.as_deref(), trigger.as_deref());
        let minute = Length::Minute.begin(*at);
        let key = Key { environment, integration, minute, version, action, trigger };
        let (sum, last) = merged.entry(key).or_insert((Observed::default(), *at));
        sum.add(observed);
        *last = (*last).max(*at);
    }
    merged
}

fn bulk<'a>(chunk: &[Counted<'a>]) -> Bulk<'a> {
    let texts = |text: fn(&Key<'a>) -> &'a str| {
        Column::Text(chunk.iter().map(|(key, _)| Some(Cow::Borrowed(text(key)))).collect())
    };
    let parts = |part: fn(&Key<'a>) -> Option<&'a str>| {
        let id = |(key, _): &Counted<'a>| part(key).map(|part| format!("{}/{part}", key.integration).into());
        Column::Text(chunk.iter().map(id).collect())
    };
    let numbers = |number: &dyn Fn(&Observed) -> u64| {
        let number = |(_, (observed, _)): &Counted<'_>| i64::try_from(number(observed)).unwrap_or(i64::MAX);
        Column::Int(chunk.iter().map(number).collect())
    };
    let mut columns = vec![
        ("id", Column::Text(chunk.iter().map(|_| Some(new_id().into())).collect())),
        ("environment", texts(|key| key.environment)),
        ("integration_id", texts(|key| key.integration)),
        ("version", texts(|key| key.version)),
        ("action_id", parts(|key| key.action)),
        ("trigger_id", parts(|key| key.trigger)),
        ("minute", Column::Times(chunk.iter().map(|(key, _)| time(key.minute)).collect())),
        ("last_used", Column::Times(chunk.iter().map(|(_, (_, last))| time(*last)).collect())),
        ("execution_count", numbers(&|observed| observed.executions)),
        ("error_count", numbers(&|observed| observed.errors)),
        ("latency_ms", numbers(&|observed| observed.latency_ms)),
        ("latency_count", numbers(&|observed| observed.latency_count)),
    ];
    for (class, name) in CLASSES.into_iter().enumerate() {
        columns.push((name, numbers(&|observed| observed.latency.0[class])));
    }
    Bulk { table: "integration_usage", columns, on_conflict: ADD }
}

/// The columns of [`Observed`], each behind a prefix.
fn columns(before: &str, between: &str) -> String {
    COUNTS
        .into_iter()
        .chain(CLASSES)
        .map(|column| format!("{before}{column}"))
        .collect::<Vec<_>>()
        .join(between)
}

/// The sums of the columns of [`Observed`], under their names; of what is too much for a column, what it holds at most.
fn sums(engine: Engine) -> String {
    let sum = |column: &str| match engine {
        Engine::Postgres => format!("least(sum({column}), 9000000000000000000)::bigint AS {column}"),
        Engine::Sqlite => format!("CAST(min(total({column}), 9.0e18) AS INTEGER) AS {column}"),
    };
    COUNTS.into_iter().chain(CLASSES).map(sum).collect::<Vec<_>>().join(", ")
}

/// What [`sums`] and [`columns`] selected, from this column on.
fn observed(row: &Row, first: usize) -> Result<Observed, StoreError> {
    let number = |index: usize| Ok::<_, StoreError>(u64::try_from(row.int(first + index)?).unwrap_or(0));
    let mut latency = Histogram::default();
    for (class, count) in latency.0.iter_mut().enumerate() {
        *count = number(4 + class)?;
    }
    let [executions, errors, latency_ms, latency_count] = [number(0)?, number(1)?, number(2)?, number(3)?];
    Ok(Observed { executions, errors, latency_ms, latency_count, latency })
}

/// A length of a bucket: they begin at whole ones since 1970, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    Minute,
    Hour,
    Day,
}

impl Length {
    fn span(self) -> SignedDuration {
        match self {
            Self::Minute => SignedDuration::from_mins(1),
            Self::Hour => SignedDuration::from_hours(1),
            Self::Day => SignedDuration::from_hours(24),
        }
    }

    /// When the bucket begins that a time lies in.
    fn begin(self, at: Timestamp) -> Timestamp {
        let span = self.span().as_nanos();
        let begin = at.as_nanosecond().div_euclid(span) * span;
        // Only the first bucket that there can be begins before time does.
        Timestamp::from_nanosecond(begin).unwrap_or(Timestamp::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_column() {
        for (bound, column) in BOUNDS_MS.iter().zip(CLASSES) {
            assert_eq!(column, format!("ms_{bound}"));
        }
        assert!(
            CLASSES.iter().all(|column| ADD.contains(&format!("{column} = t.{column} + excluded.{column}")))
        );
    }

    #[test]
    fn a_time_lies_in_a_minute_an_hour_and_a_day() {
        let at: Timestamp = "2026-11-21T14:02:11.5Z".parse().unwrap();
        for (length, expected) in [
            (Length::Minute, "2026-11-21T14:02:00Z"),
            (Length::Hour, "2026-11-21T14:00:00Z"),
            (Length::Day, "2026-11-21T00:00:00Z"),
        ] {
            assert_eq!(length.begin(at).to_string(), expected);
            assert_eq!(length.begin(length.begin(at)), length.begin(at));
        }
        let before: Timestamp = "1969-12-31T23:59:59.5Z".parse().unwrap();
        assert_eq!(Length::Minute.begin(before).to_string(), "1969-12-31T23:59:00Z");
        assert_eq!(Length::Day.begin(Timestamp::MIN), Timestamp::MIN);
    }
}
