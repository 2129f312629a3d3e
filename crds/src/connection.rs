//! Connections: what a user has to give, and how a request proves who sends it.

use std::collections::BTreeMap;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::defaults::is_default;
use crate::period::Period;
use crate::request::Request;
use crate::text;
use crate::webhook::Algorithm;
use crate::words::words;

words! {
    /// What a credential holds.
    #[derive(Default)]
    CredentialType {
        /// Text that may be shown.
        #[default]
        Text = "text",
        /// A secret, never shown.
        Password = "password",
        /// What an OAuth provider gave.
        Oauth = "oauth",
    }
}

words! {
    /// Who is asked for a credential, and how often.
    #[derive(Default)]
    CredentialScope {
        /// Each user, for each connection.
        #[default]
        Connection = "connection",
        /// The operator of the platform, once per environment (a client id).
        App = "app",
    }
}

/// One field of the form in which a user gives credentials.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CredentialField {
    /// What the form shows. Default: the field's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub label: Option<String>,
    /// Text, a password, or what an OAuth provider gave. Default text.
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    pub kind: CredentialType,
    /// Whether it must be given. Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub required: bool,
    /// Where to find it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::paragraph")]
    pub description: Option<String>,
    /// Taken where nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub default: Option<String>,
    /// The only values allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::names")]
    pub choices: Vec<String>,
    /// A regular expression that the value must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::pattern")]
    pub pattern: Option<String>,
    /// Asked per connection, or once per environment. Default connection.
    #[serde(default, skip_serializing_if = "is_default")]
    pub scope: CredentialScope,
}

words! {
    /// How a connection proves who it is.
    ConnectionType {
        /// OAuth 2.0: the block `oauth2`, or the integration's `oauth`.
        Oauth2 = "oauth2",
        /// A key in a header, the query or a cookie: the block `apiKey`.
        ApiKey = "apiKey",
        /// HTTP Basic: the block `basic`.
        Basic = "basic",
        /// Headers, query parameters and a signature of one's own: the block `custom`.
        Custom = "custom",
        /// Nothing: public content.
        None = "none",
    }
}

/// One way to connect to the service. The first of the list is the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("(self.type != 'apiKey' || has(self.apiKey)) && (self.type != 'basic' || has(self.basic)) && (self.type != 'custom' || has(self.custom))", "a connection needs the block that is named as its type"),
)]
pub struct Connection {
    /// Its id, unique in the integration.
    #[schemars(schema_with = "text::item")]
    pub id: String,
    /// Display name.
    #[schemars(schema_with = "text::title")]
    pub name: String,
    /// How it proves who it is; the block of the same name says the rest.
    #[serde(rename = "type")]
    pub kind: ConnectionType,
    /// OAuth 2.0. Absent: the integration's `oauth`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// A key in a header, the query or a cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key: Option<Placement>,
    /// HTTP Basic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<Basic>,
    /// Headers, query parameters and a signature of one's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Custom>,
    /// Its own credentials, beside those of the integration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credential_schema: BTreeMap<String, CredentialField>,
    /// Its own base URL, in place of the integration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub base_url: Option<String>,
    /// Its own headers, over those of the integration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub headers: BTreeMap<String, String>,
    /// Its own test, in place of the integration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<ConnectionTest>,
}

words! {
    /// Where in a request a credential goes.
    #[derive(Default)]
    Location {
        /// A header.
        #[default]
        Header = "header",
        /// A query parameter.
        Query = "query",
        /// A cookie.
        Cookie = "cookie",
    }
}

/// Where a credential goes, and what is written there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// Header, query or cookie.
    #[serde(rename = "in")]
    pub location: Location,
    /// Name of the header, the parameter or the cookie.
    #[schemars(schema_with = "text::title")]
    pub name: String,
    /// What is written there, such as `Bearer ${credentials.apiKey}`.
    #[schemars(schema_with = "text::expression")]
    pub value: String,
}

/// HTTP Basic (RFC 7617).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Basic {
    /// User name.
    #[schemars(schema_with = "text::expression")]
    pub username: String,
    /// Password. Default: empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "text::expression")]
    pub password: String,
}

/// A scheme of one's own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Custom {
    /// Headers of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub headers: BTreeMap<String, String>,
    /// Query parameters of every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub query: BTreeMap<String, String>,
    /// A signature of every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<Sign>,
}

/// A signature of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sign {
    /// How it is made.
    pub algorithm: Algorithm,
    /// What is signed.
    #[schemars(schema_with = "text::expression")]
    pub over: String,
    /// The key.
    #[schemars(schema_with = "text::expression")]
    pub key: String,
    /// The header that carries it.
    #[schemars(schema_with = "text::title")]
    pub header: String,
}

words! {
    /// How a token is had.
    #[derive(Default)]
    Grant {
        /// The user agrees in a browser (RFC 6749, 4.1).
        #[default]
        AuthorizationCode = "authorizationCode",
        /// The app itself (RFC 6749, 4.4).
        ClientCredentials = "clientCredentials",
        /// User name and password (RFC 6749, 4.3).
        Password = "password",
        /// The user agrees on another device (RFC 8628).
        Device = "device",
        /// A signed assertion (RFC 7523).
        JwtBearer = "jwtBearer",
    }
}

words! {
    /// Where the client's id and secret go when a token is asked for.
    ClientAuth {
        /// HTTP Basic.
        Header = "header",
        /// The form.
        Body = "body",
    }
}

/// OAuth 2.0. The client's id and secret are `credentials.clientId` and `credentials.clientSecret`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OAuth2 {
    /// Where the user agrees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub authorization_url: Option<String>,
    /// Where a token is had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub token_url: Option<String>,
    /// Where a token is refreshed. Default: `tokenUrl`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub refresh_url: Option<String>,
    /// Where a token is given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub revoke_url: Option<String>,
    /// Where a device asks for its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::url")]
    pub device_authorization_url: Option<String>,
    /// How a token is had. Default authorizationCode.
    #[serde(default, skip_serializing_if = "is_default")]
    pub grant: Grant,
    /// Proof key for code exchange (RFC 7636). Default false.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pkce: bool,
    /// The scopes to ask for, beside those of the actions and triggers in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::names")]
    pub scopes: Vec<String>,
    /// What stands between scopes. Default: a space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub scope_separator: Option<String>,
    /// The audience of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub audience: Option<String>,
    /// Claims of the assertion of `grant: jwtBearer`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::template_object")]
    pub claims: BTreeMap<String, Value>,
    /// More parameters of the authorization request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub authorization_parameters: BTreeMap<String, String>,
    /// More parameters of the token request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub token_parameters: BTreeMap<String, String>,
    /// Whether the client's id and secret go into a header or the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// Where the token goes in requests. Default: `Authorization: Bearer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<Placement>,
    /// How long before its end a token is refreshed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_before: Option<Period>,
}

/// The request that tells whether a connection works.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConnectionTest {
    /// The request.
    pub request: Request,
    /// A condition over the answer. Default: its status is 2xx.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub expect: Option<String>,
    /// A name of the account, to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub account: Option<String>,
    /// A stable id of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub id: Option<String>,
    /// Expressions by name, saved into `credentials`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "text::expressions")]
    pub save: BTreeMap<String, String>,
}
