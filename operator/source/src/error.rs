//! Why a source could not be read, in words that name no secret.

use serde::{Deserialize, Serialize};

/// Why a source has no snapshot. The texts hold no password, token or user part of a URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum FetchError {
    /// The server does not take the credentials, wants some, or shows an SSH host key that is not known.
    #[error("{host} {detail}")]
    AuthenticationFailed {
        /// Host of the repository.
        host: String,
        /// What went wrong, to be read after the host: `rejected the credentials`.
        detail: String,
    },
    /// The repository, branch, tag, version or commit is not there.
    #[error("{what} not found in {place}")]
    NotFound {
        /// What was looked for: `branch \`main\``.
        what: String,
        /// Where: the URL without its user part, or the folder.
        place: String,
    },
    /// No answer: name resolution, connection, or TLS.
    #[error("{host} does not answer: {detail}")]
    Unreachable {
        /// Host of the repository.
        host: String,
        /// What the network said.
        detail: String,
    },
    /// An answer, but none of use: the server's own failure, or something else than git.
    #[error("{host} {detail}")]
    Unusable {
        /// Host of the repository.
        host: String,
        /// What came, to be read after the host: `answered with HTTP status 503`.
        detail: String,
    },
    /// No end within [`crate::Limits::timeout`].
    #[error("{host} did not finish within {seconds}s")]
    TimedOut {
        /// Host of the repository.
        host: String,
        /// The limit.
        seconds: u64,
    },
    /// More than the limits allow.
    #[error("{what} is larger than allowed: {detail}")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit, in words.
        detail: String,
    },
    /// The caller gave up.
    #[error("cancelled")]
    Cancelled,
    /// The request itself cannot be right: a URL, a reference or a path.
    #[error("{detail}")]
    BadRequest {
        /// What is wrong with it.
        detail: String,
    },
    /// This side failed: a disk, a process, a broken mirror.
    #[error("{detail}")]
    Io {
        /// What failed.
        detail: String,
    },
}

/// Words of libgit2 for a server that did answer.
const ANSWERED: [&str; 5] =
    ["could not read refs", "content-type", "http parser error", "redirect", "remote error"];

/// What helps against an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nothing, until the user changes the spec, the Secret or the repository.
    Stalled,
    /// Trying again.
    Transient,
}

impl FetchError {
    /// Whether trying again can help.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::AuthenticationFailed { .. }
            | Self::NotFound { .. }
            | Self::TooLarge { .. }
            | Self::BadRequest { .. } => ErrorKind::Stalled,
            Self::Unreachable { .. }
            | Self::Unusable { .. }
            | Self::TimedOut { .. }
            | Self::Cancelled
            | Self::Io { .. } => ErrorKind::Transient,
        }
    }

    /// A connection that brought nothing of use, of which libgit2 said `said`; `gave` where credentials were given.
    pub(crate) fn connection(host: String, said: String, gave: bool) -> Self {
        if let Some((_, status)) = said.split_once("status code: ") {
            return Self::Unusable { host, detail: format!("answered with HTTP status {status}") };
        }
        if ANSWERED.iter().any(|words| said.contains(words)) {
            let to = if gave { " to the credentials" } else { "" };
            return Self::Unusable { host, detail: format!("gave no usable answer{to}: {said}") };
        }
        Self::Unreachable { host, detail: said }
    }

    pub(crate) fn io(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Io { detail: format!("{what}: {error}") }
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::BadRequest { detail: detail.into() }
    }

    /// The same error with every text passed through `clean`.
    pub(crate) fn map_texts(self, clean: impl Fn(&str) -> String) -> Self {
        match self {
            Self::AuthenticationFailed { host, detail } => {
                Self::AuthenticationFailed { host: clean(&host), detail: clean(&detail) }
            }
            Self::NotFound { what, place } => Self::NotFound { what: clean(&what), place: clean(&place) },
            Self::Unreachable { host, detail } => {
                Self::Unreachable { host: clean(&host), detail: clean(&detail) }
            }
            Self::Unusable { host, detail } => Self::Unusable { host: clean(&host), detail: clean(&detail) },
            Self::TimedOut { host, seconds } => Self::TimedOut { host: clean(&host), seconds },
            Self::TooLarge { what, detail } => Self::TooLarge { what: clean(&what), detail: clean(&detail) },
            Self::Cancelled => Self::Cancelled,
            Self::BadRequest { detail } => Self::BadRequest { detail: clean(&detail) },
            Self::Io { detail } => Self::Io { detail: clean(&detail) },
        }
    }
}
