#!/bin/sh
# check.sh STATES MODEL DEFINE...: runs spin exhaustively over MODEL (votes, approval) in a directory
# of its own. Passes when no promise is broken in any state; else prints the promise and the way there,
# and ends with 1. With 2 where something else is wrong: a search that was cut short shows nothing, and
# a dead end is no broken promise.
set -eu
states=$1 model=$2
shift 2
from=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$from"/*.pml "$dir"
cp "$states" "$dir/states.pml"
cd "$dir"
spin "$@" -a "$model.pml" >spin.log 2>&1 || { cat spin.log; exit 2; }
[ -f pan.c ] || { cat spin.log; exit 2; }
gcc -w -O0 -DCOLLAPSE -DSAFETY -DMEMLIM=${FL_MODEL_MB:-1024} -DVECTORSZ=2048 -o pan pan.c
./pan -m100000 >pan.log 2>&1
grep -E '^pan:|errors:|states, stored|elapsed' pan.log
if grep -q 'errors: 0$' pan.log &&
    ! grep -qE 'not completed|max search depth|MEMLIM|out of memory' pan.log; then
    exit 0
fi
if ls ./*.trail >/dev/null 2>&1; then
    grep -q '^pan:.* assertion violated' pan.log || { tail -n 40 pan.log; exit 2; }
    spin "$@" -t -p "$model.pml" | tail -n 60
    exit 1
fi
tail -n 40 pan.log
exit 2
