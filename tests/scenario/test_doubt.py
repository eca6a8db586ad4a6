"""Commits whose answer is lost: whoever sent them finds out what became of them before anybody is
told anything, so that nothing runs twice and nothing waits for nobody."""
import contextlib
import os
import platform
import signal
import threading
import time

from cases import case
from harness import Org, wait_for
from mcp_client import TASKS, McpError, McpWs, text_of
from nodes import Node, behind_a_line
from test_recover import SHORT, database_down, stopped, vote

APPEND = "s__append_line"
KEY = "dev.flopinio/idempotencyKey"
GATE = b"approval_intake_gate"  # the first statement of an intake, by its name
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


def lost(call, text, timeout=20):
    """It is an error that says so."""
    try:
        call.wait(timeout)
    except McpError as e:
        assert text in e.message, e
    else:
        raise AssertionError("it was answered")


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
            lost(call, "before the call was recorded")
        assert org.rows() == []
        again = agent.call_start(APPEND, {"line": "one"})
        org.ann.approve(org.wait_pending())
        assert text_of(again.wait()) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90)
def an_intake_in_doubt_for_too_long_is_cancelled(rt):
    """The agent was told that it could not be recorded, and asks again, by the same idempotency key: the
    first one is over, and is not the answer to the second."""
    org = Org(rt, files=False, scenario=True, hold="100ms")
    key = {KEY: "the order of Monday"}
    with McpWs(rt, org.credential) as agent:
        worker, call = rt.worker_of(agent.sock), []
        with contextlib.ExitStack() as down:
            with answer_lost(rt, worker, INTAKE,
                             lambda: call.append(agent.call_start(APPEND, {"line": "one"}, key)),
                             org.rows):
                row = org.rows()[0]
                assert row["state"] == "pending"
                down.enter_context(database_down(rt))
            lost(call[0], "while the call was recorded")
        org.wait_state(row["approval_id"], "cancelled", timeout=20)
        assert "told that it could not" in org.row(row["approval_id"])["reason"]
    assert org.effects() == []
    with McpWs(rt, org.add_credential()[1]) as agent:
        again = agent.call_start(APPEND, {"line": "one"}, key)
        vote(org, org.wait_pending())
        assert text_of(again.wait()) == "appended"
        assert text_of(agent.call(APPEND, {"line": "one"}, key)) == "appended"  # it has its key
    assert org.effects() == ["one"] and len(org.rows()) == 2


@contextlib.contextmanager
def nobody_ends_backends(rt):
    """As where the server does not let a role do it."""
    rt.sql("REVOKE EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint) FROM PUBLIC")
    try:
        yield
    finally:
        rt.sql("GRANT EXECUTE ON FUNCTION pg_terminate_backend(integer, bigint) TO PUBLIC")


@case(limit=60)
def an_intake_that_the_server_had_not_begun_ran_behind_the_agents_back(rt):
    """The server is busy: it has the intake, and comes to it when the agent has been told."""
    org = Org(rt, files=False, scenario=True)
    with behind_a_line(rt) as (line, node), \
            McpWs(node, org.credential, modern=True, caps=TASKS) as agent:
        line.keep(GATE)
        lost(agent.call_start(APPEND, {"line": "one"}), "before the call was recorded")
        line.let_go()
        assert org.rows() == []
        agent.call(APPEND, {"line": "one"})
        approval = org.wait_pending()
        vote(org, approval)
        org.wait_state(approval, "succeeded")
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=60)
def as_long_as_an_intake_may_still_be_recorded_nobody_says_that_it_was_not(rt):
    """Neither to the agent nor to what takes it back, which goes on until it is there."""
    org = Org(rt, files=False, scenario=True)
    with nobody_ends_backends(rt), behind_a_line(rt) as (line, node), \
            McpWs(node, org.add_credential(hold="1s")[1], modern=True, caps=TASKS) as agent:
        line.keep(GATE)
        lost(agent.call_start(APPEND, {"line": "one"}), "while the call was recorded")
        wait_for("a try to take it back", lambda: "cancel_failed" in node.log())
        assert "backend_not_ended" in node.log() and org.rows() == []
        line.let_go()
        approval = wait_for("the row", org.rows)[0]["approval_id"]
        org.wait_state(approval, "cancelled")
    assert org.effects() == [] and len(org.rows()) == 1


@contextlib.contextmanager
def no_standby(rt):
    """Commits wait for a standby, and there is none. waiting(words): the backend whose commit does, of a
    statement that begins so."""
    probe, write = rt.connect(), "SELECT pg_logical_emit_message(true, '', '')"
    is_over = threading.Event()

    def waiting(words):
        rows = rt.sql("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND "
                      "strpos(query, %s) = 1", words)
        return rows[0]["pid"] if rows else None

    def write_on():
        with probe.cursor() as cur:
            while not is_over.wait(0.02):
                cur.execute(write)
    rt.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    thread = threading.Thread(target=write_on, daemon=True)
    try:
        rt.sql("SELECT pg_reload_conf()")
        thread.start()
        wait_for("commits to wait", lambda: waiting(write))
        yield waiting
    finally:
        is_over.set()
        rt.sql("ALTER SYSTEM RESET synchronous_standby_names")
        rt.sql("SELECT pg_reload_conf()")
        thread.join(20)
        probe.close()


@case(limit=60, workers=1)
def a_task_was_told_before_a_standby_had_it(rt):
    """Its backend was ended when it had committed here, and only waited for one: it is there to be seen,
    and lost with this server."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential, modern=True, caps=TASKS) as agent:
        with no_standby(rt) as waiting:
            call = agent.call_start(APPEND, {"line": "one"})
            pid = wait_for("the intake to wait for a standby", lambda: waiting(INTAKE), every=0.005)
            rt.sql("SELECT pg_terminate_backend(%s)", pid)
            wait_for("the row", org.rows)
            wait_for("the look to wait for one", lambda: waiting("SELECT a.approval_id, a.state"))
            assert not call.is_done(), call.answer
        assert call.wait()["taskId"] == org.rows()[0]["task_id"]
        vote(org, org.wait_pending())
        org.wait_state(org.rows()[0]["approval_id"], "succeeded")
    assert org.effects() == ["one"] and len(org.rows()) == 1


@contextlib.contextmanager
def untold(rt, caps=None, meta=None, **settings):
    """(org, approval, line, node): a call on the node, which is cut off from its database just when it
    is recorded. Its agent was told that it could not be; the node is still cut off."""
    org = Org(rt, files=False, scenario=True)
    with behind_a_line(rt, **settings) as (line, node):
        with McpWs(node, org.add_credential(hold="100ms")[1], modern=bool(caps),
                   caps=caps) as agent:
            line.cut_off(GATE)
            call = agent.call_start(APPEND, {"line": "one"}, meta)
            approval = wait_for("the commit", org.rows)[0]["approval_id"]
            lost(call, "while the call was recorded")
        yield org, approval, line, node


def back_and_away(line, node):
    """The node has its database again, and stops when it has done what it had left undone there."""
    line.mend()
    wait_for("the node's database", node.is_ready)
    assert node.stop() == 0 and "drain_cut_short" not in node.log(), node.log()


@case(limit=90, workers=1)
def a_call_that_another_node_took_up_was_cancelled_by_the_first(rt):
    """It was cut off for longer than it is taken for alive."""
    with untold(rt, drain_time="30s") as (org, approval, line, node):
        wait_for("the node to be given up", lambda: org.row(approval)["wait_mode"] == "left", 30)
        with McpWs(rt, org.credential) as agent:
            call = agent.call_start(APPEND, {"line": "one"})
            wait_for("attachment", lambda: org.row(approval)["asked_count"] == 2)
            back_and_away(line, node)
            assert org.state(approval) == "pending"
            vote(org, approval)
            assert text_of(call.wait()) == "appended"
        assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90, workers=1)
def a_call_that_an_agent_was_told_of_elsewhere_was_cancelled_by_the_first(rt):
    """Nobody waits for it just then: it comes back for it."""
    with untold(rt, drain_time="30s") as (org, approval, line, node):
        wait_for("the node to be given up", lambda: org.row(approval)["wait_mode"] == "left", 30)
        with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
            assert approval in text_of(agent.call(APPEND, {"line": "one"}))
        back_and_away(line, node)
        vote(org, approval)
        with McpWs(rt, org.credential) as agent:
            assert text_of(agent.call("approval_wait", {"approval_id": approval})) == "appended"
        assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90, workers=1)
def a_held_call_that_an_agent_was_told_of_elsewhere_was_cancelled_by_the_first(rt):
    """By its key, before the first node was given up: its row says that that one holds it."""
    key = {KEY: "the order of Monday"}
    with untold(rt, drain_time="30s", meta=key) as (org, approval, line, node):
        with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
            assert approval in text_of(agent.call(APPEND, {"line": "one"}, key))
        back_and_away(line, node)
        assert org.state(approval) == "pending"
        vote(org, approval)
        with McpWs(rt, org.credential) as agent:
            assert text_of(agent.call("approval_wait", {"approval_id": approval})) == "appended"
        assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90, workers=1)
def a_held_call_of_a_node_that_is_back_goes_to_who_asked_again(rt):
    """Nobody waits there for what it holds by its row, and it is not taken for dead."""
    key = {KEY: "the order of Monday"}
    with untold(rt, meta=key) as (org, approval, line, node), McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"}, key)
        wait_for("the note", lambda: org.row(approval)["asked_count"] == 2)
        line.mend()
        wait_for("the other to hold it", lambda: org.row(approval)["asked_count"] == 3)
        vote(org, approval)
        assert text_of(call.wait()) == "appended"
        assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90, workers=1)
def a_task_that_an_agent_asked_for_again_elsewhere_was_cancelled_by_the_first(rt):
    key = {KEY: "the order of Monday"}
    with untold(rt, drain_time="30s", caps=TASKS, meta=key) as (org, approval, line, node):
        with McpWs(rt, org.credential, modern=True, caps=TASKS) as agent:
            task = agent.call(APPEND, {"line": "one"}, key)["taskId"]
            assert org.row(approval)["task_id"] == task and org.row(approval)["asked_count"] == 2
            back_and_away(line, node)
            assert org.state(approval) == "pending"
            vote(org, approval)
            wait_for("the end", lambda: agent.request("tasks/get", {"taskId": task})["status"]
                     == "completed")
        assert org.effects() == ["one"] and len(org.rows()) == 1


def see_it_gone(node, agent):
    """Its connection breaks, and the node has seen that."""
    wanted = "0100007F:%04X 0100007F:%04X" % (node.port, agent.sock.getsockname()[1])

    def is_there():
        with open("/proc/net/tcp") as f:
            return wanted in f.read()
    assert is_there()
    agent.drop()
    wait_for("the node to see it", lambda: not is_there())


@case(limit=60, workers=1)
def a_task_that_an_agent_was_told_of_elsewhere_was_cancelled_where_it_had_left(rt):
    """Its stream broke while the task was recorded, and that node hears last that it was."""
    org, key = Org(rt, files=False, scenario=True), {KEY: "the order of Monday"}
    node = Node(rt, drain_time="30s")
    try:
        node.start()
        with locked(rt, "approval") as release:
            first = McpWs(node, org.credential, modern=True, caps=TASKS)
            first.call_start(APPEND, {"line": "one"}, key)
            waiting_backend(rt, "approval", INTAKE)
            see_it_gone(node, first)
            with stopped_in_its_wait(node.worker()):
                release()
                approval = wait_for("the commit", org.rows)[0]["approval_id"]
                with McpWs(rt, org.credential, modern=True, caps=TASKS) as agent:
                    task = agent.call(APPEND, {"line": "one"}, key)["taskId"]
        assert task == org.row(approval)["task_id"] and node.stop() == 0
    finally:
        node.stop()
        node.remove()
    vote(org, approval)
    org.wait_state(approval, "succeeded")
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90, workers=1)
def a_task_that_was_taken_back_just_when_its_agent_asked_again_is_another_one(rt):
    """The second node has found it, and has not noted yet that its agent is there."""
    key = {KEY: "the order of Monday"}
    with untold(rt, caps=TASKS, meta=key) as (org, approval, line, node), \
            behind_a_line(rt) as (slow, other), \
            McpWs(other, org.credential, modern=True, caps=TASKS) as agent:
        passes = slow.hold(b"approval_ask_again")
        call = agent.call_start(APPEND, {"line": "one"}, key)
        assert slow.has_hit.wait(10)
        line.mend()
        org.wait_state(approval, "cancelled")
        passes.set()
        task = call.wait()["taskId"]
        second = org.wait_pending()
        assert org.row(second)["task_id"] == task
        vote(org, second)
        org.wait_state(second, "succeeded")
        assert org.effects() == ["one"] and len(org.rows()) == 2


@case(limit=90, workers=1)
def a_task_ran_though_all_that_its_agent_heard_was_errors(rt):
    """That it asked again was noted, and the answer lost: what was told first is not taken back then."""
    key = {KEY: "the order of Monday"}
    with untold(rt, drain_time="30s", caps=TASKS, meta=key) as (org, approval, line, node), \
            behind_a_line(rt) as (second, other), \
            McpWs(other, org.credential, modern=True, caps=TASKS) as agent:
        second.cut_off(b"approval_ask_again")
        call = agent.call_start(APPEND, {"line": "one"}, key)
        wait_for("the note", lambda: org.row(approval)["asked_count"] == 2)
        back_and_away(line, node)
        assert org.state(approval) == "pending"
        second.mend()
        assert call.wait()["taskId"] == org.row(approval)["task_id"]
        vote(org, approval)
        org.wait_state(approval, "succeeded")
        assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=60, workers=1)
def a_repeat_had_no_answer_while_its_node_was_cut_off(rt):
    """Its hold ends all the same. Where its note may be there it hears what it repeats; else, that it
    cannot be told."""
    org, key = Org(rt, files=False, scenario=True), {KEY: "the order of Monday"}
    with McpWs(rt, org.credential) as first, behind_a_line(rt) as (line, node), \
            McpWs(node, org.add_credential(hold="100ms")[1]) as agent:
        call = first.call_start(APPEND, {"line": "one"}, key)
        approval = org.wait_pending()
        line.cut_off(b"approval_ask_again")
        again = agent.call_start(APPEND, {"line": "one"}, key)
        assert line.has_hit.wait(10)
        assert approval in text_of(again.wait(15))
        line.mend()
        wait_for("the node's database", node.is_ready)
        line.cut_off(b"approval_get")
        lost(agent.call_start(APPEND, {"line": "one"}, key), "the database")
        vote(org, approval)
        assert text_of(call.wait()) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90, workers=1)
def an_agent_was_told_of_a_call_in_which_it_was_not_noted(rt):
    """Whether it is there was asked, and no answer came: the first node may still take the call back."""
    key = {KEY: "the order of Monday"}
    with untold(rt, drain_time="30s", meta=key) as (org, approval, line, node), \
            behind_a_line(rt) as (second, other), \
            McpWs(other, org.add_credential(hold="100ms")[1]) as agent:
        second.cut_off(b"approval_asked_again")
        lost(agent.call_start(APPEND, {"line": "one"}, key), "the database")
        back_and_away(line, node)
        assert org.state(approval) == "cancelled"


@case(limit=60, workers=1)
def a_held_call_whose_node_was_cut_off_at_a_look_was_held_on(rt):
    """It was told that something had changed, and could not look what; its client's hold ends then."""
    org, key = Org(rt, files=False, scenario=True), {KEY: "the order of Monday"}
    with McpWs(rt, org.add_credential(hold="100ms")[1]) as other, \
            behind_a_line(rt) as (line, node), \
            McpWs(node, org.add_credential(hold="3s")[1]) as agent:
        call = agent.call_start(APPEND, {"line": "one"}, key)
        approval = org.wait_pending()
        line.cut_off(b"approval_get")
        other.call(APPEND, {"line": "one"}, key)
        assert line.has_hit.wait(10)
        assert approval in text_of(call.wait(15))
        line.mend()
        wait_for("nobody to hold it", lambda: org.row(approval)["wait_mode"] == "left")
    assert len(org.rows()) == 1


@case(limit=90, workers=1)
def a_task_that_was_asked_for_again_by_nobody_any_more_is_taken_back(rt):
    """Whoever asked again was gone before it could be told."""
    key = {KEY: "the order of Monday"}
    with untold(rt, drain_time="30s", caps=TASKS, meta=key) as (org, approval, line, node), \
            behind_a_line(rt, drain_time="30s") as (slow, other):
        agent = McpWs(other, org.credential, modern=True, caps=TASKS)
        passes = slow.hold(b"approval_get")
        agent.call_start(APPEND, {"line": "one"}, key)
        assert slow.has_hit.wait(10)
        see_it_gone(other, agent)
        passes.set()
        assert other.stop() == 0
        back_and_away(line, node)
        assert org.state(approval) == "cancelled"


@case(limit=60, workers=1)
def a_node_that_stops_forgot_what_it_had_to_take_back(rt):
    """A task would have run as soon as people approved it."""
    with untold(rt, drain_time="30s", caps=TASKS) as (org, approval, line, node):
        node.process.terminate()
        wait_for("the worker to stop", lambda: " worker_stops " in node.log())
        time.sleep(2.5)  # it tries each second, in vain
        line.mend()
        assert node.stop() == 0 and org.state(approval) == "cancelled", node.log()
    with untold(rt, drain_time="500ms", caps=TASKS) as (org, approval, line, node):
        node.stop()
        said = [s for s in node.log().splitlines() if " cancel_given_up " in s]
        assert len(said) == 1 and approval in said[0], node.log()
        assert org.state(approval) == "pending"


@case(limit=60)
def an_attachment_that_the_server_had_not_begun_holds_nothing(rt):
    """It is begun when the one that made it has long been told that it was lost."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
        agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    with nobody_ends_backends(rt), behind_a_line(rt) as (line, node), \
            McpWs(node, org.credential) as agent:
        line.keep(b"approval_attach")
        lost(agent.call_start("approval_wait", {"approval_id": approval}), "lost")
        time.sleep(2)  # it would have been left meanwhile
        line.let_go()
        assert org.row(approval)["wait_mode"] == "held"
        line.hang_up()
        wait_for("nobody to hold it", lambda: org.row(approval)["wait_mode"] == "left")


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
        lost(call[0], "lost")
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
