//! What a change can touch.

use serde_json::json;
use sower_core::catalog::{Found, Reference};
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(what_a_change_can_touch_is_found,);

async fn what_a_change_can_touch_is_found(bed: Bed) {
    let text = |id: &str| manifest(id, "1.0.0", 1);
    let plain = found("plain", &text("plain"));
    let mut needy = found("needy", &text("needy"));
    needy.summary.as_mut().unwrap().dependencies =
        serde_json::from_value(json!([{"id": "plain", "range": "^1", "line": 4}])).unwrap();
    let mut bundling = found("bundling", &text("bundling"));
    bundling.references = vec![Reference { path: "integrations/shared.json".into(), blob: "c".repeat(40) }];
    let mut broken = found("broken", &text("broken"));
    (broken.summary, broken.manifest) = (None, None);
    // A name that goes on where another's ends.
    let mut alike = found("alike", &text("alike"));
    alike.place.path = format!("{}#1.yaml", plain.place.path);
    let all = [&plain, &needy, &bundling, &broken, &alike];
    let fence = bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let (applied, summary) = (applied("a"), json!({}));
    let manifests = ManifestDelta { upsert: all.to_vec(), delete: Vec::new() };
    let (fence, applied, summary) = (&fence, &applied, &summary);
    let settle = Settle { fence, conflicts: &[], manifests, applied, selection_hash: None, summary };
    bed.store.settle(settle).await.unwrap();
    bed.seed(vec![create("plain", &text("plain")), create("needy", &text("needy"))]).await.unwrap();

    let touched = bed.store.touched(ENV).await.unwrap();
    let mut links = touched.links;
    links.sort_by(|a, b| a.place.cmp(&b.place));
    let said: Vec<_> = links
        .iter()
        .map(|l| {
            (l.id.as_deref(), l.needs.concat(), l.bundles.iter().map(|b| b.path.clone()).collect::<String>())
        })
        .collect();
    assert_eq!(
        said,
        [
            (Some("bundling"), String::new(), "integrations/shared.json".to_owned()),
            (Some("needy"), "plain".to_owned(), String::new())
        ]
    );
    assert_eq!(touched.marked, [("catalog".to_owned(), broken.place.path.clone())]);
    assert_eq!((touched.carried, touched.foreign), (2, false));

    let ids = |found: &[Found]| found.iter().filter_map(|f| f.id.clone()).collect::<Vec<_>>();
    let files =
        [("catalog", &*plain.place.path), ("catalog", &*broken.place.path), ("other", &*needy.place.path)];
    assert_eq!(ids(&bed.store.documents(ENV, &files).await.unwrap()), ["broken", "plain"]);
    assert!(bed.store.documents(ENV, &[]).await.unwrap().is_empty());

    let (about, here) = bed.store.about(ENV, &["needy", "bundling", "nobody"]).await.unwrap();
    assert_eq!(ids(&about), ["bundling", "needy"]);
    assert_eq!(here.state.rows.keys().collect::<Vec<_>>(), ["needy"]);
    assert_eq!(here.state.base, 1);
    let (about, here) = bed.store.about(ENV, &[]).await.unwrap();
    assert_eq!((about.len(), here.state.rows.len(), here.state.base), (0, 0, 1));

    bed.run("UPDATE integration_definitions SET seeding = NULL, source = NULL, path = NULL, checksum = NULL, revision = NULL, row_hash = NULL WHERE id = 'plain'").await;
    assert!(bed.store.touched(ENV).await.unwrap().foreign);
}
