"""`flopinio serve` itself: starting, refusing to start, stopping, reloading, replacing workers."""
import http.client
import os
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

from cases import Skip, case
from harness import BUILD, Org, Runtime, check_audit, is_alive, refused, wait_for
from mcp_client import Gone, McpError, McpWs, text_of


def outcome(rt, timeout=30):
    """Starts it where it must refuse; (exit status, what it said)."""
    rt.spawn()
    try:
        status = rt.process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise AssertionError("it serves although it must refuse:\n" + rt.log()) from None
    rt.process = None
    return status, rt.log()


def end(own):
    """Removes an installation; first the audit of its organizations is checked."""
    for org in [o for o in Org.made if o.rt is own]:
        check_audit(org)
        Org.made.remove(org)
    own.remove()


@case(limit=90)
def stops_at_once_and_leaves_nothing(rt):
    own = Runtime()
    workers, postmaster = own.workers(), own.postmaster()
    assert len(workers) == 2 and postmaster, (workers, postmaster)
    since = own.log_size()
    from_ = time.monotonic()
    assert own.stop() == 0, own.log()
    assert "worker_killed" not in own.log(), own.log()
    assert not is_alive(postmaster), time.monotonic() - from_
    assert not any(is_alive(p) for p in workers + [postmaster]), "something lives on"
    since = own.log_size()
    own.spawn()  # the same data again, and told to stop while it starts
    wait_for("the workers to start", lambda: "database_up" in own.log(since), 20)
    status = own.stop()
    assert status == 0 and "worker_killed" not in own.log(since), (status, own.log(since))
    own.remove()


@case()
def the_same_data_directory_is_refused_twice(rt):
    second = Runtime(start=False)
    real, second.data = second.data, rt.data
    status, text = outcome(second)
    second.data = real
    assert status == 1 and re.search(r"it is running already with .* \(process %d\)"
                                     % rt.process.pid, text), text
    assert rt.is_ready()
    second.remove()


@case()
def a_taken_port_is_said_before_anything_slow(rt):
    own = Runtime(start=False)
    own.port = rt.port
    status, text = outcome(own)
    assert status == 1 and str(rt.port) in text and "in use" in text, text
    assert not os.path.exists(own.data + "/postgres"), "a database was made first"
    own.remove()


@case()
def settings_are_checked_and_the_nearest_is_named(rt):
    for flags, status, text in (
            ({"lisen": "127.0.0.1:1"}, 2, "did you mean 'listen'"),
            ({"lease_time": "soon"}, 2, "must be a duration"),
            ({"workers": "1000"}, 2, "must be a whole number from 0 to 64"),
            ({"operator_authority": "sometimes"}, 2, "must be until_admin, always or never")):
        own = Runtime(start=False)
        own.settings.update(flags)
        got, said_ = outcome(own)
        assert got == status and text in said_, (flags, got, said_)
        own.remove()
    for flag, status, text in (("--database-url=postgres://x", 2, "must not stand on the command"),
                               ("--listen=nonsense", 1, "is no address to listen on"),
                               ("--worker=2", 2, "did you mean 'workers'")):
        ended = subprocess.run([BUILD + "/flopinio", "serve", "--data-dir=" + rt.base + "/none", flag],
                               capture_output=True, text=True, timeout=30)
        assert ended.returncode == status and text in ended.stderr, (flag, ended)


@case(limit=90)
def a_lost_key_is_not_replaced(rt):
    own = Runtime()
    own.stop()
    keys = own.data + "/secrets/keys"
    kept = own.base + "/keys"
    shutil.move(keys, kept)
    status, text = outcome(own)
    assert status == 1 and "encryption keys" in text and not os.path.exists(keys), text
    assert 'docs/runbooks.md, "A lost key"' in text, text  # where nobody has to guess what is lost
    shutil.move(kept, keys)
    os.chmod(keys, 0o644)
    status, text = outcome(own)
    assert status == 1 and "chmod 600" in text, text
    os.chmod(keys, 0o600)
    own.start()
    own.remove()


@case(limit=90)
def a_wrong_key_is_named_with_its_rows(rt):
    own, other = Runtime(start=False), Runtime()
    other.stop()
    own.start()
    org = Org(own)
    with McpWs(own, org.credential) as agent:
        agent.call_start("files__write", {"path": "a.txt", "content": "x"})
        org.wait_pending()
    own.stop()
    with open(other.data + "/secrets/keys") as f:
        foreign = f.read()
    keys = own.data + "/secrets/keys"
    with open(keys) as f:
        right = f.read()
    with open(keys, "w") as f:
        f.write(foreign)
    status, text = outcome(own)
    assert status == 1 and re.search(r"key", text) and re.search(r"[1-9]\d* rows? need", text), text
    with open(keys, "w") as f:
        f.write(right)
    own.start()
    assert len(org.approvals("pending")) == 1
    end(own)
    other.remove()


@case(limit=90, breaks=True)
def a_dead_worker_is_replaced(rt):
    old = rt.workers()
    os.kill(old[0], signal.SIGKILL)
    wait_for("a new worker", lambda: len(rt.workers()) == 2 and old[0] not in rt.workers(), 15)
    wait_for("readiness", rt.is_ready, 15)
    assert old[1] in rt.workers()


@case(limit=90, breaks=True)
def a_killed_supervisor_leaves_a_database_that_is_found_again(rt):
    own = Runtime()
    org = Org(own)
    workers, postmaster = own.workers(), own.postmaster()
    own.process.kill()
    own.process.wait()
    own.process = None
    # Workers end with their supervisor (they would hold its sockets); the database stays.
    wait_for("its workers to end", lambda: not any(map(is_alive, workers)), 15)
    assert own.postmaster() == postmaster
    own.start()
    assert own.postmaster() == postmaster, "another database was started"
    assert own.control("GET", "/orgs/" + org.name)["name"] == org.name
    end(own)


class Knocker(threading.Thread):
    """Connects and asks all the time, a connection per request; whatever fails is kept."""

    def __init__(self, rt):
        super().__init__(daemon=True)
        self.rt, self.count, self.failed, self.is_over = rt, 0, [], False

    def run(self):
        while not self.is_over:
            try:
                conn = http.client.HTTPConnection("127.0.0.1", self.rt.port, timeout=10)
                conn.request("GET", "/api/v1/me")
                status = conn.getresponse().status
                conn.close()
                if status != 401:
                    self.failed.append(status)
            except (OSError, http.client.HTTPException) as e:
                self.failed.append(repr(e))
            self.count += 1

    def end(self):
        self.is_over = True
        self.join(15)
        return self.failed


@case(limit=90, breaks=True)
def replacing_the_workers_refuses_no_connection(rt):
    org = Org(rt)
    org.write("a.txt", "here\n")
    agent = McpWs(rt, org.credential)
    call = agent.call_start("files__write", {"path": "b.txt", "content": "x"})
    approval = org.wait_pending()
    old = rt.workers()
    knockers = [Knocker(rt) for _ in range(3)]
    for k in knockers:
        k.start()
    rt.process.send_signal(signal.SIGUSR2)
    wait_for("all workers to be new", lambda: not set(old) & set(rt.workers()) and
             len(rt.workers()) == 2, 40)
    failed = [f for k in knockers for f in k.end()]
    assert sum(k.count for k in knockers) > 50 and not failed, failed[:5]
    # The held call was answered or cut, and goes on from its row with a new worker.
    try:
        result = call.wait(10)
        assert approval in text_of(result), result
    except Gone:
        pass
    agent.drop()
    org.ann.approve(approval)
    with McpWs(rt, org.credential) as back:
        result = back.call("approval_wait", {"approval_id": approval}, timeout=20)
        assert not result.get("isError"), result
    assert org.read("b.txt") == "x"
    org.wait_state(approval, "succeeded")


@case(limit=90)
def a_worker_that_cannot_be_started_takes_nobody_with_it(rt):
    """No descriptor for what a new worker is told: the supervisor ended over a handle that it had not
    opened, and everything with it."""
    pid, old = rt.process.pid, set(rt.workers())
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    since = rt.log_size()
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    rt.process.send_signal(signal.SIGUSR2)
    wait_for("it to be given up", lambda: " workers_not_replaced " in rt.log(since))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
    assert rt.process.poll() is None and set(rt.workers()) == old and rt.is_ready()
    rt.process.send_signal(signal.SIGUSR2)
    wait_for("all workers to be new", lambda: not old & set(rt.workers()) and
             len(rt.workers()) == len(old), 40)


@case(limit=90)
def a_reload_changes_what_may_change(rt):
    own = Runtime(pending_max=1)
    config = own.base + "/flopinio.yaml"
    org = Org(own)
    with McpWs(own, org.credential) as agent:
        agent.call_start("files__write", {"path": "a", "content": "1"})
        org.wait_pending()
        assert "too many" in text_of(agent.call("files__write", {"path": "b", "content": "1"}))
        with open(config, "w") as f:
            f.write("pending_mux: 2\nworkers: 2\n")
        own.process.send_signal(signal.SIGHUP)
        wait_for("the refusal", lambda: "reload_refused" in own.log(), 10)
        assert "pending_max" in own.log() and own.is_ready()
        with open(config, "w") as f:
            f.write("pending_max: 2\nworkers: 2\noperator_authority: never\n")
        own.control("POST", org.path("/groups"), {"name": "before"})
        own.process.send_signal(signal.SIGHUP)
        wait_for("the reload", lambda: own.log().count(" reloaded ") == 2, 10)
        with refused(403, "the operator may not change anything"):
            own.control("POST", org.path("/groups"), {"name": "after"})
        agent.call_start("files__write", {"path": "b", "content": "1"})
        org.wait_pending(2)
        assert "too many" in text_of(agent.call("files__write", {"path": "c", "content": "1"}))
    # A worker that comes later works with it too, not with what the supervisor was started with.
    for worker in own.workers():
        own.kill_worker(worker)
    wait_for("the successors to be told", lambda: own.log().count(" reloaded ") == 4, 10)
    with McpWs(own, org.credential) as agent:
        told = agent.call("files__write", {"path": "c", "content": "1"})
        assert "too many" in text_of(told), told
        org.ann.reject(org.wait_pending(2)[0], "one less")
        agent.call_start("files__write", {"path": "c", "content": "1"})
        org.wait_pending(2)
    end(own)


@case()
def health_readiness_and_metrics(rt):
    org = Org(rt)
    org.write("a.txt", "x")
    assert rt.metrics("/health") == (200, "alive\n")
    assert rt.metrics("/ready") == (200, "ready\n")
    assert rt.metrics("/other")[0] == 404

    def reads():
        return int(re.search(r"^flopinio_calls_read_total (\d+)$", rt.metrics()[1], re.M).group(1))
    before = reads()
    with McpWs(rt, org.credential) as agent:
        agent.call("files__read", {"path": "a.txt"})
    wait_for("the counter to count", lambda: reads() > before)
    text = rt.metrics()[1]
    assert org.name not in text and "bot" not in text, "an organization in the metrics"
    for line in text.strip().split("\n"):
        assert re.match(r"^(# (HELP|TYPE) flopinio_\w+ .+|flopinio_\w+ -?[\d.]+)$", line), line


@case(limit=90, breaks=True)
def not_ready_while_the_database_is_away(rt):
    rt.pg_ctl("-m", "fast", "stop")
    wait_for("unreadiness", lambda: not rt.is_ready(), 10)
    status, text = rt.metrics("/ready")
    # The private database comes back by itself.
    if status == 503:
        assert text.startswith("not ready: "), text
    assert rt.metrics("/health")[0] == 200
    wait_for("readiness", rt.is_ready, 30)


@case(limit=90)
def tls_with_its_certificate_exchanged(rt):
    own = Runtime(start=False)
    cert, key = own.base + "/cert.pem", own.base + "/key.pem"

    def make(name):
        made = subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", key, "-out", cert, "-days", "2", "-subj", "/CN=" + name,
             "-addext", "subjectAltName=DNS:localhost"], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr
    make("first")
    own.settings.update(tls_certificate=cert, tls_key=key)
    own.start()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def connect():
        raw = socket.create_connection(("127.0.0.1", own.port), timeout=10)
        return context.wrap_socket(raw, server_hostname="localhost")

    def subject(conn):
        text = ssl.DER_cert_to_PEM_cert(conn.getpeercert(True))
        shown = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=text,
                               capture_output=True, text=True)
        return shown.stdout

    def ask(conn):
        conn.sendall(b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = b""
        while not answer.endswith(b"}}"):
            piece = conn.recv(4096)
            assert piece, "closed after %r" % answer
            answer += piece
        return answer
    first = connect()
    assert "first" in subject(first) and b" 401 " in ask(first)
    make("second")
    own.process.send_signal(signal.SIGHUP)

    def renewed():
        with connect() as conn:
            return "second" in subject(conn)
    wait_for("the new certificate", renewed, 10)
    assert b" 401 " in ask(first), "an open connection was dropped"
    first.close()
    with open(cert, "w") as f:
        f.write("nonsense")
    own.process.send_signal(signal.SIGHUP)
    wait_for("the refusal", lambda: "certificate_reload_failed" in own.log(), 10)
    assert renewed(), "a bad file took the good certificate away"
    own.remove()


@case(limit=90, breaks=True)
def a_full_disk_refuses_and_recovers(rt):
    if os.geteuid() != 0:
        raise Skip("mounting a small disk needs root")
    own = Runtime(start=False)
    os.makedirs(own.data)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m,mode=755", "tmpfs", own.data],
                          capture_output=True, text=True)
    if made.returncode:
        raise Skip("no tmpfs here: " + made.stderr)
    try:
        own.start()
        org = Org(own)
        org.write("a.txt", "x\n")
        filler = own.data + "/filler"
        with McpWs(own, org.credential) as agent:
            assert not agent.call("files__read", {"path": "a.txt"}).get("isError")
            with open(filler, "wb", buffering=0) as f:
                try:
                    while True:
                        f.write(b"x" * 65536)
                except OSError:
                    pass

            def refused():
                try:
                    result = agent.call("files__read", {"path": "a.txt"}, timeout=20)
                    return None if not result.get("isError") else text_of(result)
                except (McpError, Gone) as e:
                    return str(e)
            # What is in the log's open segment may still be written; then nothing runs any more.
            why = wait_for("a refusal", refused, 40, 0)
            assert why, why
        os.remove(filler)

        def works():
            try:
                with McpWs(own, org.credential) as again:
                    return not again.call("files__read", {"path": "a.txt"}).get("isError")
            except (McpError, Gone, OSError):
                return False
        wait_for("reads to work again", works, 40, 0.2)
        check_audit(org)
        Org.made.remove(org)
    finally:
        own.stop()
        pid = own.postmaster()
        if pid:
            os.kill(pid, signal.SIGINT)
            wait_for("the database to end", lambda: not is_alive(pid), 20)
        subprocess.run(["umount", own.data], check=False)
        own.remove()
