//! JSON Schemas of a manifest: checked, with everything they refer to bundled into them.
//!
//! A bundled schema stands for itself: each file or named schema that it reaches is put once into its `$defs`, and every
//! `$ref` points there. A schema that is nothing but a `$ref` becomes what it refers to. The names in `$defs` are made of paths
//! relative to the manifest, so that moving a folder changes no checksum. `$id` and `$schema` of what is bundled are left out:
//! a `$ref` resolves against the file it stands in, by the rules of this format.

#[cfg(test)]
mod agreement;
mod bundle;
mod files;
mod index;
mod inputs;
mod keyword;
mod reference;
mod walk;
mod weight;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde_json::Value as Json;

use super::report::{Path, Sink};
use super::tree::Node;
use crate::catalog::Reference;

pub(crate) use files::SchemaFile;
pub(crate) use inputs::inputs;

/// Checks and bundles the schemas of one manifest.
pub(crate) struct Schemas<'a> {
    files: Option<&'a super::integration::Files<'a>>,
    /// `schemas` of the manifest, by name.
    own: BTreeMap<&'a str, &'a Node>,
    /// Names of `schemas` that something refers to.
    used: BTreeSet<String>,
    read: BTreeMap<String, Option<Rc<SchemaFile>>>,
    references: BTreeMap<String, String>,
    index: index::Index,
    /// Bytes that may still be read or bundled.
    left: usize,
    /// Pointer of the spec.
    base: String,
}

/// A schema that stands for itself.
pub(crate) struct Bundled {
    /// The schema.
    pub(crate) schema: Json,
    /// The `x-choices` and `x-fields` in it.
    pub(crate) choices: Vec<Choice>,
    /// Whether all of it could be read; else nothing is to be said of what it lacks.
    pub(crate) whole: bool,
}

/// An `x-choices` or `x-fields` on a property.
pub(crate) struct Choice {
    /// Its value.
    pub(crate) node: Node,
    /// Where it stands in its file.
    pub(crate) pointer: String,
    /// `x-choices` or `x-fields`.
    pub(crate) keyword: &'static str,
    /// The file it stands in; `None` is the manifest.
    pub(crate) file: Option<Rc<SchemaFile>>,
}

impl<'a> Schemas<'a> {
    pub(crate) fn new(
        files: Option<&'a super::integration::Files<'a>>,
        spec: &'a Node,
        base: String,
        limit: usize,
    ) -> Self {
        Schemas {
            files,
            own: spec.entries_at("schemas").iter().map(|e| (e.key.as_str(), &e.node)).collect(),
            used: BTreeSet::new(),
            read: BTreeMap::new(),
            references: BTreeMap::new(),
            index: index::Index::default(),
            left: limit,
            base,
        }
    }

    /// Checks a schema that stands in the manifest, and bundles it.
    pub(crate) fn take(&mut self, schema: &Node, path: &Path<'_>, sink: &mut Sink<'_>) -> Bundled {
        bundle::inline(self, schema, path, sink)
    }

    /// Checks the schema that an event's `schemaPath` names, and bundles it.
    pub(crate) fn take_path(&mut self, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) -> Option<Bundled> {
        bundle::by_path(self, node, path, sink)
    }

    /// Whether anything refers to a schema of `schemas`.
    pub(crate) fn is_used(&self, name: &str) -> bool {
        self.used.contains(name)
    }

    /// Every file that was asked for.
    pub(crate) fn into_references(self) -> Vec<Reference> {
        self.references.into_iter().map(|(path, blob)| Reference { path, blob }).collect()
    }
}
