"""Canaries: calls that nobody made, filed like held ones at an unpredictable time of the office hours.
People are to reject them; whoever approves one, in whatever way, nothing runs, and it is counted."""
import contextlib
import datetime
import json
import re
import threading

import psycopg2

from cases import case
from chat import LOCAL
from cli import Cli
from fake_slack import FakeSlack
from harness import Org, refused, unique, wait_for
from house import both, code_of
from mcp_client import TASKS, McpError, McpHttp, McpWs, text_of
from nodes import Node
from slack import SlackHouse
from test_batch import decisions, verdict
from test_doubt import INTAKE, answer_lost
from test_edit import edit
from test_grants import grant
from test_recover import database_down

APPEND = "s__append_line"
TEST = "this was a test"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def rule(name, ask, when=None, effect="ask"):
    r = {"name": name, "tools": ["*"], "effect": effect, "reason": "because"}
    if effect == "ask":
        r["ask"] = ask
    return dict(r, when=when) if when else r


def policy(**by_line):
    """A rule for calls with that line, and one for all others."""
    rules = [rule(line, ask, "args.line == '%s'" % line) for line, ask in by_line.items()]
    return json.dumps({"version": 1, "rules": rules + [rule("writes", {})]})


class Place:
    def __init__(self, rt, document=None, org=None, **more):
        self.rt = rt
        self.org = org or Org(rt, files=False, scenario=True, policy=document or policy(), **more)
        self.token = self.org.adam.make_token(("read", "decide", "admin"), "8h")

    def admin(self, method, path, body=None, **more):
        return self.rt.rest(method, self.org.path(path), body, self.token, **more)

    def set(self, name="wipe", line="one", **more):
        body = {"name": name, "agent": "bot", "tool": APPEND, "arguments": {"line": line},
                "per_week": 2, "days": list(DAYS), "from": "00:00", "to": "24:00", "zone": "UTC"}
        self.admin("POST", "/canaries", dict(body, **more))

    def fire(self, name="wipe", **more):
        return self.admin("POST", "/canaries/%s/fire" % name, **more)["approval"]

    def one(self, line):
        self.set(line=line)
        return self.fire()

    def report(self):
        return self.admin("GET", "/canaries")

    def total(self):
        total = self.report()["total"]
        return total["caught"], total["approved"], total["missed"]

    def of(self, person):
        return next(((p["caught"], p["approved"], p["missed"]) for p in self.report()["people"]
                     if p["person"] == person.name), (0, 0, 0))

    def due(self, name="wipe", ago="1 second"):
        """Its time comes."""
        assert self.rt.sql("UPDATE canary SET next_at = now() - %s::interval WHERE organization_id = %s "
                           "AND name = %s", ago, self.org.id, name) == 1

    def next_at(self, name="wipe"):
        return self.rt.sql("SELECT next_at FROM canary WHERE organization_id = %s AND name = %s "
                           "AND removed_at IS NULL", self.org.id, name)[0]["next_at"]

    def taken(self, before, name="wipe"):
        """The sweep has found it, and drawn another time."""
        now = lambda: datetime.datetime.now(datetime.timezone.utc)
        wait_for("the sweep", lambda: as_time(self.next_at(name)) > now(), 30)

    def never_ran(self, approval, state, effects=()):
        row = self.org.row(approval)
        assert row["state"] == state and row["dispatched_at"] is None and row["fence"] == 0, row
        assert self.org.effects() == list(effects) and row["grant_id"] is None and row["claim_owner"] is None
        kinds = self.org.kinds(approval)
        assert not {"approval.approved", "approval.claimed", "approval.dispatched",
                    "approval.delivered"} & set(kinds), kinds
        return row


def as_time(value):
    return value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(value)


def metric(rt, what):
    return int(re.search(r"^flopinio_canaries_%s_total (\d+)" % what, rt.metrics()[1], re.M).group(1))


@case()
def rejected_it_is_caught_and_nobody_knew(rt):
    """An approver reads the same of it as of any call; who may read the audit is told there."""
    p = Place(rt)
    org, caught = p.org, metric(rt, "caught")
    call = McpWs(rt, org.credential).call_start(APPEND, {"line": "real"})
    real = org.wait_pending()
    p.set()
    one = p.fire()
    a, b = (org.ann.rest("GET", org.path("/approvals/" + i)) for i in (real, one))
    assert a.keys() == b.keys() and a["card"].keys() == b["card"].keys()
    strip = lambda x: re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d\d:\d\d|real|one", "#", x["card"]["text"])
    assert strip(a) == strip(b), (strip(a), strip(b))
    listed = org.ann.rest("GET", org.path("/approvals"))["items"]
    assert len(listed) == 2 and listed[0].keys() == listed[1].keys()
    seen = json.dumps([b, listed]).lower()
    assert "canary" not in seen and "test:" not in seen and TEST not in seen
    anns = org.ann.make_token(("read", "decide", "admin"), "8h")
    for method, path in (("GET", "/canaries"), ("GET", "/audit"), ("GET", "/export"),
                         ("POST", "/canaries"), ("POST", "/canaries/wipe/fire"),
                         ("DELETE", "/canaries/wipe")):
        with refused(403, "an approver may not"):
            rt.rest(method, org.path(path), {} if method == "POST" else None, anns)
    (asked,) = org.audit(one, "approval.requested")
    assert asked["actor"]["kind"] == "person" and asked["data"]["canary"] == "wipe", asked
    assert [e["kind"] for e in org.audit(kind="canary.")] == ["canary.set", "canary.fired"]
    with refused(409, "one waits already"):
        p.fire()
    said = org.ann.reject(one, "why would it?")
    assert said["state"] == "rejected" and TEST in said["text"] and "thank you" in said["text"], said
    p.never_ran(one, "rejected")
    shown = org.ann.rest("GET", org.path("/approvals/" + one))
    assert shown["is_canary"] and TEST in shown["card"]["text"], shown["card"]["text"]
    assert "why would it?" in shown["card"]["text"]
    (leaf,) = org.audit(one, "canary.caught")
    assert leaf["data"]["person"] == org.ann.name, leaf
    assert p.total() == (1, 0, 0) and p.of(org.ann) == (1, 0, 0) and p.of(org.bob) == (0, 0, 0)
    wait_for("the metric", lambda: metric(rt, "caught") == caught + 1)
    org.ann.reject(real, "no")
    call.wait()


@case(limit=60)
def approved_in_whatever_way_it_never_runs(rt):
    """REST, the command line, many at once, typed, with time to take it back, by two, by breaking the
    glass; and nothing that comes behind it."""
    p = Place(rt, policy(typed={"typed_confirmation": True}, undo={"undo": "10s"},
                         two={"thresholds": [{"approve": 2}]}, glass={"thresholds": [{"approve": 3}]}))
    org, approved = p.org, metric(rt, "approved")
    cli = Cli(rt, org)
    opal = org.add_person("opal", "owner")
    auth = (opal.name, opal.passphrase)
    secret = rt.rest("POST", "/me/totp", {}, auth)["secret"]
    rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret)}, auth)
    org.sync()

    def by_rest(one):
        said = org.ann.approve(one)
        assert said["state"] == "cancelled" and said["is_decided"], said
        return said["text"]

    def by_cli(one):
        return cli("approvals", "approve", one, token=org.ann.token).out

    def by_many(one):
        (said,) = decisions(org.ann, verdict(org, one, "approve"))
        return said["text"]

    def typed(one):
        return org.ann.approve(one, typed="approve " + APPEND)["text"]

    def by_two(one):
        assert "1 of 2" in org.ann.approve(one)["text"]
        return org.bob.approve(one)["text"]

    def glass(one):
        return rt.rest("POST", org.path("/approvals/%s/break-glass" % one),
                       {"reason": "the site is down", "binding": org.binding(one)}, auth,
                       code=code_of(secret, 1))["text"]

    ways = (("a", by_rest), ("b", by_cli), ("c", by_many), ("typed", typed), ("undo", by_rest),
            ("two", by_two), ("glass", glass))
    for line, way in ways:
        one = p.one(line)
        text = way(one)
        assert TEST in text and "nothing ran" in text, (line, text)
        row = p.never_ran(one, "cancelled")
        assert row["review_due"] is None and "approved it" in row["reason"], row
        shown = org.approval(one)
        assert shown["is_canary"] and "nothing ran" in shown["card"]["text"], shown["card"]["text"]
        assert len(org.audit(one, "canary.approved")) == 1
    for again in (lambda: org.bob.approve(one), lambda: org.ann.withdraw(one),
                  lambda: org.ann.settle(one, "again"), lambda: grant(org.adam, one),
                  lambda: org.ann.rest("POST", org.path("/approvals/%s/reopen" % one), {}),
                  lambda: org.bob.rest("POST", org.path("/approvals/%s/review" % one), {})):
        with refused(409):
            again()
    count = len(ways)
    assert p.total() == (0, count, 0) and p.of(org.bob) == (0, 1, 0) and p.of(opal) == (0, 1, 0)
    wait_for("the metric", lambda: metric(rt, "approved") == approved + count)
    told = rt.sql("SELECT kind, text FROM alert JOIN person USING (person_id) WHERE organization_id = %s "
                  "AND name = %s", org.id, opal.name)
    assert len(told) == count and {t["kind"] for t in told} == {"canary"}, told


@case()
def nothing_comes_of_it(rt):
    """No edit, no grant, no second asking; the agent neither sees nor collects nor cancels it, and what
    it asks for itself is another call."""
    p = Place(rt)
    org, one = p.org, p.one("one")
    with refused(409, "no grant can be made"):
        grant(org.adam, one)
    with refused(403):
        grant(org.ann, one)
    with McpWs(rt, org.credential) as agent:
        for tool in ("approval_status", "approval_wait"):
            try:
                agent.call(tool, {"approval_id": one})
                raise AssertionError("the agent was told of it")
            except McpError as e:
                assert "no such approval" in str(e), e
        call = agent.call_start(APPEND, {"line": "one"})
        real = next(i for i in org.wait_pending(2) if i != one)
        assert org.row(real)["asked_count"] == 1
        org.ann.approve(real)
        assert text_of(call.wait()) == "appended"
        with refused(409, "nothing takes its place"):
            edit(org.ann, one, {"line": "two"}, reason="not that one")
        row = org.row(one)
        assert row["state"] == "rejected" and row["edited_to"] is None and len(org.rows()) == 2, row
        assert p.total() == (1, 0, 0) and p.of(org.ann) == (1, 0, 0)
        with refused(409, "it was a test"):
            org.ann.rest("POST", org.path("/approvals/%s/reopen" % one), {})
        # The rejection is no answer for the agent.
        call = agent.call_start(APPEND, {"line": "one"})
        real = org.wait_pending()
        org.ann.approve(real)
        assert text_of(call.wait()) == "appended" and org.effects() == ["one", "one"]
    # An agent that polls tasks is one that polls a task.
    with McpHttp(rt, org.credential, modern=True, caps=TASKS) as agent:
        agent.call(APPEND, {"line": "two"})
        org.ann.reject(org.wait_pending(), "no")
    one = p.fire()
    assert org.row(one)["wait_mode"] == "task" and "polls a task" in org.approval(one)["card"]["text"]
    assert TEST in org.ann.approve(one)["text"]
    p.never_ran(one, "cancelled", ["one", "one"])
    # Its owner takes it back: that says nothing of who approves.
    one = p.fire()
    org.olga.cancel(one)
    assert org.row(one)["state"] == "cancelled" and p.total() == (1, 1, 0)
    incident = org.control("GET", "/incident?agent=bot")
    assert [bool(e.get("is_canary")) for e in incident["effects"]] == [True, False, False, False, True,
                                                                     True]


@case()
def the_database_alone_refuses(rt):
    """Whatever the program does: raw SQL as the application's role."""
    p = Place(rt)
    org, one = p.org, p.one("one")
    conn = rt.connect("app")

    def refuses(error, sql, *args):
        with conn.cursor() as cur:
            cur.execute("SELECT set_config('flopinio.organization', %s, false)", (str(org.id),))
            try:
                cur.execute(sql, args)
                raise AssertionError("it was done: " + sql)
            except error as e:
                return str(e)

    check, denied = psycopg2.errors.CheckViolation, psycopg2.errors.InsufficientPrivilege
    for state in ("approved", "claimed", "dispatched", "succeeded", "unknown"):
        refuses(check, "UPDATE approval SET state = %s WHERE approval_id = %s", state, one)
    refuses(denied, "UPDATE approval SET canary_id = NULL WHERE approval_id = %s", one)
    refuses(denied, "DELETE FROM canary")
    columns = [r["c"] for r in rt.sql("SELECT column_name AS c FROM information_schema.columns WHERE "
                                      "table_name = 'approval' AND is_generated = 'NEVER' ORDER BY 1")]

    def copy(**values):
        """The same row once more, but for these."""
        values = dict({"approval_id": "gen_random_uuid()", "task_id": "NULL"}, **values)
        return "INSERT INTO approval (%s) SELECT %s FROM approval WHERE approval_id = %%s" % (
            ", ".join(columns), ", ".join(values.get(c, c) for c in columns))
    refuses(check, copy(state="'approved'"), one)
    refuses(psycopg2.errors.UniqueViolation, copy(), one)
    for origin in ("edit_of", "retry_of"):
        said = refuses(check, copy(canary_id="NULL", **{origin: "approval_id"}), one)
        assert "comes of a canary" in said, said
    said = refuses(check, "INSERT INTO call_grant (organization_id, grant_id, approval_id, agent_id, "
                   "server_id, tool, definition_digest, server_digest, rule, ask, pins, pinned, person_id, "
                   "has_second_factor, uses, expires_at) SELECT organization_id, gen_random_uuid(), "
                   "approval_id, agent_id, server_id, tool, definition_digest, '', rule, '', '[]', '', "
                   "owner_id, false, 1, now() + interval '1 hour' FROM approval WHERE approval_id = %s", one)
    assert "comes of a canary" in said, said
    conn.close()
    assert org.state(one) == "pending"
    org.ann.reject(one, "no")


@case()
def what_would_not_be_held_is_refused(rt):
    """When it is described, and when its time has come: with one sentence, and nobody is asked."""
    p = Place(rt, json.dumps({"version": 1, "rules": [
        rule("never", None, "args.line == 'never'", "deny"), rule("writes", {})]}))
    org = p.org
    for why, more in (
            ("'per_week' must be 1 to 20", {"per_week": 0}), ("'per_week'", {"per_week": 21}),
            ("'zone' must be a time zone", {"zone": "Mars/Base"}), ("'zone'", {"zone": "../etc"}),
            ("'from' and 'to'", {"from": "17:00", "to": "09:00"}), ("'days'", {"days": ["monday"]}),
            ("'days'", {"days": []}), ("no such agent", {"agent": "nobody"}),
            ("no accepted tool 's__nothing'", {"tool": "s__nothing"}),
            ("/line", {"arguments": {"line": 7}}), ("'arguments' must be an object", {"arguments": []}),
            ("the policy denies", {"line": "never"}), ("a name has", {"name": "A B"}),
            ("not known here", {"hours": "9-17"})):
        with refused(400, why):
            p.set(**more)
    assert p.report()["items"] == [] and org.audit(kind="canary.") == []
    p.set()

    def refuses(why, name="wipe"):
        before = len(org.audit(kind="canary.refused"))
        with refused(409, why):
            p.fire(name)
        (item,) = [i for i in p.report()["items"] if i["name"] == name]
        assert why in item["note"] and item["fired_at"] is None, item
        assert len(org.audit(kind="canary.refused")) == before + 1 and org.rows() == []

    org.control("PATCH", "/agents/bot", {"state": "frozen"})
    refuses("may not call")
    with refused(400, "may not act"):
        p.set()
    org.control("PATCH", "/agents/bot", {"state": "active"})
    org.control("POST", "/stops", {"scope": "agent", "name": "bot", "reason": "a look"})
    refuses("stopped: a look")
    org.control("POST", "/stops/resume", {"scope": "agent", "name": "bot"})
    org.control("POST", "/tools/%s/quarantine" % APPEND, {})
    refuses("waits for an administrator's review")
    org.accept(APPEND)
    org.apply(json.dumps({"version": 1, "rules": [
        {"name": "all", "tools": [APPEND], "effect": "allow", "standing": True}]}))
    refuses("without asking")
    assert org.effects() == []
    said = Cli(rt)("doctor", status=None).out
    assert "%s: wipe was not sent: the policy lets it run" % org.name in said, said
    org.apply(policy())
    org.revoke_credential(org.credential_id)
    refuses("credentials are not active")
    org.add_credential()
    one = p.fire()
    assert p.report()["items"][0]["note"] == "" and org.state(one) == "pending"
    org.ann.reject(one, "no")
    assert not {"call.denied", "call.invalid"} & {e["kind"] for e in org.audit(kind="call.")}


@case(limit=60)
def it_comes_in_its_hours_once_on_two_nodes(rt):
    """By whichever node sees it first; behind a restart too; not outside of the hours, and not what was
    missed while nothing ran."""
    p = Place(rt)
    org = p.org
    node = Node(rt)
    node.start()
    try:
        p.set()
        p.due()
        one = org.wait_pending(timeout=30)
        p.taken(one)
        (fired,) = wait_for("it to be noted", lambda: org.audit(kind="canary.fired"))
        assert p.next_at() and fired["data"]["by"] == "the schedule", fired
        (asked,) = org.audit(one, "approval.requested")
        assert asked["actor"]["kind"] == "system", asked
        # While it waits no second one comes, of whatever name; its time is passed over.
        p.set("other", "two")
        p.due("other")
        p.due()
        p.taken(one, "other")
        p.taken(one)
        assert [r["approval_id"] for r in org.rows()] == [one]
        org.ann.reject(one, "no")
        # By hand at the same moment, twice.
        got = both(p.fire, lambda: p.fire("other"))
        assert sum(isinstance(g, str) for g in got) == 1 and len(org.rows()) == 2, got
        org.ann.reject(org.wait_pending(), "no")
    finally:
        node.stop()
        node.remove()
    # What came while nothing ran is not made up for; nor is another day's.
    today = datetime.datetime.now(datetime.timezone.utc).weekday()
    p.set("other", "two", days=[DAYS[(today + 3) % 7]])
    p.due("other")
    p.due(ago="10 minutes")
    p.taken(None, "other")
    p.taken(None)
    assert len(org.rows()) == 2
    drawn = as_time(p.next_at("other")).astimezone(datetime.timezone.utc)
    assert drawn.weekday() == (today + 3) % 7, drawn


@case(limit=60, breaks=True)
def workers_that_die_lose_none(rt):
    """Neither between its time and the sweep, nor while it waits."""
    p = Place(rt)
    p.set()

    def die():
        for pid in rt.workers():
            rt.kill_worker(pid)
    die()
    p.due()
    one = p.org.wait_pending(timeout=30)
    die()
    assert TEST in p.org.ann.approve(one)["text"]
    p.never_ran(one, "cancelled")
    assert p.total() == (0, 1, 0) and len(p.org.rows()) == 1


@case(limit=60, breaks=True, pending_max=1)
def a_process_that_ends_does_not_wait_for_it(rt):
    """Nobody who calls has gone on elsewhere; its row waits, and counts as nobody's pending call."""
    p = Place(rt)
    one = p.one("one")
    with McpWs(rt, p.org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "two"})
        real = next(i for i in p.org.wait_pending(2) if i != one)
        p.org.ann.approve(real)
        assert text_of(call.wait()) == "appended"
    assert rt.stop() == 0
    assert "drain_cut_short" not in rt.log(), rt.log()
    rt.start()
    assert TEST in p.org.ann.approve(one)["text"]
    p.never_ran(one, "cancelled", ["two"])


@case()
def it_is_in_the_document_of_the_organization(rt):
    p = Place(rt)
    org = p.org
    p.set(days=["mon", "fri"])
    (there,) = p.admin("GET", "/export")["canaries"]
    assert there == {"name": "wipe", "agent": "bot", "tool": APPEND, "arguments": {"line": "one"},
                     "per_week": 2, "days": ["mon", "fri"], "from": "00:00", "to": "24:00",
                     "zone": "UTC"}, there

    def apply(*canaries, **more):
        return [(c["what"], c["name"], c["change"]) for c in
                p.admin("POST", "/apply", dict({"canaries": list(canaries)}, **more))["changes"]]
    before = p.next_at()
    assert apply(there) == apply(there, prune=True) == [] and p.next_at() == before
    # Of an agent that the same document makes; as long as it cannot call, none is sent.
    other = dict(there, name="other", agent="scribe", days=["sun"])
    agent = {"name": "scribe", "title": "s", "owner": org.olga.name}
    assert apply(dict(there, per_week=3), other, agents=[agent]) == [
        ("agent", "scribe", "created"), ("canary", "wipe", "changed"), ("canary", "other", "created")]
    assert [(i["name"], i["per_week"]) for i in p.report()["items"]] == [("other", 2), ("wipe", 3)]
    with refused(409, "credentials are not active"):
        p.fire("other")
    for why, wrong in (("canary 'wipe': there is no agent 'nobody'", dict(there, agent="nobody")),
                       ("canary 'wipe': 'zone'", dict(there, zone="Mars/Base")),
                       ("canary 'wipe': 'per_week'", dict(there, per_week=0)),
                       ("'hours' is not known", dict(there, hours="9-17"))):
        with refused(400, why):
            apply(wrong)
    with refused(403, "may not"):
        rt.rest("POST", org.path("/apply"), {"canaries": []},
                org.ann.make_token(("read", "decide", "admin"), "8h"))
    assert apply(other, prune=True) == [("canary", "wipe", "removed")]
    assert [i["name"] for i in p.report()["items"]] == ["other"]
    # What is of an agent that is no more is not exported, as the agent is not.
    org.control("PATCH", "/agents/scribe", {"state": "revoked"})
    assert p.admin("GET", "/export")["canaries"] == []


@case()
def on_the_command_line(rt):
    p = Place(rt)
    org, name = p.org, unique("wipe")
    cli = Cli(rt, org)
    what = ("--agent", "bot", "--tool", APPEND, "--arguments", '{"line": "one"}', "--per-week", "2",
            "--zone", "Europe/Berlin")
    assert "no canaries" in cli("canary", "list").out
    cli("canary", "set", name, *what, "--hours", "nine", status=2)
    said = cli("canary", "set", name, *what, "--hours", "17:00-09:00", status=1)
    assert "'from' and 'to'" in said.err, said
    cli("canary", "set", name, *what, "--hours", "09:00-17:30", "--day", "mon", "--day", "fri")
    (item,) = p.report()["items"]
    assert (item["days"], item["from"], item["to"], item["zone"], item["arguments"]) == (
        ["mon", "fri"], "09:00", "17:30", "Europe/Berlin", {"line": "one"}), item
    assert name in cli("canary", "list").out
    said = cli("canary", "fire", name, token=org.ann.token, status=3)
    one = re.search(r"approval (\S+)", cli("canary", "fire", name).out).group(1)
    assert "thank you" in cli("approvals", "reject", one, "--reason", "no", token=org.ann.token).out
    out = cli("canary", "report", "--since", "1h").out
    assert "caught" in out and org.ann.name in out, out
    cli("canary", "remove", name)
    cli("canary", "remove", name, status=4)
    assert p.report()["items"] == [] and p.total() == (1, 0, 0)


@case(limit=60, **LOCAL)
def in_slack_it_is_a_card_like_any_other(rt):
    """Approved by a click, the card and its thread say what it was; missed, it counts for whoever had
    the card."""
    with FakeSlack() as sl, SlackHouse(rt, sl, channels=None) as house:
        p = Place(rt, org=house.org)
        org, missed = p.org, metric(rt, "missed")
        call, real = house.ask("real")
        a = sl.wait_message("D1ANN", "append_line")
        p.set()
        one = p.fire()
        b = sl.wait_message("D1ANN", one)
        strip = lambda m: re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\d\d:\d\d|real|one", "#", sl.text(m))
        assert strip(a) == strip(b) and sl.buttons(a) == sl.buttons(b), (strip(a), strip(b))
        said = sl.click(house.ann, b, "Approve")
        assert TEST in said and "nothing ran" in said, said
        sl.wait_text(b, "nothing ran")
        assert sl.buttons(b) == []
        p.never_ran(one, "cancelled")
        org.ann.reject(real, "no")
        call.wait()
        two = p.fire()
        card = sl.wait_message("D1BOB", two)
        sl.wait_message("D1ANN", two)
        rt.sql("UPDATE approval SET expires_at = now() WHERE approval_id = %s", two)
        org.wait_state(two, "expired")
        sl.wait_text(card, "a test that nobody decided")
        p.never_ran(two, "expired")
        assert p.total() == (0, 1, 1) and p.of(org.ann) == (0, 1, 1) and p.of(org.bob) == (0, 0, 1)
        assert len(org.audit(two, "canary.missed")) == 1
        wait_for("the metric", lambda: metric(rt, "missed") == missed + 1)


@case(limit=90, workers=1)
def a_canary_in_doubt_was_asked_about_though_it_was_refused(rt):
    """Whoever fired it is told that it was not filed. It stood before people all the same, counted for
    whoever did not decide it, and no other one could be filed."""
    p = Place(rt, hold="100ms")
    org, said = p.org, []
    p.set()
    firing = threading.Thread(target=lambda: said.append(p.admin("POST", "/canaries/wipe/fire", {}, raw=True)))
    with contextlib.ExitStack() as down:
        with answer_lost(rt, rt.workers()[0], INTAKE, firing.start, org.rows):
            one = org.rows()[0]["approval_id"]
            assert org.state(one) == "pending"
            down.enter_context(database_down(rt))
        firing.join(30)
        assert said and said[0][0] in (409, 503), said
    org.wait_state(one, "cancelled", timeout=20)
    assert "told that it could not" in p.never_ran(one, "cancelled")["reason"]
    (leaf,) = org.audit(one, "approval.cancelled")
    assert leaf["actor"]["kind"] == "system", leaf
    assert p.total() == (0, 0, 0) and p.of(org.ann) == (0, 0, 0)
    two = p.fire()
    org.ann.reject(two, "no")
    assert p.total() == (1, 0, 0)
