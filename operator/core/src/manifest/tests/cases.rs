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
        let again = load_value("test", "Integration/a/b", "", "b", &value, Limits::CLUSTER);
        assert_eq!(again.manifest.as_deref(), Some(manifest), "{name}: what is stored loads as itself");
    }
}
