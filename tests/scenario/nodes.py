"""More nodes on the database of a Runtime, and system calls at which their processes are killed.

    node = Node(rt, lease_time="1s")     one worker of its own supervisor, on rt's private database
    with Trace(node.worker(), "sendto", 7, "signal=KILL"): ...
    with behind_a_line(rt) as (line, node): ...
"""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import urllib.parse

from cases import Skip
from harness import BUILD, Runtime, children_of, wait_for


class Node(Runtime):
    """Another host: its own supervisor, ports and data directory; the database and the keys of rt.
    program: another one than the build's."""

    def __init__(self, rt, program=None, url=None, **settings):
        self.first = rt
        self.program = program or BUILD + "/flopinio"
        more = dict({"workers": 1, "database_connections": 4,
                     "keys_file": rt.data + "/secrets/keys"}, **settings)
        super().__init__(start=False, database_url=url or private_url(rt), **more)

    def command(self):
        return [self.program] + super().command()[1:]

    def spawn(self):
        """What the first node knows of the database comes along, as docs/operator.md says."""
        if not os.path.exists(self.data + "/epoch"):
            os.makedirs(self.data, exist_ok=True)
            shutil.copy(self.first.data + "/epoch", self.data + "/epoch")
        super().spawn()

    def connect(self, role="super"):
        return self.first.connect(role)

    def worker(self):
        return wait_for("a worker", self.workers)[0]

    def plugin_host(self):
        found = self.plugin_processes()
        return found[0] if found else None

    def respawn(self, since, timeout=30):
        """The worker that was killed behind log position `since` is followed at once by another:
        SIGUSR2 does not wait as the supervisor does when workers die again and again. On a busy
        machine it was quicker, and the new one need not be replaced."""
        if " worker_ready " not in self.log(since):
            self.process.send_signal(signal.SIGUSR2)
        wait_for("a new worker", lambda: " worker_ready " in self.log(since), timeout)


def private_url(rt, directory=None):
    """directory: where the socket is, if not the database's own."""
    with open(rt.data + "/secrets/database-app") as f:
        secret = f.read().strip()
    return "postgresql://flopinio_app:%s@/flopinio?host=%s" % (
        urllib.parse.quote(secret, safe=""),
        urllib.parse.quote(directory or rt._socket_dir(), safe=""))


class Line:
    """A socket between a node and the private database of rt, which can lose what goes through. The
    client sees its end closed, while the server's end stays open and has seen nothing."""

    SOCKET = "/.s.PGSQL.5432"

    def __init__(self, rt):
        self.rt, self.directory = rt, tempfile.mkdtemp(prefix="line-", dir=rt.base)
        os.chmod(self.directory, 0o755)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.directory + self.SOCKET)
        os.chmod(self.directory + self.SOCKET, 0o777)
        self.listener.listen(64)
        self.lock = threading.Lock()
        self.open, self.is_cut = [], False
        self.word, self.delivers = None, False  # what is waited for, and what happens then
        self.passes = None  # or it is only late: the event that lets it through
        self.kept = self.far = self.backend = None
        self.has_hit = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def keep(self, word):
        """The next piece with this in it does not come to the server until let_go(), and its client's
        end is closed. Other connections work."""
        self.word, self.delivers, self.passes = word, False, None

    def hold(self, word):
        """The next piece with this in it, and what follows on its connection, comes to the server when
        the event that this returns is set."""
        self.word, self.passes = word, threading.Event()
        self.has_hit.clear()
        return self.passes

    def cut_off(self, word):
        """The next piece with this in it comes to the server, its answer to nobody: all connections are
        closed, and none is made before mend()."""
        self.word, self.delivers, self.passes = word, True, None

    def let_go(self):
        """What was kept comes to the server, if that still listens. Returns when it is through."""
        assert self.has_hit.wait(10), "nothing was kept"
        at = self.rt.sql("SELECT clock_timestamp() AS at")[0]["at"]
        with contextlib.suppress(OSError):
            self.far.sendall(self.kept)
        wait_for("the server to be through with it", lambda: not self.rt.sql(
            "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND NOT (state = 'idle' AND state_change "
            "> %s)", self.backend, at), every=0.005)

    def hang_up(self):
        """The server sees the end of the connection of which something was kept, too."""
        shut(self.far)

    def mend(self):
        self.is_cut = False

    def end(self):
        self.listener.close()
        with self.lock:
            for s in self.open:
                s.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                with self.lock:
                    if self.is_cut:
                        near.close()
                        continue
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(self.rt._socket_dir() + self.SOCKET)
                    self.open += [near, far]
                said = bytearray()  # by the server while the connection begins
                threading.Thread(target=self._up, args=(near, far, said), daemon=True).start()
                threading.Thread(target=self._down, args=(near, far, said), daemon=True).start()

    def _lose(self, near, far, said, piece):
        self.word = None
        self.backend = int.from_bytes(re.search(rb"K\0\0\0\x0c(.{4})", said, re.S).group(1), "big")
        while not piece.endswith(b"S\0\0\0\x04"):  # a Sync: all of the transaction
            more = near.recv(1 << 20)
            if not more:
                break
            piece += more
        self.far, self.kept = far, piece
        if self.delivers:
            self.is_cut = True
            for s in self.open:
                if s is not far:
                    shut(s)
            far.sendall(piece)
        else:
            shut(near)
        self.has_hit.set()

    def _up(self, near, far, said):
        tail = b""
        with contextlib.suppress(OSError):
            while True:
                piece = near.recv(1 << 20)
                if not piece:
                    break
                passes = None
                with self.lock:
                    if self.word and self.word in tail + piece:
                        if not self.passes:
                            self._lose(near, far, said, piece)
                            return
                        self.word, passes = None, self.passes
                        self.has_hit.set()
                if passes:
                    passes.wait(30)
                far.sendall(piece)
                tail = piece[-64:]
        shut(far)

    def _down(self, near, far, said):
        with contextlib.suppress(OSError):
            while True:
                piece = far.recv(1 << 20)
                if not piece:
                    break
                if len(said) < 8192:
                    said += piece
                with contextlib.suppress(OSError):
                    near.sendall(piece)
        shut(near)


def shut(s):
    with contextlib.suppress(OSError):
        s.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def behind_a_line(rt, **settings):
    """(line, node): a node whose database is at the other end of it."""
    line = Line(rt)
    node = Node(rt, url=private_url(rt, line.directory), **settings)
    try:
        node.start()
        yield line, node
    finally:
        line.mend()
        node.stop()
        node.remove()
        line.end()


class Trace:
    """strace on processes that run, until the block ends. With a name and a number it does `what` to
    them at their n-th call of that name since now (each process counts for itself); without, it
    notes the calls of one process: names() in their order. Threads beside the first are not looked
    at: the loop is the first one."""

    def __init__(self, pids, name=None, nth=None, what="signal=KILL", out="/dev/null"):
        pids = [pids] if isinstance(pids, int) else list(pids)
        args = ["strace", "-o", out]
        for pid in pids:
            args += ["-p", str(pid)]
        if name:
            args += ["-e", "trace=" + name, "-e", "inject=%s:%s:when=%d" % (name, what, nth)]
        self.out = out
        try:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                            text=True)
        except FileNotFoundError:
            raise Skip("there is no strace here") from None
        left, said = len(pids), ""
        while left:
            line = self.process.stderr.readline()
            said += line
            if not line:
                self.process.wait()
                if "Operation not permitted" in said:
                    raise Skip("strace may not look at processes here: " + said)
                raise LookupError(said)  # it is gone already
            left -= line.rstrip().endswith(" attached")

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(10)
        self.process.stderr.close()

    def names(self):
        self.end()
        with open(self.out) as f:
            return re.findall(r"^(\w+)\(", f.read(), re.M)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def backends(sql):
    """Process numbers of PostgreSQL's backends that serve workers."""
    return [r["pid"] for r in sql(
        "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'flopinio-%%' AND "
        "backend_type = 'client backend' ORDER BY backend_start")]


def postgres_processes(rt):
    postmaster = rt.postmaster()
    return [postmaster] + children_of(postmaster) if postmaster else []

