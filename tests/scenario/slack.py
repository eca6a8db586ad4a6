"""An organization with a Slack channel, for the tests."""
from chat import APPEND, policy
from fake_slack import APP_TOKEN, SECRET, TOKEN, Hooks
from harness import Org, wait_for
from mcp_client import McpWs

OPS = "C1OPS"


def add_channel(org, sl, name="sl", mode="http", secret=None, disclose=None, **config):
    secrets = {"token": TOKEN}
    secrets.update({"app_token": APP_TOKEN} if mode == "socket" else {"signing_secret": SECRET})
    secrets.update(secret or {})
    body = {"name": name, "kind": "slack", "secret": secrets,
            "config": dict({"base_url": sl.url, "mode": mode}, **config)}
    if disclose:
        body["disclose"] = disclose
    return org.control("POST", "/channels", body)


def facts(org, name="sl"):
    items = org.control("GET", "/channels")["items"]
    return [c for c in items if c["name"] == name][0]["facts"]


def link(org, sl, person, user, channel="sl"):
    code = org.control("POST", "/people/%s/links" % person.name, {"channel": channel})["code"]
    said = sl.command(user, "link " + code)
    assert "here now" in said and person.name in said, said
    return user


class SlackHouse:
    """org with the channel `sl` in C1OPS (channels=None: everybody's own chat); ann and bob linked;
    an agent that waits."""

    def __init__(self, rt, sl, thresholds=({"approve": 1},), people=("ann", "bob"),
                 channels=(OPS,), mode="http", notify=("sl",), secret=None, disclose=None, files=False,
                 **ask):
        self.rt, self.sl = rt, sl
        self.org = Org(rt, files=files, scenario=True, policy=None)
        config = {}
        if channels:
            config["channels"] = [sl.channel(c) for c in channels]
        add_channel(self.org, sl, mode=mode, secret=secret, disclose=disclose, **config)
        self.hooks = Hooks(rt, "/hooks/slack/%s/sl" % self.org.name)
        sl.deliver = self.hooks if mode == "http" else sl.over_socket
        wait_for("the channel to know its workspace", lambda: facts(self.org).get("team"))
        for name in ("ann", "bob", "adam", "olga"):
            user = sl.user("U1" + name.upper(), name)
            setattr(self, name, user)
            if name in people:
                link(self.org, sl, getattr(self.org, name), user)
        self.org.apply(policy(notify, thresholds, **ask))
        self.org.sync()
        self.agent = McpWs(rt, self.org.credential)

    def ask(self, line="one", tool=APPEND, **more):
        before = {r["approval_id"] for r in self.org.rows()}
        if tool == APPEND or not more:
            more["line"] = line
        call = self.agent.call_start(tool, more)

        def look():
            fresh = [r["approval_id"] for r in self.org.rows()
                     if r["approval_id"] not in before and r["state"] == "pending"]
            return fresh[0] if fresh else None
        return call, wait_for("a held call", look)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.agent.close()
