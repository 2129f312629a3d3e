//! What an environment keeps out, because it was rolled back from: contents of integrations, and their absence.

use std::collections::BTreeMap;

/// In place of a checksum: the integration is to be there although git no longer has it.
pub const ABSENCE: &str = "";

/// What is kept out, and what somebody asked back and no seeding took yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quarantine {
    /// By integration and checksum; true: asked back.
    entries: BTreeMap<String, BTreeMap<String, bool>>,
}

impl Quarantine {
    /// Keeps a content, or with [`ABSENCE`] the lack of one, out.
    pub fn keep_out(&mut self, integration: impl Into<String>, checksum: impl Into<String>) {
        self.entries.entry(integration.into()).or_default().insert(checksum.into(), false);
    }

    /// Somebody asked for it back: it is to be taken, whatever its version.
    pub fn ask_back(&mut self, integration: impl Into<String>, checksum: impl Into<String>) {
        self.entries.entry(integration.into()).or_default().insert(checksum.into(), true);
    }

    /// Whether this content, or [`ABSENCE`], is kept out.
    #[must_use]
    pub fn holds(&self, integration: &str, checksum: &str) -> bool {
        self.of(integration, checksum) == Some(false)
    }

    /// Whether this content, or [`ABSENCE`], was asked back.
    #[must_use]
    pub fn is_asked_back(&self, integration: &str, checksum: &str) -> bool {
        self.of(integration, checksum) == Some(true)
    }

    /// Whether there is anything about an integration: a seeding that takes what git has ends it.
    #[must_use]
    pub fn is_about(&self, integration: &str) -> bool {
        self.entries.contains_key(integration)
    }

    /// Whether some content of an integration is kept out.
    #[must_use]
    pub fn holds_some(&self, integration: &str) -> bool {
        let all = self.entries.get(integration).into_iter().flatten();
        all.filter(|(checksum, _)| *checksum != ABSENCE).any(|(_, asked_back)| !asked_back)
    }

    /// Nothing is kept out, and nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn of(&self, integration: &str, checksum: &str) -> Option<bool> {
        self.entries.get(integration)?.get(checksum).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_out_and_what_was_asked_back_are_told_apart() {
        let mut quarantine = Quarantine::default();
        assert!(quarantine.is_empty());
        quarantine.keep_out("slack", "v1:a");
        quarantine.ask_back("slack", ABSENCE);
        assert!(quarantine.holds("slack", "v1:a") && !quarantine.holds("slack", ABSENCE));
        assert!(quarantine.is_asked_back("slack", ABSENCE) && !quarantine.is_asked_back("slack", "v1:a"));
        assert!(quarantine.is_about("slack") && !quarantine.is_about("stripe"));
        assert!(quarantine.holds_some("slack") && !quarantine.holds_some("stripe"));
        quarantine.ask_back("slack", "v1:a");
        assert!(!quarantine.holds("slack", "v1:a"));
        quarantine.keep_out("slack", ABSENCE);
        assert!(!quarantine.holds_some("slack"));
    }
}
