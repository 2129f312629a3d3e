//! CEL's tokens, with their spans. The rules are those of `CEL.g4`.

use super::template::quoted_end;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name; reserved words and the literals `true`, `false`, `null` included.
    Name,
    /// A number that was checked.
    Number,
    /// An integer without sign or suffix whose value only fits below zero: 2^63.
    LeastInteger,
    /// A string literal.
    Text,
    /// A bytes literal.
    Bytes,
    /// An operator or a bracket.
    Sign(&'static str),
    /// Behind the last.
    End,
}

/// One token: `start..end` are bytes of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

/// Why the source is not CEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub start: usize,
    pub end: usize,
    /// Completes "the expression does not parse: …".
    pub what: String,
    /// Stands under the carets.
    pub label: &'static str,
    pub hint: Option<&'static str>,
}

impl Fault {
    pub(super) fn new(start: usize, end: usize, what: impl Into<String>, label: &'static str) -> Self {
        Self { start, end, what: what.into(), label, hint: None }
    }

    pub(super) fn with_hint(mut self, hint: Option<&'static str>) -> Self {
        self.hint = hint;
        self
    }
}

const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":",
    "+", "*", "/", "%",
];

/// Reads tokens one after the other.
pub(super) struct Tokens<'a> {
    source: &'a str,
    at: usize,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, at: 0 }
    }

    /// The next token; after the last, [`Kind::End`] for ever.
    pub(super) fn next(&mut self) -> Result<Token, Fault> {
        self.skip_blank();
        let bytes = self.source.as_bytes();
        let start = self.at;
        let Some(&first) = bytes.get(start) else {
            return Ok(Token { kind: Kind::End, start, end: start });
        };
        let (kind, end) = match first {
            b'0'..=b'9' => self.number(start)?,
            b'.' if bytes.get(start + 1).is_some_and(u8::is_ascii_digit) => self.number(start)?,
            b'\'' | b'"' => self.quoted(start, start)?,
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let end = start + run(&bytes[start..], |byte| byte.is_ascii_alphanumeric() || byte == b'_');
                let prefix =
                    matches!(&bytes[start..end], [b'r' | b'R' | b'b' | b'B'] | [b'b' | b'B', b'r' | b'R']);
                match bytes.get(end) {
                    Some(b'\'' | b'"') if prefix => self.quoted(start, end)?,
                    _ => (Kind::Name, end),
                }
            }
            _ => self.sign(start)?,
        };
        self.at = end;
        Ok(Token { kind, start, end })
    }

    fn skip_blank(&mut self) {
        let bytes = self.source.as_bytes();
        loop {
            self.at += run(&bytes[self.at..], |byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0c));
            if !bytes[self.at..].starts_with(b"//") {
                return;
            }
            self.at += run(&bytes[self.at..], |byte| byte != b'\n');
        }
    }

    fn sign(&self, start: usize) -> Result<(Kind, usize), Fault> {
        let rest = &self.source[start..];
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            return Ok((Kind::Sign(sign), start + sign.len()));
        }
        let found = rest.chars().next().unwrap_or_default();
        let hint = match found {
            '=' => Some("to compare, write `==`"),
            '&' => Some("write `&&`"),
            '|' => Some("write `||`; CEL has no filters, functions are called: `f(x)`"),
            '`' => Some("write the key in brackets: `x['a-key']`"),
            '$' => Some("inside `${ }` names stand without a dollar"),
            '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => Some("strings stand in straight quotes"),
            _ => None,
        };
        let shown = found.escape_debug();
        Err(Fault::new(
            start,
            start + found.len_utf8(),
            format!("`{shown}` means nothing in CEL"),
            "unexpected character",
        )
        .with_hint(hint))
    }

    fn number(&self, start: usize) -> Result<(Kind, usize), Fault> {
        let bytes = self.source.as_bytes();
        let digits = |at: usize| run(&bytes[at.min(bytes.len())..], |byte| byte.is_ascii_digit());
        let suffixed = |end: usize| matches!(bytes.get(end), Some(b'u' | b'U'));
        let bad = |end: usize| Fault::new(start, end, "the number is out of range", "out of range");
        if bytes[start..].starts_with(b"0x") {
            let end = start + 2 + run(&bytes[start + 2..], |byte| byte.is_ascii_hexdigit());
            if end > start + 2 {
                let digits = &self.source[start + 2..end];
                return if suffixed(end) {
                    u64::from_str_radix(digits, 16).map_err(|_| bad(end + 1))?;
                    Ok((Kind::Number, end + 1))
                } else {
                    whole(u64::from_str_radix(digits, 16).ok())
                        .map(|kind| (kind, end))
                        .ok_or_else(|| bad(end))
                };
            }
        }
        let mut end = start + digits(start);
        let whole_end = end;
        if bytes.get(end) == Some(&b'.') && digits(end + 1) > 0 {
            end += 1 + digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let signed = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + signed);
            if exponent > 0 {
                end += 1 + signed + exponent;
            }
        }
        let text = &self.source[start..end];
        if end > whole_end {
            return match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok((Kind::Number, end)),
                _ => Err(bad(end)),
            };
        }
        if suffixed(end) {
            return text.parse::<u64>().map(|_| (Kind::Number, end + 1)).map_err(|_| bad(end + 1));
        }
        whole(text.parse().ok()).map(|kind| (kind, end)).ok_or_else(|| bad(end))
    }

    /// A string or bytes literal whose prefix begins at `start` and whose quote is at `quote`.
    fn quoted(&self, start: usize, quote: usize) -> Result<(Kind, usize), Fault> {
        let bytes = self.source.as_bytes();
        let raw = self.source[start..quote].ends_with(['r', 'R']);
        let binary = self.source[start..quote].starts_with(['b', 'B']);
        let end = quoted_end(bytes, quote, raw).min(bytes.len());
        let body = body(&self.source[quote..end])
            .ok_or_else(|| Fault::new(start, end, "the string is not closed", "no closing quote"))?;
        if !raw && !valid_escapes(body, binary) {
            let fault =
                Fault::new(start, end, "the string has an escape that CEL does not know", "bad escape");
            return Err(fault.with_hint(Some("a backslash is written `\\\\`, or the string as r'…'")));
        }
        Ok((if binary { Kind::Bytes } else { Kind::Text }, end))
    }
}

/// What a string literal says, if that can be read off without undoing escapes.
pub(super) fn plain_text(literal: &str) -> Option<&str> {
    let quoted = literal.trim_start_matches(['r', 'R']);
    let body = body(quoted)?;
    (quoted.len() < literal.len() || !body.contains('\\')).then_some(body)
}

/// A literal without its quotes, if it has both.
fn body(quoted: &str) -> Option<&str> {
    for quote in ["'''", "\"\"\"", "'", "\""] {
        if let Some(rest) = quoted.strip_prefix(quote) {
            return rest.strip_suffix(quote);
        }
    }
    None
}

fn whole(value: Option<u64>) -> Option<Kind> {
    match value? {
        value if value < 1 << 63 => Some(Kind::Number),
        value if value == 1 << 63 => Some(Kind::LeastInteger),
        _ => None,
    }
}

fn run(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|byte| !wanted(*byte)).unwrap_or(bytes.len())
}

fn valid_escapes(body: &str, binary: bool) -> bool {
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        rest = &rest[at + 1..];
        let Some(kind) = rest.chars().next() else { return false };
        let width = match kind {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' | '\'' | '"' | '`' | '?' => 0,
            'x' | 'X' => 2,
            'u' if !binary => 4,
            'U' if !binary => 8,
            '0'..='3' => 2,
            _ => return false,
        };
        let Some(digits) = rest.get(1..1 + width) else { return false };
        let radix = if kind.is_ascii_digit() { 8 } else { 16 };
        if !digits.chars().all(|digit| digit.is_digit(radix)) {
            return false;
        }
        if matches!(kind, 'u' | 'U')
            && u32::from_str_radix(digits, 16).ok().and_then(char::from_u32).is_none()
        {
            return false;
        }
        rest = &rest[1 + width..];
    }
    true
}
