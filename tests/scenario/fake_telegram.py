"""A Telegram Bot API on loopback, strict about what the real one refuses, with switches for faults.

    with FakeTelegram() as tg:
        ann = tg.user(71, "Ann")              somebody with a chat of their own with the bot
        card = tg.wait_message(ann.id)        the newest message there
        tg.press(ann, card, "Approve")        -> the answer that the button got
        ann.says("/pending")

What the real one would refuse is refused, and kept in `violations`: texts over 4096 UTF-16 units,
callback data over 64 bytes, entities out of the text, markup, blanks at a text's ends.
"""
import collections
import http.server
import itertools
import json
import threading
import time

from harness import wait_for

TOKEN = "712345678:AAFakeFakeFakeFakeFakeFakeFakeFakeFake"
MEMBERS = {
    "getMe": set(),
    "getUpdates": {"offset", "limit", "timeout", "allowed_updates"},
    "deleteWebhook": {"drop_pending_updates"},
    "setWebhook": {"url", "secret_token", "allowed_updates", "drop_pending_updates",
                   "max_connections"},
    "sendMessage": {"chat_id", "text", "entities", "reply_markup", "link_preview_options",
                    "reply_parameters"},
    "editMessageText": {"chat_id", "message_id", "text", "entities", "reply_markup",
                        "link_preview_options"},
    "answerCallbackQuery": {"callback_query_id", "text", "show_alert"},
}


class Refuse(Exception):
    def __init__(self, code, description, **parameters):
        super().__init__(description)
        self.code = code
        self.body = {"ok": False, "error_code": code, "description": description}
        if parameters:
            self.body["parameters"] = parameters


def units(text):
    return len(text.encode("utf-16-le")) // 2


class User:
    def __init__(self, fake, id, first_name, **more):
        self.fake, self.id = fake, id
        self.json = dict({"id": id, "is_bot": False, "first_name": first_name}, **more)

    def says(self, text, chat=None, reply_to=None, **more):
        """Sends a message, in their own chat unless told otherwise."""
        message = {"message_id": next(self.fake.serial), "from": self.json, "text": text,
                   "date": int(time.time()), "chat": self.fake.chat_json(chat or self.id)}
        if reply_to:
            message["reply_to_message"] = {"message_id": reply_to["message_id"],
                                           "chat": message["chat"]}
        message.update(more)
        self.fake.push({"message": message})


class FakeTelegram:
    def __init__(self, token=TOKEN, bot="flopinio_test_bot"):
        self.token, self.bot = token, bot
        self.lock = threading.Condition(threading.RLock())
        self.serial = itertools.count(1000)
        self.chats = {}          # id -> {"type", "messages": {id: message}, "sent": [ids]}
        self.updates = collections.deque()
        self.next_update = 5000
        self.offsets = []        # what was asked for, each poll
        self.introductions = []  # how many polls there were before each getMe
        self.answers = {}        # callback query -> what it was answered
        self.webhook = None
        self.poll = 0
        self.calls = []          # (method, body) of every call that was taken
        self.violations = []
        # faults
        self.is_down = False     # every call is 502
        self.is_deaf = False     # connections are closed without an answer
        self.ignored = []        # the paths of those
        self.loses_answers = 0   # so many posts are taken, and their answer is lost
        self.per_chat = None     # posts and edits a second in one chat; more: 429
        self.refuses = {}        # chat -> (code, description)
        self.on_post = None      # called with the message's id once it stands, before the answer
        self._rates = collections.defaultdict(collections.deque)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes: 40 ms apart else

            def log_message(self, *args):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if outer.is_deaf:
                    outer.ignored.append(self.path)
                    self.close_connection = True
                    return
                status, answer = outer.handle(self.path, body)
                if answer is None:
                    self.close_connection = True
                    return
                data = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
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
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.server.shutdown()
        self.server.server_close()
        with self.lock:
            self.lock.notify_all()
        if exc[0] is None:
            assert not self.violations, self.violations[:3]

    # ---- people and what they do
    def user(self, id, first_name="Ann", starts=True, **more):
        """starts: they have opened a chat with the bot, so that it may write to them."""
        if starts:
            self.chats.setdefault(id, {"type": "private", "messages": {}, "sent": []})
        return User(self, id, first_name, **more)

    def group(self, id):
        self.chats[id] = {"type": "supergroup", "messages": {}, "sent": []}
        return id

    def chat_json(self, id):
        return {"id": id, "type": self.chats[id]["type"] if id in self.chats else "group"}

    def push(self, update):
        with self.lock:
            update = dict(update, update_id=self.next_update)
            self.next_update += 1
            self.updates.append(update)
            self.lock.notify_all()
        return update

    def query(self, user, message, data, **more):
        """The update of a pressed button, not delivered yet."""
        query = {"id": "q%d" % next(self.serial), "from": user.json, "data": data,
                 "chat_instance": "1", "message": {
                     "message_id": message["message_id"], "date": message.get("date", 1),
                     "chat": message["chat"], "from": {"id": 1, "is_bot": True}}}
        query.update(more)
        return {"callback_query": query}

    def press(self, user, message, button, wait=True, data=None, timeout=10, **more):
        """The text of the answer, after at most `timeout`; button: the start of its text."""
        data = data or self.button(message, button)
        assert data, "no button %r on %r" % (button, self.buttons(message))
        update = self.query(user, message, data, **more)
        id = update["callback_query"]["id"]
        self.push(update)
        return self.wait_answer(id, timeout) if wait else id

    def turn_page(self, user, message):
        """Presses Next, once more if the page before it was not noted as shown yet."""
        wait_for("the page to turn", lambda: "press again" not in self.press(user, message, "Next"))

    def delete(self, message):
        """Somebody deletes it from the chat."""
        with self.lock:
            chat = self.chats[message["chat"]["id"]]
            chat["sent"].remove(message["message_id"])
            del chat["messages"][message["message_id"]]

    def wait_answer(self, id, timeout=10):
        wait_for("an answer to the button", lambda: id in self.answers, timeout)
        return self.answers[id].get("text", "")

    # ---- what stands in the chats
    def messages(self, chat):
        with self.lock:
            return [self.chats[chat]["messages"][i] for i in self.chats[chat]["sent"]]

    def wait_message(self, chat, having="", after=0, timeout=10):
        """The newest message of a chat that has this text, with an id over `after`."""
        def look():
            found = [m for m in self.messages(chat)
                     if having in m["text"] and m["message_id"] > after]
            return found[-1] if found else None
        return wait_for("a message with %r in %s" % (having, chat), look, timeout)

    def wait_text(self, message, having, timeout=10):
        """Waits until the message is rewritten so that it has this; as it stands then."""
        def look():
            now = self.now(message)
            return now if having in now["text"] else None
        try:
            return wait_for("the rewriting", look, timeout)
        except AssertionError:
            raise AssertionError("%r is not in:\n%s" % (having, self.now(message)["text"]))

    def now(self, message):
        with self.lock:
            return self.chats[message["chat"]["id"]]["messages"][message["message_id"]]

    def buttons(self, message):
        rows = self.now(message).get("reply_markup", {}).get("inline_keyboard", [])
        return [key["text"] for row in rows for key in row]

    def button(self, message, text):
        """The data behind the button whose words begin so (marks in front left out)."""
        rows = self.now(message).get("reply_markup", {}).get("inline_keyboard", [])
        for row in rows:
            for key in row:
                words = key["text"].encode("ascii", "ignore").decode().strip()
                if words.startswith(text):
                    return key["callback_data"]
        return None

    # ---- the API
    def handle(self, path, body):
        parts = path.split("/")
        try:
            if len(parts) != 3 or not parts[1].startswith("bot"):
                raise Refuse(404, "Not Found")
            if parts[1] != "bot" + self.token:
                raise Refuse(401, "Unauthorized")
            if self.is_down:
                return 502, {"ok": False, "error_code": 502, "description": "Bad Gateway"}
            result = self.call(parts[2], json.loads(body) if body else {})
            if result is None:
                return 0, None
            return 200, {"ok": True, "result": result}
        except Refuse as e:
            return e.code, e.body

    def bad(self, why, method, args):
        self.violations.append("%s: %s: %.400r" % (method, why, args))
        raise Refuse(400, "Bad Request: " + why)

    def call(self, method, args):
        if method not in MEMBERS:
            raise Refuse(404, "Not Found: method not found")
        unknown = set(args) - MEMBERS[method]
        if unknown:
            self.bad("unknown members %s" % unknown, method, args)
        return getattr(self, "do_" + method)(args)

    def do_getMe(self, args):
        self.introductions.append(len(self.offsets))
        return {"id": int(self.token.split(":")[0]), "is_bot": True, "first_name": "Flopinio",
                "username": self.bot}

    def do_setWebhook(self, args):
        if not args["url"].startswith("https://"):
            self.bad("an HTTPS URL must be provided", "setWebhook", args)
        self.webhook = args
        return True

    def do_deleteWebhook(self, args):
        self.webhook = None
        return True

    def do_getUpdates(self, args):
        if self.webhook:
            raise Refuse(409, "Conflict: can't use getUpdates method while webhook is active")
        until = time.monotonic() + args.get("timeout", 0)
        with self.lock:
            self.poll += 1
            mine = self.poll
            offset = args.get("offset", 0)
            self.offsets.append(offset)
            self.lock.notify_all()
            if offset > self.next_update + 10:  # "in the future": from the first, and none is confirmed
                offset = 0
            while self.updates and self.updates[0]["update_id"] < offset:
                self.updates.popleft()
            while not self.updates and time.monotonic() < until and not self.is_down:
                self.lock.wait(0.05)
                if self.poll != mine:
                    raise Refuse(409, "Conflict: terminated by other getUpdates request")
            return list(itertools.islice(self.updates, args.get("limit", 100)))

    def do_answerCallbackQuery(self, args):
        if len(args.get("text", "")) > 200:
            self.bad("the answer is too long", "answerCallbackQuery", args)
        with self.lock:
            self.answers[args["callback_query_id"]] = args
            self.lock.notify_all()
        return True

    def check_text(self, method, args):
        text = args.get("text", "")
        if not 1 <= units(text) <= 4096:
            self.bad("message is too long or empty: %d" % units(text), method, args)
        if text != text.strip():
            self.bad("blanks at the ends would be cut off", method, args)
        if "parse_mode" in args:
            self.bad("markup", method, args)
        for e in args.get("entities", []):
            if e["type"] not in ("bold", "code", "pre"):
                self.bad("an entity of the type " + e["type"], method, args)
            if e["offset"] < 0 or e["length"] < 1 or e["offset"] + e["length"] > units(text):
                self.bad("an entity out of the text", method, args)
        if len(args.get("entities", [])) > 100:
            self.bad("more than 100 entities", method, args)
        for row in args.get("reply_markup", {}).get("inline_keyboard", []):
            if not row or len(row) > 8:
                self.bad("a row of %d buttons" % len(row), method, args)
            for key in row:
                if not 1 <= len(key["callback_data"].encode()) <= 64:
                    self.bad("BUTTON_DATA_INVALID", method, args)

    def check_chat(self, args):
        if not isinstance(args.get("chat_id"), int):
            self.bad("chat_id is no number", "", args)
        if args["chat_id"] in self.refuses:
            raise Refuse(*self.refuses[args["chat_id"]])
        if args["chat_id"] not in self.chats:
            raise Refuse(400, "Bad Request: chat not found")
        if self.per_chat:
            seen, now = self._rates[args["chat_id"]], time.monotonic()
            while seen and seen[0] < now - 1:
                seen.popleft()
            if len(seen) >= self.per_chat:
                raise Refuse(429, "Too Many Requests: retry after 1", retry_after=1)
            seen.append(now)

    def do_sendMessage(self, args):
        self.check_text("sendMessage", args)
        with self.lock:
            self.check_chat(args)
            id = next(self.serial)
            message = {"message_id": id, "date": int(time.time()), "text": args["text"],
                       "chat": self.chat_json(args["chat_id"]),
                       "entities": args.get("entities", []),
                       "reply_markup": args.get("reply_markup", {}), "edits": 0}
            self.chats[args["chat_id"]]["messages"][id] = message
            self.chats[args["chat_id"]]["sent"].append(id)
            self.calls.append(("sendMessage", args))
            self.lock.notify_all()
        if self.on_post:
            self.on_post(id)
        if self.loses_answers > 0:
            self.loses_answers -= 1
            return None
        return {k: v for k, v in message.items() if k != "edits"}

    def do_editMessageText(self, args):
        self.check_text("editMessageText", args)
        with self.lock:
            self.check_chat(args)
            message = self.chats[args["chat_id"]]["messages"].get(args["message_id"])
            if not message:
                raise Refuse(400, "Bad Request: message to edit not found")
            fresh = dict(message, text=args["text"], entities=args.get("entities", []),
                         reply_markup=args.get("reply_markup", {}))
            if fresh == message:
                raise Refuse(400, "Bad Request: message is not modified: specified new message "
                                  "content and reply markup are exactly the same")
            message.update(fresh, edits=message["edits"] + 1)
            self.calls.append(("editMessageText", args))
            self.lock.notify_all()
        return {k: v for k, v in message.items() if k != "edits"}
