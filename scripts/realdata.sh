#!/usr/bin/env bash
# scripts/realdata.sh DIR [SET...]: larger real data sets, made from Debian packages by ordinary clients.
#
#   wordnet.tsv    272,946 records   English words and senses, WordNet 3.0       package wordnet-base
#   unihan.tsv   1,437,651 records   facts about Chinese characters, Unicode 15  package unicode-data
#   packages.tsv  about 63,000       one stanza for each package apt knows       apt-cache dumpavail
#
# Each line is key TAB value; tab, newline, return, NUL and backslash inside them are written
# \t \n \r \0 \\, as `lsm load` reads them. Keys:
#   wordnet   index/POS/LEMMA and data/POS/OFFSET, the value is the rest of the line: every line of the
#             index.* and data.* files but their licence headers
#   unihan    U+CODE FIELD, every data line of the eight Unihan files
#   packages  PACKAGE VERSION ARCHITECTURE, the value is the whole stanza
# Keys are unique in each file (checked below), so that one file is its own oracle. The counts of WordNet and
# Unihan are those of wordnet-base 1:3.0 and unicode-data 15.0.0; another release has others.
#
# Needs Debian or a child of it: apt-get, apt-cache, dpkg-deb, awk, bzip2. Nothing is installed and no
# root is needed if apt's lists are there; otherwise the script runs `apt-get update` first.
# Licences: WordNet licence; Unicode License V3; the package descriptions, each package's own.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,20s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
shift
sets=("${@:-all}")

for tool in apt-get apt-cache dpkg-deb awk bzip2; do
    command -v "$tool" > /dev/null || { echo "realdata: $tool is needed" >&2; exit 1; }
done
apt-cache show unicode-data > /dev/null 2>&1 || apt-get update -q

work=$(mktemp -d)
chmod 755 "$work"    # apt drops its rights before it downloads
trap 'rm -rf "$work"' EXIT

wanted() { case " ${sets[*]} " in *" all "* | *" $1 "*) return 0 ;; *) return 1 ;; esac; }

unpack() { # unpack PACKAGE: its files under $work/PACKAGE
    (cd "$work" && apt-get download -q "$1" 2> "$work/log" || { cat "$work/log" >&2; exit 1; })
    dpkg-deb -x "$work/$1"_*.deb "$work/$1"
}

# Turns "key TAB value" with raw backslashes and tabs in the value into what the loader reads.
escape='function escape(s) { gsub(/\\/, "&&", s); gsub(/\t/, "\\t", s); gsub(/\r/, "\\r", s); return s }'

finish() { # finish NAME [COUNT]: refuses double keys, reports, moves into place
    local double
    double=$(cut -f1 "$work/$1.tsv" | LC_ALL=C sort | uniq -d | head -n 1)
    [ -z "$double" ] || { echo "realdata: $1: key '$double' comes twice" >&2; exit 1; }
    local count
    count=$(wc -l < "$work/$1.tsv")
    mv "$work/$1.tsv" "$dir/$1.tsv"
    printf '%-13s %9d records %10d bytes\n' "$1.tsv" "$count" "$(wc -c < "$dir/$1.tsv")"
    [ "$count" = "${2:-$count}" ] || echo "realdata: $1: expected $2 records, another release?" >&2
}

if wanted wordnet; then
    unpack wordnet-base
    LC_ALL=C awk "$escape"'
        FNR == 1 { file = FILENAME; sub(/.*\//, "", file); sub(/\./, "/", file) }
        /^  / { next }
        {
            space = index($0, " ")
            value = substr($0, space + 1)
            sub(/ +$/, "", value)
            printf "%s/%s\t%s\n", file, escape(substr($0, 1, space - 1)), escape(value)
        }
    ' "$work"/wordnet-base/usr/share/wordnet/{index,data}.{noun,verb,adj,adv} > "$work/wordnet.tsv"
    finish wordnet 272946
fi

if wanted unihan; then
    unpack unicode-data
    bzip2 -dc "$work"/unicode-data/usr/share/unicode/Unihan_*.txt.bz2 | LC_ALL=C awk "$escape"'
        BEGIN { FS = "\t" }
        /^U\+/ {
            value = substr($0, length($1) + length($2) + 3)
            printf "%s %s\t%s\n", $1, $2, escape(value)
        }
    ' > "$work/unihan.tsv"
    finish unihan 1437651
fi

if wanted packages; then
    # Two versions, or two architectures, of one package are two records; a stanza seen twice is one.
    apt-cache dumpavail | LC_ALL=C awk "$escape"'
        function emit() {
            key = name " " version " " arch
            if (name != "" && !(key in seen)) { seen[key] = 1; printf "%s\t%s\n", key, stanza }
            name = version = arch = stanza = ""
        }
        /^$/ { emit(); next }
        /^Package: / { name = $2 }
        /^Version: / { version = $2 }
        /^Architecture: / { arch = $2 }
        { stanza = stanza (stanza == "" ? "" : "\\n") escape($0) }
        END { emit() }
    ' > "$work/packages.tsv"
    finish packages
fi
