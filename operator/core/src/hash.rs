//! Digests that decide whether something is still the same: of a plan, of a spec, of a selection.
//!
//! The encoding is our own and deterministic: every field is written as its length (8 bytes, big endian) and its bytes,
//! every list is preceded by its length. So no two different values have one encoding, whatever they contain.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};
use sower_crds::environment::EnvironmentSpec;

use crate::plan::{Conflict, Content, Operation};

/// A digest in the making.
pub(crate) struct Encoder(Sha256);

impl Encoder {
    /// Starts with a name for what is hashed, so that digests of different things never meet.
    pub(crate) fn new(domain: &str) -> Self {
        let mut encoder = Self(Sha256::new());
        encoder.text(domain);
        encoder
    }

    /// Adds one text.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.count(text.len());
        self.0.update(text.as_bytes());
        self
    }

    /// Adds a number of things to follow.
    pub(crate) fn count(&mut self, count: usize) -> &mut Self {
        self.0.update((count as u64).to_be_bytes());
        self
    }

    /// Adds one text that may be absent; absent is not empty.
    pub(crate) fn optional(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            None => self.count(0),
            Some(text) => self.count(1).text(text),
        }
    }

    fn content(&mut self, content: Option<&Content>) -> &mut Self {
        self.optional(content.map(|c| c.version.as_str())).optional(content.map(|c| c.checksum.as_str()))
    }

    /// 64 hex digits.
    pub(crate) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// Two hex digits a byte, in lower case.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

/// The plan's hash: over environment, spec digest, base, operations and resolutions; never over a revision or a time,
/// so that a commit which changes nothing here leaves an approval standing.
#[must_use]
pub(crate) fn plan_hash(
    environment: &str,
    spec_digest: &str,
    base: i64,
    operations: &[Operation],
    conflicts: &[Conflict],
) -> String {
    let mut encoder = Encoder::new("sower/plan/1");
    encoder.text(environment).text(spec_digest).text(&base.to_string()).count(operations.len());
    for operation in operations {
        // An annotation is no content; what is staged stands in the spec.
        let Operation {
            id,
            verb,
            from,
            to,
            place,
            revision: _,
            source,
            revert,
            prune_disabled: _,
            staged: _,
        } = operation;
        encoder.text(id).text(verb.as_str()).content(from.as_ref()).content(to.as_ref());
        encoder.optional(place.as_ref().map(|p| p.path.as_str())).text(source).count(usize::from(*revert));
    }
    encoder.count(conflicts.len());
    for conflict in conflicts {
        encoder.text(&conflict.integration).text(conflict.kind.as_str()).text(conflict.resolution.as_str());
    }
    encoder.finish()
}

/// The hash of a plan that waits for an approval: that of the plan, and what else it was made of, where there is more.
/// `scope` are the ids that it was restricted to; `seen` names the integrations whose rows were not what was seeded, each
/// with a digest of what was there.
#[must_use]
pub fn approvable_hash(plan: &str, scope: Option<&BTreeSet<String>>, seen: &BTreeMap<&str, &str>) -> String {
    if scope.is_none() && seen.is_empty() {
        return plan.to_owned();
    }
    let mut encoder = Encoder::new("sower/approvable/1");
    encoder.text(plan).count(usize::from(scope.is_some()));
    let ids = scope.into_iter().flatten();
    encoder.count(ids.clone().count());
    for id in ids {
        encoder.text(id);
    }
    encoder.count(seen.len());
    for (id, digest) in seen {
        encoder.text(id).text(digest);
    }
    encoder.finish()
}

/// The hash of what a rollout under way is, as the texts of its columns say it.
pub fn rollout_hash<'a>(columns: impl IntoIterator<Item = &'a str>) -> String {
    let mut encoder = Encoder::new("sower/rollout/1");
    for column in columns {
        encoder.text(column);
    }
    encoder.finish()
}

/// Fields of a spec that say when and with what something is done, not what comes out.
const WITHOUT_MEANING: &[&str] = &[
    "suspend",
    "interval",
    "retryInterval",
    "timeout",
    "database",
    "deletionPolicy",
    "retention",
    "freezeWindows",
    "notifications",
    "approval",
    "drift",
];
/// The same, of one source. A credential decides whether it is read, not what is there.
const SOURCE_WITHOUT_MEANING: &[&str] = &["interval"];

/// The digest of all fields of a spec that change what a seeding does. A field that is unknown here counts, so that a
/// forgotten one costs a plan too many and never hides a change.
#[must_use]
pub fn spec_digest(spec: &EnvironmentSpec) -> String {
    let mut value = serde_json::to_value(spec).unwrap_or(Value::Null);
    if let Value::Object(fields) = &mut value {
        fields.retain(|name, _| !WITHOUT_MEANING.contains(&name.as_str()));
        for source in fields.get_mut("sources").and_then(Value::as_array_mut).into_iter().flatten() {
            let Value::Object(source) = source else { continue };
            source.retain(|name, _| !SOURCE_WITHOUT_MEANING.contains(&name.as_str()));
            for origin in source.values_mut().filter_map(Value::as_object_mut) {
                origin.remove("secretRef");
            }
        }
    }
    let mut encoder = Encoder::new("sower/spec/1");
    encode(&mut encoder, &value);
    encoder.finish()
}

/// What a selection stands on besides the documents: while it is equal, equal documents are selected alike.
/// `mapping` is the version of the mapping from manifests to rows.
#[must_use]
pub fn selection_hash(spec: &EnvironmentSpec, platform: &semver::Version, mapping: u32) -> String {
    let mut encoder = Encoder::new("sower/selection/1");
    encoder.text(&spec_digest(spec)).text(&platform.to_string()).text(&mapping.to_string());
    encoder.finish()
}

/// A value with its keys in order; nulls are dropped, as absent fields are.
fn encode(encoder: &mut Encoder, value: &Value) {
    match value {
        Value::Array(items) => {
            encoder.text("array").count(items.len());
            items.iter().for_each(|item| encode(encoder, item));
        }
        Value::Object(fields) => {
            let mut present: Vec<_> = fields.iter().filter(|(_, v)| !v.is_null()).collect();
            present.sort_unstable_by_key(|(name, _)| *name);
            encoder.text("object").count(present.len());
            for (name, field) in present {
                encode(encoder.text(name), field);
            }
        }
        scalar => {
            encoder.text(&scalar.to_string());
        }
    }
}
