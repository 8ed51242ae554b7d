#!/usr/bin/env bash
# scripts/demodata.sh: makes crates/cli/data/characters.tsv.lz4, the data set of `lsm demo`.
#
# One record for each character that the Unicode Character Database names, in code point order:
#   name TAB character U+code category block version
#   LATIN SMALL LETTER E WITH ACUTE   é U+00E9 Ll Latin-1 Supplement 1.1
# Controls, which have no name, go by their first alias (U+0007 is ALERT); ranges without names
# (ideographs, Hangul syllables, private use) are left out. Names are unique. The character itself is
# left out where it would disturb a terminal (marks, controls, formats, separators).
#
# Needs: apt-get and dpkg-deb (Debian or a child of it), awk, lz4. The result is in the repository, so
# only those who want a newer Unicode version need to run this.
set -euo pipefail
cd "$(dirname "$0")/.."
out=crates/cli/data/characters.tsv.lz4

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -q unicode-data && dpkg-deb -x unicode-data_*.deb root)
ucd=$work/root/usr/share/unicode

LC_ALL=C awk '
    function number(hex,    i, n) {
        n = 0
        for (i = 1; i <= length(hex); i++) n = n * 16 + index("123456789ABCDEF", substr(hex, i, 1))
        return n
    }
    function utf8(c) {
        if (c < 128) return sprintf("%c", c)
        if (c < 2048) return sprintf("%c%c", 192 + int(c / 64), 128 + c % 64)
        if (c < 65536)
            return sprintf("%c%c%c", 224 + int(c / 4096), 128 + int(c / 64) % 64, 128 + c % 64)
        return sprintf("%c%c%c%c", 240 + int(c / 262144), 128 + int(c / 4096) % 64,
                       128 + int(c / 64) % 64, 128 + c % 64)
    }
    # Blocks and ages are ranges, "first..last" or "first"; both files are read before the characters.
    function range(text,    ends) {
        gsub(/ /, "", text)
        if (split(text, ends, /\.\./) == 1) ends[2] = ends[1]
        first = number(ends[1]); last = number(ends[2])
    }
    FNR == 1 { part++ }
    part < 4 && /^(#|$)/ { next }
    part == 1 { range($1); sub(/^ /, "", $2); blocks++; start[blocks] = first; end[blocks] = last
                block[blocks] = $2; next }
    part == 2 { range($1); split($2, words, /[ #]+/)
                version = words[1] == "" ? words[2] : words[1]
                for (c = first; c <= last && c < 262144; c++) age[c] = version
                if (first >= 262144) for (c = first; c <= last && c < 920000; c++) age[c] = version
                next }
    part == 3 { if ($3 == "control" && !($1 in alias)) alias[$1] = $2
                if ($3 == "figment" && !($1 in alias)) alias[$1] = $2; next }
    {
        name = $2
        if (name == "<control>") name = alias[$1]
        if (name == "" || name ~ /^</) next
        c = number($1)
        while (at <= blocks && end[at] < c) at++
        shown = $3 ~ /^[LNPS]/ ? utf8(c) " " : ""
        if ($1 == "005C") shown = "\\\\ "                     # the one character the loader escapes
        printf "%s\t%sU+%s %s %s %s\n", name, shown, $1, $3, block[at], age[c]
    }
    BEGIN { FS = ";"; at = 1 }
' "$ucd/Blocks.txt" "$ucd/DerivedAge.txt" "$ucd/NameAliases.txt" "$ucd/UnicodeData.txt" \
    > "$work/characters.tsv"

lz4 -q -f -12 --content-size "$work/characters.tsv" "$out"
printf '%s: %d records, %d bytes, %d compressed\n' "$out" "$(wc -l < "$work/characters.tsv")" \
    "$(wc -c < "$work/characters.tsv")" "$(wc -c < "$out")"
