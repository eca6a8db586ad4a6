# shows: minutes of mixed load: memory and descriptors do not grow, one answer each, the audit is complete
# budget: 90
# limit: 50000
# order: 95
# needs: python3-psycopg2
# shellcheck shell=bash

# FL_SOAK_MIN=N: that many minutes.
run() { t_stream soak /usr/bin/python3 tests/scenario/run.py --dir tests/soak; }
