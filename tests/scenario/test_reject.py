"""Rejecting everything that an agent waits for, and letting it ask again."""
import json
import threading

from cases import case
from cli import Cli
from harness import Org, refused, wait_for
from mcp_client import McpWs, text_of

APPEND = "s__append_line"


def policy(**threshold):
    return json.dumps({"version": 1, "rules": [
        {"name": "writes", "tools": ["*"], "effect": "ask",
         "ask": {"thresholds": [dict({"approve": 1}, **threshold)]}}]})


def waiting(rt, count, document=None, **settings):
    """An organization whose agent waits for so many different calls."""
    org = Org(rt, files=False, scenario=True, policy=document or policy(), **settings)
    agent = McpWs(rt, org.credential)
    calls = [agent.call_start(APPEND, {"line": "line %d" % i}) for i in range(count)]
    org.wait_pending(count)
    return org, agent, calls


def reject(person, agent="bot", reason="it runs amok", **more):
    return person.rest("POST", person.org.path("/approvals/reject"),
                       dict({"agent": agent, "reason": reason}, **more))


@case(limit=60, pending_max="1000")
def all_of_one_agent_and_of_no_other(rt):
    """More than a batch; another agent's call goes on waiting."""
    org, _, calls = waiting(rt, 120)
    _, credential = org.add_agent("second")
    with McpWs(rt, credential) as second:
        other = second.call_start(APPEND, {"line": "mine"})
        org.wait_pending(121)
        said = reject(org.ann)
        assert said == {"rejected": 120, "voted": 0, "refused": 0, "why": None}, said
        for call in calls:
            assert "it runs amok" in text_of(call.wait())
        org.ann.approve(org.wait_pending())
        assert text_of(other.wait()) == "appended"
    assert org.effects() == ["mine"]
    events = org.audit(kind="approval.rejected")
    assert len(events) == 120 and events[0]["data"]["reason"] == "it runs amok"
    assert reject(org.ann)["rejected"] == 0


@case()
def each_counts_by_its_own_rule(rt):
    """Where two rejections are needed, one person's is one."""
    org, _, calls = waiting(rt, 3, policy(deny=2))
    assert reject(org.ann) == {"rejected": 0, "voted": 3, "refused": 0, "why": None}
    assert len(org.wait_pending(3)) == 3
    assert reject(org.bob)["rejected"] == 3
    assert all(c.wait()["isError"] for c in calls) and org.effects() == []


@case()
def who_may_not(rt):
    org, _, _ = waiting(rt, 2)
    with refused(403, "your role"):
        reject(org.olga)
    with refused(403, "only a person"):
        org.control("POST", "/approvals/reject", {"agent": "bot", "reason": "x"})
    with refused(400, "reason"):
        reject(org.ann, reason=None)
    with refused(404, "no such agent"):
        reject(org.ann, agent="bot2")
    org.control("PATCH", "/agents/bot", {"owner": org.bob.name})
    said = reject(org.bob)  # who owns the agent now decides nothing of it
    assert said["refused"] == 2 and "own the agent" in said["why"], said
    assert len(org.audit(kind="approval.refused")) == 2
    assert len(org.wait_pending(2)) == 2


@case()
def many_that_meet_callers_who_leave_are_rejected_all_the_same(rt):
    """Who moves several of them in another order, and a batch, wait for each other: PostgreSQL rolls
    the batch back, and it goes again. (It was a 409, with nothing rejected.)"""
    org, _, calls = waiting(rt, 2)
    first, second = sorted(r["approval_id"] for r in org.rows())
    one = "SELECT 1 FROM approval WHERE organization_id = %s AND approval_id = %s FOR UPDATE"
    said = []
    with rt.connect() as conn, conn.cursor() as cur:
        conn.autocommit = False
        cur.execute(one, (org.id, second))
        thread = threading.Thread(target=lambda: said.append(reject(org.ann)))
        thread.start()
        wait_for("the batch to wait", lambda: rt.sql(
            "SELECT 1 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))",
            conn.info.backend_pid))
        cur.execute(one, (org.id, first))  # it has waited for longer, so that it looks first
        conn.rollback()
    thread.join(20)
    assert said == [{"rejected": 2, "voted": 0, "refused": 0, "why": None}], said
    for call in calls:
        assert "it runs amok" in text_of(call.wait())


@case()
def reopened_it_may_be_asked_again(rt):
    org, agent, calls = waiting(rt, 1)
    approval = org.wait_pending()
    reopen = org.path("/approvals/%s/reopen" % approval)
    with refused(409, "not rejected"):
        org.ann.rest("POST", reopen, {})
    org.ann.reject(approval, "no")
    assert calls[0].wait()["isError"]
    assert "no" in text_of(agent.call(APPEND, {"line": "line 0"}))  # from the record
    with refused(403):
        org.olga.rest("POST", reopen, {})
    with refused(403):
        org.control("POST", "/approvals/%s/reopen" % approval, {})
    said = org.bob.rest("POST", reopen, {"reason": "it was a misunderstanding"})
    assert said["state"] == "rejected" and said["text"] == "the agent may ask again", said
    with refused(409, "already"):
        org.bob.rest("POST", reopen, {})
    call = agent.call_start(APPEND, {"line": "line 0"})
    second = org.wait_pending()
    assert second != approval
    org.ann.approve(second)
    assert text_of(call.wait()) == "appended"
    event = org.audit(approval, "approval.reopened")
    assert len(event) == 1 and event[0]["data"]["reason"] == "it was a misunderstanding"
    assert org.state(approval) == "rejected"


@case()
def by_the_command_line(rt):
    org, agent, calls = waiting(rt, 2)
    cli = Cli(rt, org)
    all_of = ("approvals", "reject", "--agent", "bot", "--all", "--reason", "enough")
    assert "only a person" in cli(*all_of, status=3).err
    assert "say which" in cli("approvals", "reject", "--reason", "x", token=org.ann.token,
                              status=2).err
    assert "say which" in cli(*(all_of + (org.wait_pending(2)[0],)), token=org.ann.token,
                              status=2).err
    assert "2 rejected" in cli(*all_of, token=org.ann.token).out
    assert all(c.wait()["isError"] for c in calls)
    for row in org.rows():
        said = cli("approvals", "reopen", row["approval_id"], token=org.bob.token)
        assert "may ask again" in said.out, said
    agent.call_start(APPEND, {"line": "line 0"})
    org.wait_pending()
