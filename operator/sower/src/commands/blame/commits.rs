//! The commits behind seedings, where the repository lies on this disk.

use sower_source::{Checkout, CommitInfo, Limits};
use sower_store::Turn;

use crate::origin;
use crate::past::Past;
use crate::session::{Member, Session};

/// The repositories that an environment's sources are made of.
pub struct Commits {
    checkouts: Vec<Checkout>,
    id: String,
}

impl Commits {
    /// Those that are on this disk; none where a cluster is asked.
    #[must_use]
    pub fn on_disk(session: &Session, member: &Member, id: &str) -> Self {
        let folders = match session.cluster {
            Some(_) => Vec::new(),
            None => origin::on_disk(&session.settings, member.name(), &member.loaded.spec),
        };
        let checkouts = folders.iter().filter_map(|(folder, _)| Checkout::discover(folder).ok());
        Self { checkouts: checkouts.collect(), id: id.to_owned() }
    }

    /// The last commit that touched the integration, up to what a turn was made of. None where that is not known here, and
    /// where it is the one of the turn before: then what changed lies elsewhere.
    #[must_use]
    pub fn of(&self, past: &Past, turn: &Turn) -> Option<CommitInfo> {
        let before = past.turns.iter().rev().find(|earlier| earlier.seq < turn.seq);
        let commit = self.last(past, turn)?;
        let same = before.and_then(|before| self.last(past, before)).is_some_and(|last| last.id == commit.id);
        (!same).then_some(commit)
    }

    fn last(&self, past: &Past, turn: &Turn) -> Option<CommitInfo> {
        // What was edited no commit explains.
        let revision = past.revision(turn).filter(|revision| !revision.dirty)?;
        let path = &past.kept(turn)?.path;
        // Its folder, or its file where others lie beside it.
        let folder = path.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
        let alone = folder.rsplit('/').next() == Some(&self.id);
        let place = if alone { folder } else { path };
        self.checkouts.iter().find_map(|checkout| {
            let tree = checkout.unlisted(&revision, "", Limits::default()).ok()?;
            tree.log(place, 1).into_iter().next()
        })
    }
}
