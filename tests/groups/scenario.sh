# shows: the life of a call with the real program, PostgreSQL, clients and people; audit rows as expected
# budget: 480
# limit: 1800
# order: 30
# needs: python3-psycopg2
# shellcheck shell=bash

# Two files more at a time than there are cores: most of a case's time is waiting.
run() { t_stream scenario /usr/bin/python3 tests/scenario/run.py -j $((FL_JOBS + 2)); }
