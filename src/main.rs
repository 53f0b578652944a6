//! The `redspan` program.
fn main() {}
