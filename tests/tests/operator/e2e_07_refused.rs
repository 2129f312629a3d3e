//! What the API server refuses, in our words.

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sower_crds::environment::Environment;
use sower_crds::integration::Integration;
use sower_tests::bed::environment;
use sower_tests::control_plane::ControlPlane;
use sower_tests::namespace::Namespace;

async fn integration(namespace: &Namespace, name: &str, spec: Value) -> Result<()> {
    let document = json!({ "apiVersion": "sower.dev/v1alpha1", "kind": "Integration", "metadata": { "name": name }, "spec": spec });
    let how = PatchParams::apply("sower-tests").force();
    Ok(namespace.api::<Integration>().patch(name, &how, &Patch::Apply(document)).await.map(drop)?)
}

/// Whether the API server says it, and nothing in its own words where the words are ours.
fn said(error: &anyhow::Error, message: &str) -> bool {
    let error = format!("{error:#}");
    error.contains(message) && !error.contains("in body should")
}

fn git(fields: Value) -> Value {
    let mut git = json!({ "url": "https://git.example.com/catalog.git" });
    if let (Value::Object(git), Value::Object(fields)) = (&mut git, fields) {
        git.extend(fields);
    }
    json!({ "sources": [{ "name": "catalog", "git": git }] })
}

#[tokio::test]
async fn e2e_07_bad_environments_are_refused_with_our_messages() -> Result<()> {
    let namespace = ControlPlane::with_crds().await?.namespace("refused").await?;
    let period = |field: &str| format!("{field} must be a duration of at least 1s, such as 30s, 5m or 1h");
    let commit = "commit must be a whole hash: 40 hex digits in lower case".to_owned();
    let limit = "pruneLimit must be a percentage from 0% to 100%, such as 20%, or a count".to_owned();
    let two = json!({ "sources": [{ "name": "a", "cluster": {} }, { "name": "a", "cluster": {} }] });
    let cases = [
        (
            json!({ "allowedIntegrations": [] }),
            "allowedIntegrations must not be empty: leave it out to allow every integration".to_owned(),
        ),
        (json!({ "interval": "soon" }), period("interval")),
        (json!({ "interval": "0s" }), period("interval")),
        (json!({ "retryInterval": "-1s" }), period("retryInterval")),
        (json!({ "timeout": "5" }), period("timeout")),
        (json!({ "timeout": "" }), period("timeout")),
        (json!({ "timeout": "1m1h" }), period("timeout")),
        (json!({ "sources": [{ "name": "a", "cluster": {}, "interval": "0m" }] }), period("interval")),
        (
            json!({ "sources": [{ "name": "a" }] }),
            "a source takes exactly one of git, folder and cluster".to_owned(),
        ),
        (
            json!({ "sources": [{ "name": "a", "folder": "/etc" }] }),
            "a folder is a source for files only: in a cluster use git or cluster".to_owned(),
        ),
        (
            json!({ "sources": [{ "name": "a", "cluster": {}, "path": "x" }] }),
            "a cluster source has no path".to_owned(),
        ),
        (git(json!({ "path": "../.." })), "path must be relative and must not contain `..`".to_owned()),
        (
            git(json!({ "url": "http://git.example.com/catalog.git" })),
            "url must begin with https://, ssh:// or file://; http:// is for loopback only".to_owned(),
        ),
        (
            git(json!({ "url": "https://user:password@git.example.com/catalog.git" })),
            "url must not hold a password: put it into a Secret and name it in secretRef".to_owned(),
        ),
        (
            git(json!({ "ref": { "branch": "main", "tag": "v1" } })),
            "ref takes exactly one of branch, tag, semver and commit".to_owned(),
        ),
        (git(json!({ "ref": { "commit": "abc" } })), commit.clone()),
        (git(json!({ "ref": { "commit": "a".repeat(64) } })), commit),
        (json!({ "pruneLimit": "500%" }), limit.clone()),
        (json!({ "pruneLimit": "05%" }), limit.clone()),
        (json!({ "pruneLimit": "" }), limit),
        (
            json!({ "seedingStrategy": "fast" }),
            "spec.seedingStrategy: Unsupported value: \"fast\"".to_owned(),
        ),
        (
            json!({ "conflicts": { "version": "replace" } }),
            "spec.conflicts.version: Unsupported value: \"replace\"".to_owned(),
        ),
        (json!({ "deletionPolicy": "Drop" }), "spec.deletionPolicy: Unsupported value: \"Drop\"".to_owned()),
        (json!({ "approval": "Ask" }), "spec.approval: Unsupported value: \"Ask\"".to_owned()),
        (json!({ "rollouts": {} }), "field not declared in schema".to_owned()),
        (two, "sources".to_owned()),
    ];
    let mut wrong = Vec::new();
    for (spec, message) in cases {
        match environment(&namespace, "bad", spec.clone()).await {
            Ok(_) => wrong.push(format!("{spec} is taken")),
            Err(error) if said(&error, &message) => {}
            Err(error) => wrong.push(format!("{spec}: `{error:#}` instead of `{message}`")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

#[tokio::test]
async fn e2e_07_bad_integrations_are_refused_with_our_messages() -> Result<()> {
    let namespace = ControlPlane::with_crds().await?.namespace("refused").await?;
    let with = |fields: Value| {
        let mut spec = json!({ "name": "Acme", "version": "1.0.0" });
        if let (Value::Object(spec), Value::Object(fields)) = (&mut spec, fields) {
            spec.extend(fields);
        }
        spec
    };
    let version = "a version must be MAJOR.MINOR.PATCH, such as 1.4.0 or 2.0.0-rc.1";
    let action = |fields: Value| {
        let mut action = json!({ "id": "go", "name": "Go", "request": { "method": "GET", "path": "/" } });
        if let (Value::Object(action), Value::Object(fields)) = (&mut action, fields) {
            action.extend(fields);
        }
        with(json!({ "actions": [action] }))
    };
    let cases = [
        (json!({ "name": "Acme" }), "spec.version"),
        (with(json!({ "version": "v1" })), version),
        (with(json!({ "version": "v1.0.0" })), version),
        (with(json!({ "version": "" })), version),
        (with(json!({ "minPlatformVersion": "1" })), version),
        (action(json!({ "idempotency": {} })), "idempotency takes exactly one of header and parameter"),
        (
            action(json!({ "idempotency": { "header": "a", "parameter": "b" } })),
            "idempotency takes exactly one of header and parameter",
        ),
        (
            with(json!({ "rateLimit": [{ "requests": 1, "cost": 1, "per": "1s" }] })),
            "a rate limit takes exactly one of requests, cost and concurrent",
        ),
        (
            with(json!({ "rateLimit": [{ "requests": 1, "per": "5" }] })),
            "must be a duration such as 30s, 5m or 1h30m",
        ),
        (with(json!({ "rateLimit": [{ "requests": 1 }] })), "a rate limit of requests or cost needs per"),
        (
            with(json!({ "connections": [{ "id": "a", "name": "A", "type": "basic" }] })),
            "a connection needs the block that is named as its type",
        ),
        (
            with(json!({ "events": [{ "eventType": "a", "schema": {}, "schemaPath": "a.json" }] })),
            "an event takes schema or schemaPath, not both",
        ),
        (with(json!({ "examples": [{ "name": "a" }] })), "a case takes exactly one of action and trigger"),
        (
            with(json!({ "triggers": [{ "id": "a", "name": "A", "type": "polling" }] })),
            "a trigger of type polling needs polling",
        ),
        (
            with(json!({ "triggers": [{ "id": "a", "name": "A", "type": "webhook" }] })),
            "a trigger of type webhook needs webhook",
        ),
        (with(json!({ "stability": "shaky" })), "spec.stability: Unsupported value: \"shaky\""),
        (with(json!({ "actoins": [] })), "field not declared in schema"),
        (
            with(
                json!({ "actions": [{ "id": "a", "name": "A", "request": { "method": "GET" } }, { "id": "a", "name": "B", "request": { "method": "GET" } }] }),
            ),
            "actions",
        ),
    ];
    let mut wrong = Vec::new();
    for (spec, message) in cases {
        match integration(&namespace, "bad", spec.clone()).await {
            Ok(()) => wrong.push(format!("{spec} is taken")),
            Err(error) if said(&error, message) => {}
            Err(error) => wrong.push(format!("{spec}: `{error:#}` instead of `{message}`")),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Also by taking it away and putting another one back.
#[tokio::test]
async fn e2e_07_an_id_is_immutable() -> Result<()> {
    let namespace = ControlPlane::with_crds().await?.namespace("immutable").await?;
    let spec = |id: Option<&str>| {
        let mut spec = json!({ "name": "Acme", "version": "1.0.0" });
        if let Some(id) = id {
            spec["id"] = id.into();
        }
        spec
    };
    let message = "id is immutable: delete the Integration and apply it anew under the other id";
    integration(&namespace, "acme", spec(Some("acme"))).await?;
    for other in [Some("emca"), None] {
        let refused = integration(&namespace, "acme", spec(other)).await;
        ensure!(
            refused.as_ref().is_err_and(|error| format!("{error:#}").contains(message)),
            "{other:?}: {refused:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn e2e_07_what_nobody_looked_at_is_not_done() -> Result<()> {
    let namespace = ControlPlane::with_crds().await?.namespace("unseen").await?;
    integration(&namespace, "acme", json!({ "name": "Acme", "version": "1.0.0" })).await?;
    let document = json!({ "apiVersion": "sower.dev/v1alpha1", "kind": "Environment", "metadata": { "name": "production" }, "spec": {} });
    let how = PatchParams::apply("sower-tests").force();
    let environment =
        namespace.api::<Environment>().patch("production", &how, &Patch::Apply(document)).await?;
    let acme = namespace.api::<Integration>().get("acme").await?;
    // kstatus takes a resource whose status is about an older generation for one in progress.
    let seen = (
        environment.status.and_then(|status| status.observed_generation),
        acme.status.and_then(|status| status.observed_generation),
    );
    ensure!(seen == (Some(-1), Some(-1)), "{seen:?}");
    Ok(())
}
