//! What becomes of every integration: which of several offers is taken, and what its version and its dependencies allow.

use std::collections::{BTreeMap, BTreeSet};

use sower_crds::environment::EnvironmentSpec;

use crate::catalog::{Place, SourceCatalog};
use crate::conflict::{self, Offer, Step};
use crate::depend;
use crate::merges::{Made, Unmerged};
use crate::plan::{Conflict, ConflictType, Current, KeptWhy, Resolution, State, Wanted};
use crate::prune::Prune;
use crate::quarantine::ABSENCE;
use crate::resolution::resolution;
use crate::select::{Selection, lists_out, order};

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
    /// Its rows are this manifest's with hand edits merged in, and stay so.
    Stay(&'a Wanted),
    /// What is there stays, because it is what all who need it agree on.
    Agreed(&'a Wanted),
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
    let unions = state.merges.unions.values().filter_map(|union| union.as_ref().ok());
    let offered = selection.wanted.iter().chain(unions.map(|made| &made.wanted));
    let lower = offered.filter_map(|Wanted { summary, .. }| {
        let here = &held_against(state, &summary.id, &summary.checksum)?.content;
        let lower = here.checksum != summary.checksum
            && conflict::precedence(&summary.version, &here.version).is_lt();
        lower.then(|| (summary.id.clone(), summary.checksum.clone()))
    });
    lower.collect()
}

/// The offers of every integration whose offers are to be merged into a union: the answers are to stand in
/// [`State::merges`] before anything else is asked.
#[must_use]
pub fn to_unite<'a>(
    spec: &EnvironmentSpec,
    selection: &'a Selection,
    only: Option<&BTreeSet<String>>,
) -> Vec<&'a [Wanted]> {
    let by_id = selection.wanted.chunk_by(|a, b| a.summary.id == b.summary.id);
    let several = by_id.filter(|offers| offers.len() > 1);
    several
        .filter(|offers| only.is_none_or(|only| only.contains(&offers[0].summary.id)))
        .filter(|offers| resolution(spec.conflicts, ConflictType::Duplicate, offers) == Resolution::Merge)
        .collect()
}

/// What is offered to every integration whose version is in conflict, and that is to be merged with what is there: the
/// answers are to stand in [`State::merges`] before [`resolve`].
#[must_use]
pub fn to_merge<'a>(
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    selection: &'a Selection,
    state: &'a State,
    only: Option<&BTreeSet<String>>,
) -> Vec<&'a Wanted> {
    let question = Question::new(spec, sources, selection, state, only);
    let offers = question.offers().into_iter().filter(|(id, _)| question.within(id));
    let merged = offers.filter_map(|(id, offers)| {
        let wanted = question.winner(id, offers)?;
        let Offer { version, checksum, .. } = offer(wanted);
        let current = held_against(state, id, checksum)?;
        let conflict = conflict::step(current, version, checksum, state) == Step::Conflict;
        let merges = question.resolution(ConflictType::Version, wanted) == Resolution::Merge;
        (conflict && merges && !state.foreign.contains(id) && !state.waits(id)).then_some(wanted)
    });
    merged.collect()
}

/// Whatever integrations with an unmet dependency need: which versions of it are known is to stand in [`State::merges`],
/// and all is to be settled once more with it.
#[must_use]
pub fn to_know(conflicts: &[Conflict], selection: &Selection) -> BTreeSet<String> {
    let unmet: BTreeSet<&str> = conflicts
        .iter()
        .filter(|conflict| conflict.kind == ConflictType::Dependency)
        .map(|conflict| conflict.integration.as_str())
        .collect();
    let needy = selection.wanted.iter().filter(|wanted| unmet.contains(wanted.summary.id.as_str()));
    needy.flat_map(|wanted| &wanted.summary.dependencies).map(|dependency| dependency.id.clone()).collect()
}

/// Of each integration the offer that wins; none where an invalid one does. Unions are to stand in [`State::merges`].
#[must_use]
pub fn winners<'a>(
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    selection: &'a Selection,
    state: &'a State,
) -> BTreeMap<&'a str, &'a Wanted> {
    let question = Question::new(spec, sources, selection, state, None);
    let offers = question.offers().into_iter();
    offers.filter_map(|(id, offers)| Some((id, question.winner(id, offers)?))).collect()
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
    let question = Question::new(spec, sources, selection, state, only);
    let mut settled = Settled { fates: BTreeMap::new(), conflicts: Vec::new() };
    question.offered(&mut settled);
    question.left(&mut settled);
    depend::settle(&mut settled, selection, state, spec.conflicts, only.is_some());
    question.outside(&mut settled);
    settled.conflicts.sort_by(|a, b| (&a.integration, a.kind).cmp(&(&b.integration, b.kind)));
    settled
}

/// Our row of an integration, unless it only waits for foreign rows to go.
pub(crate) fn standing<'a>(state: &'a State, id: &str) -> Option<&'a Current> {
    state.rows.get(id).filter(|current| !current.removed)
}

/// What an offer's version is held against: what all have, while something else is rolled out than what is offered.
fn held_against<'a>(state: &'a State, id: &str, checksum: &str) -> Option<&'a Current> {
    let under_way = state.rollouts.get(id).filter(|under_way| under_way.to.checksum != checksum);
    under_way.and_then(|under_way| under_way.stable.as_ref()).or_else(|| standing(state, id))
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

impl<'a, 'b> Question<'a, 'b> {
    fn new(
        spec: &'b EnvironmentSpec,
        sources: &'b [SourceCatalog],
        selection: &'a Selection,
        state: &'a State,
        only: Option<&'b BTreeSet<String>>,
    ) -> Self {
        Self { spec, order: order(sources), prune: Prune::new(spec, sources), selection, state, only }
    }

    fn resolution(&self, kind: ConflictType, wanted: &Wanted) -> Resolution {
        resolution(self.spec.conflicts, kind, std::slice::from_ref(wanted))
    }

    fn union(&self, id: &str) -> Option<&'a Result<Made, Unmerged>> {
        self.state.merges.unions.get(id)
    }

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
        let by_duplicate = resolution(self.spec.conflicts, ConflictType::Duplicate, offers);
        let last = by_duplicate == Resolution::Override;
        let wanted = if last { offers.last() } else { offers.first() }?;
        if by_duplicate == Resolution::Merge
            && offers.len() > 1
            && let Some(Ok(made)) = self.union(id)
        {
            // Of a union no part may be missing.
            let invalid = self.selection.invalid.iter().any(|(other, _)| other == id);
            return (!invalid).then_some(&made.wanted);
        }
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
        for (id, offers) in self.offers().into_iter().filter(|(id, _)| self.within(id)) {
            if offers.len() > 1 {
                let told: Vec<Offer<'_>> = offers.iter().map(offer).collect();
                let here = standing(self.state, id).map(|current| &current.content);
                let by_duplicate = resolution(self.spec.conflicts, ConflictType::Duplicate, offers);
                settled.conflicts.extend(conflict::duplicate(id, here, &told, by_duplicate, self.union(id)));
            }
            let fate = match self.winner(id, offers) {
                None => Fate::Keep(KeptWhy::Invalid),
                Some(_) if self.state.foreign.contains(id) => Fate::Keep(KeptWhy::ForeignRow),
                Some(_) if self.state.waits(id) => Fate::Keep(KeptWhy::NotPromoted),
                Some(_) if self.state.denied.contains_key(id) => Fate::Keep(KeptWhy::Understated),
                Some(wanted) => self.version(wanted, &mut settled.conflicts),
            };
            // What is taken is carried from now on, also where it is lower than what is there.
            if let Fate::Take { wanted, .. } = fate {
                let own = settled.conflicts.iter_mut().rev().take_while(|one| one.integration == id);
                for duplicate in own.filter(|one| one.kind == ConflictType::Duplicate) {
                    duplicate.current_version = Some(wanted.summary.version.clone());
                }
            }
            settled.fates.insert(id, fate);
        }
    }

    /// What the version that is there makes of an offer.
    fn version(&self, wanted: &'a Wanted, conflicts: &mut Vec<Conflict>) -> Fate<'a> {
        let Offer { version, checksum, .. } = offer(wanted);
        let (id, quarantine) = (&wanted.summary.id, &self.state.quarantine);
        if quarantine.holds(id, checksum) {
            return Fate::Keep(KeptWhy::Quarantined);
        }
        let Some(current) = held_against(self.state, id, checksum) else {
            return Fate::Take { wanted, revert: false };
        };
        match conflict::step(current, version, checksum, self.state) {
            Step::Same | Step::Newer => Fate::Take { wanted, revert: false },
            Step::Revert => Fate::Take { wanted, revert: true },
            Step::Conflict if quarantine.is_asked_back(id, checksum) => Fate::Take { wanted, revert: true },
            Step::Merged if self.resolution(ConflictType::Version, wanted) != Resolution::Override => {
                Fate::Stay(wanted)
            }
            Step::Conflict | Step::Merged => {
                let resolution = self.resolution(ConflictType::Version, wanted);
                let unseen = Unmerged::because(conflict::UNSEEN);
                let merge = match self.state.merges.versions.get(&wanted.summary.id) {
                    Some(Ok(made)) if made.git.0 == *checksum => Ok(&made.wanted),
                    Some(Err(unmerged)) => Err(unmerged),
                    _ => Err(&unseen),
                };
                let (fate, unmerged) = match (resolution, merge) {
                    (Resolution::Skip, _) => (Fate::Hold(wanted), None),
                    (Resolution::Override, _) => (Fate::Take { wanted, revert: false }, None),
                    (Resolution::Merge, Ok(merged)) => (Fate::Take { wanted: merged, revert: false }, None),
                    (Resolution::Merge, Err(unmerged)) => (Fate::Hold(wanted), Some(unmerged)),
                };
                conflicts.push(conflict::version(current, version, checksum, resolution, unmerged));
                fate
            }
        }
    }

    /// Rows that nothing offers any more.
    fn left(&self, settled: &mut Settled<'a>) {
        for (id, current) in &self.state.rows {
            if !current.removed && self.within(id) {
                settled.fates.entry(id).or_insert_with(|| self.gone(current));
            }
        }
    }

    /// What becomes of rows that nothing offers any more.
    fn gone(&self, current: &Current) -> Fate<'a> {
        match self.prune.fate(current) {
            // What the spec's lists leave out goes all the same.
            Fate::Remove
                if self.state.quarantine.holds(&current.id, ABSENCE)
                    && !lists_out(self.spec, &current.id) =>
            {
                Fate::Keep(KeptWhy::Quarantined)
            }
            Fate::Remove if self.state.waits(&current.id) && !lists_out(self.spec, &current.id) => {
                Fate::Keep(KeptWhy::NotPromoted)
            }
            fate => fate,
        }
    }

    /// Whether a seeding of everything would take an offer for rows that are otherwise.
    fn differs(&self, wanted: &Wanted, current: &Current) -> bool {
        let offered = &wanted.summary.checksum;
        *offered != current.content.checksum
            && self.state.merged.get(&current.id) != Some(offered)
            && !self.state.quarantine.holds(&current.id, offered)
    }

    /// The carried integrations that `only` leaves alone although git says otherwise.
    fn outside(&self, settled: &mut Settled<'a>) {
        if self.only.is_none() {
            return;
        }
        let offers = self.offers();
        for (id, current) in self.state.rows.iter().filter(|(id, c)| !c.removed && !self.within(id)) {
            let differs = match offers.get(id.as_str()) {
                None => self.gone(current) == Fate::Remove,
                Some(offers) => self.winner(id, offers).is_some_and(|wanted| self.differs(wanted, current)),
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
