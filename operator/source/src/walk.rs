//! Walking git trees that somebody else made: bounded in entries and in depth.

use std::cmp::Ordering;

use git2::{Oid, Repository, Tree, TreeEntry};

use crate::objects::{self, too_large};
use crate::{FetchError, place};

/// Deeper folders than any catalog has.
const MAX_DEPTH: usize = 64;

/// A file that differs between two trees.
pub(crate) struct RawChange {
    pub path: String,
    /// Its blob in the later one; none where it is gone.
    pub after: Option<Oid>,
}

/// What an entry of a tree is, as far as it matters here. Links and submodules are not there at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Folder(Oid),
    File(Oid),
}

impl Entry {
    fn of(entry: &TreeEntry<'_>) -> Option<Self> {
        match entry.filemode_raw() & 0o170_000 {
            0o040_000 => Some(Self::Folder(entry.id())),
            0o100_000 => Some(Self::File(entry.id())),
            _ => None,
        }
    }

    fn folder(self) -> Option<Oid> {
        match self {
            Self::Folder(id) => Some(id),
            Self::File(_) => None,
        }
    }

    fn file(self) -> Option<Oid> {
        match self {
            Self::File(id) => Some(id),
            Self::Folder(_) => None,
        }
    }
}

pub(crate) struct Walk<'r> {
    repository: &'r Repository,
    /// Entries that may still be looked at.
    left: usize,
    max_files: usize,
    found: Vec<RawChange>,
}

impl<'r> Walk<'r> {
    /// The files that differ between two trees; none for a side means nothing is there. Trees that are equal are not
    /// opened.
    pub fn changes(
        repository: &'r Repository,
        before: Option<Oid>,
        after: Option<Oid>,
        prefix: &str,
        max_files: usize,
    ) -> Result<Vec<RawChange>, FetchError> {
        // A tree may hold itself many times over without one file: folders count too.
        let left = max_files.saturating_mul(4).saturating_add(1000);
        let mut walk = Self { repository, left, max_files, found: Vec::new() };
        walk.compare(before, after, prefix, 0)?;
        Ok(walk.found)
    }

    fn compare(
        &mut self,
        before: Option<Oid>,
        after: Option<Oid>,
        prefix: &str,
        depth: usize,
    ) -> Result<(), FetchError> {
        if before == after {
            return Ok(());
        }
        if depth > MAX_DEPTH {
            return Err(too_large(format!("folders are nested deeper than {MAX_DEPTH}")));
        }
        let (before, after) = (self.tree(before)?, self.tree(after)?);
        let (mut before, mut after) =
            (sorted(before.as_ref()).into_iter().peekable(), sorted(after.as_ref()).into_iter().peekable());
        loop {
            let order = match (before.peek(), after.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => old.name_bytes().cmp(new.name_bytes()),
            };
            let old = if order.is_le() { before.next() } else { None };
            let new = if order.is_ge() { after.next() } else { None };
            let same = |old: &TreeEntry<'_>, new: &TreeEntry<'_>| {
                old.id() == new.id() && old.filemode_raw() == new.filemode_raw()
            };
            if old.as_ref().zip(new.as_ref()).is_some_and(|(old, new)| same(old, new)) {
                continue;
            }
            let Some(name) = old.as_ref().or(new.as_ref()).and_then(plain_name) else { continue };
            let path = place::join(prefix, &name);
            self.differ(&path, old.as_ref().and_then(Entry::of), new.as_ref().and_then(Entry::of), depth)?;
        }
    }

    fn differ(
        &mut self,
        path: &str,
        old: Option<Entry>,
        new: Option<Entry>,
        depth: usize,
    ) -> Result<(), FetchError> {
        let (before, after) = (old.and_then(Entry::file), new.and_then(Entry::file));
        if before != after {
            if self.found.len() >= self.max_files {
                return Err(too_large(format!("more than {} files", self.max_files)));
            }
            self.found.push(RawChange { path: path.to_owned(), after });
        }
        self.compare(old.and_then(Entry::folder), new.and_then(Entry::folder), path, depth + 1)
    }

    fn tree(&mut self, tree: Option<Oid>) -> Result<Option<Tree<'r>>, FetchError> {
        let Some(id) = tree else { return Ok(None) };
        let tree = objects::tree(self.repository, id)?;
        self.left = self
            .left
            .checked_sub(tree.len())
            .ok_or_else(|| too_large(format!("more than {} files and folders", self.max_files)))?;
        Ok(Some(tree))
    }
}

/// A tree's entries by name alone: git sorts a folder as if its name ended in `/`.
fn sorted<'t>(tree: Option<&'t Tree<'_>>) -> Vec<TreeEntry<'t>> {
    let mut entries: Vec<_> = tree.into_iter().flatten().collect();
    entries.sort_by(|a, b| a.name_bytes().cmp(b.name_bytes()));
    entries.dedup_by(|a, b| a.name_bytes() == b.name_bytes());
    entries
}

fn plain_name(entry: &TreeEntry<'_>) -> Option<String> {
    Some(String::from_utf8_lossy(entry.name_bytes()).into_owned()).filter(|name| is_plain(name))
}

/// A name that means the same file wherever it is used.
pub(crate) fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | ".." | ".git")
        && !name.contains(['/', '\0'])
        && !name.chars().any(char::is_control)
}
