# shows: clang-format, cppcheck, clang-tidy and gcc -fanalyzer are clean (Debian 12's versions), each with a canary (--long: arm64 compiles)
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

# ---- arm64 (--long) ----
# The libraries' headers are this machine's: theirs say the same on both.
arm64_headers() {
    local name dir
    mkdir -p "$FL_TMP/headers/openssl"
    for name in argon2.h curl jansson.h jansson_config.h libwebsockets libwebsockets.h lws_config.h \
        pcre2.h uv uv.h yaml.h zconf.h zlib.h; do
        for dir in /usr/include "/usr/include/$(gcc -print-multiarch)"; do
            [ ! -e "$dir/$name" ] || ln -sf "$dir/$name" "$FL_TMP/headers/"
        done
    done
    ln -sf /usr/include/openssl/*.h "/usr/include/$(gcc -print-multiarch)"/openssl/*.h "$FL_TMP/headers/openssl/"
}

arm64_cc() {
    aarch64-linux-gnu-gcc -std=c11 -O2 -D_GNU_SOURCE -DFL_VERSION='"0"' -DFL_PLUGIN_DIR='""' \
        -DFL_TEST_DATA='""' -I. -Iinclude -Itests/unit -Ibuild/clang/generated -isystem "$FL_TMP/headers" \
        -isystem "$(pg_config --includedir)" -Wall -Wextra -Wconversion -Wshadow -Wno-sign-conversion \
        -Wno-missing-field-initializers -Werror "$@"
}

arm64_compiles() { # every file, into $FL_TMP/arm64
    arm64_headers
    mkdir -p "$FL_TMP/arm64"
    export -f arm64_cc
    # shellcheck disable=SC2016
    sources | xargs -n 8 -P "$FL_JOBS" bash -c '
        for f; do arm64_cc -c "$f" -o "$FL_TMP/arm64/$(echo "$f" | tr / _).o" || bad=1; done
        exit ${bad:-0}' bash
}

# The filter of plugin processes, as a program that is run here. qemu knows no seccomp: that the kernel
# takes it is shown on x86-64 only. The harness gives jansson its allocator, which is not there.
arm64_filter() {
    aarch64-linux-gnu-ar rcs "$FL_TMP/base.a" "$FL_TMP"/arm64/runtime_base_*.o &&
        arm64_cc -static tests/unit/test_seccomp.c tests/unit/harness.c "$FL_TMP/base.a" \
            -Wl,--defsym=json_set_alloc_funcs=getpid,--defsym=json_object_seed=getpid \
            -o "$FL_TMP/test_seccomp"
}

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

    [ "$FL_LONG" = 1 ] || return
    install_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
    t_case arm64_compiles arm64_compiles
    t_case arm64_filter arm64_filter
    [ -x "$FL_TMP/test_seccomp" ] || return
    qemu-aarch64-static "$FL_TMP/test_seccomp" >"$FL_TMP/seccomp" 2>&1
    t_take "$FL_TMP/seccomp" $? arm64_filter/
}
