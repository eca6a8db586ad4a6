"""What must not be possible: an agent, or whoever stands behind it, deciding its own call; another
organization's credentials seeing anything; a missing or broken plugin harming others."""
import http.client
import json
import os
import subprocess
import sys

from cases import Skip, case
from harness import UnixConnection, Org, Person, refused, token_for, unique, wait_for
from mcp_client import TASKS, Gone, McpError, McpHttp, McpStdio, McpWs, text_of

APPEND = "s__append_line"
HERE = os.path.dirname(os.path.abspath(__file__))


class Held:
    """A call that waits, of an agent whose owner may decide everybody else's calls."""

    def __init__(self, rt):
        self.rt = rt
        self.org = Org(rt, files=False, scenario=True, own_people=True)
        self.owner = self.org.add_person("owner", "approver", ["ops"])
        _, self.credential = self.org.add_agent("mine", self.owner)
        self.agent = McpWs(rt, self.credential, modern=True, caps=TASKS)
        self.task = self.agent.call(APPEND, {"line": "one"})
        self.id = self.org.wait_pending()
        self.path = self.org.path("/approvals/%s/decision" % self.id)

    def ask(self, auth=None, control=False, verdict="approve", **more):
        return self.rt.rest("POST", self.path, {"verdict": verdict}, auth, control, raw=True,
                            **more)


def way(fn):
    """A case in which the agent, or its owner, tries to decide. Nothing may come of it."""
    def attempt(rt):
        h = Held(rt)
        fn(h)
        assert h.org.state(h.id) == "pending", h.org.row(h.id)
        assert rt.sql("SELECT 1 FROM vote WHERE approval_id = %s", h.id) == []
        assert h.org.effects() == []
        kinds = h.org.kinds(h.id)
        assert set(kinds) <= {"approval.requested", "approval.refused"}, kinds
        # The canary: somebody else's vote does decide it.
        h.org.ann.approve(h.id)
        h.org.wait_state(h.id, "succeeded")
        h.agent.close()
    attempt.__name__ = "cannot_decide_" + fn.__name__
    attempt.__doc__ = fn.__doc__
    attempt.__module__ = fn.__module__
    return case()(attempt)


@way
def as_its_owner_with_a_token(h):
    """01: the person who owns the agent, though the role may decide."""
    status, said = h.ask(h.owner.token)
    assert status == 403, said
    assert "approval.refused" in h.org.kinds(h.id)


@way
def as_its_owner_with_the_passphrase(h):
    """02"""
    status, said = h.ask((h.owner.name, h.owner.passphrase))
    assert status == 403, said


@way
def as_its_owner_on_the_control_socket(h):
    """03"""
    for auth in (h.owner.token, (h.owner.name, h.owner.passphrase)):
        status, said = h.ask(auth, control=True)
        assert status == 403, said


@way
def as_who_was_given_the_agent_since(h):
    """An agent that changes hands while its call waits: neither the old owner nor the new one."""
    heir = h.org.add_person("heir", "approver", ["ops"])
    h.org.control("PATCH", "/agents/mine", {"owner": heir.name})
    for person in (heir, h.owner):
        status, said = h.ask(person.token)
        assert status == 403 and "own the agent" in str(said), said
        card = h.rt.rest("GET", h.org.path("/approvals/%s" % h.id), None, person.token)
        assert not card["may_decide"], card
    h.org.control("PATCH", "/agents/mine", {"owner": h.owner.name})


@way
def with_the_agent_credential(h):
    """04: on either listener, as a token or as a passphrase."""
    for control in (False, True):
        for auth in (h.credential, ("mine", h.credential), (h.owner.name, h.credential)):
            status, said = h.ask(auth, control)
            assert status == 401, (status, said)


@way
def as_the_operating_system_user_of_the_runtime(h):
    """05: whoever reaches the control socket is the operator, who decides nothing, also where
    operator_authority is `always`; nor settles, nor cancels."""
    status, said = h.ask(control=True)
    assert status == 403, (status, said)
    for rest in ("settle", "cancel"):
        status, said = h.rt.control("POST", h.org.path("/approvals/%s/%s" % (h.id, rest)),
                                    {"outcome": "succeeded", "reason": "x"}, raw=True)
        assert status == 403, (rest, status, said)


@way
def as_nobody(h):
    """06: without, and with nonsense for, a proof of identity."""
    for auth in (None, "flp_" + "A" * 49, "x", ("ann", ""), ("", "")):
        status, said = h.ask(auth)
        assert status == 401, (auth, status, said)


@way
def with_a_token_that_may_only_read(h):
    """07: of an approver, found somewhere: without the scope `decide`."""
    for scopes in (("read",), ("read", "admin")):
        status, said = h.ask(token_for(h.rt, h.org.ann.name, scopes=scopes))
        assert status == 403, (scopes, status, said)


@way
def with_a_token_that_is_over(h):
    """08: revoked, expired, or of a person who was switched off."""
    org, rt = h.org, h.rt
    token = token_for(rt, org.ann.name)
    for change, back in (("revoked_at = now()", "revoked_at = NULL"),
                         ("expires_at = now() - interval '1 second'",
                          "expires_at = now() + interval '1 hour'")):
        update = "UPDATE personal_token SET %s WHERE person_id = (SELECT person_id FROM person " \
                 "WHERE name = %%s)"
        rt.sql(update % change, org.ann.name)
        assert h.ask(token)[0] == 401
        rt.sql(update % back, org.ann.name)
    rt.sql("UPDATE person SET is_active = false WHERE name = %s", org.bob.name)
    assert h.ask(token_for(rt, org.bob.name))[0] == 401


@way
def as_a_member_or_an_auditor(h):
    """09: roles that do not decide; and the owner of the agent cannot make themselves another."""
    for role in ("member", "auditor"):
        person = h.org.add_person(role, role)
        status, said = h.ask(person.token)
        assert status == 403, (role, status, said)
    status, said = h.rt.rest("PATCH", h.org.path("/people/" + h.owner.name), {"role": "owner"},
                             h.owner.token, raw=True)
    assert status == 403, said


@way
def as_another_organization_s_approver(h):
    """10: at that organization's address and at their own."""
    other = Org(h.rt, files=False, own_people=True)
    status, said = h.ask(other.ann.token)
    assert status == 404, (status, said)
    status, said = h.rt.rest("POST", other.path("/approvals/%s/decision" % h.id),
                             {"verdict": "approve"}, other.ann.token, raw=True)
    assert status == 404, (status, said)


@way
def over_its_own_protocol(h):
    """11: by tools that it makes up, by answering for people, by updating its task."""
    for name in ("approve", "approvals__approve", "flopinio__decide", "approval_decide",
                 "approvals/approve", "s__approve"):
        try:
            h.agent.call(name, {"approval_id": h.id, "verdict": "approve"})
        except McpError as e:
            assert e.code == -32602, e
        else:
            raise AssertionError(name)
    h.agent.call("approval_status", {"approval_id": h.id, "verdict": "approve"})
    h.agent.request("tasks/update", {"taskId": h.task["taskId"], "inputResponses": {
        "approval": {"action": "accept", "content": {"verdict": "approve"}}}})
    for message in ({"jsonrpc": "2.0", "id": h.id, "result": {"action": "accept"}},
                    {"jsonrpc": "2.0", "id": 1, "result": {"action": "accept"}},
                    {"jsonrpc": "2.0", "method": "notifications/elicitation/complete",
                     "params": {"elicitationId": h.id}}):
        h.agent.send_text(json.dumps(message))
    try:
        h.agent.request("approvals/decide", {"approval": h.id, "verdict": "approve"})
    except McpError as e:
        assert e.code == -32601, e
    assert APPEND in h.agent.tools()


@way
def with_a_person_s_token_as_an_agent(h):
    """12: personal tokens open no MCP endpoint, agents' no API; through none of the doors."""
    for connect in (lambda t: McpWs(h.rt, t), lambda t: McpStdio(h.rt, t),
                    lambda t: McpHttp(h.rt, t)):
        try:
            connect(h.org.ann.token)
        except McpError as e:
            assert e.http == 401, e
        else:
            raise AssertionError("a personal token is no agent's")
    conn = http.client.HTTPConnection("127.0.0.1", h.rt.port, timeout=10)
    for path in ("/api/v1/../api/v1", "/mcp/../api/v1", "//api/v1", "/api/v1//"):
        conn.request("POST", path + h.path, json.dumps({"verdict": "approve"}),
                     {"Authorization": "Bearer " + h.credential,
                      "Content-Type": "application/json"})
        answer = conn.getresponse()
        answer.read()
        assert answer.status in (400, 401, 404), (path, answer.status)


@way
def from_a_browser_that_it_drives(h):
    """13: a page of another origin, in the browser of somebody who could."""
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        conn = http.client.HTTPConnection("127.0.0.1", h.rt.port, timeout=10)
        conn.request("POST", "/api/v1" + h.path, json.dumps({"verdict": "approve"}),
                     {"Authorization": "Bearer " + h.org.ann.token, "Origin": origin,
                      "Content-Type": "application/json"})
        answer = conn.getresponse()
        assert answer.status == 403, (origin, answer.status)
        conn.close()


@case()
def another_user_cannot_reach_the_control_socket_or_the_secrets(rt):
    """An agent under an operating-system user of its own."""
    if os.geteuid() != 0:
        raise Skip("only root can become another user")
    script = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(%r)
    sys.exit("the control socket lets everybody in")
except PermissionError:
    pass
for root, dirs, files in os.walk(%r):
    for name in files:
        try:
            open(os.path.join(root, name)).read()
        except PermissionError:
            continue
        sys.exit("everybody can read " + os.path.join(root, name))
try:
    os.listdir(%r)
    sys.exit("everybody can list the secrets")
except PermissionError:
    pass
""" % (rt.run_dir + "/control.sock", rt.data + "/postgres", rt.data + "/secrets")
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


@case()
def an_agent_under_the_runtime_s_user_is_called_not_isolated(rt):
    """It could reach keys and sockets: the card says so, and the audit."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
    assert org.row(approval)["is_isolated"] is False
    assert "isolated" in org.approval(approval)["card"]["text"].lower()
    assert org.audit(approval, "approval.requested")[0]["data"]["isolated"] is False


@case()
def an_agent_under_another_user_is_isolated(rt):
    if os.geteuid() != 0:
        raise Skip("only root can become another user")
    org = Org(rt, files=False, scenario=True)
    script = """
import os, sys
sys.path.insert(0, %r)
import mcp_client
os.setgid(65534); os.setuid(65534)
class rt: port = %d
agent = mcp_client.McpWs(rt, %r)
print("waiting", flush=True)
agent.call("s__append_line", {"line": "one"})
print("done", flush=True)
""" % (HERE, rt.port, org.credential)
    agent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        approval = org.wait_pending()
        assert org.row(approval)["is_isolated"] is True
        assert "not isolated" not in org.approval(approval)["card"]["text"].lower()
        org.ann.approve(approval)
        assert "done" in agent.stdout.read()
    finally:
        agent.kill()
        agent.wait()


# ---------------------------------------------------------------- other organizations
class Two:
    """An organization with a finished task, a waiting task and a waiting call; another one."""

    def __init__(self, rt):
        self.rt = rt
        self.mine = Org(rt, files=False, scenario=True, own_people=True, hold="100ms")
        self.other = Org(rt, files=False, scenario=True, own_people=True)
        tasks = McpHttp(rt, self.mine.credential, modern=True, caps=TASKS)
        done = tasks.call(APPEND, {"line": "done"})
        self.done = self.mine.wait_pending()
        self.mine.ann.approve(self.done)
        self.mine.wait_state(self.done, "succeeded")
        waits = tasks.call(APPEND, {"line": "waits"})
        self.waits = self.mine.wait_pending()
        self.tasks = [done["taskId"], waits["taskId"]]
        with McpWs(rt, self.mine.credential) as agent:
            agent.call(APPEND, {"line": "left"})
        self.left = [a for a in self.mine.wait_pending(2) if a != self.waits][0]
        self.ids = [self.done, self.waits, self.left]
        self.unknown = "01900000-0000-7000-8000-00000000beef"

    def unchanged(self):
        states = [self.mine.state(a) for a in self.ids]
        assert states == ["succeeded", "pending", "pending"], states
        assert self.mine.row(self.left)["wait_mode"] == "left"
        assert self.mine.row(self.done)["delivered_at"] is None
        assert self.mine.effects() == ["done"] and self.other.effects() == []


def outcome(ask):
    """What was answered, as something that can be compared."""
    try:
        return ask()
    except McpError as e:
        return (e.code, e.message, e.data, e.http)


@case()
def another_organization_s_agent_sees_unknown(rt):
    """The answer for somebody else's id is the answer for an id that nobody has."""
    two = Two(rt)
    strangers = [two.other.credential, two.mine.add_agent("second")[1]]
    for credential in strangers:
        with McpWs(rt, credential) as agent:
            for tool in ("approval_wait", "approval_status"):
                none = outcome(lambda: agent.call(tool, {"approval_id": two.unknown}))
                assert none[0] < 0 or "no such approval" in str(none), none
                for approval in two.ids:
                    seen = outcome(lambda: agent.call(tool, {"approval_id": approval}))
                    assert seen == none, (seen, none)
        agent = McpHttp(rt, credential, modern=True, caps=TASKS)
        for method in ("tasks/get", "tasks/cancel", "tasks/update"):
            more = {"inputResponses": {}} if method == "tasks/update" else {}
            none = outcome(lambda: agent.request(method, dict(more, taskId="A" * 22)))
            assert none[0] == -32602, none
            for task in two.tasks:
                seen = outcome(lambda: agent.request(method, dict(more, taskId=task)))
                assert seen == none, (method, seen, none)
        listen = agent.start("subscriptions/listen", {"notifications": {"taskIds": two.tasks}})
        acknowledged = listen.wait_note("notifications/subscriptions/acknowledged")
        assert not acknowledged["params"]["notifications"].get("taskIds"), acknowledged
        listen.drop()
    two.unchanged()


@case()
def another_organization_s_repeat_of_the_same_call_is_its_own(rt):
    two = Two(rt)
    with McpWs(rt, two.other.credential) as agent:
        agent.call_start(APPEND, {"line": "left"})
        fresh = two.other.wait_pending()
        assert fresh not in two.ids
    two.unchanged()


@case()
def another_organization_s_people_see_unknown(rt):
    two = Two(rt)
    person, mine, other = two.other.adam, two.mine, two.other
    none = rt.rest("GET", "/orgs/%s/approvals" % unique("none"), None, person.token, raw=True)
    assert none[0] == 404
    paths = [""] + ["/" + a for a in two.ids]
    for rest in paths:
        assert rt.rest("GET", mine.path("/approvals" + rest), None, person.token, raw=True) == none
    no_row = rt.rest("GET", other.path("/approvals/" + two.unknown), None, person.token, raw=True)
    assert no_row[0] == 404
    for approval in two.ids:
        assert rt.rest("GET", other.path("/approvals/" + approval), None, person.token,
                       raw=True) == no_row
        for what, body in (("decision", {"verdict": "approve"}), ("cancel", {"reason": "x"}),
                           ("settle", {"outcome": "succeeded", "reason": "x"})):
            for org in (mine, other):
                said = rt.rest("POST", org.path("/approvals/%s/%s" % (approval, what)), body,
                               person.token, raw=True)
                assert said[0] == 404, (what, said)
    for rest in ("", "/people", "/agents", "/tools", "/policy", "/audit", "/servers", "/groups",
                 "/stops", "/agents/bot", "/agents/bot/credentials"):
        said = rt.rest("GET", mine.path(rest), None, person.token, raw=True)
        assert said[0] == 404 and mine.id not in json.dumps(said[1]), (rest, said)
    two.unchanged()


@case()
def a_stolen_session_id_is_worth_nothing(rt):
    """A legacy session belongs to its credential."""
    org, other = Org(rt, files=False, scenario=True), Org(rt, files=False, scenario=True)
    mine = McpHttp(rt, org.credential)
    thief = McpHttp(rt, other.credential, initialize=False)
    thief.session = mine.session
    try:
        thief.request("tools/list")
    except McpError as e:
        assert e.http == 404, (e.http, e)
    else:
        raise AssertionError("the session served somebody else")
    thief.close()
    assert mine.tools()


# ---------------------------------------------------------------- credentials and changes
@case(limit=60)
def new_agents_connect_while_their_organization_changes(rt):
    """A look-up and a change at the same moment: nobody who is welcome is sent away."""
    org = Org(rt, files=False, scenario=True)
    first = McpWs(rt, org.credential)
    for i in range(25):
        _, credential = org.add_agent("a%d" % i)
        with McpWs(rt, credential) as agent:
            agent.request("ping")
    assert not first.is_gone.is_set(), first.why
    first.close()


@case(limit=60)
def a_credential_revoked_while_it_connects_ends(rt):
    """Also one whose look-up began before the revocation."""
    org = Org(rt, files=False, scenario=True)
    agents = []
    for i in range(15):
        credential_id, credential = org.add_credential()
        try:
            agents.append(McpWs(rt, credential))
        except (McpError, Gone):
            pass
        org.revoke_credential(credential_id)
    for agent in agents:
        assert agent.is_gone.wait(2), "a revoked credential's connection is open"


# ---------------------------------------------------------------- plugins
@case()
def a_plugin_that_is_not_there(rt):
    """Said when the server is added; its absence later costs its own calls only."""
    org = Org(rt, files=False, scenario=True)
    made = org.control("POST", "/servers", {"name": "x", "plugin": "nothing", "config": {}})
    assert "no plugin nothing" in made["note"], made
    for i, name in enumerate(("a/b", "../files", "", "A")):
        status, said = org.control("POST", "/servers", {"name": "y%d" % i, "plugin": name,
                                                        "config": {}}, raw=True)
        assert status == 400 or said.get("note"), (name, status, said)
    with McpWs(rt, org.credential) as agent:
        assert APPEND in agent.tools()
        try:
            agent.call("x__y", {})
        except McpError as e:
            assert e.code == -32602
        call = agent.call_start(APPEND, {"line": "one"})
        org.ann.approve(org.wait_pending())
        assert text_of(call.wait()) == "appended"


@case()
def plugins_of_another_kind_are_refused_with_a_sentence(rt):
    org = Org(rt, files=False)
    for way_, words in (("MAJOR", "ABI"), ("MAGIC", "plugin"), ("NO_SYMBOL", "flopinio_plugin"),
                        ("DIES_LOADING", ""), ("SCHEMA", "schema")):
        name = "bad-" + way_.lower().replace("_", "-")
        rt.install_plugin(name, "bad_" + way_)
        made = org.control("POST", "/servers", {"name": name, "plugin": name, "config": {}})
        assert made["note"] and words.lower() in made["note"].lower(), made
        assert made["new"] == 0
    assert org.control("GET", "/tools")["items"] == []


@case()
def a_configuration_that_the_plugin_refuses(rt):
    """Its tools can be described; who adds it is told, a call says why it cannot run, and does not."""
    org = Org(rt, files=False)
    org.add_server("s", "scenario", {},
                   note="the plugin did not open: root must be the path of a folder")
    org.sync()
    with McpWs(rt, org.credential) as agent:
        result = outcome(lambda: agent.call("s__look", {"line": ""}))
        assert "root must be the path of a folder" in str(result), result
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        assert call.wait()["isError"]
        assert org.state(approval) == "failed", org.row(approval)
        assert "not sent" in org.row(approval)["outcome"], org.row(approval)


@case()
def arguments_that_canonical_form_would_change_are_refused(rt):
    """What is stored, shown, digested and sent is one text: numbers that it would change, names
    that stand twice and NUL do not get that far."""
    org = Org(rt, files=False, scenario=True)
    with McpWs(rt, org.credential) as agent:
        for i, arguments in enumerate(('{"line":"x","bytes":9007199254740993}',
                                       '{"line":"x","bytes":1e400}', '{"line":"x","line":"y"}',
                                       '{"line":"a\\u0000b"}', '{"line":"\\ud800"}')):
            agent.send_text('{"jsonrpc":"2.0","id":"r%d","method":"tools/call","params":{"name":'
                            '"%s","arguments":%s}}' % (i, APPEND, arguments))
            # Where the text cannot be read as JSON the answer has no id.
            (said,) = wait_for("an answer to " + arguments, lambda: [
                n for n in agent.notes if "method" not in n][i:])
            assert said.get("error", {}).get("code") in (-32602, -32600, -32700) or \
                said["result"]["isError"], said
            assert said.get("id") in (None, "r%d" % i), said
        assert org.rows() == []
        agent.request("ping")
