"""Intakes that arrive together are one statement, and each of them is judged alone."""
import contextlib
import time

from cases import case
from harness import Org, wait_for
from mcp_client import McpError, McpWs

APPEND, TYPED = "s__append_line", "s__typed"
KEY = "dev.flopinio/idempotencyKey"


@contextlib.contextmanager
def gathered(rt, org):
    """What is asked for inside gathers behind the gate of stops, and goes together."""
    conn = rt.connect()
    with contextlib.closing(conn), conn.cursor() as cur:
        gate = "(hashtextextended(%s, 7338))"
        cur.execute("SELECT pg_advisory_lock" + gate, (org.id,))
        yield
        time.sleep(0.2)  # they are on their way; if one is not, nothing else comes of it
        cur.execute("SELECT pg_advisory_unlock" + gate, (org.id,))


def agents(rt, org, stack, names):
    made = [org.add_agent(name)[1] for name in names]
    org.sync()
    return {n: stack.enter_context(McpWs(rt, token)) for n, token in zip(names, made)}


def refusal(pending):
    try:
        answer = pending.wait()
    except McpError as e:
        return e.message
    assert answer["isError"], answer
    return answer["content"][0]["text"]


@case(limit=60, workers=1, pending_max=3)
def what_is_refused_refuses_nothing_beside_it(rt):
    org = Org(rt, files=False, scenario=True)
    names = ["first", "frozen", "stopped", "keyed", "full", "gone", "fine", "other", "last"]
    with contextlib.ExitStack() as stack:
        of = agents(rt, org, stack, names)
        of["keyed"].call_start(APPEND, {"line": "k"}, meta={KEY: "one"})
        for i in range(3):
            of["full"].call_start(APPEND, {"line": "f%d" % i})
        left_behind = of["gone"].call_start(APPEND, {"line": "g"})
        org.wait_pending(5)
        mine = "(SELECT agent_id FROM agent WHERE organization_id = %s AND name = %s)"
        approval = rt.sql("SELECT approval_id FROM approval WHERE organization_id = %s AND agent_id "
                          "= " + mine, org.id, org.id, "gone")[0]["approval_id"]
        of["gone"].drop()
        wait_for("the caller to be gone", lambda: org.row(approval)["wait_mode"] == "left")
        assert not left_behind.is_done() or left_behind._error
        token = org.add_credential(agent="gone")[1]
        org.sync()
        again = stack.enter_context(McpWs(rt, token))
        with gathered(rt, org):
            calls = {n: of[n].call_start(APPEND, {"line": n}) for n in
                     ("first", "frozen", "stopped", "full", "fine", "last")}
            calls["keyed"] = of["keyed"].call_start(APPEND, {"line": "another"}, meta={KEY: "one"})
            calls["repeat"] = again.call_start(APPEND, {"line": "g"})
            calls["other"] = of["other"].call_start(TYPED, {"line": "other"})
            # Told to nobody but the database, so that only the intake can know of it.
            rt.sql("UPDATE agent SET state = 'frozen' WHERE organization_id = %s AND name = "
                   "'frozen'", org.id)
            rt.sql("INSERT INTO stop (organization_id, stop_id, scope, name, reason, set_by) VALUES "
                   "(%s, gen_random_uuid(), 'agent', 'stopped', 'for the test', 'nobody')", org.id)
        assert "may not act" in refusal(calls["frozen"])
        assert "for the test" in refusal(calls["stopped"])
        assert "other arguments" in refusal(calls["keyed"])
        assert "waiting already" in refusal(calls["full"])
        wait_for("the repeat", lambda: org.row(approval)["wait_mode"] == "held")
        assert org.row(approval)["asked_count"] == 2
        org.wait_pending(5 + 4)
        taken = rt.sql("SELECT g.name, a.tool, a.task_id, a.arguments_bytes FROM approval a JOIN "
                       "agent g USING (organization_id, agent_id) WHERE a.organization_id = %s AND "
                       "g.name IN ('first', 'fine', 'last', 'other')", org.id)
        assert sorted((r["name"], r["tool"]) for r in taken) == [
            ("fine", APPEND), ("first", APPEND), ("last", APPEND), ("other", TYPED)], taken
        rt.sql("UPDATE stop SET lifted_at = now() WHERE organization_id = %s", org.id)


@case(limit=60, workers=1)
def a_group_that_is_stopped_is_found_in_the_database_alone(rt):
    org = Org(rt, files=False, scenario=True)
    org.control("POST", "/groups", {"name": "night", "title": "Night", "members": [org.olga.name]})
    with contextlib.ExitStack() as stack:
        of = agents(rt, org, stack, ["hers"])
        _, token = org.add_agent("his", owner=org.ann)
        org.sync()
        his = stack.enter_context(McpWs(rt, token))
        with gathered(rt, org):
            calls = [a.call_start(APPEND, {"line": "x"}) for a in (of["hers"], his)]
            rt.sql("INSERT INTO stop (organization_id, stop_id, scope, name, reason, set_by) VALUES "
                   "(%s, gen_random_uuid(), 'group', 'night', 'asleep', 'nobody')", org.id)
        assert "asleep" in refusal(calls[0])
        org.wait_pending(1)
        assert not calls[1].is_done()
        rt.sql("UPDATE stop SET lifted_at = now() WHERE organization_id = %s", org.id)


@case(limit=60, workers=1)
def what_the_database_refuses_goes_again_alone(rt):
    """A row that breaks the statement takes none of the others with it."""
    org = Org(rt, files=False, scenario=True)
    names = ["a", "bad", "c", "d"]
    with contextlib.ExitStack() as stack:
        of = agents(rt, org, stack, names)
        bad = rt.sql("SELECT agent_id FROM agent WHERE organization_id = %s AND name = 'bad'",
                     org.id)[0]["agent_id"]
        rt.sql("ALTER TABLE approval ADD CONSTRAINT planted CHECK (agent_id <> '%s')" % bad)
        try:
            with gathered(rt, org):
                calls = {n: of[n].call_start(APPEND, {"line": n}) for n in names}
            assert refusal(calls["bad"])
            org.wait_pending(3)
        finally:
            rt.sql("ALTER TABLE approval DROP CONSTRAINT planted")
        assert not rt.sql("SELECT 1 FROM audit_event WHERE organization_id = %s AND actor_id = %s "
                          "AND kind = 'approval.requested'", org.id, bad)


@case(limit=60, workers=1, pending_max=5)
def an_agents_own_are_one_behind_the_other(rt):
    """The second sees the first: one key is one approval, the limit is exact, each is counted; those
    under the key once in a minute."""
    org = Org(rt, files=False, scenario=True)
    with contextlib.ExitStack() as stack:
        of = agents(rt, org, stack, ["one", "two"])
        with gathered(rt, org):
            keyed = [of["one"].call_start(APPEND, {"line": "k"}, meta={KEY: "k"}) for _ in range(4)]
            many = [of["two"].call_start(APPEND, {"line": "m"}) for _ in range(9)]
        ids = org.wait_pending(6)
        wait_for("four to be refused", lambda: sum(c.is_done() for c in many) == 4)
        assert all("waiting already" in refusal(c) for c in many if c.is_done())
        wait_for("each to be counted", lambda: sorted(org.row(a)["asked_count"] for a in ids) ==
                 [1, 2, 2, 3, 4, 5])
        assert not any(c.is_done() for c in keyed)


def _waits_for_the_gate(rt):
    return rt.sql("SELECT pid, query_start FROM pg_stat_activity WHERE wait_event = 'advisory'")


def _leave_in_the_queue(rt):
    """False: what held the queue up gave up before all had left."""
    org = Org(rt, files=False, scenario=True)
    with contextlib.ExitStack() as stack:
        of = agents(rt, org, stack, ["first", "cancels", "leaves", "stays"])
        with gathered(rt, org):
            of["first"].call_start(APPEND, {"line": "first"})
            held_up = wait_for("the first to be held up", lambda: _waits_for_the_gate(rt))
            calls = {n: of[n].call_start(APPEND, {"line": n}) for n in
                     ("cancels", "leaves", "stays")}
            for name in calls:
                of[name].request("ping")  # the call in front of it was read
            time.sleep(0.2)
            of["cancels"].cancel(calls["cancels"])
            of["cancels"].request("ping")
            of["leaves"].close()
            if _waits_for_the_gate(rt) != held_up:
                return False

        def asked():
            return {r["name"] for r in rt.sql(
                "SELECT g.name FROM approval a JOIN agent g USING (organization_id, agent_id) WHERE "
                "a.organization_id = %s", org.id)}
        wait_for("people to be asked", lambda: "stays" in asked())
        assert asked() <= {"first", "stays"}, asked()
        of["cancels"].request("ping")
        assert not calls["cancels"].is_done()
        assert not calls["stays"].is_done()
    return True


@case(limit=120, workers=1)
def people_are_not_asked_for_who_left_in_the_queue(rt):
    """What waits for the intake before it is taken back when its caller cancels or is gone."""
    assert any(_leave_in_the_queue(rt) for _ in range(10)), "nobody left in time"
