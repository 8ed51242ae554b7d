//! Sharded, byte-weighted, single-flight cache.
