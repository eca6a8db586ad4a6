"""What must hold of cards and clicks when things go wrong: the runtime killed between posting and
noting, restarted under open cards, asked to forget, given secrets, sent forgeries."""
import json
import os
import secrets
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from cases import case
from chat import APPEND, HEADER, HOOK, LOCAL, House, deliver, policy
from chat import add_channel as add_telegram
from chat import link as link_telegram
from fake_slack import SECRET, TOKEN, FakeSlack, Hooks
from fake_telegram import FakeTelegram
from harness import LONG, Org, wait_for
from house import code_of
from mcp_client import TASKS, Gone, McpError, McpHttp, text_of
from slack import OPS, ManyChannels, SlackHouse, add_channel, link

CARDS = 500 if LONG else 100


def settled(rt, org, timeout=60):
    wait_for("every card to be as it should be", lambda: rt.sql(
        "SELECT 1 FROM outbox WHERE organization_id = %s AND done < wanted", org.id) == [], timeout)


class Both:
    """A SlackHouse with Telegram beside it, in which ann and bob are linked too."""

    def __init__(self, rt, sl, tg, **more):
        self.house = SlackHouse(rt, sl, **more)
        self.org = self.house.org
        add_telegram(self.org, tg)
        self.ann = link_telegram(self.org, tg, self.org.ann, tg.user(71, "Ann"))
        self.bob = link_telegram(self.org, tg, self.org.bob, tg.user(72, "Bob"))
        self.org.apply(policy([["sl", "tg"]]))
        self.org.sync()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.house.agent.close()
        for name in ("sl", "tg"):
            self.org.control("PATCH", "/channels/" + name, {"is_enabled": False})


@case(limit=150, breaks=True, **LOCAL)
def runtime_killed_between_posting_and_noting(rt):
    """Supervisor and workers at once, while Slack's answer is on its way. Afterwards the card that was
    posted is found: there is one in each chat, it decides, and is rewritten."""
    with FakeTelegram() as tg, FakeSlack() as sl, Both(rt, sl, tg) as both:
        killed, org = [], both.org

        def kill(_):
            if not killed:
                killed.extend([rt.process.pid] + rt.workers())
                for pid in killed:
                    os.kill(pid, signal.SIGKILL)
        sl.on_post = kill
        agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
        try:
            agent.call(APPEND, {"line": "one"})
        except (Gone, McpError, OSError):
            pass  # its answer may have been on its way, too
        wait_for("the kill", lambda: killed)
        rt.stop(signal.SIGKILL)
        rt.start()
        approval = org.wait_pending()
        settled(rt, org)
        posted = [m for m in sl.posted(OPS) if "append_line" in sl.text(m)]
        assert len(posted) == 1, posted
        (card,) = posted
        chat = [m for m in tg.messages(both.bob.id) if approval in m["text"]]
        assert len(chat) == 1, chat
        approve = tg.button(chat[0], "Approve")
        element = sl.element(card, "Approve")
        assert sl.click(both.house.ann, card, "Approve", timeout=30).startswith("approved")
        org.wait_state(approval, "succeeded")
        sl.wait_text(card, "done")
        tg.wait_text(chat[0], "done")
        assert tg.buttons(chat[0]) == sl.buttons(card) == []
        assert "already" in sl.click(both.house.ann, card, "", element=element)
        assert "already" in tg.press(both.bob, chat[0], "", data=approve)
        assert org.effects() == ["one"] and org.kinds(approval).count("approval.approved") == 1


@case(limit=600 if LONG else 200, breaks=True, pending_max=10000, **LOCAL)
def open_cards_survive_a_restart(rt):
    """100 of them (500 in the long form): every button works, and none is posted again."""
    with FakeSlack() as sl:
        house = ManyChannels(rt, sl, (CARDS + 7) // 8)
        calls = [house.ask(n) for n in range(CARDS)]
        for call in calls:
            call.wait(60)
        wait_for("the cards", lambda: house.known() == CARDS, 120)
        cards = house.cards()
        rt.stop()
        rt.start()
        with ThreadPoolExecutor(8) as pool:
            said = list(pool.map(lambda card: sl.click(house.ann, card, "Approve", timeout=60),
                                 cards))
        assert all(s.startswith("approved") for s in said), [s for s in said if s[:8] != "approved"]
        wait_for("all to run", lambda: len(house.org.effects()) == CARDS, 60)
        assert len(set(house.org.effects())) == CARDS and len(house.cards()) == CARDS
        house.close()


@case(limit=120, card_retention="1s", **LOCAL)
def finished_cards_never_show_their_arguments_again(rt):
    """Once they have gone: when a person who had a card is unlinked, when an old button is pressed."""
    with FakeTelegram() as tg, FakeSlack() as sl, Both(rt, sl, tg) as both:
        org, secret = both.org, "remember me not"
        call, approval = both.house.ask(secret)
        cards = [tg.wait_message(u.id, secret) for u in (both.ann, both.bob)]
        posted = sl.wait_message(OPS, secret)
        old = tg.button(cards[1], "Reject")
        assert tg.press(both.bob, cards[1], "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"

        def standing():
            return [tg.now(c)["text"] for c in cards] + [sl.text(sl.now(posted))]
        wait_for("the arguments to go", lambda: not any(secret in t for t in standing()), 30)
        settled(rt, org)
        assert all("append_line" in t and "done" in t for t in standing()), standing()
        calls, more = len(tg.calls), len(sl.calls)
        for verb in "nbsv":  # pages, stop, review
            tg.press(both.bob, cards[1], "", data=verb + old[1:])
        rt.sql("UPDATE outbox SET wanted = wanted + 1 WHERE organization_id = %s", org.id)
        assert org.control("DELETE", "/people/%s/links" % org.ann.name)["unlinked"] == 2
        tg.wait_text(cards[0], "withdrawn", 30)
        settled(rt, org)
        assert secret not in str(tg.calls[calls:]) and secret not in str(sl.calls[more:])
        assert rt.sql("SELECT 1 FROM outbox WHERE organization_id = %s AND erase_at IS NOT NULL",
                      org.id) == []


@case(limit=90, **LOCAL)
def what_was_not_shown_whole_is_not_approved_from_a_chat(rt):
    """A summary has no Approve; whoever makes up its button, as a client of Telegram can, approves
    nothing."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), disclose="summary") as house:
        call, approval = house.ask("the secret plan")
        card = tg.wait_message(house.ann.id, "append_line")
        wait_for("the card to be known", lambda: rt.sql(
            "SELECT 1 FROM card_message WHERE approval_id = %s AND message IS NOT NULL", approval))
        said = tg.press(house.ann, card, "", data="a" + tg.button(card, "Reject")[1:])
        assert "not all of it was shown" in said, said
        assert house.org.state(approval) == "pending"
        assert rt.sql("SELECT 1 FROM vote WHERE approval_id = %s", approval) == []
        assert tg.press(house.ann, card, "Reject").startswith("rejected")
        assert call.wait()["isError"]


@case(limit=90, public_url="https://flopinio.example", **LOCAL)
def another_channel_s_secret_opens_nothing(rt):
    """Of the same organization, of another one, of another kind: 401, and no row of it."""
    with FakeTelegram() as tg, FakeSlack() as sl, SlackHouse(rt, sl) as house:
        org, other = house.org, Org(rt, files=False, policy=None)
        add_channel(org, sl, "second", channels=[sl.channel("C2")], secret={
            "signing_secret": "2" * 32})
        add_channel(other, sl, channels=[sl.channel("C3")], secret={"signing_secret": "3" * 32})
        add_telegram(org, tg, secret={"webhook_secret": HOOK}, mode="webhook")
        add_telegram(org, tg, "tg-two", secret={"webhook_secret": HOOK + "2"}, mode="webhook")
        add_telegram(other, tg, secret={"webhook_secret": HOOK + "3"}, mode="webhook")
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        id, payload = sl.action_payload(house.ann, card, sl.element(card, "Approve"))
        tables = "SELECT (SELECT count(*) FROM vote) + (SELECT count(*) FROM audit_event) + " \
                 "(SELECT count(*) FROM chat_identity) + (SELECT count(*) FROM lease WHERE name " \
                 "LIKE 'once %%') AS n"
        body, rows, tried = house.hooks.body(payload), rt.sql(tables)[0]["n"], 0
        for path in ("/hooks/slack/%s/sl" % org.name, "/hooks/slack/%s/second" % org.name,
                     "/hooks/slack/%s/sl" % other.name):
            own = {"sl": SECRET, "second": "2" * 32}.get(path.rsplit("/")[-1])
            own = "3" * 32 if other.name in path else own
            for secret in (SECRET, "2" * 32, "3" * 32, HOOK, TOKEN, tg.token):
                if secret == own:
                    continue
                hooks = Hooks(rt, path, secret)
                assert hooks.post(body, hooks.headers(body), 20)[0] == 401, (path, secret)
                tried += 1
        code = org.control("POST", "/people/%s/links" % org.ann.name, {"channel": "tg"})["code"]
        rows += rt.sql(tables)[0]["n"] - rows  # the code's
        said = {"update_id": 1, "message": {
            "message_id": 1, "from": tg.user(71).json, "text": "/start " + code,
            "chat": tg.chat_json(71)}}
        for name, place, own in (("tg", org, HOOK), ("tg-two", org, HOOK + "2"),
                                 ("tg", other, HOOK + "3")):
            for secret in (HOOK, HOOK + "2", HOOK + "3", SECRET, tg.token, code):
                if secret == own:
                    continue
                path = "/hooks/telegram/%s/%s" % (place.name, name)
                assert deliver(rt, path, said, [(HEADER, secret)], timeout=20) == 401, (path, secret)
                tried += 1
        assert tried == 30 and rt.sql(tables)[0]["n"] == rows
        assert org.state(approval) == "pending" and sl.answers[id] == []
        org.bob.reject(approval, "no")
        call.wait()


# ---------------------------------------------------------------- secrets
def planted():
    """Thirty of known formats, which nobody marked."""
    def of(alphabet, n):
        return "".join(secrets.choice(alphabet) for _ in range(n - 3)) + "aB7"
    upper, alnum = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", "abcdefghijkABCDEFGHIJK0123456789"
    found = ["AKIA" + of(upper, 16).upper(), "ASIA" + of(upper, 16).upper(),
             "AIza" + of(alnum, 35), "npm_" + of(alnum, 36), "glpat-" + of(alnum, 22),
             "github_pat_" + of(alnum, 40), "whsec_" + of(alnum, 32), "sk-" + of(alnum, 48),
             "123456789:" + of(alnum, 35), "https://hooks.slack.com/services/" + of(alnum, 30)]
    found += [p + of(alnum, 36) for p in ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "sk_live_",
                                          "sk_test_", "rk_live_", "rk_test_")]
    found += [p + of(alnum, 30) for p in ("xoxa-", "xoxb-", "xoxc-", "xoxd-", "xoxe-", "xoxo-",
                                          "xoxp-", "xoxr-", "xoxs-", "xapp-", "ghp_" + "x" * 6)]
    return found


@case(limit=150, public_url="https://flopinio.example", **LOCAL)
def fifty_planted_secrets_are_found_nowhere(rt):
    """In arguments (known formats, and one that an operator marked), in what the agent says, and
    those of channels and people: in no chat's recording, log, figure, audit leaf or list."""
    with FakeTelegram() as tg, FakeSlack() as sl, Both(
            rt, sl, tg, files=True, secret={"signing_secret_old": "0ld" + "5" * 29}) as both:
        org = both.org
        known = planted()
        marked = ["pl4nted-%02d-%s" % (i, secrets.token_hex(8)) for i in range(10)]
        totp = rt.rest("POST", "/me/totp", {}, (org.adam.name, org.adam.passphrase))["secret"]
        rt.rest("POST", "/me/totp/confirm", {"secret": totp, "code": code_of(totp)},
                (org.adam.name, org.adam.passphrase))
        codes = [org.control("POST", "/people/%s/links" % org.olga.name, {"channel": c})["code"]
                 for c in ("sl", "tg")]
        sl.command(sl.user("U1OLGA2", "olga2"), "link " + codes[0])
        own = [TOKEN, SECRET, "0ld" + "5" * 29, tg.token.split(":")[1], totp, org.credential,
               org.ann.token, org.bob.token, org.ann.passphrase, org.adam.passphrase] + codes
        assert len(known + marked + own) >= 50, len(known + marked + own)
        agent = both.house.agent
        # Unmarked: in the content, in the path, and in the agent's own words.
        call = agent.call_start("files__write", {
            "path": "plain-marker.txt", "content": "\n".join("key = %s" % k for k in known) + "\n"},
            meta={"dev.flopinio/justification": "because of " + " and ".join(known[:8])})
        first = org.wait_pending()
        card = sl.wait_message(OPS, "plain-marker")
        sl.open_modal(both.house.ann, card, "Review" if sl.element(card, "Review")
                      else "Reject, saying why")
        tg.wait_message(both.bob.id, "plain-marker")
        sl.is_down, tg.is_deaf = True, True  # errors are logged, too
        org.ann.reject(first, "no")
        call.wait()
        time.sleep(1)
        sl.is_down, tg.is_deaf = False, False
        org.accept("files__write", secrets=["/content"])
        org.sync()
        call = agent.call_start("files__write", {"path": "second-marker.txt",
                                                 "content": "\n".join(marked) + "\n"})
        second = org.wait_pending()
        card = tg.wait_message(both.bob.id, "second-marker", timeout=60)
        assert tg.press(both.bob, card, "Approve", timeout=30).startswith("approved")
        assert not call.wait().get("isError")
        assert org.read("second-marker.txt").split() == marked  # and it did run with them
        settled(rt, org)
        rt.metrics()
        places = {
            "Slack": json.dumps([sl.calls, list(sl.messages.values()), list(sl.views.values()),
                                 sl.answers]),
            "Telegram": json.dumps([tg.calls, tg.answers, {k: c["messages"]
                                                           for k, c in tg.chats.items()}]),
            "log": rt.log(tail=10 ** 8), "metrics": wait_for("figures", lambda: rt.metrics()[1]),
            "audit": json.dumps(org.audit()),
            "lists": json.dumps([org.control("GET", p) for p in (
                "/channels", "/links", "/export", "/tools", "/people", "/approvals",
                "/approvals/" + first, "/approvals/" + second)]),
            "rows": str(rt.sql("SELECT reason, outcome, ask::text, rule FROM approval WHERE "
                               "organization_id = %s", org.id)) +
                    str(rt.sql("SELECT trouble FROM outbox UNION ALL SELECT trouble || facts::text "
                               "|| config::text FROM channel"))}
        assert "plain-marker" in places["Slack"] and "second-marker" in places["Telegram"]
        assert "channel_opened" in places["log"] and "flopinio" in places["metrics"]
        for secret in known + marked + own:
            for place, text in places.items():
                assert secret not in text, "%s... is in %s" % (secret[:12], place)
