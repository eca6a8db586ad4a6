"""Peers that are slow on purpose, a crowd of them, and a good client beside them; and what works in
the packaged libwebsockets must work in the HTTP layer that stands in its place."""
import hashlib
import json
import resource
import select
import socket
import threading
import time

import frames
from harness import wait_for
from peer import Peer

HEAD_S, WINDOW_S = 10, 10   # runtime/io/http_server.c: time for a head, window of a body's rate
SLACK_S = 6                 # a loaded machine with sanitizers


def timed(raw, drip, every, port, wanted, least, most):
    """Sends raw, then a piece of `drip` again and again until an answer comes."""
    with Peer(port) as peer:
        from_ = time.monotonic()
        peer.send(raw)
        while not peer.buf and not peer.is_over:
            assert time.monotonic() - from_ < most, "nothing came within %s s" % most
            if drip:
                peer.send(drip)
            peer.more(every)
        took = time.monotonic() - from_
        answer = peer.answer()
        assert (answer and answer.status) == wanted, answer
        assert answer is None or answer.head["connection"] == "close", answer.head
        assert answer is None or peer.answer() is None
        assert least <= took <= most, "it took %.1f s" % took


def slow_cases(credential):
    """(name, function of the port): peers that drip; each takes some ten seconds."""
    host = b"Host: 127.0.0.1\r\n"
    post = (b"POST /mcp HTTP/1.1\r\n" + host + b"Authorization: Bearer " + credential.encode() +
            b"\r\nContent-Type: application/json\r\n")
    head = (HEAD_S - 1, HEAD_S + SLACK_S)
    body = (WINDOW_S - 1, WINDOW_S + SLACK_S)
    return [
        ("nothing at all", lambda p: timed(b"", b"", 1, p, None, *head)),
        ("half a head", lambda p: timed(b"GET / HTTP/1.1\r\n" + host, b"", 1, p, 408, *head)),
        ("a head in drops", lambda p: timed(b"GET / HTTP/1.1\r\n" + host, b"A: b\r\n", 0.3, p, 408,
                                            *head)),
        ("a method in drops", lambda p: timed(b"G", b"E", 0.9, p, 408, *head)),
        ("a body in drops", lambda p: timed(post + b"Content-Length: 100000\r\n\r\n", b"x", 0.2, p,
                                            408, *body)),
        ("chunks in drops", lambda p: timed(post + b"Transfer-Encoding: chunked\r\n\r\n",
                                            b"1\r\nx\r\n", 0.2, p, 408, *body)),
        ("trailers in drops", lambda p: timed(post + b"Transfer-Encoding: chunked\r\n\r\n0\r\n",
                                              b"A: b\r\n", 0.3, p, 408, *body)),
        ("a second head in drops", second_head_in_drops),
    ]


def second_head_in_drops(port):
    """The time for a head counts for each request of a connection."""
    with Peer(port) as peer:
        peer.send(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert peer.answer().status == 404
        from_ = time.monotonic()
        while not peer.buf and not peer.is_over:
            peer.send(b"A")
            peer.more(0.3)
            assert time.monotonic() - from_ < HEAD_S + SLACK_S
        assert peer.answer().status in (408, 501)


# ---------------------------------------------------------------- a crowd
class Good(threading.Thread):
    """A client that asks all the time; `worst` is its longest wait."""

    def __init__(self, port, request):
        super().__init__(daemon=True)
        self.port, self.request = port, request
        self.count, self.worst, self.failure = 0, 0.0, None
        self.is_ending = threading.Event()

    def run(self):
        try:
            while not self.is_ending.wait(0.02):
                from_ = time.monotonic()
                with Peer(self.port) as peer:  # a new connection each time: it must be accepted
                    peer.send(self.request)
                    answer = peer.answer()
                    assert answer.status == 200, answer
                self.worst = max(self.worst, time.monotonic() - from_)
                self.count += 1
        except Exception as e:
            self.failure = "%s: %s" % (type(e).__name__, e)

    def end(self):
        self.is_ending.set()
        self.join(30)
        assert not self.failure, self.failure
        assert self.count >= 20, "only %d requests were served" % self.count


def open_connections(rt):
    text = rt.metrics()[1]
    return sum(float(line.split()[-1]) for line in text.splitlines()
               if line.startswith("flopinio_http_connections_open"))


def flood(rt, request, crowd):
    """So many connections that send a head drop by drop: each is closed with 408 when its time is
    out, a good client is served within a second or so meanwhile, and nothing is left of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    want = min(hard, crowd + 200)
    if soft < want:
        resource.setrlimit(resource.RLIMIT_NOFILE, (want, hard))
    wait_for("the others to be gone", lambda: open_connections(rt) <= 5, 20)
    socks, ended, answered = [], 0, 0
    good = Good(rt.port, request)
    good.start()
    from_ = time.monotonic()
    for i in range(crowd):
        s = socket.create_connection(("127.0.0.1", rt.port), timeout=30)
        s.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nA: ")
        s.setblocking(False)
        socks.append(s)
    opened = time.monotonic() - from_
    wait_for("the crowd to be counted", lambda: open_connections(rt) >= crowd * 0.9, 5)
    poll = select.poll()
    by_fd = {s.fileno(): s for s in socks}
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    dripped = time.monotonic()
    while by_fd and time.monotonic() - from_ < opened + HEAD_S + SLACK_S + 10:
        for fd, _ in poll.poll(200):
            try:
                said = by_fd[fd].recv(4096)
            except OSError:
                said = b""
            if said:
                answered += said.startswith(b"HTTP/1.1 408 ")
                continue
            ended += 1
            poll.unregister(fd)
            by_fd.pop(fd).close()
        if time.monotonic() - dripped > 1:
            dripped = time.monotonic()
            for s in by_fd.values():
                try:
                    s.send(b"x")
                except OSError:
                    pass
    good.end()
    print("    %d slow connections opened in %.1f s; %d were told 408; meanwhile %d good requests, "
          "the slowest %.2f s" % (crowd, opened, answered, good.count, good.worst))
    for s in by_fd.values():
        s.close()
    assert ended == crowd, "%d of %d are still open" % (crowd - ended, crowd)
    assert answered == crowd, "%d of %d were told why" % (answered, crowd)
    assert good.worst < 3, "a good client waited %.1f s" % good.worst
    wait_for("all of them to be gone", lambda: open_connections(rt) <= 5, 10)


# ---------------------------------------------------------------- what must work
def bodies(port, credential, count=60):
    """So many at the same time, of 0 to 1.5 MB, with a length and in chunks: what comes back says
    that each byte arrived (the tool's error names the tool that was asked for)."""
    failures = []

    def one(i):
        try:
            size = i * 1500000 // (count - 1)
            name = hashlib.sha256(b"%d" % i).hexdigest()[:40]
            meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
                    "io.modelcontextprotocol/clientCapabilities": {}}
            body = json.dumps({"jsonrpc": "2.0", "method": "tools/call", "params": {
                "arguments": {"x": "y" * size}, "_meta": meta, "name": "s__" + name},
                "id": name}).encode()
            head = (b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n"
                    b"Content-Type: application/json\r\nMCP-Protocol-Version: 2026-07-28\r\n"
                    b"Accept: application/json, text/event-stream\r\nMcp-Method: tools/call\r\n"
                    b"Mcp-Name: s__%s\r\n" % (credential.encode(), name.encode()))
            with Peer(port) as peer:
                if i % 2:
                    peer.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
                    for at in range(0, len(body), 70001):
                        piece = body[at:at + 70001]
                        peer.send(b"%x\r\n%s\r\n" % (len(piece), piece))
                    peer.send(b"0\r\n\r\n")
                else:
                    peer.send(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                answer = peer.answer()
                found = json.loads(answer.body)
                assert found["id"] == name and name in found["error"]["message"], answer
        except Exception as e:
            failures.append("body %d: %s: %s" % (i, type(e).__name__, e))
    in_threads(one, range(count), 12)
    assert not failures, failures[:3]


def in_threads(work, items, count):
    todo = list(items)
    lock = threading.Lock()

    def run():
        while True:
            with lock:
                if not todo:
                    return
                item = todo.pop(0)
            work(item)
    threads = [threading.Thread(target=run) for _ in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def websocket(port, credential):
    peer = Peer(port)
    peer.send(frames.upgrade(credential, **{"Sec-WebSocket-Extensions": b"permessage-deflate"}))
    frames.check_upgrade(peer.answer())
    return peer


def large_messages(port, credential):
    """1 MB in one frame, and in frames of all sizes; a message that compression would have made
    small is answered too (with libwebsockets' own, it hung)."""
    with websocket(port, credential) as peer:
        text = frames.ping("l") + b" " * 1000000
        peer.send(frames.frame(1, text, mask=b"\0\0\0\0"))
        frames.check_answers(peer, ["T:l"])
        at, size, out = 0, 1, b""
        while at < len(text):
            piece = text[at:at + size]
            out += frames.frame(1 if at == 0 else 0, piece, fin=at + size >= len(text))
            at, size = at + size, size * 2 + 1
        peer.send(out)
        frames.check_answers(peer, ["T:l"])
        peer.send(frames.frame(1, frames.ping("c")[:-1] + b',"params":{"x":"%s"}}' % (b"x" * 20000)))
        frames.check_answers(peer, ["T:c"])
        peer.send(frames.frame(1, frames.ping("z") + b" " * (frames.LIMIT - len(frames.ping("z")))))
        frames.check_answers(peer, ["T:z"])
        peer.send(frames.frame(1, b"", announce=frames.LIMIT + 1))
        frames.check_answers(peer, ["C:1009"])


def many_websockets(port, credential, count=100, rounds=20):
    peers = [websocket(port, credential) for _ in range(count)]
    for turn in range(rounds):
        for i, peer in enumerate(peers):
            peer.send(frames.frame(1, frames.ping("%d-%d" % (turn, i))))
        for i, peer in enumerate(peers):
            frames.check_answers(peer, ["T:%d-%d" % (turn, i)])
    for peer in peers:
        peer.close()


def pool_is_not_eaten(port, request):
    """Half a hundred half-open requests: the next one is answered at once (a pool of four slots
    for heads once delayed it by ten seconds)."""
    half = [Peer(port) for _ in range(50)]
    for peer in half:
        peer.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    from_ = time.monotonic()
    with Peer(port) as peer:
        peer.send(request)
        assert peer.answer().status == 200
    took = time.monotonic() - from_
    for peer in half:
        peer.close()
    assert took < 3, "it took %.1f s" % took


def resets(port, request):
    """Connections that are reset in the middle of everything do no harm."""
    for cut in list(range(1, len(request), 7)) * 2:
        peer = Peer(port)
        peer.send(request[:cut])
        peer.reset()
    with Peer(port) as peer:
        peer.send(request)
        assert peer.answer().status == 200
