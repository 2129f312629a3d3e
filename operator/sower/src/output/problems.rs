//! Problems as rustc draws them, as one line each, as annotations of a pull request, and as SARIF.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet, renderer::DecorStyle};
use serde_json::{Value, json};
use sower_core::problem::{Code, Problem};
use sower_core::rule::rule;

/// The longest part of a line that is drawn, in characters, around what is marked.
const DRAWN: usize = 160;

/// The part of a line that is drawn for a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    text: String,
    /// The bytes to mark.
    span: std::ops::Range<usize>,
}

/// One problem, drawn with its line where that can be had. Ends with a blank line.
#[must_use]
pub fn drawn(problem: &Problem, line: Option<&str>, colour: bool) -> String {
    drawn_with(problem, line.map(|line| excerpt(line, problem)).as_ref(), colour)
}

/// The same with the part of its line that was taken for it.
#[must_use]
pub fn drawn_with(problem: &Problem, excerpt: Option<&Excerpt>, colour: bool) -> String {
    let level = if problem.is_error() { Level::ERROR } else { Level::WARNING };
    let title = level.primary_title(problem.message.as_str()).id(problem.code.as_str());
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() }.decor_style(DecorStyle::Ascii);
    let mut group = match excerpt {
        Some(Excerpt { text, span }) => {
            let snippet = Snippet::source(text.as_str())
                .line_start(problem.line as usize)
                .path(problem.file.as_str())
                .annotation(AnnotationKind::Primary.span(span.clone()).label(problem.expected.as_str()));
            title.element(snippet)
        }
        None => title.element(
            annotate_snippets::Origin::path(problem.file.as_str())
                .line(problem.line as usize)
                .char_column(problem.column as usize),
        ),
    };
    if let Some(hint) = &problem.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    let text = renderer.render(&[group]).to_string();
    // The column is the manifest's: a line that was shortened for drawing must not move it.
    let text = correct_origin(&text, problem);
    format!("{}\n\n", text.trim_end())
}

/// The line, shortened around the mark: a hostile one may be as long as its file.
#[must_use]
pub fn excerpt(line: &str, problem: &Problem) -> Excerpt {
    let start = problem.column.max(1) as usize - 1;
    let from = if start > DRAWN / 2 && skip(line, DRAWN) < line.len() { start - DRAWN / 2 } else { 0 };
    let behind = &line[skip(line, from)..];
    let shown = &behind[..skip(behind, DRAWN)];
    let begin = skip(shown, start - from);
    let end = begin + skip(&shown[begin..], problem.length.max(1) as usize);
    Excerpt { text: shown.to_owned(), span: begin..end }
}

/// The byte at which a character of a text begins; the end, where it has fewer.
fn skip(text: &str, characters: usize) -> usize {
    if text.as_bytes().get(..characters).is_some_and(<[u8]>::is_ascii) {
        return characters;
    }
    let mut rest = text.chars();
    match characters.checked_sub(1) {
        Some(last) => rest.nth(last).map_or(text.len(), |_| text.len() - rest.as_str().len()),
        None => 0,
    }
}

fn correct_origin(text: &str, problem: &Problem) -> String {
    let mut done = false;
    text.split('\n')
        .map(|line| {
            let Some(at) = line.find(&format!("{}:{}:", problem.file, problem.line)).filter(|_| !done) else {
                return line.to_string();
            };
            done = true;
            let head = at + problem.file.len() + 1 + problem.line.to_string().len() + 1;
            let digits = line[head..].chars().take_while(char::is_ascii_digit).count();
            format!("{}{}{}", &line[..head], problem.column, &line[head + digits..])
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// A workflow command that annotates a pull request.
#[must_use]
pub fn github(problem: &Problem) -> String {
    let escape = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| escape(text).replace(':', "%3A").replace(',', "%2C");
    let kind = if problem.is_error() { "error" } else { "warning" };
    let hint = problem.hint.as_ref().map(|h| format!("; {h}")).unwrap_or_default();
    format!(
        "::{kind} file={},line={},col={},title={}::{}",
        property(&problem.file),
        problem.line,
        problem.column,
        problem.code,
        escape(&format!("{}{hint}", problem.message))
    )
}

/// All problems as one SARIF 2.1.0 log.
#[must_use]
pub fn sarif(problems: &[Problem]) -> Value {
    let used: std::collections::BTreeSet<Code> = problems.iter().map(|p| p.code).collect();
    let rules: Vec<Value> = used
        .iter()
        .map(|code| json!({ "id": code.as_str(), "shortDescription": { "text": rule(*code).summary } }))
        .collect();
    let results: Vec<Value> = problems
        .iter()
        .map(|p| {
            json!({
                "ruleId": p.code.as_str(),
                "level": if p.is_error() { "error" } else { "warning" },
                "message": { "text": match &p.hint { Some(h) => format!("{}: {h}", p.message), None => p.message.clone() } },
                "locations": [{ "physicalLocation": {
                    "artifactLocation": { "uri": p.file },
                    "region": { "startLine": p.line, "startColumn": p.column, "endColumn": p.column + p.length },
                } }],
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": { "name": "sower", "version": env!("CARGO_PKG_VERSION"), "rules": rules } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem {
            code: Code::BadVersion,
            severity: Code::BadVersion.severity(),
            file: "integrations/slack/integration.yaml".into(),
            line: 6,
            column: 12,
            length: 4,
            pointer: "/spec/version".into(),
            message: "`v2.1` is not a semantic version".into(),
            expected: "expected MAJOR.MINOR.PATCH".into(),
            hint: Some("write `2.1.0`".into()),
            integration: Some("slack".into()),
        }
    }

    #[test]
    fn a_problem_is_drawn_as_rustc_does() {
        insta::assert_snapshot!(drawn(&problem(), Some("  version: v2.1"), false), @r"
        error[bad-version]: `v2.1` is not a semantic version
         --> integrations/slack/integration.yaml:6:12
          |
        6 |   version: v2.1
          |            ^^^^ expected MAJOR.MINOR.PATCH
          |
          = help: write `2.1.0`
        ");
    }

    #[test]
    fn a_long_line_is_shortened_and_keeps_its_column() {
        let line = format!("{}{{ key: bad }}", " ".repeat(400));
        let problem = Problem { column: 408, length: 3, ..problem() };
        let text = drawn(&problem, Some(&line), false);
        assert!(text.contains("integration.yaml:6:408"), "{text}");
        assert!(text.lines().all(|l| l.chars().count() < 200), "{text}");
    }

    #[test]
    fn an_excerpt_is_cut_around_what_is_marked() {
        let marked = |line: &str, column, length| {
            let Excerpt { text, span } = excerpt(line, &Problem { column, length, ..problem() });
            (text.chars().count(), text[span].to_owned())
        };
        assert_eq!(marked("a: bé", 4, 2), (5, "bé".into()));
        assert_eq!(marked("a: b", 9, 2), (4, String::new()));
        assert_eq!(marked("", 1, 1), (0, String::new()));
        let long = format!("{}bad{}", "é".repeat(1_000_000), "x".repeat(500));
        assert_eq!(marked(&long, 1_000_001, 3), (160, "bad".into()));
        assert_eq!(marked(&long, 2, 3), (160, "ééé".into()));
        assert_eq!(marked(&long, 1_000_503, 9), (81, "x".into()));
        assert_eq!(marked(&long, 1_000_004, 500), (160, "x".repeat(80)));
    }

    #[test]
    fn an_annotation_escapes_what_would_end_it() {
        let problem = Problem { message: "a\nb: 100%".into(), hint: None, ..problem() };
        assert_eq!(
            github(&problem),
            "::error file=integrations/slack/integration.yaml,line=6,col=12,title=bad-version::a%0Ab: 100%25"
        );
    }
}
