#!/usr/bin/env bash
# Installs the clients of package.json and requirements.txt into build/clients, once for each change
# of these two files. Needs npm (any node from 18 on; the clients run on the node of package.json)
# and python3-venv. A registry is whatever npm and pip are configured for. The only install script
# that runs is that of the package `node`, which fetches the program for this machine.
set -eu
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/../../build/clients}
mkdir -p "$out"
out=$(cd "$out" && pwd)

stop() {
    echo "clients: $*" >&2
    exit 1
}

want=$(cat "$here/package.json" "$here/requirements.txt" "$here/install.sh" | sha256sum)
[ "$(cat "$out/installed" 2>/dev/null)" != "$want" ] || exit 0
command -v npm >/dev/null || stop "npm is not here; install the Debian packages nodejs and npm"
python3 -c 'import ensurepip' 2>/dev/null ||
    stop "python3 cannot make a virtual environment; install the Debian package python3-venv"

rm -rf "$out"
mkdir -p "$out"
cp "$here/package.json" "$out/"
cd "$out"
echo "installing the official clients into $out ..."
npm install --ignore-scripts --no-package-lock --no-audit --no-fund --loglevel=error >npm.log 2>&1 ||
    stop "npm could not install the clients; its words are in $out/npm.log"
npm rebuild --foreground-scripts node >>npm.log 2>&1 && [ -x node_modules/node/bin/node ] ||
    stop "the package node did not bring its program; npm's words are in $out/npm.log"
node_modules/node/bin/node --version >>npm.log 2>&1 ||
    stop "the program of the package node does not start here; its words are in $out/npm.log"
python3 -m venv venv >pip.log 2>&1 &&
    venv/bin/pip install -q --disable-pip-version-check -r "$here/requirements.txt" >>pip.log 2>&1 ||
    stop "pip could not install the Python client; its words are in $out/pip.log"
echo "$want" >installed
