//! Commits of a repository on this disk: `DIR#REF`, and what HEAD holds below an edited checkout.

use std::path::{Path, PathBuf};

use git2::{ErrorCode, Oid, Repository};
use sower_core::snapshot::Revision;

use crate::refs::is_oid;
use crate::{FetchError, GitTree, Limits, place};

/// A folder inside a repository on this disk. Nothing is fetched.
pub struct Checkout {
    repository: Repository,
    dir: PathBuf,
    prefix: String,
}

impl std::fmt::Debug for Checkout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkout")
            .field("dir", &self.dir)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl Checkout {
    /// The repository that holds `dir`: a working tree's folder, or a bare repository.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where there is none; [`FetchError::BadRequest`] where it belongs to another user.
    pub fn discover(dir: impl AsRef<Path>) -> Result<Self, FetchError> {
        let dir = dir.as_ref();
        let missing =
            || FetchError::NotFound { what: "git repository".into(), place: dir.display().to_string() };
        let full = dir.canonicalize().map_err(|_| missing())?;
        let repository = Repository::discover(&full).map_err(|error| match error.code() {
            ErrorCode::NotFound => missing(),
            ErrorCode::Owner => FetchError::bad(format!(
                "{0} belongs to another user: git config --global --add safe.directory {0}",
                full.display()
            )),
            _ => FetchError::io("git", error.message()),
        })?;
        let prefix = match repository.workdir().and_then(|top| top.canonicalize().ok()) {
            Some(top) => match full.strip_prefix(&top) {
                Ok(below) => below.to_str().ok_or_else(missing)?.to_owned(),
                Err(_) => String::new(),
            },
            None => String::new(),
        };
        Ok(Self { repository, dir: dir.to_owned(), prefix })
    }

    /// The revision of HEAD: its branch, or `detached`.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where nothing was committed yet.
    pub fn head(&self) -> Result<Revision, FetchError> {
        let missing =
            || FetchError::NotFound { what: "a commit".into(), place: self.dir.display().to_string() };
        let head = self.repository.head().map_err(|_| missing())?;
        let commit = head.peel_to_commit().map_err(|_| missing())?;
        let label = match head.shorthand() {
            Ok(name) if head.is_branch() => name.to_owned(),
            _ => "detached".to_owned(),
        };
        Ok(revision(label, commit.id()))
    }

    /// The revision that `reference` names: `HEAD`, a branch, a tag, a remote's branch, a commit, or anything else
    /// that git understands. Edits play no part.
    ///
    /// # Errors
    /// [`FetchError::NotFound`] where it names no commit.
    pub fn resolve(&self, reference: &str) -> Result<Revision, FetchError> {
        if matches!(reference, "" | "HEAD") {
            return self.head();
        }
        let missing = || FetchError::NotFound {
            what: format!("branch or tag `{reference}`"),
            place: self.dir.display().to_string(),
        };
        for folder in ["", "refs/heads/", "refs/tags/", "refs/remotes/"] {
            let full = format!("{folder}{reference}");
            if (folder.is_empty() && !full.starts_with("refs/")) || !git2::Reference::is_valid_name(&full) {
                continue;
            }
            if let Ok(found) = self.repository.find_reference(&full) {
                let commit = found.peel_to_commit().map_err(|_| missing())?;
                let label = found.shorthand().unwrap_or(reference).to_owned();
                return Ok(revision(label, commit.id()));
            }
        }
        let object = self.repository.revparse_single(reference).map_err(|_| missing())?;
        let commit = object.peel_to_commit().map_err(|_| missing())?.id();
        let is_id = is_oid(reference) || commit.to_string().starts_with(&reference.to_ascii_lowercase());
        Ok(revision(if is_id { "commit".into() } else { reference.to_owned() }, commit))
    }

    /// The files of a revision of this repository: see [`GitTree::unlisted`]. Paths count from the checkout's folder.
    ///
    /// # Errors
    /// As [`GitTree::unlisted`].
    pub fn unlisted(&self, revision: &Revision, path: &str, limits: Limits) -> Result<GitTree, FetchError> {
        GitTree::unlisted(self.repository.path(), commit_of(revision)?, &self.prefix, path, limits)
    }

    /// Whether the folder is a bare repository itself, or lies in one: there are no files to edit.
    pub(crate) fn is_bare(&self) -> bool {
        let (own, dir) = (self.repository.path().canonicalize(), self.dir.canonicalize());
        let within = own.ok().zip(dir.ok()).is_some_and(|(own, dir)| dir.starts_with(own));
        self.repository.is_bare() && within
    }

    /// The branch that HEAD names, be it born or not; `HEAD` where it names none.
    pub(crate) fn branch(&self) -> String {
        let head = self.repository.find_reference("HEAD").ok();
        let named = head.as_ref().and_then(|head| head.symbolic_target().ok().flatten());
        let branch = named.and_then(|target| target.strip_prefix("refs/heads/"));
        branch.unwrap_or("HEAD").to_owned()
    }

    /// The folders whose changes may move a branch or HEAD.
    #[must_use]
    pub fn git_folders(&self) -> (PathBuf, PathBuf) {
        (self.repository.path().to_owned(), self.repository.commondir().to_owned())
    }

    /// The top of the working tree, without links; none for a bare repository, and for a folder that git ignores.
    #[must_use]
    pub fn top(&self) -> Option<PathBuf> {
        if self.ignores("") {
            return None;
        }
        self.repository.workdir().and_then(|top| top.canonicalize().ok())
    }

    /// Whether git would not add `path`, counted from the checkout's folder; folders end in `/`.
    pub(crate) fn ignores(&self, path: &str) -> bool {
        let path = place::join(&self.prefix, path);
        !path.is_empty() && self.repository.is_path_ignored(path).unwrap_or(false)
    }
}

fn revision(label: String, commit: Oid) -> Revision {
    Revision { label, digest: format!("sha1:{commit}"), dirty: false }
}

fn commit_of(revision: &Revision) -> Result<&str, FetchError> {
    let digest = revision.commit();
    digest.ok_or_else(|| FetchError::bad(format!("{} names no commit", revision.full())))
}
