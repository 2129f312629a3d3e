//! A plan that waits for an approval: what it saw, what is kept of it, and how it is applied whatever was pushed since.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use sower_core::catalog::SourceCatalog;
use sower_core::drift::Mend;
use sower_core::gate::{Gate, Held};
use sower_core::hash::{approvable_hash, spec_digest};
use sower_core::plan::Verb;
use sower_core::report::{Outcome, Report};
use sower_core::rows;
use sower_store::{
    Begin, Counts, EnvironmentRow, Fence, ManifestDelta, Pinned, PlanContents, PromotionDelta, RolloutDelta,
    Spend, Store, StoreError, Write,
};

use super::error::SeedingError;
use super::failures::failures;
use super::fetch::Snapshot;
use super::job::Job;
use super::reading::{self, ReadSource, Reading};
use super::{Planned, Seeded, mended, noted, planned, seeded, staging};

/// Looks at the rows that a plan touches, where an approval would let it through: whoever approves it approves what becomes
/// of these rows. Where they are not what was seeded, the plan is another one.
pub(super) async fn observe(store: &Store, planned: Planned) -> Result<Planned, SeedingError> {
    match planned.gate.approvable() {
        Some(_) => observed(store, planned).await,
        None => Ok(planned),
    }
}

/// [`observe`], of an open plan too: somebody looks at it, to apply exactly that. What a freeze or `strict` holds waits for
/// no approval and keeps the hash that it waits under.
pub(super) async fn observed(store: &Store, mut planned: Planned) -> Result<Planned, SeedingError> {
    let waits = matches!(planned.gate, Gate::Held(_)) && planned.gate.approvable().is_none();
    if waits || planned.observed.is_some() || planned.plan.is_empty() {
        return Ok(planned);
    }
    planned = with_rows(store, planned).await?;
    let (plan, seen) = (&planned.plan, planned.observed.clone().unwrap_or_default());
    let there = plan.operations.iter().filter(|operation| operation.verb != Verb::Create);
    let there: Vec<&str> = there.map(|operation| operation.id.as_str()).collect();
    let unsound = store.unsound(&plan.environment, &there).await?;
    let off = |id: &String| Some((seen.get_key_value(id)?.0.as_str(), seen.get(id)?.as_str()));
    let off: BTreeMap<&str, &str> = unsound.iter().filter_map(off).collect();
    let hash = approvable_hash(&plan.hash, plan.scope.as_ref(), &off);
    if let Gate::Held(held) = &mut planned.gate {
        held.message = held.message.replace(&plan.hash[..12], &hash[..12]);
    }
    planned.plan.hash = hash;
    Ok(planned)
}

/// The plan with what its rows are, under the hash that it has.
pub(super) async fn with_rows(store: &Store, mut planned: Planned) -> Result<Planned, SeedingError> {
    if planned.observed.is_some() {
        return Ok(planned);
    }
    let seen = store.observe(&planned.plan.environment, &seeded::touched(&planned.plan)).await?;
    let edited = edited_since(store, &planned).await?;
    if !edited.is_empty() {
        return Err(StoreError::Edited { integrations: edited }.into());
    }
    planned.observed = Some(seen);
    Ok(planned)
}

/// The integrations whose rows were merged, and that a hand touched after these rows were read: what was observed of them
/// is not what was merged.
async fn edited_since(store: &Store, planned: &Planned) -> Result<Vec<String>, SeedingError> {
    let merges = seeded::merges(planned);
    let ids: Vec<&str> = merges.iter().map(|merge| merge.integration).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let seen = store.seen(&planned.plan.environment, &ids).await?;
    let edited = merges
        .iter()
        .filter(|merge| seen.get(merge.integration).is_none_or(|now| now != merge.seen))
        .map(|merge| merge.integration.to_owned());
    Ok(edited.collect())
}

/// Keeps a plan that an approval would let through.
pub(super) async fn pin(store: &Store, job: &Job, planned: &Planned) -> Result<(), SeedingError> {
    match planned.gate.approvable() {
        Some(held) => pin_under(store, job, planned, held).await,
        None => Ok(()),
    }
}

/// Keeps a plan that a guard holds.
pub(super) async fn pin_under(
    store: &Store,
    job: &Job,
    planned: &Planned,
    held: &Held,
) -> Result<(), SeedingError> {
    let fence = seeded::claim(store, job, planned).await?;
    let pinned = pinned(job, planned, held);
    let Some(unpinned) = store.unpinned(&pinned).await? else { return Ok(()) };
    let contents = contents(store, planned, &unpinned.missing).await?;
    // What is merged has its base from the day on which it is approved.
    store.note_merges(&fence, &seeded::merges(planned)).await?;
    Ok(store.pin(&fence, &pinned, &unpinned, &contents).await?)
}

/// What a plan brings in of these integrations.
async fn contents(
    store: &Store,
    planned: &Planned,
    ids: &BTreeSet<String>,
) -> Result<PlanContents, SeedingError> {
    let mut contents = PlanContents::new();
    let (mut files, mut kept) = (Vec::new(), Vec::new());
    for (operation, parsed) in seeded::with_manifests(planned) {
        let Some(to) = operation.to.as_ref().filter(|_| ids.contains(&operation.id)) else { continue };
        // What git has in the place of what drifted is something else.
        let unread = || {
            let place =
                operation.place.as_ref().filter(|_| !planned.plan.put_back.contains(&operation.id))?;
            planned.reading.document(place)
        };
        match (parsed, unread()) {
            (Some(parsed), _) => drop(contents.insert(operation.id.clone(), parsed)),
            (None, Some(unread)) => files.push((operation.id.clone(), to.checksum.clone(), unread)),
            (None, None) => kept.push((operation.id.clone(), to.checksum.clone())),
        }
    }
    let (read, other) = planned::blocking(move || {
        let (mut read, mut other) = (Vec::new(), Vec::new());
        for (id, checksum, unread) in files {
            match unread.read().filter(|text| rows::checksum(text) == checksum) {
                Some(text) => read.push((id, text)),
                None => other.push((id, checksum)),
            }
        }
        (read, other)
    })
    .await?;
    contents.extend(read);
    // What was merged once and moves now, and what is put back as it was, stands in no file.
    kept.extend(other);
    let kept: Vec<(&str, &str)> =
        kept.iter().map(|(id, checksum)| (id.as_str(), checksum.as_str())).collect();
    contents.extend(store.contents(&planned.plan.environment, &kept).await?);
    Ok(contents)
}

fn pinned(job: &Job, planned: &Planned, held: &Held) -> Pinned {
    let (failures, mends) = (failures(planned), mended::mends(job, planned));
    let mut metadata = seeded::metadata(planned, &mends, &failures, Instant::now());
    metadata.remove("duration");
    let summary = noted::of_pinned(noted::note(planned, &failures.told));
    Pinned {
        plan: planned.plan.clone(),
        observed: planned.observed.clone().unwrap_or_default(),
        guard: held.reason.as_str().to_owned(),
        spec_digest: spec_digest(&job.spec),
        applied: reading::applied(&seeded::snapshots(&planned.reading)),
        summary,
        errors: failures.told,
        metadata,
        reason: seeded::reason(job, planned, &mends),
        reseed: job.reseed,
        mend: Mend::of(mends.iter().copied()),
        merged: seeded::merges(planned).iter().map(|merge| merge.integration.to_owned()).collect(),
    }
}

/// A pinned plan as one that was just made. Nothing of its sources is read again.
pub(super) async fn planned(
    store: &Store,
    row: Option<EnvironmentRow>,
    pinned: &Pinned,
    snapshots: Vec<Snapshot>,
) -> Result<Planned, SeedingError> {
    let here = store.state(&pinned.plan.environment).await?;
    let sources = snapshots.into_iter().map(|snapshot| {
        let applied = pinned.applied.get(&snapshot.name);
        let revision = applied.map_or_else(|| snapshot.revision.clone(), |applied| applied.revision.clone());
        let tree_id = applied.map_or_else(|| snapshot.tree_id.clone(), |applied| applied.tree.clone());
        let snapshot = Snapshot { revision, tree_id, dirty: Vec::new(), ..snapshot };
        let catalog = SourceCatalog {
            name: snapshot.name.clone(),
            revision: snapshot.revision.clone(),
            priority: snapshot.priority,
            found: Vec::new(),
            complete: false,
            watched: false,
            mute: BTreeSet::new(),
        };
        ReadSource { snapshot, catalog }
    });
    Ok(Planned {
        reading: Reading { sources: sources.collect() },
        plan: pinned.plan.clone(),
        gate: Gate::Open,
        state: here.state,
        row,
        selection_hash: String::new(),
        known: reading::Known::new(),
        beyond: None,
        observed: Some(pinned.observed.clone()),
    })
}

/// Applies a pinned plan in one fenced transaction. Says how many rows of the catalog were written.
pub(super) async fn apply(
    store: &Store,
    job: &Job,
    holder: &str,
    planned: Planned,
    pinned: Pinned,
    by: &str,
    started: Instant,
) -> Result<(Seeded, seeded::Wrote), StoreError> {
    // What moved without a seeding takes nothing from the plan.
    let fence = Fence { as_of: None, ..seeded::claim(store, job, &planned).await? };
    let mut applied = pinned.applied.clone();
    let (mut conflicts, mut summary) = (pinned.plan.conflicts.clone(), pinned.summary.clone());
    if let (Some(scope), Some(row)) = (&pinned.plan.scope, &planned.row) {
        // As a seeding of some integrations does.
        let open = store.open_conflicts(Some(&job.environment)).await?;
        conflicts.extend(open.into_iter().map(|o| o.conflict).filter(|c| !scope.contains(&c.integration)));
        (applied, summary) = (row.applied.clone(), noted::of_pinned(row.summary.clone()));
        noted::of_some(&mut summary);
    }
    let mut metadata = pinned.metadata.clone();
    metadata.insert("duration".to_owned(), seeded::elapsed(started).into());
    metadata.insert("approvedBy".to_owned(), by.into());
    let touched = seeded::touched(&pinned.plan);
    let begin = Begin {
        fence: &fence,
        holder,
        reason: &seeded::approved(&pinned.reason, &pinned.plan, by),
        applied: &pinned.applied,
        metadata: metadata.clone(),
        started: Timestamp::now() - started.elapsed(),
    };
    let rollouts = staging::rollouts(store, job, &pinned.plan, &planned.state, &pinned.mend).await?;
    let seeding = store.begin(begin).await?;
    let write = Write {
        operations: pinned.plan.operations.iter().map(|operation| (operation, None)).collect(),
        reseed: pinned.reseed,
        mend: &pinned.mend,
        // Their bases were noted with the plan; that nobody touched the rows since is seen by `spend`.
        merges: Vec::new(),
        merged: &pinned.merged,
        conflicts: &conflicts,
        // The documents are remembered as they were read last: the next seeding reads them all.
        manifests: ManifestDelta::default(),
        applied: &applied,
        selection_hash: None,
        summary: &summary,
        processed: pinned.plan.processed,
        errors: &pinned.errors,
        metadata,
        spend: Some(Spend {
            hash: &pinned.plan.hash,
            observed: Some(&pinned.observed),
            touched: &touched,
            spec_digest: &pinned.spec_digest,
            by,
            pinned: true,
        }),
        plans_wait: true,
        quarantine: seeded::lifting(&pinned.plan.lifted),
        // The next seeding looks at everything.
        promotion: PromotionDelta::default(),
        rollback: None,
        rollouts: RolloutDelta { begin: &rollouts.begin, end: &rollouts.end, handled: None },
    };
    let written = seeded::write_or_fail(store, &seeding, write).await?;
    let number = format!("{}-{}", job.environment, written.seq);
    let report = report(&planned, &pinned, Outcome::Completed, Some(number), &written.counts, started);
    let wrote = seeded::Wrote { rows: written.counts.rows_written, ended: rollouts.end };
    Ok((Seeded::Applied { planned: Box::new(planned), report }, wrote))
}

/// Another guard holds a plan that is approved.
pub(super) fn hold(mut planned: Planned, pinned: &Pinned, held: Held, started: Instant) -> Seeded {
    planned.gate = Gate::Held(held.clone());
    let mut report = report(&planned, pinned, Outcome::Refused, None, &Counts::default(), started);
    (report.created, report.updated, report.staged, report.deleted) = (0, 0, 0, 0);
    Seeded::Held { planned: Box::new(planned), held, report }
}

fn report(
    planned: &Planned,
    pinned: &Pinned,
    status: Outcome,
    seeding: Option<String>,
    counts: &Counts,
    started: Instant,
) -> Report {
    let plan = &pinned.plan;
    let noted = |name: &str| pinned.metadata.get(name).and_then(Value::as_u64);
    let number = |name: &str| usize::try_from(noted(name).unwrap_or(0)).unwrap_or(usize::MAX);
    let ids = |name: &str| -> Vec<String> {
        let all = pinned.summary.get(name).and_then(Value::as_array);
        all.into_iter().flatten().filter_map(|id| Some(id.as_str()?.to_owned())).collect()
    };
    Report {
        environment: plan.environment.clone(),
        seeding,
        revision: Some(planned.reading.revision_full()),
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
        orphaned: ids("orphaned"),
        prune_disabled: ids("pruneDisabled"),
        quarantined: ids("quarantined"),
        waiting: serde_json::from_value(pinned.summary["waiting"].clone()).unwrap_or_default(),
        conflicts: plan.conflicts.clone(),
        errors: pinned.errors.clone(),
        excluded: number("excluded"),
        invalid: number("invalid"),
        duration: seeded::elapsed(started),
    }
}
