//! A tree that notes what it could not read: an error that may pass is no content of a file.

use std::sync::{Mutex, PoisonError};

use crate::snapshot::{FileEntry, ReadError, Tree};

/// A file that is there and cannot be read now. What was found without it is not what the source holds, so nothing is
/// told of it and nothing remembered: it is to be read again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot read {path}: {cause}")]
pub struct Unread {
    /// Path from the root of the tree.
    pub path: String,
    /// What the storage beneath said.
    pub cause: String,
}

/// The tree of one load.
pub(super) struct Minded<'a> {
    tree: &'a dyn Tree,
    first: Mutex<Option<Unread>>,
}

impl<'a> Minded<'a> {
    pub(super) fn new(tree: &'a dyn Tree) -> Self {
        Self { tree, first: Mutex::new(None) }
    }

    /// What was found, if everything that was asked for could be read.
    pub(super) fn whole<T>(self, found: T) -> Result<T, Unread> {
        self.first.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(found), Err)
    }

    fn note(&self, path: &str, error: &ReadError) {
        let unread = Unread { path: path.to_owned(), cause: error.to_string() };
        self.first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(unread);
    }
}

impl Tree for Minded<'_> {
    fn files(&self) -> &[FileEntry] {
        self.tree.files()
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        self.tree.entry(path).inspect_err(|error| self.note(path, error))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.tree.read(path).inspect_err(|error| match error {
            // No file has this name: that is an answer. One that is listed and gone is none.
            ReadError::NotFound if matches!(self.tree.entry(path), Ok(None)) => {}
            ReadError::TooLarge { .. } => {}
            ReadError::NotFound | ReadError::Io(_) => self.note(path, error),
        })
    }
}
