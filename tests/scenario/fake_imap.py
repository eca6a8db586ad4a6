"""An IMAP server on loopback, see fake_mail.py."""
import base64
import email
import email.policy
import re

from harness import wait_for
from mail_server import End, Server


class Stored:
    def __init__(self, uid, raw):
        self.uid, self.raw, self.flags = uid, raw, set()


class Imap(Server):
    """An IMAP4rev1 server with one mailbox, INBOX: what the program's reading of it needs, and a bit."""

    def __init__(self, tls="starttls", user="bounces", password="hunter2", certificate="good"):
        self.mails, self.uid_next, self.uid_validity = [], 1, 17
        self.unavailable = 0     # so many FETCHes are refused, though the mail is there
        self.drops_at = None     # the connection ends when this command comes (a word of it), once
        super().__init__(tls, user, password, certificate)

    def deliver(self, raw):
        """bytes with CRLF, or an email.message; its uid."""
        if not isinstance(raw, bytes):
            raw = raw.as_bytes(policy=email.policy.SMTP)
        with self.lock:
            self.mails.append(Stored(self.uid_next, raw))
            self.uid_next += 1
            return self.mails[-1].uid

    def unseen(self):
        with self.lock:
            return [m.uid for m in self.mails if "\\Seen" not in m.flags]

    def wait_seen(self, uid, timeout=15):
        wait_for("mail %d to be seen" % uid, lambda: uid not in self.unseen(), timeout)

    def renumber(self):
        """As after a mailbox was made anew: other numbers, another UIDVALIDITY."""
        with self.lock:
            self.uid_validity += 1
            for mail in self.mails:
                mail.uid, self.uid_next = self.uid_next, self.uid_next + 1

    def talk(self, conn):
        ImapSession(self, conn).run()


TOKEN = re.compile(rb'\s*(?:(\()|(\))|"((?:[^"\\]|\\.)*)"|\{(\d+)\}$'
                   rb'|([^\s()"{]*\[[^\]]*\](?:<\d+(?:\.\d+)?>)?)|([^\s()"{]+))')


class ImapSession:
    def __init__(self, server, conn):
        self.server, self.conn = server, conn
        self.is_in, self.selected = False, None   # None, "r" or "rw"

    def say(self, text):
        self.conn.send(text.encode() + b"\r\n" if isinstance(text, str) else text + b"\r\n")

    def read(self):
        """A command's words: bytes; parentheses are lists."""
        stack, line = [[]], self.conn.line(8192, "a command")
        shown, at = line, 0
        while at < len(line):
            found = TOKEN.match(line, at)
            if not found:
                if line[at:].strip():
                    self.conn.wrong("a command that does not parse", line)
                break
            at = found.end()
            if found[1]:
                stack.append([])
            elif found[2]:
                if len(stack) < 2:
                    self.conn.wrong("a parenthesis too many", line)
                    raise End
                done = stack.pop()
                stack[-1].append(done)
            elif found[4]:
                self.say("+ go on")
                stack[-1].append(self.conn.exactly(int(found[4])))
                line, at = self.conn.line(8192, "the rest of a command"), 0
            elif found[3] is not None:
                stack[-1].append(re.sub(rb"\\(.)", rb"\1", found[3]))
            else:
                stack[-1].append(found[5] or found[6])
        return stack[0], shown

    def run(self):
        self.say("* OK localhost IMAP4rev1")
        while True:
            words, line = self.read()
            if len(words) < 2 or not all(isinstance(w, bytes) for w in words[:2]):
                self.conn.wrong("a command that is none", line)
                raise End
            tag, verb = words[0].decode("latin-1"), words[1].decode("latin-1").upper()
            is_uid = verb == "UID"
            if is_uid:
                verb, words = words[2].decode("latin-1").upper(), words[1:]
            secret = verb in ("LOGIN", "AUTHENTICATE")
            with self.server.lock:
                self.server.commands.append(verb if secret else line.decode("latin-1"))
                drops = self.server.drops_at
                if drops and drops in line.decode("latin-1").upper():
                    self.server.drops_at = None
                    raise End
            if self.conn.buffer and verb != "STARTTLS":
                self.conn.wrong("it did not wait for the answer", self.conn.buffer)
            do = getattr(self, "do_" + verb.lower(), None)
            if do is None or (is_uid and verb not in ("FETCH", "SEARCH", "STORE")):
                self.conn.wrong("an unknown command", line)
                self.say(tag + " BAD unknown command")
            elif verb in ("SEARCH", "FETCH", "STORE", "EXPUNGE", "CLOSE") and not self.selected:
                self.conn.wrong("no mailbox is selected", line)
                self.say(tag + " BAD no mailbox is selected")
            elif verb in ("SELECT", "EXAMINE", "STATUS", "LIST") and not self.is_in:
                self.conn.wrong("not authenticated", line)
                self.say(tag + " BAD not authenticated")
            else:
                self.is_uid = is_uid
                do(tag, words[2:])

    def capabilities(self):
        more = ""
        if not self.conn.is_tls:
            if self.server.tls == "starttls" and self.server.starttls != "hidden":
                more += " STARTTLS"
            if self.server.tls:
                more += " LOGINDISABLED"
        return "IMAP4rev1 SASL-IR%s%s" % (" AUTH=PLAIN" if self.conn.is_tls else "", more)

    def do_capability(self, tag, _):
        self.say("* CAPABILITY " + self.capabilities())
        self.say(tag + " OK done")

    def do_noop(self, tag, _):
        self.say(tag + " OK done")

    def do_logout(self, tag, _):
        self.say("* BYE see you")
        self.say(tag + " OK done")
        raise End

    def do_starttls(self, tag, _):
        if self.server.tls != "starttls" or self.conn.is_tls:
            return self.say(tag + " BAD not now")
        if self.server.starttls == "refused":
            return self.say(tag + " NO not now")
        if self.server.starttls == "injects":
            self.conn.send(tag.encode() + b" OK go on\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n")
        else:
            self.say(tag + " OK go on")
        self.conn.shake_hands()

    def enter(self, tag, user, password):
        if self.server.tls and not self.conn.is_tls:
            self.conn.wrong("a password in clear")
            return self.say(tag + " NO [PRIVACYREQUIRED] encryption required")
        if not self.server.credentials_are(user, password):
            return self.say(tag + " NO [AUTHENTICATIONFAILED] wrong name or password")
        self.is_in = True
        self.say("%s OK [CAPABILITY %s] welcome" % (tag, self.capabilities()))

    def do_login(self, tag, words):
        self.enter(tag, words[0].decode(), words[1].decode())

    def do_authenticate(self, tag, words):
        if words[0].upper() != b"PLAIN":
            return self.say(tag + " NO no such mechanism")
        first = words[1] if len(words) > 1 else None
        if first is None:
            self.say("+ ")
            first = self.conn.line(12288, "an answer")
        try:
            _, user, password = base64.b64decode(first, validate=True).decode().split("\0")
        except ValueError:
            return self.say(tag + " BAD no base64")
        self.enter(tag, user, password)

    def do_select(self, tag, words, mode="rw"):
        if words[0].upper() != b"INBOX":
            self.selected = None
            return self.say(tag + " NO [NONEXISTENT] there is no such mailbox")
        self.selected = mode
        with self.server.lock:
            mails = self.server.mails
            self.say("* FLAGS (\\Seen \\Deleted \\Flagged \\Answered \\Draft)")
            self.say("* %d EXISTS" % len(mails))
            self.say("* 0 RECENT")
            self.say("* OK [UIDVALIDITY %d] valid" % self.server.uid_validity)
            self.say("* OK [UIDNEXT %d] next" % self.server.uid_next)
        self.say("%s OK [READ-%s] selected" % (tag, "WRITE" if mode == "rw" else "ONLY"))

    def do_examine(self, tag, words):
        self.do_select(tag, words, "r")

    def do_list(self, tag, _):
        self.say('* LIST () "/" INBOX')
        self.say(tag + " OK done")

    def do_status(self, tag, words):
        with self.server.lock:
            values = {b"MESSAGES": len(self.server.mails), b"UIDNEXT": self.server.uid_next,
                      b"UIDVALIDITY": self.server.uid_validity, b"UNSEEN":
                      sum("\\Seen" not in m.flags for m in self.server.mails)}
        self.say("* STATUS INBOX (%s)" % " ".join("%s %d" % (w.decode(), values[w.upper()])
                                                  for w in words[1]))
        self.say(tag + " OK done")

    def numbered(self, text, by_uid):
        """Messages of a set like 2,5:*; the last one is in n:*, whatever n is."""
        mails = self.server.mails
        number = (lambda i: mails[i].uid) if by_uid else (lambda i: i + 1)
        last, chosen = (number(len(mails) - 1) if mails else 0), set()
        for piece in text.decode().split(","):
            if not re.fullmatch(r"(\d+|\*)(:(\d+|\*))?", piece):
                self.conn.wrong("a set that is none", text)
                continue
            ends = [last if e == "*" else int(e) for e in piece.split(":")]
            low, high = min(ends), max(ends)
            chosen |= {i for i in range(len(mails)) if low <= number(i) <= high}
        return chosen

    def found(self, keys):
        mails = self.server.mails
        chosen, keys = set(range(len(mails))), list(keys)
        while keys:
            key = keys.pop(0)
            word = key.upper() if isinstance(key, bytes) else None
            is_not = word == b"NOT"
            if is_not:
                key = keys.pop(0)
                word = key.upper() if isinstance(key, bytes) else None
            if word is None:
                these = self.found(key)
            elif word == b"ALL":
                these = set(range(len(mails)))
            elif word in (b"SEEN", b"UNSEEN", b"DELETED", b"UNDELETED"):
                flag = "\\" + word.decode().replace("UN", "").capitalize()
                these = {i for i, m in enumerate(mails)
                         if (flag in m.flags) != word.startswith(b"UN")}
            elif word == b"UID":
                these = self.numbered(keys.pop(0), True)
            elif word == b"HEADER":
                name, text = keys.pop(0).decode(), keys.pop(0).decode().lower()
                these = {i for i, m in enumerate(mails)
                         if text in str(email.message_from_bytes(m.raw)[name] or "").lower()}
            elif re.fullmatch(rb"[\d*:,]+", word):
                these = self.numbered(word, False)
            else:
                self.conn.wrong("a search for what is not known", word)
                these = set()
            chosen = chosen - these if is_not else chosen & these
        return chosen

    def do_search(self, tag, words):
        if words[:1] and isinstance(words[0], bytes) and words[0].upper() == b"CHARSET":
            words = words[2:]
        with self.server.lock:
            chosen = sorted(self.found(words))
            numbers = [self.server.mails[i].uid if self.is_uid else i + 1 for i in chosen]
        self.say("* SEARCH" + "".join(" %d" % n for n in numbers))
        self.say(tag + " OK done")

    def do_fetch(self, tag, words):
        if self.server.unavailable > 0:
            self.server.unavailable -= 1
            return self.say(tag + " NO [UNAVAILABLE] the store is away")
        items = words[1] if isinstance(words[1], list) else [words[1]]
        with self.server.lock:
            for i in sorted(self.numbered(words[0], self.is_uid)):
                self.say(b"* %d FETCH (%s)" % (i + 1, self.fetched(self.server.mails[i], items)))
        self.say(tag + " OK done")

    def fetched(self, mail, items):
        out, is_read = [], False
        for item in items:
            word = item.upper()
            body = re.fullmatch(rb"BODY(\.PEEK)?\[(HEADER|TEXT)?\](?:<(\d+)\.(\d+)>)?", word)
            if word == b"UID":
                continue
            if word == b"FLAGS":
                out.append(b"FLAGS (%s)" % " ".join(sorted(mail.flags)).encode())
            elif word == b"RFC822.SIZE":
                out.append(b"RFC822.SIZE %d" % len(mail.raw))
            elif body:
                head, _, text = mail.raw.partition(b"\r\n\r\n")
                part = {b"HEADER": head + b"\r\n\r\n", b"TEXT": text}.get(body[2], mail.raw)
                name = b"BODY[%s]" % (body[2] or b"")
                if body[3]:
                    part = part[int(body[3]):int(body[3]) + int(body[4])]
                    name += b"<%s>" % body[3]
                out.append(b"%s {%d}\r\n%s" % (name, len(part), part))
                is_read = is_read or not body[1]
            else:
                self.conn.wrong("a fetch of what is not known", item)
        if is_read and self.selected == "rw" and "\\Seen" not in mail.flags:
            mail.flags.add("\\Seen")
            out.append(b"FLAGS (%s)" % " ".join(sorted(mail.flags)).encode())
        if self.is_uid:
            out.insert(0, b"UID %d" % mail.uid)
        return b" ".join(out)

    def do_store(self, tag, words):
        how = words[1].decode().upper()
        flags = {f.decode() for f in (words[2] if isinstance(words[2], list) else words[2:])}
        flags = {"\\" + f[1:].capitalize() if f.startswith("\\") else f for f in flags}
        if self.selected != "rw":
            return self.say(tag + " NO the mailbox is read-only")
        with self.server.lock:
            for i in sorted(self.numbered(words[0], self.is_uid)):
                mail = self.server.mails[i]
                mail.flags = {"+": mail.flags | flags, "-": mail.flags - flags}.get(how[0], flags)
                if not how.endswith(".SILENT"):
                    self.say("* %d FETCH (UID %d FLAGS (%s))"
                             % (i + 1, mail.uid, " ".join(sorted(mail.flags))))
        self.say(tag + " OK done")

    def do_expunge(self, tag, _):
        with self.server.lock:
            for i in reversed(range(len(self.server.mails))):
                if "\\Deleted" in self.server.mails[i].flags:
                    del self.server.mails[i]
                    self.say("* %d EXPUNGE" % (i + 1))
        self.say(tag + " OK done")

    def do_close(self, tag, _):
        with self.server.lock:
            self.server.mails = [m for m in self.server.mails if "\\Deleted" not in m.flags]
        self.selected = None
        self.say(tag + " OK done")
