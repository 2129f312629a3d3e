//! The log of `run --standalone`, all of it on standard error: text on a terminal, elsewhere one JSON object a line.

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sower_core::problem::Problem;

use super::line::{Line, Widths};
use crate::cli::LogFormat;
use crate::commands::Context;
use crate::logging;
use crate::output::problems;
use crate::output::style::Style;

/// What is logged beside the lines for people.
const WARNINGS: &str = "off,sower=warn,sower_source=warn,sower_store=warn,sower_controllers=warn";

/// Where the log goes.
#[derive(Debug)]
pub struct Log {
    /// For people.
    text: bool,
    style: Style,
    zone: TimeZone,
    widths: Mutex<Widths>,
}

impl Log {
    /// Starts the log.
    #[must_use]
    pub fn start(format: Option<LogFormat>, context: &Context) -> Self {
        let text = match format {
            Some(format) => format == LogFormat::Text,
            None => std::io::stderr().is_terminal(),
        };
        if text {
            let log = tracing_subscriber::fmt()
                .log_internal_errors(false)
                .with_env_filter(logging::filter(context.looks.verbose, WARNINGS))
                .with_writer(std::io::stderr)
                .with_ansi(context.style.err)
                .with_target(false);
            // A second start is a mistake of a test alone; the first one's log goes on.
            let _ = log.try_init();
        } else {
            let log = tracing_subscriber::fmt()
                .log_internal_errors(false)
                .with_env_filter(logging::filter(context.looks.verbose, "info"))
                .with_writer(std::io::stderr)
                .with_ansi(false)
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_span_list(false);
            // A second start is a mistake of a test alone; the first one's log goes on.
            let _ = log.try_init();
        }
        Self { text, style: context.style, zone: here(), widths: Mutex::default() }
    }

    /// Whether people read it.
    #[must_use]
    pub fn is_text(&self) -> bool {
        self.text
    }

    /// The line that says where everything is.
    pub fn from(&self, line: &str) {
        if self.text {
            self.style.hint(line);
        } else {
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                from = line.trim_start_matches("from: "),
                "sower runs"
            );
        }
    }

    /// What people alone read.
    pub fn for_people(&self, text: &str) {
        if self.text {
            self.style.note(text);
        }
    }

    /// What people alone read, and may silence.
    pub fn hint(&self, text: &str) {
        if self.text {
            self.style.hint(text);
        }
    }

    /// Makes room in the columns.
    pub fn expect(&self, environments: impl Iterator<Item = usize>, revisions: impl Iterator<Item = usize>) {
        self.widths.lock().unwrap_or_else(PoisonError::into_inner).expect(environments, revisions);
    }

    /// One line.
    pub fn line(&self, line: &Line) {
        if self.text {
            let clock = Timestamp::now().to_zoned(self.zone.clone()).strftime("%H:%M:%S").to_string();
            let text = self.widths.lock().unwrap_or_else(PoisonError::into_inner).text(&clock, line);
            self.style.note(&text);
        } else {
            self.record(line);
        }
    }

    /// One line, for programs.
    pub fn record(&self, line: &Line) {
        let Line { environment, revision, counts: _, told, took: _, warns, report } = line;
        let Some(report) = report else {
            if *warns {
                tracing::warn!(environment, revision, "{told}");
            } else {
                tracing::info!(environment, revision, "{told}");
            }
            return;
        };
        let told = if told.is_empty() { report.status.as_str() } else { told };
        tracing::info!(
            environment,
            revision,
            seeding = report.seeding,
            status = report.status.as_str(),
            created = report.created,
            updated = report.updated,
            deleted = report.deleted,
            unchanged = report.unchanged,
            conflicts = report.conflicts.len(),
            refused = report.errors.len(),
            duration = report.duration,
            "{told}"
        );
    }

    /// A problem of an Environment's file, with its line.
    pub fn problem(&self, problem: &Problem, line: Option<&str>) {
        if self.text {
            self.style.note_raw(&problems::drawn(problem, line, self.style.err));
        } else {
            let (at, code, message) = (problem.location(), problem.code.as_str(), &problem.message);
            tracing::warn!(at, code, "{message}");
        }
    }

    /// The last line.
    pub fn stopped(&self, nothing_was_written: bool, again: &str) {
        if self.text {
            let what = if nothing_was_written {
                "Nothing was being written"
            } else {
                "What was being written is in"
            };
            self.style.note(&format!("Stopped. {what}. {again} goes on from here."));
        } else {
            tracing::info!("stopped");
        }
    }
}

/// The time zone of this machine: TZ, else /etc/localtime, else UTC.
fn here() -> TimeZone {
    let file = match std::env::var("TZ") {
        Ok(name) if !name.is_empty() => {
            let name = name.trim_start_matches(':');
            if name.starts_with('/') { name.to_owned() } else { format!("/usr/share/zoneinfo/{name}") }
        }
        _ => "/etc/localtime".to_owned(),
    };
    let data = std::fs::read(file).ok();
    data.and_then(|data| TimeZone::tzif("local", &data).ok()).unwrap_or(TimeZone::UTC)
}
