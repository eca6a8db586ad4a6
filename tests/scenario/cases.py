"""What a test file needs beside the harness: the decorator `case`, and how one case is run.

    @case()                          # within 30 s, on the file's shared runtime
    def approve_once(rt): ...

    @case(limit=60, lease_time="500ms", breaks=True)
    def worker_killed(rt): ...       # a runtime with these settings; workers may die

After each case: the audit of every organization that it made must tell the story of each approval
(harness.check_audit), and no worker may have ended unless the case says breaks=True.
"""
import harness


class Skip(Exception):
    pass


class Case:
    def __init__(self, fn, limit, breaks, settings):
        self.fn, self.limit, self.breaks, self.settings = fn, limit, breaks, settings
        self.name = fn.__name__


ALL = []
_runtimes = {}  # settings -> Runtime


def case(limit=30, breaks=False, long=False, **settings):
    def add(fn):
        if not long or harness.LONG:
            ALL.append(Case(fn, limit, breaks, settings))
        return fn
    return add


def runtime(settings):
    """The file's runtime with these settings: told anew if that is enough, else another one."""
    fixed = {k: v for k, v in settings.items() if k not in harness.RELOADABLE}
    key = tuple(sorted(fixed.items()))
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
    since = rt.log_size()
    harness.Org.made = []
    try:
        case.fn(rt)
        for org in harness.Org.made:
            harness.check_audit(org)
        log = rt.log(since)
        if not case.breaks:
            assert "worker_ended" not in log, "a worker ended"
    except Skip:
        raise
    except BaseException:
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
