#!/usr/bin/env bash
# scripts/loom.sh [CRATE ...]: every interleaving of the lock-free parts, under loom's memory model.
# LOOM_MAX_PREEMPTIONS (default 3) bounds the search; more finds more and takes longer.
set -euo pipefail
cd "$(dirname "$0")/.."

crates=("$@")
[ ${#crates[@]} -gt 0 ] || crates=(fastskip)
for crate in "${crates[@]}"; do
    RUSTFLAGS="--cfg loom" cargo test -p "$crate" --release --test loom --target-dir target/loom
done
