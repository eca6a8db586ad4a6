# shows: from a bare Debian 12 (--long: 13 too, and the service under systemd) to the first decided call
# budget: 240
# order: 80
# needs: debootstrap debian-archive-keyring
# build: none
# shellcheck shell=bash

ROOTS=$FL_ROOT/build/roots

# ---- the package mirror of this machine, whatever it is ----
# apt's own answer, so that both formats of its files are read.
mirror_uri() { # mirror_uri RELEASE: where this machine has that release from, or nothing
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 2>/dev/null |
        awk -v release="$1" '$1 == release { print $2; exit }'
}

host_release() { sed -n 's/^VERSION_CODENAME=//p' /etc/os-release; }

main_uri() { mirror_uri "$(host_release)"; }
security_uri() { mirror_uri "$(host_release)-security"; }

# Sources, proxies and certificates of this machine for the apt inside; nothing of it is kept.
configure_apt() { # configure_apt ROOT SUITE
    local root=$1 suite=$2
    printf 'deb %s %s main\n' "$(main_uri)" "$suite" "$(main_uri)" "$suite-updates" \
        >"$root/etc/apt/sources.list"
    [ -z "$(security_uri)" ] ||
        printf 'deb %s %s main\n' "$(security_uri)" "$suite-security" >>"$root/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::(https?::.*(Proxy|Ca|SSL|Verify)|Check-(Valid-Until|Date))' \
        >"$root/etc/apt/apt.conf.d/90host"
    if [ -f /etc/ssl/certs/ca-certificates.crt ] && grep -q https: "$root/etc/apt/sources.list"; then
        cp /etc/ssl/certs/ca-certificates.crt "$root/etc/apt/host-ca.crt"
        echo 'Acquire::https::CAInfo "/etc/apt/host-ca.crt";' >>"$root/etc/apt/apt.conf.d/90host"
    fi
    cp -rT /etc/apt/auth.conf.d "$root/etc/apt/auth.conf.d" 2>/dev/null
    cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
}

# ---- a bare root ----
bare_root() { # bare_root SUITE: unpacks it into $root; the archive is made once and kept
    local archive=$ROOTS/$1.tar proxy=
    mkdir -p "$ROOTS"
    if [ ! -f "$archive" ]; then
        eval "$(apt-config shell proxy Acquire::http::Proxy)"
        [ -z "$proxy" ] || export http_proxy=$proxy
        rm -rf "$FL_TMP/made"
        debootstrap --variant=minbase "$1" "$FL_TMP/made" "$(main_uri)" || return 1
        rm -f "$FL_TMP/made"/var/cache/apt/archives/*.deb
        tar -C "$FL_TMP/made" --numeric-owner -cf "$archive.new" . && mv "$archive.new" "$archive"
        rm -rf "$FL_TMP/made"
    fi
    rm -rf "$root"
    mkdir -p "$root"
    tar -C "$root" --numeric-owner -xf "$archive" || return 1
    configure_apt "$root" "$1"
    # What git has, as it is now in the work tree.
    mkdir -p "$root/srv/flopinio"
    git ls-files -z | while IFS= read -r -d '' file; do
        [ ! -e "$file" ] || printf '%s\0' "$file"
    done | tar --null -T - -c | tar -x -C "$root/srv/flopinio"
}

# inside [unshare option...] -- COMMAND...: in the root, in namespaces of its own. Mounts and processes
# are gone with them, whichever way it ends.
inside() {
    local options=()
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    mkdir -p "$ROOTS/debs"
    # shellcheck disable=SC2016
    unshare --mount --pid --fork --kill-child --propagation private "${options[@]}" sh -c '
        root=$1 debs=$2
        shift 2
        mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
            mount --bind "$debs" "$root/var/cache/apt/archives" || exit 97
        exec chroot "$root" /usr/bin/env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
            HOME=/root TERM=dumb ${http_proxy:+http_proxy=$http_proxy} \
            ${https_proxy:+https_proxy=$https_proxy} ${no_proxy:+no_proxy=$no_proxy} "$@"' \
        sh "$root" "$ROOTS/debs" "$@" </dev/null
}

quickstart=/srv/flopinio/examples/quickstart.sh

# ---- what must have come out ----
decided() { # decided FILE: everything that the demo shows is in its output
    local line flat missing=0
    flat=$(sed -E 's/^ *[|>] ?//' "$1" | tr -s ' \n' ' ') # long lines are folded
    while IFS= read -r line; do
        case $flat in
        *"$line"*) ;;
        *) echo "its output does not say: $line"; missing=1 ;;
        esac
    done <<'LINES'
The meeting with the printers is on Thursday at ten.
not isolated from the agent: this approval is advisory
+plums 2.20
Ana, who owns the agent, tries to approve and is refused
Ben approves, which decides it.
prices.txt now has the new price.
was rejected by ben: "ask again on Monday"
There is no sale.txt.
Ben approves: 1 of 2 from ops.
Cleo approves, which decides it.
old-prices.txt is gone.
agents here read, write and delete files, nothing else
unknown tool: mail__send
a call was held, people are asked: files__delete
Every step ended as it must.
LINES
    [ $missing -eq 0 ]
}

runs() { # runs NAME COMMAND...: the demo inside, with what must come out of it
    local out=$FL_TMP/out.$1
    shift
    if ! inside -- "$@" >"$out" 2>&1; then
        cat "$out"
        echo "it ended with another status than 0"
        return 1
    fi
    decided "$out" && ! grep -n 'warning:' "$root/srv/flopinio/build/quickstart.log"
}

says() { # says SENTENCE OPTION... -- COMMAND...: ends with status 1 and that one sentence
    local sentence=$1 out=$FL_TMP/out.says rc
    shift
    inside "$@" >"$out" 2>&1
    rc=$?
    [ $rc -eq 1 ] && [ "$(grep -c '^quickstart: \|^flopinio: ' "$out")" = 1 ] &&
        grep '^quickstart: \|^flopinio: ' "$out" | grep -qF -- "$sentence" && return 0
    cat "$out"
    echo "it ended with status $rc; expected 1 and: $sentence"
    return 1
}

port_taken() {
    local port held listener rc
    exec {held}< <(exec python3 -uc 'import socket, time; s = socket.create_server(("127.0.0.1", 0))
print(s.getsockname()[1]); time.sleep(120)')
    listener=$!
    read -r port <&$held
    says "port $port" -- $quickstart --once --port="$port"
    rc=$?
    kill $listener
    exec {held}<&-
    return $rc
}

# ---- the service ----
# What examples/quickstart.sh built, installed, and systemd as the first process.
service() {
    inside -- sh -c 'export DEBIAN_FRONTEND=noninteractive
        apt-get -q -y install --no-install-recommends systemd procps &&
        cmake --install /srv/flopinio/build/release' >"$FL_TMP/service.log" 2>&1 || {
        cat "$FL_TMP/service.log"
        return 1
    }
    tests/systemd/boot.sh "$root" /srv/flopinio/tests/systemd/cases.sh
}

under_systemd() { # under_systemd SUITE
    local rc
    service
    rc=$?
    if [ ! -s "$root/cases" ]; then
        tail -n 50 "$root/console" 2>/dev/null
        t_fail "$1/systemd_starts"
        return
    fi
    t_take "$root/cases" $rc "$1/service/"
}

suite() { # suite NAME: every case in that release
    root=$FL_TMP/root
    t_case "$1/a_bare_root_is_made" bare_root "$1" || return
    # Refusals first: nothing is installed yet.
    t_case "$1/no_network_is_said" says 'is there a network?' --net -- $quickstart --unattended
    t_case "$1/a_full_disk_is_said" says 'MB free' -- sh -c "mount -t tmpfs -o size=8m none /var/cache/apt &&
        mount -t tmpfs -o size=8m none /var && $quickstart --unattended"
    inside -- sh -c 'useradd -m tester && chown -R tester /srv/flopinio'
    t_case "$1/no_sudo_is_said" says 'there is no sudo' -- su tester -c "$quickstart --unattended"
    inside -- chown -R root /srv/flopinio
    # From nothing to the decided calls.
    t_case "$1/from_nothing_to_decided_calls" runs first $quickstart --unattended
    t_case "$1/no_cluster_of_the_packages" inside -- sh -c '! ls /etc/postgresql/*/main 2>/dev/null'
    t_refused "$1/canary_a_call_that_was_not_done_is_noticed" \
        decided <(grep -v 'prices.txt now has' "$FL_TMP/out.first")
    t_case "$1/a_second_run_installs_nothing" runs second sh -c "
        mv /usr/bin/apt-get /usr/bin/apt-get.away; printf '#!/bin/sh\nexit 1\n' >/usr/bin/apt-get
        chmod +x /usr/bin/apt-get; $quickstart --unattended; rc=\$?
        mv /usr/bin/apt-get.away /usr/bin/apt-get; exit \$rc"
    t_case "$1/a_taken_port_is_said" port_taken
    inside -- chown -R tester /srv/flopinio
    t_case "$1/without_root" runs user su tester -c "$quickstart --unattended"
    # A server that does something else than it says must not end well.
    t_refused "$1/canary_a_demo_that_goes_wrong_fails" inside -- sh -c '
        mkdir /srv/wrong && cp /srv/flopinio/build/release/plugins/conformance.so /srv/wrong/files.so &&
        FLOPINIO_PLUGIN_DIRS=/srv/wrong /srv/flopinio/build/release/flopinio demo --unattended'
    [ "$FL_LONG" != 1 ] || under_systemd "$1"
    t_case "$1/no_apt_is_said" says 'there is no apt here' -- sh -c "rm /usr/bin/apt-get; $quickstart"
    rm -rf "$root"
}

run() {
    if [ "$(id -u)" -ne 0 ]; then
        t_skip from_nothing_to_decided_calls "a root directory of its own needs root"
        return
    fi
    if ! unshare --mount --pid --fork true 2>/dev/null; then
        t_skip from_nothing_to_decided_calls "there are no mount namespaces here"
        return
    fi
    if [ -z "$(main_uri)" ]; then
        t_skip from_nothing_to_decided_calls "apt's sources here do not say where Debian's packages are"
        return
    fi
    check_space "$FL_TMP" 4000
    suite bookworm
    [ "$FL_LONG" != 1 ] || suite trixie
}
