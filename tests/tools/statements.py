#!/usr/bin/env python3
"""Prints every SQL statement of runtime/store (as the compiler sees it) as PREPARE commands, so that
a real database can say whether each one parses and fits the schema."""
import glob
import re
import subprocess
import sys

LITERAL = r'"(?:[^"\\]|\\.)*"'
DEFINITION = re.compile(
    r"static struct fl_sql (\w+)\s*=\s*\{\s*((?:%s\s*)+),\s*((?:%s\s*)+),\s*0\s*\}" % (LITERAL, LITERAL)
)


def text(literals):
    return "".join(
        bytes(part[1:-1], "utf-8").decode("unicode_escape") for part in re.findall(LITERAL, literals)
    )


def main():
    flags = subprocess.run(
        ["pkg-config", "--cflags", "libpq", "libuv", "jansson"], capture_output=True, text=True, check=True
    ).stdout.split()
    count = 0
    for path in sorted(glob.glob("runtime/store/*.c")):
        code = subprocess.run(
            ["cc", "-E", "-P", "-D_GNU_SOURCE", "-DFL_VERSION=\"x\"", "-I.", "-Iinclude", *flags, path],
            capture_output=True, text=True, check=True,
        ).stdout
        for _, name, sql in DEFINITION.findall(code):
            print("PREPARE %s AS %s;" % (text(name), text(sql)))
            count += 1
    print("-- %d statements" % count, file=sys.stderr)


main()
