//! Expressions, wherever a text may hold them.

use std::collections::BTreeSet;

use super::{Context, Owner};
use crate::expression::{self, ExpressionCode, MAX_FINDINGS, Part, Place, Scope, Uses};
use crate::manifest::report::{Path, listed, shortened};
use crate::manifest::schema::SchemaFile;
use crate::manifest::tree::{Node, Value};
use crate::problem::Code;

impl From<ExpressionCode> for Code {
    fn from(code: ExpressionCode) -> Self {
        match code {
            ExpressionCode::BadExpression => Code::BadExpression,
            ExpressionCode::UnknownFunction => Code::UnknownFunction,
            ExpressionCode::UnknownName => Code::UnknownName,
            ExpressionCode::UnknownInput => Code::UnknownInput,
            ExpressionCode::UnknownCredential => Code::UnknownCredential,
            ExpressionCode::UnknownReference => Code::UnknownReference,
        }
    }
}

impl Context<'_, '_> {
    /// Checks a text; anything else reads nothing.
    pub(super) fn text(&mut self, node: &Node, path: &Path<'_>, place: Place, owner: &Owner) -> Uses {
        self.text_in(None, node, path, place, owner)
    }

    /// Checks a text of a file that the manifest refers to.
    pub(super) fn text_in(
        &mut self,
        file: Option<&SchemaFile>,
        node: &Node,
        path: &Path<'_>,
        place: Place,
        owner: &Owner,
    ) -> Uses {
        let Some(text) = node.text().filter(|t| t.contains("${")) else { return Uses::default() };
        // What is read is asked for all the same; what it should have read is not.
        let none = BTreeSet::new();
        let full = self.sink.is_full();
        let scope = Scope {
            place,
            owner: &owner.name,
            inputs: owner.inputs.as_ref().filter(|_| !full),
            credentials: if full { &none } else { &self.credentials },
            webhooks: if full { &none } else { &self.webhooks },
        };
        let (uses, findings) = expression::check(text, &scope);
        for finding in findings {
            if self.sink.is_full() {
                break;
            }
            let code = finding.code.into();
            let mark = match file {
                Some(file) => node.locate(&file.text, finding.offset, finding.len),
                None => node.locate(self.sink.text(), finding.offset, finding.len),
            };
            let (message, label, hint) = (finding.message, finding.label, finding.hint);
            match file {
                Some(file) => self.sink.push_in(&file.path, code, mark, path.pointer(), message, label, hint),
                None => self.sink.push(code, mark, path, message, label, hint),
            };
        }
        uses
    }

    /// Checks the text at a key, if there is one.
    pub(super) fn text_at(
        &mut self,
        map: &Node,
        key: &str,
        path: &Path<'_>,
        place: Place,
        owner: &Owner,
    ) -> Uses {
        match map.get(key) {
            Some(node) => self.text(node, &path.key(key), place, owner),
            None => Uses::default(),
        }
    }

    /// Checks every text of any value. Keys are never expressions.
    pub(super) fn template(&mut self, node: &Node, path: &Path<'_>, place: Place, owner: &Owner) -> Uses {
        self.template_in(None, node, path, place, owner)
    }

    /// The same in a file that the manifest refers to.
    pub(super) fn template_in(
        &mut self,
        file: Option<&SchemaFile>,
        node: &Node,
        path: &Path<'_>,
        place: Place,
        owner: &Owner,
    ) -> Uses {
        let mut uses = Uses::default();
        match &node.value {
            Value::Text(_) => return self.text_in(file, node, path, place, owner),
            Value::List(items) => {
                for (i, item) in items.iter().enumerate() {
                    uses.absorb(self.template_in(file, item, &path.index(i), place, owner));
                }
            }
            Value::Map(entries) => {
                for entry in entries {
                    uses.absorb(self.template_in(file, &entry.node, &path.key(&entry.key), place, owner));
                }
            }
            _ => {}
        }
        uses
    }

    /// Checks every text of the value at a key, if there is one.
    pub(super) fn template_at(
        &mut self,
        map: &Node,
        key: &str,
        path: &Path<'_>,
        place: Place,
        owner: &Owner,
    ) -> Uses {
        match map.get(key) {
            Some(node) => self.template(node, &path.key(key), place, owner),
            None => Uses::default(),
        }
    }

    /// Checks a path: its expressions, and `{x}` and `{+x}`, which stand for `input.x`.
    pub(super) fn path_template(
        &mut self,
        node: &Node,
        path: &Path<'_>,
        place: Place,
        owner: &Owner,
    ) -> Uses {
        let mut uses = self.text(node, path, place, owner);
        let Some(text) = node.text() else { return uses };
        let mut unknown = 0;
        for (offset, length, name) in placeholders(text) {
            let known = owner.inputs.as_ref().is_none_or(|inputs| inputs.contains(name));
            if !known && unknown < MAX_FINDINGS && !self.sink.is_full() {
                unknown += 1;
                self.unknown_input(node, (offset, length), name, path, owner);
            }
            uses.any = true;
            uses.names.insert("input".into());
            uses.inputs.insert(name.to_owned());
        }
        uses
    }

    fn unknown_input(
        &mut self,
        node: &Node,
        span: (usize, usize),
        name: &str,
        path: &Path<'_>,
        owner: &Owner,
    ) {
        let names = owner.inputs.as_ref();
        let known = || names.into_iter().flatten().map(String::as_str);
        let hint = match self.sink.nearest(name, known()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None if known().next().is_none() => "it has no properties".to_owned(),
            None => format!("its properties are {}", listed(known())),
        };
        let message = format!("the inputSchema of {} has no property `{}`", owner.name, shortened(name));
        self.sink.push_within(Code::UnknownInput, node, span, path, message, "unknown input", Some(hint));
    }
}

/// The `{x}` and `{+x}` of a path: where each begins, how long it is, and the name in it.
fn placeholders(text: &str) -> Vec<(usize, usize, &str)> {
    let template = expression::split(text);
    let mut found = Vec::new();
    let mut behind = 0;
    for part in &template.parts {
        let literal = match part {
            Part::Text("${") if text[behind..].starts_with("$${") => {
                behind += 3;
                continue;
            }
            Part::Text(literal) => *literal,
            Part::Expression { source, offset } => {
                behind = offset + source.len() + 1;
                continue;
            }
        };
        // A faulty expression is no part; what follows it stands further on.
        let Some(base) = text.get(behind..).and_then(|rest| rest.find(literal)).map(|at| behind + at) else {
            break;
        };
        behind = base + literal.len();
        let mut at = 0;
        while let Some(open) = literal[at..].find('{').map(|o| at + o) {
            let Some(close) = literal[open..].find('}').map(|c| open + c) else { break };
            let name = literal[open + 1..close].trim_start_matches('+');
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '$');
            if !name.is_empty() && name.chars().all(plain) && !literal[..open].ends_with('$') {
                found.push((base + open, close + 1 - open, name));
            }
            at = close + 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::placeholders;

    #[test]
    fn names_in_paths_are_found() {
        let found =
            |text| placeholders(text).into_iter().map(|(o, l, n)| (&text[o..o + l], n)).collect::<Vec<_>>();
        assert_eq!(found("/a/{x}/b/{+y}:run"), [("{x}", "x"), ("{+y}", "y")]);
        assert_eq!(found("/a/${input.x}/{z}"), [("{z}", "z")]);
        assert_eq!(found("/a/${ {'a': 1} }/{z"), []);
        assert_eq!(found("/a/$${x}/{}"), []);
    }
}
