//! The seeding, and one controller per resource.
//!
//! Invariant: only this crate writes Kubernetes status, one writer per resource. Files and cluster call the same
//! [`seeding`]; who hands over the Environment and who receives the report is all that differs.

pub mod metrics;
pub mod reason;
pub mod seeding;
