//! The kit (control plane, PostgreSQL, git server), the end-to-end suites and the benches.
//!
//! Every server is the real program. It listens on a free loopback port, is started once in a test
//! binary and shared by its tests, each of which takes its own namespace, database or repository.
//! *Invariant: nothing that was started outlives the test binary*, however that ends; see [`process`].

pub mod bed;
pub mod catalog;
pub mod certificates;
pub mod control_plane;
pub mod expected;
pub mod forge;
pub mod git_server;
pub mod namespace;
pub mod operator;
pub mod postgres;
pub mod process;
pub mod prometheus;
pub mod repository;
pub mod sower;
pub mod ssh_server;
pub mod tables;
pub mod wait;
