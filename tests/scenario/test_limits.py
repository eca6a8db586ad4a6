"""What one caller may take of what is there for all, and what a slow one does not get."""
import base64
import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading

from cases import Skip, case
from harness import BUILD, Org, children_of, command_of, free_ports, wait_for
from mcp_client import TASKS, McpError, McpStdio, McpWs, text_of

WRITE = "files__write"
APPEND = "s__append_line"


@case(in_flight_bytes=1 << 20)
def arguments_in_flight_are_bounded_for_an_organization(rt):
    """Of all its agents together, in each worker; another organization has its own."""
    org, other = Org(rt), Org(rt)
    _, second = org.add_agent("second")
    large = {"path": "a.txt", "content": "x" * 600000}
    with McpWs(rt, org.credential) as agent:
        worker = rt.worker_of(agent.sock)
        held = agent.call_start(WRITE, large)
        approval = org.wait_pending()
        refuse_large(agent, large)
        with McpWs(rt, second) as same:
            if rt.worker_of(same.sock) == worker:
                refuse_large(same, large)
        assert not agent.call("files__list", {"path": "."}).get("isError")  # small ones go on
        with McpWs(rt, other.credential) as theirs:
            theirs.call_start(WRITE, large)
            other.wait_pending()
        org.ann.reject(approval, "too large for me")
        assert held.wait()["isError"]
        agent.call_start(WRITE, dict(large, path="b.txt"))
        org.wait_pending()


def refuse_large(agent, arguments):
    try:
        agent.call(WRITE, dict(arguments, path="c.txt"))
    except McpError as e:
        assert "too many bytes" in e.message, e
    else:
        raise AssertionError("it was taken")


def local(rt):
    s = socket.socket(socket.AF_UNIX)
    s.connect(rt.run_dir + "/stdio.sock")
    s.settimeout(5)
    return s


def is_closed(s):
    """Not: it says nothing, and stays."""
    try:
        return s.recv(1) == b""
    except (BlockingIOError, socket.timeout):
        return False
    except OSError:
        return True


@case()
def strangers_at_the_local_socket_cost_little(rt):
    """Anybody on the host may connect to it: without a credential they keep no memory, and no more
    than so many descriptors."""
    with local(rt) as s:
        try:
            s.sendall(b'{"token":"' + b"x" * 100000)
        except OSError:
            pass
        assert is_closed(s)
    crowd = [local(rt) for _ in range(700)]
    for s in crowd:
        s.settimeout(0)
    wait_for("those over the limit to be turned away",
             lambda: sum(is_closed(s) for s in crowd) >= 700 - 2 * 256, 5)
    for s in crowd:
        s.close()
    org = Org(rt)
    with McpStdio(rt, org.credential) as agent:
        assert "files__read" in agent.tools()


class Deaf(McpWs):
    """A client that stops reading when it is told to."""
    ear = None

    def _read_text(self):
        if self.ear:
            self.ear.wait()
        return super()._read_text()


@case(limit=60)
def what_a_deaf_client_did_not_get_is_not_delivered(rt):
    """Its connection is on its way out when the outcome comes: the repeat collects it."""
    org = Org(rt, scenario=True)
    org.write("large.txt", "x" * 200000 + "\n")
    agent = Deaf(rt, org.credential)
    agent.call_start(APPEND, {"line": "one", "gate": "go"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    org.wait_state(approval, "dispatched")
    agent.ear = threading.Event()
    agent.start("ping")  # the read that is under way ends with it
    for _ in range(80):  # more than the sockets between us take
        agent.call_start("files__read", {"path": "large.txt"})
    wait_for("the reads", lambda: len(org.audit(kind="call.read")) == 80, 30)
    org.open_gate("go")
    org.wait_state(approval, "succeeded")
    wait_for("nobody to wait for it", lambda: org.row(approval)["wait_mode"] == "left")
    assert org.row(approval)["delivered_at"] is None
    agent.sock.close()
    with McpWs(rt, org.credential) as again:
        assert text_of(again.call(APPEND, {"line": "one", "gate": "go"})) == "appended"
    wait_for("delivery", lambda: org.row(approval)["delivered_at"])
    assert org.effects() == ["one"] and len(org.rows()) == 1
    agent.ear.set()


def unknown_token():
    """Of the right form, so that it is looked up (runtime/crypto/token.h)."""
    def b64(data):
        return base64.urlsafe_b64encode(data).decode().rstrip("=")
    body = "flp_" + b64(os.urandom(32))
    return body + b64(hashlib.sha256(b"flopinio/token/1" + body.encode()).digest()[:5])[:6]


@case(workers=1)
def failed_proofs_do_not_fill_the_audit(rt):
    """Anybody can make them. The first ones are noted one by one, the others by their number."""
    noted = "SELECT leaf FROM audit_event WHERE kind = 'auth.failed'"
    for _ in range(300):
        assert rt.rest("GET", "/me", None, unknown_token(), raw=True)[0] == 401
    assert 100 <= len(rt.sql(noted)) < 200, len(rt.sql(noted))

    def told():
        rt.rest("GET", "/me", None, unknown_token(), raw=True)
        return [r for r in rt.sql(noted) if b"not_noted" in r["leaf"]]
    wait_for("the number of the others", told, every=0.3)


def become_nobody():
    who = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(who.pw_gid)
    os.setuid(who.pw_uid)


@case(limit=60)
def others_of_the_same_user_do_not_look_into_it(rt):
    """Neither through /proc, nor in a core dump; and of its data they see what clients need."""
    if os.geteuid() != 0:
        raise Skip("it takes root to run something as another user")
    base = tempfile.mkdtemp(prefix="flopinio-nobody-", dir=rt.base)
    shutil.chown(base, "nobody")
    port, metrics = free_ports(2)
    log = open(base + "/log", "wb")
    serve = subprocess.Popen(
        [BUILD + "/flopinio", "serve", "--data-dir=" + base + "/data", "--workers=1",
         "--listen=127.0.0.1:%d" % port, "--metrics-listen=127.0.0.1:%d" % metrics],
        stdout=log, stderr=log, cwd="/", preexec_fn=become_nobody)
    try:
        wait_for("it to serve", lambda: b" worker_ready " in open(base + "/log", "rb").read(), 120, 0.1)
        for pid in [serve.pid] + [p for p in children_of(serve.pid)
                                  if command_of(p)[1:2] == ["worker"]]:
            with open("/proc/%d/limits" % pid) as f:
                assert [x.split()[4:6] for x in f if "core file" in x] == [["0", "0"]]
            if not any(s in BUILD for s in ("asan", "tsan")):  # a sanitizer must look into itself
                look = subprocess.run(["cat", "/proc/%d/environ" % pid], preexec_fn=become_nobody,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
                assert b"Permission denied" in look.stderr, look
        seen = subprocess.run(["find", base + "/data", "-mindepth", "1", "-perm", "/007", "!", "-type",
                               "l", "-printf", "%P %m\n"], stdout=subprocess.PIPE, text=True)
        assert sorted(seen.stdout.split("\n")) == ["", "flopinio.pid 644", "run 755",
                                                   "run/ports.json 644", "run/stdio.sock 666"], seen
    finally:
        serve.terminate()
        serve.wait(60)
        log.close()


STANDING = """version: 1
rules:
  - {name: log, tools: [s__slow_look], effect: allow, standing: true}
"""


@case(limit=120, workers=1)
def tasks_of_a_slow_plugin_hold_up_nobody_else_s(rt):
    """They filled what a worker runs at one time, and all that its sweep is told of."""
    slow, other = Org(rt, files=False, scenario=True, policy=STANDING), Org(rt, files=False, scenario=True)
    slow.accept("s__slow_look", effects="write")
    slow.sync()
    agent = McpWs(rt, slow.credential, modern=True, caps=TASKS)
    made = [agent.call("s__slow_look", {"line": "held", "gate": "go"})]
    slow.wait_state(slow.rows()[0]["approval_id"], "dispatched")
    for _ in range(18):
        calls = [agent.call_start("s__slow_look", {"line": "more"}) for _ in range(15)]
        made += [call.wait(60) for call in calls]
    assert all(m["resultType"] == "task" for m in made), made
    McpWs(rt, other.credential, modern=True, caps=TASKS).call(APPEND, {"line": "theirs"})
    approval = other.wait_pending()
    other.ann.approve(approval)
    other.wait_state(approval, "succeeded")
    states = [r["state"] for r in slow.rows()]
    assert len(states) == 271 and sorted(set(states)) == ["approved", "dispatched"], states
    slow.open_gate("go")
    wait_for("all of them to run", lambda: {r["state"] for r in slow.rows()} == {"succeeded"}, 60, 0.2)
