//! Actions.

use std::collections::BTreeMap;

use super::request::{Rest, rest};
use super::{Context, Owner, named};
use crate::expression::{Place, Uses};
use crate::manifest::report::{Path, head};
use crate::manifest::tree::{Entry, Node};
use crate::problem::Code;

pub(super) fn check(context: &mut Context<'_, '_>, path: &Path<'_>) {
    let list = path.key("actions");
    for (i, action) in context.spec.list_at("actions").iter().enumerate() {
        one(context, action, &named("action", action, i), &list.index(i));
    }
}

fn one(context: &mut Context<'_, '_>, action: &Node, name: &str, path: &Path<'_>) {
    let owner = context.schemas_of(action, name, path);
    let mut named = Uses::default();
    if let Some(request) = action.get("request") {
        named = context.request(request, &path.key("request"), Place::Request, &owner);
    }
    let mut all = named.clone();
    if let Some(pagination) = action.get("pagination") {
        all.absorb(context.pagination(pagination, &path.key("pagination"), Place::Pagination, &owner));
    }
    if let Some(idempotency) = action.get("idempotency").filter(|i| i.is_map())
        && idempotency.get("header").is_none()
        && idempotency.get("parameter").is_none()
    {
        context.missing("header", head(idempotency), &path.key("idempotency"), "idempotency");
    }
    all.absorb(context.text_at(action, "output", path, Place::Output, &owner));
    all.absorb(context.text_at(action, "cost", path, Place::Output, &owner));
    all.absorb(context.errors(action, path, Place::Output, &owner));
    all.absorb(context.rate_limits(action, path, &owner));
    context.links(action, path);
    if let Some(replaced) = action.get("deprecated").and_then(|d| d.get("replacedBy")) {
        let known = context.actions.clone();
        context.refer("action", &known, replaced, &path.key("deprecated").key("replacedBy"));
    }
    context.untyped(action, &all, &owner, path);
    unused_inputs(context, action, &named, &all, &owner, path);
}

/// Notes the inputs that reach no request.
fn unused_inputs(
    context: &mut Context<'_, '_>,
    action: &Node,
    named: &Uses,
    all: &Uses,
    owner: &Owner,
    path: &Path<'_>,
) {
    let (Some(schema), Some(request)) = (action.get("inputSchema"), action.get("request")) else { return };
    let Some(inputs) = owner.inputs.as_ref() else { return };
    let shared = &context.shared;
    // A name that is misspelt where it is read is one problem, told there.
    let misspelt = !all.inputs.is_subset(inputs);
    if named.reads("rest") || all.all_inputs || shared.all_inputs || misspelt {
        return;
    }
    let pagination = action.get("pagination");
    let paged = |name: &str| {
        pagination.is_some_and(|p| {
            p.text_at("parameter") == Some(name)
                || p.get("limit").and_then(|l| l.text_at("parameter")) == Some(name)
        })
    };
    let reached = |name: &String| all.inputs.contains(name) || shared.inputs.contains(name) || paged(name);
    let rest = rest(request);
    let mut lost = Vec::new();
    for name in inputs.iter().filter(|name| !reached(name)) {
        match &rest {
            Rest::Nowhere { part } => lost.push((name, format!("the {part} is no map that it could join"))),
            Rest::Beside { keys, part } if keys.contains(name.as_str()) => {
                lost.push((name, format!("the {part} has a `{name}` of its own")));
            }
            Rest::Beside { .. } => {}
        }
    }
    if lost.is_empty() {
        return;
    }
    let properties = schema.get("properties").map_or(&[][..], Node::entries);
    let properties: BTreeMap<&str, &Entry> = properties.iter().map(|e| (e.key.as_str(), e)).collect();
    let schema_path = path.key("inputSchema");
    let properties_path = schema_path.key("properties");
    for (name, why) in lost {
        let entry = properties.get(name.as_str());
        let mark = entry.map_or_else(|| head(schema), |e| e.key_mark);
        let path = if entry.is_some() { properties_path.key(name) } else { schema_path };
        let message = format!("the input `{name}` of {} goes nowhere: {why}", owner.name);
        let hint =
            Some(format!("use `${{input.{name}}}` or `${{rest}}` in the request, or remove the property"));
        context.push(Code::UnusedInput, mark, &path, message, "read by nothing", hint);
    }
}

impl Context<'_, '_> {
    /// Checks a pagination.
    pub(super) fn pagination(&mut self, node: &Node, path: &Path<'_>, place: Place, owner: &Owner) -> Uses {
        let mut uses = Uses::default();
        for key in ["start", "next", "hasMore", "items"] {
            uses.absorb(self.text_at(node, key, path, place, owner));
        }
        let follows = matches!(node.text_at("type"), Some("cursor" | "keyset"));
        if follows && node.get("next").is_none() {
            self.missing("next", head(node), path, &format!("the pagination of {}", owner.name));
        }
        uses
    }

    /// Checks the errors of an integration, an action or a polling.
    pub(super) fn errors(&mut self, map: &Node, path: &Path<'_>, place: Place, owner: &Owner) -> Uses {
        let mut uses = Uses::default();
        let list = path.key("errors");
        for (i, error) in map.list_at("errors").iter().enumerate() {
            let path = list.index(i);
            for key in ["when", "code", "message", "retryAfter"] {
                uses.absorb(self.text_at(error, key, &path, place, owner));
            }
        }
        uses
    }

    /// Checks the rate limits of an integration or an action.
    pub(super) fn rate_limits(&mut self, map: &Node, path: &Path<'_>, owner: &Owner) -> Uses {
        let mut uses = Uses::default();
        let list = path.key("rateLimit");
        for (i, limit) in map.list_at("rateLimit").iter().enumerate().filter(|(_, l)| l.is_map()) {
            let path = list.index(i);
            uses.absorb(self.text_at(limit, "key", &path, Place::Output, owner));
            let flow = limit.get("requests").is_some() || limit.get("cost").is_some();
            if !flow && limit.get("concurrent").is_none() {
                self.missing("requests", head(limit), &path, "the rate limit");
            } else if flow && limit.get("per").is_none() {
                self.missing("per", head(limit), &path, "the rate limit");
            }
            self.at_least(limit, "per", 1, &path);
        }
        uses
    }

    /// Checks the connections that an action or trigger names.
    pub(super) fn links(&mut self, item: &Node, path: &Path<'_>) {
        let known = self.connections.clone();
        let list = path.key("connections");
        for (i, connection) in item.list_at("connections").iter().enumerate() {
            self.refer("connection", &known, connection, &list.index(i));
        }
    }

    /// Warns of inputs that nothing says the existence of.
    pub(super) fn untyped(&mut self, item: &Node, uses: &Uses, owner: &Owner, path: &Path<'_>) {
        if owner.typed || (uses.inputs.is_empty() && !uses.all_inputs) {
            return;
        }
        let read = if uses.inputs.is_empty() {
            "inputs".to_owned()
        } else {
            crate::manifest::report::listed(&uses.inputs)
        };
        let message = format!("{} reads {read} and has no inputSchema", owner.name);
        let hint = Some("add an `inputSchema` with these properties".to_owned());
        self.push(Code::UntypedInput, head(item), path, message, "any input is taken", hint);
    }

    /// Checks that a duration is not below its bound.
    pub(super) fn at_least(&mut self, map: &Node, key: &str, seconds: u64, path: &Path<'_>) {
        let Some((node, text)) = map.get(key).and_then(|n| Some((n, n.text()?))) else { return };
        if sower_crds::period::parse(text).is_ok_and(|d| d.as_secs() < seconds) {
            let message = format!("{key} is {text}");
            self.push(
                Code::BadDuration,
                node.mark,
                &path.key(key),
                message,
                format!("at least {seconds}s"),
                None,
            );
        }
    }
}
