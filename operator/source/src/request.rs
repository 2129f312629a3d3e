//! What a fetch is asked for, and the lines that go between it and its process.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Credentials, FetchError, Limits};

/// Which commit of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reference {
    /// The branch the remote's HEAD names.
    Default,
    /// The tip of a branch.
    Branch(String),
    /// The commit of a tag.
    Tag(String),
    /// The highest version among the tags, `v1.2.3` or `1.2.3`, within an npm range.
    Semver(String),
    /// One commit, all 40 hex digits.
    Commit(String),
    /// What a person typed behind `#`: `HEAD`, a branch, a tag, or 40 hex digits, in this order.
    Named(String),
}

impl Reference {
    /// How the reference is called in messages.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Default => "the default branch".into(),
            Self::Branch(name) => format!("branch `{name}`"),
            Self::Tag(name) => format!("tag `{name}`"),
            Self::Semver(range) => format!("a tag within `{range}`"),
            Self::Commit(id) => format!("commit `{id}`"),
            Self::Named(name) => format!("branch or tag `{name}`"),
        }
    }
}

/// One fetch. `Debug` shows no secret.
#[derive(Debug, Clone)]
pub struct FetchRequest {
    /// Address, as [`crate::Address::parse`] takes it.
    pub url: String,
    /// Which commit.
    pub reference: Reference,
    /// From the Secret or the environment's file.
    pub credentials: Credentials,
    /// Commits (40 hex) that should be in the history too, so that what changed since can be named: the applied and
    /// the pending ones. Those beyond [`Limits::max_depth`] are done without.
    pub deepen_to: Vec<String>,
    /// Time for all of it, from starting it to having everything. Absent: [`Limits::timeout`].
    pub timeout: Option<Duration>,
}

impl FetchRequest {
    /// A fetch of one reference without credentials.
    #[must_use]
    pub fn new(url: impl Into<String>, reference: Reference) -> Self {
        let credentials = Credentials::default();
        Self { url: url.into(), reference, credentials, deepen_to: Vec::new(), timeout: None }
    }
}

/// What the child process reads: one line of JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    pub url: String,
    pub shown: String,
    pub host: String,
    pub local: bool,
    pub ambient: bool,
    pub reference: Reference,
    pub credentials: Credentials,
    pub deepen_to: Vec<String>,
    pub mirror: PathBuf,
    pub limits: Limits,
}

/// What the child process answers: one line, [`ANSWER`] and JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Landed {
    pub label: String,
    pub commit: String,
    pub received_bytes: u64,
    pub received_objects: u64,
}

pub(crate) type Answer = Result<Landed, FetchError>;

/// Starts the line of the answer, so that nothing else on standard output is taken for it.
pub(crate) const ANSWER: &str = "sower-fetch-answer ";
