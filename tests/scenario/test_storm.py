"""Many people, many clicks, three channels and one moment: exactly one decision, nothing stuck, and
the same truth on every card afterwards."""
import random
import re
import time

from cases import case
from chat import APPEND, HOOK, LOCAL, deliver
from chat import add_channel as add_telegram
from cli import Cli
from fake_slack import FakeSlack, Hooks
from fake_telegram import FakeTelegram
from harness import LONG, Org, token_for, wait_for
from house import add_voters, both
from mcp_client import TASKS, McpHttp
from slack import OPS, add_channel, facts

ROUNDS = 1000 if LONG else 10
AT_ONCE = 10    # approvals that are open at a time: chats take a message a second
CLICKS, VOTERS, IN_TELEGRAM = 64, 8, 4
RULES = ((1, 1), (2, 1), (3, 2), (5, 3))  # approve, deny
DECIDED = re.compile(r"(approved|rejected)(;|$|\s*$)")


def policy():
    rules = ["  - name: a%d-d%d\n    tools: [%s]\n    effect: ask\n    when: args.line.startsWith("
             "'a%d-d%d ')\n    ask: {thresholds: [{approve: %d, deny: %d}], notify: [[sl, tg]]}\n" % (
                 a, d, APPEND, a, d, a, d) for a, d in RULES]
    return "version: 1\nrules:\n" + "".join(rules)


class Storm:
    def __init__(self, rt, sl, tg):
        self.rt, self.sl, self.tg = rt, sl, tg
        org = self.org = Org(rt, files=False, scenario=True, policy=None)
        add_channel(org, sl, channels=[sl.channel(OPS)])
        add_telegram(org, tg, secret={"webhook_secret": HOOK}, mode="webhook")
        self.hooks = Hooks(rt, "/hooks/slack/%s/sl" % org.name)
        self.path = "/hooks/telegram/%s/tg" % org.name
        self.voters = add_voters(org, VOTERS)
        self.tokens = [token_for(rt, name) for name in self.voters]
        self.slack, self.telegram = [], []
        for i, name in enumerate(self.voters):
            self.slack.append(sl.user("U1V%d" % i, name))
            self.link("slack", "T1HOME/U1V%d" % i, name)
            if i < IN_TELEGRAM:
                self.telegram.append(tg.user(800 + i, name))
                self.link("telegram", str(800 + i), name)
        wait_for("the channels to be there", lambda: facts(org).get("team") and tg.webhook)
        org.apply(policy())
        org.sync()
        self.cli = Cli(rt, org)
        self.agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
        self.random = random.Random(7)

    def link(self, kind, external, name):
        self.rt.sql("INSERT INTO chat_identity (organization_id, kind, external_id, person_id) "
                    "SELECT %s, %s, %s, person_id FROM person WHERE name = %s", self.org.id, kind,
                    external, name)

    # ---- one click
    def in_slack(self, i, verb, card, approval):
        element = self.sl.element(card, "Approve") or self.buttons[card["ts"]]
        element = dict(element, value=verb[0] + element["value"][1:])
        id, payload = self.sl.action_payload(self.slack[i], card, element)
        body = self.hooks.body(payload)
        self.hooks.post(body, self.hooks.headers(body), timeout=60)
        return self.sl.wait_answer(id, 60)

    def in_telegram(self, i, verb, card, approval):
        update = self.tg.query(self.telegram[i], card, verb[0] + self.data[card["message_id"]][1:])
        status = deliver(self.rt, self.path, dict(update, update_id=self.random.getrandbits(30)),
                         timeout=60)
        assert status == 200, status
        return self.tg.wait_answer(update["callback_query"]["id"], 60)

    def by_rest(self, i, verb, card, approval):
        body = {"verdict": verb}
        if verb == "approve":
            body["binding"] = self.binding
        status, said = self.rt.rest("POST", self.org.path("/approvals/%s/decision" % approval), body,
                                    self.tokens[i], raw=True, timeout=60)
        assert status in (200, 409), (status, said)
        return said["text"] if status == 200 else said["error"]["text"]

    def by_cli(self, i, verb, card, approval):
        said = self.cli("approvals", verb, approval, *(["--reason", "no"] if verb == "reject" else []),
                        token=self.tokens[i], status=None, timeout=60)
        return (said.out if said.status == 0 else said.err).strip().split("\n")[-1]

    def clicks(self, approval, in_slack, in_telegram):
        """CLICKS functions, each a click by somebody somewhere."""
        out = []
        for n in range(CLICKS):
            i = self.random.randrange(VOTERS)
            verb = self.random.choice(("approve", "approve", "reject", "withdraw"))
            way, card = self.in_slack, in_slack
            if n % 32 == 31:
                way, card = self.by_cli, None
            elif n % 3 == 1 and i < IN_TELEGRAM:
                way, card = self.in_telegram, in_telegram[i]
            elif n % 3 == 2:
                way, card = self.by_rest, None
            out.append(lambda w=way, a=(i, verb, card, approval): w(*a))
        return out

    # ---- a round
    def strike(self, approval, rule, in_slack, in_telegram):
        self.binding = self.org.binding(approval)
        said = both(*self.clicks(approval, in_slack, in_telegram))
        wrong = [s for s in said if not isinstance(s, str)]
        assert not wrong, wrong[:3]
        decided = [s for s in said if DECIDED.match(s)]
        kinds = self.org.kinds(approval)
        ends = kinds.count("approval.approved") + kinds.count("approval.rejected")
        assert len(decided) == ends <= 1, (decided, kinds)
        if not ends:  # withdrawn again: it must still be possible to decide it
            for i in range(VOTERS):
                if DECIDED.match(self.by_rest(i, "approve", None, approval)):
                    break
            else:
                raise AssertionError("it is stuck: %s" % self.org.approval(approval))
        self.check_votes(approval, rule)
        return not ends

    def check_votes(self, approval, rule):
        """Deny wins: what stands in the votes is what was decided, and no vote more."""
        votes = [r["verdict"] for r in self.rt.sql(
            "SELECT verdict FROM vote WHERE organization_id = %s AND approval_id = %s AND "
            "withdrawn_at IS NULL", self.org.id, approval)]
        yes, no = votes.count("approve"), votes.count("deny")
        kinds = self.org.kinds(approval)
        if "approval.approved" in kinds:
            assert yes == rule[0] and no < rule[1], (rule, votes)
        else:
            assert no == rule[1] and yes < rule[0], (rule, votes)
        assert kinds.count("approval.approved") + kinds.count("approval.rejected") == 1, kinds

    def batch(self, at):
        """AT_ONCE approvals are asked for, struck one after the other, and looked at."""
        rules = [RULES[(at + n) % len(RULES)] for n in range(AT_ONCE)]
        lines = ["a%d-d%d line %d" % (rules[n] + (at + n,)) for n in range(AT_ONCE)]
        for line in lines:
            self.agent.call(APPEND, {"line": line})
        ids = self.org.wait_pending(AT_ONCE, 60)
        wait_for("all cards to be known", lambda: self.rt.sql(
            "SELECT count(*) AS n FROM card_message WHERE organization_id = %s AND message IS NOT "
            "NULL AND approval_id = ANY (%s::uuid[])", self.org.id, ids)[0]["n"] ==
            AT_ONCE * (1 + IN_TELEGRAM), 120)
        cards = []
        self.buttons, self.data = {}, {}
        for approval, line in zip(ids, lines):
            card = self.sl.wait_message(OPS, line)
            chats = [self.tg.wait_message(u.id, approval) for u in self.telegram]
            self.buttons[card["ts"]] = self.sl.element(card, "Approve")
            self.data.update((c["message_id"], self.tg.button(c, "Approve")) for c in chats)
            cards.append((card, chats))
        left = [self.strike(*args) for args in zip(ids, rules, *zip(*cards))]
        ends = {}
        for approval in ids:
            row = self.org.wait_state(approval, "succeeded", "rejected", timeout=60)
            ends[approval] = "done" if row["state"] == "succeeded" else "rejected"
        # Votes are on open cards, too: a card that is over has no button any more.
        for approval, (card, chats) in zip(ids, cards):
            wait_for("the end of %s in Slack" % approval, lambda: self.sl.buttons(card) == [], 120)
            assert ends[approval] in self.sl.text(self.sl.now(card)), self.sl.now(card)
            for chat in chats:
                wait_for("its end in Telegram", lambda: self.tg.buttons(chat) == [], 120)
                assert ends[approval] in self.tg.now(chat)["text"], self.tg.now(chat)
        return list(ends.values()), sum(left)


@case(limit=14400 if LONG else 240, public_url="https://flopinio.example", **LOCAL)
def clicks_in_three_channels_are_one_decision(rt):
    """64 clicks at once by eight people, in Slack, Telegram, REST and the CLI: approve, reject,
    withdraw."""
    with FakeTelegram() as tg, FakeSlack() as sl:
        storm = Storm(rt, sl, tg)
        ends, left, start = [], 0, time.monotonic()
        for at in range(0, ROUNDS, AT_ONCE):
            more, open_ = storm.batch(at)
            ends += more
            left += open_
        assert len(ends) == ROUNDS and {"done", "rejected"} == set(ends), ends
        assert len(storm.org.effects()) == len(set(storm.org.effects())) == ends.count("done")
        print("  %d rounds of %d clicks in %.0f s: %d approved, %d rejected, %d of them decided by "
              "those who came afterwards" % (ROUNDS, CLICKS, time.monotonic() - start,
                                             ends.count("done"), ends.count("rejected"), left))
        storm.agent.close()
