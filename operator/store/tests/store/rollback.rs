//! Earlier states, what is kept out after a rollback, and that who asked for one is answered once.

use std::collections::BTreeMap;
use std::sync::Arc;

use sower_core::plan::{Operation, Verb};
use sower_core::quarantine::ABSENCE;
use sower_core::rollback::{Then, way_back};
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    an_earlier_state_is_told_as_it_was,
    a_state_before_what_is_told_is_told_by_what_came_after,
    a_rollback_writes_what_there_was_and_keeps_out_what_is_left,
    what_is_kept_out_is_asked_back_lifted_and_kept_out_again,
    a_rollback_that_cannot_be_done_is_logged_and_answered,
    seedings_are_found_by_their_revision,
);

/// Version, source, path and revision of an integration after a seeding.
fn told(held: &BTreeMap<String, Option<Then>>, id: &str) -> String {
    match held.get(id) {
        None => "unknown".to_owned(),
        Some(None) => "absent".to_owned(),
        Some(Some(Then { content, source, path, revision })) => {
            format!("{} {source} {path} {revision}", content.version)
        }
    }
}

async fn an_earlier_state_is_told_as_it_was(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let (mut moved, text) = operation(Verb::Move, "slack", Some(&one), Some(&one));
    moved.source = "partners".into();
    moved.place.as_mut().unwrap().path = "elsewhere.yaml".into();
    moved.revision = Some("main@sha1:2".into());
    bed.seed(vec![(moved, text)]).await.unwrap();
    bed.seed(vec![update("slack", &one, &two), create("other", &manifest("other", "1.0.0", 1))])
        .await
        .unwrap();
    bed.seed(vec![remove("slack", &two)]).await.unwrap();

    let at = async |seq| bed.store.held_at(ENV, seq, None).await.unwrap();
    let revision = applied("")["catalog"].revision.full();
    let first = format!("1.0.0 catalog {} {revision}", place("slack").path);
    assert_eq!(told(&at(1).await, "slack"), first);
    assert_eq!(told(&at(1).await, "other"), "absent");
    assert_eq!(told(&at(2).await, "slack"), "1.0.0 partners elsewhere.yaml main@sha1:2");
    assert_eq!(told(&at(3).await, "slack"), format!("1.1.0 catalog {} {revision}", place("slack").path));
    assert_eq!(told(&at(4).await, "slack"), "absent");
    assert_eq!(at(4).await.len(), 2);
    let alone = bed.store.held_at(ENV, 1, Some("slack")).await.unwrap();
    assert_eq!((alone.len(), told(&alone, "slack")), (1, first.clone()));
    assert!(bed.store.held_at("staging", 1, None).await.unwrap().is_empty());

    // An older Sower noted no place with a change: where the content first came from is what is known.
    bed.run("UPDATE seeding_changes SET source = NULL, path = NULL, revision = NULL").await;
    assert_eq!(told(&at(2).await, "slack"), first);
}

async fn a_state_before_what_is_told_is_told_by_what_came_after(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    bed.seed(vec![update("slack", &one, &two)]).await.unwrap();
    bed.seed(vec![remove("slack", &two)]).await.unwrap();
    bed.run("DELETE FROM seeding_changes WHERE seq < 3").await;
    let held = bed.store.held_at(ENV, 1, None).await.unwrap();
    assert!(told(&held, "slack").starts_with("1.1.0 catalog "), "{held:?}");
}

type Text = Arc<str>;

/// The way back to a seeding, done; with what asked for it.
async fn roll_back(bed: &Bed, seq: i64, handled: Option<&HandledRollback>) -> Result<Applied, StoreError> {
    let state = bed.store.state(ENV).await.unwrap().state;
    let then = bed.store.held_at(ENV, seq, None).await.unwrap();
    let way = way_back(ENV, "", &state, &then, &BTreeMap::new());
    let operations: Vec<(Operation, Option<Text>)> =
        way.plan.operations.into_iter().map(|operation| (operation, None)).collect();
    let seeding = bed.begin().await?;
    let (applied, summary) = (applied("a"), serde_json::Value::Null);
    let delta = QuarantineDelta { keep_out: &way.out, reason: "rollback to 1 by AUTHOR", lift: &[] };
    let write =
        Write { quarantine: delta, rollback: Some(handled), ..write(&operations, &applied, &summary) };
    bed.store.apply(&seeding, write).await
}

const ROWS: &str = "SELECT id || version || checksum || revision || path FROM integration_definitions WHERE status <> 'removed' ORDER BY id";

async fn kept_out(bed: &Bed) -> Vec<String> {
    let all = bed.store.quarantined(Some(ENV)).await.unwrap();
    let line = |q: Quarantined| {
        let asked = if q.asked_back_at.is_some() { " asked back" } else { "" };
        let version = q.version.unwrap_or_else(|| "absent".to_owned());
        format!("{} {version} by {}{asked}", q.integration, q.seeding.unwrap_or_default())
    };
    all.into_iter().map(line).collect()
}

async fn a_rollback_writes_what_there_was_and_keeps_out_what_is_left(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    let (gone, new) = (manifest("gone", "1.0.0", 1), manifest("new", "1.0.0", 1));
    bed.seed(vec![create("gone", &gone), create("slack", &one)]).await.unwrap();
    let before = bed.ask(ROWS).await;
    bed.seed(vec![remove("gone", &gone), create("new", &new), update("slack", &one, &two)]).await.unwrap();
    let handled = HandledRollback {
        request: "1 again".into(),
        seeding: Some(3),
        message: "Rolled back".into(),
        failed: false,
    };
    let applied = roll_back(&bed, 1, Some(&handled)).await.unwrap();
    assert_eq!((applied.counts.created, applied.counts.updated, applied.counts.deleted), (1, 1, 1));
    assert_eq!(bed.ask(ROWS).await, before);
    assert_eq!(bed.count("action_registry").await, 2);
    assert_eq!(kept_out(&bed).await, ["gone absent by 3", "new 1.0.0 by 3", "slack 1.1.0 by 3"]);
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!((row.seq, row.rollback.as_ref()), (3, Some(&handled)));
    let quarantine = bed.store.state(ENV).await.unwrap().state.quarantine;
    assert!(quarantine.holds("gone", ABSENCE) && quarantine.holds("slack", &content(&two).checksum));
    let narrow = bed.store.about(ENV, &["slack"]).await.unwrap().1.state.quarantine;
    assert!(narrow.holds("slack", &content(&two).checksum) && !narrow.is_about("gone"));

    // And forward again: what was left behind then is current, and what is left behind now is kept out.
    roll_back(&bed, 2, None).await.unwrap();
    assert_eq!(kept_out(&bed).await, ["gone 1.0.0 by 4", "new absent by 4", "slack 1.0.0 by 4"]);
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!(row.rollback, Some(handled), "nobody asked for the second one by an annotation");

    // Of a content that nobody keeps, nothing is made; and nothing of the rest is written.
    bed.run("DELETE FROM integration_versions WHERE integration_id = 'gone'").await;
    bed.run("DELETE FROM integration_manifests").await;
    // What was taken out is kept for a while, too.
    bed.run("DELETE FROM integration_definitions WHERE status = 'removed'").await;
    let rows = bed.ask(ROWS).await;
    let error = roll_back(&bed, 1, None).await.unwrap_err();
    assert!(error.to_string().contains("the manifest of gone"), "{error}");
    assert_eq!(bed.ask(ROWS).await, rows);
}

async fn what_is_kept_out_is_asked_back_lifted_and_kept_out_again(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    let (pear, plum) = (manifest("pear", "1.0.0", 1), manifest("pear", "2.0.0", 1));
    bed.seed(vec![create("pear", &pear), create("slack", &one)]).await.unwrap();
    bed.seed(vec![update("slack", &one, &two)]).await.unwrap();
    bed.seed(vec![update("pear", &pear, &plum)]).await.unwrap();
    let nobody = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    assert_eq!(bed.store.ask_back(&nobody, None, None).await.unwrap(), []);

    roll_back(&bed, 2, None).await.unwrap();
    roll_back(&bed, 1, None).await.unwrap();
    assert_eq!(kept_out(&bed).await, ["pear 2.0.0 by 4", "slack 1.1.0 by 5"]);
    let stale = bed.store.ask_back(&nobody, None, None).await.unwrap_err();
    assert!(matches!(stale, StoreError::Stale { .. }), "{stale}");

    // The last one first, then the one before it.
    for (expected, left) in [
        ("slack", ["pear 2.0.0 by 4", "slack 1.1.0 by 5 asked back"]),
        ("pear", ["pear 2.0.0 by 4 asked back", "slack 1.1.0 by 5 asked back"]),
    ] {
        let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
        let asked = bed.store.ask_back(&fence, None, None).await.unwrap();
        assert_eq!(asked.iter().map(|q| q.integration.as_str()).collect::<Vec<_>>(), [expected]);
        assert_eq!(kept_out(&bed).await, left);
        assert_eq!(bed.ask("SELECT selection_hash FROM environments").await, [""]);
    }
    let quarantine = bed.store.state(ENV).await.unwrap().state.quarantine;
    assert!(quarantine.is_asked_back("slack", &content(&two).checksum));

    let lift = ["slack".to_owned()];
    let seeding = bed.begin().await.unwrap();
    let (applied, summary) = (applied("a"), serde_json::Value::Null);
    let operations = [update("slack", &one, &two)];
    let quarantine = QuarantineDelta { lift: &lift, ..QuarantineDelta::default() };
    bed.store.apply(&seeding, Write { quarantine, ..write(&operations, &applied, &summary) }).await.unwrap();
    assert_eq!(kept_out(&bed).await, ["pear 2.0.0 by 4 asked back"]);

    roll_back(&bed, 1, None).await.unwrap();
    assert_eq!(kept_out(&bed).await, ["pear 2.0.0 by 4 asked back", "slack 1.1.0 by 7"]);
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    assert_eq!(bed.store.ask_back(&fence, Some("slack"), None).await.unwrap().len(), 1);
    let moved = bed.store.ask_back(&fence, Some("other"), None).await.unwrap_err();
    assert!(matches!(moved, StoreError::Moved { .. }), "{moved}");
    bed.store.delete_environment(&bed.store.claim(ENV, KEEPER, false).await.unwrap()).await.unwrap();
    assert_eq!(bed.count("integration_quarantine").await, 0);
}

async fn a_rollback_that_cannot_be_done_is_logged_and_answered(bed: Bed) {
    let one = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let message = "there is no seeding 9";
    let handled =
        HandledRollback { request: "9".into(), seeding: None, message: message.into(), failed: true };
    let applied = applied("a");
    let refused = Refused {
        fence: &fence,
        holder: "tests",
        reason: "rollback to 9 by AUTHOR",
        message,
        applied: &applied,
        handled: Some(&handled),
    };
    bed.store.refuse_rollback(refused.clone()).await.unwrap();
    let history = bed.store.history(Some(ENV), 9).await.unwrap();
    assert_eq!((history[0].status, history[0].errors[0].message.as_str()), (LogStatus::Failed, message));
    assert_eq!((history.len(), history[0].seq), (2, None));
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!((row.seq, row.rollback.as_ref()), (1, Some(&handled)));
    let error = bed.store.refuse_rollback(refused).await.unwrap_err();
    assert!(matches!(error, StoreError::Moved { .. }), "{error}");

    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    bed.store.note_rollback(&fence, None).await.unwrap();
    assert_eq!(bed.store.environment(ENV).await.unwrap().unwrap().rollback, None);
}

async fn seedings_are_found_by_their_revision(bed: Bed) {
    bed.seed(vec![create("slack", &manifest("slack", "1.0.0", 1))]).await.unwrap();
    bed.seed(vec![create("other", &manifest("other", "1.0.0", 1))]).await.unwrap();
    let at = async |digits| bed.store.seedings_at(ENV, digits).await.unwrap();
    let numbers: Vec<Option<i64>> = at("3f2c1a9d").await.iter().map(|logged| logged.seq).collect();
    assert_eq!(numbers, [Some(2), Some(1)]);
    for digits in ["77d0c3e", "", "%", "main"] {
        assert!(at(digits).await.is_empty(), "{digits}");
    }
    let offered = bed.store.offered(ENV, &["slack"]).await.unwrap();
    assert!(offered.is_empty());
}
