//! How long a catalog takes to load. Run with `cargo test --release -p sower-core -- --ignored --nocapture speed`.

use std::fmt::Write as _;
use std::time::Instant;

use super::*;

/// A manifest with ten actions, five triggers and their schemas in files.
fn generated(i: usize) -> Vec<(String, String)> {
    let mut text = format!(
        "apiVersion: sower.dev/v1alpha1\nkind: Integration\nmetadata: {{ name: app-{i} }}\nspec:\n  name: App {i}\n  version: 1.{i}.0\n  description: Tasks and projects of app {i}.\n  author: Acme\n  license: Apache-2.0\n  category: [productivity]\n  baseUrl: \"https://${{credentials.region}}.app{i}.example/api\"\n  permissions: [\"network:*.app{i}.example\"]\n  rateLimit: [{{ requests: 100, per: 1m }}]\n  credentialSchema:\n    region: {{ label: Region, type: text, choices: [us, eu], default: us }}\n    apiKey: {{ label: Key, type: password }}\n  connections:\n  - {{ id: key, name: Key, type: apiKey, apiKey: {{ in: header, name: Authorization, value: \"Bearer ${{credentials.apiKey}}\" }} }}\n  errors:\n  - {{ when: \"${{response.status == 400 && response.body.code == 'quota'}}\", kind: rateLimited, message: \"${{response.body.message}}\" }}\n  actions:\n"
    );
    for a in 0..10 {
        let _ = write!(
            text,
            "  - id: thing-{a}.create\n    name: Create thing {a}\n    category: tasks\n    inputSchema:\n      type: object\n      required: [project, title]\n      properties:\n        project: {{ type: string, title: Project, description: The project it goes to. }}\n        title: {{ type: string, maxLength: 200 }}\n        due: {{ type: string, format: date }}\n        labels: {{ type: array, items: {{ type: string, pattern: \"^[a-z]+$\" }} }}\n    request: {{ method: POST, path: \"/projects/{{project}}/things-{a}\", body: {{ name: \"${{input.title}}\", due: \"${{has(input.due) ? input.due : null}}\" }} }}\n    idempotency: {{ header: Idempotency-Key }}\n    output: \"${{response.body.thing}}\"\n    outputSchema: {{ $ref: schemas/thing.json }}\n"
        );
    }
    text.push_str("  triggers:\n");
    for t in 0..5 {
        let _ = write!(
            text,
            "  - id: thing-{t}.updated\n    name: Thing {t} updated\n    type: polling\n    outputSchema: {{ type: object }}\n    polling: {{ request: {{ method: GET, path: /things, query: {{ updated_after: \"${{cursor}}\" }} }}, items: \"${{response.body.things}}\", key: \"${{item.id}}:${{item.updated_at}}\", cursor: \"${{item.updated_at}}\", interval: 5m }}\n"
        );
    }
    text.push_str(
        "  testSuite:\n  - { name: creates, action: thing-0.create, input: { project: p, title: t } }\n",
    );
    let schema = r##"{ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": { "id": { "type": "string" }, "title": { "type": "string" }, "parent": { "$ref": "#" }, "owner": { "type": "object", "properties": { "name": { "type": "string" }, "email": { "type": "string", "format": "email" } } } } }"##;
    vec![
        (format!("app-{i}/integration.yaml"), text),
        (format!("app-{i}/schemas/thing.json"), schema.to_owned()),
    ]
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let files: Vec<(String, String)> = (0..1000).flat_map(generated).collect();
    let bytes: usize = files.iter().map(|f| f.1.len()).sum();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let tree = Memory::of(&files);
    for _ in 0..3 {
        let start = Instant::now();
        let found = load("test", &tree, Limits::FILES.without_bytes(), &|_| None);
        let took = start.elapsed();
        assert_eq!(found.len(), 1000);
        let problems: Vec<_> = found.iter().flat_map(|f| &f.problems).collect();
        assert_eq!(problems, Vec::<&Problem>::new());
        println!("1,000 manifests, {} KiB: {took:?}", bytes / 1024);
        let start = Instant::now();
        let again = load("test", &tree, Limits::FILES.without_bytes(), &|e| {
            let at = found.binary_search_by(|f| f.place.path.as_str().cmp(&e.path));
            Some(at.map(|i| vec![found[i].clone()]).unwrap_or_default())
        });
        println!("the same, remembered: {:?}", start.elapsed());
        assert_eq!(again, found);
    }
}
