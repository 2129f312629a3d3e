//! What changes a digest, and what does not.

mod offer;

use offer::{catalog, database, plan, spec, summary};
use semver::Version;
use serde_json::{Value, json};
use sower_core::hash::{selection_hash, spec_digest};

fn digest(fields: Value) -> String {
    spec_digest(&spec(fields))
}

#[test]
fn a_spec_s_digest_follows_what_it_means() {
    let base = digest(json!({}));
    assert_eq!(base.len(), 64);
    let same = [
        json!({ "suspend": true }),
        json!({ "interval": "17m" }),
        json!({ "retryInterval": "17s" }),
        json!({ "timeout": "17m" }),
        json!({ "database": { "secretRef": { "name": "other" } }, "deletionPolicy": "Delete" }),
        json!({ "seedingStrategy": "full", "prune": true }),
        json!({ "drift": { "mode": "Correct", "ignoreFields": ["name"], "interval": "17m" } }),
    ];
    for fields in same {
        assert_eq!(digest(fields.clone()), base, "{fields}");
    }
    let other = [
        json!({ "strict": true }),
        json!({ "prune": false }),
        json!({ "pruneLimit": 3 }),
        json!({ "allowedIntegrations": ["a"] }),
        json!({ "blockedIntegrations": ["a"] }),
        json!({ "blockedIntegrations": ["a", "b"] }),
        json!({ "featureFlags": { "betaFeatures": true } }),
        json!({ "seedingStrategy": "selective" }),
        json!({ "conflicts": { "version": "override" } }),
    ];
    let git = |interval: &str, secret: &str, branch: &str| {
        let git = json!({ "url": "https://git.example/a", "ref": { "branch": branch }, "secretRef": { "name": secret } });
        digest(json!({ "sources": [{ "name": "a", "interval": interval, "git": git }] }))
    };
    assert_eq!(git("1m", "a", "main"), git("2m", "b", "main"));
    assert_ne!(git("1m", "a", "main"), git("1m", "a", "next"));
    let mut seen = vec![base];
    for fields in other {
        let digest = digest(fields.clone());
        assert!(!seen.contains(&digest), "{fields}");
        seen.push(digest);
    }
}

#[test]
fn a_selection_s_hash_follows_the_versions_too() {
    let spec = spec(json!({}));
    let hash = selection_hash(&spec, &Version::new(0, 1, 0), 1);
    assert_eq!(hash, selection_hash(&spec, &Version::new(0, 1, 0), 1));
    assert_ne!(hash, selection_hash(&spec, &Version::new(0, 1, 1), 1));
    assert_ne!(hash, selection_hash(&spec, &Version::new(0, 1, 0), 2));
}

#[test]
fn a_plan_s_hash_follows_its_operations_and_not_the_revision() {
    let git = |version: &str, text: &str| catalog(vec![summary("slack", version, text)]);
    let spec = spec(json!({}));
    let state = database(&[summary("slack", "1.0.0", "")]);
    let hash = |sources: &[_]| plan(&spec, sources, &state).hash;
    let base = hash(&git("1.1.0", ""));
    assert_eq!(base.len(), 64);
    let mut later = git("1.1.0", "");
    later[0].revision.digest = format!("sha1:{}", "0".repeat(40));
    assert_eq!(hash(&later), base, "another commit");
    assert_ne!(hash(&git("1.2.0", "")), base, "another version");
    assert_ne!(hash(&git("1.1.0", "other")), base, "other content");
    assert_ne!(hash(&git("1.0.0", "other")), base, "a conflict");
    let mut next = state.clone();
    next.base += 1;
    assert_ne!(plan(&spec, &git("1.1.0", ""), &next).hash, base, "another seeding came first");
    let strict = offer::spec(json!({ "strict": true }));
    assert_ne!(plan(&strict, &git("1.1.0", ""), &state).hash, base, "another spec");
    let mut moved = git("1.1.0", "");
    moved[0].found[0].place.path = "elsewhere.yaml".into();
    assert_ne!(hash(&moved), base, "another file");
}

#[test]
fn the_hash_is_the_same_on_every_machine() {
    let state = database(&[summary("slack", "1.0.0", "")]);
    let sources = catalog(vec![summary("slack", "1.1.0", "")]);
    let plan = plan(&spec(json!({})), &sources, &state);
    let text = format!("{} {}", plan.short_hash(), plan.operations.len());
    assert_eq!(text, "cbf7b05030fb 1");
}
