# shows: the n-th allocation, statement and send failing: no crash, no leak, no change without its audit row, one answer each
# budget: 180
# limit: 1800
# order: 44
# needs: python3-psycopg2
# shellcheck shell=bash

run() {
    # Where the memory is gone before the sanitizer is: NULL is what the program is to get.
    export ASAN_OPTIONS=$ASAN_OPTIONS:allocator_may_return_null=1
    # Every allocation of the pure parts, one after the other; and a planted leak and a wrong code.
    t_programs 600 "$FL_BUILD/unit/torture"
    t_refused canary_leak "$FL_BUILD/unit/torture" canary_leak
    t_refused canary_wrong_code "$FL_BUILD/unit/torture" canary_wrong_code
    # The whole program.
    t_stream torture /usr/bin/python3 tests/scenario/run.py --dir tests/torture
}
