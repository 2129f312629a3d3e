//! The reference pages, from the same types as everything else, with the prose that stands beside them.

use std::fmt::Write as _;

use serde_json::Value;

use crate::named::{self, Named, name_of};

/// `docs/manifest.md`: everything that a manifest may hold.
#[must_use]
pub fn manifest_reference() -> String {
    let mut page = String::from(include_str!("reference/manifest.md"));
    tables(&mut page, &named::of_manifest());
    page.push_str(include_str!("reference/meaning.md"));
    page
}

/// `docs/environment.md`: everything that an Environment may hold.
#[must_use]
pub fn environment_reference() -> String {
    let mut page = String::from(include_str!("reference/environment.md"));
    tables(&mut page, &named::of_environment());
    page.push_str(include_str!("reference/status.md"));
    page
}

fn tables(page: &mut String, types: &[Named]) {
    page.push_str("\n## Fields\n\nA field in **bold** is required.\n");
    for named in types {
        let about = named.schema["description"].as_str().unwrap_or_default();
        // Writing into a String cannot fail.
        let _ = write!(
            page,
            "\n### {}\n\n{about}\n\n| field | type | meaning |\n| --- | --- | --- |\n",
            named.name
        );
        let required = names(&named.schema["required"]);
        let mut fields: Vec<_> = named.schema["properties"].as_object().into_iter().flatten().collect();
        fields.sort_by_key(|(field, _)| !required.contains(&field.as_str()));
        for (field, schema) in fields {
            let mark = if required.contains(&field.as_str()) { "**" } else { "" };
            let meaning = schema["description"].as_str().unwrap_or_default().replace('|', "\\|");
            let _ = writeln!(page, "| {mark}`{field}`{mark} | {} | {meaning} |", kind(types, schema));
        }
        words(page, &named.schema);
    }
}

/// What each word of the closed lists means, below the table.
fn words(page: &mut String, schema: &Value) {
    for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
        let meanings = names(&schema["enumDescriptions"]);
        if meanings.iter().all(|meaning| meaning.is_empty()) {
            continue;
        }
        let _ = write!(page, "\n`{field}`:\n\n");
        for (word, meaning) in names(&schema["enum"]).into_iter().zip(meanings) {
            let _ = writeln!(page, "- `{word}`: {meaning}");
        }
    }
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The type of a value, for people.
fn kind(types: &[Named], schema: &Value) -> String {
    if let Some(name) = name_of(types, schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(alternatives) = schema["anyOf"].as_array() {
        let kinds: Vec<String> = alternatives.iter().map(|inner| kind(types, inner)).collect();
        return kinds.join(" or ");
    }
    if schema.get("enum").is_some() {
        let words: Vec<String> = names(&schema["enum"]).into_iter().map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    match (schema["type"].as_str().unwrap_or_default(), schema["x-sower"].as_str().unwrap_or_default()) {
        ("string", word) => text(word).to_owned(),
        ("integer" | "number", _) => "number".to_owned(),
        ("boolean", _) => "true or false".to_owned(),
        ("array", _) => format!("list of {}", kind(types, &schema["items"])),
        (_, "schema") => "JSON Schema".to_owned(),
        (_, "schemas") => "map of JSON Schema".to_owned(),
        ("object", "template") => "map of any JSON with expressions".to_owned(),
        (_, "template") => "any JSON with expressions".to_owned(),
        ("object", _) if schema["additionalProperties"].is_object() => {
            format!("map of {}", kind(types, &schema["additionalProperties"]))
        }
        ("object", "any") => "map of any JSON".to_owned(),
        ("object", _) => "as in Kubernetes".to_owned(),
        _ => "any JSON".to_owned(),
    }
}

fn text(word: &str) -> &'static str {
    match word {
        "id" => "DNS label",
        "item" => "id",
        "version" => "version",
        "duration" => "duration",
        "url" | "link" | "git-url" => "URL",
        "expression" => "text with expressions",
        "pattern" => "regular expression",
        "glob" => "pattern",
        "path" | "folder" => "path",
        "range" => "range of versions",
        "percent" => "percentage",
        "column" => "column or JSON pointer",
        "schedule" => "cron, five fields",
        "time-zone" => "time zone",
        "commit" => "40 hex digits",
        "dependency" => "`id` or `id@range`",
        _ => "text",
    }
}
