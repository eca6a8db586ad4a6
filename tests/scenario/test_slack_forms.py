"""Changing the arguments of what waits, in a form: what it shows, to whom, and what comes of it."""
import json

from cases import case
from chat import APPEND, LOCAL
from fake_slack import FakeSlack
from mcp_client import text_of
from slack import OPS, SlackHouse


@case(limit=60, **LOCAL)
def edit_in_slack_is_decided_anew(rt):
    """Ann changes it; the changed call is a card of its own, which she does not approve; Bob does, and
    that runs."""
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        call, approval = house.ask("one\ntwo")
        card = sl.wait_message(OPS, "append_line")
        view = sl.open_modal(house.ann, card, "Edit")
        assert sl.inputs(view)["line"] == "one\ntwo", view
        again = sl.submit_form(house.ann, view)
        assert "nothing is changed" in sl.text(again), again
        assert sl.inputs(again)["line"] == "one\ntwo"
        said = sl.submit_form(house.ann, again, line="three", Why="not two lines")
        assert "changed; it waits" in sl.text(said) and "somebody else" in sl.text(said), said
        sl.wait_text(card, "rejected")
        fresh = sl.wait_message(OPS, "append_line", skip=[card["ts"]])
        assert "three" in sl.text(fresh) and "Approve" in sl.buttons(fresh), fresh
        (new,) = [r for r in house.org.rows() if r["state"] == "pending"]
        assert str(new["edit_of"]) == str(approval)
        said = sl.click(house.ann, fresh, "Approve")
        assert "changed the arguments" in said, said
        assert sl.click(house.bob, fresh, "Approve").startswith("approved")
        told = text_of(call.wait())
        assert "appended" in told and house.org.effects() == ["three"], told
        assert house.org.audit(approval, "approval.edited")[0]["data"]["via"] == "slack"


@case(limit=60, **LOCAL)
def a_form_shows_nothing_to_who_may_not_decide_and_no_secret(rt):
    """Only who may decide sees the arguments; secrets stay what they are, unseen; characters that
    cannot be seen are escapes; what is wrong is said in the form; a decided one is not changed."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "bob", "olga")) as house:
        org = house.org
        org.accept(APPEND, secrets=["/gate"])
        org.sync()
        sent = {"line": "safe\u202etxt.exe", "bytes": 3, "gate": "open-sesame-1234"}
        call, approval = house.ask(**dict(sent, tool=APPEND))
        card = sl.wait_message(OPS, "append_line")
        old = sl.element(card, "Edit")
        for user in (house.olga, sl.user("U1NEW", "new"), sl.user("U1G", "g", is_restricted=True)):
            view = sl.open_modal(user, card, "Edit")
            assert not sl.inputs(view) and "safe" not in json.dumps(view), view
        view = sl.open_modal(house.ann, card, "Edit")
        shown = sl.inputs(view)
        assert shown["line (as JSON; empty: without it)"] == '"safe\\u202Etxt.exe"', shown
        assert "gate: (a secret, stays" in sl.text(view), view
        said = sl.submit_form(house.ann, view, bytes="three")
        assert "bytes is no JSON" in sl.text(said), said
        assert sl.inputs(said)["bytes (as JSON; empty: without it)"] == "three"
        said = sl.submit_form(house.ann, said, bytes='"x"')
        assert "/bytes" in sl.text(said), said
        said = sl.submit_form(house.ann, said, bytes="4", More='{"gate": "mine"}')
        assert "input of its own" in sl.text(said), said
        before = len(org.rows())
        said = sl.submit_form(house.ann, said, bytes="4", More=None, line='"safe"')
        assert "changed; it waits" in sl.text(said), said
        assert len(org.rows()) == before + 1
        everything = json.dumps([sl.calls, list(sl.views.values())])
        assert sent["gate"] not in everything
        fresh = sl.wait_message(OPS, "append_line", skip=[card["ts"]])
        assert "rejected" in sl.click(house.bob, fresh, "Reject")
        call.wait()
        view = sl.open_modal(house.bob, card, "Edit", element=old)
        assert "decided or over" in sl.text(view) and not sl.inputs(view), view
        # A secret that nobody named.
        token = "ghp_" + "A1b2" * 9
        call, approval = house.ask(token)
        third = sl.wait_message(OPS, "append_line", skip=[card["ts"], fresh["ts"]])
        view = sl.open_modal(house.ann, third, "Edit")
        assert "line: (a secret" in sl.text(view) and token not in json.dumps(view), view
        sl.click(house.ann, third, "Reject")
        call.wait()
