//! What a change can touch.

use serde_json::json;
use sower_core::catalog::{Found, Reference};
use sower_store::*;

use crate::bed::*;
use crate::on_both_engines;

on_both_engines!(
    what_a_change_can_touch_is_found,
    a_change_touches_whoever_needs_it_and_what_those_need,
    a_document_read_anew_links_only_to_what_it_now_needs,
    a_bundled_file_is_found_however_long_its_path_is,
    a_document_is_kept_however_long_its_path_is,
);

async fn what_a_change_can_touch_is_found(bed: Bed) {
    let text = |id: &str| manifest(id, "1.0.0", 1);
    let plain = found("plain", &text("plain"));
    let mut needy = found("needy", &text("needy"));
    needy.summary.as_mut().unwrap().dependencies =
        serde_json::from_value(json!([{"id": "plain", "range": "^1", "line": 4}])).unwrap();
    let mut bundling = found("bundling", &text("bundling"));
    bundling.references = vec![Reference { path: "integrations/shared.json".into(), blob: "c".repeat(40) }];
    let bundling_path = bundling.place.path.clone();
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
    let settle = Settle {
        fence,
        conflicts: &[],
        manifests,
        applied,
        selection_hash: None,
        summary,
        quarantine: QuarantineDelta::default(),
        promotion: PromotionDelta::default(),
    };
    bed.store.settle(settle).await.unwrap();
    bed.seed(vec![create("plain", &text("plain")), create("needy", &text("needy"))]).await.unwrap();

    let standing = bed.store.standing(ENV).await.unwrap();
    assert_eq!(standing.invalid, [("catalog".to_owned(), broken.place.path.clone())]);
    assert_eq!((standing.carried, standing.foreign), (2, false));
    let bundling = async |source, file| bed.store.bundling(ENV, source, &[file, "else.json"]).await.unwrap();
    assert_eq!(bundling("catalog", "integrations/shared.json").await, [bundling_path.as_str()]);
    assert!(bundling("other", "integrations/shared.json").await.is_empty(), "another source's file");
    assert!(bundling("catalog", "plain").await.is_empty(), "a dependency is no file");

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
    assert!(bed.store.standing(ENV).await.unwrap().foreign);
}

/// Remembers documents that need each other; `taken` of them are gone.
async fn remember(bed: &Bed, needs: &[(&str, &[&str])], taken: &[&str]) {
    let documents: Vec<Found> = needs
        .iter()
        .map(|(id, needed)| {
            let mut document = found(id, &manifest(id, "1.0.0", 1));
            let dependency = |needed| json!({"id": needed, "range": "*", "line": 1});
            let all = needed.iter().map(dependency).collect();
            document.summary.as_mut().unwrap().dependencies = serde_json::from_value(all).unwrap();
            document
        })
        .collect();
    let delete = taken.iter().map(|id| document_id(&found(id, &manifest(id, "1.0.0", 1)).place)).collect();
    write_documents(bed, &documents, delete).await;
}

async fn write_documents(bed: &Bed, documents: &[Found], delete: Vec<String>) {
    let fence = &bed.store.claim(ENV, KEEPER, false).await.unwrap();
    let (applied, summary) = (&applied("a"), &json!({}));
    let manifests = ManifestDelta { upsert: documents.iter().collect(), delete };
    let settle = Settle {
        fence,
        conflicts: &[],
        manifests,
        applied,
        selection_hash: None,
        summary,
        quarantine: QuarantineDelta::default(),
        promotion: PromotionDelta::default(),
    };
    bed.store.settle(settle).await.unwrap();
}

/// An index of PostgreSQL takes some 2,700 bytes, and compresses what it can.
fn long_path(name: &str) -> String {
    let noise: String = (0..70u8).map(|n| sower_core::manifest::checksum([n])).collect();
    let path = format!("integrations/{noise}/{name}");
    assert!(path.len() > 4_000, "{}", path.len());
    path
}

async fn a_document_is_kept_however_long_its_path_is(bed: Bed) {
    let mut document = found("crm", &manifest("crm", "1.0.0", 1));
    document.place.path = long_path("integration.yaml");
    document.place.document = 2;
    document.references = vec![Reference { path: "integrations/a.json".into(), blob: String::new() }];
    let mut beside = found("mail", &manifest("mail", "1.0.0", 1));
    beside.place.path = long_path("mail.integration.yaml");
    write_documents(&bed, &[document.clone(), beside.clone()], Vec::new()).await;
    let place = &document.place;
    let known = bed.store.known(ENV, "catalog").await.unwrap();
    assert_eq!(known.iter().map(|found| &found.place).collect::<Vec<_>>(), [place, &beside.place]);
    let file = [("catalog", &*place.path)];
    assert_eq!(bed.store.documents(ENV, &file).await.unwrap()[0].place, *place);
    assert_eq!(bed.store.bundling(ENV, "catalog", &["integrations/a.json"]).await.unwrap(), [&*place.path]);
    write_documents(&bed, &[], vec![document_id(place)]).await;
    assert_eq!(bed.count("integration_manifests").await, 1);
}

async fn a_bundled_file_is_found_however_long_its_path_is(bed: Bed) {
    let path = long_path("schema.json");
    let mut document = found("crm", &manifest("crm", "1.0.0", 1));
    document.references = vec![Reference { path: path.clone(), blob: String::new() }];
    write_documents(&bed, &[document.clone()], Vec::new()).await;
    assert_eq!(bed.store.bundling(ENV, "catalog", &[&path]).await.unwrap(), [document.place.path]);
}

async fn touched(bed: &Bed, changed: &[&str], beside: &[&str], most: usize) -> Option<String> {
    let [changed, beside] = [changed, beside].map(|ids| ids.iter().map(|id| (*id).to_owned()).collect());
    let touched = bed.store.touched(ENV, changed, beside, most).await.unwrap();
    touched.map(|touched| touched.into_iter().collect::<Vec<_>>().join(" "))
}

async fn a_change_touches_whoever_needs_it_and_what_those_need(bed: Bed) {
    let needs: [(&str, &[&str]); 7] = [
        ("crm", &["http", "http"]),
        ("mail", &["http"]),
        ("sales", &["crm", "tax"]),
        ("http", &["tls"]),
        ("x", &["y"]),
        ("y", &["z"]),
        ("z", &["x"]),
    ];
    remember(&bed, &needs, &[]).await;
    let said = async |changed: &[&str], beside: &[&str]| touched(&bed, changed, beside, 9).await.unwrap();
    assert_eq!(said(&["tax"], &[]).await, "crm http sales tax tls");
    assert_eq!(said(&["mail"], &[]).await, "http mail tls", "not crm, which needs http too");
    assert_eq!(said(&[], &["mail"]).await, "http mail tls");
    assert_eq!(said(&["alone"], &["other"]).await, "alone other");
    assert_eq!(said(&["y"], &[]).await, "x y z", "a cycle ends");
    assert_eq!(touched(&bed, &["tax"], &[], 5).await.as_deref(), Some("crm http sales tax tls"));
    assert_eq!(touched(&bed, &["tax"], &[], 4).await, None, "what it needs is too much");
    assert_eq!(touched(&bed, &["tls"], &[], 2).await, None, "who needs it are too many");
}

async fn a_document_read_anew_links_only_to_what_it_now_needs(bed: Bed) {
    let said = async |changed: &str| touched(&bed, &[changed], &[], 9).await.unwrap();
    remember(&bed, &[("crm", &["http", "tls"]), ("mail", &["http"])], &[]).await;
    assert_eq!(said("http").await, "crm http mail tls");
    remember(&bed, &[("crm", &["tls"])], &[]).await;
    assert_eq!(said("http").await, "http mail");
    remember(&bed, &[], &["mail"]).await;
    assert_eq!(said("http").await, "http");
    assert_eq!(bed.count("integration_links").await, 1);
}
