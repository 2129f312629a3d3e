//! What is generated and checked in is what the types say. `SOWER_BLESS=1` writes it anew.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn check(path: &str, generated: &str) {
    let file = root().join(path);
    if std::env::var_os("SOWER_BLESS").is_some() {
        std::fs::write(&file, generated).expect(path);
        return;
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        written == generated,
        "{path} is not what the types say: SOWER_BLESS=1 cargo test -p sower-crds --test generated"
    );
}

#[test]
fn definitions_are_as_generated() {
    for (name, text) in sower_crds::crd_files() {
        check(&format!("crds/yaml/{name}"), &text);
    }
}

#[test]
fn the_editors_schema_is_as_generated() {
    check("crds/sower.schema.json", &sower_crds::editor_schema());
}

#[test]
fn the_reference_is_as_generated() {
    check("docs/manifest.md", &sower_crds::manifest_reference());
    check("docs/environment.md", &sower_crds::environment_reference());
}
