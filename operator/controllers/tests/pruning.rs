//! What goes from the sources: moved files are no deletions, what is taken out can come back, and what an annotation keeps
//! stays. On a real repository and a real SQLite file.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to stop")]

mod kit;

use kit::{Kit, manifest};
use sower_controllers::seeding::{Job, Origin, Seeded, SourceInput};
use sower_core::plan::{KeptWhy, Verb};

const STRATEGIES: [&str; 2] = ["full", "incremental"];

fn spec(strategy: &str, more: &str) -> String {
    format!("{{\"seedingStrategy\":\"{strategy}\"{more}}}")
}

/// Every operation as verb and id.
fn operations(seeded: &Seeded) -> Vec<(Verb, &str)> {
    let planned = seeded.planned().into_iter();
    planned.flat_map(|planned| &planned.plan.operations).map(|o| (o.verb, o.id.as_str())).collect()
}

/// Source, path and time of the first coming, by id.
async fn places(kit: &Kit) -> Vec<(String, String, String, String)> {
    let mut places = Vec::new();
    for listed in kit.store.integrations(Some("development")).await.unwrap() {
        let whole = kit.store.integration("development", &listed.id).await.unwrap().unwrap();
        let created = whole.created_at.to_string();
        places.push((listed.id, whole.source.unwrap(), whole.path.unwrap(), created));
    }
    places
}

/// A repository of two integrations, each in a folder of its own, seeded.
async fn seeded(strategy: &str) -> Kit {
    let kit = Kit::new().await;
    for id in ["a", "b"] {
        kit.write(id, &manifest(id, "1.0.0", &["one", "two"]));
    }
    kit.commit("first");
    kit.seed("development", &spec(strategy, "")).await;
    kit
}

#[tokio::test]
async fn a_moved_file_is_a_move() {
    for strategy in STRATEGIES {
        let kit = seeded(strategy).await;
        let before = places(&kit).await;
        kit.remove("a");
        kit.write_file("catalog/other/integration.yaml", &manifest("a", "1.0.0", &["one", "two"]));
        kit.commit("move");
        let moved = kit.seed("development", &spec(strategy, "")).await;
        assert_eq!(operations(&moved), [(Verb::Move, "a")], "{strategy}");
        let after = places(&kit).await;
        assert_eq!(after[0].2, "catalog/other/integration.yaml");
        assert_eq!((&after[0].3, &after[1]), (&before[0].3, &before[1]), "it did not come anew");

        // With other content at once.
        kit.remove("other");
        kit.write_file("catalog/third/integration.yaml", &manifest("a", "1.1.0", &["one", "three"]));
        kit.commit("move and raise");
        let moved = kit.seed("development", &spec(strategy, "")).await;
        assert_eq!(operations(&moved), [(Verb::Update, "a")], "{strategy}");
        let last = places(&kit).await;
        assert_eq!((&*last[0].2, &last[0].3), ("catalog/third/integration.yaml", &before[0].3));
    }
}

fn with_sources(kit: &Kit, strategy: &str, more: &str, names: &[(&str, &str)]) -> Job {
    let mut job = kit.job("development", &spec(strategy, more));
    let origin = Origin::Checkout { dir: kit.repository(), reference: "HEAD".into() };
    job.sources = names
        .iter()
        .map(|(name, path)| SourceInput {
            name: (*name).into(),
            priority: 0,
            path: (*path).into(),
            origin: origin.clone(),
        })
        .collect();
    job
}

#[tokio::test]
async fn a_file_that_moves_to_another_source_and_a_source_that_is_renamed_are_moves() {
    for strategy in STRATEGIES {
        let kit = seeded(strategy).await;
        let before = places(&kit).await;
        let text = |version: &str| {
            manifest("a", version, &["one", "two"]).replace("../shared.json", "../../catalog/shared.json")
        };
        kit.write_file(
            "more/c/integration.yaml",
            &manifest("c", "1.0.0", &["one"]).replace("../shared.json", "../../catalog/shared.json"),
        );
        kit.commit("more");
        let both = [("default", "catalog"), ("more", "more")];
        kit.run(&with_sources(&kit, strategy, "", &both)).await.unwrap();
        kit.remove("a");
        kit.write_file("more/a/integration.yaml", &text("1.0.0"));
        kit.commit("to the other source");
        let moved = kit.run(&with_sources(&kit, strategy, "", &both)).await.unwrap();
        assert_eq!(operations(&moved), [(Verb::Move, "a")], "{strategy}");

        let renamed = kit
            .run(&with_sources(&kit, strategy, "", &[("default", "catalog"), ("again", "more")]))
            .await
            .unwrap();
        assert_eq!(operations(&renamed), [(Verb::Move, "a"), (Verb::Move, "c")], "{strategy}");
        let after = places(&kit).await;
        assert_eq!((&*after[0].1, &after[0].3, &after[1]), ("again", &before[0].3, &before[1]));

        // A source that the environment no longer names takes only what it owned.
        let rest = with_sources(&kit, strategy, ", \"pruneLimit\": \"100%\"", &[("default", "catalog")]);
        let gone = kit.run(&rest).await.unwrap();
        assert_eq!(operations(&gone), [(Verb::Remove, "a"), (Verb::Remove, "c")], "{strategy}");
        assert_eq!(places(&kit).await, before[1..]);
    }
}

#[tokio::test]
async fn what_comes_back_is_restored() {
    for strategy in STRATEGIES {
        let kit = seeded(strategy).await;
        let before = (kit.rows("development").await, places(&kit).await);
        let rows = spec(strategy, ", \"pruneLimit\": \"100%\"");
        kit.remove("a");
        kit.commit("no a");
        let gone = kit.seed("development", &rows).await;
        assert_eq!((operations(&gone), gone.report().deleted), (vec![(Verb::Remove, "a")], 1), "{strategy}");
        assert_eq!(kit.rows("development").await, before.0[1..]);
        // What is taken out is not there: nothing is to be done again and again.
        let again = kit.seed("development", &rows).await;
        assert!(matches!(again, Seeded::Unchanged { planned: None, .. }), "{strategy}: {again:?}");
        kit.write("b", &manifest("b", "1.1.0", &["one"]));
        kit.commit("raise b");
        let raised = kit.seed("development", &rows).await;
        assert_eq!(operations(&raised), [(Verb::Update, "b")], "{strategy}");
        kit.write("b", &manifest("b", "1.0.0", &["one", "two"]));
        kit.write("a", &manifest("a", "1.0.0", &["one", "two"]));
        kit.commit("a is back, and b as it was");
        let back = kit.seed("development", &rows).await;
        assert_eq!((back.report().created, back.report().updated), (1, 1), "{strategy}");
        assert_eq!((kit.rows("development").await, places(&kit).await), before, "{strategy}");
        let trail = kit.store.trail("development", "a").await.unwrap();
        let told: Vec<&str> = trail.iter().map(|turn| turn.operation.as_str()).collect();
        assert_eq!(told, ["create", "remove", "restore"]);
    }
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_is_to_be_kept() {
    let kit = seeded("full").await;
    kit.remove("a");
    kit.commit("no a");
    kit.seed("development", "{\"pruneLimit\": \"100%\", \"retention\": {\"removed\": \"0s\"}}").await;
    let state = kit.store.state("development").await.unwrap().state;
    assert_eq!(state.rows.keys().collect::<Vec<_>>(), ["b"]);
    // Another retention is looked at once, even where nothing else is new.
    let kit = seeded("full").await;
    kit.remove("a");
    kit.commit("no a");
    kit.seed("development", "{\"pruneLimit\": \"100%\"}").await;
    let row = kit.store.environment("development").await.unwrap().unwrap();
    assert!(row.retain_at.is_some() && kit.store.state("development").await.unwrap().state.rows["a"].removed);
    let unchanged = "{\"pruneLimit\": \"100%\", \"retention\": {\"removed\": \"0s\", \"versions\": 1}}";
    assert!(matches!(kit.seed("development", unchanged).await, Seeded::Unchanged { planned: None, .. }));
    let rows = kit.store.state("development").await.unwrap().state.rows;
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["b"]);
    let looked = kit.store.environment("development").await.unwrap().unwrap();
    kit.seed("development", unchanged).await;
    assert_eq!(kit.store.environment("development").await.unwrap().unwrap(), looked, "once");
}

#[tokio::test]
async fn what_is_held_forgets_nothing() {
    let kit = seeded("full").await;
    kit.remove("a");
    kit.commit("no a");
    kit.seed("development", "{\"pruneLimit\": \"100%\"}").await;
    kit.write("c", "id: c\nname: C\nversion: v1\n");
    kit.commit("broken");
    let none = "{\"strict\": true, \"retention\": {\"removed\": \"0s\"}}";
    assert!(matches!(kit.seed("development", none).await, Seeded::Held { .. }));
    assert!(kit.store.state("development").await.unwrap().state.rows["a"].removed);
}

fn never(text: &str) -> String {
    text.replacen(" }\nspec:", ", annotations: { sower.dev/prune: disabled } }\nspec:", 1)
}

#[tokio::test]
async fn what_an_annotation_keeps_stays_when_its_file_is_gone() {
    for strategy in STRATEGIES {
        let kit = seeded(strategy).await;
        let rows = spec(strategy, ", \"pruneLimit\": \"100%\"");
        // The annotation alone is no seeding.
        kit.write("a", &never(&manifest("a", "1.0.0", &["one", "two"])));
        kit.commit("keep a");
        let noted = kit.seed("development", &rows).await;
        assert!(operations(&noted).is_empty() && matches!(noted, Seeded::Unchanged { .. }), "{strategy}");
        let before = kit.rows("development").await;
        kit.remove("a");
        kit.commit("no a");
        for _ in 0..2 {
            let kept = kit.seed("development", &rows).await;
            assert!(operations(&kept).is_empty(), "{strategy}: {kept:?}");
            assert_eq!(kept.report().prune_disabled, ["a"], "{strategy}");
            assert!(
                kept.planned().is_none_or(|p| p.plan.kept.iter().all(|k| k.why == KeptWhy::PruneDisabled))
            );
        }
        assert_eq!(kit.rows("development").await, before);
        kit.write("b", &manifest("b", "1.1.0", &["one"]));
        kit.commit("raise b");
        let raised = kit.seed("development", &rows).await;
        assert_eq!(
            (operations(&raised), &*raised.report().prune_disabled),
            (vec![(Verb::Update, "b")], &["a".to_owned()][..])
        );

        // Back without it, and gone again.
        kit.write("a", &manifest("a", "1.0.0", &["one", "two"]));
        kit.commit("a is back");
        assert!(operations(&kit.seed("development", &rows).await).is_empty(), "{strategy}");
        kit.remove("a");
        kit.commit("no a again");
        let gone = kit.seed("development", &rows).await;
        assert_eq!(operations(&gone), [(Verb::Remove, "a")], "{strategy}");
    }
}

#[tokio::test]
async fn an_annotation_comes_with_a_seeding_of_some() {
    let kit = seeded("full").await;
    kit.write("c", &never(&manifest("c", "1.0.0", &["one"])));
    kit.commit("c");
    let mut some = kit.job("development", "{}");
    some.only = Some(["c".to_owned()].into());
    assert_eq!(operations(&kit.run(&some).await.unwrap()), [(Verb::Create, "c")]);
    kit.remove("c");
    kit.commit("no c");
    let kept = kit.seed("development", "{\"pruneLimit\": \"100%\"}").await;
    assert_eq!((operations(&kept), &*kept.report().prune_disabled), (vec![], &["c".to_owned()][..]));
}
