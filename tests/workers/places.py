"""Nodes in other places: behind a network of their own, behind a slow wire, with other clocks."""
import contextlib
import ctypes
import itertools
import mmap
import os
import socket
import struct
import subprocess
import threading
import time

from cases import Skip
from harness import ROOT
from nodes import Node
from test_database import OwnServer

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count(1)


def ip(*args):
    done = subprocess.run(("ip",) + args, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise Skip("no network namespace here: ip %s: %s" % (" ".join(args), done.stdout.strip()))


class Namespace:
    """A network namespace with one cable: `outside` and `inside` are the addresses of its ends.
    In `with ns:` the sockets that this thread makes are inside."""

    def __init__(self):
        if os.geteuid():
            raise Skip("network namespaces need root")
        self.home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        n = next(_serial)
        self.name = "fl-%d-%d" % (os.getpid(), n)
        self.cable = "fl%do%d" % (os.getpid() % 100000, n)
        self.outside, self.inside = ("10.%d.%d.%d" % (64 + os.getpid() % 64,
                                                      os.getpid() // 64 % 250, 4 * n + i)
                                     for i in (1, 2))
        ip("netns", "add", self.name)
        try:
            ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
            ip("addr", "add", self.outside + "/30", "dev", self.cable)
            ip("link", "set", self.cable, "up")
            ip("-n", self.name, "addr", "add", self.inside + "/30", "dev", "eth0")
            ip("-n", self.name, "link", "set", "eth0", "up")
            ip("-n", self.name, "link", "set", "lo", "up")
        except Skip:
            self.remove()
            raise

    def remove(self):
        subprocess.run(["ip", "link", "del", self.cable], stderr=subprocess.DEVNULL)
        subprocess.run(["ip", "netns", "del", self.name], stderr=subprocess.DEVNULL)

    def cut(self):
        """Nothing gets through any more, in neither direction; nobody is told."""
        ip("link", "set", self.cable, "down")

    def mend(self):
        ip("link", "set", self.cable, "up")

    def cut_answers(self):
        """What comes from inside arrives; what goes back in is lost."""
        ip("route", "add", "blackhole", self.inside + "/32")

    def mend_answers(self):
        ip("route", "del", "blackhole", self.inside + "/32")

    @staticmethod
    def _set(fd):
        if _libc.setns(fd, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")

    def __enter__(self):
        fd = os.open("/run/netns/" + self.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._set(fd)
        finally:
            os.close(fd)
        return self

    def __exit__(self, *_):
        self._set(self.home)


class FarNode(Node):
    """A node inside a namespace; agents who are to reach it are inside, too."""

    def __init__(self, rt, ns, url, **settings):
        self.ns = ns
        super().__init__(rt, url=url, **settings)

    def command(self):
        return ["ip", "netns", "exec", self.ns.name] + super().command()

    def metrics(self, path="/metrics"):
        with self.ns:
            return super().metrics(path)

    def rest(self, *args, control=False, **more):
        if control:
            return super().rest(*args, control=True, **more)
        with self.ns:
            return super().rest(*args, **more)


class NetServer(OwnServer):
    """An operator's PostgreSQL that other hosts reach."""

    def __init__(self):
        super().__init__("0.0.0.0", "host all all 10.0.0.0/8 scram-sha-256\n", "log_statement = 'none'\n")


class Wire:
    """A TCP proxy to a port of 127.0.0.1. delay_s: how long each piece takes, each way; while
    is_held, nothing comes through, and nothing is lost."""

    def __init__(self, port):
        self.to, self.delay_s, self.is_held = port, 0.0, False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                for s in (near, far):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.open += [near, far]
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, from_, to):
        with contextlib.suppress(OSError):
            while True:
                piece = from_.recv(65536)
                time.sleep(self.delay_s)
                while self.is_held:
                    time.sleep(0.01)
                if not piece:
                    break
                to.sendall(piece)
        for s in (from_, to):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def end(self):
        self.is_held = False
        for s in [self.listener] + self.open:
            with contextlib.suppress(OSError):
                s.close()


class Clocks:
    """Clocks that a test sets: real, mono and boot are seconds beside the system's."""

    def __init__(self, directory):
        self.library = directory + "/clocks.so"
        self.path = directory + "/clocks"
        subprocess.run(["gcc", "-w", "-O2", "-shared", "-fPIC", "-o", self.library,
                        ROOT + "/tests/workers/clocks.c"], check=True)
        with open(self.path, "wb") as f:
            f.write(bytes(24))
        os.chmod(self.library, 0o755)
        os.chmod(self.path, 0o644)
        self.file = open(self.path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 24)

    def set(self, real=0, mono=0, boot=0):
        for i, seconds in enumerate((real, mono, boot)):
            struct.pack_into("<q", self.map, 8 * i, int(seconds * 1e9))

    def environment(self):
        return {"LD_PRELOAD": self.library, "FL_CLOCKS": self.path}


class ClockNode(Node):
    def __init__(self, rt, clocks, **settings):
        self.clocks = clocks
        super().__init__(rt, **settings)

    def command(self):
        return ["env"] + ["%s=%s" % e for e in self.clocks.environment().items()] + super().command()

