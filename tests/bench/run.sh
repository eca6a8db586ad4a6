#!/bin/bash
# Benchmarks: builds the release preset, floors and peers, and compares them in one run.
# tests/bench/run.sh [--rounds 5] [--seconds 2] [--only NAME,...]
set -eu
cd "$(dirname "$0")/../.."
work=build/bench
mkdir -p $work/plugins
cmake --preset release >$work/cmake.log
cmake --build --preset release >$work/build.log
here=tests/bench
gcc -O2 -o $work/load $here/load.c -lssl -lcrypto
# shellcheck disable=SC2046
gcc -O2 -o $work/floor_lws $here/floor_lws.c $(pkg-config --cflags --libs libwebsockets jansson)
# shellcheck disable=SC2046
gcc -O2 -o $work/floor_uv $here/floor_uv.c $(pkg-config --cflags --libs libuv)
# shellcheck disable=SC2046
gcc -O2 -o $work/floor_pq $here/floor_pq.c $(pkg-config --cflags --libs libpq)
gcc -O2 -shared -fPIC -Iinclude -o $work/plugins/echo.so $here/echo.c
cp $here/package.json $here/peer.mjs $work/
[ -d $work/node_modules ] || (cd $work && npm install --no-audit --no-fund --no-package-lock >npm.log)
chmod -R a+rX $work
ulimit -n 65536 2>/dev/null || true
exec /usr/bin/python3 $here/bench.py "$@"
