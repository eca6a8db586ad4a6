"""Grants: calls like one that was shown run without asking, for a while and so many times; and all
that must not run by one."""
import json

from cases import case
from cli import Cli
from harness import Org, refused, token_for, wait_for
from house import both, code_of
from mcp_client import McpWs, text_of

APPEND = "s__append_line"


def policy(*thresholds, name="writes", **ask):
    ask["thresholds"] = list(thresholds) or [{"approve": 1}]
    return json.dumps({"version": 1, "rules": [
        {"name": name, "tools": ["*"], "effect": "ask", "ask": ask}]})


def grant(person, approval, uses=5, for_="1h", **more):
    org = person.org
    body = dict({"approval": approval, "binding": org.binding(approval), "for": for_,
                 "uses": uses}, **more)
    return person.rest("POST", org.path("/grants"), body)


class Granted:
    """adam has let calls like {"line": "one"} run unasked; the first was approved by ann."""

    def __init__(self, rt, document=None, arguments=None, org=None, **more):
        self.org = org or Org(rt, files=False, scenario=True, policy=document or policy())
        self.rt = rt
        self.arguments = arguments or {"line": "one"}
        self.agent = McpWs(rt, self.org.credential)
        call = self.agent.call_start(APPEND, self.arguments)
        self.approval = self.org.wait_pending()
        self.made = grant(self.org.adam, self.approval, **more)
        self.org.ann.approve(self.approval)
        assert text_of(call.wait()) == "appended"
        self.org.sync()

    def runs(self, arguments=None):
        assert text_of(self.agent.call(APPEND, arguments or self.arguments)) == "appended"
        row = self.org.rows()[-1]
        assert row["grant_id"] == self.made["id"] and row["state"] == "succeeded", row
        return row

    def asks(self, why=None, arguments=None):
        """It waits for people; then it is rejected, so that nothing is left behind."""
        call = self.agent.call_start(APPEND, arguments or self.arguments)
        approval = self.org.wait_pending()
        row = self.org.row(approval)
        assert row["grant_id"] is None and row["dispatched_at"] is None, row
        text = self.org.approval(approval)["card"]["text"]
        assert why is None or why in text, text
        self.org.bob.reject(approval, "not now", may_ask_again=True)
        assert call.wait()["isError"]

    def state(self):
        return next(g for g in self.org.adam.rest("GET", self.org.path("/grants"))["items"]
                    if g["id"] == self.made["id"])


def hold_back(g):
    """Calls it while the plugin of its worker is busy: it waits for its turn, approved."""
    org = g.org
    g.agent.call_start(APPEND, {"line": "busy", "gate": "busy"})
    busy = org.wait_pending()
    org.ann.approve(busy)
    org.wait_state(busy, "dispatched")
    return g.agent.call_start(APPEND, g.arguments)


@case()
def the_same_call_runs_so_many_times_and_then_asks(rt):
    g = Granted(rt, uses=2)
    row = g.runs()
    assert row["decided_by"] == g.org.adam.name and row["rule"] == "writes", row
    assert g.org.kinds(row["approval_id"])[0] == "approval.permitted"
    leaf = g.org.audit(row["approval_id"], "approval.permitted")[0]
    assert leaf["data"]["grant"] == g.made["id"] and leaf["data"]["granted_by"] == g.org.adam.name
    shown = g.org.approval(row["approval_id"])
    assert shown["grant"] == g.made["id"] and shown["votes"][0]["via"] == "grant", shown
    assert g.state()["used"] == 1 and g.state()["state"] == "in force"
    g.runs()
    assert g.state()["used"] == 2 and g.state()["state"] == "used up"
    g.asks("the grant of %s is used up" % g.org.adam.name)
    assert g.org.effects() == ["one"] * 3 and g.state()["used"] == 2
    kinds = [e["kind"] for e in g.org.audit(kind="grant.")]
    assert kinds == ["grant.created"], kinds


@case()
def other_arguments_ask(rt):
    """Near misses of a call that was granted whole: none runs."""
    g = Granted(rt)
    for arguments in ({"line": "One"}, {"line": "one "}, {"line": "on\u0435"}, {"line": ""},
                      {"line": "one\u200b"}, {"line": "one", "gate": "g"},
                      {"line": "one", "gate": ""}):
        g.asks("was for other arguments", arguments)
    assert g.org.effects() == ["one"] and g.state()["used"] == 0
    g.runs()


@case()
def pinned_arguments_stay_and_no_others_come(rt):
    g = Granted(rt, arguments={"line": "one", "gate": ""}, pins=["/gate"])
    g.runs({"line": "two", "gate": ""})
    g.asks("was for other values", {"line": "two", "gate": "x"})
    g.asks("was for other values", {"line": "two"})
    assert g.org.effects() == ["one", "two"]


@case()
def another_agent_and_another_tool_ask(rt):
    g = Granted(rt)
    _, credential = g.org.add_agent("second")
    with McpWs(rt, credential) as second:
        second.call_start(APPEND, g.arguments)
        g.org.wait_pending()
        second.call_start("s__typed", g.arguments)
        g.org.wait_pending(2)
    assert g.org.effects() == ["one"] and g.state()["used"] == 0


@case(limit=60)
def many_at_once_use_it_exactly_so_often(rt):
    """64 calls at the same moment over several connections, five uses: five run."""
    g = Granted(rt, uses=5)
    agents = [McpWs(rt, g.org.credential) for _ in range(8)]
    calls = []
    both(*[lambda a=a: calls.extend(a.call_start(APPEND, g.arguments) for _ in range(8))
           for a in agents])
    wait_for("five to run", lambda: len(g.org.effects()) == 6)
    rows = g.org.wait_pending(20)  # the limit of an agent; more are told so
    assert len(rows) == 20
    wait_for("the others to be told", lambda: sum(c.is_done() for c in calls) == 64 - 20)
    assert g.org.effects() == ["one"] * 6 and g.state()["used"] == 5
    assert len([r for r in g.org.rows() if r["grant_id"]]) == 5
    for agent in agents:
        agent.close()


@case()
def a_revoked_grant_lets_nothing_run(rt):
    g = Granted(rt)
    g.org.ann.rest("DELETE", g.org.path("/grants/" + g.made["id"]))  # who may decide may revoke
    with refused(404):
        g.org.ann.rest("DELETE", g.org.path("/grants/" + g.made["id"]))
    g.org.sync()
    g.asks("was revoked")
    assert g.state()["state"] == "revoked" and g.state()["revoked_by"] == g.org.ann.name
    assert [e["kind"] for e in g.org.audit(kind="grant.")] == ["grant.created", "grant.revoked"]


@case()
def revoked_between_intake_and_dispatch_it_is_voided(rt):
    """The row is approved by the grant already; the marker looks again."""
    g = Granted(rt)
    call = hold_back(g)
    row = wait_for("the approved row", lambda: [r for r in g.org.rows() if r["grant_id"]])[0]
    assert row["state"] in ("approved", "claimed"), row
    g.org.adam.rest("DELETE", g.org.path("/grants/" + g.made["id"]))
    g.org.open_gate("busy")
    said = call.wait()
    assert said["isError"] and "grant" in text_of(said), said
    assert g.org.state(row["approval_id"]) == "voided" and g.org.effects().count("one") == 1


@case()
def the_author_left(rt):
    """Offboarding revokes the grants, and withdraws the votes of what was not sent yet."""
    org = Org(rt, files=False, scenario=True, own_people=True, policy=policy())
    g = Granted(rt, org=org)
    said = org.control("POST", "/people/%s/offboard" % org.adam.name, {})
    assert said["grants_revoked"] == 1, said
    org.sync()
    g.asks("was revoked")
    assert org.effects() == ["one"]


@case()
def the_author_lost_the_role(rt):
    """The grant is in force still; the vote behind it is not worth anything any more."""
    g = Granted(rt)
    for role in ("member", "auditor"):
        g.org.control("PATCH", "/people/" + g.org.adam.name, {"role": role})
        g.org.sync()
        g.asks("whose approval alone is not enough any more")
    g.org.control("PATCH", "/people/" + g.org.adam.name, {"role": "admin"})
    g.org.sync()
    g.runs()


@case()
def the_author_became_the_agents_owner(rt):
    g = Granted(rt)
    g.org.control("PATCH", "/agents/bot", {"owner": g.org.adam.name})
    g.agent = McpWs(rt, g.org.credential)
    g.org.sync()
    g.asks("whose approval alone is not enough any more")
    assert g.org.effects() == ["one"]


@case()
def the_policy_denies_or_asks_otherwise(rt):
    g = Granted(rt)
    g.org.apply(policy({"approve": 1}, expires="2h"))
    g.org.sync()
    g.asks("when the policy asked otherwise")
    g.org.apply(policy({"approve": 2}))
    g.org.sync()
    g.asks("when the policy asked otherwise")
    g.org.apply(policy(name="others"))
    g.org.sync()
    g.asks("when the policy asked otherwise")
    g.org.apply(json.dumps({"version": 1, "rules": [
        {"name": "writes", "tools": ["*"], "effect": "deny", "reason": "not today"}]}))
    g.org.sync()
    said = g.agent.call(APPEND, g.arguments)
    assert said["isError"] and "not today" in text_of(said), said
    assert g.org.effects() == ["one"] and g.state()["used"] == 0
    g.org.apply(policy())
    g.org.sync()
    g.runs()


@case()
def the_server_or_the_tool_changed(rt):
    g = Granted(rt)
    g.org.control("PATCH", "/servers/s", {"environment": "production"})
    g.org.sync()
    g.asks("as it was configured before")
    try:
        rt.install_plugin("scenario", "scenario_changed")
        g.org.control("POST", "/servers/s/refresh")
        g.org.accept(APPEND)
        g.org.sync()
        g.asks("for another definition of the tool")
    finally:
        rt.install_plugin("scenario")
    assert g.org.effects() == ["one"]


@case()
def its_time_is_over(rt):
    g = Granted(rt)
    rt.sql("UPDATE call_grant SET expires_at = now() WHERE grant_id = %s", g.made["id"])
    g.asks("is used up")  # the workers' snapshot does not know it yet; the database does
    rt.sql("UPDATE organization SET revision = revision + 1, changed_at = clock_timestamp() WHERE "
           "organization_id = %s", g.org.id)
    g.org.sync()
    g.asks("is over")
    assert g.org.effects() == ["one"] and g.state()["used"] == 0


@case()
def who_may_make_one(rt):
    """An administrator whose one approval is enough; nobody who owns the agent, no agent, not the
    operator, nothing without the digest of what was shown."""
    org = Org(rt, files=False, scenario=True, policy=policy({"approve": 1}))
    _, credential = org.add_agent("adams", org.adam)
    with McpWs(rt, org.credential) as agent, McpWs(rt, credential) as adams:
        agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        for person in (org.ann, org.bob, org.olga):
            with refused(403):
                grant(person, approval)
        with refused(403, "only a person"):
            org.control("POST", "/grants", {"approval": approval, "binding": org.binding(approval),
                                            "for": "1h", "uses": 1})
        with refused(401):
            rt.rest("POST", org.path("/grants"), {}, org.credential)
        with refused(403):  # a token that may not decide
            rt.rest("POST", org.path("/grants"), {}, token_for(rt, org.adam.name, scopes=("read",)))
        with refused(400, "binding"):
            grant(org.adam, approval, binding=None)
        with refused(409, "not the call that you were shown"):
            grant(org.adam, approval, binding="00" * 32)
        for wrong in (dict(uses=0), dict(uses=1001), dict(uses="5"), dict(for_="25h"),
                      dict(for_="1s"), dict(pins=["line"]), dict(pins=["/nothing"]),
                      dict(pins="/line"), dict(more=1)):
            with refused(400):
                grant(org.adam, approval, **wrong)
        adams.call_start(APPEND, {"line": "mine"})
        mine = next(a for a in org.wait_pending(2) if a != approval)
        with refused(403, "you own the agent"):
            grant(org.adam, mine)
        refusals = org.audit(mine, "approval.refused")
        assert refusals and refusals[0]["data"]["what"] == "grant", refusals
        org.ann.reject(approval, "no")
        with refused(409, "rejected"):
            grant(org.adam, approval)
    assert rt.sql("SELECT 1 FROM call_grant WHERE organization_id = %s", org.id) == []


@case()
def one_approver_must_be_enough(rt):
    """Two of three, a group that one is not in, a second factor that was not proved."""
    for document, why in ((policy({"approve": 2}), "1 of 2"),
                          (policy({"approve": 1, "groups": ["ops"]}), None),
                          (policy({"approve": 1}, second_factor=True), "second factor")):
        org = Org(rt, files=False, scenario=True, policy=document)
        with McpWs(rt, org.credential) as agent:
            agent.call_start(APPEND, {"line": "one"})
            with refused(403, why):
                grant(org.adam, org.wait_pending())


@case()
def a_second_factor_that_was_proved_counts(rt):
    org = Org(rt, files=False, scenario=True, own_people=True,
              policy=policy({"approve": 1}, second_factor=True))
    auth = (org.adam.name, org.adam.passphrase)
    secret = rt.rest("POST", "/me/totp", {}, auth)["secret"]
    rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret)}, auth)
    with McpWs(rt, org.credential) as agent:
        agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        rt.rest("POST", org.path("/grants"),
                {"approval": approval, "binding": org.binding(approval), "for": "1h", "uses": 1},
                auth, code=code_of(secret, 1))
        org.sync()
        with McpWs(rt, org.credential) as second:
            assert text_of(second.call(APPEND, {"line": "one"})) == "appended"
        assert org.effects() == ["one"]


@case()
def a_stop_is_stronger(rt):
    g = Granted(rt)
    g.org.control("POST", "/stops", {"scope": "tool", "name": APPEND, "reason": "halt"})
    said = g.agent.call(APPEND, g.arguments)
    assert said["isError"] and "halt" in text_of(said), said
    g.org.control("POST", "/stops/resume", {"scope": "tool", "name": APPEND})
    g.org.sync()
    g.runs()
    assert g.state()["used"] == 1


@case()
def a_rejection_is_stronger(rt):
    """Somebody said no to the very same call: it is answered from the record, and uses nothing."""
    org = Org(rt, files=False, scenario=True, policy=policy())
    with McpWs(rt, org.credential) as agent:
        calls = [agent.call_start(APPEND, {"line": "one"}) for _ in range(2)]
        one, two = org.wait_pending(2)
        made = grant(org.adam, one)
        org.ann.reject(two, "never")
        org.sync()
        said = agent.call(APPEND, {"line": "one"})
        assert said["isError"] and "never" in text_of(said), said
        org.bob.reject(one, "nor this")
        assert all(c.wait()["isError"] for c in calls)
    used = rt.sql("SELECT used FROM call_grant WHERE grant_id = %s", made["id"])
    assert org.effects() == [] and used == [{"used": 0}] and len(org.rows()) == 2


@case()
def a_row_that_names_a_grant_without_its_vote_runs_nothing(rt):
    """The marker counts the votes again: a grant alone is no approval."""
    g = Granted(rt)
    g.org.is_edited = True
    call = hold_back(g)
    row = wait_for("the approved row", lambda: [r for r in g.org.rows() if r["grant_id"]])[0]
    rt.sql("DELETE FROM vote WHERE approval_id = %s", row["approval_id"])
    g.org.open_gate("busy")
    assert call.wait()["isError"]
    assert g.org.state(row["approval_id"]) == "voided"


@case()
def by_the_command_line(rt):
    """The card is shown, a person signs in, and what was granted is listed and revoked."""
    org = Org(rt, files=False, scenario=True, policy=policy())
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        create = ("grant", "create", "--from", approval[-8:], "--for", "1h", "--uses")
        assert "only a person" in cli(*create, "2", status=3).err
        assert "number" in cli(*create, "two", token=org.adam.token, status=2).err
        cli(*create, "2", token=org.ann.token, status=3)
        said = cli(*create, "2", "--pin", "/line", token=org.adam.token)
        assert "line: one" in said.out and "run without asking, for 1h or 2 times" in said.out, said
        made = cli("grant", "list", "--json").json["items"][0]
        assert made["pins"] == ["/line"] and made["uses"] == 2 and made["by"] == org.adam.name
        assert "in force" in cli("grant", "list").out
        org.ann.approve(approval)
        call.wait()
        org.sync()
        assert text_of(agent.call(APPEND, {"line": "one"})) == "appended"
        assert "revoked" in cli("grant", "revoke", made["id"], token=org.ann.token).out
        assert "no such grant" in cli("grant", "revoke", made["id"], token=org.ann.token,
                                      status=4).err
