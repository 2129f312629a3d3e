//! How a command ends badly: what happened, then what to type.

use std::fmt::Write as _;

/// A command's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed, or a manifest was refused.
    Failed = 1,
    /// The words of the command are off.
    Usage = 2,
    /// There are differences, and `--exit-code` asked.
    Differences = 3,
    /// A guard refused; nothing was written.
    Refused = 4,
    /// Interrupted.
    Interrupted = 130,
}

impl Exit {
    /// Of several: 1 before 4 before 3.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Done => 0,
            Self::Differences => 1,
            Self::Refused => 2,
            Self::Failed => 3,
            Self::Usage => 4,
            Self::Interrupted => 5,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

/// What a command says when it cannot go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Its exit status.
    pub exit: Exit,
    /// One or two sentences.
    pub message: String,
    /// What to type next: a label and a command. Without a label, a sentence.
    pub next: Vec<(String, String)>,
    /// Why, in one word, for programs: a reason of Ready. Absent where none of those is meant.
    pub code: Option<&'static str>,
}

impl Failure {
    /// Something failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message.into())
    }

    /// The words are off.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message.into())
    }

    /// A guard refused.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message.into())
    }

    fn new(exit: Exit, message: String) -> Self {
        Self { exit, message, next: Vec::new(), code: None }
    }

    /// The same of several environments: they are named.
    #[must_use]
    pub fn of(mut self, environments: &[&str]) -> Self {
        if environments.len() > 1 {
            self.message = format!("{}: {}", environments.join(", "), self.message);
        }
        self
    }

    /// Why, in one word.
    #[must_use]
    pub fn coded(&self) -> &'static str {
        self.code.unwrap_or(match self.exit {
            Exit::Refused => "Refused",
            Exit::Usage => "Usage",
            _ => "Failed",
        })
    }

    /// Adds what to type next.
    #[must_use]
    pub fn next(mut self, label: impl Into<String>, command: impl Into<String>) -> Self {
        self.next.push((label.into(), command.into()));
        self
    }

    /// The lines, without colour.
    #[must_use]
    pub fn text(&self) -> String {
        let word = if self.exit == Exit::Refused { "refused" } else { "error" };
        let mut text = format!("{word}: {}\n", self.message);
        let width = self.next.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
        for (label, command) in &self.next {
            if label.is_empty() {
                let _ = writeln!(text, "  {command}");
            } else {
                let _ = writeln!(text, "  {:width$}  {command}", format!("{label}:"), width = width + 1);
            }
        }
        text
    }
}

/// Says what befell environments: the same of several once, with their names.
pub fn each_once(befell: &[(&str, Failure)], mut say: impl FnMut(Failure)) {
    for (first, (_, failure)) in befell.iter().enumerate() {
        if befell[..first].iter().any(|(_, earlier)| earlier == failure) {
            continue;
        }
        let whom: Vec<&str> =
            befell.iter().filter(|(_, other)| other == failure).map(|(name, _)| *name).collect();
        say(failure.clone().of(&whom));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_to_type() {
        let failure = Failure::usage("which environment? There are a, b")
            .next("one", "sower seed -e a")
            .next("the rest", "sower seed --all");
        assert_eq!(
            failure.text(),
            "error: which environment? There are a, b\n  one:       sower seed -e a\n  the rest:  sower seed --all\n"
        );
    }

    #[test]
    fn what_befalls_several_is_said_once() {
        let (down, gone) = (Failure::failed("down"), Failure::failed("gone"));
        let mut said = Vec::new();
        each_once(&[("a", down.clone()), ("b", gone), ("c", down)], |failure| said.push(failure.message));
        assert_eq!(said, ["a, c: down", "gone"]);
    }

    #[test]
    fn failing_weighs_more_than_refusing() {
        assert_eq!(Exit::Refused.worse(Exit::Failed), Exit::Failed);
        assert_eq!(Exit::Differences.worse(Exit::Refused), Exit::Refused);
        assert_eq!(Exit::Failed.worse(Exit::Done), Exit::Failed);
    }
}
