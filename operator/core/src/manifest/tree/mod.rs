//! A YAML or JSON file as a tree in which every key and value knows where it stands.
//!
//! YAML is 1.2 with the core schema, and the merge key `<<` of YAML 1.1, which kubectl takes too: its value is a map or a list
//! of maps, keys written beside it win, and of several maps the first wins. Aliases are expanded within a budget. A JSON file is
//! read as the YAML it is, which takes surrogate pairs in escapes as JSON writes them.

mod build;
mod decode;
mod locate;
mod scalar;

use crate::problem::Code;

pub use build::parse;

/// The largest file that is read, in bytes.
pub const MAX_BYTES: usize = 5 * 1024 * 1024;

/// The deepest nesting; the document itself is level 1.
pub const MAX_DEPTH: usize = 64;

/// The most values one file may hold, which bounds the memory a file of [`MAX_BYTES`] can take.
pub const MAX_NODES: usize = 500_000;

/// The most documents one file may hold.
pub const MAX_DOCUMENTS: u32 = 1000;

/// The most values that aliases may add to one file.
pub const MAX_ALIASED_NODES: usize = 50_000;

/// The most bytes of text that aliases may add to one file.
pub const MAX_ALIASED_BYTES: usize = MAX_BYTES;

/// A stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mark {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters it covers on its first line; at least 1.
    pub length: u32,
    /// First byte in the file.
    pub start: u32,
    /// The byte behind the last.
    pub end: u32,
    /// Text in block style, behind a `|` or `>`.
    pub block: bool,
}

impl Mark {
    /// The first character of a file.
    pub const TOP: Mark = Mark { line: 1, column: 1, length: 1, start: 0, end: 0, block: false };
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing: `null`, `~`, or no value at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A finite number.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file; no key twice.
    Map(Vec<Entry>),
}

/// One value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands; of a list or map, where it begins.
    pub mark: Mark,
}

/// One key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_mark: Mark,
    /// The value.
    pub node: Node,
}

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its number in the file, from 0.
    pub number: u32,
    /// Its value.
    pub root: Node,
}

/// What is wrong with a file as such.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What kind.
    pub code: Code,
    /// Where.
    pub mark: Mark,
    /// Number of the document it stands in, from 0.
    pub document: u32,
    /// One sentence without a full stop.
    pub message: String,
    /// The few words under the marks.
    pub expected: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// A file that was read as far as it could be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Parsed {
    /// The whole documents, in order. The one in which a fault ended the reading is not among them.
    pub documents: Vec<Document>,
    /// What is wrong.
    pub faults: Vec<Fault>,
    /// Number of the document in which reading ended early, if it did.
    pub broken: Option<u32>,
}

impl Node {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements; none if it is no list.
    #[must_use]
    pub fn list(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The entries; none if it is no map.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The entry of a key, if it is a map that has it.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|e| e.key == key)
    }

    /// The value of a key, if it is a map that has it; a null is none.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|e| &e.node).filter(|n| !n.is_null())
    }

    /// The text at a key.
    #[must_use]
    pub fn text_at(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::text)
    }

    /// The elements of the list at a key; none if there is none.
    #[must_use]
    pub fn list_at(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::list)
    }

    /// The entries of the map at a key; none if there is none.
    #[must_use]
    pub fn entries_at(&self, key: &str) -> &[Entry] {
        self.get(key).map_or(&[], Node::entries)
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// Whether it is a map.
    #[must_use]
    pub fn is_map(&self) -> bool {
        matches!(self.value, Value::Map(_))
    }

    /// What it is, in the words of a message: `text`, `a number`, `a list`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The same value without positions.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Number(n) => Json::Number(n.clone()),
            Value::Text(t) => Json::String(t.clone()),
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Map(entries) => {
                Json::Object(entries.iter().map(|e| (e.key.clone(), e.node.to_json())).collect())
            }
        }
    }

    /// A value without positions as a tree, for what never was a file: every node stands at `mark`. What lies below `levels`
    /// levels is left out, except for the list or map that holds it.
    #[must_use]
    pub fn from_json(value: &serde_json::Value, mark: Mark, levels: usize) -> Self {
        use serde_json::Value as Json;
        let inner = |value| Node::from_json(value, mark, levels.saturating_sub(1));
        let value = match value {
            Json::Null => Value::Null,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => Value::Number(n.clone()),
            Json::String(t) => Value::Text(t.clone()),
            Json::Array(_) if levels == 0 => Value::List(Vec::new()),
            Json::Object(_) if levels == 0 => Value::Map(Vec::new()),
            Json::Array(items) => Value::List(items.iter().map(inner).collect()),
            Json::Object(map) => Value::Map(
                map.iter().map(|(k, v)| Entry { key: k.clone(), key_mark: mark, node: inner(v) }).collect(),
            ),
        };
        Node { value, mark }
    }

    /// Where byte `offset` of this text's value stands in `source`, and how long `length` bytes of it are there. Exact for text
    /// on one line; for folded text the line is right and the column as near as can be said.
    #[must_use]
    pub fn locate(&self, source: &str, offset: usize, length: usize) -> Mark {
        match &self.value {
            Value::Text(value) => locate::locate(source, self.mark, value, offset, length),
            _ => self.mark,
        }
    }
}

/// The key at `pointer`'s end below `root`, or the value where it is no key of a map.
#[must_use]
pub fn at<'a>(root: &'a Node, pointer: &str) -> Option<&'a Node> {
    let mut node = root;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        node = match &node.value {
            Value::Map(_) => &node.entry(&step)?.node,
            Value::List(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(node)
}

#[cfg(test)]
mod tests;
