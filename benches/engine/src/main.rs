//! Workloads on `lsm`: YCSB, db_bench's names, the report's mixes.

fn main() {}
