# shows: gcc and clang build every preset without a warning; hardened, installed, a plain plugin.h
# budget: 420
# order: 40
# needs: binutils systemd clang libclang-rt-dev
# limit: 2400
# beside: yes
# build: none
# shellcheck shell=bash

run() {
    local preset
    for preset in release debug clang tsan fuzz; do
        t_case "builds_${preset}_without_a_warning" build_preset $preset -DFL_WERROR=ON
    done
    for script in tests/build/*.sh; do
        bash "$script" >"$FL_TMP/out" 2>&1
        t_take "$FL_TMP/out" $? ""
    done
}
