#!/usr/bin/env bash
# A load of twenty times the memory budget, for two budgets, each in a process of its own whose peak
# of resident memory must stay within the budget and a tenth, and which the system refuses much more
# writable memory (the test sets RLIMIT_DATA): by one writer, and with readers, open iterators and
# several families. As root, then again in a control group that may hold no more, file cache
# included. `scripts/memory.sh 4` does all of it four times. About five minutes each time.
set -euo pipefail
cd "$(dirname "$0")/.."
run() {
    cargo test -p lsm --test memory_budget --locked --release -- --nocapture --test-threads=1
}
for _ in $(seq "${1:-1}"); do
    for mib in 32 96; do
        LSM_BUDGET_MIB=$mib LSM_BUDGET_TIMES=20 run
    done
done
if [ "$(id -u)" = 0 ]; then
    LSM_BUDGET_CGROUP=1 LSM_BUDGET_MIB=32 LSM_BUDGET_TIMES=20 run
fi
