"""A rule's `undo`: an approved call does not run before it has passed, and until then whoever
approved it can take that back. And what the metrics say of decisions."""
import json
import re
import time

from cases import case
from cli import Cli
from harness import Org, refused, wait_for
from mcp_client import TASKS, McpHttp, McpWs, text_of

APPEND = "s__append_line"


def waiting(rt, undo="3s", agent=None, **threshold):
    document = json.dumps({"version": 1, "rules": [
        {"name": "writes", "tools": ["*"], "effect": "ask",
         "ask": dict({"thresholds": [dict({"approve": 1}, **threshold)]},
                     **({"undo": undo} if undo else {}))}]})
    org = Org(rt, files=False, scenario=True, policy=document)
    call = McpWs(rt, org.credential).call_start(APPEND, {"line": "one"})
    return org, call, org.wait_pending()


@case()
def it_runs_when_the_time_has_passed(rt):
    org, call, approval = waiting(rt)
    from_ = time.monotonic()
    said = org.ann.approve(approval)
    assert said["is_decided"] and said["text"] == "approved; it can be taken back for 3s", said
    assert "can be taken back for" in org.approval(approval)["card"]["text"]
    assert text_of(call.wait()) == "appended"
    took = time.monotonic() - from_
    assert 2.9 < took < 6, took
    row = org.row(approval)
    assert row["dispatched_at"] >= row["claimable_at"] and org.effects() == ["one"]


@case()
def taken_back_it_does_not_run(rt):
    org, call, approval = waiting(rt)
    org.ann.approve(approval)
    with refused(409, "you have not voted"):
        org.bob.withdraw(approval)
    with refused(409, "approved already"):
        org.bob.reject(approval, "too late for that")
    said = org.ann.withdraw(approval)
    assert said["state"] == "voided" and "does not run" in said["text"], said
    answer = call.wait()
    assert answer["isError"] and "took the approval back" in text_of(answer), answer
    row = org.row(approval)
    assert row["state"] == "voided" and row["dispatched_at"] is None and org.effects() == []
    assert org.kinds(approval)[-2:] == ["approval.withdrawn", "approval.voided"] or \
        "approval.voided" in org.kinds(approval)
    with refused(409, "already"):
        org.ann.approve(approval)


@case()
def nothing_claims_it_before(rt):
    """Neither the sweep for a task, nor an agent that comes back for it."""
    org = Org(rt, files=False, scenario=True, policy=json.dumps({"version": 1, "rules": [
        {"name": "writes", "tools": ["*"], "effect": "ask", "ask": {"undo": "4s"}}]}))
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    agent.call_start(APPEND, {"line": "one"})
    approval = org.wait_pending()
    assert org.row(approval)["wait_mode"] == "task"
    org.ann.approve(approval)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        row = org.row(approval)
        assert row["state"] == "approved" and row["fence"] == 0, row
        time.sleep(0.2)
    org.wait_state(approval, "succeeded")
    assert org.effects() == ["one"]


def stopped(rt, org):
    """For an hour, as far as its approvals can tell; its callers were sent away."""
    org.control("POST", "/stops", {"scope": "org", "name": org.name, "reason": "a look at it"})
    wait_for("it to stand still", lambda: all(
        r["frozen_at"] and r["wait_mode"] == "left" for r in org.rows()))
    hour = "interval '1 hour'"
    rt.sql("UPDATE approval SET " + ", ".join("%s = %s - %s" % (c, c, hour) for c in (
        "frozen_at", "expires_at", "claimable_at")) + " WHERE organization_id = %s", org.id)


def resume(org):
    org.control("POST", "/stops/resume", {"scope": "org", "name": org.name})
    wait_for("it to run on", lambda: not any(r["frozen_at"] for r in org.rows()))


@case(limit=60)
def a_stop_takes_nothing_of_the_time_to_take_it_back(rt):
    """It ran out while the call stood still, and what nobody could take back ran when the stop was
    lifted."""
    for lifts in (False, True):
        org, _, approval = waiting(rt, undo="30s")
        org.ann.approve(approval)
        stopped(rt, org)
        text = org.approval(approval)["card"]["text"]
        assert "stopped since" in text and " s after the stop is lifted, then it runs" in text, text
        if lifts:
            resume(org)
            (left,) = rt.sql("SELECT claimable_at - now() AS left FROM approval WHERE approval_id = %s",
                             approval)
            assert 1 < left["left"].total_seconds() < 30, left
        said = org.ann.withdraw(approval)
        assert said["state"] == "voided" and "does not run" in said["text"], said
        assert org.effects() == []


@case(limit=60)
def what_is_approved_while_it_is_stopped_can_be_taken_back_behind_the_stop(rt):
    org, _, approval = waiting(rt, undo="30s")
    stopped(rt, org)
    said = org.ann.approve(approval)
    assert said["text"] == "approved; stopped, can be taken back until 30s after the stop is lifted", said
    resume(org)
    (left,) = rt.sql("SELECT claimable_at - now() AS left FROM approval WHERE approval_id = %s", approval)
    assert 1 < left["left"].total_seconds() <= 30, left
    assert org.ann.withdraw(approval)["state"] == "voided" and org.effects() == []


@case(limit=60)
def what_is_stopped_says_so_on_its_card(rt):
    """It said that it runs at once, and when it ends without a decision: neither was so."""
    org, _, approval = waiting(rt, undo=None)
    stopped(rt, org)
    text, behind = org.approval(approval)["card"]["text"], "once the stop is lifted and the agent collects it"
    assert "its time stands still; when approved it runs " + behind in text, text
    assert "expires" not in text and "until" not in text, text
    assert org.ann.approve(approval)["text"] == "approved; stopped, runs " + behind
    assert "its time stands still; runs " + behind in org.approval(approval)["card"]["text"]
    resume(org)
    assert "stopped" not in org.approval(approval)["card"]["text"]


@case()
def after_it_nothing_is_taken_back(rt):
    org, call, approval = waiting(rt, undo="1s")
    org.ann.approve(approval)
    assert text_of(call.wait()) == "appended"
    with refused(409, "done already"):
        org.ann.withdraw(approval)
    org, call, approval = waiting(rt, undo=None)
    org.ann.approve(approval)
    with refused(409, "already"):
        org.ann.withdraw(approval)
    call.wait()


@case()
def a_time_that_is_too_long_is_refused(rt):
    for undo in ("2m", "-1s", "soon", 10):
        with refused(400, "undo"):
            waiting(rt, undo=undo)


@case()
def metrics_tell_how_fast_people_decide(rt):
    """How many, how many of them approved, how long they took together, and how many nobody can
    have read; without a name of an organization."""
    names = ("approvals_decided_total", "approvals_approved_total",
             "approvals_decided_under_2s_total", "approvals_decide_milliseconds_total")

    def settled():
        """Workers say once a second how far they are."""
        first = [rt.metric(n) for n in names]
        time.sleep(1.5)
        return first if first == [rt.metric(n) for n in names] else None
    before = wait_for("the last case's to be told", settled)
    org, call, approval = waiting(rt, undo=None)
    rt.sql("UPDATE approval SET created_at = created_at - interval '60 seconds' WHERE approval_id = "
           "%s", approval)
    org.is_edited = True
    org.ann.approve(approval)
    call.wait()
    for verdict in ("approve", "reject"):
        call = McpWs(rt, org.credential).call_start(APPEND, {"line": verdict})
        org.ann.decide(org.wait_pending(), verdict, "because")
        call.wait()

    def told():
        now = [rt.metric(n) - b for n, b in zip(names, before)]
        return now if now[0] >= 3 else None
    decided, approved, fast, ms = wait_for("the metrics", told)
    assert (decided, approved, fast) == (3, 2, 2) and 60000 <= ms < 70000, (decided, approved,
                                                                          fast, ms)
    assert org.name not in rt.metrics()[1]


@case()
def by_the_command_line(rt):
    org, call, approval = waiting(rt, undo="5s")
    cli = Cli(rt, org)
    said = cli("approvals", "approve", approval, token=org.ann.token)
    assert "it can be taken back for 5s" in said.out, said
    assert "it does not run" in cli("approvals", "withdraw", approval, token=org.ann.token).out
    assert call.wait()["isError"] and org.effects() == []
