//! The command line as users meet it: the built binary in a checkout.

mod contract;
mod doctor;
mod kit;
mod transcripts;
