# shows: official clients, unchanged, over three transports, through eleven endings of a call
# budget: 300
# order: 60
# needs: nodejs npm python3-psycopg2 python3-venv
# shellcheck shell=bash

run() {
    t_case the_clients_are_installed tests/clients/install.sh
    [ "$t_failed" -eq 0 ] || return 0
    /usr/bin/python3 tests/clients/run.py >"$FL_TMP/out" 2>&1
    t_take "$FL_TMP/out" $? ""
}
