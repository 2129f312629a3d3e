//! What a `$ref` leads to.

use super::super::report::shortened;
use super::super::tree::Node;
use super::Schemas;
use super::files::{NoFile, SchemaFile, resolve_path};
use crate::problem::Code;
use std::rc::Rc;

/// A document that a `$ref` can lead to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Doc {
    /// The schema that is being bundled, written in the manifest.
    Inline,
    /// One of the manifest's `schemas`.
    Own(String),
    /// A file, by its path.
    File(String),
}

/// The root of a document.
pub(super) enum Root<'n> {
    Node(&'n Node),
    File(Rc<SchemaFile>),
}

impl Root<'_> {
    pub(super) fn node(&self) -> &Node {
        match self {
            Root::Node(node) => node,
            Root::File(file) => &file.root,
        }
    }
}

/// Where a `$ref` leads: a document, and the fragment in it without `#`.
pub(super) struct Target {
    pub(super) doc: Doc,
    pub(super) fragment: String,
}

impl<'a> Schemas<'a> {
    /// The root of a document that was resolved before.
    pub(super) fn root<'n>(&mut self, doc: &Doc, inline: &'n Node) -> Option<Root<'n>>
    where
        'a: 'n,
    {
        match doc {
            Doc::Inline => Some(Root::Node(inline)),
            Doc::Own(name) => self.own.get(name.as_str()).map(|n| Root::Node(n)),
            Doc::File(path) => self.file(path).ok().map(Root::File),
        }
    }

    /// Follows a `$ref` that stands in `home`.
    pub(super) fn follow(&mut self, reference: &str, home: &Doc, inline: &Node) -> Result<Target, NoFile> {
        if let Some((scheme, _)) = reference.split_once(':').filter(|(s, _)| is_scheme(s)) {
            return Err(remote(reference, scheme));
        }
        if reference.starts_with("//") {
            return Err(remote(reference, "https"));
        }
        let (named, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let fragment = decoded(fragment);
        let doc = if named.is_empty() {
            home.clone()
        } else {
            let from = match (home, self.files) {
                (Doc::File(path), _) => path.clone(),
                (_, Some(files)) => files.path.to_owned(),
                (_, None) => String::new(),
            };
            let path = resolve_path(&from, &decoded(named))?;
            self.file(&path)?;
            Doc::File(path)
        };
        self.settle(doc, fragment, reference, inline)
    }

    /// Finds the fragment in the document, or among the manifest's own schemas.
    fn settle(
        &mut self,
        doc: Doc,
        fragment: String,
        reference: &str,
        inline: &Node,
    ) -> Result<Target, NoFile> {
        let own = fragment.strip_prefix("/schemas/").map(|rest| {
            let (name, rest) = rest.split_once('/').map_or((rest, None), |(name, rest)| (name, Some(rest)));
            (name.replace("~1", "/").replace("~0", "~"), rest.map(|r| format!("/{r}")).unwrap_or_default())
        });
        let here = self.root(&doc, inline).is_some_and(|root| self.index.holds(root.node(), &fragment));
        if here && (own.is_none() || doc != Doc::Inline) {
            return Ok(Target { doc, fragment });
        }
        if let Some((name, rest)) = own {
            if self.own.get(name.as_str()).is_some_and(|n| self.index.holds(n, &rest)) {
                self.used.insert(name.clone());
                return Ok(Target { doc: Doc::Own(name), fragment: rest });
            }
            return Err(NoFile { named: Some(name), ..unresolved(reference) });
        }
        Err(unresolved(reference))
    }
}

fn unresolved(reference: &str) -> NoFile {
    NoFile {
        code: Code::UnresolvedRef,
        message: format!("`{}` leads nowhere", shortened(reference)),
        expected: "no such schema",
        hint: None,
        named: None,
    }
}

fn remote(reference: &str, scheme: &str) -> NoFile {
    if scheme.eq_ignore_ascii_case("file") {
        return NoFile {
            code: Code::PathEscape,
            message: format!("`{}` is no path inside the snapshot", shortened(reference)),
            expected: "a path inside the snapshot",
            hint: Some("write it relative to the file it stands in".into()),
            named: None,
        };
    }
    NoFile {
        code: Code::RemoteRef,
        message: format!("`{}` is not in the snapshot", shortened(reference)),
        expected: "a file of the snapshot, or `#/schemas/NAME`",
        hint: Some("copy the schema into the repository and refer to it by its path".into()),
        named: None,
    }
}

/// RFC 3986, section 3.1; one letter is a drive, not a scheme.
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Percent-decoding; what does not decode to text stays as it stands.
fn decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let hex = behind
            .get(..2)
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
