# shows: no data race where there are threads (ThreadSanitizer)
# budget: 120
# order: 42
# build: none
# shellcheck shell=bash

# The programs that start threads: plugins inside the host, the password pool, clients beside a loop.
PROGRAMS="test_host_inprocess test_host_life test_credentials test_crypto test_conformance_plugin
    test_ws_client test_http_fetch test_ws test_tls"

run() {
    # shellcheck disable=SC2086
    if ! build_targets tsan $PROGRAMS; then
        t_fail builds
        return
    fi
    export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
    # shellcheck disable=SC2046,SC2086
    t_programs 600 $(printf "$FL_ROOT/build/tsan/unit/%s " $PROGRAMS)
}
