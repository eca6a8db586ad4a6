# shows: after a restore or a promoted standby nothing runs twice, nobody comes back in, nothing runs before the operator's word
# budget: 80
# order: 34
# needs: python3-psycopg2
# shellcheck shell=bash

run() {
    # PostgreSQL's next major version comes as a package of npm.
    command -v npm >/dev/null || install_packages nodejs npm
    t_stream restore /usr/bin/python3 tests/scenario/run.py --split -j "$FL_JOBS" group_restore
}
