"""Out of office: somebody decides for a person who is away, counts where that one would, and for nobody
else; it ends, and then it is as if it had never been."""
import json
import time

from cases import case
from chat import LOCAL, House, add_channel, link
from cli import Cli
from fake_telegram import FakeTelegram
from harness import Org, RestError, refused, wait_for
from mcp_client import TASKS, McpHttp, McpWs, text_of
from test_recheck import APPEND, Approved
from test_reminders import pass_time, told
from test_stops import Clockwork, holding

OPS = ({"approve": 1, "groups": ["ops"]},)


def policy(*thresholds, **ask):
    return json.dumps({"version": 1, "rules": [
        {"name": "writes", "tools": ["*"], "effect": "ask",
         "ask": dict(ask, thresholds=list(thresholds or OPS))}]})


def by(person, method, path, body=None, **more):
    """With the passphrase, not by a token."""
    return person.rt.rest(method, person.org.path(path), body, (person.name, person.passphrase), **more)


def away(person, delegate, until="7d", by_=None, **more):
    return by(by_ or person, "POST", "/people/%s/away" % person.name,
              dict({"until": until, "delegate": delegate.name}, **more))


def back(person, by_=None):
    return by(by_ or person, "DELETE", "/people/%s/away" % person.name)


class Place:
    """ann alone is in the group ops, which every write asks; dina, adam and bob are not."""

    def __init__(self, rt, *thresholds, **ask):
        self.org = org = Org(rt, files=False, scenario=True, own_people=True,
                             policy=policy(*thresholds, **ask))
        org.control("PATCH", "/groups/ops", {"members": [org.ann.name]})
        self.dina = org.add_person("dina", "approver")
        self.agent = McpWs(rt, org.credential)

    def ask(self, line="one"):
        call = self.agent.call_start(APPEND, {"line": line})
        return call, self.org.wait_pending()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.agent.close()


@case()
def the_delegates_vote_counts_where_theirs_would_and_says_so(rt):
    with Place(rt) as p:
        org = p.org
        call, one = p.ask()
        with refused(403, "for others to decide"):
            p.dina.approve(one)
        away(org.ann, p.dina)
        (listed,) = org.ann.rest("GET", org.path("/away"))["items"]
        assert (listed["person"], listed["delegate"], listed["is_now"], listed["set_by"]) == (
            org.ann.name, p.dina.name, True, org.ann.name), listed
        said = org.approval(one)
        line = "%s for %s, away until" % (p.dina.name, org.ann.name)
        assert line in said["card"]["text"], said["card"]["text"]
        assert p.dina.rest("GET", org.path("/approvals"))["items"][0]["may_decide"]
        p.dina.approve(one)
        assert text_of(call.wait()) == "appended"
        (vote,) = org.approval(one)["votes"]
        assert vote["person"] == p.dina.name and vote["for"] == org.ann.name, vote
        (leaf,) = [e for e in org.audit(one) if e["kind"] == "approval.approved"]
        assert leaf["data"]["for"] == org.ann.name, leaf
        assert "away" not in org.approval(one)["card"]["text"]
        # A rejection too.
        call, two = p.ask("two")
        p.dina.reject(two, "no")
        assert call.wait()["isError"] and org.effects() == ["one"]
        (set_,) = org.audit(kind="delegation.")
        assert set_["kind"] == "delegation.set" and set_["data"]["delegate"] == p.dina.name, set_
        # She still decides herself, and it says nothing of anybody else.
        call, three = p.ask("three")
        org.ann.approve(three)
        call.wait()
        assert org.approval(three)["votes"][0]["for"] is None


@case(limit=60)
def who_is_no_valid_delegate_decides_for_nobody(rt):
    """The authority matrix of delegates: each is refused like anybody who is not asked, also where the
    row is there; the last one decides."""
    with Place(rt) as p, Place(rt) as elsewhere:
        org, dina = p.org, p.dina
        owen, carl = org.add_person("owen", "approver"), org.add_person("carl", "approver")
        rosa, otto = org.add_person("rosa", "member"), org.add_person("otto", "approver", ["ops"])
        gone = org.add_person("gone", "approver")
        mine = org.add_agent("owens", owen)[1]

        def put(person, delegate, start="-1 hour", end="1 hour", **more):
            """As if it had been set while it could be."""
            rt.sql("DELETE FROM delegation WHERE organization_id = %s", org.id)
            for who, to in [(person, delegate)] + list(more.get("others", [])):
                rt.sql("INSERT INTO delegation (organization_id, person_id, delegate_id, from_at, "
                       "until_at, set_by, told) SELECT %s, a.person_id, b.person_id, now() + %s::interval, "
                       "now() + %s::interval, 'x', 2 FROM person a, person b WHERE a.name = %s AND b.name "
                       "= %s", org.id, start, end, who.name, to.name)

        def refuses(person, text="for others to decide"):
            with refused(403, text):
                person.approve(approval)
            with refused(403, text):
                person.reject(approval, "no")
            assert org.state(approval) == "pending" and org.approval(approval)["votes"] == []

        with McpHttp(rt, mine, modern=True, caps=TASKS) as agent:
            agent.call(APPEND, {"line": "one"})
            approval = org.wait_pending()
            refuses(dina)
            put(org.ann, dina, start="1 hour", end="2 hours")
            refuses(dina)                                       # it has not begun
            put(org.ann, dina, start="-2 hours", end="-1 second")
            refuses(dina)                                       # it is over
            put(org.ann, carl, others=[(carl, dina)])
            refuses(dina)                                       # a delegate's delegate
            put(org.bob, dina)
            refuses(dina)                                       # of somebody who is not asked
            put(org.ann, owen)
            refuses(owen, "you own the agent")                  # the agent's owner
            put(owen, dina)
            org.control("PATCH", "/groups/ops", {"members": [org.ann.name, owen.name]})
            refuses(dina)                                       # for the agent's owner
            org.control("PATCH", "/groups/ops", {"members": [org.ann.name, otto.name]})
            put(otto, dina)
            org.control("PATCH", "/people/" + otto.name, {"role": "auditor"})
            refuses(dina)                                       # of somebody who may not decide
            put(org.ann, rosa)
            refuses(rosa, "may not")                            # somebody whose role may not
            put(org.ann, gone)
            token = gone.token
            org.control("POST", "/people/%s/offboard" % gone.name, {})
            try:
                rt.rest("POST", org.path("/approvals/%s/decision" % approval),
                        {"verdict": "reject"}, token)
                raise AssertionError("somebody who left decided")
            except RestError as e:
                assert e.status == 401, e
            with refused(404):
                elsewhere.org.ann.rest("POST", org.path("/approvals/%s/decision" % approval),
                                       {"verdict": "reject"})
            put(org.ann, dina)
            dina.approve(approval)
            assert org.approval(approval)["votes"][0]["for"] == org.ann.name


@case()
def distinct_people_stay_distinct(rt):
    with Place(rt, {"approve": 2, "groups": ["ops"]}) as p:
        org = p.org
        org.control("PATCH", "/groups/ops", {"members": [org.ann.name, org.bob.name]})
        away(org.ann, p.dina)
        call, one = p.ask()
        assert "1 of 2" in p.dina.approve(one)["progress"]
        assert "1 of 2" in org.ann.approve(one)["progress"], "the two are one"
        org.bob.approve(one)
        assert text_of(call.wait()) == "appended"
        # Who is an approver already adds no second vote, and the rule says that one is missing.
        back(org.ann)
        said = away(org.ann, org.bob)
        assert any("needs 2 to approve" in f and "away" in f for f in said["findings"]), said
        org.sync()
        checked = org.control("GET", "/policy/check")["findings"]
        assert any("away" in f["text"] for f in checked), checked
        call, two = p.ask("two")
        assert "1 of 2" in org.bob.approve(two)["progress"]
        assert org.state(two) == "pending"
        org.ann.approve(two)
        assert text_of(call.wait()) == "appended"


@case()
def one_vote_does_not_meet_two_groups(rt):
    """One of ops and one of finance are asked; ops is away, and its delegate is of finance."""
    with Place(rt) as p:
        org = p.org
        org.control("POST", "/groups", {"name": "finance", "title": "f",
                                        "members": [p.dina.name, org.bob.name]})
        org.apply(policy({"approve": 1, "groups": ["ops"]}, {"approve": 1, "groups": ["finance"]}))
        org.sync()
        away(org.ann, p.dina)
        call, one = p.ask()
        assert not p.dina.approve(one)["is_decided"]
        org.bob.approve(one)
        assert text_of(call.wait()) == "appended"


@case(limit=60)
def only_people_themselves_or_who_manages_them_set_it(rt):
    with Place(rt) as p, Place(rt) as other:
        org, ann, dina, adam = p.org, p.org.ann, p.dina, p.org.adam
        path, body = org.path("/people/%s/away" % ann.name), {"until": "7d", "delegate": dina.name}
        mary, omar = org.add_person("mary", "member"), org.add_person("omar", "owner")
        with refused(403, "scope"):
            ann.rest("POST", path, body)
        admin = ann.make_token(("read", "decide", "admin"), "8h")
        with refused(403, "no token can do this"):
            rt.rest("POST", path, body, admin)
        with refused(401):
            rt.rest("POST", path, body, org.credential)
        with refused(403, "change people"):
            by(org.bob, "POST", "/people/%s/away" % ann.name, body)
        with refused(403, "change people"):
            by(dina, "DELETE", "/people/%s/away" % ann.name)
        with refused(404):
            rt.rest("POST", path, body, (other.org.adam.name, other.org.adam.passphrase))
        with refused(403, "owners"):
            away(omar, dina, by_=adam)
        assert org.audit(kind="delegation.") == [] and len(org.audit(kind="authz.failed")) >= 5
        for delegate, why in ((other.dina.name, "not an active member"), ("nobody", "not an active"),
                              (ann.name, "for themselves"), (mary.name, "decides nothing")):
            with refused(400, why):
                by(ann, "POST", "/people/%s/away" % ann.name, {"until": "7d", "delegate": delegate})
        for times in ({"until": "2020-01-01T00:00:00Z"}, {"until": "soon"}, {"from": "9d", "until": "8d"},
                      {"until": "400d"}, {"until": "7d", "from": ""}, {}):
            with refused(400, "until" if times.get("from") != "" else "from"):
                by(ann, "POST", "/people/%s/away" % ann.name, dict(times, delegate=dina.name))
        away(dina, adam, until="2d")
        with refused(409, "not passed on"):
            away(ann, dina)
        away(ann, dina, **{"from": "3d"})
        back(dina)
        # An administrator for another, an owner for an owner: with their names.
        away(omar, dina, by_=omar)
        away(ann, adam, by_=adam)
        leaf = org.audit(kind="delegation.set")[-1]
        assert (leaf["data"]["by"], leaf["data"]["person"], leaf["data"]["delegate"]) == (
            adam.name, ann.name, adam.name), leaf
        call, one = p.ask()
        adam.approve(one)
        assert text_of(call.wait()) == "appended"
        back(ann, by_=adam)
        leaf = org.audit(kind="delegation.ended")[-1]
        assert leaf["data"]["by"] == adam.name and leaf["data"]["person"] == ann.name, leaf
        with refused(404, "nobody decides for"):
            back(ann)


@case(limit=60)
def it_ends_by_itself_and_when_either_leaves(rt):
    with Place(rt) as p:
        org, dina = p.org, p.dina
        erik = org.add_person("erik", "approver")
        call, one = p.ask()

        def ended(why, count):
            def look():
                found = [e for e in org.audit(kind="delegation.ended") if why in e["data"].get("why", "")]
                return found if len(found) == count else None
            leaf = wait_for("it to end", look, 20)[-1]
            assert leaf["actor"]["kind"] == "system" and leaf["data"]["person"] == org.ann.name, leaf
            wait_for("its row to go", lambda: rt.sql("SELECT 1 FROM delegation WHERE organization_id = %s",
                                                     org.id) == [])

        away(org.ann, dina)
        assert dina.rest("GET", org.path("/approvals"))["items"][0]["may_decide"]
        rt.sql("UPDATE delegation SET from_at = now() - interval '1 hour', until_at = now() WHERE "
               "organization_id = %s", org.id)
        with refused(403, "for others to decide"):
            dina.approve(one)
        ended("its time is over", 1)
        away(org.ann, dina)
        back(org.ann)
        with refused(403, "for others to decide"):
            dina.approve(one)
        wait_for("its row to go", lambda: rt.sql("SELECT 1 FROM delegation WHERE organization_id = %s",
                                                 org.id) == [])
        assert len(org.audit(kind="delegation.ended")) == 2
        away(org.ann, erik)
        org.control("POST", "/people/%s/offboard" % erik.name, {})
        ended("%s is not active here any more" % erik.name, 1)
        away(org.ann, dina)
        org.control("POST", "/people/%s/offboard" % org.ann.name, {})
        with refused(403, "for others to decide"):
            dina.approve(one)
        ended("%s is not active here any more" % org.ann.name, 1)
        org.olga.cancel(one)
        assert call.wait()["isError"]


class Delegated(Approved):
    """Approved by dina for ann, and not sent yet."""

    def __init__(self, rt):
        org = Org(rt, files=False, scenario=True, own_people=True, policy=policy())
        org.control("PATCH", "/groups/ops", {"members": [org.ann.name]})
        org.dina = org.add_person("dina", "approver")
        away(org.ann, org.dina)
        super().__init__(rt, org=org, who=("dina",))


@case()
def a_delegation_that_stands_at_dispatch_runs(rt):
    """The canary of the next."""
    a = Delegated(rt)
    assert text_of(a.collect()) == "appended" and a.org.effects() == ["one"]


@case()
def a_delegation_that_ended_before_dispatch_counts_no_more(rt):
    """As for somebody who lost the role: who may decide is read again when it is sent."""
    a = Delegated(rt)
    back(a.org.ann)
    a.voided("the votes are not enough")


@case()
def no_grant_is_made_of_what_was_delegated(rt):
    """It would go on when the one who was away is back."""
    with Place(rt) as p:
        org = p.org
        call, one = p.ask()
        away(org.ann, org.adam)
        with refused(403, "for others to decide"):
            org.adam.rest("POST", org.path("/grants"), {"approval": one, "binding": org.binding(one),
                                                        "for": "1h", "uses": 5})
        org.adam.approve(one)
        assert text_of(call.wait()) == "appended"


@case(limit=90, **LOCAL)
def cards_and_reminders_go_to_the_delegate(rt):
    """And come to whoever is back; without a chat of the delegate's they come as ever."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), thresholds=OPS) as house:
        org, adam = house.org, house.org.adam
        away(org.ann, adam)
        call, zero = house.ask("zero")
        card = tg.wait_message(house.ann.id, zero, timeout=20)   # adam has no chat here
        link(org, tg, adam, house.adam)
        assert tg.press(house.ann, card, "Approve").startswith("approved")
        call.wait()
        call, one = house.ask("one")
        card = tg.wait_message(house.adam.id, one, timeout=20)
        assert "%s for %s, away until" % (adam.name, org.ann.name) in card["text"], card
        told(house, one)
        pass_time(rt, one, 60)
        tg.wait_message(house.adam.id, "Reminder: half", timeout=20)
        told(house, one)
        assert all(one not in m["text"] and "Reminder" not in m["text"]
                   for m in tg.messages(house.ann.id))
        assert tg.press(house.adam, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        # What waits when she is back comes to her, and his card says so.
        call, two = house.ask("two")
        his = tg.wait_message(house.adam.id, two, timeout=20)
        back(org.ann)
        hers = tg.wait_message(house.ann.id, two, timeout=20)
        wait_for("his card to be written anew", lambda: "away until" not in tg.now(his)["text"], 20)
        assert "for others to decide" in tg.press(house.adam, his, "Approve")
        assert tg.press(house.ann, hers, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        # What waits when she goes comes to him.
        call, three = house.ask("three")
        tg.wait_message(house.ann.id, three, timeout=20)
        away(org.ann, adam)
        his = tg.wait_message(house.adam.id, three, timeout=20)
        assert tg.press(house.adam, his, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        back(org.ann)


@case()
def set_and_ended_on_the_command_line(rt):
    with Place(rt) as p:
        org, dina = p.org, p.dina
        cli = Cli(rt, org)
        assert "nobody is away" in cli("user", "away").out
        cli("user", "away", org.ann.name, status=2)
        cli("user", "away", org.ann.name, "--until", "7d", status=2)
        said = cli("user", "away", org.ann.name, "--until", "7d", "--delegate", dina.name, as_=org.ann)
        assert "%s is told and decides" % dina.name in said.out, said
        (row,) = cli("user", "away").rows
        assert org.ann.name in row and dina.name in row, row
        said = cli("user", "away", org.ann.name, "--back", as_=org.ann)
        assert "is back" in said.out, said
        assert "nobody is away" in cli("user", "away").out
        said = cli("user", "away", org.ann.name, "--until", "soon", "--delegate", dina.name, as_=org.ann,
                   status=None)
        assert said.status and "'until' must be a time" in said.err, said


@case(limit=60)
def a_later_absence_does_not_hide_the_one_that_it_replaces(rt):
    """Who decided for her until then would not be found in the audit any more."""
    with Place(rt) as p:
        org, dina = p.org, p.dina

        def events():
            return [(e["kind"], e["data"]["delegate"], e["data"].get("why", ""))
                    for e in org.audit(kind="delegation.") if "delegate" in e["data"]]
        away(org.ann, dina)
        away(org.ann, org.adam, by_=org.adam)
        assert sorted(events()) == sorted([("delegation.set", dina.name, ""),
                            ("delegation.ended", dina.name, "another one was set in its place"),
                            ("delegation.set", org.adam.name, "")]), events()
        (ended,) = org.audit(kind="delegation.ended")
        assert ended["data"]["by"] == org.adam.name and ended["data"]["until"], ended
        # Of one whose time was over just now either this or the sweep says so.
        rt.sql("UPDATE delegation SET from_at = now() - interval '2 hours', until_at = now() - interval "
               "'1 hour' WHERE organization_id = %s", org.id)
        away(org.ann, dina)
        ends = [e for e in events() if e[0] == "delegation.ended" and e[1] == org.adam.name]
        assert len(ends) == 1 and "over" in ends[0][2], events()
        # What was refused ended nothing.
        away(org.bob, org.adam)
        with refused(409, "not passed on"):
            away(org.ann, org.bob)
        assert len(org.audit(kind="delegation.ended")) == 2, events()
        assert org.control("GET", "/away")["items"][0]["delegate"]


@case(limit=60, **LOCAL)
def an_absence_of_a_stolen_passphrase_is_told_and_ends_with_it(rt):
    """Whoever had it would have gone on deciding for her, and nobody would have told her."""
    with FakeTelegram() as tg, Place(rt) as p:
        org, dina = p.org, p.dina
        add_channel(org, tg)
        user = link(org, tg, org.ann, tg.user(71, "Ann"))
        call, one = p.ask()
        away(org.ann, dina)
        away(org.bob, dina, by_=org.adam)
        note = tg.wait_message(user.id, "decides for you", timeout=20)
        assert "Security notice for you" in note["text"] and dina.name in note["text"] and (
            "set by " + org.ann.name) in note["text"], note
        auth = (org.ann.name, org.ann.passphrase)
        (item,) = rt.rest("GET", org.path("/alerts"), None, auth)["items"]
        assert item["kind"] == "delegation_set" and dina.name in item["text"], item
        (item,) = rt.rest("GET", org.path("/alerts"), None, (org.bob.name, org.bob.passphrase))["items"]
        assert "set by " + org.adam.name in item["text"], item
        assert rt.rest("GET", org.path("/alerts"), None, (dina.name, dina.passphrase))["items"] == []
        assert dina.rest("GET", org.path("/approvals"))["items"][0]["may_decide"]
        fresh = org.ann.passphrase + " anew"
        rt.rest("POST", "/me/passphrase", {"passphrase": org.ann.passphrase, "new": fresh}, auth)
        with refused(403, "for others to decide"):
            dina.approve(one)
        (left,) = org.control("GET", "/away")["items"]
        assert left["person"] == org.bob.name, "what an administrator set holds on"
        (ended,) = wait_for("the end to be noted", lambda: org.audit(kind="delegation.ended"), 20)
        assert "passphrase" in ended["data"]["why"] and ended["data"]["person"] == org.ann.name, ended
        # A reset does the same; what is set with the new one holds.
        auth = (org.ann.name, fresh)
        body = {"until": "7d", "delegate": dina.name}
        rt.rest("POST", org.path("/people/%s/away" % org.ann.name), body, auth)
        assert dina.rest("GET", org.path("/approvals"))["items"][0]["may_decide"]
        by(org.adam, "POST", "/people/%s/passphrase" % org.ann.name, {"passphrase": fresh + " again"})
        with refused(403, "for others to decide"):
            dina.approve(one)
        # Who leaves had set some for others: they are named.
        gone = org.control("POST", "/people/%s/offboard" % org.adam.name, {})
        (named,) = gone["absences"]
        assert (named["person"], named["delegate"]) == (org.bob.name, dina.name), gone
        org.olga.cancel(one)
        assert call.wait()["isError"]
        org.control("PATCH", "/channels/tg", {"is_enabled": False})


@case(limit=60, sweep_time="1s", **LOCAL)
def what_has_expired_does_not_wait_until_who_is_away_was_told(rt):
    """Cards of a whole organization are drawn again for that, and one row that somebody holds would
    have kept every organization's expiries, leases and outcomes waiting."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), thresholds=OPS) as house:
        org = house.org
        first, one = house.ask("one")
        second, two = house.ask("two")
        told(house, one)
        told(house, two)
        since = rt.log_size()
        with rt.connect() as conn:
            conn.autocommit = False
            with conn.cursor() as cur:
                cur.execute("SELECT 1 FROM outbox WHERE approval_id = %s FOR UPDATE", (one,))
                # Both are there for the same round, nearly always; never the second without the first.
                rt.sql("UPDATE approval SET expires_at = now() WHERE approval_id = %s", two)
                time.sleep(0.1)
                rt.sql("INSERT INTO delegation (organization_id, person_id, delegate_id, from_at, "
                       "until_at, set_by) SELECT %s, a.person_id, b.person_id, now(), now() + interval "
                       "'1 hour', 'x' FROM person a, person b WHERE a.name = %s AND b.name = %s",
                       org.id, org.ann.name, org.adam.name)
                wait_for("it to expire", lambda: org.state(two) == "expired", 20)
                assert " delegation_not_told " not in rt.log(since, tail=10**7)
                wait_for("it to be tried", lambda: " delegation_not_told " in rt.log(since, tail=10**7), 20)
            conn.rollback()
        wait_for("it to be told", lambda: rt.sql(
            "SELECT 1 FROM delegation WHERE organization_id = %s AND told = 2", org.id), 20)
        org.ann.reject(one, "no")
        assert first.wait()["isError"] and second.wait()["isError"]
        back(org.ann)


@case(limit=90)
def who_is_away_in_one_organization_keeps_up_no_other(rt):
    """Each was told in a round of the sweep, which waited two seconds for whoever had the organization."""
    slow, other, clock = Org(rt, files=False), Org(rt, files=False), Clockwork(rt)
    sent = ("INSERT INTO delegation (organization_id, person_id, delegate_id, from_at, until_at, set_by) "
            "SELECT m.organization_id, m.person_id, a.person_id, now(), now() + interval '1 hour', 'x' "
            "FROM membership m JOIN person a ON a.name = %s WHERE m.organization_id = %s AND m.person_id "
            "<> a.person_id")
    done = "SELECT count(*) AS n FROM delegation WHERE organization_id = %s AND told = 2"
    with holding(rt, "SELECT 1 FROM organization WHERE organization_id = %s FOR NO KEY UPDATE", slow.id):
        for org in (slow, other):
            rt.sql(sent, org.adam.name, org.id)
        clock.turn(4, within=5)
        wait_for("the others to be told", lambda: rt.sql(done, other.id)[0]["n"] == 3, 30)
        assert rt.sql(done, slow.id)[0]["n"] == 0
    wait_for("all to be told", lambda: rt.sql(done, slow.id)[0]["n"] == 3, 30)
