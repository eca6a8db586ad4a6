"""An organization described as a document: exported, applied, changed, pruned, refused."""
import threading
import time

from cases import case
from harness import LONG, Org, Person, RestError, refused, unique, wait_for
from mcp_client import McpHttp, McpWs


def apply(org, document, who=None, **more):
    auth = {"auth": (who.name, who.passphrase)} if who else {"control": True}
    return org.rt.rest("POST", org.path("/apply"), dict(document, **more), timeout=60, **auth)


def export(org):
    return org.control("GET", "/export")


def told(answer):
    return [(c["change"], c["what"], c["name"]) for c in answer["changes"]]


class Empty(Org):
    """An organization with nobody and nothing in it."""

    def __init__(self, rt):  # pylint: disable=super-init-not-called
        self.rt, self.name = rt, unique("e")
        rt.control("POST", "/orgs", {"name": self.name, "title": self.name})
        self.id = rt.sql("SELECT organization_id FROM organization WHERE name = %s",
                         self.name)[0]["organization_id"]
        Org.made.append(self)


def accepted(org):
    tools = org.control("GET", "/tools")["items"]
    assert all(t["state"] in ("accepted", "gone") for t in tools)
    return len([t for t in tools if t["state"] == "accepted"])


@case(limit=60)
def apply_round_trip(rt):
    """What one organization exports, another applies; then both are the same, and work."""
    org = Org(rt, conformance=True)
    org.control("PATCH", "/agents/bot", {"labels": {"team": "ops", "a": "b"}})
    org.control("POST", "/servers/conf/refresh")
    org.accept("files__write", secrets=["/content"])
    org.control("POST", "/tools/conf__greet/quarantine")
    document = export(org)
    assert [t["name"] for t in document["tools"]] == sorted(t["name"] for t in document["tools"])
    assert len(document["tools"]) == 9 + 16 - 1
    assert apply(org, document) == {"changes": [], "applied": True, "findings": []}

    copy = Empty(rt)
    dry = apply(copy, document, dry_run=True)
    assert not dry["applied"] and len(dry["changes"]) == 4 + 1 + 1 + 2 + 24 + 1, dry
    assert export(copy)["people"] == [] and len(copy.audit()) == 1
    assert apply(copy, document)["changes"] == dry["changes"]
    assert apply(copy, document, prune=True)["changes"] == []
    assert export(copy) == document
    wait_for("the pins", lambda: len([t for t in copy.control("GET", "/tools")["items"]
                                      if t["state"] == "accepted"]) == 24, 20)
    assert copy.control("GET", "/tools/conf__greet")["state"] == "new"
    assert export(copy) == document
    _, credential = copy.add_credential(agent="bot")
    with McpHttp(rt, credential) as agent:
        call = agent.call_start("files__write", {"path": "n.txt", "content": "1"})
        approval = copy.wait_pending()
        assert copy.control("GET", "/tools/files__write")["secrets"] == ["/content"]
        Person(copy, "ann", rt.people["ann"]).approve(approval)
        assert not call.wait().get("isError")
    kinds = [leaf["kind"] for leaf in copy.audit()]
    for kind, count in (("member.set", 4), ("group.created", 1), ("agent.created", 1),
                        ("server.created", 2), ("tool.accepted", 24), ("policy.applied", 1)):
        assert kinds.count(kind) == count, (kind, kinds.count(kind))


@case(limit=240)
def apply_a_large_organization(rt):
    """30 teams, 400 agents, 2,000 tools in under 60 s; a second run changes nothing."""
    small = Org(rt, files=False, conformance=True)
    pins = export(small)["tools"]
    assert len(pins) == 16
    people = ["%s-p%d" % (small.name, i) for i in range(120)]
    document = {
        "people": [{"name": n, "display_name": n.upper(), "email": n + "@example.com",
                    "role": "owner" if i == 0 else "approver" if i % 4 else "member"}
                   for i, n in enumerate(people)],
        "groups": [{"name": "team-%d" % i, "title": "Team %d" % i,
                    "members": sorted(people[i * 4:i * 4 + 4] + [people[0]][:i and 1])}
                   for i in range(30)],
        "agents": [{"name": "agent-%d" % i, "title": "Agent %d" % i, "owner": people[i % 120],
                    "state": "active" if i % 10 else "frozen", "labels": {"team": str(i % 30)}}
                   for i in range(400)],
        "servers": [{"name": "s%d" % i, "plugin": "conformance", "config": {},
                     "environment": "production", "account": "a", "is_enabled": True}
                    for i in range(125)],
        "tools": [dict(pin, server="s%d" % i, name=pin["name"].replace("conf__", "s%d__" % i))
                  for i in range(125) for pin in pins],
        "policy": "version: 1\nrules:\n" + "".join(
            "  - {name: team-%d, tools: ['s%d__*'], effect: ask, ask: {thresholds: "
            "[{approve: 1, groups: [team-%d]}]}}\n" % (i, i, i) for i in range(30)) +
            "  - {name: reads, tools: ['*'], effect: allow}\n",
    }
    org = Empty(rt)
    times = []
    for kind in ({"dry_run": True}, {}, {}, {"prune": True}):
        from_ = time.monotonic()
        answer = apply(org, document, **kind)
        times.append(time.monotonic() - from_)
        if len(times) <= 2:
            assert len(answer["changes"]) == 120 + 30 + 400 + 125 + 2000 + 1, len(answer["changes"])
        else:
            assert answer["changes"] == [], answer["changes"][:5]
    print("dry run %.1f s, apply %.1f s, again %.1f s, with prune %.1f s" % tuple(times))
    assert max(times) < 60, times
    assert rt.sql("SELECT count(*) AS n FROM tool WHERE organization_id = %s AND "
                  "accepted_digest IS NOT NULL", org.id)[0]["n"] == 2000
    # All 125 are asked what they offer in the background; all of them take a while.
    wait_for("servers to be asked", lambda: accepted(org) >= (2000 if LONG else 160), 150, every=1)
    again = export(org)
    for key in document:
        if key != "policy":
            document[key].sort(key=lambda x: x["name"])
    assert again.pop("channels") == again.pop("canaries") == []
    assert again == document
    assert len(org.audit(kind="agent.created")) == 400
    assert len(org.audit(kind="tool.accepted")) == 2000
    assert len(apply(org, {"servers": []}, prune=True)["changes"]) == 125
    assert org.control("GET", "/tools")["items"] == []


@case(limit=60)
def apply_changes_and_prunes(rt):
    """Each member changes what it says and no more; prune removes, except who must stay."""
    org = Org(rt, own_people=True)
    ann, bob, adam, olga = (p.name for p in (org.ann, org.bob, org.adam, org.olga))
    org.add_agent("extra", org.bob)
    org.write("a.txt", "x")
    assert told(apply(org, {"agents": [{"name": "bot", "title": "New title"},
                                       {"name": "third", "owner": ann, "state": "frozen"}]})) == \
        [("changed", "agent", "bot"), ("created", "agent", "third")]
    assert org.control("GET", "/agents/third")["state"] == "frozen"
    assert told(apply(org, {"people": [{"name": bob, "role": "admin", "display_name": "Bobby"}],
                            "groups": [{"name": "ops", "members": [ann, olga]},
                                       {"name": "new", "title": "N", "members": [bob]}]})) == \
        [("changed", "person", bob), ("changed", "group", "ops"), ("created", "group", "new")]
    groups = {g["name"]: g["members"] for g in org.control("GET", "/groups")["items"]}
    assert groups == {"ops": sorted([ann, olga]), "new": [bob]}, groups
    # What the rules lose is said, also for a dry run.
    answer = apply(org, {"groups": [{"name": "ops", "members": []}]}, dry_run=True)
    assert told(answer) == [("changed", "group", "ops")] and not answer["applied"]

    held = None
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start("files__write", {"path": "n.txt", "content": "1"})
        held = org.wait_pending()
        document = export(org)
        for key in ("people", "groups", "agents", "tools"):
            document[key] = [x for x in document[key] if x["name"] not in
                             (bob, "new", "extra", "files__delete")]
        answer = apply(org, document, prune=True)
        assert sorted(told(answer)) == sorted([
            ("removed", "person", bob), ("removed", "group", "new"), ("removed", "agent", "extra"),
            ("removed", "tool", "files__delete")]), told(answer)
        assert any("deletes" in f for f in answer["findings"]) or answer["findings"] == []
        org.ann.approve(held)
        assert not call.wait().get("isError")
    assert apply(org, document, prune=True)["changes"] == []
    assert org.control("GET", "/tools/files__delete")["state"] == "quarantined"
    assert org.control("GET", "/agents/extra")["state"] == "revoked"
    kinds = [leaf["kind"] for leaf in org.audit()]
    assert kinds.count("person.offboarded") == 1 and kinds.count("credential.revoked") == 1
    with refused(401):
        rt.rest("GET", "/me", auth=(bob, org.bob.passphrase))
    with refused(409, "for good"):
        apply(org, {"agents": [{"name": "extra", "owner": ann}]})

    # A person who goes takes no agent of the document along; others are frozen.
    with refused(400, "agent 'third': its owner '%s' is no active person here" % ann):
        people = [p for p in export(org)["people"] if p["name"] != ann]
        apply(org, {"people": people, "agents": [{"name": "third", "state": "active"}]}, prune=True)
    org.control("PATCH", "/agents/third", {"state": "active"})
    answer = apply(org, {"people": people}, prune=True)
    assert told(answer) == [("removed", "person", ann), ("changed", "agent", "third")], answer
    assert org.control("GET", "/agents/third")["state"] == "frozen"
    with refused(409, "person '%s': is the only administrator" % adam):
        apply(org, {"people": [{"name": olga}]}, prune=True)
    with refused(409, "person '%s': is the only administrator" % adam):
        apply(org, {"people": [{"name": adam, "role": "member"}]})
    assert told(apply(org, {"servers": []}, prune=True)) == [("removed", "server", "files")]
    assert org.control("GET", "/tools")["items"] == []


@case(limit=60)
def apply_is_all_or_nothing(rt):
    """A document of which one thing cannot be: nothing is done, and that thing is named."""
    org = Org(rt, own_people=True)
    olga, ann = org.olga.name, org.ann.name
    before = export(org)
    pin = before["tools"][0]
    good = {"groups": [{"name": "good", "members": [ann]}],
            "agents": [{"name": "good", "owner": olga}]}

    def state():
        return rt.sql("SELECT o.revision, o.policy_version, (SELECT count(*) FROM audit_event e "
                      "WHERE e.organization_id = o.organization_id) AS events FROM organization o "
                      "WHERE o.organization_id = %s", org.id)
    at_first = state()
    long_name = "n" * 64
    for bad, status, text in (
            ({"agents": [{"name": "x", "owner": "zoe"}]}, 400,
             "agent 'x': its owner 'zoe' is no active person here"),
            ({"agents": [{"name": "x"}]}, 400, "agent 'x': it needs an 'owner'"),
            ({"agents": [{"name": "x", "owner": olga}, {"name": "x", "owner": ann}]}, 400,
             "agents: 'x' stands there twice"),
            ({"agents": [{"name": "x", "owner": olga, "role": "y"}]}, 400,
             "agent 'x': 'role' is not known here (known: name title owner state labels)"),
            ({"agents": [{"name": "x", "owner": olga, "state": "asleep"}]}, 400,
             "'state' must be active or frozen"),
            ({"agents": [{"name": "x", "owner": olga, "labels": {"a": 1}}]}, 400, "'labels'"),
            ({"agents": ["x"]}, 400, "agent number 1: it must be an object with a 'name'"),
            ({"agents": {}}, 400, "'agents' must be a list"),
            ({"groups": [{"name": "g", "members": ["zoe"]}]}, 400,
             "group 'g': 'zoe' is no active person here"),
            ({"groups": [{"name": "g", "members": [ann, ann]}]}, 400, "each once"),
            ({"groups": [{"name": long_name}]}, 400, "1 to 63"),
            ({"people": [{"name": "new-one"}]}, 400, "needs a 'role'"),
            ({"people": [{"name": "new-one", "role": "king"}]}, 400, "'role' must be owner"),
            ({"people": [{"name": ann, "email": "nowhere"}]}, 400, "mail address"),
            ({"people": [{"name": ann, "passphrase": "x"}]}, 400, "'passphrase' is not known here"),
            ({"servers": [{"name": "s"}]}, 400, "server 's': it needs a 'plugin'"),
            ({"servers": [{"name": "files", "plugin": "conformance"}]}, 409, "runs the plugin files"),
            ({"servers": [{"name": "Files", "plugin": "x"}]}, 400, "1 to 32"),
            ({"tools": [dict(pin, server="nix")]}, 400, "there is no server 'nix'"),
            ({"tools": [dict(pin, effects="both")]}, 400, "read or write"),
            ({"tools": [dict(pin, digest="sha256:" + "0" * 64)]}, 400, "not that of its definition"),
            ({"tools": [{"name": pin["name"], "server": "files", "effects": "read",
                         "digest": "sha256:" + "0" * 64}]}, 409, "another definition today"),
            ({"tools": [{"name": "files__new", "server": "files", "effects": "read",
                         "digest": "sha256:" + "0" * 64}]}, 404, "does not offer it"),
            ({"tools": [{"name": "files__new", "server": "files", "effects": "read",
                         "definition": pin["definition"]}]}, 400, "publishes this definition as"),
            ({"policy": "rules: 7"}, 400, "policy: "),
            ({"policy": {"document": "x"}}, 400, "policy: it must be a text"),
            ({"policy": "version: 1\nrules:\n  - {name: r, tools: ['*'], effect: ask, "
                        "ask: {thresholds: [{approve: 1, groups: [nix]}]}}\n"}, 400,
             "policy: line 3, rule 'r'"),
            ({"policies": {}}, 400, "'policies' is not known here"),
            ({"prune": 1}, 400, "'prune' must be true or false")):
        with refused(status, text):
            apply(org, dict(good, **bad))
    # Found by the database, at the end of everything else.
    rt.sql("ALTER TABLE policy ADD CONSTRAINT no_more CHECK (version < 2) NOT VALID")
    try:
        with refused(text="no_more"):
            apply(org, dict(good, policy="version: 1\nrules: []\n"))
    finally:
        rt.sql("ALTER TABLE policy DROP CONSTRAINT no_more")
    assert state() == at_first and export(org) == before
    # A policy may speak of what the same document makes.
    document = dict(good, policy="version: 1\nrules:\n  - {name: r, tools: ['*'], effect: ask, "
                                 "ask: {thresholds: [{approve: 1, groups: [good]}]}}\n")
    assert len(apply(org, document)["changes"]) == 3
    assert apply(org, document)["changes"] == []


@case(limit=60)
def apply_by_people(rt):
    """An administrator applies over REST, but for what only the host may do; others may not."""
    org = Org(rt, own_people=True)
    document = export(org)
    made = unique("new")
    assert told(apply(org, dict(document, people=document["people"] +
                                [{"name": made, "role": "approver"}]), who=org.adam)) == \
        [("created", "person", made)]
    with refused(401):
        rt.rest("GET", "/me", auth=(made, "anything at all"))
    with refused(403, "server 'more': servers are added and configured on the host only"):
        apply(org, {"servers": [{"name": "more", "plugin": "files"}]}, who=org.adam)
    with refused(403, "server 'files': servers are added and configured on the host only"):
        apply(org, {"servers": [{"name": "files", "config": {"root": "/"}}]}, who=org.adam)
    assert told(apply(org, {"servers": [{"name": "files", "environment": "x"}]}, who=org.adam)) == \
        [("changed", "server", "files")]
    other = Org(rt, own_people=True, files=False)
    with refused(409, "person '%s': the name is taken in this installation" % other.ann.name):
        apply(org, {"people": [{"name": other.ann.name, "role": "member"}]}, who=org.adam)
    with refused(403, "an admin may not make or remove owners"):
        apply(org, {"people": [{"name": org.ann.name, "role": "owner"}]}, who=org.adam)
    with refused(409, "person '%s': nobody removes themselves" % org.adam.name):
        apply(org, {"people": [{"name": made, "role": "admin"}]}, prune=True, who=org.adam)
    with refused(403, "an approver may not"):
        apply(org, {"groups": []}, who=org.ann)
    with refused(403, "an approver may not"):
        rt.rest("GET", org.path("/export"), auth=(org.ann.name, org.ann.passphrase))
    assert rt.rest("GET", org.path("/export"),
                   auth=(org.adam.name, org.adam.passphrase)) == export(org)
    with refused(404, "no such organization"):
        apply(org, {"groups": []}, who=other.adam)


@case(limit=60)
def applies_run_one_at_a_time(rt):
    """Eight at the same moment: each is whole, and none sees half of another."""
    org = Org(rt, own_people=True, files=False)
    org.add_server("conf", "conformance", {})
    pins = export(org)["tools"]
    results = []

    def work(i):
        names = ["w%d-%d" % (i, n) for n in range(20)]
        effects = "read" if i % 2 else "write"
        try:
            results.append((i, apply(org, {
                "groups": [{"name": "shared", "members": [[org.ann, org.bob][i % 2].name]}],
                "agents": [{"name": n, "owner": org.olga.name} for n in names],
                "tools": [dict(pin, effects=effects) for pin in pins]})))
        except RestError as e:
            results.append((i, e))
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for _ in range(5):
        org.control("POST", "/servers/conf/refresh")
        org.accept("conf__greet", effects="read")
    for t in threads:
        t.join(50)
    failed = [e for _, e in results if isinstance(e, RestError)]
    assert len(results) == 8 and not failed, failed
    assert len(org.control("GET", "/agents")["items"]) == 1 + 8 * 20
    assert len([g for g in org.control("GET", "/groups")["items"] if g["name"] == "shared"]) == 1
