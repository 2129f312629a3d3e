//! Git repositories, checkouts and folders as snapshots: values of [`sower_core::snapshot::Tree`] with a
//! [`sower_core::snapshot::Revision`].
//!
//! Invariant: only this crate touches git. A fetch runs in a child process ([`fetch_child_main`]); a mirror is read
//! only through the [`Fetched`] of a fetch that succeeded with the same credentials; no text leaving here holds a
//! secret. It knows nothing of manifests, Kubernetes or SQL.

mod address;
mod author;
mod checkout;
mod child;
mod credentials;
mod error;
mod fetch;
mod folder;
mod history;
mod limits;
mod memory;
mod mirror;
mod objects;
mod place;
mod refs;
mod request;
mod tree;
mod walk;
mod watch;

pub use address::{Address, Location, Web, is_ssh};
pub use author::user_name;
pub use checkout::Checkout;
pub use child::fetch_child_main;
pub use credentials::Credentials;
pub use error::{ErrorKind, FetchError};
pub use fetch::{Fetched, Fetcher};
pub use folder::{Folder, FolderTree};
pub use history::CommitInfo;
pub use limits::Limits;
pub use mirror::remove_unused;
pub use request::{FetchRequest, Reference};
pub use tree::GitTree;
pub use watch::{Changed, Watch};

/// Starts libgit2 for this whole process. The first use would do it: this is for whoever waits for something else before.
/// Reads the system's certificates, and stops libgit2 from hashing every object anew whenever it is read, as git itself
/// does not: a fetch hashes what it receives.
pub fn prepare() {
    git2::opts::strict_hash_verification(false);
}
