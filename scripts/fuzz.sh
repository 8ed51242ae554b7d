#!/usr/bin/env bash
# scripts/fuzz.sh [SECONDS] [TARGET...]: fuzzes each target of fuzz/ for that long (default 60).
# Needs a nightly compiler and `cargo install cargo-fuzz`. Starts from the golden files of each
# format; what it finds on the way stays in fuzz/corpus, outside of version control.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo +nightly fuzz list)

for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    case $target in
        table) cp -n ../crates/sstable/tests/golden/*.sst "corpus/$target/" ;;
    esac
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -max_len=65536 \
        -rss_limit_mb=1024 -timeout=10 -print_final_stats=1
done
