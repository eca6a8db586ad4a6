# shows: the runbooks: each trouble is brought about, every command of the page runs, and it is over afterwards
# budget: 60
# order: 36
# needs: python3-psycopg2 curl openssl
# shellcheck shell=bash

not_stopped() { # a runbook that does not stop the agent
    sed 's/^flopinio stop agent clerk.*/true # stop agent clerk/' docs/runbooks.md >"$FL_TMP/runbooks.md"
    /usr/bin/python3 tests/docs/run.py "$FL_TMP/runbooks.md" >"$FL_TMP/out" 2>&1 && return 1
    grep -qF 'it works' "$FL_TMP/out" && return 0
    tail -n 30 "$FL_TMP/out"
    return 1
}

run() {
    if [ "$(id -u)" -ne 0 ] || ! unshare --mount --net --pid --fork true 2>/dev/null; then
        t_skip the_commands_of_the_runbooks "namespaces of its own need root"
        return
    fi
    t_stream runbooks /usr/bin/python3 tests/docs/run.py docs/runbooks.md
    [ "$FL_LONG" != 1 ] || t_case canary_a_runbook_that_does_not_help_is_noticed not_stopped
}
