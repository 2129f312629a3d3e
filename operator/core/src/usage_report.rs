//! Usage as consumers report it in JSON.
//!
//! ```json
//! {"records": [{"environment": "production", "integration": "stripe", "version": "1.1.0", "action": "create-refund",
//!   "at": "2026-11-21T14:08:30Z", "executions": 120, "errors": 2, "latencyMs": 84.5}]}
//! ```
//!
//! In place of `latencyMs`, the mean, or beside it, `latency` says how many executions took how long: twelve counts, one for
//! each class of [`BOUNDS_MS`] and one above them, or an object by upper bound: `{"100": 90, "250": 29, "+Inf": 1}`.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::usage::{AHEAD, BACK, BOUNDS_MS, Histogram, LONGEST, MOST, MOST_MS, Observed, Record};

/// Most records of one report.
pub const MOST_RECORDS: usize = 10_000;
/// The longest mean, in milliseconds: eleven days.
const LONGEST_MS: f64 = 1e9;
/// Problems that are told; the others are counted.
const MOST_TOLD: usize = 100;
/// The class above every bound, as Prometheus calls it.
const ABOVE: &str = "+Inf";

const FIELDS: [&str; 9] =
    ["environment", "integration", "version", "action", "trigger", "at", "executions", "errors", "latencyMs"];

/// What is wrong with a report, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// A JSON pointer into the report (RFC 6901): `/records/3/errors`; empty: the whole.
    pub at: String,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, message } = self;
        if at.is_empty() { f.write_str(message) } else { write!(f, "{at}: {message}") }
    }
}

/// The records of a document `{"records": [...]}` that can be counted, each with its place in the list, and everything that is
/// wrong with the others. What says no time is of `now`.
#[must_use]
pub fn usage_records(json: &[u8], now: Timestamp) -> (Vec<(usize, Record)>, Problems) {
    let mut problems = Problems::default();
    let mut records = Vec::new();
    const FORM: &str = "a report is an object with `records`, a list";
    match serde_json::from_slice(json) {
        Err(error) => problems.push(String::new(), format!("no JSON: {error}")),
        Ok(Value::Object(mut fields)) => {
            let list = fields.remove("records");
            for unknown in fields.keys() {
                problems.push(String::new(), format!("a report has no field {}", quoted(unknown)));
            }
            match list {
                Some(Value::Array(list)) if list.len() > MOST_RECORDS => {
                    let message = format!("{} records: at most {MOST_RECORDS} come at a time", list.len());
                    problems.push("/records".into(), message);
                }
                Some(Value::Array(list)) => {
                    for (index, value) in list.into_iter().enumerate() {
                        match usage_record(value, now) {
                            Ok(record) => records.push((index, record)),
                            Err(wrong) => wrong.into_iter().for_each(|Problem { at, message }| {
                                problems.push(format!("/records/{index}{at}"), message);
                            }),
                        }
                    }
                }
                _ => problems.push(String::new(), FORM.into()),
            }
        }
        Ok(_) => problems.push(String::new(), FORM.into()),
    }
    (records, problems)
}

/// One record of the list. The places of problems are within it.
///
/// # Errors
/// Everything that is wrong with it.
fn usage_record(value: Value, now: Timestamp) -> Result<Record, Vec<Problem>> {
    let Value::Object(fields) = value else {
        return Err(vec![Problem { at: String::new(), message: "a record is an object".into() }]);
    };
    let mut reader = Reader { fields, problems: Vec::new() };
    let environment = reader.name("environment").unwrap_or_default();
    let integration = reader.name("integration").unwrap_or_default();
    let version = reader.name("version").unwrap_or_default();
    if !version.is_empty() && semver::Version::parse(&version).is_err() {
        reader.wrong("version", format!("{} is not a semantic version", quoted(&version)));
    }
    let (action, trigger) = (reader.maybe_name("action"), reader.maybe_name("trigger"));
    if action.is_some() && trigger.is_some() {
        reader.wrong("trigger", "a record is of an action or of a trigger".into());
    }
    let at = reader.time(now);
    let executions = reader.count("executions").or_else(|| reader.missing("executions"));
    let errors = reader.count("errors").unwrap_or(0);
    // Of how many there were nothing is known; what else is off is told all the same.
    let (counted, executions) = (executions.is_some(), executions.unwrap_or(MOST));
    if errors > executions {
        reader.wrong("errors", format!("{errors} of {executions} executions"));
    }
    let mean = reader.mean();
    let by = if mean.is_some() { "latencyMs" } else { "latency" };
    let (latency_ms, latency_count, latency) = match reader.histogram() {
        Some(latency) => {
            let known = latency.count();
            if known > executions {
                reader.wrong("latency", format!("{known} of {executions} executions"));
            }
            (mean.map_or_else(|| middle(&latency), |mean| in_all(mean, known)), known, latency)
        }
        None => mean.map_or_else(Default::default, |mean| {
            let mut latency = Histogram::default();
            if executions == 1 {
                latency.0[class(mean)] = 1;
            }
            (in_all(mean, executions), executions, latency)
        }),
    };
    if counted && latency_ms > MOST_MS {
        reader.wrong(by, format!("{latency_ms} milliseconds in all: at most {MOST_MS}"));
    }
    let problems = reader.end();
    if !problems.is_empty() {
        return Err(problems);
    }
    let observed = Observed { executions, errors, latency_ms, latency_count, latency };
    Ok(Record { environment, integration, version, action, trigger, at, observed })
}

/// The class of a time: the first whose bound it does not exceed.
fn class(ms: f64) -> usize {
    BOUNDS_MS.iter().position(|bound| ms <= *bound as f64).unwrap_or(BOUNDS_MS.len())
}

/// A mean, that many times, in whole milliseconds.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both are bounded, and none is negative"
)]
fn in_all(mean: f64, count: u64) -> u64 {
    (mean * count as f64).round() as u64
}

/// About how long the executions of a histogram took in all: each the middle of its class, above every bound the last one.
fn middle(latency: &Histogram) -> u64 {
    let lower = std::iter::once(0).chain(BOUNDS_MS);
    let upper = BOUNDS_MS.into_iter().map(Some).chain([None]);
    let middles = lower.zip(upper).map(|(lower, upper)| upper.map_or(lower, |upper| lower.midpoint(upper)));
    middles.zip(latency.0).fold(0, |sum, (ms, count)| sum.saturating_add(ms.saturating_mul(count)))
}

/// A record that is being read: what was taken is gone from it, so what is left is unknown.
struct Reader {
    fields: Map<String, Value>,
    problems: Vec<Problem>,
}

impl Reader {
    fn wrong(&mut self, at: &str, message: String) {
        self.problems.push(Problem { at: format!("/{at}"), message });
    }

    fn missing<T>(&mut self, at: &str) -> Option<T> {
        if !self.problems.iter().any(|problem| problem.at.strip_prefix('/') == Some(at)) {
            self.wrong(at, "is missing".into());
        }
        None
    }

    /// A field that is there and not null.
    fn take(&mut self, at: &str) -> Option<Value> {
        self.fields.remove(at).filter(|value| !value.is_null())
    }

    fn name(&mut self, at: &str) -> Option<String> {
        self.maybe_name(at).or_else(|| self.missing(at))
    }

    fn maybe_name(&mut self, at: &str) -> Option<String> {
        match self.take(at)? {
            Value::String(text)
                if !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control) =>
            {
                Some(text)
            }
            _ => {
                self.wrong(at, format!("is no text of 1 to {LONGEST} bytes"));
                None
            }
        }
    }

    fn time(&mut self, now: Timestamp) -> Timestamp {
        let Some(value) = self.take("at") else { return now };
        match value.as_str().map(str::parse::<Timestamp>) {
            Some(Ok(at)) if at.duration_since(now) > AHEAD => {
                self.wrong("at", "is more than a day ahead".into());
                now
            }
            Some(Ok(at)) if now.duration_since(at) > BACK => {
                self.wrong("at", format!("is more than {} hours ago", BACK.as_hours()));
                now
            }
            Some(Ok(at)) => at,
            Some(Err(_)) | None => {
                self.wrong("at", "is no time such as 2026-11-21T14:08:30Z".into());
                now
            }
        }
    }

    fn count(&mut self, at: &str) -> Option<u64> {
        let value = self.take(at)?;
        let count = value.as_u64().filter(|count| *count <= MOST);
        if count.is_none() {
            self.wrong(at, format!("is no whole number from 0 to {MOST}"));
        }
        count
    }

    fn mean(&mut self) -> Option<f64> {
        let value = self.take("latencyMs")?;
        let mean = value.as_f64().filter(|ms| (0.0..=LONGEST_MS).contains(ms));
        if mean.is_none() {
            self.wrong("latencyMs", format!("is no number of milliseconds from 0 to {LONGEST_MS}"));
        }
        mean
    }

    fn histogram(&mut self) -> Option<Histogram> {
        let counts: Vec<(usize, Value)> = match self.take("latency")? {
            Value::Array(counts) if counts.len() == BOUNDS_MS.len() + 1 => {
                counts.into_iter().enumerate().collect()
            }
            Value::Object(counts) => {
                let mut known = Vec::new();
                for (bound, count) in counts {
                    let class = match bound.as_str() {
                        ABOVE => Some(BOUNDS_MS.len()),
                        bound => {
                            bound.parse().ok().and_then(|ms: u64| BOUNDS_MS.iter().position(|b| *b == ms))
                        }
                    };
                    match class {
                        Some(class) => known.push((class, count)),
                        None => {
                            self.wrong("latency", format!("{} is no class: {}", quoted(&bound), classes()))
                        }
                    }
                }
                known
            }
            _ => {
                let message =
                    format!("is neither {} counts nor an object of them: {}", BOUNDS_MS.len() + 1, classes());
                self.wrong("latency", message);
                return None;
            }
        };
        let mut latency = Histogram::default();
        for (class, count) in counts {
            match (count.as_u64().filter(|count| *count <= MOST), latency.0.get_mut(class)) {
                (Some(count), Some(slot)) => *slot = count,
                _ => {
                    self.wrong("latency", format!("a count is no whole number from 0 to {MOST}"));
                    break;
                }
            }
        }
        Some(latency)
    }

    /// All problems; what nobody has read is one.
    fn end(mut self) -> Vec<Problem> {
        for name in std::mem::take(&mut self.fields).keys() {
            if !FIELDS.contains(&name.as_str()) && name != "latency" {
                let message = format!("a record has no field {}", quoted(name));
                self.problems.push(Problem { at: String::new(), message });
            }
        }
        self.problems
    }
}

/// The classes, as an object names them.
fn classes() -> String {
    let bounds: Vec<String> = BOUNDS_MS.iter().map(u64::to_string).collect();
    format!("{}, {ABOVE}", bounds.join(", "))
}

/// A name of somebody else's, short and on one line.
fn quoted(name: &str) -> String {
    let short: String = name.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("`{short}{}`", if name.chars().nth(40).is_some() { "…" } else { "" })
}

/// The problems of a report, of which the first are told, in the order of its records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Something else is wrong, at a JSON pointer into the report.
    pub fn push(&mut self, at: String, message: String) {
        self.0.push(Problem { at, message });
    }

    /// Nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are told, and how many there are besides.
    #[must_use]
    pub fn told(self) -> Vec<Problem> {
        let Self(mut told) = self;
        // What is wrong with the whole comes first; those of one record stay in the order in which its fields were looked at.
        told.sort_by_key(|problem| record_of(&problem.at));
        let more = told.len().saturating_sub(MOST_TOLD);
        told.truncate(MOST_TOLD);
        if more > 0 {
            told.push(Problem { at: String::new(), message: format!("and {more} more") });
        }
        told
    }
}

/// The record that a pointer leads into.
fn record_of(at: &str) -> Option<usize> {
    at.strip_prefix("/records/")?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn now() -> Timestamp {
        "2026-11-21T14:08:30Z".parse().expect("a time")
    }

    fn report(records: &Value) -> Result<Vec<Record>, Vec<String>> {
        let json = json!({ "records": records }).to_string();
        let (records, problems) = usage_records(json.as_bytes(), now());
        match problems.is_empty() {
            true => Ok(records.into_iter().map(|(_, record)| record).collect()),
            false => Err(problems.told().iter().map(ToString::to_string).collect()),
        }
    }

    fn with(more: Value) -> Value {
        let mut record = json!({ "environment": "production", "integration": "stripe", "version": "1.1.0", "executions": 10 });
        let (Some(record_fields), Value::Object(more)) = (record.as_object_mut(), more) else {
            return record;
        };
        record_fields.extend(more);
        record
    }

    fn observed(more: Value) -> Observed {
        report(&json!([with(more)])).expect("good").remove(0).observed
    }

    #[test]
    fn a_record_says_who_what_when_and_how_often() {
        let one = report(&json!([with(json!({
            "action": "create-refund", "at": "2026-11-21T10:00:00Z", "errors": 2, "trigger": null
        }))]));
        let expected = Record {
            environment: "production".into(),
            integration: "stripe".into(),
            version: "1.1.0".into(),
            action: Some("create-refund".into()),
            trigger: None,
            at: "2026-11-21T10:00:00Z".parse().expect("a time"),
            observed: Observed { executions: 10, errors: 2, ..Observed::default() },
        };
        assert_eq!(one, Ok(vec![expected]));
        assert_eq!(report(&json!([with(json!({}))])).expect("good")[0].at, now());
        assert_eq!(report(&json!([])), Ok(Vec::new()));
    }

    #[test]
    fn a_mean_is_in_no_class_and_one_time_and_a_histogram_are() {
        for (ms, class) in [(0.0, 0), (10.0, 0), (10.5, 1), (30_000.0, 10), (30_000.5, 11), (1e9, 11)] {
            let ten = observed(json!({ "latencyMs": ms }));
            assert_eq!((ten.latency_ms as f64, ten.latency_count), (ms * 10.0, 10));
            assert_eq!(ten.latency.count(), 0, "{ms}");
            let one = observed(json!({ "executions": 1, "latencyMs": ms }));
            assert_eq!((one.latency.0[class], one.latency.count(), one.latency_count), (1, 1, 1), "{ms}");
        }
        let list = json!([1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
        let object = json!({ "10": 1, "50": 2, "+Inf": 3 });
        for latency in [list, object] {
            let read = observed(json!({ "latency": latency.clone() }));
            assert_eq!(read.latency.0, [1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3]);
            assert_eq!((read.latency_ms, read.latency_count), (5 + 2 * 37 + 3 * 30_000, 6));
            assert_eq!(observed(json!({ "latency": latency, "latencyMs": 20 })).latency_ms, 6 * 20);
        }
        let most = json!({ "executions": 1_000_000_000, "latencyMs": 10_000 });
        assert_eq!(observed(most).latency_ms, MOST_MS);
        let more = report(&json!([with(json!({ "executions": 1_000_000_000, "latencyMs": 1e9 }))]));
        assert!(
            more.expect_err("bad")[0].starts_with("/records/0/latencyMs: 1000000000000000000 milliseconds")
        );
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let bad = json!([
            with(
                json!({ "version": "v2", "errors": 11, "executions": 10, "latencyMs": -1, "action": "a", "trigger": "b" })
            ),
            with(json!({ "at": "yesterday", "latency": [1, 2], "colour": "red", "executions": 1.5 })),
            7,
            {},
            with(json!({ "environment": "a\nb", "latency": { "11": 1 }, "at": "2026-11-23T14:08:30Z" })),
            with(json!({ "latency": { "10": 11 } })),
            with(json!({ "at": "2001-01-01T00:00:00Z" })),
        ]);
        assert_eq!(
            report(&bad).expect_err("bad"),
            [
                "/records/0/version: `v2` is not a semantic version",
                "/records/0/trigger: a record is of an action or of a trigger",
                "/records/0/errors: 11 of 10 executions",
                "/records/0/latencyMs: is no number of milliseconds from 0 to 1000000000",
                "/records/1/at: is no time such as 2026-11-21T14:08:30Z",
                "/records/1/executions: is no whole number from 0 to 1000000000",
                "/records/1/latency: is neither 12 counts nor an object of them: 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, +Inf",
                "/records/1: a record has no field `colour`",
                "/records/2: a record is an object",
                "/records/3/environment: is missing",
                "/records/3/integration: is missing",
                "/records/3/version: is missing",
                "/records/3/executions: is missing",
                "/records/4/environment: is no text of 1 to 253 bytes",
                "/records/4/at: is more than a day ahead",
                "/records/4/latency: `11` is no class: 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, +Inf",
                "/records/5/latency: 11 of 10 executions",
                "/records/6/at: is more than 24 hours ago",
            ]
        );
    }

    #[test]
    fn what_is_no_report_is_told_in_short() {
        let said = |json: &[u8]| {
            let (_, problems) = usage_records(json, now());
            let problems = problems.told();
            assert!(problems.len() <= MOST_TOLD + 1);
            problems.last().map(ToString::to_string).unwrap_or_default()
        };
        let form = "a report is an object with `records`, a list";
        assert!(said(b"").starts_with("no JSON: "));
        assert!(said(b"\xff").starts_with("no JSON: "));
        assert!(said("[".repeat(100_000).as_bytes()).starts_with("no JSON: "));
        assert_eq!(said(b"[]"), form);
        assert_eq!(said(b"{\"records\": {}}"), form);
        assert_eq!(said(b"{\"records\": [], \"more\": 1}"), "a report has no field `more`");
        let many = json!({ "records": vec![7; MOST_RECORDS + 1] }).to_string();
        assert_eq!(said(many.as_bytes()), "/records: 10001 records: at most 10000 come at a time");
        let wrong = json!({ "records": vec![7; MOST_RECORDS] }).to_string();
        assert_eq!(said(wrong.as_bytes()), "and 9900 more");
    }
}
