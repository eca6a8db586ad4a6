# shows: each module alone, by its own program under the address and undefined-behaviour sanitizers
# budget: 300
# order: 10
# shellcheck shell=bash

run() {
    local programs
    # The slowest first, so that no core idles at the end.
    mapfile -t programs < <(ls "$FL_BUILD"/unit/test_* |
        awk '{ print (/torture|http_server|quorum|hostile|scan$|crypto|files_write|tls/ ? 0 : 1), $0 }' |
        sort -s -k1,1n | cut -d' ' -f2)
    t_programs 600 "${programs[@]}"
}
