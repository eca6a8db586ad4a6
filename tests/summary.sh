#!/usr/bin/env bash
# Reads a group's log: summary.sh LOG EXIT_CODE NAME prints "N passed, N failed, N skipped" and
# writes LOG.failures, the output of each failing case. A case's output is the lines before its
# result line. A group that ends early, or whose closing line disagrees with its cases, has one
# failure more; under CI=true each skip is a failure.
set -u
ci=0
[ "${CI:-}" != true ] || ci=1
awk -v rc="$2" -v name="$3" -v ci=$ci -v out="$1.failures" '
    function failure(line,   i, from) {
        from = n > 150 ? n - 149 : 1
        if (from > 1) print "(the last 150 of " n " lines)" > out
        for (i = from; i <= n; i++) print held[i] > out
        print line > out
    }
    BEGIN { printf "" > out }
    /^ok   / { passed++; n = 0; closing = ""; next }
    /^skip / { skipped++; if (ci) { sub(/^skip/, "FAIL"); failure($0 " (skipped)") }
               n = 0; closing = ""; next }
    /^FAIL / { failed++; failure($0); n = 0; closing = ""; next }
    /^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { closing = $0; next }
    { held[++n] = $0 }
    END {
        found = (passed + 0) " passed, " (failed + 0) " failed, " (skipped + 0) " skipped"
        if (closing == "") why = "it ended without its closing line"
        else if (closing != found) why = "its closing line says " closing ", its cases " found
        else if (passed + failed + skipped == 0) why = "no case was run"
        else if (rc != 0 && failed == 0) why = "its cases passed and it failed"
        if (why != "") { failed++; failure("FAIL " name ": " why " (exit code " rc ")") }
        if (ci) { failed += skipped; skipped = 0 }
        print (passed + 0) " passed, " (failed + 0) " failed, " (skipped + 0) " skipped"
    }' "$1"
