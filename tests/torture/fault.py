"""Makes the n-th allocation, statement or send of a running worker fail (fault.c, in front of its
libraries), in the program as it is released.

    import fault                    before the first Runtime
    with fault.at(pid, "sql-error", 7) as it: ...
    it.hit                          did that event come?
"""
import contextlib
import ctypes
import mmap
import os
import tempfile

import harness

KINDS = ["nothing", "memory-ours", "memory-others", "sql-error", "sql-lost", "sql-doubt",
         "send-error", "send-short", "plugin-error", "plugin-short"]
NEVER = 1 << 62


class Page(ctypes.Structure):
    """struct fault of fault.h"""
    _fields_ = [("pid", ctypes.c_int32), ("kind", ctypes.c_int32), ("at", ctypes.c_int64),
                ("seen", ctypes.c_int64), ("live", ctypes.c_int64), ("live_pid", ctypes.c_int32),
                ("is_telling", ctypes.c_int32), ("is_profiling", ctypes.c_int32), ("leak", ctypes.c_int32)]


_directory = tempfile.TemporaryDirectory(prefix="flopinio-fault-")
os.chmod(_directory.name, 0o755)
_path = _directory.name + "/page"
with open(_path, "wb") as _f:
    _f.write(bytes(ctypes.sizeof(Page)))
with open(_path, "r+b") as _f:
    _map = mmap.mmap(_f.fileno(), ctypes.sizeof(Page))
page = Page.from_buffer(_map)
page.is_telling = os.environ.get("FL_FAULT_TELL") == "1"
harness.Runtime.environment = {
    "LD_PRELOAD": harness.BUILD + "/unit/fault.so", "FL_FAULT_FILE": _path,
    # The shim stands in front of the sanitizer and hands on to it.
    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
                    ":allocator_may_return_null=1:quarantine_size_mb=8:malloc_context_size=12"}


class Hit:
    hit = False
    seen = 0


@contextlib.contextmanager
def at(pid, kind, n=NEVER):
    """The n-th such event of the process since now fails, once; without n they are counted."""
    result = Hit()
    page.kind, page.seen, page.at, page.pid = 0, 0, n, pid
    page.kind = KINDS.index(kind)
    try:
        yield result
    finally:
        result.seen = page.seen
        result.hit = result.seen >= n
        page.kind, page.pid = 0, 0
