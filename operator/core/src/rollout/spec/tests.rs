//! What cannot be meant, and where it is told.

use serde_json::json;

use super::*;

fn faults(rollout: &serde_json::Value) -> Vec<(String, String)> {
    let rollout: Rollout = serde_json::from_value(rollout.clone()).expect("a rollout");
    let told = |fault: Fault| (fault.pointer.trim_start_matches("/spec/rollout/").to_owned(), fault.why);
    bad_rollout(&rollout).into_iter().map(told).collect()
}

#[test]
fn good_ones_are_taken() {
    let analysis = json!({
        "interval": "1m", "minimumSample": 100, "successRate": { "min": 0.99 }, "errorRateDifference": { "max": 0.01 },
        "latency": { "maxRatio": 1.5 },
        "prometheus": [
            { "name": "load", "address": "http://prometheus.monitoring:9090", "query": "load{id=\"{{integration}}\"}", "max": 1 },
            { "name": "read", "address": "https://prometheus.example/base", "query": "up", "secretRef": { "name": "p" } },
            { "name": "near", "address": "http://127.0.0.1:9090", "query": "up", "secretRef": { "name": "p" }, "min": 1, "max": 1 },
        ],
        "expression": "prometheus.read > 0.5 || candidate.errors < 3 && latencyRatio < 2.0",
    });
    for rollout in [
        json!({}),
        json!({
            "default": { "type": "Staged", "steps": [{ "weight": 10, "hold": "10m" }, { "weight": 50, "hold": "1h" }], "analysis": analysis },
            "rules": [{ "integrations": ["stripe*"], "changes": ["patch"], "type": "AllAtOnce" }],
        }),
        json!({ "default": { "type": "AB", "until": "72h", "variants": [
            { "version": "1.1.0", "weight": 33.33 }, { "range": "^2.0.0", "match": { "labels": { "plan": "pro" } } },
        ] } }),
        json!({ "default": { "type": "AB", "until": "2026-11-23T06:00:00Z", "variants": [{ "version": "1.1.0", "weight": 100 }] } }),
        json!({ "default": { "type": "Manual", "overrides": [{ "keys": ["acme"] }] } }),
        json!({ "default": { "type": "Staged", "steps": [{ "weight": 0 }, { "weight": 0.07, "pause": true }, { "weight": 0.07 }] } }),
        // The deadline begins when the time of the step is over.
        json!({ "default": { "type": "Staged", "steps": [{ "weight": 1, "hold": "48h", "analysis": { "deadline": "24h" } }] } }),
    ] {
        assert_eq!(faults(&rollout), [], "{rollout}");
    }
}

#[test]
fn what_cannot_be_meant_is_told_where_it_stands() {
    let staged = |steps: serde_json::Value| json!({ "default": { "type": "Staged", "steps": steps } });
    let ab = |until: &str, variants: serde_json::Value| json!({ "default": { "type": "AB", "until": until, "variants": variants } });
    let analysis = |analysis: serde_json::Value| json!({ "default": { "type": "Staged", "steps": [{ "weight": 1 }], "analysis": analysis } });
    let asked = |query: serde_json::Value| {
        let mut whole = json!({ "name": "load", "address": "https://p.example", "query": "up", "max": 1 });
        whole.as_object_mut().expect("a map").extend(query.as_object().expect("a map").clone());
        analysis(json!({ "prometheus": [whole] }))
    };
    let one = json!([{ "version": "1.1.0", "weight": 1 }]);
    for (rollout, pointer, why) in [
        (
            json!({ "default": { "steps": [{ "weight": 1 }] } }),
            "default/steps",
            "steps says nothing with type AllAtOnce",
        ),
        (
            json!({ "default": { "analysis": {} } }),
            "default/analysis",
            "analysis says nothing with type AllAtOnce",
        ),
        (
            json!({ "default": { "type": "Staged", "until": "1h", "steps": [{ "weight": 1 }] } }),
            "default/until",
            "until says nothing with type Staged",
        ),
        (staged(json!([])), "default", "a Staged rollout has no steps"),
        (
            staged(json!([{ "weight": 50 }, { "weight": 10 }])),
            "default/steps/1/weight",
            "the weight falls from 50 to 10",
        ),
        (
            staged(json!([{ "weight": 0.001 }])),
            "default/steps/0/weight",
            "the weight 0.001 is finer than a hundredth of a percent",
        ),
        (staged(json!([{ "weight": 101 }])), "default/steps/0/weight", "the weight is 101"),
        (staged(json!([{ "weight": 1, "hold": "0s" }])), "default/steps/0/hold", "hold is zero"),
        (
            staged(json!([{ "weight": 1, "hold": "ever" }])),
            "default/steps/0/hold",
            "`ever` is not a duration such as 30s, 5m or 1h",
        ),
        (ab("72h", json!([])), "default", "an AB rollout has no variants"),
        (json!({ "default": { "type": "AB", "variants": one } }), "default", "an AB rollout has no `until`"),
        (ab("soon", one.clone()), "default/until", "`soon` is neither a duration nor a time"),
        (ab("0h", one.clone()), "default/until", "`0h` is neither a duration nor a time"),
        (
            ab("2026-13-01T00:00:00Z", one.clone()),
            "default/until",
            "`2026-13-01T00:00:00Z` is neither a duration nor a time",
        ),
        (
            ab("1h", json!([{ "version": "1.1.0", "weight": 60 }, { "version": "1.2.0", "weight": 40.01 }])),
            "default/variants",
            "the weights of the variants are 100.01 percent",
        ),
        (ab("1h", json!([{ "weight": 60 }])), "default/variants/0", "the variant does not name one version"),
        (ab("1h", json!([{ "version": "1.1.0" }])), "default/variants/0", "nobody gets the variant"),
        (
            ab("1h", json!([{ "version": "1.1", "weight": 1 }])),
            "default/variants/0/version",
            "`1.1` is not a semantic version",
        ),
        (
            ab("1h", json!([{ "version": "1.1.0", "weight": 1 }, { "version": "1.1.0", "weight": 1 }])),
            "default/variants/1/version",
            "two variants are of version 1.1.0",
        ),
        (
            ab("1h", json!([{ "range": "newest", "weight": 1 }])),
            "default/variants/0/range",
            "`newest` is not a version range",
        ),
        (
            ab("1h", json!([{ "version": "1.1.0", "match": {} }])),
            "default/variants/0/match",
            "match names nobody",
        ),
        (
            json!({ "default": { "type": "Manual", "overrides": [{}] } }),
            "default/overrides/0",
            "the override names nobody",
        ),
        (
            json!({ "default": { "type": "Manual", "overrides": [{ "keys": ["acme", "a\u{0}b"] }] } }),
            "default/overrides/0/keys/1",
            "the key holds a control character",
        ),
        (
            json!({ "default": { "type": "Manual", "overrides": [{ "labels": { "a/b": "\n" } }] } }),
            "default/overrides/0/labels/a~1b",
            "the label holds a control character",
        ),
        (
            ab("1h", json!([{ "version": "1.1.0", "match": { "labels": { "a\u{7f}": "b" } } }])),
            "default/variants/0/match/labels",
            "the name of a label holds a control character",
        ),
        (
            json!({ "rules": [{ "integrations": ["a["], "type": "AllAtOnce" }] }),
            "rules/0/integrations/0",
            "`a[` is no pattern: unclosed character class; missing ']'",
        ),
        (
            json!({ "rules": [{ "integrations": [], "type": "AllAtOnce" }] }),
            "rules/0/integrations",
            "integrations is empty",
        ),
        (json!({ "rules": [{ "type": "Staged" }] }), "rules/0", "a Staged rollout has no steps"),
        (analysis(json!({ "interval": "0s" })), "default/analysis/interval", "interval is zero"),
        (
            analysis(json!({ "interval": "1h", "deadline": "1h" })),
            "default/analysis/deadline",
            "the deadline comes before the second look",
        ),
        (analysis(json!({ "confidence": 1.0 })), "default/analysis/confidence", "it is 1"),
        (analysis(json!({ "successRate": { "min": 99.0 } })), "default/analysis/successRate/min", "it is 99"),
        (
            analysis(json!({ "expression": "candidate.error < 1" })),
            "default/analysis/expression",
            "error is not there",
        ),
        (
            analysis(json!({ "expression": "prometheus.load < 1.0" })),
            "default/analysis/expression",
            "load is not there",
        ),
        (
            analysis(json!({ "expression": "candidate.errors" })),
            "default/analysis/expression",
            "it is neither true nor false",
        ),
        (
            analysis(json!({ "expression": "candidate.errors > 500 ? stabel.errors < 1 : true" })),
            "default/analysis/expression",
            "`stabel` is none of candidate, stable, errorRateDifference, latencyRatio, prometheus",
        ),
        (
            analysis(json!({ "expression": "candidate.errors > 500 ? stable.error < 1 : true" })),
            "default/analysis/expression",
            "error is not there",
        ),
        (
            asked(json!({ "max": null })),
            "default/analysis/prometheus/0",
            "the query has no limit, and no expression reads it",
        ),
        (asked(json!({ "min": 2 })), "default/analysis/prometheus/0/min", "min 2 is above max 1"),
        (asked(json!({ "query": " " })), "default/analysis/prometheus/0/query", "query is empty"),
        (
            asked(json!({ "query": "a{b=\"{{version}}\"}" })),
            "default/analysis/prometheus/0/query",
            "`{{` begins no placeholder that is known",
        ),
        (
            asked(json!({ "address": "https://u:s3cret@p.example" })),
            "default/analysis/prometheus/0/address",
            "the address cannot be asked: it holds a user name or password",
        ),
        (
            asked(json!({ "address": "http://p.example", "secretRef": { "name": "p" } })),
            "default/analysis/prometheus/0/address",
            "what the Secret holds would be sent unencrypted",
        ),
        (
            analysis(json!({ "prometheus": [
                { "name": "a", "address": "https://p.example", "query": "up", "min": 1 },
                { "name": "a", "address": "https://p.example", "query": "up", "min": 1 },
            ] })),
            "default/analysis/prometheus/1/name",
            "two queries are called `a`",
        ),
    ] {
        assert_eq!(faults(&rollout), [(pointer.to_owned(), why.to_owned())], "{rollout}");
    }
}
