# shows: the MCP conformance suite, all that needs tools and tasks only
# budget: 120
# order: 61
# needs: python3-psycopg2 python3-venv
# shellcheck shell=bash

run() {
    # Node from elsewhere brings its own npm, beside which the package of Debian cannot be.
    command -v npm >/dev/null || install_packages nodejs npm
    t_case the_suite_is_installed tests/clients/install.sh
    [ "$t_failed" -eq 0 ] || return 0
    /usr/bin/python3 tests/conformance/run.py >"$FL_TMP/out" 2>&1
    t_take "$FL_TMP/out" $? ""
}
