#!/usr/bin/env bash
# jansson's source package of this Debian, built with the fuzzer's instrumentation: a library of the
# system gives no coverage. jansson.sh DIR leaves DIR/libjansson.a; fails where the source cannot be
# had. The machine's own package lists stay as they are.
set -eu
dir=$1
[ ! -f "$dir/libjansson.a" ] || exit 0
mkdir -p "$dir/lists/partial" "$dir/archives/partial"
cd "$dir"
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
apt update
apt source jansson
cmake -S jansson-*/ -B build -G Ninja -DCMAKE_C_COMPILER=clang -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DCMAKE_C_FLAGS="-fsanitize=address,fuzzer-no-link" -DJANSSON_BUILD_DOCS=OFF \
    -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF -DJANSSON_BUILD_SHARED_LIBS=OFF
cmake --build build
cp build/lib/libjansson.a .
