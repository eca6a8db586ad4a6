"""`flopinio stdio`: the server that an MCP client starts, on a running installation and on a private
one of its own."""
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

from cases import case
from harness import BUILD, Org, Runtime, children_of, command_of, is_alive, wait_for
from mcp_client import Duplex, McpError, McpStdio, text_of


def command(rt):
    return [BUILD + "/flopinio", "stdio", "--data-dir=" + rt.data]


def environment(rt, credential):
    """As a client would give it; settings that the runtime of the tests has go along."""
    flags = [f[2:].partition("=") for f in rt.command()[2:]]
    env = dict(os.environ)
    env.update(("FLOPINIO_" + k.upper(), v) for k, _, v in flags
               if k not in ("listen", "metrics_listen"))
    env.pop("FLOPINIO_CREDENTIAL", None)
    if credential is not None:
        env["FLOPINIO_CREDENTIAL"] = credential
    return env


def run(rt, credential, text="", timeout=60, **more):
    """The whole life of one: what it is told is `text`, then stdin ends."""
    return subprocess.run(command(rt), input=text.encode(),
                          env=dict(environment(rt, credential), **more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)


class McpBridge(Duplex):
    def __init__(self, rt, credential, modern=False, caps=None):
        super().__init__(modern, caps)
        self._out = threading.Lock()
        self.process = subprocess.Popen(command(rt), env=environment(rt, credential),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self._run()

    def send_text(self, text):
        with self._out:
            self.process.stdin.write(text.encode() + b"\n")
            self.process.stdin.flush()

    def _read_text(self):
        line = self.process.stdout.readline()
        return line.decode() if line else None

    def close(self):
        if not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            return self.process.wait(20)
        finally:
            self.process.kill()
            self._reader.join(3)

    def drop(self):
        self.process.kill()
        self.process.wait()


def name_of(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return None


def lines(*messages):
    return "".join(json.dumps(dict({"jsonrpc": "2.0"}, **m)) + "\n" for m in messages)


HELLO = ({"id": "hello", "method": "initialize",
          "params": {"protocolVersion": "2025-11-25", "capabilities": {},
                     "clientInfo": {"name": "t", "version": "1"}}},
         {"method": "notifications/initialized"})


def answers_of(text):
    return [m for m in map(json.loads, text.splitlines()) if "method" not in m]


def call(request_id, tool, **arguments):
    return {"id": request_id, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}}


def write_call(request_id="w", path="new.txt"):
    return call(request_id, "files__write", path=path, content="x\n")


def hold(org, agent, path="b.txt"):
    """A write that waits: the request, and its approval's id."""
    before = {r["approval_id"] for r in org.rows()}
    held = agent.call_start("files__write", {"path": path, "content": "b\n"})

    def look():
        assert not held.is_done(), held.answer
        return [r["approval_id"] for r in org.rows()
                if r["approval_id"] not in before and r["state"] == "pending"]
    return held, wait_for("intake", look)[0]


# ---------------------------------------------------------------- on a running installation
def one_life(rt, modern):
    org = Org(rt)
    org.write("a.txt", "hello\n")
    with McpBridge(rt, org.credential, modern) as agent:
        assert {"files__read", "files__write"} <= set(agent.tools())
        assert "hello" in text_of(agent.call("files__read", {"path": "a.txt"}))
        held, approval = hold(org, agent)
        org.ann.approve(approval)
        assert not held.wait().get("isError")
        assert org.read("b.txt") == "b\n"
        refused = agent.call_start("files__write", {"path": "c.txt", "content": "c\n"})
        org.ann.reject(org.wait_pending(), "not on a friday")
        assert "not on a friday" in text_of(refused.wait())
        assert org.files() == ["a.txt", "b.txt"]
        assert agent.close() == 0
    assert agent.process.stderr.read() == b""


@case(workers=1)
def legacy_client(rt):
    one_life(rt, modern=False)


@case(workers=1)
def modern_client(rt):
    one_life(rt, modern=True)


@case(workers=1)
def cancelled_is_never_answered(rt):
    org = Org(rt)
    with McpBridge(rt, org.credential) as agent:
        held, approval = hold(org, agent)
        agent.cancel(held, "changed my mind")
        org.wait_state(approval, "cancelled")
        agent.request("ping")
        assert not held.is_done()
        assert org.files() == []


@case(workers=1)
def end_of_input_loses_nothing(rt):
    """Everything that was asked is answered, in a process that then ends; what waits for people
    becomes a pending ticket, and its row stays."""
    org = Org(rt)
    org.write("a.txt", "hello\n")
    asked = [call(i, "files__read", path="a.txt") if i % 10 == 0 else {"id": i, "method": "ping"}
             for i in range(600)]
    ended = run(rt, org.credential, lines(*HELLO, *asked, write_call()).rstrip("\n"))
    assert ended.returncode == 0, ended
    answers = {a["id"]: a for a in answers_of(ended.stdout)}
    assert set(answers) == set(range(600)) | {"hello", "w"}, sorted(map(str, answers))
    assert all("hello" in text_of(answers[i]["result"]) for i in range(0, 600, 10))
    assert "Not executed yet" in text_of(answers["w"]["result"]), answers["w"]
    approval = org.wait_pending()
    assert wait_for("leaving", lambda: org.row(approval)["wait_mode"] == "left")
    with McpBridge(rt, org.credential) as agent:  # somebody comes back for it
        again = agent.call_start("files__write", {"path": "new.txt", "content": "x\n"})
        wait_for("attached", lambda: org.row(approval)["wait_mode"] == "held")
        org.ann.approve(approval)
        assert not again.wait().get("isError")


@case(limit=60, workers=1)
def slow_reader_loses_nothing(rt):
    """Answers that nobody reads stop the reading of requests; nothing is dropped, little is kept."""
    org = Org(rt)
    org.write("big.txt", "0123456789abcdef\n" * 12000)
    bridge = subprocess.Popen(command(rt), env=environment(rt, org.credential),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    asked = lines(*HELLO, *[call(i, "files__read", path="big.txt") for i in range(60)]).encode()
    writer = threading.Thread(target=lambda: (bridge.stdin.write(asked), bridge.stdin.close()))
    writer.start()
    time.sleep(3)
    with open("/proc/%d/status" % bridge.pid) as f:
        peak = [int(l.split()[1]) for l in f if l.startswith("VmHWM")][0]
    answers = answers_of(bridge.stdout.read())
    writer.join()
    assert bridge.wait(10) == 0
    assert sorted(a["id"] for a in answers[1:]) == list(range(60))
    for a in answers[1:]:
        assert len(text_of(a.get("result") or a)) > 200000, str(a)[:500]
    assert peak < 60000, "the bridge holds %d KiB" % peak


@case(workers=1)
def bad_lines_are_answered(rt):
    org = Org(rt)
    text = lines(*HELLO) + "{not json\n" + "\n" + "x" * (11 << 20) + "\n" + lines(
        {"id": 7, "method": "ping"})
    ended = run(rt, org.credential, text)
    answers = answers_of(ended.stdout)
    assert [a.get("error", {}).get("code") for a in answers if a.get("id") is None] == \
        [-32700, -32600], answers
    assert {"jsonrpc": "2.0", "id": 7, "result": {}} in answers
    assert ended.returncode == 0


@case(workers=1)
def signals_end_it(rt):
    org = Org(rt)
    for number in (signal.SIGTERM, signal.SIGINT):
        agent = McpBridge(rt, org.credential)
        held, _ = hold(org, agent, "s%d" % number)
        agent.process.send_signal(number)
        assert agent.process.wait(5) == 0
        assert "Not executed yet" in text_of(held.wait())
        agent.close()


@case(workers=1)
def refusals(rt):
    org = Org(rt)
    revoked, secret = org.add_credential()
    org.revoke_credential(revoked)
    for credential, status, words in (
            (None, 2, "FLOPINIO_CREDENTIAL is not set"),
            ("flp_" + "x" * 49, 2, "a person's token"),
            ("hello", 2, "no agent credential"),
            ("fla_" + "x" * 49, 3, "credential"),
            (secret, 3, "credential")):
        ended = run(rt, credential, lines(*HELLO))
        assert ended.returncode == status and ended.stdout == b"", ended
        assert words in ended.stderr.decode() and ended.stderr.count(b"\n") == 1, ended
    empty = tempfile.mkdtemp(dir=rt.base)
    ended = subprocess.run([BUILD + "/flopinio", "stdio", "--data-dir=" + empty + "/none"],
                           env=environment(rt, org.credential), input=b"",
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert ended.returncode == 4 and b"flopinio init" in ended.stderr, ended
    assert os.listdir(empty) == []


@case(workers=1)
def revoked_while_connected(rt):
    org = Org(rt)
    credential_id, secret = org.add_credential()
    with McpBridge(rt, secret) as agent:
        agent.request("ping")
        org.revoke_credential(credential_id)
        assert agent.process.wait(5) == 3
        assert b"credential" in agent.process.stderr.read()


@case(workers=1)
def one_crash_leaves_the_others(rt):
    org = Org(rt)
    with McpBridge(rt, org.credential) as other:
        agent = McpBridge(rt, org.credential)
        _, approval = hold(org, agent)
        agent.drop()
        wait_for("leaving", lambda: org.row(approval)["wait_mode"] == "left")
        assert "files__read" in other.tools()


@case(limit=60, breaks=True, workers=1)
def runtime_dies_under_it(rt):
    """Open requests get an error instead of silence, the next one works: the handshake was made
    again. Works for both eras."""
    org = Org(rt)
    org.write("a.txt", "hello\n")
    agents = [McpBridge(rt, org.credential, modern) for modern in (False, True)]
    held = [hold(org, a, "x%d" % i) for i, a in enumerate(agents)]
    for pid in rt.workers():
        rt.kill_worker(pid)
    for pending, _ in held:
        try:
            pending.wait()
            raise AssertionError("answered")
        except McpError as e:
            assert e.code == -32603 and "make the same call again" in e.message, e
    for i, agent in enumerate(agents):
        assert "hello" in text_of(agent.call("files__read", {"path": "a.txt"}))
        approval = held[i][1]
        wait_for("the loss to be seen", lambda: org.row(approval)["wait_mode"] == "left", 20)
        again = agent.call_start("files__write", {"path": "x%d" % i, "content": "b\n"})
        wait_for("attached", lambda: org.row(approval)["wait_mode"] == "held")
        org.ann.approve(approval)
        assert not again.wait().get("isError")
        assert agent.close() == 0
    assert len(org.rows()) == 2, "the same calls, not new ones"


@case(limit=60, workers=1)
def rolling_restart_under_it(rt):
    """SIGUSR2 replaces the workers: a call that waits gets a pending ticket, every other request
    its answer, also while the workers change."""
    org = Org(rt)
    with McpBridge(rt, org.credential) as agent:
        held, _ = hold(org, agent)
        old = rt.workers()
        os.kill(rt.process.pid, signal.SIGUSR2)
        until = time.monotonic() + 30
        while set(rt.workers()) & set(old):
            assert "files__read" in agent.tools()
            assert time.monotonic() < until
        assert "files__read" in agent.tools()
        assert "Not executed yet" in text_of(held.wait())


@case(limit=90, workers=1)
def one_deaf_agent_held_up_a_worker_for_everybody(rt):
    """It reads nothing and half-closes with more queued than is kept for it: the goodbye to its first
    subscription ends the connection, and with it the second, while both are walked."""
    org = Org(rt)
    org.write("a.txt", "x" * 250000)
    read = {"name": "files__read", "arguments": {"path": "a.txt"}}
    listen = {"notifications": {"toolsListChanged": True}}
    with McpStdio(rt, org.credential, modern=True) as agent:
        size = len(json.dumps(agent.request("tools/call", read))) + 40
        count = (64 << 20) // size + 1
        deaf = socket.socket(socket.AF_UNIX)
        deaf.settimeout(20)
        deaf.connect(rt.run_dir + "/stdio.sock")
        deaf.sendall(json.dumps({"token": org.credential}).encode() + b"\n")
        assert b"ready" in deaf.recv(100)
        meta = agent._params({}, None, None)
        requests = [{"id": i, "method": "subscriptions/listen", "params": dict(listen, **meta)}
                    for i in (1, 2)]
        requests += [{"id": 9 + i, "method": "tools/call", "params": dict(read, **meta)}
                     for i in range(count)]
        deaf.sendall(lines(*requests).encode())
        wait_for("the reads", lambda: len(org.audit(kind="call.read")) == count + 1, 60)
        agent.tools()  # the last of them has been queued
        deaf.shutdown(socket.SHUT_WR)
        for _ in range(3):
            agent.tools()  # and the worker is there for the others
        while deaf.recv(1 << 20):
            pass
        deaf.close()


@case(workers=1)
def operators_installation_stays(rt):
    org = Org(rt)
    McpBridge(rt, org.credential).close()
    time.sleep(3)
    assert rt.process.poll() is None and rt.is_ready()


@case(workers=1)
def other_users_reach_it(rt):
    """The socket is open to every user of the host: who they are, the credential says."""
    org = Org(rt)
    if os.geteuid() != 0:
        return
    ended = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] +
                           command(rt), env=environment(rt, org.credential),
                           input=lines(*HELLO).encode(), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    assert ended.returncode == 0 and b'"id":"hello"' in ended.stdout, ended


# ---------------------------------------------------------------- a private one
class Private:
    """A data directory with an organization in it and nothing running."""

    def __init__(self):
        self.rt = Runtime(workers=1)
        self.org = Org(self.rt)
        Org.made.remove(self.org)  # its database is stopped when the case is over
        self.org.write("a.txt", "hello\n")
        self.rt.stop()

    def supervisor(self):
        try:
            with open(self.rt.data + "/flopinio.pid") as f:
                pid = int(f.read().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if is_alive(pid) and command_of(pid)[1:2] == ["serve-private"] else None

    def supervisors(self):
        found = []
        for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
            words = command_of(pid)
            if words[1:2] == ["serve-private"] and "--data-dir=" + self.rt.data in words:
                found.append(pid)
        # The database's keeper is forked off the supervisor and stays with the database.
        return [p for p in found if is_alive(p) and name_of(p) != "flopinio-keeper"]

    def wait_gone(self):
        wait_for("the private installation's end", lambda: not self.supervisors(), 20)
        wait_for("its database's end", lambda: not self.rt.postmaster())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.supervisors():
            os.kill(pid, signal.SIGTERM)
        self.wait_gone()
        self.rt.remove()


@case(limit=120, workers=1)
def private_first_starts_last_stops(_rt):
    with Private() as p:
        first = McpBridge(p.rt, p.org.credential)
        assert "hello" in text_of(first.call("files__read", {"path": "a.txt"}, timeout=60))
        pid = p.supervisor()
        assert pid and os.getsid(pid) != os.getsid(0) and pid not in children_of(first.process.pid)
        with open("/proc/%d/environ" % pid, "rb") as f:
            assert p.org.credential.encode() not in f.read()
        for port in (p.rt.port, p.rt.metrics_port, 7337):  # no address of its own
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                assert port == 7337, "it listens on %d" % port
            except OSError:
                pass
        second = McpBridge(p.rt, p.org.credential)
        assert "files__read" in second.tools() and p.supervisors() == [pid]
        # A person decides while it runs, over the control socket.
        held, approval = hold(p.org, second)
        p.rt.control("POST", p.org.path("/approvals/%s/decision" % approval),
                     {"verdict": "approve", "reason": None,
                      "binding": p.org.binding(approval)}, auth=p.org.ann.token)
        assert not held.wait().get("isError")
        first.drop()  # killed, without a goodbye
        time.sleep(4)
        assert "files__read" in second.tools() and p.supervisors() == [pid]
        assert second.close() == 0
        p.wait_gone()


@case(limit=120, workers=1)
def private_many_at_once(_rt):
    """Eight clients at the same time start one installation; when they end and come back at the
    same time, over and over, each one is served."""
    with Private() as p:
        for _ in range(3):
            ended = []

            def life():
                ended.append(run(p.rt, p.org.credential, lines(*HELLO, {"id": 1, "method": "ping"})))
            threads = [threading.Thread(target=life) for _ in range(8)]
            for t in threads:
                t.start()
            most = 0
            while any(t.is_alive() for t in threads):
                most = max(most, len(p.supervisors()))
                time.sleep(0.05)
            assert len(ended) == 8 and all(e.returncode == 0 and b'"id":1' in e.stdout
                                           for e in ended), ended
            time.sleep(2.1)  # about when it ends: the next ones find it alive, ending, or gone
        p.wait_gone()


@case(limit=120, workers=1)
def private_supervisor_killed(_rt):
    with Private() as p:
        agent = McpBridge(p.rt, p.org.credential)
        agent.request("ping", timeout=60)
        pid = p.supervisor()
        os.kill(pid, signal.SIGKILL)
        # Its workers end by themselves; the client, handed over, starts another one.
        wait_for("a new one", lambda: try_tools(agent) and p.supervisor() not in (None, pid), 60)
        assert agent.close() == 0
        p.wait_gone()


def try_tools(agent):
    try:
        return agent.tools()
    except McpError as e:
        assert e.code == -32603, e
        return None


@case(limit=60, workers=1)
def private_that_cannot_start(_rt):
    with Private() as p:
        ended = run(p.rt, p.org.credential, lines(*HELLO), FLOPINIO_POSTGRES_BIN="/nowhere")
        assert ended.returncode == 2 and b"no PostgreSQL server in /nowhere" in ended.stderr, ended
        p.wait_gone()


@case(limit=60, workers=1)
def private_one_is_named_to_the_operator(_rt):
    with Private() as p:
        agent = McpBridge(p.rt, p.org.credential)
        agent.request("ping", timeout=60)
        refused = subprocess.run(p.rt.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert refused.returncode == 1 and b"started by flopinio stdio" in refused.stderr, refused
        agent.close()
        p.wait_gone()
