//! What the environment's row notes of a seeding, so that one with nothing new answers from one row, and a small one
//! plans little.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use jiff::Timestamp;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sower_core::gate::HeldReason;
use sower_core::hash::selection_hash;
use sower_core::plan::{Conflict, KeptWhy, Plan};
use sower_core::promotion::Waiting;
use sower_core::report::{Failure, Outcome, Report};
use sower_core::rows;
use sower_core::snapshot::{full_revision, short_revision};
use sower_store::{EnvironmentRow, Store, StoreError};

use super::error::SeedingError;
use super::fetch::{Files, Snapshot};
use super::job::Job;
use super::planned::blocking;
use super::seeded::{elapsed, revisions};
use super::{Planned, Seeded, promoting, reading};
use crate::reason::Reason;

/// Most failures that the environment's row notes: with more, the next reconcile reads the sources again.
const NOTED_FAILURES: usize = 100;
/// Most bundled files beside the manifests of a folder that it notes: with more, the next reconcile reads the sources again.
const NOTED_OUTSIDE: usize = 200;
/// Most integrations that could not be merged that it notes: with more, the next reconcile reads the sources again.
const NOTED_UNMERGED: usize = 100;
/// Most conflicts that it notes, and that a log row holds: with more, the next reconcile reads the sources again.
pub(super) const NOTED_CONFLICTS: usize = 1_000;
/// Most integrations that are told as orphaned, as kept by their annotation, or as quarantined.
const NOTED_KEPT: usize = 1_000;
/// Most of what waits for another environment that it notes.
const NOTED_WAITING: usize = 1_000;
/// The reasons of a plan that a guard holds.
const HELD: [HeldReason; 4] = [
    HeldReason::PruneLimitExceeded,
    HeldReason::ApprovalRequired,
    HeldReason::Frozen,
    HeldReason::ManifestsInvalid,
];
/// Most unsettled integrations that it notes: with more, the next plan is of the whole catalog.
const NOTED_ATTENTION: usize = 200;

/// What the environment's row notes of its last outcome, so that a seeding with nothing new answers in full from one row.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Noted {
    pub(super) processed: usize,
    pub(super) unchanged: usize,
    conflicts: Vec<Conflict>,
    /// Number of all of them, where they are too many to be noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all_conflicts: Option<usize>,
    failures: Vec<Failure>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    orphaned: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    prune_disabled: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quarantined: Vec<String>,
    pub(super) excluded: usize,
    invalid: usize,
    /// Number of integrations that are carried.
    #[serde(default)]
    pub(super) carried: usize,
    /// The next reconcile has to look again, whatever the sources say.
    look_again: bool,
    /// The integrations that are not settled: in conflict, kept although git says otherwise, or told of every time. None
    /// where they are too many, or a source keeps all its rows: then the next plan is of the whole catalog.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attention: Option<BTreeSet<String>>,
    /// The integrations that could not be merged, with digests of their rows: where a hand touches one, it is tried again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    unmerged: BTreeMap<String, String>,
    /// The bundled files that lie elsewhere than the manifests of their source.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outside: Vec<Outside>,
    /// What waits for another environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
    /// While this stands, all of it waits on; none: the next reconcile looks again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_on: Option<WaitsOn>,
    /// Number of all of it, where it is too much to be noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    all_waiting: Option<usize>,
    /// Another environment decides what is let in: something may be remembered of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    promotes: bool,
    /// Why the seeding after it wrote nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<Trouble>,
}

/// What keeps everything waiting that waits for another environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct WaitsOn {
    /// The last seeding of that one.
    seq: i64,
    /// When the next soak ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

impl WaitsOn {
    fn of(planned: &Planned) -> Option<Self> {
        let admission = planned.state.admission.as_ref().filter(|admission| !admission.watches)?;
        Some(Self { seq: admission.seen?, until: admission.next_at })
    }

    async fn stands(&self, job: &Job) -> bool {
        self.until.is_none_or(|until| job.moment().now < until)
            && promoting::seen(job).await == Some(self.seq)
    }
}

/// A bundled file, as it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Outside {
    source: String,
    path: String,
    blob: String,
}

/// Why a seeding wrote nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trouble {
    /// The reason of the condition Ready.
    pub reason: String,
    /// As the condition says it.
    pub message: String,
    /// When it was first met.
    pub since: Timestamp,
}

impl Trouble {
    /// What is worth a note: what a guard held, a source that cannot be had or is empty, and rows that could not be
    /// written. A database that does not answer takes no notes, and another keeper's environment none of ours.
    fn of(ended: &Result<Seeded, SeedingError>) -> Option<Self> {
        let (reason, message) = match ended {
            Ok(Seeded::Held { held, .. }) => (held.reason.as_str(), &held.message),
            Err(error) if error.reason.is_source() || error.reason == Reason::SeedingFailed => {
                (error.reason.as_str(), &error.message)
            }
            _ => return None,
        };
        Some(Self { reason: reason.to_owned(), message: message.clone(), since: Timestamp::now() })
    }
}

/// Notes in the environment's row why a seeding wrote nothing, once. Where there is none yet, one of nobody's is made: who
/// seeds the environment is settled by the first seeding that writes.
pub(super) async fn note_trouble(
    store: &Store,
    (environment, row): (&str, Option<&EnvironmentRow>),
    ended: &Result<Seeded, SeedingError>,
) -> Result<(), StoreError> {
    let Some(trouble) = Trouble::of(ended) else { return Ok(()) };
    let Some(row) = row else {
        return store.note_first(environment, &serde_json::json!({ "trouble": trouble })).await;
    };
    let Value::Object(mut summary) = row.summary.clone() else { return Ok(()) };
    let before = summary.get("trouble").and_then(|told| Trouble::deserialize(told).ok());
    let before = before.filter(|before| before.reason == trouble.reason);
    let waits = match ended {
        Ok(Seeded::Held { report, .. }) => now_waits(&mut summary, &report.waiting),
        _ => false,
    };
    if !waits && before.as_ref().is_some_and(|before| before.message == trouble.message) {
        return Ok(());
    }
    let since = before.map_or(trouble.since, |before| before.since);
    let trouble = Trouble { since, ..trouble };
    summary.insert("trouble".to_owned(), serde_json::to_value(trouble).unwrap_or_default());
    store.note(row, &Value::Object(summary)).await
}

/// Notes what waits for another environment where nothing is seeded.
pub(super) async fn note_waiting(
    store: &Store,
    row: &EnvironmentRow,
    waiting: &[Waiting],
) -> Result<(), StoreError> {
    let Value::Object(mut summary) = row.summary.clone() else { return Ok(()) };
    match now_waits(&mut summary, waiting) {
        true => store.note(row, &Value::Object(summary)).await,
        false => Ok(()),
    }
}

/// Puts what waits in the place of what waited; whether that is news. The next seeding looks again.
fn now_waits(summary: &mut Map<String, Value>, waiting: &[Waiting]) -> bool {
    let before = summary.clone();
    let noted = &waiting[..waiting.len().min(NOTED_WAITING)];
    match noted {
        [] => drop(summary.remove("waiting")),
        some => drop(summary.insert("waiting".to_owned(), serde_json::to_value(some).unwrap_or_default())),
    }
    match waiting.len() > NOTED_WAITING {
        true => drop(summary.insert("allWaiting".to_owned(), waiting.len().into())),
        false => drop(summary.remove("allWaiting")),
    }
    let news = *summary != before;
    if news {
        summary.remove("waitsOn");
        summary.insert("lookAgain".to_owned(), true.into());
    }
    news
}

/// Sources and spec are those of the last seeding: the answer stands in the environment's row, and nothing is read.
///
/// # Errors
/// None but a mistake of ours.
pub(super) async fn already(
    row: Option<&EnvironmentRow>,
    job: &Job,
    snapshots: &[Snapshot],
    platform: &Version,
    started: Instant,
) -> Result<Option<Seeded>, SeedingError> {
    let Some(row) = row else { return Ok(None) };
    let same = row.applied == reading::applied(snapshots)
        && row.selection_hash.as_deref() == Some(&selection_hash(&job.spec, platform, rows::MAPPING))
        && row.keeper.as_deref() == Some(&job.keeper)
        && row.running.is_none();
    if !same || job.reseed || job.only.is_some() || !job.mend.is_empty() || !job.resolve.is_empty() {
        return Ok(None);
    }
    let Ok(mut noted) = serde_json::from_value::<Noted>(row.summary.clone()) else { return Ok(None) };
    if noted.look_again || row.admits || noted.trouble.is_some() {
        return Ok(None);
    }
    if !noted.waiting.is_empty() {
        match &noted.waits_on {
            Some(waits_on) if waits_on.stands(job).await => {}
            _ => return Ok(None),
        }
    }
    if !noted.outside.is_empty() {
        let (outside, snapshots) = (std::mem::take(&mut noted.outside), snapshots.to_vec());
        if !blocking(move || same_outside(&outside, &snapshots)).await? {
            return Ok(None);
        }
    }
    let report = Report {
        environment: job.environment.clone(),
        seeding: None,
        revision: Some(full_revision(revisions(snapshots))),
        status: Outcome::Unchanged,
        integrations_processed: noted.processed,
        created: 0,
        updated: 0,
        staged: 0,
        given_up: 0,
        deleted: 0,
        unchanged: noted.unchanged,
        actions_created: 0,
        triggers_created: 0,
        connections_created: 0,
        orphaned: noted.orphaned,
        prune_disabled: noted.prune_disabled,
        quarantined: noted.quarantined,
        waiting: noted.waiting,
        conflicts: noted.conflicts,
        errors: noted.failures,
        excluded: noted.excluded,
        invalid: noted.invalid,
        duration: elapsed(started),
    };
    let revision = short_revision(revisions(snapshots));
    Ok(Some(Seeded::Unchanged { report, revision, planned: None }))
}

/// Whether another environment decided what is let in, when this was noted.
pub(super) fn promotes(row: &EnvironmentRow) -> bool {
    row.summary["promotes"] == true
}

/// Whether a hand touched the rows of an integration that could not be merged: then it is worth another try.
pub(super) async fn touched(store: &Store, row: Option<&EnvironmentRow>) -> Result<bool, StoreError> {
    let Some(row) = row else { return Ok(false) };
    let noted: Noted = serde_json::from_value(row.summary.clone()).unwrap_or_default();
    if noted.unmerged.is_empty() {
        return Ok(false);
    }
    let ids: Vec<&str> = noted.unmerged.keys().map(String::as_str).collect();
    Ok(store.seen(&row.name, &ids).await? != noted.unmerged)
}

/// See [`Noted::unmerged`].
fn unmerged(planned: &Planned) -> BTreeMap<String, String> {
    let tried = planned.state.merges.versions.iter();
    tried.filter_map(|(id, tried)| Some((id.clone(), tried.as_ref().err()?.seen.clone()?))).collect()
}

/// What the next seeding answers with if nothing changes until then.
pub(super) fn note(planned: &Planned, failures: &[Failure]) -> Value {
    let plan = &planned.plan;
    let foreign = plan.kept.iter().any(|k| k.why == KeptWhy::ForeignRow);
    let look_again = failures.len() > NOTED_FAILURES || foreign;
    let standing = planned.state.rows.values().filter(|current| !current.removed).count();
    // A version that was taken over what was there, or merged with it, is no conflict any more.
    let written: BTreeSet<&str> = plan.operations.iter().map(|operation| operation.id.as_str()).collect();
    let lasts = |c: &&Conflict| !(c.ends_when_written() && written.contains(c.integration.as_str()));
    let conflicts: Vec<&Conflict> = plan.conflicts.iter().filter(lasts).collect();
    let all_conflicts = Some(conflicts.len()).filter(|all| *all > NOTED_CONFLICTS);
    let outside = outside(planned);
    let waiting = promoting::waiting(planned);
    let unmerged = unmerged(planned);
    let look_again = look_again
        || outside.len() > NOTED_OUTSIDE
        || all_conflicts.is_some()
        || unmerged.len() > NOTED_UNMERGED;
    let noted = Noted {
        processed: plan.processed,
        unchanged: plan.unchanged + plan.created() + plan.updated() - plan.put_back.len(),
        conflicts: conflicts.into_iter().take(NOTED_CONFLICTS).cloned().collect(),
        all_conflicts,
        failures: failures.iter().take(NOTED_FAILURES).cloned().collect(),
        orphaned: kept(plan, KeptWhy::Orphaned),
        prune_disabled: kept(plan, KeptWhy::PruneDisabled),
        quarantined: kept(plan, KeptWhy::Quarantined),
        excluded: planned.excluded(),
        invalid: planned.reading.invalid(),
        carried: standing + planned.carried_beyond() + plan.created() - plan.deleted(),
        look_again,
        attention: attention(planned).filter(|_| !look_again),
        unmerged: if look_again { BTreeMap::new() } else { unmerged },
        outside: if look_again { Vec::new() } else { outside },
        waits_on: WaitsOn::of(planned).filter(|_| !waiting.is_empty() && waiting.len() <= NOTED_WAITING),
        all_waiting: Some(waiting.len()).filter(|all| *all > NOTED_WAITING),
        waiting: waiting.into_iter().take(NOTED_WAITING).collect(),
        promotes: planned.state.admission.as_ref().is_some_and(|admission| !admission.ends),
        trouble: None,
    };
    serde_json::to_value(noted).unwrap_or_default()
}

/// The integrations that stay although git says otherwise, for one reason.
pub(super) fn kept(plan: &Plan, why: KeptWhy) -> Vec<String> {
    let kept = plan.kept.iter().filter(|kept| kept.why == why);
    kept.map(|kept| kept.id.clone()).take(NOTED_KEPT).collect()
}

/// See [`Noted::attention`].
fn attention(planned: &Planned) -> Option<BTreeSet<String>> {
    let Planned { reading, plan, .. } = planned;
    let mut catalogs = reading.sources.iter().map(|source| &source.catalog);
    // A plan of some integrations looks at some documents: that the others' ids can be read was seen before.
    let whole = planned.beyond.is_some() || !catalogs.any(|c| c.keeps_all().is_some() || !c.mute.is_empty());
    let conflicts = plan.conflicts.iter().map(|conflict| &conflict.integration);
    let kept = plan.kept.iter().map(|kept| &kept.id);
    let deprecated = plan.deprecated.iter().map(|(id, _)| id);
    let ids: BTreeSet<String> = conflicts.chain(kept).chain(deprecated).cloned().collect();
    (whole && ids.len() <= NOTED_ATTENTION).then_some(ids)
}

/// What the next seeding finds after a plan that was made of an earlier revision: what it stands on is not what was read
/// last, so it looks at everything.
pub(super) fn of_pinned(mut summary: Value) -> Value {
    if let Some(noted) = summary.as_object_mut() {
        noted.remove("attention");
        noted.remove("outside");
        noted.insert("lookAgain".to_owned(), true.into());
    }
    summary
}

/// What was asked for once is not asked for the next time: that one looks again.
pub(super) fn of_once(summary: &mut Value) {
    if let Some(noted) = summary.as_object_mut() {
        noted.insert("lookAgain".to_owned(), true.into());
        noted.remove("attention");
    }
}

/// What a seeding of some integrations leaves of the note. What is carried is no longer what the applied revision says:
/// the next plan is of everything. The sources could be read.
pub(crate) fn of_some(summary: &mut Value) {
    let Some(noted) = summary.as_object_mut() else { return };
    noted.remove("attention");
    let held = |told: &Value| {
        told["reason"].as_str().is_some_and(|reason| HELD.iter().any(|held| held.as_str() == reason))
    };
    if !noted.get("trouble").is_some_and(held) {
        noted.remove("trouble");
    }
}

/// A commit says all of its files; of a folder, the files beside the manifests are looked at one by one. Reads the disk.
fn same_outside(noted: &[Outside], snapshots: &[Snapshot]) -> bool {
    noted.iter().all(|file| {
        let snapshot = snapshots.iter().find(|snapshot| snapshot.name == file.source);
        match snapshot.map(|snapshot| &snapshot.files) {
            Some(Files::Tree(tree)) => {
                let now = tree.entry(&file.path);
                now.is_ok_and(|entry| entry.map_or(file.blob.is_empty(), |e| e.blob == file.blob))
            }
            _ => true,
        }
    })
}

/// See [`Noted::outside`].
fn outside(planned: &Planned) -> Vec<Outside> {
    let mut outside = BTreeSet::new();
    for source in planned.reading.sources.iter().filter(|source| source.snapshot.is_folder) {
        let Files::Tree(tree) = &source.snapshot.files else { continue };
        let listed = |path: &str| tree.files().binary_search_by(|file| file.path.as_str().cmp(path)).is_ok();
        let bundled = source.catalog.found.iter().flat_map(|found| &found.references);
        outside.extend(bundled.filter(|file| !listed(&file.path)).map(|file| Outside {
            source: source.snapshot.name.clone(),
            path: file.path.clone(),
            blob: file.blob.clone(),
        }));
    }
    outside.into_iter().collect()
}
