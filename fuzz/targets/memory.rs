//! A source of few files, in memory.

use sower_core::snapshot::{FileEntry, ReadError, Tree};

/// The file that is loaded.
pub const MANIFEST: &str = "integrations/acme/integration.yaml";

/// Files and their bytes.
pub struct Memory<'a> {
    entries: Vec<FileEntry>,
    bytes: Vec<&'a [u8]>,
}

impl<'a> Memory<'a> {
    /// A manifest, and the files beside it. Their names are in order.
    pub fn new(manifest: &'a [u8], beside: &[(&str, &'a [u8])]) -> Self {
        let (mut entries, mut bytes) = (Vec::new(), Vec::new());
        for (path, content) in std::iter::once(&(MANIFEST, manifest)).chain(beside) {
            entries.push(FileEntry {
                path: (*path).to_owned(),
                blob: String::new(),
                size: content.len() as u64,
            });
            bytes.push(*content);
        }
        Self { entries, bytes }
    }
}

impl Tree for Memory<'_> {
    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        Ok(self.entries.iter().find(|entry| entry.path == path).cloned())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        let at = self.entries.iter().position(|entry| entry.path == path).ok_or(ReadError::NotFound)?;
        Ok(self.bytes[at].to_vec())
    }
}
