#!/usr/bin/python3
"""Runs scenario tests: tests/scenario/run.py [-j N] [--split] [--dir DIR] [FILE | FILE:CASE | CASE]...

A file's cases run in one process of their own, which shares one runtime among them (--split: in one
for each case); a case that overruns its time or takes its process down fails alone, the rest goes on
in a new process. Without names it runs test_*.py; group_*.py are the scenarios of groups of their
own. Prints each case's output and then `ok   NAME`, `FAIL NAME` or `skip NAME`, with the seconds
behind it; at the end `N passed, N failed, N skipped`.
"""
import argparse
import contextlib
import faulthandler
import glob
import importlib
import io
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback

# What takes longest begins first, so that no core idles at the end.
FIRST = ("scale", "doubt", "apply", "stdio", "fatigue", "mail", "outbox", "streams", "outage", "demo",
         "away", "telegram", "cli_decide", "slack_places", "recover", "serve", "chat_safety", "slack",
         "recheck", "bounces", "ops", "alerts", "refuse", "database")
BUSY = 3          # times a case's limit, which is what it may take where not much else runs
PREPARE_S = 150  # a runtime for a case, on a busy machine; beside the case's own limit
HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.environ.get("FL_CASES", HERE)  # where the files are; of --dir
sys.path[:0] = [CASES, HERE]


# ---------------------------------------------------------------- inside a file's process
def load(name):
    """A file's cases, in the order in which they run."""
    import cases
    importlib.import_module(name)
    return cases.by_runtime(c for c in cases.ALL if c.fn.__module__ == name)


def child(name, wanted):
    """Results as JSON lines on descriptor 3."""
    import cases
    out = os.fdopen(3, "w", buffering=1)
    faulthandler.enable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=False)
    for case in load(name):
        if case.name not in wanted:
            continue
        from_ = time.monotonic()
        text = io.StringIO()
        try:
            out.write(json.dumps({"start": case.name, "limit": PREPARE_S}) + "\n")
            rt = cases.runtime(case)
            out.write(json.dumps({"start": case.name, "limit": case.limit * BUSY}) + "\n")
            from_ = time.monotonic()
            with contextlib.redirect_stdout(text):
                cases.run(case, rt, text)
            verdict = "ok"
        except cases.Skip as e:
            verdict = "skip"
            text.write("%s: %s\n" % (case.name, e))
        except BaseException as e:
            if isinstance(e, (SystemExit, KeyboardInterrupt)):
                raise
            verdict = "FAIL"
            text.write(traceback.format_exc())
        out.write(json.dumps({"end": case.name, "verdict": verdict, "text": text.getvalue(),
                              "seconds": time.monotonic() - from_}) + "\n")
    cases.end()


# ---------------------------------------------------------------- outside
class File:
    """Some of one file's cases, run to their end over as many processes as it takes."""

    def __init__(self, name, names, say):
        self.name, self.names, self.say = name, names, say
        self.results = {}

    def run(self):
        left = list(self.names)
        while left:
            before = len(left)
            self.once(left)
            left = [n for n in self.names if n not in self.results]
            if len(left) == before:
                self.done(left[0], "FAIL", 0, "its process ended before the case began\n")
                left = left[1:]

    def done(self, name, verdict, seconds, text):
        self.results[name] = verdict
        self.say(text, verdict, "%s.%s" % (self.name.split("_", 1)[1], name), seconds)

    def once(self, left):
        read, write = os.pipe()
        os.set_inheritable(write, True)
        # The pipe becomes descriptor 3 of the child.
        process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--child", self.name]
                                   + left, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, pass_fds=(write,),
                                   env=dict(os.environ, FL_RESULTS_FD=str(write)))
        os.close(write)
        lines = queue.Queue()
        said = []
        threading.Thread(target=lambda: [lines.put(line) for line in os.fdopen(read)] +
                         [lines.put(None)], daemon=True).start()
        reader = threading.Thread(target=lambda: said.extend(process.stdout), daemon=True)
        reader.start()
        running, until = None, None
        while True:
            try:
                line = lines.get(timeout=max(0.01, until - time.monotonic()) if until else 120)
            except queue.Empty:
                process.send_signal(signal.SIGUSR1)
                time.sleep(0.5)
                process.terminate()
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
                reader.join(5)
                self.done(running or left[0], "FAIL", time.monotonic() - from_ if running else 0,
                          "it did not end within its time limit; where it was:\n%s" % text(said))
                return
            if line is None:
                break
            message = json.loads(line)
            if "start" in message:
                running, from_ = message["start"], time.monotonic()
                until = from_ + message["limit"]
            else:
                self.done(message["end"], message["verdict"], message["seconds"],
                          message["text"] + (text(said) if message["verdict"] == "FAIL" else ""))
                running, until = None, time.monotonic() + 60
        process.wait()
        reader.join(5)
        if running:
            self.done(running, "FAIL", time.monotonic() - from_,
                      "its process ended with %s\n%s" % (process.returncode, text(said)))
        elif process.returncode:
            self.done("(end)", "FAIL", 0, "the file's process ended with %s\n%s"
                      % (process.returncode, text(said)))


def text(said):
    return b"".join(said).decode("utf-8", "replace")[-20000:]


def files(*patterns):
    return sorted(os.path.basename(p)[:-3] for pattern in patterns
                  for p in glob.glob(CASES + "/" + pattern))


class Selection:
    """{file: names of cases} in `chosen`; files that cannot be loaded, and why, in `broken`."""

    def __init__(self, words):
        self.known, self.broken, self.chosen = {}, {}, {}
        for file in [] if words else files("test_*.py"):
            self.add(file)
        for word in words:
            self.select(word, files("test_*.py", "group_*.py"))

    def names(self, file):
        if file not in self.known:
            try:
                self.known[file] = [c.name for c in load(file)]
            except Exception:
                self.known[file], self.broken[file] = [], traceback.format_exc()
        return self.known[file]

    def add(self, file, name=None):
        found = [n for n in self.names(file) if name in (None, n)]
        if name and not found and file not in self.broken:
            sys.exit("run.py: %s has no case '%s'" % (file, name))
        have = self.chosen.setdefault(file, [])
        have += [n for n in found if n not in have]

    def select(self, word, found):
        file, _, case = os.path.basename(word).partition(":")
        file = file[:-3] if file.endswith(".py") else file
        for candidate in (file, "test_" + file):
            if candidate in found:
                self.add(candidate, case or None)
                return
        holders = [f for f in found if word in self.names(f)]
        if not holders:
            sys.exit("run.py: there is no file and no case '%s'; the files are: %s"
                     % (word, " ".join(found)))
        self.broken = {f: why for f, why in self.broken.items() if f in self.chosen}
        for f in holders:
            self.add(f, word)


def rank(name):
    """The place of a file in the order."""
    stem = name.split("_", 1)[1]
    return FIRST.index(stem) if stem in FIRST else len(FIRST)


def main():
    global CASES
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-j", type=int, default=int(os.environ.get("FL_JOBS", "1")), metavar="N",
                        help="files at a time (--split: cases)")
    parser.add_argument("--dir", default=CASES, help="of the files; tests/scenario")
    parser.add_argument("--split", action="store_true", help="a process for each case")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("what", nargs="*")
    args = parser.parse_args()
    CASES = os.environ["FL_CASES"] = os.path.abspath(args.dir)
    sys.path.insert(0, CASES)
    if args.child:
        fd = int(os.environ["FL_RESULTS_FD"])
        if fd != 3:
            os.dup2(fd, 3)
            os.close(fd)
        os.set_inheritable(3, False)
        child(args.child[0], set(args.child[1:]))
        return 0
    counts = {"ok": 0, "FAIL": 0, "skip": 0}
    lock = threading.Lock()

    def say(words, verdict, name, seconds):
        with lock:
            counts[verdict] += 1
            if words:
                sys.stdout.write(words if words.endswith("\n") else words + "\n")
            print("%-4s %s (%.1f s)" % (verdict, name, seconds), flush=True)

    todo = queue.Queue()
    selection = Selection(args.what)
    for name, why in selection.broken.items():
        say(why, "FAIL", "%s.(load)" % name.split("_", 1)[1], 0)
    for name in sorted(selection.chosen, key=rank):
        names = selection.chosen[name]
        for part in [[n] for n in names] if args.split else [names]:
            todo.put(File(name, part, say))

    def work():
        while True:
            try:
                todo.get_nowait().run()
            except queue.Empty:
                return
    threads = [threading.Thread(target=work) for _ in range(max(1, args.j))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print("%d passed, %d failed, %d skipped" % (counts["ok"], counts["FAIL"], counts["skip"]))
    return 1 if counts["FAIL"] or not counts["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
