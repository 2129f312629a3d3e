//! The files of one commit, read from the object store without a work tree.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use git2::{ObjectType, Oid, Repository};
use sower_core::snapshot::{FileEntry, ReadError, Tree, is_lossy};

use crate::objects::{self, broken, look_up};
use crate::walk::{RawChange, Walk, is_plain};
use crate::{FetchError, Limits, place};

/// Files that are found by name and kept in mind at most.
const MOST_FOUND: usize = 1_000;

/// A commit's files. Symbolic links and submodules are not among them; names that are not UTF-8 are, with U+FFFD for what
/// cannot be read, so that whoever lists them knows that something is there. Cheap to clone.
#[derive(Clone)]
pub struct GitTree {
    /// Taken for one object at a time.
    repository: Arc<Mutex<Repository>>,
    commit: Oid,
    /// Where the tree's root lies in the repository; empty for the repository's own.
    prefix: String,
    root: Option<Oid>,
    /// The source's path, and what is there: a folder or one file.
    path: String,
    below: Option<(Oid, ObjectType)>,
    files: Arc<[FileEntry]>,
    /// Files that were asked for by name and are not listed: to find one again takes reading its folder's whole listing.
    found: Arc<Mutex<HashMap<String, Option<FileEntry>>>>,
    /// As long as there is one, the mirror that is read stays.
    _reading: Option<Arc<File>>,
    limits: Limits,
}

impl std::fmt::Debug for GitTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitTree")
            .field("commit", &self.commit)
            .field("path", &self.path)
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl GitTree {
    /// Opens `commit` of the repository at `repository`. Paths count from `prefix`, a folder in the repository (empty:
    /// its root); `path` below it is the source's own. A path that is not there makes an empty tree.
    ///
    /// [`Tree::files`] is empty: this does to ask for the id of the tree, for what changed in it, or for files by name.
    /// [`GitTree::listed`] lists them.
    ///
    /// # Errors
    /// [`FetchError::BadRequest`] for a path that leaves the repository, [`FetchError::NotFound`] for an absent commit,
    /// [`FetchError::TooLarge`] beyond the limits, [`FetchError::Io`] for a broken repository.
    pub fn unlisted(
        repository: &Path,
        commit: &str,
        prefix: &str,
        path: &str,
        limits: Limits,
    ) -> Result<Self, FetchError> {
        let repository = Repository::open(repository).map_err(broken)?;
        let (prefix, path) = (place::inside(prefix)?, place::inside(path)?);
        let missing =
            || FetchError::NotFound { what: format!("commit `{commit}`"), place: "the repository".into() };
        let commit = Oid::from_str(commit).map_err(|_| missing())?;
        let top = objects::commit(&repository, commit)?.ok_or_else(missing)?.tree_id();
        let root = look_up(&repository, top, &prefix)?
            .filter(|(_, kind)| *kind == ObjectType::Tree)
            .map(|(id, _)| id);
        let below = match root {
            Some(root) => look_up(&repository, root, &path)?,
            None => None,
        };
        Ok(Self {
            repository: Arc::new(Mutex::new(repository)),
            commit,
            prefix,
            root,
            path,
            below,
            files: Arc::from([]),
            found: Arc::default(),
            _reading: None,
            limits,
        })
    }

    /// The same tree, under a lock that keeps its mirror.
    pub(crate) fn held(self, reading: Arc<File>) -> Self {
        Self { _reading: Some(reading), ..self }
    }

    /// The same tree, to be remembered as what was listed: its mirror may go meanwhile.
    #[must_use]
    pub fn released(&self) -> Self {
        Self { _reading: None, ..self.clone() }
    }

    /// Lists the files; where `before` is another tree of this place, only what differs from it is read. The result is the
    /// same, whatever `before` is.
    ///
    /// # Errors
    /// As [`GitTree::unlisted`].
    pub fn listed(mut self, before: Option<&Self>) -> Result<Self, FetchError> {
        let before = before.filter(|before| self.path == before.path && self.prefix == before.prefix);
        let (Some(before), Some((new, ObjectType::Tree))) = (before, self.below) else {
            return self.listed_whole();
        };
        let Some((old, ObjectType::Tree)) = before.below else { return self.listed_whole() };
        if old == new {
            self.files = before.files.clone();
            return Ok(self);
        }
        let changes = {
            let repository = self.lock();
            if objects::tree(&repository, old).is_err() {
                None
            } else {
                Walk::changes(&repository, Some(old), Some(new), &self.path, self.limits.max_files).ok()
            }
        };
        match changes {
            // Names that are not UTF-8 may look alike: one that is gone takes no other with it.
            Some(changes) if changes.iter().any(|change| is_lossy(&change.path)) => self.listed_whole(),
            Some(changes) => self.patched(&before.files, changes),
            None => self.listed_whole(),
        }
    }

    fn listed_whole(mut self) -> Result<Self, FetchError> {
        let files = match self.below {
            None => Vec::new(),
            Some((id, ObjectType::Tree)) => {
                let repository = self.lock();
                let all = Walk::changes(&repository, None, Some(id), &self.path, self.limits.max_files)?;
                entries(&repository, all)?
            }
            Some((id, _)) => {
                let found = RawChange { path: self.path.clone(), after: Some(id) };
                entries(&self.lock(), vec![found])?
            }
        };
        self.files = files.into();
        Ok(self)
    }

    fn patched(mut self, before: &[FileEntry], changes: Vec<RawChange>) -> Result<Self, FetchError> {
        let gone: std::collections::HashSet<String> =
            changes.iter().map(|change| change.path.clone()).collect();
        let mut files: Vec<FileEntry> =
            before.iter().filter(|file| !gone.contains(&file.path)).cloned().collect();
        files.extend(entries(&self.lock(), changes)?);
        if files.len() > self.limits.max_files {
            return self.listed_whole();
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        self.files = files.into();
        Ok(self)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Repository> {
        // Objects are immutable: a panic elsewhere leaves nothing half done.
        self.repository.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The commit, 40 hex.
    #[must_use]
    pub fn commit(&self) -> String {
        self.commit.to_string()
    }

    pub(crate) fn commit_oid(&self) -> Oid {
        self.commit
    }

    pub(crate) fn in_repository(&self, path: &str) -> String {
        place::join(&self.prefix, path)
    }

    /// The id of what lies at the source's path, 40 hex: equal ids are equal files. None where nothing is there.
    #[must_use]
    pub fn tree_id(&self) -> Option<String> {
        self.below.map(|(id, _)| id.to_string())
    }

    /// Whether a path lies where the source's manifests do.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        self.path.is_empty()
            || path.strip_prefix(&self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The paths of the files below the source's path that differ from an earlier [`GitTree::tree_id`], sorted. None where
    /// that tree is not known here any more: then everything has to be compared.
    ///
    /// # Errors
    /// [`FetchError::TooLarge`] beyond the limits, [`FetchError::Io`] for a broken repository.
    pub fn changed_since(&self, tree_id: &str) -> Result<Option<Vec<String>>, FetchError> {
        let (Ok(old), Some((new, ObjectType::Tree))) = (Oid::from_str(tree_id), self.below) else {
            return Ok(None);
        };
        self.changes((old, new), &self.path)
    }

    /// The paths of the files that differ from an earlier commit, also those outside the source's path, sorted. None where
    /// that commit is not known here any more, or `tree_id` is not what it held at the source's path.
    ///
    /// # Errors
    /// As [`GitTree::changed_since`].
    pub fn changed_since_commit(
        &self,
        commit: &str,
        tree_id: &str,
    ) -> Result<Option<Vec<String>>, FetchError> {
        let old = {
            let repository = self.lock();
            // What cannot be read of an earlier commit is not known.
            let look_up = |root, path| look_up(&repository, root, path).ok().flatten();
            let commit = Oid::from_str(commit).ok().and_then(|id| objects::commit(&repository, id).ok()?);
            let root = commit.and_then(|commit| look_up(commit.tree_id(), &self.prefix));
            let below = root.and_then(|(root, _)| look_up(root, &self.path));
            root.filter(|_| below.is_some_and(|(id, _)| id.to_string() == tree_id))
        };
        match (old, self.root) {
            (Some((old, ObjectType::Tree)), Some(new)) => self.changes((old, new), ""),
            _ => Ok(None),
        }
    }

    fn changes(&self, (old, new): (Oid, Oid), at: &str) -> Result<Option<Vec<String>>, FetchError> {
        let repository = self.lock();
        if !objects::holds(&repository, old) {
            return Ok(None);
        }
        let found = Walk::changes(&repository, Some(old), Some(new), at, self.limits.max_files)?;
        let mut changes: Vec<String> = found.iter().map(|change| change.path.clone()).collect();
        changes.sort_unstable();
        // What changed is what is read next.
        let found: Vec<RawChange> = found.into_iter().filter(|change| self.covers(&change.path)).collect();
        if found.len() <= MOST_FOUND
            && let Ok(entries) = entries(&repository, found)
        {
            let mut known = self.found.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(entries.into_iter().map(|entry| (entry.path.clone(), Some(entry))));
        }
        Ok(Some(changes))
    }
}

impl GitTree {
    fn look_up(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        let Some(root) = self.root else { return Ok(None) };
        let repository = self.lock();
        let id = match look_up(&repository, root, path) {
            Ok(Some((id, ObjectType::Blob))) => id,
            // What lies in a folder whose listing is too large is not looked at.
            Ok(_) | Err(FetchError::TooLarge { .. }) => return Ok(None),
            Err(error) => return Err(ReadError::Io(error.to_string())),
        };
        let header = repository.odb().and_then(|odb| odb.read_header(id));
        let (size, _) = header.map_err(|error| ReadError::Io(error.message().to_owned()))?;
        Ok(Some(FileEntry { path: path.to_owned(), blob: id.to_string(), size: size as u64 }))
    }
}

impl Tree for GitTree {
    fn files(&self) -> &[FileEntry] {
        &self.files
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        if let Ok(at) = self.files.binary_search_by(|file| file.path.as_str().cmp(path)) {
            return Ok(Some(self.files[at].clone()));
        }
        // Names that no listing has are no files either.
        if !path.split('/').all(is_plain) {
            return Ok(None);
        }
        let known = |found: &HashMap<String, Option<FileEntry>>| found.get(path).cloned();
        if let Some(entry) = known(&self.found.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(entry);
        }
        let entry = self.look_up(path)?;
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() < MOST_FOUND {
            found.insert(path.to_owned(), entry.clone());
        }
        Ok(entry)
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let entry = self.entry(path)?.ok_or(ReadError::NotFound)?;
        let limit = self.limits.max_blob;
        if entry.size > limit {
            return Err(ReadError::TooLarge { size: entry.size, limit });
        }
        let failed = |error: git2::Error| ReadError::Io(error.message().to_owned());
        let repository = self.lock();
        let blob = Oid::from_str(&entry.blob).and_then(|id| repository.find_blob(id)).map_err(failed)?;
        Ok(blob.content().to_vec())
    }
}

/// The entries of the files that are there after the changes, sorted.
fn entries(repository: &Repository, changes: Vec<RawChange>) -> Result<Vec<FileEntry>, FetchError> {
    let odb = repository.odb().map_err(broken)?;
    let mut files = Vec::with_capacity(changes.len());
    for change in changes {
        let Some(id) = change.after else { continue };
        let (size, kind) = odb.read_header(id).map_err(broken)?;
        if kind == ObjectType::Blob {
            files.push(FileEntry { path: change.path, blob: id.to_string(), size: size as u64 });
        }
    }
    files.sort_unstable();
    // Of names that look alike, for they are not UTF-8, one is told.
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}
