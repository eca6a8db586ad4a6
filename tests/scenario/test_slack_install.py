"""Installing a Slack app by OAuth: the address, the browser, the token; and what its manifest asks
for."""
import glob
import http.client
import json
import os
import re
import urllib.parse

from cases import case
from chat import LOCAL, policy
from cli import Cli, Terminal
from fake_slack import MEMBERS, SECRET, FakeSlack, Hooks, User
from fake_slack_app import (ALL_SCOPES, CLIENT, CLIENT_SECRET, COMMANDS, EVENTS, HISTORY_SCOPES,
                            SCOPES)
from harness import Org, refused, wait_for
from mcp_client import McpWs, text_of
from slack import OPS, facts, link

HOST = "flopinio.example"
PUBLIC = dict(LOCAL, public_url="https://" + HOST)
BACK = "https://%s/oauth/slack" % HOST


def browse(rt, url, method="GET"):
    """As the browser that Slack sends back: (status, text)."""
    at = urllib.parse.urlsplit(url)
    conn = http.client.HTTPConnection("127.0.0.1", rt.port, timeout=30)
    try:
        conn.request(method, "%s?%s" % (at.path, at.query), headers={"Host": HOST})
        answer = conn.getresponse()
        text = answer.read().decode()
        assert answer.getheader("Cache-Control") == "no-store" or "Begin again" not in text, text
        return answer.status, text
    finally:
        conn.close()


def slack(**more):
    sl = FakeSlack(**more)
    sl.redirect_urls = [BACK]
    return sl


def body(sl, **more):
    return dict({"client_id": CLIENT, "client_secret": CLIENT_SECRET,
                 "secret": {"signing_secret": SECRET}, "config": {"base_url": sl.url}}, **more)


def begin(org, sl, name="sl", who=None, **more):
    path = "/channels/%s/slack-install" % name
    if who:
        return org.rt.rest("POST", org.path(path), body(sl, **more), who)
    return org.control("POST", path, body(sl, **more))


def state(org, made):
    return org.control("GET", "/slack-installs/" + made["id"])


def take(org, made):
    return org.control("POST", "/slack-installs/" + made["id"])


def installed(rt, org, sl, name="sl", **more):
    made = begin(org, sl, name, **more)
    status, text = browse(rt, sl.consent(made["url"]))
    assert status == 200 and "Go back to the command line" in text, (status, text)
    return made


def channels(org):
    return {c["name"]: c for c in org.control("GET", "/channels")["items"]}


def opened_anew(rt, since):
    """Whoever looks after the channel has what was changed."""
    wait_for("the channel to be opened anew", lambda: "channel_opened" in rt.log(since))


def exchanges(sl):
    return [args for method, args in sl.calls if method == "oauth.v2.access"]


@case(limit=60, **PUBLIC)
def a_slack_app_is_installed_from_the_command_line(rt):
    """The address is opened in a browser, the command line says where it is and asks; the channel
    works. Again: the token is renewed, whatever else the channel has stays."""
    with slack() as sl:
        org = Org(rt, files=False, scenario=True, policy=None)
        cli = Cli(rt, org)
        files = {}
        for name, text in (("client_secret", CLIENT_SECRET), ("signing_secret", SECRET)):
            files[name] = "%s/install-%s" % (rt.base, name)
            with open(files[name], "w") as f:
                f.write(text + "\n")
        sl.channel(OPS)
        secrets = ["--secret", "client_secret=" + files["client_secret"]]
        whole = ["channel", "slack-install", "sl", "--client-id", CLIENT, *secrets, "--secret",
                 "signing_secret=" + files["signing_secret"], "--config",
                 json.dumps({"base_url": sl.url, "channels": [OPS]})]
        assert "--workspace" in cli(*whole, status=2).err
        assert "client_secret" in cli("channel", "slack-install", "sl", "--client-id", CLIENT,
                                      "--workspace", "T1HOME", status=2).err
        assert "signing_secret" in cli("channel", "slack-install", "sl", "--client-id", CLIENT,
                                       *secrets, "--workspace", "T1HOME", status=1).err

        def address(terminal):
            terminal.expect("/oauth/v2/authorize?")
            terminal.expect("state=fll_")
            wait_for("the whole of it", lambda: re.search(r"state=fll_[\w-]{49}", terminal.text))
            return re.search(r"http://\S+state=\S+", terminal.text.replace("\r\n", "\n")).group(0)
        sl.scopes -= {"groups:read"}
        with Terminal(cli, *whole, columns=2000) as t:
            status, text = browse(rt, sl.consent(address(t)))
            assert status == 200, text
            t.expect("installed into the workspace Home (T1HOME), by the user U1ADMIN")
            t.expect("did not grant groups:read")
            t.expect("[y/N] ")
            assert channels(org) == {}
            t.send("y\n")
            t.expect("channel sl added")
            t.end(0)
        wait_for("the workspace", lambda: facts(org).get("bot"))
        first = sl.token
        hooks = sl.deliver = Hooks(rt, "/hooks/slack/%s/sl" % org.name)
        ann = link(org, sl, org.ann, sl.user("U1ANN", "ann"))
        sl.scopes = set(ALL_SCOPES)

        # For a workspace that is named; another one is not taken.
        for workspace, end in (("T2OTHER", 1), ("T1HOME", 0)):
            since = rt.log_size()
            with Terminal(cli, "channel", "slack-install", "sl", "--client-id", CLIENT, *secrets,
                          "--workspace", workspace, columns=2000) as t:
                browse(rt, sl.consent(address(t)))
                t.expect("channel sl has the new token" if end == 0 else "no channel was changed")
                t.end(end)
            if end:
                assert channels(org)["sl"]["config"]["channels"] == [OPS]
        opened_anew(rt, since)
        assert sl.token != first
        org.apply(policy(["sl"]))
        org.sync()
        with McpWs(rt, org.credential) as agent:
            call = agent.call_start("s__append_line", {"line": "one"})
            card = sl.wait_message(OPS, "append_line", timeout=20)
            assert sl.click(ann, card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"
        assert "nothing waits" in sl.command(ann, "pending") and hooks
        kept = json.dumps([rt.log()] + [r["row"] for table in ("slack_install", "channel") for r in
                                        rt.sql("SELECT row_to_json(t)::text AS row FROM %s t WHERE "
                                               "organization_id = '%s'" % (table, org.id))])
        for secret in (sl.token, first, CLIENT_SECRET, SECRET, "fll_"):
            assert secret not in kept, secret
        leaves = [json.loads(r["leaf"]) for r in rt.sql(
            "SELECT leaf FROM audit_event WHERE organization_id = %s AND kind IN ('channel.created', "
            "'channel.changed') ORDER BY recorded_at, event_id", org.id)]
        assert [leaf["data"]["installed_into"] for leaf in leaves] == ["T1HOME"] * 2, leaves


@case(limit=60, **PUBLIC)
def a_state_is_good_for_once(rt):
    """Forged, used, too old, of a beginning that was begun anew: one sentence, and Slack is not even
    asked. What Slack refuses, or gives that is no bot's token, ends it."""
    with slack() as sl:
        org = Org(rt, files=False, policy=None)
        made = begin(org, sl)
        back = sl.consent(made["url"])
        sent = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))
        token = sent["state"]

        def with_(**more):
            return BACK + "?" + urllib.parse.urlencode(dict(sent, **more))
        forged = [token[:-1] + ("A" if token[-1] != "A" else "B"), "", "x", token + "A", token.upper(),
                  "fll_" + "A" * 49]
        for other in [with_(state=s) for s in forged] + [
                BACK, BACK + "?code=" + sent["code"], back + "&state=" + token,
                back + "&code=" + sent["code"], BACK + "?state=%00", BACK + "?state=%zz"]:
            status, text = browse(rt, other)
            assert status == 400 and "Installed" not in text, (other, status, text)
        assert browse(rt, back, method="POST")[0] == 400
        assert exchanges(sl) == [] and state(org, made)["state"] == "waiting"
        assert browse(rt, back)[0] == 200 and len(exchanges(sl)) == 1
        assert state(org, made)["state"] == "installed"
        status, text = browse(rt, back)
        assert status == 400 and "used before" in text, text
        assert len(exchanges(sl)) == 1 and take(org, made)["is_new"]
        with refused(409, "was taken"):
            take(org, made)
        # Too old, and void because it was begun anew.
        old, void = begin(org, sl, "two"), begin(org, sl, "three")
        rt.sql("UPDATE slack_install SET expires_at = now() WHERE install_id = %s", old["id"])
        newer = begin(org, sl, "three")
        for gone in (old, void):
            assert "too old" in browse(rt, sl.consent(gone["url"]))[1]
        assert state(org, old)["state"] == "over" and state(org, newer)["state"] == "waiting"
        assert len(exchanges(sl)) == 1
        # Installed, and not taken in time.
        late = installed(rt, org, sl, "four")
        rt.sql("UPDATE slack_install SET expires_at = now() WHERE install_id = %s", late["id"])
        with refused(409, "too old"):
            take(org, late)
        # What Slack says.
        assert "refused in Slack" in browse(rt, sl.consent(newer["url"], deny=True))[1]
        assert state(org, newer)["trouble"] == "it was refused in Slack"
        for wrong, text in (({"token_type": "user"}, "no token of a bot"),
                            ({"access_token": "xoxp-1"}, "no token of a bot"),
                            ({"refresh_token": "xoxe-1"}, "token rotation"),
                            ({"team": None}, "where"), ({"team": {"id": "../x"}}, "where")):
            sl.grants = wrong
            made = begin(org, sl, "five")
            status, said = browse(rt, sl.consent(made["url"]))
            assert status == 400 and text in said, said
            assert state(org, made)["state"] == "failed"
            with refused(409):
                take(org, made)
        sl.grants = None
        made = begin(org, sl, "five", client_secret="0123456789abcdef")
        assert "bad_client_secret" in browse(rt, sl.consent(made["url"]))[1]
        made = begin(org, sl, "five")
        back = sl.consent(made["url"])
        assert "invalid_code" in browse(rt, re.sub("code=[^&]*", "code=other", back))[1]
        sl.is_down = True
        made = begin(org, sl, "five")
        assert browse(rt, sl.consent(made["url"]))[0] == 400
        assert state(org, made)["state"] == "failed" and list(channels(org)) == ["sl"]


@case(limit=60, **PUBLIC)
def an_install_is_taken_by_who_began_it(rt):
    """And into the workspace that the channel is of; nobody else's role, nothing of another
    organization."""
    with slack() as sl:
        org = Org(rt, files=False, policy=None, own_people=True)
        other = Org(rt, files=False, policy=None)
        adam, ann = [(p.name, p.passphrase) for p in (org.adam, org.ann)]
        second = org.add_person("ada", "admin", [], True)
        with refused(403):
            begin(org, sl, who=ann)
        made = begin(org, sl, who=adam)
        browse(rt, sl.consent(made["url"]))
        path = org.path("/slack-installs/" + made["id"])
        for who in ((second.name, second.passphrase), ann):
            for method in ("GET", "POST"):
                with refused(404 if who != ann else 403):
                    rt.rest(method, path, None, who)
        with refused(404, "somebody else began it"):
            take(org, made)
        with refused(404):
            other.control("GET", "/slack-installs/" + made["id"])
        with refused(404):
            other.control("POST", "/slack-installs/" + made["id"])
        assert rt.rest("GET", path, None, adam)["outcome"]["workspace"] == "Home"
        assert rt.rest("POST", path, None, adam) == {"name": "sl", "is_new": True}
        wait_for("the workspace", lambda: facts(org).get("bot"))
        before = channels(org)["sl"]
        sl.team = "T2OTHER"
        moved = installed(rt, org, sl)
        with refused(409, "is of the workspace T1HOME, and the app was installed into T2OTHER"):
            take(org, moved)
        assert channels(org)["sl"]["config"] == before["config"]
        # Nor into all of an enterprise, whose workspaces' people would count.
        sl.team, sl.enterprise, sl.is_org_wide = "T1HOME", "E9ELSE", True
        moved = installed(rt, org, sl)
        with refused(409, "workspace T1HOME, and the app was installed into the enterprise E9ELSE"):
            take(org, moved)
        sl.enterprise, sl.is_org_wide = None, False
        # An app without the scopes for the history is not asked for them, and none is missing.
        sl.scopes, sl.asked_scopes = ALL_SCOPES - HISTORY_SCOPES, ALL_SCOPES - HISTORY_SCOPES
        less = installed(rt, org, sl, without_history=True)
        assert state(org, less)["outcome"]["missing_scopes"] == [], state(org, less)
        assert not take(org, less)["is_new"]
        sl.scopes = sl.asked_scopes = ALL_SCOPES
        with refused(400, "'without_history'"):
            begin(org, sl, without_history="yes")
        with refused(400, "'client_id'"):
            begin(org, sl, client_id="a b")
        with refused(400, "what this is to get"):
            begin(org, sl, secret={"token": "xoxb-1234567890"})
        with refused(400, "a channel's name"):
            begin(org, sl, "inbox")
        with refused(400, "has no setting"):
            begin(org, sl, config={"nonsense": 1})
        org.control("POST", "/channels", {"name": "tg", "kind": "telegram",
                                          "secret": {"token": "1:" + "a" * 35}})
        with refused(409, "none of Slack"):
            begin(org, sl, "tg")


@case(limit=60, **LOCAL)
def an_install_takes_an_address_that_browsers_reach(rt):
    with slack() as sl:
        org = Org(rt, files=False, policy=None)
        with refused(409, "public_url"):
            begin(org, sl)


@case(limit=60, **PUBLIC)
def an_app_in_all_of_an_enterprise_hears_its_workspaces(rt):
    """On a Grid, installed for the whole organization: people of each of its workspaces count, those
    of another enterprise do not; their ids are kept with the enterprise's."""
    with slack(enterprise="E1GRID") as sl:
        sl.is_org_wide = True
        org = Org(rt, files=False, scenario=True, policy=None)
        sl.channel(OPS)
        made = installed(rt, org, sl, config={"base_url": sl.url, "channels": [OPS]})
        outcome = state(org, made)["outcome"]
        assert outcome["is_enterprise_install"] and outcome["enterprise"] == "E1GRID", outcome
        assert outcome["team"] == "" and outcome["workspace"] == "Grid", outcome
        take(org, made)
        wait_for("the app to be known", lambda: facts(org).get("bot"))
        assert facts(org)["is_enterprise_install"] is True
        sl.deliver = Hooks(rt, "/hooks/slack/%s/sl" % org.name)
        sl.team = "T5SIDE"  # what happens in one of its workspaces
        grid = {"enterprise_id": "E1GRID", "teams": ["T5SIDE"]}
        ann = link(org, sl, org.ann, sl.user("W1ANN", "ann", team="T5SIDE", enterprise_user=grid))
        assert [r["external_id"] for r in rt.sql(
            "SELECT external_id FROM chat_identity WHERE organization_id = %s", org.id)] == [
            "E1GRID/T5SIDE/W1ANN"]
        org.apply(policy(["sl"]))
        org.sync()
        with McpWs(rt, org.credential) as agent:
            call = agent.call_start("s__append_line", {"line": "one"})
            card = sl.wait_message(OPS, "append_line", timeout=20)
            stranger = User("W1ANN", "ann", team="T9OTHER")
            assert "another workspace" in sl.click(stranger, card, "Approve")
            sl.enterprise = "E9ELSE"
            _, payload = sl.action_payload(ann, card, sl.element(card, "Approve"))
            assert sl.send(payload) == (200, b"")
            sl.enterprise = "E1GRID"
            assert "append_line" in sl.text(sl.open_home(ann))
            assert sl.click(ann, card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"
        # Into one workspace of another enterprise, or of none, it does not go.
        sl.is_org_wide = False
        for sl.enterprise, sl.team in (("E9ELSE", "T5SIDE"), (None, "T1HOME")):
            moved = installed(rt, org, sl)
            with refused(409, "enterprise E1GRID, and the app was installed into the workspace " + sl.team):
                take(org, moved)
        sl.enterprise, sl.team, sl.is_org_wide = "E1GRID", "T5SIDE", True
        since = rt.log_size()
        made = installed(rt, org, sl, config={"base_url": sl.url})
        assert not take(org, made)["is_new"]
        opened_anew(rt, since)
        with McpWs(rt, org.credential) as agent:
            call = agent.call_start("s__append_line", {"line": "two"})
            mine = sl.wait_message("D1ANN", "append_line", timeout=20)
            assert sl.click(ann, mine, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"


@case(**LOCAL)
def the_manifest_asks_for_what_the_code_uses_and_no_more(rt):
    """Methods that are called, events that are listened to, the command: with the scopes that Slack
    wants for them (the fake's tables, which refuse everything else)."""
    org = Org(rt, files=False, policy=None)
    app = json.loads(Cli(rt, org)("channel", "slack-manifest", "sl", "--public-url",
                                  "https://" + HOST).out)
    called, words = set(), set()
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    for path in glob.glob(root + "/runtime/notify/slack*.c"):
        with open(path) as f:
            text = f.read()
        called |= set(re.findall(r'"((?:api|apps|auth|bots|chat|conversations|dnd|emoji|files|im|oauth|'
                                 r'openid|pins|reactions|team|users|usergroups|views)(?:\.\w+)+)"', text))
        words |= set(re.findall(r'"((?:channel|group)_[a-z]+|user_change|app_home_opened)"', text))
    assert called == set(MEMBERS), called ^ set(MEMBERS)
    events = app["settings"]["event_subscriptions"]["bot_events"]
    assert sorted(events) == sorted(EVENTS) and words - {"channel_id"} <= set(EVENTS), words
    commands = [c["command"] for c in app["features"]["slash_commands"]]
    assert commands == list(COMMANDS)
    used = {s for m in called for v in [SCOPES.get(m, [])]
            for s in (v.values() if isinstance(v, dict) else [v] if v else [])}
    used |= {COMMANDS[c] for c in commands} | {EVENTS[e] for e in events if EVENTS[e]}
    assert sorted(app["oauth_config"]["scopes"]["bot"]) == sorted(used) == sorted(ALL_SCOPES)
    assert app["oauth_config"]["redirect_urls"] == [BACK]
    less = json.loads(Cli(rt, org)("channel", "slack-manifest", "sl", "--without-history").out)
    assert set(less["oauth_config"]["scopes"]["bot"]) == ALL_SCOPES - HISTORY_SCOPES
    assert set(app["oauth_config"]["scopes"]) == {"bot"}, "no scope of a user"


@case(limit=60, **PUBLIC)
def a_token_that_nobody_took_would_have_stayed(rt):
    """Sealed for good, and in no count of what a key seals. Its beginning is in the audit."""
    def sealed():
        return [bool(r["n"]) for r in rt.sql(
            "SELECT length(secret) AS n FROM slack_install WHERE organization_id = %s ORDER BY "
            "expires_at", org.id)]

    def count():
        with rt.connect("app") as conn, conn.cursor() as cur:
            cur.execute("SELECT sum(sweep_key_rows(k)) FROM generate_series(1, 9) k")
            return cur.fetchone()[0]
    with slack() as sl:
        org = Org(rt, files=False, policy=None)
        before = count()
        made = [installed(rt, org, sl, name) for name in ("one", "two", "three")]
        begun = [json.loads(r["leaf"]) for r in rt.sql(
            "SELECT leaf FROM audit_event WHERE organization_id = %s AND kind = "
            "'channel.install_begun' ORDER BY recorded_at, event_id", org.id)]
        assert [(b["data"]["channel"], b["data"]["by"]) for b in begun] == [
            (n, "operator") for n in ("one", "two", "three")], begun
        assert CLIENT_SECRET not in json.dumps(begun) and "fll_" not in json.dumps(begun)
        assert count() == before + 3 and sealed() == [True] * 3
        for id, ago in ((made[0]["id"], "2 days"), (made[1]["id"], "2 minutes")):
            rt.sql("UPDATE slack_install SET expires_at = now() - %s::interval WHERE install_id = %s",
                   ago, id)
        wait_for("the sweep", lambda: sealed() == [False, True], 90)
        assert count() == before + 1 and state(org, made[1])["state"] == "over"
        with refused(409, "too old"):
            take(org, made[1])
        assert take(org, made[2])["is_new"] and count() == before + 1  # the channel's
