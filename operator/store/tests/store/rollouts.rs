//! Rollouts: rows beside the stable ones, until all have them or nobody has; one transaction each.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use sower_core::plan::{Content, Operation};
use sower_core::rollback::KeptOut;
use sower_core::rollout::machine::{end, obey};
use sower_core::rollout::{Command, Event, Progress, Rollout, State, Variant};
use sower_crds::rollout::{Step, Strategy, StrategyType};
use sower_store::*;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    what_begins_lives_beside_what_all_have,
    an_end_to_all_makes_it_everybodys,
    an_end_back_takes_it_away_and_keeps_it_out,
    what_is_superseded_makes_way_in_one_transaction,
    what_git_withdraws_changes_nothing_of_what_all_have,
    only_one_rollout_of_an_integration_is_under_way,
    of_two_who_move_it_one_is_refused,
    who_lost_the_environment_moves_and_ends_nothing,
    what_fails_at_its_end_leaves_all_as_it_was,
    older_versions_live_beside_it_in_a_comparison,
    what_nobody_holds_cannot_be_compared,
    an_integration_without_any_part_is_rolled_out,
    a_part_that_only_one_version_has_is_told_apart,
    what_rollouts_need_is_not_forgotten,
    a_deleted_environment_takes_them_along,
    a_removal_takes_them_along,
    commands_are_noted_once,
    they_are_told_by_what_is_asked,
    a_rollout_is_no_drift,
    what_everybody_had_was_not_only_tried,
);

pub type Text = Arc<str>;

fn version(content: &Content) -> Variant {
    Variant { version: content.version.clone(), checksum: content.checksum.clone(), ..Variant::default() }
}

/// A rollout that begins, of one step of 10 percent.
pub fn rollout(id: &str, from: &Text, to: &Text) -> Rollout {
    let now = Timestamp::now();
    let (from, to) = (content(from), content(to));
    let (rollout, salt) = new_rollout();
    let begun =
        Event { at: now, state: State::Pending, step: 0, weight: 0, reason: "it begins".into(), by: None };
    Rollout {
        id: rollout,
        environment: ENV.into(),
        integration: id.into(),
        variants: vec![version(&to)],
        from,
        to,
        salt,
        step: 0,
        weight: 0,
        state: State::Pending,
        events: vec![begun],
        strategy: Strategy {
            kind: StrategyType::Staged,
            steps: vec![Step { weight: 10.0, ..Step::default() }],
            ..Strategy::default()
        },
        verdict: None,
        progress: Progress::default(),
        source: "catalog".into(),
        path: place(id).path,
        revision: applied("")["catalog"].revision.full(),
        seeding: String::new(),
        started_at: now,
        step_started_at: now,
        due_at: Some(now),
        ended_at: None,
    }
}

pub fn staged(id: &str, from: &Text, to: &Text) -> (Operation, Option<Text>) {
    let (operation, text) = update(id, from, to);
    (Operation { staged: true, ..operation }, text)
}

/// A seeding with rollouts that begin and end.
pub async fn seed(
    bed: &Bed,
    operations: Vec<(Operation, Option<Text>)>,
    begin: &[Rollout],
    ended: &[Rollout],
    keep_out: &[KeptOut],
) -> Result<Applied, StoreError> {
    let seeding = bed.begin().await?;
    let (applied, summary) = (applied("a"), serde_json::Value::Null);
    let write = Write {
        rollouts: RolloutDelta { begin, end: ended, handled: None },
        quarantine: QuarantineDelta { keep_out, reason: "it is bad", lift: &[] },
        ..write(&operations, &applied, &summary)
    };
    bed.store.apply(&seeding, write).await
}

/// slack 1.0.0 is carried, and 1.1.0 is rolled out.
pub async fn begun(bed: &Bed) -> (Text, Text, Rollout) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let begins = rollout("slack", &one, &two);
    let begin = [begins.clone()];
    seed(bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    (one, two, under_way(bed).await.remove(0))
}

pub async fn under_way(bed: &Bed) -> Vec<Rollout> {
    bed.store.rollouts(Some(ENV), Which::Active).await.unwrap()
}

fn ends(before: &Rollout, state: State) -> Rollout {
    end(before, state, Timestamp::now(), "so it is".into(), Some("AUTHOR".into()))
}

/// What completes a rollout.
async fn complete(bed: &Bed, one: &Text, two: &Text, rollout: &Rollout) -> Result<Applied, StoreError> {
    let ended = [Rollout { weight: 10_000, ..ends(rollout, State::Completed) }];
    // What it brought is known; nobody hands it over.
    let (operation, _) = update(&rollout.integration, one, two);
    seed(bed, vec![(operation, None)], &[], &ended, &[]).await
}

const LIVE: &str = "SELECT version || stable || id FROM action_registry_live ORDER BY version, id";

/// The live versions of every part, as `1.0.0 stable slack/act-0`.
pub async fn live(bed: &Bed) -> Vec<String> {
    let mut all = Vec::new();
    for kind in ["action", "trigger", "connection", "event"] {
        let sql = format!(
            "SELECT version || CASE WHEN stable THEN ' stable ' ELSE ' beside ' END || id FROM {kind}_registry_live \
             ORDER BY version, id"
        );
        all.extend(bed.ask(&sql).await);
    }
    all
}

/// Everything of an environment that readers see who know nothing of rollouts.
pub async fn registries(bed: &Bed) -> Vec<String> {
    let definitions = "SELECT id || version || manifest || checksum || seeding || updated_at FROM integration_definitions ORDER BY id";
    let mut rows = bed.ask(definitions).await;
    for kind in ["action", "trigger", "connection", "event"] {
        let sql = format!(
            "SELECT id || name || definition || checksum || seeding || revision || created_at || updated_at \
             FROM {kind}_registry ORDER BY id"
        );
        rows.extend(bed.ask(&sql).await);
    }
    rows
}

async fn what_begins_lives_beside_what_all_have(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let before = registries(&bed).await;
    let begin = [rollout("slack", &one, &two)];
    let applied = seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    let Counts { created, updated, staged, deleted, actions_created, rows_written, .. } = applied.counts;
    assert_eq!((created, updated, staged, deleted, actions_created), (0, 0, 1, 0, 0));
    assert_eq!(rows_written, 5, "two actions and one each of the others");
    assert_eq!(registries(&bed).await, before, "who knows nothing of it has what was there");
    assert_eq!(
        live(&bed).await,
        [
            "1.0.0 stable slack/act-0",
            "1.1.0 beside slack/act-0",
            "1.1.0 beside slack/act-1",
            "1.0.0 stable slack/done",
            "1.1.0 beside slack/done",
            "1.0.0 stable slack/key",
            "1.1.0 beside slack/key",
            "1.0.0 stable slack/task.completed",
            "1.1.0 beside slack/task.completed",
        ]
    );
    // Its content is known from now on; what all have did not change.
    assert_eq!(
        bed.ask("SELECT version FROM integration_versions ORDER BY version").await,
        ["1.0.0", "1.1.0"]
    );
    assert_eq!(bed.ask("SELECT operation || seq FROM seeding_changes ORDER BY seq").await, ["create1"]);
    let logged = bed.store.numbered(ENV, 2).await.unwrap().unwrap();
    assert_eq!((logged.count("staged"), logged.count("updated")), (1, 0));

    let found = under_way(&bed).await;
    let [found] = found.as_slice() else { panic!("{found:?}") };
    let truncated = |at: Timestamp| at.as_millisecond();
    assert_eq!(found.seeding, applied.id);
    assert_eq!((&found.id, &found.salt), (&begin[0].id, &begin[0].salt));
    assert_eq!((&found.from, &found.to), (&content(&one), &content(&two)));
    assert_eq!((&found.variants, &found.strategy), (&begin[0].variants, &begin[0].strategy));
    assert_eq!(truncated(found.started_at), truncated(begin[0].started_at));
    assert_eq!((found.state, found.ended_at), (State::Pending, None));
    let state = bed.store.state(ENV).await.unwrap().state;
    assert_eq!(state.rollouts["slack"].to, content(&two));
    assert_eq!(state.rows["slack"].content, content(&one));
    let narrow = bed.store.about(ENV, &["slack"]).await.unwrap().1.state.rollouts;
    assert_eq!(narrow, state.rollouts);
    let beside = bed.store.about(ENV, &["other"]).await.unwrap().1.state.rollouts;
    assert!(beside.is_empty(), "{beside:?}");
    // Of another environment nothing is said.
    assert!(bed.store.rollouts(Some("staging"), Which::Active).await.unwrap().is_empty());
    assert!(bed.store.state("staging").await.unwrap().state.rollouts.is_empty());
}

async fn an_end_to_all_makes_it_everybodys(bed: Bed) {
    let (one, two, begun) = begun(&bed).await;
    let applied = complete(&bed, &one, &two, &begun).await.unwrap();
    assert_eq!((applied.seq, applied.counts.updated, applied.counts.actions_created), (3, 1, 1));
    assert_eq!(
        bed.ask("SELECT version || checksum || seeding FROM integration_definitions").await,
        [format!("1.1.0{}{}", content(&two).checksum, applied.id)]
    );
    assert_eq!(
        bed.ask("SELECT id || seeding FROM action_registry ORDER BY id").await,
        [
            format!("slack/act-0{}", bed.ask("SELECT id FROM seeding_logs WHERE seq = 1").await[0]),
            format!("slack/act-1{}", applied.id)
        ],
        "a row that is the same in both is not written"
    );
    assert_eq!(bed.count("registry_candidates").await, 0);
    assert_eq!(bed.ask(LIVE).await.len(), 2);
    let change = "SELECT operation || from_version || to_version || source || revision FROM seeding_changes WHERE seq = 3";
    let revision = self::applied("")["catalog"].revision.full();
    assert_eq!(bed.ask(change).await, [format!("update1.0.01.1.0catalog{revision}")]);
    assert!(under_way(&bed).await.is_empty());
    let all = bed.store.rollouts(Some(ENV), Which::Of("slack")).await.unwrap();
    assert_eq!((all.len(), all[0].state, all[0].weight), (1, State::Completed, 10_000));
    assert!(all[0].ended_at.is_some());
    assert_eq!(bed.store.live(ENV, "slack").await.unwrap().unwrap().stable_version(), "1.1.0");
    // What came before it is a state like any other.
    let held = bed.store.held_at(ENV, 2, None).await.unwrap();
    assert_eq!(held["slack"].as_ref().map(|then| then.content.version.as_str()), Some("1.0.0"));
}

async fn an_end_back_takes_it_away_and_keeps_it_out(bed: Bed) {
    let (_, two, begun) = begun(&bed).await;
    let before = registries(&bed).await;
    let ended = [ends(&begun, State::RolledBack)];
    let out = [KeptOut {
        integration: "slack".into(),
        checksum: begun.to.checksum.clone(),
        version: Some("1.1.0".into()),
    }];
    let applied = seed(&bed, Vec::new(), &[], &ended, &out).await.unwrap();
    assert_eq!(registries(&bed).await, before, "nothing of what all have is touched");
    assert_eq!((bed.count("registry_candidates").await, applied.counts.rows_written), (0, 0));
    let kept = bed.store.quarantined(Some(ENV)).await.unwrap();
    assert_eq!(
        (kept.len(), kept[0].version.as_deref(), &*kept[0].reason, kept[0].seeding),
        (1, Some("1.1.0"), "it is bad", Some(3))
    );
    assert!(bed.store.state(ENV).await.unwrap().state.quarantine.holds("slack", &content(&two).checksum));
    let last = bed.store.rollouts(Some(ENV), Which::Standing).await.unwrap();
    assert_eq!((last[0].state, last[0].weight), (State::RolledBack, 0));
    let live = bed.store.live(ENV, "slack").await.unwrap().unwrap();
    assert_eq!(live.resolve("anybody", &BTreeMap::new()).version, "1.0.0");
    // What is asked back can be rolled out once more, with rows of its own.
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let retry =
        HandledCommand { request: "slack=retry".into(), message: "tried again".into(), failed: false };
    let asked = async |id, checksum| {
        bed.store.ask_back_content(&fence, id, checksum, Some(Answered::Command(&retry))).await
    };
    assert!(asked("slack", "v1:other").await.unwrap().is_empty(), "another content of it is not meant");
    assert_eq!(bed.store.rollout_command(ENV).await.unwrap(), None, "nothing came of it");
    assert_eq!(asked("slack", &begun.to.checksum).await.unwrap().len(), 1);
    assert_eq!(bed.store.rollout_command(ENV).await.unwrap(), Some(retry.clone()), "in one transaction");
    let one = manifest("slack", "1.0.0", 1);
    let again = [rollout("slack", &one, &two)];
    seed(&bed, vec![staged("slack", &one, &two)], &again, &[], &[]).await.unwrap();
    assert_eq!(bed.count("registry_candidates").await, 5);
    let all = bed.store.rollouts(Some(ENV), Which::Of("slack")).await.unwrap();
    let states: Vec<State> = all.iter().map(|rollout| rollout.state).collect();
    assert_eq!(states, [State::Pending, State::RolledBack], "the latest comes first");
    assert_ne!(all[0].salt, all[1].salt);
}

async fn what_is_superseded_makes_way_in_one_transaction(bed: Bed) {
    let (one, _, begun) = begun(&bed).await;
    let three = manifest("slack", "1.2.0", 3);
    let ended = [ends(&begun, State::Superseded)];
    let begin = [rollout("slack", &one, &three)];
    seed(&bed, vec![staged("slack", &one, &three)], &begin, &ended, &[]).await.unwrap();
    let versions = "SELECT version FROM registry_candidates WHERE kind = 'action' ORDER BY id";
    assert_eq!(bed.ask(versions).await, ["1.2.0", "1.2.0", "1.2.0"]);
    let active = under_way(&bed).await;
    assert_eq!(
        (active.len(), active[0].to.version.as_str(), active[0].from.version.as_str()),
        (1, "1.2.0", "1.0.0")
    );
    let latest = bed.store.rollouts(Some(ENV), Which::Latest).await.unwrap();
    assert_eq!((latest.len(), &latest[0].id), (1, &active[0].id));
}

/// What all have was there without interruption, so nothing soaks anew.
async fn what_git_withdraws_changes_nothing_of_what_all_have(bed: Bed) {
    let (one, two, rollout) = begun(&bed).await;
    let since = async || bed.store.shown(ENV, &["slack"]).await.unwrap().remove("slack").unwrap().1;
    bed.run("UPDATE seeding_logs SET completed_at = '2026-11-21T14:01:00.000Z' WHERE seq = 1").await;
    let before = since().await;
    assert_eq!(before.to_string(), "2026-11-21T14:01:00Z");
    // To git it is the new version that changes.
    let ended = [ends(&rollout, State::Superseded)];
    let applied = seed(&bed, vec![update("slack", &two, &one)], &[], &ended, &[]).await.unwrap();
    assert_eq!((applied.counts.updated, applied.counts.given_up), (0, 1));
    assert!(bed.ask("SELECT operation FROM seeding_changes WHERE seq = 3").await.is_empty());
    assert_eq!(since().await, before);
    // Whoever goes back to the middle of it finds what all had then.
    let held = bed.store.held_at(ENV, 2, None).await.unwrap().remove("slack").flatten().unwrap();
    assert_eq!(held.content, content(&one));
}

async fn only_one_rollout_of_an_integration_is_under_way(bed: Bed) {
    let (one, _, _) = begun(&bed).await;
    let three = manifest("slack", "1.2.0", 3);
    let begin = [rollout("slack", &one, &three)];
    let before = (live(&bed).await, under_way(&bed).await);
    let twice = seed(&bed, vec![staged("slack", &one, &three)], &begin, &[], &[]).await;
    assert!(twice.is_err(), "the table refuses a second one");
    assert_eq!((live(&bed).await, under_way(&bed).await), before, "nothing of it is there");
    assert_eq!(bed.ask("SELECT version FROM integration_versions ORDER BY version").await.len(), 2);
}

async fn of_two_who_move_it_one_is_refused(bed: Bed) {
    let (_, _, before) = begun(&bed).await;
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let commanded = |command| obey(&before, command, "AUTHOR", Timestamp::now(), None).unwrap();
    let (paused, advanced) = (commanded(Command::Pause), commanded(Command::Advance));
    bed.store.move_rollout(&fence, &before, &paused, None).await.unwrap();
    let late = bed.store.move_rollout(&fence, &before, &advanced, None).await.unwrap_err();
    assert!(matches!(late, StoreError::Moved { .. }), "{late}");
    assert_eq!(late.kind(), ErrorKind::Transient);
    let now = under_way(&bed).await.remove(0);
    assert_eq!((now.state, now.weight, now.events.len()), (State::Paused, 0, 2));
    // Who read it since moves it on.
    let resumed = obey(&now, Command::Resume, "AUTHOR", Timestamp::now(), None).unwrap();
    bed.store.move_rollout(&fence, &now, &resumed, None).await.unwrap();
    // What ended moves no more, and ends no second time.
    let now = under_way(&bed).await.remove(0);
    seed(&bed, Vec::new(), &[], &[ends(&now, State::Aborted)], &[]).await.unwrap();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let late = bed.store.move_rollout(&fence, &now, &resumed, None).await.unwrap_err();
    assert!(matches!(late, StoreError::Moved { .. }), "{late}");
    let late = seed(&bed, Vec::new(), &[], &[ends(&now, State::RolledBack)], &[]).await.unwrap_err();
    assert!(matches!(late, StoreError::Moved { .. }), "{late}");
    let ended = bed.store.rollouts(Some(ENV), Which::Of("slack")).await.unwrap().remove(0);
    assert_eq!(ended.state, State::Aborted);
}

async fn who_lost_the_environment_moves_and_ends_nothing(bed: Bed) {
    let (one, two, before) = begun(&bed).await;
    let moved = obey(&before, Command::Advance, "AUTHOR", Timestamp::now(), None).unwrap();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    // Another seeding came first.
    let stale = Fence { base: fence.base - 1, ..fence.clone() };
    let error = bed.store.move_rollout(&stale, &before, &moved, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Stale { .. }), "{error}");
    let error = bed.begin_with(&stale).await.unwrap_err();
    assert!(matches!(error, StoreError::Stale { .. }), "{error}");
    // Another keeper.
    let other = Fence { keeper: "prod-eu/sower/production".into(), ..fence.clone() };
    let error = bed.store.move_rollout(&other, &before, &moved, None).await.unwrap_err();
    assert!(matches!(error, StoreError::KeptElsewhere { .. }), "{error}");
    // Another leader, which came in the middle of an end.
    let seeding = bed.begin_with(&fence).await.unwrap();
    bed.raise_epoch("pod-b").await;
    let error = bed.store.move_rollout(&fence, &before, &moved, None).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    let handled = HandledCommand { request: "slack=abort".into(), message: "done".into(), failed: false };
    let error = bed.store.note_rollout_command(&fence, Some(&handled)).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");
    let (applied, summary) = (applied("a"), serde_json::Value::Null);
    let ended = [Rollout { weight: 10_000, ..ends(&before, State::Completed) }];
    let operations = [update("slack", &one, &two)];
    let delta = RolloutDelta { begin: &[], end: &ended, handled: Some(&handled) };
    let write = Write { rollouts: delta, ..write(&operations, &applied, &summary) };
    let error = bed.store.apply(&seeding, write).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { .. }), "{error}");

    assert_eq!(under_way(&bed).await, [before]);
    assert_eq!(bed.store.rollout_command(ENV).await.unwrap(), None);
    assert_eq!(bed.ask("SELECT version FROM integration_definitions").await, ["1.0.0"]);
    assert_eq!(bed.count("registry_candidates").await, 5);
}

async fn what_fails_at_its_end_leaves_all_as_it_was(bed: Bed) {
    let (one, two, before) = begun(&bed).await;
    // Somebody else holds an id that only the new version has.
    bed.run(&format!(
        "INSERT INTO action_registry (environment, integration_id, id, identifier, name, definition, created_at) VALUES \
         ('{ENV}', 'slack', 'slack/act-1', 'act-1', 'Mine', '{{}}', '2026-01-01T00:00:00Z')"
    ))
    .await;
    let rows = (live(&bed).await, registries(&bed).await);
    let error = complete(&bed, &one, &two, &before).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::ForeignRow { integrations } if integrations == &["slack"]),
        "{error}"
    );
    assert_eq!((live(&bed).await, registries(&bed).await), rows);
    assert_eq!(under_way(&bed).await, std::slice::from_ref(&before));
    // It still goes back.
    seed(&bed, Vec::new(), &[], &[ends(&before, State::Aborted)], &[]).await.unwrap();
    assert_eq!(bed.count("registry_candidates").await, 0);
}

async fn older_versions_live_beside_it_in_a_comparison(bed: Bed) {
    let old = manifest("slack", "0.9.0", 3);
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &old)]).await.unwrap();
    bed.seed(vec![update("slack", &old, &one)]).await.unwrap();
    let variants = vec![
        Variant { weight: 2_000, ..version(&content(&old)) },
        // Whom a key names has what all have: no rows of its own.
        Variant { keys: vec!["acme".into()], ..version(&content(&one)) },
        Variant { weight: 3_000, ..version(&content(&two)) },
        Variant { keys: vec!["globex".into()], ..version(&content(&two)) },
    ];
    let begin = [Rollout { variants, weight: 5_000, ..rollout("slack", &one, &two) }];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    assert_eq!(
        bed.ask(LIVE.replace("stable", "CASE WHEN stable THEN '+' ELSE '-' END").as_str()).await,
        [
            "0.9.0-slack/act-0",
            "0.9.0-slack/act-1",
            "0.9.0-slack/act-2",
            "1.0.0+slack/act-0",
            "1.1.0-slack/act-0",
            "1.1.0-slack/act-1",
        ]
    );
    let live = bed.store.live(ENV, "slack").await.unwrap().unwrap();
    assert_eq!(live.resolve("acme", &BTreeMap::new()).version, "1.0.0");
    assert_eq!(live.resolve("globex", &BTreeMap::new()).version, "1.1.0");
    let rollout = under_way(&bed).await.remove(0);
    seed(&bed, Vec::new(), &[], &[ends(&rollout, State::Aborted)], &[]).await.unwrap();
    assert_eq!(bed.count("registry_candidates").await, 0);
}

async fn what_nobody_holds_cannot_be_compared(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let lost = content(&manifest("slack", "0.9.0", 3));
    let begin =
        [Rollout { variants: vec![version(&lost), version(&content(&two))], ..rollout("slack", &one, &two) }];
    let error = seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap_err();
    assert!(error.to_string().contains("the manifest of slack 0.9.0"), "{error}");
    assert_eq!((bed.count("registry_candidates").await, bed.count("integration_rollouts").await), (0, 0));
    assert_eq!(bed.count("integration_versions").await, 1);
}

fn bare(version: &str) -> Text {
    canonical(&json!({ "id": "slack", "name": "The slack", "version": version, "author": "AUTHOR" }))
}

async fn an_integration_without_any_part_is_rolled_out(bed: Bed) {
    let (one, two) = (bare("1.0.0"), bare("1.1.0"));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let begin = [rollout("slack", &one, &two)];
    let applied = seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    assert_eq!((applied.counts.staged, applied.counts.rows_written), (1, 0));
    assert_eq!((bed.count("registry_candidates").await, under_way(&bed).await.len()), (0, 1));
    // What has no rows beside it is not forgotten either.
    let retention = Retention { versions: Some(1), history: Some(Duration::ZERO), ..Retention::default() };
    forget(&bed, &retention).await;
    let rollout = under_way(&bed).await.remove(0);
    complete(&bed, &one, &two, &rollout).await.unwrap();
    assert_eq!(bed.ask("SELECT version FROM integration_definitions").await, ["1.1.0"]);
}

async fn a_part_that_only_one_version_has_is_told_apart(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 2), bare("2.0.0"));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let begin = [rollout("slack", &one, &two)];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    assert!(live(&bed).await.iter().all(|row| row.starts_with("1.0.0 stable")));
    let rollout = under_way(&bed).await.remove(0);
    complete(&bed, &one, &two, &rollout).await.unwrap();
    assert!(live(&bed).await.is_empty(), "what the new version has no longer is gone");
}

async fn forget(bed: &Bed, retention: &Retention) {
    for _ in 0..9 {
        let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
        let later = Timestamp::now() + Duration::from_secs(400 * 24 * 3600);
        if !bed.store.retain(&fence, retention, later).await.unwrap().more {
            return;
        }
    }
    panic!("there is always more to be forgotten");
}

async fn what_rollouts_need_is_not_forgotten(bed: Bed) {
    let old = manifest("slack", "0.9.0", 3);
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    let lost = manifest("slack", "0.8.0", 3);
    bed.seed(vec![create("slack", &lost)]).await.unwrap();
    bed.seed(vec![update("slack", &lost, &old)]).await.unwrap();
    bed.seed(vec![update("slack", &old, &one)]).await.unwrap();
    let variants = vec![version(&content(&old)), version(&content(&two))];
    let begin = [Rollout { variants, ..rollout("slack", &one, &two) }];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    // So much later that the states before are of no use any more.
    for n in 0..3 {
        bed.seed(vec![create(&format!("other-{n}"), &manifest(&format!("other-{n}"), "1.0.0", 1))])
            .await
            .unwrap();
    }
    let retention = Retention { versions: Some(1), history: Some(Duration::ZERO), ..Retention::default() };
    forget(&bed, &retention).await;
    let known = "SELECT version FROM integration_versions WHERE integration_id = 'slack' ORDER BY version";
    assert_eq!(bed.ask(known).await, ["0.9.0", "1.0.0", "1.1.0"]);
    let rollout = under_way(&bed).await.remove(0);
    assert_eq!(bed.count("registry_candidates").await, 11);

    complete(&bed, &one, &two, &rollout).await.unwrap();
    for n in 3..6 {
        bed.seed(vec![create(&format!("other-{n}"), &manifest(&format!("other-{n}"), "1.0.0", 1))])
            .await
            .unwrap();
    }
    forget(&bed, &retention).await;
    assert_eq!(bed.ask(known).await, ["1.1.0"]);
    assert_eq!(bed.count("integration_rollouts").await, 0, "what ended is forgotten with history");
    // Nothing is forgotten of one that is under way.
    let three = manifest("slack", "1.2.0", 1);
    let begin = [self::rollout("slack", &two, &three)];
    seed(&bed, vec![staged("slack", &two, &three)], &begin, &[], &[]).await.unwrap();
    forget(&bed, &retention).await;
    assert_eq!(under_way(&bed).await.len(), 1);
}

async fn a_deleted_environment_takes_them_along(bed: Bed) {
    let (_, _, rollout) = begun(&bed).await;
    seed(&bed, Vec::new(), &[], &[ends(&rollout, State::Aborted)], &[]).await.unwrap();
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    let begin = [self::rollout("slack", &one, &two)];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    // What another environment holds stays.
    bed.run(
        "INSERT INTO registry_candidates SELECT 'staging', kind, id, version, integration_id, identifier, name, category, \
         definition, created_at, updated_at, source, revision, path, checksum, row_hash, seeding FROM registry_candidates",
    )
    .await;
    bed.store.delete_environment(&bed.store.claim(ENV, KEEPER, false).await.unwrap()).await.unwrap();
    assert_eq!(bed.count("integration_rollouts").await, 0);
    assert_eq!(bed.ask("SELECT DISTINCT environment FROM registry_candidates").await, ["staging"]);
}

async fn a_removal_takes_them_along(bed: Bed) {
    let (one, _, rollout) = begun(&bed).await;
    let ended = [ends(&rollout, State::Superseded)];
    seed(&bed, vec![remove("slack", &one)], &[], &ended, &[]).await.unwrap();
    assert_eq!((bed.count("registry_candidates").await, under_way(&bed).await.len()), (0, 0));
    assert!(live(&bed).await.is_empty());
    assert!(bed.store.live(ENV, "slack").await.unwrap().is_none());
    // It comes back as it was.
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    assert_eq!(bed.ask(LIVE).await.len(), 1);
}

async fn commands_are_noted_once(bed: Bed) {
    let (_, _, before) = begun(&bed).await;
    assert_eq!(bed.store.rollout_command(ENV).await.unwrap(), None);
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let told = |request: &str| HandledCommand {
        request: request.into(),
        message: "as you say".into(),
        failed: false,
    };
    let paused = obey(&before, Command::Pause, "AUTHOR", Timestamp::now(), None).unwrap();
    bed.store.move_rollout(&fence, &before, &paused, Some(&told("slack=pause"))).await.unwrap();
    assert_eq!(bed.store.rollout_command(ENV).await.unwrap(), Some(told("slack=pause")));
    // A move of its own says nothing of commands.
    let resumed = obey(&paused, Command::Resume, "AUTHOR", Timestamp::now(), None).unwrap();
    bed.store.move_rollout(&fence, &paused, &resumed, None).await.unwrap();
    assert_eq!(bed.store.rollout_command(ENV).await.unwrap(), Some(told("slack=pause")));
    // What was refused was not obeyed, and is not noted.
    let refused = bed.store.move_rollout(&fence, &paused, &resumed, Some(&told("slack=resume"))).await;
    assert!(refused.is_err());
    assert_eq!(bed.store.rollout_command(ENV).await.unwrap(), Some(told("slack=pause")));
    bed.store.note_rollout_command(&fence, None).await.unwrap();
    assert_eq!(bed.store.rollout_command(ENV).await.unwrap(), None);
    assert_eq!(bed.store.rollout_command("staging").await.unwrap(), None);
}

async fn they_are_told_by_what_is_asked(bed: Bed) {
    let (one, two, first) = begun(&bed).await;
    seed(&bed, Vec::new(), &[], &[ends(&first, State::Superseded)], &[]).await.unwrap();
    let three = manifest("slack", "1.2.0", 1);
    let begin = [rollout("slack", &one, &three)];
    seed(&bed, vec![staged("slack", &one, &three)], &begin, &[], &[]).await.unwrap();
    let (pear, plum) = (manifest("pear", "1.0.0", 1), manifest("pear", "2.0.0", 1));
    bed.seed(vec![create("pear", &pear)]).await.unwrap();
    let begin = [rollout("pear", &pear, &plum)];
    seed(&bed, vec![staged("pear", &pear, &plum)], &begin, &[], &[]).await.unwrap();
    let active = under_way(&bed).await;
    let pears = active.iter().find(|one| one.integration == "pear").unwrap();
    complete(&bed, &pear, &plum, pears).await.unwrap();
    let told = async |which| {
        let all = bed.store.rollouts(None, which).await.unwrap();
        all.iter()
            .map(|one| format!("{} {} {}", one.integration, one.to.version, one.state.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(told(Which::Active).await, ["slack 1.2.0 Pending"]);
    assert_eq!(told(Which::Latest).await, ["pear 2.0.0 Completed", "slack 1.2.0 Pending"]);
    assert_eq!(told(Which::Standing).await, ["slack 1.2.0 Pending"]);
    assert_eq!(told(Which::Of("slack")).await, ["slack 1.2.0 Pending", "slack 1.1.0 Superseded"]);
    assert!(told(Which::Of("nothing")).await.is_empty());
    // What went back stands until something newer is rolled out.
    let active = under_way(&bed).await;
    seed(&bed, Vec::new(), &[], &[ends(&active[0], State::RolledBack)], &[]).await.unwrap();
    assert_eq!(told(Which::Standing).await, ["slack 1.2.0 RolledBack"]);
    assert!(told(Which::Active).await.is_empty());
    // Nor does it where all have another version than the one that it left in place, or none.
    bed.seed(vec![update("slack", &one, &two)]).await.unwrap();
    assert!(told(Which::Standing).await.is_empty());
    bed.seed(vec![update("slack", &two, &one)]).await.unwrap();
    assert_eq!(told(Which::Standing).await, ["slack 1.2.0 RolledBack"]);
    // Of several that ended badly the last one stands, and none once a later one ended well.
    let begin = [rollout("slack", &one, &two)];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    assert_eq!(told(Which::Standing).await, ["slack 1.1.0 Pending"]);
    seed(&bed, Vec::new(), &[], &[ends(&under_way(&bed).await[0], State::Aborted)], &[]).await.unwrap();
    assert_eq!(told(Which::Standing).await, ["slack 1.1.0 Aborted"]);
    bed.seed(vec![remove("slack", &one)]).await.unwrap();
    assert!(told(Which::Standing).await.is_empty());
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let begin = [rollout("slack", &one, &two)];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    seed(&bed, Vec::new(), &[], &[ends(&under_way(&bed).await[0], State::Superseded)], &[]).await.unwrap();
    assert!(told(Which::Standing).await.is_empty());
}

async fn what_everybody_had_was_not_only_tried(bed: Bed) {
    let (one, two, rollout) = begun(&bed).await;
    let asked = [("slack".to_owned(), content(&two).checksum), ("slack".to_owned(), content(&one).checksum)];
    let found = async || {
        let tried = bed.store.tried(ENV, &asked).await.unwrap();
        let back = bed.store.went_back(ENV, &asked).await.unwrap();
        [tried.contains(&asked[0]), back.contains(&asked[0]), tried.contains(&asked[1])]
    };
    assert_eq!(found().await, [true, false, false]);
    seed(&bed, Vec::new(), &[], &[ends(&rollout, State::Aborted)], &[]).await.unwrap();
    assert_eq!(found().await, [true, true, false]);
    // It need not have been a rollout that brought it to all.
    bed.seed(vec![update("slack", &one, &two)]).await.unwrap();
    assert_eq!(found().await, [false, false, false]);
}

async fn a_rollout_is_no_drift(bed: Bed) {
    begun(&bed).await;
    let drift = bed.store.drift(ENV, &sower_core::drift::Ignored::default()).await.unwrap();
    assert!(drift.rows.is_empty(), "{:?}", drift.rows);
}

/// A role that is bound to an environment sees its live versions, and nobody else's.
#[tokio::test]
async fn a_bound_role_sees_every_live_version() {
    let bed = Bed::postgres().await;
    begun(&bed).await;
    bed.run(
        "INSERT INTO registry_candidates SELECT 'staging', kind, id, '9.9.9', integration_id, identifier, name, category, \
         definition, created_at, updated_at, source, revision, path, checksum, row_hash, seeding FROM registry_candidates",
    )
    .await;
    let database = bed.database.as_ref().unwrap();
    let server = sower_tests::postgres::Postgres::shared().await.unwrap();
    let mut admin = server.admin(&database.name).await.unwrap();
    let role = format!("live_{}", database.name);
    let make = format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'live'; GRANT USAGE ON SCHEMA sower TO {role}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA sower TO {role}; ALTER ROLE {role} SET search_path = sower, public; \
         ALTER ROLE {role} SET sower.environment = '{ENV}'"
    );
    sqlx::raw_sql(AssertSqlSafe(make)).execute(&mut admin).await.unwrap();
    let own = format!("sower:{}", sower_tests::postgres::PASSWORD);
    let url = database.url().replace(&own, &format!("{role}:live"));
    let mut bound = PgConnection::connect(&url).await.unwrap();
    for (kind, expected) in [
        ("action", vec!["1.0.0 true", "1.1.0 false", "1.1.0 false"]),
        ("trigger", vec!["1.0.0 true", "1.1.0 false"]),
        ("connection", vec!["1.0.0 true", "1.1.0 false"]),
        ("event", vec!["1.0.0 true", "1.1.0 false"]),
    ] {
        let sql = format!("SELECT version || ' ' || stable FROM {kind}_registry_live ORDER BY version, id");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut bound).await.unwrap();
        assert_eq!(rows, expected, "{kind}");
    }
    let seen: Vec<String> =
        sqlx::query_scalar("SELECT integration_id || to_version || state FROM integration_rollouts")
            .fetch_all(&mut bound)
            .await
            .unwrap();
    assert_eq!(seen, ["slack1.1.0Pending"]);
    for table in ["registry_candidates", "integration_rollouts", "action_registry_live"] {
        let sql = format!("SELECT * FROM public.{table}");
        let refused = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_all(&mut bound).await;
        assert!(refused.is_err(), "{table}");
    }
}
