//! Killed at any instant, a database holds the state before or the state after, and the next seeding goes on.

use std::time::{Duration, Instant};

use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(a_seeding_that_is_dropped_leaves_nothing_or_all, two_writers_wait_for_each_other);

const APPS: usize = 60;

fn catalog() -> Vec<(sower_core::plan::Operation, Option<std::sync::Arc<str>>)> {
    (0..APPS)
        .map(|n| {
            let id = format!("app-{n}");
            create(&id, &manifest(&id, "1.0.0", 20))
        })
        .collect()
}

/// Rows of the catalog and log rows that completed.
async fn census(bed: &Bed) -> (i64, i64, i64) {
    let completed =
        bed.ask("SELECT count(*) FROM seeding_logs WHERE status = 'completed'").await[0].parse().unwrap();
    (bed.count("integration_definitions").await, bed.count("action_registry").await, completed)
}

async fn a_seeding_that_is_dropped_leaves_nothing_or_all(bed: Bed) {
    let all = i64::try_from(APPS).unwrap();
    let started = Instant::now();
    let seeding = bed.begin().await.unwrap();
    bed.apply(&seeding, catalog()).await.unwrap();
    let whole = started.elapsed();
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    bed.store.delete_environment(&fence).await.unwrap();

    let mut cut = 0;
    for step in 0..30_u32 {
        let work = async {
            let seeding = bed.begin().await?;
            bed.apply(&seeding, catalog()).await
        };
        let ended = tokio::time::timeout(whole * step / 25, work).await;
        let (definitions, actions, completed) = census(&bed).await;
        if definitions == 0 {
            assert_eq!((actions, completed), (0, 0), "after {ended:?}");
            cut += 1;
        } else {
            assert_eq!((definitions, actions, completed), (all, all * 20, 1), "after {ended:?}");
            assert_eq!(bed.store.environment(ENV).await.unwrap().unwrap().seq, 1);
            let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
            bed.store.delete_environment(&fence).await.unwrap();
        }
    }
    assert!(cut > 3, "only {cut} were cut off");
    bed.seed(catalog()).await.unwrap();
    assert_eq!(census(&bed).await, (all, all * 20, 1));
    assert_eq!(bed.store.environment(ENV).await.unwrap().unwrap().running, None);
}

async fn two_writers_wait_for_each_other(bed: Bed) {
    let second = Store::open(&bed.url, &Options::default()).await.unwrap();
    let claims = (0..20).map(|n| {
        let store = if n % 2 == 0 { &bed.store } else { &second };
        async move { store.raise_epoch(ENV, "pod").await }
    });
    let mut epochs: Vec<i64> =
        futures::future::join_all(claims).await.into_iter().map(Result::unwrap).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_connection_that_is_ended_by_the_server_rolls_back() {
    let bed = Bed::postgres().await;
    let server = sower_tests::postgres::Postgres::shared().await.unwrap();
    let name = &bed.database.as_ref().unwrap().name;
    let mut admin = server.admin(name).await.unwrap();
    let mut lost = 0;
    for step in 0..15_u64 {
        let work = async {
            let seeding = bed.begin().await?;
            bed.apply(&seeding, catalog()).await
        };
        let kill = async {
            tokio::time::sleep(Duration::from_millis(step * 8)).await;
            sqlx::query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'sower'",
            )
            .execute(&mut admin)
            .await
            .unwrap();
        };
        let (ended, ()) = tokio::join!(work, kill);
        let (definitions, actions, completed) = census(&bed).await;
        match ended {
            Ok(_) => assert_eq!(definitions, i64::try_from(APPS).unwrap()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Transient);
                assert_eq!((definitions, actions, completed), (0, 0, 0), "{error}");
                lost += 1;
                continue;
            }
        }
        let fence = loop {
            // The pool may still hold connections that were ended.
            if let Ok(fence) = bed.store.claim(ENV, KEEPER, false).await {
                break fence;
            }
        };
        bed.store.delete_environment(&fence).await.unwrap();
    }
    assert!(lost > 2, "only {lost} were lost");
    bed.seed(catalog()).await.unwrap();
}
