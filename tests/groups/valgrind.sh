# shows: no invalid memory access inside libwebsockets when it adopts connections, hostile ones too (valgrind)
# budget: 120
# order: 43
# needs: valgrind
# build: none
# shellcheck shell=bash

run() {
    if ! build_targets debug test_ws test_ws_reproductions; then
        t_fail builds
        return
    fi
    # The sanitizers see our code; this sees the libraries' too.
    export FL_TEST_SLOWER=20
    checked() { exec valgrind -q --error-exitcode=99 --leak-check=no "$@"; }
    t_stream test_ws checked build/debug/unit/test_ws
    t_stream reproductions checked build/debug/unit/test_ws_reproductions
    # a canary: memory read after its end
    printf '#include <stdlib.h>\nint main(void) { char *p = malloc(1); free(p); return p[0]; }\n' >"$FL_TMP/c.c"
    gcc -w -O0 "$FL_TMP/c.c" -o "$FL_TMP/c"
    t_refused canary_valgrind valgrind -q --error-exitcode=99 "$FL_TMP/c"
}
