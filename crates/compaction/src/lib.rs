//! LSM-tree compaction: what to merge, what survives, and what it will cost.
