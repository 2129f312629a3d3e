//! How much of a foreign repository is taken in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds on what one source may cost. Everything beyond is [`crate::FetchError::TooLarge`] or, for one file,
/// [`sower_core::snapshot::ReadError::TooLarge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time for a server's first answer; and for all of a fetch whose request names no time of its own.
    pub timeout: Duration,
    /// Bytes received by one fetch; bytes of all files of one folder.
    pub max_bytes: u64,
    /// Files below a source's path.
    pub max_files: usize,
    /// Bytes of one file that is read.
    pub max_blob: u64,
    /// Commits that a shallow mirror is deepened to.
    pub max_depth: u32,
    /// Bytes of memory of the process that fetches. Where its cgroup allows less, less.
    pub max_memory: u64,
    /// Bytes of all mirrors together: beyond it those go that were not used for longest.
    pub max_cache: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            max_bytes: 512 << 20,
            max_files: 500_000,
            max_blob: 5 << 20,
            max_depth: 50,
            max_memory: 2 << 30,
            // Half of the volume that the chart makes for them: fetches that run take room too.
            max_cache: 1 << 30,
        }
    }
}
