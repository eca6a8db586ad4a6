"""What happens to an installation whose supervisor dies."""
import signal

from cases import case
from harness import Org, is_alive, wait_for


@case(limit=90, breaks=True)
def killed_supervisor_leaves_nothing_in_the_way(rt):
    """Its workers end by themselves; the next one takes the same ports, database and data."""
    org = Org(rt)
    workers, postmaster = rt.workers(), rt.postmaster()
    rt.process.send_signal(signal.SIGKILL)
    rt.process.wait()
    wait_for("the workers to end", lambda: not any(is_alive(w) for w in workers), 40)
    assert is_alive(postmaster), "the database went with the supervisor"
    rt.start()
    assert rt.postmaster() == postmaster, "the running database was not found"
    assert org.control("GET", "")["name"] == org.name
