"""Clocks that jump under a running worker, under PostgreSQL, and a machine that was suspended: what
is decided by time is decided by the database's clock, and the sending by all clocks of the worker.

The clocks are those of clocks.c; a clock of the kernel is not touched. CLOCK_MONOTONIC cannot jump
on Linux; a namespace gives processes another one from their start on, as a reboot does."""
import contextlib
import os
import signal
import subprocess
import time

from cases import Skip, case
from harness import Org, children_of, command_of, wait_for
from mcp_client import McpWs, text_of
from nodes import Node
from places import ClockNode, Clocks
from test_database import OwnRuntime, OwnServer, end, made
from test_nodes import at_the_marker, decide

APPEND = "s__append_line"
TIMES = dict(lease_time="5s", dispatch_time="2s", execute_time="2s", unknown_grace="200ms",
             sweep_time="200ms")
HOUR, DAY = 3600, 86400


@contextlib.contextmanager
def clocked(rt):
    """(organization, a node with clocks that can be set, these clocks)"""
    org = Org(rt, files=False, scenario=True)
    clocks = Clocks(rt.base)
    node = ClockNode(rt, clocks, **TIMES)
    try:
        node.start()
        with open("/proc/%d/maps" % node.worker()) as f:
            mapped = f.read()
        assert clocks.library in mapped and clocks.path + "\n" in mapped, "its clocks cannot be set"
        yield org, node, clocks
    finally:
        node.stop()
        node.remove()


def waiting(org, node, line):
    agent = McpWs(node, org.credential)
    call = agent.call_start(APPEND, {"line": line})
    return agent, call, org.wait_pending()


@case(limit=120, **TIMES)
def a_worker_s_wall_clock_jumps(rt):
    """By hours, days, to 1970 and back, while calls wait and run: they wait, are decided and run as
    if nothing were."""
    with clocked(rt) as (org, node, clocks):
        now = time.time()
        for i, jump in enumerate((HOUR, -HOUR, DAY, -DAY, -now + 1, 0)):
            agent, call, approval = waiting(org, node, "l%d" % i)
            clocks.set(real=jump)
            time.sleep(0.5)  # two rounds of the sweep
            assert org.state(approval) == "pending"
            decide(org, node if i % 2 else rt, approval)
            assert text_of(call.wait()) == "appended"
            agent.close()
            with McpWs(node, org.credential) as again:  # credentials, too, are judged by the database
                assert text_of(again.call("s__look", {"line": ""})) == "appended"
        assert org.effects() == ["l%d" % i for i in range(6)]


@case(limit=120, **TIMES)
def no_clock_may_jump_between_the_marker_and_the_sending(rt):
    """The wall clock forwards or back, or a machine that slept: nothing is sent. The canary: if none
    jumps, it is sent."""
    with clocked(rt) as (org, node, clocks):
        jumps = (dict(real=HOUR), dict(real=-HOUR), dict(boot=60), dict(real=60, boot=60), {})
        for i, jump in enumerate(jumps):
            with McpWs(node, org.add_credential(hold="100ms")[1]) as agent:
                agent.call(APPEND, {"line": str(i)})
            approval = org.wait_pending()
            org.ann.approve(approval)
            with McpWs(node, org.credential) as agent:
                call = []
                with at_the_marker(org, rt, lambda: call.append(agent.call_start(
                        "approval_wait", {"approval_id": approval})), approval) as release:
                    clocks.set(**jump)
                    release()
                row = org.wait_state(approval, "failed", "succeeded", "unknown")
                if not jump:
                    assert row["state"] == "succeeded", row["outcome"]
                    break
                assert "too long between the last check and the sending" in (row["outcome"] or ""), \
                    (jump, row["state"], row["outcome"])
                assert "not sent" in text_of(call[0].wait())
            clocks.set()
            wait_for("the node to go on", node.is_ready)
        assert org.effects() == ["4"]


@case(limit=120, **TIMES)
def a_machine_that_slept_goes_on(rt):
    """BOOTTIME runs on while everything stands still: what waited then still waits."""
    with clocked(rt) as (org, node, clocks):
        agent, call, approval = waiting(org, node, "one")
        clocks.set(real=HOUR, boot=HOUR)
        time.sleep(1)
        assert org.state(approval) == "pending"
        decide(org, node, approval)
        assert text_of(call.wait()) == "appended"
        assert org.effects() == ["one"]
        agent.close()


@contextlib.contextmanager
def clocked_database():
    """(organization, runtime, clocks of its PostgreSQL)"""
    with OwnServer() as server:
        clocks = Clocks(server.base)
        server.ctl("stop", "-m", "fast")
        os.environ.update(clocks.environment())
        try:
            server.ctl("start")
        finally:
            for name in clocks.environment():
                del os.environ[name]
        app, _ = made(server)
        rt = OwnRuntime(server, app, **TIMES)
        rt.start()
        org = Org(rt, files=False, scenario=True)
        yield org, rt, clocks
        end(rt)


@case(limit=150)
def the_database_s_clock_jumps_while_a_call_runs(_rt):
    """An hour ahead, its window is over by that clock alone: it is not called unknown before the
    runtime has watched as long, and its outcome is recorded. An hour back: it waits no longer."""
    with clocked_database() as (org, rt, clocks):
        for jump, line in ((HOUR, "ahead"), (-HOUR, "back"), (0, "again")):
            agent = McpWs(rt, org.credential)
            call = agent.call_start(APPEND, {"line": line, "gate": "go-" + line})
            approval = org.wait_pending()
            org.ann.approve(approval)
            org.wait_state(approval, "dispatched")
            wait_for("the effect", lambda: line in org.effects())
            clocks.set(real=jump)
            shift = rt.sql("SELECT extract(epoch FROM clock_timestamp())::float AS at")[0]["at"]
            assert abs(shift - time.time() - jump) < 5, "the clock did not jump"
            time.sleep(1)
            assert org.state(approval) == "dispatched", "called unknown too early"
            org.open_gate("go-" + line)
            assert text_of(call.wait()) == "appended"
            assert org.state(approval) == "succeeded"
            agent.close()
        assert org.effects() == ["ahead", "back", "again"]


@case(limit=150)
def the_database_s_clock_jumps_while_calls_wait(_rt):
    """A day ahead, whatever had less than a day is expired, and is not run; what is asked for then,
    or after a day back, is decided and runs."""
    with clocked_database() as (org, rt, clocks):
        agent, call, approval = waiting(org, rt, "before")
        clocks.set(real=DAY * 400)
        org.wait_state(approval, "expired")
        assert "xpired" in text_of(call.wait()), call.answer
        assert org.effects() == []
        agent.drop()
        clocks.set()
        for jump, line in ((0, "now"), (-DAY, "back"), (0, "again")):
            clocks.set(real=jump)
            wait_for("readiness", rt.is_ready)

            def runs():
                agent, call, approval = None, None, None
                try:
                    agent, call, approval = waiting(org, rt, line)
                    org.ann.approve(approval)
                    return text_of(call.wait()) == "appended"
                finally:
                    if agent:
                        agent.drop()
            assert runs(), line
        assert org.effects() == ["now", "back", "again"]


class OtherTime(Node):
    """A node whose MONOTONIC and BOOTTIME are other ones from its start on, as behind a reboot."""

    def command(self):
        return ["unshare", "--time", "--fork", "--kill-child=TERM", "--monotonic", "500000",
                "--boottime", "900000"] + super().command()

    def served(self):
        """unshare's child is the supervisor."""
        return children_of(self.process.pid) if self.process else []

    def workers(self):
        return [p for c in self.served() for p in children_of(c) if command_of(p)[1:2] == ["worker"]]

    def stop(self, *_):
        for pid in self.served():
            os.kill(pid, signal.SIGTERM)
        if self.process:
            self.process.wait(40)
            self.process = None


@case(limit=90, **TIMES)
def a_node_with_another_uptime_works_beside_the_first(rt):
    """No time of these clocks is stored: what one node began another one, up for days longer,
    finishes."""
    done = subprocess.run(["unshare", "--time", "--fork", "--monotonic", "5", "true"],
                          stderr=subprocess.PIPE, text=True)
    if done.returncode:
        raise Skip("no time namespaces here: " + done.stderr)
    org = Org(rt, files=False, scenario=True)
    node = OtherTime(rt, **TIMES)
    try:
        node.start()
        with open("/proc/%d/timens_offsets" % node.workers()[0]) as f:
            assert "500000" in f.read()
        with McpWs(rt, org.add_credential(hold="100ms")[1]) as agent:
            agent.call(APPEND, {"line": "one"})
        decide(org, node, org.wait_pending())
        with McpWs(node, org.credential) as agent:
            assert text_of(agent.call(APPEND, {"line": "one"})) == "appended"
        agent, call, approval = waiting(org, node, "two")
        decide(org, rt, approval)
        assert text_of(call.wait()) == "appended"
        agent.close()
        assert org.effects() == ["one", "two"]
    finally:
        node.stop()
        node.remove()
