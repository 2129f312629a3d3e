//! What the API server can judge of a rollout, it refuses.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sower_tests::bed::environment;
use sower_tests::catalog::{source, spec, with};
use sower_tests::control_plane::ControlPlane;

fn strategy(strategy: Value) -> Value {
    json!({ "default": strategy })
}

fn judged(analysis: Value) -> Value {
    strategy(json!({ "type": "Staged", "steps": [{ "weight": 10 }], "analysis": analysis }))
}

#[tokio::test]
async fn rollouts_that_make_no_sense_are_refused() -> Result<()> {
    let namespace = ControlPlane::with_crds().await?.namespace("refused").await?;
    let of = |rollout: Value| {
        with(spec(source("https://git.example/catalog.git", "main")), json!({ "rollout": rollout }))
    };
    let variant = |variant: Value| strategy(json!({ "type": "AB", "variants": [variant], "until": "72h" }));
    let query = |more: Value| {
        let query =
            json!({ "name": "failing", "address": "http://prometheus:9090", "query": "vector(0)", "max": 1 });
        judged(json!({ "prometheus": [with(query, more)] }))
    };
    let steps =
        |count: usize| strategy(json!({ "type": "Staged", "steps": vec![json!({ "weight": 1 }); count] }));
    let rule = json!({ "type": "AllAtOnce", "integrations": ["stripe*"], "changes": ["patch"] });
    for good in [
        json!({}),
        strategy(json!({})),
        strategy(json!({ "type": "Manual" })),
        json!({
            "default": {
                "type": "Staged",
                "steps": [{ "weight": 10, "hold": "10m" }, { "weight": 50.25, "hold": "1h", "pause": true }],
                "analysis": {
                    "interval": "1m", "minimumSample": 100, "successRate": { "min": 0.99 },
                    "errorRateDifference": { "max": 0.01 },
                },
            },
            "rules": [rule.clone()],
        }),
        variant(json!({ "version": "1.1.0", "weight": 10 })),
        variant(
            json!({ "range": "^1.0.0", "weight": 10, "match": { "keys": ["a"], "labels": { "tier": "gold" } } }),
        ),
        steps(16),
        strategy(
            json!({ "type": "Manual", "overrides": [{ "keys": ["our own ü"] }, { "labels": { "tier": "" } }] }),
        ),
        json!({ "default": { "type": "AB", "until": "72h", "variants": [
            { "version": "1.1.0", "weight": 33.33 }, { "version": "1.2.0", "weight": 66.67 },
            { "range": "^2.0.0", "match": { "keys": ["a"] } }, { "range": "^2.0.0", "match": { "keys": ["b"] } },
        ] } }),
        strategy(
            json!({ "type": "Staged", "steps": [{ "weight": 0 }, { "weight": 0.07 }, { "weight": 1 }, { "weight": 1 }] }),
        ),
        judged(json!({ "expression": "prometheus.failing < 1.0", "prometheus": [
            { "name": "failing", "address": "http://prometheus:9090", "query": "vector(0)" },
        ] })),
        query(json!({})),
        query(json!({ "min": 1 })),
        query(json!({ "secretRef": { "name": "prometheus" }, "min": -1.5 })),
        json!({ "rules": vec![rule.clone(); 16] }),
    ] {
        environment(&namespace, "good", of(good.clone())).await.with_context(|| good.to_string())?;
    }
    for (bad, why) in [
        (strategy(json!({ "type": "Staged" })), "a Staged rollout has steps"),
        (strategy(json!({ "type": "Staged", "steps": [] })), "a Staged rollout has steps"),
        (json!({ "rules": [{ "type": "Staged" }] }), "a Staged rollout has steps"),
        (
            strategy(json!({ "type": "AB", "variants": [{ "version": "1.0.0" }] })),
            "an AB rollout has variants, and until when they are compared",
        ),
        (strategy(json!({ "type": "AB", "until": "72h" })), "an AB rollout has variants"),
        (json!({ "rules": [{ "type": "AB", "until": "72h" }] }), "an AB rollout has variants"),
        (variant(json!({ "version": "1.0.0", "range": "^1.0.0" })), "a variant has a version or a range"),
        (variant(json!({ "weight": 10 })), "a variant has a version or a range"),
        (variant(json!({ "version": "latest", "weight": 1 })), "a version must be"),
        (strategy(json!({ "type": "AB", "variants": [{ "version": "1.0.0" }], "until": "soon" })), "until"),
        (strategy(json!({ "type": "Canary" })), "Unsupported value: \"Canary\""),
        (strategy(json!({ "type": "Staged", "steps": [{ "weight": 101 }] })), "weight"),
        (strategy(json!({ "type": "Staged", "steps": [{ "weight": -1 }] })), "weight"),
        (strategy(json!({ "type": "Staged", "steps": [{ "hold": "1h" }] })), "weight"),
        (
            strategy(json!({ "type": "Staged", "steps": [{ "weight": 1, "hold": "0s" }] })),
            "hold must be a duration",
        ),
        (steps(17), "must have at most 16 items"),
        (json!({ "rules": vec![rule.clone(); 17] }), "must have at most 16 items"),
        (
            json!({ "rules": [with(rule.clone(), json!({ "changes": ["pach"] }))] }),
            "Unsupported value: \"pach\"",
        ),
        (json!({ "rules": [with(rule, json!({ "integrations": [] }))] }), "integrations"),
        (judged(json!({ "interval": "0s" })), "analysis.interval must be a duration"),
        (judged(json!({ "deadline": "0s" })), "deadline must be a duration"),
        (judged(json!({ "minimumSample": 0 })), "minimumSample"),
        (judged(json!({ "successRate": { "min": 1.1 } })), "min"),
        (judged(json!({ "errorRateDifference": { "max": -0.1 } })), "max"),
        (judged(json!({ "confidence": 1 })), "confidence"),
        (judged(json!({ "confidence": 0.4 })), "confidence"),
        (judged(json!({ "latency": { "quantile": 1.5, "maxRatio": 2 } })), "quantile"),
        (judged(json!({ "latency": {} })), "maxRatio"),
        (judged(json!({ "inconclusive": "Hope" })), "Unsupported value: \"Hope\""),
        (query(json!({ "name": "Not A Label" })), "name"),
        (query(json!({ "min": 2 })), "min must be at most max"),
        (query(json!({ "query": "" })), "query"),
        (
            judged(
                json!({ "prometheus": [{ "name": "a", "address": "http://prometheus:9090", "query": "up" }] }),
            ),
            "a query that no expression reads needs a limit",
        ),
        (
            judged(json!({ "interval": "1h", "deadline": "1h" })),
            "the deadline must be longer than the interval",
        ),
        (strategy(json!({ "steps": [{ "weight": 1 }] })), "steps need type: Staged"),
        (strategy(json!({ "type": "Manual", "steps": [{ "weight": 1 }] })), "steps need type: Staged"),
        (json!({ "rules": [{ "type": "Manual", "until": "72h" }] }), "variants and until need type: AB"),
        (strategy(json!({ "analysis": {} })), "overrides and analysis need type: Staged, AB or Manual"),
        (
            strategy(json!({ "type": "Staged", "steps": [{ "weight": 50 }, { "weight": 10 }] })),
            "the weight of a step is at least that of the step before",
        ),
        (strategy(json!({ "type": "Manual", "overrides": [{}] })), "the override names nobody"),
        (strategy(json!({ "type": "Manual", "overrides": [{ "keys": ["a\u{0}b"] }] })), "keys"),
        (strategy(json!({ "type": "Manual", "overrides": [{ "labels": { "tier": "a\u{0}" } }] })), "labels"),
        (variant(json!({ "version": "1.0.0" })), "nobody gets the variant"),
        (variant(json!({ "version": "1.0.0", "match": {} })), "match names nobody"),
        (
            json!({ "default": { "type": "AB", "until": "72h", "variants": [
                { "version": "1.1.0", "weight": 60 }, { "version": "1.2.0", "weight": 40.01 },
            ] } }),
            "the weights of the variants are 100 percent at most",
        ),
        (
            json!({ "default": { "type": "AB", "until": "72h", "variants": [
                { "version": "1.1.0", "weight": 1 }, { "version": "1.1.0", "weight": 1 },
            ] } }),
            "each variant is of another version",
        ),
    ] {
        let refused = environment(&namespace, "bad", of(bad.clone())).await.err();
        let refused = format!("{:#}", refused.with_context(|| format!("not refused: {bad}"))?);
        ensure!(refused.contains(why), "{bad}: {refused}");
    }
    let of = |more: Value| with(spec(source("https://git.example/catalog.git", "main")), more);
    for (bad, why) in [
        (json!({ "promotion": { "from": "bad" } }), "an environment cannot be promoted from itself"),
        (
            json!({ "dependsOn": [{ "name": "other" }, { "name": "bad" }] }),
            "an environment cannot wait for itself",
        ),
        (json!({ "promotion": { "from": "other", "soak": "ever" } }), "must be a duration"),
    ] {
        let refused = environment(&namespace, "bad", of(bad.clone())).await.err();
        let refused = format!("{:#}", refused.with_context(|| format!("not refused: {bad}"))?);
        ensure!(refused.contains(why), "{bad}: {refused}");
    }
    let of = |rollout: Value| of(json!({ "rollout": rollout }));
    let twice = json!({ "name": "a", "address": "http://prometheus:9090", "query": "vector(0)", "max": 1 });
    let twice = judged(json!({ "prometheus": [twice.clone(), twice] }));
    let refused = environment(&namespace, "bad", of(twice)).await.err().context("two queries of one name")?;
    ensure!(format!("{refused:#}").to_lowercase().contains("duplicate"), "{refused:#}");
    Ok(())
}
