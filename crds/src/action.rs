//! Actions, and the rules of requests that integrations and actions share.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::defaults::is_default;
use crate::period::Period;
use crate::request::{Amount, Request};
use crate::text;
use crate::words::words;

words! {
    /// What an action does to the other side.
    #[derive(Default)]
    Effect {
        /// Changes nothing.
        Read = "read",
        /// Creates or changes.
        #[default]
        Write = "write",
        /// Deletes.
        Delete = "delete",
    }
}

/// Something the service does when asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Action {
    /// Its id, unique in the integration.
    #[schemars(schema_with = "text::item")]
    pub id: String,
    /// Display name.
    #[schemars(schema_with = "text::title")]
    pub name: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::paragraph")]
    pub description: Option<String>,
    /// For discovery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub category: Option<String>,
    /// Reads, writes or deletes. Default write.
    #[serde(default, skip_serializing_if = "is_default")]
    pub effect: Effect,
    /// The scopes it needs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::names")]
    pub scopes: Vec<String>,
    /// The ids of the connections it works with. Empty: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "text::items")]
    pub connections: Vec<String>,
    /// JSON Schema of its input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::schema")]
    pub input_schema: Option<Value>,
    /// JSON Schema of its output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::schema")]
    pub output_schema: Option<Value>,
    /// The request that does it.
    pub request: Request,
    /// What it gives. Default `${response.body}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub output: Option<String>,
    /// How the next page is had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pagination: Option<Pagination>,
    /// How the service is told that a request is a repetition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// Which answers are errors; looked at before those of the integration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("maxItems" = 64))]
    pub errors: Vec<ErrorRule>,
    /// Its own limits, in place of those of the integration; an empty list: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxItems" = 16))]
    pub rate_limit: Option<Vec<RateLimit>>,
    /// What one call takes from a limit that counts `cost`. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Amount>,
    /// Since when it should no longer be used, and what to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecated>,
}

/// That an action should no longer be used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Deprecated {
    /// The version of the integration that deprecated it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub since: Option<String>,
    /// The id of the action to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::item")]
    pub replaced_by: Option<String>,
}

words! {
    /// How a list continues.
    PaginationType {
        /// A cursor in the answer.
        Cursor = "cursor",
        /// A page's number, from 1.
        Page = "page",
        /// The number of items before, from 0.
        Offset = "offset",
        /// An address in the answer; default the Link header's `rel=next`.
        Link = "link",
        /// The key of the last item.
        Keyset = "keyset",
    }
}

/// How the next page of a list is had. It ends on null, empty text, no items, or `hasMore` false.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pagination {
    /// How the list continues.
    #[serde(rename = "type")]
    pub kind: PaginationType,
    /// The parameter that takes `page`, the cursor, number or offset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::line")]
    pub parameter: Option<String>,
    /// `page` at the start. Default: null, 1 or 0 by the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Amount>,
    /// `page` of the next request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub next: Option<String>,
    /// Whether there is a next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub has_more: Option<String>,
    /// The items of this page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub items: Option<String>,
    /// How many items are asked for at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<PageLimit>,
    /// At most so many pages. Default 1000.
    #[serde(default = "max_pages", skip_serializing_if = "is_max_pages")]
    #[schemars(range(min = 1))]
    pub max: u32,
}

const fn max_pages() -> u32 {
    1000
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's skip_serializing_if passes a reference")]
const fn is_max_pages(max: &u32) -> bool {
    *max == max_pages()
}

/// How many items are asked for at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PageLimit {
    /// The parameter that takes it.
    #[schemars(schema_with = "text::title")]
    pub parameter: String,
    /// The number.
    #[schemars(range(min = 1))]
    pub value: u32,
}

/// Where `idempotencyKey` goes, the same for every try: one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("has(self.header) != has(self.parameter)", "idempotency takes exactly one of header and parameter"),
)]
pub struct Idempotency {
    /// A header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::title")]
    pub header: Option<String>,
    /// A parameter of the query or the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::title")]
    pub parameter: Option<String>,
}

words! {
    /// What an error means for whoever sent the request.
    ErrorKind {
        /// The credentials are not, or no longer, good.
        Authentication = "authentication",
        /// The account may not do it.
        Permission = "permission",
        /// It is not there.
        NotFound = "notFound",
        /// The input is wrong.
        Invalid = "invalid",
        /// It changed in between, or is there already.
        Conflict = "conflict",
        /// Too many requests: again later.
        RateLimited = "rateLimited",
        /// Again later.
        Temporary = "temporary",
        /// Never again.
        Permanent = "permanent",
        /// The cursor of a polling trigger is no longer good: it starts anew.
        CursorLost = "cursorLost",
    }
}

/// Which answers are an error, also among the 2xx. The first that matches wins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ErrorRule {
    /// A condition over the answer.
    #[schemars(schema_with = "text::expression")]
    pub when: String,
    /// What it means. Default: by the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ErrorKind>,
    /// The service's own code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub code: Option<String>,
    /// What people read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub message: Option<String>,
    /// When to try again: seconds or a date. Default: the Retry-After header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Amount>,
}

/// A limit that the service sets: requests or cost per time, or requests at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = ("(has(self.requests) ? 1 : 0) + (has(self.cost) ? 1 : 0) + (has(self.concurrent) ? 1 : 0) == 1", "a rate limit takes exactly one of requests, cost and concurrent"),
    validation = ("has(self.concurrent) || has(self.per)", "a rate limit of requests or cost needs per"),
)]
pub struct RateLimit {
    /// So many requests in `per`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub requests: Option<u32>,
    /// So much of the actions' `cost` in `per`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub cost: Option<u32>,
    /// So many requests at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub concurrent: Option<u32>,
    /// The time that `requests` or `cost` is counted over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Period>,
    /// So many may come at once after a rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
    /// What is counted apart. Default: each connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "text::expression")]
    pub key: Option<String>,
}
