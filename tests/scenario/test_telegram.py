"""Deciding in Telegram: cards, buttons, who may press them, and what stands there afterwards."""
import json
import re
import threading

from cases import case
from chat import HEADER, HOOK, LOCAL, House, deliver
from cli import Cli
from fake_telegram import FakeTelegram
from harness import Org, refused, wait_for
from house import both
from mcp_client import TASKS, McpHttp, McpWs, text_of


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


@case(limit=60, **LOCAL)
def who_may_not_decide_there(rt):
    """Strangers, bots, anonymous administrators, the agent's owner, other chats: each is told so, and
    nothing is recorded."""
    with FakeTelegram() as tg:
        group = tg.group(-100777)
        other = tg.group(-100888)
        with House(rt, tg, people=("ann", "olga"), chats=[group]) as house:
            call, approval = house.ask("one")
            card = tg.wait_message(group, "append_line")
            data = tg.button(card, "Approve")
            stranger = tg.user(99, "Mallory", username=house.org.ann.name)
            assert "not linked" in tg.press(stranger, card, "Approve")
            assert "not linked" in tg.press(house.bob, card, "Approve")  # approver, no link
            assert "may not decide" in tg.press(house.olga, card, "Approve")  # member, its owner
            robot = tg.user(98, "Robot")
            robot.json["is_bot"] = True
            assert "not for you" in tg.press(robot, card, "Approve")
            anonymous = tg.user(1087968824, "Group", username="GroupAnonymousBot")
            assert "not for you" in tg.press(anonymous, card, "Approve")
            # The same handle in another chat, or on another message.
            moved = dict(card, chat=tg.chat_json(other))
            assert "not for you" in tg.press(house.ann, moved, "", data=data)
            private = dict(card, chat=tg.chat_json(house.ann.id))
            assert "not known here" in tg.press(house.ann, private, "", data=data)
            shifted = dict(card, message_id=card["message_id"] - 1)
            assert "does not belong" in tg.press(house.ann, shifted, "", data=data)
            # Another call's digest behind the same card; noise.
            forged = data[:-2] + ("AA" if data[-2:] != "AA" else "BB")
            assert "another call" in tg.press(house.ann, card, "", data=forged)
            for noise in ("x", data[:10], "z" + data[1:], "a" * 64):
                tg.press(house.ann, card, "", data=noise)
            # A channel's post and an edit are nobody's doing.
            tg.push({"channel_post": {"message_id": 1, "chat": tg.chat_json(group),
                                      "text": "/stop bot"}})
            tg.push({"message": {"message_id": 2, "chat": tg.chat_json(group), "text": "/stop bot",
                                 "sender_chat": {"id": group}, "from": house.ann.json}})
            assert tg.press(house.ann, card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"
            votes = rt.sql("SELECT via FROM vote WHERE approval_id = %s", approval)
            assert votes == [{"via": "telegram"}], votes
            assert rt.sql("SELECT 1 FROM stop WHERE organization_id = %s", house.org.id) == []


@case(limit=60, **LOCAL)
def the_owner_and_the_offboarded_are_refused(rt):
    with FakeTelegram() as tg:
        group = tg.group(-100777)
        with House(rt, tg, people=("ann", "bob", "adam"), chats=[group]) as house:
            _, credential = house.org.add_agent("anns", house.org.ann)
            with McpWs(rt, credential) as agent:
                call = agent.call_start("s__append_line", {"line": "mine"})
                approval = house.org.wait_pending()
                card = tg.wait_message(group, "append_line")
                said = tg.press(house.ann, card, "Approve")
                assert "own" in said and house.org.state(approval) == "pending", said
                assert "approval.refused" in house.org.kinds(approval)
                data = tg.button(card, "Approve")
                house.org.control("POST", "/people/%s/offboard" % house.org.bob.name, {})
                assert tg.buttons(card)  # the group's card stays
                assert "not linked" in tg.press(house.bob, card, "", data=data)
                assert rt.sql("SELECT 1 FROM chat_identity WHERE organization_id = %s AND "
                              "external_id = '72'", house.org.id) == []
                assert tg.press(house.adam, card, "Approve").startswith("approved")
                assert text_of(call.wait()) == "appended"


@case(limit=60, **LOCAL)
def a_code_of_a_stolen_passphrase_links_nobody_after_its_change(rt):
    """Else whoever had it for a moment decides from their own chat account ever after."""
    with FakeTelegram() as tg, House(rt, tg, people=()) as house:
        org, eve = house.org, house.org.add_person("eve", "approver")

        def code():
            return rt.rest("POST", org.path("/links"), {"channel": "tg"},
                           (eve.name, eve.passphrase))["code"]
        stolen, fresh = code(), eve.passphrase + " fresh"
        rt.rest("POST", "/me/passphrase", {"passphrase": eve.passphrase, "new": fresh},
                (eve.name, eve.passphrase))
        eve.passphrase = fresh
        house.bob.says("/start " + stolen)
        tg.wait_message(house.bob.id, "used, too old")
        house.ann.says("/start " + code())
        tg.wait_message(house.ann.id, "here now")
        rows = org.control("GET", "/links")["items"]
        assert [(r["person"], r["external"]) for r in rows] == [(eve.name, "71")], rows


@case(limit=60, **LOCAL)
def a_code_links_once_and_only_in_private(rt):
    with FakeTelegram() as tg:
        group = tg.group(-100777)
        with House(rt, tg, people=(), chats=[group]) as house:
            org = house.org

            def code(person):
                return org.control("POST", "/people/%s/links" % person.name,
                                   {"channel": "tg"})["code"]
            made = org.control("POST", "/people/%s/links" % org.ann.name, {"channel": "tg"})
            wait_for("the bot's name", lambda: org.control("GET", "/channels")["items"][0]["facts"])
            made = org.control("POST", "/people/%s/links" % org.ann.name, {"channel": "tg"})
            assert made["url"] == "https://t.me/%s?start=%s" % (tg.bot, made["code"])
            house.ann.says("/start " + made["code"], chat=group)
            tg.wait_message(group, "in a private chat")
            house.ann.says("/start " + made["code"])
            tg.wait_message(house.ann.id, "here now")
            house.bob.says("/start " + made["code"])
            tg.wait_message(house.bob.id, "used, too old")
            house.ann.says("/start " + code(org.bob))  # an account is one person's
            tg.wait_message(house.ann.id, "somebody else already")
            old = code(org.bob)
            rt.sql("UPDATE chat_link SET expires_at = now() WHERE organization_id = %s AND used_at "
                   "IS NULL", org.id)
            house.bob.says("/start " + old)
            tg.wait_message(house.bob.id, "used, too old",
                            tg.messages(house.bob.id)[-1]["message_id"])
            rows = org.control("GET", "/links")["items"]
            assert [(r["person"], r["external"]) for r in rows] == [(org.ann.name, "71")], rows
            kinds = [leaf["kind"] for leaf in org.audit(kind="identity.")]
            assert kinds.count("identity.linked") == 1 and "identity.code" in kinds, kinds
            assert org.control("DELETE", "/people/%s/links" % org.ann.name)["unlinked"] == 1
            house.ann.says("/pending")
            tg.wait_message(house.ann.id, "not linked")


@case(limit=60, **LOCAL)
def pending_and_stop(rt):
    with FakeTelegram() as tg, House(rt, tg) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, "append_line")
        house.ann.says("/pending")
        listed = tg.wait_message(house.ann.id, "waiting:")
        assert "s__append_line for bot" in listed["text"], listed
        house.ann.says("/stop nobody")
        tg.wait_message(house.ann.id, "no agent of that name")
        tg.press(house.ann, card, "Stop agent")
        wait_for("the question", lambda: "Yes, stop this agent" in tg.buttons(card))
        tg.press(house.ann, card, "No")
        wait_for("the way back", lambda: "Stop agent" in tg.buttons(card))
        tg.press(house.ann, card, "Stop agent")
        wait_for("the question", lambda: "Yes, stop this agent" in tg.buttons(card))
        assert "is stopped" in tg.press(house.ann, card, "Yes")
        stops = house.org.control("GET", "/stops")["items"]
        assert [(s["scope"], s["name"], s["set_by"]) for s in stops] == \
            [("agent", "bot", house.org.ann.name)], stops
        house.org.control("POST", "/stops/resume", {"scope": "agent", "name": "bot"})
        house.org.ann.reject(approval, "no")
        with house.agent_is_told("stopped from the chat"):
            call.wait()


@case(limit=90, **LOCAL)
def long_arguments_are_read_page_by_page(rt):
    """Approve stands when the last page was shown, and a click that comes before decides nothing."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), files=True) as house:
        text = "".join("%05d\n" % i for i in range(1500))  # 9 KB
        call, approval = house.ask(tool="files__write", arguments={"path": "a", "content": text})
        card = tg.wait_message(house.ann.id, "Arguments")
        assert "Approve" not in " ".join(tg.buttons(card)), tg.buttons(card)
        forged = "a" + tg.button(card, "Reject")[1:]
        assert "last page" in tg.press(house.ann, card, "", data=forged)
        assert house.org.state(approval) == "pending"
        seen, pages = tg.now(card)["text"], 1
        while tg.button(card, "Next"):
            pages += 1
            assert pages < 20
            tg.turn_page(house.ann, card)
            now = tg.wait_text(card, "(page %d of" % pages)
            seen += now["text"]
        assert "Approve" in " ".join(tg.buttons(card))
        for i in range(0, 1500, 7):
            assert "%05d" % i in seen, i
        tg.press(house.ann, card, "Back")
        tg.wait_text(card, "(page %d of" % (pages - 1))
        assert "Approve" in " ".join(tg.buttons(card))  # it was read
        assert tg.press(house.ann, card, "Approve").startswith("approved")
        assert not call.wait().get("isError") and house.org.read("a") == text


@case(limit=60, **LOCAL)
def approve_would_have_stood_behind_pages_that_nobody_saw(rt):
    """Next, pressed again and again before the next page is there, turns one page: each stands there
    before Approve does."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), files=True) as house:
        text = "".join("%05d\n" % i for i in range(1500))
        call, approval = house.ask(tool="files__write", arguments={"path": "a", "content": text})
        card = tg.wait_message(house.ann.id, "(page 1 of")
        tg.refuses[house.ann.id] = (500, "Internal Server Error")  # nothing is rewritten for now
        tg.turn_page(house.ann, card)
        for _ in range(5):
            said = tg.press(house.ann, card, "Next")
            assert "press again" in said, said
        tg.refuses.clear()
        tg.wait_text(card, "(page 2 of", 20)
        assert "Approve" not in " ".join(tg.buttons(card)), tg.buttons(card)
        tg.turn_page(house.ann, card)
        tg.wait_text(card, "(page 3 of")
        house.org.ann.reject(approval, "no")
        call.wait()


@case(limit=60, **LOCAL)
def a_summary_gives_nothing_away(rt):
    with FakeTelegram() as tg, House(rt, tg, disclose="summary") as house:
        call, approval = house.ask("the secret plan")
        card = tg.wait_message(house.ann.id, "append_line")
        assert "secret plan" not in card["text"] and "Approve" not in " ".join(tg.buttons(card))
        assert tg.press(house.ann, card, "Reject").startswith("rejected")
        assert call.wait()["isError"]
        assert "secret plan" not in str(tg.calls)


@case(limit=60, **LOCAL)
def texts_are_never_markup(rt):
    """What an agent writes stands in code and pre entities, where nothing is a link."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        for evil in ("[Approved](https://evil.example)", "*bold* `code` ```pre```", "<b>x</b> &lt;",
                     "https://evil.example @everyone /stop #tag", "\u202egnp.exe\u200b",
                     "x\nStatus: approved by the board", "\U0001f600" * 40):
            call, approval = house.ask(evil)
            card = wait_for("its card", lambda a=approval: next(
                (m for m in tg.messages(house.ann.id) if a in m["text"]), None))
            text = card["text"].encode("utf-16-le")
            covered = set()
            for e in card["entities"]:
                if e["type"] in ("code", "pre"):
                    covered.update(range(e["offset"], e["offset"] + e["length"]))
            for mark in ("evil.example", "@everyone", "*bold*", "<b>", "approved by the board"):
                at = card["text"].find(mark)
                if at >= 0:
                    unit = len(card["text"][:at].encode("utf-16-le")) // 2
                    assert unit in covered, (mark, card)
            assert "\u202e" not in card["text"] and "\u200b" not in card["text"]
            assert len(text) // 2 <= 4096
            house.org.ann.reject(approval, "no")
            call.wait()


# ---------------------------------------------------------------- the webhook
@case(limit=60, public_url="https://flopinio.example", **LOCAL)
def a_webhook_decides_and_forgeries_do_not(rt):
    """Thirty forgeries: each is 401, before anything of the body is read, and leaves no row."""
    with FakeTelegram() as tg, House(rt, tg, people=(), mode="webhook",
                                     secret={"webhook_secret": HOOK}) as house:
        org = house.org
        hook = wait_for("the webhook to be set", lambda: tg.webhook)
        path = "/hooks/telegram/%s/tg" % org.name
        assert hook["url"] == "https://flopinio.example" + path, hook
        assert hook["secret_token"] == HOOK and "callback_query" in hook["allowed_updates"]
        code = org.control("POST", "/people/%s/links" % org.ann.name, {"channel": "tg"})["code"]
        said = {"message_id": 1, "from": house.ann.json, "text": "/start " + code,
                "chat": tg.chat_json(house.ann.id)}
        forged = {"update_id": 1, "message": said}
        bad = [[], [(HEADER, "")], [(HEADER, HOOK[:-1])], [(HEADER, HOOK + "x")],
               [(HEADER, HOOK.upper())], [(HEADER, HOOK), (HEADER, HOOK)],
               [(HEADER, "x"), (HEADER, HOOK)], [("X-Telegram-Bot-Api-Secret", HOOK)],
               [("Authorization", "Bearer " + HOOK)], [(HEADER, "null")], [(HEADER, tg.token)],
               [(HEADER, HOOK.replace("_", "-"))], [(HEADER, "*")], [(HEADER, HOOK[::-1])],
               [("Cookie", HEADER + "=" + HOOK)], [(HEADER, HOOK * 8)], [(HEADER, "undefined")],
               [(HEADER, '"' + HOOK + '"')], [(HEADER, HOOK + "," + HOOK)], [(HEADER, "0")]]
        for headers in bad:
            assert deliver(rt, path, forged, headers) == 401, headers
        for other in ("/hooks/telegram/%s/other" % org.name, "/hooks/telegram/nobody/tg",
                      "/hooks/slack/%s/tg" % org.name, "/hooks/telegram/%s/tg/" % org.name,
                      "/hooks/telegram/%s" % org.name, "/hooks/telegram", "/hooks",
                      "/hooks/telegram/%s/%s" % (org.name, "x" * 80),
                      "/hooks/telegram/%s/inbox" % org.name):
            assert deliver(rt, other, forged) in (401, 404), other
        assert deliver(rt, path, b"", method="GET") == 401
        assert rt.sql("SELECT 1 FROM chat_identity WHERE organization_id = %s", org.id) == []
        # The genuine one.
        assert deliver(rt, path, b"[1]") == 400
        assert deliver(rt, path, forged) == 200
        tg.wait_message(house.ann.id, "here now")
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, approval)
        update = dict(tg.query(house.ann, card, tg.button(card, "Approve")), update_id=2)
        assert deliver(rt, path, update, [(HEADER, HOOK[1:])]) == 401
        assert org.state(approval) == "pending"
        assert deliver(rt, path, update) == 200
        assert text_of(call.wait()) == "appended"
        # Once more is answered, and decides nothing.
        again = dict(tg.query(house.ann, card, update["callback_query"]["data"]), update_id=2)
        assert deliver(rt, path, again) == 200
        assert "already" in tg.wait_answer(again["callback_query"]["id"])
        assert org.kinds(approval).count("approval.approved") == 1


@case(limit=60, **LOCAL)
def what_cannot_work_is_refused_when_it_is_set_up(rt):
    with FakeTelegram() as tg:
        org = Org(rt, files=False)
        good = {"name": "tg", "kind": "telegram", "config": {"base_url": tg.url},
                "secret": {"token": tg.token}}
        for wrong, text in (({"name": "inbox"}, "name"), ({"name": "A"}, "name"),
                            ({"kind": "pager"}, "kind"), ({"secret": {}}, "token"),
                            ({"secret": {"token": "abc"}}, "token"),
                            ({"secret": {"token": tg.token, "tokn": "x"}}, "tokn"),
                            ({"config": {"chat": [1]}}, "'chat'"),
                            ({"config": {"chats": ["me"]}}, "chats"),
                            ({"config": {"mode": "push"}}, "mode"),
                            ({"config": {"mode": "webhook"}}, "webhook_secret"),
                            ({"config": {"base_url": "ftp://x"}}, "https"),
                            ({"disclose": "all"}, "disclose")):
            with refused(400, text):
                org.control("POST", "/channels", dict(good, **wrong))
        with refused(400, "policy has errors"):
            org.apply(json.dumps({"version": 1, "rules": [
                {"name": "a", "tools": ["*"], "effect": "ask", "ask": {"notify": ["tg"]}}]}))
        with refused(403):
            org.ann.rest("POST", org.path("/channels"), good)
        org.control("POST", "/channels", good)
        with refused(409):
            org.control("POST", "/channels", good)
        (listed,) = org.control("GET", "/channels")["items"]
        assert listed["has_secret"] and tg.token not in json.dumps(listed), listed
        org.control("PATCH", "/channels/tg", {"is_enabled": False, "disclose": "summary"})
        assert org.control("DELETE", "/channels/tg") is not None
        with refused(404):
            org.control("DELETE", "/channels/tg")
        kinds = [leaf["kind"] for leaf in org.audit(kind="channel.")]
        assert kinds == ["channel.created", "channel.changed", "channel.removed"], kinds


@case(limit=60, **LOCAL)
def a_token_that_redirects_a_channel_would_have_decided_for_everybody(rt):
    """Who sets the server or the secret knows what makes a click genuine. A passphrase does it, but
    the secret that is kept goes to no other server, by nobody."""
    with FakeTelegram() as tg, FakeTelegram() as evil, House(rt, tg, people=("ann",)) as house:
        org, there = house.org, {"base_url": evil.url}
        token = org.adam.make_token(scopes=("read", "admin"))
        secret = {"token": tg.token}

        def by_token(method, path, body):
            return rt.rest(method, org.path(path), body, token)
        for method, path, body in (
                ("PATCH", "/channels/tg", {"config": there}),
                ("PATCH", "/channels/tg", {"config": {}}),
                ("PATCH", "/channels/tg", {"secret": secret}),
                ("PATCH", "/channels/tg", {"config": there, "secret": secret}),
                ("POST", "/channels", {"name": "x", "kind": "telegram", "secret": secret}),
                ("POST", "/channels", {"name": "x", "kind": "mail", "config": {
                    "url": "smtps://mail.example.com", "from": "a@example.com"}}),
                ("POST", "/channels/x/slack-install", {"client_id": "1.2",
                                                       "client_secret": "s" * 32})):
            with refused(403, "no token"):
                by_token(method, path, body)
        document = {"channels": [{"name": "tg", "kind": "telegram", "config": there}]}

        def by_passphrase(method, path, body):
            return rt.rest(method, org.path(path), body, (org.adam.name, org.adam.passphrase))
        new = {"channels": [{"name": "ml", "kind": "mail", "config": {
            "url": "smtps://mail.example.com", "from": "a@example.com"}}]}
        for part in (document, new):
            with refused(403, "no token"):
                by_token("POST", "/apply", part)
        for ask in (lambda: by_passphrase("PATCH", "/channels/tg", {"config": there}),
                    lambda: by_passphrase("POST", "/apply", document)):
            with refused(400, "another server would be given"):
                ask()
        (listed,) = org.control("GET", "/channels")["items"]
        assert listed["config"]["base_url"] == tg.url and not evil.calls, (listed, evil.calls)
        by_token("PATCH", "/channels/tg", {"disclose": "summary"})
        by_token("PATCH", "/channels/tg", {"config": dict(listed["config"], cards_per_minute=7)})
        by_passphrase("PATCH", "/channels/tg", {"config": there, "secret": {"token": evil.token}})


@case(limit=60, **LOCAL)
def a_document_brings_channels_without_their_secrets(rt):
    """Exported and applied elsewhere it is off until it has its secret; the policy may name it."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), chats=[-100777]) as house:
        document = house.org.control("GET", "/export")
        (channel,) = document["channels"]
        assert channel["name"] == "tg" and channel["config"]["chats"] == [-100777], channel
        assert tg.token not in json.dumps(document)
        assert house.org.control("POST", "/apply", document)["changes"] == []
        other = Org(rt, files=False, policy=None)
        part = {"channels": document["channels"], "policy": document["policy"]}
        said = other.control("POST", "/apply", part)
        assert [c["what"] for c in said["changes"]] == ["channel", "policy"], said
        (made,) = other.control("GET", "/channels")["items"]
        assert not made["is_enabled"] and not made["has_secret"], made
        assert other.control("POST", "/apply", part)["changes"] == []
        with refused(400, "token"):
            other.control("PATCH", "/channels/tg", {"is_enabled": True})
        other.control("PATCH", "/channels/tg", {"secret": {"token": tg.token}, "is_enabled": True,
                                                "config": {"base_url": tg.url}})
        other.control("PATCH", "/channels/tg", {"is_enabled": False})
        with refused(400, "there is no channel 'tg'"):
            other.control("POST", "/apply", {"channels": [], "prune": True,
                                             "policy": document["policy"] + "\n# again\n"})


@case(limit=60, **LOCAL)
def a_second_factor_cannot_be_proved_there(rt):
    """So that no Approve stands there that would always be refused; rejecting works."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), second_factor=True) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, "append_line")
        assert "Approve" not in " ".join(tg.buttons(card)) and "second factor" in card["text"], card
        forged = "a" + tg.button(card, "Reject")[1:]
        assert "second factor" in tg.press(house.ann, card, "", data=forged)
        assert house.org.state(approval) == "pending"
        assert tg.press(house.ann, card, "Reject").startswith("rejected")
        assert call.wait()["isError"]


@case(limit=60, public_url="https://flopinio.example", **LOCAL)
def many_clicks_at_once_are_one_decision(rt):
    """By two people, both verdicts, over the webhook of both workers."""
    with FakeTelegram() as tg, House(rt, tg, people=(), mode="webhook",
                                     secret={"webhook_secret": HOOK}) as house:
        org = house.org
        for person, user in ((org.ann, house.ann), (org.bob, house.bob)):
            rt.sql("INSERT INTO chat_identity (organization_id, kind, external_id, person_id) "
                   "SELECT %s, 'telegram', %s, person_id FROM person WHERE name = %s", org.id,
                   str(user.id), person.name)
        path = "/hooks/telegram/%s/tg" % org.name
        for round_ in range(3):
            call, approval = house.ask("line %d" % round_)
            cards = [tg.wait_message(u.id, approval) for u in (house.ann, house.bob)]
            updates = []
            for i in range(24):
                user, card = ((house.ann, cards[0]), (house.bob, cards[1]))[i % 2]
                button = "Approve" if i % 3 else "Reject"
                updates.append(dict(tg.query(user, card, tg.button(card, button)), update_id=i))
            statuses = both(*[lambda u=u: deliver(rt, path, u) for u in updates])
            assert set(statuses) == {200}, statuses
            kinds = org.kinds(approval)
            assert kinds.count("approval.approved") + kinds.count("approval.rejected") == 1, kinds
            said = [tg.wait_answer(u["callback_query"]["id"]) for u in updates]
            decided = [s for s in said if s.startswith(("approved", "rejected")) and
                       "already" not in s]
            assert len(decided) == 1, said
            call.wait()


@case(limit=90, breaks=True, **LOCAL)
def buttons_work_after_a_restart(rt):
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        agent = McpHttp(rt, house.org.credential, modern=True, caps=TASKS)
        for i in range(4):
            agent.call("s__append_line", {"line": str(i)})
        held = house.org.wait_pending(4)
        cards = [tg.wait_message(house.ann.id, approval) for approval in held]
        wait_for("all to be noted", lambda: rt.sql("SELECT 1 FROM outbox WHERE done < wanted AND "
                                                   "organization_id = %s", house.org.id) == [])
        rt.stop()
        pressed = tg.press(house.ann, cards[0], "Approve", wait=False)  # while nobody listens
        rt.start()
        assert tg.wait_answer(pressed, 30).startswith("approved")
        tg.wait_text(cards[0], "done", 20)
        for card in cards[1:]:
            assert tg.press(house.ann, card, "Reject", timeout=20).startswith("rejected")
            tg.wait_text(card, "rejected")
        assert len(house.org.effects()) == 1


@case(limit=90, **LOCAL)
def set_up_from_the_command_line(rt):
    """What docs/channels.md shows: add, link, test, list, unlink, remove; the token from a file and
    never shown."""
    with FakeTelegram() as tg:
        org = Org(rt, files=False)
        cli = Cli(rt, org)
        ann = tg.user(71, "Ann")
        path = rt.base + "/token"
        with open(path, "w") as f:
            f.write(tg.token + "\n")
        config = json.dumps({"base_url": tg.url})
        cli("channel", "add", "tg", "--kind", "telegram", "--secret", tg.token, status=2)
        said = cli("channel", "add", "tg", "--kind", "telegram", "--secret", "token=" + path,
                   "--config", config)
        assert "channel tg added" in said.out and tg.token not in said.out, said
        wait_for("the bot's name", lambda: org.control("GET", "/channels")["items"][0]["facts"])
        said = cli("user", "link", org.ann.name, "--channel", "tg")
        code = re.search(r"/start (fll_\S+)", said.out).group(1)
        assert "https://t.me/%s?start=%s" % (tg.bot, code) in said.out, said
        ann.says("/start " + code)
        tg.wait_message(71, "here now")
        assert org.ann.name in cli("user", "links").out
        own = cli("user", "link", org.bob.name, "--channel", "tg", as_=org.bob)
        assert "/start fll_" in own.out, own

        def press():
            card = tg.wait_message(71, "a test of the channel", timeout=20)
            tg.press(ann, card, "It works")
        thread = threading.Thread(target=press)
        thread.start()
        said = cli("channel", "test", "tg", timeout=40)
        thread.join()
        assert "works both ways" in said.out, said
        (row,) = cli("channel", "list").rows
        assert row.startswith("tg ") and "telegram" in row and tg.token not in row, row
        assert "1 chat accounts" in cli("user", "unlink", org.ann.name).out
        cli("channel", "set", "tg", "--enabled", "no", "--disclose", "summary")
        assert org.control("GET", "/channels")["items"][0]["disclose"] == "summary"
        cli("channel", "remove", "tg")
        cli("channel", "remove", "tg", status=4)


@case(limit=60, **LOCAL)
def cards_are_withdrawn_from_who_left(rt):
    """In their own chat: nothing of it stays there, and nothing comes any more."""
    with FakeTelegram() as tg, House(rt, tg) as house:
        call, approval = house.ask("not for you")
        card = tg.wait_message(house.bob.id, "not for you")
        other = tg.wait_message(house.ann.id, "not for you")
        house.org.control("POST", "/people/%s/offboard" % house.org.bob.name, {})
        now = tg.wait_text(card, "withdrawn")
        assert "not for you" not in now["text"] and tg.buttons(card) == [], now
        tg.press(house.ann, other, "Reject")
        assert call.wait()["isError"]
        tg.wait_text(other, "rejected")
        assert "rejected" not in tg.now(card)["text"]
        edits = tg.now(card)["edits"]
        call, approval = house.ask("another")
        tg.wait_message(house.ann.id, "another")
        assert tg.messages(house.bob.id)[-1] == tg.now(card) and tg.now(card)["edits"] == edits
        house.org.ann.reject(approval, "no")
        call.wait()


def cursor_of(house):
    return house.rt.sql("SELECT cursor FROM channel WHERE organization_id = %s",
                        house.org.id)[0]["cursor"]


@case(limit=60, **LOCAL)
def a_quiet_week_repeats_no_command_for_ever(rt):
    """Telegram chooses the next id at random then, which may be a smaller one."""
    with FakeTelegram() as tg, House(rt, tg) as house:
        wait_for("the next poll", lambda: tg.offsets[-1] == tg.next_update)
        tg.next_update = 120
        house.ann.says("/pending")
        wait_for("it to be confirmed", lambda: tg.offsets[-1] == 121)
        wait_for("it to be noted", lambda: cursor_of(house) == 121)
        said = [m for m in tg.messages(house.ann.id) if "nothing waits" in m["text"]]
        assert len(said) == 1, said
        call, _ = house.ask("one")
        card = tg.wait_message(house.ann.id, "append_line")
        assert tg.press(house.ann, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended" and house.org.effects() == ["one"]


@case(limit=60, **LOCAL)
def what_was_done_while_the_channel_is_changed_was_not_noted(rt):
    """Until it is opened anew its updates are handled by the one before, and were handled again then."""
    with FakeTelegram() as tg, House(rt, tg) as house:
        wait_for("the next poll", lambda: tg.offsets[-1] == tg.next_update)
        changed = []

        def change(_):
            if not changed:
                changed.append(1)
                house.org.control("PATCH", "/channels/tg", {"is_enabled": True})
        tg.on_post = change
        house.ann.says("/pending")
        wait_for("it to be confirmed", lambda: tg.offsets[-1] == tg.next_update)
        assert changed and cursor_of(house) == tg.next_update


@case(limit=60, **LOCAL)
def another_bots_clicks_are_not_taken_for_handled(rt):
    """Its numbers may be just below those of the bot before: what lies below an offset is gone."""
    with FakeTelegram() as tg, House(rt, tg) as house:
        wait_for("the next poll", lambda: tg.offsets[-1] == tg.next_update)
        with FakeTelegram(token="8" + tg.token[1:]) as other:
            other.next_update = tg.next_update - 5
            other.user(house.ann.id).says("/pending")
            house.org.control("PATCH", "/channels/tg", {
                "config": {"base_url": other.url}, "secret": {"token": other.token}})
            other.wait_message(house.ann.id, "nothing waits")
            house.org.control("PATCH", "/channels/tg", {"is_enabled": False})
