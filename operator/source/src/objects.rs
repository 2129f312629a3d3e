//! Commits, tags and trees that somebody else made. libgit2 takes an object into memory whole, so its header, which costs
//! nothing, is asked for its size before.

use git2::{Commit, ErrorCode, ObjectType, Oid, Repository, Tree};

use crate::FetchError;

/// Bytes of one tree object; ten times what 50,000 folders need.
const MAX_TREE: usize = 32 << 20;
/// Bytes of one commit or tag object: its message, its parents and a signature.
const MAX_COMMIT: usize = 1 << 20;
/// Tags of tags that are followed to a commit.
const MAX_TAGS: usize = 8;

/// The commit `id`; none where there is no such commit.
///
/// # Errors
/// [`FetchError::TooLarge`] for one that is too large to be read, [`FetchError::Io`] for a broken repository.
pub(crate) fn commit(repository: &Repository, id: Oid) -> Result<Option<Commit<'_>>, FetchError> {
    match header(repository, id)? {
        Some((size, ObjectType::Commit)) => {
            fits("a commit", size, MAX_COMMIT)?;
            repository.find_commit(id).map(Some).map_err(broken)
        }
        _ => Ok(None),
    }
}

/// The tree `id`.
///
/// # Errors
/// As [`commit`]; and where there is no such tree, the repository is broken: something promised it.
pub(crate) fn tree(repository: &Repository, id: Oid) -> Result<Tree<'_>, FetchError> {
    match header(repository, id)? {
        Some((size, ObjectType::Tree)) => fits("a folder's listing", size, MAX_TREE)?,
        Some(_) => return Err(FetchError::Io { detail: format!("git: {id} is no tree") }),
        None => return Err(FetchError::Io { detail: format!("git: the tree {id} is missing") }),
    }
    repository.find_tree(id).map_err(broken)
}

/// The commit that `id` is, or that a tag `id` names; none where it is neither.
///
/// # Errors
/// As [`commit`].
pub(crate) fn peeled(repository: &Repository, id: Oid) -> Result<Option<Commit<'_>>, FetchError> {
    let mut id = id;
    for _ in 0..=MAX_TAGS {
        match header(repository, id)? {
            Some((size, ObjectType::Tag)) => {
                fits("a tag", size, MAX_COMMIT)?;
                id = repository.find_tag(id).map_err(broken)?.target_id();
            }
            _ => return commit(repository, id),
        }
    }
    Ok(None)
}

/// What `path` is below the tree `root`: a folder or a file, not reached through a link.
///
/// # Errors
/// As [`tree`].
pub(crate) fn look_up(
    repository: &Repository,
    root: Oid,
    path: &str,
) -> Result<Option<(Oid, ObjectType)>, FetchError> {
    let mut at = (root, ObjectType::Tree);
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let (id, ObjectType::Tree) = at else { return Ok(None) };
        let tree = tree(repository, id)?;
        // A NUL ends libgit2's names.
        let Some(entry) = (!name.contains('\0')).then(|| tree.get_name(name)).flatten() else {
            return Ok(None);
        };
        at = match entry.filemode_raw() & 0o170_000 {
            0o040_000 => (entry.id(), ObjectType::Tree),
            0o100_000 => (entry.id(), ObjectType::Blob),
            _ => return Ok(None),
        };
    }
    Ok(Some(at))
}

/// Whether an object is there, whatever it is.
pub(crate) fn holds(repository: &Repository, id: Oid) -> bool {
    repository.odb().is_ok_and(|odb| odb.exists(id))
}

fn header(repository: &Repository, id: Oid) -> Result<Option<(usize, ObjectType)>, FetchError> {
    match repository.odb().and_then(|odb| odb.read_header(id)) {
        Ok(header) => Ok(Some(header)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

fn fits(what: &str, size: usize, most: usize) -> Result<(), FetchError> {
    if size <= most {
        return Ok(());
    }
    Err(too_large(format!("{what} has {size} bytes; at most {most} are read")))
}

pub(crate) fn broken(error: git2::Error) -> FetchError {
    FetchError::io("git", error.message())
}

pub(crate) fn too_large(detail: String) -> FetchError {
    FetchError::TooLarge { what: "the source".into(), detail }
}
