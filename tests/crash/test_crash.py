"""SIGKILL at every system call between the intake of a held call and its recorded outcome: of the
worker, of the plugin's process, of PostgreSQL. Afterwards every approval is there, ran at most once
and only decided, its agent has one answer, and the audit tells it (field.py)."""
import contextlib
import os
import random
import signal
import threading
import time

from cases import case
from field import TIMES, Field
from harness import BUILD, LONG, command_of, is_alive, wait_for
from nodes import Trace, backends, postgres_processes

SEED = int(os.environ.get("FL_SEED", "7"))
WORKER, PLUGIN, DATABASE = (2500, 300, 200) if LONG else (260, 30, 10)
LIMIT = 3600 if LONG else 420
# Where a worker must have died at least once, or nothing is shown; in the order of a call's life.
PHASES = ["nothing recorded", "pending", "approved", "claimed", "dispatched, not done",
          "dispatched and done", "succeeded"]


def enumerated(field, node, process, runs=2):
    """The system calls of one held call's life, in order, as (name, how many of that name so far);
    of the longest of some runs."""
    longest = []
    for _ in range(runs):
        call = field.new_call()
        traces = []
        field.run(call, node, lambda: traces.append(
            Trace(process(node), out=node.base + "/trace")))
        names = traces[0].names()
        assert call.answers, "the run that is counted was not answered"
        field.finish(call)
        if len(names) > len(longest):
            longest = names
    seen, points = {}, []
    for name in longest:
        seen[name] = seen.get(name, 0) + 1
        points.append((name, seen[name]))
    return points


def spread(points, count, rng):
    """`count` of them, evenly, in no order; more than there are: again and again, all of them."""
    picked = [points[int((i + rng.random()) * len(points) / count) % len(points)]
              for i in range(count)]
    rng.shuffle(picked)
    return picked


def kill_at(field, node, process, name, nth, decide_on):
    """One call during which the process dies at this point; was it reached?"""
    call = field.new_call()
    call.point = (name, nth)
    since = node.log_size()
    armed = []

    def arm():
        nonlocal since  # a worker is ready: that the log said so must not be taken for the next one
        since = node.log_size()
        pid = process(node)
        with contextlib.suppress(LookupError):
            armed.append((pid, Trace(pid, name, nth)))
    field.run(call, node, arm, decide_on)
    was_killed = False
    for pid, trace in armed:
        with contextlib.suppress(AssertionError):
            if not call.answers or process is plugin:
                wait_for("the death", lambda: not is_alive(pid), 0.3)
        was_killed = not is_alive(pid)
        trace.end()
    if was_killed:
        field.note_phase(call)
    if was_killed and process is worker:
        node.respawn(since)
    field.finish_later(call)
    return was_killed


def worker(node):
    return node.worker()


def plugin(node):
    return wait_for("the plugin's process", node.plugin_host)


def kill_at_all(field, process, points, wanted):
    """Each lane kills its own process at one point after the other."""
    todo, lock, killed, errors = list(points), threading.Lock(), [0, 0], []

    def lane(node):
        try:
            while not errors:
                with lock:
                    if not todo or killed[0] >= wanted:
                        return
                    name, nth = todo.pop()
                    killed[1] += 1
                    turn = killed[1]
                was = kill_at(field, node, process, name, nth, node if turn % 2 else field.calm)
                with lock:
                    killed[0] += was
        except BaseException as e:
            errors.append(e)
    threads = [threading.Thread(target=lane, args=(n,)) for n in field.lanes]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]
    return killed[0]


def missing(met, wanted):
    return [i for i, phase in enumerate(wanted) if not any(seen.startswith(phase) for seen in met)]


def aim(field, process, wanted, rng, rounds=10):
    """Some phases last a moment: again at the points whose calls were just before or behind one that
    no process has died in; returns the kills."""
    kills = 0
    for _ in range(rounds):
        near = {wanted[i] for m in missing(field.phases(), wanted) for i in range(max(0, m - 1), m + 2)
                if i < len(wanted)}
        points = [c.point for c in field.calls if c.phase and c.phase.startswith(tuple(near))]
        if not near or not points:
            break
        kills += kill_at_all(field, process, rng.choices(points, k=16), 16)
    return kills


def crash(rt, process, wanted, program=None, part=lambda points: points, lanes=2, phases=()):
    """(problems, phases, kills, part of the life's calls at which none died) of `wanted` deaths spread
    over a call's life, or that part of it, and of some more if one of `phases` was not met."""
    rng = random.Random(SEED)
    with Field(rt, lanes, program) as field:
        points = part(enumerated(field, field.lanes[0], process))
        kills = kill_at_all(field, process, spread(points, wanted * 2, rng), wanted)
        kills += aim(field, process, phases, rng)
        problems = field.verdict()
        met = field.phases()
        died_at = {c.point for c in field.calls if c.phase and c.point}
    alive = [p for p in points if p not in died_at]
    print("    %d system calls, died at all but %s; %d deaths (seed %d):" % (
        len(points), alive, kills, SEED))
    for phase, count in sorted(met.items()):
        print("    %6d %s" % (count, phase))
    return problems, met, kills, len(alive) / len(points)


def none(problems):
    assert not problems, "%d problems:\n%s" % (len(problems), "\n".join(problems[:20]))


@case(limit=LIMIT, breaks=True, **TIMES)
def worker_killed_at_every_system_call(rt):
    problems, met, kills, alive = crash(rt, worker, WORKER, phases=PHASES)
    none(problems)
    assert kills >= WORKER, "only %d of %d points were reached" % (kills, WORKER)
    assert alive <= 0.1, "of the calls of one life, which not each life has, too many were passed"
    unmet = [PHASES[i] for i in missing(met, PHASES)]
    assert not unmet, "no worker died while the call was %s: %s" % (unmet, met)


@case(limit=LIMIT, breaks=True, **TIMES)
def plugin_process_killed_at_every_system_call(rt):
    problems, phases, kills, alive = crash(rt, plugin, PLUGIN)
    none(problems)
    assert kills >= PLUGIN and not alive, "only %d of %d points were reached" % (kills, PLUGIN)
    assert any(p.startswith("unknown") or p.startswith("dispatched") for p in phases), phases


# ---------------------------------------------------------------- PostgreSQL
# A backend dies before its transaction is on disk, while it is being written, and behind that,
# before anybody was told; or everything dies at some moment.
BACKEND = [(name, n) for n in range(1, 9) for name in ("fdatasync", "pwrite64", "sendto", "recvfrom")]


def strike(field, rng, at, is_late):
    """Six calls under way on all nodes when PostgreSQL dies; when it is back, the next may come.
    is_late: not before all of them wait and are about to be approved."""
    nodes = [field.calm] + field.lanes
    calls = [field.new_call() for _ in range(6)]
    ready, go = threading.Barrier(len(calls) + 1), threading.Barrier(len(calls) + 1)

    def arm():
        ready.wait(120)
        go.wait(120)

    def one(i, call):
        field.run(call, nodes[i % len(nodes)], arm, timeout=15)
        field.finish_later(call)
    threads = [threading.Thread(target=one, args=(i, c)) for i, c in enumerate(calls)]
    for t in threads:
        t.start()
    ready.wait(120)
    if is_late:
        for call in calls:
            call.may_decide.clear()
        go.wait(120)
        wait_for("all to wait", lambda: all(c.row and c.row["state"] == "pending" for c in calls))
    doomed, serving = postgres_processes(field.rt), backends(field.sql)
    # A client's backend may also end by itself, this one only with all the others.
    heart, = [p for p in doomed if "checkpointer" in " ".join(command_of(p))]
    armed_at = field.sql("SELECT clock_timestamp() AS at")[0]["at"]
    trace = Trace(serving, *at) if at else None
    if is_late:
        for call in calls:
            call.may_decide.set()
    else:
        go.wait(120)
    if not at:
        time.sleep(rng.uniform(0.005, 0.25))
        for pid in doomed:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(AssertionError):
        wait_for("a death", lambda: not is_alive(heart), 10, 0.002)
        for call in calls:
            call.struck_at = time.time()
    for t in threads:
        t.join()
    if trace:
        trace.end()
    if any(not is_alive(pid) for pid in serving):  # it takes the others along; until then they seem to serve
        with contextlib.suppress(AssertionError):  # unless its worker had closed it
            wait_for("the end of the others", lambda: not field.sql(
                "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'flopinio-%%' AND "
                "backend_start < %s", armed_at), 10)
    wait_for("the database and its nodes", lambda: all(n.is_ready() for n in nodes), 60)
    return not is_alive(heart)


@case(limit=LIMIT, breaks=True, **TIMES)
def postgresql_killed_while_calls_run(rt):
    rng = random.Random(SEED)
    with Field(rt, 2) as field:
        kills = tries = 0
        while kills < DATABASE and tries < DATABASE * 3 // 2:
            i, tries = tries, tries + 1
            kills += strike(field, rng, None if i % 3 == 0 else BACKEND[i * 5 % len(BACKEND)],
                            i % 2 == 1)
        problems = field.verdict(times=False)
        field.note_phases_by_audit()
        phases = field.phases()
    print("    %d deaths of PostgreSQL's processes (seed %d), %d calls:" % (
        kills, SEED, sum(phases.values())))
    for phase, count in sorted(phases.items()):
        print("    %6d %s" % (count, phase))
    none(problems)
    assert kills >= DATABASE, kills
    assert "requested" in phases and {"approved", "claimed", "dispatched"} & set(phases), phases


# ---------------------------------------------------------------- canary
@case(limit=240, breaks=True, **TIMES)
def canary_a_build_that_marks_behind_the_effect_is_caught(rt):
    """The same, for a worker that notes the dispatch together with the outcome: where it dies
    between the two, its lease runs out and the call runs again (no_marker.patch)."""
    program = BUILD + "/flopinio_no_marker"
    assert os.path.exists(program), "build it first: cmake --build ... --target flopinio_no_marker"
    problems, _, kills, _ = crash(rt, worker, 48, program, part=lambda p: p[len(p) // 2:])
    assert kills > 24, kills
    twice = [p for p in problems if "2 effects" in p]
    assert twice, "nothing was noticed; other problems: %s" % problems[:5]
    print("    %d of %d calls ran twice" % (len(twice), kills))
