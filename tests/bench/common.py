"""What the benchmarks share: servers, ours among them, the generator, rounds and their table."""
import atexit
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(ROOT, "build/release")
WORK = os.path.join(ROOT, "build/bench")
os.environ.setdefault("FLOPINIO_BUILD", BUILD)
sys.path.insert(0, os.path.join(ROOT, "tests/scenario"))
from harness import Org, Runtime, children_of, free_ports, wait_for  # noqa: E402

POLICY = """version: 1
rules:
  - name: reads
    tools: ["*"]
    effect: allow
  - name: writes
    tools: ["*"]
    effect: ask
"""
def policy_of(more):
    """POLICY behind so many rules that fit no tool of the benchmark, as in a real one."""
    rules = "".join("  - name: rule%d\n    tools: [\"t%d__*\", \"u%d__write\"]\n    effect: %s\n" % (
        i, i, i, "deny" if i % 3 else "ask") for i in range(more))
    return POLICY.replace("rules:\n", "rules:\n" + rules)


ECHOED = "x" * 16  # what an answer must hold: a refusal is a result too
NOISE = 0.25  # of a core, by processes that are not ours
WAL_MB = 1024
WARM_MS = 8000  # about 400 MB of log
JSON_HEADERS = ["header=Content-Type: application/json",
                "header=Accept: application/json, text/event-stream"]
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"}}


def tree(pid):
    found = [pid]
    for child in children_of(pid):
        found += tree(child)
    return found


def cpu_ticks(pids):
    """Their own and that of their children which have ended."""
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += sum(map(int, fields[11:15]))
        except OSError:
            pass
    return total


def busy_ticks():
    with open("/proc/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4]


def write(name, text):
    path = os.path.join(WORK, name)
    with open(path, "w") as f:
        f.write(text)
    return path


def call(tool, size, modern=False, caps=None):
    params = {"name": tool, "arguments": {"text": "x" * size}}
    if modern:
        params["_meta"] = dict(META, **({"io.modelcontextprotocol/clientCapabilities": caps}
                                        if caps else {}))
    text = json.dumps({"jsonrpc": "2.0", "id": 12345678, "method": "tools/call", "params": params},
                      separators=(",", ":"))
    return text.replace("12345678", "@ID@")


class Server:
    """A floor or a peer: a command that listens on a port of its own."""

    def __init__(self, *command):
        self.port = free_ports(1)[0]
        self.process = subprocess.Popen([c.replace("PORT", str(self.port)) for c in command],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens():
            assert self.process.poll() is None, "%s ended" % (command,)
            with socket.socket() as s:
                return s.connect_ex(("127.0.0.1", self.port)) == 0
        wait_for("%s to listen" % command[0], listens, 20, 0.05)
        self.pids = tree(self.process.pid)
        atexit.register(self.stop)

    def stop(self):
        atexit.unregister(self.stop)
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def node(mode):
    return Server("node", os.path.join(WORK, "peer.mjs"), mode, "PORT")


SETTINGS = {"workers": 1, "log_level": "info", "plugin_dirs": WORK + "/plugins",
            "lease_time": "15s", "sweep_time": "1s", "progress_time": "10s",
            "keepalive_time": "15s", "pending_max": 10000, "in_flight_bytes": 1073741824}


class Ours:
    """A runtime with one organization and the bench's tools. rules: as many beside the two of
    POLICY. tls: with a certificate of its own."""

    def __init__(self, in_process=False, agents=1, rules=0, tls=False, **settings):
        settings = dict(SETTINGS, plugins_in_process="true" if in_process else "false", **settings)
        self.rt = Runtime(**settings)
        self.org = Org(self.rt, policy=None, files=False, hold="50s")
        self.org.add_server("b", "echo", {"limits": {"parallel_jobs": 64}})
        self.org.apply(policy_of(rules))
        tokens = [self.org.credential]
        for i in range(1, agents):
            tokens.append(self.org.add_agent("bot%d" % i)[1])
        self.use(tokens)
        if tls:  # now that all is set up, over plain HTTP
            self.rt.stop()
            self._certify()
            self.rt.start()
        self.port = self.rt.port
        self.extra_pids = []    # of ours, but not to be measured
        self.answered = self.sent = 0   # reads, of all runs

    def _certify(self):
        cert, key = self.rt.base + "/cert.pem", self.rt.base + "/key.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days",
                        "2", "-subj", "/CN=bench"], check=True, stderr=subprocess.DEVNULL)
        self.rt.settings.update(tls_certificate=cert, tls_key=key)

    def use(self, tokens):
        self.tokens = write("tokens-%d" % self.rt.port, "\n".join(tokens))

    @property
    def conninfo(self):
        with open(self.rt.data + "/secrets/database-super") as f:
            return "host=%s user=flopinio_super password=%s dbname=flopinio" % (
                self.rt._socket_dir(), f.read().strip())

    @property
    def pids(self):
        """Ours without PostgreSQL, whose time is told apart."""
        database = set(self.database_pids)
        return [pid for pid in tree(self.rt.process.pid) if pid not in database]

    @property
    def database_pids(self):
        return tree(self.rt.postmaster())

    def check(self):
        """The disk had each commit, and of what was measured nothing was lost or twice: a row of the
        audit for each read that was answered, and none for what nobody asked."""
        found = self.rt.sql("SELECT current_setting('fsync') AS fsync, current_setting("
                            "'synchronous_commit') AS sync, current_setting('full_page_writes') AS "
                            "pages, (SELECT count(*) FROM audit_event WHERE kind = 'call.read') AS n")[0]
        assert (found["fsync"], found["sync"], found["pages"]) == ("on", "on", "on"), found
        assert self.answered <= found["n"] <= self.sent, "%d reads sent, %d answered, %d in the audit" % (
            self.sent, self.answered, found["n"])
        return found["n"]

    def stop(self):
        try:
            if self.sent:
                print("  (%d reads sent, %d answered, %d rows of the audit)" % (
                    self.sent, self.answered, self.check()))
        finally:
            self.rt.remove()


class Bench:
    def __init__(self, args):
        self.args = args
        self.results = []
        self.noisy = 0
        self._servers = {}

    def server(self, name, make):
        """Started by whoever needs it first, stopped at the end."""
        if name not in self._servers:
            self._servers[name] = make()
        return self._servers[name]

    def ours(self):
        return self.server("ours", lambda: self._warm(Ours(agents=32)))

    def inside(self):
        return self.server("inside", lambda: self._warm(Ours(in_process=True)))

    def _warm(self, ours):
        """As one that has run for a while: the files of PostgreSQL's log have been made, and are
        written again. A new one is zeroed and synced in the middle of a batch. It keeps 1 GB, which
        the checkpoint hands out again."""
        run = subprocess.run([WORK + "/load", "ws", "127.0.0.1", str(ours.port), "/mcp/ws",
                              write("warm.json", call("b__echo", 180)), "run_ms=%d" % WARM_MS,
                              "pids=" + ",".join(map(str, ours.pids)), "conns=128",
                              "init=" + write("init.jsonl", INIT), "tokens=" + ours.tokens],
                             stdout=subprocess.PIPE, text=True, check=True)
        self._count(ours, json.loads(run.stdout))
        fill = ["-c", "SELECT pg_logical_emit_message(false, '', 'x')", "-c", "SELECT pg_switch_wal()"]
        subprocess.run(["psql", "-qAto", "/dev/null"] + fill * (WAL_MB // 16) +
                       ["-c", "CHECKPOINT", ours.conninfo], check=True)
        return ours

    def lws(self):
        return self.server("lws", lambda: Server(WORK + "/floor_lws", "PORT"))

    @staticmethod
    def _count(ours, result):
        ours.answered += result["answered"]
        ours.sent += result["sent"]

    def quiet(self, server, run):
        """run() against a server, whose result is figures; again while other processes use too much,
        and at last with the mark that they did."""
        for _ in range(3):
            mine = server.pids + getattr(server, "database_pids", []) + [os.getpid()] + \
                getattr(server, "extra_pids", [])
            os.sync()  # what the one before left to be written
            before, busy, from_ = cpu_ticks(mine), busy_ticks(), time.monotonic()
            result = run()
            took = (time.monotonic() - from_) * os.sysconf("SC_CLK_TCK")
            if busy_ticks() - busy - (cpu_ticks(mine) - before) <= NOISE * took:
                return result
        self.noisy += 1
        return dict(result, noisy=True)

    def floor_pq(self, ours, *args):
        command = [WORK + "/floor_pq", ours.conninfo, args[0], str(self.args.seconds)] + list(args[1:])

        def run():
            result = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True,
                                               check=True).stdout)
            return dict(result, rps=result["rows_per_s"])
        return self.quiet(ours, run)

    def scaled(self, count):
        return max(1, int(count * self.args.scale))

    def close(self):
        for server in self._servers.values():
            server.stop()
        self._servers.clear()

    def load(self, server, mode, path, message, **options):
        """One run of the generator against a server; of ours reads, unless is_write."""
        extra, is_write = options.pop("extra", []), options.pop("is_write", False)
        ours = getattr(server, "tokens", None)
        args = [WORK + "/load", mode, "127.0.0.1", str(server.port), path, message,
                "run_ms=%d" % int(self.args.seconds * 1000),
                "pids=" + ",".join(map(str, server.pids))]
        args += ["%s=%s" % o for o in options.items()] + list(extra)
        if ours:
            args.append("tokens=" + ours)

        def run():
            database = getattr(server, "database_pids", [])
            db_before = cpu_ticks(database)
            result = json.loads(subprocess.run(args, stdout=subprocess.PIPE, text=True,
                                               check=True).stdout)
            if database and result.get("answered"):  # those before the counted ones cost it as much
                result["db_cpu_us"] = (cpu_ticks(database) - db_before) * 1e6 / \
                    os.sysconf("SC_CLK_TCK") / result["answered"]
            if ours and "sent" in result and not is_write:
                self._count(server, result)
            return result
        return self.quiet(server, run)

    def compare(self, name, what, contestants, base, also=()):
        """contestants: {label: function() -> figures}. Ratios of `what` against `base`; the medians
        of `also` are printed too, where there are any. Rounds that were beside other load count
        only where there are not three others."""
        rounds, skipped = [], []
        while len(rounds) < self.args.rounds and len(skipped) < self.args.rounds:
            one = {label: run() for label, run in contestants.items()}
            (skipped if any(r.get("noisy") for r in one.values()) else rounds).append(one)
        remark = "%d rounds, %d skipped" % (len(rounds), len(skipped))
        if len(rounds) < min(3, self.args.rounds):
            remark = "ONLY %d ROUNDS OF %d WERE QUIET: the figures say nothing" % (
                len(rounds), len(rounds) + len(skipped))
            rounds = rounds + skipped
        print("\n%s (%s)" % (name, remark))
        print("  %-34s %12s %9s %9s %9s   %s" % ("", what, "cpu us", "p50 us", "p99 us",
                                                "ratio to %s: median (min..max)" % base))
        summary = {}
        for label in contestants:
            figures = [r[label] for r in rounds]
            ratios = [r[label][what] / (r[base][what] or 1e-9) for r in rounds]
            middle = {k: statistics.median(f.get(k, 0) for f in figures)
                      for k in (what, "cpu_us", "db_cpu_us", "p50_us", "p99_us") + also}
            summary[label] = dict(middle, ratio=[statistics.median(ratios), min(ratios),
                                                 max(ratios)])
            print("  %-34s %12.1f %9.2f %9.0f %9.0f   %.2f (%.2f..%.2f)%s" % (
                label, middle[what], middle["cpu_us"], middle["p50_us"], middle["p99_us"],
                statistics.median(ratios), min(ratios), max(ratios),
                "   + %.1f us of PostgreSQL" % middle["db_cpu_us"] if middle["db_cpu_us"] else ""))
            if any(middle[k] for k in also):
                print("  %34s %s" % ("", ", ".join("%s %.1f" % (k, middle[k]) for k in also)))
            sys.stdout.flush()
        self.results.append({"name": name, "what": what, "base": base, "figures": summary,
                             "remark": remark, "rounds": rounds, "skipped": skipped})
        return summary

    def table(self):
        """All that was compared, once more: medians of the ratios."""
        print("\n%-30s %-34s %8s %8s %8s   %s" % ("", "", "median", "min", "max", "ratio of, to"))
        for r in self.results:
            for label, figures in r["figures"].items() if "base" in r else ():
                print("%-30s %-34s %8.2f %8.2f %8.2f   %s, %s" % (
                    (r["name"], label) + tuple(figures["ratio"]) + (r["what"], r["base"])))


INIT = "\n".join(json.dumps(m) for m in (
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"}}},
    {"jsonrpc": "2.0", "method": "notifications/initialized"}))


def put_message():
    """A write by a client that has tasks, so that the answer comes as soon as it is pending. Each
    has other arguments: identical calls would be one."""
    caps = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    text = call("b__put", 180, modern=True, caps=caps).replace('"id":@ID@', '"id":1', 1)
    return write("put.json", text.replace("x" * 8, "@ID@", 1))
