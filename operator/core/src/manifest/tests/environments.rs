//! Environments.

use super::*;

const GOOD: &str = "\
apiVersion: sower.dev/v1alpha1
kind: Environment
metadata: { name: production }
spec:
  sources:
  - name: catalog
    path: integrations
    git: { url: \"https://git.acme.example/catalog.git\", ref: { branch: main } }
  allowedIntegrations:
  - stripe
  - \"acme-*\"
  featureFlags: { betaFeatures: true }
  pruneLimit: 10%
  interval: 10m
  freezeWindows:
  - { schedule: 0 18 * * FRI, duration: 60h, timeZone: Europe/Berlin, integrations: [stripe] }
";

#[test]
fn a_good_one_is_read_with_its_lines() {
    let text = format!("id: no-environment\n---\n{GOOD}---\nkind: Deployment\napiVersion: apps/v1\n");
    let (loaded, problems) = load_environments("environments/production.yaml", text.as_bytes());
    assert_eq!(problems, []);
    let [one] = loaded.as_slice() else { panic!("{loaded:?}") };
    assert_eq!((one.name.as_str(), one.document), ("production", 1));
    assert_eq!(
        one.spec.allowed_integrations.as_deref(),
        Some(&["stripe".to_owned(), "acme-*".to_owned()][..])
    );
    assert_eq!(one.freeze_override, None);
    assert_eq!(one.lines["/allowedIntegrations"], (11, 3));
    assert_eq!(one.lines["/allowedIntegrations/1"], (13, 5));
    assert_eq!(one.lines["/sources/0/git/url"], (10, 12));
}

#[test]
fn every_fault_is_told_at_its_place() {
    let mut wrong = Vec::new();
    for (from, to, code, line, column) in [
        ("interval: 10m", "interval: 10 minutes", "bad-duration", 14, 13),
        ("interval: 10m", "interval: 0s", "bad-duration", 14, 13),
        ("pruneLimit: 10%", "pruneLimit: 10 %", "wrong-type", 13, 15),
        ("pruneLimit: 10%", "pruneLimit: -1", "wrong-type", 13, 15),
        ("  - \"acme-*\"", "  - \"acme-[\"", "bad-pattern", 11, 5),
        ("  - stripe\n  - \"acme-*\"\n", "    []\n", "wrong-type", 10, 5),
        ("path: integrations", "path: ../x", "path-escape", 7, 11),
        ("path: integrations", "folder: x", "wrong-type", 6, 5),
        ("ref: { branch: main }", "ref: { branch: main, tag: x }", "wrong-type", 8, 64),
        ("ref: { branch: main }", "ref: { semver: newest }", "bad-range", 8, 72),
        ("ref: { branch: main }", "ref: { commit: abc }", "wrong-type", 8, 72),
        (
            "ref: { branch: main }",
            "ref: { commit: 3a7bd3e2360a3d29eea436fcfb7e44c735d117c42d1c1835420b6b9942dd4f1b }",
            "wrong-type",
            8,
            72,
        ),
        ("pruneLimit: 10%", "pruneLimit: 500%", "wrong-type", 13, 15),
        ("pruneLimit: 10%", "pruneLimit: 05%", "wrong-type", 13, 15),
        (
            "https://git.acme.example/catalog.git",
            "http://git.acme.example/catalog.git",
            "insecure-url",
            8,
            17,
        ),
        (
            "https://git.acme.example/catalog.git",
            "https://u:secret@git.acme.example/catalog.git",
            "bad-url",
            8,
            17,
        ),
        ("https://git.acme.example/catalog.git", "git@git.acme.example:catalog.git", "bad-url", 8, 17),
        ("metadata: { name: production }", "metadata: {}", "missing-field", 1, 1),
        ("metadata: { name: production }", "metadata: { name: Production }", "bad-id", 3, 19),
        ("kind: Environment", "kind: Enviroment", "unknown-kind", 2, 7),
        ("  featureFlags: {", "  featureFlag: {", "unknown-field", 12, 3),
        ("  featureFlags: {", "  strategy: full\n  featureFlags: {", "unknown-field", 12, 3),
        ("0 18 * * FRI", "0 18 * *", "wrong-type", 16, 17),
        ("0 18 * * FRI", "0 25 * * FRI", "wrong-type", 16, 17),
        ("duration: 60h", "duration: 3 days", "bad-duration", 16, 41),
        ("duration: 60h", "duration: 0s", "bad-duration", 16, 41),
        ("Europe/Berlin", "Europe/Bielefeld", "wrong-type", 16, 56),
        ("integrations: [stripe]", "integrations: []", "wrong-type", 16, 85),
        ("integrations: [stripe]", "integrations: [\"a[\"]", "bad-pattern", 16, 86),
        ("integrations: [stripe]", "kind: Never", "wrong-type", 16, 77),
        (
            "{ name: production }",
            "{ name: production, annotations: { sower.dev/freeze-override: soon } }",
            "wrong-type",
            3,
            73,
        ),
        ("interval: 10m", "interval: [", "syntax", 16, 3),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{to}");
        let (loaded, problems) = load_environments("e.yaml", text.as_bytes());
        let told: Vec<_> = problems.iter().map(|p| (p.code.as_str(), p.line, p.column)).collect();
        if told != [(code, line, column)] {
            wrong.push(format!("{to}: {told:?}"));
        }
        assert_eq!(loaded, [], "{to}");
        assert!(!problems.iter().any(|p| format!("{p:?}").contains("secret@")), "a password is not repeated");
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn two_sources_of_one_name_are_told() {
    let source = "  - { name: catalog, folder: x }\n  allowedIntegrations:";
    let (_, problems) =
        load_environments("e.yaml", GOOD.replace("  allowedIntegrations:", source).as_bytes());
    assert_eq!(problems.iter().map(|p| p.code.as_str()).collect::<Vec<_>>(), ["duplicate-id"]);
}

#[test]
fn a_freeze_is_lifted_by_an_annotation() {
    let lifted =
        "{ name: production, annotations: { sower.dev/freeze-override: \"2026-11-21T15:00:00+01:00\" } }";
    let text = GOOD.replace("{ name: production }", lifted);
    let (loaded, problems) = load_environments("e.yaml", text.as_bytes());
    assert_eq!(problems, []);
    let until = loaded.first().and_then(|one| one.freeze_override);
    assert_eq!(until.map(|at| at.to_string()).as_deref(), Some("2026-11-21T14:00:00Z"));
}

#[test]
fn what_cannot_be_meant_in_a_rollout_is_told_at_its_place() {
    let rollout = "  dependsOn: [{ name: staging, expression: status.counts.conflicts == 0 }]
  rollout:
    default:
      type: Staged
      steps:
      - { weight: 10, hold: 10m }
      - { weight: 50, hold: 1h }
      analysis: { successRate: { min: 0.99 }, expression: candidate.errors < 9 }
    rules:
    - { integrations: [stripe], type: AB, until: 72h, variants: [{ range: ^2.0.0, weight: 5 }] }
";
    let good = format!("{GOOD}{rollout}");
    assert_eq!(load_environments("e.yaml", good.as_bytes()).1, []);
    for (from, to, code, line, column) in [
        ("weight: 50", "weight: 5", "wrong-type", 23, 19),
        ("weight: 50", "weight: 500", "wrong-type", 23, 19),
        ("hold: 1h", "hold: 0s", "bad-duration", 23, 29),
        ("candidate.errors < 9", "candidate.errors <", "bad-expression", 24, 59),
        ("candidate.errors < 9", "candidat.errors < 9", "bad-expression", 24, 59),
        ("min: 0.99", "min: 99", "wrong-type", 24, 39),
        ("until: 72h", "until: soon", "wrong-type", 26, 50),
        ("range: ^2.0.0", "range: newest", "bad-range", 26, 75),
        ("range: ^2.0.0, ", "", "wrong-type", 26, 68),
        ("conflicts == 0 }", "conflicts = 0 }", "bad-expression", 17, 44),
        ("type: AB, until: 72h, variants", "variants", "missing-field", 26, 9),
        (
            "type: AB, until: 72h, variants: [{ range: ^2.0.0, weight: 5 }] }",
            "changes: [patch] }",
            "missing-field",
            26,
            9,
        ),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{to}");
        let (loaded, problems) = load_environments("e.yaml", text.as_bytes());
        let told: Vec<_> = problems.iter().map(|p| (p.code.as_str(), p.line, p.column)).collect();
        assert_eq!((told, loaded.len()), (vec![(code, line, column)], 0), "{to}: {problems:?}");
    }
}
