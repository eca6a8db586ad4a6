"""The command line, every command once for real: setting up, reading, what is refused and the exit
status that it has then. Deciding and everything on a terminal: test_cli_decide.py."""
import http.server
import json
import os
import subprocess
import tempfile
import threading

from cases import case
from cli import BUILD, Cli, changed_plugin
from harness import PASSPHRASE, Org, Runtime, free_ports, unique, wait_for
from mcp_client import McpWs

POLICY = """version: 1
rules:
  - name: reads
    tools: ["*"]
    effect: allow
  - name: writes
    tools: ["*"]
    effect: ask
"""


@case(operator_authority="until_admin", limit=60)
def from_nothing_to_an_organization_with_an_owner(rt):
    """The operator sets up until an administrator has a passphrase; then people do."""
    cli = Cli(rt)
    assert "there is no organization yet" in cli("org", "list").out
    assert "flopinio org create" in cli("agent", "list", status=4).err
    assert "the operator of this host" in cli("whoami").out
    cli("org", "create", "acme", "--title", "Acme")
    cli("user", "create", "ana", "--role", "owner", "--ask-passphrase",
        secrets=["a long enough passphrase"])
    refused = cli("user", "create", "bo", "--role", "approver", status=3)
    assert "an administrator is there" in refused.err and "--as NAME" in refused.err
    ana = dict(as_="ana", secrets=["a long enough passphrase"])
    cli("user", "create", "bo", "--role", "approver", **ana)
    assert "name or passphrase is wrong" in cli(
        "user", "create", "cy", "--role", "member", as_="ana", secrets=["another"], status=3).err
    assert "no answer came" in cli("group", "create", "x", as_="ana", secrets=[], status=1).err
    # Reading needs nobody; the only organization is meant.
    assert [row.split()[:2] for row in cli("user", "list").rows] == [["ana", "owner"],
                                                                     ["bo", "approver"]]
    cli("org", "create", "beta")
    several = cli("user", "list", status=2)
    assert "--org NAME" in several.err and "acme, beta" in several.err
    cli("user", "list", "--org", "acme")
    assert "no such organization" in cli("user", "list", "--org", "gamma", status=4).err
    assert "ana" in cli("whoami", **ana).out


@case()
def organizations_people_and_groups(rt):
    cli = Cli(rt)
    org, bo, cy = unique("cli"), unique("bo"), unique("cy")
    cli("org", "create", org, "--title", "One")
    assert "already" in cli("org", "create", org, status=5).err
    assert org in cli("org", "list").out
    cli("org", "set", org, "--title", "Another")
    assert "Another" in cli("org", "show", org).out
    cli.env["FLOPINIO_ORG"] = org
    cli("group", "create", "ops", "--title", "Operations")
    cli("user", "create", bo, "--role", "approver", "--group", "ops", "--display-name", "Bo B",
        "--email", "bo@example.com", "--ask-passphrase", secrets=[PASSPHRASE + bo])
    assert "user passphrase " + cy in cli("user", "create", cy, "--role", "member").out
    cli("user", "set", cy, "--role", "auditor", "--group", "ops")
    people = {p["name"]: p for p in cli("user", "list", "--json").json["items"]}
    assert people[cy]["role"] == "auditor" and people[cy]["groups"] == ["ops"], people
    assert people == {p["name"]: p for p in rt.control("GET", "/orgs/%s/people" % org)["items"]}
    cli("user", "set", cy, "--no-group")
    assert [r.split() for r in cli("group", "list").rows] == [["ops", "Operations", bo]]
    cli("group", "set", "ops", "--member", bo + "," + cy)
    assert "%s, %s" % tuple(sorted([bo, cy])) in cli("group", "list").out
    cli("group", "set", "ops", "--empty")
    cli("group", "remove", "ops")
    assert "no group yet" in cli("group", "list").out
    assert "no such" in cli("group", "remove", "ops", status=4).err
    # Passphrases: a reset by the operator, then one's own.
    cli("user", "passphrase", cy, secrets=["the first passphrase"])
    cli("user", "passphrase", cy, as_=cy, secrets=["the first passphrase", "the second one is set"])
    cli("whoami", as_=cy, secrets=["the first passphrase"], status=3)
    cli("whoami", as_=cy, secrets=["the second one is set"])
    assert "terminal" in cli("user", "passphrase", cy, status=3).err
    cli("agent", "create", "robo", "--owner", bo, "--no-credential")
    left = cli("user", "offboard", bo, "--to", cy).out
    assert bo in left and "agent robo is active, its owner is " + cy in left, left
    assert "no such" in cli("user", "offboard", "nobody-here", status=4).err


@case()
def agents_and_their_credentials(rt):
    org = Org(rt, files=False, policy=None)
    cli = Cli(rt, org)
    made = cli("agent", "create", "builder", "--owner", org.olga.name, "--client", "claude-code",
               "--tools", "files__*", "--expires", "1h", "--label", "team=web", "--title", "B")
    credential = made.out.strip()
    assert credential.startswith("fla_") and "shown once" in made.err, made
    with McpWs(rt, credential) as agent:
        agent.tools()
    shown = cli("agent", "show", "builder")
    assert "claude-code" in shown.out and "files__*" in shown.out and credential not in shown.out
    assert [r.split()[:3] for r in cli("agent", "list").rows if r.startswith("builder")] == [
        ["builder", "active", org.olga.name]]
    assert cli("agent", "show", "builder", "--json").json["labels"] == {"team": "web"}
    cli("agent", "set", "builder", "--owner", org.adam.name, "--label", "a=b,c")
    assert cli("agent", "show", "builder", "--json").json["labels"] == {"a": "b,c"}
    cli("agent", "freeze", "builder")
    assert "frozen" in cli("agent", "list").out
    cli("agent", "activate", "builder")
    second = cli("agent", "credential", "create", "builder", "--name", "ci").out.strip()
    listed = cli("agent", "credential", "list", "builder", "--json").json["items"]
    assert len(listed) == 2, listed
    ci = [c["id"] for c in listed if c["name"] == "ci"][0]
    cli("agent", "credential", "revoke", "builder", ci)
    assert "ID, or --all" in cli("agent", "credential", "revoke", "builder", status=2).err
    cli("agent", "credential", "revoke", "builder", "--all")
    cli("agent", "revoke", "builder")
    assert second and "revoked" in cli("agent", "show", "builder").out
    for args, status, text in (
            (("show", "nobody"), 4, "no such agent"), (("create", "x", "--owner", "nobody"), 1, ""),
            (("create", "x"), 2, "--owner PERSON is missing"),
            (("create", "x", "--owner", "y", "--label", "team"), 2, "team=web"),
            (("create", "x", "--owner", org.olga.name, "--expires", "soon"), 2, "like 4h"),
            (("create", "x", "--owner", org.olga.name, "--hold", "2d"), 1,
             "flopinio agent credential create x"),
            (("create", "builder", "--owner", org.olga.name), 5, "already")):
        assert text in cli("agent", *args, status=status).err


@case()
def servers_and_tools(rt):
    org = Org(rt, files=False, policy=None)
    cli = Cli(rt, org)
    config = json.dumps({"root": org.folder})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        f.write(config)
        f.flush()
        added = cli("server", "add", "s", "--plugin", "scenario", "--config", "@" + f.name,
                    "--environment", "test", "--account", "nobody")
    assert "new tools, 0 changed" in added.out, added
    assert "test" in cli("server", "list").out
    assert "JSON" in cli("server", "add", "t", "--plugin", "files", "--config", "{", status=2).err
    assert "cannot read" in cli("server", "add", "t", "--plugin", "files", "--config", "@/no/file",
                                status=2).err
    # A configuration that the plugin does not take is seen here, and not at the first call.
    wrong = cli("server", "add", "t", "--plugin", "files", "--config", json.dumps({"rot": "/srv"}))
    assert "offers: 9 new tools" in wrong.out and "did not open: root is missing" in wrong.out, wrong
    assert "root is missing" in cli("server", "list").out
    assert org.name + ": t: the plugin did not open: root" in cli("doctor", status=None).out
    # It may quote the configuration: not for those who may not see that.
    for who, text in ((org.adam, "root is missing"), (org.ann, "an owner or administrator sees why")):
        shown = {s["name"]: s for s in who.rest("GET", org.path("/servers"))["items"]}
        assert shown["s"]["note"] == "" and text in shown["t"]["note"], shown
        assert ("config" in shown["t"]) == ("root" in shown["t"]["note"]) == (who is org.adam), shown
    cli("server", "set", "t", "--config", config)
    cli("server", "refresh", "t")
    assert "root is missing" not in cli("server", "list").out
    cli("server", "remove", "t")
    # Nothing is open until somebody looked.
    assert all(r.split()[1] == "new" for r in cli("tool", "list").rows)
    some = cli("tool", "accept", "--all-new", "--read")
    assert "do not say that they read and are left" in some.out, some
    reads = cli("tool", "list", "--state", "accepted", "--json").json["items"]
    assert reads and all(t["claims_read"] and t["effects"] == "read" for t in reads)
    cli("tool", "accept", "s__append_line", "--write", "--secret", "/line")
    shown = cli("tool", "show", "s__append_line").out
    assert "accepted as:" in shown and "/line" in shown and "inputSchema:" in shown
    assert "nothing" in cli("tool", "diff", "s__append_line").out
    with changed_plugin(rt):
        assert "1 changed" in cli("server", "refresh", "s").out
    assert "s__append_line" in cli("tool", "list", "--state", "changed").out
    diff = cli("tool", "diff", "s__append_line").out
    assert "- /description: " in diff and "+ /description: " in diff and "mails it" in diff, diff
    cli("tool", "quarantine", "s__look")
    assert "quarantined" in cli("tool", "list", "--state", "quarantined").out
    assert "no such tool" in cli("tool", "show", "nothing", status=4).err
    assert "--read" in cli("tool", "accept", "s__look", status=2).err
    assert "TOOL..., or --all-new" in cli("tool", "accept", "--write", status=2).err
    cli("server", "set", "s", "--enabled", "no")
    assert "no" in cli("server", "list").out
    cli("server", "remove", "s")
    assert "no server yet" in cli("server", "list").out


@case()
def policies(rt):
    org = Org(rt, policy=None)
    cli = Cli(rt, org)
    assert "no such policy" in cli("policy", "show", status=4).err
    path = rt.base + "/policy.yaml"

    def write(text):
        with open(path, "w") as f:
            f.write(text)
    write(POLICY)
    dry = cli("policy", "apply", path, "--dry-run").out
    assert "+ rule 1 'reads'" in dry and "not applied" in dry, dry
    cli("policy", "show", status=4)
    assert "version 1 is in force" in cli("policy", "apply", path, "--note", "first").out
    assert cli("policy", "show").out == POLICY
    assert "no changes" in cli("policy", "apply", "-", stdin=POLICY).out
    write("version: 1\nrules:\n  - name: x\n    tools: [a]\n    effect: perhaps\n")
    bad = cli("policy", "apply", path, status=1)
    assert "deny, ask or allow" in bad.err and "error line 5 rule x" in bad.out, bad
    assert cli("policy", "show").out == POLICY  # the one in force stays
    assert "deny, ask or allow" in cli("policy", "check", path, status=1).out
    write(POLICY.replace("writes", "changes"))
    assert "version is 1" in cli("policy", "apply", path, "--expected", "7", status=5).err
    assert "2" in cli("policy", "apply", path, "--expected", "1").out
    assert len(cli("policy", "versions").rows) == 2
    assert cli("policy", "show", "--version", "1").out == POLICY
    assert "cannot read" in cli("policy", "apply", "/no/file", status=1).err
    cli("policy", "check")
    call = '{"tool": "files__write", "agent": "bot"}'
    assert cli("policy", "test", "--call", call).out.startswith("ask by rule changes")
    assert cli("policy", "test", path, "--call", call, "--json").json["effect"] == "ask"
    assert "JSON" in cli("policy", "test", "--call", "{", status=2).err


@case()
def stop_and_resume(rt):
    org = Org(rt)
    cli = Cli(rt, org)
    cli("stop", "agent", "bot", "--reason", "too fast", "--for", "1h")
    assert "too fast" in cli("stops").out
    with McpWs(rt, org.credential) as agent:
        pass
    cli("resume", "agent", "bot")
    wait_for("nothing to be left", lambda: "nothing is stopped" in cli("stops").out)
    with McpWs(rt, org.credential) as agent:
        agent.tools()
    assert "nothing of that name is stopped" in cli("resume", "agent", "bot", status=4).err
    assert "no agent 'nobody'" in cli("stop", "agent", "nobody", "--reason", "x", status=4).err
    assert "did you mean 'agent'" in cli("stop", "agnet", "x", "--reason", "x", status=2).err
    assert "--reason" in cli("stop", "agent", "bot", status=2).err
    cli("stop", "agent", "bot", "--reason", "x", token=org.olga.token, status=3)


@case()
def the_audit_and_what_an_agent_did(rt):
    org = Org(rt)
    org.write("a.txt", "one\n")
    cli = Cli(rt, org)
    with McpWs(rt, org.credential) as agent:
        agent.call("files__read", {"path": "a.txt"})
        call = agent.call_start("files__delete", {"path": "b.txt"})
        first = org.wait_pending()
        org.ann.reject(first, "no")
        call.wait()
        call = agent.call_start("files__write", {"path": "b.txt", "content": "x"})
        org.ann.approve(org.wait_pending())
        call.wait()
    wait_for("both outcomes to be noted as taken", lambda: len(org.audit(kind="approval.delivered")) == 2)
    newest = cli("audit", "list", "--limit", "5").rows
    assert len(newest) == 5
    assert "a vote rejected it" in cli("audit", "list", "--kind", "approval.rejected").out
    assert cli("audit", "list", "--actor", "ann", "--json").json["items"]
    assert "no person or agent" in cli("audit", "list", "--actor", "who", status=4).err
    assert "'limit'" in cli("audit", "list", "--limit", "x", status=1).err
    for kind, by in (("approval.rejected", "person:" + org.ann.name), ("call.read", "agent:bot"),
                     ("organization.created", "operator")):
        rows = [r.split()[2] for r in cli("audit", "list", "--kind", kind).rows]
        assert rows == [by], (kind, rows)
    tail = [r[:20] for r in cli("audit", "tail", "--lines", "5").rows]
    assert tail == [r[:20] for r in reversed(newest)]
    exported = cli("audit", "export").out
    leaves = rt.sql("SELECT leaf FROM audit_event WHERE organization_id = %s "
                    "ORDER BY recorded_at, event_id", org.id)
    assert exported.encode() == b"".join(r["leaf"] + b"\n" for r in leaves)
    path = rt.base + "/leaves"
    cli("audit", "export", "--output", path, "--kind", "approval.")
    with open(path) as f:
        assert f.read() == "".join(line + "\n" for line in exported.splitlines()
                                   if '"kind":"approval.' in line)
    assert "cannot write" in cli("audit", "export", "--output", "/no/file", status=1).err
    ours = cli("audit", "list", "--installation", "--kind", "token.").out
    assert "token was issued" in ours, ours
    seen = cli("incident", "--agent", "bot", "--since", "1h").out
    assert "1 reads" in seen and "rejected  Delete b.txt" in seen and "ann" in seen, seen
    assert "no such agent" in cli("incident", "--agent", "who", status=4).err


@case()
def the_audit_is_followed(rt):
    org = Org(rt, files=False)
    cli = Cli(rt, org)
    process = subprocess.Popen([BUILD + "/flopinio", "audit", "tail", "--follow", "--json",
                                "--lines", "1"], env=cli.env, stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True).start()
        wait_for("the first line", lambda: lines)
        before = len(org.audit())
        for i in range(5):
            org.control("POST", "/groups", {"name": "g%d" % i, "title": "", "members": []})
        wait_for("all of them", lambda: len(lines) == 6)
        kinds = [json.loads(line)["leaf"] for line in lines]
        assert kinds == org.audit()[before - 1:]
    finally:
        process.terminate()
        process.wait(5)


@case(limit=60, breaks=True)
def the_audit_is_followed_through_a_restart(rt):
    org = Org(rt, files=False)
    cli = Cli(rt, org)
    process = subprocess.Popen([BUILD + "/flopinio", "audit", "tail", "--follow", "--lines", "1"],
                               env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True)
    try:
        lines = []
        threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True).start()
        wait_for("the first line", lambda: len(lines) >= 2)
        rt.stop()
        rt.start()
        org.control("POST", "/groups", {"name": "after", "title": "", "members": []})
        wait_for("what came later", lambda: any("=after" in line for line in lines))
        assert process.poll() is None
    finally:
        process.terminate()
        errors = process.stderr.read()
        process.wait(5)
    assert errors.count("\n") <= 1, errors  # said once, not each second


class Html(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>\x1b[31m")

    def log_message(self, *_):
        pass


@case()
def another_host_is_reached_by_url(rt):
    org = Org(rt)
    cli = Cli(None, org)
    url = "http://127.0.0.1:%d/" % rt.port
    assert "sign in" in cli("agent", "list", "--url", url, status=3).err
    assert "bot" in cli("agent", "list", "--url", url, token=org.adam.token).out
    assert "bot" in cli("agent", "list", "--url", url, as_=org.adam).out
    cli.env["FLOPINIO_URL"] = url
    assert org.ann.name in cli("whoami", token=org.ann.token).out
    assert "only the operator" in cli("org", "create", "x", as_=org.adam, status=3).err
    assert "may not" in cli("agent", "freeze", "bot", as_=org.ann, status=3).err
    assert "scope" in cli("agent", "freeze", "bot", token=org.adam.token, status=3).err
    # What must not go over a network in clear, or is not ours.
    assert "https" in cli("whoami", "--url", "http://192.0.2.1", token=org.ann.token, status=2).err
    assert "https" in cli("whoami", "--url", "http://127.0.0.1.example.com", token=org.ann.token,
                          status=2).err
    assert "no http" in cli("whoami", "--url", "ftp://127.0.0.1", token=org.ann.token, status=2).err
    nobody = "http://127.0.0.1:%d" % free_ports(1)[0]
    assert "nobody answers" in cli("whoami", "--url", nobody, token=org.ann.token, status=6).err
    server = http.server.HTTPServer(("127.0.0.1", 0), Html)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    other = cli("whoami", "--url", "http://127.0.0.1:%d" % server.server_port, token=org.ann.token,
                status=1)
    assert "not the REST API's" in other.err and "\x1b" not in other.err, other
    server.shutdown()
    wrong = cli("whoami", token=org.credential, status=2)
    assert "agent's credential cannot be used" in wrong.err and org.credential not in wrong.err
    assert "no personal token" in cli("whoami", token="x", status=2).err
    assert "FLOPINIO_TOKEN was used" in cli("whoami", token="flp_" + "A" * 48, status=3).err


@case(limit=60)
def another_host_is_reached_over_tls(rt):
    base = tempfile.mkdtemp(dir=rt.base)
    key, cert = base + "/key.pem", base + "/cert.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert, "-days",
                    "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
                   check=True, stderr=subprocess.DEVNULL)
    other = Runtime(tls_certificate=cert, tls_key=key, workers=1)
    try:
        other.control("POST", "/orgs", {"name": "far", "title": ""})
        other.control("POST", "/orgs/far/people", {"name": "ida", "role": "owner",
                                                   "passphrase": "a passphrase of ida"})
        cli = Cli()
        url = "https://localhost:%d" % other.port
        ida = dict(as_="ida", secrets=["a passphrase of ida"])
        assert "not trusted" in cli("whoami", "--url", url, status=1, **ida).err
        assert "ida" in cli("whoami", "--url", url, "--ca", cert, **ida).out
        assert "certificates" in cli("whoami", "--url", url, "--ca", "/no", status=2, **ida).err
        wrong = url.replace("localhost", "127.0.0.1")
        assert "not trusted" in cli("whoami", "--url", wrong, "--ca", cert, status=1, **ida).err
    finally:
        other.remove()


@case()
def nothing_runs_here(rt):
    cli = Cli()
    with tempfile.TemporaryDirectory() as empty:
        for args in (("agent", "list"), ("whoami",), ("approvals", "list")):
            gone = cli(*args, "--data-dir", empty, status=6)
            assert "flopinio does not run here" in gone.err and not gone.out, gone
        os.makedirs(empty + "/run")
        with open(empty + "/run/control.sock", "w"):
            pass
        assert "nobody answers" in cli("whoami", "--data-dir", empty, status=6).err
        # What needs no runtime works all the same.
        assert "data_dir: " + empty in cli("config", "show", "--data-dir", empty).out
        assert "http://127.0.0.1:7337/mcp" in cli("connect", "--data-dir", empty).out
    assert "no setting" in cli("serve", "--lisen=x", status=2).err
    assert "did you mean 'listen'" in cli("serve", "--lisen=x", status=2).err


@case()
def what_to_paste_into_clients(rt):
    org = Org(rt, files=False, policy=None)
    cli = Cli(rt, org, FLOPINIO_CREDENTIAL=org.credential)
    url = "http://127.0.0.1:%d/mcp" % rt.port
    out = cli("connect").out
    for name in ("Claude Code", "VS Code", "Cursor", "Codex"):
        assert name in out
    assert out.count(url) == 4 and out.count(org.credential) == 4, out
    blocks = {c: cli("connect", "--client", c).out for c in ("vscode", "cursor")}
    vscode = json.loads(blocks["vscode"].split("\n", 2)[2])["servers"]["flopinio"]
    cursor = json.loads(blocks["cursor"].split("\n", 2)[2])["mcpServers"]["flopinio"]
    assert vscode["url"] == cursor["url"] == url and vscode["type"] == "http"
    assert vscode["headers"] == {"Authorization": "Bearer " + org.credential}
    assert "https://mcp.example.com/mcp" in cli("connect", "--url", "https://mcp.example.com/").out
    assert "no agent's credential" in Cli(rt, FLOPINIO_CREDENTIAL="flp_x")("connect", status=2).err


@case()
def help_and_pages(rt):
    cli = Cli()
    for args in ((), ("--help",), ("agent", "--help"), ("agent", "create", "--help"),
                 ("help", "agent", "create"), ("serve", "--help"), ("--version",)):
        said = cli(*args)
        assert said.out and not said.err, said
    half = cli("agent", status=2)
    assert "flopinio agent create" in half.err and not half.out
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for page in ("cli", "configuration"):
        with open("%s/docs/%s.md" % (root, page)) as f:
            assert cli("generate", page).out == f.read(), page
