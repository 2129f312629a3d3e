//! Checks a schema keyword by keyword and writes it as it stands in the bundle.
//!
//! The check is that of the meta-schemas of 2020-12 and draft-07 together, with a place for each fault; it is written here
//! because a catalog of thousands of schemas has to load in well under a second.

use std::collections::HashSet;
use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::super::report::{Path, Sink, listed, shortened};
use super::super::tree::{Entry, Mark, Node, Value};
use super::bundle::Job;
use super::files::NoFile;
use super::keyword::{Keyword, is_walked, keyword};
use super::reference::Doc;
use super::weight::{ENTRY, ITEM, without};
use super::{Choice, SchemaFile, Schemas};
use crate::problem::Code;

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// A walk through one document.
pub(super) struct Walk<'w, 'a, 'n> {
    schemas: &'w mut Schemas<'a>,
    job: &'w mut Job<'n>,
    doc: &'w Doc,
    file: Option<Rc<SchemaFile>>,
    /// Whether it becomes the root of the bundle.
    is_root: bool,
}

impl<'w, 'a, 'n> Walk<'w, 'a, 'n> {
    pub(super) fn new(
        schemas: &'w mut Schemas<'a>,
        job: &'w mut Job<'n>,
        doc: &'w Doc,
        file: Option<Rc<SchemaFile>>,
    ) -> Self {
        let is_root = *doc == job.root;
        Walk { schemas, job, doc, file, is_root }
    }

    /// The document's schema.
    pub(super) fn root(&mut self, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) -> Json {
        self.schema(node, path, true, sink)
    }

    fn problem(&self, code: Code, mark: Mark, path: &Path<'_>, said: Said, sink: &mut Sink<'_>) {
        let Said { message, expected, hint } = said;
        match &self.file {
            Some(file) => sink.push_in(&file.path, code, mark, path.pointer(), message, expected, hint),
            None => sink.push(code, mark, path, message, expected, hint),
        };
    }

    fn bad(&self, node: &Node, path: &Path<'_>, message: String, expected: &str, sink: &mut Sink<'_>) {
        let said = Said { message, expected: expected.into(), hint: None };
        self.problem(Code::BadSchema, node.mark, path, said, sink);
    }

    fn schema(&mut self, node: &Node, path: &Path<'_>, top: bool, sink: &mut Sink<'_>) -> Json {
        match &node.value {
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Map(entries) => {
                let mut map = Map::new();
                for entry in entries {
                    if !self.spend(entry, node, path, sink) {
                        break;
                    }
                    let bundled = !self.is_root || !top;
                    let dropped = match entry.key.as_str() {
                        "$schema" => bundled,
                        "$id" => bundled && !entry.node.text().is_some_and(|id| id.starts_with('#')),
                        _ => false,
                    };
                    let written = self.entry(entry, path, sink);
                    if !dropped {
                        map.insert(entry.key.clone(), written);
                    }
                }
                Json::Object(map)
            }
            _ => {
                let message = format!("the schema is {}", node.kind());
                self.bad(node, path, message, "a JSON Schema: a map, or true or false", sink);
                Json::Bool(true)
            }
        }
    }

    /// Takes what an entry weighs from what may be bundled.
    fn spend(&mut self, entry: &Entry, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) -> bool {
        let weight = ENTRY + entry.key.len() + entry.node.text().map_or(0, str::len);
        let left = self.schemas.left.checked_sub(weight);
        let inner = !is_walked(&keyword(&entry.key), &entry.node.value);
        self.take(
            left.and_then(|left| if inner { without(left, &entry.node) } else { Some(left) }),
            node,
            path,
            sink,
        )
    }

    /// Leaves so much to be bundled; nothing where there is not enough.
    fn take(&mut self, left: Option<usize>, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) -> bool {
        if let Some(left) = left {
            self.schemas.left = left;
            return true;
        }
        self.job.whole = false;
        let said = Said {
            message: "the schemas make the manifest larger than it may be".into(),
            expected: "too large with this".into(),
            hint: None,
        };
        self.problem(Code::TooLarge, node.mark, path, said, sink);
        false
    }

    fn entry(&mut self, entry: &Entry, path: &Path<'_>, sink: &mut Sink<'_>) -> Json {
        let Entry { key, key_mark: _, node } = entry;
        let path = &path.key(key);
        let shape = |wrong: bool| wrong.then(|| format!("`{key}` is {}", node.kind()));
        let wrong = match (keyword(key), &node.value) {
            (Keyword::Schema | Keyword::SchemaOrSchemas, Value::Map(_) | Value::Bool(_)) => {
                return self.schema(node, path, false, sink);
            }
            (Keyword::Schema, _) => shape(true).map(|m| (m, "a schema")),
            (Keyword::Schemas | Keyword::SchemaOrSchemas, Value::List(items)) => {
                if items.is_empty() {
                    self.bad(node, path, format!("`{key}` is empty"), "at least one schema", sink);
                }
                let mut written = Vec::new();
                for (i, item) in items.iter().enumerate() {
                    let path = path.index(i);
                    if !self.take(self.schemas.left.checked_sub(ITEM), item, &path, sink) {
                        break;
                    }
                    written.push(self.schema(item, &path, false, sink));
                }
                return Json::Array(written);
            }
            (Keyword::Schemas, _) => shape(true).map(|m| (m, "a list of schemas")),
            (Keyword::SchemaOrSchemas, _) => shape(true).map(|m| (m, "a schema")),
            (Keyword::MapOfSchemas | Keyword::MapOfSchemasOrNames, Value::Map(entries)) => {
                return self.map_of_schemas(key, entries, path, sink);
            }
            (Keyword::MapOfSchemas | Keyword::MapOfSchemasOrNames, _) => {
                shape(true).map(|m| (m, "a map of schemas"))
            }
            (Keyword::MapOfNames, Value::Map(entries)) => {
                for e in entries {
                    self.names(&e.key, &e.node, &path.key(&e.key), sink);
                }
                None
            }
            (Keyword::MapOfNames, _) => shape(true).map(|m| (m, "a map of lists of names")),
            (Keyword::Names, _) => {
                self.names(key, node, path, sink);
                None
            }
            (Keyword::Text, value) => shape(!matches!(value, Value::Text(_))).map(|m| (m, "text")),
            (Keyword::Pattern, Value::Text(text)) => {
                self.pattern(text, node.mark, path, sink);
                None
            }
            (Keyword::Pattern, _) => shape(true).map(|m| (m, "a regular expression")),
            (Keyword::Bool, value) => shape(!matches!(value, Value::Bool(_))).map(|m| (m, "true or false")),
            (Keyword::Count, value) => {
                let count = matches!(value, Value::Number(n) if n.as_f64().is_some_and(|f| f >= 0.0 && f.fract() == 0.0));
                (!count).then(|| (format!("`{key}` is no count"), "a whole number, at least 0"))
            }
            (Keyword::Number, Value::Number(n)) => (key == "multipleOf"
                && n.as_f64().is_some_and(|f| f <= 0.0))
            .then(|| (format!("`{key}` is {n}"), "a number above 0")),
            (Keyword::Number, _) => shape(true).map(|m| (m, "a number")),
            (Keyword::NumberOrBool, value) => {
                shape(!matches!(value, Value::Number(_) | Value::Bool(_))).map(|m| (m, "a number"))
            }
            (Keyword::List, value) => shape(!matches!(value, Value::List(_))).map(|m| (m, "a list")),
            (Keyword::Type, _) => {
                self.types(node, path, sink);
                None
            }
            (Keyword::Reference, Value::Text(text)) => return self.reference(text, node, path, sink),
            (Keyword::Reference, _) => shape(true).map(|m| (m, "text")),
            (Keyword::Dialect, _) => {
                self.dialect(node, path, sink);
                None
            }
            (Keyword::Choice(keyword), _) => {
                let (node, pointer, file) = (node.clone(), path.pointer(), self.file.clone());
                self.job.choices.push(Choice { node, pointer, keyword, file });
                None
            }
            (Keyword::Data, _) => None,
        };
        if let Some((message, expected)) = wrong {
            let hint = (key == "required" && matches!(node.value, Value::Bool(_)))
                .then(|| "name the property in `required` of the object it is in".to_owned());
            let said = Said { message, expected: format!("expected {expected}"), hint };
            self.problem(Code::BadSchema, node.mark, path, said, sink);
        }
        node.to_json()
    }

    fn map_of_schemas(&mut self, key: &str, entries: &[Entry], path: &Path<'_>, sink: &mut Sink<'_>) -> Json {
        let mut map = Map::new();
        for entry in entries {
            let path = path.key(&entry.key);
            if key == "patternProperties" {
                self.pattern(&entry.key, entry.key_mark, &path, sink);
            }
            let names = key == "dependencies" && matches!(entry.node.value, Value::List(_));
            let left = self.schemas.left.checked_sub(ENTRY + entry.key.len());
            let left = if names { left.and_then(|left| without(left, &entry.node)) } else { left };
            if !self.take(left, &entry.node, &path, sink) {
                break;
            }
            let written = if names {
                self.names(&entry.key, &entry.node, &path, sink);
                entry.node.to_json()
            } else {
                self.schema(&entry.node, &path, false, sink)
            };
            map.insert(entry.key.clone(), written);
        }
        Json::Object(map)
    }

    fn names(&self, key: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
        let Value::List(items) = &node.value else {
            let hint = (key == "required" && matches!(node.value, Value::Bool(_)))
                .then(|| "list the property in `required` of the object it is in".to_owned());
            let message = format!("`{key}` is {}", node.kind());
            let said = Said { message, expected: "expected a list of names".into(), hint };
            self.problem(Code::BadSchema, node.mark, path, said, sink);
            return;
        };
        let mut seen = HashSet::new();
        for (i, item) in items.iter().enumerate() {
            let path = path.index(i);
            match item.text() {
                None => self.bad(
                    item,
                    &path,
                    format!("a name in `{key}` is {}", item.kind()),
                    "expected text",
                    sink,
                ),
                Some(name) if !seen.insert(name) => {
                    let message = format!("`{}` is in `{key}` twice", shortened(name));
                    self.bad(item, &path, message, "once is enough", sink);
                }
                Some(_) => {}
            }
        }
    }

    fn pattern(&self, text: &str, mark: Mark, path: &Path<'_>, sink: &mut Sink<'_>) {
        if jsonschema_regex::is_valid_ecma_regex(text) {
            return;
        }
        let said = Said {
            message: format!("`{}` is not a regular expression", shortened(text)),
            expected: "not ECMA-262 syntax".into(),
            hint: None,
        };
        self.problem(Code::BadPattern, mark, path, said, sink);
    }

    fn types(&self, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
        let several = node.list();
        let all: &[Node] = if several.is_empty() { std::slice::from_ref(node) } else { several };
        let mut seen = HashSet::new();
        for one in all {
            if one.text().is_some_and(|text| !seen.insert(text)) {
                self.bad(one, path, "`type` names one type twice".into(), "once is enough", sink);
            }
            let Some(text) = one.text() else {
                self.bad(one, path, format!("`type` is {}", one.kind()), "the name of a type", sink);
                continue;
            };
            if TYPES.contains(&text) {
                continue;
            }
            let meant = match text.to_ascii_lowercase().as_str() {
                "int" | "int32" | "int64" | "long" => Some("integer"),
                "float" | "double" | "decimal" => Some("number"),
                "str" | "text" | "date" | "datetime" | "uuid" | "email" | "file" | "binary" => Some("string"),
                "list" | "tuple" => Some("array"),
                "map" | "dict" | "hash" => Some("object"),
                _ => sink.nearest(text, TYPES),
            };
            let said = Said {
                message: format!("JSON Schema has no type `{}`", shortened(text)),
                expected: "unknown type".into(),
                hint: Some(meant.map_or_else(
                    || format!("its types are {}", listed(TYPES)),
                    |meant| format!("write `{meant}`"),
                )),
            };
            self.problem(Code::BadSchema, one.mark, path, said, sink);
        }
    }

    fn dialect(&self, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
        let Some(text) = node.text() else {
            return self.bad(
                node,
                path,
                format!("`$schema` is {}", node.kind()),
                "the URL of a dialect",
                sink,
            );
        };
        let name = text.trim_end_matches('#').trim_start_matches("http://").trim_start_matches("https://");
        let hint = Some("write `https://json-schema.org/draft/2020-12/schema`".to_owned());
        let shown = shortened(text);
        let (code, message, expected) = match name {
            "json-schema.org/draft/2020-12/schema"
            | "json-schema.org/draft/2019-09/schema"
            | "json-schema.org/draft-07/schema" => return,
            "json-schema.org/schema"
            | "json-schema.org/draft-06/schema"
            | "json-schema.org/draft-05/schema"
            | "json-schema.org/draft-04/schema"
            | "json-schema.org/draft-03/schema" => {
                (Code::DeprecatedDraft, format!("`{shown}` is an old draft"), "read as draft-07")
            }
            _ => (
                Code::BadSchema,
                format!("`{shown}` is no dialect of JSON Schema that Sower reads"),
                "2020-12 or draft-07",
            ),
        };
        self.problem(code, node.mark, path, Said { message, expected: expected.into(), hint }, sink);
    }

    fn reference(&mut self, text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) -> Json {
        let manifest = self.schemas.files.map_or("", |f| f.path).to_owned();
        match self.schemas.follow(text, self.doc, self.job.inline) {
            Ok(target) => Json::String(self.job.reference(&target, &manifest)),
            Err(NoFile { code, message, expected, hint, named }) => {
                self.job.whole = false;
                let meant = named.and_then(|name| sink.nearest(&name, self.schemas.own.keys().copied()));
                let hint = hint.or(meant.map(|name| format!("did you mean `#/schemas/{name}`?")));
                let said = Said { message, expected: expected.into(), hint };
                self.problem(code, node.mark, path, said, sink);
                node.to_json()
            }
        }
    }
}

/// What a problem says.
struct Said {
    message: String,
    expected: String,
    hint: Option<String>,
}
