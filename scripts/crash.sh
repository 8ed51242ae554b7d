#!/usr/bin/env bash
# Crashes, at length: simulated power cuts and faults, rot, planted bugs, killed processes, power
# cuts on real files, a full file system. Usage: scripts/crash.sh [SECONDS A SUITE, default 60]. A failing suite prints the
# command that replays it.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
kills=$((seconds * 4))

step() { printf '\n== %s\n' "$*"; }
limit() { timeout --foreground $((seconds * 3 + 300)) "$@"; }
suite() { limit cargo test --quiet -p lsm --locked "$@"; }

# The test profile: with overflow checks and debug assertions.
step "build"
cargo test -p lsm --locked --no-run --quiet

# New seeds each day, the same ones all day.
first=$(($(date +%s) / 86400 * 100000000))
export LSM_SIM_SECONDS=$seconds LSM_SIM_FIRST=$first LSM_SIM_SEEDS=100000000
step "simulation: power cuts, from seed $first, $seconds s"
suite --test simulation -- --exact crashes --nocapture
step "simulation: faults and power cuts, $seconds s"
suite --test simulation -- --exact faults_and_crashes --nocapture
unset LSM_SIM_SECONDS LSM_SIM_FIRST
step "rot: flipped, zeroed and missing bytes"
LSM_SIM_SEEDS=$((seconds * 200)) suite --test simulation -- --exact rot_is_never_read_as_data --nocapture
unset LSM_SIM_SEEDS

step "killed processes: $kills in each mode"
LSM_KILLS=$kills LSM_KILL_SEED=$first suite --test kills -- --nocapture --test-threads=1

images=$((seconds * 10))
step "power cuts on real files: $images images in each mode"
LSM_IMAGES=$images LSM_IMAGE_SEED=$first suite --test power_cuts -- --nocapture --test-threads=1

step "no space at any call, in every way"
LSM_OUT_OF_SPACE=all suite --test out_of_space

step "a full file system"
if [ "$(id -u)" = 0 ]; then
  small=$(mktemp -d)
  mount -t tmpfs -o size=16m tmpfs "$small"
  trap 'umount "$small"; rmdir "$small"' EXIT
  LSM_FULL_FOLDER=$small suite --test full_disk -- --ignored --nocapture
else
  echo "left out: only root can mount a small file system"
fi

step "planted bugs: each must be found"
limit scripts/planted.sh
step "crash suites: all green"
