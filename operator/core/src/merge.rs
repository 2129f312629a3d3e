//! Merging manifests: two over the base that both come from, and several offers of one integration into their union.
//!
//! Fields are merged one by one, actions, triggers, connections and events by their ids, and lists such as tags as sets.
//! Anything else is one thing: whoever changed it wins, and where both sides changed it, each in another way, they clash.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::compare::{Items, LISTS, MAPS, escaped, keyed};
use crate::conflict::precedence;

/// Lists that are sets: their order says nothing, and both sides may add and remove.
const SETS: &[&str] =
    &["category", "tags", "permissions", "environment", "scopes", "connections", "required", "enum"];
/// Those of them that are empty where they are absent. Of the others an absent one means everything.
const EMPTY_WHERE_ABSENT: &[&str] = &["category", "tags", "scopes", "required"];
/// The list of `id@range`, one of each id.
const DEPENDENCIES: &str = "dependencies";

/// Merges two manifests over their base. Where one side alone changed something, its change stands.
///
/// # Errors
/// Where both sides changed one thing in different ways: JSON pointers to all of them, items by their id
/// (`/actions/create-post/description`).
pub fn merge(base: &Value, ours: &Value, theirs: &Value) -> Result<Value, Vec<String>> {
    let mut merging = Merging { clashes: Vec::new() };
    let sides = Sides { base: Some(base), ours: Some(ours), theirs: Some(theirs) };
    let merged = merging.join(&Where { pointer: String::new(), name: "", top: false }, sides);
    merging.clashes.sort_unstable();
    if merging.clashes.is_empty() { Ok(merged.unwrap_or(Value::Null)) } else { Err(merging.clashes) }
}

/// One thing as the base and both sides have it.
#[derive(Clone, Copy)]
struct Sides<'a> {
    base: Option<&'a Value>,
    ours: Option<&'a Value>,
    theirs: Option<&'a Value>,
}

impl<'a> Sides<'a> {
    fn map<T>(self, mut of: impl FnMut(Option<&'a Value>) -> T) -> (T, T, T) {
        (of(self.base), of(self.ours), of(self.theirs))
    }
}

/// Where a thing stands in the manifest.
struct Where<'a> {
    pointer: String,
    /// Of the field.
    name: &'a str,
    /// It is a field of the manifest itself.
    top: bool,
}

impl Where<'_> {
    fn below<'b>(&self, name: &'b str, top: bool) -> Where<'b> {
        Where { pointer: format!("{}/{}", self.pointer, escaped(name)), name, top }
    }
}

struct Merging {
    clashes: Vec<String>,
}

impl Merging {
    /// What one thing becomes; nothing: it is absent.
    fn join(&mut self, at: &Where<'_>, sides: Sides<'_>) -> Option<Value> {
        let Sides { base, ours, theirs } = sides;
        if ours == theirs || theirs == base {
            return ours.cloned();
        }
        if ours == base {
            return theirs.cloned();
        }
        if let Some(higher) = at.top.then(|| higher(at, ours, theirs)).flatten() {
            return Some(higher);
        }
        let joined = self.by_key(at, sides).or_else(|| self.by_name(at, sides)).or_else(|| as_set(at, sides));
        joined.unwrap_or_else(|| {
            self.clashes.push(at.pointer.clone());
            ours.cloned()
        })
    }

    /// The items of a list by their keys. Outer none: it is no such list.
    fn by_key(&mut self, at: &Where<'_>, sides: Sides<'_>) -> Option<Option<Value>> {
        let (_, key, _) = LISTS.iter().find(|(field, ..)| at.top && *field == at.name)?;
        let (base, ours, theirs) = sides.map(|list| keyed(list, key));
        let (base, ours, theirs) = (base?, ours?, theirs?);
        let of = |items: &Items<'_>| -> BTreeMap<String, Value> {
            items.iter().map(|(key, item)| (key.to_string(), (*item).clone())).collect()
        };
        let (b, o, t) = (of(&base), of(&ours), of(&theirs));
        let mut merged = BTreeMap::new();
        let keys: BTreeSet<&String> = b.keys().chain(o.keys()).chain(t.keys()).collect();
        for key in keys {
            let sides = Sides { base: b.get(key), ours: o.get(key), theirs: t.get(key) };
            merged.extend(self.join(&at.below(key, false), sides).map(|item| (key.clone(), item)));
        }
        let order = order(&names(&base), &names(&ours), &names(&theirs), |key| merged.contains_key(key));
        let items: Vec<Value> = order.iter().filter_map(|key| merged.remove(key.as_str())).collect();
        Some((!items.is_empty()).then_some(Value::Array(items)))
    }

    /// The fields of a map by their names. Outer none: not all of them are maps.
    fn by_name(&mut self, at: &Where<'_>, sides: Sides<'_>) -> Option<Option<Value>> {
        let empty = at.top && MAPS.iter().any(|(field, _)| *field == at.name);
        let (base, ours, theirs) = sides.map(|map| match map {
            None if empty => Some(Cow::Owned(Map::new())),
            map => map?.as_object().map(Cow::Borrowed),
        });
        let (base, ours, theirs) = (base?, ours?, theirs?);
        let manifest = at.pointer.is_empty();
        let mut merged = Map::new();
        let names: BTreeSet<&String> = base.keys().chain(ours.keys()).chain(theirs.keys()).collect();
        for name in names {
            let sides = Sides { base: base.get(name), ours: ours.get(name), theirs: theirs.get(name) };
            merged.extend(self.join(&at.below(name, manifest), sides).map(|value| (name.clone(), value)));
        }
        Some((!(empty && merged.is_empty())).then_some(Value::Object(merged)))
    }
}

/// The version of what both sides gave a new one: the higher.
fn higher(at: &Where<'_>, ours: Option<&Value>, theirs: Option<&Value>) -> Option<Value> {
    let (ours, theirs) = (ours?.as_str()?, theirs?.as_str()?);
    match precedence(ours, theirs) {
        _ if at.name != "version" => None,
        Ordering::Greater => Some(ours.into()),
        Ordering::Less => Some(theirs.into()),
        Ordering::Equal => None,
    }
}

/// A list of texts as a set: what a side added is there, what a side removed is not. Outer none: it is no set.
fn as_set(at: &Where<'_>, sides: Sides<'_>) -> Option<Option<Value>> {
    let depends = at.top && at.name == DEPENDENCIES;
    if !depends && !SETS.contains(&at.name) {
        return None;
    }
    let empty = depends || EMPTY_WHERE_ABSENT.contains(&at.name);
    let (base, ours, theirs) = sides.map(|list| match list {
        None if empty => Some(Vec::new()),
        list => texts(list?, depends),
    });
    let (base, ours, theirs) = (base?, ours?, theirs?);
    let find = |all: &[(String, String)], key: &str| {
        all.iter().find(|(known, _)| known == key).map(|(_, text)| text.clone())
    };
    let mut merged = BTreeMap::new();
    for (key, _) in base.iter().chain(&ours).chain(&theirs) {
        let (b, o, t) = (find(&base, key), find(&ours, key), find(&theirs, key));
        let text = match () {
            () if o == t || t == b => o,
            () if o == b => t,
            // One dependency, with two new ranges.
            () => return None,
        };
        merged.extend(text.map(|text| (key.clone(), text)));
    }
    let names = |all: &[(String, String)]| all.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let order = order(&names(&base), &names(&ours), &names(&theirs), |key| merged.contains_key(key));
    let items: Vec<Value> = order.iter().filter_map(|key| merged.remove(key)).map(Value::from).collect();
    Some((!(empty && items.is_empty())).then_some(Value::Array(items)))
}

/// A list of different texts, each with what it is known by.
fn texts(list: &Value, depends: bool) -> Option<Vec<(String, String)>> {
    let one = |item: &Value| {
        let text = item.as_str()?;
        let key = if depends { text.split('@').next().unwrap_or(text).trim() } else { text };
        Some((key.to_owned(), text.to_owned()))
    };
    let texts: Vec<(String, String)> = list.as_array()?.iter().map(one).collect::<Option<_>>()?;
    let keys: BTreeSet<&String> = texts.iter().map(|(key, _)| key).collect();
    (keys.len() == texts.len()).then_some(texts)
}

fn names(items: &Items<'_>) -> Vec<String> {
    items.iter().map(|(key, _)| (*key).to_owned()).collect()
}

/// The order of a merged list: that of the side that moved things, where but one did, else ours; and what the other side
/// added behind what it follows there.
fn order(base: &[String], ours: &[String], theirs: &[String], kept: impl Fn(&str) -> bool) -> Vec<String> {
    let of = |side: &[String], other: &[String]| -> Vec<String> {
        side.iter().filter(|key| other.contains(key)).cloned().collect()
    };
    let moved = of(ours, base) != of(base, ours);
    let (first, second) = if moved { (ours, theirs) } else { (theirs, ours) };
    let mut order: Vec<String> = first.iter().filter(|key| kept(key)).cloned().collect();
    let mut before: Option<&String> = None;
    for key in second.iter().filter(|key| kept(key)) {
        if !order.contains(key) {
            let place = before.and_then(|before| order.iter().position(|known| known == before));
            order.insert(place.map_or(0, |place| place + 1), key.clone());
        }
        before = Some(key);
    }
    order
}

/// Fields that are the first offer's alone: what they say where they are absent is no gap.
const OWN: &[&str] = &[
    "id",
    "name",
    "version",
    "stability",
    "lifecycle",
    "replacedBy",
    "environment",
    "minPlatformVersion",
    "arrayFormat",
];

/// One of several offers of an id.
#[derive(Debug, Clone, Copy)]
pub struct Offered<'a> {
    /// Name of the source.
    pub source: &'a str,
    /// The manifest.
    pub manifest: &'a Value,
}

/// The union of several offers, the first in order first: later ones fill in what those before them lack, by field and by
/// action, trigger, connection and event. Also says where they clash, and so the earlier one won.
#[must_use]
pub fn union(offers: &[Offered<'_>]) -> (Value, Vec<String>) {
    let Some((first, later)) = offers.split_first() else { return (Value::Null, Vec::new()) };
    let mut all = first.manifest.as_object().cloned().unwrap_or_default();
    let mut clashes = BTreeSet::new();
    let mut parts = Vec::new();
    for Offered { source, manifest } in later {
        let before = all.clone();
        for (name, value) in manifest.as_object().into_iter().flatten() {
            if !OWN.contains(&name.as_str()) {
                fill(&mut all, name, value, &mut clashes);
            }
        }
        if all != before {
            parts.push((*source, manifest["version"].as_str().unwrap_or_default()));
        }
    }
    if !parts.is_empty() {
        let own = all.get("version").and_then(Value::as_str).unwrap_or_default();
        all.insert("version".into(), crate::composite::version(own, &parts).into());
    }
    (Value::Object(all), clashes.into_iter().collect())
}

/// Fills one field of a later offer in.
fn fill(all: &mut Map<String, Value>, name: &str, value: &Value, clashes: &mut BTreeSet<String>) {
    let Some(there) = all.get_mut(name) else {
        all.insert(name.to_owned(), value.clone());
        return;
    };
    if there == value {
        return;
    }
    let at = format!("/{}", escaped(name));
    if let Some((_, key, _)) = LISTS.iter().find(|(field, ..)| *field == name)
        && let (Some(known), Some(items)) = (keyed(Some(&*there), key), keyed(Some(value), key))
    {
        let known: BTreeMap<&str, &Value> = known.into_iter().collect();
        let mut new = Vec::new();
        for (key, item) in items {
            match known.get(key) {
                None => new.push(item.clone()),
                Some(known) if *known == item => {}
                Some(_) => {
                    clashes.insert(format!("{at}/{}", escaped(key)));
                }
            }
        }
        there.as_array_mut().into_iter().for_each(|list| list.append(&mut new));
    } else if MAPS.iter().any(|(field, _)| *field == name)
        && let (Some(known), Some(entries)) = (there.as_object_mut(), value.as_object())
    {
        for (key, entry) in entries {
            let own = known.entry(key.clone()).or_insert_with(|| entry.clone());
            if own != entry {
                clashes.insert(format!("{at}/{}", escaped(key)));
            }
        }
    } else if (name == DEPENDENCIES || SETS.contains(&name))
        && let (Some(known), Some(items)) =
            (texts(there, name == DEPENDENCIES), texts(value, name == DEPENDENCIES))
    {
        for (key, text) in items {
            match known.iter().find(|(known, _)| *known == key) {
                None => there.as_array_mut().into_iter().for_each(|list| list.push(text.clone().into())),
                Some((_, own)) if *own == text => {}
                Some(_) => {
                    clashes.insert(format!("{at}/{}", escaped(&key)));
                }
            }
        }
    } else {
        clashes.insert(at);
    }
}
