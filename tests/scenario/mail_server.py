"""What the fake mail servers are made of: a certificate authority, connections of lines with STARTTLS or TLS,
the faults that both have (fake_mail.py, fake_imap.py)."""
import atexit
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time

from harness import wait_for

IDLE_S = 60
OPENSSL = """[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[good]
basicConstraints = CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:localhost, IP:127.0.0.1
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[elsewhere]
basicConstraints = CA:FALSE
subjectAltName = DNS:elsewhere.example
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


class Authority:
    """A certificate authority, in a directory that goes with the process. Its certificates: `good` is
    localhost's, `elsewhere` that of another name, `stranger` localhost's by nobody in particular."""
    _only = None

    @classmethod
    def get(cls):
        cls._only = cls._only or cls()
        return cls._only

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="flopinio-scenario-%d-" % os.getpid())
        atexit.register(shutil.rmtree, self.dir, True)
        os.chmod(self.dir, 0o755)
        with open(self.dir + "/conf", "w") as f:
            f.write(OPENSSL)
        self.file = self.dir + "/ca.pem"
        self.make("ca", "ca", "flopinio test authority")
        self.make("stranger", "good", "localhost")
        for name in ("good", "elsewhere"):
            self.make(name, name, "localhost", "ca")

    def make(self, name, section, subject, by=None):
        at = self.dir + "/"
        request = ["openssl", "req", "-config", at + "conf", "-newkey", "ec", "-pkeyopt",
                   "ec_paramgen_curve:P-256", "-nodes", "-keyout", at + name + ".key", "-subj",
                   "/CN=" + subject]
        if by is None:
            commands = [request + ["-x509", "-days", "2", "-extensions", section, "-out",
                                   at + name + ".pem"]]
        else:
            commands = [request + ["-out", at + name + ".csr"],
                        ["openssl", "x509", "-req", "-in", at + name + ".csr", "-CA",
                         at + by + ".pem", "-CAkey", at + by + ".key", "-CAcreateserial", "-days",
                         "2", "-extfile", at + "conf", "-extensions", section, "-out",
                         at + name + ".pem"]]
        for command in commands:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        os.chmod(at + name + ".key", 0o644)     # servers that run as other users read it

    def files(self, name="good"):
        return "%s/%s.pem" % (self.dir, name), "%s/%s.key" % (self.dir, name)

    def context(self, name):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*self.files(name))
        return context


class End(Exception):
    """The connection is over."""


# ---------------------------------------------------------------- what both servers are
class Connection:
    """Lines in and out, in clear or not."""

    def __init__(self, server, sock):
        self.server, self.sock, self.buffer, self.is_tls = server, sock, b"", False
        sock.settimeout(IDLE_S)
        if server.tls == "tls":
            self.shake_hands()

    def wrong(self, what, *more):
        self.server.wrong(what, *more)

    def shake_hands(self):
        if self.buffer:
            self.wrong("bytes in clear behind STARTTLS", self.buffer)
        self.buffer = b""
        try:
            context = self.server.authority.context(self.server.certificate)
            self.sock = context.wrap_socket(self.sock, server_side=True)
        except (OSError, ssl.SSLError):
            self.server.distrusted += 1
            raise End
        self.is_tls = True

    def fill(self):
        try:
            more = self.sock.recv(65536)
        except (OSError, ValueError):
            raise End
        if not more:
            raise End
        self.buffer += more
        if self.buffer.startswith((b"POST /", b"GET /")):
            raise End   # of a test beside, whose chat had this port and is gone

    def line(self, limit, what):
        """Without its CRLF."""
        while b"\n" not in self.buffer:
            if len(self.buffer) > 1 << 20:
                raise End
            self.fill()
        line, self.buffer = self.buffer.split(b"\n", 1)
        if not line.endswith(b"\r"):
            self.wrong("a bare LF in " + what, line)
        line = line[:-1] if line.endswith(b"\r") else line
        if b"\r" in line or b"\0" in line:
            self.wrong("a bare CR or a NUL in " + what, line)
        if len(line) + 2 > limit:
            self.wrong("%s of %d octets" % (what, len(line) + 2), line[:80])
        return line

    def exactly(self, count):
        while len(self.buffer) < count:
            self.fill()
        taken, self.buffer = self.buffer[:count], self.buffer[count:]
        return taken

    def send(self, data):
        if self.server.delay_s:
            time.sleep(self.server.delay_s)
        try:
            self.sock.sendall(data)
        except (OSError, ValueError):
            raise End


class Server:
    def __init__(self, tls="starttls", user=None, password=None, certificate="good"):
        self.authority = Authority.get()
        self.ca = self.authority.file
        self.tls, self.user, self.password, self.certificate = tls, user, password, certificate
        self.lock = threading.Condition(threading.RLock())
        self.violations = []
        self.connections = 0     # that were made
        self.distrusted = 0      # of those, handshakes that the client broke off
        self.commands = []       # every command line, passwords left out
        # faults
        self.starttls = "works"  # or: hidden, refused, injects (a second answer in clear behind it)
        self.delay_s = 0         # before each answer
        self.is_down = False     # connections are closed at once
        self.is_deaf = False     # connections are taken, and nothing is said
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.is_over, self.open = False, set()
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
        if exc[0] is None:
            assert not self.violations, self.violations[:3]

    def close(self):
        self.is_over = True
        self.listener.close()
        self.end_connections()

    def end_connections(self):
        """As when a server falls over."""
        with self.lock:
            for sock in list(self.open):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def wrong(self, what, *more):
        with self.lock:
            self.violations.append(" ".join([what] + ["%.300r" % m for m in more]))

    def accept(self):
        while not self.is_over:
            try:
                sock = self.listener.accept()[0]
            except OSError:
                return
            with self.lock:
                self.connections += 1
                self.open.add(sock)
            threading.Thread(target=self.run, args=(sock,), daemon=True).start()

    def run(self, sock):
        conn = None
        try:
            if self.is_deaf:
                wait_for("the end of the silence", lambda: self.is_over or not self.is_deaf, IDLE_S,
                         0.05)
            if not self.is_down:
                conn = Connection(self, sock)
                self.talk(conn)
        except (End, AssertionError):
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            for s in (conn.sock if conn else sock, sock):
                try:
                    s.close()
                except OSError:
                    pass

    def credentials_are(self, user, password):
        return (user, password) == (self.user, self.password)
