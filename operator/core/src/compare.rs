//! What changed between two contents of an integration, field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::plan::Verb;

/// The lists of a manifest whose items have a name of their own: field, the item's key, and what one item is called.
pub(crate) const LISTS: &[(&str, &str, &str)] = &[
    ("connections", "id", "connection"),
    ("actions", "id", "action"),
    ("triggers", "id", "trigger"),
    ("events", "eventType", "event"),
    ("webhooks", "id", "webhook"),
    ("testSuite", "name", "test"),
    ("examples", "name", "example"),
];

/// The maps of a manifest whose entries are things of their own.
pub(crate) const MAPS: &[(&str, &str)] = &[("credentialSchema", "credential"), ("schemas", "schema")];

/// What happened at one place.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// It was not there.
    Added(Value),
    /// It is no longer there.
    Removed(Value),
    /// It has another value.
    Changed {
        /// The value before.
        from: Value,
        /// The value now.
        to: Value,
    },
    /// The same items in another order.
    Reordered,
}

/// One difference between two manifests.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What it belongs to: action, trigger, …; `integration` for the fields at the top.
    pub kind: &'static str,
    /// Its id; absent for the integration itself.
    pub item: Option<String>,
    /// JSON pointer into the item; empty for the whole of it.
    pub pointer: String,
    /// What happened.
    pub what: What,
    /// The field of the manifest that holds the item.
    field: Option<&'static str>,
}

impl Change {
    /// `+` for an item that is new, `-` for one that is gone, `~` for one that changed.
    #[must_use]
    pub fn verb(&self) -> Verb {
        match &self.what {
            What::Added(_) if self.pointer.is_empty() => Verb::Create,
            What::Removed(_) if self.pointer.is_empty() => Verb::Remove,
            _ => Verb::Update,
        }
    }

    /// The word behind the pointer: `added`, `removed`, `reordered`; nothing for a changed value or a whole item.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match &self.what {
            _ if self.pointer.is_empty() && self.what != What::Reordered => "",
            What::Added(_) => "added",
            What::Removed(_) => "removed",
            What::Reordered => "reordered",
            What::Changed { .. } => "",
        }
    }

    /// Where in the manifest, items by their id: `/actions/create-post/description`.
    #[must_use]
    pub fn path(&self) -> String {
        match (self.field, &self.item) {
            (Some(field), Some(item)) => format!("/{field}/{}{}", escaped(item), self.pointer),
            _ => self.pointer.clone(),
        }
    }

    /// What changed, on one line: `"Create a post" -> "Create a post or a draft"`. A value longer than 60 characters is cut.
    #[must_use]
    pub fn values(&self) -> String {
        match &self.what {
            What::Changed { from, to } => format!("{} -> {}", short(from), short(to)),
            What::Added(value) => format!("added {}", short(value)),
            What::Removed(value) => format!("removed {}", short(value)),
            What::Reordered => "reordered".into(),
        }
    }
}

/// All differences between two canonical manifests: the integration's own fields, then its parts in the manifest's order
/// of kinds; of each kind the new ones, the changed ones and those that are gone, each by id. The version is left out: it
/// is what the two are called.
#[must_use]
pub fn compare(from: &Value, to: &Value) -> Vec<Change> {
    let empty = Map::new();
    let (from, to) = (from.as_object().unwrap_or(&empty), to.as_object().unwrap_or(&empty));
    let mut own = Vec::new();
    let mut parts = Vec::new();
    let mut told = BTreeSet::from(["version"]);
    for (field, kind) in MAPS {
        if let (Some(a), Some(b)) = (entries(from.get(*field)), entries(to.get(*field))) {
            told.insert(field);
            parts.extend(items(kind, field, &a, &b));
        }
    }
    for (field, key, kind) in LISTS {
        if let (Some(a), Some(b)) = (keyed(from.get(*field), key), keyed(to.get(*field), key)) {
            told.insert(field);
            parts.extend(items(kind, field, &a, &b));
            if order(&a, &b) != order(&b, &a) {
                own.push((format!("/{field}"), What::Reordered));
            }
        }
    }
    let rest = |fields: &Map<String, Value>| -> Value {
        let rest = fields.iter().filter(|(name, _)| !told.contains(name.as_str()));
        rest.map(|(name, value)| (name.clone(), value.clone())).collect::<Map<_, _>>().into()
    };
    values(&rest(from), &rest(to), String::new(), &mut own);
    let integration =
        |(pointer, what)| Change { kind: "integration", item: None, pointer, what, field: None };
    own.into_iter().map(integration).chain(parts).collect()
}

/// The changes on one line, as a log has it: `action post-message, trigger message.posted and 3 more`.
#[must_use]
pub fn summary(changes: &[Change]) -> String {
    let mut names: Vec<String> = Vec::new();
    for change in changes {
        let name = match &change.item {
            Some(item) => format!("{} {item}", change.kind),
            None => change.pointer.split('/').nth(1).unwrap_or_default().to_owned(),
        };
        if !names.contains(&name) && names.len() <= NAMED {
            names.push(name);
        }
    }
    if names.len() <= NAMED {
        return names.join(", ");
    }
    let all: BTreeSet<(&str, Option<&str>, Option<&str>)> = changes
        .iter()
        .map(|c| (c.kind, c.item.as_deref(), c.item.is_none().then(|| c.pointer.split('/').nth(1)).flatten()))
        .collect();
    names.truncate(NAMED - 1);
    format!("{} and {} more", names.join(", "), all.len() - names.len())
}

/// How many things a summary names.
const NAMED: usize = 3;

pub(crate) type Items<'a> = Vec<(&'a str, &'a Value)>;

/// A list by its items' keys; nothing if an item has none, or two have one.
pub(crate) fn keyed<'a>(list: Option<&'a Value>, key: &str) -> Option<Items<'a>> {
    let Some(list) = list else { return Some(Vec::new()) };
    let items: Items<'a> =
        list.as_array()?.iter().map(|item| Some((item.get(key)?.as_str()?, item))).collect::<Option<_>>()?;
    let names: BTreeSet<&str> = items.iter().map(|(name, _)| *name).collect();
    (names.len() == items.len()).then_some(items)
}

fn entries(map: Option<&Value>) -> Option<Items<'_>> {
    match map {
        None => Some(Vec::new()),
        Some(map) => Some(map.as_object()?.iter().map(|(name, value)| (name.as_str(), value)).collect()),
    }
}

/// The names of `a` that `b` has too, as `a` orders them.
fn order<'a>(a: &Items<'a>, b: &Items<'a>) -> Vec<&'a str> {
    let known: BTreeSet<&str> = b.iter().map(|(name, _)| *name).collect();
    a.iter().map(|(name, _)| *name).filter(|name| known.contains(name)).collect()
}

fn items(kind: &'static str, field: &'static str, from: &Items<'_>, to: &Items<'_>) -> Vec<Change> {
    let from: BTreeMap<&str, &Value> = from.iter().copied().collect();
    let to: BTreeMap<&str, &Value> = to.iter().copied().collect();
    let change = |item: &str, pointer: String, what: What| Change {
        kind,
        item: Some(item.to_owned()),
        pointer,
        what,
        field: Some(field),
    };
    let mut changes = Vec::new();
    for (name, value) in to.iter().filter(|(name, _)| !from.contains_key(*name)) {
        changes.push(change(name, String::new(), What::Added((*value).clone())));
    }
    for (name, value) in &to {
        let mut found = Vec::new();
        if let Some(before) = from.get(name) {
            values(before, value, String::new(), &mut found);
        }
        changes.extend(found.into_iter().map(|(pointer, what)| change(name, pointer, what)));
    }
    for (name, value) in from.iter().filter(|(name, _)| !to.contains_key(*name)) {
        changes.push(change(name, String::new(), What::Removed((*value).clone())));
    }
    changes
}

/// The differences below one value. Lists are told as a whole: an index says nothing once an item is put in front.
fn values(from: &Value, to: &Value, at: String, changes: &mut Vec<(String, What)>) {
    match (from, to) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let below = format!("{at}/{}", escaped(name));
                match (a.get(name), b.get(name)) {
                    (Some(a), Some(b)) => values(a, b, below, changes),
                    (Some(a), None) => changes.push((below, What::Removed(a.clone()))),
                    (None, Some(b)) => changes.push((below, What::Added(b.clone()))),
                    (None, None) => {}
                }
            }
        }
        (a, b) if a == b => {}
        (a, b) => changes.push((at, What::Changed { from: a.clone(), to: b.clone() })),
    }
}

/// A name as a JSON pointer holds it (RFC 6901).
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn short(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONGEST {
        return text;
    }
    let cut: String = text.chars().take(LONGEST - 1).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(from: &Value, to: &Value) -> Vec<String> {
        compare(from, to)
            .iter()
            .map(|change| {
                let mark = match change.verb() {
                    Verb::Create => '+',
                    Verb::Remove => '-',
                    _ => '~',
                };
                let item = change.item.as_deref().unwrap_or_default();
                let line = format!("{mark} {} {item} {} {}", change.kind, change.pointer, change.word());
                line.split_whitespace().collect::<Vec<_>>().join(" ")
            })
            .collect()
    }

    #[test]
    fn changes_are_told_by_part_and_pointer() {
        let from = json!({
            "id": "stripe", "version": "1.0.0", "description": "Payments",
            "actions": [
                { "id": "create-refund", "inputSchema": { "properties": { "amount": {} } } },
                { "id": "void", "name": "Void" },
            ],
            "triggers": [{ "id": "charge.refunded", "description": "Refunded" }],
            "events": [{ "eventType": "charge.refunded" }],
            "credentialSchema": { "key": { "label": "Key" } },
        });
        let to = json!({
            "id": "stripe", "version": "1.1.0", "category": ["payments"],
            "actions": [
                { "id": "create-refund", "inputSchema": { "properties": { "amount": {}, "reason": {} } } },
                { "id": "list-payouts", "name": "List payouts" },
            ],
            "triggers": [{ "id": "charge.refunded", "description": "A charge was refunded" }],
            "events": [{ "eventType": "charge.refunded", "version": "2" }],
            "credentialSchema": { "key": { "label": "Secret key" }, "region": {} },
        });
        assert_eq!(
            lines(&from, &to),
            [
                "~ integration /category added",
                "~ integration /description removed",
                "+ credential region",
                "~ credential key /label",
                "+ action list-payouts",
                "~ action create-refund /inputSchema/properties/reason added",
                "- action void",
                "~ trigger charge.refunded /description",
                "~ event charge.refunded /version added",
            ]
        );
        let changes = compare(&from, &to);
        let refunded = changes.iter().find(|c| c.kind == "trigger").expect("the trigger changed");
        assert_eq!(refunded.path(), "/triggers/charge.refunded/description");
        assert_eq!(refunded.values(), r#""Refunded" -> "A charge was refunded""#);
        assert_eq!(summary(&changes), "category, description and 7 more");
        assert_eq!(compare(&from, &from), []);
    }

    #[test]
    fn one_change_is_summed_up_by_its_part() {
        let from = json!({ "version": "1.0.0", "actions": [{ "id": "post-message", "name": "Post" }] });
        let to = json!({ "version": "1.0.0", "actions": [{ "id": "post-message", "name": "Post it", "effect": "read" }] });
        assert_eq!(summary(&compare(&from, &to)), "action post-message");
    }

    #[test]
    fn another_order_is_a_change_of_the_list() {
        let from = json!({ "connections": [{ "id": "a" }, { "id": "b" }] });
        let to = json!({ "connections": [{ "id": "b" }, { "id": "c" }, { "id": "a" }] });
        assert_eq!(lines(&from, &to), ["~ integration /connections reordered", "+ connection c"]);
    }

    #[test]
    fn a_list_without_keys_is_compared_as_a_whole() {
        let from = json!({ "actions": [{ "id": "a" }, { "id": "a" }], "x/y": 1 });
        let to = json!({ "actions": [{ "id": "a" }], "x/y": "a".repeat(90) });
        assert_eq!(lines(&from, &to), ["~ integration /actions", "~ integration /x~1y"]);
        assert!(compare(&from, &to)[1].values().ends_with('…'));
    }
}
