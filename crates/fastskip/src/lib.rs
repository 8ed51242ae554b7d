//! Lock-free, arena-backed, multi-version skip list: the memtable of an LSM tree.
