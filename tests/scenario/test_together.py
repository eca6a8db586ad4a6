"""Several calls of one message decided with one submit: in a form in Slack, by marks in Telegram; and
a vote taken back where the card shows it."""
import json

from cases import case
from chat import APPEND, LOCAL, House
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from harness import refused, wait_for
from mcp_client import text_of
from slack import OPS, SlackHouse

LINES = ("one", "two", "three", "four")
GROUP = -100555


def slack_batch(house, lines=LINES):
    """(message, calls, ids): calls that share a message, in the order of its numbers."""
    old = [m["ts"] for m in house.sl.posted(OPS)]
    asked = [house.ask(line) for line in lines]
    card = house.sl.wait_message(OPS, "append_line", skip=old)
    house.sl.wait_text(card, "%d calls of one tool" % len(lines))
    return card, [a[0] for a in asked], [a[1] for a in asked]


def ends(org, id):
    return [k for k in org.kinds(id) if k in ("approval.approved", "approval.rejected")]


def choose(**verdicts):
    return {"Call " + n[1:]: {"a": "Approve", "r": "Reject", "l": "Leave it"}[v]
            for n, v in verdicts.items()}


@case(limit=60, **LOCAL)
def one_form_in_slack_decides_several(rt):
    """Every call is in it, each has its own verdict, and each is told what came of it."""
    with FakeSlack() as sl, SlackHouse(rt, sl, batch=True) as house:
        org = house.org
        card, calls, ids = slack_batch(house)
        view = sl.open_modal(house.ann, card, "Decide several")
        for line in LINES:
            assert "line: " + line in sl.text(view), sl.text(view)
        assert [v for k, v in sl.inputs(view).items() if k.startswith("Call")] == ["Leave it"] * 4
        said = sl.text(sl.submit_form(house.ann, view, choices=choose(n1="a", n2="r", n4="a"),
                                      Why="not that line"))
        assert "3 recorded, 0 not" in said, said
        for n, end in enumerate(("approved", "rejected", "left as it is", "approved"), 1):
            assert said.split("%d. " % n)[1].split("\n")[1] == end, said
        assert text_of(calls[0].wait()) == text_of(calls[3].wait()) == "appended"
        assert "not that line" in text_of(calls[1].wait())
        assert org.state(ids[2]) == "pending" and sorted(org.effects()) == ["four", "one"]
        assert [len(ends(org, i)) for i in ids] == [1, 1, 0, 1]
        assert org.audit(ids[0], "approval.approved")[0]["data"]["via"] == "slack"
        # What waits alone is decided by its own button.
        wait_for("the form to go", lambda: sl.element(card, "Decide several") is None)
        assert sl.click(house.bob, card, "Reject").startswith("rejected")
        assert calls[2].wait()["isError"]


@case(limit=60, **LOCAL)
def what_changed_behind_a_form_would_have_been_decided_unseen(rt):
    """One is decided and one changed by others while the form is open; and who lost the right to
    decide decides nothing, whatever their form says."""
    with FakeSlack() as sl, SlackHouse(rt, sl, batch=True, people=("ann", "bob", "olga")) as house:
        org = house.org
        card, calls, ids = slack_batch(house)
        view = sl.open_modal(house.ann, card, "Decide several")
        org.bob.reject(ids[0], "not now")
        org.bob.rest("POST", org.path("/approvals/%s/edit" % ids[1]), {
            "arguments": {"line": "changed"}, "binding": org.binding(ids[1])})
        said = sl.text(sl.submit_form(house.ann, view, choices=choose(n1="a", n2="a", n3="a")))
        assert "1 recorded, 2 not" in said and said.count("not decided: it is rejected already") == 2, said
        assert text_of(calls[2].wait()) == "appended" and org.effects() == ["three"]
        assert [len(ends(org, i)) for i in ids] == [1, 1, 1, 0], [org.kinds(i) for i in ids]
        fresh = [r["approval_id"] for r in org.rows() if r["state"] == "pending"]
        assert len(fresh) == 2 and ids[3] in fresh, fresh
        for id in fresh:
            org.ann.reject(id, "enough")
        for call in calls:
            call.wait()
        # Olga's role may not; a guest and a stranger neither.
        card, calls, ids = slack_batch(house, ("five", "six"))
        old = sl.element(card, "Decide several")
        guest, new = sl.user("U1G", "g", is_restricted=True), sl.user("U1NEW", "new")
        for who in (house.olga, guest, new):
            view = sl.open_modal(who, card, "", element=old)
            assert not sl.inputs(view) and "line:" not in json.dumps(view), view
        view = sl.open_modal(house.bob, card, "Decide several")
        rt.sql("UPDATE membership SET role = 'member' WHERE organization_id = %s AND person_id = "
               "(SELECT person_id FROM person WHERE name = %s)", org.id, org.bob.name)
        said = sl.text(sl.submit_form(house.bob, view, choices=choose(n1="a", n2="r")))
        assert "may not decide" in said and "recorded" not in said, said
        # Buttons that were put together, or are of another message.
        values = [e["value"] for e in sl.elements(sl.now(card)) if e["value"][0] == "a"]
        view = sl.open_modal(house.ann, card, "Decide several")
        meta = view["private_metadata"].split(" ")
        assert meta[6] == "".join("-" + v[1:] for v in values), (meta, values)
        for items in ("a" + values[0][1:23] + values[1][23:], "a" + values[0][1:-4] + "AAAA"):
            sl.views[view["id"]]["private_metadata"] = " ".join(meta[:6] + [items])
            said = sl.text(sl.submit_form(house.ann, view))
            assert "button is of another call" in said, said
            view = sl.open_modal(house.ann, card, "Decide several")
        assert [org.state(i) for i in ids] == ["pending"] * 2 and org.effects() == ["three"]
        for call, id in zip(calls, ids):
            org.ann.reject(id, "enough")
            call.wait()


@case(limit=60, **LOCAL)
def a_form_without_approve_would_have_approved(rt):
    """What was submitted is judged by what is there: by a form that was drawn before the channel's
    cards lost their arguments, and by one whose answer has a verdict that it did not offer."""
    with FakeSlack() as sl, SlackHouse(rt, sl, batch=True) as house:
        org = house.org
        card, calls, ids = slack_batch(house, LINES[:2])
        before = sl.open_modal(house.ann, card, "Decide several")
        org.control("PATCH", "/channels/sl", {"disclose": "summary"})
        said = sl.text(sl.submit_form(house.ann, before, choices=choose(n1="a", n2="a")))
        assert said.count("it cannot be approved here") == 1 and "recorded" not in said, said
        view = sl.open_modal(house.bob, card, "Decide several")
        options = [b["element"]["options"] for b in view["blocks"]
                   if b["type"] == "input" and b["element"]["type"] == "radio_buttons"]
        assert len(options) == 2 and all(o["value"] != "a" for f in options for o in f), options
        for form in options:
            form.append({"text": {"type": "plain_text", "text": "Approve"}, "value": "a"})
        said = sl.text(sl.submit_form(house.bob, view, choices=choose(n1="a", n2="r")))
        assert "1 recorded, 1 not" in said and "not decided: it cannot be approved here" in said, said
        assert org.effects() == [] and org.state(ids[0]) == "pending"
        assert calls[1].wait()["isError"] and [len(ends(org, i)) for i in ids] == [0, 1]
        org.bob.reject(ids[0], "enough")
        calls[0].wait()


@case(limit=90, **LOCAL)
def twenty_calls_share_a_message(rt):
    """And one form: each is shown in both, each by itself."""
    with FakeSlack() as sl, SlackHouse(rt, sl, batch=True) as house:
        calls = [house.agent.call_start(APPEND, {"line": "line-%02d" % i}) for i in range(20)]
        card = sl.wait_message(OPS, "append_line", timeout=30)
        sl.wait_text(card, "20 calls of one tool", 40)
        view = sl.open_modal(house.ann, card, "Decide several")
        read, seen = sl.text(sl.now(card)), []
        while True:
            read += sl.text(view)
            seen += [k for k in sl.inputs(view) if k.startswith("Call")]
            here = {k: "Reject" if k == "Call 7" else "Approve" for k in sl.inputs(view)
                    if k.startswith("Call")}
            last = view["submit"]["text"] == "Decide"
            view = sl.submit_form(house.ann, view, choices=here)
            if last:
                break
        assert seen == ["Call %d" % i for i in range(1, 21)], seen
        assert "20 recorded, 0 not" in sl.text(view), sl.text(view)
        for i in range(20):
            assert read.count("line: line-%02d" % i) == 2, i
        ended = [bool(call.wait().get("isError")) for call in calls]
        assert ended.count(True) == 1 and len(house.org.effects()) == 19, ended


@case(limit=90, **LOCAL)
def a_long_form_has_pages_and_decides_on_the_last(rt):
    """What was chosen on a page stays chosen, also when one goes back; a call that changes between
    two pages brings the reader back to the first."""
    with FakeSlack() as sl, SlackHouse(rt, sl, batch=True, files=True,
                                       thresholds=[{"approve": 2}]) as house:
        org = house.org
        asked = [house.ask(tool="files__write", path=c + ".txt", overwrite=True,
                           content=c.join("%04d" % i for i in range(30))) for c in "qrstuvwxyz"]
        card = sl.wait_message(OPS, "q.txt")
        sl.wait_text(card, "10 calls of one tool")
        wanted = {"Call 1": "Approve", "Call 2": "Approve", "Call 10": "Reject"}

        def turn(page):
            """The next page; what is chosen on this one is as wanted."""
            here = {k: v for k, v in wanted.items() if k in sl.inputs(page)}
            return sl.submit_form(house.ann, page, choices=here)

        def voted():
            return len(rt.sql("SELECT 1 FROM vote WHERE organization_id = %s", org.id))
        page = sl.open_modal(house.ann, card, "Decide several")
        assert "Page 1 of" in sl.text(page) and page["submit"]["text"] == "Next page", page["submit"]
        while "Call 1" not in sl.inputs(page):
            page = turn(page)
        assert "Call 10" not in sl.inputs(page)
        page = turn(page)
        page = sl.press_in_view(house.ann, page, "Back")
        assert sl.inputs(page)["Call 1"] == "Approve" and voted() == 0
        # Bob's vote is news: the form begins again, and keeps what was chosen.
        org.bob.approve(asked[1][1])
        page = sl.submit_form(house.ann, page)
        assert "Page 1 of" in sl.text(page) and "has changed meanwhile" in sl.text(page)
        read, seen = "", []
        while True:
            read += sl.text(page) + "\n"
            if "Call 1" in sl.inputs(page):
                assert sl.inputs(page)["Call 1"] == "Approve", sl.inputs(page)
            seen += [k for k in sl.inputs(page) if k.startswith("Call")]
            if page["submit"]["text"] == "Decide":
                break
            page = turn(page)
            assert voted() == 1
        assert seen == ["Call %d" % i for i in range(1, 11)], seen
        for c in "qrstuvwxyz":
            assert c.join("%04d" % i for i in range(30)) in read.replace("\n> ", ""), c
        here = {k: v for k, v in wanted.items() if k in sl.inputs(page)}
        said = sl.text(sl.submit_form(house.ann, page, choices=here))
        assert "3 recorded, 0 not" in said and "recorded: 1 of 2" in said, said
        assert asked[9][0].wait()["isError"] and not asked[1][0].wait().get("isError")
        assert org.state(asked[0][1]) == "pending"
        org.bob.reject(asked[0][1], "enough")
        asked[0][0].wait()


def telegram_batch(house, place, lines=LINES):
    asked = [house.ask(line) for line in lines]
    card = house.tg.wait_message(place, "append_line")
    house.tg.wait_text(card, "%d calls of one tool" % len(lines))
    return card, [a[0] for a in asked], [a[1] for a in asked]


def mark(tg, user, card, text):
    said = tg.press(user, card, text)
    wait_for("the mark of %s" % text, lambda: "\u2611 " + text in tg.buttons(card), 20)
    return said


@case(limit=90, **LOCAL)
def marks_in_telegram_decide_several_in_one_go(rt):
    """In a group: marks are everybody's, and whoever presses decides what stood there when they
    did, as themselves."""
    with FakeTelegram() as tg:
        tg.group(GROUP)
        with House(rt, tg, people=("ann", "bob", "olga"), batch=True, chats=[GROUP]) as house:
            org = house.org
            card, calls, ids = telegram_batch(house, GROUP)
            assert "may not decide" in tg.press(house.olga, card, "Decide several")
            assert "not linked" in tg.press(house.adam, card, "Decide several")
            tg.press(house.ann, card, "Decide several")
            wait_for("keys that mark", lambda: tg.button(card, "One by one"), 20)
            assert tg.button(card, "Decide what is marked") is None
            marks = tg.button(card, "Approve 1")
            assert "may not decide" in tg.press(house.olga, card, "Approve 1")
            assert "nothing is decided yet" in mark(tg, house.ann, card, "Approve 1")
            mark(tg, house.ann, card, "Reject 2")
            stale = tg.button(card, "Decide what is marked (2)")
            mark(tg, house.bob, card, "Approve 4")
            assert org.effects() == [] and [org.state(i) for i in ids] == ["pending"] * 4
            # Ann's screen still shows two marks: she does not decide what she has not seen.
            assert "has changed just now" in tg.press(house.ann, card, "", data=stale)
            now = wait_for("three marks", lambda: tg.button(card, "Decide what is marked (3)"), 20)
            assert "may not decide" in tg.press(house.olga, card, "", data=now)
            assert "not linked" in tg.press(house.adam, card, "", data=now)
            forged = now[:-2] + ("AA" if now[-2:] != "AA" else "BB")
            assert "has changed just now" in tg.press(house.ann, card, "", data=forged)
            assert org.effects() == [] and [org.state(i) for i in ids] == ["pending"] * 4
            org.bob.reject(ids[3], "not now")  # meanwhile, by another way
            assert tg.press(house.ann, card, "", data=now) == "2 recorded, 1 not"
            told = tg.wait_message(GROUP, "2 recorded", card["message_id"])["text"]
            assert "1. approved" in told and "2. rejected" in told and "3. left as it is" in told
            assert "4. not decided: it is rejected already, decided by " + org.bob.name in told, told
            assert text_of(calls[0].wait()) == "appended" and calls[1].wait()["isError"]
            assert org.effects() == ["one"] and org.state(ids[2]) == "pending"
            assert [len(ends(org, i)) for i in ids] == [1, 1, 0, 1]
            assert org.row(ids[0])["decided_by"] == org.ann.name
            wait_for("keys that decide", lambda: tg.button(card, "Approve 3") and
                     not tg.button(card, "One by one"), 20)
            assert "already" in tg.press(house.ann, card, "", data=marks)
            assert tg.press(house.bob, card, "Approve 3").startswith("approved")
            for call in calls[2:]:
                call.wait()


@case(limit=90, **LOCAL)
def a_vote_is_taken_back_by_a_button_in_slack(rt):
    """One's own, while it waits; the card tells how it stands."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "bob", "olga"),
                                       thresholds=[{"approve": 2}]) as house:
        org = house.org
        call, approval = house.ask()
        card = sl.wait_message(OPS, "append_line")
        assert sl.element(card, "Take my vote back") is None
        assert "1 of 2" in sl.click(house.ann, card, "Approve")
        wait_for("the button", lambda: sl.element(card, "Take my vote back"), 20)
        key = sl.element(card, "Take my vote back")
        assert "have not voted" in sl.click(house.bob, card, "", element=key)
        assert "may not decide" in sl.click(house.olga, card, "", element=key)
        assert "not linked" in sl.click(sl.user("U1NEW", "new"), card, "", element=key)
        other, _ = house.ask("two")
        second = sl.wait_message(OPS, "two", skip=[card["ts"]])
        reject = sl.element(second, "Reject")
        forged = dict(key, value="w" + reject["value"][1:23] + key["value"][23:])
        assert "another call" in sl.click(house.ann, second, "", element=forged)
        assert "does not belong" in sl.click(house.ann, second, "", element=key)
        assert org.kinds(approval).count("approval.withdrawn") == 0
        assert "0 of 2" in sl.click(house.ann, card, "", element=key)
        assert org.audit(approval, "approval.withdrawn")[0]["data"]["via"] == "slack"
        wait_for("no button", lambda: sl.element(card, "Take my vote back") is None, 20)
        assert "have not voted" in sl.click(house.ann, card, "", element=key)
        for user in (house.bob, house.ann):
            sl.click(user, card, "Approve")
        assert text_of(call.wait()) == "appended"
        assert "already" in sl.click(house.ann, card, "", element=key)
        sl.click(house.ann, second, "Reject")
        other.wait()


@case(limit=90, **LOCAL)
def a_vote_is_taken_back_by_a_button_in_telegram(rt):
    """In somebody's own chat it stands when the vote is theirs, however they gave it; and beside an
    approval that does not run yet, until it does."""
    with FakeTelegram() as tg, House(rt, tg, thresholds=[{"approve": 2}], undo="1m") as house:
        org = house.org
        call, approval = house.ask()
        cards = [tg.wait_message(u.id, "append_line") for u in (house.ann, house.bob)]
        org.ann.approve(approval)
        wait_for("Ann's button", lambda: tg.button(cards[0], "Take my vote back"), 20)
        tg.wait_text(cards[1], "1 of 2", 20)
        key = tg.button(cards[0], "Take my vote back")
        assert tg.button(cards[1], "Take my vote back") is None
        assert "not known here" in tg.press(house.bob, cards[1], "", data=key)
        assert "0 of 2" in tg.press(house.ann, cards[0], "Take my vote back")
        wait_for("no button", lambda: tg.button(cards[0], "Take my vote back") is None, 20)
        assert "1 of 2" in tg.press(house.ann, cards[0], "Approve")
        assert "taken back for 1m" in tg.press(house.bob, cards[1], "Approve")
        wait_for("Bob's button", lambda: tg.button(cards[1], "Take my vote back"), 20)
        assert "does not run" in tg.press(house.bob, cards[1], "Take my vote back")
        assert call.wait()["isError"] and org.effects() == []
        wait_for("no buttons", lambda: tg.buttons(cards[0]) == tg.buttons(cards[1]) == [], 20)
        with refused(409):
            org.ann.approve(approval)
