#!/usr/bin/env bash
# Runs the tests: installs what they need (Debian 12 or 13), builds with sanitizers, runs the groups
# and ends with one line "N passed, N failed, N skipped". How a group is made: tests/README.md.
#
#   tests/run.sh                  every group in its default form
#   tests/run.sh GROUP...         some of them
#   tests/run.sh --long [GROUP]   the longer forms too
#   tests/run.sh --list           the groups, with the seconds that each may take on 2 cores
#
# Environment: CI=true counts a skip as a failure; FL_JOBS programs at a time (default: the cores,
# at most 4).
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
export FL_ROOT=$PWD FL_LONG=${FL_LONG:-0} LC_ALL=C.UTF-8
# shellcheck source=tests/lib.sh
. tests/lib.sh
# shellcheck source=tests/prepare.sh
. tests/prepare.sh

if [ -z "${FL_JOBS:-}" ]; then
    FL_JOBS=$(nproc)
    [ "$FL_JOBS" -le 4 ] || FL_JOBS=4
fi
export FL_JOBS

header() { # header GROUP FIELD [DEFAULT]
    local value
    value=$(sed -n "s/^# $2: *//p" "tests/groups/$1.sh" | head -n 1)
    printf '%s' "${value:-${3:-}}"
}

all_groups() { # in the order of their header `order`
    local file name
    for file in tests/groups/*.sh; do
        name=$(basename "$file" .sh)
        printf '%s %s\n' "$(header "$name" order 50)" "$name"
    done | sort -n | cut -d' ' -f2
}

list_groups() {
    local name
    printf '%-12s %8s  %s\n' group seconds shows
    for name in $(all_groups); do
        printf '%-12s %8s  %s\n' "$name" "$(header "$name" budget)" "$(header "$name" shows)"
    done
}

# ---- what to run ----
groups=()
while [ $# -gt 0 ]; do
    case $1 in
    --list) list_groups; exit 0 ;;
    --long) FL_LONG=1 ;;
    -h | --help) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' tests/run.sh; exit 0 ;;
    -*) stop "there is no option $1; see tests/run.sh --help" ;;
    *)
        [ -f "tests/groups/$1.sh" ] ||
            stop "there is no group $1; the groups are: $(all_groups | tr '\n' ' ')"
        groups+=("$1")
        ;;
    esac
    shift
done
if [ ${#groups[@]} -eq 0 ]; then
    for name in $(all_groups); do
        [ "$(header "$name" default yes)" = no ] && [ "$FL_LONG" != 1 ] || groups+=("$name")
    done
fi

# ---- prepare ----
export FL_LOGS=$FL_ROOT/build/test-logs FL_BUILD=$FL_ROOT/build/asan-ubsan
needs= builds=no
for name in "${groups[@]}"; do
    needs="$needs $(header "$name" needs)"
    [ "$(header "$name" build asan-ubsan)" = none ] || builds=yes
done
mkdir -p "$FL_LOGS" || stop "cannot write to $FL_ROOT/build"
check_space "$FL_ROOT/build" 3000
check_space "${TMPDIR:-/tmp}" 1000
# shellcheck disable=SC2086
install_packages $needs
if [ $builds = yes ]; then
    build_preset asan-ubsan || stop "the sanitizer build failed; its log: build/test-logs/build-asan-ubsan.log"
fi

# ---- run ----
child= lane=
interrupted() {
    trap - INT TERM
    [ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null
    [ -z "$lane" ] || kill -TERM "$lane" 2>/dev/null
    echo "stopped" >&2
    exit 130
}
trap interrupted INT TERM

limit_of() { # the seconds after which a group is stopped
    local limit
    limit=$(header "$1" limit $(($(header "$1" budget 60) * 3)))
    [ "$FL_LONG" != 1 ] || limit=$((limit * 4))
    echo "$limit"
}

start_group() { # start_group GROUP [COMMAND...] &: in a session of its own, by that command; output in the log
    local name=$1
    shift
    exec setsid "$@" timeout --kill-after=15 "$(limit_of "$name")" bash tests/group.sh "$name" \
        >"$FL_LOGS/$name.log" 2>&1 </dev/null
}

# Groups that only compute, on what the others, which mostly wait, leave of the processors. A session
# may have a priority of its own, against which its processes' niceness does not count.
last_in_line='{ echo 19 >/proc/self/autogroup; } 2>/dev/null; exec nice -n 19 "$@"'
run_beside() {
    local name from rc group=
    trap '[ -z "$group" ] || kill -TERM -- "-$group"; exit 143' TERM
    for name in "$@"; do
        from=$SECONDS
        start_group "$name" sh -c "$last_in_line" sh &
        group=$!
        wait "$group"
        rc=$?
        group=
        echo "$rc $((SECONDS - from))" >"$FL_LOGS/$name.rc.new"
        mv "$FL_LOGS/$name.rc.new" "$FL_LOGS/$name.rc"
    done
}

is_running() { # is_running GROUP
    case " $beside " in
    *" $1 "*) [ ! -e "$FL_LOGS/$1.rc" ] && kill -0 "$lane" 2>/dev/null ;;
    *) kill -0 "$child" 2>/dev/null ;;
    esac
}

run_group() { # runs $1, or waits for it where it runs beside; prints its summary
    local name=$1 log=$FL_LOGS/$1.log from=$SECONDS next=60 rc=1 seconds=0 counts
    printf '%-12s running (about %s s) ...\n' "$name" "$(header "$name" budget 60)"
    case " $beside " in
    *" $name "*) ;;
    *)
        start_group "$name" &
        child=$!
        ;;
    esac
    while is_running "$name"; do
        sleep 1
        if [ $((SECONDS - from)) -ge $next ]; then
            printf '%-12s %s s, %s cases\n' "$name" $((SECONDS - from)) \
                "$(grep -cE '^(ok  |FAIL|skip) ' "$log")"
            next=$((next + 60))
        fi
    done
    if [ -n "$child" ]; then
        wait "$child"
        rc=$?
        child=
        seconds="$((SECONDS - from)) s"
    else
        { read -r rc seconds <"$FL_LOGS/$name.rc"; } 2>/dev/null
        seconds="$((SECONDS - from)) s; $seconds s beside the others"
    fi
    [ "$rc" -ne 124 ] && [ "$rc" -ne 137 ] ||
        printf 'stopped after the time limit of %s s\n' "$(limit_of "$name")" >>"$log"
    counts=$(bash tests/summary.sh "$log" "$rc" "$name")
    printf '%-12s %s (%s)\n' "$name" "$counts" "$seconds"
    [ ! -s "$log.failures" ] || sed 's/^/    /' "$log.failures"
    read -r p _ f _ s _ <<<"$counts"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

beside=
if [ ${#groups[@]} -gt 1 ]; then
    for name in "${groups[@]}"; do
        rm -f "$FL_LOGS/$name.rc"
        [ "$(header "$name" beside no)" = yes ] || continue
        beside="$beside $name"
        : >"$FL_LOGS/$name.log"
    done
fi
if [ -n "$beside" ]; then
    # shellcheck disable=SC2086
    run_beside $beside &
    lane=$!
fi

passed=0 failed=0 skipped=0
for name in "${groups[@]}"; do
    run_group "$name"
done
if [ $failed -gt 0 ]; then
    echo
    echo "failed:"
    for name in "${groups[@]}"; do
        sed -n 's/^FAIL /    /p' "$FL_LOGS/$name.log.failures"
    done
    echo "whole logs: build/test-logs"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
