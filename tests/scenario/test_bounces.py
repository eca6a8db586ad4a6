"""Mail that comes back: a mailbox is read by IMAP, an address that does not exist gets no more mail,
and whoever is behind it in the ladder is told."""
from cases import case
from chat import add_channel as add_telegram
from chat import link as link_telegram
from chat import policy
from fake_mail import Imap, Smtp, bounce
from fake_telegram import FakeTelegram
from harness import refused, wait_for
from mail import MAIL, MailHouse, add_channel, address_of, link
from mcp_client import text_of


def bounces(imap, **more):
    return dict({"url": "%s://localhost:%d" % ("imaps" if imap.tls == "tls" else "imap", imap.port),
                 "user": imap.user, "every": 1}, **more)


class BounceHouse(MailHouse):
    def __init__(self, rt, smtp, imap, **more):
        super().__init__(rt, smtp, config={"bounces": bounces(imap), "secret": {
            "imap_password": imap.password}}, **more)

    def dead(self, person, kind="mail"):
        """What the list of accounts says of their address."""
        (one,) = [i for i in self.org.control("GET", "/links")["items"]
                  if i["person"] == person.name and i["kind"] == kind]
        return one["dead_why"] if one["dead_at"] else None

    def wait_dead(self, person):
        return wait_for("the address to be marked", lambda: self.dead(person), 20)

    def outbox(self, approval):
        return self.rt.sql("SELECT c.name, o.delivered_at IS NOT NULL AS told FROM outbox o JOIN channel c "
                           "USING (organization_id, channel_id) WHERE o.approval_id = %s ORDER BY "
                           "o.step", approval)


@case(limit=90, **MAIL)
def an_address_that_bounces_is_left_alone_and_the_next_channel_told(rt):
    """STARTTLS and TLS. A forwarded address counts by the Message-ID; what nobody but we could have
    sent counts, and nothing else; linking the address anew ends it."""
    for tls in ("starttls", "tls"):
        with Smtp() as smtp, Imap(tls=tls) as imap, FakeTelegram() as tg:
            with BounceHouse(rt, smtp, imap, people=("ann",), notify=("ml",)) as house:
                org = house.org
                add_telegram(org, tg)
                bob = link_telegram(org, tg, org.bob, tg.user(72, "Bob"))
                org.apply(policy(("ml", "tg")))
                call, approval = house.ask("one")
                mail = house.card(org.ann)
                wait_for("the card to be delivered", lambda: house.outbox(approval)[0]["told"])
                other = imap.deliver(b"Subject: hello\r\n\r\nI am on holiday.\r\n")
                uid = imap.deliver(bounce(mail, address_of(org.ann), final="ann@elsewhere.example"))
                said = house.wait_dead(org.ann)
                assert said == "5.1.1 550 5.1.1 no such user here", said
                imap.wait_seen(uid)
                assert imap.unseen() == [] and other < uid
                (leaf,) = org.audit(kind="identity.dead")
                assert leaf["data"]["external"] == address_of(org.ann), leaf
                assert leaf["data"]["status"] == "5.1.1" and leaf["actor"]["kind"] == "system"
                # Told as if she had never been: at once where the minute is over.
                assert house.outbox(approval)[0]["told"] is False
                rt.sql("UPDATE outbox SET next_at = now() WHERE approval_id = %s", approval)
                card = tg.wait_message(bob.id, "append_line", timeout=20)
                # Alerts go to no dead address either.
                rt.sql("INSERT INTO alert (organization_id, alert_id, person_id, kind, text) SELECT "
                       "organization_id, gen_random_uuid(), person_id, 'test', 'x' FROM chat_identity "
                       "WHERE external_id = %s", address_of(org.ann))
                assert rt.sql("SELECT 1 FROM alert_post WHERE place = %s", address_of(org.ann)) == []
                count = len(smtp.messages)
                assert tg.press(bob, card, "Approve").startswith("approved")
                assert text_of(call.wait()) == "appended"
                tg.wait_text(card, "done")
                assert len(smtp.messages) == count, "mail to a dead address"
                # The mailbox is hers again: she proves it by a link.
                link(org, smtp, org.ann)
                assert house.dead(org.ann) is None
                call, approval = house.ask("two")
                house.card(org.ann, after=count)
                org.ann.reject(approval, "enough")
                assert call.wait()["isError"]
            org.control("PATCH", "/channels/tg", {"is_enabled": False})


@case(limit=60, **MAIL)
def a_bounce_that_is_not_ours_kills_no_address(rt):
    """Everybody may write to the mailbox: forged, temporary, copied or cut reports change nothing."""
    with Smtp() as smtp, Imap() as imap, BounceHouse(rt, smtp, imap) as house:
        ann, bob = address_of(house.org.ann), address_of(house.org.bob)
        call, approval = house.ask("one")
        hers, his = house.card(house.org.ann), house.card(house.org.bob)
        real = hers["Message-ID"].strip("<>")
        forged = ["<%s>" % real.replace(real[40], "0" if real[40] != "0" else "1", 1),
                  "<%s>" % real.replace("@", "x@", 1), "<x@example.com>", "<%s>" % ("a" * 900),
                  "<%s@example.com>" % real.split(".")[0]]
        for id in forged:
            last = imap.deliver(bounce(hers, ann, message_id=id))
        imap.deliver(bounce(hers, ann, status="4.2.2", action="delayed"))
        imap.deliver(bounce(hers, ann, status="4.4.7"))
        imap.deliver(bounce(hers, ann, original=None))
        imap.deliver(bounce(hers, ann).replace(b"multipart/report", b"multipart/mixed"))
        imap.deliver(hers.raw)                                        # her mail itself, sent on
        imap.deliver(bounce(hers, ann)[:600])
        imap.deliver(b"Content-Type: multipart/report; boundary=x\r\n\r\n" + b"--x\r\n" * 5000)
        last = imap.deliver(b"\xff\x00\r\n" * 100000)                 # more than is read of a mail
        imap.wait_seen(last, 30)
        assert imap.unseen() == []
        # Said to be about Bob: it is the one that came back that counts.
        imap.deliver(bounce(hers, bob))
        house.wait_dead(house.org.ann)
        assert house.dead(house.org.bob) is None and his.recipients == [bob]
        assert len(house.org.audit(kind="identity.dead")) == 1
        house.org.bob.reject(approval, "enough")
        assert call.wait()["isError"]


@case(limit=60, **MAIL)
def an_agent_that_writes_what_filters_refuse_silences_no_approver(rt):
    """A scanner's refusal (5.7.1) is about that mail: it counts as not delivered and is not sent again,
    and the next one goes to the same address."""
    with Smtp() as smtp, Imap() as imap, BounceHouse(rt, smtp, imap, people=("ann",)) as house:
        org = house.org
        call, approval = house.ask("X5O!P%@AP")
        mail = house.card(org.ann)
        wait_for("the card to be delivered", lambda: house.outbox(approval)[0]["told"])
        count = len(smtp.messages)
        imap.deliver(bounce(mail, address_of(org.ann), status="5.7.1"))
        wait_for("it to count", lambda: not house.outbox(approval)[0]["told"], 20)
        (row,) = rt.sql("SELECT trouble FROM outbox WHERE approval_id = %s", approval)
        assert row["trouble"].startswith("a mail of it came back: 5.7.1"), row
        assert house.dead(org.ann) is None and org.audit(kind="identity.dead") == []
        other, second = house.ask("two")
        house.card(org.ann, "two")
        assert not [m for m in smtp.messages[count:] if "X5O" in m.text]
        for one in (approval, second):
            org.ann.reject(one, "no")
        assert call.wait()["isError"] and other.wait()["isError"]


@case(limit=60, **MAIL)
def an_old_bounce_ends_no_address_that_was_linked_since(rt):
    """Somebody whose mailbox is back proved it; what was sent before says nothing of it any more."""
    with Smtp() as smtp, Imap() as imap, BounceHouse(rt, smtp, imap, people=("ann",)) as house:
        org = house.org
        call, approval = house.ask("one")
        old = house.card(org.ann)
        link(org, smtp, org.ann)
        imap.deliver(bounce(old, address_of(org.ann)))
        last = imap.deliver(b"Subject: hello\r\n\r\nRead behind it.\r\n")
        imap.wait_seen(last)
        assert house.dead(org.ann) is None
        other, second = house.ask("two")
        imap.deliver(bounce(house.card(org.ann, "two"), address_of(org.ann)))
        house.wait_dead(org.ann)
        for one in (approval, second):
            org.ann.reject(one, "no")
        assert call.wait()["isError"] and other.wait()["isError"]


@case(limit=90, breaks=True, **MAIL)
def bounces_are_read_whatever_the_server_does(rt):
    """An outage, a line that drops, a worker that dies, a mailbox that is made anew: read once it can
    be, and nothing is read for ever."""
    with Smtp() as smtp, Imap() as imap:
        imap.is_down = True
        with BounceHouse(rt, smtp, imap) as house:
            house.ask("one")
            mail = house.card(house.org.ann)
            imap.deliver(bounce(mail, address_of(house.org.ann)))
            wait_for("a try", lambda: imap.connections, 20)
            imap.drops_at = "BODY["
            imap.is_down = False
            set_again(house)
            wait_for("the drop", lambda: imap.drops_at is None, 20)
            for pid in rt.workers():
                rt.kill_worker(pid)
            house.wait_dead(house.org.ann)
            imap.renumber()
            imap.unavailable = 1
            second = imap.deliver(bounce(house.card(house.org.bob), address_of(house.org.bob)))
            wait_for("the refusal", lambda: not imap.unavailable, 20)
            set_again(house)
            house.wait_dead(house.org.bob)
            imap.wait_seen(second)
            told = [leaf["data"]["person"] for leaf in house.org.audit(kind="identity.dead")]
            assert sorted(told) == sorted([house.org.ann.name, house.org.bob.name]), told
            (one,) = house.org.control("GET", "/channels")["items"]
            assert one["dead"] == 2, one


def set_again(house):
    """As an administrator does: it is tried at once."""
    (one,) = [c for c in house.org.control("GET", "/channels")["items"] if c["name"] == "ml"]
    house.org.control("PATCH", "/channels/ml", {"config": one["config"]})


@case(limit=60, **MAIL)
def no_password_is_sent_in_clear_or_to_a_stranger(rt):
    for how in (dict(starttls="hidden"), dict(starttls="refused"), dict(starttls="injects"),
                dict(certificate="stranger"), dict(certificate="elsewhere")):
        with Smtp() as smtp, Imap() as imap:
            for name, value in how.items():
                setattr(imap, name, value)
            since = rt.log_size()
            with BounceHouse(rt, smtp, imap, people=()) as house:
                wait_for("the warning of %s" % how, lambda: "bounces_not_read" in rt.log(since), 30)
                assert "LOGIN" not in imap.commands and "AUTHENTICATE" not in imap.commands
                assert imap.password not in rt.log(since) and not imap.violations
                assert house.org.name


@case(limit=60, **MAIL)
def a_mailbox_is_described_so_that_it_can_be_read(rt):
    with Smtp() as smtp, Imap() as imap, MailHouse(rt, smtp, people=()) as house:
        secret = {"imap_password": "x"}
        for wrong, having in (({"url": "pop3://mail.example.com"}, "imap://HOST"),
                              ({"url": "imap://mail.example.com/a b"}, "imap://HOST"),
                              ({"url": "imap://mail.example.com/x;UID=1"}, "imap://HOST"),
                              ({"user": ""}, "'user'"), ({"every": 0}, "'every'"),
                              ({"password": "x"}, "no setting of 'bounces'")):
            with refused(400, having):
                add_channel(house.org, smtp, "two", secret=secret, bounces=bounces(imap, **wrong))
        with refused(400, "imap_password"):
            add_channel(house.org, smtp, "two", secret={"password": "x"}, bounces=bounces(imap))
