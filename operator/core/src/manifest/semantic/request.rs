//! Requests: where they go, what they carry, and where the inputs go that they do not name.

use std::collections::BTreeSet;

use super::{Context, Owner};
use crate::expression::{Place, Uses};
use crate::manifest::address::Address;
use crate::manifest::report::{Path, head};
use crate::manifest::tree::{Node, Value};
use crate::problem::Code;

impl Context<'_, '_> {
    /// Checks one request of `owner` and says what it reads.
    pub(super) fn request(&mut self, request: &Node, path: &Path<'_>, place: Place, owner: &Owner) -> Uses {
        if !request.is_map() {
            return Uses::default();
        }
        self.destination(request, path, owner);
        let mut uses = match request.get("path") {
            Some(node) => self.path_template(node, &path.key("path"), place, owner),
            None => Uses::default(),
        };
        for key in ["url", "query", "headers", "body"] {
            uses.absorb(self.template_at(request, key, path, place, owner));
        }
        if let Some(graphql) = request.get("graphql") {
            let path = path.key("graphql");
            // The document itself is text for the service; only its variables are ours.
            uses.absorb(self.template_at(graphql, "variables", &path, place, owner));
        } else if request.text_at("bodyFormat") == Some("graphql") {
            let name = format!("the request of {}", owner.name);
            self.missing("graphql", head(request), path, &name);
        }
        if let Some(base) = request.get("base") {
            let known = self.bases.clone();
            self.refer("base", &known, base, &path.key("base"));
        }
        uses
    }

    /// A request or a list of them.
    pub(super) fn requests(&mut self, node: &Node, path: &Path<'_>, place: Place, owner: &Owner) -> Uses {
        let mut uses = Uses::default();
        match &node.value {
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    uses.absorb(self.request(item, &path.index(i), place, owner));
                }
            }
            _ => uses = self.request(node, path, place, owner),
        }
        uses
    }

    fn destination(&mut self, request: &Node, path: &Path<'_>, owner: &Owner) {
        let name = format!("the request of {}", owner.name);
        match (request.get("path"), request.get("url")) {
            (None, None) => self.missing("path", head(request), path, &name),
            (Some(_), Some(url)) => {
                let message = format!("{name} has both `path` and `url`");
                self.push(Code::WrongType, url.mark, &path.key("url"), message, "one of them", None);
            }
            (None, Some(url)) => self.endpoint(url, &path.key("url")),
            (Some(node), None) => {
                if !self.based && request.get("base").is_none() {
                    let message = format!("{name} has a path, and there is no baseUrl to append it to");
                    let hint = Some("add `baseUrl: https://HOST`, or write `url` here".to_owned());
                    self.push(
                        Code::MissingField,
                        node.mark,
                        &path.key("path"),
                        message,
                        "appended to nothing",
                        hint,
                    );
                }
            }
        }
    }

    /// Remembers the host of an address that requests go to.
    pub(super) fn endpoint(&mut self, node: &Node, path: &Path<'_>) {
        let Some(address) = node.text().and_then(|t| Address::parse(t).ok()) else { return };
        self.hosts.push((address.host, node.mark, path.pointer()));
    }
}

/// Where the inputs go that a request does not name.
pub(super) enum Rest<'n> {
    /// Beside these keys, which win.
    Beside { keys: BTreeSet<&'n str>, part: &'static str },
    /// Nowhere, since this part is no map.
    Nowhere { part: &'static str },
}

/// Where `rest` goes by itself.
pub(super) fn rest(request: &Node) -> Rest<'_> {
    let format = request.text_at("bodyFormat").unwrap_or("json");
    let by_query = matches!(request.text_at("method"), Some("GET" | "HEAD" | "DELETE"))
        || matches!(format, "text" | "binary");
    let (part, node) = if by_query {
        ("query", request.get("query"))
    } else if format == "graphql" {
        ("graphql.variables", request.get("graphql").and_then(|g| g.get("variables")))
    } else {
        ("body", request.get("body"))
    };
    match node.map(|n| &n.value) {
        None => Rest::Beside { keys: BTreeSet::new(), part },
        Some(Value::Map(entries)) => {
            Rest::Beside { keys: entries.iter().map(|e| e.key.as_str()).collect(), part }
        }
        Some(_) => Rest::Nowhere { part },
    }
}
