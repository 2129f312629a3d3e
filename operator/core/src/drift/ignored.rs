//! What may differ without being drift: a field that is equal to its default, and what an environment ignores.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sower_crds::IntegrationSpec;
use sower_crds::action::Action;
use sower_crds::connection::Connection;
use sower_crds::trigger::{Event, Trigger};

use super::Registry;
use crate::manifest::canonical;
use crate::rows::Kind;

/// The columns that may be ignored: those that a hash covers.
pub const COLUMNS: [&str; 9] = [
    "name",
    "version",
    "author",
    "manifest",
    "status",
    "integration_id",
    "identifier",
    "category",
    "definition",
];

/// What of a row may differ without being drift.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignored {
    columns: BTreeSet<String>,
    /// Into `manifest` and `definition`, by part; `*` is every one of a list or a map.
    pointers: Vec<Vec<String>>,
}

impl Ignored {
    /// What `spec.drift.ignoreFields` says: columns by name, and JSON pointers (RFC 6901) into what `manifest` and
    /// `definition` hold, whose part `*` stands for every one.
    #[must_use]
    pub fn of(fields: &[String]) -> Self {
        let mut ignored = Self::default();
        for field in fields {
            match field.strip_prefix('/') {
                Some(pointer) => {
                    let parts = pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~"));
                    ignored.pointers.push(parts.collect());
                }
                None => {
                    ignored.columns.insert(field.clone());
                }
            }
        }
        ignored
    }

    /// Those of the columns that differ which are drift. `there` and `wanted`: what its JSON column holds.
    pub(super) fn left(
        &self,
        differing: &[&'static str],
        registry: Registry,
        there: &str,
        wanted: &str,
    ) -> Vec<&'static str> {
        let json = if registry.is_some() { "definition" } else { "manifest" };
        let ignored = |column: &str| {
            self.columns.contains(column) || column == json && self.same(registry, there, wanted)
        };
        differing.iter().copied().filter(|column| !ignored(column)).collect()
    }

    /// Whether two JSON texts say the same: with defaults filled in, and without what is ignored.
    fn same(&self, registry: Registry, there: &str, wanted: &str) -> bool {
        let read = |text: &str| serde_json::from_str::<Value>(text).ok();
        let (Some(mut there), Some(mut wanted)) = (read(there), read(wanted)) else { return false };
        for pointer in &self.pointers {
            remove(&mut there, pointer);
            remove(&mut wanted, pointer);
        }
        let text = |value: &Value| canonical(value);
        text(&there) == text(&wanted) || {
            // What is left may lack a field that is needed: then it is compared as it stands.
            let filled = |value: &Value| without_defaults(registry, value);
            filled(&there).is_some_and(|there| there == text(&wanted) || Some(there) == filled(&wanted))
        }
    }
}

/// Why a field cannot be ignored, in a clause for people.
#[must_use]
pub fn bad_field(field: &str) -> Option<String> {
    if field.starts_with('/') || COLUMNS.contains(&field) {
        return None;
    }
    Some(format!("it is neither a column ({}) nor a JSON pointer such as /description", COLUMNS.join(", ")))
}

/// Takes away what a pointer names.
fn remove(value: &mut Value, pointer: &[String]) {
    let Some((part, rest)) = pointer.split_first() else { return };
    match value {
        Value::Object(map) if rest.is_empty() => {
            if part == "*" {
                map.clear()
            } else {
                drop(map.remove(part))
            }
        }
        Value::Object(map) if part == "*" => map.values_mut().for_each(|value| remove(value, rest)),
        Value::Object(map) => map.get_mut(part).into_iter().for_each(|value| remove(value, rest)),
        Value::Array(items) if part == "*" && rest.is_empty() => items.clear(),
        Value::Array(items) if part == "*" => items.iter_mut().for_each(|value| remove(value, rest)),
        Value::Array(items) => {
            let at = part.parse::<usize>().ok().filter(|at| *at < items.len());
            match at {
                // The others keep their places.
                Some(at) if rest.is_empty() => items[at] = Value::Null,
                Some(at) => remove(&mut items[at], rest),
                None => {}
            }
        }
        _ => {}
    }
}

/// The canonical form, which leaves out what is equal to its default; none where it is not of the format.
fn without_defaults(registry: Registry, value: &Value) -> Option<String> {
    fn of<T: Serialize + DeserializeOwned>(value: &Value) -> Option<String> {
        let typed: T = T::deserialize(value).ok()?;
        serde_json::to_value(typed).ok().map(|value| canonical(&value))
    }
    match registry {
        None => of::<IntegrationSpec>(value),
        Some(Kind::Action) => of::<Action>(value),
        Some(Kind::Trigger) => of::<Trigger>(value),
        Some(Kind::Connection) => of::<Connection>(value),
        Some(Kind::Event) => of::<Event>(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignored(fields: &[&str]) -> Ignored {
        Ignored::of(&fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>())
    }

    fn same(fields: &[&str], there: &str, wanted: &str) -> bool {
        ignored(fields).same(Some(Kind::Action), there, wanted)
    }

    const WANTED: &str =
        r#"{"id":"post","name":"Post","request":{"method":"POST","path":"/a"},"tags":["a","b"]}"#;

    #[test]
    fn what_is_written_out_or_laid_out_otherwise_is_the_same() {
        let written = r#"{ "name": "Post", "id": "post", "tags": ["a", "b"], "request": {"path": "/a", "method": "POST"} }"#;
        assert!(same(&[], written, WANTED));
        let wanted = r#"{"id":"post","name":"Post","request":{"method":"GET","path":"/a"}}"#;
        let default = r#"{"effect":"write","id":"post","name":"Post","request":{"method":"GET","path":"/a"},"scopes":[]}"#;
        assert!(same(&[], default, wanted));
        assert!(!same(&[], &default.replace("write", "read"), wanted));
        assert!(!same(&[], "[", wanted));
    }

    #[test]
    fn a_pointer_takes_what_it_names_with_all_that_is_in_it() {
        let edited = WANTED.replace("/a", "/b");
        assert!(!same(&[], &edited, WANTED));
        for pointer in ["/request/path", "/request", "/request/*", "/*/path", "/*"] {
            assert!(same(&[pointer], &edited, WANTED), "{pointer}");
        }
        for pointer in ["/path", "/request/method", "/request/path/x", "/tags/*", "/"] {
            assert!(!same(&[pointer], &edited, WANTED), "{pointer}");
        }
        let tagged = WANTED.replace("\"b\"", "\"c\"");
        for (pointer, is) in
            [("/tags/1", true), ("/tags/0", false), ("/tags/9", false), ("/tags/*", true), ("/tags", true)]
        {
            assert_eq!(same(&[pointer], &tagged, WANTED), is, "{pointer}");
        }
    }

    #[test]
    fn a_column_is_ignored_by_its_name() {
        let left = |fields: &[&str]| {
            ignored(fields).left(
                &["name", "definition"],
                Some(Kind::Action),
                &WANTED.replace("Post", "By hand"),
                WANTED,
            )
        };
        assert_eq!(left(&[]), ["name", "definition"]);
        assert_eq!(left(&["name"]), ["definition"]);
        assert_eq!(left(&["name", "/name"]), [""; 0]);
        assert_eq!(bad_field("name"), None);
        assert_eq!(bad_field("/a/b"), None);
        assert!(bad_field("row_hash").is_some_and(|why| why.contains("neither a column")));
    }
}
