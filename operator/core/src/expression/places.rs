//! The places an expression can stand in, and the names each of them has.

/// A place of a manifest that takes expressions. All of them have [`COMMON`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// What every request shares, and connections: baseUrl, headers, the blocks of a connection.
    Shared,
    /// The request of an action, and its idempotency.
    Request,
    /// The pagination of an action.
    Pagination,
    /// output, errors, rateLimit and cost.
    Output,
    /// test: its request, expect, account, id and save.
    Test,
    /// x-choices and x-fields.
    Choices,
    /// The polling of a trigger: request, items, key, cursor, initial, errors.
    Polling,
    /// The pagination within a polling.
    PollingPagination,
    /// when, output and lookup of a trigger.
    Trigger,
    /// respond, items, eventType, key and account of a webhook.
    Webhook,
    /// A signature; `response` is the service's answer to `signature.request`.
    Signature,
    /// `signature.when`, decided before anything sent is believed: it reads nothing of the event.
    SignatureWhen,
    /// subscribe and unsubscribe.
    Subscription,
}

/// The names every place has.
pub const COMMON: [&str; 4] = ["credentials", "connection", "now", "uuid"];

impl Place {
    /// Every place.
    pub const ALL: [Place; 13] = [
        Place::Shared,
        Place::Request,
        Place::Pagination,
        Place::Output,
        Place::Test,
        Place::Choices,
        Place::Polling,
        Place::PollingPagination,
        Place::Trigger,
        Place::Webhook,
        Place::Signature,
        Place::SignatureWhen,
        Place::Subscription,
    ];

    /// The names this place has beside [`COMMON`].
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Place::Shared => &[],
            Place::Request => &["input", "rest", "action", "page", "idempotencyKey", "webhooks"],
            Place::Pagination => {
                &["input", "rest", "action", "page", "idempotencyKey", "webhooks", "response", "items"]
            }
            Place::Output => &["input", "action", "response", "items", "page"],
            Place::Test => &["response"],
            Place::Choices => &["input", "output", "item"],
            Place::Polling => &["input", "cursor", "response", "item", "index", "page"],
            Place::PollingPagination => &["input", "cursor", "response", "item", "index", "page", "items"],
            Place::Trigger => &["input", "item", "event", "response"],
            Place::Webhook => &["event", "item", "webhook", "timestamp", "claims"],
            Place::Signature => &["event", "item", "webhook", "timestamp", "claims", "response"],
            Place::SignatureWhen => &["webhook"],
            Place::Subscription => &["input", "webhook", "cursor", "response", "responses"],
        }
    }

    /// Whether `name` can be read here.
    pub fn has(self, name: &str) -> bool {
        COMMON.contains(&name) || self.names().contains(&name)
    }

    /// What a message calls the place.
    pub fn noun(self) -> &'static str {
        match self {
            Place::Shared => "a shared setting or connection",
            Place::Request => "an action's request",
            Place::Pagination => "an action's pagination",
            Place::Output => "output, errors, rateLimit and cost",
            Place::Test => "test",
            Place::Choices => "x-choices and x-fields",
            Place::Polling => "polling",
            Place::PollingPagination => "the pagination of polling",
            Place::Trigger => "when, output and lookup of a trigger",
            Place::Webhook => "a webhook",
            Place::Signature => "a signature",
            Place::SignatureWhen => "signature.when",
            Place::Subscription => "subscribe and unsubscribe",
        }
    }
}

/// The fields of a name whose shape is fixed; `None` where it depends on the service or the manifest.
pub(super) fn fields(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "connection" => &["id"],
        "response" => &["status", "headers", "body"],
        "event" => &["method", "url", "headers", "query", "body", "raw"],
        _ => return None,
    })
}

/// Whether any place has this name.
pub(super) fn is_name(name: &str) -> bool {
    Place::ALL.iter().any(|place| place.has(name))
}
