"""Grants that a card offers behind an approval: always a second step with its scope in a sentence, and
the same authority as by the command line."""
from cases import case
from chat import LOCAL, House
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from harness import wait_for
from mcp_client import text_of
from slack import OPS, SlackHouse

SCOPE = "For 1 h, at most 5 times, calls of s__append_line by bot with exactly these arguments run " \
        "without asking"
OFFER = "Allow for 1 h"


def grants(org):
    return org.adam.rest("GET", org.path("/grants"))["items"]


def runs_unasked(house, line):
    house.org.sync()
    assert text_of(house.agent.call("s__append_line", {"line": line})) == "appended"
    assert house.org.rows()[-1]["grant_id"] == grants(house.org)[0]["id"]


@case(limit=60, **LOCAL)
def a_grant_from_telegram_takes_two_steps(rt):
    with FakeTelegram() as tg, House(rt, tg, people=("ann", "adam")) as house:
        org = house.org
        call, approval = house.ask("one")
        card = tg.wait_message(house.adam.id, "append_line")
        other = tg.wait_message(house.ann.id, "append_line")
        assert not tg.button(card, OFFER), tg.buttons(card)
        early = tg.button(card, "Approve")
        assert tg.press(house.adam, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        offer = wait_for("the offer", lambda: tg.button(card, OFFER))
        assert "For 1 h" not in tg.now(card)["text"] and grants(org) == []
        tg.press(house.adam, card, OFFER)
        tg.wait_text(card, SCOPE.replace("bot", org.agent))
        assert grants(org) == [], "one tap is no grant"
        yes = tg.button(card, "Yes, allow that")
        tg.press(house.adam, card, "No")
        wait_for("the offer again", lambda: tg.button(card, OFFER))
        assert grants(org) == []
        # An approver may not make one: as by the command line, the attempt is in the audit.
        wait_for("the offer", lambda: tg.button(other, OFFER))
        mine = tg.button(other, OFFER)
        said = tg.press(house.ann, other, "", data="G" + mine[1:])
        assert "may not make grants" in said and grants(org) == [], said
        assert org.audit(approval, "approval.refused")[0]["data"]["what"] == "grant"
        tg.press(house.adam, card, OFFER)
        tg.wait_text(card, SCOPE.replace("bot", org.agent))
        said = tg.press(house.adam, card, "Yes, allow that")
        assert "allowed for 1 h, 5 times" in said and grants(org)[0]["id"] in said, said
        for at in (card, other):
            tg.wait_text(at, "A grant was made from it")
            assert tg.buttons(at) == [], tg.buttons(at)
        # The old button, once more: no second grant.
        said = tg.press(house.adam, card, "", data=yes)
        assert "already" in said and len(grants(org)) == 1, said
        (made,) = grants(org)
        assert made["uses"] == 5 and made["by"] == org.adam.name and made["pins"] == [""], made
        leaf = org.audit(kind="grant.")[0]
        assert leaf["data"]["via"] == "telegram" and leaf["data"]["for_ms"] == 3600000, leaf
        runs_unasked(house, "one")
        # Other arguments ask, and the card says why although there is a grant.
        call, second = house.ask("two")
        tg.wait_message(house.adam.id, "the grant of %s was for other arguments" % org.adam.name)
        assert "G" not in (offer[0], early[0])
        org.bob.reject(second, "end")
        call.wait()
        assert org.effects() == ["one", "one"]


@case(limit=60, **LOCAL)
def a_grant_from_slack_asks_first(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "adam")) as house:
        org = house.org
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        sl.click(house.adam, card, "Approve")
        assert text_of(call.wait()) == "appended"
        element = wait_for("the offer", lambda: sl.element(card, OFFER))
        asked = element["confirm"]["text"]["text"]
        assert SCOPE.replace("bot", org.agent) in asked and asked.endswith("Other arguments ask."), asked
        assert element["confirm"]["text"]["type"] == "plain_text"
        said = sl.click(house.ann, card, OFFER)
        assert "may not make grants" in said and grants(org) == [], said
        said = sl.click(house.adam, card, OFFER)
        assert "allowed for 1 h, 5 times" in said, said
        sl.wait_text(card, "A grant was made from it")
        assert sl.buttons(card) == []
        assert "already" in sl.click(house.adam, card, "", element=element)
        assert len(grants(org)) == 1
        assert org.audit(kind="grant.")[0]["data"]["via"] == "slack"
        runs_unasked(house, "one")


@case(limit=60, **LOCAL)
def where_no_grant_is_offered(rt):
    """One approval was not enough; nobody who approved may make one; the channel shows no arguments,
    and a made-up button there is refused."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann", "adam"),
                                     thresholds=[{"approve": 2}]) as house:
        org = house.org
        call, approval = house.ask("one")
        card = tg.wait_message(house.adam.id, "append_line")
        data = tg.button(card, "Approve")
        tg.press(house.adam, card, "Approve")
        tg.wait_text(card, "1 of 2")
        said = tg.press(house.adam, card, "", data="G" + data[1:])
        assert "nothing was granted" in said, said
        org.bob.approve(approval)
        assert text_of(call.wait()) == "appended"
        tg.wait_text(card, "done")
        assert tg.buttons(card) == [], tg.buttons(card)
        assert "nothing was granted" in tg.press(house.adam, card, "", data="G" + data[1:])
    with FakeTelegram() as tg, House(rt, tg, people=("adam",), disclose="summary") as house:
        org = house.org
        call, approval = house.ask("one")
        card = tg.wait_message(house.adam.id, "append_line")
        data = tg.button(card, "Reject")
        org.adam.approve(approval)
        assert text_of(call.wait()) == "appended"
        tg.wait_text(card, "done")
        assert tg.buttons(card) == [], tg.buttons(card)
        said = tg.press(house.adam, card, "", data="G" + data[1:])
        assert "not all of it was shown here" in said and grants(org) == [], said


@case(limit=60, **LOCAL)
def a_grant_would_have_covered_arguments_that_nobody_was_shown(rt):
    """Nobody turned the pages, and it was approved elsewhere: no offer, a made-up button is refused;
    behind the last page there is one, and it is as good as any."""
    text = "".join("%05d\n" % i for i in range(900))
    with FakeTelegram() as tg, House(rt, tg, people=("adam",), files=True) as house:
        org = house.org
        call, approval = house.ask(tool="files__write", arguments={"path": "a", "content": text})
        card = tg.wait_message(house.adam.id, "(page 1 of")
        data = tg.button(card, "Reject")
        org.adam.approve(approval)
        assert not call.wait().get("isError")
        tg.wait_text(card, "done")
        assert not tg.button(card, OFFER), tg.buttons(card)
        said = tg.press(house.adam, card, "", data="G" + data[1:])
        assert "not all of it was shown here" in said and grants(org) == [], said
        page = 1
        while tg.button(card, "Next"):
            page += 1
            tg.turn_page(house.adam, card)
            tg.wait_text(card, "(page %d of" % page)
        tg.press(house.adam, card, "", data="g" + data[1:])
        yes = wait_for("the question", lambda: tg.button(card, "Yes, allow that"))
        assert "allowed for 1 h" in tg.press(house.adam, card, "", data=yes)
        assert len(grants(org)) == 1
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("adam",), files=True) as house:
        org = house.org
        call, approval = house.ask(tool="files__write", path="b", content=text * 6)
        card = sl.wait_message(OPS, "too long for a message")
        reject = sl.element(card, "Reject")
        org.adam.approve(approval)
        assert not call.wait().get("isError")
        sl.wait_text(card, "done")
        assert sl.buttons(card) == [], sl.buttons(card)
        made_up = dict(reject, action_id="G", value="G" + reject["value"][1:])
        said = sl.click(house.adam, card, "", element=made_up)
        assert "not all of it was shown here" in said and grants(org) == [], said
