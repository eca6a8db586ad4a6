#!/usr/bin/python3
"""The benchmarks: ours against floors and peers, alternated in one run, printed as ratios.

    tests/bench/run.sh [--rounds 5] [--seconds 2] [--only NAME,...] [--out build/bench/result.json]

Each round measures every contestant of a benchmark one after the other; a round in which other
processes used more than a quarter of a core is done again (three times at most, then it is counted
and marked). Figures are medians with minimum and maximum. Latency and CPU are of the same runs.
"""
import argparse
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
NOISE = 0.25  # of a core, by processes that are not ours
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
    total = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
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


class Ours:
    """A runtime with one organization and the bench's tools."""

    def __init__(self, in_process=False, agents=1, **settings):
        self.rt = Runtime(workers=settings.pop("workers", 1), log_level="info",
                          plugin_dirs=WORK + "/plugins", lease_time="15s", sweep_time="1s",
                          progress_time="10s", keepalive_time="15s", pending_max=10000,
                          plugins_in_process="true" if in_process else "false", **settings)
        self.org = Org(self.rt, policy=None, files=False, hold="50s")
        self.org.add_server("b", "echo", {"limits": {"parallel_jobs": 64}})
        self.org.apply(POLICY)
        tokens = [self.org.credential]
        for i in range(1, agents):
            tokens.append(self.org.add_agent("bot%d" % i)[1])
        self.tokens = write("tokens-%d" % self.rt.port, "\n".join(tokens))
        self.port = self.rt.port

    @property
    def pids(self):
        """Ours without PostgreSQL, whose time is told apart."""
        database = set(self.database_pids)
        return [pid for pid in tree(self.rt.process.pid) if pid not in database]

    @property
    def database_pids(self):
        return tree(self.rt.postmaster())

    def stop(self):
        self.rt.remove()


class Bench:
    def __init__(self, args):
        self.args = args
        self.results = []
        self.noisy = 0

    def load(self, server, mode, path, message, **options):
        """One run of the generator against a server."""
        extra = options.pop("extra", [])
        ours = getattr(server, "tokens", None)
        args = [WORK + "/load", mode, "127.0.0.1", str(server.port), path, message,
                "run_ms=%d" % int(self.args.seconds * 1000),
                "pids=" + ",".join(map(str, server.pids))]
        args += ["%s=%s" % o for o in options.items()] + list(extra)
        if ours:
            args.append("tokens=" + ours)
        for attempt in range(3):
            database = getattr(server, "database_pids", [])
            mine = server.pids + database + [os.getpid()]
            before, busy, from_ = cpu_ticks(mine), busy_ticks(), time.monotonic()
            db_before = cpu_ticks(database)
            run = subprocess.run(args, stdout=subprocess.PIPE, text=True, check=True)
            took = (time.monotonic() - from_) * os.sysconf("SC_CLK_TCK")
            others = (busy_ticks() - busy) - (cpu_ticks(mine) - before)
            result = json.loads(run.stdout)
            if database and result.get("requests"):
                result["db_cpu_us"] = (cpu_ticks(database) - db_before) * 1e6 / \
                    os.sysconf("SC_CLK_TCK") / result["requests"] * \
                    self.args.seconds / (took / os.sysconf("SC_CLK_TCK"))
            # The generator is a child that has ended: its time is in `others`, one core at most.
            with open("/proc/self/stat") as f:
                fields = f.read().rsplit(")", 1)[1].split()
            children = int(fields[13]) + int(fields[14])
            others -= children - getattr(self, "_children", 0)
            self._children = children
            if others <= NOISE * took:
                return result
        self.noisy += 1
        result["noisy"] = True
        return result

    def compare(self, name, what, contestants, base):
        """contestants: {label: function() -> figures}. Ratios of `what` against `base`."""
        if self.args.only and name not in self.args.only:
            return None
        rounds = []
        for _ in range(self.args.rounds):
            rounds.append({label: run() for label, run in contestants.items()})
        print("\n%s" % name)
        print("  %-34s %12s %9s %9s %9s   %s" % ("", what, "cpu us", "p50 us", "p99 us",
                                                "ratio to %s: median (min..max)" % base))
        summary = {}
        for label in contestants:
            figures = [r[label] for r in rounds]
            ratios = [r[label][what] / r[base][what] for r in rounds]
            middle = {k: statistics.median(f.get(k, 0) for f in figures)
                      for k in (what, "cpu_us", "db_cpu_us", "p50_us", "p99_us")}
            summary[label] = dict(middle, ratio=[statistics.median(ratios), min(ratios),
                                                 max(ratios)])
            print("  %-34s %12.1f %9.2f %9.0f %9.0f   %.2f (%.2f..%.2f)%s" % (
                label, middle[what], middle["cpu_us"], middle["p50_us"], middle["p99_us"],
                statistics.median(ratios), min(ratios), max(ratios),
                "   + %.1f us of PostgreSQL" % middle["db_cpu_us"] if middle["db_cpu_us"] else ""))
            sys.stdout.flush()
        self.results.append({"name": name, "what": what, "base": base, "figures": summary,
                             "rounds": rounds})
        return summary


INIT = "\n".join(json.dumps(m) for m in (
    {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"}}},
    {"jsonrpc": "2.0", "method": "notifications/initialized"}))


def sdk2_session(port):
    import http.client
    conn = http.client.HTTPConnection("127.0.0.1", port)
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    conn.request("POST", "/mcp", INIT.split("\n")[0], headers)
    answer = conn.getresponse()
    answer.read()
    session = answer.getheader("mcp-session-id")
    headers["mcp-session-id"] = session
    conn.request("POST", "/mcp", INIT.split("\n")[1], headers)
    conn.getresponse().read()
    conn.close()
    return session


def websocket_reads(b, ours, inside, lws):
    init = write("init.jsonl", INIT)
    small, floor = write("small.json", call("b__echo", 180)), write("floor.json", call("echo", 180))
    raw = Server(WORK + "/floor_uv", "PORT")
    for conns in (128, 1024):
        b.compare("websocket_read_%d" % conns, "rps", {
            "bare libuv echo": lambda: b.load(raw, "raw", "/", floor, conns=conns),
            "bare libwebsockets + jansson": lambda: b.load(lws, "ws", "/", floor, conns=conns,
                                                           expect="result"),
            "governed, plugin host": lambda: b.load(ours, "ws", "/mcp/ws", small, conns=conns,
                                                    init=init, expect='"result"'),
            "governed, in-process": lambda: b.load(inside, "ws", "/mcp/ws", small, conns=conns,
                                                   init=init, expect='"result"'),
        }, "bare libwebsockets + jansson")
    raw.stop()


def large_arguments(b, ours, lws):
    init = write("init.jsonl", INIT)
    large = write("large.json", call("b__echo", 20000))
    floor = write("large-floor.json", call("echo", 20000))
    ws = node("ws")
    b.compare("websocket_read_20k", "rps", {
        "bare libwebsockets + jansson": lambda: b.load(lws, "ws", "/", floor, conns=64,
                                                       expect="result"),
        "node ws": lambda: b.load(ws, "ws", "/", floor, conns=64, expect="result"),
        "governed, plugin host": lambda: b.load(ours, "ws", "/mcp/ws", large, conns=64, init=init,
                                                expect='"result"'),
    }, "node ws")
    ws.stop()


def http_reads(b, ours):
    small = write("small-modern.json", call("b__echo", 180, modern=True))
    floor = write("floor.json", call("echo", 180))
    modern = JSON_HEADERS + ["header=MCP-Protocol-Version: 2026-07-28",
                             "header=Mcp-Method: tools/call", "header=Mcp-Name: b__echo"]
    plain, sdk1, sdk2 = node("http"), node("sdk1"), node("sdk2")
    session = sdk2_session(sdk2.port)
    b.compare("http_read_64", "rps", {
        "node:http": lambda: b.load(plain, "http", "/mcp", floor, conns=64, extra=JSON_HEADERS,
                                    expect="result"),
        "SDK 1.32.2, stateless": lambda: b.load(sdk1, "http", "/mcp", floor, conns=64,
                                                extra=JSON_HEADERS, expect="result"),
        "SDK 2.4.0, stateful": lambda: b.load(
            sdk2, "http", "/mcp", floor, conns=64, expect="result",
            extra=JSON_HEADERS + ["header=mcp-session-id: " + session]),
        "governed, plugin host": lambda: b.load(ours, "http", "/mcp", small, conns=64, extra=modern,
                                                expect='"result"'),
    }, "SDK 2.4.0, stateful")
    for server in (plain, sdk1, sdk2):
        server.stop()
    b.compare("http_read_many_connections", "cpu_us", {
        "16 connections": lambda: b.load(ours, "http", "/mcp", small, conns=16, extra=modern),
        "4096 connections": lambda: b.load(ours, "http", "/mcp", small, conns=4096, extra=modern),
    }, "16 connections")


def latency(b, ours):
    """One connection: the answer waits for one commit. The floor is a one-row commit of libpq."""
    init, small = write("init.jsonl", INIT), write("small.json", call("b__echo", 180))
    with open(ours.rt.data + "/secrets/database-super") as f:
        secret = f.read().strip()
    conninfo = "host=%s user=flopinio_super password=%s dbname=flopinio" % (
        ours.rt._socket_dir(), secret)

    def commit():
        run = subprocess.run([WORK + "/floor_pq", conninfo, "commits", str(b.args.seconds)],
                             stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(run.stdout)
    b.compare("latency_one_connection", "p50_us", {
        "one-row commit by libpq": commit,
        "governed read": lambda: b.load(ours, "ws", "/mcp/ws", small, conns=1, init=init),
    }, "one-row commit by libpq")
    b.compare("latency_64_connections", "p99_us", {
        "governed read": lambda: b.load(ours, "ws", "/mcp/ws", small, conns=64, init=init),
    }, "governed read")


def intake(b, ours):
    """A write becomes a durable pending approval; the client has tasks, so the answer is at once."""
    init, caps = write("init.jsonl", INIT), {"extensions": {"io.modelcontextprotocol/tasks": {}}}
    message = write("put.json", call("b__put", 180, modern=True, caps=caps))
    # Distinct arguments, as identical calls attach to each other.
    with open(message) as f:
        text = f.read()
    message = write("put.json", text.replace("x" * 8, "@ID@", 1).replace('"id":@ID@', '"id":1', 1))
    with open(ours.rt.data + "/secrets/database-super") as f:
        secret = f.read().strip()
    conninfo = "host=%s user=flopinio_super password=%s dbname=flopinio" % (
        ours.rt._socket_dir(), secret)

    def batch():
        run = subprocess.run([WORK + "/floor_pq", conninfo, "batch", str(b.args.seconds), "128"],
                             stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(run.stdout)
        return dict(result, rps=result["rows_per_s"])

    def pending(conns):
        result = b.load(ours, "ws", "/mcp/ws", message, conns=conns, expect='"taskId"')
        ours.rt.sql("TRUNCATE approval, vote")
        return result
    b.compare("write_to_pending_256", "rps", {
        "rows in batches of 128 by libpq": batch,
        "write to pending": lambda: pending(256),
    }, "rows in batches of 128 by libpq")
    del init


def idle(b, inside):
    """Memory of agents that are connected and quiet."""
    init = write("init.jsonl", INIT)
    message = write("small.json", call("b__echo", 180))
    name = "idle_agents"
    if b.args.only and name not in b.args.only:
        return
    count = 10000
    r = b.load(inside, "ws", "/mcp/ws", message, conns=count, init=init, idle_ms=3000)
    per = (r["idle_kib"] - r["base_kib"]) / count
    print("\n%s\n  %d agents: %.1f KiB each, %.0f MiB in all, %.1f us of CPU per agent and second"
          % (name, count, per, (r["idle_kib"]) / 1024, r["server_cpu_us"] / count / r["seconds"]))
    b.results.append({"name": name, "agents": count, "kib_each": per,
                      "mib": r["idle_kib"] / 1024})


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", type=lambda s: s.split(","))
    parser.add_argument("--out", default=WORK + "/result.json")
    b = Bench(parser.parse_args())
    lws = Server(WORK + "/floor_lws", "PORT")
    ours, inside = Ours(agents=32), Ours(in_process=True)
    websocket_reads(b, ours, inside, lws)
    large_arguments(b, ours, lws)
    http_reads(b, ours)
    latency(b, ours)
    intake(b, ours)
    idle(b, inside)
    for server in (lws, ours, inside):
        server.stop()
    with open("/proc/cpuinfo") as f:
        model = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    with open(b.args.out, "w") as f:
        json.dump({"machine": {"cpu": model[0] if model else "", "cores": os.cpu_count()},
                   "noisy_runs": b.noisy, "results": b.results}, f, indent=1)
    print("\nstored in %s; %d runs were beside other load" % (b.args.out, b.noisy))
    return 0


if __name__ == "__main__":
    sys.exit(main())
