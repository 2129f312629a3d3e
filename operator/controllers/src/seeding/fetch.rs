//! fetch: every source of a job at one pinned revision.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use sower_core::snapshot::{Revision, Tree};
use sower_source::{Checkout, FetchError, FetchRequest, Fetcher, Folder, GitTree};
use tokio_util::sync::CancellationToken;

use super::error::SeedingError;
use super::job::{Glance, Listing, Origin, SourceInput};
use crate::metrics::{EnvironmentLabels, Metrics};

/// Where the documents of a source are.
#[derive(Clone)]
pub enum Files {
    /// Files.
    Tree(Arc<dyn Tree>),
    /// Not listed yet: see [`Reader::list`].
    Unlisted(Unlisted),
    /// Resources of a cluster.
    Listing(Arc<Listing>),
}

/// What can be listed.
#[derive(Clone)]
pub enum Unlisted {
    /// The files of the commit in [`Snapshot::git`].
    Commit(TreeKey),
    /// Resources of a cluster.
    Resources(Glance),
}

/// What a listing is remembered by: the repository, and the source's path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TreeKey(String);

/// A source at one pinned revision, not read yet.
#[derive(Clone)]
pub struct Snapshot {
    /// Its name in the spec.
    pub name: String,
    /// The higher wins a duplicate.
    pub priority: i32,
    /// What is read.
    pub revision: Revision,
    /// Equal ids are equal files below the source's path.
    pub tree_id: String,
    /// Its documents.
    pub files: Files,
    /// The commit beneath, for authors.
    pub git: Option<GitTree>,
    /// Files that differ from the commit.
    pub dirty: Vec<String>,
    /// The files are those on disk, whatever a commit says.
    pub is_folder: bool,
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("name", &self.name)
            .field("revision", &self.revision.full())
            .finish_non_exhaustive()
    }
}

/// Most trees that are remembered, so that sources which nobody names any more are not held for ever. Whoever is
/// forgotten is listed anew once.
const MOST_TREES: usize = 64;

/// What reading sources keeps between one seeding and the next.
pub struct Reader {
    fetcher: Fetcher,
    folders: Mutex<HashMap<PathBuf, Arc<Folder>>>,
    trees: Mutex<HashMap<TreeKey, GitTree>>,
    metrics: Option<Metrics>,
}

impl Reader {
    /// A reader that fetches with `fetcher`.
    #[must_use]
    pub fn new(fetcher: Fetcher, metrics: Option<Metrics>) -> Self {
        Self { fetcher, folders: Mutex::default(), trees: Mutex::default(), metrics }
    }

    /// All sources, side by side, each within `timeout`; files of commits are not listed. `applied` names sources and the commits that were seeded from
    /// them, which should be in the history too.
    ///
    /// # Errors
    /// The first source that cannot be had.
    pub async fn fetch(
        self: &Arc<Self>,
        at: &EnvironmentLabels,
        sources: &[SourceInput],
        applied: &[(String, String)],
        timeout: Option<Duration>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Snapshot>, SeedingError> {
        if let Some(metrics) = &self.metrics {
            let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
            metrics.reads(at, &names);
        }
        try_join_all(sources.iter().map(|source| async move {
            let started = Instant::now();
            let snapshot = self
                .open(source, applied, timeout, cancel)
                .await
                .map_err(|e| SeedingError::fetch(&source.name, &e))?;
            if let Some(metrics) = &self.metrics {
                metrics.fetched(at, &source.name, started.elapsed());
            }
            Ok(snapshot)
        }))
        .await
    }

    async fn open(
        self: &Arc<Self>,
        source: &SourceInput,
        applied: &[(String, String)],
        timeout: Option<Duration>,
        cancel: &CancellationToken,
    ) -> Result<Snapshot, FetchError> {
        let SourceInput { name, priority, path, origin } = source.clone();
        let snapshot =
            |revision: Revision, tree_id: String, files: Files, git: Option<GitTree>, dirty: Vec<String>| {
                Snapshot { name, priority, revision, tree_id, files, git, dirty, is_folder: false }
            };
        match origin {
            Origin::Git(request) => {
                let own = applied.iter().filter(|(of, _)| *of == source.name);
                let deepen_to = own.map(|(_, commit)| commit.clone()).collect();
                let timeout = request.timeout.or(timeout);
                let request = FetchRequest { deepen_to, timeout, ..request };
                let fetched = self.fetcher.fetch(&request, cancel).await?;
                let revision = fetched.revision.clone();
                let files = Files::Unlisted(Unlisted::Commit(TreeKey(format!("{}\n{path}", request.url))));
                let tree = blocking(move || fetched.unlisted(&path)).await?;
                Ok(snapshot(revision, git_tree_id(&tree), files, Some(tree), Vec::new()))
            }
            Origin::Checkout { dir, reference } => {
                let limits = self.fetcher.limits();
                let files = Files::Unlisted(Unlisted::Commit(TreeKey(format!("{}\n{path}", dir.display()))));
                let (revision, tree) = blocking(move || {
                    let checkout = Checkout::discover(&dir)?;
                    let revision = checkout.resolve(&reference)?;
                    let tree = checkout.unlisted(&revision, &path, limits)?;
                    Ok((revision, tree))
                })
                .await?;
                Ok(snapshot(revision, git_tree_id(&tree), files, Some(tree), Vec::new()))
            }
            Origin::Folder(dir) => {
                let folder = self.folder(&dir)?;
                let tree = blocking(move || folder.scan(&path)).await?;
                let (revision, dirty) = (tree.revision().clone(), tree.dirty().to_vec());
                let (id, git) = (tree.digest(), tree.committed().cloned());
                // An edited folder and the commit beneath it are one thing as soon as nothing differs.
                let id = match &git {
                    Some(committed) if dirty.is_empty() => git_tree_id(committed),
                    _ => id,
                };
                let of_disk = snapshot(revision, id, Files::Tree(Arc::new(tree)), git, dirty);
                Ok(Snapshot { is_folder: true, ..of_disk })
            }
            Origin::Glance(glance) => {
                let (revision, id) = (glance.revision.clone(), glance.revision.digest.clone());
                Ok(snapshot(revision, id, Files::Unlisted(Unlisted::Resources(glance)), None, Vec::new()))
            }
            Origin::Listing(listing) => {
                let revision = listing.revision.clone();
                let id = revision.digest.clone();
                Ok(snapshot(revision, id, Files::Listing(listing), None, Vec::new()))
            }
        }
    }

    /// The same snapshots, with their files listed.
    ///
    /// # Errors
    /// The first source that has too many files, or a broken repository, or cannot be listed.
    pub async fn list(self: &Arc<Self>, snapshots: Vec<Snapshot>) -> Result<Vec<Snapshot>, SeedingError> {
        try_join_all(snapshots.into_iter().map(|snapshot| async move {
            let key = match &snapshot.files {
                Files::Unlisted(Unlisted::Commit(key)) => key,
                Files::Unlisted(Unlisted::Resources(glance)) => {
                    let listing = glance.read().await?;
                    let (revision, tree_id) = (listing.revision.clone(), listing.revision.digest.clone());
                    return Ok(Snapshot { revision, tree_id, files: Files::Listing(listing), ..snapshot });
                }
                Files::Tree(_) | Files::Listing(_) => return Ok(snapshot),
            };
            let Some(tree) = snapshot.git.clone() else { return Ok(snapshot) };
            let (reader, key) = (self.clone(), key.clone());
            let listed = blocking(move || {
                let before = reader.remembered(&key);
                let tree = tree.listed(before.as_ref())?;
                // What is remembered keeps no mirror from being made anew.
                reader.remember(key, tree.released());
                Ok(tree)
            });
            let tree = listed.await.map_err(|error| SeedingError::fetch(&snapshot.name, &error))?;
            Ok(Snapshot { files: Files::Tree(Arc::new(tree.clone())), git: Some(tree), ..snapshot })
        }))
        .await
    }

    fn folder(&self, dir: &Path) -> Result<Arc<Folder>, FetchError> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = folders.get(dir) {
            return Ok(folder.clone());
        }
        let folder = Arc::new(Folder::new(dir, self.fetcher.limits())?);
        if folders.len() >= MOST_TREES {
            folders.clear();
        }
        folders.insert(dir.to_path_buf(), folder.clone());
        Ok(folder)
    }

    fn remembered(&self, key: &TreeKey) -> Option<GitTree> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn remember(&self, key: TreeKey, tree: GitTree) {
        let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
        if trees.len() >= MOST_TREES && !trees.contains_key(&key) {
            trees.clear();
        }
        trees.insert(key, tree);
    }
}

fn git_tree_id(tree: &GitTree) -> String {
    tree.tree_id().unwrap_or_default()
}

/// Runs what reads a disk where blocking is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(FetchError::Io { detail: error.to_string() }))
}
