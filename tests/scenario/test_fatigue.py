"""Against fatigue: what is over a channel's rate is folded into one message that counts it, by agent."""
import re

from cases import case
from chat import LOCAL, House
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from harness import LONG, wait_for
from mcp_client import TASKS, McpHttp
from slack import OPS, SlackHouse

FLOOD = 8000 if LONG else 200
APPEND = "s__append_line"


def folded(house):
    return [r["approval_id"] for r in house.rt.sql(
        "SELECT approval_id FROM outbox JOIN approval USING (organization_id, approval_id) WHERE "
        "organization_id = %s AND folded_at IS NOT NULL AND state = 'pending' ORDER BY expires_at",
        house.org.id)]


def flood(house, credential, count, agent=None):
    """So many calls that wait as tasks."""
    agent = agent or McpHttp(house.rt, credential, modern=True, caps=TASKS)
    for i in range(count):
        agent.call(APPEND, {"line": "line %d" % i})


def counted(text, name):
    found = re.search(r"^%s: (\d+)$" % re.escape(name), text, re.M)
    return int(found.group(1)) if found else 0


def cards(messages):
    return [m for m in messages if "append_line" in m["text"] and "without a card" not in m["text"]]


@case(limit=600 if LONG else 90, pending_max="10000", **LOCAL)
def a_flooding_agent_is_one_message_and_others_are_heard(rt):
    """30 cards at most, the rest in one message with counts; another agent's first call has its card
    within 10 s all the same, and what is folded is decided like everything else."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), rate=30) as house:
        org, ann = house.org, house.ann
        flood(house, org.credential, FLOOD)
        digest = tg.wait_message(ann.id, "without a card")
        other = McpHttp(rt, org.add_agent("second")[1], modern=True, caps=TASKS)
        org.sync()
        other.call(APPEND, {"line": "hear me"})
        card = tg.wait_message(ann.id, "hear me", timeout=10)
        assert "Approve" in " ".join(tg.buttons(card))
        assert len(cards(tg.messages(ann.id))) <= 33, len(cards(tg.messages(ann.id)))
        wait_for("the counts", lambda: counted(tg.now(digest)["text"], "bot") == len(folded(house)),
                 30)
        assert len(folded(house)) >= FLOOD - 30 and "  %s: " % APPEND in tg.now(digest)["text"]
        assert [m for m in tg.messages(ann.id) if "without a card" in m["text"]] == [digest]
        # Nobody was left without word, and each of them can be decided.
        wait_for("all to be counted", lambda: rt.sql(
            "SELECT 1 FROM outbox WHERE organization_id = %s AND folded_at IS NOT NULL AND "
            "digested_at IS NULL", org.id) == [], 20)
        org.ann.approve(folded(house)[-1])
        # Those that somebody asks for come at once, the most urgent first.
        first = folded(house)[:10]
        assert tg.press(ann, digest, "Cards of bot") == "10 cards are coming"
        called = tg.wait_message(ann.id, first[0], digest["message_id"], timeout=20)
        assert tg.press(ann, called, "Reject").startswith("rejected")
        # Stop asks once more; what waits stays, and nothing of it runs.
        tg.press(ann, digest, "Stop bot")
        wait_for("the question", lambda: tg.button(digest, "Yes, stop bot"), 20)
        assert "is stopped" in tg.press(ann, digest, "Yes, stop bot")
        assert [s["name"] for s in org.control("GET", "/stops")["items"]] == ["bot"]
        wait_for("the question to go", lambda: tg.button(digest, "Stop bot"), 20)
        org.control("POST", "/stops/resume", {"scope": "agent", "name": "bot"})
        org.ann.rest("POST", org.path("/approvals/reject"), {"agent": "bot", "reason": "a flood"})
        tg.wait_text(digest, "Nothing is left", 60)
        assert tg.buttons(digest) == [] and folded(house) == []


@case(limit=60, pending_max="100", **LOCAL)
def cards_come_when_the_flood_has_passed(rt):
    """And only who may decide reads what is folded; a button of a digest is no other one's."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann", "olga"), rate=3) as house:
        org, ann = house.org, house.ann
        flood(house, org.credential, 8)
        digest = tg.wait_message(ann.id, "without a card")
        wait_for("the counts", lambda: counted(tg.now(digest)["text"], "bot") == len(folded(house))
                 and len(folded(house)) + len(cards(tg.messages(ann.id))) == 8, 20)
        assert len(folded(house)) >= 4, "the rate is three"
        assert all("without" not in m["text"] for m in tg.messages(house.olga.id))
        data = tg.button(digest, "Cards of bot")
        assert "not for you" in tg.press(house.olga, digest, "Cards of bot")
        forged = data[:-2] + ("AA" if data[-2:] != "AA" else "BB")
        assert "not known here" in tg.press(ann, digest, "", data=forged)
        assert "not known here" in tg.press(ann, cards(tg.messages(ann.id))[0], "", data=data)
        for approval in folded(house)[2:]:
            org.ann.reject(approval, "no")
        rest = folded(house)
        rt.sql("UPDATE outbox SET delivered_at = delivered_at - interval '11 minutes' WHERE "
               "organization_id = %s", org.id)
        for approval in rest:
            assert "Approve" in " ".join(tg.buttons(tg.wait_message(ann.id, approval, timeout=20)))
        tg.wait_text(digest, "Nothing is left", 20)
        flood(house, org.credential, 3)  # the next flood has a message of its own
        fresh = tg.wait_message(ann.id, "without a card", digest["message_id"])
        assert counted(fresh["text"], "bot") >= 1, fresh["text"]


@case(limit=60, pending_max="100", public_url="https://flopinio.example", **LOCAL)
def a_flood_in_a_slack_channel(rt):
    """One message of the channel, rewritten in place; Stop is confirmed in Slack's own dialog."""
    with FakeSlack() as sl, SlackHouse(rt, sl, rate=3) as house:
        flood(house, house.org.credential, 7)
        digest = sl.wait_message(OPS, "without a card")
        def posted():
            return len([m for m in sl.posted(OPS) if "Line" in sl.text(m) or "line " in sl.text(m)])
        wait_for("the counts", lambda: posted() + len(folded(house)) == 7 and
                 "bot: %d\n" % len(folded(house)) in sl.text(sl.now(digest)), 20)
        assert posted() <= 4, "the rate is three"
        assert "cards are coming" in sl.click(house.ann, digest, "Cards of bot")
        wait_for("the cards", lambda: posted() == 7, 20)
        sl.wait_text(digest, "Nothing is left", 20)
        flood(house, house.org.credential, 4)
        fresh = sl.wait_message(OPS, "without a card", skip=(digest["ts"],))
        assert "is stopped" in sl.click(house.ann, fresh, "Stop bot")
