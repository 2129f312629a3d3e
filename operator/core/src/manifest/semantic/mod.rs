//! What the parts of a manifest mean to each other: references, expressions, schemas, addresses, and what is worth a warning.
//!
//! All of it reads the tree and not the typed spec, so that a manifest with a fault in one place is still checked in all others.

mod action;
mod choices;
mod connection;
mod expressions;
mod lists;
mod network;
mod request;
mod trigger;
mod warnings;
mod webhook;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value as Json;

use super::integration::Files;
use super::report::{Path, Sink, listed, shortened};
use super::schema::{Bundled, Choice, Schemas, inputs};
use super::tree::{Mark, Node};
use super::{bounds, shape};
use crate::catalog::Reference;
use crate::expression::Uses;
use crate::problem::Code;

/// What the checks learn beside problems.
#[derive(Default)]
pub(crate) struct Meaning {
    /// The bundled schemas, by their JSON pointer into the spec.
    pub(crate) schemas: BTreeMap<String, Json>,
    /// The files that were asked for.
    pub(crate) references: Vec<Reference>,
}

/// Checks a spec. `limit`: the most bytes that may be bundled into it.
pub(crate) fn check(
    spec: &Node,
    id: Option<&str>,
    path: &Path<'_>,
    files: Option<&Files<'_>>,
    limit: usize,
    sink: &mut Sink<'_>,
) -> Meaning {
    // Nothing more would be noted, and what was noted depends on no other file.
    if sink.is_full() {
        return Meaning::default();
    }
    // What stands in a list beyond its bound is known by name, and not looked into.
    let whole = spec;
    let cut = if sink.has_errors() { bounds::cut(shape::integration(), spec) } else { None };
    let spec = cut.as_ref().unwrap_or(spec);
    let mut context = Context {
        sink,
        spec,
        base: path.pointer(),
        schemas: Schemas::new(files, whole, path.pointer(), limit),
        bundled: BTreeMap::new(),
        credentials: connection::credentials(whole),
        webhooks: ids(whole, "webhooks", "id").map(str::to_owned).collect(),
        actions: Rc::new(ids(whole, "actions", "id").collect()),
        triggers: Rc::new(ids(whole, "triggers", "id").collect()),
        connections: Rc::new(ids(whole, "connections", "id").collect()),
        bases: Rc::new(whole.entries_at("baseUrls").iter().map(|e| e.key.as_str()).collect()),
        events: ids(whole, "events", "eventType").collect(),
        based: whole.get("baseUrl").is_some()
            || whole.list_at("connections").iter().any(|c| c.get("baseUrl").is_some()),
        hosts: Vec::new(),
        shared: Uses::default(),
    };
    lists::check(&mut context, id, path);
    connection::check(&mut context, path);
    action::check(&mut context, path);
    trigger::check(&mut context, path);
    webhook::check(&mut context, path);
    lists::check_schemas(&mut context, path);
    network::check(&mut context, path);
    warnings::check(&mut context, path);
    let Context { schemas, bundled, .. } = context;
    Meaning { schemas: bundled, references: schemas.into_references() }
}

/// The texts at `key` of the elements of a list.
fn ids<'n>(spec: &'n Node, list: &str, key: &'static str) -> impl Iterator<Item = &'n str> {
    spec.list_at(list).iter().filter_map(move |item| item.text_at(key))
}

/// What the checks of one manifest share.
pub(crate) struct Context<'c, 's> {
    sink: &'c mut Sink<'s>,
    spec: &'c Node,
    /// Pointer of the spec.
    base: String,
    schemas: Schemas<'c>,
    bundled: BTreeMap<String, Json>,
    /// Every name that `credentials` may have, beside those it always has.
    credentials: BTreeSet<String>,
    webhooks: BTreeSet<String>,
    actions: Rc<BTreeSet<&'c str>>,
    triggers: Rc<BTreeSet<&'c str>>,
    connections: Rc<BTreeSet<&'c str>>,
    bases: Rc<BTreeSet<&'c str>>,
    events: BTreeSet<&'c str>,
    /// Whether a path has a base URL to be appended to.
    based: bool,
    /// The hosts that requests go to, and where each is written.
    hosts: Vec<(String, Mark, String)>,
    /// What the settings of all requests read.
    shared: Uses,
}

/// Whose inputs an expression reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owner {
    /// As a message names it: "action `post-message`".
    name: String,
    /// The inputs it may read; `None`: any.
    inputs: Option<BTreeSet<String>>,
    /// Whether it has an inputSchema.
    typed: bool,
}

impl Owner {
    /// The integration itself, whose settings serve many actions.
    fn shared() -> Self {
        Owner { name: "the integration".into(), inputs: None, typed: true }
    }
}

impl Context<'_, '_> {
    /// Notes a problem.
    fn push(
        &mut self,
        code: Code,
        mark: Mark,
        path: &Path<'_>,
        message: impl Into<String>,
        expected: impl Into<String>,
        hint: Option<String>,
    ) {
        self.sink.push(code, mark, path, message, expected, hint);
    }

    /// Notes a field that must be there, under these circumstances.
    fn missing(&mut self, field: &str, mark: Mark, path: &Path<'_>, name: &str) {
        super::structure::missing(field, mark, path, name, self.sink);
    }

    /// Checks that a name is one of the known ones.
    fn refer(&mut self, what: &str, known: &BTreeSet<&str>, node: &Node, path: &Path<'_>) {
        let Some(name) = node.text().filter(|n| !known.contains(n)) else { return };
        if self.sink.is_full() {
            return;
        }
        let hint = match self.sink.nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known.is_empty() => format!("the integration has no {what}"),
            None => format!("the integration has {}", listed(known)),
        };
        let message = format!("there is no {what} `{}`", shortened(name));
        self.push(Code::UnknownReference, node.mark, path, message, format!("unknown {what}"), Some(hint));
    }

    /// Takes the inputSchema and outputSchema of an action or trigger, checks the choices in them, and says whose inputs
    /// its expressions read.
    fn schemas_of(&mut self, item: &Node, name: &str, path: &Path<'_>) -> Owner {
        let mut owner = Owner { name: name.to_owned(), inputs: None, typed: false };
        let mut choices = Vec::new();
        if let Some(schema) = item.get("inputSchema").filter(|s| s.is_map()) {
            let path = path.key("inputSchema");
            let Bundled { schema, choices: found, whole } = self.schemas.take(schema, &path, self.sink);
            let inputs = inputs(&schema);
            owner.typed = true;
            owner.inputs = (whole && !inputs.open).then_some(inputs.names);
            choices = found;
            self.keep(&path, schema);
        }
        if let Some(schema) = item.get("outputSchema").filter(|s| s.is_map()) {
            choices.append(&mut self.take_schema(schema, &path.key("outputSchema")));
        }
        self.choices(&choices, &owner);
        owner
    }

    /// Checks and bundles a schema; hands over the choices in it.
    fn take_schema(&mut self, schema: &Node, path: &Path<'_>) -> Vec<Choice> {
        let Bundled { schema, choices, whole: _ } = self.schemas.take(schema, path, self.sink);
        self.keep(path, schema);
        choices
    }

    /// Remembers a bundled schema for the canonical form.
    fn keep(&mut self, path: &Path<'_>, schema: Json) {
        let pointer = path.pointer();
        let pointer = pointer.strip_prefix(self.base.as_str()).unwrap_or(&pointer).to_owned();
        self.bundled.insert(pointer, schema);
    }
}

/// What an element of a list is called: "action `send`", "action 2".
fn named(what: &str, item: &Node, index: usize) -> String {
    match item.text_at("id") {
        Some(id) => format!("{what} `{}`", shortened(id)),
        None => format!("{what} {}", index + 1),
    }
}
