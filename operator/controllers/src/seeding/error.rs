//! Why a seeding ended before anything was written, and what that means for whoever waits.

use std::time::Duration;

use sower_core::manifest::Unread;
use sower_core::sentence;
use sower_core::snapshot::Revision;
use sower_source::{ErrorKind as FetchKind, FetchError};
use sower_store::{ErrorKind as StoreKind, StoreError};

use crate::reason::Reason;

/// When to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Not before the user changes something.
    Stalled,
    /// After this time.
    Waiting(Duration),
    /// With backoff.
    Transient,
}

/// Why a seeding ended before anything was written. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SeedingError {
    /// The reason of Ready.
    pub reason: Reason,
    /// When to try again.
    pub kind: Kind,
    /// One sentence of at most 100 characters, fit for a condition.
    pub message: String,
    /// All that is known, where the sentence could not hold it.
    pub detail: Option<String>,
    /// The source it is about.
    pub source_name: Option<String>,
    /// The keeper that has the environment.
    pub keeper: Option<Box<str>>,
    /// The database was made anew or restored since it was opened: it is to be opened again.
    pub tables_gone: bool,
    /// Another process seeded or moved the environment meanwhile, and nothing was written: that may have done what was asked for.
    pub superseded: bool,
    /// What was read before it went wrong, where that says something.
    pub read: Option<Box<Read>>,
}

/// The revisions that were read, by source.
pub type Read = Vec<(String, Revision)>;

impl SeedingError {
    /// An error of one reason.
    #[must_use]
    pub fn new(reason: Reason, kind: Kind, text: impl Into<String>) -> Self {
        let text = text.into();
        let message = sentence::cut(&text);
        let detail = (message != text).then_some(text);
        Self {
            reason,
            kind,
            message,
            detail,
            source_name: None,
            keeper: None,
            tables_gone: false,
            superseded: false,
            read: None,
        }
    }

    /// The spec cannot be carried out.
    #[must_use]
    pub fn invalid_spec(text: impl Into<String>) -> Self {
        Self::new(Reason::InvalidSpec, Kind::Stalled, text)
    }

    /// A source could not be read.
    #[must_use]
    pub fn fetch(source: &str, error: &FetchError) -> Self {
        let reason = match error {
            FetchError::AuthenticationFailed { .. } => Reason::AuthenticationFailed,
            FetchError::NotFound { .. } => Reason::SourceNotFound,
            FetchError::BadRequest { .. } => Reason::InvalidSpec,
            FetchError::TooLarge { .. }
            | FetchError::Unreachable { .. }
            | FetchError::Unusable { .. }
            | FetchError::TimedOut { .. }
            | FetchError::Cancelled
            | FetchError::Io { .. } => Reason::FetchFailed,
        };
        let kind = match error.kind() {
            FetchKind::Stalled if reason != Reason::FetchFailed => Kind::Stalled,
            FetchKind::Stalled | FetchKind::Transient => Kind::Transient,
        };
        let text = match error {
            FetchError::AuthenticationFailed { host, detail }
                if detail.starts_with("rejected the credentials") =>
            {
                format!("Credentials rejected by {host}")
            }
            // It begins with the name of a host.
            FetchError::AuthenticationFailed { .. }
            | FetchError::Unreachable { .. }
            | FetchError::Unusable { .. }
            | FetchError::TimedOut { .. } => error.to_string(),
            other => {
                let text = other.to_string();
                let mut characters = text.chars();
                characters.next().map(|c| c.to_uppercase().chain(characters).collect()).unwrap_or_default()
            }
        };
        Self { source_name: Some(source.to_string()), ..Self::new(reason, kind, text) }
    }

    /// A file of a source could not be read, which was there when it was listed.
    #[must_use]
    pub fn unread(source: &str, unread: &Unread) -> Self {
        Self::fetch(source, &FetchError::Io { detail: unread.to_string() })
    }

    /// Everything that is known, for the command line and the log.
    #[must_use]
    pub fn full(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.message)
    }
}

impl From<StoreError> for SeedingError {
    fn from(error: StoreError) -> Self {
        let kind = match error.kind() {
            StoreKind::Stalled => Kind::Stalled,
            StoreKind::Transient => Kind::Transient,
        };
        let full = error.to_string();
        match &error {
            StoreError::Unavailable { host, .. } => Self {
                detail: Some(full),
                ..Self::new(
                    Reason::DatabaseUnavailable,
                    kind,
                    format!("Database unavailable at {host}; retrying"),
                )
            },
            StoreError::Lost { .. } => Self {
                detail: Some(full),
                ..Self::new(
                    Reason::DatabaseUnavailable,
                    kind,
                    "Database unavailable: connection lost; retrying",
                )
            },
            StoreError::KeptElsewhere { keeper, .. } => {
                Self { keeper: Some(keeper.as_str().into()), ..Self::new(Reason::KeptElsewhere, kind, full) }
            }
            StoreError::TablesGone { .. } => {
                Self { tables_gone: true, ..Self::new(Reason::SeedingFailed, kind, full) }
            }
            StoreError::Superseded { .. } | StoreError::Stale { .. } | StoreError::Moved { .. } => {
                Self { superseded: true, ..Self::new(Reason::SeedingFailed, kind, full) }
            }
            StoreError::BadUrl(_) => Self::new(Reason::InvalidSpec, kind, full),
            StoreError::SchemaMissing { .. }
            | StoreError::SchemaIncompatible { .. }
            | StoreError::SchemaForeign { .. }
            | StoreError::Unadoptable { .. }
            | StoreError::SchemaBroken { .. }
            | StoreError::Migration { .. } => Self::new(Reason::SchemaIncompatible, kind, full),
            _ => Self::new(Reason::SeedingFailed, kind, full),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_is_cut_and_kept_in_full() {
        let error = SeedingError::new(Reason::SeedingFailed, Kind::Transient, "x".repeat(300));
        assert_eq!(error.message.chars().count(), sentence::LONGEST);
        assert_eq!(error.full().len(), 300);
    }

    #[test]
    fn a_file_that_cannot_be_read_now_is_read_again() {
        let unread =
            Unread { path: "integrations/a/integration.yaml".into(), cause: "object not found".into() };
        let error = SeedingError::unread("catalog", &unread);
        assert_eq!((error.reason, error.kind), (Reason::FetchFailed, Kind::Transient));
        assert_eq!(error.message, "Cannot read integrations/a/integration.yaml: object not found");
        assert_eq!(error.source_name.as_deref(), Some("catalog"));
    }

    #[test]
    fn a_lost_connection_is_a_database_that_is_away() {
        let lost = StoreError::Lost { what: "committing", cause: "the connection was cut".into() };
        let error = SeedingError::from(lost);
        assert_eq!((error.reason, error.kind), (Reason::DatabaseUnavailable, Kind::Transient));
        assert!(error.full().contains("while committing"), "{}", error.full());
    }

    #[test]
    fn rejected_credentials_name_the_host() {
        let error = FetchError::AuthenticationFailed {
            host: "git.acme.example".into(),
            detail: "rejected the credentials".into(),
        };
        let error = SeedingError::fetch("catalog", &error);
        assert_eq!(error.message, "Credentials rejected by git.acme.example");
        assert_eq!((error.reason, error.kind), (Reason::AuthenticationFailed, Kind::Stalled));
    }
}
