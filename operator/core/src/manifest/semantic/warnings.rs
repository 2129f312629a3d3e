//! What a manifest may lack, and what it has for nothing.

use std::collections::BTreeSet;

use super::{Context, named};
use crate::manifest::report::{Path, head, shortened};
use crate::manifest::tree::Node;
use crate::problem::Code;

pub(super) fn check(context: &mut Context<'_, '_>, path: &Path<'_>) {
    let spec = context.spec;
    let mark = head(spec);
    for (code, field, example) in [
        (Code::NoDescription, "description", "description: What the app is, in a sentence."),
        (Code::NoAuthor, "author", "author: Your name or organization"),
        (Code::NoLicense, "license", "license: Apache-2.0"),
        (Code::NoCategory, "category", "category: [productivity]"),
    ] {
        let empty = |n: &Node| {
            n.text() == Some("") || matches!(&n.value, crate::manifest::tree::Value::List(l) if l.is_empty())
        };
        if spec.get(field).is_none_or(empty) {
            let message = format!("the manifest has no {field}");
            context.push(
                code,
                mark,
                path,
                message,
                format!("`{field}` is missing"),
                Some(format!("add `{example}`")),
            );
        }
    }
    let works = !spec.list_at("actions").is_empty() || !spec.list_at("triggers").is_empty();
    if works && spec.list_at("testSuite").is_empty() {
        let hint = Some("add a `testSuite` with one case an action".to_owned());
        context.push(
            Code::NoTest,
            mark,
            path,
            "the manifest has no testSuite",
            "`testSuite` is missing",
            hint,
        );
    }
    output_schemas(context, "actions", "action", path);
    output_schemas(context, "triggers", "trigger", path);
    events(context, path);
}

fn output_schemas(context: &mut Context<'_, '_>, list: &str, what: &str, path: &Path<'_>) {
    let list_path = path.key(list);
    let spec = context.spec;
    for (i, item) in spec.list_at(list).iter().enumerate().filter(|(_, n)| n.is_map()) {
        // A trigger without an output of its own puts out its event, which has a schema.
        let described =
            item.get("output").is_none() && item.text_at("event").is_some_and(|e| has_schema(spec, e));
        if item.get("outputSchema").is_some() || described {
            continue;
        }
        let message = format!("{} has no outputSchema", named(what, item, i));
        let hint = Some("add an `outputSchema`, so that what follows knows what it gets".to_owned());
        context.push(
            Code::NoOutputSchema,
            head(item),
            &list_path.index(i),
            message,
            "`outputSchema` is missing",
            hint,
        );
    }
}

fn has_schema(spec: &Node, event: &str) -> bool {
    let found = spec.list_at("events").iter().find(|e| e.text_at("eventType") == Some(event));
    found.is_some_and(|e| e.get("schema").is_some() || e.get("schemaPath").is_some())
}

fn events(context: &mut Context<'_, '_>, path: &Path<'_>) {
    let triggers = context.spec.list_at("triggers");
    let list = path.key("triggers");
    for (i, trigger) in triggers.iter().enumerate() {
        let Some((node, event)) = trigger.get("event").and_then(|n| Some((n, n.text()?))) else { continue };
        if !context.events.contains(event) {
            let message = format!("`events` does not declare `{}`", shortened(event));
            let hint = Some(format!("add `{{ eventType: {} }}` to `events`", shortened(event)));
            context.push(
                Code::UndeclaredEvent,
                node.mark,
                &list.index(i).key("event"),
                message,
                "undeclared",
                hint,
            );
        }
    }
    // The older form has events alone; there a trigger that names none is no oversight.
    if triggers.is_empty() {
        return;
    }
    let named: BTreeSet<&str> = triggers.iter().filter_map(|t| t.text_at("event")).collect();
    let list = path.key("events");
    for (i, event) in context.spec.list_at("events").iter().enumerate() {
        let Some((node, name)) = event.get("eventType").and_then(|n| Some((n, n.text()?))) else { continue };
        if !named.contains(name) {
            let message = format!("no trigger names the event `{}`", shortened(name));
            let hint = Some(format!("write `event: {}` in a trigger, or remove it", shortened(name)));
            context.push(
                Code::UnusedEvent,
                node.mark,
                &list.index(i).key("eventType"),
                message,
                "used by nothing",
                hint,
            );
        }
    }
}
