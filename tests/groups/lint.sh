# shows: the rules of the tree hold, each with a canary; the runner counts what fails
# budget: 30
# order: 20
# build: none
# shellcheck shell=bash

run() {
    local script
    for script in tests/lint/*.sh; do
        bash "$script" >"$FL_TMP/out" 2>&1
        t_take "$FL_TMP/out" $? ""
    done
}
