#!/usr/bin/env bash
# scripts/san.sh [address|thread] [CRATE ...]: the tests under a sanitizer, on the nightly toolchain.
# Without a first argument both run. SAN_SECONDS (default 1,800) limits each crate's build and tests. What the thread sanitizer cannot see because the standard
# library is not instrumented is listed in tsan.supp.
set -euo pipefail
cd "$(dirname "$0")/.."

target=$(rustc -vV | sed -n 's/^host: //p')
kinds=(address thread)
case "${1:-}" in address | thread) kinds=("$1"); shift ;; esac
crates=("$@")
[ ${#crates[@]} -gt 0 ] || crates=(fastskip)

export TSAN_OPTIONS="suppressions=$PWD/scripts/tsan.supp ${TSAN_OPTIONS:-}"
for kind in "${kinds[@]}"; do
    flags="-Zsanitizer=$kind"
    [ "$kind" = thread ] && flags+=" -Cunsafe-allow-abi-mismatch=sanitizer"
    for crate in "${crates[@]}"; do
        printf '\n== %s sanitizer: %s\n' "$kind" "$crate"
        tests=(--tests)
        # Of the engine, the histories of many threads; its other tests have one, or real files.
        [ "$kind $crate" = "thread lsm" ] && tests=(--test concurrent)
        RUSTFLAGS="$flags" timeout --foreground "${SAN_SECONDS:-1800}" cargo +nightly test -p "$crate" "${tests[@]}" --no-fail-fast \
            --target "$target" --target-dir "target/$kind"
    done
done
