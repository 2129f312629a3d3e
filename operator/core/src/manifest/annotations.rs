//! What the envelope of an Integration asks of Sower beside its spec: annotations, which are no part of its content.

use std::collections::BTreeMap;

use sower_crds::{PRUNE, RESOLVE};

use super::report::{Path, Sink};
use super::tree::{Entry, Mark, Node, Value};
use crate::catalog::Annotations;
use crate::problem::Code;
use crate::resolution::Resolutions;

/// The annotations of an Integration that mean something here; nobody looks at others.
pub const ANNOTATIONS: [&str; 2] = [PRUNE, RESOLVE];

/// Reads the annotations of `metadata`, and notes what is wrong with those that mean something.
pub(crate) fn read(metadata: Option<&Node>, sink: &mut Sink<'_>) -> Annotations {
    let said = |name: &str| metadata?.get("annotations")?.get(name);
    let prune_disabled = match said(PRUNE).map(|node| (node, node.text())) {
        None | Some((_, Some("enabled"))) => false,
        Some((_, Some("disabled"))) => true,
        Some((node, _)) => {
            let (annotations, message) =
                (Path::at("/metadata/annotations"), format!("{PRUNE} says neither `disabled` nor `enabled`"));
            sink.push(Code::WrongType, node.mark, &annotations.key(PRUNE), message, "`disabled`", None);
            false
        }
    };
    let resolve =
        match said(RESOLVE).map(|node| (node, node.text().unwrap_or_default().parse::<Resolutions>())) {
            None => Resolutions::default(),
            Some((_, Ok(resolve))) => resolve,
            Some((node, Err(why))) => {
                let (annotations, message) = (Path::at("/metadata/annotations"), format!("{RESOLVE}: {why}"));
                let expected = "`version=override`, `dependency=merge`, …";
                sink.push(Code::WrongType, node.mark, &annotations.key(RESOLVE), message, expected, None);
                Resolutions::default()
            }
        };
    Annotations { prune_disabled, resolve }
}

/// The metadata of a resource, as far as [`read`] looks at it.
pub(crate) fn metadata(annotations: &BTreeMap<String, String>) -> Node {
    let node = |value: Value| Node { value, mark: Mark::TOP };
    let entry = |key: &str, node: Node| Entry { key: key.to_owned(), key_mark: Mark::TOP, node };
    let known = annotations.iter().filter(|(name, _)| ANNOTATIONS.contains(&name.as_str()));
    let known = known.map(|(name, value)| entry(name, node(Value::Text(value.clone()))));
    node(Value::Map(vec![entry("annotations", node(Value::Map(known.collect())))]))
}
