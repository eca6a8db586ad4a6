# shows: clang-format, cppcheck, clang-tidy and gcc -fanalyzer are clean (Debian 12's versions), each with a canary
# budget: 240
# limit: 1800
# order: 45
# needs: clang clang-format clang-tidy cppcheck libclang-rt-dev
# beside: yes
# build: none
# shellcheck shell=bash

# The versions are Debian 12's: others find other things.
is_pinned() { grep -q '^VERSION_ID="12"' /etc/os-release; }

sources() { git ls-files 'runtime/*.c' 'policy/*.c' 'mcp/*.c' 'plugins/*.c'; }

is_formatted() { # names the files that clang-format would change
    # shellcheck disable=SC2016
    xargs -n 40 -P "$FL_JOBS" sh -c '
        for f; do clang-format "$f" | cmp -s - "$f" || { echo "clang-format -i $f"; bad=1; }; done
        exit ${bad:-0}' sh
}

check_cpp() { # check_cpp CPPCHECK_ARGUMENT...
    cppcheck --library=tests/static/cppcheck.cfg --suppressions-list=tests/static/cppcheck.suppress \
        --suppress=missingIncludeSystem --enable=warning,portability,performance --inline-suppr \
        --error-exitcode=1 --quiet -j"$FL_JOBS" "$@"
}

# Four files a run. The analyzer takes nine tenths of the time: it looks at so many states of a function
# by default, and as far as it goes in the long form.
tidy() {
    local states=20000
    [ "$FL_LONG" != 1 ] || states=225000
    xargs -n 4 -P "$FL_JOBS" clang-tidy --quiet --extra-arg=-Xclang --extra-arg=-analyzer-config \
        --extra-arg=-Xclang --extra-arg=max-nodes=$states "$@" 2>"$FL_TMP/tidy.err"
}

analyze() { build_preset analyzer -DFL_WERROR=ON; }

run() {
    if ! is_pinned; then
        t_skip static_checks "their versions are pinned to Debian 12's"
        return
    fi
    t_case formatted is_formatted < <(git ls-files '*.c' '*.h')
    printf 'int  main( ){return 0;}\n' >"$FL_TMP/canary.c"
    t_refused canary_formatted is_formatted <<<"$FL_TMP/canary.c"

    t_case compile_commands build_preset clang -DFL_WERROR=ON
    # Paths in the commands are relative to the build; the suppressions name them from the root.
    t_case cppcheck check_cpp --project=build/clang/compile_commands.json -rp="$FL_ROOT"
    t_refused canary_cppcheck check_cpp tests/static/canary.c
    t_case gcc_analyzer analyze
    t_refused canary_gcc_analyzer gcc -fanalyzer -Werror -c tests/static/canary.c -o /dev/null
    t_case clang_tidy tidy -p build/clang < <(sources)
    t_refused canary_clang_tidy clang-tidy --quiet tests/static/canary.c -- -std=c11
}
