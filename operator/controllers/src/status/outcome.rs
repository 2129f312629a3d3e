//! What a reconcile came to, as far as its status is concerned.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sower_core::rollout::Rollout;
use sower_core::snapshot::Revision;
use sower_crds::environment::{
    ApprovalResult, ApprovalStatus, ConflictStatus, Counts, Failure, LastSeeding, PlanStatus, RollbackStatus,
    RolloutCommandStatus, WaitingStatus,
};

use crate::drift::Found;
use crate::reason::Reason;

/// What a reconcile came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The reason of Ready, with what it needs.
    pub verdict: Verdict,
    /// The sources, in the order of the spec; empty where nothing is known of them.
    pub sources: Vec<SourceOutcome>,
    /// The database answered: what is not applied there is applied nowhere.
    pub database_read: bool,
    /// What the environment holds; none: not known.
    pub counts: Option<Counts>,
    /// What was refused; none: not known.
    pub failures: Option<Vec<Failure>>,
    /// The plan, while it is not applied.
    pub plan: Option<PlanStatus>,
    /// Conflicts that are skipped; none: not known.
    pub conflicts: Option<Conflicts>,
    /// What drifted; none: not known.
    pub drift: Option<Arc<Found>>,
    /// What of it was corrected, for the event.
    pub corrected: Option<String>,
    /// What waits for another environment; none: not known.
    pub waiting: Option<Vec<WaitingStatus>>,
    /// When the first of it has soaked there.
    pub soaked_at: Option<Timestamp>,
    /// Number of all of it.
    pub all_waiting: Option<i32>,
    /// What came in from another environment, for the events: `stripe 1.1.0`, and who let it in, where somebody did.
    pub promoted: Vec<(String, Option<String>)>,
    /// What was to be let in and is not, for the event.
    pub not_promoted: Option<String>,
    /// What was written.
    pub written: Option<LastSeeding>,
    /// What came of an approval; none: nobody looked.
    pub approval: Option<ApprovalStatus>,
    /// What there is to tell of rollbacks; none: nothing new.
    pub rollback: Option<RollbackOutcome>,
    /// What came of the last command to a rollout; none: nothing new.
    pub command: Option<RolloutCommandOutcome>,
    /// Rollouts that stand, and those that the status speaks of and that ended well since; none: not known.
    pub rollouts: Option<Vec<Rollout>>,
}

impl Outcome {
    /// How long until a rollout is to be looked at; none: nothing of the kind waits. After a failure, what was due when
    /// the reconcile began was looked at in vain: it is tried again with the rest.
    #[must_use]
    pub fn due_in(&self, began: Timestamp, now: Timestamp) -> Option<Duration> {
        let failed = matches!(self.verdict, Verdict::Failed { .. });
        let due = self.rollouts.iter().flatten().filter_map(|rollout| rollout.due_at);
        let due = due.filter(|due| !failed || *due > began).min()?;
        // A little late is in time, a little early is for nothing.
        Some(Duration::try_from(due.duration_since(now)).unwrap_or_default() + Duration::from_millis(20))
    }
}

/// Conflicts that are skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Conflicts {
    /// The integrations that keep what is there, sorted.
    pub skipped: Vec<String>,
    /// Those that were to be merged and could not be, sorted.
    pub unmerged: Vec<String>,
    /// The first of them, in the same order, as a status holds them.
    pub told: Vec<ConflictStatus>,
}

/// What came of the last command to a rollout; none: there is none any more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RolloutCommandOutcome(pub Option<RolloutCommandStatus>);

impl RolloutCommandOutcome {
    /// One that was obeyed, or could not be.
    #[must_use]
    pub fn of(status: RolloutCommandStatus) -> Self {
        Self(Some(status))
    }
}

/// What there is to tell of rollbacks.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RollbackOutcome {
    /// What came of the one that is asked for; none: nobody asks any more.
    pub told: Option<RollbackStatus>,
    /// What it wrote in this reconcile.
    pub written: Option<LastSeeding>,
}

/// A source and its revisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOutcome {
    /// Its name.
    pub name: String,
    /// What the database holds of it.
    pub applied: Option<Revision>,
    /// What was read in this reconcile.
    pub attempted: Option<Revision>,
}

/// Why Ready is what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The database holds what the sources say.
    Seeded,
    /// All but some integrations.
    Invalid {
        /// How many manifests are invalid, or integrations refused.
        invalid: usize,
        /// Of how many documents; zero: not known.
        total: usize,
        /// Where the first stands, and its code.
        first: String,
    },
    /// A guard holds the plan.
    Held {
        /// Which.
        reason: Reason,
        /// Its sentence.
        message: String,
        /// When it may be applied, where it waits for that alone.
        opens: Option<Timestamp>,
        /// The integrations that would go, sorted.
        deleted: Vec<String>,
        /// Why they would go, where it is known: `folders gone since 9d41e07 (AUTHOR: "Tidy up")`.
        because: Option<String>,
        /// What else waits with it, a line each: `~ stripe 1.0.0 -> 1.1.0`; some at most.
        besides: Vec<String>,
    },
    /// Nothing was written.
    Failed {
        /// Why.
        reason: Reason,
        /// In a sentence.
        message: String,
        /// All that is known of it.
        detail: Option<String>,
        /// The source it is about.
        source: Option<String>,
        /// The Secret it is about.
        secret: Option<String>,
    },
    /// `spec.suspend`.
    Suspended,
}

impl Verdict {
    /// The reason of Ready.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Seeded => Reason::Seeded,
            Self::Invalid { .. } => Reason::ManifestsInvalid,
            Self::Held { reason, .. } | Self::Failed { reason, .. } => *reason,
            Self::Suspended => Reason::Suspended,
        }
    }
}

impl Outcome {
    /// An outcome of which no more is known.
    #[must_use]
    pub fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            sources: Vec::new(),
            database_read: false,
            counts: None,
            failures: None,
            plan: None,
            conflicts: None,
            drift: None,
            corrected: None,
            waiting: None,
            all_waiting: None,
            soaked_at: None,
            promoted: Vec::new(),
            not_promoted: None,
            written: None,
            approval: None,
            rollback: None,
            command: None,
            rollouts: None,
        }
    }

    /// Whether it is the database's Secret that stands in the way.
    #[must_use]
    pub fn misses_database_secret(&self) -> bool {
        matches!(self.verdict, Verdict::Failed { reason: Reason::InvalidSpec, secret: Some(_), .. })
    }

    /// Whether this applied a plan that somebody approved.
    #[must_use]
    pub fn was_approved(&self) -> bool {
        let applied = |approval: &ApprovalStatus| approval.result == ApprovalResult::Applied;
        self.written.is_some() && self.approval.as_ref().is_some_and(applied)
    }

    /// When the plan may be applied, where it waits for that alone, or something has soaked elsewhere.
    #[must_use]
    pub fn opens(&self) -> Option<Timestamp> {
        let opens = match self.verdict {
            Verdict::Held { opens, .. } => opens,
            _ => None,
        };
        opens.into_iter().chain(self.soaked_at).min()
    }

    /// The short revision that is applied: one source's alone, several as `name=revision,…`.
    #[must_use]
    pub fn applied(&self) -> Vec<(&str, &Revision)> {
        self.sources.iter().filter_map(|s| Some((s.name.as_str(), s.applied.as_ref()?))).collect()
    }

    /// What was read in this reconcile, by source.
    #[must_use]
    pub fn attempted(&self) -> Vec<(&str, &Revision)> {
        self.sources.iter().filter_map(|s| Some((s.name.as_str(), s.attempted.as_ref()?))).collect()
    }
}
