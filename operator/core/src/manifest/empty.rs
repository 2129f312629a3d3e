//! Files that are manifests by their name and hold nothing: most often one that was emptied in place of being deleted.

use std::collections::BTreeSet;

use super::file::without_id;
use super::report::{Path, Sink};
use super::tree::{self, MAX_BYTES, Mark};
use crate::catalog::Found;
use crate::problem::Code;
use crate::snapshot::Tree;

/// What is to be said of the files of `tree` that are `named` as manifests, of which nothing was `found`, and which hold no
/// document at all: a warning each, sorted by place.
///
/// [`load`](super::load) leaves them out. To a seeding such a file says nothing, not even whether it was a manifest of ours:
/// it keeps the rows that were read from it before, and tells that where there are some.
#[must_use]
pub fn empty_files(
    source: &str,
    tree: &dyn Tree,
    named: impl Fn(&str) -> bool,
    found: &[Found],
) -> Vec<Found> {
    let held: BTreeSet<&str> = found.iter().map(|found| found.place.path.as_str()).collect();
    let mut all = Vec::new();
    let looked_at = |path: &str| named(path) && !held.contains(path);
    for entry in tree.files().iter().filter(|entry| looked_at(&entry.path)) {
        if entry.size > MAX_BYTES as u64 || !tree.read(&entry.path).is_ok_and(|bytes| is_empty(&bytes)) {
            continue;
        }
        let mut sink = Sink::new(&entry.path, "");
        let hint = "delete the file to delete the integration; while it is there, environments keep the rows they have of it";
        let message = "the file is named as a manifest and holds none";
        sink.push(Code::Syntax, Mark::TOP, &Path::ROOT, message, "no document", Some(hint.to_owned()));
        sink.soften();
        all.push(without_id(source, entry, 0, sink).found);
    }
    all.sort_by(|a, b| a.place.cmp(&b.place));
    all
}

/// Nothing, white space and comments, or documents without a value.
fn is_empty(bytes: &[u8]) -> bool {
    let parsed = tree::parse(bytes);
    parsed.faults.is_empty()
        && parsed.broken.is_none()
        && parsed.documents.iter().all(|document| document.root.is_null())
}
