# shows: several nodes on one database: zombies, partitions, lost replies, slow and full disks, clocks, replaced workers, storms
# budget: 240
# order: 42
# needs: python3-psycopg2 strace iproute2
# build: none
# shellcheck shell=bash

run() {
    if ! build_targets debug all; then
        t_fail builds
        return
    fi
    FL_BUILD=$FL_ROOT/build/debug t_stream workers /usr/bin/python3 tests/scenario/run.py --dir tests/workers
}
