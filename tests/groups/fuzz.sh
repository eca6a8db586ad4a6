# shows: what reads foreign bytes keeps its properties under libFuzzer, 20 s each (--long: 5 min each); canonical JSON is JavaScript's
# budget: 320
# order: 44
# needs: clang libclang-rt-dev dpkg-dev nodejs
# build: none
# shellcheck shell=bash

# Seeds stand in tests/fuzz/corpus/TARGET, what was found in TARGET.b64 (tests/fuzz/pack.py); some
# targets have more where there is more.
more_seeds() { # more_seeds TARGET DIR
    case $1 in
    fuzz_scan | fuzz_jcs)
        [ ! -d ../shared/data/json-parsing ] ||
            find ../shared/data/json-parsing -name '*.json' -size -2k -exec cp -t "$2" {} +
        ;;
    canary) printf '[{"a":1}]' >"$2/list" ;;
    fuzz_yaml) cp docs/*.md "$2" ;;
    fuzz_policy)
        awk -v dir="$2" '/^```yaml/ { n++; on = 1; next } /^```/ { on = 0 }
            on { print > (dir "/policy" n) }' docs/policy.md
        ;;
    fuzz_cel) grep -ohE '^[^`]*`[^`]+`' docs/policy.md | sed 's/.*`\(.*\)`/\1/' | split -l 1 - "$2/s" ;;
    esac
}

ran_enough() { # ran_enough LOG: runs, guided by new places
    awk '/\tDONE +cov: / { cov = $4 } /^Done [0-9]+ runs/ { runs = $2 }
        END { exit !(runs >= 200 && cov >= 50) }' "$1"
}

fuzz() { # fuzz TARGET SECONDS [option...]
    local name=$1 seconds=$2 log=$FL_TMP/$1.log rc dirs seeds=$FL_TMP/seeds-$1 max=600
    shift 2
    mkdir -p "$FL_TMP/corpus-$name" "$seeds"
    more_seeds "$name" "$seeds"
    [ ! -f "tests/fuzz/corpus/$name.b64" ] ||
        python3 tests/fuzz/pack.py unpack "tests/fuzz/corpus/$name.b64" "$seeds"
    dirs=("$FL_TMP/corpus-$name" "$seeds")
    [ ! -d "tests/fuzz/corpus/$name" ] || dirs+=("tests/fuzz/corpus/$name")
    case $name in
    fuzz_mcp | fuzz_policy | fuzz_upgrade | fuzz_frames_* | fuzz_card) max=2000 ;;
    esac
    "$FL_ROOT/build/fuzz/fuzz/$name" -max_total_time="$seconds" -max_len=$max -timeout=20 -seed=7 \
        -rss_limit_mb=2048 -artifact_prefix="$FL_LOGS/$name-" "$@" "${dirs[@]}" >"$log" 2>&1
    rc=$?
    grep -E 'DONE|^Done' "$log"
    # Properties of next to nothing would hold, too.
    [ $rc -ne 0 ] || ran_enough "$log" || rc=1
    [ $rc -eq 0 ] || tail -n 60 "$log"
    return $rc
}

# The canonical forms of all that was found, once more by JavaScript.
jcs_is_javascripts() {
    local file=$FL_TMP/jcs.txt
    rm -f "$file"
    FL_JCS_LOG=$file build/fuzz/fuzz/fuzz_jcs -runs=0 "$FL_TMP/corpus-fuzz_jcs" \
        "$FL_TMP/seeds-fuzz_jcs" tests/fuzz/corpus/fuzz_jcs >"$FL_TMP/jcs.log" 2>&1 || return
    node tests/fuzz/jcs.mjs "$file"
}

mutant_jcs() { # a form of ours in which one byte is another one
    sed '2s/^../20/' "$FL_TMP/jcs.txt" >"$FL_TMP/mutant.txt"
    node tests/fuzz/jcs.mjs "$FL_TMP/mutant.txt"
}

# An assertion ends it, not whatever else may go wrong.
finds() { # finds TARGET SECONDS [option...]
    fuzz "$@" -artifact_prefix="$FL_TMP/found-" >"$FL_TMP/finds"
    grep -q 'libFuzzer: deadly signal' "$FL_TMP/$1.log" || { cat "$FL_TMP/finds" && return 1; }
}

finds_mutant() { FL_STATES_MUTANT=$1 finds fuzz_states 180 -keep_seed=1 -max_len=24; }

run() {
    local targets target seconds=20 running=0 dirs
    targets=$(cd tests/fuzz && basename -s .c fuzz_*.c)
    [ "$FL_LONG" != 1 ] || seconds=300
    [ -d ../shared/data/json-parsing ] || t_skip seeds "../shared/data is not here"
    # A library of the system gives no coverage.
    if bash tests/fuzz/libraries.sh "$FL_ROOT/build/libraries" >"$FL_LOGS/libraries.log" 2>&1; then
        dirs=$FL_ROOT/build/libraries/lib
        configure_preset fuzz "-DFL_FUZZ_LIBRARIES=$dirs/libjansson.a;$dirs/libyaml.a;$dirs/libpcre2-8.a"
    else
        configure_preset fuzz -DFL_FUZZ_LIBRARIES=
        t_skip libraries "source packages cannot be had here: the system's libraries are used, uninstrumented"
    fi
    # shellcheck disable=SC2086
    if ! build_targets fuzz canary $targets; then
        t_fail builds
        return
    fi
    for target in $targets; do
        if [ $running -ge "$FL_JOBS" ]; then
            wait -n
            running=$((running - 1))
        fi
        { fuzz "$target" $seconds; echo $? >"$FL_TMP/$target.rc"; } >"$FL_TMP/$target.out" 2>&1 &
        running=$((running + 1))
    done
    wait
    for target in $targets; do
        cat "$FL_TMP/$target.out"
        t_case "$target" test "$(cat "$FL_TMP/$target.rc")" = 0
    done
    t_case canonical_json_is_javascripts jcs_is_javascripts
    t_refused canary_another_canonical_form mutant_jcs
    t_case canary_fuzzer_finds_a_planted_bug finds canary 180
    for target in watch recheck fence; do
        t_case "canary_states_without_$target" finds_mutant $target
    done
}
