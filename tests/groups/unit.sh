# shows: each module alone, by its own program under the address and undefined-behaviour sanitizers
# budget: 300
# order: 10
# shellcheck shell=bash

run() {
    local programs
    # The slowest first, so that no core idles at the end.
    mapfile -t programs < <(ls "$FL_BUILD"/unit/test_* |
        awk '{ print (/torture|http_server|quorum|hostile|card_chats|scan$|crypto|files_write|tls/ ? 0 : 1), $0 }' |
        sort -s -k1,1n | cut -d' ' -f2)
    # The long form of the cards goes through all their sizes.
    t_programs $((FL_LONG == 1 ? 3000 : 600)) "${programs[@]}"
    # Without the published data the tests that need it are skipped, which CI counts as a failure.
    if [ "$(id -u)" -eq 0 ] && [ -d ../shared ]; then
        for name in test_scan test_jcs test_schema_suite test_cel_conformance; do
            t_refused "canary_without_data_$name" without_data "$FL_BUILD/unit/$name"
        done
    fi
}

without_data() {
    CI=true unshare --mount --propagation private sh -c '
        mount -t tmpfs none ../shared || exit 0
        exec "$1"' sh "$1"
}
