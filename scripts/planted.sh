#!/usr/bin/env bash
# Bugs on purpose, one after the other: the crash simulation must find each of them with the seeds
# that `cargo test` runs. Usage: scripts/planted.sh [BUG ...]
set -euo pipefail
cd "$(dirname "$0")/.."

bugs=("$@")
if [ ${#bugs[@]} -eq 0 ]; then
  mapfile -t bugs < <(sed -n '/^pub(crate) enum Bug/,/^}/s/^    \([A-Z][A-Za-z]*\),$/\1/p' \
    crates/lsm/src/planted.rs)
fi
export RUSTFLAGS="--cfg planted" CARGO_TARGET_DIR=target/planted
binary=$(cargo test -p lsm --test simulation --no-run --message-format=json 2>/dev/null |
  sed -n 's/.*"executable":"\([^"]*simulation-[^"]*\)".*/\1/p' | tail -1)
[ -x "$binary" ] || { echo "the simulation does not build with --cfg planted"; exit 1; }

missed=0
for bug in "${bugs[@]}"; do
  begun=$(date +%s)
  status=0
  out=$(LSM_PLANTED=$bug timeout 600 "$binary" 2>&1) || status=$?
  if [ $status -ne 101 ]; then # the test harness's own "some tests failed"
    printf 'MISSED  %-22s (status %d)\n' "$bug" $status
    missed=1
  else
    found=$(grep -m1 -E '^(seed|assertion|skipped)' <<<"$out" | cut -c1-110 || true)
    printf 'found   %-22s %3d s  %s\n' "$bug" $(($(date +%s) - begun)) "$found"
  fi
done
exit $missed
