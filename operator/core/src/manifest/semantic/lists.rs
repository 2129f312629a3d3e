//! Lists: ids that stand once, dependencies, cases, and the named schemas.

use std::collections::{BTreeMap, BTreeSet};

use super::{Context, Owner};
use crate::manifest::report::{Path, shortened};
use crate::manifest::summary::split_dependency;
use crate::manifest::texts::{is_id, is_range};
use crate::manifest::tree::Node;
use crate::problem::Code;

pub(super) fn check(context: &mut Context<'_, '_>, id: Option<&str>, path: &Path<'_>) {
    for (list, key) in [
        ("actions", "id"),
        ("triggers", "id"),
        ("connections", "id"),
        ("webhooks", "id"),
        ("events", "eventType"),
    ] {
        once_each(context, list, key, path);
    }
    dependencies(context, id, path);
    for list in ["testSuite", "examples"] {
        cases(context, list, path);
    }
}

fn once_each(context: &mut Context<'_, '_>, list: &str, key: &str, path: &Path<'_>) {
    let mut first: BTreeMap<&str, u32> = BTreeMap::new();
    let list_path = path.key(list);
    for (i, item) in context.spec.list_at(list).iter().enumerate() {
        let Some((node, text)) = item.get(key).and_then(|n| Some((n, n.text()?))) else { continue };
        if let Some(line) = first.get(text) {
            let message = format!("`{}` is in {list} twice", shortened(text));
            let hint = Some(format!("the first is on line {line}"));
            context.push(
                Code::DuplicateId,
                node.mark,
                &list_path.index(i).key(key),
                message,
                "second of its name",
                hint,
            );
        } else {
            first.insert(text, node.mark.line);
        }
    }
}

fn dependencies(context: &mut Context<'_, '_>, own: Option<&str>, path: &Path<'_>) {
    let list = path.key("dependencies");
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (i, node) in context.spec.list_at("dependencies").iter().enumerate() {
        let Some(text) = node.text() else { continue };
        let path = list.index(i);
        let (id, range) = split_dependency(text);
        if !is_id(id) {
            let message = format!("`{}` is not the id of an integration", shortened(id));
            context.push(Code::BadId, node.mark, &path, message, "`id` or `id@range`", None);
            continue;
        }
        if range.is_some_and(|r| !is_range(r)) {
            let message = format!("`{}` is not a version range", shortened(range.unwrap_or_default()));
            let hint = Some(format!("write one such as `{id}@^1.2.0` or `{id}@>=1.0.0 <2.0.0`"));
            context.push(Code::BadRange, node.mark, &path, message, "expected an npm range", hint);
        }
        if Some(id) == own {
            let message = format!("`{id}` depends on itself");
            context.push(
                Code::SelfDependency,
                node.mark,
                &path,
                message,
                "its own id",
                Some("remove it".into()),
            );
        } else if seen.contains(id) {
            let message = format!("`{id}` is in dependencies twice");
            context.push(Code::DuplicateId, node.mark, &path, message, "second of its name", None);
        }
        seen.insert(id);
    }
    if let Some(replaced) = context.spec.get("replacedBy").filter(|r| r.text().is_some() && r.text() == own) {
        let message = format!("`{}` is replaced by itself", own.unwrap_or_default());
        context.push(
            Code::SelfDependency,
            replaced.mark,
            &path.key("replacedBy"),
            message,
            "its own id",
            None,
        );
    }
}

/// Cases name an action or a trigger of the manifest.
fn cases(context: &mut Context<'_, '_>, list: &str, path: &Path<'_>) {
    let list_path = path.key(list);
    let spec = context.spec;
    let (actions, triggers) = (context.actions.clone(), context.triggers.clone());
    for (i, case) in spec.list_at(list).iter().enumerate().filter(|(_, c)| c.is_map()) {
        let path = list_path.index(i);
        let both = (case.get("action"), case.get("trigger"));
        let name = case
            .text_at("name")
            .map_or_else(|| "the case".to_owned(), |n| format!("the case `{}`", shortened(n)));
        match both {
            (None, None) => context.missing("action", crate::manifest::report::head(case), &path, &name),
            (Some(_), Some(trigger)) => {
                let message = format!("{name} has both `action` and `trigger`");
                context.push(
                    Code::WrongType,
                    trigger.mark,
                    &path.key("trigger"),
                    message,
                    "one of them",
                    None,
                );
            }
            (Some(action), None) => context.refer("action", &actions, action, &path.key("action")),
            (None, Some(trigger)) => context.refer("trigger", &triggers, trigger, &path.key("trigger")),
        }
    }
}

/// Checks and bundles the named schemas, and warns of those that nothing refers to.
pub(super) fn check_schemas(context: &mut Context<'_, '_>, path: &Path<'_>) {
    let list = path.key("schemas");
    let owner = Owner::shared();
    for entry in context.spec.entries_at("schemas") {
        let path = list.key(&entry.key);
        let choices = context.take_schema(&entry.node, &path);
        context.choices(&choices, &owner);
    }
    let unused: Vec<(&str, &Node, _)> = context
        .spec
        .entries_at("schemas")
        .iter()
        .filter(|e| !context.schemas.is_used(&e.key))
        .map(|e| (e.key.as_str(), &e.node, e.key_mark))
        .collect();
    for (name, _, mark) in unused {
        let message = format!("nothing refers to the schema `{}`", shortened(name));
        let hint = Some(format!("refer to it by `$ref: \"#/schemas/{}\"`, or remove it", shortened(name)));
        context.push(Code::UnusedSchema, mark, &list.key(name), message, "used by nothing", hint);
    }
}
