"""Cards in Slack of which nobody knows whether they were posted: looked for by their metadata, and taken
for what they are; where the app may not look they may stand there twice, as before."""
import time

from cases import case
from chat import LOCAL
from fake_slack import FakeSlack
from fake_slack_app import HISTORY_SCOPES
from harness import wait_for
from mcp_client import text_of
from slack import OPS, SlackHouse

HISTORY = "conversations.history"


def ours(sl, channel=OPS, text="append_line"):
    """Messages of the app, but those in threads."""
    with sl.lock:
        return [m for m in sl.messages.values() if m["channel"] == channel and not m["thread_ts"] and
                m["by"].get("bot_id") == "B0BOT" and text in sl.text(m)]


def message_of(house, approval):
    """Its card's message as the row has it; None: not known."""
    rows = house.rt.sql("SELECT message FROM card_message WHERE approval_id = %s", approval)
    return rows[0]["message"] if rows else None


def known(house, approval, timeout=40):
    return wait_for("the card to be known", lambda: message_of(house, approval), timeout)


def asked(sl):
    return [args for method, args in sl.calls if method == HISTORY]


@case(limit=60, **LOCAL)
def a_lost_answer_would_have_made_a_second_card(rt):
    """The one that stands there is found behind two pages of other messages, and is the card. What a
    person or another app wrote with the same metadata is not."""
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        forged = []

        def others(message):
            sl.on_post = None
            for by in ({"user": "U9EVE"}, {"user": "U9EVIL", "bot_id": "B9EVIL", "app_id": "A9EVIL"},
                       {"user": "U0BOT"}):
                forged.append(sl.say(OPS, "append_line", message["metadata"], **by))
            for i in range(20):
                sl.say(OPS, "lunch %d" % i, user="U1BOB")
        sl.on_post = others
        sl.loses_answers = 1
        call, approval = house.ask("once")
        ts = known(house, approval)
        (card,) = ours(sl)
        assert card["ts"] == ts and forged, (card["ts"], ts)
        pages = asked(sl)
        assert len(pages) == 2 and all(p["limit"] == "15" for p in pages), pages
        assert float(pages[0]["oldest"]) > float(ts) - 90 and pages[1]["latest"] < pages[0]["latest"]
        sl.wait_text(card, "append_line")
        assert sl.click(house.ann, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        sl.wait_text(card, "done")
        assert len(ours(sl)) == 1 and all(sl.messages[OPS, f]["edits"] == 0 for f in forged)


@case(limit=60, **LOCAL)
def an_app_that_may_not_look_is_as_before(rt):
    """The card comes a second time, and the older one says so when it is pressed; Slack is not asked
    each time. With the scopes it would have stayed at two for good: both are found, and rewritten."""
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        sl.scopes -= HISTORY_SCOPES
        ends = []
        for line in ("one", "two"):
            sl.loses_answers = 1
            call, approval = house.ask(line)
            new = known(house, approval)
            old, card = ours(sl, text=line)
            assert card["ts"] == new and old["ts"] < new, (old["ts"], card["ts"], new)
            assert "older copy" in sl.click(house.ann, old, "Approve")
            ends.append((call, card))
        assert [r for r in sl.refusals if r[0] == HISTORY] == [(HISTORY, "missing_scope")], sl.refusals

        def down(message):
            sl.is_down = len(ours(sl, text="three")) == 2
        sl.on_post, sl.loses_answers = down, 2
        call, approval = house.ask("three")
        wait_for("two copies", lambda: sl.is_down, 20)
        sl.on_post, sl.scopes = None, sl.scopes | HISTORY_SCOPES
        house.org.control("PATCH", "/channels/sl", {"is_enabled": True})  # it has a new token, say
        sl.is_down = False
        new = known(house, approval)
        (card,) = ours(sl, text="three")
        assert card["ts"] == new
        (old,) = ours(sl, text="older copy")
        assert old["ts"] < new and old["metadata"] is None and sl.buttons(old) == [], old
        for call, card in ends + [(call, card)]:
            assert sl.click(house.ann, card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"
            sl.wait_text(card, "done")


@case(limit=60, **LOCAL)
def a_search_that_waits_would_have_kept_others_waiting(rt):
    """Slack answers once a minute to an app that is sold: another call's card comes meanwhile."""
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        sl.limits[HISTORY] = 1000
        sl.loses_answers = 1
        call, approval = house.ask("first")
        wait_for("the search to be refused", lambda: (HISTORY, "ratelimited") in sl.refusals, 20)
        other, second = house.ask("second")
        card = sl.wait_message(OPS, "second", timeout=20)
        assert message_of(house, approval) is None and len(ours(sl, text="first")) == 1
        assert sl.click(house.ann, card, "Approve").startswith("approved")
        assert text_of(other.wait()) == "appended"
        sl.limits.clear()
        ts = known(house, approval)
        (card,) = ours(sl, text="first")
        assert card["ts"] == ts and sl.click(house.ann, card, "Reject").startswith("rejected")
        assert call.wait()["isError"]


@case(limit=90, **LOCAL)
def cards_that_are_only_looked_for_take_no_turn_of_others(rt):
    """Each second one of them had the message that the room takes, and was not written."""
    doubtful, fresh = 12, 6
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        for i in range(doubtful):
            house.ask("doubtful %d" % i)
        wait_for("the first cards", lambda: len(ours(sl)) == doubtful, 40)
        sl.limits[HISTORY] = 100000
        org = house.org.id
        rt.sql("UPDATE card_message SET message = NULL, tries = 1, sent_at = now(), changed_at = now() "
               "WHERE organization_id = %s", org)
        rt.sql("UPDATE outbox SET wanted = wanted + 1, next_at = now(), delivered_at = NULL WHERE "
               "organization_id = %s", org)
        wait_for("a search", lambda: (HISTORY, "ratelimited") in sl.refusals)
        began = time.monotonic()
        for i in range(fresh):
            house.ask("fresh %d" % i)
        wait_for("the others", lambda: len(ours(sl, text="fresh")) == fresh, 60)
        took = time.monotonic() - began
        assert took < 3 * fresh, "%d cards took %.0f s" % (fresh, took)
        assert len(ours(sl, text="doubtful")) == doubtful


@case(limit=60, **LOCAL)
def a_lost_first_card_would_have_stood_twice_in_somebodys_own_chat(rt):
    """Which chat it is, is only known by what was posted there: the first one is found behind the
    second, and rewritten at once; later ones are found before."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann",), channels=None) as house:
        mine = "D1ANN"
        sl.loses_answers = 1
        call, approval = house.ask("first")
        new = known(house, approval)
        assert new == mine + ":" + ours(sl, mine, "first")[-1]["ts"]
        (old,) = wait_for("the copy", lambda: ours(sl, mine, "older copy"), 20)
        (card,) = ours(sl, mine, "first")
        assert sl.buttons(old) == [] and old["ts"] < card["ts"]
        assert sl.click(house.ann, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        sl.loses_answers = 1
        call, approval = house.ask("second")
        (_, ts) = known(house, approval).split(":")
        (card,) = ours(sl, mine, "second")
        assert card["ts"] == ts and len(ours(sl, mine, "older copy")) == 1
        assert sl.click(house.ann, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        sl.wait_text(card, "done")
