//! When a new version is a conflict, and how a conflict is told.

use std::cmp::Ordering;

use semver::Version;

use crate::composite;
use crate::hash::Encoder;
use crate::merges::{Made, Unmerged};
use crate::plan::{Conflict, ConflictType, Content, Current, Resolution, State};

/// How many names a message lists before it counts the rest: messages stay readable, and a catalog in which all need one
/// missing integration does not grow with its square.
pub const NAMES: usize = 20;

/// Orders two versions by precedence (SemVer 2.0, item 11): build metadata does not count, so that `1.0.0+a` and
/// `1.0.0+b` with different content are in conflict. A version that cannot be read comes before every other.
#[must_use]
pub fn precedence(a: &str, b: &str) -> Ordering {
    match (Version::parse(a), Version::parse(b)) {
        (Ok(a), Ok(b)) => a.cmp_precedence(&b),
        (a, b) => a.is_ok().cmp(&b.is_ok()),
    }
}

/// What new content is, beside the content that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The same content.
    Same,
    /// The content of git that hand edits here were merged into.
    Merged,
    /// A newer version.
    Newer,
    /// A lower version that was carried before: a `git revert`.
    Revert,
    /// The same version with other content, or a lower one that was never carried.
    Conflict,
}

/// Judges new content for `current`'s integration.
#[must_use]
pub fn step(current: &Current, version: &str, checksum: &str, state: &State) -> Step {
    if current.content.checksum == checksum {
        return Step::Same;
    }
    if state.merged.get(&current.id).is_some_and(|merged| merged == checksum) {
        return Step::Merged;
    }
    match precedence(version, &current.content.version) {
        Ordering::Greater => Step::Newer,
        Ordering::Equal if composite::is_newer(version, &current.content.version) => Step::Newer,
        Ordering::Less if state.carried.contains(&(current.id.clone(), checksum.to_owned())) => Step::Revert,
        _ => Step::Conflict,
    }
}

/// The conflict of a version that is no newer than what is there; with why it cannot be merged, where it was to be.
#[must_use]
pub fn version(
    current: &Current,
    version: &str,
    checksum: &str,
    resolution: Resolution,
    unmerged: Option<&Unmerged>,
) -> Conflict {
    let here = &current.content;
    let message = if version == here.version {
        format!("git has {version} too, with other content")
    } else if precedence(version, &here.version) == Ordering::Equal {
        format!("git has {version}, which is no newer than {}, with other content", here.version)
    } else {
        format!("git has the lower {version}")
    };
    Conflict {
        integration: current.id.clone(),
        kind: ConflictType::Version,
        current_version: Some(here.version.clone()),
        new_version: Some(version.to_owned()),
        resolution,
        unmerged: unmerged.map(|unmerged| unmerged.why.clone()),
        clashes: unmerged.map(|unmerged| unmerged.clashes.clone()).unwrap_or_default(),
        message,
        fingerprint: fingerprint(ConflictType::Version, &[&here.checksum, checksum]),
    }
}

/// One of several offers of an id, in the order of the sources.
#[derive(Debug, Clone, Copy)]
pub struct Offer<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// The version it offers.
    pub version: &'a str,
    /// The checksum of what it offers.
    pub checksum: &'a str,
}

/// The conflict of an id that several sources offer, the first in order first: what is carried, and what the next best
/// offer is. `here` is what the database holds, `union` what became of merging them.
#[must_use]
pub fn duplicate(
    id: &str,
    here: Option<&Content>,
    offers: &[Offer<'_>],
    resolution: Resolution,
    union: Option<&Result<Made, Unmerged>>,
) -> Option<Conflict> {
    let (first, last) = (offers.first()?, offers.last()?);
    let union = union.filter(|_| resolution == Resolution::Merge);
    let made = union.and_then(|union| union.as_ref().ok());
    let joined = made.map(|made| {
        let summary = &made.wanted.summary;
        Offer { source: first.source, version: &summary.version, checksum: &summary.checksum }
    });
    let (winner, other) = match resolution {
        Resolution::Skip => (first, offers.get(1)?),
        Resolution::Override => (last, offers.iter().rev().nth(1)?),
        Resolution::Merge => (joined.as_ref().unwrap_or(first), offers.get(1)?),
    };
    // What is carried from now on: the winner, unless its version is a conflict with what is there.
    let carried = match here {
        Some(here)
            if here.checksum != winner.checksum
                && precedence(winner.version, &here.version) != Ordering::Greater
                && !composite::is_newer(winner.version, &here.version) =>
        {
            &here.version
        }
        _ => winner.version,
    };
    let told = listed(offers.iter().map(|o| format!("{} offers {}", o.source, o.version)), offers.len());
    // Another winner is another conflict: what is told of it, and remembered, is not the same.
    let offered = offers.iter().flat_map(|o| [o.source, o.checksum]);
    let parts: Vec<&str> = std::iter::once(winner.source).chain(offered).collect();
    Some(Conflict {
        integration: id.to_owned(),
        kind: ConflictType::Duplicate,
        current_version: Some(carried.to_owned()),
        new_version: Some(other.version.to_owned()),
        resolution,
        unmerged: match (resolution, union) {
            (Resolution::Merge, Some(Err(unmerged))) => Some(unmerged.why.clone()),
            (Resolution::Merge, None) => Some(UNSEEN.to_owned()),
            _ => None,
        },
        clashes: match union {
            Some(Ok(made)) => made.clashes.clone(),
            Some(Err(unmerged)) => unmerged.clashes.clone(),
            None => Vec::new(),
        },
        message: match made {
            Some(made) if made.clashes.is_empty() => told,
            Some(_) => format!("{told}: {} wins where they differ", first.source),
            None => format!("{told}: {} wins", winner.source),
        },
        fingerprint: fingerprint(ConflictType::Duplicate, &parts),
    })
}

/// Nobody worked out what merging makes of it.
pub(crate) const UNSEEN: &str = "its contents are not at hand here";

/// What makes a conflict this one and no other.
#[must_use]
pub(crate) fn fingerprint(kind: ConflictType, parts: &[&str]) -> String {
    let mut encoder = Encoder::new("sower/conflict/1");
    encoder.text(kind.as_str()).count(parts.len());
    for part in parts {
        encoder.text(part);
    }
    encoder.finish()
}

/// `a, b and c`; of more than [`NAMES`] the first ones and how many of the `total` are left.
#[must_use]
pub fn listed(names: impl IntoIterator<Item = impl Into<String>>, total: usize) -> String {
    let mut shown: Vec<String> = names.into_iter().take(NAMES.min(total)).map(Into::into).collect();
    let more = total - shown.len();
    let last = if more > 0 { Some(format!("{more} more")) } else { shown.pop() };
    match (shown.is_empty(), last) {
        (_, None) => String::new(),
        (true, Some(only)) => only,
        (false, Some(last)) => format!("{} and {last}", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_counts_its_rest() {
        let names: Vec<String> = (0..25).map(|n| n.to_string()).collect();
        let of = |count: usize| listed(&names[..count], count);
        assert_eq!([of(0), of(1), of(2), of(3)], ["", "0", "0 and 1", "0, 1 and 2"]);
        assert!(of(20).ends_with("18 and 19"));
        assert!(of(25).ends_with("18, 19 and 5 more"));
    }

    #[test]
    fn a_duplicate_sets_what_is_carried_beside_the_other_offer() {
        let offers = [
            Offer { source: "a", version: "1.0.0", checksum: "v1:a" },
            Offer { source: "b", version: "3.0.0", checksum: "v1:b" },
        ];
        let here =
            |version: &str, checksum: &str| Content { version: version.into(), checksum: checksum.into() };
        for (here, resolution, carried, other) in [
            (None, Resolution::Skip, "1.0.0", "3.0.0"),
            (Some(here("1.0.0", "v1:a")), Resolution::Skip, "1.0.0", "3.0.0"),
            (Some(here("1.0.0", "v1:a")), Resolution::Override, "3.0.0", "1.0.0"),
            (Some(here("3.0.0", "v1:b")), Resolution::Override, "3.0.0", "1.0.0"),
            (Some(here("2.0.0", "v1:c")), Resolution::Skip, "2.0.0", "3.0.0"),
        ] {
            let found = duplicate("x", here.as_ref(), &offers, resolution, None).expect("a conflict");
            let versions = (found.current_version.as_deref(), found.new_version.as_deref());
            assert_eq!(versions, (Some(carried), Some(other)), "{here:?} {resolution:?}");
        }
    }

    #[test]
    fn build_metadata_has_no_precedence() {
        let table = [
            ("1.0.0+a", "1.0.0+b", Ordering::Equal),
            ("1.0.0-rc.2", "1.0.0-rc.10", Ordering::Less),
            ("1.0.0-rc.1", "1.0.0", Ordering::Less),
            ("1.10.0", "1.9.0", Ordering::Greater),
            ("one", "0.0.0", Ordering::Less),
            ("one", "two", Ordering::Equal),
        ];
        for (a, b, expect) in table {
            assert_eq!(precedence(a, b), expect, "{a} {b}");
        }
    }
}
