//! A manifest, and after a NUL the JSON file that it may refer to as `schemas/thing.json`.
//!
//! What is valid has canonical bytes, and they are JSON.

#![no_main]

mod memory;

use libfuzzer_sys::fuzz_target;
use memory::{MANIFEST, Memory};
use sower_core::manifest::load_file;

fuzz_target!(|bytes: &[u8]| {
    let (manifest, schema) = match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let tree = Memory::new(manifest, &[("integrations/acme/schemas/thing.json", schema)]);
    for found in load_file("source", &tree, MANIFEST).expect("they can be read") {
        if found.is_valid() {
            let text = found.manifest.expect("what is valid has canonical bytes");
            serde_json::from_str::<serde_json::Value>(&text).expect("JSON");
        } else {
            assert!(found.problems.iter().any(|problem| problem.is_error()), "refused without a word");
        }
    }
});
