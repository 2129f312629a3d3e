//! When the commit was made that a seeding brings: from there on its pusher waits for the rows.

use jiff::Timestamp;
use sower_source::GitTree;

use super::{Planned, ReadSource};

/// When the new commit was made; of several sources that moved on, the one that waited longest. None where no source did.
pub(super) fn at(planned: &Planned) -> Option<Timestamp> {
    let before = planned.row.as_ref().map(|row| &row.applied);
    let moved = |source: &&ReadSource| {
        let snapshot = &source.snapshot;
        let held = before.and_then(|applied| applied.get(&snapshot.name));
        !snapshot.revision.dirty && held.is_none_or(|held| held.revision != snapshot.revision)
    };
    let heads =
        planned.reading.sources.iter().filter(moved).filter_map(|source| source.snapshot.git.as_ref());
    let commits = heads.filter_map(GitTree::head);
    commits.filter_map(|commit| Timestamp::from_second(commit.committed).ok()).min()
}
