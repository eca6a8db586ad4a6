#!/usr/bin/env bash
# plugin.h compiles alone, with nothing but the C library's headers, as C11 and as C++17.
set -u
. tests/lib.sh
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/flopinio"
cp include/flopinio/plugin.h "$dir/flopinio/"
echo '#include <flopinio/plugin.h>' >"$dir/alone.c"
printf '#include <flopinio/plugin.h>\nextern "C" const struct flopinio_plugin *flopinio_plugin(void);\n' >"$dir/alone.cc"

compiles() { # compiles COMPILER LANGUAGE STANDARD FILE
    "$1" -x "$2" -std="$3" -Wall -Wextra -pedantic -Werror -I "$dir" -c "$4" -o /dev/null
}
for pair in "gcc g++" "clang clang++"; do
    read -r c cxx <<<"$pair"
    t_case "plugin_h_is_c11_for_$c" compiles "$c" c c11 "$dir/alone.c"
    t_case "plugin_h_is_cpp17_for_$c" compiles "$cxx" c++ c++17 "$dir/alone.cc"
done
echo 'static inline int *zz(void *p) { return p; }' >>"$dir/flopinio/plugin.h"
t_refused canary_plugin_h_that_is_no_cpp compiles g++ c++ c++17 "$dir/alone.cc"
echo 'int zz_array[0];' >>"$dir/flopinio/plugin.h"
t_refused canary_plugin_h_that_is_no_c11 compiles gcc c c11 "$dir/alone.c"
t_end
