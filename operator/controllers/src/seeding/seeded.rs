//! apply → report: what is written, and the record of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Map, Value};
use sower_core::catalog::{Found, Place};
use sower_core::drift::{Drifted, Mend};
use sower_core::gate::Held;
use sower_core::hash::spec_digest;
use sower_core::plan::{Conflict, KeptWhy, Operation, Plan};
use sower_core::quarantine::ABSENCE;
use sower_core::report::{Failure, Outcome, Report};
use sower_core::rollout::Rollout;
use sower_core::snapshot::Revision;
use sower_store::{
    Applied, AppliedSource, Begin, Counts, EnvironmentRow, Fence, Kept, ManifestDelta, Merging,
    QuarantineDelta, RolloutDelta, Seeding, Settle, Spend, Store, StoreError, Write, document_id,
};

use super::error::{Kind, SeedingError};
use super::failures::{Failures, failures};
use super::fetch::{Files, Snapshot};
use super::job::Job;
use super::reading::{self, ReadSource, Reading};
use super::remembering::Delta;
use super::{Planned, Seeded, mended, merging, noted, promoting, staging};
use crate::reason::Reason;

/// Another keeper has the environment: said before anything is fetched.
pub(super) fn refuse_other_keeper(row: Option<&EnvironmentRow>, job: &Job) -> Result<(), SeedingError> {
    match row.and_then(|row| row.keeper.as_ref()) {
        Some(keeper) if *keeper != job.keeper && !job.take_over => {
            let (environment, keeper) = (job.environment.clone(), keeper.clone());
            Err(StoreError::KeptElsewhere { environment, keeper }.into())
        }
        _ => Ok(()),
    }
}

impl Planned {
    /// What a seeding ends with where a source holds no manifest at all. A listing is spared where deletions were watched,
    /// now or when it was applied: those were meant.
    #[must_use]
    pub fn empty_source(&self) -> Option<SeedingError> {
        let applied = |source: &ReadSource| {
            let held = self.row.as_ref().and_then(|row| row.applied.get(&source.snapshot.name));
            matches!(source.snapshot.files, Files::Listing(_))
                && held.is_some_and(|held| held.revision == source.snapshot.revision)
        };
        let empty =
            self.reading.sources.iter().find(|source| {
                source.catalog.found.is_empty() && !source.catalog.watched && !applied(source)
            })?;
        let text = format!("{} at {} holds no manifest", empty.snapshot.name, empty.snapshot.revision);
        let error = SeedingError::new(Reason::SourceEmpty, Kind::Stalled, text);
        let read = self.reading.sources.iter().map(|source| &source.snapshot);
        let read = read.map(|snapshot| (snapshot.name.clone(), snapshot.revision.clone()));
        let read = Some(Box::new(read.collect()));
        Some(SeedingError { source_name: Some(empty.snapshot.name.clone()), read, ..error })
    }
}

/// A guard holds the plan: the record says so, and nothing is written.
pub(super) fn hold(planned: Planned, held: Held, started: Instant) -> Seeded {
    let failures = failures(&planned);
    let mut report = report(&planned, failures, Outcome::Refused, None, &Counts::default(), started);
    (report.created, report.updated, report.staged, report.deleted) = (0, 0, 0, 0);
    report.waiting = promoting::waiting_held(&planned);
    Seeded::Held { planned: Box::new(planned), held, report }
}

/// What a seeding wrote, for those who count.
#[derive(Default)]
pub(super) struct Wrote {
    /// Rows of the catalog.
    pub(super) rows: u64,
    /// The rollouts that ended with it.
    pub(super) ended: Vec<Rollout>,
}

/// Writes the plan in one fenced transaction; an empty one moves the applied revision alone.
pub(super) async fn apply(
    store: &Store,
    job: &Job,
    holder: &str,
    planned: Planned,
    approved_by: Option<&str>,
    started: Instant,
) -> Result<(Seeded, Wrote), SeedingError> {
    let began = Timestamp::now() - started.elapsed();
    let fence = claim(store, job, &planned).await?;
    let failures = failures(&planned);
    let mends = mended::mends(job, &planned);
    let moved = moves(store, job, &planned, &failures.told).await?;
    let (touched, spec_digest) = (touched(&planned.plan), spec_digest(&job.spec));
    if planned.plan.is_empty() {
        return Ok((settle(store, &fence, job, planned, moved, failures, started).await?, Wrote::default()));
    }
    let mend = Mend::of(mends.iter().copied());
    let rollouts = staging::rollouts(store, job, &planned.plan, &planned.state, &mend).await?;
    let promotion = Delta::of(&planned, &planned.plan.operations).await?;
    let metadata = metadata(&planned, &mends, &failures, started);
    let outcome = {
        let begin = Begin {
            fence: &fence,
            holder,
            reason: &match approved_by {
                Some(by) => approved(&reason(job, &planned, &mends), &planned.plan, by),
                None => reason(job, &planned, &mends),
            },
            applied: &reading::applied(&snapshots(&planned.reading)),
            metadata: metadata.clone(),
            started: began,
        };
        let seeding = store.begin(begin).await?;
        let write = Write {
            operations: with_manifests(&planned),
            reseed: job.reseed,
            mend: &mend,
            merges: merges(&planned),
            merged: &BTreeSet::new(),
            conflicts: &moved.conflicts,
            manifests: moved.delta(job, &planned.reading),
            applied: &moved.applied,
            selection_hash: moved.selection_hash.as_deref(),
            summary: &moved.summary,
            processed: planned.plan.processed,
            errors: &failures.told,
            metadata,
            spend: approved_by.map(|by| Spend {
                hash: &planned.plan.hash,
                observed: planned.observed.as_ref(),
                touched: &touched,
                spec_digest: &spec_digest,
                by,
                pinned: false,
            }),
            plans_wait: planned.row.as_ref().is_some_and(|row| row.waiting > 0),
            quarantine: lifting(&planned.plan.lifted),
            promotion: promotion.changes(),
            rollback: None,
            rollouts: RolloutDelta { begin: &rollouts.begin, end: &rollouts.end, handled: None },
        };
        write_or_fail(store, &seeding, write).await
    };
    let written = outcome?;
    let number = format!("{}-{}", job.environment, written.seq);
    let report = report(&planned, failures, Outcome::Completed, Some(number), &written.counts, started);
    let wrote = Wrote { rows: written.counts.rows_written, ended: rollouts.end };
    Ok((Seeded::Applied { planned: Box::new(planned), report }, wrote))
}

/// What a write of this plan stands on; takes the environment, where it is nobody's yet.
pub(super) async fn claim(store: &Store, job: &Job, planned: &Planned) -> Result<Fence, StoreError> {
    let fence = claim_at(store, job, planned.plan.base).await?;
    // Claiming what was this keeper's already changed nothing: the row is to be the one that was read.
    let as_of = fence.as_of.and(planned.row.as_ref().map(|row| row.updated_at));
    Ok(Fence { as_of, ..fence })
}

/// The environment, as it stood after the seeding of this number.
pub(super) async fn claim_at(store: &Store, job: &Job, base: i64) -> Result<Fence, StoreError> {
    let fence = store.claim_under(&job.environment, &job.keeper, job.take_over, job.epoch).await?;
    Ok(Fence { epoch: job.epoch.unwrap_or(fence.epoch), base, ..fence })
}

/// The second commit of a seeding; where it fails, the log row says so.
pub(super) async fn write_or_fail(
    store: &Store,
    seeding: &Seeding,
    write: Write<'_>,
) -> Result<Applied, StoreError> {
    match store.apply(seeding, write).await {
        Ok(written) => Ok(written),
        Err(error) => {
            // Rolled back already; a log row that stays running is closed by the next seeding.
            if let Err(second) = store.fail(seeding, error.code(), &error.to_string()).await {
                tracing::warn!(error = %second, "the failed seeding could not be noted");
            }
            Err(error)
        }
    }
}

/// The integrations that a plan touches.
pub(super) fn touched(plan: &Plan) -> Vec<&str> {
    plan.operations.iter().map(|operation| operation.id.as_str()).collect()
}

/// The reason of a seeding that somebody approved: `push: "…" (AUTHOR); plan 7c1e09b4d2f8 approved by NAME`.
pub(super) fn approved(reason: &str, plan: &Plan, by: &str) -> String {
    format!("{reason}; plan {} approved by {by}", plan.short_hash())
}

/// What the database remembers of the sources' documents.
#[derive(Default)]
struct Remembered {
    found: Vec<Arc<Vec<Found>>>,
    /// Rows that cannot be read, by their keys.
    unreadable: Vec<String>,
}

/// Of these nothing is kept out any more.
pub(super) fn lifting(lifted: &[String]) -> QuarantineDelta<'_> {
    QuarantineDelta { lift: lifted, ..QuarantineDelta::default() }
}

/// What moves beside the rows.
struct Moves {
    conflicts: Vec<Conflict>,
    known: Remembered,
    applied: BTreeMap<String, AppliedSource>,
    selection_hash: Option<String>,
    summary: Value,
}

impl Moves {
    fn delta<'a>(&self, job: &Job, reading: &'a Reading) -> ManifestDelta<'a> {
        if job.only.is_some() { ManifestDelta::default() } else { delta(reading, &self.known) }
    }
}

/// A seeding of some integrations moves neither the applied revision nor what it did not look at.
async fn moves(
    store: &Store,
    job: &Job,
    planned: &Planned,
    failures: &[Failure],
) -> Result<Moves, SeedingError> {
    let mut conflicts = planned.plan.conflicts.clone();
    if let Some(only) = &job.only {
        let open = store.open_conflicts(Some(&job.environment)).await?;
        conflicts.extend(open.into_iter().map(|o| o.conflict).filter(|c| !only.contains(&c.integration)));
        let applied = planned.row.as_ref().map(|row| row.applied.clone()).unwrap_or_default();
        let mut summary = planned.row.as_ref().map(|row| row.summary.clone()).unwrap_or_default();
        noted::of_some(&mut summary);
        return Ok(Moves { conflicts, known: Remembered::default(), applied, selection_hash: None, summary });
    }
    let applied = reading::applied(&snapshots(&planned.reading));
    let known = known(store, job, planned).await?;
    let selection_hash = Some(planned.selection_hash.clone());
    let mut summary = noted::note(planned, failures);
    if !job.resolve.is_empty() {
        noted::of_once(&mut summary);
    }
    Ok(Moves { conflicts, known, applied, selection_hash, summary })
}

/// Nothing is to be written but what the sources are at, what was found in them, and the conflicts.
async fn settle(
    store: &Store,
    fence: &Fence,
    job: &Job,
    planned: Planned,
    moved: Moves,
    failures: Failures,
    started: Instant,
) -> Result<Seeded, SeedingError> {
    let report = report(&planned, failures, Outcome::Unchanged, None, &Counts::default(), started);
    let promotion = Delta::of(&planned, &[]).await?;
    let settle = Settle {
        fence,
        conflicts: &moved.conflicts,
        manifests: moved.delta(job, &planned.reading),
        applied: &moved.applied,
        selection_hash: moved.selection_hash.as_deref(),
        summary: &moved.summary,
        quarantine: lifting(&planned.plan.lifted),
        promotion: promotion.changes(),
    };
    let stands = planned.row.as_ref().is_some_and(|row| stands(row, &settle));
    if job.only.is_none() && !stands {
        match store.settle(settle).await {
            // Somebody else found the same, and noted it first; what was offered is noted all the same.
            Err(StoreError::Moved { environment }) => {
                tracing::debug!(environment, "moved on meanwhile");
                if !promotion.changes().is_empty() {
                    let fence = Fence { as_of: None, ..fence.clone() };
                    store.remember(&fence, &promotion.changes()).await?;
                }
            }
            settled => settled?,
        }
    }
    let revision = planned.reading.revision_short();
    Ok(Seeded::Unchanged { report, revision, planned: Some(Box::new(planned)) })
}

/// Nothing of it would change the environment's row, nor the rows beneath.
fn stands(row: &EnvironmentRow, settle: &Settle<'_>) -> bool {
    let Settle { fence, conflicts: _, manifests, applied, selection_hash, summary, quarantine, promotion } =
        settle;
    row.keeper.as_deref() == Some(&fence.keeper)
        && row.running.is_none()
        && manifests.is_empty()
        && quarantine.is_empty()
        && promotion.is_empty()
        && row.applied == **applied
        && row.selection_hash.as_deref() == *selection_hash
        // It holds the conflicts.
        && row.summary == **summary
}

/// What the database remembers of the sources' documents, those of sources that are gone included.
async fn known(store: &Store, job: &Job, planned: &Planned) -> Result<Remembered, SeedingError> {
    let before = planned.row.iter().flat_map(|row| row.applied.keys());
    let names: BTreeSet<&String> =
        planned.reading.sources.iter().map(|s| &s.snapshot.name).chain(before).collect();
    let mut known = Remembered::default();
    for name in names {
        known.found.push(match planned.known.get(name) {
            Some(memory) => memory.found.clone(),
            None => {
                let Kept { found, unreadable } = store.kept(&job.environment, name).await?;
                known.unreadable.extend(unreadable);
                Arc::new(found)
            }
        });
    }
    Ok(known)
}

/// What differs between the documents found now and those that are remembered.
fn delta<'a>(reading: &'a Reading, Remembered { found, unreadable }: &Remembered) -> ManifestDelta<'a> {
    let mut before: BTreeMap<&Place, &Found> =
        found.iter().flat_map(|of| of.iter()).map(|f| (&f.place, f)).collect();
    let mut upsert = Vec::new();
    for found in reading.found() {
        match before.remove(&found.place) {
            Some(known) if same_finding(known, found) => {}
            _ => upsert.push(found),
        }
    }
    // What is deleted goes first: a row that cannot be read makes way for the document that was read in its place.
    let gone = before.into_keys().map(document_id);
    ManifestDelta { upsert, delete: gone.chain(unreadable.iter().cloned()).collect() }
}

/// Equal but for the canonical bytes, which only one of them may hold.
fn same_finding(a: &Found, b: &Found) -> bool {
    let Found { place, blob, id, summary, problems, references, manifest: _ } = a;
    *place == b.place
        && *blob == b.blob
        && *id == b.id
        && *summary == b.summary
        && *problems == b.problems
        && *references == b.references
}

/// Each operation with the canonical bytes it writes; those that come from memory are in the database already.
pub(super) fn with_manifests(planned: &Planned) -> Vec<(&Operation, Option<Arc<str>>)> {
    let merges = &planned.state.merges;
    // What git has in the place of what drifted is something else.
    let read = |operation: &&Operation| !planned.plan.put_back.contains(&operation.id);
    let manifest = |operation: &Operation| {
        let made = operation.to.as_ref().and_then(|to| merges.manifest(&operation.id, &to.checksum));
        let parsed = || {
            let operation = Some(operation).filter(read)?;
            let (place, to) = (operation.place.as_ref()?, operation.to.as_ref()?);
            planned.reading.parsed(place, &to.checksum)
        };
        made.cloned().or_else(parsed)
    };
    planned.plan.operations.iter().map(|operation| (operation, manifest(operation))).collect()
}

/// The operations that write what was merged with hand edits.
pub(super) fn merges(planned: &Planned) -> Vec<Merging<'_>> {
    let written = planned.plan.operations.iter();
    let written: Vec<(&str, &str)> =
        written.filter_map(|o| Some((o.id.as_str(), o.to.as_ref()?.checksum.as_str()))).collect();
    merging::written(&planned.state, &written)
}

pub(super) fn snapshots(reading: &Reading) -> Vec<Snapshot> {
    reading.sources.iter().map(|s| s.snapshot.clone()).collect()
}

pub(super) fn revisions(snapshots: &[Snapshot]) -> impl Iterator<Item = (&str, &Revision)> {
    snapshots.iter().map(|s| (s.name.as_str(), &s.revision))
}

pub(crate) fn elapsed(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Why this seeding is made, for its log row: `push: "Raise the page size" (AUTHOR)`.
pub(super) fn reason(job: &Job, planned: &Planned, mends: &[&Drifted]) -> String {
    if job.reseed {
        return "reseed".to_owned();
    }
    let quarantine = &planned.state.quarantine;
    let asked_back = |operation: &Operation| {
        let to = operation.to.as_ref().map_or(ABSENCE, |to| to.checksum.as_str());
        quarantine.is_asked_back(&operation.id, to)
    };
    if let Some(back) = planned.plan.operations.iter().find(|operation| asked_back(operation)) {
        return if back.staged { "rollout tried again" } else { "rollback undone" }.to_owned();
    }
    if let Some(promotion) = promoting::reason(planned) {
        return promotion;
    }
    let before = planned.row.as_ref().map(|row| &row.applied);
    let moved = planned.reading.sources.iter().find(|source| {
        let held = before.and_then(|applied| applied.get(&source.snapshot.name));
        held.is_none_or(|held| {
            held.revision != source.snapshot.revision || held.tree != source.snapshot.tree_id
        })
    });
    let held = |source: &ReadSource| before?.get(&source.snapshot.name);
    let known = before.is_some_and(|applied| !applied.is_empty());
    // Of a seeding of some integrations nothing was noted but their rows.
    let noted = planned.row.as_ref().and_then(|row| row.selection_hash.as_deref());
    let respecified = noted.is_some_and(|hash| hash != planned.selection_hash);
    match moved {
        Some(source) if source.snapshot.revision.dirty => {
            let written = |path: &&String| {
                planned.plan.operations.iter().any(|o| o.place.as_ref().is_some_and(|p| p.path == **path))
            };
            let dirty = &source.snapshot.dirty;
            let named = dirty.iter().find(written).or(dirty.first());
            format!("edit: {}", named.map_or("uncommitted files", String::as_str))
        }
        Some(source)
            if known && held(source).is_none_or(|held| held.revision == source.snapshot.revision) =>
        {
            let same_sources = !respecified && held(source).is_some();
            if same_sources { "source changed" } else { "spec changed" }.to_owned()
        }
        Some(source)
            if held(source).is_some_and(|held| {
                held.revision.dirty && held.revision.digest == source.snapshot.revision.digest
            }) =>
        {
            "edit undone".to_owned()
        }
        Some(source) => match source.snapshot.git.as_ref().and_then(sower_source::GitTree::head) {
            Some(commit) => format!("push: \"{}\" ({})", commit.subject.replace('"', "'"), commit.author),
            None if matches!(source.snapshot.files, Files::Listing(_)) => "resources changed".to_owned(),
            None => "files changed".to_owned(),
        },
        None if before.is_none_or(BTreeMap::is_empty) => "first seeding".to_owned(),
        None if respecified => "spec changed".to_owned(),
        None if !mends.is_empty() => mended::reason(mends),
        None if promoting::came(planned).is_some() => promoting::came(planned).unwrap_or_default(),
        // Nothing that was read differs: what is there does, or what stood in the way is gone.
        None => "rows changed".to_owned(),
    }
}

/// The record of a seeding.
fn report(
    planned: &Planned,
    failures: Failures,
    status: Outcome,
    seeding: Option<String>,
    counts: &Counts,
    started: Instant,
) -> Report {
    let Planned {
        reading,
        plan,
        gate: _,
        state: _,
        row: _,
        selection_hash: _,
        known: _,
        beyond: _,
        observed: _,
    } = planned;
    Report {
        environment: plan.environment.clone(),
        seeding,
        revision: Some(reading.revision_full()),
        status,
        integrations_processed: plan.processed,
        created: plan.created(),
        updated: plan.updated() - plan.staged() - counts.given_up,
        staged: plan.staged(),
        given_up: counts.given_up,
        deleted: plan.deleted(),
        unchanged: plan.unchanged,
        actions_created: counts.actions_created,
        triggers_created: counts.triggers_created,
        connections_created: counts.connections_created,
        orphaned: noted::kept(plan, KeptWhy::Orphaned),
        prune_disabled: noted::kept(plan, KeptWhy::PruneDisabled),
        quarantined: noted::kept(plan, KeptWhy::Quarantined),
        waiting: promoting::waiting(planned),
        conflicts: plan.conflicts.clone(),
        errors: failures.told,
        excluded: planned.excluded(),
        invalid: reading.invalid(),
        duration: elapsed(started),
    }
}

/// What has no column of its own in the log row.
pub(super) fn metadata(
    planned: &Planned,
    mends: &[&Drifted],
    failures: &Failures,
    started: Instant,
) -> Map<String, Value> {
    let plan = &planned.plan;
    let told: Vec<&Conflict> = plan.conflicts.iter().take(noted::NOTED_CONFLICTS).collect();
    let all = Some(plan.conflicts.len()).filter(|all| *all > told.len());
    let conflicts = serde_json::to_value(told).unwrap_or_default();
    let all: Option<(String, Value)> = all.map(|all| ("allConflicts".to_owned(), all.into()));
    let committed = super::committed::at(planned).map(|at| ("committedAt".to_owned(), at.to_string().into()));
    [
        ("plan".to_owned(), plan.short_hash().into()),
        ("unchanged".to_owned(), plan.unchanged.into()),
        ("conflicts".to_owned(), conflicts),
        ("orphaned".to_owned(), noted::kept(plan, KeptWhy::Orphaned).into()),
        ("pruneDisabled".to_owned(), noted::kept(plan, KeptWhy::PruneDisabled).into()),
        ("excluded".to_owned(), planned.excluded().into()),
        ("invalid".to_owned(), planned.reading.invalid().into()),
        ("failures".to_owned(), failures.all.into()),
        ("duration".to_owned(), elapsed(started).into()),
    ]
    .into_iter()
    .chain(all)
    // Of a seeding of some integrations, its revision says nothing of the others.
    .chain(plan.scope.iter().map(|ids| ("only".to_owned(), ids.iter().cloned().collect())))
    .chain(mended::metadata(mends))
    .chain(committed)
    .collect()
}
