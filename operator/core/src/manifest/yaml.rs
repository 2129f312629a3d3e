//! Values as YAML that people read: short things on one line, long texts as blocks, words without quotes where nothing could
//! take them for something else. What is written here, every reader of YAML 1.1 and 1.2 takes for the same.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

use super::canonical::canonical;

/// A JSON value whose maps keep their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ordered {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Ordered>),
    Map(Vec<(String, Ordered)>),
}

/// The longest map or list that stands on one line.
const LINE: usize = 76;
/// Maps and lists within each other on one line.
const WITHIN: usize = 3;

/// A map or list in block style, each line with this indentation; a scalar or an empty one on a line of its own.
pub(crate) fn block(value: &Ordered, indent: usize) -> String {
    let mut out = String::new();
    match value {
        Ordered::Map(entries) if !entries.is_empty() => map(entries, indent, &mut out, false),
        Ordered::List(items) if !items.is_empty() => list(items, indent, &mut out),
        other => {
            out.push_str(&" ".repeat(indent));
            out.push_str(&flow(other));
            out.push('\n');
        }
    }
    out
}

/// A text as a plain or quoted scalar that may stand inside `{ }`.
pub(crate) fn scalar_in_flow(text: &str) -> String {
    if is_plain(text) && !text.contains([',', '[', ']', '{', '}']) { text.to_owned() } else { quoted(text) }
}

/// `first`: the cursor stands behind the dash of a list already.
fn map(entries: &[(String, Ordered)], indent: usize, out: &mut String, mut first: bool) {
    for (key, value) in entries {
        if !std::mem::take(&mut first) {
            out.push_str(&" ".repeat(indent));
        }
        let name = scalar_in_flow(key);
        // A key of one line is found within 1024 characters.
        if name.chars().count() > 1000 {
            out.push_str("? ");
            out.push_str(&name);
            out.push('\n');
            out.push_str(&" ".repeat(indent));
        } else {
            out.push_str(&name);
        }
        out.push(':');
        below(value, indent, out);
    }
}

fn list(items: &[Ordered], indent: usize, out: &mut String) {
    for item in items {
        out.push_str(&" ".repeat(indent));
        out.push('-');
        match item {
            Ordered::Map(entries) if !entries.is_empty() && line(item, indent).is_none() => {
                out.push(' ');
                map(entries, indent + 2, out, true);
            }
            Ordered::List(inner) if line(item, indent).is_none() => {
                out.push('\n');
                list(inner, indent + 2, out);
            }
            _ => below(item, indent, out),
        }
    }
}

/// What follows a key or a dash.
fn below(value: &Ordered, indent: usize, out: &mut String) {
    if let Some(line) = line(value, indent) {
        out.push(' ');
        out.push_str(&line);
        out.push('\n');
        return;
    }
    match value {
        Ordered::Map(entries) => {
            out.push('\n');
            map(entries, indent + 2, out, false);
        }
        Ordered::List(items) => {
            out.push('\n');
            // Lists of maps stand below their key, as people write them in manifests.
            list(items, indent, out);
        }
        Ordered::Text(text) => literal(text, indent + 2, out),
        Ordered::Null | Ordered::Bool(_) | Ordered::Number(_) => {}
    }
}

/// A value as one line, where it should be one.
fn line(value: &Ordered, indent: usize) -> Option<String> {
    match value {
        Ordered::Text(text) if is_literal(text) => None,
        Ordered::Text(text) if is_plain(text) => Some(text.clone()),
        Ordered::Text(text) => Some(quoted(text)),
        Ordered::Map(entries) if entries.is_empty() => Some("{}".to_owned()),
        Ordered::List(items) if items.is_empty() => Some("[]".to_owned()),
        Ordered::Map(_) | Ordered::List(_) => {
            let short = depth(value) <= WITHIN && weight(value) <= LINE;
            let line = short.then(|| flow(value))?;
            (line.chars().count() + indent <= LINE + 20 && line.len() <= LINE).then_some(line)
        }
        other => Some(flow(other)),
    }
}

fn depth(value: &Ordered) -> usize {
    match value {
        Ordered::Map(entries) => 1 + entries.iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        Ordered::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// At least so many characters; stops counting where it is too many.
fn weight(value: &Ordered) -> usize {
    let mut sum = 0;
    let mut waiting = vec![value];
    while let Some(next) = waiting.pop() {
        match next {
            Ordered::Text(text) => sum += text.len(),
            Ordered::List(items) => {
                sum += items.len();
                waiting.extend(items.iter().take(LINE));
            }
            Ordered::Map(entries) => {
                sum += entries.iter().take(LINE).map(|(key, _)| key.len() + 2).sum::<usize>();
                waiting.extend(entries.iter().take(LINE).map(|(_, value)| value));
            }
            _ => sum += 1,
        }
        if sum > LINE {
            break;
        }
    }
    sum
}

fn flow(value: &Ordered) -> String {
    match value {
        Ordered::Null => "null".to_owned(),
        Ordered::Bool(flag) => flag.to_string(),
        Ordered::Number(number) => canonical(&Value::Number(number.clone())),
        Ordered::Text(text) => scalar_in_flow(text),
        Ordered::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Ordered::Map(entries) if entries.is_empty() => "{}".to_owned(),
        Ordered::Map(entries) => {
            let entry =
                |(key, value): &(String, Ordered)| format!("{}: {}", scalar_in_flow(key), flow(value));
            format!("{{ {} }}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Words that one or the other YAML takes for something else than text.
const WORDS: [&str; 9] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];

/// Whether a text means itself without quotes, outside `{ }`.
fn is_plain(text: &str) -> bool {
    let mut characters = text.chars();
    let Some(first) = characters.next() else { return false };
    // What begins with a digit may be a number, a date or a time; a version, with two points, is none of them.
    let version = || {
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let core = text.split(['-', '+']).next().unwrap_or_default();
        core.split('.').count() == 3 && core.split('.').all(digits)
    };
    let begins = first.is_alphabetic() || first == '/' || first.is_ascii_digit() && version();
    let fits = |c: char| {
        c.is_alphanumeric()
            || matches!(
                c,
                ' ' | '_'
                    | '.'
                    | '/'
                    | '@'
                    | '+'
                    | '-'
                    | '('
                    | ')'
                    | '\''
                    | ','
                    | ';'
                    | '='
                    | '?'
                    | '*'
                    | '%'
                    | '!'
                    | ':'
                    | '$'
                    | '…'
                    | '’'
                    | '·'
            )
    };
    begins
        && text.len() <= 1000
        && text.chars().all(fits)
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a text is best read as a block: several lines, which all mean themselves there.
fn is_literal(text: &str) -> bool {
    let inner = text.strip_suffix('\n').unwrap_or(text);
    inner.contains('\n')
        && !inner.starts_with([' ', '\n', '\t'])
        && !inner.ends_with(['\n', ' ', '\t'])
        && text.chars().all(|c| c == '\n' || is_printable(c))
}

fn literal(text: &str, indent: usize, out: &mut String) {
    out.push_str(if text.ends_with('\n') { " |\n" } else { " |-\n" });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// Characters that stand for themselves in every text of YAML.
fn is_printable(c: char) -> bool {
    !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'))
}

fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_printable(c) => out.push(c),
            c => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    out.push('"');
    out
}

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keep;
        impl<'de> Visitor<'de> for Keep {
            type Value = Ordered;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON value")
            }

            fn visit_unit<E>(self) -> Result<Ordered, E> {
                Ok(Ordered::Null)
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Ordered, E> {
                Ok(Ordered::Bool(flag))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Ordered, E> {
                Ok(Ordered::Number(number.into()))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Ordered, E> {
                Ok(Ordered::Number(number.into()))
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Ordered, E> {
                Number::from_f64(number)
                    .map(Ordered::Number)
                    .ok_or_else(|| E::custom("a number that is none"))
            }

            fn visit_str<E>(self, text: &str) -> Result<Ordered, E> {
                Ok(Ordered::Text(text.to_owned()))
            }

            fn visit_string<E>(self, text: String) -> Result<Ordered, E> {
                Ok(Ordered::Text(text))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Ordered::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Ordered, A::Error> {
                let mut map = Vec::new();
                while let Some(entry) = entries.next_entry()? {
                    map.push(entry);
                }
                Ok(Ordered::Map(map))
            }
        }
        deserializer.deserialize_any(Keep)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_quoted_where_it_could_be_something_else() {
        for plain in
            ["Create a task", "a-b.c", "/tasks", "1.0.0", "1.0.0-rc.1", "https://a.example/b", "tasks, more"]
        {
            assert!(is_plain(plain), "{plain}");
        }
        for other in [
            "",
            "yes",
            "NO",
            "1",
            "1.5",
            "2026-11-01",
            "12:30:45",
            "a: b",
            "a #b",
            "a:",
            "a ",
            "{a}",
            "${a}",
            "- a",
            "~",
            ".inf",
            "1e3",
            "1.2.3.4",
            "a\tb",
        ] {
            assert!(!is_plain(other), "{other}");
        }
        assert_eq!(scalar_in_flow("tasks, more"), "\"tasks, more\"");
        assert_eq!(quoted("a\u{7f}\"\\\u{2028}"), "\"a\\u007f\\\"\\\\\\u2028\"");
    }

    #[test]
    fn several_lines_are_a_block() {
        for text in ["a\nb", "a\nb\n", "a\n\n  b\nc"] {
            assert!(is_literal(text), "{text:?}");
        }
        for text in ["a", "a\n", " a\nb", "a\nb\n\n", "\na\nb", "a\r\nb", "a\nb "] {
            assert!(!is_literal(text), "{text:?}");
        }
    }
}
