"""A second factor in Slack: a rule that asks for one is met in a form, as on the command line."""
import json
import re
import threading

from cases import case
from chat import APPEND, LOCAL
from fake_slack import FakeSlack, User
from harness import refused, wait_for
from house import both, code_of
from mcp_client import text_of
from slack import OPS, SlackHouse

RULE = dict(second_factor=True, own_people=True)
BUTTON = "Approve, with a code"


def enrol(rt, person):
    """The secret of their new authenticator; codes from now on are good."""
    auth = (person.name, person.passphrase)
    secret = rt.rest("POST", "/me/totp", {}, auth)["secret"]
    rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret)}, auth)
    rt.sql("UPDATE person SET totp_last_step = 0 WHERE name = %s", person.name)
    return secret


def wrong_codes(secret):
    """Six digits that are no code in these minutes."""
    good = {code_of(secret, step) for step in range(-2, 6)}
    return [c for c in ("%06d" % (111111 + i) for i in range(40)) if c not in good]


def text_of_view(sl, said):
    assert "blocks" in said, said
    return sl.text(said)


def fresh_code(rt, person, secret):
    """One that was not used: the step of the one before is put back."""
    rt.sql("UPDATE person SET totp_last_step = 0 WHERE name = %s", person.name)
    return code_of(secret)


def failed(rt, person):
    return rt.sql("SELECT failed_count AS n, locked_until > now() AS is_locked FROM person WHERE "
                  "name = %s", person.name)[0]


@case(limit=60, **LOCAL)
def a_second_factor_is_proved_in_slack(rt):
    """A wrong code is said at its input, the right one decides, once; and it is kept nowhere."""
    with FakeSlack() as sl, SlackHouse(rt, sl, **RULE) as house:
        org = house.org
        secret = enrol(rt, org.ann)
        since = rt.log_size()
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        assert BUTTON in sl.buttons(card) and "Approve" not in sl.buttons(card), sl.buttons(card)
        assert "asks for a code of your authenticator" in sl.text(card), card
        element = sl.element(card, BUTTON)
        said = sl.click(house.ann, card, "", element=dict(element, value="a" + element["value"][1:]))
        assert "second factor" in said and org.state(approval) == "pending", said
        view = sl.open_modal(house.ann, card, BUTTON)
        assert list(sl.inputs(view)) == ["Six digits"] and "one" not in sl.text(view), view
        for code in wrong_codes(secret)[:3]:
            said = sl.submit_typed(house.ann, view, code=code)
            assert said == {"code": "the authenticator's code is wrong or was used already"}, said
            assert sl.views[view["id"]] is view
        assert failed(rt, org.ann)["n"] == 3 and org.state(approval) == "pending"
        good = fresh_code(rt, org.ann, secret)
        said = sl.submit_typed(house.ann, view, code="%s %s" % (good[:3], good[3:]))
        assert "approved" in text_of_view(sl, said), said
        assert text_of(call.wait()) == "appended" and org.effects() == ["one"]
        assert failed(rt, org.ann)["n"] == 0
        (vote,) = org.approval(approval)["votes"]
        assert vote["has_second_factor"] and vote["via"] == "slack", vote
        (leaf,) = org.audit(approval, "approval.approved")
        assert leaf["data"]["second_factor"] is True
        call, second = house.ask("two")
        card = sl.wait_message(OPS, "two", skip=[card["ts"]])
        view = sl.open_modal(house.ann, card, BUTTON)
        said = sl.submit_typed(house.ann, view, code=good)
        assert "used already" in said["code"] and org.state(second) == "pending", said
        said = sl.submit_typed(house.ann, view, code=code_of(secret, 1))
        assert "approved" in text_of_view(sl, said), said
        assert text_of(call.wait()) == "appended"
        # The press before it was decided: no code is used up for what is over.
        rt.sql("UPDATE person SET totp_last_step = 0 WHERE name = %s", org.ann.name)
        payload = sl.typed(house.ann, view, code=good)
        said = sl.after_submit(sl.views[view["id"]], payload, 10)
        assert "decided or over" in text_of_view(sl, said), said
        assert rt.sql("SELECT totp_last_step AS n FROM person WHERE name = %s",
                      org.ann.name) == [{"n": 0}]
        kept = [json.dumps([sl.calls, list(sl.views.values())]), rt.log(since)]
        for table in ("outbox", "card_message", "chat_prompt", "vote"):
            kept += [r["row"] for r in rt.sql("SELECT row_to_json(t)::text AS row FROM " + table +
                                              " t WHERE organization_id = %s", org.id)]
        kept += [r["leaf"].decode() for r in rt.sql(
            "SELECT leaf FROM audit_event WHERE kind IN ('auth.failed', 'approval.approved')")]
        alone = re.compile(r"(?<![\w.])%s ?%s(?!\w)" % (good[:3], good[3:]))
        assert len(kept) > 4 and not any(map(alone.search, kept))


@case(limit=60, **LOCAL)
def who_may_not_decide_is_asked_for_no_code(rt):
    """The agent's owner, a stranger, a guest, somebody of another workspace with Ann's id and a right
    code; and who has no authenticator is told how to get one."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "bob", "olga"), **RULE) as house:
        org = house.org
        secret = enrol(rt, org.ann)
        enrol(rt, org.olga)
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        for user in (house.olga, sl.user("U1NEW", "new"), sl.user("U1G", "g", is_restricted=True)):
            view = sl.open_modal(user, card, BUTTON)
            assert not sl.inputs(view) and "append" not in sl.text(view), view
        view = sl.open_modal(house.bob, card, BUTTON)
        assert "flopinio user totp enable" in sl.text(view) and not sl.inputs(view), view
        view = sl.open_modal(house.ann, card, BUTTON)
        code = code_of(secret)
        # Bob has none, and types hers; a stranger has her id and hers.
        said = sl.after_submit(view, sl.typed(house.bob, view, code=code), 10)
        assert "no authenticator" in text_of_view(sl, said), said
        sl.views[view["id"]] = view
        said = sl.after_submit(view, sl.typed(User("U1ANN", "ann", team="T9OTHER"), view, code=code),
                               10)
        assert "another workspace" in text_of_view(sl, said), said
        guest = sl.typed(sl.users["U1G"], view, code=code)
        sl.views[view["id"]] = view
        assert "guest" in text_of_view(sl, sl.after_submit(view, guest, 10))
        # Of another workspace's app, and a form that is none: nothing at all.
        for change in ({"team": {"id": "T9OTHER"}}, {"view": dict(view, private_metadata="x")}):
            payload = dict(sl.typed(house.ann, view, code=code), **change)
            assert sl.send(payload) == (200, b""), change
        assert org.state(approval) == "pending" and org.effects() == []
        assert failed(rt, org.ann) == {"n": 0, "is_locked": None}
        sl.views[view["id"]] = view
        said = sl.submit_typed(house.ann, view, code=code_of(secret))
        assert "approved" in text_of_view(sl, said), said
        assert text_of(call.wait()) == "appended"


@case(limit=60, **LOCAL)
def guessed_codes_at_one_time_are_no_more_than_a_few(rt):
    """Wrong ones count before they are looked at, together with those of the command line: then even
    the right one is refused, there too."""
    with FakeSlack() as sl, SlackHouse(rt, sl, **RULE) as house:
        org = house.org
        secret = enrol(rt, org.ann)
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        view = sl.open_modal(house.ann, card, BUTTON)
        guesses = [sl.typed(house.ann, view, code=c) for c in wrong_codes(secret)[:16]]
        answers = [sl.errors(view, json.loads(a[1]))["code"] for a in both(
            *[lambda p=p: sl.send(p) for p in guesses])]
        looked_at = [a for a in answers if "wrong or was used" in a]
        assert len(looked_at) == 5 and all(
            "too many wrong answers" in a for a in answers if a not in looked_at), answers
        assert failed(rt, org.ann) == {"n": 5, "is_locked": True}
        rt.sql("UPDATE person SET locked_until = now() + interval '1 hour' WHERE name = %s",
               org.ann.name)  # however slow this machine is
        said = sl.submit_typed(house.ann, view, code=code_of(secret))
        assert "too many wrong answers" in said["code"] and org.state(approval) == "pending", said
        with refused(429, "too many wrong answers"):
            rt.rest("GET", "/me", None, (org.ann.name, org.ann.passphrase), code=code_of(secret))
        assert "too many wrong answers" in sl.text(sl.open_modal(house.ann, card, BUTTON))
        rt.sql("UPDATE person SET locked_until = now() - interval '1 second' WHERE name = %s",
               org.ann.name)
        said = sl.submit_typed(house.ann, view, code=code_of(secret))
        assert "approved" in text_of_view(sl, said), said
        assert text_of(call.wait()) == "appended" and failed(rt, org.ann)["n"] == 0


@case(limit=90, **LOCAL)
def a_code_over_socket_mode_behind_the_last_page_with_words(rt):
    """A long card, a rule that asks for words too: both in one form, and the words are looked at
    first, so that no code is used up for a typing error."""
    with FakeSlack() as sl, SlackHouse(rt, sl, mode="socket", files=True, typed_confirmation=True,
                                       **RULE) as house:
        secret = enrol(rt, house.org.ann)
        call, approval = house.ask(tool="files__write", path="long.txt", content="y" * 40000,
                                   overwrite=True)
        card = sl.wait_message(OPS, "long.txt")
        assert not sl.element(card, "Approve"), sl.buttons(card)
        view = sl.open_modal(house.ann, card, "Review")
        assert not sl.element(view, "Approve"), view
        while sl.element(sl.views[view["id"]], "Next"):
            view = sl.press_in_view(house.ann, view, "Next")
        view = sl.press_in_view(house.ann, view, BUTTON)
        view = wait_for("the form", lambda: [v for v in [sl.views[view["id"]]]
                                             if len(sl.inputs(v)) == 2])[0]
        assert "files__write" in sl.text(view), view
        code = code_of(secret)
        unread = dict(view, private_metadata=view["private_metadata"].rsplit(" ", 2)[0] + " 0 9")
        said = sl.after_submit(view, sl.typed(house.ann, unread, code=code,
                                              reason="approve files__write"), 10)
        assert "not all of it was shown" in text_of_view(sl, said), said
        sl.views[view["id"]] = view
        said = sl.submit_typed(house.ann, view, code=code, reason="approve it")
        assert list(said) == ["reason"] and "approve files__write" in said["reason"], said
        said = sl.submit_typed(house.ann, view, code=code_of(secret), reason="approve files__write")
        assert "approved" in text_of_view(sl, said), said
        assert not call.wait().get("isError")
        assert house.org.approval(approval)["votes"][0]["has_second_factor"]


@case(limit=60, **LOCAL)
def a_code_that_takes_long_is_acknowledged_in_time(rt):
    """Slack waits for 3 s, and may be slow itself: then the form says that it is being recorded, and
    what came of it later; a wrong one too."""
    with FakeSlack() as sl, SlackHouse(rt, sl, mode="socket", **RULE) as house:
        secret = enrol(rt, house.org.ann)
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        for code, text in ((wrong_codes(secret)[0], "wrong or was used already"),
                           (None, "approved")):
            view = sl.open_modal(house.ann, card, BUTTON)
            sl.event("user_change", user=dict(house.ann.json))  # is asked about again
            held = sl.holds["users.info"] = threading.Event()
            try:
                code = code or code_of(secret)
                status, body = sl.send(sl.typed(house.ann, view, code=code))
                answer = json.loads(body)
                assert answer["response_action"] == "update", answer
                assert "Recording" in sl.text(answer["view"]), answer
                assert house.org.state(approval) == "pending"
            finally:
                sl.holds.clear()
                held.set()
            wait_for("what came of it", lambda: text in sl.text(sl.views[view["id"]]))
        assert text_of(call.wait()) == "appended"
