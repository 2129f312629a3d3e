//! Where problems are gathered, each with its place in the file and its pointer into the document.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::tree::{Mark, Node};
use crate::problem::{Code, Problem, Severity};

/// The most problems kept of one document: a hostile one could have millions.
pub(crate) const MAX_PROBLEMS: usize = 1000;

/// The most warnings among them, so that no number of warnings keeps an error out.
const MAX_WARNINGS: usize = 500;

/// Whether a document has as many problems as are noted of one: there may be more.
#[must_use]
pub fn is_cut(problems: &[Problem]) -> bool {
    let warnings = || problems.iter().filter(|problem| !problem.is_error()).count();
    problems.len() >= MAX_WARNINGS && (problems.len() >= MAX_PROBLEMS || warnings() >= MAX_WARNINGS)
}

/// What the guesses at misspelt names may cost in one document, in characters looked at.
const MAX_GUESSING: usize = 20_000_000;

/// One step from a value to what it holds.
#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Prefix(&'a str),
    Key(&'a str),
    Index(usize),
}

/// The way from the document to a value, kept on the stack and written out only for a problem.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

impl<'a> Path<'a> {
    /// The document itself.
    pub(crate) const ROOT: Path<'static> = Path { parent: None, step: Step::Root };

    /// A value that is known by its pointer.
    pub(crate) fn at(pointer: &'a str) -> Self {
        Path { parent: None, step: Step::Prefix(pointer) }
    }

    /// The value of a key.
    pub(crate) fn key(&'a self, key: &'a str) -> Path<'a> {
        Path { parent: Some(self), step: Step::Key(key) }
    }

    /// The element of a list, from 0.
    pub(crate) fn index(&'a self, index: usize) -> Path<'a> {
        Path { parent: Some(self), step: Step::Index(index) }
    }

    /// As a JSON pointer (RFC 6901).
    pub(crate) fn pointer(&self) -> String {
        let mut out = self.parent.map(Path::pointer).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Prefix(pointer) => out.push_str(pointer),
            Step::Key(key) => {
                out.push('/');
                out.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Step::Index(index) => {
                let _ = write!(out, "/{index}");
            }
        }
        out
    }

    /// The key that leads here, seen through the indexes of lists.
    pub(crate) fn last_key(&self) -> Option<&'a str> {
        match self.step {
            Step::Key(key) => Some(key),
            Step::Index(_) => self.parent.and_then(Path::last_key),
            Step::Root | Step::Prefix(_) => None,
        }
    }
}

/// The problems of one document.
pub(crate) struct Sink<'a> {
    file: &'a str,
    /// The text of the file, in which the marks count.
    text: &'a str,
    problems: Vec<Problem>,
    warnings: usize,
    /// What is left of [`MAX_GUESSING`].
    guessing: usize,
    /// What an alias repeats is one problem.
    seen: HashSet<(Code, u32, u32, String)>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        let (problems, seen) = (Vec::new(), HashSet::new());
        Sink { file, text, problems, warnings: 0, guessing: MAX_GUESSING, seen }
    }

    /// Notes a problem of this file.
    pub(crate) fn push(
        &mut self,
        code: Code,
        mark: Mark,
        path: &Path<'_>,
        message: impl Into<String>,
        expected: impl Into<String>,
        hint: Option<String>,
    ) -> bool {
        if !self.takes(code) {
            return false;
        }
        let file = self.file;
        self.push_in(file, code, mark, path.pointer(), message.into(), expected.into(), hint)
    }

    /// Notes a problem of a part of a text: `length` bytes from byte `offset` of its value.
    #[expect(clippy::too_many_arguments, reason = "a problem has as many parts")]
    pub(crate) fn push_within(
        &mut self,
        code: Code,
        node: &Node,
        (offset, length): (usize, usize),
        path: &Path<'_>,
        message: impl Into<String>,
        expected: impl Into<String>,
        hint: Option<String>,
    ) {
        if !self.takes(code) {
            return;
        }
        let mark = node.locate(self.text, offset, length);
        self.push(code, mark, path, message, expected, hint);
    }

    /// Makes the problem noted last a warning: where the format is lenient in one place only.
    pub(crate) fn soften(&mut self) {
        if self.warnings >= MAX_WARNINGS {
            self.problems.pop();
        } else if let Some(last) = self.problems.last_mut().filter(|last| last.is_error()) {
            last.severity = Severity::Warning;
            self.warnings += 1;
        }
    }

    /// Whether nothing more is noted: what is costly and only finds problems need not be done.
    pub(crate) fn is_full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    /// Whether a problem of this code would still be noted.
    fn takes(&self, code: Code) -> bool {
        !self.is_full() && (code.severity() == Severity::Error || self.warnings < MAX_WARNINGS)
    }

    /// The known name that `name` most likely means; none once the guesses of this document have cost what they may.
    pub(crate) fn nearest<'n>(
        &mut self,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> Option<&'n str> {
        if self.is_full() { None } else { nearest_within(name, known, &mut self.guessing) }
    }

    /// Notes a problem of any file that belongs to the document. False: it was noted before, or there are too many.
    #[expect(clippy::too_many_arguments, reason = "a problem has as many parts")]
    pub(crate) fn push_in(
        &mut self,
        file: &str,
        code: Code,
        mark: Mark,
        pointer: String,
        message: String,
        expected: String,
        hint: Option<String>,
    ) -> bool {
        if !self.takes(code)
            || !self.seen.insert((code, mark.line, mark.column, format!("{file}\n{message}")))
        {
            return false;
        }
        self.warnings += usize::from(code.severity() == Severity::Warning);
        self.problems.push(Problem {
            code,
            severity: code.severity(),
            file: file.to_owned(),
            line: mark.line,
            column: mark.column,
            length: mark.length,
            pointer,
            message,
            expected,
            hint,
            integration: None,
        });
        true
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// What the file has at a mark, on one line.
    pub(crate) fn written(&self, mark: Mark) -> &'a str {
        let covered = self.text.get(mark.start as usize..mark.end as usize).unwrap_or_default();
        covered.lines().next().unwrap_or_default().trim()
    }

    /// Whether any of the problems refuses the document.
    pub(crate) fn has_errors(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }

    /// The problems, sorted, each under the id they belong to.
    pub(crate) fn finish(self, integration: Option<&str>) -> Vec<Problem> {
        let mut problems = self.problems;
        for problem in &mut problems {
            problem.integration = integration.map(str::to_owned);
        }
        crate::problem::sort(&mut problems);
        problems
    }
}

/// Where a map begins to the eye: its first key; of anything else its own mark.
pub(crate) fn head(node: &Node) -> Mark {
    node.entries().first().map_or(node.mark, |e| e.key_mark)
}

/// Names in backticks: "`a`, `b` and `c`".
pub(crate) fn listed<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> String {
    const MOST: usize = 20;
    let mut names = names.into_iter();
    let shown = names.by_ref().take(MOST).map(|n| format!("`{}`", shortened(n.as_ref())));
    let shown: Vec<String> = shown.collect();
    match (shown.as_slice(), names.count()) {
        ([], _) => String::new(),
        ([one], 0) => one.clone(),
        ([init @ .., last], 0) => format!("{} and {last}", init.join(", ")),
        (many, more) => format!("{} and {more} more", many.join(", ")),
    }
}

/// A text as it stands in a message: on one line, at most 80 characters.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST + 1).collect();
    if line.chars().count() > MOST { line.chars().take(MOST - 1).chain(['…']).collect() } else { line }
}

/// The known name that `name` most likely means, of a few.
pub(crate) fn nearest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let mut left = MAX_GUESSING;
    nearest_within(name, known, &mut left)
}

/// The same, as long as it does not cost more than is `left`.
fn nearest_within<'n>(
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
    left: &mut usize,
) -> Option<&'n str> {
    /// What it costs to hold two characters against each other, beside looking at one.
    const PAIR: usize = 4;
    let plain = |c: &char| !matches!(c, '-' | '_');
    let folded: String = name.chars().take(100).filter(plain).collect::<String>().to_lowercase();
    let length = folded.chars().count();
    let mut best: Option<(usize, &str)> = None;
    for known in known {
        *left = left.checked_sub(known.len())?;
        let candidate = known.chars().filter(plain).count();
        let allowed = (known.chars().count().min(length) / 3).max(1);
        if candidate.abs_diff(length) > allowed {
            continue;
        }
        *left = left.checked_sub(PAIR * length * candidate)?;
        let candidate: String = known.chars().filter(plain).collect::<String>().to_lowercase();
        let distance = strsim::damerau_levenshtein(&folded, &candidate);
        if distance <= allowed && best.is_none_or(|(nearest, _)| distance < nearest) {
            best = Some((distance, known));
        }
    }
    best.map(|(_, known)| known)
}
