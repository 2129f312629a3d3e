//! Credentials, connections, the shared oauth, the test, and what every request has by default.

use std::collections::BTreeSet;

use super::{Context, Owner, named};
use crate::expression::{Place, Uses};
use crate::manifest::report::{Path, head, shortened};
use crate::manifest::structure::missing_unless_misspelt;
use crate::manifest::tree::Node;
use crate::problem::Code;

/// Every name that a credential may have: of the schemas, and of what the tests save.
pub(super) fn credentials(spec: &Node) -> BTreeSet<String> {
    let connections = spec.list_at("connections").iter();
    std::iter::once(spec)
        .chain(connections)
        .flat_map(|node| {
            let saved = node.get("test").map_or(&[][..], |t| t.entries_at("save"));
            node.entries_at("credentialSchema").iter().chain(saved)
        })
        .map(|e| e.key.clone())
        .collect()
}

pub(super) fn check(context: &mut Context<'_, '_>, path: &Path<'_>) {
    let spec = context.spec;
    let owner = Owner::shared();
    let mut uses = context.defaults(spec, path, &owner);
    uses.absorb(context.errors(spec, path, Place::Output, &owner));
    uses.absorb(context.rate_limits(spec, path, &owner));
    let bases = path.key("baseUrls");
    for entry in spec.entries_at("baseUrls") {
        let path = bases.key(&entry.key);
        uses.absorb(context.text(&entry.node, &path, Place::Shared, &owner));
        context.endpoint(&entry.node, &path);
    }
    if let Some(oauth) = spec.get("oauth") {
        context.oauth(oauth, &path.key("oauth"), "oauth", &owner);
    }
    if let Some(test) = spec.get("test") {
        context.test(test, &path.key("test"), &Owner { name: "test".into(), ..Owner::shared() });
    }
    context.shared = uses;
    let list = path.key("connections");
    for (i, connection) in spec.list_at("connections").iter().enumerate() {
        one(context, connection, &named("connection", connection, i), &list.index(i));
    }
}

fn one(context: &mut Context<'_, '_>, connection: &Node, name: &str, path: &Path<'_>) {
    let owner = Owner { name: name.to_owned(), ..Owner::shared() };
    context.defaults(connection, path, &owner);
    if let Some(test) = connection.get("test") {
        let owner = Owner { name: format!("the test of {name}"), ..Owner::shared() };
        context.test(test, &path.key("test"), &owner);
    }
    let kind = connection.text_at("type").unwrap_or_default();
    blocks(context, connection, kind, name, path);
    if let Some(oauth) = connection.get("oauth2") {
        context.oauth(oauth, &path.key("oauth2"), name, &owner);
    }
    for key in ["apiKey", "basic", "custom"] {
        context.template_at(connection, key, path, Place::Shared, &owner);
    }
}

/// The block named as the type must be there, and no other.
fn blocks(context: &mut Context<'_, '_>, connection: &Node, kind: &str, name: &str, path: &Path<'_>) {
    const KINDS: [&str; 4] = ["oauth2", "apiKey", "basic", "custom"];
    if !KINDS.contains(&kind) && kind != "none" {
        return;
    }
    for other in KINDS.into_iter().filter(|k| *k != kind) {
        if let Some(entry) = connection.entry(other).filter(|e| !e.node.is_null()) {
            let message = format!("{name} is of type {kind} and has no field `{other}`");
            let hint = Some(format!("write `type: {other}`, or leave the block out"));
            context.push(
                Code::UnknownField,
                entry.key_mark,
                &path.key(other),
                message,
                "unknown field",
                hint,
            );
        }
    }
    let shared = kind == "oauth2" && context.spec.get("oauth").is_some();
    if kind != "none" && connection.get(kind).is_none() && !shared {
        context.missing(kind, head(connection), path, name);
    }
}

impl Context<'_, '_> {
    /// baseUrl and headers, of the integration or of a connection.
    fn defaults(&mut self, node: &Node, path: &Path<'_>, owner: &Owner) -> Uses {
        let mut uses = self.text_at(node, "baseUrl", path, Place::Shared, owner);
        if let Some(base) = node.get("baseUrl") {
            self.endpoint(base, &path.key("baseUrl"));
        }
        uses.absorb(self.template_at(node, "headers", path, Place::Shared, owner));
        self.credential_fields(node, path);
        uses
    }

    fn credential_fields(&mut self, node: &Node, path: &Path<'_>) {
        let fields = path.key("credentialSchema");
        for entry in node.entries_at("credentialSchema") {
            let Some(default) = entry.node.get("default") else { continue };
            let choices = entry.node.list_at("choices");
            let text = default.text().unwrap_or_default();
            if !choices.is_empty() && !choices.iter().any(|c| c.text() == Some(text)) {
                let path = fields.key(&entry.key);
                let message = format!("the default of `{}` is none of its choices", shortened(&entry.key));
                self.push(
                    Code::WrongType,
                    default.mark,
                    &path.key("default"),
                    message,
                    "not among choices",
                    None,
                );
            }
        }
    }

    fn test(&mut self, test: &Node, path: &Path<'_>, owner: &Owner) {
        if let Some(request) = test.get("request") {
            self.request(request, &path.key("request"), Place::Test, owner);
        }
        for key in ["expect", "account", "id", "save"] {
            self.template_at(test, key, path, Place::Test, owner);
        }
    }

    fn oauth(&mut self, oauth: &Node, path: &Path<'_>, name: &str, owner: &Owner) {
        if !oauth.is_map() {
            return;
        }
        let needed: &[&str] = match oauth.text_at("grant").unwrap_or("authorizationCode") {
            "authorizationCode" => &["authorizationUrl", "tokenUrl"],
            "device" => &["deviceAuthorizationUrl", "tokenUrl"],
            "clientCredentials" | "password" | "jwtBearer" => &["tokenUrl"],
            _ => &[],
        };
        for field in needed.iter().filter(|f| oauth.get(f).is_none()) {
            let known = std::iter::once(*field);
            missing_unless_misspelt(field, known, oauth, path, name, self.sink);
        }
        for key in ["authorizationUrl", "tokenUrl", "refreshUrl", "revokeUrl", "deviceAuthorizationUrl"] {
            self.text_at(oauth, key, path, Place::Shared, owner);
            if let Some(url) = oauth.get(key) {
                self.endpoint(url, &path.key(key));
            }
        }
        for key in ["audience", "claims", "authorizationParameters", "tokenParameters", "send"] {
            self.template_at(oauth, key, path, Place::Shared, owner);
        }
        self.at_least(oauth, "refreshBefore", 1, path);
    }
}
