#!/usr/bin/env bash
# Runs one group (called by run.sh, which has installed and built): tests/group.sh NAME
set -u
cd "$FL_ROOT" || exit 2
. tests/lib.sh
. tests/prepare.sh
# shellcheck disable=SC1090
. "tests/groups/$1.sh"
FL_GROUP=$1
FL_TMP=$(mktemp -d "${TMPDIR:-/tmp}/flopinio-$1.XXXXXX") || exit 2
export FL_GROUP FL_TMP
chmod 755 "$FL_TMP" # tests start programs as other users
trap 'rm -rf "$FL_TMP"' EXIT
trap 'exit 143' TERM INT
export FLOPINIO=$FL_BUILD/flopinio FLOPINIO_PLUGIN_DIRS=$FL_BUILD/plugins
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
run
t_end
