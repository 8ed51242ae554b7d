#!/usr/bin/env bash
# scripts/model.sh [STEPS [SEED]]: the model test of crate lsm at length, optimised: random operations on
# several families against maps, STEPS in all (default 2,000,000) in seeds of 20,000 from SEED (default 1000) on.
# A failing seed prints the command that replays it.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=${1:-2000000} first=${2:-1000} each=20000
seeds=$(( (steps + each - 1) / each ))
begun=$(date +%s)
LSM_MODEL_FIRST=$first LSM_MODEL_SEEDS=$seeds LSM_MODEL_STEPS=$each \
    nice -n 15 cargo test --release --locked -q -p lsm --test model -- --exact random_operations_agree_with_a_map
echo "model: $((seeds * each)) steps, seeds $first to $((first + seeds - 1)), in $(( $(date +%s) - begun )) s"
