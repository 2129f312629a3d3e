//! Webhooks: where a service calls, and how a call is trusted, answered and taken apart.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::defaults::{is_default, is_on, on};
use crate::period::Period;
use crate::request::{OneOrMany, Request};
use crate::text;
use crate::words::words;

/// A place where a service calls.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Webhook {
    /// Its id, unique in the integration.
    #[schemars(schema_with = "text::item")]
    pub id: String,
    /// What a person has to do where there is no `subscribe`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::markdown")]
    pub instructions: Option<String>,
    /// How a call is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
    /// How a call is answered: the first that matches. None: 200, and it is delivered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 32))]
    pub respond: Vec<Respond>,
    /// The items of a call. Default: its body, as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub items: Option<String>,
    /// The event type of an item, which triggers name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub event_type: Option<String>,
    /// What makes an item the same as an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub key: Option<String>,
    /// The account a call is for, equal to a connection's `test.id`: one address for all accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub account: Option<String>,
    /// How the service is told to call: once per connection, event type and inputs it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<Subscribe>,
    /// How the service is told to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsubscribe: Option<Unsubscribe>,
}

/// How the service is told to call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subscribe {
    /// A request, or several in order.
    pub request: OneOrMany<Request>,
    /// Expressions by name, kept as `webhook.NAME`; `secret` and `expires` have a meaning.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub save: BTreeMap<String, String>,
}

/// How the service is told to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unsubscribe {
    /// A request, or several in order.
    pub request: OneOrMany<Request>,
}

words! {
    /// How a signature is made.
    Algorithm {
        /// HMAC with SHA-1.
        HmacSha1 = "hmac-sha1",
        /// HMAC with SHA-256.
        HmacSha256 = "hmac-sha256",
        /// HMAC with SHA-512.
        HmacSha512 = "hmac-sha512",
        /// Ed25519.
        Ed25519 = "ed25519",
        /// ECDSA on P-256 with SHA-256.
        EcdsaSha256 = "ecdsa-sha256",
        /// RSA (PKCS #1 v1.5) with SHA-256.
        RsaSha256 = "rsa-sha256",
        /// A JWT signed with HMAC and SHA-256.
        JwtHs256 = "jwt-hs256",
        /// A JWT signed with RSA and SHA-256.
        JwtRs256 = "jwt-rs256",
        /// A shared text, compared in constant time.
        Token = "token",
    }
}

words! {
    /// How bytes are written as text.
    #[derive(Default)]
    Encoding {
        /// Hexadecimal.
        #[default]
        Hex = "hex",
        /// Base64.
        Base64 = "base64",
        /// Base64 for URLs.
        Base64Url = "base64url",
    }
}

/// How a call is trusted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Signature {
    /// The header that carries the signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::title")]
    pub header: Option<String>,
    /// What stands before the signature in the header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub prefix: Option<String>,
    /// The signature where it is in no header of its own: one or a list, of which any may match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<OneOrMany<String>>,
    /// The time of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub timestamp: Option<String>,
    /// The header that carries the time of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::title")]
    pub timestamp_header: Option<String>,
    /// How far the time may be from ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Period>,
    /// How the signature is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<Algorithm>,
    /// How the signature is written. Default hex.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encoding: Encoding,
    /// What is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub over: Option<String>,
    /// The key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub key: Option<String>,
    /// How the key is written. Default: as it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_encoding: Option<Encoding>,
    /// Where the service publishes its keys (RFC 7517).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub jwks: Option<String>,
    /// A condition that must hold too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub check: Option<String>,
    /// A request that asks the service whether the call is its own; `check` reads the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Request>,
    /// Whether there is a signature at all; it may not read `event`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub when: Option<String>,
}

/// An answer to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Respond {
    /// Which calls it answers. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub when: Option<String>,
    /// HTTP status. Default 200.
    #[serde(default = "ok", skip_serializing_if = "is_ok")]
    #[schemars(range(min = 100, max = 599))]
    pub status: u16,
    /// Headers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub headers: BTreeMap<String, String>,
    /// The body: any JSON, or a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::template")]
    pub body: Option<Value>,
    /// Whether the signature must hold. Default true.
    #[serde(default = "on", skip_serializing_if = "is_on")]
    pub signed: bool,
    /// Whether the call is delivered all the same. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deliver: bool,
}

impl Default for Respond {
    fn default() -> Self {
        Self { when: None, status: ok(), headers: BTreeMap::new(), body: None, signed: true, deliver: false }
    }
}

const fn ok() -> u16 {
    200
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
const fn is_ok(status: &u16) -> bool {
    *status == ok()
}
