//! `x-choices` and `x-fields`: properties that an action fills.

use super::{Context, Owner};
use crate::expression::Place;
use crate::manifest::report::{Path, head, listed, shortened};
use crate::manifest::schema::Choice;
use crate::manifest::tree::Mark;
use crate::problem::Code;

const CHOICES: [&str; 5] = ["action", "input", "items", "value", "label"];
const FIELDS: [&str; 6] = ["action", "input", "items", "name", "title", "schema"];

impl Context<'_, '_> {
    /// Checks the choices in a schema of `owner`.
    pub(super) fn choices(&mut self, choices: &[Choice], owner: &Owner) {
        for choice in choices {
            if self.sink.is_full() {
                return;
            }
            self.choice(choice, owner);
        }
    }

    fn choice(&mut self, choice: &Choice, owner: &Owner) {
        let Choice { node, pointer, keyword, file } = choice;
        let path = Path::at(pointer);
        let known: &[&str] = if *keyword == "x-choices" { &CHOICES } else { &FIELDS };
        if !node.is_map() {
            let message = format!("{keyword} is {}", node.kind());
            self.say(choice, Code::WrongType, node.mark, &path, (message, "expected a map".into(), None));
            return;
        }
        for entry in node.entries() {
            let path = path.key(&entry.key);
            if !known.contains(&entry.key.as_str()) {
                let hint = self.sink.nearest(&entry.key, known.iter().copied()).map_or_else(
                    || format!("its fields are {}", listed(known)),
                    |k| format!("did you mean `{k}`?"),
                );
                let message = format!("{keyword} has no field `{}`", shortened(&entry.key));
                let said = (message, "unknown field".into(), Some(hint));
                self.say(choice, Code::UnknownField, entry.key_mark, &path, said);
            } else if entry.key != "action" {
                self.template_in(file.as_deref(), &entry.node, &path, Place::Choices, owner);
            }
        }
        match node.text_at("action") {
            None => {
                let said = (format!("{keyword} has no `action`"), "`action` is required".into(), None);
                self.say(choice, Code::MissingField, head(node), &path, said);
            }
            Some(action) if !self.actions.contains(action) => {
                let mark = node.get("action").map_or(node.mark, |n| n.mark);
                let hint = match self.sink.nearest(action, self.actions.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("its actions are {}", listed(self.actions.iter())),
                };
                let said = (
                    format!("there is no action `{}`", shortened(action)),
                    "unknown action".into(),
                    Some(hint),
                );
                // The form works without its choices, so a manifest may name an action that it does not have yet.
                if self.say(choice, Code::UnknownReference, mark, &path.key("action"), said) {
                    self.sink.soften();
                }
            }
            Some(_) => {}
        }
    }

    fn say(
        &mut self,
        choice: &Choice,
        code: Code,
        mark: Mark,
        path: &Path<'_>,
        said: (String, String, Option<String>),
    ) -> bool {
        let (message, expected, hint) = said;
        match &choice.file {
            Some(file) => self.sink.push_in(&file.path, code, mark, path.pointer(), message, expected, hint),
            None => self.sink.push(code, mark, path, message, expected, hint),
        }
    }
}
