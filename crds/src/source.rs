//! Sources: where an Environment's manifests come from.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::defaults::is_default;
use crate::environment::SecretRef;
use crate::period::{self, Period};
use crate::text;

/// A place where manifests come from: exactly one of git, folder and cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("(has(self.git) ? 1 : 0) + (has(self.folder) ? 1 : 0) + (has(self.cluster) ? 1 : 0) == 1", "a source takes exactly one of git, folder and cluster"),
    validation = ("!has(self.folder)", "a folder is a source for files only: in a cluster use git or cluster"),
    validation = ("!has(self.path) || (!self.path.startsWith('/') && !self.path.split('/').exists(part, part == '..'))", "path must be relative and must not contain `..`"),
    validation = ("!has(self.path) || !has(self.git) || !has(self.git.path)", "path stands beside git or in it, not in both places"),
    validation = ("!has(self.path) || !has(self.cluster)", "a cluster source has no path"),
)]
pub struct Source {
    /// Its name, unique in the environment.
    #[schemars(schema_with = "text::label")]
    pub name: String,
    /// The higher comes first among the sources; ties keep the order of the list. Default 0.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: i32,
    /// How often it is asked for something new. Default: the environment's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = (period::A_SECOND, "interval must be a duration of at least 1s, such as 30s, 5m or 1h"))]
    pub interval: Option<Period>,
    /// The folder to read, from its root. Default: the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::path")]
    pub path: Option<String>,
    /// A git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSource>,
    /// A folder of this machine; with files only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::folder")]
    pub folder: Option<String>,
    /// Integration resources of the Environment's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterSource>,
}

impl Source {
    /// The folder to read, from the root of what it comes from; empty is the root.
    #[must_use]
    pub fn folder_path(&self) -> &str {
        self.path.as_deref().or_else(|| self.git.as_ref()?.path.as_deref()).unwrap_or("")
    }

    /// Where it comes from; `None` unless exactly one place is named.
    #[must_use]
    pub fn origin(&self) -> Option<Origin<'_>> {
        match (&self.git, &self.folder, &self.cluster) {
            (Some(git), None, None) => Some(Origin::Git(git)),
            (None, Some(folder), None) => Some(Origin::Folder(folder)),
            (None, None, Some(cluster)) => Some(Origin::Cluster(cluster)),
            _ => None,
        }
    }
}

/// Where a source comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Origin<'a> {
    /// A git repository.
    Git(&'a GitSource),
    /// A folder of this machine.
    Folder(&'a str),
    /// Integration resources.
    Cluster(&'a ClusterSource),
}

/// A git repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("self.url.matches('^(https|ssh|file)://.+$') || self.url.matches('^http://(localhost|127[.][0-9.]+|[[]::1[]])(:[0-9]+)?(/.*)?$')", "url must begin with https://, ssh:// or file://; http:// is for loopback only"),
    validation = ("!self.url.matches('^[a-z]+://[^/@]*:[^/@]*@')", "url must not hold a password: put it into a Secret and name it in secretRef"),
    validation = ("!has(self.path) || (!self.path.startsWith('/') && !self.path.split('/').exists(part, part == '..'))", "path must be relative and must not contain `..`"),
)]
pub struct GitSource {
    /// Its address: https, ssh or file; http on loopback only. Never with a password.
    #[schemars(schema_with = "git_url")]
    pub url: String,
    /// What is read. Default: the branch `main`.
    #[serde(default, rename = "ref", skip_serializing_if = "is_default")]
    pub reference: GitRef,
    /// The folder to read; the same as the source's `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::path")]
    pub path: Option<String>,
    /// The Secret with its credentials: `username`, `password`, `bearerToken`, `identity`, `known_hosts`, `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

fn git_url(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 1024, "x-sower": "git-url" })
}

/// What of a repository is read: exactly one of them. Without a `ref` it is the branch `main`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("(has(self.branch) ? 1 : 0) + (has(self.tag) ? 1 : 0) + (has(self.semver) ? 1 : 0) + (has(self.commit) ? 1 : 0) == 1", "ref takes exactly one of branch, tag, semver and commit"),
)]
pub struct GitRef {
    /// The newest commit of a branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ref_name")]
    pub branch: Option<String>,
    /// A tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "ref_name")]
    pub tag: Option<String>,
    /// The highest tag in a range of versions, as npm writes ranges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "range")]
    pub semver: Option<String>,
    /// A commit, by its whole hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "commit")]
    pub commit: Option<String>,
}

fn ref_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 255 })
}

fn range(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 255, "x-sower": "range" })
}

fn commit(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 64, "pattern": "^[0-9a-f]{40}$", "x-sower": "commit" })
}

/// Integration resources of the Environment's namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSource {
    /// Which of them, by their labels. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "selector")]
    pub selector: Option<LabelSelector>,
}

/// A label selector as Kubernetes writes it (`metav1.LabelSelector`).
fn selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "matchLabels": {
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": { "type": "string", "maxLength": 63 },
                "description": "Labels with their values; all must match.",
            },
            "matchExpressions": {
                "type": "array",
                "maxItems": 32,
                "description": "Conditions over labels; all must hold.",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "additionalProperties": false,
                    "properties": {
                        "key": { "type": "string", "maxLength": 317, "description": "The label." },
                        "operator": { "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"], "description": "How it is compared." },
                        "values": { "type": "array", "maxItems": 64, "items": { "type": "string", "maxLength": 63 }, "description": "The values of In and NotIn." },
                    },
                },
            },
        },
    })
}
