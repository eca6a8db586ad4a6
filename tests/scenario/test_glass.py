"""Breaking the glass: one owner approves alone, with a second factor and a reason; all can see it,
and somebody else reviews it."""
import json

from cases import case
from cli import Cli
from harness import Org, refused
from house import code_of
from mcp_client import McpWs, text_of

APPEND = "s__append_line"


def policy(effect="ask", **ask):
    ask.setdefault("thresholds", [{"approve": 3}])
    rule = {"name": "writes", "tools": ["*"], "effect": effect, "reason": "never"}
    return json.dumps({"version": 1, "rules": [dict(rule, ask=ask) if effect == "ask" else rule]})


class Glass:
    """An organization with the owner `opal`, who has a second factor; a call that waits for three."""

    def __init__(self, rt, document=None, **more):
        self.rt, self.org = rt, Org(rt, files=False, scenario=True, own_people=True,
                                    policy=document or policy(), **more)
        self.opal = self.org.add_person("opal", "owner")
        self.auth = (self.opal.name, self.opal.passphrase)
        secret = rt.rest("POST", "/me/totp", {}, self.auth)["secret"]
        rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret)}, self.auth)
        self.secret, self.step = secret, 0
        self.agent = McpWs(rt, self.org.credential)
        self.call = self.agent.call_start(APPEND, {"line": "one"})
        self.approval = self.org.wait_pending()

    def path(self, what, approval=None):
        return self.org.path("/approvals/%s/%s" % (approval or self.approval, what))

    def body(self, **more):
        return dict({"reason": "the site is down", "binding": self.org.binding(self.approval)},
                    **more)

    def break_it(self, **more):
        """With the next code of the authenticator: each works once."""
        self.step += 1
        return self.rt.rest("POST", self.path("break-glass"), self.body(**more), self.auth,
                            code=code_of(self.secret, self.step))


@case()
def an_owner_alone_and_somebody_else_reviews(rt):
    g = Glass(rt)
    org = g.org
    said = g.break_it()
    assert said["state"] == "approved" and said["is_decided"], said
    assert text_of(g.call.wait()) == "appended" and org.effects() == ["one"]
    kinds = org.kinds(g.approval)
    assert "approval.glass_broken" in kinds and "approval.approved" in kinds, kinds
    event = org.audit(g.approval, "approval.glass_broken")[0]["data"]
    assert event["owners"] == g.opal.name and event["reason"] == "the site is down", event
    shown = org.approval(g.approval)
    assert shown["is_break_glass"] and shown["review_due_at"], shown
    assert "via break-glass: the site is down" in shown["card"]["text"], shown["card"]["text"]
    due = org.control("GET", "/approvals?review=true")["items"]
    assert [d["id"] for d in due] == [g.approval]
    incident = org.control("GET", "/incident?agent=bot")
    assert incident["break_glass"] == 1 and incident["effects"][0]["is_break_glass"], incident
    with refused(403, "neither broke the glass"):
        g.opal.rest("POST", g.path("review"), {"reason": "fine"})
    with refused(403):
        org.olga.rest("POST", g.path("review"), {})
    assert org.bob.rest("POST", g.path("review"), {"reason": "it was down"})["text"] == "reviewed"
    assert org.control("GET", "/approvals?review=true")["items"] == []
    with refused(409, "no review"):
        org.ann.rest("POST", g.path("review"), {})
    assert org.audit(g.approval, "approval.reviewed")[0]["data"]["person"] == org.bob.name


@case()
def nobody_else_and_not_without_all_of_it(rt):
    """No other role, no second factor, no reason, not the card that was shown, no operator."""
    g = Glass(rt)
    org = g.org
    for person in (org.olga, org.ann, org.adam):
        with refused(403):
            person.rest("POST", g.path("break-glass"), g.body())
    with refused(403, "second factor"):
        g.opal.rest("POST", g.path("break-glass"), g.body())
    with refused(403):
        org.control("POST", "/approvals/%s/break-glass" % g.approval, g.body())
    with refused(401):
        rt.rest("POST", g.path("break-glass"), g.body(), org.credential)
    assert len(org.audit(g.approval, "approval.refused")) >= 3
    with refused(409, "not the call that you were shown"):
        g.break_it(binding="00" * 32)
    assert org.state(g.approval) == "pending" and org.effects() == []


@case()
def not_without_a_reason(rt):
    g = Glass(rt)
    with refused(400, "reason"):
        g.break_it(reason="")
    assert g.org.state(g.approval) == "pending"


@case()
def a_glass_is_not_broken_by_a_click_where_approving_is_typed(rt):
    g = Glass(rt, policy(typed_confirmation=True))
    with refused(400, "typing exactly 'approve s__append_line'"):
        g.break_it(typed="approve")
    assert g.org.state(g.approval) == "pending" and g.org.effects() == []
    rt.sql("UPDATE person SET totp_last_step = 0 WHERE name = %s", g.opal.name)  # the code again
    said = Cli(rt, g.org)("approvals", "break-glass", g.approval, "--reason", "the site is down",
                          "--typed", "approve s__append_line", as_=g.opal,
                          secrets=[code_of(g.secret, 1)])
    assert "approved by you alone" in said.out, said
    assert text_of(g.call.wait()) == "appended"


@case()
def never_of_ones_own_agent(rt):
    """Also where the rule lets the owner of an agent approve."""
    g = Glass(rt, policy(owner_may_approve=True))
    g.org.control("PATCH", "/agents/bot", {"owner": g.opal.name})
    with refused(403, "you own the agent"):
        g.break_it()
    assert g.org.state(g.approval) == "pending" and g.org.effects() == []


@case()
def a_rejection_is_final(rt):
    g = Glass(rt)
    g.org.ann.reject(g.approval, "no")
    with refused(409):
        g.break_it()
    g.call.wait()
    assert g.org.effects() == []


def held_back(g):
    """The broken glass, approved while nobody waits: the agent has gone."""
    g.agent.drop()
    from harness import wait_for
    wait_for("the caller to be gone", lambda: g.org.row(g.approval)["wait_mode"] == "left")
    g.break_it()
    return McpWs(g.rt, g.org.credential)


@case()
def who_lost_the_role_broke_nothing(rt):
    """Between the decision and the dispatch."""
    g = Glass(rt)
    other = g.org.add_person("otto", "owner")
    agent = held_back(g)
    g.org.control("PATCH", "/people/" + g.opal.name, {"role": "admin"})
    g.org.sync()
    said = agent.call("approval_wait", {"approval_id": g.approval})
    assert said["isError"] and g.org.state(g.approval) == "voided", (said, other.name)
    assert g.org.effects() == []


@case()
def what_policy_denies_does_not_run(rt):
    g = Glass(rt)
    agent = held_back(g)
    g.org.apply(policy("deny"))
    g.org.sync()
    said = agent.call("approval_wait", {"approval_id": g.approval})
    assert said["isError"] and "never" in text_of(said), said
    assert g.org.state(g.approval) == "voided" and g.org.effects() == []
