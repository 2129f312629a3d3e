//! The row-level difference between what was settled and what the database holds.

use std::collections::BTreeSet;

use crate::catalog::Lifecycle;
use crate::hash::plan_hash;
use crate::plan::{Content, Current, Excluded, Kept, KeptWhy, Operation, Plan, State, Verb, Wanted};
use crate::resolve::{Fate, Settled, standing};
use crate::select::Selection;

/// How a plan is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// None but these ids; the same as was given to [`crate::resolve::resolve`].
    pub only: Option<&'a BTreeSet<String>>,
    /// Rows that are as they should be are written again.
    pub reseed: bool,
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
    let mut unchanged = 0;
    let mut processed = 0;
    for (id, fate) in fates {
        let current = standing(state, id);
        match fate {
            Fate::Take { wanted, revert } => {
                processed += 1;
                if wanted.summary.lifecycle == Lifecycle::Deprecated {
                    deprecated.push((id.to_owned(), wanted.summary.replaced_by.clone()));
                }
                match take(wanted, revert, current, wish.reseed) {
                    Some(operation) => operations.push(operation),
                    None => unchanged += 1,
                }
            }
            Fate::Hold(_) => processed += 1,
            Fate::Keep(why) => {
                processed += usize::from(matches!(why, KeptWhy::ForeignRow | KeptWhy::Understated));
                kept.push(Kept {
                    id: id.to_owned(),
                    version: current.map(|c| c.content.version.clone()),
                    why,
                });
            }
            Fate::Remove => operations.extend(current.map(remove)),
        }
    }
    let hash = plan_hash(&selection.environment, spec_digest, state.base, &operations, &conflicts);
    Plan {
        environment: selection.environment.clone(),
        hash,
        base: state.base,
        scope: wish.only.cloned(),
        operations,
        unchanged,
        processed,
        conflicts,
        excluded: excluded(selection),
        kept,
        deprecated,
    }
}

fn take(wanted: &Wanted, revert: bool, current: Option<&Current>, reseed: bool) -> Option<Operation> {
    let Wanted { summary, place, revision } = wanted;
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
    })
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
