"""Commits whose answer is lost: whoever sent them finds out what became of them before anybody is
told anything, so that nothing runs twice and nothing waits for nobody."""
import contextlib
import os
import platform
import signal
import time

from cases import case
from harness import Org, wait_for
from mcp_client import TASKS, McpError, McpWs, text_of
from test_recover import SHORT, database_down, stopped, vote

APPEND = "s__append_line"
INTAKE = "WITH r AS MATERIALIZED"  # the first 1,024 bytes are shown
ANSWER_S = 8.3  # the workers' patience with the database, and a little
WAITS = {"x86_64": ("232", "281", "441"), "aarch64": ("22", "441")}.get(platform.machine())  # epoll's calls


@contextlib.contextmanager
def locked(rt, table):
    """Nobody writes the table until the block, or release(), ends it."""
    conn = rt.connect()
    conn.autocommit = False
    try:
        with conn.cursor() as cur:
            cur.execute("LOCK TABLE %s IN SHARE MODE" % table)
        yield conn.rollback
    finally:
        conn.close()


def waiting_backend(rt, table, statement=""):
    """The backend that waits to write the table with a statement in which this stands."""
    def look():
        rows = rt.sql("SELECT pid FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE relation = "
                      "%s::regclass AND NOT granted AND strpos(query, %s) > 0", table, statement)
        return rows[0]["pid"] if rows else None
    return wait_for("a writer of " + table, look, every=0.005)


@contextlib.contextmanager
def stopped_in_its_wait(pid):
    """Stopped where it waits for events: it has sent what it had to send, and looks at its timers
    before it reads on."""
    def is_waiting():
        os.kill(pid, signal.SIGSTOP)
        wait_for("it to stand", lambda: status() == "T", every=0.001)
        with contextlib.suppress(OSError), open("/proc/%d/syscall" % pid) as f:
            if WAITS and f.read().split()[0] not in WAITS:
                os.kill(pid, signal.SIGCONT)
                return False
        return True

    def status():
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    wait_for("the worker to wait", is_waiting, every=0.001)
    with stopped(pid):
        yield


@contextlib.contextmanager
def answer_lost(rt, worker, statement, start, is_done, table="approval"):
    """start() begins something that writes the table with a statement in which this stands (a sweep
    may write there too). Yields when it is committed and its answer has not been read; with the end
    of the block the worker looks, and it is too late for it."""
    with locked(rt, table) as release:
        start()
        waiting_backend(rt, table, statement)
        with stopped_in_its_wait(worker):
            since = time.monotonic()
            release()
            try:
                wait_for("the commit", is_done)
            except AssertionError as e:
                raise AssertionError("%s: %s" % (e, rt.sql(
                    "SELECT application_name, state, wait_event, left(query, 200) AS query, (SELECT "
                    "array_agg(l.relation::regclass || ' ' || l.mode) FROM pg_locks l WHERE l.pid = "
                    "a.pid AND l.relation IS NOT NULL) AS locks FROM pg_stat_activity a WHERE state "
                    "<> 'idle'"))) from None
            yield
            time.sleep(max(0, since + ANSWER_S - time.monotonic()))


@case(limit=60)
def a_held_call_whose_intake_had_no_answer_is_held(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call = []
        with answer_lost(rt, rt.worker_of(agent.sock), INTAKE,
                         lambda: call.append(agent.call_start(APPEND, {"line": "one"})), org.rows):
            pass
        approval = org.wait_pending()
        assert not call[0].is_done(), call[0].answer
        vote(org, approval)  # its connections are just coming back
        assert text_of(call[0].wait()) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=60)
def a_task_whose_intake_had_no_answer_is_told(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential, modern=True, caps=TASKS) as agent:
        call = []
        with answer_lost(rt, rt.worker_of(agent.sock), INTAKE,
                         lambda: call.append(agent.call_start(APPEND, {"line": "one"})), org.rows):
            pass
        task = call[0].wait()
        assert task["taskId"] == org.rows()[0]["task_id"], task
        vote(org, org.wait_pending())
        org.wait_state(org.rows()[0]["approval_id"], "succeeded")
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=60)
def an_intake_that_was_rolled_back_is_an_error(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        with locked(rt, "approval"):
            call = agent.call_start(APPEND, {"line": "one"})
            rt.sql("SELECT pg_terminate_backend(%s)", waiting_backend(rt, "approval", INTAKE))
            try:
                call.wait()
            except McpError as e:
                assert "before the call was recorded" in e.message, e
            else:
                raise AssertionError("it was answered")
        assert org.rows() == []
        again = agent.call_start(APPEND, {"line": "one"})
        org.ann.approve(org.wait_pending())
        assert text_of(again.wait()) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90)
def an_intake_in_doubt_for_too_long_is_cancelled(rt):
    """The agent was told that it could not be recorded, and asks again: the first one is over."""
    org = Org(rt, files=False, scenario=True, hold="100ms")
    with McpWs(rt, org.credential) as agent:
        worker, call = rt.worker_of(agent.sock), []
        with contextlib.ExitStack() as down:
            with answer_lost(rt, worker, INTAKE,
                             lambda: call.append(agent.call_start(APPEND, {"line": "one"})), org.rows):
                row = org.rows()[0]
                assert row["state"] == "pending"
                down.enter_context(database_down(rt))
            try:
                call[0].wait(20)
            except McpError as e:
                assert "while the call was recorded" in e.message, e
            else:
                raise AssertionError("it was answered")
        org.wait_state(row["approval_id"], "cancelled", timeout=20)
        assert "told that it could not" in org.row(row["approval_id"])["reason"]
    assert org.effects() == []


@case(limit=60)
def an_attachment_that_had_no_answer_holds_nothing(rt):
    """Who comes next takes the call up, instead of waiting beside nobody."""
    org = Org(rt, files=False, scenario=True)
    first = McpWs(rt, org.credential)
    first.call_start(APPEND, {"line": "one"})
    approval = org.wait_pending()
    first.drop()

    def mode(wanted):
        return lambda: org.row(approval)["wait_mode"] == wanted
    wait_for("the caller to be gone", mode("left"))
    with McpWs(rt, org.credential) as agent:
        call = []
        with answer_lost(rt, rt.worker_of(agent.sock), "wait_mode = 'held'", lambda: call.append(
                agent.call_start("approval_wait", {"approval_id": approval})), mode("held")):
            pass
        try:
            call[0].wait()
        except McpError as e:
            assert "lost" in e.message, e
        else:
            raise AssertionError("it was answered")
        wait_for("nobody to hold it", mode("left"))
        again = agent.call_start("approval_wait", {"approval_id": approval})
        wait_for("the next one to hold it", mode("held"))
        vote(org, approval)
        assert text_of(again.wait()) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=60, breaks=True, **SHORT)
def an_outcome_that_comes_when_a_person_has_settled_it_is_in_the_audit(rt):
    """The worker slept through the whole window while its tool worked."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one", "gate": "go"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        org.wait_state(approval, "dispatched")
        wait_for("the effect", org.effects)
        with stopped(rt.worker_of(agent.sock)):
            org.open_gate("go")
            org.wait_state(approval, "unknown", timeout=15)
            org.bob.settle(approval, "failed", "did not find it")
        assert text_of(call.wait()) == "appended"  # what the tool said, not what bob found
        leaf = org.audit(approval, "approval.outcome_late")[0]
        assert leaf["data"]["outcome"] == "succeeded" and leaf["data"]["recorded"] == "failed", leaf
    row = org.row(approval)
    assert row["state"] == "failed" and row["settled_by"] == "bob"
    assert org.effects() == ["one"]


@case(limit=60)
def a_settlement_that_had_no_answer_is_not_made_twice(rt):
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one", "gate": "go"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        org.wait_state(approval, "dispatched")
        wait_for("the effect", org.effects)
        with answer_lost(rt, rt.worker_of(agent.sock), "result_bytes", lambda: org.open_gate("go"),
                         lambda: org.state(approval) == "succeeded"):
            pass
        assert text_of(call.wait()) == "appended"
    kinds = org.kinds(approval)
    assert kinds.count("approval.succeeded") == 1 and "approval.outcome_late" not in kinds, kinds
    assert org.effects() == ["one"]
