# shows: hostile requests, WebSocket vectors and slow floods against the real program; Node's parser as a second opinion
# budget: 120
# order: 35
# needs: python3-psycopg2 nodejs openssl
# shellcheck shell=bash

run() { t_stream http /usr/bin/python3 tests/http/run.py; }
