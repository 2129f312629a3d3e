//! What a bundled schema weighs, so that no manifest takes more memory than it may.

use super::super::tree::{Node, Value};

/// What an entry of a bundled schema weighs at least, in bytes.
pub(super) const ENTRY: usize = 16;

/// What an element of a list in it weighs at least.
pub(super) const ITEM: usize = 4;

/// What is left when all that a list or map holds was taken; `None` where it weighs more.
pub(super) fn without(left: usize, node: &Node) -> Option<usize> {
    let inner = |left: usize, node: &Node| without(left.checked_sub(node.text().map_or(0, str::len))?, node);
    match &node.value {
        Value::List(items) => items.iter().try_fold(left, |left, n| inner(left.checked_sub(ITEM)?, n)),
        Value::Map(entries) => {
            entries.iter().try_fold(left, |left, e| inner(left.checked_sub(ITEM + e.key.len())?, &e.node))
        }
        _ => Some(left),
    }
}
