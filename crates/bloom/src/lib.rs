//! Bloom and static filters over 64-bit hashes, with honest false-positive rates.
