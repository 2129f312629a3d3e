//! Files in place of a cluster: what `make run` does, and what the docs say to type.

mod files {
    mod docs;
    mod drifting;
    pub(crate) mod e2e_11_standalone;
    mod rolling_out;
}
