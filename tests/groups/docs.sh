# shows: every command that the pages show works as they show it
# budget: 150
# order: 35
# needs: python3-psycopg2 systemd curl
# shellcheck shell=bash

wrong() { # wrong TEXT: a page that is noticed, and for that reason
    local rc
    /usr/bin/python3 tests/docs/run.py "$FL_TMP/page.md" >"$FL_TMP/out" 2>&1
    rc=$?
    [ $rc -ne 0 ] && grep -qF -- "$1" "$FL_TMP/out" && return 0
    cat "$FL_TMP/out"
    return 1
}

run() {
    t_case commands_in_the_docs_exist /usr/bin/python3 tests/docs/mentions.py
    if [ "$(id -u)" -ne 0 ] || ! unshare --mount --net --pid --fork true 2>/dev/null; then
        t_skip the_commands_of_the_pages "namespaces of its own need root"
        return
    fi
    t_stream docs /usr/bin/python3 tests/docs/run.py
    printf '```sh\nflopinio --version\nflopinio polcy show\n```\n' >"$FL_TMP/page.md"
    t_case canary_a_wrong_command_is_noticed wrong 'line 3: status 2: flopinio polcy show'
    printf '```sh\ntrue\n```\n\n```\nflopinio policy show\n```\n' >"$FL_TMP/page.md"
    t_case canary_a_command_that_is_not_marked_is_noticed wrong 'page.md:6: a command in a block'
}
