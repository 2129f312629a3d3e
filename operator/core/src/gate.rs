//! What holds a plan back although it could be applied.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sower_crds::environment::{Approval, EnvironmentSpec};

use crate::catalog::SourceCatalog;
use crate::freeze::{Frozen, frozen};
use crate::plan::{Plan, State, Verb};
use crate::sentence::first_fitting;

/// Whether a plan may be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Nothing holds it.
    Open,
    /// It is held, whole.
    Held(Held),
}

/// What holds a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldReason {
    /// It deletes more than `pruneLimit`.
    PruneLimitExceeded,
    /// `approval: Manual`, and nobody has approved it.
    ApprovalRequired,
    /// It changes an integration in a freeze window.
    Frozen,
    /// `strict`, and a manifest is invalid.
    ManifestsInvalid,
}

impl HeldReason {
    /// An approval lets the plan through.
    #[must_use]
    pub fn is_approvable(self) -> bool {
        matches!(self, Self::PruneLimitExceeded | Self::ApprovalRequired)
    }

    /// The reason of the condition Ready.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PruneLimitExceeded => "PruneLimitExceeded",
            Self::ApprovalRequired => "ApprovalRequired",
            Self::Frozen => "Frozen",
            Self::ManifestsInvalid => "ManifestsInvalid",
        }
    }
}

/// Why a plan is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Which guard.
    pub reason: HeldReason,
    /// One sentence of at most 100 characters, for the condition and the table.
    pub message: String,
    /// Name of the source whose integrations would go; of the prune limit alone.
    pub source: Option<String>,
    /// How many of it would be deleted, or how many manifests are invalid.
    pub deleted: usize,
    /// Of how many.
    pub total: usize,
    /// As the spec says it: `20%`, `5`; of the prune limit alone.
    pub limit: String,
    /// The window that it waits for; of a frozen one alone.
    pub frozen: Option<Freeze>,
}

/// A plan that waits for the end of a freeze.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// `frozen until Mon 06:00 UTC`.
    pub told: String,
    /// From when on it may be applied; none: not before the windows are changed.
    pub opens: Option<Timestamp>,
}

/// The time at which a plan is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Now.
    pub now: Timestamp,
    /// Freeze windows do not count until then.
    pub freeze_override: Option<Timestamp>,
}

impl Moment {
    /// Why this plan has to wait; an empty one never does.
    #[must_use]
    pub fn freezes(&self, plan: &Plan, spec: &EnvironmentSpec) -> Option<Frozen> {
        self.freezes_any(plan.operations.iter().map(|operation| operation.id.as_str()), spec)
    }

    /// Why a change of these integrations has to wait.
    #[must_use]
    pub fn freezes_any<'a>(
        &self,
        integrations: impl IntoIterator<Item = &'a str>,
        spec: &EnvironmentSpec,
    ) -> Option<Frozen> {
        if self.freeze_override.is_some_and(|until| self.now < until) {
            return None;
        }
        frozen(&spec.freeze_windows, integrations, self.now)
    }
}

impl Gate {
    /// What holds the plan, where an approval would let it through.
    #[must_use]
    pub fn approvable(&self) -> Option<&Held> {
        match self {
            Self::Held(held) if held.reason.is_approvable() => Some(held),
            _ => None,
        }
    }
}

impl Held {
    /// The share that would go, in whole percent.
    #[must_use]
    pub fn percent(&self) -> usize {
        (self.deleted * 100).checked_div(self.total).unwrap_or(0)
    }
}

/// Asks the guards: invalid manifests under `strict`, then the number of deletions of each source, then whether plans
/// are to be approved, then the freeze windows.
#[must_use]
pub fn gate(
    plan: &Plan,
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    state: &State,
    moment: Moment,
) -> Gate {
    invalid(spec, sources)
        .or_else(|| pruned(plan, spec, state))
        .or_else(|| unapproved(plan, spec))
        .or_else(|| waits(plan, spec, moment))
        .map_or(Gate::Open, Gate::Held)
}

/// Asks the guards that an approval does not answer: invalid manifests under `strict`, and the freeze windows.
#[must_use]
pub fn gate_of_approved(
    plan: &Plan,
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    moment: Moment,
) -> Gate {
    invalid(spec, sources).or_else(|| waits(plan, spec, moment)).map_or(Gate::Open, Gate::Held)
}

fn unapproved(plan: &Plan, spec: &EnvironmentSpec) -> Option<Held> {
    let waits = spec.approval == Approval::Manual && !plan.is_empty();
    let told = || {
        let counts = format!("+{} ~{} -{}", plan.created(), plan.updated(), plan.deleted());
        format!("Plan {} waits for an approval: {counts}", plan.short_hash())
    };
    waits.then(|| Held {
        reason: HeldReason::ApprovalRequired,
        message: told(),
        source: None,
        deleted: 0,
        total: 0,
        limit: String::new(),
        frozen: None,
    })
}

fn waits(plan: &Plan, spec: &EnvironmentSpec, moment: Moment) -> Option<Held> {
    let frozen = moment.freezes(plan, spec)?;
    let told = frozen.told(moment.now);
    let sentence = format!("F{}: plan {} waits", &told[1..], plan.short_hash());
    Some(Held {
        reason: HeldReason::Frozen,
        message: first_fitting([format!("{sentence}{}", frozen.because()), sentence]),
        source: None,
        deleted: 0,
        total: 0,
        limit: String::new(),
        frozen: Some(Freeze { told, opens: frozen.opens }),
    })
}

fn invalid(spec: &EnvironmentSpec, sources: &[SourceCatalog]) -> Option<Held> {
    let found = || sources.iter().flat_map(|source| &source.found);
    let first = found().find(|found| !found.is_valid()).filter(|_| spec.strict)?;
    let count = found().filter(|found| !found.is_valid()).count();
    let total = found().count();
    let verb = if count == 1 { "is" } else { "are" };
    let told = format!("{count} of {total} manifests {verb} invalid");
    let problem = first.problems.iter().find(|problem| problem.is_error());
    let place = problem.map_or_else(|| first.place.path.clone(), |p| format!("{} {}", p.location(), p.code));
    Some(Held {
        reason: HeldReason::ManifestsInvalid,
        message: first_fitting([format!("{told}: {place}"), told]),
        source: None,
        deleted: count,
        total,
        limit: String::new(),
        frozen: None,
    })
}

fn pruned(plan: &Plan, spec: &EnvironmentSpec, state: &State) -> Option<Held> {
    let mut totals: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for current in state.rows.values().filter(|current| !current.removed) {
        totals.entry(&current.source).or_default().1 += 1;
    }
    for operation in plan.operations.iter().filter(|operation| operation.verb == Verb::Remove) {
        totals.entry(&operation.source).or_default().0 += 1;
    }
    let limit = &spec.prune_limit;
    let several = totals.len() > 1;
    let (source, (deleted, total)) = totals
        .into_iter()
        .filter(|(_, (deleted, total))| *deleted > allowed(spec, *total))
        .max_by_key(|(source, (deleted, _))| (*deleted, std::cmp::Reverse(*source)))?;
    let told = |whose: &str| {
        let noun = if total == 1 { "integration" } else { "integrations" };
        let hash = plan.short_hash();
        format!("Plan {hash} would delete {deleted} of {total} {noun}{whose}; pruneLimit is {limit}")
    };
    let whose = if several { format!(" of {source}") } else { String::new() };
    Some(Held {
        reason: HeldReason::PruneLimitExceeded,
        message: first_fitting([told(&whose), told("")]),
        source: Some(source.to_owned()),
        deleted,
        total,
        limit: limit.to_string(),
        frozen: None,
    })
}

/// How many of `total` integrations of a source one seeding may delete; none where the limit cannot be read.
#[must_use]
pub fn allowed(spec: &EnvironmentSpec, total: usize) -> usize {
    spec.prune_limit.of(total).unwrap_or(0)
}
