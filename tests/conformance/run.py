#!/usr/bin/python3
"""The MCP conformance suite against `flopinio serve` with the conformance plugin:
tests/conformance/run.py [SCENARIO]... What runs and what does not is in scenarios.txt. The suite
sends no credential; proxy.mjs puts it in front. Prints one line per scenario and protocol version,
a table of what is left out, and `N passed, N failed, N skipped`.
"""
import glob
import json
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE) + "/clients", os.path.dirname(HERE) + "/scenario"]
from drivers import CLIENTS, NODE  # noqa: E402
from harness import Org, Runtime, free_ports  # noqa: E402

SUITE = CLIENTS + "/node_modules/@modelcontextprotocol/conformance/dist/index.js"
POLICY = """version: 1
rules:
  - name: reads
    tools: ["*"]
    effect: allow
"""


class Scenario:
    def __init__(self, name, needs_all):
        self.name, self.needs_all, self.but = name, needs_all, {}


def read_list():
    run, out = {}, {}
    with open(HERE + "/scenarios.txt") as f:
        for number, line in enumerate(f, 1):
            words = line.split("#")[0].split(None, 1)
            if not words:
                continue
            rest = words[1].strip()
            if words[0] == "run":
                name, _, scope = rest.partition(" ")
                assert scope in ("", "all"), "scenarios.txt:%d" % number
                last = run[name] = Scenario(name, scope == "all")
            elif words[0] == "but":
                check, _, why = rest.partition(": ")
                assert why, "scenarios.txt:%d: no reason" % number
                last.but[check] = why
            else:
                name, _, why = rest.partition(": ")
                assert words[0] == "out" and why, "scenarios.txt:%d" % number
                out[name] = why
    return run, out


def suite(*args, **more):
    return subprocess.run([NODE, SUITE] + list(args), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)


def offered():
    """{scenario: versions} as the suite lists them."""
    text = suite("list").stdout.split("Client scenarios")[0]
    found = re.findall(r"^ +- (\S+) \[(.*)\]$", text, re.M)
    assert found, text
    return {name: [v for v in versions.split(",") if v[0].isdigit()] for name, versions in found}


class Lane:
    """One runtime organization with the fixture, reached through a proxy of its own."""

    def __init__(self, rt, port, tools):
        org = Org(rt, policy=None, files=False)
        org.add_server("conf", "conformance", {"tool_prefix": ""})
        org.apply(POLICY)
        credential = org.add_credential(tools=tools)[1]
        self.proxy = subprocess.Popen(
            [NODE, HERE + "/proxy.mjs", str(rt.port), str(port)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env=dict(os.environ, FLOPINIO_CREDENTIAL=credential))
        self.url = "http://127.0.0.1:%d/mcp" % int(self.proxy.stdout.readline())

    def run(self, scenario, version, but):
        """(number of checks that passed, what is wrong)"""
        with tempfile.TemporaryDirectory() as out:
            args = ["server", "--url", self.url, "--scenario", scenario, "-o", out]
            said = suite(*args, *(["--spec-version", version] if version else [])).stdout
            found = glob.glob(out + "/*/checks.json")
            if len(found) != 1:
                return 0, "the suite left no checks\n" + said[-3000:]
            with open(found[0]) as f:
                checks = json.load(f)
        return judge(checks, but)

    def close(self):
        self.proxy.stdin.close()
        self.proxy.wait(10)


def judge(checks, but):
    wrong = []
    passed = [c for c in checks if c["status"] == "SUCCESS"]
    for c in checks:
        if c["status"] in ("FAILURE", "WARNING") and c["id"] not in but:
            wrong.append("%s: %s\n    %s" % (c["id"], c.get("errorMessage"),
                                             json.dumps(c.get("details"))[:2000]))
    # One that may fail and passes is a line of scenarios.txt that is not true any more.
    wrong += ["%s passes; scenarios.txt says that it cannot" % c["id"] for c in passed
              if c["id"] in but]
    if not [c for c in passed if c["id"] != "wire-schema-valid"]:
        wrong.append("no check passed")
    return len(passed), "\n".join(wrong)


class Results:
    def __init__(self):
        self.lock = threading.Lock()
        self.counts = {"ok": 0, "FAIL": 0}
        self.checks = 0

    def say(self, name, wrong, seconds, checks=None):
        verdict = "FAIL" if wrong else "ok"
        with self.lock:
            self.counts[verdict] += 1
            self.checks += checks or 0
            if wrong:
                print(wrong)
            how = "" if checks is None else "%d checks, " % checks
            print("%-4s %s (%s%.1f s)" % (verdict, name, how, seconds), flush=True)

    def run(self, lane, scenario, version, but):
        from_ = time.monotonic()
        checks, wrong = lane.run(scenario, version, but)
        self.say(scenario + ("@" + version if version else ""), wrong, time.monotonic() - from_,
                 checks)


def main():
    run, out = read_list()
    versions = offered()
    results = Results()
    wanted = [s for s in run.values() if not sys.argv[1:] or s.name in sys.argv[1:]]
    unknown = set(sys.argv[1:]) - set(run)
    if unknown:
        sys.exit("run.py: scenarios.txt runs no %s" % ", ".join(sorted(unknown)))
    differ = set(versions) ^ (set(run) | set(out))
    results.say("every_scenario_of_the_suite_is_named", ", ".join(sorted(differ)), 0)
    ports = free_ports(2)
    rt = Runtime(allowed_origins=",".join("http://127.0.0.1:%d" % p for p in ports))
    lanes = []
    try:
        lanes = [Lane(rt, ports[0], ["test_*"]), Lane(rt, ports[1], ["*"])]
        todo = [queue.Queue(), queue.Queue()]
        for s in wanted:
            for version in versions.get(s.name) or [None]:
                todo[s.needs_all].put((s.name, version, s.but))

        def work(lane, items):
            while not items.empty():
                results.run(lane, *items.get_nowait())
        threads = [threading.Thread(target=work, args=pair) for pair in zip(lanes, todo)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        if not sys.argv[1:]:
            _, wrong = lanes[0].run("prompts-list", "2025-11-25", {})
            results.say("canary_what_is_not_served_fails", "" if wrong else "it passed", 0)
        ended = rt.log().count("worker_ended")
        results.say("no_worker_ended", rt.log() if ended else "", 0)
    finally:
        for lane in lanes:
            lane.close()
        rt.remove()
    print("\nleft out, of %d scenarios %d:" % (len(versions), len(out)))
    for name, why in out.items():
        print("  %-48s %s" % (name, why))
    print("left out, of scenarios that run:")
    for s in run.values():
        for check, why in s.but.items():
            print("  %-48s %s" % (s.name + ": " + check, why))
    print("%d checks of the suite passed" % results.checks)
    print("%d passed, %d failed, 0 skipped" % (results.counts["ok"], results.counts["FAIL"]))
    return 1 if results.counts["FAIL"] or not results.counts["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
