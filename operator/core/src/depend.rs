//! What integrations need of each other, held against what the environment will hold.
//!
//! Dependencies are settled before their dependents, so an integration that stays back because of its dependencies is
//! seen by those that need it: they find the version that stays, or none.

use std::collections::{BTreeMap, BTreeSet};

use nodejs_semver::{Range, Version};

use crate::catalog::Dependency;
use crate::conflict::{fingerprint, listed};
use crate::cycle::components;
use crate::plan::{Conflict, ConflictType, KeptWhy, Resolution, State, Wanted};
use crate::resolve::{Fate, Settled, standing};
use crate::select::Selection;

/// What an integration will be once the plan is applied.
enum Held<'a> {
    /// There, with this version.
    Version(&'a str),
    /// There, in a row that Sower did not write: its version is not known.
    Foreign,
    /// Not there, and why: the end of a sentence that begins with its id.
    Absent(&'static str),
}

/// One dependency that is not met.
struct Unmet<'a> {
    dependency: &'a Dependency,
    found: Held<'a>,
}

/// Turns the fate of every integration whose dependencies are not met into what `resolution` says, and tells each.
/// `restricted` says that the plan leaves some integrations alone.
pub(crate) fn settle<'a>(
    settled: &mut Settled<'a>,
    selection: &'a Selection,
    state: &'a State,
    resolution: Resolution,
    restricted: bool,
) {
    let Settled { fates, conflicts } = settled;
    let needy: BTreeMap<&str, &Wanted> = fates
        .iter()
        .filter_map(|(id, fate)| match fate {
            Fate::Take { wanted, .. } if !wanted.summary.dependencies.is_empty() => Some((*id, *wanted)),
            _ => None,
        })
        .collect();
    if needy.is_empty() {
        return;
    }
    let mut requirers: BTreeMap<&str, Vec<(&str, &Dependency)>> = BTreeMap::new();
    for (id, wanted) in &needy {
        for dependency in &wanted.summary.dependencies {
            requirers.entry(&dependency.id).or_default().push((id, dependency));
        }
    }
    let excluded: BTreeSet<&str> = selection.excluded.iter().map(|e| e.id.as_str()).collect();

    for component in components(&needy) {
        let cycle = component.cycle.as_deref();
        let mut back = Vec::new();
        for id in &component.members {
            let Some(wanted) = needy.get(id) else { continue };
            let unmet: Vec<Unmet<'_>> = wanted
                .summary
                .dependencies
                .iter()
                .filter(|dependency| component.members.binary_search(&dependency.id.as_str()).is_err())
                .filter_map(|dependency| unmet(dependency, fates, state, &excluded, restricted))
                .collect();
            if cycle.is_none() && unmet.is_empty() {
                continue;
            }
            let summary = &wanted.summary;
            conflicts.push(Conflict {
                integration: summary.id.clone(),
                kind: ConflictType::Dependency,
                current_version: standing(state, id).map(|current| current.content.version.clone()),
                new_version: Some(summary.version.clone()),
                resolution,
                message: message(wanted, cycle, &unmet, &requirers),
                fingerprint: mark(cycle, &unmet),
            });
            back.push(*id);
        }
        if resolution == Resolution::Skip {
            for id in back {
                if let Some(wanted) = needy.get(id) {
                    fates.insert(id, Fate::Hold(wanted));
                }
            }
        }
    }
}

fn unmet<'a>(
    dependency: &'a Dependency,
    fates: &BTreeMap<&'a str, Fate<'a>>,
    state: &'a State,
    excluded: &BTreeSet<&str>,
    restricted: bool,
) -> Option<Unmet<'a>> {
    let found = held(&dependency.id, fates, state, excluded, restricted);
    let met = match (&found, &dependency.range) {
        (Held::Absent(_), _) => false,
        (Held::Version(_) | Held::Foreign, None) => true,
        (Held::Foreign, Some(range)) => matches!(range.trim(), "" | "*"),
        (Held::Version(version), Some(range)) => satisfies(version, range),
    };
    (!met).then_some(Unmet { dependency, found })
}

/// As npm has it: a pre-release satisfies only a range that names a pre-release of the same version.
fn satisfies(version: &str, range: &str) -> bool {
    match (Version::parse(version), Range::parse(range)) {
        (Ok(version), Ok(range)) => range.satisfies(&version),
        _ => false,
    }
}

fn held<'a>(
    id: &str,
    fates: &BTreeMap<&'a str, Fate<'a>>,
    state: &'a State,
    excluded: &BTreeSet<&str>,
    restricted: bool,
) -> Held<'a> {
    let stays = standing(state, id).map(|current| Held::Version(&current.content.version));
    match (fates.get(id), stays) {
        (Some(Fate::Take { wanted, .. }), _) => Held::Version(&wanted.summary.version),
        (Some(Fate::Remove), _) if excluded.contains(id) => Held::Absent("is no longer let in here"),
        (Some(Fate::Remove), _) => Held::Absent("is gone from git"),
        (Some(Fate::Keep(KeptWhy::ForeignRow)), _) => Held::Foreign,
        (_, Some(stays)) => stays,
        (Some(Fate::Hold(_)), None) => Held::Absent("is itself in conflict"),
        (Some(Fate::Keep(KeptWhy::Quarantined)), None) => Held::Absent("was rolled back"),
        (Some(Fate::Keep(_)), None) => Held::Absent("has an invalid manifest"),
        (None, None) if state.foreign.contains(id) => Held::Foreign,
        (None, None) if excluded.contains(id) => Held::Absent("is not let in here"),
        (None, None) if restricted => Held::Absent("is not here yet"),
        (None, None) => Held::Absent("is offered by no source"),
    }
}

fn written(dependency: &Dependency) -> String {
    match &dependency.range {
        Some(range) => format!("{}@{range}", dependency.id),
        None => dependency.id.clone(),
    }
}

/// `needs http@^2, and http is 1.4.0; needed by crm (@^1) and mail too`. What comes after some 2,000 characters is counted.
fn message(
    wanted: &Wanted,
    cycle: Option<&str>,
    unmet: &[Unmet<'_>],
    requirers: &BTreeMap<&str, Vec<(&str, &Dependency)>>,
) -> String {
    const ENOUGH: usize = 2_000;
    let mut told = cycle.unwrap_or_default().to_owned();
    for (n, Unmet { dependency, found }) in unmet.iter().enumerate() {
        if told.len() > ENOUGH {
            told.push_str(&format!("; and {} more are not met", unmet.len() - n));
            break;
        }
        let what = match found {
            Held::Version(version) => format!("is {version}"),
            Held::Foreign => "is a row that Sower did not write".into(),
            Held::Absent(why) => (*why).to_owned(),
        };
        let separator = if told.is_empty() { "" } else { "; " };
        told.push_str(&format!("{separator}needs {}, and {} {what}", written(dependency), dependency.id));
        let all = requirers.get(dependency.id.as_str()).map_or(&[][..], Vec::as_slice);
        let own = wanted.summary.dependencies.iter().filter(|d| d.id == dependency.id).count();
        let others =
            all.iter().filter(|(other, _)| *other != wanted.summary.id).map(|(other, theirs)| match &theirs
                .range
            {
                Some(range) => format!("{other} (@{range})"),
                None => (*other).to_owned(),
            });
        let others = listed(others, all.len().saturating_sub(own));
        if !others.is_empty() {
            told.push_str(&format!("; needed by {others} too"));
        }
    }
    told
}

/// Other requirers come and go without making it another conflict.
fn mark(cycle: Option<&str>, unmet: &[Unmet<'_>]) -> String {
    let mut parts: Vec<String> = vec![cycle.unwrap_or_default().to_owned()];
    for Unmet { dependency, found } in unmet {
        parts.push(written(dependency));
        parts.push(match found {
            Held::Version(version) => (*version).to_owned(),
            Held::Foreign => "foreign".into(),
            Held::Absent(_) => String::new(),
        });
    }
    fingerprint(ConflictType::Dependency, &parts.iter().map(String::as_str).collect::<Vec<_>>())
}
