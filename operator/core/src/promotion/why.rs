//! What something waits for, and how that is said.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What something waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "for", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Why {
    /// The other environment does not carry it.
    NotThere {
        /// The version that it carries instead.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        has: Option<String>,
    },
    /// The other environment carries this version with other content.
    OtherContent,
    /// It has not been there long enough.
    Soaking {
        /// Since when it is there.
        since: Timestamp,
        /// Until when it has to be.
        until: Timestamp,
    },
    /// It was not executed often enough.
    Executions {
        /// How often it was.
        seen: u64,
        /// How often it has to be.
        asked: u64,
    },
    /// Too many of its executions failed.
    SuccessRate {
        /// How many succeeded.
        succeeded: u64,
        /// Of how many.
        executions: u64,
        /// How many have to, in percent.
        least: String,
    },
    /// Its version is none that may come.
    OutOfRange {
        /// The versions that may.
        versions: String,
    },
    /// What it would leave behind is not whole.
    Needs(Gap),
    /// It is gone from the sources, and the other environment still carries it.
    StillCarried,
    /// The other environment cannot be read.
    Away {
        /// Why not.
        cause: String,
    },
    /// Somebody let it in, and something holds the plan.
    LetIn {
        /// Who.
        by: String,
    },
}

/// How it begins that somebody let something in.
pub const LET_IN: &str = "is let in by ";
/// When that comes which waits for no other environment any more.
const COMES: &str = "and comes once nothing holds the plan";

/// Something that is needed and would not be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// Who needs it: another integration, or the one that waits.
    pub by: String,
    /// What is needed: `http@^2`.
    pub needed: String,
    /// The version that would be there; none: it would not be there at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What is needed is offered, and waits itself.
    #[serde(default)]
    pub waits: bool,
}

impl Gap {
    fn told(&self) -> String {
        let Self { by, needed, found, waits } = self;
        let id = needed.split('@').next().unwrap_or_default();
        let found = match found {
            Some(version) => format!("{id} is {version}"),
            None => format!("{id} is not here"),
        };
        let waits = if *waits { ", and what there is of it waits too" } else { "" };
        format!("{by} needs {needed}, and {found}{waits}")
    }
}

impl Why {
    /// What is said where the other environment is not what it waits for.
    pub(super) fn held(&self, from: &str, now: Option<Timestamp>) -> Option<String> {
        match self {
            Self::LetIn { by } => Some(format!("{LET_IN}{by}, {COMES}")),
            Self::Soaking { since, until } if now.is_some_and(|now| *until <= now) => {
                let soaked = span(until.duration_since(*since));
                Some(format!("has soaked in {from} for {soaked}, {COMES}"))
            }
            _ => None,
        }
    }

    /// One clause for people. With the time that it is, as of then; without, so that it stays true.
    #[must_use]
    pub fn told(&self, from: &str, version: Option<&str>, now: Option<Timestamp>) -> String {
        let version = version.unwrap_or("it");
        match self {
            Self::NotThere { has: None } => format!("{from} does not carry {version} yet"),
            Self::NotThere { has: Some(has) } => format!("{from} does not carry {version} yet, but {has}"),
            Self::OtherContent => format!("{from} has {version} with other content"),
            Self::Soaking { since, until } => soaking(*since, *until, now),
            Self::Executions { seen, asked } => format!("{seen} of {asked} executions in {from}"),
            Self::SuccessRate { succeeded, executions, least } => {
                format!("{succeeded} of {executions} executions in {from} succeeded, and {least}% have to")
            }
            Self::OutOfRange { versions } => format!("{version} is outside of the versions {versions}"),
            Self::Needs(gap) => gap.told(),
            Self::StillCarried => format!("gone from the sources, and {from} still carries it"),
            Self::Away { cause } => format!("{from} cannot be read: {cause}"),
            Self::LetIn { by } => format!("{LET_IN}{by}"),
        }
    }
}

fn soaking(since: Timestamp, until: Timestamp, now: Option<Timestamp>) -> String {
    let Some(now) = now else {
        return format!("carried there since {}, soaks until {}", precise(since), precise(until));
    };
    let recent = now.duration_since(since).abs() < SignedDuration::from_hours(24);
    let clock = if recent { "%H:%M UTC" } else { "%Y-%m-%d %H:%M UTC" };
    let (passed, whole) = (now.duration_since(since), until.duration_since(since));
    format!("carried there since {}, {} of {}", since.strftime(clock), span(passed), span(whole))
}

fn precise(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `22 min`, `1h`, `1h 30 min`, `3d 4h`.
fn span(time: SignedDuration) -> String {
    let seconds = time.as_secs().max(0);
    let two = |big: i64, unit: &str, small: i64, rest: &str| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit} {small}{rest}"),
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, "h", seconds / 60 % 60, " min"),
        _ => two(seconds / 86_400, "d", seconds / 3_600 % 24, "h"),
    }
}

/// A share in percent, with as many digits as it has, four at most behind the point.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
