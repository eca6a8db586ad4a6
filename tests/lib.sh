# Functions for the groups. A case prints its output, then one line "ok   NAME", "FAIL NAME" or
# "skip NAME"; the group ends with "N passed, N failed, N skipped".
# shellcheck shell=bash

stop() { # ends the run with one sentence
    echo "tests: $*" >&2
    exit 2
}

t_passed=0 t_failed=0 t_skipped=0
t_ok() { t_passed=$((t_passed + 1)); echo "ok   $1"; }
t_fail() { t_failed=$((t_failed + 1)); echo "FAIL $1"; }
t_skip() { # t_skip NAME WHY
    t_skipped=$((t_skipped + 1))
    echo "    skipped: $2"
    echo "skip $1"
}
t_end() {
    echo "$t_passed passed, $t_failed failed, $t_skipped skipped"
    [ $t_failed -eq 0 ]
}

# t_case NAME COMMAND...: a case that passes when the command does.
t_case() {
    local name=$1 from=$SECONDS
    shift
    if "$@"; then t_ok "$name ($((SECONDS - from)) s)"; else t_fail "$name"; fi
}

# t_later NAME COMMAND...: such a case, which t_together runs with the others, FL_JOBS at a time.
t_names=() t_commands=()
t_later() {
    t_names+=("$1")
    t_commands+=("$(printf '%q ' "${@:2}")")
}
t_together() {
    local i running=0
    for i in "${!t_names[@]}"; do
        if [ $running -ge "$FL_JOBS" ]; then
            wait -n
            running=$((running - 1))
        fi
        {
            eval "${t_commands[i]}"
            echo $? >"$FL_TMP/later.$i.rc"
        } >"$FL_TMP/later.$i" 2>&1 </dev/null &
        running=$((running + 1))
    done
    wait
    for i in "${!t_names[@]}"; do
        cat "$FL_TMP/later.$i"
        t_case "${t_names[i]}" test "$(cat "$FL_TMP/later.$i.rc")" = 0
    done
    t_names=() t_commands=()
}

# t_refused NAME COMMAND...: a canary; a case that passes when the command fails.
t_refused() {
    local name=$1 text
    shift
    if text=$("$@" 2>&1); then
        printf '%s\nit passed, and must not\n' "$text"
        t_fail "$name"
    else
        t_ok "$name"
    fi
}

# t_take FILE CODE PREFIX: takes over the cases of a program that printed them in this form itself.
t_take() {
    sed -E "/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped\$/d; s#^(ok  |FAIL|skip) #\\1 $3#" "$1"
    t_count "$@"
}

# t_stream NAME COMMAND...: runs such a program; its cases show while it runs.
t_stream() {
    local name=$1 rc
    shift
    "$@" 2>&1 </dev/null | tee "$FL_TMP/stream"
    rc=${PIPESTATUS[0]}
    t_count "$FL_TMP/stream" "$rc" "$name"
}

t_count() { # t_count FILE CODE NAME
    local file=$1 rc=$2 name=$3 p f s said
    p=$(grep -c '^ok   ' "$file") f=$(grep -c '^FAIL ' "$file") s=$(grep -c '^skip ' "$file")
    t_passed=$((t_passed + p)) t_failed=$((t_failed + f)) t_skipped=$((t_skipped + s))
    said=$(grep -E '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$file" | tail -n 1)
    if [ "$said" != "$p passed, $f failed, $s skipped" ]; then
        t_fail "$name: it ended with code $rc, and its closing line is \"$said\", not \"$p passed, $f failed, $s skipped\""
    elif [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then
        t_fail "$name: it ended with code $rc"
    fi
}

# t_programs LIMIT_S PROGRAM...: runs programs that print their cases, FL_JOBS at a time, each in a
# session of its own. The longest should stand first.
t_programs() {
    local limit=$1 dir=$FL_LOGS/$FL_GROUP running=0 program name
    shift
    mkdir -p "$dir"
    for program in "$@"; do
        if [ $running -ge "$FL_JOBS" ]; then
            wait -n
            running=$((running - 1))
        fi
        name=$(basename "$program")
        rm -f "$dir/$name.rc"
        (
            from=$SECONDS
            timeout --kill-after=10 "$limit" "$program" >"$dir/$name.log" 2>&1 </dev/null
            rc=$?
            [ $rc -ne 124 ] || echo "stopped after the time limit of $limit s" >>"$dir/$name.log"
            echo "$rc $((SECONDS - from))" >"$dir/$name.rc"
        ) &
        running=$((running + 1))
    done
    wait
    for program in "$@"; do
        name=$(basename "$program")
        read -r rc seconds <"$dir/$name.rc" || rc=1
        echo "---- $name ($seconds s)"
        t_take "$dir/$name.log" "$rc" "$name/"
    done
}
