//! Files that are there and cannot be read: nothing is told of them, so that nothing can be remembered.

use super::*;

/// Files, one of which cannot be read, or not even found out about.
struct Failing {
    tree: Memory,
    path: &'static str,
    error: ReadError,
    no_entry: bool,
}

impl Tree for Failing {
    fn files(&self) -> &[FileEntry] {
        self.tree.files()
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        if self.no_entry && path == self.path { Err(self.error.clone()) } else { self.tree.entry(path) }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        if path == self.path { Err(self.error.clone()) } else { self.tree.read(path) }
    }
}

const GOOD: &str =
    "id: acme\nname: Acme\nversion: 1.0.0\nevents:\n- { eventType: done, schemaPath: schemas/done.json }\n";
const IN_GROUP: &str = "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: { name: other }\nspec: { name: Other, version: 1.0.0 }\n";

#[test]
fn a_read_error_is_no_content() {
    let gone = || ReadError::Io("object not found".into());
    for (path, error, no_entry) in [
        ("acme/integration.yaml", gone(), false),
        // It is listed, and was taken away since.
        ("acme/integration.yaml", ReadError::NotFound, false),
        // Nobody knows whether it holds a document of ours.
        ("other.yaml", gone(), false),
        ("acme/schemas/done.json", gone(), false),
        ("acme/schemas/done.json", gone(), true),
    ] {
        let files = [
            ("acme/integration.yaml", GOOD),
            ("acme/schemas/done.json", "{ \"type\": \"object\" }"),
            ("other.yaml", IN_GROUP),
        ];
        let tree = Failing { tree: Memory::of(&files), path, error: error.clone(), no_entry };
        let expected = Unread { path: path.into(), cause: error.to_string() };
        let none = super::super::load("test", &tree, Limits::FILES, &|_| None);
        assert_eq!(none, Err(expected.clone()), "{path}");
        assert_eq!(expected.to_string(), format!("cannot read {path}: {error}"));
    }
}

#[test]
fn what_is_too_large_or_absent_is_an_answer() {
    let tree = |path, error| Failing {
        tree: Memory::of(&[("acme/integration.yaml", GOOD)]),
        path,
        error,
        no_entry: false,
    };
    let large = tree("acme/integration.yaml", ReadError::TooLarge { size: 7, limit: 3 });
    let found = load("test", &large, Limits::FILES, &|_| None);
    assert_eq!(found[0].problems[0].code.as_str(), "too-large");
    let none = tree("nothing", ReadError::NotFound);
    assert!(!load("test", &none, Limits::FILES, &|_| None)[0].is_valid(), "its schema is not there");
    let found = load_file("test", &none, "nothing").expect("an answer");
    assert_eq!(found[0].problems[0].code.as_str(), "syntax");
}
