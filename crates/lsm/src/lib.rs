//! An embedded LSM-tree storage engine: crash-proof, bounded in memory, pleasant to read.
