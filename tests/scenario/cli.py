"""The command line as a person or a script uses it.

    cli = Cli(rt, org)                       --data-dir and --org are given for it
    cli("agent", "list").out
    cli("agent", "show", "x", status=4)      must end so
    cli("user", "list", as_=org.adam)        signs in by passphrase, over --passphrase-fd
    cli("whoami", token=org.ann.token)
    with Terminal(cli, "approvals", "approve", id, "--as", "ann") as t:    on a terminal of its own
        t.expect("Passphrase of ann: "); t.send("...\\n"); t.end(0)
"""
import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import tempfile
import termios
import time

from harness import BUILD, Person

FLOPINIO = BUILD + "/flopinio"


@contextlib.contextmanager
def changed_plugin(rt):
    """The plugin `scenario` says another thing of itself; running instances end, so that the next
    question starts the changed one."""
    rt.install_plugin("scenario", "scenario_changed")
    for pid in rt.plugin_processes():
        os.kill(pid, signal.SIGKILL)
    try:
        yield
    finally:
        rt.install_plugin("scenario")


class Result:
    def __init__(self, args, process, out, err):
        self.args, self.status, self.out, self.err = args, process.returncode, out, err

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def rows(self):
        """Lines of a table, without its head."""
        return self.out.splitlines()[1:]

    def __repr__(self):
        return "%s: status %s\n%s%s" % (" ".join(self.args), self.status, self.out, self.err)


class Cli:
    def __init__(self, rt=None, org=None, **env):
        self.rt, self.org = rt, org
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("FLOPINIO_", "NO_COLOR"))}
        self.env.update(env, TERM="xterm")
        if rt:
            self.env["FLOPINIO_DATA_DIR"] = rt.data
        if org:
            self.env["FLOPINIO_ORG"] = org.name

    def __call__(self, *args, status=0, token=None, as_=None, secrets=None, stdin=None, cwd=None,
                 timeout=30):
        """secrets: what is answered to questions, over --passphrase-fd."""
        args = [str(a) for a in args]
        if as_:
            args += ["--as", as_.name if isinstance(as_, Person) else as_]
            if isinstance(as_, Person):
                secrets = [as_.passphrase] + list(secrets or [])
        fds = ()
        if secrets is not None:
            with tempfile.TemporaryFile() as f:
                f.write("".join(s + "\n" for s in secrets).encode())
                f.flush()
                f.seek(0)
                fds = (os.dup(f.fileno()),)
            args += ["--passphrase-fd", str(fds[0])]
        env = dict(self.env, FLOPINIO_TOKEN=token) if token else self.env
        process = subprocess.Popen([FLOPINIO] + args, env=env, pass_fds=fds, cwd=cwd,
                                   stdin=subprocess.PIPE if stdin is not None
                                   else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True)  # no terminal to ask on
        for fd in fds:
            os.close(fd)
        try:
            out, err = process.communicate(None if stdin is None else stdin.encode(), timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        result = Result(args, process, out.decode(), err.decode())
        assert status is None or result.status == status, "must end with %s: %r" % (status, result)
        return result


class Terminal:
    """The program on a pseudo-terminal that is its controlling one."""

    def __init__(self, cli, *args, token=None, rows=40, columns=100, env=None):
        self.seen = b""
        self.status = None
        env = dict(cli.env, **(env or {}))
        if token:
            env["FLOPINIO_TOKEN"] = token
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                for sig in (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):  # as a shell has them
                    signal.signal(sig, signal.SIG_DFL)
                signal.pthread_sigmask(signal.SIG_SETMASK, [])
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                os.execve(FLOPINIO, [FLOPINIO] + [str(a) for a in args], env)
            finally:
                os._exit(127)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _read(self, wait):
        if not select.select([self.fd], [], [], wait)[0]:
            return True
        try:
            piece = os.read(self.fd, 65536)
        except OSError:  # the other side is closed
            return False
        self.seen += piece
        return bool(piece)

    def expect(self, text, timeout=10, since=0):
        """Waits until it was printed; returns where it ends."""
        wanted = text.encode()
        until = time.monotonic() + timeout
        while wanted not in self.seen[since:]:
            assert time.monotonic() < until, "%r did not come, but\n%s" % (text, self.text)
            if not self._read(0.1) and wanted not in self.seen[since:]:
                raise AssertionError("it ended without %r:\n%s" % (text, self.text))
        return self.seen.index(wanted, since) + len(wanted)

    def send(self, text):
        os.write(self.fd, text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ECHO)

    def modes(self):
        return termios.tcgetattr(self.fd)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)

    def end(self, status=None, timeout=10):
        """Waits for its end; its exit status, negative a signal."""
        until = time.monotonic() + timeout
        while self._read(0.1) and time.monotonic() < until:
            pass
        while True:
            pid, how = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            assert time.monotonic() < until, "it does not end:\n" + self.text
            time.sleep(0.02)
        self.status = os.waitstatus_to_exitcode(how)
        assert status is None or self.status == status, "%s\n%s" % (self.status, self.text)
        return self.status

    @property
    def text(self):
        return self.seen.decode("utf-8", "replace")
