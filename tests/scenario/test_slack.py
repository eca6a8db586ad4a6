"""Deciding in Slack, over signed requests: cards, buttons, modals, commands, who may press them, and
what stands there afterwards."""
import atexit
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

from cases import case
from chat import LOCAL, policy
from chat import add_channel as add_telegram
from chat import link as link_telegram
from cli import Cli
from fake_slack import APP_TOKEN, SECRET, TOKEN, FakeSlack, Hooks, sign
from fake_slack_app import ALL_SCOPES, HISTORY_SCOPES
from fake_telegram import FakeTelegram
from harness import Org, children_of, wait_for
from mcp_client import text_of
from slack import OPS, SlackHouse, facts, linked_by_hand
from test_doctor import doctor


@case(limit=60, **LOCAL)
def approve_in_slack(rt):
    """A write is held, a card comes, a click decides, the call runs, card and thread say so; of the
    secrets none is in the log."""
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        since = rt.log_size()
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        assert "Approve" in sl.buttons(card) and "waiting" in sl.text(card), card
        said = sl.click(house.ann, card, "Approve")
        assert said.startswith("approved"), said
        assert text_of(call.wait()) == "appended" and house.org.effects() == ["one"]
        sl.wait_text(card, "done")
        assert sl.buttons(card) == []
        sl.wait_message(OPS, "done", thread=card["ts"])
        (leaf,) = house.org.audit(approval, "approval.approved")
        assert leaf["data"]["via"] == "slack" and leaf["data"]["person"] == house.org.ann.name
        for secret in (TOKEN, APP_TOKEN, SECRET):
            assert secret not in rt.log(since, 10 ** 7), "a secret in the log"


@case(limit=60, **LOCAL)
def approve_in_their_own_chats(rt):
    """Without channels a card goes to everybody who may vote, and each is rewritten."""
    with FakeSlack() as sl, SlackHouse(rt, sl, channels=None) as house:
        call, approval = house.ask("one")
        first = sl.wait_message("D1ANN", "append_line")
        second = sl.wait_message("D1BOB", "append_line")
        # Ann's card, pressed by somebody else: nobody is there but her.
        said = sl.click(house.bob, first, "Approve")
        assert "not known here" in said, said
        said = sl.click(house.bob, second, "Approve")
        assert said.startswith("approved"), said
        assert text_of(call.wait()) == "appended"
        for card in (first, second):
            sl.wait_text(card, "done")


@case(limit=60, **LOCAL)
def reject_in_slack_and_the_agent_reads_why(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        view = sl.open_modal(house.ann, card, "Reject, saying why")
        assert "one" not in sl.text(view).split(), view
        assert "rejected" in sl.submit(house.ann, view, "not on a Friday")
        result = call.wait()
        assert result["isError"] and "not on a Friday" in text_of(result), result
        sl.wait_text(card, "not on a Friday")
        seen = [card["ts"]]
        call, approval = house.ask("two")
        card = sl.wait_message(OPS, "append_line", skip=seen)
        seen.append(card["ts"])
        said = sl.click(house.bob, card, "Reject because", option="not now")
        assert "rejected" in said, said
        assert "not now" in text_of(call.wait())
        call, approval = house.ask("three")
        card = sl.wait_message(OPS, "append_line", skip=seen)
        view = sl.open_modal(house.ann, card, "Send back")
        sl.submit(house.ann, view, "which cluster?")
        assert "which cluster?" in text_of(call.wait())
        assert house.org.row(approval)["may_ask_again"]
        assert house.org.effects() == []


@case(limit=60, **LOCAL)
def slack_and_telegram_make_a_quorum(rt):
    with FakeTelegram() as tg, FakeSlack() as sl, SlackHouse(
            rt, sl, people=("ann",), thresholds=[{"approve": 2}]) as house:
        add_telegram(house.org, tg)
        bob = link_telegram(house.org, tg, house.org.bob, tg.user(72, "Bob"))
        house.org.apply(policy([["sl", "tg"]], [{"approve": 2}]))
        house.org.sync()
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        other = tg.wait_message(bob.id, "append_line")
        said = sl.click(house.ann, card, "Approve")
        assert "1 of 2" in said, said
        tg.wait_text(other, "1 of 2")
        sl.wait_text(card, "1 of 2")
        assert "1 of 2" in sl.click(house.ann, card, "Approve")  # once more is one person
        assert tg.press(bob, other, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        sl.wait_text(card, "done")
        tg.wait_text(other, "done")


@case(limit=60, **LOCAL)
def old_slack_button_answers_honestly(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        approve, reject = sl.element(card, "Approve"), sl.element(card, "Reject")
        house.org.bob.reject(approval, "no")  # elsewhere
        assert call.wait()["isError"]
        sl.wait_text(card, "rejected")
        for element in (approve, reject):
            said = sl.click(house.ann, card, "", element=element)
            assert "rejected already" in said and house.org.bob.name in said, said
        # A button of this call on another call's card, and a value that was never a button.
        call, other = house.ask("two")
        second = sl.wait_message(OPS, "append_line", skip=[card["ts"]])
        forged = dict(approve, value=sl.element(second, "Approve")["value"][:23] +
                      approve["value"][23:])
        said = sl.click(house.ann, second, "", element=forged)
        assert "nothing was decided" in said, said
        assert "nothing was decided" in sl.click(
            house.ann, card, "", element=sl.element(second, "Approve"))
        sl.click(house.ann, second, "", element=dict(approve, value="a1.whatever"))
        assert house.org.state(other) == "pending" and house.org.effects() == []
        said = sl.click(house.ann, second, "Approve")
        assert said.startswith("approved"), said
        call.wait()


def certificate():
    """(certificate, key) for 127.0.0.1, its own authority; in a folder of this process."""
    folder = tempfile.mkdtemp(prefix="flopinio-slack-tls-")
    os.chmod(folder, 0o755)  # the runtime's user reads the certificate
    cert, key = folder + "/cert.pem", folder + "/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=fake",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                   check=True, capture_output=True)
    atexit.register(shutil.rmtree, folder, True)
    return cert, key


CERT = certificate()


@case(limit=90, **LOCAL)
def nobody_else_decides_in_slack(rt):
    """Guests, strangers, bots and the deactivated, though linked; the unlinked; the agent's owner;
    in a modal too. The last one decides."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "bob", "olga")) as house:
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        nobodies = {
            "of another workspace": sl.user("U9STR", "str", team="T9OTHER"),
            "another workspace": sl.user("U8STR", "str", is_stranger=True),
            "guest": sl.user("U1GUEST", "guest", is_restricted=True),
            "a guest": sl.user("U1SINGLE", "single", is_ultra_restricted=True),
            "bot": sl.user("U1BOT", "bot", is_bot=True),
            "deactivated": sl.user("U1GONE", "gone", deleted=True)}
        for said, user in nobodies.items():
            linked_by_hand(house, house.org.bob, user)
            for label in ("Approve", "Reject", "Stop agent"):
                answer = sl.click(user, card, label)
                assert said in answer, (said, answer)
            view = sl.open_modal(user, card, "Reject, saying why")
            assert said in sl.text(view) and len(view["blocks"]) == 1, view
        nobodies["of another workspace"].team = sl.team  # however the payload names their team
        said = sl.click(nobodies["of another workspace"], card, "Approve")
        assert "another workspace" in said, said
        new = sl.user("U1NEW", "new")
        said = sl.click(new, card, "Approve")
        assert "not linked" in said, said
        refused = sl.click(house.olga, card, "Approve")
        assert refused and "approved" not in refused, refused
        view = sl.open_modal(house.olga, card, "Reject, saying why")
        assert not any(b["type"] == "input" for b in view["blocks"]), view
        # Of another workspace altogether: not a word.
        id, payload = sl.action_payload(house.ann, card, sl.element(card, "Approve"))
        sl.send(dict(payload, team={"id": "T7ELSE"}))
        assert house.org.state(approval) == "pending" and house.org.audit(
            approval, "approval.approved") == []
        said = sl.click(house.bob, card, "Approve")
        assert said.startswith("approved"), said
        assert text_of(call.wait()) == "appended" and sl.answers[id] == []


@case(limit=90, **LOCAL)
def forged_slack_requests_are_401_and_leave_no_row(rt):
    """Thirty ways to get it wrong; then the right one, twice: done once."""
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        id, payload = sl.action_payload(house.ann, card, sl.element(card, "Approve"))
        hooks, now = house.hooks, int(time.time())
        body = hooks.body(payload)
        good = dict(hooks.headers(body, now))
        mac, at = good["X-Slack-Signature"], good["X-Slack-Request-Timestamp"]

        def with_(**more):
            names = {"signature": "X-Slack-Signature", "at": "X-Slack-Request-Timestamp",
                     "kind": "Content-Type"}
            return [(k, v) for k, v in dict(good, **{names[n]: v for n, v in more.items()}).items()
                    if v is not None]
        rows = rt.sql("SELECT count(*) AS n FROM lease WHERE name LIKE 'once %%'")[0]["n"]
        other = hooks.body(dict(payload, user=dict(payload["user"], id="U1BOB")))
        forged = [
            (body, with_(signature=None)), (body, with_(signature="")), (body, with_(at=None)),
            (body, with_(at="")), (body, with_(signature=mac[:-1])),
            (body, with_(signature=mac + "0")), (body, with_(signature=mac.upper())),
            (body, with_(signature="v0=" + mac[3:].upper())),
            (body, with_(signature="v1=" + mac[3:])), (body, with_(signature=mac[3:])),
            (body, with_(signature="v0=")), (body, with_(signature="v0=" + "0" * 64)),
            (body, with_(signature=mac[:3] + mac[4:] + mac[3])),
            (body, with_(at=str(now - 1))), (body, with_(at=str(now + 1))),
            (body, with_(at="+" + at)), (body, with_(at=at + ".0")), (body, with_(at="0x1")),
            (body, with_(at="-1")), (body, with_(at="99999999999999999999")),
            (body, hooks.headers(body, now - 301)), (body, hooks.headers(body, now + 310)),
            (body, hooks.headers(body, 0)),
            (body, hooks.headers(body, now, secret="wrong" + SECRET)),
            (body, hooks.headers(body, now, secret=TOKEN)),
            (body + b"&", with_()), (body.replace(b"%22", b"%27", 1), with_()),
            (body.replace(b"payload=", b"p=", 1), with_()), (other, with_()),
            (b"", with_()), (body, with_() + [("X-Slack-Signature", mac)]),
            (body, with_() + [("X-Slack-Request-Timestamp", at)]),
            (body, [(k, v) for k, v in with_(signature=sign("", now, body))])]
        assert len(forged) >= 30
        for i, (bytes_, headers) in enumerate(forged):
            status, _ = hooks.post(bytes_, headers)
            assert status == 401, (i, status, headers)
        right = hooks.path
        for path in (right + "x", right.replace("/slack/", "/telegram/"), "/hooks/slack/nobody/sl"):
            hooks.path = path
            assert hooks.post(body, with_())[0] == 401, path
        hooks.path = right
        assert rt.sql("SELECT count(*) AS n FROM lease WHERE name LIKE 'once %%'")[0]["n"] == rows
        assert house.org.state(approval) == "pending" and house.org.audit(approval, "vote") == []
        assert hooks.post(body, with_())[0] == 200
        assert sl.wait_answer(id).startswith("approved")
        call.wait()
        for _ in range(3):
            assert hooks.post(body, with_())[0] == 200
        call, second = house.ask("two")
        sl.wait_message(OPS, "append_line", skip=[card["ts"]])
        assert len(sl.answers[id]) == 1, "a replay was done again"
        assert len(house.org.audit(approval, "approval.approved")) == 1
        house.org.bob.reject(second, "no")
        call.wait()


@case(limit=60, **LOCAL)
def two_signing_secrets_while_one_is_replaced(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        body = json.dumps({"type": "url_verification", "challenge": "3eZbrw1a"}).encode()

        def verified(secret):
            status, answer = house.hooks.post(
                body, house.hooks.headers(body, secret=secret, kind="application/json"))
            return status == 200 and json.loads(answer)["challenge"] == "3eZbrw1a"
        fresh = "f" * 32
        assert verified(SECRET) and not verified(fresh)
        house.org.control("PATCH", "/channels/sl", {"secret": {
            "token": TOKEN, "signing_secret": fresh, "signing_secret_old": SECRET}})
        assert verified(fresh)
        time.sleep(1.1)  # the same bytes at the same second would be the same request
        assert verified(SECRET)
        house.org.control("PATCH", "/channels/sl", {"secret": {
            "token": TOKEN, "signing_secret": fresh}})
        time.sleep(1.1)
        assert verified(fresh) and not verified(SECRET)


@case(limit=90, **LOCAL)
def long_arguments_are_read_in_the_modal(rt):
    """Too long for a message: no Approve there, pages in a modal, Approve on the last one."""
    with FakeSlack() as sl, SlackHouse(rt, sl, files=True) as house:
        long = "".join("%05d abcdefghijklmnopqrstuvwxyz\n" % i for i in range(6000))
        call, approval = house.ask(tool="files__write", path="long.txt", content=long)
        card = sl.wait_message(OPS, "long.txt")
        assert "Approve" not in sl.buttons(card) and "Review" in sl.buttons(card), card
        # Whoever makes up the button that is not there is told to read.
        made_up = dict(sl.element(card, "Review"), action_id="a")
        made_up["value"] = "a" + made_up["value"][1:]
        said = sl.click(house.ann, card, "", element=made_up)
        assert "last page" in said, said
        view = sl.open_modal(house.ann, card, "Review")
        seen, pages = sl.text(view), 1
        while "Approve" not in sl.buttons(view):
            view = sl.press_in_view(house.ann, view, "Next")
            seen += sl.text(view)
            pages += 1
        assert pages > 3 and all("%05d abc" % i in seen for i in range(6000)), pages
        view = sl.press_in_view(house.ann, view, "Approve")
        assert sl.text(view).startswith("approved"), view
        call.wait()
        sl.wait_text(card, "done")


@case(limit=60, **LOCAL)
def summary_says_nothing_and_has_no_approve(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl, disclose="summary") as house:
        call, approval = house.ask("the-secret-line")
        card = sl.wait_message(OPS, "append_line")
        assert "Approve" not in sl.buttons(card) and "Review" not in sl.buttons(card), card
        assert "Reject" in sl.buttons(card)
        made_up = dict(sl.element(card, "Reject"), action_id="v")
        made_up["value"] = "v" + made_up["value"][1:]
        id, payload = sl.action_payload(house.ann, card, made_up)
        before = set(sl.views)
        sl.send(payload)
        view = wait_for("the modal", lambda: [
            v for i, v in sl.views.items() if i not in before and "Loading" not in sl.text(v)])[0]
        assert "Approve" not in sl.buttons(view), view
        said = sl.click(house.ann, card, "Reject")
        assert "rejected" in said, said
        call.wait()
        everything = json.dumps([sl.calls, list(sl.views.values())])
        assert "the-secret-line" not in everything


@case(limit=90, **LOCAL)
def slack_commands_and_stop(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        assert "nothing waits" in sl.command(house.ann, "pending")
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        said = sl.command(house.ann, "pending")
        assert "append_line" in said and approval[:8] in said, said
        assert "not linked" in sl.command(sl.user("U1NEW", "new"), "pending")
        assert "no code of ours" in sl.command(sl.users["U1NEW"], "link 123")
        assert "no agent of that name" in sl.command(house.ann, "stop nobody")
        assert "pending" in sl.command(house.ann, "what?")
        said = sl.click(house.ann, card, "Stop agent")
        assert "is stopped" in said, said
        stops = house.org.control("GET", "/stops")["items"]
        assert any(s["name"] == house.org.agent for s in stops), stops
        house.org.control("POST", "/stops/resume", {"scope": "agent", "name": house.org.agent})
        assert "is stopped" in sl.command(house.ann, "stop " + house.org.agent)
        house.org.control("POST", "/stops/resume", {"scope": "agent", "name": house.org.agent})
        house.agent.close()


@case(limit=90, **LOCAL)
def slack_limits_and_lost_answers(rt):
    """429 is obeyed; a post whose answer is lost, of an app that may not look for it, leaves two cards,
    of which the older says so; a trigger that came too late decides nothing."""
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        sl.scopes -= HISTORY_SCOPES
        sl.limited, sl.retry_after = 2, 1
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        assert sl.limited == 0
        said = sl.click(house.ann, card, "Approve")
        assert said.startswith("approved"), said
        call.wait()
        sl.wait_text(card, "done")
        sl.wait_message(OPS, "done", thread=card["ts"])
        sl.loses_answers = 1
        call, approval = house.ask("two")
        first = sl.wait_message(OPS, "append_line", skip=[card["ts"]])
        second = sl.wait_message(OPS, "append_line", skip=[card["ts"], first["ts"]], timeout=20)
        wait_for("the second to be known", lambda: rt.sql(
            "SELECT 1 FROM card_message WHERE message = %s", second["ts"]))
        said = sl.click(house.ann, first, "Approve")
        assert "older copy" in said, said
        id, payload = sl.action_payload(house.ann, second, sl.element(second, "Send back"))
        sl.triggers[payload["trigger_id"]][0] -= 4
        sl.send(payload)
        assert "too long" in sl.wait_answer(id)
        assert house.org.state(approval) == "pending"
        said = sl.click(house.ann, second, "Approve")
        assert said.startswith("approved"), said
        call.wait()


@case(limit=120, breaks=True, **LOCAL)
def open_slack_cards_survive_a_restart(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        calls = [house.ask("line %d" % i) for i in range(3)]
        wait_for("three cards", lambda: len(sl.posted(OPS)) == 3)
        wait_for("their rows", lambda: rt.sql(
            "SELECT count(*) AS n FROM card_message WHERE organization_id = %s AND message IS NOT "
            "NULL", house.org.id)[0]["n"] == 3)
        cards = sl.posted(OPS)
        rt.stop()
        rt.start()
        for card in cards:
            said = sl.click(house.ann, card, "Approve")
            assert said.startswith("approved"), said
        for _, approval in calls:
            assert house.org.state(approval) != "pending"
        assert len(sl.posted(OPS)) == 3


@case(limit=60, **LOCAL)
def approve_over_socket_mode(rt):
    """No address of ours is known to Slack: link, card, click, modal and command over the socket;
    its requests at the webhook are forgeries."""
    with FakeSlack() as sl, SlackHouse(rt, sl, mode="socket") as house:
        since = rt.log_size()
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        said = sl.click(house.ann, card, "Approve")
        assert said.startswith("approved"), said
        assert text_of(call.wait()) == "appended" and house.org.effects() == ["one"]
        sl.wait_text(card, "done")
        call, approval = house.ask("two")
        second = sl.wait_message(OPS, "append_line", skip=[card["ts"]])
        view = sl.open_modal(house.bob, second, "Reject, saying why")
        assert "rejected" in sl.submit(house.bob, view, "not by socket")
        assert "not by socket" in text_of(call.wait())
        assert "nothing waits" in sl.command(house.ann, "pending")
        body = house.hooks.body(sl.action_payload(house.ann, second, {
            "action_id": "a", "type": "button", "value": "x"})[1])
        for secret in ("", SECRET, APP_TOKEN, TOKEN):
            assert house.hooks.post(body, [
                ("X-Slack-Request-Timestamp", str(int(time.time()))),
                ("X-Slack-Signature", sign(secret, int(time.time()), body))])[0] == 401
        log = rt.log(since, 10 ** 7)
        assert TOKEN not in log and APP_TOKEN not in log and "ticket" not in log


@case(limit=60, **LOCAL)
def a_line_that_slack_closes_at_once_is_not_opened_at_once(rt):
    """Socket Mode was switched off, say: Slack would be asked for lines without a pause."""
    with FakeSlack() as sl, SlackHouse(rt, sl, mode="socket", people=()):
        line = wait_for("one line", lambda: sl.lines and sl.lines[0])
        sl.hangs_up = True
        before = len(sl.opened)
        line.close()
        wait_for("three lines", lambda: len(sl.opened) >= before + 3, 30)
        first, _, third = sl.opened[before:before + 3]
        assert third - first > 1.5, sl.opened


@case(limit=120, breaks=True, **LOCAL)
def a_worker_that_reaches_no_database_takes_no_clicks(rt):
    """Another may have the channel by then, and what this one acknowledged would be lost."""
    with FakeSlack() as sl, SlackHouse(rt, sl, mode="socket", people=()):
        line = wait_for("one line", lambda: sl.lines and sl.lines[0])
        stopped = [rt.postmaster()] + children_of(rt.postmaster())

        def send(number):
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        send(signal.SIGSTOP)
        try:
            wait_for("it to be given up", lambda: line.is_closed, 60)
        finally:
            send(signal.SIGCONT)
        wait_for("another line", lambda: sl.lines, 60)


@case(limit=90, **LOCAL)
def socket_is_refreshed_without_a_gap(rt):
    """Slack announces that it will close a line: the next is there first, and what still comes on the
    old one is acknowledged and done. A line that breaks is followed by another; of two workers one
    has it."""
    with FakeSlack() as sl, SlackHouse(rt, sl, mode="socket") as house:
        wait_for("one line", lambda: len(sl.lines) == 1)
        calls = [house.ask("line %d" % i) for i in range(2)]
        wait_for("two cards", lambda: len(sl.posted(OPS)) == 2)
        cards = sl.posted(OPS)
        old = sl.lines[0]
        old.say({"type": "disconnect", "reason": "warning", "debug_info": {}})
        wait_for("a second line", lambda: len(sl.lines) == 2)
        assert not old.is_closed
        sl.line = old
        said = sl.click(house.ann, cards[0], "Approve")
        assert said.startswith("approved"), said
        old.close()
        sl.line = None
        said = sl.click(house.bob, cards[1], "Reject")
        assert "rejected" in said, said
        for call, _ in calls:
            call.wait()
        assert len(sl.lines) == 1
        broken = sl.lines[0]
        broken.close()
        wait_for("another line", lambda: sl.lines and sl.lines[0] is not broken)
        assert "nothing waits" in sl.command(house.ann, "pending")
        time.sleep(1.5)
        assert len(sl.lines) == 1, "more than one owner"


@case(limit=60, **LOCAL)
def set_up_slack_from_the_command_line(rt):
    """What docs/channels.md shows: manifest, add, link, test; secrets from files, and wrong ones
    refused in a sentence."""
    with FakeSlack() as sl:
        org = Org(rt, files=False)
        cli = Cli(rt, org)
        sl.scopes -= HISTORY_SCOPES
        by_socket = json.loads(cli("channel", "slack-manifest", "sl").out)
        assert by_socket["settings"]["socket_mode_enabled"] is True
        by_http = json.loads(cli("channel", "slack-manifest", "sl", "--public-url",
                                 "https://agents.example.com").out)
        path = "/hooks/slack/%s/sl" % org.name
        for url in (by_http["settings"]["interactivity"]["request_url"],
                    by_http["features"]["slash_commands"][0]["url"]):
            assert url == "https://agents.example.com" + path, url
        cli("channel", "slack-manifest", "sl", "--public-url", "http://x", status=2)
        files = {}
        for name, text in (("token", TOKEN), ("signing_secret", SECRET), ("wrong", "hunter2")):
            files[name] = "%s/slack-%s" % (rt.base, name)
            with open(files[name], "w") as f:
                f.write(text + "\n")
        config = json.dumps({"base_url": sl.url})
        add = ["channel", "add", "sl", "--kind", "slack", "--config", config]
        said = cli(*add, "--secret", "token=" + files["wrong"], status=1)
        assert "xoxb-" in said.err and "hunter2" not in said.err, said
        said = cli(*add, "--secret", "token=" + files["token"], status=1)
        assert "signing_secret" in said.err, said
        cli(*add, "--secret", "token=" + files["token"], "--secret",
            "signing_secret=" + files["signing_secret"])
        wait_for("the workspace", lambda: facts(org).get("team"))
        said = cli("user", "link", org.ann.name, "--channel", "sl")
        code = said.out.split("/flopinio link ")[1].split()[0]
        sl.deliver = Hooks(rt, path)
        ann = sl.user("U1ANN", "ann")
        assert "here now" in sl.command(ann, "link " + code)
        assert "used" in sl.command(sl.user("U1BOB", "bob"), "link " + code)

        def press():
            card = sl.wait_message("D1ANN", "a test of the channel", timeout=20)
            sl.click(ann, card, "It works")
        thread = threading.Thread(target=press)
        thread.start()
        said = cli("channel", "test", "sl", timeout=40)
        thread.join()
        assert "works both ways" in said.out, said
        # What it works without is a hint, what it needs a warning.
        assert "hint: the app has no channels:history, groups:history, im:history: " in said.out, said

        def told(status, text):
            return [f for f in doctor(rt)[1].get("channels", []) if f[0] == status and text in f[1]]
        assert told("ok", "%s: the app of sl has no channels:history, groups" % org.name)
        sl.scopes = ALL_SCOPES - {"groups:read"}
        cli("channel", "set", "sl", "--enabled", "yes")  # it has a new token, say
        wait_for("the scopes", lambda: facts(org)["missing_scopes"] == ["groups:read"])
        assert told("warn", "%s: the app of sl has no groups:read, which it needs" % org.name)
        assert not told("ok", "")
        sl.scopes = set(ALL_SCOPES)
        cli("channel", "set", "sl", "--enabled", "yes")
        wait_for("the scopes", lambda: facts(org)["missing_scopes"] == [])
        assert not told("warn", "")


@case(limit=60, **LOCAL)
def slack_cards_are_withdrawn_from_who_left(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl, channels=None) as house:
        call, approval = house.ask("not for you")
        card = sl.wait_message("D1BOB", "not for you")
        other = sl.wait_message("D1ANN", "not for you")
        house.org.control("POST", "/people/%s/offboard" % house.org.bob.name, {})
        now = sl.wait_text(card, "withdrawn")
        assert "not for you" not in sl.text(now) and sl.buttons(card) == [], now
        sl.click(house.ann, other, "Reject")
        call.wait()


@case(limit=60, chat_ca_file=CERT[0], **LOCAL)
def socket_mode_over_tls_trusts_its_authority_only(rt):
    with FakeSlack(tls=CERT) as sl, SlackHouse(rt, sl, mode="socket") as house:
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        said = sl.click(house.ann, card, "Approve")
        assert said.startswith("approved"), said
        assert text_of(call.wait()) == "appended"
        # Calls go on; the next line leads to somebody else's certificate.
        with FakeSlack(tls=certificate()) as other:
            sl.do_apps_connections_open = other.do_apps_connections_open
            other.tickets = sl.tickets
            since = rt.log_size()
            sl.lines[0].close()
            wait_for("the refusal", lambda: "certificate is not trusted" in rt.log(since))
            assert other.lines == []
