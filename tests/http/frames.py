"""WebSocket vectors (RFC 6455) against the real program: handshakes, frames, ends; each whole and
byte by byte, the frames also in one write with the handshake."""
import json

from peer import Peer

PIECES = 400
LIMIT = 4 << 20  # bytes of a message
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def upgrade(credential, path=b"/mcp/ws", version=b"HTTP/1.1", method=b"GET", more=b"", **lines):
    """A handshake; a header given as None is left out, one given as a list is sent that often."""
    head = {"Host": b"127.0.0.1", "Authorization": b"Bearer " + credential.encode(),
            "Connection": b"keep-alive, Upgrade", "Upgrade": b"websocket",
            "Sec-WebSocket-Version": b"13", "Sec-WebSocket-Key": KEY,
            "Sec-WebSocket-Protocol": b"mcp"}
    head.update((k.replace("_", "-"), v) for k, v in lines.items())
    text = method + b" " + path + b" " + version + b"\r\n"
    for name, value in head.items():
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                text += name.encode() + b": " + one + b"\r\n"
    return text + b"\r\n" + more


def handshakes(credential):
    """(name, bytes, status)"""
    def shake(**how):
        return upgrade(credential, **how)
    protocol, key, version = "Sec-WebSocket-Protocol", "Sec-WebSocket-Key", "Sec-WebSocket-Version"
    return [
        ("as it should be", shake(), 101),
        ("mcp among others", shake(**{protocol: b"chat, mcp"}), 101),
        ("protocols in two lines", shake(**{protocol: [b"chat", b"mcp"]}), 101),
        ("upgrade in a list, other case", shake(Upgrade=b"foo, WebSocket"), 101),
        ("connection in two lines", shake(Connection=[b"keep-alive", b"uPgrade"]), 101),
        ("compression offered, not taken",
         shake(**{"Sec-WebSocket-Extensions": b"permessage-deflate; client_max_window_bits"}), 101),
        ("extension nobody knows", shake(**{"Sec-WebSocket-Extensions": b"x-bogus"}), 101),
        ("names that swallow the line behind them in libwebsockets",
         shake().replace(b"Sec-WebSocket-Key", b"Sec-: y\r\nSec-WebSocket-Key")
         .replace(b"Sec-WebSocket-Version", b"Sec-WebSocket-: z\r\nSec-WebSocket-Version"), 101),
        ("no upgrade", shake(Upgrade=None), 426),
        ("upgrade to h2c", shake(Upgrade=b"h2c"), 426),
        ("upgrade: bogus", shake(Upgrade=b"bogus"), 426),
        ("upgrade: websocket2", shake(Upgrade=b"websocket2"), 426),
        ("no connection", shake(Connection=None), 426),
        ("connection: close", shake(Connection=b"close"), 426),
        ("connection: upgradex", shake(Connection=b"upgradex"), 426),
        ("version 12", shake(**{version: b"12"}), 426),
        ("version 14", shake(**{version: b"14"}), 426),
        ("version 013", shake(**{version: b"013"}), 426),
        ("no version", shake(**{version: None}), 426),
        ("two versions", shake(**{version: [b"13", b"13"]}), 426),
        ("a list of versions", shake(**{version: b"8, 13"}), 426),
        ("no key", shake(**{key: None}), 400),
        ("two keys", shake(**{key: [KEY, KEY]}), 400),
        ("short key", shake(**{key: b"dGhlIHNhbXBsZQ=="}), 400),
        ("key without its end", shake(**{key: KEY[:-1]}), 400),
        ("key with bits of nothing", shake(**{key: b"dGhlIHNhbXBsZSBub25jZR=="}), 400),
        ("key of other characters", shake(**{key: b"_" * 22 + b"=="}), 400),
        ("key with text behind", shake(**{key: KEY + b"x"}), 400),
        ("no protocol", shake(**{protocol: None}), 400),
        ("another protocol", shake(**{protocol: b"chat"}), 400),
        ("protocol in other case", shake(**{protocol: b"MCP"}), 400),
        ("the name of libwebsockets' first protocol", shake(**{protocol: b"none"}), 400),
        ("empty protocol", shake(**{protocol: b""}), 400),
        ("post", shake(method=b"POST"), 426),
        ("put", shake(method=b"PUT"), 426),
        ("connect", shake(method=b"CONNECT"), 501),
        ("http/1.0", shake(version=b"HTTP/1.0"), 400),
        ("with a body", shake(**{"Content-Length": b"1"}, more=b"x"), 400),
        ("in chunks", shake(**{"Transfer-Encoding": b"chunked"}, more=b"0\r\n\r\n"), 400),
        ("no credential", shake(Authorization=None), 401),
        ("credential that is none", shake(Authorization=b"Bearer fla_nothing"), 401),
        ("credential in the address", shake(Authorization=None, path=b"/mcp/ws?token=" +
                                            credential.encode()), 401),
        ("foreign origin", shake(Origin=b"http://evil.example"), 403),
        ("origin null", shake(Origin=b"null"), 403),
        ("foreign host", shake(Host=b"evil.example"), 403),
        ("below the path", shake(path=b"/mcp/ws/x"), 404),
        ("lf for line ends", shake().replace(b"\r\n", b"\n"), 400),
    ]


def frame(opcode, data=b"", fin=True, mask=b"\0\0\0\0", rsv=0, length=None, announce=None):
    """One frame. length: bytes of the extended length (0, 2, 8); announce: another length."""
    n = len(data) if announce is None else announce
    if length is None:
        length = 0 if n < 126 else 2 if n < 65536 else 8
    second = n if length == 0 else 126 if length == 2 else 127
    head = bytes([(0x80 if fin else 0) | rsv | opcode, second | (0x80 if mask is not None else 0)])
    if length:
        head += n.to_bytes(length, "big")
    if mask is None:
        return head + data
    return head + mask + bytes(x ^ mask[i & 3] for i, x in enumerate(data))


def ping(request_id):
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": "ping"}).encode()


def close(code=None, reason=b"", **how):
    return frame(8, b"" if code is None else code.to_bytes(2, "big") + reason, **how)


def vectors():
    """(name, bytes, answers): T:id of a message, E:code of a JSON-RPC error, P:payload of a pong,
    C:code of the close that ends it."""
    a, b, c = ping("a"), ping("b"), ping("c")
    accent = a.replace(b'"a"', '"\xe9"'.encode())
    bye, m = close(1000), b"\x37\xfa\x21\x3d"
    blank = a + b" " * (126 - len(a))
    wide = a + b" " * (65536 - len(a))
    e125, e126 = b"e" * 125, b"e" * 126

    def parts(text, *cuts):
        """The text in frames that end at these places."""
        out, at = b"", 0
        for end in list(cuts) + [len(text)]:
            out += frame(0 if at or out else 1, text[at:end], fin=end == len(text))
            at = end
        return out
    return [
        # as it should be
        ("text", frame(1, a) + bye, "T:a C:1000"),
        ("masked text", frame(1, a, mask=m) + bye, "T:a C:1000"),
        ("two texts", frame(1, a) + frame(1, b) + bye, "T:a T:b C:1000"),
        ("text of 126 bytes", frame(1, blank, mask=m) + bye, "T:a C:1000"),
        ("text of 65536 bytes", frame(1, wide, mask=m) + bye, "T:a C:1000"),
        ("two fragments", parts(a, 5) + bye, "T:a C:1000"),
        ("a fragment for each byte", parts(a, *range(1, len(a))) + bye, "T:a C:1000"),
        ("empty first fragment", frame(1, b"", fin=False) + frame(0, a) + bye, "T:a C:1000"),
        ("empty last fragment", frame(1, a, fin=False) + frame(0) + bye, "T:a C:1000"),
        ("fragments with masks of their own", frame(1, a[:7], fin=False, mask=m) +
         frame(0, a[7:], mask=b"abcd") + bye, "T:a C:1000"),
        ("utf-8 cut by a fragment", parts(accent, accent.index(b"\xc3") + 1) + bye, "T:\xe9 C:1000"),
        ("empty text", frame(1) + bye, "E:-32700 C:1000"),
        ("text that is no json", frame(1, b"{") + frame(1, b) + bye, "E:-32700 T:b C:1000"),
        ("nul in a text", frame(1, b"\0") + bye, "E:-32700 C:1000"),
        ("ping", frame(9), "P:"),
        ("ping with payload", frame(9, b"ping", mask=m), "P:ping"),
        ("ping of 125 bytes", frame(9, e125), "P:" + "e" * 125),
        ("two pings", frame(9, b"a") + frame(9, b"b") + bye, "P:a P:b C:1000"),
        ("ping between fragments", frame(1, a[:4], fin=False) + frame(9, b"p") + frame(0, a[4:]) +
         bye, "P:p T:a C:1000"),
        ("pong unasked", frame(10, b"huh") + frame(1, a) + bye, "T:a C:1000"),
        ("close without a code", close(), "C:"),
        ("close with a reason", close(1001, b"bye"), "C:1001"),
        ("masked close", close(1000, mask=m), "C:1000"),
        ("close 3000", close(3000), "C:3000"),
        ("close 4999", close(4999), "C:4999"),
        ("close with the longest reason", close(1000, b"r" * 123), "C:1000"),
        ("what stands behind a close", bye + frame(1, a) + b"\xff\xff", "C:1000"),
        ("close between fragments", frame(1, a[:4], fin=False) + bye, "C:1000"),
        ("a request behind a close", bye + b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
         "C:1000"),
        # not masked
        ("unmasked text", frame(1, a, mask=None), "C:1002"),
        ("unmasked empty text", frame(1, mask=None), "C:1002"),
        ("unmasked ping", frame(9, mask=None), "C:1002"),
        ("unmasked pong", frame(10, mask=None), "C:1002"),
        ("unmasked close", close(1000, mask=None), "C:1002"),
        ("masked, then unmasked", frame(1, a) + frame(1, b, mask=None), "T:a C:1002"),
        ("unmasked last fragment", frame(1, a[:4], fin=False) + frame(0, a[4:], mask=None), "C:1002"),
        ("a request instead of a frame", b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
         "C:1002"),
        # lengths
        ("short length in two bytes", frame(1, a, length=2), "C:1002"),
        ("125 in two bytes", frame(1, e125, length=2), "C:1002"),
        ("0 in two bytes", frame(1, b"", length=2), "C:1002"),
        ("short length in eight bytes", frame(1, a, length=8), "C:1002"),
        ("65535 in eight bytes", frame(1, b"", length=8, announce=65535), "C:1002"),
        ("length with the top bit", frame(1, b"", length=8, announce=(1 << 63) | 65536), "C:1002"),
        ("length of 63 bits", frame(1, b"", length=8, announce=(1 << 63) - 1), "C:1009"),
        ("one byte over the limit", frame(1, b"x" * 100, length=8, announce=LIMIT + 1), "C:1009"),
        ("fragments over the limit together", frame(1, b"x", fin=False) +
         frame(0, b"x" * 100, length=8, announce=LIMIT), "C:1009"),
        ("ping of 126 bytes", frame(9, e126), "C:1002"),
        ("pong of 126 bytes", frame(10, e126), "C:1002"),
        ("close of 126 bytes", frame(8, e126), "C:1002"),
        # bits and opcodes
        ("rsv1", frame(1, a, rsv=0x40), "C:1002"),
        ("rsv2", frame(1, a, rsv=0x20), "C:1002"),
        ("rsv3", frame(1, a, rsv=0x10), "C:1002"),
        ("all rsv", frame(1, a, rsv=0x70), "C:1002"),
        ("rsv1 on a continuation", frame(1, a[:4], fin=False) + frame(0, a[4:], rsv=0x40), "C:1002"),
        ("rsv1 on a ping", frame(9, rsv=0x40), "C:1002"),
        ("rsv1 on a close", close(1000, rsv=0x40), "C:1002")] + [
        ("opcode %d" % n, frame(n, a), "C:1002") for n in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)] + [
        ("binary", frame(2, a), "C:1003"),
        ("binary fragment", frame(2, a[:4], fin=False), "C:1003"),
        # fragments
        ("continuation of nothing", frame(0, a), "C:1002"),
        ("fragment of nothing", frame(0, a, fin=False), "C:1002"),
        ("text in a text", frame(1, a[:4], fin=False) + frame(1, b), "C:1002"),
        ("first fragment twice", frame(1, a[:4], fin=False) + frame(1, b, fin=False), "C:1002"),
        ("binary in a text", frame(1, a[:4], fin=False) + frame(2, b), "C:1002"),
        ("continuation behind the last", parts(a, 4) + frame(0, b), "T:a C:1002"),
        ("fragmented ping", frame(9, b"a", fin=False), "C:1002"),
        ("fragmented pong", frame(10, b"a", fin=False), "C:1002"),
        ("fragmented close", close(1000, fin=False), "C:1002"),
        # text that is none
        ("invalid utf-8", frame(1, b"\xc3\x28"), "C:1007"),
        ("over-long utf-8", frame(1, b"\xc0\xaf"), "C:1007"),
        ("surrogate in utf-8", frame(1, b"\xed\xa0\x80"), "C:1007"),
        ("utf-8 over 10ffff", frame(1, b"\xf4\x90\x80\x80"), "C:1007"),
        ("cut utf-8", frame(1, b"\xc3"), "C:1007"),
        ("cut utf-8 in fragments", frame(1, b"\xc3", fin=False) + frame(0), "C:1007"),
        ("good text, then bad", frame(1, a) + frame(1, b"\xff") + frame(1, c), "T:a C:1007"),
        # closing
        ("close of one byte", frame(8, b"\x03"), "C:1002")] + [
        ("close %d" % code, close(code), "C:1002") for code in (0, 999, 1004, 1005, 1006, 1015, 1016,
                                                                1100, 2000, 2999, 5000, 65535)] + [
        ("close with a bad reason", close(1000, b"\xff"), "C:1007"),
    ]


# ---------------------------------------------------------------- what comes back
def read_frame(peer):
    """(opcode, payload), or None at the end."""
    if not peer.buf and not peer.more():
        return None
    first, second = peer.need(2)
    assert not second & 0x80 and not first & 0x70 and first & 0x80, (first, second)
    n = second & 127
    if n >= 126:
        n = int.from_bytes(peer.need(2 if n == 126 else 8), "big")
    return first & 15, peer.need(n)


def name_of(opcode, data):
    if opcode == 8:
        return "C:%s" % (int.from_bytes(data[:2], "big") if data else "")
    if opcode == 10:
        return "P:" + data.decode()
    message = json.loads(data)
    if message.get("method"):
        return None  # news about the tools may come at any time
    return "E:%d" % message["error"]["code"] if "error" in message else "T:%s" % message["id"]


def check_answers(peer, wanted):
    found = []
    while len(found) < len(wanted):
        got = read_frame(peer)
        if got is None:
            break
        name = name_of(*got)
        if name:
            found.append(name)
    assert found == wanted, "answers %s, not %s" % (found, wanted)
    if wanted[-1].startswith("C:"):
        # Of a close that was ours the program waits for the answer, unless the peer broke a rule.
        got = read_frame(peer)
        assert got is None, "behind the close it said %r" % (got,)


def check_upgrade(answer):
    assert answer is not None and answer.status == 101, answer
    head = answer.head
    assert head["sec-websocket-accept"] == ACCEPT and head["sec-websocket-protocol"] == "mcp", head
    assert head["upgrade"].lower() == "websocket" and "upgrade" in head["connection"].lower(), head
    assert "sec-websocket-extensions" not in head, head


def check_handshake(port, raw, status):
    for pieces in (1, PIECES):
        with Peer(port) as peer:
            peer.send(raw, pieces)
            answer = peer.answer()
            assert answer is not None and answer.status == status, \
                "%s, not %d" % (answer, status)
            if status == 101:
                check_upgrade(answer)
                peer.send(frame(1, ping("x")) + close(1000))
                check_answers(peer, ["T:x", "C:1000"])
            elif status == 426:
                assert answer.head.get("upgrade") == "websocket", answer.head


def check_refused_is_over(port, credential):
    """Frames behind a handshake that was refused are not requests, and not messages."""
    raw = upgrade(credential, **{"Sec-WebSocket-Protocol": b"chat"}) + \
        b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with Peer(port) as peer:
        peer.send(raw)
        answer = peer.answer()
        assert answer.status == 400 and answer.head["connection"] == "close", answer.head
        assert peer.answer() is None and not peer.is_reset


def check_vector(port, credential, raw, answers):
    head = upgrade(credential)
    for how in ("whole", "byte by byte", "with the handshake"):
        with Peer(port) as peer:
            try:
                peer.send(head + raw if how == "with the handshake" else head)
                check_upgrade(peer.answer())
                if how != "with the handshake":
                    peer.send(raw, 1 if how == "whole" else PIECES)
                check_answers(peer, answers.split(" "))
            except (AssertionError, EOFError, OSError, ValueError, KeyError) as e:
                raise AssertionError("%s: %s: %s" % (how, type(e).__name__, e))
