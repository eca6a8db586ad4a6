"""An organization with a mail channel, and a browser without scripts for its review page."""
import html.parser
import http.client
import re
import urllib.parse

from chat import APPEND, policy
from harness import Org, wait_for
from mail_server import Authority
from mcp_client import McpWs

ORIGIN = "http://approvals.localhost"
MAIL = dict(chat_may_be_local="true", chat_ca_file=Authority.get().file, public_url=ORIGIN)
USER, PASSWORD = "flopinio", "hunter2 = \\"


class Form:
    def __init__(self, action):
        self.action, self.fields, self.button, self.inputs = action, {}, "", []


class Page(html.parser.HTMLParser):
    """status, headers, body; text as it is read; forms, links, elements."""

    def __init__(self, url, status, headers, body):
        super().__init__()
        self.url, self.status, self.headers, self.body = url, status, headers, body
        self.text, self.forms, self.links, self.elements = "", [], [], set()
        self.is_hidden = False
        self.feed(body)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.add(tag)
        assert not any(name.startswith("on") for name in attrs), attrs
        if tag == "form":
            assert attrs["method"] == "post", attrs
            self.forms.append(Form(attrs["action"]))
        elif tag == "a":
            self.links.append(attrs["href"])
        elif tag in ("input", "textarea") and attrs.get("type") == "hidden":
            self.forms[-1].fields[attrs["name"]] = attrs.get("value", "")
        elif tag in ("input", "textarea"):
            self.forms[-1].inputs.append(attrs["name"])
        elif tag in ("style", "title"):
            self.is_hidden = True

    def handle_endtag(self, tag):
        if tag in ("style", "title"):
            self.is_hidden = False
        if tag == "div":
            self.text += "\n"

    def handle_data(self, data):
        if not self.is_hidden:
            self.text += data
        if self.lasttag == "button" and self.forms and not self.forms[-1].button:
            self.forms[-1].button = data

    def form(self, button):
        found = [f for f in self.forms if f.button == button]
        assert len(found) == 1, (button, [f.button for f in self.forms], self.text)
        return found[0]

    def buttons(self):
        return [f.button for f in self.forms]


class Browser:
    """Somebody's: cookies by path, forms with their origin, redirections followed."""

    def __init__(self, rt):
        self.rt, self.cookies, self.page = rt, {}, None

    def request(self, method, url, fields=None, origin=ORIGIN, headers=()):
        target = urllib.parse.urlsplit(url)
        conn = http.client.HTTPConnection("127.0.0.1", self.rt.port, timeout=20)
        sent = {"Host": "approvals.localhost"}
        cookies = ["%s=%s" % (name, value) for (name, path), value in self.cookies.items()
                   if target.path == path or target.path.startswith(path + "/")]
        if cookies:
            sent["Cookie"] = "; ".join(cookies)
        body = None
        if method == "POST":
            body = urllib.parse.urlencode(fields or {})
            sent["Content-Type"] = "application/x-www-form-urlencoded"
            if origin:
                sent["Origin"] = origin
        sent.update(dict(headers))
        try:
            conn.request(method, target.path + ("?" + target.query if target.query else ""), body,
                         sent)
            answer = conn.getresponse()
            text = answer.read().decode()
        finally:
            conn.close()
        page = Page(url, answer.status, answer.headers, text)
        cookie = answer.headers.get("Set-Cookie")
        if cookie:
            found = re.fullmatch(r"([^=]+)=([^;]+); Path=([^;]+); Max-Age=7200; HttpOnly; "
                                 r"SameSite=Strict", cookie)
            assert found, cookie
            self.cookies[(found[1], found[3])] = found[2]
        return page

    def go(self, url):
        self.page = self.request("GET", url)
        return self.page

    def press(self, button, **fields):
        form = self.page.form(button)
        for name in fields:
            assert name in form.inputs, (name, form.inputs)
        answer = self.request("POST", form.action, dict(form.fields, **fields))
        if answer.status == 303:
            return self.go(answer.headers["Location"])
        self.page = answer
        return answer


def add_channel(org, smtp, name="ml", disclose=None, secret=None, **config):
    settings = {"url": "%s://localhost:%d" % ("smtps" if smtp.tls == "tls" else "smtp", smtp.port),
                "from": "approvals@example.com"}
    if smtp.user:
        settings["user"] = smtp.user
    body = {"name": name, "kind": "mail", "config": dict(settings, **config),
            "secret": secret or ({"password": smtp.password} if smtp.user else {})}
    if disclose:
        body["disclose"] = disclose
    return org.control("POST", "/channels", body)


def address_of(person):
    return person.name + "@example.com"


def link(org, smtp, person, channel="ml", address=None):
    """As the operator invites somebody: a mail, whose link they press."""
    address = address or address_of(person)
    before = len(smtp.messages)
    made = org.control("POST", "/people/%s/links" % person.name,
                       {"channel": channel, "address": address})
    assert made["mailed_to"] == address and "code" not in made, made
    mail = smtp.wait_message(address, "link this address", before)
    browser = Browser(org.rt)
    browser.go(mail.links[0])
    page = browser.press("Link this address")
    assert "linked now" in page.text, page.text
    return mail


def trouble(org, name="ml"):
    return [c for c in org.control("GET", "/channels")["items"] if c["name"] == name][0]["trouble"]


class MailHouse:
    """org with the channel `ml`; ann and bob linked; an agent that waits."""

    def __init__(self, rt, smtp, thresholds=({"approve": 1},), people=("ann", "bob"),
                 notify=("ml",), disclose=None, files=False, config=None, **ask):
        self.rt, self.smtp = rt, smtp
        self.org = Org(rt, files=files, scenario=True, policy=None)
        add_channel(self.org, smtp, disclose=disclose, **(config or {}))
        for name in people:
            link(self.org, smtp, getattr(self.org, name))
        self.org.apply(policy(notify, thresholds, **ask))
        self.org.sync()
        self.agent = McpWs(rt, self.org.credential)

    def ask(self, line="one", tool=APPEND, **more):
        before = {r["approval_id"] for r in self.org.rows()}
        call = self.agent.call_start(tool, more or {"line": line})

        def look():
            fresh = [r["approval_id"] for r in self.org.rows()
                     if r["approval_id"] not in before and r["state"] == "pending"]
            return fresh[0] if fresh else None
        return call, wait_for("a held call", look)

    def card(self, person, having="append_line", after=0):
        return self.smtp.wait_message(address_of(person), having, after)

    def outcome(self, person, card):
        """The mail that says what came of the call of this card."""
        def look():
            found = [m for m in self.smtp.messages if address_of(person) in m.recipients and
                     m["In-Reply-To"] == card["Message-ID"] and not m.links]
            return found[-1] if found else None
        return wait_for("what came of it", look, 15)

    def sign_in(self, mail):
        browser = Browser(self.rt)
        browser.go(mail.links[0])
        browser.press("Sign in")
        assert browser.page.status == 200, browser.page.text
        return browser

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.agent.close()
        self.org.control("PATCH", "/channels/ml", {"is_enabled": False})
