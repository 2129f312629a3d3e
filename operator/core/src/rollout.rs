//! Rollouts: a new version of an integration reaches a few consumers, proves itself, then reaches all, or goes back.
//!
//! A rollout is a value; what becomes of it at a time, with a command or a verdict, is a function of those.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sower_crds::rollout::Strategy;

use crate::plan::Content;
use crate::usage::Observed;

pub mod analysis;
pub mod bucket;
pub mod course;
pub mod documentation;
pub mod machine;
pub mod spec;
pub mod stages;
pub mod staging;
mod told;

pub use analysis::{Outcome, Verdict};

/// A hundred percent, in the hundredths of a percent that columns hold.
pub const WHOLE: u32 = 10_000;

/// Where a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum State {
    /// Its rows are there; nobody has it but whom an override names.
    Pending,
    /// A share of the consumers has it.
    Progressing,
    /// It stays as it is until somebody resumes, advances or aborts it.
    Paused,
    /// It has proved itself, and waits for a freeze window to end.
    Completing,
    /// Everybody has it.
    Completed,
    /// Somebody, or its deadline, ended it: everybody has the stable version.
    Aborted,
    /// Its health ended it: everybody has the stable version.
    RolledBack,
    /// The sources say something else by now.
    Superseded,
}

impl State {
    /// As the column holds it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Progressing => "Progressing",
            Self::Paused => "Paused",
            Self::Completing => "Completing",
            Self::Completed => "Completed",
            Self::Aborted => "Aborted",
            Self::RolledBack => "RolledBack",
            Self::Superseded => "Superseded",
        }
    }

    /// Nothing becomes of it any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Aborted | Self::RolledBack | Self::Superseded)
    }
}

/// A live version beside the stable one, and whose it is; as `integration_rollouts.variants` holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// Its version; the stable one where it only says who gets that.
    pub version: String,
    /// Its checksum.
    pub checksum: String,
    /// Hundredths of a percent of the consumers that have it.
    #[serde(default)]
    pub weight: u32,
    /// Keys of consumers that have it whatever the weight says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// Labels, all of which a consumer has that has it whatever the weight says.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// Something that happened to a rollout; as `integration_rollouts.reasons` holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// The state since then.
    pub state: State,
    /// The step since then, from 1; 0: before the first.
    pub step: u32,
    /// Hundredths of a percent since then.
    pub weight: u32,
    /// Why, in a clause.
    pub reason: String,
    /// Who said so; absent: nobody but Sower itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// The times of the step that a rollout is in; as `integration_rollouts.progress` holds it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Since when it is paused, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// How long it was paused in this step before that, in milliseconds.
    #[serde(default)]
    pub paused_ms: i64,
    /// When an analysis last looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysed_at: Option<Timestamp>,
    /// What the last look said that was made when the time of the step was over, and nobody had paused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Outcome>,
    /// When a look last said that it is good, once the time of the step was over; later by what it was paused since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub succeeded_at: Option<Timestamp>,
    /// Somebody let it go on after the pause of its step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Of a comparison: the weights that its versions get when it begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<u32>,
    /// Its manifest says that it stays when it goes (`sower.dev/prune: disabled`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prune_disabled: bool,
    /// What was counted in the minute in which the step began, before it did, by version: that says nothing of this step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub before: BTreeMap<String, Observed>,
}

/// A rollout: one row of `integration_rollouts`.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Its id.
    pub id: String,
    /// The environment.
    pub environment: String,
    /// The integration.
    pub integration: String,
    /// The stable version.
    pub from: Content,
    /// What the sources say.
    pub to: Content,
    /// The live versions beside the stable one.
    pub variants: Vec<Variant>,
    /// What buckets are counted with.
    pub salt: String,
    /// The step, from 1; 0: before the first. One more than the strategy has: everybody has it.
    pub step: u32,
    /// Hundredths of a percent of the consumers that have the new version.
    pub weight: u32,
    /// Where it is.
    pub state: State,
    /// What happened, oldest first.
    pub events: Vec<Event>,
    /// How it was to be rolled out when it began.
    pub strategy: Strategy,
    /// What the last look at it said.
    pub verdict: Option<Verdict>,
    /// The times of its step.
    pub progress: Progress,
    /// Where the new content comes from: its source.
    pub source: String,
    /// Path of its file.
    pub path: String,
    /// The long form of its revision.
    pub revision: String,
    /// Id of the log row of the seeding that began it.
    pub seeding: String,
    /// When it began.
    pub started_at: Timestamp,
    /// When its step began.
    pub step_started_at: Timestamp,
    /// When it is to be looked at; none: when somebody says something.
    pub due_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What somebody says to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    /// It stays as it is.
    Pause,
    /// It goes on.
    Resume,
    /// It goes to the next step now, whatever the analysis says.
    Advance,
    /// It ends; everybody gets the stable version. It is obeyed before anything else.
    Abort,
    /// What was aborted or rolled back is tried again, from the first step.
    Retry,
}

impl Command {
    /// Every command.
    pub const ALL: [Self; 5] = [Self::Pause, Self::Resume, Self::Advance, Self::Abort, Self::Retry];

    /// As people type it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Advance => "advance",
            Self::Abort => "abort",
            Self::Retry => "retry",
        }
    }
}

/// Reads what the annotation holds: `stripe=pause`. What comes after the first word is no part of it.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub fn command(text: &str) -> Result<(String, Command), String> {
    let word = text.split_whitespace().next().unwrap_or_default();
    let read = word.split_once('=').and_then(|(id, word)| {
        let command = Command::ALL.into_iter().find(|command| command.as_str() == word)?;
        (!id.is_empty()).then(|| (id.to_owned(), command))
    });
    let all: Vec<&str> = Command::ALL.iter().map(|command| command.as_str()).collect();
    read.ok_or_else(|| format!("`{word}` is no command: write ID={}", all.join("|")))
}
