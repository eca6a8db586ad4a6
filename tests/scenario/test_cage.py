"""What a plugin must not become: the operator, where the runtime is not root and its plugins are of
the same user; nor the reader of the runtime's own files."""
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

from cases import Skip, case
from harness import BUILD, Org, Runtime, check_audit, refused, unique, wait_for
from mcp_client import McpWs, text_of
from test_doctor import doctor, fails

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


OWN = "a plugin may not reach the runtime's own files"


@case(limit=60)
def what_is_the_runtimes_own_no_plugin_may_touch(rt):
    """What contains it, is it or lies in it, by whatever name; when a server is added or changed,
    and when it starts."""
    org = Org(rt)
    link = org.folder + "-link"
    os.symlink(rt.data, link)
    for path in (rt.data, rt.data + "/", rt.base, "/", rt.data + "/secrets/keys", rt.run_dir,
                 rt.data + "/not/there", link, link + "/secrets", rt.base + "/flopinio.yaml"):
        for config in ({"root": path}, {"root": path, "read_only": True},
                       {"sandbox": {"read": [path]}}, {"sandbox": {"write": [org.folder, path]}}):
            with refused(400, OWN):
                org.control("POST", "/servers", {"name": unique("s"), "plugin": "files",
                                                 "config": config})
        with refused(400, OWN):
            org.control("PATCH", "/servers/files", {"config": {"root": path}})
        with refused(400, OWN):
            org.control("POST", "/apply", {"servers": [
                {"name": "more", "plugin": "files", "config": {"root": path}}]})
    # A configuration of before, or one that somebody wrote into the database.
    rt.sql("UPDATE server SET config = jsonb_build_object('root', %s::text) WHERE organization_id "
           "= %s AND name = 'files'", rt.base, org.id)
    rt.sql("UPDATE organization SET revision = revision + 1, changed_at = clock_timestamp() WHERE "
           "organization_id = %s", org.id)
    org.sync()
    said = org.control("POST", "/servers/files/refresh")
    assert OWN in said["note"], said
    # Nobody would have known which server it is, and what to do.
    hits = fails(rt, "servers", "%s: files cannot start: %s: %s contains" % (org.name, OWN, rt.base))
    assert "flopinio server set NAME --config" in hits[0][2], hits
    (server,) = org.control("GET", "/servers")["items"]
    assert OWN in server["closed"], server
    for way in ({}, {"account": "else"}, {"is_enabled": True}):
        said = org.control("POST", "/apply", {"servers": [dict(way, name="files")], "dry_run": True})
        (found,) = said["findings"]
        assert found.startswith("server 'files' cannot start") and OWN in found, said
    for way in ({"is_enabled": False}, {"config": {"root": org.folder}}):
        said = org.control("POST", "/apply", {"servers": [dict(way, name="files")], "dry_run": True})
        assert said["findings"] == [], said
    org.control("PATCH", "/servers/files", {"config": {"root": org.folder}})
    (server,) = org.control("GET", "/servers")["items"]
    assert server["closed"] is None, server
    assert "cannot start" not in str(doctor(rt)[1].get("servers"))
    # A folder that becomes a link when all of that was asked.
    other = Org(rt)
    with McpWs(rt, other.credential) as agent:
        assert not agent.call("files__list", {"path": "."}).get("isError")
        os.rename(other.folder, other.folder + "-away")
        os.symlink(rt.data, other.folder)
        for pid in rt.plugin_processes():
            os.kill(pid, signal.SIGKILL)

        def is_refused():
            said = agent.call("files__list", {"path": "."})
            assert said["isError"] and "secrets" not in text_of(said), said
            return OWN + ", as it would by" in text_of(said)
        wait_for("the next process to refuse it", is_refused, 20)
        os.unlink(other.folder)
        os.rename(other.folder + "-away", other.folder)


@case(limit=120)
def two_organizations_are_never_in_one_address_space(shared):
    rt = Runtime(plugins_in_process="true", workers=1)
    try:
        rt.control("POST", "/orgs", {"name": "one", "title": "One"})
        with refused(409, "plugins_in_process is for one only"):
            rt.control("POST", "/orgs", {"name": "two", "title": "Two"})
        rt.sql("WITH made AS (INSERT INTO organization (organization_id, name, title) VALUES "
               "(gen_random_uuid(), 'two', 'Two') RETURNING organization_id) INSERT INTO origin "
               "(organization_id) SELECT organization_id FROM made")
        rt.stop()
        since = rt.log_size()
        rt.spawn()
        assert rt.process.wait(60) == 1
        assert "plugins_in_process is for one organization only, and there are 2" in \
            rt.log(since), rt.log(since)
    finally:
        rt.remove()


class Trap:
    """Listens where a control socket would be, and keeps what it is sent."""

    def __init__(self, folder):
        self.got = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(folder + "/control.sock")
        os.chmod(folder + "/control.sock", 0o666)
        self.socket.listen()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                conn = self.socket.accept()[0]
            except OSError:
                return
            self.got += conn.recv(65536)
            conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         b"Content-Length: 12\r\nConnection: close\r\n\r\n{\"items\":[]}")
            conn.close()


def run_dir_of(data, uid):
    """fl_config_run_dir, where DATA_DIR/run is too long for a socket."""
    value = 0xcbf29ce484222325
    for byte in data.encode():
        value = ((value ^ byte) * 0x100000001b3) & (1 << 64) - 1
    return "%s/flopinio-run-%u-%08x" % ("/run" if uid == 0 else "/tmp", uid,
                                        (value ^ value >> 32) & 0xffffffff)


@case()
def no_passphrase_goes_to_a_socket_that_somebody_else_made(shared):
    """With a long data_dir the sockets lie where anybody may make a directory first. One that is the
    installation's is found by every user, whoever they are."""
    base = tempfile.mkdtemp(prefix="flopinio-scenario-%d-" % os.getpid())
    data = base + "/" + "long" * 25
    nobody = pwd.getpwnam("nobody").pw_uid
    os.mkdir(data)
    os.chmod(base, 0o755)

    def ask(uid):
        run = run_dir_of(data, uid)
        os.mkdir(run)
        return run, Trap(run)

    def cli():
        return subprocess.run([BUILD + "/flopinio", "org", "list", "--data-dir=" + data, "--as=ana",
                               "--passphrase-fd=0"], input=b"correct horse battery\n", timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    me = os.geteuid()
    run, trap = ask(me)
    try:
        os.chmod(run, 0o777)
        said = cli()
        assert said.returncode and b"others may write to" in said.stdout and not trap.got, said
        if me != 0:
            raise Skip("other users need root")
        os.chmod(run, 0o755)
        os.chown(run, nobody, -1)
        said = cli()
        assert said.returncode and b"belongs to somebody else" in said.stdout and not trap.got, said
    finally:
        trap.socket.close()
        shutil.rmtree(run)
    os.chown(data, nobody, -1)  # the installation of another user, asked by root
    run, trap = ask(nobody)
    try:
        os.chown(run, nobody, -1)
        said = cli()
        assert said.returncode == 0 and b"GET /api/v1/orgs" in trap.got, (said, trap.got)
    finally:
        trap.socket.close()
        shutil.rmtree(run)
        shutil.rmtree(base)
