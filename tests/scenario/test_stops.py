"""A stop is one short transaction; the deadlines of what it covers are moved behind it. Until that is
done, and whatever comes between, everything stands still as if it had been done at once."""
import contextlib
import os
import sys
import threading
import uuid

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


class Older:
    """What the program of before the batches does, in one transaction: with each change it freezes and
    thaws all that waits, by the stops in force (here: of the whole organization)."""
    IN_FORCE = ("EXISTS (SELECT 1 FROM stop s WHERE s.organization_id = a.organization_id AND "
                "s.lifted_at IS NULL AND (s.until IS NULL OR s.until > now()) AND s.scope = 'org')")
    LATER = "CASE WHEN old.stops THEN a.{0} ELSE a.{0} + (clock_timestamp() - a.frozen_at) END"

    def __init__(self, rt, org):
        self.conn, self.org = rt.connect(), org
        self.conn.autocommit = False
        self.cur = self.conn.cursor()
        self.cur.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7338))", (org.id,))

    def lift(self, made):
        self.cur.execute("UPDATE stop SET lifted_at = clock_timestamp(), lifted_by = 'ann' WHERE "
                         "organization_id = %s AND lifted_at IS NULL AND stop_id = %s",
                         (self.org.id, made["id"]))

    def move(self):
        self.cur.execute(
            "WITH old AS (SELECT a.approval_id, a.frozen_at IS NULL AS stops FROM approval a WHERE "
            "a.organization_id = %s AND a.state IN ('pending', 'approved', 'claimed') AND CASE WHEN "
            "a.frozen_at IS NULL THEN a.expires_at > clock_timestamp() AND " + self.IN_FORCE +
            " ELSE NOT " + self.IN_FORCE + " END ORDER BY a.approval_id FOR NO KEY UPDATE OF a) UPDATE "
            "approval a SET frozen_at = CASE WHEN old.stops THEN clock_timestamp() END, expires_at = "
            + self.LATER.format("expires_at") + ", grace_until = " + self.LATER.format("grace_until") +
            " FROM old WHERE a.organization_id = %s AND a.approval_id = old.approval_id",
            (self.org.id, self.org.id))

    def commit(self):
        self.conn.commit()
        self.conn.close()


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

    def turn(self, rounds=1, due="expires_at = now()", within=30):
        for _ in range(rounds):
            fill.pending(self, 1, self.org.id, is_noticed=False)
            self.rt.sql("UPDATE approval SET %s WHERE organization_id = %%s" % due, self.org.id)
            wait_for("a round of the sweep", lambda: not self.rt.sql(
                "SELECT 1 FROM approval WHERE organization_id = %s AND state = 'pending'",
                self.org.id), within)
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


@contextlib.contextmanager
def leased_elsewhere(rt, name="sweep"):
    """A worker of another program has the lease: the sweep's, or whatever it is for."""
    older = str(uuid.uuid4())
    conn = rt.connect("app")
    try:
        with conn.cursor() as cur:
            cur.execute("SET application_name = 'flopinio-%s'" % older)
        rt.sql("INSERT INTO lease (name, owner, until) VALUES (%s, %s, now() + interval '1 hour') "
               "ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until", name,
               older)
        yield
        assert rt.sql("SELECT owner FROM lease WHERE name = %s", name)[0]["owner"] == older
    finally:
        rt.sql("DELETE FROM lease WHERE owner = %s", older)
        conn.close()


@case(limit=120)
def an_older_program_that_sweeps_keeps_nothing_frozen(rt):
    """While the nodes are replaced one by one: what the console did not move at once stayed as it was,
    and stood still for good behind the end of the stop."""
    many = Many(rt, 600)
    with leased_elsewhere(rt):
        made = stop(many.org)
        wait_for("all to be frozen", lambda: shown(many.org) == [("org", "stopped", 0)], 60)
        assert many.frozen() == 600
        resume(many.org)
        wait_for("all to go on", lambda: shown(many.org) == [], 60)
    assert many.frozen() == 0
    first = row_of(rt, made)
    many.check_later_by(first["lifted_at"] - first["set_at"])
    many.gone()


@case(limit=120)
def what_an_older_program_moves_stood_still_once(rt):
    """Half of them frozen: it lifts the stop, or changes something behind its end. What it let go on
    was frozen again, since when the stop was set, and had that time twice."""
    for lifts in (True, False):
        many = Many(rt, 700)
        org = many.org
        with stuck_at(rt, org, many.ids[600]):
            made = stop(org)
            wait_for("more than the half", lambda: many.frozen() >= 400, 60)
            if not lifts:
                assert resume(org) == {"lifted": 1, "state": "resuming"}
            older = Older(rt, org)
            if lifts:
                older.lift(made)
            older.move()
            older.commit()
            assert many.frozen() >= 400
        wait_for("all to go on", lambda: shown(org) == [], 60)
        ended = rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
        assert many.frozen() == 0
        first, now = row_of(rt, made), many.deadlines()
        many.check_later_by(first["lifted_at"] - first["set_at"])
        twice = [i for i, at in many.before.items() if now[i] - at > ended - first["set_at"]]
        assert not twice, "%d have more time than passed" % len(twice)
        many.gone()


@case(limit=60)
def what_an_older_program_freezes_stood_still_since_the_stop(rt):
    many = Many(rt, 3)
    org = many.org
    with unmoved(rt, org):
        made = stop(org)
        older = Older(rt, org)
        older.move()
        older.commit()
        since = row_of(rt, made)["set_at"]
        assert [r["at"] for r in rt.sql("SELECT DISTINCT frozen_at AS at FROM approval WHERE "
                                        "organization_id = %s", org.id)] == [since]
    resume(org)
    wait_for("all to go on", lambda: shown(org) == [], 30)
    many.gone()


@case(limit=60)
def an_older_program_that_is_alone_again_ends_what_was_left(rt):
    """No worker moves deadlines then: what a stop left half-way stood still for ever."""
    many = Many(rt, 300)
    org = many.org
    with stuck_at(rt, org, many.ids[250]):
        left = stop(org)
        wait_for("more than the half", lambda: many.frozen() >= 200, 60)
        resume(org)
        last = stop(org, "agent", "bot")
        older = Older(rt, org)
        older.cur.execute("DELETE FROM lease WHERE name = 'freeze'")
        older.lift(last)
        older.move()
        older.commit()
        assert [row_of(rt, made)["moving"] for made in (left, last)] == ["thaw", "thaw"]
        assert many.frozen() == 0
    wait_for("nothing to move any more", lambda: shown(org) == [], 60)
    assert many.frozen() == 0
    many.gone()


@case(limit=90)
def a_held_call_hears_that_no_stop_covers_it_any_more(rt):
    """Approved, and stopped by way of a group, it slept without having been frozen: nothing of its row
    changed when its owner left the group."""
    org, clock = Org(rt, files=False, scenario=True, hold="90s"), Clockwork(rt)
    org.control("PATCH", "/people/" + org.olga.name, {"groups": ["ops"]})
    with McpWs(rt, org.credential) as agent:
        agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        with contextlib.ExitStack() as still:
            still.enter_context(unmoved(rt, org))
            assert stop(org, "group", "ops")["state"] == "stopping"
            # Its connection is closed; it comes back to ask.
            wait_for("it to be left", lambda: org.row(approval)["wait_mode"] == "left", 30)
            with McpWs(rt, org.credential) as again:
                call = again.call_start("approval_wait", {"approval_id": approval})
                wait_for("it to be held", lambda: org.row(approval)["wait_mode"] == "held", 30)
                assert org.ann.approve(approval)["state"] == "approved"
                clock.turn(2)
                org.control("PATCH", "/people/" + org.olga.name, {"groups": []})
                clock.turn()
                row = org.row(approval)
                assert (row["state"], row["wait_mode"]) == ("approved", "held"), row
                assert not row["frozen_at"], row
                still.close()
                org.wait_state(approval, "succeeded", timeout=30)
                assert not call.wait().get("isError")
    resume(org, "group", "ops")


@case(limit=120)
def a_stop_ends_while_another_one_changes_all_the_time(rt):
    """Each change of people, of agents, of credentials looks anew at what other stops cover. One that
    had been lifted while it froze waited until there was none for as long as a pass lasts."""
    many = Many(rt, 1200)
    org, is_over = many.org, threading.Event()
    other = stop(org, "group", "ops")
    wait_for("the other one to be through", lambda: shown(org) == [("group", "stopped", 0)], 60)

    def change():
        conn = rt.connect()
        conn.autocommit = False
        with contextlib.closing(conn), conn.cursor() as cur:
            while not is_over.wait(0.005):
                cur.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7338))", (org.id,))
                cur.execute("UPDATE stop SET moving = 'freeze', moving_since = clock_timestamp() WHERE "
                            "organization_id = %s AND stop_id = %s", (org.id, other["id"]))
                conn.commit()
    changing = threading.Thread(target=change, daemon=True)
    try:
        with stuck_at(rt, org, many.ids[1100]):
            made = stop(org)
            wait_for("more than the half", lambda: many.frozen() >= 800, 60)
            resume(org)
            changing.start()
        wait_for("all to go on", lambda: row_of(rt, made)["moving"] is None, 60)
        assert changing.is_alive() and many.frozen() == 0
    finally:
        is_over.set()
    changing.join(30)
    wait_for("the other one to be through", lambda: shown(org) == [("group", "stopped", 0)], 60)
    resume(org, "group", "ops")
    many.gone()


@case(limit=120, sweep_time="3s")
def a_held_row_keeps_up_no_other_organization(rt):
    """Of the others one batch was moved in each round of the sweep."""
    slow, many, rounds = Many(rt, 10), Many(rt, 4000), set()
    with holding(rt, "SELECT 1 FROM approval WHERE approval_id = %s FOR UPDATE", slow.ids[5]):
        stop(slow.org)
        assert shown(slow.org) == [("org", "stopping", 1)]
        made = stop(many.org)

        def is_through():
            rounds.update(r["until"] for r in rt.sql("SELECT until FROM lease WHERE name = 'sweep'"))
            return row_of(rt, made)["moving"] is None
        wait_for("all to be frozen", is_through, 90)
        assert many.frozen() == 4000 and shown(slow.org) == [("org", "stopping", 1)]
    assert len(rounds) <= 5, "%d rounds for eight batches" % len(rounds)
    for each in (slow, many):
        each.gone()


@case(limit=60)
def who_stands_is_not_all_asked_each_second(rt):
    """Of tasks that stand still, and are not frozen yet, each worker looked at every one."""
    many = Many(rt, 700)
    org = many.org
    with unmoved(rt, org):
        stop(org)
        rt.sql("UPDATE approval SET state = 'approved', decided_at = now(), wait_mode = 'task' WHERE "
               "organization_id = %s", org.id)
        conn = rt.connect()
        conn.autocommit = False
        with contextlib.closing(conn), conn.cursor() as cur:
            cur.execute("SET LOCAL track_functions = 'pl'")
            cur.execute("SELECT count(*) FROM sweep_turns(1000) t WHERE t.organization_id = %s", (org.id,))
            assert cur.fetchone() == (0,)
            cur.execute("SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = "
                        "'stop_stands_since'")
            (calls,) = cur.fetchone()
        assert 0 < calls <= 512, calls
        many.gone()
    resume(org)


@case(limit=120)
def stops_that_end_keep_up_nothing_else(rt):
    """Each was lifted in a round of the sweep, by itself, and waited two seconds for whoever had its
    organization: meanwhile nothing expired anywhere, and no worker was alive."""
    slow, other, clock = Org(rt, files=False), Org(rt, files=False), Clockwork(rt)
    ended = ("INSERT INTO stop (organization_id, stop_id, scope, name, reason, set_by, set_at, until) "
             "SELECT %s, gen_random_uuid(), 'tool', 't' || i, 'halt', 'ann', now() - interval '1 "
             "minute', now() FROM generate_series(1, %s) i")
    left = "SELECT count(*) AS n FROM stop WHERE organization_id = %s AND lifted_at IS NULL"
    with holding(rt, "SELECT 1 FROM organization WHERE organization_id = %s FOR NO KEY UPDATE", slow.id):
        rt.sql(ended, slow.id, 60)
        rt.sql(ended, other.id, 30)
        clock.turn(3, within=8)
        wait_for("another organization's to be lifted", lambda: not rt.sql(left, other.id)[0]["n"], 20)
        clock.turn(3, within=8)
        assert rt.sql(left, slow.id)[0]["n"] == 60
    wait_for("its own to be lifted", lambda: not rt.sql(left, slow.id)[0]["n"], 30)
    for org, count in ((slow, 60), (other, 30)):
        assert len(org.audit(kind="stop.lifted")) == count
        wait_for("nothing to move any more", lambda org=org: shown(org) == [], 30)


@case(limit=120)
def many_that_stand_keep_up_nobody_elses_time(rt):
    """The 8,000 that were due first were looked at, of all organizations, and only then whether they
    stand still."""
    many, clock = Many(rt, 8001), Clockwork(rt)
    org, over = many.org, many.ids[17]
    with leased_elsewhere(rt, "freeze"), unmoved(rt, org):
        set_at = row_of(rt, stop(org))["set_at"]
        rt.sql("UPDATE approval SET expires_at = %s + interval '1 millisecond' WHERE organization_id = "
               "%s", set_at, org.id)
        # Whose time was over before the stop does not stand still by it.
        rt.sql("UPDATE approval SET expires_at = %s - interval '1 millisecond' WHERE approval_id = %s",
               set_at, over)
        clock.turn(2)
        wait_for("it to expire", lambda: many.states([over]) == ["expired"], 30)
        rt.sql("UPDATE approval SET expires_at = now() + interval '1 hour', wait_mode = 'left', "
               "grace_until = %s + interval '1 millisecond' WHERE organization_id = %s AND state = "
               "'pending'", set_at, org.id)
        clock.turn(2, "wait_mode = 'left', grace_until = now()")
        assert rt.sql("SELECT state, count(*) AS n FROM approval WHERE organization_id = %s GROUP BY 1 "
                      "ORDER BY 1", org.id) == [{"state": "expired", "n": 1},
                                               {"state": "pending", "n": 8000}]
        conn = rt.connect()
        conn.autocommit = False
        with contextlib.closing(conn), conn.cursor() as cur:
            cur.execute("SET LOCAL track_functions = 'pl'")
            cur.execute("SELECT count(*) FROM sweep_due(2000) d WHERE d.organization_id = %s", (org.id,))
            assert cur.fetchone() == (0,)
            cur.execute("SELECT calls FROM pg_stat_xact_user_functions WHERE funcname = "
                        "'stop_stands_since'")
            (calls,) = cur.fetchone()
        assert 0 < calls <= 200, calls
        many.gone()
    resume(org)


@case(limit=90)
def a_table_that_is_locked_makes_no_worker_a_dead_one(rt):
    """As by a step of the schema: the rounds of the sweep, with their beats, are rolled back. Calls
    that were held were taken for those of a dead worker then."""
    org = Org(rt, files=False, scenario=True, hold="60s")
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        since = rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
        with holding(rt, "LOCK TABLE stop"):
            wait_for("time to pass", lambda: rt.sql(
                "SELECT 1 WHERE clock_timestamp() > %s + interval '12 seconds'", since), 30)
            seen = rt.sql("SELECT clock_timestamp() - seen_at < interval '10 seconds' AS is_alive FROM "
                          "worker WHERE pid = ANY (%s)", rt.workers())
            assert [r["is_alive"] for r in seen] == [True] * len(rt.workers()), seen
        org.sync()
        assert org.row(approval)["wait_mode"] == "held", org.row(approval)
        org.ann.approve(approval)
        assert not call.wait().get("isError")
