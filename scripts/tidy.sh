#!/usr/bin/env bash
# scripts/tidy.sh: what rustfmt and clippy cannot see. Prints path:line: complaint; fails if any.
set -euo pipefail
cd "$(dirname "$0")/.."

git ls-files -z '*.rs' | xargs -0 awk '
    function complain(what) { printf "%s:%d: %s\n", FILENAME, FNR, what; bad = 1 }

    FNR == 1 { code = 0; why = 0; tests = (FILENAME ~ /(^|\/)(tests|benches)\//)
               if ($0 !~ /^\/\/!/) complain("file does not start with a //! header") }
    /^#\[cfg\(test\)\]/ { tests = 1 }    # tests come last in a file
    length($0) > 100 && $0 !~ /https?:/ { complain("line is longer than 100 columns") }
    /[^[:space:]]/ && !tests && ++code == 601 { complain("more than 600 lines before the tests") }

    # An ORDERING comment covers what follows it, up to the next blank line.
    /\/\/ ORDERING:/ { why = 1 }
    /^[[:space:]]*$/ { why = 0 }
    !tests && /Ordering::(Relaxed|Acquire|Release|AcqRel|SeqCst)/ && !why {
        complain("atomic ordering without an // ORDERING: comment") }

    /FIXME|XXX|HACK/ { complain("leftover marker") }
    END { exit bad }
'
