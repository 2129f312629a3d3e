//! What the documents of one manifest's schemas hold, so that a `$ref` is followed without a walk through all of it.

use std::collections::{HashMap, HashSet};

use super::super::tree::{Node, Value};

/// The keys of a map fewer than these are searched.
const FEW: usize = 32;

/// The anchors of documents and the keys of large maps, each gathered once.
///
/// They are kept by where a node lies in memory: none moves while the schemas of its manifest are checked.
#[derive(Default)]
pub(super) struct Index {
    anchors: HashMap<*const Node, HashSet<String>>,
    keys: HashMap<*const Node, HashMap<String, usize>>,
}

impl Index {
    /// Whether a fragment names something in a document: nothing, a JSON pointer, or an anchor.
    pub(super) fn holds(&mut self, root: &Node, fragment: &str) -> bool {
        if fragment.is_empty() {
            return true;
        }
        if fragment.starts_with('/') {
            return self.has_pointer(root, fragment);
        }
        let anchors = self.anchors.entry(std::ptr::from_ref(root)).or_insert_with(|| {
            let mut found = HashSet::new();
            gather(root, &mut found);
            found
        });
        anchors.contains(fragment)
    }

    fn has_pointer(&mut self, root: &Node, pointer: &str) -> bool {
        let mut node = root;
        for step in pointer.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            let below = match &node.value {
                Value::Map(_) => self.below(node, &step),
                Value::List(items) => step.parse::<usize>().ok().and_then(|i| items.get(i)),
                _ => None,
            };
            let Some(below) = below else { return false };
            node = below;
        }
        true
    }

    /// The value of a key of a map.
    fn below<'n>(&mut self, map: &'n Node, key: &str) -> Option<&'n Node> {
        let entries = map.entries();
        if entries.len() < FEW {
            return map.entry(key).map(|e| &e.node);
        }
        let keys = self
            .keys
            .entry(std::ptr::from_ref(map))
            .or_insert_with(|| entries.iter().enumerate().map(|(i, e)| (e.key.clone(), i)).collect());
        keys.get(key).and_then(|i| entries.get(*i)).map(|e| &e.node)
    }
}

fn gather(node: &Node, found: &mut HashSet<String>) {
    let own_id = node.text_at("$id").and_then(|id| id.strip_prefix('#'));
    let anchors = ["$anchor", "$dynamicAnchor"].into_iter().filter_map(|k| node.text_at(k));
    found.extend(anchors.chain(own_id).map(str::to_owned));
    node.list().iter().for_each(|n| gather(n, found));
    node.entries().iter().for_each(|e| gather(&e.node, found));
}
