//! What is wrong with a manifest, where, and how to mend it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much a problem weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The manifest is refused.
    Error,
    /// The manifest is taken.
    Warning,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal, $severity:ident;)+) => {
        /// The closed list of what can be wrong with a manifest.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[doc = $doc])+ $variant,)+ }

        impl Code {
            /// Every code, errors first.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The code as it is printed: `bad-version`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$variant => $text,)+ }
            }

            /// How much it weighs.
            #[must_use]
            pub fn severity(self) -> Severity {
                match self { $(Code::$variant => Severity::$severity,)+ }
            }
        }

        impl std::str::FromStr for Code {
            type Err = ();
            fn from_str(text: &str) -> Result<Self, ()> {
                match text { $($text => Ok(Code::$variant),)+ _ => Err(()) }
            }
        }
    };
}

codes! {
    /// The file is not YAML or JSON.
    Syntax = "syntax", Error;
    /// The file or its name is not UTF-8, or it holds a character no table can (U+0000).
    Encoding = "encoding", Error;
    /// The file is larger than 5 MiB, a cluster resource larger than 256 KiB.
    TooLarge = "too-large", Error;
    /// Nested deeper than 64 levels.
    TooDeep = "too-deep", Error;
    /// Aliases expand to more than a document may hold.
    AliasBomb = "alias-bomb", Error;
    /// One key twice in a map.
    DuplicateKey = "duplicate-key", Error;
    /// A document of group sower.dev and a kind Sower does not have.
    UnknownKind = "unknown-kind", Error;
    /// A field the format does not have.
    UnknownField = "unknown-field", Error;
    /// A field that must be there.
    MissingField = "missing-field", Error;
    /// A value of another type than the field takes.
    WrongType = "wrong-type", Error;
    /// An id that breaks the rules of ids.
    BadId = "bad-id", Error;
    /// Not a semantic version.
    BadVersion = "bad-version", Error;
    /// Not an npm version range.
    BadRange = "bad-range", Error;
    /// Not a URL.
    BadUrl = "bad-url", Error;
    /// http to a host that is not this machine.
    InsecureUrl = "insecure-url", Error;
    /// Not a duration, or outside its bounds.
    BadDuration = "bad-duration", Error;
    /// Not a regular expression.
    BadPattern = "bad-pattern", Error;
    /// One id twice in a list.
    DuplicateId = "duplicate-id", Error;
    /// Two documents of one source with one id.
    DuplicateManifest = "duplicate-manifest", Error;
    /// A webhook, action, connection, event, base or environment that is not there.
    UnknownReference = "unknown-reference", Error;
    /// Not a JSON Schema.
    BadSchema = "bad-schema", Error;
    /// A `$ref` or `schemaPath` that leads nowhere.
    UnresolvedRef = "unresolved-ref", Error;
    /// A `$ref` to the network.
    RemoteRef = "remote-ref", Error;
    /// A path that leaves the snapshot.
    PathEscape = "path-escape", Error;
    /// Not a CEL expression.
    BadExpression = "bad-expression", Error;
    /// A function the language does not have.
    UnknownFunction = "unknown-function", Error;
    /// A name that this place does not have.
    UnknownName = "unknown-name", Error;
    /// An input that the inputSchema does not have.
    UnknownInput = "unknown-input", Error;
    /// A credential that no credentialSchema has.
    UnknownCredential = "unknown-credential", Error;
    /// An input that goes nowhere.
    UnusedInput = "unused-input", Error;
    /// A host that `permissions` does not cover.
    PermissionMissing = "permission-missing", Error;
    /// An integration that depends on itself.
    SelfDependency = "self-dependency", Error;
    /// No description.
    NoDescription = "no-description", Warning;
    /// No author.
    NoAuthor = "no-author", Warning;
    /// No license.
    NoLicense = "no-license", Warning;
    /// No category.
    NoCategory = "no-category", Warning;
    /// The older plain form without a version: 0.0.0 is taken.
    NoVersion = "no-version", Warning;
    /// Inputs are read, and no inputSchema says which there are.
    UntypedInput = "untyped-input", Warning;
    /// No outputSchema.
    NoOutputSchema = "no-output-schema", Warning;
    /// No testSuite.
    NoTest = "no-test", Warning;
    /// A trigger's event that `events` does not declare.
    UndeclaredEvent = "undeclared-event", Warning;
    /// An event that no trigger names.
    UnusedEvent = "unused-event", Warning;
    /// A schema that nothing refers to.
    UnusedSchema = "unused-schema", Warning;
    /// A JSON Schema draft older than draft-07.
    DeprecatedDraft = "deprecated-draft", Warning;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom(format!("no problem code is called {text}")))
    }
}

/// One problem of one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// What kind.
    pub code: Code,
    /// How much it weighs.
    pub severity: Severity,
    /// Path of the file from the root of its tree.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters it covers on that line; at least 1.
    pub length: u32,
    /// JSON pointer into the document; empty for the whole.
    pub pointer: String,
    /// What was found: one sentence without a full stop, quoted names in backticks.
    pub message: String,
    /// What was expected: the few words drawn under the marks.
    pub expected: String,
    /// How to mend it, where that can be said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
    /// The integration it belongs to, where its id can be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub integration: Option<String>,
}

impl Problem {
    /// `path:line:column`.
    #[must_use]
    pub fn location(&self) -> String {
        format!("{}:{}:{}", self.file, self.line, self.column)
    }

    /// Refuses its manifest.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Problem {
    /// The concise form, one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{}: {severity}[{}]: {}", self.location(), self.code, self.message)
    }
}

/// Sorts by file, line and column.
pub fn sort<P: std::borrow::Borrow<Problem>>(problems: &mut [P]) {
    problems.sort_by(|a, b| {
        let (a, b) = (a.borrow(), b.borrow());
        (&a.file, a.line, a.column, a.code, &a.message).cmp(&(&b.file, b.line, b.column, b.code, &b.message))
    });
}
