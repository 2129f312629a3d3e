//! The forms of a document, and which files hold one.

use super::*;

const PLAIN: &str = "id: acme\nname: Acme\nversion: 1.0.0\n";

fn ids(found: &[Found]) -> Vec<(&str, Option<&str>, bool)> {
    found.iter().map(|f| (f.place.path.as_str(), f.id.as_deref(), f.is_valid())).collect()
}

#[test]
fn all_forms_of_a_document_have_one_canonical_form() {
    let envelope = "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: { name: acme }\nspec:\n  name: Acme\n  version: 1.0.0\n  stability: stable\n  description: ~\n";
    let json = r#"{"id": "acme", "name": "Acme", "version": "1.0.0", "actions": []}"#;
    let expected = r#"{"id":"acme","name":"Acme","version":"1.0.0"}"#;
    for (path, text) in [("a/integration.yaml", PLAIN), ("b.yaml", envelope), ("c.integration.json", json)] {
        let found = load_all(&[(path, text)]);
        assert_eq!(found.len(), 1, "{path}");
        assert_eq!(found[0].manifest.as_deref(), Some(expected), "{path} {:?}", found[0].problems);
    }
}

#[test]
fn the_older_form_is_taken_as_it_stands() {
    let text = "type: acme\nname: Acme\ndescription: Tasks.\ncredentialSchema:\n  apiKey: { label: API key, type: password }\nevents:\n- { eventType: task.done, description: Done. }\n";
    let found = load_all(&[("acme/manifest.yaml", text)]);
    assert!(found[0].is_valid(), "{:?}", found[0].problems);
    let summary = found[0].summary.as_ref().unwrap();
    assert_eq!((summary.id.as_str(), summary.version.as_str(), summary.events), ("acme", "0.0.0", 1));
    assert!(found[0].problems.iter().any(|p| p.code.as_str() == "no-version" && p.line == 1));
    let status = load_all(&[("manifest.yaml", format!("{PLAIN}status: deprecated\n"))]);
    let summary = status[0].summary.as_ref().unwrap();
    assert_eq!(summary.lifecycle, crate::catalog::Lifecycle::Deprecated);
    assert_eq!(summary.lines.get("lifecycle"), Some(4));
}

#[test]
fn only_our_documents_are_found() {
    let foreign = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: x }\n";
    let environment = "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: { name: x }\nspec: {}\n";
    let files = [
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        ("templates/x.yaml", "apiVersion: sower.dev/v1alpha1\nkind: {{ .Kind }\n: [\n"),
        ("notes/sower.dev.yaml", "see sower.dev/docs: [\n"),
        ("manifest.yaml", foreign),
        ("env.yaml", environment),
        ("README.md", "apiVersion: sower.dev/v1alpha1"),
        ("data.json", "{\"apiVersion\": \"sower.dev\""),
        ("bin.yaml", "sower.dev/\u{0}\u{1}"),
        ("package/manifest.json", "{\"name\": \"x\", \"kind\": \"app\", \"apiVersion\": 2}"),
        ("empty.yaml", ""),
    ];
    assert_eq!(ids(&load_all(&files)), []);
    assert_eq!(empty_files("test", &Memory::of(&files), is_named, &[]), []);
}

#[test]
fn an_empty_file_with_the_name_of_a_manifest_is_a_warning_and_no_document() {
    let files = [
        ("a/integration.yaml", ""),
        ("b.integration.yaml", "\u{feff}# nothing\n\n  \n"),
        ("c/manifest.yaml", "---\n---\n# nothing\n"),
        ("d/manifest.json", "\n"),
        ("e/integration.yaml", PLAIN),
        ("f/integration.yaml", "a: [\n"),
        ("g/integration.yaml", "text\n"),
        ("notes.yaml", ""),
    ];
    let tree = Memory::of(&files);
    let found = load("test", &tree, Limits::FILES, &|_| None);
    let paths: Vec<&str> = found.iter().map(|f| f.place.path.as_str()).collect();
    assert_eq!(paths, ["e/integration.yaml", "f/integration.yaml", "g/integration.yaml"]);
    let empty = empty_files("test", &tree, is_named, &found);
    let told: Vec<String> = empty.iter().flat_map(|f| &f.problems).map(ToString::to_string).collect();
    let expected = ["a/integration.yaml", "b.integration.yaml", "c/manifest.yaml", "d/manifest.json"]
        .map(|path| format!("{path}:1:1: warning[syntax]: the file is named as a manifest and holds none"));
    assert_eq!(told, expected);
    assert_eq!(empty_files("test", &tree, |path| path == "notes.yaml", &found).len(), 1);
}

#[test]
fn documents_of_one_file_stand_for_themselves() {
    let text = format!(
        "{PLAIN}---\nid: other\nname: Other\nversion: v1\n---\napiVersion: v1\nkind: Secret\n---\na: [\n"
    );
    let found = load_all(&[("integration.yaml", text)]);
    assert_eq!(
        ids(&found),
        [
            ("integration.yaml", Some("acme"), true),
            ("integration.yaml", Some("other"), false),
            ("integration.yaml", None, false)
        ]
    );
    assert_eq!(found.iter().map(|f| f.place.document).collect::<Vec<_>>(), [0, 1, 3]);
}

#[test]
fn two_documents_of_one_id_are_both_refused() {
    let tree =
        Memory::of(&[("a/integration.yaml", PLAIN), ("b/integration.yaml", &format!("# note\n{PLAIN}"))]);
    let found = load("test", &tree, Limits::FILES, &|_| None);
    let told: Vec<String> =
        found.iter().flat_map(|f| &f.problems).filter(|p| p.is_error()).map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "a/integration.yaml:1:5: error[duplicate-manifest]: `acme` is the id of another manifest too: b/integration.yaml:2",
            "b/integration.yaml:2:5: error[duplicate-manifest]: `acme` is the id of another manifest too: a/integration.yaml:1",
        ]
    );
    assert!(found.iter().all(|f| !f.is_valid() && f.manifest.is_none()));
    // Once one of them is gone, the other is valid, whatever was remembered; and the other way round.
    let remembered = found.clone();
    let one = Memory::of(&[("a/integration.yaml", PLAIN)]);
    let known =
        move |e: &FileEntry| Some(remembered.iter().filter(|f| f.place.path == e.path).cloned().collect());
    let alone = load("test", &one, Limits::FILES, &known);
    assert!(alone[0].is_valid());
    let known = move |e: &FileEntry| {
        Some(alone.iter().filter(|f| f.place.path == e.path).cloned().collect::<Vec<_>>())
            .filter(|f| !f.is_empty())
    };
    assert_eq!(load("test", &tree, Limits::FILES, &known), found);
}

#[test]
fn what_did_not_change_is_not_read_again() {
    let tree = Memory::of(&[("a/integration.yaml", PLAIN)]);
    let first = load("test", &tree, Limits::FILES.without_bytes(), &|_| None);
    assert!(first[0].is_valid() && first[0].manifest.is_none());
    let unreadable = Memory { bytes: BTreeMap::new(), entries: tree.entries };
    let again = load("test", &unreadable, Limits::FILES, &|_| Some(first.clone()));
    assert_eq!(again, first);
    let nothing = load("test", &unreadable, Limits::FILES, &|_| Some(Vec::new()));
    assert_eq!(nothing, []);
}

#[test]
fn documents_of_our_group_and_no_kind_of_ours_are_errors() {
    for (text, line, id) in [
        (
            "apiVersion: sower.dev/v1alpha1\nkind: Integraton\nmetadata: { name: acme }\nspec: {}\n",
            2,
            Some("acme"),
        ),
        ("apiVersion: sower.dev/v1alpha1\nkind: Teapot\nmetadata: { name: acme }\n", 2, None),
        ("apiVersion: sower.dev/v9\nkind: Integration\nmetadata: { name: acme }\n", 1, Some("acme")),
    ] {
        let found = load_all(&[("x.yaml", text)]);
        let problem = &found[0].problems[0];
        assert_eq!(
            (problem.code.as_str(), problem.line, found[0].id.as_deref()),
            ("unknown-kind", line, id),
            "{text}"
        );
    }
}
