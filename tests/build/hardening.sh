#!/usr/bin/env bash
# What the release build's binary and plugins carry against exploits, read from the files.
set -u
. tests/lib.sh
release=${1:-build/release}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

has() { # has FILE REGEX READELF_OPTION...
    local file=$1 pattern=$2 text
    shift 2
    text=$(LC_ALL=C readelf -W "$@" "$file") || return 1
    grep -qE "$pattern" <<<"$text" || { echo "$file: nothing matches $pattern"; return 1; }
}
is_pie() { has "$1" '^ *Type: +DYN' -h && has "$1" 'FLAGS_1.* PIE' -d; }
is_shared() { has "$1" '^ *Type: +DYN' -h; }
has_relro() { has "$1" 'GNU_RELRO' -l; }
binds_now() { has "$1" 'FLAGS_1.* NOW' -d && has "$1" 'BIND_NOW' -d; }
has_no_exec_stack() { has "$1" 'GNU_STACK +(0x[0-9a-f]+ +){5}RW +' -l; }
has_no_writable_code() { ! has "$1" 'LOAD .* RWE ' -l >/dev/null; }
has_canary() { has "$1" '__stack_chk_fail' --dyn-syms; }
is_fortified() { has "$1" '__(memcpy|memmove|strcpy|v?s?n?printf|v?f?printf|memset|read|fread|pread|recv|getcwd|readlink|fdelt|realpath|poll|open)[a-z0-9_]*_chk' --dyn-syms; }
has_no_search_path() { ! has "$1" '\((RPATH|RUNPATH)\)' -d >/dev/null; }
# Each function that a pointer may reach starts with endbr64. (The note that switches the processor's
# check on is the linker's AND over all objects, and Debian's C start files do not carry it.)
has_landing_pads() {
    local pads
    pads=$(objdump -d --no-show-raw-insn "$1" | grep -c endbr64)
    [ "$pads" -ge 50 ] || { echo "$1: $pads landing pads"; return 1; }
}

check_all() { # check_all NAME FILE CHECK...
    local name=$1 file=$2 check
    shift 2
    for check in "$@"; do
        t_case "${name}_$check" "$check" "$file"
    done
}
common=(has_relro binds_now has_no_exec_stack has_no_writable_code has_canary has_no_search_path)
[ "$(uname -m)" != x86_64 ] || common+=(has_landing_pads)
check_all flopinio "$release/flopinio" is_pie is_fortified "${common[@]}"
check_all plugin_files "$release/plugins/files.so" is_shared is_fortified "${common[@]}"

# Nothing of this holds for a program built without the flags.
cat >"$dir/bare.c" <<'C'
#include <stdio.h>
#include <string.h>
int main(int argc, char **argv) { char b[64]; strcpy(b, argv[argc - 1]); return puts(b); }
C
gcc -w -no-pie -fno-stack-protector -U_FORTIFY_SOURCE -fcf-protection=none -Wl,-z,norelro \
    -Wl,-z,lazy -Wl,-z,execstack -Wl,-rpath,/nowhere -Wl,--disable-new-dtags \
    "$dir/bare.c" -o "$dir/bare" || exit 1
for check in is_pie is_fortified has_relro binds_now has_no_exec_stack has_canary has_no_search_path has_landing_pads; do
    t_refused "canary_bare_program_$check" "$check" "$dir/bare"
done
t_end
