//! The reasons of Ready: a closed, ordered list. Where several hold, the first wins.

use std::fmt;

/// Why an environment is, or is not, Ready; in order of precedence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The spec cannot be carried out.
    InvalidSpec,
    /// Another keeper seeds this environment.
    KeptElsewhere,
    /// The tables are newer than this Sower, or not Sower's.
    SchemaIncompatible,
    /// The database does not answer.
    DatabaseUnavailable,
    /// The source rejects the credentials, or the Secret is missing.
    AuthenticationFailed,
    /// The repository or the ref is not there.
    SourceNotFound,
    /// The source holds no manifest.
    SourceEmpty,
    /// The source cannot be fetched now.
    FetchFailed,
    /// Another environment is not as this one wants it.
    DependencyNotReady,
    /// The plan deletes more than pruneLimit.
    PruneLimitExceeded,
    /// The plan waits until somebody approves it.
    ApprovalRequired,
    /// The plan changes an integration in a freeze window.
    Frozen,
    /// The seeding failed; nothing was written.
    SeedingFailed,
    /// Some manifests are refused; the others are in, unless the spec is strict.
    ManifestsInvalid,
    /// `spec.suspend` is true.
    Suspended,
    /// The database holds what git says.
    Seeded,
}

/// The condition that goes with a reason that is not Ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Waits for someone to change something.
    Stalled,
    /// Is retried by itself.
    Reconciling,
    /// Neither.
    Neither,
}

impl Reason {
    /// As conditions, events and metrics name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidSpec => "InvalidSpec",
            Self::KeptElsewhere => "KeptElsewhere",
            Self::SchemaIncompatible => "SchemaIncompatible",
            Self::DatabaseUnavailable => "DatabaseUnavailable",
            Self::AuthenticationFailed => "AuthenticationFailed",
            Self::SourceNotFound => "SourceNotFound",
            Self::SourceEmpty => "SourceEmpty",
            Self::FetchFailed => "FetchFailed",
            Self::DependencyNotReady => "DependencyNotReady",
            Self::PruneLimitExceeded => "PruneLimitExceeded",
            Self::ApprovalRequired => "ApprovalRequired",
            Self::Frozen => "Frozen",
            Self::SeedingFailed => "SeedingFailed",
            Self::ManifestsInvalid => "ManifestsInvalid",
            Self::Suspended => "Suspended",
            Self::Seeded => "Seeded",
        }
    }

    /// Whether a source is to blame.
    #[must_use]
    pub fn is_source(self) -> bool {
        matches!(
            self,
            Self::AuthenticationFailed | Self::SourceNotFound | Self::SourceEmpty | Self::FetchFailed
        )
    }

    /// The condition beside Ready.
    #[must_use]
    pub fn with(self) -> With {
        match self {
            Self::InvalidSpec
            | Self::KeptElsewhere
            | Self::SchemaIncompatible
            | Self::AuthenticationFailed
            | Self::SourceNotFound
            | Self::SourceEmpty
            | Self::PruneLimitExceeded
            | Self::ManifestsInvalid => With::Stalled,
            Self::DatabaseUnavailable
            | Self::FetchFailed
            | Self::DependencyNotReady
            | Self::ApprovalRequired
            | Self::Frozen
            | Self::SeedingFailed => With::Reconciling,
            Self::Suspended | Self::Seeded => With::Neither,
        }
    }

    /// Ready's status; none: as it was.
    #[must_use]
    pub fn ready(self) -> Option<bool> {
        match self {
            Self::Suspended => None,
            Self::Seeded => Some(true),
            _ => Some(false),
        }
    }

    /// What Stalled or Reconciling say beside it, where the verdict has nothing else to say.
    #[must_use]
    pub fn waits_for(self) -> &'static str {
        match self {
            Self::InvalidSpec => "Waits for a change of the spec",
            Self::KeptElsewhere => "Waits for the other keeper to let go, or for sower.dev/take-over",
            Self::SchemaIncompatible => "Waits for an upgrade of Sower",
            Self::AuthenticationFailed => "Waits for a change of the Secret or the spec",
            Self::SourceNotFound | Self::SourceEmpty => "Waits for a push or a change of the spec",
            Self::PruneLimitExceeded => "Waits for an approval of the plan or for another push",
            Self::ApprovalRequired => "Waits for an approval of the plan",
            Self::Frozen => "Waits for the end of the freeze, or for sower.dev/freeze-override",
            Self::ManifestsInvalid => "Waits for a push that mends them; the valid ones are in",
            Self::DependencyNotReady => "Waits for the other environment",
            Self::DatabaseUnavailable | Self::FetchFailed | Self::SeedingFailed => "Is tried again by itself",
            Self::Suspended | Self::Seeded => "",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
