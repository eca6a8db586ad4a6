#!/usr/bin/env python3
"""Every `flopinio ...` that a page names, in a block or in a sentence, is a command that exists, with
flags that it has: tests/docs/mentions.py"""
import glob
import re
import sys


def blocks(path):
    """(language, first line, text) of each fenced block."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for m in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        yield m.group(1), text.count("\n", 0, m.start()) + 2, m.group(2)


def pages():
    return ["README.md"] + sorted(glob.glob("docs/*.md") + glob.glob("examples/**/*.md", recursive=True))


def commands():
    """Command -> its usage text, from the reference page (a scenario compares it with the program)."""
    found = {}
    with open("docs/cli.md", encoding="utf-8") as f:
        text = f.read()
    for m in re.finditer(r"^### `flopinio ([^`]+)`\n\n```\n(.*?)```", text, re.M | re.S):
        found[m.group(1)] = m.group(2)
    return found


def mentions(path):
    """`flopinio ...` in code spans and blocks, with its line."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for m in re.finditer(r"`(flopinio [a-z][^`]*)`", text):
        yield text.count("\n", 0, m.start()) + 1, m.group(1)
    for language, line, block in blocks(path):
        if language == "sh":
            for i, words in enumerate(block.splitlines()):
                m = re.search(r"(?<!\S)flopinio (?!flopinio)([a-z].*)", words)
                if m:
                    yield line + i, m.group(0)


def unknown(mention, known):
    """What of it does not exist, or None."""
    words = re.sub(r"\s+#.*$", "", mention.replace("\n", " ")).split()[1:]
    for n in (3, 2, 1):
        name = " ".join(words[:n])
        if name in known:
            for flag in re.findall(r"(?<![\w-])--([a-z][a-z-]*)", mention):
                if "--" + flag not in known[name] and "`--%s" % flag not in COMMON and name != "serve":
                    return "flopinio %s has no flag --%s" % (name, flag)
            return None
    if any(k.split()[0] == words[0] for k in known) and (len(words) == 1 or "|" in mention):
        return None  # a group of commands, named as such
    return "there is no command flopinio %s" % " ".join(words[:2])


with open("docs/cli.md", encoding="utf-8") as cli_page:
    COMMON = cli_page.read().split("## The installation")[0]

known = commands()
known["generate"] = ""  # for who writes these pages; no help names it
bad = ["%s:%d: %s" % (p, line, why) for p in pages() if p != "docs/cli.md"
       for line, m in mentions(p) for why in [unknown(m, known)] if why]
if len(known) < 30:
    bad.append("docs/cli.md names %d commands only" % len(known))
if not (unknown("flopinio approvals aprove ID", known) and unknown("flopinio whoami --loud", known)):
    bad.append("a planted wrong command was not noticed")
print("\n".join(bad) or "%d commands" % len(known))
sys.exit(1 if bad else 0)
