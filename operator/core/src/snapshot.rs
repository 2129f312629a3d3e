//! What a source hands over: files at one pinned revision.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One file of a snapshot, without its content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileEntry {
    /// Path from the root of the tree, `/`-separated. What is no UTF-8 in a name is U+FFFD here: see [`is_lossy`].
    pub path: String,
    /// Git blob id (40 or 64 hex digits), whatever the source.
    pub blob: String,
    /// Bytes.
    pub size: u64,
}

/// Whether a path stands for a name that is not UTF-8. No row can hold such a name, and two of them may look alike.
#[must_use]
pub fn is_lossy(path: &str) -> bool {
    path.contains(char::REPLACEMENT_CHARACTER)
}

/// Why a file of a snapshot cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No such file in the snapshot.
    #[error("no such file in the snapshot")]
    NotFound,
    /// The file is larger than a source may hand over.
    #[error("{size} bytes; at most {limit} are read")]
    TooLarge {
        /// Bytes found.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The storage beneath failed.
    #[error("{0}")]
    Io(String),
}

/// A source's files at one pinned revision.
pub trait Tree: Send + Sync {
    /// The files below the source's path, sorted by path.
    fn files(&self) -> &[FileEntry];
    /// One file's entry: any path inside the tree, also outside the source's path. None: there is no such file.
    ///
    /// # Errors
    /// [`ReadError::Io`] where that cannot be told now.
    fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError>;
    /// One file's bytes, bounded in size.
    ///
    /// # Errors
    /// [`ReadError`] where the path is not a file of the tree, is too large, or cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadError>;
}

/// One revision of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Branch or tag; `folder` or `cluster` where there is no git.
    pub label: String,
    /// `sha1:<40 hex>` of a commit, `sha256:<64 hex>` of anything else.
    pub digest: String,
    /// The files differ from the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
}

impl Revision {
    /// The commit, where it is one.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.digest.strip_prefix("sha1:")
    }

    /// The long form, for JSON and status: `main@sha1:<40 hex>`.
    #[must_use]
    pub fn full(&self) -> String {
        format!("{}@{}{}", self.label, self.digest, if self.dirty { "-dirty" } else { "" })
    }

    /// Reads the long form back.
    #[must_use]
    pub fn parse(full: &str) -> Option<Self> {
        let (label, digest) = full.rsplit_once('@')?;
        let (digest, dirty) = match digest.strip_suffix("-dirty") {
            Some(clean) => (clean, true),
            None => (digest, false),
        };
        digest.contains(':').then(|| Self { label: label.into(), digest: digest.into(), dirty })
    }
}

impl fmt::Display for Revision {
    /// The short form, for people: `main@3f2c1a9`, `main@3f2c1a9-dirty`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = self.digest.rsplit(':').next().unwrap_or_default();
        write!(f, "{}@{}", self.label, hex.get(..7).unwrap_or(hex))?;
        if self.dirty { f.write_str("-dirty") } else { Ok(()) }
    }
}

/// The short form of an environment's revision: one source's alone, several as `name=revision,…`.
#[must_use]
pub fn short_revision<'a>(sources: impl IntoIterator<Item = (&'a str, &'a Revision)>) -> String {
    let all: Vec<_> = sources.into_iter().collect();
    match all.as_slice() {
        [(_, only)] => only.to_string(),
        several => several.iter().map(|(name, r)| format!("{name}={r}")).collect::<Vec<_>>().join(","),
    }
}

/// The long form of an environment's revision, in the manner of [`short_revision`].
#[must_use]
pub fn full_revision<'a>(sources: impl IntoIterator<Item = (&'a str, &'a Revision)>) -> String {
    let all: Vec<_> = sources.into_iter().collect();
    match all.as_slice() {
        [(_, only)] => only.full(),
        several => {
            several.iter().map(|(name, r)| format!("{name}={}", r.full())).collect::<Vec<_>>().join(",")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_written_short_and_long() {
        let digest = format!("sha1:{}", "3f2c1a9d4b".repeat(4));
        let revision = Revision { label: "main".into(), digest, dirty: true };
        assert_eq!(revision.to_string(), "main@3f2c1a9-dirty");
        assert_eq!(Revision::parse(&revision.full()), Some(revision.clone()));
        assert_eq!(
            short_revision([("a", &revision), ("b", &revision)]),
            "a=main@3f2c1a9-dirty,b=main@3f2c1a9-dirty"
        );
    }
}
