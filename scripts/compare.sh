#!/usr/bin/env bash
# scripts/compare.sh: lsm beside other storage engines, on one machine, in one run.
#
#   --quick     the goal table, engines that build without system packages (default; 15 minutes with building)
#   --goals     the goal table, steadier: longer workloads (2.5 minutes an engine)
#   --full      every workload three times (20 minutes an engine)
#   --more      also LevelDB and WiredTiger (the system's libraries)
#   --rocksdb   also RocksDB, compiled from source (half an hour of two idle cores)
#   --rocksdb-system   also RocksDB, the system's library, in its place
#   --install   may install the system packages that these need (apt-get)
#   --engines A,B      only these
#   --docs      writes the plots into docs/
#
# Results are kept in benches/compare/target/compare-*.json; the tables go to the standard output.
set -euo pipefail
cd "$(dirname "$0")/../benches/compare"

form=quick features=() packages=() install=no engines=() plots=()
while [ $# -gt 0 ]; do
    case $1 in
        --quick | --goals | --full) form=${1#--} ;;
        --more) features+=(leveldb wiredtiger); packages+=(libleveldb-dev libwiredtiger-dev) ;;
        --rocksdb) features+=(rocksdb); packages+=(libclang-dev) ;;
        --rocksdb-system) features+=(rocksdb-system); packages+=(librocksdb-dev) ;;
        --install) install=yes ;;
        --engines) engines=(--engines "$2"); shift ;;
        --docs) plots=(--plots ../../docs) ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done

if [ $install = yes ] && [ ${#packages[@]} -gt 0 ]; then
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    command -v apt-get >/dev/null || { echo "compare: no apt-get here; install ${packages[*]}" >&2; exit 1; }
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${packages[@]}"
fi

cargo build --release --locked -p engines ${features[0]:+--features "$(IFS=,; echo "${features[*]}")"}
program=${CARGO_TARGET_DIR:-target}/release/engines
goals=fillseq,points,fill2,fillbatch,sync,reopen,overload
case $form in
    quick) run=(--groups $goals --read-seconds 0.7 --fill-seconds 2.5 --patience 120) ;;
    goals) run=(--groups $goals --read-seconds 1.5 --fill-seconds 6 --patience 200) ;;
    full) run=(--repeat 3 --read-seconds 3 --fill-seconds 10 --patience 600) ;;
esac
out=${CARGO_TARGET_DIR:-target}/compare-$form.json
rm -f "$out"
"$program" run "${run[@]}" "${engines[@]}" --out "$out"
"$program" report "$out" "${plots[@]}"
