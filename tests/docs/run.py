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
import tempfile
import threading
import time

ROOT = os.environ["FL_ROOT"]
sys.path.insert(0, ROOT + "/tests/scenario")
from mcp_client import McpHttp  # noqa: E402

PAGES = ["README.md", "examples/plugin/README.md", "docs/plugins.md"]  # in this order, then the rest
ELSEWHERE = {  # commands that a group of their own runs
    "examples/quickstart.sh": "quickstart",
    "tests/run.sh": "the run that this is a part of",
}
PASSPHRASE = "four horses in the long rain"


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
    def __init__(self):
        self.dir = os.environ["FL_TMP"] + "/docs"
        self.dest = self.dir + "/dest"
        for name in ("bin", "home", "shop"):
            os.makedirs(self.dir + "/" + name)
        if os.geteuid() == 0:  # plugins run as nobody then
            shutil.chown(self.dir + "/shop", "nobody")
        with open(self.dir + "/bin/sudo", "w") as f:
            f.write('#!/bin/sh\nexec "$@"\n')
        os.chmod(self.dir + "/bin/sudo", 0o755)
        self.port = free_port()
        self.credential = None
        local = self.dest + "/usr/local"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("FLOPINIO")}
        self.env.update(HOME=self.dir + "/home", TERM="xterm", PS1="", DESTDIR=self.dest,
                        PATH="%s/bin:%s/bin:%s" % (self.dir, local, os.environ["PATH"]),
                        FLOPINIO_DATA_DIR=self.dir + "/home/data",
                        FLOPINIO_PLUGIN_DIRS=local + "/lib/flopinio/plugins",
                        FLOPINIO_LISTEN="127.0.0.1:%d" % self.port,
                        FLOPINIO_METRICS_LISTEN="127.0.0.1:%d" % free_port())
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe("bash", ["bash", "--norc", "--noprofile"], self.env)
        self.run("stty -echo cols 200; set +o history; bind 'set enable-bracketed-paste off'")

    def run(self, line, limit=60):
        """(status, output); questions for a passphrase are answered."""
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

    def interrupt_later(self, seconds):
        timer = threading.Timer(seconds, lambda: os.write(self.fd, b"\x03"))
        timer.start()

    def end(self):
        self.run("kill %1 2>/dev/null; wait", 60)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def in_ours(self, text):
        """What stands for something of the reader's."""
        text = re.sub(r"(?<![\w.])/usr/local/", self.dest + "/usr/local/", text)
        text = text.replace("/srv/shop", self.dir + "/shop")
        if self.credential:
            text = text.replace("fla_...", self.credential)
        return text


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


def after(place, line, out):
    """What a line leaves for the next ones."""
    found = re.search(r"\bfla_[\w-]{20,}", out)
    if line.startswith("flopinio agent create") and found:
        place.credential = found.group(0)
    if line.rstrip().endswith("&"):  # a reader types the next line later
        for _ in range(300):
            if place.run("flopinio whoami")[0] == 0:
                return
            time.sleep(0.2)


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


def run_line(place, line):
    bare = re.sub(r"\s+#.*$", "", line).strip()
    if bare in ELSEWHERE:
        return "ok", "    run by %s\n" % ELSEWHERE[bare]
    line = place.in_ours(line)
    if re.search(r"\bID\b", line):
        line = re.sub(r"\bID\b", hold_a_call(place), line)
    if "--watch" in line:
        place.interrupt_later(3)
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
                m = re.search(r"\bflopinio ([a-z].*)", words)
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

place = Place()
try:
    for page in pages():
        with_commands = [b for b in blocks(page) if b[0] == "sh"]
        if with_commands:
            folder = prepare_folder(place, page)
            place.run("cd %s" % (ROOT if page == "README.md" else folder))
        c_code = ""
        for language, at, body in blocks(page):
            if language == "c":
                c_code = body
            if language != "sh":
                continue
            source = re.search(r"\b(\w+\.c)$", body.strip(), re.M)
            if source and not os.path.exists(folder + "/" + source.group(1)) and c_code:
                with open(folder + "/" + source.group(1), "w") as f:
                    f.write(c_code)
            if "hello.so" in body and "cc " not in body:
                place.run("cp %s/%s/hello.so ." % (place.dir, re.sub(r"\W", "_", PAGES[1])))
            for text_line in command_lines(body):
                try:
                    verdict, words = run_line(place, text_line)
                except AssertionError as e:
                    verdict, words = "FAIL", "%s\n" % e
                say(verdict, "%s: %s" % (page, text_line.strip()[:90]), words)
    status, out = place.run("false; flopinio no-such-command")
    say("ok" if status == 2 else "FAIL", "canary_a_line_that_fails", "" if status == 2 else out)
finally:
    place.end()
print("%d passed, %d failed, 0 skipped" % (counts["ok"], counts["FAIL"]))
sys.exit(1 if counts["FAIL"] else 0)
