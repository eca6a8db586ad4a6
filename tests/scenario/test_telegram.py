"""Deciding in Telegram: cards, buttons, who may press them, and what stands there afterwards."""
from cases import case
from chat import LOCAL, House
from fake_telegram import FakeTelegram
from harness import wait_for
from mcp_client import text_of


@case(limit=60, **LOCAL)
def approve_in_telegram(rt):
    """A write is held, a card comes, a click decides, the call runs, the card says so."""
    with FakeTelegram() as tg, House(rt, tg) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, "append_line")
        assert "Approve" in " ".join(tg.buttons(card)) and "waiting" in card["text"], card
        assert tg.press(house.ann, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended" and house.org.effects() == ["one"]
        tg.wait_text(card, "done")
        assert tg.buttons(card) == []
        other = tg.wait_message(house.bob.id, "append_line")
        tg.wait_text(other, "done")
        (leaf,) = house.org.audit(approval, "approval.approved")
        assert leaf["data"]["via"] == "telegram" and leaf["data"]["person"] == house.org.ann.name


@case(limit=60, **LOCAL)
def reject_with_a_reason_that_the_agent_reads(rt):
    with FakeTelegram() as tg, House(rt, tg) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, "append_line")
        tg.press(house.ann, card, "Reject, saying why")
        prompt = tg.wait_message(house.ann.id, "Why is it rejected", card["message_id"])
        assert prompt["reply_markup"]["force_reply"]
        house.bob.says("not mine to answer", chat=house.bob.id, reply_to=prompt)
        house.ann.says("not on a Friday", reply_to=prompt)
        result = call.wait()
        assert result["isError"] and "not on a Friday" in text_of(result), result
        assert house.org.effects() == []
        tg.wait_text(card, "not on a Friday")
        # Once: the same reply again finds no question.
        house.ann.says("again", reply_to=prompt)
        tg.wait_message(house.ann.id, "I did not ask you that")


@case(limit=60, **LOCAL)
def two_people_make_a_quorum_and_cards_count(rt):
    with FakeTelegram() as tg, House(rt, tg, thresholds=[{"approve": 2}]) as house:
        call, approval = house.ask("one")
        first = tg.wait_message(house.ann.id, "append_line")
        second = tg.wait_message(house.bob.id, "append_line")
        assert "1 of 2" in tg.press(house.ann, first, "Approve")
        tg.wait_text(second, "1 of 2")
        tg.wait_text(first, "approved by " + house.org.ann.name)
        assert "1 of 2" in tg.press(house.ann, first, "Approve")  # once more is one person
        assert tg.press(house.bob, second, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        for card in (first, second):
            tg.wait_text(card, "done")


@case(limit=60, **LOCAL)
def an_old_button_answers_honestly(rt):
    with FakeTelegram() as tg, House(rt, tg) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, "append_line")
        approve, reject = tg.button(card, "Approve"), tg.button(card, "Reject")
        house.org.bob.reject(approval, "no")  # elsewhere
        assert call.wait()["isError"]
        tg.wait_text(card, "rejected")
        for data in (approve, reject):
            said = tg.press(house.ann, card, "", data=data)
            assert "rejected already" in said and house.org.bob.name in said, said
        assert house.org.effects() == []
