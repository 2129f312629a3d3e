//! Holds a document against the format: unknown and missing fields, types, words and bounds; and turns it into the value that
//! the Rust types read.

use serde_json::Value as Json;

use super::report::{Path, Sink, head, listed, shortened};
use super::shape::{Field, Shape};
use super::texts;
use super::tree::{Entry, Mark, Node, Value};
use crate::problem::Code;

/// Notes everything in `node` that the shape does not allow.
pub(crate) fn check(shape: &Shape, node: &Node, path: &Path<'_>, name: &str, sink: &mut Sink<'_>) {
    match (shape, &node.value) {
        (Shape::Fields(fields), Value::Map(entries)) => check_fields(fields, node, entries, path, name, sink),
        (Shape::Map { value, most }, Value::Map(entries)) => {
            check_count(entries.len(), 0, *most, "entries", node, path, name, sink);
            for entry in entries {
                check(value, &entry.node, &path.key(&entry.key), &entry.key, sink);
            }
        }
        (Shape::List { item, least, most }, Value::List(items)) => {
            check_count(items.len(), *least, *most, "entries", node, path, name, sink);
            for (i, element) in items.iter().enumerate() {
                let path = path.index(i);
                check(item, element, &path, &element_name(name, element), sink);
            }
        }
        (Shape::Text { word, least, most }, Value::Text(text)) => {
            let known = word.as_deref().is_some_and(|w| texts::check(w, text, node, path, sink));
            if !known {
                check_count(text.chars().count(), *least, *most, "characters", node, path, name, sink);
            }
        }
        (Shape::Text { word: Some(word), .. }, Value::Number(_))
            if matches!(word.as_str(), "version" | "duration") =>
        {
            let written = sink.written(node.mark).to_owned();
            texts::check(word, &written, node, path, sink);
        }
        (Shape::Words(words), Value::Text(text)) => {
            if !words.contains(text) {
                let message = format!("{name} cannot be `{}`", shortened(text));
                let meant = sink.nearest(text, words.iter().map(String::as_str));
                let hint = meant.map(|w| format!("did you mean `{w}`?"));
                sink.push(
                    Code::WrongType,
                    node.mark,
                    path,
                    message,
                    format!("one of {}", listed(words)),
                    hint,
                );
            }
        }
        (Shape::Number { whole, least, most }, Value::Number(number)) => {
            let float = number.as_f64().unwrap_or_default();
            if *whole && float.fract() != 0.0 {
                let message = format!("{name} is {number}");
                sink.push(Code::WrongType, node.mark, path, message, "a whole number", None);
            } else if let Some(least) = least.filter(|l| float < *l) {
                let message = format!("{name} is {number}");
                sink.push(Code::WrongType, node.mark, path, message, format!("at least {least}"), None);
            } else if let Some(most) = most.filter(|m| float > *m) {
                let message = format!("{name} is {number}");
                sink.push(Code::WrongType, node.mark, path, message, format!("at most {most}"), None);
            }
        }
        (Shape::Either(shapes), _) => match shapes.iter().find(|s| takes(s, node)) {
            Some(shape) => check(shape, node, path, name, sink),
            None => wrong_kind(shape, node, path, name, sink),
        },
        _ if takes(shape, node) => {}
        _ => wrong_kind(shape, node, path, name, sink),
    }
}

/// The value as the Rust types read it: a field that holds nothing is a field left out, as it is to kubectl.
pub(crate) fn to_value(shape: &Shape, node: &Node) -> Json {
    match (shape, &node.value) {
        (Shape::Fields(fields), Value::Map(entries)) => Json::Object(
            entries
                .iter()
                .filter(|e| !e.node.is_null())
                .filter_map(|e| {
                    let field = fields.iter().find(|f| f.name == e.key)?;
                    Some((e.key.clone(), to_value(&field.shape, &e.node)))
                })
                .collect(),
        ),
        (Shape::Map { value, .. }, Value::Map(entries)) => {
            Json::Object(entries.iter().map(|e| (e.key.clone(), to_value(value, &e.node))).collect())
        }
        (Shape::List { item, .. }, Value::List(items)) => {
            Json::Array(items.iter().map(|i| to_value(item, i)).collect())
        }
        (Shape::Number { whole: true, .. }, Value::Number(number)) => {
            whole_number(number).map_or_else(|| node.to_json(), Json::Number)
        }
        (Shape::Either(shapes), _) => {
            shapes.iter().find(|s| takes(s, node)).map_or(Json::Null, |s| to_value(s, node))
        }
        _ => node.to_json(),
    }
}

/// `5.0` is the whole number 5.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn whole_number(number: &serde_json::Number) -> Option<serde_json::Number> {
    let float = number.as_f64().filter(|_| number.is_f64())?;
    (float.fract() == 0.0 && float.abs() < 9e15).then(|| serde_json::Number::from(float as i64))
}

fn check_fields(
    fields: &[Field],
    node: &Node,
    entries: &[Entry],
    path: &Path<'_>,
    name: &str,
    sink: &mut Sink<'_>,
) {
    for entry in entries {
        match fields.iter().find(|f| f.name == entry.key) {
            Some(field) if entry.node.is_null() => {
                if field.required {
                    missing(&field.name, entry.key_mark, path, name, sink);
                }
            }
            Some(field) => check(&field.shape, &entry.node, &path.key(&entry.key), &entry.key, sink),
            None => unknown_field(
                &entry.key,
                entry.key_mark,
                fields.iter().map(|f| f.name.as_str()),
                path,
                name,
                sink,
            ),
        }
    }
    for field in fields.iter().filter(|f| f.required && node.entry(&f.name).is_none()) {
        missing_unless_misspelt(&field.name, fields.iter().map(|f| f.name.as_str()), node, path, name, sink);
    }
}

/// Notes a field that the format does not have.
pub(crate) fn unknown_field<'n>(
    key: &str,
    mark: Mark,
    known: impl Iterator<Item = &'n str> + Clone,
    path: &Path<'_>,
    name: &str,
    sink: &mut Sink<'_>,
) {
    if sink.is_full() {
        return;
    }
    let meant = match key {
        "type" if name == "the integration" => Some("id"),
        _ => sink.nearest(key, known.clone()),
    };
    let hint = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("its fields are {}", listed(known)),
    };
    let message = format!("{name} has no field `{}`", shortened(key));
    sink.push(Code::UnknownField, mark, &path.key(key), message, "unknown field", Some(hint));
}

/// Notes a field that must be there.
pub(crate) fn missing(field: &str, mark: Mark, path: &Path<'_>, name: &str, sink: &mut Sink<'_>) {
    let message = format!("{name} has no `{field}`");
    sink.push(Code::MissingField, mark, path, message, format!("`{field}` is required"), None);
}

/// A field that is there under a name near to its own is one problem, and not two.
pub(crate) fn missing_unless_misspelt<'n>(
    field: &str,
    known: impl Iterator<Item = &'n str> + Clone,
    node: &Node,
    path: &Path<'_>,
    name: &str,
    sink: &mut Sink<'_>,
) {
    // A map with more unknown fields than are noted has filled the sink.
    if sink.is_full() {
        return;
    }
    let unknown = |e: &&Entry| !known.clone().any(|k| k == e.key);
    let misspelt = |e: &Entry| sink.nearest(&e.key, known.clone()) == Some(field);
    if !node.entries().iter().filter(unknown).any(misspelt) {
        missing(field, head(node), path, name, sink);
    }
}

/// What an element of a list is called: "action `send`", "an entry of errors".
fn element_name(list: &str, element: &Node) -> String {
    let one = match list {
        "actions" => "action",
        "triggers" => "trigger",
        "connections" => "connection",
        "webhooks" => "webhook",
        "events" => "event",
        "examples" => "example",
        "sources" => "source",
        _ => return format!("an entry of {list}"),
    };
    let id = ["id", "eventType", "name"].iter().find_map(|k| element.text_at(k));
    id.map_or_else(
        || format!("a {one}").replace("a a", "an a").replace("a e", "an e"),
        |id| format!("{one} `{}`", shortened(id)),
    )
}

#[expect(clippy::too_many_arguments, reason = "a problem has as many parts")]
fn check_count(
    count: usize,
    least: u64,
    most: u64,
    unit: &str,
    node: &Node,
    path: &Path<'_>,
    name: &str,
    sink: &mut Sink<'_>,
) {
    let count = count as u64;
    let expected = if count < least {
        format!("at least {least} {unit}")
    } else if count > most {
        format!("at most {most} {unit}")
    } else {
        return;
    };
    let message = if count == 0 { format!("{name} is empty") } else { format!("{name} has {count} {unit}") };
    sink.push(Code::WrongType, node.mark, path, message, expected, None);
}

/// Whether a shape takes a value of this kind at all.
pub(crate) fn takes(shape: &Shape, node: &Node) -> bool {
    match shape {
        Shape::Text { .. } | Shape::Words(_) => matches!(node.value, Value::Text(_)),
        Shape::Bool => matches!(node.value, Value::Bool(_)),
        Shape::Number { .. } => matches!(node.value, Value::Number(_)),
        Shape::List { .. } => matches!(node.value, Value::List(_)),
        Shape::Map { .. } | Shape::Fields(_) | Shape::Any { map: true } => node.is_map(),
        Shape::Any { map: false } => true,
        Shape::Either(shapes) => shapes.iter().any(|s| takes(s, node)),
    }
}

/// A shape in the words of a message.
fn described(shape: &Shape) -> String {
    match shape {
        Shape::Text { .. } => "text".into(),
        Shape::Words(words) => format!("one of {}", listed(words)),
        Shape::Bool => "true or false".into(),
        Shape::Number { whole: true, .. } => "a whole number".into(),
        Shape::Number { .. } => "a number".into(),
        Shape::List { .. } => "a list".into(),
        Shape::Map { .. } | Shape::Fields(_) | Shape::Any { map: true } => "a map".into(),
        Shape::Any { map: false } => "a value".into(),
        Shape::Either(shapes) => {
            let mut all: Vec<String> = shapes.iter().map(described).collect();
            all.dedup();
            all.join(" or ")
        }
    }
}

fn wrong_kind(shape: &Shape, node: &Node, path: &Path<'_>, name: &str, sink: &mut Sink<'_>) {
    let message = format!("{name} is {}", node.kind());
    let scalar = matches!(node.value, Value::Number(_) | Value::Bool(_));
    let text = |s: &Shape| matches!(s, Shape::Text { .. } | Shape::Words(_));
    let wants_text = match shape {
        Shape::Either(shapes) => shapes.iter().any(text),
        shape => text(shape),
    };
    let hint = if scalar && wants_text {
        Some(format!("put it in quotes: `\"{}\"`", sink.written(node.mark)))
    } else {
        match (shape, &node.value) {
            (Shape::List { .. }, Value::Text(text)) => Some(format!("write `[{}]`", shortened(text))),
            (Shape::Bool | Shape::Number { .. }, Value::Text(_)) => Some("leave the quotes out".into()),
            _ => None,
        }
    };
    sink.push(Code::WrongType, node.mark, path, message, format!("expected {}", described(shape)), hint);
}
