//! Sorted block-index search: which block may hold this key, in the fewest cache lines.
