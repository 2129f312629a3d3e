//! Environments: their documents, held against their format, with the lines that explain names.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sower_crds::{EnvironmentSpec, FREEZE_OVERRIDE};

use super::document::{self, Form, Opened};
use super::report::{Path, Sink, head};
use super::shape;
use super::structure::{self, missing};
use super::tree::{self, Mark, Node, Value};
use crate::problem::{Code, Problem};
use crate::rollout::spec::bad_spec;

/// One valid Environment.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedEnvironment {
    /// `metadata.name`.
    pub name: String,
    /// What it says.
    pub spec: EnvironmentSpec,
    /// Until when its freeze windows do not count: what its annotation `sower.dev/freeze-override` says.
    pub freeze_override: Option<Timestamp>,
    /// Path of its file.
    pub path: String,
    /// Number of the document in its file, from 0.
    pub document: u32,
    /// Line and column, from 1, of every value below `/spec`, by its JSON pointer into the spec: `/allowedIntegrations/0`.
    /// The value of a map's key stands at the key.
    pub lines: BTreeMap<String, (u32, u32)>,
}

/// Reads every Environment of a file. Documents of other kinds are left alone.
#[must_use]
pub fn load_environments(file: &str, bytes: &[u8]) -> (Vec<LoadedEnvironment>, Vec<Problem>) {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parsed = tree::parse(bytes);
    let mut problems = Vec::new();
    let mut loaded = Vec::new();
    let mut sink = Sink::new(file, text);
    for fault in &parsed.faults {
        let (message, expected) = (fault.message.clone(), fault.expected.clone());
        sink.push(fault.code, fault.mark, &Path::ROOT, message, expected, fault.hint.clone());
    }
    let broken: Vec<u32> = parsed.faults.iter().map(|f| f.document).collect();
    problems.append(&mut sink.finish(None));
    for document in &parsed.documents {
        let mut sink = Sink::new(file, text);
        let name = match document::classify(&document.root, false) {
            Form::Environment => {
                let opened = document::open_envelope(&document.root, "the environment", &mut sink);
                opened.and_then(|opened| one(&opened, &mut sink))
            }
            Form::Unknown { node, key } => {
                document::unknown_kind(&document.root, node, key, &mut sink);
                None
            }
            _ => None,
        };
        if let Some((name, spec, freeze_override, lines)) =
            name.filter(|_| !sink.has_errors() && !broken.contains(&document.number))
        {
            let (path, document) = (file.to_owned(), document.number);
            loaded.push(LoadedEnvironment { name, spec, freeze_override, path, document, lines });
        }
        problems.append(&mut sink.finish(None));
    }
    crate::problem::sort(&mut problems);
    (loaded, problems)
}

type Lines = BTreeMap<String, (u32, u32)>;

fn one(
    opened: &Opened<'_>,
    sink: &mut Sink<'_>,
) -> Option<(String, EnvironmentSpec, Option<Timestamp>, Lines)> {
    let path = Path::at(opened.pointer);
    let spec = opened.spec;
    structure::check(shape::environment(), spec, &path, "the environment", sink);
    check_spec(spec, &path, sink);
    let Some(name) = opened.name else {
        missing("metadata.name", head(opened.root), &Path::ROOT, "the environment", sink);
        return None;
    };
    let freeze_override = freeze_override(opened.root, sink);
    super::texts::check("id", name.text().unwrap_or_default(), name, &Path::at("/metadata/name"), sink);
    if sink.has_errors() {
        return None;
    }
    let typed: EnvironmentSpec = match serde_json::from_value(structure::to_value(shape::environment(), spec))
    {
        Ok(typed) => typed,
        Err(error) => {
            let message = format!("the environment cannot be read: {error}");
            sink.push(Code::WrongType, head(spec), &path, message, "", None);
            return None;
        }
    };
    for fault in bad_spec(name.text().unwrap_or_default(), &typed) {
        let inside = fault.pointer.strip_prefix("/spec").unwrap_or_default();
        let (path, mark) = (format!("{}{inside}", path.pointer()), place(spec, inside));
        sink.push(fault.code, mark, &Path::at(&path), fault.why, fault.expected, None);
    }
    if sink.has_errors() {
        return None;
    }
    let mut lines = BTreeMap::new();
    note_lines(spec, &Path::ROOT, &mut lines);
    Some((name.text()?.to_owned(), typed, freeze_override, lines))
}

/// Where the value of a pointer stands; what is left out, where that in which it would be begins.
fn place(spec: &Node, pointer: &str) -> Mark {
    let mut node = spec;
    for part in pointer.split('/').skip(1) {
        let next = match &node.value {
            Value::List(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
            _ => node.get(part),
        };
        let Some(next) = next else { return head(node) };
        node = next;
    }
    head(node)
}

fn freeze_override(root: &Node, sink: &mut Sink<'_>) -> Option<Timestamp> {
    let said = root.get("metadata")?.get("annotations")?.get(FREEZE_OVERRIDE)?;
    let until = said.text().and_then(|text| text.parse().ok());
    if until.is_none() {
        let annotations = Path::at("/metadata/annotations");
        let path = annotations.key(FREEZE_OVERRIDE);
        let message = format!("{FREEZE_OVERRIDE} is no time");
        sink.push(Code::WrongType, said.mark, &path, message, "such as `2026-11-23T06:00:00Z`", None);
    }
    until
}

fn note_lines(node: &Node, path: &Path<'_>, lines: &mut Lines) {
    let mut note = |mark: Mark, path: &Path<'_>| {
        lines.insert(path.pointer(), (mark.line, mark.column));
    };
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let path = path.key(&entry.key);
                note(entry.key_mark, &path);
            }
            for entry in entries {
                note_lines(&entry.node, &path.key(&entry.key), lines);
            }
        }
        Value::List(items) => {
            for (i, item) in items.iter().enumerate() {
                let path = path.index(i);
                note(head(item), &path);
            }
            for (i, item) in items.iter().enumerate() {
                note_lines(item, &path.index(i), lines);
            }
        }
        _ => {}
    }
}

/// The rules between fields. The API server has the same ones.
fn check_spec(spec: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    check_patterns(
        spec,
        "allowedIntegrations",
        "leave it out to allow every integration, or name them",
        path,
        sink,
    );
    for key in ["interval", "retryInterval", "timeout"] {
        check_period(spec, key, path, sink);
    }
    if let Some(retention) = spec.get("retention") {
        let path = path.key("retention");
        check_period(retention, "history", &path, sink);
        if let Some(usage) = retention.get("usage") {
            for key in ["minutes", "hours", "days"] {
                check_period(usage, key, &path.key("usage"), sink);
            }
        }
    }
    if let Some(drift) = spec.get("drift") {
        check_drift_interval(drift, &path.key("drift"), sink);
    }
    let windows = path.key("freezeWindows");
    for (i, window) in spec.list_at("freezeWindows").iter().enumerate() {
        let path = windows.index(i);
        check_period(window, "duration", &path, sink);
        check_patterns(
            window,
            "integrations",
            "leave it out to freeze every integration, or name them",
            &path,
            sink,
        );
    }
    let sources = path.key("sources");
    let mut names: Vec<&str> = Vec::new();
    for (i, source) in spec.list_at("sources").iter().enumerate() {
        let path = sources.index(i);
        if let Some(name) = source.get("name") {
            let text = name.text().unwrap_or_default();
            if names.contains(&text) {
                let message = format!("two sources are called `{text}`");
                sink.push(
                    Code::DuplicateId,
                    name.mark,
                    &path.key("name"),
                    message,
                    "second of its name",
                    None,
                );
            }
            names.push(text);
        }
        check_source(source, &path, sink);
    }
}

/// A list of patterns that is there names something.
fn check_patterns(node: &Node, key: &str, hint: &str, path: &Path<'_>, sink: &mut Sink<'_>) {
    if let Some(empty) = node.get(key).filter(|a| matches!(&a.value, Value::List(l) if l.is_empty())) {
        let (message, hint) = (format!("{key} is empty"), Some(hint.to_owned()));
        sink.push(Code::WrongType, empty.mark, &path.key(key), message, "at least one pattern", hint);
    }
}

fn check_period(node: &Node, key: &str, path: &Path<'_>, sink: &mut Sink<'_>) {
    let Some(period) = node.get(key) else { return };
    if period.text().and_then(|t| sower_crds::period::parse(t).ok()).is_some_and(|d| d.is_zero()) {
        sink.push(
            Code::BadDuration,
            period.mark,
            &path.key(key),
            format!("{key} is zero"),
            "at least 1s",
            None,
        );
    }
}

fn check_drift_interval(drift: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    let Some(period) = drift.get("interval") else { return };
    let read = period.text().and_then(|text| sower_crds::period::parse(text).ok());
    if read.is_some_and(|read| read.as_secs() < sower_crds::drift::SHORTEST) {
        let (path, message) = (path.key("interval"), "interval is too short");
        sink.push(Code::BadDuration, period.mark, &path, message, "at least 10s", None);
    }
}

fn check_source(source: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    const PLACES: [&str; 3] = ["git", "folder", "cluster"];
    check_period(source, "interval", path, sink);
    let given: Vec<&str> = PLACES.into_iter().filter(|k| source.get(k).is_some()).collect();
    if source.is_map() && given.len() != 1 {
        let message = if given.is_empty() {
            "the source names no place".to_owned()
        } else {
            format!("the source names {} places: {}", given.len(), given.join(", "))
        };
        let code = if given.is_empty() { Code::MissingField } else { Code::WrongType };
        sink.push(code, head(source), path, message, "exactly one of `git`, `folder` and `cluster`", None);
    }
    check_folder(source, path, sink);
    if let Some(entry) = source.entry("path").filter(|_| given == ["cluster"]) {
        let message = "a cluster source has no path";
        sink.push(Code::UnknownField, entry.key_mark, &path.key("path"), message, "leave it out", None);
    }
    let Some(git) = source.get("git").filter(|g| g.is_map()) else { return };
    let path = path.key("git");
    check_folder(git, &path, sink);
    if let Some(entry) = git.entry("path").filter(|_| source.get("path").is_some()) {
        let message = "path stands beside git and in it";
        sink.push(Code::DuplicateKey, entry.key_mark, &path.key("path"), message, "leave one out", None);
    }
    check_git_url(git, &path, sink);
    if let Some(reference) = git.get("ref").filter(|r| r.is_map()) {
        let path = path.key("ref");
        if reference.entries().iter().filter(|e| !e.node.is_null()).count() != 1 {
            let expected = "exactly one of `branch`, `tag`, `semver` and `commit`";
            sink.push(
                Code::WrongType,
                head(reference),
                &path,
                "ref does not name one commit",
                expected,
                None,
            );
        }
    }
}

/// A path inside a source is relative and stays there.
fn check_folder(node: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    let Some((folder, text)) = node.get("path").and_then(|p| Some((p, p.text()?))) else { return };
    if text.starts_with('/') || text.split('/').any(|part| part == "..") {
        let message = format!("`{text}` leaves the source");
        sink.push(
            Code::PathEscape,
            folder.mark,
            &path.key("path"),
            message,
            "a relative path without `..`",
            None,
        );
    }
}

fn check_git_url(git: &Node, path: &Path<'_>, sink: &mut Sink<'_>) {
    let Some((url, text)) = git.get("url").and_then(|u| Some((u, u.text()?))) else { return };
    let path = path.key("url");
    let Some((scheme, rest)) = text.split_once("://") else {
        let hint = text.contains(':').then(|| format!("write `ssh://{}`", text.replacen(':', "/", 1)));
        let message = format!("`{text}` is not a URL: it has no scheme");
        sink.push(Code::BadUrl, url.mark, &path, message, "https://, ssh:// or file://", hint);
        return;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        let hint = Some("put it into a Secret and name that in `secretRef`".to_owned());
        // The address itself is not repeated: it holds a password.
        sink.push(
            Code::BadUrl,
            url.mark,
            &path,
            "the address holds a password",
            "an address without one",
            hint,
        );
    } else if scheme == "http" {
        let loopback =
            super::address::Address::parse(&format!("http://{host}")).is_ok_and(|a| a.is_loopback());
        if !loopback {
            let expected = "https, unless the host is loopback";
            sink.push(
                Code::InsecureUrl,
                url.mark,
                &path,
                format!("`{text}` is not encrypted"),
                expected,
                None,
            );
        }
    } else if !matches!(scheme, "https" | "ssh" | "file") || rest.is_empty() {
        let message = format!("`{text}` is no address of a git repository");
        sink.push(Code::BadUrl, url.mark, &path, message, "https://, ssh:// or file://", None);
    }
}
