"""Against silence: reminders, the ladder's next rung, and people's quiet hours."""
from cases import case
from chat import LOCAL, House, add_channel, policy
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from harness import refused, wait_for
from mcp_client import text_of
from slack import OPS, SlackHouse


def pass_time(rt, approval, percent):
    """As if so much of four hours had passed since it was asked for."""
    rt.sql("UPDATE approval SET created_at = now() - interval '144 seconds' * %s, expires_at = now() + "
           "interval '144 seconds' * %s WHERE approval_id = %s", percent, 100 - percent, approval)
    rt.sql("UPDATE card_message SET posted_at = now() - interval '143 seconds' * %s WHERE approval_id "
           "= %s AND message IS NOT NULL AND reminded = 0", percent, approval)
    rt.sql("UPDATE outbox SET wake_at = now() WHERE approval_id = %s", approval)


def told(house, approval):
    """Nothing is on its way any more."""
    wait_for("everything to be told", lambda: house.rt.sql(
        "SELECT 1 FROM outbox WHERE approval_id = %s AND (done < wanted OR wake_at <= now())",
        approval) == [], 20)


def reminders(messages):
    return [m for m in messages if m["text"].startswith("Reminder")]


@case(limit=90, **LOCAL)
def reminded_at_half_and_near_the_end_and_never_after_it(rt):
    """Beneath the card, once each, without buttons; not whoever has voted; nothing once it is decided."""
    with FakeTelegram() as tg, House(rt, tg, thresholds=[{"approve": 2}]) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, approval)
        other = tg.wait_message(house.bob.id, approval)
        told(house, approval)
        pass_time(rt, approval, 60)
        first = tg.wait_message(house.ann.id, "Reminder: half", timeout=20)
        tg.wait_message(house.bob.id, "Reminder: half", timeout=20)
        assert tg.buttons(first) == [] and "s__append_line for bot" in first["text"], first
        sent = [a for m, a in tg.calls if m == "sendMessage" and a["text"] == first["text"]]
        assert sent[0]["reply_parameters"]["message_id"] in (card["message_id"],
                                                             other["message_id"]), sent
        assert "1 of 2" in tg.press(house.ann, card, "Approve")
        told(house, approval)
        pass_time(rt, approval, 95)
        tg.wait_message(house.bob.id, "Reminder: nine tenths", timeout=20)
        told(house, approval)
        assert len(reminders(tg.messages(house.ann.id))) == 1, "she has voted"
        assert len(reminders(tg.messages(house.bob.id))) == 2
        # Decided while the next reminder is due: nobody is told to do anything any more.
        second, other = house.ask("two")
        fresh = tg.wait_message(house.bob.id, other)
        told(house, other)
        house.org.ann.reject(other, "no")
        rt.sql("UPDATE outbox SET wake_at = now() WHERE approval_id = %s", other)
        tg.wait_text(fresh, "rejected")
        told(house, other)
        assert len(reminders(tg.messages(house.bob.id))) == 2
        assert second.wait()["isError"]


@case(limit=90, **LOCAL)
def the_next_rung_is_told_when_nobody_decides(rt):
    """Though the first channel took its card; `remind: false` leaves it at that."""
    with FakeTelegram() as tg, FakeTelegram(token="8" + "1" * 8 + ":" + "B" * 35) as second:
        with House(rt, tg, people=("ann",)) as house:
            org = house.org
            add_channel(org, second, "second")
            second.user(71)
            org.apply(policy(("tg", "second", "inbox")))
            org.sync()
            call, approval = house.ask("one")
            tg.wait_message(house.ann.id, approval)
            rt.sql("UPDATE outbox SET next_at = now() WHERE approval_id = %s", approval)
            told(house, approval)
            assert second.messages(71) == []
            pass_time(rt, approval, 60)
            card = second.wait_message(71, approval, timeout=20)
            assert second.press(second.user(71), card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"
            org.apply(policy(("tg", "second"), remind=False))
            org.sync()
            call, approval = house.ask("two")
            tg.wait_message(house.ann.id, approval)
            rows = rt.sql("SELECT wake_at FROM outbox WHERE approval_id = %s", approval)
            assert rows == [{"wake_at": None}] * 2, rows
            org.ann.reject(approval, "no")
            call.wait()


@case(limit=60, public_url="https://flopinio.example", **LOCAL)
def a_reminder_in_slack_stands_in_the_thread_and_is_seen(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "")
        told(house, approval)
        pass_time(rt, approval, 60)
        said = sl.wait_message(OPS, "Reminder: half", thread=card["ts"], timeout=20)
        assert sl.elements(said) == []
        house.org.ann.reject(approval, "no")
        call.wait()


@case(limit=90, **LOCAL)
def quiet_hours_are_kept_and_cards_come_afterwards(rt):
    """As if she could not be reached: the next channel is told. What is urgent comes all the same."""
    with FakeTelegram() as tg, FakeTelegram(token="8" + "1" * 8 + ":" + "B" * 35) as second:
        with House(rt, tg, people=("ann",)) as house:
            org, ann = house.org, house.org.ann
            add_channel(org, second, "second", chats=[second.group(-100777)])
            org.apply(policy(("tg", "second", "inbox")))
            org.sync()
            quiet = {"from": "00:00", "to": "23:59", "zone": "UTC"}
            path = "/people/%s/quiet" % ann.name
            with refused(400, "time zone"):
                org.control("POST", path, dict(quiet, zone="Europe/Atlantis"))
            with refused(400, "times of the day"):
                org.control("POST", path, dict(quiet, to="24:00"))
            with refused(403):
                org.bob.rest("POST", org.path(path), quiet)
            # A minute of each day is not quiet.
            wait_for("another minute", lambda: rt.sql(
                "SELECT to_char(now() AT TIME ZONE 'UTC', 'HH24:MI') <> '23:59' AS is_so")[0]["is_so"],
                70)
            org.control("POST", path, quiet)
            (listed,) = org.control("GET", "/quiet")["items"]
            assert listed["person"] == ann.name and listed["is_quiet"], listed
            call, approval = house.ask("one")
            wait_for("the sender to have looked", lambda: "quiet hours" in rt.sql(
                "SELECT trouble FROM outbox WHERE approval_id = %s AND step = 0",
                approval)[0]["trouble"], 20)
            rt.sql("UPDATE outbox SET next_at = now() WHERE approval_id = %s AND step = 1", approval)
            second.wait_message(-100777, approval, timeout=20)
            assert all(approval not in m["text"] for m in tg.messages(house.ann.id))
            org.control("DELETE", path)
            card = tg.wait_message(house.ann.id, approval, timeout=20)
            assert tg.press(house.ann, card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"
            org.control("POST", path, quiet)
            org.apply(policy(("tg",), urgent=True))
            org.sync()
            call, approval = house.ask("two")
            tg.wait_message(house.ann.id, approval)
            ann.reject(approval, "no")
            call.wait()


@case()
def quiet_hours_across_midnight_and_zones(rt):
    """How long they last still, by the database's own zones; a zone that it knows no more is none."""
    def left(from_, to, zone, at):
        return rt.sql("SELECT flopinio.quiet_left(%s, %s, %s, %s) AS ms", from_, to, zone, at)[0]["ms"]
    hour = 3600000
    night = ("22:00", "07:00", "Europe/Berlin")
    assert left(*night, "2026-07-01 20:00:00+00") == 9 * hour  # 22:00 in summer
    assert left(*night, "2026-07-01 19:59:59+00") == 0
    assert left(*night, "2026-01-10 05:59:00+00") == 60000     # 06:59 in winter
    assert left(*night, "2026-01-10 06:00:00+00") == 0
    # The night in which the clock goes back is an hour longer.
    assert left(*night, "2026-10-24 20:00:00+00") == 10 * hour
    assert left("12:00", "13:00", "UTC", "2026-01-10 12:30:00+00") == hour // 2
    assert left("12:00", "13:00", "Asia/Kathmandu", "2026-01-10 06:15:00+00") == hour
    assert left("00:00", "23:59", "Europe/Atlantis", "2026-01-10 06:15:00+00") == 0
