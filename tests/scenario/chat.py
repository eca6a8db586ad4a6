"""An organization with a Telegram channel, for the tests of chats."""
import contextlib
import http.client
import json

from harness import Org, wait_for
from mcp_client import McpError, McpWs

APPEND = "s__append_line"
LOCAL = dict(chat_may_be_local="true")
PLENTY = 10000  # cards a minute: nothing is folded, but in the tests of that
HOOK = "a-secret-of-the-webhook_0123456789"
HEADER = "X-Telegram-Bot-Api-Secret-Token"


def deliver(rt, path, body, headers=((HEADER, HOOK),), method="POST", timeout=10):
    """One request as Telegram sends it: the status."""
    conn = http.client.HTTPConnection("127.0.0.1", rt.port, timeout=timeout)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    try:
        conn.putrequest(method, path)
        conn.putheader("Content-Length", str(len(data)))
        conn.putheader("Content-Type", "application/json")
        for name, value in headers:
            conn.putheader(name, value)
        conn.endheaders(data)
        answer = conn.getresponse()
        answer.read()
        return answer.status
    finally:
        conn.close()


def policy(notify=("tg",), thresholds=({"approve": 1},), **ask):
    ask.update(thresholds=list(thresholds), notify=list(notify))
    return json.dumps({"version": 1, "rules": [
        {"name": "reads", "tools": ["*"], "effect": "allow"},
        {"name": "writes", "tools": ["*"], "effect": "ask", "ask": ask}]})


def add_channel(org, tg, name="tg", secret=None, disclose=None, **config):
    config = dict({"base_url": tg.url, "cards_per_minute": PLENTY}, **config)
    body = {"name": name, "kind": "telegram", "config": config,
            "secret": dict({"token": tg.token}, **(secret or {}))}
    if disclose:
        body["disclose"] = disclose
    return org.control("POST", "/channels", body)


def link(org, tg, person, user, channel="tg"):
    """As the operator hands it out: a code, that the person sends to the bot."""
    code = org.control("POST", "/people/%s/links" % person.name, {"channel": channel})["code"]
    newest = max([m["message_id"] for m in tg.messages(user.id)] or [0])
    user.says("/start " + code)
    said = tg.wait_message(user.id, "here now", newest)
    assert person.name in said["text"], said
    return user


class House:
    """org with the channel `tg`; ann and bob linked (users 71 and 72); an agent that waits."""

    def __init__(self, rt, tg, thresholds=({"approve": 1},), notify=("tg",), people=("ann", "bob"),
                 chats=None, secret=None, disclose=None, mode=None, files=False, batch=False,
                 rate=None, **ask):
        self.rt, self.tg = rt, tg
        self.org = Org(rt, files=files, scenario=not files, policy=None)
        config = {"cards_per_minute": rate} if rate else {}
        if chats:
            config["chats"] = chats
        if mode:
            config["mode"] = mode
        if batch:
            config["batch"] = True
        add_channel(self.org, tg, secret=secret, disclose=disclose, **config)
        self.users = {}
        for i, name in enumerate(("ann", "bob", "adam", "olga")):
            user = self.users[name] = tg.user(71 + i, name.capitalize())
            setattr(self, name, user)
            if name in people:
                link(self.org, tg, getattr(self.org, name), user)
        self.org.apply(policy(notify, thresholds, **ask))
        self.org.sync()
        self.agent = McpWs(rt, self.org.credential)

    def ask(self, line="one", tool=APPEND, arguments=None):
        """A write that is held: (the call, the approval's id)."""
        before = {r["approval_id"] for r in self.org.rows()}
        call = self.agent.call_start(tool, arguments or {"line": line})

        def held():
            return [r["approval_id"] for r in self.org.rows()
                    if r["approval_id"] not in before and r["state"] == "pending"]
        return call, wait_for("the call to be held", held)[0]

    @contextlib.contextmanager
    def agent_is_told(self, text):
        """The block's answer is a refusal with this text."""
        try:
            yield
        except McpError as e:
            assert text in str(e), e
        else:
            raise AssertionError("it was not refused")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.agent.close()
        self.org.control("PATCH", "/channels/tg", {"is_enabled": False})
