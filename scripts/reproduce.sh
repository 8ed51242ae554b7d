#!/usr/bin/env bash
# scripts/reproduce.sh: the CS265 report's engine tables (4.2, 4.6 by threads and cache) on this machine, the
# report's figures beside ours, as Markdown. About four minutes with 10 million records.
#
#   --records-max N   the largest row of the table by size (default 10,000,000; 100,000,000 wants
#                     30 GB of disk and half an hour)
#   --seconds S       the longest that one workload takes (default 3)
#
# The other tables have commands of their own, named in docs/reproduction.md; 4.7 is scripts/compare.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --locked -q -p engine-bench --bin reproduce
exec "${CARGO_TARGET_DIR:-target}/release/reproduce" "$@"
