#!/usr/bin/python3
"""The chats' own libraries against our fakes and our cards: tests/chats/run.py [CASE]...

The fakes that the scenario tests trust (tests/scenario/fake_slack.py, fake_telegram.py) are used here
by the libraries that talk to the real ones; another Slack, of somebody else, stands in for ours; and
the golden cards are checked by the type definitions of both. Prints one line a case, then
`N passed, N failed, N skipped`.
"""
import atexit
import contextlib
import glob
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, ROOT + "/tests/scenario")
from fake_slack import APP_TOKEN, SECRET, TOKEN, FakeSlack, Hooks  # noqa: E402
from fake_telegram import FakeTelegram  # noqa: E402
from harness import BUILD, free_ports, wait_for  # noqa: E402

CHATS = os.environ["CHATS"] = os.environ.get("FLOPINIO_CHATS", ROOT + "/build/chats")
NODE = CHATS + "/node_modules/node/bin/node"
GOLDEN = ROOT + "/tests/golden"
OPS = "C1OPS"


class PartyError(Exception):
    def __init__(self, error):
        super().__init__(error.get("text"))
        self.error = error


class Party:
    """One of the scripts beside this file, as a process: party(op, ...) -> its result."""

    def __init__(self, script):
        self.process = subprocess.Popen([NODE, "%s/%s.mjs" % (HERE, script)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self, op, **args):
        self.process.stdin.write(json.dumps(dict(args, op=op)) + "\n")
        self.process.stdin.flush()
        timer = threading.Timer(60, self.process.kill)
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        assert line, "the party ended, or took more than a minute for " + op
        answer = json.loads(line)
        if "error" in answer:
            raise PartyError(answer["error"])
        return answer["result"]

    def refused(self, op, **args):
        try:
            result = self(op, **args)
        except PartyError as e:
            return e.error
        raise AssertionError("it was taken: %s" % result)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def golden(channel, name):
    with open("%s/%s/%s.json" % (GOLDEN, channel, name)) as f:
        return json.load(f)


def is_view(name):
    return name.startswith(("form_", "review_"))


# ---------------------------------------------------------------- the fake Slack
def slack_web_api_posts_updates_and_opens():
    """@slack/web-api: methods, errors, 429, limits; every golden card is taken as it stands."""
    with FakeSlack() as sl, Party("slack_web") as web:
        ann = sl.user("U1ANN", "ann")
        sl.channel(OPS)

        def call(method, token=TOKEN, **args):
            return web("call", url=sl.url, token=token, method=method, args=args)

        def error(method, token=TOKEN, **args):
            return web.refused("call", url=sl.url, token=token, method=method, args=args)
        assert call("auth.test")["team_id"] == "T1HOME"
        assert call("users.info", user=ann.id)["user"]["name"] == "ann"
        assert error("users.info", user="U0")["data"]["error"] == "user_not_found"
        assert error("auth.test", token="xoxb-other")["data"]["error"] == "invalid_auth"
        assert error("chat.delete")["data"]["error"] == "unknown_method"
        card = golden("slack", "waiting")
        posted = call("chat.postMessage", channel=OPS, **card)
        assert posted["ok"] and posted["channel"] == OPS
        assert sl.now(posted)["blocks"] == card["blocks"]
        for path in sorted(glob.glob(GOLDEN + "/slack/*.json")):
            name = os.path.basename(path)[:-5]
            if is_view(name):
                view = call("views.open", trigger_id=sl.trigger(), view=golden("slack", name))
                assert view["view"]["id"] in sl.views
            else:
                fresh = golden("slack", name)
                assert call("chat.update", channel=OPS, ts=posted["ts"], **fresh)["ok"]
                assert sl.now(posted)["blocks"] == fresh["blocks"]
        beneath = call("chat.postMessage", channel=OPS, thread_ts=posted["ts"],
                       **golden("slack", "thread_failed"))
        assert sl.posted(OPS, posted["ts"])[0]["ts"] == beneath["ts"]
        assert error("chat.update", channel=OPS, ts="1.1", **card)["data"]["error"] == (
            "message_not_found")
        assert error("chat.postMessage", channel="C0", **card)["data"]["error"] == (
            "channel_not_found")
        sl.limited = 1
        limited = error("chat.postMessage", channel=OPS, **card)
        assert limited["code"] == "slack_webapi_rate_limited_error", limited
        assert limited["retryAfter"] == 1
        used = sl.trigger()
        call("views.open", trigger_id=used, view=golden("slack", "form_reason"))
        assert error("views.open", trigger_id=used, view=golden("slack", "form_reason"))[
            "data"]["error"] == "exchanged_trigger_id"
        late = sl.trigger()
        sl.triggers[late][0] -= 3.1
        assert error("views.open", trigger_id=late, view=golden("slack", "form_reason"))[
            "data"]["error"] == "expired_trigger_id"
        assert not sl.violations, sl.violations
        long = {"type": "section", "text": {"type": "plain_text", "text": "x" * 3001}}
        for blocks in ([card["blocks"][0]] * 51, [long], [{"type": "section", "text": {
                "type": "mrkdwn", "text": "*x*"}}]):
            assert error("chat.postMessage", channel=OPS, text="x", blocks=blocks)["data"][
                "error"] == "invalid_arguments"
        assert len(sl.violations) == 3
        sl.violations = []


def slack_socket_mode_connects_acknowledges_and_comes_again():
    """@slack/socket-mode: hello, envelopes, acknowledgements with and without a payload, disconnect."""
    with FakeSlack() as sl, Party("slack_socket") as party:
        ann = sl.user("U1ANN", "ann")
        sl.channel(OPS)
        message = dict(golden("slack", "waiting"), channel=OPS, ts="1700000000.000100")
        sl.messages[(OPS, message["ts"])] = message
        party("start", url=sl.url, token=APP_TOKEN)
        wait_for("a line", lambda: sl.lines)
        element = sl.element(message, "Approve")
        _, payload = sl.action_payload(ann, message, element)
        assert sl.over_socket(payload)[1] in (b"", b"{}")
        view = {"response_action": "clear"}
        party("ack", payload=view)
        submission = dict(sl.base(ann, "view_submission"), view=golden("slack", "form_reason"))
        status, body = sl.over_socket(submission)
        assert json.loads(body) == view
        command = {"command": "/flopinio", "text": "pending", "user_id": ann.id, "team_id": sl.team}
        assert sl.over_socket(command)[1] in (b"", b"{}")
        seen = party("seen")["seen"]
        assert [s["kind"] for s in seen] == ["interactive", "interactive", "slash_commands"], seen
        assert seen[0]["body"] == payload and seen[2]["body"]["text"] == "pending"
        assert all(s["accepts_response_payload"] for s in seen)
        (old,) = sl.lines
        old.say({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}})
        wait_for("another line", lambda: [li for li in sl.lines if li is not old])
        old.close()
        sl.line = [li for li in sl.lines if li is not old][-1]
        assert sl.over_socket(payload)[1] in (b"", b"{}")
        assert len(party("seen")["seen"]) == 4
        party("stop")
        wait_for("no line", lambda: not sl.lines)
        assert len(sl.tickets) == 0, "a ticket is for one connection"


def slack_bolt_takes_what_we_sign_and_nothing_else():
    """@slack/bolt's HTTP receiver: our signatures are right, bad and stale ones are 401; clicks, forms
    and commands are what it expects."""
    with FakeSlack() as sl, Party("slack_bolt") as bolt:
        ann = sl.user("U1ANN", "ann")
        sl.channel(OPS)
        (port,) = free_ports(1)
        bolt("start", url=sl.url, token=TOKEN, secret=SECRET, port=port)
        hooks = sl.deliver = Hooks(types.SimpleNamespace(port=port), "/hooks")
        message = dict(golden("slack", "waiting"), channel=OPS, ts="1700000000.000100")
        sl.messages[(OPS, message["ts"])] = message
        said = sl.click(ann, message, "Approve")
        value = sl.element(message, "Approve")["value"]
        assert said == "taken: " + value, said
        said = sl.click(ann, message, "Reject because", option="not now")
        assert said.startswith("taken: r"), said
        assert "did: pending" in sl.command(ann, "pending")
        message["blocks"] = golden("slack", "long")["blocks"]
        sl.action_payload(ann, message, sl.element(message, "Review"))
        _, payload = sl.action_payload(ann, message, sl.element(message, "Review"))
        hooks(payload)
        view = wait_for("a modal by the trigger", lambda: list(sl.views.values()))[0]
        form = sl.views[view["id"]] = dict(golden("slack", "form_reason"), id=view["id"])
        assert sl.submit(ann, form, "too late") == "read: too late"
        seen = bolt("seen")
        assert [s["kind"] for s in seen] == ["action", "action", "command", "action", "view"], seen
        body = seen[0]["body"]
        assert body["user"]["id"] == ann.id and body["container"]["message_ts"] == message["ts"]
        assert body["response_url"].startswith(sl.origin) and body["trigger_id"]
        # What is not signed so.
        _, payload = sl.action_payload(ann, message, sl.element(message, "Reject"))
        data = hooks.body(payload)
        now = int(time.time())
        good = hooks.headers(data)
        bad = {
            "another secret": (data, hooks.headers(data, secret="x" * 32)),
            "another body": (data + b"&x=1", good),
            "older than 300 s": (data, hooks.headers(data, at=now - 310)),
            "another time": (data, [good[0], ("X-Slack-Request-Timestamp", str(now - 1)), good[2]]),
            "no signature": (data, good[:2]),
            "no time": (data, [good[0], good[2]]),
        }
        for why, (body, headers) in bad.items():
            status, _ = hooks.post(body, headers)
            assert status == 401, (why, status)
        assert hooks.post(data, hooks.headers(data, at=now - 290))[0] == 200
        assert len(bolt("seen")) == 6


# ---------------------------------------------------------------- the fake Telegram
def telegram_grammy_polls_presses_and_edits():
    """grammY: the Bot API's calls, errors and limits; long polling; every golden card is taken."""
    with FakeTelegram() as tg, Party("telegram") as party:
        ann = tg.user(71, "Ann")

        def call(method, token=tg.token, **args):
            return party("call", url=tg.url, token=token, method=method, args=args)

        def error(method, token=tg.token, **args):
            return party.refused("call", url=tg.url, token=token, method=method, args=args)
        assert call("getMe")["is_bot"] is True
        assert error("getMe", token="1:other")["error_code"] == 401
        card = golden("telegram", "waiting")
        posted = call("sendMessage", chat_id=ann.id, **card)
        assert tg.now(posted)["text"] == card["text"] == posted["text"]
        for path in sorted(glob.glob(GOLDEN + "/telegram/*.json")):
            fresh = golden("telegram", os.path.basename(path)[:-5])
            args = dict(fresh, chat_id=ann.id, message_id=posted["message_id"])
            if fresh != card:
                call("editMessageText", **args)
            assert tg.now(posted)["text"] == fresh["text"]
            again = error("editMessageText", **args)
            assert "message is not modified" in again["description"], again
            card = fresh
        assert error("sendMessage", chat_id=99, text="x")["error_code"] == 400
        tg.per_chat = 1
        for _ in range(3):
            try:
                call("sendMessage", chat_id=ann.id, text="x")
            except PartyError as e:
                limited = e.error
        tg.per_chat = 0
        assert limited["error_code"] == 429 and limited["parameters"]["retry_after"] == 1, limited
        assert not tg.violations, tg.violations
        for bad in (dict(text="x" * 4097), dict(text=""), dict(text="x", reply_markup={
                "inline_keyboard": [[{"text": "x", "callback_data": "x" * 65}]]})):
            assert error("sendMessage", chat_id=ann.id, **bad)["error_code"] == 400
        assert len(tg.violations) == 3
        tg.violations = []
        # Polling.
        assert party("poll", url=tg.url, token=tg.token)["username"] == tg.bot
        card = call("sendMessage", chat_id=ann.id, **golden("telegram", "waiting"))
        data = tg.button(card, "Approve")
        assert tg.press(ann, card, "Approve") == "taken"
        tg.wait_text(card, "taken: " + data)
        ann.says("because", reply_to=card)
        seen = wait_for("both", lambda: len(party("seen")) == 2 and party("seen"))
        assert seen[0]["data"] == data and seen[0]["from"]["id"] == ann.id, seen
        assert seen[0]["message"]["message_id"] == card["message_id"]
        assert seen[1]["text"] == "because"
        assert seen[1]["reply"]["message_id"] == card["message_id"]
        party("stop")


def telegram_grammy_takes_the_webhook_with_its_secret_only():
    with FakeTelegram() as tg, Party("telegram") as party:
        ann, secret = tg.user(71, "Ann"), "a-secret-of-the-webhook_0123456789"
        port = party("hook", url=tg.url, token=tg.token, secret=secret)
        card = party("call", url=tg.url, token=tg.token, method="sendMessage",
                     args=dict(golden("telegram", "waiting"), chat_id=ann.id))
        data = tg.button(card, "Reject")

        def deliver(headers, id):
            conn = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            body = json.dumps(dict(tg.query(ann, card, data), update_id=id))
            try:
                conn.request("POST", "/", body, dict({"Content-Type": "application/json"},
                                                     **headers))
                return conn.getresponse().status
            finally:
                conn.close()
        name = "X-Telegram-Bot-Api-Secret-Token"
        for headers in ({}, {name: ""}, {name: secret + "x"}, {"Authorization": secret}):
            assert deliver(headers, 1) == 401, headers
        assert party("seen") == []
        assert deliver({name: secret}, 2) == 200
        tg.wait_text(card, "taken: " + data)
        assert [s["data"] for s in party("seen")] == [data]


# ---------------------------------------------------------------- another Slack
@contextlib.contextmanager
def emulated():
    """The URL of another Slack, by the package `emulate`."""
    (port,) = free_ports(1)
    with open(CHATS + "/node_modules/emulate/package.json") as f:
        about = json.load(f)
    program = "%s/node_modules/emulate/%s" % (CHATS, about["bin"]["emulate"])
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([NODE, "-r", HERE + "/loopback.cjs", program, "start",
                                    "--service", "slack", "--port", str(port)], cwd=CHATS,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            def answers():
                assert process.poll() is None, "it ended with %s" % process.returncode
                try:
                    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                    conn.request("POST", "/api/api.test")
                    return conn.getresponse().read() is not None
                except OSError:
                    return False
            try:
                wait_for("the other Slack to answer", answers, 60, 0.1)
            except AssertionError:
                log.seek(0)
                raise AssertionError(log.read().decode()[-2000:])
            yield "http://127.0.0.1:%d/api" % port
        finally:
            process.terminate()
            process.wait()


def another_slack_takes_our_cards():
    """`emulate` stands in for Slack: a card is posted there, and written over when it is decided."""
    from chat import APPEND, policy
    from harness import Org, Runtime
    from mcp_client import McpWs, text_of
    from slack import add_channel, facts
    rt = Runtime(chat_may_be_local="true")
    atexit.register(rt.remove)
    with emulated() as url, Party("slack_web") as web:
        def call(method, **args):
            return web("call", url=url, token=TOKEN, method=method, args=args)
        channel = call("conversations.list")["channels"][0]["id"]
        org = Org(rt, files=False, scenario=True, policy=None)
        add_channel(org, types.SimpleNamespace(url=url), channels=[channel])
        wait_for("the channel to know its workspace", lambda: facts(org).get("team"), 30)
        org.apply(policy(["sl"]))
        org.sync()

        def card():
            found = [m for m in call("conversations.history", channel=channel)["messages"]
                     if approval in json.dumps(m)]
            return found[0] if found else None
        with McpWs(rt, org.credential) as agent:
            held = agent.call_start(APPEND, {"line": "one"})
            approval = org.wait_pending(timeout=30)
            first = wait_for("the card", card, 30)
            assert "append_line" in first["text"] and "waiting" in first["text"], first["text"]
            assert first["blocks"][0]["type"] == "header", first
            org.ann.approve(approval)
            assert text_of(held.wait()) == "appended"

            def over():
                now = card()
                return now if "done" in json.dumps(now["blocks"]) else None
            last = wait_for("the card to say so", over, 30)
        assert last["ts"] == first["ts"]
        assert [b for b in last["blocks"] if b["type"] == "actions"] == []
        assert len([m for m in call("conversations.history", channel=channel)["messages"]
                    if approval in json.dumps(m) and not m.get("thread_ts")]) <= 1
    rt.remove()


# ---------------------------------------------------------------- types
TYPES = '''import type { KnownBlock, ModalView } from "@slack/types";
import type { InlineKeyboardMarkup, LinkPreviewOptions, MessageEntity } from "grammy/types";
interface SlackMessage { text: string; blocks: KnownBlock[] }
interface TelegramMessage {
  text: string;
  entities: MessageEntity[];
  link_preview_options: LinkPreviewOptions;
  reply_markup: InlineKeyboardMarkup;
}
'''


def type_check(extra=None):
    """(exit code, words) of tsc over every golden card, or over `extra` instead."""
    lines, paths = [TYPES], sorted(glob.glob(GOLDEN + "/slack/*.json") +
                                   glob.glob(GOLDEN + "/telegram/*.json"))
    assert len(paths) > 30, paths
    for i, path in enumerate([] if extra else paths):
        channel, name = path.split("/")[-2], os.path.basename(path)[:-5]
        kind = "TelegramMessage" if channel == "telegram" else (
            "ModalView" if is_view(name) else "SlackMessage")
        with open(path) as f:
            lines.append("// %s %s\nexport const card%d: %s = %s;" % (channel, name, i, kind,
                                                                   f.read().strip()))
    lines.append(extra or "")
    # Beside node_modules, where the packages are found.
    with tempfile.NamedTemporaryFile("w", suffix=".ts", dir=CHATS) as f:
        f.write("\n".join(lines))
        f.flush()
        done = subprocess.run([NODE, CHATS + "/node_modules/typescript/bin/tsc", "--noEmit",
                               "--strict", "--target", "es2022", "--module", "nodenext",
                               "--moduleResolution", "nodenext", "--types", "node",
                               "--skipLibCheck", f.name], cwd=CHATS, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def every_golden_card_type_checks():
    code, words = type_check()
    assert code == 0, words[:3000]


def the_manifest_type_checks():
    """Scopes, events and settings are Slack's own; in the same run one of each that is not is found."""
    apps = [subprocess.run([BUILD + "/flopinio", "channel", "slack-manifest", "sl", "--org", "acme",
                            *flags], check=True, stdout=subprocess.PIPE, text=True).stdout
            for flags in ([], ["--public-url", "https://agents.example.com"])]
    for right, wrong in (("users:read", "users:look"), ("group_left", "group_lost")):
        assert '"%s"' % right in apps[0]
        apps.append(apps[0].replace('"%s"' % right, '"%s"' % wrong))
    code, words = type_check('import type { AppsManifestCreateArguments } from "@slack/web-api";\n' +
                             "\n".join('export const app%d: AppsManifestCreateArguments["manifest"] = '
                                       '%s;' % app for app in enumerate(apps)))
    assert code != 0 and words.count("error TS") == 2, words[:3000]
    assert "users:look" in words and "group_lost" in words, words[:3000]


def canary_a_card_of_another_shape_does_not():
    code, words = type_check('''
export const bad: SlackMessage = { text: "x", blocks: [
  { type: "section", text: { type: "plain_text", text: "x", verbatim: true } }] };
export const worse: MessageEntity[] = [{ type: "bolder", offset: 0, length: 1 }];''')
    assert code != 0 and "verbatim" in words and "bolder" in words, words[:3000]
    assert words.count("error TS") == 2, words[:3000]


CASES = [slack_web_api_posts_updates_and_opens,
         slack_socket_mode_connects_acknowledges_and_comes_again,
         slack_bolt_takes_what_we_sign_and_nothing_else,
         telegram_grammy_polls_presses_and_edits,
         telegram_grammy_takes_the_webhook_with_its_secret_only,
         another_slack_takes_our_cards,
         every_golden_card_type_checks,
         the_manifest_type_checks,
         canary_a_card_of_another_shape_does_not]


def main():
    passed = failed = 0
    wanted = sys.argv[1:]
    for case in CASES:
        if wanted and case.__name__ not in wanted:
            continue
        from_ = time.monotonic()
        try:
            case()
            passed += 1
            print("ok   %s (%.1f s)" % (case.__name__, time.monotonic() - from_), flush=True)
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print("FAIL %s" % case.__name__, flush=True)
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
