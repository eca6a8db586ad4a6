#!/usr/bin/env bash
# What `cmake --install` puts where: everything a user needs, nothing of the tests.
set -u
. tests/lib.sh
release=build/release
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
if ! DESTDIR=$dir cmake --install $release --prefix /usr >"$dir/log" 2>&1; then
    cat "$dir/log"
    t_fail installs
    t_end
    exit 1
fi
t_ok installs
lib=usr/$(sed -n 's/^CMAKE_INSTALL_LIBDIR:[A-Z]*=//p' $release/CMakeCache.txt)
doc=usr/$(sed -n 's/^CMAKE_INSTALL_DOCDIR:[A-Z]*=//p' $release/CMakeCache.txt)
[ "$doc" != usr/ ] || doc=usr/share/doc/flopinio

wanted() {
    printf '%s\n' usr/bin/flopinio usr/include/flopinio/plugin.h usr/lib/systemd/system/flopinio.service \
        usr/lib/sysusers.d/flopinio.conf "$doc/README.md" "$doc/LICENSE"
    for plugin in plugins/*/; do
        plugin=$(basename "$plugin")
        [ "$plugin" = conformance ] || echo "$lib/flopinio/plugins/$plugin.so"
    done
    git ls-files docs examples/plugin | sed -e "s,^docs/,$doc/docs/," -e "s,^examples/plugin/,$doc/plugin/,"
}
t_case installs_exactly_what_a_user_needs \
    diff <(wanted | sort) <(cd "$dir" && find usr -type f | sort)

# The installed program, away from the build.
answers() { "$dir/usr/bin/flopinio" --version | grep -q flopinio; }
t_case the_installed_program_answers answers
t_case the_unit_names_the_program grep -qE '^ExecStart=/[a-z/]*bin/flopinio serve$' \
    "$dir/usr/lib/systemd/system/flopinio.service"

# The example plugin builds against what is installed, by its own Makefile.
builds_example() {
    cp -r "$dir/$doc/plugin" "$dir/example"
    make -s -C "$dir/example" CFLAGS="-I$dir/usr/include -Wall -Wextra -Werror"
}
t_case the_example_builds_with_the_installed_header builds_example

unit=$dir/flopinio.service
sed "s,^ExecStart=[^ ]*,ExecStart=/bin/true," "$dir/usr/lib/systemd/system/flopinio.service" >"$unit"
t_case the_unit_is_well_formed bash -c '! systemd-analyze verify --man=no "$1" 2>&1 | grep .' - "$unit"
little_exposed() { # of 100
    systemd-analyze security --offline=true --threshold=20 --no-pager "$unit" >"$dir/exposure" ||
        { grep '✗' "$dir/exposure"; return 1; }
}
t_case the_unit_is_exposed_little little_exposed
sed -i '/^\(Protect\|Private\|Restrict\|Capability\|SystemCall\|NoNew\)/d' "$unit"
t_refused canary_a_bare_unit little_exposed
t_end
