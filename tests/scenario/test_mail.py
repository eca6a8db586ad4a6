"""Deciding by mail: cards as mails, one-time links, the review page, and what is mailed besides."""
import base64
import hashlib
import re
import time

from cases import case
from fake_mail import Smtp
from harness import LONG, Org, refused, wait_for
from house import code_of
from mail import (MAIL, ORIGIN, PASSWORD, USER, Browser, MailHouse, add_channel, address_of, link,
                  trouble)
from mcp_client import text_of


@case(limit=60, **MAIL)
def approve_by_mail(rt):
    """A write is held, a mail comes, its link is looked at and pressed, the whole card is read, a
    press decides, the call runs, and a mail in the same thread says so to everybody."""
    with Smtp(user=USER, password=PASSWORD) as smtp, MailHouse(rt, smtp) as house:
        call, approval = house.ask("one & <b>two</b>")
        mail = house.card(house.org.ann)
        assert mail.is_tls and mail.user == USER and mail.sender == "approvals@example.com"
        assert "one & <b>two</b>" in mail.text and "waiting" in mail.text, mail.text
        assert "one &amp; &lt;b&gt;two&lt;/b&gt;" in mail.html and "<b>" not in mail.html
        assert mail["Auto-Submitted"] == "auto-generated" and "append_line" in mail.subject
        browser = house.sign_in(mail)
        page = browser.page
        assert "Signed in as %s" % house.org.ann.name in page.text and "<b>two</b>" in page.text
        assert "b" not in page.elements and "script" not in page.elements
        page = browser.press("Approve")
        assert page.status == 200 and "approved by " + house.org.ann.name in page.text, page.text
        assert text_of(call.wait()) == "appended"
        assert house.org.effects() == ["one & <b>two</b>"]
        for person in (house.org.ann, house.org.bob):
            first = house.card(person, "waiting")
            over = house.outcome(person, first)
            assert "done" in over.text and over["References"] == first["Message-ID"], over.raw
            assert over.subject == "Re: " + first.subject and not over.links
            assert "two" not in over.text  # what it was about is not mailed once more
        assert "done" in browser.go(page.url).text and browser.page.buttons() == []
        (leaf,) = house.org.audit(approval, "approval.approved")
        assert leaf["data"]["via"] == "mail" and leaf["data"]["person"] == house.org.ann.name
        assert "identity.signed_in" in house.org.kinds(approval)


@case(limit=60, **MAIL)
def a_link_is_used_by_one_press_and_by_no_look(rt):
    """Mail scanners open links: looking signs nobody in and uses nothing up. A press from elsewhere
    does nothing; the first from the page does; later ones do not; another link comes by mail."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        call, approval = house.ask("one")
        mail = house.card(house.org.ann)
        (url,) = mail.links
        scanner = Browser(rt)
        for method in ("GET", "HEAD", "GET"):
            page = scanner.request(method, url)
            assert page.status == 200 and not scanner.cookies, page.text
        form = page.form("Sign in")
        assert "append_line" not in page.text and page.headers["Cache-Control"] == "no-store"
        policy = page.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-") and \
            "frame-ancestors 'none'" in policy and "unsafe" not in policy, policy
        style = re.search("<style>(.*)</style>", page.body, re.S)[1].encode()
        assert base64.b64encode(hashlib.sha256(style).digest()).decode() in policy
        for origin in (None, "null", "http://evil.test", "http://approvals.localhost.evil.test"):
            answer = scanner.request("POST", form.action, form.fields, origin=origin)
            assert answer.status == 403 and not scanner.cookies, answer.text
        answer = scanner.request("POST", form.action, form.fields,
                                 headers={"Content-Type": "text/plain"})
        assert answer.status == 403, answer.text
        assert house.org.audit(approval, "identity.signed_in") == []
        hers = Browser(rt)
        hers.go(url)
        page = hers.press("Sign in")
        assert page.status == 200 and "Approve" in page.buttons(), page.text
        late = Browser(rt)
        page = late.go(url)
        assert page.status == 410 and "was used" in page.text and not late.cookies, page.text
        assert late.request("POST", form.action, form.fields).status == 410 and not late.cookies
        # Who is not signed in sees and decides nothing there, and a session is for one card's address.
        card = hers.page.url
        assert Browser(rt).go(card).status == 401
        stolen = {"verdict": "approve", "binding": house.org.binding(approval)}
        assert Browser(rt).request("POST", card, stolen).status == 401
        assert hers.request("POST", card, stolen, origin="http://evil.test").status == 403
        token = next(iter(hers.cookies.values()))
        other = card[:-1] + ("0" if card[-1] != "0" else "1")
        for path, cookie in ((other, "flopinio-review=" + token),
                             (card, "flopinio-review=%s; flopinio-review=%s" % (token, token))):
            assert rt_status(hers, path, cookie) == 401
        # Nothing that can be used stands in the database.
        assert rt.sql("SELECT 1 FROM mail_link l, mail_session s WHERE s.token_hash = %s OR "
                      "l.token_hash = %s", token.encode(), form.fields["t"].encode()) == []
        # The next link comes by mail, in the thread; not twice within a minute.
        page = late.press("Mail me another link")
        assert page.status == 429, page.text
        rt.sql("UPDATE mail_link SET created_at = now() - interval '2 minutes' WHERE "
               "organization_id = %s", house.org.id)
        before = len(smtp.messages)
        late.go(url)
        assert late.press("Mail me another link").status == 200
        again = smtp.wait_message(address_of(house.org.ann), "append_line", before)
        assert again["In-Reply-To"] == mail["Message-ID"] and again.links[0] != url
        rt.sql("UPDATE mail_link SET expires_at = now() WHERE organization_id = %s AND used_at IS "
               "NULL", house.org.id)
        page = Browser(rt).go(again.links[0])
        assert page.status == 410 and "too old" in page.text, page.text
        rt.sql("UPDATE mail_session SET expires_at = now() WHERE organization_id = %s", house.org.id)
        assert hers.go(card).status == 401
        assert house.org.state(approval) == "pending"
        house.org.ann.reject(approval, "enough")
        assert call.wait()["isError"]


def rt_status(browser, path, cookie):
    return browser.request("GET", path, headers={"Cookie": cookie}).status


HOSTILE = ("<script>alert(1)</script></pre><b>\n.\nFrom me\r\nBcc: <eve@example.com>\n"
           "--=_flopinio_part\n\"><img src=x onerror=y> =?UTF-8?Q?x?= &#60;i> \u202e")


@case(limit=60, **MAIL)
def nothing_of_the_agents_becomes_markup_or_a_header(rt):
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        text = HOSTILE
        call, approval = house.ask(text)
        mail = house.card(house.org.ann)
        assert mail.recipients == [address_of(house.org.ann)]
        assert set(mail.email.keys()) == {
            "From", "To", "Subject", "Date", "Message-ID", "List-Id", "Auto-Submitted",
            "X-Auto-Response-Suppress", "MIME-Version", "Content-Type"}, mail.email.keys()
        assert [p.get_content_type() for p in mail.email.walk()] == \
            ["multipart/alternative", "text/plain", "text/html"]
        for html in (mail.html, house.sign_in(mail).page.body):
            assert not re.search(r"<(script|b|img|i)\b", html), html
            assert "&lt;script&gt;alert(1)&lt;/script&gt;&lt;/pre&gt;" in html
            assert "\u202e" not in html and "\\u{202E}" in html
        assert "<script>alert(1)</script></pre><b>" in mail.text and "\\u{202E}" in mail.text
        house.org.ann.reject(approval, "no")
        assert call.wait()["isError"]


@case(limit=60, **MAIL)
def two_people_by_mail_and_a_reason_that_the_agent_reads(rt):
    with Smtp() as smtp, MailHouse(rt, smtp, thresholds=[{"approve": 2}]) as house:
        call, approval = house.ask("one")
        ann = house.sign_in(house.card(house.org.ann))
        bob = house.sign_in(house.card(house.org.bob))
        assert "1 of 2" in ann.press("Approve").text
        assert "Take my vote back" in ann.page.buttons()
        assert "1 of 2" in bob.go(bob.page.url).text
        bob.press("Reject", reason="not on a <Friday>", may_ask_again="1")
        assert "rejected" in bob.page.text and bob.page.buttons() == [], bob.page.text
        result = call.wait()
        assert result["isError"] and "not on a <Friday>" in text_of(result), result
        over = house.outcome(house.org.ann, house.card(house.org.ann, "waiting"))
        assert "not on a <Friday>" in over.text and "rejected" in over.text
        # What she still has before her is old: pressed, it says how it is now.
        page = ann.press("Approve")
        assert page.status == 409 and "rejected already" in page.text, page.text
        assert house.org.effects() == []


@case(limit=60, **MAIL)
def a_long_card_is_approved_behind_its_last_page(rt):
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",), files=True) as house:
        long = "".join("%05d abcdefghijklmnopqrstuvwxyz\n" % i for i in range(2500))
        call, approval = house.ask(tool="files__write", path="long.txt", content=long)
        mail = house.card(house.org.ann, "long.txt")
        assert "The rest of it is on the page" in mail.text and len(mail.raw) < 80000
        browser = house.sign_in(mail)
        page, seen = browser.page, browser.page.text
        assert "Approve" not in page.buttons() and "Reject" in page.buttons(), page.buttons()
        pages = int(re.search(r"page 1 of (\d+)", page.text)[1])
        assert pages > 3
        forged = dict(page.form("Reject").fields, verdict="approve")
        assert browser.request("POST", page.url, forged).status == 409
        assert browser.request("HEAD", page.url + "?page=2").status == 200  # shows nothing
        assert "page 2 of" in browser.go(page.url + "?page=%d" % pages).text  # none is left out
        for at in range(2, pages + 1):
            assert "Approve" not in browser.page.buttons()
            seen += browser.go(page.url + "?page=%d" % at).text
        assert all("%05d abc" % i in seen for i in range(2500))
        browser.press("Approve")
        call.wait()
        assert house.org.read("long.txt") == long


@case(limit=60, **MAIL)
def a_summary_tells_a_mailbox_nothing_and_its_rule_asks_for_more(rt):
    """disclose: summary and a second factor: no argument is mailed, the page shows them to the
    passphrase, and an approval takes the code as well."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",), disclose="summary",
                                   second_factor=True) as house:
        ann = house.org.ann
        me = (ann.name, ann.passphrase)
        secret = rt.rest("POST", "/me/totp", {}, me)["secret"]
        rt.rest("POST", "/me/totp/confirm", {"secret": secret, "code": code_of(secret, -1)}, me)
        try:
            call, approval = house.ask("quite secret")
            mail = house.card(ann)
            assert "quite secret" not in mail.text + mail.html + mail.subject
            browser = house.sign_in(mail)
            page = browser.page
            assert "quite secret" not in page.body and "Approve" not in page.buttons(), page.text
            forged = dict(page.form("Reject").fields, verdict="approve")
            assert browser.request("POST", page.url, forged).status == 409
            page = browser.press("Show all of it", passphrase="wrong", code=code_of(secret))
            assert page.status == 403 and "quite secret" not in page.body, page.text
            rt.sql("UPDATE person SET locked_until = NULL WHERE name = %s", ann.name)
            page = browser.press("Show all of it", passphrase=ann.passphrase, code=code_of(secret))
            assert "quite secret" in page.text and "second factor" in page.text, page.text
            page = browser.press("Approve", passphrase=ann.passphrase, code="")
            assert page.status == 403 and house.org.state(approval) == "pending", page.text
            page = browser.press("Approve", passphrase=ann.passphrase, code=code_of(secret, 1))
            assert page.status == 200 and text_of(call.wait()) == "appended", page.text
        finally:
            rt.sql("UPDATE person SET totp_secret = NULL, totp_last_step = 0 WHERE name = %s",
                   ann.name)


@case(limit=60, **MAIL)
def a_summary_that_was_read_approves_no_card_unread(rt):
    """Whoever has read the summary to its end has read nothing of the card."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",), files=True,
                                   disclose="summary") as house:
        long = "".join("%05d abcdefghijklmnopqrstuvwxyz\n" % i for i in range(2500))
        call, approval = house.ask(tool="files__write", path="long.txt", content=long)
        browser = house.sign_in(house.card(house.org.ann, "files"))
        assert "00001 abc" not in browser.page.text
        form = browser.page.form("Show all of it")
        fields = dict(form.fields, passphrase=house.org.ann.passphrase)
        assert browser.request("POST", form.action, fields).status == 303
        page = browser.go(browser.page.url + "?page=2")
        assert "00001 abc" in page.text and "page 1 of" in page.text, page.text
        assert "Approve" not in page.buttons() and "Reject" in page.buttons(), page.buttons()
        forged = dict(page.form("Reject").fields, verdict="approve")
        assert browser.request("POST", page.url, forged).status == 409
        browser.press("Reject", reason="too long")
        assert call.wait()["isError"]


def rows_of(house, approval, column):
    """Of the outbox."""
    return [row["it"] for row in house.rt.sql(
        "SELECT %s AS it FROM outbox WHERE approval_id = %%s" % column, approval)]


def another_link(house, mail):
    """As if a minute had gone by: pressed on the page of an old link; what the page says."""
    house.rt.sql("UPDATE mail_link SET created_at = now() - interval '2 minutes' WHERE "
                 "organization_id = %s", house.org.id)
    wait_for("the last mail to be noted", lambda: not house.rt.sql(
        "SELECT 1 FROM card_message WHERE organization_id = %s AND shown IS NULL", house.org.id))
    late = Browser(house.rt)
    late.go(mail.links[0])
    return late.press("Mail me another link")


@case(limit=60, **MAIL)
def whoever_pressed_an_older_link_first_is_signed_out_by_the_next(rt):
    """A mail that somebody else saw first: its owner asks for another link, and is alone then. So is
    nobody when the address is taken from them, or their passphrase reset."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        org = house.org
        call, approval = house.ask("one")
        mail = house.card(org.ann)
        thief = house.sign_in(mail)
        before = len(smtp.messages)
        assert another_link(house, mail).status == 200
        again = smtp.wait_message(address_of(org.ann), "append_line", before)
        ann = house.sign_in(again)
        assert thief.go(thief.page.url).status == 401
        assert ann.go(ann.page.url).status == 200
        org.control("POST", "/people/%s/passphrase" % org.ann.name,
                    {"passphrase": org.ann.passphrase})
        rt.people[org.ann.name] = None  # her tokens ended, for whoever shares her
        assert ann.go(ann.page.url).status == 401
        before = len(smtp.messages)
        assert another_link(house, again).status == 200
        unused = smtp.wait_message(address_of(org.ann), "append_line", before)
        org.control("DELETE", "/people/%s/links" % org.ann.name)
        link(org, smtp, org.ann)  # what was mailed before stays as it is
        page = Browser(rt).go(unused.links[0])
        assert page.status in (404, 410), page.text
        assert rt.sql("SELECT 1 FROM mail_session WHERE organization_id = %s", org.id) == []
        org.bob.reject(approval, "no")  # the reset ended her tokens
        assert call.wait()["isError"]


@case(limit=60, **MAIL)
def who_changes_their_passphrase_leaves_no_page_to_whoever_had_it(rt):
    """The review page that a thief has open, the link that nobody pressed yet, the invitation of the
    thief's own address: all of it, in every organization."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("bob",)) as house:
        org, eve = house.org, house.org.add_person("eve", "approver", ["ops"])
        link(org, smtp, eve)
        org.sync()
        call, approval = house.ask("one")
        mail = house.card(eve)
        thief = house.sign_in(mail)
        before = len(smtp.messages)
        assert another_link(house, mail).status == 200
        unused = smtp.wait_message(address_of(eve), "append_line", before)
        rt.rest("POST", org.path("/links"), {"channel": "ml", "address": "thief@example.com"},
                (eve.name, eve.passphrase))
        invited = smtp.wait_message("thief@example.com", "link this address")
        assert thief.go(thief.page.url).status == 200
        fresh = eve.passphrase + " fresh"
        rt.rest("POST", "/me/passphrase", {"passphrase": eve.passphrase, "new": fresh},
                (eve.name, eve.passphrase))
        eve.passphrase = fresh
        assert thief.go(thief.page.url).status == 401
        for old in (unused, invited):
            browser = Browser(rt)
            page = browser.go(old.links[0])
            assert page.status == 410 and "Sign in" not in page.buttons(), page.text
            assert "Link this address" not in page.buttons(), page.text
        forged = dict(t=unused.links[0].rpartition("t=")[2])
        page = browser.request("POST", unused.links[0].partition("?")[0], forged)
        assert page.status == 410 and not browser.cookies, page.text
        assert rt.sql("SELECT 1 FROM chat_identity WHERE external_id = 'thief@example.com'") == []
        # She goes on with a mail that comes from now on, until another organization that she belongs
        # to resets her passphrase.
        before = len(smtp.messages)
        assert another_link(house, mail).status == 200
        again = house.sign_in(smtp.wait_message(address_of(eve), "append_line", before))
        other = Org(rt, files=False, policy=None)
        other.control("POST", "/people", {"name": eve.name, "role": "member"})
        other.control("POST", "/people/%s/passphrase" % eve.name, {"passphrase": fresh})
        assert again.go(again.page.url).status == 401
        org.bob.reject(approval, "no")
        assert call.wait()["isError"]


@case(limit=60, **MAIL)
def an_old_link_mails_nobody_once_its_call_is_over(rt):
    """Else whoever finds one could fill that mailbox for ever."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        call, approval = house.ask("one")
        mail = house.card(house.org.ann)
        house.sign_in(mail).press("Approve")
        assert text_of(call.wait()) == "appended"
        house.outcome(house.org.ann, mail)
        before = rows_of(house, approval, "wanted")
        assert another_link(house, mail).status == 429
        assert rows_of(house, approval, "wanted") == before


@case(limit=90, **MAIL)
def a_full_mailbox_delays_nobody_elses_cards(rt):
    """A 4xx about one recipient is no outage: the others get their cards and outcomes, and the one gets
    theirs when there is room again. Ann's address is the first in the order in which they are tried."""
    with Smtp() as smtp, MailHouse(rt, smtp) as house:
        ann, bob = house.org.ann, house.org.bob
        assert address_of(ann) < address_of(bob)
        smtp.refuses[address_of(ann)] = (452, "4.2.2 mailbox full")
        call, approval = house.ask("the first line")
        card = house.card(bob)
        wait_for("it to count as told",
                 lambda: rows_of(house, approval, "delivered_at IS NOT NULL") == [True])
        assert "mailbox full" in trouble(house.org), trouble(house.org)
        other, second = house.ask("the second line")
        house.card(bob, "the second line")  # the channel does not rest
        del smtp.refuses[address_of(ann)]
        hers = smtp.wait_message(address_of(ann), "the first line", timeout=40)
        smtp.wait_message(address_of(ann), "the second line", timeout=40)
        smtp.refuses[address_of(ann)] = (450, "4.7.1 greylisted")
        house.sign_in(card).press("Approve")
        assert text_of(call.wait()) == "appended"
        house.outcome(bob, card)
        del smtp.refuses[address_of(ann)]
        wait_for("what came of it", lambda: [m for m in smtp.messages if address_of(ann) in
                 m.recipients and m["In-Reply-To"] == hers["Message-ID"] and "done" in m.text], 40)
        bob.reject(second, "no")
        assert other.wait()["isError"]


@case(limit=480, long=True, **MAIL)
def a_full_mailbox_keeps_no_notice_from_others_for_ever(rt):
    """Five minutes: then it is given up, and its next one is tried once."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann", "olga")) as house:
        org = house.org
        smtp.wait_message(address_of(org.olga), "an account was linked")
        smtp.wait_message(address_of(org.ann), "an account was linked")
        smtp.refuses[address_of(org.ann)] = (452, "4.2.2 mailbox full")
        before = len(smtp.messages)
        for _ in range(2):
            org.control("POST", "/people/%s/passphrase" % org.ann.name,
                        {"passphrase": org.ann.passphrase})
            rt.people[org.ann.name] = None  # her tokens ended, for whoever shares her
        org.add_credential()
        smtp.wait_message(address_of(org.olga), "credential of your agent was issued", before, 400)


@case(limit=60, **dict(MAIL, public_url="http://approvals.example.com/"))
def no_link_that_signs_in_is_sent_to_be_opened_in_clear(rt):
    with Smtp() as smtp:
        org = Org(rt, scenario=True)
        with refused(400, "https://"):
            add_channel(org, smtp)
        assert org.control("GET", "/channels")["items"] == []


@case(limit=60, **MAIL)
def a_mail_to_somebody_who_left_opens_nothing(rt):
    with Smtp() as smtp, MailHouse(rt, smtp) as house:
        call, approval = house.ask("one")
        ann, bob = house.card(house.org.ann), house.card(house.org.bob)
        browser = house.sign_in(ann)
        house.org.control("DELETE", "/people/%s/links" % house.org.ann.name)
        assert browser.go(browser.page.url).status == 401
        forged = {"verdict": "approve", "binding": house.org.binding(approval)}
        assert browser.request("POST", browser.page.url, forged).status == 401
        house.org.control("POST", "/people/%s/offboard" % house.org.bob.name, {})
        assert Browser(rt).go(bob.links[0]).status == 404
        assert house.org.state(approval) == "pending"
        house.org.control("POST", "/people/%s/links" % house.org.adam.name, {"channel": "ml"})
        house.org.adam.approve(approval)
        assert text_of(call.wait()) == "appended"


@case(limit=60, **MAIL)
def nothing_is_sent_in_clear_or_to_a_stranger(rt):
    """A server without STARTTLS, one that injects behind it, another's certificate, a wrong password:
    each is said of the channel, and no mail, no address and no password goes there."""
    with Smtp(user=USER, password=PASSWORD) as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        org = house.org

        def fails(text):
            house_calls.append(house.ask("line %d" % len(house_calls))[0])
            wait_for("trouble: " + text, lambda: text in trouble(org), 20)

        def set_right():
            before = len(smtp.messages)
            org.control("PATCH", "/channels/ml", {"is_enabled": True})  # what paused it is over
            smtp.wait_message(address_of(org.ann), "append_line", before, timeout=30)
        house_calls = []
        smtp.wait_message(address_of(org.ann), "an account was linked")  # nothing else is to be sent
        before, commands = len(smtp.messages), len(smtp.commands)
        smtp.starttls = "hidden"
        fails("no TLS")
        if LONG:
            smtp.starttls = "injects"
            org.control("PATCH", "/channels/ml", {"is_enabled": True})
            wait_for("the next try", lambda: "TLS" not in trouble(org) and trouble(org), 20)
            smtp.violations = [v for v in smtp.violations if "behind STARTTLS" not in v]
        smtp.starttls, smtp.certificate = "works", "stranger"
        org.control("PATCH", "/channels/ml", {"is_enabled": True})
        wait_for("the certificate", lambda: "certificate" in trouble(org), 20)
        said = smtp.commands[commands:]
        assert said and not [c for c in said if c.startswith(("MAIL", "RCPT", "AUTH"))], said
        smtp.certificate, smtp.password = "good", "changed"
        org.control("PATCH", "/channels/ml", {"is_enabled": True})
        wait_for("the password", lambda: "user and password" in trouble(org), 20)
        assert len(smtp.messages) == before
        smtp.password = PASSWORD
        set_right()
        assert PASSWORD not in rt.log() and "hunter2" not in rt.log()


@case(limit=60, **MAIL)
def an_outage_and_an_address_that_refuses_lose_nobody_else(rt):
    with Smtp() as smtp, MailHouse(rt, smtp) as house:
        smtp.refuses[address_of(house.org.bob)] = (550, "5.1.1 no such user")
        smtp.is_down = True
        call, approval = house.ask("one")
        wait_for("trouble", lambda: trouble(house.org), 20)
        smtp.is_down = False
        smtp.fault("MAIL", 451)
        mail = smtp.wait_message(address_of(house.org.ann), "append_line", timeout=30)
        house.sign_in(mail).press("Approve")
        assert text_of(call.wait()) == "appended"
        house.outcome(house.org.ann, mail)
        assert not [m for m in smtp.messages if address_of(house.org.bob) in m.recipients and
                    "append_line" in m.subject]


@case(limit=60, workers="1", **MAIL)
def a_server_that_does_not_say_goodbye_stops_nobody(rt):
    """QUIT is not answered, behind a mail that was taken and behind one that was refused: the only
    worker goes on serving meanwhile. (libcurl waits for that answer inside the loop.)"""
    with Smtp() as smtp, MailHouse(rt, smtp) as house:
        smtp.keeps_silent_at_quit = True
        smtp.refuses[address_of(house.org.bob)] = (550, "5.1.1 no such user")
        call, approval = house.ask("one")
        mail = house.card(house.org.ann)
        slowest = 0
        for _ in range(20):
            from_ = time.monotonic()
            house.org.control("GET", "/channels")
            slowest = max(slowest, time.monotonic() - from_)
            time.sleep(0.05)
        assert slowest < 1.5, slowest
        house.sign_in(mail).press("Approve")
        assert text_of(call.wait()) == "appended"


@case(limit=60, **MAIL)
def notices_and_a_digest_go_to_whom_they_concern(rt):
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann", "olga")) as house:
        org = house.org
        ann, olga = address_of(org.ann), address_of(org.olga)
        smtp.wait_message(ann, "an account was linked to you")
        before = len(smtp.messages)
        credential, _ = org.add_credential()
        org.revoke_credential(credential)
        smtp.wait_message(olga, "credential of your agent was revoked", before)
        issued = smtp.wait_message(olga, "credential of your agent was issued", before)
        assert "your agent bot" in issued.text and not issued.links, issued.text
        call, approval = house.ask("one")
        house.card(org.ann)
        before = len(smtp.messages)
        now = time.gmtime()
        config = {"url": "smtp://localhost:%d" % smtp.port, "from": "approvals@example.com",
                  "digest": "%02d:%02d" % (now.tm_hour, now.tm_min)}
        org.control("PATCH", "/channels/ml", {"config": config})
        digest = smtp.wait_message(ann, "What waits today", before, timeout=30)
        assert "1 call waits" in digest.text and "1 of them was mailed to you" in digest.text
        wait_for("it to be noted", lambda: org.control("GET", "/channels")["items"][0]["facts"].get("digest"))
        org.control("PATCH", "/channels/ml", {"config": config})  # opened anew: once a day all the same
        org.ann.reject(approval, "no")
        assert call.wait()["isError"]
        house.outcome(org.ann, house.card(org.ann))
        mails = [(m.recipients[0], m.subject) for m in smtp.messages[before:]]
        assert [to for to, subject in mails if "What waits" in subject] == [ann], mails
        assert not [m for m in smtp.messages if ann in m.recipients and "credential" in m.subject]


@case(limit=60, **MAIL)
def a_mail_that_is_called_back_would_have_come_in_part(rt):
    """The channel is changed while one is on its way: what was said of it is not ended like a mail."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        smtp.wait_message(address_of(house.org.ann), "an account was linked")
        before, smtp.stalls = len(smtp.messages), True
        call, _ = house.ask("one")
        wait_for("it to be on its way", lambda: smtp.stalled)
        smtp.stalls = False
        house.org.control("PATCH", "/channels/ml", {"is_enabled": True})
        mail = smtp.wait_message(address_of(house.org.ann), "append_line", before)
        assert len(smtp.messages) == before + 1, [m.subject for m in smtp.messages[before:]]
        house.sign_in(mail).press("Approve")
        assert text_of(call.wait()) == "appended"


@case(limit=60, **MAIL)
def of_many_events_at_once_no_notice_is_lost(rt):
    """A recovery revokes every credential in one transaction: more than a page of one time."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        ann = address_of(house.org.ann)
        smtp.wait_message(ann, "an account was linked to you")
        before = len(smtp.messages)
        rt.sql("INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, subject_kind, "
               "subject_id, leaf) SELECT e.organization_id, CASE WHEN n %% 200 = 0 THEN "
               "overlay(gen_random_uuid()::text placing CASE n WHEN 0 THEN '0' ELSE 'f' END || "
               "'0000000' from 1 for 8)::uuid ELSE overlay(gen_random_uuid()::text placing '8' from 1 "
               "for 1)::uuid END, e.kind, e.actor_kind, e.subject_kind, CASE WHEN n %% 200 = 0 THEN "
               "e.subject_id ELSE gen_random_uuid() END, e.leaf FROM audit_event e, "
               "generate_series(0, 400) n WHERE e.organization_id = %s AND e.subject_id = "
               "(SELECT person_id FROM person WHERE name = %s) AND e.kind = 'identity.linked'",
               house.org.id, house.org.ann.name)
        wait_for("a mail of each that is hers", lambda: len(smtp.messages) == before + 3, 30)
        wait_for("the cursor", lambda: rt.sql(
            "SELECT 1 FROM channel c WHERE organization_id = %s AND cursor = (SELECT (extract(epoch "
            "FROM max(recorded_at)) * 1000000)::bigint FROM audit_event e WHERE e.organization_id = "
            "c.organization_id AND kind = 'identity.linked')", house.org.id))
        house.org.add_credential()
        house.org.control("POST", "/people/%s/passphrase" % house.org.ann.name,
                          {"passphrase": house.org.ann.passphrase})
        rt.people[house.org.ann.name] = None  # her tokens ended, for whoever shares her
        smtp.wait_message(ann, "your passphrase was set", before)
        assert len(smtp.messages) == before + 4, [m.subject for m in smtp.messages[before:]]


class Full(list):
    """Messages of a server that takes no more than so many."""

    def __init__(self, smtp, most):
        super().__init__(smtp.messages)
        self.smtp, self.most = smtp, most

    def append(self, message):
        super().append(message)
        if len(self) == self.most:
            self.smtp._faults.append(["MAIL", 451, "4.3.0 not now", 1000000])


@case(limit=60, **MAIL)
def notices_of_one_moment_were_mailed_again_by_the_next_who_looks_after_the_channel(rt):
    """The time was noted with its last event; whoever began in between began at the first."""
    with Smtp() as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        ann = address_of(house.org.ann)
        smtp.wait_message(ann, "an account was linked to you")
        before = len(smtp.messages)
        smtp.messages = Full(smtp, before + 12)
        since = rt.log_size()
        rt.sql("INSERT INTO audit_event (organization_id, event_id, kind, actor_kind, subject_kind, "
               "subject_id, leaf) SELECT e.organization_id, gen_random_uuid(), e.kind, e.actor_kind, "
               "e.subject_kind, e.subject_id, e.leaf FROM audit_event e, generate_series(1, 20) n "
               "WHERE e.organization_id = %s AND e.subject_id = (SELECT person_id FROM person WHERE "
               "name = %s) AND e.kind = 'identity.linked'", house.org.id, house.org.ann.name)
        wait_for("a mail that is not taken", lambda: " mail_watch " in rt.log(since), 30)
        smtp._faults.clear()
        house.org.control("PATCH", "/channels/ml", {"is_enabled": True})

        def told():
            return [m["Message-ID"] for m in smtp.messages[before:]]
        wait_for("one of each", lambda: len(set(told())) == 20, 30)
        assert len(told()) == 20, told()


@case(limit=60, **MAIL)
def a_test_by_mail_and_an_address_that_is_anothers(rt):
    with Smtp(tls="tls") as smtp, MailHouse(rt, smtp, people=("ann",)) as house:
        org = house.org
        assert org.control("POST", "/channels/ml/test", {})["sent"] == 1
        browser = Browser(rt)
        browser.go(smtp.wait_message(address_of(org.ann), "a test").links[0])
        assert "works both ways" in browser.press("It works").text
        assert org.control("GET", "/channels")["items"][0]["tested_at"]
        # One address is one person's: and who was invited must press, not only somebody ask.
        org.control("POST", "/people/%s/links" % org.bob.name,
                    {"channel": "ml", "address": address_of(org.ann).upper()})
        invite = smtp.wait_message(address_of(org.ann), org.bob.name + " in the organization")
        browser.go(invite.links[0])
        page = browser.press("Link this address")
        assert page.status == 409 and "somebody else" in page.text, page.text
        assert [r["person"] for r in org.control("GET", "/links")["items"]] == [org.ann.name]
        for address in ("a b@example.com", "a@b@c", "x", "a@example.com\r\nRCPT TO:<e@example.com>"):
            with refused(400):
                org.control("POST", "/people/%s/links" % org.bob.name,
                            {"channel": "ml", "address": address})
        for config in ({"url": "http://localhost"}, {"url": "smtp://a/b"}, {"from": "x"},
                       {"digest": "25:00"}, {"tls": "try"}):
            settings = dict({"url": "smtp://localhost:25", "from": "a@example.com"}, **config)
            with refused(400):
                org.control("POST", "/channels", {"name": "bad", "kind": "mail",
                                                  "config": settings, "secret": {}})
