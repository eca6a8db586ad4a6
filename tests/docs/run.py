#!/usr/bin/env python3
"""Runs every ```sh block of the documentation, in order, on one terminal, as a reader would: in the
README an installation comes up, and the other pages go on with it. Where a page means "something of
yours" (ID, fla_..., /srv/shop, the system's folders), the run puts something of its own.

Also: every `flopinio ...` that a page names, in a block or in a sentence, is a command that exists.
"""
import glob
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

ROOT = os.environ["FL_ROOT"]
sys.path.insert(0, ROOT + "/tests/scenario")
os.environ["FL_BUILD"] = ROOT + "/build/release"
from mcp_client import McpHttp  # noqa: E402
from test_database import TOOLS, OwnServer  # noqa: E402

PAGES = ["README.md", "examples/plugin/README.md", "docs/plugins.md"]  # in this order, then the rest
ELSEWHERE = {  # commands that a group of their own runs
    "examples/quickstart.sh": "quickstart",
    "tests/run.sh": "the run that this is a part of",
}
OWN_PLACE = {"README.md", "docs/operator.md"}  # these begin on a machine without an installation
PASSPHRASE = "four horses in the long rain"

# What stands for sudo: this user; the programs of systemd work on the run's own root and processes.
SUDO = """#!/bin/bash
[ "$1" != -u ] || shift 2
serve() {
    setsid flopinio serve >>"$HOME/unit.log" 2>&1 </dev/null &
    for i in {1..300}; do curl -sfo /dev/null "$FLOPINIO_METRICS_LISTEN/ready" && return; sleep 0.2; done
    cat "$HOME/unit.log"; exit 1
}
pid() { head -n 1 "$FLOPINIO_DATA_DIR/flopinio.pid"; }
case $* in
systemd-sysusers) mkdir -p "$DESTDIR/etc"; exec systemd-sysusers --root="$DESTDIR" ;;
"systemctl enable --now flopinio") systemctl --root="$DESTDIR" enable flopinio && serve ;;
"systemctl restart flopinio") kill "$(pid)"; tail --pid="$(pid)" -f /dev/null; serve ;;
"systemctl kill --kill-whom=main --signal=SIGUSR2 flopinio") kill -USR2 "$(pid)" ;;
systemctl*) echo "the docs' run does not know: $*"; exit 1 ;;
*) exec "$@" ;;
esac
"""


def blocks(path):
    """(language, first line, text) of each fenced block."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for m in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        yield m.group(1), text.count("\n", 0, m.start()) + 2, m.group(2)


def pages():
    found = sorted(glob.glob("docs/*.md") + glob.glob("examples/**/*.md", recursive=True))
    return PAGES + [p for p in found if p not in PAGES]


# ---- the place where it happens ----
class Place:
    count = 0

    def __init__(self):
        Place.count += 1
        self.dir = "%s/docs%d" % (os.environ["FL_TMP"], Place.count)
        self.dest = self.dir + "/dest"
        for name in ("bin", "home", "shop"):
            os.makedirs(self.dir + "/" + name)
        if os.geteuid() == 0:  # plugins run as nobody then
            shutil.chown(self.dir + "/shop", "nobody")
        with open(self.dir + "/bin/sudo", "w") as f:
            f.write(SUDO)
        os.chmod(self.dir + "/bin/sudo", 0o755)
        self.port, self.metrics_port = free_port(), free_port()
        self.credential = self.server = self.owner_url = None
        local = self.dest + "/usr/local"
        env = {k: v for k, v in os.environ.items() if not k.startswith("FLOPINIO")}
        env.update(HOME=self.dir + "/home", TERM="xterm", PS1="", DESTDIR=self.dest,
                   PATH="%s/bin:%s/bin:%s" % (self.dir, local, env["PATH"]),
                   FLOPINIO_PLUGIN_DIRS=local + "/lib/flopinio/plugins",
                   C_INCLUDE_PATH=local + "/include",
                   FLOPINIO_LISTEN="127.0.0.1:%d" % self.port,
                   FLOPINIO_METRICS_LISTEN="127.0.0.1:%d" % self.metrics_port)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile"], env)
        self.run("stty -echo cols 200; set +o history; bind 'set enable-bracketed-paste off'")
        self.data = None
        self.new_data()

    def new_data(self):
        """Where the next installation lives."""
        if self.data:
            self.stop()
        self.data = "%s/data%d" % (self.dir, len(os.listdir(self.dir)))
        self.run("export FLOPINIO_DATA_DIR=" + self.data)

    def stop(self):
        """Ends what serves, and its database."""
        self.run("pid=$(head -n 1 %s/flopinio.pid 2>/dev/null) && kill $pid && "
                 "tail --pid=$pid -f /dev/null; wait" % self.data, 90)

    def run(self, line, limit=60):
        """(status, output); questions for a passphrase, or for consent, are answered."""
        with open(self.dir + "/line", "w") as f:
            f.write(line + "\n")
        os.write(self.fd, (". %s/line; printf '\\001END %%s\\001\\n' $?\n" % self.dir).encode())
        seen, answered, until = "", 0, time.monotonic() + limit
        while True:
            end = re.search("\x01END (\\d+)\x01", seen)
            if end:
                return int(end.group(1)), seen[:end.start()].replace("\r", "")
            if time.monotonic() > until:
                os.write(self.fd, b"\x03")
                return 124, seen + "\n(it did not end)"
            if not select.select([self.fd], [], [], 0.2)[0]:
                continue
            try:
                seen += os.read(self.fd, 65536).decode("utf-8", "replace")
            except OSError:
                return 125, seen + "\n(the shell has ended)"
            if re.search(r"(?i)(passphrase[^\n:]*|again): ?$", seen[answered:]):
                answered = len(seen)
                os.write(self.fd, (PASSPHRASE + "\n").encode())
            elif seen[answered:].endswith("[y/N] "):
                answered = len(seen)
                os.write(self.fd, b"y\n")

    def interrupt_later(self, seconds):
        threading.Timer(seconds, lambda: os.write(self.fd, b"\x03")).start()

    def is_ready(self, wait_s=0):
        until = time.monotonic() + wait_s
        url = "http://127.0.0.1:%d/ready" % self.metrics_port
        while True:
            if subprocess.run(["curl", "-sfo", "/dev/null", url]).returncode == 0:
                return True
            if time.monotonic() > until:
                return False
            time.sleep(0.2)

    def interrupt_when_serving(self):
        def wait():
            self.is_ready(60)
            os.write(self.fd, b"\x03")
        threading.Thread(target=wait, daemon=True).start()

    def end(self):
        self.stop()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        if self.server:
            self.server.__exit__()

    def in_ours(self, text):
        """The line, with something of this run's where it means something of the reader's."""
        text = re.sub(r"(?<![\w.])/usr/local/", self.dest + "/usr/local/", text)
        text = text.replace("/srv/shop", self.dir + "/shop").replace("127.0.0.1:7338", "127.0.0.1:%d"
                                                                     % self.metrics_port)
        text = text.replace("/var/lib/flopinio", self.data).replace("DATA_DIR", self.data)
        if "fla_..." in text:
            text = text.replace("fla_...", self.credential or self.make_agent())
        if "db.example.com" in text:
            self.server = self.server or OwnServer()
            text = re.sub(r"postgresql://postgres:\S+", self.server.url(), text)
            text = re.sub(r"postgresql://flopinio_owner:\S+", str(self.owner_url), text)
        if text.endswith("flopinio stdio"):
            text += " </dev/null"
        as_server = "runuser -u postgres -- " if os.geteuid() == 0 else ""
        text = re.sub(r"^/usr/lib/postgresql/15/bin/pg_ctl", as_server + TOOLS + "/pg_ctl", text)
        if "flopinio_super" in text:
            text = "PGPASSWORD=$(cat %s/secrets/database-super) %s" % (self.data, text)
        return text

    def make_agent(self):
        """An agent of the page's administrator, where the page has no line for it."""
        _, out = self.run("flopinio agent create clerk --owner ann --as ann")
        self.credential = re.search(r"\bfla_[\w-]{20,}", out).group(0)
        return self.credential


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- lines that need something first ----
held = []


def hold_a_call(place):
    """An agent's write that waits; its id."""
    client = McpHttp(place, place.credential)
    name = "note-%d.txt" % len(held)
    held.append((client, client.call_start("files__write", {"path": name, "content": "x"}), name))
    for _ in range(100):
        status, out = place.run("flopinio approvals list --json")
        ids = re.findall(r'"id": ?"([0-9a-f-]{36})"', out)
        if ids:
            return ids[-1]
        time.sleep(0.1)
    raise AssertionError("no call is held: status %s\n%s" % (status, out))


def before(place, line, folder):
    """What a line needs that the reader has."""
    if re.search(r"\binit --", line) and os.path.exists(place.data):
        place.new_data()
    if "passphrase.txt" in line:
        with open(folder + "/passphrase.txt", "w") as f:
            f.write(PASSPHRASE + "\n")
    if line == "flopinio serve":
        place.interrupt_when_serving()
    if "--watch" in line:
        place.interrupt_later(3)
    if "pg_ctl" in line and "start" in line:
        place.stop()
    if line.startswith("curl") and not place.is_ready():
        place.run("sudo systemctl enable --now flopinio")
    if "hello.so" in line and "cc " not in line:
        place.run("cp %s/%s/hello.so ." % (place.dir, re.sub(r"\W", "_", PAGES[1])))


def after(place, line, out):
    """What a line leaves for the next ones."""
    found = re.search(r"\bfla_[\w-]{20,}", out)
    if line.startswith("flopinio agent create") and found:
        place.credential = found.group(0)
    found = re.search(r"postgresql://flopinio_owner:\S+", out)
    if found:
        place.owner_url = found.group(0)
    if line.rstrip().endswith("&"):  # a reader types the next line later
        place.is_ready(60)


def expectation(line, out):
    """More than the exit status, where the page promises more."""
    if "approvals approve" in line:
        return os.path.exists(place.dir + "/shop/" + held[-1][2]) or wait_file(held[-1][2])
    if "approvals reject" in line:
        result = held[-1][1].wait(20)
        return "not before Monday" in str(result)
    if "connect" in line:
        return "mcpServers" in out
    return True


def wait_file(name):
    for _ in range(100):
        if os.path.exists(place.dir + "/shop/" + name):
            return True
        time.sleep(0.1)
    return False


def command_lines(text):
    """Lines, those with a backslash at the end put together."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip() and not line.startswith("#"):
            yield line


def run_line(place, line, folder):
    bare = re.sub(r"\s+#.*$", "", line).strip()
    if bare in ELSEWHERE:
        return "ok", "    run by %s\n" % ELSEWHERE[bare]
    before(place, bare, folder)
    line = place.in_ours(bare)
    if re.search(r"\bID\b", line):
        line = re.sub(r"\bID\b", hold_a_call(place), line)
    status, out = place.run(line, 300)
    after(place, bare, out)
    wanted = (130, 0) if "--watch" in line else (0,)
    if status not in wanted:
        return "FAIL", "%s\nended with status %d\n" % (out, status)
    if not expectation(line, out):
        return "FAIL", "%s\nthe promised result is not there\n" % out
    return "ok", ""


def prepare_folder(place, path):
    """A copy of the page's folder, with its C blocks as the file that its commands name."""
    where = place.dir + "/" + re.sub(r"\W", "_", path)
    os.makedirs(where)
    if path in OWN_PLACE:
        os.symlink(ROOT + "/build", where + "/build")
    if path.startswith("examples/"):
        shutil.copytree(os.path.dirname(path), where, dirs_exist_ok=True)
    return where


# ---- commands that exist ----
def commands():
    """Command -> its usage text, from the reference page (a scenario compares it with the program)."""
    found = {}
    with open("docs/cli.md", encoding="utf-8") as f:
        text = f.read()
    for m in re.finditer(r"^### `flopinio ([^`]+)`\n\n```\n(.*?)```", text, re.M | re.S):
        found[m.group(1)] = m.group(2)
    return found


def mentions(path):
    """`flopinio ...` in code spans and blocks, with its line."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for m in re.finditer(r"`(flopinio [a-z][^`]*)`", text):
        yield text.count("\n", 0, m.start()) + 1, m.group(1)
    for language, line, block in blocks(path):
        if language == "sh":
            for i, words in enumerate(block.splitlines()):
                m = re.search(r"(?<!\S)flopinio (?!flopinio)([a-z].*)", words)
                if m:
                    yield line + i, m.group(0)


def unknown(mention, known):
    """What of it does not exist, or None."""
    words = re.sub(r"\s+#.*$", "", mention.replace("\n", " ")).split()[1:]
    for n in (3, 2, 1):
        name = " ".join(words[:n])
        if name in known:
            for flag in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", mention):
                if "--" + flag not in known[name] and "`--%s" % flag not in COMMON and name != "serve":
                    return "flopinio %s has no flag --%s" % (name, flag)
            return None
    if any(k.split()[0] == words[0] for k in known) and (len(words) == 1 or "|" in mention):
        return None  # a group of commands, named as such
    return "there is no command flopinio %s" % " ".join(words[:2])


with open("docs/cli.md", encoding="utf-8") as cli_page:
    COMMON = cli_page.read().split("## The installation")[0]

counts = {"ok": 0, "FAIL": 0}


def say(verdict, name, text=""):
    sys.stdout.write(text)
    print("%-4s %s" % (verdict, name), flush=True)
    counts[verdict] += 1


known = commands()
known["generate"] = ""  # for who writes these pages; no help names it
bad = ["    %s:%d: %s\n" % (p, line, why) for p in pages() if p != "docs/cli.md"
       for line, m in mentions(p) for why in [unknown(m, known)] if why]
say("FAIL" if bad or len(known) < 30 else "ok", "commands_in_the_docs_exist", "".join(bad))
planted = unknown("flopinio approvals aprove ID", known) and unknown("flopinio whoami --loud", known)
say("ok" if planted else "FAIL", "canary_commands_in_the_docs_exist")

place = None
try:
    for page in pages():
        fenced = list(blocks(page))
        if not any(language == "sh" for language, _, _ in fenced):
            continue
        if page in OWN_PLACE:
            if place:
                place.end()
            place = Place()
        folder = prepare_folder(place, page)
        place.run("cd " + folder)
        c_code = ""
        for language, at, body in fenced:
            if language == "c":
                c_code = body
            if language != "sh":
                continue
            source = re.search(r"\b(\w+\.c)$", body.strip(), re.M)
            if source and not os.path.exists(folder + "/" + source.group(1)) and c_code:
                with open(folder + "/" + source.group(1), "w") as f:
                    f.write(c_code)
            for text_line in command_lines(body):
                try:
                    verdict, words = run_line(place, text_line, folder)
                except AssertionError as e:
                    verdict, words = "FAIL", "%s\n" % e
                say(verdict, "%s: %s" % (page, text_line.strip()[:90]), words)
    status, out = place.run("false; flopinio no-such-command")
    say("ok" if status == 2 else "FAIL", "canary_a_line_that_fails", "" if status == 2 else out)
finally:
    if place:
        place.end()
print("%d passed, %d failed, 0 skipped" % (counts["ok"], counts["FAIL"]))
sys.exit(1 if counts["FAIL"] else 0)
