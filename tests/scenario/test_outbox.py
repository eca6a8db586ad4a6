"""The outbox: what has to be told is a row of the change; chats may be away, slow, or forget to
answer."""
import json
import os
import signal
import time

from cases import case
from chat import APPEND, LOCAL, House, add_channel, policy
from fake_telegram import FakeTelegram
from harness import wait_for
from mcp_client import TASKS, McpHttp, McpWs, text_of


def behind(house):
    """Approvals of which not every card is as it should be."""
    return house.rt.sql("SELECT count(*) AS n FROM outbox WHERE organization_id = %s AND done < "
                        "wanted", house.org.id)[0]["n"]


def settled(house, timeout=30):
    wait_for("everything to be told", lambda: behind(house) == 0, timeout)


@case(limit=90, **LOCAL)
def a_chat_that_is_away_delays_nobody(rt):
    """While it is away calls are taken in as fast as ever, decided elsewhere; afterwards everything
    is told, once, as it is then."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        call, _ = house.ask("before")
        card = tg.wait_message(house.ann.id, "append_line")
        tg.is_down = True
        times, calls = [], []
        for i in range(8):
            start = time.monotonic()
            calls.append(house.ask("line %d" % i))
            times.append(time.monotonic() - start)
        assert max(times) < 1, times
        house.org.ann.approve(calls[0][1])
        house.org.ann.reject(calls[1][1], "no")
        assert text_of(calls[0][0].wait()) == "appended" and calls[1][0].wait()["isError"]
        trouble = wait_for("the trouble to be seen", lambda: house.org.control(
            "GET", "/channels")["items"][0]["trouble"])
        assert "502" in trouble, trouble
        posted = len(tg.messages(house.ann.id))
        tg.is_down = False
        settled(house)
        cards = tg.messages(house.ann.id)[posted:]
        # The two that were over before anybody was told need no card any more.
        assert len(cards) == 6, [c["text"][:60] for c in cards]
        assert len({c["text"] for c in cards}) == 6
        tg.press(house.ann, card, "Reject")
        tg.wait_text(card, "rejected")


@case(limit=60, **LOCAL)
def an_answer_that_was_lost_makes_two_cards_at_most(rt):
    """The older copy says that it is one; the newer one decides and is rewritten."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        before = len(tg.messages(house.ann.id))
        tg.loses_answers = 1
        call, approval = house.ask("one")
        wait_for("the second copy", lambda: len(tg.messages(house.ann.id)) == before + 2, 20)
        old, new = tg.messages(house.ann.id)[before:]
        settled(house)
        tg.wait_text(old, "older copy")
        approve = tg.button(new, "Approve")
        assert "older copy" in tg.press(house.ann, old, "", data=approve)
        assert house.org.state(approval) == "pending" and tg.buttons(old) == []
        assert tg.press(house.ann, new, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        tg.wait_text(new, "done")


@case(limit=90, breaks=True, workers="1", **LOCAL)
def a_worker_killed_between_sending_and_noting(rt):
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        killed = []

        def kill(_):
            if not killed:
                killed.append(rt.workers()[0])
                os.kill(killed[0], signal.SIGKILL)
        tg.on_post = kill
        since = rt.log_size()
        house.agent.call_start(APPEND, {"line": "one"})
        wait_for("a new worker", lambda: killed and " worker_ready " in rt.log(since), 30)
        approval = house.org.wait_pending()
        wait_for("cards", lambda: tg.messages(house.ann.id)[-1:] and behind(house) == 0, 40)
        cards = [m for m in tg.messages(house.ann.id) if approval in m["text"]]
        assert len(cards) == 2, [c["text"][:50] for c in cards]
        # What the worker before posted last nobody knows: the older copy says so when it is pressed.
        assert "older copy" in tg.press(house.ann, cards[0], "Approve")
        tg.wait_text(cards[0], "older copy")
        house.org.ann.reject(approval, "no")
        tg.wait_text(cards[-1], "rejected")


@case(limit=60, **LOCAL)
def a_lost_answer_overwrites_no_other_message(rt):
    """A card that was sent again looks for its copy just above: what stands there is none, as nothing
    was posted; by this worker, and by one that looked after the channel before."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        for is_reopened in (False, True):
            newest = tg.messages(house.ann.id)[-1]["message_id"]
            house.ann.says("/pending")
            said = tg.wait_message(house.ann.id, "nothing waits" if not is_reopened else "waiting",
                                   newest)
            ignored = len(tg.ignored)
            if is_reopened:
                polls = len(tg.offsets)
                house.org.control("PATCH", "/channels/tg", {"is_enabled": True})
                wait_for("it to be opened anew", lambda: tg.introductions and
                         len(tg.offsets) > polls and tg.introductions[-1] >= polls)
            tg.is_deaf = True
            house.ask("one of %s" % is_reopened)
            wait_for("a try", lambda: [path for path in tg.ignored[ignored:]
                                       if path.endswith("/sendMessage")])
            tg.is_deaf = False
            card = tg.wait_message(house.ann.id, "one of %s" % is_reopened, newest, 30)
            settled(house)
            assert card["message_id"] - said["message_id"] <= 5
            stands = [m["text"] for m in tg.messages(house.ann.id)]
            assert not any("older copy" in text for text in stands), stands


@case(limit=60, **LOCAL)
def a_test_card_was_overwritten_as_a_lost_copy(rt):
    """It is posted by whoever was asked for it: what is known of the messages above says nothing of it."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        newest = tg.messages(house.ann.id)[-1]["message_id"]
        house.ann.says("/pending")
        tg.wait_message(house.ann.id, "nothing waits", newest)
        assert house.org.control("POST", "/channels/tg/test")["sent"] == 1
        test = tg.wait_message(house.ann.id, "a test of the channel", newest)
        ignored = len(tg.ignored)
        tg.is_deaf = True
        house.ask("one")
        wait_for("a try", lambda: [path for path in tg.ignored[ignored:] if path.endswith("/sendMessage")])
        tg.is_deaf = False
        card = tg.wait_message(house.ann.id, "append_line", newest, 30)
        settled(house)
        assert card["message_id"] - test["message_id"] <= 5
        assert "older copy" not in tg.now(test)["text"] and tg.buttons(test), tg.now(test)


@case(limit=60, **LOCAL)
def retry_after_is_obeyed(rt):
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        tg.per_chat = 3
        calls = [house.ask("line %d" % i) for i in range(7)]
        settled(house)
        cards = [m for m in tg.messages(house.ann.id) if "append_line" in m["text"]]
        assert len(cards) == 7, len(cards)
        for call, approval in calls:
            house.org.ann.reject(approval, "no")
        settled(house)
        for card in cards:
            assert "rejected" in tg.now(card)["text"]


@case(limit=60, **LOCAL)
def one_damaged_preview_silences_no_channel(rt):
    """Nor a damaged justification: the card says that it is not what was stored."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        tg.is_down = True
        damaged = []
        for column in ("preview", "justification"):
            damaged.append(house.ask("the one whose %s it is" % column)[1])
            rt.sql("UPDATE approval SET " + column + " = '\\x00' WHERE approval_id = %s", damaged[-1])
        call, _ = house.ask("whole")
        tg.is_down = False
        card = tg.wait_message(house.ann.id, "line: whole", timeout=30)
        assert tg.press(house.ann, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        settled(house)
        said = [m for m in tg.messages(house.ann.id) if "does not match its digest" in m["text"]]
        assert len(said) == 2 and not any("whose" in m["text"] for m in said), said
        for card in said:
            assert not tg.button(card, "Approve") and tg.button(card, "Reject"), tg.buttons(card)
            assert tg.press(house.ann, card, "Reject").startswith("rejected")


@case(limit=60, **LOCAL)
def one_card_that_cannot_be_made_silences_no_channel(rt):
    """Whatever is wrong with its row: those behind it are told; and it is, once it can be."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        tg.is_down = True
        _, bad = house.ask("bad")
        rt.sql("CREATE FUNCTION test_bad() RETURNS trigger LANGUAGE plpgsql AS "
               "$$BEGIN RAISE EXCEPTION 'not this one'; END$$")
        try:
            rt.sql("CREATE TRIGGER bad BEFORE INSERT OR UPDATE ON card_message FOR EACH ROW WHEN "
                   "(NEW.approval_id = '%s') EXECUTE FUNCTION test_bad()" % bad)
            house.ask("good")
            tg.is_down = False
            tg.wait_message(house.ann.id, "line: good", timeout=30)
            wait_for("the trouble to be seen", lambda: "not this one" in rt.sql(
                "SELECT trouble FROM outbox WHERE approval_id = %s", bad)[0]["trouble"])
        finally:
            rt.sql("DROP FUNCTION test_bad() CASCADE")
        house.org.control("PATCH", "/channels/tg", {"is_enabled": True})  # tried at once
        tg.wait_message(house.ann.id, "line: bad", timeout=30)


@case(limit=60, card_retention="1s", **LOCAL)
def finished_cards_lose_their_arguments(rt):
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        call, approval = house.ask("remember me not")
        card = tg.wait_message(house.ann.id, "remember me not")
        tg.press(house.ann, card, "Approve")
        assert text_of(call.wait()) == "appended"
        wait_for("the arguments to go", lambda: "remember me not" not in tg.now(card)["text"], 20)
        now = tg.now(card)["text"]
        assert "append_line" in now and house.org.binding(approval) in now, now
        assert "done" in now


@case(limit=60, **LOCAL)
def the_next_channel_when_nobody_took_it(rt):
    """The second step waits for the first, and is told nothing when that was told."""
    with FakeTelegram() as tg, FakeTelegram(token="8" + "1" * 8 + ":" + "B" * 35) as second:
        with House(rt, tg, people=("ann",)) as house:
            org = house.org
            add_channel(org, second, "second")
            second.user(71)
            org.apply(policy(("tg", "second", "inbox")))
            org.sync()
            call, approval = house.ask("one")
            tg.wait_message(house.ann.id, approval)
            rt.sql("UPDATE outbox SET next_at = now() WHERE organization_id = %s", org.id)
            settled(house)
            assert second.messages(71) == []
            org.ann.reject(approval, "no")
            call.wait()
            tg.is_down = True
            call, approval = house.ask("two")
            rows = rt.sql("SELECT step, next_at - created_at AS wait FROM outbox WHERE approval_id = "
                          "%s ORDER BY step", approval)
            assert [r["step"] for r in rows] == [0, 1] and rows[1]["wait"].seconds == 60, rows
            rt.sql("UPDATE outbox SET next_at = now(), created_at = now() - interval '61 seconds' "
                   "WHERE approval_id = %s AND step = 1", approval)
            card = second.wait_message(71, approval)
            assert second.press(second.user(71), card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"


@case(limit=60, pending_max="100", **LOCAL)
def who_can_be_told_does_not_wait_for_whoever_cannot(rt):
    """So many that nobody can be told that they are due again and again: they expire sooner, and were
    first each time."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        org = house.org
        org.control("POST", "/groups", {"name": "others", "title": "Others", "members": [org.bob.name]})
        org.apply(json.dumps({"version": 1, "rules": [
            {"name": "bobs", "tools": [APPEND], "when": 'args.line.startsWith("bob")', "effect": "ask",
             "ask": {"thresholds": [{"approve": 1, "groups": ["others"]}], "notify": ["tg"],
                     "expires": "1h"}},
            {"name": "writes", "tools": [APPEND], "effect": "ask",
             "ask": {"thresholds": [{"approve": 1}], "notify": ["tg"], "expires": "4h"}}]}))
        org.sync()
        rt.sql("CREATE FUNCTION flopinio.test_again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
               "NEW.next_at := least(NEW.next_at, now()); RETURN NEW; END $$")
        rt.sql("GRANT EXECUTE ON FUNCTION flopinio.test_again() TO PUBLIC")
        rt.sql("CREATE TRIGGER test_again BEFORE UPDATE ON outbox FOR EACH ROW WHEN (NEW.trouble <> '' "
               "AND NEW.organization_id = '%s') EXECUTE FUNCTION flopinio.test_again()" % org.id)
        try:
            agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
            for i in range(20):
                agent.call(APPEND, {"line": "bob %d" % i})
            wait_for("all to be tried", lambda: len(rt.sql(
                "SELECT 1 FROM outbox WHERE organization_id = %s AND trouble <> ''", org.id)) == 20, 20)
            agent.call(APPEND, {"line": "hear me"})
            card = tg.wait_message(house.ann.id, "hear me", timeout=20)
            tg.press(house.ann, card, "Reject", timeout=20)
            tg.wait_text(card, "rejected", 20)
        finally:
            rt.sql("DROP TRIGGER test_again ON outbox")
            rt.sql("DROP FUNCTION flopinio.test_again()")


@case(limit=60, **LOCAL)
def a_deleted_message_would_have_left_a_waiting_call_without_a_card(rt):
    """Found out when the card is to be rewritten: a new one comes, and decides."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), thresholds=[{"approve": 2}]) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, approval)
        settled(house)
        tg.delete(card)
        house.org.bob.approve(approval)
        fresh = tg.wait_message(house.ann.id, "1 of 2", card["message_id"], 30)
        assert tg.press(house.ann, fresh, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        tg.wait_text(fresh, "done")


@case(limit=60, **LOCAL)
def a_chat_that_shut_us_out_would_have_counted_as_told(rt):
    """Its card cannot be rewritten and no other goes there: the next in the rule's list is told."""
    with FakeTelegram() as tg, FakeTelegram(token="8" + "1" * 8 + ":" + "B" * 35) as second:
        with House(rt, tg, people=("ann",), thresholds=[{"approve": 2}]) as house:
            org = house.org
            add_channel(org, second, "second")
            second.user(71)
            org.apply(policy(("tg", "second"), [{"approve": 2}]))
            org.sync()
            call, approval = house.ask("one")
            tg.wait_message(house.ann.id, approval)
            wait_for("it to be noted", lambda: rt.sql(
                "SELECT 1 FROM outbox WHERE approval_id = %s AND step = 0 AND delivered_at IS NOT "
                "NULL AND done >= wanted", approval))
            tg.refuses[house.ann.id] = (403, "Forbidden: bot was blocked by the user")
            org.bob.approve(approval)
            card = second.wait_message(71, approval, timeout=40)
            assert second.press(second.user(71), card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"


@case(limit=60, **LOCAL)
def nobody_reached_is_counted(rt):
    with FakeTelegram() as tg, House(rt, tg, people=()) as house:
        call, approval = house.ask("one")
        rt.sql("UPDATE outbox SET created_at = now() - interval '61 seconds' WHERE approval_id = %s",
               approval)
        wait_for("the figure", lambda: "flopinio_approvals_unreached 1" in rt.metrics()[1], 15)
        channel = house.org.control("GET", "/channels")["items"][0]
        assert channel["waiting"] == 1, channel
        (listed,) = house.org.approvals("pending")
        assert listed["is_unreached"] and "nobody was reached" in listed["says"], listed
        told = house.agent.call("approval_status", {"approval_id": approval})
        assert "nobody could be told of it yet" in text_of(told), told
        house.org.ann.reject(approval, "no")
        assert call.wait()["isError"]
        wait_for("the figure", lambda: "flopinio_approvals_unreached 0" in rt.metrics()[1], 15)


@case(limit=60, **LOCAL)
def the_row_is_there_with_the_approval_and_not_without(rt):
    """Intake writes it in its own transaction; a rule that names the inbox only writes none."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        call, approval = house.ask("one")
        same = rt.sql("SELECT a.xmin = o.xmin OR o.wanted > 0 AS same FROM approval a JOIN outbox o "
                      "USING (organization_id, approval_id) WHERE approval_id = %s", approval)
        assert len(same) == 1
        house.org.ann.reject(approval, "no")
        call.wait()
        house.org.apply(policy(("inbox",)))
        house.org.sync()
        call, approval = house.ask("two")
        assert rt.sql("SELECT 1 FROM outbox WHERE approval_id = %s", approval) == []
        house.org.ann.reject(approval, "no")
        call.wait()


@case(limit=60, **LOCAL)
def the_token_is_nowhere(rt):
    """Neither in the log, nor in what is read back, nor in clear in the database."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, "append_line")
        tg.is_deaf = True
        time.sleep(1.5)
        tg.is_deaf = False
        tg.press(house.ann, card, "Reject", timeout=30)
        call.wait()
        secret = tg.token.split(":")[1]
        listed = str(house.org.control("GET", "/channels")) + str(house.org.control("GET", "/export"))
        assert secret not in rt.log(tail=10**8) and secret not in listed
        (row,) = rt.sql("SELECT secret, config::text || facts::text || trouble AS clear FROM channel "
                        "WHERE organization_id = %s", house.org.id)
        assert secret.encode() not in row["secret"] and secret not in row["clear"]
        assert not any(secret in str(leaf) for leaf in house.org.audit())
