//! Small manifests that ask for much work: each is told within a bound that grows with its size, not with its square.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sower_core::catalog::Found;
use sower_core::manifest::load_file;
use sower_core::snapshot::{FileEntry, ReadError, Tree};

/// Far beyond what any of these takes, and far below what each would take if its cost were a square.
const PATIENCE: Duration = Duration::from_secs(20);

/// One file, and nothing beside it.
struct Alone {
    entry: FileEntry,
    text: String,
}

impl Tree for Alone {
    fn files(&self) -> &[FileEntry] {
        std::slice::from_ref(&self.entry)
    }

    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
        Ok((path == self.entry.path).then(|| self.entry.clone()))
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError> {
        if path == self.entry.path { Ok(self.text.clone().into_bytes()) } else { Err(ReadError::NotFound) }
    }
}

/// What is found in a manifest of this text, in time.
fn told(text: String) -> Vec<Found> {
    let path = "integration.yaml";
    let size = text.len() as u64;
    let tree = Alone { entry: FileEntry { path: path.to_owned(), blob: String::new(), size }, text };
    let started = Instant::now();
    let found = load_file("test", &tree, path).expect("it can be read");
    let took = started.elapsed();
    println!("{size} bytes: {took:?}");
    assert!(took < PATIENCE, "{size} bytes took {took:?}");
    found
}

/// The problems of one code in the only document there is.
fn of_code<'f>(found: &'f [Found], code: &str) -> Vec<&'f str> {
    assert_eq!(found.len(), 1);
    let problems = found[0].problems.iter();
    problems.filter(|p| p.code.as_str() == code).map(|p| p.message.as_str()).collect()
}

/// A manifest: its head, these lines, and `line` of each number.
fn manifest(lines: &str, count: usize, line: impl Fn(usize) -> String) -> String {
    let mut text = format!("id: a\nname: A\nversion: 1.0.0\n{lines}");
    for i in 0..count {
        text.push_str(&line(i));
        text.push('\n');
    }
    text
}

/// Fields of an action that goes somewhere.
const GO: &str = "request: { method: POST, url: \"https://a.example\" }";

fn actions(count: usize) -> String {
    let one = |i| format!("- {{ id: do-something-{i}, name: A, {GO} }}\n");
    format!("actions:\n{}", (0..count).map(one).collect::<String>())
}

/// An action with this inputSchema, written as JSON.
fn with_input(schema: &str) -> String {
    manifest("", 1, |_| format!("actions:\n- {{ id: a, name: A, {GO}, inputSchema: {schema} }}"))
}

#[test]
fn cases_of_unknown_actions() {
    let text =
        manifest(&format!("{}testSuite:", actions(3000)).replace("testSuite:", "testSuite:\n"), 3000, |i| {
            format!("- {{ name: c, action: does-anything-{i} }}")
        });
    let found = told(text);
    assert!(!of_code(&found, "unknown-reference").is_empty());
    assert_eq!(of_code(&found, "wrong-type").len(), 2);
}

#[test]
fn cases_within_bounds() {
    let found = told(manifest(&format!("{}testSuite:\n", actions(500)), 1000, |i| {
        format!("- {{ name: c, action: do-something{i} }}")
    }));
    assert!(of_code(&found, "unknown-reference").len() > 400);
}

#[test]
fn choices_of_unknown_actions() {
    let mut properties = String::new();
    for i in 0..5000 {
        let _ = write!(
            properties,
            "p{i}: {{ x-choices: {{ action: does-anything-{i}, value: v, label: l }} }}, "
        );
    }
    let lines = format!("schemas:\n  s: {{ properties: {{ {properties} }} }}\n{}", actions(3000));
    assert!(!of_code(&told(manifest(&lines, 0, |_| String::new())), "unknown-reference").is_empty());
}

#[test]
fn names_in_required() {
    let names: Vec<String> = (0..100_000).map(|i| format!("n{i}")).collect();
    let found = told(with_input(&format!("{{ required: [{}] }}", names.join(", "))));
    assert_eq!(of_code(&found, "bad-schema"), Vec::<&str>::new());
    let found = told(with_input("{ required: [a, b, a, 1, b] }"));
    assert_eq!(
        of_code(&found, "bad-schema"),
        ["`a` is in `required` twice", "a name in `required` is a number", "`b` is in `required` twice"]
    );
}

#[test]
fn types_of_a_schema() {
    let names: Vec<String> = (0..100_000).map(|i| format!("t{i}")).collect();
    let found = told(with_input(&format!("{{ type: [{}] }}", names.join(", "))));
    assert!(of_code(&found, "bad-schema").len() > 400);
}

#[test]
fn references_to_anchors() {
    let all: Vec<String> = (0..30_000).map(|i| format!("{{ $ref: \"#none-{i}\" }}")).collect();
    let found = told(with_input(&format!("{{ anyOf: [{}] }}", all.join(", "))));
    assert!(of_code(&found, "unresolved-ref").len() > 400);
    let all: Vec<String> = (0..30_000)
        .map(|i| format!("{{ $anchor: a{i}, items: {{ $ref: \"#a{}\" }} }}", 29_999 - i))
        .collect();
    let found = told(with_input(&format!("{{ anyOf: [{}] }}", all.join(", "))));
    assert_eq!(of_code(&found, "unresolved-ref"), Vec::<&str>::new());
}

#[test]
fn references_into_one_map() {
    let one = |i| format!("p{i}: {{ $ref: \"#/properties/p{}\" }}", 39_999 - i);
    let all: Vec<String> = (0..40_000).map(one).collect();
    let found = told(with_input(&format!("{{ properties: {{ {} }} }}", all.join(", "))));
    assert_eq!(of_code(&found, "unresolved-ref"), Vec::<&str>::new());
}

#[test]
fn references_to_schemas_of_other_names() {
    let mut schemas = String::new();
    for i in 0..10_000 {
        let _ = writeln!(schemas, "  some-schema-{i}: {{ $ref: \"#/schemas/any-schema-{i}\" }}");
    }
    let found = told(manifest(&format!("schemas:\n{schemas}"), 0, |_| String::new()));
    assert!(of_code(&found, "unresolved-ref").len() > 400);
}

#[test]
fn dependencies() {
    let found = told(manifest("dependencies:\n", 100_000, |i| format!("- d{i}")));
    assert_eq!(of_code(&found, "wrong-type"), ["dependencies has 100000 entries"]);
}

#[test]
fn unknown_fields() {
    let mut text = String::from("id: a\n");
    for i in 0..200_000 {
        let _ = writeln!(text, "nome{i}: 1");
    }
    assert!(of_code(&told(text), "unknown-field").len() > 400);
}

#[test]
fn inputs_in_a_path() {
    let mut properties = String::new();
    let mut path = String::new();
    for i in 0..10_000 {
        let _ = write!(properties, "some-input-{i}: {{ type: string }}, ");
        let _ = write!(path, "/{{any-input-{i}}}");
    }
    let found = told(manifest("baseUrl: https://a.example\nactions:\n", 1, |_| {
        format!(
            "- {{ id: a, name: A, request: {{ method: GET, path: \"{path}\" }}, inputSchema: {{ properties: {{ {properties} }}, additionalProperties: false }} }}"
        )
    }));
    assert!(!of_code(&found, "unknown-input").is_empty());
}

#[test]
fn inputs_in_expressions() {
    let mut properties = String::new();
    let mut body = String::new();
    for i in 0..10_000 {
        let _ = write!(properties, "some-input-{i}: {{ type: string }}, ");
        let _ = write!(body, "b{i}: \"${{input.any_input_{i}}}\", ");
    }
    let found = told(manifest("actions:\n", 1, |_| {
        format!(
            "- {{ id: a, name: A, request: {{ method: POST, url: \"https://a.example\", body: {{ {body} }} }}, inputSchema: {{ properties: {{ {properties} }}, additionalProperties: false }} }}"
        )
    }));
    assert!(!of_code(&found, "unknown-input").is_empty());
}

#[test]
fn inputs_that_go_nowhere() {
    let mut properties = String::new();
    for i in 0..50_000 {
        let _ = write!(properties, "p{i}: {{ type: string }}, ");
    }
    let found = told(manifest("actions:\n", 1, |_| {
        format!(
            "- {{ id: a, name: A, request: {{ method: POST, url: \"https://a.example\", body: text }}, inputSchema: {{ properties: {{ {properties} }} }} }}"
        )
    }));
    assert!(of_code(&found, "unused-input").len() > 400);
}

#[test]
fn keys_that_are_there_twice() {
    let mut text = String::new();
    for i in 0..100_000 {
        let _ = writeln!(text, "k{i}: 1");
    }
    text.push_str(&"k99999: 1\n".repeat(100_000));
    assert_eq!(of_code(&told(text), "duplicate-key").len(), 100);
}

#[test]
fn what_a_schema_holds_as_data_is_weighed() {
    let values = vec!["1"; 50_000].join(", ");
    let lines = format!("schemas:\n  s: {{ enum: [{values}] }}\nevents:\n");
    let found = told(manifest(&lines, 500, |i| {
        format!("- {{ eventType: e{i}, schema: {{ items: {{ $ref: \"#/schemas/s\" }} }} }}")
    }));
    assert!(!of_code(&found, "too-large").is_empty());
}

#[test]
fn documents_of_one_file() {
    let found = told("--- 1\n".repeat(40_000));
    assert_eq!(of_code(&found, "too-large"), ["the file holds more than 1000 documents"]);
    let problem = &found[0].problems[0];
    assert_eq!((found[0].problems.len(), problem.line, found[0].id.as_deref()), (1, 1001, None));
    assert_eq!(told("--- 1\n".repeat(1000)).len(), 1000);
    // A valid one among them is not taken, wherever it stands.
    let one = "---\nid: a\nname: A\nversion: 1.0.0\n";
    assert_eq!(told(format!("{one}{}", "--- 1\n".repeat(1000))).len(), 1);
}

#[test]
fn faults_of_one_document_hide_none_of_another() {
    let twice = "k: 1\n".repeat(200);
    let found = told(format!("id: a\n{twice}---\nid: b\nk: 1\nk: 2\n---\nid: c\n{twice}d: [\n"));
    let of = |document: usize| found[document].problems.iter().map(|p| p.code.as_str()).collect::<Vec<_>>();
    assert_eq!(found.len(), 3);
    assert_eq!(of(0).iter().filter(|code| **code == "duplicate-key").count(), 100);
    assert!(of(1).contains(&"duplicate-key"), "{:?}", of(1));
    assert_eq!(of(2).last(), Some(&"syntax"));
}

#[test]
fn warnings_that_would_hide_an_error() {
    let mut properties = String::new();
    for i in 0..1500 {
        let _ = write!(properties, "p{i}: {{ x-choices: {{ action: none-{i}, value: v, label: l }} }}, ");
    }
    let action = format!("- {{ id: a, name: A, {GO}, inputSchema: {{ properties: {{ {properties} }} }} }}");
    let wrong = format!("- {{ id: b, name: B, {GO}, connections: [none] }}");
    let found = told(manifest("actions:\n", 1, |_| format!("{action}\n{wrong}")));
    assert!(of_code(&found, "unknown-reference").contains(&"there is no connection `none`"));
    assert!(!found[0].is_valid() && found[0].problems.len() < 1000);
}

#[test]
fn hosts_that_nearly_match() {
    let mut lines = String::from("permissions:\n");
    for i in 0..250 {
        let _ = writeln!(lines, "- \"network:*{}{i}\"", "a".repeat(400));
    }
    let host = "a".repeat(4000);
    let found = told(manifest(&format!("{lines}actions:\n"), 400, |i| {
        format!("- {{ id: a{i}, name: A, request: {{ method: GET, url: \"https://{host}{i}b\" }} }}")
    }));
    assert_eq!(of_code(&found, "permission-missing").len(), 400);
}
