//! What the envelope says beside the content.

use super::*;

fn enveloped(annotations: &str) -> String {
    format!(
        "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata:\n  name: acme\n  annotations: {annotations}\nspec:\n  name: Acme\n  version: 1.0.0\n"
    )
}

#[test]
fn an_annotation_is_read_and_is_no_part_of_the_content() {
    let summary = |text: &str| load_all(&[("integration.yaml", text)])[0].summary.clone().expect("valid");
    let plain = summary("id: acme\nname: Acme\nversion: 1.0.0\n");
    for (annotations, expected) in [
        ("{}", false),
        ("{ sower.dev/prune: disabled }", true),
        ("{ sower.dev/prune: enabled }", false),
        ("{ sower.dev/prune: ~ }", false),
        ("{ example.com/prune: [not, ours], sower.dev/other: 1 }", false),
    ] {
        let told = summary(&enveloped(annotations));
        assert_eq!(told.annotations.prune_disabled, expected, "{annotations}");
        assert_eq!(told.checksum, plain.checksum, "{annotations}");
    }
    let stored = serde_json::to_value(&plain).unwrap();
    assert!(stored.get("annotations").is_none(), "what asks for nothing is stored as before: {stored}");
    let never = summary(&enveloped("{ sower.dev/prune: disabled }"));
    assert_eq!(
        serde_json::from_value::<crate::catalog::Summary>(serde_json::to_value(&never).unwrap()).unwrap(),
        never
    );
}

#[test]
fn an_annotation_that_says_nothing_known_is_refused_with_its_place() {
    for value in ["disable", "true", "[disabled]"] {
        let problems = problems(&enveloped(&format!("{{ sower.dev/prune: {value} }}")));
        let errors = problems.iter().filter(|p| p.is_error());
        let told: Vec<_> = errors.map(|p| (p.code.as_str(), p.line, p.pointer.as_str())).collect();
        assert_eq!(told, [("wrong-type", 5, "/metadata/annotations/sower.dev~1prune")], "{value}");
    }
}

#[test]
fn a_resource_has_the_same_annotations() {
    let spec = serde_json::json!({ "name": "Acme", "version": "1.0.0" });
    let load = |value: &str| {
        let annotations = BTreeMap::from([
            ("sower.dev/prune".to_owned(), value.to_owned()),
            ("kubectl.kubernetes.io/last-applied-configuration".to_owned(), "{}".to_owned()),
        ]);
        let resource =
            ResourceEntry { annotations: &annotations, ..resource("Integration/n/acme", "acme", &spec) };
        load_value("cluster", resource, Limits::CLUSTER)
    };
    assert!(load("disabled").summary.expect("valid").annotations.prune_disabled);
    assert!(!load("enabled").summary.expect("valid").annotations.prune_disabled);
    assert!(!load("never").is_valid());
}

#[test]
fn what_is_done_about_conflicts_is_read_or_refused() {
    use crate::plan::{ConflictType, Resolution};
    let text = enveloped("{ sower.dev/resolve: \"version=merge, duplicate=override\" }");
    let told = load_all(&[("integration.yaml", &text)])[0].summary.clone().expect("valid");
    let resolve = told.annotations.resolve;
    let expect = [(ConflictType::Version, Some(Resolution::Merge)), (ConflictType::Dependency, None)];
    assert!(expect.into_iter().all(|(kind, resolution)| resolve.of(kind) == resolution), "{resolve:?}");
    assert_eq!(resolve.duplicate, Some(Resolution::Override));
    let stored = serde_json::to_value(&told).unwrap();
    assert_eq!(serde_json::from_value::<crate::catalog::Summary>(stored).unwrap(), told);
    for value in ["version", "version=replace", "name=skip", "[version]"] {
        let problems = problems(&enveloped(&format!("{{ sower.dev/resolve: {value} }}")));
        let errors = problems.iter().filter(|p| p.is_error());
        let told: Vec<_> = errors.map(|p| (p.code.as_str(), p.line, p.pointer.as_str())).collect();
        assert_eq!(told, [("wrong-type", 5, "/metadata/annotations/sower.dev~1resolve")], "{value}");
    }
}
