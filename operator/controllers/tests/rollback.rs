//! Laws of rollbacks, on random histories: what is current again is what there was, no later seeding undoes it, and forward
//! again all is as it was before.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to stop")]

mod kit;

use std::collections::BTreeMap;

use kit::{Kit, manifest};
use sower_controllers::seeding::{Job, RolledBack, Seeded};
use sower_core::report::Outcome;

const ENV: &str = "production";
const IDS: [&str; 4] = ["a", "b", "c", "d"];
const SEEDINGS: usize = 5;

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % end
    }
}

type Rows = BTreeMap<String, (String, String)>;

fn contents(rows: &Rows) -> BTreeMap<&str, &str> {
    rows.iter().map(|(id, (content, _))| (id.as_str(), content.as_str())).collect()
}

/// Some of the integrations come, change, go, or become again what they were.
fn change(kit: &Kit, random: &mut Random, versions: &mut [u64; 4], step: usize) {
    for (index, id) in IDS.into_iter().enumerate() {
        // What is gone back to was carried before: a lower version that never was is a conflict, and stays out.
        match if step == 0 { 3 } else { random.below(5) } {
            0 => kit.remove(id),
            1 | 2 => {
                versions[index] += 1;
                let actions = ["one", "two", "three"];
                let some = &actions[..1 + usize::try_from(random.below(3)).expect("small")];
                kit.write(id, &manifest(id, &format!("1.{}.0", versions[index]), some));
            }
            3 => kit.write(id, &manifest(id, "1.0.0", &["one"])),
            _ => {}
        }
    }
    kit.write("z", &manifest("z", &format!("1.{step}.0"), &["one"]));
    kit.commit(&format!("step {step}"));
}

#[tokio::test]
async fn a_rollback_gives_what_there_was_and_its_undoing_what_there_is() {
    for seed in 1..=10u64 {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let strategy = ["full", "incremental"][usize::try_from(seed % 2).expect("small")];
        let spec = format!("{{\"seedingStrategy\": \"{strategy}\", \"pruneLimit\": \"100%\"}}");
        let kit = Kit::new().await;
        let mut after: Vec<Rows> = Vec::new();
        let mut versions = [0; 4];
        for step in 0..SEEDINGS {
            change(&kit, &mut random, &mut versions, step);
            kit.seed(ENV, &spec).await;
            after.push(kit.catalog(ENV).await);
        }
        let now = kit.catalog(ENV).await;
        let open = kit.store.open_conflicts(Some(ENV)).await.unwrap();
        let to = 1 + usize::try_from(random.below(SEEDINGS as u64 - 1)).expect("small");
        let done = kit.roll_back(ENV, &to.to_string()).await.unwrap();
        let RolledBack::Applied { plan, .. } = &done else { panic!("seed {seed}: z changed each time") };
        let back = kit.catalog(ENV).await;
        let then = &after[to - 1];
        assert_eq!(contents(&back), contents(then), "seed {seed}, back to {to}");
        for operation in plan.operations.iter().filter(|operation| operation.to.is_some()) {
            let key = format!("integration_definitions {}", operation.id);
            assert_eq!(back[&key], then[&key], "seed {seed}: where {} came from", operation.id);
        }

        // No later seeding undoes it, however it is asked for.
        let whole = kit.job(ENV, &spec);
        for job in [
            whole.clone(),
            Job { reseed: true, ..whole.clone() },
            Job { only: Some(IDS.map(str::to_owned).into()), ..whole.clone() },
            kit.job(ENV, &spec.replace("}", ", \"conflicts\": {\"version\": \"override\"}}")),
            whole.clone(),
        ] {
            let seeded = kit.run(&job).await.unwrap();
            let found = kit.catalog(ENV).await;
            assert_eq!(contents(&found), contents(then), "seed {seed}: {seeded:?}");
        }
        let again = kit.run(&whole).await.unwrap();
        assert!(matches!(&again, Seeded::Unchanged { planned: None, .. }), "seed {seed}: a no-op again");
        assert_eq!(again.report().quarantined.is_empty(), plan.operations.is_empty());

        // Back to the last one is another way forward; undone, it is this way.
        let last = kit.roll_back(ENV, &SEEDINGS.to_string()).await.unwrap();
        assert!(last.seeding().is_some(), "seed {seed}");
        assert_eq!(contents(&kit.catalog(ENV).await), contents(&now), "seed {seed}");
        kit.roll_back(ENV, &to.to_string()).await.unwrap();
        let RolledBack::AskedBack(asked) = kit.roll_back(ENV, "undo").await.unwrap() else { panic!() };
        assert!(!asked.is_empty());
        let seeded = kit.seed(ENV, &spec).await;
        assert_eq!(seeded.report().status, Outcome::Completed, "seed {seed}: {seeded:?}");
        assert_eq!(contents(&kit.catalog(ENV).await), contents(&now), "seed {seed}: forward again");
        assert!(kit.store.quarantined(Some(ENV)).await.unwrap().iter().all(|q| q.asked_back_at.is_some()));
        assert_eq!(kit.store.open_conflicts(Some(ENV)).await.unwrap().len(), open.len(), "seed {seed}");
        let next = kit.seed(ENV, &spec).await;
        assert_eq!(next.report().status, Outcome::Unchanged, "seed {seed}: {next:?}");
    }
}

/// A change of another integration does not read the catalog, and leaves the quarantine as it is.
#[tokio::test]
async fn a_small_change_is_planned_narrowly_beside_a_quarantine() {
    let kit = Kit::new().await;
    let spec = "{\"seedingStrategy\": \"incremental\"}";
    for id in IDS {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    kit.seed(ENV, spec).await;
    kit.write("a", &manifest("a", "1.1.0", &["one"]));
    kit.commit("a");
    kit.seed(ENV, spec).await;
    kit.roll_back(ENV, "a=1.0.0").await.unwrap();
    let settled = kit.seed(ENV, spec).await;
    assert_eq!(
        (settled.report().status, settled.report().quarantined.clone()),
        (Outcome::Unchanged, vec!["a".into()])
    );

    kit.write("b", &manifest("b", "1.1.0", &["one"]));
    kit.commit("b");
    let narrow = kit.seed(ENV, spec).await;
    let planned = narrow.planned().unwrap();
    assert!(planned.carried_beyond() > 0, "it looked at some alone");
    assert_eq!((narrow.report().updated, narrow.report().quarantined.clone()), (1, vec!["a".into()]));
    kit.write("a", &manifest("a", "1.2.0", &["one"]));
    kit.commit("a again");
    let taken = kit.seed(ENV, spec).await;
    assert_eq!((taken.report().updated, taken.report().quarantined.len()), (1, 0));
    assert!(kit.store.quarantined(Some(ENV)).await.unwrap().is_empty());
    assert!(matches!(kit.seed(ENV, spec).await, Seeded::Unchanged { planned: None, .. }));
}

/// Git goes back to what there is: the quarantine ends without a seeding.
#[tokio::test]
async fn a_revert_to_what_there_is_ends_the_quarantine() {
    let kit = Kit::new().await;
    for version in ["1.0.0", "1.1.0"] {
        kit.write("a", &manifest("a", version, &["one"]));
        kit.commit(version);
        kit.seed(ENV, "{}").await;
    }
    kit.roll_back(ENV, "1").await.unwrap();
    kit.seed(ENV, "{}").await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("revert");
    let settled = kit.seed(ENV, "{}").await;
    assert_eq!((settled.report().status, settled.report().quarantined.len()), (Outcome::Unchanged, 0));
    assert!(kit.store.quarantined(Some(ENV)).await.unwrap().is_empty());
    kit.write("a", &manifest("a", "1.1.0", &["one"]));
    kit.commit("again");
    assert_eq!(kit.seed(ENV, "{}").await.report().updated, 1);
}

/// What a rollback brought back goes where the spec's lists leave it out, and no rollback brings it.
#[tokio::test]
async fn lists_win_over_a_deletion_that_was_rolled_back() {
    let (kit, open, blocked) = (
        Kit::new().await,
        "{\"pruneLimit\": \"100%\"}",
        "{\"pruneLimit\": \"100%\", \"blockedIntegrations\": [\"a\"]}",
    );
    for id in ["a", "b"] {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    kit.seed(ENV, open).await;
    kit.remove("a");
    kit.commit("tidy up");
    kit.seed(ENV, open).await;
    kit.roll_back(ENV, "1").await.unwrap();
    assert_eq!(kit.seed(ENV, open).await.report().quarantined, ["a"]);
    assert_eq!(kit.rows(ENV).await.len(), 2);
    assert_eq!(kit.seed(ENV, blocked).await.report().deleted, 1);
    assert_eq!(kit.rows(ENV).await.len(), 1);
}
