//! Sower's resource types, the source of truth for every document: `Integration` and `Environment` of
//! `sower.dev/v1alpha1`, and what is generated from them.
//!
//! *Invariant*: no I/O and no meaning. The types say what may be written; what it means is said in `core`. What is
//! written by them omits every field equal to its default, so that a new field changes no old hash.

mod defaults;
mod named;
mod text;
mod words;

/// Actions, and the rules of requests that integrations and actions share.
pub mod action;
/// Cases: the examples and contract tests of a manifest.
pub mod case;
/// Connections: what a user has to give, and how a request proves who sends it.
pub mod connection;
/// The CustomResourceDefinitions.
pub mod crd;
/// What is done about drift.
pub mod drift;
/// The JSON Schema for editors.
pub mod editor;
/// The resource `Environment`.
pub mod environment;
/// Freeze windows.
pub mod freeze;
/// The resource `Integration`.
pub mod integration;
/// Notifications: where it is said what became of a push.
pub mod notification;
/// Durations as documents write them.
pub mod period;
/// Promotion between environments.
pub mod promotion;
/// The prune limit.
pub mod prune_limit;
/// The reference pages.
pub mod reference;
/// Requests, and what they are made of.
pub mod request;
/// How long things are kept.
pub mod retention;
/// Rollouts.
pub mod rollout;
/// The schemas, generated from the types.
pub mod schema;
/// Sources: where an Environment's manifests come from.
pub mod source;
mod status;
/// Triggers and events.
pub mod trigger;
/// Webhooks.
pub mod webhook;

pub use crd::{crd_files, environment_crd, integration_crd};
pub use drift::{Drift, DriftMode};
pub use editor::editor_schema;
pub use environment::{Environment, EnvironmentSpec, EnvironmentStatus};
pub use freeze::FreezeWindow;
pub use integration::{Integration, IntegrationSpec, IntegrationStatus};
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
pub use notification::Notification;
pub use period::Period;
pub use promotion::{DependsOn, Promotion};
pub use prune_limit::PruneLimit;
pub use reference::{environment_reference, manifest_reference};
pub use rollout::Rollout;
pub use schema::{environment_schema, integration_schema};
pub use words::UnknownWord;

/// The API group of the resources.
pub const GROUP: &str = "sower.dev";
/// The version of the resources.
pub const VERSION: &str = "v1alpha1";
/// The annotation of an Environment that asks for a seeding, whenever its value is another.
pub const REQUESTED_AT: &str = "sower.dev/requestedAt";
/// The annotation of an Environment that takes it from another keeper, once.
pub const TAKE_OVER: &str = "sower.dev/take-over";
/// The annotation of an Environment that lets it change in spite of its freeze windows, until the time that it holds
/// (RFC 3339).
pub const FREEZE_OVERRIDE: &str = "sower.dev/freeze-override";
/// The annotation of an Integration, in git or in a cluster, whose value `disabled` keeps its rows when it goes from its source.
pub const PRUNE: &str = "sower.dev/prune";
/// The annotation of an Environment that approves a plan, by its hash.
pub const APPROVE: &str = "sower.dev/approve";
/// The annotation of an Environment that says who approved.
pub const APPROVED_BY: &str = "sower.dev/approved-by";
/// The annotation of an Environment that rolls it back, once: to a seeding or a revision, or one integration as
/// `<id>=<version>`; `undo` and `<id>=undo` take it back.
pub const ROLLBACK: &str = "sower.dev/rollback";
/// The annotation of an Environment that says who asks for the rollback.
pub const ROLLED_BACK_BY: &str = "sower.dev/rolled-back-by";
/// The annotation of an Environment that gives a command to the rollout of an integration, once: `<id>=pause`, `resume`,
/// `advance`, `abort` or `retry`. What follows after a blank is no part of it: so the same can be asked twice.
pub const ROLLOUT: &str = "sower.dev/rollout";
/// The annotation of an Environment that says who gives the command.
pub const ROLLOUT_BY: &str = "sower.dev/rollout-by";
/// The annotation of an Environment that lets contents in which the environment that it is promoted from has, once: the ids,
/// joined by `,`.
pub const PROMOTE: &str = "sower.dev/promote";
/// The annotation of an Environment that says who promotes.
pub const PROMOTED_BY: &str = "sower.dev/promoted-by";
/// The annotation of an Integration, in git or in a cluster, that says what is done about its conflicts:
/// `version=override`, of several types joined by `,`. On an Environment it is obeyed once, and names the integration:
/// `slack:version=override`, of several joined by `;`.
pub const RESOLVE: &str = "sower.dev/resolve";
/// The value of `apiVersion` in documents.
pub const API_VERSION: &str = "sower.dev/v1alpha1";
