//! The format's fields, compiled once from the JSON Schema of the Rust types into what the checker walks.

use std::sync::OnceLock;

use serde_json::Value;

/// What a value may be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Text, with the word that says what it means to the checker.
    Text { word: Option<String>, least: u64, most: u64 },
    /// One of a closed list of words.
    Words(Vec<String>),
    /// true or false.
    Bool,
    /// A number, perhaps a whole one, within bounds.
    Number { whole: bool, least: Option<f64>, most: Option<f64> },
    /// A list.
    List { item: Box<Shape>, least: u64, most: u64 },
    /// A map with any keys.
    Map { value: Box<Shape>, most: u64 },
    /// A map with known keys and no others.
    Fields(Vec<Field>),
    /// Any value, or any map.
    Any { map: bool },
    /// One of several, told apart by the kind of value.
    Either(Vec<Shape>),
}

/// A known key.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) shape: Shape,
}

/// Integration.spec.
pub(crate) fn integration() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| compile(&serde_json::to_value(sower_crds::integration_schema()).unwrap_or_default()))
}

/// Environment.spec.
pub(crate) fn environment() -> &'static Shape {
    static SHAPE: OnceLock<Shape> = OnceLock::new();
    SHAPE.get_or_init(|| compile(&serde_json::to_value(sower_crds::environment_schema()).unwrap_or_default()))
}

/// Compiles a schema of our own making: it knows the keywords that our types bring, no others.
fn compile(root: &Value) -> Shape {
    Compiler { root }.shape(root, 0)
}

struct Compiler<'a> {
    root: &'a Value,
}

impl Compiler<'_> {
    fn shape(&self, schema: &Value, depth: usize) -> Shape {
        let any = Shape::Any { map: false };
        if depth > 64 {
            return any;
        }
        if let Some(target) = schema["$ref"].as_str().and_then(|r| r.strip_prefix('#')) {
            return self.root.pointer(target).map_or(any, |s| self.shape(s, depth + 1));
        }
        if let [only] = schema["allOf"].as_array().map_or(&[][..], Vec::as_slice)
            && schema["type"].is_null()
            && schema["properties"].is_null()
        {
            return self.shape(only, depth + 1);
        }
        if let Some(words) = words(schema) {
            return Shape::Words(words);
        }
        if schema["properties"].is_null()
            && let Some(choices) = schema["anyOf"].as_array().or(schema["oneOf"].as_array())
        {
            let mut shapes: Vec<Shape> =
                choices.iter().filter(|c| c["type"] != "null").map(|c| self.shape(c, depth + 1)).collect();
            return if shapes.len() == 1 { shapes.remove(0) } else { Shape::Either(shapes) };
        }
        let word = schema["x-sower"].as_str().map(str::to_owned);
        let bound = |key: &str, default: u64| schema[key].as_u64().unwrap_or(default);
        match kind(schema) {
            Some("string") => {
                Shape::Text { word, least: bound("minLength", 0), most: bound("maxLength", u64::MAX) }
            }
            Some("boolean") => Shape::Bool,
            Some(kind @ ("integer" | "number")) => Shape::Number {
                whole: kind == "integer",
                least: schema["minimum"].as_f64(),
                most: schema["maximum"].as_f64(),
            },
            Some("array") => Shape::List {
                item: Box::new(self.shape(&schema["items"], depth + 1)),
                least: bound("minItems", 0),
                most: bound("maxItems", u64::MAX),
            },
            Some("object") if schema["properties"].is_object() => self.fields(schema, depth),
            Some("object") if schema["additionalProperties"].is_object() => Shape::Map {
                value: Box::new(self.shape(&schema["additionalProperties"], depth + 1)),
                most: bound("maxProperties", u64::MAX),
            },
            Some("object") => Shape::Any { map: true },
            _ if schema["properties"].is_object() => self.fields(schema, depth),
            _ => Shape::Any { map: false },
        }
    }

    fn fields(&self, schema: &Value, depth: usize) -> Shape {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let fields = schema["properties"].as_object().into_iter().flatten().map(|(name, value)| Field {
            name: name.clone(),
            required: required.contains(&name.as_str()),
            shape: self.shape(value, depth + 1),
        });
        Shape::Fields(fields.collect())
    }
}

/// The type a schema names; of `[T, null]` it is T.
fn kind(schema: &Value) -> Option<&str> {
    match &schema["type"] {
        Value::String(one) => Some(one),
        Value::Array(several) => several.iter().filter_map(Value::as_str).find(|t| *t != "null"),
        _ => None,
    }
}

/// The words of a closed list, written as `enum` or as `oneOf` constants with their descriptions.
fn words(schema: &Value) -> Option<Vec<String>> {
    let text = |v: &Value| v.as_str().map(str::to_owned);
    if let Some(values) = schema["enum"].as_array() {
        return Some(values.iter().filter_map(text).collect());
    }
    if let Some(one) = schema.get("const") {
        return Some(text(one).into_iter().collect());
    }
    let choices = schema["oneOf"].as_array().or(schema["anyOf"].as_array())?;
    let mut all = Vec::new();
    for choice in choices.iter().filter(|c| c["type"] != "null") {
        all.extend(words(choice)?);
    }
    (!all.is_empty()).then_some(all)
}
