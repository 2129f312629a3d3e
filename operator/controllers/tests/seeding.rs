//! Seedings on a real repository and a real SQLite file: each line of the pipeline, and that incremental equals full.

mod kit;

use kit::{Kit, manifest};
use sower_controllers::reason::Reason;
use sower_controllers::seeding::{Kind, Origin, Planned, Seeded, SourceInput};
use sower_core::gate::HeldReason;
use sower_core::plan::KeptWhy;
use sower_core::report::{Outcome, Report};
use sower_core::rollout::State;
use sower_source::{FetchRequest, Reference};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_seeding_creates_updates_and_deletes_what_git_says() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one", "two"]));
    kit.write("b", &manifest("b", "1.0.0", &["one"]));
    kit.commit("first");
    let report = kit.seed("development", "{}").await.report().clone();
    assert_eq!((report.created, report.updated, report.deleted, report.unchanged), (2, 0, 0, 0));
    assert_eq!((report.actions_created, report.seeding.as_deref()), (3, Some("development-1")));

    kit.write("a", &manifest("a", "1.1.0", &["one", "three"]));
    kit.remove("b");
    kit.commit("second");
    let report = kit.seed("development", "{}").await.report().clone();
    assert_eq!((report.created, report.updated, report.deleted), (0, 1, 1), "{report:?}");
    assert_eq!(report.actions_created, 1);
    let listed = kit.store.integrations(Some("development")).await.unwrap();
    assert_eq!(
        listed.iter().map(|l| (l.id.as_str(), l.version.as_str())).collect::<Vec<_>>(),
        [("a", "1.1.0")]
    );
    let log = kit.store.history(Some("development"), 10).await.unwrap();
    assert_eq!(log.iter().filter_map(|l| l.seq).collect::<Vec<_>>(), [2, 1]);
    assert!(log[0].reason.starts_with("push: \"second\""), "{}", log[0].reason);
}

#[tokio::test]
async fn the_same_revision_again_reads_nothing_and_writes_nothing() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    kit.seed("development", "{}").await;
    let before = kit.store.environment("development").await.unwrap();
    let again = kit.seed("development", "{}").await;
    assert!(matches!(again, Seeded::Unchanged { planned: None, .. }), "{again:?}");
    assert_eq!(again.report().unchanged, 1);
    assert_eq!(kit.store.environment("development").await.unwrap(), before);

    kit.write_file("README.md", "not a manifest");
    kit.commit("docs");
    let again = kit.seed("development", "{}").await;
    assert_eq!(again.report().status, Outcome::Unchanged);
    let after = kit.store.environment("development").await.unwrap().unwrap();
    assert_ne!(Some(&after.applied), before.as_ref().map(|row| &row.applied), "the applied revision moved");
    assert_eq!(kit.store.history(Some("development"), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_broken_manifest_keeps_its_rows_and_the_others_come_in() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.write("b", &manifest("b", "1.0.0", &["one"]));
    kit.commit("first");
    kit.seed("development", "{}").await;
    kit.write("a", &manifest("a", "v2", &["one"]));
    kit.write("b", &manifest("b", "1.1.0", &["one"]));
    kit.commit("broken");
    let seeded = kit.seed("development", "{}").await;
    let report = seeded.report();
    assert_eq!((report.updated, report.deleted, report.errors.len()), (1, 0, 1), "{report:?}");
    assert_eq!(report.errors[0].code, "bad-version");
    let kept = &seeded.planned().unwrap().plan.kept;
    assert!(kept.iter().any(|k| k.id == "a" && k.why == KeptWhy::Invalid), "{kept:?}");

    let again = kit.seed("development", "{}").await;
    assert_eq!(again.report().errors.len(), 1, "a refused manifest is told every time");

    let strict = kit.seed("development", "{\"strict\": true, \"pruneLimit\": 1}").await;
    let Seeded::Held { held, .. } = strict else { panic!("{strict:?}") };
    assert_eq!(held.reason, HeldReason::ManifestsInvalid);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_now_is_no_broken_one() {
    for spec in ["{}", "{\"seedingStrategy\": \"incremental\"}"] {
        let kit = Kit::new().await;
        // Large enough for its beginning to be read where its end is not.
        let large = |version: &str| {
            let noise: String =
                (0..2_000).map(|n: u32| format!("# {}\n", n.wrapping_mul(2_654_435_761))).collect();
            format!("{}{noise}", manifest("a", version, &["one"]))
        };
        kit.write("a", &large("1.0.0"));
        kit.commit("first");
        kit.seed("development", spec).await;
        kit.write("a", &large("1.1.0"));
        kit.commit("second");
        let object = kit.object("catalog/a/integration.yaml");
        let whole = std::fs::read(&object).unwrap();
        std::fs::remove_file(&object).unwrap();
        let mut broken = whole.clone();
        let middle = whole.len() / 2;
        broken[middle..middle + 64].fill(0xff);
        std::fs::write(&object, &broken).unwrap();
        let before = kit.store.environment("development").await.unwrap().unwrap();
        let error = kit.try_seed("development", spec).await.expect_err("it cannot be read");
        assert_eq!((error.reason, error.kind), (Reason::FetchFailed, Kind::Transient), "{error}");
        assert!(error.message.starts_with("Cannot read catalog/a/integration.yaml: "), "{error}");
        let after = kit.store.environment("development").await.unwrap().unwrap();
        assert_eq!(after.applied, before.applied, "it is not taken for read");

        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, &whole).unwrap();
        let report = kit.seed("development", spec).await.report().clone();
        assert_eq!((report.updated, report.errors.len()), (1, 0), "{report:?}");
    }
}

#[tokio::test]
async fn a_broken_file_of_any_name_prunes_nothing() {
    let kit = Kit::new().await;
    let slack = manifest("slack", "1.0.0", &["one"]);
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.write_file("catalog/slack/slack.yaml", &slack);
    kit.commit("first");
    assert_eq!(kit.seed("development", "{}").await.report().created, 2);
    kit.write_file("catalog/slack/slack.yaml", &format!("{slack}: [\n"));
    kit.commit("broken");
    let report = kit.seed("development", "{}").await.report().clone();
    assert_eq!((report.deleted, report.errors.len()), (0, 1), "{report:?}");
    assert_eq!(report.errors[0].code, "syntax");
    let rows = kit.rows("development").await;
    let before = kit.store.environment("development").await.unwrap();
    kit.seed("development", "{}").await;
    assert_eq!(
        (kit.rows("development").await, kit.store.environment("development").await.unwrap()),
        (rows, before)
    );
}

#[tokio::test]
async fn a_file_of_too_many_documents_keeps_its_rows() {
    let kit = Kit::new().await;
    for id in ["a", "b"] {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    kit.seed("development", "{}").await;
    kit.write("a", &format!("{}{}", manifest("a", "1.1.0", &["one"]), "--- 1\n".repeat(5000)));
    kit.commit("flooded");
    let report = kit.seed("development", "{}").await.report().clone();
    assert_eq!((report.updated, report.deleted, report.errors.len()), (0, 0, 1), "{report:?}");
    assert_eq!(report.errors[0].code, "too-large");
    assert_eq!(kit.store.integrations(Some("development")).await.unwrap()[0].version, "1.0.0");
}

#[tokio::test]
async fn the_record_holds_a_thousand_failures_and_the_number_of_all() {
    let kit = Kit::new().await;
    for id in ["a", "b"] {
        let unknown: String = (0..600).map(|i| format!("none{i}: 1\n")).collect();
        kit.write(id, &format!("{}{unknown}", manifest(id, "1.0.0", &["one"])));
    }
    kit.write("c", &manifest("c", "1.0.0", &["one"]));
    kit.commit("flooded");
    let report = kit.seed("development", "{}").await.report().clone();
    assert_eq!((report.created, report.invalid, report.errors.len()), (1, 2, 1000));
    let log = kit.store.history(Some("development"), 1).await.unwrap();
    assert_eq!(log[0].errors, report.errors);
    assert_eq!(log[0].metadata["failures"], 1200);
    let again = kit.seed("development", "{}").await;
    assert_eq!(again.report().errors, report.errors, "what is not noted in full is looked at again");
}

#[tokio::test]
async fn an_emptied_manifest_keeps_its_rows() {
    let kit = Kit::new().await;
    for id in ["a", "b"] {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    kit.seed("development", "{}").await;
    kit.write("a", "");
    kit.commit("emptied");
    let report = kit.seed("development", "{}").await.report().clone();
    assert_eq!((report.deleted, report.errors.len()), (0, 1), "{report:?}");
    kit.remove("a");
    kit.commit("removed");
    assert_eq!(kit.seed("development", "{}").await.report().deleted, 1);
}

#[tokio::test]
async fn a_pattern_that_is_none_stalls_before_anything_is_written() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    let error = kit.try_seed("development", "{\"allowedIntegrations\": [\"[\"]}").await.expect_err("stalls");
    assert_eq!(error.reason, Reason::InvalidSpec);
    assert!(kit.store.environment("development").await.unwrap().is_none());
}

#[tokio::test]
async fn more_deletions_than_allowed_are_held_whole() {
    let kit = Kit::new().await;
    for id in ["a", "b", "c", "d", "e"] {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    kit.seed("development", "{}").await;
    kit.remove("a");
    kit.remove("b");
    kit.write("c", &manifest("c", "1.1.0", &["one"]));
    kit.commit("tidy up");
    let held = kit.seed("development", "{}").await;
    assert!(matches!(held, Seeded::Held { .. }), "{held:?}");
    assert_eq!(held.report().status, Outcome::Refused);
    assert_eq!(kit.store.integrations(Some("development")).await.unwrap().len(), 5);
    let row = async || kit.store.environment("development").await.unwrap().unwrap();
    let noted = row().await;
    assert_eq!(noted.summary["trouble"]["reason"], "PruneLimitExceeded", "{}", noted.summary);
    kit.seed("development", "{}").await;
    assert_eq!(row().await, noted, "it is noted once");
    let open = kit.seed("development", "{\"pruneLimit\": 2}").await;
    assert_eq!((open.report().deleted, open.report().updated), (2, 1));
    assert_eq!(row().await.summary.get("trouble"), None);
}

#[tokio::test]
async fn an_empty_source_stalls_and_prunes_nothing() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    kit.seed("development", "{}").await;
    kit.remove("a");
    kit.write_file("README.md", "nothing here");
    kit.commit("empty");
    let error = kit.try_seed("development", "{\"pruneLimit\": \"100%\"}").await.expect_err("stalls");
    assert_eq!(error.reason, Reason::SourceEmpty);
    assert_eq!(kit.store.integrations(Some("development")).await.unwrap().len(), 1);
    let row = async || kit.store.environment("development").await.unwrap().unwrap();
    assert_eq!(row().await.summary["trouble"]["reason"], "SourceEmpty");
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("it is back");
    kit.seed("development", "{}").await;
    assert_eq!(row().await.summary.get("trouble"), None, "what was mended is forgotten");
}

#[tokio::test]
async fn a_second_keeper_is_refused_before_it_fetches() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    kit.seed("development", "{}").await;
    let mut job = kit.job("development", "{}");
    job.keeper = "cluster/sower/development".into();
    let error = kit.run(&job).await.expect_err("refused");
    assert_eq!((error.reason, error.keeper.as_deref()), (Reason::KeptElsewhere, Some("files")));
    job.take_over = true;
    kit.run(&job).await.expect("taken over");
    let row = kit.store.environment("development").await.unwrap().unwrap();
    assert_eq!(row.keeper.as_deref(), Some("cluster/sower/development"));
}

#[tokio::test]
async fn a_revert_brings_the_old_rows_back() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    kit.seed("development", "{}").await;
    let before = kit.rows("development").await;
    kit.write("a", &manifest("a", "1.1.0", &["one", "two"]));
    kit.commit("second");
    kit.seed("development", "{}").await;
    assert_ne!(kit.rows("development").await, before);
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("back");
    let report = kit.seed("development", "{}").await.report().clone();
    assert!(report.conflicts.is_empty(), "{report:?}");
    assert_eq!(kit.rows("development").await, before);
}

#[tokio::test]
async fn only_some_integrations_can_be_seeded() {
    let kit = Kit::new().await;
    for id in ["a", "b"] {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    let mut job = kit.job("development", "{}");
    job.only = Some(["a".to_owned()].into());
    assert_eq!(kit.run(&job).await.unwrap().report().created, 1);
    assert_eq!(kit.seed("development", "{}").await.report().created, 1, "the rest still comes in");
}

#[tokio::test]
async fn an_edit_beside_the_manifests_of_a_folder_is_seen_and_told() {
    let kit = Kit::new().await;
    kit.write_file("common.json", "{\"type\":\"object\"}");
    kit.write("a", &manifest("a", "1.0.0", &["one"]).replace("../shared.json", "../../common.json"));
    kit.commit("first");
    let mut job = kit.job("development", "{\"conflicts\": {\"version\": \"override\"}}");
    job.sources[0].origin = Origin::Folder(kit.repository());
    let revision = |seeded: &Seeded| seeded.report().revision.clone().unwrap();
    assert!(!revision(&kit.run(&job).await.unwrap()).contains("dirty"));
    let again = kit.run(&job).await.unwrap();
    assert!(matches!(again, Seeded::Unchanged { planned: None, .. }), "{again:?}");
    kit.write_file("common.json", "{\"type\":\"object\",\"title\":\"other\"}");
    let edited = kit.run(&job).await.unwrap();
    assert_eq!(edited.report().updated, 1);
    assert!(revision(&edited).ends_with("-dirty"), "no commit explains it: {}", revision(&edited));
    let reason = async || kit.store.history(None, 1).await.unwrap()[0].reason.clone();
    assert_eq!(reason().await, "edit: common.json");
    kit.write_file("common.json", "{\"type\":\"object\"}");
    assert_eq!(kit.run(&job).await.unwrap().report().updated, 1);
    assert_eq!(reason().await, "edit undone");
    kit.write_file("common.json", "{\"type\":\"object\",\"title\":\"other\"}");
    kit.commit("second");
    assert!(!revision(&kit.run(&job).await.unwrap()).contains("dirty"));
}

#[tokio::test]
async fn a_row_that_is_gone_by_hand_comes_back_with_the_next_change() {
    let kit = Kit::new().await;
    for id in ["a", "b"] {
        kit.write(id, &manifest(id, "1.0.0", &["one"]));
    }
    kit.commit("first");
    let spec = "{\"seedingStrategy\": \"incremental\"}";
    kit.seed("development", spec).await;
    kit.forget("a").await;
    kit.write("b", &manifest("b", "1.1.0", &["one"]));
    kit.commit("second");
    let report = kit.seed("development", spec).await.report().clone();
    assert_eq!((report.created, report.updated), (1, 1), "{report:?}");
}

#[tokio::test]
async fn what_is_remembered_and_cannot_be_read_goes_with_the_next_change() {
    for strategy in ["full", "incremental"] {
        let kit = Kit::new().await;
        let spec = format!("{{\"seedingStrategy\": \"{strategy}\", \"pruneLimit\": 9}}");
        for id in ["gone", "new", "old"] {
            kit.write(id, &manifest(id, "1.0.0", &["a"]));
        }
        kit.commit("three");
        kit.seed("dev", &spec).await;
        kit.garble("gone").await;
        kit.garble("old").await;
        kit.remove("gone");
        kit.write("new", &manifest("new", "1.1.0", &["a"]));
        kit.commit("one less");
        kit.seed("dev", &spec).await;
        let versions: Vec<_> =
            kit.rows("dev").await.into_iter().map(|(id, version, _)| (id, version)).collect();
        assert_eq!(
            versions,
            [("new".into(), "1.1.0".into()), ("old".into(), "1.0.0".to_owned())],
            "{strategy}"
        );
        let kept = kit.store.kept("dev", "default").await.unwrap();
        assert_eq!((kept.found.len(), kept.unreadable.len()), (2, 0), "{strategy}");
    }
}

#[tokio::test]
async fn whoever_was_asked_to_stop_notes_no_trouble() {
    let kit = Kit::new().await;
    kit.write("a", &manifest("a", "1.0.0", &["one"]));
    kit.commit("first");
    kit.seed("development", "{}").await;
    let before = kit.store.environment("development").await.unwrap();
    let mut job = kit.job("development", "{}");
    let url = format!("file://{}", kit.repository().display());
    job.sources[0].origin = Origin::Git(FetchRequest::new(&url, Reference::Branch("main".into())));
    let stop = CancellationToken::new();
    stop.cancel();
    assert!(kit.run_until(&job, &stop).await.is_err());
    assert_eq!(kit.store.environment("development").await.unwrap(), before);
}

/// A small generator of numbers, so that a failure names its seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).map_or(0, |n| n % end)
    }
}

/// What a seeding says of itself, its figures included.
fn told(seeded: &Seeded) -> String {
    let Report { status, integrations_processed, created, updated, deleted, unchanged, .. } = seeded.report();
    let Report { conflicts, errors, excluded, invalid, .. } = seeded.report();
    let operations: Vec<_> = seeded.planned().iter().flat_map(|p| &p.plan.operations).collect();
    let kept: Vec<_> = seeded.planned().iter().flat_map(|p| &p.plan.kept).collect();
    let deprecated: Vec<_> = seeded.planned().iter().flat_map(|p| &p.plan.deprecated).collect();
    let figures = [*integrations_processed, *created, *updated, *deleted, *unchanged, *excluded, *invalid];
    format!("{status:?} {figures:?}\n{operations:#?}\n{kept:?}\n{deprecated:?}\n{conflicts:#?}\n{errors:#?}")
}

/// Long texts are equal; else it says where they part.
fn same(one: &str, other: &str, what: &str) {
    if one != other {
        let (mut lines, mut others) = (one.lines(), other.lines());
        let alike = lines.by_ref().zip(others.by_ref()).take_while(|(a, b)| a == b).count();
        let from =
            |text: &str| text.lines().skip(alike.saturating_sub(3)).take(8).collect::<Vec<_>>().join("\n");
        panic!("{what}: line {alike}:\n{}\n-- and --\n{}", from(one), from(other));
    }
}

/// One random edit of the repository.
fn edit(kit: &Kit, numbers: &mut Numbers, step: usize) {
    let any = |numbers: &mut Numbers| ["a", "b", "c", "d", "e", "f", "g", "h"][numbers.below(8)];
    let (id, other) = (any(numbers), any(numbers));
    let version = format!("1.{}.{}", numbers.below(step + 1), numbers.below(2));
    let text = manifest(id, &version, &["one", ["two", "three"][numbers.below(2)]]);
    match numbers.below(16) {
        0 => kit.write(id, &manifest(id, "v9", &["one"])),
        1 => kit.remove(id),
        2 => {
            let schema = format!("{{\"type\":\"object\",\"title\":\"{step}\"}}");
            kit.write_file("catalog/shared.json", &schema);
        }
        3 => kit.write(id, &format!("{text}  dependencies: [{other}@^1.0.0]\n")),
        4 => kit.write_file(&format!("catalog/moved/{id}/integration.yaml"), &text),
        5 => kit.write(id, &format!("{text}  lifecycle: {}\n", ["draft", "deprecated"][numbers.below(2)])),
        6 => kit.write(id, &format!("{text}  stability: beta\n")),
        // Two documents in one file, one of them under another's name.
        7 => kit.write(id, &format!("{text}---\n{}", manifest(other, &version, &["one"]))),
        8 => kit.write_file(&format!("catalog/{id}/notes.yaml"), "nothing: of ours\n"),
        9 => kit.write(id, &format!("{text}  dependencies: [{other}]\n")),
        // A schema beside the folder of the manifests.
        10 => kit.write(id, &text.replace("../shared.json", "../../common.json")),
        11 => kit.write_file("common.json", &format!("{{\"type\":\"object\",\"title\":\"{step}\"}}")),
        12 => kit.write_file(
            &format!("more/{id}/integration.yaml"),
            &text.replace("../shared.json", "../../common.json"),
        ),
        13 => kit.write(id, &annotated(&text)),
        _ => kit.write(id, &text),
    }
}

/// The same, never to be pruned.
fn annotated(manifest: &str) -> String {
    manifest.replacen(" }\nspec:", ", annotations: { sower.dev/prune: disabled } }\nspec:", 1)
}

/// Rules under which something is rolled out.
const ROLLED_OUT_HELD: &str =
    ", \"rollout\": {\"default\": {\"type\": \"Staged\", \"steps\": [{\"weight\": 10, \"hold\": \"1h\"}]}}";
const ROLLED_OUT: &str =
    ", \"rollout\": {\"default\": {\"type\": \"Staged\", \"steps\": [{\"weight\": 10}]}}";

/// The law of the design: incremental saves reading only. Random histories (edits, breakages, moves, deletions, shared
/// schemas, dependencies, files that are no manifests, rollouts that wait or complete) end in the same rows, documents,
/// conflicts, rollouts and figures as with full.
#[tokio::test]
async fn incremental_equals_full() {
    let (mut narrow, mut begun, mut completed) = (0, 0, 0);
    for seed in 0..24 {
        let kit = Kit::new().await;
        let mut numbers = Numbers(seed);
        for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            kit.write(id, &manifest(id, "1.0.0", &["one"]));
        }
        kit.write_file("common.json", "{\"type\":\"object\"}");
        kit.write_file(
            "more/z/integration.yaml",
            &manifest("z", "1.0.0", &["one"]).replace("../shared.json", "../../common.json"),
        );
        kit.commit("first");
        let two = numbers.below(2) == 1;
        let job = |environment: &str, spec: &str| {
            let mut job = kit.job(environment, spec);
            if two {
                let more = SourceInput { name: "more".into(), path: "more".into(), ..job.sources[0].clone() };
                job.sources.push(more);
            }
            job
        };
        let rules = [
            "",
            ", \"prune\": false",
            ", \"strict\": true",
            ", \"conflicts\": {\"version\": \"override\"}",
            ", \"conflicts\": {\"duplicate\": \"override\"}, \"featureFlags\": {\"betaFeatures\": true}",
            ", \"blockedIntegrations\": [\"d*\", \"z\"]",
            ", \"conflicts\": {\"version\": \"merge\", \"dependency\": \"merge\"}",
            ", \"conflicts\": {\"version\": \"merge\", \"dependency\": \"merge\", \"duplicate\": \"merge\"}",
        ];
        let rules = match seed {
            0..16 => rules[numbers.below(8)],
            // What is rolled out stays where it is, or completes with the first step after it began.
            16..20 => ROLLED_OUT_HELD,
            _ => ROLLED_OUT,
        };
        for step in 0..10 {
            for _ in 0..=numbers.below(2) {
                edit(&kit, &mut numbers, step);
            }
            kit.commit(&format!("step {step}"));
            let spec = |strategy: &str| {
                format!("{{\"seedingStrategy\":\"{strategy}\",\"pruneLimit\":\"100%\"{rules}}}")
            };
            // To reseed reads everything: it is what both others are held against.
            let mut anew = job("anew", &spec("full"));
            anew.reseed = true;
            let anew = kit.run(&anew).await;
            let full = kit.run(&job("full", &spec("full"))).await;
            let incremental = kit.run(&job("incremental", &spec("incremental"))).await;
            let at = format!("seed {seed}, step {step}");
            assert_eq!(full.is_ok(), incremental.is_ok(), "{at}");
            assert_eq!(anew.is_ok(), full.is_ok(), "{at}");
            let state = kit.state("full").await;
            same(&kit.state("anew").await, &state, &format!("{at}: anew, full"));
            same(&state, &kit.state("incremental").await, &format!("{at}: full, incremental"));
            if numbers.below(2) == 1 {
                for (environment, strategy) in
                    [("anew", "full"), ("full", "full"), ("incremental", "incremental")]
                {
                    let stepped = kit.step(&job(environment, &spec(strategy))).await;
                    let over = stepped.changes.iter().filter(|change| change.after.state == State::Completed);
                    completed += over.count();
                }
                let state = kit.state("full").await;
                same(&kit.state("anew").await, &state, &format!("{at}: anew, full, stepped"));
                same(&state, &kit.state("incremental").await, &format!("{at}: full, incremental, stepped"));
            }
            if let (Ok(full), Ok(incremental)) = (full, incremental) {
                begun += incremental.report().staged;
                same(&told(&full), &told(&incremental), &format!("{at}: full, incremental"));
                let beyond = |s: &Seeded| s.planned().map_or(0, Planned::carried_beyond);
                narrow += usize::from(beyond(&incremental) > 0);
                assert_eq!(beyond(&full), 0, "{at}");
            }
        }
    }
    assert!(narrow > 16, "only {narrow} plans left something out");
    assert!(begun > 2 && completed > 8, "only {begun} rollouts began, and {completed} completed");
}

#[tokio::test]
async fn conflicts_beyond_the_bound_are_counted_and_looked_at_again() {
    const MANY: usize = 1_001;
    let kit = Kit::new().await;
    let write = |actions: &[&str]| {
        (0..MANY).for_each(|n| kit.write(&format!("a{n}"), &manifest(&format!("a{n}"), "1.0.0", actions)));
    };
    write(&["one"]);
    kit.commit("first");
    kit.seed("development", "{}").await;
    write(&["two"]);
    kit.commit("the same version, with other content");
    for _ in 0..2 {
        let seeded = kit.seed("development", "{}").await;
        assert_eq!(seeded.report().conflicts.len(), MANY, "all of them are told");
        assert!(seeded.planned().is_some(), "what was noted is no whole answer");
    }
    let row = kit.store.environment("development").await.unwrap().unwrap();
    assert_eq!(row.summary["conflicts"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(row.summary["allConflicts"], MANY);
    kit.write("new", &manifest("new", "1.0.0", &["one"]));
    kit.commit("something to log");
    kit.seed("development", "{}").await;
    let log = kit.store.history(Some("development"), 1).await.unwrap();
    assert_eq!(log[0].metadata["conflicts"].as_array().map(Vec::len), Some(1_000));
    assert_eq!(log[0].metadata["allConflicts"], MANY);
}
