//! Which updates of a plan begin a rollout, and what has to wait for one.

use std::collections::{BTreeMap, BTreeSet};

use sower_crds::environment::EnvironmentSpec;
use sower_crds::rollout::StrategyType;

use super::stages::strategy;
use crate::catalog::Dependency;
use crate::hash::{plan_hash, spec_digest};
use crate::plan::{Kept, KeptWhy, Operation, Plan, State, Verb};

/// The updates that are to be staged, if they change more than documentation: other versions than all have, and none that
/// the environment goes back to. `tried` are contents (integration and checksum) that were rolled out and never reached all:
/// nothing goes back to those.
#[must_use]
pub fn to_stage<'a>(
    plan: &'a Plan,
    spec: &EnvironmentSpec,
    state: &State,
    tried: &BTreeSet<(String, String)>,
) -> Vec<&'a Operation> {
    let staged = |operation: &&Operation| {
        let Operation { id, verb, from: Some(from), to: Some(to), revert, .. } = operation else {
            return false;
        };
        let goes_back = *revert && !tried.contains(&(id.clone(), to.checksum.clone()));
        *verb == Verb::Update
            && !goes_back
            && from.version != to.version
            && state.stable(id) != Some(to)
            && !plan.put_back.contains(id)
            && state.merges.merged(id, &to.checksum).is_none()
            && strategy(spec, id, &from.version, &to.version).kind != StrategyType::AllAtOnce
    };
    plan.operations.iter().filter(staged).collect()
}

/// Stages these updates, and holds back what needs a version that not all have: `needs` says what an integration's new content
/// needs.
pub fn stage(
    plan: &mut Plan,
    spec: &EnvironmentSpec,
    state: &State,
    staged: &BTreeSet<String>,
    needs: &BTreeMap<String, Vec<Dependency>>,
) {
    for operation in plan.operations.iter_mut().filter(|operation| staged.contains(&operation.id)) {
        operation.staged = true;
    }
    // What failed in a comparison stays out of the next one.
    let compares = |operation: &Operation| match (&operation.from, &operation.to) {
        (Some(from), Some(to)) => {
            strategy(spec, &operation.id, &from.version, &to.version).kind == StrategyType::AB
        }
        _ => false,
    };
    let compared: BTreeSet<&str> = plan
        .operations
        .iter()
        .filter(|operation| operation.staged && compares(operation))
        .map(|operation| operation.id.as_str())
        .collect();
    plan.lifted.retain(|id| !(compared.contains(id.as_str()) && state.quarantine.holds_some(id)));
    let done: BTreeSet<&str> = plan
        .operations
        .iter()
        .filter(|operation| !operation.staged)
        .map(|operation| operation.id.as_str())
        .collect();
    // What is rolled out, or begins to be, is for all what it was.
    let rolling = |id: &str| staged.contains(id) || (state.rollouts.contains_key(id) && !done.contains(id));
    let unmet = |operation: &Operation, waits: &BTreeSet<String>| {
        let needs = needs.get(&operation.id).into_iter().flatten();
        needs.filter(|need| rolling(&need.id) || waits.contains(&need.id)).any(|need| {
            let stable = state.stable(&need.id);
            !stable.is_some_and(|stable| need.is_met_by(&stable.version))
        })
    };
    // What waits is for all what it was, too: until nothing more has to wait for it.
    let mut waits: BTreeSet<String> = BTreeSet::new();
    loop {
        let more = plan
            .operations
            .iter()
            .filter(|operation| !waits.contains(&operation.id) && unmet(operation, &waits));
        let more: Vec<String> = more.map(|operation| operation.id.clone()).collect();
        if more.is_empty() {
            break;
        }
        waits.extend(more);
    }
    for id in &waits {
        let version = state.stable(id).map(|stable| stable.version.clone());
        plan.kept.push(Kept { id: id.clone(), version, why: KeptWhy::AwaitsRollout });
    }
    plan.kept.sort_by(|a, b| a.id.cmp(&b.id));
    plan.operations.retain(|operation| !waits.contains(&operation.id));
    if !waits.is_empty() {
        let digest = spec_digest(spec);
        plan.hash = plan_hash(&plan.environment, &digest, plan.base, &plan.operations, &plan.conflicts);
    }
}
