"""Against fatigue: what is over a channel's rate is folded into one message that counts it, by agent."""
import json
import re
import time

from cases import case
from chat import LOCAL, House, add_channel, link, policy
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
        org, ann, start = house.org, house.ann, time.monotonic()
        flood(house, org.credential, FLOOD)
        digest = tg.wait_message(ann.id, "without a card")
        other = McpHttp(rt, org.add_agent("second")[1], modern=True, caps=TASKS)
        org.sync()
        other.call(APPEND, {"line": "hear me"})
        card = tg.wait_message(ann.id, "hear me", timeout=10)
        assert "Approve" in " ".join(tg.buttons(card))
        most = 33 + int((time.monotonic() - start) / 60)  # one a minute in any case
        assert len(cards(tg.messages(ann.id))) <= most, (len(cards(tg.messages(ann.id))), most)
        wait_for("the counts", lambda: counted(tg.now(digest)["text"], "bot") == len(folded(house)),
                 30)
        assert len(folded(house)) >= FLOOD - most and "  %s: " % APPEND in tg.now(digest)["text"]
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
        org.ann.rest("POST", org.path("/approvals/reject"), {"agent": "bot", "reason": "a flood"},
                     timeout=300)
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


def two_rules(starts, ask, rest):
    """Lines that start so have a rule of their own."""
    def rule(name, tools, **more):
        return dict({"name": name, "tools": tools}, **more)

    def asks(more):
        return dict({"thresholds": [{"approve": 1}], "notify": ["tg"], "expires": "1h"}, **more)
    return json.dumps({"version": 1, "rules": [
        rule("special", [APPEND], when='args.line.startsWith("%s")' % starts, effect="ask",
             ask=asks(ask)),
        rule("writes", [APPEND], effect="ask", ask=asks(rest))]})


@case(limit=90, pending_max="100", **LOCAL)
def an_urgent_call_does_not_wait_behind_its_agents_flood(rt):
    """It would have its card a minute later, with the share of the agent used up."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), rate=3) as house:
        house.org.apply(two_rules("now", {"urgent": True, "expires": "4h"}, {}))
        house.org.sync()
        flood(house, house.org.credential, 8)
        digest = tg.wait_message(house.ann.id, "without a card")
        wait_for("the share to be used", lambda: len(cards(tg.messages(house.ann.id))) >= 3, 20)
        rt.sql("UPDATE outbox SET delivered_at = now() WHERE organization_id = %s AND delivered_at IS "
               "NOT NULL", house.org.id)
        agent = McpHttp(rt, house.org.credential, modern=True, caps=TASKS)
        for i in range(6):
            agent.call(APPEND, {"line": "now %d" % i})
        tg.wait_message(house.ann.id, "now 0", timeout=30)
        # Nor does an agent that makes everything urgent flood anybody.
        wait_for("the rest to be counted", lambda: counted(tg.now(digest)["text"], "bot") == 14 - len(
            cards(tg.messages(house.ann.id))), 30)
        assert len(cards(tg.messages(house.ann.id))) <= 8, "two shares of three, and one a minute"


@case(limit=90, pending_max="100", **LOCAL)
def a_digest_tells_nobody_of_what_its_reader_may_not_see(rt):
    """Else the calls of the same tool by another rule would count as told, and no next channel comes."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), rate=1) as house:
        org = house.org
        org.control("POST", "/groups", {"name": "others", "title": "Others", "members": [org.bob.name]})
        org.apply(two_rules("bob", {"thresholds": [{"approve": 1, "groups": ["others"]}],
                                    "expires": "4h"}, {}))
        org.sync()
        agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
        for i in range(4):
            agent.call(APPEND, {"line": "bob %d" % i})
            agent.call(APPEND, {"line": "line %d" % i})
        digest = tg.wait_message(house.ann.id, "without a card")
        told = ("SELECT 1 FROM outbox JOIN approval USING (organization_id, approval_id) WHERE "
                "organization_id = %s AND rule = %s AND digested_at IS ")
        wait_for("hers to be counted", lambda: len(rt.sql(told + "NOT NULL", org.id, "writes")) >= 2, 20)
        assert counted(tg.now(digest)["text"], "bot") <= 4
        assert rt.sql(told + "NOT NULL", org.id, "special") == []
        # His are, once he can be told.
        link(org, tg, org.bob, house.bob)
        wait_for("his to be told", lambda: rt.sql(told + "NULL AND outbox.delivered_at IS NULL", org.id,
                                                  "special") == [], 40)


@case(limit=90, pending_max="100", **LOCAL)
def a_digest_that_is_refused_is_not_sent_each_second(rt):
    """Whoever blocked the bot would cost a request a second, and nobody would see it."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), rate=1) as house:
        since = rt.log_size()
        tg.refuses[house.ann.id] = (403, "Forbidden: bot was blocked by the user")
        flood(house, house.org.credential, 5)

        def refused():
            return len([line for line in rt.log(since, tail=10**7).splitlines()
                        if " digest_not_taken " in line and house.org.id in line])
        wait_for("the digest to be refused", refused, 20)
        time.sleep(4)
        assert refused() == 1, refused()
        (channel,) = house.org.control("GET", "/channels")["items"]
        assert "blocked" in channel["trouble"], channel
        assert folded(house), "they wait to be counted"


@case(limit=120, pending_max="100", **LOCAL)
def a_flood_at_night_wakes_nobody_and_the_next_channel_is_told(rt):
    """A digest would ping who sleeps, and stop the ladder; of what is urgent it tells all the same."""
    with FakeTelegram() as tg, FakeTelegram(token="8" + "1" * 8 + ":" + "B" * 35) as second:
        with House(rt, tg, people=("ann",), rate=1) as house:
            org = house.org
            add_channel(org, second, "second", chats=[second.group(-100777)])
            org.apply(policy(("tg", "second")))
            org.sync()
            path = "/people/%s/quiet" % org.ann.name
            hours = ("SELECT to_char(now() AT TIME ZONE 'UTC' + %s * interval '2 hours', 'HH24:MI') AS "
                     "at")
            org.control("POST", path, {"from": rt.sql(hours, -1)[0]["at"], "zone": "UTC",
                                       "to": rt.sql(hours, 1)[0]["at"]})
            flood(house, org.credential, 8)
            first = "organization_id = %s AND step = 0"
            rt.sql("UPDATE outbox SET next_at = now() WHERE " + first, org.id)
            approval = wait_for("a fold", lambda: folded(house))[-1]
            rt.sql("UPDATE outbox SET next_at = now() WHERE approval_id = %s AND step = 1", approval)
            second.wait_message(-100777, approval, timeout=20)
            wait_for("all to be put off", lambda: len(rt.sql(
                "SELECT 1 FROM outbox WHERE trouble LIKE '%%quiet hours%%' AND folded_at IS NULL AND "
                + first, org.id)) == 8, 40)
            assert rt.sql("SELECT 1 FROM outbox WHERE digested_at IS NOT NULL AND " + first,
                          org.id) == []
            assert [m for m in tg.messages(house.ann.id) if "without a card" in m["text"]] == []
            org.apply(policy(("tg",), urgent=True))
            org.sync()
            flood(house, org.credential, 6)
            tg.wait_message(house.ann.id, "without a card", timeout=30)
            org.control("DELETE", path)
            wait_for("the rest to be told", lambda: rt.sql(
                "SELECT 1 FROM outbox WHERE delivered_at IS NULL AND digested_at IS NULL AND " + first,
                org.id) == [], 40)


@case(limit=90, pending_max="100", **LOCAL)
def a_fold_that_fails_leaves_nobody_untold(rt):
    """It was one transaction with the question what is due: a lock, and the channel was silent."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), rate=3) as house:
        flood(house, house.org.credential, 8)
        tg.wait_message(house.ann.id, "without a card")
        wait_for("all to be counted", lambda: rt.sql(
            "SELECT 1 FROM outbox WHERE organization_id = %s AND delivered_at IS NULL AND digested_at IS "
            "NULL", house.org.id) == [], 20)
        holder = rt.connect()
        try:
            holder.autocommit = False
            with holder.cursor() as held:
                held.execute("SET idle_in_transaction_session_timeout = 0")
                held.execute("SELECT 1 FROM outbox WHERE organization_id = %s AND folded_at IS NOT NULL "
                             "FOR UPDATE", (house.org.id,))
                rt.sql("UPDATE outbox SET delivered_at = now() - interval '11 minutes' WHERE "
                       "organization_id = %s AND delivered_at IS NOT NULL", house.org.id)
                other = McpHttp(rt, house.org.add_agent("second")[1], modern=True, caps=TASKS)
                house.org.sync()
                other.call(APPEND, {"line": "hear me"})
                tg.wait_message(house.ann.id, "hear me", timeout=30)
        finally:
            holder.close()


@case(limit=90, pending_max="100", **LOCAL)
def a_flood_that_the_delegate_may_not_decide_is_told_to_who_is_away(rt):
    """Its owner decides for her meanwhile, but not this: neither of them would have been told."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann", "adam"), rate=1,
                                     thresholds=({"approve": 1, "groups": ["ops"]},)) as house:
        org = house.org
        org.control("PATCH", "/groups/ops", {"members": [org.ann.name]})
        org.sync()
        rt.rest("POST", org.path("/people/%s/away" % org.ann.name),
                {"until": "7d", "delegate": org.adam.name}, (org.ann.name, org.ann.passphrase))
        flood(house, org.add_agent("hers")[1], 4)
        digest = tg.wait_message(house.adam.id, "without a card", timeout=20)
        assert counted(tg.now(digest)["text"], "hers") >= 1
        assert all("without a card" not in m["text"] for m in tg.messages(house.ann.id))
        flood(house, org.add_agent("adams", org.adam)[1], 4)
        digest = tg.wait_message(house.ann.id, "without a card", timeout=30)
        wait_for("the counts", lambda: counted(tg.now(digest)["text"], "adams") >= 2, 20)
        wait_for("all to be told", lambda: rt.sql(
            "SELECT 1 FROM outbox WHERE organization_id = %s AND delivered_at IS NULL AND digested_at IS "
            "NULL AND folded_at IS NOT NULL", org.id) == [], 40)
        rt.rest("DELETE", org.path("/people/%s/away" % org.ann.name), None,
                (org.ann.name, org.ann.passphrase))
