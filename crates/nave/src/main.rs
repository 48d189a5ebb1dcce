//! The one binary: config, flags, wiring.

fn main() {}
