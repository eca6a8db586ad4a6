"""Several calls decided in one go: each shown, each by itself, each with its own result."""
import os

from cases import case
from chat import LOCAL, House
from cli import Cli
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from harness import Org, refused, wait_for
from mcp_client import TASKS, McpHttp, McpWs, text_of
from slack import OPS, SlackHouse
from test_edit import APPEND, policy

LINES = ("one", "two", "three")


def three(rt, document=None):
    """(org, agent, calls, ids): three calls that wait, in the order of LINES."""
    org = Org(rt, files=False, scenario=True, policy=document or policy())
    agent = McpWs(rt, org.credential)
    calls, ids = [], []
    for line in LINES:
        calls.append(agent.call_start(APPEND, {"line": line}))
        ids.append(next(a for a in [org.wait_pending(len(calls))] for a in
                        ([a] if isinstance(a, str) else a) if a not in ids))
    return org, agent, calls, ids


def decisions(person, *items):
    org = person.org
    return person.rest("POST", org.path("/approvals/decisions"), {"decisions": list(items)})["items"]


def verdict(org, id, what, **more):
    return dict({"id": id, "verdict": what, "binding": org.binding(id)}, **more)


@case()
def each_has_its_own_verdict_and_result(rt):
    org, agent, calls, ids = three(rt)
    got = decisions(org.ann, verdict(org, ids[0], "approve"),
                    verdict(org, ids[1], "reject", reason="not that one"),
                    dict(verdict(org, ids[2], "approve"), binding="00" * 32))
    assert [g["id"] for g in got] == ids
    assert got[0]["is_decided"] and got[0]["state"] == "approved", got
    assert got[1]["state"] == "rejected", got
    assert got[2]["error"]["code"] == "CONFLICT" and "not the call" in got[2]["error"]["text"], got
    assert text_of(calls[0].wait()) == "appended"
    assert "not that one" in text_of(calls[1].wait())
    assert org.state(ids[2]) == "pending" and org.effects() == ["one"]
    for id, kind in zip(ids, ("approval.approved", "approval.rejected")):
        assert len(org.audit(id, kind)) == 1, org.kinds(id)
    # Again: what is decided says so, the others are decided.
    got = decisions(org.bob, *[verdict(org, id, "approve") for id in ids])
    assert "already" in got[0]["error"]["text"] and "already" in got[1]["error"]["text"], got
    assert got[2]["is_decided"] and text_of(calls[2].wait()) == "appended"


@case()
def a_list_that_is_wrong_decides_nothing(rt):
    org, _, _, ids = three(rt)
    fine = verdict(org, ids[0], "approve")
    for wrong in ([], [fine] * 2, [fine, {}], [fine, dict(fine, id="x")], [fine, 5],
                  [fine, dict(verdict(org, ids[1], "approve"), verdict="perhaps")],
                  [fine, dict(verdict(org, ids[1], "approve"), all=True)],
                  [fine, dict(verdict(org, ids[1], "approve"), reason=5)],
                  [fine] + [verdict(org, ids[1], "approve")] * 50):
        with refused(400):
            decisions(org.ann, *wrong)
    with refused(403):
        decisions(org.olga, fine)
    got = decisions(org.ann, {"id": ids[0], "verdict": "approve"})  # without saying what was shown
    assert "binding" in got[0]["error"]["text"], got
    assert org.effects() == [] and [org.state(i) for i in ids] == ["pending"] * 3


@case()
def several_by_the_command_line(rt):
    org, _, calls, ids = three(rt)
    cli = Cli(rt, org)
    assert "only a person" in cli("approvals", "approve", *ids, status=3).err
    said = cli("approvals", "approve", ids[0], ids[1], token=org.ann.token)
    for line, id in zip(LINES[:2], ids):
        assert "line: " + line in said.out and "%s: approved" % id in said.out, said
    for call in calls[:2]:
        assert text_of(call.wait()) == "appended"
    said = cli("approvals", "reject", ids[2], ids[0], "--reason", "no", token=org.bob.token, status=5)
    assert "%s: rejected" % ids[2] in said.out and "%s: not decided" % ids[0] in said.out, said
    assert "1 of 2 were not decided" in said.err, said
    assert calls[2].wait()["isError"] and org.effects() == ["one", "two"]


@case(limit=60, **LOCAL)
def one_message_in_telegram_and_each_decided(rt):
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), batch=True) as house:
        org = house.org
        calls, ids = [], []
        for line in LINES:
            call, id = house.ask(line)
            calls.append(call)
            ids.append(id)
        card = tg.wait_message(house.ann.id, "append_line")
        tg.wait_text(card, "3 calls of one tool")
        text = tg.now(card)["text"]
        for i, line in enumerate(LINES):
            assert "line: " + line in text, text
            assert tg.button(card, "Approve %d" % (i + 1)) and tg.button(card, "Reject %d" % (i + 1))
        cards = [m for m in tg.messages(house.ann.id) if "append_line" in m["text"]]
        assert len(cards) == 1, cards
        assert "Approve all" not in " ".join(tg.buttons(card))
        assert tg.press(house.ann, card, "Approve 1").startswith("approved")
        assert tg.press(house.ann, card, "Reject 2").startswith("rejected")
        assert text_of(calls[0].wait()) == "appended" and calls[1].wait()["isError"]
        wait_for("the keys of the third alone", lambda: [
            b.encode("ascii", "ignore").decode().strip() for b in tg.buttons(card)] == [
                "Approve 3", "Reject 3", "Stop agent"])
        assert tg.press(house.ann, card, "Approve 3").startswith("approved")
        assert text_of(calls[2].wait()) == "appended"
        wait_for("no keys", lambda: tg.buttons(card) == [])
        assert tg.now(card)["text"].count("done") == 2 and "rejected" in tg.now(card)["text"]
        for id in ids:
            decided = [k for k in org.kinds(id) if k in ("approval.approved", "approval.rejected")]
            assert len(decided) == 1, org.kinds(id)
        assert org.effects() == ["one", "three"]


@case(limit=60, **LOCAL)
def a_busy_chat_would_have_had_a_message_for_each(rt):
    """Those that its pace kept back stand in the message of the first all the same."""
    with FakeSlack() as sl, SlackHouse(rt, sl, batch=True) as house:
        agents = [house.org.add_agent("other-%d" % n)[1] for n in range(9)]
        house.org.sync()
        for credential in agents:  # more than a chat takes at once
            McpHttp(rt, credential, modern=True, caps=TASKS).call(APPEND, {"line": "other"})
        asked = [house.ask(line) for line in LINES]
        card = sl.wait_message(OPS, "line: one", timeout=30)
        sl.wait_text(card, "3 calls of one tool", 20)
        assert len([m for m in sl.posted(OPS) if "agent bot of" in sl.text(m)]) == 1
        for call, approval in asked:
            house.org.ann.reject(approval, "enough")
            assert call.wait()["isError"]


@case(limit=60, **LOCAL)
def what_does_not_fit_has_its_own_message(rt):
    """Also what comes when the first was decided; nothing is approved that was not shown whole."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), batch=True, files=True) as house:
        def write(name, size):
            return house.ask(tool="files__write",
                             arguments={"path": name, "content": "x" * size, "overwrite": True})
        first, _ = write("a.txt", 10)
        second, _ = write("b.txt", 3500)
        third, _ = write("c.txt", 10)
        shared = tg.wait_message(house.ann.id, "a.txt")
        own = tg.wait_message(house.ann.id, "b.txt")
        tg.wait_text(shared, "c.txt")
        assert own["message_id"] != shared["message_id"] and "b.txt" not in tg.now(shared)["text"]
        assert not tg.button(own, "Approve") and tg.button(own, "Next"), tg.buttons(own)
        tg.press(house.ann, shared, "Approve 1")
        tg.press(house.ann, shared, "Approve 2")
        for call in (first, third):
            assert not call.wait().get("isError")
        wait_for("no keys", lambda: tg.buttons(shared) == [])
        last, _ = write("d.txt", 10)
        fresh = tg.wait_message(house.ann.id, "d.txt")
        assert fresh["message_id"] not in (own["message_id"], shared["message_id"])
        tg.press(house.ann, fresh, "Approve")
        assert not last.wait().get("isError")
        tg.press(house.ann, own, "Reject")
        assert second.wait()["isError"]
        assert sorted(os.listdir(house.org.folder)) == ["a.txt", "c.txt", "d.txt"]


@case(limit=60, **LOCAL)
def a_deleted_message_would_have_taken_several_waiting_calls_with_it(rt):
    """Found out when one of them is to be rewritten: each has a card of its own again."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), batch=True,
                                     thresholds=[{"approve": 2}]) as house:
        asked = [house.ask(line) for line in LINES[:2]]
        shared = tg.wait_message(house.ann.id, LINES[0])
        tg.wait_text(shared, LINES[1])
        wait_for("both to be told", lambda: not rt.sql(
            "SELECT 1 FROM outbox WHERE organization_id = %s AND done < wanted", house.org.id))
        tg.delete(shared)
        house.org.bob.approve(asked[0][1])
        for call, approval in asked:
            fresh = tg.wait_message(house.ann.id, approval, shared["message_id"], 30)
            assert "rejected" in tg.press(house.ann, fresh, "Reject")
            assert call.wait()["isError"]


def beside_a_long_refusal(house, name, reason):
    """(message, call): of two in one message the first is rejected with many words."""
    tg = house.tg
    asked = [house.ask(tool="files__write", arguments={
        "path": path, "content": "x" * n, "overwrite": True})
        for path, n in (("first-" + name, 10), (name, 900))]
    card = tg.wait_message(house.ann.id, "first-" + name)
    tg.wait_text(card, "file " + name)
    assert tg.button(card, "Approve 2"), tg.now(card)
    house.org.bob.reject(asked[0][1], reason)
    assert asked[0][0].wait()["isError"]
    tg.wait_text(card, "rejected")
    return card, asked[1][0]


@case(limit=60, **LOCAL)
def what_waits_keeps_its_buttons_beside_a_long_refusal(rt):
    """Nobody could decide it in that chat any more: what is decided gives way, and if that is not
    enough it has a message of its own."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), batch=True, files=True) as house:
        card, call = beside_a_long_refusal(house, "cut.txt", "no " * 300)
        text = tg.now(card)["text"]
        assert "Too long" in text and "content: " + "x" * 900 in text, text
        assert tg.press(house.ann, card, "Approve 2").startswith("approved")
        assert not call.wait().get("isError")
        card, call = beside_a_long_refusal(house, "parted.txt", "\u202e" * 150)  # 8 letters each
        own = tg.wait_message(house.ann.id, "file parted.txt", card["message_id"])
        wait_for("it to have left the other", lambda: "xxxxxxxxxxx" not in tg.now(card)["text"])
        assert tg.buttons(card) == [] and "content: " + "x" * 900 in own["text"], (card, own)
        assert tg.press(house.ann, own, "Approve").startswith("approved")
        assert not call.wait().get("isError")


@case(limit=60, card_retention="1s", **LOCAL)
def arguments_leave_a_shared_message_too(rt):
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), batch=True) as house:
        asked = [house.ask("planted-%s" % line) for line in LINES[:2]]
        card = tg.wait_message(house.ann.id, "append_line")
        tg.wait_text(card, "planted-two")
        assert "planted-one" in tg.now(card)["text"]
        for i, (call, _) in enumerate(asked):
            tg.press(house.ann, card, "Reject %d" % (i + 1))
            assert call.wait()["isError"]
        wait_for("the arguments to leave", lambda: "planted" not in tg.now(card)["text"])
        text = tg.now(card)["text"]
        for _, approval in asked:
            assert house.org.binding(approval) in text, text


@case(limit=60, **LOCAL)
def one_message_in_slack_and_each_decided(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "bob"), batch=True) as house:
        org = house.org
        asked = [house.ask(line) for line in LINES]
        card = sl.wait_message(OPS, "append_line")
        sl.wait_text(card, "3 calls of one tool")
        assert len(sl.posted(OPS)) == 1
        keys = [e for e in sl.elements(sl.now(card)) if e.get("text", {}).get("text") == "Approve"]
        reject = [e for e in sl.elements(sl.now(card)) if e.get("text", {}).get("text") == "Reject"]
        assert len(keys) == len(reject) == 3, sl.buttons(card)
        # A button of one does not decide another: card and digest belong together.
        forged = dict(keys[0], value=keys[0]["value"][:23] + keys[1]["value"][23:])
        assert "nothing was decided" in sl.click(house.ann, card, "", element=forged)
        assert sl.click(house.ann, card, "", element=keys[1]).startswith("approved")
        assert text_of(asked[1][0].wait()) == "appended" and org.effects() == ["two"]
        assert "rejected" in sl.click(house.bob, card, "", element=reject[0])
        assert asked[0][0].wait()["isError"]
        assert "already" in sl.click(house.bob, card, "", element=keys[0])
        assert sl.click(house.bob, card, "", element=keys[2]).startswith("approved")
        assert text_of(asked[2][0].wait()) == "appended"
        wait_for("no keys", lambda: sl.buttons(card) == [])
        assert sorted(org.effects()) == ["three", "two"]
