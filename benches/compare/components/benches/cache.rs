//! `cache` beside published caches. `cargo bench --bench cache -- hits|speed [filter]`.
//!
//! Hit ratios count every request, first touches included. Values are reference-counted and weigh
//! 4096 bytes; each cache may hold the stated share of all items, and decides alone.

#[path = "../../../../crates/cache/benches/traces/mod.rs"]
mod traces;

fn main() {}
