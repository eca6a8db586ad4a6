"""Repeats (design: section 5): the same call again attaches, collects, or is answered from the
record; it never acts a second time by accident."""
import contextlib
import time

from cases import case
from harness import Org, wait_for
from mcp_client import TASKS, McpError, McpHttp, McpWs, text_of
from test_doubt import INTAKE, no_standby, stopped_in_its_wait
from test_front import gauge

APPEND = "s__append_line"
KEY = "dev.flopinio/idempotencyKey"


def scenario(rt, **more):
    return Org(rt, files=False, scenario=True, **more)


def left(org, approval):
    wait_for("the caller to be gone", lambda: org.row(approval)["wait_mode"] == "left")


@case()
def a_repeat_attaches_when_the_caller_is_gone(rt):
    org = scenario(rt)
    first = McpWs(rt, org.credential)
    first.call_start(APPEND, {"line": "one"})
    approval = org.wait_pending()
    first.drop()
    left(org, approval)
    with McpWs(rt, org.credential) as second:
        # Another spelling of the same arguments is the same call.
        call = second.start("tools/call", {"arguments": {"line": "\u006fne"}, "name": APPEND})
        wait_for("attachment", lambda: org.row(approval)["wait_mode"] == "held")
        assert org.row(approval)["asked_count"] == 2
        org.ann.approve(approval)
        assert text_of(call.wait()) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1
    assert "approval.attached" in org.kinds(approval)


@case()
def other_arguments_are_another_call(rt):
    org = scenario(rt)
    first = McpWs(rt, org.credential)
    first.call_start(APPEND, {"line": "one"})
    left_behind = org.wait_pending()
    first.drop()
    left(org, left_behind)
    with McpWs(rt, org.credential) as second:
        second.call_start(APPEND, {"line": "two"})
        assert left_behind in org.wait_pending(2)
        second.call_start("s__typed", {"line": "one"})
        org.wait_pending(3)


@case()
def two_live_identical_calls_are_two_approvals(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        calls = [agent.call_start(APPEND, {"line": "twice"}) for _ in range(2)]
        one, two = org.wait_pending(2)
        assert sorted(org.row(a)["asked_count"] for a in (one, two)) == [1, 2]
        org.ann.approve(one)
        wait_for("one answer", lambda: sum(c.is_done() for c in calls) == 1)
        assert org.effects() == ["twice"]
        org.ann.approve(two)
        assert [text_of(c.wait()) for c in calls] == ["appended"] * 2
    assert org.effects() == ["twice"] * 2


def other_worker(rt, org, worker):
    """A connection to another one."""
    for _ in range(50):
        agent = McpWs(rt, org.credential)
        if rt.worker_of(agent.sock) != worker:
            return agent
        agent.close()
    raise AssertionError("always the same worker")


def backends_of(rt, holder):
    return {r["pid"] for r in rt.sql("SELECT pid FROM pg_stat_activity WHERE application_name = "
                                     "'flopinio-' || %s", holder)}


@case(limit=90, breaks=True, workers=2)
def a_repeat_right_at_its_workers_death_asked_people_twice(rt):
    """PostgreSQL has not seen the death yet: its processes for that worker stand still meanwhile. Where
    the machine was too slow to let them go on in time, it says nothing, and is done again."""
    for turn in range(5):
        org = scenario(rt)
        agent, line = McpWs(rt, org.credential), {"line": "turn %d" % turn}
        agent.call_start(APPEND, line)
        approval = org.wait_pending()
        worker = rt.worker_of(agent.sock)
        with contextlib.ExitStack() as mine:
            again = mine.enter_context(other_worker(rt, org, worker))
            with contextlib.ExitStack() as standing:
                for pid in backends_of(rt, org.row(approval)["holder"]):
                    standing.enter_context(stopped_in_its_wait(pid))
                rt.kill_worker(worker, wait=False)
                since = time.monotonic()
                before = rt.sql("SELECT clock_timestamp() AS t")[0]["t"]
                call = again.call_start(APPEND, line)
                until = since + 0.4
                while time.monotonic() < until and not rt.sql(
                        "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'flopinio-%%' AND "
                        "query_start > %s AND strpos(query, %s) > 0 AND state = 'idle'", before, INTAKE):
                    time.sleep(0.01)
            took = time.monotonic() - since
            wait_for("an answer from the database", lambda: len(org.rows()) > 1 or
                     org.row(approval)["asked_count"] == 2)
            if took < 0.9:
                mine.pop_all()
                break
    assert took < 0.9, "the machine is too slow for this: %s" % took
    with again:
        assert len(org.rows()) == 1
        org.ann.approve(approval)
        assert text_of(call.wait()) == "appended"
    assert org.effects() == [line["line"]]


@case(limit=60, workers=2)
def two_live_identical_calls_on_two_workers_are_two_approvals(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential) as one, other_worker(rt, org, rt.worker_of(one.sock)) as two:
        calls = [agent.call_start(APPEND, {"line": "twice"}) for agent in (one, two)]
        for approval in org.wait_pending(2):
            org.ann.approve(approval)
        assert [text_of(c.wait()) for c in calls] == ["appended"] * 2
    assert org.effects() == ["twice"] * 2


@case(limit=60, workers=2)
def a_repeat_kept_a_copy_of_each_look_for_its_twin(rt):
    """Seven sealed copies, for as long as it waits for people, and beside what an organization may have."""
    org = scenario(rt)
    texts = [str(i) * 190000 for i in range(6)]
    with McpWs(rt, org.credential) as one, other_worker(rt, org, rt.worker_of(one.sock)) as two:
        kept = [gauge(rt, "allocated_memory_bytes")]
        for agent in (one, two):
            for text in texts:
                agent.call_start(APPEND, {"line": "one", "gate": text})
            org.wait_pending(len(texts) * len(kept))
            kept.append(gauge(rt, "allocated_memory_bytes"))
        size, first, second = len("".join(texts)), kept[1] - kept[0], kept[2] - kept[1]
        assert first > size or not kept[2], kept  # a sanitizer's allocator does not say
        assert second < first + 4 * size, (size, first, second)


@case()
def the_same_call_after_its_answer_is_a_new_approval(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        for i in range(3):
            call = agent.call_start(APPEND, {"line": "again"})
            approval = org.wait_pending()
            assert org.row(approval)["asked_count"] == i + 1
            if i:
                assert "asked %d times" % (i + 1) in org.approval(approval)["card"]["text"]
            org.ann.approve(approval)
            call.wait()
    assert org.effects() == ["again"] * 3 and len(org.rows()) == 3


@case()
def a_lost_result_is_collected_instead_of_a_second_effect(rt):
    """The caller went away while it ran: the repeat gets the stored outcome."""
    org = scenario(rt)
    first = McpWs(rt, org.credential)
    first.call_start(APPEND, {"line": "one", "gate": "go"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    org.wait_state(approval, "dispatched")
    first.drop()
    org.open_gate("go")
    org.wait_state(approval, "succeeded")
    left(org, approval)
    assert org.row(approval)["delivered_at"] is None
    with McpWs(rt, org.credential) as second:
        assert text_of(second.call(APPEND, {"line": "one", "gate": "go"})) == "appended"
        assert org.effects() == ["one"] and len(org.rows()) == 1
        wait_for("delivery", lambda: org.row(approval)["delivered_at"])
        # Taken now: once more is a new wish.
        second.call_start(APPEND, {"line": "one", "gate": "go"})
        org.wait_pending()
    assert org.effects() == ["one"]


@case()
def a_repeat_while_it_runs_waits_for_the_outcome(rt):
    org = scenario(rt)
    first = McpHttp(rt, org.credential, modern=True)
    call = first.call_start(APPEND, {"line": "one", "gate": "go"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    org.wait_state(approval, "dispatched")
    call.drop()
    left(org, approval)
    second = first.call_start(APPEND, {"line": "one", "gate": "go"})
    wait_for("the repeat to attach", lambda: org.row(approval)["wait_mode"] == "held")
    assert org.state(approval) == "dispatched" and len(org.rows()) == 1
    org.open_gate("go")
    assert text_of(second.wait()) == "appended"
    assert org.effects() == ["one"]


@case()
def a_stored_outcome_is_kept_for_a_day(rt):
    org = scenario(rt)
    first = McpWs(rt, org.credential)
    first.call_start(APPEND, {"line": "one", "gate": "go"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    org.wait_state(approval, "dispatched")
    first.drop()
    org.open_gate("go")
    org.wait_state(approval, "succeeded")
    left(org, approval)
    age = "UPDATE approval SET settled_at = now() - interval %s WHERE approval_id = %s"
    with McpWs(rt, org.credential) as second:
        rt.sql(age, "24 hours 1 second", approval)
        second.call_start(APPEND, {"line": "one", "gate": "go"})
        fresh = org.wait_pending()
        org.ann.reject(fresh, "no", may_ask_again=True)
        rt.sql(age, "23 hours 59 minutes", approval)
        assert text_of(second.call(APPEND, {"line": "one", "gate": "go"})) == "appended"
    assert org.effects() == ["one"]


@case()
def after_a_rejection_the_record_answers_for_15_minutes(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        org.ann.reject(approval, "not this one")
        call.wait()
        again = agent.call(APPEND, {"line": "one"})
        assert again["isError"] and "not this one" in text_of(again), again
        assert approval in text_of(again) and len(org.rows()) == 1
        rt.sql("UPDATE approval SET decided_at = now() - interval '15 minutes 1 second' WHERE "
               "approval_id = %s", approval)
        agent.call_start(APPEND, {"line": "one"})
        assert org.wait_pending() != approval
    assert org.effects() == []


@case()
def may_ask_again_opens_it_at_once(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        org.ann.reject(approval, "not now", may_ask_again=True)
        call.wait()
        agent.call_start(APPEND, {"line": "one"})
        assert org.wait_pending() != approval


@case()
def another_policy_opens_it(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        org.ann.reject(approval, "no")
        call.wait()
        org.apply("""version: 1
rules:
  - {name: other, tools: ["*"], effect: ask, reason: another rule}
""")
        org.sync()
        agent.call_start(APPEND, {"line": "one"})
        assert org.wait_pending() != approval


@case()
def an_idempotency_key_names_the_call(rt):
    """The same key: the same approval, whoever waits; its outcome for ever."""
    org = scenario(rt)
    meta = {KEY: "order-17"}
    with McpWs(rt, org.credential) as agent:
        first = agent.call_start(APPEND, {"line": "one"}, meta)
        approval = org.wait_pending()
        second = agent.call_start(APPEND, {"line": "one"}, meta)  # while the first one waits
        org.ann.approve(approval)
        assert text_of(first.wait()) == text_of(second.wait()) == "appended"
        wait_for("delivery", lambda: org.row(approval)["delivered_at"])
        assert text_of(agent.call(APPEND, {"line": "one"}, meta)) == "appended"
    assert org.effects() == ["one"] and len(org.rows()) == 1


@case()
def an_idempotency_key_with_other_arguments_is_refused(rt):
    org = scenario(rt)
    meta = {KEY: "order-17"}
    with McpWs(rt, org.credential) as agent:
        agent.call_start(APPEND, {"line": "one"}, meta)
        org.wait_pending()
        for tool, arguments in ((APPEND, {"line": "two"}), ("s__typed", {"line": "one"})):
            try:
                agent.call(tool, arguments, meta)
            except McpError as e:
                assert e.code == -32602 and "other arguments" in e.message, e
            else:
                raise AssertionError("the key was taken for another call")
        # The key is the agent's own: another agent's is another.
        _, other = org.add_agent("other")
        with McpWs(rt, other) as stranger:
            stranger.call_start(APPEND, {"line": "two"}, meta)
            org.wait_pending(2)
    assert len(org.rows()) == 2


@case()
def identical_keys_at_the_same_moment_make_one_approval(rt):
    org = scenario(rt)
    meta = {KEY: "race"}
    agents = [McpWs(rt, org.credential) for _ in range(8)]
    calls = [a.call_start(APPEND, {"line": "one"}, meta) for a in agents]
    approval = org.wait_pending()
    org.ann.approve(approval)
    assert [text_of(c.wait()) for c in calls] == ["appended"] * 8
    assert org.effects() == ["one"] and len(org.rows()) == 1
    for agent in agents:
        agent.close()


@case()
def another_agent_s_repeat_is_its_own_call(rt):
    org = scenario(rt)
    first = McpWs(rt, org.credential)
    first.call_start(APPEND, {"line": "one"})
    approval = org.wait_pending()
    first.drop()
    left(org, approval)
    _, other = org.add_agent("other")
    with McpWs(rt, other) as agent:
        agent.call_start(APPEND, {"line": "one"})
        org.wait_pending(2)
        assert org.row(approval)["wait_mode"] == "left"


@case()
def at_most_20_wait_per_agent(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        calls = [agent.call_start(APPEND, {"line": str(i)}) for i in range(25)]
        wait_for("the refusals", lambda: sum(c.is_done() for c in calls) == 5)
        refused = [c.wait() for c in calls if c.is_done()]
        assert all(r["isError"] and "waiting already" in text_of(r) for r in refused), refused
        ids = org.wait_pending(20)
        _, other = org.add_agent("other")
        with McpWs(rt, other) as stranger:  # the limit is each agent's own
            stranger.call_start(APPEND, {"line": "mine"})
            org.wait_pending(21)
        org.ann.reject(ids[0], "make room")
        late = agent.call_start(APPEND, {"line": "after"})
        wait_for("room", lambda: late.is_done() or len(org.rows()) == 22)
        assert not late.is_done(), late.wait()
    assert org.effects() == []


@case()
def a_task_is_not_merged_with_a_live_one(rt):
    org = scenario(rt)
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    one, two = (agent.call(APPEND, {"line": "one"}) for _ in range(2))
    assert one["taskId"] != two["taskId"]
    for approval in org.wait_pending(2):
        org.ann.approve(approval)
        org.wait_state(approval, "succeeded")
    assert org.effects() == ["one", "one"]


@case()
def a_key_gives_back_the_same_task(rt):
    org = scenario(rt)
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    one, two = (agent.call(APPEND, {"line": "one"}, {KEY: "k"}) for _ in range(2))
    assert one["taskId"] == two["taskId"]
    org.ann.approve(org.wait_pending())
    wait_for("the end", lambda: agent.request("tasks/get", {"taskId": one["taskId"]})["status"]
             == "completed")
    assert org.effects() == ["one"]


@case()
def a_client_that_polls_with_its_key_wrote_each_time(rt):
    """A row, an audit event, and every card of it: noted at most once a minute."""
    org = scenario(rt)
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)

    def asks(times):
        return {agent.call(APPEND, {"line": "one"}, {KEY: "k"})["taskId"] for _ in range(times)}

    def notes():
        return org.row(approval)["asked_count"], org.kinds(approval).count("approval.attached")
    task = asks(1)
    approval = org.wait_pending()
    assert asks(5) == task and notes() == (2, 1)
    rt.sql("UPDATE audit_event SET recorded_at = recorded_at - interval '61 seconds' WHERE subject_id "
           "= %s AND kind = 'approval.attached'", approval)
    assert asks(5) == task and notes() == (3, 2)


@case(limit=60)
def clients_that_poll_with_their_keys_stood_in_each_other_s_way(rt):
    """Each held the row of its call until those that were written together were, of other organizations
    too: two of them in another order stood still for a second. What is noted already locks nothing."""
    org = scenario(rt)
    agent, keys = McpHttp(rt, org.credential, modern=True, caps=TASKS), ("one", "two")

    def ask():
        return [agent.call(APPEND, {"line": k}, {KEY: k})["taskId"] for k in keys]
    tasks = ask()
    approvals = org.wait_pending(2)
    assert ask() == tasks
    conn = rt.connect()
    conn.autocommit = False
    with contextlib.closing(conn), conn.cursor() as cur:
        cur.execute("SELECT 1 FROM approval WHERE approval_id = ANY (%s::uuid[]) FOR UPDATE", (approvals,))
        assert ask() == tasks


@case(limit=60, workers=1)
def a_repeat_that_is_noted_waits_for_a_standby(rt):
    """The note may be there to be seen, and lost with this server."""
    org, key = scenario(rt), {KEY: "k"}
    with McpWs(rt, org.credential, modern=True, caps=TASKS) as agent:
        tasks = {agent.call(APPEND, {"line": "one"}, key)["taskId"] for _ in range(2)}
        with no_standby(rt) as waiting:
            call = agent.call_start(APPEND, {"line": "one"}, key)
            wait_for("it to wait for a standby", lambda: waiting("SELECT approval_id, pg_logical"))
            assert not call.is_done(), call.answer
        assert {call.wait()["taskId"]} == tasks


@case()
def a_status_with_a_key_was_asked_for_for_ever(rt):
    """A call without a key that was cancelled is not one that lost its key."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        agent.cancel(call)
        org.wait_state(approval, "cancelled")
        for tool in ("approval_status", "approval_wait"):
            assert "cancelled" in text_of(agent.call(tool, {"approval_id": approval}, {KEY: "k"}))


@case(limit=60, execute_time="2s", dispatch_time="500ms", unknown_grace="200ms", lease_time="1s")
def a_call_that_was_run_again_and_cancelled_was_begun_anew_for_ever(rt):
    """The key is of the first one, and never was of the second."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start("s__crash", {"line": "x"}, {KEY: "k"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        call.wait()
        over = "SELECT unknown_after <= clock_timestamp() AS over FROM approval WHERE approval_id = %s"
        wait_for("the window to be over", lambda: rt.sql(over, approval)[0]["over"])
        again = org.ann.settle(approval, "again", "looked: nothing there")["new_id"]
        org.olga.cancel(again, "not today")
        org.wait_state(again, "cancelled")
        assert "cancelled" in text_of(agent.call("s__crash", {"line": "x"}, {KEY: "k"}))
    assert org.effects() == ["crash"] and len(org.rows()) == 2
