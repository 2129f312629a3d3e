//! Sower's pure core: manifests, validation, selection, resolution, conflicts and diff.
//!
//! Invariant: no I/O, no async, no Kubernetes client, no SQL and no clock (time is an argument). Functions return values
//! plus a list of problems and never stop at the first bad manifest. Bytes come in through [`snapshot::Tree`].

pub mod adopt;
mod agree;
pub mod between;
pub mod blame;
pub mod catalog;
pub mod compare;
pub mod compatibility;
pub mod composite;
pub mod condition;
pub mod conflict;
mod cycle;
mod depend;
pub mod diff;
pub mod drift;
pub mod expression;
pub mod figures;
pub mod freeze;
pub mod gate;
pub mod hand;
pub mod hash;
pub mod manifest;
pub mod merge;
pub mod merges;
pub mod plan;
pub mod problem;
pub mod promotion;
mod prune;
pub mod quarantine;
pub mod report;
pub mod resolution;
pub mod resolve;
pub mod rollback;
pub mod rollout;
pub mod rows;
pub mod rule;
pub mod select;
pub mod sentence;
pub mod snapshot;
pub mod usage;
pub mod usage_report;
