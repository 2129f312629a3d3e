//! On which version of an integration all agree that need it, and who cannot.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use nodejs_semver::{Range, Version};

use crate::catalog::Dependency;
use crate::conflict::precedence;
use crate::plan::{State, Wanted};
use crate::resolve::{Fate, standing};
use crate::select::Selection;

/// Who needs an integration, and how: by its id.
pub(crate) type Requirers<'a> = BTreeMap<&'a str, Vec<(&'a str, &'a Dependency)>>;

/// Different ranges that are weighed against each other; of more, the first.
const RANGES: usize = 64;
/// Of how many ranges the smallest set of three is looked for.
const TRIPLES: usize = 24;

/// As npm has it: a pre-release satisfies only a range that names a pre-release of the same version.
pub(crate) fn satisfies(version: &str, range: &str) -> bool {
    match (Version::parse(version), Range::parse(range)) {
        (Ok(version), Ok(range)) => range.satisfies(&version),
        _ => false,
    }
}

/// An integration that is carried in another version than git offers, so that all who need it can be.
pub(crate) struct Agreement<'a> {
    /// The version that git offers.
    pub offered: &'a str,
    /// The version that does for all.
    pub agreed: &'a str,
}

/// A version that could be carried: what is there, or what can be taken.
struct Candidate<'a> {
    version: &'a str,
    wanted: Option<&'a Wanted>,
}

/// The versions that are known of an integration: what is there, what is offered, what was carried at some time.
fn known<'a>(id: &str, selection: &'a Selection, state: &'a State) -> Vec<Candidate<'a>> {
    let here = standing(state, id).map(|row| Candidate { version: &row.content.version, wanted: None });
    let wanted = &selection.wanted;
    let start = wanted.partition_point(|wanted| wanted.summary.id.as_str() < id);
    let offered = wanted[start..].iter().take_while(|wanted| wanted.summary.id == id);
    // What was rolled back from comes back by no agreement.
    let offered = offered.filter(|wanted| !state.quarantine.holds(id, &wanted.summary.checksum));
    let offered = offered.filter(|wanted| state.admits(id, &wanted.summary.checksum));
    let earlier = state.merges.known.get(id).into_iter().flatten().map(|made| &made.wanted);
    let can = |wanted: &'a Wanted| Candidate { version: &wanted.summary.version, wanted: Some(wanted) };
    here.into_iter().chain(offered.map(can)).chain(earlier.map(can)).collect()
}

/// Gives every integration whose offered version is not for all that need it the highest known one that is, where somebody
/// whose need is not met wants it merged.
pub(crate) fn agree<'a>(
    fates: &mut BTreeMap<&'a str, Fate<'a>>,
    requirers: &Requirers<'a>,
    selection: &'a Selection,
    state: &'a State,
    merges: impl Fn(&str) -> bool,
) -> BTreeMap<&'a str, Agreement<'a>> {
    let mut agreements = BTreeMap::new();
    for (id, needs) in requirers {
        let Some(Fate::Take { wanted, .. }) = fates.get(id).copied() else { continue };
        let offered = wanted.summary.version.as_str();
        let unmet = |(requirer, need): &(&str, &Dependency)| !need.is_met_by(offered) && merges(requirer);
        if !needs.iter().any(unmet) {
            continue;
        }
        // One that is higher than what git offers may stay; once taken, it would be git that is lower.
        let can = |candidate: &Candidate<'_>| {
            candidate.wanted.is_none() || precedence(candidate.version, offered) != Ordering::Greater
        };
        let all = |candidate: &Candidate<'_>| {
            can(candidate) && needs.iter().all(|(_, need)| need.is_met_by(candidate.version))
        };
        let mut best: Option<Candidate<'a>> = None;
        for candidate in known(id, selection, state).into_iter().filter(all) {
            // Of equal ones the first stays: what is there needs no write.
            let higher =
                |best: &Candidate<'_>| precedence(candidate.version, best.version) == Ordering::Greater;
            if best.as_ref().is_none_or(higher) {
                best = Some(candidate);
            }
        }
        if let Some(Candidate { version, wanted: found }) = best {
            let fate = found.map_or(Fate::Agreed(wanted), |wanted| Fate::Take { wanted, revert: false });
            fates.insert(id, fate);
            agreements.insert(*id, Agreement { offered, agreed: version });
        }
    }
    agreements
}

/// The smallest set of those who need an integration that no known version of it is for; nobody, where one is for all.
pub(crate) fn disagreeing<'a>(
    id: &str,
    needs: &[(&'a str, &'a Dependency)],
    selection: &Selection,
    state: &State,
) -> Vec<(&'a str, &'a Dependency)> {
    let versions: BTreeSet<&str> = known(id, selection, state).iter().map(|known| known.version).collect();
    let mut seen = BTreeSet::new();
    let different: Vec<&(&str, &Dependency)> = needs
        .iter()
        .filter(|(_, need)| need.range.is_some() && seen.insert(need.range.as_deref()))
        .take(RANGES)
        .collect();
    let met: Vec<Vec<bool>> = different
        .iter()
        .map(|(_, need)| versions.iter().map(|version| need.is_met_by(version)).collect())
        .collect();
    smallest(&met).into_iter().map(|index| *different[index]).collect()
}

/// The rows that have no column in common: as few as there are, or, of many, none of which could be left out.
fn smallest(met: &[Vec<bool>]) -> Vec<usize> {
    let disagree = |rows: &[usize]| {
        let columns = met.first().map_or(0, Vec::len);
        (0..columns).all(|column| rows.iter().any(|row| !met[*row][column]))
    };
    let all: Vec<usize> = (0..met.len()).collect();
    if all.is_empty() || !disagree(&all) {
        return Vec::new();
    }
    let pairs = || all.iter().flat_map(|a| (a + 1..met.len()).map(move |b| vec![*a, b]));
    let triples =
        || pairs().flat_map(|pair| (pair[1] + 1..met.len()).map(move |c| vec![pair[0], pair[1], c]));
    let mut few = all.iter().map(|a| vec![*a]).chain(pairs());
    if let Some(found) = few.find(|rows| disagree(rows)) {
        return found;
    }
    if met.len() <= TRIPLES
        && let Some(found) = triples().find(|rows| disagree(rows))
    {
        return found;
    }
    let mut left = all;
    for row in (0..met.len()).rev() {
        let without: Vec<usize> = left.iter().copied().filter(|known| *known != row).collect();
        if disagree(&without) {
            left = without;
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_set_is_found() {
        let (y, n) = (true, false);
        for (met, expect) in [
            (vec![], vec![]),
            (vec![vec![y, n], vec![y, y]], vec![]),
            (vec![vec![y, y], vec![n, n], vec![y, n]], vec![1]),
            (vec![vec![y, y, n], vec![y, n, n], vec![n, y, y], vec![n, n, y]], vec![0, 3]),
            (vec![vec![y, y, n], vec![y, n, y], vec![n, y, y]], vec![0, 1, 2]),
            (vec![vec![], vec![]], vec![0]),
        ] {
            assert_eq!(smallest(&met), expect, "{met:?}");
        }
        // Each of many leaves out another version.
        let many: Vec<Vec<bool>> = (0..30).map(|row| (0..30).map(|column| row != column).collect()).collect();
        assert_eq!(smallest(&many).len(), 30);
    }
}
