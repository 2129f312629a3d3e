//! The command line, and the wiring of everything.
fn main() {}
