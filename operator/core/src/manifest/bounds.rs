//! Cuts what is longer than the format allows, so that what reads it afterwards costs no more than a manifest within bounds.

use super::shape::Shape;
use super::structure::takes;
use super::tree::{Node, Value};

/// The same without what stands in a list or map beyond the most that it may hold; `None` where nothing does.
pub(crate) fn cut(shape: &Shape, node: &Node) -> Option<Node> {
    exceeds(shape, node).then(|| {
        let mut node = node.clone();
        shorten(shape, &mut node);
        node
    })
}

fn exceeds(shape: &Shape, node: &Node) -> bool {
    match (shape, &node.value) {
        (Shape::Fields(fields), Value::Map(entries)) => entries
            .iter()
            .any(|e| fields.iter().find(|f| f.name == e.key).is_some_and(|f| exceeds(&f.shape, &e.node))),
        (Shape::Map { value, most }, Value::Map(entries)) => {
            entries.len() > count(*most) || entries.iter().any(|e| exceeds(value, &e.node))
        }
        (Shape::List { item, least: _, most }, Value::List(items)) => {
            items.len() > count(*most) || items.iter().any(|i| exceeds(item, i))
        }
        (Shape::Either(shapes), _) => {
            shapes.iter().find(|s| takes(s, node)).is_some_and(|s| exceeds(s, node))
        }
        _ => false,
    }
}

fn shorten(shape: &Shape, node: &mut Node) {
    if let Shape::Either(shapes) = shape {
        if let Some(shape) = shapes.iter().find(|s| takes(s, node)) {
            shorten(shape, node);
        }
        return;
    }
    match (shape, &mut node.value) {
        (Shape::Fields(fields), Value::Map(entries)) => {
            for entry in entries {
                if let Some(field) = fields.iter().find(|f| f.name == entry.key) {
                    shorten(&field.shape, &mut entry.node);
                }
            }
        }
        (Shape::Map { value, most }, Value::Map(entries)) => {
            entries.truncate(count(*most));
            entries.iter_mut().for_each(|e| shorten(value, &mut e.node));
        }
        (Shape::List { item, least: _, most }, Value::List(items)) => {
            items.truncate(count(*most));
            items.iter_mut().for_each(|i| shorten(item, i));
        }
        _ => {}
    }
}

fn count(most: u64) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}
