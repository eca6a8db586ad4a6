#!/usr/bin/python3
"""The official clients, unchanged, against a running `flopinio serve`: tests/clients/run.py
[VARIANT]... Each variant (drivers.VARIANTS) goes through the same endings of a call. Prints one
line per case, then two tables, then `N passed, N failed, N skipped`.
"""
import os
import queue
import re

import sys

import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE) + "/scenario"]
from drivers import VARIANTS, ClientError, open_client  # noqa: E402
from harness import Org, RestError, Runtime, check_audit, wait_for  # noqa: E402

JOBS = int(os.environ.get("FL_JOBS", "2"))

POLICY = """version: 1
rules:
  - name: reads
    tools: ["*"]
    effect: allow
  - name: writes
    tools: ["*"]
    effect: ask
    ask: {thresholds: [{approve: 1}], expires: %s}
"""

ENDINGS = {
    "list": "the tools, and no write among them that looks like a read",
    "read": "an allowed read runs at once",
    "approved": "held, approved, executed once, the result delivered",
    "rejected": "the reason arrives as text",
    "rejected_schema": "the same from a tool with an output schema",
    "expired": "nobody decided in time",
    "cancelled": "the client gives up, the approval with it",
    "left": "answered 'pending' after N seconds; approval_wait collects it",
    "left_at_50s": "the same at the default of 50 s, before the client's own limit of 60 s",
    "left_repeats": "the same; the call is repeated",
    "gone": "killed while it waits; a new client repeats the call",
    "restarted": "every worker is killed while it waits; nothing is lost or done twice",
}


def text_of(result):
    return "\n".join(b["text"] for b in result.get("content", []) if b["type"] == "text")


def id_in(text):
    found = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text)
    assert found, "no approval id in %r" % text
    return found.group(0)


def executed_once(org, approval, name):
    assert org.read(name) == "new\n"
    org.wait_state(approval, "succeeded")
    wait_for("delivery", lambda: org.row(approval)["delivered_at"])
    kinds = org.kinds(approval)
    assert kinds.count("approval.dispatched") == 1, kinds


def refused(org, call, approval, word, reason=None, has_schema=True):
    """The answer says so, as text, and nothing was executed."""
    result = call.wait(100)
    said = text_of(result)
    assert result.get("isError") is True, result
    assert word in said and approval in said and said.startswith("Not executed"), said
    assert reason is None or reason in said, said
    kept = result.get("structuredContent")
    if has_schema:
        assert kept is None, kept
    else:
        assert kept["approvalId"] == approval and kept["executed"] is False, kept
    assert org.row(approval)["dispatch_number"] is None
    wait_for("delivery", lambda: org.row(approval)["delivered_at"])


class Lane:
    """One variant: an organization of its own, and a client."""

    ENDINGS = ("list", "read", "approved", "rejected", "rejected_schema", "cancelled", "left",
               "left_repeats", "gone")

    def __init__(self, variant, rt):
        self.variant, self.rt = variant, rt
        self.org = Org(rt, policy=POLICY % "4h")
        self.short = self.org.add_credential(hold="2s")[1]

    def open(self, credential=None):
        return open_client(self.variant, self.rt, credential or self.org.credential)

    def put(self, name, text="new\n"):
        return {"name": "files__write", "arguments": {"path": name, "content": text}}

    # ---- the endings; each is told the client that the lane keeps open
    def list(self, client):
        if client.version:
            assert client.version == self.variant.version, client.version
        tools = {t["name"]: t for t in client.do("list")["tools"]}
        assert {"files__read", "files__write", "approval_wait", "approval_status"} <= set(tools)
        assert tools["files__read"]["annotations"]["readOnlyHint"] is True
        for name in ("files__write", "files__delete", "approval_wait"):
            assert tools[name]["annotations"]["readOnlyHint"] is False, tools[name]

    def read(self, client):
        self.org.write("seen.txt", "what it says\n")
        result = client.do("call", name="files__read", arguments={"path": "seen.txt"})
        assert not result.get("isError") and "what it says" in text_of(result), result

    def approved(self, client):
        call = client.start("call", progress=True, **self.put("approved.txt"))
        approval = self.org.wait_pending(timeout=30)
        assert "approved.txt" not in self.org.files() and not call.is_done()
        self.org.ann.approve(approval)
        result = call.wait()
        assert not result.get("isError"), result
        executed_once(self.org, approval, "approved.txt")

    def rejected(self, client):
        self.org.write("stays.txt", "old\n")
        call = client.start("call", name="files__move",
                            arguments={"from": "stays.txt", "to": "moved.txt"})
        approval = self.org.wait_pending(timeout=30)
        self.org.ann.reject(approval, "wrong folder, ask olga")
        refused(self.org, call, approval, "rejected", "wrong folder, ask olga", has_schema=False)
        assert "moved.txt" not in self.org.files()

    def rejected_schema(self, client):
        call = client.start("call", **self.put("rejected.txt"))
        approval = self.org.wait_pending(timeout=30)
        self.org.ann.reject(approval, "not this file")
        refused(self.org, call, approval, "rejected", "not this file")
        assert "rejected.txt" not in self.org.files()

    def cancelled(self, _):
        client = self.open()
        call = client.start("call", **self.put("cancelled.txt"))
        approval = self.org.wait_pending(timeout=30)
        call.cancel()
        if self.variant.name in NOT_TOLD:
            client.kill()
            assert self.org.state(approval) == "pending"
            self.org.olga.cancel(approval)
        self.org.wait_state(approval, "cancelled", timeout=30)
        try:
            result = call.wait(10)
            assert self.variant.tasks and result.get("isError"), result
        except ClientError:
            pass
        try:
            self.org.ann.approve(approval)
            raise AssertionError("a cancelled approval was approved")
        except RestError as e:
            assert e.status == 409, e
        client.kill()
        assert "cancelled.txt" not in self.org.files()

    def ticket(self, client, name):
        """Lets the hold run out; the approval's id."""
        result = client.do("call", **self.put(name))
        said = text_of(result)
        assert result.get("isError") is True and "still pending" in said, result
        approval = id_in(said)
        assert self.org.state(approval) == "pending"
        return approval

    def left(self, _):
        client = self.open(self.short)
        approval = self.ticket(client, "left.txt")
        self.org.ann.approve(approval)
        assert self.org.state(approval) == "approved" and "left.txt" not in self.org.files()
        result = client.do("call", name="approval_wait", arguments={"approval_id": approval})
        assert not result.get("isError"), result
        executed_once(self.org, approval, "left.txt")
        client.close()

    def left_repeats(self, _):
        client = self.open(self.short)
        approval = self.ticket(client, "repeated.txt")
        client.close()
        self.org.ann.approve(approval)
        client = self.open(self.short)
        result = client.do("call", **self.put("repeated.txt"))
        assert not result.get("isError"), result
        executed_once(self.org, approval, "repeated.txt")
        client.close()

    def gone(self, _):
        client = self.open()
        client.start("call", **self.put("gone.txt"))
        approval = self.org.wait_pending(timeout=30)
        client.kill()
        wait_for("the caller to be missed", lambda: self.org.row(approval)["wait_mode"] == "left")
        self.org.ann.approve(approval)
        client = self.open()
        result = client.do("call", **self.put("gone.txt"))
        assert not result.get("isError"), result
        executed_once(self.org, approval, "gone.txt")
        assert len([r for r in self.org.rows() if r["approval_id"] == approval]) == 1
        client.close()


class TaskLane(Lane):
    """A client that keeps the task's name: it leaves, and collects the task later."""

    ENDINGS = ("list", "read", "approved", "rejected", "rejected_schema", "left", "cancelled")

    def left(self, client):
        client.start("call", **self.put("left.txt"))
        approval = self.org.wait_pending(timeout=30)
        task = self.org.row(approval)["task_id"]
        client.kill()
        client.connect("second")
        assert client.do("get", task=task)["task"]["status"] == "working"
        self.org.ann.approve(approval)
        self.org.wait_state(approval, "succeeded")  # nobody has to be there
        assert client.do("get", task=task)["task"]["status"] == "completed"
        result = client.do("result", task=task)
        assert not result.get("isError"), result
        executed_once(self.org, approval, "left.txt")

    def cancelled(self, client):
        call = client.start("call", **self.put("cancelled.txt"))
        approval = self.org.wait_pending(timeout=30)
        task = self.org.row(approval)["task_id"]
        client.connect("third")
        assert client.do("cancel", task=task)["cancelled"] is True
        self.org.wait_state(approval, "cancelled")
        try:
            call.wait()
            raise AssertionError("a cancelled task was answered")
        except ClientError as e:
            assert "cancelled" in e.message, e
        assert "cancelled.txt" not in self.org.files()


# These tell the server nothing when they are interrupted, and a broken legacy stream or task is no
# cancellation: the agent's owner cancels.
NOT_TOLD = {"inspector-http-legacy", "inspector-http-modern", "inspector-stdio-legacy",
            "inspector-stdio-modern"}
# These give up a call after 60 s, whatever they are told.
SIXTY = {"inspector-http-legacy", "inspector-stdio-legacy"}
# One of each kind goes through a hold of the default length.
DEFAULTS = {"sdk1-ws-legacy", "sdk1-http-legacy", "sdk1-stdio-legacy", "sdk2-http-auto",
            "python-http-auto", "inspector-http-legacy"}


class Results:
    def __init__(self):
        self.lock = threading.Lock()
        self.of = {}

    def run(self, variant, ending, fn, rt=None):
        from_ = time.monotonic()
        words, verdict = "", "ok"
        try:
            fn()
        except Exception:
            verdict, words = "FAIL", traceback.format_exc()
        with self.lock:
            self.of[variant.name, ending] = verdict
            sys.stdout.write(words)
            print("%-4s %s.%s (%.1f s)" % (verdict, variant.name, ending,
                                           time.monotonic() - from_), flush=True)
        return verdict == "ok"


def in_parallel(jobs, items, fn):
    todo = queue.Queue()
    for item in items:
        todo.put(item)

    def work():
        while True:
            try:
                item = todo.get_nowait()
            except queue.Empty:
                return
            fn(item)
    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


class Slow:
    """What takes a minute, begun first and collected last, while the others go on. One organization
    for all variants, an agent for each; calls are told apart by the file that they write."""

    def __init__(self, rt):
        self.rt = rt
        self.short = Org(rt, policy=POLICY % "1m")  # the least that a policy can say
        self.long = Org(rt, policy=POLICY % "4h")
        self.calls = {}

    def start(self, variant, org, hold, **more):
        agent = variant.name
        org.add_agent(agent)
        client = open_client(variant, self.rt, org.add_credential(agent=agent, hold=hold)[1])
        call = client.start("call", name="files__write",
                            arguments={"path": variant.name, "content": "new\n"}, **more)

        def mine():
            return [a["id"] for a in org.approvals("pending") if a["agent"] == agent]
        approval = wait_for("the call to be held", mine, 30)[0]
        self.calls[variant.name, org] = client, call, approval, time.monotonic()

    def start_expired(self, variant):
        # The Inspector waits for 60 s and not longer; so its call is answered before.
        hold = "30s" if variant.name in SIXTY else "100s"
        self.start(variant, self.short, hold, timeout_ms=110000, progress=True)

    def expired(self, lane):
        client, call, approval, _ = self.calls[lane.variant.name, self.short]
        self.short.wait_state(approval, "expired", timeout=90)
        if lane.variant.name in SIXTY:
            assert "still pending" in text_of(call.wait())
            call = client.start("call", name="approval_wait", arguments={"approval_id": approval})
        refused(self.short, call, approval, "expired")
        client.close()
        assert lane.variant.name not in self.short.files()

    def start_at_50s(self, variant):
        """Nothing is set: the credential's 50 s, the client's own time limit of 60 s or none."""
        self.start(variant, self.long, None)

    def left_at_50s(self, lane):
        client, call, approval, from_ = self.calls[lane.variant.name, self.long]
        result = call.wait(60)
        assert "still pending" in text_of(result), result
        assert call.ended - from_ > 45, call.ended - from_
        self.long.ann.approve(approval)
        result = client.do("call", name="approval_wait", arguments={"approval_id": approval})
        assert not result.get("isError"), result
        executed_once(self.long, approval, lane.variant.name)
        client.close()


def lane_row(lanes, name, approval):
    return next(lane for lane in lanes if lane.variant.name == name).org.row(approval)


def is_old(lane, approval):
    return lane.rt.sql("SELECT settled_at < now() - interval '6 seconds' AS is_old FROM approval "
                       "WHERE approval_id = %s", approval)[0]["is_old"]


def restarted(results, rt, lanes):
    """All variants wait at once; then every worker is killed, once."""
    waiting = {}

    def begin(lane):
        client = lane.open()
        call = client.start("call", **lane.put("restarted.txt"))
        waiting[lane.variant.name] = client, call, lane.org.wait_pending(timeout=30)
    in_parallel(JOBS, lanes, lambda lane: results.run(lane.variant, "(held)", lambda: begin(lane)))
    before = {name: lane_row(lanes, name, held[2])["holder"] for name, held in waiting.items()}
    since, workers = rt.log_size(), rt.workers()
    for pid in workers:
        rt.kill_worker(pid, wait=False)
    wait_for("new workers", lambda: rt.log(since).count(" worker_ready ") == len(workers), 30)
    for name, held in waiting.items():
        wait_for("the caller of %s to be missed" % name, lambda: before[name] is None or
                 lane_row(lanes, name, held[2])["holder"] != before[name], 15)
    for lane in lanes:
        if lane.variant.name in waiting:
            lane.org.ann.approve(waiting[lane.variant.name][2])

    def collect(lane):
        client, call, approval = waiting[lane.variant.name]
        try:
            # Legacy HTTP clients come back to the stream; Inspector polls its task.
            result = call.wait(2 if lane.variant.is_modern and not lane.variant.tasks else 20)
        except (ClientError, AssertionError):
            client.kill()
            if lane.variant.tasks:  # run meanwhile; nobody comes for it any more, says its age
                wait_for("it to be missed", lambda: is_old(lane, approval), 15)
            client = lane.open()
            result = client.do("call", **lane.put("restarted.txt"))
        assert not result.get("isError"), (result, lane.org.kinds(approval))
        executed_once(lane.org, approval, "restarted.txt")
        client.close()
    # All at once: modern callers are waited for as long as leave_grace only.
    in_parallel(len(lanes), [lane for lane in lanes if lane.variant.name in waiting],
                lambda lane: results.run(lane.variant, "restarted", lambda: collect(lane)))


def one_lane(results, lane):
    client = None

    def connect():
        nonlocal client
        client = lane.open()
    if not results.run(lane.variant, "connect", connect):
        return
    for ending in lane.ENDINGS:
        if lane.variant.client == "inspector" and lane.variant.tasks and \
                ending in ("left", "left_repeats", "gone"):
            continue  # a task has no caller who could leave: TaskLane
        results.run(lane.variant, ending, lambda: getattr(lane, ending)(client))
    results.run(lane.variant, "close", client.close)
    results.run(lane.variant, "audit", lambda: check_audit(lane.org))


def tables(results, lanes):
    names = [e for e in ENDINGS]
    print("\n%-24s %s" % ("client-transport-era", " ".join("%-9.9s" % n for n in names)))
    for lane in lanes:
        cells = [results.of.get((lane.variant.name, n), "-") for n in names]
        print("%-24s %s" % (lane.variant.name, " ".join("%-9s" % c for c in cells)))
    six = ("approved", "rejected", "expired", "cancelled", "gone", "restarted")
    print("\n%-24s %s" % ("transport", " ".join("%-9s" % n for n in six)))
    for transport in ("ws", "http", "stdio"):
        cells = []
        for n in six:
            said = [results.of.get((lane.variant.name, n)) for lane in lanes
                    if lane.variant.transport == transport]
            said = [s for s in said if s]
            cells.append("%d of %d" % (said.count("ok"), len(said)))
        print("%-24s %s" % (transport, " ".join("%-9s" % c for c in cells)))


def main():
    chosen = [v for v in VARIANTS if not sys.argv[1:] or v.name in sys.argv[1:]]
    if not chosen:
        sys.exit("run.py: there is no such variant; they are: %s"
                 % " ".join(v.name for v in VARIANTS))
    results = Results()
    rt = Runtime(leave_grace="15s", progress_time="1s")
    lanes = []
    try:
        slow = Slow(rt)
        lanes = [(TaskLane if v.client == "mcpdo" else Lane)(v, rt) for v in chosen]
        held = [lane for lane in lanes if not isinstance(lane, TaskLane)]

        def begin(lane):
            results.run(lane.variant, "(waits)", lambda: slow.start_expired(lane.variant))
            if lane.variant.name in DEFAULTS:
                results.run(lane.variant, "(waits 50 s)", lambda: slow.start_at_50s(lane.variant))
        in_parallel(JOBS, held, begin)
        in_parallel(JOBS, lanes, lambda lane: one_lane(results, lane))
        for lane in held:
            results.run(lane.variant, "expired", lambda: slow.expired(lane))
            if lane.variant.name in DEFAULTS:
                results.run(lane.variant, "left_at_50s", lambda: slow.left_at_50s(lane))
        rt.configure(leave_grace="60s", progress_time="1s")  # all come back at once
        restarted(results, rt, held)
        if "FAIL" in results.of.values():
            print("---- the runtime's log\n" + rt.log())
        tables(results, lanes)
    finally:
        rt.remove()
    counts = [sum(1 for v in results.of.values() if v == word) for word in ("ok", "FAIL", "skip")]
    print("%d passed, %d failed, %d skipped" % tuple(counts))
    return 1 if counts[1] or not counts[0] else 0


if __name__ == "__main__":
    sys.exit(main())
