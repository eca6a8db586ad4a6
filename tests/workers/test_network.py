"""What lies between a worker and its database: cut, cut in one direction just when it commits, slow,
silent. Nothing runs twice, nothing is lost, and the other nodes go on."""
import contextlib
import time

from cases import case
from harness import Org, RestError, wait_for
from mcp_client import Gone, McpError, McpWs, text_of
from nodes import Node
from places import FarNode, Namespace, NetServer, Wire
from test_database import OwnRuntime, made
from test_database import end as end_runtime
from test_doubt import ANSWER_S
from test_nodes import at_the_claim, at_the_marker, collected, decide

APPEND = "s__append_line"
TIMES = dict(lease_time="1s", dispatch_time="1s", execute_time="1s", unknown_grace="200ms",
             sweep_time="200ms")
NOTICED_S = 10  # tcp_user_timeout and the timer of each statement


@contextlib.contextmanager
def apart(far_url):
    """(organization, a node beside the database, another one at the URL that far_url makes)"""
    with NetServer() as server:
        app, _ = made(server)
        near = OwnRuntime(server, app, **TIMES)
        near.start()
        org = Org(near, files=False, scenario=True)
        far, end = far_url(near, server, app)
        try:
            far.start()
            yield org, near, far, end
        finally:
            if isinstance(end, Namespace):  # it must get out to say goodbye
                end.mend()
            far.stop()
            far.remove()
            end.remove() if isinstance(end, Namespace) else end.end()
            end_runtime(near)


def in_a_namespace(near, server, app):
    ns = Namespace()
    url = app.replace("@127.0.0.1:", "@%s:" % ns.outside)
    return FarNode(near, ns, url, **TIMES), ns


def behind_a_wire(near, server, app):
    wire = Wire(server.port)
    return Node(near, url=app.replace(":%d/" % server.port, ":%d/" % wire.port), **TIMES), wire


def is_told(agent, tool, arguments, timeout):
    """The agent is told that the database is away; how long it took."""
    since = time.monotonic()
    try:
        agent.call(tool, arguments, timeout=timeout)
    except McpError as e:
        assert "database" in e.message, e
        return time.monotonic() - since
    raise AssertionError("it was answered")


@case(limit=150)
def a_node_cut_off_from_its_database(_rt):
    """It refuses everything, within ten seconds; what it held is decided and runs on the other
    node; when the cable is back, so is the node, by itself."""
    with apart(in_a_namespace) as (org, near, far, ns):
        with ns:
            agent, idle = McpWs(far, org.credential), McpWs(far, org.add_agent("two")[1])
        assert text_of(agent.call("s__look", {"line": ""})) == "appended"
        agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        ns.cut()
        since = time.monotonic()
        took = is_told(idle, "s__look", {"line": ""}, NOTICED_S + 2)
        assert took < NOTICED_S, took
        wait_for("the node to notice", lambda: not far.is_ready(), NOTICED_S)
        org.ann.approve(approval)
        collected(org, near, approval)
        print("    told after %.1f s, taken over after %.1f s" % (took, time.monotonic() - since))
        assert org.effects() == ["one"]
        ns.mend()
        wait_for("the node to be back", far.is_ready, 20)
        assert text_of(idle.call("s__look", {"line": ""})) == "appended"
        time.sleep(0.5)
        assert org.effects() == ["one"] and len(org.rows()) == 1
        agent.drop()
        idle.drop()


@case(limit=150)
def a_node_cut_off_with_a_claim(_rt):
    """Its lease runs out by the database's clock; the call runs elsewhere, once."""
    with apart(in_a_namespace) as (org, near, far, ns):
        with McpWs(near, org.add_credential(hold="100ms")[1]) as agent:
            agent.call(APPEND, {"line": "one"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        with ns:
            agent = McpWs(far, org.credential)
        agent.call("s__look", {"line": ""})
        with at_the_claim(near, lambda: agent.call_start(
                "approval_wait", {"approval_id": approval})) as release:
            ns.cut()
            release()
            org.wait_state(approval, "claimed")
        org.wait_state(approval, "approved", timeout=3)
        collected(org, near, approval)
        ns.mend()
        wait_for("the node to be back", far.is_ready, 30)
        time.sleep(0.5)
        assert org.effects() == ["one"] and len(org.rows()) == 1
        agent.drop()


@case(limit=150)
def the_marker_is_committed_and_only_its_answer_is_lost(_rt):
    """The worker cannot know; it sends nothing, and records so as soon as it can."""
    with apart(in_a_namespace) as (org, near, far, ns):
        with McpWs(near, org.add_credential(hold="100ms")[1]) as agent:
            agent.call(APPEND, {"line": "one"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        with ns:
            agent = McpWs(far, org.credential)
        agent.call("s__look", {"line": ""})
        call = []
        with at_the_marker(org, near, lambda: call.append(agent.call_start(
                "approval_wait", {"approval_id": approval})), approval) as release:
            ns.cut_answers()
            since = time.monotonic()
            release()
            org.wait_state(approval, "dispatched")
        # Nobody else may touch it; when the window is over it is unknown to everybody.
        org.wait_state(approval, "unknown", timeout=2.2 + 2)
        assert org.effects() == []
        wait_for("the node to notice", lambda: not far.is_ready(), NOTICED_S)
        time.sleep(max(0, since + ANSWER_S - time.monotonic()))  # else the answer comes after all
        ns.mend_answers()
        row = org.wait_state(approval, "failed", timeout=30)
        assert "it was not sent: the database did not confirm" in row["outcome"], row
        said = call[0].wait(20)
        assert said["isError"] and "not sent" in text_of(said), said
        assert org.effects() == []
        agent.drop()


@case(limit=120)
def a_slow_database_slows_down_and_nothing_else(_rt):
    """100 ms each way; then silence for longer than anybody waits; then it is as before."""
    with apart(behind_a_wire) as (org, near, far, wire):
        with McpWs(far, org.credential) as agent:
            agent.call("s__look", {"line": ""})
            wire.delay_s, since = 0.1, time.monotonic()
            call = agent.call_start(APPEND, {"line": "one"})
            decide(org, far, org.wait_pending())
            assert text_of(call.wait(20)) == "appended"
            # To record it, to decide, to mark and to record the outcome: there and back each time.
            assert time.monotonic() - since > 4 * 0.2, "the wire was not slow"
            wire.delay_s = 0.0
            call = agent.call_start(APPEND, {"line": "two"})
            approval = org.wait_pending()
            wire.is_held = True
            took = is_told(agent, "s__look", {"line": ""}, NOTICED_S + 2)
            assert took < NOTICED_S, took
            since = time.monotonic()
            try:
                decide(org, far, approval)
            except RestError as e:
                assert e.status == 503, e
            else:
                raise AssertionError("it was decided")
            assert time.monotonic() - since < NOTICED_S
            assert org.state(approval) == "pending"
            wire.is_held = False
            wait_for("the node to be back", far.is_ready, 30)

            def voted():
                try:
                    decide(org, far, approval)
                except RestError as e:
                    if e.status == 409:  # the first vote had come through after all
                        return True
                    assert e.status == 503, e
                    return False
                return True
            wait_for("a vote", voted, 20, 0.2)
            with contextlib.suppress(Gone, McpError):
                assert text_of(call.wait(20)) == "appended"
            org.wait_state(approval, "succeeded")
        assert org.effects() == ["one", "two"] and len(org.rows()) == 2
