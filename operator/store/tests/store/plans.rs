//! Plans that wait: one row each, applied once, and only while the rows that they touch are what they were.

use std::sync::Arc;

use serde_json::{Map, Value};
use sower_core::plan::{Operation, Plan};
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    the_same_plan_is_one_row_and_its_contents_are_shared,
    a_plan_is_applied_once_from_its_own_contents,
    rows_that_changed_since_are_noticed,
    a_seeding_makes_the_plans_before_it_stale,
    plans_are_bounded_in_number,
);

type Wanted = Vec<(Operation, Option<Arc<str>>)>;

fn hash(n: u32) -> String {
    format!("{n:064x}")
}

async fn pin(bed: &Bed, n: u32, base: i64, wanted: &Wanted) -> Result<Pinned, StoreError> {
    let ids: Vec<&str> = wanted.iter().map(|(operation, _)| operation.id.as_str()).collect();
    let operations: Vec<Operation> = wanted.iter().map(|(operation, _)| operation.clone()).collect();
    let pinned = Pinned {
        plan: Plan {
            environment: ENV.into(),
            hash: hash(n),
            base,
            scope: None,
            operations,

            put_back: std::collections::BTreeSet::new(),
            unchanged: 2,
            processed: 3,
            conflicts: vec![conflict("slack", "f", sower_core::plan::Resolution::Skip)],
            excluded: Vec::new(),
            kept: Vec::new(),
            lifted: Vec::new(),
            deprecated: Vec::new(),
        },
        observed: bed.store.observe(ENV, &ids).await?,
        guard: "ApprovalRequired".into(),
        spec_digest: "spec".into(),
        applied: applied("a"),
        summary: Value::Object(Map::new()),
        errors: Vec::new(),
        metadata: Map::new(),
        reason: "push".into(),
        reseed: false,
        mend: sower_core::drift::Mend::NOTHING,
        merged: std::collections::BTreeSet::new(),
    };
    let fence = bed.store.claim(ENV, KEEPER, false).await?;
    let fence = Fence { base, as_of: None, ..fence };
    if let Some(unpinned) = bed.store.unpinned(&pinned).await? {
        let contents = wanted.iter().filter(|(operation, _)| unpinned.missing.contains(&operation.id));
        let contents = contents.filter_map(|(o, manifest)| Some((o.id.clone(), manifest.clone()?))).collect();
        bed.store.pin(&fence, &pinned, &unpinned, &contents).await?;
    }
    Ok(pinned)
}

/// Applies a plan that waits, as it was pinned.
async fn apply(bed: &Bed, pinned: &Pinned) -> Result<Applied, StoreError> {
    let fence = bed.store.claim(ENV, KEEPER, false).await?;
    let seeding = bed.begin_with(&Fence { base: pinned.plan.base, as_of: None, ..fence }).await?;
    let bare: Wanted = pinned.plan.operations.iter().map(|operation| (operation.clone(), None)).collect();
    let touched: Vec<&str> = pinned.plan.operations.iter().map(|operation| operation.id.as_str()).collect();
    let (applied, summary) = (applied("a"), Value::Null);
    let spend = Spend {
        hash: &pinned.plan.hash,
        observed: Some(&pinned.observed),
        touched: &touched,
        spec_digest: "spec",
        by: "Ada",
        pinned: true,
    };
    let write = Write { spend: Some(spend), plans_wait: true, ..write(&bare, &applied, &summary) };
    let done = bed.store.apply(&seeding, write).await;
    if let Err(error) = &done {
        bed.store.fail(&seeding, error.code(), &error.to_string()).await?;
    }
    done
}

async fn the_same_plan_is_one_row_and_its_contents_are_shared(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    let wanted = vec![create("slack", &slack)];
    let pinned = pin(&bed, 1, 0, &wanted).await.unwrap();
    let before = bed.store.waiting(ENV).await.unwrap();
    pin(&bed, 1, 0, &wanted).await.unwrap();
    pin(&bed, 2, 0, &wanted).await.unwrap();
    let waiting = bed.store.waiting(ENV).await.unwrap();
    assert_eq!((before.len(), waiting.len()), (1, 2));
    assert!(waiting.contains(&before[0]));
    assert_eq!(bed.count("seeding_plan_contents").await, 1);
    assert_eq!(bed.store.pinned(ENV, &hash(1)).await.unwrap(), Some(pinned));
    assert_eq!(bed.store.plan(ENV, &hash(1)[..12]).await.unwrap(), None, "two begin so");
    assert_eq!(bed.store.plan(ENV, &hash(1)).await.unwrap().map(|plan| plan.counts), Some((1, 0, 0)));
    assert_eq!(bed.store.plan(ENV, "%").await.unwrap(), None);
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!((row.waiting, row.approved), (2, None));
    let fence = Fence { as_of: None, ..bed.store.claim(ENV, KEEPER, false).await.unwrap() };
    bed.store.remember_approval(&fence, &hash(2), "Ada").await.unwrap();
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!((row.waiting, row.approved), (2, Some(hash(2))));
    bed.store.drop_plan(&fence, &hash(2)).await.unwrap();
    let row = bed.store.environment(ENV).await.unwrap().unwrap();
    assert_eq!((row.waiting, row.approved), (1, None));
}

async fn a_plan_is_applied_once_from_its_own_contents(bed: Bed) {
    let (slack, newer) = (manifest("slack", "1.0.0", 2), manifest("slack", "1.1.0", 3));
    bed.seed(vec![create("slack", &slack)]).await.unwrap();
    let pinned = pin(&bed, 1, 1, &vec![update("slack", &slack, &newer)]).await.unwrap();
    let done = apply(&bed, &pinned).await.unwrap();
    assert_eq!((done.seq, done.counts.updated, done.counts.actions_created), (2, 1, 1));
    assert_eq!(&*bed.store.integration(ENV, "slack").await.unwrap().unwrap().manifest, &*newer);
    let plan = bed.store.plan(ENV, &hash(1)).await.unwrap().unwrap();
    assert_eq!(
        (plan.status, plan.seeding, plan.approved_by.as_deref()),
        (PlanStatus::Applied, Some(2), Some("Ada"))
    );
    assert!(matches!(apply(&bed, &pinned).await, Err(StoreError::Stale { base: 1, found: 2, .. })));
    for table in ["seeding_plan_operations", "seeding_plan_contents"] {
        assert_eq!(bed.count(table).await, 0, "{table}");
    }
}

async fn rows_that_changed_since_are_noticed(bed: Bed) {
    let (slack, newer) = (manifest("slack", "1.0.0", 2), manifest("slack", "1.1.0", 3));
    let other = manifest("other", "1.0.0", 1);
    bed.seed(vec![create("slack", &slack), create("other", &other)]).await.unwrap();
    let ids = ["slack", "other", "nobody"];
    let first = bed.store.observe(ENV, &ids).await.unwrap();
    assert_eq!(first.len(), 2);
    assert!(bed.store.unsound(ENV, &ids).await.unwrap().is_empty());
    let wanted = vec![update("slack", &slack, &newer)];
    for (n, sql) in [
        "UPDATE action_registry SET name = 'By hand' WHERE id = 'slack/act-0'",
        "DELETE FROM trigger_registry WHERE integration_id = 'slack'",
        "UPDATE integration_definitions SET author = NULL WHERE id = 'slack'",
    ]
    .into_iter()
    .enumerate()
    {
        let pinned = pin(&bed, u32::try_from(n).unwrap(), 1, &wanted).await.unwrap();
        bed.run(sql).await;
        let error = apply(&bed, &pinned).await.unwrap_err();
        assert!(
            matches!(&error, StoreError::RowsChanged { integrations } if *integrations == ["slack"]),
            "{error}"
        );
        let now = bed.store.observe(ENV, &ids).await.unwrap();
        assert_eq!((now["slack"] == pinned.observed["slack"], now["other"] == first["other"]), (false, true));
        let unsound: Vec<String> = bed.store.unsound(ENV, &ids).await.unwrap().into_iter().collect();
        assert_eq!(unsound, ["slack"], "{sql}");
    }
    assert_eq!(&*bed.store.integration(ENV, "slack").await.unwrap().unwrap().manifest, &*slack);
    // What somebody did beside it is no matter.
    let pinned = pin(&bed, 9, 1, &wanted).await.unwrap();
    bed.run("UPDATE action_registry SET name = 'By hand' WHERE integration_id = 'other'").await;
    apply(&bed, &pinned).await.unwrap();
}

async fn a_seeding_makes_the_plans_before_it_stale(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 2);
    let pinned = pin(&bed, 1, 0, &vec![create("slack", &slack)]).await.unwrap();
    bed.seed(vec![create("other", &manifest("other", "1.0.0", 1))]).await.unwrap();
    assert!(bed.store.waiting(ENV).await.unwrap().is_empty());
    assert!(matches!(apply(&bed, &pinned).await, Err(StoreError::Stale { .. })));
    pin(&bed, 2, 1, &vec![create("slack", &slack)]).await.unwrap();
    let stale = bed.store.plan(ENV, &hash(1)).await.unwrap().map(|plan| plan.status);
    assert_eq!(stale, Some(PlanStatus::Stale));
    assert_eq!(bed.count("seeding_plan_operations").await, 1);
}

async fn plans_are_bounded_in_number(bed: Bed) {
    let slack = manifest("slack", "1.0.0", 1);
    let wanted = vec![create("slack", &slack)];
    pin(&bed, 1, 0, &wanted).await.unwrap();
    bed.run(
        "INSERT INTO seeding_plans (environment, hash, base_seq, spec_digest, guard, revision, status, document, digest, \
         created, updated, deleted, created_at) \
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1030) \
         SELECT p.environment, 'f' || n.i, p.base_seq, p.spec_digest, p.guard, p.revision, p.status, p.document, \
         p.digest, p.created, p.updated, p.deleted, p.created_at FROM seeding_plans p CROSS JOIN n",
    )
    .await;
    assert_eq!(bed.store.waiting(ENV).await.unwrap().len(), 1031);
    pin(&bed, 2, 0, &wanted).await.unwrap();
    let waiting = bed.store.waiting(ENV).await.unwrap();
    assert_eq!(waiting.len(), 1024);
    assert!(waiting.iter().any(|plan| plan.hash == hash(2)), "the newest is there");
}
