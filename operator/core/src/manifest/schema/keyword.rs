//! The keywords of JSON Schema: what the value of each is.

use super::super::tree::Value;

/// What the value of a keyword is.
pub(super) enum Keyword {
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

/// What the format makes of a keyword.
pub(super) fn keyword(name: &str) -> Keyword {
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

/// Whether a value is one or more schemas, which are weighed entry by entry.
pub(super) fn is_walked(keyword: &Keyword, value: &Value) -> bool {
    match value {
        Value::Map(_) => matches!(
            keyword,
            Keyword::Schema | Keyword::SchemaOrSchemas | Keyword::MapOfSchemas | Keyword::MapOfSchemasOrNames
        ),
        Value::List(_) => matches!(keyword, Keyword::Schemas | Keyword::SchemaOrSchemas),
        _ => false,
    }
}
