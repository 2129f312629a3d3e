//! One suite for both engines, both real.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to stop")]

mod account;
mod adopt;
mod ageing;
mod bed;
mod beside;
mod drift;
mod faults;
mod fence;
mod foreign;
mod hand;
mod hints;
mod mending;
mod migrations;
mod plans;
mod pooler;
mod promotion;
mod resolve;
mod retention;
mod rollback;
mod rollouts;
mod rows;
mod scale;
mod settling;
mod takeover;
mod tls;
mod touched;
mod trail;
mod usage;
