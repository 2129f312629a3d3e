//! One Integration: its spec becomes its id, its summary and its canonical form, or the reasons why not.

use serde_json::Value as Json;
use sower_crds::IntegrationSpec;

use super::canonical::canonical;
use super::document::{Form, Opened};
use super::report::{Path, Sink, head};
use super::semantic::{self, Meaning};
use super::structure::{self, missing};
use super::texts::is_id;
use super::tree::{Entry, Mark, Node, Value};
use super::{annotations, shape, summary};
use crate::catalog::{Lines, Reference, Summary};
use crate::problem::Code;
use crate::snapshot::Tree;

/// The files that a manifest may refer to.
pub(crate) struct Files<'a> {
    pub(crate) tree: &'a dyn Tree,
    /// The manifest's own path.
    pub(crate) path: &'a str,
    /// The most bytes that may be bundled into it.
    pub(crate) limit: usize,
}

/// What a document came to.
pub(crate) struct Outcome {
    /// Its id, where it can be read.
    pub(crate) id: Option<String>,
    pub(crate) id_mark: Mark,
    pub(crate) id_pointer: String,
    pub(crate) references: Vec<Reference>,
    /// Its canonical form, if it has no error.
    pub(crate) canonical: Option<String>,
    /// Without its checksum.
    pub(crate) summary: Option<Summary>,
}

/// Examines a spec. `files`: where it may refer to; a cluster resource has none.
pub(crate) fn examine(
    opened: &Opened<'_>,
    form: Form<'_>,
    files: Option<&Files<'_>>,
    sink: &mut Sink<'_>,
) -> Outcome {
    let path = Path::at(opened.pointer);
    let adapted = adapt(opened.spec, form, &path, sink);
    let spec = adapted.as_ref().unwrap_or(opened.spec);
    let (id, id_mark, id_pointer) = identity(opened, spec, &path, sink);
    structure::check(shape::integration(), spec, &path, "the integration", sink);
    let annotations = annotations::read(opened.metadata, sink);

    let limit = files.map_or(super::tree::MAX_BYTES, |f| f.limit);
    let Meaning { schemas, references } = semantic::check(spec, id.as_deref(), &path, files, limit, sink);
    let mut outcome = Outcome { id, id_mark, id_pointer, references, canonical: None, summary: None };
    let Some(id) = outcome.id.as_deref().filter(|_| !sink.has_errors()) else { return outcome };
    let mut value = structure::to_value(shape::integration(), spec);
    for (pointer, schema) in schemas {
        put_schema(&mut value, &pointer, schema);
    }
    match serde_json::from_value::<IntegrationSpec>(value) {
        Ok(mut typed) => {
            typed.id = Some(id.to_owned());
            outcome.canonical = serde_json::to_value(&typed).ok().map(|v| canonical(&v));
            outcome.summary =
                Some(Summary { annotations, ..summary::of(&typed, spec, outcome.id_mark.line) });
        }
        Err(error) => {
            // The shape is made of the same types, so this is a fault of ours; the manifest is refused all the same.
            sink.push(
                Code::WrongType,
                head(spec),
                &path,
                format!("the manifest cannot be read: {error}"),
                "",
                None,
            );
        }
    }
    outcome
}

/// Puts a bundled schema where it belongs; an event's takes the place of its `schemaPath`.
fn put_schema(spec: &mut Json, pointer: &str, schema: Json) {
    let Some((holder, key)) = pointer.rsplit_once('/') else { return };
    if let Some(Json::Object(map)) = spec.pointer_mut(holder) {
        map.remove("schemaPath");
        map.insert(key.replace("~1", "/").replace("~0", "~"), schema);
    }
}

/// The id, and where it stands: `id`, else the name of the resource.
fn identity(
    opened: &Opened<'_>,
    spec: &Node,
    path: &Path<'_>,
    sink: &mut Sink<'_>,
) -> (Option<String>, Mark, String) {
    if let Some(id) = spec.get("id") {
        let text = id.text().filter(|t| is_id(t)).map(str::to_owned);
        return (text, id.mark, path.key("id").pointer());
    }
    let Some(name) = opened.name else {
        missing("id", head(spec), path, "the integration", sink);
        return (None, head(spec), path.pointer());
    };
    let pointer = "/metadata/name";
    let text = name.text().unwrap_or_default();
    if !is_id(text) {
        super::texts::check("id", text, name, &Path::at(pointer), sink);
        return (None, name.mark, pointer.into());
    }
    (Some(text.to_owned()), name.mark, pointer.into())
}

/// The plain forms as the spec they stand for; `None` where the spec stands for itself.
fn adapt(spec: &Node, form: Form<'_>, path: &Path<'_>, sink: &mut Sink<'_>) -> Option<Node> {
    let has_status = spec.get("status").is_some() && spec.entry("lifecycle").is_none();
    let older = matches!(form, Form::Older);
    if !(older || has_status && matches!(form, Form::Plain)) {
        return None;
    }
    let mut adapted = spec.clone();
    let Value::Map(entries) = &mut adapted.value else { return None };
    for entry in entries.iter_mut() {
        match entry.key.as_str() {
            "status" if has_status => entry.key = "lifecycle".into(),
            "type" if older => entry.key = "id".into(),
            _ => {}
        }
    }
    if older && spec.get("version").is_none() {
        entries.retain(|e| e.key != "version");
        let mark = head(spec);
        let message = "the manifest has no version; 0.0.0 is taken";
        sink.push(
            Code::NoVersion,
            mark,
            path,
            message,
            "`version` is missing",
            Some("add `version: 1.0.0`".into()),
        );
        let node = Node { value: Value::Text("0.0.0".into()), mark };
        entries.push(Entry { key: "version".into(), key_mark: mark, node });
    }
    Some(adapted)
}

/// The lines of the fields that select a manifest.
pub(crate) fn lines(spec: &Node, id_line: u32) -> Lines {
    let noted = |field| Some((field, spec.entry(field)?.key_mark.line));
    Lines::of(Lines::FIELDS.into_iter().filter_map(noted).chain([("id", id_line)]))
}
