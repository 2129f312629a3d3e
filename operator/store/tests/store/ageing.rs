//! Usage that ages while it is still needed, and while more of it comes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sower_core::usage::Observed;
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;
use crate::usage::{DAY, minute, record, roll_up, rollout, sums};

on_both_engines!(
    what_was_rolled_up_counts_with_the_bucket_that_a_time_lies_in,
    a_roll_up_and_a_late_batch_wait_in_no_circle,
    minutes_of_a_rollout_stay_where_the_clock_went_back,
);

async fn what_was_rolled_up_counts_with_the_bucket_that_a_time_lies_in(bed: Bed) {
    for (at, executions) in [
        ("2026-10-31T23:59:00.000Z", 2),
        ("2026-11-01T12:59:00.000Z", 10),
        ("2026-11-01T13:01:00.000Z", 100),
        ("2026-11-01T13:10:00.000Z", 1000),
        ("2026-11-02T13:10:00.000Z", 10_000),
    ] {
        minute(&bed, "stripe", at, executions).await;
    }
    let since: Timestamp = "2026-11-01T13:02:30Z".parse().unwrap();
    let over = async || {
        let by_version = bed.store.usage_over(ENV, "stripe", since).await.unwrap();
        by_version.get("1.0.0").map_or(0, |observed| observed.executions)
    };
    assert_eq!(over().await, 11_000);
    let at =
        |ago: u32| "2026-11-03T14:00:00Z".parse::<Timestamp>().unwrap() + DAY * i32::try_from(ago).unwrap();
    // Its hour counts whole, and later its day.
    assert_eq!(roll_up(&bed, at(0)).await.minutes, 5);
    assert_eq!(over().await, 11_100);
    assert_eq!(roll_up(&bed, at(30)).await.hours, 4);
    assert_eq!(over().await, 11_110);
    let exactly = bed.store.usage_since(ENV, "stripe", since).await.unwrap();
    assert_eq!(exactly["1.0.0"].executions, 10_000);
}

async fn a_roll_up_and_a_late_batch_wait_in_no_circle(bed: Bed) {
    // The other engine has one writer at a time.
    let Some(database) = &bed.database else { return };
    let now = Timestamp::now();
    // The later in the order of ids, the earlier.
    let batch: Vec<_> = [("a", 10), ("m", 20), ("z", 30)]
        .map(|(id, ago)| record(id, "1.0.0", now - SignedDuration::from_mins(ago), Observed::of(2, 0, None)))
        .into();
    bed.store.record_usage(&batch).await.unwrap();
    let pool = database.connect().await.unwrap();
    let mut between = pool.begin().await.unwrap();
    sqlx::raw_sql("SELECT id FROM public.integration_usage WHERE integration_id = 'm' FOR UPDATE")
        .execute(&mut *between)
        .await
        .unwrap();
    let waiting = async |count: i64| {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                   AND wait_event_type = 'Lock'";
        while sqlx::query_scalar::<_, i64>(sql).fetch_one(&pool).await.unwrap() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (late, rolled) = {
        let (store, batch) = (bed.store.clone(), batch.clone());
        let late = tokio::spawn(async move { store.record_usage(&batch).await });
        waiting(1).await;
        let store = bed.store.clone();
        let rolled =
            tokio::spawn(
                async move { store.roll_up_usage(ENV, now + DAY * 3, &UsageRetention::default()).await },
            );
        waiting(2).await;
        between.commit().await.unwrap();
        (late.await.unwrap(), rolled.await.unwrap())
    };
    late.unwrap();
    rolled.unwrap();
    let all = sums(&bed).await;
    assert!(all.len() == 3 && all.values().all(|observed| observed.executions == 4), "{all:?}");
}

async fn minutes_of_a_rollout_stay_where_the_clock_went_back(bed: Bed) {
    for at in ["2026-11-01T10:00:00.000Z", "2026-11-01T10:04:00.000Z", "2026-11-01T10:08:00.000Z"] {
        minute(&bed, "stripe", at, 10).await;
    }
    rollout(&bed, "2026-11-01T10:07:41.000Z").await;
    // Its step began anew when the clock said less than it had.
    bed.run("UPDATE integration_rollouts SET step_started_at = '2026-11-01T10:03:12.000Z'").await;
    let now: Timestamp = "2026-11-04T00:00:00Z".parse().unwrap();
    assert_eq!(roll_up(&bed, now).await.minutes, 1);
    let since = bed.store.usage_since(ENV, "stripe", "2026-11-01T10:03:12Z".parse().unwrap()).await.unwrap();
    assert_eq!(since["1.0.0"].executions, 20);
}
