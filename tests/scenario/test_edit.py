"""Edit and approve: a person changes the arguments of what waits. The changed call is another
approval, which its editor does not decide; the waiting call gets that one's outcome, and is told."""
import contextlib
import json
import threading

from cases import case
from cli import Cli
from harness import Org, refused, wait_for
from mcp_client import TASKS, McpHttp, McpWs, text_of
from test_doubt import back_and_away, untold
from test_recover import SHORT, locked
from test_repeat import KEY, left

APPEND = "s__append_line"


def policy(when=None, effect="ask", **ask):
    rules = [{"name": "writes", "tools": ["*"], "effect": "ask", "ask": ask}]
    if when:
        rules.insert(0, {"name": "first", "tools": [APPEND], "effect": effect, "when": when,
                         "reason": "not so"})
    return json.dumps({"version": 1, "rules": rules})


def waiting(rt, document=None, arguments=None):
    org = Org(rt, files=False, scenario=True, policy=document or policy())
    agent = McpWs(rt, org.credential)
    call = agent.call_start(APPEND, arguments or {"line": "one"})
    return org, agent, call, org.wait_pending()


def edit(person, approval, arguments, **more):
    org = person.org
    body = dict({"arguments": arguments, "binding": org.binding(approval)}, **more)
    return person.rest("POST", org.path("/approvals/%s/edit" % approval), body)["new_id"]


def told(result, text):
    """What the agent reads in front of a changed call's outcome."""
    said = text_of(result)
    assert "changed the arguments of" in said and text in said, said
    return said


@case()
def what_was_changed_is_what_runs(rt):
    """The waiting call gets the outcome of the changed one, and is told what was changed."""
    org, agent, call, old = waiting(rt)
    new = edit(org.ann, old, {"line": "two"}, reason="not one")
    row = org.row(old)
    assert row["state"] == "rejected" and new in row["reason"] and row["decided_by"] == org.ann.name
    assert row["edited_to"] == new
    shown = org.approval(new)
    assert shown["edit_of"] == old and shown["state"] == "pending"
    text = shown["card"]["text"]
    assert "%s changed the arguments of %s" % (org.ann.name, old) in text, text
    assert '- line: "one"' in text and '+ line: "two"' in text and shown["card"]["can_approve"], text
    with refused(403, "you changed the arguments"):
        org.ann.approve(new)
    with refused(409):
        org.bob.approve(old)
    assert org.effects() == []
    wait_for("the call to wait for the changed one",
             lambda: org.row(new)["wait_mode"] == "held")
    org.bob.approve(new)
    said = told(call.wait(), '{"line":"two"}')
    assert "appended" in said and org.ann.name in said, said
    assert org.effects() == ["two"]
    assert "approval.edited" in org.kinds(old) and org.kinds(new)[0] == "approval.requested"
    event = org.audit(old, "approval.edited")[0]
    assert event["data"]["edited_to"] == new and event["data"]["person"] == org.ann.name
    wait_for("the outcome to be delivered", lambda: org.row(new)["delivered_at"])
    # The same call again is answered from the record; it does not run as it was.
    again = agent.call(APPEND, {"line": "one"})
    assert again["isError"] and new in text_of(again) and org.effects() == ["two"], again
    assert "rejected by " + org.ann.name in text_of(again), again


@case()
def a_changed_call_that_is_rejected_says_both(rt):
    org, agent, call, old = waiting(rt)
    new = edit(org.ann, old, {"line": "two"})
    org.bob.reject(new, "not on a Friday")
    said = told(call.wait(), '{"line":"two"}')
    assert said.startswith("Not executed") and "not on a Friday" in said and new in said, said
    assert org.effects() == []


@case()
def edited_twice_is_followed_twice(rt):
    org, agent, call, old = waiting(rt)
    between = edit(org.ann, old, {"line": "two"})
    new = edit(org.bob, between, {"line": "three"})
    org.adam.approve(new)
    said = told(call.wait(), '{"line":"three"}')
    assert '"two"' not in said and org.effects() == ["three"], said


@case()
def an_editor_does_not_decide_their_change_behind_the_next_one(rt):
    """Somebody else's small change on top would let one person's arguments run by their own vote."""
    org, agent, call, old = waiting(rt)
    between = edit(org.ann, old, {"line": "two"})
    new = edit(org.bob, between, {"line": "two "})
    for editor in (org.ann, org.bob):
        with refused(403, "you changed the arguments"):
            editor.approve(new)
    with refused(403, "you changed the arguments"):
        edit(org.ann, new, {"line": "two"})
    assert org.state(new) == "pending" and org.effects() == []
    assert org.adam.approve(new)["is_decided"]
    told(call.wait(), '{"line":"two "}')


@case()
def a_repeat_of_a_changed_call_makes_no_second_effect(rt):
    """Long after the change and with the caller gone: as long as the changed call waits, the repeat
    waits for it; when its outcome is had, the call is a new one."""
    org, agent, call, old = waiting(rt)
    agent.drop()
    left(org, old)
    new = edit(org.bob, edit(org.ann, old, {"line": "two"}), {"line": "three"})
    rt.sql("UPDATE approval SET decided_at = decided_at - interval '15 minutes 1 second' WHERE "
           "organization_id = %s AND state = 'rejected'", org.id)
    with McpWs(rt, org.credential) as second:
        call = second.call_start(APPEND, {"line": "one"})
        wait_for("the repeat to wait for it", lambda: org.row(new)["wait_mode"] == "held" or
                 len(org.rows()) > 3)
        assert org.wait_pending() == new
        # Beside it the same call of a live caller is another wish, as of any call that is held.
        other = second.call_start(APPEND, {"line": "one"})
        beside = next(a for a in org.wait_pending(2) if a != new)
        org.bob.reject(beside, "once is enough", may_ask_again=True)
        assert "once is enough" in text_of(other.wait())
        org.adam.approve(new)
        told(call.wait(), '{"line":"three"}')
        wait_for("the outcome to be delivered", lambda: org.row(new)["delivered_at"])
        second.call_start(APPEND, {"line": "one"})
        assert org.row(org.wait_pending())["edit_of"] is None
    assert org.effects() == ["three"]


@case()
def a_change_that_nobody_rejected_keeps_nobody_from_asking(rt):
    """It expired, or may be asked again: the agent is not held off for 15 minutes."""
    org, agent, call, old = waiting(rt)
    new = edit(org.ann, old, {"line": "two"})
    wait_for("the call to wait for it", lambda: org.row(new)["wait_mode"] == "held")
    rt.sql("UPDATE approval SET expires_at = now() - interval '1 second' WHERE approval_id = %s",
           new)
    assert call.wait()["isError"] and org.state(new) == "expired"
    call = agent.call_start(APPEND, {"line": "one"})
    new = edit(org.ann, org.wait_pending(), {"line": "two"})
    org.bob.reject(new, "not now", may_ask_again=True)
    assert "not now" in text_of(call.wait())
    call = agent.call_start(APPEND, {"line": "one"})
    org.bob.reject(edit(org.ann, org.wait_pending(), {"line": "two"}), "never")
    assert "never" in text_of(call.wait())
    again = agent.call(APPEND, {"line": "one"})  # that one was refused
    assert again["isError"] and not org.approvals("pending"), again


@case()
def a_keyed_repeat_of_what_ran_changed_is_not_told_that_it_did_not_run(rt):
    """An idempotency key names the call: its outcome, however often it is asked for."""
    org = Org(rt, files=False, scenario=True, policy=policy())
    meta = {KEY: "order-17"}
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"}, meta)
        new = edit(org.ann, org.wait_pending(), {"line": "two"})
        org.bob.approve(new)
        first = call.wait()
        told(first, '{"line":"two"}')
        wait_for("the outcome to be delivered", lambda: org.row(new)["delivered_at"])
        for _ in range(2):
            again = agent.call(APPEND, {"line": "one"}, meta)
            assert not again.get("isError") and text_of(again) == text_of(first), again
    assert org.effects() == ["two"] and len(org.rows()) == 2


@contextlib.contextmanager
def beside_an_edit(rt, org, old):
    """What the block starts stands in the queue for the row behind an edit; made[0] is the id of
    the new one when the block has ended."""
    made, binding = [], org.binding(old)
    person = threading.Thread(target=lambda: made.append(
        edit(org.ann, old, {"line": "two"}, binding=binding)))
    with locked(rt, "SELECT 1 FROM flopinio.approval WHERE approval_id = '%s' FOR UPDATE" % old):
        person.start()
        wait_for("the edit to wait for the row", lambda: rt.sql(
            "SELECT 1 FROM pg_stat_activity w JOIN pg_stat_activity l ON l.pid = ANY "
            "(pg_blocking_pids(w.pid)) WHERE strpos(l.query, %s) > 0", old), every=0.005)
        yield made
        wait_for("another behind it", lambda: rt.sql(
            "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'tuple' AND relation = "
            "'flopinio.approval'::regclass"), every=0.005)
    person.join()
    assert made, "it could not be changed"


@case()
def a_call_that_is_cancelled_beside_an_edit_does_not_run_changed(rt):
    org, agent, call, old = waiting(rt)
    with beside_an_edit(rt, org, old) as made:
        agent.cancel(call)
    org.wait_state(made[0], "cancelled")
    assert org.state(old) == "rejected" and org.effects() == []


@case()
def a_task_that_is_cancelled_beside_an_edit_does_not_run_changed(rt):
    org = Org(rt, files=False, scenario=True, policy=policy())
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    task = agent.call(APPEND, {"line": "one"})["taskId"]
    old = org.wait_pending()
    with beside_an_edit(rt, org, old) as made:
        asked = agent.start("tasks/cancel", {"taskId": task})
    asked.wait()
    assert org.state(made[0]) == "cancelled"
    assert agent.request("tasks/get", {"taskId": task})["status"] == "cancelled"
    with refused(409):
        org.bob.approve(made[0])
    assert org.effects() == []


@case()
def whoever_asks_for_the_old_one_finds_the_new_one(rt):
    """approval_status and approval_wait with the id that the agent was told first, by another
    connection; the caller of the old one is gone."""
    org, agent, call, old = waiting(rt)
    agent.close()
    wait_for("the caller to be gone", lambda: org.row(old)["wait_mode"] == "left")
    new = edit(org.ann, old, {"line": "two"})
    with McpHttp(rt, org.credential, modern=True) as other:
        status = other.call("approval_status", {"approval_id": old})
        assert new in told(status, '{"line":"two"}') and "still pending" in text_of(status), status
        org.bob.approve(new)
        said = other.call("approval_wait", {"approval_id": old})
        assert "appended" in told(said, '{"line":"two"}'), said
    assert org.effects() == ["two"]


@case()
def a_call_that_is_cancelled_takes_the_changed_one_back(rt):
    """Nothing runs for a caller who does not want it any more, whatever it was changed into."""
    org, agent, call, old = waiting(rt)
    new = edit(org.ann, old, {"line": "two"})
    wait_for("the call to wait for the changed one",
             lambda: org.row(new)["wait_mode"] == "held")
    agent.cancel(call)
    org.wait_state(new, "cancelled")
    with refused(409):
        org.bob.approve(new)
    assert org.effects() == []


@case()
def a_task_goes_on_by_itself(rt):
    """Under the same task id; its result says what was changed."""
    org = Org(rt, files=False, scenario=True, policy=policy())
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    task = agent.call(APPEND, {"line": "one"})["taskId"]
    new = edit(org.ann, org.wait_pending(), {"line": "two"})
    assert agent.request("tasks/get", {"taskId": task})["status"] == "working"
    org.bob.approve(new)
    org.wait_state(new, "succeeded")
    done = agent.request("tasks/get", {"taskId": task})
    assert "appended" in told(done["result"], '{"line":"two"}'), done
    assert org.effects() == ["two"]


@case()
def schema_and_policy_are_asked_again(rt):
    org, _, call, old = waiting(rt, policy('args.line == "evil"', "deny"))
    for wrong in ({"line": 5}, {}, {"line": "two", "more": 1}, [], None, {"line": "one"},
                  {"line": "x" * 251}):
        with refused(400):
            edit(org.ann, old, wrong)
    with refused(409, "not so"):
        edit(org.ann, old, {"line": "evil"})
    with refused(409, "not the call that you were shown"):
        edit(org.ann, old, {"line": "two"}, binding="00" * 32)
    assert org.state(old) == "pending" and len(org.rows()) == 1
    org.ann.reject(old, "no")
    with refused(409, "rejected"):
        edit(org.bob, old, {"line": "two"})
    call.wait()
    assert org.effects() == []


@case()
def another_rule_asks_about_the_changed_call(rt):
    """By what it is now, not by what it was: here somebody else's approval is needed."""
    document = json.dumps({"version": 1, "rules": [
        {"name": "large", "tools": ["*"], "effect": "ask", "when": 'size(args.line) > 5',
         "ask": {"thresholds": [{"approve": 2}]}},
        {"name": "small", "tools": ["*"], "effect": "ask"}]})
    org, _, _, old = waiting(rt, document)
    new = edit(org.ann, old, {"line": "a long one"})
    assert org.row(new)["rule"] == "large"
    assert not org.bob.approve(new)["is_decided"]
    assert org.adam.approve(new)["is_decided"]


@case()
def who_may_edit(rt):
    """Nobody who could not reject it: not the owner of the agent, no agent, not the operator."""
    org, _, _, old = waiting(rt)
    _, credential = org.add_agent("anns", org.ann)
    with McpWs(rt, credential) as agent:
        agent.call_start(APPEND, {"line": "mine"})
        mine = next(a for a in org.wait_pending(2) if a != old)
        with refused(403, "you own the agent"):
            edit(org.ann, mine, {"line": "still mine"})
        assert org.audit(mine, "approval.refused")[0]["data"]["what"] == "edit"
    with refused(403):
        edit(org.olga, old, {"line": "two"})
    with refused(403, "only a person"):
        org.control("POST", "/approvals/%s/edit" % old, {"arguments": {"line": "two"},
                                                         "binding": org.binding(old)})
    with refused(401):
        rt.rest("POST", org.path("/approvals/%s/edit" % old), {}, org.credential)
    assert org.state(old) == "pending"


@case()
def an_editor_who_may_decide(rt):
    org, _, _, old = waiting(rt, policy(editor_may_approve=True))
    new = edit(org.ann, old, {"line": "two"})
    assert org.ann.approve(new)["is_decided"]


@case()
def an_editor_is_no_vote_at_dispatch_either(rt):
    """The rule said so when it was approved, and says otherwise when it is to be sent."""
    org, agent, call, old = waiting(rt, policy(editor_may_approve=True))
    agent.close()
    wait_for("the caller to be gone", lambda: org.row(old)["wait_mode"] == "left")
    new = edit(org.ann, old, {"line": "two"})
    org.ann.approve(new)
    org.apply(policy())
    org.sync()
    with McpWs(rt, org.credential) as agent:
        said = agent.call("approval_wait", {"approval_id": new})
    assert said["isError"] and org.state(new) == "voided" and org.effects() == [], said


@case()
def many_edits_at_once_make_one(rt):
    from house import both
    org, _, _, old = waiting(rt)
    people = [org.ann, org.bob, org.adam]
    results = both(*[lambda p=p, i=i: edit(p, old, {"line": "line %d" % i})
                     for i, p in enumerate(people)])
    made = [r for r in results if isinstance(r, str)]
    assert len(made) == 1 and org.wait_pending() == made[0], results


@case()
def a_tampered_call_is_not_changed_in_silence(rt):
    """A row that is not what was stored is no plain conflict: the audit and the owners have it."""
    org, _, _, old = waiting(rt)
    opal = org.add_person("opal", "owner")
    rt.sql("UPDATE approval SET precondition = 'another' WHERE approval_id = %s", old)
    for _ in range(2):
        with refused(409, "does not match its digest"):
            edit(org.ann, old, {"line": "two"})
    assert org.state(old) == "pending" and len(org.rows()) == 1
    assert org.audit(old, "approval.tampered")[0]["data"]["what"] == "edit"
    (alert,) = rt.sql("SELECT a.kind, p.name FROM alert a JOIN person p USING (person_id) WHERE "
                      "a.organization_id = %s", org.id)
    assert alert == {"kind": "tampered", "name": opal.name}, alert


@case(breaks=True)
def a_caller_who_is_lost_at_the_change_takes_the_call_back(rt):
    """The rule cancels what nobody waits for: the changed call too, which nobody came to hold."""
    org, agent, _, old = waiting(rt, policy(after_leave="cancel"))
    rt.kill_worker(rt.worker_of(agent.sock), wait=False)
    new = edit(org.ann, old, {"line": "two"})
    org.wait_state(new, "cancelled")
    with refused(409):
        org.bob.approve(new)
    assert org.effects() == []


@case()
def a_changed_secret_is_not_on_the_card(rt):
    org = Org(rt, files=False, scenario=True, policy=policy())
    org.accept(APPEND, secrets=["/line"])
    org.sync()
    agent = McpWs(rt, org.credential)
    call = agent.call_start(APPEND, {"line": "hunter2-old-secret"})
    new = edit(org.ann, org.wait_pending(), {"line": "hunter3-new-secret"})
    shown = json.dumps(org.approval(new))
    assert "hunter2" not in shown and "hunter3" not in shown, shown
    assert "(secret)" in shown
    org.bob.approve(new)
    said = told(call.wait(), "(secret)")
    assert "hunter3" not in said and org.effects() == ["hunter3-new-secret"], said


@case()
def by_the_command_line(rt):
    org, _, call, old = waiting(rt)
    cli = Cli(rt, org)
    change = ("approvals", "edit", old, "--arguments", '{"line":"two"}', "--reason", "better")
    assert "only a person" in cli(*change, status=3).err
    said = cli(*change, token=org.ann.token)
    assert "line: one" in said.out and "changed; it waits as " in said.out, said
    assert "better" in org.row(old)["reason"]
    new = org.wait_pending()
    said = cli("approvals", "show", new).out
    assert "+ line" in said and "changed the arguments" in said, said
    org.bob.approve(new)
    assert "appended" in told(call.wait(), '{"line":"two"}')


# ---------------------------------------------------------------- a changed call of unknown outcome
CRASH = "s__crash"


def run_again(rt):
    """olga's agent asked, ann changed it, bob approved it, it died in the middle, and adam has it run
    again: org, the three approvals, the changed call's caller was told "unknown"."""
    org = Org(rt, files=False, scenario=True, policy=policy())
    agent = McpWs(rt, org.credential)
    call = agent.call_start(CRASH, {"line": "one"})
    old = org.wait_pending()
    changed = edit(org.ann, old, {"line": "two"})
    wait_for("the call to wait for it", lambda: org.row(changed)["wait_mode"] == "held")
    org.bob.approve(changed)
    assert "unknown" in text_of(call.wait())
    over = "SELECT unknown_after <= clock_timestamp() AS over FROM approval WHERE approval_id = %s"
    wait_for("the window to be over", lambda: rt.sql(over, changed)[0]["over"])
    again = org.adam.settle(changed, "again", "looked: nothing there")["new_id"]
    return org, agent, (old, changed, again)


@case(limit=60, **SHORT)
def a_changed_call_that_runs_again_is_no_second_call_to_its_agent(rt):
    """Whoever repeats it, or asks for it by any id that was ever told, waits for the one that runs
    again: not a second approval of the arguments that somebody changed."""
    org, agent, (old, changed, again) = run_again(rt)
    rt.sql("UPDATE approval SET decided_at = decided_at - interval '15 minutes 1 second' WHERE "
           "approval_id = %s", old)
    repeat = agent.call_start(CRASH, {"line": "one"})
    with McpHttp(rt, org.credential, modern=True) as other:
        for id in (old, changed):
            said = text_of(other.call("approval_status", {"approval_id": id}))
            assert again in said and "still pending" in said, said
    assert org.wait_pending() == again and len(org.rows()) == 3
    org.bob.reject(again, "leave it")
    results = [repeat.wait()]  # one behind the other: whoever comes when it is had is told other words
    results += [agent.call("approval_wait", {"approval_id": id}) for id in (old, changed)]
    for result in results:
        said = told(result, '{"line":"two"}')
        assert "leave it" in said and again in said, said
    assert org.effects() == ["crash"] and len(org.rows()) == 3
    shown = org.approval(changed)
    assert shown["retried_to"] == again and shown["edit_of"] == old and again in shown["reason"]
    assert again in shown["card"]["text"] and org.approval(old)["edited_to"] == changed
    shown = org.approval(again)
    assert shown["retry_of"] == changed and shown["edit_of"] == old, shown


@case(limit=60, **SHORT)
def an_editor_does_not_decide_their_change_when_it_runs_again(rt):
    """The second run would be of one person's arguments, by their own vote alone."""
    org, agent, (_, _, again) = run_again(rt)
    text = org.approval(again)["card"]["text"]
    assert "%s changed the arguments" % org.ann.name in text and '+ line: "two"' in text, text
    with refused(403, "you changed the arguments"):
        org.ann.approve(again)
    assert org.state(again) == "pending"
    org.bob.reject(again, "leave it")


@case(limit=60, **SHORT)
def a_keyed_repeat_of_what_runs_again_gets_what_comes_of_it(rt):
    """Not "it was not executed", behind the back of which it is."""
    org = Org(rt, files=False, scenario=True, policy=policy())
    meta = {KEY: "order-18"}
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(CRASH, {"line": "one"}, meta)
        first = org.wait_pending()
        org.ann.approve(first)
        assert "unknown" in text_of(call.wait())
        over = "SELECT unknown_after <= clock_timestamp() AS x FROM approval WHERE approval_id = %s"
        wait_for("the window to be over", lambda: rt.sql(over, first)[0]["x"])
        again = org.adam.settle(first, "again")["new_id"]
        repeat = agent.call_start(CRASH, {"line": "one"}, meta)
        org.bob.reject(again, "leave it")
        said = text_of(repeat.wait())
        assert "leave it" in said and again in said, said
    assert len(org.rows()) == 2


def in_front_of_the_agents_lock(rt, org, approval, start):
    """start() waits where the agent's intakes do. Can who is in front of it there, as a doubtful call's
    cancellation is, have the approval?"""
    agent = str(rt.sql("SELECT agent_id FROM approval WHERE approval_id = %s", approval)[0]["agent_id"])
    conn = rt.connect()
    conn.autocommit = False
    with contextlib.closing(conn), conn.cursor() as cur:
        cur.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7337))", (agent,))
        thread = threading.Thread(target=start)
        thread.start()
        wait_for("it to wait for the agent's lock", lambda: rt.sql(
            "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), every=0.005)
        cur.execute("SELECT 1 FROM approval WHERE approval_id = %s FOR UPDATE NOWAIT", (approval,))
        conn.rollback()
        thread.join()


@case(limit=60, **SHORT)
def an_edit_waits_for_the_agent_before_it_has_the_approval(rt):
    """An edit and a run-again that had it first stood in a circle with whoever took the agent first."""
    org, agent, call, approval = waiting(rt)
    changed = []
    in_front_of_the_agents_lock(rt, org, approval, lambda: changed.append(
        edit(org.ann, approval, {"line": "two"})))
    org.bob.approve(changed[0])
    assert text_of(call.wait()).endswith("appended")
    agent.close()
    call = (agent := McpWs(rt, org.credential)).call_start(CRASH, {"line": "x"})
    approval = org.wait_pending()
    org.ann.approve(approval)
    call.wait()
    over = "SELECT unknown_after <= clock_timestamp() AS over FROM approval WHERE approval_id = %s"
    wait_for("the window to be over", lambda: rt.sql(over, approval)[0]["over"])
    again = []
    in_front_of_the_agents_lock(rt, org, approval, lambda: again.append(
        org.adam.settle(approval, "again", "nothing there")["new_id"]))
    assert org.state(again[0]) == "pending" and org.state(approval) == "failed"
    agent.close()


@case(limit=90, workers=1)
def a_changed_call_of_which_nobody_had_heard_kept_its_key(rt):
    """Its node had told its agent that it could not be recorded, and a person changed it before that was
    back: what it was changed into is taken back, and the key is on what it was."""
    key = {KEY: "the order of Monday"}
    with untold(rt, drain_time="30s", caps=TASKS, meta=key) as (org, old, line, node):
        new = edit(org.ann, old, {"line": "two"})
        back_and_away(line, node)
        assert org.state(new) == "cancelled"
        with McpWs(rt, org.credential, modern=True, caps=TASKS) as agent:
            task = agent.call(APPEND, {"line": "one"}, key)["taskId"]
        third = org.wait_pending()
        assert org.row(third)["task_id"] == task
        org.ann.approve(third)
        org.wait_state(third, "succeeded")
    assert org.effects() == ["one"] and len(org.rows()) == 3
