"""Who decides, by which way: the authority matrix of the design as one table. Only an approver's own
account decides; everybody else is told why not, leaves no vote, and is in the audit where a person
of the organization was refused.

A cell is what is said; `+` in front: and the refusal is in the audit; None: there is no such account
on that way. The last column is done last: the same button, command or request then decides."""
import hashlib
import json
import os

from cases import case
from chat import APPEND
from chat import add_channel as add_telegram
from cli import Cli
from fake_mail import Smtp
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from harness import Org, new_token, wait_for
from mail import MAIL, Browser, address_of
from mail import add_channel as add_mail
from mcp_client import TASKS, McpError, McpHttp, text_of
from slack import OPS, Hooks, add_channel, facts

GROUP, ELSEWHERE = -100777, -100888
WHO = ("no role", "requester", "agent's owner", "other organization", "disabled", "deactivated",
       "guest", "stranger", "bot", "approver")
ROLE, OWNS, LINK = "+your role may not decide", "+own the agent", "not linked here"
ACCOUNT = ("deactivated", "guest", "another workspace", "a bot decides nothing")
REFUSALS = ("Permission denied", "Operation not permitted", "Network is unreachable")  # by sandbox
TABLE = {
    "Slack button": (ROLE, OWNS, OWNS, LINK, LINK) + ACCOUNT + ("approved",),
    "Slack modal": (ROLE, OWNS, OWNS, LINK, LINK) + ACCOUNT + ("rejected",),
    # Who may decide may stop, also what is their own.
    "Slack command": ("may not stop", "is stopped", "is stopped", LINK, LINK) + ACCOUNT +
                     ("is stopped",),
    "Telegram button": (ROLE, OWNS, OWNS, LINK, LINK, None, "not in this chat", LINK,
                        "not for you", "approved"),
    "Telegram reply": (ROLE, OWNS, OWNS, LINK, LINK, None, "not in this chat", LINK, "not for you",
                       "rejected"),
    "mail link": (ROLE, OWNS, OWNS, "not signed in", "not signed in", None, None,
                  "Nobody is signed in", "from another page", "approved by"),
    "CLI": ("there is no such approval", OWNS, OWNS, "no such organization", "is not known", None, None,
            "that is no token",
            "agent's credential", "approved"),
    "REST": ("+may not", OWNS, OWNS, "no such organization", "401", None, None, "401", "401",
             "approved"),
    "agent token": ("401", "401", "401", "401", "401", None, None, None, "401", "401"),
    "plugin": (None, "refused", "refused", None, None, None, None, None, None,
               "refused"),
}
# What each way leads to when the last column has had its turn.
ENDS = {"Slack button": "succeeded", "Slack modal": "rejected", "Telegram button": "succeeded",
        "Telegram reply": "rejected", "mail link": "succeeded", "CLI": "succeeded", "REST": "succeeded"}


def policy(**threshold):
    def rule(name, prefix, notify):
        return {"name": name, "tools": [APPEND], "effect": "ask",
                "when": 'args.line.startsWith("%s")' % prefix,
                "ask": {"thresholds": [dict(threshold, approve=1)], "notify": notify}}
    return json.dumps({"version": 1, "rules": [
        {"name": "reach", "tools": ["h__connect_loopback"], "effect": "allow", "standing": True},
        rule("in-slack", "Slack", ["sl"]), rule("in-telegram", "Telegram", ["tg"]),
        rule("by-mail", "mail", ["ml"]),
        rule("elsewhere", "", ["inbox"])]})


class Stage:
    """The organization, its two chats, and for each of WHO a person and their accounts."""

    last = WHO[-1]  # who decides, when all others have tried

    def __init__(self, rt, sl, tg, smtp):
        self.rt, self.sl, self.tg, self.smtp = rt, sl, tg, smtp
        org = self.org = Org(rt, files=False, scenario=True, policy=None)
        other = Org(rt, files=False, policy=None, own_people=True)
        add_channel(org, sl, channels=[sl.channel(OPS)])
        add_telegram(org, tg, chats=[tg.group(GROUP)])
        tg.group(ELSEWHERE)
        add_mail(org, smtp)
        sl.deliver = Hooks(rt, "/hooks/slack/%s/sl" % org.name)
        wait_for("the channel to know its workspace", lambda: facts(org).get("team"))
        rt.install_plugin("hostile")
        org.add_server("h", "hostile", {})
        people = {w: org.add_person(stem, role) for w, stem, role in (
            ("no role", "nora", "member"), ("requester", "rita", "approver"),
            ("agent's owner", "owen", "approver"), ("disabled", "dora", "approver"))}
        people.update({w: org.ann for w in ("deactivated", "guest", "bot", "approver")})
        people["other organization"] = other.ann
        self.people = people
        self.agents = {w: org.add_agent("of-" + people[w].name, people[w])[1] for w in (
            "no role", "requester", "agent's owner", "disabled", "approver")}
        self.agents["other organization"] = other.credential
        self.agents["bot"] = org.credential
        org.add_agent("spare", org.olga)
        self.tokens = {w: people[w].token for w in people if w != "disabled"}
        self.tokens.update({"disabled": people["disabled"].token, "bot": org.credential,
                            "stranger": "flp_" + "A" * 49})
        self.asker = "of-" + people["requester"].name
        self.cli = Cli(rt, org)
        self.slack, self.telegram = {}, {}
        for i, who in enumerate(WHO):
            more = {"deactivated": {"deleted": True}, "guest": {"is_restricted": True},
                    "stranger": {"is_stranger": True}, "bot": {"is_bot": True}}.get(who, {})
            self.slack[who] = sl.user("U1P%d" % i, who, **more)
            self.telegram[who] = tg.user(700 + i, who)
            # Linked as if they had been what they should be: what they are is what refuses them.
            place = other if who == "other organization" else org
            self.link(place, "slack", "T1HOME/U1P%d" % i, people.get(who, org.ann))
            if who != "stranger":
                self.link(place, "telegram", str(700 + i), people[who])
                self.link(place, "mail", address_of(people[who]), people[who])
        self.telegram["bot"].json["is_bot"] = True
        org.control("POST", "/people/%s/offboard" % people["disabled"].name, {})
        self.link(org, "slack", "T1HOME/U1P%d" % WHO.index("disabled"), people["disabled"])
        self.link(org, "telegram", str(700 + WHO.index("disabled")), people["disabled"])
        org.apply(policy())
        org.sync()

    def link(self, org, kind, external, person):
        self.rt.sql("INSERT INTO chat_identity (organization_id, kind, external_id, person_id) "
                    "SELECT %s, %s, %s, person_id FROM person WHERE name = %s ON CONFLICT DO NOTHING",
                    org.id, kind, external, person.name)

    # ---- a call that waits
    def call(self, who, tool, arguments):
        """By an agent of theirs. One that has just changed hands may be cut off once more."""
        for _ in range(10):
            agent = McpHttp(self.rt, self.agents[who], modern=True, caps=TASKS)
            try:
                return agent.call(tool, arguments)
            except McpError as e:
                if "not valid any more" not in str(e):
                    raise
        raise AssertionError("%s's agent is cut off again and again" % who)

    def ask(self, way):
        """Asked for by the requester's agent, which belongs to somebody else by now."""
        self.call("requester", APPEND, {"line": way})
        self.approval = self.org.wait_pending()
        self.give("agent's owner")
        self.card = None
        if way.startswith("Slack"):
            self.card = self.sl.wait_message(OPS, way)
            wait_for("its row", lambda: self.rt.sql("SELECT 1 FROM card_message WHERE message = %s",
                                                    self.card["ts"]))
        if way.startswith("Telegram"):
            self.card = self.tg.wait_message(GROUP, way)
            wait_for("its row", lambda: self.rt.sql(
                "SELECT 1 FROM card_message WHERE message = %s", str(self.card["message_id"])))
        if way == "mail link":
            self.mail = self.smtp.wait_message(address_of(self.people[self.last]), "append_line")
        if way == "Slack modal":
            self.view = dict(self.sl.open_modal(self.slack[self.last], self.card,
                                                "Reject, saying why"))

    def give(self, who):
        """The asking agent becomes theirs; its connections end within a moment, also fresh ones."""
        self.org.control("PATCH", "/agents/" + self.asker, {"owner": self.people[who].name})
        self.org.sync()

    # ---- the ways
    def slack_button(self, who):
        return self.sl.click(self.slack[who], self.card, "Approve")

    def slack_modal(self, who):
        """The approver's modal, submitted by whomever."""
        self.sl.views[self.view["id"]] = self.view
        return self.sl.submit(self.slack[who], self.view, "not on a Friday")

    def slack_command(self, who):
        return self.sl.command(self.slack[who], "stop spare")

    def press(self, who, button):
        card = self.card
        if who == "guest":  # the card's button, pressed in a group that nobody allowed
            card = dict(card, chat=self.tg.chat_json(ELSEWHERE))
        return self.tg.press(self.telegram[who], card, "", data=self.tg.button(self.card, button))

    def telegram_button(self, who):
        return self.press(who, "Approve")

    def telegram_reply(self, who):
        newest = max(m["message_id"] for m in self.tg.messages(GROUP))
        said = self.press(who, "Reject, saying why")
        if said:
            return said
        prompt = self.tg.wait_message(GROUP, "Why is it rejected", newest)
        wait_for("the question to be known", lambda: self.rt.sql(
            "SELECT 1 FROM chat_prompt WHERE message = %s", str(prompt["message_id"])))
        self.telegram[who].says("not on a Friday", chat=GROUP, reply_to=prompt)
        return self.tg.wait_message(GROUP, "", prompt["message_id"])["text"]

    def session(self, who):
        """Signed in as if the card had been mailed to them while they might still decide: the path of
        it, and a browser."""
        browser, token, person = Browser(self.rt), new_token("fls"), self.people[who]
        (card,) = self.rt.sql(
            "INSERT INTO card_message (organization_id, card_id, approval_id, channel_id, place, "
            "person_id, message, posted_at) SELECT organization_id, gen_random_uuid(), %s, "
            "channel_id, %s, (SELECT person_id FROM person WHERE name = %s), 'x', now() FROM channel "
            "WHERE organization_id = %s AND name = 'ml' ON CONFLICT (organization_id, "
            "approval_id, channel_id, place) DO UPDATE SET page = 0 RETURNING card_id", self.approval,
            address_of(person), person.name, self.org.id)
        path = "/review/%s/ml/%s" % (self.org.name, card["card_id"])
        if who != "other organization":  # theirs is not known in this one
            self.rt.sql("INSERT INTO mail_session (organization_id, token_hash, card_id, expires_at) "
                        "SELECT %s, %s, %s, now() + interval '1 hour'", self.org.id,
                        hashlib.sha256(token.encode()).digest(), card["card_id"])
        browser.cookies[("flopinio-review", path)] = token
        return path, browser

    def mail_link(self, who):
        browser = Browser(self.rt)
        if who == self.last:
            browser.go(self.mail.links[0])
            browser.press("Sign in")
            return browser.press("Approve").text
        if who == "bot":  # a scanner of mails, that looks and presses
            form = browser.go(self.mail.links[0]).form("Sign in")
            return browser.request("POST", form.action, form.fields, origin=None).text
        if who == "stranger":
            path = "/review/%s/ml/%s" % (self.org.name, self.rt.sql(
                "SELECT card_id FROM card_message WHERE approval_id = %s LIMIT 1",
                self.approval)[0]["card_id"])
        else:
            path, browser = self.session(who)
        browser.request("GET", path)
        return browser.request("POST", path, {
            "verdict": "approve", "binding": self.org.binding(self.approval)}).text

    def cli_(self, who):
        said = self.cli("approvals", "approve", self.approval, token=self.tokens[who], status=None)
        return said.err if said.status else said.out.strip().split("\n")[-1]

    def rest_by(self, token):
        status, body = self.rt.rest(
            "POST", self.org.path("/approvals/%s/decision" % self.approval),
            {"verdict": "approve", "binding": self.org.binding(self.approval)}, token, raw=True)
        return "%d %s" % (status, body.get("text") or body["error"]["text"])

    def rest(self, who):
        return self.rest_by(self.tokens[who])

    def agent_token(self, who):
        return self.rest_by(self.agents[who])

    def plugin(self, who):
        """Code of a plugin, called by an agent of theirs, tries to reach the API."""
        said = text_of(self.call(who, "h__connect_loopback", {"port": self.rt.port}))
        # Without root and on an old kernel the sandbox knows no TCP; the API wants a token then.
        is_refused = said in REFUSALS or (os.geteuid() != 0 and said == "it worked")
        return "refused: " + said if is_refused else said

    # ---- what came of it
    def votes(self):
        return self.rt.sql("SELECT p.name, v.verdict FROM vote v JOIN person p USING (person_id) "
                           "WHERE v.organization_id = %s AND v.approval_id = %s", self.org.id,
                           self.approval)

    def refusals(self):
        """In the audit, of anybody; by whom the newest one is."""
        return [leaf for leaf in self.org.audit()
                if leaf["kind"] in ("approval.refused", "authz.failed")]

    def stops(self):
        return [s for s in self.org.control("GET", "/stops")["items"] if s["state"] != "resuming"]


def cell(stage, way, who, wanted):
    """Tries it; what was said."""
    is_noted, text = wanted.startswith("+"), wanted.lstrip("+")
    before = stage.refusals()
    name = {"CLI": "cli_"}.get(way, way.lower().replace(" ", "_"))
    said = getattr(stage, name)(who)
    where = "%s, %s: %r" % (way, who, said)
    assert text in said, "%s instead of %r" % (where, text)
    fresh = stage.refusals()[len(before):]
    if is_noted:
        assert len(fresh) == 1, "%s: %d refusals in the audit" % (where, len(fresh))
        assert stage.people[who].name in json.dumps(fresh[0]) or \
            fresh[0]["kind"] == "authz.failed", (where, fresh)
    if way == "Slack command":
        stops = stage.stops()
        assert len(stops) == ("is stopped" in text), (where, stops)
        if stops:
            assert stops[0]["set_by"] == stage.people[who].name, (where, stops)
            stage.org.control("POST", "/stops/resume", {"scope": "agent", "name": "spare"})
    if who != stage.last or way not in ENDS:
        assert stage.org.state(stage.approval) == "pending", where
        assert stage.votes() == [], (where, stage.votes())
        assert stage.org.effects() == stage.effects, where
    return said


@case(limit=180, **MAIL)
def authority_matrix(rt):
    """Ten ways, ten kinds of people. It prints what each was told."""
    with FakeTelegram() as tg, FakeSlack() as sl, Smtp() as smtp:
        told = go_through(Stage(rt, sl, tg, smtp), WHO, TABLE)
        assert told > 70, told


def go_through(stage, people, table):
    """How many cells there were."""
    assert all(len(row) == len(people) for row in table.values())
    told = 0
    for way, row in table.items():
        stage.effects = stage.org.effects()
        stage.ask(way)
        for who, wanted in zip(people, row):
            if wanted is None:
                print("  %-16s %-19s -" % (way, who))
                continue
            said = cell(stage, way, who, wanted)
            told += 1
            at = max(0, said.find(wanted.lstrip("+")) - 20)
            print("  %-16s %-19s %s%s" % (way, who, "+ " if wanted.startswith("+") else "",
                                          " ".join(said[at:].split())[:80]))
        if way in ENDS:
            stage.org.wait_state(stage.approval, ENDS[way])
            verdict = "approve" if ENDS[way] == "succeeded" else "deny"
            assert stage.votes() == [{"name": stage.people[people[-1]].name, "verdict": verdict}], way
        else:
            stage.org.ann.reject(stage.approval, "no")
        stage.give("requester")
    return told


AWAY = ("early delegate", "former delegate", "their delegate", "delegate")
OTHERS = ("+for others to decide",) * 3
AWAY_TABLE = {way: OTHERS + (TABLE[way][-1],) for way in (
    "Slack button", "Slack modal", "Telegram button", "Telegram reply", "mail link", "CLI", "REST")}


class Away(Stage):
    """ann, whom every write asks, is away; for each of AWAY a person and their accounts."""

    last = AWAY[-1]

    def __init__(self, rt, sl, tg, smtp):
        super().__init__(rt, sl, tg, smtp)
        org = self.org
        for i, who in enumerate(AWAY):
            person = self.people[who] = org.add_person("away%d" % i, "approver")
            self.tokens[who] = person.token
            self.slack[who] = sl.user("U2P%d" % i, who)
            self.telegram[who] = tg.user(800 + i, who)
            self.link(org, "slack", "T1HOME/U2P%d" % i, person)
            self.link(org, "telegram", str(800 + i), person)
            self.link(org, "mail", address_of(person), person)
        early, former, theirs, delegate = (self.people[who] for who in AWAY)
        alone = org.add_person("alone", "approver", ["ops"])
        org.control("PATCH", "/groups/ops", {"members": [org.ann.name, alone.name]})
        self.away(org.ann, former)
        org.control("DELETE", "/people/%s/away" % org.ann.name)
        self.away(org.ann, delegate)
        self.away(delegate, theirs)
        self.away(alone, early, **{"from": "1d"})
        org.apply(policy(groups=["ops"]))
        org.sync()

    def away(self, person, delegate, **more):
        self.org.control("POST", "/people/%s/away" % person.name,
                         dict({"until": "7d", "delegate": delegate.name}, **more))


@case(limit=180, **MAIL)
def authority_matrix_of_delegates(rt):
    """Every way on which somebody could decide, and whoever is not the delegate of now."""
    with FakeTelegram() as tg, FakeSlack() as sl, Smtp() as smtp:
        assert go_through(Away(rt, sl, tg, smtp), AWAY, AWAY_TABLE) == 28
