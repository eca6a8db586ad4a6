#!/usr/bin/python3
"""Runs scenario tests: tests/scenario/run.py [-j N] [--dir DIR] [FILE | FILE:CASE | CASE]...

A file's cases run in one process of their own, which shares one runtime among them; a case that
overruns its time or takes its process down fails alone, the rest goes on in a new process. Without
names it runs test_*.py; group_*.py are the scenarios of groups of their own. Prints
each case's output and then `ok   NAME`, `FAIL NAME` or `skip NAME`, with the seconds behind it; at
the end `N passed, N failed, N skipped`.
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

PREPARE_S = 150  # a runtime for a case, on a busy machine; beside the case's own limit
HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.environ.get("FL_CASES", HERE)  # where the files are; of --dir
sys.path[:0] = [CASES, HERE]


# ---------------------------------------------------------------- inside a file's process
def load(name):
    import cases
    before = len(cases.ALL)
    importlib.import_module(name)
    return [c for c in cases.ALL[before:] if c.fn.__module__ == name]


def child(name, wanted):
    """Results as JSON lines on descriptor 3; cases in the order of the file."""
    import cases
    out = os.fdopen(3, "w", buffering=1)
    faulthandler.enable()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    faulthandler.register(signal.SIGUSR1, all_threads=True, chain=False)
    for case in load(name):
        if wanted and case.name not in wanted:
            continue
        from_ = time.monotonic()
        text = io.StringIO()
        try:
            out.write(json.dumps({"start": case.name, "limit": PREPARE_S}) + "\n")
            rt = cases.runtime(case.settings)
            out.write(json.dumps({"start": case.name, "limit": case.limit}) + "\n")
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
    """One file's cases, run to their end over as many processes as it takes."""

    def __init__(self, name, wanted, say):
        self.name, self.wanted, self.say = name, wanted, say
        self.results = {}

    def run(self):
        try:
            names = [n for n in list_cases(self.name) if not self.wanted or n in self.wanted]
        except subprocess.CalledProcessError as e:
            self.done("(load)", "FAIL", 0, e.stdout)
            return
        left = list(names)
        while left:
            before = len(left)
            self.once(left)
            left = [n for n in names if n not in self.results]
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


def list_cases(name):
    return subprocess.run([sys.executable, os.path.abspath(__file__), "--list", name],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
                          text=True).stdout.split()


def select(words):
    """{file: set of cases, empty for all} in order."""
    files = [os.path.basename(p)[:-3] for p in sorted(glob.glob(CASES + "/test_*.py"))]
    if not words:
        return {f: set() for f in files}
    files += [os.path.basename(p)[:-3] for p in sorted(glob.glob(CASES + "/group_*.py"))]
    chosen = {}
    for word in words:
        file, _, case = os.path.basename(word).partition(":")
        file = file[:-3] if file.endswith(".py") else file
        for candidate in (file, "test_" + file):
            if candidate in files:
                chosen.setdefault(candidate, set()).update([case] if case else [])
                break
        else:
            found = [f for f in files if word in list_cases(f)]
            if not found:
                sys.exit("run.py: there is no file and no case '%s'; the files are: %s"
                         % (word, " ".join(files)))
            for f in found:
                chosen.setdefault(f, set()).add(word)
    return chosen


def main():
    global CASES
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-j", type=int, default=int(os.environ.get("FL_JOBS", "1")), metavar="N",
                        help="files at a time")
    parser.add_argument("--dir", default=CASES, help="of the files; tests/scenario")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--list", help=argparse.SUPPRESS)
    parser.add_argument("what", nargs="*")
    args = parser.parse_args()
    CASES = os.environ["FL_CASES"] = os.path.abspath(args.dir)
    if args.list:
        print("\n".join(c.name for c in load(args.list)))
        return 0
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
    for name, wanted in select(args.what).items():
        todo.put(File(name, wanted, say))

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
