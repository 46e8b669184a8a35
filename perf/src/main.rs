//! `corinth-perf`: the program.

fn main() {}
