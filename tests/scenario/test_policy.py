"""Policy documents and tool pins with the real runtime: what is applied decides, what is wrong never
is, and what changed is held back until somebody has looked at it."""
import json
import os
import shutil

from cases import case
from harness import BUILD, POLICY, Org, refused, unique, wait_for
from mcp_client import McpError, McpWs, text_of

BASE = """version: 1
rules:
  - name: reads
    tools: [files__read, files__list]
    effect: allow
  - name: small
    tools: [files__write]
    when: size(args.content) <= 5
    effect: ask
  - name: no-secrets
    tools: [files__write]
    when: args.path.matches('secret')
    effect: deny
    reason: secrets are not written here
  - name: writes
    tools: [files__write]
    effect: ask
"""


def test_call(org, tool, arguments, document=None, agent="bot", **more):
    body = {"call": dict({"tool": tool, "agent": agent, "arguments": arguments}, **more)}
    if document:
        body["document"] = document
    return org.control("POST", "/policy/test", body)


def texts(findings, severity=None):
    return " | ".join(f["text"] for f in findings if not severity or f["severity"] == severity)


@case()
def the_first_rule_that_matches_decides(rt):
    org = Org(rt, policy=BASE)
    for tool, arguments, effect, rule in (
            ("files__read", {"path": "a"}, "allow", "reads"),
            ("files__write", {"path": "a", "content": "1234"}, "ask", "small"),
            ("files__write", {"path": "secret", "content": "1234"}, "ask", "small"),
            ("files__write", {"path": "secret", "content": "123456"}, "deny", "no-secrets"),
            ("files__write", {"path": "a", "content": "123456"}, "ask", "writes")):
        said = test_call(org, tool, arguments)
        assert (said["effect"], said["rule"]) == (effect, rule), (arguments, said)
    said = test_call(org, "files__delete", {"path": "a"})
    assert said["effect"] == "deny" and not said["rule"], said
    # An argument that is not there has no answer, and that is a denial.
    said = test_call(org, "files__write", {"path": "a"})
    assert said["effect"] == "deny", said
    said = test_call(org, "files__read", {"path": "a"}, agent="bto")
    assert "there is no agent 'bto'" in said["explanation"], said
    for wrong, text in (({"agnt": "bot"}, "'agnt' is not known"), ({"agent": 1}, "'agent'")):
        with refused(400, text):
            test_call(org, "files__read", {"path": "a"}, **wrong)
    with McpWs(rt, org.credential) as agent:
        told = agent.call("files__delete", {"path": "a"})
        assert told["isError"] and "rule" in text_of(told), told
        told = agent.call("files__write", {"path": "a secret", "content": "123456"})
        assert told["isError"] and "secrets are not written here" in text_of(told), told
    assert org.approvals() == []
    denied = org.audit(kind="call.denied")
    assert len(denied) == 2 and denied[0]["data"]["why"] == "policy", denied


@case()
def a_document_that_is_wrong_leaves_the_running_one(rt):
    org = Org(rt, policy=BASE)
    before = org.control("GET", "/policy")
    wrong = {
        "not: [closed": None,
        "version: 1\nrules:\n  - {name: a, tols: ['*'], effect: allow}\n": "tools",
        "version: 1\nrules:\n  - {name: a, tools: ['*'], effect: perhaps}\n": "effect",
        "version: 1\nrules:\n  - {name: a, tools: ['*'], effect: ask, when: 'args.x +'}\n": "when",
        "version: 1\nrules:\n  - {name: a, tools: ['*'], effect: ask, when: 'nobody.knows'}\n":
            "nobody",
        "version: 1\nrules:\n  - {name: a, tools: ['*'], effect: allow, standing: true}\n": "*",
        "version: 1\nrules:\n  - {name: a, tools: [x], effect: ask, ask: {expires: 8d}}\n": "7d",
        "version: 1\nrules:\n  - {name: a, tools: [x], effect: ask, ask: {thresholds: "
        "[{approve: 1, groups: [nobody]}]}}\n": "nobody",
        "version: 1\nrules:\n  - {name: a, tools: [x], effect: ask, ask: {thresholds: "
        "[{approve: 9}]}}\n": None,
        "version: 1\nrules:\n  - {name: a, tools: [x], effect: ask, ask: {notify: [pager]}}\n":
            "pager",
    }
    for document, word in wrong.items():
        status, said = org.control("POST", "/policy", {"document": document}, raw=True)
        assert status == 400, (document, status, said)
        text = json.dumps(said)
        assert word is None or word in text, (document, text)
        assert org.control("GET", "/policy") == before
    with McpWs(rt, org.credential) as agent:
        org.write("a.txt", "x")
        assert not agent.call("files__read", {"path": "a.txt"}).get("isError")


@case()
def without_a_policy_everything_is_denied(rt):
    org = Org(rt, policy=None)
    org.write("a.txt", "x")
    with McpWs(rt, org.credential) as agent:
        told = agent.call("files__read", {"path": "a.txt"})
        assert told["isError"] and "polic" in text_of(told), told
        assert org.audit(kind="call.denied")
        org.apply(POLICY)
        wait_for("the policy to be in force",
                 lambda: not agent.call("files__read", {"path": "a.txt"}).get("isError"), 5)


@case()
def versions_diffs_and_lost_races(rt):
    org = Org(rt, policy=BASE)
    first = org.control("GET", "/policy")["version"]
    said = org.apply(BASE.replace("<= 5", "<= 6"), dry_run=True)
    assert "rule 2 'small'" in said["diff"] and "<= 6" in said["diff"], said
    assert org.control("GET", "/policy")["version"] == first
    said = org.apply(BASE.replace("<= 5", "<= 6"), expected=first, note="a little more")
    assert said["version"] == first + 1, said
    with refused(409):
        org.apply(BASE, expected=first)
    versions = org.control("GET", "/policy/versions")["items"]
    assert [v["version"] for v in versions][:2] == [first + 1, first], versions
    assert versions[0]["note"] == "a little more"
    assert "<= 5" in org.control("GET", "/policy?version=%d" % first)["document"]
    applied = org.audit(kind="policy.")
    assert len(applied) == 2, applied


@case()
def what_can_never_happen_is_found(rt):
    org = Org(rt, policy=BASE)
    said = org.control("POST", "/policy/check", {"document": """version: 1
rules:
  - name: everything
    tools: ["*"]
    effect: ask
  - name: hidden
    tools: [files__write]
    effect: deny
"""})
    assert "hidden" in json.dumps(said["findings"]), said
    said = org.apply(BASE.replace("args.path.matches", "args.paht.matches"), dry_run=True)
    assert "paht" in texts(said["findings"], "warning"), said
    said = org.control("POST", "/policy/check")
    assert "files__delete" in json.dumps(said["findings"]), "a tool without a rule is not named"


@case()
def a_standing_rule_lets_one_named_write_run(rt):
    org = Org(rt, policy="""version: 1
rules:
  - name: drafts
    tools: [files__write]
    agents: [bot]
    when: args.path.startsWith('draft')
    effect: allow
    standing: true
  - name: rest
    tools: ["*"]
    effect: ask
""")
    other = org.add_agent("other")[1]
    with McpWs(rt, org.credential) as agent:
        result = agent.call("files__write", {"path": "draft.txt", "content": "x"})
        assert not result.get("isError"), result
    assert org.read("draft.txt") == "x"
    rows = org.rows()
    assert len(rows) == 1 and rows[0]["is_standing"] and rows[0]["rule"] == "drafts", rows
    assert org.kinds(rows[0]["approval_id"])[0] == "approval.permitted"
    with McpWs(rt, other) as agent:
        agent.call_start("files__write", {"path": "draft2.txt", "content": "x"})
        org.wait_pending()
    assert org.files() == ["draft.txt"]


@case()
def an_allow_never_lets_a_write_run(rt):
    org = Org(rt, policy='version: 1\nrules:\n  - {name: all, tools: ["*"], effect: allow}\n')
    with McpWs(rt, org.credential) as agent:
        told = agent.call("files__write", {"path": "a.txt", "content": "x"})
        assert told["isError"], told
    assert org.files() == [] and org.approvals() == []


# ---------------------------------------------------------------- pins
class Changing:
    """A plugin whose definition changes: the file that the server loads is exchanged."""

    def __init__(self, rt):
        self.dir = rt.base + "/plugins"
        os.makedirs(self.dir, exist_ok=True)
        os.chmod(self.dir, 0o755)
        self.name = unique("p")

    def become(self, source):
        to = os.path.join(self.dir, "changing.so")
        shutil.copy(os.path.join(BUILD, source), to + ".new")
        os.chmod(to + ".new", 0o755)
        os.replace(to + ".new", to)


@case()
def a_new_tool_is_held_back_until_it_is_accepted(rt):
    org = Org(rt, files=False)
    made = org.add_server("files", "files", {"root": org.folder}, accept=False)
    assert made["new"] > 0, made
    org.sync()
    with McpWs(rt, org.credential) as agent:
        assert "files__list" not in agent.tools()
        told = agent.call("files__list", {"path": "."})
        assert told["isError"] and "review" in text_of(told), told
        tool = org.control("GET", "/tools/files__list")
        assert tool["state"] == "new", tool
        with refused(409):
            org.control("POST", "/tools/files__list/accept", {"digest": "00" * 32,
                                                              "effects": "read"})
        org.accept("files__list")
        wait_for("the tool to be listed", lambda: "files__list" in agent.tools())
        note = wait_for("the note that the list changed", lambda: [
            n for n in agent.notes if n["method"] == "notifications/tools/list_changed"])
        assert note
        assert not agent.call("files__list", {"path": "."}).get("isError")
        org.control("POST", "/tools/files__list/quarantine")
        wait_for("the quarantine", lambda: agent.call("files__list", {"path": "."}).get("isError"),
                 5)
        assert org.control("GET", "/tools/files__list")["state"] == "quarantined"
    assert {"tool.accepted", "tool.quarantined"} <= {e["kind"] for e in org.audit(kind="tool.")}


@case()
def what_the_operator_accepts_as_read_decides_not_the_tool(rt):
    """A tool that says that it reads is held if it was accepted as a write, and the other way."""
    org = Org(rt, files=True)
    org.write("a.txt", "x")
    org.accept("files__read", effects="write")
    with McpWs(rt, org.credential) as agent:
        call = wait_for("the pin", lambda: held(org, agent))
        org.ann.approve(org.wait_pending())
        assert not call.wait().get("isError")


def held(org, agent):
    call = agent.call_start("files__read", {"path": "a.txt"})
    try:
        org.wait_pending(timeout=1)
        return call
    except AssertionError:
        call.wait()
        return None


@case(limit=60)
def arguments_are_checked_against_the_pinned_schema(rt):
    org = Org(rt)
    with McpWs(rt, org.credential) as agent:
        for arguments, words in (({}, "path"), ({"path": 5}, "/path"),
                                 ({"path": "a", "paht": 1}, "paht"),
                                 ({"path": ["a"]}, "/path")):
            told = agent.call("files__read", arguments)
            assert told["isError"] and words in text_of(told), (arguments, told)
        try:
            agent.call("files__read", "text")
            raise AssertionError("arguments that are no object were taken")
        except McpError as e:
            assert e.code == -32602, e
    assert len(org.audit(kind="call.invalid")) == 4
