//! The `elenchus` program.
fn main() {}
