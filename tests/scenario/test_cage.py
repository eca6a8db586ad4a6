"""What a plugin must not become: the operator, where the runtime is not root and its plugins are of
the same user; nor the reader of the runtime's own files."""
import json
import os
import pwd
import subprocess
import sys

from cases import case
from harness import Org, Runtime, check_audit, wait_for
from mcp_client import McpWs, text_of

TOOLS = ("connect_unix", "connect_from_child", "connect_datagram", "open_ring", "run_program")
POLICY = json.dumps({"version": 1, "rules": [
    {"name": "all", "tools": ["h__" + t for t in TOOLS], "effect": "allow", "standing": True}]})


class OfOneUser(Runtime):
    """Not started as root: runtime, database and plugins are one user."""

    def __init__(self, environment, **settings):
        super().__init__(start=False, **settings)
        self.environment = {k: v.format(run=self.run_dir) for k, v in environment.items()}
        self.install_plugin("hostile")
        if os.geteuid() == 0:
            os.chown(self.base, pwd.getpwnam("nobody").pw_uid, pwd.getpwnam("nobody").pw_gid)
        self.start()

    def spawn(self):
        self._write_config()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["/usr/bin/setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups",
                 "--pdeathsig=TERM", "--"][:6 * (os.geteuid() == 0)] + self.command(),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                env=dict(os.environ, HOME=self.base, **self.environment))


def asked(rt, marked, child):
    """The control socket's answer to a process of the runtime's user."""
    code = """if 1:
        import os, resource, socket, sys
        path, marked, child = sys.argv[1], sys.argv[2] == "True", sys.argv[3] == "True"
        if marked:
            resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
        if child and os.fork():
            os.wait()
            os._exit(0)
        s = socket.socket(socket.AF_UNIX)
        s.connect(path)
        s.sendall(b"GET /api/v1/orgs HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
        said = b""
        while True:
            got = s.recv(65536)
            if not got:
                break
            said += got
        os.write(1, said)
    """
    user = os.stat(rt.data)

    def become():
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(user.st_gid)
            os.setuid(user.st_uid)
    return subprocess.run([sys.executable, "-c", code, rt.run_dir + "/control.sock", str(marked),
                           str(child)], preexec_fn=become, cwd="/", stdout=subprocess.PIPE,
                          check=True, timeout=30).stdout.decode()


@case(limit=120)
def a_plugin_does_not_become_the_operator_of_its_own_user(shared):
    """Not from flopinio_plugin(), which `server add` runs before anybody accepted anything; not from
    a tool; not from what a tool starts. The first lock is the sandbox, the second the socket."""
    rt = OfOneUser({"FLOPINIO_HOSTILE": "{run}/control.sock"})
    try:
        org = Org(rt, files=False, policy=None, own_people=True)
        since = rt.log_size()
        org.add_server("h", "hostile", {"sandbox": {"environment": ["FLOPINIO_HOSTILE"]}},
                       accept=False)
        for tool in TOOLS:
            org.accept("h__" + tool, effects="read")
        org.apply(POLICY)
        org.sync()
        described = wait_for("what the plugin got", lambda: [
            line for line in rt.log(since).split("\n") if "hostile connecting" in line])
        assert "Operation not permitted" in described[0], described
        with McpWs(rt, org.credential) as agent:
            for path in (rt.run_dir + "/control.sock", "@flopinio", "/run/dbus/system_bus_socket"):
                for tool in TOOLS:
                    said = text_of(agent.call("h__" + tool, {"path": path}))
                    assert said == ("Permission denied" if tool == "run_program" else
                                    "Operation not permitted"), (tool, path, said)
        for child in (False, True):
            assert " 403 " in asked(rt, True, child).split("\r\n")[0], asked(rt, True, child)
            assert "no plugin's" in asked(rt, True, child)
            assert " 200 " in asked(rt, False, child).split("\r\n")[0], asked(rt, False, child)
        check_audit(org)
    finally:
        Org.made.clear()
        rt.remove()
