#!/bin/bash
# Run by systemd (boot.sh) where the program and its unit are installed: what the unit does there.
# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
cd / || exit 1
unit=flopinio.service data=/var/lib/flopinio
PATH=/usr/local/bin:$PATH
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

as_user() { runuser -u flopinio -- "$@"; }
main_pid() { systemctl show -p MainPID --value $unit; }
said() { journalctl --no-pager -o cat -u $unit; }
until_it() { # until_it SECONDS COMMAND...
    local until=$((SECONDS + $1))
    shift
    while [ $SECONDS -lt $until ]; do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.2
    done
    echo "it did not happen: $*"
    systemctl status --no-pager -n 30 $unit
    return 1
}
serves() { # by its own readiness, which asks its database
    exec 3<>/dev/tcp/127.0.0.1/7338 && printf 'GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3 &&
        head -n 1 <&3 | grep -q ' 200 '
}
ready() { (serves); }
ask() { # ask COMMAND...: of flopinio, as its administrator
    printf 'correct horse battery staple\n' >"$tmp/passphrase"
    flopinio "$@" --data-dir=$data --as ann --passphrase-fd 4 4<"$tmp/passphrase"
}

set_up() {
    systemd-sysusers && install -d -o flopinio -g flopinio $data || return 1
    printf 'correct horse battery staple\ncorrect horse battery staple\n' >"$tmp/passphrase"
    as_user flopinio init --data-dir=$data --org acme --admin ann --passphrase-fd 4 4<"$tmp/passphrase"
}
t_case set_up_as_the_page_says set_up

# Nothing is waited for: the manager is told when it serves.
starts() { systemctl enable --now $unit && ready && systemctl is-active $unit; }
t_case enable_now_ends_when_it_serves starts

confined() {
    local pid
    pid=$(main_pid)
    [ "$(stat -c %U "/proc/$pid")" = flopinio ] && grep -E '^(CapEff|CapBnd):\s0+$' -c "/proc/$pid/status" |
        grep -qx 2 && grep -qE '^NoNewPrivs:\s1$' "/proc/$pid/status" &&
        grep -qE '^Seccomp:\s2$' "/proc/$pid/status" && return
    grep -E '^(Uid|Cap|NoNew|Seccomp)' "/proc/$pid/status"
    return 1
}
t_case it_runs_as_its_user_without_a_privilege confined

plugin_works() {
    install -d -o flopinio -g flopinio /srv/files # not in its data, which is closed to plugins
    ask server add files --plugin files --config "{\"root\": \"/srv/files\"}" &&
        ask tool list | grep files__write
}
t_case a_plugin_starts_in_its_sandbox_inside_the_unit_s plugin_works
confined_kept() { ! said | grep -iE 'landlock|seccomp|sandbox' | grep -iE 'warn|error|could not'; }
t_case nothing_of_the_sandbox_is_missing confined_kept

reloads() {
    mkdir -p /etc/flopinio
    echo 'drain_time: 2s' >/etc/flopinio/flopinio.yaml
    chmod 644 /etc/flopinio/flopinio.yaml
    systemctl reload $unit && until_it 20 sh -c "journalctl --no-pager -o cat -u $unit | grep -q ' reloaded '" &&
        ready && systemctl is-active $unit
}
t_case reload_reads_the_configuration_again reloads

comes_back() {
    local before
    before=$(main_pid)
    [ "$before" -gt 1 ] || return 1 # 0: it does not run
    kill -9 "$before"
    until_it 90 sh -c "p=\$(systemctl show -p MainPID --value $unit); [ \"\$p\" != 0 ] && [ \"\$p\" != $before ]" &&
        until_it 90 ready && ask approvals list >/dev/null &&
        [ "$(systemctl show -p NRestarts --value $unit)" = 1 ]
}
t_case a_killed_one_comes_back_with_its_data comes_back

stops() {
    systemctl stop $unit
    [ "$(systemctl show -p Result --value $unit)" = success ] || systemctl status --no-pager $unit
    [ "$(systemctl show -p ActiveState --value $unit)" = inactive ] &&
        [ "$(systemctl show -p Result --value $unit)" = success ] &&
        ! ps -o pid,args -u flopinio | grep -v PID
}
t_case stop_ends_all_of_it stops

again() { systemctl start $unit && ready && ask server list | grep files; }
t_case it_starts_again_with_what_it_had again
systemctl stop $unit
t_end
