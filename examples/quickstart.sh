#!/bin/sh
# From a bare Debian 12 or 13 to a held call that a person decides: installs what is missing with
# apt (without the packages' own PostgreSQL cluster), builds, starts `flopinio demo`. Can be run
# again at any time; what is there already is not done twice.
#
#   examples/quickstart.sh                you decide at the prompt; it then stays up for your client
#   examples/quickstart.sh --unattended   decides by itself and ends: 0 when all went as it must
#
# Arguments are handed to `flopinio demo`; see `build/release/flopinio demo --help`.
set -u

PACKAGES="ca-certificates cmake gcc libargon2-dev libc6-dev libcurl4-openssl-dev libjansson-dev
    libpcre2-dev libpq-dev libssl-dev libuv1-dev libwebsockets-dev libyaml-dev ninja-build pkg-config
    postgresql zlib1g-dev"
CREATECLUSTER=/etc/postgresql-common/createcluster.conf
DISK_MB=1500

say() { printf '%s\n' "$*"; }
stop() { # ends with one sentence
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

cd "$(dirname "$0")/.." || exit 1
[ -f CMakePresets.json ] || stop "this is not a checkout of flopinio: CMakePresets.json is missing"
mkdir -p build/release 2>/dev/null && [ -w build ] && [ -w build/release ] ||
    stop "cannot write to $PWD/build; run this as the user who owns it"
LOG=$PWD/build/quickstart.log
: >"$LOG" || stop "cannot write to $LOG"

# ---- helpers ----
is_terminal=0
[ ! -t 1 ] || [ "${TERM:-dumb}" = dumb ] || is_terminal=1

free_mb() { df -Pm "$1" | awk 'NR == 2 { print $4 }'; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Runs a long command with its output in the log, and shows how far it is.
quietly() { # quietly WHAT COMMAND...
    what=$1
    shift
    started=$(date +%s)
    first=$(($(wc -l <"$LOG") + 1)) # of this command's lines
    "$@" >>"$LOG" 2>&1 </dev/null &
    job=$!
    trap 'trap "" TERM; kill -TERM 0; exit 130' INT
    trap 'kill $job 2>/dev/null; exit 143' TERM
    told=0
    while kill -0 $job 2>/dev/null; do
        sleep 1
        took=$(($(date +%s) - started))
        line=$(tail -n 1 "$LOG" | tr -cd '[:print:]' | cut -c 1-60)
        if [ $is_terminal = 1 ]; then
            printf '\r%.78s\033[K' "$what ... $took s  $line"
        elif [ $((took - told)) -ge 15 ]; then
            told=$took
            say "$what ... $took s  $line"
        fi
    done
    trap - INT TERM
    [ $is_terminal = 0 ] || printf '\r\033[K'
    wait $job || return 1
    say "$what: done ($(($(date +%s) - started)) s)"
}

# Why a step failed, from what it said.
says() { tail -n "+$first" "$LOG" | grep -q "$@"; }
reason() {
    if says 'No space left on device\|not have enough free space'; then
        echo "the disk is full"
    elif says 'Could not get lock\|Unable to acquire'; then
        echo "another apt is running; wait for it to end"
    elif says 'Temporary failure resolving\|Could not resolve\|Could not connect\|Failed to fetch\|Unable to connect\|Network is unreachable'; then
        echo "the package mirror cannot be reached; is there a network?"
    elif says 'Unable to locate package\|has no installation candidate'; then
        echo "apt does not know $(tail -n "+$first" "$LOG" | sed -n "s/.*Unable to locate package //p; s/.*Package '\(.*\)' has no inst.*/\1/p" | head -n 1); this needs Debian 12 or 13"
    else
        tail -n "+$first" "$LOG" | grep -m 1 '^E: \|error:\|CMake Error' | cut -c 1-160
    fi
}

# ---- packages ----
missing_packages() {
    for name in $PACKAGES; do
        case $(dpkg-query -W -f '${Status}' "$name" 2>/dev/null) in
        'install ok installed') ;;
        *) printf '%s ' "$name" ;;
        esac
    done
}

apt() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 \
        -o Acquire::Retries=2 -o DPkg::Lock::Timeout=120 "$@"
}

# The runtime keeps a database of its own; a cluster that the packages would make is not wanted.
no_default_cluster() {
    [ ! -e $CREATECLUSTER ] || return 0
    as_root mkdir -p "$(dirname $CREATECLUSTER)" &&
        echo 'create_main_cluster = false' | as_root tee $CREATECLUSTER >/dev/null
}

install_packages() {
    command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
        stop "this needs Debian 12 or 13: there is no apt here"
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        stop "packages are missing and there is no sudo; as root: apt-get install $missing"
    fi
    say "to be installed: $missing"
    [ "$(id -u)" -eq 0 ] || sudo -v || stop "sudo did not let you in; as root: apt-get install $missing"
    [ "$(free_mb /var)" -ge $DISK_MB ] ||
        stop "the disk of /var has only $(free_mb /var) MB free; the packages need up to $DISK_MB MB"
    quietly "reading the package lists" apt update ||
        stop "could not read the package lists: $(reason) (all of it: $LOG)"
    no_default_cluster || stop "cannot write $CREATECLUSTER"
    # shellcheck disable=SC2086
    quietly "installing packages" apt install --no-install-recommends $missing ||
        stop "could not install packages: $(reason) (all of it: $LOG)"
}

# ---- build ----
build() {
    [ "$(free_mb build)" -ge 500 ] ||
        stop "the disk of $PWD has only $(free_mb build) MB free; the build needs 500 MB"
    if [ ! -f build/release/build.ninja ]; then
        quietly "configuring" cmake --preset release ||
            stop "could not configure the build: $(reason) (all of it: $LOG)"
    fi
    quietly "building" cmake --build --preset release ||
        stop "could not build: $(reason) (all of it: $LOG)"
}

install_packages
build
say
exec build/release/flopinio demo "$@"
