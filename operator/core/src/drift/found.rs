//! What was found, as it is counted and told, and what of it a seeding may correct.

use std::collections::BTreeSet;

use super::{Drifted, Foreign, What};
use crate::conflict::listed;
use crate::plan::Content;
use crate::sentence::first_fitting;

/// How many rows are missing, changed and foreign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// They were seeded and are not there.
    pub missing: usize,
    /// They are not what was seeded.
    pub changed: usize,
    /// No seeding wrote them.
    pub foreign: usize,
}

impl Counted {
    /// Counts them.
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a Drifted>) -> Self {
        let mut counted = Self::default();
        for row in rows {
            *match row.what {
                What::Missing => &mut counted.missing,
                What::Changed(_) => &mut counted.changed,
                What::Foreign(_) => &mut counted.foreign,
            } += 1;
        }
        counted
    }

    /// All of them.
    #[must_use]
    pub fn total(self) -> usize {
        self.missing + self.changed + self.foreign
    }

    /// `1 missing, 2 changed rows`; without any `no rows`.
    #[must_use]
    pub fn told(self) -> String {
        let each = [(self.missing, "missing"), (self.changed, "changed"), (self.foreign, "foreign")];
        let some = each.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
        let some = some.collect::<Vec<_>>().join(", ");
        match self.total() {
            0 => "no rows".to_owned(),
            1 => format!("{some} row"),
            _ => format!("{some} rows"),
        }
    }
}

/// `1 missing, 2 changed rows since seeding 57: stripe and wordpress`.
#[must_use]
pub fn told(rows: &[Drifted], seeding: i64) -> String {
    let told = format!("{} since seeding {seeding}", Counted::of(rows).told());
    let names: BTreeSet<&str> = rows.iter().map(|row| row.integration.as_str()).collect();
    first_fitting([format!("{told}: {}", listed(names.iter().copied(), names.len())), told])
}

/// The rows that a seeding may write again, or delete where they only claim to be ours. An integration of which a row of
/// somebody else's holds the place is left alone.
#[must_use]
pub fn correctable(rows: &[Drifted]) -> Vec<Drifted> {
    let blocked: BTreeSet<&str> = rows
        .iter()
        .filter(|row| row.what == What::Foreign(Foreign::InPlace))
        .map(|row| row.integration.as_str())
        .collect();
    let ours = |row: &&Drifted| match &row.what {
        // Of a row beside the stable ones whose content cannot be had, there is nothing to write.
        What::Changed(columns) => !columns.is_empty() || row.version.is_none() || row.registry.is_none(),
        What::Missing => true,
        What::Foreign(Foreign::Claiming) => row.kind() != "integration",
        What::Foreign(Foreign::Beside | Foreign::InPlace) => false,
    };
    rows.iter().filter(ours).filter(|row| !blocked.contains(row.integration.as_str())).cloned().collect()
}

/// An integration as the last seeding left it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// What it was.
    pub content: Content,
    /// Name of the source that it came from.
    pub source: String,
    /// Path that it came from.
    pub path: String,
    /// The long form of the revision that its rows name.
    pub revision: String,
    /// It stays when its manifest goes.
    pub prune_disabled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Kind;

    fn row(integration: &str, what: What) -> Drifted {
        let (registry, id) = (Some(Kind::Action), format!("{integration}/a"));
        Drifted { integration: integration.to_owned(), registry, id, version: None, what }
    }

    #[test]
    fn what_was_found_is_one_sentence() {
        let changed = |id: &str| row(id, What::Changed(vec!["name"]));
        let rows = [changed("stripe"), changed("stripe"), row("wordpress", What::Missing)];
        assert_eq!(told(&rows, 57), "1 missing, 2 changed rows since seeding 57: stripe and wordpress");
        assert_eq!(told(&rows[..1], 57), "1 changed row since seeding 57: stripe");
        let many: Vec<Drifted> = (0..9).map(|n| changed(&format!("{}{n}", "x".repeat(40)))).collect();
        assert_eq!(told(&many, 57), "9 changed rows since seeding 57");
        assert_eq!(Counted::default().told(), "no rows");
    }

    #[test]
    fn what_is_not_ours_is_not_corrected() {
        let rows = [
            row("slack", What::Missing),
            row("stripe", What::Changed(vec!["name"])),
            row("stripe", What::Foreign(Foreign::InPlace)),
            row("monday", What::Foreign(Foreign::Beside)),
            row("monday", What::Foreign(Foreign::Claiming)),
            Drifted { registry: None, ..row("trello", What::Foreign(Foreign::Claiming)) },
        ];
        let mended = correctable(&rows);
        let told: Vec<_> = mended.iter().map(|row| (row.integration.as_str(), row.what.clone())).collect();
        assert_eq!(told, [("slack", What::Missing), ("monday", What::Foreign(Foreign::Claiming))]);
    }
}
