"""Organizations, people and groups over REST: each route, each refusal, and what one organization's
people try on another's."""
import json
import socket
import struct
import time

from cases import case
from harness import refused, unique, wait_for
from house import NEW, STRICT, House, both


# ---------------------------------------------------------------- who may do what
@case(limit=60, **STRICT)
def roles_and_routes(rt):
    """Each role against each kind of route: exactly what policy/role.h says."""
    house = House(rt)
    house.do("POST", "/agents", {"name": "bot", "owner": house.member[0]})
    changes = [
        ("PATCH", "", {"title": "x"}),
        ("POST", "/people", {"name": unique("p"), "role": "member"}),
        ("PATCH", "/people/" + house.member[0], {"display_name": "M"}),
        ("POST", "/groups", {"name": unique("g")}),
        ("POST", "/agents", {"name": unique("a"), "owner": house.member[0]}),
        ("PATCH", "/agents/bot", {"title": "t"}),
        ("POST", "/agents/bot/credentials", {"name": "c"}),
        ("DELETE", "/agents/bot/credentials", None),
    ]
    looks = ["/people", "/groups", "/agents", "/agents/bot", "/agents/bot/credentials"]
    for role in House.ROLES:
        auth = house.make_token(getattr(house, role))
        for method, path, body in changes:
            status = house.status(method, path, body, auth)
            assert (status < 300) == (role == "admin"), (role, method, path, status)
            assert status < 300 or status == 403, (role, method, path, status)
            if method == "POST" and role == "admin":
                body["name"] = unique("z")
        for path in looks:
            status = house.status("GET", path, None, auth)
            assert status == (403 if role == "member" else 200), (role, path, status)
        assert house.do("GET", "", None, auth)["name"] == house.name


@case(limit=60, **STRICT)
def an_admin_is_no_owner(rt):
    """An admin makes, changes, resets, demotes and offboards no owner, and does not become one."""
    house = House(rt)
    second = house.add("owner")
    admin = house.make_token(house.admin)
    for method, path, body in [
            ("PATCH", "/people/" + house.admin[0], {"role": "owner"}),
            ("PATCH", "/people/" + second[0], {"role": "member"}),
            ("PATCH", "/people/" + second[0], {"email": "mallory@example.com"}),
            ("PATCH", "/people/" + second[0], {"display_name": "Mallory"}),
            ("POST", "/people/" + second[0] + "/offboard", {}),
            ("POST", "/people", {"name": unique("o"), "role": "owner"})]:
        with refused(403, "an admin may not make or remove owners"):
            house.do(method, path, body, admin)
    with refused(403, "an admin may not make or remove owners"):
        house.do("POST", "/people/%s/passphrase" % second[0], {"passphrase": NEW + "2"}, house.admin)
    rt.rest("GET", "/me", None, second)
    # Each attempt is in the audit, and nothing else of it.
    tried = [k for k in house.kinds(subject=house.admin[0]) if k == "authz.failed"]
    assert len(tried) == 7 and house.role_of(second[0]) == "owner", tried
    # The same by the owner.
    house.do("PATCH", "/people/" + second[0], {"role": "admin", "email": "s@example.com"})
    house.do("PATCH", "/people/" + second[0], {"role": "owner"})
    assert house.people()[second[0]]["role"] == "owner"


@case(limit=60, **STRICT)
def the_last_owner_stays(rt):
    house = House(rt)
    me = house.owner[0]
    for method, path, body in [("PATCH", "/people/" + me, {"role": "admin"}),
                               ("POST", "/people/%s/offboard" % me, {})]:
        with refused(409, "the last owner"):
            house.do(method, path, body)
    silent = unique("silent")
    house.do("POST", "/people", {"name": silent, "role": "owner"})  # cannot sign in yet
    with refused(409, "who can sign in"):
        house.do("PATCH", "/people/" + me, {"role": "admin"})
    house.do("PATCH", "/people/" + silent, {"role": "member"})
    # Two owners demote each other at the same moment: one of them stays.
    second = house.add("owner")
    tokens = [house.token, house.make_token(second)]
    for _ in range(5):
        results = both(lambda: house.do("PATCH", "/people/" + second[0], {"role": "admin"}, tokens[0]),
                       lambda: house.do("PATCH", "/people/" + me, {"role": "admin"}, tokens[1]))
        assert sum(isinstance(r, dict) for r in results) == 1, results
        roles = [house.role_of(name, tokens[0]) for name in (me, second[0])]
        assert sorted(roles) == ["admin", "owner"], roles
        winner, other = (tokens[0], second[0]) if roles[0] == "owner" else (tokens[1], me)
        house.do("PATCH", "/people/" + other, {"role": "owner"}, winner)



@case(limit=60, **STRICT)
def the_operator_until_an_admin_is_there(rt):
    """The operator sets an organization up, then only looks; a new organization gives them nothing
    in another one."""
    name = unique("h")
    rt.control("POST", "/orgs", {"name": name})
    quiet = unique("quiet")
    rt.control("POST", "/orgs/%s/people" % name, {"name": quiet, "role": "owner"})
    rt.control("POST", "/orgs/%s/groups" % name, {"name": "g", "members": [quiet]})
    house = House(rt)
    with refused(403, "operator_authority"):
        rt.control("POST", house.path("/groups"), {"name": "g"})
    for path in ("", "/people", "/groups", "/agents"):
        rt.control("GET", house.path(path))
    # What an agent with the operator's rights would try: pull somebody into an organization of its
    # own, and set their passphrase or name there.
    victim = house.owner[0]
    rt.control("POST", "/orgs/%s/people" % name, {"name": victim, "role": "member"})
    for body, path in (({"passphrase": NEW + "x"}, "/passphrase"), ({"display_name": "x"}, "")):
        with refused(403, "belongs to other organizations"):
            rt.control("POST" if path else "PATCH", "/orgs/%s/people/%s%s" % (name, victim, path),
                       body)
    rt.rest("GET", "/me", None, house.owner)
    with refused(403, "only the operator"):
        rt.rest("POST", "/orgs", {"name": unique("h")}, house.owner)
    for method, path in (("POST", "/me/totp"), ("GET", "/me/tokens"), ("POST", "/me/tokens"),
                         ("DELETE", "/me/tokens"), ("POST", "/me/passphrase")):
        with refused(403, "the operator is no person"):
            rt.control(method, path, {} if method == "POST" else None)
    assert rt.control("GET", "/me")["is_operator"]


@case(limit=60, **STRICT)
def an_operator_alone_stops_an_agent_that_runs_amok(rt):
    """At night, with every administrator asleep: whoever has the data directory stops it, in the
    audit's sight, and nobody but an administrator has it go on."""
    house = House(rt)
    house.do("POST", "/agents", {"name": "bot", "owner": house.member[0]})
    for authority in ("until_admin", "never"):
        rt.configure(operator_authority=authority)
        rt.control("POST", house.path("/stops"), {"scope": "agent", "name": "bot", "reason": "amok"})
        with refused(403, "operator_authority"):
            rt.control("POST", house.path("/stops/resume"), {"scope": "agent", "name": "bot"})
        for method, path, body in (("PATCH", "/agents/bot", {"state": "active"}),
                                   ("POST", "/groups", {"name": "g"})):
            with refused(403, "operator_authority"):
                rt.control(method, house.path(path), body)
        (stop,) = house.do("GET", "/stops")["items"]
        assert (stop["scope"], stop["name"], stop["set_by"]) == ("agent", "bot", "operator"), stop
        set_by = rt.sql("SELECT actor_kind FROM audit_event JOIN organization USING "
                        "(organization_id) WHERE name = %s AND kind = 'stop.set' ORDER BY "
                        "recorded_at DESC LIMIT 1", house.name)
        assert set_by[0]["actor_kind"] == "operator", set_by
        # On the main listener nobody is the operator.
        assert rt.rest("POST", house.path("/stops"), {"scope": "agent", "name": "bot",
                                                      "reason": "x"}, raw=True)[0] == 401
        house.do("POST", "/stops/resume", {"scope": "agent", "name": "bot"}, house.admin)
        wait_for("nothing to be left", lambda: house.do("GET", "/stops")["items"] == [])


# ---------------------------------------------------------------- two organizations
@case(limit=60, **STRICT)
def two_organizations(rt):
    """Nothing of one is there for the people of the other: the same answer as for what does not
    exist."""
    mine, other = House(rt), House(rt)
    other.do("POST", "/agents", {"name": "theirs", "owner": other.member[0]})
    other.do("POST", "/groups", {"name": "theirs"})
    made = other.do("POST", "/agents/theirs/credentials", {"name": "c"})
    mine.do("POST", "/agents", {"name": "mine"})
    assert [o["name"] for o in rt.rest("GET", "/orgs", None, mine.token)["items"]] == [mine.name]
    for method, path, body in [
            ("GET", "", None), ("PATCH", "", {"title": "x"}), ("GET", "/people", None),
            ("POST", "/people", {"name": unique("p"), "role": "owner"}),
            ("PATCH", "/people/" + other.member[0], {"role": "owner"}),
            ("POST", "/people/%s/offboard" % other.member[0], {}),
            ("GET", "/groups", None), ("POST", "/groups", {"name": "g"}),
            ("DELETE", "/groups/theirs", None), ("GET", "/agents/theirs", None),
            ("PATCH", "/agents/theirs", {"state": "frozen"}),
            ("POST", "/agents/theirs/credentials", {"name": "c"}),
            ("DELETE", "/agents/theirs/credentials/" + made["id"], None)]:
        status, said = rt.rest(method, other.path(path), body, mine.token, raw=True)
        assert (status, said) == rt.rest(method, "/orgs/no-such-one" + path, body, mine.token,
                                         raw=True), (method, path, status, said)
        assert status == 404, (method, path, status)
    # Their ids and names behind one's own organization's paths.
    for method, path, body, wanted in [
            ("PATCH", "/people/" + other.member[0], {"role": "owner"}, 404),
            ("POST", "/people/%s/offboard" % other.member[0], {}, 404),
            ("DELETE", "/agents/mine/credentials/" + made["id"], None, 404),
            ("DELETE", "/groups/theirs", None, 404), ("GET", "/agents/theirs", None, 404),
            ("POST", "/agents", {"name": "b", "owner": other.member[0]}, 400),
            ("POST", "/groups", {"name": "g", "members": [other.member[0]]}, 400)]:
        assert mine.status(method, path, body) == wanted, (method, path)
    assert mine.status("POST", "/people/%s/passphrase" % other.member[0], {"passphrase": NEW + "2"},
                       mine.owner) == 404
    assert other.do("GET", "/agents/theirs/credentials")["items"][0]["is_usable"]
    rt.rest("GET", "/me", None, other.member)


@case(limit=60, **STRICT)
def a_person_of_two_organizations(rt):
    """Neither organization's admin can take over who belongs to the other one too; somebody with
    the authority in both can; leaving one leaves the other."""
    a, b = House(rt), House(rt)
    shared = a.add("approver")
    with refused(409, "the name is taken"):
        b.do("POST", "/people", {"name": shared[0], "role": "member"})
    with refused(400, "give a role and groups only"):
        b.do("POST", "/people", {"name": shared[0], "role": "member", "passphrase": NEW + "2"},
             b.owner, control=True)
    assert not b.do("POST", "/people", {"name": shared[0], "role": "owner"}, control=True)["is_new"]
    with refused(409, "a member already"):
        b.do("POST", "/people", {"name": shared[0], "role": "owner"}, control=True)
    for house in (a, b):
        for who in (house.owner, house.admin):
            with refused(403):
                house.do("POST", "/people/%s/passphrase" % shared[0], {"passphrase": NEW + "2"}, who)
            with refused(403):
                house.do("PATCH", "/people/" + shared[0], {"email": "x@example.com"}, who)
    a.do("PATCH", "/people/" + shared[0], {"role": "member"})  # of a's own affair
    # An admin of both, but an admin makes no owner's passphrase.
    a.do("PATCH", "/people/" + a.admin[0], {"role": "owner"})
    b.do("POST", "/people", {"name": a.admin[0], "role": "admin"}, control=True)
    with refused(403, "other organizations"):
        a.do("POST", "/people/%s/passphrase" % shared[0], {"passphrase": NEW + "2"}, a.admin)
    b.do("PATCH", "/people/" + a.admin[0], {"role": "owner"})
    token = b.make_token(shared)
    a.do("POST", "/people/%s/passphrase" % shared[0], {"passphrase": NEW + "2"}, a.admin)
    shared = (shared[0], NEW + "2")
    with refused(401):
        rt.rest("GET", "/me", None, token)
    # Leaving a: b goes on, tokens too.
    token = b.make_token(shared)
    said = a.do("POST", "/people/%s/offboard" % shared[0], {})
    assert said["tokens_revoked"] == 0, said
    assert [o["name"] for o in rt.rest("GET", "/me", None, token)["organizations"]] == [b.name]
    with refused(404):
        a.do("GET", "", None, token)
    assert not a.people()[shared[0]]["is_active"]
    # And b: nothing is left. On the host they may come back.
    b.do("POST", "/people/%s/offboard" % shared[0], {})
    with refused(401):
        rt.rest("GET", "/me", None, token)
    with refused(401):
        rt.rest("GET", "/me", None, shared)
    with refused(409, "on the host only"):
        a.do("POST", "/people", {"name": shared[0], "role": "member"})
    a.do("POST", "/people", {"name": shared[0], "role": "member"}, control=True)
    assert rt.rest("GET", "/me", None, shared)["organizations"][0]["role"] == "member"


@case(limit=60, **STRICT)
def leaving_two_organizations_at_once(rt):
    """Whichever comes last ends the tokens."""
    a, b = House(rt), House(rt)
    for _ in range(5):
        shared = a.add("member")
        b.do("POST", "/people", {"name": shared[0], "role": "member"}, control=True)
        token = a.make_token(shared, ["read"])
        results = both(*[lambda h=h: h.do("POST", "/people/%s/offboard" % shared[0], {})
                         for h in (a, b)])
        assert sorted(r["tokens_revoked"] for r in results) == [0, 1], results
        with refused(401):
            rt.rest("GET", "/me", None, token)


# ---------------------------------------------------------------- people and groups
@case(limit=60, **STRICT)
def adding_people(rt):
    house = House(rt)
    good = {"name": "n" * 63, "role": "member"}
    for wrong, text in [
            ({"name": "Ann"}, "'name' must have"), ({"name": "-ann"}, "'name' must have"),
            ({"name": "a" * 64}, "'name' must have"), ({"name": ""}, "text that is not empty"),
            ({"name": 7}, "'name' must be a text"), ({"name": "a b"}, "'name' must have"),
            ({"role": "root"}, "'role' must be"), ({"role": None}, "'role' is missing"),
            ({"roel": "member"}, "'roel' is not known here"),
            ({"role groups": "x"}, "'role groups' is not known here"), ({"email": "x"}, "a mail address"),
            ({"email": "a b@example.com"}, "a mail address"), ({"display_name": "a\nb"}, "one line"),
            ({"display_name": "x" * 201}, "one line"), ({"groups": ["none"]}, "there is no group"),
            ({"groups": "ops"}, "a list of texts"), ({"passphrase": "short"}, "at least"),
            ({"passphrase": "aaaaaaaaaaaaaaaa"}, "")]:
        with refused(400, text):
            house.do("POST", "/people", dict(good, **wrong), house.owner)
    with refused(400, "'role' is missing"):
        house.do("POST", "/people", {"name": "x"})
    assert len(house.people()) == 5
    house.do("POST", "/groups", {"name": "ops"})
    name = unique("p")
    said = house.do("POST", "/people", {"name": name, "role": "approver", "groups": ["ops"],
                                        "display_name": "Pé <b>", "email": "p@example.com"})
    assert said == {"name": name, "is_new": True}, said
    assert house.people()[name] == {"name": name, "role": "approver", "is_active": True,
                                    "groups": ["ops"], "display_name": "Pé <b>",
                                    "email": "p@example.com"}
    with refused(401):  # no passphrase, no way in
        rt.rest("GET", "/me", None, (name, ""))
    with refused(409, "a member already"):
        house.do("POST", "/people", {"name": name, "role": "member"})
    house.do("PATCH", "/people/" + name, {"role": "auditor", "groups": []})
    assert house.people()[name]["role"] == "auditor" and house.people()[name]["groups"] == []
    with refused(404, "no such person"):
        house.do("PATCH", "/people/nobody", {"role": "auditor"})
    # The same name, at the same moment, in two organizations: one person.
    other = House(rt)
    name = unique("twin")
    results = both(*[lambda h=h: h.do("POST", "/people", {"name": name, "role": "member"})
                     for h in (house, other)])
    assert sum(isinstance(r, dict) for r in results) == 1, results
    assert [getattr(r, "status", None) for r in results if not isinstance(r, dict)] == [409]
    kinds = house.kinds(subject="auditor")
    assert "member.set" in kinds, kinds


@case(limit=60, **STRICT)
def groups(rt):
    house = House(rt)
    for wrong, text in [({"name": "A"}, "'name'"), ({"members": ["nobody"]}, "no active person"),
                        ({"members": [1]}, "'members'"), ({"member": []}, "not known here")]:
        with refused(400, text):
            house.do("POST", "/groups", dict({"name": "g"}, **wrong))
    house.do("POST", "/groups", {"name": "g", "title": "G", "members": [house.member[0]]})
    with refused(409, "already"):
        house.do("POST", "/groups", {"name": "g"})
    house.do("PATCH", "/groups/g", {"members": [house.approver[0], house.admin[0]]})
    assert house.do("GET", "/groups")["items"] == [
        {"name": "g", "title": "G", "members": sorted([house.approver[0], house.admin[0]])}]
    with refused(404, "no such group"):
        house.do("PATCH", "/groups/other", {"members": []})
    with refused(400, "'members'"):
        house.do("PATCH", "/groups/g", {})
    house.do("POST", "/policy", {"document": "version: 1\nrules:\n  - name: all\n    tools: ['*']\n"
                                 "    effect: ask\n    ask:\n      thresholds: [{approve: 2, groups:"
                                 " [g]}]\n"})
    said = house.do("PATCH", "/groups/g", {"members": [house.approver[0]]})
    assert any("rule all: threshold 1 needs 2" in f for f in said["findings"]), said
    said = house.do("PATCH", "/groups/g", {"members": [house.approver[0], house.admin[0]]})
    said = house.do("PATCH", "/people/" + house.approver[0], {"role": "member"})
    assert any("rule all: threshold 1 needs 2" in f for f in said["findings"]), said
    said = house.do("DELETE", "/groups/g")
    assert any("there is no group 'g'" in f for f in said["findings"]), said
    with refused(404):
        house.do("DELETE", "/groups/g")
    assert [k for k in house.kinds() if k.startswith("group.")] == [
        "group.created", "group.changed", "group.changed", "group.changed", "group.removed"]


# ---------------------------------------------------------------- leaving in the middle, starting
@case(limit=60, **STRICT)
def a_change_is_whole_or_not_at_all(rt):
    """Clients that cut the line at any moment: each group is there with its member and its event,
    or nothing of it; and no connection to the database stays taken."""
    house = House(rt)
    for at in range(100):
        body = json.dumps({"name": "g%d" % at, "members": [house.member[0]]})
        conn = socket.create_connection(("127.0.0.1", rt.port))
        conn.sendall(("POST /api/v1%s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
                      "Content-Length: %d\r\n\r\n%s" % (house.path("/groups"), house.token,
                                                      len(body), body)).encode())
        time.sleep(at * 0.0001)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()
    for at in range(10):
        house.do("POST", "/groups", {"name": "last%d" % at})
    rows = [g for g in house.do("GET", "/groups")["items"] if g["name"].startswith("g")]
    assert all(g["members"] == [house.member[0]] for g in rows), rows
    assert house.kinds().count("group.created") == len(rows) + 10


@case(limit=60, **STRICT)
def starting_refuses_nobody(rt):
    """From the moment that the socket is there nobody hears that there is no database yet."""
    rt.stop()
    rt.spawn()
    answers = []
    while len(answers) < 100:
        try:
            answers.append(rt.control("GET", "/orgs", raw=True)[0])
        except OSError:
            assert not answers, "the socket went away again"
    assert set(answers) == {200}, answers
