//! What is known of the cluster: stores of its resources, kept whole by watches, and who is woken by a change.
//!
//! Invariant: watching goes on whether or not this process leads. Only Secrets' and Integrations' metadata is kept; specs
//! of Integrations are read by page when a source needs them.

mod deletions;
mod gather;
mod queue;
mod scope;
mod seen;
mod watch;

pub use queue::{Queue, queued};
pub use scope::{Guarded, Scope, Scopes, Slim, cluster_sources, selector_of};
pub use seen::{Change, Seen};
