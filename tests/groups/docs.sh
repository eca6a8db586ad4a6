# shows: every command in README and docs runs as written, in order, on one terminal
# budget: 120
# order: 70
# needs: curl python3-psycopg2 systemd
# build: none
# shellcheck shell=bash

run() {
    # The README installs what the quickstart has built.
    if ! build_preset release; then
        t_fail builds
        return
    fi
    t_stream docs /usr/bin/python3 tests/docs/run.py
}
