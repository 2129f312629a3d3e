//! The version range of a dependency, as a manifest brings it.

#![no_main]

mod memory;

use libfuzzer_sys::fuzz_target;
use memory::{MANIFEST, Memory};
use sower_core::manifest::load_file;

fuzz_target!(|range: &str| {
    let range = serde_json::Value::from(format!("other@{range}"));
    let manifest = format!(
        "id: acme\nname: Acme\nversion: 1.0.0\nauthor: Ada\nlicense: Apache-2.0\ndescription: D.\ncategory: [test]\n\
         baseUrl: https://acme.example\ndependencies: [{range}]\n"
    );
    let tree = Memory::new(manifest.as_bytes(), &[]);
    let found = load_file("source", &tree, MANIFEST).expect("it can be read");
    assert_eq!(found.len(), 1);
});
