"""HTTP as it is written, for tests of the protocol itself: every header and every byte is the test's.

    wire = Wire(org)
    a = wire.modern("tools/list")                        Answer: .status .headers .json .error .result
    a = wire.modern("tools/call", {"name": ..}, headers={"Mcp-Name": None, "X": "y"})
    a = wire.post(b'{"jsonrpc":', [("Content-Type", "application/json")])
    s = wire.legacy("initialize", {...})                 s.headers["mcp-session-id"]
    with wire.stream("GET", session=id) as events: events.next(5)

A header given as None is left out, one given as a list is sent that often.
"""
import http.client
import json
import socket

from mcp_client import LEGACY, MODERN, PREFIX

BOTH = "application/json, text/event-stream"
NAMES = {"tools/call": "name", "tasks/get": "taskId", "tasks/update": "taskId",
         "tasks/cancel": "taskId"}


class Event:
    def __init__(self):
        self.id = self.retry = None
        self.data, self.comments = [], 0

    @property
    def message(self):
        text = "\n".join(self.data)
        return json.loads(text) if text else None


class Answer:
    def __init__(self, response, body):
        self.status = response.status
        self.headers = {}
        for name, value in response.getheaders():
            self.headers[name.lower()] = value
        self.body = body
        self.json = None
        self.events = []
        kind = self.headers.get("content-type", "")
        if kind.startswith("application/json"):
            self.json = json.loads(body)
        elif kind.startswith("text/event-stream"):
            self.events = parse_events(body)
            for event in self.events:
                if event.message and "method" not in event.message:
                    self.json = event.message

    @property
    def notes(self):
        return [e.message for e in self.events if e.message and "method" in e.message]

    @property
    def error(self):
        return self.json["error"] if isinstance(self.json, dict) and "error" in self.json else None

    @property
    def result(self):
        assert self.json and "result" in self.json, (self.status, self.body[:2000])
        return self.json["result"]

    def __repr__(self):
        return "%s %r %s" % (self.status, self.body[:600], self.headers)


def parse_events(body):
    found, event = [], Event()
    for line in body.decode().split("\n"):
        if line:
            take_line(event, line)
        elif event.data or event.id or event.comments:
            found.append(event)
            event = Event()
    return found


def take_line(event, line):
    field, _, value = line.partition(":")
    value = value[1:] if value.startswith(" ") else value
    if not field:
        event.comments += 1
    elif field == "data":
        event.data.append(value)
    elif field in ("id", "retry"):
        setattr(event, field, value)


class Stream:
    """A response that is read while it comes."""

    def __init__(self, conn):
        self.conn = conn
        self.response = conn.getresponse()
        self.status = self.response.status
        self.headers = {k.lower(): v for k, v in self.response.getheaders()}
        self.is_over = False

    def next(self, seconds=10, comments=False):
        """The next event with data or id (or a comment); None at the end of the stream."""
        self.conn.sock.settimeout(seconds)
        event = Event()
        while True:
            line = self.response.readline()
            if not line:
                self.is_over = True
                return None
            line = line.decode().rstrip("\r\n")
            if line:
                take_line(event, line)
            elif event.data or event.id or (comments and event.comments):
                return event
            else:
                event = Event()

    def message(self, seconds=10):
        """The next message."""
        while True:
            event = self.next(seconds)
            if event is None or event.message:
                return event and event.message

    def rest(self, seconds=10):
        """Every message up to the end of the stream."""
        found = []
        while not self.is_over:
            message = self.message(seconds)
            if message:
                found.append(message)
        return found

    def cut(self):
        """Breaks the connection, without a goodbye."""
        try:
            self.conn.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.cut()


class Wire:
    def __init__(self, org, credential=None):
        self.rt = org.rt
        self.credential = credential or org.credential

    # ---- any request
    def _start(self, method, headers, body, path):
        conn = http.client.HTTPConnection("127.0.0.1", self.rt.port, timeout=30)
        conn.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                if one is not None:
                    conn.putheader(name, one)
        if body is not None:
            conn.putheader("Content-Length", str(len(body)))
        try:
            conn.endheaders(body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # answered before all of it was read
        return conn

    def headers(self, more=None):
        found = {"Host": "127.0.0.1:%d" % self.rt.port, "Accept": BOTH,
                 "Content-Type": "application/json", "Authorization": "Bearer " + self.credential}
        found.update(more or {})
        return found

    def send(self, method="POST", headers=None, body=None, path="/mcp"):
        conn = self._start(method, self.headers(headers), body, path)
        try:
            response = conn.getresponse()
            return Answer(response, response.read())
        finally:
            conn.close()

    def post(self, message, headers=None, **more):
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        return self.send("POST", headers, body, **more)

    def stream(self, method="POST", headers=None, message=None, path="/mcp"):
        body = None if message is None else json.dumps(message).encode()
        return Stream(self._start(method, self.headers(headers), body, path))

    # ---- modern
    def modern_parts(self, method, params=None, meta=None, headers=None, caps=None, request_id=1):
        """(message, headers); a member of meta that is None is left out."""
        full = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": caps or {},
                PREFIX + "clientInfo": {"name": "wire", "version": "1"}}
        full.update(meta or {})
        params = dict(params or {})
        params["_meta"] = {k: v for k, v in full.items() if v is not None}
        message = {"jsonrpc": "2.0", "method": method, "params": params}
        if request_id is not None:
            message["id"] = request_id
        found = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        if method in NAMES and isinstance(params.get(NAMES[method]), str):
            found["Mcp-Name"] = params[NAMES[method]]
        found.update(headers or {})
        return message, found

    def modern(self, method, params=None, **more):
        message, headers = self.modern_parts(method, params, **more)
        return self.post(message, headers)

    def modern_stream(self, method, params=None, **more):
        message, headers = self.modern_parts(method, params, **more)
        return self.stream("POST", headers, message)

    # ---- legacy
    def legacy_parts(self, method, params=None, session=None, request_id=1, headers=None,
                     version=LEGACY):
        message = {"jsonrpc": "2.0", "method": method}
        if params is not None:
            message["params"] = params
        if request_id is not None:
            message["id"] = request_id
        found = {}
        if session:
            found = {"Mcp-Session-Id": session, "MCP-Protocol-Version": version}
        found.update(headers or {})
        return message, found

    def legacy(self, method, params=None, session=None, **more):
        message, headers = self.legacy_parts(method, params, session, **more)
        return self.post(message, headers)

    def legacy_stream(self, method, params=None, session=None, **more):
        message, headers = self.legacy_parts(method, params, session, **more)
        return self.stream("POST", headers, message)

    def initialize(self, version=LEGACY):
        """A new session's id."""
        a = self.legacy("initialize", {"protocolVersion": version, "capabilities": {},
                                       "clientInfo": {"name": "wire", "version": "1"}})
        assert a.status == 200 and a.result["protocolVersion"] == version, a
        session = a.headers["mcp-session-id"]
        a = self.legacy("notifications/initialized", session=session, request_id=None,
                        version=version)
        assert a.status == 202 and a.body == b"", a
        return session

    def get(self, session, headers=None, version=LEGACY):
        more = {"Mcp-Session-Id": session, "MCP-Protocol-Version": version, "Content-Type": None,
                "Accept": "text/event-stream"}
        more.update(headers or {})
        return self.stream("GET", more)

    def delete(self, session, headers=None):
        more = {"Mcp-Session-Id": session, "Content-Type": None}
        more.update(headers or {})
        return self.send("DELETE", more)
