//! What waits for another environment is remembered, and since when a content is carried is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sower_core::plan::{Operation, Verb, Wanted};
use sower_core::resolution::Resolutions;
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    offers_come_in_their_order_and_go,
    what_is_let_in_by_hand_stays_until_it_is_settled,
    what_waits_is_remembered_without_a_seeding,
    a_content_is_carried_since_it_came,
    a_rollout_that_completed_counts_and_one_under_way_does_not,
    nothing_of_it_outlives_the_environment,
);

fn offer(id: &str, version: &str) -> (Wanted, Arc<str>) {
    let bytes = manifest(id, version, 1);
    let summary = found(id, &bytes).summary.unwrap();
    let (place, revision) = (place(id), "main@sha1:1".to_owned());
    (Wanted { summary, place, revision, resolve: Resolutions::default() }, bytes)
}

/// Moves what is remembered, without a seeding.
async fn settle(bed: &Bed, promotion: PromotionDelta<'_>) {
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let (applied, summary) = (applied("t"), Value::Null);
    let settle = Settle {
        fence: &fence,
        conflicts: &[],
        manifests: ManifestDelta::default(),
        applied: &applied,
        selection_hash: Some("selection"),
        summary: &summary,
        quarantine: QuarantineDelta::default(),
        promotion,
    };
    bed.store.settle(settle).await.unwrap();
}

async fn offered(bed: &Bed) -> Vec<String> {
    let all = bed.store.promotion(ENV).await.unwrap().offers.into_values().flatten();
    all.map(|wanted| format!("{} {}", wanted.summary.id, wanted.summary.version)).collect()
}

fn pair(offer: &(Wanted, Arc<str>)) -> (String, String) {
    (offer.0.summary.id.clone(), offer.0.summary.checksum.clone())
}

async fn offers_come_in_their_order_and_go(bed: Bed) {
    let (first, second, other) = (offer("slack", "1.1.0"), offer("slack", "1.2.0"), offer("crm", "2.0.0"));
    settle(&bed, PromotionDelta { fresh: &[first.clone(), other.clone()], ..Default::default() }).await;
    settle(&bed, PromotionDelta { fresh: std::slice::from_ref(&second), ..Default::default() }).await;
    assert_eq!(offered(&bed).await, ["crm 2.0.0", "slack 1.1.0", "slack 1.2.0"]);
    let known = bed.store.promotion(ENV).await.unwrap().offers;
    assert_eq!(known["slack"], [first.0.clone(), second.0.clone()]);
    assert!(bed.store.promotion("staging").await.unwrap().offers.is_empty());

    // What is offered again is the last one.
    settle(&bed, PromotionDelta { fresh: std::slice::from_ref(&first), ..Default::default() }).await;
    assert_eq!(offered(&bed).await, ["crm 2.0.0", "slack 1.2.0", "slack 1.1.0"]);

    let (id, checksum) = pair(&second);
    let contents = bed.store.offered_contents(ENV, &[(&id, &checksum)]).await.unwrap();
    assert_eq!(contents, BTreeMap::from([("slack".to_owned(), second.1.clone())]));
    assert!(bed.store.offered_contents(ENV, &[("crm", &checksum)]).await.unwrap().is_empty());

    // Those that go with a seeding go with all of it, or not at all.
    let stale = [pair(&first)];
    let delta = PromotionDelta { stale: &stale, ..Default::default() };
    let operations = vec![create("slack", &second.1)];
    let (applied, summary) = (applied("t2"), Value::Null);
    let seeding = bed.begin().await.unwrap();
    let write = Write { promotion: delta, ..write(&operations, &applied, &summary) };
    bed.store.apply(&seeding, write).await.unwrap();
    assert_eq!(offered(&bed).await, ["crm 2.0.0", "slack 1.2.0"]);

    settle(&bed, PromotionDelta { ends: true, ..Default::default() }).await;
    assert!(offered(&bed).await.is_empty());
}

async fn what_is_let_in_by_hand_stays_until_it_is_settled(bed: Bed) {
    bed.seed(vec![create("slack", &manifest("slack", "1.0.0", 1))]).await.unwrap();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let one = |id: &str| Admitted { integration: id.to_owned(), checksum: format!("v1:{id}") };
    bed.store.admit(&fence, &[one("slack"), one("crm")], "jane", &[offer("slack", "1.1.0")]).await.unwrap();
    assert_eq!(offered(&bed).await, ["slack 1.1.0"], "what is let in is remembered with it");
    let once_more = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    bed.store.admit(&once_more, &[one("slack")], "john", &[]).await.unwrap();
    let admitted = || async { bed.store.promotion(ENV).await.unwrap().admitted };
    let key = |id: &str| (id.to_owned(), format!("v1:{id}"));
    let by = |id: &str, by: &str| (key(id), by.to_owned());
    assert_eq!(admitted().await, BTreeMap::from([by("crm", "jane"), by("slack", "john")]));
    assert!(bed.store.environment(ENV).await.unwrap().unwrap().admits);
    // Of a content, not of an integration.
    let other = ("slack".to_owned(), "v1:other".to_owned());
    settle(&bed, PromotionDelta { settled: &[other, key("slack")], ..Default::default() }).await;
    assert_eq!(admitted().await, BTreeMap::from([by("crm", "jane")]));

    // Who was superseded lets nothing in.
    bed.seed(vec![create("crm", &manifest("crm", "1.0.0", 1))]).await.unwrap();
    let refused = bed.store.admit(&fence, &[one("slack")], "john", &[]).await;
    assert!(matches!(refused, Err(StoreError::Stale { .. })), "{refused:?}");
    assert_eq!(admitted().await.len(), 1);
    settle(&bed, PromotionDelta { settled: &[key("crm")], ..Default::default() }).await;
    assert!(!bed.store.environment(ENV).await.unwrap().unwrap().admits);
}

async fn what_waits_is_remembered_without_a_seeding(bed: Bed) {
    bed.seed(vec![create("slack", &manifest("slack", "1.0.0", 1))]).await.unwrap();
    let before = bed.store.environment(ENV).await.unwrap().unwrap();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let (first, second) = (offer("slack", "1.1.0"), offer("slack", "1.2.0"));
    let delta = PromotionDelta { fresh: std::slice::from_ref(&first), ..Default::default() };
    bed.store.remember(&fence, &delta).await.unwrap();
    let stale = [pair(&first)];
    let delta = PromotionDelta { fresh: std::slice::from_ref(&second), stale: &stale, ..Default::default() };
    bed.store.remember(&fence, &delta).await.unwrap();
    assert_eq!(offered(&bed).await, ["slack 1.2.0"]);
    // Nothing else moves: a plan that was made before stands.
    assert_eq!(bed.store.environment(ENV).await.unwrap().unwrap(), before);
    bed.seed(vec![create("crm", &manifest("crm", "1.0.0", 1))]).await.unwrap();
    let refused = bed.store.remember(&fence, &delta).await;
    assert!(matches!(refused, Err(StoreError::Stale { .. })), "{refused:?}");
}

/// Sets when a seeding was committed.
async fn committed(bed: &Bed, seq: i64, at: &str) {
    bed.run(&format!("UPDATE seeding_logs SET completed_at = '{at}' WHERE seq = {seq}")).await;
}

async fn since(bed: &Bed, id: &str) -> Option<(String, String)> {
    let (content, since) = bed.store.shown(ENV, &[id, "nobody"]).await.unwrap().remove(id)?;
    Some((content.version, since.to_string()))
}

fn at(version: &str, minute: u32) -> Option<(String, String)> {
    Some((version.to_owned(), format!("2026-11-21T14:{minute:02}:00Z")))
}

async fn a_content_is_carried_since_it_came(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    let moved = || {
        let (mut operation, text): (Operation, _) = operation(Verb::Move, "slack", Some(&two), Some(&two));
        operation.place.as_mut().unwrap().path = "elsewhere.yaml".into();
        (operation, text)
    };
    let seedings = [
        create("slack", &one),
        update("slack", &one, &two),
        moved(),
        update("slack", &two, &one),
        update("slack", &one, &two),
        update("slack", &two, &two),
    ];
    let expected =
        [at("1.0.0", 1), at("1.1.0", 2), at("1.1.0", 2), at("1.0.0", 4), at("1.1.0", 5), at("1.1.0", 5)];
    for (number, (seeding, expect)) in (1..).zip(seedings.into_iter().zip(expected)) {
        bed.seed(vec![seeding]).await.unwrap();
        committed(&bed, number, &format!("2026-11-21T14:{number:02}:00.000Z")).await;
        assert_eq!(since(&bed, "slack").await, expect, "after seeding {number}");
    }
    // What is forgotten counts from when its row was written last.
    bed.run("DELETE FROM seeding_changes WHERE integration_id = 'slack'").await;
    bed.run("UPDATE integration_definitions SET updated_at = '2026-11-21T14:30:00.000Z' WHERE id = 'slack'")
        .await;
    assert_eq!(since(&bed, "slack").await, at("1.1.0", 30));
    bed.seed(vec![remove("slack", &two)]).await.unwrap();
    assert_eq!(since(&bed, "slack").await, None);
    bed.seed(vec![create("slack", &two)]).await.unwrap();
    committed(&bed, 8, "2026-11-21T14:40:00.000Z").await;
    assert_eq!(since(&bed, "slack").await, at("1.1.0", 40));
}

async fn a_rollout_that_completed_counts_and_one_under_way_does_not(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &two)]).await.unwrap();
    committed(&bed, 1, "2026-11-21T14:01:00.000Z").await;
    let (from, to) = (content(&one), content(&two));
    let rollout = |id: &str, to: &str, state: &str, ended: &str| {
        format!(
            "INSERT INTO integration_rollouts (id, environment, integration_id, from_version, from_checksum, to_version, \
             to_checksum, variants, salt, step, weight, state, strategy, progress, source, path, revision, seeding, \
             started_at, step_started_at, updated_at, ended_at) VALUES ('{id}', '{ENV}', 'slack', '1.0.0', '{}', '1.1.0', \
             '{to}', '[]', 's', 1, 100, '{state}', '{{}}', '{{}}', 'catalog', 'p', 'r', 'x', '2026-11-21T14:00:00.000Z', \
             '2026-11-21T14:00:00.000Z', '2026-11-21T14:00:00.000Z', {ended})",
            from.checksum
        )
    };
    bed.run(&rollout("a", &to.checksum, "Completed", "'2026-11-21T14:20:00.000Z'")).await;
    bed.run(&rollout("b", &to.checksum, "Aborted", "'2026-11-21T14:50:00.000Z'")).await;
    assert_eq!(since(&bed, "slack").await, at("1.1.0", 20));
    assert!(bed.store.promotion(ENV).await.unwrap().under_way.is_empty());
    bed.run(&rollout("c", "v1:new", "Progressing", "NULL")).await;
    assert_eq!(since(&bed, "slack").await, at("1.1.0", 20));
    let under_way = bed.store.promotion(ENV).await.unwrap().under_way;
    assert_eq!(under_way.into_iter().collect::<Vec<_>>(), [("slack".to_owned(), "v1:new".to_owned())]);
}

async fn nothing_of_it_outlives_the_environment(bed: Bed) {
    bed.seed(vec![create("slack", &manifest("slack", "1.0.0", 1))]).await.unwrap();
    settle(&bed, PromotionDelta { fresh: &[offer("slack", "1.1.0")], ..Default::default() }).await;
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let one = Admitted { integration: "slack".into(), checksum: "v1:x".into() };
    bed.store.admit(&fence, &[one], "jane", &[]).await.unwrap();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    bed.store.delete_environment(&fence).await.unwrap();
    assert_eq!(bed.count("promotion_offers").await, 0);
    assert_eq!(bed.count("promotion_admissions").await, 0);
}
