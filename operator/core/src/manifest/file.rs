//! One file: its bytes become documents, each document what was found in it.

use std::sync::Arc;

use super::canonical::checksum;
use super::document::{self, Form, Opened};
use super::integration::{self, Outcome};
use super::load::{Limits, ResourceEntry};
use super::report::{Path, Sink};
use super::tree::{self, Document, Fault, Mark, Node, Parsed};
use crate::catalog::{Found, Place};
use crate::problem::Code;
use crate::snapshot::{FileEntry, ReadError, Tree};

/// Where files are read from, and within which bounds.
pub(crate) struct FileSource<'a> {
    pub(crate) source: &'a str,
    pub(crate) tree: &'a dyn Tree,
    pub(crate) limits: Limits,
}

/// One document found, and where its id stands.
pub(crate) struct Loaded {
    pub(crate) found: Found,
    pub(crate) id: Option<IdPlace>,
}

/// Where an id stands.
pub(crate) struct IdPlace {
    pub(crate) mark: Mark,
    pub(crate) pointer: String,
}

/// What is in a file. `named`: it is a manifest by its name, so that everything wrong with it is a problem.
pub(crate) fn load(from: &FileSource<'_>, entry: &FileEntry, named: bool) -> Vec<Loaded> {
    let refused = |code: Code, message: String, expected: &str| {
        let mut sink = Sink::new(&entry.path, "");
        sink.push(code, Mark::TOP, &Path::ROOT, message, expected, None);
        vec![without_id(from.source, entry, 0, sink)]
    };
    let limit = from.limits.bytes.min(tree::MAX_BYTES);
    if entry.size > limit as u64 {
        let message = format!("the file has {} bytes", entry.size);
        return if named { refused(Code::TooLarge, message, &at_most(limit)) } else { Vec::new() };
    }
    let bytes = match from.tree.read(&entry.path) {
        Ok(bytes) => bytes,
        Err(_) if !named => return Vec::new(),
        Err(ReadError::TooLarge { size, limit }) => {
            let message = format!("the file has {size} bytes");
            return refused(Code::TooLarge, message, &format!("at most {limit} bytes are read"));
        }
        // Of a file that is there, the load as a whole ends with this.
        Err(error @ (ReadError::NotFound | ReadError::Io(_))) => {
            return refused(Code::Syntax, format!("the file cannot be read: {error}"), "unreadable");
        }
    };
    if bytes.len() > limit {
        let message = format!("the file has {} bytes", bytes.len());
        return if named { refused(Code::TooLarge, message, &at_most(limit)) } else { Vec::new() };
    }
    if !named && !document::mentions_group(&bytes) {
        return Vec::new();
    }
    documents(from, entry, &bytes, named)
}

/// A bound in the words of a message.
pub(crate) fn at_most(bytes: usize) -> String {
    if bytes.is_multiple_of(1024 * 1024) {
        format!("at most {} MiB", bytes / (1024 * 1024))
    } else {
        format!("at most {} KiB", bytes / 1024)
    }
}

fn documents(from: &FileSource<'_>, entry: &FileEntry, bytes: &[u8], named: bool) -> Vec<Loaded> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Parsed { documents, faults, broken } = tree::parse(bytes);
    if broken.is_some_and(|number| number >= tree::MAX_DOCUMENTS) {
        return too_many(from, entry, text, named, &documents, &faults);
    }
    let mut all = Vec::new();
    for Document { number, root } in &documents {
        let (first, behind) = (
            faults.partition_point(|f| f.document < *number),
            faults.partition_point(|f| f.document <= *number),
        );
        all.extend(one_document(from, entry, text, (*number, root), named, &faults[first..behind]));
    }
    // A file that broke off is a manifest if its name says so, or what stands before the break.
    if let Some(number) = broken.filter(|_| named || !all.is_empty()) {
        let mut sink = Sink::new(&entry.path, text);
        note(&mut sink, faults.iter().filter(|f| f.document >= number));
        all.push(without_id(from.source, entry, number, sink));
    }
    all
}

/// A file of more documents than it may hold is one that cannot be read: none of them is taken.
fn too_many(
    from: &FileSource<'_>,
    entry: &FileEntry,
    text: &str,
    named: bool,
    documents: &[Document],
    faults: &[Fault],
) -> Vec<Loaded> {
    let ours =
        |d: &Document| !matches!(document::classify(&d.root, named), Form::Foreign | Form::Environment);
    if !named && !documents.iter().any(ours) {
        return Vec::new();
    }
    let mut sink = Sink::new(&entry.path, text);
    note(&mut sink, faults.iter().filter(|f| f.document >= tree::MAX_DOCUMENTS));
    vec![without_id(from.source, entry, 0, sink)]
}

fn note<'f>(sink: &mut Sink<'_>, faults: impl IntoIterator<Item = &'f Fault>) {
    for fault in faults {
        let Fault { code, mark, document: _, message, expected, hint } = fault;
        sink.push(*code, *mark, &Path::ROOT, message.clone(), expected.clone(), hint.clone());
    }
}

fn one_document(
    from: &FileSource<'_>,
    entry: &FileEntry,
    text: &str,
    (number, root): (u32, &Node),
    named: bool,
    faults: &[Fault],
) -> Option<Loaded> {
    let form = document::classify(root, named);
    let mut sink = Sink::new(&entry.path, text);
    note(&mut sink, faults);
    let opened = match form {
        Form::Foreign | Form::Environment => return None,
        Form::NoMap => {
            let message = format!("the manifest is {}", root.kind());
            sink.push(Code::WrongType, root.mark, &Path::ROOT, message, "expected a map", None);
            return Some(without_id(from.source, entry, number, sink));
        }
        Form::Unknown { node, key } => {
            document::unknown_kind(root, node, key, &mut sink);
            let mut loaded = without_id(from.source, entry, number, sink);
            if document::may_be_integration(root) {
                let name = root.get("metadata").and_then(|m| m.text_at("name"));
                let id = root.get("spec").and_then(|s| s.text_at("id")).or(name);
                loaded.found.id = id.filter(|id| super::texts::is_id(id)).map(str::to_owned);
            }
            return Some(loaded);
        }
        Form::Integration => document::open_envelope(root, "the integration", &mut sink),
        Form::Plain | Form::Older => {
            Some(Opened { root, spec: root, pointer: "", name: None, metadata: None })
        }
    };
    let Some(opened) = opened else { return Some(without_id(from.source, entry, number, sink)) };
    let files = integration::Files { tree: from.tree, path: &entry.path, limit: from.limits.bytes };
    let outcome = integration::examine(&opened, form, Some(&files), &mut sink);
    Some(settle(from.source, entry, number, from.limits, outcome, sink))
}

/// Makes what was found of what a document came to.
fn settle(
    source: &str,
    entry: &FileEntry,
    document: u32,
    limits: Limits,
    outcome: Outcome,
    mut sink: Sink<'_>,
) -> Loaded {
    let Outcome { id, id_mark, id_pointer, references, canonical, summary } = outcome;
    if let Some(text) = canonical.as_ref().filter(|t| t.len() > limits.bytes) {
        let message = format!("the manifest has {} bytes with all that is bundled into it", text.len());
        sink.push(Code::TooLarge, Mark::TOP, &Path::ROOT, message, at_most(limits.bytes), None);
    }
    let valid = canonical.filter(|_| !sink.has_errors());
    let summary = valid.as_ref().zip(summary).map(|(text, mut summary)| {
        summary.checksum = checksum(text);
        summary
    });
    let found = Found {
        place: Place { source: source.to_owned(), path: entry.path.clone(), document },
        blob: entry.blob.clone(),
        problems: sink.finish(id.as_deref()),
        id,
        summary,
        references,
        manifest: valid.filter(|_| limits.keep).map(Arc::from),
    };
    Loaded { found, id: Some(IdPlace { mark: id_mark, pointer: id_pointer }) }
}

/// A document of which not even the id is known.
pub(crate) fn without_id(source: &str, entry: &FileEntry, document: u32, sink: Sink<'_>) -> Loaded {
    let found = Found {
        place: Place { source: source.to_owned(), path: entry.path.clone(), document },
        blob: entry.blob.clone(),
        id: None,
        summary: None,
        problems: sink.finish(None),
        references: Vec::new(),
        manifest: None,
    };
    Loaded { found, id: None }
}

/// What is in the spec of a cluster resource.
pub(crate) fn load_resource(source: &str, resource: ResourceEntry<'_>, limits: Limits) -> Found {
    let ResourceEntry { path, blob, name, annotations, spec } = resource;
    let metadata = super::annotations::metadata(annotations);
    let name = Node { value: tree::Value::Text(name.to_owned()), mark: Mark::TOP };
    let spec = Node::from_json(spec, Mark::TOP, tree::MAX_DEPTH);
    let entry = FileEntry { path: path.to_owned(), blob: blob.to_owned(), size: 0 };
    let mut sink = Sink::new(path, "");
    let opened =
        Opened { root: &spec, spec: &spec, pointer: "/spec", name: Some(&name), metadata: Some(&metadata) };
    unfit(&spec, &Path::at(opened.pointer), 2, &mut sink);
    let outcome = integration::examine(&opened, Form::Integration, None, &mut sink);
    settle(source, &entry, 0, limits, outcome, sink).found
}

/// Notes what a file could not have: U+0000, and nesting beyond the bound.
fn unfit(node: &Node, path: &Path<'_>, level: usize, sink: &mut Sink<'_>) {
    let mut nul = |text: &str, path: &Path<'_>| {
        if text.contains('\0') {
            let message = "the text holds the character U+0000";
            sink.push(Code::Encoding, Mark::TOP, path, message, "no table can hold it", None);
        }
    };
    match &node.value {
        tree::Value::Text(text) => nul(text, path),
        tree::Value::List(items) if level <= tree::MAX_DEPTH => {
            for (i, item) in items.iter().enumerate() {
                unfit(item, &path.index(i), level + 1, sink);
            }
        }
        tree::Value::Map(entries) if level <= tree::MAX_DEPTH => {
            for entry in entries {
                nul(&entry.key, path);
            }
            for entry in entries {
                unfit(&entry.node, &path.key(&entry.key), level + 1, sink);
            }
        }
        tree::Value::List(_) | tree::Value::Map(_) => {
            let message = format!("the document is nested deeper than {} levels", tree::MAX_DEPTH);
            sink.push(Code::TooDeep, Mark::TOP, path, message, "too deep", None);
        }
        _ => {}
    }
}
