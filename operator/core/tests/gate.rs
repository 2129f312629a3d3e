//! What holds a plan back, and what does not.

mod offer;

use std::collections::BTreeSet;

use offer::{catalog, database, invalid, moment, plan, plan_only, row, source, spec, summary, valid};
use serde_json::{Value, json};
use sower_core::catalog::SourceCatalog;
use sower_core::gate::{Gate, Held, HeldReason, Moment, gate, gate_of_approved};
use sower_core::hash::approvable_hash;
use sower_core::plan::State;

fn many(count: usize) -> Vec<sower_core::catalog::Summary> {
    (0..count).map(|n| summary(&format!("i{n:02}"), "1.0.0", "")).collect()
}

fn held(fields: Value, sources: &[SourceCatalog], state: &State) -> Option<Held> {
    let spec = spec(fields);
    match gate(&plan(&spec, sources, state), &spec, sources, state, moment()) {
        Gate::Open => None,
        Gate::Held(held) => Some(held),
    }
}

#[test]
fn the_limit_is_a_share_rounded_up_or_a_count() {
    let table = [
        (json!({}), 4, 1, false),
        (json!({}), 4, 2, true),
        (json!({}), 5, 1, false),
        (json!({}), 5, 2, true),
        (json!({}), 6, 2, false),
        (json!({}), 1, 0, false),
        (json!({ "pruneLimit": "0%" }), 40, 1, true),
        (json!({ "pruneLimit": "100%" }), 4, 3, false),
        (json!({ "pruneLimit": 0 }), 40, 1, true),
        (json!({ "pruneLimit": 3 }), 40, 3, false),
        (json!({ "pruneLimit": 3 }), 40, 4, true),
    ];
    for (fields, total, gone, expect) in table {
        let all = many(total);
        let left = catalog(all[gone..].to_vec());
        assert_eq!(
            held(fields.clone(), &left, &database(&all)).is_some(),
            expect,
            "{fields} {gone} of {total}"
        );
    }
}

#[test]
fn the_message_is_the_condition_s() {
    let all = many(42);
    let left = catalog(all[14..].to_vec());
    let state = database(&all);
    let found = held(json!({}), &left, &state).expect("held");
    let hash = plan(&spec(json!({})), &left, &state).short_hash().to_owned();
    assert_eq!(found.message, format!("Plan {hash} would delete 14 of 42 integrations; pruneLimit is 20%"));
    assert_eq!((found.deleted, found.total, found.limit.as_str(), found.percent()), (14, 42, "20%", 33));
    assert_eq!(found.reason.as_str(), "PruneLimitExceeded");
    assert_eq!(found.source.as_deref(), Some("default"));
}

#[test]
fn each_source_has_its_own_total() {
    let all = many(42);
    let mut state = database(&all);
    for n in 0..3 {
        let other = summary(&format!("p{n}"), "1.0.0", "");
        state.rows.insert(other.id.clone(), row("partners", &other));
    }
    let kept = source("partners", vec![valid("partners", summary("p0", "1.0.0", ""))]);
    let sources = [catalog(all).remove(0), kept];
    let found = held(json!({}), &sources, &state).expect("2 of 3 are more than 20%");
    assert!(found.message.contains("would delete 2 of 3 integrations of partners; pruneLimit is 20%"));
    assert!(found.message.chars().count() <= 100);
}

#[test]
fn deletions_under_only_count_too() {
    let all = many(10);
    let left = catalog(all[3..].to_vec());
    let state = database(&all);
    let spec = spec(json!({}));
    let only: BTreeSet<String> = all[..3].iter().map(|s| s.id.clone()).collect();
    let plan = plan_only(&spec, &left, &state, Some(&only));
    assert!(matches!(gate(&plan, &spec, &left, &state, moment()), Gate::Held(_)));
}

#[test]
fn strict_holds_all_while_a_manifest_is_invalid() {
    let sources = [source(
        "default",
        vec![
            valid("default", summary("a", "1.0.0", "")),
            invalid("default", Some("slack")),
            invalid("default", None),
        ],
    )];
    assert_eq!(held(json!({}), &sources, &database(&[])), None);
    let found = held(json!({ "strict": true }), &sources, &database(&[])).expect("held");
    assert_eq!(found.reason, HeldReason::ManifestsInvalid);
    assert_eq!(
        found.message,
        "2 of 3 manifests are invalid: integrations/slack/integration.yaml:6:12 bad-version"
    );
}

/// Frozen on weekends, from Friday 18:00 in Berlin on.
fn weekend(more: Value) -> Value {
    let mut window = json!({ "name": "weekend", "schedule": "0 18 * * FRI", "duration": "60h", "timeZone": "Europe/Berlin" });
    let fields = window.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    json!({ "freezeWindows": [window] })
}

#[test]
fn a_plan_that_changes_what_is_frozen_is_held_whole() {
    // A Saturday.
    let saturday = Moment { now: "2026-11-21T14:00:00Z".parse().expect("a time"), freeze_override: None };
    let until = |at: &str| Moment { freeze_override: Some(at.parse().expect("a time")), ..saturday };
    let sunday_late = Moment { now: "2026-11-23T05:00:00Z".parse().expect("a time"), freeze_override: None };
    let offered = catalog(many(2));
    let table = [
        (weekend(json!({})), saturday, "Frozen until Mon 05:00 UTC: plan H waits; it is in window weekend"),
        (weekend(json!({})), sunday_late, ""),
        (weekend(json!({ "integrations": ["x*"] })), saturday, ""),
        (
            weekend(json!({ "integrations": ["x*", "*1"] })),
            saturday,
            "Frozen until Mon 05:00 UTC: plan H waits; i01 is in window weekend",
        ),
        (
            weekend(json!({ "kind": "Allow" })),
            sunday_late,
            "Frozen until Fri 17:00 UTC: plan H waits; it is outside of window weekend",
        ),
        (weekend(json!({ "kind": "Allow" })), saturday, ""),
        (weekend(json!({})), until("2026-11-21T14:00:01Z"), ""),
        (
            weekend(json!({})),
            until("2026-11-21T14:00:00Z"),
            "Frozen until Mon 05:00 UTC: plan H waits; it is in window weekend",
        ),
    ];
    for (fields, moment, expect) in table {
        let (spec, state) = (spec(fields.clone()), database(&[]));
        let plan = plan(&spec, &offered, &state);
        let told = match gate(&plan, &spec, &offered, &state, moment) {
            Gate::Open => String::new(),
            Gate::Held(held) => {
                assert_eq!(held.reason, HeldReason::Frozen);
                held.message
            }
        };
        assert_eq!(told, expect.replace(" H ", &format!(" {} ", plan.short_hash())), "{fields}");
        assert!(told.chars().count() <= 100, "{told}");
    }
    // Nothing to do is never frozen.
    let (spec, state) = (spec(weekend(json!({}))), database(&many(2)));
    let plan = plan(&spec, &offered, &state);
    assert!(plan.is_empty());
    assert_eq!(gate(&plan, &spec, &offered, &state, saturday), Gate::Open);
}

#[test]
fn windows_change_no_plan() {
    let (without, with) = (spec(json!({})), spec(weekend(json!({}))));
    let (offered, state) = (catalog(many(2)), database(&[]));
    assert_eq!(plan(&without, &offered, &state).hash, plan(&with, &offered, &state).hash);
}

#[test]
fn an_approval_is_asked_for_where_something_is_to_be_done() {
    let (all, none) = (many(3), State::default());
    let manual = spec(json!({ "approval": "Manual" }));
    let found = held(json!({ "approval": "Manual" }), &catalog(all.clone()), &none).expect("held");
    let hash = plan(&manual, &catalog(all.clone()), &none).short_hash().to_owned();
    assert_eq!(found.reason, HeldReason::ApprovalRequired);
    assert_eq!(found.message, format!("Plan {hash} waits for an approval: +3 ~0 -0"));
    assert_eq!(held(json!({ "approval": "Manual" }), &catalog(all.clone()), &database(&all)), None);
    // What it deletes is said first; a freeze is told once it is approved.
    let frozen =
        json!({ "approval": "Manual", "freezeWindows": [{ "schedule": "* * * * *", "duration": "1h" }] });
    let left = catalog(all[2..].to_vec());
    let reason = |fields: &Value, sources: &[SourceCatalog], state: &State| {
        held(fields.clone(), sources, state).map(|held| held.reason)
    };
    assert_eq!(reason(&frozen, &left, &database(&all)), Some(HeldReason::PruneLimitExceeded));
    assert_eq!(reason(&frozen, &catalog(all.clone()), &none), Some(HeldReason::ApprovalRequired));
    let (frozen, sources) = (spec(frozen), catalog(all));
    let made = plan(&frozen, &sources, &none);
    let approved = gate_of_approved(&made, &frozen, &sources, moment());
    assert!(matches!(approved, Gate::Held(Held { reason: HeldReason::Frozen, .. })), "{approved:?}");
    assert_eq!(gate_of_approved(&made, &manual, &sources, moment()), Gate::Open);
}

#[test]
fn a_plan_that_waits_is_named_by_what_it_saw() {
    let scope = |ids: &[&str]| Some(ids.iter().map(ToString::to_string).collect::<BTreeSet<String>>());
    let name = |scope: Option<BTreeSet<String>>, seen: &[(&str, &str)]| {
        approvable_hash("7c1e", scope.as_ref(), &seen.iter().copied().collect())
    };
    assert_eq!(name(None, &[]), "7c1e");
    let all = [
        name(scope(&[]), &[]),
        name(scope(&["a"]), &[]),
        name(scope(&["a", "b"]), &[]),
        name(None, &[("a", "b")]),
        name(None, &[("a", "c")]),
        name(scope(&["a"]), &[("a", "b")]),
    ];
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
}
