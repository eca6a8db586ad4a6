# shows: official clients, unchanged, over three transports, through eleven endings of a call
# budget: 240
# order: 60
# needs: python3-psycopg2 python3-venv
# shellcheck shell=bash

run() {
    # Node from elsewhere brings its own npm, beside which the package of Debian cannot be.
    command -v npm >/dev/null || install_packages nodejs npm
    t_case the_clients_are_installed tests/clients/install.sh
    [ "$t_failed" -eq 0 ] || return 0
    /usr/bin/python3 tests/clients/run.py >"$FL_TMP/out" 2>&1
    t_take "$FL_TMP/out" $? ""
}
