# shows: from the program of the schema before to this one and back, two workers, rows in every state: none lost, none run twice
# budget: 120
# order: 35
# needs: git python3-psycopg2
# shellcheck shell=bash

# The newest program whose schema is a step back; FL_OLD_COMMIT names another one. Where the history
# does not go back so far (a shallow clone) both sides are this one.
steps() { # steps COMMIT: the number of its newest step
    git ls-tree --name-only "$1" runtime/store/migrations/ | sed -n 's|.*/\([0-9]*\)_.*|\1|p' | tail -1
}

old_commit() {
    local now commit
    if [ -n "${FL_OLD_COMMIT:-}" ]; then
        git rev-parse --verify --quiet "$FL_OLD_COMMIT^{commit}"
        return
    fi
    now=$(steps HEAD)
    while read -r commit; do
        [ "$(steps "$commit" 2>/dev/null)" \< "$now" ] || continue
        echo "$commit"
        return
    done < <(git log --format=%P -- runtime/store/migrations 2>/dev/null | cut -d' ' -f1)
    return 1
}

build_old() { # build_old COMMIT: into build/upgrade/COMMIT
    local at=$FL_ROOT/build/upgrade/$1 log=$FL_LOGS/build-upgrade.log cache=()
    [ ! -x "$at/bin/flopinio" ] || return 0
    rm -rf "$FL_ROOT/build/upgrade"
    mkdir -p "$at/source" && git archive "$1" | tar -x -C "$at/source" || return
    if command -v ccache >/dev/null; then
        export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$at/source
        cache=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    fi
    cmake -S "$at/source" -B "$at/bin" -G Ninja -DCMAKE_BUILD_TYPE=Debug "${cache[@]}" >"$log" 2>&1 &&
        cmake --build "$at/bin" --target flopinio -- -j"$FL_JOBS" >>"$log" 2>&1 || build_failed "$log"
}

run() {
    local commit
    export FL_OLD=$FLOPINIO
    if commit=$(old_commit); then
        echo "from commit $commit"
        build_old "$commit" || {
            t_fail builds_the_old_program
            return
        }
        export FL_OLD=$FL_ROOT/build/upgrade/$commit/bin/flopinio
    else
        t_skip an_older_program "there is no earlier commit here: both sides are this one"
    fi
    # A plugin that both programs load: one without the sanitizers.
    if ! cc -shared -fPIC -pthread -w -Iinclude -o "$FL_TMP/scenario.so" tests/plugins/scenario.c; then
        t_fail builds_the_plugin
        return
    fi
    export FL_PLUGIN=$FL_TMP/scenario.so
    t_stream upgrade /usr/bin/python3 tests/scenario/run.py group_upgrade
}
