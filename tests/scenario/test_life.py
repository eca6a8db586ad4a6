"""The life of one call, from the agent's first word to the last audit row: each ending, what the
agent is told, what is on the disk."""
import time

from cases import case
from harness import Org, check_audit, refused, wait_for
from mcp_client import TASKS, McpError, McpHttp, McpStdio, McpWs, text_of

APPROVED = ["approval.requested", "approval.approved", "approval.claimed", "approval.dispatched",
            "approval.succeeded", "approval.delivered"]
APPEND = "s__append_line"
TYPED = """version: 1
rules:
  - name: reads
    tools: ["*"]
    effect: allow
  - name: short
    tools: [s__typed]
    effect: ask
    ask: {after_leave: cancel}
  - name: writes
    tools: ["*"]
    effect: ask
"""


def held(org, agent, tool=APPEND, **arguments):
    """A write that waits: the pending request and the approval's id."""
    arguments.setdefault("line", "one")
    call = agent.call_start(tool, arguments)
    return call, org.wait_pending()


def delivered(org, approval):
    return wait_for("delivery", lambda: org.row(approval)["delivered_at"])


@case()
def approve_once(rt):
    """An agent lists tools, reads, writes; the write waits, is approved, runs once, is told."""
    org = Org(rt)
    org.write("notes.txt", "old\n")
    with McpWs(rt, org.credential) as agent:
        assert {"files__read", "files__write"} <= set(agent.tools())
        assert "old" in text_of(agent.call("files__read", {"path": "notes.txt"}))
        call = agent.call_start("files__write", {"path": "notes.txt", "content": "new\n",
                                                 "overwrite": True})
        approval = org.wait_pending()
        assert org.read("notes.txt") == "old\n"
        said = org.ann.approve(approval)
        assert said["is_decided"] and said["state"] == "approved", said
        result = call.wait()
        assert not result.get("isError"), result
        assert result["_meta"]["dev.flopinio/approvalId"] == approval
        assert org.read("notes.txt") == "new\n"
        row = org.wait_state(approval, "succeeded")
        assert row["dispatch_number"] and row["decided_by"] == "ann", row
        delivered(org, approval)
        assert org.kinds(approval) == APPROVED, org.kinds(approval)
        reads = org.audit(kind="call.read")
        assert [r["data"]["tool"] for r in reads] == ["files__read"], reads
        with refused(409, "it is done already, decided by ann"):
            org.bob.approve(approval)
    assert org.files() == ["notes.txt"]


def over(rt, connect):
    org = Org(rt, files=False, scenario=True)
    agent = connect(org)
    assert APPEND in agent.tools()
    agent.call("s__look", {"line": ""})
    call, approval = held(org, agent, line="yes")
    assert org.effects() == []
    org.ann.approve(approval)
    result = call.wait()
    assert text_of(result) == "appended" and not result.get("isError"), result
    call, second = held(org, agent, line="no")
    org.bob.reject(second, "not on a Friday")
    result = call.wait()
    assert result["isError"] and "not on a Friday" in text_of(result), result
    assert org.effects() == ["yes"]
    delivered(org, approval)
    delivered(org, second)
    assert org.kinds(approval) == APPROVED
    assert org.kinds(second) == ["approval.requested", "approval.rejected", "approval.delivered"]
    agent.close()


@case()
def approve_and_reject_over_stdio(rt):
    over(rt, lambda org: McpStdio(rt, org.credential))


@case()
def approve_and_reject_over_http_with_a_session(rt):
    over(rt, lambda org: McpHttp(rt, org.credential))


@case()
def approve_and_reject_over_http_without_a_session(rt):
    over(rt, lambda org: McpHttp(rt, org.credential, modern=True))


@case()
def approve_and_reject_over_websocket_per_request(rt):
    over(rt, lambda org: McpWs(rt, org.credential, modern=True))


@case()
def a_waiting_client_hears_progress(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"}, progress="p1")
        approval = org.wait_pending()
        first = call.wait_note("notifications/progress")["params"]
        later = call.wait_note("notifications/progress", count=3)["params"]
        assert first["progressToken"] == "p1" and later["progress"] > first["progress"]
        assert approval in later["message"], later
        org.ann.approve(approval)
        call.wait()


@case()
def a_task_runs_when_nobody_waits(rt):
    """A client with the tasks extension gets a task at once; it runs without anybody asking."""
    org = Org(rt, files=False, scenario=True)
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    made = agent.call(APPEND, {"line": "one"})
    assert made["resultType"] == "task" and made["status"] == "working", made
    approval = org.wait_pending()
    assert approval in made["statusMessage"], made
    org.ann.approve(approval)
    org.wait_state(approval, "succeeded")
    assert org.effects() == ["one"]
    assert org.row(approval)["delivered_at"] is None
    got = agent.request("tasks/get", {"taskId": made["taskId"]})
    assert got["status"] == "completed" and text_of(got["result"]) == "appended", got
    delivered(org, approval)
    assert org.kinds(approval) == APPROVED
    again = agent.request("tasks/get", {"taskId": made["taskId"]})
    assert again["result"] == got["result"]
    assert org.effects() == ["one"]


@case(limit=60)
def a_cancellation_that_the_database_refused_is_made_up_for(rt):
    """It stayed in the inbox as waited for by a worker that lives: approved there, nobody would run it."""
    org = Org(rt, files=False, scenario=True)
    since = rt.log_size()
    conn = rt.connect()
    conn.autocommit = False
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        try:
            with conn.cursor() as cur:
                cur.execute("SELECT 1 FROM approval WHERE approval_id = %s FOR UPDATE", (approval,))
            agent.cancel(call)
            # Once while the call was there, and again behind it, which is said, too.
            wait_for("it to be refused", lambda: rt.log(since).count("cancel_failed") == 2, 20)
        finally:
            conn.close()
        org.wait_state(approval, "cancelled")
        assert not call.is_done() and org.effects() == []


@case()
def reject_is_final(rt):
    """The reason arrives as text; nothing runs, no later vote counts."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        said = org.ann.reject(approval, "wrong \u202efile\u0007")
        assert said["state"] == "rejected" and said["is_decided"]
        result = call.wait()
        text = text_of(result)
        assert result["isError"] and "ann" in text and "wrong file" in text, text
        assert "\u202e" not in text and "\u0007" not in text
        assert result["structuredContent"]["decision"] == "rejected", result
        assert result["structuredContent"]["executed"] is False
        for vote in (org.bob.approve, org.ann.approve, org.bob.reject):
            with refused(409, "rejected"):
                vote(approval)
        with refused(409):
            org.ann.withdraw(approval)
        assert org.state(approval) == "rejected"
    assert org.effects() == []


@case()
def reject_reaches_a_tool_with_an_output_schema_as_text(rt):
    """SDK clients check structuredContent against the tool's schema even in an error: there must
    be none that breaks it."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        assert agent.tools()["s__typed"].get("outputSchema")
        call, approval = held(org, agent, "s__typed")
        org.ann.reject(approval, "no counting today")
        result = call.wait()
        assert result["isError"] and "no counting today" in text_of(result)
        assert "structuredContent" not in result, result
        call, approval = held(org, agent, "s__typed", line="two")
        org.ann.approve(approval)
        assert call.wait()["structuredContent"] == {"lines": 1}
    assert org.effects() == ["two"]


def make_due(org, approval):
    org.rt.sql("UPDATE approval SET expires_at = now() - interval '1 second' "
               "WHERE organization_id = %s AND approval_id = %s", org.id, approval)


@case()
def expire_while_waiting(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        make_due(org, approval)
        result = call.wait()
        assert result["isError"] and "expired" in text_of(result), result
        assert org.state(approval) == "expired"
        with refused(409, "expired"):
            org.ann.approve(approval)
        delivered(org, approval)
        assert org.kinds(approval) == ["approval.requested", "approval.expired",
                                       "approval.delivered"]
    assert org.effects() == []


@case()
def expire_after_approval(rt):
    """Approved, nobody came for it: it expires and does not run later."""
    org = Org(rt, files=False, scenario=True, hold="200ms")
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        assert "still pending" in text_of(call.wait())
        said = org.ann.approve(approval)
        assert "when the agent collects it" in said["text"], said
        make_due(org, approval)
        org.wait_state(approval, "expired")
        result = agent.call("approval_wait", {"approval_id": approval})
        assert result["isError"] and "expired" in text_of(result), result
    assert org.effects() == []


@case()
def cancel_before_dispatch(rt):
    """The agent takes it back; no answer follows, no vote counts."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        agent.cancel(call, "changed my mind")
        org.wait_state(approval, "cancelled")
        with refused(409, "cancelled"):
            org.ann.approve(approval)
        agent.request("ping")
        assert not call.is_done()  # a cancelled request is not answered
        assert org.kinds(approval) == ["approval.requested", "approval.cancelled"]
    assert org.effects() == []


@case()
def cancel_a_session_s_request_on_another_connection(rt):
    """Legacy HTTP: the cancellation is a POST of its own and may reach any worker."""
    org = Org(rt, files=False, scenario=True)
    agent = McpHttp(rt, org.credential)
    for i in range(4):
        call, approval = held(org, agent, line=str(i))
        agent.cancel(call)
        org.wait_state(approval, "cancelled")
    assert org.effects() == []


@case()
def cancel_a_task(rt):
    org = Org(rt, files=False, scenario=True)
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    made = agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    agent.request("tasks/cancel", {"taskId": made["taskId"]})
    assert org.state(approval) == "cancelled"
    assert agent.request("tasks/get", {"taskId": made["taskId"]})["status"] == "cancelled"
    agent.request("tasks/cancel", {"taskId": made["taskId"]})  # once more is no error
    assert org.effects() == []


@case()
def the_owner_cancels(rt):
    """The agent's owner may take a call back, and only the owner."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        with refused(404):
            org.ann.cancel(approval)
        assert org.state(approval) == "pending"
        org.olga.cancel(approval, "not needed")
        result = call.wait()
        assert result["isError"] and "cancelled" in text_of(result)
        assert "not needed" in text_of(result), text_of(result)
    assert org.effects() == []


@case()
def cancel_after_dispatch_changes_nothing(rt):
    """Once it is sent it cannot be taken back: the effect stands and is recorded."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent, gate="go")
        org.ann.approve(approval)
        org.wait_state(approval, "dispatched")
        wait_for("the effect", org.effects)
        agent.cancel(call)
        wait_for("the late cancellation's audit row",
                 lambda: "approval.cancel_late" in org.kinds(approval))
        assert org.state(approval) == "dispatched"
        with refused(409, "running"):
            org.olga.cancel(approval)
        org.open_gate("go")
        org.wait_state(approval, "succeeded")
        agent.request("ping")
        assert not call.is_done()
        # Nobody took the outcome: the same call again is told it, and does nothing.
        wait_for("the row to be left", lambda: org.row(approval)["wait_mode"] == "left")
        assert text_of(agent.call(APPEND, {"line": "one", "gate": "go"})) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(dispatch_time="500ms")
def calls_wait_for_their_turn_before_they_are_sent(rt):
    """A server does one thing at a time. What waits for it is still approved, can be taken back,
    and is checked when its turn comes: nothing is sent long after its last check."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        first, running = held(org, agent, gate="go")
        org.ann.approve(running)
        org.wait_state(running, "dispatched")
        calls = [agent.call_start(APPEND, {"line": line}) for line in ("alpha", "beta", "gamma", "delta")]
        waiting = [next(a for a in org.wait_pending(4) if line in card(org, a))
                   for line in ("alpha", "beta", "gamma", "delta")]
        for approval in waiting:
            org.ann.approve(approval)
        time.sleep(1)  # longer than may lie between the last check and the sending
        assert [org.state(a) for a in waiting] == ["approved"] * 4 and org.effects() == ["one"]
        org.olga.cancel(waiting[1], "too late anyway")
        agent.cancel(calls[2])
        org.wait_state(waiting[2], "cancelled")
        assert "cancelled" in text_of(calls[1].wait())
        org.open_gate("go")
        for call in (first, calls[0], calls[3]):
            assert text_of(call.wait()) == "appended"
    assert sorted(org.effects()) == ["alpha", "delta", "one"]
    for approval in (waiting[0], waiting[3]):
        row = org.row(approval)
        assert row["dispatched_at"] <= row["settled_at"] <= row["dispatch_deadline"], row


@case(limit=60, sweep_time="3s")
def an_approved_call_that_has_expired_waits_for_the_sweep(rt):
    """It went for its turn and its claim again and again without a pause, in front of everybody."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        first, running = held(org, agent, gate="go")
        org.ann.approve(running)
        org.wait_state(running, "dispatched")
        call = agent.call_start(APPEND, {"line": "two"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        rt.sql("UPDATE approval SET expires_at = clock_timestamp() WHERE approval_id = %s", approval)
        before = rt.metric("database_batches_total")
        org.open_gate("go")
        assert text_of(first.wait()) == "appended"
        assert "expired" in text_of(call.wait(20))
        time.sleep(1.2)  # workers say it once a second
        assert rt.metric("database_batches_total") - before < 150
    assert org.effects() == ["one"]


@case(dispatch_time="500ms")
def a_turn_that_does_not_come_in_time_is_told_as_pending(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        first, running = held(org, agent, gate="go")
        org.ann.approve(running)
        org.wait_state(running, "dispatched")
        with McpWs(rt, org.add_credential(hold="1s")[1]) as hasty:
            # On the worker that is busy, or on another one: then it just runs.
            call = hasty.call_start(APPEND, {"line": "two"})
            approval = org.wait_pending()
            org.ann.approve(approval)
            text = text_of(call.wait())
            assert text == "appended" or "still pending" in text, text
        org.open_gate("go")
        first.wait()
        assert text_of(agent.call("approval_wait", {"approval_id": approval})) == "appended"
    assert sorted(org.effects()) == ["one", "two"]


def card(org, approval):
    return org.approval(approval)["card"]["text"]


@case()
def what_policy_denies_is_refused_with_its_reason(rt):
    org = Org(rt, files=False, scenario=True, policy="""version: 1
rules:
  - {name: mail, tools: [s__append_line], effect: deny, reason: nothing is appended on Sundays}
  - {name: looks, tools: [s__look], effect: allow}
""")
    with McpWs(rt, org.credential) as agent:
        result = agent.call(APPEND, {"line": "one"})
        assert result["isError"] and "nothing is appended on Sundays" in text_of(result)
        assert agent.call("s__typed", {"line": "x"})["isError"]  # no rule: denied
        try:
            agent.call("s__nothing", {})
        except McpError as e:
            assert e.code == -32602 and "s__nothing" in e.message
        else:
            raise AssertionError("an unknown tool was called")
    assert org.rows() == [] and org.effects() == []
    assert [a["data"]["why"] for a in org.audit(kind="call.denied")] == ["policy", "policy",
                                                                        "unknown_tool"]


@case()
def without_a_policy_nothing_runs(rt):
    org = Org(rt, files=False, scenario=True, policy=None)
    with McpWs(rt, org.credential) as agent:
        assert agent.call("s__look", {"line": ""})["isError"]
        assert agent.call(APPEND, {"line": "x"})["isError"]
    assert org.rows() == [] and org.effects() == []


@case()
def an_allow_is_for_accepted_reads_only(rt):
    """A tool that only says that it reads, and was accepted as a write, is passed over by allow."""
    org = Org(rt, files=False, scenario=True)
    org.accept("s__look", effects="write")
    with McpWs(rt, org.credential) as agent:
        for _ in range(100):  # a worker may know it as a read for a second more
            call = agent.call_start("s__look", {"line": ""})
            wait_for("an answer or a row", lambda: call.is_done() or org.rows())
            if org.rows():
                break
        approval = org.wait_pending()
        org.ann.approve(approval)
        call.wait()
        delivered(org, approval)
        assert org.kinds(approval) == APPROVED


@case()
def a_standing_rule_runs_a_write_unasked_with_a_row(rt):
    org = Org(rt, files=False, scenario=True, policy="""version: 1
rules:
  - {name: log, tools: [s__append_line], effect: allow, standing: true}
""")
    with McpWs(rt, org.credential) as agent:
        assert text_of(agent.call(APPEND, {"line": "one"})) == "appended"
    (row,) = org.rows()
    assert row["state"] == "succeeded" and row["is_standing"] and row["rule"] == "log"
    delivered(org, row["approval_id"])
    assert org.kinds(row["approval_id"]) == [
        "approval.permitted", "approval.claimed", "approval.dispatched", "approval.succeeded",
        "approval.delivered"]
    assert org.effects() == ["one"]


@case()
def invalid_arguments_are_told_with_their_path(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        result = agent.call(APPEND, {"line": 5})
        assert result["isError"] and "/line" in text_of(result), result
        result = agent.call(APPEND, {"line": "x", "colour": "red"})
        assert result["isError"] and "colour" in text_of(result), result
    assert org.rows() == []
    assert len(org.audit(kind="call.invalid")) == 2


@case()
def a_tool_that_fails_is_told_so(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent, "s__fail")
        org.ann.approve(approval)
        result = call.wait()
        assert result["isError"] and "the printer is on fire" in text_of(result)
        assert org.state(approval) == "failed"


@case()
def a_client_that_leaves_collects_with_approval_wait(rt):
    """Held as long as its credential says, told "pending"; approved meanwhile; it runs when the
    agent comes for it, once."""
    org = Org(rt, files=False, scenario=True, hold="200ms")
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        result = call.wait()
        assert result["isError"] and "Not executed" in text_of(result), result
        assert approval in text_of(result) and "approval_wait" in text_of(result)
        assert org.state(approval) == "pending" and org.row(approval)["wait_mode"] == "left"
        status = agent.call("approval_status", {"approval_id": approval})
        assert "pending" in text_of(status), status
    org.ann.approve(approval)
    assert org.effects() == [] and org.state(approval) == "approved"
    with McpStdio(rt, org.add_credential()[1]) as agent:
        status = agent.call("approval_status", {"approval_id": approval})
        assert status["structuredContent"]["decision"] == "approved", status
        assert "was approved by %s" % org.ann.name in text_of(status), status
        assert "approval_wait" in text_of(status) and org.effects() == [], status
        result = agent.call("approval_wait", {"approval_id": approval})
        assert text_of(result) == "appended" and not result.get("isError"), result
        again = agent.call("approval_wait", {"approval_id": approval})
        assert text_of(again) == "appended", again
    assert org.effects() == ["one"]
    delivered(org, approval)
    assert org.kinds(approval) == ["approval.requested", "approval.left", "approval.approved",
                                   "approval.attached", "approval.claimed", "approval.dispatched",
                                   "approval.succeeded", "approval.delivered"]


@case()
def approval_wait_waits_for_the_decision(rt):
    org = Org(rt, files=False, scenario=True, hold="300ms")
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        call.wait()
    with McpWs(rt, org.add_credential()[1]) as agent:
        wait = agent.call_start("approval_wait", {"approval_id": approval})
        wait_for("attachment", lambda: org.row(approval)["wait_mode"] == "held")
        org.ann.reject(approval, "no")
        assert "rejected" in text_of(wait.wait())


@case()
def a_dropped_connection_leaves_the_approval(rt):
    """Legacy: going away is no cancellation. The row stays, and the next connection collects."""
    org = Org(rt, files=False, scenario=True)
    agent = McpWs(rt, org.credential)
    call, approval = held(org, agent)
    agent.drop()
    wait_for("the caller to be gone", lambda: org.row(approval)["wait_mode"] == "left")
    assert org.state(approval) == "pending" and org.row(approval)["grace_until"] is None
    org.ann.approve(approval)
    with McpWs(rt, org.credential) as agent:
        assert text_of(agent.call(APPEND, {"line": "one"})) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(leave_grace="500ms")
def a_broken_modern_stream_is_cancelled_after_its_grace(rt):
    org = Org(rt, files=False, scenario=True)
    agent = McpHttp(rt, org.credential, modern=True)
    call, approval = held(org, agent)
    call.drop()
    row = wait_for("the grace", lambda: org.row(approval)["grace_until"] and org.row(approval))
    assert row["state"] == "pending"
    org.wait_state(approval, "cancelled")
    assert org.kinds(approval) == ["approval.requested", "approval.left", "approval.cancelled"]
    assert org.effects() == []


@case(leave_grace="10s")
def a_broken_modern_stream_may_be_taken_up_within_its_grace(rt):
    org = Org(rt, files=False, scenario=True)
    agent = McpHttp(rt, org.credential, modern=True)
    call, approval = held(org, agent)
    call.drop()
    wait_for("the grace", lambda: org.row(approval)["grace_until"])
    call = agent.call_start(APPEND, {"line": "one"})
    wait_for("the repeat to attach", lambda: org.row(approval)["wait_mode"] == "held")
    assert org.row(approval)["grace_until"] is None
    org.ann.approve(approval)
    assert text_of(call.wait()) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(leave_grace="500ms")
def after_leave_cancel_takes_the_call_back(rt):
    """A rule may say that a call is not wanted once its caller is gone, in every era."""
    org = Org(rt, files=False, scenario=True, policy=TYPED)
    agent = McpWs(rt, org.credential)
    call, approval = held(org, agent, "s__typed")
    agent.drop()
    org.wait_state(approval, "cancelled")
    assert org.effects() == []


@case()
def a_task_is_collected_later_by_another_connection(rt):
    org = Org(rt, files=False, scenario=True)
    first = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    made = first.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    org.ann.reject(approval, "no tasks today")
    with McpWs(rt, org.credential, modern=True, caps=TASKS) as second:
        got = second.request("tasks/get", {"taskId": made["taskId"]})
        assert "no tasks today" in str(got), got
        assert got["status"] in ("completed", "failed", "cancelled"), got
    assert org.effects() == []


@case()
def a_result_too_large_to_keep_is_told_as_executed(rt):
    """A live caller gets it; a late one hears that it ran and how large the result was."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent, bytes=2000000)
        org.ann.approve(approval)
        assert len(text_of(call.wait())) > 2000000
        delivered(org, approval)
        late = agent.call("approval_wait", {"approval_id": approval})
        assert "Executed" in text_of(late) and "not kept" in text_of(late), text_of(late)
        assert org.state(approval) == "succeeded" and org.row(approval)["result"] is None
    assert org.effects() == ["one"]


@case()
def a_vote_on_what_is_over_its_time_expires_it(rt):
    """Between two sweeps the row still says pending: the vote must not win."""
    org = Org(rt, files=False, scenario=True)
    rt.configure(sweep_time="10s")
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        make_due(org, approval)
        with refused(409, "expired"):
            org.ann.approve(approval)
        assert org.state(approval) == "expired"
        assert "expired" in text_of(call.wait())
    assert org.effects() == []


@case()
def a_client_that_goes_while_it_reads(rt):
    """The call outlives its connection: what it read is in the audit, by its whole name."""
    org = Org(rt, files=False, conformance=True)
    for modern in (True, False):
        agent = McpWs(rt, org.credential, modern=modern)
        call = agent.call_start("conf__test_tool_with_progress", progress="p")
        call.wait_note("notifications/progress")
        agent.drop()
    leaves = wait_for("both rows", lambda: (lambda x: len(x) == 2 and x)(org.audit(kind="call.")))
    assert {leaf["data"]["tool"] for leaf in leaves} == {"conf__test_tool_with_progress"}, leaves


# ---- canaries of the check that runs after every case
def caught(org, change, *args):
    org.rt.sql(change, *args)
    try:
        check_audit(org)
    except AssertionError:
        return
    finally:
        org.is_edited = True
    raise AssertionError("the audit's check did not see: " + change)


@case()
def canary_a_missing_audit_row_is_caught(rt):
    for kind in ("requested", "approved", "claimed", "dispatched", "succeeded"):
        org = Org(rt, files=False, scenario=True)
        with McpWs(rt, org.credential) as agent:
            call, approval = held(org, agent)
            org.ann.approve(approval)
            call.wait()
        check_audit(org)
        caught(org, "DELETE FROM audit_event WHERE subject_id = %s AND kind = %s", approval,
               "approval." + kind)


@case()
def canary_a_state_without_its_audit_row_is_caught(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        check_audit(org)
        caught(org, "UPDATE approval SET state = 'rejected' WHERE approval_id = %s", approval)
