"""Where cards may stand in Slack, and whose account counts: what Slack tells by itself."""
import json

from cases import case
from chat import LOCAL, policy
from chat import add_channel as add_telegram
from chat import link as link_telegram
from fake_slack import FakeSlack, User
from fake_telegram import FakeTelegram
from harness import wait_for
from mcp_client import text_of
from slack import OPS, SlackHouse, linked_by_hand
from test_rls import refusing


def outbox(house, approval):
    return house.rt.sql(
        "SELECT c.name, o.trouble, o.delivered_at, o.done < o.wanted AS is_due FROM outbox o JOIN "
        "channel c USING (organization_id, channel_id) WHERE o.approval_id = %s ORDER BY step",
        approval)


@case(limit=60, **LOCAL)
def a_shared_channel_loses_its_cards_and_the_ladder_goes_on(rt):
    """Strangers may read it from now on: the card there is a sentence without arguments or buttons,
    finished ones too; the next in the rule's list is told at once; when it is over, cards come
    back."""
    with FakeSlack() as sl, FakeTelegram() as tg, SlackHouse(rt, sl, notify=None) as house:
        add_telegram(house.org, tg)
        ann = link_telegram(house.org, tg, house.org.ann, tg.user(71, "Ann"))
        house.org.apply(policy(["sl", "tg"]))
        house.org.sync()
        call, approval = house.ask("finished-line")
        done = sl.wait_message(OPS, "finished-line")
        assert "rejected" in sl.click(house.ann, done, "Reject")
        call.wait()
        call, approval = house.ask("secret-line")
        card = sl.wait_message(OPS, "secret-line")
        approve = sl.element(card, "Approve")
        assert not any("append_line" in m["text"] for m in tg.messages(ann.id))
        sl.place_event("channel_shared", OPS, is_ext_shared=True)
        wait_for("it to be closed", lambda: rt.sql(
            "SELECT 1 FROM closed_place WHERE organization_id = %s", house.org.id))
        said = sl.click(house.ann, card, "", element=approve)
        assert "nothing is decided in this chat" in said or "not known here" in said, said
        for old in (done, card):
            now = sl.wait_text(old, "withdrawn")
            assert "-line" not in sl.text(now) and sl.buttons(now) == [], now
        other = tg.wait_message(ann.id, "secret-line")
        assert tg.press(ann, other, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"
        call, approval = house.ask("not-for-strangers")
        tg.wait_message(ann.id, "not-for-strangers", other["message_id"])
        assert "not-for-strangers" not in json.dumps(sl.calls)
        sl.place_event("channel_unshared", OPS, is_ext_shared=False)
        card = sl.wait_message(OPS, "not-for-strangers")
        assert sl.click(house.ann, card, "Approve").startswith("approved")
        call.wait()


@case(limit=60, **LOCAL)
def a_channel_that_was_shared_unseen_gets_no_card(rt):
    """Nobody told us, by Socket Mode neither: it is looked at before the first card, and the list
    says why nobody was reached; archived and back is told."""
    with FakeSlack() as sl:
        sl.channel(OPS)
        sl.members[OPS]["is_ext_shared"] = True
        with SlackHouse(rt, sl, mode="socket") as house:
            wait_for("it to be closed", lambda: rt.sql(
                "SELECT 1 FROM closed_place WHERE organization_id = %s", house.org.id))
            call, approval = house.ask("one")
            wait_for("the reason", lambda: "shared with another organization" in
                     outbox(house, approval)[0]["trouble"])
            assert sl.posted(OPS) == [] and outbox(house, approval)[0]["is_due"]
            sl.place_event("channel_unshared", OPS, is_ext_shared=False)
            card = sl.wait_message(OPS, "append_line")
            sl.place_event("channel_archive", OPS, is_archived=True)
            wait_for("the card to be given up", lambda: not rt.sql(
                "SELECT 1 FROM card_message WHERE approval_id = %s", approval))
            assert "not known here" in sl.click(house.ann, card, "Approve")
            sl.place_event("channel_unarchive", OPS, is_archived=False)
            card = sl.wait_message(OPS, "append_line", skip=[card["ts"]])
            assert sl.click(house.ann, card, "Approve").startswith("approved")
            assert text_of(call.wait()) == "appended"


@case(limit=60, **LOCAL)
def a_deactivated_account_counts_as_disabled(rt):
    """From the moment that Slack says so, not only when it is pressed: its vote is gone, its own
    chat's card withdrawn; somebody of that id elsewhere changes nothing; reactivated it is one
    again."""
    with FakeSlack() as sl, SlackHouse(rt, sl, channels=None, thresholds=[{"approve": 2}]) as house:
        org = house.org
        call, approval = house.ask("one-line")
        mine, his = sl.wait_message("D1ANN", "one-line"), sl.wait_message("D1BOB", "one-line")
        assert "1 of 2" in sl.click(house.ann, mine, "Approve")
        sl.wait_text(his, "1 of 2")
        approve = sl.element(mine, "Approve")
        sl.event("user_change", user={"id": "U1ANN", "team_id": "T9OTHER", "deleted": True})
        sl.event("user_change", user=dict(house.ann.json, deleted=True))  # users.info lags behind
        sl.wait_text(his, "0 of 2")
        now = sl.wait_text(mine, "withdrawn")
        assert "one-line" not in sl.text(now)
        said = sl.click(house.ann, mine, "", element=approve)
        assert "not linked" in said, said
        (leaf,) = [e for e in rt.sql("SELECT kind FROM audit_event WHERE organization_id = %s AND "
                                     "kind = 'identity.disabled'", org.id)]
        assert "1 of 2" in sl.click(house.bob, his, "Approve")
        sl.event("user_change", user=dict(house.ann.json))
        mine = sl.wait_message("D1ANN", "one-line", skip=[mine["ts"]])
        said = sl.click(house.ann, mine, "Approve")
        assert said.startswith("approved"), said
        assert text_of(call.wait()) == "appended"
        # A guest by now, and no event said so: found out at the press.
        adam = sl.user("U1ADAM", "adam", is_restricted=True)
        linked_by_hand(house, org.adam, adam)
        call, approval = house.ask("two-line")
        his = sl.wait_message("D1ADAM", "two-line")
        assert "guest" in sl.click(adam, his, "Approve")
        assert "two-line" not in sl.text(sl.wait_text(his, "withdrawn"))
        org.ann.reject(approval, "no")
        call.wait()


@case(limit=60, **LOCAL)
def a_deactivation_that_fails_leaves_no_vote_behind(rt):
    """All of it or nothing, and then again: Slack says it once."""
    with FakeSlack() as sl, SlackHouse(rt, sl, channels=None, thresholds=[{"approve": 2}]) as house:
        org = house.org
        call, approval = house.ask("one-line")
        mine, his = sl.wait_message("D1ANN", "one-line"), sl.wait_message("D1BOB", "one-line")
        assert "1 of 2" in sl.click(house.ann, mine, "Approve")
        sl.wait_text(his, "1 of 2")
        since = rt.log_size()
        with refusing(rt, "audit_event", org):
            sl.event("user_change", user=dict(house.ann.json, deleted=True))
            wait_for("it to be refused", lambda: " slack_account_not_" in rt.log(since))
            assert rt.sql("SELECT count(disabled_at) AS n FROM chat_identity WHERE organization_id = "
                          "%s", org.id) == [{"n": 0}]
        wait_for("the vote to be withdrawn", lambda: "approval.withdrawn" in org.kinds(approval), 30)
        sl.wait_text(his, "0 of 2")
        assert "1 of 2" in sl.click(house.bob, his, "Approve")
        assert org.state(approval) == "pending"
        assert rt.sql("SELECT count(*) AS n FROM audit_event WHERE organization_id = %s AND kind = "
                      "'identity.disabled'", org.id) == [{"n": 1}]
        org.adam.reject(approval, "no")
        call.wait()


@case(limit=60, **LOCAL)
def a_link_that_nobody_could_note_is_none(rt):
    """Whoever decides in a chat is in the audit as linked; the code is good for another try."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann",), notify=None) as house:
        org = house.org
        code = org.control("POST", "/people/%s/links" % org.bob.name, {"channel": "sl"})["code"]
        with refusing(rt, "audit_event", org):
            assert "here now" not in sl.command(house.bob, "link " + code)
        told = "SELECT count(*) AS n FROM audit_event WHERE organization_id = %s AND kind = " \
               "'identity.linked'"
        linked = "SELECT count(*) AS n FROM chat_identity WHERE organization_id = %s"
        assert rt.sql(linked, org.id) == rt.sql(told, org.id) == [{"n": 1}]
        assert "here now" in sl.command(house.bob, "link " + code)
        assert rt.sql(linked, org.id) == rt.sql(told, org.id) == [{"n": 2}]


@case(limit=60, **LOCAL)
def the_same_id_in_another_team_is_another_person(rt):
    """On an Enterprise Grid: enterprise, team and user id together; a colleague of another workspace,
    and a stranger, with Ann's id decide nothing, also right behind her own click."""
    with FakeSlack(enterprise="E1GRID") as sl, SlackHouse(rt, sl, thresholds=[{"approve": 2}]) as house:
        ids = {r["external_id"] for r in rt.sql("SELECT external_id FROM chat_identity WHERE "
                                                "organization_id = %s", house.org.id)}
        assert ids == {"E1GRID/T1HOME/U1ANN", "E1GRID/T1HOME/U1BOB"}, ids
        call, approval = house.ask("one")
        card = sl.wait_message(OPS, "append_line")
        assert "1 of 2" in sl.click(house.ann, card, "Approve")
        stranger = User("U1BOB", "bob", team="T9OTHER")
        assert "another workspace" in sl.click(stranger, card, "Approve")
        grid = {"enterprise_id": "E1GRID", "teams": ["T2SIDE"]}
        colleague = User("U1BOB", "bob", team="T2SIDE", enterprise_user=grid)
        real = sl.users["U1BOB"]
        sl.users["U1BOB"] = colleague
        assert "not linked" in sl.click(colleague, card, "Approve")
        sl.event("user_change", user=dict(colleague.json, deleted=True, enterprise_user=dict(
            grid, enterprise_id="E9ELSE")))
        sl.users["U1BOB"] = real
        assert sl.click(real, card, "Approve").startswith("approved")
        assert text_of(call.wait()) == "appended"


@case(limit=60, **LOCAL)
def the_home_lists_what_waits_for_whoever_opens_it(rt):
    """What they may decide and this channel is told, in a sentence, with Review, which leads to the
    same decision; nothing for who may not decide it, is a guest or not linked."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "bob", "olga")) as house:
        assert "Nothing waits" in sl.text(sl.open_home(house.ann))
        call, approval = house.ask("first-line")
        second, other = house.ask("second-line")
        home = sl.open_home(house.ann)
        text = sl.text(home)
        assert text.count("append_line") == 2 and "Where: " not in text, text
        assert "server s, environment test" in text and "agent bot of olga" in text, text
        assert sl.buttons(home) == ["Review", "Review"], home
        assert "Nothing waits" in sl.text(sl.open_home(house.olga))
        assert "not linked" in sl.text(sl.open_home(sl.user("U1NEW", "new")))
        guest = sl.open_home(sl.user("U1G", "g", is_restricted=True))
        assert sl.text(guest) == "a guest of this workspace decides nothing", guest
        for element in sl.elements(home):
            view = sl.open_from_home(house.ann, element)
            if "first-line" in sl.text(view):
                break
        assert "Approve" in sl.buttons(view), view
        sl.open_home(house.bob)
        forged = dict(element, value=element["value"][:23] + "A" * 12)
        refused = sl.open_from_home(house.bob, forged)
        assert "another call" in sl.text(refused), refused
        refused = sl.open_from_home(house.olga, element)
        assert "first-line" not in sl.text(refused), refused
        view = sl.press_in_view(house.ann, view, "Approve")
        assert text_of(call.wait()) == "appended", view
        assert sl.text(sl.open_home(house.bob)).count("append_line") == 1
        house.org.apply(policy(["inbox"]))
        house.org.sync()
        third, hidden = house.ask("not-told-here")
        assert sl.text(sl.open_home(house.bob)).count("append_line") == 1
        made_up = dict(element, value=element["value"])
        assert "decided or over" in sl.text(sl.open_from_home(house.bob, made_up))
        for id in (other, hidden):
            house.org.bob.reject(id, "no")
        second.wait()
        third.wait()
        assert "not-told-here" not in json.dumps([sl.calls, list(sl.homes.values())])


@case(limit=60, **LOCAL)
def a_home_would_have_kept_arguments_for_who_may_not_see_them_any_more(rt):
    """It stays as it was until it is opened: no argument is on it; and who was deactivated since
    then finds why instead."""
    with FakeSlack() as sl, SlackHouse(rt, sl, files=True) as house:
        call, approval = house.ask(tool="files__write", path="secret-name.txt", content="x")
        assert "secret-name.txt" in sl.text(sl.wait_message(OPS, "secret-name.txt"))
        home = sl.open_home(house.ann)
        assert "files__write" in sl.text(home) and sl.buttons(home) == ["Review"], home
        assert "secret-name" not in json.dumps(home), home
        assert "secret-name" in sl.text(sl.open_from_home(house.ann, sl.elements(home)[0]))
        sl.user_changes(house.ann, is_restricted=True)
        # Until the news of it is there they are asked about again; then they are not linked any more.
        home = wait_for("the home to close", lambda: [
            h for h in [sl.open_home(house.ann)] if sl.buttons(h) == []], 30)[0]
        assert sl.text(home).startswith(("a guest of this workspace decides nothing",
                                         "You are not linked here")), home
        house.org.bob.reject(approval, "no")
        call.wait()


@case(limit=90, **LOCAL)
def homes_would_have_gone_on_showing_what_is_over(rt):
    """Of those who opened them within a day, a few seconds behind a change, gathered: not at each, not
    when it stays the same, not to who opened it long ago; who is a guest by then finds why."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "bob", "adam", "olga")) as house:
        calls = [house.ask("line-%d" % i)[0] for i in range(4)]
        for user in (house.ann, house.bob, house.adam, house.olga):
            home = sl.open_home(user)
            assert len(sl.buttons(home)) == (0 if user is house.olga else 4), home
        wait_for("it to be noted", lambda: rt.sql("SELECT count(*) AS n FROM slack_home WHERE "
                                                  "organization_id = %s", house.org.id)[0]["n"] == 4)
        rt.sql("UPDATE slack_home SET seen_at = now() - interval '25 hours' WHERE organization_id = "
               "%s AND user_id = 'U1ADAM'", house.org.id)
        cards = [sl.wait_message(OPS, "line-%d" % i) for i in range(4)]
        for card in cards[:3]:
            assert sl.click(house.bob, card, "Approve").startswith("approved")
        for user in (house.ann, house.bob):
            wait_for("their homes", lambda: len(sl.buttons(sl.homes[user.id])) == 1, 30)
        # New ones come up too, and Slack may ask to wait.
        sl.refuses["views.publish"] = "ratelimited"
        calls.append(house.ask("line-4")[0])
        cards.append(sl.wait_message(OPS, "line-4"))
        sl.refuses.clear()
        for user in (house.ann, house.bob):
            wait_for("their homes", lambda: len(sl.buttons(sl.homes[user.id])) == 2, 30)
        sl.user_changes(house.ann, is_restricted=True)
        for card in cards[3:]:
            assert sl.click(house.bob, card, "Reject") == "rejected"
        wait_for("bob's home", lambda: "Nothing waits" in sl.text(sl.homes["U1BOB"]), 30)
        wait_for("ann's home", lambda: not sl.buttons(sl.homes["U1ANN"]), 30)
        for call in calls:
            call.wait()
        times = {u: [at for user, at in sl.published if user == u] for u in sl.users}
        for user, at in times.items():
            assert all(b - a > 2.5 for a, b in zip(at, at[1:])), (user, at)
        assert len(times["U1OLGA"]) == len(times["U1ADAM"]) == 1, times


@case(limit=90, long=True, **LOCAL)
def one_home_would_have_been_written_each_time_and_others_never(rt):
    """When Slack asks to wait, the next round begins where the last one had to stop."""
    with FakeSlack() as sl, SlackHouse(rt, sl, people=("ann", "bob", "adam")) as house:
        for user in (house.ann, house.bob, house.adam):
            sl.open_home(user)
        before, calls = len(sl.published), []
        sl.on_publish = lambda user: sl.limits.update({"views.publish": 1})
        for i in range(4):
            done = len(sl.published)
            calls.append(house.ask("line-%d" % i))
            wait_for("a home", lambda: len(sl.published) > done, 30)
        users = [user for user, _ in sl.published[before:]]
        assert len(set(users)) == 3, users
        sl.on_publish = None
        for call, id in calls:
            house.org.bob.reject(id, "enough")
            call.wait()
