//! `sower seed` and `sower plan` as a user meets them: the built binary on a checkout and SQLite.

#[path = "../checkout/mod.rs"]
mod checkout;

mod adopting;
mod approval;
mod between;
mod compatibility;
mod conflicts;
mod drift;
mod environments;
mod exporting;
mod foreign;
mod freeze;
mod guards;
mod manifests;
mod past;
mod promotion;
mod pruning;
mod reporting;
mod resolving;
mod rollback;
mod rolling;
mod rollouts;
mod seeded;
mod sources;
mod usage;
