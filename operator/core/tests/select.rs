//! What an environment lets in, and the line that keeps each other manifest out.

mod offer;

use offer::{catalog, invalid, plan, platform, selection, source, spec, summary, valid};
use serde_json::{Value, json};
use sower_core::catalog::{Lifecycle, Stability, Summary};
use sower_core::plan::{Cause, Exclusion};
use sower_core::select::{bad_patterns, select};

fn slack() -> Summary {
    summary("slack", "1.0.0", "")
}

/// The reason and cause for one manifest, written on one line; empty if it is let in.
fn why(fields: Value, summary: Summary) -> String {
    let selection = selection(&spec(fields), &catalog(vec![summary]));
    selection.excluded.first().map_or_else(String::new, |excluded| {
        let cause = match &excluded.cause {
            Cause::Manifest { path, line } => format!("{path}:{line}"),
            Cause::Environment { pointer } => pointer.clone(),
        };
        format!("{} | {cause} | {}", excluded.why.message(), excluded.why.remedy("slack", "production"))
    })
}

#[test]
fn each_exclusion_names_its_line_and_its_cure() {
    let staging_only = Summary { environment: vec!["staging".into()], ..slack() };
    let draft = Summary { lifecycle: Lifecycle::Draft, ..slack() };
    let beta = Summary { stability: Stability::Beta, ..slack() };
    let experimental = Summary { stability: Stability::Experimental, ..slack() };
    let newer = Summary { min_platform_version: Some("0.2.0".into()), ..slack() };
    let table = [
        (
            json!({}),
            staging_only,
            "its environment list does not name this one | integrations/slack/integration.yaml:9 | add `production` to that list",
        ),
        (
            json!({ "blockedIntegrations": ["a", "sl*"], "allowedIntegrations": ["slack"] }),
            slack(),
            "`sl*` of blockedIntegrations matches | /spec/blockedIntegrations/1 | take `sl*` off that list, or write it narrower",
        ),
        (
            json!({ "allowedIntegrations": ["stripe", "s[a-k]*"] }),
            slack(),
            "no pattern of allowedIntegrations matches | /spec/allowedIntegrations | add `slack` to that list",
        ),
        (
            json!({ "featureFlags": { "experimentalFeatures": true } }),
            beta.clone(),
            "beta, and betaFeatures is not set | /spec/featureFlags | set `betaFeatures: true` in featureFlags",
        ),
        (
            json!({ "featureFlags": { "betaFeatures": true, "experimentalFeatures": false } }),
            experimental.clone(),
            "experimental, and experimentalFeatures is not set | /spec/featureFlags | set `experimentalFeatures: true` in featureFlags",
        ),
        (
            json!({}),
            draft,
            "a draft | integrations/slack/integration.yaml:8 | write `lifecycle: published` there",
        ),
        (
            json!({}),
            newer,
            "needs Sower 0.2.0; this is 0.1.0 | integrations/slack/integration.yaml:1 | upgrade Sower to 0.2.0",
        ),
        (
            json!({ "seedingStrategy": "selective", "allowedIntegrations": ["s*"] }),
            slack(),
            "selective, and allowedIntegrations does not name it | /spec/allowedIntegrations | add `slack` to allowedIntegrations, without a wildcard",
        ),
        (
            json!({ "seedingStrategy": "selective" }),
            slack(),
            "selective, and allowedIntegrations does not name it | /spec/seedingStrategy | add `slack` to allowedIntegrations, without a wildcard",
        ),
        (json!({ "featureFlags": { "betaFeatures": true } }), beta, ""),
        (json!({ "featureFlags": { "experimentalFeatures": true } }), experimental, ""),
        (json!({ "seedingStrategy": "selective", "allowedIntegrations": ["s*", "slack"] }), slack(), ""),
        (
            json!({ "allowedIntegrations": ["{slack,stripe}"], "blockedIntegrations": ["slack-*"] }),
            slack(),
            "",
        ),
    ];
    for (fields, summary, expect) in table {
        assert_eq!(why(fields.clone(), summary), expect, "{fields}");
    }
}

#[test]
fn a_platform_as_new_as_asked_is_enough() {
    let asks = Summary { min_platform_version: Some("0.1.0".into()), ..slack() };
    assert_eq!(why(json!({}), asks), "");
    let asks = Summary { min_platform_version: Some("0.1.0-rc.1".into()), ..slack() };
    assert_eq!(why(json!({}), asks), "");
}

#[test]
fn several_sources_offer_in_the_order_of_priority_and_then_of_the_spec() {
    let offer = |name: &str| source(name, vec![valid(name, slack())]);
    let mut sources = vec![offer("b"), offer("a"), offer("first")];
    sources[2].priority = 5;
    let selection = selection(&spec(json!({})), &sources);
    let order: Vec<&str> = selection.wanted.iter().map(|wanted| wanted.place.source.as_str()).collect();
    assert_eq!(order, ["first", "b", "a"]);
}

#[test]
fn an_invalid_document_counts_only_where_the_lists_let_its_id_in() {
    let sources = [source("default", vec![invalid("default", Some("slack")), invalid("default", None)])];
    let let_in = selection(&spec(json!({})), &sources);
    assert_eq!(let_in.invalid.len(), 1);
    let blocked = selection(&spec(json!({ "blockedIntegrations": ["slack"] })), &sources);
    assert!(blocked.invalid.is_empty() && blocked.excluded.is_empty());
}

#[test]
fn a_deprecated_one_is_carried_and_told() {
    let old = Summary { lifecycle: Lifecycle::Deprecated, replaced_by: Some("slack-2".into()), ..slack() };
    let plan = plan(&spec(json!({})), &catalog(vec![old]), &offer::database(&[]));
    assert_eq!(offer::operations(&plan), ["+ slack"]);
    assert_eq!(plan.deprecated, [("slack".to_owned(), Some("slack-2".to_owned()))]);
}

#[test]
fn an_id_that_another_source_brings_in_is_not_excluded_from_the_plan() {
    let draft = Summary { lifecycle: Lifecycle::Draft, ..slack() };
    let sources = [source("a", vec![valid("a", draft)]), source("b", vec![valid("b", slack())])];
    let spec = spec(json!({}));
    assert_eq!(select("production", &spec, &platform(), &sources).excluded[0].why, Exclusion::Draft);
    assert!(plan(&spec, &sources, &offer::database(&[])).excluded.is_empty());
}

#[test]
fn a_pattern_that_is_no_glob_is_reported_and_read_as_a_name() {
    let spec = spec(json!({ "allowedIntegrations": ["sl[ack"], "blockedIntegrations": ["{a"] }));
    let found = bad_patterns(&spec);
    assert_eq!(
        found.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(),
        ["/spec/allowedIntegrations/0", "/spec/blockedIntegrations/0"]
    );
    assert!(selection(&spec, &catalog(vec![slack()])).wanted.is_empty());
}
