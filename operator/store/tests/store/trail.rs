//! What can be read back of an integration's past.

use sower_core::plan::Verb;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    the_way_of_an_integration_is_told_oldest_first,
    every_content_is_kept_once,
    what_is_forgotten_is_missing_and_the_rest_is_told,
);

async fn the_way_of_an_integration_is_told_oldest_first(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    bed.seed(vec![create("other", &manifest("other", "1.0.0", 1))]).await.unwrap();
    bed.seed(vec![update("slack", &one, &two)]).await.unwrap();
    bed.seed(vec![operation(Verb::Move, "slack", Some(&two), Some(&two))]).await.unwrap();
    bed.seed(vec![remove("slack", &two)]).await.unwrap();
    bed.seed(vec![create("slack", &one)]).await.unwrap();

    let trail = bed.store.trail(ENV, "slack").await.unwrap();
    let told: Vec<(i64, &str, Option<&str>)> =
        trail.iter().map(|turn| (turn.seq, turn.operation.as_str(), turn.version.as_deref())).collect();
    assert_eq!(
        told,
        [
            (1, "create", Some("1.0.0")),
            (3, "update", Some("1.1.0")),
            (4, "move", Some("1.1.0")),
            (5, "remove", None),
            (6, "restore", Some("1.0.0")),
        ]
    );
    assert_eq!(trail[0].checksum, Some(content(&one).checksum));
    assert_eq!(trail[3].checksum, None);
    let seeding = trail[1].seeding.as_ref().unwrap();
    assert_eq!(seeding.reason, "push: \"Test\" (AUTHOR)");
    assert_eq!(seeding.revisions["catalog"].to_string(), "main@3f2c1a9");
    let logged = bed.store.numbered(ENV, 3).await.unwrap().unwrap();
    assert_eq!((&seeding.id, Some(seeding.completed_at)), (&logged.id, logged.completed_at));

    assert_eq!(bed.store.trail(ENV, "none").await.unwrap(), []);
    assert_eq!(bed.store.trail("staging", "slack").await.unwrap(), []);
}

async fn every_content_is_kept_once(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    let first = bed.seed(vec![create("slack", &one)]).await.unwrap();
    bed.seed(vec![update("slack", &one, &two)]).await.unwrap();
    bed.seed(vec![update("slack", &two, &one)]).await.unwrap();
    bed.seed(vec![create("other", &manifest("other", "1.0.0", 1))]).await.unwrap();

    let versions = bed.store.versions(ENV, "slack").await.unwrap();
    let told: Vec<(&str, &str)> =
        versions.iter().map(|v| (v.version.as_str(), v.checksum.as_str())).collect();
    let (a, b) = (content(&one), content(&two));
    assert_eq!(told, [("1.0.0", a.checksum.as_str()), ("1.1.0", b.checksum.as_str())]);
    assert_eq!((&versions[0].seeding, versions[0].source.as_str()), (&first.id, "catalog"));
    assert_eq!(versions[0].revision.as_ref().unwrap().to_string(), "main@3f2c1a9");
    assert_eq!(versions[0].path, "integrations/slack/integration.yaml");

    let checksums = [a.checksum.as_str(), b.checksum.as_str(), "v1:none"];
    let manifests = bed.store.version_manifests(ENV, "slack", &checksums).await.unwrap();
    assert_eq!(manifests.len(), 2);
    assert_eq!((&manifests[&a.checksum], &manifests[&b.checksum]), (&one, &two));
    assert!(bed.store.version_manifests(ENV, "other", &checksums).await.unwrap().is_empty());
    assert!(bed.store.version_manifests(ENV, "slack", &[]).await.unwrap().is_empty());
}

async fn what_is_forgotten_is_missing_and_the_rest_is_told(bed: Bed) {
    let (one, two) = (manifest("slack", "1.0.0", 1), manifest("slack", "1.1.0", 2));
    bed.seed(vec![create("slack", &one)]).await.unwrap();
    bed.seed(vec![update("slack", &one, &two)]).await.unwrap();
    bed.run("DELETE FROM seeding_logs WHERE seq = 1").await;
    bed.run("DELETE FROM integration_versions WHERE version = '1.0.0'").await;

    let trail = bed.store.trail(ENV, "slack").await.unwrap();
    assert_eq!((trail.len(), trail[0].seeding.is_none(), trail[1].seeding.is_some()), (2, true, true));
    let versions = bed.store.versions(ENV, "slack").await.unwrap();
    assert_eq!(versions.iter().map(|v| v.version.as_str()).collect::<Vec<_>>(), ["1.1.0"]);
    let asked = [content(&one).checksum, content(&two).checksum];
    let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
    let manifests = bed.store.version_manifests(ENV, "slack", &asked).await.unwrap();
    assert_eq!(manifests.into_values().collect::<Vec<_>>(), [two]);
}
