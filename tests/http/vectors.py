"""Hostile and odd requests, what RFC 9112 (and 9110) ask of a server for each, and where Node's
parser is of another opinion.

    V(name, bytes, wants, node)

`wants` is what the program answers, in order, and how it leaves the connection:
    "400"             the front refuses with this status and closes: nothing behind it is read
    "404 kept"        understood, answered with this status, and the connection goes on
    "a b kept"        these two JSON-RPC messages, each answered by its id
    "401 closed"      understood, and closed after the answer (a body was not read to its end)
    "waits"           not yet a whole request: no answer
`node` is None where Node's parser agrees about refusing; else why it does not.
"""

class Vector:
    def __init__(self, name, raw, wants, node):
        self.name, self.raw, self.node = name, raw, node
        words = wants.split()
        self.is_waiting = words == ["waits"]
        self.is_refused = len(words) == 1 and words[0].isdigit()
        self.is_kept = words[-1] == "kept"
        self.answers = [w for w in words if w not in ("kept", "closed", "waits")]


def message(request_id):
    """A request that is answered with its id; what a smuggler would like to have run."""
    return (b'{"jsonrpc":"2.0","id":"%s","method":"server/discover","params":{"_meta":{'
            b'"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
            b'"io.modelcontextprotocol/clientCapabilities":{}}}}' % request_id.encode())


def make(credential):
    """The table, with this agent's credential in it."""
    table = []

    def add(name, raw, wants, node=None):
        assert name not in {v.name for v in table}, name
        table.append(Vector(name, raw, wants, node))

    host = b"Host: 127.0.0.1\r\n"
    auth = (b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
            b"Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
            b"Mcp-Method: server/discover\r\n" % credential.encode())
    get = b"GET /nothing HTTP/1.1\r\n"
    post = b"POST /mcp HTTP/1.1\r\n" + host + auth
    a, b = message("a"), message("b")
    n = len(a)
    chunked = post + b"Transfer-Encoding: chunked\r\n\r\n"
    one = b"%x\r\n%s\r\n" % (n, a)

    def length(value):
        return post + b"Content-Length: " + value + b"\r\n\r\n" + a

    def field(line, wants, node=None, name=None):
        """A header line in an honest GET."""
        add(name or line.decode("latin-1").encode("unicode_escape").decode(),
            get + host + line + b"\r\n\r\n", wants, node)

    def line(text, wants, node=None, name=None):
        """A request line with an honest rest."""
        add(name or text.decode("latin-1").encode("unicode_escape").decode(),
            text + b"\r\n" + host + b"\r\n", wants, node)

    target = "its target is not checked by Node: what is no URI is the application's there"
    known = "Node knows the method; we serve seven, and no tunnels"
    hosts = "Node wants one Host and does not look what is in it"
    first = "Node drops the second Host silently; RFC 9112 3.2 asks for 400"
    behind = "Node reads nothing behind a request that has an Upgrade"
    lf = "Node takes a LF without CR where RFC 9112 2.2 lets a server do so"
    more = "Node sets no such limit"

    # ---- honest ones, so that refusing everything would be noticed
    add("plain get", get + host + b"\r\n", "404 kept")
    add("post with a length", length(b"%d" % n), "a kept")
    add("post in one chunk", chunked + one + b"0\r\n\r\n", "a kept")
    add("post in chunks of one byte", chunked + b"".join(b"1\r\n%c\r\n" % c for c in a) +
        b"0\r\n\r\n", "a kept")
    add("two posts", length(b"%d" % n) + post + b"Content-Length: %d\r\n\r\n%s" % (len(b), b),
        "a b kept")
    add("two posts, the first in chunks", chunked + one + b"0\r\n\r\n" + post +
        b"Content-Length: %d\r\n\r\n%s" % (len(b), b), "a b kept")
    add("twenty gets", (get + host + b"\r\n") * 20, "404 " * 20 + "kept")
    add("blank line before", b"\r\n" + get + host + b"\r\n", "404 kept")
    add("blank line between", get + host + b"\r\n\r\n" + get + host + b"\r\n", "404 404 kept")
    add("close is said", get + host + b"Connection: close\r\n\r\n", "404 closed")
    add("close in a list, other case", get + host + b"Connection: x, ClOsE\r\n\r\n", "404 closed")
    add("http/1.0", b"GET /nothing HTTP/1.0\r\n" + host + b"\r\n", "404 closed")
    add("http/1.0 without a host", b"GET /nothing HTTP/1.0\r\n\r\n", "403 closed")
    add("http/1.0 keep-alive is not taken up", b"GET /nothing HTTP/1.0\r\n" + host +
        b"Connection: keep-alive\r\n\r\n", "404 closed")
    add("chunk extensions and trailers", chunked + b"%x;a=b;c=\"d\"\r\n%s\r\n0;e\r\nHost: evil\r\n"
        b"Content-Length: 7\r\n\r\n" % (n, a), "a kept",
        "Node refuses a Content-Length in a trailer; RFC 9110 6.5.1 lets a recipient drop it, as "
        "we do with all of them")
    add("zeros before a length", length(b"00%d" % n), "a kept")
    add("absolute form", b"GET http://127.0.0.1/nothing HTTP/1.1\r\n" + host + b"\r\n", "404 kept")
    add("options for all", b"OPTIONS * HTTP/1.1\r\n" + host + b"\r\n", "404 kept")
    add("expect with the body behind", post + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
        % n + a, "a kept")
    add("obs-text in a value", get + host + b"X: caf\xe9 \xff\r\n\r\n", "404 kept")
    add("every character of a token in a name", get + host + b"!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n",
        "404 kept")

    # ---- 1. names that are the front of known ones must not swallow the line behind them
    for prefix in (b"X", b"A", b"C", b"T", b"Cook", b"X-", b"X-F", b"X-Forwarded-Fo", b"Sec-",
                   b"Content-Lengt", b"Transfer-Encodin", b"Hos", b"Authorizatio", b"Upgrad"):
        add("prefix %s, then a length" % prefix.decode(),
            post + prefix + b": y\r\nContent-Length: %d\r\n\r\n" % n + a +
            post + b"Content-Length: %d\r\n\r\n" % len(b) + b, "a b kept")
        add("prefix %s in a get with a body" % prefix.decode(),
            get + host + prefix + b": y\r\nContent-Length: %d\r\n\r\n" % len(get + host + b"\r\n") +
            get + host + b"\r\n", "404 closed")
    add("a name longer than Content-Length", post + b"Content-Lengthx: 3\r\nContent-Length: %d\r\n"
        b"\r\n" % n + a, "a kept")

    # ---- two lengths, or one that can be read in two ways
    smuggled = b"0\r\n\r\n" + post + b"Content-Length: %d\r\n\r\n%s" % (len(b), b)
    add("length and chunked", post + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" %
        len(smuggled) + smuggled, "400")
    add("chunked and length", post + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" %
        len(smuggled) + smuggled, "400")
    add("length zero and chunked", post + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"
        + one + b"0\r\n\r\n", "400")
    add("two lengths", post + b"Content-Length: %d\r\nContent-Length: 0\r\n\r\n" % n + a, "400")
    add("two equal lengths", post + b"Content-Length: %d\r\ncontent-length: %d\r\n\r\n" % (n, n) +
        a, "400")
    add("two lengths, one in another case", post + b"content-length: 0\r\nCONTENT-LENGTH: %d\r\n\r\n"
        % n + a, "400")
    for value in (b"%dx" % n, b"+%d" % n, b"-%d" % n, b"0x%x" % n, b"%d.0" % n, b"", b"%d %d" %
                  (n, n), b"%d, %d" % (n, n), b"%d,0" % n, b"%d;" % n, b'"%d"' % n, b"1e2",
                  b"18446744073709551616", b"9223372036854775808", b"\xd9\xa3",
                  b"%d\x0b" % n, b"%d\x00" % n):
        add("length " + (value.decode("latin-1").encode("unicode_escape").decode() or "empty"),
            length(value), "400",
            "Node counts up to 64 bits, we up to 63" if value == b"9223372036854775808" else None)
    for coding in (b"xchunked", b"identity", b"gzip", b"chunked, identity", b"chunked, chunked",
                   b"chunked;q=1", b", chunked", b"chunked,", b"", b'"chunked"', b"\x0bchunked",
                   b"chunked\x0b", b"chun\x00ked", b"chunked, gzip", b"chunked chunked"):
        add("coding " + (coding.decode("latin-1").encode("unicode_escape").decode() or "empty"),
            post + b"Transfer-Encoding: " + coding + b"\r\n\r\n" + one + b"0\r\n\r\n", "400",
            "Node skips an empty member of the list" if coding == b", chunked" else None)
    add("coding gzip, chunked", post + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + one +
        b"0\r\n\r\n", "501", "Node reads the chunks and leaves the gzip to the application")
    add("two codings", post + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" +
        one + b"0\r\n\r\n", "400")
    add("two codings, one known", post + b"Transfer-Encoding: identity\r\nTransfer-Encoding: "
        b"chunked\r\n\r\n" + one + b"0\r\n\r\n", "400",
        "Node takes them as one list; here it is two lines that somebody in front may not join")
    add("coding with a blank before the colon", post + b"Transfer-Encoding : chunked\r\n\r\n" +
        one + b"0\r\n\r\n", "400")
    add("coding with an underscore is another name", post + b"Transfer_Encoding: chunked\r\n"
        b"Content-Length: %d\r\n\r\n" % n + a, "a kept")
    add("folded coding", post + b"Transfer-Encoding:\r\n chunked\r\n\r\n" + one + b"0\r\n\r\n",
        "400")
    add("folded length", post + b"Content-Length:\r\n %d\r\n\r\n" % n + a, "400")
    add("coding in http/1.0", b"POST /mcp HTTP/1.0\r\n" + host + auth +
        b"Transfer-Encoding: chunked\r\n\r\n" + one + b"0\r\n\r\n", "400",
        "Node reads chunks of HTTP/1.0; RFC 9112 6.1 calls that framing faulty")
    add("http/1.0 post without length", b"POST /mcp HTTP/1.0\r\n" + host + auth + b"\r\n" + a,
        "411", "Node takes it for a post without a body")
    add("length over the limit", post + b"Content-Length: 4194305\r\n\r\n" + a, "413", more)
    add("trace with a length", b"TRACE /nothing HTTP/1.1\r\n" + host + b"Content-Length: 1\r\n\r\nx",
        "405", known)
    add("get with a body that is a request", get + host + b"Content-Length: %d\r\n\r\n" %
        len(get + host + b"\r\n") + get + host + b"\r\n", "404 closed")
    add("get in chunks that are a request", get + host + b"Transfer-Encoding: chunked\r\n\r\n" +
        b"%x\r\n" % len(get + host + b"\r\n") + get + host + b"\r\n\r\n0\r\n\r\n", "404 closed")
    add("post without a length has no body", post + b"\r\n" + get + host + b"\r\n",
        "400 404 kept")
    add("not signed in, with a body that is a request", b"POST /mcp HTTP/1.1\r\n" + host +
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" %
        len(get + host + b"\r\n") + get + host + b"\r\n", "401 closed")

    # ---- chunks
    for size in (b"", b"0x5", b"+5", b"-5", b" 5", b"5 ", b"5 ;a", b"g", b"10000000000000000",
                 b"00000000000000005", b"5\t", b"\xb9", b"5,", b"5;a\x00", b"5;a\x7f"):
        add("chunk size " + (size.decode("latin-1").encode("unicode_escape").decode() or "empty"),
            chunked + size + b"\r\nhello\r\n0\r\n\r\n", "400",
            "Node takes any number of zeros" if size == b"00000000000000005" else
            "Node skips blanks behind a size" if size in (b"5 ", b"5 ;a") else None)
    add("chunk size of 64 bits", chunked + b"ffffffffffffffff\r\nhello", "413", more)
    add("chunk size over the limit", chunked + b"400001\r\nhello", "413", more)
    add("lf behind a chunk size", chunked + b"5\nhello\r\n0\r\n\r\n", "400")
    add("cr alone behind a chunk size", chunked + b"5\rhello\r\n0\r\n\r\n", "400")
    add("lf in a chunk extension", chunked + b"5;a\nhello\r\n0\r\n\r\n", "400")
    add("cr in a chunk extension", chunked + b"5;a\rb\r\nhello\r\n0\r\n\r\n", "400")
    add("chunk longer than its size", chunked + b"5\r\nhello!\r\n0\r\n\r\n", "400")
    add("chunk shorter than its size", chunked + b"5\r\nhell\r\n0\r\n\r\n", "400")
    add("lf behind a chunk", chunked + b"5\r\nhello\n0\r\n\r\n", "400")
    add("cr alone behind a chunk", chunked + b"5\r\nhello\r0\r\n\r\n", "400")
    add("lf ends a chunked body", chunked + one + b"0\r\n\n", "400")
    add("folded trailer", chunked + one + b"0\r\nA: b\r\n c\r\n\r\n", "400")
    add("trailer with a blank before the colon", chunked + one + b"0\r\nA : b\r\n\r\n", "400")
    add("trailer that is a request", chunked + one + b"0\r\nGET / HTTP/1.1\r\n\r\n", "400")
    add("lf ends a trailer", chunked + one + b"0\r\nA: b\n\r\n", "400")
    add("extensions without end", chunked + b"5;" + b"e" * 400 + b"\r\nhello\r\n0\r\n\r\n", "400",
        "Node allows 16 KiB of extensions")
    add("trailers without end", chunked + b"0\r\n" + b"A: b\r\n" * 1000 + b"\r\n", "431",
        "Node's limit for trailers is the one for a head")

    # ---- line ends, folding, control characters, names
    add("lf for every line end", (get + host + b"\r\n").replace(b"\r\n", b"\n"), "400", lf)
    add("lf behind the request line", b"GET /nothing HTTP/1.1\n" + host + b"\r\n", "400", lf)
    add("lf behind a header", get + b"Host: 127.0.0.1\n\r\n", "400", lf)
    add("lf ends the head", get + host + b"\n", "400", lf)
    add("cr alone behind the request line", b"GET /nothing HTTP/1.1\r" + host + b"\r\n", "400")
    add("cr alone behind a header", get + b"Host: 127.0.0.1\r\r\n\r\n", "400")
    add("cr cr lf ends the head", get + host + b"\r\r\n", "400")
    add("cr in a value", get + host + b"A: b\rContent-Length: 3\r\n\r\n", "400")
    add("length behind a cr alone", post + b"A: b\rContent-Length: %d\r\n\r\n" % n + a, "400")
    add("length behind a lf alone", post + b"A: b\nContent-Length: %d\r\n\r\n" % n + a, "400", lf)
    field(b"A: b\r\n c", "400")
    field(b"A: b\r\n\tc", "400")
    field(b"A: b\r\n ", "400")
    add("blank before the first name", get + b" " + host + b"\r\n", "400")
    for name in (b"A ", b"A\t", b"A b", b"", b"A\x00", b"\xc3\xa9", b"a/b", b"a(b)", b"a@b",
                 b'"a"', b"a\x7f", b"a[", b"a,b"):
        field(name + b": b", "400")
    field(b"garbage", "400")
    field(b"A:\x00b", "400")
    field(b"A: b\x00c", "400")
    field(b"A: \x1b[31m", "400")
    field(b"A: \x7f", "400")
    field(b"A: \x0b", "400")
    field(b"A: \x08", "400")

    # ---- the request line
    line(b"\r\n\r\n" + get[:-2], "400", "Node skips any number of blank lines", "two blank lines before")
    line(b"\n" + get[:-2], "400", lf, "lf before")
    line(b"\r" + get[:-2], "400", "Node skips a CR in front", "cr before")
    line(b" " + get[:-2], "400", None, "blank before")
    line(b"GET /nothing", "400", "Node answers HTTP/0.9")
    line(b"GET  /nothing HTTP/1.1", "400", "Node skips blanks between method and target")
    line(b"GET\t/nothing HTTP/1.1", "400")
    line(b"GET /nothing  HTTP/1.1", "400", "Node skips blanks between target and version")
    line(b"GET /nothing\tHTTP/1.1", "400")
    line(b"GET /nothing HTTP/1.1 ", "400")
    line(b"GET /no thing HTTP/1.1", "400")
    line(b"GET /a\x00b HTTP/1.1", "400")
    line(b"GET /a\x7fb HTTP/1.1", "400")
    line(b"GET /a#b HTTP/1.1", "400", target)
    line(b"GET /a\\b HTTP/1.1", "400", target)
    line(b'GET /" HTTP/1.1', "400", target)
    line(b"GET /<a> HTTP/1.1", "400", target)
    line(b"GET /\xc3\xa9 HTTP/1.1", "400", target)
    line(b"GET /[a] HTTP/1.1", "400", target)
    line(b"GET /%zz HTTP/1.1", "400", target)
    line(b"GET /%2 HTTP/1.1", "400", target)
    line(b"GET /?%2 HTTP/1.1", "400", target)
    line(b"GET nothing HTTP/1.1", "400")
    line(b"GET * HTTP/1.1", "400", target)
    line(b"GET ftp://127.0.0.1/ HTTP/1.1", "400", target)
    line(b"GET http://evil.example/ HTTP/1.1", "400", target)
    line(b"GET http://u@127.0.0.1/ HTTP/1.1", "400", target)
    line(b"GET http:///nothing HTTP/1.1", "400", target)
    line(b"GET /../etc/passwd HTTP/1.1", "404 kept")
    line(b"GET /mcp%2fws HTTP/1.1", "404 kept")
    line(b"GET //mcp HTTP/1.1", "404 kept")
    line(b"GET /api/v1/../../mcp HTTP/1.1", "401 kept")
    line(b"GET / HTTP/2.0", "505", "Node answers it as if it were 1.1")
    line(b"GET / HTTP/1.2", "505")
    line(b"GET / HTTP/0.9", "505", "Node answers HTTP/0.9 that is written like 1.1")
    line(b"GET / HTTP/3.7", "505")
    line(b"GET / HTTP/1.10", "400")
    line(b"GET / HTTP/1", "400")
    line(b"GET / HTTP/1,1", "400")
    line(b"GET / http/1.1", "400")
    line(b"GET / HTTP /1.1", "400")
    line(b"GET / RTSP/1.0", "400", "Node's parser reads RTSP as well")
    line(b"GET / ICE/1.0", "400")
    line(b"get /nothing HTTP/1.1", "501")
    line(b"CONNECT 127.0.0.1:22 HTTP/1.1", "501", known)
    line(b"CONNECT / HTTP/1.1", "501", known)
    line(b"TRACE /nothing HTTP/1.1", "405", known)
    line(b"PROPFIND /nothing HTTP/1.1", "501", known)
    line(b"M-SEARCH * HTTP/1.1", "501", known)
    line(b"X" * 33 + b" / HTTP/1.1", "501")
    line(b"G\x00T / HTTP/1.1", "400")
    line(b"GET: / HTTP/1.1", "400")
    add("http/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0", "505")
    add("tls on a clear port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xa5" * 32,
        "400")
    add("socks 5", b"\x05\x01\x00", "400")
    add("proxy protocol 1", b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get + host + b"\r\n", "400")
    add("proxy protocol 2", b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\0" + get + host + b"\r\n", "400")
    add("smtp", b"EHLO example.com\r\n", "400")
    add("redis", b"*1\r\n$4\r\nPING\r\n", "400")

    # ---- Host
    add("no host", get + b"\r\n", "400")
    add("two hosts", get + host + b"Host: evil.example\r\n\r\n", "400", first)
    add("two equal hosts", get + host + host + b"\r\n", "400", first)
    add("foreign host", get + b"Host: evil.example\r\n\r\n", "403 kept")
    add("foreign host in the target too", b"GET http://evil.example/nothing HTTP/1.1\r\n"
        b"Host: evil.example\r\n\r\n", "403 kept")
    add("http/1.0 with two hosts", b"GET / HTTP/1.0\r\n" + host + host + b"\r\n", "400",
        "Node asks for a Host in HTTP/1.1 only, and keeps the first")
    for value in (b"127.0.0.1, evil.example", b"", b"u@127.0.0.1", b"127.0.0.1/b", b"127.0.0.1?b",
                  b"127%2e0.0.1", b"127.0.0.1 evil.example", b"127.0.0.1:", b"127.0.0.1:65536",
                  b"127.0.0.1:+80", b"127.0.0.1:80:80", b":80", b"[::1", b"[]", b"[localhost]",
                  b"[::1]x", b"\xe2\x93\x9b"):
        add("host " + (value.decode("latin-1").encode("unicode_escape").decode() or "empty"),
            get + b"Host: " + value + b"\r\n\r\n", "400", hosts)

    # ---- upgrades that are none, and expectations
    field(b"Connection: upgrade\r\nUpgrade: bogus", "404 kept", behind, "upgrade: bogus")
    add("a get, then upgrade: bogus", get + host + b"\r\n" + get + host +
        b"Connection: upgrade\r\nUpgrade: bogus\r\n\r\n", "404 404 kept", behind)
    add("h2c with settings", get + host + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", "404 kept", behind)
    add("h2c at the websocket", b"GET /mcp/ws HTTP/1.1\r\n" + host +
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "426 kept", behind)
    add("upgrade: websocket elsewhere", get + host + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "404 kept", behind)
    add("upgrade: bogus at the websocket", b"GET /mcp/ws HTTP/1.1\r\n" + host + auth +
        b"Connection: Upgrade\r\nUpgrade: bogus\r\n\r\n", "426 kept", behind)
    add("upgrade: tls", get + host + b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n", "404 kept",
        behind)
    field(b"Expect: 200-ok", "417")
    field(b"Expect: 100-continue, x", "417", "Node takes a list that begins so")
    field(b"Expect: 100-continue\r\nExpect: 100-continue", "417",
          "Node takes the first and drops the second")

    # ---- huge
    line(b"GET /" + b"a" * 8200 + b" HTTP/1.1", "414", "Node's limit is the one for the whole head",
         "target of 8200 bytes")
    add("101 headers", get + host + b"A: b\r\n" * 101 + b"\r\n", "431",
        "Node keeps 2000 headers and drops the others silently")
    add("a head of 17 KB in one header", get + host + b"A: " + b"b" * 17000 + b"\r\n\r\n", "431")
    add("a head of 17 KB in one name", get + host + b"b" * 17000 + b": b\r\n\r\n", "431")
    add("a head of 17 KB of blanks", get + host + b"A:" + b" " * 17000 + b"\r\n\r\n", "431",
        "Node does not count blanks in front of a value")
    add("a method of 17 KB", b"A" * 17000, "501")
    add("a head without end of 40 KB", get + host + b"A: b\r\n" * 90 + b"C: " + b"d" * 40000, "431")

    # ---- not whole
    add("half a method", b"GE", "waits")
    add("head without its end", get + host, "waits")
    add("body without its end", post + b"Content-Length: 100000\r\n\r\n" + a[:-1], "waits")
    add("chunk without its end", chunked + b"fff\r\n" + a, "waits")
    return table


def marker(credential):
    """The request that is sent behind each of them."""
    body = message("marker")
    return (b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
            b"Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            b"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: server/discover\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (credential.encode(), len(body), body))
