//! The seeding, and one controller per resource.
//!
//! Invariant: only this crate writes Kubernetes status, one writer per resource. Files and cluster call the same
//! [`seeding`]; who hands over the Environment and who receives the report is all that differs.

pub mod api_server;
pub mod asking;
pub mod cluster;
pub mod cluster_source;
pub mod doors;
pub mod drift;
pub mod environment;
pub mod events;
pub mod integration;
pub mod lease;
pub mod metrics;
pub mod notify;
pub mod operator;
pub mod reason;
pub mod rollout;
pub mod secrets;
pub mod seeding;
pub mod status;
pub mod stores;
pub mod term;
mod web;
pub mod writing;
