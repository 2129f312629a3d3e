//! Builds the tree from the events of the YAML parser.

use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Span, StrInput};

use super::decode::{decode, to_u32};
use super::{
    Document, Entry, Fault, MAX_ALIASED_BYTES, MAX_ALIASED_NODES, MAX_BYTES, MAX_DEPTH, MAX_DOCUMENTS,
    MAX_NODES, Mark, Node, Parsed, Value, scalar,
};
use crate::problem::Code;

/// Reads a file of any bytes. Returns what could be read and what is wrong; never more than the bounds of this module hold.
///
/// The text that the marks count in is [`text_of`] the bytes: without a byte order mark.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let failed = |fault: Fault| Parsed { documents: Vec::new(), faults: vec![fault], broken: Some(0) };
    if bytes.len() > MAX_BYTES {
        return failed(Fault {
            code: Code::TooLarge,
            mark: Mark::TOP,
            document: 0,
            message: format!("the file has {} bytes", bytes.len()),
            expected: "at most 5 MiB".into(),
            hint: None,
        });
    }
    match decode(bytes) {
        Ok(text) => Builder::new(text).run(),
        Err(fault) => failed(fault),
    }
}

/// The most faults that are noted of a document: a hostile one could bring one with every value.
const MAX_FAULTS: usize = 100;

/// What one anchor stands for, and what a copy of it costs.
struct Anchored {
    node: Node,
    cost: Cost,
}

#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// A list or map that is being read.
struct Open {
    node: Node,
    anchor: usize,
    key: Option<(Key, Mark)>,
    seen: HashSet<String>,
    merges: Vec<Node>,
    cost: Cost,
}

enum Key {
    Name(String),
    Merge,
}

struct Builder<'a> {
    text: &'a str,
    stack: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    aliased: Cost,
    document: u32,
    /// Number of faults noted of it.
    noted: usize,
    root: Option<Node>,
    parsed: Parsed,
}

/// Reading ends here; the fault is noted.
struct Ended;

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        Builder {
            text,
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            aliased: Cost::default(),
            document: 0,
            noted: 0,
            root: None,
            parsed: Parsed::default(),
        }
    }

    fn run(mut self) -> Parsed {
        let mut options = Options::default();
        options.emit_unresolved_aliases = true;
        options.set_emit_comments(false);
        let parser: Parser<'a, StrInput<'a>> = Parser::new_from_str_with_options(self.text, options);
        for event in parser {
            let step = match event {
                Ok((event, span)) => self.event(event, span),
                Err(error) => {
                    self.scan_error(&error);
                    Err(Ended)
                }
            };
            if step.is_err() {
                self.parsed.broken = Some(self.document);
                break;
            }
        }
        self.parsed
    }

    fn event(&mut self, event: Event<'a>, span: Span) -> Result<(), Ended> {
        match event {
            Event::DocumentStart(..) => {
                self.stack.clear();
                self.anchors.clear();
                self.root = None;
                self.noted = 0;
                if self.document >= MAX_DOCUMENTS {
                    let message = format!("the file holds more than {MAX_DOCUMENTS} documents");
                    let hint = Some("put them into several files".to_owned());
                    self.fault(Code::TooLarge, self.mark(span), message, "too many", hint);
                    return Err(Ended);
                }
                Ok(())
            }
            Event::DocumentEnd => {
                if let Some(root) = self.root.take() {
                    self.parsed.documents.push(Document { number: self.document, root });
                }
                self.document += 1;
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let mark = Mark { block, ..self.mark(span) };
                let tag = tag.as_deref().and_then(|t| t.core_suffix().map(str::to_owned));
                self.scalar(&text, style, tag.as_deref(), anchor, mark)
            }
            Event::SequenceStart(_, anchor, _) => self.open(Value::List(Vec::new()), anchor, span),
            Event::MappingStart(_, anchor, _) => self.open(Value::Map(Vec::new()), anchor, span),
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(id) => self.alias(id, span),
            Event::UnresolvedAlias(name) => {
                let mark = self.mark(span);
                self.fault(
                    Code::Syntax,
                    mark,
                    format!("no anchor is called `{name}`"),
                    "unknown anchor",
                    None,
                );
                self.add(Node { value: Value::Null, mark }, 0, Cost { nodes: 1, bytes: 0, depth: 1 })
            }
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<&str>,
        anchor: usize,
        mark: Mark,
    ) -> Result<(), Ended> {
        if text.contains('\0') {
            let message = "the text holds the character U+0000".to_owned();
            self.fault(Code::Encoding, mark, message, "no table can hold it", None);
        }
        let is_key = self.awaits_key();
        if is_key && style == ScalarStyle::Plain && text == "<<" && tag.is_none() {
            return self.key(Key::Merge, mark);
        }
        if is_key {
            if anchor != 0 {
                let node = Node { value: Value::Text(text.to_owned()), mark };
                self.anchors
                    .insert(anchor, Anchored { node, cost: Cost { nodes: 1, bytes: text.len(), depth: 1 } });
            }
            return self.key(Key::Name(text.to_owned()), mark);
        }
        let resolved = match (tag, style) {
            (Some("str"), _) => Ok(None),
            (Some("int" | "float"), _) => scalar::number(text).map(|n| n.map(Value::Number)),
            (Some("null"), _) => Ok(Some(Value::Null)),
            (Some("bool"), _) | (None, ScalarStyle::Plain) => scalar::resolve(text),
            _ => Ok(None),
        };
        let value = resolved.unwrap_or_else(|scalar::NotFinite| {
            let message = format!("`{text}` is not a finite number");
            let hint = Some(format!("if it is text, write `\"{text}\"`"));
            self.fault(Code::Encoding, mark, message, "JSON cannot hold it", hint);
            Some(Value::Null)
        });
        let value = value.unwrap_or_else(|| Value::Text(text.to_owned()));
        self.add(Node { value, mark }, anchor, Cost { nodes: 1, bytes: text.len(), depth: 1 })
    }

    fn open(&mut self, value: Value, anchor: usize, span: Span) -> Result<(), Ended> {
        let mark = self.mark(span);
        if self.awaits_key() {
            self.fault(Code::Syntax, mark, "a key is a list or a map".into(), "a key is text", None);
            return Err(Ended);
        }
        if self.stack.len() >= MAX_DEPTH {
            self.too_deep(mark);
            return Err(Ended);
        }
        let cost = Cost { nodes: 1, bytes: 0, depth: 1 };
        let node = Node { value, mark };
        self.stack.push(Open { node, anchor, key: None, seen: HashSet::new(), merges: Vec::new(), cost });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Ended> {
        let Some(mut open) = self.stack.pop() else { return Ok(()) };
        for merge in std::mem::take(&mut open.merges) {
            self.merge(&mut open, merge);
        }
        if let Some(end) = span.end.byte_offset() {
            open.node.mark.end = to_u32(end).max(open.node.mark.start);
        }
        self.add(open.node, open.anchor, open.cost)
    }

    /// Adds the keys that a `<<` brings and the map does not have.
    fn merge(&mut self, open: &mut Open, merge: Node) {
        let Value::Map(entries) = &mut open.node.value else { return };
        let Node { value, mark } = merge;
        let maps = match value {
            Value::List(items) => items,
            value => vec![Node { value, mark }],
        };
        for map in maps {
            let Value::Map(brought) = map.value else {
                let message = format!("`<<` takes a map, not {}", map.kind());
                self.fault(Code::WrongType, mark, message, "a map or a list of maps", None);
                continue;
            };
            for entry in brought {
                if is_new(entries, &mut open.seen, &entry.key) {
                    entries.push(entry);
                }
            }
        }
    }

    fn alias(&mut self, id: usize, span: Span) -> Result<(), Ended> {
        let mark = self.mark(span);
        let Some(anchored) = self.anchors.get(&id) else {
            let message = "an alias stands inside what it names".to_owned();
            self.fault(Code::AliasBomb, mark, message, "it would never end", None);
            return Err(Ended);
        };
        let cost = anchored.cost;
        self.spend(cost, mark)?;
        if self.awaits_key() {
            let Some(Anchored { node: Node { value: Value::Text(text), .. }, .. }) = self.anchors.get(&id)
            else {
                self.fault(Code::Syntax, mark, "a key is no text".into(), "a key is text", None);
                return Err(Ended);
            };
            let key = Key::Name(text.clone());
            return self.key(key, mark);
        }
        let Some(node) = self.anchors.get(&id).map(|a| a.node.clone()) else { return Ok(()) };
        if self.stack.len() + cost.depth > MAX_DEPTH {
            self.too_deep(mark);
            return Err(Ended);
        }
        self.add(node, 0, cost)
    }

    /// Takes what a copy costs from the budget of aliases.
    fn spend(&mut self, cost: Cost, mark: Mark) -> Result<(), Ended> {
        self.aliased.nodes += cost.nodes;
        self.aliased.bytes += cost.bytes;
        if self.aliased.nodes <= MAX_ALIASED_NODES && self.aliased.bytes <= MAX_ALIASED_BYTES {
            return Ok(());
        }
        let message = "aliases expand to more than a document may hold".to_owned();
        self.fault(Code::AliasBomb, mark, message, "expanded from here", None);
        Err(Ended)
    }

    fn awaits_key(&self) -> bool {
        self.stack.last().is_some_and(|o| o.key.is_none() && matches!(o.node.value, Value::Map(_)))
    }

    fn key(&mut self, key: Key, mark: Mark) -> Result<(), Ended> {
        if let Some(open) = self.stack.last_mut() {
            open.key = Some((key, mark));
        }
        Ok(())
    }

    /// Puts a finished value where it belongs.
    fn add(&mut self, node: Node, anchor: usize, cost: Cost) -> Result<(), Ended> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("the file holds more than {MAX_NODES} values");
            self.fault(Code::TooLarge, node.mark, message, "too many", None);
            return Err(Ended);
        }
        if anchor != 0 {
            // The copy kept for aliases costs as much as an alias would.
            self.spend(cost, node.mark)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), cost });
        }
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.cost.nodes += cost.nodes;
        open.cost.bytes += cost.bytes;
        open.cost.depth = open.cost.depth.max(cost.depth + 1);
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match open.key.take() {
                Some((Key::Merge, mark)) => open.merges.push(Node { mark, ..node }),
                Some((Key::Name(key), key_mark)) => {
                    open.cost.bytes += key.len();
                    if is_new(entries, &mut open.seen, &key) {
                        entries.push(Entry { key, key_mark, node });
                    } else if self.noted < MAX_FAULTS {
                        let message = format!("the key `{}` is there twice", shorten(&key));
                        let first = entries.iter().find(|e| e.key == key).map(|e| e.key_mark.line);
                        let hint = first.map(|line| format!("the first is on line {line}"));
                        self.fault(Code::DuplicateKey, key_mark, message, "second of its name", hint);
                    }
                }
                None => {}
            },
            _ => {}
        }
        Ok(())
    }

    fn too_deep(&mut self, mark: Mark) {
        let message = format!("the document is nested deeper than {MAX_DEPTH} levels");
        self.fault(Code::TooDeep, mark, message, "too deep", None);
    }

    fn fault(&mut self, code: Code, mark: Mark, message: String, expected: &str, hint: Option<String>) {
        // The newest takes the place of the last, since it may be the one that ends the reading.
        if self.noted >= MAX_FAULTS {
            self.parsed.faults.pop();
        }
        self.noted = (self.noted + 1).min(MAX_FAULTS);
        let (expected, document) = (expected.into(), self.document);
        self.parsed.faults.push(Fault { code, mark, document, message, expected, hint });
    }

    fn scan_error(&mut self, error: &ScanError) {
        let marker = *error.marker();
        let mark = self.mark(Span::new(marker, marker));
        let (code, expected) = match error.kind() {
            ErrorKind::RecursionLimitExceeded => return self.too_deep(mark),
            ErrorKind::InvalidLowSurrogateHexEscape
            | ErrorKind::InvalidLowSurrogate
            | ErrorKind::MissingLowSurrogate
            | ErrorKind::UnpairedLowSurrogate
            | ErrorKind::InvalidUnicodeEscape => (Code::Encoding, "not a character"),
            _ => (Code::Syntax, "not YAML from here"),
        };
        let hint = match error.kind() {
            ErrorKind::TabInIndentation
            | ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart => Some("indent with spaces".to_owned()),
            ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
                Some("put text that holds `: ` or `${` in quotes".to_owned())
            }
            _ => None,
        };
        let info = error.info();
        let message = info.trim().trim_end_matches('.').to_owned();
        let message = if message.is_empty() { "the file is not YAML".to_owned() } else { message };
        self.fault(code, mark, message, expected, hint);
    }

    fn mark(&self, span: Span) -> Mark {
        let byte = |m: Marker| m.byte_offset().unwrap_or_default().min(self.text.len());
        let (start, end) = (byte(span.start), byte(span.end));
        let length = if span.end.line() == span.start.line() {
            span.end.col().saturating_sub(span.start.col())
        } else {
            let covered = self.text.get(start..end).unwrap_or_default();
            covered.lines().next().unwrap_or_default().trim_end().chars().count()
        };
        Mark {
            line: to_u32(span.start.line()),
            column: to_u32(span.start.col() + 1),
            length: to_u32(length.max(1)),
            start: to_u32(start),
            end: to_u32(end.max(start)),
            block: false,
        }
    }
}

/// Whether a map does not have the key yet. Small maps are searched; of large ones the keys are kept.
fn is_new(entries: &[Entry], seen: &mut HashSet<String>, key: &str) -> bool {
    const SMALL: usize = 16;
    if entries.len() < SMALL {
        return entries.iter().all(|e| e.key != key);
    }
    if seen.is_empty() {
        seen.extend(entries.iter().map(|e| e.key.clone()));
    }
    seen.insert(key.to_owned())
}

fn shorten(key: &str) -> String {
    if key.chars().count() > 60 { key.chars().take(60).chain(['…']).collect() } else { key.to_owned() }
}
