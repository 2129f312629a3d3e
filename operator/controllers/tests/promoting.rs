//! What waits for another environment costs nothing until that one is seeded, or its time comes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to stop")]

mod kit;

use std::time::{Duration, Instant};

use kit::{Kit, manifest};
use sower_controllers::seeding::{Job, Seeded, Upstream};
use sower_core::promotion::Why;

const PATIENCE: Duration = Duration::from_secs(60);

/// production, promoted from staging.
fn production(kit: &Kit, promotion: &str) -> Job {
    let spec = format!("{{\"promotion\":{{\"from\":\"staging\",{promotion}}}}}");
    let upstream = Upstream::Open { environment: "staging".into(), store: kit.store.clone() };
    Job { upstream: Some(upstream), ..kit.job("production", &spec) }
}

/// Seeds; whether it looked at anything, and what waits.
async fn looks(kit: &Kit, job: &Job) -> (bool, Vec<Why>) {
    let seeded = kit.run(job).await.unwrap();
    let waits = seeded.report().waiting.iter().map(|waiting| waiting.why.clone()).collect();
    (seeded.planned().is_some(), waits)
}

/// Both have 1.0.0 of a.
async fn settled(promotion: &str) -> (Kit, Job) {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("a 1.0.0");
    kit.seed("staging", "{}").await;
    kit.seed("production", "{}").await;
    let job = production(&kit, promotion);
    assert!(looks(&kit, &job).await.1.is_empty());
    kit.write("a", &manifest("a", "1.1.0", &["one", "two"]));
    kit.commit("a 1.1.0");
    (kit, job)
}

#[tokio::test]
async fn who_waits_looks_again_when_the_other_is_seeded_and_when_the_soak_ends() {
    let (kit, job) = settled("\"soak\":\"3s\"").await;
    let (looked, waits) = looks(&kit, &job).await;
    assert!(looked && matches!(waits[..], [Why::NotThere { .. }]), "{waits:?}");
    assert_eq!(looks(&kit, &job).await, (false, waits), "nothing is new, and the same is told");
    kit.seed("staging", "{}").await;
    let (looked, waits) = looks(&kit, &job).await;
    assert!(looked && matches!(waits[..], [Why::Soaking { .. }]), "{waits:?}");
    assert_eq!(looks(&kit, &job).await, (false, waits));
    let begun = Instant::now();
    loop {
        match kit.run(&job).await.unwrap() {
            Seeded::Applied { .. } => break,
            seeded => assert!(seeded.planned().is_none(), "{seeded:?}"),
        }
        assert!(begun.elapsed() < PATIENCE, "the soak never ends");
    }
    assert_eq!(kit.rows("production").await[0].1, "1.1.0");
    assert_eq!(looks(&kit, &job).await, (false, Vec::new()));
}

/// Executions come without a seeding, and somebody who cannot be read may be read again.
#[tokio::test]
async fn what_no_seeding_brings_is_looked_at_each_time() {
    let (kit, job) = settled("\"minimum\":{\"executions\":10}").await;
    kit.seed("staging", "{}").await;
    for _ in 0..2 {
        let (looked, waits) = looks(&kit, &job).await;
        assert!(looked && matches!(waits[..], [Why::Executions { .. }]), "{waits:?}");
    }
    let away = Job { upstream: Some(Upstream::Away("no answer".into())), ..job };
    for _ in 0..2 {
        let (looked, waits) = looks(&kit, &away).await;
        assert!(looked && matches!(waits[..], [Why::Away { .. }]), "{waits:?}");
    }
}
