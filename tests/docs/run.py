#!/usr/bin/python3
"""Runs the commands that the pages show: tests/docs/run.py [-j N] [PAGE...]

The ```sh blocks of a page run in its order, in one `bash -eu` on a pseudo-terminal, in namespaces of
their own: ports, /etc, /srv, /usr/local and /var/lib are as on a machine that only this page uses.
flopinio is installed there. What a page takes for granted beside that is in GIVEN; questions are
answered (ANSWERS); `ID` is a call that waits, `fla_...` the agent's credential.
"""
import argparse
import concurrent.futures
import ctypes
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "scenario"))
from harness import BUILD, ROOT, wait_for  # noqa: E402
from mcp_client import McpWs, text_of  # noqa: E402
import runbooks  # noqa: E402

LIMIT_S = 90    # of one block
COMMANDS = r"(flopinio|sudo|cmake|curl|make|cc|c\+\+|apt-get|systemctl|examples/\S+|tests/\S+|[A-Z_]+=\S* +flopinio)(\s|$)"
PASSPHRASE = b"seven green bottles"
ANSWERS = [(rb"[Pp]assphrase[^\n]*: $|The same again: $", PASSPHRASE + b"\n"),
           (rb"\[y/N\] ?$", b"y\n"), (rb"\(q ends\)", b"q")]


# ---------------------------------------------------------------- pages
class Block:
    def __init__(self, page, line, language, text, skip):
        self.page, self.line, self.language, self.text, self.skip = page, line, language, text, skip


def blocks(page):
    """Fenced blocks of a page, with the line of their first command."""
    found, note, inside = [], "", None
    with open(page) as f:
        for number, line in enumerate(f, 1):
            fence = re.match(r"```(\w*)", line)
            if inside and fence:
                found.append(inside)
                inside, note = None, ""
            elif inside:
                inside.text += line
            elif fence:
                skip = re.fullmatch(r"<!-- docs-test: skip (.+) -->\n", note)
                if note.startswith("<!-- docs-test") and not skip:
                    raise AssertionError("%s:%d: there is 'docs-test: skip REASON' only"
                                         % (page, number - 1))
                inside = Block(page, number + 1, fence[1], "", skip and skip[1])
            else:
                note = line
    assert not inside, "%s: a block does not end" % page
    return found


def first_of(page, language):
    return next(b.text for b in blocks(os.path.join(ROOT, page)) if b.language == language)


def unmarked(found):
    return ["%s:%d: a command in a block that is not marked as sh" % (b.page, b.line)
            for b in found if b.language not in ("sh", "text")
            and any(re.match(r"\s*(\$ )?" + COMMANDS, line) for line in b.text.splitlines())]


# ---------------------------------------------------------------- a machine of its own
def alone():
    """Called as root of namespaces of its own; what is changed now is gone with them."""
    s = socket.socket()
    fcntl.ioctl(s, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))   # SIOCSIFFLAGS: up, running
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(what, where, kind, options=""):
        if libc.mount(what.encode(), where.encode(), kind.encode(), 0, options.encode()):
            raise OSError(ctypes.get_errno(), "cannot mount %s" % where)
    base = tempfile.mkdtemp(prefix="flopinio-docs-")
    mount("none", base, "tmpfs", "mode=755")
    for where in ("/etc", "/srv", "/usr/local", "/var/lib"):
        upper = base + "/over" + where
        for part in ("/upper", "/work"):
            os.makedirs(upper + part)
        os.chmod(upper + "/upper", 0o755)
        mount("overlay", where, "overlay", "lowerdir=%s,upperdir=%s/upper,workdir=%s/work"
              % (where, upper, upper))
    mount("none", "/run", "tmpfs", "mode=755")
    for name in ("home", "bin", "page"):
        os.mkdir(base + "/" + name)
    with open(base + "/bin/sudo", "w") as f:
        f.write('#!/bin/sh\nuser=root\n[ "$1" != -u ] || { user=$2; shift 2; }\n'
                'exec env -i PATH="$PATH" TERM=xterm $(env | grep SAN_OPTIONS=) '
                'runuser -u "$user" -- "$@"\n')
    os.chmod(base + "/bin/sudo", 0o755)
    with open("/etc/hosts", "a") as f:
        f.write("127.0.0.1 localhost db.example.com mcp.example.com\n")
    return base


class Shell:
    """One bash for a page. The directory has what a checkout has: build/release, examples, tests."""

    def __init__(self, base, directory=""):
        self.base, self.cwd = base, base + "/page/" + directory
        os.mkdir(base + "/page/build")
        os.symlink(BUILD, base + "/page/build/release")
        shutil.copytree(ROOT + "/examples", base + "/page/examples")
        self.env = {"PATH": base + "/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "HOME": base + "/home", "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.env.update({k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        self.seen, self.answered, self.held, self.clients = b"", 0, [], []
        self.id = self.hold
        ask, self.ask = os.pipe()
        self.told, tell = os.pipe()
        self.pid, self.tty = pty.fork()
        if self.pid == 0:
            try:
                os.dup2(ask, 8)
                os.dup2(tell, 9)
                for sig in (signal.SIGINT, signal.SIGQUIT):
                    signal.signal(sig, signal.SIG_DFL)
                fcntl.ioctl(0, 0x5414, struct.pack("HHHH", 40, 100, 0, 0))     # TIOCSWINSZ
                os.chdir(self.cwd)
                os.execve("/bin/bash", ["bash", "-euEc",
                          'trap \'echo "line $LINENO: status $?: $BASH_COMMAND"\' ERR; while read -r '
                          'block <&8; do . "$block"; echo >&9; done'], self.env)
            finally:
                os._exit(127)
        os.close(ask)
        os.close(tell)

    def run(self, text, line=1, limit_s=LIMIT_S):
        """Line numbers of errors are those of the page."""
        for name, value in (("ID", lambda: self.id()), ("fla_...", self.credential)):
            text = re.sub(r"(?<![\w-])%s(?!\w)" % re.escape(name), lambda _, v=value: v(), text)
        path = self.base + "/block"
        with open(path, "w") as f:
            f.write("\n" * (line - 1) + text)
        os.write(self.ask, path.encode() + b"\n")
        until = time.monotonic() + limit_s
        while self.told not in self.wait():
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                self.ended()
            assert time.monotonic() < until, "it did not end within %d s" % limit_s
        if not os.read(self.told, 1):       # closed: it ended inside the block
            self.ended()

    def ended(self):
        """Raises. Its last words may still be under way."""
        while select.select([self.tty], [], [], 0.3)[0]:
            before = len(self.seen)
            self.wait()
            if len(self.seen) == before:
                break
        raise AssertionError("it ended with an error")

    def wait(self):
        """Shows what is printed, answers what is asked."""
        ready = select.select([self.tty, self.told], [], [], 0.1)[0]
        if self.tty in ready:
            try:
                self.seen += os.read(self.tty, 65536)
            except OSError:
                return []
            for question, answer in ANSWERS:
                if re.search(question, self.seen[self.answered:]):
                    self.answered = len(self.seen)
                    os.write(self.tty, answer)
        return [] if self.tty in ready else ready

    @property
    def text(self):
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", self.seen.decode("utf-8", "replace"))

    # ---- what stands for the placeholders
    def flopinio(self, *words):
        done = subprocess.run(["flopinio"] + list(words), env=self.env, check=True, timeout=30,
                              stdout=subprocess.PIPE, start_new_session=True)
        return json.loads(done.stdout)

    def credential(self):
        return re.findall(r"fla_[A-Za-z0-9_-]{20,}", self.text)[-1]

    def call(self, tool, arguments):
        class Here:
            port = 7337
        self.clients.append(McpWs(Here, self.credential()))
        return self.clients[-1].call_start(tool, arguments)

    def hold(self):
        """The id of a new call that waits for a person."""
        known = {a["id"] for a in self.flopinio("approvals", "list", "--json")["items"]}
        name = "held-%d.txt" % len(self.held)
        self.held.append(self.call("files__write", {"path": name, "content": "as approved\n"}))

        def look():
            now = {a["id"] for a in self.flopinio("approvals", "list", "--json")["items"]}
            return now - known
        return wait_for("an approval", look, 15, 0.2).pop()


# ---------------------------------------------------------------- what pages take for granted
def shop(sh):
    """The installation that README.md makes."""
    sh.run("install -d -m 777 /srv/shop\n")
    sh.run(next(b.text for b in blocks(ROOT + "/README.md") if "flopinio init" in b.text))


def give(sh, name, text):
    with open(sh.cwd + "/" + name, "w") as f:
        f.write(text)


def readme(sh):
    sh.run("install -d -m 777 /srv/shop\n")


def readme_end(sh):
    approved, rejected = [p.wait(20) for p in sh.held]
    assert not approved.get("isError"), approved
    assert rejected["isError"] and "not before Monday" in text_of(rejected), rejected
    with open("/srv/shop/held-0.txt") as f:
        assert f.read() == "as approved\n"
    assert not os.path.exists("/srv/shop/held-1.txt")


def policy(sh):
    shop(sh)
    give(sh, "policy.yaml", first_of("docs/policy.md", "yaml"))
    sh.run("""cc -shared -fPIC -o /usr/local/lib/flopinio/plugins/shop.so %s/shop.c
flopinio server add shop --plugin shop --as ana
flopinio tool accept shop__refund --write --as ana
for group in support finance; do flopinio group create $group --member ana,ben --as ana; done
""" % HERE)


def policy_end(sh):
    assert "ask by rule refunds: above 50" in sh.text


def cli(sh):
    """As an operator who may do everything; a database beside it for `migrate`."""
    sh.run("install -d -m 777 /srv/docs; install -d /etc/flopinio\n"
           "echo 'operator_authority: always' >/etc/flopinio/flopinio.yaml\n"
           "echo 1234567890:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA >/etc/flopinio/bot-token\n"
           "chmod 600 /etc/flopinio/bot-token\n" + OWN_DATABASE)


def operator(sh):
    """Root's own installation first, then the service's; a database beside them."""
    give(sh, "passphrase.txt", PASSPHRASE.decode() + "\n")
    sh.run(OWN_DATABASE)


def plugins(sh):
    shop(sh)
    give(sh, "lines.c", first_of("docs/plugins.md", "c"))
    sh.run("make -s -C examples/plugin && cp examples/plugin/hello.so .\n")


def plugins_end(sh):
    hello = sh.call("hello__hello", {}).wait()
    assert not hello.get("isError"), hello


PAGES = {   # page: directory, before it, behind it
    "README.md": ("", readme, readme_end),
    "docs/policy.md": ("", policy, policy_end),
    "docs/cli.md": ("", cli, None),
    "docs/operator.md": ("", operator, None),
    "docs/plugins.md": ("", plugins, plugins_end),
    "docs/runbooks.md": ("", runbooks.begin, runbooks.end),
    "examples/plugin/README.md": ("examples/plugin", None, None),
}
# A PostgreSQL of one's own, db.example.com, that takes any password.
OWN_DATABASE = """
tools=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
install -d -o postgres /srv/database
runuser -u postgres -- $tools/initdb -D /srv/database --auth=trust -E UTF8 --locale=C.UTF-8 >/dev/null
runuser -u postgres -- $tools/pg_ctl -D /srv/database -w -l /srv/database/log start \
    -o '-k /srv/database -c listen_addresses=127.0.0.1' >/dev/null
"""
SERVICE = "setpriv --reuid=flopinio --regid=flopinio --clear-groups " \
    "flopinio serve --data-dir=/var/lib/flopinio >service.log 2>&1 &\n"
BEFORE = {      # before a block with that text
    "user create ana": "flopinio serve >serve.log 2>&1 &\nflopinio group create ops\n",
    "user away ana": "flopinio user create bob --role approver\n",
    "policy test policy.yaml --call '{\"tool\": \"files__write\"}'":
        "flopinio policy show >policy.yaml\n",
    "apply -f company": "flopinio export company\n",
    "sudo systemd-sysusers": "kill $!; wait $! || true; rm -r /var/lib/flopinio\n",
    "approvals list --data-dir": SERVICE,
    "flopinio stdio": "flopinio agent create bot --owner ann --client claude-code --as ann\n",
}
INSTEAD = {     # what does not end by itself, and names
    r"^flopinio serve$": "flopinio serve >serve.log 2>&1 &",
    r"flopinio stdio$": "flopinio stdio </dev/null",
    r"DATA_DIR": "/var/lib/flopinio",
    # About an approval or an agent of the reader's; that they are commands is mentions.py's to see.
    r"^ *flopinio .*(\b4f2a\b|--agent builder --all).*$": ":",
    r"^ *flopinio channel slack-install (?:[^\n]*\\\n)*[^\n]*$": ":",  # needs a workspace
    r"^flopinio recover --data-dir": "FLOPINIO_EXECUTE_TIME=1s flopinio recover --data-dir",
}


# ---------------------------------------------------------------- a page
def run_page(page):
    """Raises if the page is wrong. Prints what was seen."""
    found = blocks(os.path.join(ROOT, page))
    wrong = unmarked(found)
    assert not wrong, "\n".join(wrong)
    commands = [b for b in found if b.language == "sh"]
    is_runbook = os.path.basename(page) == "runbooks.md"
    directory, before, behind = PAGES.get("docs/runbooks.md" if is_runbook else page, ("", None, None))
    sh = Shell(alone(), directory)
    counts = [0, 0]
    hooks = runbooks.HOOKS if is_runbook else []
    try:
        if is_runbook or not any("cmake --install" in b.text for b in commands):
            sh.run("(cd %s/page && cmake --install build/release >/dev/null)\n" % sh.base)
        if before:
            before(sh)
        for block in commands:
            if block.skip:
                print("%s:%d: not run: %s" % (page, block.line, block.skip))
            else:
                for text in [t for t in BEFORE if t in block.text]:
                    sh.run(BEFORE.pop(text))
                text = block.text
                for what, other in INSTEAD.items():
                    text = re.sub(what, other, text, flags=re.M)
                now = [h for h in hooks if h[0] in block.text]
                hooks = [h for h in hooks if h not in now]
                for before_it in [h[1] for h in now if h[1]]:
                    before_it(sh)
                sh.run(text, block.line)
                for behind_it in [h[2] for h in now if h[2]]:
                    behind_it(sh)
            counts[bool(block.skip)] += 1
        assert not hooks, "no block has %r" % hooks[0][0]
        if behind:
            behind(sh)
    except BaseException:
        print(re.sub("^", "| ", sh.text[-12000:], flags=re.M))
        raise
    print("%s: %d blocks run, %d not" % (page, counts[0], counts[1]))


def inside(page):
    """The first process of its namespace takes in orphans; another one does the work."""
    worker = os.fork()
    if worker == 0:
        status = 1
        try:
            run_page(page)
            status = 0
        except BaseException as e:  # noqa: everything is a failure
            import traceback
            print("%s: %s" % (page, e if type(e) is AssertionError and str(e) else traceback.format_exc()))
        finally:
            sys.stdout.flush()
            os._exit(status)
    while True:
        pid, how = os.wait()
        if pid == worker:
            return os.waitstatus_to_exitcode(how)


def outside(page):
    """(verdict, output, seconds)"""
    began = time.monotonic()
    shell = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
             "--propagation", "private"]
    done = subprocess.run(shell + [sys.executable, os.path.abspath(__file__), "--inside", page],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode == 0, done.stdout.decode("utf-8", "replace"), time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-j", type=int, default=int(os.environ.get("FL_JOBS", "1")))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("page", nargs="*")
    args = parser.parse_args()
    if args.inside:
        return inside(args.page[0])
    pages = args.page or [p for p in subprocess.run(
        ["git", "-C", ROOT, "ls-files", "README.md", "docs/*.md", "examples/*/README.md"], check=True,
        stdout=subprocess.PIPE, text=True).stdout.split() if p != "docs/runbooks.md"]
    passed = failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
        for page, (is_ok, text, seconds) in zip(pages, pool.map(outside, pages)):
            passed, failed = passed + is_ok, failed + (not is_ok)
            print("%s%-4s %s (%.1f s)" % (text, "ok" if is_ok else "FAIL", page, seconds), flush=True)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
