"""`flopinio demo`: by itself, with a person at the prompt, from another terminal, and what it leaves."""
import os
import re
import shutil
import signal
import socket
import tempfile
import urllib.error
import urllib.request

from cases import case
from cli import Cli, Terminal
from harness import is_alive, wait_for

LIMIT = 150
SLOW = 90  # a whole runtime starts, under a sanitizer


class Place:
    """A directory that the database's user can pass through, and a demo's data directory in it."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="flopinio-demo-test-")
        os.chmod(self.base, 0o755)
        self.data = self.base + "/data"
        return self

    def pid(self):
        with open(self.data + "/flopinio.pid") as f:
            return int(f.read())

    def postmaster(self):
        with open(self.data + "/postgres/postmaster.pid") as f:
            return int(f.readline())

    def __exit__(self, *_):
        for find in (self.pid, self.postmaster):
            try:
                os.kill(find(), signal.SIGKILL)
            except (OSError, ValueError):
                pass
        shutil.rmtree(self.base, ignore_errors=True)


def demo(place, *args, **more):
    return Terminal(Cli(), "demo", "--port=0", "--data-dir=" + place.data, *args, **more)


def flat(text):
    """Without folds and colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return " ".join(re.sub(r"^ *[|>] ", " ", line) for line in text.splitlines()).replace("  ", " ")


@case(limit=LIMIT, workers=1)
def it_decides_by_itself_and_leaves_nothing(_rt):
    with Place() as p:
        out = Cli(TMPDIR=p.base)("demo", "--unattended", timeout=SLOW).out
        said = flat(out)
        for sentence in ("Ana, who owns the agent, tries to approve and is refused",
                         "prices.txt now has the new price.", 'by ben: "ask again on Monday"',
                         "Ben approves: 1 of 2 from ops.", "old-prices.txt is gone.",
                         "nothing else", "unknown tool: mail__send", "Every step ended as it must."):
            assert sentence in said, (sentence, out)
        assert os.listdir(p.base) == [], os.listdir(p.base)


@case(limit=LIMIT, workers=1)
def a_person_decides_at_the_prompt(_rt):
    with Place() as p, demo(p, "--once") as t:
        at = t.expect("Ben, do you approve?", SLOW)
        assert "not isolated from the agent: this approval is advisory" in flat(t.text), t.text
        t.send("perhaps\n")
        at = t.expect("Say y to approve", 20, at)
        t.send("y looks right\n")
        at = t.expect("which decides it", 20, at)
        at = t.expect("prices.txt now has the new price.", 20, at)
        at = t.expect("Ben, do you approve?", 20, at)
        t.send("yes\n")
        at = t.expect("1 of 2 from ops", 20, at)
        at = t.expect("Cleo, do you approve?", 20, at)
        t.send("n, we still need it\n")
        t.expect("old-prices.txt is still there.", 20, at)
        assert t.end(timeout=60) == 0, t.text
        assert 'rejected by cleo: "we still need it"' in flat(t.text), t.text


@case(limit=LIMIT, workers=1)
def another_terminal_decides(_rt):
    with Place() as p, demo(p) as t:
        at = t.expect("Ben, do you approve?", SLOW)
        approval = re.search(r"approvals approve ([0-9a-f]+) --as ben", flat(t.text)).group(1)
        passphrase = re.search(r"ben +([a-z2-7-]{19}) ", t.text).group(1)
        Cli()("approvals", "approve", approval, "--as", "ben", "--data-dir", p.data,
              secrets=[passphrase])
        at = t.expect("That was decided elsewhere.", 20, at)
        at = t.expect("Ben, do you approve?", 30, at)
        runtime, postmaster = p.pid(), p.postmaster()
        t.send("\x03")
        assert t.end(timeout=60) == 130, t.text
        assert not is_alive(runtime) and not is_alive(postmaster)


@case(limit=LIMIT, workers=1)
def it_stays_up_for_a_client_until_ctrl_c(_rt):
    with Place() as p, demo(p) as t:
        at = t.expect("Ben, do you approve?", SLOW)
        t.send("y\n")
        at = t.expect("Ben, do you approve?", 30, at)
        t.send("y\n")
        at = t.expect("Cleo, do you approve?", 30, at)
        t.send("y\n")
        t.expect("Ctrl-C stops it.", 30, at)
        url = re.search(r"http://127\.0\.0\.1:\d+/mcp", t.text).group(0)
        for client, start in (("Claude Code", "claude mcp add"), ("VS Code", "servers"),
                              ("Cursor", "mcpServers")):
            part = t.text[t.text.index(client + ":"):]
            assert start in part, part
            credential = re.search(r"Bearer (fla_[\w-]+)", part.replace("\r\n", "")).group(1)
            request = urllib.request.Request(url, b'{"jsonrpc":"2.0","id":1,"method":"initialize",'
                                             b'"params":{"protocolVersion":"2025-11-25",'
                                             b'"capabilities":{},"clientInfo":'
                                             b'{"name":"x","version":"1"}}}',
                                             {"Authorization": "Bearer " + credential,
                                              "Content-Type": "application/json",
                                              "Accept": "application/json, text/event-stream"})
            assert urllib.request.urlopen(request, timeout=10).status == 200
        t.send("\x03")
        assert t.end(timeout=60) == 0, t.text
        try:
            urllib.request.urlopen(url, timeout=5)
            raise AssertionError("it still answers")
        except urllib.error.URLError:
            pass


@case(limit=LIMIT, workers=1)
def a_killed_one_leaves_nothing_in_the_way(_rt):
    with Place() as p:
        with demo(p) as t:
            t.expect("Ben, do you approve?", SLOW)
            runtime, postmaster = p.pid(), p.postmaster()
            os.kill(t.pid, signal.SIGKILL)
            t.end(timeout=20)
        wait_for("the runtime to stop", lambda: not is_alive(runtime) and not is_alive(postmaster), 60)
        with demo(p) as t:
            t.expect("Starting over", 20)
            t.expect("Ben, do you approve?", SLOW)
            postmaster = p.postmaster()
            os.kill(p.pid(), signal.SIGKILL)  # its database stays
            assert t.end(timeout=60) == 1, t.text
        assert is_alive(postmaster)
        with demo(p) as t:  # stops what was left before it removes the directory
            t.expect("Ben, do you approve?", SLOW)
            assert not is_alive(postmaster)


@case(limit=LIMIT, workers=1)
def what_it_cannot_use_is_said_in_one_sentence(_rt):
    def says(sentence, *args, status=1):
        result = Cli()("demo", "--once", *args, status=status, timeout=SLOW)
        lines = [line for line in result.err.splitlines() if line.startswith("flopinio: ")]
        assert len(lines) == 1 and sentence in lines[0], result

    with Place() as p:
        os.mkdir(p.data)
        with open(p.data + "/thesis.txt", "w") as f:
            f.write("years of work")
        says("is not empty and no demo made it", "--port=0", "--data-dir", p.data)
        assert os.listdir(p.data) == ["thesis.txt"]
        says("must be a number from 0 to 65535", "--port=70000", status=2)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            says("choose another with --port", "--port=%d" % port, "--data-dir", p.base + "/new")
        says("nobody is at the prompt", "--port=0", "--data-dir", p.base + "/new")
        shutil.rmtree(p.data)
        with demo(p) as t:
            t.expect("Ben, do you approve?", SLOW)
            says("is in use", "--port=0", "--data-dir", p.data)
            assert is_alive(p.pid())
