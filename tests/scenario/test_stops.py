"""A stop is one short transaction; the deadlines of what it covers are moved behind it. Until that is
done, and whatever comes between, everything stands still as if it had been done at once."""
import contextlib
import os
import sys

from cases import case
from harness import ROOT, Org, wait_for
from mcp_client import McpHttp, McpWs, text_of

sys.path.append(os.path.join(ROOT, "tests/bench"))
import fill  # noqa: E402

APPEND = "s__append_line"


@contextlib.contextmanager
def holding(rt, statement, *args):
    conn = rt.connect()
    conn.autocommit = False
    try:
        with conn.cursor() as cur:
            cur.execute(statement, args)
        yield
    finally:
        conn.close()


def unmoved(rt, org):
    """Nobody moves a deadline of the organization."""
    return holding(rt, "SELECT pg_advisory_lock(hashtextextended(%s, 7340))", org.id)


def stuck_at(rt, org, approval):
    """Whoever moves its deadline comes no further: its card in some chat is held."""
    (channel,) = rt.sql("INSERT INTO channel (organization_id, channel_id, name, kind, is_enabled) "
                        "VALUES (%s, gen_random_uuid(), 'off', 'telegram', false) RETURNING "
                        "channel_id", org.id)
    rt.sql("INSERT INTO outbox (organization_id, approval_id, channel_id, step) VALUES (%s, %s, %s, "
           "0)", org.id, approval, channel["channel_id"])
    return holding(rt, "SELECT 1 FROM outbox WHERE approval_id = %s FOR UPDATE", approval)


def stop(org, scope="org", name=None, **more):
    return org.control("POST", "/stops", dict({"scope": scope, "name": name or org.name,
                                               "reason": "halt"}, **more))


def resume(org, scope="org", name=None):
    return org.control("POST", "/stops/resume", {"scope": scope, "name": name or org.name})


def shown(org):
    return [(s["scope"], s["state"], s["left"]) for s in org.control("GET", "/stops")["items"]]


def row_of(rt, made):
    return rt.sql("SELECT * FROM stop WHERE stop_id = %s", made["id"])[0]


class Many:
    """An organization with so many calls that wait, and what they were before."""

    def __init__(self, rt, count, **options):
        self.rt, self.org = rt, Org(rt, files=False, **options)
        self.org.is_edited = True
        fill.pending(self, count, self.org.id)
        self.count, self.before = count, self.deadlines()
        self.ids = list(self.before)

    def deadlines(self):
        return {r["approval_id"]: r["expires_at"] for r in self.rt.sql(
            "SELECT approval_id, expires_at FROM approval WHERE organization_id = %s AND state IN "
            "('pending', 'approved') ORDER BY created_at, approval_id", self.org.id)}

    def frozen(self):
        return self.rt.sql("SELECT count(*) AS n FROM approval WHERE organization_id = %s AND "
                           "frozen_at IS NOT NULL", self.org.id)[0]["n"]

    def due_after(self, made, ids):
        """As if their time had run out right behind the stop."""
        self.rt.sql("UPDATE approval SET expires_at = %s + interval '1 millisecond' WHERE "
                    "approval_id = ANY (%s::uuid[])", row_of(self.rt, made)["set_at"], ids)
        for each in ids:
            del self.before[each]

    def check_later_by(self, least):
        now = self.deadlines()
        short = [i for i, at in self.before.items() if now[i] - at < least]
        assert not short, "%d of %d have less time than before" % (len(short), len(self.before))

    def states(self, ids):
        return [r["state"] for r in self.rt.sql("SELECT state FROM approval WHERE approval_id = ANY "
                                                "(%s::uuid[])", ids)]

    def gone(self):
        for table in ("outbox", "vote", "approval"):
            self.rt.sql("DELETE FROM %s WHERE organization_id = %%s" % table, self.org.id)


class Clockwork:
    """Another organization, whose calls show that the sweep has gone round."""

    def __init__(self, rt):
        self.rt, self.org = rt, Org(rt, files=False)
        self.org.is_edited = True

    def turn(self, rounds=1):
        for _ in range(rounds):
            fill.pending(self, 1, self.org.id, is_noticed=False)
            self.rt.sql("UPDATE approval SET expires_at = now() WHERE organization_id = %s",
                        self.org.id)
            wait_for("a round of the sweep", lambda: not self.rt.sql(
                "SELECT 1 FROM approval WHERE organization_id = %s AND state = 'pending'",
                self.org.id), 30)
        self.rt.sql("DELETE FROM approval WHERE organization_id = %s", self.org.id)


@case(limit=120)
def what_a_stop_covers_stands_still_before_it_is_frozen(rt):
    """By whatever it is covered: it would have expired, been cancelled, or run."""
    org, clock = Org(rt, files=False, scenario=True, hold="1s"), Clockwork(rt)
    org.control("PATCH", "/people/" + org.olga.name, {"groups": ["ops"]})
    for scope, name in (("org", org.name), ("tool", APPEND), ("server", "s"), ("agent", "bot"),
                        ("person", org.olga.name), ("group", "ops")):
        with McpHttp(rt, org.credential) as agent:
            assert "NOT" in text_of(agent.call(APPEND, {"line": scope})).upper()
        approval = org.wait_pending()
        with unmoved(rt, org):
            made = stop(org, scope, name)
            assert made["state"] == "stopping", made
            set_at = row_of(rt, made)["set_at"]
            rt.sql("UPDATE approval SET expires_at = %s + interval '1 millisecond' WHERE approval_id "
                   "= %s", set_at, approval)
            clock.turn()
            assert org.state(approval) == "pending", (scope, org.state(approval))
            assert shown(org) == [(scope, "stopping", 1)]
            # Nor is it cancelled; a vote counts, and nothing runs.
            rt.sql("UPDATE approval SET expires_at = %s + interval '1 hour', grace_until = %s + "
                   "interval '1 millisecond' WHERE approval_id = %s", set_at, set_at, approval)
            clock.turn()
            assert org.ann.approve(approval)["state"] == "approved"
            rt.sql("UPDATE approval SET wait_mode = 'task' WHERE approval_id = %s", approval)
            clock.turn(2)  # one to be kicked in, and time to run
            row = org.row(approval)
            assert row["state"] == "approved" and not row["fence"] and not row["frozen_at"], row
            rt.sql("UPDATE approval SET grace_until = NULL WHERE approval_id = %s", approval)
        frozen = wait_for("it to be frozen", lambda: org.row(approval)["frozen_at"], 30)
        assert frozen == set_at, (frozen, set_at)
        wait_for("the stop to be through", lambda: shown(org) == [(scope, "stopped", 0)], 30)
        resume(org, scope, name)
        org.wait_state(approval, "succeeded")
        wait_for("nothing to be left", lambda: shown(org) == [], 30)


@case(limit=60)
def a_stop_that_ends_before_it_froze_gives_the_time_back(rt):
    """By the clock, here: what it covered stood still until then, and it must not expire meanwhile."""
    org, clock = Org(rt, files=False, scenario=True, hold="1s"), Clockwork(rt)
    with McpHttp(rt, org.credential) as agent:
        agent.call(APPEND, {"line": "one"})
        approval = org.wait_pending()
        with unmoved(rt, org):
            made = stop(org, **{"for": "1s"})
            set_at = row_of(rt, made)["set_at"]
            before = org.row(approval)["expires_at"]
            rt.sql("UPDATE approval SET expires_at = %s + interval '1 millisecond' WHERE approval_id "
                   "= %s", set_at, approval)
            lifted = wait_for("the clock", lambda: row_of(rt, made)["lifted_at"], 30)
            clock.turn()
            assert org.state(approval) == "pending" and not org.row(approval)["frozen_at"]
            assert shown(org) == [("org", "resuming", 1)]
            # What comes now is none of its business.
            agent.call(APPEND, {"line": "two"})
            fresh = [r["approval_id"] for r in org.rows() if r["approval_id"] != approval][0]
            org.ann.approve(fresh)
            agent.call(APPEND, {"line": "two"})
            org.wait_state(fresh, "succeeded")
            rt.sql("UPDATE approval SET expires_at = %s WHERE approval_id = %s", before, approval)
        wait_for("nothing to be left", lambda: shown(org) == [], 30)
        row = org.row(approval)
        assert not row["frozen_at"] and row["expires_at"] - before >= lifted - set_at, row
        org.ann.approve(approval)
        agent.call(APPEND, {"line": "one"})
        org.wait_state(approval, "succeeded")


@case(limit=60)
def who_joins_a_stopped_group_stands_still_at_once(rt):
    """And who leaves it goes on, with the time that it had."""
    org, clock = Org(rt, files=False, scenario=True, hold="1s"), Clockwork(rt)
    with McpHttp(rt, org.credential) as agent:
        agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    stop(org, "group", "ops")
    wait_for("the stop to be through", lambda: shown(org) == [("group", "stopped", 0)], 30)
    assert org.row(approval)["frozen_at"] is None
    with unmoved(rt, org):
        org.control("PATCH", "/people/" + org.olga.name, {"groups": ["ops"]})
        since = rt.sql("SELECT stands_from FROM stop WHERE organization_id = %s",
                       org.id)[0]["stands_from"]
        rt.sql("UPDATE approval SET expires_at = %s + interval '1 millisecond' WHERE approval_id = "
               "%s", since, approval)
        clock.turn()
        assert org.state(approval) == "pending"
        rt.sql("UPDATE approval SET expires_at = %s + interval '1 hour' WHERE approval_id = %s",
               since, approval)
    wait_for("it to be frozen", lambda: org.row(approval)["frozen_at"] == since, 30)
    org.control("PATCH", "/people/" + org.olga.name, {"groups": []})
    wait_for("it to go on", lambda: org.row(approval)["frozen_at"] is None, 30)
    assert org.row(approval)["expires_at"] > since
    wait_for("the stop to be through", lambda: shown(org) == [("group", "stopped", 0)], 30)


@case(limit=120, breaks=True, workers=2)
def a_stop_of_thousands_outlives_the_worker_that_freezes(rt):
    """It was one transaction, which one locked row refused, and a second stop failed meanwhile."""
    many, clock = Many(rt, 5000), Clockwork(rt)
    org, late, ready = many.org, many.ids[-3:], many.ids[-4]
    with stuck_at(rt, org, many.ids[3000]):
        made = stop(org)
        assert made["state"] == "stopping", made
        many.due_after(made, late)
        rt.sql("UPDATE approval SET state = 'approved', decided_at = now() WHERE approval_id = %s",
               ready)
        del many.before[ready]  # it runs as soon as it may, and ends
        wait_for("more than the half", lambda: many.frozen() >= 2500, 60)
        ((_, state, left),) = shown(org)
        assert state == "stopping" and 0 < left <= 2500, (state, left)
        rt.kill_worker(rt.sql("SELECT w.pid FROM lease l JOIN worker w ON w.id = l.owner WHERE "
                              "l.name = 'sweep'")[0]["pid"])
        clock.turn()
        assert stop(org, "agent", "bot")["state"] == "stopping"
        clock.turn(2)
        assert many.states(late) == ["pending"] * 3, many.states(late)
        assert many.states([ready]) == ["approved"] and not org.row(ready)["fence"]
        assert 2500 <= many.frozen() <= 3000
    wait_for("all to be frozen", lambda: shown(org) == [("org", "stopped", 0),
                                                        ("agent", "stopped", 0)], 60)
    first = row_of(rt, made)
    assert [(r["at"], r["n"]) for r in rt.sql(
        "SELECT frozen_at AS at, count(*) AS n FROM approval WHERE organization_id = %s GROUP BY 1",
        org.id)] == [(first["set_at"], 5000)]
    resume(org, "agent", "bot")
    wait_for("one stop less", lambda: shown(org) == [("org", "stopped", 0)], 30)
    assert many.frozen() == 5000
    many.check_later_by(first["set_at"] - first["set_at"])
    resume(org)
    wait_for("all to go on", lambda: shown(org) == [], 60)
    assert many.frozen() == 0
    many.check_later_by(row_of(rt, made)["lifted_at"] - first["set_at"])
    wait_for("those to expire whose time is over", lambda: many.states(late) == ["expired"] * 3, 30)
    assert len(org.audit(kind="stop.")) == 4
    many.gone()


@case(limit=120)
def a_stop_that_is_lifted_while_it_freezes(rt):
    """Half of them frozen, half not yet: each has the time back that it stood, and none twice."""
    many, clock = Many(rt, 1500, scenario=True), Clockwork(rt)
    org, late = many.org, many.ids[-3:]
    token = org.add_agent("fresh")[1]
    with stuck_at(rt, org, many.ids[1200]):
        made = stop(org)
        many.due_after(made, late)
        wait_for("more than the half", lambda: many.frozen() >= 1000, 60)
        assert resume(org) == {"lifted": 1, "state": "resuming"}
        # The others go on meanwhile.
        with McpWs(rt, token) as agent:
            call = agent.call_start(APPEND, {"line": "x"})
            fresh = wait_for("its approval", lambda: rt.sql(
                "SELECT approval_id FROM approval WHERE organization_id = %s AND tool = %s", org.id,
                APPEND))[0]["approval_id"]
            org.ann.approve(fresh)
            assert not call.wait().get("isError")
        assert shown(org) == [("org", "resuming", 1500)]
        clock.turn()
        assert many.states(late) == ["pending"] * 3
    wait_for("all to go on", lambda: shown(org) == [], 60)
    ended = rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
    assert many.frozen() == 0
    first = row_of(rt, made)
    many.check_later_by(first["lifted_at"] - first["set_at"])
    now = many.deadlines()
    assert all(now[i] - at <= ended - first["set_at"] for i, at in many.before.items())
    wait_for("those to expire whose time is over", lambda: many.states(late) == ["expired"] * 3, 30)
    many.gone()


@case(limit=120)
def a_second_stop_comes_while_the_first_one_thaws(rt):
    """What ran on already stands still again, what did not stands on; and the workers go round."""
    many = Many(rt, 1500)
    org = many.org
    # A row that somebody has keeps up nobody, and is not forgotten.
    with holding(rt, "SELECT 1 FROM approval WHERE approval_id = %s FOR UPDATE", many.ids[700]):
        first = stop(org)
        wait_for("all but one to be frozen", lambda: many.frozen() == 1499, 60)
        assert shown(org) == [("org", "stopping", 1)]
    wait_for("all to be frozen", lambda: shown(org) == [("org", "stopped", 0)], 60)
    with stuck_at(rt, org, many.ids[1200]):
        assert resume(org)["state"] == "resuming"
        wait_for("more than the half", lambda: many.frozen() <= 500, 60)
        ((_, state, left),) = shown(org)
        assert state == "resuming" and 0 < left <= 500, (state, left)
        at = rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
        wait_for("all workers to beat", lambda: len(rt.sql(
            "SELECT 1 FROM worker WHERE seen_at > %s", at)) >= len(rt.workers()), 30)
        with unmoved(rt, org):  # what is under way has given up then
            second = stop(org, "agent", "bot")
            assert second["state"] == "stopping"
    wait_for("all to be frozen again", lambda: shown(org) == [("agent", "stopped", 0)], 60)
    since = [row_of(rt, made)["set_at"] for made in (first, second)]
    frozen = rt.sql("SELECT frozen_at AS at, count(*) AS n FROM approval WHERE organization_id = %s "
                    "GROUP BY 1 ORDER BY 1", org.id)
    assert [f["at"] for f in frozen] == since, (frozen, since)
    resume(org, "agent", "bot")
    wait_for("all to go on", lambda: shown(org) == [], 60)
    assert many.frozen() == 0
    stood = [row_of(rt, made)["lifted_at"] - at for made, at in zip((first, second), since)]
    many.check_later_by(stood[0] + stood[1])
    many.gone()
