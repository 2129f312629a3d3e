//! Rows that somebody else wrote, taken over.

use std::sync::Arc;

use serde_json::{Map, Value};
use sower_core::adopt::HandMade;
use sower_core::drift::Ignored;
use sower_core::plan::{Operation, Verb};
use sower_core::rows::rows;
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    rows_are_taken_over_as_they_are,
    rows_that_nobody_wrote_are_added,
    rows_that_changed_meanwhile_stay_whose_they_are,
    rows_beside_a_seeded_definition_are_taken_over,
    a_catalog_is_handed_over_in_whole,
);

const THEN: &str = "2020-01-01T00:00:00.000Z";

/// Writes the rows of a manifest as a hand does: JSON with spaces, no provenance.
async fn by_hand(bed: &Bed, manifest: &str) {
    let rows = rows(manifest).unwrap();
    let definition = &rows.definition;
    bed.run(&format!(
        "INSERT INTO integration_definitions (id, name, version, author, manifest, created_at, updated_at, environment) \
         VALUES ('{}', '{}', '{}', 'AUTHOR', '{}', '{THEN}', '{THEN}', '{ENV}')",
        definition.id,
        definition.name,
        definition.version,
        spaced(manifest)
    ))
    .await;
    for row in &rows.registry {
        let category = row.category.as_deref().map_or("NULL".to_owned(), |category| format!("'{category}'"));
        bed.run(&format!(
            "INSERT INTO {} (id, integration_id, identifier, name, category, definition, created_at, updated_at, environment) \
             VALUES ('{}', '{}', '{}', '{}', {category}, '{}', '{THEN}', '{THEN}', '{ENV}')",
            row.kind.table(),
            row.id,
            row.integration,
            row.identifier,
            row.name,
            spaced(row.definition)
        ))
        .await;
    }
}

fn spaced(json: &str) -> String {
    json.replace("\":", "\" : ")
}

fn adoption(hand: HandMade, manifest: &Arc<str>) -> Adoption {
    let id = hand.definition.id.clone();
    let seeded = hand.definition.checksum.as_ref().map(|_| Arc::<str>::from(&*hand.definition.manifest));
    let verb = if seeded.is_some() { Verb::Update } else { Verb::Create };
    let (operation, _): (Operation, _) = operation(verb, &id, seeded.as_ref(), Some(manifest));
    Adoption { hand, operation, manifest: manifest.clone() }
}

async fn adopt(bed: &Bed, hand: HandMade, manifest: &Arc<str>) -> Result<Applied, StoreError> {
    let seeding = bed.begin().await.unwrap();
    let (applied, adoptions) = (applied("before"), [adoption(hand, manifest)]);
    let adopt =
        Adopt { adoptions: &adoptions, applied: &applied, summary: &Value::Null, metadata: Map::new() };
    let adopted = bed.store.adopt(&seeding, adopt).await;
    if let Err(error) = &adopted {
        bed.store.fail(&seeding, error.code(), &error.to_string()).await.unwrap();
    }
    adopted
}

const TEXTS: &str =
    "SELECT id || name || created_at || updated_at FROM action_registry WHERE id <> 'x' ORDER BY id";

async fn rows_are_taken_over_as_they_are(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    by_hand(&bed, &slack).await;
    let before = bed.ask(TEXTS).await;
    let mut hand = bed.store.hand_made(ENV, &["slack", "other"]).await.unwrap();
    assert_eq!((hand.len(), hand[0].count()), (1, 6));
    let adopted = adopt(&bed, hand.remove(0), &slack).await.unwrap();
    assert_eq!((adopted.seq, adopted.counts.updated, adopted.counts.actions_created), (1, 1, 0));

    assert_eq!(bed.ask(TEXTS).await, before);
    assert_eq!(
        bed.ask("SELECT count(*) FROM integration_definitions WHERE created_at = '2020-01-01T00:00:00.000Z'")
            .await,
        ["1"]
    );
    assert_eq!(bed.ask("SELECT manifest FROM integration_definitions").await.len(), 1);
    let checksum = sower_core::rows::checksum(&slack);
    assert_eq!(bed.ask("SELECT checksum FROM integration_definitions").await, [checksum.as_str()]);
    assert_eq!(bed.ask("SELECT checksum FROM integration_versions").await, [checksum]);
    assert_eq!(bed.ask("SELECT operation FROM seeding_changes").await, ["create"]);
    assert_eq!(bed.ask("SELECT selection_hash FROM environments").await, [""]);
    assert!(bed.store.drift(ENV, &Ignored::default()).await.unwrap().rows.is_empty());
    assert!(bed.store.hand_made(ENV, &["slack"]).await.unwrap().is_empty());
    assert!(bed.store.strangers(ENV).await.unwrap().is_empty());
    let logged = bed.store.history(Some(ENV), 1).await.unwrap();
    assert_eq!((logged[0].count("updated"), logged[0].count("adopted")), (1, 6));

    // From now on a seeding writes them.
    let next = manifest("slack", "1.1.0", 1);
    bed.seed(vec![update("slack", &slack, &next)]).await.unwrap();
    assert_eq!(bed.count("action_registry").await, 1);
}

async fn rows_that_nobody_wrote_are_added(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    by_hand(&bed, &slack).await;
    bed.run("DELETE FROM action_registry WHERE id = 'slack/act-1'").await;
    let hand = bed.store.hand_made(ENV, &["slack"]).await.unwrap().remove(0);
    let adopted = adopt(&bed, hand, &slack).await.unwrap();
    assert_eq!(adopted.counts.actions_created, 1);
    assert_eq!(bed.count("action_registry").await, 2);
    assert!(bed.store.drift(ENV, &Ignored::default()).await.unwrap().rows.is_empty());
}

async fn rows_that_changed_meanwhile_stay_whose_they_are(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    by_hand(&bed, &slack).await;
    let hand = bed.store.hand_made(ENV, &["slack"]).await.unwrap().remove(0);
    bed.run("UPDATE action_registry SET name = 'Another' WHERE id = 'slack/act-0'").await;
    let error = adopt(&bed, hand, &slack).await.unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error}");
    assert_eq!(bed.count("seeding_changes").await, 0);
    assert_eq!(bed.store.strangers(ENV).await.unwrap().definitions, ["slack"]);

    // Another keeper's environment is nobody's to adopt.
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    bed.store.claim(ENV, "prod-eu/sower/production", true).await.unwrap();
    let error = bed.begin_with(&fence).await.unwrap_err();
    assert!(matches!(error, StoreError::KeptElsewhere { .. }), "{error}");
}

async fn rows_beside_a_seeded_definition_are_taken_over(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.0.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let more = rows(&two).unwrap().registry.remove(1);
    assert_eq!(more.id, "slack/act-1");
    bed.run(&format!(
        "INSERT INTO action_registry (id, integration_id, identifier, name, category, definition, created_at, environment) \
         VALUES ('slack/act-1', 'slack', 'act-1', 'Act 1', 'tasks', '{}', '{THEN}', '{ENV}')",
        spaced(more.definition)
    ))
    .await;
    let hand = bed.store.hand_made(ENV, &["slack"]).await.unwrap().remove(0);
    assert_eq!((hand.count(), hand.definition.checksum.is_some()), (1, true));
    let adopted = adopt(&bed, hand, &two).await.unwrap();
    assert_eq!((adopted.seq, adopted.counts.actions_created), (2, 0));
    assert!(bed.store.drift(ENV, &Ignored::default()).await.unwrap().rows.is_empty());
    assert_eq!(bed.ask("SELECT operation FROM seeding_changes ORDER BY seq").await, ["create", "update"]);
    assert_eq!(
        bed.ask("SELECT count(*) FROM action_registry WHERE created_at = '2020-01-01T00:00:00.000Z'").await,
        ["1"]
    );
}

async fn a_catalog_is_handed_over_in_whole(bed: Bed) {
    let all: Vec<(String, Arc<str>)> =
        (0..450).map(|n| (format!("a{n:03}"), manifest(&format!("a{n:03}"), "1.0.0", 1))).collect();
    bed.seed(all.iter().map(|(id, manifest)| create(id, manifest)).collect()).await.unwrap();
    bed.seed(vec![remove("a007", &all[7].1)]).await.unwrap();
    by_hand(&bed, &manifest("mine", "1.0.0", 1)).await;
    let mut found = Vec::new();
    let strangers = bed
        .store
        .export(ENV, |page| {
            assert!(page.len() <= 200);
            found.extend(page);
            Ok::<(), StoreError>(())
        })
        .await
        .unwrap();
    assert_eq!(found.len(), 449);
    assert!(
        found.iter().all(|one| sower_core::rows::checksum(&one.manifest) == one.checksum && one.id != "a007")
    );
    assert_eq!((strangers.definitions.as_slice(), strangers.rows.len()), (["mine".to_owned()].as_slice(), 4));
    assert_eq!(strangers.integrations().into_iter().collect::<Vec<_>>(), ["mine"]);
}
