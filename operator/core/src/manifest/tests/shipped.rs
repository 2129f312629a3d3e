//! The catalog that ships with Sower.

use std::path::Path;

use super::*;

fn gather(folder: &Path, root: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            gather(&path, root, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
}

#[test]
fn every_shipped_integration_is_without_a_problem() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations");
    let mut files = Vec::new();
    gather(&root, &root, &mut files);
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let found = load_all(&files);
    let ids: Vec<&str> = found.iter().filter_map(|f| f.id.as_deref()).collect();
    for id in ["monday", "slack", "stripe", "wordpress"] {
        assert!(ids.contains(&id), "{ids:?}");
    }
    let problems: Vec<String> = found.iter().flat_map(|f| &f.problems).map(ToString::to_string).collect();
    assert_eq!(problems, Vec::<String>::new());
    for found in found.iter().filter(|f| f.is_valid()) {
        let summary = found.summary.as_ref().unwrap();
        assert!(summary.triggers >= 3 && summary.actions >= 5, "{}", summary.id);
    }
}

#[test]
fn every_shipped_integration_is_written_back_whole() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integrations");
    let mut files = Vec::new();
    gather(&root, &root, &mut files);
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
    let none = crate::catalog::Annotations::default();
    for found in load_all(&files).into_iter().filter(Found::is_valid) {
        let manifest = found.manifest.unwrap();
        let Written { text, off, .. } = written(&manifest, none).unwrap();
        assert_eq!(off, None);
        assert!(!text.contains("spec: {"), "it is no JSON: {text}");
        // And what was written is written the same again.
        let again = load_all(&[("integration.yaml", text.as_bytes())]).remove(0).manifest.unwrap();
        assert_eq!(written(&again, none).unwrap().text, text);
    }
}
