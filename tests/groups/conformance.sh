# shows: the MCP conformance suite, all that needs tools and tasks only
# budget: 240
# order: 61
# needs: nodejs npm python3-psycopg2 python3-venv
# shellcheck shell=bash

run() {
    t_case the_suite_is_installed tests/clients/install.sh
    [ "$t_failed" -eq 0 ] || return 0
    /usr/bin/python3 tests/conformance/run.py >"$FL_TMP/out" 2>&1
    t_take "$FL_TMP/out" $? ""
}
