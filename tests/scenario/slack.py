"""An organization with a Slack channel, for the tests."""
import json

from chat import APPEND, PLENTY, policy
from fake_slack import APP_TOKEN, SECRET, TOKEN, Hooks
from harness import Org, wait_for
from mcp_client import TASKS, McpWs

OPS = "C1OPS"


def add_channel(org, sl, name="sl", mode="http", secret=None, disclose=None, **config):
    secrets = {"token": TOKEN}
    secrets.update({"app_token": APP_TOKEN} if mode == "socket" else {"signing_secret": SECRET})
    secrets.update(secret or {})
    body = {"name": name, "kind": "slack", "secret": secrets,
            "config": dict({"base_url": sl.url, "mode": mode, "cards_per_minute": PLENTY},
                           **config)}
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


def linked_by_hand(house, person, user):
    """As if they had been linked while they were full members."""
    house.rt.sql("INSERT INTO chat_identity (organization_id, kind, external_id, person_id) SELECT "
                 "%s, 'slack', %s, person_id FROM person WHERE name = %s", house.org.id,
                 "T1HOME/" + user.id, person.name)
    return user


class SlackHouse:
    """org with the channel `sl` in C1OPS (channels=None: everybody's own chat); ann and bob linked;
    an agent that waits."""

    def __init__(self, rt, sl, thresholds=({"approve": 1},), people=("ann", "bob"),
                 channels=(OPS,), mode="http", notify=("sl",), secret=None, disclose=None, files=False,
                 batch=False, rate=None, own_people=False, **ask):
        self.rt, self.sl = rt, sl
        self.org = Org(rt, files=files, scenario=True, policy=None, own_people=own_people)
        config = {"cards_per_minute": rate} if rate else {}
        if channels:
            config["channels"] = [sl.channel(c) for c in channels]
        if batch:
            config["batch"] = True
        add_channel(self.org, sl, mode=mode, secret=secret, disclose=disclose, **config)
        self.hooks = Hooks(rt, "/hooks/slack/%s/sl" % self.org.name)
        sl.deliver = self.hooks if mode == "http" else sl.over_socket
        wait_for("the channel to know its workspace", lambda: facts(self.org).get("team"))
        for name in ("ann", "bob", "adam", "olga"):
            user = sl.user("U1" + name.upper(), name)
            setattr(self, name, user)
            if name in people:
                link(self.org, sl, getattr(self.org, name), user)
        if notify:
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


class ManyChannels:
    """org with channels sl00 (in C00), sl01 (in C01) and so on, as a workspace has them: each takes a
    message a second. A call whose text begins with "NN" has its card in CNN; "NN urgent" expires
    first. Ann is linked."""

    def __init__(self, rt, sl, count, org=None, tool=APPEND, argument="line"):
        self.rt, self.sl, self.count, self.tool, self.argument = rt, sl, count, tool, argument
        org = self.org = org or Org(rt, files=False, scenario=True, policy=None)
        self.hooks, rules = {}, []
        for i in range(count):
            add_channel(org, sl, "sl%02d" % i, channels=[sl.channel("C%02d" % i)])
            hooks = self.hooks["C%02d" % i] = Hooks(rt, "/hooks/slack/%s/sl%02d" % (org.name, i))
            hooks.timeout = 60
            for urgent, expires in ((" urgent", "1h"), ("", "4h")):
                rules.append({"name": "r%02d%s" % (i, urgent.strip()), "tools": [tool],
                              "effect": "ask", "when": 'args.%s.startsWith("%02d%s")' % (
                                  argument, i, urgent),
                              "ask": {"thresholds": [{"approve": 1}], "notify": ["sl%02d" % i],
                                      "expires": expires}})
        sl.deliver = lambda payload: self.hooks[payload["channel"]["id"]](payload)
        self.ann = sl.user("U1ANN", "ann")
        rt.sql("INSERT INTO chat_identity (organization_id, kind, external_id, person_id) SELECT %s, "
               "'slack', 'T1HOME/U1ANN', person_id FROM person WHERE name = %s ON CONFLICT DO NOTHING",
               org.id, org.ann.name)
        wait_for("the channels to know their workspace", lambda: all(
            c["facts"].get("team") for c in org.control("GET", "/channels")["items"]), 60)
        org.apply(json.dumps({"version": 1, "rules": rules}))
        org.sync()
        self.agent = McpWs(rt, org.credential, modern=True, caps=TASKS)

    def text(self, n, urgent=False):
        return "%02d%s n%06d" % (n % self.count, " urgent" if urgent else "", n)

    def ask(self, n, urgent=False, agent=None):
        """The n-th call, on its way; of an agent that has tasks, unless another is given."""
        return (agent or self.agent).call_start(self.tool, {self.argument: self.text(n, urgent)})

    def cards(self):
        with self.sl.lock:
            return [m for m in self.sl.messages.values() if not m["thread_ts"]]

    def known(self):
        return self.rt.sql("SELECT count(*) AS n FROM card_message WHERE organization_id = %s AND "
                           "message IS NOT NULL", self.org.id)[0]["n"]

    def close(self):
        """Nothing goes on behind the case."""
        self.agent.close()
        self.rt.sql("UPDATE channel SET is_enabled = false, revision = revision + 1 WHERE "
                    "organization_id = %s", self.org.id)
