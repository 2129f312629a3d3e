//! What becomes of each integration: duplicates, versions, dependencies, and rows that stay.

mod offer;

use std::collections::BTreeSet;

use offer::{
    catalog, conflicts, database, invalid, kept, needs, operations, plan, plan_only, resolved_by, row,
    source, spec, summary, valid,
};
use serde_json::json;
use sower_core::catalog::{Lifecycle, Summary};
use sower_core::diff::{Wish, diff};
use sower_core::hash::spec_digest;
use sower_core::plan::Verb;
use sower_core::resolve::{questions, resolve};

#[test]
fn rows_become_what_git_says() {
    let state =
        database(&[summary("gone", "1.0.0", ""), summary("same", "1.0.0", ""), summary("up", "1.0.0", "")]);
    let sources =
        catalog(vec![summary("new", "1.0.0", ""), summary("same", "1.0.0", ""), summary("up", "1.1.0", "")]);
    let plan = plan(&spec(json!({})), &sources, &state);
    assert_eq!(operations(&plan), ["- gone", "+ new", "~ up"]);
    assert_eq!((plan.processed, plan.unchanged, plan.base), (3, 1, 7));
}

#[test]
fn equal_content_from_elsewhere_is_a_move() {
    let slack = summary("slack", "1.0.0", "");
    let mut state = database(std::slice::from_ref(&slack));
    state.rows.get_mut("slack").expect("the row").path = "old/slack.yaml".into();
    let plan = plan(&spec(json!({})), &catalog(vec![slack]), &state);
    assert_eq!(operations(&plan), ["> slack"]);
    assert_eq!((plan.updated(), plan.unchanged), (1, 0));
}

#[test]
fn a_row_that_was_taken_out_is_none() {
    let slack = summary("slack", "2.0.0", "");
    let mut state = database(&[slack]);
    state.rows.get_mut("slack").expect("the row").removed = true;
    let spec = spec(json!({}));
    assert_eq!(operations(&plan(&spec, &catalog(vec![summary("a", "1.0.0", "")]), &state)), ["+ a"]);
    assert_eq!(operations(&plan(&spec, &catalog(vec![summary("slack", "1.0.0", "")]), &state)), ["+ slack"]);
}

#[test]
fn a_version_that_is_no_newer_is_a_conflict() {
    let table = [
        ("1.0.0", "1.0.0", "slack version skip: git has 1.0.0 too, with other content"),
        ("1.1.0", "1.0.0", "slack version skip: git has the lower 1.0.0"),
        ("1.0.0", "1.0.0-rc.1", "slack version skip: git has the lower 1.0.0-rc.1"),
        (
            "1.0.0+a",
            "1.0.0+b",
            "slack version skip: git has 1.0.0+b, which is no newer than 1.0.0+a, with other content",
        ),
        ("1.0.0", "1.0.1", ""),
        ("1.9.0", "1.10.0", ""),
    ];
    for (here, git, expect) in table {
        let state = database(&[summary("slack", here, "here")]);
        let sources = catalog(vec![summary("slack", git, "git")]);
        let skipped = plan(&spec(json!({})), &sources, &state);
        assert_eq!(conflicts(&skipped).join("\n"), expect, "{here} -> {git}");
        assert_eq!(operations(&skipped).len(), usize::from(expect.is_empty()), "{here} -> {git}");
        assert_eq!((skipped.processed, skipped.unchanged), (1, 0), "{here} -> {git}");
        let overridden = plan(&resolved_by("override"), &sources, &state);
        assert_eq!(operations(&overridden), ["~ slack"], "{here} -> {git}");
        assert_eq!(conflicts(&overridden).len(), conflicts(&skipped).len(), "{here} -> {git}");
    }
}

#[test]
fn a_lower_version_that_was_carried_is_a_revert() {
    let mut state = database(&[summary("slack", "1.1.0", ""), summary("stripe", "1.0.0", "")]);
    let sources = catalog(vec![summary("slack", "1.0.0", ""), summary("stripe", "1.0.0", "other")]);
    let spec = spec(json!({}));
    let selection = offer::selection(&spec, &sources);
    let asked = questions(&selection, &state);
    assert_eq!(asked, [("slack".to_owned(), "v1:slack/1.0.0/".to_owned())]);
    assert_eq!(operations(&plan(&spec, &sources, &state)), Vec::<String>::new());
    state.carried = asked.into_iter().collect();
    let plan = plan(&spec, &sources, &state);
    assert_eq!(operations(&plan), ["~ slack"]);
    assert!(plan.operations[0].revert);
    assert_eq!(conflicts(&plan), ["stripe version skip: git has 1.0.0 too, with other content"]);
}

#[test]
fn of_two_sources_the_first_wins_or_the_last() {
    let sources = [
        source("ours", vec![valid("ours", summary("slack", "1.0.0", ""))]),
        source("theirs", vec![valid("theirs", summary("slack", "2.0.0", ""))]),
    ];
    let skip = plan(&spec(json!({})), &sources, &database(&[]));
    assert_eq!(
        conflicts(&skip),
        ["slack duplicate skip: ours offers 1.0.0 and theirs offers 2.0.0: ours wins"]
    );
    assert_eq!(skip.operations[0].source, "ours");
    let last = plan(&resolved_by("override"), &sources, &database(&[]));
    assert_eq!(
        conflicts(&last),
        ["slack duplicate override: ours offers 1.0.0 and theirs offers 2.0.0: theirs wins"]
    );
    assert_eq!((last.operations[0].source.as_str(), last.processed), ("theirs", 1));
    assert_ne!(skip.conflicts[0].fingerprint, last.conflicts[0].fingerprint, "another one wins");
}

#[test]
fn an_invalid_offer_that_would_win_keeps_the_rows() {
    let state = database(&[summary("slack", "1.0.0", "")]);
    let mut sources = [
        source("first", vec![invalid("first", Some("slack"))]),
        source("second", vec![valid("second", summary("slack", "3.0.0", ""))]),
    ];
    assert_eq!(kept(&plan(&spec(json!({})), &sources, &state)), ["slack Invalid"]);
    assert_eq!(operations(&plan(&resolved_by("override"), &sources, &state)), ["~ slack"]);
    sources[1].priority = 1;
    assert_eq!(operations(&plan(&spec(json!({})), &sources, &state)), ["~ slack"]);
}

#[test]
fn dependencies_are_met_by_what_the_environment_will_hold() {
    let app = |needed: &str| needs(summary("app", "2.0.0", ""), &[needed]);
    let http = |version: &str| summary("http", version, "");
    let table = [
        // what is offered, what is there, operations, conflicts
        (vec![app("http@^1"), http("1.2.0")], vec![], vec!["+ app", "+ http"], ""),
        (vec![app("http@>=1 <2 || 3.x"), http("3.9.9")], vec![], vec!["+ app", "+ http"], ""),
        (vec![app("http@1.0 - 1.4"), http("1.4.9")], vec![], vec!["+ app", "+ http"], ""),
        (vec![app("http@~1.2"), http("1.3.0")], vec![], vec!["+ http"], "needs http@~1.2, and http is 1.3.0"),
        (
            vec![app("http@^2"), http("2.0.0-rc.1")],
            vec![],
            vec!["+ http"],
            "needs http@^2, and http is 2.0.0-rc.1",
        ),
        (vec![app("http")], vec![], vec![], "needs http, and http is offered by no source"),
        (
            vec![app("http@^1")],
            vec![http("1.0.0")],
            vec!["- http"],
            "needs http@^1, and http is gone from git",
        ),
    ];
    for (offered, there, expect, conflict) in table {
        let sources = catalog(offered);
        let skipped = plan(&spec(json!({})), &sources, &database(&there));
        assert_eq!(operations(&skipped), expect, "{conflict}");
        let told = conflicts(&skipped).join("\n");
        assert_eq!(told.trim_start_matches("app dependency skip: "), conflict);
        let taken = plan(&resolved_by("override"), &sources, &database(&there));
        assert!(operations(&taken).contains(&"+ app".to_owned()), "{conflict}");
        assert_eq!(taken.conflicts.len(), usize::from(!conflict.is_empty()));
    }
}

#[test]
fn what_stays_back_is_missed_by_those_that_need_it() {
    let a = needs(summary("a", "2.0.0", ""), &["b@^2"]);
    let b = needs(summary("b", "2.0.0", ""), &["missing"]);
    let offered = catalog(vec![a, b]);
    let fresh = plan(&spec(json!({})), &offered, &database(&[]));
    assert_eq!(
        conflicts(&fresh),
        [
            "a dependency skip: needs b@^2, and b is itself in conflict",
            "b dependency skip: needs missing, and missing is offered by no source",
        ]
    );
    assert!(fresh.is_empty());
    let older = plan(&spec(json!({})), &offered, &database(&[summary("b", "1.0.0", "")]));
    assert_eq!(conflicts(&older)[0], "a dependency skip: needs b@^2, and b is 1.0.0");
}

#[test]
fn a_dependent_of_what_stays_is_taken() {
    let offered = catalog(vec![
        needs(summary("a", "2.0.0", ""), &["b@^1"]),
        needs(summary("b", "2.0.0", ""), &["missing"]),
    ]);
    let plan = plan(&spec(json!({})), &offered, &database(&[summary("b", "1.0.0", "")]));
    assert_eq!(operations(&plan), ["+ a"]);
    assert_eq!(conflicts(&plan).len(), 1);
}

#[test]
fn every_requirer_of_an_unmet_dependency_is_named() {
    let offered = catalog(vec![
        needs(summary("crm", "1.0.0", ""), &["http@^1"]),
        needs(summary("mail", "1.0.0", ""), &["http@^2"]),
        needs(summary("sms", "1.0.0", ""), &["http"]),
        summary("http", "1.4.0", ""),
    ]);
    let plan = plan(&spec(json!({})), &offered, &database(&[]));
    assert_eq!(
        conflicts(&plan),
        ["mail dependency skip: needs http@^2, and http is 1.4.0; needed by crm (@^1) and sms too"]
    );
    assert_eq!(operations(&plan), ["+ crm", "+ http", "+ sms"]);
}

#[test]
fn a_circle_names_all_of_it() {
    let offered = catalog(vec![
        needs(summary("a", "1.0.0", ""), &["b"]),
        needs(summary("b", "1.0.0", ""), &["c@^1"]),
        needs(summary("c", "1.0.0", ""), &["a", "lost"]),
        needs(summary("d", "1.0.0", ""), &["a"]),
        needs(summary("k", "1.0.0", ""), &["l", "m"]),
        needs(summary("l", "1.0.0", ""), &["k"]),
        needs(summary("m", "1.0.0", ""), &["k"]),
    ]);
    let plan = plan(&spec(json!({})), &offered, &database(&[]));
    assert_eq!(
        conflicts(&plan),
        [
            "a dependency skip: needs itself: a -> b -> c -> a",
            "b dependency skip: needs itself: a -> b -> c -> a",
            "c dependency skip: needs itself: a -> b -> c -> a; needs lost, and lost is offered by no source",
            "d dependency skip: needs a, and a is itself in conflict; needed by c too",
            "k dependency skip: k, l and m need each other",
            "l dependency skip: k, l and m need each other",
            "m dependency skip: k, l and m need each other",
        ]
    );
    assert!(plan.is_empty());
    let taken = offer::plan(&resolved_by("override"), &offered, &database(&[]));
    assert_eq!((taken.created(), taken.conflicts.len()), (7, 6));
}

#[test]
fn a_chain_of_any_length_is_settled() {
    let id = |n: usize| format!("i{n:05}");
    let link = |n: usize| needs(summary(&id(n), "1.0.0", ""), &[&id(n + 1)]);
    let offered = catalog((0..20_000).map(link).collect());
    let plan = plan(&spec(json!({})), &offered, &database(&[]));
    assert_eq!((plan.created(), plan.conflicts.len()), (0, 20_000));
    assert!(plan.conflicts.iter().all(|conflict| conflict.message.len() < 500));
}

#[test]
fn a_crowd_that_needs_one_missing_is_told_without_naming_all_each_time() {
    let member = |n: usize| needs(summary(&format!("i{n:05}"), "1.0.0", ""), &["lost"]);
    let offered = catalog((0..20_000).map(member).collect());
    let plan = plan(&spec(json!({})), &offered, &database(&[]));
    assert_eq!((plan.created(), plan.conflicts.len()), (0, 20_000));
    assert!(
        plan.conflicts[0].message.ends_with("i00019, i00020 and 19979 more too"),
        "{}",
        plan.conflicts[0].message
    );
}

#[test]
fn what_is_needed_may_be_kept_out_for_several_reasons() {
    let app = needs(summary("app", "1.0.0", ""), &["http"]);
    let draft = Summary { lifecycle: Lifecycle::Draft, ..summary("http", "1.0.0", "") };
    let there = database(&[summary("http", "1.0.0", "")]);
    let only = BTreeSet::from(["app".to_owned()]);
    let told = |found, state: &_, only: Option<&BTreeSet<String>>| {
        let sources = [source("default", vec![valid("default", app.clone()), found])];
        conflicts(&plan_only(&spec(json!({})), &sources, state, only)).join("\n")
    };
    let none = database(&[]);
    let table = [
        (valid("default", draft.clone()), &none, None, "is not let in here"),
        (valid("default", draft.clone()), &there, None, "is no longer let in here"),
        (valid("default", draft), &there, Some(&only), ""),
        (invalid("default", Some("http")), &none, None, "has an invalid manifest"),
        (invalid("default", Some("http")), &there, None, ""),
        (valid("default", summary("http", "1.0.0", "")), &none, Some(&only), "is not here yet"),
    ];
    for (found, state, only, expect) in table {
        let told = told(found, state, only);
        assert_eq!(told.trim_start_matches("app dependency skip: needs http, and http "), expect);
    }
}

#[test]
fn a_foreign_row_meets_a_dependency_without_a_range_only() {
    let mut state = database(&[]);
    state.foreign.insert("http".into());
    let offered = catalog(vec![
        needs(summary("a", "1.0.0", ""), &["http"]),
        needs(summary("b", "1.0.0", ""), &["http@^1"]),
        summary("http", "1.0.0", ""),
    ]);
    let plan = plan(&resolved_by("skip"), &offered, &state);
    assert_eq!(operations(&plan), ["+ a"]);
    assert_eq!(kept(&plan), ["http ForeignRow"]);
    let told =
        "b dependency skip: needs http@^1, and http is a row that Sower did not write; needed by a too";
    assert_eq!(conflicts(&plan), [told]);
    let overridden = offer::plan(&resolved_by("override"), &offered, &state);
    assert_eq!(kept(&overridden), ["http ForeignRow"], "whatever the resolution");
}

#[test]
fn rows_stay_for_a_reason() {
    let state = || database(&[summary("a", "1.0.0", ""), summary("b", "1.0.0", "")]);
    let whole = || catalog(vec![summary("b", "1.0.0", "")]);
    let with = |found| [source("default", vec![valid("default", summary("b", "1.0.0", "")), found])];
    let mut partial = whole();
    partial[0].complete = false;
    let mut watched = source("default", vec![]);
    watched.watched = true;
    let named =
        |names: &[&str]| spec(json!({ "seedingStrategy": "selective", "allowedIntegrations": names }));
    let table: Vec<(_, Vec<_>, &[&str], &[&str])> = vec![
        (spec(json!({})), whole(), &["- a"], &[]),
        (spec(json!({ "seedingStrategy": "incremental" })), whole(), &["- a"], &[]),
        (spec(json!({ "prune": false })), whole(), &[], &["a NotPruned"]),
        (spec(json!({})), with(valid("default", never(summary("a", "1.0.0", "")))).into(), &[], &[]),
        (
            spec(json!({ "blockedIntegrations": ["a"] })),
            with(valid("default", never(summary("a", "1.0.0", "")))).into(),
            &[],
            &["a PruneDisabled"],
        ),
        (spec(json!({})), partial, &[], &["a SourceKeepsAll"]),
        (spec(json!({})), vec![source("default", vec![])], &[], &["a SourceKeepsAll", "b SourceKeepsAll"]),
        (spec(json!({})), vec![watched], &["- a", "- b"], &[]),
        (spec(json!({})), with(invalid("default", None)).into(), &[], &["a SourceKeepsAll"]),
        (spec(json!({})), with(invalid("default", Some("a"))).into(), &[], &["a Invalid"]),
        (spec(json!({ "blockedIntegrations": ["b"] })), whole(), &["- a", "- b"], &[]),
        (named(&["a", "b"]), whole(), &["- a"], &[]),
        (named(&["b"]), whole(), &[], &["a Orphaned"]),
        (named(&["b", "*"]), whole(), &[], &["a Orphaned"]),
        (named(&["a"]), whole(), &["- a"], &["b Orphaned"]),
    ];
    for (n, (spec, sources, expect, stays)) in table.into_iter().enumerate() {
        let plan = plan(&spec, &sources, &state());
        assert_eq!((operations(&plan), kept(&plan)), (strings(expect), strings(stays)), "row {n}");
    }
}

fn never(mut summary: sower_core::catalog::Summary) -> sower_core::catalog::Summary {
    summary.annotations.prune_disabled = true;
    summary
}

#[test]
fn what_an_annotation_keeps_is_not_pruned() {
    let b = summary("b", "1.0.0", "");
    let state = database(&[never(summary("a", "1.0.0", "")), b.clone()]);
    let gone = plan(&spec(json!({})), &catalog(vec![b.clone()]), &state);
    assert_eq!((operations(&gone), kept(&gone)), (vec![], strings(&["a PruneDisabled"])));
    // Its source is no source of the environment any more.
    let elsewhere = [source("other", vec![valid("other", b.clone())])];
    let gone = plan(&spec(json!({})), &elsewhere, &state);
    assert_eq!((operations(&gone), kept(&gone)), (strings(&["> b"]), strings(&["a PruneDisabled"])));
    // What its document says now counts, not what was remembered of it.
    let blocked = spec(json!({ "blockedIntegrations": ["a"] }));
    let taken_back = catalog(vec![summary("a", "1.0.0", ""), b.clone()]);
    assert_eq!(operations(&plan(&blocked, &taken_back, &state)), ["- a"]);
    let mut invalid_now = catalog(vec![b]);
    invalid_now[0].found.insert(0, invalid("default", Some("a")));
    let plan = plan(&blocked, &invalid_now, &state);
    assert_eq!((operations(&plan), kept(&plan)), (vec![], strings(&["a PruneDisabled"])));
}

#[test]
fn a_row_whose_file_cannot_be_read_is_not_gone() {
    let state = database(&[summary("a", "1.0.0", ""), summary("b", "1.0.0", "")]);
    let mut broken = invalid("default", None);
    broken.place.path.clone_from(&state.rows["a"].path);
    let sources = [source("default", vec![broken])];
    for prune in [true, false] {
        let plan = plan(&spec(json!({ "prune": prune })), &sources, &state);
        let other = if prune { "b SourceKeepsAll" } else { "b NotPruned" };
        assert_eq!(kept(&plan), ["a Invalid", other]);
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn rows_of_a_source_that_was_taken_out_go_while_the_others_are_known_whole() {
    let mut state = database(&[summary("b", "1.0.0", "")]);
    state.rows.insert("a".into(), row("former", &summary("a", "1.0.0", "")));
    let offered = catalog(vec![summary("b", "1.0.0", "")]);
    assert_eq!(operations(&plan(&spec(json!({})), &offered, &state)), ["- a"]);
    let mut broken = offered.clone();
    broken[0].found.push(invalid("default", None));
    assert_eq!(kept(&plan(&spec(json!({})), &broken, &state)), ["a SourceKeepsAll"]);
    let named = spec(
        json!({ "sources": [{ "name": "former", "folder": "." }, { "name": "default", "folder": "." }] }),
    );
    assert_eq!(kept(&plan(&named, &offered, &state)), ["a SourceKeepsAll"], "a source that was not read");
}

#[test]
fn only_touches_what_it_names() {
    let state = database(&[
        summary("gone", "1.0.0", ""),
        summary("lost", "1.0.0", ""),
        summary("same", "1.0.0", ""),
        summary("up", "1.0.0", ""),
    ]);
    let offered = catalog(vec![
        summary("new", "1.0.0", ""),
        summary("same", "1.0.0", ""),
        summary("up", "1.1.0", ""),
        summary("other", "1.0.0", ""),
    ]);
    let only = BTreeSet::from(["gone".to_owned(), "new".to_owned()]);
    let plan = plan_only(&spec(json!({})), &offered, &state, Some(&only));
    assert_eq!(operations(&plan), ["- gone", "+ new"]);
    assert_eq!(kept(&plan), ["lost NotNamed", "up NotNamed"]);
    assert_eq!((plan.processed, plan.unchanged, plan.scope), (1, 0, Some(only)));
}

#[test]
fn reseed_writes_unchanged_rows_again_and_those_in_conflict_not() {
    let state = database(&[summary("a", "1.0.0", ""), summary("b", "1.0.0", "")]);
    let offered = catalog(vec![summary("a", "1.0.0", ""), summary("b", "1.0.0", "other")]);
    let spec = spec(json!({}));
    let selection = offer::selection(&spec, &offered);
    let settled = resolve(&spec, &offered, &selection, &state, None);
    let plan =
        diff(&spec_digest(&spec), &selection, settled, &state, Wish { reseed: true, ..Wish::default() });
    assert_eq!(operations(&plan), ["~ a"]);
    let operation = &plan.operations[0];
    assert_eq!((operation.verb, &operation.from), (Verb::Update, &operation.to));
}
