//! Killed at any instant, a database holds the state before or the state after, and the next seeding goes on.

use std::cell::Cell;
use std::process::Command;
use std::time::{Duration, Instant};

use sower_store::*;

use sower_tests::postgres::{Durability, Postgres};
use sower_tests::process::Signal;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(a_seeding_that_is_dropped_leaves_nothing_or_all, two_writers_wait_for_each_other);

const APPS: usize = 40;

fn catalog() -> Vec<(sower_core::plan::Operation, Option<std::sync::Arc<str>>)> {
    (0..APPS)
        .map(|n| {
            let id = format!("app-{n}");
            create(&id, &manifest(&id, "1.0.0", 20))
        })
        .collect()
}

/// Rows of the catalog and log rows that completed, as one reader sees them. A commit whose answer nobody waits for may
/// still be under way: as in every recovery, the lock of the environment's row comes first.
async fn census(bed: &Bed) -> (i64, i64, i64) {
    bed.raise_epoch("census").await;
    let sql = "SELECT (SELECT count(*) FROM integration_definitions) || ' ' || (SELECT count(*) FROM action_registry) \
         || ' ' || (SELECT count(*) FROM seeding_logs WHERE status = 'completed')";
    let answer = bed.ask(sql).await;
    let counts: Vec<i64> = answer[0].split(' ').map(|count| count.parse().unwrap()).collect();
    (counts[0], counts[1], counts[2])
}

async fn a_seeding_that_is_dropped_leaves_nothing_or_all(bed: Bed) {
    let all = i64::try_from(APPS).unwrap();
    // The shortest of three: the first finds everything cold.
    let mut whole = Duration::MAX;
    for _ in 0..3 {
        let started = Instant::now();
        bed.seed(catalog()).await.unwrap();
        whole = whole.min(started.elapsed());
        let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
        bed.store.delete_environment(&fence).await.unwrap();
    }

    let mut cut = 0;
    for step in 0..16_u32 {
        let work = async {
            let seeding = bed.begin().await?;
            bed.apply(&seeding, catalog()).await
        };
        let ended = tokio::time::timeout(whole * step / 12, work).await;
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
        async move { store.raise_epoch(ENV, "pod", None).await }
    });
    let mut epochs: Vec<i64> =
        futures::future::join_all(claims).await.into_iter().map(Result::unwrap).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_connection_that_is_ended_by_the_server_rolls_back() {
    let bed = Bed::postgres().await;
    let server = Postgres::shared().await.unwrap();
    let name = &bed.database.as_ref().unwrap().name;
    let mut admin = server.admin(name).await.unwrap();
    let all = i64::try_from(APPS).unwrap();
    let mut lost = 0;
    for step in 0..10_u64 {
        let working = Cell::new(true);
        let work = async {
            let ended = match bed.begin().await {
                Ok(seeding) => bed.apply(&seeding, catalog()).await,
                Err(error) => Err(error),
            };
            working.set(false);
            ended
        };
        let kill = async {
            tokio::time::sleep(Duration::from_millis(step * 6)).await;
            let sql = "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity \
                 WHERE datname = current_database() AND application_name = 'sower' AND xact_start IS NOT NULL";
            // Until a transaction is hit, or none is left to be.
            while working.get() && sqlx::query(sql).fetch_all(&mut admin).await.unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let (ended, ()) = tokio::join!(work, kill);
        let census = census(&bed).await;
        match ended {
            Ok(_) => assert_eq!(census, (all, all * 20, 1)),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Transient, "{error}");
                lost += 1;
            }
        }
        // The answer to a commit may be lost as well as the commit.
        assert!(census == (0, 0, 0) || census == (all, all * 20, 1), "{census:?}");
        if census.0 == all {
            let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
            bed.store.delete_environment(&fence).await.unwrap();
        }
    }
    assert!(lost > 2, "only {lost} were lost");
    bed.seed(catalog()).await.unwrap();
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for_for_ever() {
    let server = Postgres::start(Durability::Lax).await.unwrap();
    let url = DatabaseUrl::parse(&server.database().await.unwrap().url()).unwrap();
    let options = Options { statement_timeout: Duration::ZERO, ..Options::default() };
    let store = Store::open(&url, &options).await.unwrap();
    store.claim(ENV, KEEPER, false).await.unwrap();

    // Whoever takes connections, and whoever serves ours, each in a group of its own; the port is still open.
    let mut admin = server.admin("postgres").await.unwrap();
    let sql = "SELECT pid::text FROM pg_stat_activity WHERE application_name = 'sower'";
    let pids: Vec<(String,)> = sqlx::query_as(sql).fetch_all(&mut admin).await.unwrap();
    let signal = |name: &str| {
        let pids = pids.iter().map(|(pid,)| pid);
        assert!(Command::new("kill").arg(name).args(pids).status().unwrap().success());
    };
    server.process().unwrap().signal(Signal::STOP).unwrap();
    signal("-STOP");
    let started = Instant::now();
    let (asked, claimed) = tokio::join!(store.environment(ENV), store.claim(ENV, KEEPER, false));
    for error in [asked.unwrap_err(), claimed.unwrap_err()] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Transient, "DatabaseUnavailable"), "{error}");
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());

    signal("-CONT");
    server.process().unwrap().signal(Signal::CONT).unwrap();
    let answers = async || Ok(store.environment(ENV).await.map(drop)?);
    sower_tests::wait::until("the store goes on", Duration::from_secs(60), answers).await.unwrap();
}
