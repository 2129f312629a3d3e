//! Manifests: from the files of a source to what it offers, with every problem on the way.
//!
//! A file becomes a [`tree`], a document of the tree is told apart by its form, held against the [`shape`](self) of the
//! format, then against what its parts mean to each other. Only a document without an error becomes its canonical bytes.
//! Problems are gathered in one pass and never stop the reading.

mod address;
mod annotations;
mod bounds;
mod canonical;
mod document;
mod empty;
mod environment;
mod file;
mod integration;
mod load;
mod minded;
mod report;
mod schema;
mod semantic;
mod shape;
mod structure;
mod summary;
mod texts;
pub mod tree;
mod written;
mod yaml;

pub use address::{Server, server};
pub use annotations::ANNOTATIONS;
pub use canonical::{canonical, checksum};
pub use document::is_named;
pub use empty::empty_files;
pub use environment::{LoadedEnvironment, load_environments};
pub use load::{Limits, ResourceEntry, load, load_file, load_resources, load_value};
pub use minded::Unread;
pub use report::is_cut;
pub(crate) use texts::is_range;
pub use written::{Written, written};

/// Compiles the format, once. The first manifest would do it: this is for whoever waits for something else before.
pub fn prepare() {
    shape::integration();
}

#[cfg(test)]
mod tests;
