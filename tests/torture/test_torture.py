"""One worker of the real program, in the sanitizer build, while some allocation, statement or send of
its fails: it goes on, every request has one answer (or its connection ends), every change of state
has its audit row, nothing runs undecided or twice, and the next call works."""
import contextlib
import http.client
import os
import random
import time

import fault
from cases import case
from harness import LONG, Org, RestError, check_audit, wait_for
from house import code_of
from mcp_client import TASKS, Gone, McpError, McpHttp, McpStdio, McpWs, text_of

SEED = int(os.environ.get("FL_SEED", "7"))
POINTS = int(os.environ.get("FL_POINTS", "25"))  # of each kind; all of them with --long
LIMIT = 3600 if LONG else 180
SETTINGS = dict(workers=1, lease_time="1s", dispatch_time="1s", execute_time="3s",
                unknown_grace="200ms")
LINE_S = 30  # for an answer; the workers' own patience with the database is 8 s
OVER = ("rejected", "expired", "cancelled", "voided", "succeeded", "failed", "unknown")


def states(org):
    return [r["state"] for r in org.rows()]


@contextlib.contextmanager
def not_now():
    """Somebody else was faster, or it is asked for again."""
    try:
        yield
    except RestError as e:
        assert e.status in (409, 500, 503), e


class Life:
    """Some clients of each kind, and what they asked; people who decide each call that waits."""

    def __init__(self, org, tag):
        self.org, self.rt, self.tag = org, org.rt, tag
        self.clients, self.asked, self.refused = [], [], 0
        self.verdicts = {}

    def open(self, stack, connect):
        try:
            client = connect()
        except TimeoutError:
            raise AssertionError("no answer to a connection's beginning")
        except (OSError, Gone, McpError):
            self.refused += 1
            return
        self.clients.append(client)
        stack.callback(self.close, client)

    @staticmethod
    def close(client):
        with contextlib.suppress(OSError, Gone, McpError):
            client.close()

    def ask(self, client, tool, line):
        try:
            pending = client.call_start(tool, {"line": line})
            pending.what = "%s %s of %s" % (tool, line, type(client).__name__)
            self.asked.append(pending)
        except TimeoutError:
            raise
        except (OSError, Gone):
            self.refused += 1

    def decide(self):
        """Each call that waits, in turn: approved, rejected, approved, cancelled."""
        for row in self.rt.sql("SELECT approval_id FROM approval WHERE organization_id = %s AND "
                               "state = 'pending' ORDER BY created_at", self.org.id):
            approval = row["approval_id"]
            turn = self.verdicts.setdefault(approval, len(self.verdicts) % 4)
            with contextlib.suppress(OSError), not_now():
                if turn % 2 == 0:
                    self.org.ann.approve(approval)
                elif turn == 1:
                    self.org.ann.reject(approval, "not today")
                else:
                    self.org.olga.cancel(approval)

    def answers(self):
        """Waits for all of them: an answer, an error, or the end of its connection."""
        until = time.monotonic() + LINE_S
        while not all(p.is_done() for p in self.asked) or self.pending():
            assert time.monotonic() < until, "no answer to %s; %s" % (
                [p.what for p in self.asked if not p.is_done()], states(self.org))
            self.decide()
            time.sleep(0.02)
        tasks = []
        for pending in self.asked:
            with contextlib.suppress(Gone, McpError):
                tasks += [pending.wait(0).get("taskId")]
        return [t for t in tasks if t]

    def pending(self):
        return [r for r in self.org.rows() if r["state"] == "pending"]

    def follow(self, client, task):
        """A task's end, as far as the client hears of it."""
        until = time.monotonic() + LINE_S
        while time.monotonic() < until:
            with contextlib.suppress(Gone, McpError):
                if client.request("tasks/get", {"taskId": task})["status"] not in ("working",
                                                                                   "input_required"):
                    return
            time.sleep(0.02)
        raise AssertionError("the task has no end: %s" % states(self.org))

    def run(self):
        with contextlib.ExitStack() as stack:
            secret = self.org.credential
            for connect in (lambda: McpWs(self.rt, secret), lambda: McpStdio(self.rt, secret),
                            lambda: McpHttp(self.rt, secret),
                            lambda: McpHttp(self.rt, secret, modern=True, caps=TASKS)):
                self.open(stack, connect)
            for i, client in enumerate(self.clients):
                self.ask(client, "s__look", "look")
                self.ask(client, "s__append_line", "line.%s.%d." % (self.tag, i))
            tasks = self.answers()
            for client in self.clients:
                if isinstance(client, McpHttp) and client.modern:
                    for task in tasks:
                        self.follow(client, task)
        for client in self.clients:
            for note in getattr(client, "notes", []):
                assert "id" not in note or "method" in note, "answered without a question: %s" % note
        assert not any(p.is_answered_twice for p in self.asked), "answered twice"


_cards = {}


def card(org, approval):
    """The text of its card, with the line in it (which stands in no other one)."""
    def look():
        with contextlib.suppress(OSError), not_now():
            return org.ann.rest("GET", org.path("/approvals/" + approval))["card"]["text"]
    if approval not in _cards:
        _cards[approval] = wait_for("a card", look, 20, 0.1)
        assert "line." in _cards[approval], _cards[approval]
    return _cards[approval]


def check(org):
    """What must be true whatever failed."""
    def is_over():
        rows = org.rows()
        return all(r["state"] in OVER + ("approved",) for r in rows) and rows
    rows = wait_for("every call to be over", is_over, 30)
    check_audit(org)
    effects = org.effects()
    assert len(set(effects)) == len(effects), "twice: %s" % effects
    sent = [r for r in rows if org.audit(r["approval_id"], "approval.dispatched")]
    assert len(effects) <= len(sent), "undecided effects: %s" % effects
    for row in rows:
        if row not in sent:
            shown = card(org, row["approval_id"])
            done = [line for line in effects if line in shown]
            assert not done, "undecided: %s" % done
    done = [r for r in rows if r["state"] == "succeeded"]
    assert len(done) <= len(effects), "%d succeeded, %d effects" % (len(done), len(effects))


def works(rt, org, tag):
    """The next agent notices nothing."""
    def look():
        with contextlib.suppress(Gone, McpError, OSError):
            with McpWs(rt, org.credential) as agent:
                return text_of(agent.call("s__look", {"line": "x"})) == "appended"
    wait_for("a read to work again", look, 20, 0.1)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start("s__append_line", {"line": tag})
        org.ann.approve(org.wait_pending())
        assert text_of(call.wait()) == "appended"


def torture(rt, kind):
    def new_org():
        org = Org(rt, files=False, scenario=True)
        Life(org, "warm").run()  # processes are started, statements prepared
        return org
    org, pid = new_org(), rt.workers()[0]
    with fault.at(pid, kind) as counted:
        Life(org, "count").run()
    assert counted.seen > 2, "%s: %d events, nothing is shown" % (kind, counted.seen)
    rng = random.Random("%d %s" % (SEED, kind))
    within = max(3, counted.seen * 4 // 5)  # no two lives have quite as many
    points = sorted(rng.sample(range(1, within + 1), min(POINTS, within)))
    if LONG and "FL_POINTS" not in os.environ:
        points = list(range(1, within + 1))
    if "FL_AT" in os.environ:  # to look at some again
        points = [int(n) for n in os.environ["FL_AT"].split(",")]
    hits = 0
    for n in points:
        where = "%s %d of %d" % (kind, n, counted.seen)
        since = rt.log_size()
        try:
            org = Org(rt, files=False, scenario=True) if n % 3 == 0 else org
            with fault.at(pid, kind, n) as it:
                Life(org, "%d" % n).run()
            hits += it.hit
            assert rt.workers() == [pid], "the worker ended"
            check(org)
            works(rt, org, "line.after.%d." % n)
        except BaseException:
            print("---- at %s\n%s" % (where, rt.log(since)))
            raise
    print("%s: %d of %d points reached, of %d events" % (kind, hits, len(points), counted.seen))
    assert hits > len(points) / 3, "only %d of %d points were reached" % (hits, len(points))


@case(limit=LIMIT, **SETTINGS)
def a_request_whose_answer_finds_no_memory_is_answered(rt):
    """Small requests on one connection, each allocation failing in turn: an answer that names its
    request, or the connection ends. (An error without the id left the agent waiting for ever.)"""
    org, pid = Org(rt, files=False, scenario=True), rt.workers()[0]
    for connect in (McpWs, McpStdio):
        for method in ("ping", "initialize", "tools/nonsense"):
            failed, is_hit, n = 0, True, 0
            agent = connect(rt, org.credential)
            while is_hit and n < 200:
                n += 1
                if agent.is_gone.is_set():
                    agent.close()
                    agent = connect(rt, org.credential)
                with fault.at(pid, "memory-ours", n) as it:
                    try:
                        agent.request(method)
                    except (McpError, Gone) as e:
                        failed += isinstance(e, Gone) or "out of memory" in str(e)
                is_hit = it.hit
            agent.close()
            assert not is_hit and failed >= 3, "%s %s: %d of %d failed" % (connect, method, failed, n)


def same(got, want):
    """The same status, and of the same approvals the same states; a text may do without."""
    def told(answer):
        body = answer[1] if isinstance(answer[1], dict) else {}
        return [(i.get("id"), i.get("state")) for i in body.get("items", [body])]
    return got[0] == want[0] and told(got) == told(want)


@case(limit=LIMIT, **SETTINGS)
def a_rest_request_without_memory_is_told_so(rt):
    """Each allocation of a request failing in turn: the whole answer, or 503. (An address that found no
    memory was "nothing at this address", and a script took the approval for gone.)"""
    org, pid = Org(rt, files=False, scenario=True), rt.workers()[0]
    Life(org, "some").run()
    paths = [("GET", org.path("/approvals?limit=3"), None),
             ("GET", org.path("/approvals/" + org.rows()[0]["approval_id"]), None),
             ("POST", org.path("/approvals/%s/cancel" % org.rows()[0]["approval_id"]),
              {"reason": "late"})]
    for method, path, body in paths:
        def ask():
            return rt.rest(method, path, body, org.ann.token, raw=True)
        def settled():  # who had no memory for a caller's name looks again: nothing of that is kept
            return ask() == ask() and ask()
        want, failed = settled(), 0
        assert want, "it never says the same twice"
        for n, got in each_allocation(pid, ask):
            assert same(got, want) or got[0] == 503, "%s %s without allocation %d: %s, not %s" % (
                method, path, n, got, want)
            failed += got[0] == 503
        assert failed > 10, "%s: %d failed" % (path, failed)


def each_allocation(pid, ask, most=1500, step=1):
    """ask() with each allocation of the worker failing in turn, until it passes untouched."""
    for n in range(1, most, step):
        with fault.at(pid, "memory-ours", n) as it:
            try:
                got = ask()
            except (OSError, http.client.HTTPException) as e:
                got = (503, str(e))
        yield n, got
        if not it.hit:
            return
    raise AssertionError("it never passed untouched")


@case(limit=LIMIT, **SETTINGS)
def a_stop_that_found_no_memory_stops(rt):
    """Each allocation failing while the organization is read anew. (The stop came without its name, and
    stopped nobody until the next change.)"""
    org, pid = Org(rt, files=False, scenario=True), rt.workers()[0]
    org.control("POST", "/stops", {"scope": "tool", "name": "s__look", "reason": "no"})

    def read_anew():
        rt.sql("UPDATE organization SET revision = revision + 1 WHERE organization_id = %s", org.id)
        return rt.rest("GET", org.path("/stops"), None, org.ann.token, raw=True)
    agent, failed = McpWs(rt, org.credential), 0
    for n, (status, body) in each_allocation(pid, read_anew, step=1 if LONG else 5):
        assert status == 503 or body["items"][0]["name"] == "s__look", "%d: %s" % (n, body)
        failed += status == 503
        if agent.is_gone.is_set():
            agent.close()
            agent = McpWs(rt, org.credential)
        with contextlib.suppress(McpError, Gone):
            said = text_of(agent.call("s__look", {"line": "x"}))
            assert "stopped: no" in said, "without allocation %d: %s" % (n, said)
    agent.close()
    assert failed > 10


@case(limit=LIMIT, **SETTINGS)
def a_second_factor_that_found_no_memory_is_asked_for(rt):
    """Each allocation failing while a passphrase is checked: never without the authenticator's code, and
    never told that the passphrase is wrong, which counts. (Who had no memory for the sealed secret
    took it for none.)"""
    org, pid = Org(rt, own_people=True, files=False), rt.workers()[0]
    auth = (org.ann.name, org.ann.passphrase)
    secret = rt.rest("POST", "/me/totp", {}, auth)["secret"]
    rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret)}, auth)
    want = rt.rest("GET", "/me", None, auth, raw=True)
    assert want[0] == 401, want
    failed = 0
    for n, got in each_allocation(pid, lambda: rt.rest("GET", "/me", None, auth, raw=True)):
        is_told = got[0] == 401 and "passphrase" not in got[1]["error"]["text"]
        assert is_told or got[0] == 503, "without allocation %d: %s, not %s" % (n, got, want)
        failed += got[0] == 503
        rt.sql("UPDATE person SET failed_count = 0, locked_until = NULL WHERE name = %s", org.ann.name)
    assert failed > 10


def tortured(kind, name):
    def run(rt):
        torture(rt, kind)
    run.__name__ = name
    run.__module__ = __name__
    case(limit=LIMIT, **SETTINGS)(run)


for _kind, _name in (("memory-ours", "an_allocation_fails"),
                     ("memory-others", "an_allocation_of_a_library_fails"),
                     ("sql-error", "a_statement_is_refused"),
                     ("sql-lost", "the_database_is_lost_before_a_statement"),
                     ("sql-doubt", "the_database_is_lost_behind_a_statement"),
                     ("send-error", "a_client_cannot_be_written_to"),
                     ("send-short", "a_client_takes_a_byte_at_first"),
                     ("plugin-error", "a_plugin_cannot_be_written_to"),
                     ("plugin-short", "a_plugin_takes_a_byte_at_first")):
    tortured(_kind, _name)
