//! What a new content of an integration means for those who use the old one.
//!
//! *Breaking*: a required input is added, an input is removed or narrowed, an output is removed or changed, a part is removed,
//! a scope is added. *Documentation*: nothing but texts changed. All else is *compatible*.

mod accepts;
mod facts;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compare::{Change, What, compare};
use crate::plan::{Content, Operation};
use accepts::{Obstacle, Unnamed, accepts};
use facts::{Facts, facts, names, plain};

/// What a change means for users. The worse is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Compatibility {
    /// Nothing but texts.
    Documentation,
    /// Whatever was accepted is, and whatever was there is.
    Compatible,
    /// Somebody's use may fail.
    Breaking,
}

impl Compatibility {
    /// As plans show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Documentation => "documentation only",
            Self::Compatible => "compatible",
            Self::Breaking => "breaking",
        }
    }
}

/// One difference, and what it means.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The difference.
    pub change: Change,
    /// What it means.
    pub compatibility: Compatibility,
    /// Why it is breaking: `input /amount is now required`.
    pub why: Option<String>,
}

/// All differences between two canonical manifests, in the order of [`compare`], each with what it means.
#[must_use]
pub fn judge(from: &Value, to: &Value) -> Vec<Judged> {
    // Where none is given, an object is.
    let (mut schemas, empty) = (BTreeMap::new(), serde_json::json!({"type": "object"}));
    let one = |change: Change| {
        let field = change.pointer.split('/').nth(1).unwrap_or_default().to_owned();
        let verdict = match direction(&change, &field) {
            Some(direction) => {
                let key = (change.kind, change.item.clone(), field.clone());
                let schema = |manifest| item(manifest, &change).and_then(|item| item.get(&field));
                let verdict =
                    || direction.verdict(schema(from).unwrap_or(&empty), schema(to).unwrap_or(&empty));
                schemas.entry(key).or_insert_with(verdict).clone()
            }
            None => rule(&change, &field),
        };
        let (compatibility, why) = match verdict {
            Ok(compatibility) => (compatibility, None),
            Err(why) => (Compatibility::Breaking, Some(why)),
        };
        Judged { change, compatibility, why }
    };
    compare(from, to).into_iter().map(one).collect()
}

/// The worst of all; none where nothing differs.
#[must_use]
pub fn worst(judged: &[Judged]) -> Option<Compatibility> {
    judged.iter().map(|judged| judged.compatibility).max()
}

/// Whether a version says that a change of this kind was made: a breaking one needs another major version, or below 1.0.0
/// another minor one (Semantic Versioning 2.0.0, sections 4 and 8).
#[must_use]
pub fn says_so(from: &Version, to: &Version, compatibility: Compatibility) -> bool {
    compatibility != Compatibility::Breaking
        || (to.major, if to.major == 0 { to.minor } else { 0 })
            != (from.major, if from.major == 0 { from.minor } else { 0 })
}

/// Why an update's version does not say what it breaks: `stripe 1.0.1 breaks what uses 1.0.0 (…): its version should be
/// 2.0.0`. None where it does, or nothing breaks.
#[must_use]
pub fn understated(operation: &Operation, judged: &[Judged]) -> Option<String> {
    let version = |content: &Option<Content>| content.as_ref()?.version.parse::<Version>().ok();
    let (from, to) = (version(&operation.from)?, version(&operation.to)?);
    let why = judged.iter().find_map(|judged| judged.why.as_deref().map(|why| (&judged.change, why)));
    let (change, why) = why.filter(|_| !says_so(&from, &to, Compatibility::Breaking))?;
    let part = change.item.as_ref().filter(|_| !change.pointer.is_empty());
    let part = part.map(|item| format!("{} {item}: ", change.kind)).unwrap_or_default();
    let next =
        if from.major == 0 { Version::new(0, from.minor + 1, 0) } else { Version::new(from.major + 1, 0, 0) };
    Some(format!("{} {to} breaks what uses {from} ({part}{why}): its version should be {next}", operation.id))
}

type Verdict = Result<Compatibility, String>;

/// Which way values go through a schema.
#[derive(Clone, Copy)]
enum Direction {
    /// The user gives them.
    Input,
    /// The user takes them.
    Output,
}

fn direction(change: &Change, field: &str) -> Option<Direction> {
    match (change.kind, field) {
        ("action" | "trigger", "inputSchema") => Some(Direction::Input),
        ("action" | "trigger", "outputSchema") | ("event", "schema") => Some(Direction::Output),
        _ => None,
    }
}

impl Direction {
    fn verdict(self, from: &Value, to: &Value) -> Verdict {
        if plain(from) == plain(to) {
            return Ok(Compatibility::Documentation);
        }
        let gone = match (properties(from), properties(to)) {
            (Some(before), Some(now)) => before.difference(&now).next().cloned(),
            // Where they are too many to be listed, what is gone shows in the proof, if it does.
            _ => None,
        };
        match self {
            Self::Input => match gone {
                Some(at) => Err(format!("input {at} is removed")),
                None => accepts(to, from, Unnamed::Never).map_err(|obstacle| match obstacle {
                    Obstacle { at, keyword } if keyword == "required" || is_now_required(from, to, &at) => {
                        format!("input {at} is now required")
                    }
                    Obstacle { at, keyword } => format!("input {} is narrowed ({keyword})", top(&at)),
                }),
            },
            Self::Output => match gone {
                Some(at) => Err(format!("output {at} is removed")),
                None => accepts(from, to, Unnamed::Welcome).map_err(|obstacle| match obstacle {
                    Obstacle { at, keyword } if keyword == "required" => {
                        format!("output {at} may now be missing")
                    }
                    Obstacle { at, keyword } => format!("output {} is changed ({keyword})", top(&at)),
                }),
            },
        }
        .map(|()| Compatibility::Compatible)
    }
}

/// A field of the outermost map that the one schema requires and the other did not: whoever left it out is refused now,
/// whatever else is said of it.
fn is_now_required(from: &Value, to: &Value, at: &str) -> bool {
    let name = at.strip_prefix('/').unwrap_or_default();
    let requires = |schema: &Value| {
        schema["required"].as_array().is_some_and(|all| all.iter().any(|required| required == name))
    };
    requires(to) && !requires(from)
}

fn top(at: &str) -> &str {
    if at.is_empty() { "/" } else { at }
}

/// What needs no schema to be told.
fn rule(change: &Change, field: &str) -> Verdict {
    let Change { kind, item, pointer, what, .. } = change;
    let name = item.as_deref().unwrap_or_default();
    match (*kind, what) {
        ("test" | "example", _) | (_, What::Reordered) => Ok(Compatibility::Documentation),
        ("action" | "trigger" | "event" | "connection" | "webhook", What::Removed(_))
            if pointer.is_empty() =>
        {
            Err(format!("{kind} {name} is removed"))
        }
        ("credential", What::Added(value)) if pointer.is_empty() && value["required"] == true => {
            Err(format!("credential {name} is now required"))
        }
        ("credential", What::Added(value) | What::Changed { to: value, .. })
            if field == "required" && *value == true =>
        {
            Err(format!("credential {name} is now required"))
        }
        ("connection", What::Changed { .. }) if field == "type" => {
            Err(format!("connection {name} is of another type"))
        }
        (_, What::Added(to)) if is_scope(pointer) => widened(&Value::Null, to),
        (_, What::Changed { from, to }) if is_scope(pointer) => widened(from, to),
        _ if TEXTS.contains(&field) => Ok(Compatibility::Documentation),
        _ => Ok(Compatibility::Compatible),
    }
}

/// Fields that nothing but people read.
const TEXTS: &[&str] = &[
    "author",
    "category",
    "deprecated",
    "description",
    "documentationUrl",
    "homepage",
    "icon",
    "label",
    "license",
    "name",
    "summary",
    "supportUrl",
    "tags",
    "title",
];

fn is_scope(pointer: &str) -> bool {
    pointer.ends_with("/scopes") || pointer == "/permissions"
}

fn widened(from: &Value, to: &Value) -> Verdict {
    let before: BTreeSet<&str> = names(from).into_iter().collect();
    match names(to).into_iter().find(|scope| !before.contains(scope)) {
        Some(scope) => Err(format!("{scope} is asked for")),
        None => Ok(Compatibility::Compatible),
    }
}

/// The part of a manifest that a difference belongs to.
fn item<'a>(manifest: &'a Value, change: &Change) -> Option<&'a Value> {
    let (list, key) = match change.kind {
        "action" => ("actions", "id"),
        "trigger" => ("triggers", "id"),
        "event" => ("events", "eventType"),
        _ => return None,
    };
    let id = change.item.as_deref()?;
    manifest.get(list)?.as_array()?.iter().find(|item| item.get(key).and_then(Value::as_str) == Some(id))
}

/// JSON pointers of all properties that a schema describes, `*` for the items of a list; a schema that holds itself is
/// followed once around. None where they are too many.
fn properties(schema: &Value) -> Option<BTreeSet<String>> {
    const MOST: usize = 5_000;
    let mut found = BTreeSet::new();
    let (mut open, mut steps) = (vec![(String::new(), schema, Vec::new())], 0);
    while let Some((at, part, above)) = open.pop() {
        steps += 1;
        if found.len() > MOST || steps > 4 * MOST {
            return None;
        }
        let Some(Facts::All(all)) = facts(part, schema, true) else { continue };
        for keywords in all {
            let this = std::ptr::from_ref(keywords);
            if above.contains(&this) {
                continue;
            }
            let above = [above.as_slice(), &[this]].concat();
            for (name, below) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
                let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                open.push((at.clone(), below, above.clone()));
                found.insert(at);
            }
            if let Some(items) = keywords.get("items") {
                open.push((format!("{at}/*"), items, above.clone()));
            }
            let branches = ["anyOf", "oneOf"].iter().filter_map(|keyword| keywords.get(*keyword)?.as_array());
            let branches = branches.flatten().chain(["then", "else"].iter().filter_map(|k| keywords.get(*k)));
            open.extend(branches.map(|branch| (at.clone(), branch, above.clone())));
        }
    }
    Some(found)
}
