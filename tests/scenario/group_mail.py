"""Mail: the fakes against Python's own clients; our channel with a real SMTP server and a real IMAP
server."""
import contextlib
import email
import email.message
import email.policy
import email.utils
import imaplib
import os
import smtplib
import ssl

from cases import Skip, case
from chat import policy
from fake_mail import Imap, Smtp, bounce
from harness import Org, wait_for
from mail import MAIL, Browser
from mcp_client import McpWs, text_of
from real_mail import RealMail

USER, PASSWORD = "flopinio", "hunter2 =:\\"


def trusting(server):
    return ssl.create_default_context(cafile=server.ca)


def letter(to="ann@example.com", text="Dear Ann,\n.\n.. dots\nbye\n"):
    message = email.message.EmailMessage(policy=email.policy.SMTP)
    message["From"] = "Flopinio <flopinio@example.com>"
    message["To"] = to
    message["Subject"] = "Gr\u00fc\u00dfe"
    message["Date"] = email.utils.formatdate()
    message["Message-ID"] = email.utils.make_msgid(domain="example.com")
    message.set_content(text, cte="quoted-printable")
    return message


@contextlib.contextmanager
def sender(smtp, tls=True):
    client = smtplib.SMTP("localhost", smtp.port, "client.example.com", 10)
    try:
        if tls:
            client.starttls(context=trusting(smtp))
        yield client
    finally:
        client.close()


def refused(code, action, *args, **more):
    try:
        action(*args, **more)
    except smtplib.SMTPRecipientsRefused as e:
        assert [c for c, _ in e.recipients.values()] == [code], e
    except smtplib.SMTPResponseException as e:
        assert e.smtp_code == code, e
    else:
        raise AssertionError("it was taken")


@case()
def the_fake_smtp_server_takes_what_smtplib_sends(rt):
    """By STARTTLS and by TLS, with a password: envelope, bytes and parts are what was sent."""
    with Smtp(user=USER, password=PASSWORD) as smtp, sender(smtp) as client:
        client.login(USER, PASSWORD)
        sent = letter()
        client.send_message(sent, "bounces+1@example.com", ["ann@example.com", "bob@example.com"])
        mail = smtp.wait_message("bob@example.com", "dots")
        assert mail.sender == "bounces+1@example.com" and mail.is_tls and mail.user == USER
        assert mail.recipients == ["ann@example.com", "bob@example.com"]
        assert mail.raw == sent.as_bytes() and mail.subject == "Gr\u00fc\u00dfe"
        assert mail.text == "Dear Ann,\n.\n.. dots\nbye\n" and mail["From"] == sent["From"]
    with Smtp(tls="tls") as smtp:
        with smtplib.SMTP_SSL("localhost", smtp.port, "client", timeout=10,
                              context=trusting(smtp)) as client:
            client.send_message(letter(text="over TLS\n"))
        assert smtp.messages[0].is_tls and smtp.messages[0].user is None


@case()
def the_fake_smtp_server_is_strict(rt):
    """What real servers refuse is refused, and is a violation if it is the sender's fault."""
    with Smtp(user=USER, password=PASSWORD, size=4000) as smtp:
        def violations(*words):
            found, smtp.violations = smtp.violations, []
            assert len(found) == len(words), (found, words)
            for text, word in zip(found, words):
                assert word in text, (text, word)

        with sender(smtp, tls=False) as client:
            client.ehlo()
            assert client.docmd("MAIL FROM:<a@example.com>")[0] == 530
            violations("mail in clear")
            assert not client.has_extn("auth") and client.docmd("AUTH PLAIN AHgAeQ==")[0] == 538
            violations("a password in clear")
            assert client.docmd("RCPT TO:<a@example.com>")[0] == 503
            violations("out of order")
        with sender(smtp) as client:
            assert client.docmd("MAIL FROM:<a@example.com>")[0] == 503
            violations("out of order")
            client.ehlo()
            assert client.docmd("MAIL FROM:<a@example.com>")[0] == 530      # not signed in
            refused(535, client.login, USER, "wrong", initial_response_ok=False)
            client.login(USER, PASSWORD)
            refused(552, client.sendmail, "a@example.com", "b@example.com", b"x" * 5000)
            assert client.docmd("MAIL FROM: <a@example.com>")[0] == 501
            violations("MAIL")
            assert client.docmd("NOOP " + "x" * 600)[0] == 250
            violations("of 607 octets")
            client.mail("a@example.com")
            assert client.docmd("RCPT TO:<a@b> RCPT TO:<c@d>")[0] == 501
            violations("RCPT")
            client.rcpt("b@example.com")
            client.send(b"DATA\r\n")
            assert client.getreply()[0] == 354
            long = bytes(letter(text="bye\n")).replace(b"bye\r\n", b"bye\n" + b"x" * 1200 + b"\r\n")
            client.send(long + b".\r\n")
            assert client.getreply()[0] == 250
            violations("a bare LF", "of 1202 octets")
            client.mail("a@example.com")
            client.rcpt("b@example.com")
            client.data(b"Subject: gr\xc3\xbc\xc3\x9fe\r\nMessage-ID: none\r\n\r\n\xfc\r\n")
            violations("octets over 127 in a header", "without BODY=8BITMIME", "0 headers From",
                       "0 headers Date", "0 headers MIME-Version", "a Message-ID that is none",
                       "a Date that is none", "not in its charset")
            client.send(b"NOOP\r\nNOOP\r\n")
            assert client.getreply()[0] == 250 and client.getreply()[0] == 250
            violations("did not wait")
        with sender(smtp, tls=False) as client:
            client.ehlo()
            client.send(b"STARTTLS\r\nMAIL FROM:<a@example.com>\r\n")
            client.getreply()
            with contextlib.suppress(OSError, smtplib.SMTPException):
                trusting(smtp).wrap_socket(client.sock, server_hostname="localhost")
        assert any("behind STARTTLS" in v or "did not wait" in v for v in smtp.violations)
        smtp.violations = []


@case()
def the_fake_smtp_server_has_faults(rt):
    with Smtp() as smtp:
        with sender(smtp) as client:
            smtp.refuses["gone@example.com"] = (550, "5.1.1 no such user")
            refused(550, client.sendmail, "a@example.com", "gone@example.com", bytes(letter()))
            smtp.fault("RCPT", 451, times=2)
            for _ in range(2):
                refused(451, client.sendmail, "a@example.com", "b@example.com", bytes(letter()))
            smtp.fault("DATA", 554)
            refused(554, client.sendmail, "a@example.com", "b@example.com", bytes(letter()))
            smtp.fault("MAIL", 421)
            refused(421, client.sendmail, "a@example.com", "b@example.com", bytes(letter()))
        assert smtp.messages == []
        for fault, taken in (("drops", 0), ("loses_answers", 1)):
            with sender(smtp) as client:
                setattr(smtp, fault, 1)
                try:
                    client.sendmail("a@example.com", "b@example.com", bytes(letter()))
                except smtplib.SMTPServerDisconnected:
                    assert len(smtp.messages) == taken
                else:
                    raise AssertionError("the connection stayed")
        smtp.starttls = "hidden"
        with sender(smtp, tls=False) as client:
            try:
                client.starttls(context=trusting(smtp))
            except smtplib.SMTPNotSupportedError:
                pass
            else:
                raise AssertionError("STARTTLS was offered")
    for certificate in ("elsewhere", "stranger"):
        with Smtp(certificate=certificate) as smtp:
            try:
                with sender(smtp):
                    raise AssertionError("its certificate was trusted")
            except ssl.SSLCertVerificationError:
                pass


@case()
def the_fake_imap_server_is_read_by_imaplib(rt):
    """By STARTTLS and by TLS: numbers, flags and bytes; what real servers refuse is refused."""
    with Smtp() as smtp, sender(smtp) as client:
        client.send_message(letter("gone@example.com"))
        mail = smtp.messages[0]
    returned = bounce(mail, "gone@example.com")
    report = email.message_from_bytes(returned, policy=email.policy.default)
    assert report.get_content_type() == "multipart/report" and not report.defects
    (_, status, original) = report.iter_parts()
    assert status.get_payload()[1]["Status"] == "5.1.1"
    assert email.message_from_string(original.get_content())["Message-ID"] == mail["Message-ID"]

    with Imap(user=USER, password="hunter2") as imap:
        first, second = imap.deliver(returned), imap.deliver(letter())
        with imaplib.IMAP4("localhost", imap.port, 10) as client:
            try:
                client.login(USER, "hunter2")
            except imaplib.IMAP4.error as e:
                assert "PRIVACYREQUIRED" in str(e) or "LOGIN" in str(e), e
            imap.violations = [v for v in imap.violations if "password in clear" not in v]
            client.starttls(trusting(imap))
            try:
                client.login(USER, "wrong")
                raise AssertionError("any password will do")
            except imaplib.IMAP4.error as e:
                assert "AUTHENTICATIONFAILED" in str(e), e
            client.login(USER, "hunter2")
            assert client.select("INBOX")[1] == [b"2"]
            assert client.uid("SEARCH", "UNSEEN")[1] == [b"%d %d" % (first, second)]
            assert client.uid("SEARCH", "UID", "%d:*" % (second + 5))[1] == [b"%d" % second]
            got = client.uid("FETCH", str(first), "(BODY.PEEK[])")[1][0]
            assert got[1] == returned and imap.unseen() == [first, second], got
            got = client.uid("FETCH", str(first), "(RFC822.SIZE BODY[]<0.20>)")[1][0]
            assert got[1] == returned[:20] and imap.unseen() == [second], got
            client.uid("STORE", str(first), "-FLAGS", "(\\Seen)")
            assert imap.unseen() == [first, second]
            client.uid("STORE", "1:*", "+FLAGS.SILENT", "(\\Seen)")
            assert client.uid("SEARCH", "NOT SEEN")[1] == [b""] and imap.unseen() == []
            status = client.status("INBOX", "(UIDVALIDITY UIDNEXT)")[1][0]
            assert status == b"INBOX (UIDVALIDITY 17 UIDNEXT 3)", status
            client.select("INBOX", readonly=True)
            assert client.uid("STORE", "1:*", "-FLAGS", "(\\Seen)")[0] == "NO"
    with Imap(tls="tls", user=USER, password="hunter2") as imap:
        with imaplib.IMAP4_SSL("localhost", imap.port, ssl_context=trusting(imap),
                               timeout=10) as client:
            client.authenticate("PLAIN", lambda _: ("\0%s\0hunter2" % USER).encode())
            assert client.select("INBOX")[1] == [b"0"]
            assert client.uid("SEARCH", "ALL")[1] == [b""] or client.uid("SEARCH", "ALL")[1] == [None]
    with Imap(certificate="stranger") as imap:
        with contextlib.suppress(ssl.SSLCertVerificationError):
            imaplib.IMAP4("localhost", imap.port, 10).starttls(trusting(imap))
            raise AssertionError("its certificate was trusted")


# ---------------------------------------------------------------- a real Postfix, a real Dovecot
@case(limit=120, **MAIL)
def mail_goes_through_postfix_and_comes_back_by_dovecot(rt):
    """Cards of our channel are delivered by a real server, decided by their link, and what came of it
    follows; what it cannot deliver is read out of a real mailbox, and marks the address."""
    if os.getuid() != 0:
        raise Skip("Postfix starts as root only")
    with RealMail() as real:
        org = Org(rt, scenario=True, policy=None)
        org.control("POST", "/channels", {
            "name": "ml", "kind": "mail",
            "secret": {"password": real.PASSWORD, "imap_password": real.PASSWORD},
            "config": {"url": "smtp://localhost:%d" % real.smtp_port, "user": real.USER,
                       "from": "approvals@example.test",
                       "bounces": {"url": "imap://localhost:%d/INBOX" % real.imap_port,
                                   "user": real.USER, "every": 1}}})

        def mail_to(name, having, answers=False):
            def look():
                found = [email.message_from_bytes(raw, policy=email.policy.default)
                         for raw in real.mails(name)]
                found = [m for m in found if bool(m["In-Reply-To"]) == answers and having in
                         m["Subject"] + m.get_body(("plain",)).get_content()]
                return found[-1] if found else None
            return wait_for("a mail to %s with %r" % (name, having), look, 30)

        def link_of(mail):
            text = mail.get_body(("plain",)).get_content()
            return [word for word in text.split() if word.startswith("http")][0]

        for person, name in ((org.ann, "ann"), (org.bob, "bob")):
            org.control("POST", "/people/%s/links" % person.name,
                        {"channel": "ml", "address": name + "@example.test"})
            browser = Browser(rt)
            browser.go(link_of(mail_to(name, "ink this address")))
            assert "linked now" in browser.press("Link this address").text
        org.apply(policy(("ml",)))
        org.sync()
        with McpWs(rt, org.credential) as agent:
            call = agent.call_start("s__append_line", {"line": "gr\u00fc\u00dfe"})
            card = mail_to("ann", "append_line")
            assert "gr\u00fc\u00dfe" in card.get_body(("html",)).get_content() and not card.defects
            assert "with ESMTPSA" in card["Received"].replace("\n", " "), card["Received"]
            browser = Browser(rt)
            browser.go(link_of(card))
            browser.press("Sign in")
            browser.press("Approve")
            assert text_of(call.wait()) == "appended"
            assert mail_to("bob", "done", answers=True)["Subject"].startswith("Re: ")
            # Bob's mailbox goes: the server says so, to the address that our mails are from.
            rt.sql("UPDATE chat_identity SET external_id = 'gone@example.test' WHERE organization_id = "
                   "%s AND external_id = 'bob@example.test'", org.id)
            call = agent.call_start("s__append_line", {"line": "two"})

            def dead():
                return {i["external"]: i["dead_why"] for i in org.control("GET", "/links")["items"]
                        if i["dead_at"]}
            said = wait_for("the bounce", dead, 60)
            assert list(said) == ["gone@example.test"], said
            assert said["gone@example.test"].startswith("5.1.1"), said
            returned = real.mails("approvals")      # the card's; a notice's, too, if it came that late
            assert returned and all(b"multipart/report" in mail for mail in returned), returned
            org.ann.reject(wait_for("the call", lambda: [r["approval_id"] for r in org.rows()
                                                         if r["state"] == "pending"])[0], "enough")
            assert call.wait()["isError"]
        org.control("PATCH", "/channels/ml", {"is_enabled": False})
