//! What drifted becomes again what the last seeding left, whatever git says that is not taken.

mod offer;

use std::collections::{BTreeMap, BTreeSet};

use offer::{apply, catalog, conflicts, database, invalid, kept, operations, row, selection, spec, summary};
use serde_json::json;
use sower_core::catalog::{SourceCatalog, Summary};
use sower_core::diff::{Wish, diff};
use sower_core::drift::Left;
use sower_core::hash::spec_digest;
use sower_core::plan::{Plan, State};
use sower_core::resolve::resolve;
use sower_crds::environment::EnvironmentSpec;

fn left(summaries: &[Summary]) -> BTreeMap<String, Left> {
    let left = |summary: &Summary| {
        let row = row("default", summary);
        let (content, source, path, revision) = (row.content, row.source, row.path, "main@sha1:0".into());
        (summary.id.clone(), Left { content, source, path, revision, prune_disabled: row.prune_disabled })
    };
    summaries.iter().map(left).collect()
}

/// The plan over what is there, where these drifted.
fn mended(spec: &EnvironmentSpec, sources: &[SourceCatalog], there: &State, drifted: &[Summary]) -> Plan {
    let (left, mut state) = (left(drifted), there.clone());
    state.take_as_left(&left);
    let selection = selection(spec, sources);
    let settled = resolve(spec, sources, &selection, &state, None);
    let wish = Wish { mend: Some(&left), ..Wish::default() };
    diff(&spec_digest(spec), &selection, settled, &state, wish)
}

#[test]
fn what_git_still_says_is_written_again() {
    let (a, b) = (summary("a", "1.0.0", ""), summary("b", "1.0.0", ""));
    let (spec, offered, state) =
        (spec(json!({})), catalog(vec![a.clone(), b.clone()]), database(&[a.clone(), b]));
    let plan = mended(&spec, &offered, &state, std::slice::from_ref(&a));
    assert_eq!((operations(&plan), plan.unchanged, plan.put_back.len()), (vec!["~ a".to_owned()], 1, 0));
    assert_eq!(plan.operations[0].from, plan.operations[0].to);
    assert_ne!(plan.hash, offer::plan(&spec, &offered, &state).hash);

    // Its definition is gone, or says something else by now: it is a correction all the same.
    for edited in [None, Some(summary("a", "9.9.9", "by hand"))] {
        let mut there = state.clone();
        there.rows.remove("a");
        there.rows.extend(edited.map(|edited| ("a".to_owned(), row("default", &edited))));
        assert_eq!(mended(&spec, &offered, &there, std::slice::from_ref(&a)), plan);
    }
    let mended_state = apply(&plan, &state, &mut BTreeSet::new());
    assert!(offer::plan(&spec, &offered, &mended_state).is_empty());
}

#[test]
fn what_git_says_otherwise_is_restored_where_it_is_not_taken() {
    let (held, broken) = (summary("held", "1.0.0", ""), summary("broken", "1.0.0", ""));
    let (gone, newer) = (summary("gone", "1.0.0", ""), summary("newer", "1.0.0", ""));
    let all = [held.clone(), broken, gone, newer];
    let state = database(&all);
    let mut offered = catalog(vec![summary("held", "1.0.0", "edited"), summary("newer", "1.1.0", "")]);
    offered[0].found.push(invalid("default", Some("broken")));
    let spec = spec(json!({}));
    let plan = mended(&spec, &offered, &state, &all);
    assert_eq!(operations(&plan), ["~ broken", "- gone", "~ held", "~ newer"]);
    assert_eq!(plan.put_back, ["broken", "held"].map(str::to_owned).into());
    let held_again = &plan.operations[2];
    let was = Some(row("default", &held).content);
    assert_eq!((&held_again.from, &held_again.to), (&was, &was));
    assert_eq!(plan.operations[3].to.as_ref().map(|to| to.version.as_str()), Some("1.1.0"));
    assert_eq!((kept(&plan), conflicts(&plan).len()), (vec!["broken Invalid".to_owned()], 1));
    assert_eq!((plan.unchanged, plan.updated()), (0, 3));
}

#[test]
fn what_somebody_else_s_row_stands_in_the_place_of_is_left_alone() {
    let a = summary("a", "1.0.0", "");
    let mut state = database(std::slice::from_ref(&a));
    state.foreign.insert("a".to_owned());
    let plan = mended(&spec(json!({})), &catalog(vec![a.clone()]), &state, &[a]);
    assert_eq!((operations(&plan), kept(&plan)), (Vec::<String>::new(), vec!["a ForeignRow".to_owned()]));
}
