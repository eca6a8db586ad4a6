"""A raw client: bytes out in pieces of the test's choice, answers in, and how the connection ends."""
import socket
import struct
import time

SECONDS = 15  # for whatever must come


class Answer:
    def __init__(self, status, head, body):
        self.status, self.head, self.body = status, head, body

    def __repr__(self):
        return "%s %r" % (self.status, self.body[:80])


class Peer:
    def __init__(self, port, address="127.0.0.1"):
        self.sock = socket.create_connection((address, port), timeout=SECONDS)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""
        self.is_over = False   # the peer has said all
        self.is_reset = False

    def send(self, raw, pieces=1):
        """Whole, or in so many pieces with a pause between. A peer that has closed is no failure."""
        size = max(1, -(-len(raw) // pieces))
        for at in range(0, len(raw), size):
            try:
                self.sock.sendall(raw[at:at + size])
            except OSError:
                return
            if pieces > 1:
                time.sleep(0.0007)

    def more(self, seconds=SECONDS):
        """Reads once; False when nothing came in time or nothing will come."""
        if self.is_over:
            return False
        self.sock.settimeout(seconds)
        try:
            piece = self.sock.recv(65536)
        except socket.timeout:
            return False
        except OSError:
            self.is_over = self.is_reset = True
            return False
        self.buf += piece
        self.is_over = not piece
        return bool(piece)

    def need(self, n):
        while len(self.buf) < n:
            if not self.more():
                raise EOFError("%d bytes are missing behind %r" % (n - len(self.buf), self.buf[-80:]))
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def line(self):
        while b"\r\n" not in self.buf:
            if not self.more():
                raise EOFError("a line does not end: %r" % self.buf[-80:])
        out, self.buf = self.buf.split(b"\r\n", 1)
        return out

    def answer(self):
        """The next final response, or None at the end of the connection."""
        while True:
            if not self.buf and not self.more():
                if self.is_over:
                    return None
                raise TimeoutError("no answer within %s s" % SECONDS)
            first = self.line()
            assert first.startswith(b"HTTP/1.1 "), first
            head = {}
            for line in iter(self.line, b""):
                name, _, value = line.partition(b": ")
                head[name.decode().lower()] = value.decode()
            status = int(first.split()[1])
            if status == 101 or status >= 200:
                return Answer(status, head, self.body(head) if status != 101 else b"")

    def body(self, head):
        if head.get("transfer-encoding") != "chunked":
            return self.need(int(head.get("content-length", 0)))
        whole = b""
        while True:
            n = int(self.line(), 16)
            whole += self.need(n)
            assert self.line() == b""
            if n == 0:
                return whole

    def finish(self):
        """Says that nothing more comes from here."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def is_silent(self, seconds):
        """Neither a byte nor the end comes."""
        return not self.buf and not self.more(seconds) and not self.is_over

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
