"""docs/protocol.md over real HTTP: legacy sessions and their streams, progress, cancelling, breaking
and resuming, subscriptions, tasks, and what the agent is told."""
import threading
import time

from cases import case
from harness import POLICY, Org, wait_for
from mcp_client import LEGACY, PREFIX, TASKS, McpWs, text_of
from wire import Wire

APPEND, TYPED, LOOK, SLOW = "s__append_line", "s__typed", "s__look", "s__slow_look"
KEY_ID, KEY = "dev.flopinio/approvalId", "dev.flopinio/approval"
SUBSCRIPTION = PREFIX + "subscriptionId"
ONE = {"name": APPEND, "arguments": {"line": "one"}}


def scenario(rt, **more):
    return Org(rt, files=False, scenario=True, **more)


def refused(a, status, code):
    assert a.status == status and (code is None or a.error["code"] == code), a
    return a


def left(org, approval):
    wait_for("the caller to be gone", lambda: org.row(approval)["wait_mode"] == "left")


# ---------------------------------------------------------------- sessions
@case()
def sessions(rt):
    """Whose they are, how they end, and that every worker knows it."""
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    assert len(session) == 43 and session.isascii() and session.isprintable(), session
    assert w.initialize() != session
    refused(w.legacy("tools/list", {}), 400, -32000)
    refused(w.legacy("tools/list", {}, "A" * 43), 404, -32001)
    refused(w.legacy("tools/list", {}, session + "x"), 404, -32001)
    # An id is no proof of anything: the same answer for another credential of the same agent.
    other = Wire(org, org.add_credential()[1])
    refused(other.legacy("tools/list", {}, session), 404, -32001)
    assert other.delete(session).status == 404
    assert other.get(session).status == 404
    assert w.legacy("tools/list", {}, session).status == 200
    # The version of the handshake, or none.
    for version in (LEGACY, None):
        assert w.legacy("ping", None, session,
                        headers={"MCP-Protocol-Version": version}).status == 200
    for _ in range(6):  # whichever worker answers
        session = w.initialize()
        assert w.legacy("ping", None, session).status == 200
        assert w.delete(session).status in (200, 204)
        for _ in range(4):
            refused(w.legacy("ping", None, session), 404, -32001)
        assert w.delete(session).status == 404


@case(limit=60, breaks=True)
def a_second_initialize_aborts_no_worker_at_its_stop(rt):
    """Whoever says hello again, with the session that they have, gets another one."""
    w = Wire(scenario(rt))
    session = w.initialize()
    hello = {"protocolVersion": LEGACY, "capabilities": {},
             "clientInfo": {"name": "wire", "version": "1"}}
    another = w.legacy("initialize", hello, session).headers["mcp-session-id"]
    assert another != session
    for each in (session, another):
        assert w.legacy("ping", None, each).status == 200
    assert w.delete(session).status in (200, 204)
    refused(w.legacy("ping", None, session), 404, -32001)
    since = rt.log_size()
    assert rt.stop() == 0
    assert "assertion failed" not in rt.log(since) and "AddressSanitizer" not in rt.log(since)
    rt.start()


@case()
def deleting_a_session_ends_its_streams(rt):
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    with w.get(session) as stream, w.legacy_stream("tools/call", ONE, session) as call:
        assert stream.status == call.status == 200
        approval = org.wait_pending()
        assert w.delete(session).status in (200, 204)
        assert stream.rest() == [] and call.rest() == []
    left(org, approval)  # nobody cancelled it: it can be collected in another session
    org.ann.approve(approval)
    session = w.initialize()
    result = w.legacy("tools/call", ONE, session).result
    assert text_of(result) == "appended" and org.effects() == ["one"], result


@case()
def batches_only_in_2025_03_26(rt):
    org = scenario(rt)
    w = Wire(org)
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    for version in ("2024-11-05", "2025-06-18", LEGACY):
        session = w.initialize(version)
        a = w.post([ping], {"Mcp-Session-Id": session, "MCP-Protocol-Version": version})
        refused(a, 400, -32600)
    version = "2025-03-26"
    session = w.initialize(version)
    headers = {"Mcp-Session-Id": session, "MCP-Protocol-Version": version}
    a = w.post([ping, dict(ping, id="two"), {"jsonrpc": "2.0", "method": "notifications/initialized"},
                dict(ping, id=3, method="tools/fly")], headers)
    assert a.status == 200, a
    answers = {m["id"]: m for m in (e.message for e in a.events) if m}
    assert answers[1]["result"] == {} and answers["two"]["result"] == {}, answers
    assert answers[3]["error"]["code"] == -32601 and len(answers) == 3, answers
    a = w.post([{"jsonrpc": "2.0", "method": "notifications/initialized"}], headers)
    assert a.status == 202 and a.body == b"", a
    refused(w.post([], headers), 400, -32600)
    refused(w.post([ping] * 65, headers), 400, -32600)
    init = {"jsonrpc": "2.0", "id": 9, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "w",
                                                                       "version": "1"}}}
    a = w.post([ping, init], headers)
    assert a.status == 400 or [m for m in (e.message for e in a.events)
                               if m and m["id"] == 9 and "error" in m], a
    message, modern = w.modern_parts("tools/list")
    refused(w.post([message], modern), 400, -32600)


# ---------------------------------------------------------------- GET streams
@case()
def the_get_stream(rt):
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    refused_stream = w.get(session, {"Accept": "application/json"})
    assert refused_stream.status == 406
    with w.get(session) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        second = w.get(session)
        assert second.status == 409, second.status
        wait_for("a comment, each keepalive_time", lambda: stream.next(comments=True).comments)
        org.control("POST", "/tools/%s/quarantine" % LOOK)
        assert stream.message()["method"] == "notifications/tools/list_changed"
    # When it is gone another one may be opened, in whichever worker.
    def again():
        with w.get(session) as stream:
            return stream.status == 200
    wait_for("the place to be free", again)
    assert LOOK not in [t["name"] for t in w.legacy("tools/list", {}, session).result["tools"]]


@case()
def events_are_numbered_and_primed(rt):
    org = scenario(rt)
    w = Wire(org)
    for version, is_primed in (("2025-03-26", False), ("2025-06-18", False), (LEGACY, True)):
        session = w.initialize(version)
        with w.legacy_stream("tools/call", ONE, session, version=version) as call:
            approval = org.wait_pending()
            event = call.next() if is_primed else None
            if is_primed:
                assert event.data in ([], [""]) and event.retry and event.id, vars(event)
            org.ann.approve(approval)
            last = call.next()
            assert last.id and last.message["id"] == 1, vars(last)
            name, number = last.id.rsplit("_", 1)
            if is_primed:
                assert event.id == name + "_0" and int(number) == 1, (event.id, last.id)
            assert call.next() is None


# ---------------------------------------------------------------- progress
@case()
def progress_while_people_are_asked(rt):
    """Strictly rising, the token with its type, one a second at most, nothing behind the answer."""
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    for token, ask in (("t", w.modern_stream), (7, lambda m, p, **k: w.legacy_stream(
            m, dict(p, _meta=k["meta"]), session))):
        with ask("tools/call", dict(ONE, arguments={"line": str(token)}),
                 meta={"progressToken": token}) as call:
            approval = org.wait_pending()
            notes, until = [], time.monotonic() + 5
            while time.monotonic() < until:
                notes.append(call.message())
            org.ann.approve(approval)
            answer = [m for m in call.rest() if "id" in m][0]
        assert all(n["method"] == "notifications/progress" for n in notes), notes
        values = [n["params"]["progress"] for n in notes]
        assert values == sorted(set(values)), values
        assert all(n["params"]["progressToken"] == token and
                   type(n["params"]["progressToken"]) is type(token) for n in notes), notes
        assert all("total" not in n["params"] for n in notes), notes
        assert approval in notes[0]["params"]["message"], notes[0]
        # Each progress_time (300 ms) there is something to say, 17 times; ten may come at once.
        assert 5 <= len(notes) <= 10 + 5, len(notes)
        assert text_of(answer["result"]) == "appended", answer
    assert org.effects() == ["t", "7"]


@case()
def comments_where_nobody_asked_for_progress(rt):
    org = scenario(rt)
    w = Wire(org)
    with w.modern_stream("tools/call", ONE) as call:
        approval = org.wait_pending()
        for _ in range(2):
            event = call.next(comments=True)
            assert event.comments and not event.data, vars(event)
        org.ann.reject(approval, "no")
        assert "rejected" in text_of(call.message()["result"])


# ---------------------------------------------------------------- cancelling and breaking
@case()
def a_broken_modern_stream_is_a_cancellation(rt):
    """After the grace; until then a repeat attaches."""
    org = scenario(rt)
    w = Wire(org)
    with w.modern_stream("tools/call", ONE):
        approval = org.wait_pending()
    left(org, approval)
    with w.modern_stream("tools/call", ONE, request_id=2) as call:
        wait_for("attachment", lambda: org.row(approval)["wait_mode"] == "held")
        org.ann.approve(approval)
        assert text_of(call.message()["result"]) == "appended"
    with w.modern_stream("tools/call", dict(ONE, arguments={"line": "two"})):
        second = org.wait_pending()
    org.wait_state(second, "cancelled")
    assert org.effects() == ["one"]
    # A posted cancellation has no meaning in this era.
    with w.modern_stream("tools/call", dict(ONE, arguments={"line": "three"}),
                         request_id="r") as call:
        third = org.wait_pending()
        assert w.modern("notifications/cancelled", {"requestId": "r"},
                        request_id=None).status == 202
        org.ann.approve(third)
        assert text_of(call.message()["result"]) == "appended"


@case()
def a_broken_legacy_stream_is_none(rt):
    """It waits until it expires; the client that comes back to the stream gets the answer there."""
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    with w.legacy_stream("tools/call", ONE, session, request_id="mine") as call:
        approval = org.wait_pending()
        last = call.next().id
    left(org, approval)
    time.sleep(2.5)  # more than leave_grace
    assert org.state(approval) == "pending"
    org.ann.approve(approval)
    assert org.effects() == [] and org.state(approval) == "approved"
    with w.get(session, {"Last-Event-ID": last}) as stream:
        assert stream.status == 200
        answer = stream.message()
        assert answer["id"] == "mine" and text_of(answer["result"]) == "appended", answer
    wait_for("delivery", lambda: org.row(approval)["delivered_at"])
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case()
def resuming_before_the_decision(rt):
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    with w.legacy_stream("tools/call", ONE, session, request_id=5) as call:
        approval = org.wait_pending()
        last = call.next().id
    left(org, approval)
    with w.get(session, {"Last-Event-ID": last}) as stream:
        wait_for("attachment", lambda: org.row(approval)["wait_mode"] == "held")
        org.ann.reject(approval, "not now")
        answer = stream.message()
        assert answer["id"] == 5 and "not now" in text_of(answer["result"]), answer
    for bad in ("nonsense", "abc_1"):
        assert w.get(session, {"Last-Event-ID": bad}).status == 400, bad
    other = w.initialize()
    assert w.get(other, {"Last-Event-ID": last}).status == 400


@case(workers=1)
def a_result_that_nobody_took_is_kept(rt):
    """The stream breaks while the tool works: the answer waits in the stream, and is delivered to
    whoever comes first, by the stream or by a repeat."""
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    for line, comes_back in (("a", True), ("b", False)):
        call = {"name": APPEND, "arguments": {"line": line, "gate": "gate-" + line}}
        with w.legacy_stream("tools/call", call, session, request_id=line) as stream:
            approval = org.wait_pending()
            last = stream.next().id
            org.ann.approve(approval)
            org.wait_state(approval, "dispatched")
        org.open_gate("gate-" + line)
        org.wait_state(approval, "succeeded")
        time.sleep(0.3)
        assert org.row(approval)["delivered_at"] is None
        if comes_back:
            with w.get(session, {"Last-Event-ID": last}) as stream:
                answer = stream.message()
                assert answer["id"] == line and text_of(answer["result"]) == "appended", answer
                assert stream.message() is None
        else:
            wait_for("it to be missed", lambda: rt.sql(
                "SELECT settled_at < now() - interval '5 seconds' AS is_old FROM approval "
                "WHERE approval_id = %s", approval)[0]["is_old"])
            assert text_of(w.legacy("tools/call", call, session).result) == "appended"
        wait_for("delivery", lambda: org.row(approval)["delivered_at"])
    assert org.effects() == ["a", "b"] and len(org.rows()) == 2


@case()
def a_legacy_cancellation(rt):
    """notifications/cancelled, in whichever worker; the request is never answered."""
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    for turn in range(4):
        with w.legacy_stream("tools/call", dict(ONE, arguments={"line": str(turn)}), session,
                             request_id=turn) as call:
            approval = org.wait_pending()
            a = w.legacy("notifications/cancelled", {"requestId": turn, "reason": "changed my mind"},
                         session, request_id=None)
            assert a.status == 202 and a.body == b"", a
            org.wait_state(approval, "cancelled")
            assert call.rest() == []
    assert org.effects() == []
    # What is not there, is over, or is another session's is ignored; so is what names nothing,
    # which cancelled the newest call of the session.
    with w.legacy_stream("tools/call", ONE, session, request_id=9) as call:
        approval = org.wait_pending()
        for params in ({"requestId": 77}, {"requestId": 0}, {}, {"requestId": None},
                       {"requestId": {}}, {"reason": "a task"}):
            assert w.legacy("notifications/cancelled", params, session,
                            request_id=None).status in (202, 400), params
        other = w.initialize()
        w.legacy("notifications/cancelled", {"requestId": 9}, other, request_id=None)
        w.legacy("notifications/cancelled", {"requestId": "9"}, session, request_id=None)
        for _ in range(8):  # in each worker, behind what it does about them
            w.legacy("ping", None, session)
        time.sleep(0.3)
        assert org.row(approval)["state"] == "pending"
        org.ann.approve(approval)
        assert [m["id"] for m in call.rest()] == [9]


@case()
def a_tool_that_was_sent_hears_of_the_cancellation(rt):
    """The suite's slow tool ends early; its own outcome stands."""
    policy = POLICY.replace("  - name: reads\n    tools: [\"*\"]\n    effect: allow\n", "")
    org = Org(rt, files=False, policy=policy)
    org.add_server("conf", "conformance", {})
    for tool in org.control("GET", "/tools")["items"]:
        org.accept(tool["name"], effects="write", tool=tool)
    slow = {"name": "conf__slow_compute", "arguments": {"seconds": 15}}
    w = Wire(org)
    task = w.modern("tools/call", slow, caps=TASKS).result["taskId"]
    approval = org.wait_pending()
    org.ann.approve(approval)
    org.wait_state(approval, "dispatched")
    a = w.modern("tasks/cancel", {"taskId": task}, caps=TASKS)
    assert {k: v for k, v in a.result.items() if k != "_meta"} == {"resultType": "complete"}, a
    org.wait_state(approval, "failed", "succeeded", "unknown")
    assert "approval.cancel_late" in org.kinds(approval), org.kinds(approval)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(slow["name"], slow["arguments"])
        approval = org.wait_pending()
        org.ann.approve(approval)
        org.wait_state(approval, "dispatched")
        agent.cancel(call)
        org.wait_state(approval, "failed", "succeeded", "unknown")
        time.sleep(0.2)
        assert not call.is_done()


@case(workers=3)
def a_read_s_stream_is_resumed_in_any_worker(rt):
    """A slow read's stream begins before the answer; the client comes back to it while the tool
    works, or later, and whichever worker takes the connection."""
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    for turn in range(8):
        call = {"name": SLOW, "arguments": {"line": "x", "gate": "gate%d" % turn}}
        with w.legacy_stream("tools/call", dict(call, _meta={"progressToken": turn}), session,
                             request_id=turn) as stream:
            first = stream.next()
            assert first.id.endswith("_0"), vars(first)
        if turn % 2:
            org.open_gate("gate%d" % turn)
        with w.get(session, {"Last-Event-ID": first.id}) as stream:
            assert stream.status == 200, (turn, stream.status)
            assert stream.headers["content-type"].startswith("text/event-stream")
            org.open_gate("gate%d" % turn)
            answer = stream.message()
            assert answer["id"] == turn and not answer["result"].get("isError"), answer
            assert stream.next() is None
        # It can be read again, from any event on, by its own session only.
        for seq, wanted in ((0, [turn]), (1, [])):
            with w.get(session, {"Last-Event-ID": first.id[:-1] + str(seq)}) as stream:
                assert [m["id"] for m in stream.rest()] == wanted
    name = first.id[:-2]
    for bad in (name + "_7", "ff" + name[2:] + "_0", "zz" + name[2:] + "_0", name[:2] + "_0"):
        assert w.get(session, {"Last-Event-ID": bad}).status == 400, bad
    assert w.get(w.initialize(), {"Last-Event-ID": first.id}).status == 400


@case(workers=3)
def a_relayed_stream_ends_with_either_side(rt):
    org = scenario(rt)
    w = Wire(org)
    session = w.initialize()
    for turn in range(4):
        call = {"name": SLOW, "arguments": {"line": "x", "gate": "gate%d" % turn}}
        with w.legacy_stream("tools/call", call, session, request_id=turn) as stream:
            first = stream.next()
        for _ in range(3):  # cut again and again
            with w.get(session, {"Last-Event-ID": first.id}) as stream:
                assert stream.status == 200
                assert stream.next(comments=True).comments
        with w.get(session, {"Last-Event-ID": first.id}) as stream:
            assert stream.status == 200
            if turn == 3:
                assert w.delete(session).status in (200, 204)
                assert stream.rest() == []
            else:
                org.open_gate("gate%d" % turn)
                assert [m["id"] for m in stream.rest()] == [turn]


# ---------------------------------------------------------------- subscriptions
@case()
def listening_to_lists(rt):
    org = scenario(rt)
    w = Wire(org)
    asked = {"notifications": {"toolsListChanged": True, "promptsListChanged": True,
                               "resourceSubscriptions": ["file:///x"]}}
    with w.modern_stream("subscriptions/listen", asked, request_id=1) as number, \
            w.modern_stream("subscriptions/listen", asked, request_id="1") as text, \
            w.modern_stream("subscriptions/listen", {"notifications": {}}, request_id=3) as deaf:
        for stream, mine in ((number, 1), (text, "1"), (deaf, 3)):
            first = stream.message()
            assert first["method"] == "notifications/subscriptions/acknowledged", first
            granted = first["params"]["notifications"]
            assert granted == ({"toolsListChanged": True} if mine != 3 else {}), first
            got = first["params"]["_meta"][SUBSCRIPTION]
            assert got == mine and type(got) is type(mine), first
        org.control("POST", "/tools/%s/quarantine" % LOOK)
        for stream, mine in ((number, 1), (text, "1")):
            note = stream.message()
            assert note["method"] == "notifications/tools/list_changed", note
            got = note["params"]["_meta"][SUBSCRIPTION]
            assert got == mine and type(got) is type(mine), note
        assert deaf.next(3, comments=True).comments
    for bad in ({"toolsListChanged": "yes"}, {"taskIds": "x"}, {"taskIds": [7]},
                {"taskIds": ["t"] * 257}):
        refused(w.modern("subscriptions/listen", {"notifications": bad}, caps=TASKS), 200, -32602)
    refused(w.modern("subscriptions/listen", {"notifications": {"taskIds": ["x"]}}), 400, -32021)
    assert w.modern("subscriptions/listen", {}).error["code"] == -32602


@case(breaks=True)
def a_listen_ends_with_a_goodbye(rt):
    org = scenario(rt)
    w = Wire(org)
    with w.modern_stream("subscriptions/listen", {"notifications": {"toolsListChanged": True}},
                         request_id=4) as stream:
        stream.message()
        stopping = threading.Thread(target=rt.stop)
        stopping.start()
        last = stream.message()
        assert last["id"] == 4 and last["result"]["resultType"] == "complete", last
        assert last["result"]["_meta"][SUBSCRIPTION] == 4, last
        assert stream.message() is None
        stopping.join()
    rt.start()


@case()
def listening_to_tasks(rt):
    org = scenario(rt)
    w = Wire(org)
    task = w.modern("tools/call", ONE, caps=TASKS).result["taskId"]
    other = org.add_agent("other")[1]
    foreign = Wire(org, other).modern("tools/call", ONE, caps=TASKS).result["taskId"]
    with w.modern_stream("subscriptions/listen",
                         {"notifications": {"taskIds": [task, foreign, "made-up"]}},
                         caps=TASKS, request_id=8) as stream:
        first = stream.message()
        assert first["params"]["notifications"] == {"taskIds": [task]}, first
        approval = rt.sql("SELECT approval_id FROM approval WHERE task_id = %s", task)[0]
        org.ann.reject(approval["approval_id"], "never")
        note = stream.message()
        assert note["method"] == "notifications/tasks", note
        assert note["params"]["taskId"] == task and note["params"]["status"] == "completed", note
        assert "never" in text_of(note["params"]["result"]), note
        assert note["params"]["_meta"][SUBSCRIPTION] == 8, note


@case(limit=60)
def one_failed_look_leaves_no_listener_deaf(rt):
    """The change was heard of, and its row could not be read at that moment."""
    org = scenario(rt)
    w = Wire(org)
    task = w.modern("tools/call", ONE, caps=TASKS).result["taskId"]
    approval = org.wait_pending()
    with w.modern_stream("subscriptions/listen", {"notifications": {"taskIds": [task]}},
                         caps=TASKS) as stream:
        assert stream.message()["params"]["notifications"] == {"taskIds": [task]}
        rt.sql("CREATE FUNCTION test_deaf(id uuid) RETURNS bool LANGUAGE plpgsql AS $$BEGIN "
               "IF id = '%s' AND position('task_id = $1' in current_query()) > 0 THEN PERFORM "
               "nextval('test_looks'); RAISE EXCEPTION 'not now'; END IF; RETURN true; END$$" % approval)
        rt.sql("CREATE SEQUENCE test_looks; GRANT USAGE ON SEQUENCE test_looks TO PUBLIC")

        def looks():
            return rt.sql("SELECT CASE WHEN is_called THEN last_value ELSE 0 END AS n FROM "
                          "test_looks")[0]["n"]
        try:
            rt.sql("CREATE POLICY test_deaf ON approval AS RESTRICTIVE FOR SELECT USING "
                   "(test_deaf(approval_id))")
            assert w.modern("tasks/get", {"taskId": task}, caps=TASKS).error
            before = looks()
            org.ann.reject(approval, "never")
            wait_for("the listener's look to fail", lambda: looks() > before)
        finally:
            rt.sql("DROP FUNCTION test_deaf CASCADE; DROP SEQUENCE test_looks")
        note = stream.message()
        assert note["params"]["taskId"] == task and "never" in text_of(note["params"]["result"])


# ---------------------------------------------------------------- tasks
HEAD = {"taskId", "status", "statusMessage", "createdAt", "lastUpdatedAt", "ttlMs",
        "pollIntervalMs", "resultType", "_meta"}


@case()
def tasks_of_every_ending(rt):
    org = scenario(rt)
    w = Wire(org)

    def create(line, tool=APPEND):
        a = w.modern("tools/call", {"name": tool, "arguments": {"line": line}}, caps=TASKS)
        made = a.result
        assert made["resultType"] == "task" and set(made) <= HEAD, made
        assert made["status"] == "working" and len(made["taskId"]) >= 22, made
        assert made["pollIntervalMs"] == 2000 and made["ttlMs"] >= 1800000, made
        row = rt.sql("SELECT approval_id, state FROM approval WHERE task_id = %s", made["taskId"])
        assert row and row[0]["state"] == "pending", "the answer came before the row"
        return made["taskId"], row[0]["approval_id"]

    def get(task):
        return w.modern("tasks/get", {"taskId": task}, caps=TASKS).result

    def wait(task, status):
        return wait_for(status, lambda: get(task)["status"] == status and get(task), 15)

    task, approval = create("one")
    now = get(task)
    assert now["status"] == "working" and approval in now["statusMessage"], now
    assert "result" not in now and now["resultType"] == "complete", now
    org.ann.approve(approval)
    done = wait(task, "completed")
    assert text_of(done["result"]) == "appended" and not done["result"].get("isError"), done
    assert done["result"]["_meta"][KEY_ID] == approval, done
    assert org.effects() == ["one"]
    wait_for("delivery", lambda: org.row(approval)["delivered_at"])

    task, approval = create("two")
    org.ann.reject(approval, "no, \u202ereally")
    done = wait(task, "completed")
    assert done["result"]["isError"] and '"no, really"' in text_of(done["result"]), done
    assert done["result"]["structuredContent"]["decision"] == "rejected", done

    task, approval = create("three", TYPED)
    org.ann.reject(approval, "typed")
    done = wait(task, "completed")
    assert "structuredContent" not in done["result"], done
    assert done["result"]["_meta"][KEY]["decision"] == "rejected", done

    task, approval = create("four")
    for _ in range(2):
        a = w.modern("tasks/cancel", {"taskId": task}, caps=TASKS).result
        assert set(a) <= {"resultType", "_meta"} and a["resultType"] == "complete", a
    done = wait(task, "cancelled")
    assert "result" not in done and "error" not in done, done
    assert org.state(approval) == "cancelled"

    task, approval = create("five")
    a = w.modern("tasks/update", {"taskId": task, "inputResponses": {"x": {}}}, caps=TASKS).result
    assert a["resultType"] == "complete" and get(task)["status"] == "working", a
    org.olga.cancel(approval, "not wanted")
    wait(task, "cancelled")
    assert org.effects() == ["one"]


@case()
def tasks_of_others_and_none(rt):
    org = scenario(rt)
    w = Wire(org)
    task = w.modern("tools/call", ONE, caps=TASKS).result["taskId"]
    other = Wire(org, org.add_agent("other")[1])
    stranger = Wire(scenario(rt))
    for method in ("tasks/get", "tasks/update", "tasks/cancel"):
        texts = set()
        for wire, asked in ((other, task), (stranger, task), (w, "made-up"), (w, "")):
            a = refused(wire.modern(method, {"taskId": asked}, caps=TASKS), 200, -32602)
            texts.add(a.error["message"])
        assert len(texts) == 1, texts
        a = refused(w.modern(method, {"taskId": task}), 400, -32021)
        assert a.error["data"]["requiredCapabilities"] == TASKS, a
    for method in ("tasks/list", "tasks/result"):
        refused(w.modern(method, {"taskId": task}, caps=TASKS), 404, -32601)
    # Another credential of the same agent is the same requester.
    again = Wire(org, org.add_credential()[1])
    assert again.modern("tasks/get", {"taskId": task}, caps=TASKS).result["status"] == "working"
    # Without the extension there is no task, whatever the era.
    session = w.initialize()
    for ask in (lambda: w.modern_stream("tools/call", dict(ONE, arguments={"line": "x"})),
                lambda: w.legacy_stream("tools/call", dict(
                    ONE, arguments={"line": "y"}, task={"ttl": 60000}), session)):
        before = len(org.rows())
        with ask() as call:
            wait_for("a row", lambda: len(org.rows()) == before + 1)
            row = org.rows()[-1]
            assert row["task_id"] is None and row["wait_mode"] == "held", row
            org.ann.reject(row["approval_id"], "no")
            assert "rejected" in text_of(call.rest()[-1]["result"])


# ---------------------------------------------------------------- what the agent is told
@case()
def what_the_agent_is_told(rt):
    """The table, over WebSocket; clients and tasks have the same words."""
    org = scenario(rt, hold="300ms")
    deny = POLICY + "  - name: never\n    tools: [s__fail]\n    effect: deny\n"
    org.apply(POLICY.replace("  - name: writes", "  - name: no-failing\n    tools: [s__fail]\n"
                             "    effect: deny\n    reason: not here\n  - name: writes"))
    assert deny
    with McpWs(rt, org.credential) as agent:
        def told(result, begins, decision, executed, keys=()):
            text = text_of(result)
            assert text.startswith(begins) and result["isError"] is True, result
            kept = result["structuredContent"]
            assert kept["decision"] == decision and kept["executed"] is executed, result
            for key in keys:
                assert kept[key], result
            return text
        first = agent.call(APPEND, {"line": "a"})
        approval = first["_meta"][KEY_ID]
        text = told(first, "Not executed yet: approval %s is still pending" % approval, "pending",
                    False, ("approvalId", "expiresAt"))
        assert 'approval_wait with {"approval_id":"%s"}' % approval in text, text
        told(agent.call("approval_status", {"approval_id": approval}), "Not executed yet",
             "pending", False)
        org.ann.reject(approval, "wrong\x1b[31m\nline")
        text = told(agent.call("approval_wait", {"approval_id": approval}),
                    "Not executed: approval %s was rejected" % approval, "rejected", False,
                    ("decidedBy", "reason"))
        assert "\x1b" not in text and "\n" not in text, text
        second = agent.call(APPEND, {"line": "b"})["_meta"][KEY_ID]
        org.olga.cancel(second, "not needed")
        told(agent.call("approval_wait", {"approval_id": second}),
             "Not executed: approval %s was cancelled" % second, "cancelled", False)
        third = agent.call(APPEND, {"line": "c"})["_meta"][KEY_ID]
        org.ann.approve(third)
        org.control("POST", "/tools/%s/quarantine" % APPEND)
        told(agent.call("approval_wait", {"approval_id": third}),
             "Not executed: approval %s was approved by ann, but" % third, "voided", False)
        text = told(agent.call("s__fail", {"line": "d"}),
                    "Not executed: the policy does not allow", "denied", False)
        assert "not here" in text, text
        result = agent.call("approval_wait", {"approval_id": "x"})
        assert result["isError"] and "/approval_id" in text_of(result), result
    assert org.effects() == []


@case()
def a_task_that_nobody_fetched_is_found_by_a_repeat(rt):
    """Its client is gone for good: the same call gets the outcome instead of asking people again."""
    org = scenario(rt)
    w = Wire(org)
    task = w.modern("tools/call", ONE, caps=TASKS).result["taskId"]
    org.ann.approve(org.wait_pending())
    approval = wait_for("it to run", lambda: [r for r in org.rows() if r["state"] == "succeeded"])
    # At once it could still be fetched: two live identical calls are two approvals.
    again = w.modern("tools/call", ONE, caps=TASKS).result
    assert again["status"] == "working" and again["taskId"] != task, again
    w.modern("tasks/cancel", {"taskId": again["taskId"]}, caps=TASKS)
    wait_for("it to be missed", lambda: rt.sql(
        "SELECT settled_at < now() - interval '6 seconds' AS is_old FROM approval WHERE "
        "approval_id = %s", approval[0]["approval_id"])[0]["is_old"], 10)
    assert text_of(w.modern("tools/call", ONE, caps=TASKS).result) == "appended"
    wait_for("delivery", lambda: org.row(approval[0]["approval_id"])["delivered_at"])
    assert org.effects() == ["one"]
