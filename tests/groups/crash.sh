# shows: SIGKILL at every system call of worker and plugin, and of PostgreSQL: nothing lost, nothing twice, nothing undecided
# budget: 300
# order: 41
# needs: python3-psycopg2 strace
# build: none
# shellcheck shell=bash

run() {
    # Beside the runtime one that marks the dispatch behind the effect, for the canary.
    if ! build_targets debug all flopinio_no_marker; then
        t_fail builds
        return
    fi
    FL_BUILD=$FL_ROOT/build/debug t_stream crash /usr/bin/python3 tests/scenario/run.py --dir tests/crash
}
