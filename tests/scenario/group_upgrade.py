"""From an older program (FL_OLD) to this one and back, two workers, rows in every state and calls
coming in all the time: none is lost, none runs twice."""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading

from cases import case
from group_restore import APPEND, KEY, Place, Work, open_states, server_connection
from harness import BUILD, LONG, Org, check_audit, wait_for
from mcp_client import Gone, McpError, McpWs
from test_database import OwnServer
from test_states import STATES

NEW = BUILD + "/flopinio"
OLD = os.environ.get("FL_OLD", NEW)
HOW_MANY = 200 if LONG else 80


class Installed(Place):
    """Runs from a copy of the program, as installed ones do, which is replaced."""
    is_ours = False

    def __init__(self, program, **settings):
        super().__init__(start=False, workers=2, **settings)
        if "FL_PLUGIN" in os.environ:  # one that the older program can load too
            shutil.copy(os.environ["FL_PLUGIN"], self.plugins + "/scenario.so")
        self.program = self.base + "/flopinio"
        self.install(program)

    def install(self, program):
        shutil.copy(program, self.program + ".new")
        os.rename(self.program + ".new", self.program)
        self.inode = os.stat(self.program).st_ino

    def command(self):
        return [self.program] + super().command()[1:]

    def roll_to(self, program):
        """By SIGUSR2; every worker is another one then, and what lies on disk."""
        old = self.workers()
        self.install(program)
        since = self.log_size()
        self.process.send_signal(signal.SIGUSR2)
        wait_for("the replacement", lambda: "workers_replaced" in self.log(since) or
                 "workers_not_replaced" in self.log(since), 60)
        assert "workers_not_replaced" not in self.log(since), self.log(since)
        wait_for("the old workers to end", lambda: not set(old) & set(self.workers()), 30)
        for pid in self.workers():
            assert os.stat("/proc/%d/exe" % pid).st_ino == self.inode, "a worker of another program"


class Traffic:
    """An agent that calls, a person who approves, from the beginning to the end."""

    def __init__(self, rt):
        self.rt = rt
        self.org = Org(rt, files=False, scenario=True, own_people=True)
        self.asked, self.is_over, self.approves, self.trouble = 0, False, True, None
        self.threads = [threading.Thread(target=self.guarded, args=(f,), daemon=True)
                        for f in (self.ask, self.approve)]
        for t in self.threads:
            t.start()

    def guarded(self, work):
        try:
            work()
        except BaseException as e:
            self.trouble = self.trouble or e

    def ask(self):
        """The same call again, by its key, until it has an answer."""
        agent = None
        while not self.is_over:
            line = "t%d" % self.asked
            while True:
                try:
                    agent = agent or McpWs(self.rt, self.org.credential)
                    answer = agent.call(APPEND, {"line": line}, meta={KEY: line}, timeout=20)
                    if not answer.get("isError"):
                        break
                    assert "pending" in str(answer), answer
                except (Gone, OSError, McpError):
                    with contextlib.suppress(Exception):
                        agent.drop()
                    agent = None
            self.asked += 1
        agent.close()

    def approve(self):
        while self.approves:
            for row in self.org.rows():
                if row["state"] == "pending":
                    with contextlib.suppress(Exception):  # refused meanwhile: looks again
                        self.org.ann.approve(row["approval_id"])

    def end(self):
        """How many calls it were; each ran once."""
        before = self.asked
        wait_for("three more calls", lambda: self.trouble or self.asked >= before + 3, 40)
        self.is_over = True
        self.threads[0].join(30)
        self.approves = False
        self.threads[1].join(10)
        if self.trouble:
            raise self.trouble
        effects = self.org.effects()
        assert sorted(effects) == sorted("t%d" % i for i in range(self.asked)), (
            len(effects), len(set(effects)), self.asked)
        return self.asked


def old_flopinio(*words, **env):
    """A command of the older program."""
    full = {k: v for k, v in os.environ.items() if not k.startswith("FLOPINIO_")}
    return subprocess.run([OLD] + list(words), env=dict(full, **env), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=90)


def ended(rt):
    """An organization with an approval in each state that a day's work (Work) does not come to."""
    org = Org(rt, files=False, scenario=True, own_people=True)

    def asked(tool=APPEND):
        with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
            agent.call(tool, {"line": tool})
        return org.wait_pending()

    def collected(approval, state):
        with McpWs(rt, org.credential) as agent:
            agent.call("approval_wait", {"approval_id": approval})
        org.wait_state(approval, state)
    org.olga.cancel(asked())
    expired = asked()
    rt.sql("UPDATE approval SET expires_at = now() WHERE approval_id = %s", expired)
    org.wait_state(expired, "expired")
    for tool, state in (("s__fail", "failed"), ("s__crash", "unknown")):
        approval = asked(tool)
        org.ann.approve(approval)
        collected(approval, state)
    voided = asked()
    org.bob.approve(voided)
    org.control("PATCH", "/people/" + org.bob.name, {"role": "member"})
    collected(voided, "voided")
    return org


def rows_of(orgs):
    return {r["approval_id"]: r for org in orgs for r in org.rows()}


def nothing_lost(orgs, known):
    """Ids and what they bind are what they were; what waits still waits, what is over is as it was."""
    now = rows_of(orgs)
    assert set(now) == set(known), "rows came or went"
    for approval, row in known.items():
        assert now[approval]["binding_digest"] == row["binding_digest"]
        if row["state"] not in ("claimed", "dispatched"):
            assert now[approval]["state"] == row["state"], (row["state"], now[approval]["state"])


def still_ended(ends, known):
    """What had ended is still so, and did nothing more."""
    now = rows_of([ends])
    assert all(now[i]["state"] == known[i]["state"] for i in now), now
    assert len(now) == 5 and ends.effects() == ["crash"], ends.effects()
    check_audit(ends)


# ---------------------------------------------------------------- the cases
@case(limit=150)
def workers_go_over_and_back_on_one_database(_rt):
    """The schema first, then the workers, as the operator's page says; then back, under the old
    supervisor and under the new one."""
    with OwnServer() as server:
        made = old_flopinio("migrate", "--roles", FLOPINIO_ADMIN_URL=server.url())
        assert made.returncode == 0, made
        app = re.search(r"^database_url: (\S+)$", made.stdout, re.M).group(1)
        owner = re.search(r"^FLOPINIO_OWNER_URL=(\S+)$", made.stdout, re.M).group(1)
        schema = server.sql("SELECT max(version) FROM schema_version")[0][0]
        rt = Installed(OLD, database_url=app)
        rt.connect = lambda role="super": server_connection(server)
        rt.start()
        work = Work(rt, HOW_MANY)
        work.before()
        orgs = [work.org, ended(rt)]
        known = rows_of(orgs)
        assert {r["state"] for r in known.values()} == set(STATES)
        traffic = Traffic(rt)
        rt.flopinio("migrate", FLOPINIO_OWNER_URL=owner, plain=True)
        newest = server.sql("SELECT max(version) FROM schema_version")[0][0]
        assert newest in (schema, schema + 1), (schema, newest)
        for program in (NEW, OLD, NEW):
            rt.roll_to(program)
            nothing_lost(orgs, known)
        assert rt.stop() == 0
        rt.start()
        nothing_lost(orgs, known)
        for program in (OLD, NEW):
            rt.roll_to(program)
            nothing_lost(orgs, known)
        for i in range(work.gated):  # cut off with the worker that was replaced
            work.org.wait_state(work.lines["a%d" % i], "unknown", timeout=30)
        work.since(restarted=True)
        still_ended(orgs[1], known)
        count = traffic.end()
        print("%d approvals, and %d calls meanwhile" % (HOW_MANY, count))
        Org.made = [o for o in Org.made if o.rt is not rt]
        rt.stop()
        rt.remove()


@case(limit=120)
def a_private_database_goes_up_and_not_down(_rt):
    """The newer program migrates at its start. The older one then works, or says what to do and
    changes nothing."""
    rt = Installed(OLD)
    rt.start()
    work = Work(rt, HOW_MANY, gated=0)
    work.before()
    orgs = [work.org, ended(rt)]
    known = rows_of(orgs)
    assert {r["state"] for r in known.values()} == set(STATES) - {"dispatched"}  # it is stopped
    schema = rt.sql("SELECT max(version) AS n FROM schema_version")[0]["n"]
    assert rt.stop() == 0
    rt.install(NEW)
    rt.start()
    newest = rt.sql("SELECT max(version) AS n FROM schema_version")[0]["n"]
    nothing_lost(orgs, known)
    states = open_states(rt)
    assert rt.stop() == 0
    rt.install(OLD)
    since = rt.log_size()
    rt.spawn()
    if newest == schema:
        wait_for("readiness", rt.is_ready, 60)
        rt.stop()
    else:
        assert rt.process.wait(60) == 1, "the older program serves a newer schema"
        rt.process = None
        assert "use the newer program" in rt.log(since), rt.log(since)
    rt.install(NEW)
    rt.start()
    assert open_states(rt) == states, (states, open_states(rt))
    nothing_lost(orgs, known)
    work.since(restarted=True)
    still_ended(orgs[1], known)
    # The canary: what is looked for is seen.
    for plant, words in (
            (lambda: nothing_lost(orgs, dict(known, lost=work.org.rows()[0])), "rows came or went"),
            (lambda: work.check(0), "a second effect of ['a3']")):
        with open(work.org.folder + "/effects.txt", "a") as f:
            f.write("a3\n")
        try:
            plant()
            raise RuntimeError("%s was not noticed" % words)
        except AssertionError as e:
            assert words in str(e), e
    Org.made = [o for o in Org.made if o.rt is not rt]
    rt.stop()
    rt.remove()
