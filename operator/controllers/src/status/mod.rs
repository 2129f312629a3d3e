//! Status from outcomes: pure functions from what happened, and what was said before, to what is said now.
//!
//! Invariant: no client, no clock (time is an argument). A status that says the same is the same value, so it makes no
//! patch; a condition keeps its transition time while its status stays.

mod compose;
mod conditions;
mod drifted;
mod next;
mod notices;
mod outcome;
mod rollouts;

pub use compose::compose;
pub use conditions::{Conditions, Said, set};
pub use next::credentials;
pub use notices::{Notice, Tone, names, notices};
pub use outcome::{Conflicts, Outcome, RollbackOutcome, RolloutCommandOutcome, SourceOutcome, Verdict};
pub use rollouts::{active, healthy, listed, news};

/// Condition types.
pub mod kind {
    /// Whether the environment holds what its sources say.
    pub const READY: &str = "Ready";
    /// Is tried again by itself.
    pub const RECONCILING: &str = "Reconciling";
    /// Waits for somebody to change something.
    pub const STALLED: &str = "Stalled";
    /// Whether the sources could be read.
    pub const SOURCE_READY: &str = "SourceReady";
    /// Whether no conflict is skipped.
    pub const CONFLICT_FREE: &str = "ConflictFree";
    /// Whether rows are not what was seeded.
    pub const DRIFTED: &str = "Drifted";
    /// Whether the new versions that were rolled out are good.
    pub const HEALTHY: &str = "Healthy";
}

#[cfg(test)]
pub(crate) mod tests;
