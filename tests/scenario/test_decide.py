"""Deciding: thresholds, withdrawals, who counts, and many people at once."""
import http.client
import json
import random
import threading

from cases import case
from harness import LONG, Org, refused, token_for, wait_for
from house import add_voters, code_of
from mcp_client import TASKS, McpHttp, McpWs, text_of

APPEND = "s__append_line"


def policy(*thresholds, **ask):
    """A document that asks for every write with these thresholds."""
    ask["thresholds"] = list(thresholds)
    return json.dumps({"version": 1, "rules": [
        {"name": "writes", "tools": ["*"], "effect": "ask", "ask": ask}]})


def waiting(rt, *thresholds, extra=(), **ask):
    """(org, call, approval): a write that waits under these thresholds."""
    org = Org(rt, files=False, scenario=True, policy=policy(*thresholds, **ask))
    for stem, role, groups in extra:
        setattr(org, stem, org.add_person(stem, role, groups, own=False))
    agent = McpWs(rt, org.credential)
    call = agent.call_start(APPEND, {"line": "one"})
    return org, call, org.wait_pending()


def approved(org, call, approval):
    assert text_of(call.wait()) == "appended" and org.effects() == ["one"]
    assert org.kinds(approval).count("approval.approved") == 1


def rejected(org, call, approval):
    assert call.wait()["isError"] and org.state(approval) == "rejected" and org.effects() == []


@case()
def deny_wins(rt):
    """One rejection ends it, whatever else was voted; approvals after it count nothing."""
    org, call, approval = waiting(rt, {"approve": 2, "deny": 1})
    said = org.ann.approve(approval)
    assert not said["is_decided"] and said["state"] == "pending", said
    assert org.bob.reject(approval, "no")["state"] == "rejected"
    with refused(409):
        org.adam.approve(approval)
    rejected(org, call, approval)


@case()
def a_rejection_in_one_group_wins_over_the_other_s_approvals(rt):
    org, call, approval = waiting(rt, {"approve": 1, "groups": ["ops"]}, {"approve": 1}, any=False)
    assert not org.adam.approve(approval)["is_decided"]
    org.bob.reject(approval, "no")
    rejected(org, call, approval)


@case()
def fewer_rejections_than_asked_for_do_not_end_it(rt):
    org, call, approval = waiting(rt, {"approve": 1, "deny": 2})
    assert not org.ann.reject(approval, "no")["is_decided"]
    assert org.bob.approve(approval)["is_decided"]
    approved(org, call, approval)


def _hint(rt, approval):
    """What another worker says after it has approved it. Whoever may notify can say so."""
    rt.sql("SELECT pg_notify('flopinio', 'w' || gen_random_uuid() || ' r' || %s || '.' || (extract("
           "epoch FROM clock_timestamp()) * 1000000)::bigint)", approval)


@case()
def a_hint_that_it_was_approved_claims_nothing(rt):
    """The row decides: it runs neither before its quorum nor after a rejection, and whoever waits
    still hears of what comes."""
    org, call, approval = waiting(rt, {"approve": 2})
    _hint(rt, approval)
    assert not org.ann.approve(approval)["is_decided"]
    _hint(rt, approval)
    assert org.bob.approve(approval)["is_decided"]
    approved(org, call, approval)
    org, call, approval = waiting(rt, {"approve": 1})
    _hint(rt, approval)
    org.ann.reject(approval, "no")
    _hint(rt, approval)
    rejected(org, call, approval)
    assert "approval.claimed" not in org.kinds(approval)


@case()
def n_of_m_with_withdrawal(rt):
    org, call, approval = waiting(rt, {"approve": 2}, extra=[("carl", "approver", [])])
    with refused(409, "not voted"):
        org.carl.withdraw(approval)
    org.ann.approve(approval)
    assert not org.ann.approve(approval)["is_decided"]  # once more is still one person
    org.ann.withdraw(approval)
    assert not org.bob.approve(approval)["is_decided"]  # ann's does not count any more
    assert org.effects() == [] and org.state(approval) == "pending"
    assert org.carl.approve(approval)["is_decided"]
    with refused(409):
        org.carl.withdraw(approval)
    approved(org, call, approval)
    kinds = [k for k in org.kinds(approval) if k.startswith("approval.v") or "withdrawn" in k]
    assert kinds == ["approval.voted", "approval.voted", "approval.withdrawn", "approval.voted"]


@case()
def a_vote_may_be_changed(rt):
    org, call, approval = waiting(rt, {"approve": 2, "deny": 2}, extra=[("carl", "approver", [])])
    org.ann.reject(approval, "hm")
    org.ann.approve(approval)
    assert not org.bob.reject(approval, "no")["is_decided"]  # ann does not deny any more
    assert org.carl.approve(approval)["is_decided"]
    approved(org, call, approval)


@case()
def groups_are_asked_for(rt):
    org, call, approval = waiting(rt, {"approve": 1, "groups": ["ops"]})
    with refused(403):
        org.adam.approve(approval)  # may decide here, but not this one
    assert org.approval(approval)["votes"] == []
    org.bob.approve(approval)
    approved(org, call, approval)


@case()
def each_of_two_groups_takes_two_people(rt):
    org = Org(rt, files=False, scenario=True, policy=None)
    org.control("POST", "/groups", {"name": "security", "title": "", "members": ["ann", "adam"]})
    org.apply(policy({"approve": 1, "groups": ["ops", "security"], "match": "each"}))
    org.sync()
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        assert not org.ann.approve(approval)["is_decided"]  # in both, and one person
        assert org.adam.approve(approval)["is_decided"]
        approved(org, call, approval)


@case()
def nobody_fits_so_nobody_can(rt):
    """An empty approver set means nobody, not everybody."""
    with refused(400):  # such a rule cannot even be applied
        Org(rt, files=False, policy=policy({"approve": 1, "where": "person.name == 'nobody'"}))
    org, call, approval = waiting(rt, {"approve": 1, "groups": ["ops"]})
    org.control("PATCH", "/groups/ops", {"members": []})
    for person in (org.ann, org.bob, org.adam):
        with refused(403):
            person.approve(approval)
    assert org.state(approval) == "pending" and org.effects() == []


@case()
def a_second_factor_counts_and_its_absence_does_not(rt):
    org = Org(rt, files=False, scenario=True, own_people=True,
              policy=policy({"approve": 1}, second_factor=True))
    with McpWs(rt, org.credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        with refused(403, "second factor"):
            org.ann.approve(approval)
        with refused(403, "second factor"):
            rt.rest("POST", org.path("/approvals/%s/decision" % approval), {"verdict": "approve"},
                    (org.ann.name, org.ann.passphrase))
        auth = (org.bob.name, org.bob.passphrase)
        secret = rt.rest("POST", "/me/totp", {}, auth)["secret"]
        rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret)}, auth)
        path = org.path("/approvals/%s/decision" % approval)
        yes = {"verdict": "approve", "binding": org.binding(approval)}
        with refused(401):
            rt.rest("POST", path, yes, auth)
        with refused(401):
            rt.rest("POST", path, yes, auth, code="000000")
        said = rt.rest("POST", path, yes, auth, code=code_of(secret, 1))
        assert said["is_decided"], said
        approved(org, call, approval)


@case()
def what_was_not_shown_is_not_decided(rt):
    """To approve takes the digest of the call that was shown; to reject does not."""
    org, call, approval = waiting(rt, {"approve": 1})
    shown = org.approval(approval)["binding"]
    other = ("0" if shown[0] != "0" else "1") + shown[1:]
    for nothing in (None, ""):
        with refused(400, "binding"):
            org.ann.approve(approval, binding=nothing)
    with refused(409, "not the call that you were shown"):
        org.ann.approve(approval, binding=other)
    assert org.state(approval) == "pending"
    assert org.ann.approve(approval, binding=shown)["is_decided"]
    approved(org, call, approval)


@case()
def what_cannot_be_shown_whole_is_not_approved(rt):
    """Whatever a client makes of its card: here of one whose row does not match its digest."""
    org, call, approval = waiting(rt, {"approve": 1})
    rt.sql("UPDATE approval SET precondition = 'another' WHERE approval_id = %s", approval)
    card = org.approval(approval)["card"]
    assert card["can_reject"] and not card["can_approve"], card
    with refused(409, "does not match its digest"):
        org.ann.approve(approval)
    assert org.state(approval) == "pending" and org.approval(approval)["votes"] == []
    assert "approval.tampered" in org.kinds(approval)
    org.ann.reject(approval, "somebody changed it")
    rejected(org, call, approval)


@case()
def the_owner_decides_where_policy_says_so_and_it_is_marked(rt):
    org = Org(rt, files=False, scenario=True,
              policy=policy({"approve": 1}, owner_may_approve=True))
    _, credential = org.add_agent("anns", org.ann)
    with McpWs(rt, credential) as agent:
        call = agent.call_start(APPEND, {"line": "one"})
        approval = org.wait_pending()
        assert org.ann.approve(approval)["is_decided"]
        approved(org, call, approval)
    (leaf,) = org.audit(approval, "approval.approved")
    assert leaf["data"]["owner_decided"] is True, leaf
    assert rt.sql("SELECT is_owner FROM vote WHERE approval_id = %s", approval)[0]["is_owner"]


@case()
def verdicts_that_are_none_are_refused(rt):
    org, call, approval = waiting(rt, {"approve": 1})
    path = org.path("/approvals/%s/decision" % approval)
    for body in ({}, {"verdict": "yes"}, {"verdict": True}, {"verdict": "approve", "reason": 5},
                 {"verdict": "approve", "reason": "x" * 2001}):
        status, _ = rt.rest("POST", path, body, org.ann.token, raw=True)
        assert status == 400, (status, body)
    assert rt.rest("POST", org.path("/approvals/nonsense/decision"), {"verdict": "approve"},
                   org.ann.token, raw=True)[0] in (400, 404)
    assert org.state(approval) == "pending"
    assert org.approval(approval)["votes"] == []


# ---------------------------------------------------------------- many at once
class Voter(threading.Thread):
    """A person with a connection of their own, who votes on every approval, in their own order."""

    def __init__(self, org, token, bindings, denies, start):
        super().__init__(daemon=True)
        self.org, self.token, self.denies, self.begin = org, token, denies, start
        self.bindings = bindings
        self.ids = list(bindings)
        random.shuffle(self.ids)
        self.decided, self.odd = [], []

    def run(self):
        conn = http.client.HTTPConnection("127.0.0.1", self.org.rt.port, timeout=60)
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": "application/json"}
        self.begin.wait()
        for approval in self.ids:
            body = {"verdict": "reject" if self.denies(approval) else "approve", "reason": "r",
                    "binding": self.bindings[approval]}
            conn.request("POST", "/api/v1" + self.org.path("/approvals/%s/decision" % approval),
                         json.dumps(body), headers)
            answer = conn.getresponse()
            said = json.loads(answer.read())
            if answer.status == 200 and said["is_decided"]:
                self.decided.append((approval, said["state"]))
            elif answer.status not in (200, 409):
                self.odd.append((answer.status, said))
        conn.close()


def quorum(rt, count, approve=10, deny=5, voters=64):
    org = Org(rt, files=False, scenario=True, policy=None)
    tokens = [token_for(rt, name) for name in add_voters(org, voters)]
    org.apply(policy({"approve": approve, "deny": deny}))
    org.sync()
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    for i in range(count):
        agent.call(APPEND, {"line": str(i)})
    org.wait_pending(count)
    start = threading.Event()
    # About one vote in four denies: both ends are reached.
    bindings = {r["approval_id"]: r["binding_digest"].hex() for r in org.rows()}
    people = [Voter(org, t, bindings, lambda _, r=random.Random(i): r.random() < 0.25, start)
              for i, t in enumerate(tokens)]
    for p in people:
        p.start()
    start.set()
    for p in people:
        p.join(3000 if LONG else 150)
        assert not p.is_alive(), "a voter waits"
    assert not [p.odd for p in people if p.odd], [p.odd for p in people if p.odd][:5]
    decided = [d for p in people for d in p.decided]
    assert len(decided) == len({a for a, _ in decided}) == count, \
        "decided %d times, %d approvals" % (len(decided), len({a for a, _ in decided}))
    wait_for("the approved ones to run", lambda: not rt.sql(
        "SELECT 1 FROM approval WHERE organization_id = %s AND state NOT IN ('succeeded', "
        "'rejected')", org.id), 120)
    check_votes(org, dict(decided), approve, deny)
    done = [a for a, s in decided if s == "approved"]
    assert len(org.effects()) == len(set(org.effects())) == len(done)
    return len(done), count - len(done)


def check_votes(org, decided, approve, deny):
    """Exactly the votes that were needed stand in each row, and its audit says the same."""
    votes = {}
    for row in org.rt.sql("SELECT approval_id, verdict, count(*) AS n FROM vote WHERE "
                          "organization_id = %s AND withdrawn_at IS NULL GROUP BY 1, 2", org.id):
        votes.setdefault(row["approval_id"], {})[row["verdict"]] = row["n"]
    kinds = {}
    for leaf in org.audit(kind="approval."):
        kinds.setdefault(leaf["subject"]["id"], []).append(leaf["kind"])
    for approval, state in decided.items():
        yes, no = votes[approval].get("approve", 0), votes[approval].get("deny", 0)
        assert (yes, no) == (approve, no) and no < deny if state == "approved" else \
            (yes, no) == (yes, deny) and yes < approve, (state, yes, no)
        told = [k for k in kinds[approval] if k in ("approval.approved", "approval.rejected",
                                                    "approval.voted")]
        assert told.count("approval." + state) == 1 and len(told) == yes + no, told
        assert kinds[approval].count("approval.dispatched") == (state == "approved")


@case(limit=200, pending_max=10000)
def quorum_of_64_voters_at_once(rt):
    """12 approvals, 64 people who vote at the same moment: none stuck, none decided twice."""
    yes, no = quorum(rt, 12)
    assert yes and no, "one end was never reached: %d approved, %d rejected" % (yes, no)


@case(limit=3600, long=True, pending_max=10000)
def quorum_of_64_voters_on_1000_approvals(rt):
    yes, no = quorum(rt, 1000)
    assert yes and no


@case(pending_max=10000)
def the_last_two_votes_at_the_same_moment_decide_once(rt):
    """The race that loses quorums: two people, each the one that is missing."""
    org = Org(rt, files=False, scenario=True, policy=policy({"approve": 2}))
    agent = McpHttp(rt, org.credential, modern=True, caps=TASKS)
    for i in range(40):
        agent.call(APPEND, {"line": str(i)})
    ids = org.wait_pending(40)
    said = {a: [] for a in ids}
    shown = {a: org.binding(a) for a in ids}

    def vote(person, approval, start):
        start.wait()
        said[approval].append(person.approve(approval, binding=shown[approval])["is_decided"])
    for approval in ids:
        start = threading.Event()
        pair = [threading.Thread(target=vote, args=(p, approval, start)) for p in (org.ann, org.bob)]
        for t in pair:
            t.start()
        start.set()
        for t in pair:
            t.join(20)
    assert all(sorted(v) == [False, True] for v in said.values()), said
    for approval in ids:
        org.wait_state(approval, "succeeded")
    assert sorted(org.effects(), key=int) == [str(i) for i in range(40)]
