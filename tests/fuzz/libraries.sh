#!/usr/bin/env bash
# The libraries that parse foreign text, from this Debian's source packages, built with the fuzzer's
# instrumentation: a library of the system gives no coverage. libraries.sh DIR leaves DIR/lib/*.a;
# fails where the sources cannot be had. The machine's own package lists stay as they are.
set -eu
mkdir -p "$1/lists/partial" "$1/archives/partial"
cd "$1"
[ ! -f lib/done ] || exit 0
# A line is "  500 URL SUITE/main amd64 Packages".
read -r uri suite < <(apt-cache policy libjansson-dev |
    awk '$NF == "Packages" { sub("/.*", "", $3); print $2, $3; exit }')
echo "deb-src $uri $suite main" >sources.list
apt() {
    apt-get -q -y -o Dir::Etc::SourceList="$PWD/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$PWD/lists" -o Dir::Cache::Archives="$PWD/archives" \
        -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root \
        -o Acquire::Languages=none -o Acquire::Retries=2 "$@"
}
make_one() { # make_one SOURCE_PACKAGE TARGET FILE [cmake option...]
    local name=$1 target=$2 file=$3
    shift 3
    rm -rf "./$name-"*/ "build-$name"
    apt source "$name"
    cmake -S "$name"-*/ -B "build-$name" -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=None \
        -DCMAKE_C_FLAGS="-O1 -g1 -fsanitize=address,fuzzer-no-link" -DBUILD_SHARED_LIBS=OFF "$@"
    cmake --build "build-$name" --target "$target"
    find "build-$name" -name "$file" -exec cp -t lib {} +
    [ -f "lib/$file" ]
}
apt update
mkdir -p lib
make_one jansson jansson libjansson.a -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON \
    -DJANSSON_EXAMPLES=OFF -DJANSSON_BUILD_SHARED_LIBS=OFF
make_one libyaml yaml libyaml.a -DBUILD_TESTING=OFF
make_one pcre2 pcre2-8-static libpcre2-8.a
: >lib/done
