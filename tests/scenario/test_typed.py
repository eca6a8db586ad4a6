"""Rules that want an approval typed: a click alone approves nothing, wherever it comes from."""
from cases import case
from chat import LOCAL, House
from cli import Cli
from fake_mail import Smtp
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from harness import refused, wait_for
from mail import MAIL, PASSWORD, USER, MailHouse
from mcp_client import text_of
from slack import OPS, SlackHouse
from test_batch import decisions, verdict
from test_edit import policy, waiting
from test_grants import Granted, grant

WORDS = "approve s__append_line"
RULE = dict(typed_confirmation=True)


@case()
def by_rest_and_the_command_line(rt):
    org, _, call, approval = waiting(rt, policy(**RULE))
    assert org.approval(approval)["typed"] == WORDS
    for typed in ({}, {"typed": "approve"}, {"typed": "approve s__append_lines"}, {"typed": ""}):
        with refused(400, "typing exactly '%s'" % WORDS):
            org.ann.approve(approval, **typed)
    got = decisions(org.ann, verdict(org, approval, "approve"))
    assert "typing exactly" in got[0]["error"]["text"], got
    cli = Cli(rt, org)
    said = cli("approvals", "approve", approval, token=org.ann.token, status=1)
    assert "typing exactly '%s'" % WORDS in said.err, said
    assert org.state(approval) == "pending" and org.effects() == []
    cli("approvals", "approve", approval, "--typed", " Approve s__append_line", token=org.ann.token)
    assert text_of(call.wait()) == "appended"
    # A rejection takes no words.
    org, _, call, approval = waiting(rt, policy(**RULE))
    org.ann.reject(approval, "no")
    assert call.wait()["isError"]


@case()
def no_grant_lets_it_run_untyped(rt):
    """Neither one that is made by REST or the command line, nor one that is there already."""
    org, _, call, approval = waiting(rt, policy(**RULE))
    with refused(409, "typed: no grant"):
        grant(org.adam, approval)
    said = Cli(rt, org)("grant", "create", "--from", approval, "--for", "1h", "--uses", "5",
                        token=org.adam.token, status=None)
    assert said.status and "typed: no grant" in said.err, said
    assert org.adam.rest("GET", org.path("/grants"))["items"] == []
    g = Granted(rt, document=policy())
    g.org.apply(policy(**RULE))
    g.org.sync()
    g.asks("was made when the policy asked otherwise")
    # As an earlier version made them.
    rt.sql("UPDATE call_grant SET ask = left(ask, -1) || ',\"typed_confirmation\":true}' WHERE "
           "grant_id = %s", g.made["id"])
    rt.sql("UPDATE organization SET revision = revision + 1, changed_at = clock_timestamp() "
           "WHERE organization_id = %s", g.org.id)
    g.org.sync()
    g.asks("cannot stand for an approval that is typed")
    assert g.org.effects() == ["one"] and g.state()["used"] == 0


@case(limit=60, **LOCAL)
def typed_in_telegram(rt):
    """By a reply to the bot's question, of whoever was asked, with exactly these words."""
    with FakeTelegram() as tg, House(rt, tg, **RULE) as house:
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, "append_line")
        assert "type a few words" in card["text"], card
        data = tg.button(card, "Approve, typing")
        # The button of a rule without it, made up.
        said = tg.press(house.ann, card, "", data="a" + data[1:])
        assert "typing exactly" in said and house.org.state(approval) == "pending", said

        def asked():
            after = max(m["message_id"] for m in tg.messages(house.ann.id))
            tg.press(house.ann, card, "Approve, typing")
            return tg.wait_message(house.ann.id, "reply to this message", after)
        prompt = asked()
        assert WORDS in prompt["text"] and prompt["reply_markup"]["force_reply"], prompt
        house.ann.says("approve s__append", reply_to=prompt)
        tg.wait_message(house.ann.id, "typing exactly", prompt["message_id"])
        assert house.org.state(approval) == "pending"
        house.ann.says(WORDS, reply_to=prompt)  # used up
        tg.wait_message(house.ann.id, "I did not ask you that", prompt["message_id"])
        assert house.org.state(approval) == "pending" and house.org.effects() == []
        house.ann.says(WORDS, reply_to=asked())
        assert text_of(call.wait()) == "appended"
        (leaf,) = house.org.audit(approval, "approval.approved")
        assert leaf["data"]["via"] == "telegram"
        tg.wait_text(card, "done")
        # What was asked for a reason is no approval, and the other way round.
        call, approval = house.ask("two")
        second = tg.wait_message(house.ann.id, "waiting", card["message_id"])
        tg.press(house.ann, second, "Reject, saying why")
        prompt = tg.wait_message(house.ann.id, "Why is it rejected", second["message_id"])
        house.ann.says(WORDS, reply_to=prompt)
        assert call.wait()["isError"] and house.org.effects() == ["one"]


@case(limit=60, **LOCAL)
def typed_in_slack(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl, files=True, **RULE) as house:
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        assert "type a few words" in sl.text(card), card
        element = sl.element(card, "Approve, typing")
        said = sl.click(house.ann, card, "", element=dict(element, value="a" + element["value"][1:]))
        assert "typing exactly" in said, said
        view = sl.open_modal(house.ann, card, "Approve, typing")
        assert WORDS in sl.text(view), view
        assert "typing exactly" in sl.submit(house.ann, view, "approve it")
        assert house.org.state(approval) == "pending" and house.org.effects() == []
        view = sl.open_modal(house.ann, card, "Approve, typing")
        assert "approved" in sl.submit(house.ann, view, WORDS)
        assert text_of(call.wait()) == "appended"
        # A long card: behind the last page of its review.
        call, approval = house.ask(tool="files__write", path="long.txt", content="y" * 40000,
                                   overwrite=True)
        long = sl.wait_message(OPS, "long.txt")
        assert not sl.element(long, "Approve"), sl.buttons(long)
        view = sl.open_modal(house.bob, long, "Review")
        while sl.element(sl.views[view["id"]], "Next"):
            view = sl.press_in_view(house.bob, view, "Next")
        view = sl.press_in_view(house.bob, view, "Approve, typing")
        view = wait_for("the form", lambda: [v for v in [sl.views[view["id"]]]
                                             if "files__write" in sl.text(v) and
                                             any(b["type"] == "input" for b in v["blocks"])])[0]
        assert "approved" in sl.submit(house.bob, view, "approve files__write")
        assert not call.wait().get("isError")


@case(limit=60, **MAIL)
def typed_on_the_page_of_a_mail(rt):
    with Smtp(user=USER, password=PASSWORD) as smtp, MailHouse(rt, smtp, **RULE) as house:
        call, approval = house.ask("one")
        browser = house.sign_in(house.card(house.org.ann))
        assert WORDS in browser.page.text, browser.page.text
        assert "typing exactly" in browser.press("Approve", typed="approve it").text
        assert house.org.state(approval) == "pending"
        assert "approved by" in browser.press("Approve", typed=WORDS).text
        assert text_of(call.wait()) == "appended" and house.org.effects() == ["one"]
