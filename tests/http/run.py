#!/usr/bin/env python3
"""Hostile HTTP and WebSocket bytes against the real program. One line for each case, then
"N passed, N failed, N skipped".

    run.py [WORD...]     the cases whose name has one of the words
"""
import os
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE) + "/scenario")
sys.dont_write_bytecode = True

import floods
import frames
import heads
import proxy
import vectors
from harness import LONG, Org, Runtime

CROWD = 5000 if LONG else 500
AT_ONCE = 24


class Cases:
    def __init__(self, words):
        self.words = words
        self.counts = {"ok": 0, "FAIL": 0}
        self.lock = threading.Lock()

    def wants(self, name):
        return not self.words or any(w in name for w in self.words)

    def run(self, name, work, *args):
        if not self.wants(name):
            return
        from_, verdict, text = time.monotonic(), "ok", ""
        try:
            work(*args)
        except Exception as e:
            verdict, text = "FAIL", "    %s: %s\n" % (type(e).__name__, e)
        with self.lock:
            self.counts[verdict] += 1
            sys.stdout.write("%s%-4s %s (%.1f s)\n" % (text, verdict, name, time.monotonic() - from_))
            sys.stdout.flush()

    def run_all(self, todo):
        """(name, work, argument...) in parallel."""
        floods.in_threads(lambda one: self.run(*one), todo, AT_ONCE)


def compare_with_node(cases, table, marker):
    wanted = [v for v in table if cases.wants("node: " + v.name)]
    if not wanted:
        return
    said = heads.ask_node(wanted, marker)
    print("    Node %s, llhttp %s" % (said["node"], said["llhttp"]))

    def one(vector):
        line = heads.compare(vector, said["answers"][vector.name])
        if line:
            print("    " + line)
    for vector in wanted:
        cases.run("node: " + vector.name, one, vector)


def canaries(cases, port, table, marker):
    """What the checks must notice: a verdict that is wrong, a marker that is answered, a reason
    that is missing."""
    def refused(work, *args):
        try:
            work(*args)
        except AssertionError:
            return
        raise RuntimeError("it passed, and must not")
    honest = next(v for v in table if v.name == "plain get")
    bad = next(v for v in table if v.name == "no host")
    cases.run("canary: an honest request called bad", refused, heads.check, port,
              vectors.Vector("x", honest.raw, "404 closed", None), marker)
    cases.run("canary: a bad request called honest", refused, heads.check, port,
              vectors.Vector("x", bad.raw, "404 kept", None), marker)
    cases.run("canary: another status", refused, heads.check, port,
              vectors.Vector("x", bad.raw, "431", None), marker)
    cases.run("canary: Node refuses what we take", refused, heads.compare, honest, [400])
    cases.run("canary: Node sees one request more", refused, heads.compare, honest,
              [{"body": ""}, {"body": ""}, {"body": marker.decode()}])


def check_counts(table, handshakes, sequences):
    """Fewer would show less. What the program takes is not counted among the requests."""
    refused = [v for v in table if v.is_refused]
    assert len(refused) >= 120, "%d requests that have to be refused" % len(refused)
    assert len(handshakes) + len(sequences) >= 60, "too few WebSocket vectors"


def check_survivors(rt, since):
    log = rt.log(since, 1 << 20)
    for word in ("worker_ended", "Sanitizer", "runtime error", "libwebsockets"):
        assert word not in log, log[max(0, log.index(word) - 2000):][:4000]
    assert rt.is_ready()


def check_stop(rt):
    status = rt.stop()
    assert status == 0, "serve ended with %s:\n%s" % (status, rt.log())


def main():
    cases = Cases(sys.argv[1:])
    rt = Runtime(workers=2)
    try:
        org = Org(rt, files=False, scenario=True)
        table, marker = vectors.make(org.credential), vectors.marker(org.credential)
        since = rt.log_size()
        shakes, sequences = frames.handshakes(org.credential), frames.vectors()
        cases.run("enough of each", check_counts, table, shakes, sequences)
        # The slow ones wait for the clock; the others go on meanwhile.
        slow = [threading.Thread(target=cases.run, args=("slow: " + name, work, rt.port))
                for name, work in floods.slow_cases(org.credential)]
        for t in slow:
            t.start()
        cases.run_all([("request: " + v.name, heads.check, rt.port, v, marker) for v in table])
        cases.run_all([("handshake: " + name, frames.check_handshake, rt.port, raw, status)
                       for name, raw, status in shakes])
        cases.run("handshake: nothing is read behind one that is refused",
                  frames.check_refused_is_over, rt.port, org.credential)
        cases.run_all([("frames: " + name, frames.check_vector, rt.port, org.credential, raw, answers)
                       for name, raw, answers in sequences])
        compare_with_node(cases, table, marker)
        canaries(cases, rt.port, table, marker)
        cases.run("works: sixty bodies at once", floods.bodies, rt.port, org.credential)
        cases.run("works: messages up to the limit", floods.large_messages, rt.port, org.credential)
        cases.run("works: a hundred websockets", floods.many_websockets, rt.port, org.credential)
        cases.run("works: beside half-open requests", floods.pool_is_not_eaten, rt.port, marker)
        cases.run("not behind a proxy", proxy.check_untrusted, rt)
        cases.run("works: after resets", floods.resets, rt.port, marker)
        for t in slow:
            t.join()
        cases.run("flood: %d slow heads" % CROWD, floods.flood, rt, marker, CROWD)
        cases.run("everything served on, and no sanitizer spoke", check_survivors, rt, since)
        cases.run("it stops in order", check_stop, rt)
        cases.run("behind a proxy", proxy.check)
    finally:
        rt.remove()
    print("%d passed, %d failed, 0 skipped" % (cases.counts["ok"], cases.counts["FAIL"]))
    return 1 if cases.counts["FAIL"] or not cases.counts["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
