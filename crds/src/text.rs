//! The kinds of text in documents, as schemas: their patterns, their bounds, and the word `x-sower` that tells the
//! checker what a value means. The bounds are of the CRD; the editor's schema keeps the patterns.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A DNS label.
pub const LABEL_PATTERN: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
/// The id of an item of a list.
pub const ITEM_PATTERN: &str = "^[a-z0-9]+([.-][a-z0-9]+)*$";
/// Semantic versioning 2.0 (semver.org, the pattern it suggests).
pub const VERSION_PATTERN: &str = "^(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)(-(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)(\\.(0|[1-9][0-9]*|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\\+[0-9a-zA-Z-]+(\\.[0-9a-zA-Z-]+)*)?$";

/// A cron schedule as far as a pattern can say it: five fields, one space between them.
pub const SCHEDULE_PATTERN: &str = "^([0-9A-Za-z*/,#?-]+ ){4}[0-9A-Za-z*/,#?-]+$";
/// A column of the catalog's tables that a hash covers, or a JSON pointer.
pub const COLUMN_PATTERN: &str =
    "^(name|version|author|manifest|status|integration_id|identifier|category|definition|(/[^/]{1,128})+)$";
/// A duration, or a time as RFC 3339 has them.
pub const UNTIL_PATTERN: &str = "^(([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]+([Zz]|[+-][0-9]{2}:[0-9]{2}))$";
/// A text without control characters.
pub const PLAIN_PATTERN: &str = "^[^\\x00-\\x1f\\x7f-\\x9f]*$";
/// The name of a time zone, as far as a pattern can say it.
pub const TIME_ZONE_PATTERN: &str = "^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$";

/// A DNS label of at most 63 characters.
pub(crate) fn label(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 63, "pattern": LABEL_PATTERN, "x-sower": "id" })
}

/// The id of an item of a list.
pub(crate) fn item(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 128, "pattern": ITEM_PATTERN, "x-sower": "item" })
}

/// A semantic version.
pub(crate) fn version(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 5, "maxLength": 128, "pattern": VERSION_PATTERN, "x-sower": "version" })
}

/// One line for people.
pub(crate) fn line(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 256 })
}

/// One line for people that is not empty.
pub(crate) fn title(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 256 })
}

/// A paragraph for people.
pub(crate) fn paragraph(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 4096 })
}

/// Pages for people, in Markdown.
pub(crate) fn markdown(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 65536 })
}

/// An address that a person opens.
pub(crate) fn link(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 2048, "x-sower": "link" })
}

/// A folder of this machine: from its root, or from where the files are that name it.
pub(crate) fn folder(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 2048, "x-sower": "folder" })
}

/// An address that requests go to; it may hold expressions.
pub(crate) fn url(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 4096, "x-sower": "url" })
}

/// A map from a name to an address that requests go to.
pub(crate) fn urls(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": { "type": "string", "maxLength": 4096, "x-sower": "url" },
    })
}

/// A text that may hold expressions.
pub(crate) fn expression(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 16384, "x-sower": "expression" })
}

/// A map from a name to a text that may hold expressions.
pub(crate) fn expressions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": { "type": "string", "maxLength": 16384, "x-sower": "expression" },
    })
}

/// A list of short names.
pub(crate) fn names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 256, "items": { "type": "string", "minLength": 1, "maxLength": 512 } })
}

/// Patterns (globs) over ids; not looked at by CEL, so their bound is wide.
pub(crate) fn globs(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 10000,
        "items": { "type": "string", "minLength": 1, "maxLength": 128, "x-sower": "glob" },
    })
}

/// A cron schedule of five fields.
pub(crate) fn schedule(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 9, "maxLength": 128, "pattern": SCHEDULE_PATTERN, "x-sower": "schedule" })
}

/// A time zone, as the IANA database names it.
pub(crate) fn time_zone(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": TIME_ZONE_PATTERN, "x-sower": "time-zone" })
}

/// Columns, and JSON pointers into those that hold JSON.
pub(crate) fn columns(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "items": { "type": "string", "minLength": 2, "maxLength": 256, "pattern": COLUMN_PATTERN, "x-sower": "column" },
    })
}

/// A percentage.
pub(crate) fn percent(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "minimum": 0, "maximum": 100 })
}

/// A share of a whole.
pub(crate) fn share(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
}

/// How sure something is.
pub(crate) fn confidence(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "minimum": 0.5, "maximum": 0.999_999 })
}

/// A quantile that a histogram can tell.
pub(crate) fn quantile(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "minimum": 0.01, "maximum": 0.999 })
}

/// How many times something is something else.
pub(crate) fn ratio(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number", "minimum": 0.1, "maximum": 1000 })
}

/// A condition in CEL.
pub(crate) fn cel(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 1024 })
}

/// A duration, or a time (RFC 3339).
pub(crate) fn until(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 2, "maxLength": 40, "pattern": UNTIL_PATTERN })
}

/// Keys of consumers.
pub(crate) fn keys(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 1000,
        "items": { "type": "string", "minLength": 1, "maxLength": 256, "pattern": PLAIN_PATTERN },
    })
}

/// Labels of a consumer.
pub(crate) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": { "type": "string", "maxLength": 256, "pattern": PLAIN_PATTERN },
    })
}

/// A JSON Schema.
pub(crate) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-sower": "schema" })
}

/// A map from a name to a JSON Schema.
pub(crate) fn schemas(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-sower": "schemas" })
}

/// Any JSON; its texts may hold expressions.
pub(crate) fn template(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-sower": "template" })
}

/// Any JSON, taken as it stands.
pub(crate) fn any(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-sower": "any" })
}

/// Any JSON object, taken as it stands.
pub(crate) fn object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-sower": "any" })
}

/// A revision: several sources make a long one.
pub(crate) fn revision(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 8192 })
}

/// A regular expression.
pub(crate) fn pattern(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 1024, "x-sower": "pattern" })
}

/// A JSON object whose texts may hold expressions.
pub(crate) fn template_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-sower": "template" })
}

/// A path inside a source.
pub(crate) fn path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "maxLength": 512, "x-sower": "path" })
}

/// A list of names of environments.
pub(crate) fn environments(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "array", "maxItems": 64, "items": { "type": "string", "minLength": 1, "maxLength": 253 } })
}

/// A list of ids of items.
pub(crate) fn items(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "items": { "type": "string", "minLength": 1, "maxLength": 128, "pattern": ITEM_PATTERN, "x-sower": "item" },
    })
}

/// A map from a name to a line of text.
pub(crate) fn lines(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "maxProperties": 64, "additionalProperties": { "type": "string", "maxLength": 4096 } })
}

/// A name of a Kubernetes resource.
pub(crate) fn name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "minLength": 1, "maxLength": 253 })
}

/// A list of dependencies.
pub(crate) fn dependencies(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 128,
        "items": { "type": "string", "minLength": 1, "maxLength": 256, "x-sower": "dependency" },
    })
}
