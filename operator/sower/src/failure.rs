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
}

impl Failure {
    /// Something failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self { exit: Exit::Failed, message: message.into(), next: Vec::new() }
    }

    /// The words are off.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, message: message.into(), next: Vec::new() }
    }

    /// A guard refused.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, message: message.into(), next: Vec::new() }
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
    fn failing_weighs_more_than_refusing() {
        assert_eq!(Exit::Refused.worse(Exit::Failed), Exit::Failed);
        assert_eq!(Exit::Differences.worse(Exit::Refused), Exit::Refused);
        assert_eq!(Exit::Failed.worse(Exit::Done), Exit::Failed);
    }
}
