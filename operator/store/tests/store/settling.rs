//! What moves without a seeding, and what a failure leaves.

use serde_json::json;
use sower_core::catalog::Found;
use sower_core::plan::{Conflict, Resolution, Verb};
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    an_empty_plan_moves_the_revision_alone,
    a_row_that_moved_on_takes_no_older_word,
    documents_are_remembered,
    a_row_that_cannot_be_read_is_answered_by_its_key,
    a_conflict_is_opened_once_and_closed_when_it_is_gone,
    an_override_that_is_applied_is_closed_at_once,
    failures_of_one_kind_share_a_row,
    a_joined_failure_tells_of_the_last_attempt,
);

async fn settle(bed: &Bed, tree: &str, conflicts: &[Conflict], manifests: ManifestDelta<'_>) {
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let (applied, summary) = (applied(tree), json!({"unchanged": 2}));
    let settle = Settle {
        fence: &fence,
        conflicts,
        manifests,
        applied: &applied,
        selection_hash: Some("s"),
        summary: &summary,
        quarantine: QuarantineDelta::default(),
        promotion: PromotionDelta::default(),
    };
    bed.store.settle(settle).await.unwrap();
}

async fn an_empty_plan_moves_the_revision_alone(bed: Bed) {
    bed.seed(vec![create("slack", &manifest("slack", "1.0.0", 1))]).await.unwrap();
    let left = bed.begin().await.unwrap();
    settle(&bed, "b", &[], ManifestDelta::default()).await;
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!((row.seq, &row.summary, &row.applied), (1, &json!({"unchanged": 2}), &applied("b")));
    // But for the one that was left running, which is closed.
    assert_eq!(row.running, None);
    let log = bed.store.history(Some(ENV), 5).await.unwrap();
    assert_eq!((log.len(), &log[0].id, log[0].status), (2, &left.id, LogStatus::Failed));
    assert_eq!(bed.count("seeding_changes").await, 1);
}

async fn a_row_that_moved_on_takes_no_older_word(bed: Bed) {
    settle(&bed, "a", &[], ManifestDelta::default()).await;
    let row = async || bed.store.environment(ENV).await.unwrap().unwrap();
    let (old, fence) = (row().await, bed.store.claim(ENV, KEEPER, false).await.unwrap());
    // Times have milliseconds.
    let mut new = old.clone();
    while new.updated_at == old.updated_at {
        bed.store.note(&new, &json!({"noted": true})).await.unwrap();
        new = row().await;
    }
    assert_eq!(new.summary, json!({"noted": true}));
    bed.store.note(&old, &json!({"noted": "late"})).await.unwrap();
    let (applied, summary) = (applied("b"), json!({"settled": "late"}));
    let settle = Settle {
        fence: &fence,
        conflicts: &[],
        manifests: ManifestDelta::default(),
        applied: &applied,
        selection_hash: Some("s"),
        summary: &summary,
        quarantine: QuarantineDelta::default(),
        promotion: PromotionDelta::default(),
    };
    let error = bed.store.settle(settle).await.unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error}");
    assert_eq!(row().await, new);
}

async fn documents_are_remembered(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let (valid, mut broken) = (found("slack", &slack), found("broken", &slack));
    broken.summary = None;
    broken.manifest = None;
    broken.id = None;
    settle(&bed, "a", &[], ManifestDelta { upsert: vec![&valid, &broken], delete: Vec::new() }).await;
    assert_eq!(bed.ask("SELECT status FROM integration_manifests ORDER BY id").await, ["error", "validated"]);

    let known = bed.store.known(ENV, "catalog").await.unwrap();
    let mut expected = vec![broken.clone(), valid.clone()];
    expected[1].manifest = None;
    assert_eq!(known, expected);
    assert!(bed.store.known(ENV, "another").await.unwrap().is_empty());
    let id = document_id(&valid.place);
    assert_eq!(bed.store.remembered(ENV, &[&id]).await.unwrap()[&id], slack);

    // It comes in, without being read again; then it goes, and only its row in the memory is left.
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    assert_eq!(bed.ask("SELECT status FROM integration_manifests ORDER BY id").await, ["error", "seeded"]);
    settle(
        &bed,
        "b",
        &[],
        ManifestDelta { upsert: vec![&known[1]], delete: vec![document_id(&broken.place)] },
    )
    .await;
    assert_eq!(bed.ask("SELECT status FROM integration_manifests").await, ["seeded"]);
    assert_eq!(bed.store.remembered(ENV, &[&id]).await.unwrap()[&id], slack);
    bed.seed(vec![operation(Verb::Remove, "slack", Some(&slack), None)]).await.unwrap();
    assert_eq!(
        bed.ask("SELECT status || coalesce(seeding, '') FROM integration_manifests").await,
        ["validated"]
    );
}

async fn a_row_that_cannot_be_read_is_answered_by_its_key(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let (valid, gone) = (found("slack", &slack), found("gone", &slack));
    settle(&bed, "a", &[], ManifestDelta { upsert: vec![&valid, &gone], delete: Vec::new() }).await;
    let odd = document_id(&gone.place);
    bed.run(&format!("UPDATE integration_manifests SET summary = '{{\"id\": 7}}' WHERE id = '{odd}'")).await;
    assert!(bed.store.known(ENV, "catalog").await.unwrap().is_empty(), "it is read anew");
    let kept = bed.store.kept(ENV, "catalog").await.unwrap();
    let expected = Found { manifest: None, ..valid.clone() };
    assert_eq!(kept, Kept { found: vec![expected.clone()], unreadable: vec![odd.clone()] });

    // One that makes way for its document, in one delta.
    settle(&bed, "b", &[], ManifestDelta { upsert: vec![&gone], delete: kept.unreadable }).await;
    assert_eq!(bed.store.known(ENV, "catalog").await.unwrap().len(), 2);
    settle(&bed, "c", &[], ManifestDelta { upsert: Vec::new(), delete: vec![odd] }).await;
    assert_eq!(bed.store.known(ENV, "catalog").await.unwrap(), [expected]);
}

async fn a_conflict_is_opened_once_and_closed_when_it_is_gone(bed: Bed) {
    let (one, two) = (conflict("slack", "1", Resolution::Skip), conflict("stripe", "2", Resolution::Skip));
    settle(&bed, "a", &[one.clone(), two.clone(), one.clone()], ManifestDelta::default()).await;
    let open = bed.store.open_conflicts(Some(ENV)).await.unwrap();
    assert_eq!(open.iter().map(|c| &c.conflict).collect::<Vec<_>>(), [&one, &two]);
    let rows = bed.ask("SELECT id FROM seeding_conflicts ORDER BY id").await;

    let overridden = Conflict { resolution: Resolution::Override, ..one.clone() };
    settle(&bed, "b", &[overridden.clone(), two.clone()], ManifestDelta::default()).await;
    assert_eq!(bed.ask("SELECT id FROM seeding_conflicts ORDER BY id").await, rows);
    assert_eq!(bed.store.open_conflicts(None).await.unwrap()[0].conflict, overridden);

    // The same one between other versions is told with these, and nothing is written for the others.
    let moved = Conflict { current_version: Some("2.0.0".into()), new_version: None, ..overridden };
    let since = bed.store.open_conflicts(None).await.unwrap()[0].since;
    settle(&bed, "bc", &[moved.clone(), two.clone()], ManifestDelta::default()).await;
    let open = bed.store.open_conflicts(None).await.unwrap();
    assert_eq!(open.iter().map(|c| &c.conflict).collect::<Vec<_>>(), [&moved, &two]);
    assert_eq!((open[0].since, bed.ask("SELECT id FROM seeding_conflicts ORDER BY id").await), (since, rows));

    settle(&bed, "c", &[two], ManifestDelta::default()).await;
    assert_eq!(bed.store.open_conflicts(Some(ENV)).await.unwrap().len(), 1);
    assert_eq!(bed.count("seeding_conflicts").await, 2);
    // The same again is a new one.
    settle(&bed, "d", &[one], ManifestDelta::default()).await;
    assert_eq!(
        (bed.store.open_conflicts(None).await.unwrap().len(), bed.count("seeding_conflicts").await),
        (1, 3)
    );
}

async fn an_override_that_is_applied_is_closed_at_once(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let conflicts = [conflict("slack", "1", Resolution::Override), conflict("stripe", "2", Resolution::Skip)];
    let seeding = bed.begin().await.unwrap();
    let applied = applied("a");
    let created = [create("slack", &slack)];
    let mut write = write(&created, &applied, &serde_json::Value::Null);
    write.conflicts = &conflicts;
    bed.store.apply(&seeding, write).await.unwrap();
    let open = bed.store.open_conflicts(Some(ENV)).await.unwrap();
    assert_eq!((open.len(), &*open[0].conflict.integration), (1, "stripe"));
    assert!(!bed.store.integrations(None).await.unwrap()[0].in_conflict);
    assert_eq!(bed.count("seeding_conflicts").await, 2);
}

async fn failures_of_one_kind_share_a_row(bed: Bed) {
    for attempt in 1..=3 {
        let seeding = bed.begin().await.unwrap();
        bed.store.fail(&seeding, "SeedingFailed", &format!("attempt {attempt}")).await.unwrap();
        // Once closed, it stays closed.
        bed.store.fail(&seeding, "SeedingFailed", "late").await.unwrap();
    }
    let log = bed.store.history(Some(ENV), 10).await.unwrap();
    assert_eq!((log.len(), &*log[0].errors[0].message), (1, "attempt 3"));
    assert_eq!(log[0].metadata["attempts"], 3);
    let seeding = bed.begin().await.unwrap();
    bed.store.fail(&seeding, "DatabaseUnavailable", "gone").await.unwrap();
    bed.seed(vec![create("slack", &manifest("slack", "1.0.0", 1))]).await.unwrap();
    let seeding = bed.begin().await.unwrap();
    bed.store.fail(&seeding, "DatabaseUnavailable", "gone").await.unwrap();
    let statuses: Vec<_> =
        bed.store.history(Some(ENV), 10).await.unwrap().iter().map(|l| l.status.as_str()).collect();
    assert_eq!(statuses, ["failed", "completed", "failed", "failed"]);
}

async fn a_joined_failure_tells_of_the_last_attempt(bed: Bed) {
    let first = bed.begin().await.unwrap();
    bed.store.fail(&first, "SeedingFailed", "once").await.unwrap();
    let began = bed.store.history(Some(ENV), 10).await.unwrap()[0].started_at;
    bed.raise_epoch("another").await;
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let mut applied = applied("b");
    applied.get_mut("catalog").unwrap().revision.label = "next".into();
    let metadata = [("plan".to_owned(), json!("4b1d"))].into_iter().collect();
    let started = jiff::Timestamp::now();
    let begin = Begin {
        fence: &fence,
        holder: "another",
        reason: "spec changed",
        applied: &applied,
        metadata,
        started,
    };
    let second = bed.store.begin(begin).await.unwrap();
    bed.store.fail(&second, "SeedingFailed", "twice").await.unwrap();
    let log = bed.store.history(Some(ENV), 10).await.unwrap();
    assert_eq!((log.len(), log[0].started_at, &*log[0].reason), (1, began, "spec changed"));
    assert_eq!(log[0].revisions["catalog"], applied["catalog"].revision);
    assert_eq!((&log[0].metadata["plan"], &log[0].metadata["attempts"]), (&json!("4b1d"), &json!(2)));
    let written = bed.ask("SELECT holder || ' ' || epoch FROM seeding_logs").await;
    assert_eq!(written, [format!("another {}", fence.epoch)]);
}
