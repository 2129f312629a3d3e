//! What is counted and measured of rollouts. Ids of integrations are labels of rollouts under way alone: the series of one
//! that is over are gone.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sower_core::rollout::analysis::Outcome;
use sower_core::rollout::course::percent;
use sower_core::rollout::{Rollout, State};

use super::{EnvironmentLabels, Metrics, count};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RolloutLabels {
    namespace: String,
    environment: String,
    integration: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InfoLabels {
    namespace: String,
    environment: String,
    integration: String,
    from: String,
    to: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    namespace: String,
    environment: String,
    integration: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnalysisLabels {
    namespace: String,
    environment: String,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    namespace: String,
    environment: String,
    state: &'static str,
}

const OUTCOMES: [Outcome; 3] = [Outcome::Success, Outcome::Failure, Outcome::Inconclusive];
/// States in which a rollout spends time.
const PHASES: [State; 4] = [State::Pending, State::Progressing, State::Paused, State::Completing];
/// States in which it ends.
const ENDS: [State; 4] = [State::Completed, State::Aborted, State::RolledBack, State::Superseded];

/// From ten seconds to more than two days.
fn phases() -> Histogram {
    Histogram::new(exponential_buckets(10.0, 3.0, 10))
}

/// The series of one rollout under way.
#[derive(Debug, Clone)]
struct Shown {
    rollout: RolloutLabels,
    info: InfoLabels,
    verdict: Option<VerdictLabels>,
}

/// The series of rollouts.
#[derive(Debug, Clone)]
pub(super) struct Series {
    info: Family<InfoLabels, Gauge>,
    weight: Family<RolloutLabels, Gauge<f64, AtomicU64>>,
    step: Family<RolloutLabels, Gauge>,
    due: Family<RolloutLabels, Gauge<f64, AtomicU64>>,
    verdict: Family<VerdictLabels, Gauge>,
    phase_duration: Family<StateLabels, Histogram>,
    analyses: Family<AnalysisLabels, Counter>,
    ended: Family<StateLabels, Counter>,
    promotions_waiting: Family<EnvironmentLabels, Gauge>,
    shown: Arc<Mutex<BTreeMap<EnvironmentLabels, Vec<Shown>>>>,
}

impl Series {
    /// Registers them.
    pub(super) fn new(registry: &mut Registry) -> Self {
        let series = Self {
            info: Family::default(),
            weight: Family::default(),
            step: Family::default(),
            due: Family::default(),
            verdict: Family::default(),
            phase_duration: Family::new_with_constructor(phases),
            analyses: Family::default(),
            ended: Family::default(),
            promotions_waiting: Family::default(),
            shown: Arc::default(),
        };
        let Self {
            info,
            weight,
            step,
            due,
            verdict,
            phase_duration,
            analyses,
            ended,
            promotions_waiting,
            shown: _,
        } = &series;
        registry.register("rollout_info", "Rollouts under way, each 1", info.clone());
        let share = "Percent of the consumers that have the new version of a rollout under way";
        registry.register("rollout_weight_percent", share, weight.clone());
        registry.register(
            "rollout_step",
            "Step of a rollout under way, from 1; 0 before the first",
            step.clone(),
        );
        registry.register(
            "rollout_due_timestamp_seconds",
            "When a rollout under way is to be looked at, in seconds since 1970; absent where it waits for somebody",
            due.clone(),
        );
        let looked = "What the last analysis of a rollout under way says, 1";
        registry.register("rollout_verdict", looked, verdict.clone());
        registry.register_with_unit(
            "rollout_phase_duration",
            "Time that rollouts spent in a state until they left it",
            Unit::Seconds,
            phase_duration.clone(),
        );
        registry.register("rollout_analyses", "Analyses by what they say", analyses.clone());
        registry.register("rollouts_ended", "Rollouts that are over, by how they ended", ended.clone());
        let waits = "Contents that wait for another environment";
        registry.register("promotions_waiting", waits, promotions_waiting.clone());
        series
    }

    /// The series of an environment vanish.
    pub(super) fn forget(&self, at: &EnvironmentLabels) {
        self.show(at, &[]);
        for phase in PHASES {
            self.phase_duration.remove(&state(at, phase));
        }
        for outcome in OUTCOMES {
            self.analyses.remove(&analysis(at, outcome));
        }
        for end in ENDS {
            self.ended.remove(&state(at, end));
        }
        self.promotions_waiting.remove(at);
    }

    /// What is measured vanishes; what was counted stays.
    pub(super) fn leads_no_longer(&self) {
        let environments: Vec<EnvironmentLabels> = {
            let shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            shown.keys().cloned().collect()
        };
        for at in environments {
            self.show(&at, &[]);
        }
        self.promotions_waiting.clear();
    }

    fn show(&self, at: &EnvironmentLabels, rollouts: &[Rollout]) {
        let mut all = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.remove(at).unwrap_or_default();
        let active = rollouts.iter().filter(|rollout| !rollout.state.is_over());
        let now: Vec<Shown> = active.map(|rollout| self.set(at, rollout)).collect();
        for Shown { rollout, info, verdict } in before {
            if now.iter().all(|shown| shown.rollout != rollout) {
                self.weight.remove(&rollout);
                self.step.remove(&rollout);
                self.due.remove(&rollout);
            }
            if now.iter().all(|shown| shown.info != info) {
                self.info.remove(&info);
            }
            if let Some(verdict) =
                verdict.filter(|old| now.iter().all(|shown| shown.verdict.as_ref() != Some(old)))
            {
                self.verdict.remove(&verdict);
            }
        }
        if !now.is_empty() {
            all.insert(at.clone(), now);
        }
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "seconds since 1970 are far below what a float holds exactly"
    )]
    fn set(&self, at: &EnvironmentLabels, rollout: &Rollout) -> Shown {
        let EnvironmentLabels { namespace, environment } = at.clone();
        let integration = rollout.integration.clone();
        let labels = RolloutLabels { namespace, environment, integration };
        let RolloutLabels { namespace, environment, integration } = labels.clone();
        let info = InfoLabels {
            namespace,
            environment,
            integration,
            from: rollout.from.version.clone(),
            to: rollout.to.version.clone(),
            state: rollout.state.as_str(),
        };
        let RolloutLabels { namespace, environment, integration } = labels.clone();
        let verdict = rollout.verdict.as_ref().map(|verdict| VerdictLabels {
            namespace,
            environment,
            integration,
            result: word(verdict.outcome),
        });
        self.info.get_or_create(&info).set(1);
        self.weight.get_or_create(&labels).set(percent(rollout.weight));
        self.step.get_or_create(&labels).set(rollout.step.into());
        match rollout.due_at {
            Some(due) => {
                self.due.get_or_create(&labels).set(due.as_second() as f64);
            }
            None => {
                self.due.remove(&labels);
            }
        }
        if let Some(verdict) = &verdict {
            self.verdict.get_or_create(verdict).set(1);
        }
        Shown { rollout: labels, info, verdict }
    }
}

impl Metrics {
    /// These are the rollouts of an environment; of those that are over there is no series. What is counted of them begins
    /// at 0 here, so that the first one counts as a rise.
    pub fn rollouts(&self, at: &EnvironmentLabels, rollouts: &[Rollout]) {
        self.rollouts.show(at, rollouts);
        for end in ENDS {
            self.rollouts.ended.get_or_create(&state(at, end)).inc_by(0);
        }
        for outcome in OUTCOMES {
            self.rollouts.analyses.get_or_create(&analysis(at, outcome)).inc_by(0);
        }
    }

    /// A rollout was analysed.
    pub fn analysed(&self, at: &EnvironmentLabels, outcome: Outcome) {
        self.rollouts.analyses.get_or_create(&analysis(at, outcome)).inc();
    }

    /// A rollout left a state that it was in for so long.
    pub fn left_phase(&self, at: &EnvironmentLabels, left: State, after: Duration) {
        self.rollouts.phase_duration.get_or_create(&state(at, left)).observe(after.as_secs_f64());
    }

    /// A rollout is over.
    pub fn rollout_ended(&self, at: &EnvironmentLabels, end: State) {
        self.rollouts.ended.get_or_create(&state(at, end)).inc();
    }

    /// So many contents wait for another environment.
    pub fn promotions_waiting(&self, at: &EnvironmentLabels, contents: usize) {
        self.rollouts.promotions_waiting.get_or_create(at).set(count(contents));
    }
}

fn state(at: &EnvironmentLabels, state: State) -> StateLabels {
    StateLabels {
        namespace: at.namespace.clone(),
        environment: at.environment.clone(),
        state: state.as_str(),
    }
}

fn analysis(at: &EnvironmentLabels, outcome: Outcome) -> AnalysisLabels {
    AnalysisLabels {
        namespace: at.namespace.clone(),
        environment: at.environment.clone(),
        result: word(outcome),
    }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Success => "success",
        Outcome::Failure => "failure",
        Outcome::Inconclusive => "inconclusive",
    }
}

#[cfg(test)]
mod tests {
    use sower_core::rollout::Verdict;

    use super::*;
    use crate::status::tests::rollout;

    struct Bed {
        registry: Registry,
        metrics: Metrics,
    }

    impl Bed {
        fn new() -> Self {
            let mut registry = Registry::default();
            let metrics = Metrics::new(&mut registry);
            Self { registry, metrics }
        }

        /// The series with values, without what describes them.
        fn series(&self) -> Vec<String> {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("encodes");
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
        }

        fn of(&self, name: &str) -> Vec<String> {
            let prefix = format!("sower_{name}{{");
            let found =
                self.series().into_iter().filter_map(|line| line.strip_prefix(&prefix).map(str::to_owned));
            found.collect()
        }
    }

    fn at(environment: &str) -> EnvironmentLabels {
        EnvironmentLabels { namespace: "n".into(), environment: environment.into() }
    }

    #[test]
    fn a_rollout_has_series_while_it_is_under_way() {
        let bed = Bed::new();
        let mut one = rollout("stripe", State::Progressing);
        (one.step, one.weight) = (1, 1250);
        bed.metrics.rollouts(&at("e"), &[one.clone()]);
        let labels = "namespace=\"n\",environment=\"e\",integration=\"stripe\"";
        let info = |state: &str| format!("{labels},from=\"1.0.0\",to=\"1.1.0\",state=\"{state}\"}} 1");
        assert_eq!(bed.of("rollout_info"), [info("Progressing")]);
        assert_eq!(bed.of("rollout_weight_percent"), [format!("{labels}}} 12.5")]);
        assert_eq!(bed.of("rollout_step"), [format!("{labels}}} 1")]);
        let due = one.due_at.expect("it is due").as_second();
        assert_eq!(bed.of("rollout_due_timestamp_seconds"), [format!("{labels}}} {due}.0")]);
        assert_eq!(bed.of("rollout_verdict"), [""; 0]);

        // The next state takes the place of the last one.
        (one.state, one.due_at) = (State::Paused, None);
        let verdict = |outcome| {
            Some(Verdict {
                version: String::new(),
                outcome,
                reason: String::new(),
                checks: Vec::new(),
                unread: false,
            })
        };
        one.verdict = verdict(Outcome::Inconclusive);
        bed.metrics.rollouts(&at("e"), &[one.clone()]);
        assert_eq!(bed.of("rollout_info"), [info("Paused")]);
        assert_eq!(bed.of("rollout_due_timestamp_seconds"), [""; 0]);
        assert_eq!(bed.of("rollout_verdict"), [format!("{labels},result=\"inconclusive\"}} 1")]);
        one.verdict = verdict(Outcome::Success);
        bed.metrics.rollouts(&at("e"), &[one.clone()]);
        assert_eq!(bed.of("rollout_verdict"), [format!("{labels},result=\"success\"}} 1")]);

        // Of another environment nothing changes.
        bed.metrics.rollouts(&at("other"), &[rollout("slack", State::Pending)]);
        assert_eq!(bed.of("rollout_step").len(), 2);
        one.state = State::RolledBack;
        bed.metrics.rollouts(&at("e"), &[one]);
        let left = bed.series().into_iter().filter(|line| line.contains("stripe")).collect::<Vec<_>>();
        assert_eq!(left, [""; 0]);
        assert_eq!(bed.of("rollout_step").len(), 1);
    }

    #[test]
    fn what_is_counted_begins_at_nothing() {
        let bed = Bed::new();
        let metrics = &bed.metrics;
        let ended =
            |state: &str, n: u32| format!("namespace=\"n\",environment=\"e\",state=\"{state}\"}} {n}");
        metrics.rollouts(&at("e"), &[]);
        assert!(bed.of("rollouts_ended_total").contains(&ended("RolledBack", 0)), "{:?}", bed.series());
        metrics.rollout_ended(&at("e"), State::RolledBack);
        metrics.analysed(&at("e"), Outcome::Failure);
        metrics.left_phase(&at("e"), State::Progressing, Duration::from_secs(60));
        metrics.promotions_waiting(&at("e"), 3);
        metrics.rollouts(&at("e"), &[]);
        assert!(bed.of("rollouts_ended_total").contains(&ended("RolledBack", 1)), "{:?}", bed.series());
        assert!(bed.of("rollouts_ended_total").contains(&ended("Completed", 0)));
        let failed = "namespace=\"n\",environment=\"e\",result=\"failure\"} 1".to_owned();
        assert!(bed.of("rollout_analyses_total").contains(&failed), "{:?}", bed.series());
        assert_eq!(bed.of("rollout_phase_duration_seconds_count"), [ended("Progressing", 1)]);
        assert_eq!(bed.of("promotions_waiting"), ["namespace=\"n\",environment=\"e\"} 3"]);
    }

    #[test]
    fn nothing_is_left_of_an_environment_that_is_gone() {
        let bed = Bed::new();
        for name in ["gone", "stays"] {
            bed.metrics.rollouts(&at(name), &[rollout("stripe", State::Progressing)]);
            for state in PHASES {
                bed.metrics.left_phase(&at(name), state, Duration::from_secs(1));
            }
            bed.metrics.promotions_waiting(&at(name), 1);
        }
        bed.metrics.forget(&at("gone"));
        let series = bed.series();
        assert!(!series.iter().any(|line| line.contains("gone")), "{series:?}");
        assert!(series.iter().any(|line| line.starts_with("sower_rollout_info{") && line.contains("stays")));
    }
}
