//! Rollouts in time: each is looked at when it is due, and moves, completes or goes back.
//!
//! What becomes of one is decided by [`sower_core::rollout::machine`]; here is what it takes: the evidence, and the writes.

mod commands;
mod evidence;
pub mod prometheus;
mod questions;
mod steps;
mod writing;

pub use commands::{CommandError, Commanded};
pub use evidence::{NoSecrets, SecretData, Secrets};
pub use questions::Questions;
pub use steps::{Change, Stepped, Steps};
