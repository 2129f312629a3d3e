//! Texts that mean something by themselves: ids, versions, ranges, durations, addresses, patterns.

use super::address;
use super::report::{Path, Sink, shortened};
use super::tree::Node;
use crate::freeze;
use crate::problem::Code;

/// Checks a text by the word its shape gives it. Returns whether the word says all there is to say of the text's length.
pub(crate) fn check(word: &str, text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) -> bool {
    match word {
        "id" => check_id(text, node, path, sink),
        "item" => check_item(text, node, path, sink),
        "version" => check_version(text, node, path, sink),
        "duration" => check_duration(text, node, path, sink),
        "url" => {
            address::check_endpoint(text, node, path, sink);
            return false;
        }
        "link" => {
            address::check_link(text, node, path, sink);
            return false;
        }
        "pattern" => {
            check_pattern(text, node, path, sink);
            return false;
        }
        "glob" => {
            check_glob(text, node, path, sink);
            return false;
        }
        "percent" => check_percent(text, node, path, sink),
        "range" => check_range(text, node, path, sink),
        "commit" => check_commit(text, node, path, sink),
        "column" => check_column(text, node, path, sink),
        "schedule" => check_schedule(text, node, path, sink),
        "time-zone" => check_time_zone(text, node, path, sink),
        _ => return false,
    }
    true
}

/// A DNS label (RFC 1123): what an integration, and a resource, may be called.
pub(crate) fn is_id(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| plain(b) || b == b'-')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().next_back().is_some_and(plain)
}

fn check_id(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if is_id(text) {
        return;
    }
    let hint = slug(text, &['-']).filter(|s| is_id(s)).map(|s| format!("write `{s}`"));
    let expected =
        if text.len() > 63 { "at most 63 characters" } else { "lower-case letters, digits and `-`" };
    sink.push(Code::BadId, node.mark, path, format!("`{}` is not an id", shortened(text)), expected, hint);
}

fn check_item(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let parts = text.split(['.', '-']).all(|p| !p.is_empty() && p.bytes().all(plain));
    if parts && text.len() <= 128 {
        return;
    }
    let hint = slug(text, &['-', '.']).map(|s| format!("write `{s}`"));
    let expected = if text.len() > 128 {
        "at most 128 characters"
    } else {
        "lower-case letters and digits, joined by `.` or `-`"
    };
    sink.push(Code::BadId, node.mark, path, format!("`{}` is not an id", shortened(text)), expected, hint);
}

/// The id a text could be: words joined by `-`, or by the joints it already has.
fn slug(text: &str, joints: &[char]) -> Option<String> {
    let mut out = String::new();
    let mut joint = None;
    for c in text.chars().take(128) {
        if c.is_ascii_alphanumeric() {
            let before = out.chars().next_back().is_some_and(|b| b.is_ascii_lowercase());
            match joint.take() {
                Some(j) if !out.is_empty() => out.push(j),
                None if c.is_ascii_uppercase() && before => out.push('-'),
                _ => {}
            }
            out.push(c.to_ascii_lowercase());
        } else {
            joint = Some(if joints.contains(&c) { c } else { '-' });
        }
    }
    (!out.is_empty()).then_some(out)
}

/// A column, or a JSON pointer into one that holds JSON.
fn check_column(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    let why = match crate::drift::bad_field(text) {
        None if text.len() > 256 => "it is longer than 256 characters".to_owned(),
        None if text.starts_with('/') && text[1..].split('/').any(str::is_empty) => {
            "a part of it is empty".to_owned()
        }
        None => return,
        Some(why) => why,
    };
    let message = format!("`{}` cannot be ignored: {why}", shortened(text));
    sink.push(Code::WrongType, node.mark, path, message, "a column or a JSON pointer", None);
}

fn check_version(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if text.len() <= 128 && semver::Version::parse(text).is_ok() {
        return;
    }
    let message = format!("`{}` is not a semantic version", shortened(text));
    let hint = meant_version(text).map(|v| format!("write `{v}`"));
    sink.push(Code::BadVersion, node.mark, path, message, "expected MAJOR.MINOR.PATCH", hint);
}

/// The version a near miss means: `v2.1` is 2.1.0.
fn meant_version(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['v', 'V', '=']).trim_start();
    let (numbers, rest) = text.find(['-', '+']).map_or((text, ""), |at| text.split_at(at));
    let mut parts: Vec<String> = Vec::new();
    for part in numbers.split('.') {
        parts.push(part.parse::<u64>().ok()?.to_string());
    }
    if parts.len() > 3 {
        return None;
    }
    parts.resize(3, "0".into());
    let meant = format!("{}{rest}", parts.join("."));
    semver::Version::parse(&meant).is_ok().then_some(meant)
}

/// An npm range, as dependencies take it.
pub(crate) fn check_range(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if is_range(text) {
        return;
    }
    let message = format!("`{}` is not a version range", shortened(text));
    let hint = Some("write one such as `^1.2.0`, `>=1.0.0 <2.0.0` or `1.x`".to_owned());
    sink.push(Code::BadRange, node.mark, path, message, "expected an npm range", hint);
}

/// Whether a text is an npm range.
pub(crate) fn is_range(text: &str) -> bool {
    text.len() <= 256 && !text.trim().is_empty() && nodejs_semver::Range::parse(text).is_ok()
}

fn check_commit(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if text.len() != 40 || !hex {
        let message = format!("`{}` is no whole commit hash", shortened(text));
        sink.push(Code::WrongType, node.mark, path, message, "40 hex digits in lower case", None);
    }
}

fn check_duration(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if sower_crds::period::parse(text).is_ok() {
        return;
    }
    let message = format!("`{}` is not a duration", shortened(text));
    let hint = meant_duration(text).map(|d| format!("write `{d}`"));
    sink.push(Code::BadDuration, node.mark, path, message, "such as 30s, 5m or 1h", hint);
}

fn meant_duration(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u32 = text[..digits].parse().ok().filter(|n| *n < 10_000)?;
    Some(match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "sec" | "secs" | "second" | "seconds" | "s" => format!("{number}s"),
        "min" | "mins" | "minute" | "minutes" | "m" => format!("{number}m"),
        "hour" | "hours" | "hr" | "hrs" | "h" => format!("{number}h"),
        "d" | "day" | "days" => format!("{}h", number * 24),
        "w" | "week" | "weeks" => format!("{}h", number * 168),
        _ => return None,
    })
}

/// A regular expression of ECMA-262, as JSON Schema has it.
pub(crate) fn check_pattern(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if !jsonschema_regex::is_valid_ecma_regex(text) {
        let message = format!("`{}` is not a regular expression", shortened(text));
        sink.push(Code::BadPattern, node.mark, path, message, "not ECMA-262 syntax", None);
    }
}

fn check_percent(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if sower_crds::PruneLimit::Percent(text.to_owned()).of(1).is_none() {
        let message = format!("`{}` is no percentage", shortened(text));
        let hint = text.parse::<u8>().ok().map(|n| format!("write `{n}%`, or the count {n} without quotes"));
        sink.push(Code::WrongType, node.mark, path, message, "from `0%` to `100%`, or a count", hint);
    }
}

fn check_schedule(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if let Err(why) = freeze::schedule(text) {
        let message = format!("`{}` is no schedule: {why}", shortened(text));
        let expected = "minute, hour, day of the month, month, day of the week: `0 18 * * FRI`";
        sink.push(Code::WrongType, node.mark, path, message, expected, None);
    }
}

fn check_time_zone(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if freeze::time_zone(text).is_none() {
        let message = format!("`{}` is no time zone", shortened(text));
        sink.push(Code::WrongType, node.mark, path, message, "such as `UTC` or `Europe/Berlin`", None);
    }
}

fn check_glob(text: &str, node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    if let Err(error) = globset::Glob::new(text) {
        let message = format!("`{}` is not a pattern of ids: {}", shortened(text), error.kind());
        sink.push(Code::BadPattern, node.mark, path, message, "such as `stripe` or `beta-*`", None);
    }
}
