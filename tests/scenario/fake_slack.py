"""A Slack on loopback: the Web API, interactivity, Socket Mode; strict about what the real one
refuses, with switches for faults.

    with FakeSlack() as sl:
        ann = sl.user("U1ANN", "ann")         a full member of the workspace
        sl.channel("C1OPS")                   the app is a member of it
        card = sl.wait_message("C1OPS", "append_line")
        sl.click(ann, card, "Approve")        -> the ephemeral text that the click got
        view = sl.open_modal(ann, card, "Review")
        sl.command(ann, "pending")

What the real one would refuse is refused, and kept in `violations`: more than 50 blocks of a message
(100 of a modal), texts over 3,000 characters, mrkdwn, values over 2,000, action ids that are there
twice, triggers older than 3 s or used before, a view of more than 250 KB.
"""
import base64
import collections
import hashlib
import hmac
import http.client
import http.server
import itertools
import json
import re
import ssl
import threading
import time
import urllib.parse

from fake_slack_app import ALL_SCOPES, EVENTS, SCOPES, TEAM, App, Refuse, User
from fake_slack_history import History
from fake_slack_line import TRIGGER_S, Line
from harness import wait_for

TOKEN = "xoxb-" + "FakeFakeFakeFakeFakeFakeFakeFake"
APP_TOKEN = "xapp-" + "FakeFakeFakeFakeFakeFakeFakeFakeFake"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
MEMBERS = {
    "auth.test": set(),
    "users.info": {"user"},
    "conversations.info": {"channel"},
    "conversations.history": {"channel", "oldest", "latest", "limit", "inclusive", "cursor",
                              "include_all_metadata"},
    "chat.postMessage": {"channel", "text", "blocks", "thread_ts", "unfurl_links", "unfurl_media",
                         "mrkdwn", "reply_broadcast", "metadata"},
    "chat.update": {"channel", "ts", "text", "blocks", "metadata"},
    "views.open": {"trigger_id", "view"},
    "views.update": {"view_id", "view"},
    "views.publish": {"user_id", "view"},
    "apps.connections.open": set(),
    "oauth.v2.access": {"client_id", "client_secret", "code", "redirect_uri"},
}
UNSCOPED = {"apps.connections.open", "oauth.v2.access"}  # answers that say no scopes
FORM_ONLY = {"users.info", "conversations.info", "conversations.history", "oauth.v2.access"}  # their JSON is not read


def sign(secret, at, body):
    base = b"v0:" + str(at).encode() + b":" + body
    return "v0=" + hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()


class FakeSlack(App, History):
    def __init__(self, team=TEAM, enterprise=None, tls=None):
        """tls: (certificate, key), files of PEM for 127.0.0.1; then nothing is in clear."""
        self.team, self.enterprise = team, enterprise
        self.lock = threading.Condition(threading.RLock())
        self.serial = itertools.count(100)
        self.users, self.members = {}, {}
        self.messages = collections.OrderedDict()  # (channel, ts) -> message
        self.newest = 0                            # microseconds: a message's ts is its own
        self.views = {}                            # id -> view as it stands
        self.homes, self.published = {}, []        # user -> view; (user, when) of each time
        self.triggers = {}                         # id -> [made at, is it used]
        self.answers = {}                          # response id -> [bodies]
        self.calls, self.violations, self.bearers = [], [], set()
        self.refusals = []                         # (method, error)
        self.deliver = None      # (payload or form) -> (status, body): how events get there
        # faults
        self.is_down = False     # 503 to everything
        self.is_deaf = False     # connections are closed without an answer
        self.limited = 0         # so many calls of chat.* are 429
        self.retry_after = 1
        self.refuses = {}        # method -> error
        self.holds = {}          # method -> event: it is answered when that is set
        self.loses_answers = 0   # so many posts are taken, and their answer is lost
        self.on_post = None      # called with the message once it stands, before the answer
        self.token = TOKEN
        self.scopes = set(ALL_SCOPES)  # that the token has
        self.asked_scopes = ALL_SCOPES  # by whoever installs it
        self.limits = {}               # method -> so many calls of it are 429
        self.on_publish = None         # called with the user once their home stands
        self.is_org_wide = False       # installed in all of the enterprise
        self.redirect_urls, self.codes = [], {}  # of the app; code -> [made at, redirect, is it used]
        self.grants = None             # how the next consent changes oauth.v2.access's answer
        self.tickets, self.lines, self.line = set(), [], None
        self.hangs_up = False    # each line is closed as soon as it is open,
        self.opened = []         # when they were
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes: 40 ms apart else

            def log_message(self, *args):
                pass

            def do_GET(self):
                if self.headers.get("Upgrade", "").lower() == "websocket":
                    outer.serve_socket(self)
                self.close_connection = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if outer.is_deaf:
                    self.close_connection = True
                    return
                answer = outer.handle(self.path, self.headers, body)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, data = answer
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *args):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.is_tls = tls is not None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.origin = "http%s://127.0.0.1:%d" % ("s" if tls else "", self.port)
        self.url = self.origin + "/api"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()
        if exc[0] is None:
            assert not self.violations, self.violations[:3]

    # ---- the workspace
    def user(self, id, name, **more):
        self.users[id] = User(id, name, **more)
        return self.users[id]

    def channel(self, id):
        self.members.setdefault(id, {"id": id, "is_member": True, "is_archived": False,
                                     "is_ext_shared": False})
        return id

    # ---- what people do
    def trigger(self):
        id = "trigger.%d" % next(self.serial)
        self.triggers[id] = [time.monotonic(), False]
        return id

    def respond_url(self):
        id = "r%d" % next(self.serial)
        self.answers[id] = []
        return id, "%s/respond/%s" % (self.origin, id)

    def base(self, user, kind):
        return {"type": kind, "api_app_id": "A0FAKE", "token": "legacy",
                "user": {"id": user.id, "username": user.name, "team_id": user.team},
                "team": {"id": self.team, "domain": "home"}, "trigger_id": self.trigger(),
                "enterprise": {"id": self.enterprise} if self.enterprise else None,
                "is_enterprise_install": self.is_org_wide}

    def action_payload(self, user, message, element, option=None):
        id, url = self.respond_url()
        action = {"action_id": element["action_id"], "block_id": "b", "type": element["type"],
                  "action_ts": "1"}
        if option:
            action["selected_option"] = option
        else:
            action["value"] = element["value"]
        payload = self.base(user, "block_actions")
        payload.update(response_url=url, actions=[action], channel={"id": message["channel"]},
                       container={"type": "message", "message_ts": message["ts"],
                                  "channel_id": message["channel"], "is_ephemeral": False},
                       message={"ts": message["ts"]})
        return id, payload

    def send(self, payload):
        return self.deliver(payload)

    # ---- what Slack tells by itself
    def event(self, type, **more):
        assert type in EVENTS and EVENTS[type] in self.scopes | {None}, type
        return self.send({"type": "event_callback", "token": "legacy", "team_id": self.team,
                          "enterprise_id": self.enterprise, "api_app_id": "A0FAKE", "event_id": "Ev%d" % next(self.serial),
                          "event_time": int(time.time()), "event": dict(more, type=type)})

    def place_event(self, type, channel, **info):
        """The channel is so from now on, and that is told."""
        self.members[channel].update(info)
        self.event(type, channel=channel)

    def user_changes(self, user, **json):
        user.json.update(json)
        self.event("user_change", user=dict(user.json))

    def click(self, user, message, text, wait=True, element=None, option=None, timeout=10):
        """Presses a button; the ephemeral answer's text."""
        element = element or self.element(message, text)
        assert element, "no %r on %s" % (text, self.buttons(message))
        if element["type"] == "static_select":
            option = [o for o in element["options"] if o["text"]["text"].startswith(option)][0]
        id, payload = self.action_payload(user, message, element, option)
        self.send(payload)
        return self.wait_answer(id, timeout) if wait else id

    def wait_answer(self, id, timeout=10):
        wait_for("an answer to the click", lambda: self.answers[id], timeout)
        return "\n".join(b["text"]["text"] for b in self.answers[id][-1]["blocks"])

    def open_modal(self, user, message, text, timeout=10, element=None):
        """Presses what opens a modal; the view once it is no longer loading."""
        before = set(self.views)
        _, payload = self.action_payload(user, message, element or self.element(message, text))
        self.send(payload)

        def look():
            fresh = [v for id, v in self.views.items() if id not in before]
            return fresh[0] if fresh and "Loading" not in self.text(fresh[0]) else None
        return wait_for("a modal", look, timeout)

    def press_in_view(self, user, view, text, timeout=10, choices=()):
        now = self.views[view["id"]]
        element = self.element(now, text)
        assert element, "no %r in %s" % (text, self.buttons(now))
        payload = self.base(user, "block_actions")
        payload.update(container={"type": "view", "view_id": view["id"]},
                       view=dict(now, state={"values": self.chosen(now, choices)}),
                       actions=[{"action_id": element["action_id"], "block_id": "b",
                                 "type": "button", "value": element["value"], "action_ts": "1"}])
        self.send(payload)
        return wait_for("the modal to change",
                        lambda: self.views[view["id"]] is not now and self.views[view["id"]],
                        timeout)

    def submit(self, user, view, text, timeout=10):
        """Submits the reason; the view's text once it says what came of it."""
        now = self.views[view["id"]]
        block = [b for b in now["blocks"] if b["type"] == "input"][0]
        assert len(text) <= block["element"]["max_length"], "the input would not take it"
        payload = self.base(user, "view_submission")
        payload["view"] = dict(now, state={"values": {block["block_id"]: {
            block["element"]["action_id"]: {"type": "plain_text_input", "value": text}}}})
        return self.text(self.after_submit(now, payload, timeout))

    def open_home(self, user, timeout=10):
        """The home as it is once it was published anew."""
        before = self.homes.get(user.id)
        self.event("app_home_opened", user=user.id, channel="D" + user.id[1:], tab="home")
        return wait_for("the home", lambda: self.homes.get(user.id) is not before and
                        self.homes[user.id], timeout)

    def open_from_home(self, user, element, timeout=10):
        before = set(self.views)
        payload = self.base(user, "block_actions")
        payload.update(container={"type": "view", "view_id": "VH"},
                       view=dict(self.homes[user.id], id="VH"),
                       actions=[dict(action_id=element["action_id"], block_id="b", type="button",
                                     value=element["value"], action_ts="1")])
        self.send(payload)
        return wait_for("a modal", lambda: [
            v for id, v in self.views.items() if id not in before and
            "Loading" not in self.text(v)], timeout)[0]

    def inputs(self, view):
        """What the form's inputs hold, by label."""
        return {b["label"]["text"]: b["element"].get("initial_value") or b["element"].get(
            "initial_option", {"text": {"text": ""}})["text"]["text"]
                for b in view["blocks"] if b["type"] == "input"}

    def chosen(self, view, choices):
        """The state of a form's radio buttons with these chosen: label -> text of the option."""
        values, choices = {}, dict(choices)
        for b in view["blocks"]:
            if b["type"] == "input" and b["element"]["type"] == "radio_buttons":
                e = b["element"]
                text = choices.pop(b["label"]["text"], e["initial_option"]["text"]["text"])
                (option,) = [o for o in e["options"] if o["text"]["text"] == text]
                values[b["block_id"]] = {e["action_id"]: {"type": "radio_buttons",
                                                          "selected_option": option}}
        assert not choices, "nothing to choose for %s" % choices
        return values

    def submit_form(self, user, view, timeout=10, choices=(), **typed):
        """Submits a form with what is typed over its inputs, by the first word of their label (an
        input is empty when it is None); the view once it says what came of it."""
        now = self.views[view["id"]]
        values = self.chosen(now, choices)
        for b in now["blocks"]:
            if b["type"] != "input" or b["block_id"] in values:
                continue
            text = typed.pop(b["label"]["text"].split()[0],
                             b["element"].get("initial_value")) or None
            assert text is None or len(text) <= b["element"]["max_length"], "it would not be taken"
            values[b["block_id"]] = {b["element"]["action_id"]: {
                "type": "plain_text_input", "value": text}}
        assert not typed, "no input for %s" % typed
        payload = self.base(user, "view_submission")
        payload["view"] = dict(now, state={"values": values})
        return self.after_submit(now, payload, timeout)

    def typed(self, user, view, **texts):
        """The submission of a form whose inputs (by their action ids) hold these texts."""
        inputs = {b["element"]["action_id"]: b for b in view["blocks"] if b["type"] == "input"}
        assert set(texts) == set(inputs), "the form has %s" % sorted(inputs)
        values = {}
        for name, text in texts.items():
            e = inputs[name]["element"]
            assert e["min_length"] <= len(text) <= e["max_length"], "the input would not take it"
            values[inputs[name]["block_id"]] = {name: {"type": "plain_text_input", "value": text}}
        payload = self.base(user, "view_submission")
        payload["view"] = dict(view, state={"values": values})
        return payload

    def submit_typed(self, user, view, timeout=10, **texts):
        """Submits it: {action id: what is wrong with it}, with the form as it was, or the text that
        stands there then."""
        now = self.views[view["id"]]
        return self.after_submit(now, self.typed(user, now, **texts), timeout)

    def errors(self, view, answer):
        """Each stands beneath an input of the form, which stays."""
        wrong = answer["errors"]
        blocks = {b["block_id"]: b for b in view["blocks"] if b["type"] == "input"}
        if set(answer) != {"response_action", "errors"} or not wrong or set(wrong) - set(blocks) or \
                not all(isinstance(v, str) and 0 < len(v) <= 2000 for v in wrong.values()):
            self.bad("errors of no input", "response_action", answer)
        return {blocks[b]["element"]["action_id"]: text for b, text in wrong.items()}

    def after_submit(self, now, payload, timeout):
        status, body = self.send(payload)
        answer = json.loads(body) if body else {}
        if answer.get("response_action") == "errors":
            return self.errors(now, answer)
        if answer.get("response_action") == "update":
            self.check_view("response_action", answer["view"])
            with self.lock:
                if self.views[now["id"]] is now:  # else an update came while the answer was read
                    self.views[now["id"]] = dict(answer["view"], id=now["id"])
        elif answer:
            self.bad("an answer to a submission", "response_action", answer)

        def look():
            at = self.views[now["id"]]
            is_there = not {"Recording...", "Loading..."} & set(self.text(at).split("\n"))
            return at if at is not now and is_there else None
        return wait_for("what came of it", look, timeout)

    def command(self, user, text, timeout=10, **more):
        id, url = self.respond_url()
        form = {"command": "/flopinio", "text": text, "team_id": self.team, "user_id": user.id,
                "user_name": user.name, "channel_id": "C9ANY", "response_url": url,
                "trigger_id": self.trigger(), "api_app_id": "A0FAKE", "team_domain": "home"}
        if self.enterprise:
            form["enterprise_id"] = self.enterprise
        form.update(more)
        self.send(form)
        return self.wait_answer(id, timeout)

    # ---- what stands there
    def text(self, message):
        def of(block):
            own = block.get("text") or block.get("label") or {}
            return own.get("text", "")
        return "\n".join(of(b) for b in message.get("blocks", []))

    def elements(self, message):
        return [e for b in message.get("blocks", []) if b["type"] == "actions"
                for e in b["elements"]]

    def buttons(self, message):
        now = self.now(message)
        return [e.get("text", e.get("placeholder"))["text"] for e in self.elements(now)]

    def now(self, message):
        if "ts" not in message:
            return message
        with self.lock:
            return self.messages[(message["channel"], message["ts"])]

    def element(self, message, text):
        for e in self.elements(self.now(message)):
            if e.get("text", e.get("placeholder"))["text"].startswith(text):
                return e
        return None

    def posted(self, channel, thread=None):
        with self.lock:
            return [m for (c, _), m in self.messages.items()
                    if c == channel and m.get("thread_ts") == thread]

    def wait_message(self, channel, having="", thread=None, timeout=10, skip=()):
        def look():
            found = [m for m in self.posted(channel, thread)
                     if having in self.text(m) and m["ts"] not in skip]
            return found[-1] if found else None
        return wait_for("a message with %r in %s" % (having, channel), look, timeout)

    def wait_text(self, message, having, timeout=10):
        try:
            return wait_for("the rewriting",
                            lambda: having in self.text(self.now(message)) and self.now(message),
                            timeout)
        except AssertionError:
            raise AssertionError("%r is not in:\n%s" % (having, self.text(self.now(message))))

    # ---- the API
    def bad(self, why, method, args):
        self.violations.append("%s: %s: %.600r" % (method, why, args))
        raise Refuse("invalid_arguments")

    def handle(self, path, headers, body):
        def answer(value, status=200, more=()):
            return (status, dict({"Content-Type": "application/json; charset=utf-8"}, **dict(more)),
                    json.dumps(value).encode())
        try:
            if path.startswith("/respond/"):
                self.take_response(path.split("/")[-1], json.loads(body))
                return 200, {"Content-Type": "text/plain"}, b"ok"
            if not path.startswith("/api/"):
                return answer({"ok": False, "error": "unknown"}, 404)
            if self.is_down:
                return 503, {"Content-Type": "text/html"}, b"<h1>not now</h1>"
            method = path[len("/api/"):]
            result = self.call(method, headers, body)
            more = {} if method in UNSCOPED else {"X-OAuth-Scopes": ",".join(sorted(self.scopes))}
            return None if result is None else answer(dict(result, ok=True), more=more)
        except Refuse as e:
            self.refusals.append((path.split("/")[-1], e.body["error"]))
            return answer(e.body, e.status, e.headers)

    def take_response(self, id, body):
        if id not in self.answers or len(self.answers[id]) >= 5:
            self.bad("a response_url that is not there, or used up", "respond", body)
        self.check_blocks("respond", body, 50)
        with self.lock:
            self.answers[id].append(body)
            self.lock.notify_all()

    def call(self, method, headers, body):
        bearer = headers.get("Authorization", "")
        is_json = headers.get("Content-Type", "").startswith("application/json")
        wanted = APP_TOKEN if method == "apps.connections.open" else self.token
        self.bearers.add(bearer)
        if method not in MEMBERS:
            raise Refuse("unknown_method")
        args = json.loads(body) if is_json and body else {
            k: json.loads(v[0]) if k in ("blocks", "view", "metadata") else v[0]
            for k, v in urllib.parse.parse_qs(body.decode()).items()}
        own = args.pop("token", None) if not is_json else None  # a form may have it too,
        if not is_json and args.pop("team_id", self.team) != self.team:  # and name the workspace
            raise Refuse("team_access_not_granted")
        if method == "oauth.v2.access":
            if bearer or own:
                self.bad("a token where there is none yet", method, args)
        elif bearer != "Bearer " + wanted and own != wanted:
            raise Refuse("invalid_auth")
        scope = SCOPES.get(method)
        if isinstance(scope, dict):
            scope = scope.get(args.get("channel", "C")[:1], "channels:read")
        if scope and scope not in self.scopes:
            raise Refuse("missing_scope")
        if is_json and method in FORM_ONLY:
            self.bad("JSON is not read here", method, args)
        if set(args) - MEMBERS[method]:
            self.bad("unknown members %s" % (set(args) - MEMBERS[method]), method, args)
        if method in self.refuses:
            raise Refuse(self.refuses[method])
        if method in self.holds:
            self.holds[method].wait(30)
        if method.startswith("chat.") and self.limited > 0:
            self.limited -= 1
            raise Refuse("ratelimited", 429, {"Retry-After": str(self.retry_after)})
        if self.limits.get(method, 0) > 0:
            self.limits[method] -= 1
            raise Refuse("ratelimited", 429, {"Retry-After": str(self.retry_after)})
        with self.lock:
            self.calls.append((method, args))
        return getattr(self, "do_" + method.replace(".", "_"))(args)

    def do_auth_test(self, args):
        answer = {"url": "https://home.slack.com/", "team": "Home", "user": "flopinio",
                  "team_id": self.team, "user_id": "U0BOT", "bot_id": "B0BOT"}
        if self.enterprise:
            answer["enterprise_id"] = self.enterprise
        if self.is_org_wide:
            answer.update(team_id=self.enterprise, is_enterprise_install=True)
        return answer

    def do_conversations_info(self, args):
        if args["channel"] not in self.members:
            raise Refuse("channel_not_found")
        return {"channel": self.members[args["channel"]]}

    def do_users_info(self, args):
        user = self.users.get(args["user"])
        if not user:
            raise Refuse("user_not_found")
        return {"user": user.json}

    # ---- limits
    def check_text(self, method, text, most, whole):
        if not isinstance(text, dict) or text.get("type") != "plain_text":
            self.bad("a text that is no plain_text", method, whole)
        if not 1 <= len(text["text"]) <= most:
            self.bad("a text of %d characters, %d are allowed" % (len(text["text"]), most), method,
                     whole)

    def check_element(self, method, e, whole):
        if e["type"] == "button":
            self.check_text(method, e["text"], 75, whole)
            if len(e.get("value", "")) > 2000 or len(e["action_id"]) > 255:
                self.bad("a button's value or id is too long", method, whole)
            if e.get("style", "primary") not in ("primary", "danger"):
                self.bad("a style " + e["style"], method, whole)
            if "confirm" in e:
                self.check_text(method, e["confirm"]["title"], 100, whole)
                self.check_text(method, e["confirm"]["text"], 300, whole)
                self.check_text(method, e["confirm"]["confirm"], 30, whole)
                self.check_text(method, e["confirm"]["deny"], 30, whole)
        elif e["type"] == "static_select":
            self.check_text(method, e["placeholder"], 150, whole)
            if not 1 <= len(e["options"]) <= 100:
                self.bad("options", method, whole)
            for o in e["options"]:
                self.check_text(method, o["text"], 75, whole)
                if not 1 <= len(o["value"]) <= 150:
                    self.bad("an option's value", method, whole)
        else:
            self.bad("an element " + e["type"], method, whole)

    def check_radio(self, method, e, whole):
        if not 1 <= len(e["options"]) <= 10 or e.get("initial_option") not in e["options"]:
            self.bad("radio buttons of %d, or another one is chosen" % len(e["options"]), method, whole)
        for o in e["options"]:
            self.check_text(method, o["text"], 75, whole)
            if not 1 <= len(o["value"]) <= 150:
                self.bad("an option's value", method, whole)
        if len({o["value"] for o in e["options"]}) != len(e["options"]):
            self.bad("two options with one value", method, whole)

    def check_blocks(self, method, args, most):
        blocks = args.get("blocks")
        if not isinstance(blocks, list) or not 1 <= len(blocks) <= most:
            self.bad("blocks: %s, at most %d" % (blocks and len(blocks), most), method, args)
        ids = [b["block_id"] for b in blocks if "block_id" in b]
        if len(set(ids)) != len(ids):
            self.bad("block ids that are there twice", method, args)
        for b in blocks:
            if b["type"] == "header":
                self.check_text(method, b["text"], 150, args)
            elif b["type"] == "section":
                self.check_text(method, b["text"], 3000, args)
            elif b["type"] == "input":
                self.check_text(method, b["label"], 2000, args)
                if b["element"]["type"] == "radio_buttons":
                    self.check_radio(method, b["element"], args)
                    continue
                if not 1 <= b["element"]["max_length"] <= 3000:
                    self.bad("max_length", method, args)
                if len(b["element"].get("initial_value", "")) > b["element"]["max_length"]:
                    self.bad("an initial value is too long", method, args)
                if "hint" in b:
                    self.check_text(method, b["hint"], 2000, args)
            elif b["type"] == "actions":
                if not 1 <= len(b["elements"]) <= 25:
                    self.bad("%d elements" % len(b["elements"]), method, args)
                ids = [e["action_id"] for e in b["elements"]]
                if len(set(ids)) != len(ids):
                    self.bad("action ids that are there twice", method, args)
                for e in b["elements"]:
                    self.check_element(method, e, args)
            else:
                self.bad("a block " + b["type"], method, args)

    def check_message(self, method, args):
        self.check_blocks(method, args, 50)
        # In all, which is on no page of theirs: bolt-js #2509.
        if sum(len(b["text"]["text"]) for b in args["blocks"] if "text" in b) > 13200:
            self.bad("msg_blocks_too_long", method, args)
        if not args.get("text") or len(args["text"]) > 4000:
            self.bad("no text to fall back on", method, args)

    def check_view(self, method, view):
        self.check_blocks(method, view, 100)
        for name in ("title", "close", "submit"):
            if name in view:
                self.check_text(method, view[name], 24, view)
        if view["type"] != "modal" or "title" not in view:
            self.bad("no modal", method, view)
        if len(view.get("private_metadata", "")) > 3000 or len(json.dumps(view)) > 250000:
            self.bad("the view is too large", method, view)
        if any(b["type"] == "input" for b in view["blocks"]) and "submit" not in view:
            self.bad("an input without submit", method, view)

    # ---- messages and views
    def do_chat_postMessage(self, args):
        self.check_message("chat.postMessage", args)
        self.check_metadata("chat.postMessage", args)
        channel = args["channel"]
        if channel in self.users:  # their own chat with the app
            channel = "D" + channel[1:]
        elif channel not in self.members and not channel.startswith("D"):
            raise Refuse("channel_not_found")
        if self.members.get(channel, {}).get("is_archived"):
            raise Refuse("is_archived")
        with self.lock:
            ts = self.next_ts()
            message = {"channel": channel, "ts": ts, "text": args["text"],
                       "blocks": args["blocks"], "thread_ts": args.get("thread_ts"), "edits": 0,
                       "metadata": args.get("metadata"),
                       "broadcast": bool(args.get("reply_broadcast")),
                       "by": {"user": "U0BOT", "bot_id": "B0BOT", "app_id": "A0FAKE"}}
            self.messages[(channel, ts)] = message
            self.lock.notify_all()
        if self.on_post:
            self.on_post(message)
        if self.loses_answers > 0:
            self.loses_answers -= 1
            return None
        return {"channel": channel, "ts": ts}

    def do_chat_update(self, args):
        self.check_message("chat.update", args)
        self.check_metadata("chat.update", args)
        with self.lock:
            message = self.messages.get((args["channel"], args["ts"]))
            if not message:
                raise Refuse("message_not_found")
            if message["by"].get("bot_id") != "B0BOT":
                raise Refuse("cant_update_message")
            if self.members.get(args["channel"], {}).get("is_archived"):
                raise Refuse("is_archived")
            self.messages[(args["channel"], args["ts"])] = dict(
                message, text=args["text"], blocks=args["blocks"], edits=message["edits"] + 1,
                metadata=args.get("metadata", message["metadata"]) or None)
            self.lock.notify_all()
        return {"channel": args["channel"], "ts": args["ts"]}

    def do_views_open(self, args):
        self.check_view("views.open", args["view"])
        trigger = self.triggers.get(args["trigger_id"])
        if not trigger or trigger[1]:
            raise Refuse("exchanged_trigger_id")
        if time.monotonic() - trigger[0] > TRIGGER_S:
            raise Refuse("expired_trigger_id")
        trigger[1] = True
        id = "V%d" % next(self.serial)
        with self.lock:
            self.views[id] = dict(args["view"], id=id)
        return {"view": self.views[id]}

    def do_views_publish(self, args):
        self.check_blocks("views.publish", args["view"], 100)
        if args["view"]["type"] != "home" or args["user_id"] not in self.users:
            self.bad("no home", "views.publish", args)
        with self.lock:
            self.homes[args["user_id"]] = args["view"]
            self.published.append((args["user_id"], time.monotonic()))
        if self.on_publish:
            self.on_publish(args["user_id"])
        return {"view": args["view"]}

    def do_views_update(self, args):
        self.check_view("views.update", args["view"])
        if args["view_id"] not in self.views:
            raise Refuse("not_found")
        with self.lock:
            self.views[args["view_id"]] = dict(args["view"], id=args["view_id"])
            self.lock.notify_all()
        return {"view": self.views[args["view_id"]]}


    # ---- Socket Mode
    def do_apps_connections_open(self, args):
        ticket = "t%d" % next(self.serial)
        self.tickets.add(ticket)
        return {"url": "ws%s://127.0.0.1:%d/link/?ticket=%s&app_id=A0FAKE" % (
            "s" if self.is_tls else "", self.port, ticket)}

    def serve_socket(self, handler):
        ticket = urllib.parse.parse_qs(handler.path.partition("?")[2]).get("ticket", [""])[0]
        if ticket not in self.tickets or self.is_down:
            handler.send_error(403)
            return
        self.tickets.discard(ticket)  # for one connection only
        key = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        handler.wfile.write(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                             "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
                             % accept).encode())
        line = Line(self, handler)
        with self.lock:
            self.lines.append(line)
            self.opened.append(time.monotonic())
        line.run()

    def over_socket(self, payload):
        """Delivers by the newest line (or `self.line`), and waits for the acknowledgement, 3 s."""
        line = wait_for("a line", lambda: self.line or (self.lines and self.lines[-1]))
        return line.deliver(payload)


class Hooks:
    """Delivers to a channel's webhook, signed, as Slack does; 3 s are all that it waits."""

    def __init__(self, rt, path, secret=SECRET):
        self.rt, self.path, self.secret = rt, path, secret
        self.sent, self.timeout = [], 3

    def post(self, body, headers, timeout=3):
        conn = http.client.HTTPConnection("127.0.0.1", self.rt.port, timeout=timeout)
        try:
            conn.putrequest("POST", self.path)
            for name, value in headers:
                conn.putheader(name, value)
            conn.putheader("Content-Length", str(len(body)))
            conn.endheaders(body)
            answer = conn.getresponse()
            return answer.status, answer.read()
        finally:
            conn.close()

    def headers(self, body, at=None, secret=None, kind="application/x-www-form-urlencoded"):
        at = int(time.time()) if at is None else at
        return [("Content-Type", kind), ("X-Slack-Request-Timestamp", str(at)),
                ("X-Slack-Signature", sign(secret or self.secret, at, body))]

    def body(self, payload):
        if payload.get("type") == "event_callback":
            return json.dumps(payload).encode()
        form = {"payload": json.dumps(payload)} if "command" not in payload else payload
        return urllib.parse.urlencode(form).encode()

    def __call__(self, payload):
        body = self.body(payload)
        is_event = payload.get("type") == "event_callback"
        headers = self.headers(body, kind="application/json") if is_event else self.headers(body)
        self.sent.append((body, headers))
        status, answer = self.post(body, headers, self.timeout)
        assert status == 200, (status, answer)
        return status, answer
