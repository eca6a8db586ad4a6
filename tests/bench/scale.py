"""The benchmarks of approvals, and of many: pending ones, organizations, agents.

Rows that are only there (a million pending approvals, 10,000 organizations) are written by bulk SQL
(fill.py); what is measured goes through the program."""
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import time

import fill
from common import ECHOED, INIT, META, WORK, Ours, call, put_message, wait_for, write
from mcp_client import McpWs

PENDING, ORGANIZATIONS, RULES, AGENTS = 1000000, 10000, 100, 5000


# ---------------------------------------------------------------- a write becomes pending
def _empty(ours):
    """Without what was written since the runtime was made ready. Not an empty table: plans made for
    one read whole organizations until autovacuum, within a minute, has made statistics."""
    ours.rt.sql("DELETE FROM approval WHERE created_at >= %s", ours.since)
    ours.rt.sql("VACUUM (ANALYZE) approval")


def _writes(b, ours, tokens, **options):
    ours.use(tokens)
    return b.load(ours, "ws", "/mcp/ws", put_message(), expect='"taskId"', is_write=True,
                  **options)


def _writers(b):
    """The ordinary runtime, with 256 agents in its organization and one in each of 1,000 more."""
    def make():
        ours = Ours()
        ours.alone = fill.agents(ours, 256)
        ours.spread = fill.organizations(ours, b.scaled(1000), b.scaled(1000))
        fill.pending(ours, 2000)
        ours.since = ours.rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
        return ours
    return b.server("writers", make)


def write_to_pending_one(b):
    ours = _writers(b)
    agent = ours.rt.sql("SELECT agent_id FROM agent WHERE organization_id = %s AND name = 'bot'",
                        ours.org.id)[0]["agent_id"]

    def ours_alone():
        result = _writes(b, ours, ours.alone, conns=32, in_flight=1)
        _empty(ours)
        return result

    def statement():
        result = b.floor_pq(ours, "intake", ours.org.id, agent)
        _empty(ours)
        return result
    b.compare("write_to_pending_one", "rps", {
        "one statement by libpq": statement,
        "write to pending, one in flight": ours_alone,
    }, "one statement by libpq")


def write_to_pending_256(b):
    ours = _writers(b)

    def measured(tokens, **options):
        result = _writes(b, ours, tokens, **options)
        _empty(ours)
        return result
    b.compare("write_to_pending_256", "rps", {
        "one organization": lambda: measured(ours.alone, conns=256),
        "%d organizations" % len(ours.spread): lambda: measured(
            ours.spread, conns=len(ours.spread), in_flight=256),
        "rows in batches of 128 by libpq": lambda: b.floor_pq(ours, "batch", "128"),
    }, "one organization")


def _row_security(ours, is_on):
    tables = ours.rt.sql("SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = "
                         "c.relnamespace WHERE n.nspname = 'flopinio' AND c.relforcerowsecurity")
    for table in tables:
        ours.rt.sql("ALTER TABLE %s %s ROW LEVEL SECURITY" % (
            table["relname"], "ENABLE" if is_on else "DISABLE"))


def write_to_pending_row_security(b):
    """Off: for this measurement only, as the superuser."""
    ours = _writers(b)

    def measured(is_on):
        if not is_on:
            _row_security(ours, False)
        result = _writes(b, ours, ours.alone, conns=256)
        if not is_on:
            _row_security(ours, True)
        _empty(ours)
        return result
    b.compare("write_to_pending_row_security", "rps", {
        "row security off": lambda: measured(False),
        "row security on": lambda: measured(True),
    }, "row security off")


def _million(b):
    """A million pending, of 5,000 agents; 256 of them are of the first organization."""
    def make():
        ours = Ours()
        ours.alone = fill.agents(ours, 256)
        fill.organizations(ours, b.scaled(1000), b.scaled(AGENTS - 256))
        from_ = time.monotonic()
        fill.pending(ours, b.scaled(PENDING))
        ours.since = ours.rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
        print("\n(%d pending approvals written in %.0f s)" % (b.scaled(PENDING),
                                                             time.monotonic() - from_))
        return ours
    return b.server("million", make)


def write_to_pending_million(b):
    ours, many = _writers(b), _million(b)

    def empty():
        result = _writes(b, ours, ours.alone, conns=256)
        _empty(ours)
        return result

    def full():
        result = _writes(b, many, many.alone, conns=256)
        _empty(many)
        return result
    b.compare("write_to_pending_million", "rps", {
        "none pending": empty,
        "%d pending" % b.scaled(PENDING): full,
    }, "none pending")


# ---------------------------------------------------------------- decided, then claimed
class _Decider:
    """One kept connection to the REST API; the time is taken when the bytes leave."""

    def __init__(self, ours):
        self.sock = socket.create_connection(("127.0.0.1", ours.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.org, self.token = ours.org, ours.org.ann.token

    def approve(self, approval, binding):
        body = json.dumps({"verdict": "approve", "binding": binding})
        request = ("POST /api/v1%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n"
                   "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
                       self.org.path("/approvals/%s/decision" % approval), self.token, len(body),
                       body)).encode()
        at = time.time()
        self.sock.sendall(request)
        answer = self.sock.recv(65536)
        assert b" 200 " in answer.split(b"\r\n")[0], answer
        return at

    def close(self):
        self.sock.close()


def _decisions(b, ours, count):
    decider, sent = _Decider(ours), {}
    # Of the database: nothing it says itself is slower than what it is asked by us here.
    look = ours.rt.connect()
    cur = look.cursor()
    with McpWs(ours.rt, ours.org.credential) as client:
        for i in range(count):
            call_ = client.call_start("b__put", {"text": "decide %d" % i})

            def pending():
                cur.execute("SELECT approval_id, binding_digest FROM approval WHERE organization_id "
                            "= %s AND state = 'pending'", (ours.org.id,))
                return cur.fetchone()
            approval, binding = wait_for("the call to be held", pending, 10, 0.001)
            time.sleep(0.005)  # so that nothing of the intake is still under way
            sent[approval] = decider.approve(approval, bytes(binding).hex())
            call_.wait()
    decider.close()
    rows = ours.rt.sql("SELECT subject_id, kind, extract(epoch FROM recorded_at)::float8 AS at FROM "
                       "audit_event WHERE organization_id = %s AND kind IN ('approval.claimed', "
                       "'approval.dispatched')", ours.org.id)
    look.close()
    took = sorted(1e6 * (row["at"] - sent[row["subject_id"]]) for row in rows
                  if row["kind"] == "approval.dispatched" and row["subject_id"] in sent)
    assert len(took) == count, "%d of %d were dispatched" % (len(took), count)
    return {"p50_us": took[count // 2], "p99_us": took[count * 99 // 100], "count": count}


def decision_to_claim(b):
    """From a decision's bytes leaving the client to the transaction behind the claim's beginning
    (the database's clock, the same machine): the claim is durable and the worker knows it."""
    ours = b.ours()
    b.compare("decision_to_claim", "p50_us", {
        "one-row commit by libpq": lambda: b.floor_pq(ours, "commits"),
        "decision to claimed": lambda: b.quiet(ours, lambda: _decisions(b, ours, b.scaled(300))),
    }, "one-row commit by libpq")


# ---------------------------------------------------------------- restart
def _first_answer(ours, until):
    """Asks a governed read over HTTP as soon as anybody listens."""
    with open(ours.tokens) as f:
        token = f.readline().strip()
    body = call("b__echo", 20, modern=True).replace("@ID@", "1")
    request = ("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
               "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: %s\r\n"
               "Mcp-Method: tools/call\r\nMcp-Name: b__echo\r\nAuthorization: Bearer %s\r\n"
               "Content-Length: %d\r\n\r\n%s" % (
                   ours.port, META["io.modelcontextprotocol/protocolVersion"], token, len(body),
                   body)).encode()
    answer = b""
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", ours.port), timeout=10) as sock:
                sock.sendall(request)
                ours.sent += 1
                answer = sock.recv(65536)
        except OSError:
            answer = b""
        if b" 200 " in answer.split(b"\r\n")[0]:
            ours.answered += 1
            return
        time.sleep(0.001)
    raise AssertionError("no governed call was answered: %r" % answer)


def _peak_mib(pids):
    most = 0
    for pid in pids:
        with open("/proc/%d/status" % pid) as f:
            most = max(most, *[int(line.split()[1]) / 1024 for line in f
                               if line.startswith("VmHWM")])
    return most


def _restart(ours):
    """The supervisor is killed and its workers with it; the private database goes on, as after a
    crash of ours. One approval is overdue when the new one starts, another one falls due later."""
    rt = ours.rt
    rt.stop(signal.SIGKILL)
    time.sleep(0.5)
    ids = [r["approval_id"] for r in rt.sql("SELECT approval_id FROM approval WHERE state = "
                                            "'pending' AND expires_at > now() + interval '1 hour' "
                                            "LIMIT 2")]
    if ids:
        rt.sql("UPDATE approval SET expires_at = now() WHERE approval_id = %s", ids[0])
    since, at = rt.log_size(), time.monotonic()
    rt.spawn()
    _first_answer(ours, at + 60)
    result = {"first_ms": (time.monotonic() - at) * 1000}

    def expired(approval):
        return wait_for("the expiry", lambda: rt.sql(
            "SELECT extract(epoch FROM changed_at)::float8 AS at, extract(epoch FROM "
            "expires_at)::float8 AS due FROM approval WHERE state = 'expired' AND approval_id = %s",
            approval), 60, 0.005)[0]
    wait_for("the runtime to be ready", lambda: " worker_ready " in rt.log(since), 60)
    if ids:
        expired(ids[0])
        result["overdue_ms"] = (time.monotonic() - at) * 1000
        rt.sql("UPDATE approval SET expires_at = now() + interval '2 seconds' WHERE approval_id = %s",
               ids[1])
        row = expired(ids[1])
        result["expiry_ms"] = (row["at"] - row["due"]) * 1000
    result["peak_mib"] = _peak_mib(rt.workers())
    return result


def restart_million(b):
    ours, many = b.ours(), _million(b)
    b.compare("restart_million", "first_ms", {
        "none pending": lambda: _restart(ours),
        "%d pending" % b.scaled(PENDING): lambda: _restart(many),
    }, "none pending", ("overdue_ms", "expiry_ms", "peak_mib"))


# ---------------------------------------------------------------- many of everything
class _Connected:
    """Agents that are connected and quiet, beside what is measured."""

    def __init__(self, ours, tokens, conns):
        ready = WORK + "/ready"
        if os.path.exists(ready):
            os.unlink(ready)
        tokens = write("tokens-idle", "\n".join(tokens))
        self.process = subprocess.Popen(
            [WORK + "/load", "ws", "127.0.0.1", str(ours.port), "/mcp/ws", put_message(),
             "init=" + write("init.jsonl", INIT), "tokens=" + tokens, "conns=%d" % conns,
             "idle_ms=3600000", "ready=" + ready], stdout=subprocess.DEVNULL)
        ours.extra_pids.append(self.process.pid)
        wait_for("the agents to be connected", lambda: os.path.exists(ready), 600, 0.2)

    def stop(self):
        self.process.kill()
        self.process.wait()


def _resident_mib(ours):
    total = 0
    for pid in ours.rt.workers():
        with open("/proc/%d/statm" % pid) as f:
            total += int(f.read().split()[1]) * resource.getpagesize()
    return total / 1048576


def flat(b):
    """Calls of 32 agents of 32 organizations while all others are there, to calls of the only one,
    which has no rules but POLICY's."""
    init, small = write("init.jsonl", INIT), write("small.json", call("b__echo", 180))
    one, many = Ours(), Ours(rules=RULES)
    agents = b.scaled(AGENTS)
    tokens = fill.organizations(many, b.scaled(ORGANIZATIONS), agents)
    fill.pending(many, b.scaled(PENDING))
    before = _resident_mib(many)
    connected = _Connected(many, tokens, agents)
    loaded = _resident_mib(many)
    many.use(tokens[:32])

    def measured(ours):
        result = b.load(ours, "ws", "/mcp/ws", small, conns=128, init=init, expect=ECHOED)
        return dict(result, all_cpu_us=result["cpu_us"] + result["db_cpu_us"])
    b.compare("flat", "all_cpu_us", {
        "one organization, one agent": lambda: measured(one),
        "%d organizations, %d agents" % (b.scaled(ORGANIZATIONS), agents): lambda: measured(many),
    }, "one organization, one agent")
    print("  %d agents connected, of as many organizations with %d rules: %.1f KiB each" % (
        agents, RULES, (loaded - before) * 1024 / agents))
    b.results.append({"name": "flat_memory", "agents": agents, "rules": RULES,
                      "kib_each": (loaded - before) * 1024 / agents})
    connected.stop()
    one.stop()
    many.stop()


def _room(workers, each):
    """Agents that the descriptors of this machine allow, those of a worker and of the generator."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return min(most - 100, (most - 1000) * workers // each)


def _idle(b, name, count, **settings):
    """Memory of agents that are connected and quiet, and what pinging them costs."""
    seconds, is_tls = b.args.idle_seconds, settings.get("tls", False)
    # A WebSocket has three descriptors; two workers do not share them quite equally.
    count = min(b.scaled(count), _room(2, 4))
    options = dict(init=write("init.jsonl", INIT), settle_ms=2000,
                   idle_ms=int(seconds * 1000), **({"tls": 1} if is_tls else {}))
    message = write("small.json", call("b__echo", 180))
    rounds = []
    for _ in range(min(b.args.rounds, 3)):  # what is left of others would be taken again, unseen
        ours = Ours(in_process=True, workers=2, **settings)
        none = b.load(ours, "ws", "/mcp/ws", message, conns=1, **options)
        r = b.load(ours, "ws", "/mcp/ws", message, conns=count, **options)
        rounds.append({"kib_each": (r["idle_kib"] - r["base_kib"]) / count,
                       "mib": r["idle_kib"] / 1024, "pings": r["pings"],
                       "ping_us": (r["server_cpu_us"] - none["server_cpu_us"]) / r["pings"]
                       if r["pings"] else 0})
        ours.stop()
    middle = {k: statistics.median(r[k] for r in rounds) for k in rounds[0]}
    print("\n%s\n  %d agents, 2 workers: %.1f KiB each, %.0f MiB in all; %d pings, %.1f us of CPU each"
          % (name, count, middle["kib_each"], middle["mib"], middle["pings"], middle["ping_us"]))
    b.results.append({"name": name, "agents": count, "figures": middle, "rounds": rounds})


PARTS = {
    "write_to_pending_one": write_to_pending_one,
    "write_to_pending_256": write_to_pending_256,
    "write_to_pending_row_security": write_to_pending_row_security,
    "write_to_pending_million": write_to_pending_million,
    "decision_to_claim": decision_to_claim,
    "restart_million": restart_million,
    "flat": flat,
    "idle_agents": lambda b: _idle(b, "idle_agents", 10000),
    "idle_agents_tls": lambda b: _idle(b, "idle_agents_tls", 2000, tls=True),
}
