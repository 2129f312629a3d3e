//! A file of Environments.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sower_core::manifest::load_environments;

fuzz_target!(|bytes: &[u8]| {
    let _ = load_environments("environments/production.yaml", bytes);
});
