"""`flopinio init`: from nothing to an organization that somebody can work in."""
import os
import shutil
import subprocess
import tempfile

from cases import case
from harness import BUILD, Runtime, command_of, end_pid, is_alive

PASS = "correct horse battery"


def cli(data, *args, answers=PASS):
    """Answers are given on standard input, a line each."""
    words = [BUILD + "/flopinio"] + list(args) + ["--data-dir=" + data]
    if answers is not None:
        words.append("--passphrase-fd=0")
    env = {k: v for k, v in os.environ.items() if not k.startswith("FLOPINIO_")}
    return subprocess.run(words, input=(answers or "").encode() + b"\n", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, env=env, start_new_session=True)


class Place:
    """A directory in which nothing is yet; what comes to run there is ended."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix="flopinio-init-")
        os.chmod(self.base, 0o755)
        self.data = self.base + "/data"
        return self

    def pid(self):
        try:
            with open(self.data + "/flopinio.pid") as f:
                pid = int(f.read().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if is_alive(pid) and command_of(pid)[1:2] == ["serve-private"] else None

    def __exit__(self, *_):
        pid = self.pid()
        if pid:
            end_pid(pid, seconds=20)
        shutil.rmtree(self.base)


@case(limit=90, workers=1)
def from_nothing(_rt):
    with Place() as p:
        made = cli(p.data, "init", "--org=acme", "--admin=ann")
        assert made.returncode == 0, made
        assert b"organization acme" in made.stdout and b"owner ann" in made.stdout
        assert PASS.encode() not in made.stdout + made.stderr
        assert not p.pid(), "what it started is gone when it ends"
        # Again: nothing changes. Another one: that is not what init is for.
        again = cli(p.data, "init", "--org=acme", "--admin=ann")
        assert again.returncode == 0 and b"nothing was changed" in again.stdout, again
        other = cli(p.data, "init", "--org=other", "--admin=bob")
        assert other.returncode == 5 and b"flopinio org create other" in other.stderr, other
        # Right behind it the operator's own.
        rt = Runtime(start=False, workers=1, operator_authority="until_admin")
        shutil.rmtree(rt.data, ignore_errors=True)
        rt.data, rt.run_dir = p.data, p.data + "/run"
        rt.start()
        try:
            who = cli(p.data, "whoami", "--as=ann")
            assert who.returncode == 0 and b"acme" in who.stdout, who
            wrong = cli(p.data, "whoami", "--as=ann", answers="something else")
            assert wrong.returncode == 3, wrong
            policy = rt.control("GET", "/orgs/acme/policy")
            assert policy["version"] == 1 and policy["applied_by"] == "operator", policy
            assert "owner_may_approve" not in policy["document"]
            # From here on only she changes anything.
            status, _ = rt.control("POST", "/orgs/acme/people", {"name": "eve", "role": "owner"},
                                   raw=True)
            assert status == 403, status
            kinds = [r["kind"] for r in rt.sql("SELECT kind FROM audit_event WHERE organization_id "
                                               "= (SELECT organization_id FROM organization) ORDER "
                                               "BY recorded_at, event_id")]
            assert kinds[0] == "organization.created" and "policy.applied" in kinds, kinds
        finally:
            rt.remove()


@case(limit=60, workers=1)
def nobody_to_ask(_rt):
    with Place() as p:
        made = cli(p.data, "init", answers=None)
        assert made.returncode == 3 and b"no terminal" in made.stderr, made
        assert not os.path.exists(p.data)
        for flag, text in (("--org=A b", b"an organization's name"), ("--org=", b"--org"),
                           ("--admin=Ann", b"a person's name"), ("--title=a\nb", b"one line")):
            wrong = cli(p.data, "init", flag, answers=None)
            assert wrong.returncode == 2 and text in wrong.stderr, wrong
        weak = cli(p.data, "init", answers="short")
        assert weak.returncode == 2 and b"at least" in weak.stderr, weak
        assert not os.path.exists(p.data)
        made = cli(p.data, "init", "--solo", "--org=me", "--admin=ann")
        assert made.returncode == 0 and b"solo" in made.stdout, made


@case(limit=60, workers=1, operator_authority="until_admin")
def on_a_running_one(rt):
    """Goes on where an earlier one was interrupted, in an installation that runs."""
    rt.control("POST", "/orgs", {"name": "acme", "title": "Acme"})
    rt.control("POST", "/orgs/acme/people", {"name": "bob", "role": "owner"})
    clash = cli(rt.data, "init", "--org=acme", "--admin=ann")
    assert clash.returncode == 5 and b"--admin bob" in clash.stderr, clash
    made = cli(rt.data, "init", "--org=acme", "--admin=bob", "--solo")
    assert made.returncode == 0, made
    assert b"flopinio serve " not in made.stdout, "it runs"
    assert "owner_may_approve: true" in rt.control("GET", "/orgs/acme/policy")["document"]
    assert rt.control("GET", "/orgs/acme")["has_administrator"]


@case(limit=60, workers=1)
def somebody_elses_directory(_rt):
    if os.geteuid() != 0:
        return
    with Place() as p:
        os.mkdir(p.data)
        shutil.chown(p.data, "nobody")
        made = cli(p.data, "init")
        assert made.returncode == 3 and b"sudo -u nobody" in made.stderr, made
        assert os.listdir(p.data) == []
