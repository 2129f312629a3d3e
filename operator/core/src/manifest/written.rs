//! A manifest written back as a document that a person can read: the way from the canonical bytes to a file.
//!
//! What is written is read again at once. Only a document that comes to the very same bytes is one that restores them.

use serde::Deserialize as _;
use serde_json::Value;
use sower_crds::IntegrationSpec;

use super::canonical::canonical;
use super::load::load_file;
use super::texts::is_id;
use super::yaml::{self, Ordered};
use crate::catalog::Annotations;
use crate::snapshot::{FileEntry, ReadError, Tree};

/// A manifest as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The integration.
    pub id: String,
    /// The document.
    pub text: String,
    /// Why this document does not restore the manifest, where it does not.
    pub off: Option<String>,
}

/// Writes a manifest, given in its canonical form, as a document of its own: with the envelope, the fields in the order of
/// the reference, everything bundled in its place.
///
/// # Errors
/// Where the text is no map, or has no id that could name a resource and a folder.
pub fn written(manifest: &str, annotations: Annotations) -> Result<Written, String> {
    let value: Value = serde_json::from_str(manifest).map_err(|error| format!("it is no JSON: {error}"))?;
    let id = value.get("id").and_then(Value::as_str).filter(|id| is_id(id)).map(str::to_owned);
    let id = id.ok_or("it has no id that is one")?;
    let spec = in_order(&value).ok_or("it is no map")?;
    let head = head(&id, annotations);
    let text = format!("{head}spec:\n{}", yaml::block(&spec, 2));
    let Some(off) = differs(&text, &value, annotations) else { return Ok(Written { id, text, off: None }) };
    // What YAML has no plain words for is said as JSON, which is YAML too.
    let mut bare = value.clone();
    if let Value::Object(map) = &mut bare {
        map.remove("id");
    }
    let plain = format!("{head}spec: {}\n", canonical(&bare));
    Ok(match differs(&plain, &value, annotations) {
        None => Written { id, text: plain, off: None },
        Some(_) => Written { id, text, off: Some(off) },
    })
}

fn head(id: &str, Annotations { prune_disabled, resolve: _ }: Annotations) -> String {
    let kind = "Integration";
    // An id may spell a number, or what YAML takes for a word of its own.
    let name = yaml::scalar_in_flow(id);
    let annotations = match prune_disabled {
        true => format!(", annotations: {{ {}: disabled }}", sower_crds::PRUNE),
        false => String::new(),
    };
    format!(
        "apiVersion: {}\nkind: {kind}\nmetadata: {{ name: {name}{annotations} }}\n",
        sower_crds::API_VERSION
    )
}

/// The fields of the spec in the order of the reference, without the id; those of a manifest of another format in theirs.
fn in_order(value: &Value) -> Option<Ordered> {
    let typed = IntegrationSpec::deserialize(value).ok().and_then(|spec| {
        let spec = IntegrationSpec { id: None, ..spec };
        serde_json::from_str(&serde_json::to_string(&spec).ok()?).ok()
    });
    let ordered = typed.or_else(|| serde_json::from_value(value.clone()).ok());
    match ordered {
        Some(Ordered::Map(entries)) => {
            let own = entries.into_iter().filter(|(key, _)| key != "id");
            Some(Ordered::Map(own.map(|(key, value)| (key, schema_order(value))).collect()))
        }
        _ => None,
    }
}

/// What of a schema people read first, before the rest by name.
const FIRST: [&str; 8] =
    ["$ref", "title", "type", "description", "required", "properties", "items", "additionalProperties"];

/// A value in which every schema begins with what it is. A free-form value has its keys by name: only those move.
fn schema_order(value: Ordered) -> Ordered {
    match value {
        Ordered::List(items) => Ordered::List(items.into_iter().map(schema_order).collect()),
        Ordered::Map(entries) => {
            let free = entries.is_sorted_by(|(a, _), (b, _)| a < b);
            let mut entries: Vec<(String, Ordered)> =
                entries.into_iter().map(|(key, value)| (key, schema_order(value))).collect();
            if free && entries.iter().any(|(key, _)| key == "type") {
                entries.sort_by_key(|(key, _)| {
                    FIRST.iter().position(|first| first == key).unwrap_or(FIRST.len())
                });
            }
            Ordered::Map(entries)
        }
        other => other,
    }
}

/// Why a document does not come to these contents.
fn differs(text: &str, value: &Value, annotations: Annotations) -> Option<String> {
    let wanted = canonical(value);
    let found = match load_file("export", &OneFile(text), OneFile::PATH) {
        Ok(found) => found,
        Err(unread) => return Some(unread.to_string()),
    };
    match found.as_slice() {
        [only]
            if only.manifest.as_deref() == Some(&wanted)
                && only.summary.as_ref().is_some_and(|summary| summary.annotations == annotations) =>
        {
            None
        }
        [only] => Some(match only.problems.iter().find(|problem| problem.is_error()) {
            Some(problem) => format!("{}: {}", problem.code, problem.message),
            None => "it reads otherwise than it was stored".to_owned(),
        }),
        _ => Some("it is not one document".to_owned()),
    }
}

/// A tree of this one file.
struct OneFile<'a>(&'a str);

impl OneFile<'_> {
    const PATH: &'static str = "integration.yaml";
}

impl Tree for OneFile<'_> {
    fn files(&self) -> &[FileEntry] {
        &[]
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        let size = self.0.len() as u64;
        Ok((path == Self::PATH).then(|| FileEntry { path: path.to_owned(), blob: String::new(), size }))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        if path == Self::PATH { Ok(self.0.as_bytes().to_vec()) } else { Err(ReadError::NotFound) }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::resolution::Resolutions;

    const NONE: Annotations = Annotations {
        prune_disabled: false,
        resolve: Resolutions { version: None, dependency: None, duplicate: None },
    };

    #[test]
    fn a_manifest_reads_like_one_that_a_person_wrote() {
        let manifest = json!({
            "id": "acme", "name": "Acme: tasks", "version": "1.2.0", "description": "Tasks, and more.",
            "longDescription": "First line.\n\n- second\n", "author": "Sower", "category": ["yes", "tools"],
            "baseUrl": "https://acme.example/v1", "permissions": ["network:acme.example"],
            "actions": [{
                "id": "task.create", "name": "Create a task", "description": "Creates a task.",
                "inputSchema": {"type": "object", "required": ["title"], "properties": {
                    "title": {"type": "string", "minLength": 1, "description": "What is to be done, in a few words."},
                    "on": {"type": "boolean"}}},
                "request": {"method": "POST", "path": "/tasks", "body": {"title": "${input.title}"}}
            }]
        });
        let Written { id, text, off } = written(&canonical(&manifest), NONE).expect("written");
        assert_eq!(id, "acme");
        assert_eq!(off, None);
        assert_snapshot!(text, @r#"
    apiVersion: sower.dev/v1alpha1
    kind: Integration
    metadata: { name: acme }
    spec:
      name: "Acme: tasks"
      version: 1.2.0
      description: Tasks, and more.
      longDescription: |
        First line.

        - second
      author: Sower
      category: ["yes", tools]
      permissions: [network:acme.example]
      baseUrl: https://acme.example/v1
      actions:
      - id: task.create
        name: Create a task
        description: Creates a task.
        inputSchema:
          type: object
          required: [title]
          properties:
            "on": { type: boolean }
            title:
              type: string
              description: What is to be done, in a few words.
              minLength: 1
        request: { method: POST, path: /tasks, body: { title: "${input.title}" } }
    "#);
    }

    #[test]
    fn what_is_no_manifest_is_told() {
        for (text, why) in [
            ("[]", "it has no id that is one"),
            (r#"{"id":"../x"}"#, "it has no id that is one"),
            ("{", "it is no JSON: EOF while parsing an object at line 1 column 1"),
        ] {
            assert_eq!(written(text, NONE), Err(why.to_owned()), "{text}");
        }
        let kept = Annotations { prune_disabled: true, ..NONE };
        let Written { text, off, .. } =
            written(r#"{"id":"acme","name":"Acme","version":"1.0.0"}"#, kept).expect("written");
        assert_eq!(off, None);
        assert!(text.contains("{ name: acme, annotations: { sower.dev/prune: disabled } }"), "{text}");
        let off = written(r#"{"id":"acme","unknown":1}"#, NONE).expect("written").off;
        assert!(off.as_deref().is_some_and(|off| off.contains("unknown")), "{off:?}");
    }

    fn texts() -> impl Strategy<Value = String> {
        let words = prop::sample::select(vec![
            "yes",
            "null",
            "~",
            "1.5",
            "0x1f",
            "-",
            "- a",
            "a: b",
            "a #b",
            "#",
            "'",
            "\"",
            "\\",
            "é: ü",
            "a\n",
            "a\nb",
            "\na",
            " a",
            "a ",
            "\ta",
            "a\t\n b\n\n",
            "%a",
            "@a",
            "`",
            "!a",
            "&a",
            "*a",
            "|",
            ">",
            "a:",
            "? a",
            "{}",
            "[",
            "2026-11-01",
            "\u{85}",
            "\u{2028}",
            "\u{feff}",
            "\u{1F600}",
            "\u{7f}",
            "a\r\nb",
            "---",
            "...",
            "--- a\n...\n",
            "<<",
            "=",
            ",",
            "a,b",
        ]);
        prop_oneof![words.prop_map(str::to_owned), "\\PC{0,40}", "[ -~\n\t]{0,60}"]
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            texts().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((texts(), inner), 0..6)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever a free-form field holds, and whatever the texts say, the document restores the bytes.
        #[test]
        fn a_document_restores_its_manifest(default in values(), example in values(), about in texts(), long in texts()) {
            let mut manifest = json!({
                "id": "acme", "name": "Acme", "version": "1.0.0",
                "actions": [{
                    "id": "list", "name": "List", "inputSchema": {"type": "object", "properties": {"a": {"default": default, "examples": [example]}}},
                    "request": {"method": "GET", "path": "/a"}
                }],
                "baseUrl": "https://acme.example", "longDescription": long
            });
            if !about.trim().is_empty() && !about.contains('\n') {
                manifest["description"] = about.into();
            }
            let text = canonical(&manifest);
            let Written { text: document, off, .. } = written(&text, NONE).unwrap();
            // Some texts are none that a manifest may hold: then neither form restores it, and that is said.
            if let Some(off) = off {
                let json = format!("{}spec: {}\n", head("acme", NONE), text);
                prop_assert!(differs(&json, &manifest, NONE).is_some(), "{off}\n{document}");
            } else {
                prop_assert!(differs(&document, &manifest, NONE).is_none());
            }
        }

        /// The plain form does without JSON wherever a value is one that YAML can say.
        #[test]
        fn a_value_reads_back(value in values()) {
            let ordered: Ordered = serde_json::from_value(value.clone()).unwrap();
            let text = format!("a:\n{}", yaml::block(&Ordered::Map(vec![("b".to_owned(), ordered)]), 2));
            let parsed = super::super::tree::parse(text.as_bytes());
            let back: Option<Value> = parsed.documents.first().map(|document| document.root.to_json());
            let wanted = json!({"a": {"b": value}});
            if let Some(back) = back.filter(|_| parsed.faults.is_empty()) {
                prop_assert_eq!(canonical(&back), canonical(&wanted), "{}", text);
            } else {
                prop_assert!(canonical(&wanted).contains("\\u0000"), "{:?}\n{}", parsed.faults, text);
            }
        }
    }
}
