"""MCP over WebSocket: the upgrade, the frames, the order of the handshake, and many requests at once
on one connection (docs/protocol.md, "Legacy sessions")."""
import base64
import json
import os
import socket
import struct

from cases import case
from harness import Org, wait_for
from mcp_client import MODERN, PREFIX, McpWs, text_of

APPEND = "s__append_line"
INIT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "w",
                                                                            "version": "1"}}


class Raw:
    """A WebSocket whose frames are the test's."""

    def __init__(self, rt, credential, headers=None, subprotocol="mcp", path="/mcp/ws"):
        self.sock = socket.create_connection(("127.0.0.1", rt.port), timeout=10)
        head = {"Host": "127.0.0.1:%d" % rt.port, "Upgrade": "websocket", "Connection": "Upgrade",
                "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
                "Sec-WebSocket-Version": "13", "Sec-WebSocket-Protocol": subprotocol,
                "Authorization": "Bearer " + credential}
        head.update(headers or {})
        text = "GET %s HTTP/1.1\r\n" % path + "".join(
            "%s: %s\r\n" % pair for pair in head.items() if pair[1] is not None)
        self.sock.sendall(text.encode() + b"\r\n")
        self.buf = b""
        while b"\r\n\r\n" not in self.buf:
            piece = self.sock.recv(4096)
            assert piece, self.buf
            self.buf += piece
        answer, self.buf = self.buf.split(b"\r\n\r\n", 1)
        lines = answer.decode().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = dict((k.lower(), v) for k, v in (x.split(": ", 1) for x in lines[1:]))

    def frame(self, opcode, data, fin=True, announce=None):
        n = len(data) if announce is None else announce
        head = bytes([(0x80 if fin else 0) | opcode])
        head += bytes([0x80 | n]) if n < 126 else bytes([0x80 | 126]) + struct.pack(">H", n) \
            if n < 65536 else bytes([0x80 | 127]) + struct.pack(">Q", n)
        self.sock.sendall(head + bytes(4) + data)  # masked with zeros

    def send(self, message):
        text = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.frame(1, text)

    def need(self, n):
        while len(self.buf) < n:
            piece = self.sock.recv(65536)
            if not piece:
                raise EOFError
            self.buf += piece
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def read(self, seconds=10):
        """(opcode, data) of the next whole message or control frame; pings are answered."""
        self.sock.settimeout(seconds)
        whole, kind = b"", None
        while True:
            first, second = self.need(2)
            n = second & 127
            if n >= 126:
                n = int.from_bytes(self.need(2 if n == 126 else 8), "big")
            data, opcode = self.need(n), first & 15
            if opcode == 9:
                self.frame(10, data)
            elif opcode >= 8:
                return opcode, data
            else:
                kind, whole = opcode or kind, whole + data
                if first & 0x80:
                    return kind, whole

    def message(self, seconds=10):
        """The next one that is not news about the tools, which may come at any time."""
        while True:
            opcode, data = self.read(seconds)
            assert opcode == 1, (opcode, data)
            message = json.loads(data)
            if message.get("method") != "notifications/tools/list_changed":
                return message

    def close(self):
        """Code and reason of the Close that comes."""
        opcode, data = self.read()
        while opcode != 8:
            opcode, data = self.read()
        return struct.unpack(">H", data[:2])[0], data[2:].decode()

    def close_code(self):
        return self.close()[0]

    def ask(self, method, params=None, request_id=1):
        message = {"jsonrpc": "2.0", "id": request_id, "method": method}
        if params is not None:
            message["params"] = params
        self.send(message)
        return self.message()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def modern(request_id, method, params=None, caps=None):
    meta = {PREFIX + "protocolVersion": MODERN, PREFIX + "clientCapabilities": caps or {}}
    return {"jsonrpc": "2.0", "id": request_id, "method": method,
            "params": dict(params or {}, _meta=meta)}


def scenario(rt, **more):
    return Org(rt, files=False, scenario=True, **more)


@case()
def the_upgrade(rt):
    org = scenario(rt)

    def status(**more):
        with Raw(rt, org.credential, **more) as ws:
            return ws.status
    with Raw(rt, org.credential, headers={
            "Sec-WebSocket-Extensions": "permessage-deflate"}) as ws:
        assert ws.status == 101 and ws.headers["sec-websocket-protocol"] == "mcp", ws.headers
        assert "sec-websocket-extensions" not in ws.headers, ws.headers
    assert status(subprotocol="chat, mcp") == 101
    assert status(subprotocol=None) == 400
    assert status(subprotocol="chat") == 400
    assert status(headers={"Origin": "http://evil.example.com"}) == 403
    assert status(headers={"Host": "evil.example.com"}) == 403
    with Raw(rt, "fla_nothing") as ws:
        assert ws.status == 401 and ws.headers["www-authenticate"].startswith("Bearer ")
    assert status(headers={"Authorization": None}) == 401
    # A credential in the address is none.
    assert status(headers={"Authorization": None}, path="/mcp/ws?token=" + org.credential) == 401
    assert status(headers={"Sec-WebSocket-Version": "12"}) in (400, 426)
    assert status(headers={"Upgrade": None}) == 426
    assert status(headers={"Upgrade": "bogus"}) == 426


@case()
def frames(rt):
    org = scenario(rt)
    for sent, said in (((2, b"x"), (1003, "messages are text frames")),
                       ((1, b"\xff\xfe"), (1007, "the message is not valid UTF-8"))):
        with Raw(rt, org.credential) as ws:
            ws.frame(*sent)
            assert ws.close() == said, (sent, said)
    with Raw(rt, org.credential) as ws:
        ws.frame(1, b"x" * 1000, announce=5 << 20)
        assert ws.close() == (1009, "the message is too large")
    with Raw(rt, org.credential) as ws:
        text = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
        for i in range(len(text)):
            ws.frame(0 if i else 1, text[i:i + 1], fin=i == len(text) - 1)
        assert ws.message() == {"jsonrpc": "2.0", "id": 1, "result": {}}
        # What is refused leaves the connection as it was.
        for bad, code in ((b"{", -32700), (b"[]", -32600), (b"7", -32600),
                          (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600)):
            ws.send(bad)
            answer = ws.message()
            assert answer["error"]["code"] == code and "id" not in answer, (bad, answer)
        assert ws.ask("ping", request_id="still")["result"] == {}


@case()
def the_order_of_the_handshake(rt):
    org = scenario(rt)
    with Raw(rt, org.credential) as ws:
        assert ws.ask("ping")["result"] == {}
        assert ws.ask("tools/list", {})["error"]["code"] in (-32600, -32000)
        ws.send(modern("m", "tools/list"))  # each era needs nothing of the other
        assert ws.message()["result"]["resultType"] == "complete"
        assert ws.ask("initialize", INIT)["result"]["protocolVersion"] == "2025-11-25"
        assert ws.ask("tools/list", {})["error"]["code"] in (-32600, -32000)
        assert ws.ask("ping")["result"] == {}
        ws.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert "tools" in ws.ask("tools/list", {})["result"]
        assert ws.ask("initialize", INIT)["error"]["code"] == -32600
        assert ws.ask("server/discover", {})["error"]["code"] == -32601
        ws.send(modern("m", "server/discover"))
        assert ws.message()["result"]["supportedVersions"] == [MODERN]
        ws.send(modern("m", "ping"))
        assert ws.message()["error"]["code"] == -32601
        # Refused notifications and responses are silence.
        ws.send({"jsonrpc": "2.0", "method": "notifications/nonsense"})
        ws.send({"jsonrpc": "2.0", "id": 99, "result": {}})
        assert ws.ask("ping", request_id=100)["id"] == 100
    with Raw(rt, org.credential) as ws:
        assert ws.ask("initialize", dict(INIT, protocolVersion=MODERN))["result"][
            "protocolVersion"] == "2025-11-25"


@case()
def ids_in_flight(rt):
    """Twice the same id is refused, whatever its era; another type is another id."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        first = agent.start("tools/call", {"name": APPEND, "arguments": {"line": "a"}},
                            request_id=7)
        org.wait_pending()
        agent.send_text(json.dumps({"jsonrpc": "2.0", "id": 7, "method": "ping"}))
        agent.send_text(json.dumps(modern(7, "tools/list")))
        wait_for("two refusals", lambda: len([n for n in agent.notes if "error" in n]) == 2)
        for note in agent.notes:
            if "error" in note:
                assert note["error"]["code"] == -32600 and "id" not in note, note
        assert agent.start("ping", request_id="7").wait() == {}
        org.ann.approve(org.wait_pending())
        assert text_of(first.wait()) == "appended"
        assert agent.start("ping", request_id=7).wait() == {}


@case(limit=60, pending_max=2000)
def many_at_once(rt):
    """1,024 requests are in flight at the same time; one more is refused, and none is lost."""
    org = scenario(rt)
    with McpWs(rt, org.credential) as agent:
        held = agent.call_start(APPEND, {"line": "a"})
        approval = org.wait_pending()
        waits = [agent.call_start("s__look", {"line": "x", "gate": "gate"}) for _ in range(1023)]
        over = agent.start("ping")
        wait_for("the refusal", over.is_done)
        assert over.answer["error"]["code"] == -32000, over.answer
        org.open_gate("gate")
        for pending in waits:
            pending.wait(60)
        org.ann.approve(approval)
        assert text_of(held.wait()) == "appended"
        assert agent.request("ping") == {}


@case()
def cancelling_on_a_connection(rt):
    """Requests of both eras, id 0 too; never answered; initialize is not cancelled."""
    org = scenario(rt)
    for is_modern, request_id in ((False, 0), (False, ""), (True, 0), (True, "x")):
        with McpWs(rt, org.credential, modern=is_modern) as agent:
            call = agent.start("tools/call", {"name": APPEND, "arguments": {
                "line": "%s %r" % (is_modern, request_id)}}, request_id=request_id)
            approval = org.wait_pending()
            agent.cancel(call, "enough")
            org.wait_state(approval, "cancelled")
            agent.cancel(call)  # over: ignored
            assert agent.tools() and not call.is_done()
    assert org.effects() == []


@case()
def a_connection_that_goes_leaves_its_calls(rt):
    org = scenario(rt)
    agent = McpWs(rt, org.credential)
    agent.call_start(APPEND, {"line": "a"})
    approval = org.wait_pending()
    agent.close()
    wait_for("the caller to be missed", lambda: org.row(approval)["wait_mode"] == "left")
    assert org.state(approval) == "pending" and org.row(approval)["grace_until"] is None
    with McpWs(rt, org.credential, modern=True) as agent:
        agent.start("tools/call", {"name": APPEND, "arguments": {"line": "b"}})
        other = org.wait_pending(2)[1]
    # In the modern era a connection that goes has cancelled, after the grace.
    org.wait_state(other, "cancelled")
    assert org.state(approval) == "pending"


@case()
def sixteen_listens_on_a_connection(rt):
    org = scenario(rt)
    with McpWs(rt, org.credential, modern=True) as agent:
        def listen():
            return agent.start("subscriptions/listen",
                               {"notifications": {"toolsListChanged": True}})
        held = [listen() for _ in range(16)]
        wait_for("acknowledgements", lambda: len([
            n for n in agent.notes
            if n.get("method") == "notifications/subscriptions/acknowledged"]) == 16)
        over = listen()
        wait_for("the refusal", over.is_done)
        assert over.answer["error"]["code"] == -32603, over.answer
        agent.cancel(held[0])
        again = listen()
        wait_for("room", lambda: len([
            n for n in agent.notes
            if n.get("method") == "notifications/subscriptions/acknowledged"]) == 17)
        assert not again.is_done()
        # Each message says which of them it is for.
        org.control("POST", "/tools/s__look/quarantine")

        def told():
            return {n["params"]["_meta"][PREFIX + "subscriptionId"] for n in agent.notes
                    if n.get("method") == "notifications/tools/list_changed"}
        wanted = {p.id for p in held[1:]} | {again.id}
        wait_for("every one to be told", lambda: told() >= wanted)
        assert held[0].id not in told()
