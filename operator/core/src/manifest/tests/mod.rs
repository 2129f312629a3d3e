mod annotations;
mod cases;
mod codes;
mod environments;
mod forms;
mod hostile;
mod references;
mod shipped;
mod speed;
mod unread;

use std::collections::BTreeMap;

use super::*;
use crate::catalog::Found;
use crate::problem::Problem;
use crate::snapshot::{FileEntry, ReadError, Tree};

/// Files in memory. The blob of a file is the checksum of its bytes.
#[derive(Default)]
pub(super) struct Memory {
    entries: Vec<FileEntry>,
    bytes: BTreeMap<String, Vec<u8>>,
}

impl Memory {
    pub(super) fn of<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Self {
        let mut memory = Memory::default();
        for (path, bytes) in files {
            memory.bytes.insert((*path).to_owned(), bytes.as_ref().to_vec());
        }
        memory.entries = memory
            .bytes
            .iter()
            .map(|(path, bytes)| FileEntry {
                path: path.clone(),
                blob: checksum(bytes)[3..43].to_owned(),
                size: bytes.len() as u64,
            })
            .collect();
        memory
    }
}

impl Tree for Memory {
    fn files(&self) -> &[FileEntry] {
        &self.entries
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        Ok(self.entries.iter().find(|e| e.path == path).cloned())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        self.bytes.get(path).cloned().ok_or(ReadError::NotFound)
    }
}

/// What is found in a tree of which every file can be read.
pub(super) fn load(
    source: &str,
    tree: &dyn Tree,
    limits: Limits,
    known: &(dyn Fn(&FileEntry) -> Option<Vec<Found>> + Sync),
) -> Vec<Found> {
    super::load(source, tree, limits, known).expect("all can be read")
}

/// What is found in these files, none of which was seen before.
pub(super) fn load_all<B: AsRef<[u8]>>(files: &[(&str, B)]) -> Vec<Found> {
    load("test", &Memory::of(files), Limits::FILES, &|_| None)
}

/// The problems of one manifest.
pub(super) fn problems(text: &str) -> Vec<Problem> {
    load_all(&[("integration.yaml", text)]).into_iter().flat_map(|f| f.problems).collect()
}

/// A resource of the cluster without annotations.
pub(super) fn resource<'a>(path: &'a str, name: &'a str, spec: &'a serde_json::Value) -> ResourceEntry<'a> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    ResourceEntry { path, blob: "1", name, annotations: &NONE, spec }
}
