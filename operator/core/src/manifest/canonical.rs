//! The canonical form of a document: the bytes that are stored, and the checksum over them.
//!
//! Form v1 is JSON without white space. Keys are sorted by code point; text is escaped as little as JSON allows; whole numbers
//! stand as they are, others in the shortest form that reads back as the same double, laid out as RFC 8785 lays it out, so
//! that `1`, `1.0` and `1e0` are one number. It is written here and by no library, whose next release could change a hash.

use std::fmt::Write as _;

use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

use crate::hash::hex;

/// The canonical text of a JSON value.
#[must_use]
pub fn canonical(value: &Value) -> String {
    let mut out = String::with_capacity(1024);
    write(value, &mut out);
    out
}

/// `v1:<hex of the sha256 of the canonical bytes>`.
#[must_use]
pub fn checksum(bytes: impl AsRef<[u8]>) -> String {
    format!("v1:{}", hex(&Sha256::digest(bytes.as_ref())))
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (i, (key, item)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

fn write_number(number: &Number, out: &mut String) {
    if let Some(n) = number.as_i64() {
        let _ = write!(out, "{n}");
    } else if let Some(n) = number.as_u64() {
        let _ = write!(out, "{n}");
    } else {
        write_float(number.as_f64().unwrap_or_default(), out);
    }
}

/// RFC 8785, section 3.2.2.3: the number format of ECMAScript.
fn write_float(float: f64, out: &mut String) {
    if float == 0.0 {
        out.push('0');
        return;
    }
    let shortest = format!("{float:e}");
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let digits: String = mantissa.chars().filter(|c| *c != '.').collect();
    out.push_str(sign);
    // The point stands behind this many digits.
    let point = exponent + 1;
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |n: i32| "0".repeat(usize::try_from(n).unwrap_or_default());
    if count <= point && point <= 21 {
        out.push_str(&digits);
        out.push_str(&zeros(point - count));
    } else if 0 < point && point <= 21 {
        let (whole, fraction) = digits.split_at(usize::try_from(point).unwrap_or_default());
        let _ = write!(out, "{whole}.{fraction}");
    } else if -6 < point && point <= 0 {
        let _ = write!(out, "0.{}{digits}", zeros(-point));
    } else {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        let _ = write!(out, "{first}{point}{rest}e{exponent:+}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_has_one_form() {
        let value = json!({ "b": [1, 1.0, 1.5, -0.0, 1e21, 1e-7, 0.000_001, 123_456_789_012_345_680_000.0, u64::MAX, i64::MIN],
                            "a": { "é": "\u{1}\"\\\n/\u{7f}\u{1F600}", "Z": null, "z": true } });
        assert_eq!(
            canonical(&value),
            r#"{"a":{"Z":null,"z":true,"é":"\u0001\"\\\n/"#.to_owned()
                + "\u{7f}\u{1F600}"
                + r#""},"b":[1,1,1.5,0,1e+21,1e-7,0.000001,123456789012345680000,18446744073709551615,-9223372036854775808]}"#
        );
    }

    #[test]
    fn the_checksum_of_a_form_never_changes() {
        let text =
            canonical(&json!({ "version": "1.0.0", "id": "acme", "name": "Acme", "n": [0.1, 2.0, 3] }));
        assert_eq!(text, r#"{"id":"acme","n":[0.1,2,3],"name":"Acme","version":"1.0.0"}"#);
        assert_eq!(checksum(text), "v1:bc1d2a620ecaa356c07df06629a5325424008560469c5c53a3426980102dba09");
    }

    proptest! {
        #[test]
        fn every_double_reads_back(bits in any::<u64>()) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            let text = canonical(&json!(float));
            let back: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back.as_f64(), Some(float));
            prop_assert_eq!(canonical(&back), text);
        }
    }
}
