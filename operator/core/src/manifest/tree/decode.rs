//! From bytes to text.

use super::{Fault, Mark};
use crate::problem::Code;

/// The text of a file, without a byte order mark.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    let encoding = |mark, message: &str, hint: Option<&str>| Fault {
        code: Code::Encoding,
        mark,
        document: 0,
        message: message.into(),
        expected: "UTF-8 text".into(),
        hint: hint.map(Into::into),
    };
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        return Err(encoding(Mark::TOP, "the file is UTF-16", Some("save it as UTF-8")));
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        encoding(mark_behind(before), "the file is not UTF-8", None)
    })?;
    match text.find('\0') {
        Some(at) => Err(encoding(mark_behind(&text[..at]), "the file holds the character U+0000", None)),
        None => Ok(text),
    }
}

/// The character that follows `before`.
fn mark_behind(before: &str) -> Mark {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let byte = to_u32(before.len());
    Mark {
        line: to_u32(before.matches('\n').count() + 1),
        column: to_u32(line.chars().count() + 1),
        length: 1,
        start: byte,
        end: byte + 1,
        block: false,
    }
}

/// A size as marks count it.
pub(super) fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
