//! Approvals on a real repository and a real SQLite file: exactly the plan that was approved, once, or nothing.

mod kit;

use kit::{Kit, manifest};
use sower_controllers::seeding::{Approval, Approved, Refusal, Seeded, Stale};
use sower_core::gate::HeldReason;
use sower_core::plan::KeptWhy;
use sower_store::PlanStatus;

const MANUAL: &str = "{\"approval\": \"Manual\"}";

fn approval(hash: &str) -> Approval {
    Approval::new(hash, "Ada").expect("a hash")
}

/// The hash of the plan that is held.
fn held(seeded: &Seeded) -> String {
    let Seeded::Held { planned, held, .. } = seeded else { panic!("{seeded:?}") };
    assert!(held.reason.is_approvable(), "{held:?}");
    planned.plan.hash.clone()
}

fn refused(approved: Approved) -> Refusal {
    let Approved::Refused(refusal) = approved else { panic!("{approved:?}") };
    refusal
}

/// One integration is seeded, and an update of it waits.
async fn waiting() -> (Kit, String) {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    let first = held(&kit.seed("production", MANUAL).await);
    assert!(kit.rows("production").await.is_empty());
    let approved = kit.approve("production", MANUAL, &approval(&first[..12])).await;
    assert!(matches!(approved, Approved::Applied(_)), "{approved:?}");
    kit.write("a", &manifest("a", "1.1.0", &["one", "two"]));
    kit.commit("second");
    let second = held(&kit.seed("production", MANUAL).await);
    (kit, second)
}

async fn versions(kit: &Kit) -> Vec<String> {
    kit.rows("production").await.into_iter().map(|(_, version, _)| version).collect()
}

#[tokio::test]
async fn exactly_the_approved_plan_is_applied_once_whatever_was_pushed_since() {
    let (kit, second) = waiting().await;
    let before = kit.store.environment("production").await.unwrap();
    assert_eq!(held(&kit.seed("production", MANUAL).await), second);
    let again = kit.store.environment("production").await.unwrap();
    assert_eq!(before.as_ref().map(|row| row.seq), again.as_ref().map(|row| row.seq));
    let kept = kit.store.waiting("production").await.unwrap();
    assert_eq!(held(&kit.seed("production", MANUAL).await), second);
    assert_eq!(kit.store.waiting("production").await.unwrap(), kept, "the same plan is the same row");

    for minor in 2..8 {
        kit.write("a", &manifest("a", &format!("1.{minor}.0"), &["one", "three"]));
        kit.write("b", &manifest("b", "1.0.0", &["one"]));
        kit.commit("more");
        assert_ne!(held(&kit.seed("production", MANUAL).await), second);
    }
    assert_eq!(kit.store.waiting("production").await.unwrap().len(), 7);
    let Approved::Applied(seeded) = kit.approve("production", MANUAL, &approval(&second)).await else {
        panic!("not applied");
    };
    let report = seeded.report();
    assert_eq!((report.updated, report.created, report.seeding.as_deref()), (1, 0, Some("production-2")));
    let rows = kit.rows("production").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0].1, "1.1.0");
    assert!(rows[0].2.contains("\"two\""), "{rows:?}");

    let log = kit.store.history(Some("production"), 10).await.unwrap();
    let reason = format!("push: \"second\" (Ada); plan {} approved by Ada", &second[..12]);
    assert_eq!(log[0].reason, reason);
    let plan = kit.store.plan("production", &second).await.unwrap().expect("known");
    assert_eq!(
        (plan.status, plan.approved_by.as_deref(), plan.seeding),
        (PlanStatus::Applied, Some("Ada"), Some(2))
    );
    let row = kit.store.environment("production").await.unwrap().expect("a row");
    assert_eq!(row.applied, plan.applied, "the applied revision is the plan's own");
    assert!(kit.store.waiting("production").await.unwrap().is_empty(), "all others are stale");

    let again = kit.approve("production", MANUAL, &approval(&second)).await;
    assert!(matches!(again, Approved::Before { seeding: Some(2), .. }), "{again:?}");
    let newest = held(&kit.seed("production", MANUAL).await);
    let Approved::Applied(seeded) = kit.approve("production", MANUAL, &approval(&newest)).await else {
        panic!("not applied");
    };
    assert_eq!((seeded.report().created, seeded.report().updated), (1, 1));
    // What was applied is what a whole plan finds: nothing is left to do.
    let settled = kit.seed("production", MANUAL).await;
    assert!(matches!(settled, Seeded::Unchanged { .. }), "{settled:?}");
    let before = kit.store.environment("production").await.unwrap();
    let noop = kit.seed("production", MANUAL).await;
    assert!(matches!(noop, Seeded::Unchanged { planned: None, .. }), "{noop:?}");
    assert_eq!(kit.store.environment("production").await.unwrap(), before);
    assert_eq!(kit.count("seeding_plan_operations").await, 0);
    assert_eq!(kit.count("seeding_plan_contents").await, 0);
}

#[tokio::test]
async fn a_plan_is_stale_after_another_seeding() {
    let (kit, second) = waiting().await;
    kit.write("a", &manifest("a", "1.2.0", &["one"]));
    kit.commit("third");
    let third = held(&kit.seed("production", MANUAL).await);
    kit.approve("production", MANUAL, &approval(&third)).await;
    let refusal = refused(kit.approve("production", MANUAL, &approval(&second)).await);
    assert!(matches!(refusal.why, Stale::Seeded { number: 2, at: Some(_) }), "{refusal:?}");
    assert_eq!(refusal.told(), format!("plan {} is stale: seeding 2 came first", &second[..12]));
    assert_eq!(versions(&kit).await, ["1.2.0"]);
}

#[tokio::test]
async fn a_plan_is_stale_when_the_spec_changed() {
    let (kit, second) = waiting().await;
    let changed = "{\"approval\": \"Manual\", \"blockedIntegrations\": [\"z\"]}";
    let refusal = refused(kit.approve("production", changed, &approval(&second)).await);
    assert_eq!(refusal.why, Stale::Spec);
    assert_ne!(held(&kit.seed("production", changed).await), second, "made anew, it is another plan");
    // What says when something is done is no change.
    let frozen = "{\"approval\": \"Manual\", \"interval\": \"1h\"}";
    assert!(matches!(kit.approve("production", frozen, &approval(&second)).await, Approved::Applied(_)));
}

#[tokio::test]
async fn a_plan_is_stale_when_its_commit_left_the_ref() {
    let (kit, second) = waiting().await;
    kit.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    kit.write("a", &manifest("a", "1.5.0", &["one"]));
    kit.commit("instead");
    let refusal = refused(kit.approve("production", MANUAL, &approval(&second)).await);
    assert!(matches!(refusal.why, Stale::Commit { .. }), "{refusal:?}");
    assert_eq!(versions(&kit).await, ["1.0.0"]);
    let anew = held(&kit.seed("production", MANUAL).await);
    assert_ne!(anew, second);
    let again = refused(kit.approve("production", MANUAL, &approval(&second)).await);
    assert_eq!(again.why, Stale::Earlier);
    assert!(matches!(kit.approve("production", MANUAL, &approval(&anew)).await, Approved::Applied(_)));
    assert_eq!(versions(&kit).await, ["1.5.0"]);
}

#[tokio::test]
async fn a_plan_is_stale_when_a_row_it_touches_was_changed_by_hand() {
    for (sql, seen) in [
        ("UPDATE action_registry SET name = 'By hand' WHERE id = 'a/one'", true),
        ("DELETE FROM action_registry WHERE id = 'a/one'", true),
        // Made to fit: only that it is not what it was can be told.
        ("UPDATE integration_definitions SET seeding = seeding || 'x' WHERE id = 'a'", false),
    ] {
        let (kit, second) = waiting().await;
        kit.sql(sql).await;
        let refusal = refused(kit.approve("production", MANUAL, &approval(&second)).await);
        assert_eq!(refusal.why, Stale::Rows { integrations: vec!["a".into()] }, "{sql}");
        assert_eq!(versions(&kit).await, ["1.0.0"]);
        let log = kit.store.history(Some("production"), 10).await.unwrap();
        assert_eq!(log.iter().filter_map(|l| l.seq).collect::<Vec<_>>(), [1]);
        let anew = held(&kit.seed("production", MANUAL).await);
        assert_eq!(anew != second, seen, "{sql}");
        assert_eq!(
            held(&kit.seed("production", MANUAL).await),
            anew,
            "it stays the same while nothing changes"
        );
        let applied = kit.approve("production", MANUAL, &approval(&anew)).await;
        assert!(matches!(applied, Approved::Applied(_)), "{applied:?}");
        assert_eq!(versions(&kit).await, ["1.1.0"]);
    }
}

#[tokio::test]
async fn an_approval_lets_a_plan_through_that_the_prune_limit_holds() {
    let kit = Kit::new().await;
    for id in ["a", "b", "c"] {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    kit.seed("production", "{}").await;
    for id in ["a", "b"] {
        kit.remove(id);
    }
    kit.commit("tidy up");
    let seeded = kit.seed("production", "{}").await;
    let Seeded::Held { held: guard, .. } = &seeded else { panic!("{seeded:?}") };
    assert_eq!(guard.reason, HeldReason::PruneLimitExceeded);
    let hash = held(&seeded);
    // The branch moves on, and asks for more.
    kit.write("c", &manifest("c", "1.1.0", &["one"]));
    kit.commit("more");
    held(&kit.seed("production", "{}").await);
    assert!(matches!(kit.approve("production", "{}", &approval(&hash)).await, Approved::Applied(_)));
    assert_eq!(versions(&kit).await, ["1.0.0"]);
    assert_eq!(kit.seed("production", "{}").await.report().updated, 1, "the rest needs no approval");
}

#[tokio::test]
async fn an_approved_plan_waits_for_the_end_of_a_freeze() {
    let (kit, second) = waiting().await;
    let frozen = "{\"approval\": \"Manual\", \"freezeWindows\": [{\"schedule\": \"* * * * *\", \"duration\": \"1h\"}]}";
    let waits = kit.approve("production", frozen, &approval(&second)).await;
    let Approved::Waits(Seeded::Held { held, .. }) = &waits else { panic!("{waits:?}") };
    assert_eq!(held.reason, HeldReason::Frozen);
    let still = kit.seed("production", frozen).await;
    let Seeded::Held { held, planned, .. } = &still else { panic!("{still:?}") };
    assert_eq!((held.reason, &planned.plan.hash), (HeldReason::Frozen, &second));
    kit.write("a", &manifest("a", "1.2.0", &["one"]));
    kit.commit("third");
    // What is pushed meanwhile makes the next plan.
    let third = self::held(&kit.seed("production", frozen).await);
    assert_ne!(third, second);
    assert_eq!(kit.store.environment("production").await.unwrap().map(|row| row.seq), Some(1));
    // Without another word: the approval was remembered.
    let thawed = kit.seed("production", MANUAL).await;
    assert!(matches!(thawed, Seeded::Applied { .. }), "{thawed:?}");
    assert_eq!(versions(&kit).await, ["1.1.0"]);
    let plan = kit.store.plan("production", &second).await.unwrap().expect("known");
    assert_eq!(plan.approved_by.as_deref(), Some("Ada"));
}

#[tokio::test]
async fn what_was_planned_just_now_is_applied_without_being_kept() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    let hash = kit.plan("production", "{}").await.plan.hash;
    assert_eq!(kit.count("seeding_plans").await, 0);
    kit.write("a", &manifest("a", "1.1.0", &["one"]));
    kit.commit("second");
    let refusal = refused(kit.approve("production", "{}", &approval(&hash)).await);
    let newest = kit.plan("production", "{}").await.plan.hash;
    assert_eq!((refusal.why, refusal.current.as_ref()), (Stale::Unknown, Some(&newest)));
    assert!(kit.rows("production").await.is_empty());
    assert!(matches!(kit.approve("production", "{}", &approval(&newest)).await, Approved::Applied(_)));
    assert_eq!(versions(&kit).await, ["1.1.0"]);
    let again = kit.approve("production", "{}", &approval(&newest)).await;
    assert!(matches!(again, Approved::Before { seeding: Some(1), .. }), "{again:?}");
    for wrong in ["", "7c1e", "7c1e09b4d2f8z", "not a hash at all"] {
        assert_eq!(Approval::new(wrong, "Ada"), None, "{wrong}");
    }
}

#[tokio::test]
async fn a_policy_keeps_out_what_its_version_does_not_announce() {
    let deny = "{\"policy\": {\"semver\": \"deny\"}}";
    let kit = Kit::new().await;
    for id in ["a", "b"] {
        kit.write(id, &manifest(id, "1.0.0", &["one", "two"]));
    }
    kit.commit("first");
    kit.seed("production", deny).await;
    kit.write("a", &manifest("a", "1.1.0", &["one"]));
    kit.write("b", &manifest("b", "1.1.0", &["one", "two", "three"]));
    kit.commit("second");
    for _ in 0..2 {
        let seeded = kit.seed("production", deny).await;
        let errors = &seeded.report().errors;
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(
            (errors[0].code.as_str(), errors[0].integration.as_deref()),
            ("understated-version", Some("a"))
        );
        assert!(errors[0].message.contains("its version should be 2.0.0"), "{errors:?}");
        assert_eq!(versions(&kit).await, ["1.0.0", "1.1.0"]);
        if let Some(planned) = seeded.planned() {
            assert!(planned.plan.kept.iter().any(|kept| kept.why == KeptWhy::Understated));
        }
    }
    kit.write("a", &manifest("a", "2.0.0", &["one"]));
    kit.commit("third");
    assert!(kit.seed("production", deny).await.report().errors.is_empty());
    assert_eq!(versions(&kit).await, ["2.0.0", "1.1.0"]);
}

const FROZEN: &str =
    "{\"approval\": \"Manual\", \"freezeWindows\": [{\"schedule\": \"* * * * *\", \"duration\": \"1h\"}]}";

#[tokio::test]
async fn a_newer_approval_takes_the_place_of_one_that_waits() {
    let (kit, second) = waiting().await;
    kit.approve("production", FROZEN, &approval(&second)).await;
    kit.write("a", &manifest("a", "1.2.0", &["one"]));
    kit.commit("third");
    let third = held(&kit.seed("production", FROZEN).await);
    assert!(matches!(kit.approve("production", FROZEN, &approval(&third)).await, Approved::Waits(_)));
    assert!(matches!(kit.seed("production", MANUAL).await, Seeded::Applied { .. }));
    assert_eq!(versions(&kit).await, ["1.2.0"]);
}

#[tokio::test]
async fn an_approval_that_waits_can_be_withdrawn() {
    let (kit, second) = waiting().await;
    kit.approve("production", FROZEN, &approval(&second)).await;
    let job = kit.job("production", FROZEN);
    kit.seeder.withdraw(&kit.store, &job, Some(&second[..12])).await.unwrap();
    let approved = || async { kit.store.environment("production").await.unwrap().expect("a row").approved };
    assert_eq!(approved().await.as_ref(), Some(&second), "it is said still");
    for said in [Some("0123456789ab"), None] {
        kit.approve("production", FROZEN, &approval(&second)).await;
        kit.seeder.withdraw(&kit.store, &job, said).await.unwrap();
        assert_eq!(approved().await, None);
    }
    assert_eq!(held(&kit.seed("production", MANUAL).await), second, "it waits for another word");
}

#[tokio::test]
async fn an_approval_during_a_freeze_is_kept_although_nobody_has_to_approve() {
    let frozen = "{\"freezeWindows\": [{\"schedule\": \"* * * * *\", \"duration\": \"1h\"}]}";
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    let first = kit.plan("production", frozen).await.plan.hash;
    assert!(matches!(kit.approve("production", frozen, &approval(&first)).await, Approved::Waits(_)));
    kit.write("a", &manifest("a", "1.1.0", &["one"]));
    kit.commit("second");
    assert!(matches!(kit.seed("production", frozen).await, Seeded::Held { .. }));
    assert!(matches!(kit.seed("production", "{}").await, Seeded::Applied { .. }));
    assert_eq!(versions(&kit).await, ["1.0.0"], "exactly what was approved");
    assert!(matches!(kit.seed("production", "{}").await, Seeded::Applied { .. }));
    assert_eq!(versions(&kit).await, ["1.1.0"]);
}

#[tokio::test]
async fn what_was_rolled_back_from_again_comes_by_no_plan_that_waits() {
    let (kit, second) = waiting().await;
    assert!(matches!(kit.approve("production", MANUAL, &approval(&second)).await, Approved::Applied(_)));
    assert_eq!(kit.roll_back("production", "1").await.unwrap().seeding(), Some(3));
    kit.roll_back("production", "undo").await.unwrap();
    let again = held(&kit.seed("production", MANUAL).await);
    kit.approve("production", FROZEN, &approval(&again)).await;
    assert_eq!(kit.roll_back("production", "1").await.unwrap().seeding(), None, "it is so already");
    assert!(matches!(kit.seed("production", MANUAL).await, Seeded::Unchanged { .. }));
    refused(kit.approve("production", MANUAL, &approval(&again)).await);
    assert_eq!(versions(&kit).await, ["1.0.0"]);
    let kept_out = kit.store.quarantined(Some("production")).await.unwrap();
    assert_eq!(kept_out.iter().filter(|kept| kept.asked_back_at.is_none()).count(), 1, "{kept_out:?}");
}

#[tokio::test]
async fn an_approved_merge_leaves_hand_edits_of_others_as_they_are() {
    let spec = "{\"approval\": \"Manual\", \"conflicts\": {\"version\": \"merge\"}, \"drift\": {\"mode\": \"Warn\"}}";
    let kit = Kit::new().await;
    for id in ["a", "b"] {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    let first = held(&kit.seed("production", spec).await);
    assert!(matches!(kit.approve("production", spec, &approval(&first)).await, Approved::Applied(_)));
    kit.sql("UPDATE action_registry SET name = 'By hand' WHERE name <> ''").await;
    // Of `a` the version stays: that is a conflict, and is merged. `b` moves on as it should.
    kit.write("a", &manifest("a", "1.0.0", &["one", "two"]));
    kit.write("b", &manifest("b", "1.1.0", &["one", "two"]));
    kit.commit("second");
    let second = held(&kit.seed("production", spec).await);
    let approved = kit.approve("production", spec, &approval(&second)).await;
    assert!(matches!(approved, Approved::Applied(_)), "{approved:?}");
    assert_eq!(kit.count("action_registry").await, 4);
    let by_hand = "action_registry WHERE name = 'By hand' AND id IN ('a/one', 'b/one')";
    assert_eq!(kit.count(by_hand).await, 2, "one was merged, the other is drift as before");
}
