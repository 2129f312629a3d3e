//! What is counted of rollouts that end with a seeding, or with a rollback.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to stop")]

mod kit;

use std::time::Duration;

use jiff::Timestamp;
use kit::{Kit, manifest};
use prometheus_client::registry::Registry;
use sower_controllers::metrics::Metrics;
use sower_controllers::seeding::Seeder;
use sower_source::Fetcher;
use sower_store::Which;

const STAGED: &str = r#"{"rollout":{"default":{"type":"Staged","steps":[{"weight":10,"hold":"1h"}]}}}"#;

#[tokio::test]
async fn every_rollout_that_ends_is_counted() {
    let cache = tempfile::tempdir().unwrap();
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let fetcher = Fetcher::new(cache.path().to_path_buf()).unwrap();
    let seeder = Seeder::new(fetcher, semver::Version::new(0, 1, 0), Some(metrics));
    let mut kit = Kit::new().await;
    kit.seeder = seeder;
    let kit = kit;
    let counted = |state: &str| {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let series = format!(
            "sower_rollouts_ended_total{{namespace=\"\",environment=\"production\",state=\"{state}\"}} "
        );
        let line = text.lines().find(|line| line.starts_with(&series));
        line.map_or_else(String::new, |line| line.rsplit(' ').next().unwrap().to_owned())
    };
    let release = async |version: &str| {
        kit.write("a", &manifest("a", version, &[&format!("of-{}", version.replace('.', "-"))]));
        kit.commit(version);
        kit.seed("production", STAGED).await;
        kit.step(&kit.job("production", STAGED)).await;
    };
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        release(version).await;
    }
    assert_eq!(counted("Superseded"), "1", "1.1.0 made way");
    kit.roll_back("production", "1").await.unwrap();
    assert_eq!(counted("RolledBack"), "1");
}

/// Each end is a seeding, after which the environment is no longer what the look began with.
#[tokio::test]
async fn several_end_in_one_look() {
    const SOON: &str = r#"{"rollout":{"default":{"type":"Staged","steps":[{"weight":10,"hold":"1s"}]}}}"#;
    let kit = Kit::new().await;
    for version in ["1.0.0", "1.1.0"] {
        for id in ["a", "b", "c"] {
            kit.write(id, &manifest(id, version, &[&format!("of-{}", version.replace('.', "-"))]));
        }
        kit.commit(version);
        kit.seed("production", SOON).await;
    }
    let job = kit.job("production", SOON);
    kit.step(&job).await;
    let active = kit.store.rollouts(Some("production"), Which::Active).await.unwrap();
    assert_eq!(active.len(), 3);
    let due = active.iter().filter_map(|rollout| rollout.due_at).max().unwrap();
    let wait = Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default();
    tokio::time::sleep(wait).await;
    let changes = kit.step(&job).await.changes;
    let ends: Vec<_> = changes.into_iter().filter_map(|change| change.seeding).collect();
    assert_eq!(ends, ["production-3", "production-4", "production-5"]);
    assert!(kit.rows("production").await.iter().all(|row| row.1 == "1.1.0"));
}
