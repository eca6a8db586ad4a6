#!/usr/bin/env python3
"""Every test that docs/security.md names for a promise exists, and so does every file and step that
docs/architecture.md names. A canary of each is planted and must be found."""
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def exists(path):
    return os.path.exists(os.path.join(ROOT, path))


def missing_tests(text):
    """Rows of the table of promises: `unit `a`, `b`; scenario `file.case`, `file.*`."""
    table = text[text.index("| promise | shown by |"):].split("\n\n")[0]
    names = re.findall(r"`([a-z_.*]+)`", " ".join(line.rsplit("|", 2)[1]
                                                  for line in table.splitlines()))
    assert len(names) > 40, "the table was not read"
    for name in names:
        file, dot, case = name.partition(".")
        if not dot:
            if not exists("tests/unit/test_%s.c" % name):
                yield "there is no unit test " + name
            continue
        path = "tests/scenario/%s%s.py" % ("" if file.startswith("group_") else "test_", file)
        if not exists(path):
            yield "there is no scenario file of " + name
        elif case.endswith("*"):  # some of the file's
            if case[:-1] not in read(path):
                yield "there is no scenario " + name
        elif "\ndef %s(" % case not in read(path):
            yield "there is no scenario " + name


def missing_places(text):
    """`path`, and "`step`, `step` in `file.c`" of the life of one call."""
    life = text[text.index("## The life of one call"):text.index("## What waits where")]
    for path in re.findall(r"`((?:include|mcp|plugins|policy|runtime|tests|examples)/[^`]*)`", text):
        if not exists(path):
            yield "there is no " + path
    for steps, file in re.findall(r"((?:`[a-z_]+`(?:, )?)+) in `((?:runtime/[a-z]+/)?[a-z_]+\.c)`", life):
        source = read(file if "/" in file else "runtime/approval/" + file)
        for step in re.findall(r"`([a-z_]+)`", steps):
            if not re.search(r"^(FL_STEP\(%s\)|[^\s#].*\b%s\()" % (step, step), source, re.M):
                yield "%s has no step %s" % (file, step)


def case(name, problems):
    problems = list(problems)
    for p in problems:
        print("    " + p)
    print(("FAIL " if problems else "ok   ") + name)
    return not problems


def canary(name, problems):
    found = list(problems)
    print(("ok   " if len(found) == 1 else "FAIL ") + name)
    return len(found) == 1


def main():
    security, architecture = read("docs/security.md"), read("docs/architecture.md")
    results = [
        case("each_promise_names_tests_that_exist", missing_tests(security)),
        canary("canary_a_promise_names_a_test_that_is_gone",
               missing_tests(security.replace("life.reject_is_final", "life.reject_is_fine"))),
        case("the_life_of_a_call_names_steps_that_exist", missing_places(architecture)),
        canary("canary_the_life_of_a_call_names_a_step_that_is_gone",
               missing_places(architecture.replace("`claim` in `runtime", "`grab` in `runtime"))),
    ]
    print("%d passed, %d failed, 0 skipped" % (sum(results), len(results) - sum(results)))
    return 0 if all(results) else 1


sys.exit(main())
