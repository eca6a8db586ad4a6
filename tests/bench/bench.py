#!/usr/bin/python3
"""The benchmarks: ours against floors and peers, alternated in one run, printed as ratios.

    tests/bench/run.sh [--rounds 5] [--seconds 2] [--only PART,...] [--scale 1] [--list]
                       [--out build/bench/result.json]

Each round measures every contestant of a benchmark one after the other. What other processes used
more than a quarter of a core beside is measured again; after the third time the round is skipped, and
another one measured. Figures are medians with minimum and maximum. Latency and CPU are of the same
runs. In the end the audit of each runtime has a row for each read that was answered.

--only takes parts (--list says which); only what they need is
started. --scale 0.01 makes the large ones (a million rows, 10,000 organizations) smaller, to see
that they work; such figures say nothing.
"""
import argparse
import json
import os
import sys

from common import (ECHOED, INIT, JSON_HEADERS, WORK, Bench, Server, call, node, write)
from decisions import PARTS as DECISION_PARTS
from scale import PARTS as SCALE_PARTS


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


def websocket_reads(b, conns):
    init = write("init.jsonl", INIT)
    small, floor = write("small.json", call("b__echo", 180)), write("floor.json", call("echo", 180))
    raw, lws = b.server("raw", lambda: Server(WORK + "/floor_uv", "PORT")), b.lws()
    ours, inside = b.ours(), b.inside()
    # What writes to disk is never behind another that does: the disk takes a while to recover.
    b.compare("websocket_read_%d" % conns, "rps", {
        "bare libuv echo": lambda: b.load(raw, "raw", "/", floor, conns=conns),
        "governed, plugin host": lambda: b.load(ours, "ws", "/mcp/ws", small, conns=conns,
                                                init=init, expect=ECHOED),
        "bare libwebsockets + jansson": lambda: b.load(lws, "ws", "/", floor, conns=conns,
                                                       expect=ECHOED),
        "governed, in-process": lambda: b.load(inside, "ws", "/mcp/ws", small, conns=conns,
                                               init=init, expect=ECHOED),
    }, "bare libwebsockets + jansson")


def large_arguments(b):
    init = write("init.jsonl", INIT)
    large = write("large.json", call("b__echo", 20000))
    floor = write("large-floor.json", call("echo", 20000))
    lws, ours = b.lws(), b.ours()
    ws = node("ws")
    b.compare("websocket_read_20k", "rps", {
        "bare libwebsockets + jansson": lambda: b.load(lws, "ws", "/", floor, conns=64,
                                                       expect=ECHOED),
        "node ws": lambda: b.load(ws, "ws", "/", floor, conns=64, expect=ECHOED),
        "governed, plugin host": lambda: b.load(ours, "ws", "/mcp/ws", large, conns=64, init=init,
                                                expect=ECHOED),
    }, "node ws")
    ws.stop()


MODERN = JSON_HEADERS + ["header=MCP-Protocol-Version: 2026-07-28", "header=Mcp-Method: tools/call",
                         "header=Mcp-Name: b__echo"]


def http_reads(b):
    small = write("small-modern.json", call("b__echo", 180, modern=True))
    floor = write("floor.json", call("echo", 180))
    ours = b.ours()
    plain, sdk1, sdk2 = node("http"), node("sdk1"), node("sdk2")
    session = sdk2_session(sdk2.port)
    b.compare("http_read_64", "rps", {
        "node:http": lambda: b.load(plain, "http", "/mcp", floor, conns=64, extra=JSON_HEADERS,
                                    expect=ECHOED),
        "SDK 1.32.2, stateless": lambda: b.load(sdk1, "http", "/mcp", floor, conns=64,
                                                extra=JSON_HEADERS, expect=ECHOED),
        "SDK 2.4.0, stateful": lambda: b.load(
            sdk2, "http", "/mcp", floor, conns=64, expect=ECHOED,
            extra=JSON_HEADERS + ["header=mcp-session-id: " + session]),
        "governed, plugin host": lambda: b.load(ours, "http", "/mcp", small, conns=64, extra=MODERN,
                                                expect=ECHOED),
    }, "SDK 2.4.0, stateful")
    for server in (plain, sdk1, sdk2):
        server.stop()


def http_beside_websocket(b):
    """The same message, the same connections: what HTTP itself costs."""
    init = write("init.jsonl", INIT)
    small, modern = (write("small.json", call("b__echo", 180)),
                     write("small-modern.json", call("b__echo", 180, modern=True)))
    ours = b.ours()
    b.compare("http_beside_websocket_64", "cpu_us", {
        "WebSocket": lambda: b.load(ours, "ws", "/mcp/ws", small, conns=64, init=init,
                                    expect=ECHOED),
        "WebSocket, modern message": lambda: b.load(ours, "ws", "/mcp/ws", modern, conns=64,
                                                    expect=ECHOED),
        "HTTP": lambda: b.load(ours, "http", "/mcp", modern, conns=64, extra=MODERN,
                               expect=ECHOED),
    }, "WebSocket")


def http_connections(b):
    small, ours = write("small-modern.json", call("b__echo", 180, modern=True)), b.ours()
    b.compare("http_read_many_connections", "cpu_us", {
        "16 connections": lambda: b.load(ours, "http", "/mcp", small, conns=16, extra=MODERN,
                                         expect=ECHOED),
        "4096 connections": lambda: b.load(ours, "http", "/mcp", small, conns=4096, extra=MODERN,
                                           expect=ECHOED),
    }, "16 connections")


def latency(b):
    """One connection: the answer waits for one commit. The floor is a one-row commit of libpq."""
    init, small, ours = write("init.jsonl", INIT), write("small.json", call("b__echo", 180)), b.ours()
    b.compare("latency_one_connection", "p50_us", {
        "one-row commit by libpq": lambda: b.floor_pq(ours, "commits"),
        "governed read": lambda: b.load(ours, "ws", "/mcp/ws", small, conns=1, init=init,
                                        expect=ECHOED),
    }, "one-row commit by libpq")
    b.compare("latency_64_connections", "p99_us", {
        "governed read": lambda: b.load(ours, "ws", "/mcp/ws", small, conns=64, init=init,
                                        expect=ECHOED),
    }, "governed read", ("rps",))


PARTS = {
    "websocket_read_128": lambda b: websocket_reads(b, 128),
    "websocket_read_1024": lambda b: websocket_reads(b, 1024),
    "websocket_read_20k": large_arguments,
    "http_read_64": http_reads,
    "http_beside_websocket": http_beside_websocket,
    "http_read_many_connections": http_connections,
    "latency": latency,
    **SCALE_PARTS,
    **DECISION_PARTS,
}


def store(b, path):
    with open("/proc/cpuinfo") as f:
        model = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    with open(path, "w") as f:
        json.dump({"machine": {"cpu": model[0] if model else "", "cores": os.cpu_count()},
                   "scale": b.args.scale, "noisy_runs": b.noisy, "results": b.results}, f, indent=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--only", type=lambda s: s.split(","))
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--idle-seconds", type=float, default=50)  # two pings of each
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--out", default=WORK + "/result.json")
    args = parser.parse_args()
    if args.list:
        print("\n".join(PARTS))
        return 0
    unknown = [name for name in args.only or [] if name not in PARTS]
    if unknown:
        parser.error("there is no part %s; --list says which are" % ", ".join(unknown))
    b = Bench(args)
    for name, part in PARTS.items():
        if not args.only or name in args.only:
            part(b)
            store(b, args.out)  # what was measured is not lost with what comes behind it
    b.table()
    b.close()
    print("\nstored in %s; %d runs were beside other load" % (args.out, b.noisy))
    return 0


if __name__ == "__main__":
    sys.exit(main())
