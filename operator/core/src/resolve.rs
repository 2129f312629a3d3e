//! What becomes of every integration: which of several offers is taken, and what its version and its dependencies allow.

use std::collections::{BTreeMap, BTreeSet};

use sower_crds::environment::EnvironmentSpec;

use crate::catalog::SourceCatalog;
use crate::conflict::{self, Offer, Step};
use crate::depend;
use crate::plan::{Conflict, Current, KeptWhy, Resolution, State, Wanted};
use crate::select::{Selection, order, touches};

/// What becomes of one integration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fate<'a> {
    /// Its rows become this manifest's.
    Take {
        /// The manifest.
        wanted: &'a Wanted,
        /// It is a lower version that was carried before.
        revert: bool,
    },
    /// A conflict keeps what is there, if anything.
    Hold(&'a Wanted),
    /// Something else keeps what is there, if anything.
    Keep(KeptWhy),
    /// Its rows go.
    Remove,
}

/// The fate of every integration that is offered or carried, and the conflicts on the way there.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled<'a> {
    /// By id.
    pub fates: BTreeMap<&'a str, Fate<'a>>,
    /// Sorted by integration and type.
    pub conflicts: Vec<Conflict>,
}

/// The contents that are lower than what the database holds: whether the environment carried them earlier, and so
/// whether taking them is a revert, must be asked before [`resolve`] and answered in [`State::carried`].
#[must_use]
pub fn questions(selection: &Selection, state: &State) -> Vec<(String, String)> {
    let lower = selection.wanted.iter().filter_map(|Wanted { summary, .. }| {
        let here = &standing(state, &summary.id)?.content;
        let lower = here.checksum != summary.checksum
            && conflict::precedence(&summary.version, &here.version).is_lt();
        lower.then(|| (summary.id.clone(), summary.checksum.clone()))
    });
    lower.collect()
}

/// Settles every integration. With `only`, none but those ids is touched, and dependencies are held against what the
/// others are now.
#[must_use]
pub fn resolve<'a>(
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    selection: &'a Selection,
    state: &'a State,
    only: Option<&BTreeSet<String>>,
) -> Settled<'a> {
    let within = |id: &str| only.is_none_or(|ids| ids.contains(id));
    let conflicts_of = &spec.conflicts;
    let by_version: Resolution = conflicts_of.version.into();
    let order = order(sources);
    let mut conflicts = Vec::new();
    let mut fates = BTreeMap::new();

    let mut invalid: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (id, place) in &selection.invalid {
        invalid.entry(id).or_default().push(order.get(place.source.as_str()).copied().unwrap_or(usize::MAX));
    }
    for (id, offers) in offers(&selection.wanted) {
        if !within(id) {
            continue;
        }
        let by_duplicate: Resolution = conflicts_of.duplicate.into();
        if offers.len() > 1 {
            let told: Vec<Offer<'_>> = offers.iter().map(offer).collect();
            let here = standing(state, id).map(|current| &current.content);
            conflicts.extend(conflict::duplicate(id, here, &told, by_duplicate));
        }
        let (Some(first), Some(last)) = (offers.first(), offers.last()) else { continue };
        let wanted = if by_duplicate == Resolution::Skip { first } else { last };
        let rank = order.get(wanted.place.source.as_str()).copied().unwrap_or(usize::MAX);
        let beaten = invalid.remove(id).is_some_and(|ranks| match by_duplicate {
            Resolution::Skip => ranks.iter().any(|other| *other < rank),
            Resolution::Override => ranks.iter().any(|other| *other > rank),
        });
        let fate = if beaten {
            Fate::Keep(KeptWhy::Invalid)
        } else if state.foreign.contains(id) {
            Fate::Keep(KeptWhy::ForeignRow)
        } else {
            let Wanted { summary, .. } = wanted;
            let current = standing(state, id);
            match current
                .map(|current| (current, conflict::step(current, &summary.version, &summary.checksum, state)))
            {
                Some((current, Step::Conflict)) => {
                    conflicts.push(conflict::version(
                        current,
                        &summary.version,
                        &summary.checksum,
                        by_version,
                    ));
                    match by_version {
                        Resolution::Skip => Fate::Hold(wanted),
                        Resolution::Override => Fate::Take { wanted, revert: false },
                    }
                }
                Some((_, Step::Revert)) => Fate::Take { wanted, revert: true },
                _ => Fate::Take { wanted, revert: false },
            }
        };
        fates.insert(id, fate);
    }
    for id in invalid.into_keys().filter(|id| within(id)) {
        fates.entry(id).or_insert(Fate::Keep(KeptWhy::Invalid));
    }
    let guard = Prune::new(spec, sources);
    for (id, current) in &state.rows {
        if !current.removed && within(id) && !fates.contains_key(id.as_str()) {
            fates.insert(id, guard.fate(current));
        }
    }
    depend::settle(
        &mut fates,
        &mut conflicts,
        selection,
        state,
        conflicts_of.dependency.into(),
        only.is_some(),
    );
    for (id, fate) in only.map(|_| outside(spec, sources, selection, state, &within)).into_iter().flatten() {
        fates.insert(id, fate);
    }
    conflicts.sort_by(|a, b| (&a.integration, a.kind).cmp(&(&b.integration, b.kind)));
    Settled { fates, conflicts }
}

/// Our row of an integration, unless it only waits for foreign rows to go.
pub(crate) fn standing<'a>(state: &'a State, id: &str) -> Option<&'a Current> {
    state.rows.get(id).filter(|current| !current.removed)
}

fn offers(wanted: &[Wanted]) -> impl Iterator<Item = (&str, &[Wanted])> {
    wanted
        .chunk_by(|a, b| a.summary.id == b.summary.id)
        .filter_map(|c| Some((c.first()?.summary.id.as_str(), c)))
}

fn offer(wanted: &Wanted) -> Offer<'_> {
    let Wanted { summary, place, .. } = wanted;
    Offer { source: &place.source, version: &summary.version, checksum: &summary.checksum }
}

/// The carried integrations that `only` leaves alone although git says otherwise.
fn outside<'a>(
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    selection: &Selection,
    state: &'a State,
    within: &impl Fn(&str) -> bool,
) -> Vec<(&'a str, Fate<'a>)> {
    let by_duplicate: Resolution = spec.conflicts.duplicate.into();
    let guard = Prune::new(spec, sources);
    let chosen: BTreeMap<&str, Option<&Wanted>> = offers(&selection.wanted)
        .map(|(id, offers)| {
            (id, if by_duplicate == Resolution::Skip { offers.first() } else { offers.last() })
        })
        .collect();
    let invalid: BTreeSet<&str> = selection.invalid.iter().map(|(id, _)| id.as_str()).collect();
    let differs = |current: &Current| match chosen.get(current.id.as_str()) {
        Some(Some(wanted)) => wanted.summary.checksum != current.content.checksum,
        _ => !invalid.contains(current.id.as_str()) && guard.fate(current) == Fate::Remove,
    };
    let others =
        state.rows.iter().filter(|(id, current)| !within(id) && !current.removed && differs(current));
    others.map(|(id, _)| (id.as_str(), Fate::Keep(KeptWhy::NotNamed))).collect()
}

/// What guards rows that nothing selects any more.
struct Prune<'a> {
    spec: &'a EnvironmentSpec,
    /// The sources that were read, and whether each keeps all.
    read: BTreeMap<&'a str, bool>,
    /// The sources that the environment names.
    named: BTreeSet<&'a str>,
}

impl<'a> Prune<'a> {
    fn new(spec: &'a EnvironmentSpec, sources: &'a [SourceCatalog]) -> Self {
        Self {
            spec,
            read: sources.iter().map(|source| (source.name.as_str(), source.keeps_all().is_some())).collect(),
            named: spec.sources.iter().map(|source| source.name.as_str()).collect(),
        }
    }

    fn fate(&self, current: &Current) -> Fate<'static> {
        if !touches(self.spec, &current.id) {
            Fate::Keep(KeptWhy::Orphaned)
        } else if !self.spec.prune {
            Fate::Keep(KeptWhy::NotPruned)
        } else if self.keeps(&current.source) {
            Fate::Keep(KeptWhy::SourceKeepsAll)
        } else {
            Fate::Remove
        }
    }

    /// A source that was not read whole keeps its rows. Those of a source that the environment no longer names go, but
    /// only while every other source is known whole: it may have been renamed, and its documents be the unreadable ones.
    fn keeps(&self, source: &str) -> bool {
        match self.read.get(source) {
            Some(keeps) => *keeps,
            None => {
                self.named.contains(source) || self.read.is_empty() || self.read.values().any(|keeps| *keeps)
            }
        }
    }
}
