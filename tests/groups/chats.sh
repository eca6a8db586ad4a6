# shows: Slack's and Telegram's own libraries agree with our fakes and with our cards
# budget: 60
# limit: 400
# order: 62
# needs: python3-psycopg2
# shellcheck shell=bash

run() {
    # Node from elsewhere brings its own npm, beside which the package of Debian cannot be.
    command -v npm >/dev/null || install_packages nodejs npm
    t_case the_libraries_are_installed tests/chats/install.sh
    [ "$t_failed" -eq 0 ] || return 0
    /usr/bin/python3 tests/chats/run.py >"$FL_TMP/out" 2>&1
    t_take "$FL_TMP/out" $? ""
}
