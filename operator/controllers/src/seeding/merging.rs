//! What merging makes of conflicts: the contents that it needs are read, core works it out.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sower_core::catalog::{Place, SourceCatalog, Summary};
use sower_core::hand::There;
use sower_core::merges::{self, Made, Unmerged};
use sower_core::plan::{Plan, Resolution, State, Wanted};
use sower_core::resolution::Resolutions;
use sower_core::resolve::{to_know, to_merge, to_unite};
use sower_core::rows::{Rows, rows};
use sower_core::select::Selection;
use sower_crds::drift::DriftMode;
use sower_crds::environment::EnvironmentSpec;
use sower_store::{Known, Merging, Store, StoreError};

/// Most contents that are looked at of one integration that others need.
const KNOWN: i64 = 50;
/// Integrations that others need and that are looked at, in one round.
const NEEDED: usize = 100;
/// How often what is agreed on may lead on to something else.
const ROUNDS: usize = 3;

/// Canonical bytes of documents, by place.
pub type Contents = BTreeMap<Place, Arc<str>>;

/// What is asked of an environment.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// Its name.
    pub environment: &'a str,
    /// Its spec.
    pub spec: &'a EnvironmentSpec,
    /// What the sources offer.
    pub catalogs: &'a [SourceCatalog],
    /// What of it is let in.
    pub selection: &'a Selection,
    /// None but these integrations.
    pub only: Option<&'a BTreeSet<String>>,
    /// What drifted is put back.
    pub mends: bool,
}

impl Asked<'_> {
    /// The documents whose contents [`Asked::unite`] needs.
    #[must_use]
    pub fn to_unite(&self) -> Vec<Place> {
        let all = to_unite(self.spec, self.selection, self.only);
        all.into_iter().flatten().map(|wanted| wanted.place.clone()).collect()
    }

    /// Makes unions of what several sources offer, where that is asked for.
    pub fn unite(&self, state: &mut State, contents: &Contents) {
        for offers in to_unite(self.spec, self.selection, self.only) {
            let bytes = |wanted: &'_ Wanted| contents.get(&wanted.place).cloned();
            let read: Option<Vec<(&Wanted, Arc<str>)>> =
                offers.iter().map(|wanted| Some((wanted, bytes(wanted)?))).collect();
            let union = match read {
                Some(read) => merges::of_offers(&read),
                None => Err(Unmerged::because("an offer cannot be read")),
            };
            if let Some(first) = offers.first() {
                state.merges.unions.insert(first.summary.id.clone(), union);
            }
        }
    }

    /// What is to be merged with what the rows hold; asked once unions are made and [`State::carried`] is known.
    #[must_use]
    pub fn to_merge(&self, state: &State) -> Vec<Wanted> {
        // Most environments merge nothing: then it is not worth a look at each offer.
        let asked = |wanted: &Wanted| wanted.resolve.version == Some(Resolution::Merge);
        let merges = self.spec.conflicts.version == sower_crds::environment::Resolution::Merge;
        if !merges && !self.selection.wanted.iter().any(asked) {
            return Vec::new();
        }
        to_merge(self.spec, self.catalogs, self.selection, state, self.only).into_iter().cloned().collect()
    }

    /// Merges it with what hands changed in the rows.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn merge(
        &self,
        store: &Store,
        state: &mut State,
        wanted: &[Wanted],
        contents: &Contents,
    ) -> Result<(), StoreError> {
        let ids: Vec<&str> = wanted.iter().map(|wanted| wanted.summary.id.as_str()).collect();
        let hands = store.hands(self.environment, &ids).await?;
        let corrects = self.mends || self.spec.drift.mode == DriftMode::Correct;
        for wanted in wanted {
            let id = &wanted.summary.id;
            let made = state.merges.manifest(id, &wanted.summary.checksum);
            let theirs = made.or_else(|| contents.get(&wanted.place)).cloned();
            let hand = hands.get(id);
            let seeded = hand.and_then(|hand| hand.seeded.as_ref());
            let merged = match (hand, seeded, theirs) {
                (Some(hand), Some(seeded), Some(theirs)) => {
                    let base = hand.base.as_ref().unwrap_or(seeded);
                    // What is corrected is not merged: hands count for nothing there.
                    let sound = rows(seeded).ok().filter(|_| corrects);
                    let there = sound.map_or_else(
                        || hand.there(),
                        |Rows { definition, registry }| There { definition, registry, foreign: Vec::new() },
                    );
                    let tried = merges::of_version(base, seeded, &there, (wanted, &theirs), hand.seen());
                    tried.map_err(|unmerged| Unmerged { seen: Some(hand.seen()), ..unmerged })
                }
                (_, None, _) => Err(Unmerged::because("what was seeded before is not kept any more")),
                _ => Err(Unmerged::because("its file cannot be read")),
            };
            state.merges.versions.insert(id.clone(), merged);
        }
        Ok(())
    }

    /// The plan that `decide` makes of a state; where dependencies are in conflict, once it is known which versions there
    /// were of what is needed.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn agree(
        &self,
        store: &Store,
        state: &mut State,
        plan: Plan,
        decide: impl Fn(&State) -> Plan,
    ) -> Result<Plan, StoreError> {
        let mut plan = plan;
        // What is agreed on may need something else.
        for _ in 0..ROUNDS {
            let needed = to_know(&plan.conflicts, self.selection);
            let offered = |id: &&String| self.selection.wanted.iter().any(|w| w.summary.id == **id);
            let new = needed.iter().filter(|id| !state.merges.known.contains_key(*id)).filter(offered);
            let ids: Vec<&String> = new.take(NEEDED).collect();
            if ids.is_empty() {
                break;
            }
            state.merges.known.extend(ids.iter().map(|id| ((*id).clone(), Vec::new())));
            let ids: Vec<&str> = ids.into_iter().map(String::as_str).collect();
            let quarantine = state.quarantine.clone();
            let known = store.known_versions(self.environment, &ids, KNOWN).await?;
            // What was rolled back from comes back by no agreement.
            for known in known.into_iter().filter(|k| !quarantine.holds(&k.integration, &k.checksum)) {
                let id = known.integration.clone();
                let made = again(known);
                state.merges.known.entry(id).or_default().extend(made);
            }
            plan = decide(state);
        }
        Ok(plan)
    }
}

/// A content that was carried, as it would be taken again.
fn again(known: Known) -> Option<Made> {
    let Known { integration, version, checksum, manifest, source, revision, path } = known;
    let summary = Summary::of_content(&integration, &version, &checksum);
    let place = Place { source, path, document: 0 };
    let wanted = Wanted { summary, place, revision, resolve: Resolutions::default() };
    merges::of_version_kept(&wanted, &manifest)
}

/// The merges among the contents that a plan writes.
pub(super) fn written<'a>(state: &'a State, contents: &[(&'a str, &'a str)]) -> Vec<Merging<'a>> {
    let merging = |(id, checksum): &(&'a str, &'a str)| {
        let made = state.merges.merged(id, checksum)?;
        let (git, manifest) = &made.git;
        Some(Merging { integration: id, checksum, git: (git, manifest), seen: made.seen.as_deref()? })
    };
    contents.iter().filter_map(merging).collect()
}
