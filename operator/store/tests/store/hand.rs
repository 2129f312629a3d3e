//! Rows that hands changed: what is read of them, and what a merge writes.

use std::sync::Arc;

use serde_json::Value;
use sower_core::plan::{Conflict, Resolution};
use sower_store::{ManifestDelta, Merging, StoreError, Write};

use crate::bed::{Bed, ENV, applied, canonical, conflict, content, create, found, manifest, update, write};
use crate::on_both_engines;

on_both_engines!(
    rows_are_read_as_hands_left_them,
    a_merge_is_written_whole_with_its_base,
    a_hand_in_between_is_not_overruled,
    why_something_is_not_merged_may_change,
);

const BY_HAND: &str =
    "UPDATE action_registry SET name = 'By hand' WHERE environment = 'production' AND id = 'acme/act-0'";

fn edited(manifest: &Arc<str>, field: &str, text: &str) -> Arc<str> {
    let mut value: Value = serde_json::from_str(manifest).unwrap();
    value[field] = text.into();
    canonical(&value)
}

async fn rows_are_read_as_hands_left_them(bed: Bed) {
    let acme = manifest("acme", "1.0.0", 2);
    bed.seed(vec![create("acme", &acme), create("other", &manifest("other", "1.0.0", 1))]).await.unwrap();
    let before = bed.store.hands(ENV, &["acme", "nobody"]).await.unwrap();
    assert_eq!(before.len(), 1);
    let hand = &before["acme"];
    assert_eq!(hand.seeded.as_ref(), Some(&acme));
    assert_eq!(hand.base, None);
    let there = hand.there();
    assert_eq!((there.registry.len(), there.foreign.len()), (5, 0));
    let as_seeded = sower_core::hand::held(&acme, &there).unwrap();
    assert_eq!(canonical(&as_seeded), acme, "what nobody touched is what was seeded");

    bed.run(BY_HAND).await;
    bed.run("DELETE FROM action_registry WHERE environment = 'production' AND id = 'acme/act-1'").await;
    bed.run(
        "UPDATE integration_definitions SET author = NULL WHERE environment = 'production' AND id = 'acme'",
    )
    .await;
    let after = bed.store.hands(ENV, &["acme"]).await.unwrap();
    assert_ne!(after["acme"].seen(), hand.seen());
    assert_eq!(bed.store.seen(ENV, &["acme"]).await.unwrap()["acme"], after["acme"].seen());
    let held = sower_core::hand::held(&acme, &after["acme"].there()).unwrap();
    assert_eq!(held["actions"].as_array().map(Vec::len), Some(1), "{held}");
    assert_eq!(held["actions"][0]["name"], "By hand");
    assert_eq!(held["author"], Value::Null);
}

async fn a_merge_is_written_whole_with_its_base(bed: Bed) {
    let acme = manifest("acme", "1.0.0", 2);
    bed.seed(vec![create("acme", &acme)]).await.unwrap();
    bed.run(BY_HAND).await;
    let seen = bed.store.hands(ENV, &["acme"]).await.unwrap()["acme"].seen();
    let git = edited(&acme, "description", "New words");
    let mut merged: Value = serde_json::from_str(&git).unwrap();
    merged["actions"][0]["name"] = "By hand".into();
    let merged = canonical(&merged);
    let operations = vec![update("acme", &acme, &merged)];
    let (result, base) = (content(&merged).checksum, content(&git).checksum);
    let merging = Merging { integration: "acme", checksum: &result, git: (&base, &git), seen: &seen };
    let (sources, nothing) = (applied("b"), Value::Null);
    let seeding = bed.begin().await.unwrap();
    let document = found("acme", &git);
    let manifests = ManifestDelta { upsert: vec![&document], delete: Vec::new() };
    let mut settled = conflict("acme", "f", Resolution::Merge);
    settled.unmerged = None;
    let conflicts = [settled];
    let write = Write {
        merges: vec![merging],
        manifests,
        conflicts: &conflicts,
        ..write(&operations, &sources, &nothing)
    };
    bed.store.apply(&seeding, write).await.unwrap();

    let state = bed.store.state(ENV).await.unwrap().state;
    assert_eq!(state.rows["acme"].content, content(&merged));
    assert_eq!(state.merged.get("acme"), Some(&base));
    let hand = bed.store.hands(ENV, &["acme"]).await.unwrap().remove("acme").unwrap();
    assert_eq!((hand.seeded, hand.base), (Some(merged.clone()), Some(git.clone())));
    assert!(
        bed.store.drift(ENV, &sower_core::drift::Ignored::default()).await.unwrap().rows.is_empty(),
        "the hand's row is Sower's again"
    );
    assert_eq!(bed.ask("SELECT status FROM integration_manifests").await, ["seeded"]);
    assert!(bed.store.open_conflicts(Some(ENV)).await.unwrap().is_empty());
    assert_eq!(bed.ask("SELECT resolution FROM seeding_conflicts").await, ["merge"]);
    let known = bed.store.known_versions(ENV, &["acme"], 1).await.unwrap();
    assert_eq!(known.len(), 1);
    let known = bed.store.known_versions(ENV, &["acme"], 9).await.unwrap();
    let contents: Vec<&Arc<str>> = known.iter().map(|known| &known.manifest).collect();
    assert!(contents.contains(&&acme) && contents.contains(&&merged) && contents.len() == 2);
}

async fn a_hand_in_between_is_not_overruled(bed: Bed) {
    let acme = manifest("acme", "1.0.0", 2);
    bed.seed(vec![create("acme", &acme)]).await.unwrap();
    let seen = bed.store.hands(ENV, &["acme"]).await.unwrap()["acme"].seen();
    bed.run(BY_HAND).await;
    let git = edited(&acme, "description", "New words");
    let operations = vec![update("acme", &acme, &git)];
    let checksum = content(&git).checksum;
    let merging = Merging { integration: "acme", checksum: &checksum, git: (&checksum, &git), seen: &seen };
    let (sources, nothing) = (applied("b"), Value::Null);
    let seeding = bed.begin().await.unwrap();
    let write = Write { merges: vec![merging], ..write(&operations, &sources, &nothing) };
    let refused = bed.store.apply(&seeding, write).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Edited { integrations } if *integrations == ["acme"]),
        "{refused}"
    );
    let name = bed.ask("SELECT name FROM action_registry WHERE id = 'acme/act-0'").await;
    assert_eq!(name, ["By hand"]);
    assert_eq!(bed.count("integration_merges").await, 0);
}

async fn why_something_is_not_merged_may_change(bed: Bed) {
    let acme = manifest("acme", "1.0.0", 1);
    let clashing = |pointer: &str| Conflict {
        unmerged: Some(format!("both sides changed {pointer}")),
        clashes: vec![pointer.to_owned()],
        ..conflict("acme", "f", Resolution::Merge)
    };
    let (sources, nothing) = (applied("a"), Value::Null);
    let mut since = None;
    for (round, pointer) in ["/name", "/name", "/description"].into_iter().enumerate() {
        let operations = if round == 0 { vec![create("acme", &acme)] } else { Vec::new() };
        let conflicts = [clashing(pointer)];
        let seeding = bed.begin().await.unwrap();
        let write = Write { conflicts: &conflicts, ..write(&operations, &sources, &nothing) };
        bed.store.apply(&seeding, write).await.unwrap();
        let open = bed.store.open_conflicts(Some(ENV)).await.unwrap();
        assert_eq!(open.iter().map(|open| &open.conflict).collect::<Vec<_>>(), [&conflicts[0]]);
        assert_eq!(*since.get_or_insert(open[0].since), open[0].since, "it is the same conflict");
    }
    assert_eq!(bed.count("seeding_conflicts").await, 1);
}
