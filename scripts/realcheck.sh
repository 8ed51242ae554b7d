#!/usr/bin/env bash
# scripts/realcheck.sh DIR [LSM OPTION...]: the real data sets, loaded and compared record by record.
#
# Makes the sets of scripts/realdata.sh in DIR if they are not there, then for each: loads it into a fresh
# database, reopens it in another process, and compares every record with the source, by `get` and by one ordered
# scan; checks every byte of every table. Prints times, rates, sizes, and the most memory (resident) that each
# process had. Options of `lsm`, such as --write-buffer 4MiB, are used for all of it. Fails at the first difference.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."

cargo build --release --locked --quiet --bin lsm
lsm=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/lsm

for set in wordnet unihan packages; do
    [ -f "$dir/$set.tsv" ] || scripts/realdata.sh "$dir" "$set"
done

number() { sed "s/.*\"$1\":\([0-9.e-]*\).*/\1/"; } # number NAME: its value in a line of JSON
mebibytes() { awk -v bytes="$1" 'BEGIN { printf "%.1f", bytes / 1048576 }'; }

printf '%-9s %10s %8s | %8s %10s %8s | %8s %8s %10s %8s | %8s %8s\n' \
    set records MiB load_s rec/s peak_MiB open_ms get_s scan_s peak_MiB disk_MiB verify_s
for set in wordnet unihan packages; do
    db=$dir/$set.db
    rm -rf "$db"
    load=$("$lsm" --json -d "$db" "$@" load "$dir/$set.tsv")
    compare=$("$lsm" --json -d "$db" "$@" compare "$dir/$set.tsv")
    verify=$("$lsm" --json -d "$db" "$@" verify)
    records=$(number records <<< "$load")
    seconds=$(number seconds <<< "$load")
    printf '%-9s %10d %8s | %8.2f %10.0f %8s | %8.1f %8.2f %10.2f %8s | %8s %8.2f\n' \
        "$set" "$records" "$(mebibytes "$(number bytes <<< "$load")")" \
        "$seconds" "$(awk -v n="$records" -v s="$seconds" 'BEGIN { print n / s }')" \
        "$(mebibytes "$(number memory_peak_bytes <<< "$load")")" \
        "$(awk -v s="$(number open_seconds <<< "$compare")" 'BEGIN { print s * 1000 }')" \
        "$(number get_seconds <<< "$compare")" "$(number scan_seconds <<< "$compare")" \
        "$(mebibytes "$(number memory_peak_bytes <<< "$compare")")" \
        "$(du -sk "$db" | awk '{ printf "%.1f", $1 / 1024 }')" "$(number seconds <<< "$verify")"
done
echo "all records equal"
