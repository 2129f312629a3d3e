//! A plan of what a small change can touch, and of nothing else: cost follows the change, not the catalog.
//!
//! Everything else is as the last seeding left it and counted it. The narrow plan is the whole one (a law of the tests),
//! or there is none: whenever a change could reach further than what was read here, the whole catalog is planned.

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use sower_core::catalog::{Found, SourceCatalog};
use sower_core::gate::gate;
use sower_core::manifest::{self, Limits, Unread};
use sower_core::plan::{ConflictType, Verb};
use sower_core::resolve::{questions, to_unite};
use sower_core::select::{Selection, select};
use sower_core::snapshot::{FileEntry, ReadError, Tree, is_lossy};
use sower_crds::environment::{EnvironmentSpec, SeedingStrategy, Semver};
use sower_source::GitTree;
use sower_store::{AppliedSource, EnvironmentRow, Here, Store, StoreError};

use super::error::SeedingError;
use super::fetch::{Files, Snapshot};
use super::job::Job;
use super::merging::Asked;
use super::noted::Noted;
use super::planned::{blocking, decide, merge};
use super::reading::{Known, Memory, ReadSource, Reading};
use super::{Beyond, Planned};

/// Files that are read at most.
const MOST_FILES: usize = 200;
/// Files of the whole repository that may differ.
const MOST_CHANGES: usize = 20_000;
/// Integrations that are looked at at most.
const MOST_IDS: usize = 500;

/// A source whose last seeded tree is at hand.
#[derive(Clone)]
struct Source {
    snapshot: Snapshot,
    git: GitTree,
    /// Paths of the files that differ.
    changed: BTreeSet<String>,
}

/// Source and path of files.
type Paths = BTreeSet<(String, String)>;

/// Why the whole catalog is to be planned.
pub(super) type Whole = &'static str;

const UNREADABLE: Whole = "what is remembered cannot be read";

/// What a change touches: nothing else is read.
struct Gathered {
    sources: Vec<Source>,
    /// The files that were read.
    files: Paths,
    /// The documents as they were seeded, and as they are now; sorted by place.
    before: Vec<Found>,
    after: Vec<Found>,
    /// What the environment holds of their integrations.
    here: Here,
}

/// The plan, or why there is none.
pub(super) async fn plan(
    store: &Store,
    job: &Job,
    row: Option<&EnvironmentRow>,
    snapshots: &[Snapshot],
    platform: &Version,
    selection_hash: &str,
) -> Result<Result<Planned, Whole>, SeedingError> {
    let Some((row, noted)) = row.and_then(|row| settled(job, row, snapshots, selection_hash)) else {
        return Ok(Err("the last seeding is none to stand on"));
    };
    let gathered = match gather(store, row, &noted, snapshots).await? {
        Ok(gathered) => gathered,
        Err(why) => return Ok(Err(why)),
    };
    let (own, platform) = (job.clone(), platform.clone());
    let mut offered = blocking(move || offer(&own, &platform, gathered)).await?;
    let earlier = offered.questions();
    offered.gathered.here.state.carried = store.carried(&job.environment, &earlier).await?;
    let chosen = [&offered.chosen_before, &offered.chosen];
    if chosen.into_iter().any(|chosen| !to_unite(&job.spec, chosen, None).is_empty()) {
        return Ok(Err("offers of several sources are to be one"));
    }
    if offered.merges(job) {
        let Gathered { sources, files, .. } = &offered.gathered;
        let (sources, files, new) = (sources.clone(), files.clone(), offered.new.clone());
        let mut reading = blocking(move || reading(&sources, &files, new)).await??;
        merge(store, job, &mut reading, &offered.chosen, &mut offered.gathered.here.state).await?;
    }
    let (job, row, selection_hash) = (job.clone(), row.clone(), selection_hash.to_owned());
    blocking(move || weigh(&job, row, &noted, selection_hash, offered)).await?
}

/// What the sources offered and offer now, and what the environment takes of each.
struct Offered {
    gathered: Gathered,
    old: Vec<SourceCatalog>,
    new: Vec<SourceCatalog>,
    chosen_before: Selection,
    chosen: Selection,
}

impl Offered {
    /// What is to be asked of the past: see [`questions`].
    fn questions(&self) -> Vec<(String, String)> {
        let asked = |selection| questions(selection, &self.gathered.here.state);
        [asked(&self.chosen_before), asked(&self.chosen)].concat()
    }

    /// Whether something is to be merged with what the rows hold.
    fn merges(&self, job: &Job) -> bool {
        let (environment, spec) = (job.environment.as_str(), &job.spec);
        let asked = Asked {
            environment,
            spec,
            catalogs: &self.new,
            selection: &self.chosen,
            only: None,
            mends: false,
        };
        !asked.to_merge(&self.gathered.here.state).is_empty()
    }
}

fn offer(job: &Job, platform: &Version, gathered: Gathered) -> Offered {
    let Gathered { sources, before, after, .. } = &gathered;
    let (old, new) = (catalogs(sources, before), catalogs(sources, after));
    let choose = |catalogs: &[SourceCatalog]| select(&job.environment, &job.spec, platform, catalogs);
    let (chosen_before, chosen) = (choose(&old), choose(&new));
    Offered { gathered, old, new, chosen_before, chosen }
}

/// The plan of what was gathered, if that is all that changes.
fn weigh(
    job: &Job,
    row: EnvironmentRow,
    noted: &Noted,
    selection_hash: String,
    offered: Offered,
) -> Result<Result<Planned, Whole>, SeedingError> {
    let Offered { gathered, old, new, chosen_before, chosen } = offered;
    let Gathered { sources, files, before, after, here } = gathered;
    let nothing = BTreeMap::new();
    let was = decide(job, &old, &chosen_before, &here.state, &nothing);
    let mut plan = decide(job, &new, &chosen, &here.state, &nothing);
    let invalid = after.iter().any(|found| !found.is_valid());
    // What was settled is settled; what goes, and what cannot agree, is weighed against everything.
    let simple = was.is_empty()
        && plan.count(Verb::Remove) == 0
        && plan.conflicts.iter().all(|conflict| conflict.kind != ConflictType::Dependency)
        && !(job.spec.strict && invalid);
    let standing = here.state.rows.values().filter(|current| !current.removed).count();
    let beyond = |whole: usize, part: usize| whole.checked_sub(part).filter(|_| simple);
    let (Some(processed), Some(unchanged), Some(excluded), Some(carried)) = (
        beyond(noted.processed, was.processed),
        beyond(noted.unchanged, was.unchanged),
        beyond(noted.excluded, was.excluded.len()),
        beyond(noted.carried, standing),
    ) else {
        return Ok(Err("something goes, cannot agree, or was not settled"));
    };
    plan.processed += processed;
    plan.unchanged += unchanged;
    let gate = gate(&plan, &job.spec, &new, &here.state, job.moment());
    let (known, state, row) = (memories(&sources, before), here.state, Some(row));
    let reading = reading(&sources, &files, new)?;
    let beyond = Some(Beyond { excluded, carried });
    Ok(Ok(Planned { reading, plan, gate, state, row, selection_hash, known, beyond, observed: None }))
}

/// Reads the files that differ, and asks for whatever they touch.
async fn gather(
    store: &Store,
    row: &EnvironmentRow,
    noted: &Noted,
    snapshots: &[Snapshot],
) -> Result<Result<Gathered, Whole>, SeedingError> {
    let (sources, standing) = futures::join!(changes(row, snapshots), store.standing(&row.name));
    let (Some(sources), Some(standing)) = (sources?, readable(standing)?) else {
        return Ok(Err("what was seeded is not at hand"));
    };
    if standing.foreign || standing.carried != noted.carried {
        return Ok(Err("the definitions are not those of the last seeding alone"));
    }
    let files = match files(store, &row.name, &sources, standing.invalid).await? {
        Ok(files) => files,
        Err(why) => return Ok(Err(why)),
    };
    let fresh = {
        let (sources, files) = (sources.clone(), files.clone());
        blocking(move || read(&sources, &files, &[])).await??
    };
    let paths: Vec<(&str, &str)> = files.iter().map(|(source, path)| (&**source, &**path)).collect();
    let Some(replaced) = readable(store.documents(&row.name, &paths).await)? else {
        return Ok(Err(UNREADABLE));
    };
    let changed = fresh.iter().chain(&replaced).map(|found| found.id.clone());
    // Where an id cannot be read, its source keeps all of its rows.
    let Some(changed) = changed.collect::<Option<BTreeSet<String>>>() else {
        return Ok(Err("a document without an id"));
    };
    let summaries = fresh.iter().filter_map(|found| found.summary.as_ref());
    let needed = summaries.flat_map(|summary| &summary.dependencies).map(|dependency| &dependency.id);
    let beside = noted.attention.iter().flatten().chain(needed).cloned();
    let touched = store.touched(&row.name, changed, beside, MOST_IDS).await;
    let Some(ids) = readable(touched)?.flatten() else { return Ok(Err("too many integrations")) };
    let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
    let Some((mut before, mut here)) = readable(store.about(&row.name, &asked).await)? else {
        return Ok(Err(UNREADABLE));
    };
    here.state.take_targets();
    before.extend(replaced);
    before.sort_by(|a, b| a.place.cmp(&b.place));
    before.dedup_by(|a, b| a.place == b.place);
    let after = {
        // Two documents of one id are told apart only where both are at hand.
        let rest = before.iter().filter(|found| !within(&files, found)).cloned();
        let (sources, known) = (sources.clone(), rest.chain(fresh).collect::<Vec<_>>());
        blocking(move || read(&sources, &Paths::new(), &known)).await??
    };
    if !stands(row, &here) {
        return Ok(Err("the rows are not those of the last seeding alone"));
    }
    if !(asked_for(&ids, &after) && remain(&before, &after)) {
        return Ok(Err("a document is gone, or an integration came into sight"));
    }
    Ok(Ok(Gathered { sources, files, before, after, here }))
}

/// What the database remembers, where it can be read: the whole plan reads anew what cannot.
fn readable<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Err(StoreError::Unreadable { .. }) => Ok(None),
        answer => answer.map(Some),
    }
}

/// What the last seeding noted, if this one differs from it in the files of commits alone.
fn settled<'a>(
    job: &Job,
    row: &'a EnvironmentRow,
    snapshots: &[Snapshot],
    selection_hash: &str,
) -> Option<(&'a EnvironmentRow, Noted)> {
    let EnvironmentSpec { seeding_strategy, policy, .. } = &job.spec;
    let same_sources = row.applied.len() == snapshots.len()
        && snapshots.iter().all(|s| row.applied.contains_key(&s.name) && s.git.is_some())
        && snapshots.iter().all(|s| matches!(s.files, Files::Unlisted(_)));
    // What a policy says of an update is told by the whole manifests.
    let holds = *seeding_strategy == SeedingStrategy::Incremental
        && policy.semver == Semver::Warn
        && job.only.is_none()
        && !job.reseed
        && job.mend.is_empty()
        && job.resolve.is_empty()
        // What waits elsewhere is asked of everything.
        && job.spec.promotion.is_none()
        && same_sources
        && row.selection_hash.as_deref() == Some(selection_hash)
        && row.keeper.as_deref() == Some(&job.keeper)
        && row.running.is_none();
    let noted: Noted = serde_json::from_value(row.summary.clone()).ok().filter(|_| holds)?;
    noted.attention.is_some().then_some((row, noted))
}

/// The files that differ from what was applied; none where that cannot be told.
async fn changes(row: &EnvironmentRow, snapshots: &[Snapshot]) -> Result<Option<Vec<Source>>, SeedingError> {
    let sources: Option<Vec<(Snapshot, GitTree, AppliedSource)>> = snapshots
        .iter()
        .map(|s| Some((s.clone(), s.git.clone()?, row.applied.get(&s.name)?.clone())))
        .collect();
    let Some(sources) = sources else { return Ok(None) };
    blocking(move || {
        let one = |(snapshot, git, applied): (Snapshot, GitTree, AppliedSource)| {
            let commit = applied.revision.commit().filter(|_| !applied.revision.dirty)?;
            let changes = git.changed_since_commit(commit, &applied.tree).ok()??;
            Some(Source { snapshot, git, changed: changes.into_iter().collect() })
        };
        sources.into_iter().map(one).collect()
    })
    .await
}

/// The files to read: those that differ, those into which such a one is bundled, and those that hold an invalid document.
async fn files(
    store: &Store,
    environment: &str,
    sources: &[Source],
    invalid: Vec<(String, String)>,
) -> Result<Result<Paths, Whole>, SeedingError> {
    let mut files: Paths = invalid.into_iter().collect();
    for Source { snapshot, git, changed } in sources {
        if changed.is_empty() {
            continue;
        }
        if changed.iter().any(|path| is_lossy(path)) {
            return Ok(Err("a file whose name is not UTF-8"));
        }
        let within = changed.iter().filter(|path| git.covers(path)).count();
        if within > MOST_FILES || changed.len() > MOST_CHANGES {
            return Ok(Err("too many files"));
        }
        let paths: Vec<&str> = changed.iter().map(String::as_str).collect();
        let Some(bundling) = readable(store.bundling(environment, &snapshot.name, &paths).await)? else {
            return Ok(Err(UNREADABLE));
        };
        let differing = changed.iter().filter(|path| git.covers(path)).cloned();
        files.extend(differing.chain(bundling).map(|path| (snapshot.name.clone(), path)));
    }
    Ok(if files.len() > MOST_FILES { Err("too many files") } else { Ok(files) })
}

/// The documents of these files, and of the files of those that are known: these are read only where their content is
/// not what it was.
fn read(sources: &[Source], files: &Paths, known: &[Found]) -> Result<Vec<Found>, SeedingError> {
    let mut all = Vec::new();
    for Source { snapshot, git, .. } in sources {
        let name = &snapshot.name;
        let known: Vec<&Found> = known.iter().filter(|found| found.place.source == *name).collect();
        let mut by_path: BTreeMap<&str, Vec<Found>> = BTreeMap::new();
        for found in known {
            by_path.entry(&found.place.path).or_default().push(found.clone());
        }
        let paths = files.iter().filter(|(source, _)| source == name).map(|(_, path)| path.as_str());
        let paths: BTreeSet<&str> = paths.chain(by_path.keys().copied()).collect();
        let part = Part::new(name, git, paths.into_iter())?;
        let known = |entry: &FileEntry| by_path.get(&*entry.path).cloned();
        let found = manifest::load(name, &part, Limits::FILES, &known);
        all.extend(found.map_err(|unread| SeedingError::unread(name, &unread))?);
    }
    all.sort_by(|a, b| a.place.cmp(&b.place));
    Ok(all)
}

fn within(files: &Paths, found: &Found) -> bool {
    files.contains(&(found.place.source.clone(), found.place.path.clone()))
}

/// The rows are those that the last seeding left, and nobody else's are among them.
fn stands(row: &EnvironmentRow, here: &Here) -> bool {
    here.state.base == row.seq && here.foreign_rows.is_empty() && here.state.foreign.is_empty()
}

/// Everything that was read is about integrations that were asked for.
fn asked_for(ids: &BTreeSet<String>, after: &[Found]) -> bool {
    after.iter().all(|found| found.id.as_ref().is_some_and(|id| ids.contains(id)))
}

/// No document is gone: what a deletion means depends on all that is left.
fn remain(before: &[Found], after: &[Found]) -> bool {
    before.iter().all(|old| after.binary_search_by(|new| new.place.cmp(&old.place)).is_ok())
}

fn catalogs(sources: &[Source], found: &[Found]) -> Vec<SourceCatalog> {
    let one = |Source { snapshot, .. }: &Source| SourceCatalog {
        name: snapshot.name.clone(),
        revision: snapshot.revision.clone(),
        priority: snapshot.priority,
        found: found.iter().filter(|found| found.place.source == snapshot.name).cloned().collect(),
        complete: true,
        watched: false,
        mute: BTreeSet::new(),
    };
    sources.iter().map(one).collect()
}

fn reading(sources: &[Source], files: &Paths, catalogs: Vec<SourceCatalog>) -> Result<Reading, SeedingError> {
    let one = |(Source { snapshot, git, .. }, catalog): (&Source, SourceCatalog)| {
        let paths =
            files.iter().filter(|(source, _)| *source == snapshot.name).map(|(_, path)| path.as_str());
        let paths = paths.chain(catalog.found.iter().map(|found| found.place.path.as_str()));
        let files = Files::Tree(std::sync::Arc::new(Part::new(&snapshot.name, git, paths)?));
        Ok(ReadSource { snapshot: Snapshot { files, ..snapshot.clone() }, catalog })
    };
    let sources = sources.iter().zip(catalogs).map(one).collect::<Result<_, SeedingError>>()?;
    Ok(Reading { sources })
}

fn memories(sources: &[Source], before: Vec<Found>) -> Known {
    let of = |name: &str| before.iter().filter(|found| found.place.source == name).cloned().collect();
    sources.iter().map(|s| (s.snapshot.name.clone(), Memory::whole(of(&s.snapshot.name)))).collect()
}

/// A few files of a commit.
struct Part {
    files: Vec<FileEntry>,
    git: GitTree,
}

impl Part {
    fn new<'a>(
        source: &str,
        git: &GitTree,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<Self, SeedingError> {
        let paths: BTreeSet<&str> = paths.collect();
        let entry = |path: &str| {
            let unread = |error: ReadError| Unread { path: path.to_owned(), cause: error.to_string() };
            git.entry(path).map_err(|error| SeedingError::unread(source, &unread(error))).transpose()
        };
        Ok(Self { files: paths.into_iter().filter_map(entry).collect::<Result<_, _>>()?, git: git.clone() })
    }
}

impl Tree for Part {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        self.git.entry(path)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.git.read(path)
    }
}
