//! Rollbacks: what is asked for, the way back, and what is kept out from then on.

mod offer;

use std::collections::BTreeMap;

use offer::{catalog, database, operations, plan, spec, summary};
use serde_json::json;
use sower_core::catalog::Summary;
use sower_core::plan::{Content, KeptWhy, State};
use sower_core::quarantine::ABSENCE;
use sower_core::rollback::{KeptOut, NamedRevision, Request, Target, Then, WayBack, names_content, way_back};
use sower_core::snapshot::Revision;

#[test]
fn a_request_is_read_as_it_is_written() {
    for (text, integration, to) in [
        ("57", None, Some("57")),
        ("  57 2026-11-21T14:00:00Z ", None, Some("57")),
        ("main@3f2c1a9", None, Some("main@3f2c1a9")),
        ("catalog=main@3f2c1a9,partners=v1@77d0c3e", None, Some("catalog=main@3f2c1a9,partners=v1@77d0c3e")),
        ("slack=1.0.0-rc.1+b", Some("slack"), Some("1.0.0-rc.1+b")),
        ("slack=57", Some("slack"), Some("57")),
        ("undo", None, None),
        ("slack=undo", Some("slack"), None),
    ] {
        let request = Request::parse(text).expect(text);
        assert_eq!((request.integration.as_deref(), request.to.as_deref()), (integration, to), "{text}");
        let written = text.split_whitespace().next().expect("a word");
        assert_eq!(request.to_string(), written);
    }
    for text in ["", "  ", "=1.0.0", "slack="] {
        assert!(Request::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_number_is_a_seeding_unless_it_can_only_be_a_commit() {
    for (text, expected) in [
        ("57", Some(57)),
        ("99", Some(99)),
        ("production-57", Some(57)),
        ("3123456", None),
        ("0", None),
        ("staging-57", None),
        ("main@3f2c1a9", None),
    ] {
        let found = match Target::of("production", text, 60) {
            Target::Seeding(number) => Some(number),
            Target::Named(_) => None,
        };
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_revision_is_named_short_long_or_by_its_commit() {
    let revision = |label: &str, first: &str, dirty| Revision {
        label: label.into(),
        digest: format!("sha1:{first:0<40}"),
        dirty,
    };
    let one: BTreeMap<String, Revision> = [("default".to_owned(), revision("main", "3f2c1a9", false))].into();
    let two: BTreeMap<String, Revision> = [
        ("a".to_owned(), revision("main", "3f2c1a9", false)),
        ("b".to_owned(), revision("v1", "77d0c3e", true)),
    ]
    .into();
    let long = one["default"].full();
    for (text, at, expected) in [
        ("main@3f2c1a9", &one, true),
        ("3f2c", &one, true),
        ("3F2C1A9", &one, true),
        (long.as_str(), &one, true),
        ("dev@3f2c1a9", &one, false),
        ("main@3f2c1a9-dirty", &one, false),
        ("3f2c1b", &one, false),
        ("a=main@3f2c1a9,b=v1@77d0c3e-dirty", &two, true),
        ("b=main@3f2c1a9", &two, false),
        ("77d0c3e", &two, true),
    ] {
        let named = NamedRevision::parse(text).expect(text);
        assert_eq!(named.is_at(at), expected, "{text}");
    }
    for text in ["", "main", "3f2", "1.0.0", "main@zzzz", "%%%%"] {
        assert_eq!(NamedRevision::parse(text), None, "{text}");
    }
    let content = Content { version: "1.0.0".into(), checksum: "v1:abcdef".into() };
    for (text, expected) in
        [("1.0.0", true), ("1.0", false), ("abcd", true), ("v1:ABCDEF", true), ("abc", false)]
    {
        assert_eq!(names_content(text, &content), expected, "{text}");
    }
}

fn mild(id: &str, version: &str) -> Summary {
    summary(id, version, "a")
}

fn then(id: &str, version: &str) -> Option<Then> {
    let content = Content { version: version.into(), checksum: mild(id, version).checksum };
    Some(Then { content, source: "default".into(), path: "p".into(), revision: "main@sha1:1".into() })
}

fn out(way: &WayBack) -> Vec<String> {
    let line = |out: &KeptOut| format!("{} {}", out.integration, out.version.as_deref().unwrap_or("absent"));
    way.out.iter().map(line).collect()
}

#[test]
fn the_way_back_keeps_out_what_is_left_behind() {
    let here = [("came", "1.0.0"), ("changed", "2.0.0"), ("same", "1.0.0"), ("other", "1.0.0")];
    let state = database(&here.map(|(id, version)| mild(id, version)));
    let was = [
        ("came", None),
        ("changed", then("changed", "1.0.0")),
        ("gone", then("gone", "1.0.0")),
        ("same", then("same", "1.0.0")),
        ("never", None),
    ];
    let was: BTreeMap<String, Option<Then>> = was.map(|(id, then)| (id.to_owned(), then)).into();
    let git = Content { version: "2.1.0".into(), checksum: mild("changed", "2.1.0").checksum };
    let offered = [("changed".to_owned(), vec![git])].into();
    let way = way_back("production", "", &state, &was, &offered);
    assert_eq!(operations(&way.plan), ["- came", "~ changed", "+ gone"]);
    assert_eq!(out(&way), ["came 1.0.0", "changed 2.0.0", "changed 2.1.0", "gone absent"]);
    assert_eq!((way.plan.unchanged, way.plan.processed), (1, 4));

    let foreign = State { foreign: ["gone".to_owned()].into(), ..state };
    let way = way_back("production", "", &foreign, &was, &BTreeMap::new());
    assert_eq!(operations(&way.plan), ["- came", "~ changed"]);
    assert_eq!(way.plan.kept[0].why, KeptWhy::ForeignRow);
}

fn kept_out(state: &State, id: &str, checksum: &str) -> State {
    let mut state = state.clone();
    state.quarantine.keep_out(id, checksum);
    state
}

const NOTHING: [&str; 0] = [];

#[test]
fn what_is_quarantined_stays_out_until_other_content_comes() {
    let here = database(&[mild("slack", "1.0.0")]);
    let state = kept_out(&here, "slack", &mild("slack", "2.0.0").checksum);
    let offers = |version: &str| catalog(vec![mild("slack", version)]);
    for fields in [
        json!({}),
        json!({ "seedingStrategy": "incremental" }),
        json!({ "seedingStrategy": "selective", "allowedIntegrations": ["slack"] }),
        json!({ "conflicts": { "version": "override" } }),
    ] {
        let spec = spec(fields);
        let held = plan(&spec, &offers("2.0.0"), &state);
        assert_eq!(operations(&held), NOTHING);
        assert_eq!(offer::kept(&held), ["slack Quarantined"]);
        assert!(held.lifted.is_empty() && held.conflicts.is_empty());
        let only = ["slack".to_owned()].into();
        assert_eq!(operations(&offer::plan_only(&spec, &offers("2.0.0"), &state, Some(&only))), NOTHING);
        for version in ["2.0.1", "1.0.0"] {
            let taken = plan(&spec, &offers(version), &state);
            assert_eq!(taken.lifted, ["slack"], "{version}");
            assert_eq!(operations(&taken).len(), usize::from(version != "1.0.0"));
        }
    }
    // Nothing of it is there: a creation was rolled back.
    let empty = kept_out(&database(&[mild("stripe", "1.0.0")]), "slack", &mild("slack", "2.0.0").checksum);
    let needy = offer::needs(mild("teams", "1.0.0"), &["slack"]);
    let sources = catalog(vec![mild("slack", "2.0.0"), mild("stripe", "1.0.0"), needy]);
    let held = plan(&spec(json!({})), &sources, &empty);
    assert_eq!(operations(&held), NOTHING);
    assert_eq!(offer::conflicts(&held), ["teams dependency skip: needs slack, and slack was rolled back"]);
}

#[test]
fn an_absence_is_quarantined_until_it_is_offered_again() {
    let here = database(&[mild("slack", "1.0.0"), mild("stripe", "1.0.0")]);
    let state = kept_out(&here, "slack", ABSENCE);
    let without = catalog(vec![mild("stripe", "1.0.0")]);
    let spec = spec(json!({ "pruneLimit": "100%" }));
    let held = plan(&spec, &without, &state);
    assert_eq!(operations(&held), NOTHING);
    assert_eq!(offer::kept(&held), ["slack Quarantined"]);
    let with = catalog(vec![mild("slack", "1.0.0"), mild("stripe", "1.0.0")]);
    let same = plan(&spec, &with, &state);
    assert_eq!(operations(&same), NOTHING);
    assert_eq!(same.lifted, ["slack"]);
    // Other content of it is no absence.
    assert_eq!(operations(&plan(&spec, &without, &kept_out(&here, "slack", "v1:x"))), ["- slack"]);
}

#[test]
fn what_was_asked_back_is_taken_whatever_its_version() {
    let mut state = database(&[mild("slack", "1.0.0")]);
    let other = summary("slack", "1.0.0", "other");
    let offered = catalog(vec![other.clone()]);
    assert_eq!(offer::conflicts(&plan(&spec(json!({})), &offered, &state)).len(), 1);
    state.quarantine.ask_back("slack", other.checksum);
    let taken = plan(&spec(json!({})), &offered, &state);
    assert_eq!(operations(&taken), ["~ slack"]);
    assert!(taken.conflicts.is_empty() && taken.lifted == ["slack"]);
    state.quarantine.ask_back("slack", ABSENCE);
    let gone = plan(&spec(json!({ "pruneLimit": "100%" })), &catalog(vec![mild("stripe", "1.0.0")]), &state);
    assert_eq!(operations(&gone), ["- slack", "+ stripe"]);
    assert_eq!(gone.lifted, ["slack"]);
}
