"""What every owner hears, whatever the policy's `notify` says: in their own chats and in their list."""
from cases import case
from chat import LOCAL, House
from chat import add_channel as add_telegram
from chat import link as link_telegram
from cli import Cli
from fake_slack import FakeSlack
from fake_telegram import FakeTelegram
from harness import wait_for
from house import code_of
from mcp_client import text_of
from slack import OPS, SlackHouse, link


def totp_of(rt, person):
    auth = (person.name, person.passphrase)
    secret = rt.rest("POST", "/me/totp", {}, auth)["secret"]
    rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret)}, auth)
    return auth, secret


@case(limit=60, **LOCAL)
def every_owner_hears_of_a_broken_glass(rt):
    """One owner broke the glass: each owner is told in their own chat, once, in Slack or Telegram;
    the channel's down time does not lose it; nobody else is told; their lists have it."""
    with FakeSlack() as sl, FakeTelegram() as tg, SlackHouse(
            rt, sl, thresholds=[{"approve": 2}]) as house:
        org = house.org
        opal, otto = org.add_person("opal", "owner"), org.add_person("otto", "owner")
        add_telegram(org, tg)
        user = link_telegram(org, tg, otto, tg.user(75, "Otto"))
        link(org, sl, opal, sl.user("U1OPAL", "opal"))
        auth, secret = totp_of(rt, opal)
        call, approval = house.ask("not-for-the-alert")
        sl.wait_message(OPS, "append_line")
        sl.limited = 2
        rt.rest("POST", org.path("/approvals/%s/break-glass" % approval),
                {"reason": "<!channel> the site\u202e is down", "binding": org.binding(approval)}, auth,
                code=code_of(secret, 1))
        assert text_of(call.wait()) == "appended"
        told = sl.wait_message("D1OPAL", "broke the glass")
        text = sl.text(told)
        assert opal.name in text and "<!channel> the site\\u{202E} is down" in text, text
        assert "not-for-the-alert" not in text and sl.buttons(told) == [], told
        other = tg.wait_message(user.id, "broke the glass")
        assert approval in other["text"], other
        wait_for("both to be noted", lambda: rt.sql(
            "SELECT count(posted_at) AS n FROM alert_post WHERE organization_id = %s",
            org.id)[0]["n"] == 2)
        assert len(sl.posted("D1OPAL")) == 1
        for place in (OPS, "D1ANN", "D1BOB"):
            assert not any("glass" in sl.text(m) and "Alert" in sl.text(m) for m in sl.posted(place))
        mine = (otto.name, otto.passphrase)
        (item,) = rt.rest("GET", org.path("/alerts"), None, mine)["items"]
        assert item["kind"] == "glass_broken" and item["approval"] == approval and not item["seen_at"]
        assert org.ann.rest("GET", org.path("/alerts"))["items"] == []
        assert rt.rest("POST", org.path("/alerts/seen"), {}, mine)["seen"] == 1
        assert rt.rest("GET", org.path("/alerts"), None, mine)["items"] == []
        assert len(rt.rest("GET", org.path("/alerts?all=true"), None, mine)["items"]) == 1


@case(limit=60, **LOCAL)
def a_chat_that_is_shut_would_have_been_tried_each_hour_for_good(rt):
    """After its last try the alert is done with there; the owner's list has it."""
    with FakeTelegram() as tg, House(rt, tg, people=("ann",)) as house:
        org = house.org
        opal = org.add_person("opal", "owner")
        user = link_telegram(org, tg, opal, tg.user(75, "Opal"))
        call, approval = house.ask("one")
        card = tg.wait_message(house.ann.id, approval)
        tg.refuses[user.id] = (403, "Forbidden: bot was blocked by the user")
        rt.sql("UPDATE approval SET tool = 's__other' WHERE approval_id = %s", approval)
        assert "digest" in tg.press(house.ann, card, "Approve")

        def post(where):
            return rt.sql("SELECT tries FROM alert_post WHERE organization_id = %s AND " + where,
                          org.id)
        (row,) = wait_for("a try", lambda: post("tries > 0 AND posted_at IS NULL AND next_at > now() "
                                                "+ interval '50 minutes'"))
        rt.sql("UPDATE alert_post SET tries = 12, next_at = now() WHERE organization_id = %s", org.id)
        wait_for("it to be given up", lambda: post("posted_at IS NOT NULL"), 20)
        assert not any("Alert" in m["text"] for m in tg.messages(user.id))
        (item,) = rt.rest("GET", org.path("/alerts"), None, (opal.name, opal.passphrase))["items"]
        assert item["approval"] == approval, item
        org.ann.reject(approval, "no")
        call.wait()


@case(limit=60, **LOCAL)
def owners_hear_once_of_what_was_tampered_with(rt):
    with FakeSlack() as sl, SlackHouse(rt, sl) as house:
        org = house.org
        opal = org.add_person("opal", "owner")
        link(org, sl, opal, sl.user("U1OPAL", "opal"))
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        rt.sql("UPDATE approval SET tool = 's__other' WHERE approval_id = %s", approval)
        for user in (house.ann, house.bob):
            assert "digest" in sl.click(user, card, "Approve")
        sl.wait_message("D1OPAL", "does not match its digest")
        org.bob.reject(approval, "no")
        call.wait()
        assert len(sl.posted("D1OPAL")) == 1
        said = Cli(rt, org)("approvals", "alerts", as_=opal)
        assert "tampered" in said.out, said
