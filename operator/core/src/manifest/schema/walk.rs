//! Checks a schema keyword by keyword and writes it as it stands in the bundle.
//!
//! The check is that of the meta-schemas of 2020-12 and draft-07 together, with a place for each fault; it is written here
//! because a catalog of thousands of schemas has to load in well under a second.

use std::rc::Rc;

use serde_json::{Map, Value as Json};

use super::super::report::{Path, Sink, listed, nearest, shortened};
use super::super::tree::{Entry, Mark, Node, Value};
use super::bundle::Job;
use super::files::NoFile;
use super::reference::Doc;
use super::{Choice, SchemaFile, Schemas};
use crate::problem::Code;

const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// What the value of a keyword is.
enum Keyword {
    Schema,
    Schemas,
    /// `items` of draft-07 may be a list.
    SchemaOrSchemas,
    MapOfSchemas,
    /// `dependencies` of draft-07.
    MapOfSchemasOrNames,
    MapOfNames,
    Names,
    Text,
    Pattern,
    Bool,
    Count,
    Number,
    /// `exclusiveMinimum` of drafts before 6 is true or false.
    NumberOrBool,
    List,
    Type,
    Reference,
    Dialect,
    Choice(&'static str),
    Data,
}

fn keyword(name: &str) -> Keyword {
    match name {
        "$ref" | "$dynamicRef" => Keyword::Reference,
        "$schema" => Keyword::Dialect,
        "type" => Keyword::Type,
        "properties" | "$defs" | "definitions" | "dependentSchemas" | "patternProperties" => {
            Keyword::MapOfSchemas
        }
        "additionalProperties"
        | "unevaluatedProperties"
        | "propertyNames"
        | "additionalItems"
        | "unevaluatedItems"
        | "contains"
        | "not"
        | "if"
        | "then"
        | "else"
        | "contentSchema" => Keyword::Schema,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Keyword::Schemas,
        "items" => Keyword::SchemaOrSchemas,
        "dependencies" => Keyword::MapOfSchemasOrNames,
        "dependentRequired" => Keyword::MapOfNames,
        "required" => Keyword::Names,
        "pattern" => Keyword::Pattern,
        "title" | "description" | "$comment" | "format" | "contentEncoding" | "contentMediaType" | "$id"
        | "$anchor" | "$dynamicAnchor" => Keyword::Text,
        "uniqueItems" | "readOnly" | "writeOnly" | "deprecated" => Keyword::Bool,
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
        | "minContains" | "maxContains" => Keyword::Count,
        "minimum" | "maximum" | "multipleOf" => Keyword::Number,
        "exclusiveMinimum" | "exclusiveMaximum" => Keyword::NumberOrBool,
        "enum" | "examples" => Keyword::List,
        "x-choices" => Keyword::Choice("x-choices"),
        "x-fields" => Keyword::Choice("x-fields"),
        _ => Keyword::Data,
    }
}

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
        const LEAST: usize = 16;
        let weight = LEAST + entry.key.len() + entry.node.text().map_or(0, str::len);
        if let Some(left) = self.schemas.left.checked_sub(weight) {
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
                let each = items.iter().enumerate().map(|(i, n)| self.schema(n, &path.index(i), false, sink));
                return Json::Array(each.collect());
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
            let written = if key == "dependencies" && matches!(entry.node.value, Value::List(_)) {
                self.names(&entry.key, &entry.node, &path, sink);
                entry.node.to_json()
            } else if self.spend(entry, &entry.node, &path, sink) {
                self.schema(&entry.node, &path, false, sink)
            } else {
                break;
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
                Some(name) if items[..i].iter().any(|other| other.text() == Some(name)) => {
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
        for (i, one) in all.iter().enumerate() {
            if all[..i].iter().any(|other| other.text().is_some() && other.text() == one.text()) {
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
                _ => nearest(text, TYPES),
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
            Err(NoFile { code, message, expected, hint }) => {
                self.job.whole = false;
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
