"""Two to four nodes on one database: any of them decides, any of them runs, each call runs once; and
one that stood still for too long sends nothing when it goes on."""
import contextlib
import random
import threading
import time

from cases import case
from harness import Org, wait_for
from mcp_client import TASKS, Gone, McpError, McpHttp, McpWs, text_of
from nodes import Node
from test_doubt import locked, waiting_backend
from test_recover import locked as statement_locked
from test_recover import stopped

APPEND = "s__append_line"
TIMES = dict(lease_time="1s", dispatch_time="500ms", execute_time="1s", unknown_grace="200ms",
             database_connections="16")
LOCK_S = 10  # the database ends a transaction in which nothing is said for so long (pg_conn.c)


@contextlib.contextmanager
def nodes(rt, count):
    """An organization, and so many nodes beside the first one."""
    org = Org(rt, files=False, scenario=True)
    made = [Node(rt, **{k: v for k, v in TIMES.items() if k != "database_connections"})
            for _ in range(count)]
    try:
        for node in made:
            node.start()
        yield [org] + made
    finally:
        for node in made:
            node.stop()
            node.remove()


def decide(org, node, approval, verdict="approve"):
    node.rest("POST", org.path("/approvals/%s/decision" % approval),
              {"verdict": verdict, "binding": org.binding(approval)}, org.ann.token)


def approved_and_left(org, rt):
    """An approval that is approved, and that nobody has collected."""
    with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
        agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    return approval


def collected(org, rt, approval):
    """On another node than that which holds it and stands still: behind its silence of 10 s."""
    with McpWs(rt, org.credential) as other:
        result = other.call("approval_wait", {"approval_id": approval}, timeout=30)
        assert text_of(result) == "appended", result


@contextlib.contextmanager
def at_the_marker(org, rt, start, approval):
    """start() makes some worker run it. Yields when its marker has come to the database, where it
    waits; what is yielded lets it commit."""
    with contextlib.ExitStack() as stack:
        recheck = stack.enter_context(contextlib.ExitStack())
        recheck.enter_context(statement_locked(
            rt, "LOCK TABLE flopinio.vote IN ACCESS EXCLUSIVE MODE"))
        start()
        org.wait_state(approval, "claimed")
        release = stack.enter_context(locked(rt, "audit_event"))
        recheck.close()
        waiting_backend(rt, "audit_event")
        yield release


@contextlib.contextmanager
def at_the_claim(rt, start):
    """The same for the claim of an approval_wait that start() begins: it attaches first. The next
    lock is asked for behind the attachment, and so is granted behind it, before the claim."""
    with contextlib.ExitStack() as stack:
        release = stack.enter_context(locked(rt, "audit_event"))
        start()
        waiting_backend(rt, "audit_event")
        held = []
        behind = threading.Thread(
            target=lambda: held.append(stack.enter_context(locked(rt, "audit_event"))))
        behind.start()
        wait_for("the second lock to queue", lambda: len(rt.sql(
            "SELECT 1 FROM pg_locks WHERE relation = 'audit_event'::regclass AND NOT granted")) == 2)
        release()
        behind.join()
        waiting_backend(rt, "audit_event")
        yield held[0]


# ---------------------------------------------------------------- several nodes
@case(limit=90, **TIMES)
def decided_on_one_node_runs_on_another(rt):
    """Asked on the first, approved on the second, collected on the third; and a task, whose node is
    stopped, runs on whichever is there."""
    with nodes(rt, 2) as (org, second, third):
        with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
            assert "pending" in text_of(agent.call(APPEND, {"line": "one"})).lower()
        approval = org.wait_pending()
        decide(org, second, approval)
        with McpWs(third, org.credential) as agent:
            assert text_of(agent.call(APPEND, {"line": "one"})) == "appended"
        # Held on the second while the third decides: it runs where the caller is.
        with McpWs(second, org.credential) as agent:
            call = agent.call_start(APPEND, {"line": "two"})
            decide(org, third, org.wait_pending())
            assert text_of(call.wait()) == "appended"
        task = McpHttp(third, org.credential, modern=True, caps=TASKS).call(APPEND,
                                                                           {"line": "three"})
        approval = org.wait_pending()
        third.stop()
        decide(org, second, approval)
        org.wait_state(approval, "succeeded")
        look = McpHttp(second, org.credential, modern=True, caps=TASKS)
        assert look.request("tasks/get", {"taskId": task["taskId"]})["status"] == "completed"
        assert org.effects() == ["one", "two", "three"]


@case(limit=120, **TIMES)
def calls_cross_four_nodes_and_run_once(rt):
    """Thirty calls on any node, decided on any other, half of the callers gone and back elsewhere."""
    rng = random.Random(7)
    with nodes(rt, 3) as (org, *more):
        places = [rt] + more
        agents = [org.add_agent("m%d" % i)[1] for i in range(6)]
        for turn in range(5):
            held = []
            for i, credential in enumerate(agents):
                client = McpWs(rng.choice(places), credential)
                line = "%d-%d" % (turn, i)
                held.append((client, client.call_start(APPEND, {"line": line}), line, credential))
            ids = org.wait_pending(len(agents))
            gone = held[::2]
            for client, *_ in gone:
                client.drop()
            for approval in ids:
                decide(org, rng.choice(places), approval)
            for client, call, *_ in held[1::2]:
                assert text_of(call.wait(20)) == "appended"
                client.close()
            for _, _, line, credential in gone:
                with McpWs(rng.choice(places), credential) as back:
                    assert text_of(back.call(APPEND, {"line": line}, timeout=20)) == "appended"
        wanted = sorted("%d-%d" % (t, i) for t in range(5) for i in range(6))
        assert sorted(org.effects()) == wanted, org.effects()
        assert len(org.rows()) == 30


# ---------------------------------------------------------------- one that stood still
@case(limit=60, **TIMES)
def a_zombie_that_had_claimed_sends_nothing(rt):
    """It stands still with its claim; the lease runs out, another node runs the call; then it goes
    on: its marker is refused by the fence."""
    with nodes(rt, 1) as (org, node):
        approval = approved_and_left(org, rt)
        zombie = node.worker()
        agent = McpWs(node, org.credential)
        with at_the_claim(rt, lambda: agent.call_start(
                "approval_wait", {"approval_id": approval})) as release:
            with stopped(zombie):
                release()
                since = time.monotonic()
                row = org.wait_state(approval, "claimed")
                org.wait_state(approval, "approved", timeout=3)  # the lease, and 2 s
                assert time.monotonic() - since >= 0.9, "before its lease was over"
                collected(org, rt, approval)
        time.sleep(1)  # what it does now, it does at once
        now = org.row(approval)
        assert now["state"] == "succeeded" and now["fence"] == row["fence"] + 1, now
        assert org.effects() == ["one"] and org.kinds(approval).count("approval.dispatched") == 1
        agent.drop()


@case(limit=90, **TIMES)
def a_zombie_in_the_middle_of_marking_holds_its_row_no_longer_than_the_database_allows(rt):
    """It stands still inside its transaction: the row stays locked until the database ends that,
    then it is free again. It sends nothing when it goes on."""
    with nodes(rt, 1) as (org, node):
        approval = approved_and_left(org, rt)
        zombie = node.worker()
        agent = McpWs(node, org.credential)
        with contextlib.ExitStack() as vote:
            vote.enter_context(statement_locked(
                rt, "LOCK TABLE flopinio.vote IN ACCESS EXCLUSIVE MODE"))
            agent.call_start("approval_wait", {"approval_id": approval})
            org.wait_state(approval, "claimed")
            waiting_backend(rt, "vote")
            with stopped(zombie):
                vote.close()
                since = time.monotonic()
                org.wait_state(approval, "approved", timeout=LOCK_S + 1 + 2)
                assert time.monotonic() - since > 1.5, "it was not locked"
                collected(org, rt, approval)
        time.sleep(1)
        assert org.state(approval) == "succeeded"
        assert org.effects() == ["one"] and org.kinds(approval).count("approval.dispatched") == 1
        agent.drop()


@case(limit=60, **dict(TIMES, lease_time="5s"))
def a_zombie_that_had_marked_sends_nothing(rt):
    """Its marker is committed and it has not read so when it stands still, for longer than its
    deadline."""
    with nodes(rt, 1) as (org, node):
        approval = approved_and_left(org, rt)
        zombie = node.worker()
        with McpWs(node, org.credential) as agent:
            call = []
            with at_the_marker(org, rt, lambda: call.append(agent.call_start(
                    "approval_wait", {"approval_id": approval})), approval) as release:
                with stopped(zombie):
                    release()
                    org.wait_state(approval, "dispatched")
                    time.sleep(0.7)
            row = org.wait_state(approval, "failed")
            assert "too long between the last check and the sending" in row["outcome"], row
            said = call[0].wait()
            assert said["isError"] and "not sent" in text_of(said), said
        assert org.effects() == []


@case(limit=60, **dict(TIMES, lease_time="5s"))
def a_zombie_sends_nothing_behind_run_it_again(rt):
    """It stands still until its call is unknown and a person had it run again, once."""
    with nodes(rt, 1) as (org, node):
        approval = approved_and_left(org, rt)
        zombie = node.worker()
        agent = McpWs(node, org.credential)
        with at_the_marker(org, rt, lambda: agent.call_start(
                "approval_wait", {"approval_id": approval}), approval) as release:
            with stopped(zombie):
                release()
                row = org.wait_state(approval, "dispatched")
                org.wait_state(approval, "unknown", timeout=0.5 + 1 + 0.2 + 2)
                new = org.ann.settle(approval, "again", "it is not in the file")["new_id"]
                org.bob.approve(new)
                org.wait_state(new, "succeeded")
        with contextlib.suppress(Gone, McpError, TimeoutError):
            agent.call("s__look", {"line": ""}, timeout=10)  # it is awake
        time.sleep(0.5)
        assert org.effects() == ["one"], org.effects()
        assert org.row(approval)["fence"] == row["fence"] and org.state(approval) == "failed"
        agent.drop()


@case(limit=60, **TIMES)
def a_node_that_stands_still_keeps_nobody_from_deciding(rt):
    """What waits on it is decided, and collected, on another node meanwhile."""
    with nodes(rt, 1) as (org, node):
        agent = McpWs(node, org.credential)
        agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        with stopped(node.worker()):
            org.ann.approve(approval)
            collected(org, rt, approval)
        time.sleep(0.5)
        assert org.effects() == ["one"] and len(org.rows()) == 1
        agent.drop()
