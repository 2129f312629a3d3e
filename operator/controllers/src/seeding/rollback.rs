//! A rollback: an earlier state of an environment, or an earlier content of one integration, is made current again from
//! the database's own history. No source is asked, and no guard but the keeper: it is asked for by name.

mod way;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sower_core::drift::Mend;
use sower_core::hash::spec_digest;
use sower_core::plan::{KeptWhy, Plan, State};
use sower_core::report::{Failure, Outcome, Report};
use sower_core::rollback::{Request, Then, UNDO, WayBack, way_back};
use sower_core::rollout::machine::end;
use sower_core::rollout::{Rollout, State as At};
use sower_core::select::lists_out;
use sower_core::snapshot::{full_revision, short_revision};
use sower_crds::environment::EnvironmentSpec;
use sower_store::{
    Answered, Begin, EnvironmentRow, Fence, HandledRollback, Here, ManifestDelta, PromotionDelta,
    QuarantineDelta, Quarantined, Refused, RolloutDelta, Store, StoreError, Which, Write,
};

use super::error::SeedingError;
use super::seeded::elapsed;
use super::{Seeder, failures, noted};
use crate::metrics::EnvironmentLabels;
use way::{Way, way_of_all, way_of_one};

/// Contents that are read at a time.
const PIECE: usize = 300;

/// A rollback that is asked for.
#[derive(Debug, Clone)]
pub struct Rollback {
    /// The environment.
    pub environment: String,
    /// Its spec.
    pub spec: EnvironmentSpec,
    /// Who seeds it.
    pub keeper: String,
    /// The epoch to write under; none: the current one.
    pub epoch: Option<i64>,
    /// What is asked for.
    pub request: Request,
    /// By whom.
    pub by: String,
    /// What the annotation holds: it is noted as answered in the same transaction. None where nobody asks twice.
    pub asked: Option<String>,
}

/// What came of a rollback.
#[derive(Debug, Clone)]
pub enum RolledBack {
    /// Rows were written.
    Applied {
        /// What was done.
        plan: Box<Plan>,
        /// What there was before.
        state: Box<State>,
        /// What is current again: `seeding 57 (main@3f2c1a9)`; of one integration `1.0.0`.
        target: String,
        /// The revision that stays out, short; none of one integration.
        left: Option<String>,
        /// What happened.
        report: Box<Report>,
    },
    /// It is so already.
    Unchanged {
        /// What is current: `seeding 57 (main@3f2c1a9)`.
        target: String,
        /// What happened.
        report: Box<Report>,
    },
    /// What was kept out is asked back: the next seeding takes it, if git still says so.
    AskedBack(Vec<Quarantined>),
}

impl RolledBack {
    /// Number of the seeding that wrote it.
    #[must_use]
    pub fn seeding(&self) -> Option<i64> {
        match self {
            Self::Applied { report, .. } => report.seeding.as_ref()?.rsplit('-').next()?.parse().ok(),
            Self::Unchanged { .. } | Self::AskedBack(_) => None,
        }
    }

    /// In a sentence about the environment, or one integration of it.
    #[must_use]
    pub fn told(&self, environment: &str, integration: Option<&str>) -> String {
        let subject = subject(environment, integration);
        match self {
            Self::Applied { target, report, .. } => {
                let number = self.seeding().unwrap_or_default();
                let counts = (report.created, report.updated, report.deleted);
                applied_told(&subject, target, number, counts)
            }
            Self::Unchanged { target, .. } => format!("Nothing to do: {subject} is at {target}"),
            Self::AskedBack(asked) => asked_told(&subject, asked),
        }
    }
}

/// `production`, `slack of production`.
fn subject(environment: &str, integration: Option<&str>) -> String {
    match integration {
        Some(id) => format!("{id} of {environment}"),
        None => environment.to_owned(),
    }
}

fn applied_told(subject: &str, target: &str, seq: i64, counts: (usize, usize, usize)) -> String {
    let (created, updated, deleted) = counts;
    format!(
        "Rolled {subject} back to {target}, as seeding {seq}: {created} created, {updated} updated, {deleted} deleted"
    )
}

fn asked_told(subject: &str, asked: &[Quarantined]) -> String {
    let mut ids: Vec<&str> = asked.iter().map(|asked| asked.integration.as_str()).collect();
    ids.dedup();
    match ids.as_slice() {
        [] => format!("Nothing to undo: no rollback keeps anything of {subject} out"),
        ids => {
            let merged: BTreeSet<&str> =
                asked.iter().filter(|asked| asked.merged).map(|asked| asked.integration.as_str()).collect();
            let merged: Vec<&str> = merged.into_iter().collect();
            let told = format!("Took the rollback of {subject} back: no longer in quarantine: {}", some(ids));
            match merged.as_slice() {
                [] => told,
                [one] => format!("{told}. Hand edits were merged into {one}: they are in its versions alone"),
                several => format!(
                    "{told}. Hand edits were merged into {}: they are in their versions alone",
                    some(several)
                ),
            }
        }
    }
}

/// Why a rollback was not done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RollbackError {
    /// What is asked for is not to be had: in a sentence, fit for a condition.
    #[error("{0}")]
    Impossible(String),
    /// Nothing was written for another reason.
    #[error(transparent)]
    Seeding(#[from] SeedingError),
}

impl From<StoreError> for RollbackError {
    fn from(error: StoreError) -> Self {
        Self::Seeding(error.into())
    }
}

fn impossible<T>(text: impl Into<String>) -> Result<T, RollbackError> {
    Err(RollbackError::Impossible(text.into()))
}

impl Seeder {
    /// Makes an earlier state current again, in one fenced transaction, or asks back what a rollback keeps out. What
    /// cannot be had is logged where an annotation asks for it, and answered like what can.
    ///
    /// # Errors
    /// [`RollbackError::Impossible`] where there is no such state; nothing of the catalog was written then, as for every
    /// other reason.
    pub async fn roll_back(&self, store: &Store, rollback: &Rollback) -> Result<RolledBack, RollbackError> {
        let started = Instant::now();
        let row = store.environment(&rollback.environment).await?;
        let Rollback { environment, keeper, .. } = rollback;
        if let Some(other) = row.as_ref().and_then(|row| row.keeper.as_ref()).filter(|other| *other != keeper)
        {
            let (environment, keeper) = (environment.clone(), other.clone());
            return Err(StoreError::KeptElsewhere { environment, keeper }.into());
        }
        let done = self.roll_back_from(store, rollback, row.as_ref(), started).await;
        // Whoever waits at a terminal is told there, and can type again.
        let once = rollback.asked.is_some();
        if let (Err(RollbackError::Impossible(why)), Some(row), true) = (&done, &row, once) {
            let fence = fence(store, rollback, row).await?;
            let handled = rollback.handled(None, why.clone(), true);
            let refused = Refused {
                fence: &fence,
                holder: &self.holder,
                reason: &rollback.reason(rollback.request.to.as_deref().unwrap_or(UNDO)),
                message: why,
                applied: &row.applied,
                handled: handled.as_ref(),
            };
            store.refuse_rollback(refused).await?;
        }
        done
    }

    /// Counts a rollback among the reconciles.
    pub fn count_rollback(&self, at: &EnvironmentLabels, ended: Outcome, took: std::time::Duration) {
        if let Some(metrics) = &self.metrics {
            metrics.ended(at, ended, took);
        }
    }

    async fn roll_back_from(
        &self,
        store: &Store,
        rollback: &Rollback,
        row: Option<&EnvironmentRow>,
        started: Instant,
    ) -> Result<RolledBack, RollbackError> {
        let environment = &rollback.environment;
        let Some(row) = row.filter(|row| row.seq > 0) else {
            return impossible(format!("{environment} was never seeded: there is nothing to go back to"));
        };
        let integration = rollback.request.integration.as_deref();
        let Some(to) = &rollback.request.to else { return undo(store, rollback, row).await };
        let way = match integration {
            None => {
                let mut way = way_of_all(store, row, to).await?;
                // What the spec's lists leave out by now does not come back.
                let out = |id: &String, then: &Option<Then>| then.is_some() && lists_out(&rollback.spec, id);
                way.left_out = way.then.extract_if(.., |id, then| out(id, then)).collect();
                way
            }
            Some(id) => {
                let way = way_of_one(store, row, id, to).await?;
                if way.then.values().any(Option::is_some) && lists_out(&rollback.spec, id) {
                    return impossible(format!("the lists of {environment} leave {id} out"));
                }
                way
            }
        };
        let (mut back, state) = plan(store, rollback, &way).await?;
        let ends = ended(store, rollback, &way).await?;
        back.keep_out(&ends);
        let way = Way { told: way.told_with(&state), ..way };
        let claimed = fence(store, rollback, row).await?;
        if back.plan.is_empty() && back.plan.kept.is_empty() && ends.is_empty() {
            // An `--undo` that nothing came of yet is taken back, too.
            store.keep_out_again(&claimed, integration).await?;
            let told = RolledBack::Unchanged {
                target: way.told.clone(),
                report: Box::new(report(&back.plan, &way, Outcome::Unchanged, None, started)),
            };
            if let Some(handled) = rollback.handled(None, told.told(environment, integration), false) {
                store.note_rollback(&claimed, Some(&handled)).await?;
            }
            return Ok(told);
        }
        if back.plan.is_empty() && ends.is_empty() {
            let ids: Vec<&str> = back.plan.kept.iter().map(|kept| kept.id.as_str()).collect();
            return impossible(format!("rows that Sower did not write hold the ids of {}", some(&ids)));
        }
        let report = self.write(store, rollback, row, &claimed, &way, (&back, &ends), started).await?;
        Ok(RolledBack::Applied {
            // After a seeding of some integrations no revision says what was there.
            left: (integration.is_none() && row.selection_hash.is_some())
                .then(|| short_revision(row.revisions())),
            target: way.told,
            plan: Box::new(back.plan),
            state: Box::new(state),
            report: Box::new(report),
        })
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of a seeding, as they come to be")]
    async fn write(
        &self,
        store: &Store,
        rollback: &Rollback,
        row: &EnvironmentRow,
        fence: &Fence,
        way: &Way,
        (back, ends): (&WayBack, &[Rollout]),
        started: Instant,
    ) -> Result<Report, RollbackError> {
        let Rollback { environment, request, .. } = rollback;
        let plan = &back.plan;
        let reason = rollback.reason(&way.short);
        let seq = row.seq + 1;
        let mut report = report(plan, way, Outcome::Completed, Some(format!("{environment}-{seq}")), started);
        let subject = subject(environment, request.integration.as_deref());
        let counts = (report.created, report.updated, report.deleted);
        let handled = rollback.handled(Some(seq), applied_told(&subject, &way.told, seq, counts), false);
        // The log row says at what the environment stands; the row of the environment, what of git was dealt with.
        let mut stands_at = row.applied.clone();
        for (source, revision) in way.revisions.iter().flatten() {
            let held = sower_store::AppliedSource { revision: revision.clone(), tree: String::new() };
            stands_at.insert(source.clone(), held);
        }
        if let Some(revisions) = &way.revisions {
            stands_at.retain(|source, _| revisions.contains_key(source));
        }
        let metadata = metadata(rollback, way, &report);
        let began = Timestamp::now() - started.elapsed();
        let begin = Begin {
            fence,
            holder: &self.holder,
            reason: &reason,
            applied: &stands_at,
            metadata: metadata.clone(),
            started: began,
        };
        let touched: Vec<&str> = plan.operations.iter().map(|operation| operation.id.as_str()).collect();
        let open = store.open_conflicts(Some(environment)).await?;
        let conflicts: Vec<_> = open
            .into_iter()
            .map(|open| open.conflict)
            .filter(|conflict| touched.binary_search(&conflict.integration.as_str()).is_err())
            .collect();
        let mut summary = row.summary.clone();
        noted::of_some(&mut summary);
        let seeding = store.begin(begin).await?;
        let write = Write {
            operations: plan.operations.iter().map(|operation| (operation, None)).collect(),
            reseed: false,
            mend: &Mend::NOTHING,
            merges: Vec::new(),
            merged: &BTreeSet::new(),
            conflicts: &conflicts,
            manifests: ManifestDelta::default(),
            applied: &row.applied,
            // The next reconcile looks at everything.
            selection_hash: None,
            summary: &summary,
            processed: plan.processed,
            errors: &report.errors,
            metadata,
            quarantine: QuarantineDelta { keep_out: &back.out, reason: &reason, lift: &[] },
            promotion: PromotionDelta::default(),
            rollback: Some(handled.as_ref()),
            rollouts: RolloutDelta { begin: &[], end: ends, handled: None },
            spend: None,
            plans_wait: row.waiting > 0,
        };
        match store.apply(&seeding, write).await {
            Ok(written) => {
                let counts = written.counts;
                report.actions_created = counts.actions_created;
                report.triggers_created = counts.triggers_created;
                report.connections_created = counts.connections_created;
                report.duration = elapsed(started);
                self.count_written(&rollback.labels(), counts.rows_written, ends);
                Ok(report)
            }
            Err(error) => {
                if let Err(second) = store.fail(&seeding, error.code(), &error.to_string()).await {
                    tracing::warn!(error = %second, "the failed rollback could not be noted");
                }
                Err(error.into())
            }
        }
    }
}

impl Rollback {
    /// How metrics name the environment.
    #[must_use]
    pub fn labels(&self) -> EnvironmentLabels {
        EnvironmentLabels::of(&self.keeper, &self.environment)
    }

    fn reason(&self, to: &str) -> String {
        match &self.request.integration {
            Some(id) => format!("rollback of {id} to {to} by {}", self.by),
            None => format!("rollback to {to} by {}", self.by),
        }
    }

    fn handled(&self, seeding: Option<i64>, message: String, failed: bool) -> Option<HandledRollback> {
        let request = self.asked.clone()?;
        Some(HandledRollback { request, seeding, message, failed })
    }
}

/// The fence of the row that was read.
async fn fence(store: &Store, rollback: &Rollback, row: &EnvironmentRow) -> Result<Fence, StoreError> {
    let Rollback { environment, keeper, epoch, .. } = rollback;
    let mut fence = store.claim_under(environment, keeper, false, *epoch).await?;
    fence.epoch = rollback.epoch.unwrap_or(fence.epoch);
    fence.base = row.seq;
    fence.as_of = fence.as_of.and(Some(row.updated_at));
    Ok(fence)
}

async fn undo(store: &Store, rollback: &Rollback, row: &EnvironmentRow) -> Result<RolledBack, RollbackError> {
    let Rollback { environment, request, .. } = rollback;
    let integration = request.integration.as_deref();
    let fence = fence(store, rollback, row).await?;
    // What the transaction finds, unless the row moves on: then there is none.
    let mut open = store.quarantined(Some(environment)).await?;
    open.retain(|open| open.asked_back_at.is_none());
    let last = open.iter().map(|open| open.seeding).max().flatten();
    open.retain(|open| match integration {
        Some(id) => open.integration == id,
        None => open.seeding == last,
    });
    let handled = rollback.handled(None, asked_told(&subject(environment, integration), &open), false);
    let asked = store.ask_back(&fence, integration, handled.as_ref().map(Answered::Rollback)).await?;
    Ok(RolledBack::AskedBack(asked))
}

/// The way back from what is there now; what cannot be made any more is said whole.
async fn plan(store: &Store, rollback: &Rollback, way: &Way) -> Result<(WayBack, State), RollbackError> {
    let environment = &rollback.environment;
    let Here { mut state, foreign_rows } = store.state(environment).await?;
    let digest = spec_digest(&rollback.spec);
    let back = way_back(environment, &digest, &state, &way.then, &BTreeMap::new());
    let touched: Vec<&str> = back.plan.operations.iter().map(|operation| operation.id.as_str()).collect();
    let offered = store.offered(environment, &touched).await?;
    let wanted: Vec<(String, String)> = back
        .plan
        .operations
        .iter()
        .filter_map(|operation| Some((operation.id.clone(), operation.to.as_ref()?.checksum.clone())))
        .collect();
    let kept = store.carried(environment, &wanted).await?;
    let forgotten: Vec<&str> =
        wanted.iter().filter(|pair| !kept.contains(*pair)).map(|(id, _)| id.as_str()).collect();
    if !forgotten.is_empty() {
        return impossible(format!("what there was of {} is not kept any more", some(&forgotten)));
    }
    if !foreign_rows.is_empty() {
        for chunk in wanted.chunks(PIECE) {
            let asked: Vec<(&str, &str)> =
                chunk.iter().map(|(id, checksum)| (id.as_str(), checksum.as_str())).collect();
            for (id, text) in store.contents(environment, &asked).await? {
                if sower_core::rows::rows(&text).is_ok_and(|rows| rows.collides(&foreign_rows)) {
                    state.foreign.insert(id);
                }
            }
        }
    }
    Ok((way_back(environment, &digest, &state, &way.then, &offered), state))
}

/// The rollouts that end because the environment goes back: their versions are what is left behind, too.
async fn ended(store: &Store, rollback: &Rollback, way: &Way) -> Result<Vec<Rollout>, StoreError> {
    let (now, reason) = (Timestamp::now(), rollback.reason(&way.short));
    let active = store.rollouts(Some(&rollback.environment), Which::Active).await?;
    let back = active.iter().filter(|rollout| way.then.contains_key(&rollout.integration));
    let ended = |rollout| end(rollout, At::RolledBack, now, reason.clone(), Some(rollback.by.clone()));
    Ok(back.map(ended).collect())
}

fn report(plan: &Plan, way: &Way, status: Outcome, seeding: Option<String>, started: Instant) -> Report {
    let foreign = plan.kept.iter().filter(|kept| kept.why == KeptWhy::ForeignRow);
    let revision = way
        .revisions
        .as_ref()
        .map(|revisions| full_revision(revisions.iter().map(|(name, revision)| (name.as_str(), revision))));
    Report {
        environment: plan.environment.clone(),
        seeding,
        revision: revision.filter(|text| !text.is_empty()),
        status,
        integrations_processed: plan.processed,
        created: plan.created(),
        updated: plan.updated(),
        staged: 0,
        given_up: 0,
        deleted: plan.deleted(),
        unchanged: plan.unchanged,
        actions_created: 0,
        triggers_created: 0,
        connections_created: 0,
        orphaned: Vec::new(),
        prune_disabled: Vec::new(),
        quarantined: Vec::new(),
        waiting: Vec::new(),
        conflicts: Vec::new(),
        errors: foreign.map(|kept| failures::foreign_row(&kept.id)).collect::<Vec<Failure>>(),
        excluded: 0,
        invalid: 0,
        duration: elapsed(started),
    }
}

/// What has no column of its own in the log row.
fn metadata(rollback: &Rollback, way: &Way, report: &Report) -> Map<String, Value> {
    let Rollback { request, by, .. } = rollback;
    [
        ("rollback".to_owned(), json!({ "to": way.seq, "integration": request.integration, "by": by })),
        ("unchanged".to_owned(), report.unchanged.into()),
        ("conflicts".to_owned(), json!([])),
        ("duration".to_owned(), report.duration.into()),
    ]
    .into_iter()
    .collect()
}

fn some(names: &[&str]) -> String {
    crate::status::names(names)
}
