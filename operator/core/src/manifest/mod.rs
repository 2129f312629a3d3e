//! Manifests: from the bytes of a source to what it offers, with every problem on the way.

pub mod tree;
