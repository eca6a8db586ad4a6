"""What the crash tests do to a held call, and what must be true of it afterwards.

A Field is an installation of several nodes on one database: `calm`, which nobody kills, and lanes,
whose processes are killed in the middle of a call. A Call is one line that an agent wants appended,
of an agent that has no other call at the time; whatever happens, its agent asks again until it has
an answer, on whichever node. Field.verdict() then says what is wrong with any of them.
"""
import contextlib
import http.client
import itertools
import json
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg2

from harness import Org, RestError, audit_problem, is_alive, wait_for
from mcp_client import Gone, McpError, McpWs, text_of
from nodes import Node

APPEND = "s__append_line"
TIMES = dict(lease_time="1s", dispatch_time="1s", execute_time="1s", unknown_grace="200ms",
             sweep_time="200ms")
LEASE_S, WINDOW_S, SLACK_S = 1.0, 2.2, 2.0  # of TIMES
AGENTS = 24
BACK_S = 0.1  # until an agent that was cut off asks again


class Call:
    """plan: what people do if they are asked about it again after a death: approve, reject, leave."""

    def __init__(self, field, line, agent, is_keyed, plan):
        self.field, self.line, self.agent, self.plan = field, line, agent, plan
        self.meta = {"dev.flopinio/idempotencyKey": line} if is_keyed else None
        self.known = set(agent.known)   # the agent's approvals of before
        self.answers = []
        self.may_decide = threading.Event()
        self.may_decide.set()
        self.phase = None               # where it was when something was killed
        self.point = None               # the system call that was to be the last, as (name, number)
        self.struck_at = None           # when that was, where the database itself was killed
        self.is_left = False
        self.row = None
        self.ids = []

    def start(self, client):
        return client.call_start(APPEND, {"line": self.line}, self.meta)

    def rows(self):
        rows = self.field.sql("SELECT * FROM approval WHERE organization_id = %s AND agent_id = %s",
                              self.field.org.id, self.agent.id)
        return [r for r in rows if r["approval_id"] not in self.known]

    def look(self):
        rows = self.rows()
        self.row = rows[0] if rows else None
        return self.row

    def look_at_end(self):
        rows = self.field.sql("SELECT * FROM approval WHERE organization_id = %s AND approval_id = "
                              "ANY (%s::uuid[])", self.field.org.id, self.ids)
        self.row = rows[0] if rows else None
        return self.row

    def take(self, pending):
        """The answer, if one came. Errors are none, nor that it still waits (its worker was replaced
        by another, whole): the agent asks again."""
        said = pending.answer and pending.answer.get("result")
        if said and not text_of(said).startswith("Not executed yet"):
            self.answers.append(said)
        return bool(self.answers)


class Agent:
    def __init__(self, org, name):
        self.name = name
        self.credential = org.add_agent(name)[1]
        self.id = org.rt.sql("SELECT agent_id FROM agent WHERE organization_id = %s AND name = %s",
                             org.id, name)[0]["agent_id"]
        self.known = set()


class Field:
    def __init__(self, rt, lanes=2, program=None, url=None):
        self.rt = self.calm = rt
        self.org = Org(rt, files=False, scenario=True)
        self.agents, self.named = queue.Queue(), AGENTS
        for i in range(AGENTS):
            self.agents.put(Agent(self.org, "a%d" % i))
        self.lanes = [Node(rt, program, url, **TIMES) for _ in range(lanes)]
        for node in self.lanes:
            node.start()
        self.calls, self.problems, self.serial = [], [], 0
        self.lock = threading.Lock()
        self.local = threading.local()
        self.pool = ThreadPoolExecutor(8)
        self.finishing = []

    def end(self):
        self.pool.shutdown(wait=True)
        for node in self.lanes:
            node.stop()
            node.remove()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def sql(self, text, *args):
        """A connection for each thread; waits for a database that is away."""
        until = time.monotonic() + 60
        while True:
            try:
                if not getattr(self.local, "conn", None):
                    self.local.conn = self.rt.connect()
                with self.local.conn.cursor() as cur:
                    cur.execute(text, args)
                    names = [d.name for d in cur.description]
                    return [dict(zip(names, row)) for row in cur.fetchall()]
            except psycopg2.Error:
                with contextlib.suppress(Exception):
                    self.local.conn.close()
                self.local.conn = None
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def new_call(self):
        agent = self.agents.get(timeout=120)
        with self.lock:
            self.serial += 1
            n = self.serial
        call = Call(self, "line-%d" % n, agent, n % 2 == 0, ("approve", "approve", "reject", "leave",
                                                             "approve")[n % 5])
        self.calls.append(call)
        return call

    def problem(self, call, text):
        with self.lock:
            self.problems.append("%s (killed: %s, plan %s, keyed %s, agent %s, now %s): %s" % (
                call.line, call.phase, call.plan, bool(call.meta), call.agent.name,
                call.row and call.row["state"], text))

    def decide(self, call, verdict, node=None):
        """Whoever is asked may die: then somebody else is asked."""
        row = call.row
        body = {"verdict": verdict}
        if verdict == "approve":
            body["binding"] = bytes(row["binding_digest"]).hex()
        else:
            body["reason"] = "not today"
        for place in [node or self.calm, self.calm]:
            try:
                place.rest("POST", self.org.path("/approvals/%s/decision" % row["approval_id"]),
                           body, self.org.ann.token, timeout=5)
                return True
            except RestError as e:
                if e.status == 409:
                    return True
            except (OSError, http.client.HTTPException):  # its node died
                pass
        return False

    # ---- before the death
    def run(self, call, node, arm, decide_on=None, timeout=8):
        """One try on a node of which something is about to die. arm() is called when the agent is
        connected and the plugin runs, before the call."""
        with self.client(node, call, patience=20) as agent:
            arm()
            if not agent:
                return
            pending = call.start(agent)
            until = time.monotonic() + timeout
            is_decided = False
            while time.monotonic() < until and not pending.is_done():
                if not is_decided and call.look() and call.row["state"] == "pending" and \
                        call.may_decide.is_set():
                    is_decided = self.decide(call, "approve", decide_on)
                else:
                    time.sleep(0.004)
            self.extra(call, agent)
            call.take(pending)

    @contextlib.contextmanager
    def client(self, node, call, patience=0):
        """Connected, or None; patience: seconds to try until it has an answer from a tool."""
        agent, until = None, time.monotonic() + patience
        while not agent:
            with contextlib.suppress(Gone, McpError, OSError, TimeoutError):
                agent = McpWs(node, call.agent.credential)
                if patience:
                    agent.call("s__look", {"line": ""}, timeout=patience)
                break
            if agent:
                agent.drop()
                agent = None
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        try:
            yield agent
        finally:
            if agent:
                agent.drop()

    def extra(self, call, agent):
        """A second answer to a request would be among what nobody waited for."""
        for note in agent.notes:
            if "result" in note or "error" in note:
                self.problem(call, "an answer too many: %r" % note)

    def note_phase(self, call):
        """Where it was when the process died."""
        row = call.look()
        call.phase = row["state"] if row else "nothing recorded"
        if call.phase == "dispatched":
            call.phase += " and done" if call.line in self.effects() else ", not done"
        elif row and row["delivered_at"]:
            call.phase += ", delivered"

    def note_phases_by_audit(self):
        """The same for a database that was killed: what it had recorded at the time."""
        for call in self.calls:
            if call.struck_at and call.ids:
                last = self.sql(
                    "SELECT kind FROM audit_event WHERE organization_id = %s AND subject_id = %s AND "
                    "kind LIKE 'approval.%%' AND recorded_at <= to_timestamp(%s) ORDER BY "
                    "recorded_at DESC, event_id DESC LIMIT 1", self.org.id, call.ids[0],
                    call.struck_at)
                call.phase = last[0]["kind"].split(".")[1] if last else "nothing recorded"

    # ---- after it
    def finish_later(self, call):
        self.finishing.append(self.pool.submit(self.finish, call))

    def wait_for_the_news(self):
        """Who is back before the database has seen a worker's connections end is taken for a second
        caller (docs/reliability.md); on a busy machine that takes longer than a moment."""
        time.sleep(BACK_S)
        until = time.monotonic() + 10
        while time.monotonic() < until and not all(is_alive(w["pid"]) for w in self.sql(
                "SELECT w.pid FROM worker w JOIN pg_stat_activity s ON s.application_name = "
                "'flopinio-' || w.id")):
            time.sleep(0.02)

    def finish(self, call, timeout=60):
        """The agent asks again until it has an answer; people decide if they are asked."""
        self.wait_for_the_news()
        until = time.monotonic() + timeout
        places = itertools.cycle([self.calm, self.calm, self.lanes[0], self.calm, self.lanes[-1]])
        for _ in range(len(call.known) % 5):
            next(places)
        while time.monotonic() < until and not call.answers and not call.is_left:
            self.ask_again(call, next(places), until)
        if not call.answers and not call.is_left:
            call.look()
            self.problem(call, "no answer within %s s" % timeout)
        self.release(call)

    def ask_again(self, call, node, until):
        with self.client(node, call) as agent:
            if not agent:
                time.sleep(0.1)
                return
            pending = call.start(agent)
            while time.monotonic() < until and not pending.is_done():
                if call.look() and call.row["state"] == "pending":
                    if call.plan == "leave":
                        call.is_left = True
                        return
                    self.decide(call, call.plan, node)
                time.sleep(0.02)
            self.extra(call, agent)
            if not call.take(pending):
                time.sleep(0.1)

    def new_agent(self):
        """None: just now the database is being killed once more."""
        with self.lock:
            self.named += 1
            name = "a%d" % self.named
        with contextlib.suppress(RestError, OSError, http.client.HTTPException, psycopg2.Error):
            return Agent(self.org, name)

    def release(self, call):
        """Its agent may have another call now; that of one that waits on may not."""
        rows = call.rows()
        if len(rows) != 1:
            self.problem(call, "%d approvals: %s" % (len(rows), [r["state"] for r in rows]))
        call.ids = [r["approval_id"] for r in rows]
        if call.is_left:
            self.agents.put(wait_for("another one in its place", self.new_agent, 60, 0.2))
            return
        call.agent.known.update(call.ids)
        self.agents.put(call.agent)

    # ---- what must be true
    def effects(self):
        return self.org.effects()

    def verdict(self, times=True):
        """What is wrong, as sentences."""
        for future in self.finishing:
            future.result()
        self.finish_left()
        self.check_ends()
        self.check_decisions()
        self.check_audit()
        return self.problems + (self.check_times() if times else [])

    def finish_left(self):
        """Approvals that people did not look at while everything died: still there, and they run."""
        left = [c for c in self.calls if c.is_left]
        for call in left:
            row = call.look()
            if not row or row["state"] != "pending" or call.line in self.effects():
                self.problem(call, "it was left waiting, and does not wait")
            call.is_left, call.plan = False, "approve"
        for future in [self.pool.submit(self.finish, c) for c in left]:
            future.result()

    def check_ends(self):
        wait_for("outcomes", lambda: not self.sql(
            "SELECT 1 FROM approval WHERE organization_id = %s AND state IN ('claimed', "
            "'dispatched') LIMIT 1", self.org.id), 15)
        effects = self.effects()
        for call in self.calls:
            row, count = call.look_at_end(), effects.count(call.line)
            said = [text_of(a) for a in call.answers]
            if count > 1:
                self.problem(call, "%d effects" % count)
            if len(said) != 1:
                self.problem(call, "%d answers" % len(said))
                continue
            if not row:
                self.problem(call, "its approval is lost")
                continue
            fits = {"succeeded": count == 1 and said[0] == "appended",
                    "unknown": "Outcome unknown" in said[0],
                    "failed": count == 0 and "not sent" in said[0],
                    "rejected": count == 0 and "not today" in said[0]}
            if not fits.get(row["state"]):
                self.problem(call, "%d effects, the agent heard %r, recorded %r" % (
                    count, said[0][:200], row["outcome"]))
        extra = set(effects) - {c.line for c in self.calls}
        if extra:
            self.problems.append("effects of nobody: %s" % extra)

    def check_decisions(self):
        """Whatever was sent was approved before, by a vote."""
        for row in self.sql(
                "SELECT a.approval_id, (SELECT count(*) FROM vote v WHERE v.organization_id = "
                "a.organization_id AND v.approval_id = a.approval_id AND verdict = 'approve' AND "
                "voted_at <= a.dispatched_at) AS votes, array_agg(e.kind ORDER BY e.recorded_at, "
                "e.event_id) AS kinds FROM approval a JOIN audit_event e ON e.organization_id = a.organization_id AND e.subject_id = "
                "a.approval_id WHERE a.organization_id = %s AND a.dispatched_at IS NOT NULL "
                "GROUP BY a.organization_id, 1", self.org.id):
            kinds = row["kinds"]
            if not row["votes"] or "approval.approved" not in kinds or \
                    kinds.index("approval.approved") > kinds.index("approval.dispatched"):
                self.problems.append("sent without a decision: %s" % row)

    def check_audit(self):
        for row in self.sql(
                "SELECT a.approval_id, a.state, array_remove(array_agg(e.leaf ORDER BY "
                "e.recorded_at, e.event_id), NULL) AS leaves FROM approval a LEFT JOIN audit_event "
                "e ON e.organization_id = a.organization_id AND e.subject_id = a.approval_id AND "
                "e.kind LIKE 'approval.%%' WHERE a.organization_id = %s GROUP BY 1, 2", self.org.id):
            problem = audit_problem(row, [json.loads(bytes(leaf)) for leaf in row["leaves"]])
            if problem:
                self.problems.append(problem)

    def check_times(self):
        """Claimed comes back within the lease + 2 s, dispatched is unknown within its window + 2 s."""
        released = self.sql(
            "SELECT r.subject_id AS id, extract(epoch FROM r.recorded_at - (SELECT max(c.recorded_at)"
            " FROM audit_event c WHERE c.organization_id = r.organization_id AND c.subject_id = "
            "r.subject_id AND c.kind = 'approval.claimed' AND c.recorded_at <= r.recorded_at))::float"
            " AS s FROM audit_event r WHERE r.organization_id = %s AND r.kind = "
            "'approval.released'", self.org.id)
        unknown = self.sql(
            "SELECT a.approval_id AS id, extract(epoch FROM e.recorded_at - a.dispatched_at)::float "
            "AS s FROM approval a JOIN audit_event e ON e.organization_id = a.organization_id AND "
            "e.subject_id = a.approval_id AND e.kind = 'approval.unknown' WHERE "
            "a.organization_id = %s", self.org.id)
        late, met = [], " ".join(self.phases())
        for what, rows, limit in (("claimed and released", released, LEASE_S + SLACK_S),
                                  ("dispatched and unknown", unknown, WINDOW_S + SLACK_S)):
            seconds = sorted(r["s"] for r in rows)
            if what.split()[0] in met and not rows:
                late.append("the audit shows none that was " + what)
            print("    %-24s %4d times, after at most %.1f s (limit %.1f s)" % (
                what, len(rows), seconds[-1] if seconds else 0, limit))
            late += ["%s after %.1f s: approval %s" % (what, r["s"], r["id"])
                     for r in rows if r["s"] > limit]
        return late

    def phases(self):
        counts = {}
        for call in self.calls:
            counts[call.phase or "not killed"] = counts.get(call.phase or "not killed", 0) + 1
        return counts
