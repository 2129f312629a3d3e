//! The address of a repository, of an Environment or of `--source`.
//!
//! What is taken is taken again, and shows no password.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sower_source::{Address, Credentials, Location};

fuzz_target!(|text: &str| {
    let _ = Location::parse(text);
    for local in [false, true] {
        let mut credentials = Credentials::default();
        let Ok(address) = Address::parse(text, local, &mut credentials) else { continue };
        assert!(local || !address.local, "a place on this disk");
        let mut none = Credentials::default();
        let again = Address::parse(&address.url, local, &mut none);
        let again = again.expect("it was taken once");
        // A path of this disk may have `..` in it, which goes away.
        assert!(again == address || address.local, "{again:?} instead of {address:?}");
        assert!(none.password.is_none(), "a password stayed in the URL");
    }
});
