//! What the log holds of a stretch of time.

use jiff::{SignedDuration, Timestamp};
use sower_core::figures::{Account, Conflicts, Ended};
use sower_core::plan::ConflictType;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(an_account_counts_what_the_log_holds, what_was_before_is_no_part_of_it);

fn ago(hours: i64) -> Timestamp {
    Timestamp::now() - SignedDuration::from_hours(hours)
}

async fn an_account_counts_what_the_log_holds(bed: Bed) {
    assert_eq!(bed.store.account(ENV, ago(1)).await.unwrap(), Account::default());
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 1));
    let other = manifest("other", "1.0.0", 1);
    bed.seed(vec![create("slack", &one), create("other", &other)]).await.unwrap();
    bed.seed(vec![update("slack", &one, &two)]).await.unwrap();
    for _ in 0..2 {
        let seeding = bed.begin().await.unwrap();
        bed.store.fail(&seeding, "Lost", "the database went away").await.unwrap();
    }
    let _running = bed.begin().await.unwrap();
    let committed = "2026-11-21T08:00:00Z";
    bed.run(&format!(
        "UPDATE seeding_logs SET metadata = '{{\"committedAt\":\"{committed}\"}}' WHERE seq = 2"
    ))
    .await;
    let conflict = |id: &str, kind: &str, at: Timestamp, closed: Option<Timestamp>| {
        let closed = closed.map_or("NULL".to_owned(), |at| format!("'{at:.3}'"));
        format!(
            "INSERT INTO seeding_conflicts (id, integration_id, conflict_type, created_at, resolved_at, environment, fingerprint) \
             VALUES ('{id}', 'slack', '{kind}', '{at:.3}', {closed}, '{ENV}', '{id}')"
        )
    };
    bed.run(&conflict("a", "version", ago(0), None)).await;
    bed.run(&conflict("b", "version", ago(50), Some(ago(0)))).await;
    bed.run(&conflict("c", "duplicate", ago(50), None)).await;
    bed.run(&conflict("d", "version", ago(50), Some(ago(49)))).await;

    let account = bed.store.account(ENV, ago(1)).await.unwrap();
    let mut seedings: Vec<_> =
        account.seedings.iter().map(|one| (one.seq, one.ended, one.attempts, one.committed_at)).collect();
    seedings.sort_by_key(|(seq, ..)| *seq);
    assert_eq!(seedings.len(), 4);
    assert_eq!(seedings[2], (Some(1), Ended::Completed, 1, None));
    assert_eq!(seedings[3], (Some(2), Ended::Completed, 1, Some(committed.parse().unwrap())));
    assert!(seedings.contains(&(None, Ended::Failed, 2, None)));
    assert!(seedings.contains(&(None, Ended::Running, 1, None)));
    assert!(account.seedings.iter().all(|one| one.reason == "push: \"Test\" (AUTHOR)"));
    assert_eq!(
        account.conflicts,
        [
            Conflicts { kind: ConflictType::Version, opened: 1, closed: 1, open: 1 },
            Conflicts { kind: ConflictType::Duplicate, opened: 0, closed: 0, open: 1 },
        ]
    );
    let changed: Vec<_> = account.changed.iter().map(|one| (&*one.integration, one.seedings)).collect();
    assert_eq!(changed, [("slack", 2), ("other", 1)]);
    assert!(account.changed[0].last_at >= account.changed[1].last_at && !account.cut);
    assert_eq!(bed.store.account("staging", ago(1)).await.unwrap(), Account::default());
}

async fn what_was_before_is_no_part_of_it(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    assert_eq!(bed.store.account(ENV, ago(-1)).await.unwrap(), Account::default());
    // What another hand wrote into the metadata counts as nothing.
    bed.run("UPDATE seeding_logs SET metadata = '{\"attempts\":\"many\",\"committedAt\":7}'").await;
    let account = bed.store.account(ENV, ago(1)).await.unwrap();
    assert_eq!((account.seedings[0].attempts, account.seedings[0].committed_at), (1, None));
}
