//! One suite for both engines, both real.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to stop")]

mod bed;
mod drift;
mod faults;
mod fence;
mod foreign;
mod migrations;
mod plans;
mod pooler;
mod retention;
mod rows;
mod scale;
mod settling;
mod tls;
mod touched;
mod trail;
