"""Mail servers on loopback, strict about what real ones refuse, with switches for faults.

    with Smtp(user="flopinio", password="hunter2") as smtp, Imap(...) as imap:
        "smtp://localhost:%d" % smtp.port     STARTTLS; tls="tls": from the first byte on; None: never
        smtp.ca                               the PEM file of the authority that signed for localhost
        mail = smtp.wait_message("ann@example.com", having="Delete")
        mail.sender, mail.recipients, mail.email, mail.text, mail.html, mail.links
        imap.deliver(bounce(mail, "ann@example.com"))

What breaks a rule that servers are free to enforce is kept in `violations`, and fails the test that has
not taken it out: commands out of order or over 512 octets, lines over 998, bare CR or LF, octets over
127 where they were not agreed upon, more than was asked for (pipelining was not offered), a password
or mail in clear, headers that RFC 5322 wants once, MIME that does not parse.
"""
import base64
import email
import email.policy
import email.utils
import re
import select
import time

from fake_imap import Imap  # noqa: F401
from harness import wait_for
from mail_server import End, Server


# ---------------------------------------------------------------- a mail, and what it must be
class Mail:
    """One that was taken: envelope and content."""

    def __init__(self, raw, sender, recipients, parameters, user, is_tls):
        self.raw, self.sender, self.recipients = raw, sender, recipients
        self.parameters, self.user, self.is_tls = parameters, user, is_tls
        self.email = email.message_from_bytes(raw, policy=email.policy.SMTP)
        self.at = time.monotonic()

    def __getitem__(self, header):
        value = self.email[header]
        return None if value is None else str(value)

    def part(self, kind):
        found = [p for p in self.email.walk() if p.get_content_type() == kind]
        return found[0].get_content().replace("\r\n", "\n") if found else None

    @property
    def subject(self):
        return self["Subject"]

    @property
    def text(self):
        return self.part("text/plain") or ""

    @property
    def html(self):
        return self.part("text/html") or ""

    @property
    def links(self):
        return re.findall(r"https?://[^\s<>\"]+", self.text)


def faults_of(raw, is_8bit):
    """What a strict reader has against a message's content."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if re.search(rb"[^\x00-\x7f]", head):
        yield "octets over 127 in a header"
    if not is_8bit and re.search(rb"[^\x00-\x7f]", body):
        yield "octets over 127 without BODY=8BITMIME"
    for line in head.split(b"\r\n"):
        if not re.match(rb"[!-9;-~]+:|[ \t]+\S", line):
            yield "a header line that is none: %.80r" % line
    message = email.message_from_bytes(raw, policy=email.policy.SMTP)
    for name in ("From", "Date", "Message-ID", "MIME-Version"):
        if len(message.get_all(name, [])) != 1:
            yield "%d headers %s" % (len(message.get_all(name, [])), name)
    for name in ("Sender", "Reply-To", "To", "Cc", "In-Reply-To", "References", "Subject"):
        if len(message.get_all(name, [])) > 1:
            yield "several headers " + name
    if not re.fullmatch(r"<[^<>@\s]+@[^<>@\s]+>", str(message.get("Message-ID", "")).strip()):
        yield "a Message-ID that is none: %s" % message.get("Message-ID")
    if not email.utils.parsedate_tz(str(message.get("Date", ""))):
        yield "a Date that is none: %s" % message.get("Date")
    for name in ("From", "To"):
        if message.get(name) and (message[name].defects or not message[name].addresses):
            yield "%s: %s: %s" % (name, message[name], message[name].defects)
    for part in message.walk():
        for defect in part.defects:
            yield "MIME: %r" % defect
        if part.get_content_maintype() == "text":
            try:
                part.get_payload(decode=True).decode(part.get_content_charset("us-ascii"))
            except (UnicodeDecodeError, LookupError) as e:
                yield "a text that is not in its charset: %s" % e


# ---------------------------------------------------------------- SMTP
class Smtp(Server):
    """An SMTP server (RFC 5321) with STARTTLS, SIZE, 8BITMIME, DSN, and AUTH if it has a user.

        smtp.fault("RCPT", 451, times=2)        the next two, by their verb; DATA: at the dot
        smtp.refuses["ann@example.com"] = (550, "5.1.1 no such user")
    """

    def __init__(self, tls="starttls", user=None, password=None, size=1 << 20, certificate="good"):
        self.size = size
        self.requires_tls = tls is not None   # MAIL in clear is refused, and a violation
        self.messages = []
        self.refuses = {}        # at RCPT
        self.loses_answers = 0   # so many messages are taken, and the connection ends before the 250
        self.keeps_silent_at_quit = False
        self.drops = 0           # so many are not taken, and the connection ends at the dot
        self.stalls = False      # DATA is answered when the client says more, or leaves
        self.stalled = 0
        self._faults = []
        super().__init__(tls, user, password, certificate)

    def fault(self, verb, code, text="", times=1):
        """421: the connection ends, too."""
        text = text or {421: "4.3.2 going down", 451: "4.3.0 try again later",
                        452: "4.2.2 mailbox full", 550: "5.1.1 no such mailbox",
                        554: "5.7.1 refused"}.get(code, "no")
        with self.lock:
            self._faults.append([verb, code, text, times])

    def wait_message(self, to=None, having="", after=0, timeout=15):
        """The newest of messages[after:] to this address that has this in its subject or text."""
        def look():
            with self.lock:
                found = [m for m in self.messages[after:] if (to is None or to in m.recipients)
                         and (having in (m.subject or "") or having in m.text)]
            return found[-1] if found else None
        return wait_for("a mail to %s with %r" % (to, having), look, timeout)

    def talk(self, conn):
        Session(self, conn).run()


class Session:
    def __init__(self, server, conn):
        self.server, self.conn, self.helo, self.user = server, conn, None, None
        self.reset()

    def reset(self):
        self.sender, self.recipients, self.parameters = None, [], {}

    def say(self, code, *lines):
        lines = lines or ("",)
        data = "".join("%d%s%s\r\n" % (code, " " if i == len(lines) - 1 else "-", line)
                       for i, line in enumerate(lines))
        self.conn.send(data.encode())
        if code == 421:
            raise End

    def is_faulty(self, verb):
        """Answers with the fault that is set for it."""
        with self.server.lock:
            for fault in self.server._faults:
                if fault[0] == verb and fault[3] > 0:
                    fault[3] -= 1
                    break
            else:
                return False
        self.say(fault[1], fault[2])
        return True

    def run(self):
        if not self.is_faulty("CONNECT"):
            self.say(220, "localhost ESMTP")
        while True:
            if self.conn.buffer:
                self.conn.wrong("it did not wait for the answer", self.conn.buffer)
            line = self.conn.line(12288, "a command")
            if len(line) > 510 and not line.upper().startswith(b"AUTH "):
                self.conn.wrong("a command of %d octets" % (len(line) + 2), line[:80])
            if re.search(rb"[^\x20-\x7e]", line):
                self.conn.wrong("a command that is not printable", line)
            text = line.decode("latin-1")
            verb, _, rest = text.partition(" ")
            verb = verb.upper()
            with self.server.lock:
                self.server.commands.append(text if verb != "AUTH" else "AUTH " + rest.split(" ")[0])
            do = getattr(self, "do_" + verb.lower(), None)
            if do is None:
                self.conn.wrong("an unknown command", line)
                self.say(500, "5.5.1 unknown command")
            elif not (verb != "DATA" and self.is_faulty(verb)):
                do(rest)

    def out_of_order(self, what):
        self.conn.wrong("out of order: " + what)
        self.say(503, "5.5.1 bad sequence of commands")

    def do_ehlo(self, name):
        if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Za-z.:]+\]", name):
            self.conn.wrong("EHLO with no name", name)
        self.helo = name
        self.reset()
        lines = ["localhost greets " + name, "SIZE %d" % self.server.size, "8BITMIME", "DSN",
                 "ENHANCEDSTATUSCODES"]
        if self.server.tls == "starttls" and not self.conn.is_tls \
                and self.server.starttls != "hidden":
            lines.append("STARTTLS")
        if self.server.user and self.conn.is_tls:
            lines.append("AUTH PLAIN LOGIN")
        self.say(250, *lines)

    def do_helo(self, name):
        self.helo = name
        self.reset()
        self.say(250, "localhost")

    def do_starttls(self, rest):
        if self.server.tls != "starttls" or self.conn.is_tls or rest:
            return self.out_of_order("STARTTLS")
        if self.server.starttls == "refused":
            return self.say(454, "4.7.0 TLS not available")
        if self.server.starttls == "injects":
            self.conn.send(b"220 go on\r\n250 2.1.0 injected\r\n")
        else:
            self.say(220, "go on")
        self.conn.shake_hands()
        self.helo = None
        self.reset()

    def do_auth(self, rest):
        if not self.conn.is_tls:
            self.conn.wrong("a password in clear")
            return self.say(538, "5.7.11 encryption required")
        if self.helo is None or self.user or not self.server.user:
            return self.out_of_order("AUTH")
        mechanism, _, first = rest.partition(" ")
        if mechanism.upper() == "PLAIN":
            _, user, password = self.answer(first, "").split("\0")
        elif mechanism.upper() == "LOGIN":
            user, password = self.answer(first, "VXNlcm5hbWU6"), self.answer("", "UGFzc3dvcmQ6")
        else:
            return self.say(504, "5.5.4 no such mechanism")
        if not self.server.credentials_are(user, password):
            return self.say(535, "5.7.8 authentication failed")
        self.user = user
        self.say(235, "2.7.0 welcome")

    def answer(self, first, challenge):
        if not first:
            self.say(334, challenge)
            first = self.conn.line(12288, "an answer").decode("latin-1")
        try:
            return base64.b64decode(first, validate=True).decode()
        except ValueError:
            self.conn.wrong("no base64", first)
            raise End

    def path(self, rest, word, known):
        """(address or None, parameters)"""
        found = re.fullmatch(r"%s:<([^<>]*)>((?: [^ ]+)*)" % word, rest, re.I)
        if not found:
            return None, {}
        address = found[1]
        if address and (not re.fullmatch(r"[^@\s\"(),:;\\]{1,64}@[A-Za-z0-9.-]{1,255}", address)
                        or len(address) > 254 or ".." in address):
            return None, {}
        parameters = dict((p.partition("=")[0].upper(), p.partition("=")[2])
                          for p in found[2].split())
        return (None, {}) if set(parameters) - known else (address, parameters)

    def do_mail(self, rest):
        if self.helo is None or self.sender is not None:
            return self.out_of_order("MAIL")
        if self.server.requires_tls and not self.conn.is_tls:
            self.conn.wrong("mail in clear", rest)
            return self.say(530, "5.7.0 must issue a STARTTLS command first")
        if self.server.user and not self.user:
            return self.say(530, "5.7.0 authentication required")
        address, parameters = self.path(rest, "FROM", {"SIZE", "BODY", "RET", "ENVID", "AUTH"})
        if address is None:
            self.conn.wrong("MAIL", rest)
            return self.say(501, "5.1.7 bad sender")
        if int(parameters.get("SIZE", 0)) > self.server.size:
            return self.say(552, "5.3.4 message too big")
        self.sender, self.parameters = address, parameters
        self.say(250, "2.1.0 ok")

    def do_rcpt(self, rest):
        if self.sender is None:
            return self.out_of_order("RCPT")
        address, _ = self.path(rest, "TO", {"NOTIFY", "ORCPT"})
        if not address:
            self.conn.wrong("RCPT", rest)
            return self.say(501, "5.1.3 bad recipient")
        if address in self.server.refuses:
            return self.say(*self.server.refuses[address])
        if len(self.recipients) >= 100:
            return self.say(452, "4.5.3 too many recipients")
        self.recipients.append(address)
        self.say(250, "2.1.5 ok")

    def do_data(self, rest):
        if not self.recipients:
            return self.out_of_order("DATA")
        if self.server.stalls:
            self.server.stalled += 1
            select.select([self.conn.sock], [], [], 60)
        self.say(354, "end with a dot")
        lines, size = [], 0
        while True:
            line = self.conn.line(1000, "a line of a message")
            if line == b".":
                break
            lines.append(line[1:] if line.startswith(b".") else line)
            size += len(lines[-1]) + 2
        raw = b"\r\n".join(lines) + b"\r\n"
        if self.server.drops > 0:
            self.server.drops -= 1
            raise End
        if self.is_faulty("DATA"):
            return self.reset()
        if size > self.server.size:
            self.say(552, "5.3.4 message too big")
            return self.reset()
        for fault in faults_of(raw, self.parameters.get("BODY") == "8BITMIME"):
            self.conn.wrong("a message: " + fault)
        with self.server.lock:
            self.server.messages.append(Mail(raw, self.sender, self.recipients, self.parameters,
                                             self.user, self.conn.is_tls))
            self.server.lock.notify_all()
        if self.server.loses_answers > 0:
            self.server.loses_answers -= 1
            raise End
        self.reset()
        self.say(250, "2.0.0 taken")

    def do_rset(self, rest):
        self.reset()
        self.say(250, "2.0.0 ok")

    def do_noop(self, rest):
        self.say(250, "2.0.0 ok")

    def do_vrfy(self, rest):
        self.say(252, "2.0.0 send it and see")

    def do_quit(self, rest):
        while self.server.keeps_silent_at_quit:
            self.conn.fill()     # until the other side hangs up
        self.say(221, "2.0.0 bye")
        raise End


# ---------------------------------------------------------------- what mail servers send back
def bounce(mail, recipient, status="5.1.1", action="failed", to=None, original="headers",
           message_id=None, final=None, headers=""):
    """A delivery status notification (RFC 3464) about a Mail, as bytes. original: headers, whole, or
    None: nothing of it comes back. `final`: the address after forwarding, if it is another one."""
    boundary = "=_report_%d" % (time.monotonic_ns() % 10 ** 9)
    head = mail.raw.partition(b"\r\n\r\n")[0]
    if message_id is not None:
        head = re.sub(rb"(?im)^message-id:.*$", b"Message-ID: " + message_id.encode(), head)
    parts = [b"Content-Type: text/plain; charset=us-ascii\r\n\r\nI am the mail system of localhost.\r\n"
             b"Your message could not be delivered.\r\n",
             ("Content-Type: message/delivery-status\r\n\r\n"
              "Reporting-MTA: dns; localhost\r\nArrival-Date: %s\r\n\r\n"
              "Original-Recipient: rfc822;%s\r\nFinal-Recipient: rfc822; %s\r\nAction: %s\r\n"
              "Status: %s\r\nDiagnostic-Code: smtp; 550 %s no such\r\n user here\r\n"
              % (email.utils.formatdate(), recipient, final or recipient, action, status, status)
              ).encode()]
    if original:
        kind = b"message/rfc822" if original == "whole" else b"text/rfc822-headers"
        parts.append(b"Content-Type: %s\r\n\r\n" % kind +
                     (mail.raw if original == "whole" else head + b"\r\n"))
    return ("Return-Path: <>\r\nFrom: MAILER-DAEMON@localhost\r\nTo: %s\r\nSubject: Undelivered Mail "
            "Returned to Sender\r\nDate: %s\r\nMessage-ID: <%d.bounce@localhost>\r\nAuto-Submitted: "
            "auto-replied\r\nMIME-Version: 1.0\r\n%sContent-Type: multipart/report; report-type="
            "delivery-status;\r\n\tboundary=\"%s\"\r\n\r\nThis is a MIME-encapsulated message.\r\n"
            % (to or mail.sender, email.utils.formatdate(), time.monotonic_ns(), headers, boundary)
            ).encode() + b"".join(b"\r\n--%s\r\n%s" % (boundary.encode(), p) for p in parts) + \
        b"\r\n--%s--\r\n" % boundary.encode()
