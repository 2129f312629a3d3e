//! Triggers and events.

use std::collections::BTreeSet;

use super::{Context, Owner, named};
use crate::expression::{Place, Uses};
use crate::manifest::report::{Path, head};
use crate::manifest::schema::{Bundled, inputs};
use crate::manifest::tree::Node;
use crate::problem::Code;

/// How often a service may be polled at most, in seconds.
const LEAST_INTERVAL: u64 = 30;

pub(super) fn check(context: &mut Context<'_, '_>, path: &Path<'_>) {
    let list = path.key("triggers");
    let webhooks = context.webhooks.clone();
    let webhooks = webhooks.iter().map(String::as_str).collect();
    for (i, trigger) in context.spec.list_at("triggers").iter().enumerate() {
        one(context, trigger, &webhooks, &named("trigger", trigger, i), &list.index(i));
    }
    let list = path.key("events");
    for (i, event) in context.spec.list_at("events").iter().enumerate() {
        event_schema(context, event, &list.index(i));
    }
}

fn one(
    context: &mut Context<'_, '_>,
    trigger: &Node,
    webhooks: &BTreeSet<&str>,
    name: &str,
    path: &Path<'_>,
) {
    let owner = context.schemas_of(trigger, name, path);
    match trigger.text_at("type") {
        Some("webhook") if trigger.get("webhook").is_none() => {
            context.missing("webhook", head(trigger), path, name);
        }
        Some("polling") if trigger.get("polling").is_none() => {
            context.missing("polling", head(trigger), path, name);
        }
        Some("webhook") => {
            if let Some(entry) = trigger.entry("polling").filter(|e| !e.node.is_null()) {
                let message = format!("{name} is of type webhook and has no field `polling`");
                let hint = Some("write `type: polling`; it may name a webhook too".to_owned());
                context.push(
                    Code::UnknownField,
                    entry.key_mark,
                    &path.key("polling"),
                    message,
                    "unknown field",
                    hint,
                );
            }
        }
        _ => {}
    }
    if let Some(webhook) = trigger.get("webhook") {
        context.refer("webhook", webhooks, webhook, &path.key("webhook"));
    }
    context.links(trigger, path);
    let mut uses = Uses::default();
    if let Some(polling) = trigger.get("polling").filter(|p| p.is_map()) {
        uses.absorb(context.polling(polling, &path.key("polling"), &owner));
    }
    for key in ["when", "output"] {
        uses.absorb(context.text_at(trigger, key, path, Place::Trigger, &owner));
    }
    if let Some(request) = trigger.get("lookup").and_then(|l| l.get("request")) {
        uses.absorb(context.request(request, &path.key("lookup").key("request"), Place::Trigger, &owner));
    }
    context.untyped(trigger, &uses, &owner, path);
}

fn event_schema(context: &mut Context<'_, '_>, event: &Node, path: &Path<'_>) {
    let schema = event.get("schema").filter(|s| s.is_map());
    let named = event.get("schemaPath").filter(|p| p.text().is_some());
    if let (Some(_), Some(entry)) = (schema, named.and(event.entry("schemaPath"))) {
        let message = "the event has both `schema` and `schemaPath`";
        context.push(Code::WrongType, entry.key_mark, &path.key("schemaPath"), message, "one of them", None);
    }
    let choices = if let Some(schema) = schema {
        context.take_schema(schema, &path.key("schema"))
    } else if let Some(named) = named {
        let taken = context.schemas.take_path(named, &path.key("schemaPath"), context.sink);
        let Some(Bundled { schema, choices, whole: _ }) = taken else { return };
        context.keep(&path.key("schema"), schema);
        choices
    } else {
        return;
    };
    context.choices(&choices, &Owner::shared());
}

/// The inputs that a webhook may read: those of the triggers that name it.
pub(super) fn webhook_owner(context: &Context<'_, '_>, id: Option<&str>, name: &str) -> Owner {
    let triggers: Vec<(usize, &Node)> = context
        .spec
        .list_at("triggers")
        .iter()
        .enumerate()
        .filter(|(_, t)| id.is_some() && t.text_at("webhook") == id)
        .collect();
    let mut owner = Owner { name: format!("the triggers of {name}"), inputs: None, typed: true };
    if let [(i, only)] = triggers.as_slice() {
        owner.name = named("trigger", only, *i);
    }
    let mut all = BTreeSet::new();
    for (i, trigger) in &triggers {
        if trigger.get("inputSchema").is_none() {
            return owner;
        }
        let pointer = format!("/triggers/{i}/inputSchema");
        let Some(known) = context.bundled.get(&pointer).map(inputs).filter(|i| !i.open) else { return owner };
        all.extend(known.names);
    }
    if !triggers.is_empty() {
        owner.inputs = Some(all);
    }
    owner
}

impl Context<'_, '_> {
    fn polling(&mut self, polling: &Node, path: &Path<'_>, owner: &Owner) -> Uses {
        let mut uses = Uses::default();
        if let Some(request) = polling.get("request") {
            uses.absorb(self.request(request, &path.key("request"), Place::Polling, owner));
        }
        if let Some(pagination) = polling.get("pagination") {
            uses.absorb(self.pagination(
                pagination,
                &path.key("pagination"),
                Place::PollingPagination,
                owner,
            ));
        }
        uses.absorb(self.errors(polling, path, Place::Polling, owner));
        for key in ["items", "key", "cursor"] {
            uses.absorb(self.text_at(polling, key, path, Place::Polling, owner));
        }
        if let Some(initial) = polling.get("initial") {
            let path = path.key("initial");
            uses.absorb(self.text(initial, &path, Place::Polling, owner));
            uses.absorb(self.text_at(initial, "value", &path, Place::Polling, owner));
            if let Some(request) = initial.get("request") {
                uses.absorb(self.request(request, &path.key("request"), Place::Polling, owner));
            }
        }
        self.at_least(polling, "interval", LEAST_INTERVAL, path);
        uses
    }
}
