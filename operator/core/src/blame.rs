//! Which seeding last changed each part of an integration, from the contents that an environment carried one after another.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::compare::{What, compare};

/// What an environment had of an integration after a seeding.
#[derive(Debug, Clone, Copy)]
pub enum Held<'a> {
    /// This content, as canonical JSON.
    Content(&'a Value),
    /// A content that nobody keeps any more.
    Forgotten,
    /// Nothing: the integration was taken out.
    Nothing,
}

/// A part of an integration: an action, a trigger, …, or one of its own fields.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// Place of its kind in the order in which kinds are told.
    order: usize,
    /// `integration` for a field at the top; else action, trigger, connection, event, …
    pub kind: &'static str,
    /// Its id, an event's type, or the field's name.
    pub name: String,
}

/// Where a part comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since {
    /// Number of the seeding that brought it as it is.
    pub seeding: i64,
    /// It may have been an earlier one: what was carried just before is forgotten.
    pub or_before: bool,
}

/// The kinds as they are told: the integration's own fields first, then what is in the registries, then the rest.
const KINDS: &[&str] = &[
    "integration",
    "connection",
    "action",
    "trigger",
    "event",
    "webhook",
    "credential",
    "schema",
    "test",
    "example",
];

/// Takes the contents, oldest first, one at a time: no more than two of them are held.
#[derive(Debug, Clone, Default)]
pub struct Blame {
    parts: BTreeMap<Part, Since>,
    last: Option<Value>,
    /// The contents since the last known one are forgotten.
    gap: bool,
}

impl Blame {
    /// What was there after the seeding of this number. Numbers rise.
    pub fn after(&mut self, seeding: i64, held: Held<'_>) {
        match held {
            Held::Content(content) => self.content(seeding, content),
            Held::Forgotten => self.gap = true,
            Held::Nothing => *self = Self::default(),
        }
    }

    /// Every part of the last known content, with where it comes from; by kind and name. Nothing where the integration was
    /// taken out, and where the last content is forgotten.
    #[must_use]
    pub fn parts(self) -> Vec<(Part, Since)> {
        if self.gap { Vec::new() } else { self.parts.into_iter().collect() }
    }

    fn content(&mut self, seeding: i64, content: &Value) {
        let since = Since { seeding, or_before: self.gap };
        let before = std::mem::take(&mut self.parts);
        let changed = differing(self.last.as_ref().unwrap_or(&Value::Null), content);
        // Every part of a content is new beside nothing.
        for part in differing(&Value::Null, content) {
            let kept = before.get(&part).filter(|_| !changed.contains(&part));
            let since = kept.copied().unwrap_or(since);
            self.parts.insert(part, since);
        }
        self.last = Some(content.clone());
        self.gap = false;
    }
}

/// [`Blame`] of contents that are all at hand, oldest first.
#[must_use]
pub fn blame<'a>(history: impl IntoIterator<Item = (i64, Held<'a>)>) -> Vec<(Part, Since)> {
    let mut blame = Blame::default();
    for (seeding, held) in history {
        blame.after(seeding, held);
    }
    blame.parts()
}

/// The parts in which two contents differ. Another order of the same items is no change of any of them.
fn differing(from: &Value, to: &Value) -> BTreeSet<Part> {
    let told = compare(from, to).into_iter().filter(|change| change.what != What::Reordered);
    let mut parts: BTreeSet<Part> = told
        .filter_map(|change| {
            let name = match change.item {
                Some(item) => item,
                None => unescaped(change.pointer.split('/').nth(1)?),
            };
            Some(part(change.kind, name))
        })
        .collect();
    // To a comparison the version is what the two are called.
    if from.get("version") != to.get("version") {
        parts.insert(part("integration", "version".to_owned()));
    }
    parts
}

fn part(kind: &'static str, name: String) -> Part {
    let order = KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len());
    Part { order, kind, name }
}

/// A name as it was before it became part of a JSON pointer (RFC 6901).
fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines<'a>(history: impl IntoIterator<Item = (i64, Held<'a>)>) -> Vec<String> {
        let line = |(part, since): (Part, Since)| {
            let mark = if since.or_before { "<=" } else { "" };
            format!("{} {} {mark}{}", part.kind, part.name, since.seeding)
        };
        blame(history).into_iter().map(line).collect()
    }

    fn action(id: &str, path: &str) -> Value {
        json!({ "id": id, "name": id, "request": { "path": path } })
    }

    fn content(version: &str, actions: &[Value]) -> Value {
        json!({ "id": "slack", "version": version, "actions": actions })
    }

    #[test]
    fn all_of_the_first_content_is_of_the_first_seeding() {
        let first = json!({
            "id": "slack", "version": "1.0.0", "rateLimit": { "requests": 5 }, "x/y": 1,
            "actions": [action("post", "/a")], "triggers": [{ "id": "posted" }], "connections": [{ "id": "oauth" }],
            "events": [{ "eventType": "message.posted" }], "credentialSchema": { "key": {} },
        });
        assert_eq!(
            lines([(4, Held::Content(&first))]),
            [
                "integration id 4",
                "integration rateLimit 4",
                "integration version 4",
                "integration x/y 4",
                "connection oauth 4",
                "action post 4",
                "trigger posted 4",
                "event message.posted 4",
                "credential key 4",
            ]
        );
        assert_eq!(lines([]), [""; 0]);
    }

    #[test]
    fn a_part_is_of_the_seeding_that_changed_it_last() {
        let one = content("1.0.0", &[action("post", "/a"), action("list", "/l")]);
        let two = content("1.1.0", &[action("post", "/b"), action("list", "/l")]);
        let three = content("1.1.0", &[action("list", "/l"), action("post", "/b"), action("edit", "/e")]);
        let history = [
            (1, Held::Content(&one)),
            (3, Held::Content(&two)),
            // Written again, or moved: nothing of it is another.
            (5, Held::Content(&two)),
            (7, Held::Content(&three)),
        ];
        assert_eq!(
            lines(history),
            ["integration id 1", "integration version 3", "action edit 7", "action list 1", "action post 3"]
        );
    }

    #[test]
    fn what_comes_back_is_of_the_seeding_that_brought_it_back() {
        let with = content("1.0.0", &[action("post", "/a"), action("list", "/l")]);
        let without = content("1.0.0", &[action("post", "/a")]);
        let again = [(1, Held::Content(&with)), (2, Held::Content(&without)), (3, Held::Content(&with))];
        assert_eq!(
            lines(again),
            ["integration id 1", "integration version 1", "action list 3", "action post 1"]
        );
        let taken_out = [(1, Held::Content(&without)), (2, Held::Nothing), (3, Held::Content(&without))];
        assert_eq!(lines(taken_out), ["integration id 3", "integration version 3", "action post 3"]);
        assert_eq!(lines([(1, Held::Content(&with)), (2, Held::Nothing)]), [""; 0]);
    }

    #[test]
    fn what_is_renamed_is_new_and_the_old_name_is_gone() {
        let before = json!({ "version": "1.0.0", "homepage": "a", "actions": [action("post", "/a")] });
        let after = json!({ "version": "1.0.0", "website": "a", "actions": [action("post-message", "/a")] });
        assert_eq!(
            lines([(1, Held::Content(&before)), (2, Held::Content(&after))]),
            ["integration version 1", "integration website 2", "action post-message 2"]
        );
    }

    #[test]
    fn a_forgotten_content_makes_it_that_seeding_or_an_earlier_one() {
        let one = content("1.0.0", &[action("post", "/a")]);
        let two = content("1.1.0", &[action("post", "/a"), action("list", "/l")]);
        let oldest = [(1, Held::Forgotten), (2, Held::Content(&one)), (3, Held::Content(&two))];
        assert_eq!(
            lines(oldest),
            ["integration id <=2", "integration version 3", "action list 3", "action post <=2"]
        );
        let between = [(1, Held::Content(&one)), (2, Held::Forgotten), (3, Held::Content(&two))];
        assert_eq!(
            lines(between),
            ["integration id 1", "integration version <=3", "action list <=3", "action post 1"]
        );
        assert_eq!(lines([(1, Held::Content(&one)), (2, Held::Forgotten)]), [""; 0]);
    }

    #[test]
    fn a_list_whose_items_have_no_names_is_a_field_of_the_integration() {
        let twice = json!({ "version": "1.0.0", "actions": [action("a", "/a"), action("a", "/b")] });
        let once = json!({ "version": "1.0.0", "actions": [action("a", "/a")] });
        assert_eq!(
            lines([(1, Held::Content(&twice)), (2, Held::Content(&once)), (3, Held::Content(&twice))]),
            ["integration actions 3", "integration version 1"]
        );
    }
}
