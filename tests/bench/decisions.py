"""How fast people are asked, and how fast their click reaches the agent; against a Slack on loopback
(tests/scenario/fake_slack.py, a few ms of Python of its own in every figure)."""
import time

import fill
from common import Ours, wait_for
from fake_slack import FakeSlack
from mcp_client import McpWs
from slack import ManyChannels

CHANNELS = 40   # each takes a message a second, as Slack wants it
RATE = 20       # cards a second over all of them
CARDS = 400
CLICKS, CLICK_CHANNELS = 192, 16
PENDING = 100000


def said(b, name, text, **figures):
    print("\n%s\n  %s" % (name, text), flush=True)
    b.results.append(dict({"name": name}, **figures))


def chats(b):
    return b.server("chats", lambda: Ours(workers=2, chat_may_be_local="true"))


def spread(times):
    times = sorted(times)
    return times[len(times) // 2], times[len(times) * 99 // 100], times[-1]


def card_posted(b):
    """From the beginning of the intake's transaction to the card's arrival."""
    ours = chats(b)
    with FakeSlack() as sl:
        arrived = {}
        sl.on_post = lambda m: arrived.setdefault(m["ts"], time.time())
        house = ManyChannels(ours.rt, sl, CHANNELS, ours.org, "b__put", "text")
        start, calls = time.monotonic(), []
        for n in range(CARDS):
            time.sleep(max(0, start + n / RATE - time.monotonic()))
            calls.append(house.ask(n))
        for call in calls:
            call.wait(60)
        wait_for("the cards", lambda: house.known() == CARDS, 60)
        begun = {r["message"]: float(r["at"]) for r in ours.rt.sql(
            "SELECT m.message, extract(epoch FROM a.created_at) AS at FROM card_message m JOIN "
            "approval a USING (organization_id, approval_id) WHERE organization_id = %s",
            house.org.id)}
        p50, p99, most = spread([(arrived[ts] - at) * 1000 for ts, at in begun.items()])
        said(b, "card_posted", "%d cards at %d a second over %d channels: %.1f ms p50, %.1f p99, %.1f most "
             "(wanted: p99 under 250)" % (CARDS, RATE, CHANNELS, p50, p99, most), p50_ms=p50,
             p99_ms=p99, cards=CARDS)
        forget(ours, house)


def forget(ours, house):
    house.close()
    ours.rt.sql("DELETE FROM channel WHERE organization_id = %s", house.org.id)
    ours.rt.sql("TRUNCATE approval, vote CASCADE")


def click_answered(b):
    """From the click's first byte on its way to the answer at the agent; a tool that does nothing, two
    workers, whichever of them gets the click. Each asks Slack who somebody is every 30 s."""
    ours = chats(b)
    with FakeSlack() as sl:
        house = ManyChannels(ours.rt, sl, CLICK_CHANNELS, ours.org, "b__put", "text")
        agents = [McpWs(ours.rt, house.org.credential) for _ in range(4)]
        times = []
        for round_ in range(0, CLICKS, CLICK_CHANNELS):
            calls = {}
            for n in range(round_, round_ + CLICK_CHANNELS):
                calls[house.text(n)] = house.ask(n, agent=agents[n % len(agents)])
            wait_for("the cards", lambda: house.known() == round_ + CLICK_CHANNELS, 60)
            for card in house.cards()[round_:]:
                call = next(c for t, c in calls.items() if t in sl.text(card))
                element = sl.element(card, "Approve")
                _, payload = sl.action_payload(house.ann, card, element)
                at = time.monotonic()
                sl.send(payload)
                call.wait(30)
                times.append((call.answered_at - at) * 1000)
            wait_for("the cards to be rewritten", lambda: ours.rt.sql(
                "SELECT 1 FROM outbox WHERE done < wanted") == [], 60)
        p50, p99, most = spread(times)
        said(b, "click_answered", "%d clicks, one at a time, two workers: %.1f ms p50, %.1f p99, "
             "%.1f most (wanted: under 15 and 60)" % (len(times), p50, p99, most), p50_ms=p50, p99_ms=p99,
             clicks=len(times))
        for agent in agents:
            agent.close()
        forget(ours, house)


def pss_kib(pids):
    total = 0
    for pid in pids:
        with open("/proc/%d/smaps_rollup" % pid) as f:
            for line in f:
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
    return total


def many_cards(b):
    """PENDING rows with their cards; one of them is a call of our own, whose button is pressed when
    the runtime comes back."""
    ours, pending = Ours(workers=2, chat_may_be_local="true"), b.scaled(PENDING)
    rt = ours.rt
    with FakeSlack() as sl:
        house = ManyChannels(rt, sl, 1, ours.org, "b__put", "text")
        house.ask(0).wait(30)
        wait_for("the card", lambda: house.known() == 1, 30)
        (card,) = house.cards()
        fill.pending(ours, pending - 1, house.org.id)
        rt.sql("INSERT INTO outbox (organization_id, approval_id, channel_id, step, wanted, done, "
               "delivered_at) SELECT a.organization_id, a.approval_id, c.channel_id, 0, 1, 1, now() "
               "FROM approval a JOIN channel c USING (organization_id) ON CONFLICT DO NOTHING")
        rt.sql("INSERT INTO card_message (organization_id, card_id, approval_id, channel_id, place, "
               "message, shown, is_read, posted_at) SELECT a.organization_id, gen_random_uuid(), "
               "a.approval_id, c.channel_id, 'C00', gen_random_uuid()::text, '\\x00', true, now() "
               "FROM approval a JOIN channel c USING (organization_id) ON CONFLICT DO NOTHING")
        rt.sql("ANALYZE approval, outbox, card_message")
        time.sleep(3)  # a few sweeps
        kib = pss_kib(ours.pids)
        assert rt.sql("SELECT count(*) AS n FROM approval WHERE state = 'pending'")[0]["n"] == pending
        rt.stop()
        at = time.monotonic()
        rt.start()
        ready = time.monotonic() - at
        answer = sl.click(house.ann, card, "Approve", timeout=60)
        took = time.monotonic() - at
        assert answer.startswith("approved"), answer
        after = pss_kib(ours.pids)
        said(b, "many_cards", "%d waiting, each with its card: %.0f MiB without PostgreSQL, %.0f "
             "after a restart; ready after %.1f s, first decision %.2f s after the start (wanted: under 200 "
             "MiB, 3 s)" % (pending, kib / 1024, after / 1024, ready, took), pending=pending,
             mib=max(kib, after) / 1024, restart_s=took)
        house.close()
    ours.stop()


PARTS = {
    "card_posted": card_posted,
    "click_answered": click_answered,
    "many_cards": many_cards,
}
