"""A mixed load for minutes or hours on the sanitizer build: agents that come and go over every
transport, people who decide, reject, cancel, stop and resume, readers. Memory and descriptors do not
grow, every request has one answer, and the audit tells it all.

FL_SOAK_MIN=N: that many minutes (default 1; 10 with --long). FL_SEED: another order of things.
"""
import contextlib
import os
import random
import statistics
import sys
import threading
import time

from cases import case
from harness import LONG, ROOT, Org, RestError, check_audit, wait_for
from mcp_client import TASKS, Gone, McpError, McpHttp, McpStdio, McpWs, text_of

sys.path.insert(0, ROOT + "/tests/torture")
import fault  # noqa: E402  the shim also reads how much memory is allocated

MINUTES = float(os.environ.get("FL_SOAK_MIN", "10" if LONG else "1"))
SEED = int(os.environ.get("FL_SEED", "7"))
AGENTS = 5
ANSWER_S = 40
SETTINGS = dict(workers=2, lease_time="2s", keepalive_time="2s")
# What an operation may leave behind, in bytes of allocated memory; and what so few operations that
# nothing can be said may differ by: calls that happen to be under way, statements of another day.
BYTES_PER_OPERATION = 24
NOISE_BYTES = 256 << 10
# Of the memory that the system has given: the sanitizer's allocator is in no hurry to reuse it.
RESIDENT_PER_OPERATION = 2048
FD_SLACK = 5
STOP_S = 3  # after a stop and its end: who was cut off by it is told then at the latest


class Load:
    def __init__(self, rt, orgs):
        self.rt, self.orgs = rt, orgs
        self.is_over, self.is_decided = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.counts = {}
        self.problems = []
        self.threads = []
        self.stopped_until = {}  # organization -> time

    def did(self, what):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    def operations(self):
        with self.lock:
            return sum(self.counts.values())

    def start(self):
        roles = [(self.agent, i) for i in range(AGENTS)] + [
            (self.reader, 0), (self.stopper, 0)] + [(self.decider, i) for i in range(len(self.orgs))]
        for turn, number in roles:
            rng = random.Random("%d %s %d" % (SEED, turn.__name__, number))
            thread = threading.Thread(target=self.work, args=(turn, number, rng), daemon=True)
            thread.start()
            self.threads.append((turn, thread))

    def end(self):
        """The agents first: people decide until the last call is over."""
        self.is_over.set()
        for role, thread in self.threads:
            if role == self.decider:
                continue
            thread.join(ANSWER_S + 10)
            assert not thread.is_alive(), "a client got stuck"
        self.is_decided.set()
        for _, thread in self.threads:
            thread.join(ANSWER_S)

    def work(self, turn, number, rng):
        over = self.is_decided if turn == self.decider else self.is_over
        while not over.is_set():
            org = self.orgs[number % len(self.orgs)]
            try:
                turn(org, rng)
            except (Gone, McpError) as e:
                if time.monotonic() > self.stopped_until.get(org.name, 0):
                    self.problems.append("%s: %r" % (turn.__name__, e))
                self.did("cut off by a stop")
            except Exception as e:  # noqa: BLE001  whatever it is, it is a finding
                self.problems.append("%s: %r" % (turn.__name__, e))
                if len(self.problems) > 20:
                    return

    # ---- agents
    def connect(self, org, rng):
        way = rng.randrange(5)
        if way == 0:
            return McpWs(self.rt, org.credential)
        if way == 1:
            return McpWs(self.rt, org.credential, modern=True, caps=TASKS)
        if way == 2:
            return McpHttp(self.rt, org.credential)
        if way == 3:
            return McpHttp(self.rt, org.credential, modern=True, caps=TASKS)
        return McpStdio(self.rt, org.credential)

    def agent(self, org, rng):
        client = self.connect(org, rng)
        self.did("connection")
        leaves = False
        try:
            for _ in range(rng.randrange(1, 12)):
                self.step(org, client, rng)
            if rng.random() < 0.2:
                leaves = True
                held = client.call_start("s__append_line", {"line": unique()})
                time.sleep(rng.random() * 0.05)
                self.leave(client, held)
        finally:
            if not leaves:
                client.close()
        for note in getattr(client, "notes", []):
            assert "method" in note, "an answer to nothing: %s" % note

    def leave(self, client, held):
        """Gone in the middle of a call that waits."""
        if isinstance(client, McpHttp):
            held.drop()
            client.close()
        else:
            client.drop()
        self.did("left")
        with contextlib.suppress(Gone, McpError):
            held.wait(ANSWER_S)

    def step(self, org, client, rng):
        what = rng.random()
        if what < 0.5:
            count = rng.randrange(1, 4)
            asked = [client.call_start("s__look", {"line": "x"}) for _ in range(count)]
            for pending in asked:
                self.answered(pending, "read")
        elif what < 0.6:
            assert "s__look" in client.tools()
            self.did("list")
        else:
            self.write(client, rng)

    def write(self, client, rng):
        pending = client.call_start("s__append_line", {"line": unique()})
        if rng.random() < 0.1 and not isinstance(client, McpHttp):
            time.sleep(rng.random() * 0.03)
            client.cancel(pending, "changed my mind")
            with contextlib.suppress(TimeoutError, McpError):  # a cancelled request has no answer
                pending.wait(0.2)
            self.did("cancelled by the agent")
            return
        result = self.answered(pending, "write")
        if result and "taskId" in result:
            def look():
                got = client.request("tasks/get", {"taskId": result["taskId"]})
                return got["status"] in ("completed", "failed", "cancelled")
            wait_for("the task's end", look, ANSWER_S, 0.05)
            self.did("task")

    def answered(self, pending, what):
        result = pending.wait(ANSWER_S)
        assert not pending.is_answered_twice
        self.did(what)
        return result

    # ---- people
    def decider(self, org, rng):
        time.sleep(0.03)
        for item in org.ann.rest("GET", org.path("/approvals?state=pending"))["items"]:
            self.decide(org, item["id"], rng.random(), rng)

    def decide(self, org, approval, what, rng):
        try:
            if what < 0.6:
                org.ann.approve(approval)
            elif what < 0.8:
                org.bob.reject(approval, "not today")
            elif what < 0.9:
                org.olga.cancel(approval)
            else:
                self.rt.sql("UPDATE approval SET expires_at = now() - interval '1 second' WHERE "
                            "approval_id = %s AND state = 'pending'", approval)
            self.did("decision")
        except RestError as e:  # the agent cancelled it, or it expired, or was decided
            assert e.status == 409, e

    def reader(self, org, rng):
        time.sleep(0.1)
        for path in ("/approvals?limit=50", "/audit?limit=50", "/tools", "/agents", "/stops"):
            org.ann.rest("GET", org.path(path)) if path != "/audit?limit=50" else \
                org.adam.rest("GET", org.path(path))
            self.did("list by REST")
        assert self.rt.metrics()[0] == 200

    def stopper(self, _, rng):
        self.is_over.wait(6)  # in between nobody may be cut off
        org = rng.choice(self.orgs)
        scope, name = rng.choice([("agent", "bot"), ("server", "s"), ("tool", "s__append_line")])
        self.stopped_until[org.name] = time.monotonic() + 60
        org.control("POST", "/stops", {"scope": scope, "name": name, "reason": "a look at it"})
        self.is_over.wait(0.3)
        org.control("POST", "/stops/resume", {"scope": scope, "name": name})
        self.stopped_until[org.name] = time.monotonic() + STOP_S
        self.did("stop and resume")


_serial = iter(range(1 << 40))


def unique():
    return "line %d" % next(_serial)


# ---------------------------------------------------------------- what is measured
def allocated(pid):
    """Bytes that are allocated in the process now: exact, unlike what the system has given it."""
    fault.page.live, fault.page.live_pid = -1, pid
    return wait_for("the worker to allocate", lambda: fault.page.live >= 0 and fault.page.live, 5)


def resident(pid):
    with open("/proc/%d/statm" % pid) as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def slope(points):
    """Theil and Sen: the median of the slopes between pairs of points; far-off ones do not count."""
    pairs = [(b[1] - a[1]) / (b[0] - a[0]) for i, a in enumerate(points)
             for b in points[i + len(points) // 3:] if b[0] > a[0]]
    return statistics.median(pairs)


def soak(rt, seconds, leak=0):
    """Runs the load; why memory grows (None: it does not), and the load."""
    orgs = [Org(rt, files=False, scenario=True, hold="30s") for _ in range(2)]
    workers = rt.workers()
    bases = [descriptors(pid) for pid in workers]
    load = Load(rt, orgs)
    load.start()
    heap, room = {pid: [] for pid in workers}, {pid: [] for pid in workers}
    fault.page.leak = leak
    from_ = time.monotonic()
    while time.monotonic() - from_ < seconds and len(load.problems) <= 20:
        time.sleep(min(0.2, seconds / 400))
        if time.monotonic() - from_ < seconds / 3:  # it warms up: caches, pools, statements
            continue
        for pid in workers:
            heap[pid].append((load.operations(), allocated(pid)))
            room[pid].append((load.operations(), resident(pid)))
    fault.page.leak = fault.page.live_pid = 0
    load.end()
    assert not load.problems, "\n".join(load.problems)
    assert rt.workers() == workers, "a worker ended"
    grows = None
    print("%d operations in %.0f s: %s" % (load.operations(), seconds, load.counts))
    for pid in workers:
        print("worker %d: %.1f bytes allocated for each operation, %.1f resident; %d KB allocated, "
              "%d MB resident" % (pid, slope(heap[pid]), slope(room[pid]), heap[pid][-1][1] >> 10,
                                  room[pid][-1][1] >> 20))
        count = heap[pid][-1][0] - heap[pid][0][0]
        left, room_left = slope(heap[pid]), slope(room[pid])
        if left > BYTES_PER_OPERATION and left * count > NOISE_BYTES:
            grows = "each of %d operations leaves %.1f bytes behind" % (count, left)
        if room_left > RESIDENT_PER_OPERATION:
            grows = "each of %d operations takes %.1f bytes of the system" % (count, room_left)
    settle(rt, orgs)
    for pid, base in zip(workers, bases):
        wait_for("descriptors to be closed", lambda: descriptors(pid) <= base + FD_SLACK, 20)
    return grows, load


def settle(rt, orgs):
    """No call is under way any more; each is told by its audit, and happened as often as it says."""
    for org in orgs:
        wait_for("every call to be over", lambda: not rt.sql(
            "SELECT 1 FROM approval WHERE organization_id = %s AND state IN ('claimed', 'dispatched')",
            org.id), 30)
        check_audit(org)
        effects = org.effects()
        assert len(effects) == len(set(effects)), "something ran twice"
        done = sum(r["state"] == "succeeded" for r in org.rows())
        assert done == len(effects), "%d succeeded, %d effects" % (done, len(effects))


@case(limit=int(MINUTES * 60) + 120, **SETTINGS)
def nothing_grows_and_nobody_is_forgotten(rt):
    grows, load = soak(rt, MINUTES * 60)
    for what in ("read", "write", "task", "left", "decision", "cancelled by the agent",
                 "stop and resume", "list by REST"):
        assert load.counts.get(what, 0) >= 5, "too few of '%s': %s" % (what, load.counts)
    assert not grows, grows


@case(limit=90, **SETTINGS)
def canary_memory_that_is_never_given_back_is_seen(rt):
    grows, _ = soak(rt, 15, leak=512)
    assert grows and "leaves" in grows, "the leak was not seen: %s" % grows
