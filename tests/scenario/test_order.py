"""In which order rows are locked, so that nobody waits in a circle: each case holds one row, lets the
runtime wait for it, and looks what it holds meanwhile."""
import contextlib
import threading
import time

import psycopg2.errors

from cases import case
from chat import LOCAL, House
from fake_telegram import FakeTelegram
from harness import POLICY, Org, refused, wait_for
from mcp_client import McpWs

APPEND = "s__append_line"


@contextlib.contextmanager
def holding(rt, statement, *args):
    """A transaction of the superuser with this row; its process id."""
    conn = rt.connect()
    conn.autocommit = False
    try:
        with conn.cursor() as cur:
            cur.execute(statement + " FOR UPDATE", args)
            assert cur.rowcount == 1, statement
        yield conn.info.backend_pid
    finally:
        conn.close()


def is_free(rt, statement, *args):
    """Whoever waits keeps it for all that time; a round of the runtime has it for a moment only."""
    until = time.monotonic() + 1
    while not can_be_had(rt, statement, *args):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def can_be_had(rt, statement, *args):
    conn = rt.connect()
    try:
        with conn.cursor() as cur:
            cur.execute(statement + " FOR UPDATE NOWAIT", args)
            assert cur.rowcount == 1, statement
        return True
    except psycopg2.errors.LockNotAvailable:
        return False
    finally:
        conn.close()


@contextlib.contextmanager
def beside(rt, pid, act):
    """`act` waits for that process while the block runs."""
    problems = []

    def run():
        try:
            act()
        except Exception as e:  # noqa: the block's end raises it
            problems.append(e)
    thread = threading.Thread(target=run)
    thread.start()
    try:
        wait_for("it to wait", lambda: problems or rt.sql(
            "SELECT 1 FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))", pid))
        yield
    finally:
        rt.sql("SELECT pg_terminate_backend(%s)", pid)
        thread.join(20)
    assert not problems and not thread.is_alive(), problems


def waiting(rt, **more):
    """org, its approval, and two channels that are off, of which the second was told first."""
    org = Org(rt, files=False, scenario=True, **more)
    McpWs(rt, org.credential).call_start(APPEND, {"line": "one"})
    approval = org.wait_pending()
    rt.sql("INSERT INTO channel (organization_id, channel_id, name, kind, is_enabled) SELECT %s, "
           "gen_random_uuid(), 'off-' || n, 'telegram', false FROM generate_series(1, 2) n", org.id)
    channels = [c["channel_id"] for c in rt.sql(
        "SELECT channel_id FROM channel WHERE organization_id = %s ORDER BY channel_id", org.id)]
    for channel in reversed(channels):
        rt.sql("INSERT INTO outbox (organization_id, approval_id, channel_id, step) VALUES "
               "(%s, %s, %s, 0)", org.id, approval, channel)
    return org, approval, channels


OUTBOX = "SELECT 1 FROM outbox WHERE organization_id = %s AND approval_id = %s AND channel_id = %s"
VOTE = ("INSERT INTO vote (organization_id, approval_id, person_id, verdict, via) SELECT %s, %s, "
        "person_id, 'approve', 'api' FROM person WHERE name = %s")
ACCOUNT = "SELECT 1 FROM chat_identity WHERE organization_id = %s AND external_id = %s"


@case()
def a_change_takes_the_rows_of_its_channels_in_their_order(rt):
    """Else two changes of what stands in two chats end each other, and a decision is a second late or
    refused. Read from end to end here, as the planner may at any time."""
    org, approval, (first, second) = waiting(rt)

    def change():
        conn = rt.connect()
        try:
            with conn.cursor() as cur:
                cur.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; "
                            "SET enable_indexonlyscan = off")
                cur.execute(VOTE, (org.id, approval, org.ann.name))
        finally:
            conn.close()
    with holding(rt, OUTBOX, org.id, approval, first) as pid, beside(rt, pid, change):
        assert is_free(rt, OUTBOX, org.id, approval, second)
    assert [r["wanted"] for r in rt.sql("SELECT wanted FROM outbox WHERE organization_id = %s",
                                        org.id)] == [2, 2]


def linked(rt, org, approval, channel):
    """ann has an account there, and a card in her own chat."""
    person = rt.sql("SELECT person_id FROM person WHERE name = %s", org.ann.name)[0]["person_id"]
    rt.sql("INSERT INTO chat_identity (organization_id, kind, external_id, person_id) VALUES "
           "(%s, 'telegram', '71', %s)", org.id, person)
    rt.sql("INSERT INTO card_message (organization_id, card_id, approval_id, channel_id, place, "
           "person_id) VALUES (%s, gen_random_uuid(), %s, %s, '71', %s)", org.id, approval, channel,
           person)


@case()
def an_unlink_has_the_account_before_its_cards(rt):
    """As the account's disabling by its chat does: each would wait for the other."""
    org, approval, (first, _) = waiting(rt)
    linked(rt, org, approval, first)

    def unlink():
        assert org.control("DELETE", "/people/%s/links" % org.ann.name) == {"unlinked": 1}
    with holding(rt, ACCOUNT, org.id, "71") as pid, beside(rt, pid, unlink):
        assert is_free(rt, OUTBOX, org.id, approval, first)
    assert rt.sql("SELECT wanted FROM outbox WHERE channel_id = %s", first)[0]["wanted"] == 2


@case()
def an_unlink_waits_for_the_organization_with_empty_hands(rt):
    """Whoever is offboarded loses the account behind the lock of the organization."""
    org, approval, (first, _) = waiting(rt)
    linked(rt, org, approval, first)

    def unlink():
        assert org.control("DELETE", "/people/%s/links" % org.ann.name) == {"unlinked": 1}
    with holding(rt, "SELECT 1 FROM organization WHERE organization_id = %s", org.id) as pid, \
            beside(rt, pid, unlink):
        assert is_free(rt, ACCOUNT, org.id, "71")
        assert is_free(rt, OUTBOX, org.id, approval, first)


@case()
def whoever_is_back_waits_for_the_organization_with_empty_hands(rt):
    """The sweep ends what is over behind the lock of the organization."""
    org = Org(rt, files=False, policy=None)
    org.control("POST", "/people/%s/away" % org.ann.name, {"until": "1h", "delegate": org.bob.name})

    def back():
        org.control("DELETE", "/people/%s/away" % org.ann.name)
    with holding(rt, "SELECT 1 FROM organization WHERE organization_id = %s", org.id) as pid, \
            beside(rt, pid, back):
        assert is_free(rt, "SELECT 1 FROM delegation WHERE organization_id = %s", org.id)
    assert org.control("GET", "/away")["items"] == []


@case()
def an_edit_waits_for_a_stop_with_empty_hands(rt):
    """A stop freezes what waits behind its gate: it would wait for the call that is being changed,
    and the change for the gate, until one of them is ended, a second later."""
    org, approval, _ = waiting(rt)
    binding = org.binding(approval)

    def edit():
        org.ann.rest("POST", org.path("/approvals/%s/edit" % approval),
                     {"arguments": {"line": "two"}, "binding": binding})
    with holding(rt, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7338))", org.id) as pid, \
            beside(rt, pid, edit):
        assert is_free(rt, "SELECT 1 FROM approval WHERE organization_id = %s AND approval_id = %s",
                       org.id, approval)
    assert org.row(approval)["edited_to"]


def two_waiting(rt):
    """org, its approvals in the order of their ids, a channel that is off and failed for both. Whoever
    reads them as they lie, by when they came or by what they are, comes to the first one last."""
    org, one, (channel, other) = waiting(rt)
    rt.sql("DELETE FROM outbox WHERE channel_id = %s", other)
    agent = McpWs(rt, org.credential)
    agent.call_start(APPEND, {"line": "two"})
    wait_for("the second", lambda: len(org.rows()) == 2)
    first, second = sorted(r["approval_id"] for r in org.rows())
    rt.sql("DELETE FROM outbox WHERE organization_id = %s", org.id)
    for approval in (second, first):
        rt.sql("INSERT INTO outbox (organization_id, approval_id, channel_id, step, tries) VALUES "
               "(%s, %s, %s, 0, 1)", org.id, approval, channel)
    rt.sql("UPDATE approval SET ask = jsonb_set(ask, '{notify}', '[\"off-1\"]') WHERE organization_id "
           "= %s", org.id)
    rt.sql("UPDATE approval SET created_at = created_at + interval '1 hour', fingerprint = %s WHERE "
           "organization_id = %s AND approval_id = %s", b"\xff" * 32, org.id, first)
    (name,) = [c["name"] for c in rt.sql("SELECT name FROM channel WHERE channel_id = %s", channel)]
    return org, first, second, channel, name


CHANNEL = "SELECT 1 FROM channel WHERE organization_id = %s AND channel_id = %s"


@case()
def a_stop_takes_what_it_freezes_in_one_order(rt):
    """Else it and whoever has cards drawn again end each other, and the stop is refused."""
    org, first, second, channel, _ = two_waiting(rt)

    def stop():
        org.control("POST", "/stops", {"scope": "org", "name": org.name, "reason": "enough"})
    with holding(rt, OUTBOX, org.id, first, channel) as pid, beside(rt, pid, stop):
        assert is_free(rt, OUTBOX, org.id, second, channel)
    wait_for("all to be frozen", lambda: all(r["frozen_at"] for r in org.rows()))

    def resume():
        org.control("POST", "/stops/resume", {"scope": "org", "name": org.name})
    with holding(rt, OUTBOX, org.id, first, channel) as pid, beside(rt, pid, resume):
        assert is_free(rt, OUTBOX, org.id, second, channel)
    wait_for("all to go on", lambda: not any(r["frozen_at"] for r in org.rows()))


@case()
def a_channel_is_set_up_anew_behind_its_cards(rt):
    """Whoever sends has a row of the outbox when it says that the channel works."""
    org, first, second, channel, name = two_waiting(rt)

    def change():
        org.control("PATCH", "/channels/" + name, {"disclose": "summary"})
    with holding(rt, OUTBOX, org.id, first, channel) as pid, beside(rt, pid, change):
        assert is_free(rt, OUTBOX, org.id, second, channel)
        assert is_free(rt, CHANNEL, org.id, channel)
    assert rt.sql("SELECT 1 FROM outbox WHERE organization_id = %s AND tries > 0", org.id) == []


@case()
def a_channel_goes_behind_its_cards(rt):
    org, first, second, channel, name = two_waiting(rt)

    def remove():
        org.control("DELETE", "/channels/" + name)
    with holding(rt, OUTBOX, org.id, first, channel) as pid, beside(rt, pid, remove):
        assert is_free(rt, OUTBOX, org.id, second, channel)
        assert is_free(rt, CHANNEL, org.id, channel)
    assert rt.sql("SELECT 1 FROM outbox WHERE organization_id = %s", org.id) == []


@case(limit=60, **LOCAL)
def marks_are_set_on_the_cards_of_a_message_in_one_order(rt):
    """Else two who press at the same moment end each other's, and one is told that nobody knows."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",), batch=True) as house:
        for line in ("one", "two", "three"):
            house.ask(line)
        message = tg.wait_message(house.ann.id, "append_line")
        tg.wait_text(message, "3 calls of one tool")
        wait_for("all to be told", lambda: not rt.sql(
            "SELECT 1 FROM outbox WHERE organization_id = %s AND done < wanted", house.org.id))
        cards = [r["card_id"] for r in rt.sql(
            "SELECT card_id FROM card_message WHERE organization_id = %s ORDER BY card_id", house.org.id)]
        for place in ("elsewhere", str(house.ann.id)):  # it is read last now
            rt.sql("UPDATE card_message SET place = %s WHERE organization_id = %s AND card_id = %s", place,
                   house.org.id, cards[0])
        card = "SELECT 1 FROM card_message WHERE organization_id = %s AND card_id = %s"
        answers = []

        def press():
            answers.append(tg.press(house.ann, message, "Decide several", timeout=20))
        with holding(rt, card, house.org.id, cards[0]) as pid, beside(rt, pid, press):
            assert is_free(rt, card, house.org.id, cards[1]) and is_free(rt, card, house.org.id, cards[2])
        assert "mark each call" in answers[0], answers


@case(limit=60)
def a_dead_worker_s_row_that_somebody_holds_stops_no_sweep(rt):
    """After a suspended machine each worker finds the others silent, and they would have ended each
    other's round for as long as it took."""
    org = Org(rt, files=False, policy=None)
    conn = rt.connect()
    conn.autocommit = False
    try:
        with conn.cursor() as cur:
            held = 0
            while not held:  # a round of the sweep may come in between
                cur.execute("INSERT INTO worker (id, node, pid, version, seen_at) VALUES (%s, 'gone', 1, "
                            "'x', now() - interval '1 hour') ON CONFLICT DO NOTHING", (org.id,))
                conn.commit()
                cur.execute("SELECT 1 FROM worker WHERE id = %s FOR UPDATE", (org.id,))
                held = cur.rowcount
        org.sync()
    finally:
        conn.close()
    wait_for("it to go", lambda: rt.sql("SELECT 1 FROM worker WHERE id = %s", org.id) == [], 20)


GATE = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7338))"
PASSING = "SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 7338))"
VOTED = "SELECT 1 FROM vote WHERE organization_id = %s AND approval_id = %s"
MEMBER = ("SELECT 1 FROM membership WHERE organization_id = %s AND person_id = (SELECT person_id FROM "
          "person WHERE name = %s)")


def offboard(org, person):
    org.control("POST", "/people/%s/offboard" % person.name, {})


@case()
def an_offboarding_waits_at_the_gate_with_empty_hands(rt):
    """A marker, an edit and an intake by a grant pass the gate before they lock the call, its card or
    the grant: it would wait for them, and they for what it takes away."""
    org, approval, (first, _) = waiting(rt, own_people=True)
    rt.sql(VOTE, org.id, approval, org.ann.name)
    with holding(rt, GATE, org.id) as pid, beside(rt, pid, lambda: offboard(org, org.ann)):
        assert is_free(rt, VOTED, org.id, approval)
        assert is_free(rt, OUTBOX, org.id, approval, first)
    assert rt.sql("SELECT withdrawn_at FROM vote WHERE approval_id = %s", approval)[0]["withdrawn_at"]


@case()
def nobody_is_named_like_the_gate_of_another_organization(rt):
    """A person's name may look like an organization's id: with one lock for both, who made or changed
    such a person in one organization held up what the other one sends."""
    one, other = Org(rt, files=False), Org(rt, files=False)
    body = {"name": other.id, "display_name": "Nobody", "role": "member", "groups": []}
    with holding(rt, GATE, other.id):  # or it is refused, two seconds later
        one.control("POST", "/people", body)
        one.control("PATCH", "/people/" + other.id, {"role": "approver"})


@case(limit=60)
def nothing_is_sent_behind_the_answer_of_a_revocation(rt):
    """A marker under way has read what is being taken away: whoever takes it away is answered when it is
    through, so that nothing is sent by it from then on."""
    org, approval, (first, _) = waiting(rt, own_people=True)
    linked(rt, org, approval, first)
    made = org.adam.rest("POST", org.path("/grants"), {
        "approval": approval, "binding": org.binding(approval), "for": "1h", "uses": 5})
    org.control("POST", "/people/%s/away" % org.ann.name, {"until": "1h", "delegate": org.bob.name})
    version = org.control("GET", "/policy")["version"]
    for act in (
            lambda: org.control("DELETE", "/grants/" + made["id"]),
            lambda: org.control("DELETE", "/people/%s/links" % org.ann.name),
            lambda: org.control("DELETE", "/people/%s/away" % org.ann.name),
            lambda: org.control("POST", "/policy", {"document": POLICY.replace("is gone", "was"),
                                                      "expected": version}),
            lambda: org.control("POST", "/tools/%s/quarantine" % APPEND, {}),
            lambda: org.control("PATCH", "/servers/s", {"is_enabled": False}),
            lambda: org.control("DELETE", "/agents/bot/credentials/%s" % org.credential_id),
            lambda: org.control("PATCH", "/agents/bot", {"state": "frozen"})):
        with holding(rt, PASSING, org.id) as pid, beside(rt, pid, act):
            pass


@case()
def many_are_rejected_in_the_order_of_all_others(rt):
    """The newest is the first in the list, and the last one for whoever stops or sweeps them."""
    org, first, _ = waiting(rt)
    McpWs(rt, org.credential).call_start(APPEND, {"line": "two"})
    wait_for("the second", lambda: len(org.rows()) == 2)
    (second,) = {r["approval_id"] for r in org.rows()} - {first}
    assert first < second
    approval = "SELECT 1 FROM approval WHERE organization_id = %s AND approval_id = %s"

    def reject():
        org.ann.rest("POST", org.path("/approvals/reject"), {"agent": "bot", "reason": "it runs amok"})
    with holding(rt, approval, org.id, first) as pid, beside(rt, pid, reject):
        assert is_free(rt, approval, org.id, second)
    assert {r["state"] for r in org.rows()} == {"rejected"}


@case()
def a_vote_that_crosses_an_offboarding_does_not_outlive_it(rt):
    """It would count again when the person is added again in time."""
    org, approval, (first, _) = waiting(rt, own_people=True)
    binding, threads = org.binding(approval), []
    assert org.ann.token

    def vote():
        org.ann.approve(approval, binding=binding)
    with holding(rt, OUTBOX, org.id, approval, first) as pid, beside(rt, pid, vote):
        threads.append(threading.Thread(target=offboard, args=(org, org.ann)))
        threads[0].start()
        wait_for("it to be through, or to wait for the vote", lambda: not threads[0].is_alive() or rt.sql(
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s",
            "%UPDATE membership%"))
    threads[0].join(20)
    (voted,) = rt.sql("SELECT withdrawn_at FROM vote WHERE approval_id = %s", approval)
    assert voted["withdrawn_at"]


@case()
def what_was_taken_back_meanwhile_decides_nothing(rt):
    """One sign-in may decide fifty: who revokes the token, or has another passphrase set, is not decided
    for by the rest."""
    org, approval, _ = waiting(rt, own_people=True)
    binding, said = org.binding(approval), []
    revoked = ("UPDATE personal_token SET revoked_at = now() WHERE person_id = (SELECT person_id FROM "
               "person WHERE name = %s)")
    changed = "UPDATE person SET passphrase_hash = 'another' WHERE name = %s"
    assert org.ann.token

    for auth, taken in ((org.ann.token, revoked), ((org.bob.name, org.bob.passphrase), changed)):
        name = org.bob.name if auth is not org.ann.token else org.ann.name

        def decide():
            with refused(403, "was taken back meanwhile"):
                rt.rest("POST", org.path("/approvals/%s/decision" % approval),
                        {"verdict": "approve", "binding": binding}, auth)
            said.append(name)
        with holding(rt, MEMBER, org.id, name) as pid, beside(rt, pid, decide):
            rt.sql(taken, name)
    assert len(said) == 2 and org.state(approval) == "pending"


@case()
def a_token_revoked_meanwhile_makes_no_grant_and_changes_no_call(rt):
    """A grant is a standing vote: it would have gone on deciding for whoever had the stolen token."""
    org, approval, _ = waiting(rt, own_people=True)
    binding, said = org.binding(approval), []
    for person, path, body in (
            (org.ann, "/approvals/%s/edit" % approval, {"arguments": {"line": "two"}}),
            (org.adam, "/grants", {"approval": approval, "uses": 5, "for": "1h"})):
        assert person.token

        def ask():
            with refused(403, "was taken back meanwhile"):
                rt.rest("POST", org.path(path), dict(body, binding=binding), person.token)
            said.append(path)
        with holding(rt, MEMBER, org.id, person.name) as pid, beside(rt, pid, ask):
            rt.sql("UPDATE personal_token SET revoked_at = now() WHERE person_id = (SELECT person_id "
                   "FROM person WHERE name = %s)", person.name)
    assert len(said) == 2 and org.state(approval) == "pending"
    assert rt.sql("SELECT 1 FROM call_grant WHERE organization_id = %s", org.id) == []


STANDING = """version: 1
rules:
  - {name: crashes, tools: [s__crash], effect: allow, standing: true}
"""
REVOKED = ("UPDATE personal_token SET revoked_at = now() WHERE person_id = (SELECT person_id FROM person "
           "WHERE name = %s)")
ANOTHER = "UPDATE person SET passphrase_hash = 'another' WHERE name = %s"
DEMOTED = ("UPDATE membership SET role = 'auditor' WHERE organization_id = %s AND person_id = (SELECT "
           "person_id FROM person WHERE name = %s)")


@case(limit=60)
def a_token_revoked_meanwhile_settles_nothing(rt):
    """Settled so that it is asked again, the call would have run under a rule that asks nobody."""
    org = Org(rt, files=False, scenario=True, own_people=True)
    call = McpWs(rt, org.credential).call_start("s__crash", {"line": "x"})
    approval = org.wait_pending()
    org.bob.approve(approval)
    call.wait()
    assert org.state(approval) == "unknown"
    rt.sql("UPDATE approval SET unknown_after = now() WHERE approval_id = %s", approval)
    org.apply(STANDING)
    said = []
    assert org.ann.token

    def settle():
        with refused(403, "was taken back meanwhile"):
            org.ann.settle(approval, "again")
        said.append("settle")
    with holding(rt, MEMBER, org.id, org.ann.name) as pid, beside(rt, pid, settle):
        rt.sql(REVOKED, org.ann.name)
    assert said and org.state(approval) == "unknown" and len(org.rows()) == 1
    assert len(org.audit(kind="authz.failed")) == 1
    again = org.bob.settle(approval, "again")["new_id"]
    wait_for("it to run without asking", lambda: org.row(again)["dispatched_at"])


@case()
def a_stop_outlives_the_token_and_the_role_that_were_to_lift_it(rt):
    """What waits would run, or be decided, at the word of somebody who may not resume any more."""
    org, approval, _ = waiting(rt, own_people=True)
    resume, said = org.path("/stops/resume"), []
    org.control("POST", "/stops", {"scope": "agent", "name": "bot", "reason": "enough"})
    for held, taken, args, why in (
            ((MEMBER, org.id, org.adam.name), REVOKED, (org.adam.name,), "was taken back meanwhile"),
            ((GATE, org.id), DEMOTED, (org.id, org.adam.name), "may not do this any more")):
        token = org.adam.make_token(("read", "admin"))

        def lift():
            with refused(403, why):
                rt.rest("POST", resume, {"scope": "agent", "name": "bot"}, token)
            said.append(why)
        with holding(rt, *held) as pid, beside(rt, pid, lift):
            rt.sql(taken, *args)
    assert len(said) == 2 and len(org.audit(kind="authz.failed")) == 2
    (stop,) = org.control("GET", "/stops")["items"]
    assert stop["state"] in ("stopping", "stopped"), stop
    assert not org.audit(kind="stop.lifted")


@case()
def authority_is_not_passed_on_by_whoever_lost_it_meanwhile(rt):
    """An absence passes a vote on, a policy lets calls run, a channel shows them: each outlives what it
    was set with."""
    org, _, _ = waiting(rt, own_people=True)
    version = org.control("GET", "/policy")["version"]
    rt.sql("UPDATE channel SET disclose = 'summary' WHERE organization_id = %s", org.id)
    said = []
    for person, by, path, body in (
            (org.ann, None, "/people/%s/away" % org.ann.name, {"until": "1h", "delegate": org.bob.name}),
            (org.adam, "admin", "/policy", {"document": STANDING, "expected": version}),
            (org.adam, "admin", "/channels/off-1", {"disclose": "full"})):
        auth = person.make_token(("read", by)) if by else (person.name, person.passphrase)
        method = "PATCH" if "disclose" in body else "POST"

        def change():
            with refused(403, "was taken back meanwhile"):
                rt.rest(method, org.path(path), body, auth)
            said.append(path)
        with holding(rt, MEMBER, org.id, person.name) as pid, beside(rt, pid, change):
            rt.sql(REVOKED if by else ANOTHER, person.name)
    assert len(said) == 3
    assert org.control("GET", "/away")["items"] == []
    assert org.control("GET", "/policy")["version"] == version
    assert rt.sql("SELECT 1 FROM channel WHERE organization_id = %s AND disclose = 'full'", org.id) == []


@case()
def a_passphrase_changed_meanwhile_makes_no_token_and_no_other_passphrase(rt):
    """Whoever stole it would have kept a token of it, or taken the account over."""
    org = Org(rt, files=False, policy=None, own_people=True)
    person, said = org.ann, []
    had = rt.sql("SELECT passphrase_hash FROM person WHERE name = %s", person.name)[0]["passphrase_hash"]
    for path, body in (("/me/tokens", {"name": "t", "scopes": ["read", "decide"], "expires": "1h"}),
                       ("/me/passphrase", {"passphrase": person.passphrase, "new": "nine grey geese go"})):
        def change():
            with refused(403, "was taken back meanwhile"):
                rt.rest("POST", path, body, (person.name, person.passphrase))
            said.append(path)
        with holding(rt, "SELECT pg_advisory_xact_lock(hashtextextended(%s, 7339))", person.name) as pid, \
                beside(rt, pid, change):
            rt.sql(ANOTHER, person.name)
        (now,) = rt.sql("SELECT passphrase_hash AS hash, (SELECT count(*) FROM personal_token t WHERE "
                        "t.person_id = p.person_id AND t.name = 't') AS tokens FROM person p WHERE name = "
                        "%s", person.name)
        assert now["hash"] == "another" and now["tokens"] == 0, now
        rt.sql("UPDATE person SET passphrase_hash = %s WHERE name = %s", had, person.name)
    assert len(said) == 2


@case(limit=60, **LOCAL)
def a_press_of_an_account_that_was_unlinked_meanwhile_decides_nothing(rt):
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        _, approval = house.ask("one")
        message = tg.wait_message(house.ann.id, "append_line")
        answers = []

        def press():
            answers.append(tg.press(house.ann, message, "Approve", timeout=20))
        with holding(rt, MEMBER, house.org.id, house.org.ann.name) as pid, beside(rt, pid, press):
            rt.sql("DELETE FROM chat_identity WHERE organization_id = %s", house.org.id)
        assert "was taken back meanwhile" in answers[0], answers
        assert house.org.state(approval) == "pending"
