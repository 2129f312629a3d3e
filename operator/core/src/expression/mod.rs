//! Expressions: CEL inside `${ }`, checked when a manifest is loaded and never run here.
//!
//! [`check`] reads one string of a manifest and says what its expressions read and what is wrong with them. Every position is
//! a byte offset into that string; the caller knows where the string stands in its file.
//!
//! The grammar is the one of the crate `cel`, which will evaluate what is accepted here; the tests in `agreement.rs` hold the two
//! against each other. It is parsed by hand for two reasons: a problem needs the exact span of what it is about, which that
//! crate's tree does not keep, and a catalog of thousands of expressions has to load in well under a second.

#[cfg(test)]
mod agreement;
#[cfg(test)]
mod cases;
mod check;
mod functions;
mod places;
mod syntax;
mod template;
#[cfg(test)]
mod tests;
mod tokens;
mod words;

use std::collections::BTreeSet;

pub use check::check;
pub use places::Place;
pub use template::{Part, Template, TemplateFault, split};

/// The longest expression that is parsed, in bytes between its braces.
pub const MAX_LENGTH: usize = 4096;

/// How deep parentheses, brackets, arguments and conditionals may nest.
pub const MAX_DEPTH: usize = 64;

/// The most findings reported for one string: a hostile one could hold a million.
pub const MAX_FINDINGS: usize = 50;

/// Names that `credentials` always has, whatever the credentialSchema says.
pub const STANDING_CREDENTIALS: [&str; 4] = ["callback", "clientId", "clientSecret", "token"];

/// Where an expression stands, and what it may therefore read.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The place, which decides the names.
    pub place: Place,
    /// Whose inputs are read, as a message names it: "action `post-message`".
    pub owner: &'a str,
    /// The properties of the owner's inputSchema; `None` where there is no schema: any is taken.
    pub inputs: Option<&'a BTreeSet<String>>,
    /// The fields of the credentialSchema and of `test.save`; [`STANDING_CREDENTIALS`] are known without being here.
    pub credentials: &'a BTreeSet<String>,
    /// The ids that `webhooks.ID.url` may name.
    pub webhooks: &'a BTreeSet<String>,
}

/// What is wrong; each is the problem code of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExpressionCode {
    /// It is not CEL, or is too long, too deep or empty, or a function has the wrong number of arguments.
    BadExpression,
    /// No function or method has this name.
    UnknownFunction,
    /// The place has no such name, or a name of fixed shape has no such field.
    UnknownName,
    /// The inputSchema has no such property.
    UnknownInput,
    /// The credentialSchema has no such field.
    UnknownCredential,
    /// There is no webhook of this id.
    UnknownReference,
}

impl ExpressionCode {
    /// The code as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadExpression => "bad-expression",
            Self::UnknownFunction => "unknown-function",
            Self::UnknownName => "unknown-name",
            Self::UnknownInput => "unknown-input",
            Self::UnknownCredential => "unknown-credential",
            Self::UnknownReference => "unknown-reference",
        }
    }
}

/// One thing that is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of wrong.
    pub code: ExpressionCode,
    /// Where it begins: bytes into the checked string.
    pub offset: usize,
    /// How long it is, in bytes.
    pub len: usize,
    /// One sentence without a full stop.
    pub message: String,
    /// A few words that stand under the carets.
    pub label: String,
    /// How to mend it.
    pub hint: Option<String>,
}

/// What the expressions of one string read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// The string has at least one expression.
    pub any: bool,
    /// The string is exactly one expression, so its value keeps the expression's type.
    pub exact: bool,
    /// The top names that are read: `input`, `rest`, `page`, `idempotencyKey`, …
    pub names: BTreeSet<String>,
    /// The inputs that are named: `input.x`, `input['x']`.
    pub inputs: BTreeSet<String>,
    /// Any input may be used: `input` is read as a whole or by a computed key, or an expression could not be read.
    pub all_inputs: bool,
    /// The credentials that are named.
    pub credentials: BTreeSet<String>,
    /// The webhooks that are named.
    pub webhooks: BTreeSet<String>,
}

impl Uses {
    /// Whether the name `name` is read at all.
    pub fn reads(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Adds what another string reads; `any` and `exact` speak of one string and stay as they are.
    pub fn absorb(&mut self, other: Uses) {
        let Uses { any: _, exact: _, names, inputs, all_inputs, credentials, webhooks } = other;
        self.names.extend(names);
        self.inputs.extend(inputs);
        self.all_inputs |= all_inputs;
        self.credentials.extend(credentials);
        self.webhooks.extend(webhooks);
    }
}
