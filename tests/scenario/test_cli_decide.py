"""Deciding by the command line, and everything on a terminal: the passphrase prompt, cards, the live
table, and that nothing an agent wrote reaches the terminal as a command."""
import base64
import hashlib
import hmac
import json
import os
import re
import struct
import subprocess
import threading
import time

from cases import case
from cli import Cli, Terminal, changed_plugin
from harness import Org, Runtime, wait_for
from mcp_client import McpWs, text_of

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\n\x7f\u200b"
MODES = re.compile("\x1b\\[[0-9;]*m")


def held(org, agent, path="a.txt", content="new\n", **meta):
    call = agent.call_start("files__write", {"path": path, "content": content, "overwrite": True},
                            meta=meta)
    return call, org.wait_pending()


@case()
def a_person_approves_on_the_terminal(rt):
    """The card is seen, the passphrase is asked without echo, the call runs."""
    org = Org(rt)
    org.write("a.txt", "old\n")
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        with Terminal(cli, "approvals", "approve", approval, "--as", org.ann.name) as t:
            t.expect("Passphrase of %s: " % org.ann.name)
            wait_for("a quiet terminal", lambda: not t.echoes())
            assert "Write file a.txt" in t.text and "+new" in t.text and "-old" in t.text, t.text
            assert org.state(approval) == "pending"
            t.send(org.ann.passphrase + "\n")
            t.end(0)
            assert t.text.rstrip().endswith("approved"), t.text
            assert org.ann.passphrase not in t.text
        assert not call.wait().get("isError")
    assert org.read("a.txt") == "new\n"
    votes = org.approval(approval)["votes"]
    assert [(v["person"], v["via"]) for v in votes] == [(org.ann.name, "cli")], votes


@case()
def a_wrong_passphrase_decides_nothing(rt):
    org = Org(rt)
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        _, approval = held(org, agent)
        with Terminal(cli, "approvals", "approve", approval, "--as", org.ann.name) as t:
            t.expect("Passphrase of ")
            t.send("not it\n")
            t.end(3)
            assert "name or passphrase is wrong" in t.text and "not it" not in t.text
        assert org.state(approval) == "pending"
        org.ann.reject(approval, "end")


@case()
def an_interrupted_question_leaves_the_terminal_as_it_was(rt):
    org = Org(rt)
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        _, approval = held(org, agent)
        with Terminal(cli, "approvals", "approve", approval, "--as", org.ann.name) as t:
            before = t.modes()
            t.expect("Passphrase of ")
            wait_for("a quiet terminal", lambda: not t.echoes())
            t.send("half a passphr\x03")
            assert t.end() == -2  # by the signal, so that a shell sees it
            assert t.modes() == before and "half" not in t.text
        assert org.state(approval) == "pending"
        org.ann.reject(approval, "end")


@case()
def only_a_person_decides(rt):
    """Nobody, the operator, an agent, a token without the scope, the owner: refused, with why."""
    org = Org(rt)
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        _, approval = held(org, agent)
        for verb in (("approve",), ("reject", "--reason", "x"), ("withdraw",),
                     ("settle", "--outcome", "failed"), ("cancel",)):
            said = cli("approvals", verb[0], approval, *verb[1:], status=3)
            assert "only a person can decide" in said.err, said
        said = cli("approvals", "approve", approval, "--as", org.ann.name, status=3)
        assert "no terminal to ask for a passphrase on" in said.err, said
        assert "agent's credential" in cli("approvals", "approve", approval,
                                           token=org.credential, status=2).err
        reader = org.ann.make_token(scopes=["read"])
        assert "scope" in cli("approvals", "approve", approval, token=reader, status=3).err
        owner = cli("approvals", "approve", approval, as_=org.olga, status=3)
        assert "may not" in owner.err or "own" in owner.err, owner
        # A passphrase is neither a flag nor in the environment.
        assert "no flag" in cli("approvals", "approve", approval, "--passphrase", "x", status=2).err
        cli.env["FLOPINIO_PASSPHRASE"] = org.ann.passphrase
        cli("approvals", "approve", approval, "--as", org.ann.name, status=3)
        assert org.state(approval) == "pending"
        org.ann.reject(approval, "end")


@case()
def a_token_with_the_scope_decides(rt):
    org = Org(rt)
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        said = cli("approvals", "approve", approval, token=org.ann.token)
        assert "Write file a.txt" in said.out and said.out.rstrip().endswith("approved"), said
        call.wait()
        again = cli("approvals", "approve", approval, token=org.bob.token, status=5)
        assert "already" in again.err, again
        # On a terminal a yes is asked, as no passphrase is.
        call, approval = held(org, agent, content="second\n")
        for answer, state in (("n\n", "pending"), ("y\n", None)):
            with Terminal(cli, "approvals", "approve", approval, token=org.ann.token) as t:
                t.expect("Approve it? [y/N] ")
                t.send(answer)
                t.end(1 if state else 0)
            if state:
                assert org.state(approval) == state
        call.wait()
        said = cli("approvals", "show", approval, "--json").json
        assert said == org.approval(approval)


@case()
def reject_withdraw_and_cancel(rt):
    org = Org(rt)
    org.write("a.txt", "old\n")
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        assert "--reason TEXT is missing" in cli("approvals", "reject", approval, as_=org.ann,
                                                 status=2).err
        said = cli("approvals", "reject", approval, "--reason", "not today", "--may-ask-again",
                   "--json", as_=org.ann)
        assert said.json["state"] == "rejected" and "Write file a.txt" in said.err, said
        assert "not today" in text_of(call.wait())
        # Two must approve a delete: one takes it back.
        call = agent.call_start("files__delete", {"path": "a.txt"})
        approval = org.wait_pending()
        said = cli("approvals", "approve", approval[-8:], as_=org.ann)
        assert "1 of 2" in said.out, said
        cli("approvals", "withdraw", approval, as_=org.ann)
        assert "0 of 2" in cli("approvals", "list").out
        assert "you have not voted" in cli("approvals", "withdraw", approval, as_=org.ann,
                                           status=5).err
        said = cli("approvals", "cancel", approval, "--reason", "changed my mind", as_=org.olga)
        assert "cancelled" in said.out, said
        assert call.wait()["isError"]
        assert "cancelled" in cli("approvals", "cancel", approval, as_=org.olga, status=5).err
        assert org.read("a.txt") == "old\n"
    assert "no such approval" in cli("approvals", "show", "0" * 8, status=4).err
    assert "no approval's id" in cli("approvals", "show", "x", status=2).err
    assert "no such approval" in cli("approvals", "approve", "01a21a1e-87c3-7d7e-a6ee-2a2e68fe985a",
                                     as_=org.ann, status=4).err


@case(limit=60, execute_time="500ms", breaks=True)
def an_unknown_outcome_is_settled(rt):
    org = Org(rt, files=False, scenario=True)
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        agent.call_start("s__append_line", {"line": "x", "gate": "never"})
        approval = org.wait_pending()
        org.ann.approve(approval)
        org.wait_state(approval, "unknown", timeout=20)
    assert "outcome unknown" in cli("approvals", "list").out
    assert "none of succeeded|failed|again" in cli("approvals", "settle", approval, "--outcome",
                                                   "fine", as_=org.ann, status=2).err
    settle = ("approvals", "settle", approval, "--outcome", "succeeded", "--reason", "I looked")
    said = wait_for("the settling", lambda: (lambda r: r if r.status == 0 else None)(
        cli(*settle, as_=org.ann, status=None)), 30, 0.5)
    assert "recorded: done" in said.out, said
    assert org.state(approval) == "succeeded"
    assert "nothing waits" in cli("approvals", "list").out
    assert "done" in cli("approvals", "list", "--state", "done").out
    cli("approvals", "settle", approval, "--outcome", "failed", as_=org.ann, status=5)


def totp(secret, at):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(at // 30)), hashlib.sha1).digest()
    start = mac[-1] & 15
    return "%06d" % ((struct.unpack(">I", mac[start:start + 4])[0] & 0x7fffffff) % 1000000)


@case(limit=60)
def a_second_factor_is_asked_for(rt):
    """With a code of the step before, of this one and of the next: each is good for once."""
    org = Org(rt, own_people=True)
    cli = Cli(rt, org)
    ann = org.ann
    wait_for("the middle of a step", lambda: time.time() % 30 < 15, 20)
    now = time.time()
    with Terminal(cli, "user", "totp", "enable", "--as", ann.name) as t:
        t.expect("Passphrase of ")
        t.send(ann.passphrase + "\n")
        t.expect("Code that it shows now: ")
        secret = re.search(r"secret=([A-Z2-7]+)", t.text).group(1)
        used = totp(secret, now - 30)
        t.send(used + "\n")
        t.end(0)
        assert used not in t.text.split("now: ")[1]
    with McpWs(rt, org.credential) as agent:
        call, approval = held(org, agent)
        assert "authenticator" in cli("approvals", "approve", approval, as_=ann,
                                      secrets=["000000"], status=3).err
        assert "used already" in cli("approvals", "approve", approval, as_=ann, secrets=[used],
                                     status=3).err
        fresh = totp(secret, now)
        with Terminal(cli, "approvals", "approve", approval, "--as", ann.name) as t:
            t.expect("Passphrase of ")
            t.send(ann.passphrase + "\n")
            t.expect("Code of your authenticator: ")
            t.send(fresh + "\n")
            t.end(0)
        call.wait()
    assert org.approval(approval)["votes"][0]["has_second_factor"]
    cli("user", "totp", "disable", as_=ann, secrets=[totp(secret, now + 30)])
    cli("whoami", as_=ann)


@case()
def personal_tokens(rt):
    org = Org(rt, own_people=True)
    cli = Cli(rt, org)
    made = cli("user", "token", "create", "laptop", "--scope", "read", "--expires", "1h",
               as_=org.bob)
    token = made.out.strip()
    assert token.startswith("flp_") and "once" in made.err
    assert "laptop" in cli("user", "token", "list", token=token).out
    assert "--as NAME" in cli("user", "token", "create", "x", "--scope", "read", "--expires", "1h",
                              token=token, status=2).err
    assert "24" in cli("user", "token", "create", "x", "--scope", "decide", "--expires", "48h",
                       as_=org.bob, status=1).err
    listed = cli("user", "token", "list", "--json", token=token).json["items"]
    mine = [t["id"] for t in listed if t["name"] == "laptop"][0]
    cli("user", "token", "revoke", mine, as_=org.bob)
    assert "FLOPINIO_TOKEN was used" in cli("whoami", token=token, status=3).err
    cli("user", "token", "revoke", "--all", as_=org.bob)
    assert "ID, or --all" in cli("user", "token", "revoke", as_=org.bob, status=2).err


# ---------------------------------------------------------------- the terminal
def clean(text, what):
    """Nothing but plain characters and our own colours."""
    bad = re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202e]", MODES.sub("", text))
    assert not bad, "%s: %r in %r" % (what, bad.group(), text)


@case()
def canary_an_escape_in_the_output_is_seen(_rt):
    for text in ("\x1b[2J", "a\x9bb", "\u202e", "\x07", "\x7f"):
        try:
            clean("fine " + text + " end", "canary")
        except AssertionError:
            continue
        raise AssertionError("%r was not seen" % text)
    clean("\x1b[1mbold\x1b[0m\r\n", "our own colours")


@case(limit=60)
def what_an_agent_wrote_does_not_reach_the_terminal(rt):
    """In the justification, the arguments, the file's name; in lists, cards, JSON, the audit and
    errors; through a terminal and through a pipe."""
    org = Org(rt)
    cli = Cli(rt, org)
    org.control("PATCH", "/agents/bot", {"title": "The bot \x9b31m\u202e\u200b"})
    with McpWs(rt, org.credential) as agent:
        _, approval = held(org, agent, path="x" + EVIL.replace("\x00", ""), content=EVIL,
                           **{"dev.flopinio/justification": "please " + EVIL})
        commands = [("approvals", "list"), ("approvals", "show", approval), ("agent", "list"),
                    ("agent", "show", "bot"), ("audit", "list"), ("audit", "tail"),
                    ("incident", "--agent", "bot"), ("stops",)]
        for command in commands:
            clean(cli(*command).out, command)
            for more in ((), ("--json",)):
                with Terminal(cli, *command, *more) as t:
                    t.end(0)
                    clean(t.text, command)
        with Terminal(cli, "audit", "export") as t:
            t.end(0)
            clean(t.text, "export")
        with Terminal(cli, "approvals", "reject", approval, "--reason", "no " + EVIL,
                      token=org.ann.token) as t:
            t.expect("[y/N] ")
            t.send("y\n")
            t.end(0)
            clean(t.text, "reject")
        with Terminal(cli, "approvals", "show", approval) as t:
            t.end(0)
            clean(t.text, "votes")
            assert "no \\u{1B}" in t.text, t.text
        with Terminal(cli, "agent", "show", EVIL) as t:
            t.end(4)
            clean(t.text, "error")
        with Terminal(cli, EVIL.replace("\n", "")) as t:
            t.end(2)
            clean(t.text, "wrong use")


@case()
def the_live_table_follows_and_leaves_the_terminal(rt):
    org = Org(rt)
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        with Terminal(cli, "approvals", "list", "--watch") as t:
            before = t.modes()
            seen = t.expect("nothing waits")
            _, approval = held(org, agent, path="shown.txt",
                               **{"dev.flopinio/justification": EVIL})
            seen = t.expect("Write file shown.txt", since=seen)
            assert approval[-8:] in t.text
            org.ann.reject(approval, "no")
            seen = t.expect("nothing waits", since=seen)
            t.send("q")
            t.end(0)
            assert t.modes() == before
            assert t.text.startswith("\x1b[?1049h\x1b[?25l")
            assert t.text.endswith("\x1b[?25h\x1b[?1049l")
            clean(re.sub("\x1b\\[(\\?1049|\\?25)?[hlHJK]", "", t.text), "watch")
        with Terminal(cli, "approvals", "list", "--watch") as t:
            t.expect("nothing waits")
            t.send("\x03")
            t.end(0)
            assert t.text.endswith("\x1b[?25h\x1b[?1049l")
    assert "terminal" in cli("approvals", "list", "--watch", status=2).err


@case()
def a_tool_is_accepted_as_it_was_shown(rt):
    """It changes between the question and the answer: nothing is accepted."""
    org = Org(rt, files=False, policy=None)
    org.add_server("s", "scenario", {"root": org.folder}, accept=False)
    cli = Cli(rt, org)
    with Terminal(cli, "tool", "accept", "s__append_line", "--write", rows=200) as t:
        t.expect("Accept s__append_line as a write? [y/N] ")
        assert "Appends a line." in t.text
        with changed_plugin(rt):
            wait_for("the change", lambda: org.control("POST", "/servers/s/refresh") and "mails" in
                     org.control("GET", "/tools/s__append_line")["description"])
            t.send("y\n")
            t.end(5)
    assert org.control("GET", "/tools/s__append_line")["state"] != "accepted"
    with Terminal(cli, "tool", "accept", "s__look", "--read") as t:
        t.expect("[y/N] ")
        t.send("\n")
        t.end(1)
        assert "left as it was" in t.text


@case()
def passphrases_are_typed_twice(rt):
    org = Org(rt, own_people=True, files=False, policy=None)
    cli = Cli(rt, org)
    for again, status in (("a passphrase that differs", 1), ("a passphrase to remember", 0)):
        with Terminal(cli, "user", "passphrase", org.bob.name) as t:
            t.expect("New passphrase of %s: " % org.bob.name)
            t.send("a passphrase to remember\n")
            t.expect("The same again: ")
            t.send(again + "\n")
            t.end(status)
            assert "remember" not in t.text and "differs" not in t.text
            if status:
                assert "the two differ; nothing was changed" in t.text
                cli("whoami", as_=org.bob)
    cli("whoami", as_=org.bob.name, secrets=["a passphrase to remember"])


@case(limit=60)
def serve_says_when_it_is_ready(rt):
    other = Runtime(start=False, workers=1)
    try:
        other.port, other.metrics_port = 0, 0
        other._write_config()
        process = subprocess.Popen(other.command(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        other.process = process
        line = []
        thread = threading.Thread(target=lambda: line.append(process.stdout.readline()), daemon=True)
        thread.start()
        thread.join(50)
        path = other.run_dir + "/ports.json"
        with open(path) as f:
            ports = json.load(f)
        assert line == ["flopinio is ready: %s/mcp\n" % ports["urls"][0]], line
        assert ports["pid"] == process.pid and ports["ports"][0] > 0
        other.port, other.metrics_port = ports["ports"][0], ports["metrics_port"]
        assert other.is_ready()
        assert ports["urls"] == ["http://127.0.0.1:%d" % other.port]
        assert ports["urls"][0] + "/mcp" in Cli(other)("connect").out
        other.stop()
        assert not os.path.exists(path)
    finally:
        other.remove()
