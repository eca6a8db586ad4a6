# shows: no part of a call takes over 3 % more instructions than stored (callgrind)
# budget: 60
# order: 44
# needs: valgrind
# build: none
# shellcheck shell=bash

run() {
    if ! build_targets release instructions; then
        t_fail builds
        return
    fi
    t_case measured tests/bench/instructions.py measure build/release/tests/bench/instructions \
        "$FL_TMP/figures.json" || return
    t_stream instructions tests/bench/instructions.py check "$FL_TMP/figures.json"
    t_refused canary_a_part_that_grew_is_seen grown
}

grown() { # the same figures against stored ones that are 5 % smaller
    mkdir -p "$FL_TMP/stored"
    python3 - "$FL_TMP" <<'PY'
import json, sys
figures = json.load(open(sys.argv[1] + "/figures.json"))
with open("%s/stored/%s.txt" % (sys.argv[1], figures["key"]), "w") as f:
    for name, count in figures["counts"].items():
        f.write("%s %d\n" % (name, count * 95 // 100))
PY
    tests/bench/instructions.py check "$FL_TMP/figures.json" --stored "$FL_TMP/stored"
}
