//! What integrations need of each other, held against what the environment will hold.
//!
//! Dependencies are settled before their dependents, so an integration that stays back because of its dependencies is
//! seen by those that need it: they find the version that stays, or none.

use std::collections::{BTreeMap, BTreeSet};

use sower_crds::environment::Conflicts;

use crate::agree::{Agreement, Requirers, agree, disagreeing, satisfies};
use crate::catalog::Dependency;
use crate::conflict::{fingerprint, listed};
use crate::cycle::components;
use crate::plan::{Conflict, ConflictType, KeptWhy, Resolution, State, Wanted};
use crate::resolution;
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

/// Turns the fate of every integration whose dependencies are not met into what is said of such a conflict, and tells each.
/// `restricted` says that the plan leaves some integrations alone.
pub(crate) fn settle<'a>(
    settled: &mut Settled<'a>,
    selection: &'a Selection,
    state: &'a State,
    environment: Conflicts,
    restricted: bool,
) {
    let Settled { fates, conflicts } = settled;
    let needy = needing(fates);
    if needy.is_empty() {
        return;
    }
    let by = |wanted: &Wanted| {
        resolution::resolution(environment, ConflictType::Dependency, std::slice::from_ref(wanted))
    };
    let merges = |id: &str| needy.get(id).is_some_and(|wanted| by(wanted) == Resolution::Merge);
    let agreements = agree(fates, &requirers(&needy), selection, state, merges);
    // What was agreed on may need something else.
    let needy = if agreements.is_empty() { needy } else { needing(fates) };
    let requirers = requirers(&needy);
    let excluded: BTreeSet<&str> = selection.excluded.iter().map(|e| e.id.as_str()).collect();

    for component in components(&needy) {
        let cycle = component.cycle.as_deref();
        let mut back = Vec::new();
        for id in &component.members {
            let Some(wanted) = needy.get(id) else { continue };
            let (summary, resolution) = (&wanted.summary, by(wanted));
            let unmet: Vec<Unmet<'_>> = summary
                .dependencies
                .iter()
                .filter(|dependency| component.members.binary_search(&dependency.id.as_str()).is_err())
                .filter_map(|dependency| unmet(dependency, fates, state, &excluded, restricted))
                .collect();
            let agreed: Vec<(&Dependency, &Agreement<'_>)> = summary
                .dependencies
                .iter()
                .filter_map(|dependency| Some((dependency, agreements.get(dependency.id.as_str())?)))
                .filter(|(need, agreement)| {
                    need.range.as_ref().is_some_and(|range| !satisfies(agreement.offered, range))
                })
                .collect();
            let met = cycle.is_none() && unmet.is_empty();
            if met && agreed.is_empty() {
                continue;
            }
            let told = Told { wanted, cycle, unmet: &unmet, requirers: &requirers, selection, state };
            conflicts.push(Conflict {
                integration: summary.id.clone(),
                kind: ConflictType::Dependency,
                current_version: standing(state, id).map(|current| current.content.version.clone()),
                new_version: Some(summary.version.clone()),
                resolution: if met { Resolution::Merge } else { resolution },
                unmerged: (!met && resolution == Resolution::Merge).then(|| told.unmerged()),
                clashes: Vec::new(),
                message: if met { agreement(&agreed) } else { told.message() },
                fingerprint: if met { agreement_mark(&agreed) } else { mark(cycle, &unmet) },
            });
            if !met && resolution != Resolution::Override {
                back.push(*id);
            }
        }
        for id in back {
            if let Some(wanted) = needy.get(id) {
                fates.insert(id, Fate::Hold(wanted));
            }
        }
    }
}

/// The integrations that need others.
fn needing<'a>(fates: &BTreeMap<&'a str, Fate<'a>>) -> BTreeMap<&'a str, &'a Wanted> {
    let needing = fates.iter().filter_map(|(id, fate)| match fate {
        Fate::Take { wanted, .. } | Fate::Stay(wanted) if !wanted.summary.dependencies.is_empty() => {
            Some((*id, *wanted))
        }
        _ => None,
    });
    needing.collect()
}

fn requirers<'a>(needy: &BTreeMap<&'a str, &'a Wanted>) -> Requirers<'a> {
    let mut requirers = Requirers::new();
    for (id, wanted) in needy {
        for dependency in &wanted.summary.dependencies {
            requirers.entry(&dependency.id).or_default().push((id, dependency));
        }
    }
    requirers
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
        (Some(Fate::Hold(_) | Fate::Stay(_) | Fate::Agreed(_)), None) => {
            Held::Absent("is itself in conflict")
        }
        (Some(Fate::Keep(KeptWhy::Quarantined)), None) => Held::Absent("was rolled back"),
        (Some(Fate::Keep(KeptWhy::NotPromoted)), None) => Held::Absent("waits for another environment"),
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

fn ranged((id, dependency): &(&str, &Dependency)) -> String {
    match &dependency.range {
        Some(range) => format!("{id} (@{range})"),
        None => (*id).to_owned(),
    }
}

/// What is told of a conflict.
struct Told<'a, 'b> {
    wanted: &'a Wanted,
    cycle: Option<&'b str>,
    unmet: &'b [Unmet<'a>],
    requirers: &'b Requirers<'a>,
    selection: &'b Selection,
    state: &'b State,
}

impl<'a> Told<'a, '_> {
    fn needs(&self, id: &str) -> &[(&'a str, &'a Dependency)] {
        self.requirers.get(id).map_or(&[][..], Vec::as_slice)
    }

    /// Those who cannot agree on one that is there: the smallest set of them.
    fn disagreeing(&self, unmet: &Unmet<'_>) -> Vec<(&'a str, &'a Dependency)> {
        let Unmet { dependency, found } = unmet;
        match found {
            Held::Version(_) => {
                disagreeing(&dependency.id, self.needs(&dependency.id), self.selection, self.state)
            }
            Held::Foreign | Held::Absent(_) => Vec::new(),
        }
    }

    /// `needs http@^2, and http is 1.4.0; needed by crm (@^1) and mail too; crm (@^1) and shop (@^2) cannot agree`. What
    /// comes after some 2,000 characters is counted.
    fn message(&self) -> String {
        const ENOUGH: usize = 2_000;
        let Self { wanted, cycle, unmet, .. } = self;
        let mut told = cycle.unwrap_or_default().to_owned();
        for (n, one) in unmet.iter().enumerate() {
            let Unmet { dependency, found } = one;
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
            let all = self.needs(&dependency.id);
            let own = wanted.summary.dependencies.iter().filter(|d| d.id == dependency.id).count();
            let others = all.iter().filter(|(other, _)| *other != wanted.summary.id).map(ranged);
            let others = listed(others, all.len().saturating_sub(own));
            if !others.is_empty() {
                told.push_str(&format!("; needed by {others} too"));
            }
            let disagreeing = self.disagreeing(one);
            if disagreeing.len() > 1 {
                let names = listed(disagreeing.iter().map(ranged), disagreeing.len());
                told.push_str(&format!("; {names} cannot agree"));
            }
        }
        told
    }

    /// Why no version does for all.
    fn unmerged(&self) -> String {
        let Some(unmet) = self.unmet.first() else { return "no version ends a cycle".to_owned() };
        let Unmet { dependency, found } = unmet;
        let id = &dependency.id;
        let disagreeing = self.disagreeing(unmet);
        match found {
            Held::Absent(why) => format!("{id} {why}"),
            Held::Foreign => format!("{id} is a row that Sower did not write"),
            Held::Version(_) if disagreeing.len() > 1 => {
                let names = listed(disagreeing.iter().map(ranged), disagreeing.len());
                format!("{names} cannot agree on {id}")
            }
            Held::Version(_) if disagreeing.is_empty() => format!("{id} stays as it is"),
            Held::Version(_) => format!("no known version of {id} is for {}", written(dependency)),
        }
    }
}

/// `needs http@^1, and git has http 2.0.0; http 1.4.0 is for all that need it`.
fn agreement(agreed: &[(&Dependency, &Agreement<'_>)]) -> String {
    let one = |(need, agreement): &(&Dependency, &Agreement<'_>)| {
        let Agreement { offered, agreed } = agreement;
        let id = &need.id;
        format!("needs {}, and git has {id} {offered}; {id} {agreed} is for all that need it", written(need))
    };
    listed(agreed.iter().map(one), agreed.len())
}

fn agreement_mark(agreed: &[(&Dependency, &Agreement<'_>)]) -> String {
    let parts = agreed.iter().flat_map(|(need, agreement)| {
        [written(need), agreement.offered.to_owned(), agreement.agreed.to_owned()]
    });
    let parts: Vec<String> = std::iter::once("agreed".to_owned()).chain(parts).collect();
    fingerprint(ConflictType::Dependency, &parts.iter().map(String::as_str).collect::<Vec<_>>())
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
