# shows: after a restore or a promoted standby nothing runs twice, nobody comes back in, nothing runs before the operator's word
# budget: 120
# order: 34
# needs: python3-psycopg2
# shellcheck shell=bash

run() { t_stream restore /usr/bin/python3 tests/scenario/run.py group_restore; }
