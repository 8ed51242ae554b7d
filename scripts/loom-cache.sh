#!/usr/bin/env bash
# Tries every interleaving of the cache's lock-free paths, up to two or three preemptions.
set -euo pipefail
cd "$(dirname "$0")/.."
RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
    cargo test -p cache --lib --release -- loom_tests --nocapture "$@"
