//! Puts everything a schema reaches into the schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use super::super::canonical::checksum;
use super::super::report::{Path, Sink, shortened};
use super::super::tree::Node;
use super::files::{NoFile, relative, resolve_path};
use super::reference::{Doc, Root, Target};
use super::walk::Walk;
use super::{Bundled, Choice, SchemaFile, Schemas};
use crate::problem::Code;

/// How many schemas may be nothing but a `$ref` to the next.
const MAX_CHAIN: usize = 16;

/// What one schema is made of.
pub(super) struct Job<'n> {
    /// The schema as the manifest has it.
    pub(super) inline: &'n Node,
    /// What stands at the root of the result.
    pub(super) root: Doc,
    /// The names of the others in `$defs`, and the ones not yet written.
    names: BTreeMap<Doc, String>,
    waiting: Vec<Doc>,
    taken: BTreeSet<String>,
    pub(super) choices: Vec<Choice>,
    pub(super) whole: bool,
}

/// A schema in the manifest.
pub(super) fn inline(
    schemas: &mut Schemas<'_>,
    node: &Node,
    path: &Path<'_>,
    sink: &mut Sink<'_>,
) -> Bundled {
    run(schemas, node, Doc::Inline, path, sink)
}

/// A schema that a path names.
pub(super) fn by_path(
    schemas: &mut Schemas<'_>,
    node: &Node,
    path: &Path<'_>,
    sink: &mut Sink<'_>,
) -> Option<Bundled> {
    let text = node.text()?;
    let from = schemas.files.map_or("", |f| f.path).to_owned();
    let found = if text.contains("://") {
        Err(NoFile {
            code: Code::RemoteRef,
            message: format!("`{}` is not in the snapshot", shortened(text)),
            expected: "a file of the snapshot",
            hint: Some("copy the schema into the repository and name its path".into()),
            named: None,
        })
    } else {
        resolve_path(&from, text).and_then(|path| schemas.file(&path).map(|_| path))
    };
    match found {
        Ok(file) => Some(run(schemas, node, Doc::File(file), path, sink)),
        Err(NoFile { code, message, expected, hint, named: _ }) => {
            sink.push(code, node.mark, path, message, expected, hint);
            None
        }
    }
}

fn run(schemas: &mut Schemas<'_>, node: &Node, start: Doc, path: &Path<'_>, sink: &mut Sink<'_>) -> Bundled {
    let root = chase(schemas, node, start);
    let mut job = Job {
        inline: node,
        root: root.clone(),
        names: BTreeMap::new(),
        waiting: Vec::new(),
        taken: BTreeSet::new(),
        choices: Vec::new(),
        whole: true,
    };
    if let Some(at) = schemas.root(&root, node) {
        job.taken.extend(at.node().entries_at("$defs").iter().map(|e| e.key.clone()));
    }
    let mut schema = write(schemas, &mut job, &root, path, sink);
    let mut defs = Map::new();
    while let Some(doc) = job.waiting.pop() {
        let written = write(schemas, &mut job, &doc, path, sink);
        if let Some(name) = job.names.get(&doc) {
            defs.insert(name.clone(), written);
        }
    }
    if let (Json::Object(map), false) = (&mut schema, defs.is_empty()) {
        match map.entry("$defs").or_insert_with(|| Json::Object(Map::new())) {
            Json::Object(there) => there.extend(defs),
            _ => job.whole = false,
        }
    }
    Bundled { schema, choices: job.choices, whole: job.whole }
}

/// Goes through schemas that are nothing but a `$ref` to a whole document.
fn chase(schemas: &mut Schemas<'_>, inline: &Node, start: Doc) -> Doc {
    let mut doc = start;
    for _ in 0..MAX_CHAIN {
        let only = match schemas.root(&doc, inline).as_ref().map(Root::node) {
            Some(node) => match node.entries() {
                [entry] if entry.key == "$ref" => entry.node.text().map(str::to_owned),
                _ => None,
            },
            None => None,
        };
        match only.and_then(|reference| schemas.follow(&reference, &doc, inline).ok()) {
            Some(Target { doc: next, fragment }) if fragment.is_empty() && next != doc => doc = next,
            _ => return doc,
        }
    }
    doc
}

/// One document as it stands in the result.
fn write(
    schemas: &mut Schemas<'_>,
    job: &mut Job<'_>,
    doc: &Doc,
    path: &Path<'_>,
    sink: &mut Sink<'_>,
) -> Json {
    let inline = job.inline;
    match doc {
        Doc::Inline => Walk::new(schemas, job, doc, None).root(inline, path, sink),
        Doc::Own(name) => {
            let Some(node) = schemas.own.get(name.as_str()).copied() else { return Json::Bool(true) };
            let pointer = format!("{}/schemas/{}", schemas.base, name.replace('~', "~0").replace('/', "~1"));
            Walk::new(schemas, job, doc, None).root(node, &Path::at(&pointer), sink)
        }
        Doc::File(file) => {
            let Ok(file) = schemas.file(file) else { return Json::Bool(true) };
            let file: std::rc::Rc<SchemaFile> = file;
            Walk::new(schemas, job, doc, Some(file.clone())).root(&file.root, &Path::ROOT, sink)
        }
    }
}

impl Job<'_> {
    /// The `$ref` to a target from anywhere in the result.
    pub(super) fn reference(&mut self, target: &Target, manifest: &str) -> String {
        let anchor = !target.fragment.is_empty() && !target.fragment.starts_with('/');
        if target.doc == self.root || anchor {
            if target.doc != self.root {
                self.name(&target.doc, manifest);
            }
            return format!("#{}", encoded(&target.fragment));
        }
        let name = self.name(&target.doc, manifest);
        format!("#/$defs/{}{}", encoded(&name), encoded(&target.fragment))
    }

    fn name(&mut self, doc: &Doc, manifest: &str) -> String {
        if let Some(name) = self.names.get(doc) {
            return name.clone();
        }
        let plain = match doc {
            Doc::Inline => "schema".to_owned(),
            Doc::Own(name) => name.clone(),
            Doc::File(path) => relative(manifest, path),
        };
        let mut name: String = plain
            .chars()
            .map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_') { c } else { '.' })
            .collect();
        if self.taken.contains(&name) {
            let _ = write!(name, ".{}", &checksum(&plain)[3..11]);
        }
        self.taken.insert(name.clone());
        self.names.insert(doc.clone(), name.clone());
        self.waiting.push(doc.clone());
        name
    }
}

/// A fragment as a `$ref` writes it.
fn encoded(fragment: &str) -> String {
    let mut out = String::with_capacity(fragment.len());
    for c in fragment.chars() {
        if c.is_alphanumeric()
            || matches!(
                c,
                '/' | '-'
                    | '.'
                    | '_'
                    | '~'
                    | '$'
                    | '!'
                    | '&'
                    | '\''
                    | '('
                    | ')'
                    | '*'
                    | '+'
                    | ','
                    | ';'
                    | '='
                    | ':'
                    | '@'
            )
        {
            out.push(c);
        } else {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}
