//! Which updates of a plan begin a rollout, and the rollouts that a seeding begins and ends.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use sower_core::catalog::Dependency;
use sower_core::drift::Mend;
use sower_core::gate::gate;
use sower_core::plan::{Content, Plan, State};
use sower_core::rollout::machine::end;
use sower_core::rollout::stages::{pick, stages_something, strategy, unknown, variants};
use sower_core::rollout::staging::{stage, to_stage};
use sower_core::rollout::{Event, Progress, Rollout, State as At, documentation};
use sower_core::rows;
use sower_crds::rollout::{Strategy, StrategyType};
use sower_store::{Store, StoreError, Which, new_rollout};

use super::Planned;
use super::error::SeedingError;
use super::job::Job;
use super::planned::blocking;

/// Contents that are held at once.
const PIECE: usize = 200;

/// The rollouts that a seeding begins and ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Rollouts {
    pub(super) begin: Vec<Rollout>,
    pub(super) end: Vec<Rollout>,
}

/// Marks the updates that begin a rollout, and leaves out what needs a version that not all have.
pub(super) async fn staged(store: &Store, job: &Job, mut planned: Planned) -> Result<Planned, SeedingError> {
    if planned.plan.is_empty() || (!stages_something(&job.spec) && planned.state.rollouts.is_empty()) {
        return Ok(planned);
    }
    let reverts: Vec<(String, String)> = planned
        .plan
        .operations
        .iter()
        .filter(|operation| operation.revert)
        .filter_map(|operation| Some((operation.id.clone(), operation.to.as_ref()?.checksum.clone())))
        .collect();
    let tried = store.tried(&job.environment, &reverts).await?;
    let asked: Vec<(String, Content, Content)> = to_stage(&planned.plan, &job.spec, &planned.state, &tried)
        .into_iter()
        .filter_map(|operation| Some((operation.id.clone(), operation.from.clone()?, operation.to.clone()?)))
        .collect();
    let mut ids: BTreeSet<String> = BTreeSet::new();
    for piece in asked.chunks(PIECE) {
        let before: Vec<(&str, &str)> =
            piece.iter().map(|(id, from, _)| (id.as_str(), from.checksum.as_str())).collect();
        let before = store.contents(&job.environment, &before).await?;
        let piece = piece.to_vec();
        let (back, found) = blocking(move || {
            let changes = |(id, ..): &(String, Content, Content)| {
                let operation = planned.plan.operations.iter().find(|operation| operation.id == *id);
                let now = operation.and_then(|operation| planned.content(operation));
                let (Some(from), Some(now)) = (before.get(id), now) else { return true };
                !only_documentation(from, &now)
            };
            let found: Vec<String> =
                piece.iter().filter(|one| changes(one)).map(|(id, ..)| id.clone()).collect();
            (planned, found)
        })
        .await?;
        planned = back;
        ids.extend(found);
    }
    if ids.is_empty() && planned.state.rollouts.is_empty() {
        return Ok(planned);
    }
    let needs = needs(&planned);
    stage(&mut planned.plan, &job.spec, &planned.state, &ids, &needs);
    let catalogs = planned.reading.lend();
    planned.gate = gate(&planned.plan, &job.spec, &catalogs, &planned.state, job.moment());
    planned.reading.give_back(catalogs);
    Ok(planned)
}

fn only_documentation(from: &str, to: &str) -> bool {
    let parsed = |text: &str| serde_json::from_str::<Value>(text).ok();
    match (parsed(from), parsed(to)) {
        (Some(from), Some(to)) => documentation::only_documentation(&from, &to),
        _ => false,
    }
}

/// What the new contents need.
fn needs(planned: &Planned) -> BTreeMap<String, Vec<Dependency>> {
    // What another environment lets in may have been offered earlier.
    let admitted = planned.state.admission.iter().flat_map(|admission| admission.let_in.values());
    let admitted = admitted.map(|wanted| &wanted.summary);
    let found = planned.reading.found().filter_map(|found| found.summary.as_ref()).chain(admitted);
    let wanted: BTreeMap<(&str, &str), &Vec<Dependency>> = found
        .filter(|summary| !summary.dependencies.is_empty())
        .map(|summary| ((summary.id.as_str(), summary.checksum.as_str()), &summary.dependencies))
        .collect();
    let needs = planned.plan.operations.iter().filter_map(|operation| {
        let to = operation.to.as_ref()?;
        let needs = wanted.get(&(operation.id.as_str(), to.checksum.as_str()))?;
        Some((operation.id.clone(), (*needs).clone()))
    });
    needs.collect()
}

/// The rollouts that the seeding of a plan begins and ends: those that are replaced, and those that another's hand changed.
pub(super) async fn rollouts(
    store: &Store,
    job: &Job,
    plan: &Plan,
    state: &State,
    mend: &Mend,
) -> Result<Rollouts, StoreError> {
    let now = Timestamp::now();
    let mut rollouts = Rollouts::default();
    if !state.rollouts.is_empty() || !mend.rollouts.is_empty() {
        let mut active = store.rollouts(Some(&job.environment), Which::Active).await?;
        let replaced = |rollout: &Rollout| {
            let operation = plan.operations.iter().find(|operation| operation.id == rollout.integration)?;
            let ends = mend.rollouts.contains(&operation.id) || !plan.put_back.contains(&operation.id);
            ends.then_some(operation)
        };
        active.retain(|rollout| replaced(rollout).is_some());
        let ended = active.iter().map(|rollout| {
            let to = replaced(rollout).and_then(|operation| operation.to.as_ref());
            let reason = match to {
                Some(_) if mend.rollouts.contains(&rollout.integration) => {
                    "its row is not what Sower wrote".to_owned()
                }
                Some(to) => format!("the sources have {} now", to.version),
                None => "it is gone from the environment".to_owned(),
            };
            end(rollout, At::Superseded, now, reason, None)
        });
        rollouts.end = ended.collect();
    }
    for operation in plan.operations.iter().filter(|operation| operation.staged) {
        let (Some(from), Some(to), Some(place)) = (&operation.from, &operation.to, &operation.place) else {
            continue;
        };
        let mut strategy = strategy(&job.spec, &operation.id, &from.version, &to.version);
        let compared = compared(store, job, state, &strategy, (from, to), &operation.id).await?;
        // What others are compared without is judged by nothing: it waits for somebody, and says so.
        if strategy.kind == StrategyType::AB && !compared.iter().flatten().any(|one| one == to) {
            strategy.kind = StrategyType::Manual;
        }
        let (variants, shares) = variants(&strategy, from, to, &compared);
        let (id, salt) = new_rollout();
        let begun = Event {
            at: now,
            state: At::Pending,
            step: 0,
            weight: 0,
            reason: format!("{} -> {}", from.version, to.version),
            by: None,
        };
        rollouts.begin.push(Rollout {
            id,
            environment: job.environment.clone(),
            integration: operation.id.clone(),
            from: from.clone(),
            to: to.clone(),
            variants,
            salt,
            step: 0,
            weight: 0,
            state: At::Pending,
            events: vec![begun],
            strategy,
            verdict: None,
            progress: Progress { shares, prune_disabled: operation.prune_disabled, ..Progress::default() },
            source: place.source.clone(),
            path: place.path.clone(),
            revision: operation.revision.clone().unwrap_or_default(),
            seeding: String::new(),
            started_at: now,
            step_started_at: now,
            due_at: Some(now),
            ended_at: None,
        });
    }
    Ok(rollouts)
}

/// Of each integration of which a plan begins a comparison: the variants that nobody gets, since no such version is known.
///
/// # Errors
/// Where the database does not answer.
pub async fn not_compared(
    store: &Store,
    job: &Job,
    planned: &Planned,
) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let mut missing = BTreeMap::new();
    for operation in planned.plan.operations.iter().filter(|operation| operation.staged) {
        let (Some(from), Some(to)) = (&operation.from, &operation.to) else { continue };
        let strategy = strategy(&job.spec, &operation.id, &from.version, &to.version);
        let found = compared(store, job, &planned.state, &strategy, (from, to), &operation.id).await?;
        let of = unknown(&strategy, found.iter().flatten().map(|content| content.version.as_str()));
        if !of.is_empty() {
            missing.insert(operation.id.clone(), of);
        }
    }
    Ok(missing)
}

/// The contents that are compared: of each variant the one of its version, or the highest known one in its range. What went
/// back is none of them, whatever is in quarantine by now.
async fn compared(
    store: &Store,
    job: &Job,
    state: &State,
    strategy: &Strategy,
    (from, to): (&Content, &Content),
    id: &str,
) -> Result<Vec<Option<Content>>, StoreError> {
    if strategy.kind != StrategyType::AB {
        return Ok(Vec::new());
    }
    let known = store.versions(&job.environment, id).await?;
    let contents: Vec<(String, String)> =
        known.iter().map(|known| (id.to_owned(), known.checksum.clone())).collect();
    let back = store.went_back(&job.environment, &contents).await?;
    let mut known: Vec<Content> = known
        .into_iter()
        .map(|known| Content { version: known.version, checksum: known.checksum })
        // Of these versions only what all have and what is offered is meant.
        .filter(|known| known.version != to.version && known.version != from.version)
        .filter(|known| !state.quarantine.holds(id, &known.checksum))
        .filter(|known| !back.iter().any(|(_, checksum)| *checksum == known.checksum))
        .collect();
    known.extend([from.clone(), to.clone()]);
    let mut found: Vec<Option<Content>> =
        strategy.variants.iter().map(|variant| pick(variant, &known)).collect();
    for one in &mut found {
        let Some(content) = one.as_ref().filter(|one| *one != from && *one != to) else { continue };
        let stored = store.contents(&job.environment, &[(id, content.checksum.as_str())]).await?;
        // What is not what its checksum says is nobody's version.
        if stored.get(id).is_none_or(|stored| rows::checksum(stored) != content.checksum) {
            *one = None;
        }
    }
    Ok(found)
}
