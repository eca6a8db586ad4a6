# shows: the life of a call with the real program, PostgreSQL, clients and people; audit rows as expected
# budget: 600
# order: 30
# needs: python3-psycopg2
# shellcheck shell=bash

run() { t_stream scenario /usr/bin/python3 tests/scenario/run.py; }
