//! Usage as it ages: minutes become hours, hours become days, and days are forgotten.
//!
//! Each transaction moves a bounded number of rows and is right by itself: an execution is counted in one row before it and
//! after it. Two that roll up at once wait for each other's rows, and find them gone.

use std::time::Duration;

use jiff::Timestamp;

use super::{ADD, Length, columns, sums};
use crate::address::Engine;
use crate::environment::EnvironmentRow;
use crate::error::StoreError;
use crate::open::Store;
use crate::session::{Bind, Row, Tx, time};

/// What a row is found by, in the order of the index.
const KEY: &str =
    "environment, integration_id, minute, version, coalesce(action_id, ''), coalesce(trigger_id, '')";
/// Rows that one transaction moves at most.
const PIECE: i64 = 5_000;
/// Transactions of one look at most; what is left is due at the next reconcile.
const PIECES: usize = 100;

/// How long usage is kept in each kind of bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRetention {
    /// Minutes, before they become hours.
    pub minutes: Duration,
    /// Hours, before they become days.
    pub hours: Duration,
    /// Days, before they are forgotten.
    pub days: Duration,
}

impl Default for UsageRetention {
    fn default() -> Self {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        Self { minutes: hours(24), hours: hours(30 * 24), days: hours(400 * 24) }
    }
}

/// What an environment's row says of its usage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageLooked {
    /// There is some.
    pub some: bool,
    /// When it has to be looked at; none: never was.
    pub due_at: Option<Timestamp>,
    /// The retention that was looked at last; none: the default one.
    pub kept: Option<String>,
}

/// What a look at the usage of an environment made of it, in rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolledUp {
    /// Minutes that went into hours.
    pub minutes: u64,
    /// Hours that went into days.
    pub hours: u64,
    /// Days that were forgotten.
    pub days: u64,
    /// There is more: a look is bounded.
    pub more: bool,
}

impl UsageRetention {
    /// As the environment's row remembers it.
    fn text(&self) -> String {
        let Self { minutes, hours, days } = self;
        format!("minutes {}s, hours {}s, days {}s", minutes.as_secs(), hours.as_secs(), days.as_secs())
    }

    /// Whether something may have to be rolled up by now: so says the environment's row alone.
    #[must_use]
    pub fn is_due(&self, row: &EnvironmentRow, now: Timestamp) -> bool {
        let UsageLooked { some, due_at, kept } = &row.usage;
        let kept = kept.clone().unwrap_or_else(|| Self::default().text());
        *some && (kept != self.text() || due_at.is_none_or(|at| at <= now))
    }
}

impl Store {
    /// Rolls the usage of an environment up, as of `now`, and forgets what is older than it is to be kept. Minutes of an
    /// integration since its rollout began stay until that is over: they are what it is judged by.
    ///
    /// # Errors
    /// Where the database does not answer; what was rolled up until then is.
    pub async fn roll_up_usage(
        &self,
        environment: &str,
        now: Timestamp,
        retention: &UsageRetention,
    ) -> Result<RolledUp, StoreError> {
        // What is kept longer than there is time is kept.
        let before =
            |ago: Duration, length: Length| now.checked_sub(ago).ok().map(|at| time(length.begin(at)));
        let mut left = PIECES;
        let mut rolled = RolledUp::default();
        if let Some(cutoff) = before(retention.minutes, Length::Hour) {
            rolled.minutes = self.all(&mut left, environment, &Step::MINUTES, &cutoff).await?;
        }
        if let Some(cutoff) = before(retention.hours, Length::Day) {
            rolled.hours = self.all(&mut left, environment, &Step::HOURS, &cutoff).await?;
        }
        if let Some(cutoff) = before(retention.days, Length::Day) {
            rolled.days = self.all(&mut left, environment, &Step::DAYS, &cutoff).await?;
        }
        rolled.more = left == 0;
        self.note_usage(environment, now, retention, rolled.more).await?;
        Ok(rolled)
    }

    /// Takes a step with all rows that are old enough, as far as transactions are left.
    async fn all(
        &self,
        left: &mut usize,
        environment: &str,
        step: &Step,
        cutoff: &str,
    ) -> Result<u64, StoreError> {
        let mut moved = 0;
        while *left > 0 {
            *left -= 1;
            let mut tx = self.write().await?;
            let piece = step.take(&mut tx, environment, cutoff).await?;
            if piece == 0 {
                return Ok(moved);
            }
            tx.commit().await?;
            moved += piece;
            if piece < PIECE.unsigned_abs() {
                return Ok(moved);
            }
        }
        Ok(moved)
    }

    /// Notes when to look again. In a transaction of its own: who seeds holds the row while it waits for others.
    async fn note_usage(
        &self,
        environment: &str,
        now: Timestamp,
        retention: &UsageRetention,
        more: bool,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        let next = if more { Some(now) } else { next(&mut tx, environment, now, retention).await? };
        tx.run(
            "noting when usage is looked at",
            "UPDATE environments SET usage_at = $2::timestamptz, usage_kept = $3 WHERE name = $1",
            &[environment.into(), Bind::Maybe(next.map(time).as_deref()), (&retention.text()).into()],
        )
        .await?;
        tx.commit().await
    }
}

/// From one kind of bucket to the next.
struct Step {
    from: &'static str,
    /// None: they are forgotten.
    to: Option<Bucket>,
}

/// A kind of bucket that others go into.
#[derive(Clone, Copy)]
enum Bucket {
    Hour,
    Day,
}

impl Step {
    const MINUTES: Self = Self { from: "minute", to: Some(Bucket::Hour) };
    const HOURS: Self = Self { from: "hour", to: Some(Bucket::Day) };
    const DAYS: Self = Self { from: "day", to: None };

    /// Moves the oldest rows, or forgets them; how many.
    async fn take(&self, tx: &mut Tx, environment: &str, cutoff: &str) -> Result<u64, StoreError> {
        let engine = tx.engine();
        let spared = match self.to {
            Some(Bucket::Hour) => format!(
                "AND NOT EXISTS (SELECT 1 FROM integration_rollouts r WHERE r.environment = u.environment \
                 AND r.integration_id = u.integration_id AND r.ended_at IS NULL AND {} <= u.minute) ",
                minute_of(engine, &lesser(engine, "r.started_at", "r.step_started_at"))
            ),
            Some(Bucket::Day) | None => String::new(),
        };
        let sql = format!(
            "SELECT u.id FROM integration_usage u WHERE u.environment = $1 AND u.resolution = $2 \
             AND u.minute < $3::timestamptz {spared}ORDER BY u.minute, u.id LIMIT $4"
        );
        let binds = [environment.into(), self.from.into(), cutoff.into(), Bind::Int(PIECE)];
        let old = ids(&tx.rows("reading old usage", &sql, &binds).await?)?;
        let old: Vec<&str> = old.iter().map(String::as_str).collect();
        // Whoever counts locks in the order of their key: in another one, each could wait for the other.
        let sql = format!(
            "SELECT id FROM integration_usage WHERE id = ANY($1) AND resolution = $2 ORDER BY {KEY} FOR UPDATE"
        );
        let there = ids(&tx.rows("locking old usage", &sql, &[Bind::Texts(&old), self.from.into()]).await?)?;
        if there.is_empty() {
            return Ok(0);
        }
        let ids: Vec<&str> = there.iter().map(String::as_str).collect();
        if let Some(bucket) = self.to {
            tx.run("rolling usage up", &bucket.sum(engine), &[Bind::Texts(&ids)]).await?;
        }
        let sql = "DELETE FROM integration_usage WHERE id = ANY($1)";
        tx.run("deleting old usage", sql, &[Bind::Texts(&ids)]).await
    }
}

impl Bucket {
    /// Adds the rows of these ids to the rows of their buckets.
    fn sum(self, engine: Engine) -> String {
        let (name, begins) = match (self, engine) {
            (Self::Hour, Engine::Postgres) => ("hour", "date_trunc('hour', minute, 'UTC')"),
            (Self::Day, Engine::Postgres) => ("day", "date_trunc('day', minute, 'UTC')"),
            (Self::Hour, Engine::Sqlite) => ("hour", "strftime('%Y-%m-%dT%H:00:00.000Z', minute)"),
            (Self::Day, Engine::Sqlite) => ("day", "strftime('%Y-%m-%dT00:00:00.000Z', minute)"),
        };
        format!(
            "INSERT INTO integration_usage AS t (environment, integration_id, version, action_id, trigger_id, resolution, \
             minute, last_used, created_at, {}) \
             SELECT environment, integration_id, version, action_id, trigger_id, '{name}', {begins}, max(last_used), \
             min(created_at), {} FROM integration_usage WHERE id = ANY($1) \
             GROUP BY environment, integration_id, version, action_id, trigger_id, {begins} \
             ORDER BY environment, integration_id, {begins}, version, coalesce(action_id, ''), coalesce(trigger_id, '') \
             ON CONFLICT {ADD}",
            columns("", ", "),
            sums(engine)
        )
    }
}

fn ids(rows: &[Row]) -> Result<Vec<String>, StoreError> {
    rows.iter().map(|row| row.text(0)).collect()
}

/// The lesser of two times in columns.
fn lesser(engine: Engine, one: &str, other: &str) -> String {
    match engine {
        Engine::Postgres => format!("least({one}, {other})"),
        Engine::Sqlite => format!("min({one}, {other})"),
    }
}

/// The beginning of the minute of a time in a column.
fn minute_of(engine: Engine, column: &str) -> String {
    match engine {
        Engine::Postgres => format!("date_trunc('minute', {column}, 'UTC')"),
        Engine::Sqlite => format!("strftime('%Y-%m-%dT%H:%M:00.000Z', {column})"),
    }
}

/// When to look again: where the oldest bucket of a kind is old enough, but neither at once nor only after a day, since what
/// comes meanwhile may be older. None: there is nothing.
async fn next(
    tx: &mut Tx,
    environment: &str,
    now: Timestamp,
    retention: &UsageRetention,
) -> Result<Option<Timestamp>, StoreError> {
    let oldest = |kind: &str| {
        format!(
            "(SELECT min(minute) FROM integration_usage WHERE environment = $1 AND resolution = '{kind}') AS of_{kind}"
        )
    };
    let sql = format!(
        "SELECT @time(f.of_minute), @time(f.of_hour), @time(f.of_day) FROM (SELECT {}, {}, {}) AS f",
        oldest("minute"),
        oldest("hour"),
        oldest("day")
    );
    let Some(row) = tx.row("reading what usage there is", &sql, &[environment.into()]).await? else {
        return Ok(None);
    };
    let UsageRetention { minutes, hours, days } = retention;
    let mut first: Option<Timestamp> = None;
    for (index, (into, kept)) in
        [(Length::Hour, minutes), (Length::Day, hours), (Length::Day, days)].into_iter().enumerate()
    {
        let Some(oldest) = row.maybe_time(index)? else { continue };
        let ends = into.begin(oldest).checked_add(into.span()).unwrap_or(Timestamp::MAX);
        let due = ends.checked_add(*kept).unwrap_or(Timestamp::MAX);
        first = Some(first.map_or(due, |first| first.min(due)));
    }
    let [soonest, latest] =
        [Length::Hour, Length::Day].map(|later| now.checked_add(later.span()).unwrap_or(now));
    Ok(first.map(|due| due.clamp(soonest, latest)))
}
