//! Loads all manifests of a source: in parallel, remembering what did not change, and refusing two documents of one id.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::document::{is_candidate, is_named};
use super::file::{self, FileSource, Loaded};
use super::minded::{Minded, Unread};
use super::tree::Mark;
use crate::catalog::Found;
use crate::problem::{Code, Problem};
use crate::snapshot::{FileEntry, Tree, is_lossy};

/// Bounds of one load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest manifest, in bytes: of its file, and of its canonical form with what is bundled into it.
    pub bytes: usize,
    /// Whether the canonical bytes stay in memory ([`Found::manifest`]).
    pub keep: bool,
}

impl Limits {
    /// Of files: 5 MiB, bytes kept.
    pub const FILES: Limits = Limits { bytes: super::tree::MAX_BYTES, keep: true };

    /// Of cluster resources: 256 KiB, bytes kept.
    pub const CLUSTER: Limits = Limits { bytes: 256 * 1024, keep: true };

    /// The same, with the canonical bytes let go once their checksum is taken.
    #[must_use]
    pub const fn without_bytes(self) -> Self {
        Limits { keep: false, ..self }
    }
}

/// Loads every manifest of `tree`, sorted by place.
///
/// `known` may answer for a file with what an earlier load found in it (nothing, where it holds no document of ours). The
/// answer is taken if the file and everything bundled from it have the same blob ids as then; only other files are read.
/// Documents of one id are refused, each naming the others; that is decided anew in every load.
///
/// # Errors
/// [`Unread`] where a file, or one that a manifest refers to, cannot be read now: what is found without it is told to nobody.
pub fn load(
    source: &str,
    tree: &dyn Tree,
    limits: Limits,
    known: &(dyn Fn(&FileEntry) -> Option<Vec<Found>> + Sync),
) -> Result<Vec<Found>, Unread> {
    let minded = Minded::new(tree);
    let found = load_all(source, &minded, limits, known);
    minded.whole(found)
}

fn load_all(
    source: &str,
    tree: &dyn Tree,
    limits: Limits,
    known: &(dyn Fn(&FileEntry) -> Option<Vec<Found>> + Sync),
) -> Vec<Found> {
    let files: Vec<&FileEntry> = tree.files().iter().filter(|f| is_candidate(&f.path)).collect();
    let reader = FileSource { source, tree, limits };
    let mut all =
        in_parallel(&files, |entry| match known(entry).filter(|found| still_holds(found, entry, tree)) {
            Some(found) => remembered(found, source),
            None => file::load(&reader, entry, is_named(&entry.path)),
        });
    // What was remembered does not say where its id stands.
    let again: BTreeSet<String> = shared_ids(&all)
        .into_iter()
        .flatten()
        .filter(|i| all[*i].id.is_none())
        .map(|i| all[i].found.place.path.clone())
        .collect();
    if !again.is_empty() {
        all.retain(|l| !again.contains(&l.found.place.path));
        for entry in files.iter().filter(|f| again.contains(&f.path)) {
            all.extend(file::load(&reader, entry, is_named(&entry.path)));
        }
    }
    finish(all)
}

/// Calls `one` for every file on all cores.
fn in_parallel(files: &[&FileEntry], one: impl Fn(&FileEntry) -> Vec<Loaded> + Sync) -> Vec<Loaded> {
    /// Files for which a thread of its own is worth starting.
    const WORTH: usize = 8;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let threads = cores.min(files.len().div_ceil(WORTH));
    if threads <= 1 {
        return files.iter().flat_map(|f| one(f)).collect();
    }
    let next = AtomicUsize::new(0);
    let gathered = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut mine = Vec::new();
                while let Some(entry) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    mine.extend(one(entry));
                }
                // A panic of another thread is raised again by the scope, so nothing is lost here.
                gathered.lock().unwrap_or_else(PoisonError::into_inner).append(&mut mine);
            });
        }
    });
    gathered.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Loads one file, which is taken as a manifest whatever its name: with its canonical bytes.
///
/// # Errors
/// As [`load`].
pub fn load_file(source: &str, tree: &dyn Tree, path: &str) -> Result<Vec<Found>, Unread> {
    let minded = Minded::new(tree);
    let nothing = || FileEntry { path: path.to_owned(), blob: String::new(), size: 0 };
    let entry = minded.entry(path).ok().flatten().unwrap_or_else(nothing);
    let found = file::load(&FileSource { source, tree: &minded, limits: Limits::FILES }, &entry, true);
    minded.whole(finish(found))
}

/// Loads an Integration resource of the cluster. There are no lines: every problem stands at 1:1 and is told by its pointer.
pub fn load_value(source: &str, resource: ResourceEntry<'_>, limits: Limits) -> Found {
    file::load_resource(source, resource, limits)
}

/// A resource of the cluster, as [`load_value`] takes it.
#[derive(Debug, Clone, Copy)]
pub struct ResourceEntry<'a> {
    /// The path that problems and rows name.
    pub path: &'a str,
    /// What stands in place of a blob id.
    pub blob: &'a str,
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.annotations`.
    pub annotations: &'a BTreeMap<String, String>,
    /// Its spec.
    pub spec: &'a serde_json::Value,
}

/// Loads all resources of a cluster source, sorted by place; those that share an id are refused as files are.
pub fn load_resources<'a>(
    source: &str,
    resources: impl IntoIterator<Item = ResourceEntry<'a>>,
    limits: Limits,
) -> Vec<Found> {
    let one = |resource| Loaded { found: load_value(source, resource, limits), id: None };
    finish(resources.into_iter().map(one).collect())
}

/// Whether what was found once is what would be found now.
fn still_holds(found: &[Found], entry: &FileEntry, tree: &dyn Tree) -> bool {
    found.iter().all(|f| {
        f.place.path == entry.path
            && f.blob == entry.blob
            && !f.problems.iter().any(|p| p.code == Code::DuplicateManifest)
            && f.references
                .iter()
                .all(|r| tree.entry(&r.path).is_ok_and(|e| e.map_or(r.blob.is_empty(), |e| e.blob == r.blob)))
    })
}

fn remembered(found: Vec<Found>, source: &str) -> Vec<Loaded> {
    let with_source = |mut found: Found| {
        source.clone_into(&mut found.place.source);
        Loaded { found, id: None }
    };
    found.into_iter().map(with_source).collect()
}

/// Sorts by place and refuses what shares an id.
fn finish(mut all: Vec<Loaded>) -> Vec<Found> {
    all.iter_mut().filter(|loaded| is_lossy(&loaded.found.place.path)).for_each(refuse_name);
    all.sort_by(|a, b| a.found.place.cmp(&b.found.place));
    all.dedup_by(|a, b| is_lossy(&a.found.place.path) && a.found.place == b.found.place);
    for several in shared_ids(&all) {
        let places: Vec<String> = several.iter().map(|i| location(&all[*i])).collect();
        for (own, i) in several.iter().enumerate() {
            let others: Vec<&str> = places
                .iter()
                .enumerate()
                .filter(|(p, _)| *p != own)
                .map(|(_, at)| at.as_str())
                .take(5)
                .collect();
            refuse_duplicate(&mut all[*i], &others.join(", "));
        }
    }
    all.into_iter().map(|l| l.found).collect()
}

/// The documents that share an id with another, id by id.
fn shared_ids(all: &[Loaded]) -> Vec<Vec<usize>> {
    let mut by_id: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, loaded) in all.iter().enumerate() {
        if let Some(id) = loaded.found.id.as_deref() {
            by_id.entry(id).or_default().push(i);
        }
    }
    by_id.into_values().filter(|several| several.len() > 1).collect()
}

fn location(loaded: &Loaded) -> String {
    let path = &loaded.found.place.path;
    loaded.id.as_ref().map_or_else(|| path.clone(), |id| format!("{path}:{}", id.mark.line))
}

/// What stands in a file whose name is not UTF-8 is not looked at: nothing could be told of it, or found again.
fn refuse_name(loaded: &mut Loaded) {
    let Loaded { found, id } = loaded;
    *id = None;
    found.place.document = 0;
    found.id = None;
    found.summary = None;
    found.manifest = None;
    found.references.clear();
    found.problems = vec![Problem {
        code: Code::Encoding,
        severity: Code::Encoding.severity(),
        file: found.place.path.clone(),
        line: Mark::TOP.line,
        column: Mark::TOP.column,
        length: Mark::TOP.length,
        pointer: String::new(),
        message: "the name of the file is not UTF-8".into(),
        expected: "in a file whose name is not UTF-8".into(),
        hint: Some("rename the file".into()),
        integration: None,
    }];
}

fn refuse_duplicate(loaded: &mut Loaded, others: &str) {
    let Loaded { found, id: at } = loaded;
    let (mark, pointer) = at.as_ref().map_or((Mark::TOP, String::new()), |id| (id.mark, id.pointer.clone()));
    let id = found.id.clone().unwrap_or_default();
    found.summary = None;
    found.manifest = None;
    found.problems.push(Problem {
        code: Code::DuplicateManifest,
        severity: Code::DuplicateManifest.severity(),
        file: found.place.path.clone(),
        line: mark.line,
        column: mark.column,
        length: mark.length,
        pointer,
        message: format!("`{id}` is the id of another manifest too: {others}"),
        expected: "not the only document of this id".into(),
        hint: Some("rename one of them, or delete it".into()),
        integration: Some(id),
    });
    crate::problem::sort(&mut found.problems);
}
