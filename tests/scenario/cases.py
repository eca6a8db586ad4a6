"""What a test file needs beside the harness: the decorator `case`, and how one case is run.

    @case()                          # in 30 s, on the file's shared runtime
    def approve_once(rt): ...

    @case(limit=60, lease_time="500ms", breaks=True)
    def worker_killed(rt): ...       # a runtime with these settings; workers may die

    @case()
    def of_its_own(_rt): ...         # makes what it needs: none is started for it

After each case: the audit of every organization that it made must tell the story of each approval
(harness.check_audit), and no worker may have ended unless the case says breaks=True.
"""
import inspect

import harness


class Skip(Exception):
    pass


class Case:
    def __init__(self, fn, limit, breaks, settings):
        self.fn, self.limit, self.breaks, self.settings = fn, limit, breaks, settings
        self.name = fn.__name__
        self.needs_runtime = not next(iter(inspect.signature(fn).parameters)).startswith("_")
        # What only another runtime can have.
        self.key = self.needs_runtime and tuple(sorted(
            (k, v) for k, v in settings.items() if k not in harness.RELOADABLE))


ALL = []
_runtimes = {}  # settings -> Runtime


def case(limit=30, breaks=False, long=False, **settings):
    def add(fn):
        if not long or harness.LONG:
            ALL.append(Case(fn, limit, breaks, settings))
        return fn
    return add


def by_runtime(found):
    """These cases in their order, but those that share a runtime one behind the other."""
    groups = {}
    for each in found:
        groups.setdefault(each.key, []).append(each)
    return [each for group in groups.values() for each in group]


def runtime(wanted):
    """The file's runtime for this case: told anew if that is enough, else another one."""
    if not wanted.needs_runtime:
        return None
    key, settings = wanted.key, wanted.settings
    found = _runtimes.get(key)
    if found and (not found.process or not found.is_settled()):
        found.remove()
        found = None
    if not found:
        for old in _runtimes.values():  # one at a time: the machine is small
            old.remove()
        _runtimes.clear()
        found = _runtimes[key] = harness.Runtime(**settings)
    found.configure(**settings)
    return found


def run(case, rt, out):
    """Raises if the case fails; `out` gets the runtime's log then."""
    since = rt.log_size() if rt else 0
    harness.Org.made = []
    try:
        case.fn(rt)
        for org in harness.Org.made:
            harness.check_audit(org)
        if rt and not case.breaks:
            assert "worker_ended" not in rt.log(since, tail=1 << 30), "a worker ended"
    except Skip:
        raise
    except BaseException:
        if rt:
            out.write("---- the runtime's log during %s\n%s----\n" % (case.name, rt.log(since)))
            if not rt.process or case.breaks:
                rt.remove()
                _runtimes.clear()
        raise


def end():
    for rt in _runtimes.values():
        status = rt.stop()
        said = rt.sanitizers()
        assert status in (0, None) and not said, "serve ended with %s:\n%s" % (status, said or rt.log())
        rt.remove()
    _runtimes.clear()
