//! What becomes of every integration: which of several offers is taken, and what its version and its dependencies allow.

use std::collections::{BTreeMap, BTreeSet};

use sower_crds::environment::EnvironmentSpec;

use crate::catalog::{Place, SourceCatalog};
use crate::conflict::{self, Offer, Step};
use crate::depend;
use crate::plan::{Conflict, Current, KeptWhy, Resolution, State, Wanted};
use crate::prune::Prune;
use crate::select::{Selection, order};

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
    let question =
        Question { spec, order: order(sources), prune: Prune::new(spec, sources), selection, state, only };
    let mut settled = Settled { fates: BTreeMap::new(), conflicts: Vec::new() };
    question.offered(&mut settled);
    question.left(&mut settled);
    depend::settle(&mut settled, selection, state, spec.conflicts.dependency.into(), only.is_some());
    question.outside(&mut settled);
    settled.conflicts.sort_by(|a, b| (&a.integration, a.kind).cmp(&(&b.integration, b.kind)));
    settled
}

/// Our row of an integration, unless it only waits for foreign rows to go.
pub(crate) fn standing<'a>(state: &'a State, id: &str) -> Option<&'a Current> {
    state.rows.get(id).filter(|current| !current.removed)
}

/// All that a fate depends on.
struct Question<'a, 'b> {
    spec: &'b EnvironmentSpec,
    order: BTreeMap<&'b str, usize>,
    prune: Prune<'b>,
    selection: &'a Selection,
    state: &'a State,
    only: Option<&'b BTreeSet<String>>,
}

impl<'a> Question<'a, '_> {
    fn within(&self, id: &str) -> bool {
        self.only.is_none_or(|ids| ids.contains(id))
    }

    /// Every id that the environment lets in, with its valid offers in the order of the sources: none if all are invalid.
    fn offers(&self) -> BTreeMap<&'a str, &'a [Wanted]> {
        let by_id = self.selection.wanted.chunk_by(|a, b| a.summary.id == b.summary.id);
        let mut offers: BTreeMap<&str, &[Wanted]> =
            by_id.filter_map(|offers| Some((offers.first()?.summary.id.as_str(), offers))).collect();
        for (id, _) in &self.selection.invalid {
            offers.entry(id).or_default();
        }
        offers
    }

    /// The offer that wins, unless an invalid one does: what that says is not known, so the rows stay.
    fn winner(&self, id: &str, offers: &'a [Wanted]) -> Option<&'a Wanted> {
        let last = Resolution::from(self.spec.conflicts.duplicate) == Resolution::Override;
        let wanted = if last { offers.last() } else { offers.first() }?;
        let rank = |place: &Place| self.order.get(place.source.as_str()).copied();
        let invalid = &self.selection.invalid;
        let start = invalid.partition_point(|(other, _)| other.as_str() < id);
        let mut rivals =
            invalid[start..].iter().take_while(|(other, _)| other == id).map(|(_, place)| rank(place));
        let own = rank(&wanted.place);
        let beaten = rivals.any(|rival| if last { rival > own } else { rival < own });
        (!beaten).then_some(wanted)
    }

    /// What is offered: duplicates first, then versions.
    fn offered(&self, settled: &mut Settled<'a>) {
        let by_duplicate = self.spec.conflicts.duplicate.into();
        for (id, offers) in self.offers().into_iter().filter(|(id, _)| self.within(id)) {
            if offers.len() > 1 {
                let told: Vec<Offer<'_>> = offers.iter().map(offer).collect();
                let here = standing(self.state, id).map(|current| &current.content);
                settled.conflicts.extend(conflict::duplicate(id, here, &told, by_duplicate));
            }
            let fate = match self.winner(id, offers) {
                None => Fate::Keep(KeptWhy::Invalid),
                Some(_) if self.state.foreign.contains(id) => Fate::Keep(KeptWhy::ForeignRow),
                Some(_) if self.state.denied.contains_key(id) => Fate::Keep(KeptWhy::Understated),
                Some(wanted) => self.version(wanted, &mut settled.conflicts),
            };
            settled.fates.insert(id, fate);
        }
    }

    /// What the version that is there makes of an offer.
    fn version(&self, wanted: &'a Wanted, conflicts: &mut Vec<Conflict>) -> Fate<'a> {
        let Offer { version, checksum, .. } = offer(wanted);
        let Some(current) = standing(self.state, &wanted.summary.id) else {
            return Fate::Take { wanted, revert: false };
        };
        match conflict::step(current, version, checksum, self.state) {
            Step::Same | Step::Newer => Fate::Take { wanted, revert: false },
            Step::Revert => Fate::Take { wanted, revert: true },
            Step::Conflict => {
                let resolution = self.spec.conflicts.version.into();
                conflicts.push(conflict::version(current, version, checksum, resolution));
                match resolution {
                    Resolution::Skip => Fate::Hold(wanted),
                    Resolution::Override => Fate::Take { wanted, revert: false },
                }
            }
        }
    }

    /// Rows that nothing offers any more.
    fn left(&self, settled: &mut Settled<'a>) {
        for (id, current) in &self.state.rows {
            if !current.removed && self.within(id) {
                settled.fates.entry(id).or_insert_with(|| self.prune.fate(current));
            }
        }
    }

    /// The carried integrations that `only` leaves alone although git says otherwise.
    fn outside(&self, settled: &mut Settled<'a>) {
        if self.only.is_none() {
            return;
        }
        let offers = self.offers();
        for (id, current) in self.state.rows.iter().filter(|(id, c)| !c.removed && !self.within(id)) {
            let differs = match offers.get(id.as_str()) {
                None => self.prune.fate(current) == Fate::Remove,
                Some(offers) => self
                    .winner(id, offers)
                    .is_some_and(|wanted| wanted.summary.checksum != current.content.checksum),
            };
            if differs {
                settled.fates.insert(id, Fate::Keep(KeptWhy::NotNamed));
            }
        }
    }
}

fn offer(wanted: &Wanted) -> Offer<'_> {
    let Wanted { summary, place, .. } = wanted;
    Offer { source: &place.source, version: &summary.version, checksum: &summary.checksum }
}
