"""Passphrases, second factors and personal tokens over REST; how far a token reaches."""
import contextlib
import glob
import os
import re
from concurrent.futures import ThreadPoolExecutor

from cases import case
from harness import ROOT, refused, unique, wait_for
from house import NEW, STRICT, House, code_of


def routes():
    """(method, pattern) of every route in the tables of runtime/console."""
    found = []
    for name in sorted(glob.glob(os.path.join(ROOT, "runtime/console/*.c"))):
        with open(name) as f:
            found += re.findall(r'{ FL_HTTP_([A-Z]+),\s*"([^"]+)"', f.read())
    return found


def documented():
    """{pattern: its rows} of docs/api.md."""
    found = {}
    with open(os.path.join(ROOT, "docs/api.md")) as f:
        for row in (line.split("|")[1] for line in f if line.startswith("| `")):
            for pattern in re.findall(r"/[a-z][^`, ]*", row):
                found[pattern] = found.get(pattern, "") + row
    return found


# ---------------------------------------------------------------- secrets
@case(limit=60, **STRICT)
def ones_own_passphrase(rt):
    house = House(rt)
    me, token = house.member, house.make_token(house.member)
    for body, status, text in [
            ({"passphrase": NEW, "new": "short"}, 400, "at least"),
            ({"passphrase": NEW, "new": NEW}, 400, "the old one"),
            ({"passphrase": "another one", "new": NEW + "2"}, 403, "signed in with"),
            ({"new": NEW + "2"}, 400, "'passphrase' is missing")]:
        with refused(status, text):
            rt.rest("POST", "/me/passphrase", body, me)
    with refused(403, "no token can do this"):
        rt.rest("POST", "/me/passphrase", {"passphrase": NEW, "new": NEW + "2"}, token)
    rt.rest("POST", "/me/passphrase", {"passphrase": NEW, "new": NEW + "2"}, me)
    for auth in (me, token):
        with refused(401):
            rt.rest("GET", "/me", None, auth)
    assert rt.rest("GET", "/me", None, (me[0], NEW + "2"))["name"] == me[0]


@case(limit=60, **STRICT)
def resetting_a_passphrase(rt):
    """By an admin, with their own passphrase: never with a token, never one's own."""
    house = House(rt)
    path, body = "/people/%s/passphrase" % house.member[0], {"passphrase": NEW + "2"}
    token, admin = house.make_token(house.member), house.make_token(house.admin)
    with refused(403, "no token can do this"):
        house.do("POST", path, body, admin)
    # Nor can it make a person that it could act as.
    made = {"name": unique("puppet"), "role": "approver"}
    with refused(403, "no token can do this"):
        house.do("POST", "/people", dict(made, passphrase=NEW), admin)
    house.do("POST", "/people", made, admin)
    with refused(401):
        rt.rest("GET", "/me", None, (made["name"], NEW))
    with refused(403, "/me/passphrase"):
        house.do("POST", "/people/%s/passphrase" % house.admin[0], body, house.admin)
    for who in (house.approver, house.auditor, house.member):
        with refused(403):
            house.do("POST", "/people/%s/passphrase" % house.auditor[0], body, who)
    with refused(400):
        house.do("POST", path, {"passphrase": "short"}, house.admin)
    secret = rt.rest("POST", "/me/totp", {}, house.member)["secret"]
    rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret)}, house.member)
    house.do("POST", path, body, house.admin)
    with refused(401):
        rt.rest("GET", "/me", None, token)
    assert not rt.rest("GET", "/me", None, (house.member[0], NEW + "2"))["has_second_factor"]
    assert "secret.set" in house.kinds(subject=house.member[0])
    # Locked out by wrong answers; a reset opens it again.
    for _ in range(6):
        rt.rest("GET", "/me", None, (house.member[0], "wrong"), raw=True)
    with refused(429):
        rt.rest("GET", "/me", None, (house.member[0], NEW + "2"))
    house.do("POST", path, {"passphrase": NEW + "3"}, house.admin)
    rt.rest("GET", "/me", None, (house.member[0], NEW + "3"))


def behind_the_lock(rt, auth, code=None):
    """The status of an answer that was looked at while others locked its person out."""
    conn = rt.connect()
    conn.autocommit = False
    with ThreadPoolExecutor() as pool, contextlib.closing(conn), conn.cursor() as cur:
        cur.execute("UPDATE person SET failed_count = 5, locked_until = now() + interval '1 hour' "
                    "WHERE name = %s", (auth[0],))
        asked = pool.submit(rt.rest, "GET", "/me", None, auth, code=code, raw=True)
        wait_for("the answer's own transaction", lambda: rt.sql(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
            "starts_with(query, 'SELECT person_')"), every=0.005)
        conn.commit()
        status = asked.result()[0]
    failed = rt.sql("SELECT failed_count FROM person WHERE name = %s", auth[0])[0]["failed_count"]
    rt.sql("UPDATE person SET failed_count = 0, locked_until = NULL WHERE name = %s", auth[0])
    return status, failed


@case(limit=60, **STRICT)
def guesses_that_come_at_once_do_not_get_around_the_lock(rt):
    """Whoever is locked out is so for what was read before: and a right answer looks like a wrong one."""
    house = House(rt)
    me = house.member
    assert behind_the_lock(rt, me) == (429, 5)
    assert behind_the_lock(rt, (me[0], "wrong")) == (429, 5)
    secret = rt.rest("POST", "/me/totp", {}, me)["secret"]
    rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret, -1)}, me)
    assert behind_the_lock(rt, me, code_of(secret)) == (429, 5)
    assert behind_the_lock(rt, me, "000000") == (429, 5)
    rt.rest("GET", "/me", None, me, code=code_of(secret))


@case(limit=60, **STRICT)
def a_second_factor(rt):
    house = House(rt)
    me = house.approver
    made = rt.rest("POST", "/me/totp", {}, me)
    secret = made["secret"]
    assert made["uri"].startswith("otpauth://totp/Flopinio:%s?secret=%s" % (me[0], secret)), made
    assert not rt.rest("GET", "/me", None, me)["has_second_factor"]
    for body in ({"secret": secret, "code": "000000"}, {"secret": "AAAA", "code": "000000"},
                 {"secret": secret}, {"code": code_of(secret)}):
        with refused(400):
            rt.rest("POST", "/me/totp/confirm", body, me)
    with refused(409, "no second factor"):
        rt.rest("DELETE", "/me/totp", None, me)
    token = house.make_token(me)
    for method, path in (("POST", "/me/totp"), ("POST", "/me/totp/confirm"), ("DELETE", "/me/totp")):
        with refused(403, "no token can do this"):
            rt.rest(method, path, None, token)
    used = code_of(secret, -1)
    rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": used}, me)
    with refused(401, "a code of your authenticator"):
        rt.rest("GET", "/me", None, me)
    with refused(401, "wrong or was used"):
        rt.rest("GET", "/me", None, me, code=used)
    code = code_of(secret)
    assert rt.rest("GET", "/me", None, me, code=code)["has_second_factor"]
    with refused(401, "wrong or was used"):
        rt.rest("GET", "/me", None, me, code=code)
    with refused(401):
        rt.rest("DELETE", "/me/totp", None, me)
    rt.rest("DELETE", "/me/totp", None, me, code=code_of(secret, 1))
    assert not rt.rest("GET", "/me", None, me)["has_second_factor"]
    stored = rt.sql("SELECT leaf FROM audit_event WHERE kind = 'secret.set'")
    assert stored and not any(secret.encode() in r["leaf"] for r in stored)


@case(limit=60, **STRICT)
def personal_tokens(rt):
    house = House(rt)
    me = house.owner
    for wrong, text in [({"scopes": []}, "'scopes'"), ({"scopes": ["root"]}, "'scopes'"),
                        ({"name": ""}, "'name'"), ({"expires": "91d"}, "90d"),
                        ({"expires": "0s"}, "'expires'"), ({"scope": "read"}, "not known here"),
                        ({"scopes": ["read", "decide"], "expires": "25h"}, "24h")]:
        with refused(400, text):
            rt.rest("POST", "/me/tokens", dict({"name": "t", "scopes": ["read"]}, **wrong), me)
    with refused(403, "no token can do this"):
        rt.rest("POST", "/me/tokens", {"name": "t", "scopes": ["read"]}, house.token)
    made = rt.rest("POST", "/me/tokens", {"name": "t", "scopes": ["read", "decide"],
                                          "expires": "24h"}, me)
    rows = {r["id"]: r for r in rt.rest("GET", "/me/tokens", None, me)["items"]}
    assert rows[made["id"]] == {"id": made["id"], "name": "t", "scopes": ["read", "decide"],
                                "expires_at": made["expires_at"], "is_usable": True}
    assert len(rows) == 2 and made["token"] not in str(rows)
    # Somebody else's, unknown, none.
    for who, which in ((house.member, made["id"]), (me, "x"),
                       (me, "00000000-0000-0000-0000-000000000000")):
        with refused(404, "you have no such token"):
            rt.rest("DELETE", "/me/tokens/" + which, None, who)
    assert rt.rest("DELETE", "/me/tokens/" + made["id"], None, me) == {"revoked": 1}
    with refused(401, "was revoked"):
        rt.rest("GET", "/me", None, made["token"])
    short = rt.rest("POST", "/me/tokens", {"name": "s", "scopes": ["read"], "expires": "1s"}, me)
    wait_for("expiry", lambda: rt.rest("GET", "/me", None, short["token"], raw=True)[0] == 401, 3)
    rt.rest("DELETE", "/me/tokens", None, me)
    with refused(401):
        rt.rest("GET", "/me", None, house.token)


# ---------------------------------------------------------------- how far a token reaches
@case(**STRICT)
def every_route_is_documented(rt):
    rows = documented()
    missing = [(method, pattern) for method, pattern in routes()
               if method not in rows.get(pattern, "")]
    assert not missing, missing


@case(limit=60, **STRICT)
def a_token_reaches_as_far_as_its_scopes(rt):
    """Over all routes: the scope `read` changes nothing, an agent's credential and nobody at all are
    401."""
    house = House(rt)
    house.do("POST", "/agents", {"name": "bot"})
    agent = house.do("POST", "/agents/bot/credentials", {"name": "c"})["credential"]
    read = house.make_token(house.owner, ["read"])
    decide = house.make_token(house.owner, ["decide"])
    assert len(routes()) > 50
    for method, pattern in routes():
        path = re.sub(r"{\w+}", "x", pattern.replace("{org}", house.name))
        body = {} if method in ("POST", "PATCH") else None
        assert rt.rest(method, path, body, agent, raw=True)[0] == 401, (method, path)
        assert rt.rest(method, path, body, raw=True)[0] == 401, (method, path)
        status, said = rt.rest(method, path, body, read, raw=True)
        if method == "GET":
            assert status in (200, 400, 403, 404), (method, path, status, said)
        else:
            assert status == 403 and "scope" in said["error"]["text"], (method, path, said)
        if method != "GET" and not re.search("/(decision|settle|cancel|stops|reject|reopen|"
                                              "break-glass|review|edit|grants)", path):
            status, said = rt.rest(method, path, body, decide, raw=True)
            assert status == 403 and "scope" in said["error"]["text"], (method, path, said)
    assert house.do("GET", "/agents/bot")["state"] == "active"
