//! Each code of a problem: what makes it, and where it is told.

use std::collections::BTreeSet;

use super::*;
use crate::problem::Code;

/// A manifest without a problem, into which each row of the table puts one.
const GOOD: &str = "\
id: acme
name: Acme
version: 1.0.0
description: Tasks.
author: Acme Inc.
license: Apache-2.0
category: [productivity]
baseUrl: https://api.acme.example
actions:
- id: task.create
  name: Create a task
  inputSchema: { type: object, properties: { title: { type: string } } }
  request: { method: POST, path: /tasks }
  outputSchema: { type: object }
testSuite:
- { name: creates, action: task.create }
";

/// A line of [`GOOD`] and what stands in its place.
type Change = (&'static str, &'static str);

/// A change, and the problem it makes: code, line, column, length, pointer.
type Row = (Change, (&'static str, u32, u32, u32, &'static str));

const BAD_URL: &str = "baseUrl: https://api.acme.example";
const REQUEST: &str = "  request: { method: POST, path: /tasks }";
const INPUT: &str = "  inputSchema: { type: object, properties: { title: { type: string } } }";
const OUTPUT: &str = "  outputSchema: { type: object }";
const CATEGORY: &str = "category: [productivity]";

const ROWS: &[Row] = &[
    ((CATEGORY, "category: [productivity"), ("syntax", 8, 8, 1, "")),
    ((CATEGORY, "category: [\"a\\0b\"]"), ("encoding", 7, 12, 6, "")),
    (("name: Acme", "name: Acme\nname: Other"), ("duplicate-key", 3, 1, 4, "")),
    ((CATEGORY, "category: [x]\ncolour: red"), ("unknown-field", 8, 1, 6, "/colour")),
    (
        (REQUEST, "  request: { method: POST, path: /tasks, verb: x }"),
        ("unknown-field", 13, 42, 4, "/actions/0/request/verb"),
    ),
    (("name: Acme", "tags: []"), ("missing-field", 1, 1, 2, "")),
    ((REQUEST, "  request: { path: /tasks }"), ("missing-field", 13, 14, 4, "/actions/0/request")),
    (
        (REQUEST, "  request: { method: POST, path: /tasks, bodyFormat: graphql }"),
        ("missing-field", 13, 14, 6, "/actions/0/request"),
    ),
    (("name: Acme", "name: [Acme]"), ("wrong-type", 2, 7, 1, "/name")),
    (("name: Acme", "name: 12"), ("wrong-type", 2, 7, 2, "/name")),
    (
        (REQUEST, "  request: { method: post, path: /tasks }"),
        ("wrong-type", 13, 22, 4, "/actions/0/request/method"),
    ),
    (("id: acme", "id: Acme Tasks"), ("bad-id", 1, 5, 10, "/id")),
    (
        (CATEGORY, "category: [x]\nconnections: [{ id: Main_Key, name: x, type: none }]"),
        ("bad-id", 8, 21, 8, "/connections/0/id"),
    ),
    (("version: 1.0.0", "version: v2.1"), ("bad-version", 3, 10, 4, "/version")),
    (("version: 1.0.0", "version: 1.0"), ("bad-version", 3, 10, 3, "/version")),
    ((CATEGORY, "category: [x]\nminPlatformVersion: new"), ("bad-version", 8, 21, 3, "/minPlatformVersion")),
    ((CATEGORY, "category: [x]\ndependencies: [\"other@new\"]"), ("bad-range", 8, 16, 11, "/dependencies/0")),
    ((BAD_URL, "baseUrl: api.acme.example"), ("bad-url", 8, 10, 16, "/baseUrl")),
    ((BAD_URL, "baseUrl: http://api.acme.example"), ("insecure-url", 8, 10, 23, "/baseUrl")),
    (
        (BAD_URL, "baseUrl: https://a.example\nhomepage: http://a.example"),
        ("insecure-url", 9, 11, 16, "/homepage"),
    ),
    (
        (OUTPUT, "  outputSchema: {}\n  rateLimit: [{ requests: 1, per: 5 minutes }]"),
        ("bad-duration", 15, 35, 9, "/actions/0/rateLimit/0/per"),
    ),
    (
        (CATEGORY, "category: [x]\ncredentialSchema: { shop: { pattern: \"[a\" } }"),
        ("bad-pattern", 8, 38, 4, "/credentialSchema/shop/pattern"),
    ),
    (
        (OUTPUT, "  outputSchema: { pattern: \"(\" }"),
        ("bad-pattern", 14, 28, 3, "/actions/0/outputSchema/pattern"),
    ),
    (
        (
            OUTPUT,
            "  outputSchema: {}\n- { id: task.create, name: x, outputSchema: {}, request: { method: GET, path: /x } }",
        ),
        ("duplicate-id", 15, 9, 11, "/actions/1/id"),
    ),
    (
        (REQUEST, "  request: { method: POST, path: /tasks, base: files }"),
        ("unknown-reference", 13, 48, 5, "/actions/0/request/base"),
    ),
    (
        (OUTPUT, "  outputSchema: {}\n  connections: [key]"),
        ("unknown-reference", 15, 17, 3, "/actions/0/connections/0"),
    ),
    ((OUTPUT, "  outputSchema: { type: strng }"), ("bad-schema", 14, 25, 5, "/actions/0/outputSchema/type")),
    (
        (OUTPUT, "  outputSchema: { $ref: schemas/task.json }"),
        ("unresolved-ref", 14, 25, 17, "/actions/0/outputSchema/$ref"),
    ),
    (
        (OUTPUT, "  outputSchema: { $ref: \"#/schemas/Task\" }"),
        ("unresolved-ref", 14, 25, 16, "/actions/0/outputSchema/$ref"),
    ),
    (
        (OUTPUT, "  outputSchema: { $ref: \"https://a.example/x.json\" }"),
        ("remote-ref", 14, 25, 26, "/actions/0/outputSchema/$ref"),
    ),
    (
        (OUTPUT, "  outputSchema: { $ref: ../../../etc/passwd }"),
        ("path-escape", 14, 25, 19, "/actions/0/outputSchema/$ref"),
    ),
    (
        (OUTPUT, "  outputSchema: {}\n  output: \"${1 +}\""),
        ("bad-expression", 15, 16, 1, "/actions/0/output"),
    ),
    (
        (OUTPUT, "  outputSchema: {}\n  output: \"${shout(1)}\""),
        ("unknown-function", 15, 14, 5, "/actions/0/output"),
    ),
    (
        (OUTPUT, "  outputSchema: {}\n  output: \"${event.body}\""),
        ("unknown-name", 15, 14, 5, "/actions/0/output"),
    ),
    (
        (REQUEST, "  request: { method: POST, path: \"/tasks/{titel}\" }"),
        ("unknown-input", 13, 42, 7, "/actions/0/request/path"),
    ),
    (
        (OUTPUT, "  outputSchema: {}\n  output: \"${input.titel}\""),
        ("unknown-input", 15, 14, 11, "/actions/0/output"),
    ),
    (
        (BAD_URL, "baseUrl: \"https://${credentials.shop}.acme.example\""),
        ("unknown-credential", 8, 21, 16, "/baseUrl"),
    ),
    (
        (REQUEST, "  request: { method: POST, path: /tasks, body: [1] }"),
        ("unused-input", 12, 46, 5, "/actions/0/inputSchema/properties/title"),
    ),
    (
        (REQUEST, "  request: { method: POST, path: /tasks, body: { title: x } }"),
        ("unused-input", 12, 46, 5, "/actions/0/inputSchema/properties/title"),
    ),
    (
        (CATEGORY, "category: [x]\npermissions: [\"network:*.other.example\"]"),
        ("permission-missing", 9, 10, 24, "/baseUrl"),
    ),
    ((CATEGORY, "category: [x]\ndependencies: [acme]"), ("self-dependency", 8, 16, 4, "/dependencies/0")),
    (("description: Tasks.", "tags: []"), ("no-description", 1, 1, 2, "")),
    (("author: Acme Inc.", "tags: []"), ("no-author", 1, 1, 2, "")),
    (("license: Apache-2.0", "tags: []"), ("no-license", 1, 1, 2, "")),
    ((CATEGORY, "tags: []"), ("no-category", 1, 1, 2, "")),
    (
        (INPUT, "  description: \"no schema\"\n  output: \"${input.title}\""),
        ("untyped-input", 10, 3, 2, "/actions/0"),
    ),
    ((OUTPUT, "  description: Creates it."), ("no-output-schema", 10, 3, 2, "/actions/0")),
    (("testSuite:", "examples:"), ("no-test", 1, 1, 2, "")),
    (
        (CATEGORY, "category: [x]\nschemas: { Task: { type: object } }"),
        ("unused-schema", 8, 12, 4, "/schemas/Task"),
    ),
    (
        (OUTPUT, "  outputSchema: { $schema: \"http://json-schema.org/draft-04/schema#\" }"),
        ("deprecated-draft", 14, 28, 41, "/actions/0/outputSchema/$schema"),
    ),
    (
        (
            BAD_URL,
            "baseUrl: https://a.example\ntriggers:\n- { id: t, name: T, type: webhook, webhook: w, event: done, outputSchema: {} }\nwebhooks: [{ id: w }]",
        ),
        ("undeclared-event", 10, 55, 4, "/triggers/0/event"),
    ),
    (
        (
            BAD_URL,
            "baseUrl: https://a.example\ntriggers:\n- { id: t, name: T, type: webhook, webhook: w, outputSchema: {} }\nwebhooks: [{ id: w }]\nevents: [{ eventType: done }]",
        ),
        ("unused-event", 12, 23, 4, "/events/0/eventType"),
    ),
];

#[test]
fn the_good_one_is_good() {
    assert_eq!(problems(GOOD), []);
}

#[test]
fn each_fault_is_one_problem_at_its_place() {
    let mut wrong = Vec::new();
    for ((from, to), (code, line, column, length, pointer)) in ROWS {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{to}");
        let found: Vec<_> = problems(&text)
            .into_iter()
            .map(|p| (p.code.as_str(), p.line, p.column, p.length, p.pointer.clone(), p.message))
            .collect();
        let expected: (&str, u32, u32, u32, String) = (code, *line, *column, *length, (*pointer).to_owned());
        let short: Vec<_> = found.iter().map(|(c, l, k, n, p, _)| (*c, *l, *k, *n, p.clone())).collect();
        if short != [expected] {
            wrong.push(format!("{to}\n    {found:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The codes that take more than one line to make, each with the test that makes it.
const ELSEWHERE: [(&str, &str); 6] = [
    ("too-large", "files_beyond_the_bounds_are_refused"),
    ("too-deep", "files_beyond_the_bounds_are_refused"),
    ("alias-bomb", "files_beyond_the_bounds_are_refused"),
    ("unknown-kind", "documents_of_our_group_and_no_kind_of_ours_are_errors"),
    ("duplicate-manifest", "two_documents_of_one_id_are_both_refused"),
    ("no-version", "the_older_form_is_taken_as_it_stands"),
];

#[test]
fn every_code_has_a_test() {
    let tested: BTreeSet<&str> =
        ROWS.iter().map(|(_, (code, ..))| *code).chain(ELSEWHERE.iter().map(|(code, _)| *code)).collect();
    let all: BTreeSet<&str> = Code::ALL.iter().map(|c| c.as_str()).collect();
    assert_eq!(tested, all);
}

#[test]
fn files_beyond_the_bounds_are_refused() {
    let codes = |text: &str| problems(text).iter().map(|p| p.code.as_str()).collect::<Vec<_>>();
    assert_eq!(codes(&format!("{GOOD}# {}", "x".repeat(tree::MAX_BYTES))), ["too-large"]);
    let large = format!("{GOOD}longDescription: {}\n", "x".repeat(300 * 1024));
    let found = load("test", &Memory::of(&[("integration.yaml", &large)]), Limits::CLUSTER, &|_| None);
    assert_eq!(found[0].problems[0].code.as_str(), "too-large");
    assert_eq!(codes(&format!("{GOOD}tags: {}{}", "[".repeat(70), "]".repeat(70))), ["too-deep"]);
    let bomb = (1..20).fold("a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8]\n".to_owned(), |text, i| {
        let of = vec![format!("*a{}", i - 1); 8].join(", ");
        format!("{text}a{i}: &a{i} [{of}]\n")
    });
    assert_eq!(codes(&bomb), ["alias-bomb"]);
}

#[test]
fn three_problems_of_three_kinds_are_told_in_one_pass() {
    let text = include_str!("../../../testdata/three-problems.yaml");
    let found = load_all(&[("integrations/slack/integration.yaml", text)]);
    let problems: Vec<Problem> = found.into_iter().flat_map(|f| f.problems).collect();
    let told: Vec<String> = problems
        .iter()
        .map(|p| format!("{p} | {} {} | {}", p.length, p.expected, p.hint.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        told,
        [
            "integrations/slack/integration.yaml:6:12: error[bad-version]: `v2.1` is not a semantic version | 4 expected MAJOR.MINOR.PATCH | write `2.1.0`",
            "integrations/slack/integration.yaml:18:7: error[unknown-field]: oauth2 has no field `tokenURL` | 8 unknown field | did you mean `tokenUrl`?",
            "integrations/slack/integration.yaml:32:53: error[unknown-input]: the inputSchema of action `post-message` has no property `mesage` | 12 unknown input | its properties are `channel` and `text`",
        ]
    );
    assert_eq!(problems[2].pointer, "/spec/actions/0/request/body/text");
    assert_eq!(problems[0].integration.as_deref(), Some("slack"));
}
