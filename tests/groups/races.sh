# shows: no data race where there are threads (ThreadSanitizer)
# budget: 240
# order: 42
# needs: python3-psycopg2
# build: none
# shellcheck shell=bash

# Programs that start threads: plugins inside the host, clients beside a loop; and the whole runtime
# while it hashes passphrases in its pool.
PROGRAMS="test_host_inprocess test_host_life test_ws test_ws_client test_tls test_http_server
    test_files_hosted"

run() {
    if ! build_preset tsan; then
        t_fail builds
        return
    fi
    export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}
    # shellcheck disable=SC2046,SC2086
    t_programs 600 $(printf "$FL_ROOT/build/tsan/unit/%s " $PROGRAMS)
    t_stream test_schema_limits "$FL_ROOT/build/tsan/unit/test_schema_limits" threads_may_share_a_schema
    FL_BUILD=$FL_ROOT/build/tsan t_stream scenario /usr/bin/python3 tests/scenario/run.py test_rest_secrets
    cat >"$FL_TMP/canary.c" <<'C'
#include <pthread.h>
static int n;
static void *add(void *p) { n++; return p; }
int main(void) { pthread_t t; pthread_create(&t, 0, add, 0); n++; return pthread_join(t, 0); }
C
    gcc -w -g -fsanitize=thread "$FL_TMP/canary.c" -o "$FL_TMP/canary"
    t_refused canary_thread_sanitizer "$FL_TMP/canary"
}
