"""Many agents at once: workers replaced under load reset no connection; storms of agents that come
and go leave nothing behind; a full disk loses nothing that was recorded."""
import contextlib
import http.client
import json
import os
import resource
import socket
import struct
import subprocess
import threading
import time

from cases import Skip, case
from harness import LONG, ROOT, Org, RestError, Runtime, check_audit, is_alive, wait_for
from mcp_client import Gone, McpError, McpHttp, McpWs, text_of

APPEND = "s__append_line"
AGENTS = 10000 if LONG else 400
ROUNDS = 10
LEFT_BYTES = 200  # of a connection, which takes about 10 KB
WAITING_MAX = 4096  # of one plugin instance, in each worker


# ---------------------------------------------------------------- workers are replaced
class Reader(threading.Thread):
    """Reads without a pause; comes back when it is told to go. Whatever is no goodbye is kept."""

    def __init__(self, rt, credential, is_http, is_kept):
        super().__init__(daemon=True)
        self.rt, self.credential, self.is_http, self.is_kept = rt, credential, is_http, is_kept
        self.count, self.moves, self.failed, self.is_over = 0, 0, [], False

    def run(self):
        while not self.is_over:
            try:
                self.session()
            except (OSError, http.client.HTTPException, AssertionError, McpError, Gone, ValueError) as e:
                self.failed.append(repr(e))
                time.sleep(0.05)

    def session(self):
        if self.is_http:
            self.over_http()
            return
        client = McpWs(self.rt, self.credential)
        try:
            while not self.is_over and not client.is_gone.is_set():
                try:
                    assert text_of(client.call("s__look", {"line": ""})) == "appended"
                    self.count += 1
                except Gone:
                    break
            if not self.is_over:
                wait_for("the end", client.is_gone.is_set, 5)
                assert client.close_code == 1001, "it ended with %s: %s" % (client.close_code,
                                                                           client.why)
                self.moves += 1
        finally:
            client.close()


    def over_http(self):
        """Every other one on a connection that is kept, until its answer says that it ends."""
        client = McpHttp(self.rt, self.credential, modern=True)
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": client._params(
            {"name": "s__look", "arguments": {"line": ""}}, None, None)}
        while not self.is_over:
            conn = http.client.HTTPConnection("127.0.0.1", self.rt.port, timeout=20)
            with contextlib.closing(conn):
                while not self.is_over:
                    conn.request("POST", "/mcp", json.dumps(message), client.headers(message))
                    answer = conn.getresponse()
                    said = answer.read()
                    assert answer.status == 200 and b"appended" in said, (answer.status, said)
                    self.count += 1
                    if answer.will_close or not self.is_kept:
                        self.moves += self.is_kept and not self.is_over
                        break


@case(limit=120, breaks=True, lease_time="1s")
def workers_replaced_under_load_reset_no_connection(rt):
    """Three times in a row, with readers on WebSockets and over HTTP, and calls that wait: every
    end is a goodbye, every call that waits is found again and runs once."""
    org = Org(rt, files=False, scenario=True)
    readers = [Reader(rt, org.add_credential()[1], i % 2 == 1, i % 4 == 1) for i in range(12)]
    for r in readers:
        r.start()
    waiting = [McpWs(rt, org.add_agent("w%d" % i)[1]) for i in range(6)]
    credentials = [org.add_credential("w%d" % i)[1] for i in range(6)]
    for i, agent in enumerate(waiting):
        agent.call_start(APPEND, {"line": "w%d" % i})
    ids = org.wait_pending(6)
    for _ in range(3):
        old, before = rt.workers(), [r.count for r in readers]
        since = rt.log_size()
        rt.process.send_signal(12)  # SIGUSR2
        wait_for("the replacement", lambda: "workers_replaced" in rt.log(since), 40)
        wait_for("the old ones to end", lambda: not set(old) & set(rt.workers()), 40)
        wait_for("everybody to go on", lambda: all(r.count > b for r, b in zip(readers, before)), 20)
    for r in readers:
        r.is_over = True
    for r in readers:
        r.join(20)
    failed = [f for r in readers for f in r.failed]
    print("    %d reads, %d moves to a new worker, %d failures" % (
        sum(r.count for r in readers), sum(r.moves for r in readers), len(failed)))
    assert not failed, failed[:5]
    assert all(r.moves >= 2 for r in readers if r.is_kept or not r.is_http), [r.moves for r in readers]
    for approval in ids:
        org.ann.approve(approval)
    for i, credential in enumerate(credentials):
        with McpWs(rt, credential) as back:
            assert text_of(back.call(APPEND, {"line": "w%d" % i}, timeout=20)) == "appended"
    assert sorted(org.effects()) == ["w%d" % i for i in range(6)]
    assert len(org.rows()) == 6


# ---------------------------------------------------------------- storms
class Bare:
    """A WebSocket client that costs a descriptor and no thread."""

    def __init__(self, rt, credential, source):
        self.sock = socket.socket()
        self.sock.settimeout(60)
        self.sock.bind((source, 0))
        self.sock.connect(("127.0.0.1", rt.port))
        self.sock.sendall(("GET /mcp/ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                           "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                           "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mcp\r\n"
                           "Authorization: Bearer %s\r\n\r\n" % (rt.port, credential)).encode())
        self.seen = b""

    def upgraded(self):
        while b"\r\n\r\n" not in self.seen:
            piece = self.sock.recv(4096)
            if not piece:
                raise AssertionError("refused: %r" % self.seen)
            self.seen += piece
        assert b" 101 " in self.seen.split(b"\r\n")[0], self.seen

    def send(self, text):
        data = text.encode()
        assert len(data) < 65536
        head = bytes([0x81, 0xFE]) + struct.pack(">H", len(data)) if len(data) > 125 else \
            bytes([0x81, 0x80 | len(data)])
        self.sock.sendall(head + bytes(4) + data)  # a mask of zeros

    def read(self, part):
        """Until what was read has this in it."""
        while part not in self.seen:
            piece = self.sock.recv(65536)
            if not piece:
                raise AssertionError("ended: %r" % self.seen[-200:])
            self.seen += piece

    def leave(self, how):
        """0: a reset; 1: a close frame; 2: just closed."""
        if how == 0:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif how == 1:
            self.sock.sendall(bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]))
        self.sock.close()


READ = ('{"jsonrpc":"2.0","id":"r-%d","method":"tools/call","params":{"name":"s__look","arguments":'
        '{"line":""},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        '"io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":'
        '{"name":"storm","version":"1"}}}}')


def storm(rt, credential, count):
    """Everybody comes, reads once, and leaves in one of three ways; a tenth in the middle of its
    read."""
    agents = [Bare(rt, credential, "127.0.0.%d" % (2 + i % 8)) for i in range(count)]
    for a in agents:
        a.upgraded()
    for i, a in enumerate(agents):
        a.send(READ % i)
    for i, a in enumerate(agents):
        if i % 10:
            a.read(b'"id":"r-%d"' % i)
            # More than a plugin may have waiting are told so.
            is_full = count > WAITING_MAX and b"calls wait for the plugin instance" in a.seen
            assert a.seen.count(b'"id":"r-') == 1 and (b"appended" in a.seen or is_full), \
                a.seen[-300:]
    for i, a in enumerate(agents):
        a.leave(i % 3)


def descriptors(rt):
    """{worker: how many are open}"""
    return {pid: len(os.listdir("/proc/%d/fd" % pid)) for pid in rt.workers()}


def at_rest(rt):
    """Its descriptors when they have not changed for a second."""
    seen = []

    def is_still():
        seen.append(descriptors(rt))
        return len(seen) > 10 and all(s == seen[-1] for s in seen[-10:])
    wait_for("the workers to rest", is_still, 20, 0.1)
    return seen[-1]


def in_use(rt):
    """Bytes that all workers hold while nothing happens."""
    seen = []
    for _ in range(30):
        seen.append(rt.metric("allocated_memory_bytes"))
        time.sleep(0.1)
    return min(seen)


def left_by_each(rt, org, count, rounds):
    """Bytes that an agent of the second half of so many storms leaves; descriptors must come back each
    time to what they were."""
    storm(rt, org.add_credential()[1], 32)  # every worker has its plugin's process
    base = at_rest(rt)
    seen, held, since = [], [], time.monotonic()
    for i in range(rounds):
        storm(rt, org.add_credential()[1], count)

        def is_back():
            now = descriptors(rt)
            return all(abs(now[w] - base[w]) <= 5 for w in base) and now
        seen.append(wait_for("the descriptors of before: %s" % base, is_back, 20, 0.1))
        if i in (rounds // 2 - 1, rounds - 1):  # by half, what is made once is there
            held.append(in_use(rt))
    print("    descriptors: %s, then %s" % (base, seen))
    print("    KB in use: %s" % [h // 1024 for h in held])
    print("    %d agents, %d times, %.0f s" % (count, rounds, time.monotonic() - since))
    return (held[1] - held[0]) / (count * (rounds - rounds // 2))


@contextlib.contextmanager
def many_descriptors(wanted):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted + 500:
        raise Skip("only %d descriptors here, for %d agents" % (hard, wanted))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@case(limit=900 if LONG else 120)
def storms_of_agents_leave_nothing_behind(rt):
    """Descriptors come back to what they were, memory does not go on growing, calls that waited
    through it all run once."""
    org = Org(rt, files=False, scenario=True)
    with many_descriptors(AGENTS), McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        each = left_by_each(rt, org, AGENTS, ROUNDS)
        assert each <= LEFT_BYTES, "each agent left %d bytes" % each
        org.ann.approve(approval)
        assert text_of(call.wait()) == "appended"
    assert org.effects() == ["one"]


@case(limit=120)
def canary_what_each_connection_keeps_is_seen(_rt):
    rt = Runtime(start=False)
    library = rt.base + "/keeps.so"
    subprocess.run(["gcc", "-w", "-shared", "-fPIC", "-o", library, ROOT + "/tests/workers/keeps.c"],
                   check=True)
    os.chmod(library, 0o755)
    rt.environment = {"LD_PRELOAD": library}
    rt.start()
    org = Org(rt, files=False, scenario=True)
    with many_descriptors(400):
        each = left_by_each(rt, org, 400, 6)
    assert each > 5 * LEFT_BYTES, "each agent left %d bytes" % each
    Org.made.remove(org)
    rt.remove()


# ---------------------------------------------------------------- a full disk
@contextlib.contextmanager
def small_disk():
    """A runtime whose data, its database's too, are on a disk of its own, and that disk's path."""
    if os.geteuid():
        raise Skip("mounting a small disk needs root")
    own = Runtime(start=False)
    os.makedirs(own.data)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m,mode=755", "tmpfs", own.data],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Skip("no tmpfs here: " + done.stdout)
    try:
        own.start()
        yield own
    finally:
        own.stop()
        pid = own.postmaster()
        if pid:
            os.kill(pid, 2)
            wait_for("the database to end", lambda: not is_alive(pid), 20)
        subprocess.run(["umount", own.data], check=False)
        own.remove()


def fill(path):
    with open(path, "wb") as f, contextlib.suppress(OSError):
        while True:
            f.write(b"x" * 65536)
            f.flush()


@case(limit=150, breaks=True)
def a_full_disk_decides_nothing_and_loses_nothing(_rt):
    """While it is full nothing is asked, decided or run that could not be recorded; with room again
    everything that was recorded is there."""
    with small_disk() as own:
        org = Org(own, files=False, scenario=True)
        agents = [org.add_agent("d%d" % i)[1] for i in range(4)]
        for i, credential in enumerate(agents):
            with McpWs(own, credential) as agent:
                agent.call_start(APPEND, {"line": "before-%d" % i})
                org.wait_pending(i + 1)
        ids = org.wait_pending(4)
        org.ann.token  # made while there is room
        refused, said = dict.fromkeys(("read", "ask", "decide"), 0), {"asked": 0, "pending": 0}
        quick = org.add_credential(hold="100ms")[1]

        def tries(what, act):
            """Without an answer, or with another refusal than the disk's, it does not count."""
            try:
                return act()
            except RestError as e:
                refused[what] += e.status == 503
            except McpError as e:
                refused[what] += "database" in e.message
            return None

        def call(tool):
            with McpWs(own, quick) as agent:
                return text_of(agent.call(tool, {"line": "no-%d" % said["asked"]}, timeout=15))
        until = time.monotonic() + 60
        fill(own.data + "/filler")
        while time.monotonic() < until and not all(refused.values()):
            tries("read", lambda: call("s__look"))
            if refused["read"]:  # no page is free any more
                said["asked"] += 1
                said["pending"] += "pending" in (tries("ask", lambda: call(APPEND)) or "")
                tries("decide", lambda: org.ann.approve(ids[0]))
        assert all(refused.values()), refused
        assert org.effects() == []
        os.remove(own.data + "/filler")

        def works():
            try:
                with McpWs(own, org.credential) as agent:
                    return text_of(agent.call("s__look", {"line": ""}, timeout=5)) == "appended"
            except (McpError, Gone, OSError, TimeoutError):
                return False
        wait_for("the runtime to be back", works, 60, 0.2)
        # What an agent was told to be waiting waits. Whose agent was told that it could not be recorded
        # is not there, or is taken back.
        wait_for("each to be as it was said", lambda: sum(
            r["state"] != "cancelled" for r in org.rows()) == len(ids) + said["pending"], 30)
        left = {r["approval_id"]: r["state"] for r in org.rows()}
        assert all(left.get(i) in ("pending", "approved") for i in ids), left
        for approval in ids:
            def vote():
                try:
                    return org.ann.approve(approval)
                except RestError as e:
                    assert e.status in (503, 409), e
                    return e.status == 409
            wait_for("a vote", vote, 20, 0.1)
        for i, credential in enumerate(agents):
            with McpWs(own, credential) as agent:
                assert text_of(agent.call(APPEND, {"line": "before-%d" % i},
                                          timeout=20)) == "appended"
        assert sorted(org.effects()) == ["before-%d" % i for i in range(4)]
        check_audit(org)
        Org.made.remove(org)
