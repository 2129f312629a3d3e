//! Strings with `${ }` in them: where text ends and an expression begins.

/// One piece of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Text as it stands; a literal `${`, written `$${`, is a part of its own.
    Text(&'a str),
    /// What stands between `${` and its `}`.
    Expression {
        /// The CEL source, spaces included.
        source: &'a str,
        /// Where `source` begins: bytes into the whole string.
        offset: usize,
    },
}

/// Why a string is not a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateFault {
    /// The `${` at this offset has no `}`.
    Unclosed(usize),
    /// The `${` at `offset` holds nothing; `len` covers its braces.
    Empty {
        /// Where the `${` begins.
        offset: usize,
        /// Up to and with the `}`.
        len: usize,
    },
}

/// A string taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template<'a> {
    /// In order; faulty expressions are left out.
    pub parts: Vec<Part<'a>>,
    /// What is wrong with it.
    pub faults: Vec<TemplateFault>,
}

impl<'a> Template<'a> {
    /// The expression, if the string is exactly one: it keeps its type.
    pub fn exact(&self) -> Option<&'a str> {
        match self.parts[..] {
            [Part::Expression { source, .. }] if self.faults.is_empty() => Some(source),
            _ => None,
        }
    }
}

/// Takes `text` apart. Linear in its length, and infallible: faults are listed beside the parts that could be read.
pub fn split(text: &str) -> Template<'_> {
    let mut template = Template::default();
    let bytes = text.as_bytes();
    let mut begun = 0;
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('$')) {
        at += found;
        if bytes[at + 1..].starts_with(b"${") {
            template.push_text(&text[begun..at]);
            template.parts.push(Part::Text("${"));
            at += 3;
            begun = at;
        } else if bytes[at + 1..].starts_with(b"{") {
            template.push_text(&text[begun..at]);
            let open = at + 2;
            let Some(close) = matching_brace(bytes, open) else {
                template.faults.push(TemplateFault::Unclosed(at));
                return template;
            };
            let source = &text[open..close];
            if source.trim().is_empty() {
                template.faults.push(TemplateFault::Empty { offset: at, len: close + 1 - at });
            } else {
                template.parts.push(Part::Expression { source, offset: open });
            }
            at = close + 1;
            begun = at;
        } else {
            at += 1;
        }
    }
    template.push_text(&text[begun..]);
    template
}

impl<'a> Template<'a> {
    fn push_text(&mut self, text: &'a str) {
        if !text.is_empty() {
            self.parts.push(Part::Text(text));
        }
    }
}

/// The `}` that closes the `${` whose content begins at `open`.
fn matching_brace(bytes: &[u8], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = open;
    let mut word = open; // where the run of name characters before `at` begins
    while at < bytes.len() {
        match bytes[at] {
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'{' => depth += 1,
            b'\'' | b'"' => {
                at = quoted_end(bytes, at, is_raw(&bytes[word..at]));
                word = at;
                continue;
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                at += 1;
                continue;
            }
            _ => {}
        }
        at += 1;
        word = at;
    }
    None
}

/// Whether a quote behind this word begins a raw string, in which a backslash is only itself.
fn is_raw(prefix: &[u8]) -> bool {
    matches!(prefix, [b'r' | b'R'] | [b'b' | b'B', b'r' | b'R'])
}

/// The end of the string literal whose quote is at `at`: behind its last quote. A literal of one line ends with its line, as in
/// CEL, so that a stray apostrophe does not swallow the rest of the text.
pub(super) fn quoted_end(bytes: &[u8], at: usize, raw: bool) -> usize {
    let quote = bytes[at];
    let triple = bytes[at..].starts_with(&[quote; 3]);
    let mut next = at + if triple { 3 } else { 1 };
    while next < bytes.len() {
        match bytes[next] {
            b'\\' if !raw => next += 2,
            byte if byte == quote && !triple => return next + 1,
            byte if byte == quote && bytes[next..].starts_with(&[quote; 3]) => return next + 3,
            b'\n' | b'\r' if !triple => return next,
            _ => next += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expressions(text: &str) -> Vec<&str> {
        let template = split(text);
        assert_eq!(template.faults, [], "{text}");
        let mut found = Vec::new();
        for part in template.parts {
            if let Part::Expression { source, offset } = part {
                assert_eq!(&text[offset..offset + source.len()], source);
                found.push(source);
            }
        }
        found
    }

    #[test]
    fn an_expression_ends_at_its_own_brace() {
        let table: &[(&str, &[&str])] = &[
            ("plain", &[]),
            ("", &[]),
            ("$ and $x and {x}", &[]),
            ("${a}", &["a"]),
            ("${a}${b}", &["a", "b"]),
            ("x ${ {'a': {'b': 1}} } y", &[" {'a': {'b': 1}} "]),
            ("${'}'}", &["'}'"]),
            (r#"${"}" + '}'}"#, &[r#""}" + '}'"#]),
            (r"${'\'}'}", &[r"'\'}'"]),
            (r"${r'\' + 'x'}", &[r"r'\' + 'x'"]),
            (r"${br'\' + b'}'}", &[r"br'\' + b'}'"]),
            ("${'''a'}b'''}", &["'''a'}b'''"]),
            ("${\"\"\"a\"}b\"\"\"}", &["\"\"\"a\"}b\"\"\""]),
            ("${''}", &["''"]),
            ("é${'é'}é", &["'é'"]),
            ("$${a} ${b}", &["b"]),
            ("$$${a}", &[]),
        ];
        for (text, expected) in table {
            assert_eq!(expressions(text), *expected, "{text}");
        }
    }

    #[test]
    fn a_doubled_dollar_is_a_literal_brace() {
        assert_eq!(split("a $${b}").parts, [Part::Text("a "), Part::Text("${"), Part::Text("b}")]);
    }

    #[test]
    fn one_expression_keeps_its_type() {
        assert_eq!(split("${a}").exact(), Some("a"));
        assert_eq!(split(" ${a}").exact(), None);
        assert_eq!(split("${a}${b}").exact(), None);
    }

    #[test]
    fn faults_are_listed() {
        assert_eq!(split("ab ${c").faults, [TemplateFault::Unclosed(3)]);
        assert_eq!(split("${'}").faults, [TemplateFault::Unclosed(0)]);
        assert_eq!(split("a${ }b").faults, [TemplateFault::Empty { offset: 1, len: 4 }]);
    }
}
