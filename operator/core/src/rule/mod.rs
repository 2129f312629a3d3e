//! What each problem means and how to mend it: the text of `sower rule CODE` and of the page on problems.

mod document;
mod expression;
mod field;
mod reference;
mod schema;
mod warning;

use std::fmt::Write as _;

use crate::problem::{Code, Severity};

/// What is to be said of one kind of problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// One line without a full stop.
    pub summary: &'static str,
    /// What it means, and why it matters.
    pub meaning: &'static str,
    /// How to mend it.
    pub remedy: &'static str,
    /// YAML that has the problem.
    pub wrong: &'static str,
    /// The same without it.
    pub right: &'static str,
}

/// What is to be said of a code.
#[must_use]
pub fn rule(code: Code) -> Rule {
    match code {
        Code::Syntax => document::SYNTAX,
        Code::Encoding => document::ENCODING,
        Code::TooLarge => document::TOO_LARGE,
        Code::TooDeep => document::TOO_DEEP,
        Code::AliasBomb => document::ALIAS_BOMB,
        Code::DuplicateKey => document::DUPLICATE_KEY,
        Code::UnknownKind => document::UNKNOWN_KIND,
        Code::DuplicateManifest => document::DUPLICATE_MANIFEST,
        Code::UnknownField => field::UNKNOWN_FIELD,
        Code::MissingField => field::MISSING_FIELD,
        Code::WrongType => field::WRONG_TYPE,
        Code::BadId => field::BAD_ID,
        Code::BadVersion => field::BAD_VERSION,
        Code::BadRange => field::BAD_RANGE,
        Code::BadUrl => field::BAD_URL,
        Code::InsecureUrl => field::INSECURE_URL,
        Code::BadDuration => field::BAD_DURATION,
        Code::BadPattern => field::BAD_PATTERN,
        Code::DuplicateId => field::DUPLICATE_ID,
        Code::UnknownReference => reference::UNKNOWN_REFERENCE,
        Code::PermissionMissing => reference::PERMISSION_MISSING,
        Code::SelfDependency => reference::SELF_DEPENDENCY,
        Code::UnusedInput => reference::UNUSED_INPUT,
        Code::BadSchema => schema::BAD_SCHEMA,
        Code::UnresolvedRef => schema::UNRESOLVED_REF,
        Code::RemoteRef => schema::REMOTE_REF,
        Code::PathEscape => schema::PATH_ESCAPE,
        Code::BadExpression => expression::BAD_EXPRESSION,
        Code::UnknownFunction => expression::UNKNOWN_FUNCTION,
        Code::UnknownName => expression::UNKNOWN_NAME,
        Code::UnknownInput => expression::UNKNOWN_INPUT,
        Code::UnknownCredential => expression::UNKNOWN_CREDENTIAL,
        Code::NoDescription => warning::NO_DESCRIPTION,
        Code::NoAuthor => warning::NO_AUTHOR,
        Code::NoLicense => warning::NO_LICENSE,
        Code::NoCategory => warning::NO_CATEGORY,
        Code::NoVersion => warning::NO_VERSION,
        Code::UntypedInput => warning::UNTYPED_INPUT,
        Code::NoOutputSchema => warning::NO_OUTPUT_SCHEMA,
        Code::NoTest => warning::NO_TEST,
        Code::UndeclaredEvent => warning::UNDECLARED_EVENT,
        Code::UnusedEvent => warning::UNUSED_EVENT,
        Code::UnusedSchema => warning::UNUSED_SCHEMA,
        Code::DeprecatedDraft => warning::DEPRECATED_DRAFT,
    }
}

/// The page on problems, in Markdown.
#[must_use]
pub fn problems_reference() -> String {
    let mut page = String::from(
        "# Problems\n\n`sower validate` tells every problem of every manifest in one pass, each with its place and, where that can be \
         said, how to mend it. An error refuses the manifest: an environment that has the integration keeps the rows it has. A \
         warning does not; `--strict` makes it fail. `sower rule CODE` prints what stands here.\n",
    );
    for (title, severity) in [("Errors", Severity::Error), ("Warnings", Severity::Warning)] {
        let codes = || Code::ALL.iter().copied().filter(move |c| c.severity() == severity);
        let _ = writeln!(page, "\n## {title}\n\n| code | meaning |\n| --- | --- |");
        for code in codes() {
            let _ = writeln!(page, "| [`{code}`](#{code}) | {} |", rule(code).summary.replace('|', "\\|"));
        }
        for code in codes() {
            let Rule { summary, meaning, remedy, wrong, right } = rule(code);
            let _ = writeln!(
                page,
                "\n### {code}\n\n{summary}. {meaning}\n\n{remedy}\n\n```yaml\n# wrong\n{}\n```\n\n```yaml\n# right\n{}\n```",
                wrong.trim_end(),
                right.trim_end()
            );
        }
    }
    page
}

#[cfg(test)]
mod tests;
