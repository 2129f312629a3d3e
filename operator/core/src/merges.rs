//! What merging makes of conflicts: worked out where contents are at hand, before it is settled what becomes of each
//! integration.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::catalog::Summary;
use crate::hand::{There, held};
use crate::manifest::{Limits, ResourceEntry, canonical, checksum, load_value};
use crate::merge::{Offered, merge, union};
use crate::plan::Wanted;
use crate::problem::Problem;

/// Most places that are named of what could not be merged.
const NAMED: usize = 50;
/// Most characters of one of them.
const LONGEST: usize = 200;

/// The answers, by integration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merges {
    /// Of offers of several sources.
    pub unions: BTreeMap<String, Result<Made, Unmerged>>,
    /// Of a version that is no newer than what is there.
    pub versions: BTreeMap<String, Result<Made, Unmerged>>,
    /// Contents that the environment carried at some time, of integrations that others need, the newest version first.
    pub known: BTreeMap<String, Vec<Made>>,
    /// Contents that sources offered earlier, and that are let in now.
    pub offered: BTreeMap<String, Made>,
}

/// A content that stands in no source as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// What is known of it: provenance is that of the offer that it was made from.
    pub wanted: Wanted,
    /// Its canonical bytes.
    pub manifest: Arc<str>,
    /// The content of git that went into it, and its checksum.
    pub git: (String, Arc<str>),
    /// Where offers differ, and the first of them won.
    pub clashes: Vec<String>,
    /// Digest of the rows whose edits went into it; they are to be there still when it is written.
    pub seen: Option<String>,
}

/// Why it could not be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmerged {
    /// One clause for people: `both sides changed /actions/post/name`.
    pub why: String,
    /// JSON pointers to what both sides changed.
    pub clashes: Vec<String>,
    /// Digest of the rows that it was tried with: with others it may go.
    pub seen: Option<String>,
}

impl Merges {
    /// The bytes of a content that was made here.
    #[must_use]
    pub fn manifest(&self, id: &str, checksum: &str) -> Option<&Arc<str>> {
        let made = [&self.versions, &self.unions].into_iter().filter_map(|by| by.get(id)?.as_ref().ok());
        let known = self.known.get(id).into_iter().flatten();
        let offered = self.offered.get(id);
        made.chain(known)
            .chain(offered)
            .find(|made| made.wanted.summary.checksum == checksum)
            .map(|made| &made.manifest)
    }

    /// The merge with edits that an integration's new content came from.
    #[must_use]
    pub fn merged(&self, id: &str, checksum: &str) -> Option<&Made> {
        let made = self.versions.get(id)?.as_ref().ok()?;
        (made.wanted.summary.checksum == checksum).then_some(made)
    }
}

impl Unmerged {
    /// Both sides changed these things, each in another way.
    #[must_use]
    pub fn clash(clashes: Vec<String>) -> Self {
        let (first, more) = (clashes.first().map_or("", String::as_str), clashes.len().saturating_sub(1));
        let shown = if first.is_empty() { "all of it" } else { first };
        let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
        Self {
            why: format!("both sides changed {}{rest}", cut(shown)),
            clashes: bounded(clashes),
            seen: None,
        }
    }

    /// It could not be looked into.
    #[must_use]
    pub fn because(why: &str) -> Self {
        Self { why: why.to_owned(), clashes: Vec::new(), seen: None }
    }

    fn invalid(problem: &Problem) -> Self {
        let at = problem.pointer.strip_prefix("/spec").unwrap_or(&problem.pointer);
        let why =
            format!("merged it is no valid manifest: {} at {}: {}", problem.code, cut(at), problem.message);
        Self { why: cut(&why), clashes: Vec::new(), seen: None }
    }
}

fn bounded(clashes: Vec<String>) -> Vec<String> {
    clashes.iter().take(NAMED).map(|pointer| cut(pointer)).collect()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// The union of an integration's offers, the first in the order of the sources first, each with its canonical bytes.
///
/// # Errors
/// Where it is no valid manifest.
pub fn of_offers(offers: &[(&Wanted, Arc<str>)]) -> Result<Made, Unmerged> {
    let Some((first, bytes)) = offers.first() else { return Err(Unmerged::because("there is nothing")) };
    let manifests: Vec<Value> =
        offers.iter().map(|(_, bytes)| serde_json::from_str(bytes).unwrap_or_default()).collect();
    let offered: Vec<Offered<'_>> = offers
        .iter()
        .zip(&manifests)
        .map(|((wanted, _), manifest)| Offered { source: &wanted.place.source, manifest })
        .collect();
    let (value, clashes) = union(&offered);
    let mut made = made(&value, first, bytes)?;
    made.git = (made.wanted.summary.checksum.clone(), made.manifest.clone());
    made.clashes = bounded(clashes);
    Ok(made)
}

/// What git offers (`theirs`), merged with what the rows hold, over `base`: the content of git that was last taken into
/// them. `seeded` is the content that was last written into them.
///
/// # Errors
/// Where both sides changed one thing, or the result is no valid manifest.
pub fn of_version(
    base: &str,
    seeded: &str,
    there: &There<'_>,
    theirs: (&Wanted, &Arc<str>),
    seen: String,
) -> Result<Made, Unmerged> {
    let (wanted, bytes) = theirs;
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let ours = held(seeded, there).map_err(|unclear| Unmerged {
        why: format!("the rows say different things of {}", unclear.first().map_or("", String::as_str)),
        clashes: bounded(unclear),
        seen: None,
    })?;
    let merged = merge(&parse(base), &ours, &parse(bytes)).map_err(Unmerged::clash)?;
    Ok(Made { seen: Some(seen), ..made(&merged, wanted, bytes)? })
}

/// A content that the environment carried earlier, with the place and revision that it came from.
#[must_use]
pub fn of_version_kept(wanted: &Wanted, manifest: &Arc<str>) -> Option<Made> {
    let value: Value = serde_json::from_str(manifest).ok()?;
    let made = loaded(&value, wanted, manifest).ok()?;
    (made.wanted.summary.checksum == wanted.summary.checksum).then_some(made)
}

/// A content that a source offered earlier, as it was.
#[must_use]
pub fn of_offer(wanted: &Wanted, manifest: &Arc<str>) -> Made {
    let git = (wanted.summary.checksum.clone(), manifest.clone());
    Made { wanted: wanted.clone(), manifest: manifest.clone(), git, clashes: Vec::new(), seen: None }
}

/// The content that `value` is, offered as `like` is.
fn made(value: &Value, like: &Wanted, bytes: &Arc<str>) -> Result<Made, Unmerged> {
    let text = canonical(value);
    if *text == **bytes && checksum(&text) == like.summary.checksum {
        let git = (like.summary.checksum.clone(), bytes.clone());
        let (wanted, manifest) = (like.clone(), bytes.clone());
        return Ok(Made { wanted, manifest, git, clashes: Vec::new(), seen: None });
    }
    loaded(value, like, bytes)
}

/// [`made`], of what is not known to be valid.
fn loaded(value: &Value, like: &Wanted, bytes: &Arc<str>) -> Result<Made, Unmerged> {
    let git = (like.summary.checksum.clone(), bytes.clone());
    let (clashes, seen) = (Vec::new(), None);
    let Wanted { summary, place, revision, resolve } = like;
    let nothing = BTreeMap::new();
    let resource =
        ResourceEntry { path: &place.path, blob: "", name: &summary.id, annotations: &nothing, spec: value };
    let loaded = load_value(&place.source, resource, Limits::FILES);
    let (Some(loaded_summary), Some(manifest)) = (loaded.summary, loaded.manifest) else {
        let first = loaded.problems.iter().find(|problem| problem.is_error());
        return Err(first.map_or_else(|| Unmerged::because("merged it is no manifest"), Unmerged::invalid));
    };
    // Lines and annotations are those of the file that was offered.
    let (lines, annotations) = (summary.lines, summary.annotations);
    let summary = Summary { lines, annotations, ..loaded_summary };
    let wanted = Wanted { summary, place: place.clone(), revision: revision.clone(), resolve: *resolve };
    Ok(Made { wanted, manifest, git, clashes, seen })
}
