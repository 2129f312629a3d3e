//! The hard parts of 18 real services, written in the format, and the whole example of its reference.

use super::*;

fn case_files() -> Vec<(String, Vec<u8>)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&p).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn every_case_loads_without_an_error() {
    let files = case_files();
    assert_eq!(files.len(), 18);
    for (name, bytes) in files {
        let path = name.replace(".yaml", ".integration.yaml");
        let found = load_all(&[(path.as_str(), bytes)]);
        assert_eq!(found.len(), 1, "{name}");
        let errors: Vec<String> =
            found[0].problems.iter().filter(|p| p.is_error()).map(ToString::to_string).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        let summary = found[0].summary.as_ref().expect("a manifest without an error has a summary");
        assert_eq!(format!("{}.yaml", summary.id), name);
        let manifest = found[0].manifest.as_deref().expect("its bytes are kept");
        assert_eq!(summary.checksum, checksum(manifest));
        let value: serde_json::Value = serde_json::from_str(manifest).unwrap();
        assert_eq!(canonical(&value), manifest, "{name}: the canonical form is its own canonical form");
        let again = load_value("test", super::resource("Integration/a/b", "b", &value), Limits::CLUSTER);
        assert_eq!(again.manifest.as_deref(), Some(manifest), "{name}: what is stored loads as itself");
    }
}

#[test]
fn the_whole_example_of_the_format_loads_as_it_stands() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/acme/");
    let files = ["integration.yaml", "schemas/task.json", "schemas/task.completed.json"];
    let files: Vec<_> = files.iter().map(|f| (*f, std::fs::read(format!("{folder}{f}")).unwrap())).collect();
    let found = load_all(&files);
    let errors: Vec<String> =
        found.iter().flat_map(|f| &f.problems).filter(|p| p.is_error()).map(ToString::to_string).collect();
    assert_eq!(errors, Vec::<String>::new());
    let summary = found[0].summary.as_ref().unwrap();
    assert_eq!((summary.actions, summary.triggers, summary.connections, summary.events), (2, 2, 2, 1));
    // Other programs keep checksums: this one may change only together with the version in front of it.
    assert_eq!(summary.checksum, "v1:16f58625cb98358b79686f5485ada222a04d1aa54eb924d00fb04cfeabb1b0fd");
    let value: serde_json::Value = serde_json::from_str(found[0].manifest.as_deref().unwrap()).unwrap();
    let schema = &value["events"][0]["schema"];
    assert_eq!(schema["properties"]["data"]["$ref"], "#/$defs/schemas.task.json");
    assert_eq!(
        schema["$defs"]["schemas.task.json"]["properties"]["parent"]["$ref"],
        "#/$defs/schemas.task.json"
    );
    assert!(value["events"][0].get("schemaPath").is_none());
    assert_eq!(value["actions"][0]["outputSchema"]["properties"]["parent"]["$ref"], "#");
}
