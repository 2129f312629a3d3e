//! What was decided: who is let in, who waits, and what is to be remembered of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Why, pair};
use crate::plan::Wanted;

/// A content, or a deletion, that waits for another environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// The integration.
    pub integration: String,
    /// The version that waits; absent: its deletion does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The environment that it waits for.
    pub from: String,
    /// What it waits for.
    #[serde(flatten)]
    pub why: Why,
}

impl Waiting {
    /// `waits for staging: carried there since 14:02 UTC, 22 min of 1h`; without a time, one that holds at any time.
    #[must_use]
    pub fn told(&self, now: Option<Timestamp>) -> String {
        if let Some(told) = self.why.held(&self.from, now) {
            return told;
        }
        format!("waits for {}: {}", self.from, self.why.told(&self.from, self.version.as_deref(), now))
    }
}

/// Who is let in, and who waits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// What is to be carried of the integrations that something is let in of.
    pub let_in: BTreeMap<String, Wanted>,
    /// Who waits: of each integration what was offered last.
    pub waits: BTreeMap<String, Waiting>,
    /// Offers (integration and checksum) that nothing becomes of any more.
    pub stale: Vec<(String, String)>,
    /// Older offers, of which nothing becomes once what is let in is taken.
    pub passed: Vec<(String, String)>,
    /// What somebody let in by hand, and what cannot come any more.
    pub spent: Vec<(String, String)>,
    /// When the next soak ends, of what is offered now or was earlier; none: that is not what is waited for.
    pub next_at: Option<Timestamp>,
    /// Something waits for what comes without a seeding of the other environment: executions, or that it can be read.
    pub watches: bool,
    /// Number of the last seeding of the other environment before it was looked at.
    pub seen: Option<i64>,
    /// The environment that shows it.
    pub from: Option<String>,
    /// What the sources offer and is not remembered yet; with its bytes, where it stands in no document.
    pub fresh: Vec<(Wanted, Option<Arc<str>>)>,
    /// What somebody let in by hand, by integration, and who; of [`Admission::let_in`] alone.
    pub by_hand: BTreeMap<String, String>,
    /// Nothing waits for another environment any more: what was remembered goes.
    pub ends: bool,
}

impl Admission {
    /// What may end a wait.
    pub(super) fn heed(&mut self, why: &Why) {
        match why {
            Why::Soaking { until, .. } => {
                self.next_at = Some(self.next_at.map_or(*until, |at| at.min(*until)));
            }
            Why::Executions { .. } | Why::SuccessRate { .. } | Why::Away { .. } => self.watches = true,
            Why::NotThere { .. }
            | Why::OtherContent
            | Why::OutOfRange { .. }
            | Why::Needs(_)
            | Why::StillCarried
            | Why::LetIn { .. } => {}
        }
    }

    /// Nothing of this integration may change, because what is to come waits.
    #[must_use]
    pub fn keeps(&self, id: &str) -> bool {
        self.waits.contains_key(id) && !self.let_in.contains_key(id)
    }

    /// Whether this content may be carried, as far as promotion is concerned.
    #[must_use]
    pub fn admits(&self, id: &str, checksum: &str) -> bool {
        match self.let_in.get(id) {
            Some(wanted) => wanted.summary.checksum == checksum,
            None => !self.waits.contains_key(id),
        }
    }

    /// What changes of what is remembered, with a plan that takes contents of these integrations, each for everybody
    /// (`true`) or as a rollout. One that a guard holds takes nothing.
    #[must_use]
    pub fn changes(&self, taken: &BTreeMap<&str, bool>) -> Changes<'_> {
        let comes = |wanted: &Wanted| {
            let everybody = taken.get(wanted.summary.id.as_str()) == Some(&true);
            everybody
                && self.let_in.get(&wanted.summary.id).is_some_and(|let_in| pair(let_in) == pair(wanted))
        };
        let is_taken = |id: &str| taken.contains_key(id);
        let passed = || self.passed.iter().filter(|(id, _)| is_taken(id)).cloned();
        let by_hand = self.by_hand.keys().filter(|id| is_taken(id)).filter_map(|id| self.let_in.get(id));
        Changes {
            fresh: self.fresh.iter().filter(|(wanted, _)| !comes(wanted)).collect(),
            stale: self.stale.iter().cloned().chain(passed()).collect(),
            settled: self.spent.iter().cloned().chain(by_hand.map(pair)).chain(passed()).collect(),
        }
    }
}

/// What changes of what is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// What is to be remembered, so that it can come in once the sources offer something else.
    pub fresh: Vec<&'a (Wanted, Option<Arc<str>>)>,
    /// Offers (integration and checksum) that go.
    pub stale: BTreeSet<(String, String)>,
    /// Contents of which it means nothing any more that somebody let them in.
    pub settled: BTreeSet<(String, String)>,
}
