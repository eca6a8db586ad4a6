"""A worker is killed in each state of a call, the database goes away in the middle, a tool dies:
nothing runs twice, nothing is stuck, and what cannot be known is called unknown until a person
settles it."""
import contextlib
import os
import signal
import threading
import time

from cases import case
from harness import Org, RestError, is_alive, refused, wait_for
from mcp_client import TASKS, Gone, McpError, McpHttp, McpWs, text_of

APPEND = "s__append_line"
SHORT = dict(execute_time="2s", dispatch_time="500ms", unknown_grace="200ms", lease_time="1s")


def scenario(rt, **more):
    return Org(rt, files=False, scenario=True, **more)


def held(org, agent, **arguments):
    call = agent.call_start(APPEND, dict({"line": "one"}, **arguments))
    return call, org.wait_pending()


@contextlib.contextmanager
def locked(rt, statement):
    """A transaction of the superuser that has run this statement, until the block ends."""
    conn = rt.connect()
    conn.autocommit = False
    try:
        with conn.cursor() as cur:
            cur.execute(statement)
        yield
    finally:
        conn.close()


@contextlib.contextmanager
def stopped(pid):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGCONT)


def kill(rt, pid):
    """Its clients see their connections end; a successor is there when this returns."""
    rt.kill_worker(pid)


# ---------------------------------------------------------------- killed workers
@case(limit=60, breaks=True, **SHORT)
def worker_killed_while_pending(rt):
    """The row waits; the agent comes back with the same call, which is the same approval."""
    org = scenario(rt)
    agent = McpWs(rt, org.credential)
    call, approval = held(org, agent)
    kill(rt, rt.worker_of(agent.sock))
    try:
        call.wait()
    except Gone:
        pass
    assert org.state(approval) == "pending"
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        wait_for("attachment", lambda: org.row(approval)["asked_count"] == 2)
        org.ann.approve(approval)
        assert text_of(call.wait()) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=60, breaks=True, **SHORT)
def worker_killed_while_approved(rt):
    """Approved, not yet claimed by the worker that holds the caller."""
    org = scenario(rt)
    agent = McpWs(rt, org.credential)
    call, approval = held(org, agent)
    worker = rt.worker_of(agent.sock)
    with stopped(worker):
        org.ann.approve(approval)
        kill(rt, worker)
    assert org.state(approval) == "approved" and org.effects() == []
    with McpWs(rt, org.credential) as agent:
        assert text_of(agent.call(APPEND, {"line": "one"})) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


def writers(rt, count):
    """So many wait to write the audit."""
    wait_for("%d to wait" % count, lambda: len(rt.sql(
        "SELECT 1 FROM pg_locks WHERE relation = 'audit_event'::regclass AND NOT granted")) >= count)


@case(limit=60, breaks=True, **SHORT)
def worker_killed_while_approved_as_a_task(rt):
    """Nobody has to come for a task: another worker runs it."""
    org = scenario(rt)
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    made = agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    # Two locks: what the vote writes comes between them, what a claim writes behind the second.
    lock, behind = "LOCK TABLE flopinio.audit_event IN SHARE MODE", contextlib.ExitStack()
    with behind:
        with locked(rt, lock):
            vote = threading.Thread(target=org.ann.approve, args=(approval,))
            vote.start()
            writers(rt, 1)
            second = threading.Thread(target=lambda: behind.enter_context(locked(rt, lock)))
            second.start()
            writers(rt, 2)
        second.join()
        vote.join()
        writers(rt, 1)
        for worker in rt.workers():
            rt.kill_worker(worker, wait=False)
        assert org.state(approval) == "approved" and org.effects() == []
    org.wait_state(approval, "succeeded", timeout=30)
    got = wait_for("an answer", lambda: get(agent, made["taskId"]), 20)
    assert got["status"] == "completed", got
    assert org.effects() == ["one"] and len(org.rows()) == 1


def get(agent, task):
    try:
        return agent.request("tasks/get", {"taskId": task})
    except (Gone, McpError, OSError):
        return None


@case(limit=60, breaks=True, **SHORT)
def worker_killed_while_claimed(rt):
    """Nothing was sent: the lease runs out, the row goes back, the agent's next call runs it."""
    org = scenario(rt)
    with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
        agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    agent = McpWs(rt, org.credential)
    with locked(rt, "LOCK TABLE flopinio.vote IN ACCESS EXCLUSIVE MODE"):
        agent.call_start("approval_wait", {"approval_id": approval})
        org.wait_state(approval, "claimed")
        kill(rt, rt.worker_of(agent.sock))
    row = org.wait_state(approval, "approved")
    assert row["fence"] == 1 and row["claim_owner"] is None and org.effects() == [], row
    assert "approval.released" in org.kinds(approval), org.kinds(approval)
    with McpWs(rt, org.credential) as agent:
        assert text_of(agent.call(APPEND, {"line": "one"})) == "appended"
    assert org.effects() == ["one"] and org.row(approval)["fence"] == 2, org.kinds(approval)


def run_and_kill(rt, org):
    """A call whose effect has happened and whose worker is dead."""
    agent = McpWs(rt, org.credential)
    call, approval = held(org, agent, gate="never")
    org.ann.approve(approval)
    org.wait_state(approval, "dispatched")
    wait_for("the effect", org.effects)
    kill(rt, rt.worker_of(agent.sock))
    return approval


@case(limit=60, breaks=True, **SHORT)
def worker_killed_while_dispatched(rt):
    """It may have happened: never sent again, unknown to everybody, told so to the agent."""
    org = scenario(rt)
    approval = run_and_kill(rt, org)
    assert org.state(approval) in ("dispatched", "unknown")
    with McpWs(rt, org.credential) as agent:
        # The agent asks again while nobody can know: it waits and hears the truth.
        result = agent.call(APPEND, {"line": "one", "gate": "never"})
        text = text_of(result)
        assert result["isError"] and "Outcome unknown" in text and "may have happened" in text, text
        assert org.state(approval) == "unknown" and len(org.rows()) == 1
        again = agent.call(APPEND, {"line": "one", "gate": "never"})
        assert "Outcome unknown" in text_of(again) and len(org.rows()) == 1
        said = org.ann.settle(approval, "succeeded", "the line is in the file")
        assert said["state"] == "succeeded", said
        settled = agent.call(APPEND, {"line": "one", "gate": "never"})
        assert "it was executed" in text_of(settled) and "the line is in the file" in \
            text_of(settled), settled
        assert not settled.get("isError")
    assert org.effects() == ["one"] and len(org.rows()) == 1
    row = org.row(approval)
    assert row["settled_by"] == "ann" and row["state"] == "succeeded"
    kinds = org.kinds(approval)
    assert kinds.count("approval.dispatched") == 1 and "approval.unknown" in kinds, kinds
    assert "approval.settled" in kinds


@case(limit=60, breaks=True, **SHORT)
def worker_killed_when_settled_and_not_delivered(rt):
    """The outcome is committed and its worker dies before the agent hears it."""
    org = scenario(rt)
    agent = McpWs(rt, org.credential)
    call, approval = held(org, agent, gate="go")
    org.ann.approve(approval)
    org.wait_state(approval, "dispatched")
    worker = rt.worker_of(agent.sock)
    with locked(rt, "SELECT 1 FROM flopinio.approval WHERE approval_id = '%s' FOR UPDATE" % approval):
        org.open_gate("go")
        wait_for("the settlement to wait for the lock", lambda: rt.sql(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE "
            "'%%outcome = %%'"), every=0.005)
        os.kill(worker, signal.SIGSTOP)
    row = org.wait_state(approval, "succeeded")
    assert row["delivered_at"] is None and not call.is_done()
    # The agent is quicker than the successor that reports the dead one: PostgreSQL knows.
    name = "flopinio-" + row["holder"]
    rt.kill_worker(worker, wait=False)
    wait_for("the end of its connections", lambda: not rt.sql(
        "SELECT 1 FROM pg_stat_activity WHERE application_name = %s", name), every=0.005)
    with McpWs(rt, org.credential) as agent:
        assert text_of(agent.call(APPEND, {"line": "one", "gate": "go"})) == "appended"
        wait_for("delivery", lambda: org.row(approval)["delivered_at"])
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=60, breaks=True, **SHORT)
def a_worker_that_slept_past_the_deadline_sends_nothing(rt):
    """The marker is committed, then the process stands still for longer than the deadline: when
    it goes on, three clocks say that it is too late."""
    org = scenario(rt)
    with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
        agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    agent = McpWs(rt, org.credential)
    worker = rt.worker_of(agent.sock)
    with locked(rt, "LOCK TABLE flopinio.audit_event IN SHARE MODE"):
        # Nothing that needs an audit row commits now: not even the claim.
        call = agent.call_start("approval_wait", {"approval_id": approval})
        time.sleep(0.1)
    for _ in range(2000):  # caught between the marker and the sending, or not at all
        state = org.state(approval)
        if state == "dispatched":
            os.kill(worker, signal.SIGSTOP)
            break
        if state not in ("approved", "claimed"):
            break
    with contextlib.suppress(TimeoutError):
        call.wait(0.7)
    os.kill(worker, signal.SIGCONT)
    row = org.wait_state(approval, "succeeded", "failed", "unknown", timeout=20)
    assert len(org.effects()) == (row["state"] == "succeeded") or row["state"] == "unknown"
    if row["state"] == "failed":
        assert "too long between the last check and the sending" in row["outcome"], row
        assert org.effects() == []
    agent.drop()


@case(limit=90, breaks=True)
def a_stopping_runtime_ends_what_runs_and_leaves_what_waits(rt):
    """SIGTERM while one task runs and others wait for their turn behind it: the running one comes
    to its outcome, the others are still approved, and run after the next start, once."""
    org = scenario(rt)
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    agent.call(APPEND, {"line": "one", "gate": "go"})
    first = org.wait_pending()
    org.ann.approve(first)
    org.wait_state(first, "dispatched")
    wait_for("the effect", org.effects)
    for line in ("two", "three", "four", "five"):
        agent.call(APPEND, {"line": line, "gate": "go"})
    rest = org.wait_pending(4)
    for approval in rest:
        org.ann.approve(approval)
    since = rt.log_size()
    rt.process.terminate()
    wait_for("the workers to stop", lambda: rt.log(since).count(" worker_stops ") == 2)
    org.open_gate("go")
    assert rt.process.wait(20) == 0, rt.log(since)
    assert "drain_cut_short" not in rt.log(since), rt.log(since)
    rt.start()
    for approval in [first] + rest:
        org.wait_state(approval, "succeeded")
    assert sorted(org.effects()) == ["five", "four", "one", "three", "two"]


# ---------------------------------------------------------------- unknown outcomes
@case(limit=60, **SHORT)
def a_tool_that_dies_costs_its_own_call_only(rt):
    """Its call is unknown; the next one, of the same server, works."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start("s__crash", {"line": "x"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        result = call.wait()
        assert result["isError"] and "Outcome unknown" in text_of(result), result
        assert org.state(approval) == "unknown"
        call, second = held(org, agent, line="two")
        org.ann.approve(second)
        assert text_of(call.wait()) == "appended"
        crashed = agent.call("s__crash_look", {"line": ""})
        assert crashed["isError"], crashed
        assert text_of(agent.call("s__look", {"line": ""})) == "appended"
        with McpWs(rt, org.credential) as other:
            assert other.tools()
    assert org.effects() == ["crash", "two"]


@case(limit=60, **SHORT)
def unknown_settled_by_a_person(rt):
    """Not before it is certain that nothing runs any more; only by those who may; once."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start("s__crash", {"line": "x"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        call.wait()
        assert [a["id"] for a in org.approvals("unknown")] == [approval]  # visible in the inbox
        with refused(409, "still be running"):
            org.ann.settle(approval, "failed")
        over = "SELECT unknown_after <= clock_timestamp() AS over FROM approval WHERE approval_id = %s"
        wait_for("the window to be over", lambda: rt.sql(over, approval)[0]["over"])
        with refused(403):
            org.olga.settle(approval, "failed")
        assert len(org.audit(kind="authz.failed")) == 1
        with refused(409):
            org.ann.approve(approval)
        said = org.bob.settle(approval, "failed", "no line in the file")
        assert said["state"] == "failed"
        with refused(409, "known"):
            org.ann.settle(approval, "succeeded")
        told = agent.call("approval_wait", {"approval_id": approval})
        assert told["isError"] and "it was not executed" in text_of(told), told
        assert "no line in the file" in text_of(told) and "bob" in text_of(told)
    assert org.effects() == ["crash"]


@case(limit=60, **SHORT)
def it_did_not_happen_run_it_again_is_a_new_approval(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start("s__crash", {"line": "x"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        call.wait()
        over = "SELECT unknown_after <= clock_timestamp() AS over FROM approval WHERE approval_id = %s"
        wait_for("the window to be over", lambda: rt.sql(over, approval)[0]["over"])
        said = org.ann.settle(approval, "again", "looked: nothing there")
        new = said["new_id"]
        assert org.state(approval) == "failed" and org.wait_pending() == new
        row = org.row(new)
        assert row["retry_of"] == approval and row["wait_mode"] == "task"
        assert approval in str(org.audit(new, "approval.requested")[0]["data"]["retry_of"])
        # The agent's repeat is this very one, not a third.
        repeat = agent.call_start("s__crash", {"line": "x"})
        repeat_row = wait_for("the repeat", lambda: repeat.is_done() or len(org.rows()) == 2)
        assert repeat_row and len(org.rows()) == 2
        org.ann.reject(new, "leave it")
        assert "leave it" in text_of(repeat.wait())
    assert org.effects() == ["crash"] and len(org.rows()) == 2


@case(limit=60, breaks=True, **SHORT)
def run_again_runs_by_itself(rt):
    org = scenario(rt)
    approval = run_and_kill(rt, org)
    org.wait_state(approval, "unknown")
    new = org.ann.settle(approval, "again")["new_id"]
    org.open_gate("never")
    org.bob.approve(new)
    org.wait_state(new, "succeeded")
    assert org.effects() == ["one", "one"]
    with McpWs(rt, org.credential) as agent:
        assert text_of(agent.call(APPEND, {"line": "one", "gate": "never"})) == "appended"
    assert org.effects() == ["one", "one"] and len(org.rows()) == 2


# ---------------------------------------------------------------- the database goes away
@contextlib.contextmanager
def database_down(rt):
    """Stopped at once, and kept down: the supervisor, which would start it again, stands still."""
    workers = rt.workers()
    since = rt.log_size()
    with stopped(rt.process.pid):
        rt.pg_ctl("stop", "-m", "fast")
        wait_for("the workers to notice", lambda: not rt.is_ready())
        yield
    wait_for("readiness", rt.is_ready, 30)
    wait_for("both workers", lambda: rt.log(since).count(" database_up ") == len(workers), 30)
    assert sorted(rt.workers()) == sorted(workers)  # recovery without a restart


def unavailable(status, body):
    assert status == 503, (status, body)


@case(limit=90)
def database_restarted_while_a_call_waits(rt):
    """The held caller stays connected, and runs once when it was approved afterwards."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        with database_down(rt):
            assert not call.is_done()
        assert org.state(approval) == "pending"
        org.ann.approve(approval)
        assert text_of(call.wait(20)) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case(limit=90)
def while_the_database_is_down_nothing_executes(rt):
    """Reads too: an answer without its audit row does not leave. Each refusal is a sentence."""
    org = scenario(rt)
    with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
        agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    token = org.ann.token
    with McpWs(rt, org.credential) as agent:
        with database_down(rt):
            for tool, arguments in (("s__look", {"line": ""}), (APPEND, {"line": "two"}),
                                    ("approval_wait", {"approval_id": approval})):
                try:
                    agent.call(tool, arguments, timeout=12)
                except McpError as e:
                    assert "database" in e.message, e
                else:
                    raise AssertionError("%s was answered" % tool)
            http = McpHttp(rt, org.credential, modern=True)
            try:
                http.call("s__look", {"line": ""}, timeout=12)
            except McpError as e:
                assert e.http == 503 and "database" in e.message and "/" not in e.message, e
            else:
                raise AssertionError("it was answered")
            unavailable(*rt.rest("POST", org.path("/approvals/%s/decision" % approval),
                                 {"verdict": "approve"}, token, raw=True))
            unavailable(*rt.rest("GET", org.path("/approvals"), None, token, raw=True))
            unavailable(*rt.control("GET", "/orgs", raw=True))
            assert org.effects() == []
        assert text_of(agent.call("approval_wait", {"approval_id": approval})) == "appended"
        call = agent.call_start(APPEND, {"line": "two"})
        org.ann.approve(org.wait_pending())
        assert text_of(call.wait()) == "appended"
    assert org.effects() == ["one", "two"]
    assert not [a for a in org.audit(kind="call.read")]


@case(limit=90)
def database_restarted_while_it_runs(rt):
    """The effect happened while the database was away: its outcome is recorded afterwards."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent, gate="go")
        org.ann.approve(approval)
        org.wait_state(approval, "dispatched")
        wait_for("the effect", org.effects)
        with database_down(rt):
            org.open_gate("go")
            try:
                call.wait(1)
            except TimeoutError:
                pass
            else:
                raise AssertionError("told before it was recorded")
        assert text_of(call.wait(20)) == "appended"
        assert org.state(approval) == "succeeded"
    assert org.effects() == ["one"]


@case(limit=90)
def database_crashed(rt):
    """Immediate shutdown, as by a power failure: what was said to be recorded is there."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        done, first = held(org, agent, line="done")
        org.ann.approve(first)
        assert text_of(done.wait()) == "appended"
        call, approval = held(org, agent, line="later")
        rt.pg_ctl("stop", "-m", "immediate")  # the supervisor starts it again
        wait_for("readiness", lambda: "database_restarted" in rt.log() and rt.is_ready(), 30)
        assert wait_for("the row", lambda: state_if_up(org, first), 20) == "succeeded"
        assert org.state(approval) == "pending"
        vote(org, approval)
        assert text_of(call.wait(20)) == "appended"
    assert org.effects() == ["done", "later"]


@case(limit=120)
def no_read_was_answered_that_a_crashed_database_forgot(rt):
    """Agents read while the database crashes, three times: a row for each answer, and none that nobody
    asked for."""
    org = scenario(rt)
    sent, answered, ending = [], [], threading.Event()

    def read():
        while not ending.is_set():
            with contextlib.suppress(Gone, McpError, OSError), McpWs(rt, org.credential) as agent:
                while not ending.is_set():
                    sent.append(1)
                    if text_of(agent.call("s__look", {"line": ""}, timeout=30)) == "appended":
                        answered.append(1)
            time.sleep(0.1)  # refused while the database is away
    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    for _ in range(3):
        before, since = len(answered), rt.log_size()
        wait_for("reads", lambda: len(answered) > before + 60, 30)
        rt.pg_ctl("stop", "-m", "immediate")
        wait_for("the database", lambda: "database_restarted" in rt.log(since) and rt.is_ready(), 60)
    ending.set()
    for reader in readers:
        reader.join(40)
        assert not reader.is_alive(), "a reader was never answered"
    rows = wait_for("the audit", lambda: audit_if_up(org), 20)
    assert len(answered) <= rows <= len(sent), "%d sent, %d answered, %d rows" % (
        len(sent), len(answered), rows)


def audit_if_up(org):
    import psycopg2
    try:
        return len(org.audit(kind="call.read"))
    except psycopg2.Error:
        return None


@case(limit=90)
def a_database_whose_orphan_stands_still_comes_back(rt):
    """The first process is killed while another one cannot see that: what that one holds would keep
    the next server from starting, for ever."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        since = rt.log_size()
        backend = rt.sql("SELECT pg_backend_pid() AS pid")[0]["pid"]
        os.kill(backend, signal.SIGSTOP)
        os.kill(rt.postmaster(), signal.SIGKILL)
        wait_for("the database", lambda: "database_restarted" in rt.log(since) and rt.is_ready(), 60)
        assert "database_orphans_killed" in rt.log(since) and not is_alive(backend)
        vote(org, approval)
        assert text_of(call.wait(20)) == "appended"
    assert org.effects() == ["one"]


def state_if_up(org, approval):
    import psycopg2
    try:
        return org.state(approval)
    except psycopg2.Error:
        return None


def vote(org, approval):
    """As soon as every worker has its connections back."""
    def once():
        try:
            return org.ann.approve(approval)
        except RestError as e:
            if e.status == 409:
                return True
            assert e.status == 503, e
            return None
    wait_for("a vote", once, 20, 0.1)


@case(limit=60)
def a_lost_database_in_the_middle_of_deciding_decides_once(rt):
    """The vote's commit may or may not have happened when the connection breaks: whoever asks
    again finds it decided, or decides it; it is never decided twice."""
    org = scenario(rt)
    agents = [McpWs(rt, org.credential) for _ in range(4)]
    calls = [a.call_start(APPEND, {"line": str(i)}) for i, a in enumerate(agents)]
    ids = org.wait_pending(4)
    for approval in ids:
        try:
            org.ann.approve(approval)
        except RestError as e:
            assert e.status == 503, e
        rt.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE "
               "'flopinio-%%'")
    for approval in ids:
        vote(org, approval)
    assert [text_of(c.wait(20)) for c in calls] == ["appended"] * 4
    assert sorted(org.effects()) == ["0", "1", "2", "3"]
    for approval in ids:
        assert org.kinds(approval).count("approval.approved") == 1
    for agent in agents:
        agent.close()
