"""Between approval and dispatch: what was approved is what runs, and only while everything that
allowed it still holds. Each case approves a call that waits for its agent, changes one thing, and
lets the agent come for it."""
from cases import case
from harness import Org, wait_for
from mcp_client import McpWs, text_of

APPEND = "s__append_line"
ASK = """version: 1
rules:
  - name: writes
    tools: ["*"]
    effect: ask
    ask:
      thresholds: [{%s}]
"""


class Approved:
    """A call that ann has approved and that has not been sent: its caller was told "pending"."""

    def __init__(self, rt, tool=APPEND, arguments=None, org=None, who=("ann",), **more):
        more.setdefault("scenario", True)
        self.org = org or Org(rt, files=tool.startswith("files"), **more)
        self.tool, self.arguments = tool, arguments or {"line": "one"}
        self.asked_with, hasty = self.org.add_credential(hold="100ms")
        with McpWs(rt, hasty) as agent:
            assert "still pending" in text_of(agent.call(tool, self.arguments))
        self.id = self.org.wait_pending()
        self.agent = McpWs(rt, self.org.credential)
        for name in who:
            getattr(self.org, name).approve(self.id)
        assert self.org.state(self.id) == "approved"

    def collect(self):
        """The agent comes for it; what it is told."""
        result = self.agent.call("approval_wait", {"approval_id": self.id})
        self.agent.close()
        return result

    def voided(self, why):
        """It must be voided for this reason, with nothing done."""
        result = self.collect()
        org = self.org
        assert result["isError"] and "a check failed before it ran" in text_of(result), result
        assert why in text_of(result), text_of(result)
        row = org.row(self.id)
        assert row["state"] == "voided" and why in row["reason"], row
        assert row["dispatched_at"] is None and row["dispatch_number"] is None
        assert org.effects() == []
        kinds = org.kinds(self.id)
        assert "approval.voided" in kinds and "approval.dispatched" not in kinds, kinds


@case()
def nothing_changed_so_it_runs(rt):
    """The canary of all that follow."""
    a = Approved(rt)
    assert text_of(a.collect()) == "appended" and a.org.effects() == ["one"]


@case()
def stale_definition(rt):
    """The tool says another thing of itself than what was approved."""
    a = Approved(rt)
    try:
        rt.install_plugin("scenario", "scenario_changed")
        said = a.org.control("POST", "/servers/s/refresh")
        assert said["changed"] == 1, said
        tool = a.org.control("GET", "/tools/" + APPEND)
        assert tool["state"] == "changed"
        a.voided("definition is not the one that was approved")
        assert "tool.changed" in [e["kind"] for e in a.org.audit(kind="tool.")]
    finally:
        rt.install_plugin("scenario")


@case()
def stale_definition_that_was_accepted_since(rt):
    """Somebody accepted the new definition: the approval was for the old one."""
    a = Approved(rt)
    try:
        rt.install_plugin("scenario", "scenario_changed")
        a.org.control("POST", "/servers/s/refresh")
        a.org.accept(APPEND)
        a.org.sync()
        a.voided("definition is not the one that was approved")
    finally:
        rt.install_plugin("scenario")


@case()
def a_definition_that_nobody_asked_about_is_noticed_by_the_process(rt):
    """The plugin was replaced on the disk and its process started anew: it is not called."""
    a = Approved(rt)
    try:
        rt.install_plugin("scenario", "scenario_changed")
        result = a.collect()
        assert result["isError"], result
        assert a.org.effects() == []
        assert a.org.state(a.id) in ("failed", "voided"), a.org.row(a.id)
        wait_for("the registry to ask", lambda: a.org.control("GET", "/tools/" + APPEND)["state"]
                 == "changed")
    finally:
        rt.install_plugin("scenario")


@case()
def quarantined_tool(rt):
    a = Approved(rt)
    a.org.control("POST", "/tools/%s/quarantine" % APPEND, {})
    a.voided("definition is not the one that was approved")


@case()
def disabled_server(rt):
    a = Approved(rt)
    a.org.control("PATCH", "/servers/s", {"is_enabled": False})
    a.voided("definition is not the one that was approved")


@case()
def server_in_another_folder(rt):
    """The same arguments would do another thing there; also when the card's words are others."""
    for change in ({"environment": "production"}, {"account": "somebody"},
                   {"config": {"root": "/var/tmp"}}):
        a = Approved(rt)
        said = a.org.control("PATCH", "/servers/s", change)
        assert said["same"] > 0 and not said["changed"], said
        a.voided("not configured any more as it was")


@case()
def server_refreshed_or_off_and_on_again_is_as_it_was(rt):
    a = Approved(rt)
    a.org.control("POST", "/servers/s/refresh")
    a.org.control("PATCH", "/servers/s", {"is_enabled": False})
    a.org.control("PATCH", "/servers/s", {"is_enabled": True})
    a.org.sync()
    assert text_of(a.collect()) == "appended"


@case()
def policy_tightened_to_deny(rt):
    a = Approved(rt)
    a.org.apply("""version: 1
rules:
  - {name: no, tools: [s__append_line], effect: deny, reason: appending is over}
""")
    a.voided("appending is over")


@case()
def policy_tightened_with_a_long_reason_that_is_not_ascii(rt):
    """Wherever it is cut, the database must take it: else the call would be tried for ever."""
    for reason in ("\u62d2" * 98, "n" + "\u62d2" * 98, "no" + "\u62d2" * 98):
        a = Approved(rt)
        a.org.apply("""version: 1
rules:
  - {name: no, tools: [s__append_line], effect: deny, reason: %s}
""" % reason)
        a.voided("\u62d2" * 20)


@case()
def policy_tightened_to_more_votes(rt):
    a = Approved(rt)
    a.org.apply(ASK % "approve: 2")
    a.voided("the votes are not enough")


@case()
def policy_changed_and_the_votes_still_enough(rt):
    a = Approved(rt, who=("ann",))
    a.org.apply(ASK % "approve: 1, groups: [ops]")
    assert text_of(a.collect()) == "appended"
    assert a.org.row(a.id)["policy_version"] == 1  # as evidence of the day it was asked
    assert a.org.effects() == ["one"]


@case()
def policy_is_gone(rt):
    """A document that a restored or edited database cannot load denies."""
    a = Approved(rt)
    rt.sql("UPDATE policy SET document = 'rules: [' WHERE organization_id = %s", a.org.id)
    rt.sql("UPDATE organization SET revision = revision + 1, changed_at = clock_timestamp() "
           "WHERE organization_id = %s", a.org.id)
    a.org.sync()
    a.voided("")


@case()
def approver_lost_the_role(rt):
    a = Approved(rt, own_people=True)
    a.org.control("PATCH", "/people/" + a.org.ann.name, {"role": "member"})
    a.voided("the votes are not enough")


@case()
def approver_left_the_group(rt):
    a = Approved(rt, own_people=True, policy=ASK % "approve: 1, groups: [ops]")
    a.org.control("PATCH", "/groups/ops", {"members": [a.org.bob.name]})
    a.voided("the votes are not enough")


@case()
def approver_was_offboarded(rt):
    a = Approved(rt, own_people=True)
    said = a.org.control("POST", "/people/%s/offboard" % a.org.ann.name, {})
    assert said["votes_withdrawn"] == 1, said
    a.voided("the votes are not enough")


@case()
def approver_was_given_the_agent(rt):
    """Who owns the agent now is no judge of it either, whoever owned it when it asked."""
    a = Approved(rt, own_people=True)
    a.org.control("PATCH", "/agents/bot", {"owner": a.org.ann.name})
    wait_for("the connection to end", a.agent.is_gone.is_set)
    a.agent = McpWs(rt, a.org.credential)
    a.voided("the votes are not enough")


@case()
def agent_was_frozen(rt):
    a = Approved(rt)
    a.org.control("PATCH", "/agents/bot", {"state": "frozen"})
    wait_for("the connection to end", a.agent.is_gone.is_set)
    # Nobody can come for it now: it stays, visible, and runs for nobody.
    assert a.org.state(a.id) == "approved" and a.org.effects() == []
    a.org.control("PATCH", "/agents/bot", {"state": "active"})
    a.agent = McpWs(rt, a.org.credential)
    assert text_of(a.collect()) == "appended"


@case()
def credential_was_revoked(rt):
    """Another credential of the same agent may collect; the call was asked for under this one."""
    a = Approved(rt)
    a.org.revoke_credential(a.asked_with)
    a.voided("credential was revoked")


# ---- the target
def write(rt, **more):
    return Approved(rt, "files__write", dict({"path": "a.txt", "content": "mine\n"}, **more),
                    scenario=False)


def target_changed(a, left):
    result = a.collect()
    org = a.org
    assert result["isError"] and "chang" in text_of(result), result
    assert {n: org.read(n) for n in org.files()} == left, org.files()
    assert org.state(a.id) == "failed"


@case()
def target_file_is_as_it_was(rt):
    org = Org(rt)
    org.write("a.txt", "old\n")
    a = Approved(rt, "files__write", {"path": "a.txt", "content": "mine\n", "overwrite": True},
                 org=org)
    assert "sha256:" in org.row(a.id)["precondition"]
    assert not a.collect().get("isError")
    assert org.read("a.txt") == "mine\n"


@case()
def target_file_changed_after_approval(rt):
    """0 writes: what a person saw is not there any more."""
    org = Org(rt)
    org.write("a.txt", "old\n")
    a = Approved(rt, "files__write", {"path": "a.txt", "content": "mine\n", "overwrite": True},
                 org=org)
    org.write("a.txt", "somebody else's\n")
    target_changed(a, {"a.txt": "somebody else's\n"})


@case()
def target_file_appeared_after_approval(rt):
    a = write(rt)
    assert a.org.row(a.id)["precondition"] == "absent"
    a.org.write("a.txt", "somebody else's\n")
    target_changed(a, {"a.txt": "somebody else's\n"})


@case()
def deleted_file_changed_after_approval(rt):
    org = Org(rt)
    org.write("a.txt", "worthless\n")
    a = Approved(rt, "files__delete", {"path": "a.txt"}, org=org, who=("ann", "bob"))
    org.write("a.txt", "precious\n")
    target_changed(a, {"a.txt": "precious\n"})


# ---- somebody with the database in their hands
def edited(rt, column, value, **more):
    a = Approved(rt, **more)
    rt.sql("UPDATE approval SET %s = %s WHERE approval_id = %%s" % (column, value), a.id)
    return a


def tampered(a, why):
    a.voided(why)
    assert "approval.tampered" in a.org.kinds(a.id), a.org.kinds(a.id)


@case()
def edited_arguments_are_found_by_their_digest(rt):
    """The ciphertext of another call of the same agent, put in the place of the approved one."""
    org = Org(rt, files=False, scenario=True)
    a = Approved(rt, org=org)
    b = Approved(rt, arguments={"line": "worse"}, org=org)
    rt.sql("UPDATE approval SET arguments = (SELECT arguments FROM approval WHERE approval_id = %s)"
           " WHERE approval_id = %s", b.id, a.id)
    tampered(a, "does not open")


@case()
def edited_tool_is_found_by_the_digest(rt):
    """The name that the server has for it stands in the definition, whose digest is bound."""
    a = edited(rt, "tool_name", "'typed'")
    result = a.collect()
    assert result["isError"] and a.org.state(a.id) in ("failed", "voided"), result
    assert a.org.effects() == []


@case()
def edited_published_name_is_found_by_the_digest(rt):
    tampered(edited(rt, "tool", "'s__typed'"), "does not match its digest")


@case()
def edited_agent_is_found_by_the_digest(rt):
    org = Org(rt, files=False, scenario=True)
    org.add_agent("other")
    a = Approved(rt, org=org)
    rt.sql("UPDATE approval SET agent_id = (SELECT agent_id FROM agent WHERE organization_id = %s "
           "AND name = 'other') WHERE approval_id = %s", org.id, a.id)
    rt.sql("UPDATE approval SET wait_mode = 'task', task_id = 'edited' WHERE approval_id = %s", a.id)
    org.wait_state(a.id, "voided")
    assert org.effects() == [] and "approval.tampered" in org.kinds(a.id)
    a.agent.close()


@case()
def edited_precondition_is_found_by_the_digest(rt):
    org = Org(rt)
    org.write("a.txt", "old\n")
    a = Approved(rt, "files__write", {"path": "a.txt", "content": "mine\n", "overwrite": True},
                 org=org)
    org.write("a.txt", "other\n")
    rt.sql("UPDATE approval SET precondition = NULL WHERE approval_id = %s", a.id)
    tampered(a, "does not match its digest")
    assert org.read("a.txt") == "other\n"


@case()
def edited_digest_alone_is_found(rt):
    tampered(edited(rt, "binding_digest", "sha256('x')"), "does not match its digest")


@case()
def a_state_set_to_approved_by_hand_does_not_run(rt):
    """Votes are counted again before the call is sent."""
    org = Org(rt, files=False, scenario=True)
    org.is_edited = True
    with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
        agent.call(APPEND, {"line": "one"})
    approval = org.wait_pending()
    agent = McpWs(rt, org.credential)
    rt.sql("UPDATE approval SET state = 'approved', decided_by = 'ann' WHERE approval_id = %s",
           approval)
    result = agent.call("approval_wait", {"approval_id": approval})
    assert "the votes are not enough" in text_of(result), result
    assert org.effects() == []
    agent.close()


@case()
def what_the_state_table_does_not_have_the_database_refuses(rt):
    """Also for whoever is superuser: nothing leads back from dispatched or from an end."""
    import psycopg2
    a = Approved(rt)
    a.collect()
    for state in ("pending", "approved", "claimed", "dispatched", "unknown", "failed"):
        try:
            rt.sql("UPDATE approval SET state = %s WHERE approval_id = %s", state, a.id)
        except psycopg2.errors.CheckViolation:
            continue
        raise AssertionError("from succeeded to %s" % state)


@case()
def expired_in_the_meantime(rt):
    a = Approved(rt)
    rt.configure(sweep_time="10s")
    rt.sql("UPDATE approval SET expires_at = now() - interval '1 second' WHERE approval_id = %s",
           a.id)
    result = a.collect()
    assert "expired" in text_of(result) and a.org.state(a.id) == "expired"
    assert a.org.effects() == []
