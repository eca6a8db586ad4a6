"""MCP clients for the scenario tests: WebSocket, Streamable HTTP (both eras) and the stdio socket.

Synchronous, standard library only. One interface for all of them:

    client.request(method, params)      -> the result, or McpError
    client.start(method, params)        -> Pending; .wait() gives what request() gives
    client.call(tool, arguments)        -> the result of tools/call
    client.call_start(tool, arguments)  -> Pending
    client.notify(method, params)
    client.close()                      says goodbye; drop() just cuts the line

`meta=` adds to params._meta. `modern=True` speaks 2026-07-28 (per-request _meta), else 2025-11-25.
"""
import base64
import http.client
import json
import os
import socket
import struct
import threading
import time

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
PREFIX = "io.modelcontextprotocol/"
TASKS = {"extensions": {PREFIX + "tasks": {}}}


class McpError(Exception):
    """A JSON-RPC error; `.code`, `.message`, `.data`, `.http` (status, None elsewhere)."""

    def __init__(self, error, http=None):
        super().__init__("%s %s" % (error.get("code"), error.get("message")))
        self.code = error.get("code")
        self.message = error.get("message", "")
        self.data = error.get("data")
        self.http = http


class Gone(Exception):
    """The connection ended before the answer. `.why` says how."""

    def __init__(self, why):
        super().__init__(why)
        self.why = why


class Pending:
    """A request on its way. `notes` are the notifications that came for it, in order."""

    def __init__(self, request_id, token=None):
        self.id = request_id
        self.token = token
        self.notes = []
        self.answer = None
        self.answered_at = None  # time.monotonic()
        self.is_answered_twice = False
        self.http = None
        self.headers = {}
        self._done = threading.Event()
        self._note = threading.Condition()
        self._error = None
        self._cut = None

    def is_done(self):
        return self._done.is_set()

    def wait(self, timeout=15):
        if not self._done.wait(timeout):
            raise TimeoutError("no answer to request %r within %s s" % (self.id, timeout))
        if self._error:
            raise self._error
        if "error" in self.answer:
            raise McpError(self.answer["error"], self.http)
        return self.answer["result"]

    def wait_note(self, method=None, timeout=15, count=1):
        """Waits for `count` notifications (of that method) and returns the last of them."""
        def hits():
            return [n for n in self.notes if not method or n.get("method") == method]
        with self._note:
            if not self._note.wait_for(lambda: len(hits()) >= count or self._done.is_set(), timeout):
                raise TimeoutError("no %s within %s s" % (method, timeout))
            found = hits()
            if len(found) < count:
                raise Gone("answered before %s came" % method)
            return found[count - 1]

    def drop(self):
        """Breaks the stream of this request (HTTP only)."""
        if self._cut:
            self._cut()

    # what clients call
    def _take_note(self, note):
        with self._note:
            self.notes.append(note)
            self._note.notify_all()

    def _finish(self, answer=None, error=None):
        if self._done.is_set():
            self.is_answered_twice |= answer is not None and self.answer is not None
            return
        self.answer, self._error = answer, error
        self.answered_at = time.monotonic()
        self._done.set()
        with self._note:
            self._note.notify_all()


class Client:
    def __init__(self, modern=False, caps=None):
        self.modern = modern
        self.caps = caps or {}
        self._next = 0
        self._lock = threading.Lock()

    def _params(self, params, meta, progress):
        params = dict(params or {})
        full = {}
        if self.modern:
            full = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": self.caps,
                    PREFIX + "clientInfo": {"name": "scenario", "version": "1"}}
        if progress is not None:
            full["progressToken"] = progress
        full.update(meta or {})
        if full:
            params["_meta"] = full
        return params

    def _new_id(self):
        with self._lock:
            self._next += 1
            return self._next

    def start(self, method, params=None, meta=None, progress=None, request_id=None):
        pending = Pending(self._new_id() if request_id is None else request_id, progress)
        message = {"jsonrpc": "2.0", "id": pending.id, "method": method}
        params = self._params(params, meta, progress)
        if params:
            message["params"] = params
        self._send(message, pending)
        return pending

    def request(self, method, params=None, meta=None, timeout=15, progress=None):
        return self.start(method, params, meta, progress).wait(timeout)

    def call_start(self, tool, arguments=None, meta=None, progress=None):
        return self.start("tools/call", {"name": tool, "arguments": arguments or {}}, meta, progress)

    def call(self, tool, arguments=None, meta=None, timeout=15, progress=None):
        return self.call_start(tool, arguments, meta, progress).wait(timeout)

    def tools(self):
        """All tools over all pages, by name."""
        found, cursor = {}, None
        while True:
            page = self.request("tools/list", {"cursor": cursor} if cursor else {})
            found.update((t["name"], t) for t in page["tools"])
            cursor = page.get("nextCursor")
            if not cursor:
                return found

    def notify(self, method, params=None):
        message = {"jsonrpc": "2.0", "method": method}
        params = self._params(params, None, None)
        if params:
            message["params"] = params
        self._send(message, None)

    def cancel(self, pending, reason=None):
        params = {"requestId": pending.id}
        if reason:
            params["reason"] = reason
        self.notify("notifications/cancelled", params)

    def initialize(self, version=LEGACY):
        result = self.request("initialize", {
            "protocolVersion": version, "capabilities": self.caps,
            "clientInfo": {"name": "scenario", "version": "1"}})
        self.server = result
        self.notify("notifications/initialized")
        return result

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Duplex(Client):
    """One connection for both directions: WebSocket and stdio. A thread reads."""

    def __init__(self, modern, caps):
        super().__init__(modern, caps)
        self.notes = []           # notifications that belong to no request of ours
        self.close_code = None
        self.why = None           # of the end; a WebSocket's close reason
        self.is_gone = threading.Event()
        self._waiting = {}

    def _run(self):
        self._reader = threading.Thread(target=self._read_all, daemon=True)
        self._reader.start()
        if not self.modern:
            self.initialize()

    def _send(self, message, pending):
        if pending:
            with self._lock:
                self._waiting[json.dumps(pending.id)] = pending
            if self.is_gone.is_set():  # nobody reads any more who could tell it
                pending._finish(error=Gone(self.why or "the connection ended"))
                return
        try:
            self.send_text(json.dumps(message))
        except OSError as e:
            if pending:
                pending._finish(error=Gone(str(e)))
            else:
                raise Gone(str(e))
        if pending and self.is_gone.is_set():  # it ended before our reader could know of this one
            pending._finish(error=Gone(self.why))

    def _read_all(self):
        why = "the connection ended"
        try:
            while True:
                text = self._read_text()
                if text is None:
                    break
                self._take(json.loads(text))
        except (OSError, ValueError) as e:
            why = str(e)
        self.why = self.why or why
        self.is_gone.set()
        with self._lock:
            left, self._waiting = list(self._waiting.values()), {}
        for pending in left:
            pending._finish(error=Gone(self.why))

    def _take(self, message):
        if "method" in message and "id" not in message:
            token = message.get("params", {}).get("progressToken")
            with self._lock:
                owner = next((p for p in self._waiting.values()
                              if token is not None and p.token == token), None)
                waiting = list(self._waiting.values())
            if owner is None and len(waiting) == 1 and message["method"] == "notifications/message":
                owner = waiting[0]
            if owner:
                owner._take_note(message)
            else:
                self.notes.append(message)
            return
        with self._lock:
            pending = self._waiting.pop(json.dumps(message.get("id")), None)
        if pending:
            pending._finish(answer=message)
        else:
            self.notes.append(message)


class McpWs(Duplex):
    def __init__(self, runtime, credential, modern=False, caps=None, source=None):
        super().__init__(modern, caps)
        self._out = threading.Lock()
        self.sock = socket.create_connection(("127.0.0.1", runtime.port), timeout=20,
                                             source_address=source)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        key = base64.b64encode(os.urandom(16)).decode()
        head = ("GET /mcp/ws HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Protocol: mcp\r\nAuthorization: Bearer %s\r\n\r\n"
                % (runtime.port, key, credential))
        self.sock.sendall(head.encode())
        self._buf = b""
        while b"\r\n\r\n" not in self._buf:
            piece = self.sock.recv(4096)
            if not piece:
                raise Gone("closed during the handshake: %r" % self._buf)
            self._buf += piece
        answer, self._buf = self._buf.split(b"\r\n\r\n", 1)
        status = int(answer.split(b" ", 2)[1])
        if status != 101:
            self.sock.close()
            raise McpError({"code": status, "message": self._buf.decode("utf-8", "replace")},
                           status)
        self.sock.settimeout(None)
        self._run()

    def _frame(self, opcode, data):
        n = len(data)
        head = bytes([0x80 | opcode])
        if n < 126:
            head += bytes([0x80 | n])
        elif n < 65536:
            head += bytes([0x80 | 126]) + struct.pack(">H", n)
        else:
            head += bytes([0x80 | 127]) + struct.pack(">Q", n)
        mask = os.urandom(4)
        body = (int.from_bytes(data, "big") ^
                int.from_bytes((mask * (n // 4 + 1))[:n], "big")).to_bytes(n, "big")
        with self._out:
            self.sock.sendall(head + mask + body)

    def send_text(self, text):
        self._frame(1, text.encode())

    def _need(self, n):
        while len(self._buf) < n:
            piece = self.sock.recv(65536)
            if not piece:
                return None
            self._buf += piece
        out, self._buf = self._buf[:n], self._buf[n:]
        return out

    def _read_text(self):
        whole = b""
        while True:
            head = self._need(2)
            if head is None:
                return None
            n = head[1] & 127
            if n >= 126:
                n = int.from_bytes(self._need(2 if n == 126 else 8), "big")
            data = self._need(n)
            opcode = head[0] & 15
            if opcode == 8:
                self.close_code = struct.unpack(">H", data[:2])[0] if len(data) >= 2 else 1005
                self.why = data[2:].decode() or None
                try:
                    self._frame(8, data[:2])
                except OSError:
                    pass
                return None
            if opcode == 9:
                self._frame(10, data)
            elif opcode in (0, 1):
                whole += data
                if head[0] & 0x80:
                    return whole.decode()

    def close(self):
        try:
            self._frame(8, struct.pack(">H", 1000))
        except OSError:
            pass
        self._reader.join(3)
        self.sock.close()

    def drop(self):
        """As if the machine had gone: a reset, no goodbye."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            self.sock.shutdown(socket.SHUT_RD)  # wakes our reader, so that the close is real
        except OSError:
            pass
        self._reader.join(3)
        self.sock.close()


class McpStdio(Duplex):
    """The runtime's end of `flopinio stdio`: lines over DATA_DIR/run/stdio.sock."""

    def __init__(self, runtime, credential, modern=False, caps=None):
        super().__init__(modern, caps)
        self._out = threading.Lock()
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(runtime.run_dir + "/stdio.sock")
        self._file = self.sock.makefile("rb")
        self.send_text(json.dumps({"token": credential}))
        hello = self._file.readline()
        if b"ready" not in hello:
            raise McpError({"code": 401, "message": hello.decode()}, 401)
        self._run()

    def send_text(self, text):
        with self._out:
            self.sock.sendall(text.encode() + b"\n")

    def _read_text(self):
        line = self._file.readline()
        return line.decode() if line else None

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._reader.join(3)
        self.sock.close()

    drop = close


class McpHttp(Client):
    """Streamable HTTP, a connection per request. Legacy keeps a session, modern has none."""

    def __init__(self, runtime, credential, modern=False, caps=None, initialize=True):
        super().__init__(modern, caps)
        self.runtime = runtime
        self.credential = credential
        self.session = None
        if not modern and initialize:
            self.initialize()

    def headers(self, message):
        found = {"Content-Type": "application/json",
                 "Accept": "application/json, text/event-stream",
                 "Authorization": "Bearer " + self.credential}
        if self.modern:
            found["MCP-Protocol-Version"] = MODERN
            found["Mcp-Method"] = message["method"]
            params = message.get("params", {})
            name = params.get("taskId") if message["method"].startswith("tasks/") \
                else params.get("name")
            if name is not None:
                found["Mcp-Name"] = name
        elif self.session:
            found["Mcp-Session-Id"] = self.session
            found["MCP-Protocol-Version"] = LEGACY
        return found

    def _send(self, message, pending):
        conn = http.client.HTTPConnection("127.0.0.1", self.runtime.port, timeout=120)
        if not pending:
            conn.request("POST", "/mcp", json.dumps(message), self.headers(message))
            answer = conn.getresponse()
            body = answer.read()
            conn.close()
            if answer.status not in (200, 202):
                raise McpError({"code": answer.status, "message": body.decode()}, answer.status)
            return
        conn.connect()

        def cut():
            try:
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                conn.sock.shutdown(socket.SHUT_RDWR)
            except (OSError, AttributeError):
                pass
        pending._cut = cut
        headers = self.headers(message)
        thread = threading.Thread(target=self._exchange, args=(conn, message, headers, pending),
                                  daemon=True)
        thread.start()

    def _exchange(self, conn, message, headers, pending):
        sock = conn.sock
        try:
            conn.request("POST", "/mcp", json.dumps(message), headers)
            answer = conn.getresponse()
            pending.http = answer.status
            pending.headers = {k.lower(): v for k, v in answer.getheaders()}
            if message["method"] == "initialize":
                self.session = answer.getheader("Mcp-Session-Id")
            if pending.headers.get("content-type", "").startswith("text/event-stream"):
                self.read_events(answer, pending._take_note, pending._finish)
                pending._finish(error=Gone("the stream ended without an answer"))
            else:
                body = answer.read()
                try:
                    pending._finish(answer=json.loads(body))
                except ValueError:
                    pending._finish(error=McpError({"code": answer.status,
                                                    "message": body.decode("utf-8", "replace")},
                                                   answer.status))
        except (OSError, http.client.HTTPException, ValueError) as e:
            pending._finish(error=Gone(repr(e)))
        finally:
            sock.close()
            conn.close()

    @staticmethod
    def read_events(stream, take_note, finish):
        """Server-sent events of one stream, until it ends."""
        data = []
        while True:
            line = stream.readline()
            if not line:
                return
            line = line.rstrip(b"\r\n")
            if line.startswith(b"data:"):
                data.append(line[5:].lstrip())
            elif not line and data:
                text = b"\n".join(data)
                data = []
                if not text:
                    continue
                message = json.loads(text)
                if "method" in message:
                    take_note(message)
                else:
                    finish(message)

    def close(self):
        if self.session:
            conn = http.client.HTTPConnection("127.0.0.1", self.runtime.port, timeout=10)
            conn.request("DELETE", "/mcp", headers={"Authorization": "Bearer " + self.credential,
                                                    "Mcp-Session-Id": self.session})
            conn.getresponse().read()
            conn.close()
            self.session = None

    def drop(self):
        pass


def text_of(result):
    """The text blocks of a tool result, joined."""
    return "\n".join(b["text"] for b in result.get("content", []) if b["type"] == "text")
