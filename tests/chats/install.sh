#!/usr/bin/env bash
# Installs what package-lock.json names into build/chats, once for each change of it. Needs npm (any
# node from 18 on; what runs here runs on the node of package.json). The registry is whatever npm is
# configured for. The only install script that runs is that of the package `node`.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../../build/chats}
mkdir -p "$out"
out=$(cd "$out" && pwd)

stop() {
    echo "chats: $*" >&2
    exit 1
}

want=$(cat "$here/package.json" "$here/package-lock.json" "$here/install.sh" | sha256sum)
[ "$(cat "$out/installed" 2>/dev/null)" != "$want" ] || exit 0
command -v npm >/dev/null || stop "npm is not here; install the Debian packages nodejs and npm"
rm -rf "$out"
mkdir -p "$out"
cp "$here/package.json" "$here/package-lock.json" "$out/"
cd "$out"
echo "installing the chats' own libraries into $out ..."
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >npm.log 2>&1 ||
    stop "npm could not install them; its words are in $out/npm.log"
npm rebuild --foreground-scripts node >>npm.log 2>&1 && [ -x node_modules/node/bin/node ] ||
    stop "the package node did not bring its program; npm's words are in $out/npm.log"
node_modules/node/bin/node --version >>npm.log 2>&1 ||
    stop "the program of the package node does not start here; its words are in $out/npm.log"
echo "$want" >installed
