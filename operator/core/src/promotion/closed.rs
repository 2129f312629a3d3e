//! Sets of contents that are whole: each has what it needs, and takes nothing from what stays.

use std::collections::{BTreeMap, BTreeSet};

use super::{Asked, Eligible, Gap};
use crate::catalog::Dependency;

/// What would be there of an integration.
#[derive(Clone, Copy)]
enum Found<'a> {
    Version(&'a str),
    Foreign,
    Nothing,
}

impl Found<'_> {
    fn does(self, dependency: &Dependency) -> bool {
        match (self, dependency.range.as_deref()) {
            (Found::Nothing, _) => false,
            (Found::Version(version), _) => dependency.is_met_by(version),
            (Found::Foreign, range) => range.is_none_or(|range| matches!(range.trim(), "" | "*")),
        }
    }
}

type Set<'a> = BTreeSet<&'a str>;

struct Closing<'a, 'b> {
    asked: &'b Asked<'a>,
    eligible: &'b BTreeMap<&'a str, Eligible<'a>>,
    /// Who carries a need for an integration here.
    needed_by: BTreeMap<&'a str, Vec<(&'a str, &'a Dependency)>>,
    /// Who needs an integration among those that are eligible.
    wanted_by: BTreeMap<&'a str, Vec<(&'a str, &'a Dependency)>>,
    let_in: Set<'a>,
}

/// The eligible that are let in, and what keeps each other one out. Those who have been eligible for longer go first, so
/// that nobody is put out by who comes later.
pub(super) fn close<'a>(
    asked: &Asked<'a>,
    eligible: &BTreeMap<&'a str, Eligible<'a>>,
) -> (Set<'a>, BTreeMap<&'a str, Gap>) {
    let mut needed_by: BTreeMap<&str, Vec<(&str, &Dependency)>> = BTreeMap::new();
    for (id, carried) in asked.here {
        for need in &carried.needs {
            needed_by.entry(&need.id).or_default().push((id, need));
        }
    }
    let mut wanted_by: BTreeMap<&str, Vec<(&str, &Dependency)>> = BTreeMap::new();
    for (id, one) in eligible {
        for need in &one.wanted.summary.dependencies {
            wanted_by.entry(&need.id).or_default().push((id, need));
        }
    }
    let mut closing = Closing { asked, eligible, needed_by, wanted_by, let_in: Set::new() };
    // What is under way was let in already.
    closing.let_in.extend(eligible.iter().filter(|(_, one)| one.under_way).map(|(id, _)| *id));
    let mut order: Vec<_> = eligible.keys().map(|id| (closing.ready_at(id), *id)).collect();
    order.sort_unstable();
    let mut held = BTreeMap::new();
    for (_, id) in order {
        if closing.let_in.contains(id) {
            continue;
        }
        match closing.with(id) {
            Ok(set) => closing.let_in.extend(set),
            Err(gap) => drop(held.insert(id, gap)),
        }
    }
    held.retain(|id, _| !closing.let_in.contains(id));
    (closing.let_in, held)
}

impl<'a> Closing<'a, '_> {
    /// When the last of those is eligible that have to come with it.
    fn ready_at(&self, id: &'a str) -> jiff::Timestamp {
        let set = self.with(id).unwrap_or_else(|_| Set::from([id]));
        let times = set.iter().filter_map(|id| self.eligible.get(id)).map(|one| one.at);
        times.max().unwrap_or(jiff::Timestamp::MIN)
    }

    /// The smallest set around an integration that is whole together with what is let in and what is here.
    fn with(&self, id: &'a str) -> Result<Set<'a>, Gap> {
        let mut set = Set::from([id]);
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let Some(one) = self.eligible.get(id) else { continue };
            for need in &one.wanted.summary.dependencies {
                if self.found(&set, &need.id).does(need) {
                    continue;
                }
                match self.comes(&set, &need.id) {
                    Some(other) if Found::Version(self.version(other)).does(need) => {
                        set.insert(other);
                        open.push(other);
                    }
                    _ => return Err(self.gap(&set, id, need)),
                }
            }
            let needed = self.needed_by.get(id).map_or(&[][..], Vec::as_slice);
            let broken = needed.iter().filter(|(by, need)| {
                let was = self.here(id).does(need);
                was && !set.contains(by) && !self.let_in.contains(by) && !self.found(&set, id).does(need)
            });
            for (by, need) in broken.copied().collect::<Vec<_>>() {
                match self.comes(&set, by) {
                    Some(other) => {
                        set.insert(other);
                        open.push(other);
                    }
                    None => return Err(self.gap(&set, by, need)),
                }
            }
        }
        self.holds(&set).map(|()| set)
    }

    /// What came into the set has what it needs, and what was let in needs what it needs still.
    fn holds(&self, set: &Set<'a>) -> Result<(), Gap> {
        for id in set {
            let own = self.eligible.get(id).map(|one| one.wanted.summary.dependencies.as_slice());
            let own = own.unwrap_or_default().iter().map(|need| (*id, need));
            let others = self.wanted_by.get(id).map_or(&[][..], Vec::as_slice).iter().copied();
            let others = others.filter(|(by, _)| set.contains(by) || self.let_in.contains(by));
            for (by, need) in own.chain(others) {
                if !self.found(set, &need.id).does(need) {
                    return Err(self.gap(set, by, need));
                }
            }
        }
        Ok(())
    }

    /// An integration that could come, too.
    fn comes(&self, set: &Set<'a>, id: &str) -> Option<&'a str> {
        let (id, _) = self.eligible.get_key_value(id)?;
        (!set.contains(id) && !self.let_in.contains(id)).then_some(*id)
    }

    fn version(&self, id: &str) -> &'a str {
        self.eligible.get(id).map_or("", |one| one.wanted.summary.version.as_str())
    }

    fn here(&self, id: &str) -> Found<'a> {
        match self.asked.here.get(id) {
            Some(carried) => Found::Version(&carried.content.version),
            None if self.asked.foreign.contains(id) => Found::Foreign,
            None => Found::Nothing,
        }
    }

    /// What would be there.
    fn found(&self, set: &Set<'a>, id: &str) -> Found<'a> {
        if set.contains(id) || self.let_in.contains(id) {
            return Found::Version(self.version(id));
        }
        self.here(id)
    }

    fn gap(&self, set: &Set<'a>, by: &str, need: &Dependency) -> Gap {
        let needed = match &need.range {
            Some(range) => format!("{}@{range}", need.id),
            None => need.id.clone(),
        };
        let found = match self.found(set, &need.id) {
            Found::Version(version) => Some(version.to_owned()),
            Found::Foreign => Some("a row that Sower did not write".to_owned()),
            Found::Nothing => None,
        };
        let waits = self.asked.is_offered(&need.id) && self.comes(set, &need.id).is_none();
        let waits = waits && !set.contains(need.id.as_str()) && !self.let_in.contains(need.id.as_str());
        Gap { by: by.to_owned(), needed, found, waits }
    }
}
