//! What holds for every three manifests.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};
use sower_core::merge::{Offered, merge, union};

const LISTS: [(&str, &str); 3] = [("actions", "id"), ("events", "eventType"), ("connections", "id")];
const SETS: [&str; 4] = ["tags", "scopes", "required", "dependencies"];

fn text() -> impl Strategy<Value = Value> {
    select(&["a", "b", "c"][..]).prop_map(Value::from)
}

fn tags(all: &'static [&'static str]) -> impl Strategy<Value = Option<Value>> {
    let some = subsequence(all.to_vec(), 1..=all.len());
    prop::option::of((some, any::<bool>()).prop_map(|(mut some, turned)| {
        if turned {
            some.reverse();
        }
        json!(some)
    }))
}

fn schema() -> impl Strategy<Value = Value> {
    let property = (text(), prop::option::of(text()))
        .prop_map(|(kind, title)| object([("type", Some(kind)), ("title", title)]));
    let properties = vec((select(&["x", "y"][..]), property), 1..3)
        .prop_map(|all| Value::from(all.into_iter().map(|(n, p)| (n.to_owned(), p)).collect::<Map<_, _>>()));
    (properties, tags(&["x", "y", "z"])).prop_map(|(properties, required)| {
        object([("type", Some("object".into())), ("properties", Some(properties)), ("required", required)])
    })
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<Map<_, _>>()
        .into()
}

fn items(key: &'static str) -> impl Strategy<Value = Option<Value>> {
    let item = (text(), prop::option::of(text()), tags(&["read", "write"]), prop::option::of(schema()));
    let ids = subsequence(vec!["p", "q", "r", "s"], 1..4).prop_shuffle();
    let items = (ids, vec(item, 4)).prop_map(move |(ids, items)| {
        let item = |(id, (name, description, scopes, schema)): (&str, _)| {
            let name: Value = name;
            object([
                (key, Some(id.into())),
                ("name", Some(name)),
                ("description", description),
                ("scopes", scopes),
                ("inputSchema", schema),
            ])
        };
        Value::from(ids.into_iter().zip(items).map(item).collect::<Vec<_>>())
    });
    prop::option::of(items)
}

fn manifest() -> impl Strategy<Value = Value> {
    (
        (text(), select(&["1.0.0", "1.1.0", "2.0.0"][..]), prop::option::of(text())),
        (items("id"), items("eventType"), items("id")),
        (tags(&["red", "green", "blue"]), tags(&["http@^1", "crm", "mail@1.x"])),
        prop::option::of(vec(0..3i32, 1..3)),
    )
        .prop_map(|((name, version, author), (actions, events, connections), (tags, needs), limits)| {
            object([
                ("id", Some("acme".into())),
                ("name", Some(name)),
                ("version", Some(version.into())),
                ("author", author),
                ("actions", actions),
                ("events", events),
                ("connections", connections),
                ("tags", tags),
                ("dependencies", needs),
                ("rateLimit", limits.map(|limits| json!(limits))),
            ])
        })
}

/// Sides that differ from the base in a few fields only, so that not all of them clash.
fn three() -> impl Strategy<Value = [Value; 3]> {
    let picks = || vec(prop::bool::weighted(0.25), 10);
    (manifest(), manifest(), manifest(), picks(), picks()).prop_map(|(base, ours, theirs, a, b)| {
        let side = |of: &Value, picks: &[bool]| {
            let mut side = base.clone();
            let names = [
                "name",
                "version",
                "author",
                "actions",
                "events",
                "connections",
                "tags",
                "dependencies",
                "rateLimit",
            ];
            for (name, _) in names.into_iter().zip(picks).filter(|(_, picked)| **picked) {
                let fields = side.as_object_mut().expect("an object");
                match of.get(name) {
                    Some(value) => fields.insert(name.to_owned(), value.clone()),
                    None => fields.remove(name),
                };
            }
            side
        };
        let (ours, theirs) = (side(&ours, &a), side(&theirs, &b));
        [base, ours, theirs]
    })
}

/// Everything that can be changed by itself, items by their keys, and sets by what is in them.
fn leaves(value: &Value) -> BTreeMap<String, Value> {
    fn walk(value: &Value, at: String, name: &str, top: bool, out: &mut BTreeMap<String, Value>) {
        let key = LISTS.iter().find(|(list, _)| top && *list == name).map(|(_, key)| *key);
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    walk(value, format!("{at}/{name}"), name, at.is_empty(), out);
                }
            }
            Value::Array(items) if key.is_some() => {
                for item in items {
                    let id = item[key.expect("one")].as_str().expect("an id");
                    walk(item, format!("{at}/{id}"), "", false, out);
                }
            }
            Value::Array(items) if SETS.contains(&name) => {
                out.extend(
                    items.iter().map(|item| (format!("{at}/{}", item.as_str().expect("text")), true.into())),
                );
            }
            leaf => drop(out.insert(at, leaf.clone())),
        }
    }
    let mut out = BTreeMap::new();
    walk(value, String::new(), "", false, &mut out);
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn who_changed_nothing_gets_what_the_other_has([base, one, _] in three()) {
        prop_assert_eq!(merge(&base, &one, &one), Ok(one.clone()));
        prop_assert_eq!(merge(&base, &base, &one), Ok(one.clone()));
        prop_assert_eq!(merge(&base, &one, &base), Ok(one.clone()));
    }

    #[test]
    fn a_merge_merged_again_stays([base, ours, theirs] in three()) {
        if let Ok(merged) = merge(&base, &ours, &theirs) {
            prop_assert_eq!(merge(&theirs, &merged, &theirs), Ok(merged.clone()));
        }
    }

    #[test]
    fn it_commutes_but_for_the_order_of_lists([base, ours, theirs] in three()) {
        let there = merge(&base, &ours, &theirs).map(|merged| leaves(&merged));
        let back = merge(&base, &theirs, &ours).map(|merged| leaves(&merged));
        prop_assert_eq!(there, back);
    }

    #[test]
    fn nothing_that_one_side_alone_changed_is_lost([base, ours, theirs] in three()) {
        let Ok(merged) = merge(&base, &ours, &theirs) else { return Ok(()) };
        let [b, o, t, m] = [&base, &ours, &theirs, &merged].map(leaves);
        for at in b.keys().chain(o.keys()).chain(t.keys()).chain(m.keys()) {
            let expect = match (b.get(at), o.get(at), t.get(at)) {
                (_, o, t) if o == t => o,
                (b, o, t) if o == b => t,
                (b, o, t) if t == b => o,
                (_, o, t) if at == "/version" => o.max_by(t),
                _ => panic!("{at} was changed by both"),
            };
            prop_assert_eq!(m.get(at), expect, "{}", at);
        }
    }

    #[test]
    fn every_clash_is_something_that_both_changed([base, ours, theirs] in three()) {
        let Err(clashes) = merge(&base, &ours, &theirs) else { return Ok(()) };
        let [b, o, t] = [&base, &ours, &theirs].map(leaves);
        for clash in clashes {
            let below = |all: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
                let within = |at: &str| at == clash || at.starts_with(&format!("{clash}/"));
                all.iter().filter(|(at, _)| within(at)).map(|(at, v)| (at.clone(), v.clone())).collect()
            };
            let (b, o, t) = (below(&b), below(&o), below(&t));
            prop_assert!(o != b && t != b && o != t, "{clash}");
        }
    }

    #[test]
    fn a_union_has_all_of_the_first_and_what_it_lacks(one in manifest(), two in manifest()) {
        let offered = |source, manifest| Offered { source, manifest };
        let (all, _) = union(&[offered("a", &one), offered("b", &two)]);
        let [first, second, all] = [&one, &two, &all].map(leaves);
        for (at, value) in first.iter().filter(|(at, _)| *at != "/version") {
            prop_assert_eq!(all.get(at), Some(value), "{}", at);
        }
        for at in second.keys() {
            let part: Vec<&str> = at.split('/').skip(1).collect();
            let item = LISTS.iter().any(|(list, _)| *list == part[0]);
            let known = first.keys().any(|known| known.starts_with(&format!("/{}/{}/", part[0], part.get(1).unwrap_or(&""))));
            prop_assert!(all.contains_key(at) || (item && known), "{}", at);
        }
        let (same, clashes) = union(&[offered("a", &one), offered("b", &one)]);
        prop_assert_eq!((&same, clashes.len()), (&one, 0));
    }
}

/// The higher of two versions.
trait Higher<'a> {
    fn max_by(self, other: Self) -> Self;
}

impl<'a> Higher<'a> for Option<&'a Value> {
    fn max_by(self, other: Self) -> Self {
        let text = |value: Self| value.and_then(Value::as_str).unwrap_or_default();
        if text(self) > text(other) { self } else { other }
    }
}

fn acme(fields: Value) -> Value {
    let mut all = json!({ "id": "acme", "name": "Acme", "version": "1.0.0" });
    all.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    all
}

#[test]
fn what_both_changed_is_named() {
    let action = |id: &str, name: &str| json!({ "id": id, "name": name });
    let base = acme(json!({ "actions": [action("a", "A"), action("b", "B")], "dependencies": ["http@^1"] }));
    let ours = acme(json!({ "name": "Ours", "actions": [action("a", "A1")], "dependencies": ["http@^1.2"] }));
    let theirs = acme(json!({
        "name": "Theirs", "actions": [action("a", "A2"), action("b", "B2")], "dependencies": ["http@^2"],
    }));
    let clashes = merge(&base, &ours, &theirs).expect_err("clashes");
    assert_eq!(clashes, ["/actions/a/name", "/actions/b", "/dependencies", "/name"]);
}

#[test]
fn lists_keep_their_order() {
    let list = |ids: &[&str]| {
        acme(json!({ "actions": ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>() }))
    };
    for (base, ours, theirs, expect) in [
        ("a b", "a x b", "a b y", "a x b y"),
        ("a b", "x a b", "a y b", "x a y b"),
        ("a b c", "c b a", "a b c y", "c y b a"),
        ("a b c", "a b c x", "c b a", "c x b a"),
        ("a b c", "a c", "a b c y", "a c y"),
    ] {
        let [base, ours, theirs, expect] =
            [base, ours, theirs, expect].map(|ids| list(&ids.split(' ').collect::<Vec<_>>()));
        assert_eq!(merge(&base, &ours, &theirs).expect("no clash"), expect);
    }
}

#[test]
fn a_union_says_where_the_first_won() {
    let one = acme(json!({ "version": "2.0.0", "actions": [{ "id": "a", "name": "A" }], "tags": ["x"] }));
    let two = acme(json!({
        "name": "Other", "version": "1.1.0", "author": "AUTHOR", "tags": ["y"],
        "actions": [{ "id": "a", "name": "B" }, { "id": "b", "name": "B" }], "baseUrl": "https://b.example",
    }));
    let (all, clashes) =
        union(&[Offered { source: "own", manifest: &one }, Offered { source: "community", manifest: &two }]);
    assert_eq!(clashes, ["/actions/a"]);
    let expect = acme(json!({
        "version": "2.0.0+with.community.1.1.0", "author": "AUTHOR", "tags": ["x", "y"],
        "actions": [{ "id": "a", "name": "A" }, { "id": "b", "name": "B" }], "baseUrl": "https://b.example",
    }));
    assert_eq!(all, expect);
}
