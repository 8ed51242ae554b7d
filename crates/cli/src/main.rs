//! The `lsm` command-line tool.

fn main() {}
