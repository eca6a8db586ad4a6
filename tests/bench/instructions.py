#!/usr/bin/python3
"""Instructions per call of the parts that need no I/O, against those that are stored.

    tests/bench/instructions.py measure PROGRAM FIGURES.json   (under callgrind)
    tests/bench/instructions.py check FIGURES.json [--stored DIR]
    tests/bench/instructions.py store FIGURES.json

Figures are kept per compiler and machine in tests/bench/instructions/; of one that is not known there
all cases are printed and skipped. A case fails when it takes over 3 % more than what is stored. A
change that is worth it stores new figures, so that it is seen in the review.
"""
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
STORED = os.path.join(HERE, "instructions")
ROUNDS = 20  # of instructions.c
GROWTH = 0.03


def key(program):
    """Which compiler made it, and for what: "gcc-12.2.0-x86_64"."""
    comment = subprocess.run(["readelf", "-p", ".comment", program], stdout=subprocess.PIPE,
                             text=True, check=True).stdout
    found = re.search(r"(GCC|clang)[^\n]*?(\d+\.\d+\.\d+)", comment)
    name = "%s-%s" % (found.group(1).lower(), found.group(2)) if found else "unknown"
    return "%s-%s" % (name, os.uname().machine)


def measure(program, out):
    with tempfile.TemporaryDirectory() as place:
        # The C library chooses its copying functions by the processor; the plain ones everywhere.
        env = dict(os.environ, GLIBC_TUNABLES="glibc.cpu.hwcaps=-AVX2,-AVX2_Usable,-AVX512F,"
                   "-AVX512VL,-AVX512BW,-ERMS,-FSRM,-AVX_Fast_Unaligned_Load")
        subprocess.run(["valgrind", "--tool=callgrind", "--instr-atstart=no", "-q",
                        "--callgrind-out-file=%s/out" % place, program], check=True, env=env)
        counts = {}
        for path in glob.glob(place + "/out*"):
            with open(path) as f:
                text = f.read()
            name = re.search(r"^desc: Trigger: Client Request: (\w+)", text, re.M)
            total = re.search(r"^(?:summary|totals): (\d+)", text, re.M)
            if name and total:
                counts[name.group(1)] = int(total.group(1)) // ROUNDS
    with open(out, "w") as f:
        json.dump({"key": key(program), "counts": counts}, f)


def stored_path(directory, figures):
    return os.path.join(directory, figures["key"] + ".txt")


def check(figures, directory):
    path = stored_path(directory, figures)
    counts, known, failed, skipped = figures["counts"], {}, 0, 0
    if os.path.exists(path):
        with open(path) as f:
            known = {name: int(count) for name, count in (line.split() for line in f)}
    else:
        print("nothing is stored for %s" % figures["key"])
    for name in sorted(set(counts) | set(known)):
        count, before = counts.get(name), known.get(name)
        is_fine = count is not None and (before is None or count <= before * (1 + GROWTH))
        if count is None:
            print("%s is stored and was not measured" % name)
        elif before is None:
            print("%s takes %d instructions; none are stored" % (name, count))
        else:
            print("%s takes %d instructions, %d are stored: %+.1f %%" % (
                name, count, before, (count / before - 1) * 100))
        if before is None:
            print("store its figure: tests/bench/instructions.py store")
            is_fine = False
        is_skipped = not known
        print("%s %s" % ("skip" if is_skipped else "ok  " if is_fine else "FAIL", name))
        skipped += is_skipped
        failed += not is_fine and not is_skipped
    print("%d passed, %d failed, %d skipped" % (len(set(counts) | set(known)) - failed - skipped,
                                                failed, skipped))
    return 1 if failed or not counts else 0


def store(figures):
    with open(stored_path(STORED, figures), "w") as f:
        for name in sorted(figures["counts"]):
            f.write("%s %d\n" % (name, figures["counts"][name]))
    print("stored in %s" % stored_path(STORED, figures))
    return 0


def main():
    words = sys.argv[1:]
    directory = STORED
    if "--stored" in words:
        at = words.index("--stored")
        directory = words[at + 1]
        del words[at:at + 2]
    if len(words) == 3 and words[0] == "measure":
        measure(words[1], words[2])
        return 0
    if len(words) != 2 or words[0] not in ("check", "store"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    with open(words[1]) as f:
        figures = json.load(f)
    return check(figures, directory) if words[0] == "check" else store(figures)


if __name__ == "__main__":
    sys.exit(main())
