#!/usr/bin/env bash
# scripts/gates.sh: instructions a call of the hot paths, counted by callgrind, against scripts/gates.txt.
# A noise-free gate: fails where a path takes over 5 % more than is written there. About a minute.
#
#   --update   writes what was counted into scripts/gates.txt
#   --install  may install valgrind (apt-get)
#
# Counts depend on the processor's features and the C library: the file has the counts of each kind of
# processor it was made on (path, instructions, processor), and a kind it does not know is told, but not failed.
set -euo pipefail
cd "$(dirname "$0")/.."

update=no
for argument in "$@"; do
    case $argument in
        --update) update=yes ;;
        --install)
            if ! command -v valgrind >/dev/null; then
                sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
                $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends valgrind
            fi ;;
        *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
done
if ! command -v valgrind >/dev/null; then
    echo "############ gates: NOT CHECKED, there is no valgrind; scripts/gates.sh --install ############" >&2
    exit 0
fi

cargo build --release --locked -q -p engine-bench --bin gates
profile=$(mktemp)
trap 'rm -f "$profile" "$profile".*' EXIT
calls=$(timeout 600 valgrind --quiet --tool=callgrind --callgrind-out-file="$profile" \
    --collect-atstart=no --toggle-collect='*gate_*' "${CARGO_TARGET_DIR:-target}/release/gates")
counts=$(callgrind_annotate --inclusive=yes --threshold=100 "$profile" 2>/dev/null)
model=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -1)

bad=0 judged=no lines=()
printf '%-14s %12s %12s %8s\n' path instructions allowed change
while read -r gate number; do
    # The first line that names the function; its count has commas.
    total=$(awk -v gate="gate_$gate" 'index($0, gate "\047") == 0 && $0 ~ gate "([^a-z0-9_]|$)" { gsub(",", "", $1); print $1; exit }' <<<"$counts")
    [ -n "$total" ] || { echo "gates: no count for $gate" >&2; exit 1; }
    count=$((total / number))
    lines+=("$gate $count $model")
    known=$(awk -v gate="$gate" -v model="$model" '{ name = $0; sub(/^[^ ]+ [^ ]+ /, "", name) }
        $1 == gate && name == model { print $2 }' scripts/gates.txt)
    [ -z "$known" ] || judged=yes
    [ -n "$known" ] || known=$count
    change=$(( (count - known) * 1000 / known ))
    verdict=; [ $change -le 50 ] || { verdict='  MORE THAN 5 %'; bad=1; }
    [ $change -ge -50 ] || verdict='  less: update the file'
    printf '%-14s %12d %12d %+7d.%d%%%s\n' "$gate" "$count" "$known" $((change / 10)) $((${change#-} % 10)) "$verdict"
done <<<"$calls"
if [ $update = yes ]; then
    kept=$(awk -v model="$model" '{ name = $0; sub(/^[^ ]+ [^ ]+ /, "", name) } name != model' scripts/gates.txt)
    printf '%s\n' "$kept" "${lines[@]}" >scripts/gates.txt
    exit 0
fi
if [ $judged = no ]; then
    echo "############ gates: no counts of this processor, not judged; scripts/gates.sh --update ############" >&2
fi
exit $bad
