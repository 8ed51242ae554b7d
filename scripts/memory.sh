#!/usr/bin/env bash
# A load of twenty times the memory budget, for two budgets, each in a process of its own whose peak
# of resident memory must stay within the budget and a tenth, and which the system refuses much more
# writable memory (the test sets RLIMIT_DATA). About two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
for mib in 32 96; do
    LSM_BUDGET_MIB=$mib LSM_BUDGET_TIMES=20 \
        cargo test -p lsm --test memory_budget --locked --release -- --nocapture
done
