"""Another program in the place of the running one: SIGUSR2 goes over to it, or back."""
import os
import shutil
import signal

from cases import case
from harness import BUILD, Org, Runtime, wait_for
from mcp_client import McpWs, text_of


class Installed(Runtime):
    """Runs from a copy, as installed ones do, which a package manager replaces."""

    def __init__(self, **settings):
        super().__init__(start=False, workers=2, **settings)
        self.program = self.base + "/flopinio"
        self.replace(BUILD + "/flopinio")
        self.start()

    def replace(self, source):
        shutil.copy(source, self.program + ".new")
        os.rename(self.program + ".new", self.program)

    def command(self):
        return [self.program] + super().command()[1:]

    def programs(self):
        return [os.readlink("/proc/%d/exe" % w) for w in self.workers()]


def works(rt, org):
    with McpWs(rt, org.credential) as agent:
        return "here" in text_of(agent.call("files__read", {"path": "a.txt"}))


@case(limit=90)
def workers_go_over_to_the_program_on_disk(_rt):
    rt = Installed()
    org = Org(rt)
    org.write("a.txt", "here\n")
    rt.replace(BUILD + "/flopinio")
    # One that crashes meanwhile comes back as what it was: nobody asked for another program yet.
    victim = rt.workers()[0]
    os.kill(victim, signal.SIGKILL)
    wait_for("its successor", lambda: len(rt.workers()) == 2 and victim not in rt.workers())
    wait_for("readiness", lambda: rt.is_ready() and works(rt, org))
    assert all(p.endswith("(deleted)") for p in rt.programs()), rt.programs()
    since = rt.log_size()
    rt.process.send_signal(signal.SIGUSR2)
    wait_for("the replacement", lambda: "workers_replaced" in rt.log(since), 40)
    wait_for("new programs", lambda: rt.programs() == [rt.program] * 2, 20)
    assert works(rt, org)
    Org.made.remove(org)
    assert rt.stop() == 0
    rt.remove()


@case(limit=90)
def a_program_that_does_not_serve_is_not_gone_over_to(_rt):
    """It is not there, it ends, it refuses: the workers that are there go on."""
    rt = Installed()
    org = Org(rt)
    org.write("a.txt", "here\n")
    old = rt.workers()
    broken = rt.base + "/broken"
    for text in ("#!/bin/sh\nexit 1\n", "#!/bin/sh\nexit 78\n", None):
        if text:
            with open(broken, "w") as f:
                f.write(text)
            os.chmod(broken, 0o755)
            rt.replace(broken)
        else:
            os.unlink(rt.program)
        since = rt.log_size()
        rt.process.send_signal(signal.SIGUSR2)
        wait_for("the way back", lambda: "workers_not_replaced" in rt.log(since), 20)
        assert sorted(rt.workers()) == sorted(old), (rt.workers(), old)
        assert rt.process.poll() is None and works(rt, org)
    rt.replace(BUILD + "/flopinio")
    rt.process.send_signal(signal.SIGUSR2)
    wait_for("the replacement", lambda: rt.programs() == [rt.program] * 2, 40)
    assert works(rt, org)
    Org.made.remove(org)
    assert rt.stop() == 0
    rt.remove()
