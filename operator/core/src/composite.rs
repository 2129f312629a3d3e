//! The version of a union of offers: that of the first, with the others in its build metadata, as in
//! `2.0.0+with.community.1.1.0`.
//!
//! Semantic versioning gives build metadata no precedence, so ranges see the first offer's version. Of two unions the
//! later one is told by its parts.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use semver::Version;

use crate::conflict::precedence;

/// The word before the parts.
const WITH: &str = "with";
/// What one part is written in: a source, and the numbers of its version.
const WORDS: usize = 4;

/// The version of a union whose first offer has `own`. `parts`: the sources that filled something in, with their versions.
#[must_use]
pub fn version(own: &str, parts: &[(&str, &str)]) -> String {
    let Ok(mut version) = Version::parse(own) else { return own.to_owned() };
    let mut build = WITH.to_owned();
    for (source, part) in parts {
        let Ok(Version { major, minor, patch, pre, .. }) = Version::parse(part) else {
            return own.to_owned();
        };
        build.push_str(&format!(".{source}.{major}.{minor}.{patch}"));
        if !pre.is_empty() {
            build.push_str(&format!("-{}", pre.replace('.', "-")));
        }
    }
    match semver::BuildMetadata::new(&build) {
        Ok(build) => {
            version.build = build;
            version.to_string()
        }
        Err(_) => own.to_owned(),
    }
}

/// The parts of a union's version beside its first offer's; none: it is no union's.
fn parts(version: &str) -> Option<BTreeMap<String, String>> {
    let (_, build) = version.split_once('+')?;
    let mut words = build.split('.');
    if words.next() != Some(WITH) {
        return None;
    }
    let words: Vec<&str> = words.collect();
    let part = |words: &[&str]| match words {
        [source, rest @ ..] if rest.len() == WORDS - 1 => Some(((*source).to_owned(), rest.join("."))),
        _ => None,
    };
    words.chunks(WORDS).map(part).collect()
}

/// Whether `new` is newer than `here` by the parts of a union alone: none of them lower, and one of them higher, new or
/// gone. Of versions that are no union's, and of others than each other's equals, never.
#[must_use]
pub fn is_newer(new: &str, here: &str) -> bool {
    let (mine, theirs) = (parts(new), parts(here));
    if mine.is_none() && theirs.is_none() || precedence(new, here) != Ordering::Equal {
        return false;
    }
    let (new, here) = (mine.unwrap_or_default(), theirs.unwrap_or_default());
    let lower = |(source, part): (&String, &String)| {
        here.get(source).is_some_and(|old| precedence(part, old).is_lt())
    };
    new != here && !new.iter().any(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_names_its_parts() {
        assert_eq!(version("2.0.0", &[("community", "1.1.0")]), "2.0.0+with.community.1.1.0");
        let two = version("2.0.0-rc.1+b", &[("a", "1.0.0-rc.2"), ("b-c", "0.1.0+x")]);
        assert_eq!(two, "2.0.0-rc.1+with.a.1.0.0-rc-2.b-c.0.1.0");
        assert_eq!(version("two", &[("a", "1.0.0")]), "two");
        assert_eq!(parts(&two).map(|parts| parts.len()), Some(2));
    }

    #[test]
    fn a_union_is_newer_by_its_parts() {
        let table = [
            ("2.0.0+with.b.1.1.0", "2.0.0+with.b.1.0.0", true),
            ("2.0.0+with.b.1.0.0", "2.0.0+with.b.1.1.0", false),
            ("2.0.0+with.b.1.0.0", "2.0.0+with.b.1.0.0", false),
            ("2.0.0+with.b.1.0.0", "2.0.0", true),
            ("2.0.0", "2.0.0+with.b.1.0.0", true),
            ("2.0.0+with.b.1.1.0", "2.0.0+with.b.1.0.0.c.1.0.0", true),
            ("2.0.0+with.b.1.1.0.c.0.9.0", "2.0.0+with.b.1.0.0.c.1.0.0", false),
            ("2.0.0+a", "2.0.0+b", false),
            ("2.0.0", "2.0.0", false),
            ("1.0.0+with.b.1.1.0", "2.0.0+with.b.1.0.0", false),
        ];
        for (new, here, expect) in table {
            assert_eq!(is_newer(new, here), expect, "{new} {here}");
        }
    }
}
