//! Drift beside the stable rows: of the rows that a rollout brought to life, and of the rollout itself.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use sower_core::drift::{Drifted, Ignored, Mend, correctable};
use sower_core::rollout::machine::{end, obey};
use sower_core::rollout::{Command, State};
use sower_crds::rollout::{Analysis, AtLeast, LatencyLimit, Step, Strategy};
use sower_store::{Applied, Store, Which, Write};

use crate::bed::*;
use crate::on_both_engines;
use crate::rollouts::{Text, begun, live, registries, rollout, seed, staged, under_way};

on_both_engines!(
    rows_beside_are_watched_as_those_of_all_are,
    rows_beside_become_what_the_rollout_says,
    what_is_ignored_is_ignored_beside_too,
    a_rollout_that_a_hand_changed_is_found_and_stays_so,
    what_sower_itself_makes_of_a_rollout_is_no_drift,
    a_rollout_that_is_gone_leaves_rows_that_nobody_began,
    what_a_lost_rollout_left_is_in_nobodys_way,
    a_comparison_is_looked_at_version_by_version,
);

async fn drifted(bed: &Bed, ignored: &[&str]) -> Vec<Drifted> {
    let ignored: Vec<String> = ignored.iter().map(|field| (*field).to_owned()).collect();
    bed.store.drift(ENV, &Ignored::of(&ignored)).await.unwrap().rows
}

/// `kind id version what` of each row.
async fn found(bed: &Bed) -> Vec<String> {
    let told = |row: &Drifted| {
        let version = row.version.as_deref().unwrap_or("-");
        format!("{} {} {version} {:?}", row.kind(), row.id, row.what)
    };
    drifted(bed, &[]).await.iter().map(told).collect()
}

/// Corrects what drifted beside the stable rows, as a seeding does that is made for it.
async fn mend(bed: &Bed, stable: &Text) -> Applied {
    let mend = Mend::of(&correctable(&drifted(bed, &[]).await));
    let (seeding, applied) = (bed.begin().await.unwrap(), applied("a"));
    let operations = [(update("slack", stable, stable).0, None)];
    let write = Write { mend: &mend, ..write(&operations, &applied, &Value::Null) };
    bed.store.apply(&seeding, write).await.unwrap()
}

const HANDS: [&str; 3] = [
    "UPDATE registry_candidates SET name = 'by hand', definition = '{}' WHERE kind = 'action' AND id = 'slack/act-1'",
    "DELETE FROM registry_candidates WHERE kind = 'trigger'",
    "INSERT INTO registry_candidates SELECT environment, kind, 'slack/mine', '6.6.6', integration_id, identifier, name, category, \
     definition, created_at, updated_at, source, revision, path, checksum, row_hash, seeding FROM registry_candidates \
     WHERE kind = 'event'",
];

async fn rows_beside_are_watched_as_those_of_all_are(bed: Bed) {
    begun(&bed).await;
    assert_eq!(found(&bed).await, [""; 0]);
    for hand in HANDS {
        bed.run(hand).await;
    }
    let beside = [
        "action slack/act-1 1.1.0 Changed([\"name\", \"definition\"])",
        "trigger slack/done 1.1.0 Missing",
        "event slack/mine 6.6.6 Foreign(Claiming)",
    ];
    assert_eq!(found(&bed).await, beside);
    // What all have is looked at beside it.
    bed.run("UPDATE action_registry SET name = 'by hand' WHERE id = 'slack/act-0'").await;
    let mut all = vec!["action slack/act-0 - Changed([\"name\"])"];
    all.extend(beside);
    assert_eq!(found(&bed).await, all);
    assert_eq!(bed.store.drift("staging", &Ignored::default()).await.unwrap().rows, []);
}

async fn rows_beside_become_what_the_rollout_says(bed: Bed) {
    let (one, _, rollout) = begun(&bed).await;
    let (before, stable) = (live(&bed).await, registries(&bed).await);
    let came = "SELECT version || kind || id || name || definition || created_at FROM registry_candidates \
         WHERE kind <> 'trigger' ORDER BY kind, id";
    let as_it_came = bed.ask(came).await;
    for hand in HANDS {
        bed.run(hand).await;
    }
    let applied = mend(&bed, &one).await;
    assert_eq!(found(&bed).await, [""; 0]);
    assert_eq!((live(&bed).await, bed.ask(came).await), (before, as_it_came));
    assert_eq!(registries(&bed).await, stable, "nothing of what all have is touched");
    assert_eq!(applied.counts.rows_written, 3, "only rows that differ are written");
    let written = format!("SELECT id FROM registry_candidates WHERE seeding = '{}' ORDER BY id", applied.id);
    assert_eq!(bed.ask(&written).await, ["slack/act-1", "slack/done"]);
    assert_eq!(under_way(&bed).await, [rollout], "the rollout goes on where it was");
}

async fn what_is_ignored_is_ignored_beside_too(bed: Bed) {
    begun(&bed).await;
    bed.run("UPDATE registry_candidates SET name = 'by hand', category = NULL WHERE id = 'slack/act-1'")
        .await;
    assert_eq!(drifted(&bed, &["name", "category"]).await, []);
    assert_eq!(drifted(&bed, &["name"]).await.len(), 1);
}

async fn a_rollout_that_a_hand_changed_is_found_and_stays_so(bed: Bed) {
    let (_, _, before) = begun(&bed).await;
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let changed = ["rollout slack 1.1.0 Changed([])"];
    for (column, hand) in [
        ("weight", "9000"),
        ("step", "7"),
        ("salt", "'mine'"),
        ("state", "'Paused'"),
        ("variants", "'[]'"),
        ("strategy", "'{}'"),
    ] {
        let kept = bed.ask(&format!("SELECT {column} FROM integration_rollouts")).await.remove(0);
        bed.run(&format!("UPDATE integration_rollouts SET {column} = {hand}")).await;
        let found = found(&bed).await;
        assert_eq!(found.first().map(String::as_str), Some(changed[0]), "{column}");
        bed.run(&format!("UPDATE integration_rollouts SET {column} = '{kept}'")).await;
        assert_eq!(self::found(&bed).await, [""; 0], "{column}");
    }
    // Times are no part of it.
    bed.run("UPDATE integration_rollouts SET due_at = NULL").await;
    assert_eq!(found(&bed).await, [""; 0]);
    // A step that begins writes anew how far it is; whatever else is done leaves the hand to be seen.
    bed.run("UPDATE integration_rollouts SET weight = 9000").await;
    for (command, found_after) in [(Command::Pause, &changed[..]), (Command::Advance, &[])] {
        let now = under_way(&bed).await.remove(0);
        let after = obey(&now, command, "AUTHOR", Timestamp::now(), None).unwrap();
        assert!(!after.state.is_over(), "{after:?}");
        bed.store.move_rollout(&fence, &now, &after, None).await.unwrap();
        assert_eq!(found(&bed).await, found_after, "{command:?}");
    }
    // Who gets it is no matter of steps.
    let (text, json) = match bed.store {
        Store::Postgres(_) => ("::text", "::json"),
        Store::Sqlite(_) => ("", ""),
    };
    let mine = r#"'"weight"', '"keys":["mine"],"weight"'"#;
    bed.run(&format!("UPDATE integration_rollouts SET variants = replace(variants{text}, {mine}){json}"))
        .await;
    let now = under_way(&bed).await.remove(0);
    let back = sower_core::rollout::Rollout { step: now.step - 1, ..now.clone() };
    bed.store.move_rollout(&fence, &now, &back, None).await.unwrap();
    assert_eq!(found(&bed).await, changed);
    // Who moves it on says nothing of the hand that came before.
    bed.run("UPDATE integration_rollouts SET salt = 'mine'").await;
    let now = under_way(&bed).await.remove(0);
    let paused = obey(&now, Command::Pause, "AUTHOR", Timestamp::now(), None).unwrap();
    bed.store.move_rollout(&fence, &now, &paused, None).await.unwrap();
    assert_eq!(found(&bed).await, changed);
    // One that nobody began.
    bed.run("UPDATE integration_rollouts SET row_hash = NULL").await;
    assert_eq!(found(&bed).await, ["rollout slack 1.1.0 Foreign(Claiming)"]);
    let mend = Mend::of(&correctable(&drifted(&bed, &[]).await));
    assert_eq!(mend.rollouts, BTreeSet::from(["slack".to_owned()]));
    // It can be ended, and is looked at no more.
    let now = under_way(&bed).await.remove(0);
    seed(
        &bed,
        Vec::new(),
        &[],
        &[end(&now, State::Superseded, Timestamp::now(), "so it is".into(), None)],
        &[],
    )
    .await
    .unwrap();
    assert_eq!(found(&bed).await, [""; 0]);
    assert_eq!(bed.store.rollouts(Some(ENV), Which::Of("slack")).await.unwrap()[0].id, before.id);
}

async fn what_sower_itself_makes_of_a_rollout_is_no_drift(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    let analysis = Analysis {
        success_rate: Some(AtLeast { min: 0.1 + 0.2 }),
        latency: Some(LatencyLimit { quantile: 0.95, max_ratio: 1.0 / 3.0 }),
        ..Analysis::default()
    };
    let begins = rollout("slack", &one, &two);
    let steps = vec![
        Step { weight: 33.33, hold: Some(sower_crds::period::Period::new("90m")), ..Step::default() },
        Step { weight: 50.0, pause: true, ..Step::default() },
    ];
    let strategy = Strategy { steps, analysis: Some(analysis), ..begins.strategy.clone() };
    let begin = [sower_core::rollout::Rollout { strategy, ..begins }];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    assert_eq!(found(&bed).await, [""; 0]);
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    for command in [Command::Advance, Command::Pause, Command::Resume, Command::Advance] {
        let before = under_way(&bed).await.remove(0);
        let after = obey(&before, command, "AUTHOR", Timestamp::now(), None).unwrap();
        bed.store.move_rollout(&fence, &before, &after, None).await.unwrap();
        assert_eq!(found(&bed).await, [""; 0], "{command:?}");
    }
    assert_eq!(under_way(&bed).await[0].weight, 5_000);
}

async fn a_rollout_that_is_gone_leaves_rows_that_nobody_began(bed: Bed) {
    let (one, ..) = begun(&bed).await;
    bed.run("DELETE FROM integration_rollouts").await;
    let all = found(&bed).await;
    assert_eq!((all.len(), all[0].as_str()), (5, "action slack/act-0 1.1.0 Foreign(Claiming)"));
    mend(&bed, &one).await;
    assert_eq!((found(&bed).await.len(), bed.count("registry_candidates").await), (0, 0));
}

async fn what_a_lost_rollout_left_is_in_nobodys_way(bed: Bed) {
    let (one, two, _) = begun(&bed).await;
    bed.run("DELETE FROM integration_rollouts").await;
    bed.run("UPDATE registry_candidates SET version = '6.6.6' WHERE kind = 'event'").await;
    let begin = [rollout("slack", &one, &two)];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    assert_eq!((found(&bed).await.len(), bed.count("registry_candidates").await), (0, 5));
}

async fn a_comparison_is_looked_at_version_by_version(bed: Bed) {
    let old = manifest("slack", "0.9.0", 3);
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &old)]).await.unwrap();
    bed.seed(vec![update("slack", &old, &one)]).await.unwrap();
    let variant = |text: &Text| sower_core::rollout::Variant {
        version: content(text).version,
        checksum: content(text).checksum,
        ..sower_core::rollout::Variant::default()
    };
    let variants = vec![variant(&old), variant(&one), variant(&two)];
    let begin = [sower_core::rollout::Rollout { variants, ..rollout("slack", &one, &two) }];
    seed(&bed, vec![staged("slack", &one, &two)], &begin, &[], &[]).await.unwrap();
    assert_eq!(found(&bed).await, [""; 0]);
    bed.run("UPDATE registry_candidates SET name = 'by hand' WHERE id = 'slack/act-0' AND version = '0.9.0'")
        .await;
    bed.run("DELETE FROM registry_candidates WHERE id = 'slack/act-0' AND version = '1.1.0'").await;
    assert_eq!(
        found(&bed).await,
        ["action slack/act-0 0.9.0 Changed([\"name\"])", "action slack/act-0 1.1.0 Missing"]
    );
    mend(&bed, &one).await;
    assert_eq!(found(&bed).await, [""; 0]);
    // Of a content that cannot be had, nothing is made up.
    bed.run("DELETE FROM integration_versions WHERE version = '0.9.0'").await;
    bed.run("UPDATE registry_candidates SET name = 'by hand' WHERE id = 'slack/act-0' AND version = '0.9.0'")
        .await;
    assert_eq!(found(&bed).await, ["action slack/act-0 0.9.0 Changed([])"]);
    assert_eq!(correctable(&drifted(&bed, &[]).await), []);
}
