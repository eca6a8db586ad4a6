#!/usr/bin/env python3
"""Which folder may include which (design: each layer includes those above it, never below), where
libraries and SQL may stand, one header per C file, lengths, the root's entries, and nothing of a
machine or a secret in tracked files. Prints one case a rule; `--canary` plants a violation of each
rule in a copy of the tree's text and expects it to be found."""
import os
import re
import subprocess
import sys

BASE = "include/flopinio/base"
# Folder -> the folders that it may include beside itself and base.
ALLOWED = {
    BASE: [],
    "runtime/base": [],
    "policy": [],
    "mcp": [],
    "runtime/io": [],
    "runtime/crypto": [],
}
STORE = ["runtime/io", "runtime/crypto"]
ALLOWED["runtime/store"] = STORE
ALLOWED["runtime/audit"] = STORE + ["runtime/store"]
SIDE = ["policy", "mcp"] + STORE + ["runtime/store", "runtime/audit"]
for name in ("host", "identity", "billing"):
    ALLOWED["runtime/" + name] = SIDE
APPROVAL = SIDE + ["runtime/host", "runtime/identity", "runtime/billing"]
ALLOWED["runtime/approval"] = APPROVAL
ALLOWED["runtime/notify"] = APPROVAL + ["runtime/approval"]
EDGE = APPROVAL + ["runtime/approval", "runtime/notify"]
ALLOWED["runtime/endpoint"] = EDGE
ALLOWED["runtime/console"] = EDGE
WIRING = EDGE + ["runtime/endpoint", "runtime/console"]
ALLOWED["runtime/cli"] = WIRING
ALLOWED["runtime"] = WIRING + ["runtime/cli"]
# The plugin ABI: what its implementation on our side, plugins and examples include.
PLUGIN_H = "flopinio/plugin.h"
PLUGIN_H_FOLDERS = {"runtime/host"}

# Library headers -> the folders that may include them.
LIBRARIES = [
    (r"uv\.h|uv/.*", ["runtime/io"]),
    (r"libwebsockets\.h|lws.*", ["runtime/io"]),
    (r"curl/.*", ["runtime/io"]),
    (r"libpq-fe\.h|postgres.*|pg_config.*", ["runtime/io"]),
    (r"openssl/(ssl|tls1|bio|x509.*|err|pem|core_names)\.h", ["runtime/io"]),
    (r"openssl/.*", ["runtime/io", "runtime/crypto"]),
    (r"argon2\.h|fido.*", ["runtime/crypto"]),
    (r"yaml\.h", ["runtime/base"]),
    (r"pcre2\.h", ["policy", "mcp"]),
    (r"zlib\.h", ["runtime/io", "runtime/store", "runtime/console"]),
    (r"dlfcn\.h", ["runtime/host"]),
]
PURE = ["policy", "mcp"]  # no input or output, no clock
IMPURE = re.compile(
    r"\b(fopen|open|openat|socket|send|recv|printf|fprintf|puts|time|gettimeofday|clock_gettime|getenv"
    r"|getrandom|rand|random|fl_clock_\w+|fl_mono_\w*|fl_log_\w+)\s*\("
)

SQL = re.compile(
    r"\b(SELECT\s|INSERT\s+INTO\b|UPDATE\s+\w+\s+SET\b|DELETE\s+FROM\b|CREATE\s+(TABLE|ROLE|DATABASE|"
    r"SCHEMA|INDEX|POLICY|FUNCTION)\b|ALTER\s+\w+\s|GRANT\s+\w+|REVOKE\s+\w+|TRUNCATE\s|SET\s+\w+\s*=|"
    r"NOTIFY\s|LISTEN\s)"
)
# io speaks to the server about the session itself: settings, role checks, LISTEN; never a table.
SQL_SESSION_FILES = {"runtime/io/pg_conn.c", "runtime/io/pg_check.c", "runtime/io/pg_lost.c"}
SQL_TABLES = re.compile(r"\b(FROM|INTO|UPDATE|JOIN)\s+(?!pg_)(\w+)", re.I)

MAX_LINES = 800  # product and tests alike; look for the second responsibility
LONG = {}  # file: how many lines it may have, and why
# Headers that several C files of their folder implement, and why.
FACADES = {
    "runtime/host/host.h": "what the folder offers, of instance.c, call.c and slot.c",
    "mcp/schema_build.h": "the steps of building a schema, each in its own file",
}
ROOT = {
    "CMakeLists.txt", "cmake", "docs", "examples", "include", "mcp", "plugins", "policy", "runtime",
    "tests", "README.md", "LICENSE", "CMakePresets.json",
}
SECRETS = [
    ("a path of a machine", re.compile(r"(?<![\w.])/(work|home|Users)/[a-z][\w.-]*/")),
    ("a registry's host", re.compile(
        r"registry\.(npmjs|yarnpkg)\.(org|com)|files\.pythonhosted\.org|pypi\.org|deb\.debian\.org|"
        r"proxy\.golang\.org|crates\.io|artifactory|nexus\.", re.I)),
    ("a private key", re.compile(r"-----BEGIN (RSA |EC |OPENSSH |ENCRYPTED )?PRIVATE KEY-----\s*\n[A-Za-z0-9+/]{40}")),
    ("a token", re.compile(
        r"\b(ghp_[A-Za-z0-9]{36}|github_pat_\w{60,}|xox[abp]-\d{8,}-\w+|AKIA[0-9A-Z]{16}|npm_[A-Za-z0-9]{36}|"
        r"sk-(ant|proj)-[\w-]{20,})\b")),
]
EXAMPLES = {"AKIAIOSFODNN7EXAMPLE"}  # the vendor's own, in tests of the detection of secrets


def folder_of(path):
    return os.path.dirname(path)


def strip_comments(text):
    """Comments become spaces, strings and line numbers stay."""
    def blank(m):
        t = m.group(0)
        return t if t[0] in "\"'" else re.sub(r"[^\n]", " ", t)
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', blank, text, flags=re.S)


def literals(code):
    """(line, text) of each run of adjacent string literals."""
    for m in re.finditer(r'(?:"(?:\\.|[^"\\\n])*"\s*(?:\w+\s*(?=")|\w+\([^)]*\)\s*(?="))?)+', code):
        text = "".join(re.findall(r'"((?:\\.|[^"\\\n])*)"', m.group(0)))
        yield code.count("\n", 0, m.start()) + 1, text


def is_c(path):
    return path.endswith((".c", ".h"))


def is_product(path):
    return path.startswith(("include/", "mcp/", "policy/", "runtime/", "plugins/"))


def includes(code):
    for m in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', code, re.M):
        yield code.count("\n", 0, m.start()) + 1, m.group(1), m.group(2)


# ---- rules: each takes {path: text} and yields (path, line, words) ----
def arrows(tree):
    for path, text in tree.items():
        if not is_c(path) or not is_product(path):
            continue
        here = folder_of(path)
        for line, kind, header in includes(strip_comments(text)):
            if kind == "<" and not header.startswith(("flopinio/", "runtime/", "policy/", "mcp/")):
                continue
            if header == PLUGIN_H:
                if not path.startswith("plugins/") and here not in PLUGIN_H_FOLDERS:
                    yield path, line, "includes flopinio/plugin.h, which is for plugins and runtime/host"
                continue
            if "/" not in header:
                target = here
            else:
                target = folder_of(header)
                if target.startswith("flopinio"):
                    target = "include/" + target
            if path.startswith("plugins/"):
                if target != here:
                    yield path, line, "a plugin includes %s" % header
                continue
            if path == "include/" + PLUGIN_H:
                yield path, line, "the plugin ABI includes %s" % header
                continue
            if here not in ALLOWED:
                yield path, line, "the folder %s is in no layer (tests/lint/layers.py)" % here
                continue
            if target not in (here, BASE) and target not in ALLOWED[here] and not (
                    here == BASE or here == "runtime/base") :
                yield path, line, "%s may not include %s" % (here, header)
            elif here in (BASE, "runtime/base") and target not in (BASE, "runtime/base"):
                yield path, line, "%s may not include %s" % (here, header)


def private_headers(tree):
    for path, text in tree.items():
        if not is_c(path) or not is_product(path):
            continue
        for line, kind, header in includes(strip_comments(text)):
            if kind == '"' and header.endswith("_priv.h") and "/" in header and folder_of(header) != folder_of(path):
                yield path, line, "includes another folder's private header %s" % header


def abi(tree):
    for line, kind, header in includes(strip_comments(tree["include/" + PLUGIN_H])):
        if header not in ("stddef.h", "stdint.h", "stdbool.h"):
            yield "include/" + PLUGIN_H, line, "the plugin ABI includes %s; C standard headers only" % header


def libraries(tree):
    for path, text in tree.items():
        if not is_c(path) or not is_product(path):
            continue
        here = folder_of(path)
        for line, kind, header in includes(strip_comments(text)):
            for pattern, folders in LIBRARIES:
                if kind == "<" and re.fullmatch(pattern, header):
                    if here not in folders:
                        yield path, line, "%s may be included by %s only" % (header, ", ".join(folders))
                    break


def pure(tree):
    for path, text in tree.items():
        if is_c(path) and folder_of(path) in PURE:
            code = re.sub(r'"(?:\\.|[^"\\\n])*"', '""', strip_comments(text))
            for m in IMPURE.finditer(code):
                yield path, code.count("\n", 0, m.start()) + 1, "%s is pure and calls %s" % (folder_of(path), m.group(1))


def sql(tree):
    for path, text in tree.items():
        if not is_c(path) or not is_product(path) or folder_of(path) == "runtime/store":
            continue
        for line, literal in literals(strip_comments(text)):
            if SQL.search(literal):
                if path in SQL_SESSION_FILES:
                    table = SQL_TABLES.search(literal)
                    if table:
                        yield path, line, "SQL about the table %s outside runtime/store" % table.group(2)
                else:
                    yield path, line, "SQL outside runtime/store: %.60s" % literal


def headers(tree):
    for path in tree:
        if path.endswith(".h") and is_product(path) and path != "include/" + PLUGIN_H:
            stem = path[:-2]
            if stem.endswith("_priv") or path in FACADES:
                continue
            if path.startswith(BASE):
                stem = "runtime/base/" + os.path.basename(stem)
            # a header of a module: stem.c, or a module in parts: stem_*.c
            if stem + ".c" not in tree and not any(
                    other.startswith(stem + "_") and other.endswith(".c") for other in tree):
                if not only_inline(tree[path]):
                    yield path, 1, "there is no %s.c" % stem


def only_inline(text):
    """A header that declares no function defined elsewhere."""
    code = strip_comments(text)
    return not re.search(r"^(?!static|#|\s|typedef)[\w][\w\s*]*\([^;{]*\)[^;{]*;", code, re.M)


def lengths(tree):
    for path, text in tree.items():
        if path.endswith((".c", ".h", ".py", ".sh", ".js", ".sql")):
            n = text.count("\n")
            if n > LONG.get(path, MAX_LINES):
                yield path, n, "has %d lines" % n


def root(tree):
    for entry in sorted({path.split("/")[0] for path in tree}):
        if entry not in ROOT and not entry.startswith("."):
            yield entry, 1, "stands at the root"


def secrets(tree):
    for path, text in tree.items():
        if path == "tests/lint/layers.py":
            continue
        for what, pattern in SECRETS:
            for m in pattern.finditer(text):
                if m.group(0) in EXAMPLES:
                    continue
                yield path, text.count("\n", 0, m.start()) + 1, "%s: %.40s" % (what, m.group(0).split("\n")[0])


MARKS = re.compile(r"\b(TODO|FIXME|XXX)\b")


def marks(tree):
    for path, text in tree.items():
        if path.endswith((".c", ".h", ".js", ".sh", ".sql", ".py", ".md", ".txt")) and path != "tests/lint/layers.py":
            for m in MARKS.finditer(text):
                yield path, text.count("\n", 0, m.start()) + 1, "an unfinished mark: %s" % m.group(0)


RULES = [
    ("layers_include_only_upwards", arrows, ("policy/zz.c", '#include "runtime/io/loop.h"\n')),
    ("private_headers_stay_in_their_folder", private_headers, ("runtime/cli/zz.c", '#include "runtime/io/pg_priv.h"\n')),
    ("the_plugin_abi_needs_c_headers_only", abi, ("include/" + PLUGIN_H, '#include "flopinio/base/str.h"\n')),
    ("libraries_stand_where_they_belong", libraries, ("runtime/store/zz.c", "#include <libpq-fe.h>\n")),
    ("policy_and_mcp_do_no_io", pure, ("mcp/zz.c", "int f(void) { return (int)time(0); }\n")),
    ("only_store_contains_sql", sql, ("runtime/cli/zz.c", 'const char *q = "SELECT " MS("x") " FROM agent";\n')),
    ("each_header_has_its_c_file", headers, ("runtime/cli/zz.h", "int fl_zz(void);\n")),
    ("files_are_short", lengths, ("runtime/cli/zz.c", "\n" * (MAX_LINES + 1))),
    ("the_root_has_only_its_entries", root, ("zz/zz.c", "")),
    ("nothing_of_a_machine_and_no_secrets", secrets, ("docs/zz.md", "see /home/somebody/notes\n")),
    ("no_unfinished_marks", marks, ("docs/zz.md", "TO" + "DO\n")),
]


def read_tree():
    tree = {}
    for path in subprocess.check_output(["git", "ls-files", "-z"], text=True).split("\0"):
        if path and os.path.isfile(path):
            try:
                with open(path, encoding="utf-8") as f:
                    tree[path] = f.read()
            except UnicodeDecodeError:
                tree[path] = ""
    return tree


def main():
    tree = read_tree()
    passed = failed = 0
    for name, rule, (path, text) in RULES:
        found = list(rule(tree))
        for where in found:
            print("    %s:%d: %s" % where)
        planted = dict(tree)
        planted[path] = planted.get(path, "") + text
        caught = len(list(rule(planted))) > len(found)
        if not caught:
            print("    the canary in %s was not found" % path)
        for ok, case in ((not found, name), (caught, "canary_" + name)):
            print("%s %s" % ("ok  " if ok else "FAIL", case))
            passed += ok
            failed += not ok
    print("%d passed, %d failed, 0 skipped" % (passed, failed))
    return 1 if failed else 0


sys.exit(main())
