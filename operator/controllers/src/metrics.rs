//! What is counted and measured, per environment; the series of an environment vanish with it.

mod rollouts;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use sower_core::drift::Counted;
use sower_core::plan::{Conflict, ConflictType, Plan, Verb};
use sower_core::report::{Outcome, Report};

/// An environment: its namespace is empty where files are the target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
pub struct EnvironmentLabels {
    /// Namespace of the resource.
    pub namespace: String,
    /// Name of the environment.
    pub environment: String,
}

impl EnvironmentLabels {
    /// Of an environment with this keeper: `files`, or `<clusterName>/<namespace>/<name>`.
    #[must_use]
    pub fn of(keeper: &str, environment: &str) -> Self {
        let namespace = keeper.rsplit('/').nth(1).unwrap_or_default().to_owned();
        Self { namespace, environment: environment.to_owned() }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    namespace: String,
    environment: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    namespace: String,
    environment: String,
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DriftLabels {
    namespace: String,
    environment: String,
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConflictLabels {
    namespace: String,
    environment: String,
    r#type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApprovalLabels {
    namespace: String,
    environment: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct SourceLabels {
    namespace: String,
    environment: String,
    source: String,
}

const RESULTS: [Outcome; 4] = [Outcome::Completed, Outcome::Unchanged, Outcome::Refused, Outcome::Failed];
/// What comes of approvals.
const APPROVALS: [&str; 4] = ["applied", "before", "waits", "refused"];
const VERBS: [Verb; 4] = [Verb::Create, Verb::Update, Verb::Move, Verb::Remove];
const DRIFT: [&str; 3] = ["missing", "changed", "foreign"];
const CONFLICTS: [ConflictType; 3] =
    [ConflictType::Version, ConflictType::Dependency, ConflictType::Duplicate];

fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 14))
}

/// The series of this process.
#[derive(Debug, Clone)]
pub struct Metrics {
    reconcile_duration: Family<EnvironmentLabels, Histogram>,
    reconciles: Family<ResultLabels, Counter>,
    ready: Family<EnvironmentLabels, Gauge>,
    plan: Family<OperationLabels, Gauge>,
    rows: Family<EnvironmentLabels, Counter>,
    purged: Family<EnvironmentLabels, Counter>,
    conflicts: Family<ConflictLabels, Gauge>,
    invalid: Family<EnvironmentLabels, Gauge>,
    approvals: Family<ApprovalLabels, Counter>,
    plans_waiting: Family<EnvironmentLabels, Gauge>,
    drifted: Family<DriftLabels, Gauge>,
    drift_duration: Family<EnvironmentLabels, Histogram>,
    fetch_duration: Family<SourceLabels, Histogram>,
    sources: Arc<Mutex<BTreeSet<SourceLabels>>>,
    rollouts: rollouts::Series,
}

impl Metrics {
    /// Registers all series.
    pub fn new(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("sower");
        let metrics = Self {
            reconcile_duration: Family::new_with_constructor(seconds),
            reconciles: Family::default(),
            ready: Family::default(),
            plan: Family::default(),
            rows: Family::default(),
            purged: Family::default(),
            conflicts: Family::default(),
            invalid: Family::default(),
            approvals: Family::default(),
            plans_waiting: Family::default(),
            drifted: Family::default(),
            drift_duration: Family::new_with_constructor(seconds),
            fetch_duration: Family::new_with_constructor(seconds),
            sources: Arc::default(),
            rollouts: rollouts::Series::new(registry),
        };
        let Self {
            reconcile_duration,
            reconciles,
            ready,
            plan,
            rows,
            purged,
            conflicts,
            invalid,
            approvals,
            plans_waiting,
            drifted,
            drift_duration,
            fetch_duration,
            sources: _,
            rollouts: _,
        } = &metrics;
        registry.register_with_unit(
            "reconcile_duration",
            "Time from fetch to report",
            Unit::Seconds,
            reconcile_duration.clone(),
        );
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "This process, and its version", version);
        registry.register("reconciles", "Reconciles by result", reconciles.clone());
        let holds = "1 where the environment holds what its sources say, else 0";
        registry.register("environment_ready", holds, ready.clone());
        registry.register("plan_operations", "Operations of the last plan", plan.clone());
        registry.register("rows_written", "Catalog rows inserted, updated or deleted", rows.clone());
        let kept = "Integrations that had been taken out and were kept long enough";
        registry.register("purged_integrations", kept, purged.clone());
        registry.register("conflicts", "Open conflicts", conflicts.clone());
        registry.register("approvals", "Approvals by what came of them", approvals.clone());
        registry.register("plans_waiting", "Plans that wait for an approval", plans_waiting.clone());
        registry.register("invalid_manifests", "Manifests that are refused", invalid.clone());
        registry.register("drifted_rows", "Rows that are not what was seeded", drifted.clone());
        registry.register_with_unit(
            "drift_scan_duration",
            "Time to look through an environment for drift",
            Unit::Seconds,
            drift_duration.clone(),
        );
        registry.register_with_unit(
            "fetch_duration",
            "Time to fetch a source",
            Unit::Seconds,
            fetch_duration.clone(),
        );
        metrics
    }

    /// These are all the sources of an environment: the series of one that left its spec vanish.
    pub fn reads(&self, at: &EnvironmentLabels, sources: &[&str]) {
        self.forget_sources(at, |source| !sources.contains(&source));
    }

    fn forget_sources(&self, at: &EnvironmentLabels, goes: impl Fn(&str) -> bool) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.retain(|labels| {
            let same = labels.namespace == at.namespace && labels.environment == at.environment;
            let gone = same && goes(&labels.source);
            if gone {
                self.fetch_duration.remove(labels);
            }
            !gone
        });
    }

    /// A source was fetched.
    pub fn fetched(&self, at: &EnvironmentLabels, source: &str, took: Duration) {
        let labels = SourceLabels {
            namespace: at.namespace.clone(),
            environment: at.environment.clone(),
            source: source.to_string(),
        };
        self.fetch_duration.get_or_create(&labels).observe(took.as_secs_f64());
        self.sources.lock().unwrap_or_else(PoisonError::into_inner).insert(labels);
    }

    /// An environment was looked through for drift.
    pub fn looked(&self, at: &EnvironmentLabels, found: Counted, took: Duration) {
        for (what, rows) in DRIFT.into_iter().zip([found.missing, found.changed, found.foreign]) {
            self.drifted.get_or_create(&drift(at, what)).set(count(rows));
        }
        self.drift_duration.get_or_create(at).observe(took.as_secs_f64());
    }

    /// Nobody looks for drift there.
    pub fn ignores_drift(&self, at: &EnvironmentLabels) {
        for what in DRIFT {
            self.drifted.remove(&drift(at, what));
        }
    }

    /// A plan was made.
    pub fn planned(&self, at: &EnvironmentLabels, plan: &Plan, invalid: usize) {
        self.stands(at, |verb| plan.count(verb), &plan.conflicts, invalid);
    }

    fn stands(
        &self,
        at: &EnvironmentLabels,
        operations: impl Fn(Verb) -> usize,
        conflicts: &[Conflict],
        invalid: usize,
    ) {
        for verb in VERBS {
            self.plan.get_or_create(&operation(at, verb)).set(count(operations(verb)));
        }
        for kind in CONFLICTS {
            let open = conflicts.iter().filter(|c| c.kind == kind).count();
            self.conflicts.get_or_create(&conflict(at, kind)).set(count(open));
        }
        self.invalid.get_or_create(at).set(count(invalid));
    }

    /// A reconcile ended. One that found nothing new made no plan: what it would have planned is nothing.
    pub fn reconciled(&self, at: &EnvironmentLabels, report: &Report) {
        if report.status == Outcome::Unchanged {
            self.stands(at, |_| 0, &report.conflicts, report.invalid);
        }
        self.promotions_waiting(at, report.waiting.len());
        self.ended(at, report.status, Duration::from_millis(report.duration));
    }

    /// The environment holds what its sources say, or it does not.
    pub fn ready(&self, at: &EnvironmentLabels, ready: bool) {
        self.ready.get_or_create(at).set(ready.into());
    }

    /// A seeding was committed that wrote so many rows.
    pub fn wrote(&self, at: &EnvironmentLabels, rows: u64) {
        self.rows.get_or_create(at).inc_by(rows);
    }

    /// So many integrations that had been taken out are forgotten.
    pub fn purged(&self, at: &EnvironmentLabels, integrations: usize) {
        self.purged.get_or_create(at).inc_by(integrations as u64);
    }

    /// Somebody approved a plan, and this came of it.
    pub fn approved(&self, at: &EnvironmentLabels, result: &'static str) {
        self.approvals.get_or_create(&approval(at, result)).inc();
    }

    /// So many plans wait for an approval.
    pub fn waiting(&self, at: &EnvironmentLabels, plans: i64) {
        self.plans_waiting.get_or_create(at).set(plans);
    }

    /// A reconcile ended without a report.
    pub fn ended(&self, at: &EnvironmentLabels, result: Outcome, took: Duration) {
        self.reconcile_duration.get_or_create(at).observe(took.as_secs_f64());
        self.reconciles.get_or_create(&outcome(at, result)).inc();
    }

    /// This process does not look after environments any more: what it measured of them is no longer so.
    pub fn leads_no_longer(&self) {
        self.ready.clear();
        self.plan.clear();
        self.conflicts.clear();
        self.invalid.clear();
        self.plans_waiting.clear();
        self.drifted.clear();
        self.rollouts.leads_no_longer();
    }

    /// The environment is gone.
    pub fn forget(&self, at: &EnvironmentLabels) {
        self.reconcile_duration.remove(at);
        self.ready.remove(at);
        self.rows.remove(at);
        self.purged.remove(at);
        self.invalid.remove(at);
        self.plans_waiting.remove(at);
        for result in APPROVALS {
            self.approvals.remove(&approval(at, result));
        }
        self.ignores_drift(at);
        self.drift_duration.remove(at);
        for result in RESULTS {
            self.reconciles.remove(&outcome(at, result));
        }
        for verb in VERBS {
            self.plan.remove(&operation(at, verb));
        }
        for kind in CONFLICTS {
            self.conflicts.remove(&conflict(at, kind));
        }
        self.forget_sources(at, |_| true);
        self.rollouts.forget(at);
    }
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn outcome(at: &EnvironmentLabels, result: Outcome) -> ResultLabels {
    ResultLabels {
        namespace: at.namespace.clone(),
        environment: at.environment.clone(),
        result: result.as_str(),
    }
}

fn approval(at: &EnvironmentLabels, result: &'static str) -> ApprovalLabels {
    ApprovalLabels { namespace: at.namespace.clone(), environment: at.environment.clone(), result }
}

fn operation(at: &EnvironmentLabels, verb: Verb) -> OperationLabels {
    OperationLabels {
        namespace: at.namespace.clone(),
        environment: at.environment.clone(),
        operation: verb.as_str(),
    }
}

fn drift(at: &EnvironmentLabels, what: &'static str) -> DriftLabels {
    DriftLabels { namespace: at.namespace.clone(), environment: at.environment.clone(), what }
}

fn conflict(at: &EnvironmentLabels, kind: ConflictType) -> ConflictLabels {
    ConflictLabels {
        namespace: at.namespace.clone(),
        environment: at.environment.clone(),
        r#type: kind.as_str(),
    }
}

#[cfg(test)]
mod tests;
