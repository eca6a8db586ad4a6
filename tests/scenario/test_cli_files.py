"""Organizations as files: export and apply."""
import json
import os
import tempfile
import time

from cases import case
from cli import Cli
from harness import Org, unique

POLICY = """# comments stay
version: 1
rules:
  - name: reads
    tools: ["*"]
    effect: allow
"""


def folder(rt):
    return tempfile.mkdtemp(prefix="files-", dir=rt.base)


def put(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text if isinstance(text, str) else json.dumps(text))  # JSON is YAML


def get(path):
    with open(path) as f:
        return f.read()


@case(limit=60)
def what_was_exported_applies_without_a_change(rt):
    org = Org(rt, scenario=True)
    cli = Cli(rt, org)
    where = folder(rt) + "/out"
    assert org.name in cli("export", where, "--org", org.name).out
    base = "%s/%s/" % (where, org.name)
    kinds = ["agents", "canaries", "channels", "groups", "people", "policy", "servers", "tools"]
    assert sorted(os.listdir(base)) == [k + ".yaml" for k in kinds]
    assert get(base + "policy.yaml") == cli("policy", "show").out
    assert os.stat(base + "people.yaml").st_mode & 0o77 == 0
    before = len(org.audit())
    assert cli("apply", "-f", where).out.splitlines() == ["%s: no changes" % org.name, "no changes"]
    assert cli("apply", "-f", where, "--dry-run", "--prune").out.endswith("no changes\n")
    assert len(org.audit()) == before
    whole = cli("export", "--org", org.name)
    assert "people:" in whole.out and org.credential not in whole.out
    assert cli("export", "--org", org.name, "--json").json == org.control("GET", "/export")
    # The whole in one file means the same.
    alone = folder(rt)
    put("%s/%s.yaml" % (alone, org.name), whole.out)
    assert cli("apply", "-f", alone).out.endswith("no changes\n")
    assert cli("apply", "--file", alone, "--json").json["changes"] == []


@case(limit=60)
def changes_are_shown_then_made_then_none_are_left(rt):
    org = Org(rt, files=False)
    cli = Cli(rt, org)
    where = folder(rt)
    base = "%s/%s/" % (where, org.name)
    cli("export", where, "--org", org.name)
    os.remove(base + "people.yaml")  # what is left out stays
    put(base + "agents.yaml", {"agents": [{"name": "bot", "title": "Another"},
                                          {"name": "second", "owner": org.olga.name}]})
    put(base + "more.json", {"agents": [{"name": "third", "owner": org.olga.name}]})
    put(base + "groups.yaml", "groups: []\n")
    put(base + "policy.yaml", POLICY)
    put(base + "README.md", "not ours")
    put(base + ".hidden.yaml", "not: [ours")
    dry = cli("apply", "-f", where, "--dry-run").out
    for line in ("~ agent bot", "+ agent second", "+ agent third", "~ policy", "(--dry-run)"):
        assert line in dry, (line, dry)
    assert "group" not in dry  # only --prune removes
    assert len(org.control("GET", "/agents")["items"]) == 1
    assert "- group ops" in cli("apply", "-f", where, "--dry-run", "--prune").out
    made = cli("apply", "-f", where).out
    assert "+ agent third" in made and "4 changes in 1 organizations" in made, made
    assert cli("policy", "show").out == POLICY
    assert cli("apply", "-f", where).out.endswith("no changes\n")


@case(limit=60)
def several_organizations_new_ones_too(rt):
    org = Org(rt, files=False)
    cli = Cli(rt, org)
    where = folder(rt)
    one, two = unique("one"), unique("two")
    people = [{"name": unique("ida"), "role": "owner"}]
    put("%s/%s.yaml" % (where, one), {"people": people, "policy": POLICY})
    put("%s/%s/all.yaml" % (where, two), {"people": [{"name": org.ann.name, "role": "owner"}]})
    dry = cli("apply", "-f", where, "--dry-run").out
    assert "+ organization " + one in dry and "+ organization " + two in dry
    cli("org", "show", one, status=4)
    assert "+ person" in cli("apply", "-f", where, "--org", one).out
    cli("org", "show", two, status=4)
    cli("apply", "-f", where)
    assert org.ann.name in cli("user", "list", "--org", two).out
    assert cli("apply", "-f", where).out.endswith("no changes\n")
    assert cli("policy", "show", "--org", one).out == POLICY


@case(limit=60)
def what_is_wrong_is_said_with_its_place(rt):
    org = Org(rt, files=False)
    cli = Cli(rt, org)

    def wrong(files, status, *texts):
        where = folder(rt)
        for name, text in files.items():
            put("%s/%s/%s" % (where, org.name, name), text)
        said = cli("apply", "-f", where, status=status)
        for text in texts:
            assert text in said.err + said.out, (text, said)
    before = len(org.audit())
    wrong({"a.yaml": "people:\n  - {name: x\n"}, 1, "a.yaml line")
    wrong({"a.yaml": "- a\n"}, 1, "a.yaml must be like")
    wrong({"a.yaml": {"policy": "x"}, "policy.yaml": POLICY}, 1, "'policy' stands in another file")
    wrong({"a.yaml": {"peeple": []}}, 1, "peeple", "nothing of it was applied")
    wrong({"a.yaml": {"agents": [{"name": "x", "owner": "nobody"}]}}, 1, "agent 'x'", "nobody")
    wrong({"policy.yaml": "version: 1\nrules:\n  - name: x\n    tools: [a]\n    effect: perhaps\n"},
          1, "deny, ask or allow", "nothing of it was applied")
    assert len(org.audit()) == before
    assert "cannot read the folder" in cli("apply", "-f", "/no/folder", status=1).err
    assert "holds no organization" in cli("apply", "-f", folder(rt), status=1).err
    assert "--file DIR is missing" in cli("apply", status=2).err
    assert "cannot make the folder" in cli("export", "/proc/no", status=1).err
    assert "no such organization" in cli("export", "--org", "no-such", status=4).err
    assert "no such organization" in cli("export", folder(rt), "--org", "no-such", status=4).err


def definition(name):
    """As the runtime stores it: canonical JSON."""
    return json.dumps({"annotations": {"readOnlyHint": True}, "description": "Reads " + name,
                       "inputSchema": {"type": "object"}, "name": name},
                      sort_keys=True, separators=(",", ":"))


@case(limit=240)
def a_company_of_thirty_teams(rt):
    """30 teams, 400 agents, 2,000 tools: under 60 s, and the second time there is nothing to do."""
    cli = Cli(rt)
    where, stem = folder(rt), unique("team")
    owner = unique("boss")
    for i in range(30):
        base = "%s/%s-%d/" % (where, stem, i)
        put(base + "people.yaml", {"people": [{"name": owner, "role": "owner"}] + [
            {"name": "%s-p%d" % (owner, i * 3 + k), "role": "approver"} for k in range(3)]})
        put(base + "agents.yaml", {"agents": [
            {"name": "agent-%d" % a, "owner": owner} for a in range(i, 400, 30)]})
        put(base + "servers.yaml", {"servers": [{"name": "s", "plugin": "scenario",
                                                 "config": {"root": where}}]})
        put(base + "tools.yaml", {"tools": [
            {"name": "s__t%d" % t, "server": "s", "effects": "read",
             "definition": definition("t%d" % t)} for t in range(i, 2000, 30)]})
        put(base + "policy.yaml", POLICY)
    began = time.monotonic()
    said = cli("apply", "-f", where, timeout=200).out
    took = time.monotonic() - began
    assert "in 30 organizations" in said, said[-500:]
    assert took < 60, "%.1f s" % took
    counts = [rt.sql("SELECT count(*) AS n FROM %s JOIN organization USING (organization_id) WHERE "
                     "organization.name LIKE '%s-%%%%'" % (t, stem))[0]["n"]
              for t in ("agent", "tool")]
    assert counts[0] == 400 and counts[1] >= 2000, counts
    began = time.monotonic()
    assert cli("apply", "-f", where, timeout=200).out.endswith("\nno changes\n")
    assert time.monotonic() - began < 60
