//! A rollout for people, on one line.

use super::{Outcome, Rollout, State, Variant};
use crate::plan::Content;

impl Rollout {
    /// The content that is to blame once everybody has the stable version again: the one that failed, else what the sources
    /// say.
    #[must_use]
    pub fn blamed(&self) -> Content {
        let failed = self
            .verdict
            .as_ref()
            .filter(|verdict| self.state == State::RolledBack && verdict.outcome == Outcome::Failure);
        let tried = self.variants.iter().filter(|variant| variant.checksum != self.from.checksum);
        let mut tried = tried.map(|Variant { version, checksum, .. }| (version, checksum));
        let failed = failed.and_then(|verdict| tried.find(|(version, _)| **version == verdict.version));
        let (version, checksum) = failed.unwrap_or((&self.to.version, &self.to.checksum));
        Content { version: version.clone(), checksum: checksum.clone() }
    }

    /// `stripe 1.0.0 -> 1.1.0: step 1 of 3, 10% of consumers`.
    #[must_use]
    pub fn line(&self) -> String {
        let Self { integration, from, to, step, .. } = self;
        let (from, to) = (&from.version, &to.version);
        let after = |mark: &str| self.because().map(|why| format!("{mark}{why}")).unwrap_or_default();
        let percent = f64::from(self.weight) / 100.0;
        match self.state {
            State::Pending => format!("{integration} {from} -> {to}: waits for its first step"),
            State::Progressing => {
                let steps = self.steps();
                format!("{integration} {from} -> {to}: step {step} of {steps}, {percent}% of consumers")
            }
            State::Paused => format!("{integration} {from} -> {to}: paused at {percent}%{}", after("; ")),
            State::Completing => format!("{integration} {from} -> {to}: stays at {percent}%{}", after(", ")),
            State::Completed => format!("{integration} {from} -> {to}: everyone has it"),
            State::Aborted => format!("{integration} {to} aborted, everyone has {from}{}", after(": ")),
            State::RolledBack => match self.blamed().version {
                failed if failed == *to => {
                    format!("{integration} {to} rolled back, everyone has {from}{}", after(": "))
                }
                failed => {
                    let why = after(": ");
                    format!("{integration} {failed} failed in a comparison, everyone has {from}{why}")
                }
            },
            State::Superseded => format!("{integration} {to} superseded{}", after(": ")),
        }
    }
}
