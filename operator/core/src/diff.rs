//! The row-level difference between what was settled and what the database holds.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Lifecycle, Place, Summary};
use crate::drift::Left;
use crate::hash::plan_hash;
use crate::plan::{
    Content, Current, Excluded, Kept, KeptWhy, Operation, Plan, State, UnderWay, Verb, Wanted,
};
use crate::quarantine::ABSENCE;
use crate::resolve::{Fate, Settled, standing};
use crate::select::Selection;

/// How a plan is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// None but these ids; the same as was given to [`crate::resolve::resolve`].
    pub only: Option<&'a BTreeSet<String>>,
    /// Rows that are as they should be are written again.
    pub reseed: bool,
    /// What drifted: it becomes again what the last seeding left, unless git has something else for it. The state says what
    /// was left, and not what is there.
    pub mend: Option<&'a BTreeMap<String, Left>>,
}

impl Wish<'_> {
    fn left(&self, id: &str) -> Option<&Left> {
        self.mend?.get(id)
    }
}

/// The plan that makes the database what was settled. `spec_digest` is [`crate::hash::spec_digest`]'s.
#[must_use]
pub fn diff(
    spec_digest: &str,
    selection: &Selection,
    settled: Settled<'_>,
    state: &State,
    wish: Wish<'_>,
) -> Plan {
    let Settled { fates, conflicts } = settled;
    let mut operations = Vec::new();
    let mut kept = Vec::new();
    let mut deprecated = Vec::new();
    let mut put_back = BTreeSet::new();
    let mut unchanged = 0;
    let mut processed = 0;
    let mut lifted = Vec::new();
    for (id, fate) in fates {
        let current = standing(state, id);
        match fate {
            Fate::Take { wanted, revert } => {
                processed += 1;
                let under_way = state.rollouts.get(id);
                let again = under_way.filter(|under_way| under_way.to.checksum == wanted.summary.checksum);
                // What is compared with something is nothing newer than what that left out.
                if state.quarantine.is_about(id) && again.is_none() {
                    lifted.push(id.to_owned());
                }
                if wanted.summary.lifecycle == Lifecycle::Deprecated {
                    deprecated.push((id.to_owned(), wanted.summary.replaced_by.clone()));
                }
                // What is merged is written although the content may be the same: from now on it is of this content of git.
                let merges = state.merges.merged(id, &wanted.summary.checksum).is_some();
                let put_right = wish.left(id).filter(|_| again.is_some());
                // What all have beside a rollout is nothing that git has: it is only put back.
                let anew = (wish.reseed && under_way.is_none()) || wish.left(id).is_some() || merges;
                let taken = match put_right {
                    Some(left) => Some(restore(id, left, &mut put_back)),
                    None => match (take(wanted, revert, current, anew), under_way) {
                        (Some(taken), Some(under_way)) => instead(taken, under_way),
                        (taken, _) => taken,
                    },
                };
                match taken {
                    Some(operation) => operations.push(operation),
                    None => unchanged += 1,
                }
            }
            Fate::Stay(wanted) => {
                processed += 1;
                let anew = wish.reseed || wish.left(id).is_some();
                match current.and_then(|current| stay(wanted, current, anew)) {
                    Some(operation) => operations.push(operation),
                    None => unchanged += 1,
                }
            }
            Fate::Agreed(_) => {
                processed += 1;
                match wish.left(id) {
                    Some(left) => operations.push(restore(id, left, &mut put_back)),
                    None => unchanged += 1,
                }
            }
            Fate::Hold(_) => {
                processed += 1;
                operations.extend(wish.left(id).map(|left| restore(id, left, &mut put_back)));
            }
            Fate::Keep(why) => {
                let left = wish.left(id).filter(|_| why != KeptWhy::ForeignRow);
                operations.extend(left.map(|left| restore(id, left, &mut put_back)));
                processed += usize::from(matches!(why, KeptWhy::ForeignRow | KeptWhy::Understated));
                kept.push(Kept {
                    id: id.to_owned(),
                    version: current.map(|c| c.content.version.clone()),
                    why,
                });
            }
            Fate::Remove => {
                if state.quarantine.is_asked_back(id, ABSENCE) {
                    lifted.push(id.to_owned());
                }
                let stable = state.rollouts.get(id).and_then(|under_way| under_way.stable.as_ref());
                operations.extend(stable.or(current).map(remove));
            }
        }
    }
    let hash = plan_hash(&selection.environment, spec_digest, state.base, &operations, &conflicts);
    Plan {
        environment: selection.environment.clone(),
        hash,
        base: state.base,
        scope: wish.only.cloned(),
        operations,
        put_back,
        unchanged,
        processed,
        conflicts,
        excluded: excluded(selection),
        kept,
        lifted,
        deprecated,
    }
}

fn take(wanted: &Wanted, revert: bool, current: Option<&Current>, reseed: bool) -> Option<Operation> {
    let Wanted { summary, place, revision, resolve: _ } = wanted;
    let verb = match current {
        None => Verb::Create,
        Some(current) if current.content.checksum != summary.checksum => Verb::Update,
        Some(current) if current.source != place.source || current.path != place.path => Verb::Move,
        Some(_) if reseed => Verb::Update,
        Some(_) => return None,
    };
    Some(Operation {
        id: summary.id.clone(),
        verb,
        from: current.map(|current| current.content.clone()),
        to: Some(Content { version: summary.version.clone(), checksum: summary.checksum.clone() }),
        place: Some(place.clone()),
        revision: Some(revision.clone()),
        source: place.source.clone(),
        revert,
        prune_disabled: summary.annotations.prune_disabled,
        staged: false,
    })
}

/// What git says beside a rollout changes what all have, unless it says that again: then the rollout is all that ends.
fn instead(taken: Operation, under_way: &UnderWay) -> Option<Operation> {
    let stable = under_way.stable.as_ref().map(|stable| &stable.content);
    match taken.verb {
        // Where it comes from is told when all have it.
        Verb::Move => None,
        Verb::Update if taken.to.as_ref() != stable => Some(Operation { from: stable.cloned(), ..taken }),
        Verb::Update | Verb::Create | Verb::Remove => Some(taken),
    }
}

/// The rows of what git says otherwise, as they were.
fn restore(id: &str, left: &Left, put_back: &mut BTreeSet<String>) -> Operation {
    let Left { content, source, path, revision, prune_disabled } = left;
    put_back.insert(id.to_owned());
    Operation {
        id: id.to_owned(),
        verb: Verb::Update,
        from: Some(content.clone()),
        to: Some(content.clone()),
        place: Some(Place { source: source.clone(), path: path.clone(), document: 0 }),
        revision: Some(revision.clone()),
        source: source.clone(),
        revert: false,
        prune_disabled: *prune_disabled,
        staged: false,
    }
}

/// What becomes of rows into which hand edits were merged: they move with their file.
fn stay(wanted: &Wanted, current: &Current, reseed: bool) -> Option<Operation> {
    let Content { version, checksum } = current.content.clone();
    let summary = Summary { version, checksum, ..wanted.summary.clone() };
    take(&Wanted { summary, ..wanted.clone() }, false, Some(current), reseed)
}

fn remove(current: &Current) -> Operation {
    Operation {
        id: current.id.clone(),
        verb: Verb::Remove,
        from: Some(current.content.clone()),
        to: None,
        place: None,
        revision: None,
        source: current.source.clone(),
        revert: false,
        prune_disabled: false,
        staged: false,
    }
}

/// One entry for each integration that no source may bring in: the reason of the source that would win.
fn excluded(selection: &Selection) -> Vec<Excluded> {
    let wanted: BTreeSet<&str> = selection.wanted.iter().map(|w| w.summary.id.as_str()).collect();
    let mut excluded: Vec<Excluded> =
        selection.excluded.iter().filter(|e| !wanted.contains(e.id.as_str())).cloned().collect();
    excluded.dedup_by(|later, first| later.id == first.id);
    excluded
}
