# shows: what reads foreign bytes keeps its properties under libFuzzer, 15 s each (--long: 5 min each)
# budget: 150
# order: 44
# needs: clang libclang-rt-dev
# build: none
# shellcheck shell=bash

seeds() { # seeds TARGET: a directory to start from
    local dir=$FL_TMP/seeds-$1
    mkdir -p "$dir"
    case $1 in
    fuzz_scan) find ../shared/data/json-parsing -name '*.json' -size -2k -exec cp -t "$dir" {} + ;;
    fuzz_yaml) cp docs/*.md "$dir" ;;
    fuzz_cel) grep -ohE '^[^`]*`[^`]+`' docs/policy.md | sed 's/.*`\(.*\)`/\1/' | split -l 1 - "$dir/s" ;;
    fuzz_http_head) printf 'POST /mcp?x=1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc' >"$dir/post" ;;
    fuzz_ws_frame) printf '\x81\x83\0\0\0\0abc\x88\x82\0\0\0\0\x03\xe8' >"$dir/text" ;;
    esac
    echo "$dir"
}

fuzz() { # fuzz TARGET SECONDS
    local name=$1 seconds=$2 log=$FL_TMP/$1.log rc
    mkdir -p "$FL_TMP/corpus-$name"
    "$FL_ROOT/build/fuzz/fuzz/$name" -max_total_time="$seconds" -max_len=600 -timeout=20 -seed=7 \
        -rss_limit_mb=2048 -artifact_prefix="$FL_LOGS/$name-" "$FL_TMP/corpus-$name" "$(seeds "$name")" \
        >"$log" 2>&1
    rc=$?
    tail -n 1 "$log"
    [ $rc -eq 0 ] || tail -n 60 "$log"
    return $rc
}

run() {
    local targets target seconds=15 running=0
    targets=$(cd tests/fuzz && basename -s .c fuzz_*.c)
    [ "$FL_LONG" != 1 ] || seconds=300
    [ -d ../shared/data/json-parsing ] || t_skip seeds "../shared/data is not here"
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
    t_refused canary_fuzzer_finds_a_planted_bug fuzz canary 60
}
