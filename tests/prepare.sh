# Packages, disk space and builds, for run.sh and the groups that build more than one preset.
# shellcheck shell=bash

# What the build and every group need. Groups name what they need beside it (`# needs:`).
BASE_PACKAGES="ca-certificates cmake gcc g++ git libargon2-dev libc6-dev libcurl4-openssl-dev
    libjansson-dev libpcre2-dev libpq-dev libssl-dev libuv1-dev libwebsockets-dev libyaml-dev make
    ninja-build openssl patch pkg-config postgresql procps python3 strace util-linux zlib1g-dev"

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        stop "packages are missing and this is not root: run it as root, or install sudo ($missing)"
    fi
}

# check_space DIR MEGABYTES
check_space() {
    local free
    free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
    [ "$free" -ge "$2" ] ||
        stop "the disk of $1 has only $free MB free; the tests need $2 MB"
}

# Only what dpkg does not have is installed, so that a second run needs no network. A Node.js from
# elsewhere conflicts with Debian's packages and serves as well.
missing_packages() {
    local name
    for name in "$@"; do
        case $name in
        nodejs) command -v node >/dev/null && continue ;;
        npm) command -v npm >/dev/null && continue ;;
        esac
        case $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) in
        "install ok installed") ;;
        *) echo "$name" ;;
        esac
    done | sort -u
}

# What is installed for tests is not started as a service: tests start their own.
apt() {
    local rc policy=/usr/sbin/policy-rc.d made=no
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
        made=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" >>"$FL_LOGS/packages.log" 2>&1
    rc=$?
    [ $made = no ] || as_root rm -f $policy
    return $rc
}

# Nor at the next start of the machine.
keep_off() { # keep_off PACKAGE... that were installed just now
    local name
    for name in "$@"; do
        case $name in
        postfix | dovecot-imapd)
            [ ! -d /run/systemd/system ] || as_root systemctl -q disable "${name%-imapd}" || true
            ;;
        esac
    done
}

install_packages() {
    local conf=/etc/postgresql-common/createcluster.conf
    command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
        stop "this needs Debian 12 or 13: apt-get is not here"
    # shellcheck disable=SC2086
    missing=$(missing_packages $BASE_PACKAGES "$@" | tr '\n' ' ')
    [ -n "${missing// /}" ] || return 0
    echo "installing: $missing"
    : >"$FL_LOGS/packages.log"
    apt update || stop "could not reach a package mirror: apt-get update failed; its words are in build/test-logs/packages.log"
    # The runtime keeps a cluster of its own; the packages' default one is not created.
    apt install --no-install-recommends postgresql-common ||
        stop "could not install postgresql-common; apt's words are in build/test-logs/packages.log"
    grep -q '^ *create_main_cluster *= *false' $conf ||
        as_root sed -i -e '$a create_main_cluster = false' $conf
    case " $missing " in
    *" postfix "*) as_root debconf-set-selections <<<"postfix postfix/main_mailer_type select No configuration" ;;
    esac
    # shellcheck disable=SC2086
    apt install --no-install-recommends $missing ||
        stop "could not install $missing; apt's words are in build/test-logs/packages.log"
    # shellcheck disable=SC2086
    keep_off $missing
}

# build_preset NAME [cmake argument...]: configures and builds build/NAME, quietly.
build_preset() {
    local preset=$1
    shift
    configure_preset "$preset" "$@" && make_targets "$preset" all
}

# build_targets PRESET TARGET...: the same for a part of it.
build_targets() {
    local preset=$1
    shift
    configure_preset "$preset" && make_targets "$preset" "$@"
}

# Another group may be building the same just now.
one_at_a_time() { # one_at_a_time PRESET COMMAND...
    mkdir -p "$FL_ROOT/build"
    flock "$FL_ROOT/build/.$1.lock" "${@:2}"
}

configure_preset() {
    local preset=$1 log=$FL_LOGS/build-$1.log cache=()
    shift
    if command -v ccache >/dev/null; then
        export CCACHE_NOHASHDIR=1 CCACHE_BASEDIR=$FL_ROOT
        cache=(-DCMAKE_C_COMPILER_LAUNCHER=ccache)
    fi
    one_at_a_time "$preset" cmake --preset "$preset" "${cache[@]}" "$@" >"$log" 2>&1 || build_failed "$log"
}

make_targets() {
    local preset=$1 from=$SECONDS log=$FL_LOGS/build-$1.log
    shift
    printf '%-12s building (%s) ...\n' build "$preset"
    one_at_a_time "$preset" cmake --build "build/$preset" --target "$@" -- -j"$FL_JOBS" >>"$log" 2>&1 || build_failed "$log" || return
    printf '%-12s %s done (%s s)\n' build "$preset" $((SECONDS - from))
}

build_failed() {
    grep -E -A8 'error:|CMake Error|FAILED:|No space left' "$1" | head -n 60
    return 1
}
