//! What is taken out, comes back and is forgotten. Time is an argument: nobody waits.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sower_core::drift::Ignored;
use sower_core::plan::{Resolution, Verb};
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    what_is_taken_out_is_kept_and_comes_back_as_it_was,
    what_is_taken_out_is_purged_when_its_time_is_over,
    rows_of_others_put_off_a_purge,
    what_comes_back_is_never_purged,
    an_annotation_is_remembered_with_the_row,
    history_keeps_what_is_carried_and_the_last_two_states,
    no_more_contents_are_kept_than_asked_for,
    every_state_that_is_kept_can_be_made_again,
    nobody_looks_in_vain,
    a_look_is_bounded_and_goes_on,
    only_who_holds_the_environment_forgets,
    what_came_to_its_end_is_forgotten_with_history,
);

const DAY: Duration = Duration::from_secs(24 * 3600);

fn later(days: u32) -> Timestamp {
    Timestamp::now() + DAY * days
}

async fn retain(bed: &Bed, retention: &Retention, now: Timestamp) -> Forgotten {
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    bed.store.retain(&fence, retention, now).await.unwrap()
}

/// Everything of an integration that readers see, but for what a seeding says of itself.
async fn rows(bed: &Bed) -> Vec<String> {
    let mut rows = bed
        .ask("SELECT id || name || version || status || manifest || created_at || checksum FROM integration_definitions ORDER BY id")
        .await;
    for table in ["action_registry", "trigger_registry", "connection_registry", "event_registry"] {
        let sql =
            format!("SELECT id || name || definition || created_at || checksum FROM {table} ORDER BY id");
        rows.extend(bed.ask(&sql).await);
    }
    rows
}

async fn what_is_taken_out_is_kept_and_comes_back_as_it_was(bed: Bed) {
    let (slack, other) = (manifest("slack", "1.0.0", 3), manifest("other", "1.0.0", 1));
    bed.seed(vec![create("slack", &slack), create("other", &other)]).await.unwrap();
    let before = rows(&bed).await;
    let applied = bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    assert_eq!((applied.counts.deleted, applied.counts.rows_written), (1, 7));
    assert_eq!(bed.ask("SELECT id FROM action_registry").await, ["other/act-0"]);
    let kept = bed.ask("SELECT status || checksum FROM integration_definitions WHERE id = 'slack'").await;
    assert_eq!(kept, [format!("removed{}", content(&slack).checksum)]);
    // Whoever counts or lists what is carried does not see it.
    assert_eq!(bed.store.integrations(Some(ENV)).await.unwrap().len(), 1);
    assert!(bed.store.integration(ENV, "slack").await.unwrap().is_none());
    assert!(bed.store.manifests(ENV, &["slack"]).await.unwrap().is_empty());
    assert_eq!(bed.store.standing(ENV).await.unwrap().carried, 1);
    assert!(bed.store.state(ENV).await.unwrap().state.rows["slack"].removed);
    let removal = bed.store.removal(ENV, "slack").await.unwrap().unwrap();
    assert_eq!((removal.seeding, removal.foreign), (Some(2), false));
    let drift = bed.store.drift(ENV, &Ignored::default()).await.unwrap();
    assert!(drift.rows.is_empty(), "{:?}", drift.rows);

    let applied = bed.seed(vec![create("slack", &slack)]).await.unwrap();
    assert_eq!((applied.counts.created, applied.counts.restored), (1, 1));
    assert_eq!(rows(&bed).await, before);
    assert_eq!(bed.count("removed_parts").await, 0);
    assert_eq!(bed.store.removal(ENV, "slack").await.unwrap(), None);
    let trail = bed.store.trail(ENV, "slack").await.unwrap();
    let told: Vec<&str> = trail.iter().map(|turn| turn.operation.as_str()).collect();
    assert_eq!(told, ["create", "remove", "restore"]);
    assert_eq!(bed.store.numbered(ENV, 3).await.unwrap().unwrap().count("restored"), 1);
    assert!(bed.store.drift(ENV, &Ignored::default()).await.unwrap().rows.is_empty());

    // It comes back with other content, too: what was there before keeps the time at which it came.
    let more = manifest("slack", "1.1.0", 4);
    let came = bed.ask("SELECT created_at FROM action_registry WHERE id = 'slack/act-0'").await;
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    bed.seed(vec![create("slack", &more)]).await.unwrap();
    assert_eq!(bed.ask("SELECT created_at FROM action_registry WHERE id = 'slack/act-0'").await, came);
    assert_ne!(bed.ask("SELECT created_at FROM action_registry WHERE id = 'slack/act-3'").await, came);
}

async fn what_is_taken_out_is_purged_when_its_time_is_over(bed: Bed) {
    let (slack, other) = (manifest("slack", "1.0.0", 2), manifest("other", "1.0.0", 1));
    bed.seed(vec![create("slack", &slack), create("other", &other)]).await.unwrap();
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    let month = Retention::default();
    assert!(retain(&bed, &month, later(29)).await.is_nothing());
    assert_eq!(bed.count("integration_definitions").await, 2);
    let forgotten = retain(&bed, &month, later(31)).await;
    assert_eq!(forgotten, Forgotten { purged: vec!["slack".into()], ..Forgotten::default() });
    assert_eq!(bed.ask("SELECT id FROM integration_definitions").await, ["other"]);
    assert_eq!(bed.count("removed_parts").await, 0);
    assert_eq!(bed.ask("SELECT purged FROM seeding_retention").await, ["[\"slack\"]"]);
    // Its history is another matter, and kept for ever unless asked.
    assert_eq!(bed.count("seeding_changes").await, 3);
    assert_eq!(bed.store.versions(ENV, "slack").await.unwrap().len(), 1);
    assert!(bed.store.drift(ENV, &Ignored::default()).await.unwrap().rows.is_empty());
    assert!(retain(&bed, &month, later(400)).await.is_nothing());
    let applied = bed.seed(vec![create("slack", &slack)]).await.unwrap();
    assert_eq!((applied.counts.created, applied.counts.restored), (1, 0));
    assert_eq!(bed.store.trail(ENV, "slack").await.unwrap()[2].operation, "create");

    // At once, where nothing is kept.
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    let none = Retention { removed: Duration::ZERO, ..Retention::default() };
    assert_eq!(retain(&bed, &none, Timestamp::now()).await.purged, ["slack"]);
}

async fn rows_of_others_put_off_a_purge(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    bed.run(
        "INSERT INTO action_registry (id, integration_id, identifier, name, definition, environment) \
         VALUES ('mine', 'slack', 'mine', 'by hand', '{}', 'production')",
    )
    .await;
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    assert!(bed.store.removal(ENV, "slack").await.unwrap().unwrap().foreign);
    let month = Retention::default();
    let now = later(31);
    assert!(retain(&bed, &month, now).await.is_nothing());
    assert_eq!(bed.ask("SELECT id FROM action_registry").await, ["mine"]);
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert!(!month.is_due(&row, now) && month.is_due(&row, now + DAY), "{row:?}");
    bed.run("DELETE FROM action_registry").await;
    assert_eq!(retain(&bed, &month, now + DAY).await.purged, ["slack"]);
}

async fn what_comes_back_is_never_purged(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    assert!(retain(&bed, &Retention::default(), later(90)).await.is_nothing());
    assert_eq!(bed.count("action_registry").await, 2);
}

async fn an_annotation_is_remembered_with_the_row(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let disabled = async || bed.store.state(ENV).await.unwrap().state.rows["slack"].prune_disabled;
    let (mut operation, text) = create("slack", &slack);
    operation.prune_disabled = true;
    bed.seed(vec![(operation, text)]).await.unwrap();
    assert!(disabled().await);
    // A document that says otherwise changes that alone: no seeding, no other column.
    let settle = async |prune_disabled: bool, path: &str| {
        let mut document = found("slack", &slack);
        document.place.path = path.to_owned();
        if let Some(summary) = &mut document.summary {
            summary.annotations.prune_disabled = prune_disabled;
        }
        let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
        let manifests = ManifestDelta { upsert: vec![&document], delete: Vec::new() };
        let (applied, summary) = (applied("b"), json!({}));
        let settle = Settle {
            fence: &fence,
            conflicts: &[],
            manifests,
            applied: &applied,
            selection_hash: Some("s"),
            summary: &summary,
            quarantine: QuarantineDelta::default(),
            promotion: PromotionDelta::default(),
        };
        bed.store.settle(settle).await.unwrap();
    };
    let before = rows(&bed).await;
    settle(false, &place("slack").path).await;
    assert!(!disabled().await);
    settle(true, "elsewhere.yaml").await;
    assert!(!disabled().await, "that of another file says nothing");
    settle(true, &place("slack").path).await;
    assert!(disabled().await);
    assert_eq!((rows(&bed).await, bed.count("seeding_logs").await), (before, 1));
}

/// The version of each integration after a seeding, by the log of changes alone; none: its content is forgotten.
async fn state_at(bed: &Bed, ids: &[&str], seq: i64) -> Vec<(String, Option<String>)> {
    let mut state = Vec::new();
    for id in ids {
        let trail = bed.store.trail(ENV, id).await.unwrap();
        let Some(turn) = trail.iter().rev().find(|turn| turn.seq <= seq) else { continue };
        let Some(checksum) = &turn.checksum else { continue };
        let mut contents = bed.store.version_manifests(ENV, id, &[checksum]).await.unwrap();
        let version = contents.remove(checksum).map(|text| content(&text).version);
        state.push(((*id).to_owned(), version));
    }
    state
}

/// Seven seedings: a is raised five times, b comes and goes.
async fn five_versions(bed: &Bed) {
    let a: Vec<_> = (0..5).map(|minor| manifest("a", &format!("1.{minor}.0"), 1)).collect();
    let b = manifest("b", "1.0.0", 1);
    bed.seed(vec![create("a", &a[0]), create("b", &b)]).await.unwrap();
    for step in 1..5 {
        bed.seed(vec![update("a", &a[step - 1], &a[step])]).await.unwrap();
    }
    bed.seed(vec![remove("b", &b)]).await.unwrap();
    bed.seed(vec![operation(Verb::Move, "a", Some(&a[4]), Some(&a[4]))]).await.unwrap();
}

async fn history_keeps_what_is_carried_and_the_last_two_states(bed: Bed) {
    five_versions(&bed).await;
    let left = bed.begin().await.unwrap();
    bed.store.fail(&left, "SeedingFailed", "no").await.unwrap();
    let week = Retention { history: Some(DAY * 7), ..Retention::default() };
    assert!(retain(&bed, &week, later(6)).await.is_nothing());
    let forgotten = retain(&bed, &week, later(8)).await;
    // The state of seeding 6 stays: a 1.4.0 of seeding 5, b gone by seeding 6.
    // The failed one goes; the first one wrote actions that are there.
    assert_eq!((forgotten.changes, forgotten.versions, forgotten.logs), (5, 4, 4), "{forgotten:?}");
    assert_eq!(bed.ask("SELECT seq FROM seeding_changes ORDER BY seq").await, ["5", "6", "7"]);
    assert_eq!(bed.ask("SELECT version FROM integration_versions ORDER BY 1").await, ["1.0.0", "1.4.0"]);
    let seqs = bed.ask("SELECT seq FROM seeding_logs WHERE status = 'completed' ORDER BY seq").await;
    assert_eq!(seqs, ["1", "5", "6", "7"]);
    assert_eq!(bed.store.environment(ENV).await.unwrap().unwrap().forgotten, 6);
    assert!(bed.store.drift(ENV, &Ignored::default()).await.unwrap().rows.is_empty());
    assert_eq!(state_at(&bed, &["a", "b"], 7).await, [("a".to_owned(), Some("1.4.0".to_owned()))]);
    // b is purged a month later, and with it the last that is known of it.
    let forgotten = retain(&bed, &week, later(40)).await;
    assert_eq!((&*forgotten.purged, forgotten.versions), (&["b".to_owned()][..], 1));
    assert!(retain(&bed, &week, later(50)).await.changes <= 1);
    assert!(retain(&bed, &week, later(60)).await.is_nothing());
    assert_eq!(bed.ask("SELECT version FROM integration_versions").await, ["1.4.0"]);
    assert_eq!(bed.ask("SELECT version FROM integration_definitions").await, ["1.4.0"]);
}

async fn no_more_contents_are_kept_than_asked_for(bed: Bed) {
    five_versions(&bed).await;
    let two = Retention { versions: Some(2), ..Retention::default() };
    let forgotten = retain(&bed, &two, later(1)).await;
    assert_eq!((forgotten.versions, forgotten.changes, forgotten.logs), (3, 0, 0), "{forgotten:?}");
    let kept = bed.ask("SELECT integration_id || version FROM integration_versions ORDER BY 1").await;
    assert_eq!(kept, ["a1.3.0", "a1.4.0", "b1.0.0"]);
    // What is carried stays, however old it is.
    let a = [manifest("a", "1.4.0", 1), manifest("a", "1.3.0", 1)];
    bed.seed(vec![update("a", &a[0], &a[1])]).await.unwrap();
    bed.seed(vec![update("a", &a[1], &manifest("a", "1.5.0", 1))]).await.unwrap();
    bed.seed(vec![update("a", &manifest("a", "1.5.0", 1), &a[1])]).await.unwrap();
    let one = Retention { versions: Some(1), ..Retention::default() };
    retain(&bed, &one, later(1)).await;
    let kept =
        bed.ask("SELECT version FROM integration_versions WHERE integration_id = 'a' ORDER BY 1").await;
    assert_eq!(kept, ["1.3.0", "1.5.0"], "what is carried, and what the seeding before carried");
}

async fn every_state_that_is_kept_can_be_made_again(bed: Bed) {
    five_versions(&bed).await;
    let mut before = Vec::new();
    for seq in 1..=7 {
        before.push(state_at(&bed, &["a", "b"], seq).await);
    }
    // Seedings 1 to 3 are old, the others young.
    let old = "2020-01-01T00:00:00.000Z";
    bed.run(&format!("UPDATE seeding_logs SET started_at = '{old}', completed_at = '{old}' WHERE seq <= 3"))
        .await;
    bed.run(&format!(
        "UPDATE integration_versions SET created_at = '{old}' WHERE version IN ('1.0.0', '1.1.0', '1.2.0')"
    ))
    .await;
    let week = Retention { history: Some(DAY * 7), ..Retention::default() };
    let forgotten = retain(&bed, &week, Timestamp::now()).await;
    let oldest = bed.store.environment(ENV).await.unwrap().unwrap().forgotten;
    assert_eq!((oldest, forgotten.changes), (4, 3), "{forgotten:?}");
    for seq in oldest..=7 {
        let at = usize::try_from(seq).unwrap() - 1;
        assert_eq!(state_at(&bed, &["a", "b"], seq).await, before[at], "{seq}");
    }
    // A longer history brings nothing back.
    let longer = Retention { history: Some(DAY * 70_000), ..Retention::default() };
    retain(&bed, &longer, Timestamp::now()).await;
    assert_eq!(bed.store.environment(ENV).await.unwrap().unwrap().forgotten, oldest);
    // Rows name seedings that are told still.
    for table in [
        "integration_definitions",
        "action_registry",
        "trigger_registry",
        "connection_registry",
        "event_registry",
    ] {
        let named = format!(
            "SELECT count(*) FROM {table} r WHERE NOT EXISTS (SELECT 1 FROM seeding_logs l WHERE l.id = r.seeding)"
        );
        assert_eq!(bed.ask(&named).await, ["0"], "{table}");
    }
}

async fn nobody_looks_in_vain(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let row = async || bed.store.environment(ENV).await.unwrap().unwrap();
    let month = Retention::default();
    assert!(!month.is_due(&row().await, later(1000)), "nothing was ever taken out");
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    assert!(month.is_due(&row().await, later(1)));
    retain(&bed, &month, later(1)).await;
    let looked = row().await;
    assert!(!month.is_due(&looked, later(29)) && month.is_due(&looked, later(31)), "{looked:?}");
    // Another retention is looked at, at once and once.
    let short = Retention { removed: DAY * 2, ..Retention::default() };
    assert!(short.is_due(&looked, later(1)));
    retain(&bed, &short, later(1)).await;
    assert!(!short.is_due(&row().await, later(1)));
    // A bounded history is looked at once a day.
    let bounded = Retention { versions: Some(3), ..short };
    retain(&bed, &bounded, later(5)).await;
    let looked = row().await;
    assert!(!bounded.is_due(&looked, later(5)) && bounded.is_due(&looked, later(6) + DAY), "{looked:?}");
    // A look moves nothing that a plan stands on.
    assert_eq!((looked.seq, looked.updated_at), (2, row().await.updated_at));
}

async fn a_look_is_bounded_and_goes_on(bed: Bed) {
    let ids: Vec<String> = (0..1_500).map(|n| format!("int-{n}")).collect();
    let manifests: Vec<_> = ids.iter().map(|id| manifest(id, "1.0.0", 0)).collect();
    bed.seed(ids.iter().zip(&manifests).map(|(id, text)| create(id, text)).collect()).await.unwrap();
    bed.seed(ids.iter().zip(&manifests).map(|(id, text)| remove(id, text)).collect()).await.unwrap();
    let month = Retention::default();
    let first = retain(&bed, &month, later(31)).await;
    assert!(first.more && first.purged.len() == 1000, "{}", first.purged.len());
    assert!(month.is_due(&bed.store.environment(ENV).await.unwrap().unwrap(), later(31)));
    let second = retain(&bed, &month, later(31)).await;
    assert!(!second.more && second.purged.len() == 500);
    assert_eq!(first.and(second).purged.len(), 1500);
    assert_eq!((bed.count("integration_definitions").await, bed.count("removed_parts").await), (0, 0));
}

async fn only_who_holds_the_environment_forgets(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    bed.seed(vec![remove("slack", &slack)]).await.unwrap();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let month = Retention::default();
    for wrong in [
        Fence { base: 1, ..fence.clone() },
        Fence { epoch: 7, ..fence.clone() },
        Fence { keeper: "cluster/n/production".into(), ..fence.clone() },
    ] {
        assert!(bed.store.retain(&wrong, &month, later(31)).await.is_err());
    }
    assert_eq!(bed.count("integration_definitions").await, 1);
    // Conflicts that are open are never forgotten, those that are resolved are, where history is bounded.
    let week = Retention { history: Some(DAY * 7), ..Retention::default() };
    let seeding = bed.begin().await.unwrap();
    let conflicts = [conflict("slack", "one", Resolution::Skip), conflict("slack", "two", Resolution::Skip)];
    let (operations, applied) = ([create("slack", &slack)], applied("a"));
    let write = Write { conflicts: &conflicts, ..write(&operations, &applied, &serde_json::Value::Null) };
    bed.store.apply(&seeding, write).await.unwrap();
    bed.run("UPDATE seeding_conflicts SET resolved_at = created_at WHERE fingerprint = 'one'").await;
    assert_eq!(retain(&bed, &week, later(31)).await.conflicts, 1);
    assert_eq!(bed.ask("SELECT fingerprint FROM seeding_conflicts").await, ["two"]);
}

async fn what_came_to_its_end_is_forgotten_with_history(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let long_ago = "'2020-01-01T00:00:00.000Z'";
    for (checksum, lifted) in [("lifted", long_ago), ("open", "NULL")] {
        bed.run(&format!(
            "INSERT INTO integration_quarantine (environment, integration_id, checksum, reason, seeding, since, lifted_at) \
             VALUES ('{ENV}', 'slack', '{checksum}', 'r', 's', {long_ago}, {lifted})"
        ))
        .await;
    }
    for (hash, status, approved) in [("a", "applied", long_ago), ("b", "pending", "NULL")] {
        bed.run(&format!(
            "INSERT INTO seeding_plans (environment, hash, base_seq, spec_digest, guard, revision, status, document, \
             digest, created, updated, deleted, created_at, approved_at) \
             VALUES ('{ENV}', '{hash}', 1, '', '', '{{}}', '{status}', '{{}}', '', 0, 0, 0, {long_ago}, {approved})"
        ))
        .await;
    }
    for checksum in [content(&slack).checksum.as_str(), "orphan"] {
        bed.run(&format!(
            "INSERT INTO integration_merges (environment, integration_id, checksum, base, manifest, created_at, seeding) \
             VALUES ('{ENV}', 'slack', '{checksum}', 'b', '{{}}', {long_ago}, '')"
        ))
        .await;
    }
    retain(&bed, &Retention::default(), Timestamp::now()).await;
    assert_eq!(
        bed.count("integration_quarantine").await,
        2,
        "history is kept for ever where nothing else is asked"
    );
    let bounded = Retention { history: Some(DAY), ..Retention::default() };
    retain(&bed, &bounded, Timestamp::now()).await;
    assert_eq!(bed.ask("SELECT checksum FROM integration_quarantine").await, ["open"]);
    assert_eq!(bed.ask("SELECT hash FROM seeding_plans").await, ["b"]);
    assert_eq!(bed.ask("SELECT checksum FROM integration_merges").await, [content(&slack).checksum]);
}
