//! load: the documents of every source, with what is wrong with them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sower_core::catalog::{Found, Place, SourceCatalog};
use sower_core::manifest::{self, Limits, ResourceEntry, Unread};
use sower_core::problem::{self, Problem};
use sower_core::snapshot::{FileEntry, Tree, full_revision, short_revision};
use sower_crds::environment::{EnvironmentSpec, SeedingStrategy};
use sower_store::{EnvironmentRow, Store};

use super::error::SeedingError;
use super::fetch::{Files, Snapshot};
use super::job::{Listing, Resource};

/// Every source of an environment, read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The sources, in the order of the spec.
    pub sources: Vec<ReadSource>,
}

/// One source, read.
#[derive(Debug, Clone)]
pub struct ReadSource {
    /// At which revision.
    pub snapshot: Snapshot,
    /// Every document found.
    pub catalog: SourceCatalog,
}

impl Reading {
    /// The revision for people.
    #[must_use]
    pub fn revision_short(&self) -> String {
        short_revision(self.sources.iter().map(|s| (s.snapshot.name.as_str(), &s.snapshot.revision)))
    }

    /// The revision for programs.
    #[must_use]
    pub fn revision_full(&self) -> String {
        full_revision(self.sources.iter().map(|s| (s.snapshot.name.as_str(), &s.snapshot.revision)))
    }

    /// Every document of every source.
    pub fn found(&self) -> impl Iterator<Item = &Found> {
        self.sources.iter().flat_map(|s| &s.catalog.found)
    }

    /// All problems, sorted by file and line.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self.found().flat_map(|f| f.problems.iter().cloned()).collect();
        problem::sort(&mut problems);
        problems
    }

    /// Number of refused documents.
    #[must_use]
    pub fn invalid(&self) -> usize {
        self.found().filter(|f| !f.is_valid()).count()
    }

    /// The catalogs alone.
    #[must_use]
    pub fn catalogs(&self) -> Vec<SourceCatalog> {
        self.sources.iter().map(|s| s.catalog.clone()).collect()
    }

    /// Notes of what was read earlier, by source and path, whose file is there without a document in it.
    pub(super) fn note_mute<'a>(&mut self, known: impl Iterator<Item = (&'a str, &'a str)> + Clone) {
        for ReadSource { snapshot, catalog } in &mut self.sources {
            let Files::Tree(tree) = &snapshot.files else { continue };
            let known = known.clone().filter(|(source, _)| *source == snapshot.name).map(|(_, path)| path);
            let silent = |path: &str| {
                let at = catalog.found.partition_point(|f| f.place.path.as_str() < path);
                let found = catalog.found.get(at).is_some_and(|f| f.place.path == path);
                !found && tree.files().binary_search_by(|file| file.path.as_str().cmp(path)).is_ok()
            };
            let mute: Vec<String> = known.filter(|path| silent(path)).map(str::to_owned).collect();
            catalog.mute.extend(mute);
        }
    }

    /// The catalogs, taken out: a large one is not copied. [`Reading::give_back`] ends it.
    pub(super) fn lend(&mut self) -> Vec<SourceCatalog> {
        let out = self.sources.iter_mut().map(|source| {
            let found = std::mem::take(&mut source.catalog.found);
            SourceCatalog { found, ..source.catalog.clone() }
        });
        out.collect()
    }

    /// Puts back what [`Reading::lend`] took.
    pub(super) fn give_back(&mut self, catalogs: Vec<SourceCatalog>) {
        for (source, catalog) in self.sources.iter_mut().zip(catalogs) {
            source.catalog = catalog;
        }
    }

    /// Canonical bytes of one document, if it was read and not remembered, and is this content.
    #[must_use]
    pub fn parsed(&self, place: &Place, checksum: &str) -> Option<Arc<str>> {
        let found = self.source_and_found(place)?.1;
        let same = found.summary.as_ref().is_some_and(|summary| summary.checksum == checksum);
        found.manifest.clone().filter(|_| same)
    }

    fn source_and_found(&self, place: &Place) -> Option<(&ReadSource, &Found)> {
        let source = self.sources.iter().find(|s| s.snapshot.name == place.source)?;
        let at = source.catalog.found.binary_search_by(|f| f.place.cmp(place)).ok()?;
        Some((source, &source.catalog.found[at]))
    }

    /// Canonical bytes of one document: as it was read, or read now where its summary came from memory.
    #[must_use]
    pub fn manifest(&self, place: &Place) -> Option<Arc<str>> {
        self.document(place)?.read()
    }

    /// The same, to be read elsewhere.
    pub(super) fn document(&self, place: &Place) -> Option<Document> {
        let (source, found) = self.source_and_found(place)?;
        Some(Document {
            manifest: found.manifest.clone(),
            files: source.snapshot.files.clone(),
            place: place.clone(),
        })
    }
}

/// One document, whose file may have to be read.
pub(super) struct Document {
    manifest: Option<Arc<str>>,
    files: Files,
    place: Place,
}

impl Document {
    /// Its canonical bytes.
    pub(super) fn read(self) -> Option<Arc<str>> {
        let Self { manifest, files, place } = self;
        if manifest.is_some() {
            return manifest;
        }
        let again = match &files {
            Files::Tree(tree) => manifest::load_file(&place.source, tree.as_ref(), &place.path).ok()?,
            Files::Listing(listing) => listed(&place.source, listing),
            Files::Unlisted(_) => Vec::new(),
        };
        again.into_iter().find(|found| found.place == place)?.manifest
    }
}

/// What is remembered of the sources, by name: incremental reads only what differs from it.
pub(super) type Known = HashMap<String, Memory>;

/// What was found in a source last time, and which of its files changed since.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    /// Sorted by place.
    pub(super) found: Arc<Vec<Found>>,
    /// None: not known; then every file that has no document remembered is looked at.
    changed: Option<Arc<HashSet<String>>>,
}

impl Memory {
    /// All that was found in a source.
    pub(super) fn whole(found: Vec<Found>) -> Self {
        Self { found: Arc::new(found), changed: None }
    }

    /// What is known of a file; none: it is to be read.
    fn of(&self, entry: &FileEntry) -> Option<Vec<Found>> {
        let from = self.found.partition_point(|f| f.place.path < entry.path);
        let found: Vec<Found> =
            self.found[from..].iter().take_while(|f| f.place.path == entry.path).cloned().collect();
        match &self.changed {
            _ if !found.is_empty() => Some(found),
            Some(changed) if !changed.contains(&entry.path) => Some(found),
            _ => None,
        }
    }
}

/// What the database remembers of each source, by blob; nothing where the spec or Sower's version changed.
///
/// # Errors
/// As the store.
pub(super) async fn remembered(
    store: &Store,
    spec: &EnvironmentSpec,
    row: Option<&EnvironmentRow>,
    snapshots: &[Snapshot],
    selection_hash: &str,
) -> Result<Known, SeedingError> {
    let mut known = Known::new();
    let Some(row) = row.filter(|row| row.selection_hash.as_deref() == Some(selection_hash)) else {
        return Ok(known);
    };
    for snapshot in snapshots {
        let found = store.known(&row.name, &snapshot.name).await?;
        if found.is_empty() {
            continue;
        }
        let found = Arc::new(found);
        // The other strategies look at every file, and parse those whose blob is new.
        let changed = match spec.seeding_strategy {
            SeedingStrategy::Incremental => {
                changed_since(snapshot, row.applied.get(&snapshot.name).map(|s| s.tree.clone())).await
            }
            SeedingStrategy::Full | SeedingStrategy::Selective => None,
        };
        known.insert(snapshot.name.clone(), Memory { found, changed });
    }
    Ok(known)
}

/// The paths whose files differ from the tree that was applied; none where that cannot be told.
async fn changed_since(snapshot: &Snapshot, tree: Option<String>) -> Option<Arc<HashSet<String>>> {
    let (git, tree) = (snapshot.git.clone().filter(|_| snapshot.dirty.is_empty())?, tree?);
    let changes = tokio::task::spawn_blocking(move || git.changed_since(&tree)).await.ok()?.ok()??;
    Some(Arc::new(changes.into_iter().collect()))
}

/// Reads every source. Parsing takes all cores.
///
/// # Errors
/// Where a file that was listed cannot be read.
pub(super) fn load(snapshots: Vec<Snapshot>, known: &Known) -> Result<Reading, SeedingError> {
    let sources = snapshots.into_iter().map(|mut snapshot| {
        let known = known.get(&snapshot.name);
        let (mut found, complete, watched) = match &snapshot.files {
            Files::Tree(tree) => {
                let found = read_tree(&snapshot.name, tree.as_ref(), known);
                (found.map_err(|unread| SeedingError::unread(&snapshot.name, &unread))?, true, false)
            }
            Files::Listing(listing) => (listed(&snapshot.name, listing), listing.complete, listing.watched),
            // Nothing was looked at: nothing may go for it.
            Files::Unlisted(_) => (Vec::new(), false, false),
        };
        found.sort_by(|a, b| a.place.cmp(&b.place));
        let edited = edited_outside(&snapshot, &found);
        snapshot.revision.dirty |= !edited.is_empty();
        snapshot.dirty.extend(edited);
        let catalog = SourceCatalog {
            name: snapshot.name.clone(),
            revision: snapshot.revision.clone(),
            priority: snapshot.priority,
            found,
            complete,
            watched,
            mute: BTreeSet::new(),
        };
        Ok::<_, SeedingError>(ReadSource { snapshot, catalog })
    });
    Ok(Reading { sources: sources.collect::<Result<_, _>>()? })
}

/// The bundled files beside the manifests that differ from the commit beneath.
fn edited_outside(snapshot: &Snapshot, found: &[Found]) -> BTreeSet<String> {
    let Some(git) = &snapshot.git else { return BTreeSet::new() };
    let bundled = found.iter().flat_map(|found| &found.references).filter(|file| !git.covers(&file.path));
    let distinct: BTreeMap<&str, &str> = bundled.map(|file| (&*file.path, &*file.blob)).collect();
    // What the commit holds there and cannot be read is taken to differ: nothing is built on it.
    let edited = |path: &str, blob: &str| {
        git.entry(path).map_or(true, |entry| entry.map_or(!blob.is_empty(), |e| e.blob != blob))
    };
    distinct.into_iter().filter(|(path, blob)| edited(path, blob)).map(|(path, _)| path.to_owned()).collect()
}

fn read_tree(source: &str, tree: &dyn Tree, known: Option<&Memory>) -> Result<Vec<Found>, Unread> {
    manifest::load(source, tree, Limits::FILES, &|entry: &FileEntry| known?.of(entry))
}

fn listed(source: &str, listing: &Listing) -> Vec<Found> {
    let paths: Vec<String> = listing.documents.iter().map(Resource::path).collect();
    let entries = listing.documents.iter().zip(&paths).map(|(resource, path)| ResourceEntry {
        path,
        blob: &resource.blob,
        name: &resource.name,
        annotations: &resource.annotations,
        spec: &resource.spec,
    });
    let mut found = manifest::load_resources(source, entries, Limits::CLUSTER);
    // A resource has no lines: where something stands in it, the pointer says.
    for problem in found.iter_mut().flat_map(|found| &mut found.problems) {
        if !problem.pointer.is_empty() {
            problem.message = format!("{}: {}", problem.pointer, problem.message);
        }
    }
    found
}

/// What a source holds, for the row of the environment.
pub(super) fn applied(snapshots: &[Snapshot]) -> BTreeMap<String, sower_store::AppliedSource> {
    snapshots
        .iter()
        .map(|s| {
            let held = sower_store::AppliedSource { revision: s.revision.clone(), tree: s.tree_id.clone() };
            (s.name.clone(), held)
        })
        .collect()
}
