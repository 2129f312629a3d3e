//! A text with `${...}` in it, and what stands within as an expression of every place.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use sower_core::expression::{Place, Scope, check, split};

fuzz_target!(|text: &str| {
    let _ = split(text);
    let known: BTreeSet<String> = ["channel", "text"].map(str::to_owned).into();
    for place in Place::ALL {
        for inputs in [None, Some(&known)] {
            let scope = Scope { place, owner: "action `a`", inputs, credentials: &known, webhooks: &known };
            let (_, findings) = check(text, &scope);
            for finding in findings {
                let span = finding.offset..finding.offset + finding.len;
                assert!(text.get(span).is_some(), "{finding:?} is not in the text");
            }
        }
    }
});
