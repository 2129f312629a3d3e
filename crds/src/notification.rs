//! Notifications: where it is said what became of a push.

use kube::KubeSchema;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::environment::SecretRef;
use crate::text;
use crate::words::words;

words! {
    /// Who takes the status of a commit.
    #[derive(Default)]
    Provider {
        /// GitHub, GitHub Enterprise too.
        #[default]
        GitHub = "github",
        /// GitLab.
        GitLab = "gitlab",
        /// Gitea and Forgejo.
        Gitea = "gitea",
    }
}

/// A place where each commit that is read gets a status: whoever pushed sees there what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("!has(self.url) || self.url.matches('^https://[^@]+$') || self.url.matches('^http://(localhost|127[.][0-9.]+|[[]::1[]])(:[0-9]+)?(/.*)?$')", "url must begin with https:// and hold no user; http:// is for loopback only"),
)]
pub struct Notification {
    /// Its name, unique in the environment.
    #[schemars(schema_with = "text::label")]
    pub name: String,
    /// Who takes the status.
    pub provider: Provider,
    /// The Secret with `token`, which may set the status of commits; and `ca.crt`, where the server's certificate needs it.
    pub secret_ref: SecretRef,
    /// The git source whose commits it is about. Default: every git source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::label")]
    pub source: Option<String>,
    /// The address of its API, such as `https://git.example.com/api/v3`. Default: as the source's address tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "api_url")]
    pub url: Option<String>,
    /// What the status is called. Default: `sower/` and the environment's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "context")]
    pub context: Option<String>,
}

fn api_url(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 1024, "x-sower": "link" })
}

fn context(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 128 })
}
