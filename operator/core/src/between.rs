//! Environment against environment: what one carries otherwise than another, integration by integration.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::compatibility::{self, Compatibility, Judged};
use crate::plan::Verb;

/// What an environment carries of one integration.
#[derive(Debug, Clone, PartialEq)]
pub struct Carried {
    /// Its version.
    pub version: String,
    /// Its canonical manifest.
    pub manifest: Value,
}

/// An integration that is not the same in both.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The integration.
    pub id: String,
    /// The version on the first side; absent where that does not carry it.
    pub from: Option<String>,
    /// The version on the second side; absent where that does not carry it.
    pub to: Option<String>,
    /// What differs inside, and what it means for who goes from the first side to the second; empty unless both carry it.
    pub inside: Vec<Judged>,
}

impl Difference {
    /// `+` where only the second side carries it, `-` where only the first does, `~` where both do.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match (&self.from, &self.to) {
            (None, _) => Verb::Create,
            (_, None) => Verb::Remove,
            _ => Verb::Update,
        }
    }

    /// What it means for who goes from the first side to the second.
    #[must_use]
    pub fn means(&self) -> Compatibility {
        match self.verb() {
            Verb::Create => Compatibility::Compatible,
            Verb::Remove => Compatibility::Breaking,
            Verb::Update | Verb::Move => {
                compatibility::worst(&self.inside).unwrap_or(Compatibility::Documentation)
            }
        }
    }
}

/// The ids whose contents are not known to be the same by their checksums alone, in order. A row that Sower did not write
/// has none.
#[must_use]
pub fn in_question<'a>(
    from: &BTreeMap<&'a str, Option<&str>>,
    to: &BTreeMap<&'a str, Option<&str>>,
) -> Vec<&'a str> {
    let ids: BTreeSet<&str> = from.keys().chain(to.keys()).copied().collect();
    let same = |id: &&str| from.get(id).copied().flatten().is_some_and(|one| to.get(id) == Some(&Some(one)));
    ids.into_iter().filter(|id| !same(id)).collect()
}

/// What differs about one integration; nothing where neither carries it, or both carry the same.
#[must_use]
pub fn difference(id: &str, from: Option<&Carried>, to: Option<&Carried>) -> Option<Difference> {
    if from == to {
        return None;
    }
    let inside = match (from, to) {
        (Some(from), Some(to)) => compatibility::judge(&from.manifest, &to.manifest),
        _ => Vec::new(),
    };
    let version = |carried: Option<&Carried>| carried.map(|carried| carried.version.clone());
    Some(Difference { id: id.to_owned(), from: version(from), to: version(to), inside })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn carried(version: &str, actions: &[&str]) -> Carried {
        let actions: Vec<Value> = actions.iter().map(|id| json!({ "id": id })).collect();
        Carried {
            version: version.into(),
            manifest: json!({ "id": "stripe", "version": version, "actions": actions }),
        }
    }

    #[test]
    fn only_what_may_differ_is_looked_at() {
        let from = BTreeMap::from([("a", Some("1")), ("b", Some("1")), ("c", Some("1")), ("e", None)]);
        let to = BTreeMap::from([("a", Some("1")), ("b", Some("2")), ("d", Some("1")), ("e", None)]);
        assert_eq!(in_question(&from, &to), ["b", "c", "d", "e"]);
        assert!(in_question(&BTreeMap::new(), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_difference_says_what_it_is_and_means() {
        let (one, two) = (carried("1.0.0", &["charge"]), carried("1.1.0", &["charge", "refund"]));
        let other = carried("1.0.0", &["refund", "charge"]);
        let check =
            |from: Option<&Carried>, to: Option<&Carried>, expected: Option<(Verb, Compatibility, usize)>| {
                let found = difference("stripe", from, to);
                assert_eq!(found.map(|one| (one.verb(), one.means(), one.inside.len())), expected);
            };
        check(None, Some(&one), Some((Verb::Create, Compatibility::Compatible, 0)));
        check(Some(&one), None, Some((Verb::Remove, Compatibility::Breaking, 0)));
        check(Some(&one), Some(&two), Some((Verb::Update, Compatibility::Compatible, 1)));
        check(Some(&two), Some(&one), Some((Verb::Update, Compatibility::Breaking, 1)));
        check(Some(&one), Some(&other), Some((Verb::Update, Compatibility::Compatible, 1)));
        check(Some(&one), Some(&one), None);
        check(None, None, None);
    }

    #[test]
    fn another_version_alone_is_a_difference() {
        let found = difference("stripe", Some(&carried("1.0.0", &[])), Some(&carried("1.0.1", &[])));
        let found = found.expect("one");
        assert_eq!((found.verb(), found.means()), (Verb::Update, Compatibility::Documentation));
        assert_eq!((found.from.as_deref(), found.to.as_deref()), (Some("1.0.0"), Some("1.0.1")));
    }
}
