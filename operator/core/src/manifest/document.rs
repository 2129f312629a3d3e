//! Which documents of a file are ours, and in which of their forms.

use super::report::{Path, Sink, head, listed, nearest, shortened};
use super::structure::missing;
use super::tree::Node;
use crate::problem::Code;

/// The kinds of group sower.dev.
const KINDS: [&str; 2] = ["Integration", "Environment"];

/// The bytes without which no file holds a document of our group.
const GROUP: &[u8] = b"sower.dev";

/// What a document is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'a> {
    /// `apiVersion`, `kind: Integration`, `metadata` and `spec`.
    Integration,
    /// `kind: Environment`.
    Environment,
    /// The fields of the spec at the top.
    Plain,
    /// The older plain form: `type` is the id.
    Older,
    /// Of our group, but of no kind we have.
    Unknown {
        /// The word that is wrong, and its key.
        node: &'a Node,
        key: &'static str,
    },
    /// No map at all, in a file that is named as a manifest.
    NoMap,
    /// Not ours.
    Foreign,
}

/// Whether a file's name makes it a manifest: `integration.*`, `manifest.*` and `*.integration.*`.
#[must_use]
pub fn is_named(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    let document = matches!(extension, "yaml" | "yml" | "json");
    document && (matches!(stem, "integration" | "manifest") || stem.ends_with(".integration"))
}

/// Whether a file may hold a document at all.
pub(crate) fn is_candidate(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    matches!(name.rsplit_once('.'), Some((_, "yaml" | "yml" | "json")))
}

/// Whether the bytes hold the name of our group: a cheap question to ask before reading a file as YAML.
pub(crate) fn mentions_group(bytes: &[u8]) -> bool {
    let Some((first, rest)) = GROUP.split_first() else { return false };
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|b| b == first) {
        from += at + 1;
        if bytes[from..].starts_with(rest) {
            return true;
        }
    }
    false
}

/// Says what a document is. `named`: its file is a manifest by its name, so that a document without a group is ours too.
pub(crate) fn classify(root: &Node, named: bool) -> Form<'_> {
    if root.is_null() {
        return Form::Foreign;
    }
    if !root.is_map() {
        return if named { Form::NoMap } else { Form::Foreign };
    }
    let kind = root.get("kind");
    let Some(api_version) = root.get("apiVersion") else {
        return match kind.and_then(Node::text) {
            _ if !named => Form::Foreign,
            Some("Integration") if root.get("spec").is_some() => Form::Integration,
            _ if is_older(root) => Form::Older,
            _ => Form::Plain,
        };
    };
    let text = api_version.text().unwrap_or_default();
    if text.split('/').next() != Some(sower_crds::GROUP) {
        let foreign = kind.is_some() || !named;
        return if foreign { Form::Foreign } else { Form::Plain };
    }
    if text != sower_crds::API_VERSION {
        return Form::Unknown { node: api_version, key: "apiVersion" };
    }
    match kind.map(|k| (k, k.text())) {
        Some((_, Some("Integration"))) => Form::Integration,
        Some((_, Some("Environment"))) => Form::Environment,
        Some((node, _)) => Form::Unknown { node, key: "kind" },
        None => Form::Unknown { node: api_version, key: "apiVersion" },
    }
}

/// `type` in place of `id`, and nothing but what that form had.
fn is_older(root: &Node) -> bool {
    const KEYS: [&str; 7] =
        ["type", "name", "description", "credentialSchema", "events", "version", "status"];
    root.get("type").is_some() && root.entries().iter().all(|e| KEYS.contains(&e.key.as_str()))
}

/// Notes a document of our group and no kind of ours.
pub(crate) fn unknown_kind(root: &Node, node: &Node, key: &'static str, sink: &mut Sink<'_>) {
    let path = Path::ROOT;
    let path = path.key(key);
    let found = shortened(node.text().unwrap_or(node.kind()));
    if key == "apiVersion" && root.get("kind").is_none() {
        missing("kind", head(root), &Path::ROOT, "the document", sink);
        return;
    }
    let (message, expected, hint) = if key == "apiVersion" {
        let hint = format!("write `{}`", sower_crds::API_VERSION);
        (format!("Sower has no version `{found}`"), "unknown version".to_owned(), hint)
    } else {
        let hint = nearest(&found, KINDS).map_or_else(
            || format!("its kinds are {}", listed(KINDS)),
            |meant| format!("did you mean `{meant}`?"),
        );
        (format!("group sower.dev has no kind `{found}`"), "unknown kind".to_owned(), hint)
    };
    sink.push(Code::UnknownKind, node.mark, &path, message, expected, Some(hint));
}

/// Whether a document of an unknown kind was most likely meant to be an Integration: its rows are to be kept.
pub(crate) fn may_be_integration(root: &Node) -> bool {
    root.text_at("kind").is_some_and(|k| nearest(k, ["Integration"]).is_some())
}

/// The spec of a document, its pointer, and the id that the envelope gives it.
pub(crate) struct Opened<'a> {
    pub(crate) root: &'a Node,
    pub(crate) spec: &'a Node,
    pub(crate) pointer: &'static str,
    /// `metadata.name`.
    pub(crate) name: Option<&'a Node>,
    /// The envelope's `metadata`.
    pub(crate) metadata: Option<&'a Node>,
}

/// Opens the envelope and notes what is wrong with it.
pub(crate) fn open_envelope<'a>(root: &'a Node, kind: &str, sink: &mut Sink<'_>) -> Option<Opened<'a>> {
    const KEYS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
    let path = Path::ROOT;
    for entry in root.entries().iter().filter(|e| !KEYS.contains(&e.key.as_str())) {
        super::structure::unknown_field(&entry.key, entry.key_mark, KEYS.into_iter(), &path, kind, sink);
    }
    if root.get("apiVersion").is_none() {
        missing("apiVersion", head(root), &path, kind, sink);
    }
    let metadata = root.get("metadata");
    if let Some(metadata) = metadata.filter(|m| !m.is_map()) {
        wrong(metadata, "metadata", &path.key("metadata"), sink);
    }
    let name = metadata.and_then(|m| m.get("name"));
    if let Some(name) = name.filter(|n| n.text().is_none()) {
        let metadata = path.key("metadata");
        wrong(name, "metadata.name", &metadata.key("name"), sink);
    }
    let name = name.filter(|n| n.text().is_some());
    let Some(spec) = root.get("spec") else {
        missing("spec", head(root), &path, kind, sink);
        return None;
    };
    if !spec.is_map() {
        wrong(spec, "spec", &path.key("spec"), sink);
        return None;
    }
    Some(Opened { root, spec, pointer: "/spec", name, metadata })
}

fn wrong(node: &Node, name: &str, path: &Path<'_>, sink: &mut Sink<'_>) {
    let expected = if name == "metadata.name" { "expected text" } else { "expected a map" };
    sink.push(Code::WrongType, node.mark, path, format!("{name} is {}", node.kind()), expected, None);
}
