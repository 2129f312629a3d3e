//! Who may write, and what happens to the others.

use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    an_environment_has_one_keeper,
    who_looked_and_was_overtaken_writes_nothing,
    a_plan_on_an_older_seeding_is_stale,
    a_raised_epoch_ends_the_seeding_of_the_one_before,
    a_seeding_that_was_closed_cannot_commit,
    what_was_left_running_is_closed,
    of_many_at_once_one_wins,
);

async fn an_environment_has_one_keeper(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let ours = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let error = bed.store.claim(ENV, "prod-eu/sower/production", false).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Stalled, "KeptElsewhere"));
    assert_eq!(error.to_string(), "production in this database is kept by files");

    let theirs = bed.store.claim(ENV, "prod-eu/sower/production", true).await.unwrap();
    let error = bed.begin_with(&ours).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::KeptElsewhere { keeper, .. } if keeper == "prod-eu/sower/production"),
        "{error}"
    );
    let seeding = bed.begin_with(&theirs).await.unwrap();
    bed.apply(&seeding, vec![create("slack", &slack)]).await.unwrap();
}

/// To look who keeps an environment, and then to write, are two statements: what lies between them decides.
async fn who_looked_and_was_overtaken_writes_nothing(bed: Bed) {
    let row = async || {
        let row = bed.store.environment(ENV).await.unwrap().unwrap();
        (row.keeper, row.epoch)
    };
    bed.store.claim(ENV, KEEPER, false).await.unwrap();
    // It was nobody's when it was looked at.
    let late = bed.store.raise_epoch(ENV, "pod-a", None).await.unwrap_err();
    assert!(matches!(late, StoreError::Moved { .. }), "{late}");
    assert_eq!(late.kind(), ErrorKind::Transient);
    assert_eq!(row().await, (Some(KEEPER.into()), 0), "nobody is fenced out");
    assert_eq!(bed.store.raise_epoch(ENV, "pod-a", Some(KEEPER)).await.unwrap(), 1);

    // A leader of before takes nothing over.
    let other = "prod-eu/sower/production";
    assert_eq!(bed.raise_epoch("pod-b").await, 2);
    let late = bed.store.claim_under(ENV, other, true, Some(1)).await.unwrap_err();
    assert!(matches!(late, StoreError::Fenced { epoch: 1, found: 2, .. }), "{late}");
    assert_eq!(row().await, (Some(KEEPER.into()), 2));
    let fence = bed.store.claim_under(ENV, other, true, Some(2)).await.unwrap();
    assert_eq!(row().await, (Some(other.into()), 2));

    // And nothing anew, where all of it was deleted meanwhile.
    bed.store.delete_environment(&fence).await.unwrap();
    let late = bed.begin_with(&fence).await.unwrap_err();
    assert_eq!(late.to_string(), "production is not in this database any more, or nobody keeps it");
    let late = bed.store.claim_under(ENV, other, false, Some(2)).await.unwrap_err();
    assert!(matches!(late, StoreError::Gone { .. }), "{late}");
    assert!(bed.store.environment(ENV).await.unwrap().is_none());
}

async fn a_plan_on_an_older_seeding_is_stale(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let old = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let first = bed.begin_with(&old).await.unwrap();
    bed.apply(&first, vec![create("slack", &slack)]).await.unwrap();
    let error = bed.begin_with(&old).await.unwrap_err();
    assert_eq!(error.to_string(), "seeding 1 of production came first; this one stands on 0");
    let error = bed.apply(&first, vec![create("other", &slack)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Stale { base: 0, found: 1, .. }), "{error}");
}

async fn a_raised_epoch_ends_the_seeding_of_the_one_before(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let seeding = bed.begin().await.unwrap();
    assert_eq!(bed.raise_epoch("pod-b").await, 1);
    let error = bed.apply(&seeding, vec![create("slack", &slack)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Fenced { epoch: 0, found: 1, .. }), "{error}");
    assert_eq!(bed.count("integration_definitions").await, 0);
    // The new leader finds no seeding running, and goes on.
    assert_eq!(bed.ask("SELECT status FROM seeding_logs").await, ["failed"]);
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    assert_eq!(bed.ask("SELECT epoch FROM seeding_logs ORDER BY id").await, ["0", "1"]);
    // An environment that is not there yet gets its first epoch.
    assert_eq!(bed.store.raise_epoch("new", "pod-b", None).await.unwrap(), 1);
    assert_eq!(bed.store.claim("new", KEEPER, false).await.unwrap().epoch, 1);
}

async fn a_seeding_that_was_closed_cannot_commit(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let first = bed.begin_with(&fence).await.unwrap();
    let second = bed.begin_with(&fence).await.unwrap();
    let error = bed.apply(&first, vec![create("slack", &slack)]).await.unwrap_err();
    assert!(matches!(error, StoreError::Superseded { .. }), "{error}");
    assert_eq!(bed.count("action_registry").await, 0);
    bed.store.fail(&first, error.code(), &error.to_string()).await.unwrap();
    bed.apply(&second, vec![create("slack", &slack)]).await.unwrap();
    assert_eq!(bed.ask("SELECT status FROM seeding_logs ORDER BY id").await, ["failed", "completed"]);
}

async fn what_was_left_running_is_closed(bed: Bed) {
    let seeding = bed.begin().await.unwrap();
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!(row.running, Some(seeding.id.clone()));
    bed.raise_epoch("another").await;
    assert_eq!(bed.store.environment(ENV).await.unwrap().unwrap().running, None);
    let log = bed.store.history(None, 5).await.unwrap();
    assert_eq!(
        (log[0].status, &*log[0].errors[0].message),
        (LogStatus::Failed, "interrupted; nothing written")
    );
}

async fn of_many_at_once_one_wins(bed: Bed) {
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let seedings = (0..6).map(|n| {
        let (bed, fence) = (&bed, &fence);
        async move {
            let id = format!("app-{n}");
            let seeding = bed.begin_with(fence).await?;
            bed.apply(&seeding, vec![create(&id, &manifest(&id, "1.0.0", 20))]).await
        }
    });
    let ended = futures::future::join_all(seedings).await;
    let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1, "{lost:?}");
    for error in lost {
        assert!(matches!(error, Err(StoreError::Stale { .. } | StoreError::Superseded { .. })), "{error:?}");
    }
    assert_eq!((bed.count("integration_definitions").await, bed.count("action_registry").await), (1, 20));
}
