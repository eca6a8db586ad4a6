#!/bin/sh
# boot.sh ROOT SCRIPT: starts systemd as the first process of namespaces of its own in the directory
# ROOT, where SCRIPT (a path in ROOT) runs as root behind basic.target, and writes to ROOT/cases.
# Ends with SCRIPT's exit status; 97: it could not be started. Everything ends with it.
# It needs root, cgroup2 in the kernel and systemd in ROOT; nothing else of this machine's is seen but
# a few devices. There is no network but loopback.
set -u
# A cgroup of its own first, which is the root of all that systemd sees.
enter() {
    mkdir -p "$1" && mount -t cgroup2 cgroup2 "$1" || exit 97
    group=$1$(sed -n 's/^0:://p' /proc/self/cgroup)/cases.$$
    mkdir "$group" && echo $$ >"$group/cgroup.procs" || exit 97
}

case ${1:-} in
--inside) ;;
--grouped) # in mounts of its own
    shift
    mount --bind "$1" "$1" || exit 97 # a root that services can be confined in is a mount
    enter "$1/sys/fs/cgroup"
    unshare --mount --propagation private --pid --cgroup --ipc --uts --net --fork --kill-child \
        "$0" --inside "$@"
    status=$?
    echo $$ >"$group/../cgroup.procs"
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
    exit $status
    ;;
*) exec unshare --mount --propagation private "$0" --grouped "$@" ;;
esac
root=$2 script=$3

mount -t proc proc "$root/proc" &&
    umount "$root/sys/fs/cgroup" && mount -t sysfs -o ro sysfs "$root/sys" &&
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" &&
    mount -t tmpfs -o mode=755 tmpfs "$root/dev" &&
    mount -t tmpfs -o mode=755 tmpfs "$root/run" &&
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp" || exit 97
for device in null zero full random urandom tty; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device" || exit 97
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts" &&
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" || exit 97
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
: >"$root/console" # what systemd says
: >"$root/dev/console"
mount --bind "$root/console" "$root/dev/console" || exit 97

cat >"$root/etc/systemd/system/cases.service" <<UNIT
[Unit]
Description=the cases
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=$script
StandardOutput=truncate:/cases
StandardError=inherit
TimeoutStartSec=900
UNIT
: >"$root/etc/machine-id"
exec chroot "$root" /usr/bin/env -i container=cases PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=cases.service --log-target=console --log-level=notice --show-status=no
