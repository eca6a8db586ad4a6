# shows: the rules of the tree hold, each with a canary; the runner counts what fails
# budget: 30
# order: 20
# build: none
# shellcheck shell=bash

run() {
    local script
    for script in tests/lint/*.sh tests/lint/*.py; do
        case $script in
        *.py) python3 "$script" ;;
        *) bash "$script" ;;
        esac >"$FL_TMP/out" 2>&1
        t_take "$FL_TMP/out" $? ""
    done
}
