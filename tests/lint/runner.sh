#!/usr/bin/env bash
# The runner's own canaries: a group that fails in any way is counted as failing.
set -u
. tests/lib.sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

expect() { # expect NAME CI EXIT_CODE WANTED LOG_TEXT
    printf '%b' "$5" >"$dir/log"
    local got
    got=$(CI=$2 bash tests/summary.sh "$dir/log" "$3" x)
    if [ "$got" = "$4" ]; then t_ok "$1"; else
        echo "counted as $got, not $4"
        t_fail "$1"
    fi
}
end0='1 passed, 0 failed, 0 skipped\n'
expect runner_counts_a_pass '' 0 '1 passed, 0 failed, 0 skipped' "ok   a\n$end0"
expect runner_counts_a_failure '' 1 '0 passed, 1 failed, 0 skipped' \
    'FAIL a\n0 passed, 1 failed, 0 skipped\n'
expect runner_sees_a_missing_closing_line '' 0 '1 passed, 1 failed, 0 skipped' 'ok   a\n'
expect runner_sees_a_case_after_the_closing_line '' 0 '2 passed, 1 failed, 0 skipped' \
    "ok   a\n${end0}ok   b\n"
expect runner_sees_a_wrong_closing_line '' 0 '1 passed, 1 failed, 0 skipped' \
    'ok   a\n2 passed, 0 failed, 0 skipped\n'
expect runner_sees_an_exit_code '' 1 '1 passed, 1 failed, 0 skipped' "ok   a\n$end0"
expect runner_sees_that_nothing_ran '' 0 '0 passed, 1 failed, 0 skipped' \
    '0 passed, 0 failed, 0 skipped\n'
expect runner_allows_a_skip '' 0 '1 passed, 0 failed, 1 skipped' \
    'ok   a\nskip b\n1 passed, 0 failed, 1 skipped\n'
expect runner_fails_a_skip_in_ci true 0 '1 passed, 1 failed, 0 skipped' \
    'ok   a\nskip b\n1 passed, 0 failed, 1 skipped\n'
printf 'before\nok   a\nthe reason\nFAIL b\nafter\nok   c\n2 passed, 1 failed, 0 skipped\n' >"$dir/log"
bash tests/summary.sh "$dir/log" 1 x >"$dir/out"
t_case runner_shows_the_failing_output diff "$dir/log.failures" <(printf 'the reason\nFAIL b\n')

# a program that dies half-way
printf 'ok   a\n' >"$dir/died"
text=$(t_passed=0 t_failed=0; t_take "$dir/died" 139 died/; t_end)
t_case runner_sees_a_program_that_died grep -q '^1 passed, 1 failed' <<<"$text"
t_end
