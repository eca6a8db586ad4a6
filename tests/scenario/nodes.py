"""More nodes on the database of a Runtime, and system calls at which their processes are killed.

    node = Node(rt, lease_time="1s")     one worker of its own supervisor, on rt's private database
    with Trace(node.worker(), "sendto", 7, "signal=KILL"): ...
"""
import os
import re
import shutil
import signal
import subprocess
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
        SIGUSR2 does not wait as the supervisor does when workers die again and again."""
        self.process.send_signal(signal.SIGUSR2)
        wait_for("a new worker", lambda: " worker_ready " in self.log(since), timeout)


def private_url(rt):
    with open(rt.data + "/secrets/database-app") as f:
        secret = f.read().strip()
    return "postgresql://flopinio_app:%s@/flopinio?host=%s" % (
        urllib.parse.quote(secret, safe=""), urllib.parse.quote(rt._socket_dir(), safe=""))


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

