//! The files that schemas stand in: paths inside the snapshot, read once each.

use std::rc::Rc;

use super::super::report::shortened;
use super::super::tree::{self, Document, Fault, Node};
use super::Schemas;
use crate::problem::Code;

/// A file that was read as a schema.
pub(crate) struct SchemaFile {
    /// Path from the root of the snapshot.
    pub(crate) path: String,
    /// Its text, in which the marks count.
    pub(crate) text: String,
    /// Its only document.
    pub(crate) root: Node,
}

/// Why there is no such file: the problem at the place that names it.
pub(super) struct NoFile {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) expected: &'static str,
    pub(super) hint: Option<String>,
    /// The name that none of `schemas` has, where one was meant.
    pub(super) named: Option<String>,
}

/// What is named, from the root of the snapshot.
///
/// `from` is the file that names it, `named` a path relative to that file's folder.
pub(super) fn resolve_path(from: &str, named: &str) -> Result<String, NoFile> {
    let escape = |message: String| NoFile {
        code: Code::PathEscape,
        message,
        expected: "a path inside the snapshot",
        hint: Some("write it relative to the file it stands in".into()),
        named: None,
    };
    if named.starts_with('/') || named.contains('\\') || named.contains('\0') {
        return Err(escape(format!("`{}` is no relative path", shortened(named))));
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in named.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(escape(format!("`{}` leaves the snapshot", shortened(named))));
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

/// `path` relative to the folder of `from`.
pub(super) fn relative(from: &str, path: &str) -> String {
    let mut folder: Vec<&str> = from.split('/').collect();
    folder.pop();
    let parts: Vec<&str> = path.split('/').collect();
    let shared = folder.iter().zip(&parts).take_while(|(a, b)| a == b).count();
    let up = folder.len() - shared;
    std::iter::repeat_n("..", up).chain(parts[shared..].iter().copied()).collect::<Vec<_>>().join("/")
}

impl Schemas<'_> {
    /// Reads a file once. The problem of a file that is no document is told at `named`, where it is referred to.
    pub(super) fn file(&mut self, path: &str) -> Result<Rc<SchemaFile>, NoFile> {
        let unresolved = |message: String, hint: Option<String>| NoFile {
            code: Code::UnresolvedRef,
            message,
            expected: "leads nowhere",
            hint,
            named: None,
        };
        let Some(files) = self.files else {
            let hint = Some("put the schema into `schemas` and write `#/schemas/NAME`".to_owned());
            return Err(unresolved(
                format!("a resource of the cluster has no file `{}`", shortened(path)),
                hint,
            ));
        };
        match self.read.get(path) {
            Some(Some(file)) => return Ok(file.clone()),
            Some(None) => {
                return Err(unresolved(format!("`{}` cannot be read as a schema", shortened(path)), None));
            }
            None => {}
        }
        // Where that cannot be told now, the load as a whole ends with it.
        let entry = files.tree.entry(path).ok().flatten();
        self.references.insert(path.to_owned(), entry.as_ref().map(|e| e.blob.clone()).unwrap_or_default());
        let Some(entry) = entry else {
            self.read.insert(path.to_owned(), None);
            return Err(unresolved(format!("there is no file `{}`", shortened(path)), None));
        };
        let room = usize::try_from(entry.size).ok().and_then(|size| self.left.checked_sub(size));
        let Some(room) = room else {
            self.read.insert(path.to_owned(), None);
            return Err(NoFile {
                code: Code::TooLarge,
                message: format!("`{}` makes the manifest larger than it may be", shortened(path)),
                expected: "too large with this",
                hint: None,
                named: None,
            });
        };
        self.left = room;
        let read =
            files.tree.read(path).map_err(|error| error.to_string()).and_then(|bytes| parse(path, &bytes));
        self.read.insert(path.to_owned(), read.as_ref().ok().cloned());
        read.map_err(|why| {
            unresolved(format!("`{}` cannot be read as a schema: {why}", shortened(path)), None)
        })
    }
}

fn parse(path: &str, bytes: &[u8]) -> Result<Rc<SchemaFile>, String> {
    let mut parsed = tree::parse(bytes);
    if let Some(Fault { mark, message, .. }) = parsed.faults.first() {
        return Err(format!("{message} (line {}, column {})", mark.line, mark.column));
    }
    let (Some(Document { root, .. }), true) = (parsed.documents.pop(), parsed.documents.is_empty()) else {
        return Err("it does not hold one document".into());
    };
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).to_owned();
    Ok(Rc::new(SchemaFile { path: path.to_owned(), text, root }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_snapshot() {
        for (from, named, expected) in [
            ("a/b/integration.yaml", "schemas/x.json", Some("a/b/schemas/x.json")),
            ("a/b/integration.yaml", "./x.json", Some("a/b/x.json")),
            ("a/b/integration.yaml", "../../x.json", Some("x.json")),
            ("a/b/integration.yaml", "../../../x.json", None),
            ("integration.yaml", "../x.json", None),
            ("integration.yaml", "a/../../x.json", None),
            ("integration.yaml", "/etc/passwd", None),
            ("integration.yaml", "..\\x.json", None),
        ] {
            assert_eq!(resolve_path(from, named).ok().as_deref(), expected, "{from} {named}");
        }
        assert_eq!(relative("a/b/integration.yaml", "a/b/schemas/x.json"), "schemas/x.json");
        assert_eq!(relative("a/b/integration.yaml", "a/shared/x.json"), "../shared/x.json");
        assert_eq!(relative("integration.yaml", "x.json"), "x.json");
    }
}
