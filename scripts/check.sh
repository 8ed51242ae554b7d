#!/usr/bin/env bash
# The one command to remember: format, lints, tidy, tests, doc tests, docs, and instruction counts of the hot
# paths (where there is a valgrind). Everything must be green.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n== %s\n' "$*"; }

step "format";   cargo fmt --all --check
step "lints";    cargo clippy --workspace --all-targets --locked -- -D warnings
step "tidy";     scripts/tidy.sh
step "tests";    cargo test --workspace --all-targets --locked --quiet
step "codecs";   for codecs in "--no-default-features" "--features lzma"; do
    # shellcheck disable=SC2086 # words on purpose: each is the set of codecs of one build
    cargo test -p sstable -p lsm $codecs --locked --quiet --test golden --test damage --test salvage --test codecs
done
step "without C"; no_c="--no-default-features --features lz4,snappy"
# shellcheck disable=SC2086 # words on purpose
if cargo tree -p lsm-cli $no_c --locked -e normal,build --prefix none | grep -E '^(cc|cmake|bindgen|pkg-config) '; then
    echo "the crates above need a C compiler" >&2; exit 1
fi
# shellcheck disable=SC2086 # words on purpose
cargo check -p lsm-cli $no_c --locked --quiet
step "doc tests"; cargo test --workspace --doc --locked --quiet
step "docs";     RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
step "gates";    scripts/gates.sh
step "all green"
