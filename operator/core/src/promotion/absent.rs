//! What the sources offer no more, as far as that can be told.

use std::collections::{BTreeMap, BTreeSet};

use sower_crds::environment::EnvironmentSpec;

use crate::catalog::SourceCatalog;
use crate::plan::{State, Wanted};
use crate::prune::Prune;
use crate::select::Selection;

/// Integrations that the sources offer no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Absent {
    /// Those that are carried, and that no source has any more.
    pub gone: BTreeSet<String>,
    /// Those that were offered earlier, and that no source has any more or that filters leave out.
    pub withdrawn: BTreeSet<String>,
}

/// Says of what is carried, and of what was offered earlier, what the sources offer no more. A document that cannot be read,
/// and a source that was not read whole, say nothing.
#[must_use]
pub fn absent(
    spec: &EnvironmentSpec,
    sources: &[SourceCatalog],
    selection: &Selection,
    state: &State,
    offers: &BTreeMap<String, Vec<Wanted>>,
) -> Absent {
    let prune = Prune::new(spec, sources);
    let wanted = selection.wanted.iter().map(|wanted| wanted.summary.id.as_str());
    let there: BTreeSet<&str> = wanted.chain(selection.invalid.iter().map(|(id, _)| id.as_str())).collect();
    let left_out: BTreeSet<&str> = selection.excluded.iter().map(|excluded| excluded.id.as_str()).collect();
    let carried = |id: &str| state.rows.get(id).filter(|row| !row.removed);
    let no_longer = |id: &str| carried(id).is_none_or(|row| prune.is_gone(&row.source, &row.path));
    let is_known = |id: &str| there.contains(id) || left_out.contains(id);
    let gone = state.rows.keys().filter(|id| carried(id).is_some() && !is_known(id) && no_longer(id));
    let withdrawn = offers.iter().filter(|(id, offers)| {
        let all_gone = || offers.iter().all(|offer| prune.is_gone(&offer.place.source, &offer.place.path));
        !there.contains(id.as_str()) && (left_out.contains(id.as_str()) || (no_longer(id) && all_gone()))
    });
    Absent { gone: gone.cloned().collect(), withdrawn: withdrawn.map(|(id, _)| id.clone()).collect() }
}
